//! What a Gateway comes to by itself: its addresses, and its listeners with what is wrong with each.
//!
//! Each Gateway has addresses of its own, and so never shares a port with another one: of two that name an address the older
//! has it. An address that is given by the holder of the lease stands in the Gateway's status before anybody binds it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{Claimable, Front, Host};
use crate::objects::gateway_api::{CONTROLLER, Gateway, ObjectReference, RouteNamespaces};
use crate::objects::{Kind, NamespacedName, ObjectRef};
use crate::translate::Input;

use super::fault::Fault;
use super::{certificates, grants, listener};

/// What a Gateway comes to by itself. Nothing for one that is not ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EffectiveGateway {
    /// Whether its class is ours.
    pub is_ours: bool,
    /// What is wrong with it as a whole, so that nothing of it is served.
    pub fault: Option<Fault>,
    /// The addresses that are its own.
    pub addresses: Box<[IpAddr]>,
    /// Why it has not all addresses that it asks for.
    pub address_fault: Option<Fault>,
    /// How many addresses it is still to be given.
    pub wanted_addresses: u32,
    /// Its listeners, as written.
    pub listeners: Box<[EffectiveListener]>,
    /// What is wrong with the certificate that back ends are to be shown.
    pub client_certificate_fault: Option<Fault>,
}

/// A listener, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EffectiveListener {
    /// The object that has it.
    pub parent: ObjectRef,
    /// Its name there.
    pub name: Arc<str>,
    /// The port by which clients reach it.
    pub port: u16,
    /// What is spoken there; `None` for what nobody speaks.
    pub protocol: Option<Protocol>,
    /// The names that it is for.
    pub hostname: Host,
    /// The kinds of routes that may be attached.
    pub kinds: Box<[Kind]>,
    /// The namespaces whose routes may be attached.
    pub namespaces: RouteNamespaces,
    /// The Secrets that it is served with, at most one for each kind of key.
    pub certificates: Box<[NamespacedName]>,
    /// Why it is not served at all.
    pub fault: Option<Fault>,
    /// Whether that is another listener.
    pub is_conflicted: bool,
    /// What of its references can't be used.
    pub references_fault: Option<Fault>,
    /// Listeners of the same port whose hostname has some of its names.
    pub overlaps: bool,
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP in clear.
    Http,
    /// HTTP by TLS that ends here.
    Https,
}

impl Protocol {
    /// What it is by its name in objects.
    pub fn new(name: &str) -> Option<Self> {
        match name {
            "HTTP" => Some(Self::Http),
            "HTTPS" => Some(Self::Https),
            _ => None,
        }
    }

    /// The kinds of routes that it can have.
    pub const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Http | Self::Https => &[Kind::HttpRoute, Kind::GrpcRoute],
        }
    }
}

impl EffectiveListener {
    /// Whether it is served: not whether its Gateway has an address.
    pub fn is_programmed(&self) -> bool {
        let has_certificate = match self.protocol {
            Some(Protocol::Https) => !self.certificates.is_empty(),
            Some(Protocol::Http) => true,
            None => false,
        };
        self.fault.is_none() && has_certificate
    }
}

impl EffectiveGateway {
    /// Reads a Gateway.
    pub fn of(input: Input<'_>, name: &NamespacedName) -> Self {
        let Some(gateway) = input.reader.gateway(name).filter(|it| is_ours(input, it)) else {
            return Self::default();
        };
        let mut made = Self {
            is_ours: true,
            fault: fault(input, gateway),
            listeners: listener::listeners(input, gateway),
            client_certificate_fault: client_certificate_fault(input, gateway),
            ..Self::default()
        };
        if made.fault.is_none() {
            made.find_addresses(input, gateway);
        }
        made
    }

    /// The addresses and ports that it listens on, and the hostnames of its listeners there.
    pub fn claims(&self) -> BTreeSet<Claimable> {
        let accepted = self.listeners.iter().filter(|it| it.fault.is_none());
        let mut claims = BTreeSet::new();
        for listener in accepted {
            for address in &self.addresses {
                let name = listener::bind_name(*address, listener.port);
                let front = Front::Listener(name.clone());
                claims.insert(Claimable::Listener(name));
                claims.insert(Claimable::Host(front, listener.hostname.clone()));
            }
        }
        claims
    }

    /// Whether everything of it that could be served is, at some address.
    pub fn is_programmed(&self) -> bool {
        self.fault.is_none()
            && !self.addresses.is_empty()
            && self.address_fault.is_none()
            && self.listeners.iter().any(EffectiveListener::is_programmed)
    }

    fn find_addresses(&mut self, input: Input<'_>, gateway: &Gateway) {
        let name = &gateway.metadata.name;
        if input.options.gateway.addresses.is_empty() {
            let message = "no Gateway has an address here: start Isobath with --gateway-addresses";
            self.address_fault = Some(Fault::new("AddressNotAssigned", message));
            return;
        }
        let mut addresses = Vec::new();
        let mut wanted = u32::from(gateway.addresses.is_empty());
        for address in &gateway.addresses {
            if address.value.is_empty() {
                wanted += 1;
                continue;
            }
            match usable(input, name, &address.value) {
                Ok(address) if addresses.contains(&address) => {}
                Ok(address) => addresses.push(address),
                Err(message) => {
                    self.address_fault = Some(Fault::new("AddressNotUsable", message));
                }
            }
        }
        if wanted > 0 {
            let given = input.reader.gateway_addresses(name).iter();
            let given = given.filter_map(|(_, value)| usable(input, name, value).ok());
            let given = given.filter(|address| !addresses.contains(address));
            let given: Vec<IpAddr> = given
                .take(wanted.try_into().unwrap_or(usize::MAX))
                .collect();
            wanted -= u32::try_from(given.len()).unwrap_or(wanted);
            addresses.extend(given);
        }
        if wanted > 0 && self.address_fault.is_none() {
            let message = "it is still to be given an address";
            self.address_fault = Some(Fault::new("AddressNotAssigned", message));
        }
        self.wanted_addresses = wanted;
        self.addresses = addresses.into();
    }
}

/// Whether a Gateway's class is ours.
fn is_ours(input: Input<'_>, gateway: &Gateway) -> bool {
    let class = input.reader.gateway_class(&gateway.class_name);
    class.is_some_and(|class| &*class.controller == CONTROLLER)
}

/// What is wrong with a Gateway as a whole.
fn fault(input: Input<'_>, gateway: &Gateway) -> Option<Fault> {
    let class = input.reader.gateway_class(&gateway.class_name);
    if class.is_some_and(|class| class.parameters.is_some()) {
        let message = "its GatewayClass is not accepted";
        return Some(Fault::new("Invalid", message));
    }
    if let Some(parameters) = &gateway.infrastructure.parameters {
        let message = format!(
            "spec.infrastructure.parametersRef names {} {}, and no parameters are read of any kind",
            parameters.kind, parameters.name
        );
        return Some(Fault::new("InvalidParameters", message));
    }
    let unknown = gateway.addresses.iter().find(|it| &*it.kind != "IPAddress");
    if let Some(unknown) = unknown {
        let message = format!(
            "an address of type {:?} is none that it can have: IPAddress is",
            unknown.kind
        );
        return Some(Fault::new("UnsupportedAddress", message));
    }
    let unserved = [
        (gateway.has_default_scope, "spec.defaultScope"),
        (
            gateway.addresses.iter().any(|it| it.has_routability),
            "spec.addresses[].routability",
        ),
        (gateway.allows_listener_sets, "spec.allowedListeners"),
    ];
    let (_, field) = unserved.into_iter().find(|(is_said, _)| *is_said)?;
    let message = format!("{field} is not served yet, and so nothing of this Gateway is");
    Some(Fault::new("Invalid", message))
}

/// The address, if it can be this Gateway's.
fn usable(input: Input<'_>, name: &NamespacedName, value: &str) -> Result<IpAddr, String> {
    let address: IpAddr = value
        .parse()
        .map_err(|_| format!("{value:?} is no address"))?;
    if !input.options.gateway.has(address) {
        return Err(format!(
            "{address} is none of the addresses of --gateway-addresses"
        ));
    }
    let others = input.reader.gateways_at(address).into_iter();
    let mut older = others.take_while(|other| other != name);
    let taken = older.find(|other| {
        let gateway = input.reader.gateway(other);
        gateway.is_some_and(|gateway| is_ours(input, gateway))
    });
    match taken {
        None => Ok(address),
        Some(other) => Err(format!(
            "{address} is that of Gateway {other}, which is older"
        )),
    }
}

fn client_certificate_fault(input: Input<'_>, gateway: &Gateway) -> Option<Fault> {
    let reference = gateway.client_certificate.as_ref()?;
    let namespace = &gateway.metadata.name.namespace;
    let found = certificates::secret(input, ("Gateway", namespace), reference);
    let fault = found.err()?;
    Some(match fault.reason {
        "RefNotPermitted" => fault,
        _ => Fault::new("InvalidClientCertificateRef", fault.message),
    })
}

/// The namespace of what a reference names, and whether it may.
pub fn permitted(
    input: Input<'_>,
    (kind, namespace): (&str, &Arc<str>),
    reference: &ObjectReference,
) -> Result<NamespacedName, Fault> {
    let target = reference.namespace.as_ref().unwrap_or(namespace);
    let to = (&*reference.kind, target, &*reference.name);
    if grants::permits(input, (kind, namespace), to) {
        return Ok(NamespacedName::new(target.clone(), reference.name.clone()));
    }
    let message = format!(
        "{} {target}/{} is of another namespace, which has no ReferenceGrant for it",
        reference.kind, reference.name
    );
    Err(Fault::new("RefNotPermitted", message))
}
