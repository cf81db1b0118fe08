//! Golden cases of the translation: `cases/NAME.yaml` holds ordinary Kubernetes objects, `cases/NAME.txt` the
//! model that they come to, one line a route, and the problems. `UPDATE_GOLDEN=1 cargo test --test golden` writes
//! the second anew; a diff of it is what a review reads, which is why it fails in CI, where nobody would read it.
//!
//! A Secret's `data` is `names` (or `commonName`) and `algorithm` here instead of real keys: what decoding makes of keys has
//! tests of its own. With a `tls.crt` or `auth` it is decoded as it stands.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod gateway_api;
#[path = "../support/golden.rs"]
mod golden;
mod http_proxies;
mod print;
mod repeated;
mod sources;
mod too_large;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use isobath::facts::{Changes, ClassSelection, Log, Store};
use isobath::objects::*;
use isobath::translate::{HostOwnership, Input, Memo, Options, Prices, within_budget};
use serde_json::Value;

fn object(value: &Value) -> Object {
    let kind = value["kind"].as_str().expect("an object has a kind");
    let kind = Kind::ALL
        .into_iter()
        .find(|candidate| candidate.name() == kind)
        .expect("a kind that is watched");
    let mut value = value.clone();
    if kind.is_namespaced() && value["metadata"]["namespace"].is_null() {
        value["metadata"]["namespace"] = "default".into();
    }
    if kind == Kind::Secret {
        return secret(&value);
    }
    decode(kind, &value.to_string()).expect("an object has a name")
}

fn secret(value: &Value) -> Object {
    let data = &value["data"];
    if !data["tls.crt"].is_null() || !data["auth"].is_null() {
        return decode(Kind::Secret, &value.to_string()).expect("an object has a name");
    }
    let text = |value: &Value| value.as_str().map(Arc::<str>::from);
    let names = value["data"]["names"].as_array();
    let certificate = match names {
        None => Err("tls.crt is missing".into()),
        Some(names) => Ok(Arc::new(TlsCertificate {
            chain: "chain".into(),
            key: PrivateKeyPem::new("key".to_owned()),
            key_algorithm: match value["data"]["algorithm"].as_str() {
                Some("rsa") => KeyAlgorithm::Rsa,
                _ => KeyAlgorithm::Ecdsa,
            },
            names: names
                .iter()
                .filter_map(text)
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect(),
            common_name: text(&value["data"]["commonName"]),
            not_before: jiff::Timestamp::UNIX_EPOCH,
            not_after: jiff::Timestamp::UNIX_EPOCH,
        })),
    };
    let metadata = &value["metadata"];
    Object::Secret(Arc::new(Secret {
        metadata: Metadata {
            name: NamespacedName::new(
                text(&metadata["namespace"]).unwrap(),
                text(&metadata["name"]).unwrap(),
            ),
            uid: "".into(),
            created: None,
            annotations: Default::default(),
        },
        certificate,
        authorities: None,
        revocations: None,
        credentials: None,
        credentials_map: None,
    }))
}

/// Returns how many parts of the model, and problems, say where they come from.
fn check(input: &Path) -> usize {
    let text = fs::read_to_string(input).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
        .unwrap_or_else(|error| panic!("{}: {error}", input.display()));
    let mut selection = ClassSelection {
        names: Default::default(),
        manifests: true,
    };
    let mut options = Options::default();
    let mut store = None;
    let mut changes = Changes::unread();
    for document in &documents {
        if let Some(flags) = document.get("flags") {
            selection.manifests = flags["manifests"].as_bool().unwrap_or(true);
            let names = flags["ingress-class"].as_str().into_iter();
            selection.names = names.flat_map(|it| it.split(',')).map(Arc::from).collect();
            options.allow_external_names = flags["allow-external-names"].as_bool().unwrap_or(false);
            if flags["host-ownership"] == "namespace" {
                options.host_ownership = HostOwnership::Namespace;
            }
            let port = flags["https-redirect-port"].as_u64();
            options.https_port = port.and_then(|port| port.try_into().ok());
            let own = flags["own-sockets"].as_array().into_iter().flatten();
            options.own_sockets = own
                .map(|socket| socket.as_str().unwrap().parse().unwrap())
                .collect();
            options.scheme_is_told = flags["scheme-is-told"].as_bool().unwrap_or(false);
            let idle = flags["upstream-idle-timeout-s"].as_u64();
            options.upstream.idle_timeout = idle.map(std::time::Duration::from_secs);
            continue;
        }
        let store = store.get_or_insert_with(|| Store::new(selection.clone()));
        let object = match object(document) {
            Object::Ingress(ingress) => {
                let prices = Prices {
                    classes: &selection,
                    nginx_compat: options.nginx_compat,
                };
                Object::Ingress(within_budget(ingress, prices))
            }
            other => other,
        };
        store.apply(Event::Apply(object), &mut changes);
    }
    let store = store.expect("a case has objects");
    let (memo, log) = (Memo::default(), Log::default());
    let read = Input::new(&store, &options, &memo, &log);
    let got = print::everything(&store, read, &changes);
    let sources = sources::check(&documents, &store, read, &changes);

    let output = input.with_extension("txt");
    if golden::updates() {
        fs::write(&output, got).unwrap();
        return sources;
    }
    let want = fs::read_to_string(&output).unwrap_or_default();
    assert!(
        got == want,
        "{}: not what the objects come to now:\n{got}\n(UPDATE_GOLDEN=1 writes it)",
        output.display()
    );
    sources
}

/// The files of `cases` that end so.
fn cases(extension: &str) -> BTreeSet<PathBuf> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases");
    let files = fs::read_dir(cases)
        .unwrap()
        .map(|file| file.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect()
}

#[test]
fn objects_come_to_the_stated_model() {
    let inputs = cases("yaml");
    assert!(inputs.len() > 20, "the cases are there");
    let sources: usize = inputs.iter().map(|input| check(input)).sum();
    assert!(sources > 1000, "{sources}");
}

/// A result whose case was renamed or removed would be read as if it were still true.
#[test]
fn every_result_has_its_case() {
    let cases_of = cases("yaml");
    let orphans: Vec<PathBuf> = cases("txt")
        .into_iter()
        .filter(|output| !cases_of.contains(&output.with_extension("yaml")))
        .collect();
    assert!(orphans.is_empty(), "no case has these: {orphans:?}");
}

#[test]
fn nothing_is_written_in_ci() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "objects_come_to_the_stated_model"]);
    command.env("UPDATE_GOLDEN", "1").env("CI", "true");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("UPDATE_GOLDEN in CI"), "{said}");
}
