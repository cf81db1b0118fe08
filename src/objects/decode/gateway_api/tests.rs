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
                             "perPort": [{"port": 8443, "tls": {"validation": {"caCertificateRefs": [{"name": "other", "kind": "ConfigMap", "group": ""}], "mode": "AllowInsecureFallback"}}}]},
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
    assert!(listener.has_filters);
    assert_eq!(made.allowed_listeners, RouteNamespaces::All);
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
    let validation = made.validation.as_ref().unwrap();
    assert_eq!(validation.authorities.len(), 1);
    assert_eq!(made.others, 1);
    let names = [
        AltName::Uri("spiffe://a/b".into()),
        AltName::Hostname("b.test".into()),
    ];
    assert_eq!(*validation.names, names);
    assert_eq!(made.option.as_deref(), Some("example.com/a"));
    let [ours] = &*made.status.parents else {
        panic!("{:?}", made.status);
    };
    assert_eq!((&*ours.parent.name, ours.conditions.len()), ("edge", 1));
}

/// Whatever is wrong with a policy, what it is about stays, so that nobody speaks to it in clear: too much rather than too little.
#[test]
fn a_policy_that_is_wrong_keeps_its_targets() {
    let good = json!({"hostname": "a.test", "wellKnownCACertificates": "System"});
    let target = json!({"group": "", "kind": "Service", "name": "a", "sectionName": "https"});
    let named = json!([{"name": "a"}]);
    for (targets, validation, expected, of_section) in [
        (
            json!([target]),
            json!({}),
            "spec.validation.hostname: Required value",
            Some("https"),
        ),
        (
            json!([target]),
            json!(5),
            "spec.validation: invalid type: integer `5`, expected an object",
            Some("https"),
        ),
        (
            json!([target]),
            json!({"hostname": "*.a.test", "wellKnownCACertificates": "System"}),
            "spec.validation.hostname: Invalid value",
            Some("https"),
        ),
        (
            json!([target]),
            json!({"hostname": "a.test"}),
            "spec.validation: Invalid value: \"\": must specify either",
            Some("https"),
        ),
        (
            json!([target]),
            json!({"hostname": "a.test", "wellKnownCACertificates": "System", "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]}),
            "spec.validation: Invalid value: \"\": must not contain both",
            Some("https"),
        ),
        (
            json!([target]),
            json!({"hostname": "a.test", "wellKnownCACertificates": "System", "subjectAltNames": [{"type": "URI", "uri": "a:b", "hostname": "a.test"}]}),
            "spec.validation.subjectAltNames[0]: Invalid value: \"\": SubjectAltName element must not contain Hostname",
            Some("https"),
        ),
        (
            json!([{"group": "", "kind": "Service", "name": "a", "sectionName": 5}]),
            good.clone(),
            "spec.targetRefs[0].sectionName: invalid type",
            None,
        ),
        (
            json!([null, 5, {"name": ""}, {"name": "a"}]),
            good.clone(),
            "spec.targetRefs[1]: invalid type",
            None,
        ),
        (
            named,
            good.clone(),
            "spec.targetRefs[0].group: Required value",
            None,
        ),
    ] {
        let spec = json!({"targetRefs": targets, "validation": validation});
        let status = json!({"ancestors": [{"ancestorRef": {"name": "theirs"}, "controllerName": "example.com/other"}]});
        let object = decoded(Kind::BackendTlsPolicy, &spec, &status);
        let why = object.wrong().unwrap_or_default().to_owned();
        assert!(why.starts_with(expected), "{spec}: {why}");
        let Object::BackendTlsPolicy(made) = object else {
            panic!("{object:?}");
        };
        assert!(made.targets("a", of_section), "{spec}: {made:?}");
        assert_eq!((made.others, made.generation), (1, 7));
    }
}

/// One that is about nothing closes nothing.
#[test]
fn a_policy_about_nothing_is_wrong_as_a_whole() {
    for spec in [
        json!({}),
        json!({"targetRefs": 5}),
        json!({"targetRefs": [{"name": ""}]}),
        json!(null),
    ] {
        let object = decoded(Kind::BackendTlsPolicy, &spec, &json!(null));
        assert!(matches!(object, Object::Invalid(_)), "{spec}");
    }
}

/// The API server takes an empty list beside what is known by name, and the experimental channel an empty text beside a list.
#[test]
fn what_is_empty_is_not_said() {
    let ca = json!([{"group": "", "kind": "ConfigMap", "name": "ca"}]);
    for (validation, count) in [
        (
            json!({"hostname": "a.test", "wellKnownCACertificates": "System", "caCertificateRefs": []}),
            0,
        ),
        (
            json!({"hostname": "a.test", "wellKnownCACertificates": "", "caCertificateRefs": ca}),
            1,
        ),
    ] {
        let spec = json!({"targetRefs": [{"group": "", "kind": "Service", "name": "a"}], "validation": validation});
        let object = decoded(Kind::BackendTlsPolicy, &spec, &json!(null));
        let Object::BackendTlsPolicy(made) = object else {
            panic!("{object:?}");
        };
        let made = made.validation.as_ref().unwrap();
        assert_eq!(
            (made.authorities.len(), made.well_known.is_some()),
            (count, count == 0)
        );
    }
}

/// A route of what is not looked into: by TLS it has names, and else none.
#[test]
fn a_route_that_is_not_looked_into_has_one_rule() {
    let spec =
        json!({"hostnames": ["a.test"], "rules": [{"backendRefs": [{"name": "a", "port": 80}]}]});
    for (kind, names) in [
        (Kind::TlsRoute, 1),
        (Kind::TcpRoute, 0),
        (Kind::UdpRoute, 0),
    ] {
        let (head, backends) = match decoded(kind, &spec, &json!(null)) {
            Object::TlsRoute(made) => (made.head.clone(), made.backends.len()),
            Object::TcpRoute(made) => (made.head.clone(), made.backends.len()),
            Object::UdpRoute(made) => (made.head.clone(), made.backends.len()),
            other => panic!("{other:?}"),
        };
        assert_eq!((head.hostnames.len(), backends), (names, 1), "{kind}");
    }
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
        check_refused(kind, &spec, expected);
    }
}

fn check_refused(kind: Kind, spec: &Value, expected: &str) {
    let Object::Invalid(invalid) = decoded(kind, spec, &json!(null)) else {
        panic!("{spec} is taken");
    };
    assert!(
        invalid.reason.starts_with(expected),
        "{spec}: {}",
        invalid.reason
    );
}

/// The same of routes of what is not looked into: one rule, with a back end, and by TLS with names.
#[test]
fn what_the_schema_refuses_of_what_is_not_looked_into() {
    for (kind, spec, expected) in [
        (
            Kind::TlsRoute,
            json!({"rules": [{"backendRefs": [{"name": "a", "port": 80}]}]}),
            "spec.hostnames: Required value",
        ),
        (
            Kind::TlsRoute,
            json!({"hostnames": [], "rules": [{"backendRefs": [{"name": "a", "port": 80}]}]}),
            "spec.hostnames: Invalid value: 0: spec.hostnames in body should have at least 1 items",
        ),
        (
            Kind::TcpRoute,
            json!({"rules": [{"backendRefs": [{"name": "a", "port": 80}]}, {"backendRefs": [{"name": "b", "port": 80}]}]}),
            "spec.rules: Too many: 2: must have at most 1 items",
        ),
        (
            Kind::TcpRoute,
            json!({"rules": []}),
            "spec.rules: Invalid value: 0: spec.rules in body should have at least 1 items",
        ),
        (
            Kind::UdpRoute,
            json!({"rules": [{}]}),
            "spec.rules[0].backendRefs: Required value",
        ),
        (
            Kind::UdpRoute,
            json!({"rules": [{"backendRefs": []}]}),
            "spec.rules[0].backendRefs: Invalid value: 0: spec.rules[0].backendRefs in body should have at least 1 items",
        ),
    ] {
        check_refused(kind, &spec, expected);
    }
}

/// What is asked of clients is whole, or nothing of the Gateway is served.
#[test]
fn what_the_schema_refuses_of_what_clients_show() {
    let ca = json!([{"group": "", "kind": "ConfigMap", "name": "ca"}]);
    let of = |authorities: &Value| json!({"validation": {"caCertificateRefs": authorities}});
    let at = "spec.tls.frontend";
    for (frontend, expected) in [
        (json!({}), "default: Required value"),
        (json!({"perPort": []}), "default: Required value"),
        (
            json!({"default": {"validation": {}}}),
            "default.validation.caCertificateRefs: Required value",
        ),
        (
            json!({"default": of(&json!([]))}),
            "default.validation.caCertificateRefs: Invalid value: 0",
        ),
        (
            json!({"default": of(&json!([{"group": "", "name": "ca"}]))}),
            "default.validation.caCertificateRefs[0].kind: Required value",
        ),
        (
            json!({"default": of(&json!([{"kind": "ConfigMap", "name": "ca"}]))}),
            "default.validation.caCertificateRefs[0].group: Required value",
        ),
        (
            json!({"default": {"validation": {"caCertificateRefs": ca, "mode": "Any"}}}),
            "default.validation.mode: Unsupported value: \"Any\"",
        ),
        (
            json!({"default": {}, "perPort": [{"port": 443}]}),
            "perPort[0].tls: Required value",
        ),
        (
            json!({"default": {}, "perPort": [{"tls": {}}]}),
            "perPort[0].port: Required value",
        ),
        (
            json!({"default": {}, "perPort": [{"port": 443, "tls": {}}, {"port": 443, "tls": of(&ca)}]}),
            "perPort[1]: Duplicate value: \"443\"",
        ),
    ] {
        let spec = json!({
            "gatewayClassName": "a", "listeners": [{"name": "b", "port": 443, "protocol": "HTTPS"}],
            "tls": {"frontend": frontend},
        });
        check_refused(Kind::Gateway, &spec, &format!("{at}.{expected}"));
    }
}

/// Its listeners are as a Gateway's, and its parent is a Gateway where nothing else is said.
#[test]
fn a_listener_set_brings_listeners() {
    let listener = json!({"name": "web", "port": 443, "protocol": "HTTPS", "hostname": "*.a.test"});
    let of = |parent: Value| {
        let spec = json!({"parentRef": parent, "listeners": [listener]});
        match decoded(
            Kind::ListenerSet,
            &spec,
            &json!({"listeners": [{"name": "web", "attachedRoutes": 2}]}),
        ) {
            Object::ListenerSet(set) => (*set).clone(),
            other => panic!("{other:?}"),
        }
    };
    let made = of(json!({"name": "edge"}));
    assert_eq!((made.generation, made.listeners[0].port), (7, 443));
    assert_eq!(made.status.listeners[0].attached_routes, 2);
    for (parent, expected) in [
        (json!({"name": "edge"}), Some("default/edge")),
        (
            json!({"name": "edge", "namespace": "infra", "kind": "Gateway", "group": GROUP}),
            Some("infra/edge"),
        ),
        (
            json!({"name": "edge", "kind": "Service", "group": ""}),
            None,
        ),
    ] {
        let gateway = of(parent).gateway().map(|name| name.to_string());
        assert_eq!(gateway.as_deref(), expected);
    }
    for (spec, expected) in [
        (
            json!({"listeners": [listener]}),
            "spec.parentRef: Required value",
        ),
        (
            json!({"parentRef": {}, "listeners": [listener]}),
            "spec.parentRef.name: Required value",
        ),
        (
            json!({"parentRef": {"name": "edge"}}),
            "spec.listeners: Required value",
        ),
        (
            json!({"parentRef": {"name": "edge"}, "listeners": []}),
            "spec.listeners: Invalid value: 0",
        ),
        (
            json!({"parentRef": {"name": "edge"}, "listeners": [listener, listener]}),
            "spec.listeners[1]: Duplicate value: \"web\"",
        ),
        (
            json!({"parentRef": {"name": "edge"}, "listeners": [{"name": "web", "protocol": "HTTP"}]}),
            "spec.listeners[0].port: Required value",
        ),
    ] {
        check_refused(Kind::ListenerSet, &spec, expected);
    }
}
