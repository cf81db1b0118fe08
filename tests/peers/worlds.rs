//! The worlds, and the sum of all differences.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join;
use serde_json::{Value, json};

use crate::cluster::reference;
use crate::row::Row;
use crate::run::{Report, run};
use crate::side::{Name, Setup, Side};
use crate::support::network::alone;
use crate::tables::{
    CONFIGURED, CONFIGURED_FLAGS, EXTERNAL_NAMES, EXTERNAL_NAMES_FLAGS, OF_ALL, OF_ALL_FLAGS,
    OPERATOR, OPERATOR_FLAGS, ROOT_NAMESPACES, ROOT_NAMESPACES_FLAGS, TABLES,
};

/// What Contour's Envoy refuses, and from then on nothing of anybody's: these rows are asked alone, one after the other.
const POISON: &str = "refused";
/// What an API server refuses, and so neither of them sees.
const FROM_MANIFESTS: &str = "wrong-guards";
/// Where chance decides in Contour there may be no difference today.
const BY_CHANCE: [&str; 3] = [
    "the order of routes",
    "settings of one Service",
    // Some other row's change has it noticed, or not.
    "ExtensionServices",
];

/// As many as both can take in at once.
pub(crate) const CONTOUR_FLAGS: &[&str] = &[
    "--kubernetes-client-qps",
    "500",
    "--kubernetes-client-burst",
    "1000",
];

/// Both on rows of these tables, settled.
struct Pair {
    ours: Side,
    theirs: Side,
    our_rows: Vec<Row>,
    their_rows: Vec<Row>,
}

impl Pair {
    /// `more` makes further objects out of a side. `None`: programs are missing, and this is not CI.
    async fn start(
        setup: &Setup,
        tables: &[&str],
        more: impl Fn(&Side) -> Vec<Value>,
    ) -> Option<Self> {
        let sides = join(
            Side::start(Name::Isobath, setup),
            Side::start(Name::Contour, setup),
        );
        let (mut ours, mut theirs) = match sides.await {
            (Some(ours), Some(theirs)) => (ours, theirs),
            _ => return None,
        };
        let only = std::env::var("ROWS").unwrap_or_default();
        let rows = |side: &Side| -> Vec<Row> {
            let rows = tables.iter().flat_map(|text| side.rows(text));
            rows.filter(|row| row.id.starts_with(&only)).collect()
        };
        let (our_rows, their_rows) = (rows(&ours), rows(&theirs));
        let objects = |side: &Side, rows: &[Row]| [more(side), side.objects(rows)].concat();
        let our_objects = objects(&ours, &our_rows);
        let their_objects = objects(&theirs, &their_rows);
        join(
            ours.cluster.apply_all(&our_objects),
            theirs.cluster.apply_all(&their_objects),
        )
        .await;
        join(ours.settle(&our_objects), theirs.settle(&their_objects)).await;
        // Of either: a table that was refused once would make all answers say nothing.
        for side in [&ours, &theirs] {
            assert_eq!(
                side.refusals().await,
                Vec::<String>::new(),
                "{:?}",
                side.name
            );
        }
        Some(Self {
            ours,
            theirs,
            our_rows,
            their_rows,
        })
    }

    async fn ask(&self) -> Vec<(Row, Report)> {
        run(
            (&self.ours, &self.our_rows),
            (&self.theirs, &self.their_rows),
        )
        .await
    }
}

fn table(name: &str) -> &'static str {
    let found = TABLES.iter().find(|(it, _)| *it == name);
    found.expect("a table of that name").1
}

pub(crate) fn setup() -> Setup {
    Setup {
        flags: &[],
        configuration: json!({}),
        contour_flags: CONTOUR_FLAGS,
        names: &["keys.example"],
        classes: &[],
        counts: false,
    }
}

#[test]
#[ignore = "make peers"]
fn both_answer_alike() {
    alone(async || {
        let is_asked = |name: &str| name != POISON && name != FROM_MANIFESTS;
        let others = TABLES.iter().filter(|(name, _)| is_asked(name));
        let tables: Vec<&str> = others.map(|(_, text)| *text).collect();
        let Some(pair) = Pair::start(&setup(), &tables, |_| Vec::new()).await else {
            return;
        };
        let mut reports = pair.ask().await;
        poison(&pair, &mut reports).await;
        // That it has refused something is what these rows are about.
        pair.theirs.envoy.kill().await;
        sum(&reports);
    });
}

/// One row at a time: it is put there, asked, and taken away again. Isobath has all of them at once, and a row more.
async fn poison(pair: &Pair, reports: &mut Vec<(Row, Report)>) {
    let only = std::env::var("ROWS").unwrap_or_default();
    let (ours, theirs) = (&pair.ours, &pair.theirs);
    let rows = |side: &Side| side.rows(table(POISON));
    for (our_row, their_row) in rows(ours).into_iter().zip(rows(theirs)) {
        if !our_row.id.starts_with(&only) {
            continue;
        }
        let (one, other) = (
            ours.objects(std::slice::from_ref(&our_row)),
            theirs.objects(std::slice::from_ref(&their_row)),
        );
        join(
            ours.cluster.apply_all(&one),
            theirs.cluster.apply_all(&other),
        )
        .await;
        join(ours.until_told(&one), theirs.until_told(&other)).await;
        reports.extend(run((ours, &[our_row]), (theirs, &[their_row])).await);
        for (side, objects) in [(ours, one), (theirs, other)] {
            for object in objects {
                side.cluster.remove(&reference(&object)).await;
            }
        }
    }
    // Whatever it was, Isobath's Envoy has not seen it.
    assert_eq!(ours.refusals().await, Vec::<String>::new());
    println!("Contour's Envoy refused: {:?}", theirs.refusals().await);
}

#[test]
#[ignore = "make peers"]
fn both_know_external_names_alike() {
    alone(async || {
        let setup = Setup {
            flags: EXTERNAL_NAMES_FLAGS,
            configuration: json!({"enableExternalNameService": true, "network": {"num-trusted-hops": 1}}),
            names: &["outside.example"],
            ..setup()
        };
        let outside = |side: &Side| -> Vec<Value> {
            let [plain, _, tls, _] = side.rig.backends["b"].addresses;
            let service = |(name, port): (&str, u16)| {
                json!({
                    "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "hp", "name": name},
                    "spec": {"type": "ExternalName", "externalName": "outside.example", "ports": [{"port": port}]},
                })
            };
            [("outside", plain.port()), ("outsidetls", tls.port())]
                .map(service)
                .into()
        };
        if let Some(pair) = Pair::start(&setup, &[EXTERNAL_NAMES], outside).await {
            sum(&pair.ask().await);
        }
    });
}

#[test]
#[ignore = "make peers"]
fn both_do_what_the_operator_decides() {
    alone(async || {
        let setup = Setup {
            flags: OPERATOR_FLAGS,
            configuration: json!({
                "rateLimitService": {
                    "extensionService": "hp/rls", "domain": "dom", "failOpen": false,
                    "enableXRateLimitHeaders": true,
                },
                "tls": {"fallback-certificate": {"namespace": "certs", "name": "fallback"}},
            }),
            ..setup()
        };
        if let Some(pair) = Pair::start(&setup, &[OPERATOR], |_| Vec::new()).await {
            sum(&pair.ask().await);
        }
    });
}

#[test]
#[ignore = "make peers"]
fn both_do_what_the_operator_says_of_all() {
    alone(async || {
        let setup = Setup {
            flags: OF_ALL_FLAGS,
            configuration: json!({
                "tls": {"envoy-client-certificate": {"namespace": "hp", "name": "envoyclient"}},
                "policy": {
                    "request-headers": {
                        "set": {
                            "X-Global": "g", "X-Over": "global", "X-Ns": "%CONTOUR_NAMESPACE%",
                            "X-Service": "%CONTOUR_SERVICE_NAME%",
                            "X-From": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
                            "X-Mixed": "%REQ(x-q)% of %CONTOUR_SERVICE_NAME%",
                        },
                        "remove": ["X-Drop"],
                    },
                    "response-headers": {"set": {"X-Gresp": "g"}},
                    "applyToIngress": true,
                },
            }),
            ..setup()
        };
        if let Some(pair) = Pair::start(&setup, &[OF_ALL], |_| Vec::new()).await {
            sum(&pair.ask().await);
        }
    });
}

#[test]
#[ignore = "make peers"]
fn both_do_what_is_configured() {
    alone(async || {
        let setup = Setup {
            flags: CONFIGURED_FLAGS,
            configuration: json!({
                "globalExtAuth": {
                    "extensionService": "team1/gauth", "failOpen": false,
                    "authPolicy": {"disabled": false, "context": {"g": "1"}},
                },
                "disablePermitInsecure": true,
                "disableMergeSlashes": true,
                "serverHeaderTransformation": "overwrite",
                "timeouts": {
                    "connection-idle-timeout": "60s", "max-connection-duration": "1h",
                    "delayed-close-timeout": "2s", "connection-shutdown-grace-period": "10s",
                    "connect-timeout": "5s",
                },
                "listener": {"max-requests-per-connection": 1000, "http2-max-concurrent-streams": 50},
                "cluster": {
                    "max-requests-per-connection": 100, "per-connection-buffer-limit-bytes": 1_048_576,
                    "dns-lookup-family": "all",
                    "circuit-breakers": {"max-connections": 1000, "max-retries": 3},
                    "upstream-tls": {
                        "minimum-protocol-version": "1.3",
                        "cipher-suites": ["ECDHE-RSA-AES128-GCM-SHA256"],
                    },
                },
                "tls": {"minimum-protocol-version": "1.3"},
                "default-http-versions": ["HTTP/1.1"],
                "rateLimitService": {
                    "extensionService": "hp/rls", "domain": "contour",
                    "defaultGlobalRateLimitPolicy": {
                        "descriptors": [{"entries": [{"genericKey": {"value": "default"}}]}],
                    },
                },
            }),
            ..setup()
        };
        if let Some(pair) = Pair::start(&setup, &[CONFIGURED], |_| Vec::new()).await {
            sum(&pair.ask().await);
        }
    });
}

#[test]
#[ignore = "make peers"]
fn both_keep_roots_in_their_namespaces() {
    alone(async || {
        let setup = Setup {
            flags: ROOT_NAMESPACES_FLAGS,
            configuration: json!({"disablePermitInsecure": true}),
            contour_flags: &[
                "--root-namespaces",
                "team1",
                "--ingress-class-name",
                "pub,priv",
                "--kubernetes-client-qps",
                "500",
                "--kubernetes-client-burst",
                "1000",
            ],
            classes: &["pub", "priv"],
            ..setup()
        };
        if let Some(pair) = Pair::start(&setup, &[ROOT_NAMESPACES], |_| Vec::new()).await {
            sum(&pair.ask().await);
        }
    });
}

/// Prints each difference with its explanation, and panics where one has none, or an explanation nothing to explain.
fn sum(reports: &[(Row, Report)]) {
    let (mut unexplained, mut idle, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    let mut explained: BTreeMap<&str, usize> = BTreeMap::new();
    let mut everywhere = BTreeSet::new();
    let mut asked = 0;
    for (row, report) in reports {
        asked += report.asked;
        wrong.extend(report.wrong.iter().cloned());
        everywhere.extend(report.everywhere.iter().copied());
        let keys: Vec<&str> = row.differs.iter().map(|(key, _)| &**key).collect();
        let of = |is_words: bool| match &row.awaits {
            // deploy/contour.md says so in a sentence of its own.
            Some(_) => Some("not built yet"),
            None => {
                let words = keys.iter().find(|key| is_words && **key == "words");
                let other = || keys.iter().find(|key| **key != "words");
                words.or_else(other).copied()
            }
        };
        for difference in &report.differences {
            let line = format!(
                "{}: {}\n    ours:    {}\n    contour: {}",
                difference.row, difference.asked, difference.ours, difference.theirs
            );
            match of(difference.is_words) {
                Some(key) => {
                    *explained.entry(key).or_default() += 1;
                    println!("{line}\n    told as: {key}");
                }
                None => unexplained.push(line),
            }
        }
        for key in keys {
            let shows = |it: &crate::differences::Difference| it.is_words == (key == "words");
            let is_there = report.differences.iter().any(shows) || report.everywhere.contains(key);
            if !is_there && !BY_CHANCE.contains(&key) {
                idle.push(format!("{}: {key}", row.id));
            }
        }
    }
    println!(
        "{} rows, {asked} asked of both together; in all rows: {everywhere:?}; explained: {explained:?}; {} unexplained",
        reports.len(),
        unexplained.len()
    );
    let mut said = String::new();
    for (what, list) in [
        ("not as the row says", wrong),
        ("explained, but not different", idle),
        ("UNEXPLAINED", unexplained),
    ] {
        if !list.is_empty() {
            said += &format!("{} {what}:\n{}\n", list.len(), list.join("\n"));
        }
    }
    assert!(said.is_empty(), "{said}");
}
