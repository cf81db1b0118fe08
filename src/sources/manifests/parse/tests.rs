#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

/// Checks kinds and JSON of all objects of a text.
fn check(path: &str, text: &str, expected: &[(Kind, &str)]) {
    let documents = parse_documents(Path::new(path), text).unwrap();
    let found: Vec<(Kind, Value)> = documents
        .objects
        .iter()
        .map(|document| (document.kind, serde_json::from_str(&document.json).unwrap()))
        .collect();
    let expected: Vec<(Kind, Value)> = expected
        .iter()
        .map(|(kind, json)| (*kind, serde_json::from_str(json).unwrap()))
        .collect();
    assert_eq!(found, expected);
}

fn check_error(path: &str, text: &str, line: u64, column: u64, reason: &str) {
    let error = parse_documents(Path::new(path), text).unwrap_err();
    assert_eq!(
        (error.line, error.column, error.reason.as_str()),
        (line, column, reason),
        "{text}"
    );
}

const SERVICE: &str =
    r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"s","namespace":"default"}}"#;

#[test]
fn documents_and_lists() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n";
    check("a.yaml", "", &[]);
    check("a.yaml", "# nothing\n---\n---\n# here\n", &[]);
    check("a.yaml", service, &[(Kind::Service, SERVICE)]);
    check(
        "a.yml",
        &format!("\u{feff}---\n{service}---\n...\n---\n{service}"),
        &[(Kind::Service, SERVICE); 2],
    );
    check(
        "a.yaml",
        &service.replace('\n', "\r\n"),
        &[(Kind::Service, SERVICE)],
    );
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: s}}\n- {apiVersion: v1, kind: Pod}\n";
    check("a.yaml", list, &[(Kind::Service, SERVICE)]);
    check("a.yaml", "apiVersion: v1\nkind: List\nitems:\n", &[]);
    let typed = "apiVersion: networking.k8s.io/v1\nkind: IngressList\nitems: [{metadata: {name: i, namespace: shop}}]\n";
    let ingress = r#"{"metadata":{"name":"i","namespace":"shop"}}"#;
    check("a.yaml", typed, &[(Kind::Ingress, ingress)]);
    let class =
        r#"{"apiVersion":"networking.k8s.io/v1","kind":"IngressClass","metadata":{"name":"c"}}"#;
    check("a.JSON", class, &[(Kind::IngressClass, class)]);
    check(
        "a.json",
        &format!("\t{SERVICE}\n{SERVICE}"),
        &[(Kind::Service, SERVICE); 2],
    );
    check(
        "a.yaml",
        &format!("{SERVICE}\n"),
        &[(Kind::Service, SERVICE)],
    );
    check("a.json", "", &[]);
    check(
        "a.yaml",
        "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Service\", \"metadata\": {\"name\": \"s\"}}",
        &[(Kind::Service, SERVICE)],
    );
}

#[test]
fn other_objects_are_named() {
    let text = "apiVersion: apps/v1\nkind: Deployment\n---\napiVersion: extensions/v1beta1\nkind: Ingress\n---\napiVersion: v1\nkind: PodList\n---\napiVersion: apps/v1\nkind: Deployment\n";
    let documents = parse_documents(Path::new("a.yaml"), text).unwrap();
    assert!(documents.objects.is_empty());
    let others: Vec<_> = documents
        .others
        .iter()
        .map(|((v, k), lines)| format!("{lines:?} {v} {k}"))
        .collect();
    assert_eq!(
        others,
        [
            "[1, 10] apps/v1 Deployment",
            "[4] extensions/v1beta1 Ingress",
            "[7] v1 PodList"
        ]
    );
}

#[test]
fn lines_of_documents() {
    let text = "# a\napiVersion: v1\nkind: Service\n---\n\napiVersion: v1\nkind: Service\n";
    let lines = |path: &str, text: &str| {
        let documents = parse_documents(Path::new(path), text).unwrap();
        documents
            .objects
            .iter()
            .map(|document| document.line)
            .collect::<Vec<_>>()
    };
    assert_eq!(lines("a.yaml", text), [2, 6]);
    assert_eq!(
        lines("a.json", &format!("\n{SERVICE}\n\n{SERVICE} {SERVICE}")),
        [2, 4, 4]
    );
}

#[test]
fn values_are_read_as_kubectl_reads_them() {
    let annotations = |text: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n  annotations:\n    a: {text}\n"
        );
        let documents = parse_documents(Path::new("a.yaml"), &text).unwrap();
        let value: Value = serde_json::from_str(&documents.objects[0].json).unwrap();
        value["metadata"]["annotations"]["a"].to_string()
    };
    for (yaml, json) in [
        ("true", "true"),
        ("yes", "true"),
        ("Off", "false"),
        ("n", "false"),
        ("\"true\"", "\"true\""),
        ("'3'", "\"3\""),
        ("3", "3"),
        ("3.0", "3"),
        ("3.5", "3.5"),
        ("1e3", "1000"),
        ("0755", "493"),
        ("0x10", "16"),
        ("~", "null"),
        ("", "null"),
        ("2024-05-06T07:08:09Z", "\"2024-05-06T07:08:09Z\""),
        ("2024-05-06", "\"2024-05-06\""),
        ("12:30", "\"12:30\""),
        ("a:b", "\"a:b\""),
        ("!!str 5", "\"5\""),
        ("18446744073709551615", "18446744073709551615"),
        ("|\n      x\n      y\n", "\"x\\ny\\n\""),
        ("\"\\0\"", "\"\\u0000\""),
    ] {
        assert_eq!(annotations(yaml), json, "{yaml}");
    }
    // Anchors and merge keys.
    let text =
        "apiVersion: v1\nkind: Service\nmetadata: &m\n  name: s\nspec: {<<: *m, selector: *m}\n";
    let merged = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"s","namespace":"default"},"spec":{"name":"s","selector":{"name":"s"}}}"#;
    check("a.yaml", text, &[(Kind::Service, merged)]);
}

#[test]
fn namespaces_and_string_data() {
    let secret = |meta: &str, rest: &str, expected: &str| {
        let text = format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s{meta}}}\n{rest}");
        let expected = format!(
            r#"{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"s","namespace":"default"}},"data":{expected}}}"#
        );
        check("a.yaml", &text, &[(Kind::Secret, &expected)]);
    };
    secret("", "stringData: {a: x, b: \"\"}", r#"{"a":"eA==","b":""}"#);
    secret(
        ", namespace: ~",
        "data: {a: YQ==, b: Yg==}\nstringData: {a: x}",
        r#"{"a":"eA==","b":"Yg=="}"#,
    );
    secret(
        ", namespace: ''",
        "data:\nstringData: {a: ~, b: [c]}",
        r#"{"a":"","b":["c"]}"#,
    );
    let shapeless = "apiVersion: v1\nkind: Secret\nmetadata: x\n";
    check(
        "a.yaml",
        shapeless,
        &[(
            Kind::Secret,
            r#"{"apiVersion":"v1","kind":"Secret","metadata":"x"}"#,
        )],
    );
}

#[test]
fn errors_have_places_and_no_values() {
    let not_yaml =
        "apiVersion: v1\nkind: Secret\nstringData:\n  tls.key: marker\n  marker: [marker\n";
    let error = parse_documents(Path::new("a.yaml"), not_yaml).unwrap_err();
    assert!(
        !error.reason.contains("marker") && !error.reason.is_empty(),
        "{error:?}"
    );
    // Each in a file that was meant for us: one that was not is passed over for the same reason.
    for (path, text, line, column, reason) in [
        ("a.yaml", "a: 1\nkind: Ingress\na: 3\n", 3, 1, TWICE),
        (
            "a.json",
            "{\"kind\": \"List\",\n \"kind\": 2}",
            2,
            11,
            TWICE,
        ),
        (
            "a.yaml",
            "kind: Ingress: c\n",
            1,
            14,
            "mapping values are not allowed in this context",
        ),
        ("a.yaml", "kind: Secret\nb: *b\n", 2, 4, IN_QUOTES),
        (
            "a.yaml",
            "kind: Ingress\nspec:\n  rules:\n  - host: *.example.com\n",
            4,
            11,
            IN_QUOTES,
        ),
        (
            "a.json",
            "{\"kind\": \"Ingress\",}",
            1,
            20,
            "trailing comma",
        ),
        (
            "a.json",
            "{\"kind\": \"Ingress\", \"b\": \n",
            2,
            0,
            "EOF while parsing a value",
        ),
        (
            "a.yaml",
            "kind: Service\n",
            1,
            1,
            "Service has no apiVersion; write v1",
        ),
        (
            "a.yaml",
            "apiVersion: v1\nkind: List\nitems: {}\n",
            1,
            1,
            "the items of a list are not a list",
        ),
        (
            "a.yaml",
            "apiVersion: v1\nkind: List\nitems: [{kind: Ingress}]\n",
            1,
            1,
            "Ingress has no apiVersion; write networking.k8s.io/v1",
        ),
    ] {
        check_error(path, text, line, column.max(1), reason);
    }
}

const IN_QUOTES: &str = "a value that begins with `*` stands in quotes (\"*.example.com\"): without them it is an alias, and nothing has its name";

#[test]
fn what_is_not_for_us_is_passed_over_with_its_place() {
    for (path, text, line, reason) in [
        (
            "a.yaml",
            "---\nhello\n",
            2,
            "it is no mapping, as an object of Kubernetes is",
        ),
        (
            "a.yaml",
            "kind: X\n",
            1,
            "it has no `apiVersion`, as an object of Kubernetes has",
        ),
        (
            "a.yaml",
            "\napiVersion: v1\n",
            2,
            "it has no `kind`, as an object of Kubernetes has",
        ),
        (
            "a.yaml",
            "apiVersion: v1\nkind: List\nitems: [{}]\n",
            1,
            "it has no `kind`, as an object of Kubernetes has",
        ),
        (
            "a.yaml",
            "a: 1\nb: *b\n",
            2,
            &format!("it names no object of Kubernetes ({IN_QUOTES})"),
        ),
        (
            "a.json",
            "{\"a\": 1,}",
            1,
            "it names no object of Kubernetes (trailing comma)",
        ),
        ("a.yaml", "a: {{ b }}\n", 1, foreign::TEMPLATE),
    ] {
        let documents = parse_documents(Path::new(path), text).unwrap();
        assert!(documents.objects.is_empty(), "{text}");
        assert_eq!(documents.skipped, Some((line, reason.to_owned())), "{text}");
    }
}

#[test]
fn aliases_do_not_multiply() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..10 {
        let below = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", vec![below; 10].join(","));
    }
    text += "kind: Ingress\n";
    let error = parse_documents(Path::new("a.yaml"), &text).unwrap_err();
    assert!(error.reason.contains("expand to too much"), "{error:?}");
}

#[test]
fn many_documents_are_fine() {
    let text =
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n---\n"
            .repeat(5000);
    let documents = parse_documents(Path::new("a.yaml"), &text).unwrap();
    assert_eq!(documents.objects.len(), 5000);
    let deep = format!("kind: Ingress\na: {}", "[".repeat(10_000));
    assert!(parse_documents(Path::new("a.yaml"), &deep).is_err());
    assert!(
        parse_documents(Path::new("a.json"), &"[".repeat(10_000))
            .is_ok_and(|found| found.skipped.is_some())
    );
}

const MARKER: &str = "c2VjcmV0LW1hcmtlcg";

/// A Secret that people might write, and break while they do.
fn secret_text() -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\ntype: kubernetes.io/tls\ndata:\n  tls.key: {MARKER}==\nstringData:\n  tls.crt: |\n    -----BEGIN CERTIFICATE-----\n    {MARKER}\n    {MARKER}\n    -----END CERTIFICATE-----\n---\napiVersion: v1\nkind: List\nitems:\n- {{apiVersion: v1, kind: Secret, metadata: {{name: t}}, data: {{a: \"{MARKER}\"}}}}\n"
    )
}

/// Parses and decodes, and says all that anybody could ever print.
fn everything_shown(path: &str, text: &str) -> String {
    use crate::objects::{Rules, decode_versioned};
    match parse_documents(Path::new(path), text) {
        Err(error) => {
            assert!(error.line > 0 && error.column > 0 && !error.reason.is_empty());
            format!("{error:?}")
        }
        Ok(documents) => documents
            .objects
            .iter()
            .map(|document| {
                let object = decode_versioned(document.kind, &document.json, Rules::Create);
                format!("{document:?} {object:?}\n")
            })
            .collect(),
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 2048,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn a_broken_secret_shows_nothing_of_itself(
        edits in proptest::collection::vec((0_usize..500, 0_usize..4, "[ \\n:\\-{}\\[\\]&*!|>'\"%@`#,?a\\t]{0,3}"), 1..4),
        json in proptest::bool::ANY,
    ) {
        let mut text = secret_text();
        for (at, cut, insert) in edits {
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            // What is cut out of the marker itself could leave half of it as a name.
            if !text[at..end].contains(|letter: char| letter.is_ascii_alphanumeric()) {
                text.replace_range(at..end, &insert);
            }
        }
        let shown = everything_shown(if json { "a.json" } else { "a.yaml" }, &text);
        proptest::prop_assert!(!shown.contains(&MARKER[..9]), "{}", shown);
        proptest::prop_assert!(!shown.contains(&MARKER[9..]), "{}", shown);
    }

    #[test]
    fn any_text_is_an_error_or_objects(text in proptest::prelude::any::<String>(), tail in "\\PC{0,40}") {
        for path in ["a.yaml", "a.json"] {
            everything_shown(path, &text);
            everything_shown(path, &format!("apiVersion: v1\nkind: Service\nmetadata:\n  name: {tail}\n"));
            everything_shown(path, &format!("{{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{{\"name\":{tail}"));
        }
    }
}
