//! Both on one API server, each with a class of its own: an HTTPProxy goes from one to the other by its `ingressClassName`, and back.

use std::path::Path;

use anyhow::ensure;
use serde_json::{Value, json};

use crate::cluster::{Cluster, reference};
use crate::control_plane::ADMIN;
use crate::rig::Rig;
use crate::side::{Controller, Setup, contour, isobath};
use crate::support::client::{self, Version};
use crate::support::envoy::Envoy;
use crate::support::eventually::eventually;
use crate::support::network::{address, alone};
use crate::support::resolver::Resolver;
use crate::worlds::setup;

const OURS: &str = "isobath";
const THEIRS: &str = "contour";

/// An HTTPProxy of a class with a host of its name.
fn proxy(name: &str, class: &str, service: &str) -> Value {
    json!({
        "apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy", "metadata": {"namespace": "hp", "name": name},
        "spec": {
            "ingressClassName": class, "virtualhost": {"fqdn": format!("{name}.test")},
            "routes": [{"services": [{"name": service, "port": 80}]}],
        },
    })
}

/// The two, and what they share. Each has its Envoy, which goes first.
struct Both {
    envoys: [Envoy; 2],
    ours: Controller,
    theirs: Controller,
    cluster: Cluster,
}

impl Both {
    async fn start(directory: &Path) -> Option<(Self, Rig)> {
        let setup = Setup {
            flags: &["--ingress-class", OURS],
            contour_flags: &[
                "--ingress-class-name",
                THEIRS,
                "--kubernetes-client-qps",
                "500",
                "--kubernetes-client-burst",
                "1000",
            ],
            ..setup()
        };
        let cluster = Cluster::start(&[OURS, THEIRS]).await?;
        let rig = Rig::start(address(2)).await;
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "isobath"}});
        cluster.apply(&namespace).await;
        cluster.apply_all(&rig.objects).await;
        let kubeconfig = cluster.plane.kubeconfig(ADMIN);
        let resolver = Resolver::start(setup.names).await;
        let (ours, our_envoy, _) = isobath(&kubeconfig, &setup, &resolver).await;
        let (theirs, their_envoy, _) = contour(directory, &kubeconfig, &setup, &resolver).await;
        let mut this = Self {
            envoys: [our_envoy, their_envoy],
            ours,
            theirs,
            cluster,
        };
        for envoy in &mut this.envoys {
            envoy.live().await;
        }
        Some((this, rig))
    }

    /// Waits until the Envoy of a controller answers so for the host of an object.
    async fn answers(&self, controller: &Controller, name: &str, status: u16, by: &str) {
        let host = format!("{name}.test");
        eventually(&format!("{host} is {status} {by}"), async || {
            let answer = client::get(controller.http(), Version::H1, None, &host, "/").await?;
            ensure!(answer.status == status, "{}", answer.status);
            ensure!(status != 200 || answer.backend() == by, "{}", answer.text());
            Ok(())
        })
        .await;
    }

    async fn get(&self, proxy: &Value) -> Value {
        let found = self.cluster.get(&reference(proxy)).await;
        found.expect("it is there")
    }

    /// Waits until the object is called valid as it is now.
    async fn valid(&self, proxy: &Value) -> Value {
        let name = &proxy["metadata"]["name"];
        eventually(&format!("{name} is told of"), async || {
            let object = self.get(proxy).await;
            let status = &object["status"];
            ensure!(status["currentStatus"] == "valid", "{status}");
            let seen = &status["conditions"][0]["observedGeneration"];
            ensure!(*seen == object["metadata"]["generation"], "{object}");
            Ok(())
        })
        .await;
        self.get(proxy).await
    }

    /// Waits until both have done what they had to do up to now: each tells of an object of its class that comes last.
    async fn have_settled(&self, step: usize) {
        for class in [OURS, THEIRS] {
            let marker = proxy(&format!("marker-{class}-{step}"), class, "a");
            self.cluster.apply(&marker).await;
            self.valid(&marker).await;
        }
    }
}

/// Who wrote the status last, by what the API server knows: the name of its program, and more. Each write says of which generation it
/// is, so that this field is the last writer's.
fn writer(object: &Value) -> String {
    let fields = object["metadata"]["managedFields"].as_array().unwrap();
    let says_generation = |it: &&Value| {
        let owns = it["fieldsV1"].to_string().contains("f:observedGeneration");
        it["subresource"] == "status" && owns
    };
    let mut last = fields.iter().filter(says_generation);
    let writer = last.next().expect("somebody wrote it");
    assert!(last.next().is_none(), "{fields:?}");
    writer["manager"].as_str().unwrap().to_owned()
}

fn version(object: &Value) -> &Value {
    &object["metadata"]["resourceVersion"]
}

#[test]
#[ignore = "make peers"]
fn both_share_an_api_server() {
    alone(async || {
        let directory = tempfile::Builder::new().prefix("peer-").tempdir().unwrap();
        let Some((both, _rig)) = Both::start(directory.path()).await else {
            return;
        };
        // What is never moved: whoever does not serve it never writes to it.
        let stays = [OURS, THEIRS].map(|class| proxy(&format!("stays-{class}"), class, "b"));
        let mut were = Vec::new();
        for stay in &stays {
            both.cluster.apply(stay).await;
            were.push(both.valid(stay).await);
        }
        for (was, class) in were.iter().zip([OURS, THEIRS]) {
            assert!(writer(was).starts_with(class), "{was}");
        }
        let mut moves = 0;
        for (step, class) in [THEIRS, OURS, THEIRS, OURS, THEIRS].into_iter().enumerate() {
            let moved = proxy("moved", class, "a");
            both.cluster.apply(&moved).await;
            let (serves, other) = match class {
                OURS => (&both.ours, &both.theirs),
                _ => (&both.theirs, &both.ours),
            };
            both.answers(serves, "moved", 200, "a").await;
            both.answers(other, "moved", 404, "").await;
            let told = both.valid(&moved).await;
            assert!(writer(&told).starts_with(class), "{told}");
            both.have_settled(step).await;
            let later = both.get(&moved).await;
            assert_eq!(version(&later), version(&told), "written again: {later}");
            // Each goes on with what is its own.
            both.answers(&both.ours, "stays-isobath", 200, "b").await;
            both.answers(&both.ours, "stays-contour", 404, "").await;
            both.answers(&both.theirs, "stays-contour", 200, "b").await;
            both.answers(&both.theirs, "stays-isobath", 404, "").await;
            moves += 1;
        }
        for (stay, was) in stays.iter().zip(&were) {
            let now = both.get(stay).await;
            assert_eq!(version(&now), version(was), "written again: {now}");
        }
        println!("one API server: {moves} steps, each told by the one whose class it is");
    });
}
