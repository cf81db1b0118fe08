//! Flags for the traces of requests.

use std::sync::Arc;

use crate::model::{
    Cluster, ClusterSettings, Discovery, Fraction, HeaderName, TraceCollector, TraceTag, Tracing,
    UpstreamProtocol,
};

/// How requests are traced.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct TracingArgs {
    /// Who collects OpenTelemetry traces of requests (OTLP, in clear): grpc://HOST:PORT, or http://HOST:PORT/PATH, where
    /// /v1/traces is the usual path. HOST is an address or a whole name, as otel.tracing.svc.cluster.local. Without it nothing
    /// is traced.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_TRACING_COLLECTOR",
        value_name = "URL",
        value_parser = collector
    )]
    pub envoy_tracing_collector: Option<Collector>,
    /// How many of the requests are traced, in percent. Who asks for it in front of a trusted proxy is traced in any case.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_TRACING_SAMPLING",
        value_name = "PERCENT",
        default_value = "100",
        value_parser = percent
    )]
    pub envoy_tracing_sampling: Fraction,
    /// What Envoy is called in traces (service.name).
    #[arg(
        long,
        env = "ISOBATH_ENVOY_TRACING_SERVICE",
        value_name = "NAME",
        default_value = "isobath",
        value_parser = service
    )]
    pub envoy_tracing_service: Arc<str>,
    /// What spans say besides: NAME=TEXT, or NAME=%REQ(HEADER)% for a header of the request; may be given several times.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_TRACING_TAG",
        value_name = "TAG",
        value_delimiter = ',',
        value_parser = tag
    )]
    pub envoy_tracing_tag: Vec<TraceTag>,
}

/// `--envoy-tracing-collector`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    cluster: Cluster,
    asked: TraceCollector,
}

impl TracingArgs {
    /// The setting of the managers.
    pub(super) fn tracing(&self) -> Option<Tracing> {
        let collector = self.envoy_tracing_collector.as_ref()?.asked.clone();
        // The name was checked when it was read.
        let mut tracing = Tracing::new(collector, &self.envoy_tracing_service).ok()?;
        tracing.sampling = self.envoy_tracing_sampling;
        tracing.tags.clone_from(&self.envoy_tracing_tag);
        Some(tracing)
    }

    /// The collector's cluster.
    pub(super) fn cluster(&self) -> Option<Cluster> {
        let collector = self.envoy_tracing_collector.as_ref()?;
        Some(collector.cluster.clone())
    }
}

fn collector(text: &str) -> Result<Collector, String> {
    const FORM: &str = "it is grpc://HOST:PORT or http://HOST:PORT/PATH";
    let (scheme, rest) = text.split_once("://").ok_or(FORM)?;
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, format!("/{path}")),
        None => (rest, String::new()),
    };
    let (hostname, port) = authority.rsplit_once(':').ok_or(FORM)?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or(FORM)?;
    let hostname = hostname.trim_start_matches('[').trim_end_matches(']');
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-:".contains(&byte);
    if hostname.is_empty() || !hostname.bytes().all(is_name) {
        return Err(FORM.to_owned());
    }
    let protocol = match (scheme, path.is_empty()) {
        ("grpc", true) => UpstreamProtocol::H2c,
        ("http", false) => UpstreamProtocol::Http1,
        _ => return Err(FORM.to_owned()),
    };
    let settings = ClusterSettings {
        protocol,
        ..ClusterSettings::default()
    };
    let discovery = Discovery::Dns {
        hostname: hostname.into(),
        port,
    };
    // No Service and no name that an object says begins so.
    let name = settings.cluster_name(format_args!("collector:{hostname}/{port}"), &discovery);
    let asked = match protocol {
        UpstreamProtocol::H2c => TraceCollector::Grpc(name.clone()),
        _ => TraceCollector::http(name.clone(), authority, &path)?,
    };
    let cluster = Cluster {
        name,
        discovery,
        settings,
        source: None,
    };
    Ok(Collector { cluster, asked })
}

pub(super) fn percent(text: &str) -> Result<Fraction, String> {
    const FORM: &str = "it is a number from 0 to 100 with at most four decimals";
    // A ten-thousandth of a percent is Envoy's smallest part.
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 4 || !is_number(whole) || !is_number(part) {
        return Err(FORM.to_owned());
    }
    let millionths = format!("{whole}{part:0<4}").parse().map_err(|_| FORM)?;
    Fraction::new(millionths, 1_000_000).map_err(|_| FORM.to_owned())
}

fn service(text: &str) -> Result<Arc<str>, String> {
    let collector = TraceCollector::Grpc("collector".into());
    Ok(Tracing::new(collector, text)?.service().into())
}

pub(super) fn tag(text: &str) -> Result<TraceTag, String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("it is NAME=TEXT or NAME=%REQ(HEADER)%")?;
    let header = value
        .strip_prefix("%REQ(")
        .and_then(|value| value.strip_suffix(")%"));
    match header {
        Some(header) => TraceTag::header(name, HeaderName::new(header)?),
        None => TraceTag::literal(name, value),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn collectors_are_read() {
        for (text, name, protocol) in [
            (
                "grpc://otel.tracing:4317",
                "otel.tracing",
                UpstreamProtocol::H2c,
            ),
            (
                "grpc://[2001:db8::1]:4317",
                "2001:db8::1",
                UpstreamProtocol::H2c,
            ),
            (
                "http://10.0.0.1:4318/v1/traces",
                "10.0.0.1",
                UpstreamProtocol::Http1,
            ),
        ] {
            let collector = collector(text).unwrap();
            assert_eq!(collector.cluster.settings.protocol, protocol, "{text}");
            assert_eq!(*collector.asked.cluster(), collector.cluster.name, "{text}");
            match collector.cluster.discovery {
                Discovery::Dns { hostname, .. } => assert_eq!(&*hostname, name),
                other => panic!("{text}: {other:?}"),
            }
        }
        for text in [
            "otel:4317",
            "grpc://otel",
            "grpc://otel:0",
            "grpc://otel:99999",
            "grpc://otel:4317/path",
            "http://otel:4318",
            "https://otel:4318/v1/traces",
            "grpc://:4317",
            "grpc://o tel:4317",
        ] {
            assert!(collector(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_and_tags_are_read() {
        for (text, millionths) in [
            ("0", 0),
            ("100", 1_000_000),
            ("12.5", 125_000),
            ("0.0001", 1),
        ] {
            assert_eq!(percent(text).unwrap().millionths(), millionths, "{text}");
        }
        for text in ["", "-1", "101", "0.00001", "1.2.3", "NaN", "all"] {
            assert!(percent(text).is_err(), "{text}");
        }
        assert_eq!(
            tag("zone=eu").unwrap(),
            TraceTag::literal("zone", "eu").unwrap()
        );
        let header = HeaderName::new("x-team").unwrap();
        assert_eq!(
            tag("team=%REQ(X-Team)%").unwrap(),
            TraceTag::header("team", header).unwrap()
        );
        for text in ["zone", "=eu", "team=", "team=%REQ(a b)%"] {
            assert!(tag(text).is_err(), "{text}");
        }
    }
}
