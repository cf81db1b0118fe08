//! The same of Gateways, their routes, and whom these lead to.

use isobath::build::{Builder, Config};
use isobath::model::Cidr;
use isobath::objects::{Event, Kind, Object};
use isobath::translate::{FleetPorts, GatewayOptions, HostOwnership, Options, PodPort, Transport};
use serde_json::{Value, json};

use super::{
    NOTHING, builder_with, check, check_listening, deleted, object, secret, service, slice,
};

fn of_gateways() -> Options {
    Options {
        gateway: GatewayOptions {
            addresses: [Cidr::new("127.9.0.0/16").unwrap()].into(),
            ..GatewayOptions::default()
        },
        ..Options::default()
    }
}

/// A listener of a Gateway that is edited is news to its own hosts, and to nobody else's on the port.
#[test]
fn a_listener_is_its_own_hosts_business() {
    const ROUTES: u64 = 50;
    let of = |name: &str, certificate: &str| {
        json!({ "name": name, "port": 443, "protocol": "HTTPS", "hostname": format!("{name}.test"),
                "tls": { "certificateRefs": [{ "name": certificate }] } })
    };
    let gateway = |listeners: Vec<Value>| {
        let addresses = json!([{ "value": "127.9.0.1" }]);
        let spec = json!({ "gatewayClassName": "isobath", "addresses": addresses, "listeners": listeners });
        object(Kind::Gateway, "shop", "edge", json!({ "spec": spec }))
    };
    let route = |number: u64| {
        let name = ["one", "two"][number as usize % 2];
        let spec = json!({
            "parentRefs": [{ "name": "edge" }],
            "hostnames": [format!("{number}.{name}.test")],
            "rules": [{ "backendRefs": [{ "name": "web", "port": 80 }] }],
        });
        object(
            Kind::HttpRoute,
            "shop",
            &format!("route-{number}"),
            json!({ "spec": spec }),
        )
    };
    let class = json!({ "spec": { "controllerName": "isobath.dev/gateway-controller" } });
    let objects = [
        object(Kind::GatewayClass, "", "isobath", class),
        service("shop", "web", 80),
        secret("shop", "first", "*.one.test", 0),
        secret("shop", "second", "*.two.test", 0),
        gateway(vec![of("*.one", "first"), of("*.two", "second")]),
    ];
    let routes = (0..ROUTES).map(route);
    let builder = &mut builder_with(of_gateways(), objects.into_iter().chain(routes));
    let edited = gateway(vec![of("*.one", "first"), of("*.two", "first")]);
    check_listening(
        builder,
        "another certificate of one listener: its hosts, and its hostname",
        Event::Apply(edited),
        [ROUTES / 2 + 1, 0, 0, 0],
        1,
    );
    let mut closer = of("*.two", "first");
    closer["allowedRoutes"] = json!({ "kinds": [{ "kind": "HTTPRoute" }] });
    check(
        builder,
        "who may attach to one of them",
        Event::Apply(gateway(vec![of("*.one", "first"), closer])),
        NOTHING,
    );
    let more = gateway(vec![
        of("*.one", "first"),
        of("*.two", "first"),
        of("*.three", "second"),
    ]);
    check_listening(
        builder,
        "one listener more: its hostname",
        Event::Apply(more),
        [1, 0, 0, 1],
        1,
    );
    let narrower = vec![
        of("*.one", "first"),
        of("*.two", "first"),
        of("7.two", "second"),
    ];
    check_listening(
        builder,
        "one of a host of another listener",
        Event::Apply(gateway(narrower)),
        [2, 0, 0, 0],
        1,
    );
}

/// On a port that Gateways share a change is the work of its own listener, however many Gateways with listeners are there: what is
/// derived is counted, and whose status is found out again.
#[test]
fn a_shared_port_is_not_walked_through() {
    const LISTENERS: usize = 8;
    let gateway = |number: usize| {
        let listeners = (0..LISTENERS).map(|at| {
            json!({ "name": format!("l{at}"), "port": 9000, "protocol": "HTTP",
                    "hostname": format!("l{at}.g{number}.test") })
        });
        let listeners: Vec<Value> = listeners.collect();
        let spec = json!({ "gatewayClassName": "isobath", "listeners": listeners });
        let created = format!("2020-01-01T00:00:{number:02}Z");
        let rest = json!({ "metadata": { "creationTimestamp": created }, "spec": spec });
        object(Kind::Gateway, "shop", &format!("edge-{number:02}"), rest)
    };
    let route = |name: &str, number: usize| {
        let spec = json!({
            "parentRefs": [{ "name": format!("edge-{number:02}") }],
            "hostnames": [format!("l3.g{number}.test")],
            "rules": [{ "backendRefs": [{ "name": "web", "port": 80 }] }],
        });
        object(Kind::HttpRoute, "shop", name, json!({ "spec": spec }))
    };
    let made = |gateways: usize| {
        let port = PodPort::Other(([0, 0, 0, 0], 9000).into());
        let options = Options {
            gateway: GatewayOptions {
                ports: FleetPorts::new([((9000, Transport::Tcp), port)]),
                ..GatewayOptions::default()
            },
            ..Options::default()
        };
        let class = json!({ "spec": { "controllerName": "isobath.dev/gateway-controller" } });
        let class = object(Kind::GatewayClass, "", "isobath", class);
        let first = [class, service("shop", "web", 80)];
        let routes = (0..gateways).map(|number| route(&format!("route-{number}"), number));
        let objects = first
            .into_iter()
            .chain((0..gateways).map(gateway))
            .chain(routes);
        let mut builder = builder_with(options, objects);
        let mut counted = Vec::new();
        for event in [
            Event::Apply(route("another", 1)),
            Event::Apply(gateway(gateways)),
            deleted(&route("another", 1)),
            deleted(&gateway(gateways)),
        ] {
            let before = builder.derivations();
            builder.apply(event);
            builder.build();
            let after = builder.derivations();
            counted.push((
                after.derived - before.derived,
                after.objects - before.objects,
            ));
        }
        counted
    };
    let (few, many) = (made(4), made(40));
    assert_eq!(few, many);
    let most = few.iter().map(|(derived, objects)| derived + objects).max();
    println!("derived and objects of a change: {few:?}");
    assert!(most.is_some_and(|most| most < 100), "{few:?}");
}

/// Whose a host is at a shared port is found once, however many Gateways have a listener for it: each of them reads that and not the
/// routes. So what is read grows as the objects do, and so does what is found out for a route more.
#[test]
fn who_has_a_host_is_found_once() {
    let gateway = |number: usize| {
        let listener = |name: &str, protocol: &str, port: u16| {
            json!({ "name": name, "port": port, "protocol": protocol, "hostname": "one.test",
                    "tls": (protocol == "HTTPS").then(|| json!({ "certificateRefs": [{ "name": "first" }] })),
                    "allowedRoutes": { "namespaces": { "from": "All" } } })
        };
        // Through the first of them the routes come in clear, so at the other port none of them has anything to say.
        let listeners = match number {
            0 => vec![listener("clear", "HTTP", 80)],
            _ => vec![listener("tls", "HTTPS", 443)],
        };
        let spec = json!({ "gatewayClassName": "isobath", "listeners": listeners });
        let created = format!("2020-01-01T01:00:{number:02}Z");
        let rest = json!({ "metadata": { "creationTimestamp": created }, "spec": spec });
        object(Kind::Gateway, "shop", &format!("edge-{number:02}"), rest)
    };
    let route = |number: usize| {
        let spec = json!({
            "parentRefs": [{ "name": "edge-00" }],
            "hostnames": ["one.test"],
            "rules": [{ "backendRefs": [{ "name": "web", "port": 80 }] }],
        });
        let created = format!("2020-01-01T00:00:{number:02}Z");
        let rest = json!({ "metadata": { "creationTimestamp": created }, "spec": spec });
        object(Kind::HttpRoute, "shop", &format!("route-{number:02}"), rest)
    };
    let class = json!({ "spec": { "controllerName": "isobath.dev/gateway-controller" } });
    let class = object(Kind::GatewayClass, "", "isobath", class);
    let made = |host_ownership, count: usize| {
        let options = Options {
            host_ownership,
            ..Options::default()
        };
        let first = [
            class.clone(),
            service("shop", "web", 80),
            secret("shop", "first", "one.test", 0),
        ];
        let objects = first.into_iter().chain((0..count).map(gateway));
        let mut builder = builder_with(options, objects.chain((0..count).map(route)));
        let reads = builder.reads().0;
        let before = builder.derivations().derived;
        builder.apply(Event::Apply(route(count)));
        builder.build();
        (reads, builder.derivations().derived - before)
    };
    for ownership in [HostOwnership::Shared, HostOwnership::Namespace] {
        let sizes = [10, 20, 40].map(|count| made(ownership, count));
        let reads = sizes.map(|(reads, _)| reads);
        let derived = sizes.map(|(_, derived)| usize::try_from(derived).unwrap());
        for [few, some, many] in [reads, derived] {
            assert_eq!(many - some, 2 * (some - few), "{sizes:?}");
        }
    }
}

/// A ListenerSet that is edited is news to its own hosts, and to those of no other set of the Gateway, nor of the Gateway itself.
#[test]
fn a_listener_set_is_its_own_hosts_business() {
    const ROUTES: u64 = 50;
    let of = |name: &str, certificate: &str| {
        json!({ "name": name, "port": 443, "protocol": "HTTPS", "hostname": format!("*.{name}.test"),
                "tls": { "certificateRefs": [{ "name": certificate }] } })
    };
    let set = |name: &str, listeners: Vec<Value>| {
        let spec = json!({ "parentRef": { "name": "edge" }, "listeners": listeners });
        object(Kind::ListenerSet, "shop", name, json!({ "spec": spec }))
    };
    let route = |number: u64| {
        let name = ["one", "two"][number as usize % 2];
        let spec = json!({
            "parentRefs": [{ "kind": "ListenerSet", "name": name }],
            "hostnames": [format!("{number}.{name}.test")],
            "rules": [{ "backendRefs": [{ "name": "web", "port": 80 }] }],
        });
        let name = format!("route-{number}");
        object(Kind::HttpRoute, "shop", &name, json!({ "spec": spec }))
    };
    let spec = json!({
        "gatewayClassName": "isobath", "addresses": [{ "value": "127.9.0.1" }],
        "allowedListeners": { "namespaces": { "from": "Same" } },
        "listeners": [of("own", "first")],
    });
    let class = json!({ "spec": { "controllerName": "isobath.dev/gateway-controller" } });
    let objects = [
        object(Kind::GatewayClass, "", "isobath", class),
        service("shop", "web", 80),
        secret("shop", "first", "*.one.test", 0),
        secret("shop", "second", "*.two.test", 0),
        object(Kind::Gateway, "shop", "edge", json!({ "spec": spec })),
        set("one", vec![of("one", "first")]),
        set("two", vec![of("two", "second")]),
    ];
    let routes = (0..ROUTES).map(route);
    let builder = &mut builder_with(of_gateways(), objects.into_iter().chain(routes));
    check_listening(
        builder,
        "another certificate of one set: its hosts, and its hostname",
        Event::Apply(set("two", vec![of("two", "first")])),
        [ROUTES / 2 + 1, 0, 0, 0],
        1,
    );
    check_listening(
        builder,
        "one set more: its hostname",
        Event::Apply(set("three", vec![of("three", "second")])),
        [1, 0, 0, 1],
        1,
    );
    // Its name is taken: it has nothing on the port.
    check(
        builder,
        "one that comes too late",
        Event::Apply(set("zone", vec![of("one", "second")])),
        NOTHING,
    );
    check_listening(
        builder,
        "the set goes whose name it was: its hosts are nobody's, and the hostname another's",
        deleted(&set("one", Vec::new())),
        [ROUTES / 2 + 1, 0, 0, 0],
        1,
    );
}

const AUTHORITY: &str = include_str!("../envoy/authority.pem");
const ANOTHER: &str = include_str!("../data/certificates/p256.crt");

fn config_map(name: &str, data: Value) -> Object {
    object(Kind::ConfigMap, "shop", name, json!({ "data": data }))
}

fn policy(name: &str, service: &str, section: Option<&str>) -> Object {
    let spec = json!({
        "targetRefs": [{ "group": "", "kind": "Service", "name": service, "sectionName": section }],
        "validation": {
            "caCertificateRefs": [{ "group": "", "kind": "ConfigMap", "name": "ca" }],
            "hostname": "web.internal",
        },
    });
    object(
        Kind::BackendTlsPolicy,
        "shop",
        name,
        json!({ "spec": spec }),
    )
}

/// A Service with a port of TCP and one of UDP.
fn two_ports(name: &str, udp: u16) -> Object {
    let ports = json!([
        { "name": "http", "port": 80 }, { "name": "dns", "port": udp, "protocol": "UDP" },
    ]);
    object(
        Kind::Service,
        "shop",
        name,
        json!({ "spec": { "ports": ports } }),
    )
}

fn route(kind: Kind, name: &str, hostnames: Value, to: &str, port: u16) -> Object {
    let spec = json!({
        "parentRefs": [{ "name": "edge" }], "hostnames": hostnames,
        "rules": [{ "backendRefs": [{ "name": to, "port": port }] }],
    });
    object(kind, "shop", name, json!({ "spec": spec }))
}

/// What is forwarded as it is, what comes out of TLS that ends here, datagrams, and requests, to Services of which policies say
/// how they are spoken to.
fn forwarding_world() -> Vec<Object> {
    let certificate = json!({ "certificateRefs": [{ "name": "cert" }] });
    let listeners = json!([
        { "name": "http", "port": 80, "protocol": "HTTP" },
        { "name": "through", "port": 443, "protocol": "TLS", "hostname": "*.through.test", "tls": { "mode": "Passthrough" } },
        { "name": "ends", "port": 443, "protocol": "TLS", "hostname": "*.ends.test", "tls": certificate },
        { "name": "dns", "port": 53, "protocol": "UDP" },
    ]);
    let spec = json!({
        "gatewayClassName": "isobath", "addresses": [{ "value": "127.9.0.1" }], "listeners": listeners,
    });
    let class = json!({ "spec": { "controllerName": "isobath.dev/gateway-controller" } });
    vec![
        object(Kind::GatewayClass, "", "isobath", class),
        object(Kind::Gateway, "shop", "edge", json!({ "spec": spec })),
        secret("shop", "cert", "*.ends.test", 0),
        two_ports("web", 53),
        two_ports("other", 53),
        slice("shop", "web", "10.0.0.1"),
        config_map("ca", json!({ "ca.crt": AUTHORITY })),
        route(
            Kind::TlsRoute,
            "tls",
            json!(["a.through.test", "a.ends.test"]),
            "web",
            80,
        ),
        route(Kind::UdpRoute, "dns", json!(null), "web", 53),
        route(Kind::HttpRoute, "http", json!(["a.test"]), "web", 80),
    ]
}

#[test]
fn what_is_forwarded_is_made_with_what_it_reads() {
    let builder = &mut builder_with(of_gateways(), forwarding_world());
    // Clusters: what is forwarded, what comes out of TLS and requests share that of TCP; that of UDP is another.
    let moved = Event::Apply(slice("shop", "web", "10.0.0.2"));
    check(builder, "its endpoints move", moved, [0, 0, 2, 0]);
    let unrelated = Event::Apply(policy("unrelated", "other", None));
    check(builder, "a policy of another Service", unrelated, NOTHING);
    let of_port = Event::Apply(policy("of-port", "web", Some("dns")));
    check(
        builder,
        "one for a port that is not spoken to",
        of_port,
        NOTHING,
    );
    // By TLS: what comes out of TLS, and requests. What goes through as it is is of the same route, and comes to what it was.
    let spoken = Event::Apply(policy("spoken", "web", None));
    check(builder, "one for all of its ports", spoken, [3, 2, 2, 1]);
    let younger = Event::Apply(policy("younger", "web", None));
    check(
        builder,
        "a second one, which does not hold",
        younger,
        NOTHING,
    );
    let gone = config_map("ca", json!({}));
    check(
        builder,
        "its authority goes",
        Event::Apply(gone),
        [3, 0, 0, 0],
    );
    let back = config_map("ca", json!({ "ca.crt": AUTHORITY }));
    check(builder, "and comes back", Event::Apply(back), [3, 2, 2, 1]);
    let twice = config_map("ca", json!({ "ca.crt": format!("{AUTHORITY}{ANOTHER}") }));
    check(
        builder,
        "other bytes of it",
        Event::Apply(twice),
        [0, 0, 0, 1],
    );
    let nobodys = config_map("nobodys", json!({ "ca.crt": AUTHORITY }));
    check(
        builder,
        "a ConfigMap of nobody",
        Event::Apply(nobodys),
        NOTHING,
    );
    let weighed = route(
        Kind::TlsRoute,
        "tls",
        json!(["a.through.test", "a.ends.test"]),
        "other",
        80,
    );
    check(
        builder,
        "another back end by TLS",
        Event::Apply(weighed),
        [2, 2, 2, 0],
    );
    let elsewhere = route(Kind::UdpRoute, "dns", json!(null), "other", 53);
    check_listening(
        builder,
        "another for datagrams",
        Event::Apply(elsewhere),
        [0, 1, 1, 0],
        1,
    );
    // Its two clusters of TCP have read the Service, and that of UDP is gone.
    let port = Event::Apply(two_ports("other", 54));
    check_listening(
        builder,
        "a port of UDP that is another now",
        port,
        [0, 2, 2, 0],
        1,
    );
}

/// Of many routes through a Gateway to a Service that a policy is about, only the first and the last are news to the policy, and none
/// of them to the Gateway.
#[test]
fn ways_to_a_service_are_news_once() {
    let mut builder = Builder::new(Config::of_manifests(of_gateways())).with_audit();
    for object in forwarding_world() {
        builder.apply(Event::Apply(object));
    }
    builder.apply(Event::Apply(policy("spoken", "web", None)));
    builder.build();
    let _ = builder.made_for_nothing();
    let to = |name: &str, to: &str| {
        route(
            Kind::HttpRoute,
            name,
            json!([format!("{name}.test")]),
            to,
            80,
        )
    };
    let steps = [
        Event::Apply(to("second", "web")),
        Event::Apply(to("third", "other")),
        // It is attached as before, and leads to the Service now.
        Event::Apply(to("third", "web")),
        Event::Apply(to("third", "other")),
        deleted(&to("second", "web")),
    ];
    for step in steps {
        builder.apply(step.clone());
        builder.build();
        assert_eq!(builder.made_for_nothing(), Vec::<String>::new(), "{step:?}");
    }
}

/// Authorities that vouch for clients are a port's: that one of them can't be used is news to the hosts there, and other bytes are none.
#[test]
fn what_clients_show_is_their_ports_business() {
    let of = |name: &str, port: u16| {
        json!({ "name": name, "port": port, "protocol": "HTTPS",
                "tls": { "certificateRefs": [{ "name": "cert" }] } })
    };
    let authority = |name: &str| {
        let named = json!({ "group": "", "kind": "ConfigMap", "name": name });
        json!({ "validation": { "caCertificateRefs": [named] } })
    };
    let spec = json!({
        "gatewayClassName": "isobath", "addresses": [{ "value": "127.9.0.1" }],
        "listeners": [of("one", 443), of("two", 444), { "name": "http", "port": 80, "protocol": "HTTP" }],
        "tls": { "frontend": { "default": authority("ca"), "perPort": [{ "port": 444, "tls": authority("other") }] } },
    });
    let class = json!({ "spec": { "controllerName": "isobath.dev/gateway-controller" } });
    let objects = [
        object(Kind::GatewayClass, "", "isobath", class),
        object(Kind::Gateway, "shop", "edge", json!({ "spec": spec })),
        secret("shop", "cert", "*.test", 0),
        service("shop", "web", 80),
        config_map("ca", json!({ "ca.crt": AUTHORITY })),
        config_map("other", json!({ "ca.crt": AUTHORITY })),
        route(Kind::HttpRoute, "http", json!(["a.test"]), "web", 80),
    ];
    let builder = &mut builder_with(of_gateways(), objects);
    let bytes = config_map("ca", json!({ "ca.crt": ANOTHER }));
    check(builder, "other bytes", Event::Apply(bytes), [0, 0, 0, 1]);
    let gone = config_map("ca", json!({}));
    // The port is nobody's then, as its only listener is closed: its two hosts go with it. The route's host at the two other ports has
    // read where the route is attached.
    check_listening(builder, "none", Event::Apply(gone), [4, 0, 0, 0], 1);
    let back = config_map("ca", json!({ "ca.crt": AUTHORITY }));
    check_listening(builder, "it is back", Event::Apply(back), [4, 0, 0, 1], 1);
}
