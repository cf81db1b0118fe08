//! The hosts that are served, and the way through one of them.

use serde_json::{Value, json};

use crate::build::view::{ClusterView, HostView, ListedHost, RouteView};
use crate::model::{Front, Host};
use crate::objects::NamespacedName;
use crate::process::admin::{Parameters, Unasked};

use super::query::{pairs, part, value, wrong};
use super::state::Page;
use super::written;

/// `/debug/hosts`.
pub async fn hosts(page: Page, query: Parameters) -> Result<String, Unasked> {
    let part = part(pairs(&query)).map_err(wrong)?;
    let search = value(pairs(&query), "search").to_owned();
    let asked = page.questions().ask(move |state| {
        let list = state.builder.hosts_with(&search, part.offset, part.limit);
        (list, state.snapshot)
    });
    let (list, snapshot) = asked.await.map_err(|_| Unasked::Gone)?;
    Ok(json!({
        "snapshot": snapshot,
        "found": list.found,
        "offset": part.offset,
        "hosts": list.hosts.iter().map(listed).collect::<Value>(),
    })
    .to_string())
}

fn listed(host: &ListedHost) -> Value {
    json!({
        "listener": listener(&host.front),
        "host": host.host.as_str(),
        "clusters": host.clusters,
        "first": host.first.iter().map(|name| &**name).collect::<Vec<_>>(),
    })
}

/// `None` for the two that serve the hosts of Ingresses.
fn listener(front: &Front) -> Option<&str> {
    match front {
        Front::Fleet => None,
        Front::Listener(name) => Some(name),
    }
}

/// `/debug/host`.
pub async fn host(page: Page, query: Parameters) -> Result<String, Unasked> {
    let of = |name| value(pairs(&query), name).to_owned();
    let part = part(pairs(&query)).map_err(wrong)?;
    let name = of("host").to_ascii_lowercase();
    if name.is_empty() {
        return Err(wrong("name a host: ?host=a.example".to_owned()));
    }
    let (host, search) = (Host::new(name), of("search"));
    let front = match of("listener") {
        name if name.is_empty() => Front::Fleet,
        name => Front::Listener(name.into()),
    };
    let asked = {
        let (front, host) = (front.clone(), host.clone());
        page.questions().ask(move |state| {
            let view = state.builder.view(&front, &host, &search, part.offset);
            (view, state.snapshot)
        })
    };
    let (view, snapshot) = asked.await.map_err(|_| Unasked::Gone)?;
    let view = view.as_ref();
    Ok(json!({
        "snapshot": snapshot,
        "listener": listener(&front),
        "host": host.as_str(),
        "offset": part.offset,
        "view": view.map(shown),
    })
    .to_string())
}

fn shown(view: &HostView) -> Value {
    let certificates = view.certificates.iter().map(|(secret, until)| {
        json!({
            "namespace": &*secret.namespace,
            "name": &*secret.name,
            "not_after": until.map(|until| until.to_string()),
        })
    });
    let [http, https] = &view.settings;
    json!({
        "claims": view.claims.iter().map(written::object).collect::<Value>(),
        "certificates": certificates.collect::<Value>(),
        "http": http.iter().map(written::detail).collect::<Value>(),
        "https": https.iter().map(written::detail).collect::<Value>(),
        "found": view.found,
        "routes": view.routes.iter().map(route).collect::<Value>(),
        "clusters": view.clusters.iter().map(cluster).collect::<Value>(),
        "problems": view.problems.iter().map(written::problem).collect::<Value>(),
    })
}

fn route(route: &RouteView) -> Value {
    let targets = route.targets.iter();
    let targets = targets.map(|(name, weight)| json!({"cluster": &**name, "weight": weight}));
    json!({
        "says": route.says,
        "http": route.http,
        "https": route.https,
        "details": route.details.iter().map(written::detail).collect::<Value>(),
        "targets": targets.collect::<Value>(),
        "object": written::object(&route.source.object),
        "field": route.field,
    })
}

fn cluster(cluster: &ClusterView) -> Value {
    let port = |(service, port): &(NamespacedName, u16)| json!({"namespace": &*service.namespace, "name": &*service.name, "port": port});
    let endpoints = cluster.endpoints.iter().map(|endpoint| {
        json!({
            "address": endpoint.address.to_string(),
            "zone": &*endpoint.zone,
            "weight": endpoint.weight,
        })
    });
    json!({
        "name": &*cluster.name,
        "ports": cluster.ports.iter().map(port).collect::<Value>(),
        "found_by": cluster.found_by,
        "count": cluster.count,
        "endpoints": endpoints.collect::<Value>(),
    })
}
