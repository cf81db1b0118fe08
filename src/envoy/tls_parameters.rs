//! Versions, cipher suites and groups of TLS, of either side.

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use tls::tls_parameters::TlsProtocol;

use crate::model::{TlsParameters, TlsVersion};

/// `ours` are the suites where nobody asks for others.
pub(super) fn tls_parameters(asked: &TlsParameters, ours: &[&str]) -> tls::TlsParameters {
    let suites = asked.cipher_suites.iter().map(|suite| suite.as_str());
    let mut suites: Vec<String> = suites.map(str::to_owned).collect();
    if suites.is_empty() {
        suites = ours.iter().map(|suite| (*suite).to_owned()).collect();
    }
    let groups = asked.groups.iter().map(|group| group.as_str().to_owned());
    tls::TlsParameters {
        tls_minimum_protocol_version: version(asked.versions.minimum).into(),
        tls_maximum_protocol_version: version(asked.versions.maximum.max(asked.versions.minimum))
            .into(),
        cipher_suites: suites,
        ecdh_curves: groups.collect(),
        ..Default::default()
    }
}

const fn version(version: TlsVersion) -> TlsProtocol {
    match version {
        TlsVersion::V1_2 => TlsProtocol::TlSv12,
        TlsVersion::V1_3 => TlsProtocol::TlSv13,
    }
}
