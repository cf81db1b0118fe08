//! A certificate authority of the tests, and leaves as Secrets, as server configurations and to compare with.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;

use super::client::Trust;
use super::manifest::Manifest;

/// ring cannot make RSA keys; this one serves nothing but these tests.
const RSA_KEY: &str = include_str!("rsa.key.pem");

/// A certificate authority that lives as long as its test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Makes a new authority.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name = common_name("test authority");
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// An ECDSA certificate for these names.
    pub(crate) fn leaf(&self, names: &[&str]) -> Leaf {
        self.sign(names, KeyPair::generate().unwrap())
    }

    /// An RSA certificate for these names. All of them share one key.
    pub(crate) fn rsa_leaf(&self, names: &[&str]) -> Leaf {
        self.sign(names, KeyPair::from_pem(RSA_KEY).unwrap())
    }

    fn sign(&self, names: &[&str], key: KeyPair) -> Leaf {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = common_name("test leaf");
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Leaf {
            der: certificate.der().clone(),
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// A client that believes this authority and nobody else.
    pub(crate) fn trust(&self) -> Trust {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Trust::Roots(Arc::new(roots))
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// The certificate, to compare with what a server presents.
    pub(crate) der: CertificateDer<'static>,
    /// It as PEM.
    pub(crate) chain: String,
    /// Its key as PEM.
    pub(crate) key: String,
}

impl Leaf {
    /// A Secret of type `kubernetes.io/tls` in namespace `default`.
    pub(crate) fn secret(&self, name: &str) -> Manifest {
        self.secret_in("default", name)
    }

    /// A Secret of type `kubernetes.io/tls`.
    pub(crate) fn secret_in(&self, namespace: &str, name: &str) -> Manifest {
        Manifest(json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"namespace": namespace, "name": name},
            "data": {"tls.crt": STANDARD.encode(&self.chain), "tls.key": STANDARD.encode(&self.key)},
        }))
    }

    /// A TLS server that presents it.
    pub(crate) fn server_config(&self, alpn: &[&str]) -> rustls::ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}
