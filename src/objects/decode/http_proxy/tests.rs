//! HTTPProxies and ExtensionServices, and what the schema refuses of them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::super::http_proxy::*;
use super::super::super::{ExtensionService, HttpProxy, Kind, LoadBalancerAddress, Object};
use super::super::decode;

fn decoded(kind: Kind, object: &Value) -> Object {
    decode(kind, &object.to_string()).unwrap()
}

fn proxy(spec: &Value) -> Arc<HttpProxy> {
    let object =
        json!({"metadata": {"name": "a", "namespace": "n", "generation": 7}, "spec": spec});
    match decoded(Kind::HttpProxy, &object) {
        Object::HttpProxy(proxy) => proxy,
        other => panic!("{other:?}"),
    }
}

fn refused(kind: Kind, spec: &Value) -> String {
    let object = json!({"metadata": {"name": "a", "namespace": "n"}, "spec": spec});
    let object = decoded(kind, &object);
    let is_guard = matches!(&object, Object::HttpProxy(_));
    assert!(
        is_guard || matches!(&object, Object::Invalid(_)),
        "{object:?}"
    );
    let why = object.wrong();
    why.unwrap_or_else(|| panic!("{object:?}")).to_owned()
}

/// What guards a host keeps it where the rest is wrong, under the class that it names.
#[test]
fn a_wrong_guard_keeps_its_host() {
    let kept = |spec: &Value, head: &Value| {
        let metadata = merged(json!({"name": "a", "namespace": "n"}), head);
        let status = json!({"currentStatus": "invalid"});
        let object = json!({"metadata": metadata, "spec": spec, "status": status});
        match decoded(Kind::HttpProxy, &object) {
            Object::HttpProxy(proxy) => Some(proxy),
            Object::Invalid(_) => None,
            other => panic!("{other:?}"),
        }
    };
    let wrong = |host: &Value| {
        let host = merged(json!({"fqdn": "h.test"}), host);
        json!({"virtualhost": host, "routes": 1, "ingressClassName": "edge"})
    };
    for guard in [
        json!({"tls": {"clientValidation": {}}}),
        json!({"tls": {"minimumProtocolVersion": 1.3}}),
        json!({"tls": {"passthrough": "true"}}),
        json!({"authorization": {}}),
        json!({"jwtProviders": 1}),
        json!({"ipAllowPolicy": "x"}),
        json!({"ipDenyPolicy": [null]}),
        json!({"rateLimitPolicy": {"local": {}}}),
        json!({"ipDenyPolicy": [], "fqdn": "H.TEST"}),
    ] {
        let proxy = kept(&wrong(&guard), &json!({})).unwrap_or_else(|| panic!("{guard}"));
        let host = proxy.virtual_host.as_ref().unwrap();
        assert_eq!(&*host.fqdn, "h.test", "{guard}");
        assert_eq!(proxy.class_name.as_deref(), Some("edge"));
        assert_eq!(&*proxy.status.current_status, "invalid");
        assert!(proxy.wrong.is_some());
    }
    for none in [
        json!({}),
        json!({"tls": {"secretName": "x"}}),
        json!({"tls": "x", "ipDenyPolicy": null}),
        json!({"ipDenyPolicy": [], "fqdn": "*"}),
        json!({"ipDenyPolicy": [], "fqdn": 1}),
    ] {
        assert_eq!(kept(&wrong(&none), &json!({})), None, "{none}");
    }
    // Where metadata are wrong too, nothing is known of them but the name.
    let head = json!({"annotations": {"kubernetes.io/ingress.class": 1}, "generation": 3});
    let proxy = kept(&wrong(&json!({"ipDenyPolicy": []})), &head).unwrap();
    assert_eq!((&*proxy.metadata.name.name, proxy.generation), ("a", 0));
}

fn route(rest: &Value) -> Value {
    let mut route = json!({"services": [{"name": "a", "port": 80}]});
    let fields = rest.as_object().unwrap().clone();
    route.as_object_mut().unwrap().extend(fields);
    json!({"routes": [route]})
}

/// What the definition fills in, and what it leaves as it is.
#[test]
fn defaults() {
    let empty = proxy(&json!({"virtualhost": null, "routes": null, "ingressClassName": ""}));
    assert_eq!(empty.generation, 7);
    assert_eq!((&empty.class_name, &empty.virtual_host), (&None, &None));
    assert_eq!(*empty.status, Status::default());
    let plain = proxy(&route(&json!({"timeoutPolicy": null})));
    assert_eq!(plain.routes[0].policies, None);
    assert_eq!(plain.routes[0].services[0].policies, None);
    let policies = proxy(&route(&json!({
        "services": [{"name": "a", "port": 80.0, "slowStartPolicy": {"window": "3s"}}],
        "retryPolicy": {},
        "requestRedirectPolicy": {},
        "internalRedirectPolicy": {},
        "authPolicy": {"context": {"b": "2", "a": null}},
        "rateLimitPolicy": {"global": {"descriptors": [{"entries": [
            {"requestHeaderValueMatch": {"value": "x"}}, {"remoteAddress": {}},
        ]}]}},
    })));
    let of_route = policies.routes[0].policies.as_ref().unwrap();
    assert_eq!(of_route.retry_policy.as_ref().unwrap().count, 1);
    let redirect = of_route.request_redirect_policy.as_ref().unwrap();
    assert_eq!((redirect.status_code, redirect.port), (302, None));
    let internal = of_route.internal_redirect_policy.as_ref().unwrap();
    assert_eq!(&*internal.allow_cross_scheme_redirect, "Never");
    let context = &of_route.auth_policy.as_ref().unwrap().context;
    assert_eq!(
        **context,
        [("a".into(), "".into()), ("b".into(), "2".into())]
    );
    let limits = of_route.rate_limit_policy.as_ref().unwrap();
    let entries = &limits.global.as_ref().unwrap().descriptors[0];
    assert!(
        entries[0]
            .request_header_value_match
            .as_ref()
            .unwrap()
            .expect_match
    );
    assert!(entries[1].remote_address);
    let service = &policies.routes[0].services[0];
    assert_eq!(service.port, 80);
    let slow = service
        .policies
        .as_ref()
        .unwrap()
        .slow_start_policy
        .as_ref();
    let slow = slow.unwrap();
    assert_eq!((&*slow.aggression, slow.min_weight_percent), ("1.0", 10));
    let host = proxy(&json!({"virtualhost": {
        "fqdn": "*.a.test",
        "authorization": {"withRequestBody": {}},
    }}));
    let host = host.virtual_host.as_ref().unwrap();
    let body = host.authorization.as_ref().unwrap().with_request_body;
    assert_eq!(body.unwrap().max_request_bytes, 1024);
    let tcp = proxy(&json!({"tcpproxy": {"includes": {"name": "old"}}}));
    let include = tcp.tcp_proxy.as_ref().unwrap().include.clone();
    assert_eq!(include, Some(("old".into(), "".into())));
    let tcp = json!({"tcpproxy": {"includes": {"name": "old"}, "include": {"name": "new", "namespace": "m"}}});
    let include = proxy(&tcp).tcp_proxy.as_ref().unwrap().include.clone();
    assert_eq!(include, Some(("new".into(), "m".into())));
    let validation = |names: Value| {
        let validation = json!({"caSecret": "ca", "subjectName": "a.test", "subjectNames": names});
        let service = json!({"name": "a", "port": 80, "validation": validation});
        let proxy = proxy(&route(&json!({"services": [service]})));
        let policies = proxy.routes[0].services[0].policies.clone().unwrap();
        policies.validation.unwrap().subject_names
    };
    assert_eq!(*validation(json!(null)), ["a.test".into()]);
    assert_eq!(
        *validation(json!(["a.test", "b.test"])),
        ["a.test".into(), "b.test".into()]
    );
}

/// No route depends on it, and it is read whatever else it holds.
#[test]
fn status_of_a_proxy() {
    let error =
        json!({"type": "TLSError", "reason": "SecretNotValid", "status": "True", "message": "m"});
    let object = json!({
        "metadata": {"name": "a", "namespace": "n"},
        "spec": {},
        "status": {
            "currentStatus": "invalid",
            "description": "d",
            "conditions": [
                {"type": "Other", "status": "False"},
                {"type": "Valid", "status": "False", "observedGeneration": 3, "reason": "ErrorPresent", "message": "d",
                 "errors": [error], "lastTransitionTime": "2024-01-01T00:00:00Z"},
            ],
            "loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]},
        },
    });
    let Object::HttpProxy(with_status) = decoded(Kind::HttpProxy, &object) else {
        panic!("{object}");
    };
    let error = SubCondition {
        kind: "TLSError".into(),
        reason: "SecretNotValid".into(),
        message: "m".into(),
    };
    let expected = Status {
        current_status: "invalid".into(),
        description: "d".into(),
        valid: Some(ValidCondition {
            status: "False".into(),
            observed_generation: 3,
            reason: "ErrorPresent".into(),
            message: "d".into(),
            errors: [error].into(),
            warnings: Box::default(),
        }),
        load_balancer: [LoadBalancerAddress::Ip("192.0.2.1".into())].into(),
    };
    assert_eq!(*with_status.status, expected);
    let mut without = HttpProxy::clone(&with_status);
    without.status = Arc::default();
    without.generation = 9;
    assert!(with_status.same_spec(&without));
    without.class_name = Some("x".into());
    assert!(!with_status.same_spec(&without));
}

#[test]
fn extension_services() {
    let object = |spec: Value| json!({"metadata": {"name": "a", "namespace": "n"}, "spec": spec});
    let extension = |spec| -> Arc<ExtensionService> {
        match decoded(Kind::ExtensionService, &object(spec)) {
            Object::ExtensionService(service) => service,
            other => panic!("{other:?}"),
        }
    };
    let some = extension(json!({
        "services": [{"name": "a", "port": 80, "weight": 3}],
        "circuitBreakerPolicy": {"maxRetries": 2},
        "timeoutPolicy": {"response": "infinity"},
    }));
    assert_eq!((some.services.len(), some.services[0].weight), (1, 3));
    assert_eq!(&*some.protocol, "h2");
    assert_eq!(some.circuit_breaker_policy.unwrap().max_retries, 2);
    assert!(extension(json!(null)).services.is_empty());
    for (spec, expected) in [
        (json!({}), "spec.services: Required value"),
        (
            json!({"services": []}),
            "spec.services: Invalid value: 0: spec.services in body should have at least 1 items",
        ),
        (
            json!({"services": [{"name": "a", "port": 1}], "protocol": "tls"}),
            "spec.protocol: Unsupported value: \"tls\": supported values: \"h2\", \"h2c\"",
        ),
        (
            json!({"services": [{"name": "a", "port": 1}], "protocolVersion": "v2"}),
            "spec.protocolVersion: Unsupported value: \"v2\": supported values: \"v3\"",
        ),
    ] {
        assert_eq!(refused(Kind::ExtensionService, &spec), expected);
    }
}

fn merged(mut object: Value, rest: &Value) -> Value {
    let fields = rest.as_object().unwrap().clone();
    object.as_object_mut().unwrap().extend(fields);
    object
}

fn check_refused(spec: &Value, expected: &str) {
    let reason = refused(Kind::HttpProxy, spec);
    assert!(reason.contains(expected), "{reason}");
    assert!(reason.starts_with("spec"), "{reason}");
}

/// Words that an API server has for it; all of them are compared in `tests/validation.rs`.
#[test]
fn what_the_schema_refuses_of_routes() {
    let service = |rest: Value| {
        let service = merged(json!({"name": "a", "port": 80}), &rest);
        route(&json!({"services": [service]}))
    };
    let subjects = json!({"caSecret": "ca", "subjectName": "x.test", "subjectNames": ["y.test"]});
    let why = "subjectNames[0] must equal subjectName if set";
    check_refused(&service(json!({"validation": subjects})), why);
    check_refused(&service(json!({"protocol": "http"})), "Unsupported value");
    check_refused(
        &service(json!({"weight": -1})),
        "greater than or equal to 0",
    );
    check_refused(&service(json!({"port": 65536})), "less than 65536");
    for (field, value, expected) in [
        ("timeoutPolicy", json!({"response": "ten"}), "should match"),
        (
            "retryPolicy",
            json!({"retryOn": ["bogus"]}),
            "Unsupported value",
        ),
        ("retryPolicy", json!({"count": -2}), "equal to -1"),
        (
            "requestRedirectPolicy",
            json!({"hostname": "*.x.test"}),
            "should match",
        ),
        (
            "internalRedirectPolicy",
            json!({"allowCrossSchemeRedirect": "Bogus"}),
            "Unsupported value",
        ),
        (
            "internalRedirectPolicy",
            json!({"redirectResponseCodes": [310]}),
            "Unsupported value",
        ),
        (
            "cookieRewritePolicies",
            json!([{"name": "s;x", "secure": true}]),
            "should match",
        ),
        (
            "healthCheckPolicy",
            json!({"path": "/", "expectedStatuses": [{"start": 99, "end": 200}]}),
            "equal to 100",
        ),
    ] {
        check_refused(&route(&json!({field: value})), expected);
    }
    for (spec, expected) in [
        (json!(null), "spec: Required value"),
        (
            json!({"includes": [{}]}),
            "spec.includes[0].name: Required value",
        ),
        (
            json!({"routes": {}}),
            "spec.routes: invalid type: map, expected a list",
        ),
    ] {
        check_refused(&spec, expected);
    }
}

#[test]
fn what_the_schema_refuses_of_hosts() {
    let host = |rest: Value| json!({"virtualhost": merged(json!({"fqdn": "h"}), &rest)});
    let cors = |rest: Value| {
        let cors = json!({"allowOrigin": ["https://ok.test"], "allowMethods": ["GET"]});
        host(json!({"corsPolicy": merged(cors, &rest)}))
    };
    let limit = |requests, unit| {
        host(json!({"rateLimitPolicy": {"local": {"requests": requests, "unit": unit}}}))
    };
    let jwks = json!({"uri": "http://x", "timeout": "x"});
    for (spec, expected) in [
        (host(json!({"fqdn": "UP.h"})), "should match"),
        (host(json!({"fqdn": "*"})), "should match"),
        (host(json!({"fqdn": ""})), "should match"),
        (
            host(json!({"fqdn": null})),
            "spec.virtualhost.fqdn: Required value",
        ),
        (cors(json!({"maxAge": "-10m"})), "should match"),
        (cors(json!({"allowMethods": []})), "at least 1 items"),
        (
            host(json!({"ipAllowPolicy": [{"source": "Both", "cidr": "1.1.1.1"}]})),
            "Unsupported value",
        ),
        (limit(1, "day"), "Unsupported value"),
        (limit(0, "hour"), "greater than or equal to 1"),
        (
            host(json!({"jwtProviders": [{"name": "p", "remoteJWKS": jwks}]})),
            "should match",
        ),
    ] {
        check_refused(&spec, expected);
    }
}
