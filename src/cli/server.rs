//! Where a client of ours finds the control plane: flags, and the connection.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::envoy::bootstrap::{TlsFiles, XdsServer};
use crate::process::exit_code::UsageError;

/// How long to wait for a connection.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where the control plane is.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct ServerArgs {
    /// Where the control plane is: `unix:PATH` or `HOST:PORT`.
    #[arg(
        long,
        env = "ISOBATH_XDS_ADDRESS",
        value_name = "ADDRESS",
        default_value = "unix:/run/isobath/xds.sock"
    )]
    pub xds_address: String,
    /// CA of the control plane's certificate, for an address that is not on this host.
    #[arg(long, env = "ISOBATH_XDS_CA_FILE", value_name = "PATH", requires_all = ["xds_cert_file", "xds_key_file"])]
    pub xds_ca_file: Option<PathBuf>,
    /// This client's certificate for the control plane.
    #[arg(
        long,
        env = "ISOBATH_XDS_CERT_FILE",
        value_name = "PATH",
        requires = "xds_ca_file"
    )]
    pub xds_cert_file: Option<PathBuf>,
    /// The key of that certificate.
    #[arg(
        long,
        env = "ISOBATH_XDS_KEY_FILE",
        value_name = "PATH",
        requires = "xds_ca_file"
    )]
    pub xds_key_file: Option<PathBuf>,
}

impl ServerArgs {
    /// Where it is, as the flags say.
    ///
    /// # Errors
    ///
    /// [`UsageError`] for an address that can't be read, or that needs TLS.
    pub fn server(&self) -> Result<XdsServer, UsageError> {
        let tls = match (&self.xds_ca_file, &self.xds_cert_file, &self.xds_key_file) {
            (Some(ca), Some(certificate), Some(key)) => Some(TlsFiles {
                ca: ca.clone(),
                certificate: certificate.clone(),
                key: key.clone(),
            }),
            _ => None,
        };
        XdsServer::parse(&self.xds_address, tls)
            .map_err(|sentence| UsageError::new(format!("--xds-address: {sentence}")))
    }

    /// A connection.
    ///
    /// # Errors
    ///
    /// If the flags are wrong, a file can't be read, or nobody is there.
    pub async fn connect(&self) -> anyhow::Result<Channel> {
        let channel = connect(self.server()?).await;
        channel.with_context(|| format!("can't reach the control plane at {}", self.xds_address))
    }
}

/// A connection to a control plane.
///
/// # Errors
///
/// If a file can't be read, or nobody is there.
pub async fn connect(server: XdsServer) -> anyhow::Result<Channel> {
    Ok(match server {
        XdsServer::Unix(path) => {
            let connector = tower::service_fn(move |_| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            });
            // The address is for the `:authority` header only.
            Endpoint::from_static("http://isobath")
                .connect_timeout(TIMEOUT)
                .connect_with_connector(connector)
                .await?
        }
        XdsServer::Tcp { host, port, tls } => {
            let host = if host.contains(':') {
                format!("[{host}]")
            } else {
                host
            };
            let scheme = if tls.is_some() { "https" } else { "http" };
            let mut endpoint = Endpoint::from_shared(format!("{scheme}://{host}:{port}"))?
                .connect_timeout(TIMEOUT)
                // A control plane that hangs, or a node that is gone, ends the stream.
                .http2_keep_alive_interval(Duration::from_secs(30))
                .keep_alive_timeout(Duration::from_secs(5));
            if let Some(files) = tls {
                endpoint = endpoint.tls_config(tls_config(&files)?)?;
            }
            endpoint.connect().await?
        }
    })
}

fn tls_config(files: &TlsFiles) -> anyhow::Result<ClientTlsConfig> {
    let read = |path: &PathBuf| {
        std::fs::read(path)
            .map_err(|error| UsageError::new(format!("can't read {}: {error}", path.display())))
    };
    Ok(ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(&files.ca)?))
        .identity(Identity::from_pem(
            read(&files.certificate)?,
            read(&files.key)?,
        )))
}
