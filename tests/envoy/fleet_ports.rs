//! Gateways and Ingresses on the same ports of a real Envoy: each request belongs to whoever has its host.

use isobath::build::{Builder, Config};
use isobath::objects::*;
use isobath::translate::Options;
use isobath::xds::ResourceType;
use serde_json::{Value, json};

use crate::ads::Resources;
use crate::backend;
use crate::client::{exchange, plain, request, tls};
use crate::eventually::eventually;
use crate::fixture::{certificate, config};
use crate::gateways::{object, secret, slice};
use crate::proxy::{Proxy, envoy};

struct Plane(Builder);

impl Plane {
    /// The class, a Secret `cert`, and a Service `a` with an endpoint.
    async fn new() -> Self {
        let mut settings = Config::of_manifests(Options::default());
        settings.listeners = config();
        let mut plane = Self(Builder::new(settings));
        let class = json!({"controllerName": "isobath.dev/gateway-controller"});
        plane.apply(object(Kind::GatewayClass, "isobath", &class));
        let made = certificate("default/cert", &["*.org"]);
        plane.apply(secret("cert", made.chain, made.key));
        let ports = json!({"ports": [{"port": 80}]});
        plane.apply(object(Kind::Service, "a", &ports));
        plane.apply(slice("a", backend::start("a").await));
        plane
    }

    fn apply(&mut self, object: Object) {
        self.0.apply(Event::Apply(object));
    }

    fn delete(&mut self, kind: Kind, name: &str) {
        let name = NamespacedName::new("default", name);
        self.0.apply(Event::Delete(ObjectRef { kind, name }));
    }

    /// A Gateway of that name, with listeners by TLS and in clear for each hostname; the blank one is for all names.
    fn gateway(&mut self, name: &str, hostnames: &[&str]) {
        let of = |at: usize, hostname: &str, (protocol, port): (&str, u16)| {
            let mut listener = json!({
                "name": format!("{}-{at}", protocol.to_ascii_lowercase()),
                "port": port, "protocol": protocol,
            });
            if !hostname.is_empty() {
                listener["hostname"] = json!(hostname);
            }
            if protocol == "HTTPS" {
                listener["tls"] = json!({"certificateRefs": [{"name": "cert"}]});
            }
            listener
        };
        let all = hostnames.iter().enumerate();
        let listeners: Vec<Value> = all
            .flat_map(|(at, it)| [("HTTPS", 443), ("HTTP", 80)].map(|of_port| of(at, it, of_port)))
            .collect();
        let spec = json!({"gatewayClassName": "isobath", "listeners": listeners});
        self.apply(object(Kind::Gateway, name, &spec));
    }

    fn route(&mut self, name: &str, gateway: &str, hostnames: &[&str], path: &str) {
        let spec = json!({
            "parentRefs": [{"name": gateway}],
            "hostnames": hostnames,
            "rules": [{"matches": [{"path": {"value": path}}], "backendRefs": [{"name": "a", "port": 80}]}],
        });
        self.apply(object(Kind::HttpRoute, name, &spec));
    }

    fn ingress(&mut self, name: &str, host: &str, path: &str, has_tls: bool) {
        let backend = json!({"service": {"name": "a", "port": {"number": 80}}});
        let paths = json!([{"path": path, "pathType": "Prefix", "backend": backend}]);
        let tls = json!([{"hosts": [host], "secretName": "cert"}]);
        let spec = json!({
            "rules": [{"host": host, "http": {"paths": paths}}],
            "tls": if has_tls { tls } else { json!([]) },
        });
        self.apply(object(Kind::Ingress, name, &spec));
    }

    fn resources(&mut self) -> Resources {
        self.0.build();
        let mut all = Resources::new();
        for of in ResourceType::ALL {
            for (name, resource) in self.0.snapshot().resources(of) {
                all.insert((of, name.to_string()), resource.bytes());
            }
        }
        all
    }
}

/// The status of a request for a host, on a connection for a name where one is said; none where that is refused.
async fn ask(proxy: &Proxy, name: Option<&str>, host: &str, path: &str) -> Option<u16> {
    let asked = request("GET", host, path, &[]);
    let Some(name) = name else {
        return Some(plain(proxy.http, &asked).await.status);
    };
    let mut stream = tls(proxy.https, Some(name), "http/1.1").await.ok()?;
    Some(exchange(&mut stream, &asked).await.status)
}

type Row = (
    Option<&'static str>,
    &'static str,
    &'static str,
    Option<u16>,
);

async fn check(proxy: &Proxy, what: &str, rows: &[Row]) {
    for (name, host, path, expected) in rows {
        let what = format!("{what}: {host}{path} on a connection for {name:?}");
        eventually(&what, async || match ask(proxy, *name, host, path).await {
            got if got == *expected => Ok(()),
            got => Err(format!("{got:?}")),
        })
        .await;
    }
}

/// Hosts of an Ingress and of two Gateways, exact ones below wildcards of any depth and below every name. None answers for
/// another's: not in clear, not by TLS, and not over a connection for another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_that_of_one_family_on_a_shared_port() {
    let Some(envoy) = envoy() else { return };
    let mut plane = Plane::new().await;
    plane.ingress("deep", "ingress.deep.org", "/ingress", true);
    plane.gateway("one", &["*.org", ""]);
    plane.gateway("two", &["", "through.deep.org"]);
    plane.route("wide", "one", &["*.org"], "/wide");
    plane.route("two", "two", &["two.deep.org"], "/two");
    let proxy = Proxy::start(&envoy, plane.resources()).await;
    let of_three: &[Row] = &[
        (None, "x.org", "/wide", Some(200)),
        (None, "a.b.c.org", "/wide", Some(200)),
        (None, "ingress.deep.org", "/ingress", Some(200)),
        (None, "ingress.deep.org", "/wide", Some(404)),
        (None, "two.deep.org", "/two", Some(200)),
        (None, "two.deep.org", "/wide", Some(404)),
        (None, "unknown.test", "/wide", Some(404)),
        (Some("x.org"), "x.org", "/wide", Some(200)),
        (Some("a.b.c.org"), "a.b.c.org", "/wide", Some(200)),
        (
            Some("ingress.deep.org"),
            "ingress.deep.org",
            "/ingress",
            Some(200),
        ),
        (Some("two.deep.org"), "two.deep.org", "/two", Some(200)),
        (Some("two.deep.org"), "two.deep.org", "/wide", Some(404)),
        // Over connections for others.
        (Some("x.org"), "ingress.deep.org", "/wide", Some(421)),
        (Some("x.org"), "two.deep.org", "/wide", Some(421)),
        (Some("x.org"), "unknown.test", "/wide", Some(421)),
        (Some("ingress.deep.org"), "x.org", "/ingress", Some(421)),
        (
            Some("two.deep.org"),
            "ingress.deep.org",
            "/ingress",
            Some(421),
        ),
        (Some("unknown.test"), "unknown.test", "/wide", None),
    ];
    check(&proxy, "three", of_three).await;

    // Every name is somebody's now: what is another's is none the less not his.
    plane.route("every", "two", &[], "/");
    let all = plane.resources();
    proxy.replace(|now| *now = all);
    let rows: &[Row] = &[
        (None, "unknown.test", "/x", Some(200)),
        (Some("unknown.test"), "unknown.test", "/x", Some(200)),
        (Some("unknown.test"), "ingress.deep.org", "/x", Some(421)),
        (Some("unknown.test"), "two.deep.org", "/two", Some(200)),
        (Some("unknown.test"), "x.org", "/wide", Some(421)),
        (Some("x.org"), "unknown.test", "/wide", Some(421)),
        // Its own name, and what covers it of its own Gateway.
        (None, "two.deep.org", "/wide", Some(200)),
        (None, "ingress.deep.org", "/wide", Some(404)),
        (
            Some("ingress.deep.org"),
            "ingress.deep.org",
            "/wide",
            Some(404),
        ),
    ];
    check(&proxy, "every name", rows).await;

    // The next owner takes over, and gives it back.
    plane.delete(Kind::Ingress, "deep");
    let all = plane.resources();
    proxy.replace(|now| *now = all);
    let rows: &[Row] = &[
        (None, "ingress.deep.org", "/wide", Some(200)),
        (Some("x.org"), "ingress.deep.org", "/wide", Some(200)),
        (
            Some("ingress.deep.org"),
            "ingress.deep.org",
            "/wide",
            Some(200),
        ),
        (Some("unknown.test"), "ingress.deep.org", "/wide", Some(421)),
    ];
    check(&proxy, "without the Ingress", rows).await;
    plane.ingress("deep", "ingress.deep.org", "/ingress", true);
    plane.delete(Kind::HttpRoute, "every");
    let all = plane.resources();
    proxy.replace(|now| *now = all);
    check(&proxy, "three again", of_three).await;
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}

/// Over a connection for one listener a host that nobody has is unknown, or misdirected where another listener of the Gateway takes
/// every name; what somebody else has is misdirected always.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_is_unknown_on_a_shared_port() {
    let Some(envoy) = envoy() else { return };
    let mut plane = Plane::new().await;
    plane.ingress("shop", "ingress.shop.org", "/", true);
    plane.gateway("every", &["", "named.org", "*.wild.org"]);
    plane.route("every", "every", &["a.org", "named.org", "*.wild.org"], "/");
    plane.gateway("named", &["b.org"]);
    plane.route("named", "named", &[], "/");
    let proxy = Proxy::start(&envoy, plane.resources()).await;
    let unknown = "unknown.test";
    let few: &[Row] = &[
        // Connections for the listener without a hostname.
        (Some("a.org"), "a.org", "/", Some(200)),
        (Some("a.org"), unknown, "/", Some(404)),
        (Some("a.org"), "c.org", "/", Some(404)),
        (Some("a.org"), "named.org", "/", Some(421)),
        (Some("a.org"), "x.wild.org", "/", Some(421)),
        (Some("a.org"), "b.org", "/", Some(421)),
        (Some("a.org"), "ingress.shop.org", "/", Some(421)),
        (Some("a.org"), "other.shop.org", "/", Some(404)),
        // For others of that Gateway.
        (Some("named.org"), "named.org", "/", Some(200)),
        (Some("named.org"), unknown, "/", Some(421)),
        (Some("named.org"), "a.org", "/", Some(421)),
        (Some("x.wild.org"), "y.wild.org", "/", Some(200)),
        (Some("x.wild.org"), unknown, "/", Some(421)),
        // Of a Gateway whose listeners all have a hostname, and of an Ingress.
        (Some("b.org"), "b.org", "/", Some(200)),
        (Some("b.org"), unknown, "/", Some(404)),
        (Some("b.org"), "a.org", "/", Some(421)),
        (Some("b.org"), "y.wild.org", "/", Some(421)),
        (Some("b.org"), "ingress.shop.org", "/", Some(421)),
        (Some("ingress.shop.org"), unknown, "/", Some(421)),
        (Some("ingress.shop.org"), "a.org", "/", Some(421)),
    ];
    check(&proxy, "few", few).await;

    plane.ingress("every", "", "/", false);
    plane.route("wide", "every", &["*.shop.org"], "/wide");
    let all = plane.resources();
    proxy.replace(|now| *now = all);
    let rows: &[Row] = &[
        (Some("a.org"), "other.shop.org", "/wide", Some(200)),
        (Some("a.org"), "ingress.shop.org", "/wide", Some(421)),
        (Some("other.shop.org"), unknown, "/", Some(404)),
        (None, unknown, "/", Some(200)),
    ];
    check(&proxy, "a wildcard above another's host", rows).await;

    for number in 0..130 {
        let name = format!("many-{number}");
        plane.ingress(&name, &format!("{name}.org"), "/", true);
    }
    let all = plane.resources();
    proxy.replace(|now| *now = all);
    let many: &[Row] = &[
        (Some("a.org"), "a.org", "/", Some(200)),
        (Some("a.org"), unknown, "/", Some(421)),
        (Some("a.org"), "many-7.org", "/", Some(421)),
        (Some("b.org"), unknown, "/", Some(421)),
    ];
    check(&proxy, "many", many).await;

    for number in 0..130 {
        plane.delete(Kind::Ingress, &format!("many-{number}"));
    }
    plane.delete(Kind::Ingress, "every");
    plane.delete(Kind::HttpRoute, "wide");
    let all = plane.resources();
    proxy.replace(|now| *now = all);
    check(&proxy, "few again", few).await;

    // Somebody's is every name now, and nobody's host is unknown to others.
    plane.route("wide", "every", &[], "/wide");
    let all = plane.resources();
    proxy.replace(|now| *now = all);
    let rows: &[Row] = &[
        (Some("a.org"), unknown, "/wide", Some(200)),
        (Some("b.org"), unknown, "/wide", Some(421)),
        (Some("named.org"), unknown, "/wide", Some(421)),
        (Some("a.org"), "b.org", "/wide", Some(421)),
    ];
    check(&proxy, "every name", rows).await;
    plane.delete(Kind::HttpRoute, "wide");
    let all = plane.resources();
    proxy.replace(|now| *now = all);
    check(&proxy, "none of it", few).await;
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}

/// A wildcard of an Ingress is for one label, one of a Gateway for any number, whichever is above the other. What is too deep for an
/// Ingress's is nobody's: neither the Ingress's, nor the Gateway's whose wildcard is above it.
#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_is_as_deep_as_its_language_has_it() {
    let Some(envoy) = envoy() else { return };
    let mut plane = Plane::new().await;
    plane.ingress("a-label", "*.shop.org", "/ingress", true);
    plane.gateway("one", &["*.org", "*.deep.shop.org"]);
    plane.route("wide", "one", &["*.org"], "/wide");
    plane.route("deep", "one", &["*.deep.shop.org"], "/deep");
    // For the same wildcard as the Ingress, which is before it by its name.
    plane.gateway("late", &["*.shop.org"]);
    plane.route("late", "late", &["*.shop.org"], "/late");
    let proxy = Proxy::start(&envoy, plane.resources()).await;
    let rows: &[Row] = &[
        (None, "a.shop.org", "/ingress", Some(200)),
        (None, "a.shop.org", "/wide", Some(404)),
        (None, "a.shop.org", "/late", Some(404)),
        (None, "deep.shop.org", "/ingress", Some(200)),
        (None, "a.b.shop.org", "/ingress", Some(404)),
        (None, "a.b.shop.org", "/wide", Some(404)),
        (None, "a.b.shop.org", "/late", Some(404)),
        (None, "a.deep.shop.org", "/deep", Some(200)),
        (None, "a.b.deep.shop.org", "/deep", Some(200)),
        (None, "a.b.deep.shop.org", "/ingress", Some(404)),
        (None, "a.b.other.org", "/wide", Some(200)),
        (None, "shop.org", "/wide", Some(200)),
        (Some("a.shop.org"), "a.shop.org", "/ingress", Some(200)),
        (Some("a.shop.org"), "a.b.shop.org", "/ingress", Some(421)),
        (Some("a.b.shop.org"), "a.b.shop.org", "/ingress", Some(421)),
        (Some("a.b.shop.org"), "a.b.shop.org", "/wide", Some(421)),
        (Some("a.b.shop.org"), "a.b.shop.org", "/late", Some(421)),
        (Some("a.shop.org"), "a.deep.shop.org", "/deep", Some(421)),
        (
            Some("a.b.deep.shop.org"),
            "a.b.deep.shop.org",
            "/deep",
            Some(200),
        ),
        (Some("a.b.deep.shop.org"), "a.shop.org", "/deep", Some(421)),
        (Some("a.b.other.org"), "a.b.other.org", "/wide", Some(200)),
        (Some("a.b.other.org"), "a.shop.org", "/wide", Some(421)),
        (Some("a.b.other.org"), "a.deep.shop.org", "/wide", Some(421)),
    ];
    check(&proxy, "beside an Ingress", rows).await;

    // The wildcard is the Gateway's now, and with it every name below.
    plane.delete(Kind::Ingress, "a-label");
    let all = plane.resources();
    proxy.replace(|now| *now = all);
    let without: &[Row] = &[
        (None, "a.shop.org", "/late", Some(200)),
        (None, "a.b.shop.org", "/late", Some(200)),
        (None, "a.b.deep.shop.org", "/deep", Some(200)),
        (Some("a.b.shop.org"), "a.b.shop.org", "/late", Some(200)),
        (Some("a.shop.org"), "a.b.shop.org", "/late", Some(200)),
        (Some("a.shop.org"), "a.deep.shop.org", "/late", Some(421)),
        (Some("a.b.other.org"), "a.b.shop.org", "/wide", Some(421)),
    ];
    check(&proxy, "without the Ingress", without).await;
    plane.ingress("a-label", "*.shop.org", "/ingress", true);
    let all = plane.resources();
    proxy.replace(|now| *now = all);
    check(&proxy, "the Ingress again", rows).await;
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}

/// A name whose connections are passed through is nobody's who ends TLS for a wildcard above it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_through_is_misdirected_elsewhere() {
    let Some(envoy) = envoy() else { return };
    let mut plane = Plane::new().await;
    plane.gateway("one", &["*.org"]);
    plane.route("wide", "one", &[], "/");
    let through = json!({
        "name": "through", "port": 443, "protocol": "TLS", "hostname": "through.deep.org",
        "tls": {"mode": "Passthrough"},
    });
    let spec = json!({"gatewayClassName": "isobath", "listeners": [through]});
    plane.apply(object(Kind::Gateway, "two", &spec));
    let spec = json!({
        "parentRefs": [{"name": "two"}], "hostnames": ["through.deep.org"],
        "rules": [{"backendRefs": [{"name": "a", "port": 80}]}],
    });
    plane.apply(object(Kind::TlsRoute, "through", &spec));
    let proxy = Proxy::start(&envoy, plane.resources()).await;
    let rows: &[Row] = &[
        (Some("x.deep.org"), "x.deep.org", "/", Some(200)),
        (Some("x.deep.org"), "through.deep.org", "/", Some(421)),
        // Its back end speaks no TLS.
        (Some("through.deep.org"), "through.deep.org", "/", None),
    ];
    check(&proxy, "passed through", rows).await;
    plane.delete(Kind::TlsRoute, "through");
    let all = plane.resources();
    proxy.replace(|now| *now = all);
    let rows: &[Row] = &[
        // The listener keeps its name, and has nothing for it.
        (Some("x.deep.org"), "through.deep.org", "/", Some(421)),
        (Some("through.deep.org"), "through.deep.org", "/", None),
    ];
    check(&proxy, "without its route", rows).await;
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}

/// Wildcards of any depth may be as many as a host has labels: its routes are in its own tables and in that of the wildcard right
/// above it. In those further up it has an answer of a few bytes.
#[test]
fn routes_of_a_host_are_not_copied_for_each_wildcard_above_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut plane = runtime.block_on(Plane::new());
    let wildcards = ["*.c.d.e.org", "*.d.e.org", "*.e.org", "*.org", "*.x.org"];
    plane.gateway("wide", &wildcards);
    plane.route("wide", "wide", &wildcards, "/wide");
    plane.gateway("every", &[""]);
    plane.route("every", "every", &[], "/every");
    plane.gateway("deep", &["b.c.d.e.org"]);
    plane.route("deep", "deep", &["b.c.d.e.org"], "/only-deep");
    let all = plane.resources();
    let with = |text: &str| {
        let tables = all.iter().filter(|((of, _), _)| *of == ResourceType::Route);
        let has = tables.filter(|(_, it)| it.windows(text.len()).any(|at| at == text.as_bytes()));
        has.map(|((_, name), _)| name.as_str()).collect::<Vec<_>>()
    };
    // In clear, by TLS, and in the table of *.c.d.e.org.
    assert_eq!(with("/only-deep").len(), 3, "{:?}", with("/only-deep"));
    // There and in those of *.d.e.org, *.e.org, *.org and of every name, and by name alone in that of *.x.org.
    assert_eq!(with("b.c.d.e.org").len(), 8, "{:?}", with("b.c.d.e.org"));
}
