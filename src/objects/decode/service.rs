//! Service (`validateService` of `pkg/apis/core/validation`).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::validate::{self, FieldError, Rules, duplicate, not_supported, required};
use super::super::{
    IpFamily, Kept, KeptPort, Kind, Object, Service, ServicePort, ServiceType, SessionAffinity,
    as_place,
};
use super::json::{Bool, Int, List, Struct, Text};
use super::metadata::{MetadataWire, StatusWire};
use super::wire::Wire;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ServiceWire<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    metadata: Struct<MetadataWire<'a>>,
    #[serde(borrow)]
    spec: Struct<SpecWire<'a>>,
    #[serde(borrow)]
    status: Struct<StatusWire<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SpecWire<'a> {
    #[serde(borrow, rename = "type")]
    service_type: Text<'a>,
    #[serde(borrow, rename = "clusterIP")]
    cluster_ip: Text<'a>,
    #[serde(borrow)]
    external_name: Text<'a>,
    #[serde(borrow)]
    ports: List<Struct<PortWire<'a>>>,
    #[serde(borrow)]
    ip_families: List<Text<'a>>,
    #[serde(borrow)]
    session_affinity: Text<'a>,
    publish_not_ready_addresses: Bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PortWire<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    protocol: Text<'a>,
    #[serde(borrow)]
    app_protocol: Option<Text<'a>>,
    port: Int,
    node_port: Int,
    #[serde(borrow)]
    target_port: Option<&'a RawValue>,
}

impl<'a> Wire<'a> for ServiceWire<'a> {
    fn kind(&self) -> &str {
        self.kind.as_str()
    }

    fn metadata(&self) -> &MetadataWire<'a> {
        &self.metadata.0
    }

    /// `validateService`, on what is read of it, after the API server's defaults.
    fn check(self, rules: Rules) -> Result<Object, FieldError> {
        let metadata = self.metadata.0.check(Kind::Service)?;
        let spec = &self.spec.0;
        let service_type = match spec.service_type.as_str() {
            "" | "ClusterIP" | "NodePort" | "LoadBalancer" => ServiceType::Endpoints,
            "ExternalName" => external_name(spec.external_name.as_str())?,
            other => {
                let supported = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
                return Err(not_supported("spec.type", other, &supported));
            }
        };
        if spec.ports.0.is_empty()
            && service_type == ServiceType::Endpoints
            && spec.cluster_ip.as_str() != "None"
        {
            return Err(required("spec.ports", ""));
        }
        let session_affinity = match spec.session_affinity.as_str() {
            "" | "None" => SessionAffinity::None,
            "ClientIP" => SessionAffinity::ClientIp,
            other => {
                let supported = ["ClientIP", "None"];
                return Err(not_supported("spec.sessionAffinity", other, &supported));
            }
        };
        let mut ip_families = Vec::with_capacity(spec.ip_families.0.len());
        for (index, family) in spec.ip_families.0.iter().enumerate() {
            ip_families.push(match family.as_str() {
                "IPv4" => IpFamily::V4,
                "IPv6" => IpFamily::V6,
                other => {
                    let at = format_args!("spec.ipFamilies[{index}]");
                    return Err(not_supported(at, other, &["IPv4", "IPv6"]));
                }
            });
        }
        let [ports, udp_ports] = ports(&spec.ports.0)?;
        let (label, value) = Service::MANAGED_BY;
        let is_kept = self.metadata.0.label(label).as_deref() == Some(value);
        Ok(Object::Service(Arc::new(Service {
            kept: is_kept.then(|| {
                Box::new(Kept {
                    ports: kept_ports(&spec.ports.0),
                    owners: self.metadata.0.owners(),
                    is_ending: self.metadata.0.is_ending(),
                })
            }),
            metadata,
            service_type,
            ports,
            udp_ports,
            ip_families: ip_families.into(),
            session_affinity,
            cluster_ip: validate::service_address(spec.cluster_ip.as_str(), rules),
            publish_not_ready_addresses: spec.publish_not_ready_addresses.0,
            load_balancer: self.status.0.addresses(),
        })))
    }
}

fn external_name(name: &str) -> Result<ServiceType, FieldError> {
    // A trailing dot makes the name a fully qualified one.
    let relative = name.strip_suffix('.').unwrap_or(name);
    if relative.is_empty() {
        return Err(required("spec.externalName", ""));
    }
    validate::dns_subdomain("spec.externalName", relative)?;
    Ok(ServiceType::ExternalName(Arc::from(name)))
}

/// `validateServicePort` and the two rules on duplicates; the ports of TCP and those of UDP. Those of SCTP are checked and
/// left out.
fn ports(wires: &[Struct<PortWire<'_>>]) -> Result<[Box<[ServicePort]>; 2], FieldError> {
    let (mut tcp, mut udp) = (Vec::with_capacity(wires.len()), Vec::new());
    let mut names = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    for (index, Struct(wire)) in wires.iter().enumerate() {
        let at = format!("spec.ports[{index}]");
        let name = wire.name.as_str();
        if !name.is_empty() {
            validate::dns_label(format_args!("{at}.name"), name)?;
            if !names.insert(name) {
                return Err(duplicate(format_args!("{at}.name"), name));
            }
        } else if wires.len() > 1 {
            return Err(required(format_args!("{at}.name"), ""));
        }
        let port = validate::port_number(format_args!("{at}.port"), wire.port.0)?;
        let protocol = protocol(&at, wire.protocol.as_str())?;
        if let Some(app_protocol) = &wire.app_protocol {
            let at = format_args!("{at}.appProtocol");
            validate::qualified_name(at, app_protocol.as_str())?;
        }
        if !numbers.insert((protocol, port)) {
            return Err(duplicate(at, &format!("{port}/{protocol}")));
        }
        let of_protocol = match protocol {
            "TCP" => &mut tcp,
            "UDP" => &mut udp,
            _ => continue,
        };
        of_protocol.push(ServicePort {
            at: as_place(index),
            name: Arc::from(name),
            port,
            app_protocol: wire
                .app_protocol
                .as_ref()
                .map(|text| Arc::from(text.as_str())),
        });
    }
    Ok([tcp.into(), udp.into()])
}

/// The ports as nodes have them, less those of SCTP.
fn kept_ports(wires: &[Struct<PortWire<'_>>]) -> Box<[KeptPort]> {
    let wires = wires.iter().map(|Struct(wire)| wire);
    let ports = wires.filter(|wire| wire.protocol.as_str() != "SCTP");
    let number = |Int(value): &Int| u16::try_from(*value).unwrap_or_default();
    let ports = ports.map(|wire| KeptPort {
        port: number(&wire.port),
        is_udp: wire.protocol.as_str() == "UDP",
        node_port: number(&wire.node_port),
        target_port: (wire.target_port)
            .and_then(|it| it.get().parse().ok())
            .unwrap_or_default(),
    });
    ports.collect()
}

/// The protocol of a port, TCP where none is given.
pub(super) fn protocol(at: &str, value: &str) -> Result<&'static str, FieldError> {
    match value {
        "" | "TCP" => Ok("TCP"),
        "UDP" => Ok("UDP"),
        "SCTP" => Ok("SCTP"),
        other => {
            let supported = ["SCTP", "TCP", "UDP"];
            Err(not_supported(
                format_args!("{at}.protocol"),
                other,
                &supported,
            ))
        }
    }
}
