//! Clusters with each thing that a cluster can have, for the golden files.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use isobath::model::{
    Authorities, CipherSuite, CircuitBreakers, Cluster, ClusterSettings, Discovery,
    DnsLookupFamily, Group, HashCookie, HashKey, HashPolicy, HeaderName, HealthCheck, HttpQuestion,
    LoadBalancing, OutlierDetection, Percent, ProxyProtocol, Question, RetryBudget, ServerName,
    SetCookie, SlowStart, SocketPath, SubjectAltName, TlsParameters, TlsSettings, TlsVersion,
    UpstreamProtocol, UpstreamTls, Verification,
};

use crate::fixture::{cluster_of, cluster_with};

fn of(settings: ClusterSettings) -> Cluster {
    cluster_with("web/shop:80", settings)
}

fn plain() -> ClusterSettings {
    ClusterSettings::default()
}

fn idle(protocol: UpstreamProtocol) -> Cluster {
    of(ClusterSettings {
        protocol,
        idle_timeout: Some(Duration::from_secs(4)),
        ..plain()
    })
}

fn protocol(protocol: UpstreamProtocol) -> Cluster {
    of(ClusterSettings {
        protocol,
        ..plain()
    })
}

fn balancing(load_balancing: LoadBalancing) -> Cluster {
    of(ClusterSettings {
        load_balancing,
        ..plain()
    })
}

fn health(question: Question, protocol: UpstreamProtocol) -> Cluster {
    let [interval, timeout] = [5, 2].map(Duration::from_secs);
    let check = HealthCheck::new(question, interval, timeout, [1, 3]).unwrap();
    of(ClusterSettings {
        protocol,
        health_check: Some(check),
        ..plain()
    })
}

/// What an operator may say of all clusters, and a port of its own for questions.
fn operator() -> Cluster {
    let [interval, timeout] = [5, 2].map(Duration::from_secs);
    let mut check = HealthCheck::new(Question::Tcp, interval, timeout, [1, 3]).unwrap();
    check.port = Some(8081);
    Cluster {
        discovery: Discovery::Dns {
            hostname: "outside.example".into(),
            port: 443,
        },
        ..of(ClusterSettings {
            health_check: Some(check),
            max_requests_per_connection: NonZeroU32::new(100),
            per_connection_buffer_limit: Some(1 << 20),
            dns_lookup_family: DnsLookupFamily::V6,
            ..plain()
        })
    }
}

fn proxied(version: ProxyProtocol, protocol: UpstreamProtocol) -> Cluster {
    of(ClusterSettings {
        protocol,
        proxy_protocol: Some(version),
        ..plain()
    })
}

/// Everything that can be hashed.
pub fn hash_policies() -> Vec<HashPolicy> {
    let day = Duration::from_secs(86_400);
    let set = SetCookie::new(Some(day), "/shop", &[("SameSite", "Lax")]).unwrap();
    let cookies = [
        HashCookie::of_others("theirs").unwrap(),
        HashCookie::new("ours", set).unwrap(),
        HashCookie::new("session", SetCookie::default()).unwrap(),
    ];
    [
        HashKey::SourceIp,
        HashKey::Header(HeaderName::new("X-Tenant").unwrap()),
        HashKey::Query("tenant".into()),
    ]
    .into_iter()
    .chain(cookies.map(HashKey::Cookie))
    .map(|key| HashPolicy {
        terminal: matches!(key, HashKey::Header(_)),
        key,
    })
    .collect()
}

/// A name and a cluster for each.
pub fn clusters() -> Vec<(&'static str, Cluster)> {
    let limits = CircuitBreakers {
        max_connections: Some(1),
        max_pending_requests: Some(2),
        max_requests: Some(3),
        max_retries: Some(0),
        per_host_max_connections: Some(5),
        retry_budget: None,
    };
    let budget = CircuitBreakers {
        retry_budget: Some(RetryBudget {
            percent: 200,
            least: 7,
        }),
        ..CircuitBreakers::default()
    };
    let socket = Cluster {
        discovery: Discovery::Socket(SocketPath::new("/run/authz.sock").unwrap()),
        ..cluster_of("authz")
    };
    let dns = Discovery::Dns {
        hostname: "db.example.net".into(),
        port: 443,
    };
    let slow = Some(SlowStart::new(Duration::from_secs(30), 150, Percent::HALF).unwrap());
    let statuses = [(200, 299), (404, 404)];
    let http = HttpQuestion::new("/healthz?a=b", Some("a.example.com"), &statuses).unwrap();
    let http = Question::Http(http);
    let root = Question::Http(HttpQuestion::new("/", None, &[]).unwrap());
    use UpstreamProtocol::{H2, H2c, Http1, Tls};
    vec![
        ("cluster", cluster_of("web/shop:80")),
        ("cluster-socket", socket),
        (
            "cluster-limits",
            of(ClusterSettings {
                circuit_breakers: limits,
                ..plain()
            }),
        ),
        (
            "cluster-budget",
            of(ClusterSettings {
                circuit_breakers: budget,
                connect_timeout: Some(Duration::ZERO),
                ..plain()
            }),
        ),
        ("cluster-operator", operator()),
        ("cluster-hash", balancing(LoadBalancing::RingHash)),
        ("cluster-maglev", balancing(LoadBalancing::Maglev)),
        ("cluster-random", balancing(LoadBalancing::Random)),
        (
            "cluster-least-request",
            balancing(LoadBalancing::LeastRequest(None)),
        ),
        (
            "cluster-slow-start",
            balancing(LoadBalancing::RoundRobin(slow)),
        ),
        (
            "cluster-slow-start-least-request",
            balancing(LoadBalancing::LeastRequest(slow)),
        ),
        ("cluster-health-tcp", health(Question::Tcp, Http1)),
        ("cluster-health-http", health(http, Http1)),
        ("cluster-health-h2c", health(root, H2c)),
        (
            "cluster-health-grpc",
            health(Question::Grpc("shop.Cart".into()), H2c),
        ),
        ("cluster-outliers", outliers()),
        ("cluster-proxy-protocol", proxied(ProxyProtocol::V1, Http1)),
        (
            "cluster-proxy-protocol-tls",
            proxied(ProxyProtocol::V2, Tls),
        ),
        ("cluster-idle", idle(Http1)),
        ("cluster-idle-h2c", idle(H2c)),
        ("cluster-h2c", protocol(H2c)),
        ("cluster-tls", protocol(Tls)),
        ("cluster-h2", protocol(H2)),
        ("cluster-tls-verified", over_tls(Tls, verified())),
        ("cluster-tls-system", over_tls(H2, by_system())),
        (
            "cluster-dns",
            Cluster {
                discovery: dns,
                ..protocol(Tls)
            },
        ),
    ]
}

fn over_tls(protocol: UpstreamProtocol, tls: UpstreamTls) -> Cluster {
    of(ClusterSettings {
        protocol,
        tls,
        ..plain()
    })
}

/// By a bundle and by names, with everything that TLS can be told.
fn verified() -> UpstreamTls {
    let names = [
        SubjectAltName::dns("shop.internal").unwrap(),
        SubjectAltName::uri("spiffe://cluster.local/ns/web/sa/shop").unwrap(),
        SubjectAltName::Ip([10, 0, 0, 1].into()),
    ];
    let suites = ["ECDHE-RSA-AES128-GCM-SHA256", "AES128-SHA"];
    UpstreamTls {
        verification: Some(Verification {
            authorities: Authorities::Bundle("web/ca".into()),
            names: names.into(),
        }),
        server_name: ServerName::new("shop.example.com").unwrap(),
        client_certificate: Some("web/client".into()),
        parameters: TlsParameters {
            versions: TlsSettings {
                maximum: TlsVersion::V1_2,
                ..TlsSettings::default()
            },
            cipher_suites: suites.map(|name| CipherSuite::new(name).unwrap()).into(),
            groups: vec![Group::new("P-256").unwrap()],
        },
    }
}

/// By whom the machine trusts, for the name that the request has.
fn by_system() -> UpstreamTls {
    UpstreamTls {
        verification: Some(Verification {
            authorities: Authorities::System,
            names: BTreeSet::new(),
        }),
        server_name: ServerName::RequestHost,
        ..UpstreamTls::default()
    }
}

/// Ejected for answers too; a time that is shorter than the first, and one that Envoy would refuse.
fn outliers() -> Cluster {
    let detection = OutlierDetection {
        consecutive_local_origin_failure: 0,
        consecutive_5xx: 7,
        consecutive_gateway_failure: 3,
        interval: Duration::ZERO,
        base_ejection_time: Duration::from_secs(30),
        max_ejection_time: Duration::from_secs(10),
        max_ejection_percent: Percent::new(100).unwrap(),
    };
    of(ClusterSettings {
        outlier_detection: detection,
        panic_threshold: Percent::HALF,
        ..plain()
    })
}
