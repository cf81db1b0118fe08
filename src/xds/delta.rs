//! The messages of the incremental variant.

use super::client::Client;
use super::encode::{Encoder, Message, any_length, field_length};
use super::message::{Ask, Protocol, RefusalText, Request, Response, Variant};
use super::wire;

/// The incremental variant.
#[derive(Debug)]
pub struct Delta;

impl Protocol for Delta {
    const VARIANT: Variant = Variant::Delta;
    type Request = wire::DeltaDiscoveryRequest;

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

    /// `DeltaDiscoveryResponse`.
    fn encode(response: &Response, identifier: &str) -> Option<Message> {
        let type_url = response.resource_type.type_url();
        let mut encoder = Encoder::with_capacity(response.own_length());
        encoder.text(1, &response.version);
        for resource in &response.resources {
            let (version, name) = (resource.version(), resource.name());
            let any = any_length(resource, type_url);
            let length =
                field_length(1, version.len()) + field_length(2, any) + field_length(3, name.len());
            encoder.field(2, length);
            encoder.text(1, version);
            encoder.field(2, any);
            encoder.any(resource, type_url);
            encoder.text(3, name);
        }
        encoder.text(4, type_url);
        encoder.text(5, &response.nonce.to_string());
        for name in &response.removed {
            encoder.text(6, name);
        }
        encoder.field(7, field_length(1, identifier.len()));
        encoder.text(1, identifier);
        encoder.finish()
    }
}
