//! GatewayClass and Gateway.

use std::fmt;
use std::sync::Arc;

use super::super::Metadata;
use super::namespace::LabelSelector;
use super::reference::{ObjectReference, ParametersReference};
use super::status::Status;

/// A GatewayClass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayClass {
    /// Its name.
    pub metadata: Metadata,
    /// `metadata.generation`.
    pub generation: i64,
    /// `spec.controllerName`.
    pub controller: Arc<str>,
    /// `spec.parametersRef`.
    pub parameters: Option<ParametersReference>,
    /// What is ours of `status`.
    pub status: Arc<Status>,
}

/// A Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Name and age.
    pub metadata: Metadata,
    /// `metadata.generation`.
    pub generation: i64,
    /// `spec.gatewayClassName`.
    pub class_name: Arc<str>,
    /// `spec.listeners`.
    pub listeners: Box<[Listener]>,
    /// `spec.addresses`.
    pub addresses: Box<[GatewayAddress]>,
    /// `spec.infrastructure`.
    pub infrastructure: Infrastructure,
    /// `spec.tls.backend.clientCertificateRef`.
    pub client_certificate: Option<ObjectReference>,
    /// `spec.tls.frontend`.
    pub frontend: FrontendTls,
    /// `spec.allowedListeners.namespaces`: whose ListenerSets may bring listeners.
    pub allowed_listeners: RouteNamespaces,
    /// Whether `spec.defaultScope` is other than `None`.
    pub has_default_scope: bool,
    /// What is ours of `status`.
    pub status: Arc<Status>,
}

/// `spec.listeners[]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listener {
    /// `name`.
    pub name: Arc<str>,
    /// `hostname`; `None` for all.
    pub hostname: Option<Arc<str>>,
    /// `port`.
    pub port: u16,
    /// `protocol`.
    pub protocol: Arc<str>,
    /// `tls`.
    pub tls: Option<ListenerTls>,
    /// `allowedRoutes`.
    pub allowed_routes: AllowedRoutes,
    /// Whether there are `filters`, of the experimental channel.
    pub has_filters: bool,
}

/// `spec.listeners[].tls`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListenerTls {
    /// Whether `mode` is `Passthrough`.
    pub passes_through: bool,
    /// `certificateRefs`.
    pub certificates: Box<[ObjectReference]>,
    /// The first of the keys of `options`.
    pub option: Option<Arc<str>>,
}

/// `spec.listeners[].allowedRoutes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AllowedRoutes {
    /// `namespaces`.
    pub namespaces: RouteNamespaces,
    /// `kinds`.
    pub kinds: Box<[RouteGroupKind]>,
}

/// `namespaces` of what may attach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum RouteNamespaces {
    /// That of the Gateway.
    #[default]
    Same,
    /// Each.
    All,
    /// Those whose labels a selector takes.
    Selector(LabelSelector),
    /// None.
    None,
}

/// A kind of routes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteGroupKind {
    /// `group`.
    pub group: Arc<str>,
    /// `kind`.
    pub kind: Arc<str>,
}

/// `spec.addresses[]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayAddress {
    /// `type`.
    pub kind: Arc<str>,
    /// `value`; empty where one is to be found.
    pub value: Arc<str>,
    /// Whether `routability` is said, which is of the experimental channel.
    pub has_routability: bool,
}

/// `spec.infrastructure`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Infrastructure {
    /// `labels`, sorted.
    pub labels: Box<[(Arc<str>, Arc<str>)]>,
    /// `annotations`, sorted.
    pub annotations: Box<[(Arc<str>, Arc<str>)]>,
    /// `parametersRef`.
    pub parameters: Option<ParametersReference>,
}

/// `spec.tls.frontend`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FrontendTls {
    /// `default`.
    pub default: Option<CertificateValidation>,
    /// `perPort`, each port once.
    pub per_port: Box<[(u16, Option<CertificateValidation>)]>,
}

/// `validation` of what clients show.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateValidation {
    /// `caCertificateRefs`.
    pub authorities: Box<[ObjectReference]>,
    /// `mode`.
    pub mode: FrontendValidation,
}

/// `mode` of the validation of what clients show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FrontendValidation {
    /// A certificate that the authorities vouch for has to be shown.
    #[default]
    AllowValidOnly,
    /// Anything goes.
    AllowInsecureFallback,
}

impl GatewayClass {
    /// All of it but the status.
    #[must_use]
    pub fn spec(&self) -> impl PartialEq + fmt::Debug {
        (&self.metadata, &self.controller, &self.parameters)
    }
}

impl Gateway {
    /// All of it but the status.
    #[must_use]
    pub fn spec(&self) -> impl PartialEq + fmt::Debug {
        let Self {
            metadata,
            generation: _,
            class_name,
            listeners,
            addresses,
            infrastructure,
            client_certificate,
            frontend,
            allowed_listeners,
            has_default_scope,
            status: _,
        } = self;
        let flags = (allowed_listeners, has_default_scope);
        let tls = (client_certificate, frontend);
        (
            metadata,
            class_name,
            listeners,
            addresses,
            infrastructure,
            tls,
            flags,
        )
    }
}
