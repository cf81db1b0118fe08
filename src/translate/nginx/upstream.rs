//! How back ends are spoken to: time-outs, tries, protocol, balancing and sessions.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::model::{
    AttributeRewrite, ClusterSettings, Conditions, CookieRewrite, CookieRewrites, Expression,
    Forward, ForwardOptions, HashCookie, HashKey, HashPolicy, HeaderMatch, HeaderName,
    HeaderPredicate, HeaderValue, LoadBalancing, LocationRewrite, RetryPolicy, SessionCookie,
    SessionKey, SessionPersistence, SetCookie, StringMatch, TextMatch, UpstreamProtocol,
};
use crate::objects::{IngressBackend, ServiceBackendPort};

use super::reader::{Closed, Reader};
use super::tls::{self, BackendTls, Shown};
use super::value;

/// `proxy-connect-timeout` where it is not said.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What an Ingress says of its back ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    connect_timeout: Duration,
    read_timeout: Duration,
    send_timeout: Duration,
    retry: Retry,
    /// `None` leaves it to the Service.
    protocol: Option<Protocol>,
    host: Option<Arc<str>>,
    closes_connections: bool,
    least_request: bool,
    hash: Vec<HashPolicy>,
    session: Option<Session>,
    /// `proxy-ssl-secret` and its family.
    pub tls: Option<BackendTls>,
    cookies: CookieRewrites,
    /// `proxy-redirect-from`, `proxy-redirect-to`.
    location: Option<LocationRewrite>,
    /// `service-upstream`.
    by_service_address: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Protocol {
    Fixed(UpstreamProtocol),
    /// That of the client.
    Auto,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Retry {
    /// How often at most; none for never.
    again: u32,
    statuses: BTreeSet<u16>,
    /// Whether requests are tried again that may do twice what they do.
    all_methods: bool,
}

/// `affinity: cookie`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Session {
    name: Arc<str>,
    path: Option<Arc<str>>,
    attributes: Vec<(&'static str, Arc<str>)>,
    life: Option<Duration>,
    is_always_secure: bool,
    is_persistent: bool,
}

/// Reads the families.
pub fn read(reader: &mut Reader<'_>) -> Upstream {
    let mut seconds = |name: &str, default| {
        let said = reader.read(name, value::seconds);
        said.unwrap_or(Duration::from_secs(default))
    };
    let connect_timeout = seconds("proxy-connect-timeout", CONNECT_TIMEOUT.as_secs());
    let read_timeout = seconds("proxy-read-timeout", 60);
    let send_timeout = seconds("proxy-send-timeout", 60);
    let _ = reader.read("proxy-http-version", |text| {
        value::word(text, &["1.1", "1.0"])
    });
    let _ = reader.read("proxy-request-buffering", |text| {
        value::word(text, &["on", "off"])
    });
    let balancing = ["round_robin", "ewma"];
    let balancing = reader.read("load-balance", |text| value::word(text, &balancing));
    let connection = ["keep-alive", "close"];
    let connection = reader.read("connection-proxy-header", |text| {
        value::word(text, &connection)
    });
    Upstream {
        connect_timeout,
        read_timeout,
        send_timeout,
        retry: retry(reader, read_timeout),
        protocol: protocol(reader),
        host: reader.read("upstream-vhost", host),
        closes_connections: connection == Some("close"),
        least_request: balancing == Some("ewma"),
        hash: reader.read("upstream-hash-by", hash).unwrap_or_default(),
        session: session(reader),
        tls: tls::of_back_ends(reader),
        cookies: cookies(reader),
        location: location(reader),
        by_service_address: reader.boolean("service-upstream").unwrap_or(false),
    }
}

/// `proxy-redirect-from` and `-to`. What is `default` there does nothing, as back ends are asked for no path of their own.
fn location(reader: &mut Reader<'_>) -> Option<LocationRewrite> {
    let from = reader.read("proxy-redirect-from", value::url);
    let to = reader.read("proxy-redirect-to", value::url);
    let (from, to) = match (from, to) {
        (Some(from), to) if matches!(&*from, "off" | "default") => {
            if to.is_some_and(|to| &*to != "off") {
                let why = format!("proxy-redirect-from is {from}");
                reader.without_effect("proxy-redirect-to", &why);
            }
            return None;
        }
        (Some(from), Some(to)) if &*to != "off" => (from, to),
        (Some(_), None) => {
            reader.without_effect("proxy-redirect-from", "there is no proxy-redirect-to");
            return None;
        }
        (None, Some(to)) if &*to != "off" => {
            reader.without_effect("proxy-redirect-to", "there is no proxy-redirect-from");
            return None;
        }
        _ => return None,
    };
    // Of its class of text what is short is one.
    reader.read("proxy-redirect-from", |_| LocationRewrite::new(&from, &to))
}

/// `proxy-cookie-path` and `proxy-cookie-domain`: what an application says of its own, and what it is outside.
fn cookies(reader: &mut Reader<'_>) -> CookieRewrites {
    let pair = |text: &str| match text.split_whitespace().collect::<Vec<_>>()[..] {
        ["off"] => Ok(None),
        [from, to] => Ok(Some(AttributeRewrite::Replace {
            from: value::url(from)?,
            to: value::url(to)?,
        })),
        _ => Err(r#"must be "off", or what it is and what it is to be"#.to_owned()),
    };
    let path = reader.read("proxy-cookie-path", |text| {
        let rewrite = pair(text)?;
        rewrite
            .map(|rewrite| CookieRewrite::of_all().path(rewrite))
            .transpose()
    });
    let domain = reader.read("proxy-cookie-domain", |text| {
        let rewrite = pair(text)?;
        rewrite
            .map(|rewrite| CookieRewrite::of_all().domain(rewrite))
            .transpose()
    });
    let all = [path.flatten(), domain.flatten()];
    CookieRewrites::new(all.into_iter().flatten().collect()).unwrap_or_default()
}

fn protocol(reader: &mut Reader<'_>) -> Option<Protocol> {
    const NAME: &str = "backend-protocol";
    let words = ["AUTO_HTTP", "HTTP", "HTTPS", "GRPC", "GRPCS", "FCGI"];
    Some(match reader.read(NAME, |text| value::word(text, &words))? {
        "HTTP" => Protocol::Fixed(UpstreamProtocol::Http1),
        "HTTPS" => Protocol::Fixed(UpstreamProtocol::Tls),
        "GRPC" => Protocol::Fixed(UpstreamProtocol::H2c),
        "GRPCS" => Protocol::Fixed(UpstreamProtocol::H2),
        "AUTO_HTTP" => Protocol::Auto,
        _ => {
            reader.close(NAME, Closed::All, "Envoy does not speak FastCGI");
            return None;
        }
    })
}

/// A Host, in which some of nginx's variables stand for the back end's names.
fn host(text: &str) -> Result<Arc<str>, String> {
    let text = value::expression(text)?;
    let sample = expand(&text, &["a"; 3]);
    if sample.contains('$') {
        return Err("has a variable other than $service_name, $namespace and $service_port".into());
    }
    crate::model::check_host(&sample)?;
    Ok(text)
}

fn expand(text: &str, [service, namespace, port]: &[&str; 3]) -> String {
    text.replace("$service_name", service)
        .replace("$service_port", port)
        .replace("$namespace", namespace)
}

/// What of a request is hashed: a text with nginx's variables.
fn hash(text: &str) -> Result<Vec<HashPolicy>, String> {
    let is_text = |byte: u8| byte.is_ascii_alphanumeric() || b"-_${}".contains(&byte);
    if !text.bytes().all(is_text) {
        return Err("must have letters, digits and -_${} only".into());
    }
    let mut keys = Vec::new();
    for part in text.split('$').skip(1) {
        let part = part.strip_prefix('{').unwrap_or(part);
        let is_name = |it: char| it.is_ascii_alphanumeric() || it == '_';
        let end = part.find(|it| !is_name(it)).unwrap_or(part.len());
        let name = &part[..end];
        let header = |name: &str| HeaderName::of_request(name).map(HashKey::Header);
        keys.push(match name {
            "request_uri" => header(":path")?,
            "host" | "http_host" => header(":authority")?,
            "remote_addr" | "binary_remote_addr" => HashKey::SourceIp,
            _ => match name.split_once('_') {
                Some(("http", name)) => header(&name.replace('_', "-"))?,
                Some(("cookie", name)) => HashKey::Cookie(HashCookie::of_others(name)?),
                Some(("arg", name)) => HashKey::Query(name.into()),
                _ => return Err(format!("has the variable ${name}, which is not known here")),
            },
        });
    }
    match keys.len() {
        0 => Err("has no variable, so that all requests are one".into()),
        1..=8 => Ok(keys.into_iter().map(HashPolicy::only).collect()),
        _ => Err("has more than 8 variables".into()),
    }
}

fn retry(reader: &mut Reader<'_>, read_timeout: Duration) -> Retry {
    let words = reader.read("proxy-next-upstream", |text| {
        let words = text.split_whitespace().map(next_upstream);
        words.collect::<Result<Vec<_>, String>>()
    });
    let words = words.unwrap_or_default();
    let tries = reader.read("proxy-next-upstream-tries", value::count);
    let again = match tries {
        // Envoy wants a number.
        Some(0) => 9,
        tries => tries.unwrap_or(3).min(10) - 1,
    };
    // Envoy's own limit would cut the answer that is under way. So it is what can begin until then, where each try is as long
    // silent as it may be.
    let within = reader.read("proxy-next-upstream-timeout", value::count);
    let again = match within.filter(|within| *within > 0) {
        None => again,
        Some(within) => {
            let each = u32::try_from(read_timeout.as_secs()).unwrap_or(u32::MAX);
            again.min(within.div_ceil(each.max(1)).saturating_sub(1))
        }
    };
    let statuses = words.iter().filter_map(|word| match word {
        Next::Status(status) => Some(*status),
        _ => None,
    });
    Retry {
        again: if words.contains(&Next::Off) { 0 } else { again },
        statuses: statuses.collect(),
        all_methods: words.contains(&Next::AllMethods) || reader.settings.repeats_all,
    }
}

#[derive(PartialEq)]
enum Next {
    Always,
    Off,
    AllMethods,
    Status(u16),
}

fn next_upstream(word: &str) -> Result<Next, String> {
    Ok(match word {
        "error" | "timeout" | "invalid_header" => Next::Always,
        "off" => Next::Off,
        "non_idempotent" => Next::AllMethods,
        _ => {
            let status = word
                .strip_prefix("http_")
                .and_then(|text| text.parse().ok());
            let status = status.filter(|it| [403, 404, 429, 500, 502, 503, 504].contains(it));
            Next::Status(status.ok_or(
                "must have words of error, timeout, invalid_header, http_500, http_502, http_503, http_504, http_403, http_404, http_429, non_idempotent and off",
            )?)
        }
    })
}

fn session(reader: &mut Reader<'_>) -> Option<Session> {
    let affinity = reader.read("affinity", |text| value::word(text, &["cookie"]));
    let modes = ["balanced", "persistent"];
    let mode = reader.read("affinity-mode", |text| value::word(text, &modes));
    let name = reader.read("session-cookie-name", |text| {
        let name = value::basic(text)?;
        HashCookie::of_others(&name).map(|_| name)
    });
    let path = reader.read("session-cookie-path", value::url);
    let domain = reader.read("session-cookie-domain", value::basic);
    let sites = ["None", "Lax", "Strict"];
    let same_site = reader.read("session-cookie-samesite", |text| value::word(text, &sites));
    let secure = reader.boolean("session-cookie-secure");
    let max_age = reader.read("session-cookie-max-age", value::number);
    let expires = reader.read("session-cookie-expires", value::number);
    affinity?;
    let domain = domain.map(|domain| ("Domain", domain));
    let same_site = same_site.map(|site| ("SameSite", Arc::from(site)));
    let life = max_age.or(expires).filter(|seconds| *seconds > 0);
    Some(Session {
        name: name.unwrap_or_else(|| "INGRESSCOOKIE".into()),
        path,
        attributes: domain.into_iter().chain(same_site).collect(),
        life: life.map(|seconds| Duration::from_secs(seconds.unsigned_abs())),
        is_always_secure: secure == Some(true),
        is_persistent: mode == Some("persistent"),
    })
}

impl Session {
    fn cookie(&self, path: &str, by_tls: bool) -> Option<SetCookie> {
        let mut attributes: Vec<(&str, &str)> = self
            .attributes
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        if by_tls || self.is_always_secure {
            attributes.push(("Secure", ""));
        }
        let path = self.path.as_deref().unwrap_or(path);
        SetCookie::new(self.life, path, &attributes).ok()
    }
}

impl Upstream {
    /// The settings of a cluster: those of its Service, as the Ingress changes them.
    #[must_use]
    pub fn settings(&self, base: ClusterSettings, by_tls: bool, shown: Shown) -> ClusterSettings {
        let is_hashed =
            !self.hash.is_empty() || self.session.as_ref().is_some_and(|it| !it.is_persistent);
        ClusterSettings {
            protocol: match (self.protocol, by_tls) {
                (None, _) => base.protocol,
                (Some(Protocol::Fixed(protocol)), _) => protocol,
                (Some(Protocol::Auto), true) => UpstreamProtocol::Tls,
                (Some(Protocol::Auto), false) => UpstreamProtocol::Http1,
            },
            load_balancing: match base.load_balancing {
                _ if is_hashed => LoadBalancing::RingHash,
                LoadBalancing::RoundRobin(slow) if self.least_request => {
                    LoadBalancing::LeastRequest(slow)
                }
                other => other,
            },
            tls: match &self.tls {
                Some(tls) => tls.settings(shown),
                None => base.tls,
            },
            connect_timeout: Some(self.connect_timeout),
            by_service_address: self.by_service_address,
            // Shorter than most back ends keep a connection.
            idle_timeout: base.idle_timeout.or(Some(Duration::from_secs(60))),
            max_requests_per_connection: match self.closes_connections {
                true => NonZeroU32::new(1),
                false => base.max_requests_per_connection,
            },
            ..base
        }
    }

    /// How many clusters a back end has that no other Ingress need have: none where nothing is said of how it is spoken to.
    #[must_use]
    pub fn own_clusters(&self) -> usize {
        let plain = self.connect_timeout == CONNECT_TIMEOUT
            && self.protocol.is_none()
            && !self.closes_connections
            && !self.least_request
            && self.hash.is_empty()
            && self.session.is_none()
            && !self.by_service_address
            && self.tls.is_none();
        match plain {
            true => 0,
            false => 1 + usize::from(self.is_by_scheme()),
        }
    }

    /// Whether requests go to the Service's own address, where it has one.
    #[must_use]
    pub const fn is_by_service_address(&self) -> bool {
        self.by_service_address
    }

    /// Whether a request by TLS goes to another cluster than one in clear.
    #[must_use]
    pub fn is_by_scheme(&self) -> bool {
        self.protocol == Some(Protocol::Auto)
    }

    /// The Host that a back end sees; none for the client's.
    #[must_use]
    pub fn host(&self, namespace: &str, backend: &IngressBackend) -> Option<HeaderValue> {
        let (name, port) = match backend {
            IngressBackend::Service { name, port } => (&**name, port),
            IngressBackend::Resource { .. } | IngressBackend::Missing => {
                ("", &ServiceBackendPort::Missing)
            }
        };
        let port = match port {
            ServiceBackendPort::Name(name) => name.to_string(),
            ServiceBackendPort::Number(number) => number.to_string(),
            ServiceBackendPort::Missing => String::new(),
        };
        let host = expand(self.host.as_deref()?, &[name, namespace, &port]);
        // What would be no Host goes without the names: then the back end is asked for what nobody serves.
        let checked = crate::model::check_host(&host);
        match checked.and_then(|()| HeaderValue::new(&HeaderName::host(), host)) {
            Ok(host) => Some(host),
            Err(_) => HeaderValue::new(&HeaderName::host(), name).ok(),
        }
    }

    /// What all of a path's requests are forwarded with. `path` is the rule's.
    pub fn put_on(&self, forward: &mut Forward, path: &str, by_tls: bool) {
        forward.timeout = None;
        let options = forward.options.get_or_insert_default();
        let options: &mut ForwardOptions = options;
        options.idle_timeout = Some(self.read_timeout.max(self.send_timeout));
        options.cookie_rewrites = self.cookies.clone();
        options.location_rewrite.clone_from(&self.location);
        if !self.hash.is_empty() {
            options.hash_policies.clone_from(&self.hash);
        }
        let Some(session) = &self.session else {
            return;
        };
        let Some(cookie) = session.cookie(path, by_tls) else {
            return;
        };
        if session.is_persistent {
            let cookie = SessionCookie::new(&session.name, cookie).ok();
            options.session = cookie.map(|cookie| SessionPersistence {
                key: SessionKey::Cookie(cookie),
                is_strict: false,
            });
        } else if let Ok(cookie) = HashCookie::new(&session.name, cookie) {
            options.hash_policies = vec![HashPolicy::only(HashKey::Cookie(cookie))];
        }
    }

    /// How requests are tried again: by what they must be for it, the last for all others.
    #[must_use]
    pub fn retries(&self) -> Vec<(Conditions, RetryPolicy)> {
        let plain = RetryPolicy {
            num_retries: self.retry.again,
            per_try_idle_timeout: Some(self.read_timeout),
            ..RetryPolicy::default()
        };
        if self.retry.again == 0 {
            return vec![(Conditions::default(), plain)];
        }
        let with_statuses = RetryPolicy {
            status_codes: self.retry.statuses.clone(),
            ..plain.clone()
        };
        if self.retry.all_methods {
            let policy = RetryPolicy {
                retry_on: vec!["reset".into()],
                ..with_statuses
            };
            return vec![(Conditions::default(), policy)];
        }
        let all = (Conditions::default(), plain);
        if self.retry.statuses.is_empty() {
            return vec![all];
        }
        match &*REPEATABLE {
            Some(conditions) => vec![(conditions.clone(), with_statuses), all],
            None => vec![all],
        }
    }
}

/// Methods that do once what they do twice.
static REPEATABLE: LazyLock<Option<Conditions>> = LazyLock::new(|| {
    let expression = Expression::new("GET|HEAD|PUT|DELETE|OPTIONS|TRACE").ok()?;
    let pattern = StringMatch::Regex(expression);
    Some(Conditions {
        headers: vec![HeaderMatch {
            name: HeaderName::method(),
            value: HeaderPredicate::Is(TextMatch::of(pattern)),
        }],
        ..Conditions::default()
    })
});

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_hashed_is_a_text_with_variables() {
        for (text, expected) in [
            ("$request_uri", Some(1)),
            ("$host-${arg_k}", Some(2)),
            ("$cookie_a$http_x_user", Some(2)),
            ("text", None),
            ("$time", None),
            ("$a b", None),
        ] {
            assert_eq!(hash(text).ok().map(|it| it.len()), expected, "{text}");
        }
        let HashKey::Header(name) = &hash("$http_x_user").unwrap()[0].key else {
            panic!("a header");
        };
        assert_eq!(name.as_str(), "x-user");
    }

    #[test]
    fn a_host_has_names_of_the_back_end() {
        assert!(host("$service_name.$namespace.svc:$service_port").is_ok());
        assert!(host("a.example.com").is_ok());
        assert!(host("$host").is_err());
        assert!(host("bad host").is_err());
    }
}
