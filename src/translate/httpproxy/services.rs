//! The services of a route as shares, mirrors and clusters.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    BackendOptions, ClusterSettings, CookieRewrite, Fraction, HeaderModifier, HealthCheck,
    LoadBalancing, Mirror, Percent, ServerName, SlowStart, UpstreamProtocol, UpstreamTls,
    Verification, WeightedCluster,
};
use crate::objects::http_proxy::{HttpProxy, Service, SlowStartPolicy, UpstreamValidation};
use crate::objects::{NamespacedName, ServiceBackendPort, ServiceType};
use crate::translate::service_policy::{FoundPort, find_port};
use crate::translate::{backend, budget};

use super::client_certificate;
use super::condition::{self, Fault};
use super::context::Context;
use super::cookies;
use super::duration::duration;
use super::headers::{Headers, Of, Own, headers};
use super::operator;
use super::upstream_validation::{self, Words};

/// What a route asks of all its clusters.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Which endpoint gets a request.
    pub load_balancing: LoadBalancing,
    /// What endpoints are asked.
    pub health_check: Option<HealthCheck>,
    /// How long a connection is kept; zero for ever.
    pub idle_connection: Option<Duration>,
    /// The Host that the route sets, which TLS asks for.
    pub host: Option<Arc<str>>,
    /// Whether they are of a `tcpproxy`: of those Contour reads no slow start.
    pub of_connections: bool,
}

/// The services of a route.
#[derive(Clone, Debug, Default)]
pub struct Backends {
    /// The shares of those that there are.
    pub shares: Vec<WeightedCluster>,
    /// Who gets copies.
    pub mirrors: Vec<Mirror>,
    /// The one Service that it is all about.
    pub service: Option<Arc<str>>,
    /// What the policies of a service say of answers and requests that Envoy puts together, where there is one service.
    pub own: Option<[Headers; 2]>,
    /// Changes of the cookies that the one service sets.
    pub cookies: Vec<CookieRewrite>,
    /// Whether one of them speaks HTTP/2, as gRPC does.
    pub speaks_http2: bool,
}

/// Reads the services of a route of `proxy` at `at`. One that is not there is told, and left out.
///
/// # Errors
///
/// What ends the HTTPProxy.
pub fn backends(
    context: &mut Context<'_>,
    proxy: &HttpProxy,
    at: &str,
    services: &[Service],
    asked: &Asked,
) -> Result<Backends, Fault> {
    let mut backends = Backends::default();
    let sum: i64 = weights(services).sum();
    if u32::try_from(sum).is_err() {
        let message =
            format!("the weights of its services come to {sum}, which is more than 4294967295");
        return Err(Fault::new(condition::WEIGHT, message));
    }
    if services.iter().filter(|service| service.mirror).count() > 1 {
        let message = "only one service per route may be nominated as mirror";
        return Err(Fault::new(condition::ONLY_ONE_MIRROR, message));
    }
    let mut named = services.iter().filter(|service| !service.mirror);
    if let (Some(only), None) = (named.next(), named.next()) {
        backends.service = Some(only.name.clone());
    }
    let is_alone = backends.service.is_some();
    pay(context, services.len(), asked)?;
    for (index, service) in services.iter().enumerate() {
        let of = Own {
            namespace: &proxy.metadata.name.namespace,
            service: Some((&service.name, Some(service.port))),
        };
        let own = service_headers(service, of)?;
        let operators = operator::header_policies(context.input, of)?;
        let [requests, responses] = under(own, operators, is_alone);
        let cookies = service.policies.as_ref();
        let cookies = cookies.map_or(&[][..], |it| &it.cookie_rewrite_policies);
        let cookies = cookies::rewrites(cookies, condition::ROUTE_COOKIES, "service")?;
        let at = format!("{at}.services[{index}]");
        let cluster = match cluster(context, proxy, service, asked, &requests)? {
            Ok(cluster) => cluster,
            Err(why) => {
                let message = format!("Spec.Routes unresolved service reference: {why}");
                let fault = Fault::new(condition::SERVICE_UNRESOLVED, message);
                context.faults.error(&proxy.reference(), &at, fault);
                continue;
            }
        };
        if service.mirror {
            let percent = match service.weight {
                0 => 100,
                weight => u32::try_from(weight.min(100)).unwrap_or(100),
            };
            let fraction = Fraction::new(percent, 100).unwrap_or(Fraction::ALL);
            backends.mirrors.push(Mirror { cluster, fraction });
            continue;
        }
        backends.speaks_http2 |= is_http2(context, &cluster);
        let weight = match sum {
            0 => 1,
            _ => u32::try_from(service.weight).unwrap_or(u32::MAX),
        };
        let mut share = WeightedCluster::new(cluster, weight);
        match is_alone {
            true => {
                backends.own = Some([requests, responses]);
                backends.cookies = cookies;
            }
            false => share.options = options(requests, responses, cookies)?,
        }
        backends.shares.push(share);
    }
    Ok(backends)
}

/// What the route and the operator say is made again for each service.
fn pay(context: &mut Context<'_>, services: usize, asked: &Asked) -> Result<(), Fault> {
    let count = u64::try_from(services).unwrap_or(u64::MAX);
    let headers = operator::cost_of_headers(context.input);
    context.account.pay_ahead(headers.saturating_mul(count))?;
    let check = asked.health_check.as_ref().map_or(0, budget::health_check);
    context.account.pay(check.saturating_mul(count))
}

/// What a service says of headers, and under it what the operator says. A Host that comes from a header is the route's to say.
fn under(own: [Headers; 2], operators: [Headers; 2], is_alone: bool) -> [Headers; 2] {
    let mut merged = own;
    for (own, mut operators) in merged.iter_mut().zip(operators) {
        if !is_alone {
            operators.host = None;
        }
        own.add(operators);
    }
    merged
}

/// What a route removes no share of it sets: as in Contour, whose Envoy does what the route says last.
pub fn unset_in_shares([requests, responses]: [&Headers; 2], shares: &mut [WeightedCluster]) {
    for share in shares {
        let Some(options) = &mut share.options else {
            continue;
        };
        requests.unset(
            &mut options.request_headers,
            &mut options.added_request_headers,
        );
        responses.unset(
            &mut options.response_headers,
            &mut options.added_response_headers,
        );
        if **options == BackendOptions::default() {
            share.options = None;
        }
    }
}

fn is_http2(context: &Context<'_>, cluster: &Arc<str>) -> bool {
    let protocol = context.protocols.get(cluster);
    protocol.is_some_and(|it| matches!(it, UpstreamProtocol::H2 | UpstreamProtocol::H2c))
}

fn weights(services: &[Service]) -> impl Iterator<Item = i64> {
    let shares = services.iter().filter(|service| !service.mirror);
    // What would overflow is too much in any case.
    shares.map(|service| service.weight.clamp(0, i64::from(u32::MAX) + 1))
}

fn service_headers(service: &Service, own: Own<'_>) -> Result<[Headers; 2], Fault> {
    let policies = service.policies.as_deref();
    let requests = policies.and_then(|it| it.request_headers_policy.as_ref());
    let responses = policies.and_then(|it| it.response_headers_policy.as_ref());
    let kinds = [
        condition::SERVICE_REQUEST_HEADERS,
        condition::SERVICE_RESPONSE_HEADERS,
    ];
    let mut requests = headers(requests, Of::Requests, kinds[0], own)?;
    // As in Contour: a Host that comes from a header is the route's to say.
    requests.host = None;
    Ok([requests, headers(responses, Of::Responses, kinds[1], own)?])
}

/// What is done to the share of one service among several.
fn options(
    requests: Headers,
    responses: Headers,
    cookies: Vec<CookieRewrite>,
) -> Result<Option<Box<BackendOptions>>, Fault> {
    let is_none = |headers: &Headers| {
        headers.literal == HeaderModifier::default() && headers.dynamic.is_empty()
    };
    if is_none(&requests) && is_none(&responses) && cookies.is_empty() {
        return Ok(None);
    }
    Ok(Some(Box::new(BackendOptions {
        request_headers: requests.literal,
        response_headers: responses.literal,
        added_request_headers: requests.dynamic,
        added_response_headers: responses.dynamic,
        cookie_rewrites: cookies::all(cookies, condition::ROUTE_COOKIES)?,
        ..BackendOptions::default()
    })))
}

/// The cluster of a service of a `tcpproxy`, or why there is no such service.
///
/// # Errors
///
/// As [`backends`].
pub fn cluster_of(
    context: &mut Context<'_>,
    proxy: &HttpProxy,
    service: &Service,
    asked: &Asked,
) -> Result<Result<Arc<str>, String>, Fault> {
    cluster(context, proxy, service, asked, &Headers::default())
}

/// The cluster of a service, or why there is no such service.
fn cluster(
    context: &mut Context<'_>,
    proxy: &HttpProxy,
    service: &Service,
    asked: &Asked,
    requests: &Headers,
) -> Result<Result<Arc<str>, String>, Fault> {
    let namespace = &proxy.metadata.name.namespace;
    let name = NamespacedName::new(namespace.clone(), service.name.clone());
    let Some(object) = context.input.reader.service(&name) else {
        return Ok(Err(format!("service \"{name}\" not found")));
    };
    let number = ServiceBackendPort::Number(service.port);
    let Some(FoundPort { port, policy, .. }) = find_port(context.input, object, &number) else {
        let port = service.port;
        return Ok(Err(format!(
            "port \"{port}\" on service \"{name}\" not matched"
        )));
    };
    if let ServiceType::ExternalName(external) = &object.service_type
        && let Err(what) = backend::check_external_name(context.input, external)
    {
        return Ok(Err(format!(
            "{name} is an ExternalName service, which {what}"
        )));
    }
    let protocol = match service.protocol.as_deref() {
        Some("h2") => UpstreamProtocol::H2,
        Some("h2c") => UpstreamProtocol::H2c,
        Some("tls") => UpstreamProtocol::Tls,
        _ => policy.protocol,
    };
    let base = backend::settings(&policy);
    let mut settings = ClusterSettings {
        protocol,
        load_balancing: asked.load_balancing,
        health_check: asked.health_check.clone(),
        idle_timeout: asked.idle_connection.or(base.idle_timeout),
        ..base
    };
    let health_port = service.policies.as_ref().map_or(0, |it| it.health_port);
    if settings.health_check.is_some() && health_port > 0 && health_port != service.port {
        let number = ServiceBackendPort::Number(health_port);
        if find_port(context.input, object, &number).is_none() {
            return Ok(Err(format!(
                "port \"{health_port}\" on service \"{name}\" not matched"
            )));
        }
        if let Some(check) = &mut settings.health_check {
            check.port = Some(health_port);
        }
    }
    if matches!(protocol, UpstreamProtocol::Tls | UpstreamProtocol::H2) {
        client_certificate::check(context.input)?;
        settings.tls = upstream_tls(context, proxy, service, asked, requests)?;
    }
    let slow_start = service.policies.as_ref();
    let slow_start = slow_start.filter(|_| !asked.of_connections);
    if let Some(policy) = slow_start.and_then(|it| it.slow_start_policy.as_ref()) {
        settings.load_balancing = slowly(settings.load_balancing, policy)?;
    }
    let (cluster, backend) = backend::with_settings(object, port.port, &policy, settings);
    context.pay_cluster(&cluster, Some((name, port.port)))?;
    context.protocols.insert(cluster.clone(), protocol);
    context.clusters.insert(cluster.clone(), backend);
    Ok(Ok(cluster))
}

fn upstream_tls(
    context: &Context<'_>,
    proxy: &HttpProxy,
    service: &Service,
    asked: &Asked,
    requests: &Headers,
) -> Result<UpstreamTls, Fault> {
    let policies = service.policies.as_ref();
    let validation = policies.and_then(|it| it.validation.as_ref());
    let place = format!("{}:{}", service.name, service.port);
    let verification = validation
        .map(|validation| verification(context, proxy, &place, validation))
        .transpose()?;
    let host = requests.host().or(asked.host.as_ref());
    // What is no DNS name is no server name; the Host is sent all the same.
    let server_name = host.and_then(|host| ServerName::new(without_port(host)).ok());
    Ok(UpstreamTls {
        verification,
        server_name: server_name.unwrap_or_default(),
        ..UpstreamTls::default()
    })
}

fn without_port(host: &str) -> &str {
    host.split_once(':').map_or(host, |(host, _)| host)
}

/// Whom endpoints of a service have to be.
fn verification(
    context: &Context<'_>,
    proxy: &HttpProxy,
    place: &str,
    validation: &UpstreamValidation,
) -> Result<Verification, Fault> {
    let words = Words {
        kind: condition::UPSTREAM_VALIDATION,
        of: &format!("Service [{place}] TLS upstream validation policy error: "),
        not_delegated: condition::CA_NOT_DELEGATED,
        field: "service.UpstreamValidation.CACertificate",
    };
    let namespace = &proxy.metadata.name.namespace;
    upstream_validation::verification(context, namespace, validation, words)
}

fn slowly(balancing: LoadBalancing, policy: &SlowStartPolicy) -> Result<LoadBalancing, Fault> {
    let fault = |message: String| Fault::new(condition::SLOW_START, message);
    let window = duration(&policy.window).map_err(fault)?;
    let aggression: f64 = policy
        .aggression
        .parse()
        .map_err(|_| fault(format!("aggression {:?} is no number", policy.aggression)))?;
    let hundredths = (aggression * 100.0).round();
    if !(1.0..=1e6).contains(&hundredths) {
        return Err(fault(format!(
            "aggression {:?} is not between 0.01 and 10000",
            policy.aggression
        )));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in range, see above"
    )]
    let hundredths = hundredths as u32;
    let least = Percent::new(policy.min_weight_percent).map_err(fault)?;
    let slow = SlowStart::new(window, hundredths, least).map_err(fault)?;
    match balancing {
        LoadBalancing::RoundRobin(_) => Ok(LoadBalancing::RoundRobin(Some(slow))),
        LoadBalancing::LeastRequest(_) => Ok(LoadBalancing::LeastRequest(Some(slow))),
        LoadBalancing::Random | LoadBalancing::RingHash | LoadBalancing::Maglev => Err(fault(
            "slow start is only supported with RoundRobin or WeightedLeastRequest load balancer strategy"
                .to_owned(),
        )),
    }
}
