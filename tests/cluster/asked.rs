//! `isobath explain` and `isobath diff` beside a live cluster, as plugins of kubectl, with the rights of somebody who may look.

use std::path::Path;
use std::process::Command;

use crate::control_plane::kubectl;
use crate::installation::{Installation, cluster_service, our_site, slice};
use crate::support::backend::Backend;
use crate::support::isobath::BINARY;
use crate::support::manifest::text;
use crate::support::network::{address, alone};

const MAY_LOOK: &str = "[{apiGroups: ['', networking.k8s.io, discovery.k8s.io], resources: ['*'], verbs: [list, watch]}]";

/// What is printed, what is said besides, and the exit code.
fn plugin(kubeconfig: &Path, folder: &Path, arguments: &[&str]) -> (String, String, i32) {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(kubectl())
        .arg("isobath")
        .args(arguments)
        .current_dir(folder)
        .env("KUBECONFIG", kubeconfig)
        .env("PATH", format!("{}:{path}", folder.display()))
        .output()
        .unwrap();
    let [out, said] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    (out, said, output.status.code().unwrap())
}

#[test]
fn a_live_cluster_is_asked() {
    alone(async || {
        let Some(cluster) = Installation::start().await else {
            return;
        };
        let live = Backend::start_at("live", address(2)).await;
        cluster.apply(&[
            cluster_service("web"),
            slice("web", live.address()),
            our_site("web", "web.test", "web:80"),
        ]);
        cluster.plane.grant("developer", MAY_LOOK);
        let kubeconfig = cluster.plane.kubeconfig("developer");
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        std::os::unix::fs::symlink(BINARY, folder.join("kubectl-isobath")).unwrap();
        let ask = |arguments: &[&str]| plugin(&kubeconfig, folder, arguments);

        let (help, _, _) = ask(&["explain", "--help"]);
        assert!(help.contains("Usage: kubectl isobath explain"), "{help}");

        let (out, said, code) = ask(&["explain", "http://web.test/a", "http://other.test/"]);
        assert_eq!((code, &*said), (0, ""), "{out}");
        let endpoint = live.address().to_string();
        for part in [&*endpoint, "[Ingress default/web", "404 from Envoy"] {
            assert!(out.contains(part), "{part:?}: {out}");
        }
        // Who has no rights is told so, by the server's own words.
        let nobody = cluster.plane.kubeconfig("nobody");
        let (_, said, code) = plugin(&nobody, folder, &["explain", "http://web.test/"]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("forbidden"), "{said}");

        let changed = text(&[our_site("web", "web.test", "missing:80")]);
        std::fs::write(folder.join("changed.yaml"), changed).unwrap();
        let (out, said, code) = ask(&["diff", "changed.yaml"]);
        assert_eq!((code, &*said), (1, ""), "{out}");
        for part in [
            "~ http://web.test",
            "of default/web/80 → 503: no back end can be used",
            "Service default/missing does not exist (changed.yaml:",
        ] {
            assert!(out.contains(part), "{part:?}: {out}");
        }
        let same = text(&[our_site("web", "web.test", "web:80")]);
        std::fs::write(folder.join("changed.yaml"), same).unwrap();
        let (out, said, code) = ask(&["diff", "changed.yaml"]);
        assert_eq!((code, &*said), (0, ""), "{out}");
        assert_eq!(out, "No difference for clients or for Envoy\n");
    });
}
