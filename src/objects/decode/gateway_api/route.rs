//! HTTPRoute, GRPCRoute, TLSRoute, TCPRoute and UDPRoute.

use std::sync::Arc;

use serde::Deserialize;

use super::super::super::gateway_api::RouteHead;
use super::super::super::validate::{self, FieldError};
use super::super::super::{GrpcRoute, HttpRoute, Kind, Object, TcpRoute, TlsRoute, UdpRoute};
use super::super::json::{Kept, List, Struct, Text};
use super::super::metadata::MetadataWire;
use super::super::schema::{
    At, WILDCARD_OR_HOST, each, each_of, matching, no_more, not_empty, present,
};
use super::super::wire::Wire;
use super::reference::{ParentWire, parent};
use super::rule::{GrpcRuleWire, HttpRuleWire, OpaqueRuleWire, grpc_rule, http_rule, opaque_rule};
use super::status::{StatusWire, status};

/// Rules as they are written, where there are any.
type Rules<R> = Option<List<Struct<R>>>;

/// A route whose rules have this shape.
#[derive(Debug, Deserialize)]
#[serde(default, bound(deserialize = "R: Deserialize<'de> + Default"))]
struct RouteWire<'a, R> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    metadata: Struct<MetadataWire<'a>>,
    spec: Option<Struct<SpecWire<R>>>,
    status: Option<Struct<StatusWire>>,
}

impl<R> Default for RouteWire<'_, R> {
    fn default() -> Self {
        Self {
            kind: Text::default(),
            metadata: Struct::default(),
            spec: None,
            status: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(
    default,
    rename_all = "camelCase",
    bound(deserialize = "R: Deserialize<'de> + Default")
)]
struct SpecWire<R> {
    parent_refs: Option<List<Struct<ParentWire>>>,
    hostnames: Option<List<Kept>>,
    rules: Option<List<Struct<R>>>,
    use_default_gateways: Option<Kept>,
}

impl<R> Default for SpecWire<R> {
    fn default() -> Self {
        Self {
            parent_refs: None,
            hostnames: None,
            rules: None,
            use_default_gateways: None,
        }
    }
}

impl<R> RouteWire<'_, R> {
    /// What tells connections by their names has to say names; of others the schema knows no such field, and they have none.
    fn with_hostnames_of(mut self, kind: Kind) -> Result<Self, FieldError> {
        let at = At::Top("spec");
        let Some(Struct(spec)) = &mut self.spec else {
            return Ok(self);
        };
        match kind {
            Kind::TlsRoute => {
                present(at.of("hostnames"), spec.hostnames.as_ref())?;
                not_empty(at.of("hostnames"), &spec.hostnames)?;
            }
            _ => spec.hostnames = None,
        }
        Ok(self)
    }

    /// The head, and the rules as they are.
    fn split(self) -> Result<(RouteHead, Rules<R>), FieldError> {
        let at = At::Top("spec");
        let Struct(spec) = self.spec.unwrap_or_default();
        let is_default = |Kept(it): Kept| &*it != "None";
        let head = RouteHead {
            generation: self.metadata.0.generation(),
            parents: each_of(at.of("parentRefs"), spec.parent_refs, parent)?,
            hostnames: each(at.of("hostnames"), spec.hostnames, |at, name| {
                matching(at, Some(name), &WILDCARD_OR_HOST)
            })?
            .into_iter()
            .collect(),
            uses_default_gateways: spec.use_default_gateways.is_some_and(is_default),
            status: status(self.status),
        };
        Ok((head, spec.rules))
    }
}

macro_rules! routes {
    ($($wire:ident of $rule:ident: $kind:ident, $make:ident;)*) => {$(
        #[derive(Debug, Default, Deserialize)]
        #[serde(transparent)]
        pub(in super::super) struct $wire<'a>(#[serde(borrow)] RouteWire<'a, $rule>);

        impl<'a> Wire<'a> for $wire<'a> {
            fn kind(&self) -> &str {
                self.0.kind.as_str()
            }

            fn metadata(&self) -> &MetadataWire<'a> {
                &self.0.metadata.0
            }

            fn check(self, _: validate::Rules) -> Result<Object, FieldError> {
                let metadata = self.0.metadata.0.check(Kind::$kind)?;
                let at = At::Top("spec");
                present(at, self.0.spec.as_ref())?;
                let (head, rules) = self.0.split()?;
                // What the schema fills in: one rule that takes everything, and has nowhere to send it.
                let is_said = rules.is_some();
                let mut rules = each_of(at.of("rules"), rules, $make)?;
                if !is_said {
                    rules = [Default::default()].into();
                }
                Ok(Object::$kind(Arc::new($kind { metadata, head, rules })))
            }
        }
    )*};
}

routes! {
    HttpRouteWire of HttpRuleWire: HttpRoute, http_rule;
    GrpcRouteWire of GrpcRuleWire: GrpcRoute, grpc_rule;
}

macro_rules! opaque_routes {
    ($($wire:ident: $kind:ident;)*) => {$(
        #[derive(Debug, Default, Deserialize)]
        #[serde(transparent)]
        pub(in super::super) struct $wire<'a>(#[serde(borrow)] RouteWire<'a, OpaqueRuleWire>);

        impl<'a> Wire<'a> for $wire<'a> {
            fn kind(&self) -> &str {
                self.0.kind.as_str()
            }

            fn metadata(&self) -> &MetadataWire<'a> {
                &self.0.metadata.0
            }

            fn check(self, _: validate::Rules) -> Result<Object, FieldError> {
                let metadata = self.0.metadata.0.check(Kind::$kind)?;
                let at = At::Top("spec");
                present(at, self.0.spec.as_ref())?;
                let (head, rules) = self.0.with_hostnames_of(Kind::$kind)?.split()?;
                let rules = present(at.of("rules"), rules).map(Some)?;
                not_empty(at.of("rules"), &rules)?;
                no_more(at.of("rules"), &rules, 1)?;
                let rules = each_of(at.of("rules"), rules, opaque_rule)?;
                let backends = rules.into_iter().flatten().collect();
                Ok(Object::$kind(Arc::new($kind { metadata, head, backends })))
            }
        }
    )*};
}

opaque_routes! {
    TlsRouteWire: TlsRoute;
    TcpRouteWire: TcpRoute;
    UdpRouteWire: UdpRoute;
}
