//! The CORS filter.

use std::time::Duration;

use crate::model::{Cors, Origins, StringMatch};
use crate::objects::gateway_api::CorsFilter;

/// The filter as the model has it.
///
/// # Errors
///
/// One sentence on what is no origin, method or header.
pub fn cors(filter: &CorsFilter) -> Result<Cors, String> {
    let is_all = filter.origins.iter().any(|origin| &**origin == "*");
    let origins = match is_all {
        true => Origins::All,
        false => {
            let patterns = filter.origins.iter().map(|origin| patterns(origin));
            let patterns = patterns.collect::<Result<Vec<_>, _>>()?;
            Origins::Like(patterns.into_iter().flatten().collect())
        }
    };
    let mut cors = Cors::new(
        origins,
        filter.methods.iter().map(|it| &**it),
        filter.headers.iter().map(|it| &**it),
        filter.exposed.iter().map(|it| &**it),
    )?;
    cors.max_age = Some(Duration::from_secs(filter.max_age.into()));
    cors.allows_credentials = filter.credentials;
    Ok(cors)
}

/// What takes an origin: with its scheme's own port it is the same one.
fn patterns(origin: &str) -> Result<Vec<StringMatch>, String> {
    let Some((scheme, rest)) = origin.split_once("://") else {
        return Err(format!("{origin:?} is no origin: it has no scheme"));
    };
    let own_port = match scheme {
        "http" => Some("80"),
        "https" => Some("443"),
        _ => None,
    };
    let mut spellings = vec![origin.to_owned()];
    match (rest.rsplit_once(':'), own_port) {
        (None, Some(own)) => spellings.push(format!("{origin}:{own}")),
        (Some((host, port)), Some(own)) if port == own => {
            spellings.push(format!("{scheme}://{host}"));
        }
        _ => {}
    }
    let pattern = |spelling: String| match spelling.contains('*') {
        false => Ok(StringMatch::exact(&spelling)),
        // A wildcard is of any depth, and takes nothing but a part of a host.
        true => {
            StringMatch::regex(&regex_syntax::escape(&spelling).replace(r"\*", "[-A-Za-z0-9._]+"))
        }
    };
    spellings.into_iter().map(pattern).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_origin_is_taken_with_its_own_port() {
        let takes = |pattern: &str, origin: &str| {
            let patterns = patterns(pattern).unwrap();
            patterns.iter().any(|it| it.matches(origin))
        };
        for (pattern, origin, expected) in [
            ("https://a.test", "https://a.test", true),
            ("https://a.test", "https://a.test:443", true),
            ("https://a.test", "https://a.test:8443", false),
            ("https://a.test:443", "https://a.test", true),
            ("https://a.test", "http://a.test", false),
            ("https://*.test", "https://b.a.test", true),
            ("https://*.test", "https://test", false),
            ("https://*.test", "https://a.test.example", false),
            ("https://*.a.test", "https://baa.test", false),
            ("https://*.test", "https://evil/.test", false),
            ("https://*", "https://a.test", true),
        ] {
            assert_eq!(takes(pattern, origin), expected, "{pattern} {origin}");
        }
        assert!(patterns("a.test").is_err());
    }
}
