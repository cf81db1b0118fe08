//! Gateways with Services of their own on a real Envoy: where a listener is, once its Service has been given another node port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use isobath::build::{Builder, Config};
use isobath::objects::*;
use isobath::translate::{GatewayOptions, GatewayServices, Options};
use isobath::xds::ResourceType;
use serde_json::json;

use crate::ads::Resources;
use crate::backend;
use crate::client::{plain, request};
use crate::eventually::eventually;
use crate::fixture::config;
use crate::gateways::{object, slice};
use crate::port::Port;
use crate::proxy::{Proxy, envoy};

struct Plane(Builder);

impl Plane {
    async fn new() -> Self {
        let mut settings = Config::of_manifests(Options {
            gateway: GatewayOptions {
                services: Some(GatewayServices {
                    envoy: NamespacedName::new("default", "envoy"),
                    address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                    taken: Box::default(),
                }),
                ..GatewayOptions::default()
            },
            ..Options::default()
        });
        settings.listeners = config();
        let mut plane = Self(Builder::new(settings));
        let class = json!({"controllerName": "isobath.dev/gateway-controller"});
        plane.apply(object(Kind::GatewayClass, "isobath", &class));
        let ports = json!({"ports": [{"port": 80}]});
        for name in ["a", "envoy"] {
            plane.apply(object(Kind::Service, name, &ports));
        }
        plane.apply(slice("a", backend::start("a").await));
        let listener = json!({"name": "http", "port": 80, "protocol": "HTTP"});
        let spec = json!({"gatewayClassName": "isobath", "listeners": [listener]});
        plane.apply(object(Kind::Gateway, "edge", &spec));
        let backend = json!({"name": "a", "port": 80});
        let spec = json!({"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [backend]}]});
        plane.apply(object(Kind::HttpRoute, "web", &spec));
        plane.0.build();
        plane
    }

    fn apply(&mut self, object: Object) {
        self.0.apply(Event::Apply(object));
    }

    /// The Gateway's Service has this node port now, as the API server has given it.
    fn give(&mut self, node_port: u16) {
        let gateway = ObjectRef::new(Kind::Gateway, "default", "edge");
        let facts = &self.0.statuses().gateway_api[&gateway];
        let wanted = facts.wanted.as_ref().unwrap();
        let infrastructure = wanted.infrastructure.as_ref().unwrap();
        let load_balancer = infrastructure.load_balancer.as_ref().unwrap();
        let (label, value) = Service::MANAGED_BY;
        let service = json!({
            "metadata": {
                "namespace": "default", "name": load_balancer.service, "labels": {label: value},
                "ownerReferences": [{"kind": "Gateway", "name": "edge", "uid": facts.uid}],
            },
            "spec": {
                "type": "LoadBalancer",
                "ports": [{"port": 80, "nodePort": node_port, "targetPort": node_port}],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
        });
        let service = decode(Kind::Service, &service.to_string()).unwrap();
        assert!(!matches!(service, Object::Invalid(_)), "{service:?}");
        self.apply(service);
    }

    fn resources(&mut self) -> Resources {
        self.0.build();
        let mut all = Resources::new();
        for of in ResourceType::ALL {
            for (name, resource) in self.0.snapshot().resources(of) {
                all.insert((of, name.to_string()), resource.bytes());
            }
        }
        all
    }
}

/// The names of the listeners that are a Gateway's.
fn names(all: &Resources) -> Vec<String> {
    let names = all.keys().filter(|(of, _)| *of == ResourceType::Listener);
    let names = names.map(|(_, name)| name.clone());
    names.filter(|name| name.starts_with("gw/")).collect()
}

async fn until(address: SocketAddr, answers: bool) {
    eventually(&format!("{address} answers: {answers}"), async || {
        if tokio::net::TcpStream::connect(address).await.is_err() {
            return match answers {
                false => Ok(()),
                true => Err("nobody listens".to_owned()),
            };
        }
        match plain(address, &request("GET", "a.test", "/", &[]))
            .await
            .status
        {
            200 if answers => Ok(()),
            status => Err(format!("{status}")),
        }
    })
    .await;
}

/// The listener keeps its name, and moves.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_follows_its_node_port() {
    let Some(envoy) = envoy() else { return };
    let mut plane = Plane::new().await;
    let ports = [Port::take(), Port::take()];
    let [first, second] = ports.each_ref().map(Port::address);
    plane.give(first.port());
    let all = plane.resources();
    let name = names(&all);
    assert_eq!(name.len(), 1);
    let proxy = Proxy::start(&envoy, all).await;
    until(first, true).await;

    for (now, gone) in [(second, first), (first, second)] {
        plane.give(now.port());
        let all = plane.resources();
        assert_eq!(names(&all), name);
        proxy.replace(|resources| *resources = all);
        until(now, true).await;
        // It drains first.
        until(gone, false).await;
    }
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}
