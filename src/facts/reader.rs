//! How units read the store: whatever they read is recorded, what is absent included.

mod gateway_api;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Claimable, Front, Host, Spoken};
use crate::objects::{
    Credentials, EndpointSlice, ExtensionService, Field, FieldRef, HttpProxy, Ingress,
    IngressBackend, IngressRule, IngressTls, Invalid, Kind, Metadata, NamespacedName, ObjectRef,
    Secret, Service,
};

use super::fact::{Fact, FactId};
use super::{Dialect, Store, other_names, secret_reference};

/// What one unit has read.
#[derive(Debug, Default)]
pub struct Log {
    facts: RefCell<Vec<FactId>>,
    own: Option<ObjectRef>,
    /// What each of them was, where that is asked for.
    values: Option<RefCell<Values>>,
}

/// What facts were when they were read.
pub type Values = BTreeMap<FactId, FactId>;

impl Log {
    /// For the unit of an object, which is made again whenever the object differs: what it reads of it is not recorded.
    #[must_use]
    pub fn of(object: &ObjectRef) -> Self {
        Self {
            own: Some(object.clone()),
            ..Self::default()
        }
    }

    /// Records also what each fact is: for an audit, at a multiple of the cost.
    #[must_use]
    pub fn with_values(mut self) -> Self {
        self.values = Some(RefCell::default());
        self
    }

    /// What was read, where that was asked for.
    #[must_use]
    pub fn values(&self) -> Option<Values> {
        self.values.as_ref().map(RefCell::take)
    }

    fn record_value(&self, fact: FactId, value: impl FnOnce() -> FactId) {
        if let Some(values) = &self.values {
            let value = value();
            values.borrow_mut().insert(fact, value);
        }
    }

    /// Records that a fact was read.
    pub fn record(&self, fact: FactId) {
        self.facts.borrow_mut().push(fact);
    }

    /// Each fact once, sorted.
    #[must_use]
    pub fn into_reads(self) -> Box<[FactId]> {
        let mut reads = self.facts.into_inner();
        reads.sort_unstable();
        reads.dedup();
        reads.into()
    }
}

/// The objects, as a unit may read them.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    store: &'a Store,
    log: &'a Log,
}

impl<'a> Reader<'a> {
    /// Reads this store and records it in this log.
    #[must_use]
    pub const fn new(store: &'a Store, log: &'a Log) -> Self {
        Self { store, log }
    }

    /// Reads the same store for another unit.
    #[must_use]
    pub const fn for_unit<'b>(self, log: &'b Log) -> Reader<'b>
    where
        'a: 'b,
    {
        Reader {
            store: self.store,
            log,
        }
    }

    /// Records that a fact was read that is not the store's: what another unit comes to.
    pub fn record(self, fact: FactId, value: FactId) {
        self.log.record(fact);
        self.log.record_value(fact, || value);
    }

    fn read(self, fact: Fact<'_>) {
        self.log.record_value(fact.id(), || self.store.value(fact));
        let own = self.log.own.as_ref();
        if own.is_none_or(|own| fact.object() != Some((own.kind, &own.name))) {
            self.log.record(fact.id());
        }
    }

    /// The served Ingresses that name the host, oldest first, those last that have it as another name.
    #[must_use]
    pub fn ingresses_of(self, host: &Host) -> Vec<ServedIngress<'a>> {
        self.read(Fact::Claims(&Front::Fleet, host));
        let ingresses = self.store.ingresses_of(host).into_iter();
        let served = ingresses.map(|ingress| ServedIngress {
            ingress,
            reader: self,
        });
        served.collect()
    }

    /// Whoever claims the host on a front, in whatever language, oldest first.
    #[must_use]
    pub fn claimants(self, front: &Front, host: &Host) -> Vec<ObjectRef> {
        self.read(Fact::Claims(front, host));
        let claim = Claimable::Host(front.clone(), host.clone());
        self.store.claimants(&claim)
    }

    /// Whether the oldest claim of a host of the fleet is neither an Ingress's nor one that merges Ingresses into its host.
    #[must_use]
    pub fn is_claimed_before_ingresses(self, host: &Host) -> bool {
        self.read(Fact::Claims(&Front::Fleet, host));
        let others = self.store.ages_of_others(host).into_iter();
        let (merging, others): (Vec<_>, Vec<_>) =
            others.partition(|(_, kind)| *kind == Kind::HttpProxy);
        let Some(oldest) = others.into_iter().map(|(age, _)| age).min() else {
            return false;
        };
        let ingresses = self.store.ingresses_of(host).into_iter();
        let ages = ingresses.map(|ingress| self.store.age_at(host, ingress));
        let mut own = ages.filter(|(is_other, _)| !is_other).map(|(_, age)| age);
        let ingress = own.next();
        let merging = merging.into_iter().map(|(age, _)| age);
        let own = merging.chain(ingress).min();
        own.is_none_or(|own| oldest < own)
    }

    /// Whoever claims a listener, oldest first.
    #[must_use]
    pub fn claimants_of_listener(self, name: &str) -> Vec<ObjectRef> {
        self.read(Fact::Claimants(name));
        self.store.claimants(&Claimable::Listener(name.into()))
    }

    /// What is spoken on a claimed listener; `None` where it is not there.
    #[must_use]
    pub fn spoken(self, listener: &str) -> Option<Spoken> {
        self.read(Fact::Spoken(listener));
        self.store.claimed.spoken(listener)
    }

    /// One field of an object without a type; `None` also where there is no such object.
    #[must_use]
    pub fn field(self, object: &ObjectRef, key: &str) -> Option<&'a Arc<str>> {
        self.read(Fact::Field(object, key));
        self.store.field(object, key)
    }

    /// Whether a served Ingress names the host.
    #[must_use]
    pub fn names_host(self, host: &Host) -> bool {
        self.read(Fact::Claimed(host));
        self.store.names_host(host)
    }

    /// A served Ingress; `None` also for one that is not served.
    #[must_use]
    pub fn served_ingress(self, name: &NamespacedName) -> Option<ServedIngress<'a>> {
        self.read(Fact::Ingress(name));
        self.served(name)
    }

    fn served(self, name: &NamespacedName) -> Option<ServedIngress<'a>> {
        let ingress = self.store.ingress(name)?;
        self.store.serves(ingress).then_some(ServedIngress {
            ingress,
            reader: self,
        })
    }

    /// As [`Self::served_ingress`], for a unit that reads only parts of it: so far no more than whether it is served.
    #[must_use]
    pub fn named_ingress(self, name: &NamespacedName) -> Option<ServedIngress<'a>> {
        self.read(Fact::IngressHead(name));
        self.served(name)
    }

    /// A served HTTPProxy; `None` also for one that is not served.
    #[must_use]
    pub fn http_proxy(self, name: &NamespacedName) -> Option<&'a Arc<HttpProxy>> {
        self.read(Fact::HttpProxy(name));
        let proxy = self.store.http_proxy(name)?;
        self.store.serves_http_proxy(proxy).then_some(proxy)
    }

    /// How many includes of `child` there are in the served HTTPProxies of a namespace, from the oldest to this one of them: how
    /// often four can be doubled, so that few are none.
    #[must_use]
    pub fn includes_until(self, child: &NamespacedName, includer: &NamespacedName) -> u32 {
        self.read(Fact::Includes(child, includer));
        self.store.includes_until(child, includer)
    }

    /// One ExtensionService.
    #[must_use]
    pub fn extension_service(self, name: &NamespacedName) -> Option<&'a Arc<ExtensionService>> {
        self.read(Fact::ExtensionService(name));
        self.store.extension_service(name)
    }

    /// One Service.
    #[must_use]
    pub fn service(self, name: &NamespacedName) -> Option<&'a Arc<Service>> {
        self.read(Fact::Service(name));
        self.store.service(name)
    }

    /// Whether a served Ingress or HTTPProxy names the Service as a back end.
    #[must_use]
    pub fn is_service_named(self, name: &NamespacedName) -> bool {
        self.read(Fact::ServiceNamed(name));
        self.store.is_service_named(name)
    }

    /// The EndpointSlices of a Service, by name.
    pub fn endpoint_slices(
        self,
        service: &NamespacedName,
    ) -> impl Iterator<Item = &'a Arc<EndpointSlice>> + use<'a> {
        self.read(Fact::EndpointSlices(service));
        self.store.endpoint_slices(service)
    }

    /// What a certificate is for: of its Secret a host may ask no more, so that new bytes are no news to it.
    ///
    /// # Errors
    ///
    /// `None` where there is no such Secret; else one sentence on why it can't be used.
    pub fn certificate_names(
        self,
        secret: &NamespacedName,
    ) -> Result<CertificateNames<'a>, Option<&'a str>> {
        self.read(Fact::SecretNames(secret));
        let secret = self.found_secret(secret)?;
        let certificate = secret.certificate.as_ref().map_err(|why| Some(&**why))?;
        Ok(CertificateNames {
            names: &certificate.names,
            common_name: certificate.common_name.as_ref(),
            key_algorithm: certificate.key_algorithm,
        })
    }

    /// Whether others can be verified with the `ca.crt` of a Secret. Other bytes of it are no news to whoever asks.
    ///
    /// # Errors
    ///
    /// `None` where there is no such Secret; else one sentence on why it can't be used.
    pub fn authorities(self, secret: &NamespacedName) -> Result<(), Option<&'a str>> {
        self.read(Fact::Authorities(secret));
        let secret = self.found_secret(secret)?;
        secret.check_authorities().map(drop).map_err(Some)
    }

    /// Whether the `crl.pem` of a Secret says what is revoked. Other bytes of it are no news to whoever asks.
    ///
    /// # Errors
    ///
    /// As [`Self::authorities`].
    pub fn revocations(self, secret: &NamespacedName) -> Result<(), Option<&'a str>> {
        self.read(Fact::Revocations(secret));
        let secret = self.found_secret(secret)?;
        secret.check_revocations().map(drop).map_err(Some)
    }

    /// Whether a Secret has passwords, as a file or by keys, and how many names of it can't log in. Other bytes of them are no news to
    /// whoever asks.
    ///
    /// # Errors
    ///
    /// As [`Self::authorities`].
    pub fn credentials(
        self,
        secret: &NamespacedName,
        is_map: bool,
    ) -> Result<usize, Option<&'a str>> {
        self.read(Fact::Credentials(secret));
        let secret = self.found_secret(secret)?;
        let checked = secret.check_credentials(is_map);
        checked.map(Credentials::unusable).map_err(Some)
    }

    /// A Secret, or why there is none.
    fn found_secret(self, name: &NamespacedName) -> Result<&'a Secret, Option<&'a str>> {
        if let Some(secret) = self.store.secret(name) {
            return Ok(secret);
        }
        let object = ObjectRef {
            kind: Kind::Secret,
            name: name.clone(),
        };
        let invalid = self.store.invalid(&object);
        Err(invalid.map(|invalid| &*invalid.reason))
    }

    /// One Secret, all of it.
    #[must_use]
    pub fn secret(self, name: &NamespacedName) -> Option<&'a Arc<Secret>> {
        self.read(Fact::Secret(name));
        self.store.secret(name)
    }

    /// Whether a Secret may be used from a namespace: from its own, and where that gives it away by a
    /// TLSCertificateDelegation.
    #[must_use]
    pub fn is_delegated(self, secret: &NamespacedName, namespace: &str) -> bool {
        if *secret.namespace == *namespace {
            return true;
        }
        self.read(Fact::Delegated(secret, namespace));
        self.read(Fact::Delegated(secret, super::delegated::ALL));
        self.store.is_delegated(secret, namespace)
    }

    /// What stands in the place of an object that is wrong as a whole. Of others than Services only the object's own unit
    /// may ask, which is made again whenever the object differs.
    #[must_use]
    pub fn invalid(self, object: &ObjectRef) -> Option<&'a Arc<Invalid>> {
        if object.kind == Kind::Service {
            self.read(Fact::Service(&object.name));
        }
        self.store.invalid(object)
    }
}

/// What a host may know of a certificate.
#[derive(Clone, Copy, Debug)]
pub struct CertificateNames<'a> {
    /// Its DNS names, sorted.
    pub names: &'a [Arc<str>],
    /// Its common name, which browsers do not read.
    pub common_name: Option<&'a Arc<str>>,
    /// What kind of key it has.
    pub key_algorithm: crate::objects::KeyAlgorithm,
}

/// An Ingress that is served. Its name is no fact: whoever has it has read which Ingresses there are.
#[derive(Clone, Copy, Debug)]
pub struct ServedIngress<'a> {
    ingress: &'a Ingress,
    reader: Reader<'a>,
}

impl<'a> ServedIngress<'a> {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'a NamespacedName {
        &self.ingress.metadata.name
    }

    /// Which object it is.
    #[must_use]
    pub fn reference(self) -> ObjectRef {
        ObjectRef {
            kind: Kind::Ingress,
            name: self.name().clone(),
        }
    }

    /// One of its fields.
    #[must_use]
    pub fn field(self, field: Field) -> FieldRef {
        FieldRef::new(self.reference(), field)
    }

    fn read_head(self) {
        self.reader.read(Fact::IngressHead(self.name()));
    }

    fn read_at(self, host: Option<&str>) {
        self.reader.read(Fact::IngressAt(self.name(), host));
    }

    /// Its metadata, of which the annotations may be read.
    #[must_use]
    pub fn metadata(self) -> &'a Metadata {
        self.read_head();
        &self.ingress.metadata
    }

    /// What its annotations mean.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        self.read_head();
        self.reader.store.dialect(self.ingress)
    }

    /// Its default back end.
    #[must_use]
    pub fn default_backend(self) -> Option<&'a IngressBackend> {
        self.read_head();
        self.ingress.default_backend.as_ref()
    }

    /// Its rules for a host, those without a host for `None`.
    pub fn rules(self, host: Option<&str>) -> impl Iterator<Item = &'a IngressRule> + use<'a> {
        self.read_at(host);
        self.reader.store.rules_of(self.ingress, host)
    }

    /// Whether it names the host as another name of one of its own, and in no other way.
    #[must_use]
    pub fn names_otherwise(self, host: &Host) -> bool {
        self.read_head();
        self.read_at(Some(host.as_str()));
        self.reader.store.age_at(host, self.ingress).0
    }

    /// Whether it names the host as another name of one of its own, and by no rule.
    #[must_use]
    pub fn has_other_name(self, host: &Host) -> bool {
        let is_asked = other_names::has_some(self.metadata());
        is_asked
            && self.dialect() == Dialect::IngressNginx
            && !self.is_ruled(host)
            && other_names::has(self.metadata(), host, |of| self.is_ruled(of))
    }

    /// Whether a rule of it is for the host.
    #[must_use]
    pub fn is_ruled(self, host: &Host) -> bool {
        self.rules(Some(host.as_str())).next().is_some()
    }

    /// The TLS entries that name a host, as written, each with the number of entries without hosts that stand before it.
    #[must_use]
    pub fn tls_naming(self, host: &Host) -> Vec<(usize, &'a IngressTls)> {
        self.read_at(Some(host.as_str()));
        self.reader.store.tls_naming(self.ingress, host)
    }

    /// The TLS entries without hosts, as written: they are about every host of its rules.
    pub fn tls_of_rules(self) -> impl Iterator<Item = &'a IngressTls> + use<'a> {
        self.read_head();
        let entries = self.ingress.tls.iter();
        entries.filter(|tls| tls.hosts.is_empty())
    }

    /// Whether a rule of it has a host.
    #[must_use]
    pub fn has_ruled_host(self) -> bool {
        self.read_head();
        self.ingress.rules.iter().any(|rule| rule.host.is_some())
    }

    /// Where the Secret of one of its TLS entries is.
    #[must_use]
    pub fn secret_reference(self, secret_name: &Arc<str>) -> NamespacedName {
        self.read_head();
        secret_reference(self.ingress, secret_name)
    }

    /// Whether it has so many rules, hosts or annotations that what its hosts share is better found once. That is a
    /// matter of speed and changes nothing of what is found: so it is no fact.
    #[must_use]
    pub fn is_long(self) -> bool {
        /// Annotations that are longer, and more paths than this, are not read again for each host.
        const LONG: usize = 256;
        let annotations = self.ingress.metadata.annotations.iter();
        self.reader.store.is_long(self.ingress)
            || annotations.map(|(_, value)| value.len()).sum::<usize>() > LONG
            || self
                .ingress
                .rules
                .iter()
                .any(|rule| rule.paths.len() > LONG)
    }

    /// All of it. Whoever asks is made again at every change of it.
    #[must_use]
    pub fn whole(self) -> &'a Ingress {
        self.reader.read(Fact::Ingress(self.name()));
        self.ingress
    }
}
