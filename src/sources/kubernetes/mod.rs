//! The list-watch of a Kubernetes API server.
//!
//! One list-watch per kind (and namespace, where namespaces are named) turns the API server's answers into
//! [`Event`]s: a `Replace` when a list is whole, then `Apply` and `Delete`. What the protocol provides for
//! (watches that end or are cut, 410, bookmarks, 429) is dealt with in here; the first thing that it does not
//! provide for ends [`Kubernetes::run`], and with it the process, with one line that names the kind. A kind whose
//! CustomResourceDefinition is not there, or no more, is a kind without objects that is waited for.
//!
//! It never sends half a list, never reads from a cache that may lag behind (resourceVersion 0), never
//! retries what is broken in silence, and no object that can't be decoded ever ends it.
//!
//! | file | about |
//! |---|---|
//! | `list_watch` | the protocol, as a state machine without IO |
//! | `page`, `frame` | the bytes of a list's page and of a watch's line |
//! | `resource` | paths and queries of requests |
//! | `transport`, `timing` | the loop that sends, reads and waits, and how long |
//! | `discovery`, `installed` | which custom kinds there are, and those that come and go |
//! | `versions` | how far it has come |
//! | `metrics` | what happened that is no error |
//! | `args`, `client`, `token` | configuration, as kubectl users expect it |

mod args;
mod client;
mod discovery;
mod error;
mod frame;
mod installed;
mod list_watch;
mod metrics;
mod page;
mod resource;
mod timing;
mod token;
mod transport;
mod versions;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::warn;

use crate::objects::{Event, Kind, NamespacedName};

pub use args::Args;
pub use client::connect as client;
pub use error::{Cause, ConfigurationError, ConnectError, SourceError};
pub use timing::WatchTiming;
pub use versions::Versions;

use discovery::Discovery;
use installed::Shared;
use metrics::Metrics;
use resource::Secrets;

/// A source that is ready to list.
pub struct Kubernetes {
    client: kube::Client,
    /// The API server's URL, where it is known.
    server: Option<Arc<str>>,
    /// What is listed at the start.
    watched: Vec<(Kind, Option<Arc<str>>)>,
    /// What is listed once it is there.
    missing: Vec<(Kind, Option<Arc<str>>)>,
    discovery: Discovery,
    start_jitter: Duration,
    secrets: Secrets,
    config_map: Option<NamespacedName>,
    timing: WatchTiming,
    metrics: Metrics,
    versions: Versions,
}

impl Kubernetes {
    /// Reads the configuration and asks the API server which kinds it has of those that are custom resources.
    /// Where `classes_are_named`, they are matched by these names and IngressClass is not watched, so that
    /// namespaced Roles are enough.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Configuration`] where no usable configuration is found (exit 2),
    /// [`ConnectError::Discovery`] where the API server can't be asked.
    pub async fn connect(args: &Args, classes_are_named: bool) -> Result<Self, ConnectError> {
        let (client, server) = client::connect_to(args).await?;
        let connected = Self::with_client(client, args, classes_are_named).await;
        match connected {
            Ok(source) => Ok(Self {
                server: Some(server),
                ..source
            }),
            Err(ConnectError::Discovery(SourceError {
                cause: Cause::Unreachable(why),
                ..
            })) => Err(ConnectError::Unreachable { server, why }),
            Err(error) => Err(error),
        }
    }

    /// As [`Self::connect`], with a client that is there already.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Discovery`] where the API server can't be asked.
    pub async fn with_client(
        client: kube::Client,
        args: &Args,
        classes_are_named: bool,
    ) -> Result<Self, ConnectError> {
        let metrics = Metrics::default();
        let custom = Kind::ALL.into_iter().filter(|kind| kind.is_custom());
        let discovery = Discovery::new(client.clone(), custom.collect(), metrics.clone());
        discovery.ask().await?;
        let served = discovery.served();
        let namespaces: BTreeSet<&str> = args.watch_namespaces.iter().map(String::as_str).collect();
        if !namespaces.is_empty() && served.contains(&Kind::Gateway) {
            warn!(
                "the Gateway API is installed and not served: with --watch-namespaces nothing is read that is the cluster's, as its classes are"
            );
        }
        let (mut watched, mut missing) = (Vec::new(), Vec::new());
        for kind in Kind::ALL {
            let is_missing = |custom: &Kind| !served.contains(custom);
            let is_named = kind == Kind::ConfigMap && args.config_map.is_some();
            let list = match kind.custom().as_ref().is_some_and(is_missing) && !is_named {
                true => &mut missing,
                false => &mut watched,
            };
            match kind {
                // It may be of a namespace of which nothing else is read.
                Kind::ConfigMap if is_named && !namespaces.is_empty() => {
                    let namespace = args.config_map.as_ref().map(|it| it.namespace.clone());
                    list.push((kind, namespace));
                }
                Kind::IngressClass if classes_are_named => {}
                // Classes and the labels of namespaces are the cluster's, which a Role can't let anybody read.
                kind if kind.is_of_gateway_api() && !namespaces.is_empty() => {}
                kind if kind.is_namespaced() && !namespaces.is_empty() => {
                    list.extend(namespaces.iter().map(|name| (kind, Some((*name).into()))));
                }
                kind => list.push((kind, None)),
            }
        }
        Ok(Self {
            client,
            server: None,
            watched,
            missing,
            discovery,
            start_jitter: args.start_jitter,
            secrets: match args.opaque_secrets {
                true => Secrets::Opaque,
                false => Secrets::Tls,
            },
            config_map: args.config_map.clone(),
            timing: WatchTiming::default(),
            metrics,
            versions: Versions::default(),
        })
    }

    /// What will be listed: for each entry one `Event::Replace` comes, and only with all of them the set of
    /// objects is complete. A namespace of `None` stands for all of them. Custom kinds that are installed later have
    /// their lists as well, but nobody has to wait for these.
    #[must_use]
    pub fn watched(&self) -> Vec<(Kind, Option<Arc<str>>)> {
        self.watched.clone()
    }

    /// The client, for whoever else talks to the same API server with the same identity.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// How far it has come, kind by kind.
    #[must_use]
    pub fn versions(&self) -> Versions {
        self.versions.clone()
    }

    /// Registers the counters of lists, of watches that were over, and of waits.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// Replaces the time-outs. Tests scale the defaults.
    #[must_use]
    pub fn with_timing(mut self, timing: WatchTiming) -> Self {
        self.timing = timing;
        self
    }

    /// Lists and watches until something fatal happens.
    ///
    /// # Errors
    ///
    /// The first fatal error of any list-watch. There is no other end.
    pub async fn run(self, events: mpsc::Sender<Event>) -> Result<Infallible, SourceError> {
        tokio::time::sleep(transport::random_part(self.start_jitter)).await;
        let scopes: BTreeSet<_> = self
            .watched
            .iter()
            .filter(|(kind, _)| *kind == Kind::Secret)
            .collect();
        let shared = Arc::new(Shared {
            scopes: scopes.len(),
            client: self.client,
            server: self.server,
            discovery: self.discovery.with_timing(self.timing.clone()),
            timing: self.timing,
            metrics: self.metrics,
            versions: self.versions,
            events,
            opaque: watch::Sender::default(),
            secrets: self.secrets,
            config_map: self.config_map,
        });
        // Dropping the set stops all of them, so the first to end stops the rest.
        let mut tasks = JoinSet::new();
        let watched = self.watched.into_iter().map(|it| (it, true));
        let missing = self.missing.into_iter().map(|it| (it, false));
        for ((kind, namespace), is_awaited) in watched.chain(missing) {
            let shared = shared.clone();
            let run = async move { installed::run(&shared, kind, namespace, is_awaited).await };
            tasks.spawn(run);
        }
        let ended = tokio::select! {
            ended = tasks.join_next() => ended,
            () = shared.discovery.follow() => None,
        };
        match ended {
            Some(Ok(error)) => Err(error),
            // A task that panics has ended the process already (`panic = "abort"`); in tests it unwinds.
            Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests;
