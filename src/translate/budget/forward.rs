//! What it costs that requests are passed on, or answered.

use crate::model::{
    AttributeRewrite, BackendOptions, CookieRewrites, DirectResponse, ErrorPages, Forward,
    ForwardOptions, HashKey, HealthCheck, HostRewrite, LocationRewrite, Mirror, Question,
    RetryPolicy, SessionKey, SetCookie, WeightedCluster,
};

use super::unit::{
    FILTER, HEADER, NAME, ROUTE, as_cost, of_change, of_headers, of_rewrite, of_texts, text_cost,
};

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

/// What is said of all shares costs: it stands in each route that they are.
pub fn of_forward(forward: &Forward) -> u64 {
    let Forward {
        backends: _,
        service,
        timeout: _,
        retry,
        rewrite,
        options,
    } = forward;
    let texts = rewrite.as_ref().map_or(0, of_rewrite) + service.as_ref().map_or(0, |it| it.len());
    let options = options.as_ref().map_or(0, |it| of_options(it));
    let retry = retry.as_ref().map_or(0, |it| of_retry(it));
    text_cost(texts) + options + retry
}

/// What the shares cost, in each route that has all of them.
pub fn of_shares(forward: &Forward) -> u64 {
    let options = forward.options.as_ref();
    let of_route = options.map_or(0, |options| {
        let location = options.location_rewrite.as_ref();
        of_cookies(&options.cookie_rewrites) + location.map_or(0, of_location)
    });
    let shares = forward.backends.iter().map(|share| {
        let WeightedCluster {
            cluster,
            weight: _,
            options,
        } = share;
        let own = options.as_ref().map_or(0, |it| of_share(it, of_route));
        text_cost(cluster.len()).saturating_add(own)
    });
    shares.fold(0, u64::saturating_add)
}

/// `of_route` is what the route's own changes of cookies cost: they stand behind those of a share.
fn of_share(options: &BackendOptions, of_route: u64) -> u64 {
    let BackendOptions {
        request_headers,
        response_headers,
        added_request_headers,
        added_response_headers,
        rewrite,
        mirrors,
        cookie_rewrites,
    } = options;
    let headers = of_headers(request_headers) + of_headers(response_headers);
    let added = added_request_headers.iter().chain(added_response_headers);
    let added: u64 = added.map(of_change).sum();
    let rewrite = rewrite.as_ref().map_or(0, of_rewrite);
    let cookies = match cookie_rewrites.is_empty() {
        true => 0,
        false => of_cookies(cookie_rewrites).saturating_add(of_route),
    };
    NAME + added + text_cost(headers + rewrite) + of_mirrors(mirrors) + cookies
}

fn of_mirrors(mirrors: &[Mirror]) -> u64 {
    of_texts(mirrors.iter().map(|mirror| &*mirror.cluster))
}

fn of_retry(retry: &RetryPolicy) -> u64 {
    let RetryPolicy {
        retry_on,
        num_retries: _,
        per_try_timeout: _,
        per_try_idle_timeout: _,
        status_codes,
        back_off: _,
        rate_limited_back_off,
        may_repeat_endpoint: _,
    } = retry;
    let headers = rate_limited_back_off.iter();
    let headers = headers.flat_map(|it| it.headers().iter().map(|(name, _)| name.as_str()));
    NAME * as_cost(status_codes.len())
        + of_texts(retry_on.iter().map(|it| &**it))
        + of_texts(headers)
}

fn of_options(options: &ForwardOptions) -> u64 {
    let ForwardOptions {
        refused,
        mirrors,
        hash_policies,
        host,
        idle_timeout: _,
        internal_redirects,
        session,
        cookie_rewrites,
        location_rewrite,
        upgrades,
        connect,
    } = options;
    let hashed = hash_policies.iter().map(|policy| match &policy.key {
        HashKey::SourceIp => NAME,
        HashKey::Header(name) => of_texts([name.as_str()]),
        HashKey::Query(name) => of_texts([&**name]),
        HashKey::Cookie(cookie) => of_cookie(cookie.name(), cookie.set()),
    });
    let host = host.as_ref().map_or(0, |host| match host {
        HostRewrite::Header(name) => of_texts([name.as_str()]),
        HostRewrite::Endpoint => NAME,
    });
    // What keeps beside a request what finds its routes, and two headers that its back ends are sent.
    let followed = internal_redirects.as_ref();
    let followed = followed.map_or(0, |_| FILTER + 2 * HEADER);
    // A filter, and what tells the shares apart: a cookie that is asked for, and one that is given.
    let session = session.as_ref().map_or(0, |session| {
        FILTER
            + match &session.key {
                SessionKey::Cookie(cookie) => {
                    let cookie = cookie.cookie();
                    3 * of_cookie(cookie.name(), cookie.set())
                }
                SessionKey::Header(name) => of_texts([name.as_str()]),
            }
    });
    let few = usize::from(refused.is_some()) + usize::from(connect.is_some());
    of_mirrors(mirrors)
        + of_cookies(cookie_rewrites)
        + location_rewrite.as_ref().map_or(0, of_location)
        + hashed.sum::<u64>()
        + host
        + of_texts(upgrades.keys().map(|upgrade| upgrade.as_str()))
        + followed
        + session
        + NAME * as_cost(few)
}

fn of_location(rewrite: &LocationRewrite) -> u64 {
    NAME + text_cost(rewrite.from().len() + rewrite.to().len())
}

fn of_cookie(name: &str, set: Option<&SetCookie>) -> u64 {
    let attributes = set.into_iter().flat_map(SetCookie::attributes);
    let attributes = attributes.flat_map(|(name, value)| [&**name, &**value]);
    of_texts(
        [name, set.map_or("", SetCookie::path)]
            .into_iter()
            .chain(attributes),
    )
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

/// The routes by which pages are asked for, which have what the filters and the headers of the route's answers are.
pub fn of_pages(pages: &ErrorPages, answers: u64) -> u64 {
    let each = pages.of_backends().map(|(_, page)| {
        let to: &Forward = &page.to;
        let expansion = to.page_expansion();
        let of_route = ROUTE + of_forward(to) + answers;
        let routes = of_route.saturating_mul(as_cost(expansion.routes));
        routes.saturating_add(of_shares(to).saturating_mul(as_cost(expansion.of_share)))
    });
    each.fold(0, u64::saturating_add)
}
