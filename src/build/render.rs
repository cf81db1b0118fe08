//! The part of a build that makes units and changes nothing: what comes of a host, a cluster or a load assignment depends
//! on the store alone. So many of them are made on several threads, with the same results in the same order.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use crate::envoy::route::TableOptions;
use crate::envoy::{cluster, endpoint, filter_chain, route};
use crate::facts::{FactId, Log, Store, Values};
use crate::model::verdict::WantedStatus;
use crate::model::{
    AddressRules, Certificate, Claimable, CredentialsFile, Discovery, Filters, Front, Host,
    TlsServer, TrustBundle,
};
use crate::objects::{NamespacedName, ObjectRef, Problem};
use crate::translate::{
    self, ClusterSource, CredentialsKey, Derived, Fallback, HostUnit, HttpsHost, Input, Languages,
    ListenerUnit, Memo, Options, TrustBundleKey,
};
use crate::xds::{Part, Resource};

use super::used_secrets::SecretKey;

/// The fewest units that another thread is started for: below it starting the thread costs more than it saves.
const MIN_PER_THREAD: usize = 256;

/// Makes units from what the store holds.
#[derive(Clone, Copy)]
pub struct Renderer<'a> {
    /// The objects.
    pub store: &'a Store,
    /// The operator's decisions.
    pub options: &'a Options,
    /// What objects are written in.
    pub languages: &'a Languages,
    /// What is found once for many units.
    pub memo: &'a Memo,
    /// Whether routes say whose they are, for metrics.
    pub ingress_metrics: bool,
    /// Whether what was read is kept as it was.
    pub is_audited: bool,
}

/// A host, ready to be filed.
pub struct RenderedHost {
    /// Whether it only redirects to HTTPS in clear, to the port that is everybody's, and is an exact host.
    pub redirects: bool,
    /// Its virtual host in clear, where that does more.
    pub http: Option<(Arc<str>, Part)>,
    /// What it is under TLS.
    pub https: Served,
    /// The clusters that its routes name.
    pub clusters: BTreeMap<Arc<str>, ClusterSource>,
    /// The passwords that its routes ask for.
    pub secrets: BTreeSet<SecretKey>,
    /// The objects that its routes come through, besides those that claim it.
    pub reached: BTreeSet<ObjectRef>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// What a host is on a listener for TLS.
pub enum Served {
    /// Nothing.
    No,
    /// Nothing, and no wildcard above it may answer for it.
    Closed,
    /// TLS ends here.
    Terminated(RenderedHttps),
    /// Connections are forwarded, with their TLS or without.
    Forwarded(RenderedForwarding),
}

/// A host whose connections are forwarded.
pub struct RenderedForwarding {
    /// The name of the chain, and its key and part.
    pub chain: (Arc<str>, Arc<str>, Part),
    /// From which addresses connections are taken.
    pub addresses: Option<AddressRules>,
    /// What SDS delivers for it.
    pub secrets: BTreeSet<SecretKey>,
}

/// A host under TLS.
pub struct RenderedHttps {
    /// The certificates and settings, shared by every host that has the same.
    pub server: TlsServer,
    /// Its certificates, and the authorities that vouch for clients.
    pub secrets: BTreeSet<SecretKey>,
    /// Its virtual host.
    pub virtual_host: (Arc<str>, Part),
    /// Whether a wildcard stands for names of any depth.
    pub any_depth: bool,
    /// Whether a host that nobody has is unknown on its connections (404), and not misdirected (421).
    pub tells_unknown: bool,
    /// What it is served with for clients that ask for no name.
    pub fallback: Option<Box<Fallback>>,
}

/// What a unit has read, and as what, where that is kept.
pub type ReadFacts = (Box<[FactId]>, Option<Values>);

impl Renderer<'_> {
    /// Makes something, and says what was read for it.
    fn record<T>(self, make: impl FnOnce(Input<'_>) -> T) -> (T, ReadFacts) {
        self.record_in(Log::default(), make)
    }

    fn record_in<T>(self, log: Log, make: impl FnOnce(Input<'_>) -> T) -> (T, ReadFacts) {
        let log = match self.is_audited {
            true => log.with_values(),
            false => log,
        };
        let made = make(Input::new(self.store, self.options, self.memo, &log));
        let values = log.values();
        (made, (log.into_reads(), values))
    }

    /// The hash of a derived unit's value. What it has read is in the memo.
    pub fn derived(self, derived: &Derived) -> FactId {
        self.record(|input| derived.value(input)).0
    }

    /// What an object claims.
    pub fn claims(self, object: &ObjectRef) -> (BTreeSet<Claimable>, ReadFacts) {
        self.record_in(Log::of(object), |input| {
            self.languages.claims(input, object)
        })
    }

    /// One listener. A listener that nobody claims any more comes out empty.
    pub fn listener(self, name: &Arc<str>) -> (ListenerUnit, ReadFacts) {
        self.record(|input| self.languages.listener(input, name))
    }

    /// One host. A host that nobody names any more comes out empty.
    pub fn host(self, front: &Front, host: &Host) -> (RenderedHost, ReadFacts) {
        let (mut unit, reads) = self.record(|input| self.languages.host(input, front, host));
        let any_depth = unit.any_depth;
        let secrets = credentials(&unit);
        let https = self.served(host, &mut unit);
        let redirects = unit.http.as_ref().is_some_and(|http| {
            let is_to_port = http.is_https_redirect(self.options.https_port);
            is_to_port && !host.is_any() && host.wildcard_suffix().is_none()
        });
        let http = unit.http.as_ref().filter(|_| !redirects);
        let rendered = RenderedHost {
            redirects,
            http: http.map(|http| route::virtual_host(http, self.table_options(false, any_depth))),
            https,
            clusters: unit.clusters,
            secrets,
            reached: unit.reached,
            problems: unit.problems,
        };
        (rendered, reads)
    }

    /// One cluster, and whether it has a load assignment; `None` where its Service or port is gone.
    pub fn cluster(self, backend: &ClusterSource) -> (Option<(Resource, bool)>, ReadFacts) {
        let (model, reads) = self.record(|input| translate::cluster(input, backend));
        let rendered = model.map(|model| {
            let is_assigned = matches!(model.discovery, Discovery::Endpoints);
            (cluster::cluster(&model), is_assigned)
        });
        (rendered, reads)
    }

    /// The endpoints of one cluster, and what is wrong with them.
    pub fn load_assignment(
        self,
        cluster: &Arc<str>,
        backend: &ClusterSource,
    ) -> (Resource, Vec<Problem>, ReadFacts) {
        let ((model, problems), reads) =
            self.record(|input| translate::endpoints(input, cluster, backend));
        (endpoint::load_assignment(&model), problems, reads)
    }

    /// The certificate of a Secret.
    pub fn certificate(self, secret: &NamespacedName) -> (Option<Certificate>, ReadFacts) {
        self.record(|input| translate::certificate(input, secret))
    }

    /// Authorities that vouch for others.
    pub fn trust_bundle(self, key: &TrustBundleKey) -> (Option<TrustBundle>, ReadFacts) {
        self.record(|input| translate::trust_bundle(input, key))
    }

    /// Passwords.
    pub fn credentials(self, key: &CredentialsKey) -> (Option<CredentialsFile>, ReadFacts) {
        self.record(|input| translate::credentials(input, key))
    }

    /// What is to be said of an object by itself, and what its status is to be.
    pub fn object(
        self,
        object: &ObjectRef,
    ) -> ((Vec<Problem>, Option<Arc<WantedStatus>>), ReadFacts) {
        self.record_in(Log::of(object), |input| {
            let problems = self.languages.object_problems(input, object);
            (problems, self.languages.object_status(input, object))
        })
    }

    fn served(self, host: &Host, unit: &mut HostUnit) -> Served {
        if let Some(https) = unit.https.take() {
            return Served::Terminated(self.https(https, (unit.any_depth, unit.tells_unknown)));
        }
        let addresses = unit.addresses.as_ref();
        if let Some(tcp) = &unit.tcp {
            let owners = BTreeSet::from([&tcp.source.object]);
            return Served::Forwarded(RenderedForwarding {
                chain: filter_chain::tcp(host, &tcp.server, addresses, owners),
                addresses: addresses.cloned(),
                secrets: SecretKey::of_server(&tcp.secrets, tcp.server.server()),
            });
        }
        if let Some(passthrough) = &unit.passthrough {
            let owners = BTreeSet::from([&passthrough.source.object]);
            let forwarding = &passthrough.forwarding;
            return Served::Forwarded(RenderedForwarding {
                chain: filter_chain::passthrough(host, forwarding, addresses, owners),
                addresses: addresses.cloned(),
                secrets: BTreeSet::new(),
            });
        }
        match unit.is_closed {
            true => Served::Closed,
            false => Served::No,
        }
    }

    fn https(self, unit: HttpsHost, (any_depth, tells_unknown): (bool, bool)) -> RenderedHttps {
        RenderedHttps {
            virtual_host: route::virtual_host(
                &unit.virtual_host,
                self.table_options(true, any_depth),
            ),
            secrets: SecretKey::of_server(&unit.secrets, &unit.server),
            server: unit.server,
            any_depth,
            tells_unknown,
            fallback: unit.fallback,
        }
    }

    fn table_options(self, tls: bool, any_depth: bool) -> TableOptions {
        TableOptions {
            tls,
            any_depth,
            ingress_metrics: self.ingress_metrics,
        }
    }
}

/// The passwords that the routes of a host ask for.
fn credentials(unit: &HostUnit) -> BTreeSet<SecretKey> {
    let by_tls = unit.https.as_ref().map(|https| &https.virtual_host);
    let hosts = unit.http.iter().chain(by_tls);
    let routes = hosts.flat_map(|host| &host.routes);
    let filters = routes.filter_map(|route| route.filters.as_deref());
    let names = filters.filter_map(Filters::credentials);
    names.filter_map(|name| SecretKey::of_name(name)).collect()
}

/// Makes something of each item, in the order of the items; where there are many, on as many threads as are given.
pub fn parallel_map<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    make: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let make_all = |share: &[T]| share.iter().map(&make).collect::<Vec<R>>();
    let threads = threads.min(items.len() / MIN_PER_THREAD);
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
        let made = parallel_map(threads, &items, |item| (item * 2, thread::current().id()));
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
            (4, 2 * MIN_PER_THREAD - 1, 1),
            (4, 2 * MIN_PER_THREAD, 2),
            (4, 4 * MIN_PER_THREAD + 3, 4),
            (1, 9 * MIN_PER_THREAD, 1),
            (3, 100 * MIN_PER_THREAD + 1, 3),
        ] {
            assert_eq!(check(threads, items), used, "{threads} {items}");
        }
    }

    #[test]
    #[should_panic(expected = "out of cheese")]
    fn a_panic_on_another_thread_is_a_panic() {
        let items: Vec<usize> = (0..2 * MIN_PER_THREAD).collect();
        parallel_map(2, &items, |item| {
            assert!(*item < MIN_PER_THREAD, "out of cheese")
        });
    }
}
