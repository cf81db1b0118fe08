//! Services that requests or connections go to, and `spec.tcpproxy`.

use super::super::super::http_proxy::{
    Service, ServicePolicies, SlowStartPolicy, TcpHealthCheckPolicy, TcpProxy,
};
use super::super::super::validate::FieldError;
use super::super::json::{Bool, Kept, List, Struct, Whole};
use super::super::schema::{
    At, DECIMAL, DURATION, each_of, matching, number, one_of, perhaps, present, text,
};
use super::super::wires::wires;
use super::policy::{
    CookieWire, HeadersWire, LoadBalancerWire, ValidationWire, cookie, headers, load_balancer,
    port, validation,
};

wires! {
    struct ServiceWire {
        name: Kept,
        port: Whole,
        weight: Whole,
        protocol: Kept,
        mirror: Bool,
        health_port: Whole,
        validation: Struct<ValidationWire>,
        request_headers_policy: Struct<HeadersWire>,
        response_headers_policy: Struct<HeadersWire>,
        cookie_rewrite_policies: List<Struct<CookieWire>>,
        slow_start_policy: Struct<SlowStartWire>,
    }

    struct SlowStartWire {
        window: Kept,
        aggression: Kept,
        min_weight_percent: Whole,
    }

    struct TcpProxyWire {
        load_balancer_policy: Struct<LoadBalancerWire>,
        services: List<Struct<ServiceWire>>,
        include: Struct<TcpIncludeWire>,
        includes: Struct<TcpIncludeWire>,
        health_check_policy: Struct<TcpHealthCheckWire>,
    }

    struct TcpIncludeWire {
        name: Kept,
        namespace: Kept,
    }

    struct TcpHealthCheckWire {
        interval_seconds: Whole,
        timeout_seconds: Whole,
        unhealthy_threshold_count: Whole,
        healthy_threshold_count: Whole,
    }
}

pub(super) fn service(at: At<'_>, wire: ServiceWire) -> Result<Service, FieldError> {
    let Kept(name) = present(at.of("name"), wire.name)?;
    let number_of_port = present(at.of("port"), wire.port)?;
    let headers_policy = |field, policy| perhaps(at.of(field), policy, headers);
    let health_port = number(at.of("healthPort"), wire.health_port, 1, u16::MAX)?;
    let policies = ServicePolicies {
        health_port: health_port.unwrap_or_default(),
        validation: perhaps(at.of("validation"), wire.validation, validation)?,
        request_headers_policy: headers_policy(
            "requestHeadersPolicy",
            wire.request_headers_policy,
        )?,
        response_headers_policy: headers_policy(
            "responseHeadersPolicy",
            wire.response_headers_policy,
        )?,
        cookie_rewrite_policies: each_of(
            at.of("cookieRewritePolicies"),
            wire.cookie_rewrite_policies,
            cookie,
        )?,
        slow_start_policy: perhaps(at.of("slowStartPolicy"), wire.slow_start_policy, slow_start)?,
    };
    let is_plain = policies == ServicePolicies::default();
    Ok(Service {
        name,
        port: port(at.of("port"), Some(number_of_port))?,
        weight: number(at.of("weight"), wire.weight, 0, i64::MAX)?.unwrap_or_default(),
        protocol: one_of(at.of("protocol"), wire.protocol, &["h2", "h2c", "tls"])?,
        mirror: Bool::of(wire.mirror),
        policies: (!is_plain).then(|| Box::new(policies)),
    })
}

fn slow_start(at: At<'_>, wire: SlowStartWire) -> Result<SlowStartPolicy, FieldError> {
    let window = present(at.of("window"), wire.window)?;
    let aggression = wire.aggression.unwrap_or_else(|| Kept("1.0".into()));
    let percent = number(at.of("minWeightPercent"), wire.min_weight_percent, 0, 100)?;
    Ok(SlowStartPolicy {
        window: matching(at.of("window"), Some(window), &DURATION)?,
        aggression: matching(at.of("aggression"), Some(aggression), &DECIMAL)?,
        min_weight_percent: percent.unwrap_or(10),
    })
}

pub(super) fn tcp_proxy(at: At<'_>, wire: TcpProxyWire) -> Result<TcpProxy, FieldError> {
    let include = |at: At<'_>, wire: TcpIncludeWire| {
        let Kept(name) = present(at.of("name"), wire.name)?;
        Ok((name, text(wire.namespace)))
    };
    let older = perhaps(at.of("includes"), wire.includes, include)?;
    let balancing = at.of("loadBalancerPolicy");
    let check = at.of("healthCheckPolicy");
    Ok(TcpProxy {
        load_balancer_policy: perhaps(balancing, wire.load_balancer_policy, load_balancer)?,
        services: each_of(at.of("services"), wire.services, service)?,
        include: perhaps(at.of("include"), wire.include, include)?.or(older),
        health_check_policy: perhaps(check, wire.health_check_policy, tcp_health_check)?,
    })
}

fn tcp_health_check(
    at: At<'_>,
    wire: TcpHealthCheckWire,
) -> Result<TcpHealthCheckPolicy, FieldError> {
    let seconds = |field, value| {
        let value = number(at.of(field), value, i64::MIN, i64::MAX)?;
        Ok::<_, FieldError>(value.unwrap_or_default())
    };
    let count = |field, value| {
        let value = number(at.of(field), value, 0, i32::MAX.unsigned_abs())?;
        Ok::<_, FieldError>(value.unwrap_or_default())
    };
    Ok(TcpHealthCheckPolicy {
        interval_seconds: seconds("intervalSeconds", wire.interval_seconds)?,
        timeout_seconds: seconds("timeoutSeconds", wire.timeout_seconds)?,
        unhealthy_threshold_count: count(
            "unhealthyThresholdCount",
            wire.unhealthy_threshold_count,
        )?,
        healthy_threshold_count: count("healthyThresholdCount", wire.healthy_threshold_count)?,
    })
}
