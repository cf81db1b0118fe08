//! What the authorizer in Envoy's pod (`isobath authz`) asks of the requests of a route, as the route tells it.
//!
//! The route carries all of it but the passwords: those the authorizer has by SDS, under the name that stands here. So whoever
//! reads Envoy's configuration reads no hash, and a new password is no change of a route.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::request_text::RequestText;

/// What a request must have. Of several things it must have all, unless one is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// One is enough: an address of these, a password, or the yes of who is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any: Option<GuardAddresses>,
    /// A password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuthentication>,
    /// Somebody else's yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subrequest: Option<Box<Subrequest>>,
}

/// Addresses of clients, as ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardAddresses {
    /// These are enough; none where addresses are not asked about.
    pub allow: Vec<Arc<str>>,
    /// But for these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Arc<str>>,
}

/// `Authorization: Basic …`. It does not reach the back end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicAuthentication {
    /// What SDS has the passwords under: the name of a [`crate::model::CredentialsFile`].
    pub credentials: Arc<str>,
    /// What clients are told that they are asked for.
    pub realm: Arc<str>,
}

/// A request that is made for each request, and whose answer decides: 2xx is a yes; 401 and 403 are the client's answer; and
/// whatever else is none, for which the client gets 500.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subrequest {
    /// Who is asked.
    pub to: Destination,
    /// `http://host:port/path?query`.
    pub url: RequestText,
    /// GET, unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Arc<str>>,
    /// Headers besides those of the client.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<Arc<str>, RequestText>,
    /// Headers of a yes that the back end sees, in the place of the client's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_headers: Vec<Arc<str>>,
    /// What is asked to lead back to, where that is not the request's own path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Arc<str>>,
    /// Where a client goes that is nobody yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<SignIn>,
    /// Whether cookies of a no reach the client.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub always_set_cookie: bool,
    /// How long answers hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<AnswerCache>,
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Destination {
    /// The endpoints of this [`crate::model::Cluster`], by EDS.
    Cluster(Arc<str>),
    /// Whoever DNS says has the name, as long as that is outside.
    Outside,
}

/// A redirect in the place of a 401.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// Where to.
    pub url: RequestText,
    /// The parameter of the query that says where from.
    pub parameter: Arc<str>,
}

/// How long answers hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerCache {
    /// Of which location they are: of no other one do they hold.
    #[serde(default)]
    pub location: Arc<str>,
    /// Requests that have the same are answered the same.
    pub key: RequestText,
    /// Statuses, and seconds.
    pub seconds: BTreeMap<u16, u32>,
}

impl Guard {
    /// What the route's context calls it.
    pub const CONTEXT: &str = "guard";

    /// The text for the route.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Every key of it is text, so that it can't fail. Nothing is no guard, and closes.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A guard as a route tells it.
    ///
    /// # Errors
    ///
    /// If it is none, or one of a newer program.
    pub fn of_text(text: &str) -> Result<Self, String> {
        let guard: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match &guard {
            Self {
                any: None,
                basic: None,
                subrequest: None,
            } => Err("it asks for nothing".into()),
            _ => Ok(guard),
        }
    }

    /// The cluster that is asked.
    #[must_use]
    pub fn cluster(&self) -> Option<&Arc<str>> {
        match &self.subrequest.as_ref()?.to {
            Destination::Cluster(cluster) => Some(cluster),
            Destination::Outside => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_guard_is_read_as_it_is_told() {
        let guard = Guard {
            any: Some(GuardAddresses {
                allow: vec!["10.0.0.0/8".into()],
                deny: Vec::new(),
            }),
            basic: Some(BasicAuthentication {
                credentials: "htpasswd/ns/users".into(),
                realm: "".into(),
            }),
            subrequest: Some(Box::new(Subrequest {
                to: Destination::Cluster("ns/auth/80".into()),
                url: RequestText::new("http://auth.ns/check?h=$host").unwrap(),
                method: Some("POST".into()),
                headers: BTreeMap::from([("x-a".into(), RequestText::new("1").unwrap())]),
                response_headers: vec!["x-user".into()],
                redirect: None,
                sign_in: Some(SignIn {
                    url: RequestText::new("/login").unwrap(),
                    parameter: "rd".into(),
                }),
                always_set_cookie: true,
                cache: Some(AnswerCache {
                    location: "Ingress a/b /".into(),
                    key: RequestText::new("$http_authorization").unwrap(),
                    seconds: BTreeMap::from([(200, 300)]),
                }),
            })),
        };
        let text = guard.to_text();
        assert_eq!(Guard::of_text(&text), Ok(guard.clone()));
        assert_eq!(guard.to_text(), text);
        assert_eq!(guard.cluster().map(|it| &**it), Some("ns/auth/80"));
        for wrong in ["", "{}", r#"{"newer":1}"#, r#"{"basic":{}}"#] {
            assert!(Guard::of_text(wrong).is_err(), "{wrong}");
        }
        let wrong = text.replace("${host}", "${nobody}");
        assert!(Guard::of_text(&wrong).is_err(), "{wrong}");
    }
}
