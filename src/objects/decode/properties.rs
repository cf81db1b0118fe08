//! No text that anybody can store makes decoding panic, and nothing is refused without a reason.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Any JSON, with a preference for what an object has and for what hurts.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just(String::new()),
        "[a-z]{1,3}",
        "\\PC{0,12}",
        any::<String>(),
        Just("\0".to_owned()),
        Just("*.a.example".to_owned()),
        Just("/a/../%2f".to_owned()),
        Just("IPv4".to_owned()),
        Just("10.0.0.1".to_owned()),
        Just("kubernetes.io/tls".to_owned()),
        Just("ExternalName".to_owned()),
        Just("Prefix".to_owned()),
        Just("\u{202e}é".repeat(5000)),
    ];
    let key = prop_oneof![
        4 => prop::sample::select(KEYS.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1_i64..70_000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

const KEYS: [&str; 30] = [
    "metadata",
    "name",
    "namespace",
    "annotations",
    "labels",
    "creationTimestamp",
    "spec",
    "status",
    "rules",
    "host",
    "http",
    "paths",
    "path",
    "pathType",
    "backend",
    "service",
    "port",
    "number",
    "tls",
    "hosts",
    "secretName",
    "defaultBackend",
    "resource",
    "type",
    "ports",
    "endpoints",
    "addresses",
    "addressType",
    "data",
    "tls.key",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anything_at_all_becomes_an_object_or_a_reason(
        mut object in any_json(),
        name in prop_oneof![Just(None), any::<Option<String>>(), "[a-z]{1,5}".prop_map(Some)],
        kind in prop::sample::select(Kind::ALL.to_vec()),
        rules in prop::sample::select(vec![Rules::Stored, Rules::Create]),
    ) {
        if let Some(name) = &name {
            if !object.is_object() {
                object = json!({"spec": object});
            }
            object["metadata"] = json!({"name": name, "namespace": "n"});
        }
        let json = object.to_string();
        match decode_versioned(kind, &json, rules) {
            Ok(Decoded { object: Object::Invalid(invalid), .. }) => {
                prop_assert!(!invalid.reason.is_empty());
                prop_assert!(invalid.reason.chars().count() <= 601);
                prop_assert_eq!(invalid.reference.kind, kind);
            }
            Ok(decoded) => {
                prop_assert_eq!(decoded.object.reference().kind, kind);
                let again = decode_versioned(kind, &json, rules).unwrap();
                prop_assert_eq!(format!("{again:?}"), format!("{decoded:?}"));
            }
            Err(error) => prop_assert!(name.is_none_or(|name| name.is_empty()), "{}", error),
        }
    }

    #[test]
    fn anything_that_is_no_json_is_no_panic(text in any::<String>(), cut in 0_usize..200) {
        for kind in Kind::ALL {
            let _ = decode(kind, &text);
            let object = r#"{"metadata":{"name":"a","namespace":"n"},"spec":{"rules":[{"host":"é\u0000"}]},"data":{"tls.crt":"YQ=="}}"#;
            let cut = (0..=cut.min(object.len())).rev().find(|end| object.is_char_boundary(*end)).unwrap_or(0);
            let _ = decode(kind, &object[..cut]);
        }
    }
}
