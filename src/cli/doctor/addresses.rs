//! Addresses in statuses: where they come from, and what has none.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Service;
use kube::api::Api;

use super::finding::{Checked, Finding, counted, some_of};
use super::installation::{Installation, Stage};
use super::read::{Of, Read, named};
use super::routed::{Facts as Routed, Object};
use crate::objects::Kind;

/// What is so new may have none yet.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// The kinds that have an address.
const KINDS: [Kind; 3] = [Kind::Ingress, Kind::HttpProxy, Kind::Gateway];

/// Where addresses come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `--ingress-status-from none`.
    Nowhere,
    /// `--ingress-status-address`.
    Given,
    /// The nodes of the pods.
    Nodes,
    /// Nothing is said, and the pods take no ports of nodes.
    Unsaid,
    /// `--envoy-service`: NAMESPACE/NAME, and whether it is there, of which type, and has an address.
    Service(String, Read<Option<(String, bool)>>),
}

/// Asks.
pub async fn ask(client: &kube::Client, installation: &Installation) -> Source {
    let plane = installation.plane();
    let from = plane.flag("ingress-status-from").unwrap_or("auto");
    let given = !plane.list("ingress-status-address").is_empty();
    let service = plane.flag("envoy-service");
    match (from, service) {
        ("none", _) => Source::Nowhere,
        ("address", _) => Source::Given,
        ("auto", _) if given => Source::Given,
        ("auto" | "service", Some(path)) => {
            let found = of_service(client, path).await;
            Source::Service(path.to_owned(), found)
        }
        ("auto", None) if installation.host_ports().is_empty() => Source::Unsaid,
        _ => Source::Nodes,
    }
}

async fn of_service(client: &kube::Client, path: &str) -> Read<Option<(String, bool)>> {
    let (namespace, name) = path.split_once('/').unwrap_or_default();
    let api: Api<Service> = Api::namespaced(client.clone(), namespace);
    let of = Of {
        resource: "services",
        namespace: Some(namespace),
    };
    named(api, of, name, |service| {
        let of_type = service.spec.and_then(|it| it.type_).unwrap_or_default();
        let balancer = service.status.and_then(|it| it.load_balancer);
        let addresses = balancer.and_then(|it| it.ingress).unwrap_or_default();
        Some((of_type, !addresses.is_empty()))
    })
    .await
}

/// Whether objects that are served have an address.
pub fn check(
    source: &Source,
    routed: &Routed,
    installation: &Installation,
    now: Timestamp,
) -> Checked {
    let checked = |says: String, findings| Checked {
        name: "addresses",
        says,
        findings,
    };
    if installation.stage() == Stage::Before {
        return checked("nobody writes addresses yet".to_owned(), Vec::new());
    }
    if *source == Source::Nowhere {
        let says = "no addresses are written (--ingress-status-from none)";
        return checked(says.to_owned(), Vec::new());
    }
    let wanting = || routed.ours().filter(|object| object.wants_address);
    let is_new = |object: &Object| {
        object
            .created
            .is_some_and(|it| now.duration_since(it) < PATIENCE)
    };
    let lacks = |object: &&Object| !object.has_address && !is_new(object);
    let lacking: Vec<&Object> = wanting().filter(lacks).collect();
    if let Some(cause) = cause(source, lacking.len(), installation) {
        return checked(String::new(), vec![cause]);
    }
    let mut findings = Vec::new();
    for kind in KINDS {
        let of_kind: Vec<&Object> = lacking
            .iter()
            .filter(|it| it.kind == kind)
            .copied()
            .collect();
        let Some(first) = of_kind.first() else {
            continue;
        };
        let paths: Vec<String> = of_kind.iter().map(|object| object.path()).collect();
        findings.push(Finding::warning(
            format!(
                "no address in the status of {} ({}): nobody writes it ([lease]), it is refused (an Event on it), or there is none to \
                 write (the log of the pod that holds the Lease); external-dns and Argo CD wait for it",
                counted(paths.len(), kind.name()),
                some_of(&paths)
            ),
            format!(
                "kubectl -n {} describe {} {}",
                first.namespace,
                kind.name().to_lowercase(),
                first.name
            ),
        ));
    }
    let says = match wanting().count() {
        0 => "nothing is served that has an address".to_owned(),
        count => format!("{} with an address", counted(count, "object")),
    };
    checked(says, findings)
}

/// What keeps all of them from having one.
fn cause(source: &Source, lacking: usize, installation: &Installation) -> Option<Finding> {
    let follows = match lacking {
        0 => String::new(),
        lacking => format!("; {} without one", counted(lacking, "object")),
    };
    match source {
        Source::Unsaid if lacking > 0 => Some(Finding::error(
            format!(
                "nothing says which address is Isobath's{follows}: name it by --ingress-status-address, or by --envoy-service the \
                 Service that has it"
            ),
            format!(
                "kubectl -n {} set env {} -c isobath ISOBATH_INGRESS_STATUS_ADDRESS=ADDRESS",
                installation.namespace,
                installation.workload()
            ),
        )),
        Source::Service(path, found) => {
            let (namespace, name) = path.split_once('/').unwrap_or_default();
            let describe = format!("kubectl -n {namespace} describe service {name}");
            match found {
                Err(unread) => Some(unread.finding("whether Isobath has an address")),
                Ok(None) => Some(Finding::error(
                    format!(
                        "Service {path} does not exist, whose address is to be published (--envoy-service){follows}"
                    ),
                    "kubectl apply -k deploy/overlays/loadbalancer",
                )),
                Ok(Some((_, true))) => None,
                Ok(Some((of_type, false))) if of_type == "LoadBalancer" => Some(Finding::error(
                    format!(
                        "Service {path} has no address{follows}: nothing in the cluster gives Services of type LoadBalancer one (a \
                         cloud's controller, MetalLB), or it says in its events why not"
                    ),
                    describe,
                )),
                Ok(Some((of_type, false))) => Some(Finding::error(
                    format!(
                        "Service {path} is of type {of_type}, which has no address to publish (--envoy-service){follows}: name the \
                         addresses themselves by --ingress-status-address"
                    ),
                    describe,
                )),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::installation::OwnPod;
    use super::*;

    fn object(kind: Kind, name: &str, has_address: bool, age: i64) -> Object {
        Object {
            kind,
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            created: Some(now() - SignedDuration::from_secs(age)),
            class: Some("a".to_owned()),
            is_field: true,
            wants_address: true,
            has_address,
            secrets: Vec::new(),
            writers: Vec::new(),
        }
    }

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1)
    }

    fn check(source: &Source, objects: &[Object], pods: usize, expected: &[(&str, &str)]) {
        let routed = Routed {
            names: vec!["a".to_owned()],
            classes: Ok(Vec::new()),
            gateway_classes: Ok(vec!["a".to_owned()]),
            objects: vec![(Kind::Ingress, Ok(objects.to_vec()))],
        };
        let installation = Installation {
            namespace: "isobath".to_owned(),
            selector: "a=b".to_owned(),
            workloads: Ok(Vec::new()),
            pods: Ok(vec![OwnPod::default(); pods]),
        };
        let found = super::check(source, &routed, &installation, now()).findings;
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, (says, command)) in found.iter().zip(expected) {
            assert!(found.message.contains(says), "{found:?}");
            assert_eq!(found.command, *command);
        }
    }

    #[test]
    fn what_has_no_address_is_found_and_why() {
        let well = object(Kind::Ingress, "web", true, 900);
        let new = object(Kind::Ingress, "new", false, 59);
        let all = [
            well.clone(),
            new,
            object(Kind::Ingress, "old", false, 61),
            object(Kind::HttpProxy, "root", false, 900),
            object(Kind::Gateway, "gate", false, 900),
        ];
        check(&Source::Given, &all[..2], 1, &[]);
        let expected = [
            (
                "status of 1 Ingress (shop/old)",
                "kubectl -n shop describe ingress old",
            ),
            (
                "status of 1 HTTPProxy (shop/root)",
                "kubectl -n shop describe httpproxy root",
            ),
            (
                "status of 1 Gateway (shop/gate)",
                "kubectl -n shop describe gateway gate",
            ),
        ];
        check(&Source::Given, &all, 1, &expected);
        check(&Source::Given, &all, 0, &[]);
        check(&Source::Nowhere, &all, 1, &[]);
        let command = "kubectl -n isobath set env daemonset/isobath -c isobath ISOBATH_INGRESS_STATUS_ADDRESS=ADDRESS";
        let unsaid = [(
            "nothing says which address is Isobath's; 3 objects without one",
            command,
        )];
        check(&Source::Unsaid, &all, 1, &unsaid);
        check(&Source::Unsaid, std::slice::from_ref(&well), 1, &[]);
        let service = |found| Source::Service("isobath/envoy".to_owned(), Ok(found));
        let of_type = |name: &str, has: bool| service(Some((name.to_owned(), has)));
        let describe = "kubectl -n isobath describe service envoy";
        let pending = [(
            "Service isobath/envoy has no address: nothing in the cluster gives",
            describe,
        )];
        check(
            &of_type("LoadBalancer", true),
            std::slice::from_ref(&well),
            1,
            &[],
        );
        check(
            &of_type("LoadBalancer", false),
            std::slice::from_ref(&well),
            1,
            &pending,
        );
        let internal = [("Service isobath/envoy is of type ClusterIP", describe)];
        check(&of_type("ClusterIP", false), &[], 1, &internal);
        let gone = [(
            "Service isobath/envoy does not exist",
            "kubectl apply -k deploy/overlays/loadbalancer",
        )];
        check(&service(None), &[], 1, &gone);
    }
}
