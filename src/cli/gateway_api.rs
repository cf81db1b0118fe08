//! Flags for Gateways.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::http_proxy::namespaced_name;
use crate::model::Cidr;
use crate::objects::NamespacedName;
use crate::translate::{FleetPorts, GatewayOptions, GatewayServices, PodPort, Transport};

/// How Gateways are reached.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Gateway API")]
pub struct GatewayArgs {
    /// The addresses that Gateways may have, as ranges (comma-separated). Each has its own: those of its spec.addresses, or one that
    /// it is given. Envoy binds them itself, on every node. Without a range Gateways are reached as Ingresses are, at the ports of
    /// --envoy-ports.
    #[arg(
        long,
        env = "ISOBATH_GATEWAY_ADDRESSES",
        value_name = "RANGES",
        value_delimiter = ',',
        value_parser = Cidr::new
    )]
    pub gateway_addresses: Vec<Cidr>,
    /// Which port outside leads to which port of Envoy's pods, as the manifests have it: what listeners of Gateways say is the port
    /// outside. The ports of --envoy-http-address and --envoy-https-address are those of Ingresses. Without it 80 and 443 lead to
    /// these two. UDP has a suffix: 53=5353/udp.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_PORTS",
        value_name = "OUTSIDE=POD",
        value_delimiter = ',',
        value_parser = envoy_port
    )]
    pub envoy_ports: Vec<EnvoyPort>,
    /// The Service whose pods are Envoy's. Each Gateway then has a Service of type LoadBalancer of its own, beside itself, that leads
    /// to these pods, and the addresses that this one is given.
    #[arg(
        long,
        env = "ISOBATH_GATEWAY_SERVICES",
        value_name = "NAMESPACE/NAME",
        value_parser = namespaced_name
    )]
    pub gateway_services: Option<NamespacedName>,
}

/// One port of `--envoy-ports`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvoyPort {
    outside: u16,
    pod: u16,
    transport: Transport,
}

impl std::fmt::Display for EnvoyPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let suffix = match self.transport {
            Transport::Tcp => "",
            Transport::Udp => "/udp",
        };
        write!(f, "{}={}{suffix}", self.outside, self.pod)
    }
}

fn envoy_port(text: &str) -> Result<EnvoyPort, String> {
    let sentence = || "it is a port outside and one of the pod, such as 80=8080 or 53=5353/udp";
    let (ports, transport) = match text.strip_suffix("/udp") {
        Some(ports) => (ports, Transport::Udp),
        None => (text, Transport::Tcp),
    };
    let port = |text: &str| text.parse().ok().filter(|port: &u16| *port != 0);
    let ports = ports.split_once('=');
    let ports = ports.and_then(|(outside, pod)| Some((port(outside)?, port(pod)?)));
    let (outside, pod) = ports.ok_or_else(sentence)?;
    Ok(EnvoyPort {
        outside,
        pod,
        transport,
    })
}

/// Where Envoy listens for Ingresses.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// `--envoy-http-address`.
    pub http: SocketAddr,
    /// `--envoy-https-address`.
    pub https: SocketAddr,
    /// Whether that is a port of UDP, too.
    pub has_http3: bool,
}

impl GatewayArgs {
    /// That each port is there once, and that two do not lead to one.
    ///
    /// # Errors
    ///
    /// Which do.
    pub fn check(&self, built_in: BuiltIn) -> Result<(), String> {
        if self.gateway_services.is_some() && !self.gateway_addresses.is_empty() {
            let message = "--gateway-services and --gateway-addresses: a Gateway has a Service of its own or an address that Envoy binds; leave one out";
            return Err(message.to_owned());
        }
        let (mut outside, mut pods) = (BTreeSet::new(), BTreeSet::new());
        for port in &self.envoy_ports {
            let sentence = |what: &str| Err(format!("--envoy-ports {port}: {what}"));
            if !outside.insert((port.outside, port.transport)) {
                return sentence("the port outside is there twice");
            }
            if !pods.insert((port.pod, port.transport)) {
                return sentence(
                    "another port outside leads to the same port of the pod: listeners of Gateways on the two could not be told apart",
                );
            }
            let is_of_http3 = built_in.has_http3 && port.pod == built_in.https.port();
            if port.transport == Transport::Udp && is_of_http3 {
                return sentence("--envoy-http3 has this port of the pod");
            }
        }
        Ok(())
    }

    /// Where something may listen that is not there for Ingresses, over TCP.
    #[must_use]
    pub fn others(&self, built_in: BuiltIn) -> Vec<SocketAddr> {
        let tcp = self.envoy_ports.iter();
        let tcp = tcp.filter(|port| port.transport == Transport::Tcp);
        let pods = tcp.map(|port| port.pod_port(built_in));
        let others = pods.filter_map(|pod| match pod {
            PodPort::Other(address) => Some(address),
            PodPort::Http | PodPort::Https => None,
        });
        others.collect()
    }

    /// For the translation. `taken`: the ports on which Envoy listens in any case.
    #[must_use]
    pub fn options(&self, built_in: BuiltIn, taken: Vec<u16>) -> GatewayOptions {
        let ports = self.envoy_ports.iter();
        let ports = ports.map(|port| {
            let outside = (port.outside, port.transport);
            (outside, port.pod_port(built_in))
        });
        GatewayOptions {
            addresses: self.gateway_addresses.clone().into(),
            ports: match self.envoy_ports.is_empty() {
                true => FleetPorts::default(),
                false => FleetPorts::new(ports),
            },
            services: self.gateway_services.clone().map(|envoy| GatewayServices {
                envoy,
                address: built_in.http.ip(),
                taken: taken.into(),
            }),
        }
    }
}

impl EnvoyPort {
    fn pod_port(self, built_in: BuiltIn) -> PodPort {
        let address: IpAddr = built_in.http.ip();
        match (self.pod, self.transport) {
            (pod, Transport::Tcp) if pod == built_in.http.port() => PodPort::Http,
            (pod, Transport::Tcp) if pod == built_in.https.port() => PodPort::Https,
            (pod, _) => PodPort::Other(SocketAddr::new(address, pod)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(texts: &[&str], has_http3: bool) -> Result<GatewayOptions, String> {
        let ports: Result<_, String> = texts.iter().map(|text| envoy_port(text)).collect();
        let args = GatewayArgs {
            gateway_addresses: Vec::new(),
            envoy_ports: ports?,
            gateway_services: None,
        };
        let built_in = BuiltIn {
            http: ([0, 0, 0, 0], 8080).into(),
            https: ([0, 0, 0, 0], 8443).into(),
            has_http3,
        };
        args.check(built_in)?;
        Ok(args.options(built_in, Vec::new()))
    }

    #[test]
    fn a_port_is_of_ingresses_or_another_one() {
        let other = |port| Some(PodPort::Other(([0, 0, 0, 0], port).into()));
        let default = checked(&[], false).map(|it| it.ports);
        assert_eq!(default, Ok(FleetPorts::default()));
        let ports = checked(&["80=8080", "8443=8443", "9000=9001", "53=8080/udp"], false);
        let found = ports.map(|it| {
            let tcp = [80, 443, 8443, 9000].map(|port| (port, Transport::Tcp));
            let all = tcp.into_iter().chain([(53, Transport::Udp)]);
            all.map(|port| it.ports.pod_port(port)).collect::<Vec<_>>()
        });
        let expected = vec![
            Some(PodPort::Http),
            None,
            Some(PodPort::Https),
            other(9001),
            other(8080),
        ];
        assert_eq!(found, Ok(expected));
    }

    #[test]
    fn what_leads_nowhere_or_twice_is_refused() {
        for (texts, has_http3, expected) in [
            (&["80"][..], false, "such as 80=8080"),
            (&["80=0"], false, "such as 80=8080"),
            (&["80=99999"], false, "such as 80=8080"),
            (&["80=8080/sctp"], false, "such as 80=8080"),
            (
                &["80=8080", "80=8081"],
                false,
                "80=8081: the port outside is there twice",
            ),
            (&["80=8080", "81=8080"], false, "could not be told apart"),
            (&["443=8443/udp"], true, "--envoy-http3"),
        ] {
            let error = checked(texts, has_http3).err().unwrap_or_default();
            assert!(error.contains(expected), "{texts:?}: {error}");
        }
        for texts in [&["80=8080", "80=8080/udp"][..], &["443=8443/udp"]] {
            assert!(checked(texts, false).is_ok(), "{texts:?}");
        }
    }
}
