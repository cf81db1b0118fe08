//! Who else is in the cluster: pods and DaemonSets of others that take ports of nodes, Services with node ports, and other
//! installations of Isobath.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Pod, PodSpec, Service};
use kube::api::{Api, ListParams};

use super::installation::{Installation, Plane, host_ports};
use super::read::{Of, Read, list};

/// What is known of them.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Ports of nodes that are taken.
    pub taken: Read<Vec<Taken>>,
    /// What DaemonSets want to take, be their pods there or not.
    pub wanted: Read<Vec<Taken>>,
    /// Node ports, each with its Service as NAMESPACE/NAME.
    pub node_ports: Read<Vec<(u16, String)>>,
    /// Other installations.
    pub rivals: Read<Vec<Rival>>,
}

/// Ports of a node that are taken, or of any node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// By whom: `DaemonSet kube-system/proxy`, or a pod without one.
    pub holder: String,
    /// Where; `None` for wherever its pods will be.
    pub node: Option<String>,
    /// Ports, each with its protocol.
    pub ports: Vec<(u16, String)>,
}

/// A control plane of another installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rival {
    /// Its namespace.
    pub namespace: String,
    /// What it is started with.
    pub plane: Plane,
}

/// Asks.
pub async fn ask(client: &kube::Client, installation: &Installation) -> Facts {
    let all = |resource| Of {
        resource,
        namespace: None,
    };
    let any = ListParams::default();
    let own = &*installation.namespace;
    let pods: Api<Pod> = Api::all(client.clone());
    let pods = list(pods, all("pods"), any.clone(), |pod| neighbour(pod, own));
    let sets: Api<DaemonSet> = Api::all(client.clone());
    let sets = list(sets, all("daemonsets.apps"), any.clone(), |set| {
        let namespace = set.metadata.namespace?;
        if namespace == own {
            return None;
        }
        let ports = ports(&set.spec?.template.spec?);
        (!ports.is_empty()).then(|| Taken {
            holder: format!(
                "DaemonSet {namespace}/{}",
                set.metadata.name.unwrap_or_default()
            ),
            node: None,
            ports,
        })
    });
    let services: Api<Service> = Api::all(client.clone());
    let services = list(services, all("services"), any, |service| {
        let (namespace, name) = (service.metadata.namespace?, service.metadata.name?);
        let ports = service.spec?.ports.unwrap_or_default();
        let ports = ports
            .iter()
            .filter_map(|it| u16::try_from(it.node_port?).ok());
        let path = format!("{namespace}/{name}");
        Some(ports.map(|port| (port, path.clone())).collect::<Vec<_>>())
    });
    let (pods, wanted, services) = tokio::join!(pods, sets, services);
    let (taken, rivals) = match pods {
        Ok(pods) => {
            let (taken, rivals): (Vec<_>, Vec<_>) = pods.into_iter().unzip();
            let taken = taken.into_iter().flatten().collect();
            (Ok(taken), Ok(rivals.into_iter().flatten().collect()))
        }
        Err(unread) => (Err(unread.clone()), Err(unread)),
    };
    Facts {
        taken,
        wanted,
        node_ports: services.map(|all| all.into_iter().flatten().collect()),
        rivals,
    }
}

fn ports(spec: &PodSpec) -> Vec<(u16, String)> {
    let ports = host_ports(spec).map(|(port, protocol)| (port, protocol.to_owned()));
    ports.collect()
}

/// What a pod of others takes, and whether it is an Isobath.
fn neighbour(pod: Pod, own: &str) -> Option<(Option<Taken>, Option<Rival>)> {
    let namespace = pod.metadata.namespace?;
    let name = pod.metadata.name.unwrap_or_default();
    let spec = pod.spec?;
    let labels = pod.metadata.labels.unwrap_or_default();
    let is_isobath = labels
        .get("app.kubernetes.io/name")
        .is_some_and(|it| it == "isobath");
    let phase = pod.status.and_then(|it| it.phase).unwrap_or_default();
    let is_over = ["Succeeded", "Failed"].contains(&&*phase);
    if namespace == own || is_over {
        return None;
    }
    let plane = Plane::of(&spec).filter(|_| is_isobath);
    let ports = ports(&spec);
    let owners = pod.metadata.owner_references.unwrap_or_default();
    let set = owners.iter().find(|it| it.kind == "DaemonSet");
    let holder = match set {
        Some(set) => format!("DaemonSet {namespace}/{}", set.name),
        None => format!("Pod {namespace}/{name}"),
    };
    let node = spec.node_name.clone();
    let taken = (!ports.is_empty() && node.is_some()).then_some(Taken {
        holder,
        node,
        ports,
    });
    let rival = plane.map(|plane| Rival { namespace, plane });
    (taken.is_some() || rival.is_some()).then_some((taken, rival))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn pods_of_others_take_ports() {
        let pod = |namespace: &str, phase: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": {
                    "namespace": namespace, "name": "proxy-1",
                    "labels": {"app.kubernetes.io/name": "isobath"},
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "proxy", "uid": "1"}],
                },
                "spec": {"nodeName": "n1", "containers": [
                    {"name": "isobath", "args": ["serve"], "ports": [{"containerPort": 1, "hostPort": 80}]},
                ]},
                "status": {"phase": phase},
            }))
            .unwrap()
        };
        let (taken, rival) = neighbour(pod("other", "Running"), "isobath").unwrap();
        let taken = taken.unwrap();
        assert_eq!(
            (&*taken.holder, taken.node.as_deref()),
            ("DaemonSet other/proxy", Some("n1"))
        );
        assert_eq!(taken.ports, [(80, "TCP".to_owned())]);
        assert_eq!(rival.unwrap().plane.arguments, ["serve"]);
        assert_eq!(neighbour(pod("isobath", "Running"), "isobath"), None);
        assert_eq!(neighbour(pod("other", "Succeeded"), "isobath"), None);
    }
}
