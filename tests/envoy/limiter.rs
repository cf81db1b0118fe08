//! A rate limit service: the entry `most` of a descriptor says how many requests it takes, for ever. The domains `hang` and
//! `fail` are no answers. It remembers what it was told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use envoy_types::pb::envoy::config::core::v3::HeaderValue;
use envoy_types::pb::envoy::service::ratelimit::v3 as pb;
use envoy_types::pb::google::protobuf::Duration;
use pb::rate_limit_response::{Code, DescriptorStatus, RateLimit, rate_limit::Unit};
use pb::rate_limit_service_server::{RateLimitService, RateLimitServiceServer};
use tonic::{Request, Response, Status};

#[derive(Default)]
struct Seen {
    asked: Vec<String>,
    counts: BTreeMap<String, u32>,
}

/// A running one.
#[derive(Clone, Default)]
pub struct Limiter(Arc<Mutex<Seen>>);

impl Limiter {
    /// Speaks gRPC on a free port.
    pub async fn start() -> (Self, std::net::SocketAddr) {
        let own = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = RateLimitServiceServer::new(own.clone());
        let router = axum::Router::new().fallback_service(service);
        tokio::spawn(async move { axum::serve(listener, router).await });
        (own, address)
    }

    /// What it was told since the last look: `DOMAIN KEY=VALUE,…`, a line for each descriptor.
    pub fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    fn status(&self, domain: &str, descriptor: &str, most: Option<u32>) -> DescriptorStatus {
        let mut seen = self.0.lock().unwrap();
        seen.asked.push(format!("{domain} {descriptor}"));
        let Some(most) = most else {
            return DescriptorStatus {
                code: Code::Ok.into(),
                ..Default::default()
            };
        };
        let count = seen
            .counts
            .entry(format!("{domain} {descriptor}"))
            .or_default();
        *count += 1;
        let code = if *count > most {
            Code::OverLimit
        } else {
            Code::Ok
        };
        DescriptorStatus {
            code: code.into(),
            current_limit: Some(RateLimit {
                requests_per_unit: most,
                unit: Unit::Hour.into(),
                ..Default::default()
            }),
            limit_remaining: most.saturating_sub(*count),
            duration_until_reset: Some(Duration {
                seconds: 3600,
                nanos: 0,
            }),
            ..Default::default()
        }
    }
}

#[tonic::async_trait]
impl RateLimitService for Limiter {
    async fn should_rate_limit(
        &self,
        request: Request<pb::RateLimitRequest>,
    ) -> Result<Response<pb::RateLimitResponse>, Status> {
        let request = request.into_inner();
        let statuses: Vec<DescriptorStatus> = request
            .descriptors
            .iter()
            .map(|descriptor| {
                let entries = || descriptor.entries.iter();
                let text: Vec<String> = entries()
                    .map(|entry| format!("{}={}", entry.key, entry.value))
                    .collect();
                let most = entries().find(|entry| entry.key == "most");
                let most = most.map(|entry| entry.value.parse().unwrap());
                self.status(&request.domain, &text.join(","), most)
            })
            .collect();
        match request.domain.as_str() {
            "hang" => std::future::pending().await,
            "fail" => return Err(Status::internal("asked to")),
            _ => {}
        }
        let over = |status: &DescriptorStatus| status.code() == Code::OverLimit;
        let code = match statuses.iter().any(over) {
            true => Code::OverLimit,
            false => Code::Ok,
        };
        Ok(Response::new(pb::RateLimitResponse {
            overall_code: code.into(),
            statuses,
            response_headers_to_add: vec![HeaderValue {
                key: "x-limiter".to_owned(),
                value: "asked".to_owned(),
                ..Default::default()
            }],
            ..Default::default()
        }))
    }
}
