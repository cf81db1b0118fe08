//! The annotations of one Ingress, while they are read.

use crate::objects::{Field, FieldRef, Kind, Metadata, ObjectRef, Problem};
use crate::translate::reason;

use super::annotations::{self, PREFIX, Verdict};
use super::value;

/// Reads annotations, and keeps what is wrong with them.
pub struct Reader<'a> {
    metadata: &'a Metadata,
    pub problems: Vec<Problem>,
    /// What keeps the routes closed.
    pub closed: Closed,
}

/// Guards that say by a value like `false` that they are not meant. To any other such a value is one as the next.
const SWITCHES: [&str; 2] = ["enable-modsecurity", "limit-connections"];

/// Which routes of an Ingress answer 503, as a guard of theirs can't be honoured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Closed {
    /// None.
    #[default]
    No,
    /// All but the paths of ACME challenges, which authentication leaves out.
    ButChallenges,
    /// All.
    All,
}

impl<'a> Reader<'a> {
    /// Of an Ingress.
    pub const fn new(metadata: &'a Metadata) -> Self {
        Self {
            metadata,
            problems: Vec::new(),
            closed: Closed::No,
        }
    }

    /// The namespace of the Ingress.
    pub fn namespace(&self) -> &'a str {
        &self.metadata.name.namespace
    }

    /// The value of one. An empty one is none, as with ingress-nginx.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let value = self.metadata.annotation(&format!("{PREFIX}{name}"))?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// The names of all.
    pub fn names(&self) -> Vec<&'a str> {
        let keys = self.metadata.annotations.iter();
        keys.filter_map(|(key, _)| key.strip_prefix(PREFIX))
            .collect()
    }

    /// Whether it is there, be it empty.
    pub fn is_there(&self, name: &str) -> bool {
        self.metadata
            .annotation(&format!("{PREFIX}{name}"))
            .is_some()
    }

    /// Reads one. A value that is wrong is told and ignored.
    pub fn read<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&'a str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(self.get(name)?) {
            Ok(value) => Some(value),
            Err(what) => {
                let message = format!("annotation {PREFIX}{name} is ignored: it {what}");
                self.tell(name, reason::ANNOTATION_NOT_VALID, message);
                None
            }
        }
    }

    /// Reads a boolean.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        self.read(name, value::boolean)
    }

    /// Reads a guard. A value that is wrong closes the routes.
    pub fn guard<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&'a str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(self.get(name)?) {
            Ok(value) => Some(value),
            Err(what) => {
                self.close(name, Closed::All, &format!("it {what}"));
                None
            }
        }
    }

    /// Closes routes for a guard that can't be honoured.
    pub fn close(&mut self, name: &str, closed: Closed, why: &str) {
        self.closed = self.closed.max(closed);
        let message = format!(
            "the routes are closed (503): annotation {PREFIX}{name} guards them, and {why}"
        );
        self.tell(name, reason::ROUTE_CLOSED, message);
    }

    /// Tells that one has no effect.
    pub fn without_effect(&mut self, name: &str, why: &str) {
        let message = format!("annotation {PREFIX}{name} has no effect: {why}");
        self.tell(name, reason::ANNOTATION_NOT_SUPPORTED, message);
    }

    /// Tells something of one.
    pub fn tell(&mut self, name: &str, reason: &'static str, message: String) {
        let object = ObjectRef {
            kind: Kind::Ingress,
            name: self.metadata.name.clone(),
        };
        let field = Field::Annotation(format!("{PREFIX}{name}").into());
        let source = FieldRef::new(object, field);
        self.problems.push(Problem::new(source, reason, message));
    }

    /// Tells of those that never take effect, that are not built, and that are none. Guards among them close the routes;
    /// `is_read` are guards that have been looked at.
    pub fn rest(&mut self, is_read: &[&str]) {
        let names = self.names();
        let mut unknown = names
            .iter()
            .filter(|name| annotations::find(name).is_none());
        if let Some(first) = unknown.next() {
            let more = crate::translate::finding::more(unknown.count());
            let message = format!(
                "annotation {PREFIX}{first}{more} has no effect: ingress-nginx has none of this name"
            );
            self.tell(first, reason::ANNOTATION_UNKNOWN, message);
        }
        for name in names {
            let Some(found) = annotations::find(name).filter(|_| !is_read.contains(&name)) else {
                continue;
            };
            let why = match found.verdict {
                Verdict::Exact | Verdict::Near(_) | Verdict::NoOp => continue,
                Verdict::Refused(why) => why,
                Verdict::NotYet => "Isobath does not support it yet",
            };
            // A snippet's value is not kept.
            match self.get(name) {
                None if !name.ends_with("-snippet") => {}
                Some(value) if found.is_guard => {
                    let is_off = SWITCHES.contains(&name) && value::boolean(value) == Ok(false);
                    if !is_off {
                        self.close(name, Closed::All, why);
                    }
                }
                _ => self.without_effect(name, why),
            }
        }
    }
}
