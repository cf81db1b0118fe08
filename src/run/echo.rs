//! The built-in backend: answers every request with what it received, as JSON.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::http::{self, Limits};
use crate::k8s::NamespacedName;
use crate::supervisor::Stop;

/// Service ports with a listener of their own, whose answers name the Service. Beyond it, or where the process is out
/// of file descriptors, one listener answers for all the others.
const OWN_LISTENERS: usize = 256;

/// How much of a body is repeated.
const BODY: usize = 64 << 10;

/// Envoy keeps its connections as long as it likes: a backend that closed them when idle would make 503s.
pub(super) const LIMITS: Limits = Limits {
    connections: 4096,
    header_timeout: None,
};

/// Hands out addresses of echo backends.
#[derive(Debug)]
pub struct Echo {
    common: SocketAddr,
    own: BTreeMap<(NamespacedName, u16), SocketAddr>,
    server: mpsc::UnboundedSender<Listener>,
}

/// Serves them.
#[derive(Debug)]
pub struct Server(mpsc::UnboundedReceiver<Listener>);

type Listener = (TcpListener, Option<Arc<str>>);

/// Binds the common listener, on loopback and any free port.
///
/// # Errors
///
/// When it can't be bound.
pub fn bind() -> anyhow::Result<(Echo, Server)> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (common, listener) = listen().context("can't listen on loopback for the echo backend")?;
    sender.send((listener, None))?;
    let echo = Echo {
        common,
        own: BTreeMap::new(),
        server: sender,
    };
    Ok((echo, Server(receiver)))
}

impl Echo {
    /// The address that answers for this port of this Service. It stays the same, whether the Service is there or not:
    /// someone who comments it out and in again gets the same bytes.
    pub fn address(&mut self, service: &NamespacedName, port: u16) -> SocketAddr {
        let key = (service.clone(), port);
        if let Some(address) = self.own.get(&key) {
            return *address;
        }
        if self.own.len() >= OWN_LISTENERS {
            return self.common;
        }
        let Ok((address, listener)) = listen() else {
            return self.common;
        };
        let name = format!("{service}:{port}");
        if self.server.send((listener, Some(name.into()))).is_err() {
            // The server has ended, and with it soon the process.
            return self.common;
        }
        self.own.insert(key, address);
        address
    }
}

impl Server {
    /// Serves HTTP/1.1 and HTTP/2 with prior knowledge on every listener, until asked to stop.
    ///
    /// # Errors
    ///
    /// When a listener can't be taken over by the runtime.
    pub async fn run(mut self, mut stop: Stop) -> anyhow::Result<()> {
        let mut servers: JoinSet<anyhow::Result<()>> = JoinSet::new();
        loop {
            let (listener, service) = tokio::select! {
                () = stop.requested() => return Ok(()),
                Some(ended) = servers.join_next() => {
                    ended?.context("an echo backend")?;
                    continue;
                }
                Some(next) = self.0.recv() => next,
            };
            let router = Router::new().fallback(answer).with_state(service);
            servers.spawn(http::serve(listener, router, LIMITS, stop.clone()));
        }
    }
}

pub(super) fn listen() -> std::io::Result<(SocketAddr, TcpListener)> {
    let listener = http::listen((Ipv4Addr::LOCALHOST, 0).into())?;
    Ok((listener.local_addr()?, listener))
}

/// What was received.
#[derive(Serialize)]
struct Answer<'a> {
    /// The Service and port in whose name it is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    method: &'a str,
    host: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
    version: String,
    headers: BTreeMap<&'a str, Vec<String>>,
    body: String,
    body_bytes: u64,
}

async fn answer(State(service): State<Option<Arc<str>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let (body, body_bytes) = read(body).await;
    let answer = Answer {
        service: service.as_deref(),
        method: head.method.as_str(),
        host: host(&head),
        path: head.uri.path(),
        query: head.uri.query(),
        version: format!("{:?}", head.version),
        headers: headers(&head.headers),
        body: String::from_utf8_lossy(&body).into_owned(),
        body_bytes,
    };
    // A struct of strings and numbers always serialises.
    let text = serde_json::to_string_pretty(&answer).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response()
}

/// The host that a request is for, empty where it is not text.
pub(super) fn host(head: &Parts) -> &str {
    let host = head.headers.get(header::HOST);
    let authority = head.uri.authority().map(|authority| authority.as_str());
    authority
        .or_else(|| host?.to_str().ok())
        .unwrap_or_default()
}

fn headers(headers: &HeaderMap) -> BTreeMap<&str, Vec<String>> {
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        all.entry(name.as_str()).or_default().push(value);
    }
    all
}

/// The beginning of the body, and how long it was. A body that is cut off counts as far as it came.
async fn read(body: Body) -> (Vec<u8>, u64) {
    let (mut kept, mut length) = (Vec::new(), 0);
    let mut stream = body.into_data_stream();
    while let Some(Ok(data)) = stream.next().await {
        length += data.len() as u64;
        let room = BODY.saturating_sub(kept.len());
        kept.extend_from_slice(&data[..data.len().min(room)]);
    }
    (kept, length)
}

#[cfg(test)]
mod tests;
