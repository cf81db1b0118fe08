//! A certificate chain and its key, checked as Envoy would check them when their Secret is decoded.
//!
//! What Envoy refuses, it refuses with a NACK that can take a whole listener along, so everything that its
//! TLS context and BoringSSL look at when they load a pair is looked at here first: that the chain parses,
//! that the key is one of those that they serve, and that it is the leaf's. A pair that is past its time is no
//! error but data. No reason in here ever quotes a byte of what it is about.

mod key;
mod pem;
mod text;
mod trust;

pub use self::trust::{CaCertificates, RevocationLists};

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::asn1_rs::{Oid, oid};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use self::key::Leaf;
use super::{KeyAlgorithm, PrivateKeyPem, TlsCertificate};

impl TlsCertificate {
    /// Parses and checks a chain (leaf first) and the leaf's key, both PEM.
    ///
    /// Text around the PEM blocks, other blocks, CRLF, byte order marks, blocks that follow each other without a line
    /// end, and keys of the forms PKCS#1, PKCS#8 and SEC1 are fine: what each says is beyond doubt, and what Envoy gets
    /// is written anew.
    ///
    /// # Errors
    ///
    /// One sentence on why Envoy could not serve the pair. It quotes nothing of either.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, String> {
        // A certificate message above 100 KiB is refused by OpenSSL's and BoringSSL's clients.
        const CHAIN_LIMIT: usize = 100 * 1024;
        text::is_bytes_of_text("tls.crt", chain)?;
        text::is_bytes_of_text("tls.key", key)?;
        let in_lines = [text::blocks_in_lines(chain), text::blocks_in_lines(key)];
        let chain = in_lines[0].as_ref().map_or(chain, |text| text.as_slice());
        let key = in_lines[1].as_ref().map_or(key, |text| text.as_slice());
        let certificates = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| "tls.crt is not well-formed PEM".to_owned())?;
        if certificates.iter().map(|der| der.len()).sum::<usize>() > CHAIN_LIMIT {
            return Err(
                "the certificate chain is larger than 100 KiB, which no client accepts".into(),
            );
        }
        let mut leaf = None;
        for (index, der) in certificates.iter().enumerate() {
            let number = index + 1;
            let (rest, certificate) = X509Certificate::from_der(der)
                .map_err(|_| format!("certificate {number} of the chain can't be parsed"))?;
            if !rest.is_empty() {
                let reason =
                    format!("certificate {number} of the chain is followed by other bytes");
                return Err(reason);
            }
            leaf.get_or_insert(certificate);
        }
        let leaf = leaf.ok_or_else(|| text::no_certificate(chain, key))?;
        let key_algorithm = check_leaf(&leaf)?;
        let key = key::read(key)?;
        key::matches(&key, &Leaf::new(&leaf)?)?;
        let (not_before, not_after) = validity(&leaf)?;
        let names = names(&leaf)?;
        Ok(Self {
            chain: pem::certificates(&certificates),
            key: PrivateKeyPem::new(pem::private_key(&key)),
            key_algorithm,
            common_name: common_name(&leaf).filter(|_| names.is_empty()),
            names,
            not_before,
            not_after,
        })
    }
}

/// What Envoy (`ContextImpl`) and BoringSSL (`ssl_cert.cc`) ask of a leaf.
fn check_leaf(leaf: &X509Certificate<'_>) -> Result<KeyAlgorithm, String> {
    const TLS_FEATURE: Oid<'static> = oid!(1.3.6.1.5.5.7.1.24);
    if leaf
        .extensions()
        .iter()
        .any(|extension| extension.oid == TLS_FEATURE)
    {
        // RFC 7633. Envoy refuses it without a stapled OCSP response, which a Secret has no place for.
        return Err("the certificate demands a stapled OCSP response (must-staple)".into());
    }
    match Leaf::new(leaf)? {
        Leaf::Rsa { bits, .. } if bits < 2048 => Err(format!(
            "the certificate has an RSA key of {bits} bits, and Envoy serves 2048 or more"
        )),
        // BoringSSL's OPENSSL_RSA_MAX_MODULUS_BITS.
        Leaf::Rsa { bits, .. } if bits > 8192 => Err(format!(
            "the certificate has an RSA key of {bits} bits, and Envoy serves 8192 or fewer"
        )),
        Leaf::Rsa { .. } => Ok(KeyAlgorithm::Rsa),
        Leaf::Ecdsa { .. } => {
            let usage = leaf
                .key_usage()
                .map_err(|_| "the certificate's key usage can't be parsed")?;
            if usage.is_some_and(|usage| !usage.value.digital_signature()) {
                let reason = "the certificate's key usage does not allow digital signatures, which ECDSA needs";
                return Err(reason.into());
            }
            Ok(KeyAlgorithm::Ecdsa)
        }
    }
}

/// DNS names, sorted. The common name is none of them (RFC 9525, section 2).
fn names(leaf: &X509Certificate<'_>) -> Result<Vec<Arc<str>>, String> {
    let alternative = leaf
        .subject_alternative_name()
        .map_err(|_| "the certificate's subject alternative names can't be parsed")?;
    let mut names = Vec::new();
    for name in alternative
        .iter()
        .flat_map(|names| &names.value.general_names)
    {
        if let GeneralName::DNSName(name) = name {
            names.push(*name);
        }
    }
    let mut names: Vec<Arc<str>> = names
        .into_iter()
        .filter(|name| !name.is_empty())
        .map(|name| Arc::from(name.to_ascii_lowercase()))
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

fn common_name(leaf: &X509Certificate<'_>) -> Option<Arc<str>> {
    let common = leaf.subject().iter_common_name().next()?.as_str().ok()?;
    (!common.is_empty()).then(|| Arc::from(common.to_ascii_lowercase()))
}

fn validity(leaf: &X509Certificate<'_>) -> Result<(jiff::Timestamp, jiff::Timestamp), String> {
    let timestamp = |time: x509_parser::time::ASN1Time| {
        jiff::Timestamp::from_second(time.timestamp())
            .map_err(|_| "the certificate's validity is out of range".to_owned())
    };
    let validity = leaf.validity();
    Ok((
        timestamp(validity.not_before)?,
        timestamp(validity.not_after)?,
    ))
}

#[cfg(test)]
mod tests;
