//! Ingresses in the dialect of ingress-nginx: the same rows, in a world of that class.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::rig::Rig;
use crate::row::{Row, rows};
use crate::worlds::world;

#[tokio::test(flavor = "multi_thread")]
async fn ingresses_speak_the_dialect_of_ingress_nginx() {
    let only = std::env::var("ROWS").unwrap_or_default();
    let rows = rows(include_str!("rows/ingress-nginx.txt"));
    let names: BTreeSet<&str> = rows.iter().map(|row| &*row.id).collect();
    assert_eq!(names.len(), rows.len(), "rows of one name share a host");
    let rig = Rig::start(Ipv4Addr::LOCALHOST).await;
    let world = world(rig, &rows, &["--ingress-class", "nginx"], "").await;
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
