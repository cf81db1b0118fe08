//! Fields that an object's kind does not have.
//!
//! An API server drops them in silence and kubectl refuses them, so in manifests they are told. What fields there are is
//! known from k8s-openapi's types (`fields`), and of custom resources from a table (`custom_fields`). No value is looked
//! at, and none of a Secret's is even there.

use std::cell::RefCell;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use serde::de::Deserialize;
use serde_json::{Map, Value};

use super::custom_fields;
use super::fields::{Fields, Path, UnknownField};
use crate::objects::Kind;

/// The fields of an object that its kind does not have, the first [`MOST`] of them. Values of a Secret are taken out of
/// `object` for as long as it is looked at.
pub(super) fn unknown(kind: Kind, object: &mut Map<String, Value>) -> Vec<UnknownField> {
    const VALUES: [&str; 2] = ["data", "stringData"];
    let hidden = match kind {
        Kind::Secret => VALUES.map(|name| object.remove(name)),
        _ => [None, None],
    };
    let found = RefCell::default();
    let fields = Fields {
        object,
        path: Path::default(),
        found: &found,
    };
    // What else is wrong with the object is said when it is decoded.
    let _ = match kind {
        Kind::IngressClass => IngressClass::deserialize(fields).map(drop),
        Kind::Ingress => Ingress::deserialize(fields).map(drop),
        Kind::Service => Service::deserialize(fields).map(drop),
        Kind::EndpointSlice => EndpointSlice::deserialize(fields).map(drop),
        Kind::Secret => Secret::deserialize(fields).map(drop),
        Kind::Namespace => Namespace::deserialize(fields).map(drop),
        Kind::ConfigMap => ConfigMap::deserialize(fields).map(drop),
        Kind::TlsCertificateDelegation
        | Kind::HttpProxy
        | Kind::ExtensionService
        | Kind::GatewayClass
        | Kind::Gateway
        | Kind::ListenerSet
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute
        | Kind::UdpRoute
        | Kind::ReferenceGrant
        | Kind::BackendTlsPolicy => {
            custom_fields::walk(kind.name(), fields.object, &fields.path, fields.found);
            Ok(())
        }
        Kind::Untyped(_) => Ok(()),
    };
    for (name, value) in VALUES.into_iter().zip(hidden) {
        object.extend(value.map(|value| (name.to_owned(), value)));
    }
    found.into_inner()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use serde_json::json;

    use super::super::fields::MOST;
    use super::*;

    fn check(kind: Kind, object: Value, expected: &[&str]) {
        let Value::Object(mut map) = object.clone() else {
            panic!("{object}")
        };
        let found: Vec<_> = unknown(kind, &mut map)
            .iter()
            .map(|field| {
                field.to_string().replace(
                    &format!(" in {}, and kubectl refuses it", field.version),
                    "",
                )
            })
            .collect();
        assert_eq!(found, expected);
        assert_eq!(Value::Object(map), object, "it is as it was");
    }

    #[test]
    fn what_a_kind_does_not_have_is_named_with_its_path() {
        let backend = json!({"serviceName": "web", "servicePort": 80});
        check(
            Kind::Ingress,
            json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {"name": "a", "labels": {"any": "thing"}, "annotation": {}},
                "spec": {
                    "backend": {},
                    "rules": [{"host": "a"}, {"hosts": ["a"], "http": {"paths": [{"backend": backend}]}}],
                },
            }),
            &[
                "metadata.annotation is ignored: ObjectMeta has no such field; it is perhaps annotations",
                "spec.backend is ignored: IngressSpec has no such field; it is defaultBackend since networking.k8s.io/v1",
                "spec.rules[1].hosts is ignored: IngressRule has no such field; it is perhaps host",
                "spec.rules[1].http.paths[0].backend.serviceName is ignored: IngressBackend has no such field; it is service.name since networking.k8s.io/v1",
                "spec.rules[1].http.paths[0].backend.servicePort is ignored: IngressBackend has no such field; it is service.port.number, or service.port.name, since networking.k8s.io/v1",
            ],
        );
        check(
            Kind::Service,
            json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80, "targetPort": "http", "appProtocol": null, "colour": 1}]}, "status": {}}),
            &["spec.ports[0].colour is ignored: ServicePort has no such field"],
        );
        check(
            Kind::EndpointSlice,
            json!({"addressType": "IPv4", "endpoints": [{"adresses": []}], "ports": []}),
            &[
                "endpoints[0].adresses is ignored: Endpoint has no such field; it is perhaps addresses",
            ],
        );
        check(
            Kind::TlsCertificateDelegation,
            json!({"spec": {"delegations": [{"secretName": "a", "targetNamespace": ["*"]}]}}),
            &[
                "spec.delegations[0].targetNamespace is ignored: CertificateDelegation has no such field; it is perhaps targetNamespaces",
            ],
        );
        check(
            Kind::HttpProxy,
            json!({"metadata": {"label": {}}, "spec": {
                "virtualHost": {"fqdn": "a.test"},
                "routes": [{"services": [{"name": "a", "port": 80, "weigth": 1}], "timeoutPolicy": {"response": "1s"}}],
                "includes": [{"name": "b", "condition": []}],
            }, "status": {"any": 1}}),
            &[
                "metadata.label is ignored: ObjectMeta has no such field; it is perhaps labels",
                "spec.includes[0].condition is ignored: Include has no such field; it is perhaps conditions",
                "spec.routes[0].services[0].weigth is ignored: Service has no such field; it is perhaps weight",
                "spec.virtualHost is ignored: HTTPProxySpec has no such field; it is perhaps virtualhost",
            ],
        );
        check(
            Kind::ExtensionService,
            json!({"spec": {"services": [{"name": "a", "ports": 80}], "timeoutPolicy": 3}}),
            &[
                "spec.services[0].ports is ignored: ExtensionServiceTarget has no such field; it is perhaps port",
            ],
        );
        check(
            Kind::IngressClass,
            json!({"spec": {"controller": "a/b", "parameters": {"kind": "K", "name": "n"}}}),
            &[],
        );
    }

    #[test]
    fn a_secrets_values_are_not_looked_at() {
        check(
            Kind::Secret,
            json!({"metadata": {"name": "a"}, "data": {"x": 1}, "stringData": {"y": "z"}, "typ": "Opaque"}),
            &["typ is ignored: Secret has no such field; it is perhaps type"],
        );
    }

    #[test]
    fn an_object_of_any_shape_is_looked_at_as_far_as_it_goes() {
        check(
            Kind::Ingress,
            json!({"spec": 3, "x": 1}),
            &["x is ignored: Ingress has no such field"],
        );
        check(
            Kind::Ingress,
            json!({"metadata": {"name": 3}, "spec": {"rules": {}}}),
            &[],
        );
        let many: Map<_, _> = (0..100)
            .map(|n| (format!("field-{n}"), Value::Null))
            .collect();
        assert_eq!(unknown(Kind::Ingress, &mut many.clone()).len(), MOST);
    }
}
