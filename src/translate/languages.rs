//! All languages, and which of them says what a listener or a host is.
//!
//! What several claim is the oldest claimant's: its language makes all of it. Where that merges claims, as Ingress does, it does so
//! among its own, and with those of another language that it knows of, as HTTPProxy does with Ingress; the claims of all others
//! lose, and are told.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::facts::Store;
use crate::model::verdict::{Statuses, WantedStatus};
use crate::model::{Claimable, Front, Host, Listener};
use crate::objects::{Kind, Object, ObjectRef, Problem};

use super::challenges;
use super::condition::{self, Found};
use super::gateway_api::GatewayApiLanguage;
use super::httpproxy::HttpProxyLanguage;
use super::ingress::IngressLanguage;
use super::language::Language;
use super::stratum::Stratum;
use super::{HostUnit, Input, ListenerUnit, Prices, object, reason};

/// The languages that are spoken. No two have objects of one kind.
#[derive(Clone, Debug)]
pub struct Languages(Vec<&'static dyn Language>);

impl Default for Languages {
    fn default() -> Self {
        Self(vec![
            &IngressLanguage,
            &HttpProxyLanguage,
            &GatewayApiLanguage,
        ])
    }
}

impl Languages {
    /// One more.
    #[must_use]
    pub fn with(mut self, language: &'static dyn Language) -> Self {
        self.0.push(language);
        self
    }

    fn of(&self, kind: Kind) -> Option<&'static dyn Language> {
        let mut languages = self.0.iter();
        languages
            .find(|language| language.kinds().contains(&kind))
            .copied()
    }

    /// Whether a unit makes what objects of the kind claim.
    #[must_use]
    pub fn makes_claims(&self, kind: Kind) -> bool {
        self.of(kind).is_some_and(Language::makes_claims)
    }

    /// What an object claims.
    #[must_use]
    pub fn claims(&self, input: Input<'_>, object: &ObjectRef) -> BTreeSet<Claimable> {
        let stratum = Stratum::Claim;
        let language = self.of(object.kind);
        language.map_or_else(BTreeSet::new, |language| {
            language.claims(Input { stratum, ..input }, object)
        })
    }

    /// A listener that is claimed. Those that are built in are nobody's.
    #[must_use]
    pub fn listener(&self, input: Input<'_>, name: &Arc<str>) -> ListenerUnit {
        let claims = input.reader.claimants_of_listener(name);
        let Some((winner, language)) = self.winner(&claims) else {
            return ListenerUnit::default();
        };
        let mut unit = ListenerUnit::default();
        if let Some(why) = not_allowed(name) {
            let told = |claim: &ObjectRef| {
                Problem::new(claim.clone(), reason::LISTENER_NOT_ALLOWED, why.clone())
            };
            unit.problems.extend(claims.iter().map(told));
            return unit;
        }
        unit = language.listener(input, name, &claims);
        if unit.listener.as_ref().is_none_or(|it| it.name != *name) {
            unit.listener = None;
            unit.clusters.clear();
        }
        let named = format!("listener {name}");
        self.tell_losers(&claims, winner, &named, &mut unit.problems);
        unit
    }

    /// A host on a front. One that nobody claims any more comes out empty, as does one on a listener that is not there.
    #[must_use]
    pub fn host(&self, input: Input<'_>, front: &Front, host: &Host) -> HostUnit {
        let claims = input.reader.claimants(front, host);
        if let Front::Listener(name) = front
            && Listener::is_built_in(name)
        {
            let told = |claim: &ObjectRef| {
                let message = format!(
                    "listener {name} has the hosts of Ingresses, and no host {host} of its own"
                );
                Problem::new(claim.clone(), reason::LISTENER_NOT_ALLOWED, message)
            };
            return HostUnit {
                problems: claims.iter().map(told).collect(),
                ..HostUnit::default()
            };
        }
        if let Front::Listener(name) = front
            && input.reader.spoken(name).is_none()
        {
            return HostUnit::default();
        }
        let Some((winner, language)) = self.winner(&claims) else {
            return HostUnit::default();
        };
        let winner = winner.clone();
        let mut unit = language.host(input, front, host, &claims);
        drop_others(&mut unit, host, &winner);
        let served = self.add_challenges(input, (front, host), &claims, &winner, &mut unit);
        let named = format!("host {host}");
        let told: Vec<_> = match served.is_empty() {
            true => claims,
            false => claims
                .into_iter()
                .filter(|it| !served.contains(it))
                .collect(),
        };
        self.tell_losers(&told, &winner, &named, &mut unit.problems);
        unit
    }

    /// Adds the challenges that claims of other languages have for a host, as far as they are in its owner's namespace. Returns the
    /// objects of which nothing else is lost.
    fn add_challenges(
        &self,
        input: Input<'_>,
        (front, host): (&Front, &Host),
        claims: &[ObjectRef],
        winner: &ObjectRef,
        unit: &mut HostUnit,
    ) -> BTreeSet<ObjectRef> {
        let mut served = BTreeSet::new();
        let Some(owner) = claims.first().filter(|_| !host.is_any()) else {
            return served;
        };
        let is_made = |kind| {
            let language = self.of(winner.kind);
            language.is_some_and(|it| it.kinds().contains(&kind) || it.merges().contains(&kind))
        };
        for language in &self.0 {
            let losers = claims.iter().filter(|claim| {
                language.kinds().contains(&claim.kind)
                    && !is_made(claim.kind)
                    && claim.name.namespace == owner.name.namespace
            });
            let losers: Vec<ObjectRef> = losers.cloned().collect();
            if !losers.is_empty() {
                let losing = language.losing(input, front, host, &losers);
                served.extend(challenges::add(unit, host, owner, losing));
            }
        }
        served
    }

    fn winner<'a>(
        &self,
        claims: &'a [ObjectRef],
    ) -> Option<(&'a ObjectRef, &'static dyn Language)> {
        let oldest = claims.first()?;
        let language = self.of(oldest.kind)?;
        let merging = claims.iter().find_map(|claim| {
            let other = self.of(claim.kind)?;
            let merges = other.merges().contains(&oldest.kind);
            merges.then_some((claim, other))
        });
        Some(merging.unwrap_or((oldest, language)))
    }

    fn tell_losers(
        &self,
        claims: &[ObjectRef],
        winner: &ObjectRef,
        named: &str,
        problems: &mut Vec<Problem>,
    ) {
        let language = self.of(winner.kind);
        let own = language.map_or(&[][..], Language::kinds);
        let merged = language.map_or(&[][..], Language::merges);
        let is_own = |kind| own.contains(kind) || merged.contains(kind);
        for loser in claims.iter().filter(|claim| !is_own(&claim.kind)) {
            let message = format!(
                "{named} belongs to {winner}, which named it first: nothing that this object says of it is served"
            );
            problems.push(condition::host_conflict(loser, message));
        }
    }

    /// The problems of an object by itself: that it is wrong as a whole, or what its language says of it.
    #[must_use]
    pub fn object_problems(&self, input: Input<'_>, object: &ObjectRef) -> Vec<Problem> {
        if let Some(invalid) = input.reader.invalid(object) {
            let reason = reason::OBJECT_NOT_VALID;
            return vec![Problem::new(object.clone(), reason, invalid.reason.clone())];
        }
        match (self.of(object.kind), object.kind) {
            (Some(language), _) => language.problems(input, object),
            (None, Kind::Service) => object::of_service(input, object),
            (None, _) => Vec::new(),
        }
    }

    /// What the status of an object is to be, where that is for us to say.
    #[must_use]
    pub fn object_status(&self, input: Input<'_>, object: &ObjectRef) -> Option<Arc<WantedStatus>> {
        if input.reader.invalid(object).is_some() {
            return None;
        }
        self.of(object.kind)?.status(input, object).map(Arc::new)
    }

    /// An object without what is beyond its budget.
    #[must_use]
    pub fn within_budget(&self, object: Object, prices: Prices<'_>) -> Object {
        match self.of(object.reference().kind) {
            Some(language) => language.within_budget(object, prices),
            None => object,
        }
    }

    /// Enters into the verdicts what there is of an object, and what was found of it. Nothing is said of one in whose
    /// language nobody speaks.
    pub fn enter(
        &self,
        store: &Store,
        object: &ObjectRef,
        found: &Found<'_>,
        statuses: &mut Statuses,
    ) {
        let Some(language) = self.of(object.kind) else {
            return;
        };
        match object.kind {
            Kind::HttpProxy => condition::enter_http_proxy(store, object, found, statuses),
            Kind::ExtensionService => {
                condition::enter_extension_service(store, object, found, statuses);
            }
            kind if condition::has_gateway_status(kind) => {
                condition::enter_gateway_api(store, object, found, statuses);
            }
            _ => language.enter(store, object, statuses),
        }
    }

    /// Whether what units find of objects of the kind is a part of what is entered.
    #[must_use]
    pub const fn enters_what_is_found(&self, kind: Kind) -> bool {
        condition::has_conditions(kind)
    }
}

/// Why nobody may claim a listener of this name.
fn not_allowed(name: &str) -> Option<String> {
    if Listener::is_built_in(name) {
        return Some(format!("listener {name} is there whatever objects say"));
    }
    (!Listener::is_name(name)).then(|| {
        format!("{name:?} is no name of a listener: it has letters, digits, and -._/: only")
    })
}

/// Takes out routes of another host, and tells who brings them: they would stand in the place of that host's own.
fn drop_others(unit: &mut HostUnit, host: &Host, by: &ObjectRef) {
    let in_clear = unit.http.take_if(|http| http.host != *host);
    let by_tls = unit
        .https
        .take_if(|https| https.virtual_host.host != *host)
        .map(|https| https.virtual_host);
    if let Some(other) = in_clear.or(by_tls) {
        if unit.http.is_none() && unit.https.is_none() && !unit.is_forwarded() {
            unit.clusters.clear();
        }
        let message = format!(
            "what it says of host {host} came to routes of host {}, which are not served",
            other.host
        );
        let problem = Problem::new(by.clone(), reason::HOST_CONFLICT, message);
        unit.problems.push(problem);
    }
}
