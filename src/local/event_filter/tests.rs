#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::objects::{
    EndpointPort, IngressBackend, IngressClass, IngressPath, IngressRule, IngressTls, Invalid,
    KeyAlgorithm, PathType, PrivateKeyPem, Service, ServiceBackendPort, SessionAffinity, as_place,
};

use super::*;

mod gateways;
mod http_proxies;

/// Echo backends at 127.0.0.1, the Service's port + 10,000; certificates whose chain is the list of hosts.
struct Fake;

impl StandIn for Fake {
    fn echo(&mut self, _: &NamespacedName, port: &ServicePort) -> SocketAddr {
        ([127, 0, 0, 1], port.port + 10_000).into()
    }

    fn unknown_host(&self) -> SocketAddr {
        ([127, 0, 0, 1], 404).into()
    }

    fn certificate(&mut self, hosts: &BTreeSet<Arc<str>>) -> Result<TlsCertificate, String> {
        let names: Vec<Arc<str>> = hosts.iter().cloned().collect();
        if names.iter().any(|name| name.contains('!')) {
            return Err("no certificate can be made".to_owned());
        }
        Ok(TlsCertificate {
            chain: names.join(" ").into(),
            key: PrivateKeyPem::new("key".to_owned()),
            key_algorithm: KeyAlgorithm::Ecdsa,
            names,
            common_name: None,
            not_before: jiff::Timestamp::UNIX_EPOCH,
            not_after: jiff::Timestamp::UNIX_EPOCH,
        })
    }
}

fn name(name: &str) -> NamespacedName {
    NamespacedName::new("default", name)
}

/// An Ingress `default/name` with a path per entry; host `*` is none.
pub(in crate::local) fn ingress(ingress: &str, rules: &[(&str, &str)]) -> Ingress {
    let rules = rules.iter().map(|(host, path)| IngressRule {
        host: (*host != "*").then(|| (*host).into()),
        paths: Box::new([IngressPath {
            path: (*path).into(),
            path_type: PathType::Prefix,
            backend: IngressBackend::Service {
                name: "web".into(),
                port: ServiceBackendPort::Number(80),
            },
        }]),
    });
    Ingress {
        metadata: made_metadata(name(ingress)),
        class_name: None,
        default_backend: None,
        tls: Box::default(),
        rules: rules.collect(),
        load_balancer: Arc::default(),
        left_out: None,
    }
}

/// The Ingress with one more entry of `tls`.
pub(in crate::local) fn tls(mut ingress: Ingress, secret: &str, hosts: &[&str]) -> Ingress {
    let added = IngressTls {
        hosts: hosts.iter().map(|host| (*host).into()).collect(),
        secret_name: Some(secret.into()),
    };
    ingress.tls = ingress.tls.into_iter().chain([added]).collect();
    ingress
}

fn service(service: &str, ports: &[(&str, u16)]) -> Object {
    Object::Service(Arc::new(Service {
        metadata: made_metadata(name(service)),
        service_type: ServiceType::Endpoints,
        ports: ports
            .iter()
            .enumerate()
            .map(|(at, (name, port))| ServicePort {
                at: as_place(at),
                name: (*name).into(),
                port: *port,
                app_protocol: None,
            })
            .collect(),
        udp_ports: Box::default(),
        ip_families: Box::default(),
        session_affinity: SessionAffinity::None,
        cluster_ip: None,
        publish_not_ready_addresses: false,
        kept: None,
        load_balancer: Arc::default(),
    }))
}

fn slice(slice: &str, service: &str, ports: &[(&str, u16)]) -> Object {
    let mut made = made_slice(
        &name(service),
        &ServicePort {
            at: 0,
            name: "".into(),
            port: 0,
            app_protocol: None,
        },
        ([10, 0, 0, 1], 1).into(),
    );
    made.metadata.name = name(slice);
    made.ports = ports
        .iter()
        .map(|(name, port)| EndpointPort {
            name: (*name).into(),
            port: Some(*port),
        })
        .collect();
    Object::EndpointSlice(Arc::new(made))
}

fn secret(secret: &str) -> Object {
    Object::Secret(Arc::new(Secret {
        metadata: made_metadata(name(secret)),
        certificate: Err("broken".into()),
        authorities: None,
        revocations: None,
        credentials: None,
        credentials_map: None,
    }))
}

fn secured(name: &str, host: &str, secret: &str) -> Object {
    Object::Ingress(Arc::new(tls(
        ingress(name, &[(host, "/")]),
        secret,
        &[host],
    )))
}

fn replace(kind: Kind, objects: Vec<Object>) -> Event {
    Event::Replace {
        kind,
        namespace: None,
        objects,
    }
}

fn delete(kind: Kind, of: &str) -> Event {
    Event::Delete(ObjectRef {
        kind,
        name: name(of),
    })
}

/// An object in a line: slices with their ports and addresses, secrets with the names of their certificate.
fn line(object: &Object) -> String {
    let name = &object.reference().name.name;
    match object {
        Object::EndpointSlice(slice) => {
            let ports = slice
                .ports
                .iter()
                .map(|port| format!("{}={}", port.name, port.port.unwrap()));
            let ports: Vec<_> = ports.collect();
            format!(
                "slice {name} {} {}",
                slice.endpoints[0].address,
                ports.join(",")
            )
        }
        Object::Secret(secret) => match &secret.certificate {
            Ok(certificate) => format!("secret {name} for {}", certificate.chain),
            Err(reason) => format!("secret {name} {reason}"),
        },
        other => format!("{} {name}", other.reference().kind),
    }
}

/// The events in a line each.
fn lines(events: &[Event]) -> Vec<String> {
    let lines = events.iter().map(|event| match event {
        Event::Apply(object) => format!("apply {}", line(object)),
        Event::Delete(reference) => format!("delete {reference}"),
        Event::Replace { kind, objects, .. } => {
            let mut all: Vec<_> = objects.iter().map(line).collect();
            all.sort();
            format!("list of {kind}: {}", all.join("; "))
        }
        Event::Batch(events) => format!("together: {}", lines(events).join(", ")),
    });
    lines.collect()
}

fn of_manifests(backends: Vec<Backend>) -> EventFilter<Fake> {
    let selection = ClassSelection {
        names: Arc::default(),
        manifests: true,
    };
    EventFilter::new(
        Fake,
        backends,
        selection,
        Kind::ALL.map(|kind| (kind, None)),
    )
}

/// Every step is an event of the source and what the controller gets in its place.
fn check(backends: &[&str], steps: Vec<(Event, &[&str])>) -> EventFilter<Fake> {
    let backends = backends.iter().map(|text| text.parse().unwrap()).collect();
    let mut filter = of_manifests(backends);
    // There are none, unless a step brings some.
    filter.apply(replace(Kind::HttpProxy, vec![]));
    filter.apply(replace(Kind::Gateway, vec![]));
    for (number, (event, expected)) in steps.into_iter().enumerate() {
        assert_eq!(lines(&filter.apply(event)), expected, "step {number}");
    }
    filter
}

#[test]
fn a_service_without_slices_has_an_echo_backend_per_port() {
    let web = || service("web", &[("http", 80), ("admin", 81)]);
    let real = || slice("web-x", "web", &[("http", 8080)]);
    let mut filter = check(
        &[],
        vec![
            (
                replace(Kind::Service, vec![web()]),
                &["list of Service: Service web"],
            ),
            (
                replace(Kind::EndpointSlice, vec![]),
                &[
                    "apply slice isobath-run-web-80 127.0.0.1 http=10080",
                    "apply slice isobath-run-web-81 127.0.0.1 admin=10081",
                    "list of EndpointSlice: slice isobath-run-web-80 127.0.0.1 http=10080; slice isobath-run-web-81 127.0.0.1 admin=10081",
                ],
            ),
            // The same again: nothing new.
            (Event::Apply(web()), &["apply Service web"]),
            // Its first own slice ends the stand-in, its last one's end brings it back.
            (
                Event::Apply(real()),
                &[
                    "apply slice web-x 10.0.0.1 http=8080",
                    "delete EndpointSlice default/isobath-run-web-80",
                    "delete EndpointSlice default/isobath-run-web-81",
                ],
            ),
            (
                delete(Kind::EndpointSlice, "web-x"),
                &[
                    "apply slice isobath-run-web-80 127.0.0.1 http=10080",
                    "apply slice isobath-run-web-81 127.0.0.1 admin=10081",
                    "delete EndpointSlice default/web-x",
                ],
            ),
            // A port less, then no Service.
            (
                Event::Apply(service("web", &[("http", 80)])),
                &[
                    "apply Service web",
                    "delete EndpointSlice default/isobath-run-web-81",
                ],
            ),
            (
                delete(Kind::Service, "web"),
                &[
                    "delete Service default/web",
                    "delete EndpointSlice default/isobath-run-web-80",
                ],
            ),
            // A list without what was made would take it away.
            (
                replace(Kind::Service, vec![service("api", &[("", 80)])]),
                &[
                    "apply slice isobath-run-api-80 127.0.0.1 =10080",
                    "list of Service: Service api",
                ],
            ),
            (
                replace(Kind::EndpointSlice, vec![real()]),
                &[
                    "list of EndpointSlice: slice isobath-run-api-80 127.0.0.1 =10080; slice web-x 10.0.0.1 http=8080",
                ],
            ),
        ],
    );
    let announcements = filter.announcements();
    assert!(announcements.contains(&Announcement::Echo(name("web"), 80)));
    assert!(filter.announcements().is_empty());
}

#[test]
fn a_service_whose_name_begins_like_another_is_another() {
    check(
        &[],
        vec![
            (
                replace(Kind::EndpointSlice, vec![]),
                &["list of EndpointSlice: "],
            ),
            (
                replace(
                    Kind::Service,
                    vec![service("web", &[("", 1)]), service("web-1", &[("", 1)])],
                ),
                &[
                    "apply slice isobath-run-web-1 127.0.0.1 =10001",
                    "apply slice isobath-run-web-1-1 127.0.0.1 =10001",
                    "list of Service: Service web; Service web-1",
                ],
            ),
            (
                delete(Kind::Service, "web"),
                &[
                    "delete Service default/web",
                    "delete EndpointSlice default/isobath-run-web-1",
                ],
            ),
        ],
    );
}

#[test]
fn an_external_name_is_left_alone() {
    let Object::Service(mut external) = service("web", &[("", 80)]) else {
        unreachable!()
    };
    Arc::make_mut(&mut external).service_type = ServiceType::ExternalName("example.com".into());
    check(
        &[],
        vec![
            (
                replace(Kind::EndpointSlice, vec![]),
                &["list of EndpointSlice: "],
            ),
            (
                replace(Kind::Service, vec![Object::Service(external)]),
                &["list of Service: Service web"],
            ),
        ],
    );
}

#[test]
fn a_backend_takes_the_place_of_a_port() {
    let filter = check(
        &["web:http=127.0.0.9:3000", "typo=127.0.0.9:1"],
        vec![
            (
                replace(
                    Kind::EndpointSlice,
                    vec![slice("web-x", "web", &[("http", 8080), ("admin", 8081)])],
                ),
                &["list of EndpointSlice: slice web-x 10.0.0.1 http=8080,admin=8081"],
            ),
            (
                replace(
                    Kind::Service,
                    vec![service("web", &[("http", 80), ("admin", 81)])],
                ),
                &[
                    "apply slice isobath-run-web-80 127.0.0.9 http=3000",
                    "apply slice web-x 10.0.0.1 admin=8081",
                    "list of Service: Service web",
                ],
            ),
            (
                Event::Apply(slice("web-x", "web", &[("http", 8082), ("admin", 8083)])),
                &["apply slice web-x 10.0.0.1 admin=8083"],
            ),
        ],
    );
    let unused: Vec<_> = filter
        .unused_backends()
        .map(|backend| &*backend.service.name)
        .collect();
    assert_eq!(unused, ["typo"]);
}

#[test]
fn a_missing_secret_is_made_and_gives_way() {
    let mut filter = check(
        &[],
        vec![
            (
                replace(
                    Kind::Ingress,
                    vec![
                        secured("a", "a.localhost", "some"),
                        secured("b", "b.localhost", "other"),
                    ],
                ),
                &["list of Ingress: Ingress a; Ingress b"],
            ),
            (
                replace(Kind::Secret, vec![secret("other")]),
                &[
                    "apply secret some for a.localhost",
                    "list of Secret: secret other broken; secret some for a.localhost",
                ],
            ),
            // One more host, the same certificate.
            (
                Event::Apply(secured("c", "c.localhost", "some")),
                &[
                    "apply secret some for a.localhost c.localhost",
                    "apply Ingress c",
                ],
            ),
            // The real one comes and goes.
            (Event::Apply(secret("some")), &["apply secret some broken"]),
            (
                delete(Kind::Secret, "some"),
                &["apply secret some for a.localhost c.localhost"],
            ),
            (
                delete(Kind::Ingress, "c"),
                &[
                    "apply secret some for a.localhost",
                    "delete Ingress default/c",
                ],
            ),
            (
                delete(Kind::Ingress, "a"),
                &["delete Ingress default/a", "delete Secret default/some"],
            ),
            (
                delete(Kind::Secret, "unknown"),
                &["delete Secret default/unknown"],
            ),
            // Hosts without a certificate are no reason to stop.
            (Event::Apply(secured("d", "!", "bad")), &["apply Ingress d"]),
        ],
    );
    let hosts = vec!["a.localhost".into(), "c.localhost".into()];
    let announcements = filter.announcements();
    assert!(announcements.contains(&Announcement::Certificate(name("some"), hosts)));
    let sentence = "no certificate can be made".to_owned();
    assert!(announcements.contains(&Announcement::NoCertificate(name("bad"), sentence)));
}

#[test]
fn an_invalid_secret_is_there() {
    let invalid = Object::Invalid(Arc::new(Invalid {
        reference: ObjectRef::new(Kind::Secret, "default", "some"),
        reason: "no".to_owned(),
    }));
    check(
        &[],
        vec![
            (
                replace(Kind::Secret, vec![invalid]),
                &["list of Secret: Secret some"],
            ),
            (
                replace(Kind::Ingress, vec![secured("a", "a.localhost", "some")]),
                &["list of Ingress: Ingress a"],
            ),
        ],
    );
}

/// Once all is listed, and while no Ingress is for every host, there is one that says which hosts there are.
#[test]
fn unknown_hosts_are_told_of_the_others() {
    let mut filter = check(&[], vec![]);
    for kind in Kind::ALL {
        filter.apply(replace(kind, vec![]));
    }
    let made = filter.made_for_unknown_hosts.clone();
    assert_eq!(
        made.iter().map(line).collect::<Vec<_>>(),
        [
            "Service unknown-hosts",
            "slice isobath-run-unknown-hosts-80 127.0.0.1 =404",
            "Ingress unknown-hosts"
        ]
    );
    // Among others it stays, and a list of others does not end it.
    let web = || Object::Ingress(Arc::new(ingress("web", &[("a.localhost", "/")])));
    for (event, expected) in [
        (Event::Apply(web()), "apply Ingress web"),
        (
            replace(Kind::Ingress, vec![web()]),
            "list of Ingress: Ingress unknown-hosts; Ingress web",
        ),
    ] {
        assert_eq!(lines(&filter.apply(event)), [expected]);
    }
    let every = || Object::Ingress(Arc::new(ingress("every", &[("*", "/")])));
    let gone = made
        .iter()
        .map(|object| format!("delete {}", object.reference()));
    let gone: Vec<_> = ["apply Ingress every".to_owned()]
        .into_iter()
        .chain(gone)
        .collect();
    assert_eq!(lines(&filter.apply(Event::Apply(every()))), gone);
    let back = lines(&filter.apply(delete(Kind::Ingress, "every")));
    assert_eq!(back.len(), 4, "{back:?}");
}

fn of_class(name: &str, class: &str, host: &str) -> Ingress {
    Ingress {
        class_name: Some(class.into()),
        ..tls(ingress(name, &[(host, "/")]), name, &[])
    }
}

/// What an Ingress of another class lacks is nobody's loss, and it answers for no host.
#[test]
fn nothing_stands_in_for_what_is_not_served() {
    let mut filter = of_manifests(Vec::new());
    let theirs = || Object::Ingress(Arc::new(of_class("theirs", "nginx", "*")));
    filter.apply(replace(Kind::Ingress, vec![theirs()]));
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Ingress) {
        filter.apply(replace(kind, vec![]));
    }
    assert!(filter.is_complete());
    assert!(filter.announcements().is_empty(), "no certificate is made");
    assert_eq!(filter.made_for_unknown_hosts.len(), 3, "`*` is free");
    // The class comes to be ours.
    let class = IngressClass {
        metadata: made_metadata(NamespacedName::new("", "nginx")),
        is_default: false,
        controller: crate::objects::CONTROLLER.into(),
    };
    let theirs = Object::Ingress(Arc::new(of_class("theirs", "nginx", "a.localhost")));
    filter.apply(Event::Apply(theirs));
    let events = lines(&filter.apply(Event::Apply(Object::IngressClass(Arc::new(class)))));
    assert_eq!(
        events,
        [
            "apply secret theirs for a.localhost",
            "apply IngressClass nginx"
        ]
    );
}

/// In a cluster an Ingress needs a class, fewer kinds may be listed, and namespaces one by one.
#[test]
fn unknown_hosts_are_told_in_a_cluster_too() {
    for (name, expected) in [(None, Some("isobath-run")), (Some("mine"), Some("mine"))] {
        let selection = ClassSelection {
            names: name.into_iter().map(Arc::from).collect(),
            manifests: false,
        };
        let lists = [
            ("a", Kind::Service),
            ("b", Kind::Service),
            ("a", Kind::Ingress),
        ];
        let lists = lists.map(|(namespace, kind)| (kind, Some(Arc::from(namespace))));
        let mut filter = EventFilter::new(Fake, Vec::new(), selection, lists.clone());
        for (index, (kind, namespace)) in lists.into_iter().enumerate() {
            assert!(!filter.is_complete(), "{index} lists");
            filter.apply(Event::Replace {
                kind,
                namespace,
                objects: Vec::new(),
            });
        }
        let made = filter.made_for_unknown_hosts.iter();
        let class = made.clone().find_map(|object| match object {
            Object::Ingress(ingress) => Some(ingress.class_name.clone()),
            _ => None,
        });
        assert_eq!(class.flatten().as_deref(), expected);
        let classes = made.filter(|object| matches!(object, Object::IngressClass(_)));
        assert_eq!(classes.count(), usize::from(name.is_none()));
    }
}
