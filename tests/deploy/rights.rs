//! The manifests give the right to read exactly the kinds that are read.

use std::collections::BTreeSet;

use isobath::objects::Kind;
use serde_json::Value;

use crate::manifest::{OVERLAYS, list, rendered};

/// What a role lets list or watch, with the verbs.
fn read(role: &Value) -> BTreeSet<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut read = BTreeSet::new();
    for rule in list(&role["rules"]) {
        let verbs: Vec<_> = list(&rule["verbs"]).iter().map(text).collect();
        if !verbs.iter().any(|verb| verb == "list" || verb == "watch") {
            continue;
        }
        for group in list(&rule["apiGroups"]) {
            for resource in list(&rule["resources"]) {
                read.insert((text(group), text(resource), verbs.join(",")));
            }
        }
    }
    read
}

#[test]
fn every_kind_may_be_listed_and_watched_and_nothing_else() {
    for overlay in OVERLAYS {
        let objects = rendered(overlay);
        // Others are of the tools that wait for a pod.
        let roles = objects.iter().filter(|object| {
            ["ClusterRole", "Role"].contains(&object["kind"].as_str().unwrap())
                && ["isobath", "isobath-watched"]
                    .contains(&object["metadata"]["name"].as_str().unwrap())
        });
        let granted: Vec<_> = roles.map(read).filter(|read| !read.is_empty()).collect();
        let is_namespaced = overlay == "namespaced";
        let kinds = Kind::ALL
            .into_iter()
            .filter(|kind| !is_namespaced || kind.is_namespaced() && !kind.is_of_gateway_api());
        let expected: BTreeSet<_> = kinds
            .map(|kind| {
                let (group, plural) = (kind.group(), kind.plural());
                (group.to_owned(), plural.to_owned(), "list,watch".to_owned())
            })
            .collect();
        assert!(!granted.is_empty(), "{overlay}");
        for granted in granted {
            assert_eq!(granted, expected, "{overlay}");
        }
    }
}
