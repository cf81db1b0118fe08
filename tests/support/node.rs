//! A node's kubelet as the API server asks one, over TLS; what it answers is the test's.
//!
//! Use it with `#[path = "../support/node.rs"] mod node;`, beside `control_plane`.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::control_plane::Identity;

/// A listening node; dropping it closes its port.
pub struct NodeServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl NodeServer {
    /// Listens on this address, with a certificate that nobody checks. Whoever answers may take the connection over.
    pub async fn start(
        address: Ipv4Addr,
        identity: &Identity,
        answer: impl Fn(Request<Incoming>) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, answer) = (acceptor.clone(), answer.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = hyper::service::service_fn(|request| {
                        let answer = answer(request);
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades()
                        .await;
                });
            }
        });
        Self { address, task }
    }

    /// The status of its node. It says that it speaks WebSockets (KEP-4006, Kubernetes 1.36), or the API server would
    /// translate them to SPDY.
    pub fn status(&self) -> Value {
        json!({
            "addresses": [{"type": "InternalIP", "address": self.address.ip()}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.address.port()}},
            "declaredFeatures": ["ExtendWebSocketsToKubelet"],
        })
    }
}

/// Takes a WebSocket (RFC 6455, section 4.2.2) of this protocol over, if the peer offers it.
pub fn websocket<F: Future<Output = ()> + Send + 'static>(
    request: Request<Incoming>,
    protocol: &str,
    carry: impl FnOnce(TokioIo<Upgraded>) -> F + Send + 'static,
) -> Response<Full<Bytes>> {
    let text = |name| {
        let value = request.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let offered = text(header::SEC_WEBSOCKET_PROTOCOL);
    if !offered.split(',').any(|offer| offer.trim() == protocol) {
        return refusal(format!("{offered:?} is not {protocol}"));
    }
    let key = text(header::SEC_WEBSOCKET_KEY);
    let proof = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let proof = digest(&SHA1_FOR_LEGACY_USE_ONLY, proof.as_bytes());
    tokio::spawn(async move {
        carry(TokioIo::new(hyper::upgrade::on(request).await.unwrap())).await;
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, STANDARD.encode(proof))
        .header(header::SEC_WEBSOCKET_PROTOCOL, protocol)
        .body(Full::default())
        .unwrap()
}

/// What a kubelet says to what it does not know.
pub fn refusal(reason: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(reason.into());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

impl Drop for NodeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
