//! `isobath wait`: it asks the pods through the API server, by port-forward, and what it says is live is answered at once.

use std::path::Path;
use std::process::Output;

use serde_json::json;
use tokio::process::Command;

use crate::check::{Transport, answer};
use crate::installation::{HOME, Installation, becomes, cluster_service, our_site, slice};
use crate::node::NodeServer;
use crate::port_forward;
use crate::refusals::spoil;
use crate::support::backend::Backend;
use crate::support::isobath::BINARY;
use crate::support::network::{address, alone};
use crate::support::stand::Stand;
use crate::support::xds_proxy::XdsProxy;

/// What somebody needs who waits.
const MAY_WAIT: &str = "[{apiGroups: ['', networking.k8s.io], resources: [services, ingresses, secrets], verbs: [get]}, \
                        {apiGroups: [''], resources: [pods], verbs: [list]}, \
                        {apiGroups: [''], resources: [pods/portforward], verbs: [create, get]}]";

/// A pod with a control plane, and one with an Envoy only, on a node that carries ports.
pub(crate) async fn add_pods(cluster: &Installation) -> NodeServer {
    let identity = cluster.plane.authority().server();
    let node = NodeServer::start(address(9), &identity, port_forward::answer).await;
    let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"}});
    cluster.kubectl(&["apply", "-f", "-"], &object.to_string());
    cluster
        .plane
        .patch_status("", "node", "node", &node.status());
    for (name, container) in [("control-plane", "isobath"), ("envoy", "envoy")] {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "namespace": HOME, "name": name,
                "labels": {"app.kubernetes.io/name": "isobath"},
            },
            "spec": {
                "nodeName": "node", "automountServiceAccountToken": false,
                "serviceAccountName": "isobath",
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 1,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": container, "image": "isobath",
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                    },
                }],
            },
        });
        cluster.kubectl(&["apply", "-f", "-"], &pod.to_string());
        let ip = "127.0.0.1";
        let status = json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]});
        cluster.plane.patch_status(HOME, "pod", name, &status);
    }
    node
}

struct Waits<'a> {
    kubeconfig: &'a Path,
    port: u16,
}

impl Waits<'_> {
    /// Standard output, standard error and the exit code.
    async fn wait(&self, arguments: &[&str]) -> (String, String, i32) {
        let port = self.port.to_string();
        let defaults = [("--installation-admin", &*port), ("--timeout", "30s")];
        let defaults = defaults
            .into_iter()
            .filter(|(flag, _)| !arguments.contains(flag));
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(BINARY)
            .arg("wait")
            .args(defaults.flat_map(|(flag, value)| [flag, value]))
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig)
            .output()
            .await
            .unwrap();
        let [out, said] = [stdout, stderr].map(|it| String::from_utf8(it).unwrap());
        (out, said, status.code().unwrap())
    }
}

#[test]
fn what_is_live_is_answered() {
    alone(async || {
        let Some(cluster) = Installation::start().await else {
            return;
        };
        let one = Backend::start_at("one", address(2)).await;
        let two = Backend::start_at("two", address(3)).await;
        cluster.apply(&[
            cluster_service("one"),
            slice("one", one.address()),
            cluster_service("two"),
            slice("two", two.address()),
            cluster_service("bad"),
            slice("bad", one.address()),
            our_site("web", "web.test", "one:80"),
            our_site("bad", "bad.test", "bad:80"),
        ]);
        let mut isobath = cluster.isobath("pod", &[]);
        isobath.restart().await;
        let _node = add_pods(&cluster).await;
        cluster.plane.grant("deployer", MAY_WAIT);
        let kubeconfig = cluster.plane.kubeconfig("deployer");
        let waits = Waits {
            kubeconfig: &kubeconfig,
            port: isobath.admin().port(),
        };
        let (out, said, code) = waits.wait(&["ing/web", "--timeout", "1s"]).await;
        assert_eq!((code, &*out), (1, ""), "{said}");
        let says = "not live within 1s: control-plane: its Envoy is not connected";
        assert!(said.contains(says), "{said}");

        let proxy = XdsProxy::start(isobath.directory(), &isobath.xds());
        proxy.rewrite(spoil);
        let stand = Stand::behind(isobath, proxy.socket(), &[]).await;
        becomes(&stand, Transport::Http1, "web.test", "/", "one").await;
        let live = "Ingress default/web is live: 1 Envoy of 1 control plane\n";
        let (out, said, code) = waits.wait(&["ingress/web"]).await;
        assert_eq!((code, &*out, &*said), (0, live, ""));
        // No look is too early from then on.
        for backend in ["two", "one", "two"] {
            cluster.apply(&[our_site("web", "web.test", &format!("{backend}:80"))]);
            let (out, said, code) = waits.wait(&["ingress/web", "svc/two"]).await;
            assert_eq!((code, &*said), (0, ""), "{out}");
            assert!(out.starts_with(live), "{out}");
            let got = answer(&stand, Transport::Http1, "web.test", "/").await;
            assert_eq!(got, backend);
            let metrics = stand.isobath.metrics().await;
            assert!(metrics["isobath_xds_unacknowledged_snapshots"] < 1.0);
        }
        // What is wrong with it is said, though all that can be served of it is.
        cluster.apply(&[our_site("lost", "lost.test", "nowhere:80")]);
        let (out, _, code) = waits.wait(&["ingress/lost"]).await;
        assert_eq!(code, 0, "{out}");
        assert!(
            out.contains("  ! Service default/nowhere does not exist"),
            "{out}"
        );

        for (arguments, code, says) in [
            (
                &["svc/bad"][..],
                1,
                "refuses cds default/bad/80, and goes without",
            ),
            (&["ingress/none"], 1, "can't get Ingress default/none"),
            (&["pod/web"], 2, "Isobath reads no objects of kind \"pod\""),
            (&["web"], 2, "is no KIND/NAME"),
            (
                &[
                    "ingress/web",
                    "--installation-selector",
                    "a=b",
                    "--timeout",
                    "1s",
                ],
                1,
                "no pod of the installation is in namespace isobath (labels a=b)",
            ),
            (
                &[
                    "ingress/web",
                    "--installation-admin",
                    "1",
                    "--timeout",
                    "1s",
                ],
                1,
                "control-plane can't be asked",
            ),
        ] {
            let (out, said, got) = waits.wait(arguments).await;
            assert_eq!((got, &*out), (code, ""), "{arguments:?}: {said}");
            assert!(said.contains(says), "{arguments:?}: {said}");
        }
        let nobody = Waits {
            kubeconfig: &cluster.plane.kubeconfig("nobody"),
            ..waits
        };
        let (_, said, code) = nobody.wait(&["ingress/web"]).await;
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("forbidden"), "{said}");
        stand.envoy.kill().await;
    });
}
