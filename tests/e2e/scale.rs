//! What goes over the wire: as little as changed, and the same from every process.

use std::collections::BTreeMap;

use crate::check::apps;
use crate::support::ads::{Ads, CDS, EDS, LDS, Push, RDS, SDS};
use crate::support::certificate::Authority;
use crate::support::isobath::Isobath;
use crate::support::manifest::PathType::Prefix;
use crate::support::manifest::{Manifest, endpoint_slice, ingress, service, site};

const INGRESSES: usize = 2000;

/// One Ingress with a Service and an endpoint of its own.
fn unit(number: usize, port: u16) -> Vec<Manifest> {
    let name = format!("app-{number}");
    vec![
        ingress(&name).rule(
            &format!("{name}.test"),
            &[
                ("/", Prefix, &format!("{name}:80")),
                ("/api", Prefix, &format!("{name}:80")),
            ],
        ),
        service(&name),
        endpoint_slice(&name, &name, "", &["127.0.0.1"], port, true),
    ]
}

/// How much each counter with this prefix has grown, those that have not left out.
fn growth(
    before: &BTreeMap<String, f64>,
    after: &BTreeMap<String, f64>,
    prefix: &str,
) -> BTreeMap<String, f64> {
    after
        .iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(name, value)| {
            (
                name.clone(),
                value - before.get(name).copied().unwrap_or(0.0),
            )
        })
        .filter(|(_, grown)| *grown != 0.0)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_endpoint_of_two_thousand_ingresses() {
    const PER_FILE: usize = 50;
    let mut isobath = Isobath::prepare(&[]);
    let file = |first: usize, changed: &[(usize, u16)]| -> Vec<Manifest> {
        (first..first + PER_FILE)
            .flat_map(|number| {
                let port = changed.iter().find(|(changed, _)| *changed == number);
                unit(number, port.map_or(1000, |(_, port)| *port))
            })
            .collect()
    };
    for first in (0..INGRESSES).step_by(PER_FILE) {
        isobath.write(&format!("{first}.yaml"), &file(first, &[]));
    }
    isobath.restart().await;
    let mut ads = Ads::connect(&isobath.xds()).await.unwrap();
    let served = ads.everything().await.unwrap();
    let count = |wanted: &str| {
        served
            .keys()
            .filter(|(type_url, _)| type_url == wanted)
            .count()
    };
    assert_eq!((count(CDS), count(EDS)), (INGRESSES, INGRESSES));

    let before = isobath.metrics().await;
    // Two changes, one after the other: the second one's push shows that the first one's was the only one.
    for (number, port) in [(1234, 2000), (1234, 2001), (77, 2002), (1234, 2003)] {
        let first = number / PER_FILE * PER_FILE;
        isobath.write(&format!("{first}.yaml"), &file(first, &[(number, port)]));
        let push = ads.next().await.unwrap();
        let [name] = &push.resources[..] else {
            panic!("one resource, not {push:?}");
        };
        assert!(name.contains(&format!("app-{number}")), "{push:?}");
        let expected = Push {
            type_url: EDS.to_owned(),
            resources: vec![name.clone()],
            removed: vec![],
        };
        assert_eq!(push, expected);
    }
    let after = isobath.metrics().await;
    let translated = growth(&before, &after, "isobath_units_translated_total");
    let values: Vec<f64> = translated.values().copied().collect();
    assert_eq!(
        values,
        [4.0],
        "four endpoint assignments and nothing else: {translated:?}"
    );
    isobath.process().assert_running();
}

/// Fresh processes on the same objects, however they lie in files, serve the same names, versions and bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_processes_serve_the_same() {
    let authority = Authority::new();
    let (_backends, mut objects) = apps(&["a", "b", "c", "d"]).await;
    objects.extend([
        site("a", "a.test", "a:80").tls(&["a.test"], "one"),
        site("b", "b.test", "b:80").tls(&["b.test"], "one"),
        site("c", "*.c.test", "c:80").tls(&["*.c.test"], "two"),
        site("d", "d.test", "d:80").annotate("ingress.kubernetes.io/force-ssl-redirect", "true"),
        site("clash-1", "a.test", "d:80"),
        site("clash-2", "a.test", "c:80").tls(&["a.test"], "two"),
        site("broken", "e.test", "nowhere:80").tls(&[], "missing"),
        ingress("default").default_backend("a:80"),
        ingress("default-too").default_backend("b:80"),
        authority.leaf(&["a.test", "b.test"]).secret("one"),
        authority.rsa_leaf(&["*.c.test"]).secret("two"),
    ]);
    let mut isobath = Isobath::prepare(&[]);
    let mut first = None;
    for round in 0..100 {
        // Odd rounds have every object in a file of its own, named backwards.
        if round % 2 == 0 {
            isobath.write("all.yaml", &objects);
        } else {
            for (number, object) in objects.iter().rev().enumerate() {
                isobath.write(&format!("{number}.yaml"), std::slice::from_ref(object));
            }
        }
        isobath.restart().await;
        let mut ads = Ads::connect(&isobath.xds()).await.unwrap();
        let served = ads.everything().await.unwrap();
        for type_url in [CDS, EDS, LDS, RDS, SDS] {
            assert!(
                served.keys().any(|(held, _)| held == type_url),
                "{type_url}"
            );
        }
        let first = first.get_or_insert_with(|| served.clone());
        let differ: Vec<_> = served
            .keys()
            .chain(first.keys())
            .filter(|key| served.get(*key) != first.get(*key))
            .collect();
        assert!(differ.is_empty(), "round {round}: {differ:?}");
        isobath.kill().await;
        if round % 2 == 0 {
            isobath.remove("all.yaml");
        } else {
            (0..objects.len()).for_each(|number| isobath.remove(&format!("{number}.yaml")));
        }
    }
}
