//! What two versions of one thing differ in, setting by setting.

use std::hash::{DefaultHasher, Hash, Hasher as _};

/// A setting that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Which one, as `time-out`.
    pub about: &'static str,
    /// Whether it keeps somebody out.
    pub is_guard: bool,
    /// What it was; `None` where it was not set.
    pub before: Option<String>,
    /// What it is; `None` where it is not set. It can say what it said before where the rest of it is not for one line.
    pub after: Option<String>,
}

impl Detail {
    /// Whether somebody is let in who was kept out before: a guard that is gone. One that has changed may do so too.
    #[must_use]
    pub const fn opens(&self) -> bool {
        self.is_guard && self.after.is_none()
    }
}

/// A setting as it is.
#[derive(Debug)]
pub struct Setting {
    about: &'static str,
    is_guard: bool,
    /// Two that differ in anything differ in this.
    identity: u64,
    says: String,
}

/// The settings of one thing, in the order in which they are told.
#[derive(Debug, Default)]
pub struct Settings(Vec<Setting>);

impl Settings {
    /// One that is always set.
    pub fn is(&mut self, about: &'static str, value: &impl Hash, says: impl Into<String>) {
        self.add(about, false, value, says.into());
    }

    /// One that is there where it is set.
    pub fn has<T: Hash>(
        &mut self,
        about: &'static str,
        value: Option<&T>,
        says: impl FnOnce(&T) -> String,
    ) {
        if let Some(value) = value {
            self.add(about, false, value, says(value));
        }
    }

    /// One that keeps somebody out where it is set.
    pub fn guard<T: Hash>(
        &mut self,
        about: &'static str,
        value: Option<&T>,
        says: impl FnOnce(&T) -> String,
    ) {
        if let Some(value) = value {
            self.add(about, true, value, says(value));
        }
    }

    fn add(&mut self, about: &'static str, is_guard: bool, value: &impl Hash, says: String) {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        self.0.push(Setting {
            about,
            is_guard,
            identity: hasher.finish(),
            says,
        });
    }

    /// What differs. Nobody sets the same thing twice.
    pub fn differences(before: &Self, after: &Self) -> Vec<Detail> {
        let detail =
            |setting: &Setting, before: Option<&Setting>, after: Option<&Setting>| Detail {
                about: setting.about,
                is_guard: setting.is_guard,
                before: before.map(|setting| setting.says.clone()),
                after: after.map(|setting| setting.says.clone()),
            };
        let of = |settings: &'_ Self, about| -> Option<usize> {
            settings.0.iter().position(|it| it.about == about)
        };
        let mut details = Vec::new();
        for old in &before.0 {
            let new = of(after, old.about).and_then(|at| after.0.get(at));
            if new.is_none_or(|new| new.identity != old.identity) {
                details.push(detail(old, Some(old), new));
            }
        }
        for new in &after.0 {
            if of(before, new.about).is_none() {
                details.push(detail(new, None, Some(new)));
            }
        }
        details
    }
}
