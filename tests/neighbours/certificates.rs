//! cert-manager: it issues certificates for hosts of Ingresses and of a Gateway by HTTP-01 through Envoy, and renews them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use tokio::task::JoinSet;

use crate::authority::{Acme, NAMES};
use crate::control_plane::ADMIN;
use crate::queries::Prometheus;
use crate::support::client::{self, Connection, Tls, Version};
use crate::support::eventually::eventually;
use crate::support::load::{Load, Target};
use crate::support::network::alone;
use crate::support::process::Process;
use crate::world::{GATEWAY, INGRESSES, World};
use crate::{health, names};

/// The names, each with a Certificate and a Secret that are called like its first label, and where they are served.
const HOSTS: [(&str, Ipv4Addr); 3] = [
    ("plain.test", INGRESSES),
    ("forced.test", INGRESSES),
    ("routed.test", GATEWAY),
];

/// How often each is renewed.
fn renewals() -> usize {
    match std::env::var_os("ISOBATH_SOAK") {
        Some(_) => 20,
        None => 1,
    }
}

#[test]
fn are_issued_and_renewed() {
    alone(async || {
        let Some(world) = World::start().await else {
            return;
        };
        names::are_read(&world).await;
        let Some(prometheus) = Prometheus::start(&world).await else {
            return;
        };
        let acme = Acme::start(&world).await;
        world.kubectl(&["apply", "-f", "-"], &acme.issuer().to_string());
        let mut command = Command::new(world.program("cert-manager"));
        command
            .args(["controller", "-acme-http01-solver-nameservers", NAMES])
            .arg("-kubeconfig")
            .arg(world.admin());
        let log = world.dir().join("cert-manager.log");
        let mut manager = Process::start("cert-manager", &mut command, &log);
        let challenges = Challenges::watch(&world).await;

        let began = Instant::now();
        let mut late = Vec::new();
        for (host, address) in HOSTS {
            let (served, after) = is_served(&world, host, address, None).await;
            println!(
                "{host}: issued after {:.1?}, served {after:.0?} later",
                began.elapsed()
            );
            late.push((served, after));
        }
        // Each does with plain HTTP what it was told to.
        for ((host, address), status) in HOSTS.into_iter().zip([200, 301, 301]) {
            let at = SocketAddr::from((address, 80));
            let answer = client::get(at, Version::H1, None, host, "/").await.unwrap();
            assert_eq!(answer.status, status, "{host}: {answer:?}");
        }
        let load = Load::start(HOSTS.map(|(host, address)| Target {
            address: (address, 443).into(),
            version: Version::H1,
            tls: Some(Tls::sni(host)),
            host: host.to_owned(),
            path: "/".to_owned(),
            headers: &[],
            reconnect: true,
        }));
        let load = load.await;
        let mut slowest = late.iter().map(|(_, after)| *after).max().unwrap();
        for round in 0..renewals() {
            let began = Instant::now();
            for (host, _) in HOSTS {
                renew(&world, host);
            }
            for (at, (host, address)) in HOSTS.into_iter().enumerate() {
                let old = Some(late[at].0.clone());
                let (served, after) = is_served(&world, host, address, old).await;
                slowest = slowest.max(after);
                late[at].0 = served;
            }
            println!("renewal {round}: {:.1?}", began.elapsed());
        }
        manager.assert_running();
        health::is_healthy(&world).await;
        prometheus.answers().await;
        let report = load.stop_without_failure().await;
        println!("{report}; the longest from a Secret to Envoy {slowest:.0?}");
        challenges.were_never_redirected();
    });
}

/// Waits until a Secret holds another certificate than the old one, and Envoy shows it: the certificate, and how long Envoy took
/// from the Secret on.
async fn is_served(
    world: &World,
    host: &str,
    address: Ipv4Addr,
    old: Option<CertificateDer<'static>>,
) -> (CertificateDer<'static>, Duration) {
    let name = host.trim_end_matches(".test");
    let secrets: Api<k8s_openapi::api::core::v1::Secret> =
        Api::namespaced(world.plane.client(ADMIN).await, "default");
    let issued = eventually(&format!("{host} has a new certificate"), async || {
        let secret = secrets.get_opt(name).await?.context("no Secret")?;
        let data = secret.data.unwrap_or_default();
        let pem = &data.get("tls.crt").context("no certificate")?.0;
        let issued = CertificateDer::from_pem_slice(pem)?;
        ensure!(Some(&issued) != old.as_ref(), "it is the old one");
        Ok::<_, anyhow::Error>(issued)
    })
    .await;
    let born = Instant::now();
    eventually(&format!("{host} is served with it"), async || {
        let tls = Tls::sni(host);
        let at = SocketAddr::from((address, 443));
        let mut connection = Connection::open(at, Version::H1, Some(&tls)).await?;
        ensure!(
            connection.certificate() == Some(&issued),
            "another certificate"
        );
        let answer = connection.get(host, "/").await?;
        ensure!(answer.backend() == "web", "{answer:?}");
        Ok(())
    })
    .await;
    (issued, born.elapsed())
}

/// As `cmctl renew` does it.
fn renew(world: &World, host: &str) {
    let name = host.trim_end_matches(".test");
    let mut conditions = world.get("certificate", name)["status"]["conditions"].clone();
    let issuing = json!({
        "type": "Issuing", "status": "True", "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered", "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let all = conditions.as_array_mut().unwrap();
    all.retain(|condition| condition["type"] != "Issuing");
    all.push(issuing);
    let patch = json!({"status": {"conditions": conditions}}).to_string();
    let line = [
        "patch",
        "certificate",
        name,
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ];
    world.kubectl(&line, "");
}

/// What the paths of challenges answered while there were any: by path, statuses in turn.
type Answers = BTreeMap<String, Vec<u16>>;

/// Asks for the path of each challenge again and again, as long as there is one.
struct Challenges {
    answers: Arc<Mutex<Answers>>,
    _asks: JoinSet<()>,
}

impl Challenges {
    async fn watch(world: &World) -> Self {
        let kind = GroupVersionKind::gvk("acme.cert-manager.io", "v1", "Challenge");
        let client = world.plane.client(ADMIN).await;
        let all: Api<DynamicObject> =
            Api::namespaced_with(client, "default", &ApiResource::from_gvk(&kind));
        let answers = Arc::new(Mutex::new(Answers::new()));
        let kept = answers.clone();
        let mut asks = JoinSet::new();
        asks.spawn(async move {
            loop {
                for challenge in all.list(&ListParams::default()).await.into_iter().flatten() {
                    let (spec, status) = (&challenge.data["spec"], &challenge.data["status"]);
                    let (Some(host), Some(token)) =
                        (spec["dnsName"].as_str(), spec["token"].as_str())
                    else {
                        continue;
                    };
                    if status["presented"] != true || status["state"] == "valid" {
                        continue;
                    }
                    let path = format!("/.well-known/acme-challenge/{token}");
                    if let Ok(status) = ask(host, &path).await {
                        let mut answers = kept.lock().unwrap();
                        answers
                            .entry(format!("{host}{path}"))
                            .or_default()
                            .push(status);
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self {
            answers,
            _asks: asks,
        }
    }

    /// Each was answered by its solver, and not once with a redirect from then on until that was over. (The solver's Ingress goes
    /// a moment before its challenge does: the last answers may be the application's.)
    fn were_never_redirected(&self) {
        let answers = self.answers.lock().unwrap();
        assert!(
            answers.len() >= HOSTS.len() * (1 + renewals()),
            "{answers:?}"
        );
        for (path, statuses) in answers.iter() {
            let is_solved = |status: &u16| *status == 200;
            let (Some(first), Some(last)) = (
                statuses.iter().position(is_solved),
                statuses.iter().rposition(is_solved),
            ) else {
                panic!("{path} was never answered: {statuses:?}");
            };
            let redirected = |status: &&u16| (300..400).contains(*status);
            let redirects = statuses[first..last].iter().filter(redirected);
            assert_eq!(redirects.count(), 0, "{path}: {statuses:?}");
        }
    }
}

async fn ask(host: &str, path: &str) -> Result<u16> {
    let (_, address) = HOSTS
        .into_iter()
        .find(|(name, _)| *name == host)
        .context("a challenge of somebody else")?;
    let at = SocketAddr::from((address, 80));
    let answer = client::get(at, Version::H1, None, host, path).await?;
    Ok(answer.status)
}
