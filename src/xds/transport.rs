//! Sockets and TLS: who may connect, and over what. Nothing in here knows the protocol above.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::address::Address;

/// How long a client may take for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The flags do not go together.
    #[error("{0}")]
    Flags(String),
    /// A certificate, key or CA cannot be used.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it; never its contents.
        reason: String,
    },
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: Address,
        /// The system's reason.
        error: io::Error,
    },
}

/// The files of mutual TLS.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The certificate authorities of clients, PEM.
    pub client_ca: PathBuf,
}

/// The contents of these files; no type with `Debug`, for the key.
#[derive(PartialEq, Eq)]
struct Material([Vec<u8>; 3]);

/// A TLS configuration that follows its files: they are read again for each connection, which are rare, so that a
/// rotation needs no watch and no signal.
pub struct Tls {
    files: TlsFiles,
    current: Mutex<(Material, Arc<rustls::ServerConfig>)>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// If one of them cannot be read or used.
    pub fn load(files: TlsFiles) -> Result<Self, BindError> {
        let material = Material::read(&files)?;
        let config = material.config(&files)?;
        Ok(Self {
            files,
            current: Mutex::new((material, config)),
        })
    }

    /// The configuration for a connection that begins now. Files that do not fit each other, as in the midst of a
    /// rotation, leave the last good configuration in place.
    fn config(&self) -> Arc<rustls::ServerConfig> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let renewed = Material::read(&self.files).and_then(|material| {
            if material == current.0 {
                return Ok(None);
            }
            let config = material.config(&self.files)?;
            Ok(Some((material, config)))
        });
        match renewed {
            Ok(None) => {}
            Ok(Some(renewed)) => {
                tracing::info!("the certificates of the xDS server changed");
                *current = renewed;
            }
            Err(error) => {
                tracing::warn!(%error, "the changed certificates of the xDS server cannot be used; the old ones stay");
            }
        }
        current.1.clone()
    }
}

impl Material {
    fn read(files: &TlsFiles) -> Result<Self, BindError> {
        let read =
            |path: &Path| std::fs::read(path).map_err(|error| file_error(path, error.to_string()));
        Ok(Self([
            read(&files.certificate)?,
            read(&files.key)?,
            read(&files.client_ca)?,
        ]))
    }

    fn config(&self, files: &TlsFiles) -> Result<Arc<rustls::ServerConfig>, BindError> {
        let [certificate, key, client_ca] = &self.0;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates(&files.certificate, certificate)?;
        // The reason of a bad key is not passed on: it is not worth the risk of quoting it.
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| file_error(&files.key, "no private key in PEM form"))?;
        let mut roots = RootCertStore::empty();
        for authority in certificates(&files.client_ca, client_ca)? {
            roots
                .add(authority)
                .map_err(|error| file_error(&files.client_ca, error.to_string()))?;
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()
                .map_err(|error| file_error(&files.client_ca, error.to_string()))?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| BindError::Flags(format!("TLS: {error}")))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| {
                file_error(
                    &files.certificate,
                    format!("not usable with {}: {error}", files.key.display()),
                )
            })?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BindError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| file_error(path, error.to_string()))?;
    if chain.is_empty() {
        return Err(file_error(path, "no certificate in PEM form"));
    }
    Ok(chain)
}

fn file_error(path: &Path, reason: impl Into<String>) -> BindError {
    BindError::File {
        path: path.display().to_string(),
        reason: reason.into(),
    }
}

/// A socket that listens.
#[derive(Debug)]
pub enum Listener {
    /// A Unix socket: for this user and root only.
    Unix(UnixListener),
    /// TCP; without TLS on loopback only.
    Tcp(TcpListener, Option<Arc<Tls>>),
}

impl Listener {
    /// Binds an address. `tls` is needed unless the address is local.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound, or must not be without TLS.
    pub async fn bind(address: &Address, tls: Option<Tls>) -> Result<Self, BindError> {
        let listen = |error| BindError::Listen {
            address: address.clone(),
            error,
        };
        match address {
            Address::Unix(path) => {
                if tls.is_some() {
                    return Err(BindError::Flags(
                        "--xds-tls-cert, --xds-tls-key and --xds-tls-client-ca are for HOST:PORT; a Unix socket \
                         knows its peers by their user"
                            .into(),
                    ));
                }
                bind_unix(path).await.map(Self::Unix).map_err(listen)
            }
            Address::Tcp { host, port } => {
                if tls.is_none() && !address.is_local() {
                    return Err(BindError::Flags(format!(
                        "--xds-address={address} can be reached from other hosts and would hand out private keys: \
                         give --xds-tls-cert, --xds-tls-key and --xds-tls-client-ca, or listen on a Unix socket or \
                         a loopback address"
                    )));
                }
                let listener = bind_tcp(host, *port).await.map_err(listen)?;
                let bound = listener.local_addr().map_err(listen)?;
                if tls.is_none() && !bound.ip().is_loopback() {
                    return Err(BindError::Flags(format!(
                        "--xds-address={address} is {bound} here, no loopback address: give --xds-tls-cert, \
                         --xds-tls-key and --xds-tls-client-ca"
                    )));
                }
                Ok(Self::Tcp(listener, tls.map(Arc::new)))
            }
        }
    }

    /// The address that was bound; with port 0 it tells which port the system chose.
    ///
    /// # Errors
    ///
    /// If the system does not tell.
    pub fn local_address(&self) -> io::Result<Address> {
        match self {
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                Ok(Address::Unix(
                    address.as_pathname().unwrap_or(Path::new("")).to_path_buf(),
                ))
            }
            Self::Tcp(listener, _) => {
                let address = listener.local_addr()?;
                Ok(Address::Tcp {
                    host: address.ip().to_string(),
                    port: address.port(),
                })
            }
        }
    }

    /// The next connection, before any handshake.
    ///
    /// # Errors
    ///
    /// As `accept(2)`: of the connection, or for want of file descriptors.
    pub async fn accept(&self) -> io::Result<Incoming> {
        match self {
            Self::Unix(listener) => Ok(Incoming::Unix(listener.accept().await?.0)),
            Self::Tcp(listener, tls) => {
                let (stream, _) = listener.accept().await?;
                Ok(Incoming::Tcp(stream, tls.clone()))
            }
        }
    }
}

/// Host `*` is every address: `[::]`, which takes IPv4 too, or `0.0.0.0` where the kernel was started without IPv6.
async fn bind_tcp(host: &str, port: u16) -> io::Result<TcpListener> {
    if host != "*" {
        return TcpListener::bind((host, port)).await;
    }
    let both = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await;
    match both {
        Err(error) if error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
        }
        both => both,
    }
}

/// Binds beside the path, restricts, and moves into place: at no moment is there a socket that others can open,
/// and a stale one is replaced in one step. A socket that somebody serves is left alone.
async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is a file at this path that is no socket",
            ));
        }
        Ok(_) if UnixStream::connect(path).await.is_ok() => {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another process serves this socket",
            ));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&beside)?;
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&beside, path)?;
    Ok(listener)
}

/// A connection whose peer is not yet known.
#[derive(Debug)]
pub enum Incoming {
    /// A Unix socket.
    Unix(UnixStream),
    /// TCP, and the TLS that it needs.
    Tcp(TcpStream, Option<Arc<Tls>>),
}

impl Incoming {
    /// Who it is of, as far as the kernel knows.
    #[must_use]
    pub fn peer(&self) -> Peer {
        match self {
            Self::Unix(stream) => {
                let credentials = stream.peer_cred().ok();
                Peer::Process(credentials.and_then(|credentials| credentials.pid()))
            }
            Self::Tcp(stream, _) => match stream.peer_addr() {
                Ok(address) => Peer::Address(address.ip().to_canonical()),
                // It is gone already.
                Err(_) => Peer::Process(None),
            },
        }
    }

    /// Finds out who it is.
    ///
    /// # Errors
    ///
    /// If the peer may not connect, does not prove who it is, or takes too long.
    pub async fn establish(self) -> io::Result<Connection> {
        match self {
            Self::Unix(stream) => {
                let peer = stream.peer_cred()?.uid();
                let own = nix::unistd::Uid::effective().as_raw();
                if !may_connect(peer, own) {
                    return Err(io::Error::new(
                        io::ErrorKind::PermissionDenied,
                        format!("the peer's user {peer} is neither {own} nor root"),
                    ));
                }
                Ok(Connection::Unix(stream))
            }
            Self::Tcp(stream, None) => {
                stream.set_nodelay(true)?;
                Ok(Connection::Tcp(stream))
            }
            Self::Tcp(stream, Some(tls)) => {
                stream.set_nodelay(true)?;
                let acceptor = tokio_rustls::TlsAcceptor::from(tls.config());
                let stream = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream))
                    .await
                    .map_err(|_| {
                        io::Error::new(io::ErrorKind::TimedOut, "no TLS handshake in time")
                    })??;
                Ok(Connection::Tls(Box::new(stream)))
            }
        }
    }
}

/// The socket's mode says the same to the kernel; this holds where a volume or a umask has changed it.
fn may_connect(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

/// Who a connection is of, before any handshake. Not who it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// A process of this machine; `None` in a container of its own, where it has no number that means anything here.
    Process(Option<i32>),
    /// A host, or what it is hidden behind.
    Address(IpAddr),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(Some(pid)) => write!(f, "process {pid}"),
            Self::Process(None) => f.write_str("a process of another container"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// A connection of a peer that may connect.
#[derive(Debug)]
pub enum Connection {
    /// A Unix socket.
    Unix(UnixStream),
    /// TCP on loopback.
    Tcp(TcpStream),
    /// Mutual TLS.
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

macro_rules! each {
    ($self:ident, $stream:ident => $do:expr) => {
        match $self.get_mut() {
            Connection::Unix($stream) => $do,
            Connection::Tcp($stream) => $do,
            Connection::Tls($stream) => $do,
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(context))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests;
