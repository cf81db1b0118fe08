//! Random objects through the whole core: decoded, kept, translated, rendered. Schema-valid edge values,
//! wrong types, huge ones, Unicode, NUL, references into nothing, texts that are cut. Nothing panics, whatever is
//! refused has a reason that its owner is told, and what is rendered is whole.
//!
//! `ISOBATH_SOAK=1` takes a million of them instead of the ordinary number; `ISOBATH_SEED` another sequence.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::route::v3::{RouteConfiguration, ScopedRouteConfiguration};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::Secret;
use isobath::build::{Builder, Config};
use isobath::facts::{ClassSelection, Objects, class_of_proxy};
use isobath::objects::{Event, IngressClass, Kind, Object, ObjectRef, Rules, decode_versioned};
use isobath::translate::{HostOwnership, Options, reason};
use isobath::xds::{Resource, ResourceType, Snapshot};
use prost::Message;

use crate::generate::Generator;
use crate::rounds;

const ORDINARY: usize = 20_000;
const SOAK: usize = 1_000_000;
const THREADS: usize = 4;
const SEED: u64 = 0x0150_ba74;

/// What became of the objects.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    accepted: usize,
    refused: usize,
    /// No name could be found: only where the text itself is broken.
    nameless: usize,
    problems: usize,
    checked: usize,
}

/// Says which object it was when something panics.
struct Guard<'a> {
    seed: u64,
    index: usize,
    kind: Kind,
    json: &'a str,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let json: String = self.json.chars().take(4000).collect();
            eprintln!(
                "seed {:#x}, object {} ({}): {json}",
                self.seed, self.index, self.kind
            );
        }
    }
}

fn selection(seed: u64) -> ClassSelection {
    ClassSelection {
        names: std::sync::Arc::default(),
        manifests: seed.is_multiple_of(2),
    }
}

pub(crate) fn builder(seed: u64) -> Builder {
    Builder::new(Config {
        classes: selection(seed),
        ..Config::of_manifests(Options {
            allow_external_names: seed % 4 < 2,
            host_ownership: if seed % 3 == 1 {
                HostOwnership::Namespace
            } else {
                HostOwnership::Shared
            },
            https_port: None,
            scheme_is_told: seed % 8 < 4,
            ..Options::default()
        })
    })
}

fn run(seed: u64, objects: usize) -> Count {
    let mut generator = Generator::new(seed);
    let mut builder = builder(seed);
    let mut count = Count::default();
    // Which objects the next build has to call wrong, and which not.
    let mut told = BTreeMap::new();
    let selection = selection(seed);
    let mut classes = Objects::<IngressClass>::default();
    for index in 0..objects {
        let (kind, json, is_broken) = generator.object();
        let guard = Guard {
            seed,
            index,
            kind,
            json: &json,
        };
        let rules = if index % 2 == 0 {
            Rules::Stored
        } else {
            Rules::Create
        };
        match decode_versioned(kind, &json, rules) {
            Err(error) => {
                assert!(is_broken, "{error}");
                count.nameless += 1;
            }
            Ok(decoded) => {
                assert_eq!(decoded.object.reference().kind, kind);
                if let Some(why) = decoded.object.wrong() {
                    let length = why.chars().count();
                    assert!((1..=601).contains(&length), "{length}");
                    count.refused += 1;
                } else {
                    count.accepted += 1;
                }
                let reference = decoded.object.reference();
                if kind == Kind::IngressClass {
                    classes.remove(&reference.name);
                }
                if generator.below(20) == 0 {
                    told.insert(reference.clone(), Wanted::Told(false));
                    builder.apply(Event::Delete(reference));
                } else {
                    if let Object::IngressClass(class) = &decoded.object {
                        classes.insert(class.clone());
                    }
                    told.insert(reference, Wanted::of(&decoded.object));
                    builder.apply(Event::Apply(decoded.object));
                }
            }
        }
        if generator.below(8) == 0 {
            builder.build();
            let told = std::mem::take(&mut told).into_iter();
            let told = told.map(|(it, wanted)| (it, wanted.is_told(&selection, &classes)));
            check_told(&builder, &told.collect());
        }
        if index % 250 == 249 || index + 1 == objects {
            builder.build();
            count.checked += check_snapshot(builder.snapshot());
            count.problems += check_problems(&builder);
        }
        drop(guard);
    }
    count
}

/// Whether an object is to be told as wrong as a whole.
enum Wanted {
    Told(bool),
    /// A guard that is wrong is kept with its class: it is told where that is served.
    ByClass(Option<Arc<str>>),
}

impl Wanted {
    fn of(object: &Object) -> Self {
        match object {
            Object::HttpProxy(proxy) if proxy.wrong.is_some() => {
                Self::ByClass(class_of_proxy(proxy).map(|class| class.as_ref().into()))
            }
            object => Self::Told(object.wrong().is_some()),
        }
    }

    fn is_told(&self, selection: &ClassSelection, classes: &Objects<IngressClass>) -> bool {
        match self {
            Self::Told(is_told) => *is_told,
            Self::ByClass(class) => selection.serves_http_proxy(class.as_deref(), classes),
        }
    }
}

/// An object that is wrong as a whole is told as that, and one that is not, is not.
fn check_told(builder: &Builder, told: &BTreeMap<ObjectRef, bool>) {
    for (reference, is_wrong) in told {
        let problems = builder.statuses().problems.get(reference);
        let is_told = problems.is_some_and(|problems| {
            let mut reasons = problems.problems.iter().map(|problem| problem.reason);
            reasons.any(|told| told == reason::OBJECT_NOT_VALID)
        });
        assert_eq!(is_told, *is_wrong, "{reference}");
    }
}

fn check_problems(builder: &Builder) -> usize {
    let mut count = 0;
    for (object, problems) in &builder.statuses().problems {
        for problem in &*problems.problems {
            assert_eq!(*object, problem.source.object);
            assert!(!problem.message.is_empty() && !problem.reason.is_empty());
            count += 1;
        }
    }
    count
}

/// Every resource is a message of its type, named as it is kept, and what it refers to is there.
fn check_snapshot(snapshot: &Snapshot) -> usize {
    let mut count = 0;
    for resource_type in ResourceType::ALL {
        for resource in snapshot.resources(resource_type).values() {
            assert_eq!(*decoded_name(resource_type, resource), **resource.name());
            for reference in resource.references() {
                let target = snapshot.get(reference.resource_type, &reference.name);
                assert!(target.is_some(), "{} → {}", resource.name(), reference.name);
            }
            count += 1;
        }
    }
    count
}

fn decoded_name(resource_type: ResourceType, resource: &Resource) -> String {
    let bytes = resource.bytes();
    match resource_type {
        ResourceType::Extension => TypedExtensionConfig::decode(bytes).unwrap().name,
        ResourceType::Listener => Listener::decode(bytes).unwrap().name,
        ResourceType::Route => RouteConfiguration::decode(bytes).unwrap().name,
        ResourceType::Cluster => Cluster::decode(bytes).unwrap().name,
        ResourceType::Endpoint => ClusterLoadAssignment::decode(bytes).unwrap().cluster_name,
        ResourceType::Scope => ScopedRouteConfiguration::decode(bytes).unwrap().name,
        ResourceType::Secret => Secret::decode(bytes).unwrap().name,
    }
}

#[test]
fn nothing_panics_and_everything_has_a_reason() {
    let objects = rounds(ORDINARY, SOAK);
    let seed = std::env::var("ISOBATH_SEED").map_or(SEED, |seed| seed.parse().expect("a number"));
    println!("{objects} objects, seed {seed}");
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let seed = seed + u64::try_from(thread).unwrap();
            thread::spawn(move || run(seed, objects / THREADS))
        })
        .collect();
    let counts: Vec<Count> = threads
        .into_iter()
        .map(|thread| thread.join().expect("no panic"))
        .collect();
    let sum = |part: fn(&Count) -> usize| counts.iter().map(part).sum::<usize>();
    let (accepted, refused) = (sum(|count| count.accepted), sum(|count| count.refused));
    let nameless = sum(|count| count.nameless);
    println!(
        "{accepted} accepted, {refused} refused with a reason, {nameless} without a name; {} resources and {} problems \
         looked at",
        sum(|count| count.checked),
        sum(|count| count.problems)
    );
    assert_eq!(accepted + refused + nameless, objects);
    // A generator of nothing but rubbish would test decoding only.
    assert!(accepted > objects / 4 && refused > objects / 10);
}
