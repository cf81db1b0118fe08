//! Envoy's admin interface at its Unix socket.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use hyper::Method;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::http_client::exchange;

/// For one request. Admin answers on the main thread, which a large update can hold for seconds.
const TIMEOUT: Duration = Duration::from_secs(5);

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
        exchange(stream, method, "admin", path).await
    }
}
