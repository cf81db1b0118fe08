//! The annotations of one Ingress, while they are read.

use crate::objects::{Field, FieldRef, Kind, Metadata, ObjectRef, Problem};
use crate::translate::reason;

use super::annotations::{self, PREFIX, Verdict};
use super::config_map::Settings;
use super::value;

/// Reads annotations, and keeps what is wrong with them.
pub struct Reader<'a> {
    metadata: &'a Metadata,
    /// What holds where nothing is said.
    pub settings: &'a Settings,
    /// Whether the settings themselves are looked at, and what is wrong with them is told.
    is_of_settings: bool,
    /// Whether somebody is asked about requests because the settings say so.
    is_global: bool,
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
    pub fn new(metadata: &'a Metadata, settings: &'a Settings) -> Self {
        let reader = Self {
            metadata,
            settings,
            is_of_settings: false,
            is_global: false,
            problems: Vec::new(),
            closed: Closed::No,
        };
        let is_off = reader.own("enable-global-auth").map(value::boolean) == Some(Ok(false));
        let asks_itself = reader.is_there("auth-url");
        Self {
            is_global: settings.value("auth-url").is_some() && !is_off && !asks_itself,
            ..reader
        }
    }

    /// Of the settings, for what is wrong with them.
    pub fn of_settings(metadata: &'a Metadata, settings: &'a Settings) -> Self {
        Self {
            is_of_settings: true,
            ..Self::new(metadata, settings)
        }
    }

    /// Whether somebody is asked about requests because the settings say so.
    pub const fn is_global(&self) -> bool {
        self.is_global
    }

    /// The namespace of the Ingress.
    pub fn namespace(&self) -> &'a str {
        &self.metadata.name.namespace
    }

    /// The value of one, or what holds where it is not there.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let settings = self.settings;
        match (Settings::is_global(name), self.is_global) {
            // They hold together: whoever is asked is told all of it by the same one.
            (true, true) => settings.value(name),
            (true, false) => self.own(name),
            (false, _) => self.own(name).or_else(|| settings.value(name)),
        }
    }

    /// The value that the Ingress has itself. An empty one is none, as with ingress-nginx.
    pub fn own(&self, name: &str) -> Option<&'a str> {
        let value = self.metadata.annotation(&format!("{PREFIX}{name}"))?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// What says it, in words.
    fn words(&self, name: &str) -> String {
        let settings = match self.is_settings(name) {
            true => self.settings.words(name),
            false => None,
        };
        settings.unwrap_or_else(|| format!("annotation {PREFIX}{name}"))
    }

    /// Whether the value is not the Ingress's own.
    fn is_settings(&self, name: &str) -> bool {
        match Settings::is_global(name) {
            true => self.is_global,
            false => self.own(name).is_none() && self.settings.value(name).is_some(),
        }
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
                let message = format!("{} is ignored: it {what}", self.words(name));
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
        let words = self.words(name);
        let message = format!("the routes are closed (503): {words} guards them, and {why}");
        self.tell(name, reason::ROUTE_CLOSED, message);
    }

    /// Tells that one has no effect.
    pub fn without_effect(&mut self, name: &str, why: &str) {
        let message = format!("{} has no effect: {why}", self.words(name));
        self.tell(name, reason::ANNOTATION_NOT_SUPPORTED, message);
    }

    /// Tells that one of the Ingress's own has no effect, whatever the settings say.
    pub fn own_without_effect(&mut self, name: &str, why: &str) {
        let message = format!("annotation {PREFIX}{name} has no effect: {why}");
        self.tell_own(name, reason::ANNOTATION_NOT_SUPPORTED, message);
    }

    /// Closes all routes as the settings say.
    pub fn close_by_settings(&mut self) {
        let Some(why) = self
            .settings
            .closes
            .as_ref()
            .filter(|_| !self.is_of_settings)
        else {
            return;
        };
        self.closed = Closed::All;
        let message = format!("the routes are closed (503): {why}");
        self.tell_whole(reason::ROUTE_CLOSED, message);
    }

    /// Tells something of one.
    pub fn tell(&mut self, name: &str, reason: &'static str, message: String) {
        if !self.is_settings(name) {
            self.tell_own(name, reason, message);
        } else if self.is_of_settings {
            let reason = match reason {
                reason::ANNOTATION_NOT_VALID => reason::KEY_NOT_VALID,
                reason::ANNOTATION_NOT_SUPPORTED => reason::KEY_NOT_SUPPORTED,
                other => other,
            };
            let source = self.settings.source(name);
            self.problems
                .extend(source.map(|source| Problem::new(source, reason, message)));
        } else if reason == reason::ROUTE_CLOSED {
            self.tell_whole(reason, message);
        }
    }

    fn tell_own(&mut self, name: &str, reason: &'static str, message: String) {
        let field = Field::Annotation(format!("{PREFIX}{name}").into());
        self.tell_of(field, reason, message);
    }

    fn tell_whole(&mut self, reason: &'static str, message: String) {
        self.tell_of(Field::Whole, reason, message);
    }

    fn tell_of(&mut self, field: Field, reason: &'static str, message: String) {
        let object = ObjectRef {
            kind: Kind::Ingress,
            name: self.metadata.name.clone(),
        };
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
            match self.own(name) {
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
