//! `virtualhost.authorization`: who is asked about each request that comes by TLS.
//!
//! Whom the operator has asked about all requests a root may name somebody else for, or nobody, for its own routes only: those of
//! Ingresses on its host may be of anybody, and are asked about as the operator says, whatever else the root asks for.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{AskedBody, Authorization, Authorizer, GrpcAuthorizer, Unanswered};
use crate::objects::NamespacedName;
use crate::objects::http_proxy::{AuthorizationPolicy, AuthorizationServer};
use crate::translate::budget;

use super::condition::{self, Fault};
use super::context::Context;
use super::duration::{Timeout, timeout};
use super::extension_service::{Extension, extension};

/// What Envoy waits for an answer where nobody says.
const TIMEOUT: Duration = Duration::from_millis(200);
/// The version of what is referred to.
const VERSION: &str = "projectcontour.io/v1alpha1";

/// Who is asked about a host's requests, and what the host says of all its routes.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// With what the host tells of all its routes.
    asked: Authorization,
    is_disabled: bool,
    /// What it costs a route that says nothing of it.
    cost: u64,
}

/// What is asked about routes on a root's host that are not its own.
#[derive(Clone, Debug, Default)]
pub enum OfOthers {
    /// Nothing.
    #[default]
    Nothing,
    /// This.
    Asked(Box<Authorization>),
    /// Two are to be asked, of which a route has one: nothing is answered.
    Closed,
}

impl Asked {
    fn new(mut asked: Authorization, policy: Option<&AuthorizationPolicy>) -> Self {
        let context = policy.into_iter().flat_map(|policy| policy.context.iter());
        asked.context = context.cloned().collect();
        Self {
            is_disabled: policy.is_some_and(|policy| policy.disabled),
            cost: budget::of_authorization(&asked),
            asked,
        }
    }

    /// The same with what a root says of all its routes, in the place of what was said before.
    #[must_use]
    pub fn with_policy(self, policy: Option<&AuthorizationPolicy>) -> Self {
        Self::new(self.asked, policy)
    }

    /// What is asked about the requests of a route; `None` where nothing is.
    #[must_use]
    pub fn of_route(&self, policy: Option<&AuthorizationPolicy>) -> Option<Authorization> {
        if self.is_disabled_by(policy) {
            return None;
        }
        let mut asked = self.asked.clone();
        let own = policy.into_iter().flat_map(|policy| policy.context.iter());
        asked.context.extend(own.cloned());
        Some(asked)
    }

    /// What that costs at most, without making it: the host's context may be long, and the routes many.
    #[must_use]
    pub fn cost_of_route(&self, policy: Option<&AuthorizationPolicy>) -> u64 {
        if self.is_disabled_by(policy) {
            return 0;
        }
        let own = policy.into_iter().flat_map(|policy| policy.context.iter());
        let own = own.flat_map(|(key, value)| [&**key, &**value]);
        self.cost.saturating_add(budget::of_texts(own))
    }

    /// Whether anybody is asked about a route's requests.
    #[must_use]
    pub fn is_asked(&self, policy: Option<&AuthorizationPolicy>) -> bool {
        !self.is_disabled_by(policy)
    }

    fn is_disabled_by(&self, policy: Option<&AuthorizationPolicy>) -> bool {
        policy.map_or(self.is_disabled, |policy| policy.disabled)
    }
}

impl OfOthers {
    /// What is asked where the operator has all requests asked about, or nobody, and a root names somebody, or nobody, and says
    /// this of its routes. That may switch on what the operator has off, and never off what is on; nor does it change what the
    /// operator tells.
    #[must_use]
    pub fn of(
        operators: Option<&Asked>,
        own: Option<&Asked>,
        policy: Option<&AuthorizationPolicy>,
    ) -> Self {
        let own = own.and_then(|own| own.of_route(None));
        let is_on = policy.is_some_and(|policy| !policy.disabled);
        let operators = operators.filter(|operators| is_on || !operators.is_disabled);
        let asked = match (operators, own) {
            (None, None) => return Self::Nothing,
            (None, Some(own)) => own,
            (Some(operators), None) => operators.asked.clone(),
            (Some(operators), Some(own)) if own.authorizer == operators.asked.authorizer => {
                operators.asked.clone().refusing_as(&own)
            }
            (Some(_), Some(_)) => return Self::Closed,
        };
        let mut asked = Box::new(asked);
        for (key, value) in policy.into_iter().flat_map(|policy| policy.context.iter()) {
            let told = asked.context.entry(key.clone());
            told.or_insert_with(|| value.clone());
        }
        Self::Asked(asked)
    }

    /// What that costs a route.
    #[must_use]
    pub fn cost(&self) -> u64 {
        match self {
            Self::Nothing | Self::Closed => 0,
            Self::Asked(asked) => budget::of_authorization(asked),
        }
    }
}

/// Reads whom an object of a namespace says to ask.
///
/// # Errors
///
/// What ends the host, or whatever the object is about.
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
    Ok(Some(Asked::new(asked, server.auth_policy.as_ref())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Somebody who is asked, for so many milliseconds, with so many bytes of the body.
    fn asked(cluster: &str, wait: u64, unanswered: Unanswered, body: Option<u32>) -> Asked {
        let authorizer = Authorizer::Grpc(GrpcAuthorizer {
            cluster: cluster.into(),
            sees: None,
        });
        let asked = Authorization::new(authorizer, Duration::from_millis(wait)).unwrap();
        let mut asked = asked.with_unanswered(unanswered).unwrap();
        asked.body = body.map(|bytes| AskedBody::new(bytes).unwrap());
        Asked::new(asked, None)
    }

    /// What is asked about routes of others is what the operator asks; a root that asks the same one adds that nobody passes
    /// unanswered.
    #[test]
    fn a_root_weakens_nothing_that_the_operator_asks_of_others() {
        use Unanswered::{Passed, Refused};
        let all = |unanswered, body| asked("all", 200, unanswered, body);
        let whole = |it: &Asked| Some(it.asked.clone());
        for (operators, own, expected) in [
            (None, None, None),
            // Whom nobody else asks the root has asked about, as it says.
            (
                None,
                Some(asked("own", 9000, Passed, Some(7))),
                whole(&asked("own", 9000, Passed, Some(7))),
            ),
            (Some(all(Passed, None)), None, whole(&all(Passed, None))),
            // The same, with a longer time, a part of the body, or open.
            (
                Some(all(Passed, None)),
                Some(asked("all", 9000, Refused(403), Some(7))),
                whole(&all(Refused(403), None)),
            ),
            (
                Some(all(Passed, Some(1000))),
                Some(asked("all", 1, Passed, None)),
                whole(&all(Passed, Some(1000))),
            ),
            (
                Some(all(Refused(503), Some(1000))),
                Some(asked("all", 9000, Passed, Some(7))),
                whole(&all(Refused(503), Some(1000))),
            ),
            (
                Some(all(Refused(503), None)),
                Some(asked("all", 200, Refused(403), None)),
                whole(&all(Refused(503), None)),
            ),
        ] {
            let found = match OfOthers::of(operators.as_ref(), own.as_ref(), None) {
                OfOthers::Nothing => None,
                OfOthers::Asked(asked) => Some(*asked),
                OfOthers::Closed => panic!("{operators:?} {own:?}"),
            };
            assert_eq!(found, expected, "{operators:?} {own:?}");
        }
        let (operators, own) = (all(Passed, None), asked("own", 200, Passed, None));
        let two = OfOthers::of(Some(&operators), Some(&own), None);
        assert!(matches!(two, OfOthers::Closed), "{two:?}");
    }
}
