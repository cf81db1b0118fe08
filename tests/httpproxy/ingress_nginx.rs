//! Ingresses in the dialect of ingress-nginx: the same rows, in a world of that class.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use serde_json::json;

use crate::rig::Rig;
use crate::row::{Row, rows};
use crate::run::World;
use crate::worlds::world;

#[tokio::test(flavor = "multi_thread")]
async fn ingresses_speak_the_dialect_of_ingress_nginx() {
    let only = std::env::var("ROWS").unwrap_or_default();
    let rows = rows(include_str!("rows/ingress-nginx.txt"));
    let names: BTreeSet<&str> = rows.iter().map(|row| &*row.id).collect();
    assert_eq!(names.len(), rows.len(), "rows of one name share a host");
    let rig = Rig::start(Ipv4Addr::LOCALHOST).await;
    let flags = ["--ingress-class", "nginx", "--auth-services", "team1/t1"];
    let world = world(rig, &rows, &flags, "").await;
    let asked: Vec<Row> = rows
        .into_iter()
        .filter(|row| row.id.starts_with(&only))
        .collect();
    world.check(&asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ingresses_speak_the_dialect_behind_a_proxy() {
    let rows = rows(include_str!("rows/ingress-nginx-told.txt"));
    let rig = Rig::start(Ipv4Addr::LOCALHOST).await;
    let flags = ["--ingress-class", "nginx,own", "--envoy-trusted-hops", "1"];
    let world = world(rig, &rows, &flags, "").await;
    world.check(&rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ingresses_are_answered_as_ingress_nginx_does() {
    let rows = rows(include_str!("rows/ingress-nginx-strict.txt"));
    let rig = Rig::start(Ipv4Addr::LOCALHOST).await;
    let flags = ["--ingress-class", "nginx", "--nginx-compat", "strict"];
    let world = world(rig, &rows, &flags, "").await;
    world.check(&rows).await;
}

/// What ingress-nginx's own ConfigMap says holds where an Ingress does not say it, changes with it, and closes what it may guard when
/// it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_holds_for_all() {
    let rows = rows(include_str!("rows/ingress-nginx-configmap.txt"));
    let map = |limit: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"namespace": "hp", "name": "controller"},
            "data": {
                "block-cidrs": "192.0.2.0/24",
                "global-auth-url": "http://b.hp.svc.cluster.local/check?status=403",
                "hsts-include-subdomains": "false",
                "hsts-max-age": "60",
                "http-redirect-code": "301",
                "limit-req-status-code": limit,
                "no-auth-locations": "/open",
                "no-tls-redirect-locations": "/health",
                "proxy-body-size": "10",
                "whitelist-source-range": "10.0.0.0/8",
                "worker-processes": "4",
            },
        })
    };
    let rig = Rig::start(Ipv4Addr::LOCALHOST).await;
    let flags = [
        "--ingress-class",
        "nginx",
        "--nginx-configmap",
        "hp/controller",
    ];
    let named = world(rig, &rows, &flags, "").await;
    let asked = async |world: &World, text: &str| {
        let rows = crate::row::rows(text);
        world.check(&rows).await;
    };
    // Nobody knows yet what it guards.
    asked(&named, "row nc-own\nnginx: P / > a\n/ -> 503\n").await;
    let isobath = &named.stand.isobath;
    isobath.write_text("controller.yaml", &map("429").to_string());
    asked(&named, "row nc-own\nnginx: P / > a\nuntil / -> 200 a\n").await;
    named.check(&rows).await;
    isobath.write_text("controller.yaml", &map("409").to_string());
    asked(&named, "row nc-limit\nnginx: P / > a\nuntil / -> 409\n").await;
    isobath.write_text("controller.yaml", "");
    asked(&named, "row nc-own\nnginx: P / > a\nuntil / -> 503\n").await;
}

/// Guards: their annotations, how they are asked, and what is answered to who is kept out.
const GUARDS: [(&str, &str, &str, &str); 20] = [
    ("allow", "whitelist-source-range: 10.0.0.0/8", "/x", "403"),
    ("allow-bad", "whitelist-source-range: bad", "/x", "503"),
    (
        "allow-half",
        "allowlist-source-range: \"127.0.0.0/8, bad\"",
        "/x",
        "503",
    ),
    ("deny", "denylist-source-range: 127.0.0.0/8", "/x", "403"),
    ("deny-bad", "denylist-source-range: bad", "/x", "503"),
    ("rps-bad", "limit-rps: x", "/x", "503"),
    ("rpm-bad", "limit-rpm: 1.5", "/x", "503"),
    ("clients", "auth-tls-secret: hp/ca", "https /x", "ERR"),
    ("clients-clear", "auth-tls-secret: hp/ca", "/x", "503"),
    (
        "clients-missing",
        "auth-tls-secret: hp/nosuch",
        "https cert=client /x",
        "503",
    ),
    (
        "clients-bad",
        "auth-tls-secret: ca",
        "https cert=client /x",
        "503",
    ),
    (
        "subject",
        "auth-tls-secret: hp/ca, auth-tls-match-cn: CN=nobody",
        "https cert=client /x",
        "403",
    ),
    (
        "subject-bad",
        "auth-tls-secret: hp/ca, auth-tls-match-cn: \"CN=(\"",
        "https cert=client /x",
        "503",
    ),
    (
        "subject-brackets",
        "auth-tls-secret: hp/ca, auth-tls-match-cn: \"CN=a)|(.\"",
        "https cert=client /x",
        "503",
    ),
    // Nobody has shown anything in clear.
    (
        "subject-clear",
        "auth-tls-secret: hp/ca, auth-tls-verify-client: optional, auth-tls-match-cn: CN=client",
        "/x",
        "503",
    ),
    ("shown-missing", "proxy-ssl-secret: hp/nosuch", "/x", "503"),
    ("shown-bad", "proxy-ssl-secret: other/ca", "/x", "503"),
    ("firewall", "enable-modsecurity: \"true\"", "/x", "503"),
    ("connections", "limit-connections: 1", "/x", "503"),
    ("headers", "custom-headers: hp/nosuch", "/x", "503"),
];

/// Whatever is wrong with a guard, or with what is behind it, nobody gets through who is to be kept out: not by another name, not by
/// another Ingress's path, not where a default back end stands in.
#[tokio::test(flavor = "multi_thread")]
async fn no_guard_opens() {
    let mut text = String::new();
    for (name, said, ask, answer) in GUARDS {
        for (state, service) in [("up", "a"), ("down", "empty"), ("gone", "nosuch")] {
            let id = format!("ng-{name}-{state}");
            let other = ask.replace("/x", &format!("/x host=al.{id}.test"));
            writeln!(
                text,
                "row {id}\nnginx: {{{said}, ssl-redirect: \"false\", default-backend: b, server-alias: al.$h}}; \
                 P / > {service}; tls web; tls web al.$h\n{ask} -> {answer}\n{other} -> {answer}\n"
            )
            .unwrap();
        }
    }
    for (state, service, first) in [("up", "a", "200 a"), ("down", "empty", "503")] {
        writeln!(
            text,
            "row ng-limit-{state}\nnginx: {{limit-rpm: 1, limit-burst-multiplier: 0}}; P / > {service}\n\
             /x -> {first}\n/x -> 503\n"
        )
        .unwrap();
    }
    let rows = rows(&text);
    let rig = Rig::start(Ipv4Addr::LOCALHOST).await;
    let world = world(rig, &rows, &["--ingress-class", "nginx"], "").await;
    world.check(&rows).await;
}
