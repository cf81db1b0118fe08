//! What all rows share: back ends, Services, Secrets, delegations, and certificates of clients.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use crate::echo::{Echo, PORTS, Shared};
use crate::extensions::Extensions;
use crate::issuer::Issuer;
use crate::notation;
use crate::support::certificate::{Authority, Leaf};

/// It lives as long as its test.
pub(crate) struct Rig {
    /// The objects.
    pub(crate) objects: Vec<Value>,
    /// What back ends know.
    pub(crate) shared: Arc<Shared>,
    /// What clients can show: `client` and `revoked` by `ca`, `stranger` by `ca2`.
    pub(crate) clients: BTreeMap<&'static str, Leaf>,
    /// The back ends.
    pub(crate) backends: BTreeMap<&'static str, Echo>,
    /// Whom Envoy asks.
    pub(crate) extensions: Extensions,
    /// Who signs tokens.
    pub(crate) issuers: BTreeMap<&'static str, Issuer>,
}

/// `secret` by what nginx checks (section 6 of the reference), and two names that nobody can be.
const HTPASSWD: &str = "\
apr:$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0
sha:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=
s512:$6$rounds=1000$abc$MqEcPZUYRGGcOeq7PhMpfjfu/F0HrVEI0OlZBijWvO8mSG77iNUDP5MqFceKpJTBc8iITVtNyLiNTRNCxv6oh0
ssha:{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0
plain:{PLAIN}secret
bc:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a
raw:secret
dear:$2y$31$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a
";
const MAP: [(&str, &str); 2] = [
    ("apr", "$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0"),
    ("raw", "secret"),
];

/// Services and who answers for them. Each has all ports of a back end.
const SERVICES: [(&str, &str, &[&str]); 17] = [
    ("hp", "a", &["a"]),
    ("hp", "b", &["b"]),
    ("hp", "c", &["c"]),
    ("hp", "d", &["d"]),
    ("hp", "e", &["e"]),
    ("team1", "t1", &["t1"]),
    ("team2", "t2", &["t2"]),
    ("team2", "t3", &["t3"]),
    ("hp", "multi", &["m1", "m2", "m3"]),
    ("hp", "mirror", &["mirror"]),
    ("hp", "empty", &[]),
    ("hp", "sick", &["sick"]),
    ("hp", "mix", &["a", "sick"]),
    ("hp", "annh2c", &["a"]),
    ("hp", "anntls", &["a"]),
    ("hp", "apph2c", &["a"]),
    ("hp", "apptls", &["a"]),
];

impl Rig {
    /// Starts the back ends at this address, and makes the objects.
    pub(crate) async fn start(at: Ipv4Addr) -> Self {
        let [ca, ca2] = [Authority::new(), Authority::new()];
        let shared = Arc::<Shared>::default();
        let leaf = ca.leaf(&["backend.test", "alt.backend.test"]);
        let mut backends = BTreeMap::new();
        for name in SERVICES.iter().flat_map(|(_, _, names)| *names) {
            if !backends.contains_key(name) {
                backends.insert(*name, Echo::start(name, at, &shared, &leaf, &ca).await);
            }
        }
        let mut objects = Vec::new();
        for (namespace, name, answering) in SERVICES {
            objects.push(service(namespace, name));
            let echoes = answering.iter().map(|name| &backends[name]);
            objects.extend(echoes.map(|echo| slice(namespace, name, echo)));
        }
        let issuers = BTreeMap::from(["jwk1", "jwk2"].map(|name| (name, Issuer::new())));
        let acceptor = TlsAcceptor::from(Arc::new(leaf.server_config(&["h2", "http/1.1"])));
        let extensions = Extensions::start(at, &acceptor, &issuers).await;
        for (namespace, name, addresses) in [
            ("hp", "authz", extensions.authorizer),
            ("team1", "gauth", extensions.authorizer),
            ("hp", "rls", extensions.limiter),
        ] {
            objects.extend(extension(namespace, name, addresses));
        }
        objects.extend(others());
        objects.extend(secrets(&ca, &ca2));
        Self {
            objects,
            shared,
            clients: BTreeMap::from([
                (
                    "client",
                    ca.client("client", 7, "client.client.test", "spiffe://x/client"),
                ),
                (
                    "revoked",
                    ca.client("revoked", 66, "revoked.client.test", "spiffe://x/revoked"),
                ),
                (
                    "stranger",
                    ca2.client("stranger", 7, "client.client.test", "spiffe://x/client"),
                ),
            ]),
            backends,
            extensions,
            issuers,
        }
    }

    /// The text of a table with the addresses of back ends and of keys in it.
    pub(crate) fn fill(&self, text: &str) -> String {
        let [plain, _, tls, _] = self.backends["b"].addresses;
        let [keys, sealed_keys] = self.extensions.keys;
        [
            ("$plain", plain),
            ("$tls", tls),
            ("$keys", keys),
            ("$skeys", sealed_keys),
        ]
        .iter()
        .fold(text.to_owned(), |text, (name, address)| {
            text.replace(name, &address.port().to_string())
        })
        .replace("$address", &plain.ip().to_string())
    }
}

impl Rig {
    /// A Secret of namespace hp.
    pub(crate) fn secret(&self, name: &str) -> &Value {
        let mut objects = self.objects.iter();
        let found = objects.find(|object| {
            object["kind"] == "Secret"
                && object["metadata"] == json!({"namespace": "hp", "name": name})
        });
        found.unwrap()
    }
}

/// A row's objects.
pub(crate) fn objects(rig: &Rig, row: &str, lines: &[String]) -> Vec<Value> {
    let host = format!("{row}.test");
    let objects = lines.iter().map(|line| {
        let object = notation::object(line, row, &host);
        match object["like"].as_str() {
            None => object,
            Some(other) => {
                let mut like = rig.secret(other).clone();
                like["metadata"] = object["metadata"].clone();
                like
            }
        }
    });
    objects.collect()
}

fn service(namespace: &str, name: &str) -> Value {
    let ports: Vec<Value> = PORTS
        .iter()
        .map(|(number, port)| {
            let mut port = json!({"name": port, "port": number, "targetPort": port});
            match name {
                "apph2c" => port["appProtocol"] = "kubernetes.io/h2c".into(),
                "apptls" => port["appProtocol"] = "https".into(),
                _ => {}
            }
            port
        })
        .collect();
    let annotations = match name {
        "annh2c" => json!({"projectcontour.io/upstream-protocol.h2c": "80"}),
        "anntls" => json!({"projectcontour.io/upstream-protocol.tls": "tls"}),
        _ => json!({}),
    };
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": namespace, "name": name, "annotations": annotations},
        "spec": {"clusterIP": "10.0.0.1", "ports": ports},
    })
}

fn slice(namespace: &str, service: &str, echo: &Echo) -> Value {
    let ports = PORTS.iter().zip(echo.addresses);
    let ports: Vec<Value> = ports
        .map(
            |((_, name), address)| json!({"name": name, "port": address.port(), "protocol": "TCP"}),
        )
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "namespace": namespace, "name": format!("{service}-{}", echo.name),
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4", "ports": ports,
        "endpoints": [{"addresses": [echo.addresses[0].ip()], "conditions": {"ready": true}}],
    })
}

/// A Service, its slice, and the ExtensionService of the same name.
fn extension(namespace: &str, name: &str, [plain, tls]: [SocketAddr; 2]) -> [Value; 3] {
    let metadata = json!({"namespace": namespace, "name": name});
    let mut slice_metadata = metadata.clone();
    slice_metadata["labels"] = json!({"kubernetes.io/service-name": name});
    let port = |name: &str, address: SocketAddr| json!({"name": name, "port": address.port(), "protocol": "TCP"});
    [
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"clusterIP": "10.0.0.1", "ports": [{"name": "grpc", "port": 5000}, {"name": "grpcs", "port": 5443}]},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": slice_metadata,
            "addressType": "IPv4", "ports": [port("grpc", plain), port("grpcs", tls)],
            "endpoints": [{"addresses": [plain.ip()], "conditions": {"ready": true}}],
        }),
        json!({
            "apiVersion": "projectcontour.io/v1alpha1", "kind": "ExtensionService", "metadata": metadata,
            // Far beyond what an answer takes on a busy machine.
            "spec": {"services": [{"name": name, "port": 5000}], "protocol": "h2c", "timeoutPolicy": {"response": "20s"}},
        }),
    ]
}

fn others() -> Vec<Value> {
    let external = |name: &str, target: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "hp", "name": name},
            "spec": {"type": "ExternalName", "externalName": target, "ports": [{"port": 3000}]},
        })
    };
    let delegation = |name: &str, secret: &str, namespace: &str| {
        json!({
            "apiVersion": "projectcontour.io/v1", "kind": "TLSCertificateDelegation",
            "metadata": {"namespace": "certs", "name": name},
            "spec": {"delegations": [{"secretName": secret, "targetNamespaces": [namespace]}]},
        })
    };
    vec![
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "hp", "name": "udp"},
            "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 53, "protocol": "UDP"}]},
        }),
        external("ext", "outside.example"),
        external("extlocal", "localhost"),
        delegation("web", "web", "hp"),
        delegation("ca", "ca", "*"),
        delegation("ca2", "ca2", "*"),
        delegation("fallback", "fallback", "*"),
    ]
}

/// A PEM block that is well formed and holds nothing.
fn zeros(label: &str) -> String {
    let zeros = STANDARD.encode([0; 48]);
    format!("-----BEGIN {label}-----\n{zeros}\n-----END {label}-----\n")
}

fn secrets(ca: &Authority, ca2: &Authority) -> Vec<Value> {
    let secret = |namespace: &str, name: &str, kind: &str, data: &[(&str, &str)]| {
        let data: BTreeMap<&str, String> = data
            .iter()
            .map(|(key, value)| (*key, STANDARD.encode(value)))
            .collect();
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind,
            "metadata": {"namespace": namespace, "name": name}, "data": data,
        })
    };
    const TLS: &str = "kubernetes.io/tls";
    const OPAQUE: &str = "Opaque";
    let web = ca.leaf(&["web.test"]);
    let other = ca.leaf(&["other.test"]);
    let pair = |leaf: &Leaf| {
        [
            ("tls.crt", leaf.chain.clone()),
            ("tls.key", leaf.key.clone()),
        ]
    };
    let [chain, key] = pair(&web);
    let web_pair = [(chain.0, &*chain.1), (key.0, &*key.1)];
    let [_, other_key] = pair(&other);
    let mismatch = [(chain.0, &*chain.1), (other_key.0, &*other_key.1)];
    let envoy = ca.client("envoyclient", 9, "envoy.client.test", "spiffe://x/envoy");
    let envoy_pair = [("tls.crt", &*envoy.chain), ("tls.key", &*envoy.key)];
    let (ca_pem, ca2_pem) = (ca.pem(), ca2.pem());
    let [zero_certificate, zero_list] = [zeros("CERTIFICATE"), zeros("X509 CRL")];
    let revoked = ca.revokes(&[66]);
    vec![
        secret("hp", "web", TLS, &web_pair),
        secret("team1", "web", TLS, &web_pair),
        secret("certs", "web", TLS, &web_pair),
        secret(
            "certs",
            "private",
            TLS,
            &[web_pair[0], web_pair[1], ("ca.crt", &ca_pem)],
        ),
        secret("certs", "fallback", TLS, &web_pair),
        secret("hp", "opaque", OPAQUE, &web_pair),
        secret("hp", "envoyclient", TLS, &envoy_pair),
        secret(
            "hp",
            "broken",
            TLS,
            &[("tls.crt", "no PEM"), ("tls.key", "no PEM")],
        ),
        secret("hp", "mismatch", TLS, &mismatch),
        secret("hp", "ca", OPAQUE, &[("ca.crt", &ca_pem)]),
        secret("hp", "ca2", OPAQUE, &[("ca.crt", &ca2_pem)]),
        secret("certs", "ca", OPAQUE, &[("ca.crt", &ca_pem)]),
        secret("hp", "notca", OPAQUE, &[("other", "x")]),
        secret("hp", "crl", OPAQUE, &[("crl.pem", &revoked)]),
        secret("hp", "zeros", OPAQUE, &[("ca.crt", &zero_certificate)]),
        secret("hp", "zerolist", OPAQUE, &[("crl.pem", &zero_list)]),
        secret("hp", "hp", OPAQUE, &[("auth", HTPASSWD)]),
        secret("hp", "hpother", OPAQUE, &[("auth", "other:{PLAIN}secret")]),
        secret("hp", "hpmap", OPAQUE, &MAP),
        secret("hp", "noauth", OPAQUE, &[("other", "x")]),
        secret("team1", "hp", OPAQUE, &[("auth", "t:{PLAIN}secret")]),
        // Of the same name as one of hp, and another authority.
        secret("certs", "ca2", OPAQUE, &[("ca.crt", &ca_pem)]),
        secret("team1", "ca", OPAQUE, &[("ca.crt", &ca2_pem)]),
    ]
}
