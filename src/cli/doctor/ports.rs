//! Ports of nodes that Isobath takes, or would take, and others have.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Checked, Finding, some_of};
use super::installation::{Installation, Stage};
use super::neighbours::{Facts, Taken};

/// What would be taken, before anything is.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Ports of nodes, by TCP.
    pub host_ports: Vec<u16>,
    /// Node ports of Services.
    pub node_ports: Vec<u16>,
}

/// Whether the ports are free.
pub fn check(facts: &Facts, planned: &Planned, installation: &Installation) -> Checked {
    let is_before = installation.stage() == Stage::Before;
    let wanted: BTreeSet<(u16, String)> = match is_before {
        true => {
            let ports = planned.host_ports.iter();
            ports.map(|port| (*port, "TCP".to_owned())).collect()
        }
        false => installation.host_ports(),
    };
    let mut findings = Vec::new();
    let empty = Vec::new();
    let mut of = |read: &Result<Vec<Taken>, _>| match read {
        Ok(found) => found.clone(),
        // Without ports of its own nothing can be taken from it.
        Err(_) if wanted.is_empty() => Vec::new(),
        Err(unread) => {
            let unread: &super::read::Unread = unread;
            findings.push(unread.finding("whether ports of nodes are free"));
            Vec::new()
        }
    };
    let taken = of(&facts.taken);
    let intended = of(&facts.wanted);
    for ((holder, ports), nodes) in held(&taken, &intended, &wanted) {
        findings.push(conflict(&holder, &ports, &nodes, is_before));
    }
    if is_before {
        let node_ports = match &facts.node_ports {
            Ok(node_ports) => node_ports,
            Err(unread) => {
                findings.push(unread.finding("whether node ports are free"));
                &empty
            }
        };
        for (port, service) in node_ports {
            if planned.node_ports.contains(port) {
                findings.push(Finding::warning(
                    format!(
                        "node port {port} is that of Service {service}, so the overlay nodeport can't be installed as it is: take another \
                         overlay, or other ports in it"
                    ),
                    "kubectl apply -k deploy/overlays/loadbalancer",
                ));
            }
        }
    }
    let numbers: Vec<String> = wanted.iter().map(|(port, _)| port.to_string()).collect();
    let says = match (is_before, wanted.is_empty()) {
        (_, true) => "no ports of nodes are taken".to_owned(),
        (true, _) => format!("ports {} of all nodes are free", numbers.join(", ")),
        (false, _) => format!("nobody else has ports {} of nodes", numbers.join(", ")),
    };
    Checked {
        name: "ports",
        says,
        findings,
    }
}

/// Who has which of these ports, and on which nodes; none for whoever only wants to.
fn held(
    taken: &[Taken],
    intended: &[Taken],
    wanted: &BTreeSet<(u16, String)>,
) -> BTreeMap<(String, String), Vec<String>> {
    let mut held: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for taken in taken.iter().chain(intended) {
        let ports: BTreeSet<u16> = taken
            .ports
            .iter()
            .filter(|port| wanted.contains(port))
            .map(|(port, _)| *port)
            .collect();
        if ports.is_empty() {
            continue;
        }
        let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        let key = (taken.holder.clone(), ports.join(", "));
        held.entry(key).or_default().extend(taken.node.clone());
    }
    held
}

fn conflict(holder: &str, ports: &str, nodes: &[String], is_before: bool) -> Finding {
    let nodes = match nodes.is_empty() {
        true => "nodes".to_owned(),
        false => some_of(nodes),
    };
    let word = if ports.contains(',') { "ports" } else { "port" };
    let message = format!("{holder} has {word} {ports} of {nodes}");
    let command = "kubectl apply -k deploy/overlays/loadbalancer";
    match is_before {
        true => Finding::warning(
            format!(
                "{message}, so Isobath's pods can't be there with the overlay hostport: end it first, or take another overlay"
            ),
            command,
        ),
        false => Finding::error(
            format!(
                "{message}, so Isobath's pods can't be there: end it, or take an overlay without ports of nodes"
            ),
            command,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::installation::Workload;
    use super::super::read::{Read, Unread, Why};
    use super::*;

    fn taken(holder: &str, node: Option<&str>, ports: &[(u16, &str)]) -> Taken {
        let ports = ports.iter();
        Taken {
            holder: holder.to_owned(),
            node: node.map(ToOwned::to_owned),
            ports: ports.map(|(port, of)| (*port, (*of).to_owned())).collect(),
        }
    }

    fn facts(pods: Read<Vec<Taken>>, node_ports: &[(u16, &str)]) -> Facts {
        let node_ports = node_ports.iter();
        Facts {
            taken: pods,
            wanted: Ok(vec![taken("DaemonSet a/late", None, &[(443, "TCP")])]),
            node_ports: Ok(node_ports
                .map(|(port, of)| (*port, (*of).to_owned()))
                .collect()),
            rivals: Ok(Vec::new()),
        }
    }

    fn check(facts: &Facts, own: Option<&[(u16, &str)]>, expected: &[&str]) {
        let planned = Planned {
            host_ports: vec![80, 443],
            node_ports: vec![30080],
        };
        let workload = own.map(|ports| Workload {
            host_ports: ports
                .iter()
                .map(|(port, of)| (*port, (*of).to_owned()))
                .collect(),
            ..Workload::default()
        });
        let installation = Installation {
            namespace: "isobath".to_owned(),
            selector: "a=b".to_owned(),
            workloads: Ok(workload.into_iter().collect()),
            pods: Ok(Vec::new()),
        };
        let found = super::check(facts, &planned, &installation).findings;
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, part) in found.iter().zip(expected) {
            assert!(found.message.contains(part), "{found:?}");
        }
    }

    #[test]
    fn ports_that_others_have_are_found() {
        let pods = || {
            Ok(vec![
                taken(
                    "DaemonSet a/proxy",
                    Some("n1"),
                    &[(80, "TCP"), (9100, "TCP")],
                ),
                taken(
                    "DaemonSet a/proxy",
                    Some("n2"),
                    &[(80, "TCP"), (9100, "TCP")],
                ),
                taken("Pod b/dns", Some("n1"), &[(443, "UDP")]),
            ])
        };
        let late = "DaemonSet a/late has port 443 of nodes, so Isobath's pods can't be there";
        let proxy = "DaemonSet a/proxy has port 80 of n1, n2, so Isobath's pods can't be there with the overlay hostport";
        let node = "node port 30080 is that of Service a/web";
        let node_ports = [(30080, "a/web"), (30081, "a/web")];
        check(&facts(pods(), &node_ports), None, &[late, proxy, node]);
        // Once it is there, only what it takes matters.
        check(&facts(pods(), &node_ports), Some(&[]), &[]);
        check(&facts(pods(), &[]), Some(&[(8002, "TCP")]), &[]);
        let dns = "Pod b/dns has port 443 of n1, so Isobath's pods can't be there: end it";
        check(&facts(pods(), &[]), Some(&[(443, "UDP")]), &[dns]);
        let unread = Unread {
            verb: "list",
            resource: "pods".to_owned(),
            namespace: None,
            why: Why::Forbidden,
        };
        let expected = ["whether ports of nodes are free"];
        check(
            &facts(Err(unread.clone()), &[]),
            Some(&[(80, "TCP")]),
            &expected,
        );
        check(&facts(Err(unread), &[]), Some(&[]), &[]);
    }
}
