//! Paths and queries: <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris>.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{ListParams, WatchParams};
use kube::core::Request as Query;

use crate::objects::{Kind, NamespacedName};

use super::error::Cause;
use super::list_watch::Request;

/// The objects of one kind, of one namespace or of all.
pub(super) struct Resource {
    path: String,
    field_selector: Option<Cow<'static, str>>,
}

/// Which Secrets are listed. Most of a cluster's are none of our business, and `type` is a selectable field of Secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Secrets {
    /// Those of type `kubernetes.io/tls`.
    Tls,
    /// Also those of type `Opaque`, in which Contour's users have authorities, revocation lists and certificates. Field
    /// selectors have no "or", so this is all but the others that Kubernetes and Helm make; what comes besides is not kept.
    Opaque,
}

impl Secrets {
    /// Which are named by objects of the kinds that are read.
    pub(super) fn named_by<'a>(mut kinds: impl Iterator<Item = &'a Kind>) -> Self {
        let names = |kind: &Kind| matches!(kind, Kind::HttpProxy | Kind::ExtensionService);
        match kinds.any(names) {
            true => Self::Opaque,
            false => Self::Tls,
        }
    }

    const fn field_selector(self) -> &'static str {
        match self {
            Self::Tls => "type=kubernetes.io/tls",
            Self::Opaque => {
                "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,type!=kubernetes.io/dockerconfigjson,\
                 type!=kubernetes.io/dockercfg,type!=kubernetes.io/basic-auth,type!=kubernetes.io/ssh-auth,\
                 type!=bootstrap.kubernetes.io/token"
            }
        }
    }
}

impl Resource {
    /// One object.
    pub(super) fn named(kind: Kind, name: &NamespacedName) -> Self {
        let namespace = Some(name.namespace.clone());
        Self {
            field_selector: Some(format!("metadata.name={}", name.name).into()),
            ..Self::new(kind, namespace, Secrets::Tls)
        }
    }

    pub(super) fn new(kind: Kind, namespace: Option<Arc<str>>, secrets: Secrets) -> Self {
        let version = kind.api_version();
        // The core group has no name and a path of its own.
        let root = if version.contains('/') { "apis" } else { "api" };
        let plural = kind.plural();
        let path = match namespace {
            Some(namespace) => format!("/{root}/{version}/namespaces/{namespace}/{plural}"),
            None => format!("/{root}/{version}/{plural}"),
        };
        Self {
            path,
            field_selector: (kind == Kind::Secret).then(|| secrets.field_selector().into()),
        }
    }

    /// The HTTP request. `watch_timeout` is what the server is told to end a watch after.
    pub(super) fn request(
        &self,
        request: &Request,
        watch_timeout: Duration,
    ) -> Result<http::Request<Vec<u8>>, Cause> {
        let query = Query::new(self.path.as_str());
        let watch = WatchParams {
            field_selector: self.field_selector.clone().map(Cow::into_owned),
            timeout: u32::try_from(watch_timeout.as_secs()).ok(),
            ..WatchParams::default()
        };
        let request = match request {
            // An empty resourceVersion means "most recent" for lists and watches alike: a consistent read.
            // https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists
            Request::StreamingList => query.watch(&watch.initial_events(), ""),
            Request::Watch { version } => query.watch(&watch, version),
            Request::List {
                limit,
                continue_token,
            } => query.list(&ListParams {
                field_selector: self.field_selector.clone().map(Cow::into_owned),
                limit: *limit,
                continue_token: continue_token.clone(),
                ..ListParams::default()
            }),
        };
        request.map_err(|error| Cause::Unreachable(format!("no request can be made: {error}")))
    }
}
