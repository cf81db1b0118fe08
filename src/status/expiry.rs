//! Certificates whose time is over, or nearly, or has not come: one line in the log each.
//!
//! Whether a certificate is still good depends on the clock, so it is no problem of an object (those are a function
//! of the objects alone, I1), and no Event. What begins and ends when are the metrics
//! `isobath_certificate_not_before_seconds` and `isobath_certificate_not_after_seconds`, on which an alert can be as early
//! as it likes; these lines come when it is late.

use std::collections::BTreeMap;
use std::time::Duration;

use imbl::OrdMap;
use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use crate::model::Validity;
use crate::objects::NamespacedName;

/// Certificates that live for six days are renewed two days before their end.
const SOON: SignedDuration = SignedDuration::from_hours(24);

/// How often all certificates are looked at again.
pub(super) const INTERVAL: Duration = Duration::from_secs(600);

/// How it stands with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has not begun.
    NotYet,
    /// It ends within a day.
    Ending,
    /// It has ended.
    Ended,
}

/// What has been said.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    seen: OrdMap<NamespacedName, Validity>,
    told: BTreeMap<NamespacedName, (Validity, Stage)>,
}

impl Expiry {
    /// Logs what is new since the last look.
    pub(super) fn report(
        &mut self,
        certificates: &OrdMap<NamespacedName, Validity>,
        now: Timestamp,
    ) {
        for (secret, validity, stage) in self.look(certificates, now) {
            let Validity {
                not_before,
                not_after,
            } = validity;
            match stage {
                Stage::NotYet => {
                    warn!(%secret, %not_before, "the certificate is not valid yet, and is served")
                }
                Stage::Ending => warn!(%secret, %not_after, "the certificate ends soon"),
                Stage::Ended => {
                    warn!(%secret, %not_after, "the certificate has ended, and is served")
                }
            }
        }
    }

    fn look(
        &mut self,
        certificates: &OrdMap<NamespacedName, Validity>,
        now: Timestamp,
    ) -> Vec<(NamespacedName, Validity, Stage)> {
        let mut news = Vec::new();
        for (name, &validity) in certificates {
            let Some(stage) = stage(validity, now) else {
                continue;
            };
            let said = (validity, stage);
            if self.told.insert(name.clone(), said) != Some(said) {
                news.push((name.clone(), validity, stage));
            }
        }
        self.told
            .retain(|name, (validity, _)| certificates.get(name) == Some(validity));
        self.seen = certificates.clone();
        news
    }

    /// Whether these are the certificates of the last look: then there is nothing new before the next interval.
    pub(super) fn has_seen(&self, certificates: &OrdMap<NamespacedName, Validity>) -> bool {
        self.seen.ptr_eq(certificates)
    }
}

fn stage(validity: Validity, now: Timestamp) -> Option<Stage> {
    let left = validity.not_after.duration_since(now);
    if left.is_negative() || left.is_zero() {
        Some(Stage::Ended)
    } else if validity.not_before > now {
        Some(Stage::NotYet)
    } else if left <= SOON {
        Some(Stage::Ending)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_is_told_once() {
        let at = |hour: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hour);
        let name = NamespacedName::new("shop", "web");
        let validity = |from, to| Validity {
            not_before: at(from),
            not_after: at(to),
        };
        let certificates = OrdMap::unit(name.clone(), validity(0, 100));
        let mut expiry = Expiry::default();
        let mut check = |certificates: &OrdMap<_, _>, hour, expected: &[Stage]| {
            let news = expiry.look(certificates, at(hour));
            let stages: Vec<Stage> = news.into_iter().map(|(_, _, stage)| stage).collect();
            assert_eq!(stages, expected, "at hour {hour}");
        };
        check(&certificates, 0, &[]);
        check(&certificates, 75, &[]);
        check(&certificates, 76, &[Stage::Ending]);
        check(&certificates, 99, &[]);
        check(&certificates, 100, &[Stage::Ended]);
        check(&certificates, 200, &[]);
        // Renewed, and renewed with one that is already over.
        check(&OrdMap::unit(name.clone(), validity(0, 900)), 200, &[]);
        let ended = OrdMap::unit(name.clone(), validity(0, 150));
        check(&ended, 200, &[Stage::Ended]);
        // Gone, and back.
        check(&OrdMap::new(), 201, &[]);
        check(&ended, 202, &[Stage::Ended]);
        // One that begins later, and one that begins when another has ended.
        let early = OrdMap::unit(name.clone(), validity(300, 310));
        check(&early, 299, &[Stage::NotYet]);
        check(&early, 299, &[]);
        check(&early, 300, &[Stage::Ending]);
        let never = OrdMap::unit(name, validity(400, 300));
        check(&never, 301, &[Stage::Ended]);
    }
}
