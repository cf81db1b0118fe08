//! The messages of the incremental variant.

use super::client::Client;
use super::message::{Ask, Protocol, RefusalText, Request, Response, Variant};
use super::wire;

/// The incremental variant.
#[derive(Debug)]
pub struct Delta;

impl Protocol for Delta {
    const VARIANT: Variant = Variant::Delta;
    type Request = wire::DeltaDiscoveryRequest;
    type Response = wire::DeltaDiscoveryResponse;

    fn parse(request: Self::Request) -> Request {
        Request {
            type_url: request.type_url,
            client: request.node.as_ref().and_then(Client::of),
            nonce: request.response_nonce,
            refusal: request
                .error_detail
                .map(|status| RefusalText::new(&status.message)),
            ask: Ask::Delta {
                subscribe: request.resource_names_subscribe,
                unsubscribe: request.resource_names_unsubscribe,
                claimed: request.initial_resource_versions,
            },
        }
    }

    fn frame(response: &Response, identifier: &str) -> Self::Response {
        let type_url = response.resource_type.type_url();
        wire::DeltaDiscoveryResponse {
            system_version_info: response.version.to_string(),
            resources: response
                .resources
                .iter()
                .map(|resource| wire::Resource {
                    version: resource.version().to_string(),
                    resource: Some(wire::Any {
                        type_url: type_url.into(),
                        value: resource.bytes(),
                    }),
                    name: resource.name().to_string(),
                })
                .collect(),
            type_url: type_url.into(),
            nonce: response.nonce.to_string(),
            removed_resources: response.removed.iter().map(ToString::to_string).collect(),
            control_plane: Some(wire::ControlPlane {
                identifier: identifier.into(),
            }),
        }
    }
}
