//! Regular expressions that Envoy takes.
//!
//! Envoy refuses a whole table for one expression that it can't compile, without naming the route. So those are
//! taken that mean the same to Rust's parser and to RE2, and that stay small; a test compiles hundreds of them with a
//! real Envoy. Expressions that only one of the two understands are refused, with a sentence for their owner.

use std::sync::Arc;

use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{
    AssertionKind, Ast, ClassAsciiKind, ClassPerlKind, ClassSet, ClassSetItem, GroupKind,
    HexLiteralKind, Literal, LiteralKind, Repetition, RepetitionKind, RepetitionRange,
};

/// An expression that Envoy compiles, in which letters are themselves or, where it says so, their other case too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expression {
    text: Arc<str>,
    ignores_case: bool,
}

impl Expression {
    /// An expression in whose text letters are themselves.
    ///
    /// # Errors
    ///
    /// One sentence on why Envoy could refuse it, or read it otherwise.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, String> {
        Self::checked(text.into(), false)
    }

    /// The same where upper and lower case are one.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn ignoring_case(text: impl Into<Arc<str>>) -> Result<Self, String> {
        Self::checked(text.into(), true)
    }

    fn checked(text: Arc<str>, ignores_case: bool) -> Result<Self, String> {
        size(&text, ignores_case)?;
        Ok(Self { text, ignores_case })
    }

    /// The text, without what says how case counts.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether upper and lower case are one.
    #[must_use]
    pub const fn ignores_case(&self) -> bool {
        self.ignores_case
    }

    /// Whether it matches the whole of this text.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.takes(&format!(r"\A(?:{})\z", self.text), text)
    }

    /// Whether it matches this text from its beginning on, whatever follows.
    #[must_use]
    pub fn matches_beginning(&self, text: &str) -> bool {
        self.takes(&format!(r"\A(?:{})", self.text), text)
    }

    fn takes(&self, expression: &str, text: &str) -> bool {
        // Whoever asks guards something: what can't be told is taken to match.
        self.compile(expression)
            .is_none_or(|compiled| compiled.is_match(text.as_bytes()))
    }

    /// What finds it within a text.
    #[must_use]
    pub fn compiled(&self) -> Option<regex::bytes::Regex> {
        self.compile(&self.text)
    }

    fn compile(&self, expression: &str) -> Option<regex::bytes::Regex> {
        regex::bytes::RegexBuilder::new(expression)
            .case_insensitive(self.ignores_case)
            .unicode(false)
            .build()
            .ok()
    }

    /// How many groups it has.
    #[must_use]
    pub fn groups(&self) -> u32 {
        Parser::new().parse(&self.text).as_ref().map_or(0, groups)
    }

    /// About how many instructions Envoy makes of it.
    #[must_use]
    pub fn size(&self) -> u64 {
        size(&self.text, self.ignores_case).unwrap_or(MAX_PROGRAM)
    }
}

/// How many groups a replacement can name: parentheses that are no `(?`, outside of classes and unescaped.
fn groups(ast: &Ast) -> u32 {
    match ast {
        Ast::Group(group) => u32::from(group.is_capturing()) + groups(&group.ast),
        Ast::Repetition(repetition) => groups(&repetition.ast),
        Ast::Alternation(alternation) => alternation.asts.iter().map(groups).sum(),
        Ast::Concat(concat) => concat.asts.iter().map(groups).sum(),
        _ => 0,
    }
}

/// Longest expression that is taken, in bytes.
const MAX_LENGTH: usize = 1024;
/// Largest program that is taken, as estimated here. RE2 counts somewhat less.
pub const MAX_PROGRAM: u64 = 2000;
/// RE2's limit of counted repetitions, and of the product of those within each other.
const MAX_REPETITION: u32 = 1000;
/// What a class costs that reaches beyond ASCII: RE2 compiles it to the bytes of UTF-8.
const UTF8: u64 = 12;

/// About how many instructions Envoy makes of it, or one sentence on why it can't be used.
fn size(expression: &str, ignores_case: bool) -> Result<u64, String> {
    if expression.is_empty() {
        return Err("the expression is empty".into());
    }
    if expression.len() > MAX_LENGTH {
        return Err(format!("the expression is longer than {MAX_LENGTH} bytes"));
    }
    if !expression.is_ascii() {
        return Err("the expression has characters that are not ASCII".into());
    }
    let ast = Parser::new()
        .parse(expression)
        .map_err(|error| format!("the expression is not valid: {}", error.kind()))?;
    let mut checker = Checker {
        expression,
        ignores_case,
        repetitions: MAX_REPETITION,
    };
    let size = checker.size(&ast)?;
    if size > MAX_PROGRAM {
        return Err(format!("the expression is too large: about {size} steps"));
    }
    Ok(size)
}

fn unsupported<T>(what: &str) -> Result<T, String> {
    Err(format!("the expression has {what}, which is not supported"))
}

struct Checker<'a> {
    expression: &'a str,
    ignores_case: bool,
    /// How often what is looked at may still be repeated.
    repetitions: u32,
}

impl Checker<'_> {
    /// About how many instructions RE2 makes of it.
    fn size(&mut self, ast: &Ast) -> Result<u64, String> {
        Ok(match ast {
            Ast::Empty(_) => 1,
            Ast::Literal(literal) => check_literal(literal)?.max(self.folded(literal.c)),
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::StartLine
                | AssertionKind::EndLine
                | AssertionKind::StartText
                | AssertionKind::EndText
                | AssertionKind::WordBoundary
                | AssertionKind::NotWordBoundary => 1,
                _ => return unsupported("a word boundary of one side"),
            },
            Ast::Dot(_) => UTF8,
            Ast::ClassPerl(class) => perl_size(&class.kind, class.negated),
            Ast::ClassBracketed(class) => {
                let is_wide = class.negated || self.ignores_case;
                class_size(&class.kind)? + if is_wide { UTF8 } else { 0 }
            }
            Ast::ClassUnicode(_) => return unsupported("a Unicode class"),
            Ast::Flags(_) => return unsupported("flags"),
            Ast::Repetition(repetition) => self.repetition_size(repetition)?,
            Ast::Group(group) => match &group.kind {
                GroupKind::CaptureIndex(_) => self.size(&group.ast)?.saturating_add(2),
                GroupKind::NonCapturing(flags) if flags.items.is_empty() => {
                    self.size(&group.ast)?
                }
                GroupKind::NonCapturing(_) => return unsupported("flags"),
                GroupKind::CaptureName { .. } => return unsupported("a named group"),
            },
            Ast::Alternation(alternation) => self.sum(&alternation.asts)?,
            Ast::Concat(concat) => self.sum(&concat.asts)?,
        })
    }

    /// Two letters have a third case beyond ASCII: the long s and the sign of Kelvin.
    const fn folded(&self, letter: char) -> u64 {
        if self.ignores_case && matches!(letter, 'k' | 'K' | 's' | 'S') {
            UTF8 / 2
        } else {
            0
        }
    }

    fn sum(&mut self, asts: &[Ast]) -> Result<u64, String> {
        asts.iter().try_fold(1_u64, |total, ast| {
            Ok(total.saturating_add(self.size(ast)?).saturating_add(1))
        })
    }

    fn repetition_size(&mut self, repetition: &Repetition) -> Result<u64, String> {
        if let Ast::Repetition(_) = *repetition.ast {
            return unsupported("a repetition of a repetition without a group");
        }
        let (least, most) = match &repetition.op.kind {
            RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore | RepetitionKind::OneOrMore => {
                return Ok(self.size(&repetition.ast)?.saturating_add(1));
            }
            RepetitionKind::Range(RepetitionRange::Exactly(times)) => (*times, *times),
            RepetitionKind::Range(RepetitionRange::AtLeast(times)) => {
                (*times, times.saturating_add(1))
            }
            RepetitionKind::Range(RepetitionRange::Bounded(least, most)) => (*least, *most),
        };
        let span = repetition.op.span;
        let text = self.expression.get(span.start.offset..span.end.offset);
        if !text.is_some_and(is_counted) {
            return unsupported("a repetition that is not written {n}, {n,} or {n,m}");
        }
        let before = self.repetitions;
        self.repetitions /= most.max(1);
        if most > MAX_REPETITION || self.repetitions == 0 {
            return Err(format!(
                "the expression repeats more than {MAX_REPETITION} times"
            ));
        }
        let inner = self.size(&repetition.ast)?;
        self.repetitions = before;
        let optional = u64::from(most.saturating_sub(least));
        Ok(inner
            .saturating_mul(u64::from(most))
            .saturating_add(optional)
            .saturating_add(1))
    }
}

/// RE2 takes anything else between braces as text: `{,3}`, `{ 3 }`.
fn is_counted(text: &str) -> bool {
    let text = text.strip_suffix('?').unwrap_or(text);
    let numbers = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'));
    let Some(numbers) = numbers else {
        return false;
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (least, most) = numbers.split_once(',').unwrap_or((numbers, ""));
    !least.is_empty() && is_number(least) && is_number(most)
}

/// One instruction for one character, where both spell it alike.
fn check_literal(literal: &Literal) -> Result<u64, String> {
    let is_known = match &literal.kind {
        LiteralKind::Verbatim | LiteralKind::Meta | LiteralKind::Special(_) => true,
        LiteralKind::Superfluous => literal.c != '_',
        LiteralKind::HexFixed(kind) | LiteralKind::HexBrace(kind) => *kind == HexLiteralKind::X,
        LiteralKind::Octal => false,
    };
    if is_known && literal.c.is_ascii() {
        Ok(1)
    } else {
        unsupported("an escape that is no escape of an ASCII character")
    }
}

const fn perl_size(kind: &ClassPerlKind, negated: bool) -> u64 {
    match (kind, negated) {
        (_, true) => UTF8 + 4,
        (ClassPerlKind::Digit, false) => 1,
        (ClassPerlKind::Space | ClassPerlKind::Word, false) => 4,
    }
}

fn class_size(set: &ClassSet) -> Result<u64, String> {
    fn item_size(item: &ClassSetItem) -> Result<u64, String> {
        match item {
            ClassSetItem::Empty(_) => Ok(0),
            ClassSetItem::Literal(literal) => check_literal(literal),
            ClassSetItem::Range(range) => {
                check_literal(&range.start)?;
                check_literal(&range.end)
            }
            ClassSetItem::Ascii(class) if class.negated => Ok(UTF8 + 4),
            ClassSetItem::Ascii(class) => Ok(match class.kind {
                ClassAsciiKind::Digit | ClassAsciiKind::Lower | ClassAsciiKind::Upper => 1,
                _ => 4,
            }),
            ClassSetItem::Perl(class) => Ok(perl_size(&class.kind, class.negated)),
            ClassSetItem::Unicode(_) => unsupported("a Unicode class"),
            ClassSetItem::Bracketed(_) => unsupported("a class within a class"),
            ClassSetItem::Union(union) => union
                .items
                .iter()
                .try_fold(0_u64, |total, item| Ok(total + item_size(item)?)),
        }
    }
    match set {
        ClassSet::Item(item) => item_size(item),
        ClassSet::BinaryOp(_) => unsupported("a set operation in a class"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn expressions_that_envoy_could_refuse_or_read_otherwise_are_refused() {
        let refuse = |expression: &str, why: &str| match Expression::new(expression) {
            Ok(_) => panic!("{expression:?} is taken"),
            Err(got) => assert!(got.contains(why), "{expression:?}: {got:?}, not {why:?}"),
        };
        refuse("", "empty");
        refuse("/[", "not valid");
        refuse("/*(", "not valid");
        refuse("/a{1001}+", "without a group");
        refuse("/a{1001}", "repeats more than");
        refuse("/(a{40}){30}", "repeats more than");
        refuse("/(?:(?:a{10}){10,}){10}", "repeats more than");
        refuse("/(?:[^/]{20}){20}", "too large");
        refuse("/a**", "without a group");
        refuse("/a{2}{3}", "without a group");
        refuse("/a{,3}", "not valid");
        refuse("/a{ 3 }", "not written {n}");
        refuse("/a{3, 4}", "not written {n}");
        refuse("/(?i)a+", "flags");
        refuse("/(?i:a)+", "flags");
        refuse("/(?P<x>a)+", "named group");
        refuse("/[a&&b]", "set operation");
        refuse("/[a[b]]", "class within a class");
        refuse("/\\p{Greek}+", "Unicode class");
        refuse("/[\\pL]", "Unicode class");
        refuse("/\\u0061+", "escape");
        refuse("/\\_+", "escape");
        refuse("/[\\x{100}-\\x{200}]", "escape");
        refuse("/\\b{start}a+", "word boundary");
        refuse("/a\\>", "word boundary");
        refuse("/ä+", "not ASCII");
        refuse(&format!("/{}+", "a".repeat(1024)), "longer than");
        for taken in [
            "/(a{33}){30}",
            "/a{0,3}?",
            "/[^/]+/v[0-9]{1,3}",
            "/\\.(png|jpg)$",
        ] {
            assert!(Expression::new(taken).is_ok(), "{taken}");
        }
    }

    #[test]
    fn letters_of_three_cases_cost_more() {
        let expression = "/[a-z]{2}ask";
        let plain = Expression::new(expression).unwrap();
        let folded = Expression::ignoring_case(expression).unwrap();
        assert_eq!(folded.as_str(), plain.as_str());
        assert_eq!(folded.size() - plain.size(), 2 * UTF8 + 2 * (UTF8 / 2 - 1));
        assert!(Expression::new("s".repeat(900)).is_ok());
        assert!(Expression::ignoring_case("s".repeat(900)).is_err());
    }
}
