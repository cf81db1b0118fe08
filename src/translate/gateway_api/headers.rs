//! Changes of headers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{HeaderChange, HeaderMode, HeaderModifier, HeaderName, HeaderValue, check_host};
use crate::objects::gateway_api as api;
use crate::translate::budget;

use super::context::Unserved;

/// What a filter says, by names in lower case.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Headers that are replaced or added.
    set: BTreeMap<HeaderName, HeaderValue>,
    /// Headers that are there besides those of their name.
    add: BTreeMap<HeaderName, HeaderValue>,
    /// Headers that are removed.
    remove: BTreeSet<HeaderName>,
}

impl Changes {
    /// Reads a filter of responses, which have no Host.
    pub fn of_responses(filter: &api::HeaderModifier) -> Result<Self, Unserved> {
        let values = filter.set.iter().chain(&filter.add);
        let mut names = values.map(|it| &it.name).chain(&filter.remove);
        if names.any(|name| name.eq_ignore_ascii_case("host")) {
            return Err(Unserved("a response has no Host".to_owned()));
        }
        Self::of(filter)
    }

    /// Reads a filter of requests. Of two entries of one name the first counts.
    pub fn of(filter: &api::HeaderModifier) -> Result<Self, Unserved> {
        let mut changes = Self::default();
        for it in &filter.set {
            let (name, value) = checked(&it.name, &it.value)?;
            changes.set.entry(name).or_insert(value);
        }
        for it in &filter.add {
            let (name, value) = checked(&it.name, &it.value)?;
            if name.as_str() == "host" {
                return Err(Unserved("a Host can be set, and not added".to_owned()));
            }
            changes.add.entry(name).or_insert(value);
        }
        for name in &filter.remove {
            let name = self::name(name)?;
            if name.as_str() == "host" {
                return Err(Unserved("a Host can be set, and not removed".to_owned()));
            }
            changes.remove.insert(name);
        }
        let set = &changes.set;
        changes.remove.retain(|name| !set.contains_key(name));
        Ok(changes)
    }

    /// Sets the Host that back ends see.
    ///
    /// # Errors
    ///
    /// Where it is none.
    pub fn set_host(&mut self, host: &Arc<str>) -> Result<(), Unserved> {
        let (name, value) = checked("host", host)?;
        self.set.insert(name, value);
        Ok(())
    }

    /// These, and after them others: what the later say of a header holds.
    pub fn then(mut self, later: Self) -> Self {
        for name in &later.remove {
            self.set.remove(name);
            self.add.remove(name);
        }
        for name in later.set.keys() {
            self.add.remove(name);
            self.remove.remove(name);
        }
        self.set.extend(later.set);
        self.add.extend(later.add);
        self.remove.extend(later.remove);
        self
    }

    /// What they cost a share that has them.
    pub fn cost(&self) -> u64 {
        let values = self.set.iter().chain(&self.add);
        let values = values.map(|(name, value)| name.as_str().len() + value.len());
        budget::headers(values.chain(self.remove.iter().map(|name| name.as_str().len())))
    }

    /// As the model has them: what is literal alone, and what is added.
    pub fn into_model(self) -> Result<(HeaderModifier, Vec<HeaderChange>), Unserved> {
        let added = self.add.iter();
        let added =
            added.map(|(name, value)| HeaderChange::literal(name.as_str(), value, HeaderMode::Add));
        let added: Result<_, String> = added.collect();
        let modifier = HeaderModifier {
            set: self.set,
            remove: self.remove,
        };
        Ok((modifier, added.map_err(Unserved)?))
    }
}

/// A header that Envoy would send with this value.
fn checked(name: &str, value: &Arc<str>) -> Result<(HeaderName, HeaderValue), Unserved> {
    let name = self::name(name)?;
    match name.as_str() {
        "host" => check_host(value).map_err(Unserved)?,
        other => _ = HeaderChange::literal(other, value, HeaderMode::Set).map_err(Unserved)?,
    }
    let value = HeaderValue::new(&name, value.clone()).map_err(Unserved)?;
    Ok((name, value))
}

/// The name of a header that a route may change.
fn name(name: &str) -> Result<HeaderName, Unserved> {
    let name = HeaderName::new(name).map_err(Unserved)?;
    name.check_framing().map_err(Unserved)?;
    Ok(name)
}
