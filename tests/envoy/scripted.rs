//! A back end that answers what a request asks it to, try by try, and remembers what it has seen.
//!
//! `X-Script: 503,503,200` answers the tries of one `X-Key` with these statuses, the last of them for good; `hang` is no
//! answer at all. `X-Say: name: value` adds a header to every answer but the last.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, header::HeaderName};

/// A running one.
#[derive(Clone)]
pub struct Scripted {
    name: &'static str,
    pub address: SocketAddr,
    tries: Arc<Mutex<BTreeMap<String, Vec<Instant>>>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Starts it on a free port of the loopback address, until the runtime ends.
    pub async fn start(name: &'static str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scripted = Self {
            name,
            address: listener.local_addr().unwrap(),
            tries: Arc::default(),
            seen: Arc::default(),
        };
        let own = scripted.clone();
        let app = Router::new().fallback(move |request: Request| {
            let own = own.clone();
            async move { own.answer(&request.into_parts().0).await }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        scripted
    }

    /// When the tries of this key came.
    pub fn tries(&self, key: &str) -> Vec<Instant> {
        self.tries
            .lock()
            .unwrap()
            .get(key)
            .cloned()
            .unwrap_or_default()
    }

    /// `METHOD HOST PATH` of every request so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    async fn answer(&self, request: &Parts) -> Response<Body> {
        let header = |name: &str| {
            let value = request.headers.get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let seen = format!("{} {} {}", request.method, header("host"), request.uri);
        self.seen.lock().unwrap().push(seen);
        let number = {
            let mut tries = self.tries.lock().unwrap();
            let tries = tries.entry(header("x-key").to_owned()).or_default();
            tries.push(Instant::now());
            tries.len()
        };
        let script: Vec<&str> = header("x-script").split(',').collect();
        let step = script.get(number - 1).or(script.last()).unwrap();
        let is_last = number >= script.len();
        if *step == "hang" {
            tokio::time::sleep(Duration::from_secs(120)).await;
        }
        let body = format!("{} {} {}\n", self.name, request.method, request.uri);
        let mut answer = Response::builder().status(step.parse::<u16>().unwrap_or(200));
        if let Some((name, value)) = header("x-say").split_once(": ").filter(|_| !is_last) {
            answer = answer.header(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        answer.body(Body::from(body)).unwrap()
    }
}
