//! Objects that multiply: hosts times paths, annotations times routes. Each fits into etcd, and none may become more
//! than a small multiple of itself; what is left out for it is told, and what the object says directly stays.

use isobath::builder::Builder;
use isobath::k8s::{Event, Kind, NamespacedName, Object, ObjectRef, Rules, decode_versioned};
use isobath::translate::reason;
use isobath::xds::{ResourceType, Snapshot};
use serde_json::{Value, json};

/// What etcd takes, and with it the API server.
const ETCD_LIMIT: usize = 3 << 19;

struct Case {
    objects: Vec<Value>,
    /// What is told of the last object.
    told: Option<&'static str>,
    /// A host that is served all the same.
    served: &'static str,
}

fn check(case: Case) {
    let mut builder = crate::objects::builder(0);
    let mut size = 0;
    let mut last = None;
    for object in &case.objects {
        let text = object.to_string();
        assert!(text.len() <= ETCD_LIMIT, "{} bytes", text.len());
        size += text.len();
        let object = decode_versioned(Kind::Ingress, &text, Rules::Stored)
            .unwrap()
            .object;
        assert!(!matches!(object, Object::Invalid(_)), "{object:?}");
        last = Some(object.reference());
        builder.apply(Event::Apply(object));
    }
    apply_secret(&mut builder);
    builder.build();
    let bytes = bytes(builder.snapshot());
    assert!(bytes < 16 * size, "{size} bytes became {bytes}");
    let problems = last.and_then(|last: ObjectRef| builder.statuses().problems.get(&last));
    let reasons: Vec<&str> = problems
        .iter()
        .flat_map(|problems| problems.problems.iter().map(|problem| problem.reason))
        .collect();
    if let Some(told) = case.told {
        assert_eq!(reasons.iter().filter(|reason| **reason == told).count(), 1);
    }
    let table = builder.snapshot().get(ResourceType::Route, "http").unwrap();
    let bytes = table.bytes();
    let served = bytes.windows(case.served.len());
    assert!(
        served
            .into_iter()
            .any(|window| window == case.served.as_bytes())
    );
}

fn bytes(snapshot: &Snapshot) -> usize {
    ResourceType::ALL
        .into_iter()
        .flat_map(|resource_type| snapshot.resources(resource_type).values())
        .map(|resource| resource.length())
        .sum()
}

/// The one Secret of all cases, so that hosts are rendered for HTTPS too.
fn apply_secret(builder: &mut Builder) {
    let leaf = rcgen::generate_simple_self_signed(vec!["*.m.test".to_owned()]).unwrap();
    let certificate = isobath::k8s::TlsCertificate::from_pem(
        leaf.cert.pem().as_bytes(),
        leaf.signing_key.serialize_pem().as_bytes(),
    )
    .unwrap();
    builder.apply(Event::Apply(Object::Secret(std::sync::Arc::new(
        isobath::k8s::Secret {
            metadata: isobath::k8s::Metadata {
                name: NamespacedName::new("default", "tls"),
                uid: "1".into(),
                created: None,
                annotations: Default::default(),
            },
            certificate: Ok(std::sync::Arc::new(certificate)),
        },
    ))));
}

fn ingress(name: &str, annotations: Value, rules: Value, hosts: &[String]) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {
            "rules": rules,
            "tls": [{"hosts": hosts, "secretName": "tls"}],
        },
    })
}

fn paths(count: usize) -> Value {
    let path = |index| {
        json!({
            "path": format!("/{index}"),
            "pathType": "Exact",
            "backend": {"service": {"name": "web", "port": {"number": 80}}},
        })
    };
    json!({"paths": (0..count).map(path).collect::<Vec<_>>()})
}

fn hosts(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("h{index}.m.test")).collect()
}

#[test]
fn paths_without_a_host_times_tls_hosts() {
    let rules = json!([
        {"http": paths(5000)},
        {"host": "own.m.test", "http": paths(1)},
    ]);
    check(Case {
        objects: vec![ingress("product", json!({}), rules, &hosts(20_000))],
        told: Some(reason::TOO_MANY_ROUTES),
        served: "own.m.test",
    });
}

#[test]
fn paths_of_a_wildcard_times_the_tls_hosts_below_it() {
    let wildcard = json!([{"host": "*.m.test", "http": paths(10_000)}]);
    let below = json!([{"host": "own.m.test", "http": paths(1)}]);
    check(Case {
        objects: vec![
            ingress("a-wildcard", json!({}), wildcard, &[]),
            ingress("below", json!({}), below, &hosts(20_000)),
        ],
        told: Some(reason::TOO_MANY_ROUTES),
        served: "own.m.test",
    });
}

#[test]
fn annotations_times_paths() {
    let headers = format!("x-a: {}", "a".repeat(4000));
    let annotations = json!({
        "isobath.dev/request-headers": headers,
        "isobath.dev/response-headers": headers,
    });
    let rules = json!([{"host": "own.m.test", "http": paths(10_000)}]);
    check(Case {
        objects: vec![ingress("annotations", annotations, rules, &[])],
        told: Some(reason::ANNOTATION_NOT_VALID),
        served: "own.m.test",
    });
}

#[test]
fn what_is_only_large_is_served_whole() {
    let rules = json!([
        {"http": paths(20)},
        {"host": "own.m.test", "http": paths(9000)},
    ]);
    check(Case {
        objects: vec![ingress(
            "large",
            json!({"isobath.dev/request-headers": "x-a: b"}),
            rules,
            &hosts(1000),
        )],
        told: None,
        served: "h999.m.test",
    });
}
