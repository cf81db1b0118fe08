//! Requests of the authorizer's own: HTTP/1.1 over connections that are kept for a while, bounded in time and bytes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::body::Body;
use futures::StreamExt as _;
use http::{HeaderMap, Request, StatusCode};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::model::Cidr;

use super::connect::Connector;
use super::discovery::Discovery;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a connection is kept that nothing is asked on. Endpoints go in the meantime.
const IDLE: Duration = Duration::from_secs(10);
/// Connections that are kept, of each who is asked.
const IDLE_CONNECTIONS: usize = 32;
/// Requests at a time.
const AT_ONCE: usize = 512;
/// Most bytes of the head of an answer.
const HEAD: usize = 64 * 1024;
/// Most bytes of a body that are read, to have the connection for the next request.
const BODY: usize = 64 * 1024;

/// Asks others.
pub struct Client {
    client: HyperClient<Connector, Body>,
    at_once: Semaphore,
}

impl Client {
    /// One that finds endpoints there, and asks addresses of these networks besides those outside.
    ///
    /// # Errors
    ///
    /// If TLS can't be set up.
    pub fn new(discovery: Discovery, networks: Vec<Cidr>) -> anyhow::Result<Self> {
        let connector = Connector {
            discovery,
            networks: networks.into(),
            tls: Arc::new(tls()?),
        };
        let client = HyperClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .http1_max_buf_size(HEAD)
            // What was sent may have been seen: it is asked again only where nothing was.
            .retry_canceled_requests(true)
            .build(connector);
        Ok(Self {
            client,
            at_once: Semaphore::new(AT_ONCE),
        })
    }

    /// The head of an answer; `None` where none comes in time.
    pub async fn ask(&self, request: Request<Body>) -> Option<(StatusCode, HeaderMap)> {
        let asked = async {
            let _turn = self.at_once.acquire().await.ok()?;
            let response = match self.client.request(request).await {
                Ok(response) => response,
                Err(error) => {
                    tracing::debug!(%error, "an authorizing request has no answer");
                    return None;
                }
            };
            let (head, body) = response.into_parts();
            let mut frames = Body::new(body).into_data_stream();
            let mut bytes = 0;
            while let Some(Ok(frame)) = frames.next().await {
                bytes += frame.len();
                if bytes > BODY {
                    break;
                }
            }
            Some((head.status, head.headers))
        };
        timeout(PATIENCE, asked).await.ok().flatten()
    }
}

/// With the authorities of the system. Where it has none, nobody outside is trusted.
fn tls() -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS of authorizing requests")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
