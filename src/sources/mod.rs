//! Where objects come from.
//!
//! A source sends [`Event`]s into one channel and nothing else: whoever receives them
//! can't tell an API server from a folder of manifests. A source never interprets an object and never
//! sends half a list.

pub mod kubernetes;
pub mod manifests;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::objects::{Event, Kind, ObjectRef};
use crate::process::exit_code::UsageError;
use crate::process::supervisor::Stop;

use kubernetes::{ConnectError, Kubernetes};
use manifests::Manifests;

/// Which source.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Read objects from a directory of YAML and JSON files (or from one file, or with - from standard input) instead of an
    /// API server, and follow its changes
    #[arg(long, env = "ISOBATH_MANIFESTS", value_name = "PATH", help_heading = "Manifests",
          conflicts_with_all = ["kubeconfig", "context", "watch_namespaces"])]
    pub manifests: Option<PathBuf>,
    /// The API server.
    #[command(flatten)]
    pub kubernetes: kubernetes::Args,
}

/// Where an object stands, for those who can open the file.
pub type Locator = Box<dyn Fn(&ObjectRef) -> Option<String> + Send + Sync>;

/// A source that is ready to send.
pub enum Source {
    /// An API server.
    Kubernetes(Box<Kubernetes>),
    /// A directory.
    Manifests(Box<Manifests>),
}

impl Source {
    /// Opens the source that the flags name. Where `classes_are_named`, they are matched by their names alone.
    ///
    /// # Errors
    ///
    /// A file that can't be parsed, a directory or a configuration that can't be read ([`UsageError`]); an API
    /// server that can't be asked.
    pub async fn open(args: &Args, classes_are_named: bool) -> anyhow::Result<Self> {
        if let Some(directory) = &args.manifests {
            let manifests =
                Manifests::load(directory).map_err(|error| UsageError::new(error.to_string()))?;
            return Ok(Self::Manifests(Box::new(manifests)));
        }
        match Kubernetes::connect(&args.kubernetes, classes_are_named).await {
            Ok(source) => Ok(Self::Kubernetes(Box::new(source))),
            Err(ConnectError::Configuration(error)) => {
                Err(UsageError::new(error.to_string()).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether objects come from files, where nobody fills in what an API server does.
    #[must_use]
    pub const fn is_manifests(&self) -> bool {
        matches!(self, Self::Manifests(_))
    }

    /// The lists that come before the set of objects is complete.
    #[must_use]
    pub fn watched(&self) -> Vec<(Kind, Option<Arc<str>>)> {
        match self {
            Self::Kubernetes(source) => source.watched(),
            Self::Manifests(_) => Kind::ALL.into_iter().map(|kind| (kind, None)).collect(),
        }
    }

    /// Says where an object stands, as `path:line:column`, where it is from a file.
    #[must_use]
    pub fn locator(&self) -> Locator {
        match self {
            Self::Kubernetes(_) => Box::new(|_| None),
            Self::Manifests(source) => {
                let origins = source.origins();
                Box::new(move |object| Some(origins.borrow().get(object)?.to_string()))
            }
        }
    }

    /// Adds the source's metrics; `registry` brings the prefix `isobath_`.
    pub fn register(&self, registry: &mut prometheus_client::registry::Registry) {
        match self {
            Self::Kubernetes(source) => source.register(registry),
            Self::Manifests(source) => source.register(registry),
        }
    }

    /// How far it has come with what an API server has.
    #[must_use]
    pub fn versions(&self) -> Option<kubernetes::Versions> {
        match self {
            Self::Kubernetes(source) => Some(source.versions()),
            Self::Manifests(_) => None,
        }
    }

    /// The API server's client, where there is one.
    #[must_use]
    pub fn client(&self) -> Option<kube::Client> {
        match self {
            Self::Kubernetes(source) => Some(source.client()),
            Self::Manifests(_) => None,
        }
    }

    /// Sends events until the process stops.
    ///
    /// # Errors
    ///
    /// What ended the source.
    pub async fn run(self, events: mpsc::Sender<Event>, mut stop: Stop) -> anyhow::Result<()> {
        let ended = async {
            match self {
                Self::Kubernetes(source) => source.run(events).await.map_err(anyhow::Error::from),
                Self::Manifests(source) => source.run(events).await,
            }
        };
        tokio::select! {
            () = stop.requested() => Ok(()),
            Err(error) = ended => Err(error),
        }
    }
}
