use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::{collection, option, sample};

use super::super::client_certificates::ForwardedCertificate;
use super::super::tls_parameters::{CipherSuite, Group};
use super::*;
use crate::objects::{Field, Kind, ObjectRef};

/// Names that would be another setting, or another certificate, if they were not escaped.
fn texts() -> impl Strategy<Value = Arc<str>> {
    sample::select(vec![
        "ns/a",
        "ns/b",
        "ns/a+ns/b",
        "ns/a?alpn=http1",
        "ns/a&max-depth=1",
        "a%26",
    ])
    .prop_map(Into::into)
}

fn clients() -> impl Strategy<Value = ClientCertificates> {
    let verification = (texts(), option::of(0..2_u32), any::<[bool; 2]>()).prop_map(
        |(authorities, max_depth, [only_leaf_revocations, accepts_untrusted])| ClientVerification {
            authorities,
            max_depth,
            only_leaf_revocations,
            accepts_untrusted,
        },
    );
    let forwarded = sample::select(ForwardedCertificate::all().collect::<Vec<_>>());
    let asked = (
        any::<bool>(),
        option::of(verification),
        option::of(forwarded),
    );
    asked.prop_map(
        |(is_required, verification, forwarded)| ClientCertificates {
            is_required,
            verification,
            forwarded,
        },
    )
}

fn parameters() -> impl Strategy<Value = TlsParameters> {
    let versions = sample::select(vec![TlsVersion::V1_2, TlsVersion::V1_3]);
    let suites: Vec<CipherSuite> = CipherSuite::all().take(2).collect();
    let groups: Vec<Group> = Group::all().take(2).collect();
    (
        [versions.clone(), versions],
        collection::vec(sample::select(suites), 0..2),
        collection::vec(sample::select(groups), 0..2),
    )
        .prop_map(
            |([minimum, maximum], cipher_suites, groups)| TlsParameters {
                versions: TlsSettings { minimum, maximum },
                cipher_suites,
                groups,
            },
        )
}

fn source() -> FieldRef {
    FieldRef::new(ObjectRef::new(Kind::Secret, "ns", "a"), Field::Data)
}

fn servers() -> impl Strategy<Value = TlsServer> {
    let alpn = sample::select(vec![
        Alpn::Http2OrHttp1,
        Alpn::Http1,
        Alpn::Http2,
        Alpn::None,
    ]);
    let certificates = collection::vec(texts(), 1..3);
    (certificates, parameters(), alpn, option::of(clients())).prop_map(
        |(certificates, parameters, alpn, clients)| {
            TlsServer::new(
                certificates,
                parameters,
                alpn,
                clients.map(Box::new),
                source(),
            )
        },
    )
}

/// Every host of a server has its name: it does not grow with the list of those who vouch for clients, and tells lists apart.
#[test]
fn a_long_list_of_authorities_is_told_by_its_hash() {
    let lists = ["a", "b"].map(|last| format!("authorities/{}{last}", "x".repeat(10_000)));
    let names = lists.map(|list| {
        let clients = ClientCertificates {
            is_required: true,
            verification: Some(ClientVerification {
                authorities: list.into(),
                max_depth: None,
                only_leaf_revocations: false,
                accepts_untrusted: false,
            }),
            forwarded: None,
        };
        let parameters = TlsParameters::default();
        let clients = Some(Box::new(clients));
        let certificates = vec!["ns/a".into()];
        TlsServer::new(certificates, parameters, Alpn::default(), clients, source()).name
    });
    assert!(names.iter().all(|name| name.len() < 100), "{names:?}");
    assert_ne!(names[0], names[1]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    /// No two servers that differ have one name, and none has what separates a listener from its tables.
    #[test]
    fn a_name_tells_all_of_a_server(all in collection::vec(servers(), 200)) {
        let mut names = BTreeMap::new();
        for server in all {
            prop_assert!(!server.name.contains('>'), "{}", server.name);
            let other = names.entry(server.name.clone()).or_insert_with(|| server.clone());
            prop_assert_eq!(&*other, &server);
        }
    }

    /// One setting more or other changes the name.
    #[test]
    fn every_setting_counts(server in servers(), other in servers()) {
        let (one, two) = (server.clone(), other);
        let clients = |it: &TlsServer| it.clients.clone();
        let with = [
            (two.certificates.clone(), one.parameters.clone(), one.alpn, clients(&one)),
            (one.certificates.clone(), two.parameters.clone(), one.alpn, clients(&one)),
            (one.certificates.clone(), one.parameters.clone(), two.alpn, clients(&one)),
            (one.certificates.clone(), one.parameters.clone(), one.alpn, clients(&two)),
        ];
        for (certificates, parameters, alpn, clients) in with {
            let with = TlsServer::new(certificates, parameters, alpn, clients, source());
            prop_assert_eq!(with.name == server.name, with == server);
        }
    }
}

#[test]
fn what_is_by_default_is_left_out() {
    let name = |parameters, alpn, clients| {
        let certificates = vec!["ns/a".into(), "ns/b".into()];
        TlsServer::new(certificates, parameters, alpn, clients, source()).name
    };
    let versions = TlsSettings {
        minimum: TlsVersion::V1_3,
        maximum: TlsVersion::V1_3,
    };
    let parameters = TlsParameters {
        versions,
        ..TlsParameters::default()
    };
    let clients = ClientCertificates {
        is_required: true,
        verification: None,
        forwarded: Some(ForwardedCertificate::default()),
    };
    let default = TlsParameters::default();
    assert_eq!(&*name(default, Alpn::default(), None), "ns/a+ns/b");
    assert_eq!(
        &*name(parameters.clone(), Alpn::default(), None),
        "ns/a+ns/b?tls=1.3-1.3"
    );
    assert_eq!(
        &*name(parameters, Alpn::Http1, Some(Box::new(clients))),
        "ns/a+ns/b?tls=1.3-1.3&alpn=http1&clients=required&forwards=hash"
    );
}
