//! Who Envoy asks on the way of a request: an authorizer, a rate limit service, and who publishes keys of tokens.
//!
//! The authorizer allows `x-auth: allow` and answers everything else 401; `x-auth-delay` is how long it takes. A request that
//! it allows is told in `x-auth-info` what it has seen: `ctx[…] body[BYTES] raw[BYTES] cert[yes]`. The rate limit service is over
//! each limit that has a value which begins with `deny`; its answers say what it was told, in `x-rls-saw`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use auth::authorization_server::{Authorization, AuthorizationServer};
use auth::check_response::HttpResponse as Answer;
use axum::Router;
use axum::routing::get;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3 as auth;
use envoy_types::pb::envoy::service::ratelimit::v3 as limit;
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use limit::rate_limit_response::{Code, DescriptorStatus, RateLimit, rate_limit::Unit};
use limit::rate_limit_service_server::{RateLimitService, RateLimitServiceServer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tonic::{Request, Response, Status};

use crate::issuer::Issuer;

/// Where each is: in clear, and by TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extensions {
    pub(crate) authorizer: [SocketAddr; 2],
    pub(crate) limiter: [SocketAddr; 2],
    pub(crate) keys: [SocketAddr; 2],
}

impl Extensions {
    /// Starts them at this address, until the runtime ends. Keys are published at 127.0.0.1, where names lead to.
    pub(crate) async fn start(
        at: Ipv4Addr,
        tls: &TlsAcceptor,
        issuers: &BTreeMap<&'static str, Issuer>,
    ) -> Self {
        let mut keys = Router::new();
        for (name, issuer) in issuers {
            let set = issuer.keys();
            keys = keys.route(
                &format!("/jwks-{name}.json"),
                get(async move || set.clone()),
            );
        }
        let authorizer = Router::new().fallback_service(AuthorizationServer::new(Authorizer));
        let limiter = Router::new().fallback_service(RateLimitServiceServer::new(Limiter));
        Self {
            authorizer: serve(at, authorizer, tls).await,
            limiter: serve(at, limiter, tls).await,
            keys: serve(Ipv4Addr::LOCALHOST, keys, tls).await,
        }
    }
}

async fn serve(at: Ipv4Addr, router: Router, tls: &TlsAcceptor) -> [SocketAddr; 2] {
    let [plain, sealed] = [listener(at).await, listener(at).await];
    let addresses = [&plain, &sealed].map(|listener| listener.local_addr().unwrap());
    let acceptor = tls.clone();
    let sealed_router = router.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = plain.accept().await {
            tokio::spawn(connection(stream, router.clone()));
        }
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = sealed.accept().await {
            let (acceptor, router) = (acceptor.clone(), sealed_router.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    connection(stream, router).await;
                }
            });
        }
    });
    addresses
}

async fn listener(at: Ipv4Addr) -> TcpListener {
    TcpListener::bind((at, 0)).await.unwrap()
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
    // How it ends is Envoy's to report.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
}

#[derive(Clone, Copy)]
struct Authorizer;

#[tonic::async_trait]
impl Authorization for Authorizer {
    async fn check(
        &self,
        request: Request<auth::CheckRequest>,
    ) -> Result<Response<auth::CheckResponse>, Status> {
        let attributes = request.into_inner().attributes.unwrap();
        let source = attributes.source.unwrap_or_default();
        let http = attributes.request.unwrap().http.unwrap();
        if let Some(delay) = http.headers.get("x-auth-delay") {
            let seconds = delay.trim_end_matches('s').parse().unwrap();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
        let context: BTreeMap<_, _> = attributes.context_extensions.into_iter().collect();
        let context = context.iter().map(|(key, value)| format!("{key}={value}"));
        let context = context.collect::<Vec<_>>().join(",");
        let is_allowed = http.headers.get("x-auth").is_some_and(|it| it == "allow");
        let (code, answer) = if is_allowed {
            let certificate = match source.certificate.is_empty() {
                true => "no",
                false => "yes",
            };
            let info = format!(
                "ctx[{context}] body[{}] raw[{}] cert[{certificate}]",
                http.body.len(),
                http.raw_body.len()
            );
            let mut headers = vec![header("x-auth-info", &info)];
            let route = http.headers.get("x-want-route");
            headers.extend(route.map(|route| header("x-auth-route", route)));
            let answer = auth::OkHttpResponse {
                headers,
                ..Default::default()
            };
            (tonic::Code::Ok, Answer::OkResponse(answer))
        } else {
            let answer = auth::DeniedHttpResponse {
                status: Some(HttpStatus { code: 401 }),
                body: format!("denied ctx[{context}]"),
                ..Default::default()
            };
            (
                tonic::Code::PermissionDenied,
                Answer::DeniedResponse(answer),
            )
        };
        let status = envoy_types::pb::google::rpc::Status {
            code: code.into(),
            ..Default::default()
        };
        Ok(Response::new(auth::CheckResponse {
            status: Some(status),
            http_response: Some(answer),
            ..Default::default()
        }))
    }
}

fn header(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(value_of(name, value)),
        ..Default::default()
    }
}

fn value_of(name: &str, value: &str) -> HeaderValue {
    HeaderValue {
        key: name.to_owned(),
        value: value.to_owned(),
        ..Default::default()
    }
}

#[derive(Clone, Copy)]
struct Limiter;

#[tonic::async_trait]
impl RateLimitService for Limiter {
    async fn should_rate_limit(
        &self,
        request: Request<limit::RateLimitRequest>,
    ) -> Result<Response<limit::RateLimitResponse>, Status> {
        let descriptors = request.into_inner().descriptors;
        let is_denied = descriptors
            .iter()
            .flat_map(|descriptor| &descriptor.entries)
            .any(|entry| entry.value.starts_with("deny"));
        let code = match is_denied {
            true => Code::OverLimit,
            false => Code::Ok,
        };
        let told = descriptors.iter().map(|descriptor| {
            let entries = descriptor.entries.iter();
            let entries = entries.map(|entry| format!("{}={}", entry.key, entry.value));
            entries.collect::<Vec<_>>().join("&")
        });
        let told = told.collect::<Vec<_>>().join("|");
        let status = DescriptorStatus {
            code: code.into(),
            current_limit: Some(RateLimit {
                requests_per_unit: 5,
                unit: Unit::Hour.into(),
                ..Default::default()
            }),
            limit_remaining: 3,
            ..Default::default()
        };
        Ok(Response::new(limit::RateLimitResponse {
            overall_code: code.into(),
            statuses: vec![status; descriptors.len()],
            response_headers_to_add: vec![value_of("x-rls-saw", &told)],
            ..Default::default()
        }))
    }
}
