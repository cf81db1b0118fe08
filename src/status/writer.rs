//! The writer of the status of one kind, of one term as leader: what all kinds share.
//!
//! It follows what is known of the objects, gives each that differs its turn ([`Writes`]) and takes in how its call ended. What is
//! to be written, and by which call, is the kind's to say ([`Subject`]). The owner of an object whose status the API server does
//! not take is told ([`Unwritten`]), whatever its kind is.

use std::future::Future;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use super::address::Addresses;
use super::metrics::Metrics;
use super::queue::Pace;
use super::settle::{Action, REFUSED_PAUSE, SETTLED};
use super::writes::{Fate, Turn, Writes, sleep_until};
use crate::model::verdict::{Delivery, ObjectProblems, Statuses};
use crate::objects::{Kind, NamespacedName, ObjectRef, Problem};
use crate::status::api_call::Failure;

/// The objects whose status the API server does not take, and why. What is told by [`Subject::told_as`] another kind is so under
/// the object's name.
pub(super) type Unwritten = OrdMap<ObjectRef, ObjectProblems>;

/// The reason of the problem that such an object has.
const NOT_WRITTEN: &str = "StatusNotWritten";

/// The same, where it is the object's Service.
const SERVICE_NOT_WRITTEN: &str = "ServiceNotWritten";

/// Calls per second for each kind. client-go's 5 leave 1,500 Ingresses without address for 5 minutes; API servers defend
/// themselves by 429, which is honoured.
const PER_SECOND: u32 = 50;

/// A kind whose status is written.
pub(super) trait Subject {
    /// What objects are known by.
    type Key: Clone + Ord;
    /// What is known of one.
    type Facts: Clone + PartialEq;
    /// What a call writes.
    type Write;
    /// What calls are made with.
    type Calls: Clone;

    /// What to ask who reads of another controller that writes, too.
    const RIVAL: &str = "does it serve the same class?";

    /// Whether it is a status; else it is the Service of an object.
    const IS_STATUS: bool = true;

    /// It.
    fn kind(&self) -> Kind;

    /// The kind among [`Unwritten`]: each that writes something for an object has another.
    fn told_as(&self) -> Kind {
        self.kind()
    }

    /// What is done, for the log.
    fn activity(&self) -> String {
        format!("writing the status of {}", self.kind().plural())
    }

    /// What is known of all objects, those of other kinds perhaps included.
    fn of(&mut self, statuses: &Statuses) -> OrdMap<Self::Key, Self::Facts>;

    /// The name of an object of this kind.
    fn name<'a>(&self, key: &'a Self::Key) -> Option<&'a NamespacedName>;

    /// The object of this kind that has the name.
    fn key(&self, name: &NamespacedName) -> Self::Key;

    /// `metadata.uid`.
    fn uid(facts: &Self::Facts) -> &Arc<str>;

    /// An object has changed.
    fn changed(&mut self, _name: &NamespacedName, _old: &Self::Facts, _new: &Self::Facts) {}

    /// An object is gone.
    fn gone(&mut self, name: &NamespacedName);

    /// Some objects of this kind have changed, were added, or are gone. Returns whose status is another one for that.
    fn news(&mut self, _all: &OrdMap<Self::Key, Self::Facts>) -> Vec<NamespacedName> {
        Vec::new()
    }

    /// These addresses are published from now on. Returns whether that may be something else for every object.
    fn publishes(&mut self, _addresses: &Addresses) -> bool {
        false
    }

    /// Envoys have come this far. Returns whose status is another one for that; `None` where that of any may be.
    fn delivered(&mut self, _delivery: &Delivery) -> Option<Vec<NamespacedName>> {
        Some(Vec::new())
    }

    /// What is to be done to an object now.
    fn decide(
        &mut self,
        name: &NamespacedName,
        facts: &Self::Facts,
        now: Instant,
    ) -> Action<Self::Write>;

    /// With what calls are made.
    fn calls(&self) -> &Self::Calls;

    /// Writes. Returns a word for the metric: `ok`, or `unchanged`.
    fn call(
        calls: Self::Calls,
        name: NamespacedName,
        facts: Self::Facts,
        write: Arc<Self::Write>,
    ) -> impl Future<Output = Result<&'static str, Failure>> + Send;

    /// It was written to an object that was known as `facts`. Returns how often another has overwritten the same before; none
    /// where it is not to be looked at again.
    fn wrote(
        &mut self,
        name: &NamespacedName,
        facts: &Self::Facts,
        write: &Self::Write,
        at: Instant,
    ) -> Option<u32>;
}

/// The writer of one kind.
pub(super) struct Writer<S> {
    subject: S,
    writes: Writes,
    metrics: Metrics,
    unwritten: Arc<watch::Sender<Unwritten>>,
}

/// How one call ended.
struct Ended<S: Subject> {
    name: NamespacedName,
    /// The object as it was known when the call was made.
    facts: S::Facts,
    write: Arc<S::Write>,
    result: Result<&'static str, Failure>,
}

impl<S: Subject> Writer<S> {
    pub(super) fn new(
        subject: S,
        metrics: &Metrics,
        unwritten: Arc<watch::Sender<Unwritten>>,
    ) -> Self {
        let pace = Pace::new(PER_SECOND, 2 * PER_SECOND);
        let results = metrics.status_writes.clone();
        Self {
            writes: Writes::new(subject.activity(), pace, results),
            subject,
            metrics: metrics.clone(),
            unwritten,
        }
    }

    /// Writes until `statuses` is closed.
    pub(super) async fn run(
        &mut self,
        mut statuses: watch::Receiver<Arc<Statuses>>,
        mut addresses: watch::Receiver<Addresses>,
        mut delivery: watch::Receiver<Delivery>,
    ) {
        let mut seen = OrdMap::new();
        let first = delivery.borrow_and_update().clone();
        self.follow_delivery(&first, &seen);
        let mut under_way = FuturesUnordered::new();
        loop {
            let current = self.subject.of(&statuses.borrow_and_update());
            self.take_in(&seen, &current);
            seen = current;
            if addresses.has_changed().unwrap_or(false)
                && self.subject.publishes(&addresses.borrow_and_update())
            {
                self.add_all(&seen);
            }
            match self.writes.turn(Instant::now()) {
                Turn::Of(name) => {
                    if let Some(facts) = seen.get(&self.subject.key(&name))
                        && let Some(write) = self.decide(&name, facts)
                    {
                        let calls = self.subject.calls().clone();
                        under_way.push(make::<S>(calls, name, facts.clone(), write));
                    }
                }
                Turn::Wait(until) => tokio::select! {
                    news = statuses.changed() => if news.is_err() { return },
                    // The other end lives as long as this term.
                    Ok(()) = addresses.changed() => addresses.mark_changed(),
                    Ok(()) = delivery.changed() => {
                        let delivery = delivery.borrow_and_update().clone();
                        self.follow_delivery(&delivery, &seen);
                    }
                    Some(ended) = under_way.next() => self.take_out(ended, &seen),
                    () = sleep_until(until) => {}
                },
            }
        }
    }

    /// Gives the objects their turn whose status is another one as Envoys have come so far.
    fn follow_delivery(&mut self, delivery: &Delivery, seen: &OrdMap<S::Key, S::Facts>) {
        let now = Instant::now();
        match self.subject.delivered(delivery) {
            None => self.add_all(seen),
            Some(of) => of.iter().for_each(|name| self.writes.add(name, now)),
        }
    }

    /// Gives every object of the kind its turn.
    fn add_all(&mut self, seen: &OrdMap<S::Key, S::Facts>) {
        let now = Instant::now();
        let names = seen.keys().filter_map(|key| self.subject.name(key));
        names.for_each(|name| self.writes.add(name, now));
    }

    /// Puts what changed on the list.
    fn take_in(&mut self, before: &OrdMap<S::Key, S::Facts>, now: &OrdMap<S::Key, S::Facts>) {
        let at = Instant::now();
        let mut is_news = false;
        for item in before.diff(now) {
            let (key, old, new) = match item {
                DiffItem::Add(key, new) => (key, None, Some(new)),
                DiffItem::Update {
                    old: (_, old),
                    new: (key, new),
                } => (key, Some(old), Some(new)),
                DiffItem::Remove(key, old) => (key, Some(old), None),
            };
            let Some(name) = self.subject.name(key) else {
                continue;
            };
            is_news = true;
            if let (Some(old), Some(new)) = (old, new) {
                self.subject.changed(name, old, new);
            }
            if new.is_some() {
                self.writes.add(name, at);
                continue;
            }
            self.writes.remove(name);
            self.subject.gone(name);
            self.written(name);
        }
        if is_news {
            let others = self.subject.news(now);
            others.iter().for_each(|name| self.writes.add(name, at));
        }
    }

    /// What is to be written now, if anything.
    fn decide(&mut self, name: &NamespacedName, facts: &S::Facts) -> Option<S::Write> {
        let now = Instant::now();
        match self.subject.decide(name, facts, now) {
            Action::Nothing => {
                self.written(name);
                None
            }
            Action::Later(when) => {
                self.writes.add(name, when);
                None
            }
            Action::Write(write) => self.writes.begin(name, now).then_some(write),
        }
    }

    /// Takes in how a call ended.
    fn take_out(&mut self, ended: Ended<S>, seen: &OrdMap<S::Key, S::Facts>) {
        let Ended {
            name,
            facts,
            write,
            result,
        } = ended;
        let now = Instant::now();
        let known = seen.get(&self.subject.key(&name));
        let is_there = known.is_some_and(|known| S::uid(known) == S::uid(&facts));
        match result {
            Ok(result) => {
                self.writes.went_well(&name, result, now);
                self.written(&name);
                if is_there && let Some(times) = self.subject.wrote(&name, &facts, &write, now) {
                    if times == 3 && S::IS_STATUS {
                        let object = self.object(&name);
                        warn!(%object, "another controller keeps writing its status: {}", S::RIVAL);
                    }
                    self.writes.add(&name, now + SETTLED);
                }
            }
            Err(failure) => {
                let fate = self.writes.failed(&name, &failure, now);
                if fate == Fate::Final && is_there {
                    self.writes.add(&name, now + REFUSED_PAUSE);
                    self.tell(&name, S::uid(&facts), &failure);
                }
            }
        }
    }

    fn object(&self, name: &NamespacedName) -> ObjectRef {
        ObjectRef {
            kind: self.subject.kind(),
            name: name.clone(),
        }
    }

    /// The key among [`Unwritten`].
    fn told_key(&self, name: &NamespacedName) -> ObjectRef {
        ObjectRef {
            kind: self.subject.told_as(),
            name: name.clone(),
        }
    }

    /// What is to be written of an object is not taken: its owner is told, and the log once.
    fn tell(&self, name: &NamespacedName, uid: &Arc<str>, failure: &Failure) {
        let object = self.object(name);
        let (reason, what) = match S::IS_STATUS {
            true => (NOT_WRITTEN, "status"),
            false => (SERVICE_NOT_WRITTEN, "Service"),
        };
        let help = match failure.is_too_large() {
            true => ": it has no room left for one, so make several of it",
            false => "",
        };
        let message = match failure {
            Failure::Declined(why) => {
                format!("the {what} of this {} is not written: {why}", object.kind)
            }
            _ => format!(
                "the API server does not take the {what} of this {}{help} ({failure})",
                object.kind
            ),
        };
        let problems = ObjectProblems {
            uid: uid.clone(),
            problems: [Problem::new(object.clone(), reason, message)].into(),
        };
        let key = self.told_key(name);
        let is_news = self.unwritten.send_if_modified(|unwritten| {
            let is_news = unwritten.get(&key) != Some(&problems);
            unwritten.insert(key, problems);
            is_news
        });
        if is_news {
            warn!(%object, error = %failure, "its {what} is not written");
            self.count_unwritten();
        }
    }

    /// There is nothing left to be written to an object.
    fn written(&self, name: &NamespacedName) {
        let key = self.told_key(name);
        let was_told = self
            .unwritten
            .send_if_modified(|unwritten| unwritten.remove(&key).is_some());
        if was_told {
            self.count_unwritten();
        }
    }

    fn count_unwritten(&self) {
        let told = self.unwritten.borrow();
        let is_status = |it: &&ObjectProblems| {
            let mut problems = it.problems.iter();
            problems.any(|problem| problem.reason == NOT_WRITTEN)
        };
        let count = told.values().filter(is_status).count();
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.unwritten.set(count);
    }
}

async fn make<S: Subject>(
    calls: S::Calls,
    name: NamespacedName,
    facts: S::Facts,
    write: S::Write,
) -> Ended<S> {
    let write = Arc::new(write);
    let result = S::call(calls, name.clone(), facts.clone(), write.clone()).await;
    Ended {
        name,
        facts,
        write,
        result,
    }
}
