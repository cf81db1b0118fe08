//! An HTTP/1.1 client that sends exactly what it is told, over TCP or TLS with any server name.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const PATIENCE: Duration = Duration::from_secs(60);

/// An answer, its header names in lower case.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }

    /// Values of `set-cookie`, in order.
    pub fn cookies(&self) -> Vec<&str> {
        let all = self.headers.iter();
        let all = all.filter(|(name, _)| name == "set-cookie");
        all.map(|(_, value)| value.as_str()).collect()
    }

    /// First line of the echo: `BACKEND PROTOCOL METHOD PATH`.
    pub fn echo(&self) -> &str {
        self.body.lines().next().unwrap_or_default()
    }

    /// A header as the back end received it.
    pub fn received(&self, name: &str) -> Option<&str> {
        self.body
            .lines()
            .skip(1)
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// One request: `path` and `headers` go out as they are.
pub fn request(method: &str, host: &str, path: &str, headers: &[&str]) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head + "\r\n"
}

/// Sends over TCP.
pub async fn plain(address: SocketAddr, request: &str) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    exchange(stream, request).await
}

/// Sends over any stream and reads the answer.
pub async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).await.unwrap();
    // TLS keeps what the socket does not take at once, and reading does not send it.
    stream.flush().await.unwrap();
    let mut bytes = Vec::new();
    // Not to the end of the stream: Envoy keeps it for a second after its own answers.
    while !is_complete(&bytes) {
        // A peer that closes without TLS close_notify is an error after the bytes; they are what counts.
        match tokio::time::timeout(PATIENCE, stream.read_buf(&mut bytes)).await {
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(_)) => {}
            Err(_) => panic!("no answer in time"),
        }
    }
    parse(&bytes)
}

/// What stands before an empty line, and behind it.
fn split(bytes: &[u8]) -> Option<(String, &[u8])> {
    let at = bytes.windows(4).position(|it| it == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..at]);
    Some((head.into_owned(), &bytes[at + 4..]))
}

fn is_complete(bytes: &[u8]) -> bool {
    let Some((head, body)) = split(bytes) else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    match length {
        Some(length) => body.len() >= length.parse().unwrap(),
        None => body.ends_with(b"0\r\n\r\n"),
    }
}

fn parse(bytes: &[u8]) -> Answer {
    let (head, body) =
        split(bytes).unwrap_or_else(|| panic!("no HTTP: {:?}", String::from_utf8_lossy(bytes)));
    let mut lines = head.lines();
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let chunked = headers
        .iter()
        .any(|(n, v)| n == "transfer-encoding" && v == "chunked");
    let body = match chunked {
        true => unchunk(body),
        false => body.to_owned(),
    };
    Answer {
        status,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(at) = bytes.windows(2).position(|it| it == b"\r\n") {
        let size = str::from_utf8(&bytes[..at]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let rest = &bytes[at + 2..];
        body.extend(&rest[..size]);
        if size == 0 {
            break;
        }
        bytes = &rest[size + 2..];
    }
    body
}

/// A TLS connection with this server name (none: no SNI) and protocol; an error where Envoy refuses it.
pub async fn tls(
    address: SocketAddr,
    sni: Option<&str>,
    alpn: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    tls_as(address, sni, alpn, None).await
}

/// A certificate chain and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The same, with a certificate for who asks for one.
pub async fn tls_as(
    address: SocketAddr,
    sni: Option<&str>,
    alpn: &str,
    identity: Option<Identity>,
) -> std::io::Result<TlsStream<TcpStream>> {
    connect(address, sni, Arc::new(config(sni, alpn, identity))).await
}

/// What a client has of TLS. Connections by the same take up sessions again.
pub fn config(sni: Option<&str>, alpn: &str, identity: Option<Identity>) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
    };
    config.enable_sni = sni.is_some();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    config
}

/// A TLS connection by such a configuration.
pub async fn connect(
    address: SocketAddr,
    sni: Option<&str>,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(sni.unwrap_or("no.name").to_owned()).unwrap();
    let stream = TcpStream::connect(address).await?;
    let connecting = TlsConnector::from(config).connect(name, stream);
    tokio::time::timeout(PATIENCE, connecting)
        .await
        .expect("no handshake in time")
}

/// The DNS names of the certificate that the peer showed.
pub fn certificate_names(stream: &TlsStream<TcpStream>) -> Vec<String> {
    dns_names(&stream.get_ref().1.peer_certificates().unwrap()[0])
}

/// The DNS names of a certificate.
pub fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    names
        .value
        .general_names
        .iter()
        .map(|name| name.to_string().replace("DNSName(", "").replace(')', ""))
        .collect()
}

/// Which certificate Envoy shows is what is tested, so none is refused.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
