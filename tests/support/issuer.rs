//! Who signs tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

/// One key, new with each test.
pub(crate) struct Issuer(EcdsaKeyPair);

impl Issuer {
    /// Makes a key.
    pub(crate) fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.unwrap().as_ref(), &random);
        Self(pair.unwrap())
    }

    /// What its tokens are verified by, as a JSON Web Key Set.
    pub(crate) fn keys(&self) -> String {
        let point = &self.0.public_key().as_ref()[1..];
        let [x, y] = [&point[..32], &point[32..]].map(|half| URL_SAFE_NO_PAD.encode(half));
        let key = serde_json::json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "x": x, "y": y});
        serde_json::json!({ "keys": [key] }).to_string()
    }

    /// A token that says so.
    pub(crate) fn token(&self, claims: &serde_json::Value) -> String {
        let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","typ":"JWT"}"#);
        let body = URL_SAFE_NO_PAD.encode(claims.to_string());
        let signed = format!("{head}.{body}");
        let signature = self
            .0
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}
