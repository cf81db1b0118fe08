//! PEM as people make it: what is lost on the way into a Secret, and what stands there instead of what should.
//!
//! Nothing in here quotes a byte of it: the names of blocks are compared with a list.

use zeroize::Zeroizing;

const BEGIN: &[u8] = b"-----BEGIN ";
/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Blocks that are no certificate and no key that is served, the more telling ones first.
const OTHER_BLOCKS: [&str; 9] = [
    "CERTIFICATE REQUEST",
    "TRUSTED CERTIFICATE",
    "X509 CERTIFICATE",
    "PKCS7",
    "OPENSSH PRIVATE KEY",
    "DSA PRIVATE KEY",
    "PUBLIC KEY",
    "EC PARAMETERS",
    "DH PARAMETERS",
];

/// A PEM text of which each block begins a line. Parsers pass over a block that does not, in silence: one after a byte
/// order mark, the second of two files that were put together without a line end. So a chain would lose certificates.
///
/// `None` where it is so already.
pub(super) fn blocks_in_lines(pem: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let is_loose = |at: usize| at > 0 && !matches!(pem[at - 1], b'\n' | b'\r');
    if !blocks(pem).any(is_loose) {
        return None;
    }
    // Enough to begin with: text that grows leaves copies of itself behind.
    let mut text = Zeroizing::new(Vec::with_capacity(pem.len() + blocks(pem).count()));
    let mut from = 0;
    for at in blocks(pem) {
        let before = &pem[from..at];
        text.extend_from_slice(before.strip_suffix(BYTE_ORDER_MARK).unwrap_or(before));
        text.push(b'\n');
        from = at;
    }
    text.extend_from_slice(&pem[from..]);
    Some(text)
}

/// Where blocks begin.
fn blocks(pem: &[u8]) -> impl Iterator<Item = usize> {
    memchr::memmem::find_iter(pem, BEGIN)
}

/// What can't be PEM at all.
pub(super) fn is_bytes_of_text(name: &str, bytes: &[u8]) -> Result<(), String> {
    // What `-----BEGIN ` is in base64.
    const BEGIN_TWICE: &[u8] = b"LS0tLS1CRUdJTi";
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            Err(format!("{name} is UTF-16 text; save it as UTF-8"))
        }
        // A SEQUENCE with a length of two bytes.
        [0x30, 0x82, ..] => Err(format!(
            "{name} is DER, not PEM; `openssl` turns it with -inform der"
        )),
        bytes if bytes.starts_with(BEGIN_TWICE) => Err(format!(
            "{name} is base64 within base64: it was encoded twice"
        )),
        _ => Ok(()),
    }
}

/// Why there is no certificate.
pub(super) fn no_certificate(chain: &[u8], key: &[u8]) -> String {
    if has_key(chain) {
        return if has(key, "CERTIFICATE") {
            "tls.crt holds the key and tls.key the certificate: they are the wrong way round"
                .to_owned()
        } else {
            "tls.crt holds a private key and no certificate".to_owned()
        };
    }
    format!("tls.crt has no PEM block CERTIFICATE{}", but(chain))
}

/// Why there is no key.
pub(super) fn no_key(key: &[u8]) -> String {
    if has(key, "CERTIFICATE") {
        return "tls.key holds a certificate and no private key".to_owned();
    }
    format!("tls.key has no PEM block PRIVATE KEY{}", but(key))
}

fn but(pem: &[u8]) -> String {
    let other = OTHER_BLOCKS.iter().find(|block| has(pem, block));
    other.map_or_else(String::new, |block| format!(", but one of {block}"))
}

fn has(pem: &[u8], block: &str) -> bool {
    blocks(pem).any(|at| {
        let label = &pem[at + BEGIN.len()..];
        let rest = label.strip_prefix(block.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"-----"))
    })
}

fn has_key(pem: &[u8]) -> bool {
    ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"]
        .iter()
        .any(|block| has(pem, block))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_begins_a_line() {
        let check = |pem: &str, expected: &str| {
            let text = blocks_in_lines(pem.as_bytes());
            let text = text.as_ref().map_or(pem.as_bytes(), |text| text.as_slice());
            assert_eq!(String::from_utf8_lossy(text), expected, "{pem:?}");
        };
        let a = "-----BEGIN A-----\nx\n-----END A-----";
        check(a, a);
        check("", "");
        check(
            &format!("text\n{a}\n{a}\r\n"),
            &format!("text\n{a}\n{a}\r\n"),
        );
        check(&format!("\u{feff}{a}"), &format!("\n{a}"));
        check(&format!("{a}{a}"), &format!("\n{a}\n{a}"));
        check(&format!("{a}\n\u{feff}{a}"), &format!("\n{a}\n\n{a}"));
        check(&format!("  {a}"), &format!("  \n{a}"));
    }

    #[test]
    fn what_stands_there_instead_is_named() {
        let block = |label: &str| format!("-----BEGIN {label}-----\n");
        let chain =
            |chain: &str, key: &str| no_certificate(block(chain).as_bytes(), block(key).as_bytes());
        assert!(chain("EC PRIVATE KEY", "CERTIFICATE").ends_with("the wrong way round"));
        assert_eq!(
            chain("PRIVATE KEY", "PRIVATE KEY"),
            "tls.crt holds a private key and no certificate"
        );
        assert_eq!(
            chain("CERTIFICATE REQUEST", "PRIVATE KEY"),
            "tls.crt has no PEM block CERTIFICATE, but one of CERTIFICATE REQUEST"
        );
        assert_eq!(
            chain("MARKER", "MARKER"),
            "tls.crt has no PEM block CERTIFICATE"
        );
        assert_eq!(
            no_key(block("CERTIFICATE").as_bytes()),
            "tls.key holds a certificate and no private key"
        );
        assert_eq!(
            no_key(block("PUBLIC KEY").as_bytes()),
            "tls.key has no PEM block PRIVATE KEY, but one of PUBLIC KEY"
        );
        for (bytes, word) in [
            (&b"\xff\xfe-\0"[..], "UTF-16"),
            (b"\x30\x82\x01", "DER"),
            (b"LS0tLS1CRUdJTiBD", "twice"),
        ] {
            let why = is_bytes_of_text("tls.crt", bytes);
            assert!(why.is_err_and(|why| why.contains(word)), "{word}");
        }
        assert_eq!(is_bytes_of_text("tls.crt", b"-----BEGIN"), Ok(()));
    }
}
