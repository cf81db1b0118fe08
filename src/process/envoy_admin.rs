//! Envoy's admin interface at its Unix socket.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::body::{Body, to_bytes};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// For one request. Admin answers on the main thread, which a large update can hold for seconds.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest page that is read.
const LONGEST: usize = 4 << 20;

#[derive(Debug)]
pub(crate) struct Admin {
    socket: PathBuf,
}

impl Admin {
    pub(crate) fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<String> {
        self.call(Method::GET, path).await
    }

    pub(crate) async fn post(&self, path: &str) -> anyhow::Result<()> {
        self.call(Method::POST, path).await.map(drop)
    }

    /// Whether nobody listens at the socket.
    pub(crate) async fn refuses(&self) -> bool {
        UnixStream::connect(&self.socket)
            .await
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    }

    async fn call(&self, method: Method, path: &str) -> anyhow::Result<String> {
        let what = format!("{method} {path} at {}", self.socket.display());
        timeout(TIMEOUT, self.exchange(method, path))
            .await
            .with_context(|| format!("{what}: no answer within {} s", TIMEOUT.as_secs()))?
            .context(what)
    }

    async fn exchange(&self, method: Method, path: &str) -> anyhow::Result<String> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "admin")
            .body(Body::empty())?;
        let answer = async {
            let response = client.send_request(request).await?;
            let status = response.status();
            let body = to_bytes(Body::new(response.into_body()), LONGEST).await?;
            let text = String::from_utf8_lossy(&body).into_owned();
            ensure!(status == StatusCode::OK, "{status}: {}", text.trim());
            Ok(text)
        };
        // The connection is driven here and ends here; it has no task of its own.
        let drive = async {
            let _ = connection.await;
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            answer = answer => answer,
            never = drive => match never {},
        }
    }
}
