//! Clients that say exactly what a test wants said: any server name, any Host, HTTP/1.1 or HTTP/2, one
//! connection for several requests or not, a ClientHello in pieces.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, ProtocolVersion, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::backend::Echo;
use super::certificate::Leaf;

/// No step of a client takes longer; a server that hangs is a failure.
const LIMIT: Duration = Duration::from_secs(30);

/// Offers TLS 1.2 and nothing newer.
pub(crate) static TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];

/// Offers TLS 1.3 and nothing older.
pub(crate) static TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// Which HTTP a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.1.
    H1,
    /// HTTP/2, over plain TCP with prior knowledge.
    H2,
}

/// Whose certificates a client accepts.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// Any: the test looks at [`Connection::certificate`] itself.
    Anything,
    /// Those that lead to these roots and bear the server name.
    Roots(Arc<RootCertStore>),
}

/// How a client opens TLS.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    /// The server name that it sends, as spelled; `None` sends none.
    pub(crate) sni: Option<String>,
    /// Whom it believes.
    pub(crate) trust: Trust,
    /// Whether the first bytes (the ClientHello) leave one by one, each in a segment of its own.
    pub(crate) dribble: bool,
    /// The TLS versions that it offers.
    pub(crate) versions: &'static [&'static SupportedProtocolVersion],
    /// Whether it offers only RSA, as clients did that know no ECDSA; with [`Trust::Anything`].
    pub(crate) rsa_only: bool,
    /// The certificate that it shows where it is asked for one; with [`Trust::Anything`].
    pub(crate) identity: Option<Leaf>,
}

impl Tls {
    /// Sends this server name and accepts any certificate.
    pub(crate) fn sni(name: &str) -> Self {
        Self {
            sni: Some(name.to_owned()),
            ..Self::no_sni()
        }
    }

    /// Sends no server name and accepts any certificate.
    pub(crate) fn no_sni() -> Self {
        Self {
            sni: None,
            trust: Trust::Anything,
            dribble: false,
            versions: rustls::DEFAULT_VERSIONS,
            rsa_only: false,
            identity: None,
        }
    }

    /// Opens TLS, and speaks no HTTP over it yet.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        version: Version,
    ) -> Result<TlsStream<TcpStream>> {
        timeout(LIMIT, async {
            let stream = TcpStream::connect(address).await.context("connect")?;
            let connector = TlsConnector::from(Arc::new(self.config(version)?));
            let stream = connector.connect(self.server_name()?, stream).await;
            stream.context("TLS handshake")
        })
        .await
        .context("connection took too long")?
    }

    fn server_name(&self) -> Result<ServerName<'static>> {
        let name = self
            .sni
            .clone()
            .unwrap_or_else(|| "no.name.test".to_owned());
        ServerName::try_from(name).context("server name")
    }

    fn config(&self, version: Version) -> Result<ClientConfig> {
        let mut provider = rustls::crypto::ring::default_provider();
        if self.rsa_only {
            provider
                .cipher_suites
                .retain(|suite| format!("{:?}", suite.suite()).contains("_RSA_"));
        }
        let provider = Arc::new(provider);
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(self.versions)?;
        let mut config = match &self.trust {
            Trust::Roots(roots) => builder
                .with_root_certificates(roots.clone())
                .with_no_client_auth(),
            Trust::Anything => {
                let verifier = Arc::new(AcceptAny {
                    provider,
                    rsa_only: self.rsa_only,
                });
                let builder = builder.dangerous();
                let builder = builder.with_custom_certificate_verifier(verifier);
                match &self.identity {
                    None => builder.with_no_client_auth(),
                    Some(leaf) => {
                        let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes())?;
                        builder.with_client_auth_cert(vec![leaf.der.clone()], key)?
                    }
                }
            }
        };
        config.enable_sni = self.sni.is_some();
        config.alpn_protocols = vec![match version {
            Version::H1 => b"http/1.1".to_vec(),
            Version::H2 => b"h2".to_vec(),
        }];
        // Each connection is a full handshake: a resumed one would not show a rotated certificate.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }
}

/// An open connection; dropping it closes it.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: Sender,
    certificate: Option<CertificateDer<'static>>,
    tls: Option<ProtocolVersion>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Sender {
    H1(http1::SendRequest<Full<Bytes>>),
    H2(http2::SendRequest<Full<Bytes>>),
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Connection {
    /// Connects; over TLS where it is given.
    pub(crate) async fn open(
        address: SocketAddr,
        version: Version,
        tls: Option<&Tls>,
    ) -> Result<Self> {
        timeout(LIMIT, async {
            let stream = TcpStream::connect(address).await.context("connect")?;
            stream.set_nodelay(true)?;
            match tls {
                None => Self::handshake(Box::new(stream), version, None, None).await,
                Some(tls) => Self::open_tls(stream, version, tls).await,
            }
        })
        .await
        .context("connection took too long")?
    }

    /// Connects to a Unix socket with HTTP/1.1.
    pub(crate) async fn unix(path: &std::path::Path) -> Result<Self> {
        let stream = UnixStream::connect(path).await.context("connect")?;
        Self::handshake(Box::new(stream), Version::H1, None, None).await
    }

    async fn open_tls(stream: TcpStream, version: Version, tls: &Tls) -> Result<Self> {
        let name = tls.server_name()?;
        let connector = TlsConnector::from(Arc::new(tls.config(version)?));
        let stream: Box<dyn Stream> = if tls.dribble {
            Box::new(dribble(stream))
        } else {
            Box::new(stream)
        };
        let stream = connector
            .connect(name, stream)
            .await
            .context("TLS handshake")?;
        let session = stream.get_ref().1;
        // Who offers nothing in ALPN speaks HTTP/1.1, if anything.
        let spoken = session.alpn_protocol();
        if spoken != session_protocol(version) && (spoken.is_some() || version != Version::H1) {
            bail!("ALPN chose {spoken:?}");
        }
        let certificate = session
            .peer_certificates()
            .and_then(|chain| chain.first())
            .map(|leaf| leaf.clone().into_owned());
        let tls = session.protocol_version();
        Self::handshake(Box::new(stream), version, certificate, tls).await
    }

    async fn handshake(
        stream: Box<dyn Stream>,
        version: Version,
        certificate: Option<CertificateDer<'static>>,
        tls: Option<ProtocolVersion>,
    ) -> Result<Self> {
        let io = TokioIo::new(stream);
        // How a connection ends is seen by the request that it fails.
        let (sender, task) = match version {
            Version::H1 => {
                let (sender, connection) = http1::handshake(io).await?;
                let task = tokio::spawn(async move { drop(connection.await) });
                (Sender::H1(sender), task)
            }
            Version::H2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                let task = tokio::spawn(async move { drop(connection.await) });
                (Sender::H2(sender), task)
            }
        };
        Ok(Self {
            sender,
            certificate,
            tls,
            task,
        })
    }

    /// The certificate that the server presented.
    pub(crate) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.certificate.as_ref()
    }

    /// The version of TLS that it speaks.
    pub(crate) fn tls_version(&self) -> Option<&'static str> {
        self.tls.and_then(|version| version.as_str())
    }

    /// Whether the server has closed it, or said that it will.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::H1(sender) => sender.is_closed(),
            Sender::H2(sender) => sender.is_closed(),
        }
    }

    /// Sends a GET and reads the whole answer.
    pub(crate) async fn get(&mut self, host: &str, path: &str) -> Result<Answer> {
        self.send(Method::GET, host, path, &[]).await
    }

    /// Sends a request without a body and reads the whole answer. The path goes out as it is spelled.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        self.send_body(method, host, path, headers, Bytes::new())
            .await
    }

    /// The same with a body.
    pub(crate) async fn send_body(
        &mut self,
        method: Method,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request = match self.sender {
            Sender::H1(_) => request.uri(path).header("host", host),
            Sender::H2(_) => {
                let scheme = if self.tls.is_some() { "https" } else { "http" };
                request.uri(format!("{scheme}://{host}{path}"))
            }
        };
        let request = request.body(Full::new(body))?;
        timeout(LIMIT, async {
            let response = match &mut self.sender {
                Sender::H1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await?
                }
                Sender::H2(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await?
                }
            };
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                body,
            })
        })
        .await
        .context("answer took too long")?
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request on a connection of its own.
pub(crate) async fn get(
    address: SocketAddr,
    version: Version,
    tls: Option<&Tls>,
    host: &str,
    path: &str,
) -> Result<Answer> {
    Connection::open(address, version, tls)
        .await?
        .get(host, path)
        .await
}

/// A whole response.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) body: Bytes,
}

impl Answer {
    /// The back end that answered, empty where Envoy did by itself.
    pub(crate) fn backend(&self) -> &str {
        self.header("x-backend")
    }

    /// A header's value, empty where it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// What the back end received.
    pub(crate) fn echo(&self) -> Echo {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no echo: {error}: {self:?}"))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn session_protocol(version: Version) -> Option<&'static [u8]> {
    match version {
        Version::H1 => Some(b"http/1.1"),
        Version::H2 => Some(b"h2"),
    }
}

/// A stream whose first bytes leave one at a time. The pause between them makes each a segment that the
/// server sees alone.
fn dribble(mut server: TcpStream) -> impl Stream {
    const PIECES: usize = 400;
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let mut byte = [0];
        for _ in 0..PIECES {
            let more = tokio::select! {
                read = far.read(&mut byte) => matches!(read, Ok(1)),
                // The server speaks: the ClientHello is through.
                ready = server.readable() => { let _ = ready; break }
            };
            if !more || server.write_all(&byte).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        let _ = tokio::io::copy_bidirectional(&mut far, &mut server).await;
    });
    near
}

/// Accepts every certificate; signatures are still checked, so the server does hold its key.
#[derive(Debug)]
struct AcceptAny {
    provider: Arc<CryptoProvider>,
    rsa_only: bool,
}

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let mut schemes = algorithms.supported_schemes();
        // Envoy looks at these, not at the cipher suites, when it chooses a certificate.
        schemes.retain(|scheme| !self.rsa_only || format!("{scheme:?}").starts_with("RSA_"));
        schemes
    }
}
