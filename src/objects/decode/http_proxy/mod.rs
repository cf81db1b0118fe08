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
use super::super::validate::{FieldError, Rules};
use super::super::{HttpProxy, Kind, Object};
use super::json::{Kept, List, Struct, Text};
use super::metadata::MetadataWire;
use super::schema::{At, each_of, perhaps, present};
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
            generation: self.metadata.0.generation(),
            status: self
                .status
                .map(|Struct(status)| status.into())
                .unwrap_or_default(),
        })))
    }
}

#[cfg(test)]
mod tests;
