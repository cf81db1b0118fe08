//! What a Gateway comes to by itself: its addresses, and its listeners with what is wrong with each.
//!
//! Each Gateway has addresses of its own, and so never shares a port with another one: of two that name an address the one has it
//! that had it before, and else the older. An address that is given by the holder of the lease stands in the Gateway's status before anybody binds it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::{Claimable, Front};
use crate::objects::NamespacedName;
use crate::objects::gateway_api::{CONTROLLER, Gateway};
use crate::translate::Input;

use super::effective::{EffectiveListener, Transport};
use super::fault::Fault;
use super::frontend::has_insecure_fallback;
use super::listener;
use super::shown::shown;

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
    /// Whether clients are let in that nobody vouches for, at whatever port.
    pub has_insecure_fallback: bool,
    /// What is not as it says, and keeps nothing from being served.
    pub told: Option<Fault>,
}

impl EffectiveGateway {
    /// Reads a Gateway.
    pub fn of(input: Input<'_>, name: &NamespacedName) -> Self {
        let Some(gateway) = input.reader.gateway(name).filter(|it| is_ours(input, it)) else {
            return Self::default();
        };
        let (shown, client_certificate_fault) = shown(input, gateway);
        let mut made = Self {
            is_ours: true,
            fault: fault(input, gateway),
            listeners: listener::listeners(input, gateway, &shown),
            client_certificate_fault,
            has_insecure_fallback: has_insecure_fallback(gateway),
            told: told(gateway),
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
        let binds: BTreeSet<_> = accepted.map(|it| (it.port, it.transport())).collect();
        let mut claims = BTreeSet::new();
        for bind in binds {
            for address in &self.addresses {
                let name = listener::bind_name(*address, bind);
                let front = Front::Listener(name.clone());
                claims.insert(Claimable::Listener(name));
                claims.extend(self.naming(bind).map(|listener| {
                    let hostname = listener.hostname.clone();
                    Claimable::Host(front.clone(), hostname)
                }));
            }
        }
        claims
    }

    /// The listeners of a port and a transport, accepted or not.
    pub fn at(&self, bind: (u16, Transport)) -> impl Iterator<Item = &EffectiveListener> {
        let listeners = self.listeners.iter();
        listeners.filter(move |it| (it.port, it.transport()) == bind)
    }

    /// Those of them that have names there.
    pub fn naming(&self, bind: (u16, Transport)) -> impl Iterator<Item = &EffectiveListener> {
        self.at(bind).filter(|it| it.has_names())
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
    // Whoever has it keeps it: a running Gateway loses no connection to one that names its address later, however old that is.
    // But one has it no longer whose spec names others, and only its status still shows it.
    let has = |gateway: &NamespacedName| {
        let mut addresses = input.reader.gateway_addresses(gateway).iter();
        addresses.any(|(_, value)| value.parse() == Ok(address))
    };
    let named = input.reader.gateways_at(address).into_iter();
    let ours = named.filter(|other| {
        let gateway = input.reader.gateway(other);
        gateway.is_some_and(|gateway| is_ours(input, gateway) && may_have(gateway, address))
    });
    // Of two that are alike in this the first is the older.
    match ours.min_by_key(|gateway| !has(gateway)) {
        Some(other) if other != *name => Err(format!(
            "{address} is that of Gateway {other}, which {}",
            if has(&other) { "has it" } else { "is older" }
        )),
        _ => Ok(address),
    }
}

/// Whether a Gateway names the address, or wants one that it does not name.
fn may_have(gateway: &Gateway, address: IpAddr) -> bool {
    let mut named = gateway.addresses.iter().map(|it| &it.value);
    gateway.addresses.is_empty()
        || named.any(|value| value.is_empty() || value.parse() == Ok(address))
}

/// What of a Gateway has no effect here.
fn told(gateway: &Gateway) -> Option<Fault> {
    let infrastructure = &gateway.infrastructure;
    let is_said = !infrastructure.labels.is_empty() || !infrastructure.annotations.is_empty();
    is_said.then(|| {
        let message = "spec.infrastructure has labels or annotations, which nothing bears: no object is made for a Gateway";
        Fault::new("UnsupportedValue", message)
    })
}
