//! Private keys: which of them Envoy serves, and whether one belongs to a certificate.
//!
//! The proof is arithmetic where ring can do it: the key pair is built from the private key and the
//! certificate's public one. ring knows neither P-521 nor RSA above 4096 bits or with a public exponent below
//! 65537, all of which BoringSSL serves; there the public parts that the key carries are compared.

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, RsaKeyPair,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::asn1_rs::{Any, BitString, FromDer, Integer, Oid, Tag, oid};
use x509_parser::prelude::X509Certificate;
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

use super::text;

const RSA: Oid<'static> = oid!(1.2.840.113549.1.1.1);
const EC: Oid<'static> = oid!(1.2.840.10045.2.1);
const ED25519: Oid<'static> = oid!(1.3.101.112);

/// The curves that Envoy serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    fn from_oid(oid: &Oid<'_>) -> Option<Self> {
        if *oid == oid!(1.2.840.10045.3.1.7) {
            Some(Self::P256)
        } else if *oid == oid!(1.3.132.0.34) {
            Some(Self::P384)
        } else if *oid == oid!(1.3.132.0.35) {
            Some(Self::P521)
        } else {
            None
        }
    }

    /// The bytes of a private key.
    const fn scalar_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// The public key of a leaf.
pub(super) enum Leaf {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
        /// The length of the modulus.
        bits: usize,
    },
    Ecdsa {
        curve: Curve,
        /// The uncompressed point.
        point: Vec<u8>,
    },
}

impl Leaf {
    /// Reads it out of the certificate, or says why Envoy serves no such key.
    pub(super) fn new(leaf: &X509Certificate<'_>) -> Result<Self, String> {
        const UNSUPPORTED: &str = "the certificate's key is of a kind that Envoy does not serve (it serves RSA and ECDSA)";
        let spki = leaf.public_key();
        let algorithm = spki.algorithm.oid();
        if *algorithm == ED25519 {
            return Err("the certificate has an Ed25519 key, which Envoy does not serve".into());
        }
        if *algorithm != RSA && *algorithm != EC {
            return Err(UNSUPPORTED.into());
        }
        match spki.parsed() {
            Ok(PublicKey::RSA(key)) => {
                let modulus = trim(key.modulus).to_vec();
                Ok(Self::Rsa {
                    bits: bits(&modulus),
                    modulus,
                    exponent: trim(key.exponent).to_vec(),
                })
            }
            Ok(PublicKey::EC(point)) => {
                let parameters = spki.algorithm.parameters();
                let curve = parameters
                    .and_then(|parameters| parameters.as_oid().ok())
                    .and_then(|oid| Curve::from_oid(&oid))
                    .ok_or(
                        "the certificate's curve is none that Envoy serves (P-256, P-384, P-521)",
                    )?;
                if point.data().first() != Some(&0x04) {
                    return Err("the certificate's public key is not an uncompressed point".into());
                }
                Ok(Self::Ecdsa {
                    curve,
                    point: point.data().to_vec(),
                })
            }
            _ => Err(UNSUPPORTED.into()),
        }
    }
}

/// Takes the first private key of a PEM text.
pub(super) fn read(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    // The key of an RSA certificate of 8192 bits has 4.7 KiB.
    const LIMIT: usize = 64 * 1024;
    if pem.len() > LIMIT {
        return Err("tls.key is larger than 64 KiB".into());
    }
    let contains = |needle: &[u8]| pem.windows(needle.len()).any(|window| window == needle);
    if contains(b"BEGIN ENCRYPTED PRIVATE KEY") || contains(b"Proc-Type: 4,ENCRYPTED") {
        return Err("tls.key is encrypted, and there is nobody to ask for its password".into());
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        rustls_pki_types::pem::Error::NoItemsFound => text::no_key(pem),
        _ => "tls.key is not well-formed PEM".to_owned(),
    })
}

/// Whether the key is the leaf's.
pub(super) fn matches(key: &PrivateKeyDer<'_>, leaf: &Leaf) -> Result<(), String> {
    const MISMATCH: &str = "the private key does not belong to the first certificate of the chain";
    const BROKEN: &str = "the private key can't be parsed";
    let key = Private::parse(key)?.ok_or(BROKEN)?;
    match (key, leaf) {
        (
            Private::Rsa(pkcs1),
            Leaf::Rsa {
                modulus,
                exponent,
                bits,
            },
        ) => {
            let (key_modulus, key_exponent) = rsa_public(&pkcs1).ok_or(BROKEN)?;
            if key_modulus != *modulus || key_exponent != *exponent {
                return Err(MISMATCH.into());
            }
            let usual_exponent = match exponent.as_slice() {
                [high, middle, low] => [*high, *middle, *low] >= [1, 0, 1],
                other => other.len() == 4,
            };
            if *bits <= 4096 && usual_exponent && RsaKeyPair::from_der(&pkcs1).is_err() {
                return Err("the private key contradicts itself".into());
            }
            Ok(())
        }
        (
            Private::Ec {
                curve,
                scalar,
                point: own,
            },
            Leaf::Ecdsa {
                curve: wanted,
                point,
            },
        ) => {
            if curve.is_some_and(|curve| curve != *wanted) {
                return Err(MISMATCH.into());
            }
            if curve.is_none() {
                return Err("the private key does not say on which curve it is".into());
            }
            let algorithm = match wanted {
                Curve::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
                Curve::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
                Curve::P521 => {
                    let own =
                        own.ok_or("a P-521 private key without its public part can't be checked")?;
                    return if own == *point {
                        Ok(())
                    } else {
                        Err(MISMATCH.into())
                    };
                }
            };
            let scalar = pad(&scalar, wanted.scalar_len()).ok_or(BROKEN)?;
            EcdsaKeyPair::from_private_key_and_public_key(
                algorithm,
                &scalar,
                point,
                &SystemRandom::new(),
            )
            .map_err(|_| MISMATCH)?;
            if own.is_some_and(|own| own != *point) {
                return Err("the private key contradicts itself".into());
            }
            Ok(())
        }
        _ => Err(MISMATCH.into()),
    }
}

/// A private key out of its wrapping.
enum Private {
    /// The DER of a PKCS#1 `RSAPrivateKey`.
    Rsa(Zeroizing<Vec<u8>>),
    /// The parts of a SEC1 `ECPrivateKey`.
    Ec {
        curve: Option<Curve>,
        scalar: Zeroizing<Vec<u8>>,
        point: Option<Vec<u8>>,
    },
}

impl Private {
    /// `Ok(None)` is DER that makes no sense.
    fn parse(key: &PrivateKeyDer<'_>) -> Result<Option<Self>, String> {
        match key {
            PrivateKeyDer::Pkcs1(der) => {
                let der = Zeroizing::new(der.secret_pkcs1_der().to_vec());
                Ok(Some(Self::Rsa(der)))
            }
            PrivateKeyDer::Sec1(der) => sec1(der.secret_sec1_der(), None),
            PrivateKeyDer::Pkcs8(der) => Self::pkcs8(der.secret_pkcs8_der()),
            _ => Ok(None),
        }
    }

    /// RFC 5208 and 5958: version, algorithm, the key as an octet string, and more that nobody needs.
    fn pkcs8(der: &[u8]) -> Result<Option<Self>, String> {
        let Some((oid, parameters, inner)) = pkcs8_parts(der) else {
            return Ok(None);
        };
        if oid == RSA {
            Ok(Some(Self::Rsa(Zeroizing::new(inner.to_vec()))))
        } else if oid == EC {
            let curve = parameters
                .and_then(|any| any.oid().ok())
                .and_then(|oid| Curve::from_oid(&oid))
                .ok_or(OTHER_CURVE)?;
            sec1(inner, Some(curve))
        } else if oid == ED25519 {
            Err("the private key is an Ed25519 key, which Envoy does not serve".into())
        } else {
            Err(
                "the private key is of a kind that Envoy does not serve (it serves RSA and ECDSA)"
                    .into(),
            )
        }
    }
}

const OTHER_CURVE: &str = "the private key's curve is none that Envoy serves (P-256, P-384, P-521)";

/// RFC 5915: version, scalar, `[0]` the curve, `[1]` the public key.
fn sec1(der: &[u8], outer: Option<Curve>) -> Result<Option<Private>, String> {
    let Some((scalar, parameters, point)) = sec1_parts(der) else {
        return Ok(None);
    };
    let inner = match parameters {
        None => None,
        Some(oid) => Some(Curve::from_oid(&oid).ok_or(OTHER_CURVE)?),
    };
    if let (Some(outer), Some(inner)) = (outer, inner)
        && outer != inner
    {
        return Err("the private key contradicts itself".into());
    }
    Ok(Some(Private::Ec {
        curve: outer.or(inner),
        scalar: Zeroizing::new(scalar.to_vec()),
        point,
    }))
}

fn pkcs8_parts(der: &[u8]) -> Option<(Oid<'_>, Option<Any<'_>>, &[u8])> {
    let content = sequence(der)?;
    let (rest, _version) = Integer::from_der(content).ok()?;
    let (rest, algorithm) = Any::from_der(rest).ok()?;
    algorithm.tag().assert_eq(Tag::Sequence).ok()?;
    let (parameters, oid) = Oid::from_der(algorithm.data).ok()?;
    let parameters = Any::from_der(parameters).ok().map(|(_, any)| any);
    let (_, key) = Any::from_der(rest).ok()?;
    key.tag().assert_eq(Tag::OctetString).ok()?;
    Some((oid, parameters, key.data))
}

type Sec1<'a> = (&'a [u8], Option<Oid<'a>>, Option<Vec<u8>>);

fn sec1_parts(der: &[u8]) -> Option<Sec1<'_>> {
    let content = sequence(der)?;
    let (rest, _version) = Integer::from_der(content).ok()?;
    let (mut rest, scalar) = Any::from_der(rest).ok()?;
    scalar.tag().assert_eq(Tag::OctetString).ok()?;
    let mut parameters = None;
    let mut point = None;
    while !rest.is_empty() {
        let (after, field) = Any::from_der(rest).ok()?;
        rest = after;
        match field.tag().0 {
            0 => parameters = Some(Oid::from_der(field.data).ok()?.1),
            1 => point = Some(BitString::from_der(field.data).ok()?.1.data.to_vec()),
            _ => return None,
        }
    }
    Some((scalar.data, parameters, point))
}

/// Modulus and public exponent of a PKCS#1 `RSAPrivateKey`.
fn rsa_public(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let content = sequence(der)?;
    let (rest, _version) = Any::from_der(content).ok()?;
    let (rest, modulus) = Any::from_der(rest).ok()?;
    let (_, exponent) = Any::from_der(rest).ok()?;
    Some((trim(modulus.data).to_vec(), trim(exponent.data).to_vec()))
}

fn sequence(der: &[u8]) -> Option<&[u8]> {
    let (rest, any) = Any::from_der(der).ok()?;
    (rest.is_empty() && any.tag() == Tag::Sequence).then_some(any.data)
}

/// A big-endian number without its leading zeros.
fn trim(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

fn bits(number: &[u8]) -> usize {
    number
        .first()
        .map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// A big-endian number of a fixed length.
fn pad(number: &[u8], len: usize) -> Option<Zeroizing<Vec<u8>>> {
    let number = trim(number);
    let zeros = len.checked_sub(number.len())?;
    let mut padded = Zeroizing::new(vec![0; len]);
    padded[zeros..].copy_from_slice(number);
    Some(padded)
}
