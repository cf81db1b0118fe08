//! Pairs and the verdict on them. The files come from `openssl`, as Secrets in clusters do; the verdicts were
//! compared with those of Envoy 1.40 on the same files (`envoy --mode validate`). Isobath refuses two
//! that Envoy loads: Ed25519, which it then offers to no client, and P-521 without the public part.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use rustls_pki_types::PrivateKeyDer;

use super::*;

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("../../../tests/data/certificates/", $name))
    };
}

fn check(chain: &str, key: &str, expected: Result<KeyAlgorithm, &str>) {
    let result = TlsCertificate::from_pem(chain.as_bytes(), key.as_bytes());
    match (&result, expected) {
        (Ok(pair), Ok(algorithm)) => assert_eq!(pair.key_algorithm, algorithm),
        (Err(reason), Err(expected)) => assert_eq!(reason, expected),
        _ => panic!("{result:?}, expected {expected:?}"),
    }
    let seen = format!("{result:?} {:?}", result.as_ref().err());
    // The key carries its public part, which the chain may show.
    for line in key
        .lines()
        .filter(|line| line.len() > 20 && !line.starts_with("-----") && !chain.contains(line))
    {
        assert!(!seen.contains(line), "a line of the key shows");
    }
}

#[test]
fn pairs_that_envoy_serves() {
    use KeyAlgorithm::{Ecdsa, Rsa};
    let p256 = file!("p256.crt");
    check(file!("rsa2048.crt"), file!("rsa2048.key"), Ok(Rsa));
    check(file!("rsa2048.crt"), file!("rsa2048.pkcs1.key"), Ok(Rsa));
    check(file!("rsa2048-e3.crt"), file!("rsa2048-e3.key"), Ok(Rsa));
    check(p256, file!("p256.key"), Ok(Ecdsa));
    check(p256, file!("p256.sec1.key"), Ok(Ecdsa));
    check(p256, file!("p256.parameters.key"), Ok(Ecdsa));
    check(p256, file!("p256.bare.key"), Ok(Ecdsa));
    check(file!("p384.crt"), file!("p384.key"), Ok(Ecdsa));
    check(file!("p521.crt"), file!("p521.key"), Ok(Ecdsa));
    check(file!("p256.cn.crt"), file!("p256.key"), Ok(Ecdsa));

    let windows = |text: &str| text.replace('\n', "\r\n");
    check(&windows(p256), &windows(file!("p256.key")), Ok(Ecdsa));
    let with_text = format!("subject=CN = p256\nissuer=x\n\n{p256}\nthe end");
    let with_bag = format!("Bag Attributes\n    friendlyName: x\n{}", file!("p256.key"));
    check(&with_text, &with_bag, Ok(Ecdsa));
    // Both in one file, as some tools write them: the key does not get into the chain.
    let both = format!("{}{p256}", file!("p256.key"));
    check(&both, &both, Ok(Ecdsa));
    let pair = TlsCertificate::from_pem(both.as_bytes(), both.as_bytes()).unwrap();
    assert!(!pair.chain.contains("PRIVATE"));
    let chain = format!("{p256}{}", file!("rsa2048.crt"));
    check(&chain, file!("p256.key"), Ok(Ecdsa));

    // What editors and `cat` do to files: the same pair, and no certificate of the chain is lost.
    let clean = TlsCertificate::from_pem(chain.as_bytes(), file!("p256.key").as_bytes()).unwrap();
    let mark = |text: &str| format!("\u{feff}{text}");
    let marked = mark(p256) + &mark(file!("rsa2048.crt"));
    let glued = format!("{}{}", p256.trim_end(), file!("rsa2048.crt"));
    for chain in [marked, glued] {
        let key = mark(file!("p256.key"));
        let pair = TlsCertificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(pair, clean);
    }
}

#[test]
fn pairs_that_envoy_does_not_serve() {
    let mismatch = "the private key does not belong to the first certificate of the chain";
    let p256 = file!("p256.crt");
    let p256_key = file!("p256.key");
    check(
        file!("rsa1024.crt"),
        file!("rsa1024.key"),
        Err("the certificate has an RSA key of 1024 bits, and Envoy serves 2048 or more"),
    );
    check(
        file!("ed25519.crt"),
        file!("ed25519.key"),
        Err("the certificate has an Ed25519 key, which Envoy does not serve"),
    );
    check(
        p256,
        file!("ed25519.key"),
        Err("the private key is an Ed25519 key, which Envoy does not serve"),
    );
    check(
        file!("secp256k1.crt"),
        file!("secp256k1.key"),
        Err("the certificate's curve is none that Envoy serves (P-256, P-384, P-521)"),
    );
    check(
        p256,
        file!("secp256k1.key"),
        Err("the private key's curve is none that Envoy serves (P-256, P-384, P-521)"),
    );
    check(
        file!("p521.crt"),
        file!("p521.bare.key"),
        Err("a P-521 private key without its public part can't be checked"),
    );
    check(
        file!("p256.staple.crt"),
        p256_key,
        Err("the certificate demands a stapled OCSP response (must-staple)"),
    );
    check(
        file!("p256.agreement.crt"),
        p256_key,
        Err("the certificate's key usage does not allow digital signatures, which ECDSA needs"),
    );
    let encrypted = Err("tls.key is encrypted, and there is nobody to ask for its password");
    check(p256, file!("p256.encrypted.key"), encrypted);
    check(
        file!("rsa2048.crt"),
        file!("rsa2048.encrypted.key"),
        encrypted,
    );

    for (chain, key) in [
        (p256, file!("p384.key")),
        (file!("p384.crt"), p256_key),
        (file!("p521.crt"), p256_key),
        (p256, file!("rsa2048.key")),
        (file!("rsa2048.crt"), p256_key),
        (file!("rsa2048.crt"), file!("rsa2048-e3.key")),
        (file!("rsa2048.crt"), file!("rsa1024.key")),
    ] {
        check(chain, key, Err(mismatch));
    }
    let wrong_order = format!("{}{p256}", file!("rsa2048.crt"));
    check(&wrong_order, p256_key, Err(mismatch));
    let other = rcgen::KeyPair::generate().unwrap();
    check(p256, &other.serialize_pem(), Err(mismatch));
}

#[test]
fn what_is_no_pair() {
    let (chain, key) = (file!("p256.crt"), file!("p256.key"));
    let no_chain = Err("tls.crt has no PEM block CERTIFICATE");
    check("", key, no_chain);
    check("hello", key, no_chain);
    check(
        key,
        key,
        Err("tls.crt holds a private key and no certificate"),
    );
    let swapped = "tls.crt holds the key and tls.key the certificate: they are the wrong way round";
    check(key, chain, Err(swapped));
    let no_key = Err("tls.key has no PEM block PRIVATE KEY");
    check(chain, "", no_key);
    check(
        chain,
        chain,
        Err("tls.key holds a certificate and no private key"),
    );
    let cut = &chain[..chain.len() / 2];
    check(cut, key, Err("tls.crt is not well-formed PEM"));
    check(
        chain,
        &key[..key.len() / 2],
        Err("tls.key is not well-formed PEM"),
    );
    let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    check(
        no_der,
        key,
        Err("certificate 1 of the chain can't be parsed"),
    );
    check(
        &format!("{chain}{no_der}"),
        key,
        Err("certificate 2 of the chain can't be parsed"),
    );
    for label in ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"] {
        let no_der = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        let result = TlsCertificate::from_pem(chain.as_bytes(), no_der.as_bytes());
        assert!(result.is_err());
    }
    check(
        &chain.repeat(300),
        key,
        Err("the certificate chain is larger than 100 KiB, which no client accepts"),
    );
    let padded = format!("{}{key}", "#".repeat(65 * 1024));
    check(chain, &padded, Err("tls.key is larger than 64 KiB"));
}

#[test]
fn an_altered_rsa_key_contradicts_itself() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let body: String = file!("rsa2048.pkcs1.key")
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let mut der = STANDARD.decode(body).unwrap();
    // Within the first prime, well behind modulus and exponents.
    let position = 600;
    der[position] ^= 0x10;
    let key = PrivateKeyDer::Pkcs1(der.into());
    check(
        file!("rsa2048.crt"),
        &pem::private_key(&key),
        Err("the private key contradicts itself"),
    );
}

#[test]
fn names_and_times() {
    let pair = |chain: &str, key: &str| {
        TlsCertificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
    };
    let names = |pair: &TlsCertificate| {
        pair.names
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };

    let rsa = pair(file!("rsa2048.crt"), file!("rsa2048.key"));
    assert_eq!(
        names(&rsa),
        ["*.rsa2048.example.com", "rsa2048.example.com"]
    );
    let common = pair(file!("p256.cn.crt"), file!("p256.key"));
    assert!(names(&common).is_empty());
    assert_eq!(common.common_name.as_deref(), Some("common.example.com"));
    assert_eq!(rsa.common_name, None);

    let mut parameters =
        rcgen::CertificateParams::new(["b.example.com".into(), "A.example.com".into()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2001, 2, 3);
    parameters.not_after = rcgen::date_time_ymd(2002, 3, 4);
    let key = rcgen::KeyPair::generate().unwrap();
    let expired = parameters.self_signed(&key).unwrap();
    let expired = pair(&expired.pem(), &key.serialize_pem());
    assert_eq!(names(&expired), ["a.example.com", "b.example.com"]);
    assert_eq!(expired.not_before.to_string(), "2001-02-03T00:00:00Z");
    assert_eq!(expired.not_after.to_string(), "2002-03-04T00:00:00Z");
}

#[test]
fn the_text_is_canonical() {
    let plain = (file!("p256.crt"), file!("p256.key"));
    let a = TlsCertificate::from_pem(plain.0.as_bytes(), plain.1.as_bytes()).unwrap();
    let crlf = (
        plain.0.replace('\n', "\r\n"),
        format!("text\n{}", plain.1.replace('\n', " \r\n")),
    );
    let b = TlsCertificate::from_pem(crlf.0.as_bytes(), crlf.1.as_bytes()).unwrap();
    assert_eq!(a, b);
    // openssl writes the same form.
    assert_eq!(&*a.chain, plain.0);
    assert_eq!(a.key.expose(), plain.1);
    assert_eq!(format!("{:?}", a.key), "PrivateKeyPem(redacted)");
}
