//! One page of a list: `{"kind": "IngressList", "metadata": {…}, "items": […]}`.
//!
//! An item that can't be decoded must not spoil the page: it is one of its own.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::objects::{Kind, Object, Undecodable, decode};

use super::error::Cause;
use super::frame::undecodable;

/// A page whose envelope is sound.
#[derive(Debug)]
pub(super) struct Page {
    /// `metadata.resourceVersion`.
    pub(super) version: String,
    /// `metadata.continue`: there are more pages.
    pub(super) next: Option<String>,
    /// The objects, where they have at least a name.
    pub(super) items: Vec<Result<Object, Undecodable>>,
}

impl Page {
    pub(super) fn parse(kind: Kind, body: &[u8]) -> Result<Self, Cause> {
        let envelope: Envelope<'_> =
            serde_json::from_slice(body).map_err(|error| undecodable("a list", &error))?;
        if envelope.kind.strip_suffix("List") != Some(kind.name()) {
            return Err(Cause::Undecodable(format!(
                "a list that is not a {}List",
                kind.name()
            )));
        }
        if envelope.metadata.resource_version.is_empty() {
            return Err(Cause::Undecodable(
                "a list without resourceVersion".to_owned(),
            ));
        }
        let items = envelope.items.unwrap_or_default();
        Ok(Self {
            version: envelope.metadata.resource_version.into_owned(),
            next: Some(envelope.metadata.next.into_owned()).filter(|token| !token.is_empty()),
            items: items.iter().map(|item| decode(kind, item.get())).collect(),
        })
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    metadata: ListMeta<'a>,
    // Go writes an empty list as `null` where nobody took care.
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct ListMeta<'a> {
    #[serde(borrow, default, rename = "resourceVersion")]
    resource_version: Cow<'a, str>,
    #[serde(borrow, default, rename = "continue")]
    next: Cow<'a, str>,
}
