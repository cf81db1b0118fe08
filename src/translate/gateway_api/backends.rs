//! Where the requests of a rule go: shares of Services, and of what is none.

use std::sync::Arc;

use crate::model::{
    BackendOptions, Forwarding, Fraction, Mirror, PathRewrite, Refused, RefusedStatus, Share,
    UpstreamProtocol, WeightedCluster,
};
use crate::objects::gateway_api::{BackendRef, Filter, MirrorFilter, RuleBackend};
use crate::objects::{ObjectRef, Service, ServiceBackendPort, ServicePort, ServiceType};
use crate::translate::service_policy::{FoundPort, ServicePolicy, find_port, find_udp_port};
use crate::translate::{app_protocol, backend};

use super::backend_tls;
use super::context::{Carries, Made, Unserved, rewrite, twice};
use super::fault::Fault;
use super::grants::permitted;
use super::headers::Changes;
use super::shown::Shown;

/// The shares of a rule.
#[derive(Debug, Default)]
pub struct Shares {
    /// Those that there are, with what is done to each alone.
    pub shares: Vec<(WeightedCluster, Option<Own>)>,
    /// The weight of those that can't be.
    pub refused: u32,
    /// Whether the client's address chooses the endpoint of one of them.
    pub hash_source_ip: bool,
}

/// Reads the back ends of a rule.
///
/// # Errors
///
/// What is asked of one of them that is not served.
pub fn shares(made: &mut Made<'_>, backends: &[RuleBackend]) -> Result<Shares, Unserved> {
    let mut shares = Shares::default();
    for it in backends {
        let own = own(made, &it.filters)?;
        match cluster(made, &it.backend) {
            Ok(Target {
                cluster,
                hash_source_ip,
            }) => {
                let share = WeightedCluster::new(cluster, it.backend.weight);
                shares.shares.push((share, own));
                shares.hash_source_ip |= hash_source_ip;
            }
            Err(fault) => {
                made.references.extend(fault);
                shares.refused = shares.refused.saturating_add(it.backend.weight);
            }
        }
    }
    Ok(shares)
}

impl Shares {
    /// The shares that can't be, with what they answer.
    pub fn refusal(&self, status: RefusedStatus) -> Option<Refused> {
        let is_nobody = self.shares.iter().all(|(share, _)| share.weight == 0);
        let weight = match is_nobody {
            true => self.refused.max(1),
            false => self.refused,
        };
        (weight > 0).then_some(Refused { weight, status })
    }
}

/// What is done to one share alone.
#[derive(Debug, Default)]
pub struct Own {
    /// Changes of the request's headers.
    pub request_headers: Changes,
    /// Changes of the response's headers.
    pub response_headers: Changes,
    /// What to replace the path with.
    pub rewrite: Option<PathRewrite>,
    /// Who gets copies.
    pub mirrors: Vec<Mirror>,
}

impl Own {
    /// The same after what is done to all shares.
    pub fn after(
        self,
        requests: &Changes,
        responses: &Changes,
    ) -> Result<BackendOptions, Unserved> {
        let (request_headers, added_request_headers) =
            requests.clone().then(self.request_headers).into_model()?;
        let (response_headers, added_response_headers) =
            responses.clone().then(self.response_headers).into_model()?;
        Ok(BackendOptions {
            request_headers,
            response_headers,
            added_request_headers,
            added_response_headers,
            rewrite: self.rewrite,
            mirrors: self.mirrors,
            ..BackendOptions::default()
        })
    }
}

fn own(made: &mut Made<'_>, filters: &[Filter]) -> Result<Option<Own>, Unserved> {
    if filters.is_empty() {
        return Ok(None);
    }
    let mut options = Own::default();
    for filter in filters {
        match filter {
            Filter::RequestHeaderModifier(change) => {
                let later = Changes::of(change)?;
                let before = std::mem::take(&mut options.request_headers);
                options.request_headers = before.then(later);
            }
            Filter::ResponseHeaderModifier(change) => {
                let later = Changes::of_responses(change)?;
                let before = std::mem::take(&mut options.response_headers);
                options.response_headers = before.then(later);
            }
            Filter::UrlRewrite(_) if options.rewrite.is_some() => return Err(twice("URLRewrite")),
            Filter::UrlRewrite(wanted) => {
                if let Some(name) = &wanted.hostname {
                    options.request_headers.set_host(name)?;
                }
                options.rewrite = wanted.path.as_ref().map(rewrite).transpose()?;
            }
            Filter::RequestMirror(wanted) => options.mirrors.extend(mirror(made, wanted)?),
            Filter::RequestRedirect(_)
            | Filter::Cors(_)
            | Filter::ExtensionRef(_)
            | Filter::Other(_) => {
                let message = "a filter of a backendRef is none of those that are served there: RequestHeaderModifier, ResponseHeaderModifier, URLRewrite and RequestMirror are";
                return Err(Unserved(message.to_owned()));
            }
        }
    }
    Ok(Some(options))
}

/// Where connections go that are not looked into.
pub fn forwarding(made: &mut Made<'_>, backends: &[BackendRef]) -> Forwarding {
    let mut forwarding = Forwarding::default();
    for backend in backends {
        match cluster(made, backend) {
            Ok(target) => {
                forwarding.hash_source_ip |= target.hash_source_ip;
                forwarding.shares.push(Share {
                    cluster: target.cluster,
                    weight: backend.weight,
                });
            }
            Err(fault) => {
                made.references.extend(fault);
                forwarding.refused = forwarding.refused.saturating_add(backend.weight);
            }
        }
    }
    forwarding
}

/// Who gets copies; nobody where the target can't be.
pub fn mirror(made: &mut Made<'_>, wanted: &MirrorFilter) -> Result<Option<Mirror>, Unserved> {
    let (numerator, denominator) = wanted.fraction;
    let fraction = Fraction::new(numerator, denominator).map_err(Unserved)?;
    match cluster(made, &wanted.backend) {
        Ok(Target { cluster, .. }) => Ok(Some(Mirror { cluster, fraction })),
        Err(fault) => {
            made.references.extend(fault);
            Ok(None)
        }
    }
}

/// Where requests of a back end go.
struct Target {
    cluster: Arc<str>,
    /// Whether the client's address chooses the endpoint.
    hash_source_ip: bool,
}

/// The cluster of a back end.
///
/// # Errors
///
/// Why there is none, where that is the route's to be told: what a policy can't have is the policy's.
fn cluster(made: &mut Made<'_>, wanted: &BackendRef) -> Result<Target, Option<Fault>> {
    let (service, port, policy) = found(made, wanted)?;
    let input = made.input;
    let mut settings = backend::settings(&policy);
    settings.protocol = match (made.carries, settings.protocol) {
        (Carries::Http, spoken) => spoken,
        (Carries::Grpc, UpstreamProtocol::Tls | UpstreamProtocol::H2) => UpstreamProtocol::H2,
        (Carries::Grpc, _) => UpstreamProtocol::H2c,
        // What the Service says of what is spoken is what goes through.
        (Carries::Tcp | Carries::Ended, _) => UpstreamProtocol::Http1,
        (Carries::Udp, _) => UpstreamProtocol::Udp,
    };
    if made.carries.is_policed()
        && let Some(by_tls) = backend_tls::of_port(input, &service.metadata.name, &port.name)
    {
        let by_tls = input.backend_tls(&by_tls);
        settings.tls = by_tls.tls.clone().map_err(|_| None)?;
        settings.protocol = match (made.carries, settings.protocol) {
            (Carries::Ended, _) => UpstreamProtocol::TcpOverTls,
            (_, UpstreamProtocol::H2c | UpstreamProtocol::H2) => UpstreamProtocol::H2,
            _ => UpstreamProtocol::Tls,
        };
    }
    if settings.protocol.is_tls() {
        if let Some(fault) = made.shown.fault(&service.metadata.name, port.port) {
            return Err(Some(fault));
        }
        if let Shown::Certificate(secret) = made.shown {
            settings.tls.client_certificate = Some(secret.to_string().into());
        }
    }
    let (cluster, source) = backend::with_settings(service, port.port, &policy, settings);
    made.clusters.insert(cluster.clone(), source);
    Ok(Target {
        cluster,
        hash_source_ip: policy.hash_source_ip,
    })
}

/// The port of the Service that is named.
fn found<'a>(
    made: &mut Made<'a>,
    wanted: &BackendRef,
) -> Result<(&'a Service, &'a ServicePort, ServicePolicy), Fault> {
    let ObjectRef { kind, name: route } = made.route;
    let input = made.input;
    let object = &wanted.object;
    if !object.group.is_empty() || &*object.kind != "Service" {
        let message = format!("back end {} {} is no Service", object.kind, object.name);
        return Err(Fault::new("InvalidKind", message));
    }
    let name = permitted(input, (kind.name(), &route.namespace), object)?;
    if made.carries.is_policed() {
        made.services.insert(name.clone());
    }
    let not_found = |message: String| Fault::new("BackendNotFound", message);
    let Some(service) = input.reader.service(&name) else {
        return Err(not_found(format!("Service {name} does not exist")));
    };
    let Some(number) = wanted.port else {
        let message = format!("the back end with Service {name} names no port");
        return Err(not_found(message));
    };
    let found = match made.carries {
        Carries::Udp => find_udp_port(input, service, number),
        _ => find_port(input, service, &ServiceBackendPort::Number(number)),
    };
    let Some(FoundPort { port, policy, .. }) = found else {
        return Err(not_found(format!("Service {name} has no port {number}")));
    };
    if let ServiceType::ExternalName(external) = &service.service_type
        && let Err(what) = backend::check_external_name(input, external)
    {
        let message = format!("Service {name} has the external name {external:?}, which {what}");
        return Err(not_found(message));
    }
    if let Some(spoken) = &port.app_protocol
        && !made.carries.is_opaque()
        && app_protocol::upstream_protocol(spoken).is_none()
    {
        let message = format!(
            "port {number} of Service {name} has the appProtocol {spoken:?}, which is not served"
        );
        return Err(Fault::new("UnsupportedProtocol", message));
    }
    Ok((service, port, policy))
}
