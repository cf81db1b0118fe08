//! The core that every target ends in.

use isobath::build::{Builder, Config};
use isobath::envoy::listener;
use isobath::facts::ClassSelection;
use isobath::objects::{Event, Object};
use isobath::translate::Options;

/// A core that serves every Ingress without a class.
pub fn builder() -> Builder {
    let address = |port| std::net::SocketAddr::from(([0, 0, 0, 0], port));
    Builder::new(Config {
        classes: ClassSelection {
            name: None,
            manifests: true,
        },
        options: Options {
            allow_external_names: true,
            ..Options::default()
        },
        listeners: listener::Config {
            http: address(8080),
            https: address(8443),
            stats: address(8002),
            edge: Default::default(),
        },
    })
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
