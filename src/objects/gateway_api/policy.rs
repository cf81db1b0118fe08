//! BackendTLSPolicy: that a Service is spoken to by TLS, and whom its endpoints have to be.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::super::Metadata;
use super::status::Status;

/// A BackendTLSPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendTlsPolicy {
    /// Name and age.
    pub metadata: Metadata,
    /// `metadata.generation`.
    pub generation: i64,
    /// `spec.targetRefs`: of a policy that is wrong as a whole those that can be read.
    pub targets: BTreeSet<PolicyTarget>,
    /// `spec.validation`, or of a policy that is wrong as a whole one sentence on what is wrong. It stays in the place of the
    /// policy: without it the Services that it is about would be spoken to in clear.
    pub validation: Result<BackendValidation, Arc<str>>,
    /// The first of the keys of `spec.options`.
    pub option: Option<Arc<str>>,
    /// How many entries of `status.ancestors` are others': there is room for sixteen in all.
    pub others: usize,
    /// What is ours of `status`: its ancestors are among the parents.
    pub status: Arc<Status>,
}

/// `spec.targetRefs[]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyTarget {
    /// `group`.
    pub group: Arc<str>,
    /// `kind`.
    pub kind: Arc<str>,
    /// `name`.
    pub name: Arc<str>,
    /// `sectionName`: the port of this name.
    pub section_name: Option<Arc<str>>,
}

/// `spec.validation`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendValidation {
    /// `caCertificateRefs`: group, kind and name.
    pub authorities: Box<[[Arc<str>; 3]]>,
    /// `wellKnownCACertificates`.
    pub well_known: Option<Arc<str>>,
    /// `hostname`.
    pub hostname: Arc<str>,
    /// `subjectAltNames`.
    pub names: Box<[AltName]>,
}

/// `subjectAltNames[]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AltName {
    /// `Hostname`.
    Hostname(Arc<str>),
    /// `URI`.
    Uri(Arc<str>),
}

impl PolicyTarget {
    /// All ports of a Service, or the one of this name.
    #[must_use]
    pub fn of_service(name: Arc<str>, section_name: Option<Arc<str>>) -> Self {
        Self {
            group: "".into(),
            kind: "Service".into(),
            name,
            section_name,
        }
    }

    /// The name of the Service that it is about, if it is one.
    #[must_use]
    pub fn service(&self) -> Option<&Arc<str>> {
        (self.group.is_empty() && &*self.kind == "Service").then_some(&self.name)
    }
}

impl BackendTlsPolicy {
    /// What it says of a Service of its namespace. The other targets are not looked at.
    pub fn of_service<'a>(&'a self, service: &Arc<str>) -> impl Iterator<Item = &'a PolicyTarget> {
        let first = PolicyTarget::of_service(service.clone(), None);
        let rest = self.targets.range(first..);
        let service = service.clone();
        rest.take_while(move |target| target.service() == Some(&service))
    }

    /// Whether it is about a port of a Service of its namespace by the port's name, or for `None` about all of its ports.
    #[must_use]
    pub fn targets(&self, service: &str, port: Option<&str>) -> bool {
        let target = PolicyTarget::of_service(service.into(), port.map(Arc::from));
        self.targets.contains(&target)
    }

    /// All of it but the status.
    #[must_use]
    pub fn spec(&self) -> impl PartialEq + fmt::Debug {
        let Self {
            metadata,
            generation: _,
            targets,
            validation,
            option,
            others: _,
            status: _,
        } = self;
        (metadata, targets, validation, option)
    }
}
