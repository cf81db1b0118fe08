//! HTTPProxies, whose definitions are installed while Isobath runs: they are watched, served and told of from then on, and those of
//! another controller's class are not touched.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::check::Transport;
use crate::contour;
use crate::installation::{ADDRESS, Installation, becomes, cluster_service, our_site, slice};
use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::eventually::eventually;
use crate::support::manifest::Manifest;
use crate::support::network::{address, alone};
use crate::support::stand::Stand;

const HTTP: Transport = Transport::Http1;
const HTTPS: Transport = Transport::Https2;

fn proxy(name: &str, spec: Value) -> Manifest {
    Manifest(json!({
        "apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy",
        "metadata": {"namespace": "default", "name": name}, "spec": spec,
    }))
}

/// A root of a class with a host of its name.
fn root(name: &str, class: &str) -> Manifest {
    proxy(
        name,
        json!({
            "ingressClassName": class, "virtualhost": {"fqdn": format!("{name}.test")},
            "routes": [{"services": [{"name": "web", "port": 80}]}],
        }),
    )
}

/// An installation with its Envoy, and a Service `web`.
struct World {
    cluster: Installation,
    stand: Stand,
    _backend: Backend,
}

impl World {
    async fn start() -> Option<Self> {
        let cluster = Installation::start().await?;
        let backend = Backend::start_at("web", address(2)).await;
        cluster.apply(&[cluster_service("web"), slice("web", backend.address())]);
        // Beside a Contour each has a class of its own.
        let mut isobath = cluster.isobath("pod", &["--ingress-class", "isobath"]);
        isobath.restart().await;
        let stand = Stand::on(isobath).await;
        Some(Self {
            cluster,
            stand,
            _backend: backend,
        })
    }

    /// Installs Contour's definitions. `None`: there is no Go to get them with, and this is not CI.
    fn define(&self) -> Option<()> {
        let definitions = contour::definitions()?;
        let line = ["apply", "--server-side", "-f", "-"];
        self.cluster.kubectl(&line, &definitions);
        for kind in [
            "httpproxies",
            "extensionservices",
            "tlscertificatedelegations",
        ] {
            let crd = format!("crd/{kind}.projectcontour.io");
            self.cluster.wait_established(&crd);
        }
        Some(())
    }

    fn get(&self, kind: &str, name: &str) -> Value {
        let text = self.cluster.kubectl(&["get", kind, name, "-o", "json"], "");
        serde_json::from_str(&text).unwrap()
    }

    /// Waits until that is the object's status, as it is now; returns the object.
    async fn told(&self, name: &str, current: &str) -> Value {
        eventually(&format!("{name} is {current}"), async || {
            let object = self.get("httpproxy", name);
            let status = &object["status"];
            ensure!(status["currentStatus"] == current, "{status}");
            let seen = &status["conditions"][0]["observedGeneration"];
            ensure!(*seen == object["metadata"]["generation"], "{object}");
            Ok(())
        })
        .await;
        self.get("httpproxy", name)
    }

    /// As another controller writes it.
    fn write(&self, name: &str, description: &str) {
        let condition = json!({
            "type": "Valid", "status": "True", "reason": "Valid", "message": description, "observedGeneration": 1,
            "lastTransitionTime": "2024-01-01T00:00:00Z",
        });
        let status = json!({"currentStatus": "valid", "description": description, "conditions": [condition]});
        let patch = json!({ "status": status }).to_string();
        let line = ["patch", "httpproxy", name, "--subresource=status"];
        self.cluster
            .kubectl(&[&line[..], &["--type=merge", "-p", &patch]].concat(), "");
    }

    async fn becomes(&self, transport: Transport, host: &str, path: &str, want: &str) {
        becomes(&self.stand, transport, host, path, want).await;
    }
}

fn version(object: &Value) -> &Value {
    &object["metadata"]["resourceVersion"]
}

#[test]
fn httpproxies_are_served_once_they_are_defined() {
    alone(async || {
        let Some(world) = World::start().await else {
            return;
        };
        let cluster = &world.cluster;
        // It runs, and serves what there is.
        cluster.apply(&[our_site("before", "before.test", "web:80")]);
        world.becomes(HTTP, "before.test", "/", "web").await;
        if world.define().is_none() {
            return;
        }
        // What comes before Isobath has noticed the definitions, and what comes after, by the same way.
        let authority = Authority::new();
        let mut first = root("first", "isobath");
        first.0["spec"]["virtualhost"]["tls"] = json!({"secretName": "first"});
        let mut secret = authority.leaf(&["first.test"]).secret("first");
        secret.0["type"] = "Opaque".into();
        let extension = Manifest(json!({
            "apiVersion": "projectcontour.io/v1alpha1", "kind": "ExtensionService",
            "metadata": {"namespace": "default", "name": "authz"},
            "spec": {"protocol": "h2c", "services": [{"name": "web", "port": 80}]},
        }));
        let delegation = Manifest(json!({
            "apiVersion": "projectcontour.io/v1", "kind": "TLSCertificateDelegation",
            "metadata": {"namespace": "default", "name": "all"},
            "spec": {"delegations": [{"secretName": "first", "targetNamespaces": ["other"]}]},
        }));
        cluster.apply(&[first, secret, extension, delegation]);
        world.becomes(HTTPS, "first.test", "/", "web").await;
        let told = world.told("first", "valid").await;
        let addresses = &told["status"]["loadBalancer"]["ingress"];
        assert_eq!(*addresses, json!([{ "ip": ADDRESS }]));
        eventually("the ExtensionService is told of", async || {
            let object = world.get("extensionservice", "authz");
            let condition = &object["status"]["conditions"][0];
            ensure!(condition["status"] == "True", "{object}");
            Ok(())
        })
        .await;
        cluster.apply(&[root("second", "isobath")]);
        world.becomes(HTTP, "second.test", "/", "web").await;
        world.told("second", "valid").await;
        // The Secret is used by a namespace that it is given to, by a definition that came later, too.
        cluster.kubectl(&["create", "namespace", "other"], "");
        let mut away = root("away", "isobath").namespace("other");
        away.0["spec"]["virtualhost"]["tls"] = json!({"secretName": "default/first"});
        away.0["spec"]["routes"] =
            json!([{"directResponsePolicy": {"statusCode": 204}, "permitInsecure": true}]);
        cluster.apply(&[away]);
        world.becomes(HTTP, "away.test", "/", "204").await;
        cluster.delete("httpproxy", "first");
        world.becomes(HTTPS, "first.test", "/", "refused").await;
        world.becomes(HTTP, "before.test", "/", "web").await;
        orphans(&world).await;
        classes(&world).await;
    });
}

/// A child that nobody includes says so, and is valid while a root includes it.
async fn orphans(world: &World) {
    let child = proxy(
        "child",
        json!({"ingressClassName": "isobath", "routes": [{"services": [{"name": "web", "port": 80}]}]}),
    );
    let mut parent = root("parent", "isobath");
    parent.0["spec"]["includes"] = json!([{"name": "child", "conditions": [{"prefix": "/k"}]}]);
    parent.0["spec"].as_object_mut().unwrap().remove("routes");
    world.cluster.apply(&[child]);
    for _ in 0..2 {
        let orphan = world.told("child", "orphaned").await;
        let condition = &orphan["status"]["conditions"][0];
        assert_eq!(condition["status"], "False");
        let error = &condition["errors"][0];
        assert_eq!(
            (&error["type"], &error["reason"]),
            (&json!("Orphaned"), &json!("Orphaned"))
        );
        world.becomes(HTTP, "parent.test", "/k", "404").await;
        world.cluster.apply(std::slice::from_ref(&parent));
        world.becomes(HTTP, "parent.test", "/k", "web").await;
        let child = world.told("child", "valid").await;
        let condition = &child["status"]["conditions"][0];
        assert_eq!(condition["status"], "True");
        assert_eq!(condition["errors"].as_array().map_or(0, Vec::len), 0);
        world.told("parent", "valid").await;
        world.cluster.delete("httpproxy", "parent");
    }
    world.told("child", "orphaned").await;
}

/// Of two controllers on one API server each serves its class. An HTTPProxy goes from one to the other and back.
async fn classes(world: &World) {
    let cluster = &world.cluster;
    cluster.apply(&[root("theirs", "contour"), root("moved", "contour")]);
    world.write("theirs", "by Contour");
    world.write("moved", "by Contour");
    let theirs = world.get("httpproxy", "theirs");
    let moved = world.get("httpproxy", "moved");
    // Whatever comes later is done, so what came before is done too.
    let settled = async |name: &str| {
        cluster.apply(&[root(name, "isobath")]);
        world.told(name, "valid").await;
        cluster.delete("httpproxy", name);
    };
    settled("marker-0").await;
    world.becomes(HTTP, "theirs.test", "/", "404").await;
    world.becomes(HTTP, "moved.test", "/", "404").await;
    assert_eq!(version(&world.get("httpproxy", "moved")), version(&moved));

    cluster.apply(&[root("moved", "isobath")]);
    world.becomes(HTTP, "moved.test", "/", "web").await;
    let ours = world.told("moved", "valid").await;
    assert_eq!(ours["status"]["description"], "Valid HTTPProxy");
    assert_eq!(
        ours["status"]["loadBalancer"]["ingress"],
        json!([{ "ip": ADDRESS }])
    );

    cluster.apply(&[root("moved", "contour")]);
    let back = world.get("httpproxy", "moved");
    world.becomes(HTTP, "moved.test", "/", "404").await;
    settled("marker-1").await;
    let now = world.get("httpproxy", "moved");
    assert_eq!(version(&now), version(&back), "written again: {now}");
    assert_eq!(now["status"], ours["status"], "the last one stays");
    let now = world.get("httpproxy", "theirs");
    assert_eq!(version(&now), version(&theirs), "written: {now}");
}
