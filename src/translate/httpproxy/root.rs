//! A root HTTPProxy as a host.
//!
//! The checks are made in Contour's order, and the first that fails ends the host: 404 in clear, no connection by TLS. Where Ingresses
//! name it too they are merged into it ([`super::beside_ingress`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::facts::Reader;
use crate::model::{Host, PathMatch, Redirect, RouteAction, TlsServer, VirtualHost};
use crate::objects::http_proxy::{
    AuthorizationPolicy, AuthorizationServer, HttpProxy, Route, Tls, VirtualHost as Written,
};
use crate::objects::{Field, NamespacedName};
use crate::translate::{HostUnit, HttpsHost, Input, Options, Passthrough};

use super::condition::{self, Fault};
use super::context::{Context, is_root_namespace};
use super::options::HttpProxyOptions;
use super::policies::{self, Guards, OnlyByTls, Policies};
use super::route::Entry;
use super::tcp::{self, Connections};
use super::tls::{self, Termination};
use super::tree;

/// What a root comes to.
#[derive(Debug)]
pub struct Served {
    /// What holds for all routes of the host, those of Ingresses included.
    pub policies: Policies,
    /// Its own routes, before it is known what the host asks of them.
    pub entries: Vec<Entry>,
    /// The host.
    pub unit: HostUnit,
}

/// Makes the host of a root; `None` where what it includes for connections ends it, and is told.
///
/// # Errors
///
/// What ends it. Problems of its routes and of what it includes are in the context in either case.
pub fn serve(
    context: &mut Context<'_>,
    host: &Host,
    root: &HttpProxy,
    written: &Written,
) -> Result<Option<Served>, Fault> {
    if !is_root_namespace(context.input, &root.metadata.name.namespace) {
        let message = "root HTTPProxy cannot be defined in this namespace";
        return Err(Fault::new(condition::ROOT_NAMESPACE, message));
    }
    if root.routes.is_empty() && root.includes.is_empty() && root.tcp_proxy.is_none() {
        let message = "HTTPProxy.Spec must have at least one Route, Include, or a TCPProxy";
        return Err(Fault::new(condition::NOTHING_DEFINED, message));
    }
    check_permitted(written)?;
    let addresses = policies::addresses(written)?;
    let tls = written.tls.as_ref();
    let termination = tls
        .map(|tls| tls::termination(context, root, written, tls))
        .transpose()?;
    let guards = Guards::read(context, root, written)?;
    let connections = tcp::connections(context, root, written, termination.as_ref())?;
    if matches!(connections, Connections::Wrong) {
        return Ok(None);
    }
    let mut entries = tree::routes(context, root)?;
    let policies = Policies::read(context, root, written, addresses, guards)?;
    policies.check_cost(&entries, &[])?;
    let mut unit = HostUnit::default();
    let is_secure = termination.is_some();
    if let Some(Termination::Here(it)) = &termination {
        keep_guarded(context, &mut entries, &policies, &it.server);
    }
    unit.http = in_clear(host, &entries, &policies, is_secure, context.input.options);
    match (termination, connections) {
        (Some(Termination::Passthrough), Connections::To(forwarding)) => {
            unit.passthrough = Some(Passthrough {
                forwarding,
                source: tcp::source(root),
            });
        }
        (Some(Termination::Here(it)), Connections::To(forwarding)) => {
            unit.tcp = Some(tcp::ended_here(root, &it, forwarding)?);
        }
        (Some(Termination::Here(it)), Connections::Unsaid) => {
            tell_undefined(context, root, &entries, &policies);
            let routes = entries.iter().map(|entry| policies.secured(entry));
            unit.https = Some(HttpsHost {
                server: it.server.clone(),
                secrets: it.secrets.clone(),
                source: tcp::at(root, tls::AT),
                virtual_host: VirtualHost {
                    client_check: it.client_check,
                    ..policies.secured_host(host, routes.collect())
                },
                fallback: it.fallback,
            });
        }
        _ => {}
    }
    unit.is_closed = is_secure && unit.https.is_none() && !unit.is_forwarded();
    if unit.is_forwarded() {
        unit.addresses = policies.addresses().cloned();
    }
    Ok(Some(Served {
        policies,
        entries,
        unit,
    }))
}

/// Takes back `permitInsecure` where what is asked by TLS is not in clear, and tells it once of each proxy. A redirect opens nothing,
/// and whoever follows it is asked; who wants a route open in clear can say that nothing is asked there. Contour serves it unasked.
fn keep_guarded(
    context: &mut Context<'_>,
    entries: &mut [Entry],
    policies: &Policies,
    server: &TlsServer,
) {
    if context.input.options.http_proxy.disable_permit_insecure {
        return;
    }
    let clients = server.clients.as_ref();
    let of_all = clients.filter(|clients| clients.is_required);
    let of_all = of_all.map(|_| OnlyByTls::ClientCertificate);
    let mut told = BTreeSet::new();
    for entry in entries.iter_mut().filter(|entry| entry.permit_insecure) {
        let Some(guard) = of_all.or_else(|| policies.only_by_tls(entry)) else {
            continue;
        };
        entry.permit_insecure = false;
        let source = &entry.route.source;
        if !told.insert(source.object.clone()) {
            continue;
        }
        let (what, how) = match guard {
            OnlyByTls::ClientCertificate => (
                "a certificate of the client is",
                "optionalClientCertificate",
            ),
            OnlyByTls::Token => ("a token is", "jwtVerificationPolicy.disabled of the route"),
            OnlyByTls::Authorization => ("authorization is", "authPolicy.disabled of the route"),
        };
        let message = format!(
            "ignoring field \"Spec.Routes.PermitInsecure\"; {what} asked for by TLS, and can't be in clear: such requests are redirected to HTTPS, unless {how} is set"
        );
        let at = match &source.field {
            Field::At(route) => format!("{route}.permitInsecure"),
            _ => String::new(),
        };
        let fault = Fault::new(condition::IGNORED_FIELD, message);
        context.faults.warning(&source.object, &at, fault);
    }
}

/// Routes that ask for a token of nobody: no request of theirs passes. As in Contour it is told of the first, on the root: the tokens
/// are the root's, whoever asks for them.
fn tell_undefined(
    context: &mut Context<'_>,
    root: &HttpProxy,
    entries: &[Entry],
    policies: &Policies,
) {
    let mut undefined = entries.iter().filter_map(|entry| {
        let fault = policies.undefined_provider(entry)?;
        Some((&entry.route.source, fault))
    });
    if let Some((source, fault)) = undefined.next() {
        let at = match &source.field {
            Field::At(route) if source.object == root.reference() => {
                format!("{route}.jwtVerificationPolicy")
            }
            _ => "spec.virtualhost.jwtProviders".to_owned(),
        };
        context.faults.error(&root.reference(), &at, fault);
    }
}

/// Some guards are for requests that come by TLS which ends here.
fn check_permitted(written: &Written) -> Result<(), Fault> {
    let tls = written.tls.as_ref();
    if tls.is_some_and(|tls| !tls.secret_name.is_empty()) {
        return Ok(());
    }
    if !written.jwt_providers.is_empty() {
        let message = "Spec.VirtualHost.JWTProviders can only be defined for root HTTPProxies that terminate TLS";
        return Err(Fault::new(condition::JWT_NOT_PERMITTED, message));
    }
    let authorization = written.authorization.as_ref();
    if authorization.is_some_and(|it| !it.extension_ref.name.is_empty()) {
        let message = "Spec.VirtualHost.Authorization.ExtensionServiceRef can only be defined for root HTTPProxies that terminate TLS";
        return Err(Fault::new(condition::AUTH_NOT_PERMITTED, message));
    }
    Ok(())
}

/// The host in clear: where it has TLS all routes but those that permit it are redirected.
fn in_clear(
    host: &Host,
    entries: &[Entry],
    policies: &Policies,
    is_secure: bool,
    options: &Options,
) -> Option<VirtualHost> {
    let https_port = options.https_port;
    let disable_permit_insecure = options.http_proxy.disable_permit_insecure;
    if entries.is_empty() {
        return None;
    }
    let permits = |entry: &Entry| entry.permit_insecure && !disable_permit_insecure;
    let is_redirected = |entry: &Entry| is_secure && !permits(entry);
    let takes_all = |entry: &Entry| {
        let matches = &entry.route.matches;
        matches.path == PathMatch::StringPrefix(Arc::from("/")) && matches.conditions.is_none()
    };
    let last = entries.iter().find(|entry| takes_all(entry));
    if let Some(last) = last
        && entries.iter().all(is_redirected)
        && policies.is_none()
    {
        let source = last.route.source.clone();
        return Some(VirtualHost::https_redirect(
            host.clone(),
            source,
            https_port,
        ));
    }
    let routes = entries.iter().map(|entry| match is_redirected(entry) {
        false => policies.in_clear(entry),
        true => {
            let action = RouteAction::Redirect(Redirect::to_https(https_port));
            let redirect = entry.route.clone().answered(action);
            policies.guard(redirect)
        }
    });
    Some(policies.virtual_host(host, routes.collect()))
}

/// Whether a root guards its host, or any route on it, be it of what it includes. Where it fails, an Ingress on that host would else
/// be served without.
#[must_use]
pub fn has_guards(input: Input<'_>, root: &HttpProxy, written: &Written) -> bool {
    let options = &input.options.http_proxy;
    guards_host(written, options) || guards_routes(input.reader, root, options)
}

fn guards_host(written: &Written, options: &HttpProxyOptions) -> bool {
    let tls = written.tls.as_ref();
    // What is passed on is not decrypted for others, nor is it sent by a version that its owner rules out.
    let of_tls = |tls: &Tls| {
        tls.client_validation.is_some()
            || tls.passthrough
            || &*tls.minimum_protocol_version == "1.3"
    };
    // It may switch on what the operator has off.
    let is_switched_on = |it: &AuthorizationServer| asks(it.auth_policy.as_ref(), options);
    let authorization = written.authorization.as_ref();
    tls.is_some_and(of_tls)
        || authorization.is_some_and(|it| !it.extension_ref.name.is_empty() || is_switched_on(it))
        || !written.jwt_providers.is_empty()
        || !written.ip_allow_policy.is_empty()
        || !written.ip_deny_policy.is_empty()
        || written.rate_limit_policy.is_some()
}

fn asks(policy: Option<&AuthorizationPolicy>, options: &HttpProxyOptions) -> bool {
    options.global_authorization.is_some() && policy.is_some_and(|policy| !policy.disabled)
}

/// Includes that are wrong are followed as well: what they were to guard is not known better.
fn guards_routes(reader: Reader<'_>, root: &HttpProxy, options: &HttpProxyOptions) -> bool {
    /// More are not looked through, and count as guarded.
    const MOST: usize = 1000;
    let is_guarded = |route: &Route| {
        route.policies.as_ref().is_some_and(|route| {
            !route.ip_allow_policy.is_empty()
                || !route.ip_deny_policy.is_empty()
                || route.rate_limit_policy.is_some()
                || asks(route.auth_policy.as_ref(), options)
        })
    };
    let mut seen = BTreeSet::new();
    let mut left = vec![root];
    while let Some(proxy) = left.pop() {
        if proxy.routes.iter().any(is_guarded) {
            return true;
        }
        for include in &proxy.includes {
            let namespace = match include.namespace.is_empty() {
                true => &proxy.metadata.name.namespace,
                false => &include.namespace,
            };
            let name = NamespacedName::new(namespace.clone(), include.name.clone());
            let child = reader.http_proxy(&name);
            if seen.insert(name) {
                left.extend(child.map(|child| &**child));
            }
            if seen.len() > MOST {
                return true;
            }
        }
    }
    false
}
