//! Listeners of one Gateway that can't stand beside each other on a port.
//!
//! Of the Gateway's own nobody wins. Of those that ListenerSets bring the first has the port and its hostname: the Gateway's before
//! those of sets, and of these those of older sets. Who comes too late has nothing there, not even its name. Each port is gone
//! through once, however many listeners it has.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::Host;
use crate::objects::Kind;

use super::effective::{EffectiveListener, Protocol, Transport};
use super::fault::Fault;
use super::hostname;

/// What can be spoken on one port besides each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Manner {
    /// TLS of whatever kind, told apart by name.
    ByName,
    Http,
    Tcp,
    Udp,
}

impl Manner {
    const fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Https | Protocol::Passthrough | Protocol::Tls => Self::ByName,
            Protocol::Http => Self::Http,
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::Udp,
        }
    }
}

/// Who was first on a port.
#[derive(Default)]
struct Port {
    /// The first listener of each manner.
    manners: BTreeMap<Manner, Arc<str>>,
    /// The first listener of each hostname, and the second.
    hostnames: BTreeMap<Host, (Arc<str>, Option<Arc<str>>)>,
}

impl Port {
    fn add(&mut self, manner: Manner, listener: &EffectiveListener) {
        let name = || listener.name.clone();
        self.manners.entry(manner).or_insert_with(name);
        match self.hostnames.entry(listener.hostname.clone()) {
            Entry::Vacant(place) => _ = place.insert((name(), None)),
            Entry::Occupied(mut place) => _ = place.get_mut().1.get_or_insert_with(name),
        }
    }

    /// The first listener of another manner.
    fn other_manner(&self, manner: Manner) -> Option<&Arc<str>> {
        let mut others = self.manners.iter();
        others
            .find(|(other, _)| **other != manner)
            .map(|(_, it)| it)
    }
}

/// Says of each listener what is in its way. Those of the Gateway itself come first, then those of its sets.
pub fn settle(listeners: &mut [EffectiveListener]) {
    let mut ports: BTreeMap<(u16, Transport), Vec<usize>> = BTreeMap::new();
    for (at, listener) in listeners.iter().enumerate() {
        let port = (listener.port, listener.transport());
        ports.entry(port).or_default().push(at);
    }
    for places in ports.into_values() {
        settle_port(listeners, &places);
        tell_overlaps(listeners, &places);
    }
}

fn settle_port(listeners: &mut [EffectiveListener], places: &[usize]) {
    let is_own = |it: &EffectiveListener| it.parent.kind == Kind::Gateway;
    let mut port = Port::default();
    for listener in places.iter().filter_map(|at| listeners.get(*at)) {
        if let Some(protocol) = listener.protocol.filter(|_| is_own(listener)) {
            port.add(Manner::of(protocol), listener);
        }
    }
    for at in places {
        let Some(listener) = listeners.get_mut(*at) else {
            continue;
        };
        let Some(manner) = listener.protocol.map(Manner::of) else {
            continue;
        };
        let is_own = is_own(listener);
        let Some(fault) = conflict(&port, manner, listener, is_own) else {
            if !is_own {
                port.add(manner, listener);
            }
            continue;
        };
        listener.is_late = !is_own;
        if listener.fault.is_none() {
            listener.is_conflicted = true;
            listener.fault = Some(fault);
        }
    }
}

fn conflict(
    port: &Port,
    manner: Manner,
    listener: &EffectiveListener,
    is_own: bool,
) -> Option<Fault> {
    let number = listener.port;
    let what = match is_own {
        true => "neither of the two is served",
        false => "it was there before",
    };
    if let Some(other) = port.other_manner(manner) {
        let message = format!("listener {other} speaks another protocol on port {number}: {what}");
        return Some(Fault::new("ProtocolConflict", message));
    }
    let (first, second) = port.hostnames.get(&listener.hostname)?;
    // One of the Gateway's own is among them itself.
    let other = match is_own && *first == listener.name {
        true => second.as_ref()?,
        false => first,
    };
    let message = format!("listener {other} has the same hostname on port {number}: {what}");
    Some(Fault::new("HostnameConflict", message))
}

/// Whether listeners by HTTPS are for names that others of them are for, too.
fn tell_overlaps(listeners: &mut [EffectiveListener], places: &[usize]) {
    let is_https = |it: &EffectiveListener| it.protocol == Some(Protocol::Https) && !it.is_late;
    let mut counts: BTreeMap<Host, usize> = BTreeMap::new();
    for listener in places.iter().filter_map(|at| listeners.get(*at)) {
        if is_https(listener) {
            *counts.entry(listener.hostname.clone()).or_default() += 1;
        }
    }
    let mut shared = BTreeSet::new();
    for (host, count) in &counts {
        let wider = hostname::covering(host).into_iter().skip(1);
        let wider: Vec<Host> = wider.filter(|it| counts.contains_key(it)).collect();
        if *count > 1 || !wider.is_empty() {
            shared.insert(host.clone());
        }
        shared.extend(wider);
    }
    for at in places {
        if let Some(listener) = listeners.get_mut(*at) {
            listener.overlaps = is_https(listener) && shared.contains(&listener.hostname);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::ObjectRef;
    use crate::objects::gateway_api::RouteNamespaces;
    use crate::translate::gateway_api::Shown;

    fn listener(parent: Kind, of: &str, name: &str) -> EffectiveListener {
        let mut words = of.split(' ');
        let mut word = || words.next().unwrap_or_default();
        let (protocol, port, hostname) = (word(), word(), word());
        EffectiveListener {
            parent: ObjectRef::new(parent, "ns", "of"),
            name: name.into(),
            port: port.parse().unwrap_or_default(),
            protocol: Protocol::new(protocol, false),
            hostname: Host::new(hostname),
            kinds: Box::default(),
            namespaces: RouteNamespaces::Same,
            certificates: Box::default(),
            clients: None,
            shown: Shown::default(),
            fault: None,
            is_conflicted: false,
            is_late: false,
            references_fault: None,
            overlaps: false,
        }
    }

    /// Of the Gateway's own and of those of sets, what is in the way of each, and whether it comes too late.
    #[test]
    fn the_first_has_the_port_and_the_name() {
        const NONE: Option<&str> = None;
        const HOST: Option<&str> = Some("HostnameConflict");
        const PROTOCOL: Option<&str> = Some("ProtocolConflict");
        for (own, sets) in [
            // Nobody wins among the Gateway's own.
            (
                vec![
                    ("HTTP 80 a", HOST),
                    ("HTTP 80 a", HOST),
                    ("HTTP 80 b", NONE),
                ],
                vec![("HTTP 80 a", HOST)],
            ),
            (
                vec![("HTTP 80 a", PROTOCOL), ("HTTPS 80 b", PROTOCOL)],
                vec![("HTTP 80 c", PROTOCOL)],
            ),
            (
                vec![("TCP 1 *", HOST), ("TCP 1 *", HOST), ("UDP 1 *", NONE)],
                vec![],
            ),
            (
                vec![
                    ("HTTPS 443 a", NONE),
                    ("TLS 443 b", NONE),
                    ("x 443 a", NONE),
                ],
                vec![("TLS 443 a", HOST)],
            ),
            // Of sets the first wins, and who loses is in nobody's way.
            (
                vec![],
                vec![
                    ("HTTP 80 a", NONE),
                    ("HTTP 80 a", HOST),
                    ("HTTPS 80 b", PROTOCOL),
                    ("HTTP 80 b", NONE),
                ],
            ),
            (
                vec![("HTTP 80 a", NONE)],
                vec![
                    ("TCP 80 *", PROTOCOL),
                    ("HTTP 80 *", NONE),
                    ("UDP 80 *", NONE),
                ],
            ),
        ] {
            let of = |kind, (at, (of, _)): (usize, &(&str, Option<&str>))| {
                listener(kind, of, &at.to_string())
            };
            let all = own.iter().enumerate().map(|it| of(Kind::Gateway, it));
            let brought = sets.iter().enumerate().map(|it| of(Kind::ListenerSet, it));
            let mut all: Vec<_> = all.chain(brought).collect();
            settle(&mut all);
            for (place, (listener, (of, expected))) in
                all.iter().zip(own.iter().chain(&sets)).enumerate()
            {
                let found = listener.fault.as_ref().map(|fault| fault.reason);
                assert_eq!(found, *expected, "{of} of {own:?} and {sets:?}");
                assert_eq!(listener.is_conflicted, expected.is_some(), "{of}");
                assert_eq!(
                    listener.is_late,
                    expected.is_some() && place >= own.len(),
                    "{of}"
                );
            }
        }
    }

    /// Names are shared between listeners by HTTPS of a port, however many labels are between them.
    #[test]
    fn overlaps_are_told_of_both() {
        let all = [
            "HTTPS 443 a.b.c",
            "HTTPS 443 *.c",
            "HTTPS 443 x.y",
            "HTTP 80 *.c",
            "HTTPS 444 *",
            "TLS 443 *",
        ];
        let all = all.map(|of| listener(Kind::Gateway, of, of));
        let mut all: Vec<_> = all.into();
        settle(&mut all);
        let overlaps: Vec<bool> = all.iter().map(|it| it.overlaps).collect();
        assert_eq!(overlaps, [true, true, false, false, false, false]);
    }
}
