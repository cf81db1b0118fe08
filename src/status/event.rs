//! Problems and refusals as Events (`events.k8s.io/v1`), where `kubectl describe` shows them.
//!
//! The name of an Event is made from what it says (object, uid, reason, message), so that whoever tells it a second
//! time, after a restart or from another replica, is answered 409 and has nothing more to do.
//! The API server forgets Events after an hour (`--event-ttl`), but problems stay: while one lasts its Event is
//! touched every half hour (`series`), and made again where it is gone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::DefaultBackoff;
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, warn};
use xxhash_rust::xxh3::xxh3_64;

use super::problems::changes;
use super::queue::{Pace, Queue};
use super::{CALL_LIMIT, CONTROLLER, FORBIDDEN_PAUSE, Metrics};
use crate::api_call::{Failure, Trouble, within};
use crate::k8s::{Kind, ObjectRef, Problem};
use crate::pod::Pod;
use crate::verdict::{ObjectProblems, Refusal, Statuses};

/// Events are worth less than status: fewer per second.
const PER_SECOND: u32 = 10;

/// When an Event is touched again; half of the API server's default `--event-ttl`.
const REFRESH: Duration = Duration::from_secs(1800);

/// `note` and `reportingInstance` may not be longer.
const NOTE_BYTES: usize = 1024;
const INSTANCE_BYTES: usize = 128;

/// The reason of Events about what Envoy refused.
const REFUSED: &str = "RefusedByEnvoy";

/// What one Event says, under the name that follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Telling {
    name: String,
    object: ObjectRef,
    uid: Arc<str>,
    reason: &'static str,
    note: String,
}

/// An Event that is there.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: Instant,
    count: i32,
}

/// Tells problems and refusals on the objects.
pub(super) struct Writer {
    client: Client,
    instance: String,
    metrics: Metrics,
    pace: Pace,
    trouble: Trouble,
    /// Survives a term: what was told is told.
    told: HashMap<String, Told>,
}

impl Writer {
    pub(super) fn new(client: Client, pod: &Pod, metrics: Metrics) -> Self {
        let instance = pod.name.as_deref().unwrap_or("isobath");
        Self {
            client,
            instance: truncated(instance, INSTANCE_BYTES).to_owned(),
            metrics,
            pace: Pace::new(PER_SECOND, 5 * PER_SECOND),
            trouble: Trouble::with("writing Events"),
            told: HashMap::new(),
        }
    }

    /// Tells until `statuses` is closed.
    pub(super) async fn run(
        &mut self,
        mut statuses: watch::Receiver<Arc<Statuses>>,
        mut refusals: watch::Receiver<Arc<[Refusal]>>,
    ) {
        let mut seen = OrdMap::new();
        let mut refused = BTreeMap::new();
        let mut present: BTreeMap<String, Telling> = BTreeMap::new();
        let mut queue = Queue::new();
        let mut backoff = DefaultBackoff::default();
        loop {
            let current = statuses.borrow_and_update().clone();
            let mut news = of_problems(&seen, &current.problems);
            seen = current.problems.clone();
            let refusing = of_refusals(&refusals.borrow_and_update(), &current);
            news.replace(&refused, &refusing);
            refused = refusing;

            let now = Instant::now();
            for name in news.over {
                present.remove(&name);
                queue.remove(&name);
            }
            for telling in news.new {
                let due = self
                    .told
                    .get(&telling.name)
                    .map_or(now, |told| told.at + REFRESH);
                queue.add(telling.name.clone(), due);
                present.insert(telling.name.clone(), telling);
            }
            if self.told.len() > 2 * present.len() + 1000 {
                self.told.retain(|_, told| now < told.at + 2 * REFRESH);
            }

            let Some(name) = queue.pop(now) else {
                let due = queue.next_due();
                tokio::select! {
                    news = statuses.changed() => if news.is_err() { return },
                    Ok(()) = refusals.changed() => refusals.mark_changed(),
                    () = async {
                        match due {
                            Some(due) => tokio::time::sleep_until(due).await,
                            None => std::future::pending().await,
                        }
                    } => {}
                }
                continue;
            };
            let Some(telling) = present.get(&name) else {
                continue;
            };
            tokio::time::sleep_until(self.pace.take(now)).await;
            match self.tell(telling).await {
                Ok(told) => {
                    self.trouble.over();
                    backoff.reset();
                    queue.add(name.clone(), told.at + REFRESH);
                    self.told.insert(name, told);
                }
                Err(failure) => {
                    self.count(failure.label());
                    if let Some(pause) = self.after(telling, &failure, &mut queue, &mut backoff) {
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        }
    }

    /// Makes the Event, or touches it where it was told before.
    async fn tell(&self, telling: &Telling) -> Result<Told, Failure> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace_of(&telling.object));
        let wall = Timestamp::now();
        if let Some(told) = self.told.get(&telling.name) {
            let count = told.count.saturating_add(1);
            let series = EventSeries {
                count,
                last_observed_time: MicroTime(wall),
            };
            let patch = Patch::Merge(json!({ "series": series }));
            let params = PatchParams::default();
            let call = api.patch(&telling.name, &params, &patch);
            match within(CALL_LIMIT, call).await {
                Ok(_) => {
                    self.count("ok");
                    return Ok(Told {
                        at: Instant::now(),
                        count,
                    });
                }
                // Forgotten by the server: made anew below.
                Err(failure) if failure.code() == Some(404) => {}
                Err(failure) => return Err(failure),
            }
        }
        let event = event(telling, &self.instance, wall);
        match within(CALL_LIMIT, api.create(&PostParams::default(), &event)).await {
            Ok(_) => {
                self.count("ok");
                debug!(object = %telling.object, reason = telling.reason, "Event written");
            }
            // Told by another replica, or by this one before its restart.
            Err(failure) if failure.code() == Some(409) => self.count("known"),
            Err(failure) => return Err(failure),
        }
        Ok(Told {
            at: Instant::now(),
            count: 1,
        })
    }

    fn after(
        &mut self,
        telling: &Telling,
        failure: &Failure,
        queue: &mut Queue<String>,
        backoff: &mut DefaultBackoff,
    ) -> Option<Duration> {
        let now = Instant::now();
        match failure {
            // The namespace is gone or going: so is the object.
            Failure::Refused { code: 404, .. } => None,
            Failure::Refused {
                code: 403, message, ..
            } if message.contains("being terminated") => None,
            Failure::Refused { code: 403, .. } => {
                self.trouble.failed(&telling.object, failure);
                queue.add(telling.name.clone(), now + FORBIDDEN_PAUSE);
                // All Events need the same right: no use in asking for each of them.
                Some(backoff.next().unwrap_or(FORBIDDEN_PAUSE))
            }
            Failure::Refused {
                code: 400 | 422, ..
            } => {
                warn!(object = %telling.object, error = %failure, "the API server does not take the Event");
                None
            }
            _ => {
                self.trouble.failed(&telling.object, failure);
                queue.add(telling.name.clone(), now);
                let pause = backoff.next().unwrap_or(FORBIDDEN_PAUSE);
                match failure {
                    Failure::Refused {
                        retry_after: Some(asked),
                        ..
                    } => Some(pause.max(*asked)),
                    _ => Some(pause),
                }
            }
        }
    }

    fn count(&self, result: &'static str) {
        self.metrics
            .event_writes
            .get_or_create(&[("result", result)])
            .inc();
    }
}

/// What is to be told and what not any more, by name.
#[derive(Debug, Default)]
struct News {
    over: Vec<String>,
    new: Vec<Telling>,
}

impl News {
    fn replace(&mut self, before: &BTreeMap<String, Telling>, now: &BTreeMap<String, Telling>) {
        self.over.extend(
            before
                .keys()
                .filter(|name| !now.contains_key(*name))
                .cloned(),
        );
        self.new.extend(
            now.values()
                .filter(|telling| !before.contains_key(&telling.name))
                .cloned(),
        );
    }
}

fn of_problems(
    before: &OrdMap<ObjectRef, ObjectProblems>,
    now: &OrdMap<ObjectRef, ObjectProblems>,
) -> News {
    let mut news = News::default();
    let tell = |problem: &Problem, uid: &Arc<str>| {
        Telling::new(&problem.object, uid, problem.reason, &problem.message)
    };
    for change in changes(before, now) {
        let old = before.get(change.object);
        let new = now.get(change.object);
        if let (Some(old), Some(new)) = (old, new)
            && old.uid == new.uid
        {
            news.over.extend(
                change
                    .over
                    .iter()
                    .map(|problem| tell(problem, &old.uid).name),
            );
            news.new
                .extend(change.new.iter().map(|problem| tell(problem, &new.uid)));
            continue;
        }
        // Another object of the same name: everything is told on it anew.
        if let Some(object) = old {
            news.over.extend(
                object
                    .problems
                    .iter()
                    .map(|problem| tell(problem, &object.uid).name),
            );
        }
        if let Some(object) = new {
            news.new.extend(
                object
                    .problems
                    .iter()
                    .map(|problem| tell(problem, &object.uid)),
            );
        }
    }
    news
}

fn of_refusals(refusals: &[Refusal], statuses: &Statuses) -> BTreeMap<String, Telling> {
    let telling = |refusal: &Refusal| {
        let (kind, name) = refusal.owner.split_once(' ')?;
        let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
        let (namespace, name) = name.split_once('/')?;
        let object = ObjectRef::new(kind, namespace, name);
        Some(Telling::new(
            &object,
            &uid_of(&object, statuses),
            REFUSED,
            &refusal.reason,
        ))
    };
    refusals
        .iter()
        .filter_map(telling)
        .map(|telling| (telling.name.clone(), telling))
        .collect()
}

fn uid_of(object: &ObjectRef, statuses: &Statuses) -> Arc<str> {
    let uid = match object.kind {
        Kind::Ingress => statuses.ingresses.get(&object.name).map(|facts| &facts.uid),
        _ => statuses.owners.get(object),
    };
    uid.cloned().unwrap_or_default()
}

impl Telling {
    fn new(object: &ObjectRef, uid: &Arc<str>, reason: &'static str, message: &str) -> Self {
        let note = truncated(message, NOTE_BYTES).to_owned();
        let said = format!("{object}\n{uid}\n{reason}\n{note}");
        // An Event's name is a DNS subdomain of at most 253 characters; so is an object's.
        let stem = truncated(&object.name.name, 200).trim_end_matches(['.', '-']);
        Self {
            name: format!("{stem}.{:016x}", xxh3_64(said.as_bytes())),
            object: object.clone(),
            uid: uid.clone(),
            reason,
            note,
        }
    }
}

fn event(telling: &Telling, instance: &str, wall: Timestamp) -> Event {
    let object = &telling.object;
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Event {
        metadata: ObjectMeta {
            name: Some(telling.name.clone()),
            namespace: some(namespace_of(object)),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(wall)),
        action: some("Translate"),
        reason: some(telling.reason),
        note: some(&telling.note),
        type_: some("Warning"),
        reporting_controller: some(CONTROLLER),
        reporting_instance: some(instance),
        regarding: Some(ObjectReference {
            api_version: some(object.kind.api_version()),
            kind: some(object.kind.name()),
            namespace: some(&object.name.namespace),
            name: some(&object.name.name),
            uid: some(&telling.uid),
            ..ObjectReference::default()
        }),
        ..Event::default()
    }
}

/// Events about cluster-scoped objects live in `default`, as the API server demands.
fn namespace_of(object: &ObjectRef) -> &str {
    match &*object.name.namespace {
        "" => "default",
        namespace => namespace,
    }
}

/// The longest start of `text` that has at most `limit` bytes.
fn truncated(text: &str, limit: usize) -> &str {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    &text[..ends.take_while(|end| *end <= limit).last().unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::k8s::NamespacedName;

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
        let telling = |name, uid: &str, reason, note: &str| {
            Telling::new(&object(name), &uid.into(), reason, note)
        };
        let one = telling("web", "1", "SecretNotFound", "text");
        assert_eq!(one, telling("web", "1", "SecretNotFound", "text"));
        assert!(
            one.name.starts_with("web.") && one.name.len() == 20,
            "{}",
            one.name
        );
        for other in [
            telling("api", "1", "SecretNotFound", "text"),
            telling("web", "2", "SecretNotFound", "text"),
            telling("web", "1", "PortNotFound", "text"),
            telling("web", "1", "SecretNotFound", "other"),
        ] {
            assert_ne!(one.name, other.name);
        }
        let long = format!("{}-.{}", "a".repeat(198), "b".repeat(50));
        let long = telling(&long, "1", "SecretNotFound", &"é".repeat(1000));
        assert!(long.name.starts_with("aaa") && long.name.len() == 198 + 17);
        assert_eq!(long.note.len(), 1024);
        assert_eq!(truncated("aé", 2), "a");
    }

    #[test]
    fn news_are_what_differs() {
        let check = |before, now, over: &[&str], new: &[&str]| {
            let news = of_problems(&problems(before), &problems(now));
            let told: Vec<_> = news.new.iter().map(|telling| telling.reason).collect();
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
        let refusal = |owner: &str| Refusal {
            owner: owner.into(),
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
        let facts = crate::verdict::IngressFacts {
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
            .values()
            .map(|telling| (&*telling.uid, &telling.object))
            .collect();
        assert_eq!(told.len(), 2);
        for wanted in [("7", &object("web")), ("8", &secret)] {
            assert!(told.contains(&wanted), "{told:?}");
        }
    }
}
