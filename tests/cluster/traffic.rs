//! Objects are created, changed and deleted with kubectl, and traffic follows.

use std::collections::BTreeSet;

use crate::check::Transport;
use crate::installation::{ADDRESS, Installation, becomes, cluster_service, our_site, slice};
use crate::support::backend::Backend;
use crate::support::certificate::{Authority, Leaf};
use crate::support::client::{Connection, Tls, Version};
use crate::support::eventually::eventually;
use crate::support::load::Load;
use crate::support::manifest::{Manifest, PathType};
use crate::support::network::{address, alone};
use crate::support::stand::Stand;

/// What kubectl does.
enum Step {
    Apply(Vec<Manifest>),
    /// The same, and the Ingress gets an Event with this reason, before the next step makes it good.
    Tells(Vec<Manifest>, &'static str),
    Delete(&'static str, &'static str),
}

use Step::{Apply, Delete, Tells};

/// What is asked for, and the answer that it gets sooner or later.
type Row = (Transport, &'static str, &'static str, &'static str);

const WEB: &str = "web.test";
const HTTP: Transport = Transport::Http1;
const HTTPS: Transport = Transport::Https2;

#[test]
fn it_follows_kubectl() {
    alone(async || {
        let Some(cluster) = Installation::start().await else {
            return;
        };
        let authority = Authority::new();
        let stays = Backend::start_at("stays", address(2)).await;
        let one = Backend::start_at("one", address(3)).await;
        let two = Backend::start_at("two", address(4)).await;
        let (first, second) = (authority.leaf(&[WEB]), authority.rsa_leaf(&[WEB]));
        cluster.apply(&[
            cluster_service("stays"),
            slice("stays", stays.address()),
            our_site("stays", "stays.test", "stays:80").tls(&["stays.test"], "stays"),
            authority.leaf(&["stays.test"]).secret("stays"),
        ]);
        let stand = cluster.stand().await;
        let trusting = |name: &str| Tls {
            trust: authority.trust(),
            ..Tls::sni(name)
        };
        let mut targets = stand.http_traffic("stays.test");
        targets.extend(stand.https_traffic("stays.test", &trusting("stays.test")));
        let load = Load::start(targets).await;

        let web = || our_site("web", WEB, "web:80");
        let two_paths =
            || our_site("web", WEB, "web:80").rule(WEB, &[("/b", PathType::Exact, "stays:80")]);
        let other_port = || {
            let mut service = cluster_service("web");
            service.0["spec"]["ports"][0]["port"] = 81.into();
            service
        };
        let steps: Vec<(Step, Vec<Row>)> = vec![
            // Each of the three that a route needs, in the order that people dread.
            (
                Tells(vec![web()], "ServiceNotFound"),
                vec![(HTTP, WEB, "/", "503")],
            ),
            (
                Apply(vec![slice("web", one.address())]),
                vec![(HTTP, WEB, "/", "503")],
            ),
            (
                Apply(vec![cluster_service("web")]),
                vec![(HTTP, WEB, "/", "one"), (HTTP, WEB, "/b", "one")],
            ),
            // Each of them changes.
            (
                Apply(vec![slice("web", two.address())]),
                vec![(HTTP, WEB, "/", "two")],
            ),
            (
                Apply(vec![two_paths()]),
                vec![(HTTP, WEB, "/b", "stays"), (HTTP, WEB, "/", "two")],
            ),
            (
                Tells(vec![other_port()], "ServicePortNotFound"),
                vec![(HTTP, WEB, "/", "503")],
            ),
            (
                Apply(vec![cluster_service("web")]),
                vec![(HTTP, WEB, "/", "two")],
            ),
            // TLS comes with the Secret, changes with it, and goes with it.
            (
                Tells(vec![web().tls(&[WEB], "web")], "SecretNotFound"),
                vec![(HTTPS, WEB, "/", "refused"), (HTTP, WEB, "/", "two")],
            ),
            (
                Apply(vec![first.secret("web")]),
                vec![(HTTPS, WEB, "/", "two"), (HTTP, WEB, "/", "two")],
            ),
            (
                Apply(vec![second.secret("web")]),
                vec![(HTTPS, WEB, "/", "two")],
            ),
            (
                Delete("secret", "web"),
                vec![(HTTPS, WEB, "/", "refused"), (HTTP, WEB, "/", "two")],
            ),
            // Each of the three goes, and comes back under its name.
            (
                Delete("endpointslice", "web"),
                vec![(HTTP, WEB, "/", "503")],
            ),
            (
                Apply(vec![slice("web", one.address())]),
                vec![(HTTP, WEB, "/", "one")],
            ),
            (Delete("service", "web"), vec![(HTTP, WEB, "/", "503")]),
            (
                Apply(vec![cluster_service("web"), slice("web", two.address())]),
                vec![(HTTP, WEB, "/", "two")],
            ),
            (
                Apply(vec![web().class("another")]),
                vec![(HTTP, WEB, "/", "404")],
            ),
            (Apply(vec![web()]), vec![(HTTP, WEB, "/", "two")]),
            (Delete("ingress", "web"), vec![(HTTP, WEB, "/", "404")]),
        ];
        for (step, rows) in steps {
            match &step {
                Apply(manifests) | Tells(manifests, _) => cluster.apply(manifests),
                Delete(kind, name) => cluster.delete(kind, name),
            }
            for (transport, host, path, want) in rows {
                becomes(&stand, transport, host, path, want).await;
            }
            if let Apply(manifests) = &step {
                for leaf in [&first, &second] {
                    if manifests[0].0 == leaf.secret("web").0 {
                        presents(&stand, leaf).await;
                    }
                }
            }
            if let Tells(_, reason) = step {
                eventually(reason, async || {
                    let told = reasons(&cluster, "web");
                    anyhow::ensure!(told.contains(reason), "{told:?}");
                    Ok(())
                })
                .await;
            }
        }
        load.stop_without_failure().await;
    });
}

/// What a user looks at: the address in the list of Ingresses, and the Events where they are described.
#[test]
fn kubectl_shows_addresses_and_events() {
    alone(async || {
        let Some(cluster) = Installation::start().await else {
            return;
        };
        cluster.apply(&[our_site("web", WEB, "nowhere:80")]);
        let _stand = cluster.stand().await;
        eventually("kubectl get shows the address", async || {
            let listed = cluster.kubectl(&["get", "ingress", "web"], "");
            let row = listed.lines().nth(1).unwrap_or_default().to_owned();
            match row.split_whitespace().any(|cell| cell == ADDRESS) {
                true => Ok(()),
                false => Err(listed),
            }
        })
        .await;
        eventually("kubectl describe shows the Event", async || {
            let text = cluster.kubectl(&["describe", "ingress", "web"], "");
            let events = text.split_once("Events:").map_or("", |(_, events)| events);
            let words = ["Warning", "isobath.dev/ingress-controller", "nowhere"];
            match words.iter().all(|word| events.contains(word)) {
                true => Ok(()),
                false => Err(text),
            }
        })
        .await;
        // Somebody else's Ingress has neither.
        cluster.apply(&[our_site("web", WEB, "nowhere:80").class("another")]);
        eventually("the address is taken away", async || {
            let listed = cluster.kubectl(&["get", "ingress", "web"], "");
            if listed.contains(ADDRESS) {
                return Err(listed);
            }
            Ok(())
        })
        .await;
    });
}

/// Waits until new connections see this certificate.
async fn presents(stand: &Stand, leaf: &Leaf) {
    eventually("the certificate is served", async || {
        let tls = Tls::sni(WEB);
        let connection = Connection::open(stand.isobath.https(), Version::H2, Some(&tls)).await?;
        anyhow::ensure!(connection.certificate() == Some(&leaf.der), "another one");
        Ok(())
    })
    .await;
}

/// The reasons of all Events about an Ingress so far.
fn reasons(cluster: &Installation, ingress: &str) -> BTreeSet<String> {
    let selector = format!("involvedObject.name={ingress}");
    let line = [
        "get",
        "events",
        "--field-selector",
        &selector,
        "-o",
        "jsonpath={.items[*].reason}",
    ];
    let reasons = cluster.kubectl(&line, "");
    reasons.split_whitespace().map(str::to_owned).collect()
}
