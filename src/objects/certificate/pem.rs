//! Canonical PEM (RFC 7468): one label, 64 columns, LF, nothing around it. Same bytes, same text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The chain, one block after the other.
pub(super) fn certificates(chain: &[CertificateDer<'_>]) -> Arc<str> {
    let mut text = String::new();
    for der in chain {
        block(&mut text, "CERTIFICATE", der);
    }
    Arc::from(text)
}

/// Revocation lists, one block after the other.
pub(super) fn revocations(lists: &[CertificateRevocationListDer<'_>]) -> Arc<str> {
    let mut text = String::new();
    for der in lists {
        block(&mut text, "X509 CRL", der);
    }
    Arc::from(text)
}

/// The key, in the form that it came in.
pub(super) fn private_key(key: &PrivateKeyDer<'_>) -> Zeroizing<String> {
    let label = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    let der = key.secret_der();
    // Enough to begin with: text that grows leaves copies of itself behind.
    let mut text = Zeroizing::new(String::with_capacity(der.len() * 3 / 2 + 128));
    block(&mut text, label, der);
    text
}

fn block(text: &mut String, label: &str, der: &[u8]) {
    const BYTES_OF_A_LINE: usize = 48;
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for line in der.chunks(BYTES_OF_A_LINE) {
        STANDARD.encode_string(line, text);
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
}
