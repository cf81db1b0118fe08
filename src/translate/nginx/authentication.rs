//! `auth-type`, `auth-url`, `satisfy` and their families: what the authorizer in Envoy's pod asks of requests.
//!
//! Who is asked is a Service of the Ingress's namespace, one that the operator lets all namespaces ask (`--auth-services`), or
//! somebody outside: never an address, nor another namespace's Service by its name. An endpoint is Envoy's to find (EDS), so that a
//! Service may be asked as it may be a back end. A value of the family that is wrong closes the routes: with ingress-nginx some of
//! them leave the whole family out, and open.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::facts::Reader as Facts;
use crate::model::{
    AddressRules, AnswerCache, Authorization, Authorizer, BasicAuthentication, Destination, Guard,
    GuardAddresses, HeaderName, RequestText, SignIn, Subrequest, Unanswered,
};
use crate::objects::{IngressBackend, NamespacedName, ObjectRef, ServiceBackendPort};
use crate::translate::annotation::RESERVED_HEADERS;
use crate::translate::credentials::CredentialsKey;

use super::config_map::Settings;
use super::reader::{Closed, Reader};
use super::tls::unusable;
use super::value;

mod url;

use url::{AuthUrl, Target};

/// What is asked of requests, before it is known whether it can be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authentication {
    basic: Option<(CredentialsKey, Arc<str>)>,
    asked: Option<(AuthUrl, Subrequest)>,
    /// `satisfy: any`.
    any: bool,
    /// Whether who is asked is asked about all requests, as the operator says.
    pub is_global: bool,
}

/// Reads the families.
pub fn read(reader: &mut Reader<'_>) -> Option<Authentication> {
    let before = reader.closed;
    let basic = basic(reader);
    let asked = subrequest(reader);
    let any = reader.read("satisfy", |text| value::word(text, &["any", "all"]));
    let found = Authentication {
        basic,
        asked,
        any: any == Some("any"),
        is_global: reader.is_global(),
    };
    let asks = found.basic.is_some() || found.asked.is_some();
    // What closes is told, and then nobody is asked.
    let is_closed = reader.closed > before;
    (asks && !is_closed).then_some(found)
}

/// Reads a part of a guard. A value that is wrong closes all but challenges, as this family leaves those out; where there is no
/// such guard it is ignored.
fn part<'a, T>(
    reader: &mut Reader<'a>,
    (guard, name): (&str, &str),
    parse: impl FnOnce(&'a str) -> Result<T, String>,
) -> Option<T> {
    if reader.get(guard).is_none() {
        return reader.read(name, parse);
    }
    match parse(reader.get(name)?) {
        Ok(value) => Some(value),
        Err(what) => {
            reader.close(name, Closed::ButChallenges, &format!("it {what}"));
            None
        }
    }
}

fn basic(reader: &mut Reader<'_>) -> Option<(CredentialsKey, Arc<str>)> {
    // ingress-nginx takes whatever has the word in it.
    let kind = part(reader, ("auth-type", "auth-type"), |text| match text {
        text if text.contains("basic") => Ok(()),
        text if text.contains("digest") => {
            Err("asks for digest, which is no longer safe: use basic by TLS".into())
        }
        _ => Err("must be basic".into()),
    });
    let namespace = reader.namespace();
    let secret = part(reader, ("auth-type", "auth-secret"), |text| {
        secret(text, namespace)
    });
    let words = ["auth-file", "auth-map"];
    let form = part(reader, ("auth-type", "auth-secret-type"), |text| {
        value::word(text, &words)
    });
    let realm = part(reader, ("auth-type", "auth-realm"), realm);
    if kind.is_none() {
        for name in ["auth-secret", "auth-secret-type", "auth-realm"] {
            if reader.get(name).is_some() && reader.get("auth-type").is_none() {
                reader.without_effect(name, "there is no auth-type");
            }
        }
        return None;
    }
    let Some(secret) = secret else {
        if reader.get("auth-secret").is_none() {
            let why = "there is no auth-secret with the passwords";
            reader.close("auth-type", Closed::ButChallenges, why);
        }
        return None;
    };
    let key = CredentialsKey {
        secret,
        is_map: form == Some("auth-map"),
    };
    Some((key, realm.unwrap_or_default()))
}

fn secret(text: &str, namespace: &str) -> Result<NamespacedName, String> {
    let text = value::basic(text)?;
    let (of, name) = text.split_once('/').unwrap_or((namespace, &text));
    if of != namespace {
        return Err(format!("must be a Secret of namespace {namespace}"));
    }
    if name.is_empty() || name.contains('/') {
        return Err("must be the name of a Secret".into());
    }
    Ok(NamespacedName::new(namespace, name))
}

fn realm(text: &str) -> Result<Arc<str>, String> {
    value::text(text, b"/-._~: ")
}

fn subrequest(reader: &mut Reader<'_>) -> Option<(AuthUrl, Subrequest)> {
    let namespace = match reader.is_global() {
        true => reader.settings.namespace().unwrap_or_default(),
        false => reader.namespace(),
    };
    if reader.is_global() {
        for name in Settings::global().filter(|name| *name != "auth-url") {
            if reader.own(name).is_some() {
                let why = "there is no auth-url, and who is asked is asked as the ConfigMap says";
                reader.own_without_effect(name, why);
            }
        }
    }
    let url = match reader.get("auth-url") {
        // It lets everybody in with ingress-nginx, which nobody means.
        None if reader.is_there("auth-url") => {
            reader.close("auth-url", Closed::ButChallenges, "it is empty");
            None
        }
        _ => part(reader, ("auth-url", "auth-url"), |text| {
            AuthUrl::new(text, namespace)
        }),
    };
    let method = part(reader, ("auth-url", "auth-method"), method);
    let parameter = reader.read("auth-signin-redirect-param", parameter);
    let sign_in = reader.read("auth-signin", sign_in);
    let response_headers = part(reader, ("auth-url", "auth-response-headers"), header_names);
    let redirect = part(reader, ("auth-url", "auth-request-redirect"), value::url);
    let always = part(
        reader,
        ("auth-url", "auth-always-set-cookie"),
        value::boolean,
    );
    let seconds = part(reader, ("auth-url", "auth-cache-duration"), durations);
    let key = part(reader, ("auth-url", "auth-cache-key"), cache_key);
    if reader.get("auth-proxy-set-headers").is_some() {
        let why = "Isobath does not read headers from a ConfigMap yet";
        reader.close("auth-proxy-set-headers", Closed::ButChallenges, why);
    }
    let Some(url) = url else {
        tell_without_url(reader);
        return None;
    };
    let cache = key.map(|key| AnswerCache {
        location: Arc::from(""),
        key,
        seconds: seconds.unwrap_or_else(|| [200, 202, 401].map(|it| (it, 300)).into()),
    });
    let request = Subrequest {
        to: Destination::Outside,
        url: url.text.clone(),
        method,
        headers: BTreeMap::new(),
        response_headers: response_headers.unwrap_or_default(),
        redirect,
        sign_in: sign_in.map(|url| SignIn {
            url,
            parameter: parameter.unwrap_or_else(|| "rd".into()),
        }),
        always_set_cookie: always.unwrap_or(false),
        cache,
    };
    Some((url, request))
}

fn tell_without_url(reader: &mut Reader<'_>) {
    if reader.is_there("auth-url") {
        return;
    }
    for name in [
        "auth-method",
        "auth-signin",
        "auth-signin-redirect-param",
        "auth-response-headers",
        "auth-request-redirect",
        "auth-always-set-cookie",
        "auth-cache-key",
        "auth-cache-duration",
    ] {
        if reader.get(name).is_some() {
            reader.without_effect(name, "there is no auth-url");
        }
    }
}

fn method(text: &str) -> Result<Arc<str>, String> {
    const METHODS: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE",
    ];
    let known = METHODS.iter().find(|it| **it == text);
    match known {
        Some(&("CONNECT" | "TRACE")) | None => Err("must be GET, POST or another method".into()),
        Some(method) => Ok((*method).into()),
    }
}

fn parameter(text: &str) -> Result<Arc<str>, String> {
    let parameter = value::text(text, b"-._~")?;
    match parameter.is_empty() {
        true => Err("must be the name of a parameter".into()),
        false => Ok(parameter),
    }
}

fn sign_in(text: &str) -> Result<RequestText, String> {
    let text = value::text(text, b"/-._~:,?&=$ {}")?;
    if text.contains(' ') {
        return Err("must not have a blank".into());
    }
    if text.len() > url::LONGEST {
        return Err(format!("must not have more than {} bytes", url::LONGEST));
    }
    let is_url = ["http://", "https://", "/", "$"];
    if !is_url.iter().any(|begin| text.starts_with(begin)) {
        return Err("must be a URL".into());
    }
    RequestText::new(&text)
}

fn header_names(text: &str) -> Result<Vec<Arc<str>>, String> {
    let names = value::header_names(text)?.into_iter();
    let checked = names.map(|name| {
        let wrong = || "has a name that no header of a request can have".to_owned();
        let name = HeaderName::new(&name).map_err(|_| wrong())?;
        // An answer's length or connection would be read as the client's own.
        let is_ours = name.as_str().starts_with(HeaderName::PRIVATE)
            || RESERVED_HEADERS.contains(&name.as_str());
        match is_ours {
            true => Err(wrong()),
            false => Ok(Arc::from(name.as_str())),
        }
    });
    checked.collect()
}

fn cache_key(text: &str) -> Result<RequestText, String> {
    RequestText::new(&value::text(text, b"-_${}")?)
}

/// `200 202 10m, 401 1m`.
fn durations(text: &str) -> Result<BTreeMap<u16, u32>, String> {
    const WRONG: &str = r#"must be statuses and a time, by comma ("200 202 10m, 401 1m")"#;
    let mut all = BTreeMap::new();
    for entry in value::list(text)? {
        let words: Vec<&str> = entry.split_whitespace().collect();
        let (time, statuses) = words.split_last().ok_or(WRONG)?;
        let seconds = seconds(time).ok_or(WRONG)?;
        if statuses.is_empty() {
            // As nginx has it.
            all.extend([200, 301, 302].map(|status| (status, seconds)));
        }
        for status in statuses {
            let status = status.parse().ok();
            let status = status.filter(|it: &u16| (100..600).contains(it));
            all.insert(status.ok_or(WRONG)?, seconds);
        }
    }
    Ok(all)
}

/// A time of nginx's, of one unit, at most a day.
fn seconds(text: &str) -> Option<u32> {
    let split = text.find(|it: char| !it.is_ascii_digit());
    let (digits, unit) = text.split_at(split.unwrap_or(text.len()));
    let number: u32 = digits.parse().ok()?;
    let times = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let seconds = number.checked_mul(times)?;
    (1..=86_400).contains(&seconds).then_some(seconds)
}

/// What its routes have to be told.
pub struct Resolved {
    authorization: Authorization,
    /// Whether addresses are asked about there, and nowhere else.
    pub has_addresses: bool,
}

impl Resolved {
    /// For [`crate::model::Filters::authorization`] of a location of that Ingress: answers that are kept hold for it alone.
    #[must_use]
    pub fn authorization_of(&self, ingress: &ObjectRef, path: &str) -> Authorization {
        let mut authorization = self.authorization.clone();
        if let Authorizer::Guard(guard) = &mut authorization.authorizer
            && let Some(cache) = guard.subrequest.as_mut().and_then(|it| it.cache.as_mut())
        {
            cache.location = format!("{ingress} {path}").into();
        }
        authorization
    }
}

impl Authentication {
    /// The Service that is asked, if it is one.
    #[must_use]
    pub fn service(&self) -> Option<(&NamespacedName, IngressBackend)> {
        match &self.asked.as_ref()?.0.target {
            Target::Outside | Target::RequestHost => None,
            Target::Service(name, port) => Some((
                name,
                IngressBackend::Service {
                    name: name.name.clone(),
                    port: ServiceBackendPort::Number(*port),
                },
            )),
        }
    }

    /// Whether it asks whatever host the request names.
    #[must_use]
    pub fn asks_the_request_host(&self) -> bool {
        let asked = self.asked.as_ref();
        asked.is_some_and(|(url, _)| url.target == Target::RequestHost)
    }

    /// Whether the passwords are there; where some names can't log in, the Secret's name and how many.
    ///
    /// # Errors
    ///
    /// The annotation, and why its guard can't be honoured.
    pub fn check_credentials(
        &self,
        facts: Facts<'_>,
    ) -> Result<Option<(&NamespacedName, usize)>, (&'static str, String)> {
        let Some((key, _)) = &self.basic else {
            return Ok(None);
        };
        let secret = &key.secret;
        let found = facts.credentials(secret, key.is_map);
        let count = found.map_err(|why| ("auth-secret", unusable(secret, why)))?;
        Ok((count > 0).then_some((secret, count)))
    }

    /// What routes are told, where this is the cluster of the Service that is asked.
    #[must_use]
    pub fn resolved(
        &self,
        cluster: Option<Arc<str>>,
        addresses: Option<&AddressRules>,
    ) -> Option<Resolved> {
        let any = self.any.then(|| addresses_of(addresses));
        let has_addresses = self.any && addresses.is_some();
        let subrequest = self.asked.as_ref().map(|(_, request)| {
            Box::new(Subrequest {
                to: match cluster {
                    None => Destination::Outside,
                    Some(cluster) => Destination::Cluster(cluster),
                },
                ..request.clone()
            })
        });
        let status = if subrequest.is_some() { 500 } else { 503 };
        let guard = Guard {
            any,
            basic: self.basic.as_ref().map(|(key, realm)| BasicAuthentication {
                credentials: key.name(),
                realm: realm.clone(),
            }),
            subrequest,
        };
        /// More than the authorizer takes for an answer.
        const PATIENCE: Duration = Duration::from_secs(20);
        let authorization = Authorization::new(Authorizer::Guard(Box::new(guard)), PATIENCE);
        let authorization =
            authorization.and_then(|it| it.with_unanswered(Unanswered::Refused(status)));
        Some(Resolved {
            authorization: authorization.ok()?,
            has_addresses,
        })
    }
}

fn addresses_of(rules: Option<&AddressRules>) -> GuardAddresses {
    let text = |(_, range): &(_, crate::model::Cidr)| {
        Arc::from(format!("{}/{}", range.address(), range.prefix()))
    };
    let Some(rules) = rules else {
        return GuardAddresses::default();
    };
    GuardAddresses {
        allow: rules
            .allowed()
            .unwrap_or_default()
            .iter()
            .map(text)
            .collect(),
        deny: rules.denied().iter().map(text).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_nginx_reads_them() {
        for (text, expected) in [
            (
                "200 202 10m, 401 1m",
                Some(vec![(200, 600), (202, 600), (401, 60)]),
            ),
            ("200 5", Some(vec![(200, 5)])),
            ("1h", Some(vec![(200, 3600), (301, 3600), (302, 3600)])),
            ("200 %%", None),
            ("60", Some(vec![(200, 60), (301, 60), (302, 60)])),
            ("x 5m", None),
            ("200 0s", None),
            ("200 2d", None),
            ("99999 5m", None),
        ] {
            let expected = expected.map(BTreeMap::from_iter);
            assert_eq!(durations(text).ok(), expected, "{text}");
        }
        for (text, is_taken) in [
            ("hp", true),
            ("shop/hp", true),
            ("other/hp", false),
            ("", false),
        ] {
            assert_eq!(secret(text, "shop").is_ok(), is_taken, "{text}");
        }
        for (text, is_taken) in [
            ("https://$host/oauth2/start?rd=$escaped_request_uri", true),
            ("/login", true),
            ("javascript:alert", false),
            ("https://a.test/$nobody", false),
            ("https://a.test/a b", false),
        ] {
            assert_eq!(sign_in(text).is_ok(), is_taken, "{text}");
        }
        for (text, is_taken) in [
            ("GET", true),
            ("FOO", false),
            ("get", false),
            ("CONNECT", false),
        ] {
            assert_eq!(method(text).is_ok(), is_taken, "{text}");
        }
        assert!(header_names("X-User, X-Mail").is_ok());
        for name in ["Host", "Content-Length", "Transfer-Encoding", "Connection"] {
            assert!(header_names(name).is_err(), "{name}");
        }
    }
}
