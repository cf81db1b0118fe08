//! A request that is made for each request, as nginx makes one for `auth_request`.

use std::time::Duration;

use axum::body::Body;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request as HttpRequest, StatusCode, Uri};

use crate::model::{Cidr, Destination, Guard, SignIn, Subrequest};

use super::answer::{Answer, Passed, Refused};
use super::cache::Cache;
use super::client::Client;
use super::discovery::Discovery;
use super::expand::{escaped, expand, expand_url};
use super::request::Request;

/// What is not sent on: about the connection or the body, made anew, or ours.
const OWN: [&str; 16] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-auth-request-redirect",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-original-url",
    "x-real-ip",
    "x-sent-from",
];
/// Largest answer that is kept, in bytes.
const LARGEST: usize = 4096;
/// What the names of headers begin with that are Envoy's or Isobath's.
const PRIVATE: [&str; 3] = [":", "x-envoy-", crate::model::HeaderName::PRIVATE];

/// Asks others about requests.
pub struct Subrequests {
    client: Client,
    answers: Cache<Answer>,
}

impl Subrequests {
    /// See [`Client::new`].
    ///
    /// # Errors
    ///
    /// If TLS can't be set up, or the system has no random numbers.
    pub fn new(discovery: Discovery, networks: Vec<Cidr>) -> anyhow::Result<Self> {
        Ok(Self {
            client: Client::new(discovery, networks)?,
            answers: Cache::new()?,
        })
    }

    /// What is answered about a request.
    pub async fn check(&self, subrequest: &Subrequest, request: &Request) -> Answer {
        let failed = || Answer::Refused(Refused::status(500));
        let Some(url) = expand_url(&subrequest.url, request) else {
            return failed();
        };
        // All that have nothing to be known by would be answered as the first of them.
        let key = subrequest.cache.as_ref();
        let key = key.and_then(|cache| expand(&cache.key, request));
        let key = key.filter(|key| !key.is_empty());
        let key = key.map(|key| self.key(subrequest, request, &url, &key));
        if let Some(answer) = key.and_then(|key| self.answers.get(&key)) {
            return answer;
        }
        let Some(asked) = asked(subrequest, request, &url) else {
            return failed();
        };
        let Some((status, headers)) = self.client.ask(&subrequest.to, asked).await else {
            return failed();
        };
        let answer = answer(subrequest, status, &headers);
        let hold = subrequest.cache.as_ref();
        let hold = hold.and_then(|cache| cache.seconds.get(&status.as_u16()).copied());
        let hold = hold.and_then(|hold| held(&headers, hold));
        if let (Some(key), Some(hold), true) = (key, hold, answer.bytes() <= LARGEST) {
            let hold = Duration::from_secs(hold.into());
            self.answers.put(key, answer.clone(), hold);
        }
        answer
    }

    fn key(
        &self,
        subrequest: &Subrequest,
        request: &Request,
        url: &str,
        key: &str,
    ) -> super::cache::Key {
        let cluster = match &subrequest.to {
            Destination::Cluster(cluster) => &**cluster,
            Destination::Outside => "",
        };
        let method = subrequest.method.as_deref().unwrap_or_default();
        let headers = subrequest.response_headers.join(",");
        let name = request.name();
        // What is a yes for one location is none for another, and a text is what one Ingress makes it of.
        let cache = subrequest.cache.as_ref();
        let location = cache.map_or("", |cache| &cache.location);
        let template = cache.map(|cache| format!("{:?}", cache.key));
        let template = template.unwrap_or_default();
        let parts = [
            cluster, method, &headers, url, &name, location, &template, key,
        ];
        self.answers.key(&parts.map(str::as_bytes))
    }

    /// The refusal that the client gets: where it is to sign in, the way there.
    pub fn signed_in(&self, guard: &Guard, request: &Request, refused: Refused) -> Answer {
        let Some(subrequest) = &guard.subrequest else {
            return Answer::Refused(refused);
        };
        let sign_in = subrequest
            .sign_in
            .as_ref()
            .filter(|_| refused.status == 401);
        let location = sign_in.and_then(|it| location(it, request));
        Answer::Refused(match location {
            Some(location) => Refused {
                status: 302,
                headers: vec![("location".to_owned(), location)],
                cookies: refused.cookies,
            }
            .with_cookies(),
            None if subrequest.always_set_cookie => refused.with_cookies(),
            None => refused,
        })
    }
}

/// The request that asks.
fn asked(subrequest: &Subrequest, request: &Request, url: &str) -> Option<HttpRequest<Body>> {
    let uri: Uri = url.parse().ok()?;
    // As ingress-nginx has it, without a port.
    let host = uri.host()?.to_owned();
    let method = subrequest.method.as_deref().unwrap_or("GET");
    let mut asked = HttpRequest::builder()
        .method(Method::from_bytes(method.as_bytes()).ok()?)
        .uri(uri)
        .body(Body::empty())
        .ok()?;
    let headers = asked.headers_mut();
    let is_own = |name: &str| {
        let is_named = OWN.contains(&name) || subrequest.headers.contains_key(name);
        is_named || PRIVATE.iter().any(|begin| name.starts_with(begin))
    };
    for (name, value) in request.headers().filter(|(name, _)| !is_own(name)) {
        // What can't be a header here is none that the other side could read.
        let value = HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value) {
            headers.insert(name, value);
        }
    }
    let original = format!("{}://{}{}", request.scheme, request.host, request.path);
    let client = request.client.map(|it| it.to_string()).unwrap_or_default();
    let redirect = subrequest.redirect.as_deref().unwrap_or(&request.path);
    let mut said: Vec<(HeaderName, &str)> = Vec::new();
    for (name, value) in [
        ("x-original-url", &*original),
        ("x-original-method", &request.method),
        ("x-sent-from", "nginx-ingress-controller"),
        ("x-real-ip", &client),
        ("x-forwarded-for", &client),
        ("x-auth-request-redirect", redirect),
    ] {
        said.push((HeaderName::from_static(name), value));
    }
    if subrequest.method.is_some() {
        said.push((HeaderName::from_static("x-original-uri"), &request.path));
        said.push((HeaderName::from_static("x-scheme"), request.scheme));
    }
    said.push((HOST, &host));
    for (name, value) in said {
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
    }
    for (name, value) in &subrequest.headers {
        let value = expand(value, request)?;
        headers.insert(
            name.parse::<HeaderName>().ok()?,
            HeaderValue::from_bytes(value.as_bytes()).ok()?,
        );
    }
    headers.remove(CONTENT_LENGTH);
    Some(asked)
}

/// What an answer means.
fn answer(subrequest: &Subrequest, status: StatusCode, headers: &HeaderMap) -> Answer {
    let all = |name: &str| -> Option<Vec<String>> {
        let values = headers.get_all(name).iter();
        // Envoy takes UTF-8 and nothing else.
        let values = values.map(|value| String::from_utf8(value.as_bytes().to_vec()).ok());
        values.collect()
    };
    let said = |name: &str| {
        let values = all(name)?.join(", ");
        Some((!values.is_empty()).then_some((name.to_owned(), values)))
    };
    let cookies = all("set-cookie").unwrap_or_default();
    let status = status.as_u16();
    match status {
        200..=299 => {
            let names = subrequest.response_headers.iter();
            let set: Option<Vec<_>> = names.map(|name| said(name)).collect();
            // A yes that can't be told as it was said would be another one.
            let Some(set) = set else {
                return Answer::Refused(Refused::status(500));
            };
            Answer::Passes(Passed {
                set: set.into_iter().flatten().collect(),
                removed: Vec::new(),
                cookies,
            })
        }
        401 | 403 => {
            let challenges = all("www-authenticate").unwrap_or_default().into_iter();
            let challenges = challenges.filter(|_| status == 401);
            Answer::Refused(Refused {
                status,
                headers: challenges
                    .map(|it| ("www-authenticate".to_owned(), it))
                    .collect(),
                cookies,
            })
        }
        _ => Answer::Refused(Refused::status(500)),
    }
}

/// How long an answer may be kept that says this of it, where its Ingress says so many seconds; as nginx reads it, and where that needs
/// a clock of the other side, not at all.
fn held(headers: &HeaderMap, seconds: u32) -> Option<u32> {
    let is_there = |name: &str| headers.contains_key(name);
    if ["set-cookie", "vary", "expires"].into_iter().any(is_there) {
        return None;
    }
    let mut least = seconds;
    let own = headers.get_all("x-accel-expires").iter();
    for value in own {
        let own = value
            .to_str()
            .ok()
            .and_then(|text| text.trim().parse().ok());
        least = least.min(own.unwrap_or(0));
    }
    for value in headers.get_all("cache-control") {
        let Ok(text) = value.to_str() else {
            return None;
        };
        for directive in text.split(',').map(|it| it.trim().to_ascii_lowercase()) {
            let (name, age) = directive.split_once('=').unwrap_or((&directive, ""));
            match name {
                "no-store" | "no-cache" | "private" => return None,
                "max-age" | "s-maxage" => {
                    let age = age.trim_matches('"').parse();
                    least = least.min(age.unwrap_or(0));
                }
                _ => {}
            }
        }
    }
    (least > 0).then_some(least)
}

/// Where a client signs in, with the way back.
fn location(sign_in: &SignIn, request: &Request) -> Option<String> {
    let own = format!("{}://{}", request.scheme, request.host);
    let mut url = expand_url(&sign_in.url, request)?;
    if url.starts_with('/') && !url.starts_with("//") {
        url.insert_str(0, &own);
    }
    let query = url.split_once('?').map(|(_, query)| query);
    let mut pairs = query.unwrap_or_default().split('&');
    let leads_back = pairs.any(|pair| {
        let pair = pair.split_once('=');
        pair.is_some_and(|(name, value)| *name == *sign_in.parameter && !value.is_empty())
    });
    if !leads_back {
        let and = match query {
            None => '?',
            Some(_) => '&',
        };
        let parameter = &sign_in.parameter;
        let back = escaped(&request.path);
        url = format!("{url}{and}{parameter}={own}{back}");
    }
    Some(url)
}

#[cfg(test)]
mod tests;
