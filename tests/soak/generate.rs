//! Objects: of the right shape, with values that are mostly possible, and a part of them wild.

use isobath::objects::Kind;
use isobath::translate::{INGRESS_ANNOTATIONS, SERVICE_ANNOTATIONS};
use serde_json::{Value, json};

use crate::random::Random;

const NAMESPACES: &[&str] = &["east", "west", "certs"];
const NAMES: &[&str] = &[
    "a", "b", "web", "api", "one.two", "cert", "rsa", "x-1", "c", "d", "e", "isobath",
];
const SERVICES: &[&str] = &["a", "b", "web", "api", "x-1", "gone"];
const PORT_NAMES: &[&str] = &["http", "https", "grpc", "a", "x-1"];
const HOSTS: &[&str] = &[
    "a.test",
    "b.test",
    "*.test",
    "x.a.test",
    "*.a.test",
    "deep.x.a.test",
    "xn--bcher-kva.test",
    "localhost",
    "1.2.3.test",
];
const PATHS: &[&str] = &[
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/café",
    "/a b",
    "/%41",
    "/%zz",
    "/x[0-9]+",
    "/(a|b)*",
    "/[^/]+/y",
    "/x[",
    "/a**",
    "/.well-known/acme-challenge/t",
    "/.well-known/acme-challenge",
    "/a?b",
    "/a#b",
    "/a\\b",
    "/%REQ(x)%",
    "/a;b=c",
    "/^",
];
const VALUES: &[&str] = &[
    "ingress-nginx",
    "/$1",
    "https://b.test/$2",
    "10.0.0.0/8,bad",
    "cookie",
    "HTTPS",
    "off",
    "true",
    "false",
    "5xx,reset",
    "3",
    "-1",
    "0",
    "1.5s",
    "30s",
    "infinity",
    "1.2",
    "1.3",
    "/new",
    "/",
    "certs",
    "a",
    "b",
    "https://b.test:8080/x",
    "301 /y",
    "X-A: 1\nX-B:",
    "X-A: %REQ(x)%",
    "80",
    "http,443",
    "80, a",
    "4294967295",
    "isobath",
    "other",
];
/// Texts that hurt somewhere.
const EDGES: &[&str] = &[
    "",
    " ",
    "\0",
    "a\0b",
    "\r\nX-Evil: 1",
    "\u{202e}txt",
    "é",
    "\u{1f980}\u{1f980}",
    "A",
    "UPPER.test",
    "-a",
    "a-",
    "a..b",
    ".",
    "..",
    "*",
    "*.",
    "*.*",
    "*.*.test",
    "a.*.test",
    "127.0.0.1",
    "::1",
    "169.254.169.254",
    "0x7f000001",
    "a/b",
    "certs/cert",
    "certs/",
    "/cert",
    "../../etc",
    "%",
    "%%",
    "%00",
    "{{.}}",
    "${x}",
    "'\"<>&",
    "//",
    "/../",
    "/./",
    "/%2f",
    "/%2F..",
    "/x\u{0}",
    "\u{7f}",
    "\u{feff}",
    "null",
    "1e999",
    "0",
    "-1",
    "99999999999999999999",
    "9999-99-99T99:99:99Z",
    "0000-01-01T00:00:00Z",
    "2020-01-01T00:00:00Z",
    "Infinity",
    "NaNs",
    "-0s",
    "1h1m1s1ms1us1ns",
    "h",
    "9223372036854775807h",
    "(((((((((((((((((((((((((((((((((((((((((((((((a",
    "/a{1000}{1000}*",
    "/(a{40}){30}*",
    "/[[:alpha:]",
    "/\\pL*",
    "IPv4",
    "Prefix",
    "ExternalName",
    "kubernetes.io/tls",
];

pub struct Generator {
    pub random: Random,
    /// In how many of a hundred fields the value is wild.
    wild: usize,
    /// Pairs that belong together, as a Secret has them.
    pairs: Vec<(String, String)>,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        let names: &[&[&str]] = &[&["a.test", "b.test"], &["*.a.test"], &[], &["\u{e9}.test"]];
        let pairs = names.iter().filter_map(|names| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let pair = rcgen::generate_simple_self_signed(names).ok()?;
            Some((pair.cert.pem(), pair.signing_key.serialize_pem()))
        });
        Self {
            random: Random::new(seed),
            wild: 0,
            pairs: pairs.collect(),
        }
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.random.below(limit)
    }

    /// An object as text, and whether the text itself, or the name in it, may be broken.
    pub fn object(&mut self) -> (Kind, String, bool) {
        self.wild = self.random.one(&[0, 0, 0, 0, 1, 3, 3, 10, 40]);
        let kinds = Kind::ALL.into_iter().flat_map(|kind| {
            let weight = match kind {
                Kind::Ingress => 4,
                Kind::Service | Kind::EndpointSlice => 2,
                Kind::Secret
                | Kind::IngressClass
                | Kind::TlsCertificateDelegation
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
                | Kind::BackendTlsPolicy
                | Kind::ConfigMap
                | Kind::Namespace
                | Kind::Untyped(_) => 1,
            };
            std::iter::repeat_n(kind, weight)
        });
        let kind = self.random.one(&kinds.collect::<Vec<_>>());
        let mut object = match kind {
            Kind::Ingress => self.ingress(),
            Kind::Service => self.service(),
            Kind::EndpointSlice => self.slice(),
            Kind::Secret => self.secret(),
            Kind::IngressClass => {
                json!({"spec": {"controller": self.text(&["isobath.dev/ingress-controller", "example.com/other"])}})
            }
            Kind::TlsCertificateDelegation => self.delegation(),
            Kind::HttpProxy => self.http_proxy(),
            Kind::ExtensionService => self.extension_service(),
            Kind::GatewayClass => self.gateway_class(),
            Kind::Gateway => self.gateway(),
            Kind::ListenerSet => self.listener_set(),
            Kind::HttpRoute => self.http_route(),
            Kind::GrpcRoute => self.grpc_route(),
            Kind::TlsRoute | Kind::TcpRoute | Kind::UdpRoute => self.opaque_route(),
            Kind::ReferenceGrant => self.reference_grant(),
            Kind::BackendTlsPolicy => self.backend_tls_policy(),
            Kind::ConfigMap => self.config_map(),
            Kind::Namespace => json!({}),
            Kind::Untyped(_) => unreachable!("it has no row"),
        };
        object["metadata"] = self.metadata(kind);
        let mut text = object.to_string();
        let is_broken = self.wild > 0 && self.random.percent(2);
        if is_broken {
            self.damage(&mut text);
        }
        let has_name = object["metadata"]["name"]
            .as_str()
            .is_some_and(|name| !name.is_empty());
        (kind, text, is_broken || !has_name)
    }

    fn damage(&mut self, text: &mut String) {
        let at = self.below(text.len());
        let at = (0..=at)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        match self.below(4) {
            0 => text.truncate(at),
            1 => text.insert_str(
                at,
                self.random.one(&[
                    "\\ud800", "\\u0000", "\"", "{", "]", "\0", "é", "1e999", "\\",
                ]),
            ),
            2 => {
                text.remove(at);
            }
            _ => *text = format!("{}{text}{}", "[".repeat(at), "]".repeat(at)),
        }
    }

    /// One of these, or where it is wild anything.
    fn value(&mut self, good: &[&str]) -> Value {
        if !self.random.percent(self.wild) {
            return self.random.one(good).into();
        }
        match self.below(40) {
            0 => Value::Null,
            1 => self.random.percent(50).into(),
            2 => self.number(&[]),
            3 => json!([]),
            4 => json!({}),
            5 => json!({"a": [{"b": null}]}),
            6 => "é".repeat(self.below(4000)).into(),
            7 => "a"
                .repeat(
                    self.random
                        .one(&[62, 63, 64, 252, 253, 254, 1024, 4097, 65_536]),
                )
                .into(),
            8 => format!("/{}*", "(".repeat(self.below(2000))).into(),
            9 => (0..60).map(|_| "a").collect::<Vec<_>>().join(".").into(),
            _ => self.random.one(EDGES).into(),
        }
    }

    pub fn text(&mut self, good: &[&str]) -> Value {
        self.value(good)
    }

    pub fn number(&mut self, good: &[i64]) -> Value {
        if !good.is_empty() && !self.random.percent(self.wild) {
            return self.random.one(good).into();
        }
        match self.below(4) {
            0 => json!(self.random.one(&[0.5, -0.0, 1e300, 80.0])),
            1 => self.random.one(&["80", "", "http"]).into(),
            _ => self
                .random
                .one(&[0, -1, 1, 65_535, 65_536, i64::MAX, i64::MIN])
                .into(),
        }
    }

    pub fn boolean(&mut self) -> Value {
        if self.random.percent(self.wild) {
            return self.value(&["true"]);
        }
        self.random.percent(50).into()
    }

    pub fn list(&mut self, most: usize, mut item: impl FnMut(&mut Self) -> Value) -> Value {
        if self.random.percent(self.wild / 4) {
            return self.value(&["a"]);
        }
        if most == 1 && self.wild == 0 {
            return json!([item(self)]);
        }
        // Rarely a great many.
        let length = if self.random.percent(1) && self.wild > 0 {
            100
        } else {
            self.below(most + 1)
        };
        (0..length).map(|_| item(self)).collect()
    }

    fn metadata(&mut self, kind: Kind) -> Value {
        let annotations: &[&str] = match kind {
            Kind::Ingress if self.random.percent(50) => NGINX,
            Kind::Ingress => &INGRESS_ANNOTATIONS.map(|(name, _)| name),
            Kind::Service => &SERVICE_ANNOTATIONS.map(|(name, _)| name),
            Kind::IngressClass => &[
                "ingressclass.kubernetes.io/is-default-class",
                "isobath.dev/dialect",
            ],
            _ => &["example.com/any"],
        };
        let mut metadata = json!({"name": self.text(NAMES), "namespace": self.text(NAMESPACES)});
        if kind == Kind::Service && self.wild == 0 {
            metadata["name"] = self.text(&SERVICES[..5]);
        }
        for _ in 0..self.below(4) {
            let key = self.random.one(annotations);
            metadata["annotations"][key] = self.text(VALUES);
        }
        if self.random.percent(50) {
            metadata["creationTimestamp"] =
                self.text(&["2020-01-01T00:00:00Z", "2024-06-30T23:59:59Z"]);
        }
        if kind == Kind::EndpointSlice && self.random.percent(95) {
            metadata["labels"] = json!({"kubernetes.io/service-name": self.text(SERVICES)});
        }
        if self.random.percent(self.wild) {
            let key = self.random.one(EDGES);
            metadata["annotations"][key] = self.text(VALUES);
        }
        metadata
    }

    fn backend(&mut self) -> Value {
        if self.random.percent(3) {
            return json!({"resource": {"apiGroup": self.text(&["example.com"]), "kind": self.text(&["Bucket"]), "name": self.text(NAMES)}});
        }
        let port = match self.random.percent(70) {
            true => json!({"number": self.number(&[80, 443, 81])}),
            false => json!({"name": self.text(PORT_NAMES)}),
        };
        json!({"service": {"name": self.text(SERVICES), "port": port}})
    }

    fn ingress(&mut self) -> Value {
        let mut spec = json!({});
        spec["rules"] = self.list(3, |this| {
            let mut rule = json!({});
            if this.random.percent(85) {
                rule["host"] = this.text(HOSTS);
            }
            if this.random.percent(90) {
                rule["http"] = json!({"paths": [this.path()]});
                for _ in 0..this.below(4) {
                    let path = this.path();
                    rule["http"]["paths"].as_array_mut().unwrap().push(path);
                }
            }
            rule
        });
        spec["tls"] = self.list(2, |this| {
            json!({
                "hosts": this.list(3, |this| this.text(HOSTS)),
                "secretName": this.text(&["cert", "rsa", "a", "gone"]),
            })
        });
        if self.random.percent(30) || spec["rules"].as_array().is_some_and(Vec::is_empty) {
            spec["defaultBackend"] = self.backend();
        }
        if self.random.percent(30) {
            spec["ingressClassName"] = self.text(&["isobath", "a", "b", "gone"]);
        }
        json!({"spec": spec, "status": {"loadBalancer": {"ingress": self.list(1, |this| json!({"ip": this.text(&["10.0.0.1"])}))}}})
    }

    fn path(&mut self) -> Value {
        let path_type = self.text(&[
            "Exact",
            "Prefix",
            "ImplementationSpecific",
            "ImplementationSpecific",
        ]);
        let path = match path_type == "ImplementationSpecific" {
            true => self.text(PATHS),
            false => self.text(&PATHS[..9]),
        };
        json!({"path": path, "pathType": path_type, "backend": self.backend()})
    }

    fn service(&mut self) -> Value {
        if self.random.percent(10) {
            return json!({"spec": {
                "type": "ExternalName",
                "externalName": self.text(&["example.com", "a.b.example.org.", "localhost", "10.0.0.1"]),
                "ports": [{"port": self.number(&[80, 443])}],
            }});
        }
        let mut numbers = [80, 443, 81].into_iter();
        let mut names = PORT_NAMES.iter();
        let is_single = self.random.percent(40);
        let most = if is_single { 1 } else { 3 };
        let ports = self.list(most, |this| {
            let mut port = json!({"port": this.number(&[numbers.next().unwrap_or(8080)]), "protocol": this.text(&["TCP", "TCP", "TCP", "UDP"])});
            if !is_single {
                port["name"] = this.text(&[names.next().unwrap_or(&"z")]);
            }
            if this.random.percent(30) {
                port["appProtocol"] = this.text(&["kubernetes.io/h2c", "https", "kubernetes.io/ws", "example.com/x"]);
            }
            port
        });
        json!({"spec": {
            "type": self.text(&["ClusterIP", "NodePort", "LoadBalancer"]),
            "ports": ports,
            "ipFamilies": self.list(1, |this| this.text(&["IPv4", "IPv6"])),
            "sessionAffinity": self.text(&["None", "ClientIP"]),
            "publishNotReadyAddresses": self.boolean(),
        }})
    }

    fn slice(&mut self) -> Value {
        let v6 = self.random.percent(30);
        let addresses: &[&str] = if v6 {
            &["fd00::1", "2001:db8::2"]
        } else {
            &["10.0.0.1", "10.0.0.2", "192.168.0.1"]
        };
        let endpoints = self.list(4, |this| {
            let mut endpoint = json!({"addresses": [this.text(addresses)]});
            for condition in ["ready", "serving", "terminating"] {
                if this.random.percent(50) {
                    endpoint["conditions"][condition] = this.boolean();
                }
            }
            if this.random.percent(40) {
                endpoint["zone"] = this.text(&["z1", "z2"]);
            }
            endpoint
        });
        let mut names = PORT_NAMES.iter();
        json!({
            "addressType": self.text(&[if v6 { "IPv6" } else { "IPv4" }]),
            "ports": self.list(3, |this| json!({
                "name": this.text(&[names.next().unwrap_or(&"z")]),
                "port": this.number(&[8080, 8443, 1]),
                "protocol": this.text(&["TCP", "TCP", "UDP"]),
            })),
            "endpoints": endpoints,
        })
    }

    fn secret(&mut self) -> Value {
        use base64::Engine;
        use base64::engine::general_purpose::STANDARD;
        let (chain, key) = (self.below(self.pairs.len()), self.below(self.pairs.len()));
        // Mostly a pair that belongs together.
        let key = if self.random.percent(80) { chain } else { key };
        let (mut chain, mut key) = (self.pairs[chain].0.clone(), self.pairs[key].1.clone());
        if self.random.percent(self.wild) {
            self.damage(&mut chain);
        }
        if self.random.percent(self.wild) {
            self.damage(&mut key);
        }
        let mut secret =
            json!({"type": self.text(&["kubernetes.io/tls", "kubernetes.io/tls", "Opaque"])});
        secret["data"] =
            json!({"tls.crt": STANDARD.encode(chain), "tls.key": STANDARD.encode(key)});
        if self.random.percent(self.wild) {
            let field = self
                .random
                .one(&["tls.crt", "tls.key", "ca.crt", "crl.pem", "\0"]);
            secret["data"][field] = self.text(&["AAAA"]);
        }
        secret
    }

    fn delegation(&mut self) -> Value {
        json!({"spec": {"delegations": self.list(3, |this| json!({
            "secretName": this.text(&["cert", "rsa", "a"]),
            "targetNamespaces": this.list(2, |this| this.text(&["*", "east", "west"])),
        }))}})
    }
}

/// Those of ingress-nginx that do something to routes.
const NGINX: &[&str] = &[
    "nginx.ingress.kubernetes.io/affinity",
    "nginx.ingress.kubernetes.io/affinity-mode",
    "nginx.ingress.kubernetes.io/allowlist-source-range",
    "nginx.ingress.kubernetes.io/app-root",
    "nginx.ingress.kubernetes.io/auth-tls-match-cn",
    "nginx.ingress.kubernetes.io/auth-tls-secret",
    "nginx.ingress.kubernetes.io/auth-url",
    "nginx.ingress.kubernetes.io/backend-protocol",
    "nginx.ingress.kubernetes.io/canary",
    "nginx.ingress.kubernetes.io/canary-by-cookie",
    "nginx.ingress.kubernetes.io/canary-by-header",
    "nginx.ingress.kubernetes.io/canary-weight",
    "nginx.ingress.kubernetes.io/cors-allow-origin",
    "nginx.ingress.kubernetes.io/custom-headers",
    "nginx.ingress.kubernetes.io/custom-http-errors",
    "nginx.ingress.kubernetes.io/default-backend",
    "nginx.ingress.kubernetes.io/denylist-source-range",
    "nginx.ingress.kubernetes.io/enable-cors",
    "nginx.ingress.kubernetes.io/force-ssl-redirect",
    "nginx.ingress.kubernetes.io/from-to-www-redirect",
    "nginx.ingress.kubernetes.io/limit-allowlist",
    "nginx.ingress.kubernetes.io/limit-connections",
    "nginx.ingress.kubernetes.io/limit-rps",
    "nginx.ingress.kubernetes.io/permanent-redirect",
    "nginx.ingress.kubernetes.io/proxy-body-size",
    "nginx.ingress.kubernetes.io/proxy-next-upstream",
    "nginx.ingress.kubernetes.io/proxy-next-upstream-tries",
    "nginx.ingress.kubernetes.io/proxy-read-timeout",
    "nginx.ingress.kubernetes.io/rewrite-target",
    "nginx.ingress.kubernetes.io/server-alias",
    "nginx.ingress.kubernetes.io/service-upstream",
    "nginx.ingress.kubernetes.io/ssl-ciphers",
    "nginx.ingress.kubernetes.io/ssl-passthrough",
    "nginx.ingress.kubernetes.io/ssl-redirect",
    "nginx.ingress.kubernetes.io/upstream-hash-by",
    "nginx.ingress.kubernetes.io/upstream-vhost",
    "nginx.ingress.kubernetes.io/use-regex",
];
