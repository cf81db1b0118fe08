//! TLS hosts that change certificate, Service and group under traffic over connections that are kept: what was opened for a
//! host goes on getting its answers of now, whatever chain it came by.

use anyhow::ensure;

use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::client::{Tls, Version};
use crate::support::eventually::eventually;
use crate::support::load::Load;
use crate::support::manifest::{Manifest, app, site};
use crate::support::stand::Stand;

/// A host, the Service that answers it, and the Secret that it names; empty for none.
type Site = (&'static str, &'static str, &'static str);

const WILD: Site = ("*.wild.test", "one", "wild");
/// `y.wild.test` is the wildcard's until somebody names it.
const HOSTS: [&str; 5] = [
    "sealed.test",
    "a.test",
    "b.test",
    "x.wild.test",
    "y.wild.test",
];

/// Each step is all of the sites then; Services and Secrets that none names are gone with it.
const STEPS: [(&str, &[Site]); 11] = [
    (
        "as it was",
        &[
            ("sealed.test", "one", "sealed"),
            ("a.test", "one", "shared"),
            ("b.test", "one", "shared"),
            ("x.wild.test", "one", ""),
        ],
    ),
    (
        "another Service",
        &[
            ("sealed.test", "two", "sealed"),
            ("a.test", "one", "shared"),
            ("b.test", "one", "shared"),
            ("x.wild.test", "one", ""),
        ],
    ),
    (
        "another Secret",
        &[
            ("sealed.test", "two", "sealed-2"),
            ("a.test", "one", "shared"),
            ("b.test", "one", "shared"),
            ("x.wild.test", "one", ""),
        ],
    ),
    (
        "both, as a release that gets another name",
        &[
            ("sealed.test", "one", "sealed"),
            ("a.test", "one", "shared"),
            ("b.test", "one", "shared"),
            ("x.wild.test", "one", ""),
        ],
    ),
    (
        "from a shared certificate to one of its own",
        &[
            ("sealed.test", "one", "sealed"),
            ("a.test", "one", "own-a"),
            ("b.test", "one", "shared"),
            ("x.wild.test", "one", ""),
        ],
    ),
    (
        "and back, with another Service",
        &[
            ("sealed.test", "one", "sealed"),
            ("a.test", "two", "shared"),
            ("b.test", "one", "shared"),
            ("x.wild.test", "one", ""),
        ],
    ),
    (
        "from the wildcard's certificate to one of its own",
        &[
            ("sealed.test", "one", "sealed"),
            ("a.test", "two", "shared"),
            ("b.test", "one", "shared"),
            ("x.wild.test", "two", "own-x"),
        ],
    ),
    (
        "and back",
        &[
            ("sealed.test", "one", "sealed"),
            ("a.test", "two", "shared"),
            ("b.test", "one", "shared"),
            ("x.wild.test", "one", ""),
        ],
    ),
    (
        "from nobody's, under a wildcard, to a certificate of its own",
        &[
            ("sealed.test", "one", "sealed"),
            ("a.test", "two", "shared"),
            ("b.test", "one", "shared"),
            ("x.wild.test", "one", ""),
            ("y.wild.test", "two", "own-y"),
        ],
    ),
    (
        "all at once",
        &[
            ("sealed.test", "two", "sealed-2"),
            ("a.test", "one", "own-a"),
            ("b.test", "two", "own-b"),
            ("x.wild.test", "two", "own-x"),
            ("y.wild.test", "one", ""),
        ],
    ),
    (
        "and back",
        &[
            ("sealed.test", "one", "sealed"),
            ("a.test", "two", "shared"),
            ("b.test", "one", "shared"),
            ("x.wild.test", "one", ""),
            ("y.wild.test", "two", "own-y"),
        ],
    ),
];

/// The objects of one step. A host that is new with it tells when Envoy has taken all of it.
fn objects(
    step: usize,
    sites: &[Site],
    backends: &[(&str, Backend)],
    authority: &Authority,
) -> Vec<Manifest> {
    let marker = format!("marker-{step}.test");
    let mut all = vec![site("marker", &marker, "one:80").tls(&[&*marker], "marker")];
    all.push(authority.leaf(&[&*marker]).secret("marker"));
    let sites = sites.iter().chain([&WILD]);
    let (mut services, mut secrets) = (vec!["one"], Vec::new());
    for (host, service, secret) in sites {
        let name = host.replace('*', "any").replace('.', "-");
        let mut ingress = site(&name, host, &format!("{service}:80"));
        if !secret.is_empty() {
            ingress = ingress.tls(&[*host], secret);
            secrets.push(*secret);
        }
        all.push(ingress);
        services.push(*service);
    }
    services.sort_unstable();
    services.dedup();
    secrets.sort_unstable();
    secrets.dedup();
    for (name, backend) in backends.iter().filter(|(name, _)| services.contains(name)) {
        all.extend(app(name, &[backend]));
    }
    let names = ["sealed.test", "a.test", "b.test", "*.wild.test"];
    let secrets = secrets
        .iter()
        .map(|secret| authority.leaf(&names).secret(secret));
    all.extend(secrets);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_move_between_certificates_and_services() {
    let authority = Authority::new();
    let backends = [
        ("one", Backend::start("one").await),
        ("two", Backend::start("two").await),
    ];
    let write = |step: usize| objects(step, STEPS[step].1, &backends, &authority);
    let stand = Stand::start(&write(0)).await;
    let targets = HOSTS.iter().flat_map(|host| {
        let tls = Tls {
            trust: authority.trust(),
            ..Tls::sni(host)
        };
        stand.https_traffic(host, &tls)
    });
    let load = Load::start(targets.collect::<Vec<_>>()).await;
    for (step, (what, _)) in STEPS.iter().enumerate().skip(1) {
        stand.isobath.write("manifests.yaml", &write(step));
        let marker = format!("marker-{step}.test");
        eventually(what, async || {
            let answer = stand.get_tls(Version::H1, &marker, "/").await?;
            ensure!(answer.status == 200, "{}", answer.status);
            Ok(())
        })
        .await;
        load.more(200).await;
        let report = load.report();
        assert!(
            report.failures.is_empty(),
            "{what}: {} of {} failed: {:#?}",
            report.failures.len(),
            report.requests,
            &report.failures[..report.failures.len().min(10)]
        );
    }
    // Longer than what is gone is kept.
    load.more(2000).await;
    load.stop_without_failure().await;
}
