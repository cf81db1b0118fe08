//! A world of HTTPRoutes on one Gateway: each route has a host, a Service and an EndpointSlice of its own, and shares its
//! requests with its neighbour's Service.

use serde_json::{Value, json};

use crate::objects::{
    Endpoints, Kind, Object, endpoint_slice, host_name, namespace, object, service,
};
use crate::traffic::EDITION;

/// What differs from one version of a route to the next.
#[derive(Clone, Copy)]
pub struct Route {
    /// Of its own Service, and of its neighbour's.
    pub weights: [u32; 2],
    /// What it says of itself to back ends.
    pub edition: &'static str,
    /// Whether its parent is the Gateway; else one that is not there.
    pub attached: bool,
    /// Rises with each change of its spec.
    pub generation: usize,
}

impl Route {
    /// All requests to its own Service.
    pub const PLAIN: Self = Self {
        weights: [1, 0],
        edition: "",
        attached: true,
        generation: 1,
    };
}

/// Everything.
pub fn all(routes: usize) -> impl Iterator<Item = Object> {
    let of_routes = (0..routes).flat_map(|host| of_route(host, Endpoints::Serial(1)));
    let namespaces = (0..routes.div_ceil(100)).map(|team| namespace_object(team * 100));
    [class(), gateway()]
        .into_iter()
        .chain(namespaces)
        .chain(of_routes)
}

/// What a route leads to, and the route as the last.
pub fn of_route(host: usize, endpoints: Endpoints) -> Vec<Object> {
    vec![
        service(host),
        endpoint_slice(host, endpoints),
        route(host, Route::PLAIN),
    ]
}

/// The neighbour that shares a route's requests.
pub const fn neighbour(host: usize) -> usize {
    host ^ 1
}

pub fn route(host: usize, route: Route) -> Object {
    let backend = |host: usize, weight: u32| json!({"group": "", "kind": "Service", "name": format!("web-{host}"), "port": 80, "weight": weight});
    let set = json!([{"name": EDITION, "value": route.edition}]);
    let filters = match route.edition {
        "" => json!([]),
        _ => json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": set}}]),
    };
    let parent = if route.attached { "edge" } else { "elsewhere" };
    let spec = json!({
        "parentRefs": [{
            "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": parent, "namespace": "team-0",
        }],
        "hostnames": [host_name(host)],
        "rules": [{
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "filters": filters,
            "backendRefs": [backend(host, route.weights[0]), backend(neighbour(host), route.weights[1])],
        }],
    });
    let fields = json!({"f:spec": {"f:hostnames": {}, "f:parentRefs": {}, "f:rules": {}}});
    let mut object = object(
        Kind::HttpRoute,
        host,
        format!("web-{host}"),
        json!({}),
        "kubectl-client-side-apply",
        fields,
        json!({"spec": spec, "status": {"parents": []}}),
    );
    object.json["metadata"]["generation"] = route.generation.into();
    object
}

fn class() -> Object {
    let spec = json!({"controllerName": isobath::objects::gateway_api::CONTROLLER});
    cluster_scoped(Kind::GatewayClass, "isobath", &json!({"spec": spec}))
}

fn namespace_object(host: usize) -> Object {
    let of = namespace(host);
    cluster_scoped(Kind::Namespace, &of, &json!({"spec": {}}))
}

/// One listener, for routes of all namespaces.
fn gateway() -> Object {
    let listener = json!({
        "name": "http", "protocol": "HTTP", "port": 80,
        "allowedRoutes": {"namespaces": {"from": "All"}},
    });
    let spec = json!({"gatewayClassName": "isobath", "listeners": [listener]});
    object(
        Kind::Gateway,
        0,
        "edge".to_owned(),
        json!({}),
        "kubectl-client-side-apply",
        json!({"f:spec": {}}),
        json!({"spec": spec}),
    )
}

fn cluster_scoped(kind: Kind, name: &str, rest: &Value) -> Object {
    let mut json = json!({
        "kind": kind.name(), "apiVersion": kind.api_version(),
        "metadata": {
            "name": name, "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z",
            "uid": "00000000-0000-4000-8000-ffffffffffff",
            "labels": {"kubernetes.io/metadata.name": name},
        },
    });
    json["spec"] = rest["spec"].clone();
    Object {
        kind,
        key: name.to_owned(),
        json,
    }
}
