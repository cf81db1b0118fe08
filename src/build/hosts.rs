//! Hosts: what they are on the listeners of their fronts, and which clusters they use.

use crate::model::{Front, Host};
use crate::translate::Memo;

use super::render::{RenderedHost, parallel_map};
use super::tls::Served;
use super::unit::Unit;
use super::{Builder, HostState, Work};

impl Builder {
    /// Builds hosts, and takes those away that nobody names any more.
    pub(super) fn build_hosts(&mut self, work: &mut Work, memo: &Memo) {
        let hosts: Vec<(Front, Host)> = work.units.take(|unit| match unit {
            Unit::Host(front, host) => Ok((front, host)),
            other => Err(other),
        });
        let renderer = self.renderer(memo);
        let rendered = parallel_map(self.threads, &hosts, |(_, host)| renderer.host(host));
        for ((front, host), (rendered, reads)) in hosts.into_iter().zip(rendered) {
            let unit = Unit::Host(front.clone(), host.clone());
            match self.store.names_host(&host) {
                true => self.record(&unit, reads),
                false => self.forget(&unit),
            }
            self.file_host(&front, &host, rendered, work);
        }
    }

    fn file_host(&mut self, front: &Front, host: &Host, unit: RenderedHost, work: &mut Work) {
        self.translated.hosts += 1;
        let old = self.hosts.remove(front, host).unwrap_or_default();
        let http_key = unit.http.as_ref().map(|(key, _)| key.clone());
        if let Some(http) = self.listeners.http(front.in_clear()) {
            http.set_redirect(host, unit.redirects);
            http.set(old.http_key.as_ref(), unit.http);
        }
        if let Some(tls) = self.listeners.tls(front.by_tls()) {
            let served = match (unit.https, unit.is_closed) {
                (Some(https), _) => Served::Terminated(https),
                (None, true) => Served::Closed,
                (None, false) => Served::No,
            };
            tls.set(host, served);
        }
        let clusters = unit.clusters.keys().cloned().collect();
        self.use_clusters(&old.clusters, unit.clusters, work);
        self.problems
            .set(Unit::Host(front.clone(), host.clone()), unit.problems);
        if self.store.names_host(host) {
            let state = HostState { http_key, clusters };
            self.hosts.insert(front, host, state);
        }
    }
}
