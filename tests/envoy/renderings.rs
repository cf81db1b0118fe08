//! One rendering of each kind, for whoever compares or counts them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use isobath::envoy::edge::{Edge, ServerHeader};
use isobath::envoy::log_format::AccessLog;
use isobath::envoy::route::TableOptions;
use isobath::envoy::{
    cluster, endpoint, filter_chain, http3, listener, manager as shared, route, scope, secret,
    server_name,
};
use isobath::model::{
    Application, Certificate, ClientCheck, Conditions, EndpointAddress, Forward, ForwardOptions,
    Forwarding, HeaderPredicate, Host, Http3, Listener, LoadAssignment, ObjectRef, PathMatch,
    PathRewrite, QueryPredicate, Redirect, RetryPolicy, Route, RouteAction, RouteMatch, Scheme,
    Share, StringMatch, TlsSettings, TlsVersion, Tracing, VirtualHost, WeightedCluster,
};
use isobath::objects::{Kind, PrivateKeyPem};
use isobath::xds::{Part, Resource, ResourceType};

use crate::fixture::{
    CLEAR, TLS, all_to, assignment, forward, header, is, modifier, query, regex, route as simple,
    source, tls_server, virtual_host,
};
use crate::tracing::{by_grpc, by_http};
use crate::{cases, cluster_cases, filter_cases, tls_cases};

fn traced(tracing: Tracing) -> Edge {
    Edge {
        tracing: Some(tracing),
        access_log: AccessLog::text("%REQ(:METHOD)% 100%%").unwrap(),
        ..Edge::default()
    }
}

/// What an operator may say of clients' connections.
fn decided() -> Edge {
    Edge {
        idle_timeout: Duration::from_secs(60),
        max_connection_duration: Some(Duration::from_secs(3600)),
        delayed_close_timeout: Some(Duration::from_secs(2)),
        drain_timeout: Some(Duration::from_secs(10)),
        max_requests_per_connection: Some(1000),
        max_concurrent_streams: 50,
        merge_slashes: false,
        server_header: ServerHeader::AppendIfAbsent,
        ..Edge::default()
    }
}

/// One of each, the same in every process.
pub fn all() -> Vec<(&'static str, ResourceType, Resource)> {
    use ResourceType::{
        Cluster as Cds, Endpoint as Eds, Extension as Ecds, Listener as Lds, Route as Rds,
        Scope as Srds, Secret as Sds,
    };
    let own = route::virtual_host(&virtual_host("own.example.com", all_to("web/own:80")), TLS);
    let [https_manager, wildcard] = shared::tls(listener::HTTPS, &Edge::default());
    let [exact_of_another, wildcard_of_another] = shared::tls("gw/any/9000", &Edge::default());
    let proxied = Edge {
        proxy_protocol: true,
        trusted_hops: 1,
        https_port: Some(8443),
        upgrades: vec!["SPDY/3.1".to_owned(), "websocket".to_owned()],
        ingress_metrics: false,
        ..Edge::default()
    };
    let mut all = vec![
        ("listener-http", Lds, http_listener(&Edge::default())),
        ("manager-http", Ecds, http_manager(&Edge::default())),
        ("manager-https", Ecds, https_manager),
        ("manager-operator", Ecds, http_manager(&decided())),
        ("manager-https-wildcard", Ecds, wildcard),
        (
            "scope",
            Srds,
            scope::scope(&"a.example.com".into(), &"web/shop".into()),
        ),
        ("manager-behind-a-proxy", Ecds, http_manager(&proxied)),
        ("manager-traced", Ecds, http_manager(&traced(by_grpc()))),
        (
            "manager-traced-by-http",
            Ecds,
            http_manager(&traced(by_http())),
        ),
        ("listener-behind-a-proxy", Lds, http_listener(&proxied)),
        ("listener-tcp", Lds, of_another(Application::Tcp(shares()))),
        ("listener-udp", Lds, of_another(Application::Udp(shares()))),
        ("manager-https-of-another", Ecds, exact_of_another),
        (
            "manager-https-wildcard-of-another",
            Ecds,
            wildcard_of_another,
        ),
        ("listener-passthrough", Lds, passthrough()),
        ("listener-tcp-by-tls", Lds, https(tls_cases::forwarded())),
        ("listener-stats", Lds, listener::stats(&addresses())),
        ("listener-https-empty", Lds, https([])),
        ("listener-https", Lds, https_with_hosts()),
        ("listener-https-clients", Lds, https(tls_cases::chains())),
        ("route-clients", Rds, table("web/shop", tls_cases::hosts())),
        (
            "secret-bundle",
            Sds,
            secret::trust_bundle(&tls_cases::bundle()),
        ),
        ("listener-http3", Lds, http3_with_hosts(listener::HTTPS)),
        (
            "listener-http3-of-another",
            Lds,
            http3_with_hosts("gw/any/9000"),
        ),
        ("route-http3", Rds, told_of_http3()),
        ("route-empty", Rds, table("http", [])),
        ("route-behind-a-proxy", Rds, behind_a_proxy()),
        (
            "route-matches",
            Rds,
            table("http", [routes("a.example.com", matching())]),
        ),
        (
            "route-conditions",
            Rds,
            table("http", [routes("a.example.com", cases::conditions())]),
        ),
        (
            "route-sending",
            Rds,
            table("http", [routes("a.example.com", cases::sending())]),
        ),
        (
            "route-retries",
            Rds,
            table("http", [routes("a.example.com", cases::retries())]),
        ),
        ("route-tunnels", Rds, tunnels()),
        ("route-filters", Rds, table("http", [filter_cases::all()])),
        (
            "route-actions",
            Rds,
            table("http", [routes("a.example.com", actions())]),
        ),
        (
            "route-rewrites",
            Rds,
            table("http", [routes("a.example.com", rewrites())]),
        ),
        (
            "route-hosts",
            Rds,
            table(
                "http",
                ["*", "a.example.com", "*.example.com", "*.b.example.com"]
                    .map(|host| routes(host, all_to("web/shop:80"))),
            ),
        ),
        (
            "route-redirect",
            Rds,
            table(
                "http",
                [routes(
                    "a.example.com",
                    vec![simple(
                        path("/"),
                        RouteAction::Redirect(Redirect::to_https(None)),
                    )],
                )],
            ),
        ),
        (
            "route-without-labels",
            Rds,
            table(
                "http",
                [route::virtual_host(
                    &virtual_host("a.example.com", all_to("web/shop:80")),
                    TableOptions {
                        ingress_metrics: false,
                        ..CLEAR
                    },
                )],
            ),
        ),
        (
            "route-tls",
            Rds,
            table(
                "web/shop",
                [
                    route::misdirected(&Host::any()),
                    route::misdirected(&Host::new("other.example.com")),
                    (
                        own.0.clone(),
                        route::for_own_name(&Host::new("own.example.com"), &own.1).unwrap(),
                    ),
                    route::virtual_host(&virtual_host("*.example.com", all_to("web/shop:80")), TLS),
                ],
            ),
        ),
        (
            "endpoint-empty",
            Eds,
            endpoint::load_assignment(&assignment("web/shop:80", &[])),
        ),
        ("endpoint-zones", Eds, endpoint::load_assignment(&zones())),
        ("endpoint-health-port", Eds, asked_elsewhere()),
        ("secret", Sds, secret::secret(&certificate("web/shop"))),
    ];
    let clusters = cluster_cases::clusters().into_iter();
    all.extend(clusters.map(|(name, model)| (name, Cds, cluster::cluster(&model))));
    all
}

fn addresses() -> listener::Config {
    let any = |port| SocketAddr::from(([0, 0, 0, 0], port));
    listener::Config {
        http: any(8080),
        https: SocketAddr::from(([0u16; 8], 8443)),
        stats: any(8002),
        edge: Edge::default(),
    }
}

/// A listener that somebody declares.
fn of_another(application: Application) -> Resource {
    let listener = Listener {
        name: "gw/any/9000".into(),
        address: SocketAddr::from(([0u16; 8], 9000)),
        application,
    };
    listener::listener(&listener, &Edge::default())
}

fn shares() -> Forwarding {
    let share = |(cluster, weight): (&str, u32)| Share {
        cluster: cluster.into(),
        weight,
    };
    Forwarding {
        shares: [("web/a", 70), ("web/b", 20), ("web/c", 10), ("web/none", 0)]
            .map(share)
            .into(),
        refused: 0,
        hash_source_ip: true,
        idle_timeout: Some(Duration::from_secs(90)),
    }
}

fn passthrough() -> Resource {
    let forwarding = Forwarding {
        shares: vec![Share {
            cluster: "web/a".into(),
            weight: 1,
        }],
        refused: 0,
        hash_source_ip: false,
        idle_timeout: None,
    };
    let host = Host::new("a.example.com");
    let owner = ObjectRef::new(Kind::Service, "web", "a");
    let (name, key, part) =
        filter_chain::passthrough(&host, &forwarding, None, BTreeSet::from([&owner]));
    https([(key, part), server_name::server_name(&host, &name)])
}

pub fn http_listener(edge: &Edge) -> Resource {
    listener::listener(&addresses().built_in()[0], edge)
}

fn https(parts: impl IntoIterator<Item = (Arc<str>, Part)>) -> Resource {
    Resource::composite(
        listener::HTTPS.into(),
        listener::head(&addresses().built_in()[1], &Edge::default()),
        collect(parts),
    )
}

fn https_with_hosts() -> Resource {
    let mut strict = tls_server("web/two", &["web/two"]);
    strict.parameters.versions = TlsSettings {
        minimum: TlsVersion::V1_3,
        maximum: TlsVersion::V1_3,
    };
    https([
        filter_chain::filter_chain(
            listener::HTTPS,
            &tls_server("web/shop", &["web/shop-ec", "web/shop-rsa"]),
            None,
        ),
        filter_chain::filter_chain(listener::HTTPS, &strict, None),
        filter_chain::filter_chain(listener::HTTPS, &strict, Some(&Host::new("*.com"))),
        server_name::server_name(&Host::new("a.example.com"), "web/shop"),
        server_name::server_name(&Host::new("b.example.com"), "web/two"),
        server_name::server_name(&Host::new("*.com"), "*.com"),
        server_name::server_name(&Host::new("*.example.com"), "*.example.com"),
        server_name::server_name(&Host::new("*.deep.example.com"), "*.deep.example.com"),
        server_name::server_name(&Host::any(), "*"),
    ])
}

fn http3_with_hosts(of: &str) -> Resource {
    let edge = Edge::default();
    let manager = http3::Manager::new(of, &edge);
    let server = tls_server("web/shop", &["web/shop-ec", "web/shop-rsa"]);
    let any = Host::new("*.example.com");
    let parts = [
        http3::filter_chain(&manager, &server, None),
        http3::filter_chain(&manager, &server, Some(&any)),
        server_name::server_name(&Host::new("a.example.com"), &server.name),
        server_name::server_name(&any, any.as_str()),
        server_name::refused(&Host::new("tcp.example.com")),
    ];
    let address = addresses().https;
    let head = http3::head(of, address, &edge).unwrap();
    Resource::composite(http3::name(of), head, collect(parts))
}

/// Where a host's routes have guards before them, its tunnels have them too.
fn tunnels() -> Resource {
    let host = VirtualHost {
        client_check: Some(ClientCheck::Validated),
        ..virtual_host("*.example.com", cases::tunnels())
    };
    let own = virtual_host("own.example.com", cases::tunnels());
    let own = route::virtual_host(&own, TLS).1;
    let name = Host::new("own.example.com");
    let for_own_name = route::for_own_name(&name, &own).unwrap();
    let parts = [
        route::virtual_host(&host, TLS),
        (name.shared(), for_own_name),
    ];
    table("web/shop", parts)
}

fn told_of_http3() -> Resource {
    let advertised_port = 8443;
    let head = route::TableHead::with_http3(&Edge::default(), Http3 { advertised_port });
    Resource::composite("web/shop".into(), head.named("web/shop"), OrdMap::new())
}

fn table(name: &str, parts: impl IntoIterator<Item = (Arc<str>, Part)>) -> Resource {
    Resource::composite(
        name.into(),
        match name {
            "http" => route::TableHead::http(&Edge::default()),
            _ => route::TableHead::https(&Edge::default()),
        }
        .named(name),
        collect(parts),
    )
}

fn behind_a_proxy() -> Resource {
    let edge = Edge {
        trusted_hops: 1,
        real_ip: true,
        https_port: Some(8443),
        ..Edge::default()
    };
    Resource::composite(
        "http".into(),
        route::TableHead::http(&edge).named("http"),
        OrdMap::new(),
    )
}

fn routes(host: &str, routes: Vec<Route>) -> (Arc<str>, Part) {
    route::virtual_host(&virtual_host(host, routes), CLEAR)
}

fn collect(parts: impl IntoIterator<Item = (Arc<str>, Part)>) -> OrdMap<Arc<str>, Arc<Part>> {
    parts
        .into_iter()
        .map(|(key, part)| (key, Arc::new(part)))
        .collect()
}

fn asked_elsewhere() -> Resource {
    let endpoint = EndpointAddress {
        ip: [10, 0, 0, 1].into(),
        port: 8080,
        health_port: Some(8081),
        weight: NonZeroU32::new(3),
    };
    endpoint::load_assignment(&LoadAssignment {
        cluster: "web/shop:80".into(),
        localities: BTreeMap::from([("".into(), BTreeSet::from([endpoint]))]),
    })
}

fn zones() -> LoadAssignment {
    let endpoint = |ip: &str| EndpointAddress {
        ip: ip.parse().unwrap(),
        port: 8080,
        health_port: None,
        weight: None,
    };
    LoadAssignment {
        cluster: "web/shop:80".into(),
        localities: BTreeMap::from([
            ("".into(), BTreeSet::from([endpoint("10.0.0.1")])),
            ("empty".into(), BTreeSet::new()),
            (
                "zone-a".into(),
                BTreeSet::from([endpoint("10.0.0.2"), endpoint("2001:db8::1")]),
            ),
        ]),
    }
}

pub fn certificate(name: &str) -> Certificate {
    Certificate {
        chain: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
        key: PrivateKeyPem::new(
            "-----BEGIN PRIVATE KEY-----\nMARKER-OF-A-KEY\n-----END PRIVATE KEY-----\n".to_owned(),
        ),
        ..crate::fixture::certificate(name, &["a.example.com"])
    }
}

pub fn path(path: &str) -> PathMatch {
    PathMatch::PathPrefix(path.into())
}

fn matching() -> Vec<Route> {
    let exact = || StringMatch::exact("one");
    let expression = || StringMatch::regex("[a-z]+").unwrap();
    let headers = [is(exact()), HeaderPredicate::Present, is(expression())];
    let parameters = [
        QueryPredicate::Is(exact()),
        QueryPredicate::Present,
        QueryPredicate::Is(expression()),
    ];
    let shop = || RouteAction::Forward(forward(&["web/shop:80"]));
    let mut routes: Vec<Route> = [
        PathMatch::Exact("/exact".into()),
        regex("/[0-9]+"),
        PathMatch::PathPrefix("/element".into()),
        PathMatch::PathPrefix("/slash/".into()),
        PathMatch::StringPrefix("/string".into()),
        // No path of a request has a question mark, so these routes are none.
        PathMatch::PathPrefix("/que?ry".into()),
        PathMatch::Exact("/frag#ment".into()),
        PathMatch::PathPrefix("/".into()),
    ]
    .map(|path| simple(path, shop()))
    .into();
    let conditions = Conditions {
        headers: headers.map(|value| header("x-header", value)).into(),
        query: parameters.map(|value| query("parameter", value)).into(),
        grpc: false,
        without_certificate: false,
    };
    let conditions = RouteMatch {
        scheme: Some(Scheme::Https),
        ..RouteMatch::path(path("/")).and(conditions)
    };
    routes.push(Route {
        matches: conditions,
        ..simple(path("/"), shop())
    });
    routes
}

fn actions() -> Vec<Route> {
    let shop = || forward(&["web/shop:80"]);
    let shares = Forward {
        backends: vec![
            WeightedCluster::new("web/a:80", 90),
            WeightedCluster::new("web/b:80", 10),
            WeightedCluster::new("web/never:80", 0),
        ],
        ..shop()
    };
    let patient = Forward {
        timeout: Some(Duration::from_millis(1500)),
        retry: Some(Box::new(RetryPolicy {
            retry_on: vec!["5xx".into(), "connect-failure".into()],
            num_retries: 7,
            per_try_timeout: Some(Duration::from_secs(2)),
            ..RetryPolicy::default()
        })),
        options: Some(Box::new(ForwardOptions {
            hash_policies: cluster_cases::hash_policies(),
            ..ForwardOptions::default()
        })),
        ..shop()
    };
    let endless = Forward {
        timeout: Some(Duration::MAX),
        ..shop()
    };
    let set = [
        ("host", "inner.example.com"),
        ("x-empty", ""),
        ("x-rate", "100% %REQ(x-secret)%"),
        (":path", "/never"),
    ];
    let changed = modifier(&set, &["x-gone", "host"]);
    vec![
        simple(path("/shares"), RouteAction::Forward(shares)),
        simple(path("/patient"), RouteAction::Forward(patient)),
        simple(path("/endless"), RouteAction::Forward(endless)),
        simple(path("/nobody"), RouteAction::Forward(forward(&[]))),
        simple(path("/answer"), RouteAction::status(418)),
        simple(path("/no-status"), RouteAction::status(42)),
        simple(
            path("/secure"),
            RouteAction::Redirect(Redirect::to_https(None)),
        ),
        simple(
            path("/away"),
            RouteAction::Redirect(Redirect {
                scheme: Some("http"),
                hostname: Some("other.example.com".into()),
                port: Some(8080),
                path: Some(PathRewrite::ReplaceFullPath("/there".into())),
                status: 307,
                ..Redirect::default()
            }),
        ),
        Route {
            request_headers: changed.clone(),
            response_headers: changed,
            source: source(Kind::Ingress, "headers"),
            ..simple(path("/headers"), RouteAction::Forward(shop()))
        },
    ]
}

fn rewrites() -> Vec<Route> {
    let prefix = |to: &str| PathRewrite::ReplacePrefix(to.into());
    let whole = |to: &str| PathRewrite::ReplaceFullPath(to.into());
    let string = |path: &str| PathMatch::StringPrefix(path.into());
    [
        (path("/a"), prefix("/b")),
        (path("/a"), prefix("/b/")),
        (path("/a"), prefix("/")),
        (path("/a"), prefix("")),
        (path("/"), prefix("/b")),
        (path("/"), prefix("/")),
        (string("/a"), prefix("/b")),
        (string("/a"), prefix("/b/")),
        (string("/a/"), prefix("/b")),
        (PathMatch::Exact("/a".into()), prefix("/b")),
        (regex("/[0-9]+"), prefix("/b")),
        (path("/a"), whole(r"/b\1")),
        (path("/que?ry"), prefix("/b")),
    ]
    .into_iter()
    .map(|(path, rewrite)| {
        let to = Forward {
            rewrite: Some(rewrite),
            ..forward(&["web/shop:80"])
        };
        simple(path, RouteAction::Forward(to))
    })
    .collect()
}

pub fn http_manager(edge: &Edge) -> Resource {
    shared::http(&listener::HTTP.into(), edge)
}
