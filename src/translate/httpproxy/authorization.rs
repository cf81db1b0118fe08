//! `virtualhost.authorization`: who is asked about each request that comes by TLS.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{AskedBody, Authorization, Authorizer, GrpcAuthorizer, Unanswered};
use crate::objects::NamespacedName;
use crate::objects::http_proxy::{AuthorizationPolicy, AuthorizationServer, HttpProxy};

use super::condition::{self, Fault};
use super::context::Context;
use super::duration::{Timeout, timeout};
use super::extension_service::{Extension, extension};

/// What Envoy waits for an answer where nobody says.
const TIMEOUT: Duration = Duration::from_millis(200);
/// The version of what is referred to.
const VERSION: &str = "projectcontour.io/v1alpha1";

/// Who is asked about a host's requests, and what the host says of all its routes.
#[derive(Clone, Debug)]
pub struct Asked {
    asked: Authorization,
    is_disabled: bool,
    context: BTreeMap<Arc<str>, Arc<str>>,
}

impl Asked {
    /// The same with what a root says of all its routes, in the place of what was said before.
    #[must_use]
    pub fn with_policy(mut self, policy: Option<&AuthorizationPolicy>) -> Self {
        let context = policy.into_iter().flat_map(|policy| policy.context.iter());
        self.is_disabled = policy.is_some_and(|policy| policy.disabled);
        self.context = context.cloned().collect();
        self
    }

    /// What is asked about the requests of a route; `None` where nothing is.
    #[must_use]
    pub fn of_route(&self, policy: Option<&AuthorizationPolicy>) -> Option<Authorization> {
        let is_disabled = policy.map_or(self.is_disabled, |policy| policy.disabled);
        if is_disabled {
            return None;
        }
        let mut asked = self.asked.clone();
        asked.context = self.context.clone();
        let own = policy.into_iter().flat_map(|policy| policy.context.iter());
        asked.context.extend(own.cloned());
        Some(asked)
    }
}

/// Reads who is asked about a root's requests.
///
/// # Errors
///
/// What ends the host.
pub fn authorization(
    context: &mut Context<'_>,
    root: &HttpProxy,
    server: &AuthorizationServer,
) -> Result<Option<Asked>, Fault> {
    of_server(context, &root.metadata.name.namespace, server)
}

/// The same for whoever says so in a namespace.
///
/// # Errors
///
/// What is wrong with it.
pub fn of_server(
    context: &mut Context<'_>,
    namespace: &Arc<str>,
    server: &AuthorizationServer,
) -> Result<Option<Asked>, Fault> {
    let reference = &server.extension_ref;
    if reference.name.is_empty() {
        return Ok(None);
    }
    let say = |what: &str| format!("Spec.Virtualhost.Authorization.{what}");
    if !reference.api_version.is_empty() && *reference.api_version != *VERSION {
        let version = &reference.api_version;
        let message = say(&format!(
            "extensionRef specifies an unsupported resource version \"{version}\""
        ));
        return Err(Fault::new(condition::AUTH_VERSION, message));
    }
    let namespace = match reference.namespace.is_empty() {
        true => namespace,
        false => &reference.namespace,
    };
    let name = NamespacedName::new(namespace.clone(), reference.name.clone());
    let found = context.input.reader.extension_service(&name);
    let usable = found.and_then(|service| extension(context, service).ok());
    let Some(Extension {
        cluster,
        source,
        timeout: default,
    }) = usable
    else {
        let message = say(&format!(
            "ServiceRef extension service \"{name}\" not found"
        ));
        return Err(Fault::new(condition::EXTENSION_NOT_FOUND, message));
    };
    let invalid = |why: String| {
        let message = say(&format!("ResponseTimeout is invalid: {why}"));
        Fault::new(condition::AUTH_TIMEOUT, message)
    };
    let timeout = match timeout(&server.response_timeout).map_err(invalid)? {
        Timeout::Default => default.unwrap_or(TIMEOUT),
        // The longest that is waited.
        Timeout::Infinite => Duration::from_secs(3600),
        Timeout::Of(duration) => duration,
    };
    context.clusters.insert(cluster.clone(), source);
    let authorizer = Authorizer::Grpc(GrpcAuthorizer {
        cluster,
        sees: None,
    });
    let mut asked = Authorization::new(authorizer, timeout).map_err(invalid)?;
    if server.fail_open {
        asked = asked.with_unanswered(Unanswered::Passed).map_err(invalid)?;
    }
    if let Some(body) = &server.with_request_body {
        let most = body.max_request_bytes.min(AskedBody::MOST);
        let mut seen = AskedBody::new(most).map_err(invalid)?;
        seen.may_be_cut = body.allow_partial_message;
        seen.as_bytes = body.pack_as_bytes;
        asked.body = Some(seen);
    }
    let policy = server.auth_policy.as_ref();
    let own = policy.into_iter().flat_map(|policy| policy.context.iter());
    Ok(Some(Asked {
        asked,
        is_disabled: policy.is_some_and(|policy| policy.disabled),
        context: own.cloned().collect(),
    }))
}
