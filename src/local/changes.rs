//! What a reload changed, in the words of a person: the difference of two snapshots.

use std::collections::BTreeSet;

use crate::xds::{Change, Difference, ResourceType, Snapshot};

/// One line for each thing that differs, sorted.
#[must_use]
pub fn between(old: &Snapshot, new: &Snapshot) -> BTreeSet<String> {
    old.changes_to(new).map(|it| line(&it)).collect()
}

fn line(difference: &Difference) -> String {
    let sign = match difference.change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Changed => '~',
    };
    let (word, name) = (word(difference.resource_type), &difference.resource);
    match &difference.part {
        None => format!("{sign} {word} {name}"),
        Some(part) => format!("{sign} {word} {name}: {part}"),
    }
}

const fn word(resource_type: ResourceType) -> &'static str {
    match resource_type {
        ResourceType::Cluster => "cluster",
        ResourceType::Endpoint => "endpoints",
        ResourceType::Extension => "manager",
        ResourceType::Listener => "listener",
        ResourceType::Route => "routes",
        ResourceType::Scope => "scope",
        ResourceType::Secret => "certificate",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::xds::{Part, Resource};

    fn part(bytes: &'static str) -> Part {
        Part {
            bytes: bytes.as_bytes().into(),
            references: Arc::from([]),
            owners: Arc::from([]),
        }
    }

    fn snapshot(clusters: &[(&str, &'static str)], hosts: &[(&str, &'static str)]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (name, bytes) in clusters {
            let resource = Resource::whole((*name).into(), part(bytes));
            snapshot.insert(ResourceType::Cluster, Arc::new(resource));
        }
        let hosts = hosts
            .iter()
            .map(|(host, bytes)| (Arc::from(*host), Arc::new(part(bytes))));
        let table = Resource::composite("http".into(), part("head"), hosts.collect());
        snapshot.insert(ResourceType::Route, Arc::new(table));
        snapshot
    }

    #[test]
    fn every_difference_is_one_line() {
        let old = snapshot(
            &[("a", "1"), ("b", "1")],
            &[("x.test", "1"), ("y.test", "1")],
        );
        let new = snapshot(
            &[("b", "2"), ("c", "1")],
            &[("y.test", "2"), ("z.test", "1")],
        );
        let lines: Vec<String> = between(&old, &new).into_iter().collect();
        let want = [
            "+ cluster c",
            "+ routes http: z.test",
            "- cluster a",
            "- routes http: x.test",
            "~ cluster b",
            "~ routes http: y.test",
        ];
        assert_eq!(lines, want);
        assert!(between(&new, &new.clone()).is_empty());
    }
}
