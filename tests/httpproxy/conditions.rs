//! Every type and reason that the language has for what is wrong is shown by a row.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::notation::object;
use crate::row::{Question, Step};
use crate::tables::all;
use crate::verdict::Verdicts;

const SOURCE: &str = include_str!("../../src/translate/httpproxy/condition.rs");

/// `TYPE/REASON` of all kinds, as the source lists them.
fn kinds() -> BTreeSet<String> {
    let (_, list) = SOURCE.split_once("kinds! {").expect("the list");
    let lines = list.lines().filter_map(|line| line.split_once(" = "));
    let kinds: BTreeSet<String> = lines
        .map(|(_, kind)| {
            let mut words = kind.split('"').skip(1).step_by(2);
            format!("{}/{}", words.next().unwrap(), words.next().unwrap())
        })
        .collect();
    assert!(kinds.len() > 40, "{kinds:?}");
    kinds
}

/// Those that no row is short enough for.
const BY_HAND: [&str; 2] = [
    "IncludeError/IncludeTooDeep",
    "RouteError/DirectResponsePolicyNotValid",
];
/// Those of which a golden case is one (`tests/golden/http_proxies`): they need another operator than the rows have.
const GOLDEN: [&str; 2] = ["TLSError/FallbackNotDelegated", "TLSError/FallbackNotValid"];
/// Those that the schema, or what is decoded, keeps away: they are the second line. Contour's `RemoteJWKSDNSLookupFamilyInvalid`,
/// `ServicePortInvalid` and `UnsupportedProtocol` are kept away as well, and have no second line: what they are about
/// does not come out of decoding.
const KEPT_AWAY: [&str; 3] = [
    // Rows say `unread`.
    "SpecError/ObjectNotValid",
    "RouteError/InternalRedirectPolicyNotValid",
    "VirtualHostError/FQDNNotSpecified",
];

#[test]
fn every_reason_is_shown_by_a_row() {
    let mut shown = BTreeSet::new();
    for row in all() {
        for step in &row.steps {
            let Step::Ask(ask) = step else { continue };
            let is_told = matches!(ask.question, Question::Status(..) | Question::Extension(_));
            if !row.asks(ask) || !is_told {
                continue;
            }
            let checks = ask.answer.checks.iter();
            let checks = checks.filter(|check| matches!(&*check.key, "er" | "wa"));
            shown.extend(checks.flat_map(|check| check.value.split(',').map(str::to_owned)));
        }
    }
    let others = BY_HAND
        .into_iter()
        .chain(GOLDEN)
        .chain(KEPT_AWAY)
        .map(str::to_owned);
    for other in others {
        assert!(shown.insert(other.clone()), "a row shows {other}");
    }
    let missing: Vec<String> = kinds().difference(&shown).cloned().collect();
    assert!(missing.is_empty(), "no row shows {missing:?}");
}

/// What an HTTPProxy asks of all routes of its host, and the routes of an Ingress there, multiply: the Ingress is told, and the
/// HTTPProxy is served.
#[test]
fn the_routes_of_an_ingress_beside_a_long_list_are_bounded() {
    let (ranges, paths) = (2000, 500);
    for (ranges, paths, is_left_out) in
        [(ranges, paths, true), (1, paths, false), (ranges, 1, false)]
    {
        let ranges: Vec<String> = (0..ranges)
            .map(|n| format!("{{source: Peer, cidr: 10.{}.{}.0/24}}", n / 256, n % 256))
            .collect();
        let root = format!("root: ipDenyPolicy: [{}]; /p > a", ranges.join(", "));
        let mut objects = vec![object(&root, "wide", "wide.test")];
        let paths: Vec<_> = (0..paths)
            .map(|n| {
                json!({"path": format!("/{n}"), "pathType": "Prefix",
                    "backend": {"service": {"name": "a", "port": {"number": 80}}}})
            })
            .collect();
        objects.push(
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "many", "namespace": "hp"},
            "spec": {"rules": [{"host": "wide.test", "http": {"paths": paths}}]}}),
        );
        objects.push(service_a());
        let verdicts = Verdicts::new(&objects, &[]);
        assert_eq!(verdicts.of("HTTPProxy", "hp", "wide").word, "valid");
        let told = verdicts.of("Ingress", "hp", "many").errors;
        let expected: &[&str] = if is_left_out { &["TooLarge"] } else { &[] };
        assert_eq!(told, expected);
    }
}

fn service_a() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "hp"},
        "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80}]}})
}

#[test]
fn what_is_too_long_is_told() {
    let lines = |row: &str, lines: &[String]| -> Vec<_> {
        let host = format!("{row}.test");
        lines.iter().map(|line| object(line, row, &host)).collect()
    };
    let long = format!(
        "root: > direct{{statusCode: 200, body: {}}}",
        "x".repeat(4097)
    );
    let mut objects = lines("long", &[long]);
    let mut chain = vec!["root: include deep1".to_owned()];
    for n in 1..70 {
        chain.push(format!("child deep{n}: include deep{}; /{n} > a", n + 1));
    }
    objects.extend(lines("deep", &chain));
    objects.push(service_a());
    let verdicts = Verdicts::new(&objects, &[]);
    assert_eq!(verdicts.of("HTTPProxy", "hp", "long").errors, [BY_HAND[1]]);
    assert_eq!(verdicts.of("HTTPProxy", "hp", "deep").word, "valid");
    assert_eq!(verdicts.of("HTTPProxy", "hp", "deep63").word, "valid");
    assert_eq!(
        verdicts.of("HTTPProxy", "hp", "deep64").errors,
        [BY_HAND[0]]
    );
    assert_eq!(verdicts.of("HTTPProxy", "hp", "deep65").word, "orphaned");
}
