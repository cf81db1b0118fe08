#![allow(clippy::unwrap_used)]

use super::*;
use crate::objects::{Annotations, Metadata, NamespacedName, PathType, ServiceBackendPort};

fn paths(count: usize, path_type: PathType, text: impl Fn(usize) -> String) -> Box<[IngressPath]> {
    let path = |index| IngressPath {
        path: text(index).into(),
        path_type,
        backend: IngressBackend::Service {
            name: "w".into(),
            port: ServiceBackendPort::Number(80),
        },
    };
    (0..count).map(path).collect()
}

fn plain(count: usize) -> Box<[IngressPath]> {
    paths(count, PathType::Exact, |index| format!("/{index}"))
}

fn rule(host: impl Into<Option<String>>, paths: Box<[IngressPath]>) -> IngressRule {
    IngressRule {
        host: host.into().map(Arc::from),
        paths,
    }
}

fn tls(hosts: usize) -> IngressTls {
    IngressTls {
        hosts: (0..hosts)
            .map(|index| format!("h{index}.test").into())
            .collect(),
        secret_name: Some("tls".into()),
    }
}

fn ingress(
    annotations: &[(&str, &str)],
    tls: impl IntoIterator<Item = IngressTls>,
    rules: impl IntoIterator<Item = IngressRule>,
) -> Arc<Ingress> {
    let annotations = annotations.iter();
    Arc::new(Ingress {
        metadata: Metadata {
            name: NamespacedName::new("default", "web"),
            uid: "".into(),
            created: None,
            annotations: annotations
                .map(|(key, value)| (Arc::from(*key), Arc::from(*value)))
                .collect::<Annotations>(),
        },
        class_name: None,
        default_backend: None,
        tls: tls.into_iter().collect(),
        rules: rules.into_iter().collect(),
        load_balancer: Arc::default(),
        left_out: None,
    })
}

fn account(ingress: &Ingress) -> Account {
    Account::of(ingress)
}

#[test]
fn what_is_said_in_plain_words_stays() {
    let host = |index: usize| format!("h{index}.test");
    for whole in [
        ingress(&[], [], [rule(None, plain(30_000))]),
        ingress(&[], [], [rule(host(0), plain(30_000))]),
        ingress(
            &[],
            [tls(10_000)],
            (0..10_000).map(|index| rule(host(index), plain(1))),
        ),
        ingress(
            &[("isobath.dev/request-headers", "x-a: b")],
            [],
            [rule(None, plain(10_000))],
        ),
    ] {
        let within = within_budget(whole.clone());
        assert_eq!(within.left_out, None);
        assert!(Arc::ptr_eq(&within, &whole));
    }
}

#[test]
fn the_first_of_what_is_too_much_stay_and_that_is_told() {
    let headers = format!("x-a: {}", "a".repeat(4000));
    let expressions = |count| {
        paths(count, PathType::ImplementationSpecific, |index| {
            format!("/{index}[a]{{990}}")
        })
    };
    let cases = [
        // Text that every route repeats costs several times itself.
        ingress(
            &[("isobath.dev/request-headers", &headers)],
            [],
            [rule(None, plain(10_000))],
        ),
        ingress(&[], [], [rule(None, expressions(5000))]),
        ingress(&[], [tls(100_000)], [rule(None, plain(1))]),
    ];
    for whole in cases {
        let within = within_budget(whole.clone());
        let told = within.left_out.as_deref().unwrap();
        assert!(
            told.contains("only the first") && told.contains(EXCEEDED),
            "{told}"
        );
        let (rules, tls) = (&within.rules, &within.tls);
        assert!(count_paths(rules) > 0 && whole.rules[0].paths.starts_with(&rules[0].paths));
        if let Some(first) = tls.first() {
            assert!(!first.hosts.is_empty() && whole.tls[0].hosts.starts_with(&first.hosts));
        }
        // And what is left pays for no copy.
        assert!(account(&within).share() < BASE / 1000);
    }
}

#[test]
fn an_entry_that_loses_all_its_hosts_is_not_about_all_hosts() {
    let entries = [tls(100_000), tls(100_000)];
    let within = within_budget(ingress(&[], entries, [rule("a.test".to_owned(), plain(1))]));
    assert!(within.tls.iter().all(|tls| !tls.hosts.is_empty()));
    assert_eq!(within.tls.len(), 1);
}

#[test]
fn hosts_under_tls_share_what_is_left() {
    let check = |hosts: usize, rules: Vec<IngressRule>, affords: bool| {
        let account = account(&ingress(&[], [tls(hosts)], rules));
        assert_eq!(account.affords_hostless(), affords, "{account:?}");
        assert_eq!(account.hosts(), hosts as u64);
        account.share()
    };
    check(1000, vec![rule(None, plain(20))], true);
    check(1000, vec![rule(None, plain(30))], false);
    // The same paths as expressions cost more, by their programs.
    let small = paths(10, PathType::ImplementationSpecific, |index| {
        format!("/{index}/[a-z]+")
    });
    let large = paths(10, PathType::ImplementationSpecific, |index| {
        format!("/{index}[a]{{99}}")
    });
    check(1000, vec![rule(None, small)], true);
    check(1000, vec![rule(None, large)], false);
    let one = check(1, vec![rule("a.test".to_owned(), plain(1))], true);
    let many = check(1000, vec![rule("a.test".to_owned(), plain(1))], true);
    assert!(
        one > 70_000_000 && (60_000..90_000).contains(&many),
        "{one} {many}"
    );
}

#[test]
fn one_port_has_endpoints_however_many_they_are() {
    assert_eq!(ports(0), usize::MAX);
    assert_eq!(ports(1_000_000), 1);
    assert!((50..70).contains(&ports(1000)));
}

/// 32,000 of them fit into an object, and took 166 MB here.
#[test]
fn a_wildcard_costs_more_than_a_host() {
    let served = |prefix: &str| {
        let rules = (0..32_000).map(|index| rule(format!("{prefix}h{index}.test"), plain(0)));
        within_budget(ingress(&[], [], rules)).rules.len()
    };
    assert_eq!(served("a."), 32_000);
    assert!(served("*.") < 23_000);
}
