//! What filters, answers and what few routes ask for cost.

use crate::model::{
    AttributeRewrite, Authorization, Authorizer, CookieRewrites, Cors, DescriptorValue,
    DirectResponse, Filters, Forward, ForwardOptions, GlobalRateLimit, HashKey, HeaderChange,
    HeaderPart, HealthCheck, HostFilters, HostRewrite, LocalRateLimit, Origins, Question,
    StringMatch,
};

use super::unit::{
    HEADER, NAME, as_cost, expression, of_header, of_headers, of_rewrite, text_cost,
};

/// A filter of a route, beside its texts: it is an object of Envoy's for each route that has it.
const FILTER: u64 = 2000;
/// A range of addresses.
const RANGE: u64 = 300;
/// A header that is matched in a filter, beside its text and its program.
const MATCHER: u64 = 400;

/// What the filters of a route cost.
pub fn of_filters(filters: &Filters) -> u64 {
    let cors = filters.cors.as_ref().map_or(0, of_cors);
    let limits: u64 = filters.local_rate_limits.iter().map(of_limit).sum();
    let addresses = filters.addresses.as_ref().map_or(0, |rules| {
        let ranges = rules.denied().len() + rules.allowed().map_or(0, <[_]>::len);
        FILTER + RANGE * as_cost(ranges)
    });
    let tokens = filters.jwt.as_ref().map_or(0, |it| {
        FILTER + of_texts(it.providers.iter().map(|name| &**name))
    });
    let authorization = filters.authorization.as_ref().map_or(0, of_authorization);
    let global = filters.global_rate_limit.as_ref().map_or(0, of_global);
    let few = [
        filters.max_body.is_some(),
        filters.grpc_web,
        filters.compression.is_some(),
    ];
    let few = as_cost(few.into_iter().filter(|has| *has).count());
    let changes = filters
        .request_headers
        .iter()
        .chain(&filters.response_headers);
    let changes: u64 = changes.map(of_change).sum();
    global + cors + limits + addresses + tokens + authorization + few * FILTER + changes
}

/// What it costs a route that somebody is asked about its requests.
pub fn of_authorization(asked: &Authorization) -> u64 {
    let context = asked.context.iter();
    let texts = context.flat_map(|(key, value)| [&**key, &**value]);
    let told = match &asked.authorizer {
        Authorizer::Grpc(_) => 0,
        Authorizer::Http(http) => {
            let told = http.told().iter().map(|(_, value)| &**value);
            of_texts(told) + NAME * as_cost(http.sees.len())
        }
    };
    FILTER + of_texts(texts) + told
}

/// What it costs a route that its requests must bring a token of one provider.
pub fn of_token(provider: &str) -> u64 {
    FILTER + of_texts([provider])
}

/// What names and values in a filter cost.
pub fn of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    let texts = texts.into_iter();
    texts.map(|text| NAME + text_cost(text.len())).sum()
}

/// What the filters of a host cost.
pub fn of_host_filters(filters: &HostFilters) -> u64 {
    let limits: u64 = filters.local_rate_limits.iter().map(of_limit).sum();
    let providers = filters.jwt_providers.iter();
    let providers = providers.map(|(name, provider)| {
        let audiences = provider.audiences.iter().map(|it| &**it);
        FILTER + text_cost(name.len()) + of_texts(audiences)
    });
    let global = filters.global_rate_limit.as_ref().map_or(0, of_global);
    limits + global + providers.sum::<u64>()
}

/// What an answer costs.
pub fn of_answer(answer: &DirectResponse) -> u64 {
    text_cost(answer.body().map_or(0, str::len))
}

/// What it costs that each endpoint of a cluster is asked whether it is well.
pub fn health_check(check: &HealthCheck) -> u64 {
    /// A range of statuses.
    const STATUSES: u64 = 60;
    match &check.question {
        Question::Tcp => NAME,
        Question::Grpc(service) => NAME + text_cost(service.len()),
        Question::Http(question) => {
            let texts = question.path().len() + question.host().map_or(0, str::len);
            NAME + text_cost(texts) + STATUSES * as_cost(question.statuses().len())
        }
    }
}

/// What shares and what few routes ask for cost, besides the clusters' names.
pub fn of_forward(forward: &Forward) -> u64 {
    let shares = forward.backends.iter();
    let shares = shares.filter_map(|share| share.options.as_ref());
    let shares = shares.map(|options| {
        let headers = of_headers(&options.request_headers) + of_headers(&options.response_headers);
        let cookies = of_cookies(&options.cookie_rewrites);
        let added = options
            .added_request_headers
            .iter()
            .chain(&options.added_response_headers);
        let added: u64 = added.map(of_change).sum();
        let rewrite = options.rewrite.as_ref().map_or(0, of_rewrite);
        let mirrors = of_texts(options.mirrors.iter().map(|mirror| &*mirror.cluster));
        NAME + added + text_cost(headers + rewrite) + mirrors + cookies
    });
    let options = forward.options.as_ref().map_or(0, |it| of_options(it));
    let retry = forward.retry.as_ref().map_or(0, |retry| {
        NAME * as_cost(retry.status_codes.len() + retry.retry_on.len())
    });
    shares.sum::<u64>() + options + retry
}

fn of_options(options: &ForwardOptions) -> u64 {
    let mirrors = of_texts(options.mirrors.iter().map(|mirror| &*mirror.cluster));
    let cookies = of_cookies(&options.cookie_rewrites);
    let hashed = of_texts(
        options
            .hash_policies
            .iter()
            .map(|policy| match &policy.key {
                HashKey::SourceIp => "",
                HashKey::Header(name) => name.as_str(),
                HashKey::Query(name) => name,
                HashKey::Cookie(cookie) => cookie.name(),
            }),
    );
    let host = options.host.as_ref().map_or(0, |host| match host {
        HostRewrite::Header(name) => NAME + text_cost(name.as_str().len()),
        HostRewrite::Endpoint => NAME,
    });
    let upgrades = NAME * as_cost(options.upgrades.len());
    // What keeps beside a request what finds its routes, and two headers that its back ends are sent.
    let followed = options.internal_redirects.as_ref();
    let followed = followed.map_or(0, |_| FILTER + 2 * HEADER);
    mirrors + cookies + hashed + host + upgrades + followed
}

fn of_cookies(rewrites: &CookieRewrites) -> u64 {
    let each = rewrites.iter().map(|rewrite| {
        let attributes = [rewrite.path_rewrite(), rewrite.domain_rewrite()];
        let attributes = attributes
            .into_iter()
            .flatten()
            .map(|attribute| match attribute {
                AttributeRewrite::Set(text) => text.len(),
                AttributeRewrite::Replace { from, to } => from.len() + to.len(),
            });
        let name = rewrite.name().map_or(0, str::len);
        NAME + text_cost(name + attributes.sum::<usize>())
    });
    each.sum()
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
    FILTER + of_texts(headers.flat_map(|(name, value)| [name.as_str(), &**value]))
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

fn of_change(change: &HeaderChange) -> u64 {
    let texts = change.value().iter().map(|part| match part {
        HeaderPart::Text(text) => text.len(),
        HeaderPart::Value(_) => 64,
    });
    HEADER + text_cost(change.name().len() + texts.sum::<usize>())
}
