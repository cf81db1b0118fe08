//! `certificates.sh` makes what the overlay `deployment` mounts.

use std::collections::BTreeMap;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::manifest::{deploy, list, objects, rendered, strings, workloads};

/// Runs the script: files by Secret.
pub(crate) fn issue() -> BTreeMap<String, BTreeMap<String, Vec<u8>>> {
    let output = Command::new("sh")
        .arg(deploy().join("overlays/deployment/certificates.sh"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    objects(&String::from_utf8(output.stdout).unwrap())
        .iter()
        .map(|secret| {
            let files = secret["data"].as_object().unwrap().iter();
            let files = files
                .map(|(name, data)| {
                    (
                        name.clone(),
                        STANDARD.decode(data.as_str().unwrap()).unwrap(),
                    )
                })
                .collect();
            (
                secret["metadata"]["name"].as_str().unwrap().to_owned(),
                files,
            )
        })
        .collect()
}

#[test]
fn both_sides_take_each_other() {
    let secrets = issue();
    let deployment = rendered("deployment");
    for workload in workloads(&deployment) {
        for volume in list(&workload.spec["volumes"]) {
            if let Some(secret) = volume.get("secret") {
                let name = secret["secretName"].as_str().unwrap();
                assert!(secrets.contains_key(name), "{name}");
            }
        }
    }
    // The name by which Envoy looks for the control plane.
    let address = workloads(&deployment)
        .iter()
        .filter_map(|workload| workload.container("bootstrap"))
        .flat_map(|container| strings(&container["args"]))
        .find_map(|arg| Some(arg.strip_prefix("--xds-address=")?.to_owned()))
        .unwrap();
    let host = address.rsplit_once(':').unwrap().0.to_owned();

    let [server, client] = ["isobath-xds-server", "isobath-xds-client"].map(|name| &secrets[name]);
    let chain = |files: &BTreeMap<String, Vec<u8>>, name: &str| {
        vec![CertificateDer::from_pem_slice(&files[name]).unwrap()]
    };
    let key = |files: &BTreeMap<String, Vec<u8>>| {
        PrivateKeyDer::from_pem_slice(&files["tls.key"]).unwrap()
    };
    let roots = |files| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(chain(files, "ca.crt").remove(0)).unwrap();
        std::sync::Arc::new(roots)
    };
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        roots(server),
        provider.clone(),
    )
    .build()
    .unwrap();
    let accepting = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain(server, "tls.crt"), key(server))
        .unwrap();
    let connecting = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(client))
        .with_client_auth_cert(chain(client, "tls.crt"), key(client))
        .unwrap();
    let mut accepting = rustls::ServerConnection::new(accepting.into()).unwrap();
    let mut connecting =
        rustls::ClientConnection::new(connecting.into(), host.try_into().unwrap()).unwrap();
    for _ in 0..10 {
        let mut wire = Vec::new();
        connecting.write_tls(&mut wire).unwrap();
        accepting.read_tls(&mut wire.as_slice()).unwrap();
        accepting.process_new_packets().unwrap();
        wire.clear();
        accepting.write_tls(&mut wire).unwrap();
        connecting.read_tls(&mut wire.as_slice()).unwrap();
        connecting.process_new_packets().unwrap();
    }
    assert!(!accepting.is_handshaking() && !connecting.is_handshaking());
    assert!(
        accepting.peer_certificates().is_some(),
        "the client was asked who it is"
    );
}

/// Who has the client's certificate cannot pass for the server with it.
#[test]
fn each_certificate_is_for_one_side() {
    let secrets = issue();
    for (name, server) in [("isobath-xds-server", true), ("isobath-xds-client", false)] {
        let der = CertificateDer::from_pem_slice(&secrets[name]["tls.crt"]).unwrap();
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert_eq!(
            (usage.server_auth, usage.client_auth),
            (server, !server),
            "{name}"
        );
        assert!(!certificate.is_ca(), "{name}");
    }
}
