//! The bytes of a watch: lines, each of them `{"type": …, "object": …}`
//! (<https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>).

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::objects::{Decoded, Kind, NamespacedName, Object, Rules, Undecodable, decode_versioned};

use super::error::{Cause, one_line};

/// etcd refuses objects over 1.5 MiB; nothing that is longer by an order of magnitude is one.
const LONGEST_LINE: usize = 16 << 20;

/// The annotation of the bookmark that ends a streaming list
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists>).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// Cuts a body that comes in chunks of any size at the ends of its lines.
#[derive(Default)]
pub(super) struct Lines {
    buffer: BytesMut,
    /// Where the last whole line ends.
    whole: usize,
}

impl Lines {
    /// Takes the next chunk.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), Cause> {
        if let Some(at) = memchr::memrchr(b'\n', chunk) {
            self.whole = self.buffer.len() + at + 1;
        }
        self.buffer.extend_from_slice(chunk);
        if self.buffer.len() - self.whole > LONGEST_LINE {
            return Err(Cause::Undecodable("a watch line without end".to_owned()));
        }
        Ok(())
    }

    /// How many bytes of whole lines there are.
    pub(super) fn whole(&self) -> usize {
        self.whole
    }

    /// Takes all whole lines. What is left when the body ends was cut off, and is nothing.
    pub(super) fn take(&mut self) -> Bytes {
        let whole = std::mem::take(&mut self.whole);
        self.buffer.split_to(whole).freeze()
    }
}

/// One line of a watch, decoded.
#[derive(Debug)]
pub(super) enum Frame {
    /// `ADDED` or `MODIFIED`: the object is now this one.
    Applied {
        /// Its name.
        name: NamespacedName,
        /// Its `metadata.resourceVersion`.
        version: String,
        /// The object, where it has at least a name.
        object: Result<Object, Undecodable>,
    },
    /// `DELETED`.
    Deleted {
        /// Its name.
        name: NamespacedName,
        /// Its `metadata.resourceVersion`.
        version: String,
    },
    /// `BOOKMARK`: everything up to this version was sent.
    Bookmark {
        /// Its `metadata.resourceVersion`.
        version: String,
        /// Whether it ends the initial events of a streaming list.
        initial_events_end: bool,
    },
    /// `ERROR`: the watch is over.
    Error(Status),
}

impl Frame {
    /// Reads whole lines. What one line means depends on no other, so any thread may do it.
    pub(super) fn read(kind: Kind, lines: &[u8]) -> impl Iterator<Item = Result<Self, Cause>> {
        let mut rest = lines;
        std::iter::from_fn(move || {
            while let Some(at) = memchr::memchr(b'\n', rest) {
                let (line, after) = (&rest[..at], &rest[at + 1..]);
                rest = after;
                if !line.is_empty() {
                    return Some(Self::parse(kind, line));
                }
            }
            None
        })
    }

    fn parse(kind: Kind, line: &[u8]) -> Result<Self, Cause> {
        // Whatever is odd about a line is said by the one that reads all of it.
        if let Some((event, object)) = cut(line)
            && let Ok(frame) = Self::of_object(kind, event, object)
        {
            return Ok(frame);
        }
        let envelope: Envelope<'_> =
            serde_json::from_slice(line).map_err(|error| undecodable("a watch line", &error))?;
        let object = envelope.object.get();
        if envelope.event == "ERROR" {
            let status = Status::parse(object.as_bytes());
            return status
                .map(Self::Error)
                .ok_or_else(|| Cause::Undecodable("an ERROR event without a Status".to_owned()));
        }
        Self::of_object(kind, &envelope.event, object)
    }

    fn of_object(kind: Kind, event: &str, object: &str) -> Result<Self, Cause> {
        let applied = match event {
            "ADDED" | "MODIFIED" => match decode_versioned(kind, object, Rules::Stored) {
                // Nothing is left to look for.
                Ok(Decoded {
                    object,
                    resource_version: Some(version),
                    says_kind: true,
                }) => {
                    return Ok(Self::Applied {
                        name: object.reference().name,
                        version,
                        object: Ok(object),
                    });
                }
                decoded => Some(decoded.map(|decoded| decoded.object)),
            },
            _ => None,
        };
        let head: Head<'_> =
            serde_json::from_str(object).map_err(|error| undecodable("an event", &error))?;
        if head.kind != kind.name() {
            return Err(Cause::Undecodable(format!(
                "an event about an object that is not a {kind}"
            )));
        }
        let metadata = head.metadata;
        let version = metadata.resource_version.into_owned();
        if version.is_empty() {
            return Err(Cause::Undecodable(
                "an event without resourceVersion".to_owned(),
            ));
        }
        if event == "BOOKMARK" {
            let bookmark: Bookmark =
                serde_json::from_str(object).map_err(|error| undecodable("a bookmark", &error))?;
            let annotations = bookmark.metadata.annotations;
            return Ok(Self::Bookmark {
                version,
                initial_events_end: annotations.get(INITIAL_EVENTS_END).map(String::as_str)
                    == Some("true"),
            });
        }
        if metadata.name.is_empty() {
            return Err(Cause::Undecodable(
                "an event about an object without name".to_owned(),
            ));
        }
        let name = NamespacedName::new(&*metadata.namespace, &*metadata.name);
        match (event, applied) {
            (_, Some(object)) => Ok(Self::Applied {
                name,
                version,
                object,
            }),
            ("DELETED", None) => Ok(Self::Deleted { name, version }),
            (other, None) => Err(Cause::Undecodable(format!(
                "an event of the unknown type {:?}",
                one_line(other)
            ))),
        }
    }
}

/// The type of an event and its object, where the line is written as the API server's encoder writes it: then the object,
/// which is nearly all of the line, need not be read to find its end.
fn cut(line: &[u8]) -> Option<(&str, &str)> {
    let rest = std::str::from_utf8(line)
        .ok()?
        .strip_prefix("{\"type\":\"")?;
    let object = rest.strip_suffix('}')?;
    ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
        .into_iter()
        .find_map(|event| {
            let object = object.strip_prefix(event)?.strip_prefix("\",\"object\":")?;
            Some((event, object))
        })
}

/// What is used of a `v1` Status, the answer to requests that fail
/// (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>).
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Status {
    /// The HTTP status.
    pub(super) code: u16,
    /// One sentence.
    pub(super) message: String,
    /// One word: `Expired`, `Gone`, `Timeout`.
    pub(super) reason: String,
    details: Details,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    causes: Vec<StatusCause>,
    retry_after_seconds: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StatusCause {
    reason: String,
}

impl Status {
    /// `None` where the bytes are no Status: an error page of something in between.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Kind<'a> {
            #[serde(borrow)]
            kind: Cow<'a, str>,
        }
        let head: Kind<'_> = serde_json::from_slice(body).ok()?;
        (head.kind == "Status").then(|| serde_json::from_slice(body).ok())?
    }

    /// `details.retryAfterSeconds`, where it says so.
    pub(super) fn retry_after(&self) -> Option<std::time::Duration> {
        let seconds = self.details.retry_after_seconds;
        (seconds > 0).then(|| std::time::Duration::from_secs(seconds))
    }

    /// The asked version has not reached this replica of the API server yet
    /// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#unavailable-resource-versions>).
    pub(super) fn is_version_too_large(&self) -> bool {
        let mut causes = self.details.causes.iter();
        causes.any(|cause| cause.reason == "ResourceVersionTooLarge")
    }
}

/// Says where JSON is wrong, without the error's own text: it quotes values.
pub(super) fn undecodable(what: &str, error: &serde_json::Error) -> Cause {
    let why = match error.classify() {
        serde_json::error::Category::Eof => "ends too early",
        serde_json::error::Category::Data => "has not the expected fields",
        _ => "is not JSON",
    };
    Cause::Undecodable(format!(
        "{what} {why} (line {}, column {})",
        error.line(),
        error.column()
    ))
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    event: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default, rename = "resourceVersion")]
    resource_version: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Bookmark {
    metadata: BookmarkMetadata,
}

#[derive(Deserialize)]
struct BookmarkMetadata {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}
