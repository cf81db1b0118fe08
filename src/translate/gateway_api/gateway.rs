//! What a Gateway comes to by itself: its addresses, and its listeners with what is wrong with each.
//!
//! A Gateway has addresses of its own, and then shares no port with another one: of two that name an address the one has it
//! that had it before, and else the older. An address that is given by the holder of the lease stands in the Gateway's status before anybody binds it.
//! One that asks for none, where there are none to be given, is reached as Ingresses are ([`super::fleet`]).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::model::Claimable;
use crate::objects::gateway_api::{CONTROLLER, Gateway, GatewayAddress, RouteNamespaces};
use crate::objects::{Kind, NamespacedName, ObjectRef};
use crate::translate::Input;

use super::conflicts;
use super::effective::{EffectiveListener, Transport};
use super::fault::Fault;
use super::frontend::{Frontends, has_insecure_fallback};
use super::listener::{OfGateway, listeners};
use super::place::{Reach, claimed_listener};
use super::ports::check_ports;
use super::service;
use super::shown::{Shown, shown};

/// What a Gateway comes to by itself. Nothing for one that is not ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EffectiveGateway {
    /// Whether its class is ours.
    pub is_ours: bool,
    /// What is wrong with it as a whole, so that nothing of it is served.
    pub fault: Option<Fault>,
    /// How it is reached.
    pub reach: Reach,
    /// Why it has not all addresses that it asks for.
    pub address_fault: Option<Fault>,
    /// The addresses of its own Service, where it has one: type and value.
    pub service_addresses: Box<[(Arc<str>, Arc<str>)]>,
    /// How many addresses it is still to be given.
    pub wanted_addresses: u32,
    /// Its listeners, as written; then those of the sets that may bring some, oldest set first.
    pub listeners: Box<[EffectiveListener]>,
    /// How many of them are its own.
    pub own: usize,
    /// The ListenerSets that name it.
    pub sets: BTreeMap<NamespacedName, EffectiveSet>,
    /// Where the listeners of each port and transport stand among them.
    pub binds: BTreeMap<(u16, Transport), Box<[usize]>>,
    /// What is wrong with the certificate that back ends are to be shown.
    pub client_certificate_fault: Option<Fault>,
    /// Whether clients are let in that nobody vouches for, at whatever port.
    pub has_insecure_fallback: bool,
}

/// What a ListenerSet comes to at its Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EffectiveSet {
    /// Why it may bring none.
    pub fault: Option<Fault>,
    /// Where its listeners stand among the Gateway's: the first, and how many.
    pub place: (usize, usize),
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
            client_certificate_fault,
            has_insecure_fallback: has_insecure_fallback(gateway),
            ..Self::default()
        };
        made.find_listeners(input, gateway, shown);
        if made.fault.is_none() {
            made.find_addresses(input, gateway);
        }
        if made.reach == Reach::Fleet {
            check_ports(input, &mut made.listeners);
        }
        made
    }

    /// Its own listeners, as written.
    pub fn own(&self) -> &[EffectiveListener] {
        self.listeners.get(..self.own).unwrap_or_default()
    }

    /// Those that a set brings, as written.
    pub fn of_set(&self, set: &EffectiveSet) -> &[EffectiveListener] {
        let (first, count) = set.place;
        let end = first.saturating_add(count);
        self.listeners.get(first..end).unwrap_or_default()
    }

    /// How many sets bring a listener that is served.
    pub fn attached_sets(&self) -> usize {
        let sets = self.sets.values();
        let attached = sets.filter(|set| {
            let mut listeners = self.of_set(set).iter();
            set.fault.is_none() && listeners.any(EffectiveListener::is_programmed)
        });
        attached.count()
    }

    /// The addresses and ports that it listens on, and the hostnames of its listeners there. On a port that others share a listener
    /// for every name has none by itself: those have the names that their routes say.
    pub fn claims(&self, input: Input<'_>, name: &NamespacedName) -> BTreeSet<Claimable> {
        let mut claims = BTreeSet::new();
        for bind in self.binds.keys().copied() {
            if !self.at(bind).any(|it| it.fault.is_none()) {
                continue;
            }
            for place in self.reach.places(name, bind) {
                let Some(front) = place.front(&input.options.gateway.ports) else {
                    continue;
                };
                let hostnames = self.naming(bind).map(|listener| &listener.hostname);
                let named = hostnames.filter(|hostname| !place.is_shared() || !hostname.is_any());
                claims.extend(named.map(|it| Claimable::Host(front.clone(), it.clone())));
                claims.extend(claimed_listener(&front));
            }
        }
        claims
    }

    /// The listeners of a port and a transport, accepted or not.
    pub fn at(&self, bind: (u16, Transport)) -> impl Iterator<Item = &EffectiveListener> {
        let places = self.binds.get(&bind).into_iter().flatten();
        places.filter_map(|at| self.listeners.get(*at))
    }

    /// Those of them that have names there.
    pub fn naming(&self, bind: (u16, Transport)) -> impl Iterator<Item = &EffectiveListener> {
        self.at(bind).filter(|it| it.has_names())
    }

    /// Whether everything of it that could be served is, at some address.
    pub fn is_programmed(&self) -> bool {
        self.fault.is_none()
            && self.reach.is_somewhere()
            && self.address_fault.is_none()
            && self.own().iter().any(EffectiveListener::is_programmed)
    }

    fn find_listeners(&mut self, input: Input<'_>, gateway: &Gateway, shown: Shown) {
        let name = &gateway.metadata.name;
        let of_gateway = OfGateway {
            frontends: Frontends::of(input, gateway),
            shown,
        };
        let parent = ObjectRef {
            kind: Kind::Gateway,
            name: name.clone(),
        };
        let mut all = listeners(input, &parent, &gateway.listeners, &of_gateway);
        self.own = all.len();
        for name in input.reader.listener_sets(name) {
            let fault = not_allowed(input, gateway, &name)
                .or_else(|| self.fault.as_ref().map(|_| parent_not_accepted(gateway)));
            let first = all.len();
            if fault.is_none()
                && let Some(set) = input.reader.listener_set(&name)
            {
                let parent = ObjectRef {
                    kind: Kind::ListenerSet,
                    name: name.clone(),
                };
                all.extend(listeners(input, &parent, &set.listeners, &of_gateway));
            }
            let place = (first, all.len() - first);
            self.sets.insert(name, EffectiveSet { fault, place });
        }
        conflicts::settle(&mut all);
        let mut binds: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (at, listener) in all.iter().enumerate() {
            let bind = (listener.port, listener.transport());
            binds.entry(bind).or_default().push(at);
        }
        let binds = binds.into_iter();
        self.binds = binds.map(|(bind, at)| (bind, at.into())).collect();
        self.listeners = all.into();
    }

    fn find_addresses(&mut self, input: Input<'_>, gateway: &Gateway) {
        let name = &gateway.metadata.name;
        if let Some(services) = &input.options.gateway.services {
            service::check_ports(&mut self.listeners);
            let found = service::find(input, services, gateway, self.binds.keys().copied());
            self.reach = found.reach;
            self.service_addresses = found.addresses;
            self.address_fault = found.fault;
            return;
        }
        let asks_for = |it: &GatewayAddress| !it.value.is_empty();
        if input.options.gateway.addresses.is_empty() && !gateway.addresses.iter().any(asks_for) {
            self.reach = Reach::Fleet;
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
        if !addresses.is_empty() {
            self.reach = Reach::Addresses(addresses.into());
        }
    }
}

/// Why a ListenerSet may bring no listeners to a Gateway.
fn not_allowed(input: Input<'_>, gateway: &Gateway, set: &NamespacedName) -> Option<Fault> {
    let is_allowed = match &gateway.allowed_listeners {
        RouteNamespaces::All => true,
        RouteNamespaces::Same => set.namespace == gateway.metadata.name.namespace,
        RouteNamespaces::Selector(selector) => {
            selector.takes(input.reader.namespace_labels(&set.namespace))
        }
        RouteNamespaces::None => false,
    };
    (!is_allowed).then(|| {
        let message = format!(
            "spec.allowedListeners of Gateway {} lets no ListenerSet of namespace {} attach",
            gateway.metadata.name, set.namespace
        );
        Fault::new("NotAllowed", message)
    })
}

fn parent_not_accepted(gateway: &Gateway) -> Fault {
    let message = format!("Gateway {} is not accepted", gateway.metadata.name);
    Fault::new("ParentNotAccepted", message)
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
    if input.options.gateway.addresses.is_empty() {
        return Err(format!(
            "no Gateway has an address of its own here: start Isobath with --gateway-addresses, or leave {address} out of spec.addresses to be reached as Ingresses are"
        ));
    }
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
