//! HTTPProxy: the schema of Contour's custom resource definition (1.33), field by field.
//!
//! What the schema leaves open stays open: whether an expression compiles, an address is one, or two fields go together is
//! for the translation to say. Each file is one of `objects/http_proxy`.

mod condition;
mod policy;
mod rate_limit;
mod route;
mod service;
mod status;
mod virtual_host;

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use self::condition::{IncludeWire, include};
pub(super) use self::policy::{
    LoadBalancerWire, TimeoutWire, ValidationWire, load_balancer, port, timeout, validation,
};
pub use self::rate_limit::global_rate_limit_policy;
use self::route::{RouteWire, route};
use self::service::{TcpProxyWire, tcp_proxy};
pub(super) use self::status::ConditionWire;
use self::status::StatusWire;
use self::virtual_host::{VirtualHostWire, virtual_host};
use super::super::http_proxy::VirtualHost;
use super::super::validate::{FieldError, Rules};
use super::super::{HttpProxy, Kind, Object, ObjectRef};
use super::json::{Kept, List, PerhapsStruct, PerhapsText, Struct, Text};
use super::metadata::{MetadataWire, of_wrong};
use super::schema::{At, WILDCARD_OR_HOST, each_of, matching, perhaps, present};
use super::wire::Wire;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct HttpProxyWire<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    metadata: Struct<MetadataWire<'a>>,
    spec: Option<Struct<SpecWire>>,
    #[serde(borrow)]
    status: Option<Struct<StatusWire<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SpecWire {
    virtualhost: Option<Struct<VirtualHostWire>>,
    routes: Option<List<Struct<RouteWire>>>,
    tcpproxy: Option<Struct<TcpProxyWire>>,
    includes: Option<List<Struct<IncludeWire>>>,
    ingress_class_name: Option<Kept>,
}

impl<'a> Wire<'a> for HttpProxyWire<'a> {
    fn kind(&self) -> &str {
        self.kind.as_str()
    }

    fn metadata(&self) -> &MetadataWire<'a> {
        &self.metadata.0
    }

    fn check(self, _: Rules) -> Result<Object, FieldError> {
        let metadata = self.metadata.0.check(Kind::HttpProxy)?;
        let at = At::Top("spec");
        let Struct(spec) = present(at, self.spec)?;
        let class_name = spec.ingress_class_name.map(|Kept(name)| name);
        Ok(Object::HttpProxy(Arc::new(HttpProxy {
            metadata,
            class_name: class_name.filter(|name| !name.is_empty()),
            virtual_host: perhaps(at.of("virtualhost"), spec.virtualhost, virtual_host)?
                .map(Box::new),
            routes: each_of(at.of("routes"), spec.routes, route)?,
            includes: each_of(at.of("includes"), spec.includes, include)?,
            tcp_proxy: perhaps(at.of("tcpproxy"), spec.tcpproxy, tcp_proxy)?.map(Box::new),
            wrong: None,
            generation: self.metadata.0.generation(),
            status: self
                .status
                .map(|Struct(status)| status.into())
                .unwrap_or_default(),
        })))
    }

    /// Where it asks for a guard of its host, nobody else opens that: it closes it, as it does where the guard can't be had.
    fn closed(json: &'a str, reference: &ObjectRef, reason: &str) -> Option<Object> {
        let Struct(wire) = serde_json::from_str::<Struct<ClosedWire>>(json).ok()?;
        let spec = wire.spec.0;
        let host = spec.virtualhost.0;
        if !host.is_guarded() {
            return None;
        }
        let fqdn = host.fqdn.0?.to_ascii_lowercase();
        let fqdn = matching(At::Top("fqdn"), Some(Kept(fqdn.into())), &WILDCARD_OR_HOST).ok()?;
        let class_name = spec.ingress_class_name.0.filter(|name| !name.is_empty());
        let (metadata, generation) = of_wrong(json, reference);
        let status = serde_json::from_str::<Struct<StatusOnlyWire<'a>>>(json).ok();
        let status = status.and_then(|Struct(it)| Some(it.status?.0.into()));
        Some(Object::HttpProxy(Arc::new(HttpProxy {
            metadata,
            class_name: class_name.map(Arc::from),
            virtual_host: Some(Box::new(VirtualHost {
                fqdn,
                ..VirtualHost::default()
            })),
            routes: Box::default(),
            includes: Box::default(),
            tcp_proxy: None,
            wrong: Some(reason.into()),
            generation,
            status: status.unwrap_or_default(),
        })))
    }
}

/// What is looked at of an object that is otherwise wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ClosedWire {
    spec: PerhapsStruct<ClosedSpecWire>,
}

/// The status of an object that is otherwise wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StatusOnlyWire<'a> {
    #[serde(borrow)]
    status: Option<Struct<StatusWire<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClosedSpecWire {
    virtualhost: PerhapsStruct<ClosedHostWire>,
    ingress_class_name: PerhapsText,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClosedHostWire {
    fqdn: PerhapsText,
    tls: PerhapsStruct<ClosedTlsWire>,
    authorization: Said,
    jwt_providers: Said,
    ip_allow_policy: Said,
    ip_deny_policy: Said,
    rate_limit_policy: Said,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClosedTlsWire {
    client_validation: Said,
    passthrough: Said,
    minimum_protocol_version: Said,
}

/// Whether a field says anything, whatever that is.
type Said = Option<IgnoredAny>;

impl ClosedHostWire {
    /// As of an HTTPProxy that can be read (`has_guards` in `translate/httpproxy/root.rs`); what a field says is not known.
    const fn is_guarded(&self) -> bool {
        self.tls.0.client_validation.is_some()
            || self.tls.0.passthrough.is_some()
            || self.tls.0.minimum_protocol_version.is_some()
            || self.authorization.is_some()
            || self.jwt_providers.is_some()
            || self.ip_allow_policy.is_some()
            || self.ip_deny_policy.is_some()
            || self.rate_limit_policy.is_some()
    }
}

#[cfg(test)]
mod tests;
