//! Text to documents: what `kubectl apply -f` would send for each object of a file.
//!
//! YAML is read as kubectl reads it (`yes` and `on` are booleans, numbers in values that should be strings are
//! numbers, and so an error of the object), and an object becomes the JSON that the API server would get.
//! No error quotes the text: it may be a Secret's.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;
use zeroize::Zeroizing;

use super::fields::{Step, UnknownField};
use super::foreign;
use super::spans::{Place, Spans};
use super::yaml::options;
use crate::objects::Kind;

/// What is in a file.
#[derive(Debug, Default)]
pub struct Documents {
    /// The objects of kinds that Isobath reads, in the order of the file.
    pub objects: Vec<Document>,
    /// `apiVersion` and `kind` of the other ones, with the lines of their documents.
    pub others: BTreeMap<(String, String), Vec<u64>>,
    /// What is no object of Kubernetes, with the line and one sentence for the first of it.
    pub skipped: Option<(u64, String)>,
}

/// One object of a file.
pub struct Document {
    /// Its kind.
    pub kind: Kind,
    /// The object as the API server would get it: the namespace filled in, `stringData` put into `data`.
    pub json: Zeroizing<String>,
    /// Where its document begins, counted from 1.
    pub line: u64,
    /// From its document to the object, where that is an item of a list.
    pub(super) steps: Vec<Step>,
    /// Fields that its kind does not have.
    pub(super) unknown: Vec<UnknownField>,
}

/// Where an object begins: the line of its document, and from there to the object.
pub(super) type Anchor = (u64, Vec<Step>);

/// Why a text is no manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Where, counted from 1.
    pub line: u64,
    /// Where, counted from 1.
    pub column: u64,
    /// One sentence, which quotes nothing of the text.
    pub reason: String,
}

/// Shows the kind and the line only: the text may be a Secret's.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("kind", &self.kind)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

impl Document {
    /// Where something in the object stands, or the object itself.
    pub(super) fn place(&self, spans: &Spans, path: &[Step]) -> Place {
        let place = spans.place(self.line, self.steps.iter().chain(path));
        place.unwrap_or((self.line, 1))
    }

    /// Where it begins, to find places in it later.
    pub(super) fn anchor(&self) -> Anchor {
        (self.line, self.steps.clone())
    }

    /// Whether it is an item of a list, so that its own place has to be looked up.
    pub(super) fn is_item(&self) -> bool {
        !self.steps.is_empty()
    }
}

/// Takes the objects out of a text: JSON where the path ends in `.json`, YAML otherwise, of several documents.
///
/// Lists (`List`, `IngressList` and so on) are taken apart, a missing namespace is `default`. What is something else
/// than Kubernetes' is passed over and named: folders hold other files too.
///
/// # Errors
///
/// The first place that can't be read, in a text that claims to hold an object of ours.
pub fn parse_documents(path: &Path, text: &str) -> Result<Documents, ParseError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_json = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let mut found = Documents::default();
    let documents = match if is_json { json(text) } else { yaml(text) } {
        Ok(documents) => documents,
        Err(error) => {
            if let Some(line) = foreign::template(text) {
                found.skipped = Some((line, foreign::TEMPLATE.to_owned()));
            } else if foreign::claims_to_be_ours(text) {
                return Err(error);
            } else {
                let reason = format!("it names no object of Kubernetes ({})", error.reason);
                found.skipped = Some((error.line, reason));
            }
            return Ok(found);
        }
    };
    for (line, Node(value)) in documents {
        if !value.is_null() {
            found.add(value, line, Vec::new(), None)?;
        }
    }
    Ok(found)
}

impl Documents {
    fn skip(&mut self, line: u64, reason: &str) {
        self.skipped
            .get_or_insert_with(|| (line, reason.to_owned()));
    }

    /// Adds an object, or the items of a list. An item of a typed list has its list's `kind` where it has none.
    fn add(
        &mut self,
        value: Value,
        line: u64,
        steps: Vec<Step>,
        listed: Option<(&str, &str)>,
    ) -> Result<(), ParseError> {
        let error = |reason: String| ParseError {
            line,
            column: 1,
            reason,
        };
        let Value::Object(mut object) = value else {
            self.skip(line, "it is no mapping, as an object of Kubernetes is");
            return Ok(());
        };
        let field = |name: &str| match object.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        let api_version = field("apiVersion").or_else(|| Some(listed?.0.to_owned()));
        let kind = field("kind").or_else(|| Some(listed?.1.to_owned()));
        let of_name = |kind: &str| Kind::ALL.into_iter().find(|known| known.name() == kind);
        let Some(kind) = kind else {
            self.skip(line, "it has no `kind`, as an object of Kubernetes has");
            return Ok(());
        };
        let Some(api_version) = api_version else {
            if let Some(known) = of_name(&kind) {
                let version = known.api_version();
                return Err(error(format!("{known} has no apiVersion; write {version}")));
            }
            self.skip(
                line,
                "it has no `apiVersion`, as an object of Kubernetes has",
            );
            return Ok(());
        };
        if let Some(item_kind) = kind.strip_suffix("List")
            && let Some(items) = object.remove("items")
        {
            let listed = (!item_kind.is_empty()).then_some((&*api_version, item_kind));
            return match items {
                Value::Null => Ok(()),
                Value::Array(items) => {
                    let mut items = items.into_iter().enumerate();
                    items.try_for_each(|(index, item)| {
                        let mut steps = steps.clone();
                        steps.extend([Step::Key("items".to_owned()), Step::Index(index)]);
                        self.add(item, line, steps, listed)
                    })
                }
                _ => Err(error("the items of a list are not a list".to_owned())),
            };
        }
        let known = of_name(&kind).filter(|known| known.api_version() == api_version);
        let Some(known) = known else {
            let lines = self.others.entry((api_version, kind)).or_default();
            lines.push(line);
            return Ok(());
        };
        let unknown = super::unknown_fields::unknown(known, &mut object);
        if known.is_namespaced() {
            fill_in_namespace(&mut object);
        }
        if known == Kind::Secret {
            move_string_data(&mut object);
        }
        self.objects.push(Document {
            kind: known,
            json: Zeroizing::new(Value::Object(object).to_string()),
            line,
            steps,
            unknown,
        });
        Ok(())
    }
}

/// As kubectl does with the namespace of its context.
fn fill_in_namespace(object: &mut Map<String, Value>) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        let namespace = metadata.entry("namespace").or_insert(Value::Null);
        if namespace.is_null() || namespace == "" {
            *namespace = Value::from("default");
        }
    }
}

/// As the API server does on writing. What is no string stays what it is, so that decoding says so.
fn move_string_data(object: &mut Map<String, Value>) {
    let Some(Value::Object(strings)) = object.remove("stringData") else {
        return;
    };
    let data = object.entry("data").or_insert(Value::Null);
    if data.is_null() {
        *data = Value::Object(Map::new());
    }
    if let Value::Object(data) = data {
        for (key, value) in strings {
            let value = match value {
                Value::String(text) => Value::from(STANDARD.encode(text)),
                Value::Null => Value::from(""),
                other => other,
            };
            data.insert(key, value);
        }
    }
}

fn yaml(text: &str) -> Result<Vec<(u64, Node)>, ParseError> {
    serde_saphyr::from_multiple_with_options::<Spanned<Node>>(text, options())
        .map(|documents| {
            documents
                .into_iter()
                .map(|document| (document.referenced.line(), document.value))
                .collect()
        })
        .map_err(|error| {
            let error = error.without_snippet();
            let location = error.location();
            ParseError {
                line: location.map_or(1, |location| location.line()).max(1),
                column: location.map_or(1, |location| location.column()).max(1),
                reason: yaml_reason(error),
            }
        })
}

/// The error's own words where they are fixed ones; nothing that could have come from the text.
fn yaml_reason(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    use serde_saphyr::granit_parser::ErrorKind;
    use serde_saphyr::localizer::ExternalMessageSource;
    match error {
        Error::ExternalMessage { source, .. } => match &**source {
            ExternalMessageSource::Parser(error) => match error.kind() {
                ErrorKind::Custom(_) | ErrorKind::InputDecoding { .. } => {
                    "it is not valid YAML".to_owned()
                }
                _ => error.info(),
            },
            _ => "it is not valid YAML".to_owned(),
        },
        Error::DuplicateMappingKey { .. } => TWICE.to_owned(),
        // `host: *.example.com`, as everybody writes it once.
        Error::UnknownAnchor { .. } => {
            "a value that begins with `*` stands in quotes (\"*.example.com\"): without them it is an alias, and nothing \
             has its name"
                .to_owned()
        }
        Error::AliasError { error, .. } => yaml_reason(error.without_snippet()),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "its aliases expand to too much".to_owned()
        }
        Error::Budget { .. } => {
            "it is too large, too deep, or its aliases expand to too much".to_owned()
        }
        Error::NonFiniteFloat { .. } => "a number is not finite".to_owned(),
        Error::Message { msg, .. } if msg.starts_with(TWICE) => TWICE.to_owned(),
        _ => "it is not valid YAML".to_owned(),
    }
}

fn json(text: &str) -> Result<Vec<(u64, Node)>, ParseError> {
    let mut documents = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Node>();
    let mut start = 0;
    let (mut line, mut counted) = (1_u64, 0);
    while let Some(document) = stream.next() {
        let document = document.map_err(|error| {
            // The position of a stream's error counts from the start of the text.
            ParseError {
                line: error.line().max(1) as u64,
                column: error.column().max(1) as u64,
                reason: json_reason(&error),
            }
        })?;
        let begun = text[start..]
            .find(|letter: char| !letter.is_ascii_whitespace())
            .map_or(start, |offset| start + offset);
        let breaks = text[counted..begun].bytes().filter(|byte| *byte == b'\n');
        line += breaks.count() as u64;
        counted = begun;
        documents.push((line, document));
        start = stream.byte_offset();
    }
    Ok(documents)
}

/// serde_json's syntax errors are fixed words; its data errors come from [`Node`] alone.
fn json_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ")
        .map_or(text.as_str(), |(reason, _)| reason)
        .to_owned()
}

const TWICE: &str = "a key is given twice in one mapping";

/// Any value, of which no mapping has a key twice. Numbers without a fraction are integers, as for kubectl.
struct Node(Value);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor).map(Node)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        // Above 2^53 a float names no one integer.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        #[allow(clippy::cast_possible_truncation)]
        if value.fract() == 0.0 && value.abs() <= EXACT {
            return Ok(Value::from(value as i64));
        }
        Ok(Value::from(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Node(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Node(value))) = map.next_entry::<String, _>()? {
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom(TWICE));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests;
