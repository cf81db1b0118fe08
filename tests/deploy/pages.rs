//! What the pages tell people to type runs: on a real API server with the real kubectl, with the pod of the manifests
//! as processes behind a stand-in for its kubelet. A command that is in neither list below fails the test, and so does
//! one in a list that no page has any more.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::control_plane::{ADMIN, ControlPlane, kubectl};
use crate::kubelet::{self, NODE};
use crate::local_pod::LocalPod;
use crate::manifest::{PAGES, deploy, read, rendered, workloads};
use crate::namespace::{NEAR, Namespace};
use crate::node::NodeServer;
use crate::support::backend::Backend;
use crate::support::eventually::eventually;
use crate::support::manifest::{self, site};
use crate::support::network::{address, alone, mount_empty};
use crate::support::process::Process;

/// What a page calls a pod, and the pod's name here.
const PLACEHOLDER: &str = " POD ";
const POD: &str = "isobath-x7k2p";

/// Commands, and what their output has; of the first that begins so. Those of a page run in its order, first page first.
const RUN: [(&str, &str); 21] = [
    (
        "kubectl apply -k deploy/overlays/hostport",
        "daemonset.apps/isobath ",
    ),
    (
        "kubectl apply -f deploy/rendered/hostport.yaml",
        "daemonset.apps/isobath ",
    ),
    ("kubectl apply -k deploy/monitoring", "prometheusrule"),
    (
        "kubectl apply -k deploy/overlays/nodeport",
        "service/isobath-envoy ",
    ),
    (
        "kubectl -n isobath rollout status daemonset/isobath",
        "successfully rolled out",
    ),
    (
        "kubectl create deployment web ",
        "deployment.apps/web created",
    ),
    ("kubectl expose deployment web ", "service/web exposed"),
    (
        "kubectl create ingress web ",
        "ingress.networking.k8s.io/web created",
    ),
    (
        "curl http://web.localhost/hostname",
        r#""path":"/hostname""#,
    ),
    (
        "kubectl apply -k deploy/overlays/loadbalancer",
        "service/isobath-envoy ",
    ),
    (
        "kubectl apply -f deploy/rendered/deployment.yaml",
        "deployment.apps/isobath ",
    ),
    (
        "kubectl apply -k deploy/overlays/deployment/cert-manager",
        "certificate",
    ),
    (
        "sh deploy/overlays/deployment/certificates.sh | kubectl apply -f -",
        "secret/isobath-xds-server ",
    ),
    (
        "kubectl -n isobath rollout restart daemonset/isobath-envoy",
        "restarted",
    ),
    (
        "kubectl get ingress -A -o json | jq -r ",
        "shared.test: one, two\n",
    ),
    ("kubectl get ingress -A", "shared.test"),
    ("kubectl describe ingress", "web.localhost"),
    ("kubectl get endpointslices", "web-by-hand"),
    ("kubectl -n isobath logs POD -c isobath", "isobath::"),
    ("kubectl get pods -A -o custom-columns=", "80,443,8002"),
    (
        "kubectl -n isobath exec POD -c isobath -- /usr/local/bin/isobath xds ",
        "--- # ",
    ),
];

/// Runs until it is ended.
const FORWARD: &str = "kubectl -n isobath port-forward POD 6060";

/// Commands that are a part of one only, or none of ours; the reason stands beside.
const NAMED: [&str; 20] = [
    // What is meant is typed elsewhere on the page.
    "kubectl apply",
    "kubectl port-forward",
    "kubectl get --raw …/proxy/metrics",
    "isobath COMMAND --help",
    "curl -k",
    // Other programs, and what they do with us; an image is built and started by `make test-image`.
    "cd deploy/overlays/hostport",
    "kustomize edit set image isobath=registry.example.com/isobath:0.1.0",
    "kind create cluster --config kind.yaml",
    "make image && kind load docker-image isobath:0.1.0",
    "kustomize build",
    "kind load",
    // What it changes is the node's.
    "sysctl -w net.ipv4.ip_unprivileged_port_start=80",
    "kubectl drain --ignore-daemonsets",
    // The conformance suite's cluster has the definitions, and applies it.
    "kubectl apply -k deploy/gateway-api",
    // The conformance suite asks its Gateways by address.
    "curl --connect-to HOST:443:ADDRESS:443 https://HOST/",
    // Of whatever chart the reader has.
    "helm template",
    // The tests of the chart install it.
    "helm install isobath deploy/helm/isobath --namespace isobath --create-namespace --set mode=hostport",
    // The tests of the cluster (`asked`) run it.
    "kubectl isobath explain …",
    // The tests of the program (`log_level`) ask for it.
    "curl -X PUT 'localhost:6060/debug/log?level=debug&for=10m'",
    // A protocol, as an example of one.
    "kubectl exec",
];

/// Programs that a command begins with.
const PROGRAMS: [&str; 10] = [
    "kubectl",
    "helm",
    "curl",
    "sh",
    "isobath",
    "make",
    "kind",
    "sysctl",
    "kustomize",
    "cd",
];

/// The commands of a page, in its order: blocks of `sh`, and what stands between back-ticks.
fn commands(page: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (at, part) in page.split("```").enumerate() {
        if at % 2 == 0 {
            let spans = part.split('`').skip(1).step_by(2);
            let spans = spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "));
            found.extend(spans.filter(|span| span.contains(' ') && is_command(span)));
        } else if let Some(block) = part.strip_prefix("sh\n") {
            // A line that is indented goes on with the one before.
            for line in block.replace("\n  ", " ").lines() {
                let line = line.split("  #").next().unwrap().trim_end();
                assert!(is_command(line), "{line:?} begins with no known program");
                found.push(line.to_owned());
            }
        }
    }
    found
}

fn is_command(text: &str) -> bool {
    PROGRAMS.contains(&text.split(' ').next().unwrap())
}

/// What a command of [`RUN`] must say; `None` for those that are not run.
fn expected(command: &str) -> Option<&'static str> {
    let mut entries = RUN.iter().filter(|(begin, _)| command.starts_with(begin));
    entries.next().map(|(_, said)| *said)
}

/// Isobath's own commands are ones that the program has, and `make`'s are targets.
fn is_there(command: &str) {
    let words: Vec<_> = command.split(' ').collect();
    match words[0] {
        "isobath" => {
            let output = Command::new(env!("CARGO_BIN_EXE_isobath"))
                .args([words[1], "--help"])
                .output()
                .unwrap();
            assert!(output.status.success(), "{command}: {output:?}");
        }
        "make" => {
            let makefile = read("Makefile");
            let line = format!("\n{}:", words[1]);
            assert!(
                makefile.contains(&line),
                "{command}: there is no {}",
                words[1]
            );
            for (variable, _) in words[2..].iter().filter_map(|word| word.split_once('=')) {
                assert!(makefile.contains(&format!("$({variable})")), "{command}");
            }
        }
        _ => panic!(
            "nothing runs {command:?} of a page: it belongs into a list of tests/deploy/pages.rs"
        ),
    }
}

#[test]
fn every_command_is_run_or_said_not_to_be() {
    let pages = PAGES.map(read);
    let all: Vec<String> = pages.iter().flat_map(|page| commands(page)).collect();
    let named: BTreeSet<&str> = NAMED.into();
    for command in &all {
        if expected(command).is_none() && command != FORWARD && !named.contains(&**command) {
            is_there(command);
        }
    }
    for (begin, _) in RUN {
        assert!(
            all.iter().any(|command| command.starts_with(begin)),
            "no page has {begin:?}"
        );
    }
    for command in NAMED.iter().chain([&FORWARD]) {
        assert!(
            all.iter().any(|found| found == command),
            "no page has {command:?}"
        );
    }
}

/// The API server, and a pod of its DaemonSet on a node.
struct Stand {
    plane: ControlPlane,
    pod: Arc<LocalPod>,
    backend: Backend,
    served: tempfile::TempDir,
    _kubelet: NodeServer,
}

impl Stand {
    /// `None`: the control plane's programs are missing and this is not CI.
    async fn start() -> Option<Self> {
        let plane = ControlPlane::start().await?;
        let namespace = Namespace::make();
        let served = tempfile::tempdir().unwrap();
        let environment = [("ISOBATH_MANIFESTS", served.path().to_owned())];
        let pod = Arc::new(LocalPod::start_in(namespace, &environment).await);
        // Where the program looks for its own socket.
        mount_empty("/run");
        std::os::unix::fs::symlink(pod.folder(), "/run/isobath").unwrap();
        let identity = plane.authority().server();
        let kubelet = kubelet::start(address(3), &identity, pod.clone()).await;
        let this = Self {
            backend: Backend::start_at("web", NEAR).await,
            plane,
            pod,
            served,
            _kubelet: kubelet,
        };
        this.fill();
        Some(this)
    }

    fn apply(&self, text: &str) {
        self.plane.kubectl(ADMIN, &["apply", "-f", "-"], text);
    }

    /// What is in the cluster before anybody types anything.
    fn fill(&self) {
        for entry in
            std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/crds")).unwrap()
        {
            self.apply(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
        }
        let established = [
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd",
            "--all",
        ];
        self.plane.kubectl(ADMIN, &established, "");
        self.apply(&read("deploy/rendered/hostport.yaml"));
        self.apply(
            &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}).to_string(),
        );
        self.plane
            .patch_status("", "node", NODE, &self._kubelet.status());
        self.apply(&self.pod_object().to_string());
        let ip = self.pod.http().ip();
        let status = json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]});
        self.plane.patch_status("isobath", "pod", POD, &status);
        for team in ["one", "two"] {
            self.plane
                .kubectl(ADMIN, &["create", "namespace", team], "");
            self.apply(&manifest::text(&[
                site("shop", "shared.test", "shop:80").namespace(team)
            ]));
        }
    }

    /// The pod that the DaemonSet of `hostport` would have on the node.
    fn pod_object(&self) -> Value {
        let objects = rendered("hostport");
        let workload = &workloads(&objects)[0];
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": workload.object["spec"]["template"]["metadata"],
            "spec": workload.spec,
        });
        pod["metadata"]["name"] = POD.into();
        pod["metadata"]["namespace"] = "isobath".into();
        pod["spec"]["nodeName"] = NODE.into();
        pod
    }

    /// A shell in the checkout, as somebody has it who may do everything.
    fn shell(&self, line: &str) -> Command {
        let programs = kubectl().parent().map(Path::to_owned).unwrap_or_default();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell
            .args(["-c", line])
            .current_dir(deploy().parent().unwrap())
            .env("PATH", path)
            .env("KUBECONFIG", self.plane.kubeconfig(ADMIN));
        shell
    }

    /// Runs a command as it is typed; what it printed.
    fn run(&self, command: &str) -> Result<String> {
        let line = command.replace(PLACEHOLDER, &format!(" {POD} "));
        // The host's port 80 is the pod's 8080.
        let curl = format!(
            "curl --silent --show-error --fail --connect-to ::{} ",
            self.pod.http()
        );
        let line = line
            .strip_prefix("curl ")
            .map_or(line.clone(), |rest| curl + rest);
        let output = self.shell(&line).output()?;
        let said = String::from_utf8(output.stdout)?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {said}{error}", output.status);
        Ok(said)
    }

    /// What others than the person who types bring about before this.
    fn prepare(&self, command: &str) {
        if command.contains("rollout status") {
            let status = json!({
                "observedGeneration": 1000, "desiredNumberScheduled": 1, "currentNumberScheduled": 1, "numberMisscheduled": 0,
                "numberReady": 1, "updatedNumberScheduled": 1, "numberAvailable": 1});
            self.plane
                .patch_status("isobath", "daemonset", "isobath", &status);
        }
        if command.starts_with("curl ") {
            let at = self.backend.address();
            let ip = at.ip().to_string();
            let slice = manifest::endpoint_slice("web-by-hand", "web", "", &[&ip], at.port(), true);
            self.apply(&manifest::text(&[slice]));
            self.serve();
        }
    }

    /// Brings the objects of the namespace `default`, and the class, to the pod: it reads them from files.
    fn serve(&self) {
        let kinds = "ingressclasses,ingresses,services,endpointslices";
        let list = self.plane.kubectl(ADMIN, &["get", kinds, "-o", "json"], "");
        let list: Value = serde_json::from_str(&list).unwrap();
        let objects = list["items"].as_array().unwrap();
        let text: String = objects
            .iter()
            .map(|object| format!("---\n{object}\n"))
            .collect();
        let staged = self.pod.folder().join("objects.yaml");
        std::fs::write(&staged, text).unwrap();
        std::fs::copy(staged, self.served.path().join("objects.yaml")).unwrap();
    }

    /// kubectl forwards the port, and there is what the page says behind it.
    async fn forwards(&self) {
        let line = format!("exec {}", FORWARD.replace(PLACEHOLDER, &format!(" {POD} ")));
        let log = self.served.path().with_extension("log");
        let mut forward = Process::start("kubectl port-forward", &mut self.shell(&line), &log);
        eventually("the port is forwarded", async || {
            forward.assert_running();
            let said = forward.output();
            ensure!(
                said.contains("Forwarding from 127.0.0.1:6060 -> 6060"),
                "{said}"
            );
            Ok(())
        })
        .await;
        for path in ["/readyz", "/metrics", "/debug/xds"] {
            let url = format!("http://127.0.0.1:6060{path}");
            let curl = ["curl", "--silent", "--show-error", "--fail", &url].map(String::from);
            let output = self.pod.command(&curl).output().unwrap();
            assert!(output.status.success(), "{url}: {output:?}");
        }
    }

    /// The metrics that the page names are on one of the pod's two pages, or in the reference.
    async fn metrics_are_there(&self) {
        let page = read("deploy/README.md");
        let mut known = read("deploy/reference.md");
        for address in [self.pod.stats(), self.pod.metrics()] {
            known += &crate::monitoring::fetch(address).await.unwrap();
        }
        let spans = page.split('`').skip(1).step_by(2);
        let names = spans.filter(|span| span.starts_with("isobath_") || span.starts_with("envoy_"));
        let names: BTreeSet<_> = names.map(|span| span.split('{').next().unwrap()).collect();
        assert!(names.len() > 7, "{names:?}");
        for name in names {
            assert!(known.contains(name), "there is no {name}");
        }
    }
}

/// One control plane and one pod for all of it: what is typed builds on what was typed before.
#[test]
fn what_the_pages_say_runs_as_it_stands() {
    alone(async || {
        let Some(stand) = Stand::start().await else {
            return;
        };
        for command in PAGES.iter().flat_map(|page| commands(&read(page))) {
            let Some(said) = expected(&command) else {
                continue;
            };
            stand.prepare(&command);
            // Envoy follows in its own time.
            let patient = command.starts_with("curl ");
            let result = match patient {
                true => eventually(&command, async || attempt(&stand, &command, said)).await,
                false => attempt(&stand, &command, said)
                    .unwrap_or_else(|error| panic!("{command}: {error}")),
            };
            println!("{command}\n{result}");
        }
        for kind in ["lds", "cds", "eds", "sds"] {
            let command = format!(
                "kubectl -n isobath exec POD -c isobath -- /usr/local/bin/isobath xds {kind}"
            );
            stand.run(&command).unwrap();
        }
        let proxied = format!("kubectl get --raw /api/v1/namespaces/isobath/pods/{POD}:8003/proxy");
        stand.run(&format!("{proxied}/healthz")).unwrap();
        let refused = stand.run(&format!("{proxied}/metrics")).unwrap_err();
        assert!(refused.to_string().contains("(Forbidden)"), "{refused}");
        stand.forwards().await;
        stand.metrics_are_there().await;
    });
}

fn attempt(stand: &Stand, command: &str, said: &str) -> Result<String> {
    let output = stand.run(command)?;
    match output.contains(said) {
        true => Ok(output),
        false => Err(anyhow!("{said:?} is not in {output:?}")),
    }
}
