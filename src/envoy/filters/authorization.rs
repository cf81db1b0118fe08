//! Somebody else is asked.

use std::sync::Arc;

use envoy_types::pb::envoy::config::common::mutation_rules::v3 as mutation;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::http::header_mutation::v3 as header_mutation;
use envoy_types::pb::envoy::r#type::matcher::v3::{ListStringMatcher, StringMatcher};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::Any;
use prost::Name as _;

use super::super::encode::{bool_value, duration, nested};
use super::super::grpc_service::{grpc_service, guard_service};
use super::super::header::literal;
use super::super::http_filter::in_chain;
use super::super::string_matcher::{exact, regex};
use crate::model::{Authorization, Authorizer, Guard, HeaderName, HttpAuthorizer, Unanswered};

/// The name of the filter in its chain, and of what its route tells it.
pub(super) const NAME: &str = "isobath.authorization";

/// What Envoy wants in a URI whose address is the cluster's. Nobody sees it.
const NOWHERE: &str = "http://authorizer.invalid";

/// The filters: what the authorizer alone may say is taken from the client first.
pub(super) fn filters(
    authorization: &Authorization,
) -> impl Iterator<Item = core::TypedExtensionConfig> + use<> {
    let said = match &authorization.authorizer {
        // These say themselves what is removed.
        Authorizer::Grpc(_) | Authorizer::Guard(_) => &[][..],
        Authorizer::Http(http) => http.gives_to_backend(),
    };
    let removed = (!said.is_empty()).then(|| in_chain("isobath.said-by-authorizer", removal(said)));
    let asks = in_chain(NAME, filter(authorization));
    removed.into_iter().chain([asks])
}

fn removal(names: &[HeaderName]) -> header_mutation::HeaderMutation {
    let removed = names.iter().map(|name| mutation::HeaderMutation {
        action: Some(mutation::header_mutation::Action::Remove(name.to_string())),
    });
    header_mutation::HeaderMutation {
        mutations: Some(header_mutation::Mutations {
            request_mutations: removed.collect(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn filter(authorization: &Authorization) -> pb::ExtAuthz {
    let (services, sees) = match &authorization.authorizer {
        Authorizer::Grpc(grpc) => {
            let service = grpc_service(&grpc.cluster, authorization.timeout());
            let service = pb::ext_authz::Services::GrpcService(service);
            (service, grpc.sees.as_deref().map(names))
        }
        Authorizer::Guard(_) => {
            let service = guard_service(authorization.timeout());
            (pb::ext_authz::Services::GrpcService(service), None)
        }
        Authorizer::Http(http) => {
            let uri = core::HttpUri {
                uri: NOWHERE.to_owned(),
                timeout: duration(authorization.timeout()),
                http_upstream_type: Some(core::http_uri::HttpUpstreamType::Cluster(
                    http.cluster.to_string(),
                )),
            };
            let service = pb::ext_authz::Services::HttpService(http_service(http, uri));
            (service, some_names(&http.sees))
        }
    };
    let (passes, status) = match authorization.unanswered() {
        Unanswered::Passed => (true, None),
        Unanswered::Refused(status) => (false, Some(status)),
    };
    pb::ExtAuthz {
        services: Some(services),
        transport_api_version: core::ApiVersion::V3.into(),
        allowed_headers: sees,
        failure_mode_allow: passes,
        // Who asks the client for a certificate wants to know whose it is.
        include_peer_certificate: matches!(authorization.authorizer, Authorizer::Grpc(_)),
        status_on_error: status.map(|status| HttpStatus {
            code: status.into(),
        }),
        with_request_body: authorization.body.map(|body| pb::BufferSettings {
            max_request_bytes: body.max_bytes(),
            allow_partial_message: body.may_be_cut,
            pack_as_bytes: body.as_bytes,
        }),
        // A header that it may not write is an error, and no crash.
        validate_mutations: true,
        // By HTTP it writes what is listed. By gRPC it would write what chooses the table.
        decoder_header_mutation_rules: (!matches!(authorization.authorizer, Authorizer::Http(_)))
            .then(all_but_private),
        ..Default::default()
    }
}

/// What Envoy would let it write without any rule, but for private headers: those it leaves as they are.
fn all_but_private() -> mutation::HeaderMutationRules {
    mutation::HeaderMutationRules {
        allow_all_routing: bool_value(true),
        allow_envoy: bool_value(true),
        disallow_expression: Some(regex(&format!("^{}.*", HeaderName::PRIVATE))),
        ..Default::default()
    }
}

fn http_service(http: &HttpAuthorizer, uri: core::HttpUri) -> pb::HttpService {
    let told = http.told().iter().map(|(name, value)| core::HeaderValue {
        key: name.to_string(),
        // A format, as elsewhere (Envoy 1.40).
        value: literal(value),
        ..Default::default()
    });
    pb::HttpService {
        server_uri: Some(uri),
        path_prefix: http.prefix().unwrap_or_default().to_owned(),
        path_override: http.fixed().unwrap_or_default().to_owned(),
        authorization_request: Some(pb::AuthorizationRequest {
            headers_to_add: told.collect(),
            ..Default::default()
        }),
        authorization_response: Some(pb::AuthorizationResponse {
            allowed_upstream_headers: some_names(http.gives_to_backend()),
            allowed_client_headers: some_names(&http.gives_to_client),
            allowed_client_headers_on_success: some_names(&http.gives_on_success),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn some_names(list: &[HeaderName]) -> Option<ListStringMatcher> {
    (!list.is_empty()).then(|| names(list))
}

/// Envoy wants a pattern at least: no header has the name that is nothing.
fn names(list: &[HeaderName]) -> ListStringMatcher {
    let mut patterns: Vec<StringMatcher> = list.iter().map(|name| exact(name.as_str())).collect();
    if patterns.is_empty() {
        patterns.push(exact(""));
    }
    ListStringMatcher { patterns }
}

/// What the route tells, where it tells anything: `ExtAuthzPerRoute.check_settings.context_extensions`, entry by entry, as
/// the generated type is a hash map.
pub(super) fn of_route(authorization: &Authorization) -> Option<Any> {
    let guard = match &authorization.authorizer {
        Authorizer::Guard(guard) => Some((Arc::from(Guard::CONTEXT), Arc::from(guard.to_text()))),
        Authorizer::Grpc(_) | Authorizer::Http(_) => None,
    };
    let context = &authorization.context;
    let context = guard.iter().map(|(key, value)| (key, value)).chain(context);
    let entry = |(key, value): (&Arc<str>, &Arc<str>)| {
        let mut entry = nested(1, key.as_bytes());
        entry.extend(nested(2, value.as_bytes()));
        nested(1, &entry)
    };
    let settings: Vec<u8> = context.flat_map(entry).collect();
    (!settings.is_empty()).then(|| Any {
        type_url: pb::ExtAuthzPerRoute::type_url(),
        value: nested(2, &settings),
    })
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::r#type::v3::StatusCode;

    use crate::model::Rejection;

    /// Envoy refuses a whole table over a status that it does not list.
    #[test]
    fn statuses_are_those_that_envoy_lists() {
        for status in 0..1000_u16 {
            let is_listed = StatusCode::try_from(i32::from(status)).is_ok();
            let expected = is_listed && status >= 400;
            let found = Rejection::new(status, Vec::new()).is_ok();
            assert_eq!(found, expected, "{status}");
        }
    }
}
