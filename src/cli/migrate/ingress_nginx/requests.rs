//! What is asked: a list of URLs, or an access log.

use http::Uri;

/// A request that is asked of both sides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// Whether by TLS.
    pub is_https: bool,
    /// The host, with its port if it was written.
    pub host: String,
    /// Path and query.
    pub path: String,
}

/// Longest line that is read.
const LONGEST: usize = 16_384;

/// Reads one line: `[METHOD] URL`, or a line of an access log with `"METHOD PATH HTTP/1.1"` in it, whose host is `host`; as JSON with
/// `method` (or `request_method`), `path` (`request_uri`, `uri`, `url`), and `host` (`vhost`, `http_host`). `None` for an empty line, and a comment.
///
/// # Errors
///
/// One sentence where it is none of these.
pub fn read(line: &str, host: Option<&str>) -> Result<Option<Asked>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    if line.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    if line.starts_with('{') {
        return of_json(line, host).map(Some);
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let (method, target) = match words[..] {
        [url] => ("GET", url),
        [method, url] if is_method(method) => (method, url),
        _ => {
            let requests = line.split('"').filter_map(|quoted| {
                match quoted.split(' ').collect::<Vec<_>>()[..] {
                    [method, target, version]
                        if is_method(method) && version.starts_with("HTTP/") =>
                    {
                        Some((method, target))
                    }
                    _ => None,
                }
            });
            let found = requests.into_iter().next();
            found.ok_or(
                r#"it is neither a URL nor a line of an access log ("GET /path HTTP/1.1")"#,
            )?
        }
    };
    asked(method, target, host, false).map(Some)
}

fn is_method(word: &str) -> bool {
    !word.is_empty() && word.len() <= 16 && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn of_json(line: &str, host: Option<&str>) -> Result<Asked, String> {
    let value: serde_json::Value =
        serde_json::from_str(line).map_err(|_| "it begins as JSON and is none".to_owned())?;
    let first = |keys: &[&str]| keys.iter().find_map(|key| value.get(key)?.as_str());
    let method = first(&["method", "request_method"]).unwrap_or("GET");
    let path = first(&["request_uri", "path", "uri", "url"])
        .ok_or("it has neither request_uri nor path, uri or url")?;
    let own = first(&["host", "http_host", "vhost", "server_name"]);
    let scheme = first(&["scheme", "x-forwarded-proto"]);
    if !is_method(method) {
        return Err("its method is none".to_owned());
    }
    asked(method, path, own.or(host), scheme == Some("https"))
}

fn asked(method: &str, target: &str, host: Option<&str>, is_https: bool) -> Result<Asked, String> {
    let uri: Uri = target
        .parse()
        .map_err(|_| "its URL can't be read".to_owned())?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let (host, is_https) = match (uri.scheme_str(), uri.authority()) {
        (Some(scheme @ ("http" | "https")), Some(authority)) => {
            (authority.as_str().to_owned(), scheme == "https")
        }
        (None, None) => {
            let host = host.ok_or("it names no host: --replay-host says which")?;
            (host.to_owned(), is_https)
        }
        _ => return Err("its URL is neither http:// nor https://".to_owned()),
    };
    if host.contains('@') || !path.starts_with('/') {
        return Err("its URL can't be asked for".to_owned());
    }
    Ok(Asked {
        method: method.to_owned(),
        is_https,
        host,
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]

    use super::*;

    #[test]
    fn lines_are_requests() {
        for (line, expected) in [
            ("https://a.test/x?y=1", Some("GET true a.test /x?y=1")),
            ("HEAD http://a.test:8080", Some("HEAD false a.test:8080 /")),
            (
                r#"10.0.0.1 - - [30/Nov/2026:22:00:00 +0000] "GET /p?q=1 HTTP/1.1" 200 5 "-" "curl" 80 0.1 [ns-web-80] [] 10.0.0.2:80 5 0.1 200 id"#,
                Some("GET false log.test /p?q=1"),
            ),
            (
                r#"{"request_method": "POST", "request_uri": "/p", "http_host": "b.test", "scheme": "https"}"#,
                Some("POST true b.test /p"),
            ),
            (r#"{"path": "/p"}"#, Some("GET false log.test /p")),
            ("# comment", None),
            ("", None),
        ] {
            let found = read(line, Some("log.test"))
                .expect(line)
                .map(|it| format!("{} {} {} {}", it.method, it.is_https, it.host, it.path));
            assert_eq!(found.as_deref(), expected, "{line}");
        }
        for wrong in [
            "ftp://a.test/x",
            "nothing of the kind here",
            "{",
            "https://u:p@a.test/",
            "/p",
            r#"{"method": "GET"}"#,
        ] {
            assert!(read(wrong, None).is_err(), "{wrong}");
        }
    }
}
