//! A certificate for TLS hosts whose Secret does not exist.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};

use crate::objects::{KeyAlgorithm, PrivateKeyPem, TlsCertificate};

/// How long it is valid: within what browsers accept of a leaf (398 days).
const DAYS: i64 = 365;

/// Makes a self-signed P-256 certificate for these hosts, valid from yesterday on. Whoever wants no warning brings a
/// Secret.
///
/// # Errors
///
/// One sentence, where a host can't be a DNS name.
pub fn self_signed(hosts: &BTreeSet<Arc<str>>) -> Result<TlsCertificate, String> {
    let names: Vec<String> = hosts.iter().map(|host| host.to_string()).collect();
    let sentence = |error: rcgen::Error| {
        format!(
            "no certificate can be made for {}: {error}",
            names.join(", ")
        )
    };
    let mut params = CertificateParams::new(names.clone()).map_err(sentence)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "isobath run: stand-in certificate");
    let now = Timestamp::now();
    let (not_before, not_after) = (midnight(now, -1), midnight(now, DAYS));
    let (year, month, day) = date(not_before);
    params.not_before = date_time_ymd(year, month, day);
    let (year, month, day) = date(not_after);
    params.not_after = date_time_ymd(year, month, day);
    let key = KeyPair::generate().map_err(sentence)?;
    let certificate = params.self_signed(&key).map_err(sentence)?;
    Ok(TlsCertificate {
        chain: certificate.pem().replace("\r\n", "\n").into(),
        key: PrivateKeyPem::new(key.serialize_pem().replace("\r\n", "\n")),
        key_algorithm: KeyAlgorithm::Ecdsa,
        names: hosts.iter().cloned().collect(),
        common_name: None,
        not_before,
        not_after,
    })
}

/// The start of the day, in UTC, `days` from now.
fn midnight(now: Timestamp, days: i64) -> Timestamp {
    let moved = now
        .checked_add(SignedDuration::from_hours(24 * days))
        .unwrap_or(now);
    let day = moved.as_second().div_euclid(86_400);
    Timestamp::from_second(day * 86_400).unwrap_or(moved)
}

fn date(time: Timestamp) -> (i32, u8, u8) {
    let date = time.to_zoned(TimeZone::UTC).date();
    (
        date.year().into(),
        date.month().unsigned_abs(),
        date.day().unsigned_abs(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use rustls::ServerConfig;
    use rustls::crypto::ring;
    use rustls_pki_types::pem::PemObject as _;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

    use super::*;

    #[test]
    fn rustls_serves_it_and_it_says_what_the_slim_type_says() {
        let hosts = BTreeSet::from(["a.localhost".into(), "*.b.localhost".into()]);
        let made = self_signed(&hosts).unwrap();
        let der = CertificateDer::from_pem_slice(made.chain.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(made.key.expose().as_bytes()).unwrap();
        ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![der.clone()], key)
            .expect("key and certificate belong together");

        let (_, parsed) = X509Certificate::from_der(&der).unwrap();
        let names = &parsed
            .subject_alternative_name()
            .unwrap()
            .unwrap()
            .value
            .general_names;
        let names: Vec<Arc<str>> = names
            .iter()
            .map(|name| match name {
                GeneralName::DNSName(name) => (*name).into(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(names, made.names);
        let validity = parsed.validity();
        assert_eq!(validity.not_before.timestamp(), made.not_before.as_second());
        assert_eq!(validity.not_after.timestamp(), made.not_after.as_second());
        assert!(validity.is_valid());
        let days = made.not_after.duration_since(made.not_before).as_hours() / 24;
        assert!(days <= 398, "{days}");
    }

    #[test]
    fn what_is_no_name_is_a_sentence() {
        let error = self_signed(&BTreeSet::from(["bäd".into()])).unwrap_err();
        assert!(
            error.starts_with("no certificate can be made for bäd: "),
            "{error}"
        );
    }
}
