#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use proptest::prelude::*;
use proptest::{option, sample};

use super::super::cluster::RetryBudget;
use super::super::health::HttpQuestion;
use super::super::percent::Percent;
use super::super::tls_parameters::{CipherSuite, Group};
use super::super::upstream_tls::Verification;
use super::*;

fn durations() -> impl Strategy<Value = Duration> {
    sample::select(vec![1_000_000, 1_500_000, 2_000_000, 1_000_000_000])
        .prop_map(Duration::from_nanos)
}

fn counts() -> impl Strategy<Value = Option<u32>> {
    option::of(0..3_u32)
}

fn breakers() -> impl Strategy<Value = CircuitBreakers> {
    let budget = (0..3_u8, 0..3_u32).prop_map(|(percent, least)| RetryBudget { percent, least });
    (
        [counts(), counts(), counts(), counts(), counts()],
        option::of(budget),
    )
        .prop_map(|(counts, retry_budget)| {
            let [connections, pending, requests, retries, per_host] = counts;
            CircuitBreakers {
                max_connections: connections,
                max_pending_requests: pending,
                max_requests: requests,
                max_retries: retries,
                retry_budget,
                per_host_max_connections: per_host,
            }
        })
}

fn balancing() -> impl Strategy<Value = LoadBalancing> {
    let slow_start = (durations(), 1..3_u32, 0..3_u32).prop_map(|(window, aggression, least)| {
        SlowStart::new(window, aggression, Percent::new(least).unwrap()).unwrap()
    });
    let slow_start = option::of(slow_start);
    (0..5, slow_start).prop_map(|(kind, slow_start)| match kind {
        0 => LoadBalancing::RoundRobin(slow_start),
        1 => LoadBalancing::LeastRequest(slow_start),
        2 => LoadBalancing::Random,
        3 => LoadBalancing::RingHash,
        _ => LoadBalancing::Maglev,
    })
}

/// Texts that would be another setting if they were not escaped.
fn texts() -> impl Strategy<Value = &'static str> {
    sample::select(vec!["/a", "/a&health-host=b", "/a%26", "/a,b", "/a?b=c"])
}

fn health_check() -> impl Strategy<Value = HealthCheck> {
    let hosts = option::of(sample::select(vec!["b", "b&health-statuses=1-2"]));
    let statuses = proptest::collection::vec(
        sample::select(vec![(200, 299), (200, 200), (299, 299)]),
        0..3,
    );
    let http = (texts(), hosts, statuses).prop_map(|(path, host, statuses)| {
        Question::Http(HttpQuestion::new(path, host, &statuses).unwrap())
    });
    let question = prop_oneof![
        Just(Question::Tcp),
        http,
        texts().prop_map(|service| Question::Grpc(service.into())),
    ];
    let times = (durations(), durations());
    (question, times, 1..3_u32, 1..3_u32, option::of(80..82_u16)).prop_map(
        |(question, (interval, timeout), healthy, unhealthy, port)| {
            let thresholds = [healthy, unhealthy];
            let mut check = HealthCheck::new(question, interval, timeout, thresholds).unwrap();
            check.port = port;
            check
        },
    )
}

fn outlier_detection() -> impl Strategy<Value = OutlierDetection> {
    let numbers = [0..3_u32, 0..3_u32, 0..3_u32, 0..3_u32];
    let times = [durations(), durations(), durations()];
    let detection =
        (numbers, times).prop_map(|([local, all, gateway, percent], [interval, base, max])| {
            OutlierDetection {
                consecutive_local_origin_failure: local,
                consecutive_5xx: all,
                consecutive_gateway_failure: gateway,
                interval,
                base_ejection_time: base,
                max_ejection_time: max,
                max_ejection_percent: Percent::new(percent).unwrap(),
            }
        });
    prop_oneof![Just(OutlierDetection::default()), detection]
}

fn settings() -> impl Strategy<Value = ClusterSettings> {
    let protocols = sample::select(vec![
        UpstreamProtocol::Http1,
        UpstreamProtocol::H2c,
        UpstreamProtocol::Tls,
        UpstreamProtocol::H2,
        UpstreamProtocol::TcpOverTls,
        UpstreamProtocol::Udp,
    ]);
    let proxy_protocol = option::of(sample::select(vec![ProxyProtocol::V1, ProxyProtocol::V2]));
    let families = sample::select(vec![
        DnsLookupFamily::V4Preferred,
        DnsLookupFamily::Auto,
        DnsLookupFamily::V4,
        DnsLookupFamily::V6,
        DnsLookupFamily::All,
    ]);
    (
        (protocols, breakers(), balancing()),
        (option::of(durations()), option::of(durations())),
        (option::of(health_check()), outlier_detection()),
        (0..3_u32, proxy_protocol),
        (counts(), counts(), families, any::<bool>()),
        tls(),
    )
        .prop_map(
            |(how, times, health, (panic_threshold, proxy_protocol), of_connections, tls)| {
                let (most, per_connection_buffer_limit, dns_lookup_family, by_service_address) =
                    of_connections;
                let (protocol, circuit_breakers, load_balancing) = how;
                let (idle_timeout, connect_timeout) = times;
                let (health_check, outlier_detection) = health;
                ClusterSettings {
                    protocol,
                    circuit_breakers,
                    load_balancing,
                    idle_timeout,
                    connect_timeout,
                    health_check,
                    outlier_detection,
                    panic_threshold: Percent::new(panic_threshold).unwrap(),
                    // Without TLS it is nothing, and not told.
                    tls: match protocol {
                        UpstreamProtocol::Http1 | UpstreamProtocol::H2c | UpstreamProtocol::Udp => {
                            UpstreamTls::default()
                        }
                        UpstreamProtocol::Tls
                        | UpstreamProtocol::H2
                        | UpstreamProtocol::TcpOverTls => tls,
                    },
                    proxy_protocol,
                    max_requests_per_connection: most.and_then(NonZeroU32::new),
                    per_connection_buffer_limit,
                    dns_lookup_family,
                    by_service_address,
                }
            },
        )
}

fn tls() -> impl Strategy<Value = UpstreamTls> {
    let names = sample::subsequence(
        vec![
            SubjectAltName::dns("a").unwrap(),
            SubjectAltName::dns("b").unwrap(),
            SubjectAltName::uri("a:b&dns=a").unwrap(),
            SubjectAltName::Ip([10, 0, 0, 1].into()),
        ],
        0..4,
    );
    let authorities = sample::select(vec![
        Authorities::System,
        Authorities::Bundle("system".into()),
        Authorities::Bundle("ns/a&dns=b".into()),
    ]);
    let verification = (authorities, names).prop_map(|(authorities, names)| Verification {
        authorities,
        names: names.into_iter().collect(),
    });
    let server_name = sample::select(vec![
        ServerName::Discovered,
        ServerName::RequestHost,
        ServerName::new("host").unwrap(),
    ]);
    let settings = sample::select(vec![
        TlsSettings::default(),
        TlsSettings {
            maximum: TlsVersion::V1_2,
            ..TlsSettings::default()
        },
        TlsSettings {
            minimum: TlsVersion::V1_3,
            ..TlsSettings::default()
        },
    ]);
    let suites = sample::subsequence(CipherSuite::all().collect::<Vec<_>>(), 0..3);
    let groups = sample::subsequence(Group::all().collect::<Vec<_>>(), 0..3);
    (
        option::of(verification),
        server_name,
        option::of(sample::select(vec!["ns/a", "ns/b"])),
        (settings, suites, groups),
    )
        .prop_map(|(verification, server_name, client, parameters)| {
            let (versions, cipher_suites, groups) = parameters;
            UpstreamTls {
                verification,
                server_name,
                client_certificate: client.map(Into::into),
                parameters: TlsParameters {
                    versions,
                    cipher_suites,
                    groups,
                },
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    /// No two settings have one name, and a name has no second question mark to begin its settings.
    #[test]
    fn a_name_tells_all_settings(all in proptest::collection::vec(settings(), 200)) {
        let mut names = BTreeMap::new();
        for settings in all {
            let name = settings.cluster_name("ns/web/80", &Discovery::Endpoints);
            prop_assert!(name.matches('?').count() <= 1, "{name}");
            let other = names.entry(name.clone()).or_insert_with(|| settings.clone());
            prop_assert_eq!(&*other, &settings, "{}", name);
        }
    }

    /// One setting more or other changes the name.
    #[test]
    fn every_setting_counts(settings in settings(), other in settings()) {
        let name = |settings: &ClusterSettings| settings.cluster_name("a", &Discovery::Endpoints);
        let with = [
            ClusterSettings { protocol: other.protocol, tls: other.tls.clone(), ..settings.clone() },
            ClusterSettings { circuit_breakers: other.circuit_breakers, ..settings.clone() },
            ClusterSettings { load_balancing: other.load_balancing, ..settings.clone() },
            ClusterSettings { idle_timeout: other.idle_timeout, ..settings.clone() },
            ClusterSettings { connect_timeout: other.connect_timeout, ..settings.clone() },
            ClusterSettings { health_check: other.health_check.clone(), ..settings.clone() },
            ClusterSettings { outlier_detection: other.outlier_detection, ..settings.clone() },
            ClusterSettings { panic_threshold: other.panic_threshold, ..settings.clone() },
            ClusterSettings { proxy_protocol: other.proxy_protocol, ..settings.clone() },
            ClusterSettings {
                max_requests_per_connection: other.max_requests_per_connection,
                ..settings.clone()
            },
            ClusterSettings {
                per_connection_buffer_limit: other.per_connection_buffer_limit,
                ..settings.clone()
            },
            ClusterSettings { dns_lookup_family: other.dns_lookup_family, ..settings.clone() },
        ];
        for with in with {
            prop_assert_eq!(name(&with) == name(&settings), with == settings);
        }
    }
}

#[test]
fn what_is_by_default_is_left_out() {
    let settings = ClusterSettings::default();
    assert_eq!(
        &*settings.cluster_name("ns/web/80", &Discovery::Endpoints),
        "ns/web/80"
    );
    let settings = ClusterSettings {
        protocol: UpstreamProtocol::H2,
        idle_timeout: Some(Duration::from_secs(1)),
        ..settings
    };
    let dns = Discovery::Dns {
        hostname: "a.example.com".into(),
        port: 80,
    };
    assert_eq!(
        &*settings.cluster_name("ns/web/80", &dns),
        "ns/web/80?protocol=h2&external-name=a.example.com&idle-timeout=1000ms"
    );
}
