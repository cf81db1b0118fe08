//! What it costs to read a part of an HTTPProxy: its texts and items, as they are written.
//!
//! An include reads its HTTPProxy again each time that it is come to, whatever is made of it in the end, and a fault repeats what it is
//! about. So this is paid before anything is read ([`super::tree`]).

use std::sync::Arc;

use crate::objects::http_proxy::{
    AuthorizationPolicy, CookieRewritePolicy, GlobalRateLimitPolicy, HeaderMatchCondition,
    HeadersPolicy, HttpDirectResponsePolicy, HttpHealthCheckPolicy, HttpInternalRedirectPolicy,
    HttpRequestRedirectPolicy, IpFilterPolicy, JwtVerificationPolicy, LoadBalancerPolicy,
    LocalRateLimitPolicy, MatchCondition, QueryParameterMatchCondition, RateLimitDescriptorEntry,
    RateLimitPolicy, RetryPolicy, Route, RoutePolicies, Service, ServicePolicies, SlowStartPolicy,
    TimeoutPolicy, UpstreamValidation,
};
use crate::translate::budget;

/// What conditions cost.
#[must_use]
pub fn conditions(written: &[MatchCondition]) -> u64 {
    let mut sum = Sum(0);
    sum.each(written, Sum::condition);
    sum.0
}

/// What a route costs, with its own conditions.
#[must_use]
pub fn route(written: &Route) -> u64 {
    let Route {
        conditions,
        services,
        enable_websockets: _,
        permit_insecure: _,
        policies,
    } = written;
    let mut sum = Sum(budget::NAME);
    sum.each(conditions, Sum::condition);
    sum.each(services, Sum::service);
    if let Some(policies) = policies {
        sum.route_policies(policies);
    }
    sum.0
}

/// What was met so far. Each method takes its object apart, so that no field is forgotten.
struct Sum(u64);

impl Sum {
    fn add(&mut self, cost: u64) {
        self.0 = self.0.saturating_add(cost);
    }

    fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.add(budget::of_texts([text]));
        }
    }

    /// Each byte of it may be an instruction of its program.
    fn expression(&mut self, text: &str) {
        if !text.is_empty() {
            let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
            self.add(budget::NAME.saturating_add(bytes.saturating_mul(budget::STEP)));
        }
    }

    fn texts<'a>(&mut self, texts: impl IntoIterator<Item = &'a Arc<str>>) {
        for text in texts {
            self.text(text);
        }
    }

    fn each<T>(&mut self, items: &[T], one: impl Fn(&mut Self, &T)) {
        for item in items {
            self.add(budget::NAME);
            one(self, item);
        }
    }

    fn pairs(&mut self, pairs: &[(Arc<str>, Arc<str>)]) {
        self.each(pairs, |sum, (one, other)| sum.texts([one, other]));
    }

    fn condition(&mut self, written: &MatchCondition) {
        let MatchCondition {
            prefix,
            exact,
            regex,
            header,
            query_parameter,
        } = written;
        self.texts([prefix, exact]);
        self.expression(regex);
        if let Some(header) = header {
            self.header_match(header);
        }
        if let Some(parameter) = query_parameter {
            self.query_match(parameter);
        }
    }

    fn header_match(&mut self, written: &HeaderMatchCondition) {
        let HeaderMatchCondition {
            name,
            present: _,
            not_present: _,
            contains,
            not_contains,
            ignore_case: _,
            exact,
            not_exact,
            regex,
            treat_missing_as_empty: _,
        } = written;
        self.texts([name, contains, not_contains, exact, not_exact]);
        self.expression(regex);
    }

    fn query_match(&mut self, written: &QueryParameterMatchCondition) {
        let QueryParameterMatchCondition {
            name,
            exact,
            prefix,
            suffix,
            regex,
            contains,
            ignore_case: _,
            present: _,
        } = written;
        self.texts([name, exact, prefix, suffix, contains]);
        self.expression(regex);
    }

    fn service(&mut self, written: &Service) {
        let Service {
            name,
            port: _,
            weight: _,
            protocol,
            mirror: _,
            policies,
        } = written;
        self.text(name);
        self.texts(protocol);
        let Some(policies) = policies else {
            return;
        };
        let ServicePolicies {
            health_port: _,
            validation,
            request_headers_policy,
            response_headers_policy,
            cookie_rewrite_policies,
            slow_start_policy,
        } = &**policies;
        if let Some(UpstreamValidation {
            ca_secret,
            subject_names,
        }) = validation
        {
            self.text(ca_secret);
            self.texts(subject_names);
        }
        self.headers(request_headers_policy.as_ref());
        self.headers(response_headers_policy.as_ref());
        self.each(cookie_rewrite_policies, Self::cookie);
        if let Some(SlowStartPolicy {
            window,
            aggression,
            min_weight_percent: _,
        }) = slow_start_policy
        {
            self.texts([window, aggression]);
        }
    }

    fn headers(&mut self, written: Option<&HeadersPolicy>) {
        if let Some(HeadersPolicy { set, remove }) = written {
            self.each(set, |sum, header| {
                sum.texts([&header.name, &header.value]);
            });
            self.texts(remove);
        }
    }

    fn cookie(&mut self, written: &CookieRewritePolicy) {
        let CookieRewritePolicy {
            name,
            path_rewrite,
            domain_rewrite,
            secure: _,
            same_site,
        } = written;
        self.text(name);
        self.texts(
            [path_rewrite, domain_rewrite, same_site]
                .into_iter()
                .flatten(),
        );
    }

    fn route_policies(&mut self, written: &RoutePolicies) {
        let RoutePolicies {
            auth_policy,
            timeout_policy,
            retry_policy,
            health_check_policy,
            load_balancer_policy,
            replace_prefix,
            request_headers_policy,
            response_headers_policy,
            cookie_rewrite_policies,
            rate_limit_policy,
            request_redirect_policy,
            direct_response_policy,
            internal_redirect_policy,
            jwt_verification_policy,
            ip_allow_policy,
            ip_deny_policy,
        } = written;
        if let Some(AuthorizationPolicy {
            disabled: _,
            context,
        }) = auth_policy
        {
            self.pairs(context);
        }
        self.timeouts_and_retries(timeout_policy.as_ref(), retry_policy.as_ref());
        self.balancing(load_balancer_policy.as_ref(), health_check_policy.as_ref());
        self.pairs(replace_prefix);
        self.headers(request_headers_policy.as_ref());
        self.headers(response_headers_policy.as_ref());
        self.each(cookie_rewrite_policies, Self::cookie);
        if let Some(RateLimitPolicy { local, global }) = rate_limit_policy {
            self.limits(local.as_ref(), global.as_ref());
        }
        self.answers(
            request_redirect_policy.as_ref(),
            direct_response_policy.as_ref(),
            internal_redirect_policy.as_ref(),
        );
        if let Some(JwtVerificationPolicy {
            require,
            disabled: _,
        }) = jwt_verification_policy
        {
            self.text(require);
        }
        for IpFilterPolicy { source: _, cidr } in ip_allow_policy.iter().chain(ip_deny_policy) {
            self.text(cidr);
        }
    }

    fn timeouts_and_retries(
        &mut self,
        timeouts: Option<&TimeoutPolicy>,
        retries: Option<&RetryPolicy>,
    ) {
        if let Some(TimeoutPolicy {
            response,
            idle,
            idle_connection,
        }) = timeouts
        {
            self.texts([response, idle, idle_connection]);
        }
        if let Some(RetryPolicy {
            count: _,
            per_try_timeout,
            retry_on,
            retriable_status_codes,
        }) = retries
        {
            self.text(per_try_timeout);
            self.texts(retry_on);
            self.each(retriable_status_codes, |_, _| {});
        }
    }

    fn balancing(
        &mut self,
        policy: Option<&LoadBalancerPolicy>,
        health: Option<&HttpHealthCheckPolicy>,
    ) {
        if let Some(LoadBalancerPolicy {
            strategy,
            request_hash_policies,
        }) = policy
        {
            self.text(strategy);
            self.each(request_hash_policies, |sum, policy| {
                sum.texts(policy.header_name.iter().chain(&policy.parameter_name));
            });
        }
        if let Some(health) = health {
            self.texts([&health.path, &health.host]);
            self.each(&health.expected_statuses, |_, _| {});
        }
    }

    fn limits(
        &mut self,
        local: Option<&LocalRateLimitPolicy>,
        global: Option<&GlobalRateLimitPolicy>,
    ) {
        if let Some(local) = local {
            self.each(&local.response_headers_to_add, |sum, header| {
                sum.texts([&header.name, &header.value]);
            });
        }
        let Some(GlobalRateLimitPolicy {
            disabled: _,
            descriptors,
        }) = global
        else {
            return;
        };
        self.each(descriptors, |sum, entries| {
            sum.each(entries, Self::descriptor_entry);
        });
    }

    fn descriptor_entry(&mut self, written: &RateLimitDescriptorEntry) {
        let RateLimitDescriptorEntry {
            generic_key,
            request_header,
            request_header_value_match,
            remote_address: _,
        } = written;
        for (one, other) in generic_key.iter().chain(request_header) {
            self.texts([one, other]);
        }
        if let Some(matching) = request_header_value_match {
            self.text(&matching.value);
            self.each(&matching.headers, Self::header_match);
        }
    }

    fn answers(
        &mut self,
        redirect: Option<&HttpRequestRedirectPolicy>,
        direct: Option<&HttpDirectResponsePolicy>,
        internal: Option<&HttpInternalRedirectPolicy>,
    ) {
        if let Some(HttpRequestRedirectPolicy {
            scheme,
            hostname,
            port: _,
            status_code: _,
            path,
            prefix,
        }) = redirect
        {
            self.texts([scheme, hostname, path, prefix].into_iter().flatten());
        }
        if let Some(HttpDirectResponsePolicy {
            status_code: _,
            body,
        }) = direct
        {
            self.text(body);
        }
        if let Some(HttpInternalRedirectPolicy {
            max_internal_redirects: _,
            redirect_response_codes,
            allow_cross_scheme_redirect,
            deny_repeated_route_redirect: _,
        }) = internal
        {
            self.text(allow_cross_scheme_redirect);
            self.each(redirect_response_codes, |_, _| {});
        }
    }
}
