//! Requests and responses as the state machine sees them: the same for both variants.

use std::fmt;
use std::sync::Arc;

use super::{Resource, ResourceType};

/// The two variants of the protocol that Isobath speaks, both over the aggregated service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// Incremental: differences.
    Delta,
    /// State of the world: all of LDS and CDS each time.
    Sotw,
}

impl Variant {
    /// The name in logs, metrics and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Sotw => "sotw",
        }
    }
}

/// A request of either variant.
#[derive(Debug, Default)]
pub struct Request {
    /// The type asked for.
    pub type_url: String,
    /// The node's identifier, where the request has one.
    pub node: Option<String>,
    /// The response that this is an answer to; empty for none.
    pub nonce: String,
    /// Why that response was refused; `None` where it was taken.
    pub refusal: Option<RefusalText>,
    /// What is asked for.
    pub ask: Ask,
}

/// What a request asks for.
#[derive(Debug)]
pub enum Ask {
    /// Changes of the subscription.
    Delta {
        /// Names to add.
        subscribe: Vec<String>,
        /// Names to take out.
        unsubscribe: Vec<String>,
        /// Names that the client says it holds; its versions are not believed, hence not here.
        claimed: Vec<String>,
    },
    /// The whole subscription.
    Sotw {
        /// All names.
        names: Vec<String>,
    },
}

impl Default for Ask {
    fn default() -> Self {
        Self::Sotw { names: Vec::new() }
    }
}

/// What a client says when it refuses a response. It may quote what it refuses, a private key included, so it
/// cannot be printed: only searched for names, and quoted with a bound for the types that hold no secret.
pub struct RefusalText(String);

impl RefusalText {
    /// Longest quotation, in characters: enough for Envoy's sentence, too short to flood a log.
    const LIMIT: usize = 400;

    /// Stands for whatever a client says about a Secret.
    pub const SECRET: &'static str =
        "the client refused this secret (its message is withheld: it can contain the private key)";

    /// Takes the text as it came.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Whether the text contains `name` as a word of its own, not as part of a longer name.
    #[must_use]
    pub fn mentions(&self, name: &str) -> bool {
        let inside =
            |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | '*') || !c.is_ascii();
        !name.is_empty()
            && self.0.match_indices(name).any(|(at, _)| {
                // A full stop ends a sentence or goes on with a host name: only what follows it tells.
                let before = self.0[..at].trim_end_matches('.').chars().next_back();
                let after = self.0[at + name.len()..]
                    .trim_start_matches('.')
                    .chars()
                    .next();
                !before.is_some_and(inside) && !after.is_some_and(inside)
            })
    }

    /// What may be logged and shown.
    #[must_use]
    pub fn quote(&self, resource_type: ResourceType) -> Arc<str> {
        if resource_type == ResourceType::Secret {
            return Self::SECRET.into();
        }
        let quoted: String = self
            .0
            .chars()
            .take(Self::LIMIT)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        quoted.into()
    }
}

impl fmt::Debug for RefusalText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefusalText(..)")
    }
}

/// A response of either variant.
#[derive(Clone, Debug)]
pub struct Response {
    /// The type of all resources.
    pub resource_type: ResourceType,
    /// Unique on its stream.
    pub nonce: u64,
    /// The hash of the names and versions in it.
    pub version: Arc<str>,
    /// The resources, each name once.
    pub resources: Vec<Arc<Resource>>,
    /// Names that do not exist; always empty in the state-of-the-world variant, which has no field for them.
    pub removed: Vec<Arc<str>>,
}

impl Response {
    /// Length of all resources in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.resources
            .iter()
            .map(|resource| resource.length())
            .sum()
    }
}

/// What joins a variant's messages to the state machine.
pub trait Protocol: 'static {
    /// The variant.
    const VARIANT: Variant;
    /// Its request.
    type Request: prost::Message + Default + Send + 'static;
    /// Its response.
    type Response: prost::Message + Send + 'static;

    /// A request that arrived.
    fn parse(request: Self::Request) -> Request;

    /// A response to send, as the process called `identifier`.
    fn frame(response: &Response, identifier: &str) -> Self::Response;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_name_is_mentioned_as_a_word() {
        let text = RefusalText::new(
            "Error adding/updating cluster(s) shop/web/80: bad a.example.com. Only 'x'".into(),
        );
        for name in ["shop/web/80", "a.example.com", "x"] {
            assert!(text.mentions(name), "{name}");
        }
        for name in ["web", "shop/web/8", "example.com", "a.example", "", "y"] {
            assert!(!text.mentions(name), "{name}");
        }
    }

    #[test]
    fn what_is_said_about_a_secret_is_withheld() {
        let text = RefusalText::new("-----BEGIN PRIVATE KEY-----\nabc".repeat(100));
        assert_eq!(&*text.quote(ResourceType::Secret), RefusalText::SECRET);
        assert!(!format!("{text:?}").contains("PRIVATE"));
        let quoted = text.quote(ResourceType::Route);
        assert_eq!(quoted.chars().count(), RefusalText::LIMIT);
        assert!(!quoted.contains('\n'));
    }
}
