//! A node's kubelet as the API server asks one, over TLS; what it answers is the test's.
//!
//! Use it with `#[path = "../support/node.rs"] mod node;`, beside `control_plane`.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
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

impl Drop for NodeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
