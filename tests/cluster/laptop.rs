//! `isobath run --context`: a developer's laptop beside a live cluster, with the rights of somebody who may look.

use std::process::Command;

use crate::check::word;
use crate::installation::{Installation, cluster_service, our_site, slice};
use crate::support::backend::Backend;
use crate::support::client::Version;
use crate::support::envoy;
use crate::support::eventually::eventually;
use crate::support::isobath::BINARY;
use crate::support::network::{address, alone};
use crate::support::port::Port;
use crate::support::process::Process;

const MAY_LOOK: &str = "[{apiGroups: ['', networking.k8s.io, discovery.k8s.io], resources: ['*'], verbs: [list, watch]}]";

#[test]
fn live_objects_and_a_backend_of_the_laptop() {
    alone(async || {
        let Some(cluster) = Installation::start().await else {
            return;
        };
        let live = Backend::start_at("live", address(2)).await;
        let local = Backend::start("local").await;
        cluster.apply(&[
            cluster_service("live"),
            cluster_service("web"),
            slice("live", live.address()),
            slice("web", live.address()),
            our_site("live", "live.test", "live:80"),
            our_site("web", "web.test", "web:80"),
        ]);
        cluster.plane.grant("developer", MAY_LOOK);
        let kubeconfig = cluster.plane.kubeconfig("developer");
        // As kubectl users have it: the file by the environment, one of its contexts by name.
        let text = std::fs::read_to_string(&kubeconfig).unwrap();
        let text = text.replace("current-context: developer", "current-context: elsewhere");
        std::fs::write(&kubeconfig, text).unwrap();
        let (http, https, stats) = (Port::take(), Port::take(), Port::take());
        let mut command = Command::new(BINARY);
        command
            .args(["run", "--context", "developer"])
            .env("KUBECONFIG", &kubeconfig)
            .args(["--backend", &format!("web={}", local.address())])
            .arg("--envoy")
            .arg(envoy::binary())
            .args(["--envoy-http-address", &http.address().to_string()])
            .args(["--envoy-https-address", &https.address().to_string()])
            .args(["--envoy-stats-address", &stats.address().to_string()]);
        let output = cluster.plane.dir().join("run.log");
        let mut run = Process::start("isobath run", &mut command, &output);
        let becomes = async |run: &mut Process, host: &str, want: &str| {
            eventually(&format!("{host} is {want}"), async || {
                run.assert_running();
                match word(http.address(), Version::H1, None, host, "/").await {
                    got if got == want => Ok(()),
                    got => Err(got),
                }
            })
            .await;
        };
        becomes(&mut run, "live.test", "live").await;
        becomes(&mut run, "web.test", "local").await;
        // It follows the cluster, and the cluster does not notice.
        cluster.apply(&[our_site("live", "live.test", "web:80")]);
        becomes(&mut run, "live.test", "local").await;
        cluster.delete("ingress", "web");
        becomes(&mut run, "web.test", "404").await;
        let status = "jsonpath={.items[*].status.loadBalancer}";
        let written = cluster.kubectl(&["get", "ingresses", "-o", status], "");
        assert_eq!(written, "{}");
    });
}
