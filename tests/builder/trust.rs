//! Authorities and certificates come into the snapshot with the first host or cluster that names them, and go with the last.

use std::sync::Arc;

use isobath::objects::{
    CaCertificates, Event, KeyAlgorithm, Kind, Object, ObjectRef, PrivateKeyPem, Secret,
    TlsCertificate,
};
use isobath::translate::Options;
use isobath::xds::ResourceType;
use serde_json::json;

use crate::gates::GATE;
use crate::objects::metadata;
use crate::rehearsed;
use crate::{Builder, builder, check_closed};

fn gate(name: &str, fields: &[(&str, &str)]) -> Event {
    let metadata = metadata("shop", name, "", Some(0), &[]);
    Event::Apply(rehearsed::object(GATE, metadata, fields))
}

/// A Secret with a pair and with one of two authorities.
fn secret(name: &str, authority: Option<&str>) -> Event {
    let certificate = TlsCertificate {
        chain: "chain".into(),
        key: PrivateKeyPem::new("key".to_owned()),
        key_algorithm: KeyAlgorithm::Rsa,
        names: Vec::new(),
        common_name: None,
        not_before: jiff::Timestamp::UNIX_EPOCH,
        not_after: jiff::Timestamp::UNIX_EPOCH,
    };
    let authorities = authority.map(|pem| CaCertificates::from_pem("ca.crt", pem.as_bytes()));
    Event::Apply(Object::Secret(Arc::new(Secret {
        metadata: metadata("shop", name, "", None, &[]),
        certificate: Ok(Arc::new(certificate)),
        authorities: authorities.map(|made| made.map_err(Arc::from)),
        revocations: None,
        credentials: None,
        credentials_map: None,
    })))
}

const ONE: &str = include_str!("../data/certificates/p256.crt");
const OTHER: &str = include_str!("../data/certificates/p384.crt");

#[test]
fn what_is_named_is_there_and_nothing_else() {
    let service = json!({
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "ports": [{ "port": 80 }] },
    });
    let service = isobath::objects::decode(Kind::Service, &service.to_string()).unwrap();
    let mut builder = builder(Options::default());
    let check = |builder: &mut Builder, events: Vec<Event>, expected: &[&str]| {
        for event in events {
            builder.apply(event);
        }
        builder.build();
        check_closed(builder.snapshot());
        let secrets = builder.snapshot().resources(ResourceType::Secret);
        let names: Vec<&str> = secrets.keys().map(|name| &**name).collect();
        assert_eq!(names, expected);
        let owners = builder.statuses().owners.keys();
        owners
            .filter(|owner| owner.kind == Kind::Secret)
            .map(|owner| owner.name.to_string())
            .collect::<Vec<_>>()
    };
    let all = vec![
        Event::Apply(service),
        secret("own", None),
        secret("ca", Some(ONE)),
        secret("shown", None),
    ];
    check(&mut builder, all, &[]);
    let guarded = [("fleet", "a.test"), ("secret", "own"), ("clients", "ca")];
    check(
        &mut builder,
        vec![gate("one", &guarded)],
        &["authorities/shop/ca", "shop/own"],
    );
    // Another user of the same authorities, with a certificate that it shows.
    let upstream = [
        ("fleet", "b.test"),
        ("service", "web"),
        ("verify", "ca"),
        ("shows", "shown"),
    ];
    check(
        &mut builder,
        vec![gate("two", &upstream)],
        &["authorities/shop/ca", "shop/own", "shop/shown"],
    );
    let gone = |name: &str| Event::Delete(ObjectRef::new(Kind::Untyped(GATE), "shop", name));
    let owners = check(
        &mut builder,
        vec![gone("one")],
        &["authorities/shop/ca", "shop/shown"],
    );
    assert_eq!(owners, ["shop/ca", "shop/shown"]);
    // New bytes are no news to whoever names them.
    let before = builder.translated();
    let bytes = |builder: &Builder| {
        let snapshot = builder.snapshot();
        let bundle = snapshot.get(ResourceType::Secret, "authorities/shop/ca");
        bundle.unwrap().bytes()
    };
    let old = bytes(&builder);
    check(
        &mut builder,
        vec![secret("ca", Some(OTHER))],
        &["authorities/shop/ca", "shop/shown"],
    );
    assert_ne!(bytes(&builder), old);
    let made = builder.translated();
    assert_eq!((made.hosts, made.clusters), (before.hosts, before.clusters));
    assert_eq!(made.secrets, before.secrets + 1);
    // Without authorities nobody is sent there, nor shown anything.
    check(&mut builder, vec![secret("ca", None)], &[]);
    check(
        &mut builder,
        vec![secret("ca", Some(ONE))],
        &["authorities/shop/ca", "shop/shown"],
    );
    assert_eq!(bytes(&builder), old);
    // One Secret as both: it is whose certificate is shown, and who vouches for whom it is shown to.
    let both = [&upstream[..3], &[("shows", "ca")]].concat();
    let owners = check(
        &mut builder,
        vec![gate("two", &both)],
        &["authorities/shop/ca", "shop/ca"],
    );
    assert_eq!(owners, ["shop/ca"]);
    let alone = [&upstream[..2], &[("shows", "ca")]].concat();
    let owners = check(&mut builder, vec![gate("two", &alone)], &["shop/ca"]);
    assert_eq!(owners, ["shop/ca"]);
    let owners = check(&mut builder, vec![gone("two")], &[]);
    assert_eq!(owners, Vec::<String>::new());
}
