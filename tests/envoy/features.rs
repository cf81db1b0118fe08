//! What a route can be told beside where requests go, each with a request that shows it: for the tests that go over all.

use std::num::NonZeroU64;
use std::time::Duration;

use isobath::model::{
    AddressRules, AddressSource, Algorithm, Authorization, Authorizer, Compression, Cors,
    Descriptor, DescriptorEntry, DynamicValue, Filters, ForwardOptions, Fraction, GlobalRateLimit,
    GrpcAuthorizer, HeaderChange, HeaderMode, HeaderName, HostFilters, HostRewrite,
    InternalRedirects, JwtRequirement, LocalRateLimit, Mirror, Origins, Page, RequestKey,
    RouteTracing, Unanswered,
};

use crate::client::{Answer, request};
use crate::cookies::{full, rewrites};
use crate::error_pages::{literal, page_of, pages};
use crate::filter_cases::{dynamic, limit, ranges};
use crate::sessions::{by_cookie, by_header};

/// One of them.
pub struct Feature {
    pub name: &'static str,
    pub route: Filters,
    pub host: Option<HostFilters>,
    pub forward: ForwardOptions,
    /// What is sent beside path and host.
    pub method: &'static str,
    pub headers: &'static [&'static str],
    /// What is sent behind them.
    pub body: &'static str,
    /// What the back end answers without it.
    pub without: u16,
    /// What it makes of the answer.
    pub shows: fn(&Answer) -> bool,
    /// What grows by a request that it is for, where the answer does not show it.
    pub statistic: Option<&'static str>,
    /// Whether its answer ends the connection.
    pub closes: bool,
}

impl Feature {
    fn of(name: &'static str, route: Filters, shows: fn(&Answer) -> bool) -> Self {
        Self {
            name,
            route,
            host: None,
            forward: ForwardOptions::default(),
            method: "GET",
            headers: &[],
            body: "",
            without: 200,
            shows,
            statistic: None,
            closes: false,
        }
    }

    /// The request that shows it, which ends its connection, or not.
    pub fn request(&self, host: &str, path: &str, is_last: bool) -> String {
        let head = request(self.method, host, path, self.headers);
        let head = match is_last {
            true => head,
            false => head.replace("Connection: close\r\n", ""),
        };
        head + self.body
    }
}

fn is_403(answer: &Answer) -> bool {
    answer.status == 403
}

fn is_429(answer: &Answer) -> bool {
    answer.status == 429
}

/// A bucket of one, which the probe before has emptied.
fn one(keys: Vec<RequestKey>) -> Vec<LocalRateLimit> {
    let second = Duration::from_secs(1_000_000);
    let mut limit = LocalRateLimit::new(1, second, 0).unwrap();
    limit.keys = keys;
    vec![limit]
}

/// Nobody is there who could answer.
fn unanswered() -> Authorization {
    let grpc = GrpcAuthorizer {
        cluster: "authz/missing/1".into(),
        sees: None,
    };
    Authorization::new(Authorizer::Grpc(grpc), Duration::from_secs(1)).unwrap()
}

fn unanswered_limit() -> GlobalRateLimit {
    let entry = DescriptorEntry::fixed("generic_key", "all").unwrap();
    let all = vec![Descriptor::new(vec![entry]).unwrap()];
    let limit = GlobalRateLimit::new("limits/missing/1", "d", all, Duration::from_secs(1));
    let closed = limit.unwrap().with_unanswered(Unanswered::Refused(503));
    closed.unwrap()
}

/// The cluster that gets copies of requests.
pub const COPIES: &str = "copies";

fn of_all_lengths() -> Compression {
    let mut compression = Compression::new(&[Algorithm::Gzip], &["text/plain"]).unwrap();
    compression.min_length = 30;
    compression
}

/// All of them.
pub fn all() -> Vec<Feature> {
    let route = Filters::default;
    let denied = AddressRules::deny(ranges(AddressSource::Peer, &["127.0.0.0/8", "::1"]));
    let cors = Cors::new(Origins::All, ["GET"], ["x-a"], []).unwrap();
    let answer = HeaderChange::strict_transport_security(60, false, false);
    vec![
        Feature::of(
            "addresses",
            Filters {
                addresses: Some(denied),
                ..route()
            },
            is_403,
        ),
        Feature {
            method: "OPTIONS",
            headers: &[
                "Origin: https://a.test",
                "Access-Control-Request-Method: GET",
            ],
            ..Feature::of(
                "cors",
                Filters {
                    cors: Some(cors),
                    ..route()
                },
                |answer| answer.header("access-control-allow-origin").is_some(),
            )
        },
        Feature::of(
            "local rate limit",
            Filters {
                local_rate_limits: one(vec![]),
                ..route()
            },
            is_429,
        ),
        Feature::of(
            "local rate limit by address",
            Filters {
                local_rate_limits: one(vec![RequestKey::ClientAddress]),
                ..route()
            },
            is_429,
        ),
        Feature {
            host: Some(HostFilters {
                local_rate_limits: one(vec![]),
                ..HostFilters::default()
            }),
            ..Feature::of("local rate limit of the host", route(), is_429)
        },
        Feature::of(
            "request headers",
            Filters {
                request_headers: vec![dynamic("x-seen", DynamicValue::Host, HeaderMode::Set)],
                ..route()
            },
            |answer| answer.received("x-seen").is_some(),
        ),
        Feature::of(
            "response headers",
            Filters {
                response_headers: vec![answer],
                ..route()
            },
            |answer| answer.header("strict-transport-security").is_some(),
        ),
        Feature::of(
            "authorization",
            Filters {
                authorization: Some(unanswered()),
                ..route()
            },
            is_403,
        ),
        Feature::of(
            "token",
            Filters {
                jwt: Some(JwtRequirement {
                    providers: ["nobody".into()].into(),
                    may_be_missing: false,
                }),
                ..route()
            },
            is_403,
        ),
        Feature::of(
            "global rate limit",
            Filters {
                global_rate_limit: Some(unanswered_limit()),
                ..route()
            },
            |answer| answer.status == 503,
        ),
        Feature {
            host: Some(HostFilters {
                global_rate_limit: Some(unanswered_limit()),
                ..HostFilters::default()
            }),
            ..Feature::of("global rate limit of the host", route(), |answer| {
                answer.status == 503
            })
        },
        Feature {
            forward: ForwardOptions {
                cookie_rewrites: rewrites(vec![full()]),
                ..ForwardOptions::default()
            },
            headers: &["X-Echo-Cookie: a=1"],
            ..Feature::of("cookies", route(), |answer| {
                let cookie = answer.header("set-cookie");
                cookie.is_some_and(|it| it.contains("Path=/new"))
            })
        },
        Feature {
            headers: &["X-Echo-Status: 404"],
            without: 404,
            ..Feature::of(
                "error page",
                pages(vec![(&[404], literal("the page"))]),
                |answer| answer.body == "the page",
            )
        },
        Feature {
            headers: &["X-Echo-Status: 404"],
            without: 404,
            ..Feature::of(
                "error page of a back end",
                pages(vec![(&[404], Page::Backend(page_of("a", true)))]),
                |answer| answer.received("x-code") == Some("404"),
            )
        },
        Feature {
            forward: ForwardOptions {
                session: Some(by_header("x-session")),
                ..ForwardOptions::default()
            },
            ..Feature::of("session", route(), |answer| {
                answer.header("x-session").is_some()
            })
        },
        Feature {
            forward: ForwardOptions {
                session: Some(by_cookie(0, "/", &[])),
                ..ForwardOptions::default()
            },
            ..Feature::of("session by a cookie", route(), |answer| {
                let cookies = answer.cookies();
                cookies.iter().any(|cookie| cookie.starts_with("s="))
            })
        },
        Feature {
            forward: ForwardOptions {
                host: Some(HostRewrite::Header(
                    HeaderName::new("x-other-host").unwrap(),
                )),
                ..ForwardOptions::default()
            },
            headers: &["X-Other-Host: inner.test"],
            ..Feature::of("another host", route(), |answer| {
                answer.received("host") == Some("inner.test")
            })
        },
        Feature {
            forward: ForwardOptions {
                internal_redirects: Some(InternalRedirects::new(1, [302].into()).unwrap()),
                ..ForwardOptions::default()
            },
            headers: &[
                "X-Echo-Status: 302",
                "X-Echo-Location: http://a.example.com/other",
            ],
            without: 302,
            ..Feature::of("followed redirect", route(), |answer| {
                answer.echo().ends_with(" GET /other")
            })
        },
        Feature {
            method: "OPTIONS",
            headers: &[
                "Origin: https://a.test",
                "Access-Control-Request-Method: GET",
            ],
            ..Feature::of(
                "cors of a route that is not logged",
                Filters {
                    is_not_logged: true,
                    cors: Some(Cors::new(Origins::All, ["GET"], ["x-a"], []).unwrap()),
                    ..route()
                },
                |answer| answer.header("access-control-allow-origin").is_some(),
            )
        },
        Feature {
            method: "POST",
            headers: &["Content-Length: 5"],
            body: "12345",
            closes: true,
            ..Feature::of(
                "body limit",
                Filters {
                    max_body: NonZeroU64::new(4),
                    ..route()
                },
                |answer| answer.status == 413,
            )
        },
        Feature {
            headers: &["Accept-Encoding: gzip"],
            ..Feature::of(
                "compression",
                Filters {
                    compression: Some(of_all_lengths()),
                    ..route()
                },
                |answer| answer.header("content-encoding") == Some("gzip"),
            )
        },
        // What is no answer of gRPC becomes one.
        Feature {
            method: "POST",
            headers: &["Content-Type: application/grpc-web", "Content-Length: 0"],
            ..Feature::of(
                "gRPC-Web",
                Filters {
                    grpc_web: true,
                    ..route()
                },
                |answer| answer.header("grpc-status").is_some(),
            )
        },
        Feature::of(
            "no traces",
            Filters {
                tracing: Some(RouteTracing {
                    sampling: Fraction::NONE,
                    tags: Vec::new(),
                }),
                ..route()
            },
            // The back end is told that nobody follows it.
            |answer| {
                let told = answer.received("traceparent");
                told.is_some_and(|it| it.ends_with("-00"))
            },
        ),
        Feature {
            forward: ForwardOptions {
                mirrors: vec![Mirror {
                    cluster: COPIES.into(),
                    fraction: Fraction::ALL,
                }],
                ..ForwardOptions::default()
            },
            statistic: Some("cluster.copies.upstream_rq_total"),
            ..Feature::of("mirror", route(), |_| false)
        },
        Feature::of(
            "two limits",
            Filters {
                local_rate_limits: vec![limit(100, vec![]), one(vec![]).remove(0)],
                ..route()
            },
            is_429,
        ),
    ]
}
