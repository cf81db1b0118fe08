//! A world that changes, for the properties: clusters, tables of routes and scopes, closed at every moment.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::script::apply;
use crate::xds::Snapshot;

/// A world in which route `r{i}` is a table with a host per cluster: closed at every moment, as snapshots are.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Cluster and endpoints get a version.
    Cluster(usize, u8),
    Endpoints(usize, u8),
    /// Route table `.0` sends its host `.1` to cluster `.2`.
    Host(usize, usize, usize, u8),
    NoHost(usize, usize),
    Listener(usize, u8),
    NoListener(usize),
    Secret(usize, u8),
    /// Requests with key `.0` get the table of scopes `.1`, whose host of that key goes to cluster `.2`.
    Key(usize, usize, usize, u8),
    NoKey(usize),
}

pub(super) const CLUSTERS: usize = 4;
pub(super) const TABLES: usize = 3;
/// The first one is a wildcard above the second and the third.
pub(super) const KEYS: [&str; 4] = ["*.test", "a.test", "b.test", "k"];
pub(super) const COVERED: [usize; 2] = [1, 2];

/// What the world is made of, and its snapshot.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    clusters: BTreeMap<usize, u8>,
    endpoints: BTreeMap<usize, u8>,
    hosts: BTreeMap<(usize, usize), (usize, u8)>,
    listeners: BTreeMap<usize, u8>,
    secrets: BTreeMap<usize, u8>,
    /// By key: the table, and the cluster and version of its host there.
    pub(super) keys: BTreeMap<usize, (usize, usize, u8)>,
}

/// Versions from here on are bad: the client refuses them.
pub(super) const BAD: u8 = 6;

impl World {
    pub(super) fn change(&mut self, change: &Change) {
        match *change {
            Change::Cluster(c, version) => drop(self.clusters.insert(c, version)),
            Change::Endpoints(c, version) => drop(self.endpoints.insert(c, version)),
            Change::Host(table, host, cluster, version) => {
                self.hosts.insert((table, host), (cluster, version));
            }
            Change::NoHost(table, host) => drop(self.hosts.remove(&(table, host))),
            Change::Listener(l, version) => drop(self.listeners.insert(l, version)),
            Change::NoListener(l) => drop(self.listeners.remove(&l)),
            Change::Secret(s, version) => drop(self.secrets.insert(s, version)),
            Change::Key(key, table, cluster, version) => {
                self.keys.insert(key, (table, cluster, version));
            }
            Change::NoKey(key) => drop(self.keys.remove(&key)),
        }
    }

    /// Clusters exist while a host uses them, tables and secrets while a listener does.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut text = Vec::new();
        let version = |version: u8| {
            if version >= BAD {
                format!("bad{version}")
            } else {
                version.to_string()
            }
        };
        let mut used = BTreeSet::new();
        for (l, of) in &self.listeners {
            text.push(format!("l:l{l}={}(r:r{l},s:s{l})", version(*of)));
            let secret = self.secrets.get(l).copied().unwrap_or(0);
            text.push(format!("s:s{l}={}", version(secret)));
            let hosts: Vec<String> = self
                .hosts
                .iter()
                .filter(|((table, _), _)| table == l)
                .map(|((_, host), (cluster, of))| {
                    used.insert(*cluster);
                    // The cluster is in the bytes, as in a real route.
                    format!("h{host}={}>c{cluster}(c:c{cluster})", version(*of))
                })
                .collect();
            text.push(format!("r:r{l}=0[{}]", hosts.join(";")));
        }
        // One listener whose manager is an extension; its parts lead connections to keys.
        let led: Vec<String> = self
            .keys
            .keys()
            .map(|key| format!("{}=1", KEYS[*key]))
            .collect();
        text.push(format!("x:m=1 l:m=0(x:m)[{}]", led.join(";")));
        let mut tables: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (key, (table, cluster, of)) in &self.keys {
            used.insert(*cluster);
            let key = KEYS[*key];
            text.push(format!("k:{key}=t{table}(r:t{table})"));
            let host = format!("{key}={}>c{cluster}(c:c{cluster})", version(*of));
            tables.entry(*table).or_default().push(host);
        }
        for (table, hosts) in tables {
            text.push(format!("k:t{table}=t{table}(r:t{table})"));
            text.push(format!("r:t{table}=0[{}]", hosts.join(";")));
        }
        for c in used {
            let cluster = self.clusters.get(&c).copied().unwrap_or(0);
            let endpoints = self.endpoints.get(&c).copied().unwrap_or(0);
            text.push(format!("c:c{c}={}(e:c{c})", version(cluster)));
            text.push(format!("e:c{c}={}", version(endpoints)));
        }
        let mut snapshot = Snapshot::default();
        apply(&mut snapshot, &text.join(" "));
        snapshot
    }
}

pub(super) fn change() -> impl Strategy<Value = Change> {
    // Mostly good versions.
    let version = prop_oneof![8 => 0..BAD, 1 => BAD..BAD + 2];
    prop_oneof![
        2 => (0..CLUSTERS, version.clone()).prop_map(|(c, v)| Change::Cluster(c, v)),
        2 => (0..CLUSTERS, version.clone()).prop_map(|(c, v)| Change::Endpoints(c, v)),
        6 => (0..TABLES, 0..3_usize, 0..CLUSTERS, version.clone())
            .prop_map(|(t, h, c, v)| Change::Host(t, h, c, v)),
        2 => (0..TABLES, 0..3_usize).prop_map(|(t, h)| Change::NoHost(t, h)),
        3 => (0..TABLES, version.clone()).prop_map(|(l, v)| Change::Listener(l, v)),
        1 => (0..TABLES).prop_map(Change::NoListener),
        1 => (0..TABLES, version).prop_map(|(s, v)| Change::Secret(s, v)),
        6 => (0..KEYS.len(), 0..2_usize, 0..CLUSTERS, 0..BAD)
            .prop_map(|(k, t, c, v)| Change::Key(k, t, c, v)),
        1 => (0..KEYS.len()).prop_map(Change::NoKey),
    ]
}
