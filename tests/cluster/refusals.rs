//! What Envoy refuses is told on the object that it was made from, where its owner looks.

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    PrivateKeyProvider, Secret, secret,
};
use envoy_types::pb::google::protobuf::Duration;
use prost::Message as _;

use crate::check::Transport;
use crate::installation::{Installation, becomes, cluster_service, our_site, slice};
use crate::support::ads::{CDS, SDS};
use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::eventually::eventually;
use crate::support::network::{address, alone};
use crate::support::stand::Stand;
use crate::support::xds_proxy::XdsProxy;

/// A cluster, whose owner is a Service, and a Secret: Envoy refuses each at decode.
pub(crate) fn spoil(type_url: &str, name: &str, bytes: Vec<u8>) -> Vec<u8> {
    if type_url == CDS && name.contains("/bad/") {
        let mut cluster = Cluster::decode(&*bytes).unwrap();
        cluster.connect_timeout = Some(Duration {
            seconds: -1,
            nanos: 0,
        });
        return cluster.encode_to_vec();
    }
    if type_url == SDS && name.ends_with("/bad") {
        let mut secret = Secret::decode(&*bytes).unwrap();
        if let Some(secret::Type::TlsCertificate(certificate)) = &mut secret.r#type {
            certificate.private_key_provider = Some(PrivateKeyProvider::default());
        }
        return secret.encode_to_vec();
    }
    bytes
}

#[test]
fn the_owner_is_told() {
    alone(async || {
        let Some(cluster) = Installation::start().await else {
            return;
        };
        let web = Backend::start_at("web", address(2)).await;
        cluster.apply(&[
            cluster_service("web"),
            slice("web", web.address()),
            cluster_service("bad"),
            slice("bad", web.address()),
            Authority::new().leaf(&["bad.test"]).secret("bad"),
            our_site("web", "web.test", "web:80"),
            our_site("bad", "bad.test", "bad:80").tls(&["bad.test"], "bad"),
        ]);
        let mut isobath = cluster.isobath("pod", &[]);
        isobath.restart().await;
        let proxy = XdsProxy::start(isobath.directory(), &isobath.xds());
        proxy.rewrite(spoil);
        let stand = Stand::behind(isobath, proxy.socket(), &[]).await;
        becomes(&stand, Transport::Http1, "web.test", "/", "web").await;

        for kind in ["service", "secret"] {
            eventually("kubectl describe shows the refusal", async || {
                let text = cluster.kubectl(&["describe", kind, "bad"], "");
                // Secrets are described without their Events: those are asked for as `describe` does.
                let uid =
                    cluster.kubectl(&["get", kind, "bad", "-o", "jsonpath={.metadata.uid}"], "");
                let selector = format!("involvedObject.uid={uid}");
                let events = cluster.kubectl(&["get", "events", "--field-selector", &selector], "");
                let described = kind == "secret" || text.contains("Refused");
                match described && events.contains("Refused") && events.contains("Warning") {
                    true => Ok(()),
                    false => Err(format!("{text}{events}")),
                }
            })
            .await;
        }
        let healthy = cluster.kubectl(&["describe", "service", "web"], "");
        assert!(!healthy.contains("Refused"), "{healthy}");
        // It has refused what it should have.
        stand.envoy.kill().await;
    });
}
