//! Kubernetes objects in few words. They are written as JSON, which is YAML too.

use serde_json::{Value, json};

use super::backend::Backend;

/// One object.
#[derive(Clone, Debug)]
pub(crate) struct Manifest(pub(crate) Value);

impl Manifest {
    /// Moves it to another namespace.
    pub(crate) fn namespace(mut self, namespace: &str) -> Self {
        self.0["metadata"]["namespace"] = namespace.into();
        self
    }

    /// Adds an annotation.
    pub(crate) fn annotate(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["annotations"][key] = value.into();
        self
    }

    /// Sets `creationTimestamp`.
    pub(crate) fn created(mut self, time: &str) -> Self {
        self.0["metadata"]["creationTimestamp"] = time.into();
        self
    }

    /// Adds a rule of an Ingress: paths with their types and back ends (`service:port`).
    pub(crate) fn rule(mut self, host: &str, paths: &[(&str, PathType, &str)]) -> Self {
        let paths: Vec<Value> = paths
            .iter()
            .map(|(path, path_type, backend)| {
                json!({"path": path, "pathType": path_type.name(), "backend": self::backend(backend)})
            })
            .collect();
        let mut rule = json!({"http": {"paths": paths}});
        if !host.is_empty() {
            rule["host"] = host.into();
        }
        push(&mut self.0["spec"]["rules"], rule);
        self
    }

    /// Adds a rule of an Ingress that names a host and has no `http`.
    pub(crate) fn rule_without_http(mut self, host: &str) -> Self {
        push(&mut self.0["spec"]["rules"], json!({"host": host}));
        self
    }

    /// Sets `spec.defaultBackend` of an Ingress.
    pub(crate) fn default_backend(mut self, backend: &str) -> Self {
        self.0["spec"]["defaultBackend"] = self::backend(backend);
        self
    }

    /// Adds to `spec.tls` of an Ingress.
    pub(crate) fn tls(mut self, hosts: &[&str], secret: &str) -> Self {
        let tls = json!({"hosts": hosts, "secretName": secret});
        push(&mut self.0["spec"]["tls"], tls);
        self
    }

    /// Sets `spec.ingressClassName` of an Ingress.
    pub(crate) fn class(mut self, class: &str) -> Self {
        self.0["spec"]["ingressClassName"] = class.into();
        self
    }

    /// Adds a port to a Service: name (empty for none), port, target port, `appProtocol` (empty for none).
    pub(crate) fn port(mut self, name: &str, port: u16, target: u16, protocol: &str) -> Self {
        let mut value = json!({"port": port, "targetPort": target});
        if !name.is_empty() {
            value["name"] = name.into();
        }
        if !protocol.is_empty() {
            value["appProtocol"] = protocol.into();
        }
        push(&mut self.0["spec"]["ports"], value);
        self
    }
}

/// `pathType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathType {
    Exact,
    Prefix,
    ImplementationSpecific,
}

impl PathType {
    fn name(self) -> &'static str {
        match self {
            Self::Exact => "Exact",
            Self::Prefix => "Prefix",
            Self::ImplementationSpecific => "ImplementationSpecific",
        }
    }
}

/// An Ingress in namespace `default` with nothing in it yet.
pub(crate) fn ingress(name: &str) -> Manifest {
    Manifest(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"namespace": "default", "name": name},
        "spec": {},
    }))
}

/// An Ingress of one host whose every path goes to one back end (`service:port`).
pub(crate) fn site(name: &str, host: &str, backend: &str) -> Manifest {
    ingress(name).rule(host, &[("/", PathType::Prefix, backend)])
}

/// A Service in namespace `default` without ports yet.
pub(crate) fn bare_service(name: &str) -> Manifest {
    Manifest(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": "default", "name": name},
        "spec": {"clusterIP": "10.0.0.1"},
    }))
}

/// A Service with one port, 80, without a name.
pub(crate) fn service(name: &str) -> Manifest {
    bare_service(name).port("", 80, 8080, "")
}

/// An EndpointSlice with one ready endpoint, for the Service's port without a name. Its name tells it from
/// other slices of the Service.
pub(crate) fn slice(service: &str, backend: &Backend) -> Manifest {
    slice_of(service, "", backend)
}

/// An EndpointSlice with one ready endpoint for a named port.
pub(crate) fn slice_of(service: &str, port: &str, backend: &Backend) -> Manifest {
    let address = backend.address();
    let name = format!("{service}-{}", address.port());
    endpoint_slice(
        &name,
        service,
        port,
        &[&address.ip().to_string()],
        address.port(),
        true,
    )
}

/// An EndpointSlice in namespace `default`.
pub(crate) fn endpoint_slice(
    name: &str,
    service: &str,
    port_name: &str,
    addresses: &[&str],
    port: u16,
    ready: bool,
) -> Manifest {
    let endpoints: Vec<Value> = addresses
        .iter()
        .map(|address| json!({"addresses": [address], "conditions": {"ready": ready}}))
        .collect();
    Manifest(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "namespace": "default", "name": name,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": if addresses.iter().any(|address| address.contains(':')) { "IPv6" } else { "IPv4" },
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
        "endpoints": endpoints,
    }))
}

/// A Service with one port, 80, and one slice per back end.
pub(crate) fn app(name: &str, backends: &[&Backend]) -> Vec<Manifest> {
    let mut all = vec![service(name)];
    all.extend(backends.iter().map(|backend| slice(name, backend)));
    all
}

/// The text of a file with these objects.
pub(crate) fn text(manifests: &[Manifest]) -> String {
    manifests
        .iter()
        .map(|manifest| format!("---\n{}\n", manifest.0))
        .collect()
}

fn backend(text: &str) -> Value {
    let (name, port) = text.split_once(':').unwrap();
    let port = match port.parse::<u16>() {
        Ok(number) => json!({"number": number}),
        Err(_) => json!({"name": port}),
    };
    json!({"service": {"name": name, "port": port}})
}

fn push(list: &mut Value, value: Value) {
    match list {
        Value::Array(values) => values.push(value),
        _ => *list = Value::Array(vec![value]),
    }
}
