//! What is asked for, as people write it: on the command line, and in the query of a page.

use std::net::IpAddr;

use crate::build::explain::Question;
use crate::envoy::request::{Request, split_host};

/// A request, without its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// Headers, each as `NAME: VALUE`.
    pub headers: Vec<String>,
    /// The name that the client asks for in TLS; without it the URL's host.
    pub sni: Option<String>,
    /// The address of the client.
    pub from: Option<IpAddr>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            method: "GET".to_owned(),
            headers: Vec::new(),
            sni: None,
            from: None,
        }
    }
}

/// What a URL asks for, in full.
///
/// # Errors
///
/// One sentence, where it is no URL, or something else is not what it has to be.
pub fn question(url: &str, asked: &Asked) -> Result<Question, String> {
    let (tls, rest) = match url.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        _ => return Err(format!("{url:?} is no URL of http:// or https://")),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if host.is_empty() || host.contains('@') {
        return Err(format!(
            "{url:?} has no host, or a name and password that are no part of a request"
        ));
    }
    let mut request = Request {
        tls,
        method: asked.method.clone(),
        host: host.to_owned(),
        path: match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{path}"),
        },
        headers: Vec::new(),
    };
    let (name, _) = split_host(host);
    let server_name = asked.sni.clone().unwrap_or_else(|| name.to_owned());
    for header in &asked.headers {
        let Some((name, value)) = header.split_once(':') else {
            return Err(format!("the header {header:?} is no NAME: VALUE"));
        };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        match &*name {
            "host" => request.host = value.to_owned(),
            _ => request.headers.push((name, value.to_owned())),
        }
    }
    // An address is no name, and no client asks for one in TLS.
    let is_name = server_name.parse::<std::net::IpAddr>().is_err() && !server_name.starts_with('[');
    Ok(Question {
        request,
        server_name: (tls && is_name).then_some(server_name),
        from: asked.from,
    })
}

/// The query of a page that asks for it.
#[must_use]
pub fn query(url: &str, asked: &Asked, output: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("url", url);
    query.append_pair("method", &asked.method);
    for header in &asked.headers {
        query.append_pair("header", header);
    }
    if let Some(sni) = &asked.sni {
        query.append_pair("sni", sni);
    }
    if let Some(from) = asked.from {
        query.append_pair("from", &from.to_string());
    }
    query.append_pair("output", output);
    query.finish()
}

/// What the parameters of such a query ask for: the URL, the question, and whether the answer is to be JSON.
///
/// # Errors
///
/// One sentence, where a parameter is unknown or none, or is not what it has to be.
pub fn of_query(query: &[(String, String)]) -> Result<(String, Question, bool), String> {
    let (mut url, mut asked, mut is_json) = (None, Asked::default(), false);
    for (name, value) in query {
        match &**name {
            "url" => url = Some(value.clone()),
            "method" => asked.method.clone_from(value),
            "header" => asked.headers.push(value.clone()),
            "sni" => asked.sni = Some(value.clone()),
            "from" => {
                let address = value.parse();
                asked.from =
                    Some(address.map_err(|_| format!("from: {value:?} is no IP address"))?);
            }
            "output" => {
                is_json = match &**value {
                    "text" => false,
                    "json" => true,
                    other => return Err(format!("output: {other:?} is neither text nor json")),
                };
            }
            other => {
                return Err(format!(
                    "there is no parameter {other}: url, method, header, sni, from and output are known"
                ));
            }
        }
    }
    let url = url.ok_or("name a URL: ?url=http://a.example/path")?;
    let question = question(&url, &asked)?;
    Ok((url, question, is_json))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_query_asks_for_what_was_asked() {
        let url = "https://a.example:8443/a b?c=d&e=%2F#f";
        let asked = Asked {
            method: "PUT".to_owned(),
            headers: vec!["X-A: 1=2&3".to_owned(), "x-a: ü".to_owned()],
            sni: Some("b.example".to_owned()),
            from: Some("2001:db8::1".parse().unwrap()),
        };
        let query = query(url, &asked, "json");
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let (same, read, is_json) = of_query(&pairs).unwrap();
        let meant = question(url, &asked).unwrap();
        assert_eq!(format!("{read:?}"), format!("{meant:?}"));
        assert!(is_json && same == url);
        assert_eq!(meant.from, asked.from);
        assert_eq!(meant.request.headers.len(), 2);
    }

    #[test]
    fn a_query_that_asks_for_nothing_is_told_so() {
        for (query, says) in [
            ("", "name a URL"),
            ("url=a.example", "is no URL of http"),
            ("url=http://a&x=1", "there is no parameter x"),
            ("url=http://a&from=b", "is no IP address"),
            ("url=http://a&output=xml", "neither text nor json"),
            ("url=http://a&header=b", "is no NAME: VALUE"),
        ] {
            let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect();
            let error = of_query(&pairs).unwrap_err();
            assert!(error.contains(says), "{query}: {error}");
        }
    }
}
