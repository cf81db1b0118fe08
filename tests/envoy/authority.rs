//! A certificate authority of a test, with what the model has of it.

use isobath::model::{Certificate, TrustBundle, Validity};
use isobath::objects::{CaCertificates, KeyAlgorithm, Kind, PrivateKeyPem, RevocationLists};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::client::Identity;
use crate::fixture::source;

/// It lives as long as its test.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub struct Leaf {
    pub chain: String,
    pub key: String,
}

fn of_ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = common_name(name);
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(of_ca(name), key).unwrap())
    }

    /// One that this one vouches for.
    pub fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(of_ca(name), key, &self.0).unwrap())
    }

    /// For DNS names, or URIs where they have a colon, or addresses.
    pub fn leaf(&self, serial: u64, names: &[&str]) -> Leaf {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(names.first().unwrap_or(&"leaf"));
        params.serial_number = Some(SerialNumber::from(serial));
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.parse() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) if name.contains(':') => SanType::URI((*name).try_into().unwrap()),
                Err(_) => SanType::DnsName((*name).try_into().unwrap()),
            })
            .collect();
        let key = KeyPair::generate().unwrap();
        Leaf {
            chain: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A list of the serial numbers that it has revoked.
    pub fn revokes(&self, serials: &[u64]) -> String {
        let revoked_certs = serials
            .iter()
            .map(|serial| RevokedCertParams {
                serial_number: SerialNumber::from(*serial),
                revocation_time: date_time_ymd(2024, 1, 1),
                reason_code: None,
                invalidity_date: None,
            })
            .collect();
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2124, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

/// These authorities, and where it is not empty what they have revoked.
pub fn bundle(name: &str, authorities: &[&Authority], revocations: &str) -> TrustBundle {
    let pem: String = authorities
        .iter()
        .map(|authority| authority.pem())
        .collect();
    let lists = (!revocations.is_empty())
        .then(|| RevocationLists::from_pem("ca.crl", revocations.as_bytes()).unwrap());
    TrustBundle {
        name: name.into(),
        certificates: CaCertificates::from_pem("ca.crt", pem.as_bytes()).unwrap(),
        revocations: lists,
        source: source(Kind::Secret, name),
        revocations_source: None,
    }
}

impl Leaf {
    pub fn model(&self, name: &str) -> Certificate {
        Certificate {
            name: name.into(),
            chain: self.chain.as_str().into(),
            key: PrivateKeyPem::new(self.key.clone()),
            key_algorithm: KeyAlgorithm::Ecdsa,
            validity: Validity {
                not_before: jiff::Timestamp::UNIX_EPOCH,
                not_after: jiff::Timestamp::MAX,
            },
            source: source(Kind::Secret, name),
        }
    }

    pub fn parts(&self) -> Identity {
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        (chain.map(Result::unwrap).collect(), key)
    }
}
