//! What holds for any sequence of changes, requests, answers, refusals and time: a model of a client against the
//! stream.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::client::Client;
use super::script::{apply, contents};
use super::world::{BAD, COVERED, Change, KEYS, World, change};
use crate::xds::message::{Ask, RefusalText, Request, Variant};
use crate::xds::stream::{Stream, Timing};
use crate::xds::{Part, Resource, ResourceType, Snapshot};

#[derive(Clone, Debug)]
enum Step {
    Change(Vec<Change>),
    /// The client answers what it has of this type.
    Answer(usize),
    /// ... or sends something odd: a stale nonce, names, an empty request.
    Odd(usize, u8),
    Time(u16),
    /// The stream is lost, these changes come, and the client comes back.
    Reconnect(Vec<Change>),
}

struct Play {
    stream: Stream,
    client: Client,
    now: Instant,
    world: World,
    /// Keys whose requests are served, until they are gone for a moment.
    served: BTreeSet<usize>,
    gone: BTreeSet<usize>,
    /// Keys that are gone while the wildcard above them is served.
    orphaned: BTreeSet<usize>,
}

impl Play {
    /// A client that has asked for what Envoy asks for first.
    fn new(variant: Variant, keeps_good: bool) -> Self {
        let now = Instant::now();
        let world = World::default();
        let snapshot = Arc::new(world.snapshot());
        let mut play = Self {
            stream: Stream::new(variant, Timing::default(), snapshot, now),
            client: Client::new(variant, keeps_good),
            now,
            world,
            served: BTreeSet::new(),
            gone: BTreeSet::new(),
            orphaned: BTreeSet::new(),
        };
        for of in [ResourceType::Cluster, ResourceType::Listener] {
            let request = play.client.request(of, String::new(), None);
            play.send(request);
        }
        play
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::NoKey(0) => self.orphaned.clear(),
            Change::NoKey(key) if COVERED.contains(key) => {
                let is_served = |key| self.served.contains(&key) && !self.gone.contains(&key);
                if is_served(0) && is_served(*key) && self.world.keys.contains_key(key) {
                    self.orphaned.insert(*key);
                }
            }
            Change::Key(key, ..) => drop(self.orphaned.remove(key)),
            _ => {}
        }
        if let Change::NoKey(key) = change {
            self.gone.insert(*key);
        }
        self.world.change(change);
    }

    /// Requests of a key that stays are served at every moment, whatever table it moves to.
    fn check_served(&mut self) {
        if std::mem::take(&mut self.client.searches_anew) {
            // The search tries tables with less than the client had: what that was nobody knows but the client.
            self.gone.extend(0..KEYS.len());
        }
        for key in self
            .world
            .keys
            .keys()
            .filter(|key| !self.gone.contains(key))
        {
            let (is_served, is_taken) = self.is_served(*key, &[*key]);
            match is_served {
                true if is_taken => drop(self.served.insert(*key)),
                true => {}
                false => assert!(
                    !self.served.contains(key),
                    "key {key} is lost: {:?}",
                    self.client.has
                ),
            }
        }
        let gone = &self.gone;
        self.orphaned.retain(|_| !gone.contains(&0));
        for key in &self.orphaned {
            let (is_served, _) = self.is_served(*key, &[*key, 0]);
            assert!(is_served, "key {key} is orphaned: {:?}", self.client.has);
        }
    }

    /// Whether the table that the scope of a key leads to has one of these keys, and whether the client has taken it.
    fn is_served(&self, key: usize, by: &[usize]) -> (bool, bool) {
        let scope = (ResourceType::Scope, KEYS[key].into());
        let table = self
            .client
            .needs
            .get(&scope)
            .and_then(|needs| needs.first());
        let table = table.map(|table| (ResourceType::Route, table.name.clone()));
        // What is out of a refused response may be lost while what is bad in it is searched for.
        let is_taken = table
            .as_ref()
            .is_some_and(|table| !self.client.untold.contains(table));
        let has = table.and_then(|table| self.client.has.get(&table));
        let has_one = |table: &String| {
            let mut parts = by.iter().map(|key| format!("+{}:", KEYS[*key]));
            parts.any(|part| table.contains(&part))
        };
        (has.is_some_and(has_one), is_taken)
    }

    fn send(&mut self, request: Request) {
        self.check_served();
        self.stream.request(request, self.now).unwrap();
        self.receive();
    }

    fn receive(&mut self) {
        for _ in 0..1000 {
            let Some(response) = self.stream.poll(self.now) else {
                return;
            };
            self.client.receive(response);
        }
        panic!("the stream never ends");
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Change(changes) => {
                for change in changes {
                    self.change(change);
                }
                self.stream
                    .publish(Arc::new(self.world.snapshot()), self.now);
                self.receive();
            }
            Step::Answer(of) => {
                let of = ResourceType::ALL[*of];
                if let Some(request) = self.client.answer(of) {
                    self.send(request);
                }
                for of in ResourceType::ALL {
                    if let Some(request) = self.client.spontaneous(of) {
                        self.send(request);
                    }
                }
            }
            Step::Odd(of, nonce) => {
                let of = ResourceType::ALL[*of];
                if self.client.asked.contains(&of) {
                    // Never one that waits for its answer: a client answers once.
                    let nonce = if *nonce % 2 == 0 {
                        u64::from(*nonce) + 1_000_000
                    } else {
                        0
                    };
                    let request = self.client.request(of, nonce.to_string(), None);
                    self.send(request);
                }
            }
            Step::Reconnect(changes) => {
                let orphaned = self.orphaned.clone();
                for change in changes {
                    self.change(change);
                }
                // Those that went while nobody was there may be misdirected until their scope is moved.
                self.orphaned.retain(|key| orphaned.contains(key));
                if self.stream.variant == Variant::Sotw {
                    // It does not tell where its scopes lead.
                    self.gone.extend(0..KEYS.len());
                }
                let snapshot = Arc::new(self.world.snapshot());
                let timing = Timing::default();
                self.stream = Stream::new(self.stream.variant, timing, snapshot, self.now);
                self.client.disconnect();
                for of in ResourceType::ALL {
                    if let Some(request) = self.client.spontaneous(of) {
                        self.send(request);
                    }
                }
            }
            Step::Time(milliseconds) => {
                // A client that takes a second to ask for the table of a scope is not waited for.
                if let Some(request) = self.client.spontaneous(ResourceType::Route) {
                    self.send(request);
                }
                self.now += Duration::from_millis(u64::from(*milliseconds));
                self.receive();
            }
        }
    }

    /// The client answers everything until nothing moves any more.
    fn settle(&mut self) {
        for _ in 0..400 {
            let mut moved = false;
            for of in ResourceType::ALL {
                if let Some(request) = self.client.spontaneous(of) {
                    self.send(request);
                    moved = true;
                }
                if let Some(request) = self.client.answer(of) {
                    self.send(request);
                    moved = true;
                }
            }
            if !moved {
                match self.stream.deadline(self.now) {
                    Some(deadline) => {
                        self.now = deadline;
                        self.receive();
                    }
                    None => return,
                }
            }
        }
        panic!("the client never comes to rest");
    }

    /// What is good of the target is what the client has.
    fn check_converged(&self) {
        let target = self.world.snapshot();
        for of in ResourceType::ALL {
            for (name, resource) in target.resources(of) {
                let wanted = of.has_wildcard()
                    || self
                        .client
                        .wants
                        .get(&of)
                        .is_some_and(|wants| wants.contains(name));
                if !wanted {
                    continue;
                }
                let has = self.client.has.get(&(of, name.clone()));
                let is_good = |part: &Part| !part.bytes.to_bytes().windows(3).any(|w| w == b"bad");
                let parts = resource.parts().iter().filter(|(_, part)| is_good(part));
                let parts = parts.map(|(key, part)| (key.clone(), part.clone()));
                let head = resource.head().clone();
                let good = Resource::composite(name.clone(), head, parts.collect());
                let good = contents(&good);
                if good.contains("bad") {
                    // Whole resources that are bad: the client keeps what it had, and has nothing bad.
                    assert!(has.is_none_or(|has| !has.contains("bad")));
                } else {
                    // A scope that the stream has made is the host's own where both lead to one table.
                    let has = has.map(|has| has.trim_start_matches('→'));
                    assert_eq!(has, Some(&*good), "{of} {name}");
                }
            }
            for (held, name) in self.client.has.keys() {
                let is_known = !self.client.unknown.contains(&(*held, name.clone()));
                if *held == of && of.has_wildcard() && is_known {
                    let is_led = of == ResourceType::Scope && self.is_led_by_the_wildcard(name);
                    let is_there = target.get(of, name).is_some();
                    assert!(is_there || is_led, "{of} {name} is a ghost");
                }
            }
        }
    }
}

impl Play {
    /// Whether a key that is gone is where the wildcard above it is.
    fn is_led_by_the_wildcard(&self, name: &str) -> bool {
        let wildcard = self.world.keys.get(&0);
        let has = self.client.has.get(&(ResourceType::Scope, name.into()));
        COVERED.iter().any(|key| KEYS[*key] == name)
            && matches!((wildcard, has), (Some((table, ..)), Some(has)) if has.trim_start_matches('→') == format!("t{table}"))
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::collection::vec(change(), 1..5).prop_map(Step::Change),
        8 => (0..ResourceType::ALL.len()).prop_map(Step::Answer),
        1 => (0..ResourceType::ALL.len(), any::<u8>()).prop_map(|(of, nonce)| Step::Odd(of, nonce)),
        1 => (0..3000_u16).prop_map(Step::Time),
        1 => prop::collection::vec(change(), 0..8).prop_map(Step::Reconnect),
    ]
}

/// How many histories are played: twenty times as many in the long form.
fn cases() -> u32 {
    match std::env::var_os("ISOBATH_SOAK") {
        Some(_) => 8000,
        None => 400,
    }
}

fn converges(variant: Variant, keeps_good: bool, steps: &[Step]) {
    let mut play = Play::new(variant, keeps_good);
    for step in steps {
        play.step(step);
    }
    play.settle();
    play.check_converged();
}

/// A client brought a listener along, which goes with the response that is refused for another one, and is gone before it is
/// sent again: it is taken from the client, and what it uses goes after it.
#[test]
fn a_listener_leaves_after_a_refusal() {
    let listeners = ResourceType::Listener as usize;
    for keeps_good in [false, true] {
        let steps = [
            Step::Change(vec![Change::Listener(2, 0)]),
            Step::Change(vec![Change::Listener(0, BAD)]),
            Step::Answer(listeners),
            Step::Reconnect(vec![]),
            Step::Change(vec![Change::NoListener(2)]),
        ];
        converges(Variant::Delta, keeps_good, &steps);
        // Without a lost stream: Envoy has it out of the response that it refused.
        let listeners = vec![Change::Listener(2, 0), Change::Listener(0, BAD)];
        let steps = [
            Step::Change(listeners),
            Step::Change(vec![Change::NoListener(2)]),
        ];
        converges(Variant::Delta, keeps_good, &steps);
    }
}

/// A listener goes, comes and goes, and the client lets go of its secret and asks for it again while the secret is on its way.
#[test]
fn a_secret_on_its_way_leaves_after_its_listener() {
    let (listeners, secrets) = (
        ResourceType::Listener as usize,
        ResourceType::Secret as usize,
    );
    let steps = [
        Step::Change(vec![Change::Listener(1, 0)]),
        Step::Answer(listeners),
        Step::Reconnect(vec![Change::NoListener(1)]),
        Step::Change(vec![Change::Listener(1, 0)]),
        Step::Answer(secrets),
        Step::Answer(listeners),
        Step::Change(vec![Change::NoListener(1)]),
        Step::Answer(listeners),
        Step::Answer(secrets),
        Step::Answer(secrets),
    ];
    converges(Variant::Delta, false, &steps);
}

/// The same, and what replaces the secret is refused: the client goes on with the one that was on its way.
#[test]
fn a_secret_on_its_way_stays_where_its_successor_is_refused() {
    let (listeners, secrets) = (
        ResourceType::Listener as usize,
        ResourceType::Secret as usize,
    );
    let steps = [
        Step::Change(vec![Change::Listener(0, 0)]),
        Step::Answer(listeners),
        Step::Change(vec![Change::Secret(0, BAD)]),
        Step::Answer(secrets),
        Step::Change(vec![Change::NoListener(0)]),
        Step::Answer(secrets),
        Step::Answer(listeners),
        Step::Change(vec![Change::Listener(0, 0)]),
    ];
    converges(Variant::Delta, false, &steps);
}

/// What was sent beside something bad goes back to what it was, before the refusal comes: the client may have kept it.
#[test]
fn a_change_that_was_refused_beside_another_is_taken_back() {
    let listeners = ResourceType::Listener as usize;
    for variant in [Variant::Delta, Variant::Sotw] {
        let steps = [
            Step::Change(vec![Change::Listener(2, 5)]),
            Step::Answer(listeners),
            Step::Change(vec![Change::Listener(0, BAD), Change::Listener(2, 0)]),
            Step::Change(vec![Change::Listener(2, 5)]),
        ];
        converges(variant, true, &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// At every moment the assertions of [`Client::receive`]; at the end the client has what it should have.
    #[test]
    fn a_client_converges(
        delta in any::<bool>(),
        keeps_good in any::<bool>(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let variant = if delta { Variant::Delta } else { Variant::Sotw };
        converges(variant, keeps_good, &steps);
    }

    /// X-35 and more: no sequence of hostile requests panics, or has a second response of a type under way.
    #[test]
    fn hostile_requests(
        delta in any::<bool>(),
        requests in prop::collection::vec(
            (
                0..8_usize,
                prop::collection::vec("[*a-c]?", 0..4),
                prop::collection::vec("[*a-c]?", 0..4),
                prop::collection::vec("[*a-c]?", 0..4),
                prop_oneof![Just(String::new()), (0..30_u64).prop_map(|n| n.to_string()), ".{0,5}"],
                prop::option::of(".{0,10}"),
                0..4000_u64,
            ),
            1..60,
        ),
    ) {
        let mut snapshot = Snapshot::default();
        apply(&mut snapshot, "c:a=1(e:a) c:b=2 e:a=1 l:a=0[x=1(r:a,s:a);y=2(x:a)] x:a=1(r:a) r:a=0[h=1(c:a);g=1(c:b)] k:a=1(r:a) k:c=1(r:a) r:b=1 k:b=1(r:b) s:a=1 s:b=1");
        let other = {
            let mut other = snapshot.clone();
            apply(&mut other, "c:a=2(e:a) -c:b -s:b l:a=0[x=2(r:a,s:a)] x:a=2(r:a) r:a=0[h=2(c:a)] k:c=2(r:b) -k:a");
            Arc::new(other)
        };
        let snapshot = Arc::new(snapshot);
        let mut now = Instant::now();
        let variant = if delta { Variant::Delta } else { Variant::Sotw };
        let mut stream = Stream::new(variant, Timing::default(), snapshot.clone(), now);
        for (index, (of, subscribe, unsubscribe, claimed, nonce, refusal, wait)) in requests.into_iter().enumerate() {
            let type_url = ResourceType::ALL.get(of).map_or("other", |of| of.type_url());
            let ask = match variant {
                Variant::Delta => Ask::Delta {
                    subscribe,
                    unsubscribe,
                    claimed: claimed.into_iter().map(|name| (name, "1".to_owned())).collect(),
                },
                Variant::Sotw => Ask::Sotw { names: subscribe, resumes: !claimed.is_empty() },
            };
            stream.request(Request {
                type_url: type_url.into(),
                client: None,
                nonce,
                refusal: refusal.as_deref().map(RefusalText::new),
                ask,
            }, now).unwrap();
            now += Duration::from_millis(wait);
            stream.publish(if index % 3 == 0 { other.clone() } else { snapshot.clone() }, now);
            let mut sent = 0;
            while stream.poll(now).is_some() {
                sent += 1;
                prop_assert!(sent <= ResourceType::ALL.len(), "one response per type, then an answer");
            }
            let _ = stream.report();
            check_nonexistent(&stream, &[&snapshot, &other]);
        }
    }
}

/// What is remembered though it is in none of these snapshots is counted as the client's word, and nothing else is.
fn check_nonexistent(stream: &Stream, snapshots: &[&Snapshot]) {
    for channel in &stream.channels {
        let of = channel.resource_type;
        let names = channel.subscription.names().names();
        let more = [&channel.pending_removals, &channel.renewed]
            .into_iter()
            .flatten();
        let kept: BTreeSet<&Arc<str>> = names
            .chain(channel.held.names())
            .chain(channel.due.keys())
            .chain(more)
            .collect();
        let is_counted =
            |name: &str| channel.nonexistent.contains(name) || channel.unknown.contains(name);
        for name in &kept {
            let exists = snapshots
                .iter()
                .any(|snapshot| snapshot.get(of, name).is_some());
            assert!(exists || is_counted(name), "{of} {name} is not counted");
        }
        for name in channel.nonexistent.iter() {
            assert!(kept.contains(name), "{of} {name} is counted for ever");
        }
    }
}
