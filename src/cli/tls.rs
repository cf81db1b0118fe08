//! Flags for TLS: what clients may use, whatever objects say. The names are Contour's.

use crate::model::{Alpn, CipherSuite, TlsSettings, TlsVersion};
use crate::translate::TlsOptions;

/// What TLS of clients may use.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// The least version of TLS. A host may ask for more.
    #[arg(
        long,
        env = "ISOBATH_TLS_MINIMUM_PROTOCOL_VERSION",
        value_name = "VERSION",
        default_value = "1.2"
    )]
    pub tls_minimum_protocol_version: Version,
    /// The most. A host may ask for less.
    #[arg(
        long,
        env = "ISOBATH_TLS_MAXIMUM_PROTOCOL_VERSION",
        value_name = "VERSION",
        default_value = "1.3"
    )]
    pub tls_maximum_protocol_version: Version,
    /// Cipher suites of TLS 1.2 by BoringSSL's names, the best first (comma-separated); without it those with forward secrecy and
    /// authenticated encryption.
    #[arg(
        long,
        env = "ISOBATH_TLS_CIPHER_SUITES",
        value_name = "NAMES",
        value_delimiter = ',',
        value_parser = CipherSuite::new
    )]
    pub tls_cipher_suites: Vec<CipherSuite>,
    /// The versions of HTTP that clients are offered in TLS over TCP (comma-separated). HTTP/3 is --envoy-http3's, whatever this says.
    #[arg(
        long,
        env = "ISOBATH_DEFAULT_HTTP_VERSIONS",
        value_name = "VERSIONS",
        value_delimiter = ',',
        default_value = "HTTP/1.1,HTTP/2",
        ignore_case = true
    )]
    pub default_http_versions: Vec<HttpVersion>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Version {
    /// TLS 1.2.
    #[value(name = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[value(name = "1.3")]
    V1_3,
}

impl From<Version> for TlsVersion {
    fn from(version: Version) -> Self {
        match version {
            Version::V1_2 => Self::V1_2,
            Version::V1_3 => Self::V1_3,
        }
    }
}

/// `--default-http-versions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[value(name = "HTTP/1.1")]
    Http1,
    /// HTTP/2.
    #[value(name = "HTTP/2")]
    Http2,
}

/// The versions, where one is the least and the other the most.
pub(super) fn versions(minimum: Version, maximum: Version) -> TlsSettings {
    TlsSettings {
        minimum: minimum.into(),
        maximum: maximum.into(),
    }
}

impl TlsArgs {
    /// For the translation.
    #[must_use]
    pub fn options(&self) -> TlsOptions {
        let has = |version| self.default_http_versions.contains(&version);
        TlsOptions {
            versions: versions(
                self.tls_minimum_protocol_version,
                self.tls_maximum_protocol_version,
            ),
            cipher_suites: self.tls_cipher_suites.clone(),
            alpn: match (has(HttpVersion::Http1), has(HttpVersion::Http2)) {
                (true, false) => Alpn::Http1,
                (false, true) => Alpn::Http2,
                _ => Alpn::Http2OrHttp1,
            },
        }
    }

    /// Why these flags do not go together.
    pub(super) fn check(&self) -> Result<(), String> {
        let versions = self.options().versions;
        match versions.minimum > versions.maximum {
            true => Err("--tls-minimum-protocol-version is above --tls-maximum-protocol-version: nobody could connect; take one of them back".to_owned()),
            false => Ok(()),
        }
    }
}
