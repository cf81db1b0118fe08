//! Requests and responses as the state machine sees them: the same for both variants.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::client::Client;
use super::encode::{Message, copied_length};
use super::wire;
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
    /// Who asks, where the request says it.
    pub client: Option<Client>,
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
        /// Names that the client says it holds, and in which version. That of a scope is believed, for the order in which
        /// tables and scopes are sent; all others are not.
        claimed: BTreeMap<String, String>,
    },
    /// The whole subscription.
    Sotw {
        /// All names.
        names: Vec<String>,
        /// Whether the client says that it took a version of this type before: it goes on with what it took, also when
        /// this is its first request on a stream. Which version it was is not believed, hence not here.
        resumes: bool,
    },
}

impl Ask {
    /// All names in it.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        let (lists, claimed): ([&[String]; 2], _) = match self {
            Self::Delta {
                subscribe,
                unsubscribe,
                claimed,
            } => ([subscribe, unsubscribe], Some(claimed)),
            Self::Sotw { names, .. } => ([names, &[]], None),
        };
        let claimed = claimed.into_iter().flat_map(BTreeMap::keys);
        lists.into_iter().flatten().chain(claimed)
    }
}

impl Default for Ask {
    fn default() -> Self {
        Self::Sotw {
            names: Vec::new(),
            resumes: false,
        }
    }
}

/// What a client says when it refuses a response. It may quote what it refuses, a private key included, so it
/// cannot be printed: only searched for names, and quoted with a bound for the types that hold no secret.
pub struct RefusalText {
    text: String,
    /// For each byte, whether the character that ends before it, full stops aside, may be one of a name.
    name_before: Vec<bool>,
    /// The same of the character that begins at it or after it.
    name_after: Vec<bool>,
}

impl RefusalText {
    /// Longest quotation, in characters: enough for Envoy's sentence, too short to flood a log.
    const LIMIT: usize = 400;

    /// What is kept of a text, in bytes: Envoy's sentences about a hundred resources. What a message names further
    /// behind is found as if it named nothing.
    pub const KEPT: usize = 16 << 10;

    /// How much of that is the end of a longer text: Envoy first prints what it refuses, and then says why.
    const END: usize = 1 << 10;

    /// Most bytes that are looked through for the names of one refused response, over all names: 4,000 names in all
    /// that is kept (about 0.1 s). Of more names each is looked for in less of the text.
    const SEARCHED: usize = 64 << 20;

    /// Stands for whatever a client says about a Secret.
    pub const SECRET: &'static str =
        "the client refused this secret (its message is withheld: it can contain the private key)";

    /// Takes the text, cut to [`KEPT`](Self::KEPT) bytes.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let cut: String;
        let text = match text.len() {
            0..=Self::KEPT => text,
            length => {
                let mut end = length - Self::END;
                while !text.is_char_boundary(end) {
                    end += 1;
                }
                let begin = head(text, Self::KEPT - Self::END - GAP.len());
                cut = [begin, GAP, &text[end..]].concat();
                &cut
            }
        };
        let inside =
            |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | '*') || !c.is_ascii();
        // A full stop ends a sentence or goes on with a host name: only what follows it tells.
        let mut name_before = vec![false; text.len() + 1];
        let mut name_after = name_before.clone();
        let mut last = false;
        for (at, c) in text.char_indices() {
            last = if c == '.' { last } else { inside(c) };
            name_before[at + c.len_utf8()] = last;
        }
        last = false;
        for (at, c) in text.char_indices().rev() {
            last = if c == '.' { last } else { inside(c) };
            name_after[at] = last;
        }
        Self {
            text: text.to_owned(),
            name_before,
            name_after,
        }
    }

    /// What is to be searched where so many names are looked for.
    #[must_use]
    pub fn search(&self, names: usize) -> Search<'_> {
        let most = (Self::SEARCHED / names.max(1)).max(Self::LIMIT);
        Search {
            whole: self,
            text: head(&self.text, most),
        }
    }

    /// What may be logged and shown.
    #[must_use]
    pub fn quote(&self, resource_type: ResourceType) -> Arc<str> {
        if resource_type == ResourceType::Secret {
            return Self::SECRET.into();
        }
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let length = self.text.chars().count();
        let chars = self.text.chars().map(clean);
        if length <= Self::LIMIT {
            return chars.collect::<String>().into();
        }
        let begin = Self::LIMIT / 2;
        let end = Self::LIMIT - begin - GAP.chars().count();
        let quoted: String = chars
            .clone()
            .take(begin)
            .chain(GAP.chars())
            .chain(chars.skip(length - end))
            .collect();
        quoted.into()
    }
}

/// The first bytes of a text, at most so many, whole characters only.
fn head(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Stands for what was left out of a text.
const GAP: &str = " … ";

/// As much of a [`RefusalText`] as is searched.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    whole: &'a RefusalText,
    text: &'a str,
}

impl Search<'_> {
    /// Whether the text contains `name` as a word of its own, not as part of a longer name.
    #[must_use]
    pub fn mentions(&self, name: &str) -> bool {
        let of_longer = |side: &[bool], at: usize| side.get(at).copied().unwrap_or_default();
        !name.is_empty()
            && self.text.match_indices(name).any(|(at, _)| {
                !of_longer(&self.whole.name_before, at)
                    && !of_longer(&self.whole.name_after, at + name.len())
            })
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

    /// Length of what is encoded for this response alone, about.
    pub(super) fn own_length(&self) -> usize {
        /// Of numbers, lengths and versions.
        const SHORT: usize = 64;
        let type_url = self.resource_type.type_url().len();
        let resources = self
            .resources
            .iter()
            .map(|resource| SHORT + type_url + resource.name().len() + copied_length(resource));
        let removed = self.removed.iter().map(|name| SHORT + name.len());
        resources.chain(removed).sum::<usize>() + type_url + 2 * SHORT
    }
}

/// What joins a variant's messages to the state machine.
pub trait Protocol: 'static {
    /// The variant.
    const VARIANT: Variant;
    /// Its request.
    type Request: wire::Request + Send + 'static;

    /// A request that arrived.
    fn parse(request: Self::Request) -> Request;

    /// A response to send, as the process called `identifier`; `None` for one that is too long for gRPC.
    fn encode(response: &Response, identifier: &str) -> Option<Message>;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_name_is_mentioned_as_a_word() {
        let text = RefusalText::new(
            "Error adding/updating cluster(s) shop/web/80: bad a.example.com. Only 'x', ..b.. and é.c",
        );
        for names in [1, 1_000_000] {
            let text = text.search(names);
            for name in ["shop/web/80", "a.example.com", "x", "b"] {
                assert!(text.mentions(name), "{name}");
            }
            for name in [
                "web",
                "shop/web/8",
                "example.com",
                "a.example",
                "",
                "y",
                "c",
            ] {
                assert!(!text.mentions(name), "{name}");
            }
        }
    }

    /// The text is cut before it is looked at, and what one name costs goes down with the number of names.
    #[test]
    fn what_a_text_costs_is_bounded() {
        let text = RefusalText::new(&"ä.".repeat(1 << 20));
        assert!(text.text.len() <= RefusalText::KEPT);
        for names in [0, 1, 4_000, 40_000, 250_000, usize::MAX] {
            let searched = text.search(names).text.len();
            let all = searched.saturating_mul(names);
            let floor = RefusalText::LIMIT.saturating_mul(names);
            assert!(all <= RefusalText::SEARCHED.max(floor), "{names}: {all}");
        }
    }

    #[test]
    fn what_is_said_about_a_secret_is_withheld() {
        let text = RefusalText::new(&"-----BEGIN PRIVATE KEY-----\nabc".repeat(100));
        assert_eq!(&*text.quote(ResourceType::Secret), RefusalText::SECRET);
        assert!(!format!("{text:?}").contains("PRIVATE"));
        let quoted = text.quote(ResourceType::Route);
        assert_eq!(quoted.chars().count(), RefusalText::LIMIT);
        assert!(!quoted.contains('\n'));
        // The reason is at the end, behind what it is the reason of.
        for length in [RefusalText::LIMIT, 4_000, 4_000_000] {
            let dumped = RefusalText::new(&format!("refused: {}: why", "é".repeat(length)));
            let quoted = dumped.quote(ResourceType::Listener);
            assert_eq!(quoted.chars().count(), RefusalText::LIMIT);
            assert!(quoted.starts_with("refused: é") && quoted.ends_with("é: why"));
        }
    }
}
