//! Kubernetes objects into the model: pure functions, one per unit.
//!
//! A unit is what can change by itself: a host, a cluster, a load assignment, a certificate, and what is to be
//! said of one object. Every function gets a [`Reader`] that records what it reads, and returns plain data with the
//! problems it found; it keeps nothing but what [`Memo`] spares the next one, does no IO, and knows nothing of Envoy.
//! A [`Language`] says which objects are its own and what they come to: Ingress is one, HTTPProxy (`httpproxy`) another, and
//! the Gateway API (`gateway_api`) a third. All make the same model.

mod above;
mod annotation;
mod app_protocol;
mod backend;
mod budget;
mod certificate;
mod challenges;
mod cluster_source;
mod clusters;
mod condition;
mod credentials;
mod derived;
mod endpoints;
mod entry;
mod finding;
mod gateway_api;
mod host;
mod httpproxy;
mod ignored;
mod ingress;
mod language;
mod languages;
mod nginx;
mod object;
mod once;
mod operator;
mod order;
mod other_name;
mod outside_name;
mod ownership;
mod path;
mod policy;
mod reading;
mod secret;
mod service_policy;
mod stratum;
mod table;
mod trust_bundle;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

pub use backend::{ResolvedBackend, resolve};
pub use budget::{Prices, within_budget};
pub use cluster_source::{BackendPort, ClusterSource, NamedBackend};
pub use clusters::{cluster, endpoints};
pub use condition::Found;
pub use credentials::{CredentialsKey, credentials};
pub use derived::{Derived, Made, Memo};
pub use gateway_api::{FleetPorts, GatewayOptions, GatewayServices, PodPort, Transport};
pub use host::host;
pub use httpproxy::{
    HeaderPolicies, HttpProxyOptions, RateLimitService, check as check_http_proxy_options,
};
pub use language::Language;
pub use languages::Languages;
pub use nginx::{
    ALIASES as NGINX_ALIASES, ANNOTATIONS as NGINX_ANNOTATIONS, Annotation as NginxAnnotation,
    Compat as NginxCompat, PREFIX as NGINX_PREFIX, Scope as NginxScope, Verdict as NginxVerdict,
    differences as nginx_differences, find as find_nginx, key as nginx_key,
};
pub use operator::{TlsOptions, UpstreamOptions};
pub use outside_name::check_name as check_outside_name;
pub use ownership::HostOwnership;
pub use policy::INGRESS_ANNOTATIONS;
pub use secret::certificate;
pub use service_policy::SERVICE_ANNOTATIONS;
pub use trust_bundle::{AuthoritiesOf, TrustBundleKey, trust_bundle};

use stratum::Stratum;

use crate::facts::{Log, Reader, Store};
use crate::model::{
    AddressRules, Alpn, Forwarding, Host, Listener, TcpServer, TlsParameters, TlsServer,
    VirtualHost,
};
use crate::objects::{Field, FieldRef, Kind, NamespacedName, ObjectRef, Problem};

/// What the translation reads: the objects, and what the operator decided.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The objects.
    reader: Reader<'a>,
    /// The operator's decisions.
    options: &'a Options,
    /// What is found once for many units.
    memo: &'a Memo,
    stratum: Stratum,
}

impl<'a> Input<'a> {
    /// What one unit reads, recorded in its log. The memo is of this store and these options alone, and empty at first.
    #[must_use]
    pub const fn new(store: &'a Store, options: &'a Options, memo: &'a Memo, log: &'a Log) -> Self {
        Self {
            reader: Reader::new(store, log),
            options,
            memo,
            stratum: Stratum::Made,
        }
    }

    /// The objects, as the unit may read them.
    #[must_use]
    pub const fn reader(self) -> Reader<'a> {
        self.reader
    }
}

/// What one claimed listener comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerUnit {
    /// The listener, of the name that is claimed; `None` where nothing listens.
    pub listener: Option<Listener>,
    /// The hostnames that share the port, where each is served by itself: a request for one of them on a connection for another
    /// is misdirected (421), and a request for none of them unknown (404). `None` where what is not a connection's own is
    /// misdirected.
    pub hostnames: Option<Arc<[Host]>>,
    /// The clusters that it forwards to, by name; none where nothing listens.
    pub clusters: BTreeMap<Arc<str>, ClusterSource>,
    /// What was found wrong.
    pub problems: Vec<Problem>,
}

/// Decisions of the operator that bear on every object.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether Services of type ExternalName are served: off unless asked for, because they can point a proxy
    /// at names inside the cluster.
    pub allow_external_names: bool,
    /// Who may serve a host that several namespaces name.
    pub host_ownership: HostOwnership,
    /// What the operator decided for Gateways.
    pub gateway: GatewayOptions,
    /// What HTTPProxies may say.
    pub http_proxy: Arc<HttpProxyOptions>,
    /// The Services that `auth-url` of every namespace may name.
    pub auth_services: Arc<[NamespacedName]>,
    /// The port in the location of redirects to HTTPS; without it the request's stays, unless it is 80.
    pub https_port: Option<u16>,
    /// What the pod itself listens on: an endpoint that leads there shows outside what is for inside.
    pub own_sockets: Arc<[SocketAddr]>,
    /// Whether somebody in front says by which scheme a client asked. Then that decides what is redirected and what is
    /// not served in clear, on both listeners; else the listener does.
    pub scheme_is_told: bool,
    /// What TLS of clients may use.
    pub tls: TlsOptions,
    /// How endpoints are spoken to, where objects do not say.
    pub upstream: UpstreamOptions,
    /// What is answered where ingress-nginx's own answer is not what is meant, in its dialect.
    pub nginx_compat: NginxCompat,
    /// ingress-nginx's own ConfigMap, whose keys hold for all Ingresses of its dialect.
    pub nginx_configmap: Option<NamespacedName>,
}

/// What one host comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostUnit {
    /// Its routes in clear, `None` where nobody brings it there.
    pub http: Option<VirtualHost>,
    /// Its routes by TLS and what they are served with, `None` without a usable certificate.
    pub https: Option<HttpsHost>,
    /// Where its connections by TLS go as they are, where TLS does not end here.
    pub passthrough: Option<Passthrough>,
    /// Where what comes out of its TLS goes, where that ends here and is no HTTP.
    pub tcp: Option<TcpHost>,
    /// From which addresses connections are taken that are forwarded so; `None` for all.
    pub addresses: Option<AddressRules>,
    /// Whether no wildcard above it may answer for it by HTTPS, where it has none itself.
    pub is_closed: bool,
    /// Whether a wildcard stands for names of any depth, instead of one label.
    pub any_depth: bool,
    /// Whether a host that nobody has on the port is unknown (404) on its connections by TLS, and not misdirected (421).
    pub tells_unknown: bool,
    /// The clusters that its routes name, or its connections go to, by name.
    pub clusters: BTreeMap<Arc<str>, ClusterSource>,
    /// The objects that its routes come through, besides those that claim it: what an HTTPProxy includes.
    pub reached: BTreeSet<ObjectRef>,
    /// What was found wrong.
    pub problems: Vec<Problem>,
}

/// A host under TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsHost {
    /// The certificates and settings, shared by every host that has the same.
    pub server: TlsServer,
    /// The Secrets of the certificates.
    pub secrets: BTreeSet<NamespacedName>,
    /// The TLS entry that brings the certificates: its own, or that of the wildcard above it.
    pub source: FieldRef,
    /// Its routes.
    pub virtual_host: VirtualHost,
    /// What it is served with besides, for who can't name it in TLS.
    pub fallback: Option<Box<Fallback>>,
}

/// What clients are served with that ask for no name in TLS, or for one that nobody serves. Their requests say by Host whose
/// they are, among the hosts that have it; any other host is 404 there, and none is misdirected. Over TCP only.
///
/// A listener has one: where hosts have several, that of the first name, and the others are reached by their names only. So is
/// everybody where a host stands for every name ([`crate::model::Host::any`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The certificates and settings.
    pub server: TlsServer,
    /// The Secrets of the certificates.
    pub secrets: BTreeSet<NamespacedName>,
}

impl HttpsHost {
    /// A host that is served with the certificate of one Secret.
    #[must_use]
    pub fn with_secret(
        secret: NamespacedName,
        source: FieldRef,
        virtual_host: VirtualHost,
    ) -> Self {
        Self {
            server: TlsServer::new(
                vec![secret.to_string().into()],
                TlsParameters::default(),
                Alpn::default(),
                None,
                self::source(Kind::Secret, &secret, Field::Data),
            ),
            secrets: BTreeSet::from([secret]),
            source,
            virtual_host,
            fallback: None,
        }
    }
}

/// A host whose TLS is not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passthrough {
    /// Where its connections go.
    pub forwarding: Forwarding,
    /// What says so.
    pub source: FieldRef,
}

/// A host whose TLS is ended, with something inside that is no HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpHost {
    /// Certificates, settings, and where connections go.
    pub server: TcpServer,
    /// The Secrets of the certificates.
    pub secrets: BTreeSet<NamespacedName>,
    /// What says so.
    pub source: FieldRef,
}

impl HostUnit {
    /// Whether its connections by TLS are forwarded.
    #[must_use]
    pub const fn is_forwarded(&self) -> bool {
        self.passthrough.is_some() || self.tcp.is_some()
    }

    /// Where its connections by TLS are forwarded to.
    #[must_use]
    pub fn forwarding(&self) -> Option<&Forwarding> {
        let passthrough = self.passthrough.as_ref();
        let tcp = self.tcp.as_ref();
        let passthrough = passthrough.map(|passthrough| &passthrough.forwarding);
        passthrough.or(tcp.map(|tcp| tcp.server.forwarding()))
    }
}

/// Where a part of the model comes from.
fn source(kind: Kind, name: &NamespacedName, field: Field) -> FieldRef {
    let name = name.clone();
    FieldRef::new(ObjectRef { kind, name }, field)
}

/// Reasons of problems: the words in Events and in the label `reason` of `isobath_object_problems`.
pub mod reason {
    /// A backend names a Service that does not exist.
    pub const SERVICE_NOT_FOUND: &str = "ServiceNotFound";
    /// A backend names a Service that can't be used.
    pub const SERVICE_NOT_VALID: &str = "ServiceNotValid";
    /// A backend names a port that its Service does not have.
    pub const SERVICE_PORT_NOT_FOUND: &str = "ServicePortNotFound";
    /// A backend is no Service.
    pub const BACKEND_NOT_SUPPORTED: &str = "BackendNotSupported";
    /// A backend is a Service of type ExternalName, and the operator does not allow these.
    pub const EXTERNAL_NAME_NOT_ALLOWED: &str = "ExternalNameNotAllowed";
    /// An endpoint leads into the pod of the ingress controller itself.
    pub const ENDPOINT_NOT_ALLOWED: &str = "EndpointNotAllowed";
    /// A TLS entry names a Secret that does not exist.
    pub const SECRET_NOT_FOUND: &str = "SecretNotFound";
    /// A TLS entry names a Secret that can't be used.
    pub const SECRET_NOT_VALID: &str = "SecretNotValid";
    /// A TLS entry names a Secret of another namespace that does not delegate it.
    pub const SECRET_NOT_DELEGATED: &str = "SecretNotDelegated";
    /// A TLS entry names no Secret.
    pub const SECRET_NAME_MISSING: &str = "SecretNameMissing";
    /// A TLS entry names no host, and neither do the rules.
    pub const TLS_HOST_MISSING: &str = "TLSHostMissing";
    /// A host belongs to another namespace, or another one names a host that belongs to this.
    pub const HOST_CONFLICT: &str = "HostConflict";
    /// A listener has a name that nobody may claim.
    pub const LISTENER_NOT_ALLOWED: &str = "ListenerNotAllowed";
    /// A host is served with the certificate of an older Ingress.
    pub const TLS_HOST_CONFLICT: &str = "TLSHostConflict";
    /// The host's owner and the operator each name somebody who is asked about its requests, and a route has one of them.
    pub const AUTHORIZATION_CONFLICT: &str = "AuthorizationConflict";
    /// A host is redirected to HTTPS, where nothing serves it.
    pub const HTTPS_NOT_SERVED: &str = "HTTPSNotServed";
    /// A certificate does not name a host that it is to serve.
    pub const CERTIFICATE_NAME_MISMATCH: &str = "CertificateNameMismatch";
    /// A path of a host is served by an older Ingress.
    pub const PATH_CONFLICT: &str = "PathConflict";
    /// A regular expression takes only what the paths of an older owner of the host leave to it.
    pub const PATH_DEFERRED: &str = "PathDeferred";
    /// A path's regular expression can't be used.
    pub const PATH_NOT_VALID: &str = "PathNotValid";
    /// A port of a Service has an `appProtocol` that is none of an HTTP proxy.
    pub const APP_PROTOCOL_NOT_SUPPORTED: &str = "AppProtocolNotSupported";
    /// An annotation has no effect: it is misspelt, on the wrong kind of object, or another controller's.
    pub const ANNOTATION_UNKNOWN: &str = "AnnotationUnknown";
    /// An annotation of another controller has no effect, though its class asks for its language.
    pub const ANNOTATION_NOT_SUPPORTED: &str = "AnnotationNotSupported";
    /// ingress-nginx answers otherwise.
    pub const NGINX_DIFFERS: &str = "NginxDiffers";
    /// An annotation that keeps requests out can't be honoured, so none is let in.
    pub const ROUTE_CLOSED: &str = "RouteClosed";
    /// A key of ingress-nginx's ConfigMap is wrong, and ignored.
    pub const KEY_NOT_VALID: &str = "KeyNotValid";
    /// A key of ingress-nginx's ConfigMap has no effect.
    pub const KEY_NOT_SUPPORTED: &str = "KeyNotSupported";
    /// A path can hardly mean what it says.
    pub const PATH_UNLIKELY: &str = "PathUnlikely";
    /// An annotation's value is ignored.
    pub const ANNOTATION_NOT_VALID: &str = "AnnotationNotValid";
    /// An object, or what it takes over from others, would come to more than one object may.
    pub const TOO_LARGE: &str = "TooLarge";
    /// The object is wrong as a whole.
    pub const OBJECT_NOT_VALID: &str = "ObjectNotValid";

    /// Whether a problem with this reason is that another object says otherwise, and has it. Those of the Gateway API and of
    /// HTTPProxy are named as their conditions are.
    #[must_use]
    pub fn is_conflict(reason: &str) -> bool {
        reason.contains("Conflict") || matches!(reason, PATH_DEFERRED | "DuplicateVhost")
    }
}
