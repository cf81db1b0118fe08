//! Changes of headers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{HeaderChange, HeaderMode, HeaderModifier, HeaderName, check_host};
use crate::objects::gateway_api as api;
use crate::translate::budget;

use super::context::Unserved;

/// What a filter says, by names in lower case.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Headers that are replaced or added.
    pub set: BTreeMap<Arc<str>, Arc<str>>,
    /// Headers that are there besides those of their name.
    add: BTreeMap<Arc<str>, Arc<str>>,
    /// Headers that are removed.
    remove: BTreeSet<Arc<str>>,
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
            let name = checked(&it.name, &it.value)?;
            let value = it.value.clone();
            changes.set.entry(name).or_insert(value);
        }
        for it in &filter.add {
            let name = checked(&it.name, &it.value)?;
            if &*name == "host" {
                return Err(Unserved("a Host can be set, and not added".to_owned()));
            }
            let value = it.value.clone();
            changes.add.entry(name).or_insert(value);
        }
        for name in &filter.remove {
            let name = self::name(name)?;
            if name.as_str() == "host" {
                return Err(Unserved("a Host can be set, and not removed".to_owned()));
            }
            changes.remove.insert(name.as_str().into());
        }
        let set = &changes.set;
        changes.remove.retain(|name| !set.contains_key(name));
        Ok(changes)
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
        let values = values.map(|(name, value)| name.len() + value.len());
        budget::headers(values.chain(self.remove.iter().map(|name| name.len())))
    }

    /// As the model has them: what is literal alone, and what is added.
    pub fn into_model(self) -> Result<(HeaderModifier, Vec<HeaderChange>), Unserved> {
        let added = self.add.iter();
        let added = added.map(|(name, value)| HeaderChange::literal(name, value, HeaderMode::Add));
        let added: Result<_, String> = added.collect();
        let modifier = HeaderModifier {
            set: self.set,
            remove: self.remove,
        };
        Ok((modifier, added.map_err(Unserved)?))
    }
}

/// The name in lower case, of a header that Envoy would send with this value.
fn checked(name: &str, value: &str) -> Result<Arc<str>, Unserved> {
    let name = self::name(name)?;
    match name.as_str() {
        "host" => check_host(value).map_err(Unserved)?,
        other => _ = HeaderChange::literal(other, value, HeaderMode::Set).map_err(Unserved)?,
    }
    Ok(name.as_str().into())
}

/// The name of a header that a route may change.
fn name(name: &str) -> Result<HeaderName, Unserved> {
    let name = HeaderName::new(name).map_err(Unserved)?;
    name.check_framing().map_err(Unserved)?;
    Ok(name)
}
