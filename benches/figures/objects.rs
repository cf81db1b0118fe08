//! Kubernetes objects as a cluster holds them: with managedFields, last-applied annotations, status and all.

use std::net::SocketAddrV4;

use base64::Engine as _;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

/// The kinds that the control plane watches, and where they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    IngressClass,
    Ingress,
    Service,
    EndpointSlice,
    Secret,
    GatewayClass,
    Gateway,
    HttpRoute,
    ConfigMap,
    Namespace,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::IngressClass,
        Self::Ingress,
        Self::Service,
        Self::EndpointSlice,
        Self::Secret,
        Self::GatewayClass,
        Self::Gateway,
        Self::HttpRoute,
        Self::ConfigMap,
        Self::Namespace,
    ];

    /// The path of its list over all namespaces.
    pub const fn path(self) -> &'static str {
        match self {
            Self::IngressClass => "/apis/networking.k8s.io/v1/ingressclasses",
            Self::Ingress => "/apis/networking.k8s.io/v1/ingresses",
            Self::Service => "/api/v1/services",
            Self::EndpointSlice => "/apis/discovery.k8s.io/v1/endpointslices",
            Self::Secret => "/api/v1/secrets",
            Self::GatewayClass => "/apis/gateway.networking.k8s.io/v1/gatewayclasses",
            Self::Gateway => "/apis/gateway.networking.k8s.io/v1/gateways",
            Self::HttpRoute => "/apis/gateway.networking.k8s.io/v1/httproutes",
            Self::ConfigMap => "/api/v1/configmaps",
            Self::Namespace => "/api/v1/namespaces",
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::IngressClass => "IngressClass",
            Self::Ingress => "Ingress",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Secret => "Secret",
            Self::GatewayClass => "GatewayClass",
            Self::Gateway => "Gateway",
            Self::HttpRoute => "HTTPRoute",
            Self::ConfigMap => "ConfigMap",
            Self::Namespace => "Namespace",
        }
    }

    pub const fn api_version(self) -> &'static str {
        match self {
            Self::IngressClass | Self::Ingress => "networking.k8s.io/v1",
            Self::EndpointSlice => "discovery.k8s.io/v1",
            Self::Service | Self::Secret | Self::ConfigMap | Self::Namespace => "v1",
            Self::GatewayClass | Self::Gateway | Self::HttpRoute => "gateway.networking.k8s.io/v1",
        }
    }
}

/// An object before the server gives it a version.
pub struct Object {
    pub kind: Kind,
    /// `namespace/name`.
    pub key: String,
    pub json: Value,
}

/// A certificate and its key, base64 as Secrets have them.
#[derive(Clone)]
pub struct Pair {
    certificate: String,
    key: String,
}

/// The world: N hosts, every fifth of them with TLS and a Secret of its own, a hundred hosts in a namespace.
#[derive(Clone)]
pub struct World {
    pub hosts: usize,
    /// Two pairs, so that a rotation can alternate. All Secrets hold the same one: making keys is not measured here.
    pairs: [Pair; 2],
}

/// Where a host's endpoints are.
#[derive(Clone, Copy)]
pub enum Endpoints {
    /// Three made-up addresses, the first of which tells this number.
    Serial(u32),
    /// One endpoint at this address.
    At(SocketAddrV4),
}

impl World {
    pub fn new(hosts: usize) -> Self {
        Self {
            hosts,
            pairs: [pair(), pair()],
        }
    }

    pub fn all(&self) -> impl Iterator<Item = Object> + '_ {
        let hosts = 0..self.hosts;
        let of_hosts = hosts.flat_map(move |host| self.host(host, Endpoints::Serial(1)));
        std::iter::once(class()).chain(of_hosts)
    }

    /// All objects of a host, the Ingress last.
    pub fn host(&self, host: usize, endpoints: Endpoints) -> Vec<Object> {
        let mut objects = vec![service(host), endpoint_slice(host, endpoints)];
        if has_tls(host) {
            objects.push(self.secret(host, 0));
        }
        objects.push(ingress(host, "/"));
        objects
    }

    /// The certificates of all Secrets, as PEM.
    pub fn certificates(&self) -> [String; 2] {
        self.pairs.each_ref().map(|pair| {
            let pem = base64::engine::general_purpose::STANDARD.decode(&pair.certificate);
            String::from_utf8(pem.unwrap()).unwrap()
        })
    }

    /// The Secret of a host with TLS. Odd serials hold another certificate than even ones.
    pub fn secret(&self, host: usize, serial: usize) -> Object {
        let pair = &self.pairs[serial % 2];
        let data = json!({"tls.crt": pair.certificate, "tls.key": pair.key});
        object(
            Kind::Secret,
            host,
            format!("tls-{host}"),
            json!({}),
            "cert-manager-certificates-issuing",
            json!({"f:data": {".": {}, "f:tls.crt": {}, "f:tls.key": {}}, "f:type": {}}),
            json!({"type": "kubernetes.io/tls", "data": data}),
        )
    }
}

/// Whether a host is served with TLS.
pub const fn has_tls(host: usize) -> bool {
    host.is_multiple_of(5)
}

/// The name of a host.
pub fn host_name(host: usize) -> String {
    format!("host-{host}.figures.example")
}

pub fn namespace(host: usize) -> String {
    format!("team-{}", host / 100)
}

fn pair() -> Pair {
    let base64 = base64::engine::general_purpose::STANDARD;
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["*.figures.example".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2099, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    Pair {
        certificate: base64.encode(certificate.pem()),
        key: base64.encode(key.serialize_pem()),
    }
}

/// The class of all Ingresses.
fn class() -> Object {
    let metadata =
        json!({"name": "isobath", "uid": "00000000-0000-4000-8000-ffffffffffff", "generation": 1});
    let spec = json!({"controller": isobath::objects::CONTROLLER});
    Object {
        kind: Kind::IngressClass,
        key: "isobath".to_owned(),
        json: json!({
            "kind": "IngressClass", "apiVersion": "networking.k8s.io/v1", "metadata": metadata, "spec": spec,
        }),
    }
}

/// An Ingress with one host and one path. A host with TLS only redirects on port 80.
pub fn ingress(host: usize, path: &str) -> Object {
    let name = host_name(host);
    let mut spec = json!({
        "ingressClassName": "isobath",
        "rules": [{"host": name, "http": {"paths": [{
            "path": path, "pathType": "Prefix",
            "backend": {"service": {"name": format!("web-{host}"), "port": {"number": 80}}},
        }]}}],
    });
    let mut annotations = json!({"example.com/team": namespace(host)});
    if has_tls(host) {
        spec["tls"] = json!([{"hosts": [name], "secretName": format!("tls-{host}")}]);
        annotations["ingress.kubernetes.io/force-ssl-redirect"] = "true".into();
    }
    let fields = json!({
        "f:metadata": {"f:annotations": {".": {}, "f:example.com/team": {},
            "f:kubectl.kubernetes.io/last-applied-configuration": {}}},
        "f:spec": {"f:rules": {}, "f:tls": {}},
    });
    object(
        Kind::Ingress,
        host,
        format!("web-{host}"),
        annotations,
        "kubectl-client-side-apply",
        fields,
        json!({"spec": spec, "status": {"loadBalancer": {}}}),
    )
}

pub fn service(host: usize) -> Object {
    let fields = json!({"f:spec": {
        "f:internalTrafficPolicy": {}, "f:selector": {},
        "f:ports": {".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}": {
            ".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {}}},
        "f:sessionAffinity": {}, "f:type": {},
    }});
    let address = format!(
        "172.{}.{}.{}",
        16 + (host >> 16),
        host >> 8 & 255,
        host & 255
    );
    object(
        Kind::Service,
        host,
        format!("web-{host}"),
        json!({}),
        "kubectl-client-side-apply",
        fields,
        json!({
            "spec": {
                "clusterIP": address, "clusterIPs": [address],
                "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
                "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
                "selector": {"app": format!("web-{host}")},
                "sessionAffinity": "None", "type": "ClusterIP",
            },
            "status": {"loadBalancer": {}},
        }),
    )
}

pub fn endpoint_slice(host: usize, endpoints: Endpoints) -> Object {
    let (addresses, port) = match endpoints {
        Endpoints::Serial(serial) => {
            let [_, a, b, c] = serial.to_be_bytes();
            let others = [
                format!("10.{}.1.1", host & 255),
                format!("10.{}.1.2", host & 255),
            ];
            (
                [vec![format!("11.{a}.{b}.{c}")], others.to_vec()].concat(),
                8080,
            )
        }
        Endpoints::At(address) => (vec![address.ip().to_string()], address.port()),
    };
    let endpoints: Vec<Value> = addresses
        .iter()
        .enumerate()
        .map(|(index, address)| {
            json!({
                "addresses": [address],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": format!("node-{index}"), "zone": format!("zone-{index}"),
                "targetRef": {"kind": "Pod", "namespace": namespace(host),
                    "name": format!("web-{host}-5d4f8c7b9-abcd{index}"),
                    "uid": format!("00000000-0000-4000-8000-{host:08x}{index:04x}")},
            })
        })
        .collect();
    let fields = json!({
        "f:addressType": {}, "f:endpoints": {}, "f:ports": {},
        "f:metadata": {"f:annotations": {".": {}, "f:endpoints.kubernetes.io/last-change-trigger-time": {}},
            "f:generateName": {}, "f:labels": {".": {}, "f:app": {},
                "f:endpointslice.kubernetes.io/managed-by": {}, "f:kubernetes.io/service-name": {}},
            "f:ownerReferences": {".": {}, "k:{\"uid\":\"00000000-0000-4000-8000-000000000000\"}": {}}},
    });
    let mut object = object(
        Kind::EndpointSlice,
        host,
        format!("web-{host}-x7x9z"),
        json!({"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"}),
        "kube-controller-manager",
        fields,
        json!({
            "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        }),
    );
    let metadata = &mut object.json["metadata"];
    metadata["generateName"] = format!("web-{host}-").into();
    metadata["labels"] = json!({
        "app": format!("web-{host}"),
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "kubernetes.io/service-name": format!("web-{host}"),
    });
    metadata["ownerReferences"] = json!([{
        "apiVersion": "v1", "blockOwnerDeletion": true, "controller": true, "kind": "Service",
        "name": format!("web-{host}"), "uid": format!("00000000-0000-4000-8000-{host:012x}"),
    }]);
    object
}

/// The same object after a write that means nothing to a proxy: a new time in its managedFields.
pub fn touched(mut object: Object, serial: usize) -> Object {
    let time = format!(
        "2026-01-01T{:02}:{:02}:{:02}Z",
        serial / 3600 % 24,
        serial / 60 % 60,
        serial % 60
    );
    object.json["metadata"]["managedFields"][0]["time"] = time.into();
    object
}

/// An object of a host, with all that others have written to it.
pub fn object(
    kind: Kind,
    host: usize,
    name: String,
    annotations: Value,
    manager: &str,
    fields: Value,
    mut json: Value,
) -> Object {
    let namespace = namespace(host);
    json["kind"] = kind.name().into();
    json["apiVersion"] = kind.api_version().into();
    let mut annotations = annotations;
    if manager == "kubectl-client-side-apply" {
        let applied = json!({
            "apiVersion": kind.api_version(), "kind": kind.name(), "spec": json["spec"],
            "metadata": {"annotations": annotations, "name": name, "namespace": namespace},
        });
        annotations["kubectl.kubernetes.io/last-applied-configuration"] =
            applied.to_string().into();
    }
    json["metadata"] = json!({
        "name": name, "namespace": namespace, "generation": 1,
        "uid": format!("00000000-0000-4000-8000-{host:012x}"),
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"app": format!("web-{host}"), "app.kubernetes.io/managed-by": "Helm"},
        "annotations": annotations,
        "managedFields": [{
            "apiVersion": kind.api_version(), "fieldsType": "FieldsV1", "fieldsV1": fields,
            "manager": manager, "operation": "Update", "time": "2026-01-01T00:00:00Z",
        }],
    });
    Object {
        kind,
        key: format!("{namespace}/{name}"),
        json,
    }
}
