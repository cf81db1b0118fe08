//! The messages of the state-of-the-world variant.

use super::client::Client;
use super::message::{Ask, Protocol, RefusalText, Request, Response, Variant};
use super::wire;

/// The state-of-the-world variant.
#[derive(Debug)]
pub struct Sotw;

impl Protocol for Sotw {
    const VARIANT: Variant = Variant::Sotw;
    type Request = wire::DiscoveryRequest;
    type Response = wire::DiscoveryResponse;

    fn parse(request: Self::Request) -> Request {
        Request {
            type_url: request.type_url,
            client: request.node.as_ref().and_then(Client::of),
            nonce: request.response_nonce,
            refusal: request
                .error_detail
                .map(|status| RefusalText::new(&status.message)),
            ask: Ask::Sotw {
                names: request.resource_names,
                resumes: !request.version_info.is_empty(),
            },
        }
    }

    fn frame(response: &Response, identifier: &str) -> Self::Response {
        let type_url = response.resource_type.type_url();
        wire::DiscoveryResponse {
            version_info: response.version.to_string(),
            resources: response
                .resources
                .iter()
                .map(|resource| wire::Any {
                    type_url: type_url.into(),
                    value: resource.bytes(),
                })
                .collect(),
            type_url: type_url.into(),
            nonce: response.nonce.to_string(),
            control_plane: Some(wire::ControlPlane {
                identifier: identifier.into(),
            }),
        }
    }
}
