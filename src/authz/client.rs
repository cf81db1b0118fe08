//! Requests of the authorizer's own: HTTP/1.1 over connections that are kept for a while, bounded in time and bytes, and in number for
//! each who is asked: one that is slow takes no turns of the others.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::body::Body;
use futures::StreamExt as _;
use http::{HeaderMap, Request, StatusCode};
use hyper_util::client::legacy::{
    Builder, Client as HyperClient, Error as LegacyError, ResponseFuture,
};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;

use crate::model::{Cidr, Destination};

use super::connect::{ToClusters, ToOutside, host_of_cluster};
use super::discovery::Discovery;
use super::names::Names;
use super::share::{Place, Share};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a connection is kept that nothing is asked on. Endpoints go in the meantime.
const IDLE: Duration = Duration::from_secs(10);
/// Connections that are kept, of each who is asked.
const IDLE_CONNECTIONS: usize = 32;
/// Requests at a time; one more has no answer. Fewer than there may be calls.
const AT_ONCE: usize = 512;
/// What each who is asked may have of them in any case.
const OF_EACH: usize = 16;
/// How long a body may take whose head has said all.
const BODY_PATIENCE: Duration = Duration::from_secs(1);
/// Most bytes of the head of an answer.
const HEAD: usize = 64 * 1024;
/// Most bytes of a body that are read, to have the connection for the next request.
const BODY: usize = 64 * 1024;

/// Asks others.
pub struct Client {
    discovery: Discovery,
    clusters: HyperClient<ToClusters, Body>,
    outside: HyperClient<ToOutside, Body>,
    at_once: Share,
}

impl Client {
    /// One that finds endpoints there, and asks addresses of these networks besides those outside.
    ///
    /// # Errors
    ///
    /// If TLS can't be set up.
    pub fn new(discovery: Discovery, networks: Vec<Cidr>) -> anyhow::Result<Self> {
        let clusters = ToClusters {
            discovery: discovery.clone(),
        };
        let outside = ToOutside {
            networks: networks.into(),
            names: Names::of_system(),
            tls: Arc::new(tls()?),
        };
        Ok(Self {
            discovery,
            clusters: builder().build(clusters),
            outside: builder().build(outside),
            at_once: Share::new(AT_ONCE, OF_EACH),
        })
    }

    /// The head of an answer; `None` where none comes in time, or there are too many requests.
    pub async fn ask(
        &self,
        to: &Destination,
        mut request: Request<Body>,
    ) -> Option<(StatusCode, HeaderMap)> {
        let asked = async {
            let asked = match to {
                Destination::Cluster(cluster) => {
                    let _place = self.place(cluster)?;
                    let endpoints = self.discovery.endpoints(cluster).await;
                    let host = host_of_cluster(cluster, &endpoints);
                    let path = request.uri().path_and_query().map_or("/", |it| it.as_str());
                    *request.uri_mut() = format!("http://{host}{path}").parse().ok()?;
                    self.head(self.clusters.request(request)).await
                }
                Destination::Outside => {
                    let host = request.uri().host().unwrap_or_default();
                    // No name of a cluster ends so.
                    let _place = self.place(&format!("{host}.").into())?;
                    self.head(self.outside.request(request)).await
                }
            };
            match asked {
                Ok(head) => Some(head),
                Err(error) => {
                    tracing::debug!(%error, "an authorizing request has no answer");
                    None
                }
            }
        };
        timeout(PATIENCE, asked).await.ok().flatten()
    }

    fn place(&self, of: &Arc<str>) -> Option<Place> {
        let place = self.at_once.take(of);
        if place.is_none() {
            tracing::debug!(%of, "too many authorizing requests at once");
        }
        place
    }

    async fn head(&self, response: ResponseFuture) -> Result<(StatusCode, HeaderMap), LegacyError> {
        let (head, body) = response.await?.into_parts();
        let mut frames = Body::new(body).into_data_stream();
        // So that the connection is good for the next one; the head has said all.
        let drained = async {
            let mut bytes = 0;
            while let Some(Ok(frame)) = frames.next().await {
                bytes += frame.len();
                if bytes > BODY {
                    break;
                }
            }
        };
        let _ = timeout(BODY_PATIENCE, drained).await;
        Ok((head.status, head.headers))
    }
}

fn builder() -> Builder {
    let mut builder = HyperClient::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .http1_max_buf_size(HEAD)
        // What was sent may have been seen: it is asked again only where nothing was.
        .retry_canceled_requests(true);
    builder
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
