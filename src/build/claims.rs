//! What objects claim, and the listeners that are there for it.
//!
//! A claim brings a listener or a host into being, and the last one takes it away. What changes here is read by units of this
//! very build that stand higher (the places in `build/unit.rs`): which objects claim what, and what is spoken on a listener.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::facts::Changes;
use crate::model::{Application, Claimable, Listener};
use crate::objects::ObjectRef;
use crate::translate::Memo;

use super::render::parallel_map;
use super::unit::Unit;
use super::{Builder, Work};

impl Builder {
    /// Makes the claims of objects.
    pub(super) fn build_claims(&mut self, work: &mut Work, memo: &Memo) {
        let objects: Vec<ObjectRef> = work.units.take(|unit| match unit {
            Unit::Claims(object) => Ok(object),
            other => Err(other),
        });
        let renderer = self.renderer(memo);
        let made = parallel_map(self.threads, &objects, |object| renderer.claims(object));
        let mut changes = Changes::read();
        for (object, (mut claims, reads)) in objects.into_iter().zip(made) {
            let unit = Unit::Claims(object.clone());
            match self.store.contains(&object) {
                true => self.record(&unit, reads),
                false => {
                    self.forget(&unit);
                    claims = BTreeSet::new();
                }
            }
            self.store.claim(&object, claims, &mut changes);
        }
        self.add_changed(changes, &mut work.units);
    }

    /// Builds the listeners that somebody claims, and removes the others.
    pub(super) fn build_listeners(&mut self, work: &mut Work, memo: &Memo) {
        let names: Vec<Arc<str>> = work.units.take(|unit| match unit {
            Unit::Listener(name) => Ok(name),
            other => Err(other),
        });
        let renderer = self.renderer(memo);
        let made = parallel_map(self.threads, &names, |name| renderer.listener(name));
        let mut changes = Changes::read();
        for (name, (made, reads)) in names.into_iter().zip(made) {
            self.translated.listeners += 1;
            let unit = Unit::Listener(name.clone());
            match self.store.is_claimed(&Claimable::Listener(name.clone())) {
                true => self.record(&unit, reads),
                false => self.forget(&unit),
            }
            let application = made.listener.as_ref().map(|made| &made.application);
            let spoken = application.map(Application::spoken);
            self.store.listen(&name, spoken, &mut changes);
            match made.listener {
                Some(listener) => {
                    self.listeners.declare(listener);
                    if let Some(tls) = self.listeners.tls(&name) {
                        tls.set_hostnames(made.hostnames);
                    }
                }
                None if Listener::is_built_in(&name) => {}
                None => self.listeners.remove(&name),
            }
            let old = self.forwarding.remove(&name).unwrap_or_default();
            if !made.clusters.is_empty() {
                let clusters = made.clusters.keys().cloned().collect();
                self.forwarding.insert(name, clusters);
            }
            self.use_clusters(&old, made.clusters, work);
            self.problems.set(unit, made.problems);
        }
        self.add_changed(changes, &mut work.units);
    }
}
