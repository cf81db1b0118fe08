//! Objects as they are at one moment, for commands that ask once: those of manifests, those of a cluster, or a cluster's with
//! manifests applied to it. It lists as `isobath serve` does, so it needs the same rights, and writes nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use tokio::sync::mpsc;

use crate::build::{Builder, Config};
use crate::objects::{Event, Kind, Object};
use crate::process::exit_code::UsageError;
use crate::process::threads::threads;
use crate::sources::kubernetes::{self, ConnectError, Kubernetes};
use crate::sources::manifests::{Inspection, STANDARD_INPUT};

/// What is listed, kind by kind, may be this far ahead of who takes it.
const EVENTS: usize = 64;

/// Reads manifests.
///
/// # Errors
///
/// They can't be read, or no object is in them: what comes of nothing says nothing, and is most likely a slip of the pen.
pub fn of_manifests(path: &Path) -> Result<Inspection, UsageError> {
    let inspection = Inspection::of(path).map_err(|error| UsageError::new(error.to_string()))?;
    if inspection.objects() == 0 && inspection.others().is_empty() {
        let place = match path == Path::new(STANDARD_INPUT) {
            true => "on standard input".to_owned(),
            false => format!("in {}", path.display()),
        };
        let says = match inspection.passed_over().first() {
            Some(problem) => format!("there is no object of Kubernetes {place}: {problem}"),
            None => format!("there is no object of Kubernetes {place}"),
        };
        return Err(UsageError::new(says));
    }
    Ok(inspection)
}

/// Lists a cluster once, each kind in full.
///
/// # Errors
///
/// A configuration that can't be read ([`UsageError`]), a server that can't be asked, and a list that it refuses.
pub async fn of_cluster(
    args: &kubernetes::Args,
    classes_are_named: bool,
) -> anyhow::Result<Vec<Event>> {
    let args = kubernetes::Args {
        // One process is no fleet.
        start_jitter: std::time::Duration::ZERO,
        ..args.clone()
    };
    let source = match Kubernetes::connect(&args, classes_are_named).await {
        Ok(source) => source,
        Err(ConnectError::Configuration(error)) => {
            return Err(UsageError::new(error.to_string()).into());
        }
        Err(error) => return Err(error.into()),
    };
    let mut missing: BTreeSet<(Kind, Option<Arc<str>>)> = source.watched().into_iter().collect();
    let (sender, mut received) = mpsc::channel(EVENTS);
    let listed = async {
        let mut events = Vec::new();
        while !missing.is_empty() {
            let Some(event) = received.recv().await else {
                bail!("the lists of the cluster have ended");
            };
            note(&event, &mut missing);
            events.push(event);
        }
        Ok(events)
    };
    tokio::select! {
        result = source.run(sender) => match result {
            Ok(never) => match never {},
            Err(error) => Err(error.into()),
        },
        events = listed => events,
    }
}

fn note(event: &Event, missing: &mut BTreeSet<(Kind, Option<Arc<str>>)>) {
    match event {
        Event::Replace {
            kind, namespace, ..
        } => {
            missing.remove(&(*kind, namespace.clone()));
        }
        Event::Batch(events) => events.iter().for_each(|event| note(event, missing)),
        Event::Apply(_) | Event::Delete(_) => {}
    }
}

/// What a control plane makes of these.
pub fn built(config: Config, events: impl IntoIterator<Item = Event>) -> Builder {
    let mut builder = Builder::new(config).with_threads(threads());
    for event in events {
        builder.apply(event);
    }
    builder.build();
    builder
}

/// The manifests as they would be in a cluster that has `there`, once they are applied: what is there already keeps its age,
/// by which conflicts are decided, and what is new is younger than all.
pub fn applied(inspection: &Inspection, there: &Builder) -> Vec<Event> {
    let objects = inspection.events().into_iter().flat_map(objects);
    let applied = objects.map(|mut object| {
        let reference = object.reference();
        if let (Some(known), Some(metadata)) =
            (there.store().metadata(&reference), object.metadata_mut())
        {
            metadata.uid = known.uid.clone();
            metadata.created = known.created;
        }
        Event::Apply(object)
    });
    applied.collect()
}

fn objects(event: Event) -> Vec<Object> {
    match event {
        Event::Apply(object) => vec![object],
        Event::Delete(_) => Vec::new(),
        Event::Replace { objects, .. } => objects,
        Event::Batch(events) => events.into_iter().flat_map(objects).collect(),
    }
}
