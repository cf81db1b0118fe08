//! The conditions that objects are to have, to the letter of the specification. They carry no time.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::cut;
use crate::model::verdict::WantedStatus;
use crate::objects::gateway_api::{
    CONTROLLER, ConditionStatus, GROUP, Gateway, ListenerStatus, MOST_MESSAGE, NONE_PROGRAMMED,
    PROGRAMMED, ParentReference, ParentStatus, Status, StatusCondition,
};
use crate::objects::{Kind, NamespacedName, ObjectRef, Problem};
use crate::translate::{Input, budget, reason};

use super::ancestors::{Ancestor, ancestors};
use super::attachment::{Attachment, ParentAttachment};
use super::effective::{EffectiveListener, Protocol};
use super::fault::Fault;
use super::features::{FEATURES, is_served};
use super::fleet::{self, lost};
use super::gateway::EffectiveGateway;
use super::infrastructure::infrastructure;
use super::load_balancer::{has_load_balancer, is_foreign, leftovers};
use super::parent::EffectiveParent;
use super::place::Reach;
use super::shown::Shown;

/// The most addresses that the status of a Gateway has room for.
const MOST_ADDRESSES: usize = 16;

/// Conditions about one generation of an object.
struct Conditions {
    generation: i64,
    conditions: Vec<StatusCondition>,
}

impl Conditions {
    const fn of(generation: i64) -> Self {
        Self {
            generation,
            conditions: Vec::new(),
        }
    }

    fn set(&mut self, kind: &str, status: ConditionStatus, reason: &str, message: &str) {
        self.conditions.push(StatusCondition {
            kind: kind.into(),
            status,
            reason: reason.into(),
            message: cut(message, MOST_MESSAGE).into(),
            observed_generation: self.generation,
        });
    }

    /// One that holds unless something is wrong.
    fn holds(&mut self, kind: &str, fault: Option<&Fault>, message: &str) {
        match fault {
            None => self.set(kind, ConditionStatus::True, kind, message),
            Some(fault) => self.set(kind, ConditionStatus::False, fault.reason, &fault.message),
        }
    }

    fn sorted(mut self) -> Box<[StatusCondition]> {
        self.conditions.sort();
        self.conditions.into()
    }
}

/// The status of a GatewayClass; `None` for one of another controller.
pub fn of_class(input: Input<'_>, object: &ObjectRef) -> Option<WantedStatus> {
    let class = input.reader.gateway_class(&object.name.name)?;
    if &*class.controller != CONTROLLER {
        return None;
    }
    let mut conditions = Conditions::of(class.generation);
    let fault = class.parameters.as_ref().map(|it| {
        let message = format!(
            "spec.parametersRef names {} {}, and no parameters are read of any kind",
            it.kind, it.name
        );
        Fault::new("InvalidParameters", message)
    });
    conditions.holds("Accepted", fault.as_ref(), "Its Gateways are served");
    let served = FEATURES.into_iter();
    let served = served.filter(|name| is_served(name, &input.options.gateway));
    let features = served.map(Arc::from);
    Some(WantedStatus {
        status: Status {
            conditions: conditions.sorted(),
            features: features.collect(),
            ..Status::default()
        },
        ..WantedStatus::default()
    })
}

/// The status of a Gateway; `None` for one of another class.
pub fn of_gateway(input: Input<'_>, object: &ObjectRef) -> Option<WantedStatus> {
    let gateway = fleet::gateway(input, &object.name);
    let written = input.reader.gateway(&object.name)?;
    if !gateway.is_ours {
        return of_foreign(input, written, &gateway);
    }
    let generation = written.generation;
    let mut conditions = Conditions::of(generation);
    let (accepted, message) = match accepted(&gateway) {
        Ok((reason, message)) => {
            conditions.set("Accepted", ConditionStatus::True, reason, message);
            (true, "")
        }
        Err(fault) => {
            conditions.holds("Accepted", Some(&fault), "");
            (false, "it is not accepted")
        }
    };
    let programmed = match (accepted, &gateway.address_fault) {
        (false, _) => Some(Fault::new("Invalid", message)),
        (true, Some(fault)) => Some(fault.clone()),
        (true, None) => (!gateway.is_programmed()).then(|| Fault::new("Invalid", NONE_PROGRAMMED)),
    };
    conditions.holds("Programmed", programmed.as_ref(), PROGRAMMED);
    let unresolved = gateway
        .own()
        .iter()
        .find(|it| it.references_fault.is_some());
    let unresolved = gateway.client_certificate_fault.clone().or_else(|| {
        let message = format!("a reference of listener {} can't be used", unresolved?.name);
        Some(Fault::new("ListenersNotResolved", message))
    });
    conditions.holds(
        "ResolvedRefs",
        unresolved.as_ref(),
        "All references can be used",
    );
    if gateway.has_insecure_fallback {
        let message = "AllowInsecureFallback is set: HTTPS listeners of its ports, where they are served, let clients in that show no certificate, or one that nobody vouches for";
        let status = ConditionStatus::True;
        let kind = "InsecureFrontendValidationMode";
        conditions.set(kind, status, "ConfigurationChanged", message);
    }
    let at = Place {
        is_accepted: gateway.fault.is_none(),
        reach: &gateway.reach,
        generation,
    };
    let listeners = gateway.own().iter();
    let listeners = listeners.map(|it| of_listener(input, it, &at));
    let addresses = gateway.reach.addresses().iter();
    let addresses = addresses.map(|it| ("IPAddress".into(), it.to_string().into()));
    let addresses = addresses.chain(gateway.service_addresses.iter().cloned());
    // What is there of one that can't be served for now is kept as well.
    let keeps = accepted || has_load_balancer(input, written);
    let infrastructure = keeps.then(|| Arc::new(infrastructure(input, written, &gateway)));
    Some(WantedStatus {
        places: places(input, (&object.name, &gateway.reach), gateway.own()),
        status: Status {
            conditions: conditions.sorted(),
            addresses: addresses.take(MOST_ADDRESSES).collect(),
            listeners: listeners.collect(),
            attached_listener_sets: u32::try_from(gateway.attached_sets()).unwrap_or(u32::MAX),
            ..Status::default()
        },
        wanted_addresses: gateway.wanted_addresses,
        has_fleet_addresses: gateway.reach == Reach::Fleet,
        leftovers: leftovers(input, written),
        infrastructure,
        is_foreign: false,
    })
}

/// What is to be done about a Gateway that is not ours: where it is another controller's, to take away what is left of ours. Where its
/// class is gone, its Service stays and leads to the pods that are there: addresses of pods that have gone may be others' by now.
fn of_foreign(
    input: Input<'_>,
    gateway: &Gateway,
    made: &EffectiveGateway,
) -> Option<WantedStatus> {
    let is_foreign = is_foreign(input, gateway);
    let leftovers = leftovers(input, gateway);
    let keeps = !is_foreign && has_load_balancer(input, gateway);
    let infrastructure = keeps.then(|| Arc::new(infrastructure(input, gateway, made)));
    let is_news = infrastructure.is_some() || (is_foreign && !leftovers.is_empty());
    is_news.then(|| WantedStatus {
        leftovers,
        infrastructure,
        is_foreign: true,
        ..WantedStatus::default()
    })
}

/// The status of a ListenerSet; `None` for one whose Gateway is not ours.
pub fn of_listener_set(input: Input<'_>, object: &ObjectRef) -> Option<WantedStatus> {
    let parent = fleet::parent(input, object);
    parent.gateway.as_ref()?;
    let generation = input.reader.listener_set(&object.name)?.generation;
    let mut conditions = Conditions::of(generation);
    let (accepted, programmed) = match of_set(&parent) {
        Ok((reason, message)) if !parent.reach.is_somewhere() => {
            let fault = Fault::new("ParentNotProgrammed", "its Gateway has no address");
            (Ok((reason, message)), Some(fault))
        }
        Ok(accepted) => (Ok(accepted), None),
        Err(fault) => {
            let reason = match fault.reason {
                "ParentNotAccepted" => "ParentNotProgrammed",
                both => both,
            };
            let programmed = Fault::new(reason, fault.message.clone());
            (Err(fault), Some(programmed))
        }
    };
    match accepted {
        Ok((reason, message)) => {
            conditions.set("Accepted", ConditionStatus::True, reason, message);
        }
        Err(fault) => conditions.holds("Accepted", Some(&fault), ""),
    }
    conditions.holds("Programmed", programmed.as_ref(), PROGRAMMED);
    let at = Place {
        is_accepted: true,
        reach: &parent.reach,
        generation,
    };
    let listeners = parent.listeners.iter();
    let listeners = listeners.map(|it| of_listener(input, it, &at));
    let gateway = parent.gateway.as_ref()?;
    Some(WantedStatus {
        places: places(input, (gateway, &parent.reach), &parent.listeners),
        status: Status {
            conditions: conditions.sorted(),
            listeners: listeners.collect(),
            ..Status::default()
        },
        ..WantedStatus::default()
    })
}

/// Where listeners are, by the names that the model's have.
fn places(
    input: Input<'_>,
    (gateway, reach): (&NamespacedName, &Reach),
    listeners: &[EffectiveListener],
) -> Box<[(Arc<str>, usize)]> {
    let ports = &input.options.gateway.ports;
    let listeners = listeners.iter().enumerate();
    let served = listeners.filter(|(_, it)| it.is_programmed());
    let places = served.flat_map(|(at, it)| {
        let places = reach.places(gateway, (it.port, it.transport()));
        let names = places.into_iter().filter_map(|place| place.listener(ports));
        names.map(move |name| (name, at))
    });
    places.collect()
}

/// Whether a ListenerSet is accepted: one of its listeners has to be served.
fn of_set(parent: &EffectiveParent) -> Result<(&'static str, &'static str), Fault> {
    if let Some(fault) = &parent.fault {
        return Err(fault.clone());
    }
    let mut listeners = parent.listeners.iter();
    if listeners.all(EffectiveListener::is_programmed) {
        return Ok(("Accepted", "It is valid"));
    }
    let mut listeners = parent.listeners.iter();
    match listeners.any(EffectiveListener::is_programmed) {
        true => Ok((
            "ListenersNotValid",
            "Some of its listeners can't be served as they are",
        )),
        false => Err(Fault::new(
            "ListenersNotValid",
            "None of its listeners can be served as it is",
        )),
    }
}

/// That something holds, and what is not as the object says.
fn with(message: &str, told: Option<&Fault>) -> String {
    match told {
        None => message.to_owned(),
        Some(told) => format!("{message}; {}", told.message),
    }
}

/// Whether a Gateway is accepted, as its listeners are.
fn accepted(gateway: &EffectiveGateway) -> Result<(&'static str, &'static str), Fault> {
    if let Some(fault) = &gateway.fault {
        return Err(fault.clone());
    }
    let is_accepted = |listener: &EffectiveListener| listener.fault.is_none();
    if gateway.own().iter().all(is_accepted) {
        return Ok(("Accepted", "It is valid"));
    }
    match gateway.own().iter().any(is_accepted) {
        true => Ok((
            "ListenersNotValid",
            "Some of its listeners are not accepted",
        )),
        false => Err(Fault::new(
            "ListenersNotValid",
            "None of its listeners is accepted",
        )),
    }
}

/// Where a listener is told of.
struct Place<'a> {
    /// Whether whoever has it is accepted.
    is_accepted: bool,
    /// How its Gateway is reached.
    reach: &'a Reach,
    /// The generation of whoever has it.
    generation: i64,
}

fn of_listener(input: Input<'_>, listener: &EffectiveListener, at: &Place<'_>) -> ListenerStatus {
    let mut conditions = Conditions::of(at.generation);
    conditions.holds("Accepted", listener.fault.as_ref(), "It is valid");
    let programmed = if listener.is_late {
        listener.fault.clone()
    } else if !at.is_accepted || !listener.is_programmed() {
        Some(Fault::new("Invalid", "it can't be served as it is"))
    } else if !at.reach.is_somewhere() {
        Some(Fault::new("Pending", "its Gateway has no address"))
    } else if !at.reach.has((listener.port, listener.transport())) {
        let message = "the Service of its Gateway has no such port yet, or its node port is one of Envoy's own: then delete the Service";
        Some(Fault::new("Pending", message))
    } else {
        None
    };
    conditions.holds("Programmed", programmed.as_ref(), PROGRAMMED);
    let references = listener.references_fault.as_ref();
    conditions.holds("ResolvedRefs", references, "All references can be used");
    match (&listener.fault, listener.is_conflicted) {
        (Some(fault), true) => {
            let status = ConditionStatus::True;
            conditions.set("Conflicted", status, fault.reason, &fault.message);
        }
        _ => {
            let message = "No other listener is in its way";
            conditions.set("Conflicted", ConditionStatus::False, "NoConflicts", message);
        }
    }
    if listener.overlaps && listener.protocol == Some(Protocol::Https) {
        let message = "Another listener of the port is for some of its names: a request for one of those on a connection for another is answered 421";
        let status = ConditionStatus::True;
        conditions.set(
            "OverlappingTLSConfig",
            status,
            "OverlappingHostnames",
            message,
        );
    }
    let attached = input
        .reader
        .attached_routes(&listener.parent, &listener.name);
    let kinds = listener.kinds.iter();
    ListenerStatus {
        name: listener.name.clone(),
        kinds: kinds
            .map(|kind| (GROUP.into(), kind.name().into()))
            .collect(),
        attached_routes: u32::try_from(attached).unwrap_or(u32::MAX),
        conditions: conditions.sorted(),
    }
}

/// What keeps a route from being served, wherever it is attached.
pub fn route_fault(input: Input<'_>, object: &ObjectRef, attachment: &Attachment) -> Option<Fault> {
    let mut most = 0;
    for shown in attachment.shown() {
        let rules = input.route_rules(object, &shown);
        if let Some(fault) = &rules.unserved {
            return Some(fault.clone());
        }
        let services = rules.services.iter();
        let policed = services.filter(|service| input.reader.is_policed(service));
        let ways = attachment.speaking().len().saturating_mul(policed.count());
        let ways = budget::entries(ways);
        most = most.max(rules.at(attachment.hosts).saturating_add(ways));
    }
    (most > budget::BASE).then(|| {
        let message = format!(
            "its rules at all of its hostnames and listeners are not served: {}",
            budget::EXCEEDED
        );
        Fault::new("UnsupportedValue", message)
    })
}

/// The status of a route: an entry for each parent of ours.
pub fn of_route(input: Input<'_>, object: &ObjectRef) -> Option<WantedStatus> {
    let head = input.reader.route_head(object)?;
    let attachment = input.attachment(object);
    let own = route_fault(input, object, &attachment);
    let read = |shown: &Shown| input.route_rules(object, shown);
    let everywhere = attachment.shown();
    let parents = attachment.parents.iter().filter_map(|parent| {
        let here: BTreeSet<Shown> = parent.shown().collect();
        let mut rules: Vec<_> = here.iter().map(read).collect();
        if rules.is_empty() {
            // Where it is not attached it is nothing of another parent's that its references can't be used.
            rules.extend(everywhere.first().map(read));
        }
        let told = rules.iter().find_map(|it| it.told.as_ref());
        let references = rules.iter().find_map(|it| it.references_fault.as_ref());
        let mut conditions = Conditions::of(head.generation);
        let fault = parent.fault.as_ref().or(own.as_ref());
        let unserved = unserved(input, parent);
        let told = unserved.as_ref().or(told);
        conditions.holds("Accepted", fault, &with("It is attached", told));
        conditions.holds("ResolvedRefs", references, "All references can be used");
        Some(ParentStatus {
            parent: head.parents.get(parent.at)?.clone(),
            conditions: conditions.sorted(),
        })
    });
    // In an order of their own, as another controller may write them in any.
    let mut parents: Vec<_> = parents.collect();
    parents.sort();
    Some(WantedStatus {
        status: Status {
            parents: parents.into(),
            ..Status::default()
        },
        ..WantedStatus::default()
    })
}

/// That none of the listeners that a route is attached to through a parent is served. It is attached all the same.
fn unserved(input: Input<'_>, parent: &ParentAttachment) -> Option<Fault> {
    let first = parent.listeners.first()?;
    let brought = input.parent(&first.parent);
    let gateway = &first.gateway.name;
    let mut first = None;
    let names: BTreeSet<&Arc<str>> = parent.listeners.iter().map(|it| &it.listener).collect();
    for listener in brought
        .listeners
        .iter()
        .filter(|it| names.contains(&it.name))
    {
        let lost = || match brought.reach {
            Reach::Fleet => lost(input, gateway, listener),
            _ => None,
        };
        let fault = listener.fault.clone().or_else(lost)?;
        first.get_or_insert_with(|| {
            let message = format!(
                "none of its listeners is served: listener {}: {}",
                listener.name, fault.message
            );
            Fault::new(fault.reason, message)
        });
    }
    first
}

/// The status of a policy: an entry for each Gateway of ours with routes to a Service that it is about.
pub fn of_policy(input: Input<'_>, object: &ObjectRef) -> Option<WantedStatus> {
    let policy = input.reader.backend_tls_policy(&object.name)?;
    let made = input.backend_tls(&object.name);
    let ancestors = ancestors(input, policy);
    let parents = ancestors.iter().map(|Ancestor { gateway, fault }| {
        let mut conditions = Conditions::of(policy.generation);
        let fault = fault.as_ref().or(made.tls.as_ref().err());
        conditions.holds("Accepted", fault, "Its Services are spoken to by TLS");
        let references = made.references_fault.as_ref();
        conditions.holds("ResolvedRefs", references, "All references can be used");
        ParentStatus {
            parent: ParentReference {
                group: GROUP.into(),
                kind: gateway.kind.name().into(),
                namespace: Some(gateway.name.namespace.clone()),
                name: gateway.name.name.clone(),
                section_name: None,
                port: None,
            },
            conditions: conditions.sorted(),
        }
    });
    // In the order of their names already.
    Some(WantedStatus {
        status: Status {
            parents: parents.collect(),
            ..Status::default()
        },
        ..WantedStatus::default()
    })
}

/// What is wrong with an object, for its Events and the log.
pub fn problems(input: Input<'_>, object: &ObjectRef) -> Vec<Problem> {
    let faults: Vec<Fault> = match object.kind {
        Kind::Gateway => {
            let gateway = fleet::gateway(input, &object.name);
            let own = [
                &gateway.fault,
                &gateway.address_fault,
                &gateway.client_certificate_fault,
            ];
            let of_listeners = of_listeners(gateway.own());
            let own = own.into_iter().flatten().cloned();
            // That it waits for its address is no fault of its owner's.
            let is_told = |fault: &Fault| {
                gateway.wanted_addresses == 0 || fault.reason != "AddressNotAssigned"
            };
            own.filter(is_told).chain(of_listeners).collect()
        }
        Kind::ListenerSet => {
            let parent = fleet::parent(input, object);
            let own = parent.fault.iter().cloned();
            own.chain(of_listeners(&parent.listeners)).collect()
        }
        Kind::HttpRoute | Kind::GrpcRoute | Kind::TlsRoute | Kind::TcpRoute | Kind::UdpRoute => {
            let attachment = input.attachment(object);
            if attachment.parents.is_empty() {
                return Vec::new();
            }
            let parents = attachment.parents.iter().filter_map(|it| it.fault.clone());
            let own = route_fault(input, object, &attachment);
            let mut faults: Vec<Fault> = parents.chain(own).collect();
            for shown in attachment.shown() {
                let rules = input.route_rules(object, &shown);
                let others = [&rules.references_fault, &rules.told].into_iter().flatten();
                for fault in others {
                    // What is wrong whatever is shown is wrong once.
                    if !faults.contains(fault) {
                        faults.push(fault.clone());
                    }
                }
            }
            faults
        }
        Kind::BackendTlsPolicy => of_policy_alone(input, object),
        _ => Vec::new(),
    };
    let faults = faults.into_iter();
    faults
        .map(|fault| Problem::new(object.clone(), fault.reason, fault.message))
        .collect()
}

/// What is wrong with each of some listeners.
fn of_listeners(listeners: &[EffectiveListener]) -> impl Iterator<Item = Fault> {
    listeners.iter().flat_map(|it| {
        let faults = [&it.fault, &it.references_fault].into_iter().flatten();
        faults.map(|fault| {
            let message = format!("listener {}: {}", it.name, fault.message);
            Fault::new(fault.reason, message)
        })
    })
}

/// What is wrong with a policy. Of one that nobody reads nothing is told but that it is wrong as a whole.
fn of_policy_alone(input: Input<'_>, object: &ObjectRef) -> Vec<Fault> {
    let Some(policy) = input.reader.backend_tls_policy(&object.name) else {
        return Vec::new();
    };
    if let Err(why) = &policy.validation {
        return vec![Fault::new(reason::OBJECT_NOT_VALID, &**why)];
    }
    let ancestors = ancestors(input, policy);
    if ancestors.is_empty() {
        return Vec::new();
    }
    let made = input.backend_tls(&object.name);
    let fault = ancestors.into_iter().find_map(|it| it.fault);
    let own = made.tls.as_ref().err().into_iter();
    let own = own.chain(&made.references_fault).cloned();
    fault.into_iter().chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message that the schema does not take is cut before anybody asks whether it is to be written: else it never settles.
    #[test]
    fn a_message_is_as_long_as_the_schema_lets_it_be() {
        for (length, expected) in [(8, 8), (MOST_MESSAGE, MOST_MESSAGE), (99_999, MOST_MESSAGE)] {
            let mut conditions = Conditions::of(1);
            let fault = Fault::new("Invalid", "x".repeat(length));
            conditions.holds("Accepted", Some(&fault), "");
            let lengths: Vec<usize> = conditions
                .sorted()
                .iter()
                .map(|it| it.message.len())
                .collect();
            assert_eq!(lengths, [expected]);
        }
    }
}
