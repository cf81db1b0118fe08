//! One child that many roots include: what is made of it in all of them is bounded. The oldest have it, the others are told, and
//! neither another namespace nor anything else of a root notices.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::{RouteConfiguration, VirtualHost};
use isobath::build::Builder;
use isobath::objects::{Event, Kind, NamespacedName, Object, ObjectRef, Rules, decode_versioned};
use prost::Message;

/// Routes of the child, each with a cluster of its own.
const ROUTES: usize = 60;
/// So many roots can have them, at some 70,000 each: the next would have a share of half as much.
const SERVED: usize = 127;

fn decoded(kind: Kind, text: &str) -> Object {
    let decoded = decode_versioned(kind, text, Rules::Stored).unwrap();
    assert!(!matches!(decoded.object, Object::Invalid(_)), "{text}");
    decoded.object
}

fn proxy(namespace: &str, name: &str, age: usize, spec: &str) -> Object {
    let day = format!(
        "{}-{:02}-{:02}",
        2000 + age / 336,
        1 + age / 28 % 12,
        1 + age % 28
    );
    let metadata = format!(
        r#"{{"name":"{name}","namespace":"{namespace}","creationTimestamp":"{day}T00:00:00Z"}}"#
    );
    let text = format!(r#"{{"metadata":{metadata},"spec":{{{spec}}}}}"#);
    decoded(Kind::HttpProxy, &text)
}

fn child() -> Object {
    let route = |i: usize| {
        format!(
            r#"{{"conditions":[{{"prefix":"/{i}"}}],"timeoutPolicy":{{"idleConnection":"{}s"}},"services":[{{"name":"web","port":80}}]}}"#,
            i + 1
        )
    };
    let routes: Vec<String> = (0..ROUTES).map(route).collect();
    let spec = format!(r#""routes":[{}]"#, routes.join(","));
    proxy("tenant", "child", 0, &spec)
}

fn host(namespace: &str, i: usize) -> String {
    format!("r{i}.{namespace}.test")
}

/// A root that includes the child under `/c`, and has a route of its own. The first is the youngest by its name.
fn root(namespace: &str, i: usize) -> Object {
    let spec = format!(
        r#""virtualhost":{{"fqdn":"{}"}},"includes":[{{"name":"child","namespace":"tenant","conditions":[{{"prefix":"/c"}}]}}],"routes":[{{"conditions":[{{"prefix":"/own"}}],"directResponsePolicy":{{"statusCode":200}}}}]"#,
        host(namespace, i)
    );
    proxy(namespace, &format!("r{:04}", 9999 - i), i, &spec)
}

/// What hosts have, by name.
struct Found(BTreeMap<String, VirtualHost>);

impl Found {
    fn of(builder: &Builder) -> Self {
        let table = RouteConfiguration::decode(super::http_table(builder)).unwrap();
        let hosts = table.virtual_hosts.into_iter();
        Self(hosts.map(|host| (host.name.clone(), host)).collect())
    }

    fn routes(&self) -> usize {
        self.0.values().map(|host| host.routes.len()).sum()
    }

    /// Whether a root has the child's routes, or else an answer of 502 in their place.
    fn has_child(&self, namespace: &str, i: usize) -> bool {
        let host = &self.0[&host(namespace, i)];
        let answers = host.routes.iter().filter_map(|route| match &route.action {
            Some(Action::DirectResponse(answer)) => Some(answer.status),
            _ => None,
        });
        let mut answers: Vec<u32> = answers.collect();
        answers.sort_unstable();
        match host.routes.len() > ROUTES {
            true => assert_eq!(answers, [200]),
            false => assert_eq!(answers, [200, 502]),
        }
        host.routes.len() > ROUTES
    }

    /// The roots that have it.
    fn having(&self, namespace: &str, roots: std::ops::Range<usize>) -> Vec<usize> {
        roots.filter(|i| self.has_child(namespace, *i)).collect()
    }
}

fn told(builder: &Builder, namespace: &str, i: usize) -> Vec<String> {
    let name = NamespacedName::new(namespace, format!("r{:04}", 9999 - i));
    let kind = Kind::HttpProxy;
    let problems = builder.statuses().problems.get(&ObjectRef { kind, name });
    let problems = problems.iter().flat_map(|it| it.problems.iter());
    problems
        .map(|it| format!("{}: {}", it.reason, it.message))
        .collect()
}

fn builder(objects: &[Object]) -> Builder {
    let mut builder = crate::objects::builder(0);
    let service = r#"{"metadata":{"name":"web","namespace":"tenant"},"spec":{"ports":[{"name":"http","port":80}]}}"#;
    builder.apply(Event::Apply(decoded(Kind::Service, service)));
    builder.apply(Event::Batch(
        objects.iter().cloned().map(Event::Apply).collect(),
    ));
    builder.build();
    builder
}

#[test]
fn what_many_roots_make_of_one_child_is_bounded() {
    let count = 300;
    let roots: Vec<Object> = (0..count).map(|i| root("tenant", i)).collect();
    let mut objects = vec![child()];
    objects.extend(roots.iter().cloned());
    // Younger than all of them, and of nobody who has had a share of it.
    objects.extend((0..5).map(|i| root("other", 2000 + i)));
    let mut all = builder(&objects);
    let found = Found::of(&all);
    let oldest: Vec<usize> = (0..SERVED).collect();
    assert_eq!(found.having("tenant", 0..count), oldest);
    assert_eq!(found.having("other", 2000..2005).len(), 5);
    for i in 0..count {
        let wanted: &[&str] = match i < SERVED {
            true => &[],
            false => &[
                "TooLarge: include tenant/child is left out: with what older HTTPProxies of namespace tenant include of it, it would be more than one child may come to",
            ],
        };
        assert_eq!(told(&all, "tenant", i), wanted, "r{i}");
    }
    // Twice as many roots have no more of it.
    let more = (count..2 * count).map(|i| root("tenant", i));
    let more: Vec<Object> = objects.iter().cloned().chain(more).collect();
    let twice = Found::of(&builder(&more));
    assert_eq!(twice.having("tenant", 0..2 * count), oldest);
    // Of a root that is left out: its own route, and what answers in the place of the child.
    assert_eq!(twice.routes(), found.routes() + 2 * count);
    // In whatever order they come.
    let other_way: Vec<Object> = objects.iter().rev().cloned().collect();
    assert_eq!(Found::of(&builder(&other_way)).0, found.0);

    // One goes: the next has its place, and only those that have another share are made again.
    let gone = roots[40].reference();
    let before = all.translated().hosts;
    all.apply(Event::Delete(gone));
    all.build();
    let made = all.translated().hosts - before;
    assert!(made <= 4, "{made} hosts are made again");
    let left: Vec<Object> = objects
        .iter()
        .filter(|it| it.reference() != roots[40].reference())
        .cloned()
        .collect();
    let found = Found::of(&all);
    assert_eq!(found.0, Found::of(&builder(&left)).0);
    let having: Vec<usize> = (0..count).filter(|i| *i != 40).collect();
    let having: Vec<usize> = having
        .into_iter()
        .filter(|i| found.has_child("tenant", *i))
        .collect();
    assert_eq!((having.len(), having.last()), (SERVED, Some(&SERVED)));
    assert_eq!(told(&all, "tenant", SERVED), [""; 0]);
}
