//! The cluster: a control plane with the definitions, a node, and Isobath with exactly the rights that `deploy/` gives.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde_json::json;

use crate::control_plane::{ADMIN, ControlPlane};
use crate::kubelet::Kubelet;
use crate::pod::Program;
use crate::suite::Suite;
use crate::support::eventually::eventually;
use crate::support::network::{address, alone};

/// Where the one node listens.
const NODE: Ipv4Addr = address(2);

/// A cluster without a controller of Gateways.
pub(crate) struct World {
    pub(crate) plane: ControlPlane,
    _kubelet: Kubelet,
}

impl World {
    /// `None`: the control plane's programs are missing and this is not CI.
    pub(crate) async fn start(suite: &Suite, channel: &str) -> Option<Self> {
        let mut plane = ControlPlane::start().await?;
        let mut files: Vec<PathBuf> = fs::read_dir(suite.crds(channel))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        for file in &files {
            // Too large for the annotation of an apply on the client's side.
            let line = ["apply", "--server-side", "-f", file.to_str().unwrap()];
            plane.kubectl(ADMIN, &line, "");
        }
        let line = ["wait", "--for=condition=Established", "crd", "--all"];
        plane.kubectl_wait(ADMIN, &line);
        plane.start_controller_manager();
        let client = plane.client(ADMIN).await;
        let echo = Program::EchoBasic(suite.echo_basic());
        let kubelet = Kubelet::start(client, NODE, plane.authority(), echo).await;
        Some(Self {
            plane,
            _kubelet: kubelet,
        })
    }

    /// Puts in what `deploy/base` has besides the pods; a kubeconfig of its ServiceAccount.
    pub(crate) fn install(&self) -> PathBuf {
        for file in ["namespace", "rbac", "ingressclass"] {
            let path = format!("{}/deploy/base/{file}.yaml", env!("CARGO_MANIFEST_DIR"));
            self.plane.kubectl(ADMIN, &["apply", "-f", &path], "");
        }
        let class = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/gateway-api");
        self.plane.kubectl(ADMIN, &["apply", "-k", class], "");
        let line = [
            "-n",
            "isobath",
            "create",
            "token",
            "isobath",
            "--duration=2h",
        ];
        let token = self.plane.dir().join("token");
        fs::write(&token, self.plane.kubectl(ADMIN, &line, "").trim()).unwrap();
        self.plane
            .kubeconfig_with_token_file("isobath", self.plane.address(), &token)
    }

    /// A kubeconfig of who may do everything.
    pub(crate) fn admin(&self) -> PathBuf {
        self.plane.kubeconfig(ADMIN)
    }
}

#[test]
fn a_deployment_answers_and_says_so() {
    alone(async || {
        let Some(suite) = Suite::find() else {
            return;
        };
        let Some(world) = World::start(&suite, "standard").await else {
            return;
        };
        let kubectl = |line: &[&str], stdin: &str| world.plane.kubectl(ADMIN, line, stdin);
        let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{
                        "name": "web", "image": "echo-basic",
                        "env": [
                            {"name": "POD_NAME", "valueFrom": field("metadata.name")},
                            {"name": "NAMESPACE", "valueFrom": field("metadata.namespace")},
                        ],
                    }]},
                },
            },
        });
        kubectl(&["apply", "-f", "-"], &deployment.to_string());
        world.plane.kubectl_wait(
            ADMIN,
            &[
                "wait",
                "--for=condition=Available",
                "--timeout=60s",
                "deployment/web",
            ],
        );
        let template = "jsonpath={range .items[*]}{.metadata.name} {.status.podIP}{\"\\n\"}{end}";
        let pods = kubectl(&["get", "pods", "-l", "app=web", "-o", template], "");
        let pods: Vec<_> = pods
            .lines()
            .filter_map(|line| line.split_once(' '))
            .collect();
        assert_eq!(pods.len(), 2, "{pods:?}");
        for (name, ip) in &pods {
            let address = (ip.parse::<Ipv4Addr>().unwrap(), 3000).into();
            eventually("the pod answers", async || {
                match get(address, "/of-a-test").await {
                    Ok(answer) if answer.contains(&format!("\"pod\": \"{name}\"")) => Ok(()),
                    Ok(other) | Err(other) => Err(other),
                }
            })
            .await;
            eventually("it is in its log", async || {
                let line = ["logs", name, "--since=1m"];
                match world.plane.try_kubectl(ADMIN, &line, "") {
                    Ok(log) if log.contains("Echoing back request made to /of-a-test") => Ok(()),
                    Ok(other) | Err(other) => Err(other),
                }
            })
            .await;
        }
        kubectl(&["delete", "deployment", "web", "--wait=false"], "");
        eventually("the pods are gone", async || {
            match kubectl(&["get", "pods", "-l", "app=web", "-o", "name"], "") {
                none if none.is_empty() => Ok(()),
                some => Err(some),
            }
        })
        .await;
    });
}

async fn get(address: std::net::SocketAddr, path: &str) -> Result<String, String> {
    use crate::support::client::{Version, get};
    let answer = get(address, Version::H1, None, "web", path).await;
    let answer = answer.map_err(|error| format!("{error:?}"))?;
    Ok(answer.text().to_string())
}
