//! Classes: whether there is one of ours, whether two are the default one, and who else serves what is ours.

use std::collections::BTreeMap;

use super::finding::{Checked, Finding, counted, some_of};
use super::installation::{Installation, Stage};
use super::neighbours::Rival;
use super::read::Read;
use super::routed::{Class, Facts, Object};
use crate::objects::{CONTROLLER, Kind};

/// A name that is so near was meant, of one as long as eight letters.
const SIMILAR: f64 = 0.8;

/// Whether each Ingress has one controller.
pub fn check(facts: &Facts, rivals: &Read<Vec<Rival>>, installation: &Installation) -> Checked {
    let mut findings = Vec::new();
    let mut says = "IngressClasses are not needed".to_owned();
    match &facts.classes {
        Ok(classes) => {
            findings.extend(missing(facts, classes, installation));
            findings.extend(taken(facts, classes, installation));
            findings.extend(defaults(classes));
            findings.extend(unknown_names(facts, classes));
            let ours: Vec<String> = classes
                .iter()
                .filter(|class| class.is_ours())
                .map(|class| class.name.clone())
                .collect();
            if !ours.is_empty() {
                let ingresses = facts.ours().filter(|it| it.kind == Kind::Ingress);
                let ingresses = counted(ingresses.count(), "Ingress");
                says = format!("class {} serves {ingresses}", some_of(&ours));
            }
        }
        Err(unread) => findings.push(unread.finding("which Ingresses are served")),
    }
    for (kind, objects) in &facts.objects {
        if let Err(unread) = objects {
            findings.push(unread.finding(&format!("which objects of kind {kind} are served")));
        }
    }
    if let Err(unread) = &facts.gateway_classes {
        findings.push(unread.finding("which Gateways are served"));
    }
    findings.extend(other_writers(facts));
    if installation.stage() != Stage::Before {
        let rivals = rivals.as_deref().unwrap_or_default();
        findings.extend(other_installations(facts, rivals, installation));
    }
    Checked {
        name: "classes",
        says,
        findings,
    }
}

/// No class of ours, which Ingresses could name.
fn missing(facts: &Facts, classes: &[Class], installation: &Installation) -> Option<Finding> {
    let is_needed = facts.names.is_empty() && installation.stage() == Stage::After;
    if !is_needed || classes.iter().any(Class::is_ours) {
        return None;
    }
    Some(Finding::error(
        format!(
            "no IngressClass has the controller {CONTROLLER}, so no Ingress is served: make one"
        ),
        "kubectl apply -f deploy/base/ingressclass.yaml",
    ))
}

/// A class that is served by its name, and is another controller's.
fn taken<'a>(
    facts: &'a Facts,
    classes: &'a [Class],
    installation: &'a Installation,
) -> impl Iterator<Item = Finding> + 'a {
    let named = classes
        .iter()
        .filter(|class| facts.names.contains(&class.name));
    named.filter(|class| !class.is_ours()).map(|class| {
        let (namespace, workload) = (&installation.namespace, installation.workload());
        Finding::warning(
            format!(
                "IngressClass {} is served here by its name (--ingress-class), and its controller is {}: where that runs, both serve \
                 these Ingresses and write their addresses in turn. End it, or take the name out of --ingress-class",
                class.name, class.controller
            ),
            format!("kubectl -n {namespace} edit {workload}"),
        )
    })
}

/// Several default classes.
fn defaults(classes: &[Class]) -> Option<Finding> {
    let mut defaults: Vec<&Class> = classes.iter().filter(|class| class.is_default).collect();
    // The API server takes the newest, of those of one moment the first by name.
    defaults.sort_by(|a, b| b.created.cmp(&a.created).then(a.name.cmp(&b.name)));
    let (first, others) = defaults.split_first()?;
    let other = others.first()?;
    let names: Vec<String> = others.iter().map(|class| class.name.clone()).collect();
    Some(Finding::warning(
        format!(
            "{} IngressClasses are the default one: an Ingress that names none gets {}, the newest, and not {}. Leave it to one",
            defaults.len(),
            first.name,
            some_of(&names)
        ),
        format!(
            "kubectl annotate ingressclass {} ingressclass.kubernetes.io/is-default-class-",
            other.name
        ),
    ))
}

/// Classes that Ingresses name and nobody has.
fn unknown_names(facts: &Facts, classes: &[Class]) -> Vec<Finding> {
    let mut named: BTreeMap<&str, Vec<&Object>> = BTreeMap::new();
    let objects = facts
        .objects
        .iter()
        .flat_map(|(_, all)| all.iter().flatten());
    for object in objects.filter(|it| it.kind == Kind::Ingress && it.is_field) {
        let Some(class) = &object.class else {
            continue;
        };
        if !facts.names.contains(class) && !classes.iter().any(|it| it.name == *class) {
            named.entry(class).or_default().push(object);
        }
    }
    let finding = |(class, objects): (&str, Vec<&Object>)| {
        let paths: Vec<String> = objects.iter().map(|it| it.path()).collect();
        let ours = classes.iter().filter(|it| it.is_ours()).map(|it| &*it.name);
        let similar = ours.map(|name| (strsim::jaro_winkler(name, class), name));
        let similar = similar.filter(|(how, _)| *how >= SIMILAR);
        let meant = similar
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, name)| name);
        let hint = meant.map_or_else(String::new, |name| format!("; perhaps {name} is meant"));
        let first = objects.first();
        let (namespace, name) = first.map_or(("", ""), |it| (&*it.namespace, &*it.name));
        let patch = format!(
            r#"{{"spec":{{"ingressClassName":"{}"}}}}"#,
            meant.unwrap_or("isobath")
        );
        Finding::warning(
            format!(
                "{} ({}) of class {class}, which does not exist, so nobody serves it{hint}",
                counted(objects.len(), "Ingress"),
                some_of(&paths)
            ),
            format!("kubectl -n {namespace} patch ingress {name} --type=merge -p '{patch}'"),
        )
    };
    named.into_iter().map(finding).collect()
}

/// Controllers that write the addresses of what is ours.
fn other_writers(facts: &Facts) -> Vec<Finding> {
    let mut writers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for object in facts.ours() {
        for writer in &object.writers {
            writers
                .entry(writer)
                .or_default()
                .push(format!("{} {}", object.kind, object.path()));
        }
    }
    let finding = |(writer, objects): (&str, Vec<String>)| {
        let first = objects.first().and_then(|it| it.split_once(' '));
        let (kind, path) = first.unwrap_or_default();
        let (namespace, name) = path.split_once('/').unwrap_or_default();
        Finding::warning(
            format!(
                "{writer} has written the address of {}, which is served here: another controller serves it too. End it there, or \
                 give it another class",
                some_of(&objects)
            ),
            format!(
                "kubectl -n {namespace} get {} {name} -o yaml --show-managed-fields",
                kind.to_lowercase()
            ),
        )
    };
    writers.into_iter().map(finding).collect()
}

/// Installations elsewhere that serve the same objects.
fn other_installations(
    facts: &Facts,
    rivals: &[Rival],
    installation: &Installation,
) -> Vec<Finding> {
    let own_namespaces = installation.plane().list("watch-namespaces");
    let meet = |own: &[String], other: &[String]| {
        let is_all = own.is_empty() || other.is_empty();
        is_all || own.iter().any(|name| other.contains(name))
    };
    let mut findings: BTreeMap<&str, Finding> = BTreeMap::new();
    for rival in rivals {
        let names = rival.plane.list("ingress-class");
        let namespaces = rival.plane.list("watch-namespaces");
        if !meet(&facts.names, &names) || !meet(&own_namespaces, &namespaces) {
            continue;
        }
        let namespace = &rival.namespace;
        let found = Finding::warning(
            format!(
                "another Isobath in namespace {namespace} serves the same objects: each writes its own addresses on them. Give each \
                 other classes (--ingress-class) or namespaces (--watch-namespaces)"
            ),
            format!("kubectl -n {namespace} get daemonsets,deployments"),
        );
        findings.insert(namespace, found);
    }
    findings.into_values().collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::installation::{OwnPod, Plane};
    use super::*;

    fn class(name: &str, controller: &str) -> Class {
        Class {
            name: name.to_owned(),
            controller: controller.to_owned(),
            ..Class::default()
        }
    }

    fn ingress(name: &str, class: Option<&str>) -> Object {
        Object {
            kind: Kind::Ingress,
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            created: None,
            class: class.map(ToOwned::to_owned),
            is_field: true,
            wants_address: true,
            has_address: false,
            secrets: Vec::new(),
            writers: Vec::new(),
        }
    }

    fn check(
        (names, classes): (&[&str], &[Class]),
        ingresses: &[Object],
        rivals: &[Rival],
        expected: &[(&str, &str)],
    ) {
        let facts = Facts {
            names: names.iter().map(ToString::to_string).collect(),
            classes: Ok(classes.to_vec()),
            gateway_classes: Ok(Vec::new()),
            objects: vec![(Kind::Ingress, Ok(ingresses.to_vec()))],
        };
        let installation = Installation {
            namespace: "isobath".to_owned(),
            selector: "a=b".to_owned(),
            workloads: Ok(Vec::new()),
            pods: Ok(vec![OwnPod::default()]),
        };
        let found = super::check(&facts, &Ok(rivals.to_vec()), &installation).findings;
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, (says, command)) in found.iter().zip(expected) {
            assert!(found.message.contains(says), "{found:?}");
            assert_eq!(found.command, *command);
        }
    }

    #[test]
    fn each_ingress_has_one_controller() {
        let ours = class("isobath", CONTROLLER);
        let nginx = class("nginx", "k8s.io/ingress-nginx");
        let classes = [ours.clone(), nginx.clone()];
        let web = ingress("web", Some("isobath"));
        check((&[], &classes), std::slice::from_ref(&web), &[], &[]);
        let make = "kubectl apply -f deploy/base/ingressclass.yaml";
        check(
            (&[], &[nginx]),
            &[],
            &[],
            &[("no IngressClass has the controller", make)],
        );
        // By name, none is needed.
        check((&["isobath"], &[]), std::slice::from_ref(&web), &[], &[]);
        let edit = "kubectl -n isobath edit daemonset/isobath";
        let taken = "IngressClass nginx is served here by its name (--ingress-class), and its controller is k8s.io";
        check((&["nginx"], &classes), &[], &[], &[(taken, edit)]);
        let wrong = ["isobaht", "other"].map(|name| ingress(name, Some(name)));
        let patch = |name: &str| {
            format!(
                r#"kubectl -n shop patch ingress {name} --type=merge -p '{{"spec":{{"ingressClassName":"isobath"}}}}'"#
            )
        };
        let (meant, not_meant) = (patch("isobaht"), patch("other"));
        let expected = [
            (
                "1 Ingress (shop/isobaht) of class isobaht, which does not exist, so nobody serves it; perhaps isobath is meant",
                &*meant,
            ),
            (
                "of class other, which does not exist, so nobody serves it",
                &*not_meant,
            ),
        ];
        check((&[], &classes), &wrong, &[], &expected);
        let written = Object {
            writers: vec!["nginx".to_owned()],
            ..web
        };
        let show = "kubectl -n shop get ingress web -o yaml --show-managed-fields";
        let expected = [("nginx has written the address of Ingress shop/web", show)];
        check((&[], &classes), &[written], &[], &expected);
    }

    #[test]
    fn one_class_is_the_default() {
        let default = |name: &str, second| Class {
            is_default: true,
            created: Timestamp::from_second(second).ok(),
            ..class(name, CONTROLLER)
        };
        check((&[], &[default("a", 1), class("b", "x")]), &[], &[], &[]);
        let says = "2 IngressClasses are the default one: an Ingress that names none gets b, the newest, and not a";
        let command =
            "kubectl annotate ingressclass a ingressclass.kubernetes.io/is-default-class-";
        check(
            (&[], &[default("a", 1), default("b", 2)]),
            &[],
            &[],
            &[(says, command)],
        );
        let says = "gets a, the newest, and not b";
        let command =
            "kubectl annotate ingressclass b ingressclass.kubernetes.io/is-default-class-";
        check(
            (&[], &[default("b", 1), default("a", 1)]),
            &[],
            &[],
            &[(says, command)],
        );
    }

    #[test]
    fn installations_that_serve_the_same_are_told() {
        let ours = [class("isobath", CONTROLLER)];
        let rival = |names: &str| Rival {
            namespace: "other".to_owned(),
            plane: Plane {
                environment: vec![("ISOBATH_INGRESS_CLASS".to_owned(), names.to_owned())],
                ..Plane::default()
            },
        };
        let command = "kubectl -n other get daemonsets,deployments";
        let expected = [(
            "another Isobath in namespace other serves the same",
            command,
        )];
        check((&[], &ours), &[], &[rival(""), rival("")], &expected);
        check((&["a"], &ours), &[], &[rival("b,a")], &expected);
        check((&["a"], &ours), &[], &[rival("b")], &[]);
    }
}
