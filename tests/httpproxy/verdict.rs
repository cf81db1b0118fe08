//! What is told of objects, in process: from the text of the objects through decoding and the core.

use std::collections::BTreeSet;

use isobath::build::{Builder, Config};
use isobath::cli;
use isobath::facts::Log;
use isobath::model::{Front, Host};
use isobath::objects::{Event, Kind, Object, ObjectRef, decode};
use isobath::translate::{Input, Languages, Memo, Options, reason};
use serde_json::Value;

use crate::answers::Told;

/// What is told of all objects.
pub(crate) struct Verdicts {
    builder: Builder,
    /// The HTTPProxies that a root's routes come through.
    reached: BTreeSet<ObjectRef>,
}

/// What flags say, as far as the core is concerned.
pub(crate) fn config(flags: &[&str]) -> Config {
    let all = ["isobath", "serve", "--manifests", "/"];
    let all = all.iter().chain(flags).map(Into::into);
    let cli = cli::parse(all).unwrap_or_else(|_| panic!("{flags:?} can't be read"));
    let cli::Command::Serve(serve) = cli.command else {
        panic!("it is no serve");
    };
    serve.core.config(true)
}

/// An object of its text.
pub(crate) fn object(value: &Value) -> Object {
    let name = value["kind"].as_str().unwrap();
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    let kind = kind.unwrap_or_else(|| panic!("{name} is not watched"));
    decode(kind, &value.to_string()).unwrap()
}

impl Verdicts {
    /// Builds all of it.
    pub(crate) fn new(objects: &[Value], flags: &[&str]) -> Self {
        let mut builder = Builder::new(config(flags));
        let events = objects.iter().map(|value| Event::Apply(object(value)));
        builder.apply(Event::Batch(events.collect()));
        builder.build();
        let reached = reached(&builder, objects, &config(flags).options);
        Self { builder, reached }
    }

    /// Everything that is told of one: of which field, type and reason, and the text.
    pub(crate) fn problems(&self, kind: &str, namespace: &str, name: &str) -> Vec<String> {
        let found = Kind::ALL.into_iter().find(|it| it.name() == kind);
        let reference = ObjectRef::new(found.unwrap(), namespace, name);
        let problems = self.builder.statuses().problems.get(&reference);
        let problems = problems.iter().flat_map(|it| it.problems.iter());
        let text = |it: &isobath::objects::Problem| {
            let of = match it.condition {
                None => String::new(),
                Some(of) if of.is_warning => format!("warning {}/", of.condition_type),
                Some(of) => format!("{}/", of.condition_type),
            };
            let at = match &it.source.field {
                isobath::objects::Field::Whole => String::new(),
                isobath::objects::Field::At(at) => format!("{at} "),
                other => format!("{other:?} "),
            };
            format!("{at}{of}{}: {}", it.reason, it.message)
        };
        problems.map(text).collect()
    }

    /// What is told of one.
    pub(crate) fn of(&self, kind: &str, namespace: &str, name: &str) -> Told {
        let found = Kind::ALL.into_iter().find(|it| it.name() == kind);
        let reference = ObjectRef::new(found.unwrap(), namespace, name);
        let mut told = Told::default();
        let problems = self.builder.statuses().problems.get(&reference);
        for problem in problems.iter().flat_map(|it| it.problems.iter()) {
            told.messages.push(problem.message.clone());
            match problem.condition {
                _ if problem.reason == reason::OBJECT_NOT_VALID => {
                    told.word = "unread".to_owned();
                }
                None => told.errors.push(problem.reason.to_owned()),
                Some(condition) => {
                    let text = format!("{}/{}", condition.condition_type, problem.reason);
                    match condition.is_warning {
                        true => told.warnings.push(text),
                        false => told.errors.push(text),
                    }
                }
            }
        }
        if told.word.is_empty() {
            told.word = self.word(&reference, told.errors.is_empty()).to_owned();
        }
        told
    }

    fn word(&self, reference: &ObjectRef, is_valid: bool) -> &'static str {
        let log = Log::default();
        let reader = isobath::facts::Reader::new(self.builder.store(), &log);
        let is_root = match reference.kind {
            Kind::HttpProxy => match reader.http_proxy(&reference.name) {
                None => return "unserved",
                Some(proxy) => proxy.virtual_host.is_some(),
            },
            _ => true,
        };
        match (is_valid, is_root || self.reached.contains(reference)) {
            (false, _) => "invalid",
            (true, false) => "orphaned",
            (true, true) => "valid",
        }
    }
}

/// The objects that the routes of any host come through.
fn reached(builder: &Builder, objects: &[Value], options: &Options) -> BTreeSet<ObjectRef> {
    let languages = Languages::default();
    let (memo, log) = (Memo::default(), Log::default());
    let input = Input::new(builder.store(), options, &memo, &log);
    let hosts = objects
        .iter()
        .filter_map(|object| object["spec"]["virtualhost"]["fqdn"].as_str());
    let units = hosts.map(|host| languages.host(input, &Front::Fleet, &Host::new(host)));
    units.flat_map(|unit| unit.reached).collect()
}
