//! What there is of the installation: its workloads, its pods, and the flags of its control plane as the pod's template has
//! them. Flags in a file (`--config`) are not seen.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::api::{Api, ListParams};

use super::finding::{Checked, Finding, counted, some_of};
use super::read::{Of, Read, list};
use crate::cli::pods;

/// The containers that say what a pod is.
const PLANE: &str = "isobath";
const ENVOY: &str = "envoy";

/// Whether anything is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is.
    Before,
    /// Something is.
    After,
    /// It may not be looked at.
    Unknown,
}

/// The installation.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Its namespace.
    pub namespace: String,
    /// The labels of its pods and workloads.
    pub selector: String,
    /// Its DaemonSets and Deployments.
    pub workloads: Read<Vec<Workload>>,
    /// Its pods.
    pub pods: Read<Vec<OwnPod>>,
}

/// A DaemonSet or Deployment of Isobath or of its Envoys.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// `daemonset/isobath`, as kubectl takes it.
    pub name: String,
    /// How many pods there are to be.
    pub wanted: i32,
    /// How many pods of its are there, be they ready or not.
    pub present: i32,
    /// What its control plane is started with; `None` where it has none.
    pub plane: Option<Plane>,
    /// The ports of nodes that its pods take, each with its protocol.
    pub host_ports: Vec<(u16, String)>,
}

/// A control plane's pod template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plane {
    /// Its ServiceAccount.
    pub account: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment, as far as the template says it.
    pub environment: Vec<(String, String)>,
}

/// A pod of the installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnPod {
    /// Its name.
    pub name: String,
    /// Whether a control plane is in it.
    pub has_plane: bool,
    /// Whether an Envoy is in it.
    pub has_envoy: bool,
    /// Whether it runs.
    pub is_running: bool,
    /// Whether it is ready.
    pub is_ready: bool,
    /// Whether it is being deleted.
    pub is_ending: bool,
    /// Why it is not on its way: the scheduler's words, or what a container waits for.
    pub waits: Option<String>,
}

impl Plane {
    /// The value of a flag: the command line counts before the environment.
    pub fn flag(&self, name: &str) -> Option<&str> {
        let long = format!("--{name}");
        let mut arguments = self.arguments.iter().rev().enumerate();
        let given = arguments.find_map(|(from_end, argument)| {
            let rest = argument.strip_prefix(&*long)?;
            match rest.strip_prefix('=') {
                Some(value) => Some(value),
                None if rest.is_empty() && from_end > 0 => {
                    let next = self.arguments.len() - from_end;
                    self.arguments.get(next).map(String::as_str)
                }
                None => None,
            }
        });
        given.or_else(|| {
            let variable = format!("ISOBATH_{}", name.to_uppercase().replace('-', "_"));
            let mut set = self.environment.iter().filter(|(own, _)| *own == variable);
            set.next_back().map(|(_, value)| &**value)
        })
    }

    /// The values of a flag with several.
    pub fn list(&self, name: &str) -> Vec<String> {
        let value = self.flag(name).unwrap_or_default();
        let values = value.split(',').map(str::trim);
        let values = values.filter(|value| !value.is_empty());
        values.map(ToOwned::to_owned).collect()
    }

    /// That of a pod that has one.
    pub fn of(spec: &PodSpec) -> Option<Self> {
        let container = containers(spec).find(|it| it.name == PLANE)?;
        let environment = container.env.iter().flatten();
        Some(Self {
            account: spec
                .service_account_name
                .clone()
                .unwrap_or_else(|| "default".to_owned()),
            arguments: container.args.clone().unwrap_or_default(),
            environment: environment
                .filter_map(|it| Some((it.name.clone(), it.value.clone()?)))
                .collect(),
        })
    }
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    let first = spec.init_containers.iter().flatten();
    first.chain(&spec.containers)
}

/// The ports of its node that a pod takes.
pub fn host_ports(spec: &PodSpec) -> impl Iterator<Item = (u16, &str)> {
    let ports = containers(spec).flat_map(|it| it.ports.iter().flatten());
    let is_of_host = spec.host_network == Some(true);
    ports.filter_map(move |port| {
        // The API server fills it in for a pod with the node's network, but not in every template.
        let own = is_of_host.then_some(port.container_port);
        let number = port.host_port.filter(|it| *it > 0).or(own)?;
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        Some((u16::try_from(number).ok()?, protocol))
    })
}

impl Installation {
    /// Looks at it.
    pub async fn ask(client: &kube::Client, args: &pods::Args) -> Self {
        let namespace = args.installation_namespace.clone();
        let selected = ListParams::default().labels(&args.installation_selector);
        let of = |resource| Of {
            resource,
            namespace: Some(&namespace),
        };
        let sets: Api<DaemonSet> = Api::namespaced(client.clone(), &namespace);
        let sets = list(sets, of("daemonsets.apps"), selected.clone(), |set| {
            let spec = set.spec?.template.spec?;
            let status = set.status.unwrap_or_default();
            let counts = (
                status.desired_number_scheduled,
                status.current_number_scheduled,
            );
            workload("daemonset", set.metadata.name?, &spec, counts)
        });
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
        let of_deployments = of("deployments.apps");
        let deployments = list(
            deployments,
            of_deployments,
            selected.clone(),
            |deployment| {
                let of_deployment = deployment.spec?;
                let spec = of_deployment.template.spec?;
                let present = deployment
                    .status
                    .and_then(|it| it.replicas)
                    .unwrap_or_default();
                let counts = (of_deployment.replicas.unwrap_or(1), present);
                workload("deployment", deployment.metadata.name?, &spec, counts)
            },
        );
        let all: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        let all = list(all, of("pods"), selected, own_pod);
        let (sets, deployments, pods) = tokio::join!(sets, deployments, all);
        let workloads = sets.and_then(|mut sets| {
            sets.extend(deployments?);
            Ok(sets)
        });
        Self {
            selector: args.installation_selector.clone(),
            workloads,
            pods,
            namespace,
        }
    }

    /// Whether it is there.
    pub fn stage(&self) -> Stage {
        let workloads = self.workloads.as_ref().map(Vec::is_empty);
        let pods = self.pods.as_ref().map(Vec::is_empty);
        match (workloads, pods) {
            (Ok(false), _) | (_, Ok(false)) => Stage::After,
            (Ok(true), Ok(true)) => Stage::Before,
            _ => Stage::Unknown,
        }
    }

    /// What its control plane is started with; as the manifests have it, where that is not to be seen.
    pub fn plane(&self) -> Plane {
        let workloads = self.workloads.iter().flatten();
        let mut planes = workloads.filter_map(|it| it.plane.clone());
        planes.next().unwrap_or_else(|| Plane {
            account: "isobath".to_owned(),
            ..Plane::default()
        })
    }

    /// The workload that has the control plane, as kubectl takes it.
    pub fn workload(&self) -> String {
        let mut workloads = self.workloads.iter().flatten();
        let found = workloads.find(|it| it.plane.is_some());
        found.map_or_else(|| "daemonset/isobath".to_owned(), |it| it.name.clone())
    }

    /// The namespaces that its control plane reads, one after the other; `None` for all of them.
    pub fn scopes(&self) -> Vec<Option<String>> {
        match self.plane().list("watch-namespaces") {
            names if names.is_empty() => vec![None],
            names => names.into_iter().map(Some).collect(),
        }
    }

    /// The ports of nodes that its pods take.
    pub fn host_ports(&self) -> BTreeSet<(u16, String)> {
        let workloads = self.workloads.iter().flatten();
        workloads.flat_map(|it| it.host_ports.clone()).collect()
    }

    /// In a few words.
    pub fn about(&self) -> String {
        let namespace = &self.namespace;
        match (self.stage(), &self.pods) {
            (Stage::Before, _) => format!(
                "nothing is installed in namespace {namespace} (labels {}), so this is about the cluster before",
                self.selector
            ),
            (_, Ok(pods)) => {
                let pods = counted(pods.len(), "pod");
                format!("the installation in namespace {namespace}, {pods}")
            }
            (_, Err(_)) => format!("the installation in namespace {namespace}"),
        }
    }
}

fn workload(
    kind: &str,
    name: String,
    spec: &PodSpec,
    (wanted, present): (i32, i32),
) -> Option<Workload> {
    let is_ours = containers(spec).any(|it| [PLANE, ENVOY].contains(&&*it.name));
    let host_ports = host_ports(spec).map(|(port, protocol)| (port, protocol.to_owned()));
    is_ours.then(|| Workload {
        name: format!("{kind}/{name}"),
        wanted,
        present,
        plane: Plane::of(spec),
        host_ports: host_ports.collect(),
    })
}

fn own_pod(pod: Pod) -> Option<OwnPod> {
    let spec = pod.spec?;
    let has = |name: &str| containers(&spec).any(|it| it.name == name);
    let (has_plane, has_envoy) = (has(PLANE), has(ENVOY));
    let status = pod.status.unwrap_or_default();
    let conditions = status.conditions.iter().flatten();
    let is_true = |kind: &str| {
        let mut of_kind = conditions.clone().filter(|it| it.type_ == kind);
        of_kind.any(|it| it.status == "True")
    };
    let unscheduled = conditions
        .clone()
        .find(|it| it.type_ == "PodScheduled" && it.status == "False")
        .and_then(|it| it.message.clone());
    let init = status.init_container_statuses.iter().flatten();
    let mut all = init.chain(status.container_statuses.iter().flatten());
    let waiting = all.find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        // What every pod goes through.
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let is_usual = ["", "PodInitializing", "ContainerCreating"].contains(&reason);
        (!is_usual).then(|| format!("its container {} waits: {reason}", container.name))
    });
    (has_plane || has_envoy).then(|| OwnPod {
        name: pod.metadata.name.unwrap_or_default(),
        has_plane,
        has_envoy,
        is_running: status.phase.as_deref() == Some("Running"),
        is_ready: is_true("Ready"),
        is_ending: pod.metadata.deletion_timestamp.is_some(),
        waits: unscheduled.or(waiting),
    })
}

/// Whether its pods are there and ready.
pub fn check(installation: &Installation) -> Checked {
    let namespace = &installation.namespace;
    let mut findings = Vec::new();
    let unknown = "whether pods of the installation are ready";
    match &installation.workloads {
        Ok(workloads) => {
            for workload in workloads {
                let Workload {
                    name,
                    wanted,
                    present,
                    ..
                } = workload;
                if present < wanted {
                    findings.push(Finding::error(
                        format!(
                            "{name} of namespace {namespace} is to have {wanted} pods and has {present}: what keeps them back is in \
                             its events (Pod Security, a quota)"
                        ),
                        format!("kubectl -n {namespace} describe {name}"),
                    ));
                }
            }
        }
        Err(unread) => findings.push(unread.finding("how the installation is started")),
    }
    let pods = match &installation.pods {
        Ok(pods) => &**pods,
        Err(unread) => {
            findings.push(unread.finding(unknown));
            &[]
        }
    };
    let mut unready = Vec::new();
    for pod in pods.iter().filter(|pod| !pod.is_ready && !pod.is_ending) {
        match &pod.waits {
            Some(why) => findings.push(Finding::error(
                format!(
                    "pod {} of namespace {namespace} does not start: {why}",
                    pod.name
                ),
                format!("kubectl -n {namespace} describe pod {}", pod.name),
            )),
            None => unready.push(pod),
        }
    }
    if let Some(first) = unready.first() {
        let names: Vec<String> = unready.iter().map(|pod| pod.name.clone()).collect();
        let container = if first.has_envoy { ENVOY } else { PLANE };
        findings.push(Finding::error(
            format!("not ready, of namespace {namespace}: {}", some_of(&names)),
            format!("kubectl -n {namespace} logs {} -c {container}", first.name),
        ));
    }
    let says = match installation.stage() {
        Stage::Before => "nothing is installed yet".to_owned(),
        _ => format!("{} ready", counted(pods.len(), "pod")),
    };
    Checked {
        name: "installation",
        says,
        findings,
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::{Unread, Why};
    use super::*;

    fn pod(name: &str, is_ready: bool, waits: Option<&str>) -> OwnPod {
        OwnPod {
            name: name.to_owned(),
            has_plane: true,
            has_envoy: true,
            is_running: true,
            is_ready,
            waits: waits.map(ToOwned::to_owned),
            ..OwnPod::default()
        }
    }

    fn installation(workloads: Read<Vec<Workload>>, pods: Read<Vec<OwnPod>>) -> Installation {
        Installation {
            namespace: "isobath".to_owned(),
            selector: "a=b".to_owned(),
            workloads,
            pods,
        }
    }

    fn workload(wanted: i32, present: i32) -> Workload {
        Workload {
            name: "daemonset/isobath".to_owned(),
            wanted,
            present,
            ..Workload::default()
        }
    }

    fn unread<T>() -> Read<T> {
        Err(Unread {
            verb: "list",
            resource: "pods".to_owned(),
            namespace: Some("isobath".to_owned()),
            why: Why::Forbidden,
        })
    }

    #[test]
    fn pods_are_there_and_ready_or_why_not() {
        let well = pod("a", true, None);
        let ending = OwnPod {
            is_ending: true,
            ..pod("old", false, None)
        };
        let check = |workloads, pods, stage: Stage, expected: &[(&str, &str)]| {
            let installation = installation(workloads, pods);
            assert_eq!(installation.stage(), stage);
            let found = check(&installation).findings;
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, (says, command)) in found.iter().zip(expected) {
                assert!(found.message.contains(says), "{found:?}");
                assert_eq!(found.command, *command);
            }
        };
        check(Ok(vec![]), Ok(vec![]), Stage::Before, &[]);
        let pods = Ok(vec![well.clone(), ending]);
        check(Ok(vec![workload(1, 1)]), pods, Stage::After, &[]);
        let forbidden = [
            (
                "how the installation is",
                "kubectl auth can-i list pods -n isobath",
            ),
            ("whether pods", "kubectl auth can-i list pods -n isobath"),
        ];
        check(unread(), unread(), Stage::Unknown, &forbidden);
        check(
            Ok(vec![workload(3, 1)]),
            Ok(vec![well]),
            Stage::After,
            &[(
                "daemonset/isobath of namespace isobath is to have 3 pods and has 1",
                "kubectl -n isobath describe daemonset/isobath",
            )],
        );
        check(
            Ok(vec![workload(3, 3)]),
            Ok(vec![
                pod("a", false, Some("1 node(s) didn't have free ports")),
                pod("b", false, None),
                pod("c", false, None),
            ]),
            Stage::After,
            &[
                (
                    "pod a of namespace isobath does not start: 1 node(s) didn't have free ports",
                    "kubectl -n isobath describe pod a",
                ),
                (
                    "not ready, of namespace isobath: b, c",
                    "kubectl -n isobath logs b -c envoy",
                ),
            ],
        );
    }

    #[test]
    fn flags_are_found_in_both_places() {
        let plane = Plane {
            account: "isobath".to_owned(),
            arguments: [
                "supervise",
                "--",
                "isobath",
                "serve",
                "--lease-name",
                "one",
                "--a=b",
                "--last",
            ]
            .map(String::from)
            .to_vec(),
            environment: vec![
                ("ISOBATH_LEASE_NAME".to_owned(), "two".to_owned()),
                ("ISOBATH_INGRESS_CLASS".to_owned(), "x, y".to_owned()),
            ],
        };
        assert_eq!(plane.flag("lease-name"), Some("one"));
        assert_eq!(plane.flag("a"), Some("b"));
        assert_eq!(plane.flag("last"), None);
        assert_eq!(plane.flag("lease"), None);
        assert_eq!(plane.list("ingress-class"), ["x", "y"]);
        assert!(plane.list("watch-namespaces").is_empty());
    }

    #[test]
    fn ports_of_the_host_are_those_of_its_network_too() {
        let spec = |spec| -> PodSpec { serde_json::from_value(spec).unwrap_or_default() };
        let ports = |of: &PodSpec| host_ports(of).map(|(port, _)| port).collect::<Vec<_>>();
        let containers = serde_json::json!([{"name": "a", "ports": [
            {"containerPort": 8080, "hostPort": 80}, {"containerPort": 8002},
        ]}]);
        let own = spec(serde_json::json!({"containers": containers}));
        assert_eq!(ports(&own), [80]);
        let of_host = spec(serde_json::json!({"containers": containers, "hostNetwork": true}));
        assert_eq!(ports(&of_host), [80, 8002]);
    }
}
