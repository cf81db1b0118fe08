//! What becomes of a request by the routes that this room renders, for whoever wants to know without asking an Envoy: whether a
//! route takes it, and what its action does to it (seen with Envoy 1.40: `tests/e2e/explain.rs`).

use super::client_headers;
use super::edge::{Edge, PathParameters, Underscores};
use super::header;
use super::request_checks;
use super::request_path::{self, SeenPath, split};
use crate::model::{
    Forward, HeaderMatch, HeaderPredicate, HostRewrite, PathMatch, PathRewrite, QueryMatch,
    QueryPredicate, Redirect, RefusedStatus, Route, RouteAction, RouteMatch, Scheme,
};

/// A request as its client sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whether by HTTPS.
    pub tls: bool,
    /// The method.
    pub method: String,
    /// `Host`, with its port if it has one.
    pub host: String,
    /// The path with its query.
    pub path: String,
    /// Other headers, by their names in lower case.
    pub headers: Vec<(String, String)>,
}

/// What a manager makes of it before routes are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// Routes see this.
    Request(Request),
    /// Envoy answers by itself: the status, why, and where to.
    Answer(u16, &'static str, Option<String>),
}

/// What a manager makes of a request.
#[must_use]
pub fn admit(edge: &Edge, mut request: Request) -> Admitted {
    let has_underscore = |(name, _): &(String, String)| name.contains('_');
    if request.headers.iter().any(has_underscore) {
        match edge.underscores {
            Underscores::Reject => {
                let why = "the name of a header has an underscore (--envoy-underscores)";
                return Admitted::Answer(400, why, None);
            }
            Underscores::Drop => request.headers.retain(|it| !has_underscore(it)),
            Underscores::Keep => {}
        }
    }
    let refused = request_checks::answer(edge, &request.method, &request.host, &request.path);
    match request_path::seen(edge, &request.path) {
        SeenPath::Path(path) => request.path = path,
        // What is refused anyway has its own status on every answer of Envoy's.
        SeenPath::Redirect(path) => {
            let why = "its path has an escaped slash (--envoy-escaped-slashes)";
            let (status, why) = refused.unwrap_or((307, why));
            return Admitted::Answer(status, why, Some(path));
        }
        SeenPath::Refused(why) => {
            let (status, why) = refused.unwrap_or((400, why));
            return Admitted::Answer(status, why, None);
        }
    }
    if let Some((status, why)) = refused {
        return Admitted::Answer(status, why, None);
    }
    let (name, port) = split_host(&request.host);
    request.host = format!("{}{port}", name.strip_suffix('.').unwrap_or(name));
    let removed = client_headers::removed(edge.trusted_hops, &edge.kept_headers);
    request.headers.retain(|(name, _)| {
        !removed.iter().any(|row| match row.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == row,
        })
    });
    let told = |(name, _): &(String, String)| name == PROTO;
    if !request.headers.iter().any(told) {
        let proto = (PROTO.to_owned(), request.scheme().to_owned());
        request.headers.push(proto);
    }
    Admitted::Request(request)
}

const PROTO: &str = "x-forwarded-proto";

/// A Host as its name and its port, with the colon.
#[must_use]
pub fn split_host(host: &str) -> (&str, &str) {
    let end = match host.starts_with('[') {
        true => host.rfind("]:").map(|at| at + 1),
        false => host.rfind(':'),
    };
    host.split_at(end.unwrap_or(host.len()))
}

impl Request {
    fn scheme(&self) -> &'static str {
        match self.tls {
            true => "https",
            false => "http",
        }
    }

    /// The values of a header: since 1.39 Envoy compares each by itself.
    fn values(&self, name: &str) -> Vec<&str> {
        match name {
            ":method" => vec![&self.method],
            ":authority" | "host" => vec![&self.host],
            ":path" => vec![&self.path],
            ":scheme" => vec![self.scheme()],
            _ => {
                let own = self.headers.iter().filter(|(own, _)| own == name);
                own.map(|(_, value)| value.as_str()).collect()
            }
        }
    }

    /// The first value of a header.
    fn header(&self, name: &str) -> Option<String> {
        self.values(name).first().map(ToString::to_string)
    }

    /// The path that routes are compared with.
    fn compared(&self, edge: &Edge) -> &str {
        let (path, _) = split(&self.path);
        match edge.path_parameters {
            PathParameters::Ignore => path.split(';').next().unwrap_or_default(),
            PathParameters::Keep | PathParameters::Reject => path,
        }
    }
}

/// Why a route does not take a request; `None` where it does.
#[must_use]
pub fn mismatch(edge: &Edge, matches: &RouteMatch, request: &Request) -> Option<String> {
    let path = request.compared(edge);
    if request_path::taken(&matches.path, None, path, &request.path).is_none() {
        return Some(match &matches.path {
            PathMatch::Exact(text) => format!("the path is not {text}"),
            PathMatch::PathPrefix(text) => format!("the path is neither {text} nor below it"),
            PathMatch::StringPrefix(text) => format!("the path does not begin with {text}"),
            PathMatch::Regex(text) => {
                format!("the path does not match {} as a whole", text.as_str())
            }
            PathMatch::RegexPrefix(text) => {
                format!("the path does not begin with a match of {}", text.as_str())
            }
            PathMatch::Connect => "the method is not CONNECT".to_owned(),
        });
    }
    let proto = request.header(PROTO).unwrap_or_default();
    let is_https = proto.eq_ignore_ascii_case("https");
    match matches.scheme {
        Some(Scheme::Http) if is_https => return Some("it is for http".to_owned()),
        Some(Scheme::Https) if !is_https => return Some("it is for https".to_owned()),
        _ => {}
    }
    if matches.is_grpc() && !is_grpc(request) {
        return Some("it is no call of gRPC (content-type application/grpc)".to_owned());
    }
    if matches.is_without_certificate() {
        return Some("it is for clients that have shown no certificate".to_owned());
    }
    let headers = matches.headers().iter();
    let header = headers.filter_map(|condition| header_mismatch(condition, request));
    let query = matches.query().iter();
    let query = query.filter_map(|condition| query_mismatch(condition, request));
    header.chain(query).next()
}

fn is_grpc(request: &Request) -> bool {
    let content_type = request.header("content-type").unwrap_or_default();
    let rest = content_type.strip_prefix("application/grpc");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
}

fn header_mismatch(condition: &HeaderMatch, request: &Request) -> Option<String> {
    let name = match condition.name.is_method() {
        true => "the method".to_owned(),
        false => format!("header {}", condition.name),
    };
    let mut values = request.values(condition.name.as_str());
    let text = match &condition.value {
        HeaderPredicate::Present => {
            return values.is_empty().then(|| format!("{name} is missing"));
        }
        HeaderPredicate::Absent => {
            return (!values.is_empty()).then(|| format!("{name} is there"));
        }
        HeaderPredicate::Is(text) => text,
    };
    if values.is_empty() {
        if !text.missing_is_empty {
            return Some(format!("{name} is missing"));
        }
        values.push("");
    }
    let wanted = text.pattern.text();
    let is_taken = values.iter().any(|value| text.pattern.matches(value));
    match (is_taken, text.negated) {
        (true, true) => Some(format!("{name} is as it must not be: {wanted}")),
        (false, false) => Some(format!("{name} is not as wanted: {wanted}")),
        _ => None,
    }
}

fn query_mismatch(condition: &QueryMatch, request: &Request) -> Option<String> {
    let (_, query) = split(&request.path);
    let mut parameters = query.trim_start_matches('?').split('&').map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (name, value)
    });
    let name = &condition.name;
    let value = parameters
        .find(|(own, _)| *own == &**name)
        .map(|(_, value)| value);
    match (&condition.value, value) {
        (QueryPredicate::Present | QueryPredicate::Is(_), None) => {
            Some(format!("query parameter {name} is missing"))
        }
        (QueryPredicate::Absent, Some(_)) => Some(format!("query parameter {name} is there")),
        (QueryPredicate::Is(text), Some(value)) if !text.matches(value) => {
            let wanted = text.text();
            Some(format!("query parameter {name} is not as wanted: {wanted}"))
        }
        _ => None,
    }
}

/// What a route does to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Envoy answers: the status, and where to.
    Answer(u16, Option<String>),
    /// It goes to a cluster.
    Forward {
        /// The cluster.
        cluster: String,
        /// The path with its query that the back end sees.
        path: String,
        /// The Host that it sees; `None` for the DNS name of the endpoint.
        host: Option<String>,
    },
}

/// What a route that takes the request does to it: with several back ends each with its weight.
#[must_use]
pub fn outcomes(edge: &Edge, route: &Route, request: &Request) -> Vec<(u32, Outcome)> {
    match &route.action {
        RouteAction::DirectResponse(answer) => vec![(1, Outcome::Answer(answer.status(), None))],
        RouteAction::Redirect(redirect) => {
            let path = rewritten(edge, route, redirect.path.as_ref(), request);
            let location = location(redirect, &path, request);
            vec![(1, Outcome::Answer(redirect.status, Some(location)))]
        }
        RouteAction::Forward(forward) => forwarded(edge, route, forward, request),
    }
}

fn rewritten(
    edge: &Edge,
    route: &Route,
    rewrite: Option<&PathRewrite>,
    request: &Request,
) -> String {
    let compared = request.compared(edge);
    let path = request_path::taken(&route.matches.path, rewrite, compared, &request.path);
    path.unwrap_or_else(|| request.path.clone())
}

fn forwarded(
    edge: &Edge,
    route: &Route,
    forward: &Forward,
    request: &Request,
) -> Vec<(u32, Outcome)> {
    let mut outcomes: Vec<(u32, Outcome)> = forward
        .served()
        .map(|backend| {
            let own = backend.options.as_deref();
            let rewrite = own.and_then(|own| own.rewrite.as_ref());
            let rewrite = rewrite.or(forward.rewrite.as_ref());
            let literal = own.and_then(|own| header::host(&own.request_headers));
            let literal = header::host(&route.request_headers).or(literal);
            let outcome = Outcome::Forward {
                cluster: backend.cluster.to_string(),
                path: rewritten(edge, route, rewrite, request),
                host: match literal {
                    Some(host) => Some(host),
                    None => host(forward, request),
                },
            };
            (backend.weight, outcome)
        })
        .collect();
    if let Some(refused) = forward.refused() {
        let status = match refused.status {
            RefusedStatus::InternalServerError => 500,
            RefusedStatus::ServiceUnavailable => 503,
        };
        outcomes.push((refused.weight, Outcome::Answer(status, None)));
    }
    if outcomes.is_empty() {
        outcomes.push((1, Outcome::Answer(503, None)));
    }
    outcomes
}

fn host(forward: &Forward, request: &Request) -> Option<String> {
    let rewrite = forward.options.as_deref().and_then(|it| it.host.as_ref());
    match rewrite {
        Some(HostRewrite::Endpoint) => None,
        Some(HostRewrite::Header(name)) => {
            let value = request.header(name.as_str());
            let value = value.filter(|value| !value.is_empty());
            Some(value.unwrap_or_else(|| request.host.clone()))
        }
        None => Some(request.host.clone()),
    }
}

/// As Envoy puts it together: the port of the request goes where the redirect has one, and where it is the usual one of a
/// scheme that changes.
fn location(redirect: &Redirect, path: &str, request: &Request) -> String {
    let scheme = redirect.scheme.unwrap_or_else(|| request.scheme());
    let host = match &redirect.hostname {
        Some(host) => host.to_string(),
        None => {
            let (name, port) = split_host(&request.host);
            let proto = request.header(PROTO).unwrap_or_default();
            let usual = matches!((&*proto, port), ("https", ":443") | ("http", ":80"));
            let drops = redirect.port.is_some() || (scheme != proto && usual);
            match drops {
                true => name.to_owned(),
                false => request.host.clone(),
            }
        }
    };
    let port = redirect.port.map(|port| format!(":{port}"));
    let (own, query) = split(path);
    let query = match redirect.strip_query {
        true => "",
        false => query,
    };
    format!("{scheme}://{host}{}{own}{query}", port.unwrap_or_default())
}
