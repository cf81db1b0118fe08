//! What was answered, and whether it is what a row says.

use std::collections::BTreeMap;

use crate::row::{Answer, Ask, Check, Is, Step};

/// What is told of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// `valid`, `invalid`, `orphaned`, `unread` (no object by its schema) or `unserved` (not there, or of another class).
    pub(crate) word: String,
    /// `TYPE/REASON` of each error.
    pub(crate) errors: Vec<String>,
    /// The same of warnings.
    pub(crate) warnings: Vec<String>,
    /// What both say.
    pub(crate) messages: Vec<String>,
}

/// One answer, in the words of [`crate::row`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Its first word.
    pub(crate) word: String,
    /// Who answered.
    pub(crate) backend: String,
    /// What else is known of it, by the keys of rows.
    pub(crate) values: BTreeMap<String, String>,
}

impl Seen {
    /// One of which only that is known.
    pub(crate) fn word(word: &str) -> Self {
        Self {
            word: word.to_owned(),
            ..Self::default()
        }
    }

    /// None at all, for this reason.
    pub(crate) fn error(why: String) -> Self {
        let mut seen = Self::word("ERR");
        seen.values.insert("why".to_owned(), why);
        seen
    }

    fn satisfies(&self, wanted: &Answer) -> Result<(), String> {
        let wrong = match &wanted.words[..] {
            [word] => self.word != *word,
            [word, backend] => self.word != *word || self.backend != *backend,
            _ => panic!("{wanted:?}"),
        };
        let held = |check: &&Check| {
            let value = self.values.get(&check.key).map(String::as_str);
            match &*check.value {
                "$backend" => value != Some(&self.backend),
                _ => !holds(check, value),
            }
        };
        match wanted.checks.iter().find(held) {
            None if !wrong => Ok(()),
            None => Err(format!(
                "got {} {} {:?}",
                self.word, self.backend, self.values
            )),
            Some(check) => Err(format!(
                "{check}, but got {} {} {:?}",
                self.word, self.backend, self.values
            )),
        }
    }
}

fn holds(check: &Check, value: Option<&str>) -> bool {
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let text = value.unwrap_or("");
    match check.is {
        Is::Equal => text == check.value,
        Is::Like => text.contains(&check.value),
        Is::Absent => value.is_none(),
        Is::Unlike => !text.contains(&check.value),
        Is::More => value.is_some_and(|value| number(value) > number(&check.value)),
    }
}

/// All answers to one ask, against what should be.
pub(crate) fn compare(wanted: &Answer, all: &[Seen]) -> Result<(), String> {
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for seen in all {
        *counted.entry(&seen.backend).or_default() += 1;
    }
    let is_good = all.iter().all(|seen| matches!(&*seen.word, "200" | "TCP"));
    let found = format!(
        "{counted:?} of {:?}",
        all.iter().map(|it| &it.word).collect::<Vec<_>>()
    );
    let word = wanted.words.first().map(String::as_str);
    let holds = match word {
        Some("same") => counted.len() == 1,
        Some("spread") => counted.len() > 1,
        Some("all") => wanted.words[1..]
            .iter()
            .all(|it| counted.contains_key(&**it)),
        Some("only") => counted.len() == 1 && counted.contains_key(&*wanted.words[1]),
        Some("shares") => wanted.checks.iter().all(|share| {
            // Far beyond what chance does.
            let per_cent = share.value.parse::<f64>().unwrap();
            let part = counted.get(&*share.key).copied().unwrap_or(0);
            let part = 100.0 * f64::from(u32::try_from(part).unwrap());
            let all = f64::from(u32::try_from(all.len()).unwrap());
            (part / all - per_cent).abs() < 18.0
        }),
        _ => return all.iter().try_for_each(|seen| seen.satisfies(wanted)),
    };
    let reasons: Vec<_> = all.iter().filter_map(|it| it.values.get("why")).collect();
    match is_good && holds {
        true => Ok(()),
        false => Err(format!("got {found}, errors: {reasons:?}")),
    }
}

/// What is told of an object, against what should be.
pub(crate) fn compare_told(wanted: &Answer, told: &Told) -> Result<(), String> {
    let sorted = |text: &str| {
        let mut parts: Vec<String> = text.split(',').map(str::to_owned).collect();
        parts.retain(|part| !part.is_empty());
        parts.sort();
        parts
    };
    let mut right = wanted.words == [told.word.clone()];
    for check in &wanted.checks {
        right &= match (&*check.key, check.is) {
            ("er", Is::Equal) => sorted(&told.errors.join(",")) == sorted(&check.value),
            ("wa", Is::Equal) => sorted(&told.warnings.join(",")) == sorted(&check.value),
            ("msg", Is::Like) => told.messages.iter().any(|it| it.contains(&check.value)),
            _ => panic!("{check} is nothing to ask of a status"),
        };
    }
    match right {
        true => Ok(()),
        false => Err(format!("got {told:?}")),
    }
}

#[test]
fn wrong_answers_are_found() {
    let [row] = &crate::row::rows(
        "row x\n/ -> 200 a path=/ secs>1 q:z!\n/ x3 -> same\n/ x3 -> shares a=50 b=50\n/ x2 -> only a",
    )[..] else {
        panic!("one row");
    };
    let asks: Vec<&Ask> = row
        .steps
        .iter()
        .map(|step| match step {
            Step::Ask(ask) => ask,
            _ => panic!("an ask"),
        })
        .collect();
    let seen = |word: &str, backend: &str, values: &[(&str, &str)]| Seen {
        word: word.to_owned(),
        backend: backend.to_owned(),
        values: values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    };
    let good = seen("200", "a", &[("path", "/"), ("secs", "1.5")]);
    assert_eq!(
        compare(&asks[0].answer, std::slice::from_ref(&good)),
        Ok(())
    );
    for bad in [
        seen("404", "a", &[("path", "/"), ("secs", "1.5")]),
        seen("200", "b", &[("path", "/"), ("secs", "1.5")]),
        seen("200", "a", &[("path", "/x"), ("secs", "1.5")]),
        seen("200", "a", &[("path", "/"), ("secs", "0.5")]),
        seen("200", "a", &[("path", "/"), ("secs", "1.5"), ("q:z", "")]),
        seen("200", "a", &[]),
    ] {
        assert!(
            compare(&asks[0].answer, std::slice::from_ref(&bad)).is_err(),
            "{bad:?}"
        );
    }
    let [a, b, down] = [
        seen("200", "a", &[]),
        seen("200", "b", &[]),
        seen("503", "a", &[]),
    ];
    let check = |ask: usize, all: [&Seen; 2], is: bool| {
        let all = all.map(Clone::clone);
        assert_eq!(
            compare(&asks[ask].answer, &all).is_ok(),
            is,
            "{ask} {all:?}"
        );
    };
    check(1, [&a, &a], true);
    check(1, [&a, &b], false);
    check(1, [&down, &down], false);
    check(2, [&a, &b], true);
    check(2, [&a, &a], false);
    check(3, [&a, &a], true);
    check(3, [&b, &b], false);
    check(3, [&a, &down], false);
}
