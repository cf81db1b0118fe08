//! Tokens that a request must bring (JWT, RFC 7519).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::header::{HeaderName, given};

/// Who issues tokens, by the names that routes have for them. They are the host's, so that keys which are fetched are
/// fetched once for all its routes.
///
/// They are in the host's table: no manager knows them, and other hosts never see them. **Every change of the table makes
/// Envoy forget the keys that it has fetched**, and the next request on each of its threads waits for them: on HTTPS those
/// are changes of the hosts of one certificate, on HTTP of any host. Takes Envoy 1.40; 1.39 refuses the host, which is
/// then not served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct JwtProviders(BTreeMap<Arc<str>, JwtProvider>);

impl JwtProviders {
    /// Adds one.
    ///
    /// # Errors
    ///
    /// One sentence where the name is none, or there already.
    pub fn add(&mut self, name: &str, provider: JwtProvider) -> Result<(), String> {
        let is_kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_kept) {
            return Err(format!("{name:?} is no name of who issues tokens"));
        }
        match self.0.insert(name.into(), provider) {
            None => Ok(()),
            Some(_) => Err(format!("two issue tokens as {name}")),
        }
    }

    /// By their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &JwtProvider)> {
        self.0.iter()
    }

    /// Whether there is one of that name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Who issues tokens, and what is to be done with them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JwtProvider {
    /// What tokens must have as `iss`; `None` for anything.
    pub issuer: Option<Arc<str>>,
    /// One of these must be in `aud`; none for anything.
    pub audiences: Vec<Arc<str>>,
    /// The keys that tokens are signed with.
    pub keys: JwtKeys,
    /// Where a token is looked for; none for `Authorization: Bearer` and the parameter `access_token`.
    pub sources: Vec<TokenSource>,
    /// Whether the back end sees the token too. Otherwise it is taken out, but for one in a cookie
    /// ([`TokenSource::Cookie`]).
    pub forwards_token: bool,
    /// Claims that the back end sees as headers.
    claims: Vec<(Claim, HeaderName)>,
}

impl JwtProvider {
    /// Tokens of anybody who has these keys.
    #[must_use]
    pub const fn new(keys: JwtKeys) -> Self {
        Self {
            issuer: None,
            audiences: Vec::new(),
            keys,
            sources: Vec::new(),
            forwards_token: false,
            claims: Vec::new(),
        }
    }

    /// Lets the back end see this claim as that header, in the place of the client's own. **What the client sends under the
    /// names of any of its host's providers arrives on none of the host's routes**, as soon as one of them requires a token
    /// (Envoy 1.40).
    ///
    /// # Errors
    ///
    /// One sentence where the header is Host.
    pub fn give(mut self, claim: Claim, header: HeaderName) -> Result<Self, String> {
        self.claims.push((claim, given(header)?));
        Ok(self)
    }

    /// The claims that the back end sees, and as which headers.
    #[must_use]
    pub fn claims(&self) -> &[(Claim, HeaderName)] {
        &self.claims
    }
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum JwtKeys {
    /// They are here.
    Inline(PublicKeys),
    /// They are fetched.
    Remote(RemoteKeys),
}

/// A set of public keys (JWKS, RFC 7517). Nothing in it is secret, as it goes where routes go and not by SDS: of the text that
/// it is made from, the keys that were looked at are kept and nothing else.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKeys(Arc<str>);

impl fmt::Debug for PublicKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKeys({} bytes)", self.0.len())
    }
}

impl PublicKeys {
    /// Members of a key that are private (RFC 7518, 6.2.2, 6.3.2 and 6.4.1).
    const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

    /// A set of keys as JSON.
    ///
    /// # Errors
    ///
    /// One sentence, without a word of the text, where it is none or has a key that is not public.
    pub fn new(json: &str) -> Result<Self, String> {
        let set: serde_json::Value =
            serde_json::from_str(json).map_err(|_| "the set of keys is no JSON".to_owned())?;
        let keys = set.get("keys").and_then(serde_json::Value::as_array);
        let keys = keys.filter(|keys| !keys.is_empty());
        let keys = keys.ok_or("the set has no keys")?;
        for (index, key) in keys.iter().enumerate() {
            let member = |name: &str| key.get(name).and_then(serde_json::Value::as_str);
            if Self::PRIVATE.iter().any(|name| key.get(name).is_some()) {
                return Err(format!(
                    "key {index} of the set is not public: only public keys are taken"
                ));
            }
            let needed: &[&str] = match member("kty") {
                Some("RSA") => &["n", "e"],
                Some("EC") => &["crv", "x", "y"],
                Some("OKP") => &["crv", "x"],
                _ => {
                    return Err(format!(
                        "key {index} of the set is neither RSA nor EC nor OKP"
                    ));
                }
            };
            if let Some(missing) = needed
                .iter()
                .find(|name| member(name).is_none_or(str::is_empty))
            {
                return Err(format!("key {index} of the set has no {missing}"));
            }
        }
        let kept = serde_json::json!({ "keys": keys });
        Ok(Self(kept.to_string().into()))
    }

    /// The JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Keys that are fetched when a token is to be checked, and kept. What can't be fetched is a no (401).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteKeys {
    /// Name of a [`crate::model::Cluster`].
    pub cluster: Arc<str>,
    uri: Arc<str>,
    timeout: Duration,
    kept: Duration,
}

impl RemoteKeys {
    /// From this URI (whose host is what the server sees as Host), within this time, and kept so long.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it.
    pub fn new(
        cluster: impl Into<Arc<str>>,
        uri: &str,
        timeout: Duration,
        kept: Duration,
    ) -> Result<Self, String> {
        let rest = uri
            .strip_prefix("http://")
            .or_else(|| uri.strip_prefix("https://"));
        let is_uri = rest.is_some_and(|rest| {
            !rest.is_empty()
                && !rest.starts_with(['/', '?'])
                && rest.bytes().all(|byte| byte.is_ascii_graphic())
        });
        if !is_uri {
            return Err(format!("{uri:?} is no URI of HTTP"));
        }
        let ms = Duration::from_millis(1);
        if timeout < ms || kept < ms {
            return Err("keys are fetched and kept for a millisecond at least".into());
        }
        Ok(Self {
            cluster: cluster.into(),
            uri: uri.into(),
            timeout,
            kept,
        })
    }

    /// Where they are.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// How long fetching may take.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long they are kept.
    #[must_use]
    pub const fn kept(&self) -> Duration {
        self.kept
    }
}

/// Where a token is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TokenSource {
    /// It is a header's value.
    Header(HeaderName),
    /// It stands behind `Bearer` in a header's value.
    Bearer(HeaderName),
    /// In a parameter of the query.
    Parameter(Arc<str>),
    /// In a cookie. The back end sees it whatever [`JwtProvider::forwards_token`] says: Envoy 1.40 takes no token out of a
    /// cookie.
    Cookie(Arc<str>),
}

/// A claim of a token: `sub`, or `realm.role` within another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim(Arc<str>);

impl Claim {
    /// A claim by its name.
    ///
    /// # Errors
    ///
    /// One sentence where it has none.
    pub fn new(name: &str) -> Result<Self, String> {
        if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(format!("{name:?} is no claim"));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a route asks for: a token of one of these providers of its host. One that the host does not have issues none, so
/// with none of them no request passes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JwtRequirement {
    /// Any of them is enough.
    pub providers: BTreeSet<Arc<str>>,
    /// Whether a request without a token passes; one with a wrong token never does.
    pub may_be_missing: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// What goes where routes go can't be secret, and is never repeated in an error.
    #[test]
    fn keys_are_public() {
        let set = |key: &str| format!(r#"{{"keys":[{key}]}}"#);
        for (key, is_taken) in [
            (r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#, true),
            (r#"{"kty":"EC","crv":"P-256","x":"a","y":"b"}"#, true),
            (r#"{"kty":"OKP","crv":"Ed25519","x":"a"}"#, true),
            (r#"{"kty":"oct","k":"SECRET"}"#, false),
            (r#"{"kty":"RSA","n":"AQAB","e":"AQAB","d":"SECRET"}"#, false),
            (
                r#"{"kty":"EC","crv":"P-256","x":"a","y":"b","d":"SECRET"}"#,
                false,
            ),
            (r#"{"kty":"EC","crv":"P-256","x":"SECRET"}"#, false),
            (r#"{"kty":"SECRET"}"#, false),
            ("SECRET", false),
            ("", false),
        ] {
            let found = PublicKeys::new(&set(key));
            assert_eq!(found.is_ok(), is_taken, "{key}");
            assert!(!format!("{found:?}").contains("SECRET"), "{found:?}");
        }
        assert!(PublicKeys::new("{}").is_err());
    }

    /// What is beside the keys, or stands twice, is read by nobody and sent to nobody.
    #[test]
    fn nothing_but_the_keys_is_kept() {
        let json = r#"{"keys":[{"kty":"oct","k":"SECRET"}],"d":"SECRET",
            "keys":[{"kty":"OKP","crv":"Ed25519","x":"SECRET","x":"a"}]}"#;
        let kept = PublicKeys::new(json).unwrap();
        assert_eq!(
            kept.as_str(),
            r#"{"keys":[{"crv":"Ed25519","kty":"OKP","x":"a"}]}"#
        );
    }

    #[test]
    fn what_envoy_would_refuse_is_refused() {
        let second = Duration::from_secs(1);
        for (uri, is_taken) in [
            ("http://keys.test/jwks.json", true),
            ("https://keys.test:8443/a?b=c", true),
            ("ftp://keys.test/", false),
            ("http://", false),
            ("http:///x", false),
            ("http://a b/", false),
            ("keys.test", false),
        ] {
            let found = RemoteKeys::new("keys", uri, second, second);
            assert_eq!(found.is_ok(), is_taken, "{uri}");
        }
        assert!(RemoteKeys::new("keys", "http://a/", Duration::ZERO, second).is_err());
        let provider = || JwtProvider::new(JwtKeys::Inline(PublicKeys("{}".into())));
        let mut providers = JwtProviders::default();
        assert!(providers.add("a.b/c", provider()).is_ok());
        assert!(providers.add("a.b/c", provider()).is_err());
        assert!(providers.add("a,b", provider()).is_err());
        let claim = Claim::new("sub").unwrap();
        assert!(Claim::new("").is_err());
        let give = |name| provider().give(claim.clone(), HeaderName::new(name).unwrap());
        assert!(give("x-sub").is_ok());
        assert!(give("Host").is_err());
    }
}
