//! Every rendering as JSON, compared with the files of `tests/envoy/golden/`. `UPDATE_GOLDEN=1` writes them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use envoy_types::pb::envoy::config::cluster::v3::Cluster as ClusterPb;
use isobath::envoy::edge::Edge;
use isobath::envoy::{cluster, filter_chain, json, listener, route, scope, secret};
use isobath::model::{RouteAction, WeightedCluster};
use isobath::xds::{Part, ResourceType};
use prost::Message;

use crate::fixture::{CLEAR, cluster_of, forward, route as simple, tls_server, virtual_host};
use crate::renderings::{all, certificate, http_listener, http_manager, path};
use crate::update;

#[test]
fn renderings() {
    for (name, resource_type, resource) in all() {
        let shown = json::readable(resource_type.type_url(), &resource.bytes());
        check(&format!("{name}.json"), &pretty(&shown));
        assert!(!shown.to_string().contains("unreadable"), "{name}");
    }
}

/// What is no rendering any more would be read as if it were one.
#[test]
fn every_file_is_compared() {
    let of_bootstrap = ["bootstrap.json", "bootstrap-tls.yaml"].map(str::to_owned);
    let compared: BTreeSet<String> = all()
        .into_iter()
        .map(|(name, ..)| format!("{name}.json"))
        .chain(of_bootstrap)
        .collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/envoy/golden");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, compared);
}

/// Envoy keys subscriptions by these bytes: changed, they cost every TLS host of a listener 15 seconds.
#[test]
fn config_source_bytes_are_an_abi() {
    const ADS: [u8; 4] = [0x1a, 0x00, 0x30, 0x02];
    let bytes = cluster::cluster(&cluster_of("web/shop:80")).bytes();
    let eds = ClusterPb::decode(bytes)
        .unwrap()
        .eds_cluster_config
        .unwrap()
        .eds_config
        .unwrap();
    assert_eq!(eds.encode_to_vec(), ADS);
    // SdsSecretConfig { name: "web/one", sds_config: ADS } and ExtensionConfigSource { config_source: ADS, … }.
    let chain = filter_chain::filter_chain(listener::HTTPS, &tls_server("s", &["web/one"]), None)
        .1
        .bytes
        .to_bytes();
    let sds = [b"\x0a\x07web/one\x12\x04".as_slice(), &ADS].concat();
    let ecds = [b"\x0a\x04".as_slice(), &ADS].concat();
    for expected in [sds, ecds] {
        assert!(
            chain
                .windows(expected.len())
                .any(|window| window == expected)
        );
    }
}

/// A private key is nowhere but in the bytes, whatever asks (I10).
#[test]
fn keys_are_never_shown() {
    let resource = secret::secret(&certificate("web/shop"));
    let marker = b"MARKER-OF-A-KEY";
    assert!(
        resource
            .bytes()
            .windows(marker.len())
            .any(|window| window == marker)
    );
    let url = ResourceType::Secret.type_url();
    let cut = &resource.bytes()[..resource.bytes().len() - 3];
    for shown in [
        json::readable(url, &resource.bytes()).to_string(),
        json::readable(url, cut).to_string(),
        json::readable("type.googleapis.com/unknown.Type", &resource.bytes()).to_string(),
        format!("{resource:?} {:?}", resource.head()),
    ] {
        assert!(!shown.contains("MARKER"), "{shown}");
    }
}

/// What a part needs, so that a push can be ordered and a snapshot checked for completeness.
#[test]
fn parts_name_what_they_need() {
    let names = |part: &Part| -> Vec<String> {
        part.references
            .iter()
            .map(|r| format!("{} {}", r.resource_type, r.name))
            .collect()
    };
    let mut two = forward(&["web/b", "web/a"]);
    two.backends.push(WeightedCluster::new("web/never", 0));
    let host = virtual_host(
        "a.example.com",
        vec![
            simple(path("/"), RouteAction::Forward(two)),
            simple(path("/b"), RouteAction::Forward(forward(&["web/b"]))),
        ],
    );
    let part = route::virtual_host(&host, CLEAR).1;
    assert_eq!(names(&part), ["cds web/a", "cds web/b"]);
    assert_eq!(
        part.owners.iter().map(|o| &**o).collect::<Vec<_>>(),
        ["Ingress web/shop"]
    );
    let part = filter_chain::filter_chain(
        listener::HTTPS,
        &tls_server("s", &["web/rsa", "web/ec"]),
        None,
    )
    .1;
    assert_eq!(names(&part), ["sds web/ec", "sds web/rsa"]);
    assert_eq!(
        names(cluster::cluster(&cluster_of("web/a")).head()),
        ["eds web/a"]
    );
    assert_eq!(names(http_listener(&Edge::default()).head()), ["ecds http"]);
    let http = http_manager(&Edge::default());
    assert_eq!(names(http.head()), ["rds http"]);
    let scope = scope::scope(&"a.example.com".into(), &"web/shop".into());
    assert_eq!(names(scope.head()), ["rds web/shop"]);
}

/// Compares a rendering with its file.
pub fn check(name: &str, found: &str) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/envoy/golden")
        .join(name);
    if update::updates() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        wanted == found,
        "{name} differs (UPDATE_GOLDEN=1 writes it); found:\n{found}"
    );
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}
