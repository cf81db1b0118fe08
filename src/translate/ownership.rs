//! Whose a host is.
//!
//! A claim is an object's naming of a host: a rule, a TLS entry, or for `*` a rule without a host or a default back end. With
//! [`HostOwnership::Namespace`] a host belongs to the namespace of its oldest claim; the claims of other namespaces lose all
//! of it, whatever they ask for, and both sides are told. A wildcard and an exact host below it are two hosts, and `*` is one
//! as well: what one owner has for them is never taken over by a host of another.
//!
//! It is one unit for every language: the store knows the claims of all of them, and a language asks with [`of`]. On one
//! front a host is served by one language, that of its oldest claim ([`super::languages`]); [`Claims::of`] has what of a host
//! is served where that is Ingress.

use std::sync::Arc;

use crate::facts::ServedIngress;
use crate::model::{Front, Host, VirtualHost};
use crate::objects::{Field, Kind, Problem};

use super::finding::more;
use super::{HostUnit, Input, reason};

/// Who may serve a host that several namespaces name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HostOwnership {
    /// All of them: their claims are merged.
    #[default]
    Shared,
    /// The namespace of the oldest claim.
    Namespace,
}

/// The claims of a host, each list oldest first.
#[derive(Debug)]
pub struct Claims<'a> {
    /// What is served.
    pub ingresses: Vec<ServedIngress<'a>>,
    /// What loses to the host's owner.
    lost: Vec<ServedIngress<'a>>,
    /// Who has it as another name of a host of its own, where nobody else names it in another language.
    pub otherwise: Vec<ServedIngress<'a>>,
}

impl<'a> Claims<'a> {
    /// The claims of a host, told apart by its owner.
    pub fn of(input: Input<'a>, host: &Host) -> Self {
        let claims = input.reader.ingresses_of(host);
        if input.reader.is_claimed_before_ingresses(host) {
            // Its language tells them.
            return Self {
                ingresses: Vec::new(),
                lost: Vec::new(),
                otherwise: Vec::new(),
            };
        }
        let owner = input.owner(host);
        let (mut ingresses, lost): (Vec<_>, Vec<_>) = claims.into_iter().partition(|ingress| {
            let namespace = &ingress.name().namespace;
            owner.as_ref().is_none_or(|owner| owner == namespace)
        });
        let has_other_name = |ingress: &&ServedIngress<'_>| ingress.has_other_name(host);
        let otherwise = ingresses.iter().filter(has_other_name).copied();
        let mut otherwise: Vec<_> = otherwise.collect();
        // Those that name it in no other way come last.
        let own = ingresses.partition_point(|ingress| !ingress.names_otherwise(host));
        ingresses.truncate(own);
        if !otherwise.is_empty() {
            let claimants = input.reader.claimants(&Front::Fleet, host);
            if claimants.iter().any(|it| it.kind != Kind::Ingress) {
                otherwise.clear();
            }
        }
        Self {
            ingresses,
            lost,
            otherwise,
        }
    }

    /// Who names a host under `tls` and may keep others out that have it as another name: an Ingress of the namespace of the first of
    /// these, or an older one.
    pub fn guards_other_name(&self, input: Input<'a>, host: &Host) -> Option<ServedIngress<'a>> {
        let first = self.ingresses.first()?;
        let other = self.otherwise.first()?;
        let claimants = input.reader.claimants(&Front::Fleet, host);
        let place = |of: &ServedIngress<'_>| claimants.iter().position(|it| it.name == *of.name());
        let is_older = place(first) < place(other);
        let is_near = first.name().namespace == other.name().namespace;
        (first.name() != other.name() && (is_near || is_older)).then_some(*first)
    }

    /// Tells every loser, naming the winner, and the winner once.
    pub fn report(&self, host: &Host, problems: &mut Vec<Problem>) {
        let mut winners = self.ingresses.iter().chain(&self.otherwise);
        let (Some(winner), Some(first)) = (winners.next(), self.lost.first()) else {
            return;
        };
        let named = named(host);
        let field = || Field::Host(host.shared());
        for loser in &self.lost {
            let message = format!(
                "{named} belongs to the namespace of Ingress {}, which named it first: nothing that this Ingress says of it is served",
                winner.name()
            );
            let source = loser.field(field());
            problems.push(Problem::new(source, reason::HOST_CONFLICT, message));
        }
        let message = format!(
            "{named} belongs to this namespace: nothing is served that Ingress {}{} of another namespace says of it",
            first.name(),
            more(self.lost.len() - 1)
        );
        let source = winner.field(field());
        problems.push(Problem::new(source, reason::HOST_CONFLICT, message));
    }
}

fn named(host: &Host) -> String {
    match host.is_any() {
        true => "host * (whatever nobody names)".to_owned(),
        false => format!("host {host}"),
    }
}

/// The namespace of the oldest claim.
pub fn of(input: Input<'_>, host: &Host) -> Option<Arc<str>> {
    let claimants = input.reader.claimants(&Front::Fleet, host);
    let oldest = claimants.into_iter().next()?;
    Some(oldest.name.namespace)
}

/// Keeps a host from the wildcards of other namespaces where its owner has nothing for it: in clear, or by TLS. Below a wildcard of its
/// owner's it is as that one says. For languages whose hosts leave one of the two to what is above; an Ingress's do not.
pub fn close(input: Input<'_>, host: &Host, unit: &mut HostUnit) {
    let Some(owner) = input.owner(host).filter(|_| !host.is_any()) else {
        return;
    };
    let mut above = host.wildcards_above().chain([Host::any()]);
    if above.find_map(|above| input.owner(&above)) == Some(owner) {
        return;
    }
    unit.http.get_or_insert_with(|| VirtualHost {
        host: host.clone(),
        routes: Vec::new(),
        client_check: None,
        filters: None,
    });
    unit.is_closed |= unit.https.is_none() && !unit.is_forwarded();
}

/// Whether what a host has may be taken over by another host: where hosts are shared always, else by its owner's hosts.
pub fn is_open_to(input: Input<'_>, host: &Host, other: &Host) -> bool {
    input.owner(host) == input.owner(other)
}
