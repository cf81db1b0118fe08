//! Whether an endpoint is well: what it is asked, and what requests tell.

use std::time::Duration;

use core::health_check::{GrpcHealthCheck, HealthChecker, HttpHealthCheck, TcpHealthCheck};
use envoy_types::pb::envoy::config::cluster::v3 as pb;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::r#type::v3::{CodecClientType, Int64Range};

use super::encode::{duration, u32_value};
use crate::model::{HealthCheck, HttpQuestion, OutlierDetection, Question, UpstreamProtocol};

/// The Host of questions over HTTP. Envoy's own is the cluster's name, which is no host's: some servers answer 400 to it.
const HOST: &str = "isobath-health-check";

pub(super) fn health_check(check: &HealthCheck, protocol: UpstreamProtocol) -> core::HealthCheck {
    core::HealthCheck {
        interval: duration(check.interval()),
        // Else a cluster that has had no request yet is asked every minute only, and its first ones meet who is ill.
        no_traffic_interval: duration(check.interval()),
        timeout: duration(check.timeout()),
        healthy_threshold: u32_value(check.healthy_threshold()),
        unhealthy_threshold: u32_value(check.unhealthy_threshold()),
        health_checker: Some(match &check.question {
            Question::Tcp => HealthChecker::TcpHealthCheck(TcpHealthCheck::default()),
            Question::Http(question) => HealthChecker::HttpHealthCheck(http(question, protocol)),
            Question::Grpc(service) if is_http2(protocol) => {
                HealthChecker::GrpcHealthCheck(GrpcHealthCheck {
                    service_name: service.to_string(),
                    authority: HOST.to_owned(),
                    ..Default::default()
                })
            }
            // Envoy refuses the cluster over a question that it can't put.
            Question::Grpc(_) => HealthChecker::TcpHealthCheck(TcpHealthCheck::default()),
        }),
        ..Default::default()
    }
}

const fn is_http2(protocol: UpstreamProtocol) -> bool {
    match protocol {
        UpstreamProtocol::Http1
        | UpstreamProtocol::Tls
        | UpstreamProtocol::TcpOverTls
        | UpstreamProtocol::Udp => false,
        UpstreamProtocol::H2c | UpstreamProtocol::H2 => true,
    }
}

fn http(question: &HttpQuestion, protocol: UpstreamProtocol) -> HttpHealthCheck {
    let statuses = question.statuses().iter();
    HttpHealthCheck {
        host: question.host().unwrap_or(HOST).to_owned(),
        path: question.path().to_owned(),
        expected_statuses: statuses
            .map(|(first, last)| Int64Range {
                start: i64::from(*first),
                // The range ends before it.
                end: i64::from(*last) + 1,
            })
            .collect(),
        codec_client_type: match is_http2(protocol) {
            false => CodecClientType::Http1,
            true => CodecClientType::Http2,
        }
        .into(),
        ..Default::default()
    }
}

/// It bridges the time until Kubernetes, or a restarting control plane, withdraws a dead endpoint. What nobody asked for
/// enforces nothing: Envoy's own thresholds would.
pub(super) fn outlier_detection(detection: &OutlierDetection) -> pb::OutlierDetection {
    // Envoy refuses none of either.
    let least = Duration::from_millis(1);
    let base = detection.base_ejection_time.max(least);
    let enforced = |count: u32| u32_value(if count > 0 { 100 } else { 0 });
    let asked = |count: u32| (count > 0).then(|| u32_value(count)).flatten();
    let local = detection.consecutive_local_origin_failure;
    pb::OutlierDetection {
        split_external_local_origin_errors: true,
        consecutive_local_origin_failure: asked(local),
        enforcing_consecutive_local_origin_failure: (local == 0).then(|| enforced(0)).flatten(),
        interval: duration(detection.interval.max(least)),
        base_ejection_time: duration(base),
        max_ejection_time: duration(detection.max_ejection_time.max(base)),
        max_ejection_percent: u32_value(detection.max_ejection_percent.get().into()),
        consecutive_5xx: asked(detection.consecutive_5xx),
        enforcing_consecutive_5xx: enforced(detection.consecutive_5xx),
        consecutive_gateway_failure: asked(detection.consecutive_gateway_failure),
        enforcing_consecutive_gateway_failure: enforced(detection.consecutive_gateway_failure),
        enforcing_success_rate: u32_value(0),
        enforcing_local_origin_success_rate: u32_value(0),
        ..Default::default()
    }
}
