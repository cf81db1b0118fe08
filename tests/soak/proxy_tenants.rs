//! Two namespaces on the same hosts, with HTTPProxies beside Ingresses: what `tenants` says of Ingresses, for both; and a real Envoy
//! that answers as the matcher says, with routes of Gateways as well.

use isobath::translate::HostOwnership;
use serde_json::{Value, json};

use crate::random::Random;
use crate::support::manifest::{self, Manifest};
use crate::tenant::{Pair, TEXTS, aged, ingress};
use crate::tenants::{Counts, Kept, answers_as_the_matcher_says, leaves, secrets};
use crate::{figures, rounds};

const FQDNS: [&str; 4] = ["a.test", "x.a.test", "*.a.test", "*.test"];
/// Wildcards of Gateways are for names of any depth, which the matcher does not know.
const HOSTNAMES: [&str; 4] = ["a.test", "x.a.test", "y.a.test", "z.test"];

fn services(random: &mut Random, namespace: &str) -> Value {
    let name = if random.percent(90) {
        namespace
    } else {
        "gone"
    };
    json!([{"name": name, "port": 80}])
}

fn proxy(random: &mut Random, namespace: &str, name: &str, spec: Value) -> Manifest {
    let object = Manifest(json!({
        "apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy",
        "metadata": {"namespace": namespace, "name": name}, "spec": spec,
    }));
    aged(random, namespace, object)
}

fn route(random: &mut Random, namespace: &str) -> Value {
    let kind = random.one(&["prefix", "prefix", "exact"]);
    let path = random.one(&TEXTS);
    let mut route = json!({"conditions": [{kind: path}], "permitInsecure": random.percent(30)});
    match random.below(8) {
        0 => route["requestRedirectPolicy"] = json!({"path": "/moved"}),
        1 => route["directResponsePolicy"] = json!({"statusCode": 418}),
        _ => route["services"] = services(random, namespace),
    }
    route
}

fn routes(random: &mut Random, namespace: &str) -> Value {
    let count = 1 + random.below(3);
    (0..count).map(|_| route(random, namespace)).collect()
}

/// HTTPProxies of one namespace: roots, and children that they, or those of the other namespace, may include.
fn proxies(random: &mut Random, namespace: &str) -> Vec<Manifest> {
    let mut all = Vec::new();
    for number in 0..2 {
        let routes = routes(random, namespace);
        let child = json!({ "routes": routes });
        all.push(proxy(random, namespace, &format!("c{number}"), child));
    }
    for number in 0..=random.below(3) {
        let mut host = json!({"fqdn": random.one(&FQDNS)});
        if random.percent(50) {
            let secret = if random.percent(85) { "cert" } else { "gone" };
            host["tls"] = json!({"secretName": secret});
        }
        let mut spec = json!({"virtualhost": host, "routes": routes(random, namespace)});
        if random.percent(50) {
            // The younger one may include what is the older one's.
            let of = match random.percent(20) {
                true => "old",
                false => namespace,
            };
            spec["includes"] = json!([{
                "name": random.one(&["c0", "c1", "gone"]), "namespace": of,
                "conditions": [{"prefix": random.one(&TEXTS)}],
            }]);
        }
        all.push(proxy(random, namespace, &format!("r{number}"), spec));
    }
    all
}

/// A Gateway of one namespace that is reached as Ingresses are, and its routes.
fn gateway(random: &mut Random, namespace: &str) -> Vec<Manifest> {
    let host = random.one(&HOSTNAMES);
    let mut listeners = vec![json!({"name": "http", "port": 80, "protocol": "HTTP"})];
    if random.percent(60) {
        listeners.push(json!({
            "name": "https", "port": 443, "protocol": "HTTPS", "hostname": host,
            "tls": {"certificateRefs": [{"name": "cert"}]},
        }));
    }
    let object = |kind: &str, name: String, spec: Value| {
        Manifest(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind,
            "metadata": {"namespace": namespace, "name": name}, "spec": spec,
        }))
    };
    let spec = json!({"gatewayClassName": "isobath", "listeners": listeners});
    let mut all = vec![aged(
        random,
        namespace,
        object("Gateway", "g".to_owned(), spec),
    )];
    for number in 0..=random.below(2) {
        let kind = random.one(&["PathPrefix", "PathPrefix", "Exact"]);
        let path = json!({"type": kind, "value": random.one(&TEXTS)});
        let other = random.one(&HOSTNAMES);
        let hostname = random.one(&[host, other]);
        let spec = json!({
            "parentRefs": [{"name": "g"}], "hostnames": [hostname],
            "rules": [{"matches": [{"path": path}], "backendRefs": services(random, namespace)}],
        });
        let route = object("HTTPRoute", format!("h{number}"), spec);
        all.push(aged(random, namespace, route));
    }
    all
}

/// What holds for the Gateways of both.
fn class() -> Manifest {
    Manifest(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "isobath"},
        "spec": {"controllerName": "isobath.dev/gateway-controller"},
    }))
}

fn tenant(random: &mut Random, namespace: &str, with_gateways: bool) -> Vec<Manifest> {
    let mut all = vec![manifest::service(namespace).namespace(namespace)];
    let is_both = random.percent(40);
    if !with_gateways || random.percent(60) {
        all.extend(proxies(random, namespace));
    }
    if is_both {
        all.push(ingress(random, namespace, 0));
    }
    if with_gateways {
        all.extend(gateway(random, namespace));
    }
    all
}

/// HTTPProxies, and some Ingresses.
fn of_proxies(seed: usize) -> Pair {
    let mut random = Random::new(seed as u64 + 1);
    let [old, new] = ["old", "new"].map(|namespace| tenant(&mut random, namespace, false));
    Pair::of(old, new)
}

/// A Gateway each, and some HTTPProxies and Ingresses.
fn of_gateways(seed: usize) -> Pair {
    let mut random = Random::new(seed as u64 + 1);
    let [mut old, new] = ["old", "new"].map(|namespace| tenant(&mut random, namespace, true));
    old.push(class());
    Pair::of(old, new)
}

#[test]
fn a_namespace_keeps_the_hosts_of_its_http_proxies() {
    let pairs = rounds(300, 10_000);
    let secrets = secrets(&leaves());
    let mut counts = Counts::default();
    for seed in 0..pairs {
        counts.add(&of_proxies(seed), &secrets, HostOwnership::Namespace);
    }
    figures(
        "tenants",
        format_args!("{pairs} pairs of HTTPProxies, {counts}"),
    );
    counts.assert_kept();
    // They do meet.
    assert!(counts.of_older * 5 > counts.asked, "{counts}");
    for kept in [Kept::Same, Kept::OtherHost] {
        let count = counts.kept.get(&kept);
        assert!(
            count.is_some_and(|count| *count > pairs),
            "{kept:?} of {counts}"
        );
    }
}

/// Where hosts are shared the oldest root has its host: whatever the younger one brings, no path of it answers otherwise but for an
/// Ingress beside it that is more specific.
#[test]
fn an_older_root_keeps_its_host() {
    let pairs = rounds(300, 10_000);
    let secrets = secrets(&leaves());
    let mut counts = Counts::default();
    for seed in 0..pairs {
        let pair = of_proxies(seed);
        counts.add_rooted(&pair, &secrets);
    }
    figures(
        "tenants",
        format_args!("{pairs} pairs, shared roots, {counts}"),
    );
    counts.assert_kept();
    assert!(counts.of_older * 10 > counts.asked, "{counts}");
    for kept in [Kept::Same, Kept::OtherHost, Kept::MoreSpecific] {
        let count = counts.kept.get(&kept);
        assert!(
            count.is_some_and(|count| *count > pairs / 10),
            "{kept:?} of {counts}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_answers_as_the_matcher_says_of_http_proxies() {
    for ownership in [HostOwnership::Namespace, HostOwnership::Shared] {
        answers_as_the_matcher_says(
            ownership,
            rounds(2, 100),
            Some(Counts::default()),
            of_proxies,
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_answers_as_the_matcher_says_of_gateways() {
    let counts = Some(Counts::default());
    answers_as_the_matcher_says(
        HostOwnership::Namespace,
        rounds(2, 100),
        counts,
        of_gateways,
    )
    .await;
}
