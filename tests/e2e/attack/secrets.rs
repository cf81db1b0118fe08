//! Fifty kinds of Secrets beside one another: each costs the host that names it, and none of them Envoy or a neighbour.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use super::names::shown;
use super::table::bytes;
use crate::check::{PLAIN, apps, check};
use crate::support::manifest::{Manifest, site};
use crate::support::stand::Stand;

/// The bytes of one entry of a Secret; none where it is left out.
fn entry(text: &str) -> Option<Vec<u8>> {
    (text != "-").then(|| text.split('+').flat_map(piece).collect())
}

fn piece(text: &str) -> Vec<u8> {
    if let Some(text) = text.strip_prefix('=') {
        return bytes(text);
    }
    let (change, file) = text.split_once(':').unwrap_or(("", text));
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/certificates")
        .join(file);
    let file = fs::read_to_string(file).unwrap();
    match change {
        "" => file.into_bytes(),
        "crlf" => file.replace('\n', "\r\n").into_bytes(),
        "half" => file.as_bytes()[..file.len() / 2].to_vec(),
        "twice" => file.repeat(2).into_bytes(),
        "der" => {
            let lines = file.lines().filter(|line| !line.starts_with("-----"));
            STANDARD.decode(lines.collect::<String>()).unwrap()
        }
        other => panic!("{other}"),
    }
}

fn secret(name: &str, kind: &str, data: [(&str, Option<Vec<u8>>); 2]) -> Manifest {
    let mut secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "default", "name": name},
        "type": if kind == "tls" { "kubernetes.io/tls" } else { "Opaque" },
    });
    for (key, value) in data {
        if let Some(value) = value {
            secret["data"][key] = STANDARD.encode(value).into();
        }
    }
    Manifest(secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_of_secrets() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    let mut cases = Vec::new();
    let lines = include_str!("secrets.txt").lines();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[name, kind, chain, key, want] = &words[..] else {
            panic!("{line}");
        };
        let chain = entry(chain);
        // What the client is shown is the first certificate.
        let leaf = chain
            .as_deref()
            .and_then(|pem| CertificateDer::from_pem_slice(pem).ok())
            .filter(|leaf| !leaf.is_empty());
        let data = [("tls.crt", chain), ("tls.key", entry(key))];
        manifests.push(secret(name, kind, data));
        let host = format!("{name}.test");
        manifests.push(site(name, &host, "web:80").tls(&[], name));
        cases.push((host, leaf, want));
    }
    assert!(cases.len() >= 45, "{}", cases.len());
    let stand = Stand::start(&manifests).await;
    let address = stand.isobath.https();
    let answers = cases.iter().map(async |(host, leaf, _)| {
        let leaves: Vec<_> = leaf.iter().map(|leaf| ("served", leaf.to_vec())).collect();
        shown(address, &[host.clone().into_bytes()], &leaves).await
    });
    let answers = futures::future::join_all(answers).await;
    let mut wrong = Vec::new();
    for ((host, _, want), got) in cases.iter().zip(answers) {
        if got != *want {
            wrong.push(format!("{host}: want {want}, got {got}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Whatever became of their Secrets, all of them are served in clear.
    for (host, ..) in &cases {
        let answer = stand.get(host, "/").await.unwrap();
        assert_eq!(answer.backend(), "web", "{host}");
    }
    check(&stand, &[("nobody.test", "/", "404")], PLAIN).await;
}
