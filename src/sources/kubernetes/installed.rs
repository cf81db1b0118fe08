//! The life of one list-watch: kinds that are not installed are waited for, and those that are removed as well.
//!
//! A kind that every API server has is listed and watched, and its end is the end of the process. Of a custom kind the
//! same is true but for one thing: that it is not there (any more) is no error. It counts as a kind without objects,
//! which is sent as an empty list, and is waited for. That is believed only if discovery says so too.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::objects::{Event, Kind, NamespacedName};

use super::discovery::{Discovery, served};
use super::error::{Cause, SourceError};
use super::list_watch::{ListWatch, PAUSE};
use super::metrics::Metrics;
use super::resource::{Resource, Secrets};
use super::timing::WatchTiming;
use super::transport::{self, random_part};
use super::versions::Versions;

/// What all list-watches of a source share.
pub(super) struct Shared {
    pub(super) client: kube::Client,
    pub(super) server: Option<Arc<str>>,
    pub(super) timing: WatchTiming,
    pub(super) metrics: Metrics,
    pub(super) versions: Versions,
    pub(super) discovery: Discovery,
    pub(super) events: mpsc::Sender<Event>,
    /// The namespaces of which all Secrets that kinds served later may name are listed.
    pub(super) opaque: watch::Sender<BTreeSet<Option<Arc<str>>>>,
    /// The fewest that are listed.
    pub(super) secrets: Secrets,
    /// The one ConfigMap that is read in any case.
    pub(super) config_map: Option<NamespacedName>,
    /// How many namespaces there are, or one for all of them.
    pub(super) scopes: usize,
}

/// Lists and watches one kind of one namespace (or of all) to its end, which is always an error.
pub(super) async fn run(
    shared: &Shared,
    kind: Kind,
    namespace: Option<Arc<str>>,
    is_awaited: bool,
) -> SourceError {
    let cause = match kind {
        Kind::Secret => secrets(shared, namespace.clone()).await,
        Kind::ConfigMap if shared.config_map.is_some() => {
            config_maps(shared, namespace.clone(), is_awaited).await
        }
        _ => match kind.custom() {
            Some(of) => custom(shared, (kind, of), namespace.clone(), is_awaited).await,
            None => once(shared, kind, namespace.clone(), Secrets::Tls, &|| ()).await,
        },
    };
    SourceError {
        kind,
        namespace,
        server: shared.server.clone(),
        cause,
    }
}

async fn once(
    shared: &Shared,
    kind: Kind,
    namespace: Option<Arc<str>>,
    secrets: Secrets,
    listed: &(dyn Fn() + Sync),
) -> Cause {
    let resource = Resource::new(kind, namespace.clone(), secrets);
    watched(shared, &resource, (kind, namespace), listed).await
}

async fn watched(
    shared: &Shared,
    resource: &Resource,
    (kind, namespace): (Kind, Option<Arc<str>>),
    listed: &(dyn Fn() + Sync),
) -> Cause {
    let machine = ListWatch::new(kind, namespace);
    let (client, timing) = (&shared.client, &shared.timing);
    let counted = (&shared.metrics, &shared.versions);
    let events = &shared.events;
    transport::run(client, resource, machine, timing, events, counted, listed).await
}

/// Secrets are listed again when a kind is served whose objects name more of them. What was listed before holds until the
/// new list is whole. If that kind goes, the Secrets stay.
async fn secrets(shared: &Shared, namespace: Option<Arc<str>>) -> Cause {
    let mut known = shared.discovery.known();
    let mut listed = shared.secrets;
    loop {
        let named = |kinds: &BTreeSet<Kind>| Secrets::named_by(kinds.iter());
        listed = listed.max(named(&served(&known.borrow_and_update())));
        let is_listed = || {
            if listed == Secrets::Opaque {
                let scope = namespace.clone();
                let insert = |scopes: &mut BTreeSet<_>| scopes.insert(scope);
                shared.opaque.send_if_modified(insert);
            }
        };
        let watched = once(shared, Kind::Secret, namespace.clone(), listed, &is_listed);
        let more = known.wait_for(|kinds| named(&served(kinds)) > listed);
        tokio::select! {
            cause = watched => return cause,
            _ = more => info!(kind = %Kind::Secret, "those of type Opaque may be named now: listing again"),
        }
    }
}

/// Where Gateways are, all ConfigMaps are read, as they name some; else the one that a flag names. What was listed before holds until
/// the new list is whole.
async fn config_maps(shared: &Shared, namespace: Option<Arc<str>>, is_awaited: bool) -> Cause {
    let Some(name) = &shared.config_map else {
        let kinds = (Kind::ConfigMap, Kind::Gateway);
        return custom(shared, kinds, namespace, is_awaited).await;
    };
    let named = Resource::named(Kind::ConfigMap, name);
    let all = Resource::new(Kind::ConfigMap, namespace.clone(), Secrets::Tls);
    // With namespaces that are named no Gateway is.
    let reads_all = |kinds: &_| namespace.is_none() && served(kinds).contains(&Kind::Gateway);
    let mut known = shared.discovery.known();
    loop {
        let is_all = reads_all(&*known.borrow_and_update());
        let resource = if is_all { &all } else { &named };
        let scope = (Kind::ConfigMap, namespace.clone());
        let watched = watched(shared, resource, scope, &|| ());
        let other = known.wait_for(|kinds| reads_all(kinds) != is_all);
        tokio::select! {
            cause = watched => return cause,
            _ = other => info!(kind = %Kind::ConfigMap, "others are named now: listing again"),
        }
    }
}

/// A kind that may be missing, as it is read where another one is served. `is_awaited`: somebody waits for its first list, even if there is nothing to list.
async fn custom(
    shared: &Shared,
    (kind, of): (Kind, Kind),
    namespace: Option<Arc<str>>,
    is_awaited: bool,
) -> Cause {
    let mut known = shared.discovery.known();
    let mut must_list = is_awaited;
    loop {
        let is_served = |kinds: &_| served(kinds).contains(&of);
        if !is_served(&*known.borrow_and_update()) {
            if must_list {
                let gone = Event::Replace {
                    kind,
                    namespace: namespace.clone(),
                    objects: Vec::new(),
                };
                if shared.events.send(gone).await.is_err() {
                    return Cause::NoReceiver;
                }
            }
            if known.wait_for(is_served).await.is_err() {
                return Cause::NoReceiver;
            }
            // What its objects name is there before they are.
            if Secrets::named_by([kind].iter()) == Secrets::Opaque {
                let mut opaque = shared.opaque.subscribe();
                let all = |scopes: &BTreeSet<_>| scopes.len() >= shared.scopes;
                if opaque.wait_for(all).await.is_err() {
                    return Cause::NoReceiver;
                }
            }
        }
        must_list = true;
        let cause = once(shared, kind, namespace.clone(), Secrets::Tls, &|| ()).await;
        if !matches!(cause, Cause::Status { code: 404, .. }) {
            return cause;
        }
        // All watches of a definition end in one moment, in a whole fleet.
        sleep(random_part(PAUSE)).await;
        match shared.discovery.ask().await {
            Err(error) => return error.cause,
            Ok(()) if !is_served(&*known.borrow()) => {}
            // Two servers behind one address that do not agree yet, or a definition that changes this moment.
            Ok(()) => {
                warn!(%kind, "the API server says that it serves the kind, and does not find it: once more");
                shared.metrics.waited(kind);
                sleep(PAUSE + random_part(PAUSE)).await;
            }
        }
    }
}
