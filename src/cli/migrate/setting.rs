//! What a setting of another controller comes to.

use crate::envoy::log_format::AccessLog;
use crate::model::CipherSuite;
use crate::process::duration::duration;

use super::super::traces;
use super::document::{Node, Says};
use super::report::{Report, Weight};
use super::taken::taken;

/// The longest that is waited for an answer.
const LONGEST: &str = "1h";
/// The shortest that anything is waited for.
const SHORTEST: &str = "1ms";
/// A flag is a line.
const LINE_BREAK: &str = "it has a line break, and no flag can";

/// What a setting comes to.
#[derive(Clone, Copy, Debug)]
pub enum Is {
    /// A flag with the same value.
    Flag(&'static str),
    /// A flag with the same number.
    Number(&'static str),
    /// A flag without value, where it is true.
    Switch(&'static str),
    /// `--flag=false`, where it is true.
    Not(&'static str),
    /// A flag with a length of time. `infinity` is 0s there; 0s is not said: in Contour it sets no time, and what holds then holds
    /// without the flag as well.
    Time(&'static str),
    /// A flag with a length of time that is a limit. 0s is none to both, as `infinity` is.
    Limit(&'static str),
    /// The same, where no longer is waited than an hour: that is `infinity`.
    Wait(&'static str),
    /// The same, which has an end.
    Length(&'static str),
    /// A flag with a share of requests in percent, where none at all is not said.
    Percent(&'static str),
    /// A flag for each tag of a trace.
    Tags(&'static str),
    /// A flag with the same words by commas.
    List(&'static str),
    /// A flag with cipher suites. Those of a group that leaves the choice to the client come one after the other.
    Ciphers(&'static str),
    /// A flag with `NAMESPACE/NAME`, as the setting has it or as two of its own.
    Name(&'static str),
    /// A flag for each, with `NAME=VALUE`.
    Pairs(&'static str),
    /// A flag with the setting as JSON.
    Json(&'static str),
    /// A flag with another word for each.
    Words(&'static str, &'static [(&'static str, &'static str)]),
    /// A flag with some of these words, by commas.
    ListOf(&'static str, &'static [&'static str]),
    /// A flag with a line of the access log.
    LogText(&'static str),
    /// A flag with the fields of the access log.
    LogFields(&'static str),
    /// Nothing has to be done, and why.
    Fine(&'static str),
    /// There is no flag, and what that means.
    Lost(&'static str),
    /// There is no flag and none is needed for one value; for any other, what that means.
    LostBut(&'static str, &'static str),
}

impl Is {
    /// The flag, where there is one.
    #[must_use]
    pub const fn flag(self) -> Option<&'static str> {
        match self {
            Self::Flag(flag)
            | Self::Number(flag)
            | Self::ListOf(flag, _)
            | Self::Switch(flag)
            | Self::Not(flag)
            | Self::Time(flag)
            | Self::Limit(flag)
            | Self::Wait(flag)
            | Self::Length(flag)
            | Self::Percent(flag)
            | Self::Tags(flag)
            | Self::List(flag)
            | Self::Ciphers(flag)
            | Self::Name(flag)
            | Self::Pairs(flag)
            | Self::Json(flag)
            | Self::LogText(flag)
            | Self::LogFields(flag)
            | Self::Words(flag, _) => Some(flag),
            Self::Fine(_) | Self::Lost(_) | Self::LostBut(..) => None,
        }
    }

    /// Puts what a value comes to into the report.
    pub fn carry(self, setting: &str, node: &Node, report: &mut Report) {
        if node.is_unsaid() {
            return;
        }
        match self {
            Self::Fine(why) => report.note(node.line, setting, Weight::Fine, why),
            Self::Lost(what) => report.note(node.line, setting, Weight::Lost, what),
            Self::LostBut(word, what) => {
                if node.word() != Some(word) {
                    report.note(node.line, setting, Weight::Lost, what);
                }
            }
            Self::Time(flag) | Self::Wait(flag) | Self::Length(flag)
                if node.word().is_some_and(is_zero) =>
            {
                let said = format!(
                    "it sets no time in Contour, and what holds then holds without {flag} as well"
                );
                report.note(node.line, setting, Weight::Fine, said);
            }
            Self::Percent(flag) => match node.word().and_then(|word| word.parse::<f64>().ok()) {
                // Contour takes it for not said.
                Some(0.0) => {}
                Some(share) => {
                    let share = share.to_string();
                    let read = traces::percent(&share).map(|_| share);
                    lost_or(read, flag, setting, node, report);
                }
                None => report.note(node.line, setting, Weight::Wrong, "it is a number"),
            },
            Self::Tags(flag) => match &node.says {
                Says::List(tags) => {
                    for node in tags {
                        match tag(node) {
                            Ok(read) => lost_or(read, flag, setting, node, report),
                            Err(why) => report.note(node.line, setting, Weight::Wrong, why),
                        }
                    }
                }
                _ => report.note(node.line, setting, Weight::Wrong, "it is a list of tags"),
            },
            Self::LogText(flag) => {
                let text = node.word().unwrap_or_default().trim_end();
                let read = AccessLog::text(text).map(|_| text.to_owned());
                lost_or(read, flag, setting, node, report);
            }
            Self::LogFields(flag) => match list(node) {
                Ok(fields) => {
                    let made = match fields.iter().any(|field| field.contains(',')) {
                        true => Err("a format with a comma is not taken".to_owned()),
                        false => AccessLog::json(fields.iter().copied()),
                    };
                    let read = made.map(|_| fields.join(","));
                    lost_or(read, flag, setting, node, report);
                }
                Err(why) => report.note(node.line, setting, Weight::Wrong, why),
            },
            _ => match self.flags(node) {
                Ok(flags) if flags.iter().any(|flag| flag.contains('\n')) => {
                    report.note(node.line, setting, Weight::Wrong, LINE_BREAK);
                }
                Ok(flags) => {
                    for flag in flags {
                        match taken(&flag) {
                            Ok(()) => report.flags.push(flag),
                            Err(why) => report.note(node.line, setting, Weight::Lost, why),
                        }
                    }
                }
                Err(why) => report.note(node.line, setting, Weight::Wrong, why),
            },
        }
    }

    fn flags(self, node: &Node) -> Result<Vec<String>, String> {
        let word = || node.word().ok_or("it is one word");
        let one = |flag: &str, value: &str| Ok(vec![format!("{flag}={value}")]);
        match self {
            Self::Flag(flag) => one(flag, word()?),
            Self::Number(flag) => match word()? {
                number if number.parse::<u32>().is_ok() => one(flag, number),
                _ => Err("it is a number from 0 to 4294967295".to_owned()),
            },
            Self::ListOf(flag, words) => {
                // Contour reads them in either case.
                let said = list(node)?.into_iter().map(|word| {
                    let mut known = words.iter();
                    known.find(|known| known.eq_ignore_ascii_case(word))
                });
                match said.collect::<Option<Vec<_>>>() {
                    Some(said) => {
                        let said: Vec<&str> = said.into_iter().copied().collect();
                        one(flag, &said.join(","))
                    }
                    None => Err(format!("it is of {}", words.join(", "))),
                }
            }
            Self::Switch(flag) => whether(node).map(|_| vec![flag.to_owned()]),
            Self::Not(flag) => whether(node).map(|_| vec![format!("{flag}=false")]),
            Self::Time(flag) | Self::Limit(flag) => match word()? {
                "infinity" | "infinite" => one(flag, "0s"),
                time => duration(time).and_then(|_| one(flag, time)),
            },
            Self::Wait(flag) => match word()? {
                "infinity" | "infinite" => one(flag, LONGEST),
                time if duration(time)? > duration(LONGEST)? => one(flag, LONGEST),
                time => one(flag, at_least(time)?),
            },
            Self::Length(flag) => one(flag, at_least(word()?)?),
            Self::List(flag) => one(flag, &list(node)?.join(",")),
            Self::Ciphers(flag) => ciphers(flag, node),
            Self::Name(flag) => one(flag, &name(node)?),
            Self::Pairs(flag) => match &node.says {
                Says::Map(entries) => {
                    let pairs = entries.iter().map(|(name, value)| {
                        let value = value.word().ok_or("its values are words")?;
                        Ok(format!("{flag}={name}={value}"))
                    });
                    pairs.collect()
                }
                _ => Err("it is names with values".to_owned()),
            },
            Self::Json(flag) => one(flag, &node.json().to_string()),
            Self::Words(flag, words) => {
                let word = word()?;
                let found = words.iter().find(|(theirs, _)| *theirs == word);
                let (_, ours) = found.ok_or_else(|| {
                    let known: Vec<&str> = words.iter().map(|(theirs, _)| *theirs).collect();
                    format!("it is one of {}", known.join(", "))
                })?;
                one(flag, ours)
            }
            Self::Fine(_)
            | Self::Lost(_)
            | Self::LostBut(..)
            | Self::Percent(_)
            | Self::Tags(_)
            | Self::LogText(_)
            | Self::LogFields(_) => Ok(Vec::new()),
        }
    }
}

/// A value that Isobath's flag does not take is lost, such as a log with commands of Envoy's that are not passed on.
fn lost_or(
    read: Result<String, String>,
    flag: &str,
    setting: &str,
    node: &Node,
    report: &mut Report,
) {
    match read {
        Ok(value) if value.contains('\n') => {
            report.note(node.line, setting, Weight::Lost, LINE_BREAK);
        }
        Ok(value) => report.flags.push(format!("{flag}={value}")),
        Err(why) => report.note(node.line, setting, Weight::Lost, why),
    }
}

/// What is shorter than any flag takes is the shortest.
fn at_least(time: &str) -> Result<&str, String> {
    Ok(match duration(time)? < duration(SHORTEST)? {
        true => SHORTEST,
        false => time,
    })
}

fn is_zero(word: &str) -> bool {
    duration(word).is_ok_and(|time| time.is_zero())
}

/// A tag as the flag has it, or why the flag can't; or else why it is none.
fn tag(node: &Node) -> Result<Result<String, String>, String> {
    let of = |key| {
        node.of(key)
            .and_then(Node::word)
            .filter(|it| !it.is_empty())
    };
    let value = match (of("literal"), of("requestHeaderName")) {
        (Some(text), None) if text.starts_with("%REQ(") => {
            return Ok(Err(
                "a text that looks like a header's value is not taken".to_owned()
            ));
        }
        (Some(text), None) => text.to_owned(),
        (None, Some(header)) => format!("%REQ({header})%"),
        _ => return Err("a tag has a literal or a requestHeaderName".to_owned()),
    };
    let name = of("tagName").ok_or("a tag has a tagName")?;
    let tag = format!("{name}={value}");
    if tag.contains(',') {
        return Ok(Err("a tag with a comma is not taken".to_owned()));
    }
    Ok(traces::tag(&tag).map(|_| tag))
}

/// It is said, so it is not false.
fn whether(node: &Node) -> Result<(), String> {
    match node.word() {
        Some("true") => Ok(()),
        _ => Err("it is true or false".to_owned()),
    }
}

fn list(node: &Node) -> Result<Vec<&str>, String> {
    let words = match &node.says {
        Says::List(items) => items.iter().map(Node::word).collect(),
        _ => None,
    };
    words.ok_or_else(|| "it is a list of words".to_owned())
}

fn ciphers(flag: &str, node: &Node) -> Result<Vec<String>, String> {
    let groups = list(node)?;
    let names = groups
        .iter()
        .flat_map(|group| group.trim_matches(['[', ']']).split('|'));
    let suites = names.map(|name| CipherSuite::new(name).map(CipherSuite::as_str));
    let suites: Vec<&str> = suites.collect::<Result<_, _>>()?;
    Ok(vec![format!("{flag}={}", suites.join(","))])
}

fn name(node: &Node) -> Result<String, String> {
    let of = |key| node.of(key).and_then(Node::word).unwrap_or_default();
    let (namespace, name) = match &node.says {
        Says::Word(word) => word.split_once('/').unwrap_or_default(),
        _ => (of("namespace"), of("name")),
    };
    match namespace.is_empty() || name.is_empty() {
        true => Err("it is a name and a namespace".to_owned()),
        false => Ok(format!("{namespace}/{name}")),
    }
}
