//! What pods say, for `kubectl logs` and for the suite, which counts mirrored requests there.
//!
//! The API server asks the node for it: `GET /containerLogs/{namespace}/{pod}/{container}`, with `sinceTime`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use jiff::Timestamp;

use crate::control_plane::Identity;
use crate::node::NodeServer;
use crate::pod::Line;

/// The lines of one pod; its process goes on writing them.
type Lines = Arc<Mutex<Vec<Line>>>;

/// The lines of every pod that there was, by namespace and name.
#[derive(Clone, Default)]
pub(crate) struct Logs(Arc<Mutex<BTreeMap<(String, String), Lines>>>);

impl Logs {
    /// A pod's lines, from now on.
    pub(crate) fn insert(&self, key: (String, String), lines: Lines) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(key, lines);
    }

    /// What a pod wrote since then.
    fn of(&self, namespace: &str, pod: &str, since: Option<Timestamp>) -> Option<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = all.get(&(namespace.to_owned(), pod.to_owned()))?;
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = lines
            .iter()
            .filter(|(at, _)| since.is_none_or(|since| *at >= since));
        Some(wanted.map(|(_, line)| format!("{line}\n")).collect())
    }
}

/// Listens on this address for the node whose pods' logs these are.
pub(crate) async fn start(address: Ipv4Addr, identity: &Identity, logs: Logs) -> NodeServer {
    NodeServer::start(address, identity, move |request| answer(&request, &logs)).await
}

fn answer(request: &Request<Incoming>, logs: &Logs) -> Response<Full<Bytes>> {
    let path: Vec<_> = request.uri().path().split('/').skip(1).collect();
    let query = request.uri().query().unwrap_or_default();
    let since = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("sinceTime="))
        .map(|time| time.replace("%3A", ":").parse::<Timestamp>().unwrap());
    let found = match path[..] {
        ["containerLogs", namespace, pod, _] => logs.of(namespace, pod, since),
        _ => None,
    };
    let Some(text) = found else {
        let mut response = Response::new(format!("no {} here", request.uri()).into());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    Response::new(text.into())
}
