//! Gateways on a real Envoy: which listener of a port a request belongs to, and what is answered where it belongs to another.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use isobath::build::{Builder, Config};
use isobath::model::Cidr;
use isobath::objects::*;
use isobath::translate::{GatewayOptions, Options};
use isobath::xds::ResourceType;
use serde_json::{Value, json};

use crate::ads::Resources;
use crate::authority::Authority;
use crate::backend;
use crate::client::{exchange, plain, request, tls};
use crate::client_certificates::ask_at;
use crate::eventually::eventually;
use crate::fixture::{World, certificate, config};
use crate::port::Port;
use crate::proxy::{Proxy, envoy};
use crate::upstream_tls::{self, BOTH, Shown};

pub fn object(kind: Kind, name: &str, spec: &Value) -> Object {
    let namespace = kind.is_namespaced().then_some("default");
    let object = json!({"metadata": {"name": name, "namespace": namespace}, "spec": spec});
    let object = decode(kind, &object.to_string()).unwrap();
    assert!(!matches!(object, Object::Invalid(_)), "{object:?}");
    object
}

/// A Secret with a certificate and its key.
pub fn secret(name: &str, chain: Arc<str>, key: PrivateKeyPem) -> Object {
    Object::Secret(Arc::new(Secret {
        metadata: Metadata {
            name: NamespacedName::new("default", name),
            uid: "".into(),
            created: None,
            annotations: Annotations::default(),
        },
        certificate: Ok(Arc::new(TlsCertificate {
            chain,
            key,
            key_algorithm: KeyAlgorithm::Ecdsa,
            names: vec!["*.org".into()],
            common_name: None,
            not_before: jiff::Timestamp::UNIX_EPOCH,
            not_after: jiff::Timestamp::UNIX_EPOCH,
        })),
        authorities: None,
        revocations: None,
        credentials: None,
        credentials_map: None,
    }))
}

/// The one endpoint of a Service. Decoded it would be refused, as its address is one of this machine's.
pub fn slice(service: &str, address: SocketAddr) -> Object {
    let endpoint = Endpoint {
        address: address.ip(),
        ready: true,
        serving: true,
        terminating: false,
        zone: None,
    };
    let port = EndpointPort {
        name: "".into(),
        port: Some(address.port()),
    };
    Object::EndpointSlice(Arc::new(EndpointSlice {
        metadata: Metadata {
            name: NamespacedName::new("default", service),
            uid: "".into(),
            created: None,
            annotations: Annotations::default(),
        },
        service: Some(service.into()),
        address_type: AddressType::V4,
        ports: [port].into(),
        udp_ports: [].into(),
        endpoints: [endpoint].into(),
    }))
}

/// What all tests of this file listen on. Their ports are held until they end.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

struct Plane {
    builder: Builder,
    clear: SocketAddr,
    by_tls: SocketAddr,
    _ports: [Port; 2],
}

impl Plane {
    async fn new() -> Self {
        let mut settings = Config::of_manifests(Options {
            gateway: GatewayOptions {
                addresses: [Cidr::new("127.0.0.0/8").unwrap()].into(),
                ..GatewayOptions::default()
            },
            ..Options::default()
        });
        settings.listeners = config();
        let ports = [Port::take(), Port::take()];
        let at = |port: &Port| SocketAddr::from((ADDRESS, port.address().port()));
        let [clear, by_tls] = ports.each_ref().map(at);
        let mut plane = Self {
            builder: Builder::new(settings),
            clear,
            by_tls,
            _ports: ports,
        };
        let class = json!({"controllerName": "isobath.dev/gateway-controller"});
        plane.apply(object(Kind::GatewayClass, "isobath", &class));
        plane.service("a", backend::start("a").await);
        plane.secret();
        plane
    }

    /// A Service with one endpoint.
    fn service(&mut self, name: &str, address: SocketAddr) {
        let ports = json!({"ports": [{"port": 80}]});
        self.apply(object(Kind::Service, name, &ports));
        self.apply(slice(name, address));
    }

    /// A ConfigMap with an authority.
    fn authority(&mut self, name: &str, authority: &Authority) {
        let object = json!({
            "metadata": {"name": name, "namespace": "default"},
            "data": {"ca.crt": authority.pem()},
        });
        self.apply(decode(Kind::ConfigMap, &object.to_string()).unwrap());
    }

    fn apply(&mut self, object: Object) {
        self.builder.apply(Event::Apply(object));
    }

    fn secret(&mut self) {
        let made = certificate("default/cert", &["*.org"]);
        self.apply(secret("cert", made.chain, made.key));
    }

    /// A Gateway with a listener of each hostname by TLS, and one in clear; the blank one is for all names. One that begins with
    /// `closed.` asks for what is not served.
    fn gateway(&mut self, hostnames: &[&str]) {
        let of = |(at, hostname): (usize, &&str), port: u16, protocol: &str| {
            let mut listener = json!({
                "name": format!("{}-{at}", protocol.to_ascii_lowercase()), "port": port, "protocol": protocol,
            });
            if !hostname.is_empty() {
                listener["hostname"] = json!(hostname);
            }
            if protocol == "HTTPS" {
                listener["tls"] = json!({"certificateRefs": [{"name": "cert"}]});
            }
            if hostname.starts_with("closed.") {
                listener["filters"] = json!({"requests": [{"type": "ExternalAuth"}]});
            }
            listener
        };
        let by_tls = hostnames.iter().enumerate();
        let by_tls = by_tls.map(|it| of(it, self.by_tls.port(), "HTTPS"));
        let clear = hostnames.iter().enumerate();
        let clear = clear.map(|it| of(it, self.clear.port(), "HTTP"));
        let listeners: Vec<Value> = by_tls.chain(clear).collect();
        let spec = json!({
            "gatewayClassName": "isobath",
            "addresses": [{"value": self.clear.ip().to_string()}],
            "listeners": listeners,
        });
        self.apply(object(Kind::Gateway, "edge", &spec));
    }

    fn route(&mut self, name: &str, hostnames: &[&str], path: &str) {
        let spec = json!({
            "parentRefs": [{"name": "edge"}],
            "hostnames": hostnames,
            "rules": [{"matches": [{"path": {"value": path}}], "backendRefs": [{"name": "a", "port": 80}]}],
        });
        self.apply(object(Kind::HttpRoute, name, &spec));
    }

    fn publish(&mut self) -> impl FnOnce(&mut Resources) + use<> {
        self.builder.build();
        let mut now = Resources::new();
        for of in ResourceType::ALL {
            for (name, resource) in self.builder.snapshot().resources(of) {
                if of != ResourceType::Listener || name.starts_with("gw/") {
                    now.insert((of, name.to_string()), resource.bytes());
                }
            }
        }
        move |all| {
            all.retain(|(of, name), _| {
                !name.starts_with("gw/") || now.contains_key(&(*of, name.clone()))
            });
            all.extend(now);
        }
    }

    /// The status of a request for a host, on a connection for a name where one is said.
    async fn ask(&self, name: Option<&str>, host: &str, path: &str) -> Option<u16> {
        let asked = request("GET", host, path, &[]);
        let Some(name) = name else {
            return Some(plain(self.clear, &asked).await.status);
        };
        let mut stream = tls(self.by_tls, Some(name), "http/1.1").await.ok()?;
        Some(exchange(&mut stream, &asked).await.status)
    }
}

/// The specification's matrix, and one more where no listener is for all names.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_belongs_to_one_listener() {
    let Some(envoy) = envoy() else { return };
    let proxy = Proxy::start(&envoy, World::new().resources()).await;
    let mut plane = Plane::new().await;
    let all = ["", "second.org", "*.wildcard.org", "fourth.wildcard.org"];
    plane.gateway(&all);
    plane.route("all", &[], "/");
    const ACTIVE: &str = "listener_manager.total_listeners_active";
    proxy.change(plane.publish(), ACTIVE, 5).await;
    let names = [
        "unknown.org",
        "second.org",
        "third.wildcard.org",
        "a.b.wildcard.org",
        "fourth.wildcard.org",
    ];
    // Of which listener each of these is.
    let owner = [0, 1, 2, 2, 3];
    for (name, of_name) in names.into_iter().zip(owner) {
        for (host, of_host) in names.into_iter().zip(owner) {
            let expected = if of_name == of_host { 200 } else { 421 };
            let got = plane.ask(Some(name), host, "/").await;
            assert_eq!(got, Some(expected), "{host} on a connection for {name}");
        }
        assert_eq!(
            plane.ask(None, name, "/").await,
            Some(200),
            "{name} in clear"
        );
    }
    // No listener is for all names now: an unknown one is refused in TLS, and 404 where a connection is for another.
    plane.gateway(&all[1..]);
    proxy.change(plane.publish(), ACTIVE, 5).await;
    eventually("the new table", async || {
        match plane.ask(None, "unknown.org", "/").await {
            Some(404) => Ok(()),
            got => Err(format!("{got:?}")),
        }
    })
    .await;
    for (name, host, expected) in [
        ("second.org", "second.org", Some(200)),
        ("second.org", "third.wildcard.org", Some(421)),
        ("second.org", "unknown.org", Some(404)),
        ("unknown.org", "unknown.org", None),
    ] {
        let what = format!("{host} on a connection for {name}");
        eventually(&what, async || {
            match plane.ask(Some(name), host, "/").await {
                got if got == expected => Ok(()),
                got => Err(format!("{got:?}")),
            }
        })
        .await;
    }
    assert_eq!(plane.ask(None, "unknown.org", "/").await, Some(404));
}

/// A name has the routes of what it is covered by, the narrower first; a listener with a narrower hostname has none of the wider
/// listener's.
#[tokio::test(flavor = "multi_thread")]
async fn requests_go_on_to_wider_hostnames() {
    let Some(envoy) = envoy() else { return };
    let proxy = Proxy::start(&envoy, World::new().resources()).await;
    let mut plane = Plane::new().await;
    plane.gateway(&["", "*.wildcard.org"]);
    plane.route("exact", &["x.example.org"], "/exact");
    plane.route("wide", &["*.org"], "/wide");
    plane.route("every", &[], "/every");
    const ACTIVE: &str = "listener_manager.total_listeners_active";
    proxy.change(plane.publish(), ACTIVE, 5).await;
    for (host, path, expected) in [
        ("x.example.org", "/exact", 200),
        ("x.example.org", "/wide", 200),
        ("x.example.org", "/every", 200),
        ("x.example.org", "/none", 404),
        ("y.example.org", "/exact", 404),
        ("a.b.c.org", "/wide", 200),
        ("other.test", "/every", 200),
        ("other.test", "/wide", 404),
        ("a.b.wildcard.org", "/wide", 200),
        ("a.b.wildcard.org", "/every", 200),
    ] {
        let got = plane.ask(None, host, path).await;
        assert_eq!(got, Some(expected), "{host}{path}");
    }
}

/// A listener that is not accepted keeps its names, and a redirect its port.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_listener_keeps_its_names() {
    let Some(envoy) = envoy() else { return };
    let proxy = Proxy::start(&envoy, World::new().resources()).await;
    let mut plane = Plane::new().await;
    plane.gateway(&["*.org", "closed.org"]);
    plane.route("every", &["*.org"], "/");
    let redirect = json!({"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "port": 8443, "statusCode": 301}});
    let spec = json!({
        "parentRefs": [{"name": "edge"}], "hostnames": ["moved.org"], "rules": [{"filters": [redirect]}],
    });
    plane.apply(object(Kind::HttpRoute, "moved", &spec));
    const ACTIVE: &str = "listener_manager.total_listeners_active";
    proxy.change(plane.publish(), ACTIVE, 5).await;
    for (name, host, expected) in [
        (None, "open.org", Some(200)),
        (None, "closed.org", Some(404)),
        (Some("open.org"), "open.org", Some(200)),
        (Some("open.org"), "closed.org", Some(421)),
        (Some("closed.org"), "closed.org", None),
    ] {
        let got = plane.ask(name, host, "/").await;
        assert_eq!(got, expected, "{host} on a connection for {name:?}");
    }
    let asked = request("GET", "moved.org", "/a", &[]);
    let answer = plain(plane.clear, &asked).await;
    assert_eq!(answer.header("location"), Some("https://moved.org:8443/a"));
}

/// Back ends are whom a policy says, and its authorities are followed.
#[tokio::test(flavor = "multi_thread")]
async fn back_ends_are_whom_a_policy_says() {
    let Some(envoy) = envoy() else { return };
    let proxy = Proxy::start(&envoy, World::new().resources()).await;
    let mut plane = Plane::new().await;
    let [ours, other] = ["ours", "other"].map(Authority::new);
    let leaf = ours.leaf(1, &["shop.internal"]);
    let shown = Shown {
        leaf: &leaf,
        clients: None,
        versions: BOTH,
    };
    plane.service("secret", upstream_tls::start(shown).await);
    plane.gateway(&[""]);
    let spec = json!({
        "parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [{"name": "secret", "port": 80}]}],
    });
    plane.apply(object(Kind::HttpRoute, "secret", &spec));
    const ACTIVE: &str = "listener_manager.total_listeners_active";
    proxy.change(plane.publish(), ACTIVE, 5).await;
    let policy = |hostname: &str, alternative: Option<&str>| {
        let names = alternative.map(|name| json!([{"type": "Hostname", "hostname": name}]));
        let spec = json!({
            "targetRefs": [{"group": "", "kind": "Service", "name": "secret"}],
            "validation": {
                "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}],
                "hostname": hostname, "subjectAltNames": names,
            },
        });
        object(Kind::BackendTlsPolicy, "policy", &spec)
    };
    // In clear the back end does not answer; without its authority nobody is asked.
    for (what, authority, policy, expected) in [
        ("no policy", None, None, Err(502)),
        (
            "no authority",
            None,
            Some(policy("shop.internal", None)),
            Err(500),
        ),
        ("all is well", Some(&ours), None, Ok("sni=shop.internal ")),
        ("another authority", Some(&other), None, Err(503)),
        ("its own again", Some(&ours), None, Ok("sni=shop.internal ")),
        (
            "another name",
            None,
            Some(policy("other.internal", None)),
            Err(503),
        ),
        (
            "a name for TLS alone",
            None,
            Some(policy("other.internal", Some("shop.internal"))),
            Ok("sni=other.internal "),
        ),
    ] {
        if let Some(authority) = authority {
            plane.authority("ca", authority);
        }
        if let Some(policy) = policy {
            plane.apply(policy);
        }
        proxy.replace(plane.publish());
        let asked = request("GET", "any.test", "/", &[]);
        eventually(what, async || {
            let answer = plain(plane.clear, &asked).await;
            let text = &answer.body;
            match expected {
                Ok(start) if answer.status == 200 && text.starts_with(start) => Ok(()),
                Err(status) if answer.status == status => Ok(()),
                _ => Err(format!("{} {text}", answer.status)),
            }
        })
        .await;
    }
}

/// Clients show what a Gateway asks for at each port; whom nobody vouches for is let in where it says so, and nobody where no
/// authority can be used.
#[tokio::test(flavor = "multi_thread")]
async fn clients_show_what_a_gateway_asks_for() {
    let Some(envoy) = envoy() else { return };
    let proxy = Proxy::start(&envoy, World::new().resources()).await;
    let mut plane = Plane::new().await;
    let [ours, other] = ["ours", "other"].map(Authority::new);
    let [own, others] = [&ours, &other].map(|it| it.leaf(1, &["client"]));
    plane.authority("ours", &ours);
    plane.authority("other", &other);
    plane.route("every", &[], "/");
    let of = |name: &str, mode: &str| {
        let authority = json!({"group": "", "kind": "ConfigMap", "name": name});
        json!({"validation": {"caCertificateRefs": [authority], "mode": mode}})
    };
    let (strict, lax) = ("AllowValidOnly", "AllowInsecureFallback");
    let port = plane.by_tls.port();
    let at_port = |tls: Value| json!([{"port": port, "tls": tls}]);
    const ACTIVE: &str = "listener_manager.total_listeners_active";
    // Without a certificate, with ours, and with one of the other authority.
    for (what, frontend, expected) in [
        ("nothing is asked for", json!(null), [200, 200, 200]),
        ("ours", json!({"default": of("ours", strict)}), [0, 200, 0]),
        (
            "whatever",
            json!({"default": of("ours", lax)}),
            [200, 200, 200],
        ),
        (
            "another at this port",
            json!({"default": of("ours", strict), "perPort": at_port(of("other", strict))}),
            [0, 0, 200],
        ),
        (
            "none at this port",
            json!({"default": of("ours", strict), "perPort": at_port(json!({}))}),
            [200, 200, 200],
        ),
        (
            "nobody can be verified",
            json!({"default": of("gone", strict)}),
            [0, 0, 0],
        ),
        (
            "nor let in all the same",
            json!({"default": of("gone", lax)}),
            [0, 0, 0],
        ),
        (
            "ours again",
            json!({"default": of("ours", strict)}),
            [0, 200, 0],
        ),
    ] {
        let spec = json!({
            "gatewayClassName": "isobath",
            "addresses": [{"value": plane.by_tls.ip().to_string()}],
            "listeners": [
                {"name": "https", "port": port, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "cert"}]}},
                {"name": "http", "port": plane.clear.port(), "protocol": "HTTP"},
            ],
            "tls": {"frontend": frontend},
        });
        plane.apply(object(Kind::Gateway, "edge", &spec));
        let is_closed = expected == [0, 0, 0];
        let change = plane.publish();
        proxy
            .change(change, ACTIVE, if is_closed { 4 } else { 5 })
            .await;
        eventually(what, async || {
            let mut got = [0; 3];
            let shown = [None, Some(own.parts()), Some(others.parts())];
            for (got, identity) in got.iter_mut().zip(shown) {
                *got = ask_at(plane.by_tls, "any.org", identity).await;
            }
            match got == expected {
                true => Ok(()),
                false => Err(format!("{got:?}")),
            }
        })
        .await;
        // What is asked of clients is asked by TLS.
        assert_eq!(plane.ask(None, "any.org", "/").await, Some(200), "{what}");
    }
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}

/// A back end that asks is shown the certificate of the Gateway that a request came through; where it can't be used nobody is spoken
/// to by TLS.
#[tokio::test(flavor = "multi_thread")]
async fn back_ends_are_shown_what_a_gateway_shows() {
    let Some(envoy) = envoy() else { return };
    let proxy = Proxy::start(&envoy, World::new().resources()).await;
    let mut plane = Plane::new().await;
    let [ours, other] = ["ours", "other"].map(Authority::new);
    let leaf = ours.leaf(1, &["shop.internal"]);
    let shown = Shown {
        leaf: &leaf,
        clients: Some(&ours),
        versions: BOTH,
    };
    plane.service("secret", upstream_tls::start(shown).await);
    plane.authority("ca", &ours);
    for (name, by) in [("good", &ours), ("bad", &other)] {
        let leaf = by.leaf(2, &["gateway"]);
        plane.apply(secret(
            name,
            leaf.chain.into(),
            PrivateKeyPem::new(leaf.key),
        ));
    }
    let policy = json!({
        "targetRefs": [{"group": "", "kind": "Service", "name": "secret"}],
        "validation": {"hostname": "shop.internal", "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]},
    });
    plane.apply(object(Kind::BackendTlsPolicy, "policy", &policy));
    let route = |name: &str, path: &str, service: &str| {
        let spec = json!({
            "parentRefs": [{"name": "edge"}],
            "rules": [{"matches": [{"path": {"value": path}}], "backendRefs": [{"name": service, "port": 80}]}],
        });
        object(Kind::HttpRoute, name, &spec)
    };
    plane.apply(route("secret", "/", "secret"));
    plane.apply(route("clear", "/clear", "a"));
    const ACTIVE: &str = "listener_manager.total_listeners_active";
    let mut is_first = true;
    for (certificate, expected) in [
        (json!(null), Err(503)),
        (json!({"name": "good"}), Ok("certificates=1")),
        (json!({"name": "bad"}), Err(503)),
        (json!({"name": "gone"}), Err(500)),
        (json!({"name": "good", "kind": "ConfigMap"}), Err(500)),
        (json!({"name": "good", "namespace": "other"}), Err(500)),
        (json!({"name": "good"}), Ok("certificates=1")),
    ] {
        let mut spec = json!({
            "gatewayClassName": "isobath",
            "addresses": [{"value": plane.clear.ip().to_string()}],
            "listeners": [{"name": "http", "port": plane.clear.port(), "protocol": "HTTP"}],
        });
        if !certificate.is_null() {
            spec["tls"] = json!({"backend": {"clientCertificateRef": certificate}});
        }
        plane.apply(object(Kind::Gateway, "edge", &spec));
        match std::mem::take(&mut is_first) {
            true => proxy.change(plane.publish(), ACTIVE, 4).await,
            false => proxy.replace(plane.publish()),
        }
        let asked = request("GET", "any.test", "/", &[]);
        eventually(&certificate.to_string(), async || {
            let answer = plain(plane.clear, &asked).await;
            match expected {
                Ok(text) if answer.status == 200 && answer.body.contains(text) => Ok(()),
                Err(status) if answer.status == status => Ok(()),
                _ => Err(format!("{} {}", answer.status, answer.body)),
            }
        })
        .await;
        assert_eq!(plane.ask(None, "any.test", "/clear").await, Some(200));
    }
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}
