//! To which listeners a route is attached, and for which names.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Claimable, Host};
use crate::objects::gateway_api::{GROUP, Hostnames, ParentReference, RouteHead, RouteNamespaces};
use crate::objects::{Kind, NamespacedName, ObjectRef};
use crate::translate::{Input, budget};

use super::effective::{BoundListener, EffectiveListener, Protocol};
use super::fault::Fault;
use super::hostname;
use super::place::{Place, Reach, claimed_listener};
use super::shown::Shown;

/// How many pairs of a listener and a hostname are looked at for one route: twice as many as an HTTPRoute can have by the schemas,
/// with 32 parents of 64 listeners each and 16 hostnames. A TLSRoute, which may have 1024 hostnames, comes to as many at the 64
/// listeners of one parent.
const MOST_PAIRS: usize = 1 << 16;

/// What a route's parents come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attachment {
    /// Those that are ours, as written.
    pub parents: Box<[ParentAttachment]>,
    /// How many hosts it is served for: those with many labels count as several ([`budget::depth`]). Each of them asks.
    pub hosts: u64,
}

/// What one parent comes to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParentAttachment {
    /// Its place among the route's.
    pub at: usize,
    /// Why the route is not attached there.
    pub fault: Option<Fault>,
    /// The listeners that it is attached to.
    pub listeners: Box<[AttachedTo]>,
}

/// A listener that a route is attached to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttachedTo {
    /// The Gateway.
    pub gateway: ObjectRef,
    /// The object that has the listener: the Gateway, or a ListenerSet of it.
    pub parent: ObjectRef,
    /// The listener's name there.
    pub listener: Arc<str>,
    /// The names of the places where it is served ([`Place`]); none where it is not.
    pub binds: Box<[Arc<str>]>,
    /// The names that both are for, sorted.
    pub hosts: Box<[Host]>,
    /// Whether no names are told apart there.
    pub is_opaque: bool,
    /// Whether TLS goes through there as it is, so that nothing can be said of how a back end is spoken to.
    pub passes_through: bool,
    /// What back ends are shown there.
    pub shown: Shown,
}

impl Attachment {
    /// Reads a route and its parents.
    pub fn of(input: Input<'_>, route: &ObjectRef) -> Self {
        let Some(head) = input.reader.route_head(route) else {
            return Self::default();
        };
        let mut left = Pairs(MOST_PAIRS);
        let parents = head.parents.iter().enumerate();
        let parents =
            parents.filter_map(|(at, parent)| attach(input, route, head, (at, parent), &mut left));
        let parents: Box<[ParentAttachment]> = parents.collect();
        let listeners = parents.iter().flat_map(|parent| &parent.listeners);
        let hosts = listeners.filter(|it| !it.binds.is_empty()).map(|it| {
            let hosts = it.hosts.iter().map(|host| budget::depth(host.as_str()));
            let binds = u64::try_from(it.binds.len()).unwrap_or(u64::MAX);
            binds.saturating_mul(hosts.sum())
        });
        Self {
            hosts: hosts.fold(0, u64::saturating_add),
            parents,
        }
    }

    /// What it claims: its names where it is served, and a place among the routes of each listener.
    pub fn claims(&self, input: Input<'_>) -> BTreeSet<Claimable> {
        let listeners = self.parents.iter().flat_map(|parent| &parent.listeners);
        let mut claims = BTreeSet::new();
        for listener in listeners {
            let (parent, name) = (listener.parent.clone(), listener.listener.clone());
            claims.insert(Claimable::Attached(parent, name));
            for bind in &listener.binds {
                let place = Place::parse(bind);
                let Some(front) = place.and_then(|it| it.front(&input.options.gateway.ports))
                else {
                    continue;
                };
                if listener.is_opaque {
                    claims.extend(claimed_listener(&front));
                    continue;
                }
                let hosts = listener.hosts.iter();
                claims.extend(hosts.map(|host| Claimable::Host(front.clone(), host.clone())));
            }
        }
        claims
    }

    /// The Gateways through which back ends are spoken to as policies say: not those where all of it goes through as it is.
    pub fn speaking(&self) -> BTreeSet<&ObjectRef> {
        let listeners = self.parents.iter().flat_map(|parent| &parent.listeners);
        let speaking = listeners.filter(|it| !it.passes_through);
        speaking.map(|it| &it.gateway).collect()
    }

    /// What its back ends are shown, wherever it is attached: its rules are read once for each. Of a route that is attached nowhere
    /// they are read all the same.
    pub fn shown(&self) -> BTreeSet<Shown> {
        let shown: BTreeSet<Shown> = self
            .parents
            .iter()
            .flat_map(ParentAttachment::shown)
            .collect();
        match shown.is_empty() {
            true => BTreeSet::from([Shown::default()]),
            false => shown,
        }
    }

    /// Whether it is attached to a listener at a place for all the names that a hostname stands for.
    pub fn serves(&self, bind: &str, listener: &BoundListener, host: &Host) -> bool {
        let listeners = self.parents.iter().flat_map(|parent| &parent.listeners);
        let mut of_listener = listeners.filter(|it| {
            it.parent == listener.parent
                && it.listener == listener.name
                && it.binds.iter().any(|name| **name == *bind)
        });
        let covering = hostname::covering(host);
        // They are sorted, and hosts may be many.
        of_listener.any(|it| {
            covering
                .iter()
                .any(|name| it.hosts.binary_search(name).is_ok())
        })
    }
}

impl ParentAttachment {
    /// What back ends are shown through this parent.
    pub fn shown(&self) -> impl Iterator<Item = Shown> {
        self.listeners.iter().map(|it| it.shown.clone())
    }
}

/// How many pairs of a listener and a hostname may still be looked at.
struct Pairs(usize);

impl Pairs {
    fn pay(&mut self, pairs: usize) -> Result<(), Fault> {
        self.0 = self.0.checked_sub(pairs).ok_or_else(|| {
            let message =
                format!("its hostnames at the listeners of its parents are more than {MOST_PAIRS}");
            Fault::new("UnsupportedValue", message)
        })?;
        Ok(())
    }
}

/// `None` where the parent is not ours.
fn attach(
    input: Input<'_>,
    route: &ObjectRef,
    head: &RouteHead,
    (at, parent): (usize, &ParentReference),
    left: &mut Pairs,
) -> Option<ParentAttachment> {
    let kind = match &*parent.kind {
        "Gateway" if &*parent.group == GROUP => Kind::Gateway,
        "ListenerSet" if &*parent.group == GROUP => Kind::ListenerSet,
        _ => return None,
    };
    let namespace = parent.namespace.as_ref().unwrap_or(&route.name.namespace);
    let name = ObjectRef {
        kind,
        name: NamespacedName::new(namespace.clone(), parent.name.clone()),
    };
    let found = input.parent(&name);
    let gateway = found.gateway.as_ref()?;
    let not_attached = |fault| ParentAttachment {
        at,
        fault: Some(fault),
        listeners: Box::default(),
    };
    let is_meant = |it: &&EffectiveListener| {
        let is_named = parent
            .section_name
            .as_ref()
            .is_none_or(|name| *name == it.name);
        is_named && parent.port.is_none_or(|port| port == it.port)
    };
    // Files have as many listeners and parents as they like.
    if let Err(fault) = left.pay(found.listeners.len()) {
        return Some(not_attached(fault));
    }
    let meant: Vec<_> = found.listeners.iter().filter(is_meant).collect();
    if meant.is_empty() {
        let message = match &found.fault {
            Some(fault) => format!("{name} has no listeners: {}", fault.message),
            None => format!("{name} has no such listener"),
        };
        return Some(not_attached(Fault::new("NoMatchingParent", message)));
    }
    let pairs = meant.len().saturating_mul(head.hostnames.len().max(1));
    if let Err(fault) = left.pay(pairs) {
        return Some(not_attached(fault));
    }
    let allows = |it: &&EffectiveListener| {
        it.kinds.contains(&route.kind) && allows_namespace(input, it, &route.name.namespace)
    };
    let allowing: Vec<_> = meant.into_iter().filter(allows).collect();
    if allowing.is_empty() {
        let message = format!(
            "no listener of {name} lets {}s of namespace {} attach",
            route.kind, route.name.namespace
        );
        return Some(not_attached(Fault::new("NotAllowedByListeners", message)));
    }
    let allowing = allowing.into_iter();
    let attached = allowing.filter_map(|listener| {
        let gateway = ObjectRef {
            kind: Kind::Gateway,
            name: gateway.clone(),
        };
        attached_to(gateway, &found.reach, listener, head)
    });
    let listeners: Box<[AttachedTo]> = attached.collect();
    if listeners.is_empty() {
        let message = format!("no listener of {name} has a hostname of the route");
        return Some(not_attached(Fault::new(
            "NoMatchingListenerHostname",
            message,
        )));
    }
    Some(ParentAttachment {
        at,
        fault: None,
        listeners,
    })
}

/// `None` where the two have no name in common.
fn attached_to(
    gateway: ObjectRef,
    reach: &Reach,
    listener: &EffectiveListener,
    head: &RouteHead,
) -> Option<AttachedTo> {
    let hosts = common_hosts(&listener.hostname, &head.hostnames);
    let places = match &listener.fault {
        None => reach.places(&gateway.name, (listener.port, listener.transport())),
        Some(_) => Vec::new(),
    };
    (!hosts.is_empty()).then(|| AttachedTo {
        gateway,
        parent: listener.parent.clone(),
        listener: listener.name.clone(),
        binds: places.iter().map(Place::name).collect(),
        hosts: hosts.into_iter().collect(),
        is_opaque: listener.protocol.is_some_and(Protocol::is_opaque),
        passes_through: listener.protocol == Some(Protocol::Passthrough),
        shown: listener.shown.clone(),
    })
}

fn allows_namespace(input: Input<'_>, listener: &EffectiveListener, namespace: &Arc<str>) -> bool {
    match &listener.namespaces {
        RouteNamespaces::All => true,
        RouteNamespaces::Same => listener.parent.name.namespace == *namespace,
        RouteNamespaces::Selector(selector) => {
            selector.takes(input.reader.namespace_labels(namespace))
        }
        RouteNamespaces::None => false,
    }
}

/// The names that a listener and a route are both for.
fn common_hosts(listener: &Host, hostnames: &Hostnames) -> BTreeSet<Host> {
    if hostnames.is_empty() {
        return BTreeSet::from([listener.clone()]);
    }
    let hostnames = hostnames.iter().map(|name| Host::new(name.clone()));
    hostnames
        .filter_map(|hostname| hostname::common(listener, &hostname))
        .collect()
}

/// The hostname of a route that is for a name: the narrowest.
pub fn hostname_for(head: &RouteHead, host: &Host) -> Option<Host> {
    if head.hostnames.is_empty() {
        return Some(Host::any());
    }
    let mut covering = hostname::covering(host).into_iter();
    covering.find(|hostname| head.hostnames.contains(hostname.as_str()))
}
