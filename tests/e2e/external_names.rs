//! Services of type ExternalName: an Envoy that asks a real resolver.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;

use crate::check::{PLAIN, check};
use crate::support::backend::Backend;
use crate::support::envoy::Envoy;
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::manifest::PathType::Prefix;
use crate::support::manifest::{Manifest, bare_service, ingress};
use crate::support::resolver::Resolver;
use crate::support::stand::{Stand, bootstrap};

fn external(name: &str, external_name: &str, backend: &Backend) -> Manifest {
    let mut service = bare_service(name);
    service.0["spec"] = serde_json::json!({
        "type": "ExternalName",
        "externalName": external_name,
        "ports": [{"port": backend.address().port()}],
    });
    service
}

/// The spellings that the translation refuses with this flag: those of a Service that the golden file has a problem for.
fn refused_spellings() -> Vec<&'static str> {
    let told = include_str!("../golden/cases/external-name-spellings.txt").lines();
    let told = told.filter(|line| line.contains("ExternalNameNotAllowed"));
    told.filter_map(|line| line.split_once("external name \"")?.1.split('"').next())
        .collect()
}

/// `--allow-external-names`: a name of the outside is looked up and served. It is looked up as a whole name: the pod's
/// search domains, which [`Envoy`] has here as in a pod, would make Services of other namespaces of it.
#[tokio::test(flavor = "multi_thread")]
async fn names_are_looked_up_whole() {
    // The last one is what the search domain makes of the second.
    let resolver = Resolver::start(&["shop.example", "web.team.svc.cluster.local"]).await;
    let backend = Backend::start("outside").await;
    let names = BTreeMap::from([
        ("good", "shop.example"),
        ("dotted", "shop.example."),
        ("sneaky", "web.team"),
        ("inside", "web.team.svc.cluster.local"),
        ("local", "localhost."),
    ]);
    let mut manifests: Vec<_> = names
        .iter()
        .map(|(name, external_name)| external(name, external_name, &backend))
        .collect();
    let port = backend.address().port();
    for name in names.keys() {
        let rule = (&*format!("/{name}"), Prefix, &*format!("{name}:{port}"));
        manifests.push(ingress(name).rule("all.test", &[rule]));
    }
    let refused = refused_spellings();
    assert!(refused.len() > 40, "{refused:?}");
    for (number, spelling) in refused.iter().enumerate() {
        let name = format!("refused-{number}");
        manifests.push(external(&name, spelling, &backend));
        let rule = (&*format!("/{name}"), Prefix, &*format!("{name}:{port}"));
        manifests.push(ingress(&name).rule("all.test", &[rule]));
    }
    let mut isobath = Isobath::prepare(&["--allow-external-names"]);
    // A name that its owner lets point to the pod's loopback, where the admin pages are.
    let mut admin = external("admin", "shop.example", &backend);
    admin.0["spec"]["ports"][0]["port"] = isobath.admin().port().into();
    let admin_port = format!("admin:{}", isobath.admin().port());
    manifests.extend([
        admin,
        ingress("admin")
            .annotate(
                "isobath.dev/request-headers",
                "X-Forwarded-Proto:\nX-Request-Id:",
            )
            .rule("admin.test", &[("/healthz", Prefix, &admin_port)]),
    ]);
    isobath.write("manifests.yaml", &manifests);
    isobath.restart().await;
    let directory = isobath.directory();
    let path = bootstrap(directory, &isobath.xds_address());
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(resolver.bootstrap().as_bytes()).unwrap();
    let log = directory.join("envoy.log");
    let mut envoy = Envoy::start(&path, &directory.join("admin.sock"), &log);
    envoy.live().await;
    let stand = Stand { envoy, isobath };
    eventually("the name is looked up", async || {
        let answer = stand.get("all.test", "/good").await?;
        anyhow::ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    })
    .await;
    eventually("the other one too", async || match resolver.asked() {
        asked if asked.contains("web.team") => Ok(()),
        asked => Err(format!("{asked:?}")),
    })
    .await;
    check(
        &stand,
        &[
            ("all.test", "/good", "outside"),
            ("all.test", "/dotted", "outside"),
            ("all.test", "/sneaky", "503"),
            ("all.test", "/inside", "503"),
            ("all.test", "/local", "503"),
            ("admin.test", "/healthz", "403"),
        ],
        PLAIN,
    )
    .await;
    // Every other spelling of an address or of a name that leads inside: none is looked up, none is connected to.
    let before = backend.requests();
    for (number, spelling) in refused.iter().enumerate() {
        let answer = stand.get("all.test", &format!("/refused-{number}")).await;
        assert_eq!(answer.unwrap().status, 503, "{spelling}");
    }
    assert_eq!(backend.requests(), before);
    let asked = resolver.asked();
    let wanted = ["shop.example", "web.team"].map(str::to_owned);
    assert_eq!(asked, BTreeSet::from(wanted));
}
