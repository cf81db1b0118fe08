//! Hosts: what they are on the listeners of their fronts, and which clusters they use.

use crate::model::{Claimable, Front, Host};
use crate::translate::Memo;

use super::render::{RenderedHost, parallel_map};
use super::unit::Unit;
use super::used_secrets::SecretKey;
use super::{Builder, HostState, Work};

impl Builder {
    /// Builds hosts, and takes those away that nobody names any more.
    pub(super) fn build_hosts(&mut self, work: &mut Work, memo: &Memo) {
        let hosts: Vec<(Front, Host)> = work.units.take(|unit| match unit {
            Unit::Host(front, host) => Ok((front, host)),
            other => Err(other),
        });
        let renderer = self.renderer(memo);
        let rendered = parallel_map(self.threads, &hosts, |(front, host)| {
            renderer.host(front, host)
        });
        for ((front, host), (rendered, reads)) in hosts.into_iter().zip(rendered) {
            let unit = Unit::Host(front.clone(), host.clone());
            let is_claimed = self
                .store
                .is_claimed(&Claimable::Host(front.clone(), host.clone()));
            match is_claimed {
                true => self.record(&unit, reads),
                false => self.forget(&unit),
            }
            let state = self.file_host(&front, &host, rendered, work);
            if is_claimed {
                self.hosts.insert(&front, &host, state);
            }
        }
    }

    fn file_host(
        &mut self,
        front: &Front,
        host: &Host,
        unit: RenderedHost,
        work: &mut Work,
    ) -> HostState {
        self.translated.hosts += 1;
        let old = self.hosts.remove(front, host).unwrap_or_default();
        let http_key = unit.http.as_ref().map(|(key, _)| key.clone());
        let in_clear = front.in_clear();
        if let Some(http) = in_clear.and_then(|name| self.listeners.http(name)) {
            http.set_redirect(host, unit.redirects);
            http.set(old.http_key.as_ref(), unit.http);
        }
        let by_tls = front.by_tls();
        if let Some(tls) = by_tls.and_then(|name| self.listeners.tls(name)) {
            tls.set(host, unit.https);
        }
        let clusters = unit.clusters.keys().cloned().collect();
        let secrets: Box<[SecretKey]> = unit.secrets.into_iter().collect();
        self.listeners
            .used_secrets()
            .replace(&old.secrets, &secrets);
        self.reached.replace(&old.reached, &unit.reached);
        self.use_clusters(&old.clusters, unit.clusters, work);
        self.problems
            .set(Unit::Host(front.clone(), host.clone()), unit.problems);
        HostState {
            http_key,
            clusters,
            secrets,
            reached: unit.reached.into_iter().collect(),
        }
    }
}
