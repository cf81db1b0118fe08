#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::super::super::gateway_api::{
    AltName, CONTROLLER, ConditionStatus, Filter, FrontendValidation, GROUP, HttpRoute, PathMatch,
    PathModifier, RouteNamespaces,
};
use super::super::super::{Gateway, Kind, Object};
use super::super::decode;

fn decoded(kind: Kind, spec: &Value, status: &Value) -> Object {
    let object = json!({
        "metadata": {"name": "x", "namespace": "default", "generation": 7},
        "spec": spec,
        "status": status,
    });
    decode(kind, &object.to_string()).unwrap()
}

fn route(spec: &Value) -> HttpRoute {
    match decoded(Kind::HttpRoute, spec, &json!(null)) {
        Object::HttpRoute(route) => (*route).clone(),
        other => panic!("{other:?}"),
    }
}

fn gateway(spec: &Value, status: &Value) -> Gateway {
    match decoded(Kind::Gateway, spec, status) {
        Object::Gateway(gateway) => (*gateway).clone(),
        other => panic!("{other:?}"),
    }
}

/// What the schema fills in is filled in.
#[test]
fn what_is_not_said_is_what_the_schema_says() {
    let made = route(&json!({"parentRefs": [{"name": "edge"}]}));
    assert_eq!(made.rules.len(), 1);
    assert_eq!(made.head.generation, 7);
    let parent = &made.head.parents[0];
    assert_eq!((&*parent.group, &*parent.kind), (GROUP, "Gateway"));
    let made = route(&json!({"rules": [{
        "matches": [{"path": {}}, {}],
        "filters": [
            {"type": "RequestRedirect", "requestRedirect": {}},
            {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "a"}, "fraction": {"numerator": 1}}},
            {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "a"}}},
            {"type": "CORS", "cors": {}},
            {"type": "ExternalAuth", "externalAuth": {}},
        ],
        "backendRefs": [{"name": "a", "port": 80}],
        "retry": {},
    }]}));
    let rule = &made.rules[0];
    assert_eq!(rule.matches[0].path, Some(PathMatch::Prefix("/".into())));
    assert_eq!(rule.matches[1].path, None);
    let backend = &rule.backends[0].backend;
    assert_eq!((&*backend.object.kind, backend.weight), ("Service", 1));
    assert_eq!(rule.retry.as_ref().unwrap().attempts, 1);
    let [
        Filter::RequestRedirect(redirect),
        Filter::RequestMirror(part),
        Filter::RequestMirror(all),
        Filter::Cors(cors),
        Filter::Other(other),
    ] = &*rule.filters
    else {
        panic!("{:?}", rule.filters);
    };
    assert_eq!(
        (redirect.status, cors.max_age, &**other),
        (302, 5, "ExternalAuth")
    );
    assert_eq!((part.fraction, all.fraction), ((1, 100), (100, 100)));
    let rewrite =
        json!({"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch"}}});
    let made = route(&json!({"rules": [{"filters": [rewrite]}]}));
    let Filter::UrlRewrite(rewrite) = &made.rules[0].filters[0] else {
        panic!("{made:?}");
    };
    assert_eq!(
        rewrite.path,
        Some(PathModifier::ReplacePrefixMatch("".into()))
    );
}

#[test]
fn a_gateway_with_everything() {
    let made = gateway(
        &json!({
            "gatewayClassName": "isobath",
            "listeners": [{
                "name": "web", "port": 443, "protocol": "HTTPS", "hostname": "*.example.com",
                "tls": {"certificateRefs": [{"name": "cert"}], "options": {"a.example/b": "c"}},
                "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"a": "b"}}}, "kinds": [{"kind": "HTTPRoute"}]},
                "filters": {"requests": [{"type": "ExternalAuth"}]},
            }, {"name": "clear", "port": 80, "protocol": "HTTP"}],
            "addresses": [{"value": "192.0.2.1"}, {"type": "Hostname"}],
            "infrastructure": {"labels": {"b": "1", "a": "2"}},
            "allowedListeners": {"namespaces": {"from": "All"}},
            "tls": {
                "backend": {"clientCertificateRef": {"name": "own"}},
                "frontend": {"default": {"validation": {"caCertificateRefs": [{"name": "ca", "kind": "ConfigMap", "group": ""}]}},
                             "perPort": [{"port": 8443, "tls": {"validation": {"caCertificateRefs": [], "mode": "AllowInsecureFallback"}}}]},
            },
        }),
        &json!({
            "addresses": [{"type": "IPAddress", "value": "192.0.2.1"}],
            "conditions": [
                {"type": "Programmed", "status": "False", "reason": "Pending", "observedGeneration": 3},
                {"type": "Foreign", "status": "True"},
                {"type": "Accepted", "status": "True"},
            ],
            "listeners": [{"name": "web", "attachedRoutes": 4, "supportedKinds": [{"group": GROUP, "kind": "HTTPRoute"}]}],
        }),
    );
    let listener = &made.listeners[0];
    assert!(listener.has_filters && made.allows_listener_sets);
    let tls = listener.tls.as_ref().unwrap();
    assert_eq!(
        (&*tls.certificates[0].kind, tls.option.as_deref()),
        ("Secret", Some("a.example/b"))
    );
    let RouteNamespaces::Selector(selector) = &listener.allowed_routes.namespaces else {
        panic!("{listener:?}");
    };
    assert_eq!(selector.labels.len(), 1);
    assert_eq!(
        made.listeners[1].allowed_routes.namespaces,
        RouteNamespaces::Same
    );
    let kinds: Vec<&str> = made.addresses.iter().map(|it| &*it.kind).collect();
    assert_eq!(kinds, ["IPAddress", "Hostname"]);
    assert_eq!(&*made.infrastructure.labels[0].0, "a");
    assert_eq!(&*made.client_certificate.unwrap().name, "own");
    assert_eq!(made.frontend.default.unwrap().authorities.len(), 1);
    let (port, validation) = &made.frontend.per_port[0];
    let mode = validation.as_ref().unwrap().mode;
    assert_eq!(
        (*port, mode),
        (8443, FrontendValidation::AllowInsecureFallback)
    );
    let conditions = made.status.conditions.iter();
    let conditions: Vec<_> = conditions
        .map(|it| (&*it.kind, it.status, it.observed_generation))
        .collect();
    assert_eq!(
        conditions,
        [
            ("Accepted", ConditionStatus::True, 0),
            ("Programmed", ConditionStatus::False, 3)
        ]
    );
    assert_eq!(made.status.listeners[0].attached_routes, 4);
}

#[test]
fn a_policy_with_everything() {
    let decoded = decoded(
        Kind::BackendTlsPolicy,
        &json!({
            "targetRefs": [{"group": "", "kind": "Service", "name": "a", "sectionName": "https"}, {"group": "g", "kind": "Service", "name": "b"}],
            "validation": {
                "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}],
                "hostname": "a.test",
                "subjectAltNames": [{"type": "URI", "uri": "spiffe://a/b"}, {"type": "Hostname", "hostname": "b.test"}],
            },
            "options": {"example.com/a": "b"},
        }),
        &json!({"ancestors": [
            {"ancestorRef": {"name": "theirs"}, "controllerName": "example.com/other", "conditions": []},
            {"ancestorRef": {"name": "edge", "namespace": "b"}, "controllerName": CONTROLLER, "conditions": [{"type": "Accepted", "status": "True"}]},
        ]}),
    );
    let Object::BackendTlsPolicy(made) = decoded else {
        panic!("{decoded:?}");
    };
    assert!(made.targets("a", Some("https")) && !made.targets("a", None));
    assert!(!made.targets("b", None), "of another group");
    assert_eq!(made.validation.authorities.len(), 1);
    let names = [
        AltName::Uri("spiffe://a/b".into()),
        AltName::Hostname("b.test".into()),
    ];
    assert_eq!(*made.validation.names, names);
    assert_eq!(made.option.as_deref(), Some("example.com/a"));
    let [ours] = &*made.status.parents else {
        panic!("{:?}", made.status);
    };
    assert_eq!((&*ours.parent.name, ours.conditions.len()), ("edge", 1));
}

/// The schema takes these; what is wrong with them is said on the object.
#[test]
fn what_the_schema_takes_is_decoded() {
    let path = |kind: &str, field: &str| json!({"type": "URLRewrite", "urlRewrite": {"path": {"type": kind, field: "new"}}});
    for filter in [
        path("ReplaceFullPath", "replaceFullPath"),
        path("ReplacePrefixMatch", "replacePrefixMatch"),
    ] {
        let made = route(&json!({"rules": [{"filters": [filter]}]}));
        assert!(matches!(made.rules[0].filters[0], Filter::UrlRewrite(_)));
    }
    let made = route(&json!({"rules": [{"retry": {"attempts": 5_000_000_000_u64}}]}));
    assert_eq!(made.rules[0].retry.as_ref().unwrap().attempts, u32::MAX);
    let expression = json!({"key": "a", "operator": "Like", "values": ["b"]});
    let selector = json!({"from": "Selector", "selector": {"matchExpressions": [expression]}});
    let made = gateway(
        &json!({"gatewayClassName": "a", "listeners": [
            {"name": "b", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": selector}},
        ]}),
        &json!(null),
    );
    let RouteNamespaces::Selector(selector) = &made.listeners[0].allowed_routes.namespaces else {
        panic!("{made:?}");
    };
    assert!(selector.check().is_err());
}

/// In the API server's words (1.36 with the definitions of v1.7).
#[test]
fn what_the_schema_refuses() {
    let rule = |rule: Value| json!({"rules": [rule]});
    for (kind, spec, expected) in [
        (
            Kind::Gateway,
            json!({"listeners": [{}]}),
            "spec.gatewayClassName: Required value",
        ),
        (
            Kind::Gateway,
            json!({"gatewayClassName": "a"}),
            "spec.listeners: Required value",
        ),
        (
            Kind::Gateway,
            json!({"gatewayClassName": "a", "listeners": []}),
            "spec.listeners: Invalid value: 0: spec.listeners in body should have at least 1 items",
        ),
        (
            Kind::Gateway,
            json!({"gatewayClassName": "a", "listeners": [{"name": "b", "port": 0, "protocol": "HTTP"}]}),
            "spec.listeners[0].port: Invalid value: 0: spec.listeners[0].port in body should be greater than or equal to 1",
        ),
        (
            Kind::GatewayClass,
            json!({}),
            "spec.controllerName: Required value",
        ),
        (
            Kind::ReferenceGrant,
            json!({"from": []}),
            "spec.to: Required value",
        ),
        (
            Kind::BackendTlsPolicy,
            json!({"targetRefs": [{"group": "", "kind": "Service", "name": "a"}], "validation": {"hostname": "a.test"}}),
            "spec.validation: Invalid value: \"\": must specify either CACertificateRefs or WellKnownCACertificates",
        ),
        (
            Kind::BackendTlsPolicy,
            json!({"targetRefs": [{"group": "", "name": "a"}], "validation": {"hostname": "a.test", "wellKnownCACertificates": "System"}}),
            "spec.targetRefs[0].kind: Required value",
        ),
        (
            Kind::HttpRoute,
            rule(json!({"backendRefs": [{"port": 80}]})),
            "spec.rules[0].backendRefs[0].name: Required value",
        ),
        (
            Kind::HttpRoute,
            rule(json!({"filters": [{"type": "URLRewrite"}]})),
            "spec.rules[0].filters[0].urlRewrite: Required value",
        ),
        (
            Kind::HttpRoute,
            rule(json!({"matches": [{"path": {"value": "a"}}]})),
            "spec.rules[0].matches[0].path: Invalid value: \"a\": value must be an absolute path and start with '/'",
        ),
        (
            Kind::HttpRoute,
            json!({"hostnames": ["A.example.com"]}),
            "spec.hostnames[0]: Invalid value: \"A.example.com\"",
        ),
        (
            Kind::HttpRoute,
            rule(json!({"backendRefs": [{"name": "a", "weight": 1_000_001}]})),
            "spec.rules[0].backendRefs[0].weight: Invalid value: 1000001",
        ),
    ] {
        let Object::Invalid(invalid) = decoded(kind, &spec, &json!(null)) else {
            panic!("{spec} is taken");
        };
        assert!(
            invalid.reason.starts_with(expected),
            "{spec}: {}",
            invalid.reason
        );
    }
}
