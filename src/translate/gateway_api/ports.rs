//! Which listeners have a port of the fleet: one that leads to the pods, and where nothing else is spoken.

use crate::translate::Input;

use super::effective::{EffectiveListener, Transport};
use super::fault::Fault;
use super::options::{FleetPorts, PodPort};

/// Says of listeners that are reached by the fleet's ports which ask for one that leads nowhere, or where something else is spoken.
pub fn check_ports(input: Input<'_>, listeners: &mut [EffectiveListener]) {
    let ports = &input.options.gateway.ports;
    for listener in listeners.iter_mut().filter(|it| it.fault.is_none()) {
        let Some(protocol) = listener.protocol else {
            continue;
        };
        let port = (listener.port, protocol.transport());
        match ports.pod_port(port) {
            None => listener.fault = Some(unavailable(ports, port)),
            Some(pod) if pod.takes(protocol) => {}
            Some(pod) => {
                let spoken = match pod {
                    PodPort::Http => "HTTP",
                    _ => "TLS (protocols HTTPS and TLS)",
                };
                let message = format!(
                    "port {} is where Ingresses have {spoken}: choose another port of --envoy-ports, or an address of its own",
                    listener.port
                );
                listener.fault = Some(Fault::new("ProtocolConflict", message));
                listener.is_conflicted = true;
            }
        }
    }
}

fn unavailable(ports: &FleetPorts, (port, transport): (u16, Transport)) -> Fault {
    let there: Vec<String> = ports.of(transport).map(|port| port.to_string()).collect();
    let there = match there.is_empty() {
        true => format!("none of {transport} does"),
        false => format!("{} of {transport} do", there.join(", ")),
    };
    let suffix = match transport {
        Transport::Tcp => "",
        Transport::Udp => "/udp",
    };
    let message = format!(
        "port {port} of {transport} leads to no port of Envoy's pods, {there}: choose such a one, or add {port}=PORT{suffix} to --envoy-ports and the port to the manifest"
    );
    Fault::new("PortUnavailable", message)
}
