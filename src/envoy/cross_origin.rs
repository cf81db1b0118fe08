//! CORS where no back end answers.
//!
//! Envoy's filter does nothing on routes that answer by themselves or redirect (1.40), so such a route has others before it:
//! for preflights, and for requests of an origin that is allowed. Their answers' headers are what the filter would add. What a
//! guard says of such a request has them not, as it has no header of such a route.

use envoy_types::pb::envoy::config::core::v3::HeaderValueOption;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::route::v3 as pb;
use pb::header_matcher::HeaderMatchSpecifier;
use pb::route::Action;

use super::direct_response::direct_response;
use super::header;
use super::route_match::exact_header;
use super::string_matcher::string_matcher;
use crate::model::{Cors, Origins};

const ORIGIN: &str = "origin";
const METHOD: &str = "access-control-request-method";

/// A route that comes before another.
pub(super) struct Variant {
    /// It.
    pub(super) route: pb::Route,
    /// Whether it answers preflights, which no guard is asked about.
    pub(super) is_preflight: bool,
}

/// What comes before a route with this policy: two for each pattern of an origin.
pub(super) fn variants(route: &pb::Route, cors: &Cors) -> Vec<Variant> {
    if !matches!(
        route.action,
        Some(Action::DirectResponse(_) | Action::Redirect(_))
    ) {
        return Vec::new();
    }
    let origins = match cors.origins() {
        Origins::All => vec![present(ORIGIN)],
        Origins::Like(patterns) => {
            let patterns = patterns.iter();
            patterns
                .map(|pattern| HeaderMatchSpecifier::StringMatch(string_matcher(pattern)))
                .map(|pattern| matcher(ORIGIN, pattern))
                .collect()
        }
    };
    let preflights = origins.iter().map(|origin| Variant {
        route: preflight(route, cors, origin.clone()),
        is_preflight: true,
    });
    let answers = origins.iter().map(|origin| Variant {
        route: answer(route, cors, origin.clone()),
        is_preflight: false,
    });
    preflights.chain(answers).collect()
}

fn preflight(route: &pb::Route, cors: &Cors, origin: pb::HeaderMatcher) -> pb::Route {
    let asked = [origin, exact_header(":method", "OPTIONS"), present(METHOD)];
    let age = cors.max_age.map(|age| age.as_secs().to_string());
    let lists = [
        ("access-control-allow-methods", cors.methods(), METHOD),
        (
            "access-control-allow-headers",
            cors.headers(),
            "access-control-request-headers",
        ),
    ];
    let lists = lists
        .into_iter()
        .filter_map(|(name, list, asked)| match list {
            "" => None,
            // All that is asked for, as the filter has it.
            "*" => Some(format_of(name, format!("%REQ({asked})%"))),
            list => Some(header::set(name, list)),
        });
    let private = cors.allows_private_network.then(|| {
        let asked = "%REQ(access-control-request-private-network)%".to_owned();
        format_of("access-control-allow-private-network", asked)
    });
    let age = age.map(|age| header::set("access-control-max-age", &age));
    let headers = common(cors).chain(lists).chain(age).chain(private);
    pb::Route {
        r#match: route.r#match.clone().map(|it| with(it, asked)),
        action: Some(direct_response(200, None)),
        name: route.name.clone(),
        response_headers_to_add: headers.collect(),
        ..Default::default()
    }
}

fn answer(route: &pb::Route, cors: &Cors, origin: pb::HeaderMatcher) -> pb::Route {
    let exposed = cors.exposed();
    let exposed =
        (!exposed.is_empty()).then(|| header::set("access-control-expose-headers", exposed));
    let own = route.response_headers_to_add.iter().cloned();
    pb::Route {
        r#match: route.r#match.clone().map(|it| with(it, [origin])),
        response_headers_to_add: own.chain(common(cors)).chain(exposed).collect(),
        ..route.clone()
    }
}

/// What both kinds of answers say.
fn common(cors: &Cors) -> impl Iterator<Item = HeaderValueOption> + use<> {
    let origin = format_of("access-control-allow-origin", "%REQ(ORIGIN)%".to_owned());
    let credentials = cors
        .allows_credentials
        .then(|| header::set("access-control-allow-credentials", "true"));
    [origin].into_iter().chain(credentials)
}

fn format_of(name: &str, format: String) -> HeaderValueOption {
    header::formatted(name, format, HeaderAppendAction::OverwriteIfExistsOrAdd)
}

fn with<const N: usize>(matches: pb::RouteMatch, more: [pb::HeaderMatcher; N]) -> pb::RouteMatch {
    let mut headers = matches.headers;
    headers.extend(more);
    pb::RouteMatch { headers, ..matches }
}

fn present(name: &str) -> pb::HeaderMatcher {
    matcher(name, HeaderMatchSpecifier::PresentMatch(true))
}

fn matcher(name: &str, specifier: HeaderMatchSpecifier) -> pb::HeaderMatcher {
    pb::HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(specifier),
        ..Default::default()
    }
}
