//! The messages of the state-of-the-world variant.

use super::client::Client;
use super::encode::{Encoder, Message, any_length, field_length};
use super::message::{Ask, Protocol, RefusalText, Request, Response, Variant};
use super::wire;

/// The state-of-the-world variant.
#[derive(Debug)]
pub struct Sotw;

impl Protocol for Sotw {
    const VARIANT: Variant = Variant::Sotw;
    type Request = wire::DiscoveryRequest;

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

    /// `DiscoveryResponse`.
    fn encode(response: &Response, identifier: &str) -> Option<Message> {
        let type_url = response.resource_type.type_url();
        let mut encoder = Encoder::with_capacity(response.own_length());
        encoder.text(1, &response.version);
        for resource in &response.resources {
            encoder.field(2, any_length(resource, type_url));
            encoder.any(resource, type_url);
        }
        encoder.text(4, type_url);
        encoder.text(5, &response.nonce.to_string());
        encoder.field(6, field_length(1, identifier.len()));
        encoder.text(1, identifier);
        encoder.finish()
    }
}
