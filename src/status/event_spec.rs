//! What Events say: the first few problems of an object, and one that says how many more there are.
//!
//! The name of an Event is made from what it says (object, uid, reason, message), so that a replica that writes it
//! a second time, after a restart or beside another one, is answered 409 and has nothing more to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;
use xxhash_rust::xxh3::xxh3_64;

use super::problems::{Few, few};
use crate::model::verdict::{ObjectProblems, RefusedObject, Statuses};
use crate::objects::{CONTROLLER, Field, FieldRef, Kind, NamespacedName, ObjectRef, Problem};

/// `note` may not be longer.
const NOTE_BYTES: usize = 1024;

/// The reason of Events about what Envoy refused.
const REFUSED: &str = "RefusedByEnvoy";

/// The reason of the Event that stands for those that are not made.
const MORE: &str = "MoreProblems";

/// What one Event says, under the name that follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventSpec {
    /// The Event's.
    pub(super) name: NamespacedName,
    pub(super) object: ObjectRef,
    /// The path of the field. No part of the name, or an Event would be made whenever the field moves in its list.
    field: Option<String>,
    uid: Arc<str>,
    pub(super) reason: &'static str,
    note: String,
}

/// Events that are to be there from now on, and Events that are not.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) over: BTreeSet<NamespacedName>,
    pub(super) new: Vec<EventSpec>,
}

impl News {
    /// Adds what differs, at the cost of the objects that differ.
    pub(super) fn take_in(
        &mut self,
        before: &OrdMap<ObjectRef, ObjectProblems>,
        now: &OrdMap<ObjectRef, ObjectProblems>,
    ) {
        for item in before.diff(now) {
            let (old, new) = match item {
                DiffItem::Add(_, new) => (None, Some(new)),
                DiffItem::Remove(_, old) => (Some(old), None),
                DiffItem::Update { old, new } => (Some(old.1), Some(new.1)),
            };
            let [old, mut new] =
                [old, new].map(|object| object.map(of_problems).unwrap_or_default());
            let names = |specs: &[EventSpec]| -> BTreeSet<NamespacedName> {
                specs.iter().map(|spec| spec.name.clone()).collect()
            };
            let (before, now) = (names(&old), names(&new));
            self.over.extend(before.difference(&now).cloned());
            new.retain(|spec| !before.contains(&spec.name));
            self.new.extend(new);
        }
    }
}

/// The Events of one object.
fn of_problems(object: &ObjectProblems) -> Vec<EventSpec> {
    let Few { told, more } = few(&*object.problems);
    let tell = |problem: &Problem| {
        EventSpec::new(
            &problem.source,
            &object.uid,
            problem.reason,
            &problem.message,
        )
    };
    let mut specs: Vec<_> = told.iter().copied().map(tell).collect();
    if let Some(first) = told.first()
        && !more.is_empty()
    {
        let message = format!("{more}; mend the first few, which have Events of their own");
        specs.push(tell(&Problem::new(
            first.source.object.clone(),
            MORE,
            message,
        )));
    }
    specs
}

/// The refusals by owner.
pub(super) fn of_refusals(
    refusals: &[RefusedObject],
    statuses: &Statuses,
) -> OrdMap<ObjectRef, ObjectProblems> {
    let mut by_owner: BTreeMap<ObjectRef, BTreeSet<Problem>> = BTreeMap::new();
    for refusal in refusals {
        if let Some(object) = owner_of(refusal) {
            let facts = statuses.ingresses.get(&object.name);
            let ingress = facts.filter(|_| object.kind == Kind::Ingress);
            let ingress = ingress.and_then(|facts| facts.ingress.as_deref());
            let path = refusal.field.path(ingress);
            let field = path.map_or(Field::Whole, |path| Field::At(path.into()));
            let source = FieldRef::new(object.clone(), field);
            let problem = Problem::new(source, REFUSED, refusal.reason.as_str());
            by_owner.entry(object).or_default().insert(problem);
        }
    }
    let finish = |(object, problems): (ObjectRef, BTreeSet<Problem>)| {
        let problems = ObjectProblems {
            uid: uid_of(&object, statuses),
            problems: problems.into_iter().collect(),
        };
        (object, problems)
    };
    by_owner.into_iter().map(finish).collect()
}

fn owner_of(refusal: &RefusedObject) -> Option<ObjectRef> {
    let (kind, name) = refusal.owner.split_once(' ')?;
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
    let (namespace, name) = name.split_once('/')?;
    Some(ObjectRef::new(kind, namespace, name))
}

fn uid_of(object: &ObjectRef, statuses: &Statuses) -> Arc<str> {
    let uid = match object.kind {
        Kind::Ingress => statuses.ingresses.get(&object.name).map(|facts| &facts.uid),
        Kind::HttpProxy => {
            let facts = statuses.http_proxies.get(&object.name);
            facts.map(|facts| &facts.uid)
        }
        Kind::ExtensionService => {
            let facts = statuses.extension_services.get(&object.name);
            facts.map(|facts| &facts.uid)
        }
        Kind::GatewayClass
        | Kind::Gateway
        | Kind::ListenerSet
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute
        | Kind::UdpRoute
        | Kind::BackendTlsPolicy => statuses.gateway_api.get(object).map(|facts| &facts.uid),
        _ => statuses.owners.get(object),
    };
    uid.cloned().unwrap_or_default()
}

impl EventSpec {
    fn new(source: &FieldRef, uid: &Arc<str>, reason: &'static str, message: &str) -> Self {
        let object = &source.object;
        let note = truncated(message, NOTE_BYTES).to_owned();
        let said = format!("{object}\n{uid}\n{reason}\n{note}");
        // An Event's name is a DNS subdomain of at most 253 characters; so is an object's.
        let stem = truncated(&object.name.name, 200).trim_end_matches(['.', '-']);
        let name = format!("{stem}.{:016x}", xxh3_64(said.as_bytes()));
        Self {
            name: NamespacedName::new(namespace_of(object), name),
            object: object.clone(),
            field: source.field.path(None),
            uid: uid.clone(),
            reason,
            note,
        }
    }

    /// The Event, as `instance` makes it at this time.
    pub(super) fn event(&self, instance: &str, wall: Timestamp) -> Event {
        let object = &self.object;
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Event {
            metadata: ObjectMeta {
                name: some(&self.name.name),
                namespace: some(&self.name.namespace),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(wall)),
            action: some("Translate"),
            reason: some(self.reason),
            note: some(&self.note),
            type_: some("Warning"),
            reporting_controller: some(CONTROLLER),
            reporting_instance: some(instance),
            regarding: Some(ObjectReference {
                api_version: some(object.kind.api_version()),
                kind: some(object.kind.name()),
                namespace: some(&object.name.namespace),
                name: some(&object.name.name),
                uid: some(&self.uid),
                field_path: self.field.clone(),
                ..ObjectReference::default()
            }),
            ..Event::default()
        }
    }
}

/// Events about cluster-scoped objects live in `default`, as the API server demands.
fn namespace_of(object: &ObjectRef) -> Arc<str> {
    match &*object.name.namespace {
        "" => "default".into(),
        _ => object.name.namespace.clone(),
    }
}

/// The longest start of `text` that has at most `limit` bytes.
pub(super) fn truncated(text: &str, limit: usize) -> &str {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    &text[..ends.take_while(|end| *end <= limit).last().unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn object(name: &str) -> ObjectRef {
        ObjectRef::new(Kind::Ingress, "shop", name)
    }

    fn problems(entries: &[(&str, &str, &[&'static str])]) -> OrdMap<ObjectRef, ObjectProblems> {
        let entry = |(name, uid, reasons): &(&str, &str, &[&'static str])| {
            let problem = |reason: &&'static str| Problem::new(object(name), reason, "text");
            let problems = ObjectProblems {
                uid: (*uid).into(),
                problems: reasons.iter().map(problem).collect(),
            };
            (object(name), problems)
        };
        entries.iter().map(entry).collect()
    }

    #[test]
    fn names_follow_from_what_is_said() {
        let spec = |name, uid: &str, reason, note: &str| {
            EventSpec::new(&object(name).into(), &uid.into(), reason, note)
        };
        let one = spec("web", "1", "SecretNotFound", "text");
        assert_eq!(one, spec("web", "1", "SecretNotFound", "text"));
        assert!(
            one.name.name.starts_with("web.") && one.name.name.len() == 20,
            "{}",
            one.name
        );
        for other in [
            spec("api", "1", "SecretNotFound", "text"),
            spec("web", "2", "SecretNotFound", "text"),
            spec("web", "1", "PortNotFound", "text"),
            spec("web", "1", "SecretNotFound", "other"),
        ] {
            assert_ne!(one.name, other.name);
        }
        let long = format!("{}-.{}", "a".repeat(198), "b".repeat(50));
        let long = spec(&long, "1", "SecretNotFound", &"é".repeat(1000));
        assert!(long.name.name.starts_with("aaa") && long.name.name.len() == 198 + 17);
        assert_eq!(long.note.len(), 1024);
        assert_eq!(truncated("aé", 2), "a");
    }

    /// Its Event says where it was when it was told first.
    #[test]
    fn what_moves_is_told_once() {
        let at = |path: &str| {
            let source = FieldRef::new(object("web"), Field::At(path.into()));
            let problems = ObjectProblems {
                uid: "1".into(),
                problems: [Problem::new(source, "PathNotValid", "text")].into(),
            };
            OrdMap::unit(object("web"), problems)
        };
        let mut news = News::default();
        news.take_in(&OrdMap::new(), &at("spec.rules[1]"));
        let event = news.new[0].event("web", Timestamp::UNIX_EPOCH);
        let path = event.regarding.unwrap().field_path;
        assert_eq!(path.as_deref(), Some("spec.rules[1]"));
        let mut news = News::default();
        news.take_in(&at("spec.rules[1]"), &at("spec.rules[0]"));
        assert!(news.over.is_empty() && news.new.is_empty(), "{news:?}");
    }

    #[test]
    fn news_are_what_differs() {
        let check = |before, now, over: &[&str], new: &[&str]| {
            let mut news = News::default();
            news.take_in(&problems(before), &problems(now));
            let told: Vec<_> = news.new.iter().map(|spec| spec.reason).collect();
            assert_eq!(told, new);
            assert_eq!(news.over.len(), over.len());
        };
        check(&[], &[("a", "1", &["X", "Y"])], &[], &["X", "Y"]);
        check(
            &[("a", "1", &["X", "Y"])],
            &[("a", "1", &["Y", "Z"])],
            &["X"],
            &["Z"],
        );
        check(&[("a", "1", &["X"])], &[("a", "2", &["X"])], &["X"], &["X"]);
        check(&[("a", "1", &["X"])], &[], &["X"], &[]);
    }

    #[test]
    fn refusals_find_their_owner() {
        let refusal = |owner: &str| RefusedObject {
            owner: owner.into(),
            field: Field::Whole,
            reason: "text".into(),
        };
        let refusals = [
            refusal("Ingress shop/web"),
            refusal("Secret shop/tls"),
            refusal("Pod a/b"),
            refusal("nonsense"),
            refusal(""),
        ];
        let mut statuses = Statuses::default();
        let facts = crate::model::verdict::IngressFacts {
            uid: "7".into(),
            served: true,
            load_balancer: [].into(),
            ingress: None,
        };
        statuses
            .ingresses
            .insert(NamespacedName::new("shop", "web"), facts);
        let secret = ObjectRef::new(Kind::Secret, "shop", "tls");
        statuses.owners.insert(secret.clone(), "8".into());
        let told = of_refusals(&refusals, &statuses);
        let told: Vec<(&str, &ObjectRef)> = told
            .iter()
            .map(|(object, problems)| (&*problems.uid, object))
            .collect();
        assert_eq!(told.len(), 2);
        for wanted in [("7", &object("web")), ("8", &secret)] {
            assert!(told.contains(&wanted), "{told:?}");
        }
    }
    /// Ten thousand bad back ends are eleven Events, and stay eleven when one is mended.
    #[test]
    fn one_object_has_few_events() {
        let many = |count: usize| -> OrdMap<ObjectRef, ObjectProblems> {
            let missing = (0..count).map(|n| {
                let message = format!("Service shop/{n:05} does not exist");
                Problem::new(object("web"), "ServiceNotFound", message)
            });
            let other = Problem::new(object("web"), "TLSHostMissing", "text");
            let problems = ObjectProblems {
                uid: "1".into(),
                problems: missing.chain([other]).collect(),
            };
            OrdMap::unit(object("web"), problems)
        };
        let mut news = News::default();
        news.take_in(&OrdMap::new(), &many(10_000));
        let reasons = |news: &News, wanted| {
            let reasons = news.new.iter().map(|spec| spec.reason);
            reasons.filter(|reason| *reason == wanted).count()
        };
        assert_eq!(reasons(&news, "ServiceNotFound"), 9);
        assert_eq!(
            reasons(&news, "TLSHostMissing"),
            1,
            "no reason hides another"
        );
        assert_eq!(reasons(&news, MORE), 1);
        let more = news.new.iter().find(|spec| spec.reason == MORE);
        assert_eq!(
            more.unwrap().note,
            "9991 more problems: 9991 ServiceNotFound; mend the first few, which have Events of their own"
        );
        let mut news = News::default();
        news.take_in(&many(10_000), &many(9_999));
        assert_eq!((news.over.len(), news.new.len()), (1, 1));
    }
}
