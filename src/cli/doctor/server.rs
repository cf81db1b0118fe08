//! The versions of the API server and of the kubelets: both have to know sidecars.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};

use super::finding::{Checked, Finding, counted, some_of};
use super::read::{Of, Read, list};

/// The oldest Kubernetes that has native sidecars without a feature gate, as the manifests use them.
const OLDEST: (u32, u32) = (1, 29);

/// The newest one that the tests run with.
const NEWEST: (u32, u32) = (1, 36);

/// What is known of versions.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The API server's, as it says it.
    pub version: String,
    /// Each node, with its kubelet's version.
    pub nodes: Read<Vec<(String, String)>>,
}

/// Asks for nodes; the server's version comes first, and is known by now.
pub async fn ask(client: &kube::Client, version: String) -> Facts {
    let nodes: Api<Node> = Api::all(client.clone());
    let of = Of {
        resource: "nodes",
        namespace: None,
    };
    let nodes = list(nodes, of, ListParams::default(), |node| {
        let info = node.status?.node_info?;
        Some((node.metadata.name?, info.kubelet_version))
    });
    Facts {
        version,
        nodes: nodes.await,
    }
}

/// `v1.36.3`, `v1.29.4+k3s1`, `v1.31-gke`.
fn parsed(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim_start_matches('v').split(['.', '-', '+']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether they are new enough.
pub fn check(facts: &Facts) -> Checked {
    let mut findings = Vec::new();
    let (major, minor) = OLDEST;
    let oldest = format!("{major}.{minor}");
    let version = &facts.version;
    let known = parsed(version);
    if known.is_some_and(|known| known < OLDEST) {
        findings.push(Finding::error(
            format!("the API server is {version}, and Isobath needs {oldest} or later (native sidecars): upgrade it"),
            "kubectl version",
        ));
    }
    let mut says = match known {
        Some(known) if known > NEWEST => {
            let (major, minor) = NEWEST;
            format!("API server {version}, newer than {major}.{minor}, which was tried")
        }
        _ => format!("API server {version}"),
    };
    match &facts.nodes {
        Ok(nodes) => {
            let mut old: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            for (name, version) in nodes {
                if parsed(version).is_some_and(|known| known < OLDEST) {
                    old.entry(version).or_default().push(name.clone());
                }
            }
            for (version, names) in old {
                findings.push(Finding::error(
                    format!(
                        "the kubelet of {} is {version}, and runs no sidecars: pods stay in Init there. Upgrade to {oldest} or later, \
                         or keep Isobath's pods away",
                        some_of(&names)
                    ),
                    format!("kubectl cordon {}", names.first().map_or("", |it| it)),
                ));
            }
            says += &format!(", {}", counted(nodes.len(), "node"));
        }
        Err(unread) => findings.push(unread.finding("whether kubelets are new enough")),
    }
    Checked {
        name: "server",
        says,
        findings,
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::{Unread, Why};
    use super::*;

    #[test]
    fn old_servers_and_kubelets_are_found() {
        let node = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        let check = |version: &str, nodes, says: &str, expected: &[&str]| {
            let checked = check(&Facts {
                version: version.to_owned(),
                nodes,
            });
            assert_eq!(checked.says, says);
            assert_eq!(checked.findings.len(), expected.len(), "{checked:?}");
            for (found, part) in checked.findings.iter().zip(expected) {
                assert!(found.message.contains(part), "{found:?}");
            }
        };
        let well = Ok(vec![node("a", "v1.29.0"), node("b", "v1.36.3+k3s1")]);
        check("v1.36.3", well, "API server v1.36.3, 2 nodes", &[]);
        let old = Ok(vec![
            node("a", "v1.28.9"),
            node("b", "v1.28.9"),
            node("c", "v1.27.1"),
        ]);
        let says = "API server v1.28.15-gke.1, 3 nodes";
        let expected = [
            "the API server is v1.28.15-gke.1, and Isobath needs 1.29",
            "the kubelet of c is v1.27.1",
            "the kubelet of a, b is v1.28.9",
        ];
        check("v1.28.15-gke.1", old, says, &expected);
        let says = "API server v1.40.0, newer than 1.36, which was tried, 0 nodes";
        check("v1.40.0", Ok(vec![]), says, &[]);
        let unread = Unread {
            verb: "list",
            resource: "nodes".to_owned(),
            namespace: None,
            why: Why::Forbidden,
        };
        check(
            "main",
            Err(unread),
            "API server main",
            &["you may not list nodes"],
        );
    }
}
