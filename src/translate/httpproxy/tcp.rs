//! `tcpproxy`: connections of a host that go on as they are, or without their TLS.
//!
//! What a root asks of requests can't be asked of connections: where TLS ends here and somebody is to be asked, or a token wanted, the
//! host is closed. From which addresses is asked of both.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Forwarding, Share, TcpServer, TlsServer};
use crate::objects::http_proxy::{HttpProxy, TcpProxy, VirtualHost as Written};
use crate::objects::{Field, FieldRef, Kind, NamespacedName, ObjectRef};
use crate::translate::{TcpHost, budget};

use super::balancing::{balancing, tcp_health_check};
use super::condition::{self, Fault};
use super::context::{Context, left_out};
use super::services::{Asked, cluster_of};
use super::tls::{Here, Termination};

/// Contour's own limit: 9001 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(9001);
/// The longest chain of includes.
const DEEPEST: usize = 64;

/// Where connections of a host go.
#[derive(Clone, Debug)]
pub enum Connections {
    /// Nobody says: its requests are served.
    Unsaid,
    /// To a child that says nothing of connections, so that none is taken.
    Nowhere,
    /// A child says it wrong, and is told: the host is ended.
    Wrong,
    /// There.
    To(Forwarding),
}

/// Where connections of a root's host go.
///
/// # Errors
///
/// What is wrong with the root, and ends the host.
pub fn connections(
    context: &mut Context<'_>,
    root: &HttpProxy,
    written: &Written,
    termination: Option<&Termination>,
) -> Result<Connections, Fault> {
    let Some(tcp) = &root.tcp_proxy else {
        return Ok(Connections::Unsaid);
    };
    match termination {
        None => {
            let message = "Spec.TCPProxy requires that either Spec.TLS.Passthrough or Spec.TLS.SecretName be set";
            return Err(Fault::new(condition::TCP_TLS, message));
        }
        Some(Termination::Here(here)) => check_guards(context, root, written, here)?,
        Some(Termination::Passthrough | Termination::Nowhere) => {}
    }
    let mut visited = vec![root.metadata.name.clone()];
    follow(context, root, tcp, &mut visited)
}

/// There are no requests to ask somebody about.
fn check_guards(
    context: &mut Context<'_>,
    root: &HttpProxy,
    written: &Written,
    here: &Here,
) -> Result<(), Fault> {
    let authorization = written.authorization.as_ref();
    let is_asked = authorization.is_some_and(|it| !it.extension_ref.name.is_empty());
    if is_asked || !written.jwt_providers.is_empty() {
        let message = "Spec.TCPProxy can't be combined with Spec.VirtualHost.Authorization and Spec.VirtualHost.JWTProviders: a connection is no request";
        return Err(Fault::new(condition::NOT_SUPPORTED, message));
    }
    if here.fallback.is_some() {
        let message = "ignoring field \"Spec.VirtualHost.TLS.EnableFallbackCertificate\"; without a server name nobody knows whose a connection is";
        let fault = Fault::new(condition::TCP_IGNORED_FIELD, message);
        let at = "spec.virtualhost.tls.enableFallbackCertificate";
        context.faults.warning(&root.reference(), at, fault);
    }
    Ok(())
}

/// The host of connections whose TLS ends here.
///
/// # Errors
///
/// What ends the host.
pub fn ended_here(root: &HttpProxy, here: &Here, forwarding: Forwarding) -> Result<TcpHost, Fault> {
    let TlsServer {
        certificates,
        parameters,
        clients,
        source: of_certificate,
        ..
    } = here.server.clone();
    let server = TcpServer::new(
        certificates,
        parameters,
        clients,
        of_certificate,
        forwarding,
    );
    Ok(TcpHost {
        server: server.map_err(|why| Fault::new(condition::CLIENT_VALIDATION, why))?,
        secrets: here.secrets.clone(),
        source: source(root),
    })
}

fn follow(
    context: &mut Context<'_>,
    proxy: &HttpProxy,
    tcp: &TcpProxy,
    visited: &mut Vec<NamespacedName>,
) -> Result<Connections, Fault> {
    match (tcp.services.is_empty(), &tcp.include) {
        (true, None) => {
            let message = "either services or inclusion must be specified";
            Err(Fault::new(condition::TCP_NOTHING_DEFINED, message))
        }
        (false, Some(_)) => {
            let message = "cannot specify services and include in the same httpproxy";
            Err(Fault::new(condition::TCP_SERVICES_AND_INCLUDE, message))
        }
        (false, None) => services(context, proxy, tcp).map(Connections::To),
        (true, Some((name, namespace))) => {
            let own = &proxy.metadata.name.namespace;
            let namespace = match namespace.is_empty() {
                true => own,
                false => namespace,
            };
            let name = NamespacedName::new(namespace.clone(), name.clone());
            included(context, proxy, name, visited)
        }
    }
}

/// What is wrong with the child is told on the child.
fn included(
    context: &mut Context<'_>,
    proxy: &HttpProxy,
    name: NamespacedName,
    visited: &mut Vec<NamespacedName>,
) -> Result<Connections, Fault> {
    let Some(child) = context.input.reader.http_proxy(&name) else {
        let message = format!("include {name} not found");
        return Err(Fault::new(condition::TCP_INCLUDE_NOT_FOUND, message));
    };
    if child.virtual_host.is_some() {
        let message = format!("root httpproxy cannot include another root httpproxy ({name})");
        return Err(Fault::new(condition::TCP_ROOT_INCLUDES_ROOT, message));
    }
    if visited.contains(&name) || visited.len() >= DEEPEST {
        let names: Vec<String> = visited.iter().map(ToString::to_string).collect();
        let message = format!("include creates a cycle: {} -> {name}", names.join(" -> "));
        return Err(Fault::new(condition::TCP_INCLUDE_CYCLE, message));
    }
    context.reached.insert(ObjectRef {
        kind: Kind::HttpProxy,
        name: name.clone(),
    });
    visited.push(name.clone());
    let Some(tcp) = &child.tcp_proxy else {
        return Ok(Connections::Nowhere);
    };
    let including = &proxy.metadata.name;
    let share = context.input.reader.includes_until(&name, including);
    let outer = context.account.narrow(budget::include(share));
    let found = follow(context, child, tcp, visited);
    match found {
        Err(fault) if fault.is_too_large() => {
            if !context.account.give_up(&outer) {
                return Err(fault);
            }
            let fault = left_out(&name, including);
            let at = "spec.tcpproxy.include";
            context.faults.error(&proxy.reference(), at, fault);
            Ok(Connections::Wrong)
        }
        found => {
            context.account.widen(&outer);
            found.or_else(|fault| {
                let child = child.reference();
                context.faults.error(&child, "spec.tcpproxy", fault);
                Ok(Connections::Wrong)
            })
        }
    }
}

fn services(
    context: &mut Context<'_>,
    proxy: &HttpProxy,
    tcp: &TcpProxy,
) -> Result<Forwarding, Fault> {
    let mut balancing = balancing(tcp.load_balancer_policy.as_ref());
    if !balancing.hash_policies.is_empty() || !balancing.ignored.is_empty() {
        let policy = tcp.load_balancer_policy.as_ref();
        let strategy = policy.map_or("", |policy| &policy.strategy);
        let message = format!(
            "ignoring field \"Spec.TCPProxy.LoadBalancerPolicy\"; {strategy} load balancer policy is not supported for TCPProxies"
        );
        let fault = Fault::new(condition::TCP_IGNORED_FIELD, message);
        let at = "spec.tcpproxy.loadBalancerPolicy";
        context.faults.warning(&proxy.reference(), at, fault);
        balancing = super::balancing::Balancing::default();
    }
    let health_check = tcp.health_check_policy.as_ref();
    let asked = Asked {
        load_balancing: balancing.load_balancing,
        health_check: health_check.map(tcp_health_check).transpose()?,
        of_connections: true,
        ..Asked::default()
    };
    context
        .account
        .pay(budget::connections(tcp.services.len()))?;
    let sum = tcp.services.iter().map(|service| service.weight.max(0));
    let is_even = sum.sum::<i64>() == 0;
    let mut forwarding = Forwarding {
        shares: Vec::new(),
        refused: 0,
        hash_source_ip: false,
        idle_timeout: Some(IDLE_TIMEOUT),
    };
    for service in &tcp.services {
        let cluster = cluster_of(context, proxy, service, &asked)?;
        let cluster = cluster.map_err(|why| {
            let message = format!("Spec.TCPProxy unresolved service reference: {why}");
            Fault::new(condition::TCP_UNRESOLVED, message)
        })?;
        let weight = match is_even {
            true => 1,
            false => u32::try_from(service.weight).unwrap_or(u32::MAX),
        };
        if weight > 0 {
            forwarding.shares.push(Share { cluster, weight });
        }
    }
    Ok(forwarding)
}

/// The field of a root that says where connections go.
pub fn source(root: &HttpProxy) -> FieldRef {
    at(root, "spec.tcpproxy")
}

/// A field of a proxy.
pub fn at(proxy: &HttpProxy, path: &str) -> FieldRef {
    FieldRef::new(proxy.reference(), Field::At(Arc::from(path)))
}
