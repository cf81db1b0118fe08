//! Which Gateway has a host at a port of the fleet. It is found once for all who ask, be they as many as Gateways are there.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Front, Host, Spoken};
use crate::objects::{Kind, NamespacedName, ObjectRef};
use crate::translate::Input;

use super::effective::{Protocol, Transport};
use super::options::PodPort;
use super::place::Place;

/// A port outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedPort {
    pub port: (u16, Transport),
    /// What is spoken there, whoever asks for something else.
    pub spoken: Spoken,
}

/// A host at a port of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedHost {
    pub port: SharedPort,
    pub host: Host,
}

/// Whose a host is at a port of the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Holder {
    /// Who named it first, where that is in another language: then no Gateway has it.
    pub other: Option<ObjectRef>,
    /// The Gateway that has it.
    pub gateway: Option<NamespacedName>,
    /// The namespace that the host belongs to, where hosts belong to namespaces.
    pub namespace: Option<Arc<str>>,
}

impl SharedHost {
    /// Finds whose it is.
    pub fn holder(&self, input: Input<'_>) -> Holder {
        let Self { port, host } = self;
        let Some(front) = input.options.gateway.ports.front(port.port) else {
            return Holder::default();
        };
        let claims = input.reader.claimants(&front, host);
        let is_other = |claim: &&ObjectRef| matches!(claim.kind, Kind::Ingress | Kind::HttpProxy);
        if let Some(other) = claims.first().filter(is_other) {
            return Holder {
                other: Some(other.clone()),
                ..Holder::default()
            };
        }
        let owned = Owned::of(input, &front, host, &claims);
        Holder {
            other: None,
            gateway: gateway(input, *port, host, (&claims, owned.as_ref())),
            namespace: owned.map(|owned| owned.namespace),
        }
    }
}

impl Holder {
    /// In words, for who has lost the host: something of this namespace.
    pub fn told(&self, namespace: &str) -> Option<String> {
        if let Some(other) = &self.other {
            return Some(format!("{other}, which named it first"));
        }
        let owner = self.namespace.as_ref();
        let owner = owner.filter(|owner| ***owner != *namespace);
        match (owner, &self.gateway) {
            (Some(owner), Some(gateway)) => Some(format!(
                "namespace {owner}, which named it first and has it served by Gateway {gateway}"
            )),
            (Some(owner), None) => Some(format!("namespace {owner}, which named it first")),
            (None, Some(gateway)) => Some(format!(
                "Gateway {gateway}, through which it was named first"
            )),
            (None, None) => None,
        }
    }
}

/// Whose a host of the fleet's own front is, where hosts belong to namespaces.
pub struct Owned {
    namespace: Arc<str>,
    /// Those that claims of this namespace come through.
    gateways: BTreeSet<NamespacedName>,
}

impl Owned {
    /// `None` where hosts are shared, and on ports where no Ingress is: these belong by port.
    pub fn of(input: Input<'_>, front: &Front, host: &Host, claims: &[ObjectRef]) -> Option<Self> {
        if *front != Front::Fleet {
            return None;
        }
        let namespace = input.owner(host)?;
        let ports = input.options.gateway.ports.on(front).into_iter();
        let ports = ports.filter_map(|(port, pod)| {
            let spoken = match pod {
                PodPort::Http => Spoken::Http,
                PodPort::Https => Spoken::Tls,
                PodPort::Other(_) => return None,
            };
            Some(SharedPort { port, spoken })
        });
        let ports: Vec<SharedPort> = ports.collect();
        let own = claims.iter().filter(|it| it.name.namespace == namespace);
        let own = own.flat_map(|claim| ports.iter().map(move |port| (claim, *port)));
        let gateways = own.flat_map(|(claim, port)| through(input, claim, port, host));
        Some(Self {
            gateways: gateways.collect(),
            namespace,
        })
    }

    fn lets(&self, gateway: &NamespacedName) -> bool {
        gateway.namespace == self.namespace || self.gateways.contains(gateway)
    }
}

/// The Gateway that has a host at a port, of those through which these claim it, oldest first.
pub fn gateway(
    input: Input<'_>,
    port: SharedPort,
    host: &Host,
    (claims, owned): (&[ObjectRef], Option<&Owned>),
) -> Option<NamespacedName> {
    let lets = |it: &NamespacedName| owned.is_none_or(|owned| owned.lets(it));
    let mut claims = claims.iter();
    claims.find_map(|claim| through(input, claim, port, host).into_iter().find(lets))
}

/// The Gateways through which an object claims a host at a port, as the object names them. One that asks for something else than
/// what is spoken there has lost the port, with all its hosts.
pub fn through(
    input: Input<'_>,
    claim: &ObjectRef,
    SharedPort { port, spoken }: SharedPort,
    host: &Host,
) -> Vec<NamespacedName> {
    let place = |gateway: &NamespacedName| Place::Fleet(gateway.clone(), port).name();
    let speaks =
        |place: &Arc<str>| input.bind(place).protocol.map(Protocol::spoken) == Some(spoken);
    match claim.kind {
        Kind::Gateway => {
            let place = place(&claim.name);
            let hostname = input.hostname_of(&place, host);
            let has = hostname.as_ref().as_ref() == Some(host) && speaks(&place);
            has.then(|| claim.name.clone()).into_iter().collect()
        }
        Kind::HttpRoute | Kind::GrpcRoute | Kind::TlsRoute => {
            let attachment = input.attachment(claim);
            let parents = attachment.parents.iter();
            let listeners = parents.flat_map(|parent| &parent.listeners);
            // This is asked for each of its hosts: nothing here may be as long as the list of them.
            let has = listeners.filter(|it| {
                if it.binds.is_empty() || it.hosts.binary_search(host).is_err() {
                    return false;
                }
                let place = place(&it.gateway.name);
                it.binds.contains(&place) && speaks(&place)
            });
            has.map(|it| it.gateway.name.clone()).collect()
        }
        _ => Vec::new(),
    }
}
