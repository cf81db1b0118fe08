//! Which HTTPProxies include another one, and how many includes of it there are up to each of them.
//!
//! A child's routes are made again wherever it is included, so many small HTTPProxies could come to their product with a large one.
//! How many of them there are decides how much of it each may have. Those of one namespace are counted by themselves: nobody else
//! can take a share, or an old place.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::objects::{HttpProxy, NamespacedName};

use super::changes::Changes;
use super::fact::Fact;

/// The order of those that include: the oldest first, then by name.
type Age = (bool, Option<jiff::Timestamp>, NamespacedName);

/// Child and the namespace of those that include it → these, in order.
#[derive(Debug, Default)]
pub struct Includers(HashMap<(NamespacedName, Arc<str>), Vec<Includer>, RandomState>);

/// One that includes it. It is small: where one comes or goes, all behind it are moved.
#[derive(Debug)]
struct Includer {
    age: Box<Age>,
    /// How many includes there are from the first to its own.
    until: u64,
}

/// What an HTTPProxy includes, for requests or for connections, and how often.
fn includes(proxy: &HttpProxy) -> BTreeMap<NamespacedName, u64> {
    let own = &proxy.metadata.name.namespace;
    let of_routes = proxy.includes.iter().map(|it| (&it.name, &it.namespace));
    let tcp = proxy.tcp_proxy.iter().flat_map(|tcp| &tcp.include);
    let of_tcp = tcp.map(|(name, namespace)| (name, namespace));
    let mut all = BTreeMap::new();
    for (name, namespace) in of_routes.chain(of_tcp) {
        let namespace = match namespace.is_empty() {
            true => own,
            false => namespace,
        };
        let child = NamespacedName::new(namespace.clone(), name.clone());
        *all.entry(child).or_default() += 1;
    }
    all
}

/// So many, by which power of two they are more than seven. Few are none, as each may have all that an object may come to; and most
/// of those behind one that comes or goes stay where they are.
const fn doublings(count: u64) -> u32 {
    match count.checked_ilog2() {
        Some(doublings) => doublings.saturating_sub(2),
        None => 0,
    }
}

impl Includers {
    /// Files what an HTTPProxy includes, in the place of what it included when it was `old`: notes the facts that differ.
    pub fn replace(
        &mut self,
        old: Option<&HttpProxy>,
        new: Option<&HttpProxy>,
        changes: &mut Changes,
    ) {
        let sides = [old, new].map(|proxy| {
            let all = proxy.map(includes).unwrap_or_default();
            (proxy.map(|proxy| proxy.metadata.seniority()), all)
        });
        let [(old_age, old), (new_age, new)] = sides;
        let is_as_old = old_age == new_age;
        for (child, count) in &old {
            if !(is_as_old && new.get(child) == Some(count)) {
                self.set(child, old_age.as_ref(), 0, changes);
            }
        }
        for (child, count) in &new {
            if !(is_as_old && old.get(child) == Some(count)) {
                self.set(child, new_age.as_ref(), *count, changes);
            }
        }
    }

    /// One of this age includes the child so often from now on.
    fn set(
        &mut self,
        child: &NamespacedName,
        age: Option<&Age>,
        count: u64,
        changes: &mut Changes,
    ) {
        let Some(age) = age else {
            return;
        };
        let key = (child.clone(), age.2.namespace.clone());
        let all = self.0.entry(key.clone()).or_default();
        let found = all.binary_search_by(|it| (*it.age).cmp(age));
        let (Ok(at) | Err(at)) = found;
        let (ahead, rest) = all.split_at_mut(at);
        let ahead = ahead.last().map_or(0, |it| it.until);
        let was = match (found, rest.first()) {
            (Ok(_), Some(own)) => own.until - ahead,
            _ => 0,
        };
        changes.fact(Fact::Includes(child, &age.2));
        for it in rest {
            let until = it.until - was + count;
            if doublings(until) != doublings(it.until) {
                changes.fact(Fact::Includes(child, &it.age.2));
            }
            it.until = until;
        }
        match (found, count) {
            (Ok(at), 0) => drop(all.remove(at)),
            (Ok(_), _) | (Err(_), 0) => {}
            (Err(at), _) => all.insert(
                at,
                Includer {
                    age: Box::new(age.clone()),
                    until: ahead + count,
                },
            ),
        }
        if all.is_empty() {
            self.0.remove(&key);
        }
    }

    /// How many includes of a child there are in the HTTPProxies of a namespace up to one of this age, its own included: how often
    /// four can be doubled.
    pub fn doublings(&self, child: &NamespacedName, age: &Age) -> u32 {
        let key = (child.clone(), age.2.namespace.clone());
        let all = self.0.get(&key).map_or(&[][..], |all| &**all);
        let found = all.binary_search_by(|it| (*it.age).cmp(age));
        let own = found.ok().and_then(|at| all.get(at));
        own.map_or(0, |it| doublings(it.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::FactId;
    use crate::objects::{Kind, Object, decode};

    /// A proxy that includes one child so often.
    fn proxy(namespace: &str, name: &str, year: usize, count: usize) -> HttpProxy {
        let includes = vec![r#"{"name":"child","namespace":"shared"}"#; count];
        let text = format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","creationTimestamp":"{year}-01-01T00:00:00Z"}},"spec":{{"includes":[{}]}}}}"#,
            includes.join(",")
        );
        let object = decode(Kind::HttpProxy, &text);
        let Ok(Object::HttpProxy(proxy)) = object else {
            panic!("{object:?}");
        };
        (*proxy).clone()
    }

    /// Whatever came before, in whatever order: the places are those of the ages, and only who changes its place is told.
    #[test]
    fn places_are_those_of_ages_and_those_that_move_are_told() {
        let child = NamespacedName::new("shared", "child");
        let all: Vec<HttpProxy> = (0..40)
            .map(|i| proxy("a", &format!("r{i}"), 1900 + (i * 17) % 40, 1 + i % 3))
            .collect();
        let mut sorted: Vec<&HttpProxy> = all.iter().collect();
        sorted.sort_by_key(|it| it.metadata.seniority());
        let wanted = |gone: Option<&HttpProxy>| -> BTreeMap<NamespacedName, u32> {
            let mut until = 0;
            let there = sorted.iter().filter(|it| Some(**it) != gone);
            let each = there.map(|it| {
                until += it.includes.len() as u64;
                (it.metadata.name.clone(), doublings(until))
            });
            each.collect()
        };
        let mut includers = Includers::default();
        let changes = &mut Changes::read();
        for it in &all {
            includers.replace(None, Some(it), changes);
        }
        // Another namespace has places of its own.
        let other = proxy("b", "other", 1800, 500);
        includers.replace(None, Some(&other), changes);
        let places = |includers: &Includers| -> BTreeMap<NamespacedName, u32> {
            let there = all.iter().filter(|it| {
                let key = (child.clone(), Arc::from("a"));
                let listed = &includers.0[&key];
                listed.iter().any(|other| other.age.2 == it.metadata.name)
            });
            let age = |it: &HttpProxy| it.metadata.seniority();
            let each = there.map(|it| {
                (
                    it.metadata.name.clone(),
                    includers.doublings(&child, &age(it)),
                )
            });
            each.collect()
        };
        assert_eq!(places(&includers), wanted(None));
        for gone in &all {
            let before = places(&includers);
            let changes = &mut Changes::read();
            includers.replace(Some(gone), None, changes);
            let after = places(&includers);
            assert_eq!(after, wanted(Some(gone)));
            let moved = before
                .iter()
                .filter(|(name, at)| after.get(*name) != Some(*at));
            let mut moved: Vec<FactId> = moved
                .map(|(name, _)| Fact::Includes(&child, name).id())
                .collect();
            assert!(moved.len() <= 10, "{} move", moved.len());
            moved.sort_unstable();
            let mut told: Vec<FactId> = changes.facts().collect();
            told.sort_unstable();
            assert_eq!(told, moved);
            includers.replace(None, Some(gone), changes);
        }
        // One that includes it less often, and then is another object of that name.
        let fewer = proxy("a", "r2", 1934, 1);
        includers.replace(Some(&all[2]), Some(&fewer), changes);
        let younger = proxy("a", "r2", 1999, 7);
        includers.replace(Some(&fewer), Some(&younger), changes);
        let age = younger.metadata.seniority();
        let count: usize = all.iter().map(|it| it.includes.len()).sum();
        let until = (count - all[2].includes.len() + 7) as u64;
        assert_eq!(includers.doublings(&child, &age), doublings(until));
        for it in all.iter().filter(|it| *it.metadata.name.name != *"r2") {
            includers.replace(Some(it), None, changes);
        }
        includers.replace(Some(&younger), None, changes);
        includers.replace(Some(&other), None, changes);
        assert!(includers.0.is_empty(), "{includers:?}");
    }
}
