//! Words for what is served, for whoever explains it to people. Nothing is decided here.

use crate::model::{
    Authorization, Authorizer, GrpcAuthorizer, HeaderPredicate, HttpAuthorizer, PathMatch,
    QueryPredicate, RouteMatch, Scheme, StringMatch,
};

/// A path that routes ask for.
pub fn path(path: &PathMatch) -> String {
    let text = path.text();
    match path {
        PathMatch::Exact(_) => format!("the path {text}"),
        PathMatch::PathPrefix(_) => format!("{text} and below"),
        PathMatch::StringPrefix(_) => format!("what begins with {text}"),
        PathMatch::Regex(_) => format!("the expression {text}"),
        PathMatch::RegexPrefix(_) => format!("the expression {text} at the beginning"),
        PathMatch::Connect => "CONNECT".to_owned(),
    }
}

/// All that a route asks for.
pub fn matches(matches: &RouteMatch) -> String {
    let mut says = vec![path(&matches.path)];
    match matches.scheme {
        None => {}
        Some(Scheme::Http) => says.push("asked for by HTTP".to_owned()),
        Some(Scheme::Https) => says.push("asked for by HTTPS".to_owned()),
    }
    for header in matches.headers() {
        let name = header.name.as_str();
        says.push(match &header.value {
            HeaderPredicate::Present => format!("with {name}"),
            HeaderPredicate::Absent => format!("without {name}"),
            HeaderPredicate::Is(text) => {
                let not = if text.negated { "not " } else { "" };
                let empty = match text.missing_is_empty {
                    true => " (missing is empty)",
                    false => "",
                };
                format!("{name} {not}{}{empty}", string(&text.pattern))
            }
        });
    }
    for query in matches.query() {
        let name = &query.name;
        says.push(match &query.value {
            QueryPredicate::Present => format!("with ?{name}"),
            QueryPredicate::Absent => format!("without ?{name}"),
            QueryPredicate::Is(pattern) => format!("?{name} {}", string(pattern)),
        });
    }
    if matches.is_grpc() {
        says.push("gRPC".to_owned());
    }
    says.join(", ")
}

fn string(pattern: &StringMatch) -> String {
    let (says, text) = match pattern {
        StringMatch::Regex(expression) => return format!("as {}", expression.as_str()),
        StringMatch::Exact(text) => ("=", text),
        StringMatch::Prefix(text) => ("begins with", text),
        StringMatch::Suffix(text) => ("ends with", text),
        StringMatch::Contains(text) => ("contains", text),
    };
    let case = match text.ignores_case() {
        true => " in any case",
        false => "",
    };
    format!("{says} {}{case}", text.as_str())
}

/// Who answers before, and for what.
pub fn authorization(asked: &Authorization) -> Vec<String> {
    let guard = match &asked.authorizer {
        Authorizer::Guard(guard) => guard,
        Authorizer::Grpc(GrpcAuthorizer { cluster, .. })
        | Authorizer::Http(HttpAuthorizer { cluster, .. }) => {
            return vec![format!(
                "401 or 403 as the authorization service {cluster} says"
            )];
        }
    };
    let mut says = Vec::new();
    if let Some(addresses) = &guard.any {
        let ranges = addresses.allow.join(", ");
        let ranges = if ranges.is_empty() { "none" } else { &ranges };
        says.push(format!(
            "one of what follows is enough, or an address of these: {ranges}"
        ));
    }
    if let Some(basic) = &guard.basic {
        says.push(format!("401 without a password of {}", basic.credentials));
    }
    if let Some(subrequest) = &guard.subrequest {
        let url = &subrequest.url;
        says.push(match &subrequest.sign_in {
            None => format!("401 or 403 as {url} says, and 500 where it says neither that nor yes"),
            Some(sign_in) => format!(
                "302 to {} or 403 as {url} says, and 500 where it says neither that nor yes",
                sign_in.url
            ),
        });
    }
    says
}
