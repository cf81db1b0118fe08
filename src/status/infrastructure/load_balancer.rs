//! The Service of type LoadBalancer by which a Gateway is reached, with its EndpointSlices.
//!
//! The API server gives each of its ports a node port, which no other Service of the cluster has. That number is where the pods
//! listen for it, so the Service is applied a second time once it has them, to lead there. It selects nothing, as the pods are in
//! another namespace: its slices name them.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::super::writes::CALL_LIMIT;
use super::kept::{Calls, MANAGED_BY, is_labelled, is_owned, metadata, owner};
use crate::model::verdict::{Infrastructure, LoadBalancer, PodEndpoint};
use crate::objects::NamespacedName;
use crate::status::api_call::{Failure, within};

/// The families of addresses, and what the name of the slice of each ends with.
const FAMILIES: [(&str, &str); 2] = [("IPv4", "-ipv4"), ("IPv6", "-ipv6")];

/// A port with what the API server gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Port {
    number: u16,
    is_udp: bool,
    /// 0 where it has none yet.
    node_port: u16,
}

impl Port {
    const fn protocol(self) -> &'static str {
        match self.is_udp {
            true => "UDP",
            false => "TCP",
        }
    }

    fn name(self) -> String {
        format!("{}-{}", self.protocol().to_lowercase(), self.number)
    }
}

/// Has the Service and its slices there.
pub(super) async fn keep(
    calls: &Calls,
    (gateway, uid): (&NamespacedName, &str),
    wanted: &Infrastructure,
    of: &LoadBalancer,
) -> Result<(), Failure> {
    let of_service = metadata(gateway, &owner(gateway, uid), wanted, &of.service, &[]);
    let there = calls.look((gateway, uid), &of.service).await?;
    let mut ports = ports(of, there.as_ref());
    let mut uid = None;
    // Once, where it has all node ports already.
    for _ in 0..2 {
        let service = service(of_service.clone(), of, &ports);
        let there = calls.apply(gateway, &of.service, &service).await?;
        let given = self::ports(of, Some(&there));
        uid = there.metadata.uid;
        let is_settled = given == ports;
        ports = given;
        if is_settled {
            break;
        }
    }
    slices(calls, (gateway, uid), wanted, of, &ports).await
}

/// Has the slices lead to the pods of now: in general it is one pod more or less, for every Gateway, and each call counts. Returns
/// whether the Service is there.
pub(super) async fn keep_slices(
    calls: &Calls,
    (gateway, uid): (&NamespacedName, &str),
    wanted: &Infrastructure,
    of: &LoadBalancer,
) -> Result<bool, Failure> {
    let Some(there) = calls.look((gateway, uid), &of.service).await? else {
        return Ok(false);
    };
    let ports = ports(of, Some(&there));
    slices(calls, (gateway, there.metadata.uid), wanted, of, &ports).await?;
    Ok(true)
}

/// Writes the slices of a Service, of this `uid`. What they lead to is where the clients of a Gateway are sent: so another manager's
/// word in one is never overruled, and one that is somebody else's as a whole is left alone.
async fn slices(
    calls: &Calls,
    (gateway, uid): (&NamespacedName, Option<String>),
    wanted: &Infrastructure,
    of: &LoadBalancer,
    ports: &[Port],
) -> Result<(), Failure> {
    if ports.iter().any(|port| port.node_port == 0) {
        let message = format!(
            "Service {}/{} has not been given a node port for each of its ports",
            gateway.namespace, of.service
        );
        return Err(Failure::Declined(message));
    }
    // They go with the Service, also where the Gateway stays.
    let uid = uid.unwrap_or_default();
    let owner = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "name": of.service,
        "uid": uid,
    });
    let api: Api<EndpointSlice> = Api::namespaced(calls.client.clone(), &gateway.namespace);
    let params = PatchParams::apply(&calls.field_manager);
    for (family, suffix) in FAMILIES {
        let name = format!("{}{suffix}", of.service);
        let labels = [
            ("kubernetes.io/service-name", &*of.service),
            ("endpointslice.kubernetes.io/managed-by", "isobath.dev"),
        ];
        let slice = slice(
            metadata(gateway, &owner, wanted, &name, &labels),
            family,
            of,
            ports,
        );
        if let Some(there) = within(CALL_LIMIT, api.get_opt(&name)).await? {
            may_write(&there, &of.service, &uid)?;
        }
        let written = within(CALL_LIMIT, api.patch(&name, &params, &Patch::Apply(slice))).await;
        written.map_err(|failure| match failure {
            Failure::Refused {
                code: 409, message, ..
            } if message.contains("conflict") => Failure::Declined(format!(
                "EndpointSlice {}/{name} says something else by the will of another field manager, so delete it ({message})",
                gateway.namespace
            )),
            other => other,
        })?;
    }
    Ok(())
}

/// Whether a slice that is there is one for the Service of this `uid`.
fn may_write(there: &EndpointSlice, service: &str, uid: &str) -> Result<(), Failure> {
    if is_owned(there, uid) {
        return Ok(());
    }
    let (namespace, name) = (there.namespace().unwrap_or_default(), there.name_any());
    let mut owners = there.owner_references().iter();
    let is_of_before = owners.any(|owner| owner.kind == "Service" && owner.name == service);
    if is_labelled(there) && is_of_before {
        // It goes with that Service, before long.
        return Err(Failure::Refused {
            code: 409,
            message: format!("EndpointSlice {namespace}/{name} is of a Service that is gone"),
            retry_after: None,
        });
    }
    let (label, value) = MANAGED_BY;
    Err(Failure::Declined(format!(
        "EndpointSlice {namespace}/{name} is there and lacks the label {label}={value} or the uid of Service {service} among its owners: it needs another name"
    )))
}

/// The ports that it is to have, with the node ports of the Service that is there.
fn ports(of: &LoadBalancer, there: Option<&Service>) -> Vec<Port> {
    let there = there.and_then(|it| it.spec.as_ref()?.ports.as_ref());
    let node_port = |number: u16, is_udp: bool| {
        let mut ports = there.into_iter().flatten();
        let port = ports.find(|it| {
            it.port == i32::from(number) && (it.protocol.as_deref() == Some("UDP")) == is_udp
        });
        let node_port = port.and_then(|it| it.node_port).unwrap_or_default();
        u16::try_from(node_port).unwrap_or_default()
    };
    let ports = of.ports.iter();
    let ports = ports.map(|(number, is_udp)| Port {
        number: *number,
        is_udp: *is_udp,
        node_port: node_port(*number, *is_udp),
    });
    ports.collect()
}

fn service(metadata: Value, of: &LoadBalancer, ports: &[Port]) -> Value {
    let ports = ports.iter().map(|port| {
        let mut said = json!({
            "name": port.name(),
            "port": port.number,
            "protocol": port.protocol(),
        });
        if port.node_port != 0 {
            said["targetPort"] = port.node_port.into();
        }
        said
    });
    let ports: Vec<Value> = ports.collect();
    let mut spec = json!({
        "type": "LoadBalancer",
        "allocateLoadBalancerNodePorts": true,
        "ports": ports,
    });
    if let Some(address) = of.address {
        spec["loadBalancerIP"] = address.to_string().into();
    }
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
}

fn slice(metadata: Value, family: &str, of: &LoadBalancer, ports: &[Port]) -> Value {
    let is_of_family = |pod: &&PodEndpoint| match pod.address {
        IpAddr::V4(_) => family == "IPv4",
        IpAddr::V6(_) => family == "IPv6",
    };
    let pods = of.pods.iter().filter(is_of_family).map(|pod| {
        let mut said = json!({
            "addresses": [pod.address],
            "conditions": {
                "ready": pod.ready,
                "serving": pod.serving,
                "terminating": pod.terminating,
            },
        });
        if let Some(zone) = &pod.zone {
            said["zone"] = (&**zone).into();
        }
        said
    });
    let ports = ports.iter().map(
        |port| json!({"name": port.name(), "port": port.node_port, "protocol": port.protocol()}),
    );
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": family,
        "endpoints": pods.collect::<Vec<_>>(),
        "ports": ports.collect::<Vec<_>>(),
    })
}
