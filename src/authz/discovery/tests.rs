//! What is said by the control plane, and what is known then.

#![allow(clippy::unwrap_used)]

use envoy_types::pb::envoy::config::core::v3::{
    Address as PbAddressOf, DataSource, Pipe, SocketAddress,
};
use envoy_types::pb::envoy::config::endpoint::v3::{Endpoint as PbEndpoint, LocalityLbEndpoints};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::GenericSecret;
use envoy_types::pb::envoy::service::discovery::v3::Resource;
use envoy_types::pb::google::protobuf::Any;

use super::*;

/// A control plane that has said this.
pub fn serving(names: &[(&str, Option<&str>)]) -> Discovery {
    let (discovery, subscriptions) = discovery("test");
    for (name, lines) in names {
        let name = (ResourceType::Secret, Arc::from(*name));
        assert!(discovery.ask(&name).unwrap().is_err());
        discovery.take(&response(&name.1, lines.map(secret)));
    }
    // Whoever asks for another one waits in vain.
    std::mem::forget(subscriptions);
    discovery
}

fn secret(lines: &str) -> Vec<u8> {
    let inline = DataSource {
        specifier: Some(Specifier::InlineString(lines.to_owned())),
        ..Default::default()
    };
    let generic = GenericSecret {
        secret: Some(inline),
        ..Default::default()
    };
    let secret = Secret {
        name: String::new(),
        r#type: Some(secret::Type::GenericSecret(generic)),
    };
    secret.encode_to_vec()
}

fn response(name: &str, value: Option<Vec<u8>>) -> DeltaDiscoveryResponse {
    let mut response = DeltaDiscoveryResponse {
        type_url: ResourceType::Secret.type_url().to_owned(),
        ..Default::default()
    };
    match value {
        None => response.removed_resources.push(name.to_owned()),
        Some(value) => response.resources.push(Resource {
            name: name.to_owned(),
            resource: Some(Any {
                type_url: response.type_url.clone(),
                value,
            }),
            ..Default::default()
        }),
    }
    response
}

#[tokio::test(start_paused = true)]
async fn what_is_said_is_known_until_it_is_gone() {
    let (discovery, mut subscriptions) = discovery("test");
    let name: Arc<str> = "htpasswd/ns/users".into();
    let waits = discovery.passwords(&name);
    let mut waits = std::pin::pin!(waits);
    assert!(futures::poll!(waits.as_mut()).is_pending());
    let wanted = subscriptions.wanted.recv().await.unwrap();
    assert_eq!(wanted, (ResourceType::Secret, name.clone()));
    discovery.take(&response("htpasswd/ns/other", Some(secret("b:{SHA}x"))));
    assert!(futures::poll!(waits.as_mut()).is_pending());
    discovery.take(&response(&name, Some(secret("a:{SHA}x"))));
    let known = waits.await.unwrap();
    assert_eq!(known.credentials.hash("a"), Some("{SHA}x"));
    // It is asked for once.
    assert!(discovery.passwords(&name).await.is_some());
    assert!(subscriptions.wanted.try_recv().is_err());
    for gone in [
        None,
        Some(Vec::new()),
        Some(secret("no line")),
        Some(vec![255]),
    ] {
        discovery.take(&response(&name, gone));
        assert!(discovery.passwords(&name).await.is_none());
        discovery.take(&response(&name, Some(secret("a:{SHA}y"))));
        assert!(discovery.passwords(&name).await.is_some());
    }
    assert!(discovery.sweep().is_empty());
    tokio::time::advance(IDLE).await;
    assert_eq!(discovery.sweep(), [(ResourceType::Secret, name.clone())]);
    assert!(discovery.names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_not_waited_for() {
    let (discovery, _subscriptions) = discovery("test");
    let begun = Instant::now();
    assert!(
        discovery
            .passwords(&"htpasswd/ns/users".into())
            .await
            .is_none()
    );
    assert_eq!(begun.elapsed(), PATIENCE);
    assert!(
        discovery
            .passwords(&"htpasswd/ns/users".into())
            .await
            .is_none()
    );
    assert_eq!(begun.elapsed(), PATIENCE);
    assert!(discovery.endpoints(&"ns/auth/80".into()).await.is_empty());
    for number in 0..MOST {
        let name = (ResourceType::Secret, Arc::from(number.to_string()));
        let _ = discovery.ask(&name);
    }
    assert!(discovery.names().len() <= MOST);
    let begun = Instant::now();
    assert!(discovery.passwords(&"one/too/many".into()).await.is_none());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[test]
fn endpoints_are_those_that_serve() {
    let socket = |address: &str, status: HealthStatus| {
        let socket = SocketAddress {
            address: address.to_owned(),
            port_specifier: Some(PortSpecifier::PortValue(80)),
            ..Default::default()
        };
        lb_endpoint(PbAddress::SocketAddress(socket), status)
    };
    let pipe = Pipe {
        path: "/run/x.sock".to_owned(),
        mode: 0,
    };
    let locality = |priority, lb_endpoints| LocalityLbEndpoints {
        priority,
        lb_endpoints,
        ..Default::default()
    };
    let assignment = ClusterLoadAssignment {
        endpoints: vec![
            locality(1, vec![socket("10.0.0.3", HealthStatus::Unknown)]),
            locality(
                0,
                vec![
                    socket("10.0.0.1", HealthStatus::Unknown),
                    socket("10.0.0.2", HealthStatus::Draining),
                    socket("no address", HealthStatus::Healthy),
                    lb_endpoint(PbAddress::Pipe(pipe), HealthStatus::Healthy),
                ],
            ),
        ],
        ..Default::default()
    };
    let found = endpoints(&assignment.encode_to_vec());
    let expected = [
        Endpoint::Address("10.0.0.1:80".parse().unwrap()),
        Endpoint::Pipe("/run/x.sock".into()),
    ];
    assert_eq!(found, expected);
    assert!(endpoints(&[255]).is_empty());
}

fn lb_endpoint(address: PbAddress, status: HealthStatus) -> LbEndpoint {
    LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(PbEndpoint {
            address: Some(PbAddressOf {
                address: Some(address),
            }),
            ..Default::default()
        })),
        health_status: status.into(),
        ..Default::default()
    }
}
