//! A certificate authority of the tests, and leaves as Secrets, as server configurations and to compare with.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoClientAuth;
use rustls::server::danger::ClientCertVerifier;
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
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
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

    /// One that lives for an hour, up to this moment.
    pub(crate) fn leaf_until(&self, names: &[&str], ends: jiff::Timestamp) -> Leaf {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = common_name("test leaf");
        let ends: std::time::SystemTime = ends.into();
        params.not_before = (ends - std::time::Duration::from_secs(3600)).into();
        params.not_after = ends.into();
        self.certify(&params, &KeyPair::generate().unwrap())
    }

    fn sign(&self, names: &[&str], key: KeyPair) -> Leaf {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = common_name("test leaf");
        self.certify(&params, &key)
    }

    /// A certificate of a client: its name, the number that it may be revoked by, and a URI beside a DNS name.
    pub(crate) fn client(&self, name: &str, serial: u64, dns: &str, uri: &str) -> Leaf {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(name);
        params.serial_number = Some(SerialNumber::from(serial));
        params.subject_alt_names = vec![
            SanType::DnsName(dns.try_into().unwrap()),
            SanType::URI(uri.try_into().unwrap()),
        ];
        self.certify(&params, &KeyPair::generate().unwrap())
    }

    fn certify(&self, params: &CertificateParams, key: &KeyPair) -> Leaf {
        let certificate = params.signed_by(key, &self.0).unwrap();
        Leaf {
            der: certificate.der().clone(),
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// It as PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A list of the serial numbers that it has revoked, as PEM.
    pub(crate) fn revokes(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2124, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }

    /// A client that believes this authority and nobody else.
    pub(crate) fn trust(&self) -> Trust {
        Trust::Roots(self.roots())
    }

    /// It as the only one that is believed.
    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Arc::new(roots)
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
        self.server_config_for(alpn, Arc::new(NoClientAuth))
    }

    /// The same, which asks clients for certificates.
    pub(crate) fn server_config_for(
        &self,
        alpn: &[&str],
        clients: Arc<dyn ClientCertVerifier>,
    ) -> rustls::ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![self.der.clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}
