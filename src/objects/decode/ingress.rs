//! Ingress and IngressClass (`pkg/apis/networking/validation`), and Contour's TLSCertificateDelegation.

use std::sync::Arc;

use serde::Deserialize;

use super::super::validate::{self, FieldError, Rules, invalid, not_supported, required};
use super::super::{
    Ingress, IngressBackend, IngressClass, IngressPath, IngressRule, IngressTls, Kind, Object,
    PathType, ServiceBackendPort, TlsCertificateDelegation,
};
use super::json::{Int, List, Struct, Text};
use super::metadata::{MetadataWire, StatusWire};
use super::wire::Wire;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct IngressWire<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    metadata: Struct<MetadataWire<'a>>,
    #[serde(borrow)]
    spec: Struct<SpecWire<'a>>,
    #[serde(borrow)]
    status: Struct<StatusWire<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SpecWire<'a> {
    #[serde(borrow)]
    ingress_class_name: Option<Text<'a>>,
    #[serde(borrow)]
    default_backend: Option<Struct<BackendWire<'a>>>,
    #[serde(borrow)]
    tls: List<Struct<TlsWire<'a>>>,
    #[serde(borrow)]
    rules: List<Struct<RuleWire<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TlsWire<'a> {
    #[serde(borrow)]
    hosts: List<Text<'a>>,
    #[serde(borrow)]
    secret_name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RuleWire<'a> {
    #[serde(borrow)]
    host: Text<'a>,
    #[serde(borrow)]
    http: Option<Struct<HttpWire<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HttpWire<'a> {
    #[serde(borrow)]
    paths: List<Struct<PathWire<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PathWire<'a> {
    #[serde(borrow)]
    path: Text<'a>,
    #[serde(borrow)]
    path_type: Option<Text<'a>>,
    #[serde(borrow)]
    backend: Struct<BackendWire<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BackendWire<'a> {
    #[serde(borrow)]
    service: Option<Struct<BackendServiceWire<'a>>>,
    #[serde(borrow)]
    resource: Option<Struct<ResourceWire<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BackendServiceWire<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    port: Struct<BackendPortWire<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BackendPortWire<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    number: Int,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ResourceWire<'a> {
    #[serde(borrow)]
    api_group: Option<Text<'a>>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
}

impl<'a> Wire<'a> for IngressWire<'a> {
    fn kind(&self) -> &str {
        self.kind.as_str()
    }

    fn metadata(&self) -> &MetadataWire<'a> {
        &self.metadata.0
    }

    /// `ValidateIngressCreate`; for stored objects less the rules that an update is exempt from.
    fn check(self, rules: Rules) -> Result<Object, FieldError> {
        let spec = &self.spec.0;
        let metadata = self.metadata.0.check(Kind::Ingress)?;
        if spec.rules.0.is_empty() && spec.default_backend.is_none() {
            let why = "either `defaultBackend` or `rules` must be specified";
            return Err(invalid("spec", "", why));
        }
        let default_backend = match &spec.default_backend {
            None => None,
            Some(Struct(wire)) => Some(backend("spec.defaultBackend", wire)?),
        };
        let ingress_rules = spec.rules.0.iter().enumerate();
        let ingress_rules = ingress_rules
            .map(|(index, Struct(wire))| rule(&format!("spec.rules[{index}]"), wire))
            .collect::<Result<_, _>>()?;
        let tls = spec.tls.0.iter().enumerate();
        let tls = tls
            .map(|(index, Struct(wire))| tls_entry(&format!("spec.tls[{index}]"), wire, rules))
            .collect::<Result<_, _>>()?;
        let class_name = match &spec.ingress_class_name {
            None => None,
            Some(name) => {
                validate::dns_subdomain("spec.ingressClassName", name.as_str())?;
                Some(Arc::from(name.as_str()))
            }
        };
        if rules == Rules::Create
            && let Some(class_name) = &class_name
            && let Some(annotation) = metadata.annotation("kubernetes.io/ingress.class")
            && annotation != &**class_name
        {
            return Err(invalid(
                "annotations.kubernetes.io/ingress.class",
                annotation,
                "must match `ingressClassName` when both are specified",
            ));
        }
        Ok(Object::Ingress(Arc::new(Ingress {
            metadata,
            class_name,
            default_backend,
            tls,
            rules: ingress_rules,
            load_balancer: self.status.0.addresses(),
            left_out: None,
        })))
    }
}

/// `validateIngressTLS`.
fn tls_entry(at: &str, wire: &TlsWire<'_>, rules: Rules) -> Result<IngressTls, FieldError> {
    let mut hosts = Vec::with_capacity(wire.hosts.0.len());
    for (index, host) in wire.hosts.0.iter().enumerate() {
        validate::host(format_args!("{at}.hosts[{index}]"), host.as_str())?;
        hosts.push(lower_case(host.as_str()));
    }
    let secret = wire.secret_name.as_str();
    if !secret.is_empty() && rules == Rules::Create {
        validate::dns_subdomain(format_args!("{at}.secretName"), secret)?;
    }
    Ok(IngressTls {
        hosts: hosts.into(),
        secret_name: (!secret.is_empty()).then(|| Arc::from(secret)),
    })
}

/// `validateIngressRules`. It exempts what stands below a wildcard host, if that was stored before
/// Kubernetes 1.19 and is wrong by today's rules; here such an Ingress is refused, since nothing sensible
/// could be served for it.
fn rule(at: &str, wire: &RuleWire<'_>) -> Result<IngressRule, FieldError> {
    let host = wire.host.as_str();
    if !host.is_empty() {
        validate::no_address(format_args!("{at}.host"), host)?;
        validate::host(format_args!("{at}.host"), host)?;
    }
    let mut paths = Vec::new();
    if let Some(Struct(http)) = &wire.http {
        if http.paths.0.is_empty() {
            return Err(required(format_args!("{at}.http.paths"), ""));
        }
        paths.reserve_exact(http.paths.0.len());
        for (index, Struct(wire)) in http.paths.0.iter().enumerate() {
            paths.push(path(&format!("{at}.http.paths[{index}]"), wire)?);
        }
    }
    Ok(IngressRule {
        host: (!host.is_empty()).then(|| lower_case(host)),
        paths: paths.into(),
    })
}

/// `validateHTTPIngressPath`.
fn path(at: &str, wire: &PathWire<'_>) -> Result<IngressPath, FieldError> {
    let path = wire.path.as_str();
    let Some(path_type) = &wire.path_type else {
        let why = "pathType must be specified";
        return Err(required(format_args!("{at}.pathType"), why));
    };
    let path_type = match path_type.as_str() {
        "Exact" => PathType::Exact,
        "Prefix" => PathType::Prefix,
        "ImplementationSpecific" => PathType::ImplementationSpecific,
        other => {
            let supported = ["Exact", "ImplementationSpecific", "Prefix"];
            return Err(not_supported(
                format_args!("{at}.pathType"),
                other,
                &supported,
            ));
        }
    };
    if path_type != PathType::ImplementationSpecific {
        validate::strict_path(format_args!("{at}.path"), path)?;
    } else if !path.is_empty() && !path.starts_with('/') {
        let why = "must be an absolute path";
        return Err(invalid(format_args!("{at}.path"), path, why));
    }
    Ok(IngressPath {
        path: Arc::from(if path.is_empty() { "/" } else { path }),
        path_type,
        backend: backend(&format!("{at}.backend"), &wire.backend.0)?,
    })
}

/// `validateIngressBackend`.
fn backend(at: &str, wire: &BackendWire<'_>) -> Result<IngressBackend, FieldError> {
    match (&wire.service, &wire.resource) {
        (Some(_), Some(_)) => {
            let why = "cannot set both resource and service backends";
            Err(invalid(at, "", why))
        }
        (None, Some(Struct(wire))) => resource(&format!("{at}.resource"), wire),
        (Some(Struct(wire)), None) => {
            let name = wire.name.as_str();
            if name.is_empty() {
                return Err(required(format_args!("{at}.service.name"), ""));
            }
            validate::dns_label(format_args!("{at}.service.name"), name)?;
            Ok(IngressBackend::Service {
                name: Arc::from(name),
                port: backend_port(at, &wire.port.0)?,
            })
        }
        (None, None) => Err(invalid(at, "", "resource or service backend is required")),
    }
}

fn backend_port(at: &str, wire: &BackendPortWire<'_>) -> Result<ServiceBackendPort, FieldError> {
    let (name, Int(number)) = (wire.name.as_str(), wire.number);
    match (name.is_empty(), number) {
        (false, 0) => {
            validate::port_name(format_args!("{at}.service.port.name"), name)?;
            Ok(ServiceBackendPort::Name(Arc::from(name)))
        }
        (false, _) => Err(invalid(at, "", "cannot set both port name & port number")),
        (true, 0) => Err(required(at, "port name or number is required")),
        (true, _) => validate::port_number(format_args!("{at}.service.port.number"), number)
            .map(ServiceBackendPort::Number),
    }
}

/// `validateIngressTypedLocalObjectReference`.
fn resource(at: &str, wire: &ResourceWire<'_>) -> Result<IngressBackend, FieldError> {
    if let Some(group) = &wire.api_group {
        validate::dns_subdomain(format_args!("{at}.apiGroup"), group.as_str())?;
    }
    for (field, value) in [("kind", &wire.kind), ("name", &wire.name)] {
        if value.is_empty() {
            return Err(required(format_args!("{at}.{field}"), ""));
        }
        validate::path_segment(format_args!("{at}.{field}"), value.as_str())?;
    }
    Ok(IngressBackend::Resource {
        kind: Arc::from(wire.kind.as_str()),
        name: Arc::from(wire.name.as_str()),
    })
}

/// Hosts compare without case (RFC 9110, section 4.2.3).
fn lower_case(host: &str) -> Arc<str> {
    Arc::from(host.to_ascii_lowercase())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ClassWire<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    metadata: Struct<MetadataWire<'a>>,
    #[serde(borrow)]
    spec: Struct<ClassSpecWire<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ClassSpecWire<'a> {
    #[serde(borrow)]
    controller: Text<'a>,
}

impl<'a> Wire<'a> for ClassWire<'a> {
    fn kind(&self) -> &str {
        self.kind.as_str()
    }

    fn metadata(&self) -> &MetadataWire<'a> {
        &self.metadata.0
    }

    /// `ValidateIngressClass`, less the parameters, which Isobath has none of.
    fn check(self, _: Rules) -> Result<Object, FieldError> {
        const LIMIT: usize = 250;
        let metadata = self.metadata.0.check(Kind::IngressClass)?;
        let controller = self.spec.0.controller.as_str();
        if controller.len() > LIMIT {
            let reason = format!("spec.controller: Too long: may not be more than {LIMIT} bytes");
            return Err(FieldError(reason));
        }
        validate::domain_prefixed_path("spec.controller", controller)?;
        let is_default = "ingressclass.kubernetes.io/is-default-class";
        Ok(Object::IngressClass(Arc::new(IngressClass {
            is_default: metadata.annotation(is_default) == Some("true"),
            metadata,
            controller: Arc::from(controller),
        })))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DelegationWire<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    metadata: Struct<MetadataWire<'a>>,
    #[serde(borrow)]
    spec: Struct<DelegationSpecWire<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DelegationSpecWire<'a> {
    #[serde(borrow)]
    delegations: Option<List<Struct<DelegationEntryWire<'a>>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DelegationEntryWire<'a> {
    #[serde(borrow)]
    secret_name: Option<Text<'a>>,
    #[serde(borrow)]
    target_namespaces: Option<List<Text<'a>>>,
}

impl<'a> Wire<'a> for DelegationWire<'a> {
    fn kind(&self) -> &str {
        self.kind.as_str()
    }

    fn metadata(&self) -> &MetadataWire<'a> {
        &self.metadata.0
    }

    /// The schema of Contour's custom resource definition: three required fields.
    fn check(self, _: Rules) -> Result<Object, FieldError> {
        let metadata = self.metadata.0.check(Kind::TlsCertificateDelegation)?;
        let Some(List(entries)) = &self.spec.0.delegations else {
            return Err(required("spec.delegations", ""));
        };
        let mut delegations = Vec::with_capacity(entries.len());
        for (index, Struct(entry)) in entries.iter().enumerate() {
            let at = format!("spec.delegations[{index}]");
            let Some(secret) = &entry.secret_name else {
                return Err(required(format_args!("{at}.secretName"), ""));
            };
            let Some(List(namespaces)) = &entry.target_namespaces else {
                return Err(required(format_args!("{at}.targetNamespaces"), ""));
            };
            let namespaces = namespaces.iter().map(|name| Arc::from(name.as_str()));
            delegations.push((Arc::from(secret.as_str()), namespaces.collect()));
        }
        Ok(Object::TlsCertificateDelegation(Arc::new(
            TlsCertificateDelegation {
                metadata,
                delegations,
            },
        )))
    }
}
