//! Texts with the values of a request in the place of their variables.

use std::fmt::Write as _;

use crate::model::{RequestText, RequestTextPart, RequestVariable};

use super::request::Request;

/// Longest text that comes of one, in bytes.
const LONGEST: usize = 16 * 1024;

/// The text for this request; `None` where it is too long, or where a value has what no text of HTTP may have.
pub fn expand(text: &RequestText, request: &Request) -> Option<String> {
    let mut expanded = String::new();
    for part in text.parts() {
        match part {
            RequestTextPart::Literal(text) => expanded.push_str(text),
            RequestTextPart::Variable(variable) => value(variable, request, &mut expanded),
        }
        if expanded.len() > LONGEST {
            return None;
        }
    }
    let is_text = expanded.bytes().all(|byte| byte >= 0x20 && byte != 0x7f);
    is_text.then_some(expanded)
}

/// The same as a part of a URL: what can't stand in one is encoded.
pub fn expand_url(text: &RequestText, request: &Request) -> Option<String> {
    let expanded = expand(text, request)?;
    let mut url = String::with_capacity(expanded.len());
    for byte in expanded.bytes() {
        match byte {
            b'!'..=b'~' if !b"\"<>\\^`{|}#".contains(&byte) => url.push(char::from(byte)),
            // Writing to a String can't fail.
            _ => _ = write!(url, "%{byte:02X}"),
        }
    }
    Some(url)
}

fn value(variable: &RequestVariable, request: &Request, to: &mut String) {
    let found = match variable {
        RequestVariable::Host => return to.push_str(&request.name()),
        RequestVariable::EscapedRequestUri => return to.push_str(&escaped(&request.path)),
        RequestVariable::RemoteAddress => {
            if let Some(client) = request.client {
                to.push_str(&client.to_string());
            }
            return;
        }
        RequestVariable::RemoteUser => {
            let name = request.credentials().map(|(name, _)| name);
            return to.push_str(&name.unwrap_or_default());
        }
        RequestVariable::Header(name) => request.header(&name.replace('_', "-")),
        RequestVariable::HttpHost => Some(&*request.host),
        RequestVariable::Scheme => Some(request.scheme),
        RequestVariable::RequestUri => Some(&*request.path),
        RequestVariable::Uri => Some(request.path_and_query().0),
        RequestVariable::Args => Some(request.path_and_query().1),
        RequestVariable::RequestMethod => Some(&*request.method),
        RequestVariable::Cookie(name) => request.cookie(name),
        RequestVariable::Argument(name) => request.argument(name),
    };
    to.push_str(found.unwrap_or_default());
}

/// As a component of a query.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            // Writing to a String can't fail.
            _ => _ = write!(escaped, "%{byte:02X}"),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::request::tests::request;
    use super::*;

    #[test]
    fn variables_have_the_values_of_the_request() {
        let headers = [
            ("x-a", "b c"),
            ("cookie", "s=1"),
            ("authorization", "Basic YTpi"),
        ];
        let asked = request("A.test:8080", "/x?q=1&r=%2F", &headers);
        for (text, expected) in [
            ("/check", "/check"),
            (
                "$scheme://$http_host$request_uri",
                "http://A.test:8080/x?q=1&r=%2F",
            ),
            ("$host|$uri|$args", "a.test|/x|q=1&r=%2F"),
            ("rd=$escaped_request_uri", "rd=%2Fx%3Fq%3D1%26r%3D%252F"),
            (
                "$request_method $remote_addr $remote_user",
                "GET 192.0.2.7 a",
            ),
            ("${http_x_a}-${http_none}-$cookie_s-$arg_q", "b c--1-1"),
        ] {
            let text = RequestText::new(text).unwrap();
            assert_eq!(expand(&text, &asked).as_deref(), Some(expected));
        }
        let url = RequestText::new("http://h/$http_x_a").unwrap();
        assert_eq!(expand_url(&url, &asked).as_deref(), Some("http://h/b%20c"));
        let split = request("a.test", "/", &[("x-a", "b\r\nx: y")]);
        assert_eq!(expand(&url, &split), None);
        let long = request("a.test", "/", &[("x-a", &"x".repeat(LONGEST))]);
        assert_eq!(expand(&url, &long), None);
    }
}
