//! EndpointSlice (`pkg/apis/discovery/validation`).

use std::sync::Arc;

use serde::Deserialize;

use super::super::validate::{
    self, FieldError, Rules, at_most, duplicate, not_supported, required,
};
use super::super::{AddressType, Endpoint, EndpointPort, EndpointSlice, Kind, Object};
use super::json::{Int, List, Struct, Text};
use super::metadata::MetadataWire;
use super::service::protocol;
use super::wire::Wire;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SliceWire<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    metadata: Struct<MetadataWire<'a>>,
    #[serde(borrow)]
    address_type: Text<'a>,
    #[serde(borrow)]
    ports: List<Struct<PortWire<'a>>>,
    #[serde(borrow)]
    endpoints: List<Struct<EndpointWire<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PortWire<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    protocol: Option<Text<'a>>,
    #[serde(borrow)]
    app_protocol: Option<Text<'a>>,
    port: Option<Int>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EndpointWire<'a> {
    #[serde(borrow)]
    addresses: List<Text<'a>>,
    conditions: Struct<ConditionsWire>,
    #[serde(borrow)]
    zone: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ConditionsWire {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

impl<'a> Wire<'a> for SliceWire<'a> {
    fn kind(&self) -> &str {
        self.kind.as_str()
    }

    fn metadata(&self) -> &MetadataWire<'a> {
        &self.metadata.0
    }

    /// `ValidateEndpointSlice`, on what is read of it.
    fn check(self, rules: Rules) -> Result<Object, FieldError> {
        const MAX_ENDPOINTS: usize = 1000;
        let metadata = self.metadata.0.check(Kind::EndpointSlice)?;
        let address_type = match self.address_type.as_str() {
            "IPv4" => AddressType::V4,
            "IPv6" => AddressType::V6,
            "FQDN" => AddressType::Fqdn,
            "" => return Err(required("addressType", "")),
            other => {
                let supported = ["FQDN", "IPv4", "IPv6"];
                return Err(not_supported("addressType", other, &supported));
            }
        };
        let [ports, udp_ports] = ports(&self.ports.0)?;
        at_most("endpoints", self.endpoints.0.len(), MAX_ENDPOINTS)?;
        let mut endpoints = Vec::with_capacity(self.endpoints.0.len());
        for (index, Struct(wire)) in self.endpoints.0.iter().enumerate() {
            endpoints.extend(endpoint(index, wire, address_type, rules)?);
        }
        let service = self.metadata.0.label("kubernetes.io/service-name");
        Ok(Object::EndpointSlice(Arc::new(EndpointSlice {
            metadata,
            service: service.filter(|name| !name.is_empty()),
            address_type,
            ports,
            udp_ports,
            endpoints: endpoints.into(),
        })))
    }
}

/// `validatePorts`; the ports of TCP and those of UDP. The number is checked by nobody: one that is none is kept as no number.
fn ports(wires: &[Struct<PortWire<'_>>]) -> Result<[Box<[EndpointPort]>; 2], FieldError> {
    const MAX_PORTS: usize = 20_000;
    at_most("ports", wires.len(), MAX_PORTS)?;
    let (mut tcp, mut udp) = (Vec::with_capacity(wires.len()), Vec::new());
    let mut names = std::collections::BTreeSet::new();
    for (index, Struct(wire)) in wires.iter().enumerate() {
        let at = format!("ports[{index}]");
        let name = wire.name.as_str();
        if !name.is_empty() {
            validate::dns_label(format_args!("{at}.name"), name)?;
        }
        if !names.insert(name) {
            return Err(duplicate(format_args!("{at}.name"), name));
        }
        let protocol = match &wire.protocol {
            None => "TCP",
            Some(given) if given.is_empty() => {
                return Err(not_supported(
                    format_args!("{at}.protocol"),
                    "",
                    &["SCTP", "TCP", "UDP"],
                ));
            }
            Some(given) => protocol(&at, given.as_str())?,
        };
        if let Some(app_protocol) = &wire.app_protocol {
            let at = format_args!("{at}.appProtocol");
            validate::qualified_name(at, app_protocol.as_str())?;
        }
        let of_protocol = match protocol {
            "TCP" => &mut tcp,
            "UDP" => &mut udp,
            _ => continue,
        };
        of_protocol.push(EndpointPort {
            name: Arc::from(name),
            port: wire
                .port
                .and_then(|Int(port)| u16::try_from(port).ok())
                .filter(|port| *port != 0),
        });
    }
    Ok([tcp, udp].map(|mut ports| {
        ports.sort_by(|a: &EndpointPort, b| a.name.cmp(&b.name));
        ports.into()
    }))
}

/// `validateEndpoints`, one of them; none where its addresses are names.
fn endpoint(
    index: usize,
    wire: &EndpointWire<'_>,
    address_type: AddressType,
    rules: Rules,
) -> Result<Option<Endpoint>, FieldError> {
    const MAX_ADDRESSES: usize = 100;
    let texts = &wire.addresses.0;
    let at = format!("endpoints[{index}].addresses");
    if texts.is_empty() {
        return Err(required(at, "must contain at least 1 address"));
    }
    at_most(&at, texts.len(), MAX_ADDRESSES)?;
    let mut first = None;
    for (index, text) in texts.iter().enumerate() {
        let v6 = match address_type {
            AddressType::V4 => false,
            AddressType::V6 => true,
            AddressType::Fqdn => {
                validate::full_domain_name(format_args!("{at}[{index}]"), text.as_str())?;
                continue;
            }
        };
        let address = validate::endpoint_address(&at, index, text.as_str(), v6, rules)?;
        first.get_or_insert(address);
    }
    let conditions = &wire.conditions.0;
    let ready = conditions.ready.unwrap_or(true);
    let zone = wire.zone.as_ref().map(|zone| Arc::from(zone.as_str()));
    Ok(first.map(|address| Endpoint {
        address,
        ready,
        serving: conditions.serving.unwrap_or(ready),
        terminating: conditions.terminating.unwrap_or(false),
        zone: zone.filter(|zone: &Arc<str>| !zone.is_empty()),
    }))
}
