//! Objects and what becomes of them. Verdicts beside the API server's own are in `tests/validation.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod secret;

use std::net::IpAddr;

use serde_json::{Value, json};

use super::*;
use crate::objects::{
    AddressType, Endpoint, EndpointPort, IngressBackend, IngressPath, IngressRule, IngressTls,
    IpFamily, LoadBalancerAddress, PathType, ServiceBackendPort, ServicePort, ServiceType,
    SessionAffinity,
};

fn valid(kind: Kind, object: &Value) -> Object {
    let object = decode(kind, &object.to_string()).unwrap();
    if let Object::Invalid(invalid) = &object {
        panic!("{invalid:?}");
    }
    object
}

fn check_reason(kind: Kind, object: &str, expected: &str) {
    match decode(kind, object).unwrap() {
        Object::Invalid(invalid) => assert_eq!(invalid.reason, expected),
        other => panic!("{other:?}"),
    }
}

fn full_ingress() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "u-1", "resourceVersion": "42",
            "creationTimestamp": "2024-05-06T07:08:09Z",
            "annotations": {
                "kubernetes.io/ingress.class": "a", "projectcontour.io/num-retries": "3",
                "ingress.kubernetes.io/force-ssl-redirect": "true", "isobath.dev/redirect": "x",
                "kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "n",
                "projectcontour.io/empty": null, "nginx.ingress.kubernetes.io/rewrite-target": "/$1",
                "nginx.ingress.kubernetes.io/whitelist-source-range": "0.0.0.0/0,::/0",
            },
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
        },
        "spec": {
            "ingressClassName": "isobath",
            "defaultBackend": {"resource": {"apiGroup": "k8s.example.com", "kind": "Bucket", "name": "icons"}},
            "tls": [{"hosts": ["a.example.com", "*.b.example.com"], "secretName": "cert"}, {"hosts": null}],
            "rules": [
                {"host": "a.example.com", "http": {"paths": [
                    {"path": "/x", "pathType": "Exact", "backend": {"service": {"name": "s", "port": {"number": 80}}}},
                    {"pathType": "ImplementationSpecific", "backend": {"service": {"name": "1s", "port": {"name": "http"}}}},
                ]}},
                {"host": "b.example.com"},
                {"http": null},
                null,
            ],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.example.com"}, {}]}},
    })
}

fn decoded_ingress() -> Arc<crate::objects::Ingress> {
    match valid(Kind::Ingress, &full_ingress()) {
        Object::Ingress(ingress) => ingress,
        other => panic!("{other:?}"),
    }
}

#[test]
fn ingress() {
    let ingress = decoded_ingress();
    let annotations: Vec<_> = ingress.metadata.annotations.iter().collect();
    assert_eq!(
        annotations,
        [
            ("ingress.kubernetes.io/force-ssl-redirect", "true"),
            ("isobath.dev/redirect", "x"),
            ("kubernetes.io/ingress.class", "a"),
            ("nginx.ingress.kubernetes.io/rewrite-target", "/$1"),
            ("projectcontour.io/empty", ""),
            ("projectcontour.io/num-retries", "3"),
        ]
    );
    assert_eq!(ingress.metadata.name.to_string(), "shop/web");
    assert_eq!(&*ingress.metadata.uid, "u-1");
    assert_eq!(
        ingress.metadata.created,
        Some("2024-05-06T07:08:09Z".parse().unwrap())
    );
    assert_eq!(ingress.class_name.as_deref(), Some("isobath"));
    assert_eq!(
        ingress.default_backend,
        Some(IngressBackend::Resource {
            kind: "Bucket".into(),
            name: "icons".into()
        })
    );
    assert_eq!(
        *ingress.tls,
        [
            IngressTls {
                hosts: Box::new(["a.example.com".into(), "*.b.example.com".into()]),
                secret_name: Some("cert".into()),
            },
            IngressTls {
                hosts: Box::default(),
                secret_name: None
            },
        ]
    );
    assert_eq!(
        *ingress.load_balancer,
        [
            LoadBalancerAddress::Ip("192.0.2.1".into()),
            LoadBalancerAddress::Hostname("lb.example.com".into()),
        ]
    );
    let object = full_ingress().to_string();
    let decoded = decode_versioned(Kind::Ingress, &object, Rules::Stored).unwrap();
    assert_eq!(decoded.resource_version.as_deref(), Some("42"));
}

#[test]
fn rules_of_an_ingress() {
    let ingress = decoded_ingress();
    let service = |name: &str, port| IngressBackend::Service {
        name: name.into(),
        port,
    };
    let empty = |host: Option<&str>| IngressRule {
        host: host.map(Arc::from),
        paths: Box::default(),
    };
    assert_eq!(
        *ingress.rules,
        [
            IngressRule {
                host: Some("a.example.com".into()),
                paths: Box::new([
                    IngressPath {
                        path: "/x".into(),
                        path_type: PathType::Exact,
                        backend: service("s", ServiceBackendPort::Number(80)),
                    },
                    IngressPath {
                        path: "/".into(),
                        path_type: PathType::ImplementationSpecific,
                        backend: service("1s", ServiceBackendPort::Name("http".into())),
                    },
                ]),
            },
            empty(Some("b.example.com")),
            empty(None),
            empty(None),
        ]
    );
}

#[test]
fn ingress_class_and_delegation() {
    let class = json!({
        "metadata": {"name": "c", "namespace": "dropped", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
        "spec": {"controller": "isobath.dev/ingress-controller", "parameters": {"kind": "x"}},
    });
    let Object::IngressClass(class) = valid(Kind::IngressClass, &class) else {
        panic!("not a class");
    };
    assert_eq!(class.metadata.name.to_string(), "c");
    assert_eq!(&*class.controller, "isobath.dev/ingress-controller");
    assert!(class.is_default);

    let delegation = json!({
        "metadata": {"name": "d", "namespace": "certs"},
        "spec": {"delegations": [{"secretName": "s", "targetNamespaces": ["a", "*"]}]},
    });
    let object = valid(Kind::TlsCertificateDelegation, &delegation);
    let Object::TlsCertificateDelegation(delegation) = object else {
        panic!("not a delegation");
    };
    assert_eq!(
        delegation.delegations,
        [("s".into(), vec!["a".into(), "*".into()])]
    );
}

#[test]
fn service() {
    let object = json!({
        "metadata": {"name": "s", "namespace": "n"},
        "spec": {
            "type": "LoadBalancer", "clusterIP": "10.0.0.1", "ipFamilies": ["IPv6", "IPv4"],
            "sessionAffinity": "ClientIP", "publishNotReadyAddresses": true, "selector": {"app": "x"},
            "ports": [
                {"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"},
                {"name": "dns", "port": 80, "protocol": "UDP"},
                {"name": "web", "port": 443},
            ],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "not checked"}]}},
    });
    let Object::Service(service) = valid(Kind::Service, &object) else {
        panic!("not a Service");
    };
    assert_eq!(service.service_type, ServiceType::Endpoints);
    assert_eq!(*service.ip_families, [IpFamily::V6, IpFamily::V4]);
    assert_eq!(service.session_affinity, SessionAffinity::ClientIp);
    assert!(service.publish_not_ready_addresses);
    assert_eq!(
        *service.ports,
        [
            ServicePort {
                at: 0,
                name: "http".into(),
                port: 80,
                app_protocol: Some("kubernetes.io/h2c".into())
            },
            ServicePort {
                at: 2,
                name: "web".into(),
                port: 443,
                app_protocol: None
            },
        ]
    );
    let [dns] = &*service.udp_ports else {
        panic!("{:?}", service.udp_ports);
    };
    assert_eq!((dns.at, dns.port), (1, 80));
    assert_eq!(
        *service.load_balancer,
        [LoadBalancerAddress::Ip("not checked".into())]
    );
    let object = json!({
        "metadata": {"name": "s", "namespace": "n"},
        "spec": {"type": "ExternalName", "externalName": "db.example.com."},
    });
    let Object::Service(service) = valid(Kind::Service, &object) else {
        panic!("not a Service");
    };
    assert_eq!(
        service.service_type,
        ServiceType::ExternalName("db.example.com.".into())
    );
}

#[test]
fn endpoint_slice() {
    let object = json!({
        "metadata": {"name": "s-1", "namespace": "n", "labels": {"kubernetes.io/service-name": "s"}},
        "addressType": "IPv4",
        "ports": [
            {"name": "", "port": 8080, "protocol": "TCP"}, {"name": "u", "port": 53, "protocol": "UDP"},
            {"name": "all"}, {"name": "zero", "port": 0},
        ],
        "endpoints": [
            {"addresses": ["10.0.0.1", "010.0.0.02"], "conditions": {"ready": true, "serving": true, "terminating": false}, "zone": "z"},
            {"addresses": ["10.0.0.7"], "conditions": {"ready": false}},
            {"addresses": ["::ffff:10.0.0.3"], "conditions": {"ready": false, "serving": true, "terminating": true}},
            {"addresses": ["10.0.0.4"]},
        ],
    });
    let Object::EndpointSlice(slice) = valid(Kind::EndpointSlice, &object) else {
        panic!("not a slice");
    };
    let endpoint = |address: &str, (ready, serving, terminating), zone: Option<&str>| Endpoint {
        address: address.parse().unwrap(),
        ready,
        serving,
        terminating,
        zone: zone.map(Arc::from),
    };
    assert_eq!(slice.service.as_deref(), Some("s"));
    assert_eq!(slice.address_type, AddressType::V4);
    assert_eq!(
        *slice.ports,
        [("", Some(8080)), ("all", None), ("zero", None)].map(|(name, port)| EndpointPort {
            name: name.into(),
            port
        })
    );
    assert_eq!(
        *slice.endpoints,
        [
            endpoint("10.0.0.1", (true, true, false), Some("z")),
            endpoint("10.0.0.7", (false, false, false), None),
            endpoint("10.0.0.3", (false, true, true), None),
            endpoint("10.0.0.4", (true, true, false), None),
        ]
    );
}

#[test]
fn shapes() {
    let meta = r#""metadata":{"name":"i","namespace":"n"}"#;
    for (spec, expected) in [
        (
            r#""spec":{"rules":{}}"#,
            "spec.rules: invalid type: map, expected a list",
        ),
        (
            r#""spec":[]"#,
            "spec: invalid type: sequence, expected an object",
        ),
        (
            r#""spec":{"rules":[{"host":true}]}"#,
            "spec.rules[0].host: invalid type: boolean `true`, expected a string; put it in quotes",
        ),
        (
            r#""spec":{"rules":["x"]}"#,
            "spec.rules[0]: invalid type: string \"x\", expected an object",
        ),
        (
            r#""spec":{"defaultBackend":{"service":{"name":"s","port":{"number":"80"}}}}"#,
            "spec.defaultBackend.service.port.number: invalid type: string \"80\", expected a 32-bit integer; leave the quotes out",
        ),
        (
            r#""spec":{"defaultBackend":{"service":{"name":"s","port":80}}}"#,
            "spec.defaultBackend.service.port: invalid type: integer `80`, expected an object; a port has a `number` or a `name`",
        ),
        (
            r#""spec":{"defaultBackend":{"service":{"name":"s","port":{"number":4294967376}}}}"#,
            "spec.defaultBackend.service.port.number: invalid value: integer `4294967376`, expected a 32-bit integer",
        ),
        (
            r#""spec":{"defaultBackend":{"service":{"name":"s","port":{"number":80.0}}}}"#,
            "spec.defaultBackend.service.port.number: invalid type: floating point `80.0`, expected a 32-bit integer",
        ),
    ] {
        check_reason(Kind::Ingress, &format!("{{{meta},{spec}}}"), expected);
    }
    check_reason(
        Kind::Ingress,
        r#"{"metadata":{"name":"i","namespace":"n","annotations":{"a":true}}}"#,
        "metadata.annotations.a: invalid type: boolean `true`, expected a string; put it in quotes",
    );
    check_reason(
        Kind::Ingress,
        r#"{"metadata":{"name":"i","namespace":"n","creationTimestamp":"yesterday"},"spec":{"rules":[{}]}}"#,
        "metadata.creationTimestamp: Invalid value: \"yesterday\": must be a time as in RFC 3339, such as 2006-01-02T15:04:05Z",
    );
}

/// What kubectl keeps of an object is not read, but counts; a quotation mark in it is two bytes as written, and one.
#[test]
fn what_kubectl_keeps_has_a_length() {
    const KEY: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let with = |value: &str| {
        let metadata =
            format!(r#"{{"name":"i","namespace":"n","annotations":{{"{KEY}":{value}}}}}"#);
        format!(r#"{{"metadata":{metadata},"spec":{{"rules":[{{}}]}}}}"#)
    };
    let quotes = |count: usize| with(&format!("\"{}\"", "\\\"".repeat(count)));
    let most = 256 * 1024 - KEY.len();
    for valid in [quotes(most), quotes(0), with("null")] {
        assert!(matches!(
            decode(Kind::Ingress, &valid),
            Ok(Object::Ingress(_))
        ));
    }
    check_reason(
        Kind::Ingress,
        &quotes(most + 1),
        "metadata.annotations: Too long: may not be more than 262144 bytes",
    );
    check_reason(
        Kind::Ingress,
        &with("5"),
        "metadata.annotations: invalid type: value that is no text, expected a string",
    );
}

#[test]
fn heads() {
    let json = r#"{"kind":"Service","metadata":{"name":"s","namespace":"n","resourceVersion":"7"},"spec":5}"#;
    let expected = Head {
        reference: ObjectRef::new(Kind::Service, "n", "s"),
        resource_version: Some("7".to_owned()),
    };
    assert_eq!(head(Kind::Service, json), Ok(expected));
    let bookmark = r#"{"kind":"Service","metadata":{"resourceVersion":"9","creationTimestamp":null},"spec":{}}"#;
    assert_eq!(
        decode(Kind::Service, bookmark).unwrap_err(),
        Undecodable::Nameless
    );
    for nameless in [
        r#"{}"#,
        r#"{"metadata":null}"#,
        r#"{"metadata":["s"]}"#,
        r#"{"metadata":{"name":""}}"#,
        r#"{"metadata":{"name":5}}"#,
        r#"{"metadata":{"name":{"name":"s"}}}"#,
    ] {
        let error = decode(Kind::Ingress, nameless).unwrap_err();
        assert_eq!(error, Undecodable::Nameless, "{nameless}");
    }
    for no_object in ["", "{", "null x", "[1]", "\"x\"", "{\"metadata\":"] {
        let error = decode(Kind::Ingress, no_object).unwrap_err();
        assert!(
            matches!(error, Undecodable::NotAnObject { .. }),
            "{no_object}"
        );
    }
    let undecodable = decode_versioned(Kind::Service, json, Rules::Stored).unwrap();
    assert_eq!(undecodable.resource_version.as_deref(), Some("7"));
    assert!(matches!(undecodable.object, Object::Invalid(_)));
}

/// Stored objects are exempt from rules that came after them.
#[test]
fn stored_objects_are_judged_more_mildly() {
    for (kind, object, reason) in [
        (
            Kind::Ingress,
            json!({"metadata": {"name": "i", "namespace": "n"}, "spec": {"rules": [{}], "tls": [{"secretName": "a/B"}]}}),
            "spec.tls[0].secretName: Invalid value: \"a/B\": a lowercase RFC 1123 subdomain",
        ),
        (
            Kind::Ingress,
            json!({
                "metadata": {"name": "i", "namespace": "n", "annotations": {"kubernetes.io/ingress.class": "a"}},
                "spec": {"rules": [{}], "ingressClassName": "b"},
            }),
            "annotations.kubernetes.io/ingress.class: Invalid value: \"a\": must match",
        ),
        (
            Kind::EndpointSlice,
            json!({"metadata": {"name": "e", "namespace": "n"}, "addressType": "IPv6", "endpoints": [{"addresses": ["2001:DB8::1"]}]}),
            "endpoints[0].addresses[0]: Invalid value: \"2001:DB8::1\": must be in canonical form (\"2001:db8::1\")",
        ),
        (
            Kind::EndpointSlice,
            json!({"metadata": {"name": "e", "namespace": "n"}, "addressType": "IPv4", "endpoints": [{"addresses": ["010.0.0.1"]}]}),
            "endpoints[0].addresses[0]: Invalid value: \"010.0.0.1\": must not have leading 0s",
        ),
    ] {
        valid(kind, &object);
        let json = object.to_string();
        let new = decode_versioned(kind, &json, Rules::Create).unwrap().object;
        let Object::Invalid(invalid) = new else {
            panic!("{new:?}");
        };
        assert!(invalid.reason.starts_with(reason), "{}", invalid.reason);
    }
}

#[test]
fn sloppy_addresses() {
    for (text, expected) in [
        ("1.2.3.4", Some("1.2.3.4")),
        ("001.02.3.00000004", Some("1.2.3.4")),
        ("::ffff:010.0.0.1", Some("10.0.0.1")),
        ("::1", Some("::1")),
        ("1.2.3", None),
        ("1.2.3.4.5", None),
        ("1.2.3.256", None),
        ("1..3.4", None),
        ("0x1.2.3.4", None),
        ("+1.2.3.4", None),
        ("fe80::1%eth0", None),
        ("", None),
        (":", None),
    ] {
        let expected = expected.map(|ip| ip.parse::<IpAddr>().unwrap());
        let found = crate::objects::validate::parse_ip_sloppy(text);
        assert_eq!(found, expected, "{text}");
    }
}
