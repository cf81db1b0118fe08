//! One page of a list: `{"kind": "IngressList", "metadata": {…}, "items": […]}`.
//!
//! Items stay bytes here: one that can't be decoded must not spoil the page.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::k8s::Kind;

use super::error::Cause;
use super::frame::undecodable;

/// A page whose envelope is sound.
pub(super) struct Page<'a> {
    /// `metadata.resourceVersion`.
    pub(super) version: Cow<'a, str>,
    /// `metadata.continue`: there are more pages.
    pub(super) next: Option<Cow<'a, str>>,
    /// The objects' bytes.
    pub(super) items: Vec<&'a RawValue>,
}

impl<'a> Page<'a> {
    pub(super) fn parse(kind: Kind, body: &'a [u8]) -> Result<Self, Cause> {
        let envelope: Envelope<'a> =
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
        Ok(Self {
            version: envelope.metadata.resource_version,
            next: Some(envelope.metadata.next).filter(|token| !token.is_empty()),
            items: envelope.items.unwrap_or_default(),
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
