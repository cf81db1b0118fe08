//! What the filters of routes and of hosts cost.

use crate::model::{
    AddressRules, Authorization, Authorizer, Compression, Cors, DescriptorValue, ErrorPages,
    Filters, GlobalRateLimit, HostFilters, JwtKeys, JwtProvider, JwtRequirement, LocalRateLimit,
    Origins, Page, RequestKey, RouteTracing, StringMatch, TokenSource, TraceTag, TraceValue,
};

use super::unit::{FILTER, NAME, as_cost, expression, of_change, of_header, of_texts, text_cost};

/// A range of addresses.
const RANGE: u64 = 300;
/// A header that is matched in a filter, beside its text and its program.
const MATCHER: u64 = 400;

/// What the filters of a route cost, in each route of Envoy that it is. The pages of back ends are [`super::forward::of_pages`].
pub fn of_filters(filters: &Filters) -> u64 {
    let Filters {
        is_not_logged,
        tracing,
        operation,
        cors,
        local_rate_limits,
        addresses,
        client_subject,
        ignores_host,
        jwt,
        max_body,
        authorization,
        global_rate_limit,
        ignores_global_limit,
        error_pages,
        grpc_web,
        compression,
        request_headers,
        response_headers,
    } = filters;
    let few = [
        *is_not_logged,
        *ignores_host,
        *ignores_global_limit,
        max_body.is_some(),
        *grpc_web,
    ];
    let few = as_cost(few.into_iter().filter(|has| *has).count());
    let limits: u64 = local_rate_limits.iter().map(of_limit).sum();
    let changes = request_headers.iter().chain(response_headers);
    let changes: u64 = changes.map(of_change).sum();
    few * FILTER
        + tracing.as_ref().map_or(0, of_tracing)
        + of_texts(operation.as_deref())
        + cors.as_ref().map_or(0, of_cors)
        + limits
        + addresses.as_ref().map_or(0, of_addresses)
        + client_subject.as_ref().map_or(0, |it| {
            FILTER + MATCHER + text_cost(it.as_str().len()) + expression(it)
        })
        + jwt.as_ref().map_or(0, of_requirement)
        + authorization.as_ref().map_or(0, of_authorization)
        + global_rate_limit.as_ref().map_or(0, of_global)
        + error_pages.as_ref().map_or(0, of_error_pages)
        + compression.as_ref().map_or(0, of_compression)
        + changes
}

fn of_tracing(tracing: &RouteTracing) -> u64 {
    let tags = tracing.tags.iter().map(|tag: &TraceTag| {
        let value = match tag.value() {
            TraceValue::Literal(text) => text,
            TraceValue::Header(name) => name.as_str(),
        };
        of_texts([tag.name(), value])
    });
    NAME + tags.sum::<u64>()
}

fn of_addresses(rules: &AddressRules) -> u64 {
    let ranges = rules.denied().len() + rules.allowed().map_or(0, <[_]>::len);
    FILTER + RANGE * as_cost(ranges)
}

fn of_requirement(required: &JwtRequirement) -> u64 {
    FILTER + of_texts(required.providers.iter().map(|name| &**name))
}

/// A compressor for each algorithm, with all of the types.
fn of_compression(compression: &Compression) -> u64 {
    let types = of_texts(compression.content_types().iter().map(|it| &**it));
    let each = FILTER.saturating_add(types);
    each.saturating_mul(as_cost(compression.algorithms().len()))
}

/// The filter, with what is kept for it.
fn of_error_pages(pages: &ErrorPages) -> u64 {
    let each = pages.iter().map(|(page, statuses)| {
        let said = match page {
            Page::Literal(page) => of_texts([page.body(), page.content_type()]),
            // Three headers find it.
            Page::Backend(page) => {
                let told: u64 = page.told.iter().map(of_change).sum();
                3 * NAME + told
            }
        };
        MATCHER * as_cost(statuses.count() + 1) + said
    });
    2 * FILTER + each.sum::<u64>()
}

/// What it costs a route that somebody is asked about its requests.
pub fn of_authorization(asked: &Authorization) -> u64 {
    let context = asked.context.iter();
    let texts = context.flat_map(|(key, value)| [&**key, &**value]);
    let names = |names: &[crate::model::HeaderName]| of_texts(names.iter().map(|it| it.as_str()));
    let told = match &asked.authorizer {
        Authorizer::Grpc(grpc) => grpc.sees.as_deref().map_or(0, names),
        Authorizer::Guard(guard) => text_cost(guard.to_text().len()),
        Authorizer::Http(http) => {
            let told = http.told().iter();
            let told = told.flat_map(|(name, value)| [name.as_str(), &**value]);
            let paths = [http.prefix(), http.fixed()].into_iter().flatten();
            of_texts(told.chain(paths))
                + names(&http.sees)
                // Taken from clients by one filter, and let through by the other.
                + 2 * names(http.gives_to_backend())
                + names(&http.gives_to_client)
                + names(&http.gives_on_success)
        }
    };
    FILTER + of_texts(texts.chain(asked.cluster().map(|it| &**it))) + told
}

/// What it costs a route that its requests must bring a token of one provider.
pub fn of_token(provider: &str) -> u64 {
    FILTER + of_texts([provider])
}

/// What the filters of a host cost.
pub fn of_host_filters(filters: &HostFilters) -> u64 {
    let HostFilters {
        local_rate_limits,
        jwt_providers,
        global_rate_limit,
    } = filters;
    let limits: u64 = local_rate_limits.iter().map(of_limit).sum();
    let global = global_rate_limit.as_ref().map_or(0, of_global);
    let providers = jwt_providers.iter();
    let providers = providers.map(|(name, it)| text_cost(name.len()) + of_provider(it));
    limits + global + providers.sum::<u64>()
}

fn of_provider(provider: &JwtProvider) -> u64 {
    let keys = match &provider.keys {
        JwtKeys::Inline(keys) => keys.as_str(),
        JwtKeys::Remote(keys) => keys.uri(),
    };
    let audiences = provider.audiences.iter().map(|it| &**it);
    let sources = provider.sources.iter().map(|source| match source {
        TokenSource::Header(name) | TokenSource::Bearer(name) => name.as_str(),
        TokenSource::Parameter(name) | TokenSource::Cookie(name) => name,
    });
    let claims = provider.claims().iter();
    let claims = claims.flat_map(|(claim, name)| [claim.as_str(), name.as_str()]);
    let issuer = provider.issuer.as_deref();
    let texts = audiences.chain(sources).chain(claims).chain(issuer);
    FILTER + of_texts(texts.chain([keys]))
}

fn of_cors(cors: &Cors) -> u64 {
    let origins = match cors.origins() {
        Origins::All => 0,
        Origins::Like(patterns) => patterns
            .iter()
            .map(|pattern| {
                let program = match pattern {
                    StringMatch::Regex(text) => expression(text),
                    _ => 0,
                };
                NAME + text_cost(pattern.text().len()) + program
            })
            .sum(),
    };
    let lists = cors.methods().len() + cors.headers().len() + cors.exposed().len();
    FILTER + origins + text_cost(lists)
}

fn of_limit(limit: &LocalRateLimit) -> u64 {
    let headers = limit.rejection.headers().iter();
    let keys = limit.keys.iter().map(|key| match key {
        RequestKey::ClientAddress => "",
        RequestKey::Header(name) => name.as_str(),
    });
    // Each stands in the action and in the descriptor.
    let keys = 2 * of_texts(keys);
    FILTER
        + keys
        + RANGE * as_cost(limit.exempt.len())
        + of_texts(headers.flat_map(|(name, value)| [name.as_str(), &**value]))
}

fn of_global(limit: &GlobalRateLimit) -> u64 {
    let entries = limit.descriptors().iter().flat_map(|it| it.entries());
    let entries = entries.map(|entry| {
        let (value, headers) = match entry.value() {
            DescriptorValue::Matching { headers, value, .. } => (value.len(), &headers[..]),
            DescriptorValue::Fixed(value) | DescriptorValue::Query(value) => (value.len(), &[][..]),
            DescriptorValue::Header(name) => (name.as_str().len(), &[][..]),
            DescriptorValue::ClientAddress
            | DescriptorValue::ClientRange { .. }
            | DescriptorValue::Path => (0, &[][..]),
        };
        let headers = headers.iter().map(|header| MATCHER + of_header(header));
        NAME + text_cost(entry.key().len() + value) + headers.sum::<u64>()
    });
    FILTER + entries.sum::<u64>()
}
