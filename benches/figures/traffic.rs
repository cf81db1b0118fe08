//! Back ends, and clients of Envoy: one that asks when it is told to, and steady traffic whose failures are counted.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// What a route may say of itself to back ends.
pub const EDITION: &str = "x-edition";

/// A back end that says who it is, and then what the route said of itself.
pub struct Backend {
    pub address: SocketAddrV4,
    task: JoinHandle<()>,
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Backend {
    pub async fn start(name: &'static str) -> Result<Self> {
        let listener = TcpListener::bind((own_address()?, 0)).await?;
        let address = SocketAddrV4::new(own_address()?, listener.local_addr()?.port());
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| async move {
                        let request: http::Request<hyper::body::Incoming> = request;
                        let edition = request.headers().get(EDITION);
                        let edition = edition.map_or(&[][..], |edition| edition.as_bytes());
                        let body = Full::new(Bytes::from([name.as_bytes(), edition].concat()));
                        Ok::<_, Infallible>(http::Response::new(body))
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(connection), service)
                        .await;
                });
            }
        });
        Ok(Self { address, task })
    }
}

/// An address of this machine that an EndpointSlice may have, which loopback addresses are not. Nothing is sent.
fn own_address() -> Result<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let routed = socket
        .connect((Ipv4Addr::new(192, 0, 2, 1), 9))
        .and_then(|()| socket.local_addr());
    let SocketAddr::V4(own) = routed.context("this machine has no address but loopback")? else {
        anyhow::bail!("this machine has no IPv4 address");
    };
    Ok(*own.ip())
}

/// A connection to Envoy that is kept.
pub struct Probe {
    address: SocketAddr,
    sender: Option<SendRequest<Empty<Bytes>>>,
}

impl Probe {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            sender: None,
        }
    }

    pub async fn get(&mut self, host: &str) -> Result<(u16, Bytes)> {
        if self.sender.as_ref().is_none_or(SendRequest::is_closed) {
            let connection = TcpStream::connect(self.address).await?;
            connection.set_nodelay(true)?;
            let (sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(connection)).await?;
            tokio::spawn(connection);
            self.sender = Some(sender);
        }
        let sender = self.sender.as_mut().context("no connection")?;
        sender.ready().await?;
        let request = http::Request::get("/")
            .header("host", host)
            .body(Empty::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

/// A client that opens a TLS connection for each request.
#[derive(Clone)]
pub struct TlsProbe {
    address: SocketAddr,
    connector: TlsConnector,
}

impl TlsProbe {
    /// It trusts these certificates and no others.
    pub fn new<'a>(
        address: SocketAddr,
        certificates: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for pem in certificates {
            roots.add(CertificateDer::from_pem_slice(pem.as_bytes())?)?;
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = tokio_rustls::rustls::client::Resumption::disabled();
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Self { address, connector })
    }

    /// A connection for this host on which this protocol is spoken.
    pub async fn open(&self, host: &str, protocol: &[u8]) -> Result<TlsStream<TcpStream>> {
        let mut config = ClientConfig::clone(self.connector.config());
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(host.to_owned())?;
        let connector = TlsConnector::from(Arc::new(config));
        Ok(connector.connect(name, stream).await?)
    }

    /// The status of the answer to one request.
    pub async fn get(&self, host: &str) -> Result<u16> {
        let asked = async {
            let connection = TcpStream::connect(self.address).await?;
            connection.set_nodelay(true)?;
            let name = ServerName::try_from(host.to_owned())?;
            let stream = self.connector.connect(name, connection).await?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            let task = tokio::spawn(connection);
            let request = http::Request::get("/")
                .header("host", host)
                .body(Empty::<Bytes>::new())?;
            let response = sender.send_request(request).await;
            task.abort();
            Ok(response?.status().as_u16())
        };
        tokio::time::timeout(Duration::from_secs(3), asked).await?
    }

    /// Asks until the answer is 200.
    pub async fn until_ok(&self, host: &str) -> Result<Instant> {
        let start = Instant::now();
        loop {
            let answer = self.get(host).await;
            let at = Instant::now();
            if matches!(answer, Ok(200)) {
                return Ok(at);
            }
            let waited = start.elapsed();
            ensure!(
                waited < Duration::from_secs(60),
                "{host} does not come: {answer:?}"
            );
            sleep(Duration::from_micros(500)).await;
        }
    }
}

/// Who asks steadily.
pub enum Steady {
    /// On one connection, in clear.
    Plain(Probe),
    /// With TLS, on a connection for each request.
    Tls(TlsProbe),
}

/// Requests to one host, every few milliseconds, and those that failed.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicU64>,
    task: JoinHandle<u64>,
}

impl Traffic {
    /// From this client to this host.
    pub fn start(mut client: Steady, host: String) -> Self {
        let (stop, failed) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (stopped, failures) = (stop.clone(), failed.clone());
        let task = tokio::spawn(async move {
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                let status = match &mut client {
                    Steady::Plain(probe) => probe.get(&host).await.map(|(status, _)| status),
                    Steady::Tls(probe) => probe.get(&host).await,
                };
                if !matches!(status, Ok(200)) {
                    eprintln!("      {host} failed: {status:?}");
                    failures.fetch_add(1, Ordering::Relaxed);
                }
                sent += 1;
                sleep(Duration::from_millis(2)).await;
            }
            sent
        });
        Self { stop, failed, task }
    }

    /// Requests sent, and how many of them failed.
    pub async fn end(self) -> Result<(u64, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        Ok((self.task.await?, self.failed.load(Ordering::Relaxed)))
    }
}
