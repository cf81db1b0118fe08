//! Objects that multiply: each fits into etcd, and none may become more than a small multiple of itself, in time, in
//! memory, in what Envoy gets and in what is told; what is left out is told, and neighbours do not notice.
//!
//! The ordinary run counts, over small objects. The long form takes each pair of lists up to etcd's limit, each in a
//! process of its own, and prints a table of CPU time and memory (in a release build; the bounds are its).

mod proxies;
mod shapes;
mod shared;

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::process::Command;
use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3::{RouteConfiguration, VirtualHost};
use isobath::build::Builder;
use isobath::objects::{Event, Kind, NamespacedName, Object, ObjectRef, Rules, decode_versioned};
use isobath::xds::{ResourceType, Snapshot};
use prost::Message;

use shapes::{NEIGHBOUR, OWN, Shape};

/// What etcd takes, and with it the API server.
const ETCD_LIMIT: usize = 3 << 19;
/// Large enough for each product to be beyond its budget, or for its count to say that nobody looks at it.
const SMALL: usize = 24 << 10;

/// Names the case that a child process measures.
const CHILD: &str = "ISOBATH_SHAPE";

/// What a case came to.
#[derive(Debug)]
struct Count {
    hosts: u64,
    clusters: u64,
    endpoints: u64,
    /// In all snapshots' resources.
    bytes: usize,
    problems: usize,
}

/// Takes the tenant's objects in beside the neighbour's, then the largest of them again with another status.
fn apply(shape: &Shape) -> (Builder, Count) {
    let mut builder = crate::objects::builder(0);
    for object in shapes::neighbour() {
        builder.apply(Event::Apply(object));
    }
    builder.build();
    let before = neighbours(&builder);
    let translated = builder.translated();
    for object in &shape.objects {
        builder.apply(Event::Apply(object.clone()));
    }
    builder.build();
    assert!(
        neighbours(&builder) == before,
        "{}: the neighbour notices",
        shape.name
    );
    let count = Count {
        hosts: builder.translated().hosts - translated.hosts,
        clusters: builder.translated().clusters,
        endpoints: builder.translated().endpoints,
        bytes: bytes(builder.snapshot()),
        problems: problems(&builder),
    };
    let translated = builder.translated();
    let status = r#"{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}},"#;
    let (kind, text) = &shape.largest;
    let status = match kind {
        Kind::HttpProxy => r#"{"status":{"currentStatus":"valid"},"#,
        _ => status,
    };
    let again = text.replacen('{', status, 1);
    let again = decode_versioned(*kind, &again, Rules::Stored).unwrap();
    builder.apply(Event::Apply(again.object));
    assert!(!builder.build(), "a status changes nothing");
    assert_eq!(builder.translated(), translated);
    assert_eq!(problems(&builder), count.problems);
    (builder, count)
}

/// The neighbour's own host on HTTP, and what is told of its Ingress.
fn neighbours(builder: &Builder) -> (VirtualHost, Vec<String>) {
    let table = http_table(builder);
    let table = RouteConfiguration::decode(table).unwrap();
    let mut hosts = table.virtual_hosts.into_iter();
    let host = hosts.find(|host| host.name == NEIGHBOUR).unwrap();
    let shop = NamespacedName::new("neighbour", "shop");
    let told = builder.statuses().problems.values();
    let told = told.flat_map(|problems| problems.problems.iter());
    // Those who share a host are told of each other.
    let told = told.filter(|problem| problem.source.object.name == shop);
    (host, told.map(|problem| problem.message.clone()).collect())
}

fn http_table(builder: &Builder) -> bytes::Bytes {
    let table = builder.snapshot().get(ResourceType::Route, "http");
    table.unwrap().bytes()
}

fn bytes(snapshot: &Snapshot) -> usize {
    ResourceType::ALL
        .into_iter()
        .flat_map(|resource_type| snapshot.resources(resource_type).values())
        .map(|resource| resource.length())
        .sum()
}

fn problems(builder: &Builder) -> usize {
    let problems = builder.statuses().problems.values();
    problems.map(|problems| problems.problems.len()).sum()
}

/// What the bounds are for counts. Bytes: 20,000 plain routes in two tables and text that is an eighth of the budget, then
/// what each byte may come to.
fn check(shape: &Shape, (builder, count): &(Builder, Count)) {
    let name = &shape.name;
    let most = (32 << 20) + 32 * shape.bytes;
    assert!(
        count.bytes <= most,
        "{name}: {} bytes became {}",
        shape.bytes,
        count.bytes
    );
    // A unit has a name, and a name has bytes: all of them are looked at once.
    let units = count.hosts + count.clusters + count.endpoints;
    assert!(units <= 200 + shape.bytes as u64 / 3, "{name}: {count:?}");
    let told = &builder.statuses().problems;
    let reasons: BTreeSet<(&ObjectRef, &str)> = told
        .values()
        .flat_map(|problems| problems.problems.iter())
        .map(|problem| (&problem.source.object, problem.reason))
        .collect();
    assert!(count.problems <= 9 * reasons.len(), "{name}: {count:?}");
    // What an object says first is served whatever else it says.
    let table = http_table(builder);
    let mut windows = table.windows(OWN.len());
    assert!(windows.any(|window| window == OWN.as_bytes()), "{name}");
}

fn rows(cases: Range<usize>) -> Vec<(String, Count)> {
    let rows = cases.map(|index| {
        let shape = shapes::at(index, SMALL);
        let applied = apply(&shape);
        check(&shape, &applied);
        (shape.name, applied.1)
    });
    rows.collect()
}

#[test]
fn no_product_of_two_lists_is_more_than_one_object_may_come_to() {
    let rows = rows(0..shapes::of_ingresses());
    // A generator that makes nothing tests nothing.
    assert!(rows.iter().any(|(_, count)| count.hosts > 1000));
    assert!(rows.iter().any(|(_, count)| count.clusters > 100));
    assert!(rows.iter().any(|(_, count)| count.bytes > 1 << 20));
    if crate::is_long() {
        table();
    }
}

/// Each root has a budget; what many roots make of one child is bounded in `shared`.
#[test]
fn nothing_multiplies_in_an_http_proxy() {
    let rows = rows(shapes::of_ingresses()..shapes::count());
    assert!(rows.iter().any(|(_, count)| count.clusters > 10));
    assert!(rows.iter().any(|(_, count)| count.bytes > 4 << 20));
}

/// One line a case: its bytes, its CPU time and its memory.
fn table() {
    let mut over = Vec::new();
    for index in 0..shapes::count() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["product::one_shape_alone", "--exact", "--nocapture"])
            .env(CHILD, index.to_string())
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&child.stdout).into_owned();
        let figures = output.lines().find_map(|line| line.split_once("shape: "));
        let Some((_, figures)) = figures.filter(|_| child.status.success()) else {
            panic!("{output}{}", String::from_utf8_lossy(&child.stderr));
        };
        crate::figures("product", figures);
        if figures.contains("OVER") {
            over.push(figures.to_owned());
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}

/// The child of [`table`]; without it there is nothing to measure.
#[test]
fn one_shape_alone() {
    let Some(index) = std::env::var(CHILD).ok() else {
        return;
    };
    let shape = shapes::at(index.parse().unwrap(), ETCD_LIMIT - 4096);
    assert!(
        shape.largest.1.len() <= ETCD_LIMIT,
        "{} bytes",
        shape.largest.1.len()
    );
    let (memory_before, cpu_before) = (resident("VmRSS:"), cpu_seconds());
    // From here the peak is that of what is measured.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let text: Arc<str> = shape.largest.1.as_str().into();
    let object = decode_versioned(shape.largest.0, &text, Rules::Stored)
        .unwrap()
        .object;
    assert!(!matches!(object, Object::Invalid(_)));
    drop(object);
    let applied = apply(&shape);
    let cpu = cpu_seconds() - cpu_before;
    let memory = resident("VmHWM:");
    check(&shape, &applied);
    let megabytes = shape.bytes as f64 / 1e6;
    let (most_cpu, most_memory) = (0.5 + megabytes, 80.0 + 60.0 * megabytes);
    let is_over = !cfg!(debug_assertions) && (memory > most_memory || cpu > most_cpu);
    let Count {
        hosts,
        clusters,
        endpoints,
        bytes,
        problems,
    } = applied.1;
    println!(
        "shape: {:<46} {megabytes:>5.2} MB: {cpu:>6.2} s of {most_cpu:.2}, {memory:>4.0} MB of {most_memory:.0} ({memory_before:.0} before); {hosts} hosts, {clusters} clusters, {endpoints} assignments, {:.1} MB rendered, {problems} told{}",
        shape.name,
        bytes as f64 / 1e6,
        if is_over { " OVER" } else { "" },
    );
}

/// A line of `/proc/self/status`, in megabytes.
fn resident(key: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kilobytes: f64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kilobytes / 1e3
}

/// User and system time of this process, all threads.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: Vec<f64> = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse().unwrap())
        .collect();
    ticks.iter().sum::<f64>() / 100.0
}
