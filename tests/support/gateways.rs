//! Random objects of the Gateway API, of the same universe. Gateways have addresses of one small range, so that they meet.

use std::sync::Arc;

use isobath::objects::gateway_api::*;
use isobath::objects::{
    Gateway, GatewayClass, GrpcRoute, HttpRoute, Metadata, Namespace, Object, ReferenceGrant,
    TcpRoute, TlsRoute, UdpRoute,
};
use proptest::prelude::*;
use proptest::sample::select;

use super::{HOSTS, NAMESPACES, SECRETS, SERVICES, metadata, uid};

const GATEWAYS: [&str; 3] = ["edge", "inner", "third"];
const ADDRESSES: [&str; 3] = ["127.9.0.1", "127.9.0.2", "192.0.2.1"];
const GROUPS: [&str; 2] = [GROUP, ""];

fn head(names: &'static [&'static str]) -> impl Strategy<Value = Metadata> {
    let age = prop::option::of(0..3_i64);
    (select(&NAMESPACES[..]), select(names), uid(), age)
        .prop_map(|(namespace, name, uid, age)| metadata(namespace, name, uid, age, &[]))
}

fn labels() -> impl Strategy<Value = Box<[(Arc<str>, Arc<str>)]>> {
    prop::option::of(select(&["test", "shop"][..])).prop_map(|value| {
        let value = value.into_iter();
        value.map(|value| ("env".into(), value.into())).collect()
    })
}

pub fn namespace() -> impl Strategy<Value = Object> {
    (select(&NAMESPACES[..]), uid(), labels()).prop_map(|(name, uid, labels)| {
        Object::Namespace(Arc::new(Namespace {
            metadata: metadata("", name, uid, None, &[]),
            labels,
        }))
    })
}

/// The class that most Gateways are of, as ours.
pub fn own_class() -> Object {
    Object::GatewayClass(Arc::new(GatewayClass {
        metadata: metadata("", "isobath", "", None, &[]),
        generation: 0,
        controller: CONTROLLER.into(),
        parameters: None,
        status: Arc::default(),
    }))
}

pub fn gateway_class() -> impl Strategy<Value = Object> {
    (
        select(&["isobath", "other"][..]),
        uid(),
        any::<bool>(),
        0..3_i64,
    )
        .prop_map(|(name, uid, ours, generation)| {
            Object::GatewayClass(Arc::new(GatewayClass {
                metadata: metadata("", name, uid, None, &[]),
                generation,
                controller: if ours {
                    CONTROLLER
                } else {
                    "example.com/other"
                }
                .into(),
                parameters: None,
                status: Arc::default(),
            }))
        })
}

fn reference(
    kind: &'static str,
    names: &'static [&'static str],
) -> impl Strategy<Value = ObjectReference> {
    let namespace = prop::option::weighted(0.3, select(&NAMESPACES[..]));
    let group = prop_oneof![9 => Just(""), 1 => select(&GROUPS[..])];
    (group, select(names), namespace).prop_map(move |(group, name, namespace)| ObjectReference {
        group: group.into(),
        kind: kind.into(),
        name: name.into(),
        namespace: namespace.map(Arc::from),
    })
}

fn hostname() -> impl Strategy<Value = Option<Arc<str>>> {
    prop::option::weighted(0.6, select(&HOSTS[..])).prop_map(|host| host.map(Arc::from))
}

/// Whose routes or ListenerSets may attach.
fn namespaces() -> impl Strategy<Value = RouteNamespaces> {
    let selector = labels().prop_map(|labels| LabelSelector {
        labels,
        expressions: Box::default(),
    });
    prop_oneof![
        3 => Just(RouteNamespaces::All),
        1 => Just(RouteNamespaces::Same),
        1 => selector.prop_map(RouteNamespaces::Selector),
    ]
}

pub fn listener_set() -> impl Strategy<Value = Object> {
    let parent = (
        select(&GATEWAYS[..]),
        prop::option::weighted(0.5, select(&NAMESPACES[..])),
    );
    let parent = parent.prop_map(|(name, namespace)| ParentReference {
        group: GROUP.into(),
        kind: "Gateway".into(),
        namespace: namespace.map(Arc::from),
        name: name.into(),
        section_name: None,
        port: None,
    });
    let listeners = prop::collection::vec(listener(), 1..3);
    (head(&["more", "edge"]), 0..3_i64, parent, listeners).prop_map(
        |(metadata, generation, parent, mut listeners)| {
            listeners.sort_by(|a, b| a.name.cmp(&b.name));
            listeners.dedup_by(|a, b| a.name == b.name);
            Object::ListenerSet(Arc::new(ListenerSet {
                metadata,
                generation,
                parent,
                listeners: listeners.into(),
                status: Arc::default(),
            }))
        },
    )
}

fn listener() -> impl Strategy<Value = Listener> {
    let name = select(&["one", "two", "three"][..]);
    let protocol = prop_oneof![4 => Just(("HTTP", 80)), 4 => Just(("HTTPS", 443)), 1 => Just(("HTTP", 443)), 1 => Just(("TCP", 80)), 2 => Just(("TCP", 81)), 1 => Just(("HTTPS", 82)), 1 => Just(("HTTP", 82)), 2 => Just(("TLS", 443)), 1 => Just(("UDP", 80))];
    let secrets = prop::collection::vec(reference("Secret", &SECRETS), 0..3);
    let namespaces = namespaces();
    let kinds = prop::option::weighted(
        0.2,
        select(&["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"][..]),
    );
    let passes_through = any::<bool>();
    (
        (name, hostname()),
        protocol,
        secrets,
        passes_through,
        namespaces,
        kinds,
    )
        .prop_map(
            |((name, hostname), (protocol, port), secrets, passes_through, namespaces, kinds)| {
                Listener {
                    name: name.into(),
                    hostname,
                    port,
                    protocol: protocol.into(),
                    tls: ["HTTPS", "TLS"].contains(&protocol).then(|| ListenerTls {
                        passes_through: protocol == "TLS" && passes_through,
                        certificates: secrets.into(),
                        ..ListenerTls::default()
                    }),
                    allowed_routes: AllowedRoutes {
                        namespaces,
                        kinds: kinds
                            .into_iter()
                            .map(|kind| RouteGroupKind {
                                group: GROUP.into(),
                                kind: kind.into(),
                            })
                            .collect(),
                    },
                    has_filters: false,
                }
            },
        )
}

/// What clients have to show at all ports, or at one.
fn frontend() -> impl Strategy<Value = FrontendTls> {
    let kind = prop_oneof![4 => Just("ConfigMap"), 1 => Just("Secret")];
    let reference = kind.prop_flat_map(|kind| reference(kind, &SECRETS));
    let modes = [
        FrontendValidation::AllowValidOnly,
        FrontendValidation::AllowInsecureFallback,
    ];
    let validation = (
        prop::collection::vec(reference, 1..3),
        select(modes.to_vec()),
    );
    let validation = validation.prop_map(|(authorities, mode)| CertificateValidation {
        authorities: authorities.into(),
        mode,
    });
    let validation = prop::option::weighted(0.2, validation).boxed();
    let per_port = prop::option::weighted(0.2, validation.clone());
    (validation, per_port).prop_map(|(default, per_port)| FrontendTls {
        default,
        per_port: per_port.into_iter().map(|it| (443, it)).collect(),
    })
}

pub fn gateway() -> impl Strategy<Value = Object> {
    let address = |value: &'static str| GatewayAddress {
        kind: "IPAddress".into(),
        value: value.into(),
        has_routability: false,
    };
    let addresses = prop::collection::vec(
        select(&["127.9.0.1", "127.9.0.2", "192.0.2.1", ""][..]),
        0..2,
    );
    let given = prop::option::of(select(&ADDRESSES[..]));
    (
        head(&GATEWAYS),
        0..3_i64,
        prop_oneof![4 => Just("isobath"), 1 => Just("other")],
        prop::collection::vec(listener(), 1..4),
        addresses,
        given,
        (
            prop::option::weighted(0.2, reference("Secret", &SECRETS)),
            frontend(),
            namespaces(),
        ),
    )
        .prop_map(
            move |(
                metadata,
                generation,
                class,
                mut listeners,
                addresses,
                given,
                (client, frontend, allowed_listeners),
            )| {
                listeners.sort_by(|a, b| a.name.cmp(&b.name));
                listeners.dedup_by(|a, b| a.name == b.name);
                let given = given.into_iter();
                Object::Gateway(Arc::new(Gateway {
                    metadata,
                    generation,
                    class_name: class.into(),
                    listeners: listeners.into(),
                    addresses: addresses.into_iter().map(address).collect(),
                    infrastructure: Infrastructure::default(),
                    client_certificate: client,
                    frontend,
                    allowed_listeners,
                    has_default_scope: false,
                    status: Arc::new(Status {
                        addresses: given.map(|it| ("IPAddress".into(), it.into())).collect(),
                        ..Status::default()
                    }),
                }))
            },
        )
}

fn parents() -> impl Strategy<Value = Box<[ParentReference]>> {
    let namespace = prop::option::weighted(0.5, select(&NAMESPACES[..]));
    let section = prop::option::weighted(0.3, select(&["one", "two"][..]));
    let port = prop::option::weighted(0.1, Just(443));
    let kind = prop_oneof![3 => Just("Gateway"), 1 => Just("ListenerSet")];
    let parent = (kind, select(&GATEWAYS[..]), namespace, section, port);
    let parent = parent.prop_map(|(kind, name, namespace, section, port)| ParentReference {
        group: GROUP.into(),
        kind: kind.into(),
        namespace: namespace.map(Arc::from),
        name: name.into(),
        section_name: section.map(Arc::from),
        port,
    });
    prop::collection::vec(parent, 1..3).prop_map(Into::into)
}

fn route_head() -> impl Strategy<Value = RouteHead> {
    let hostnames = prop::collection::vec(select(&HOSTS[..]), 0..3);
    (0..3_i64, parents(), hostnames).prop_map(|(generation, parents, hostnames)| RouteHead {
        generation,
        parents,
        hostnames: hostnames.into_iter().map(Arc::from).collect(),
        uses_default_gateways: false,
        status: Arc::default(),
    })
}

fn backends() -> impl Strategy<Value = Box<[RuleBackend]>> {
    let port = prop_oneof![4 => Just(80), 1 => Just(81)];
    let backend = (
        reference("Service", &SERVICES),
        port,
        0..3_u32,
        filters(0..2),
    );
    let backend = backend.prop_map(|(object, port, weight, filters)| RuleBackend {
        backend: BackendRef {
            object,
            port: Some(port),
            weight,
        },
        filters: filters
            .into_iter()
            .filter(|it| !matches!(it, Filter::RequestRedirect(_) | Filter::Other(_)))
            .collect(),
    });
    prop::collection::vec(backend, 0..3).prop_map(Into::into)
}

fn filters(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Filter>> {
    let modifier = |value: &str| HeaderModifier {
        set: [NameValue {
            name: "X-Set".into(),
            value: value.into(),
        }]
        .into(),
        add: [NameValue {
            name: "x-add".into(),
            value: value.into(),
        }]
        .into(),
        remove: ["x-remove".into()].into(),
    };
    let path = select(&["/", "/new"][..]);
    let rewrite = path.prop_map(|path| {
        Filter::UrlRewrite(UrlRewriteFilter {
            hostname: Some("b.test".into()),
            path: Some(PathModifier::ReplacePrefixMatch(path.into())),
        })
    });
    let redirect = prop::option::of(Just(8080)).prop_map(|port| {
        Filter::RequestRedirect(RedirectFilter {
            port,
            status: 302,
            ..RedirectFilter::default()
        })
    });
    let mirror = reference("Service", &SERVICES).prop_map(|object| {
        Filter::RequestMirror(MirrorFilter {
            backend: BackendRef {
                object,
                port: Some(80),
                weight: 1,
            },
            fraction: (1, 2),
        })
    });
    let filter = prop_oneof![
        3 => select(&["1", "2"][..]).prop_map(move |it| Filter::RequestHeaderModifier(modifier(it))),
        1 => rewrite,
        1 => redirect,
        1 => mirror,
    ];
    prop::collection::vec(filter, count)
}

pub fn http_route() -> impl Strategy<Value = Object> {
    let path = prop_oneof![
        4 => select(&["/", "/a", "/a/"][..]).prop_map(|path| PathMatch::Prefix(path.into())),
        1 => Just(PathMatch::Exact("/a".into())),
        1 => select(&["/x[0-9]+", "/x["][..]).prop_map(|it| PathMatch::RegularExpression(it.into())),
    ];
    let matches = prop::collection::vec(
        (
            prop::option::of(path),
            prop::option::weighted(0.2, Just("GET")),
        )
            .prop_map(|(path, method)| HttpMatch {
                path,
                method: method.map(Arc::from),
                ..HttpMatch::default()
            }),
        0..3,
    );
    let filters = prop_oneof![3 => Just(Vec::new()), 1 => filters(1..2)];
    let rule = (matches, filters, backends()).prop_map(|(matches, filters, backends)| HttpRule {
        matches: matches.into(),
        filters: filters.into(),
        backends,
        ..HttpRule::default()
    });
    let rules = prop::collection::vec(rule, 1..3);
    (head(&["shop", "blog"]), route_head(), rules).prop_map(|(metadata, head, rules)| {
        Object::HttpRoute(Arc::new(HttpRoute {
            metadata,
            head,
            rules: rules.into(),
        }))
    })
}

pub fn grpc_route() -> impl Strategy<Value = Object> {
    let method = prop::option::of(select(&["Get", "Put"][..]));
    let rule = (method, backends()).prop_map(|(method, backends)| GrpcRule {
        matches: [GrpcMatch {
            method: Some(GrpcMethod {
                service: Some("a.B".into()),
                method: method.map(Arc::from),
                is_regex: false,
            }),
            ..GrpcMatch::default()
        }]
        .into(),
        backends,
        ..GrpcRule::default()
    });
    (head(&["calls"]), route_head(), rule).prop_map(|(metadata, head, rule)| {
        Object::GrpcRoute(Arc::new(GrpcRoute {
            metadata,
            head,
            rules: [rule].into(),
        }))
    })
}

pub fn backend_tls_policy() -> impl Strategy<Value = Object> {
    let section = prop::option::weighted(0.3, select(&["http", "admin"][..]));
    let target = (select(&SERVICES[..]), section).prop_map(|(name, section)| PolicyTarget {
        group: "".into(),
        kind: "Service".into(),
        name: name.into(),
        section_name: section.map(Arc::from),
    });
    let authority = prop_oneof![6 => Just("ConfigMap"), 1 => Just("Secret")];
    let authority = (authority, select(&SECRETS[..]))
        .prop_map(|(kind, name)| ["".into(), kind.into(), name.into()]);
    let names = prop_oneof![
        Just(Vec::new()),
        Just(vec![AltName::Uri("spiffe://a/b".into())]),
        select(&HOSTS[..]).prop_map(|host| vec![AltName::Hostname(host.into())]),
    ];
    (
        head(&["tls", "mesh"]),
        0..3_i64,
        prop::collection::vec(target, 1..3),
        prop::option::weighted(0.8, prop::collection::vec(authority, 1..3)),
        names,
        prop::bool::weighted(0.1),
    )
        .prop_map(
            |(metadata, generation, targets, authorities, names, is_wrong)| {
                Object::BackendTlsPolicy(Arc::new(BackendTlsPolicy {
                    metadata,
                    generation,
                    targets: targets.into_iter().collect(),
                    validation: match is_wrong {
                        true => Err("it is wrong".into()),
                        false => Ok(BackendValidation {
                            well_known: authorities.is_none().then(|| "System".into()),
                            authorities: authorities.unwrap_or_default().into(),
                            hostname: "b.test".into(),
                            names: names.into(),
                        }),
                    },
                    option: None,
                    others: 0,
                    status: Arc::default(),
                }))
            },
        )
}

fn opaque() -> impl Strategy<Value = Box<[BackendRef]>> {
    backends().prop_map(|backends| backends.iter().map(|it| it.backend.clone()).collect())
}

pub fn tls_route() -> impl Strategy<Value = Object> {
    (head(&["tls", "more"]), route_head(), opaque()).prop_map(|(metadata, head, backends)| {
        Object::TlsRoute(Arc::new(TlsRoute {
            metadata,
            head,
            backends,
        }))
    })
}

pub fn tcp_route() -> impl Strategy<Value = Object> {
    (head(&["tcp", "more"]), route_head(), opaque()).prop_map(|(metadata, mut head, backends)| {
        head.hostnames = Hostnames::default();
        Object::TcpRoute(Arc::new(TcpRoute {
            metadata,
            head,
            backends,
        }))
    })
}

pub fn udp_route() -> impl Strategy<Value = Object> {
    (head(&["udp", "more"]), route_head(), opaque()).prop_map(|(metadata, mut head, backends)| {
        head.hostnames = Hostnames::default();
        Object::UdpRoute(Arc::new(UdpRoute {
            metadata,
            head,
            backends,
        }))
    })
}

pub fn reference_grant() -> impl Strategy<Value = Object> {
    let from = select(
        &[
            ("HTTPRoute", "Service"),
            ("Gateway", "Secret"),
            ("Gateway", "ConfigMap"),
            ("ListenerSet", "Secret"),
            ("GRPCRoute", "Service"),
        ][..],
    );
    let name = prop::option::weighted(0.3, select(&["web", "first"][..]));
    (head(&["one", "two"]), from, select(&NAMESPACES[..]), name).prop_map(
        |(metadata, (from, to), namespace, name)| {
            Object::ReferenceGrant(Arc::new(ReferenceGrant {
                metadata,
                from: [GrantFrom {
                    group: GROUP.into(),
                    kind: from.into(),
                    namespace: namespace.into(),
                }]
                .into(),
                to: [GrantTo {
                    group: "".into(),
                    kind: to.into(),
                    name: name.map(Arc::from),
                }]
                .into(),
            }))
        },
    )
}
