//! The search for the bad units of one refused response.
//!
//! The units that were new in it are sent again in ever smaller sets until each bad one is alone: first those that the
//! message does not name, which are probably good and should wait least, else one half. What was taken stays sent. No set
//! is sent twice, and a unit is bad if it was refused alone or is the one that a message names and without which the others
//! are taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::unit::Unit;
use crate::xds::Resource;
use crate::xds::message::RefusalText;

/// Units of which something is known.
#[derive(Debug)]
enum Group {
    /// At least one of them is bad, as this reason says.
    Bad(Vec<Unit>, Arc<str>, Evidence),
    /// At least one of them all is bad: of the second ones, as this reason says.
    Named(Vec<Unit>, Vec<Unit>, Arc<str>),
    /// Nothing is known of them.
    Untried(Vec<Unit>),
}

impl Group {
    /// Whether it is one unit that is bad because the others were not.
    fn is_conclusion(&self) -> bool {
        matches!(self, Self::Bad(units, _, Evidence::Concluded) if units.len() == 1)
    }
}

/// Why units are known to have a bad one among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// The client has refused just them, or has named them and taken the others.
    Seen,
    /// It has refused them with others, and then taken the others.
    Concluded,
}

/// The set that is tried now.
#[derive(Debug)]
pub struct Trial {
    /// What is sent, beside what the client has taken already.
    pub units: Vec<Unit>,
    /// What holds a bad unit if all of `units` are good, the reason for it, and what that will be known by.
    rest: Option<(Vec<Unit>, Arc<str>, Evidence)>,
}

/// The search for the bad units of one refused response.
#[derive(Debug)]
pub struct Containment {
    /// The last one is tried next.
    open: Vec<Group>,
    trial: Option<Trial>,
    /// Parts of the refused response that were not new: they only have to be sent again, with the next set.
    carried: BTreeMap<Arc<str>, Arc<Resource>>,
}

impl Containment {
    /// A response that brought `suspects` and re-sent `carried` was refused.
    #[must_use]
    pub fn new(
        suspects: Vec<Unit>,
        carried: BTreeMap<Arc<str>, Arc<Resource>>,
        text: &RefusalText,
        quote: Arc<str>,
    ) -> Self {
        let mut containment = Self {
            open: Vec::new(),
            trial: None,
            carried,
        };
        containment.blame(suspects, text, quote);
        containment
    }

    /// The next set to send, where there is one. `alive` tells whether a unit is still what the client should
    /// have, and `refuse` takes each unit that is found bad.
    pub fn next(
        &mut self,
        alive: impl Fn(&Unit) -> bool,
        mut refuse: impl FnMut(Unit, Arc<str>),
    ) -> Option<&Trial> {
        while self.trial.is_none() {
            match self.open.pop()? {
                Group::Untried(mut units) => {
                    units.retain(|unit| alive(unit));
                    if !units.is_empty() {
                        self.trial = Some(Trial { units, rest: None });
                    }
                }
                Group::Named(mut others, mut named, reason) => {
                    let before = others.len() + named.len();
                    others.retain(|unit| alive(unit));
                    named.retain(|unit| alive(unit));
                    if others.len() + named.len() != before {
                        others.append(&mut named);
                        others.sort_unstable();
                        self.open.push(Group::Untried(others));
                    } else {
                        // The others first: good ones are to be sent again at once. If they are taken, the text
                        // was right, and if not, it was not the whole story. Nothing is left out on its word alone.
                        self.trial = Some(Trial {
                            units: others,
                            rest: Some((named, reason, Evidence::Seen)),
                        });
                    }
                }
                Group::Bad(mut units, reason, evidence) => {
                    let before = units.len();
                    units.retain(|unit| alive(unit));
                    if units.len() != before {
                        // The bad one may be among those that have changed since.
                        self.open.push(Group::Untried(units));
                    } else if units.len() > 1 {
                        let rest = units.split_off(units.len().div_ceil(2));
                        self.trial = Some(Trial {
                            units,
                            rest: Some((rest, reason, Evidence::Concluded)),
                        });
                    } else if !units.is_empty() && evidence == Evidence::Concluded {
                        // The last one that is left may be as good as the others: Envoy refuses a Secret whose
                        // key is another's once, keeps it, and takes it when it comes again. So nothing is left
                        // out that was not refused by itself; but all that may be good is sent before it.
                        if self.open.iter().all(Group::is_conclusion) {
                            self.trial = Some(Trial { units, rest: None });
                        } else {
                            self.open.insert(0, Group::Bad(units, reason, evidence));
                        }
                    } else if !units.is_empty() && !self.carried.is_empty() {
                        // What was only sent again was refused along with it each time: without it first.
                        self.trial = Some(Trial {
                            units: Vec::new(),
                            rest: Some((units, reason, Evidence::Seen)),
                        });
                    } else if let Some(unit) = units.pop() {
                        refuse(unit, reason);
                    }
                }
            }
        }
        self.trial.as_ref()
    }

    /// What has to be sent again with the next set.
    pub fn take_carried(&mut self) -> BTreeMap<Arc<str>, Arc<Resource>> {
        std::mem::take(&mut self.carried)
    }

    /// The set was taken: if it was split off a bad one, the other half is bad.
    pub fn acknowledged(&mut self) {
        if let Some(Trial {
            rest: Some((rest, reason, evidence)),
            ..
        }) = self.trial.take()
        {
            self.open.push(Group::Bad(rest, reason, evidence));
        }
    }

    /// The set was refused: something in it is bad, and nothing is known of the other half any more. What it carried
    /// goes with the next one, unless it was alone in it.
    pub fn refused(
        &mut self,
        text: &RefusalText,
        quote: Arc<str>,
        carried: BTreeMap<Arc<str>, Arc<Resource>>,
    ) {
        let Some(trial) = self.trial.take() else {
            return;
        };
        if !trial.units.is_empty() {
            self.carried.extend(carried);
        }
        if let Some((rest, ..)) = trial.rest {
            self.open.push(Group::Untried(rest));
        }
        self.blame(trial.units, text, quote);
    }

    /// The set could not be sent, because it would be empty: nothing was learnt.
    pub fn skipped(&mut self) {
        if let Some(Trial {
            rest: Some((rest, ..)),
            ..
        }) = self.trial.take()
        {
            self.open.push(Group::Untried(rest));
        }
    }

    /// One of these units is bad: those that the text names, if it names some but not all.
    fn blame(&mut self, units: Vec<Unit>, text: &RefusalText, quote: Arc<str>) {
        let text = text.search(units.len());
        let by_key = |unit: &Unit| unit.key.as_ref().is_some_and(|key| text.mentions(key));
        let (named, others) = if units.iter().any(by_key) {
            units.into_iter().partition(by_key)
        } else {
            let mut last: Option<(Arc<str>, bool)> = None;
            units.into_iter().partition::<Vec<_>, _>(|unit| {
                // Units of one resource are neighbours: each name is searched once.
                if last.as_ref().is_none_or(|(name, _)| *name != unit.name) {
                    last = Some((unit.name.clone(), text.mentions(&unit.name)));
                }
                last.as_ref().is_some_and(|(_, named)| *named)
            })
        };
        match (named.is_empty(), others.is_empty()) {
            (false, false) => self.open.push(Group::Named(others, named, quote)),
            (false, true) => self.open.push(Group::Bad(named, quote, Evidence::Seen)),
            (true, _) => self.open.push(Group::Bad(others, quote, Evidence::Seen)),
        }
    }
}
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn unit(number: usize) -> Unit {
        Unit {
            name: format!("r{number:03}").into(),
            key: None,
            hash: number as u64,
        }
    }

    /// Plays a client that refuses every set with a bad unit in it; returns what was found and the sets sent.
    fn search(
        count: usize,
        bad: &BTreeSet<usize>,
        text: &str,
    ) -> (BTreeSet<usize>, Vec<Vec<usize>>) {
        let text = RefusalText::new(text);
        let suspects: Vec<Unit> = (0..count).map(unit).collect();
        let mut found = BTreeSet::new();
        let mut sent = Vec::new();
        let mut containment = Containment::new(suspects, BTreeMap::new(), &text, "why".into());
        while let Some(trial) = containment.next(
            |_| true,
            |unit, _| {
                found.insert(usize::try_from(unit.hash).unwrap());
            },
        ) {
            let set: Vec<usize> = trial
                .units
                .iter()
                .map(|unit| usize::try_from(unit.hash).unwrap())
                .collect();
            let refused = set.iter().any(|number| bad.contains(number));
            sent.push(set);
            if refused {
                containment.refused(&text, "why".into(), BTreeMap::new());
            } else {
                containment.acknowledged();
            }
        }
        (found, sent)
    }

    #[test]
    fn one_bad_unit_of_two_hundred_takes_few_responses() {
        for bad in 0..200 {
            let (found, sent) = search(200, &[bad].into(), "");
            assert_eq!(found, [bad].into());
            // Eight halvings; where the first half is the bad one, the second is tried too; and the last one alone.
            assert!(sent.len() <= 17, "{} responses", sent.len());
        }
    }

    #[test]
    fn a_message_that_names_the_unit_takes_one_response() {
        let (found, sent) = search(200, &[137].into(), "cluster r137: bad");
        assert_eq!(found, [137].into());
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].len(), 199, "the good ones at once");
    }

    /// Envoy and a Secret with another's key: refused once, kept, and taken from then on.
    #[test]
    fn a_client_that_changes_its_mind_costs_nobody_anything() {
        let text = RefusalText::new("");
        for first_taken in 0..12 {
            let suspects: Vec<Unit> = (0..40).map(unit).collect();
            let mut containment = Containment::new(suspects, BTreeMap::new(), &text, "why".into());
            let mut sent = 0;
            let mut taken = BTreeSet::new();
            let mut found = Vec::new();
            while let Some(trial) = containment.next(|_| true, |unit, _| found.push(unit.hash)) {
                let units: Vec<u64> = trial.units.iter().map(|unit| unit.hash).collect();
                sent += 1;
                if units.contains(&13) && sent <= first_taken {
                    containment.refused(&text, "why".into(), BTreeMap::new());
                } else {
                    taken.extend(units);
                    containment.acknowledged();
                }
            }
            assert!(
                found.is_empty() || found == [13],
                "{first_taken}: {found:?}"
            );
            assert_eq!(
                taken.len() + found.len(),
                40,
                "{first_taken}: all others are taken"
            );
        }
    }

    #[test]
    fn a_message_that_names_a_good_unit_condemns_nobody() {
        let (found, _) = search(20, &[13].into(), "r007 is fine, something else is not");
        assert_eq!(found, [13].into());
    }

    #[test]
    fn units_that_changed_meanwhile_are_no_longer_suspects() {
        let text = RefusalText::new("");
        let mut containment = Containment::new(
            (0..4).map(unit).collect(),
            BTreeMap::new(),
            &text,
            "why".into(),
        );
        let mut found = Vec::new();
        let trial = containment.next(|unit| unit.hash != 2, |unit, _| found.push(unit));
        let hashes: Vec<u64> = trial.unwrap().units.iter().map(|unit| unit.hash).collect();
        assert_eq!(hashes, [0, 1, 3], "all are innocent until tried again");
        containment.acknowledged();
        assert!(
            containment
                .next(|_| true, |unit, _| found.push(unit))
                .is_none()
        );
        assert!(found.is_empty());
    }

    proptest! {
        #[test]
        fn finds_exactly_the_bad_ones_and_sends_no_set_twice(
            count in 1..60_usize,
            bad in prop::collection::btree_set(0..60_usize, 0..6),
            named in prop::collection::vec(0..60_usize, 0..3),
        ) {
            let bad: BTreeSet<usize> = bad.into_iter().filter(|bad| *bad < count).collect();
            prop_assume!(!bad.is_empty());
            let text: Vec<String> = named.iter().map(|number| format!("r{number:03}")).collect();
            let (found, sent) = search(count, &bad, &text.join(" "));
            prop_assert_eq!(&found, &bad);
            let all: Vec<usize> = (0..count).collect();
            let distinct: BTreeSet<&Vec<usize>> = sent.iter().chain([&all]).collect();
            prop_assert_eq!(distinct.len(), sent.len() + 1);
            let taken: BTreeSet<usize> = sent
                .iter()
                .filter(|set| !set.iter().any(|number| bad.contains(number)))
                .flatten()
                .copied()
                .collect();
            prop_assert_eq!(taken.len(), count - bad.len(), "every good one was sent again");
        }
    }
}
