//! A configuration file with the lines that its settings stand in.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

/// A value, and the line that it begins in.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Counted from 1.
    pub line: u64,
    /// What it says.
    pub says: Says,
}

/// What a value says.
#[derive(Clone, Debug, Default)]
pub enum Says {
    /// Nothing.
    #[default]
    Nothing,
    /// A word, a number, or whether.
    Word(String),
    /// Several.
    List(Vec<Node>),
    /// By key, as written.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Reads the only document of a text.
    ///
    /// # Errors
    ///
    /// The line, and one sentence.
    pub fn read(text: &str) -> Result<Self, (u64, String)> {
        let options = serde_saphyr::options! {
            with_snippet: false,
        };
        let read = serde_saphyr::from_str_with_options::<Spanned<Says>>(text, options);
        let spanned = read.map_err(|error| {
            let line = error.location().map_or(1, |location| location.line());
            let why = error.without_snippet().to_string();
            (
                line.max(1),
                why.lines().next().unwrap_or_default().to_owned(),
            )
        })?;
        Ok(spanned.into())
    }

    /// What a key says.
    #[must_use]
    pub fn of(&self, key: &str) -> Option<&Self> {
        match &self.says {
            Says::Map(entries) => {
                let found = entries.iter().find(|(name, _)| name == key);
                found.map(|(_, node)| node)
            }
            _ => None,
        }
    }

    /// The word, where it is one.
    #[must_use]
    pub fn word(&self) -> Option<&str> {
        match &self.says {
            Says::Word(word) => Some(word),
            _ => None,
        }
    }

    /// Whether it is what a Go program takes for not said.
    #[must_use]
    pub fn is_unsaid(&self) -> bool {
        match &self.says {
            Says::Nothing => true,
            Says::Word(word) => matches!(word.as_str(), "" | "false" | "0"),
            Says::List(items) => items.is_empty(),
            Says::Map(entries) => entries.is_empty(),
        }
    }

    /// The same, where so many lines stand before it.
    #[must_use]
    pub fn below(mut self, lines: u64) -> Self {
        self.line += lines;
        match &mut self.says {
            Says::Nothing | Says::Word(_) => {}
            Says::List(items) => {
                for item in items {
                    *item = std::mem::take(item).below(lines);
                }
            }
            Says::Map(entries) => {
                for (_, node) in entries {
                    *node = std::mem::take(node).below(lines);
                }
            }
        }
        self
    }

    /// As JSON, in which numbers are words.
    #[must_use]
    pub fn json(&self) -> Value {
        match &self.says {
            Says::Nothing => Value::Null,
            Says::Word(word) => match word.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => Value::String(word.clone()),
            },
            Says::List(items) => items.iter().map(Self::json).collect(),
            Says::Map(entries) => {
                let entries = entries.iter();
                let pairs = entries.map(|(key, node)| (key.clone(), node.json()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }
}

impl From<Spanned<Says>> for Node {
    fn from(spanned: Spanned<Says>) -> Self {
        Self {
            line: spanned.referenced.line().max(1),
            says: spanned.value,
        }
    }
}

impl<'de> Deserialize<'de> for Says {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SaysVisitor)
    }
}

struct SaysVisitor;

macro_rules! words {
    ($($method:ident: $type:ty),*) => {
        $(fn $method<E: serde::de::Error>(self, word: $type) -> Result<Says, E> {
            Ok(Says::Word(word.to_string()))
        })*
    };
}

impl<'de> Visitor<'de> for SaysVisitor {
    type Value = Says;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    words!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E: serde::de::Error>(self) -> Result<Says, E> {
        Ok(Says::Nothing)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Says, E> {
        Ok(Says::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Says, D::Error> {
        Says::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Says, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Says>>()? {
            items.push(item.into());
        }
        Ok(Says::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Says, A::Error> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Spanned<Says>>()? {
            let mut node = Node::from(value);
            node.line = key.referenced.line().max(1);
            entries.push((key.value, node));
        }
        Ok(Says::Map(entries))
    }
}
