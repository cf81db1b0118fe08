//! Custom kinds that are there, are not, come later, go, and are served at versions that nobody reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::time::{Does, Log, run, server, source};
use crate::objects::{Event, Kind};
use crate::sources::kubernetes::Kubernetes;
use crate::sources::kubernetes::discovery::{Discovery, Installed};
use crate::sources::kubernetes::metrics::Metrics;

const CUSTOM: [Kind; 3] = [
    Kind::TlsCertificateDelegation,
    Kind::HttpProxy,
    Kind::ExtensionService,
];
const GROUP: &str = "/apis/projectcontour.io";
type Row = (&'static str, &'static str);
const VERSIONS: Row = (
    GROUP,
    r#"{"versions":[{"version":"v1"},{"version":"v1alpha1"}]}"#,
);
const V1: Row = (
    "/apis/projectcontour.io/v1",
    r#"{"resources":[{"name":"httpproxies"},{"name":"httpproxies/status"},{"name":"tlscertificatedelegations"}]}"#,
);
const V1ALPHA1: Row = (
    "/apis/projectcontour.io/v1alpha1",
    r#"{"resources":[{"name":"extensionservices"}]}"#,
);
const ALL: &[Row] = &[VERSIONS, V1, V1ALPHA1];
/// Looking is forbidden.
const FORBIDDEN: &str = "403";

fn answer(status: u16, body: &'static str) -> Does {
    Does::Answer(Duration::ZERO, status, None, body)
}

/// A whole streaming list without objects, of the kind that is asked for.
fn whole(uri: &str) -> &'static [&'static str] {
    macro_rules! of {
        ($kind:literal) => {
            &[concat!(
                r#"{"type":"BOOKMARK","object":{"kind":""#,
                $kind,
                r#"","metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}}"#
            )]
        };
    }
    match uri {
        _ if uri.contains("/secrets?") => of!("Secret"),
        _ if uri.contains("/httpproxies?") => of!("HTTPProxy"),
        _ if uri.contains("/extensionservices?") => of!("ExtensionService"),
        _ => of!("TLSCertificateDelegation"),
    }
}

/// What discovery answers by a table; everything else is a list that stays open.
fn said(table: &[(&str, &'static str)], uri: &str) -> Does {
    match table.iter().find(|(path, _)| *path == uri) {
        Some((_, FORBIDDEN)) => answer(403, "forbidden"),
        Some((_, body)) => answer(200, body),
        None if uri.contains('?') => Does::Silence(whole(uri)),
        None => answer(404, ""),
    }
}

fn uris(log: &Log, part: &str) -> Vec<String> {
    let log = log.lock().unwrap();
    let uris = log.iter().map(|(_, uri)| uri.clone());
    uris.filter(|uri| uri.contains(part)).collect()
}

/// A source that lists Secrets, and looks for the custom kinds; some are known to be there.
async fn looking(client: kube::Client, served: bool) -> Kubernetes {
    let metrics = Metrics::default();
    let discovery = Discovery::new(client.clone(), CUSTOM.into(), metrics.clone());
    discovery.ask().await.unwrap();
    let custom: Vec<_> = CUSTOM.map(|kind| (kind, None)).into();
    let mut source = Kubernetes {
        discovery,
        metrics,
        ..source(client)
    };
    source.watched = vec![(Kind::Secret, None)];
    match served {
        true => source.watched.extend(custom),
        false => source.missing = custom,
    }
    source
}

/// Each event as `KIND OBJECTS`.
fn lists(events: &[Event]) -> Vec<String> {
    let list = |event: &Event| match event {
        Event::Replace { kind, objects, .. } => format!("{kind} {}", objects.len()),
        other => panic!("{other:?}"),
    };
    events.iter().map(list).collect()
}

#[tokio::test(start_paused = true)]
async fn what_a_server_says_of_kinds() {
    use Installed::{AtOtherVersions, Forbidden, Missing, Served};
    let at = |version: &str| AtOtherVersions(vec![version.to_owned()]);
    for (table, expected) in [
        (&[][..], [Missing, Missing, Missing]),
        (ALL, [Served, Served, Served]),
        // The group is there, and so is the version, but it has not all of the kinds.
        (&ALL[..2], [Served, Served, Missing]),
        // The definitions are of a later age.
        (
            &[
                (
                    GROUP,
                    r#"{"versions":[{"version":"v2"},{"version":"v1alpha1"}]}"#,
                ),
                (
                    "/apis/projectcontour.io/v2",
                    r#"{"resources":[{"name":"httpproxies"},{"name":"extensionservices"}]}"#,
                ),
                (
                    "/apis/projectcontour.io/v1alpha1",
                    r#"{"resources":[{"name":"extensionservices"}]}"#,
                ),
            ],
            [Missing, at("v2"), Served],
        ),
        (&[(GROUP, FORBIDDEN)], [Forbidden, Forbidden, Forbidden]),
        (
            &[
                VERSIONS,
                ("/apis/projectcontour.io/v1", FORBIDDEN),
                V1ALPHA1,
            ],
            [Forbidden, Forbidden, Served],
        ),
        // Another version than the one that is read is nobody's business.
        (
            &[
                (GROUP, r#"{"versions":[{"version":"v1"},{"version":"v2"}]}"#),
                V1,
                ("/apis/projectcontour.io/v2", FORBIDDEN),
            ],
            [Served, Served, Missing],
        ),
    ] {
        let (client, log) = server(move |_, uri| said(table, uri));
        let discovery = Discovery::new(client, CUSTOM.into(), Metrics::default());
        discovery.ask().await.unwrap();
        let known = discovery.known().borrow().clone();
        assert_eq!(known.into_values().collect::<Vec<_>>(), expected);
        // Each path once, whatever the number of kinds.
        let mut asked = uris(&log, "");
        let all = asked.len();
        asked.sort();
        asked.dedup();
        assert_eq!(asked.len(), all);
        assert!(all <= 3, "{asked:?}");
    }
}

/// What cannot be asked names a kind, and changes nothing of what is known.
#[tokio::test(start_paused = true)]
async fn a_question_without_an_answer() {
    let (client, _) = server(move |n, uri| match n {
        0..3 => said(ALL, uri),
        3 => answer(503, ""),
        4 => Does::Refuse,
        5 => answer(200, "{"),
        _ => answer(429, ""),
    });
    let discovery = Discovery::new(client, CUSTOM.into(), Metrics::default());
    discovery.ask().await.unwrap();
    for end in [
        "the API server answered 503: Service Unavailable",
        "the API server can't be reached: connection refused",
        "the API server's answer can't be decoded: ",
    ] {
        let error = discovery.ask().await.unwrap_err().to_string();
        let head = format!("list-watch of TLSCertificateDelegation: {end}");
        assert!(error.starts_with(&head), "{error}");
        assert_eq!(discovery.served(), CUSTOM.into());
    }
    let waits = tokio::time::timeout(Duration::from_secs(600), discovery.ask()).await;
    assert!(waits.is_err(), "a server that asks to wait is waited for");
}

/// Who comes while somebody asks shares the next question, and no answer takes the place of a later one.
#[tokio::test(start_paused = true)]
async fn one_question_at_a_time() {
    let (client, log) = server(move |n, uri| {
        let body = match said(if n == 0 { &[] } else { ALL }, uri) {
            Does::Answer(_, 200, _, body) => Ok(body),
            _ => Err(()),
        };
        // The first answer, which knows nothing, comes last of all.
        let after = Duration::from_secs(if n == 0 { 30 } else { 1 });
        match body {
            Ok(body) => Does::Answer(after, 200, None, body),
            Err(()) => Does::Answer(after, 404, None, ""),
        }
    });
    let discovery = Discovery::new(client, CUSTOM.into(), Metrics::default());
    let first = discovery.ask();
    let others = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let (a, b, c) = tokio::join!(discovery.ask(), discovery.ask(), discovery.ask());
        a.and(b).and(c)
    };
    let (first, others) = tokio::join!(first, others);
    first.and(others).unwrap();
    assert_eq!(discovery.served(), CUSTOM.into());
    let asked = uris(&log, "").iter().filter(|uri| *uri == GROUP).count();
    assert_eq!(asked, 2, "four times asked for, twice asked");
}

/// Definitions are installed while the source runs. The Secrets that their objects may name are there before them.
#[tokio::test(start_paused = true)]
async fn kinds_that_come_later() {
    let (client, log) = server(move |n, uri| match n {
        // One question at the start, and the list of Secrets; then two questions more.
        0..4 => said(&[], uri),
        _ => said(ALL, uri),
    });
    let source = looking(client, false).await;
    let watched = source.watched();
    let (error, _, events) = run(source, Duration::from_secs(44)).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(watched, [(Kind::Secret, None)]);
    let lists = lists(&events);
    let at = |kind: Kind| lists.iter().position(|it| *it == format!("{kind} 0"));
    assert_eq!(lists.len(), 5, "{lists:?}");
    assert_eq!(at(Kind::Secret), Some(0));
    let secrets = lists.iter().rposition(|it| it == "Secret 0").unwrap();
    for kind in [Kind::HttpProxy, Kind::ExtensionService] {
        assert!(secrets < at(kind).unwrap(), "{lists:?}");
    }
    assert!(at(Kind::TlsCertificateDelegation).is_some());
    let secrets = uris(&log, "/secrets?");
    assert_eq!(secrets.len(), 2, "{secrets:?}");
    assert!(secrets[0].contains("type%3Dkubernetes.io%2Ftls"));
    assert!(secrets[1].contains("type%21%3Dhelm.sh"));
    // Every ten seconds and a part.
    let asked = uris(&log, "").iter().filter(|uri| *uri == GROUP).count();
    assert!((4..=5).contains(&asked), "{asked}");
}

/// A definition is deleted: an empty list, no end. When it is installed again, its objects are listed again.
#[tokio::test(start_paused = true)]
async fn kinds_that_go_and_come_again() {
    let lives = Arc::new(AtomicUsize::new(0));
    let proxies = lives.clone();
    let (client, log) = server(move |_, uri| {
        if uri.contains("/httpproxies?") {
            return match proxies.fetch_add(1, Ordering::Relaxed) {
                // A list, whose watch ends; and nothing behind it.
                0 => Does::Lines(whole(uri)),
                1 => answer(404, ""),
                _ => Does::Silence(whole(uri)),
            };
        }
        match proxies.load(Ordering::Relaxed) {
            2 | 3 if uri == GROUP => {
                // Once is enough to be believed. What comes again at once is only listed again, so the next question finds it gone as
                // well, and the one after that is ten seconds later.
                proxies.fetch_add(1, Ordering::Relaxed);
                answer(404, "")
            }
            _ => said(ALL, uri),
        }
    });
    let source = looking(client, true).await;
    // The first watch ends after 45 to 55 seconds, and the second question from then on finds the kind again, within 26 more and not
    // before 10. The second watch would end after 95 at the least, and be one request more.
    let (error, _, events) = run(source, Duration::from_secs(88)).await;
    assert!(error.is_none(), "{error:?}");
    let count = |kind: Kind| {
        let is_kind = |it: &&String| **it == format!("{kind} 0");
        lists(&events).iter().filter(is_kind).count()
    };
    // Listed, gone, listed.
    assert_eq!(count(Kind::HttpProxy), 3);
    assert_eq!(uris(&log, "/httpproxies?").len(), 3);
    // The Secrets of before stay.
    assert_eq!(count(Kind::Secret), 1);
}

/// Two servers that do not agree: what is not found is not taken for gone, and is asked for again, slowly.
#[tokio::test(start_paused = true)]
async fn a_kind_that_is_served_and_not_found() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (client, log) = server(move |_, uri| match uri.contains("/httpproxies?") {
        true if asked.fetch_add(1, Ordering::Relaxed) < 20 => answer(404, ""),
        _ => said(ALL, uri),
    });
    let source = looking(client, true).await;
    let (error, _, events) = run(source, Duration::from_secs(60)).await;
    assert!(error.is_none(), "{error:?}");
    let lists = lists(&events);
    let proxies = lists.iter().filter(|it| *it == "HTTPProxy 0").count();
    assert_eq!(proxies, 1, "{lists:?}");
    // A streaming list and a page each time, and a second at least between two attempts.
    assert!(uris(&log, "/httpproxies?").len() > 20);
    let log = log.lock().unwrap();
    let asked = log.iter().filter(|(_, uri)| uri.contains("/httpproxies?"));
    let at: Vec<_> = asked.map(|(at, _)| *at).collect();
    assert!((10..=33).contains(&(at[20] - at[0]).as_secs()), "{at:?}");
}

/// Any other end of a custom kind is an end.
#[tokio::test(start_paused = true)]
async fn other_ends_stay_ends() {
    let (client, _) = server(move |_, uri| match uri.contains("/httpproxies?") {
        true => answer(403, "forbidden"),
        false => said(ALL, uri),
    });
    let (error, _, _) = run(looking(client, true).await, Duration::from_secs(60)).await;
    assert_eq!(
        error.unwrap().to_string(),
        "list-watch of HTTPProxy: the API server answered 403: Forbidden"
    );
}
