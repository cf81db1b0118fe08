//! `isobath migrate --from ingress-nginx`: what each annotation of each Ingress comes to.
//!
//! Manifests are read as `isobath check` reads them, as if their classes asked for the dialect: what a control plane would tell the
//! owners is what stands in the report, beside the verdicts of the table of annotations. It asks nobody.

mod html;
pub mod replay;
mod requests;
mod tls;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::build::{Builder, Config};
use crate::facts::ClassSelection;
use crate::objects::{
    Annotations, CONTROLLER, Event, Field, Ingress, IngressClass, Kind, Metadata, NamespacedName,
    NginxData, Object, ObjectRef, Problem,
};
use crate::process::exit_code::UsageError;
use crate::process::threads::threads;
use crate::sources::manifests::{Inspection, Origin};
use crate::translate::{NGINX_PREFIX, NginxVerdict, Options, find_nginx, nginx_key, reason};

pub use html::html;
pub use written::{json, text};

/// The controller of ingress-nginx's classes.
const ITS_CONTROLLER: &str = "k8s.io/ingress-nginx";
/// Its usual class.
const ITS_CLASS: &str = "nginx";
/// By which a class asks for the dialect.
const DIALECT: (&str, &str) = ("isobath.dev/dialect", "ingress-nginx");

/// All that is to be said of a move.
#[derive(Debug, Default)]
pub struct Moves {
    /// Each Ingress, those first that would break.
    pub ingresses: Vec<Move>,
    /// ingress-nginx's own ConfigMap, where it is named.
    pub config_map: Option<Move>,
    /// Ingresses of other classes.
    pub foreign: usize,
    /// What can't be read, one sentence each.
    pub unread: Vec<String>,
    /// What was asked of both sides, where that was.
    pub replay: Option<replay::Replay>,
}

/// One object.
#[derive(Debug)]
pub struct Move {
    /// Its kind.
    pub kind: Kind,
    /// `namespace/name`.
    pub name: String,
    /// Where it stands.
    pub origin: Option<Origin>,
    /// Its annotations, those first that would break, and what is to be said of other fields.
    pub lines: Vec<Line>,
}

/// What becomes of an annotation, or of another field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// What becomes of it.
    pub verdict: Verdict,
    /// The annotation, without its prefix; another field's path.
    pub what: String,
    /// Why, or how it differs; empty where there is nothing to be said.
    pub text: String,
}

/// What becomes of an annotation: the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It guards, and can't be honoured: the routes answer 503.
    Closed,
    /// It has no effect that it had.
    Refused,
    /// It means nearly what it meant.
    Differs,
    /// It has no effect, and needs none.
    WithoutEffect,
    /// It means what it meant.
    Same,
}

impl Verdict {
    /// All of them, the worst first.
    pub const ALL: [Self; 5] = [
        Self::Closed,
        Self::Refused,
        Self::Differs,
        Self::WithoutEffect,
        Self::Same,
    ];

    /// The words for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed (503)",
            Self::Refused => "refused",
            Self::Differs => "differs",
            Self::WithoutEffect => "without effect",
            Self::Same => "same",
        }
    }

    /// The word for it in JSON.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Refused => "refused",
            Self::Differs => "differs",
            Self::WithoutEffect => "withoutEffect",
            Self::Same => "same",
        }
    }
}

impl Moves {
    /// How many lines have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        let lines = self.all().flat_map(|it| &it.lines);
        lines.filter(|line| line.verdict == verdict).count()
    }

    /// All objects, what holds for all Ingresses first.
    pub fn all(&self) -> impl Iterator<Item = &Move> {
        self.config_map.iter().chain(&self.ingresses)
    }

    /// Puts those first that would break.
    fn sort(&mut self) {
        let worst = |it: &Move| it.lines.first().map_or(Verdict::Same, |line| line.verdict);
        let breaking = |it: &Move| {
            let lines = it.lines.iter();
            lines
                .filter(|line| line.verdict <= Verdict::Refused)
                .count()
        };
        self.ingresses.sort_by(|a, b| {
            let place = |it: &Move| (worst(it), usize::MAX - breaking(it));
            place(a).cmp(&place(b)).then_with(|| a.name.cmp(&b.name))
        });
    }

    /// Whether something would break: an annotation that has no effect, a route that is closed, an answer that is another.
    #[must_use]
    pub fn breaks(&self) -> bool {
        let differs = self.replay.as_ref().is_some_and(|it| it.differs());
        differs || self.count(Verdict::Closed) + self.count(Verdict::Refused) > 0
    }
}

/// Reads manifests. `classes` are those that move besides `nginx` and those of ingress-nginx's own controller; `config_map` is its own.
///
/// # Errors
///
/// A path that can't be read, and one where no Ingress is.
pub fn moves(
    path: &Path,
    classes: &[String],
    config_map: Option<&NamespacedName>,
) -> anyhow::Result<Moves> {
    let mut inspection =
        Inspection::of(path).map_err(|error| UsageError::new(error.to_string()))?;
    let unread = inspection
        .problems()
        .into_iter()
        .map(|problem| problem.to_string())
        .collect();
    let mut names: BTreeSet<Arc<str>> = classes.iter().map(|name| Arc::from(&**name)).collect();
    names.insert(ITS_CLASS.into());
    let events: Vec<Event> = inspection
        .events()
        .into_iter()
        .map(|event| asking(event, &mut names))
        .collect();
    let mut config = Config::of_manifests(Options {
        nginx_configmap: config_map.cloned(),
        ..Options::default()
    });
    config.classes = ClassSelection {
        names: names.iter().cloned().collect(),
        manifests: true,
    };
    let mut builder = Builder::new(config).with_threads(threads());
    for event in events {
        builder.apply(event);
    }
    // Those that are named and have no IngressClass in the files.
    for name in &names {
        builder.apply(Event::Apply(Object::IngressClass(Arc::new(class(name)))));
    }
    builder.build();
    let statuses = builder.statuses();
    let mut moves = Moves {
        unread,
        ..Moves::default()
    };
    for (name, facts) in &statuses.ingresses {
        let Some(ingress) = facts.ingress.as_ref().filter(|_| facts.served) else {
            moves.foreign += 1;
            continue;
        };
        let object = ObjectRef::new(crate::objects::Kind::Ingress, &*name.namespace, &*name.name);
        let problems = statuses.problems.get(&object);
        let problems = problems.map_or(&[][..], |it| &it.problems);
        let whole = Problem::new(object, reason::OBJECT_NOT_VALID, String::new());
        moves.ingresses.push(Move {
            kind: Kind::Ingress,
            name: name.to_string(),
            origin: inspection.locate(&whole),
            lines: lines(ingress, problems),
        });
    }
    moves.config_map = config_map.map(|name| of_config_map(&builder, &inspection, name));
    if moves.ingresses.is_empty() {
        let place = path.display();
        return Err(UsageError::new(format!(
            "there is no Ingress of a class of ingress-nginx in {place}: --ingress-class names others than nginx"
        ))
        .into());
    }
    moves.sort();
    Ok(moves)
}

/// What becomes of ingress-nginx's own ConfigMap.
fn of_config_map(builder: &Builder, inspection: &Inspection, name: &NamespacedName) -> Move {
    let object = ObjectRef::new(Kind::ConfigMap, &*name.namespace, &*name.name);
    let statuses = builder.statuses();
    let problems = statuses.problems.get(&object);
    let problems = problems.map_or(&[][..], |it| &it.problems);
    let whole = Problem::new(object, reason::OBJECT_NOT_VALID, String::new());
    let map = builder.store().config_map(name);
    Move {
        kind: Kind::ConfigMap,
        name: name.to_string(),
        origin: inspection.locate(&whole),
        lines: keys(map.and_then(|it| it.nginx.as_ref()), problems),
    }
}

/// An IngressClass that asks for the dialect.
fn class(name: &str) -> IngressClass {
    IngressClass {
        metadata: Metadata {
            name: crate::objects::NamespacedName::new("", name),
            uid: "".into(),
            created: None,
            annotations: Annotations::from_iter([(DIALECT.0.into(), DIALECT.1.into())]),
        },
        controller: CONTROLLER.into(),
        is_default: false,
    }
}

/// The same, where classes of ingress-nginx's are ours and ask for the dialect, as they do when the move is made.
fn asking(event: Event, names: &mut BTreeSet<Arc<str>>) -> Event {
    let mut change = |object: Object| match object {
        Object::IngressClass(its) if &*its.controller == ITS_CONTROLLER => {
            names.insert(its.metadata.name.name.clone());
            Object::IngressClass(Arc::new(class(&its.metadata.name.name)))
        }
        other => other,
    };
    match event {
        Event::Apply(object) => Event::Apply(change(object)),
        Event::Replace {
            kind,
            namespace,
            objects,
        } => Event::Replace {
            kind,
            namespace,
            objects: objects.into_iter().map(change).collect(),
        },
        other => other,
    }
}

/// Of what the files need not have all: where it is missing it is missing there as well.
const ELSEWHERE: [&str; 6] = [
    reason::SERVICE_NOT_FOUND,
    reason::SERVICE_PORT_NOT_FOUND,
    reason::SECRET_NOT_FOUND,
    reason::SECRET_NOT_VALID,
    reason::CERTIFICATE_NAME_MISMATCH,
    reason::HTTPS_NOT_SERVED,
];

fn lines(ingress: &Ingress, problems: &[Problem]) -> Vec<Line> {
    let mut told: BTreeMap<String, Vec<&Problem>> = BTreeMap::new();
    for problem in problems {
        let field = match &problem.source.field {
            Field::At(path) => path.to_string(),
            _ => String::new(),
        };
        told.entry(field).or_default().push(problem);
    }
    let mut lines = Vec::new();
    for (key, _) in ingress.metadata.annotations.iter() {
        let Some(name) = key.strip_prefix(NGINX_PREFIX) else {
            continue;
        };
        let of_it = told.remove(&format!("metadata.annotations[{key}]"));
        lines.push(line(name, &of_it.unwrap_or_default()));
    }
    for (field, problems) in told {
        for problem in problems {
            if ELSEWHERE.contains(&problem.reason) {
                continue;
            }
            lines.push(Line {
                verdict: match problem.reason {
                    reason::ROUTE_CLOSED => Verdict::Closed,
                    _ => Verdict::Differs,
                },
                what: field.clone(),
                text: problem.message.clone(),
            });
        }
    }
    lines.sort();
    lines
}

/// Of the keys of ingress-nginx's own ConfigMap.
fn keys(data: Option<&NginxData>, problems: &[Problem]) -> Vec<Line> {
    let Some(data) = data else {
        let text = "it is not in these files, or has no key of ingress-nginx's: without it the routes of all Ingresses are closed";
        return vec![Line {
            verdict: Verdict::Closed,
            what: "data".to_owned(),
            text: text.to_owned(),
        }];
    };
    let line = |(key, _): &(Arc<str>, Option<Arc<str>>)| {
        let field = format!("data.{key}");
        let of_it = |it: &&Problem| matches!(&it.source.field, Field::At(at) if **at == *field);
        let told = problems.iter().find(of_it);
        let (verdict, text) = match (told, nginx_key(key)) {
            (Some(told), _) if told.reason == reason::ROUTE_CLOSED => {
                (Verdict::Closed, told.message.clone())
            }
            (_, Err(Some(flag))) => (Verdict::Differs, format!("use {flag}")),
            (_, Err(None)) => (Verdict::WithoutEffect, String::new()),
            (Some(told), Ok(())) => (Verdict::Differs, told.message.clone()),
            (None, Ok(())) => (Verdict::Same, String::new()),
        };
        Line {
            verdict,
            what: key.to_string(),
            text,
        }
    };
    let mut lines: Vec<Line> = data.iter().map(line).collect();
    lines.sort();
    lines
}

/// Of one annotation, with what its owner would be told of it.
fn line(name: &str, problems: &[&Problem]) -> Line {
    let found = find_nginx(name);
    let said = |problem: &&&Problem| !is_missing(problem);
    let told: Vec<&str> = problems
        .iter()
        .filter(said)
        .map(|it| &*it.message)
        .collect();
    let missing: Vec<&str> = problems
        .iter()
        .filter(|it| is_missing(it))
        .map(|it| &*it.message)
        .collect();
    let mut problems = problems.iter().filter(said);
    let closes = problems.any(|it| it.reason == reason::ROUTE_CLOSED);
    let (verdict, text) = match found.map(|found| found.verdict) {
        _ if closes => (Verdict::Closed, told.join("; ")),
        None => (
            Verdict::WithoutEffect,
            "ingress-nginx has none of this name".to_owned(),
        ),
        Some(NginxVerdict::NotYet) => (
            Verdict::Refused,
            "Isobath does not support it yet".to_owned(),
        ),
        Some(NginxVerdict::Refused(why)) => (Verdict::Refused, why.to_owned()),
        Some(NginxVerdict::NoOp) => (
            Verdict::WithoutEffect,
            "Envoy needs no such setting".to_owned(),
        ),
        _ if !told.is_empty() => (Verdict::Differs, told.join("; ")),
        Some(NginxVerdict::Near(how)) => (Verdict::Differs, how.to_owned()),
        Some(NginxVerdict::Exact) => (Verdict::Same, String::new()),
    };
    let text = match missing.first() {
        None => text,
        // It is as it is there: what names nothing is closed.
        Some(first) if text.is_empty() => format!("these files lack what it names: {first}"),
        Some(first) => format!("{text}; these files lack what it names: {first}"),
    };
    Line {
        verdict,
        what: name.to_owned(),
        text,
    }
}

/// Whether something is closed for an object that the files lack.
fn is_missing(problem: &Problem) -> bool {
    ELSEWHERE.contains(&problem.reason)
        || problem.reason == reason::ROUTE_CLOSED && problem.message.contains(" does not exist")
}
