//! Random histories of objects: what happens to them one after another, in worlds that are all random or about one language.

use std::collections::BTreeMap;
use std::sync::Arc;

use isobath::objects::{
    Event, Kind, Object, ObjectRef, Service, ServicePort, ServiceType, SessionAffinity,
};
use proptest::prelude::*;
use proptest::sample::select;

use super::extension_services::{self, extension_service};
use super::gateways::{
    self, backend_tls_policy, gateway, grpc_route, http_route, listener_set, reference_grant,
};
use super::http_proxies::http_proxy;
use super::{NAMESPACES, SERVICES, delegation, ingress, metadata, object, of_kind, secret};

fn list() -> impl Strategy<Value = (Kind, Vec<Object>)> {
    select(&Kind::ALL[..])
        .prop_flat_map(|kind| (Just(kind), prop::collection::vec(of_kind(kind), 0..4)))
}

/// One event, which touches some objects or replaces a kind's.
fn event(object: BoxedStrategy<Object>) -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => object.clone().prop_map(Event::Apply),
        2 => object.prop_map(|object| Event::Delete(object.reference())),
        1 => (list(), prop::option::of(select(&NAMESPACES[..])))
            .prop_map(|((kind, objects), namespace)| Event::Replace {
                kind,
                namespace: namespace.map(Arc::from),
                objects: objects
                    .into_iter()
                    .filter(|object| namespace.is_none_or(|namespace| &*object.reference().name.namespace == namespace))
                    .collect(),
            }),
    ]
}

/// A step of a history: an event or several at once, and whether the builder builds after it.
fn step(object: BoxedStrategy<Object>) -> impl Strategy<Value = (Event, bool)> {
    let event = prop_oneof![
        8 => event(object.clone()),
        1 => prop::collection::vec(event(object), 0..4).prop_map(Event::Batch),
    ];
    (event, any::<bool>())
}

/// The object as it is created anew under its name: nothing but its identity is another one.
fn created_anew(object: &Object) -> Object {
    let mut object = object.clone();
    if let Some(metadata) = object.metadata_mut() {
        metadata.uid = format!("after {}", metadata.uid).into();
    }
    object
}

/// The Services that are there in every world that is more than random.
fn services() -> impl Iterator<Item = Object> {
    NAMESPACES.into_iter().flat_map(|namespace| {
        let service = |name: &str| {
            let port = ServicePort {
                at: 0,
                name: "http".into(),
                port: 80,
                app_protocol: None,
            };
            Object::Service(Arc::new(Service {
                metadata: metadata(namespace, name, "", None, &[]),
                service_type: ServiceType::Endpoints,
                ports: [port].into(),
                udp_ports: Box::default(),
                ip_families: Box::default(),
                session_affinity: SessionAffinity::None,
                cluster_ip: None,
                publish_not_ready_addresses: false,
                kept: None,
                load_balancer: Arc::default(),
            }))
        };
        SERVICES[..2].iter().map(move |name| service(name))
    })
}

/// Steps of these objects in a world whose Services and Secrets are there.
fn history_in(
    world: impl Iterator<Item = Object>,
    object: BoxedStrategy<Object>,
) -> impl Strategy<Value = Vec<(Event, bool)>> {
    let world: Vec<_> = services()
        .chain(world)
        .map(|object| (Event::Apply(object), false))
        .collect();
    let secrets = prop::collection::vec(secret().prop_map(|it| (Event::Apply(it), false)), 3);
    (secrets, history_of(object))
        .prop_map(move |(secrets, steps)| [&world[..], &secrets, &steps].concat())
}

/// Steps of HTTPProxies and what they name above all: in a world of all kinds hardly a tree of includes has a route.
pub fn history_of_proxies() -> impl Strategy<Value = Vec<(Event, bool)>> {
    let object = prop_oneof![
        12 => http_proxy(),
        2 => extension_service(),
        2 => secret(),
        1 => delegation(),
        1 => ingress(),
        2 => object(),
    ];
    history_in(extension_services::usable(), object.boxed())
}

/// The same of Gateways, and of routes that are attached to them.
pub fn history_of_gateways() -> impl Strategy<Value = Vec<(Event, bool)>> {
    let object = prop_oneof![
        6 => gateway(),
        8 => http_route(),
        1 => grpc_route(),
        1 => listener_set(),
        1 => backend_tls_policy(),
        1 => reference_grant(),
        1 => http_proxy(),
        2 => object(),
    ];
    history_in([gateways::own_class()].into_iter(), object.boxed())
}

/// Steps one after another. Among them are objects that are created anew while everything else is as it was.
pub fn history_of(object: BoxedStrategy<Object>) -> impl Strategy<Value = Vec<(Event, bool)>> {
    let steps = prop_oneof![
        8 => step(object.clone()).prop_map(|step| vec![step]),
        1 => object.prop_map(|object| {
            let anew = created_anew(&object);
            vec![(Event::Apply(object), true), (Event::Apply(anew), true)]
        }),
    ];
    prop::collection::vec(steps, 1..14).prop_map(|steps| steps.concat())
}

/// What the events come to, by the plainest means.
pub fn replay(events: &[(Event, bool)]) -> BTreeMap<ObjectRef, Object> {
    let mut objects = BTreeMap::new();
    for (event, _) in events {
        take_in(&mut objects, event.clone());
    }
    objects
}

/// Takes one event in.
pub fn take_in(objects: &mut BTreeMap<ObjectRef, Object>, event: Event) {
    match event {
        Event::Apply(object) => {
            objects.insert(object.reference(), object);
        }
        Event::Delete(reference) => {
            objects.remove(&reference);
        }
        Event::Replace {
            kind,
            namespace,
            objects: listed,
        } => {
            objects.retain(|reference, _| {
                reference.kind != kind
                    || namespace
                        .as_ref()
                        .is_some_and(|ns| *ns != reference.name.namespace)
            });
            let listed = listed.into_iter();
            objects.extend(listed.map(|object| (object.reference(), object)));
        }
        Event::Batch(events) => {
            for event in events {
                take_in(objects, event);
            }
        }
    }
}
