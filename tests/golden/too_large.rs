//! HTTPProxies that are a few kilobytes, or one object, and would come to gigabytes: what is read, written and told of each is bounded.

use std::sync::Arc;

use isobath::facts::{Changes, ClassSelection, Log, Store};
use isobath::model::{Front, Host};
use isobath::objects::http_proxy::HeadersPolicy;
use isobath::objects::{Event, NamespacedName, ObjectRef};
use isobath::translate::{
    HeaderPolicies, HostUnit, HttpProxyOptions, Input, Languages, Memo, Options, RateLimitService,
};
use serde_json::{Value, json};

const HOST: &str = "a.test";

/// What the host of these objects comes to, with somebody to ask about requests and to count them.
fn unit(proxies: &[Value]) -> HostUnit {
    unit_with(proxies, HeaderPolicies::default())
}

/// The same, where the operator says something of headers.
fn unit_with(proxies: &[Value], headers: HeaderPolicies) -> HostUnit {
    let port = json!({"port": 80, "name": "http"});
    let shared = [
        json!({"kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [port]}}),
        json!({"kind": "Secret", "metadata": {"name": "web"}, "data": {"names": [HOST]}}),
        json!({
            "kind": "ExtensionService", "metadata": {"name": "asked"},
            "spec": {"protocol": "h2c", "services": [{"name": "a", "port": 80}]},
        }),
    ];
    let mut store = Store::new(ClassSelection {
        names: Default::default(),
        manifests: true,
    });
    let mut changes = Changes::unread();
    for object in shared.iter().chain(proxies) {
        let object = crate::object(object);
        store.apply(Event::Apply(object), &mut changes);
    }
    let limits = RateLimitService {
        extension: NamespacedName::new("default", "asked"),
        domain: "contour".into(),
        fail_open: false,
        enable_x_ratelimit_headers: false,
        enable_resource_exhausted_code: false,
        default_policy: None,
    };
    let options = Options {
        http_proxy: Arc::new(HttpProxyOptions {
            rate_limit_service: Some(limits),
            headers,
            ..HttpProxyOptions::default()
        }),
        ..Options::default()
    };
    let (memo, log) = (Memo::default(), Log::default());
    let languages = Languages::default();
    let objects: Vec<ObjectRef> = changes.objects.to_vec();
    for object in &objects {
        let input = Input::new(&store, &options, &memo, &log);
        let claims = languages.claims(input, object);
        store.claim(object, claims, &mut changes);
    }
    let input = Input::new(&store, &options, &memo, &log);
    languages.host(input, &Front::Fleet, &Host::new(HOST))
}

fn proxy(name: &str, mut spec: Value) -> Value {
    if name == "root" {
        spec["virtualhost"]["fqdn"] = HOST.into();
    }
    json!({"kind": "HTTPProxy", "metadata": {"name": name}, "spec": spec})
}

/// A route to the Service, with more.
fn route(more: Value) -> Value {
    let mut route = json!({"services": [{"name": "a", "port": 80}]});
    let fields = more.as_object().cloned().unwrap_or_default();
    route.as_object_mut().unwrap().extend(fields);
    route
}

/// A root, and HTTPProxies that each include the next one twice; the last says `last`.
fn doubling(last: Value) -> Vec<Value> {
    const DEEP: usize = 16;
    let includes = |next: usize| {
        let name = format!("p{next}");
        json!([
            {"name": name, "conditions": [{"prefix": "/a"}]},
            {"name": name, "conditions": [{"prefix": "/b"}]},
        ])
    };
    let mut proxies = vec![proxy("root", json!({"includes": includes(0)}))];
    for index in 0..DEEP {
        let spec = json!({"includes": includes(index + 1)});
        proxies.push(proxy(&format!("p{index}"), spec));
    }
    proxies.push(proxy(&format!("p{DEEP}"), last));
    proxies
}

/// A root that includes a child 5,000 times, which has one route.
fn repeating(virtual_host: Value, child: Value) -> Vec<Value> {
    let include =
        |index: usize| json!({"name": "child", "conditions": [{"prefix": format!("/{index}")}]});
    let includes: Vec<Value> = (0..5000).map(include).collect();
    vec![
        proxy(
            "root",
            json!({"virtualhost": virtual_host, "includes": includes}),
        ),
        proxy("child", json!({"routes": [child]})),
    ]
}

fn long() -> String {
    "x".repeat(100_000)
}

/// The host is not served, its root is told why, and all that is told of it is no more than a few megabytes.
#[track_caller]
fn is_refused(what: &str, proxies: &[Value]) {
    is_too_large(what, &unit(proxies));
}

#[track_caller]
fn is_too_large(what: &str, unit: &HostUnit) {
    let told: usize = unit.problems.iter().map(|it| it.message.len()).sum();
    let count = unit.problems.len();
    assert!(told < 8_000_000, "{what}: {told} bytes in {count} problems");
    let is_told = unit.problems.iter().any(|problem| {
        let root = &*problem.source.object.name.name == "root";
        root && problem.reason == "TooLarge"
    });
    assert!(is_told, "{what}: {count} problems");
    let (in_clear, by_tls) = (unit.http.is_some(), unit.https.is_some());
    assert!(!in_clear && !by_tls, "{what} is served");
}

#[test]
fn what_is_told_again_and_again_is_paid() {
    let back = json!({"includes": [{"name": "p1"}]});
    is_refused("a cycle", &doubling(back));
    let exact = json!([{"exact": "/x"}]);
    let includes: Vec<Value> = (0..100)
        .map(|index| json!({"name": format!("none{index}"), "conditions": exact}))
        .collect();
    is_refused("bad includes", &doubling(json!({"includes": includes})));
    let includes: Vec<Value> = (0..100)
        .map(|index| json!({"name": format!("none{index}"), "conditions": [{"prefix": format!("/{index}")}]}))
        .collect();
    is_refused("missing includes", &doubling(json!({"includes": includes})));
    let no_path = route(json!({"conditions": [{"prefix": long()}]}));
    is_refused("a bad path", &doubling(json!({"routes": [no_path]})));
    let services: Vec<Value> = (0..100)
        .map(|index| json!({"name": format!("none{index}"), "port": 80}))
        .collect();
    let missing = json!({"routes": [{"services": services}]});
    is_refused("missing services", &doubling(missing));
}

#[test]
fn what_is_read_in_vain_is_paid() {
    let set: Vec<Value> = (0..1000)
        .map(|index| json!({"name": format!("x-{index}"), "value": "v"}))
        .collect();
    // What is wrong comes after all of it.
    let bad = route(json!({
        "requestHeadersPolicy": {"set": set},
        "timeoutPolicy": {"response": "1x"},
    }));
    is_refused("headers", &doubling(json!({"routes": [bad]})));
    let expression = format!("/{}", "[a-z]?".repeat(160));
    let bad = route(json!({
        "conditions": [{"regex": expression}],
        "timeoutPolicy": {"response": "1x"},
    }));
    is_refused("an expression", &doubling(json!({"routes": [bad]})));
}

#[test]
fn what_a_route_says_itself_is_paid() {
    let tls = json!({"secretName": "web"});
    let context = |key: &str| json!({"disabled": false, "context": {key: long()}});
    let asked = |policy: Value| {
        let extension = json!({"name": "asked", "namespace": "default"});
        json!({"tls": tls, "authorization": {"extensionRef": extension, "authPolicy": policy}})
    };
    let none = json!({"disabled": false});
    let said = repeating(
        asked(none.clone()),
        route(json!({"authPolicy": context("k")})),
    );
    is_refused("a context of the route's", &said);
    // Its routes ask, where the host as a whole does not.
    let mut policy = context("k");
    policy["disabled"] = true.into();
    let said = repeating(asked(policy), route(json!({"authPolicy": none})));
    is_refused("a context of the host's", &said);
    let said = route(json!({"jwtVerificationPolicy": {"require": long()}}));
    let virtual_host = json!({"tls": tls});
    is_refused("a provider", &repeating(virtual_host.clone(), said));
    let hashed = json!({"queryParameterHashOptions": {"parameterName": long()}});
    let said = route(json!({"loadBalancerPolicy": {
        "strategy": "RequestHash", "requestHashPolicies": [hashed],
    }}));
    is_refused("a hash", &repeating(virtual_host.clone(), said));
    let rewrites: Vec<Value> = (0..64)
        .map(|index| {
            let path = format!("/{}", "x".repeat(250));
            json!({"name": format!("c{index}"), "pathRewrite": {"value": path}})
        })
        .collect();
    let said = route(json!({"cookieRewritePolicies": rewrites}));
    is_refused("a cookie", &repeating(virtual_host.clone(), said));
    let matching = json!({"requestHeaderValueMatch": {
        "value": "v", "headers": [{"name": "x-a", "regex": "[a]{990}"}],
    }});
    let descriptors = json!([{"entries": [matching]}]);
    let said = route(json!({"rateLimitPolicy": {"global": {"descriptors": descriptors}}}));
    is_refused(
        "an expression of a descriptor",
        &repeating(virtual_host, said),
    );
}

/// What a route, or the operator, says for each of its services is paid before it is made.
#[test]
fn what_is_made_for_each_service_is_paid_before() {
    const MANY: usize = 5000;
    let services = |first: Value| {
        let mut services = vec![first];
        services.resize(MANY, json!({"name": "a", "port": 80}));
        services
    };
    let plain = json!({"name": "a", "port": 80});
    let statuses: Vec<Value> = (0..1000)
        .map(|_| json!({"start": 200, "end": 201}))
        .collect();
    let check = json!({"path": "/", "expectedStatuses": statuses});
    let route = json!({"services": services(plain.clone()), "healthCheckPolicy": check});
    is_refused(
        "a health check",
        &[proxy("root", json!({"routes": [route]}))],
    );
    let headers = HeaderPolicies {
        requests: HeadersPolicy {
            set: Box::default(),
            remove: (0..1000).map(|index| format!("x-{index}").into()).collect(),
        },
        ..HeaderPolicies::default()
    };
    let route = json!({"services": services(plain)});
    let unit = unit_with(&[proxy("root", json!({"routes": [route]}))], headers);
    is_too_large("headers of the operator", &unit);
    let told = &unit.problems[0].message;
    assert!(told.ends_with("at 0 routes"), "{told}");
}

/// Where Envoy answers by itself each pattern of an origin is two routes more, whoever says the patterns and whoever the routes.
#[test]
fn routes_of_origins_are_paid() {
    let origins: Vec<String> = (0..200)
        .map(|index| format!("https://{index}.test"))
        .collect();
    let cors = json!({"allowOrigin": origins, "allowMethods": ["GET"]});
    let routes = |service: &str| -> Vec<Value> {
        let route = |index| {
            json!({
                "conditions": [{"prefix": format!("/{index}")}],
                "services": [{"name": service, "port": 80}],
            })
        };
        (0..200).map(route).collect()
    };
    let root = |service| {
        let spec = json!({"virtualhost": {"corsPolicy": cors}, "routes": routes(service)});
        [proxy("root", spec)]
    };
    is_refused("no service", &root("none"));
    let unit = unit(&root("a"));
    assert!(unit.problems.is_empty(), "{:?}", unit.problems.first());
    assert_eq!(unit.http.map(|http| http.routes.len()), Some(200));
    // Routes of an Ingress on the host, which has few of its own.
    let paths: Vec<Value> = (0..200)
        .map(|index| {
            let backend = json!({"service": {"name": "none", "port": {"number": 80}}});
            json!({"path": format!("/{index}"), "pathType": "Prefix", "backend": backend})
        })
        .collect();
    let ingress = json!({
        "kind": "Ingress", "metadata": {"name": "beside"},
        "spec": {"rules": [{"host": HOST, "http": {"paths": paths}}]},
    });
    let few = json!({"virtualhost": {"corsPolicy": cors}, "routes": [route(json!({}))]});
    let unit = self::unit(&[proxy("root", few), ingress]);
    let told = unit.problems.iter().find(|it| it.reason == "TooLarge");
    let told = told.map(|problem| problem.source.object.to_string());
    assert_eq!(told.as_deref(), Some("Ingress default/beside"));
    assert_eq!(unit.http.map(|http| http.routes.len()), Some(1));
}

/// A cluster that is there for one route alone is paid, and one that many share but once.
#[test]
fn clusters_of_its_own_are_paid() {
    let routes = |count: usize, own: bool| {
        let route = |index: usize| {
            let path = format!("/{}", if own { index } else { 0 });
            route(json!({
                "conditions": [{"prefix": format!("/{index}")}],
                "healthCheckPolicy": {"path": path},
            }))
        };
        let routes: Vec<Value> = (0..count).map(route).collect();
        [proxy("root", json!({"routes": routes}))]
    };
    is_refused("checks of its own", &routes(1400, true));
    for (own, clusters) in [(false, 1), (true, 700)] {
        let count = if own { clusters } else { 1400 };
        let unit = unit(&routes(count, own));
        assert!(unit.problems.is_empty(), "{:?}", unit.problems.first());
        assert_eq!(unit.clusters.len(), clusters);
    }
    let providers: Vec<Value> = (0..1400)
        .map(|index| {
            let uri = format!("https://{index}.test/keys");
            json!({"name": format!("p{index}"), "remoteJWKS": {"uri": uri}})
        })
        .collect();
    let host = json!({"tls": {"secretName": "web"}, "jwtProviders": providers});
    let of_keys = proxy(
        "root",
        json!({"virtualhost": host, "routes": [route(json!({}))]}),
    );
    is_refused("keys from many hosts", &[of_keys]);
}

/// What is read is paid with what is made of it, and not besides.
#[test]
fn a_long_list_of_routes_is_served() {
    let count = 17_000;
    let routes: Vec<Value> = (0..count)
        .map(|index| route(json!({"conditions": [{"prefix": format!("/path/{index}")}]})))
        .collect();
    let unit = unit(&[proxy("root", json!({"routes": routes}))]);
    assert!(unit.problems.is_empty(), "{:?}", unit.problems.first());
    assert_eq!(unit.http.map(|http| http.routes.len()), Some(count));
}
