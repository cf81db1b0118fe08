//! `isobath bootstrap`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::envoy::bootstrap::{AUTHZ_SOCKET, Bootstrap, TlsFiles, XdsServer};

/// Writes Envoy's bootstrap: JSON to a path that ends in `.json`, else YAML.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// The file to write, `-` for standard output.
    #[arg(default_value = "-")]
    path: PathBuf,

    /// Where Envoy finds the control plane: `unix:PATH` or `HOST:PORT`.
    #[arg(
        long,
        env = "ISOBATH_XDS_ADDRESS",
        default_value = "unix:/run/isobath/xds.sock"
    )]
    xds_address: String,

    /// The Unix socket of Envoy's admin interface.
    #[arg(
        long,
        env = "ISOBATH_ADMIN_SOCKET",
        default_value = "/run/isobath/admin.sock"
    )]
    admin_socket: PathBuf,

    /// The Unix socket of `isobath authz`.
    #[arg(long, env = "ISOBATH_AUTHZ_SOCKET", default_value = AUTHZ_SOCKET)]
    authz_socket: PathBuf,

    /// CA of the control plane's certificate, for an address that is not on this host.
    #[arg(long, env = "ISOBATH_XDS_CA_FILE", requires_all = ["xds_cert_file", "xds_key_file"])]
    xds_ca_file: Option<PathBuf>,

    /// Envoy's certificate for the control plane.
    #[arg(long, env = "ISOBATH_XDS_CERT_FILE", requires = "xds_ca_file")]
    xds_cert_file: Option<PathBuf>,

    /// The key of that certificate.
    #[arg(long, env = "ISOBATH_XDS_KEY_FILE", requires = "xds_ca_file")]
    xds_key_file: Option<PathBuf>,

    /// Envoy's name in the control plane's log.
    #[arg(long, env = "ISOBATH_NODE_ID", default_value = "envoy")]
    node_id: String,

    /// The name of Envoy's group.
    #[arg(long, env = "ISOBATH_NODE_CLUSTER", default_value = "isobath")]
    node_cluster: String,

    /// Bytes of memory near which Envoy frees caches and then refuses requests; without it nothing watches.
    #[arg(long, env = "ISOBATH_ENVOY_MAX_HEAP_BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    envoy_max_heap_bytes: Option<u64>,
}

impl Args {
    /// Writes the document.
    ///
    /// # Errors
    ///
    /// An address that can't be read or needs TLS, and a file that can't be written: one sentence each.
    pub fn run(&self) -> Result<()> {
        let document = self.render()?;
        if self.path == Path::new("-") {
            return std::io::stdout()
                .write_all(document.as_bytes())
                .context("can't write to standard output");
        }
        std::fs::write(&self.path, document)
            .with_context(|| format!("can't write {}", self.path.display()))
    }

    /// The document as text, in the form that the path asks for.
    ///
    /// # Errors
    ///
    /// As [`Self::run`], but for writing.
    pub fn render(&self) -> Result<String> {
        let document = self.bootstrap()?.to_json();
        if self.path.extension().is_some_and(|suffix| suffix == "json") {
            Ok(serde_json::to_string_pretty(&document)? + "\n")
        } else {
            Ok(serde_saphyr::to_string(&document)?)
        }
    }

    fn bootstrap(&self) -> Result<Bootstrap> {
        let tls = match (&self.xds_ca_file, &self.xds_cert_file, &self.xds_key_file) {
            (Some(ca), Some(certificate), Some(key)) => Some(TlsFiles {
                ca: ca.clone(),
                certificate: certificate.clone(),
                key: key.clone(),
            }),
            _ => None,
        };
        let xds = XdsServer::parse(&self.xds_address, tls).map_err(anyhow::Error::msg)?;
        if self.admin_socket.as_os_str().is_empty() {
            bail!("Envoy's admin interface needs the path of a socket");
        }
        Ok(Bootstrap {
            xds,
            admin_socket: self.admin_socket.clone(),
            authz_socket: self.authz_socket.clone(),
            node_id: self.node_id.clone(),
            node_cluster: self.node_cluster.clone(),
            max_heap_bytes: self.envoy_max_heap_bytes,
        })
    }
}
