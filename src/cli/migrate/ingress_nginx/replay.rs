//! `--replay`: the same requests, asked of the old controller and of Isobath, and whether the answers are the same.
//!
//! One after the other, so many a second and so many at most, each within a time, of each answer so many bytes. Nothing is sent but
//! what a line says: no body, no cookie, no credentials; and no method but GET and HEAD unless it is named. Of what is asked and
//! answered no query is told: tokens and sessions stand there.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::body::Body;
use futures::StreamExt as _;
use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsConnector;
use xxhash_rust::xxh3::Xxh3;

use super::requests::{self, Asked};
use super::tls;
use crate::process::exit_code::UsageError;

/// Flags of a replay.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Ask both controllers for what is in this file, and compare: a URL a line, or an access log; - is standard input.
    #[arg(
        long,
        env = "ISOBATH_REPLAY",
        value_name = "FILE",
        requires = "old",
        requires = "new"
    )]
    pub replay: Option<std::path::PathBuf>,
    /// Where the old controller is: http://ADDRESS:PORT, and https://ADDRESS:PORT for what is asked by TLS.
    #[arg(
        long,
        env = "ISOBATH_OLD",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub old: Vec<String>,
    /// Where Isobath's Envoy is, the same way.
    #[arg(
        long,
        env = "ISOBATH_NEW",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub new: Vec<String>,
    /// The host of lines that name none, as those of ingress-nginx's own log.
    #[arg(long, env = "ISOBATH_REPLAY_HOST", value_name = "HOST")]
    pub replay_host: Option<String>,
    /// Methods that are sent besides GET and HEAD. They do whatever they do, twice.
    #[arg(
        long,
        env = "ISOBATH_REPLAY_METHODS",
        value_name = "METHOD",
        value_delimiter = ','
    )]
    pub replay_methods: Vec<String>,
    /// So many different requests at most.
    #[arg(long, env = "ISOBATH_REPLAY_MOST", value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub replay_most: u32,
    /// So many of them a second.
    #[arg(long, env = "ISOBATH_REPLAY_RATE", value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub replay_rate: u32,
}

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many bytes of a body are compared.
const BODY: usize = 8 << 20;
/// So many differences are named.
const NAMED: usize = 100;
/// The headers that matter.
const HEADERS: [&str; 14] = [
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-max-age",
    "cache-control",
    "content-encoding",
    "content-security-policy",
    "content-type",
    "location",
    "strict-transport-security",
    "vary",
    "www-authenticate",
    "x-frame-options",
];

/// What came of it.
#[derive(Debug, Default)]
pub struct Replay {
    asked: usize,
    same: usize,
    /// The request, and what differs.
    differences: Vec<(String, Vec<String>)>,
    more: usize,
    /// Lines that were not asked for, by why.
    passed_over: std::collections::BTreeMap<String, usize>,
}

/// An answer, as far as it is compared.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    headers: Vec<(&'static str, String)>,
    cookies: BTreeSet<String>,
    /// Hash and length.
    body: (u64, usize),
}

/// One side.
struct Side {
    http: Option<String>,
    https: Option<String>,
    tls: Arc<ClientConfig>,
}

/// Asks both sides.
///
/// # Errors
///
/// A file that can't be read, and an address that is none.
pub async fn replay(args: &Args, text: &str) -> anyhow::Result<Replay> {
    let tls = Arc::new(tls::client().context("TLS can't be set up")?);
    let [old, new] = [("--old", &args.old), ("--new", &args.new)]
        .map(|(flag, addresses)| Side::new(flag, addresses, tls.clone()));
    let (old, new) = (old?, new?);
    let mut replay = Replay::default();
    let mut seen = BTreeSet::new();
    let most = usize::try_from(args.replay_most).unwrap_or(usize::MAX);
    let mut pace = interval(Duration::from_secs(1) / args.replay_rate.max(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for line in text.lines() {
        let asked = match requests::read(line, args.replay_host.as_deref()) {
            Ok(None) => continue,
            Ok(Some(asked)) => asked,
            Err(why) => {
                replay.pass_over(why);
                continue;
            }
        };
        let is_sent = ["GET", "HEAD"].contains(&&*asked.method)
            || args.replay_methods.contains(&asked.method);
        if !is_sent {
            replay.pass_over(format!("{} is not sent", asked.method));
            continue;
        }
        if !seen.insert(asked.clone()) {
            continue;
        }
        if replay.asked >= most {
            replay.pass_over(format!("more than {most} requests"));
            continue;
        }
        pace.tick().await;
        replay.asked += 1;
        let (before, after) = tokio::join!(old.ask(&asked), new.ask(&asked));
        replay.compare(&asked, before, after);
    }
    Ok(replay)
}

impl Replay {
    /// Whether an answer is another.
    #[must_use]
    pub fn differs(&self) -> bool {
        !self.differences.is_empty()
    }

    fn pass_over(&mut self, why: String) {
        // As many reasons as there are sentences for, and methods.
        if self.passed_over.len() < NAMED || self.passed_over.contains_key(&why) {
            *self.passed_over.entry(why).or_default() += 1;
        }
    }

    fn compare(&mut self, asked: &Asked, old: Result<Seen, String>, new: Result<Seen, String>) {
        let told = match (old, new) {
            (Ok(old), Ok(new)) => differences(&old, &new),
            // Two that do not answer are not two that answer the same.
            (Err(old), Err(new)) if old == new => vec![format!("neither answers: {old}")],
            (old, new) => {
                let word = |side: Result<Seen, String>| match side {
                    Ok(seen) => seen.status.to_string(),
                    Err(why) => why,
                };
                vec![format!("{} → {}", word(old), word(new))]
            }
        };
        if told.is_empty() {
            self.same += 1;
        } else if self.differences.len() < NAMED {
            self.differences.push((asked.to_string(), told));
        } else {
            self.more += 1;
        }
    }

    /// As a value.
    #[must_use]
    pub fn json(&self) -> Value {
        let differences = self.differences.iter();
        let differences: Vec<Value> = differences
            .map(|(request, told)| json!({"request": request, "differences": told}))
            .collect();
        json!({
            "asked": self.asked,
            "same": self.same,
            "differences": differences,
            "more": self.more,
            "passedOver": self.passed_over,
        })
    }
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (request, told) in &self.differences {
            writeln!(f, "{request}")?;
            for told in told {
                writeln!(f, "  {told}")?;
            }
        }
        if self.more > 0 {
            writeln!(f, "and {} requests more with other answers", self.more)?;
        }
        for (why, count) in &self.passed_over {
            writeln!(f, "not asked: {count} lines: {why}")?;
        }
        let others = self.differences.len() + self.more;
        write!(
            f,
            "{} requests: {} answered the same, {others} otherwise",
            self.asked, self.same
        )
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        let path = without_query(&self.path);
        write!(f, "{} {scheme}://{}{path}", self.method, self.host)
    }
}

/// A URL as it may be told.
fn without_query(url: &str) -> String {
    match url.find(['?', '#']) {
        None => url.to_owned(),
        Some(at) => format!("{}…", &url[..=at]),
    }
}

/// A host without its port: whose certificate is asked for.
fn server_name(host: &str) -> &str {
    let address = host.strip_prefix('[').and_then(|it| it.split_once(']'));
    match address {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

/// What differs of two answers.
fn differences(old: &Seen, new: &Seen) -> Vec<String> {
    let mut told = Vec::new();
    if old.status != new.status {
        told.push(format!("status: {} → {}", old.status, new.status));
    }
    for name in HEADERS {
        let of = |seen: &Seen| {
            let values = seen.headers.iter().filter(|(of, _)| *of == name);
            values
                .map(|(_, value)| value.clone())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (old, new) = (of(old), of(new));
        if old == new {
            continue;
        }
        told.push(match name {
            "location" if without_query(&old) == without_query(&new) => {
                format!("{name}: {:?} with another query", without_query(&old))
            }
            "location" => {
                let [old, new] = [&old, &new].map(|it| without_query(it));
                format!("{name}: {old:?} → {new:?}")
            }
            _ => format!("{name}: {old:?} → {new:?}"),
        });
    }
    if old.cookies != new.cookies {
        let names = |seen: &Seen| seen.cookies.iter().cloned().collect::<Vec<_>>().join(", ");
        told.push(format!("cookies: {} → {}", names(old), names(new)));
    }
    // What a proxy says by itself is its own words.
    let is_of_back_end = old.status == new.status && (200..300).contains(&old.status);
    if is_of_back_end && old.body != new.body {
        let ((old_hash, old), (new_hash, new)) = (old.body, new.body);
        told.push(format!(
            "body: {old} bytes ({old_hash:016x}) → {new} bytes ({new_hash:016x})"
        ));
    }
    told
}

impl Side {
    fn new(flag: &str, addresses: &[String], tls: Arc<ClientConfig>) -> Result<Self, UsageError> {
        let (mut http, mut https) = (None, None);
        for address in addresses {
            let wrong = || {
                UsageError::new(format!(
                    "{flag} {address} is neither http://ADDRESS:PORT nor https://ADDRESS:PORT"
                ))
            };
            let (place, rest, port) = match address.split_once("://") {
                Some(("http", rest)) => (&mut http, rest, 80),
                Some(("https", rest)) => (&mut https, rest, 443),
                _ => return Err(wrong()),
            };
            let rest = rest.trim_end_matches('/');
            let is_address = !rest.is_empty()
                && rest
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
            if !is_address {
                return Err(wrong());
            }
            let has_port = match rest.rsplit_once(':') {
                Some((_, port)) if !port.ends_with(']') => {
                    port.parse::<u16>().map_err(|_| wrong())?;
                    true
                }
                _ => false,
            };
            *place = Some(match has_port {
                true => rest.to_owned(),
                false => format!("{rest}:{port}"),
            });
        }
        if http.is_none() && https.is_none() {
            return Err(UsageError::new(format!("{flag} names no address")));
        }
        Ok(Self { http, https, tls })
    }

    async fn ask(&self, asked: &Asked) -> Result<Seen, String> {
        let answer = timeout(PATIENCE, self.exchange(asked)).await;
        answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
    }

    async fn exchange(&self, asked: &Asked) -> Result<Seen, String> {
        let address = match asked.is_https {
            true => self.https.as_ref().ok_or("no address by TLS")?,
            false => self.http.as_ref().ok_or("no address in clear")?,
        };
        let stream = TcpStream::connect(address)
            .await
            .map_err(|_| "no connection".to_owned())?;
        if !asked.is_https {
            return over(stream, asked).await;
        }
        let name = server_name(&asked.host).to_owned();
        let name = ServerName::try_from(name).map_err(|_| "no server name".to_owned())?;
        let connector = TlsConnector::from(self.tls.clone());
        let stream = connector
            .connect(name, stream)
            .await
            .map_err(|_| "no handshake".to_owned())?;
        over(stream, asked).await
    }
}

async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    asked: &Asked,
) -> Result<Seen, String> {
    let broken = |_| "no answer".to_owned();
    let (mut client, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let request = Request::builder()
        .method(&*asked.method)
        .uri(&*asked.path)
        .header(HOST, &*asked.host)
        .header(USER_AGENT, concat!("isobath/", env!("CARGO_PKG_VERSION")))
        .body(Body::empty())
        .map_err(|_| "no request".to_owned())?;
    let exchange = async {
        let response = client.send_request(request).await.map_err(broken)?;
        seen(response).await
    };
    tokio::pin!(connection);
    tokio::pin!(exchange);
    // Both move on the same task: what is left of the connection goes with it.
    tokio::select! {
        answer = &mut exchange => answer,
        _ = &mut connection => exchange.await,
    }
}

async fn seen(response: Response<Incoming>) -> Result<Seen, String> {
    let status = response.status().as_u16();
    let (headers, cookies) = of_headers(response.headers());
    let mut body = Body::new(response.into_body()).into_data_stream();
    let (mut hash, mut length) = (Xxh3::new(), 0);
    while length < BODY {
        let Some(data) = body.next().await else {
            break;
        };
        let data = data.map_err(|_| "an answer that ends in the middle".to_owned())?;
        let rest = &data[..data.len().min(BODY - length)];
        hash.update(rest);
        length += rest.len();
    }
    Ok(Seen {
        status,
        headers,
        cookies,
        body: (hash.digest(), length),
    })
}

fn of_headers(headers: &HeaderMap) -> (Vec<(&'static str, String)>, BTreeSet<String>) {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut found = Vec::new();
    for name in HEADERS {
        let values = headers.get_all(name).iter().map(text);
        found.extend(values.map(|value| match name {
            "location" => (name, without_default_port(&value)),
            _ => (name, value),
        }));
    }
    // A session's value is nobody else's.
    let cookies = headers.get_all("set-cookie").iter().map(text);
    let cookies = cookies.filter_map(|cookie| Some(cookie.split_once('=')?.0.trim().to_owned()));
    (found, cookies.collect())
}

/// nginx writes the port in some redirects, be it the scheme's own.
fn without_default_port(location: &str) -> String {
    for (scheme, port) in [("http://", ":80"), ("https://", ":443")] {
        let Some(rest) = location.strip_prefix(scheme) else {
            continue;
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let host = authority.strip_suffix(port).unwrap_or(authority);
        return format!("{scheme}{host}{path}");
    }
    location.to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]

    use super::*;

    #[test]
    fn ports_that_mean_nothing_are_no_difference() {
        for (location, expected) in [
            ("http://a.test:80/x", "http://a.test/x"),
            ("https://a.test:443", "https://a.test"),
            ("https://a.test:80/", "https://a.test:80/"),
            ("/x:80", "/x:80"),
        ] {
            assert_eq!(without_default_port(location), expected);
        }
    }

    #[test]
    fn no_query_is_told() {
        for (url, expected) in [
            ("/x?token=1", "/x?…"),
            ("https://a.test/x#access_token=1?y", "https://a.test/x#…"),
            ("/x", "/x"),
            ("/?", "/?…"),
        ] {
            assert_eq!(without_query(url), expected);
        }
    }

    #[test]
    fn a_server_name_has_no_port() {
        for (host, expected) in [
            ("a.test", "a.test"),
            ("a.test:8443", "a.test"),
            ("[::1]", "::1"),
            ("[::1]:8443", "::1"),
            ("10.0.0.1:443", "10.0.0.1"),
        ] {
            assert_eq!(server_name(host), expected);
            assert!(ServerName::try_from(expected).is_ok(), "{expected}");
        }
    }

    #[test]
    fn addresses_say_their_scheme() {
        let tls = Arc::new(tls::client().expect("a client"));
        for (addresses, expected) in [
            (&["http://10.0.0.1"][..], Some((Some("10.0.0.1:80"), None))),
            (
                &["http://10.0.0.1:8080/", "https://[::1]:8443"],
                Some((Some("10.0.0.1:8080"), Some("[::1]:8443"))),
            ),
            (&["https://[::1]"], Some((None, Some("[::1]:443")))),
            (&["10.0.0.1:80"], None),
            (&["http://"], None),
            (&["http://a/b"], None),
            (&["http://a:99999"], None),
            (&[], None),
        ] {
            let addresses: Vec<String> = addresses.iter().map(|it| (*it).to_owned()).collect();
            let side = Side::new("--old", &addresses, tls.clone()).ok();
            let found = side
                .as_ref()
                .map(|it| (it.http.as_deref(), it.https.as_deref()));
            assert_eq!(found, expected, "{addresses:?}");
        }
    }
}
