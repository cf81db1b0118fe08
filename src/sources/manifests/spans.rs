//! Where in a text the values of its documents stand. It is looked up when there is something to tell, and not before: a
//! second reading costs what the first did. No value is kept, and of a text that can't be read nothing.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::fields::Step;
use super::yaml::options;

/// Line and column, counted from 1.
pub(super) type Place = (u64, u64);

/// The places of all keys and items of a text.
pub(super) struct Spans(Vec<Spanned<Tree>>);

impl Spans {
    /// Reads the text once more. JSON is YAML here.
    pub(super) fn new(text: &str) -> Self {
        let documents = serde_saphyr::from_multiple_with_options(text, options());
        Self(documents.unwrap_or_default())
    }

    /// Where a value of a document stands, or the nearest thing above it that is there. A document is named by the line
    /// that it begins in.
    pub(super) fn place<'a>(
        &self,
        line: u64,
        path: impl IntoIterator<Item = &'a Step>,
    ) -> Option<Place> {
        // They stand in the order of the file.
        let at = self
            .0
            .binary_search_by_key(&line, |document| begin(document).0);
        let document = self.0.get(at.ok()?)?;
        let mut place = begin(document);
        let mut tree = &document.value;
        for step in path {
            let found = match (tree, step) {
                (Tree::Map(entries), Step::Key(key)) => entries
                    .iter()
                    .find(|(candidate, _)| candidate.value == *key)
                    .map(|(key, value)| (begin(key), &value.value)),
                (Tree::List(items), Step::Index(index)) => {
                    items.get(*index).map(|item| (begin(item), &item.value))
                }
                _ => None,
            };
            let Some((at, value)) = found else { break };
            (place, tree) = (at, value);
        }
        Some(place)
    }
}

fn begin<T>(node: &Spanned<T>) -> Place {
    let location = node.referenced;
    (location.line().max(1), location.column().max(1))
}

enum Tree {
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
    List(Vec<Spanned<Tree>>),
    Leaf,
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

macro_rules! leaf {
    ($($method:ident: $type:ty),*) => {
        $(fn $method<E: serde::de::Error>(self, _: $type) -> Result<Tree, E> {
            Ok(Tree::Leaf)
        })*
    };
}

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    leaf!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E: serde::de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Tree::Leaf)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::super::fields::Path;
    use super::*;

    #[test]
    fn keys_and_items_have_places() {
        let yaml = "# a\napiVersion: v1\nspec:\n  rules:\n  - host: a\n    http:\n      paths: [{path: /}, {path: /b}]\n---\nitems:\n- kind: A\n-\n  kind: B\n";
        let json = "{\n  \"spec\": {\n    \"rules\": [\n      {\"host\": \"a\"}\n    ]\n  }\n}";
        let check = |text: &str, line: u64, path: &str, expected: Place| {
            let path = Path::of_sentence(&format!("{path}: ")).unwrap();
            let found = Spans::new(text).place(line, &path.0);
            assert_eq!(found, Some(expected), "{path} of {text}");
        };
        check(yaml, 2, "apiVersion", (2, 1));
        check(yaml, 2, "spec.rules", (4, 3));
        check(yaml, 2, "spec.rules[0].host", (5, 5));
        check(yaml, 2, "spec.rules[0].http.paths[1].path", (7, 27));
        // What is not there is where it should be.
        check(yaml, 2, "spec.rules[0].http.paths[1].pathType", (7, 26));
        check(yaml, 9, "items[0]", (10, 3));
        check(yaml, 9, "items[1].kind", (12, 3));
        check(json, 1, "spec.rules[0].host", (4, 8));
        assert_eq!(Spans::new(yaml).place(3, &[]), None);
        assert_eq!(Spans::new("a: [").place(1, &[]), None);
    }
}
