//! Certificates that others are verified with, and lists of those that are revoked, checked as Envoy would check them.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::{pem, text};

/// Bytes of text: more than any public set of authorities has.
const LIMIT: usize = 1024 * 1024;

/// What canonical PEM of a certificate ends with.
const END: &str = "-----END CERTIFICATE-----\n";

/// The certificates of authorities, as canonical PEM, each once, in the order in which they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaCertificates(Arc<str>);

/// Revocation lists, as canonical PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationLists(Arc<str>);

impl CaCertificates {
    /// Parses and checks them. `place` is what holds them, for the sentence.
    ///
    /// # Errors
    ///
    /// One sentence on why Envoy would not take them. It quotes nothing of them.
    pub fn from_pem(place: &str, bytes: &[u8]) -> Result<Self, String> {
        authorities(place, bytes).map(Self)
    }

    /// These, and of others those that are not among them.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        let blocks =
            |pem: &'_ str| -> Vec<String> { pem.split_inclusive(END).map(str::to_owned).collect() };
        let mut all = blocks(self.as_pem());
        let own: BTreeSet<String> = all.iter().cloned().collect();
        all.extend(
            blocks(others.as_pem())
                .into_iter()
                .filter(|it| !own.contains(it)),
        );
        Self(all.concat().into())
    }

    /// Their size, in begun pieces of 64 KiB: what a bundle of several is bounded by, so that one that is renewed is no news to who
    /// adds them up.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.0.len().div_ceil(64 * 1024)
    }

    /// As PEM.
    #[must_use]
    pub fn as_pem(&self) -> &str {
        &self.0
    }
}

impl RevocationLists {
    /// Parses and checks them. `place` is what holds them, for the sentence.
    ///
    /// # Errors
    ///
    /// As [`CaCertificates::from_pem`].
    pub fn from_pem(place: &str, bytes: &[u8]) -> Result<Self, String> {
        revocations(place, bytes).map(Self)
    }

    /// As PEM.
    #[must_use]
    pub fn as_pem(&self) -> &str {
        &self.0
    }
}

fn authorities(place: &str, bytes: &[u8]) -> Result<Arc<str>, String> {
    is_bounded(place, bytes)?;
    text::is_bytes_of_text(place, bytes)?;
    let lines = text::blocks_in_lines(bytes);
    let bytes = lines.as_ref().map_or(bytes, |text| text.as_slice());
    let certificates = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| format!("{place} is not well-formed PEM"))?;
    for (index, der) in certificates.iter().enumerate() {
        if !matches!(X509Certificate::from_der(der), Ok(([], _))) {
            let number = index + 1;
            return Err(format!("certificate {number} of {place} can't be parsed"));
        }
    }
    let mut seen = BTreeSet::new();
    let once: Vec<CertificateDer<'_>> = certificates
        .into_iter()
        .filter(|der| seen.insert(der.to_vec()))
        .collect();
    if once.is_empty() {
        return Err(format!("{place} has no PEM block CERTIFICATE"));
    }
    Ok(pem::certificates(&once))
}

fn revocations(place: &str, bytes: &[u8]) -> Result<Arc<str>, String> {
    is_bounded(place, bytes)?;
    text::is_bytes_of_text(place, bytes)?;
    let lines = text::blocks_in_lines(bytes);
    let bytes = lines.as_ref().map_or(bytes, |text| text.as_slice());
    let lists = CertificateRevocationListDer::pem_slice_iter(bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| format!("{place} is not well-formed PEM"))?;
    for (index, der) in lists.iter().enumerate() {
        if !matches!(CertificateRevocationList::from_der(der), Ok(([], _))) {
            let number = index + 1;
            return Err(format!(
                "revocation list {number} of {place} can't be parsed"
            ));
        }
    }
    if lists.is_empty() {
        return Err(format!("{place} has no PEM block X509 CRL"));
    }
    Ok(pem::revocations(&lists))
}

/// Before any of it is decoded.
fn is_bounded(place: &str, bytes: &[u8]) -> Result<(), String> {
    match bytes.len() > LIMIT {
        true => Err(format!("{place} has more than 1 MiB")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
        IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
    };

    use super::*;

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn revocation(authority: &CertifiedIssuer<'static, KeyPair>) -> String {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2124, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(authority).unwrap().pem().unwrap()
    }

    #[test]
    fn each_certificate_stands_once_and_in_its_order() {
        let (first, second) = (authority().pem(), authority().pem());
        let messy = format!("# roots\n{second}{first}trailing{second}");
        let bundle = authorities("ca.crt", messy.as_bytes()).unwrap();
        assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
        let clean = authorities("ca.crt", bundle.as_bytes()).unwrap();
        assert_eq!(bundle, clean);
        let turned = authorities("ca.crt", format!("{first}{second}").as_bytes()).unwrap();
        assert_ne!(bundle, turned);
    }

    #[test]
    fn what_envoy_would_refuse_is_told_without_a_byte_of_it() {
        let good = authority();
        let broken = good.pem().replace("MI", "AA");
        for (bytes, expected) in [
            ("", "ca.crt has no PEM block CERTIFICATE"),
            ("secret", "ca.crt has no PEM block CERTIFICATE"),
            (&*broken, "certificate 1 of ca.crt can't be parsed"),
            (&revocation(&good), "ca.crt has no PEM block CERTIFICATE"),
        ] {
            assert_eq!(
                authorities("ca.crt", bytes.as_bytes()).unwrap_err(),
                expected
            );
        }
        let large = " ".repeat(LIMIT + 1);
        for refused in [
            authorities("ca.crt", large.as_bytes()),
            revocations("ca.crt", large.as_bytes()),
        ] {
            assert_eq!(refused.unwrap_err(), "ca.crt has more than 1 MiB");
        }
        for (bytes, expected) in [
            (String::new(), "ca.crl has no PEM block X509 CRL"),
            (good.pem(), "ca.crl has no PEM block X509 CRL"),
            (
                revocation(&good).replace("MI", "AA"),
                "revocation list 1 of ca.crl can't be parsed",
            ),
        ] {
            assert_eq!(
                revocations("ca.crl", bytes.as_bytes()).unwrap_err(),
                expected
            );
        }
        assert!(revocations("ca.crl", revocation(&good).as_bytes()).is_ok());
    }
}
