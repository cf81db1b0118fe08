//! The part of a build that makes units and changes nothing: what comes of a host, a cluster or a load assignment depends
//! on the store alone. So many of them are made on several threads, with the same results in the same order.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use crate::envoy::route::Purpose;
use crate::envoy::{cluster, endpoint, route};
use crate::model::{Host, TlsServer};
use crate::objects::{NamespacedName, Problem};
use crate::translate::{self, BackendPort, HttpsHost, Input};
use crate::xds::{Part, Resource};

/// What another thread must have to do at least: below it starting the thread costs more than it saves.
const FEWEST: usize = 256;

/// Makes units from what the store holds.
#[derive(Clone, Copy)]
pub struct Renderer<'a> {
    /// The objects.
    pub input: Input<'a>,
    /// Whether routes say whose they are, for metrics.
    pub ingress_metrics: bool,
}

/// A host, ready to be filed.
pub struct RenderedHost {
    /// Whether it only redirects to HTTPS on port 80, and is an exact host.
    pub redirects: bool,
    /// Its virtual host on port 80, where that does more.
    pub http: Option<(Arc<str>, Part)>,
    /// What it is under TLS.
    pub https: Option<RenderedHttps>,
    /// The clusters that its routes name.
    pub clusters: BTreeMap<Arc<str>, BackendPort>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// A host under TLS.
pub struct RenderedHttps {
    /// The certificates and settings, shared by every host that has the same.
    pub server: TlsServer,
    /// The Secrets of the certificates.
    pub secrets: BTreeSet<NamespacedName>,
    /// Its virtual host.
    pub virtual_host: (Arc<str>, Part),
}

impl Renderer<'_> {
    /// One host. A host that nobody names any more comes out empty.
    pub fn host(self, host: &Host) -> RenderedHost {
        let unit = translate::host(self.input, host);
        let redirects = unit.http.as_ref().is_some_and(|http| {
            http.is_https_redirect() && !host.is_any() && host.wildcard_suffix().is_none()
        });
        let http = unit.http.as_ref().filter(|_| !redirects);
        RenderedHost {
            redirects,
            http: http.map(|http| route::virtual_host(http, self.purpose(false))),
            https: unit.https.map(|https| self.https(https)),
            clusters: unit.clusters,
            problems: unit.problems,
        }
    }

    /// One cluster; `None` where its Service or port is gone.
    pub fn cluster(self, backend: &BackendPort) -> Option<Resource> {
        let model = translate::cluster(self.input, backend)?;
        Some(cluster::cluster(&model))
    }

    /// The endpoints of one cluster, and what is wrong with them.
    pub fn load_assignment(
        self,
        cluster: &Arc<str>,
        backend: &BackendPort,
    ) -> (Resource, Vec<Problem>) {
        let (model, problems) = translate::endpoints(self.input, cluster, backend);
        (endpoint::load_assignment(&model), problems)
    }

    fn https(self, unit: HttpsHost) -> RenderedHttps {
        RenderedHttps {
            virtual_host: route::virtual_host(&unit.virtual_host, self.purpose(true)),
            server: unit.server,
            secrets: unit.secrets,
        }
    }

    fn purpose(self, tls: bool) -> Purpose {
        Purpose {
            tls,
            ingress_metrics: self.ingress_metrics,
        }
    }
}

/// Makes something of each item, in the order of the items; where there are many, on as many threads as are given.
pub fn each<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    make: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let make_all = |share: &[T]| share.iter().map(&make).collect::<Vec<R>>();
    let threads = threads.min(items.len() / FEWEST);
    if threads < 2 {
        return make_all(items);
    }
    let mut shares = items.chunks(items.len().div_ceil(threads));
    let own = shares.next().unwrap_or_default();
    thread::scope(|scope| {
        let started: Vec<_> = shares
            .map(|share| {
                let thread = thread::Builder::new().name("build".into());
                (share, thread.spawn_scoped(scope, move || make_all(share)))
            })
            .collect();
        let mut made = make_all(own);
        for (share, thread) in started {
            match thread.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(others)) => made.extend(others),
                Ok(Err(panic)) => resume_unwind(panic),
                // No thread is to be had: then it takes longer.
                Err(_) => made.extend(make_all(share)),
            }
        }
        made
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread::ThreadId;

    use super::*;

    /// Maps so many numbers; returns on how many threads that was done.
    fn check(threads: usize, items: usize) -> usize {
        let items: Vec<usize> = (0..items).collect();
        let made = each(threads, &items, |item| (item * 2, thread::current().id()));
        let doubled: Vec<_> = made.iter().map(|(double, _)| *double).collect();
        assert_eq!(
            doubled,
            items.iter().map(|item| item * 2).collect::<Vec<_>>()
        );
        let by: HashSet<ThreadId> = made.into_iter().map(|(_, thread)| thread).collect();
        by.len()
    }

    #[test]
    fn threads_come_with_work() {
        for (threads, items, used) in [
            (4, 0, 0),
            (4, 1, 1),
            (4, 2 * FEWEST - 1, 1),
            (4, 2 * FEWEST, 2),
            (4, 4 * FEWEST + 3, 4),
            (1, 9 * FEWEST, 1),
            (3, 100 * FEWEST + 1, 3),
        ] {
            assert_eq!(check(threads, items), used, "{threads} {items}");
        }
    }

    #[test]
    #[should_panic(expected = "out of cheese")]
    fn a_panic_on_another_thread_is_a_panic() {
        let items: Vec<usize> = (0..2 * FEWEST).collect();
        each(2, &items, |item| assert!(*item < FEWEST, "out of cheese"));
    }
}
