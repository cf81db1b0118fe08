//! HTTPProxies whose lists multiply: what a host, an include or a policy says, for each route that it holds for.

use std::sync::Arc;

use isobath::objects::private_key::KeyAlgorithm;
use isobath::objects::{CaCertificates, Kind, Object};

use super::shapes::{Make, Shape, at_most, decoded, elements, secret};

/// All of them.
pub const SHAPES: &[Make] = &[
    includes_and_routes,
    trees,
    conditions_and_routes,
    routes_and_services,
    services_and_hashes,
    services_and_names,
    services_and_headers,
    services_and_cookies,
    origins_and_routes,
    headers_and_includes,
    cookies_and_includes,
    contexts_and_routes,
    addresses_and_routes,
    descriptors_and_routes,
    providers_and_routes,
    bodies_and_includes,
    replacements_and_includes,
    expressions_and_includes,
    roots_of_one_host,
    roots_of_one_child,
    mirrors_and_hosts,
    targets_and_hosts,
];

fn proxy(name: &str, spec: &str) -> (Kind, String) {
    let text =
        format!(r#"{{"metadata":{{"name":"{name}","namespace":"tenant"}},"spec":{{{spec}}}}}"#);
    (Kind::HttpProxy, text)
}

/// A root of the host that multiplies.
fn root(host: &str, rest: &str) -> (Kind, String) {
    let tls = r#""tls":{"secretName":"tls"}"#;
    proxy(
        "product",
        &format!(r#""virtualhost":{{"fqdn":"product.m.test",{tls}{host}}},{rest}"#),
    )
}

/// A proxy beside it that says little, and is served whatever the other comes to.
fn shape(name: &str, largest: (Kind, String), others: Vec<(Kind, String)>) -> Shape {
    let service = r#"{"metadata":{"name":"web","namespace":"tenant"},"spec":{"ports":[{"name":"http","port":80}]}}"#;
    let own = format!(
        r#""virtualhost":{{"fqdn":"own.m.test"}},"routes":[{}]"#,
        route("/", "")
    );
    let mut others = others;
    others.push(proxy("own", &own));
    others.push((Kind::Service, service.to_owned()));
    let bytes = others.iter().map(|(_, text)| text.len()).sum::<usize>() + largest.1.len();
    let objects = others.iter().chain([&largest]);
    let objects = objects.map(|(kind, text)| decoded(*kind, text));
    let names = ["own.m.test".into(), "*.m.test".into()];
    let certificate = secret("tenant", "tls", KeyAlgorithm::Ecdsa, names);
    let Object::Secret(mut authorities) = secret("tenant", "ca", KeyAlgorithm::Ecdsa, []) else {
        unreachable!("it makes Secrets")
    };
    let pem = include_bytes!("../../data/certificates/p256.crt");
    let read = CaCertificates::from_pem("ca.crt", pem).unwrap();
    Arc::make_mut(&mut authorities).authorities = Some(Ok(read));
    let objects = objects.chain([certificate, Object::Secret(authorities)]);
    let objects: Vec<Object> = objects.collect();
    Shape {
        name: format!("HTTPProxy: {name}"),
        objects,
        bytes,
        largest,
    }
}

const SERVICES: &str = r#""services":[{"name":"web","port":80}]"#;

fn route(prefix: &str, more: &str) -> String {
    format!(r#"{{"conditions":[{{"prefix":"{prefix}"}}],{more}{SERVICES}}}"#)
}

fn routes(bytes: usize, more: &str) -> String {
    let all = elements(bytes, |i| route(&format!("/{i}"), more));
    format!(r#""routes":[{all}]"#)
}

fn includes(bytes: usize, name: &str, more: &str) -> String {
    let all = elements(bytes, |i| {
        format!(r#"{{"name":"{name}","conditions":[{{"prefix":"/i{i}"}}{more}]}}"#)
    });
    format!(r#""includes":[{all}]"#)
}

fn header(length: usize) -> String {
    format!(
        r#","header":{{"name":"x-a","exact":"{}"}}"#,
        "a".repeat(length)
    )
}

/// One child, included many times, with many routes.
fn includes_and_routes(bytes: usize) -> Shape {
    let child = proxy("child", &routes(bytes, ""));
    let root = root("", &includes(bytes, "child", ""));
    shape("includes x routes", root, vec![child])
}

/// Each of sixteen includes the next one as often as it can.
fn trees(bytes: usize) -> Shape {
    const DEPTH: usize = 16;
    let child = |i: usize| {
        let next = includes(bytes / DEPTH, &format!("child{}", i + 1), "");
        proxy(&format!("child{i}"), &format!("{next},{}", routes(120, "")))
    };
    let mut children: Vec<_> = (1..DEPTH).map(child).collect();
    children.push(proxy(&format!("child{DEPTH}"), &routes(bytes / DEPTH, "")));
    let root = root("", &includes(bytes / DEPTH, "child1", ""));
    shape("includes x includes", root, children)
}

/// Long conditions, of a chain of includes, on every route below.
fn conditions_and_routes(bytes: usize) -> Shape {
    let long = |name: &str| {
        let value = "a".repeat(bytes / 4);
        format!(
            r#""includes":[{{"name":"{name}","conditions":[{{"prefix":"/p"}},{{"header":{{"name":"x-{name}","exact":"{value}"}}}}]}}]"#
        )
    };
    let leaf = proxy("leaf", &routes(bytes, ""));
    let middle = proxy("middle", &long("leaf"));
    shape(
        "conditions x routes",
        root("", &long("middle")),
        vec![middle, leaf],
    )
}

fn weighted(bytes: usize, more: &str) -> String {
    elements(bytes, |i| {
        format!(r#"{{"name":"web","port":80,"weight":{}{more}}}"#, i + 1)
    })
}

/// Includes of one child whose route has many services.
fn routes_and_services(bytes: usize) -> Shape {
    let child = proxy(
        "child",
        &format!(r#""routes":[{{"services":[{}]}}]"#, weighted(bytes, "")),
    );
    let root = root("", &includes(bytes, "child", ""));
    shape("includes x services", root, vec![child])
}

/// Balancing by many headers, for each of many services.
fn services_and_hashes(bytes: usize) -> Shape {
    let hashes = elements(bytes / 2, |i| {
        format!(r#"{{"headerHashOptions":{{"headerName":"x-{i}"}}}}"#)
    });
    let balancing = format!(
        r#""loadBalancerPolicy":{{"strategy":"RequestHash","requestHashPolicies":[{hashes}]}}"#
    );
    let services = weighted(bytes / 2, "");
    let child = proxy(
        "child",
        &format!(r#""routes":[{{{balancing},"services":[{services}]}}]"#),
    );
    let root = root("", &includes(bytes, "child", ""));
    shape("hashes x services x includes", root, vec![child])
}

/// Many names that an endpoint may have, for each of many routes with a cluster of its own.
fn services_and_names(bytes: usize) -> Shape {
    // As many as the definition lets in, and long ones.
    let label = "n".repeat(60);
    let name = |i: usize| format!("n{i}.{label}.{label}.{label}.test");
    let names = at_most(8, usize::MAX, |i| format!(r#""{}""#, name(i)));
    let child = |i: usize| {
        let first = format!(r#""{}""#, name(0));
        let policy = format!(
            r#""timeoutPolicy":{{"idleConnection":"{}s"}},"services":[{{"name":"web","port":80,"protocol":"tls","validation":{{"caSecret":"ca","subjectName":{first},"subjectNames":[{names}]}}}}]"#,
            i + 1
        );
        format!(r#"{{"conditions":[{{"prefix":"/{i}"}}],{policy}}}"#)
    };
    let all = elements(bytes, child);
    shape(
        "names of endpoints x routes",
        root("", &format!(r#""routes":[{all}]"#)),
        Vec::new(),
    )
}

fn set(bytes: usize) -> String {
    let all = elements(bytes, |i| {
        format!(r#"{{"name":"x-{i}","value":"%REQ(x-{i})%"}}"#)
    });
    format!(r#"{{"set":[{all}]}}"#)
}

/// What one service says of headers, in each include of its route.
fn services_and_headers(bytes: usize) -> Shape {
    let policy = format!(r#","requestHeadersPolicy":{}"#, set(bytes));
    let child = proxy(
        "child",
        &format!(
            r#""routes":[{{"services":[{}]}}]"#,
            weighted(2 * policy.len(), &policy)
        ),
    );
    let root = root("", &includes(bytes, "child", ""));
    shape("headers of services x includes", root, vec![child])
}

fn cookies(bytes: usize) -> String {
    let all = at_most(60, bytes, |i| {
        format!(r#"{{"name":"c{i}","pathRewrite":{{"value":"/x"}}}}"#)
    });
    format!(r#""cookieRewritePolicies":[{all}]"#)
}

fn services_and_cookies(bytes: usize) -> Shape {
    let policy = format!(",{}", cookies(bytes / 4));
    let child = proxy(
        "child",
        &format!(
            r#""routes":[{{"services":[{}]}}]"#,
            weighted(bytes, &policy)
        ),
    );
    let root = root("", &includes(bytes, "child", ""));
    shape("cookies of services x includes", root, vec![child])
}

/// What a host says of foreign pages, on every route.
fn origins_and_routes(bytes: usize) -> Shape {
    let origins = elements(bytes / 2, |i| format!(r#""https://[a]{{990}}{i}[.]test""#));
    let policy = format!(r#","corsPolicy":{{"allowOrigin":[{origins}],"allowMethods":["GET"]}}"#);
    shape(
        "origins x routes",
        root(&policy, &routes(bytes / 2, "")),
        Vec::new(),
    )
}

/// A child whose route says so much, included many times.
fn with_policy(name: &str, bytes: usize, policy: &str) -> Shape {
    let child = proxy(
        "child",
        &format!(r#""routes":[{}]"#, route("/", &format!("{policy},"))),
    );
    shape(name, root("", &includes(bytes, "child", "")), vec![child])
}

fn headers_and_includes(bytes: usize) -> Shape {
    let half = set(bytes / 2);
    let policy = format!(r#""requestHeadersPolicy":{half},"responseHeadersPolicy":{half}"#);
    with_policy("headers x includes", bytes, &policy)
}

fn cookies_and_includes(bytes: usize) -> Shape {
    with_policy("cookies x includes", bytes, &cookies(bytes))
}

/// What is told of a request when somebody is asked, by the host for every route.
fn contexts_and_routes(bytes: usize) -> Shape {
    let context = elements(bytes / 2, |i| format!(r#""k{i}":"v""#));
    let policy = format!(
        r#","authorization":{{"extensionRef":{{"name":"authz"}},"authPolicy":{{"context":{{{context}}}}}}}"#
    );
    let authz = r#"{"metadata":{"name":"authz","namespace":"tenant"},"spec":{"protocol":"h2c","services":[{"name":"web","port":80}]}}"#;
    let others = vec![(Kind::ExtensionService, authz.to_owned())];
    shape(
        "context x routes",
        root(&policy, &routes(bytes / 2, "")),
        others,
    )
}

fn addresses_and_routes(bytes: usize) -> Shape {
    let denied = elements(bytes / 2, |i| {
        format!(
            r#"{{"source":"Peer","cidr":"10.{}.{}.0/24"}}"#,
            i / 250 % 250,
            i % 250
        )
    });
    let policy = format!(r#","ipDenyPolicy":[{denied}]"#);
    shape(
        "addresses x routes",
        root(&policy, &routes(bytes / 2, "")),
        Vec::new(),
    )
}

fn descriptors_and_routes(bytes: usize) -> Shape {
    let entries = elements(bytes / 2, |i| {
        format!(r#"{{"genericKey":{{"value":"v{i}"}}}}"#)
    });
    let policy = format!(
        r#","rateLimitPolicy":{{"local":{{"requests":1,"unit":"second"}},"global":{{"descriptors":[{{"entries":[{entries}]}}]}}}}"#
    );
    shape(
        "descriptors x routes",
        root(&policy, &routes(bytes / 2, "")),
        Vec::new(),
    )
}

/// Providers with many audiences each, and routes that require one.
fn providers_and_routes(bytes: usize) -> Shape {
    let audiences = elements(bytes / 8, |i| format!(r#""a{i}""#));
    let providers = elements(bytes / 2, |i| {
        format!(
            r#"{{"name":"p{i}","default":{},"audiences":[{audiences}],"remoteJWKS":{{"uri":"https://k{i}.test/"}}}}"#,
            i == 0
        )
    });
    let policy = format!(r#","jwtProviders":[{providers}]"#);
    let require = r#""jwtVerificationPolicy":{"require":"p1"},"#;
    shape(
        "providers x routes",
        root(&policy, &routes(bytes / 2, require)),
        Vec::new(),
    )
}

/// An answer of a route, included many times.
fn bodies_and_includes(bytes: usize) -> Shape {
    let body = "a".repeat(bytes.min(4000));
    let child = format!(
        r#""routes":[{{"conditions":[{{"prefix":"/"}}],"directResponsePolicy":{{"statusCode":200,"body":"{body}"}}}}]"#
    );
    let root = root("", &includes(bytes, "child", ""));
    shape("bodies x includes", root, vec![proxy("child", &child)])
}

fn replacements_and_includes(bytes: usize) -> Shape {
    let entries = elements(bytes, |i| {
        format!(r#"{{"prefix":"/i{i}","replacement":"/new{i}"}}"#)
    });
    let policy = format!(r#""pathRewritePolicy":{{"replacePrefix":[{entries}]}}"#);
    with_policy("replaced prefixes x includes", bytes, &policy)
}

/// Expressions of a thousand instructions, each below every include.
fn expressions_and_includes(bytes: usize) -> Shape {
    let all = elements(bytes, |i| {
        format!(r#"{{"conditions":[{{"regex":"/{i}[a]{{990}}"}}],{SERVICES}}}"#)
    });
    let child = proxy("child", &format!(r#""routes":[{all}]"#));
    let long = format!(",{{{}}}", header(100).trim_start_matches(','));
    let root = root("", &includes(bytes, "child", &long));
    shape("expressions x includes", root, vec![child])
}

/// Roots that all name one host: each loser is told of two.
fn roots_of_one_host(bytes: usize) -> Shape {
    let count = bytes / 250;
    let named = |i: usize| {
        let spec = format!(
            r#""virtualhost":{{"fqdn":"product.m.test"}},{}"#,
            routes(120, "")
        );
        proxy(&format!("r{i}"), &spec)
    };
    let root = root("", &routes(bytes / 2, ""));
    shape("roots of one host", root, (0..count).map(named).collect())
}

/// One wrong child that many roots include.
fn roots_of_one_child(bytes: usize) -> Shape {
    let count = bytes / 250;
    let named = |i: usize| {
        let spec =
            format!(r#""virtualhost":{{"fqdn":"r{i}.m.test"}},"includes":[{{"name":"child"}}]"#);
        proxy(&format!("r{i}"), &spec)
    };
    let wrong = at_most(usize::MAX, bytes, |i| {
        format!(
            r#"{{"conditions":[{{"prefix":"/{i}"}}],"services":[{{"name":"gone{i}","port":80}}]}}"#
        )
    });
    let child = proxy("child", &format!(r#""routes":[{wrong}]"#));
    let mut others: Vec<_> = (0..count).map(named).collect();
    others.push(child);
    shape("roots of one child", root("", &routes(120, "")), others)
}

/// Many hosts that include one child with an expensive route.
fn mirrors_and_hosts(bytes: usize) -> Shape {
    let services = weighted(bytes, "");
    let child = format!(
        r#""routes":[{{"services":[{services},{{"name":"web","port":80,"mirror":true}}]}}]"#
    );
    let count = bytes / 250;
    let named = |i: usize| {
        let spec =
            format!(r#""virtualhost":{{"fqdn":"r{i}.m.test"}},"includes":[{{"name":"child"}}]"#);
        proxy(&format!("r{i}"), &spec)
    };
    let mut others: Vec<_> = (0..count).map(named).collect();
    others.push(proxy("child", &child));
    shape("services x hosts", root("", &routes(120, "")), others)
}

/// An ExtensionService of many Services, which many hosts ask.
fn targets_and_hosts(bytes: usize) -> Shape {
    let targets = elements(bytes, |i| {
        format!(r#"{{"name":"web","port":80,"weight":{}}}"#, i + 1)
    });
    let authz = format!(
        r#"{{"metadata":{{"name":"authz","namespace":"tenant"}},"spec":{{"protocol":"h2c","services":[{targets}]}}}}"#
    );
    let count = bytes / 300;
    let named = |i: usize| {
        let spec = format!(
            r#""virtualhost":{{"fqdn":"r{i}.m.test","tls":{{"secretName":"tls"}},"authorization":{{"extensionRef":{{"name":"authz"}}}}}},{}"#,
            routes(120, "")
        );
        proxy(&format!("r{i}"), &spec)
    };
    let mut others: Vec<_> = (0..count).map(named).collect();
    others.push((Kind::ExtensionService, authz));
    shape("targets x hosts", root("", &routes(120, "")), others)
}
