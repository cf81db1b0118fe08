//! ExtensionServices: what answers Envoy's own questions by gRPC.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    CircuitBreakers, ClusterSettings, LoadBalancing, ServerName, UpstreamProtocol, UpstreamTls,
};
use crate::objects::http_proxy::UpstreamValidation;
use crate::objects::{
    ExtensionService, ExtensionServiceTarget, NamespacedName, ServiceBackendPort, ServiceType,
};
use crate::translate::service_policy::{FoundPort, find_port};
use crate::translate::{BackendPort, ClusterSource};

use super::balancing::balancing;
use super::client_certificate;
use super::condition::{self, Fault};
use super::context::Context;
use super::duration::{Timeout, timeout};
use super::upstream_validation::{Words, verification};

/// One that can be asked.
#[derive(Clone, Debug)]
pub struct Extension {
    /// The name of its cluster.
    pub cluster: Arc<str>,
    /// What that is made from.
    pub source: ClusterSource,
    /// How long an answer may take, where it says so.
    pub timeout: Option<Duration>,
}

/// What is ignored of one.
///
/// As in Contour: a policy that needs something of a client's request, and a limit of streams.
#[must_use]
pub fn ignored(service: &ExtensionService) -> Vec<Fault> {
    let mut ignored = Vec::new();
    let strategy = service.load_balancer_policy.as_ref();
    let strategy = strategy.map_or("", |policy| &policy.strategy);
    if matches!(strategy, "Cookie" | "RequestHash") {
        let message = format!(
            "ignoring field \".Spec.LoadBalancerPolicy\"; {strategy} load balancer policy is not supported for ExtensionClusters"
        );
        ignored.push(Fault::new(condition::IGNORED_FIELD, message));
    }
    let idle = service.timeout_policy.as_ref();
    if idle.is_some_and(|policy| !policy.idle.is_empty()) {
        let message = "ignoring field \".Spec.TimeoutPolicy.Idle\"; idle timeouts are not supported for ExtensionClusters";
        ignored.push(Fault::new(condition::IGNORED_FIELD, message));
    }
    ignored
}

/// Reads one.
///
/// # Errors
///
/// What is wrong with it: then nobody is asked, and who names it is not served.
pub fn extension(context: &Context<'_>, service: &ExtensionService) -> Result<Extension, Fault> {
    let policy = service.timeout_policy.as_ref();
    let read = |what: &str, text: Option<&Arc<str>>| {
        timeout(text.map_or("", |text| text)).map_err(|why| {
            let message =
                format!("spec.timeoutPolicy failed to parse: error parsing {what} timeout: {why}");
            Fault::new(condition::EXTENSION_TIMEOUT, message)
        })
    };
    let response = read("response", policy.map(|policy| &policy.response))?;
    let idle = read(
        "idle connection",
        policy.map(|policy| &policy.idle_connection),
    )?;
    let is_tls = &*service.protocol != "h2c";
    if !is_tls && service.validation.is_some() {
        let message = "upstream TLS validation not supported for \"h2c\" protocol";
        return Err(Fault::new(condition::EXTENSION_PROTOCOL, message));
    }
    let validation = service.validation.as_ref();
    let tls = validation
        .map(|validation| upstream_tls(context, service, validation))
        .transpose()?;
    let limits = service.circuit_breaker_policy.unwrap_or_default();
    let some = |limit: u32| (limit > 0).then_some(limit);
    if is_tls {
        client_certificate::check(context.input)?;
    }
    let balancing = balancing(service.load_balancer_policy.as_ref());
    let settings = ClusterSettings {
        load_balancing: match balancing.load_balancing {
            // There is no request of a client's to hash.
            LoadBalancing::RingHash | LoadBalancing::Maglev => LoadBalancing::default(),
            it => it,
        },
        protocol: match is_tls {
            true => UpstreamProtocol::H2,
            false => UpstreamProtocol::H2c,
        },
        circuit_breakers: CircuitBreakers {
            max_connections: some(limits.max_connections),
            max_pending_requests: some(limits.max_pending_requests),
            max_requests: some(limits.max_requests),
            max_retries: some(limits.max_retries),
            per_host_max_connections: some(limits.per_host_max_connections),
            retry_budget: None,
        },
        idle_timeout: match idle {
            Timeout::Default => None,
            Timeout::Infinite => Some(Duration::ZERO),
            Timeout::Of(duration) => Some(duration),
        },
        tls: tls.unwrap_or_default(),
        ..ClusterSettings::default()
    };
    let (cluster, source) = cluster(context, service, &Arc::new(settings))?;
    Ok(Extension {
        cluster,
        source,
        timeout: match response {
            Timeout::Default | Timeout::Infinite => None,
            Timeout::Of(duration) => Some(duration),
        },
    })
}

fn cluster(
    context: &Context<'_>,
    service: &ExtensionService,
    settings: &Arc<ClusterSettings>,
) -> Result<(Arc<str>, ClusterSource), Fault> {
    let targets = service.services.iter();
    let ports = targets
        .map(|target| {
            let port = port(context, service, target, settings)?;
            Ok((port, target.weight))
        })
        .collect::<Result<Vec<_>, Fault>>()?;
    ClusterSource::of_shares(ports).ok_or_else(|| {
        let message = "spec.services names no service";
        Fault::new(condition::SERVICE_UNRESOLVED, message)
    })
}

fn port(
    context: &Context<'_>,
    service: &ExtensionService,
    target: &ExtensionServiceTarget,
    settings: &Arc<ClusterSettings>,
) -> Result<BackendPort, Fault> {
    let namespace = &service.metadata.name.namespace;
    let name = NamespacedName::new(namespace.clone(), target.name.clone());
    let unresolved = |why: String| {
        let message = format!("unresolved service \"{name}\": {why}");
        Fault::new(condition::SERVICE_UNRESOLVED, message)
    };
    let Some(object) = context.input.reader.service(&name) else {
        return Err(unresolved(format!("service \"{name}\" not found")));
    };
    if let ServiceType::ExternalName(_) = &object.service_type {
        let message = format!("Service \"{name}\" is of unsupported type \"ExternalName\".");
        return Err(Fault::new(condition::SERVICE_TYPE, message));
    }
    let number = ServiceBackendPort::Number(target.port);
    let Some(FoundPort { port, .. }) = find_port(context.input, object, &number) else {
        let port = target.port;
        return Err(unresolved(format!(
            "port \"{port}\" on service \"{name}\" not matched"
        )));
    };
    Ok(BackendPort {
        service: name,
        port: port.port,
        settings: Some(settings.clone()),
    })
}

fn upstream_tls(
    context: &Context<'_>,
    service: &ExtensionService,
    validation: &UpstreamValidation,
) -> Result<UpstreamTls, Fault> {
    let words = Words {
        kind: condition::EXTENSION_VALIDATION,
        of: "TLS upstream validation policy error: ",
        not_delegated: condition::CA_NOT_DELEGATED,
        field: "service.UpstreamValidation.CACertificate",
    };
    let namespace = &service.metadata.name.namespace;
    let verification = verification(context, namespace, validation, words)?;
    // As in Contour: the first name is asked for.
    let first = validation.subject_names.first();
    let server_name = first.map_or(Ok(ServerName::default()), |name| ServerName::new(name));
    let fault = |why| Fault::new(words.kind, why);
    Ok(UpstreamTls {
        verification: Some(verification),
        server_name: server_name.map_err(fault)?,
        ..UpstreamTls::default()
    })
}
