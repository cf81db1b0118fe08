//! The flags of the status writer.

use std::net::IpAddr;

use super::address::Source;
use crate::model::Cidr;
use crate::objects::{LoadBalancerAddress, NamespacedName};
use crate::process::pod::Pod;

/// Which addresses are published on Ingresses.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Status")]
pub struct Args {
    /// Addresses to publish in the status of every served Ingress: IP addresses or host names,
    /// separated by commas.
    #[arg(
        long,
        env = "ISOBATH_INGRESS_STATUS_ADDRESS",
        value_delimiter = ',',
        value_name = "ADDRESS",
        value_parser = parse_address
    )]
    pub ingress_status_address: Vec<LoadBalancerAddress>,

    /// The Service in front of Envoy: its load balancer's addresses are published.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_SERVICE",
        value_name = "NAMESPACE/NAME",
        value_parser = parse_namespaced_name
    )]
    pub envoy_service: Option<NamespacedName>,

    /// Where the published addresses come from. auto: the addresses given, else the Service given, else the nodes
    /// if this pod uses ports of its host, else none.
    #[arg(
        long,
        env = "ISOBATH_INGRESS_STATUS_FROM",
        value_enum,
        default_value_t = StatusFrom::Auto
    )]
    pub ingress_status_from: StatusFrom,

    /// The addresses that Gateways are given: a flag of what is served.
    #[arg(skip)]
    pub gateway_addresses: Box<[Cidr]>,
}

/// Where the published addresses come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum StatusFrom {
    /// The first of the others that applies.
    #[default]
    Auto,
    /// `--ingress-status-address`.
    Address,
    /// `--envoy-service`.
    Service,
    /// The nodes on which pods with this pod's labels are ready.
    Nodes,
    /// Nowhere: no address is written.
    None,
}

/// Flags that contradict each other, as one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidArgs(&'static str);

impl Args {
    pub(super) fn source(&self, pod: &Pod) -> Result<Source, InvalidArgs> {
        let fixed = (!self.ingress_status_address.is_empty()).then(|| {
            let mut addresses = self.ingress_status_address.clone();
            addresses.sort();
            addresses.dedup();
            Source::Fixed(addresses.into())
        });
        let service = self.envoy_service.clone().map(Source::Service);
        let nodes = |only_with_host_ports| {
            let (Some(name), Some(namespace)) = (&pod.name, &pod.namespace) else {
                return None;
            };
            Some(Source::Nodes {
                pod: NamespacedName::new(namespace.as_str(), name.as_str()),
                only_with_host_ports,
            })
        };
        match self.ingress_status_from {
            StatusFrom::Auto => Ok(fixed
                .or(service)
                .or_else(|| nodes(true))
                .unwrap_or(Source::None)),
            StatusFrom::Address => fixed.ok_or(InvalidArgs(
                "--ingress-status-from=address needs --ingress-status-address",
            )),
            StatusFrom::Service => service.ok_or(InvalidArgs(
                "--ingress-status-from=service needs --envoy-service",
            )),
            StatusFrom::Nodes => nodes(false).ok_or(InvalidArgs(
                "--ingress-status-from=nodes needs ISOBATH_POD_NAME and ISOBATH_POD_NAMESPACE from the downward API",
            )),
            StatusFrom::None => Ok(Source::None),
        }
    }
}

fn parse_address(text: &str) -> Result<LoadBalancerAddress, String> {
    let text = text.trim();
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(LoadBalancerAddress::Ip(ip.to_string().into()));
    }
    // The API server's rule for `hostname`: a DNS subdomain (RFC 1123), no wildcard.
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        (1..=63).contains(&label.len())
            && label.chars().all(|c| inner(c) || c == '-')
            && label.starts_with(inner)
            && label.ends_with(inner)
    };
    // Nobody means a name whose last label is a number: it is an IP address with a slip of the pen.
    let numeric = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    let name = text.to_ascii_lowercase();
    if name.len() <= 253
        && name.split('.').all(label)
        && !name.split('.').next_back().is_some_and(numeric)
    {
        return Ok(LoadBalancerAddress::Hostname(name.into()));
    }
    Err("neither an IP address nor a host name".to_owned())
}

fn parse_namespaced_name(text: &str) -> Result<NamespacedName, String> {
    match text.split_once('/') {
        Some((namespace, name))
            if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
        {
            Ok(NamespacedName::new(namespace, name))
        }
        _ => Err("must be NAMESPACE/NAME".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
        #[command(flatten)]
        pod: Pod,
    }

    /// The source that a command line means, as text.
    fn check(line: &str, expected: &str) {
        let words = std::iter::once("isobath").chain(line.split_whitespace());
        let actual = match Line::try_parse_from(words) {
            Err(error) => error.to_string(),
            Ok(line) => match line.args.source(&line.pod) {
                Ok(source) => format!("{source:?}"),
                Err(error) => error.to_string(),
            },
        };
        assert!(actual.contains(expected), "{line}: {actual}");
    }

    #[test]
    fn flags_name_a_source() {
        let pod = "--pod-name a --pod-namespace b";
        check("", "None");
        check(
            "--ingress-status-address 192.0.2.2,192.0.2.1,LB.example.com,192.0.2.1",
            r#"Fixed([Ip("192.0.2.1"), Ip("192.0.2.2"), Hostname("lb.example.com")])"#,
        );
        check(
            "--ingress-status-address 2001:DB8::0:1",
            r#"[Ip("2001:db8::1")]"#,
        );
        check(
            "--ingress-status-address 192.0.2.300",
            "neither an IP address",
        );
        check(
            "--ingress-status-address *.example.com",
            "neither an IP address",
        );
        check("--ingress-status-address a,,b", "neither an IP address");
        check("--envoy-service x", "NAMESPACE/NAME");
        check(
            "--envoy-service n/x",
            r#"Service(NamespacedName { namespace: "n", name: "x" })"#,
        );
        check(
            "--envoy-service n/x --ingress-status-address 192.0.2.1",
            "Fixed",
        );
        check(
            "--envoy-service n/x --ingress-status-address 192.0.2.1 --ingress-status-from service",
            "Service",
        );
        check("--envoy-service n/x --ingress-status-from none", "None");
        check(pod, "only_with_host_ports: true");
        check(
            &format!("{pod} --ingress-status-from nodes"),
            "only_with_host_ports: false",
        );
        check("--ingress-status-from nodes", "needs ISOBATH_POD_NAME");
        check("--ingress-status-from service", "needs --envoy-service");
        check(
            "--ingress-status-from address",
            "needs --ingress-status-address",
        );
    }
}
