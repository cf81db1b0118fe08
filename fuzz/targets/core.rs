//! The core that every target ends in.

use isobath::build::{Builder, Config};
use isobath::objects::{Event, Object};
use isobath::translate::Options;
use isobath::xds::ResourceType;

/// What is made of an object, however small it is: 20,000 plain routes in two tables.
const BASE: usize = 32 << 20;
/// And for each of its bytes.
const EACH: usize = 32;
/// Problems of one object: the first few of each reason.
const TOLD: usize = 9 * 30;

/// A core that serves every Ingress without a class.
pub fn builder() -> Builder {
    Builder::new(Config::of_manifests(Options {
        allow_external_names: true,
        ..Options::default()
    }))
}

/// Takes an object in and out again, each time through to the bytes. What is refused has a reason.
pub fn serve(builder: &mut Builder, object: Object) {
    if let Object::Invalid(invalid) = &object {
        assert!(!invalid.reason.is_empty());
    }
    let reference = object.reference();
    builder.apply(Event::Apply(object));
    builder.build();
    builder.apply(Event::Delete(reference));
    builder.build();
}

/// What is made of objects of `size` bytes, of which so many may come to [`BASE`], is bounded.
#[allow(dead_code, reason = "for targets about products")]
pub fn check(builder: &Builder, size: usize, objects: usize) {
    let snapshot = builder.snapshot();
    let resources = ResourceType::ALL
        .into_iter()
        .flat_map(|kind| snapshot.resources(kind).values());
    let made: usize = resources.map(|resource| resource.length()).sum();
    let most = BASE * objects + EACH * size;
    assert!(made <= most, "{size} bytes became {made}");
    let translated = builder.translated();
    let units = translated.hosts + translated.clusters + translated.endpoints;
    assert!(
        units <= 100 + size as u64 / 3,
        "{size} bytes became {units} units"
    );
    for problems in builder.statuses().problems.values() {
        let count = problems.problems.len();
        assert!(count <= TOLD, "{count} problems");
    }
}
