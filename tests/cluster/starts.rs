//! I5, complete or nothing: lists come slowly and in pages, an xDS client can't wait, and the first answer of each type
//! is complete all the same.
//!
//! Twenty starts in the ordinary run, two hundred with `ISOBATH_SOAK=1` (`make soak`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join;
use tokio::time::{sleep, timeout};

use crate::fault_proxy::{Fault, FaultProxy};
use crate::installation::{HOME, Installation, cluster_service, our_site};
use crate::support::ads::{Ads, CDS, EDS, LDS, RDS, SDS, Served};
use crate::support::certificate::Authority;
use crate::support::isobath::Isobath;
use crate::support::manifest::endpoint_slice;

/// Objects of each kind, and how many of them are in a page.
const OBJECTS: usize = 60;
const PAGE: usize = 25;

/// How long a request to the API server takes at most. The order in which kinds are whole is another one each time.
const SLOW: Duration = Duration::from_millis(60);

/// No start takes longer, on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn the_first_answer_is_complete() {
    let starts = match std::env::var_os("ISOBATH_SOAK") {
        Some(value) if value == "1" => 200,
        _ => 20,
    };
    let Some(cluster) = Installation::start().await else {
        return;
    };
    let authority = Authority::new();
    let mut objects = Vec::new();
    for n in 0..OBJECTS {
        let (name, host) = (format!("web-{n}"), format!("web-{n}.test"));
        objects.push(cluster_service(&name));
        objects.push(endpoint_slice(&name, &name, "", &["192.0.2.1"], 80, true));
        objects.push(authority.leaf(&[&host]).secret(&name));
        objects.push(our_site(&name, &host, &format!("{name}:80")).tls(&[&host], &name));
    }
    cluster.apply(&objects);

    let proxy = slow_and_paged(&cluster).await;
    let kubeconfig = cluster.kubeconfig(proxy.address());
    let mut expected: Option<Served> = None;
    // The same addresses each time, so that the bytes can be the same.
    let mut isobath = Isobath::of_cluster(&kubeconfig, &["--pod-namespace", HOME]);
    for start in 0..starts {
        let further_pages = || proxy.count(|uri| uri.contains("continue="));
        let before = further_pages();
        isobath.spawn();
        let socket = isobath.xds();
        let (patient, (hasty, given_up)) = join(patient(&socket), hasty(&socket)).await;
        let whole = names(patient.held());
        for first in given_up {
            check_first(&first, &whole, start);
        }
        for ads in [patient, hasty] {
            for (type_url, count) in [(CDS, OBJECTS), (EDS, OBJECTS), (SDS, OBJECTS), (LDS, 3)] {
                assert_eq!(whole[type_url].len(), count, "start {start}: {type_url}");
            }
            // A table per certificate, and one for plain HTTP.
            assert_eq!(whole[RDS].len(), OBJECTS + 1, "start {start}");
            assert_eq!(ads.first().len(), whole.len(), "start {start}");
            check_first(ads.first(), &whole, start);
            let expected = expected.get_or_insert_with(|| ads.held().clone());
            assert!(ads.held() == expected, "start {start}: other bytes");
        }
        // Four kinds have so many objects; the first page of each has no token.
        let pages = further_pages() - before;
        assert_eq!(pages, 4 * (OBJECTS.div_ceil(PAGE) - 1), "start {start}");
        isobath.kill().await;
    }
    println!("{starts} starts, every first answer complete");
}

/// The first answer of each type has all of it. Tables are asked for by name, when what names them is there: the plain one
/// by its manager, the others by their scopes.
fn check_first(first: &First, whole: &First, start: usize) {
    for (type_url, names) in first {
        let whole = &whole[type_url];
        match &**type_url {
            RDS => assert!(names.is_subset(whole), "start {start}: {names:?}"),
            _ => assert_eq!(names, whole, "start {start}: {type_url}"),
        }
    }
}

/// A proxy that knows no streaming lists, has small pages and takes its time.
async fn slow_and_paged(cluster: &Installation) -> FaultProxy {
    let proxy = cluster.proxy().await;
    proxy.slow_down(SLOW);
    proxy.on(
        usize::MAX,
        |uri| uri.contains("sendInitialEvents"),
        Fault::Answer(422, Vec::new(), Bytes::new()),
    );
    proxy.on(
        usize::MAX,
        |uri| uri.contains("limit=500"),
        Fault::RewriteUri(Arc::new(|uri| {
            uri.replace("limit=500", &format!("limit={PAGE}"))
        })),
    );
    proxy
}

/// Connects once, as soon as there is a socket, and waits, as Envoy does.
async fn patient(socket: &Path) -> Ads {
    let whole = async {
        loop {
            if let Ok(mut ads) = Ads::connect(socket).await {
                ads.everything().await.unwrap();
                return ads;
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    let whole = timeout(PATIENCE, whole).await;
    whole.expect("a patient client is served")
}

/// What a stream was told first of each type.
type First = BTreeMap<String, BTreeSet<String>>;

/// Connects again and again and waits ever longer, so that it is served on any machine. Also returns what the streams were told that it gave up.
async fn hasty(socket: &Path) -> (Ads, Vec<First>) {
    let whole = async {
        let mut given_up = Vec::new();
        let mut waits = Duration::from_millis(5);
        loop {
            waits += waits / 8;
            let Ok(Ok(mut ads)) = timeout(waits, Ads::connect(socket)).await else {
                sleep(Duration::from_millis(1)).await;
                continue;
            };
            if let Ok(Ok(_)) = timeout(waits, ads.everything()).await {
                return (ads, given_up);
            }
            given_up.push(ads.first().clone());
        }
    };
    let whole = timeout(PATIENCE, whole).await;
    whole.expect("a hasty client is served")
}

/// The names of a type.
fn names(served: &Served) -> BTreeMap<String, BTreeSet<String>> {
    let mut names: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (type_url, name) in served.keys() {
        let of_type = names.entry(type_url.clone()).or_default();
        of_type.insert(name.clone());
    }
    names
}
