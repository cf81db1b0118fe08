//! What `isobath diff` does not tell of stays as it is: random worlds and worlds that are a little different, and random requests.
//! Both are asked by `isobath explain`, which `explain.rs` holds against the real Envoy. `ISOBATH_SOAK=1` takes more worlds;
//! `ISOBATH_SEED` other ones.

use std::fs;

use isobath::build::Builder;
use isobath::build::Config;
use isobath::build::diff::{Change, Difference, difference};
use isobath::build::explain::{Answer, Explanation, Question};
use isobath::envoy::request::split_host;
use isobath::sources::manifests::Inspection;
use isobath::translate::Options;
use serde_json::json;

use crate::support::certificate::Authority;
use crate::support::manifest::{Manifest, endpoint_slice, service};
use crate::worlds::{Draw, http_proxy, ingress, request};

fn built(manifests: &[Manifest]) -> Builder {
    let folder = tempfile::tempdir().unwrap();
    for (index, manifest) in manifests.iter().enumerate() {
        fs::write(
            folder.path().join(format!("{index}.json")),
            manifest.0.to_string(),
        )
        .unwrap();
    }
    let mut builder = Builder::new(Config::of_manifests(Options::default()));
    for event in Inspection::of(folder.path()).unwrap().events() {
        builder.apply(event);
    }
    builder.build();
    builder
}

/// Whether a difference tells of what has decided an answer.
fn tells(difference: &Difference, tls: bool, told: &Explanation) -> bool {
    let decided = &told.decided;
    let of_host = difference
        .hosts
        .iter()
        .filter(|it| it.tls == tls)
        .any(|it| {
            let is_whole = it.change != Change::Changed || !it.details.is_empty();
            let connection = is_whole && decided.connection.as_ref() == Some(&it.host);
            let routes = || {
                it.routes
                    .iter()
                    .any(|route| Some(&route.matches) == decided.route.as_ref())
            };
            connection || decided.host.as_ref() == Some(&it.host) && (is_whole || routes())
        });
    let of_cluster = |(_, answer): &(u32, Answer)| match answer {
        Answer::Backend { cluster, .. } => difference.clusters.iter().any(|it| it.name == *cluster),
        // A cluster without endpoints answers so.
        Answer::Envoy { status: 503, .. } => !difference.clusters.is_empty(),
        Answer::Envoy { .. } | Answer::Closed(_) => false,
    };
    of_host || told.answers.iter().any(of_cluster)
}

/// Whether a request passed a list of addresses before, and comes to a back end now without one.
fn lets_in(was: &Explanation, is: &Explanation) -> bool {
    let is_guarded = |told: &Explanation| {
        let mut steps = told.steps.iter();
        steps.any(|step| step.about == "guard" && step.says.contains("addresses"))
    };
    let backend = |(_, answer): &(u32, Answer)| matches!(answer, Answer::Backend { .. });
    is_guarded(was) && !is_guarded(is) && is.answers.iter().any(backend)
}

/// Whether a difference tells that a guard is gone from one of the hosts that decided.
fn tells_of_guard(difference: &Difference, tls: bool, was: &Explanation, is: &Explanation) -> bool {
    let decided = [&was.decided, &is.decided];
    let hosts = difference.hosts.iter().filter(|it| it.tls == tls);
    let mut hosts = hosts.filter(|it| {
        let mut hosts = decided.iter().filter_map(|decided| decided.host.as_ref());
        hosts.any(|host| *host == it.host)
    });
    let opened: Vec<_> = difference.opened().map(|(host, _, _)| host).collect();
    hosts.any(|host| !host.passed.routes.is_empty() || opened.contains(&host))
}

/// What a client gets, without the reasons.
fn got(told: &Explanation) -> Vec<(u32, Option<u16>, String)> {
    let answers = told.answers.iter().map(|(weight, answer)| match answer {
        Answer::Closed(_) => (*weight, None, String::new()),
        Answer::Envoy {
            status, location, ..
        } => (*weight, Some(*status), format!("{location:?}")),
        Answer::Backend {
            cluster,
            path,
            host,
            endpoints,
        } => (
            *weight,
            None,
            format!("{cluster} {path} {host:?} {endpoints:?}"),
        ),
    });
    answers.collect()
}

#[test]
fn what_is_not_told_stays_as_it_is() {
    let soak = std::env::var_os("ISOBATH_SOAK").is_some();
    let (worlds, requests) = if soak { (400, 60) } else { (50, 60) };
    let first: u64 = std::env::var("ISOBATH_SEED").map_or(1, |seed| seed.parse().unwrap());
    let authority = Authority::new();
    let hosts = ["a.test", "b.test", "*.a.test", "*.test"];
    let (mut same, mut other, mut differing, mut passed) = (0, 0, 0, 0);
    for seed in first..first + worlds {
        let mut draw = Draw::new(seed);
        let mut fixed = vec![service("empty")];
        for name in ["web", "api", "www"] {
            fixed.push(service(name));
        }
        let mut moving: Vec<Manifest> = vec![
            authority.leaf(&hosts).secret("cert"),
            authority.leaf(&hosts).secret("other"),
        ];
        for (index, name) in ["web", "api", "www"].into_iter().enumerate() {
            let address = format!("192.0.2.{}", index + 1);
            moving.push(endpoint_slice(name, name, "", &[&address], 80, true));
        }
        moving.extend((0..=draw.below(5)).map(|index| ingress(&mut draw, index)));
        moving.extend((0..=draw.below(4)).map(|index| http_proxy(&mut draw, index)));
        let mut after = moving.clone();
        for _ in 0..=draw.below(2) {
            let at = draw.below(after.len());
            match (
                draw.below(3),
                after[at].0["kind"].as_str().unwrap().to_owned(),
            ) {
                (0, _) => drop(after.remove(at)),
                (_, kind) if kind == "Ingress" || kind == "HTTPProxy" => {
                    let metadata = after[at].0["metadata"].clone();
                    let mut next = match &*kind {
                        "Ingress" => ingress(&mut draw, 0),
                        _ => http_proxy(&mut draw, 0),
                    };
                    let annotations = next.0["metadata"]["annotations"].clone();
                    next.0["metadata"] = metadata;
                    next.0["metadata"]["annotations"] = annotations;
                    after[at] = next;
                }
                (_, kind) if kind == "EndpointSlice" => {
                    after[at].0["endpoints"] = json!([{"addresses": ["192.0.2.9"]}]);
                }
                _ => after.push(ingress(&mut draw, 90)),
            }
        }
        let [before, after] = [moving, after].map(|moving| {
            let all: Vec<Manifest> = fixed.iter().cloned().chain(moving).collect();
            built(&all)
        });
        let difference = difference(&before, &after);
        for _ in 0..requests {
            let request = request(&mut draw);
            let (name, _) = split_host(&request.host);
            let tls = request.tls;
            let server_name = Some(name.trim_end_matches('.').to_owned()).filter(|_| tls);
            let question = Question {
                request,
                server_name,
                from: None,
            };
            let edge = Default::default();
            let [was, is] = [&before, &after].map(|builder| builder.explain(&edge, &question));
            if lets_in(&was, &is) {
                passed += 1;
                assert!(
                    tells_of_guard(&difference, tls, &was, &is),
                    "seed {seed}: a guard is gone and nobody is told: {:?}\n{:?}\n{:?}\n{:#?}",
                    question.request,
                    was.steps,
                    is.steps,
                    difference.hosts
                );
            }
            if tells(&difference, tls, &was) || tells(&difference, tls, &is) {
                other += 1;
                differing += usize::from(got(&was) != got(&is));
                continue;
            }
            same += 1;
            assert_eq!(
                got(&was),
                got(&is),
                "seed {seed}: {:?}\n{:?}\n{:?}\n{:#?}",
                question.request,
                was.steps,
                is.steps,
                difference.hosts
            );
        }
    }
    assert!(passed > 2, "{passed} guards were passed by");
    // It tells of enough, not of everything, and mostly of what is another answer.
    assert!(
        other * 20 > same && same > other,
        "{same} stayed, {other} were told"
    );
    assert!(
        differing * 3 > other,
        "{differing} of {other} that were told are other answers"
    );
}
