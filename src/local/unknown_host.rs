//! What a request gets for a host that no Ingress names: a 404 that says which hosts there are. In a cluster it is a
//! 404 without a word, because strangers ask there.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use tokio::sync::watch;

use crate::process::http;
use crate::process::supervisor::Stop;

use super::echo;

/// Listens and does not answer yet.
#[derive(Debug)]
pub struct Bound(TcpListener);

/// Binds it, on loopback and any free port.
///
/// # Errors
///
/// When it can't be bound.
pub fn bind() -> anyhow::Result<(SocketAddr, Bound)> {
    let listened = echo::listen().context("can't listen on loopback for unknown hosts")?;
    let (address, listener) = listened;
    Ok((address, Bound(listener)))
}

impl Bound {
    /// Answers with the list of URLs as it is then, and where the page of the control plane says why, until asked to stop.
    ///
    /// # Errors
    ///
    /// When the listener can't be taken over by the runtime.
    pub async fn serve(
        self,
        urls: watch::Receiver<Arc<str>>,
        page: SocketAddr,
        stop: Stop,
    ) -> anyhow::Result<()> {
        let router = Router::new().fallback(answer).with_state((urls, page));
        http::serve(self.0, router, echo::LIMITS, stop).await
    }
}

async fn answer(
    State((urls, page)): State<(watch::Receiver<Arc<str>>, SocketAddr)>,
    request: Request,
) -> (StatusCode, String) {
    let (head, _) = request.into_parts();
    let host = echo::host(&head);
    let urls = urls.borrow().clone();
    let asked = form_urlencoded::Serializer::new(String::new())
        .append_pair("url", &format!("http://{host}{}", head.uri))
        .finish();
    let text = format!(
        "404: no Ingress has a rule for the host {host}. Why: http://{page}/#/explain?{asked}\n\nServed are:\n\n{urls}"
    );
    (StatusCode::NOT_FOUND, text)
}
