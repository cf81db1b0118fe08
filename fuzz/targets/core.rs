//! The core that every target ends in.

use isobath::build::{Builder, Config};
use isobath::objects::{Event, Object};
use isobath::translate::Options;

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
