//! Connections to who is asked: to an endpoint of a Service, or to an address of the outside.
//!
//! Each has a connector of its own, and none can make the other's connections, whatever a URI says: what the outside is called
//! is chosen by whoever writes an object, and may look like a name of ours.

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
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::model::Cidr;
use crate::translate::check_outside_name;

use super::address;
use super::discovery::{Discovery, Endpoint};
use super::names::Names;

/// What the name ends with that stands for a cluster in a URI of ours.
const CLUSTER: &str = ".cluster.invalid";
/// How long a connection may take to come up, TLS included.
const WITHIN: Duration = Duration::from_secs(5);
/// How many endpoints or addresses are tried.
const TRIES: usize = 3;

/// Makes connections to endpoints of Services.
#[derive(Clone)]
pub struct ToClusters {
    /// Where they are.
    pub discovery: Discovery,
}

/// Makes connections to the outside.
#[derive(Clone)]
pub struct ToOutside {
    /// Networks that may be asked although they are inside.
    pub networks: Arc<[Cidr]>,
    /// What names resolve to.
    pub names: Names,
    /// By the authorities of the system.
    pub tls: Arc<ClientConfig>,
}

/// The host of a URI that stands for a cluster with these endpoints. With others it is another host: a connection that is kept
/// is of endpoints that are still there.
pub fn host_of_cluster(cluster: &str, endpoints: &[Endpoint]) -> String {
    let digits = cluster.bytes().map(|byte| format!("{byte:02x}"));
    let endpoints = xxhash_rust::xxh3::xxh3_64(format!("{endpoints:?}").as_bytes());
    digits.collect::<String>() + &format!(".{endpoints:016x}{CLUSTER}")
}

fn cluster_of_host(host: &str) -> Option<Arc<str>> {
    let (digits, _) = host.strip_suffix(CLUSTER)?.split_once('.')?;
    if digits.len() % 2 != 0 {
        return None;
    }
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = pairs.map(byte).collect();
    Some(String::from_utf8(bytes?).ok()?.into())
}

impl ToOutside {
    async fn connect(self, uri: Uri) -> io::Result<Stream> {
        let host = uri.host().unwrap_or_default();
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        check_outside_name(host).map_err(|what| refused(&format!("{host:?} {what}")))?;
        let addresses = self.names.addresses(host).await?;
        let addresses = addresses.iter().copied();
        let addresses = addresses.filter(|it| address::is_allowed(*it, &self.networks));
        let addresses = addresses.map(|address| SocketAddr::new(address, port));
        let stream = first_of(addresses.take(TRIES).collect()).await?;
        if !is_tls {
            return Ok(Stream::new(stream));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connected = TlsConnector::from(self.tls).connect(name, stream).await?;
        Ok(Stream::new(connected))
    }
}

impl ToClusters {
    async fn connect(self, uri: Uri) -> io::Result<Stream> {
        let host = uri.host().unwrap_or_default();
        match cluster_of_host(host) {
            Some(cluster) => self.to_cluster(&cluster).await,
            None => Err(refused("it stands for no cluster")),
        }
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

/// A connector of hyper's that is bounded in time.
macro_rules! connector {
    ($connector:ty) => {
        impl tower::Service<Uri> for $connector {
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
    };
}

connector!(ToClusters);
connector!(ToOutside);

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
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_cluster_has_a_host_of_its_own() {
        let endpoint = |last| Endpoint::Address(([192, 0, 2, last], 80).into());
        for cluster in ["ns/auth/80", "ns/auth/80?a=b", ""] {
            let host = host_of_cluster(cluster, &[endpoint(1)]);
            assert_eq!(cluster_of_host(&host).as_deref(), Some(cluster));
            assert!(format!("http://{host}/").parse::<Uri>().is_ok());
            assert_ne!(host, host_of_cluster(cluster, &[endpoint(2)]));
        }
        for host in [
            "a.test",
            "xx.0.cluster.invalid",
            "a.0.cluster.invalid",
            "ff.0.cluster.invalid",
            "6e73.cluster.invalid",
        ] {
            assert_eq!(cluster_of_host(host).as_deref(), None, "{host}");
        }
    }

    /// A name of the outside that looks like one of ours is neither of a cluster nor of anybody.
    #[tokio::test]
    async fn the_outside_leads_to_no_cluster() {
        let tls =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let tls = tls.with_safe_default_protocol_versions().unwrap();
        let outside = ToOutside {
            networks: Arc::new([]),
            names: Names::of_system(),
            tls: Arc::new(
                tls.with_root_certificates(rustls::RootCertStore::empty())
                    .with_no_client_auth(),
            ),
        };
        let host = host_of_cluster("team-b/b/80", &[]);
        for host in [host.as_str(), "7465616d2d622f622f3830.cluster.invalid"] {
            let uri: Uri = format!("http://{host}/").parse().unwrap();
            let error = outside.clone().connect(uri).await.err().unwrap();
            assert!(error.to_string().contains("leads nowhere"), "{error}");
        }
    }
}
