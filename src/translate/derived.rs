//! What several units of one build read, found once: the lower strata.
//!
//! A thousand hosts ask the same Ingress, Service or wildcard, and none of them walks through it again. What they are told
//! is a unit of its own, with a key and with what it has read: its readers are made again when it comes to something
//! else, and not when a fact differs that it read. It reads facts and the strata below its own, so that one pass from low
//! to high is enough and no circle can be written.
//!
//! Values live as long as the store does not change ([`Memo`]); of a value that is no longer there its hash is kept.

use std::hash::Hash;
use std::sync::Arc;

use crate::facts::{Dialect, FactId, Log};
use crate::model::Host;
use crate::objects::{NamespacedName, ObjectRef};

use super::above::{OnHttp, Source};
use super::budget::Account;
use super::certificate::Choice;
use super::gateway_api::{
    self, Attachment, BackendTls, Bind, BoundListener, EffectiveGateway, EffectiveParent, Fault,
    Holder, Policies, RouteRules, SharedHost, SharedListener, Shown,
};
use super::once::{Once, Value};
use super::ownership::{self, HostOwnership};
use super::reading::Reading;
use super::service_policy::Ports;
use super::stratum::Stratum;
use super::{Input, above, endpoints, nginx};

/// What is derived from facts for several units, by its key. In the order of the strata.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Derived {
    /// Whether a port of a Service has an endpoint.
    HasEndpoints(NamespacedName, u16),
    /// What ingress-nginx's own ConfigMap of this name says.
    NginxSettings(NamespacedName),
    /// What an Ingress comes to, and may come to.
    Account(NamespacedName),
    /// What all hosts of a long Ingress read of it.
    Reading(NamespacedName),
    /// Whether each host that an Ingress names under `tls` only can have its rules without a host.
    AffordsHostless(NamespacedName),
    /// Which BackendTLSPolicy holds for each of the ports of a Service that one is about.
    Policies(NamespacedName),
    /// What a BackendTLSPolicy comes to by itself.
    BackendTls(NamespacedName),
    /// Which BackendTLSPolicy holds for a port of a Service by its name, or for `None` for all of them.
    Policy(NamespacedName, Option<Arc<str>>),
    /// What a Gateway comes to by itself.
    Gateway(NamespacedName),
    /// The rules of a route of the Gateway API, for Gateways that show this to back ends.
    RouteRules(ObjectRef, Shown),
    /// The listeners that a Gateway or a ListenerSet brings.
    Parent(ObjectRef),
    /// What is at an address and port, by the name of the listener.
    Bind(Arc<str>),
    /// To which listeners a route of the Gateway API is attached.
    Attachment(ObjectRef),
    /// The hostnames of what is at an address and port.
    Hostnames(Arc<str>),
    /// What is there for one of these.
    ListenerAt(Arc<str>, Host),
    /// Which of these a host there belongs to.
    HostnameOf(Arc<str>, Host),
    /// Which Gateway says what is spoken at a port of the fleet where no Ingress is, by the name of the listener there.
    PortOwner(Arc<str>),
    /// The namespace that a host belongs to.
    Owner(Host),
    /// Whose a host is at a port of the fleet.
    Holder(SharedHost),
    /// What is in the way of a listener at a port of the fleet.
    Conflict(SharedListener),
    /// Whether a host that begins with `*` is there on plain HTTP.
    OnHttp(Host),
    /// The certificates of a wildcard, which the hosts below it may have.
    Choice(Host),
    /// The routes that hosts take over from one that begins with `*`.
    Source(Host),
    /// Whether each of these hosts of an Ingress can have a copy of the routes of a host that begins with `*`.
    Affords(NamespacedName, Host),
}

impl Derived {
    /// Whether it stands below what objects claim, so that this may read it.
    #[must_use]
    pub fn is_below_claims(&self) -> bool {
        self.stratum() < Stratum::Claim
    }

    /// Where it stands.
    #[must_use]
    pub const fn stratum(&self) -> Stratum {
        match self {
            Self::NginxSettings(_) => Stratum::Operator,
            Self::HasEndpoints(..) | Self::Account(_) | Self::Reading(_) => Stratum::Ingress,
            Self::AffordsHostless(_) => Stratum::Allowed,
            Self::Policies(_) | Self::BackendTls(_) => Stratum::Police,
            Self::Policy(..) => Stratum::Hold,
            Self::Gateway(_) | Self::RouteRules(..) => Stratum::Listen,
            Self::Parent(_) => Stratum::Bring,
            Self::Bind(_) | Self::Attachment(_) => Stratum::Attach,
            Self::Hostnames(_) | Self::ListenerAt(..) => Stratum::Port,
            Self::HostnameOf(..) | Self::PortOwner(_) | Self::Owner(_) => Stratum::Own,
            Self::Holder(_) => Stratum::Possess,
            Self::Conflict(_) | Self::OnHttp(_) | Self::Choice(_) | Self::Source(_) => {
                Stratum::Offer
            }
            Self::Affords(..) => Stratum::Taker,
        }
    }

    /// The fact that stands for its value.
    #[must_use]
    pub fn fact(&self) -> FactId {
        FactId::of(&("derived", self))
    }

    /// Makes it where it is not made yet. To be asked for all that read a fact that differs, from low to high.
    #[must_use]
    pub fn value(&self, input: Input<'_>) -> FactId {
        let memo = input.memo;
        match self {
            Self::HasEndpoints(service, port) => {
                input.has_endpoints(service, *port);
                memo.has_endpoints.hash(&(service.clone(), *port))
            }
            Self::NginxSettings(name) => {
                let _ = input.nginx_settings();
                memo.nginx_settings.hash(name)
            }
            Self::Account(name) => {
                let _ = input.account(name);
                memo.accounts.hash(name)
            }
            Self::Reading(name) => {
                let _ = input.reading(name);
                memo.readings.hash(name)
            }
            Self::AffordsHostless(name) => {
                input.affords_hostless(name);
                memo.affords_hostless.hash(name)
            }
            Self::HostnameOf(name, host) => {
                let _ = input.hostname_of(name, host);
                memo.hostnames_of.hash(&(name.clone(), host.clone()))
            }
            Self::Owner(host) => {
                let _ = input.owner(host);
                memo.owners.hash(host)
            }
            Self::OnHttp(host) => {
                input.on_http(host);
                memo.on_http.hash(host)
            }
            Self::Choice(host) => {
                let _ = input.choice(host);
                memo.choices.hash(host)
            }
            Self::Source(host) => {
                let _ = input.source(host);
                memo.sources.hash(host)
            }
            Self::Affords(name, host) => {
                input.affords(name, host);
                memo.affords.hash(&(name.clone(), host.clone()))
            }
            Self::Policies(_)
            | Self::BackendTls(_)
            | Self::Policy(..)
            | Self::Gateway(_)
            | Self::RouteRules(..)
            | Self::Parent(_)
            | Self::Bind(_)
            | Self::Attachment(_)
            | Self::Hostnames(_)
            | Self::ListenerAt(..)
            | Self::PortOwner(_)
            | Self::Holder(_)
            | Self::Conflict(_) => self.value_of_gateway_api(input),
        }
    }

    /// The same of what is made for the Gateway API alone.
    fn value_of_gateway_api(&self, input: Input<'_>) -> FactId {
        let memo = input.memo;
        match self {
            Self::Policies(service) => {
                let _ = input.policies(service);
                memo.policies.hash(service)
            }
            Self::BackendTls(policy) => {
                let _ = input.backend_tls(policy);
                memo.backend_tls.hash(policy)
            }
            Self::Policy(service, port) => {
                let _ = input.policy(service, port.as_ref());
                memo.policy.hash(&(service.clone(), port.clone()))
            }
            Self::Gateway(name) => {
                let _ = input.gateway(name);
                memo.gateways.hash(name)
            }
            Self::RouteRules(route, shown) => {
                let _ = input.route_rules(route, shown);
                memo.route_rules.hash(&(route.clone(), shown.clone()))
            }
            Self::Parent(parent) => {
                let _ = input.parent(parent);
                memo.parents.hash(parent)
            }
            Self::Bind(name) => {
                let _ = input.bind(name);
                memo.binds.hash(name)
            }
            Self::Attachment(route) => {
                let _ = input.attachment(route);
                memo.attachments.hash(route)
            }
            Self::Hostnames(name) => {
                let _ = input.hostnames(name);
                memo.hostnames.hash(name)
            }
            Self::ListenerAt(name, hostname) => {
                let _ = input.listener_at(name, hostname);
                memo.listeners_at.hash(&(name.clone(), hostname.clone()))
            }
            Self::PortOwner(listener) => {
                let _ = input.port_owner(listener);
                memo.port_owners.hash(listener)
            }
            Self::Holder(host) => {
                let _ = input.holder(host);
                memo.holders.hash(host)
            }
            Self::Conflict(listener) => {
                let _ = input.conflict(listener);
                memo.conflicts.hash(listener)
            }
            Self::HasEndpoints(..)
            | Self::NginxSettings(_)
            | Self::Account(_)
            | Self::Reading(_)
            | Self::AffordsHostless(_)
            | Self::HostnameOf(..)
            | Self::Owner(_)
            | Self::OnHttp(_)
            | Self::Choice(_)
            | Self::Source(_)
            | Self::Affords(..) => FactId::of(&()),
        }
    }
}

/// The values of one build. Units on several threads share it.
#[derive(Debug, Default)]
pub struct Memo {
    has_endpoints: Once<(NamespacedName, u16), bool>,
    nginx_settings: Once<NamespacedName, nginx::Settings>,
    accounts: Once<NamespacedName, Account>,
    readings: Once<NamespacedName, Reading>,
    affords_hostless: Once<NamespacedName, bool>,
    policies: Once<NamespacedName, Policies>,
    backend_tls: Once<NamespacedName, BackendTls>,
    policy: Once<(NamespacedName, Option<Arc<str>>), Option<NamespacedName>>,
    gateways: Once<NamespacedName, EffectiveGateway>,
    route_rules: Once<(ObjectRef, Shown), RouteRules>,
    parents: Once<ObjectRef, EffectiveParent>,
    binds: Once<Arc<str>, Bind>,
    attachments: Once<ObjectRef, Attachment>,
    hostnames: Once<Arc<str>, Box<[Host]>>,
    listeners_at: Once<(Arc<str>, Host), Option<BoundListener>>,
    hostnames_of: Once<(Arc<str>, Host), Option<Host>>,
    port_owners: Once<Arc<str>, Option<NamespacedName>>,
    owners: Once<Host, Option<Arc<str>>>,
    holders: Once<SharedHost, Holder>,
    conflicts: Once<SharedListener, Option<Fault>>,
    on_http: Once<Host, OnHttp>,
    choices: Once<Host, Option<Choice>>,
    sources: Once<Host, Source>,
    affords: Once<(NamespacedName, Host), bool>,
    /// The ports of a long Service: no unit, for it is found in one fact and read by whoever reads that.
    pub(super) ports: Once<NamespacedName, Ports>,
}

/// What was derived, what it came to, and what it has read.
pub type Made = (Derived, FactId, Box<[FactId]>);

impl Memo {
    /// All that was derived.
    #[must_use]
    pub fn into_made(self) -> Vec<Made> {
        let mut made = Vec::new();
        self.has_endpoints.collect(&mut made, |(service, port)| {
            Derived::HasEndpoints(service, port)
        });
        self.nginx_settings
            .collect(&mut made, Derived::NginxSettings);
        self.accounts.collect(&mut made, Derived::Account);
        self.readings.collect(&mut made, Derived::Reading);
        self.affords_hostless
            .collect(&mut made, Derived::AffordsHostless);
        self.policies.collect(&mut made, Derived::Policies);
        self.backend_tls.collect(&mut made, Derived::BackendTls);
        self.policy
            .collect(&mut made, |(service, port)| Derived::Policy(service, port));
        self.gateways.collect(&mut made, Derived::Gateway);
        self.route_rules.collect(&mut made, |(route, shown)| {
            Derived::RouteRules(route, shown)
        });
        self.parents.collect(&mut made, Derived::Parent);
        self.binds.collect(&mut made, Derived::Bind);
        self.attachments.collect(&mut made, Derived::Attachment);
        self.hostnames.collect(&mut made, Derived::Hostnames);
        self.listeners_at
            .collect(&mut made, |(name, host)| Derived::ListenerAt(name, host));
        self.hostnames_of
            .collect(&mut made, |(name, host)| Derived::HostnameOf(name, host));
        self.port_owners.collect(&mut made, Derived::PortOwner);
        self.owners.collect(&mut made, Derived::Owner);
        self.holders.collect(&mut made, Derived::Holder);
        self.conflicts.collect(&mut made, Derived::Conflict);
        self.on_http.collect(&mut made, Derived::OnHttp);
        self.choices.collect(&mut made, Derived::Choice);
        self.sources.collect(&mut made, Derived::Source);
        self.affords
            .collect(&mut made, |(name, host)| Derived::Affords(name, host));
        made
    }
}

impl<'a> Input<'a> {
    /// Whether a port of a Service has an endpoint: of more of them, or other ones, whoever asks hears nothing.
    pub(super) fn has_endpoints(self, service: &NamespacedName, port: u16) -> bool {
        let key = (service.clone(), port);
        let derived = |(service, port)| Derived::HasEndpoints(service, port);
        *self.derive(&self.memo.has_endpoints, &key, derived, |input| {
            endpoints::has_some(input, service, port)
        })
    }

    /// What ingress-nginx's own ConfigMap says, where one is read.
    pub(super) fn nginx_settings(self) -> Arc<nginx::Settings> {
        let Some(name) = &self.options.nginx_configmap else {
            return nginx::Settings::usual();
        };
        let values = &self.memo.nginx_settings;
        self.derive(values, name, Derived::NginxSettings, |input| {
            let map = input.reader.config_map(name);
            nginx::Settings::of(name, map.map(|map| &**map))
        })
    }

    /// The same for an Ingress of this dialect.
    pub(super) fn settings_of(self, dialect: Dialect) -> Arc<nginx::Settings> {
        match dialect {
            Dialect::Own => nginx::Settings::usual(),
            Dialect::IngressNginx => self.nginx_settings(),
        }
    }

    /// What an Ingress comes to; nothing where it is not served.
    pub(super) fn account(self, name: &NamespacedName) -> Arc<Account> {
        self.derive(&self.memo.accounts, name, Derived::Account, |input| {
            let ingress = input.reader.served_ingress(name);
            ingress.map_or_else(Account::default, |ingress| {
                let settings = input.settings_of(ingress.dialect());
                let compat = input.options.nginx_compat;
                Account::of(ingress.whole(), ingress.dialect(), &settings, compat)
            })
        })
    }

    /// What the hosts of a long Ingress read of it.
    pub(super) fn reading(self, name: &NamespacedName) -> Arc<Reading> {
        self.derive(&self.memo.readings, name, Derived::Reading, |input| {
            let ingress = input.reader.named_ingress(name);
            ingress.map_or_else(Reading::default, |ingress| Reading::new(input, ingress).0)
        })
    }

    pub(super) fn affords_hostless(self, name: &NamespacedName) -> bool {
        *self.derive(
            &self.memo.affords_hostless,
            name,
            Derived::AffordsHostless,
            |input| input.account(name).affords_hostless(),
        )
    }

    /// Which BackendTLSPolicy holds for each of the ports of a Service that one is about.
    fn policies(self, service: &NamespacedName) -> Arc<Policies> {
        self.derive(&self.memo.policies, service, Derived::Policies, |input| {
            Policies::of(input, service)
        })
    }

    /// What a BackendTLSPolicy comes to by itself.
    pub(super) fn backend_tls(self, policy: &NamespacedName) -> Arc<BackendTls> {
        self.derive(
            &self.memo.backend_tls,
            policy,
            Derived::BackendTls,
            |input| BackendTls::of(input, policy),
        )
    }

    /// Which BackendTLSPolicy holds for a port of a Service by its name, or for `None` for all of them. That it does for one of
    /// them is nothing to the others.
    pub(super) fn policy(
        self,
        service: &NamespacedName,
        port: Option<&Arc<str>>,
    ) -> Arc<Option<NamespacedName>> {
        let key = (service.clone(), port.cloned());
        let derived = |(service, port)| Derived::Policy(service, port);
        self.derive(&self.memo.policy, &key, derived, |input| {
            input.policies(service).get(port).cloned()
        })
    }

    /// What a Gateway comes to by itself; nothing for one that is not ours.
    pub(super) fn gateway(self, name: &NamespacedName) -> Arc<EffectiveGateway> {
        self.derive(&self.memo.gateways, name, Derived::Gateway, |input| {
            EffectiveGateway::of(input, name)
        })
    }

    /// The rules of a route of the Gateway API, for Gateways that show this to back ends.
    pub(super) fn route_rules(self, route: &ObjectRef, shown: &Shown) -> Arc<RouteRules> {
        let key = (route.clone(), shown.clone());
        let derived = |(route, shown)| Derived::RouteRules(route, shown);
        self.derive(&self.memo.route_rules, &key, derived, |input| {
            RouteRules::of(input, route, shown)
        })
    }

    /// The listeners that a Gateway or a ListenerSet brings.
    pub(super) fn parent(self, parent: &ObjectRef) -> Arc<EffectiveParent> {
        self.derive(&self.memo.parents, parent, Derived::Parent, |input| {
            EffectiveParent::of(input, parent)
        })
    }

    /// What is at an address and port.
    pub(super) fn bind(self, name: &Arc<str>) -> Arc<Bind> {
        self.derive(&self.memo.binds, name, Derived::Bind, |input| {
            Bind::of(input, name)
        })
    }

    /// The hostnames of what is at an address and port, from the narrowest to the widest.
    fn hostnames(self, name: &Arc<str>) -> Arc<Box<[Host]>> {
        self.derive(&self.memo.hostnames, name, Derived::Hostnames, |input| {
            input.bind(name).hostnames()
        })
    }

    /// What is at an address and port for a hostname. A listener that changes is nothing to the hosts of the others.
    pub(super) fn listener_at(
        self,
        name: &Arc<str>,
        hostname: &Host,
    ) -> Arc<Option<BoundListener>> {
        let key = (name.clone(), hostname.clone());
        let derived = |(name, hostname)| Derived::ListenerAt(name, hostname);
        self.derive(&self.memo.listeners_at, &key, derived, |input| {
            input.bind(name).listener(hostname).cloned()
        })
    }

    /// The hostname at an address and port that a host belongs to: the narrowest that covers it.
    pub(super) fn hostname_of(self, name: &Arc<str>, host: &Host) -> Arc<Option<Host>> {
        let key = (name.clone(), host.clone());
        let derived = |(name, host)| Derived::HostnameOf(name, host);
        self.derive(&self.memo.hostnames_of, &key, derived, |input| {
            let hostnames = input.hostnames(name);
            let mut hostnames = hostnames.iter();
            let own = hostnames.find(|hostname| gateway_api::covers(hostname, host));
            own.cloned()
        })
    }

    /// To which listeners a route of the Gateway API is attached.
    pub(super) fn attachment(self, route: &ObjectRef) -> Arc<Attachment> {
        self.derive(
            &self.memo.attachments,
            route,
            Derived::Attachment,
            |input| Attachment::of(input, route),
        )
    }

    /// Which Gateway says what is spoken at a port of the fleet where no Ingress is.
    pub(super) fn port_owner(self, listener: &Arc<str>) -> Arc<Option<NamespacedName>> {
        self.derive(
            &self.memo.port_owners,
            listener,
            Derived::PortOwner,
            |input| gateway_api::port_owner(input, listener),
        )
    }

    /// Whose a host is at a port of the fleet.
    pub(super) fn holder(self, host: &SharedHost) -> Arc<Holder> {
        self.derive(&self.memo.holders, host, Derived::Holder, |input| {
            host.holder(input)
        })
    }

    /// What is in the way of a listener at a port of the fleet.
    pub(super) fn conflict(self, listener: &SharedListener) -> Arc<Option<Fault>> {
        self.derive(&self.memo.conflicts, listener, Derived::Conflict, |input| {
            listener.conflict(input)
        })
    }

    /// The namespace that a host belongs to; none where nobody names it, and where hosts are shared.
    pub(super) fn owner(self, host: &Host) -> Option<Arc<str>> {
        if self.options.host_ownership == HostOwnership::Shared {
            return None;
        }
        let owner = self.derive(&self.memo.owners, host, Derived::Owner, |input| {
            ownership::of(input, host)
        });
        owner.as_ref().clone()
    }

    pub(super) fn on_http(self, host: &Host) -> OnHttp {
        *self.derive(&self.memo.on_http, host, Derived::OnHttp, |input| {
            above::on_http(input, host)
        })
    }

    pub(super) fn choice(self, host: &Host) -> Arc<Option<Choice>> {
        self.derive(&self.memo.choices, host, Derived::Choice, |input| {
            above::own_choice(input, host)
        })
    }

    pub(super) fn source(self, host: &Host) -> Arc<Source> {
        self.derive(&self.memo.sources, host, Derived::Source, |input| {
            above::source(input, host)
        })
    }

    pub(super) fn affords(self, name: &NamespacedName, host: &Host) -> bool {
        let key = (name.clone(), host.clone());
        let derived = |(name, host)| Derived::Affords(name, host);
        *self.derive(&self.memo.affords, &key, derived, |input| {
            input.source(host).cost <= input.account(name).share()
        })
    }

    fn derive<K: Eq + Hash + Clone, V: Hash>(
        self,
        values: &Once<K, V>,
        key: &K,
        derived: impl FnOnce(K) -> Derived,
        make: impl FnOnce(Input<'_>) -> V,
    ) -> Arc<V> {
        let derived = derived(key.clone());
        let stratum = derived.stratum();
        debug_assert!(
            stratum < self.stratum,
            "{derived:?} does not stand below {:?}",
            self.stratum
        );
        let (value, hash) = values.get(key, || {
            let log = Log::default();
            let value = make(Input {
                reader: self.reader.for_unit(&log),
                stratum,
                ..self
            });
            Value {
                hash: FactId::of(&value),
                value: Arc::new(value),
                reads: log.into_reads(),
            }
        });
        self.reader.record(derived.fact(), hash);
        value
    }
}

#[cfg(test)]
mod tests;
