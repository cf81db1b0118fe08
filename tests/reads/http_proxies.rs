//! Trees of HTTPProxies: a leaf makes the roots again that include it, and nothing else.

use isobath::build::Builder;
use isobath::objects::{Event, Kind, Object};
use isobath::xds::ResourceType;
use serde_json::{Value, json};

use super::{NOTHING, builder, check, deleted, object, service};

/// Roots that include nothing of the tree.
const OTHERS: usize = 500;

fn proxy(name: &str, spec: &Value) -> Object {
    object(Kind::HttpProxy, "shop", name, json!({"spec": spec}))
}

fn to(service: &str) -> Value {
    json!([{"services": [{"name": service, "port": 80}]}])
}

fn root(name: &str, includes: &[&str]) -> Object {
    let includes: Vec<Value> = includes
        .iter()
        .map(|name| json!({"name": name, "conditions": [{"prefix": format!("/{name}")}]}))
        .collect();
    let fqdn = format!("{name}.test");
    let spec = json!({"virtualhost": {"fqdn": fqdn}, "routes": to("web"), "includes": includes});
    proxy(name, &spec)
}

fn branch(service: &str) -> Object {
    let include = json!({"name": "leaf", "conditions": [{"prefix": "/deeper"}]});
    proxy(
        "branch",
        &json!({"routes": to(service), "includes": [include]}),
    )
}

fn leaf(service: &str) -> Object {
    proxy("leaf", &json!({"routes": to(service)}))
}

/// Two roots include the branch, one of them and a third the leaf too; nobody includes the orphan.
fn world() -> Vec<Object> {
    let mut objects = vec![
        service("shop", "web", 80),
        service("shop", "other", 80),
        root("one", &["branch"]),
        root("two", &["branch", "leaf"]),
        root("three", &["leaf"]),
        root("lacking", &["later"]),
        branch("web"),
        leaf("web"),
        proxy("orphan", &json!({"routes": to("web")})),
    ];
    objects.extend((0..OTHERS).map(|number| root(&format!("r{number}"), &[])));
    objects
}

#[test]
fn a_leaf_makes_the_roots_that_include_it() {
    let builder = &mut builder(world());
    let apply = |object: Object| Event::Apply(object);
    let rows: [(&str, Event, u64); 9] = [
        ("a leaf of three roots", apply(leaf("other")), 3),
        ("a branch of two", apply(branch("other")), 2),
        ("a branch that says the same", apply(branch("other")), 0),
        ("a root", apply(root("one", &["branch", "leaf"])), 1),
        (
            "the leaf, which has one root more by two ways",
            apply(leaf("web")),
            3,
        ),
        ("a root of nothing", apply(root("r7", &["orphan"])), 1),
        (
            "what was an orphan",
            apply(proxy("orphan", &json!({"routes": to("other")}))),
            1,
        ),
        (
            "what one root lacks",
            apply(proxy("later", &json!({"routes": to("other")}))),
            1,
        ),
        ("the leaf goes", deleted(&leaf("web")), 3),
    ];
    for (what, event, hosts) in rows {
        let before = builder.translated();
        builder.apply(event);
        builder.build();
        assert_eq!(builder.translated().hosts - before.hosts, hosts, "{what}");
    }
    let alone = proxy("alone", &json!({"routes": to("web")}));
    check(
        builder,
        "one that nobody includes",
        Event::Apply(alone),
        NOTHING,
    );
}

/// What is made of all objects, in bytes.
fn size(builder: &Builder) -> usize {
    let snapshot = builder.snapshot();
    let kinds = ResourceType::ALL.into_iter();
    let all = kinds.flat_map(|kind| snapshot.resources(kind).values());
    all.map(|resource| resource.length()).sum()
}

/// A tree of 2^16 leaves is refused, and costs its own root alone: what others change costs what it costs without.
#[test]
fn a_tree_that_is_too_much_is_its_roots_business() {
    const DEEP: usize = 16;
    let name = |level: usize| format!("bomb{level}");
    let twice = |level: usize| {
        let include = |at: &str| json!({"name": name(level + 1), "conditions": [{"prefix": at}]});
        json!([include("/a"), include("/b")])
    };
    let inner = |level: usize| proxy(&name(level), &json!({"includes": twice(level)}));
    let last = |service: &str| proxy(&name(DEEP), &json!({"routes": to(service)}));
    let host = json!({"fqdn": "bomb.test"});
    let top = proxy(
        &name(0),
        &json!({"virtualhost": host, "includes": twice(0)}),
    );
    let mut tree: Vec<Object> = (1..DEEP).map(inner).collect();
    tree.extend([last("web"), top]);
    let without = size(&builder(world()));
    let builder = &mut builder(world().into_iter().chain(tree));
    assert_eq!(size(builder), without, "it is not served");
    let one = [1, 0, 0, 0];
    for (what, object, made) in [
        ("a neighbour's route", root("r7", &["leaf"]), one),
        ("the last of the tree", last("other"), one),
        ("a neighbour's leaf", leaf("other"), [4, 1, 1, 0]),
        ("a new neighbour", root("new", &[]), one),
    ] {
        check(builder, what, Event::Apply(object), made);
    }
}
