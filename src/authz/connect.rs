//! Connections to who is asked: to an endpoint of a Service, or to an address of the outside.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::model::Cidr;
use crate::translate::check_outside_name;

use super::address;
use super::discovery::{Discovery, Endpoint};

/// What the name ends with that stands for a cluster in a URI of ours: no name of the outside does.
const CLUSTER: &str = ".cluster.invalid";
/// How long a connection may take to come up, TLS included.
const WITHIN: Duration = Duration::from_secs(5);
/// How many endpoints or addresses are tried.
const TRIES: usize = 3;

/// Makes connections.
#[derive(Clone)]
pub struct Connector {
    /// Endpoints of Services.
    pub discovery: Discovery,
    /// Networks that may be asked although they are inside.
    pub networks: Arc<[Cidr]>,
    /// For the outside.
    pub tls: Arc<ClientConfig>,
}

/// The host of a URI that stands for a cluster.
pub fn host_of_cluster(cluster: &str) -> String {
    let digits = cluster.bytes().map(|byte| format!("{byte:02x}"));
    digits.collect::<String>() + CLUSTER
}

fn cluster_of_host(host: &str) -> Option<Arc<str>> {
    let digits = host.strip_suffix(CLUSTER)?;
    if digits.len() % 2 != 0 {
        return None;
    }
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = pairs.map(byte).collect();
    Some(String::from_utf8(bytes?).ok()?.into())
}

impl Connector {
    async fn connect(self, uri: Uri) -> io::Result<Stream> {
        let host = uri.host().unwrap_or_default();
        if let Some(cluster) = cluster_of_host(host) {
            return self.to_cluster(&cluster).await;
        }
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        check_outside_name(host).map_err(|what| refused(&format!("{host:?} {what}")))?;
        let addresses = lookup_host((host, port)).await?;
        let addresses = addresses.filter(|it| address::is_allowed(it.ip(), &self.networks));
        let stream = first_of(addresses.take(TRIES).collect()).await?;
        if !is_tls {
            return Ok(Stream::new(stream));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connected = TlsConnector::from(self.tls).connect(name, stream).await?;
        Ok(Stream::new(connected))
    }

    async fn to_cluster(&self, cluster: &Arc<str>) -> io::Result<Stream> {
        let endpoints = self.discovery.endpoints(cluster).await;
        let count = endpoints.len();
        let mut failure = refused("the Service has no endpoint");
        let begin = random(count);
        for turn in 0..count.min(TRIES) {
            let Some(endpoint) = endpoints.get((begin + turn) % count) else {
                break;
            };
            let connected = match endpoint {
                Endpoint::Address(address) => TcpStream::connect(address).await.map(Stream::new),
                Endpoint::Pipe(path) => UnixStream::connect(path).await.map(Stream::new),
            };
            match connected {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

async fn first_of(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut failure = refused("its name leads to no address outside of the cluster");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// A number below this one, or 0.
fn random(below: usize) -> usize {
    let mut bytes = [0; 8];
    // Where there are no random numbers the first endpoint is as good as another.
    let _ = SystemRandom::new().fill(&mut bytes);
    usize::from_ne_bytes(bytes)
        .checked_rem(below)
        .unwrap_or_default()
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, why)
}

impl tower::Service<Uri> for Connector {
    type Response = Stream;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Stream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connect = self.clone().connect(uri);
        Box::pin(async move {
            let late = |_| io::Error::from(io::ErrorKind::TimedOut);
            timeout(WITHIN, connect).await.map_err(late)?
        })
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection, of whatever kind.
pub struct Stream(TokioIo<Box<dyn Io>>);

impl Stream {
    fn new(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(TokioIo::new(Box::new(io)))
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl hyper::rt::Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_has_a_host_of_its_own() {
        for cluster in ["ns/auth/80", "ns/auth/80?a=b", ""] {
            let host = host_of_cluster(cluster);
            assert_eq!(cluster_of_host(&host).as_deref(), Some(cluster));
            assert!(format!("http://{host}/").parse::<Uri>().is_ok());
        }
        for host in [
            "a.test",
            "xx.cluster.invalid",
            "a.cluster.invalid",
            "ff.cluster.invalid",
        ] {
            assert_eq!(cluster_of_host(host).as_deref(), None, "{host}");
        }
    }
}
