//! What clusters are made from.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::model::{ClusterSettings, Discovery, UpstreamProtocol};
use crate::objects::{FieldRef, NamespacedName};

/// One port of a Service, and how it is spoken to: what a cluster is made from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendPort {
    /// The Service.
    pub service: NamespacedName,
    /// The port's number in the Service.
    pub port: u16,
    /// How its endpoints are spoken to, where a route says that; `None` for what the Service itself says. A unit that makes them
    /// of what the Service says reads the Service.
    pub settings: Option<Arc<ClusterSettings>>,
}

impl BackendPort {
    /// Whether it is a port of UDP.
    #[must_use]
    pub fn is_udp(&self) -> bool {
        let settings = self.settings.as_ref();
        settings.is_some_and(|settings| settings.protocol == UpstreamProtocol::Udp)
    }
}

/// What a cluster is made from. Two of one name come to the same cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClusterSource {
    /// One port of a Service.
    Port(BackendPort),
    /// Ports of several Services, whose endpoints are one set: at least one, with the same settings.
    Ports(Arc<[BackendPort]>),
    /// The same, of which each has a share of the requests.
    Shares(Arc<[(BackendPort, NonZeroU32)]>),
    /// A DNS name that an object says, outside of all Services.
    Name(Arc<NamedBackend>),
}

/// A DNS name that an object says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamedBackend {
    /// The name, validated.
    pub hostname: Arc<str>,
    /// The port.
    pub port: u16,
    /// How it is spoken to.
    pub settings: ClusterSettings,
    /// Who says it.
    pub source: FieldRef,
}

impl NamedBackend {
    /// The name of its cluster. No Service has a `:` in its name.
    #[must_use]
    pub fn cluster_name(&self) -> Arc<str> {
        let base = format_args!("dns:{}/{}", self.hostname, self.port);
        self.settings.cluster_name(base, &self.discovery())
    }

    /// How its endpoints are found.
    #[must_use]
    pub fn discovery(&self) -> Discovery {
        Discovery::Dns {
            hostname: self.hostname.clone(),
            port: self.port,
        }
    }
}

impl From<BackendPort> for ClusterSource {
    fn from(port: BackendPort) -> Self {
        Self::Port(port)
    }
}

impl ClusterSource {
    /// Ports with settings that an object says, and the name of their cluster; `None` without a port. Of one port it is that of a
    /// route that asks for the same.
    #[must_use]
    pub fn of_ports(mut ports: Vec<BackendPort>) -> Option<(Arc<str>, Self)> {
        ports.sort_by(|a, b| (&a.service, a.port).cmp(&(&b.service, b.port)));
        ports.dedup();
        let source = match ports.len() {
            1 => Self::Port(ports.swap_remove(0)),
            _ => Self::Ports(ports.into()),
        };
        Some((source.joined_name()?, source))
    }

    /// Ports with their shares, as [`Self::of_ports`]. Where all shares are 0 they are even; else who has none is left out, and where
    /// those that are left have the same it is that.
    #[must_use]
    pub fn of_shares(ports: Vec<(BackendPort, u32)>) -> Option<(Arc<str>, Self)> {
        let some = ports.iter();
        let some = some.filter_map(|(port, share)| Some((port.clone(), NonZeroU32::new(*share)?)));
        let mut shares: Vec<(BackendPort, NonZeroU32)> = some.collect();
        if shares.is_empty() {
            return Self::of_ports(ports.into_iter().map(|(port, _)| port).collect());
        }
        let key =
            |(port, share): &(BackendPort, NonZeroU32)| (port.service.clone(), port.port, *share);
        shares.sort_by_key(key);
        // Of a port that is named twice the larger share holds.
        shares.reverse();
        shares.dedup_by(|one, other| one.0 == other.0);
        shares.reverse();
        let (_, first) = shares.first()?;
        if shares.iter().all(|(_, share)| share == first) {
            return Self::of_ports(shares.into_iter().map(|(port, _)| port).collect());
        }
        let source = Self::Shares(shares.into());
        Some((source.joined_name()?, source))
    }

    /// The name of a cluster of ports with settings that an object says; `None` where there is no port. It is made of the source
    /// alone, so that who names a cluster and who makes it can't differ.
    #[must_use]
    pub(super) fn joined_name(&self) -> Option<Arc<str>> {
        let named = |it: &BackendPort| format!("{}/{}", it.service, it.port);
        let names: Vec<String> = match self {
            Self::Port(port) => vec![named(port)],
            Self::Ports(ports) => ports.iter().map(named).collect(),
            Self::Shares(shares) => {
                let shares = shares.iter();
                shares
                    .map(|(it, share)| format!("{}*{share}", named(it)))
                    .collect()
            }
            Self::Name(named) => return Some(named.cluster_name()),
        };
        if names.is_empty() {
            return None;
        }
        let settings = self.settings().cloned().unwrap_or_default();
        let base = names.join("+");
        Some(settings.cluster_name(format_args!("{base}"), &Discovery::Endpoints))
    }

    /// The Service that it is of.
    #[must_use]
    pub fn service(&self) -> Option<&NamespacedName> {
        match self {
            Self::Port(port) => Some(&port.service),
            Self::Ports(ports) => ports.first().map(|port| &port.service),
            Self::Shares(shares) => shares.first().map(|(port, _)| &port.service),
            Self::Name(_) => None,
        }
    }

    /// How it is spoken to, where that is not what its Service says.
    #[must_use]
    pub fn settings(&self) -> Option<&ClusterSettings> {
        match self {
            Self::Port(port) => port.settings.as_deref(),
            Self::Ports(ports) => ports.first()?.settings.as_deref(),
            Self::Shares(shares) => shares.first()?.0.settings.as_deref(),
            Self::Name(named) => Some(&named.settings),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_shares() {
        let port = |name: &str| BackendPort {
            service: NamespacedName::new("ns", name),
            port: 80,
            settings: None,
        };
        for (shares, expected) in [
            (&[("a", 0), ("b", 0)][..], Some("ns/a/80+ns/b/80")),
            (&[("b", 2), ("a", 2)], Some("ns/a/80+ns/b/80")),
            (&[("b", 1), ("a", 3)], Some("ns/a/80*3+ns/b/80*1")),
            (&[("a", 3), ("b", 0)], Some("ns/a/80")),
            (&[("a", 3), ("a", 1)], Some("ns/a/80")),
            (&[("a", 1), ("b", 1), ("a", 3)], Some("ns/a/80*3+ns/b/80*1")),
            (&[("a", 2), ("b", 2), ("c", 0)], Some("ns/a/80+ns/b/80")),
            (&[("a", 1), ("b", 3), ("a", 3)], Some("ns/a/80+ns/b/80")),
            (&[("a", 3), ("b", 0), ("a", 3)], Some("ns/a/80")),
            (&[], None),
        ] {
            let written = shares.iter().map(|(name, share)| (port(name), *share));
            let found = ClusterSource::of_shares(written.collect());
            let name = found.as_ref().map(|(name, _)| &**name);
            assert_eq!(name, expected, "{shares:?}");
            // Who makes the cluster has the source alone.
            let made = found.as_ref().and_then(|(_, source)| source.joined_name());
            assert_eq!(made.as_deref(), expected, "{shares:?}");
        }
    }
}
