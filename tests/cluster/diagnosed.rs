//! `isobath doctor`, before an installation and after: each check with a cluster in order and with one that is not, and what it
//! says mends it does.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::check::Transport;
use crate::control_plane::kubectl;
use crate::installation::{HOME, Installation, becomes, cluster_service, our_site, slice};
use crate::refusals::spoil;
use crate::support::backend::Backend;
use crate::support::eventually::eventually;
use crate::support::isobath::BINARY;
use crate::support::network::{address, alone};
use crate::support::stand::Stand;
use crate::support::xds_proxy::XdsProxy;
use crate::waited::add_pods;

/// What `deploy/README.md` says that somebody needs who looks at everything.
const MAY_LOOK: &str = "[{apiGroups: [networking.k8s.io], resources: [ingresses, ingressclasses], verbs: [list]}, \
                        {apiGroups: [''], resources: [services, secrets, nodes, pods], verbs: [list]}, \
                        {apiGroups: [apps], resources: [daemonsets, deployments], verbs: [list]}, \
                        {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get]}, \
                        {apiGroups: [apiextensions.k8s.io], resources: [customresourcedefinitions], verbs: [get]}, \
                        {apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews], verbs: [create]}, \
                        {apiGroups: [''], resources: [pods/portforward], verbs: [create, get]}]";

/// Who is asked, as whom.
pub(crate) struct Doctor {
    kubeconfig: PathBuf,
    port: u16,
}

/// What is said of one check.
#[derive(Debug)]
struct Told {
    says: String,
    findings: Vec<(String, String)>,
}

impl Doctor {
    /// Standard output, standard error and the exit code.
    pub(crate) async fn run(&self, arguments: &[&str]) -> (String, String, i32) {
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(BINARY)
            .args(["doctor", "--installation-admin", &self.port.to_string()])
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .output()
            .await
            .unwrap();
        let [out, said] = [stdout, stderr].map(|it| String::from_utf8(it).unwrap());
        (out, said, status.code().unwrap())
    }

    async fn told(&self, check: &str) -> Told {
        let (out, said, code) = self.run(&["--output", "json"]).await;
        assert!([0, 1].contains(&code), "{said}");
        assert_eq!(said, "");
        let value: Value = serde_json::from_str(&out).unwrap();
        let checks = value["checks"].as_array().unwrap();
        let is_well = checks.iter().all(|it| it["findings"] == json!([]));
        assert_eq!(is_well, code == 0, "{out}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let found = checks.iter().find(|it| it["check"] == check);
        let found = found.unwrap_or_else(|| panic!("no {check} in {out}"));
        let findings = found["findings"].as_array().unwrap().iter();
        Told {
            says: text(&found["says"]),
            findings: findings
                .map(|it| (text(&it["message"]), text(&it["command"])))
                .collect(),
        }
    }

    /// What one check says becomes this: nothing is wrong.
    pub(crate) async fn becomes_well(&self, check: &str, says: &str) {
        eventually(&format!("{check} is well"), async || {
            let told = self.told(check).await;
            match told.findings.is_empty() && told.says.contains(says) {
                true => Ok(()),
                false => Err(format!("{told:?}")),
            }
        })
        .await;
    }

    /// What one check says becomes these findings, each by a part of its sentence; their commands.
    pub(crate) async fn becomes(&self, check: &str, parts: &[&str]) -> Vec<String> {
        let mut commands = Vec::new();
        eventually(&format!("{check} finds {parts:?}"), async || {
            let told = self.told(check).await;
            let pairs = told.findings.iter().zip(parts);
            let all = pairs.clone().all(|((says, _), part)| says.contains(part));
            commands = told.findings.iter().map(|it| it.1.clone()).collect();
            match all && told.findings.len() == parts.len() {
                true => Ok(()),
                false => Err(format!("{told:?}")),
            }
        })
        .await;
        commands
    }
}

/// Types a command as somebody who may do everything, in the folder of the checkout.
pub(crate) fn typed(cluster: &Installation, command: &str) {
    let programs = kubectl().parent().map(Path::to_owned).unwrap_or_default();
    let path = std::env::var("PATH").unwrap();
    let output = std::process::Command::new("sh")
        .args(["-c", command])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("KUBECONFIG", cluster.plane.kubeconfig("admin"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
}

pub(crate) fn doctor(cluster: &Installation, user: &str, port: u16) -> Doctor {
    Doctor {
        kubeconfig: cluster.plane.kubeconfig(user),
        port,
    }
}

#[test]
fn a_cluster_without_isobath() {
    alone(async || {
        let Some(cluster) = Installation::start().await else {
            return;
        };
        let admin = doctor(&cluster, "admin", 6060);
        let (out, said, code) = admin.run(&[]).await;
        assert_eq!((code, &*said), (0, ""), "{out}");
        for part in [
            "nothing is wrong: nothing is installed in namespace isobath",
            "\nok: API server v1.",
            "\nok: you have 10 rights [rights]\n",
        ] {
            assert!(out.contains(part), "{part:?}: {out}");
        }
        // The newest that was tried is the one that is here.
        assert!(!out.contains("newer than"), "{out}");
        // Who may nothing is told what could not be looked at, and what may not be installed.
        let nobody = doctor(&cluster, "nobody", 6060);
        let (out, said, code) = nobody.run(&["--context", "nobody"]).await;
        assert_eq!((code, &*said), (1, ""), "{out}");
        for part in [
            "unknown: you may not list nodes, so it is not known whether kubelets are new enough",
            "  $ kubectl --context=nobody auth can-i list nodes -A\n",
            "unknown: you may not list pods in namespace isobath, so",
        ] {
            assert!(out.contains(part), "{part:?}: {out}");
        }
        cluster.plane.grant(
            "looks",
            "[{apiGroups: ['', apps], resources: [pods, daemonsets, deployments], verbs: [list]}]",
        );
        let looks = doctor(&cluster, "looks", 6060);
        let says = "you may not create namespaces, clusterroles.rbac.authorization.k8s.io, ";
        looks.becomes("rights", &[says]).await;
        // Nobody there, and nobody who is let in.
        let elsewhere = cluster.plane.kubeconfig_at("admin", (address(7), 1).into());
        for (kubeconfig, says) in [
            (elsewhere, "isobath: can't ask the API server: "),
            (PathBuf::from("/none"), "isobath: no kubeconfig can be used"),
        ] {
            let doctor = Doctor {
                kubeconfig,
                port: 6060,
            };
            let (out, said, code) = doctor.run(&[]).await;
            assert_eq!((code, &*out), (2, ""), "{said}");
            assert!(
                said.starts_with(says) && said.lines().count() == 1,
                "{said}"
            );
        }
    });
}

#[test]
fn rights_are_asked_for_and_given() {
    alone(async || {
        let Some(cluster) = Installation::start().await else {
            return;
        };
        let _node = add_pods(&cluster).await;
        let admin = doctor(&cluster, "admin", 1);
        admin
            .becomes_well("rights", "ServiceAccount isobath/isobath has ")
            .await;
        // Each right that is taken away is found, and what the finding says gives it back.
        let taken = [
            (
                "clusterrole",
                "isobath",
                "[{apiGroups: [networking.k8s.io], resources: [ingresses, ingressclasses], verbs: [list, watch]}]",
            ),
            (
                "role",
                "isobath",
                "[{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}]",
            ),
        ];
        for (kind, name, rules) in taken {
            let rules: Value = serde_saphyr::from_str(rules).unwrap();
            let patch = json!({"rules": rules}).to_string();
            let line = [
                "-n",
                HOME,
                "patch",
                kind,
                name,
                "--type=merge",
                "-p",
                &patch,
            ];
            cluster.kubectl(&line, "");
        }
        let says = [
            "may not list, watch endpointslices.discovery.k8s.io: the control plane ends",
            "may not list, watch secrets: the control plane ends",
            "may not list, watch services: the control plane ends",
            "may not create, patch events.events.k8s.io: what it writes",
            "may not get ingresses.networking.k8s.io: what it writes",
            "may not patch ingresses.networking.k8s.io/status: what it writes",
            "may not get, update leases.coordination.k8s.io isobath in namespace isobath",
        ];
        for command in admin.becomes("rights", &says).await {
            typed(&cluster, &command);
        }
        admin
            .becomes_well("rights", "ServiceAccount isobath/isobath has ")
            .await;
        let kinds = "clusterrolebindings,rolebindings";
        let bindings = cluster.kubectl(&["-n", HOME, "get", kinds, "-o", "name"], "");
        for name in bindings.lines().filter(|it| it.contains("/isobath")) {
            cluster.kubectl(&["-n", HOME, "delete", name], "");
        }
        let commands = admin.becomes("rights", &["has none of the rights"]).await;
        typed(&cluster, &commands[0]);
        admin
            .becomes_well("rights", "ServiceAccount isobath/isobath has ")
            .await;
        // Who may not ask is told so once.
        cluster.plane.grant(
            "looks",
            "[{apiGroups: ['', apps], resources: [pods, daemonsets, deployments], verbs: [list]}]",
        );
        let looks = doctor(&cluster, "looks", 1);
        let says = "you may not create subjectaccessreviews.authorization.k8s.io, so";
        looks.becomes("rights", &[says]).await;
        let says = "you may not create pods/portforward in namespace isobath, so";
        looks.becomes("streams", &[says]).await;
    });
}

#[test]
fn an_installation_that_serves_and_one_that_does_not() {
    alone(async || {
        let Some(cluster) = Installation::start().await else {
            return;
        };
        let one = Backend::start_at("one", address(2)).await;
        cluster.apply(&[
            cluster_service("one"),
            slice("one", one.address()),
            our_site("web", "web.test", "one:80"),
        ]);
        let mut isobath = cluster.isobath("control-plane", &[]);
        let admin = doctor(&cluster, "admin", isobath.admin().port());
        let _node = add_pods(&cluster).await;
        // Nothing runs yet.
        let dead = ["pod control-plane: the control plane does not answer: can't connect"];
        admin.becomes("streams", &dead).await;
        admin
            .becomes("lease", &["there is no Lease isobath/isobath"])
            .await;
        let unready = ["not ready, of namespace isobath: control-plane, envoy"];
        admin.becomes("installation", &unready).await;

        isobath.restart().await;
        let apart = ["no Envoy is connected to any control plane"];
        admin.becomes("streams", &apart).await;
        let proxy = XdsProxy::start(isobath.directory(), &isobath.xds());
        proxy.rewrite(spoil);
        let mut stand = Stand::behind(isobath, proxy.socket(), &[]).await;
        becomes(&stand, Transport::Http1, "web.test", "/", "one").await;
        let served = "1 Envoy of 1 control plane connected, all acknowledged";
        admin.becomes_well("streams", served).await;
        admin
            .becomes_well("lease", "control-plane holds Lease isobath/isobath")
            .await;
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        for pod in ["control-plane", "envoy"] {
            cluster.plane.patch_status(HOME, "pod", pod, &ready);
        }
        admin.becomes_well("installation", "2 pods ready").await;

        // By the rights that the documentation names, everything is looked at.
        cluster.plane.grant("operator", MAY_LOOK);
        let operator = doctor(&cluster, "operator", admin.port);
        let (out, said, _) = operator.run(&[]).await;
        assert!(!out.contains("unknown") && said.is_empty(), "{out}{said}");

        // What Envoy refuses is told of its object.
        cluster.apply(&[
            cluster_service("bad"),
            slice("bad", one.address()),
            our_site("bad", "bad.test", "bad:80"),
        ]);
        let refused = ["Envoy refuses cds default/bad/80, which is made of Service default/bad"];
        let commands = admin.becomes("streams", &refused).await;
        assert_eq!(commands, ["kubectl -n default describe service bad"]);
        cluster.delete("ingress", "bad");
        admin.becomes_well("streams", served).await;

        // An Envoy that stands still has an old state.
        let envoy = stand.envoy.process().pid();
        nix::sys::signal::kill(envoy, nix::sys::signal::Signal::SIGSTOP).unwrap();
        cluster.apply(&[our_site("more", "more.test", "one:80")]);
        let behind = ["acknowledges none: it serves an old state"];
        admin.becomes("streams", &behind).await;
        nix::sys::signal::kill(envoy, nix::sys::signal::Signal::SIGCONT).unwrap();
        admin.becomes_well("streams", served).await;

        // A Lease that somebody else has, and one that nobody renews.
        stand.isobath.kill().await;
        let lease = |holder: &str, renewed: &str| {
            let spec = json!({"spec": {"holderIdentity": holder, "renewTime": renewed}});
            let patch = spec.to_string();
            let line = [
                "-n",
                HOME,
                "patch",
                "lease",
                "isobath",
                "--type=merge",
                "-p",
                &patch,
            ];
            cluster.kubectl(&line, "");
        };
        lease("control-plane_1", "2020-01-01T00:00:00.000000Z");
        let stale = ["control-plane holds Lease isobath/isobath and has not renewed it for"];
        admin.becomes("lease", &stale).await;
        lease("other_1", "2120-01-01T00:00:00.000000Z");
        let others = ["is held by other, which is no pod of this installation"];
        admin.becomes("lease", &others).await;
        stand.envoy.kill().await;
    });
}
