//! One GET or POST over a connection that is there, for pages of this program and of Envoy's. It waits a bounded time and reads a
//! bounded answer, and the connection ends with it.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use axum::body::{Body, to_bytes};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest page that is read.
const LONGEST: usize = 4 << 20;

/// For the whole of an answer of an admin page: a question waits for events that come first.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Asks for a page. Any status but 200 is an error, of what the answer says.
///
/// # Errors
///
/// The connection breaks, or the answer is another one.
pub async fn exchange<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    method: Method,
    host: &str,
    path: &str,
) -> anyhow::Result<String> {
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", host)
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

/// Where the admin pages of a control plane are: `http://127.0.0.1:6060`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminUrl(SocketAddr);

impl FromStr for AdminUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let rest = rest.replacen("localhost:", "127.0.0.1:", 1);
        let address = rest.parse();
        address.map(Self).map_err(|_| {
            format!("{text:?} is no address with a port, such as http://127.0.0.1:6060")
        })
    }
}

impl fmt::Display for AdminUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

impl AdminUrl {
    /// The page of this path and query.
    ///
    /// # Errors
    ///
    /// Nobody answers there, in time, or with the page.
    pub async fn get(self, path: &str) -> anyhow::Result<String> {
        let Self(address) = self;
        let asked = async {
            let stream = TcpStream::connect(address).await?;
            exchange(stream, Method::GET, &address.to_string(), path).await
        };
        let asked = timeout(TIMEOUT, asked).await;
        let seconds = TIMEOUT.as_secs();
        let asked = asked.unwrap_or_else(|_| Err(anyhow!("no answer within {seconds} s")));
        asked.with_context(|| format!("can't ask the control plane at http://{address}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_address_has_a_port() {
        for (text, expected) in [
            ("http://127.0.0.1:6060", Some("127.0.0.1:6060")),
            ("http://localhost:1/", Some("127.0.0.1:1")),
            ("[::1]:6060", Some("[::1]:6060")),
            ("http://127.0.0.1", None),
            ("https://127.0.0.1:1", None),
            ("", None),
        ] {
            let found = text.parse::<AdminUrl>().ok();
            let found = found.map(|AdminUrl(address)| address.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
