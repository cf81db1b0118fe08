//! What of requests is traced.

use std::sync::Arc;

use super::header::HeaderName;
use super::route_action::Fraction;
use super::text::bounded_text;

/// How requests are traced, as the operator says it: by OpenTelemetry, one span for the request and one for each try.
///
/// Who decides is Envoy by itself, and not the client: unless proxies in front are trusted, `traceparent` and `tracestate` of
/// strangers are removed, as they could have all traced otherwise, or write into traces of others. With trusted proxies
/// spans go on in the traces that these begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracing {
    /// Who collects the spans.
    pub collector: TraceCollector,
    /// What this Envoy is called in them (`service.name`).
    service: Arc<str>,
    /// How many of the requests.
    pub sampling: Fraction,
    /// What spans say besides. The URL of a request is there without its query, which is where tokens are.
    pub tags: Vec<TraceTag>,
}

/// Who collects spans (OTLP).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceCollector {
    /// By gRPC, at this [`super::Cluster`] of HTTP/2.
    Grpc(Arc<str>),
    /// By HTTP, at this [`super::Cluster`].
    Http {
        /// Its name.
        cluster: Arc<str>,
        /// The host that it is asked for.
        host: Arc<str>,
        /// The path: `/v1/traces` is the usual one.
        path: Arc<str>,
    },
}

impl TraceCollector {
    /// Its cluster.
    #[must_use]
    pub const fn cluster(&self) -> &Arc<str> {
        match self {
            Self::Grpc(cluster) | Self::Http { cluster, .. } => cluster,
        }
    }

    /// By HTTP.
    ///
    /// # Errors
    ///
    /// One sentence where there is no such URL.
    pub fn http(cluster: impl Into<Arc<str>>, host: &str, path: &str) -> Result<Self, String> {
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
        let is_path = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if host.is_empty() || !host.bytes().all(is_host) {
            return Err(format!("{host:?} is no host of a collector"));
        }
        if !path.starts_with('/') || !path.bytes().all(is_path) {
            return Err(format!("{path:?} is no path of a collector"));
        }
        Ok(Self::Http {
            cluster: cluster.into(),
            host: host.into(),
            path: path.into(),
        })
    }
}

impl Tracing {
    /// All requests, under this name.
    ///
    /// # Errors
    ///
    /// One sentence where the name says nothing.
    pub fn new(collector: TraceCollector, service: &str) -> Result<Self, String> {
        Ok(Self {
            collector,
            service: bounded_text(service, "the name of a service")?,
            sampling: Fraction::ALL,
            tags: Vec::new(),
        })
    }

    /// What this Envoy is called.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }
}

/// What a span says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TraceTag {
    name: Arc<str>,
    value: TraceValue,
}

/// What a tag's value is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TraceValue {
    /// Always this.
    Literal(Arc<str>),
    /// A header of the request, where it is there.
    Header(HeaderName),
}

impl TraceTag {
    /// A tag that says always the same.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it.
    pub fn literal(name: &str, value: &str) -> Result<Self, String> {
        Ok(Self {
            name: bounded_text(name, "the name of a tag")?,
            value: TraceValue::Literal(bounded_text(value, "the value of a tag")?),
        })
    }

    /// A tag that says what a header does.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it.
    pub fn header(name: &str, header: HeaderName) -> Result<Self, String> {
        Ok(Self {
            name: bounded_text(name, "the name of a tag")?,
            value: TraceValue::Header(header),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value.
    #[must_use]
    pub const fn value(&self) -> &TraceValue {
        &self.value
    }
}

/// How the requests of one route are traced, where the operator has any traced.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteTracing {
    /// How many of them, instead of what the operator says: [`Fraction::NONE`] is off.
    pub sampling: Fraction,
    /// What their spans say besides what the operator says. Of two tags of one name this is taken.
    pub tags: Vec<TraceTag>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::text::MAX_TEXT;
    use super::*;

    #[test]
    fn what_envoy_would_refuse_is_refused() {
        let long = "a".repeat(MAX_TEXT + 1);
        for text in ["", "a\nb", &long] {
            let header = HeaderName::new("x-a").unwrap();
            assert!(TraceTag::literal(text, "a").is_err(), "{text:?}");
            assert!(TraceTag::literal("a", text).is_err(), "{text:?}");
            assert!(TraceTag::header(text, header).is_err(), "{text:?}");
            let collector = TraceCollector::Grpc("otel".into());
            assert!(Tracing::new(collector, text).is_err(), "{text:?}");
        }
        for (host, path, is_taken) in [
            ("otel.test:4318", "/v1/traces", true),
            ("[::1]:4318", "/", true),
            ("", "/", false),
            ("a b", "/", false),
            ("a", "v1", false),
            ("a", "/a b", false),
        ] {
            let collector = TraceCollector::http("otel", host, path);
            assert_eq!(collector.is_ok(), is_taken, "{host} {path}");
        }
    }
}
