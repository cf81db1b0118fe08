//! The chart: the manifests of the overlays, with what its values say.
//!
//! `UPDATE_GOLDEN=1 cargo test --test deploy helm` writes the chart's copies of the manifests, and its README.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::control_plane::{ADMIN, ControlPlane};
use crate::golden;
use crate::manifest::{OVERLAYS, deploy, identity, kustomize, objects, read, rendered};

/// What the chart has that no overlay brings.
const APART: [&str; 2] = ["gateway-api", "monitoring"];

fn chart() -> PathBuf {
    deploy().join("helm/isobath")
}

/// The program, `None` (said loudly) where it was not built.
fn helm() -> Option<Command> {
    let path = std::env::var_os("ISOBATH_TEST_HELM");
    if path.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "ISOBATH_TEST_HELM must name helm (tests/helm/build.sh) on CI"
        );
        eprintln!("SKIPPED: ISOBATH_TEST_HELM names no helm, nothing was proven");
    }
    path.map(Command::new)
}

/// What helm prints, or what it says where it fails.
fn run(mut helm: Command, arguments: &[&str]) -> Result<String, String> {
    let output = helm.args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr) + &text(&output.stdout)),
    }
}

/// What the chart comes to with these values, each as `--set` has it.
fn template(values: &[&str]) -> Option<Result<Vec<Value>, String>> {
    let helm = helm()?;
    let chart = chart();
    let mut arguments = vec!["template", "isobath", chart.to_str()?, "-n", "isobath"];
    for value in values {
        arguments.extend(["--set", value]);
    }
    Some(run(helm, &arguments).map(|text| {
        let mut all = objects(&text);
        all.retain(|object| !object.is_null());
        all
    }))
}

/// An object without what helm adds to all of them.
fn plain(mut object: Value) -> Value {
    if let Some(labels) = object["metadata"]["labels"].as_object_mut() {
        for own in ["instance", "managed-by"] {
            labels.remove(&format!("app.kubernetes.io/{own}")).unwrap();
        }
        assert_eq!(labels.remove("helm.sh/chart").unwrap(), "isobath-0.1.0");
        if labels.is_empty() {
            object["metadata"].as_object_mut().unwrap().remove("labels");
        }
    }
    object
}

fn sorted(mut all: Vec<Value>) -> Vec<Value> {
    all.sort_by_cached_key(identity);
    all
}

#[test]
fn the_chart_has_the_manifests() {
    for name in OVERLAYS.into_iter().chain(APART) {
        let path = chart().join(format!("files/{name}.yaml"));
        let folder = match OVERLAYS.contains(&name) {
            true => format!("overlays/{name}"),
            false => name.to_owned(),
        };
        let now = format!(
            "# Made of deploy/{folder} by `kubectl kustomize`; change it there.\n{}",
            kustomize(&folder)
        );
        if golden::updates() {
            fs::write(&path, now).unwrap();
            continue;
        }
        assert!(
            now == fs::read_to_string(&path).unwrap_or_default(),
            "{} is not what the manifests are: UPDATE_GOLDEN=1 cargo test --test deploy helm",
            path.display()
        );
    }
    let files = fs::read_dir(chart().join("files")).unwrap().count();
    assert_eq!(files, OVERLAYS.len() + APART.len());
    let file = &objects(&read("deploy/helm/isobath/Chart.yaml"))[0];
    for field in ["version", "appVersion"] {
        assert_eq!(file[field], env!("CARGO_PKG_VERSION"), "{field}");
    }
}

#[test]
fn each_mode_is_an_overlay() {
    for overlay in OVERLAYS {
        let mode = format!("mode={overlay}");
        let Some(made) = template(&[&mode, "namespace.create=true"]) else {
            return;
        };
        let made = sorted(made.unwrap().into_iter().map(plain).collect());
        let expected = sorted(rendered(overlay));
        for (made, expected) in made.iter().zip(&expected) {
            assert_eq!(made, expected, "{overlay}");
        }
        assert_eq!(made.len(), expected.len(), "{overlay}");
    }
}

/// What is at a place in the first object of this kind.
fn at<'a>(all: &'a [Value], kind: &str, place: &str) -> &'a Value {
    let object = all.iter().find(|object| object["kind"] == kind);
    let object = object.unwrap_or_else(|| panic!("there is no {kind}"));
    object.pointer(place).unwrap_or(&Value::Null)
}

const POD: &str = "/spec/template/spec";

#[test]
fn values_change_what_they_say() {
    let pod = |place: &str| format!("{POD}{place}");
    let rows: Vec<(&[&str], &str, String, Value)> = vec![
        (
            &["image.repository=a.test/b", "image.tag=v1"],
            "DaemonSet",
            pod("/initContainers/0/image"),
            json!("a.test/b:v1"),
        ),
        (
            &["image.repository=a.test:5000/b"],
            "DaemonSet",
            pod("/initContainers/2/image"),
            json!("a.test:5000/b:0.1.0"),
        ),
        (
            &["image.pullPolicy=Always"],
            "DaemonSet",
            pod("/initContainers/1/imagePullPolicy"),
            json!("Always"),
        ),
        (
            &["image.pullPolicy=Always"],
            "DaemonSet",
            pod("/containers/0/imagePullPolicy"),
            Value::Null,
        ),
        (
            &["envoy.image.tag=x"],
            "DaemonSet",
            pod("/containers/0/image"),
            json!("envoyproxy/envoy:x"),
        ),
        (
            &["imagePullSecrets[0].name=a"],
            "DaemonSet",
            pod("/imagePullSecrets"),
            json!([{"name": "a"}]),
        ),
        (
            &["controller.args={--log=debug}"],
            "DaemonSet",
            pod("/initContainers/0/args/7"),
            json!("--log=debug"),
        ),
        (
            &["controller.args={--log=debug}"],
            "DaemonSet",
            pod("/initContainers/2/args/7"),
            Value::Null,
        ),
        (
            &["mode=deployment", "controller.args={--log=debug}"],
            "Deployment",
            pod("/containers/0/args/5"),
            json!("--log=debug"),
        ),
        (
            &["controller.env[0].name=A", "controller.env[0].value=b"],
            "DaemonSet",
            pod("/initContainers/0/env/3"),
            json!({"name": "A", "value": "b"}),
        ),
        (
            &["controller.resources.limits.memory=1Gi"],
            "DaemonSet",
            pod("/initContainers/0/resources"),
            json!({"limits": {"memory": "1Gi"}, "requests": {"cpu": "50m", "memory": "64Mi"}}),
        ),
        (
            &["envoy.args={--concurrency,2}"],
            "DaemonSet",
            pod("/containers/0/args/8"),
            json!("2"),
        ),
        (
            &["envoy.memoryLimitMiB=2048"],
            "DaemonSet",
            pod("/containers/0/resources/limits/memory"),
            json!("2048Mi"),
        ),
        (
            &["envoy.memoryLimitMiB=2048"],
            "DaemonSet",
            pod("/initContainers/2/args/5"),
            json!("--envoy-max-heap-bytes=1879048192"),
        ),
        (
            &["envoy.requests.cpu=1"],
            "DaemonSet",
            pod("/containers/0/resources/requests/cpu"),
            json!(1),
        ),
        (
            &["ingressClass.name=edge", "ingressClass.default=true"],
            "IngressClass",
            "/metadata/annotations".into(),
            json!({"ingressclass.kubernetes.io/is-default-class": "true"}),
        ),
        (
            &["ingressClass.name=edge"],
            "IngressClass",
            "/metadata/name".into(),
            json!("edge"),
        ),
        (
            &["mode=namespaced", "ingressClass.name=edge"],
            "DaemonSet",
            pod("/initContainers/0/env/1/value"),
            json!("edge"),
        ),
        (
            &["mode=namespaced", "watchNamespaces={a,b}"],
            "DaemonSet",
            pod("/initContainers/0/env/0/value"),
            json!("a,b"),
        ),
        (
            &["gatewayClass.create=true"],
            "GatewayClass",
            "/spec/controllerName".into(),
            json!("isobath.dev/gateway-controller"),
        ),
        (
            &["monitoring.create=true", "monitoring.labels.release=p"],
            "PodMonitor",
            "/metadata/labels/release".into(),
            json!("p"),
        ),
        (
            &["mode=loadbalancer", "service.annotations.a=b"],
            "Service",
            "/metadata/annotations".into(),
            json!({"a": "b"}),
        ),
        (
            &["mode=loadbalancer", "service.loadBalancerClass=a.test/b"],
            "Service",
            "/spec/loadBalancerClass".into(),
            json!("a.test/b"),
        ),
        (
            &["mode=loadbalancer", "service.externalTrafficPolicy=Cluster"],
            "Service",
            "/spec/externalTrafficPolicy".into(),
            json!("Cluster"),
        ),
        (
            &["mode=nodeport", "service.nodePorts.https=31443"],
            "Service",
            "/spec/ports/1/nodePort".into(),
            json!(31443),
        ),
        (
            &["mode=deployment", "replicas=3"],
            "Deployment",
            "/spec/replicas".into(),
            json!(3),
        ),
        (
            &["podAnnotations.a=b"],
            "DaemonSet",
            "/spec/template/metadata/annotations".into(),
            json!({"a": "b", "kubectl.kubernetes.io/default-container": "isobath"}),
        ),
        (
            &["podLabels.a=b"],
            "DaemonSet",
            "/spec/template/metadata/labels/a".into(),
            json!("b"),
        ),
        (
            &["nodeSelector.edge=yes"],
            "DaemonSet",
            pod("/nodeSelector"),
            json!({"edge": "yes", "kubernetes.io/os": "linux"}),
        ),
        (
            &["mode=nodeport", "tolerations[0].operator=Exists"],
            "DaemonSet",
            pod("/tolerations/1"),
            json!({"operator": "Exists"}),
        ),
        (
            &["affinity.nodeAffinity.x=y"],
            "DaemonSet",
            pod("/affinity/nodeAffinity"),
            json!({"x": "y"}),
        ),
        (
            &["priorityClassName=system-node-critical"],
            "DaemonSet",
            pod("/priorityClassName"),
            json!("system-node-critical"),
        ),
    ];
    for (values, kind, place, expected) in rows {
        let Some(made) = template(values) else {
            return;
        };
        let made = made.unwrap_or_else(|why| panic!("{values:?}: {why}"));
        // The Service in front of Envoy, where there is one.
        let all: Vec<Value> = match kind {
            "Service" => made
                .into_iter()
                .filter(|it| it["metadata"]["name"] == "isobath-envoy")
                .collect(),
            _ => made,
        };
        assert_eq!(
            *at(&all, kind, &place),
            expected,
            "{values:?}: {kind} {place}"
        );
    }
}

/// What is not wanted is not there, and what is wanted for each namespace is there for each.
#[test]
fn values_say_what_there_is() {
    let watched = &["mode=namespaced", "watchNamespaces={a,b,c}"][..];
    for (values, kind, expected) in [
        (&[][..], "Namespace", 0),
        (&["namespace.create=true"], "Namespace", 1),
        (&["ingressClass.create=false"], "IngressClass", 0),
        (&["networkPolicy.create=false"], "NetworkPolicy", 0),
        (&["mode=deployment"], "NetworkPolicy", 2),
        (&[], "GatewayClass", 0),
        (&["monitoring.create=true"], "PrometheusRule", 1),
        // One for each namespace, and two of its own.
        (watched, "Role", 5),
        (watched, "RoleBinding", 5),
    ] {
        let Some(made) = template(values) else {
            return;
        };
        let made = made.unwrap();
        let found = made.iter().filter(|object| object["kind"] == kind).count();
        assert_eq!(found, expected, "{values:?}: {kind}");
    }
}

/// A watched namespace is the one that is named, whatever the manifests' own is called.
#[test]
fn rights_are_where_objects_are_watched() {
    let values = ["mode=namespaced", "watchNamespaces={isobath,edge}"];
    let Some(helm) = helm() else {
        return;
    };
    let chart = chart();
    let mut arguments = vec!["template", "isobath", chart.to_str().unwrap(), "-n", "edge"];
    for value in values {
        arguments.extend(["--set", value]);
    }
    let made = objects(&run(helm, &arguments).unwrap());
    for kind in ["Role", "RoleBinding"] {
        let watched = made.iter().filter(|object| {
            object["kind"] == kind && object["metadata"]["name"] == "isobath-watched"
        });
        let namespaces: Vec<_> = watched
            .map(|it| it["metadata"]["namespace"].clone())
            .collect();
        assert_eq!(namespaces, ["isobath", "edge"], "{kind}");
    }
}

/// Everything follows the release to its namespace, be it in the text of a flag.
#[test]
fn nothing_stays_in_the_namespace_of_the_manifests() {
    for overlay in OVERLAYS {
        let Some(helm) = helm() else {
            return;
        };
        let chart = chart();
        let mode = format!("mode={overlay}");
        let arguments = [
            "template",
            "edge",
            chart.to_str().unwrap(),
            "-n",
            "elsewhere",
            "--set",
            &mode,
        ];
        let made = run(helm, &arguments).unwrap();
        for object in objects(&made)
            .into_iter()
            .filter(|object| !object.is_null())
        {
            let namespace = object["metadata"]["namespace"].as_str();
            let is_right = matches!(namespace, None | Some("elsewhere" | "default"));
            assert!(is_right, "{overlay}: {}", identity(&object));
            let subjects = object["subjects"].as_array().into_iter().flatten();
            for subject in subjects {
                assert_eq!(subject["namespace"], "elsewhere", "{overlay}");
            }
            let text = object.to_string();
            for old in ["isobath/isobath-envoy", ".isobath.svc"] {
                assert!(
                    !text.contains(old),
                    "{overlay}: {} has {old}",
                    identity(&object)
                );
            }
        }
    }
}

#[test]
fn wrong_values_are_refused() {
    for (value, told) in [
        ("mode=daemonset", "mode"),
        ("replicas=0", "replicas"),
        ("image.repositry=a", "repositry"),
        ("ingressClass.name=A_b", "name"),
        ("watchNamespaces=null", "watchNamespaces"),
        ("envoy.memoryLimitMiB=much", "memoryLimitMiB"),
    ] {
        let Some(made) = template(&["mode=namespaced", value]) else {
            return;
        };
        let why = made.expect_err(value);
        assert!(why.contains(told), "{value}: {why}");
    }
}

#[test]
fn helm_finds_nothing_to_lint() {
    let Some(helm) = helm() else {
        return;
    };
    let chart = chart();
    let told = run(helm, &["lint", "--strict", chart.to_str().unwrap()]).unwrap();
    assert!(
        told.contains("1 chart(s) linted, 0 chart(s) failed"),
        "{told}"
    );
}

/// The table of the README: each value with what stands above it in values.yaml, and what it is there.
fn table() -> String {
    let text = read("deploy/helm/isobath/values.yaml");
    let mut table = "| value | default | what it is |\n|---|---|---|\n".to_owned();
    let (mut parent, mut said) = (String::new(), String::new());
    for line in text.lines() {
        let bare = line.trim_start();
        if let Some(comment) = bare.strip_prefix("# ") {
            said += if said.is_empty() { "" } else { " " };
            said += comment;
            continue;
        }
        let Some((key, value)) = bare.split_once(':') else {
            continue;
        };
        let depth = (line.len() - bare.len()) / 2;
        let above: Vec<&str> = parent.split('.').take(depth).collect();
        let path = above
            .into_iter()
            .filter(|it| !it.is_empty())
            .chain([key])
            .collect::<Vec<_>>()
            .join(".");
        let value = value.trim();
        if value.is_empty() {
            parent = path;
        } else {
            assert!(!said.is_empty(), "values.yaml says nothing about {path}");
            let told = said.replace('|', "\\|");
            writeln!(table, "| `{path}` | `{value}` | {told} |").unwrap();
            if depth == 0 {
                parent.clear();
            }
        }
        said.clear();
    }
    table
}

#[test]
fn the_readme_has_every_value() {
    const BEGIN: &str = "<!-- values -->\n";
    let path = chart().join("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, _) = text.split_once(BEGIN).unwrap();
    let now = format!("{before}{BEGIN}{}", table());
    if golden::updates() {
        fs::write(&path, now).unwrap();
    } else {
        assert!(now == text, "UPDATE_GOLDEN=1 cargo test --test deploy helm");
    }
}

/// As an operator does it, against a real API server: in, changed, back, and out again, with nothing left.
#[tokio::test]
async fn a_release_comes_and_goes() {
    let (Some(plane), Some(_)) = (ControlPlane::start().await, helm()) else {
        return;
    };
    let kubeconfig = plane.kubeconfig(ADMIN);
    let chart = chart();
    let chart = chart.to_str().unwrap();
    let helm = |arguments: &[&str]| {
        let mut helm = helm().unwrap();
        let home = plane.dir().join("helm");
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            helm.env(name, &home);
        }
        helm.env("KUBECONFIG", &kubeconfig).args(["-n", "edge"]);
        run(helm, arguments).unwrap_or_else(|why| panic!("helm {arguments:?}: {why}"))
    };
    let get = |what: &[&str]| {
        let arguments = [&["get", "-n", "edge", "--ignore-not-found", "-o"], what].concat();
        plane.kubectl(ADMIN, &arguments, "")
    };
    let image = "jsonpath={.spec.template.spec.containers[0].image}";
    helm(&[
        "install",
        "isobath",
        chart,
        "--create-namespace",
        "--set",
        "mode=loadbalancer",
    ]);
    let first = get(&[image, "daemonset", "isobath"]);
    assert!(
        first.starts_with("envoyproxy/envoy:distroless-v"),
        "{first}"
    );
    assert_ne!(get(&["name", "service", "isobath-envoy"]), "");
    // Another mode, another Envoy: what the mode before had and this one has not is gone.
    helm(&[
        "upgrade",
        "isobath",
        chart,
        "--set",
        "mode=hostport,envoy.image.tag=next",
    ]);
    assert_eq!(
        get(&[image, "daemonset", "isobath"]),
        "envoyproxy/envoy:next"
    );
    assert_eq!(get(&["name", "service", "isobath-envoy"]), "");
    helm(&["rollback", "isobath", "1"]);
    assert_eq!(get(&[image, "daemonset", "isobath"]), first);
    assert_ne!(get(&["name", "service", "isobath-envoy"]), "");
    helm(&["uninstall", "isobath"]);
    for what in [
        "daemonset",
        "service",
        "role",
        "serviceaccount",
        "clusterrole/isobath",
        "ingressclass",
    ] {
        let mut arguments = vec!["get", "-n", "edge", "--ignore-not-found", "-o", "name"];
        arguments.push(what);
        let left = plane.kubectl(ADMIN, &arguments, "");
        assert!(!left.contains("isobath"), "{left}");
    }
}
