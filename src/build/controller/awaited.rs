//! What must have been listed before anything is published.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::objects::{Event, Kind};
use crate::process::admin::{Pending, Readiness};

/// A list that a source makes: a kind, in one namespace or in all.
pub type Scope = (Kind, Option<Arc<str>>);

/// The lists that are still to come, each a line of `/readyz`.
#[derive(Debug)]
pub struct Awaited {
    lists: BTreeMap<Scope, Pending>,
}

impl Awaited {
    /// Awaits a list of each of these scopes.
    #[must_use]
    pub fn new(scopes: impl IntoIterator<Item = Scope>, readiness: &Readiness) -> Self {
        let lists = scopes.into_iter().map(|scope| {
            let name = match &scope {
                (kind, None) => format!("list of {kind}"),
                (kind, Some(namespace)) => format!("list of {kind} in namespace {namespace}"),
            };
            let pending = readiness.add(name);
            (scope, pending)
        });
        Self {
            lists: lists.collect(),
        }
    }

    /// Notes that a list came.
    pub fn see(&mut self, event: &Event) {
        match event {
            Event::Replace {
                kind, namespace, ..
            } => {
                if let Some(pending) = self.lists.remove(&(*kind, namespace.clone())) {
                    pending.done();
                }
            }
            Event::Batch(events) => events.iter().for_each(|event| self.see(event)),
            Event::Apply(_) | Event::Delete(_) => {}
        }
    }

    /// Whether all lists came.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.lists.is_empty()
    }
}
