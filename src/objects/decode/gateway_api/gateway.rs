//! GatewayClass and Gateway.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;

use super::super::super::gateway_api::{
    AllowedRoutes, CertificateValidation, FrontendTls, FrontendValidation, GatewayAddress,
    Infrastructure, Listener, ListenerTls, RouteGroupKind, RouteNamespaces,
};
use super::super::super::validate::{FieldError, Rules, duplicate};
use super::super::super::{Gateway, GatewayClass, Kind, Object};
use super::super::json::{Kept, List, Struct, Text, TextMap, Whole};
use super::super::metadata::MetadataWire;
use super::super::schema::{
    At, WILDCARD_OR_HOST, each_of, matching, not_empty, one_of, perhaps, present, some, text,
};
use super::super::wire::Wire;
use super::namespace::{SelectorWire, pairs, selector};
use super::reference::{ObjectWire, name, object, parameters, port};
use super::status::{StatusWire, status};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct GatewayClassWire<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    metadata: Struct<MetadataWire<'a>>,
    spec: Option<Struct<ClassSpecWire>>,
    status: Option<Struct<StatusWire>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClassSpecWire {
    controller_name: Option<Kept>,
    parameters_ref: Option<Struct<ObjectWire>>,
}

impl<'a> Wire<'a> for GatewayClassWire<'a> {
    fn kind(&self) -> &str {
        self.kind.as_str()
    }

    fn metadata(&self) -> &MetadataWire<'a> {
        &self.metadata.0
    }

    fn check(self, _: Rules) -> Result<Object, FieldError> {
        let metadata = self.metadata.0.check(Kind::GatewayClass)?;
        let at = At::Top("spec");
        let Struct(spec) = present(at, self.spec)?;
        let controller = present(at.of("controllerName"), spec.controller_name)?;
        let named = at.of("parametersRef");
        Ok(Object::GatewayClass(Arc::new(GatewayClass {
            metadata,
            generation: self.metadata.0.generation(),
            controller: some(at.of("controllerName"), Some(controller))?,
            parameters: perhaps(named, spec.parameters_ref, parameters)?,
            status: status(self.status),
        })))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct GatewayWire<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    metadata: Struct<MetadataWire<'a>>,
    #[serde(borrow)]
    spec: Option<Struct<SpecWire<'a>>>,
    status: Option<Struct<StatusWire>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SpecWire<'a> {
    gateway_class_name: Option<Kept>,
    #[serde(borrow)]
    listeners: Option<List<Struct<ListenerWire<'a>>>>,
    addresses: Option<List<Struct<AddressWire>>>,
    #[serde(borrow)]
    infrastructure: Option<Struct<InfrastructureWire<'a>>>,
    tls: Option<Struct<GatewayTlsWire>>,
    #[serde(borrow)]
    allowed_listeners: Option<Struct<AllowedListenersWire<'a>>>,
    default_scope: Option<Kept>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ListenerWire<'a> {
    name: Option<Kept>,
    hostname: Option<Kept>,
    port: Option<Whole>,
    protocol: Option<Kept>,
    #[serde(borrow)]
    tls: Option<Struct<ListenerTlsWire<'a>>>,
    #[serde(borrow)]
    allowed_routes: Option<Struct<AllowedRoutesWire<'a>>>,
    filters: Option<Struct<FiltersWire>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListenerTlsWire<'a> {
    mode: Option<Kept>,
    certificate_refs: Option<List<Struct<ObjectWire>>>,
    #[serde(borrow)]
    options: TextMap<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AllowedRoutesWire<'a> {
    #[serde(borrow)]
    namespaces: Option<Struct<NamespacesWire<'a>>>,
    kinds: Option<List<Struct<GroupKindWire>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NamespacesWire<'a> {
    from: Option<Kept>,
    #[serde(borrow)]
    selector: Option<Struct<SelectorWire<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GroupKindWire {
    group: Option<Kept>,
    kind: Option<Kept>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FiltersWire {
    requests: Option<List<Struct<NothingWire>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NothingWire {}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AddressWire {
    #[serde(rename = "type")]
    kind: Option<Kept>,
    value: Option<Kept>,
    routability: Option<Kept>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct InfrastructureWire<'a> {
    #[serde(borrow)]
    labels: TextMap<'a>,
    #[serde(borrow)]
    annotations: TextMap<'a>,
    parameters_ref: Option<Struct<ObjectWire>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GatewayTlsWire {
    backend: Option<Struct<BackendTlsWire>>,
    frontend: Option<Struct<FrontendWire>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct BackendTlsWire {
    client_certificate_ref: Option<Struct<ObjectWire>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FrontendWire {
    default: Option<Struct<ValidatedWire>>,
    per_port: Option<List<Struct<PerPortWire>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ValidatedWire {
    validation: Option<Struct<ValidationWire>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PerPortWire {
    port: Option<Whole>,
    tls: Option<Struct<ValidatedWire>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ValidationWire {
    ca_certificate_refs: Option<List<Struct<ObjectWire>>>,
    mode: Option<Kept>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AllowedListenersWire<'a> {
    #[serde(borrow)]
    namespaces: Option<Struct<NamespacesWire<'a>>>,
}

impl<'a> Wire<'a> for GatewayWire<'a> {
    fn kind(&self) -> &str {
        self.kind.as_str()
    }

    fn metadata(&self) -> &MetadataWire<'a> {
        &self.metadata.0
    }

    fn check(self, _: Rules) -> Result<Object, FieldError> {
        let metadata = self.metadata.0.check(Kind::Gateway)?;
        let at = At::Top("spec");
        let Struct(spec) = present(at, self.spec)?;
        let class_name = present(at.of("gatewayClassName"), spec.gateway_class_name)?;
        let class_name = some(at.of("gatewayClassName"), Some(class_name))?;
        let listeners = listeners(at.of("listeners"), spec.listeners)?;
        let Struct(tls) = spec.tls.unwrap_or_default();
        let Struct(backend) = tls.backend.unwrap_or_default();
        let of_tls = at.of("tls");
        let shown = of_tls.of("backend");
        let secret = |at: At<'_>, wire| object(at, wire, "Secret");
        let sets = spec.allowed_listeners.and_then(|Struct(it)| it.namespaces);
        let infrastructure = at.of("infrastructure");
        Ok(Object::Gateway(Arc::new(Gateway {
            metadata,
            generation: self.metadata.0.generation(),
            class_name,
            listeners,
            addresses: each_of(at.of("addresses"), spec.addresses, address)?,
            infrastructure: perhaps(infrastructure, spec.infrastructure, self::infrastructure)?
                .unwrap_or_default(),
            client_certificate: perhaps(
                shown.of("clientCertificateRef"),
                backend.client_certificate_ref,
                secret,
            )?,
            frontend: perhaps(of_tls.of("frontend"), tls.frontend, frontend)?.unwrap_or_default(),
            allowed_listeners: match sets {
                Some(Struct(NamespacesWire { from: None, .. })) | None => RouteNamespaces::None,
                Some(Struct(wire)) => {
                    let at = at.of("allowedListeners");
                    namespaces(at.of("namespaces"), wire)?
                }
            },
            has_default_scope: spec.default_scope.is_some_and(|Kept(it)| &*it != "None"),
            status: status(self.status),
        })))
    }
}

/// At least one, each of a name of its own.
pub(super) fn listeners(
    at: At<'_>,
    field: Option<List<Struct<ListenerWire<'_>>>>,
) -> Result<Box<[Listener]>, FieldError> {
    let listeners = present(at, field).map(Some)?;
    not_empty(at, &listeners)?;
    let listeners = each_of(at, listeners, listener)?;
    let mut names = BTreeSet::new();
    for (index, listener) in listeners.iter().enumerate() {
        if !names.insert(&listener.name) {
            return Err(duplicate(at.item(index), &listener.name));
        }
    }
    Ok(listeners)
}

fn listener(at: At<'_>, wire: ListenerWire<'_>) -> Result<Listener, FieldError> {
    let is_named = wire.hostname.is_some();
    let hostname = matching(at.of("hostname"), wire.hostname, &WILDCARD_OR_HOST)?;
    let number = present(at.of("port"), wire.port)?;
    let protocol = present(at.of("protocol"), wire.protocol)?;
    let filters = wire.filters.and_then(|Struct(it)| it.requests);
    Ok(Listener {
        name: name(at, wire.name)?,
        hostname: is_named.then_some(hostname),
        port: port(at.of("port"), Some(number))?.unwrap_or_default(),
        protocol: some(at.of("protocol"), Some(protocol))?,
        tls: perhaps(at.of("tls"), wire.tls, listener_tls)?,
        allowed_routes: perhaps(at.of("allowedRoutes"), wire.allowed_routes, allowed_routes)?
            .unwrap_or_default(),
        has_filters: filters.is_some_and(|List(filters)| !filters.is_empty()),
    })
}

fn listener_tls(at: At<'_>, wire: ListenerTlsWire<'_>) -> Result<ListenerTls, FieldError> {
    let mode = one_of(at.of("mode"), wire.mode, &["Terminate", "Passthrough"])?;
    let secret = |at: At<'_>, wire| object(at, wire, "Secret");
    Ok(ListenerTls {
        passes_through: mode.is_some_and(|mode| &*mode == "Passthrough"),
        certificates: each_of(at.of("certificateRefs"), wire.certificate_refs, secret)?,
        option: pairs(&wire.options).first().map(|(key, _)| key.clone()),
    })
}

fn allowed_routes(at: At<'_>, wire: AllowedRoutesWire<'_>) -> Result<AllowedRoutes, FieldError> {
    let namespaces = perhaps(at.of("namespaces"), wire.namespaces, namespaces)?;
    Ok(AllowedRoutes {
        namespaces: namespaces.unwrap_or_default(),
        kinds: each_of(at.of("kinds"), wire.kinds, |at, wire| {
            let kind = present(at.of("kind"), wire.kind)?;
            let kind = some(at.of("kind"), Some(kind))?;
            let group = wire.group.map(|Kept(group)| group);
            let group = group.unwrap_or_else(|| super::super::super::gateway_api::GROUP.into());
            Ok(RouteGroupKind { group, kind })
        })?,
    })
}

fn namespaces(at: At<'_>, wire: NamespacesWire<'_>) -> Result<RouteNamespaces, FieldError> {
    let from = one_of(
        at.of("from"),
        wire.from,
        &["All", "Selector", "Same", "None"],
    )?;
    let selected = perhaps(at.of("selector"), wire.selector, selector)?;
    Ok(match from.as_deref() {
        Some("All") => RouteNamespaces::All,
        // Without a selector it takes nothing.
        Some("Selector") => selected.map_or(RouteNamespaces::None, RouteNamespaces::Selector),
        Some("None") => RouteNamespaces::None,
        _ => RouteNamespaces::Same,
    })
}

fn address(at: At<'_>, wire: AddressWire) -> Result<GatewayAddress, FieldError> {
    let kind = some(at.of("type"), wire.kind)?;
    Ok(GatewayAddress {
        kind: match kind.is_empty() {
            true => "IPAddress".into(),
            false => kind,
        },
        value: text(wire.value),
        has_routability: wire.routability.is_some(),
    })
}

fn infrastructure(at: At<'_>, wire: InfrastructureWire<'_>) -> Result<Infrastructure, FieldError> {
    Ok(Infrastructure {
        labels: pairs(&wire.labels),
        annotations: pairs(&wire.annotations),
        parameters: perhaps(at.of("parametersRef"), wire.parameters_ref, parameters)?,
    })
}

fn frontend(at: At<'_>, wire: FrontendWire) -> Result<FrontendTls, FieldError> {
    let Struct(default) = present(at.of("default"), wire.default)?;
    let per_port = each_of(at.of("perPort"), wire.per_port, |at, wire| {
        let number = present(at.of("port"), wire.port)?;
        let number = port(at.of("port"), Some(number))?.unwrap_or_default();
        let Struct(tls) = present(at.of("tls"), wire.tls)?;
        Ok((number, validated(at.of("tls"), tls)?))
    })?;
    let mut ports = BTreeSet::new();
    for (index, (port, _)) in per_port.iter().enumerate() {
        if !ports.insert(port) {
            let at = at.of("perPort");
            return Err(duplicate(at.item(index), &port.to_string()));
        }
    }
    Ok(FrontendTls {
        default: validated(at.of("default"), default)?,
        per_port,
    })
}

fn validated(at: At<'_>, wire: ValidatedWire) -> Result<Option<CertificateValidation>, FieldError> {
    perhaps(at.of("validation"), wire.validation, |at, wire| {
        let modes = ["AllowValidOnly", "AllowInsecureFallback"];
        let mode = one_of(at.of("mode"), wire.mode, &modes)?;
        let of_authorities = at.of("caCertificateRefs");
        let named = present(of_authorities, wire.ca_certificate_refs).map(Some)?;
        not_empty(of_authorities, &named)?;
        Ok(CertificateValidation {
            authorities: each_of(of_authorities, named, |at, wire| {
                present(at.of("group"), wire.group.as_ref())?;
                present(at.of("kind"), wire.kind.as_ref())?;
                object(at, wire, "")
            })?,
            mode: match mode.as_deref() {
                Some("AllowInsecureFallback") => FrontendValidation::AllowInsecureFallback,
                _ => FrontendValidation::AllowValidOnly,
            },
        })
    })
}
