//! `virtualhost.tls`: what ends a host's TLS, and what is asked of clients.
//!
//! Where Contour serves what it calls invalid (no authority to verify clients by), the host is closed.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{
    ClientCertificates, ClientCheck, ClientVerification, ForwardedCertificate, TlsServer,
    TlsSettings, TlsVersion,
};
use crate::objects::http_proxy::{DownstreamValidation, HttpProxy, Tls, VirtualHost as Written};
use crate::objects::{Field, FieldRef, Kind, NamespacedName, ObjectRef};
use crate::translate::Fallback;
use crate::translate::TrustBundleKey;

use super::condition::{self, Fault};
use super::context::{Context, Unusable, secret_reference};

/// What becomes of a host's TLS.
#[derive(Clone, Debug)]
pub enum Termination {
    /// Connections go on as they are.
    Passthrough,
    /// It ends here.
    Here(Box<Here>),
    /// It ends here, and no client speaks a version that may be used.
    Nowhere,
}

/// What ends a host's TLS.
#[derive(Clone, Debug)]
pub struct Here {
    /// Certificate and settings.
    pub server: TlsServer,
    /// The Secrets.
    pub secrets: BTreeSet<NamespacedName>,
    /// What requests have to be checked for.
    pub client_check: Option<ClientCheck>,
    /// What it is served with besides, for clients that name nobody in TLS.
    pub fallback: Option<Box<Fallback>>,
}

/// Reads what a root says of TLS.
///
/// # Errors
///
/// What ends the host.
pub fn termination(
    context: &mut Context<'_>,
    root: &HttpProxy,
    written: &Written,
    tls: &Tls,
) -> Result<Termination, Fault> {
    let incompatible = |what: &str| {
        let message = format!("Spec.VirtualHost.TLS: {what}");
        Fault::new(condition::TLS_INCOMPATIBLE, message)
    };
    let config = |what: &str| {
        let message =
            format!("Spec.VirtualHost.TLS: {what} Passthrough and SecretName were specified");
        Fault::new(condition::TLS_CONFIG, message)
    };
    if tls.passthrough && tls.enable_fallback_certificate {
        let fault = incompatible("both Passthrough and enableFallbackCertificate were specified");
        context.faults.error(&root.reference(), AT, fault);
    }
    match (tls.passthrough, tls.secret_name.is_empty()) {
        (true, false) => return Err(config("both")),
        (false, true) => {
            let message = "Spec.VirtualHost.TLS: neither Passthrough nor SecretName were specified";
            return Err(Fault::new(condition::TLS_CONFIG, message));
        }
        (true, true) if tls.client_validation.is_some() => {
            let message =
                "Spec.VirtualHost.TLS passthrough cannot be combined with tls.clientValidation";
            return Err(Fault::new(condition::TLS_INCOMPATIBLE, message));
        }
        (true, true) => return Ok(Termination::Passthrough),
        (false, false) => {}
    }
    let secret = certificate(context, root, tls)?;
    let options = &context.input.options.tls;
    let parameters = options.parameters(versions(tls)?);
    let fallback = match tls.enable_fallback_certificate {
        true => Some(Box::new(fallback(context, root, written)?)),
        false => None,
    };
    let clients = tls.client_validation.as_ref();
    let clients = clients
        .map(|validation| client_certificates(context, root, validation))
        .transpose()?;
    let Some(parameters) = parameters else {
        // As in Contour it is valid, and nobody can connect.
        let message = "Spec.Virtualhost.TLS the operator allows none of its protocol versions (--tls-minimum-protocol-version, --tls-maximum-protocol-version): nobody can connect";
        let fault = Fault::new(condition::TLS_CONFIG, message);
        context.faults.warning(&root.reference(), AT, fault);
        return Ok(Termination::Nowhere);
    };
    let client_check = clients.as_ref().and_then(ClientCertificates::check);
    let source = ObjectRef {
        kind: Kind::Secret,
        name: secret.clone(),
    };
    let server = TlsServer::new(
        vec![Arc::from(secret.to_string())],
        parameters,
        options.alpn,
        clients.map(Box::new),
        FieldRef::new(source, Field::Data),
    );
    Ok(Termination::Here(Box::new(Here {
        server,
        secrets: BTreeSet::from([secret]),
        client_check,
        fallback,
    })))
}

/// The field.
pub const AT: &str = "spec.virtualhost.tls";

fn certificate(
    context: &Context<'_>,
    root: &HttpProxy,
    tls: &Tls,
) -> Result<NamespacedName, Fault> {
    let namespace = &root.metadata.name.namespace;
    let secret = secret_reference(&tls.secret_name, namespace);
    if !context.input.reader.is_delegated(&secret, namespace) {
        let message = format!(
            "Spec.VirtualHost.TLS Secret \"{}\" certificate delegation not permitted",
            tls.secret_name
        );
        return Err(Fault::new(condition::DELEGATION_NOT_PERMITTED, message));
    }
    let names = match context.sees(&secret) {
        true => context.input.reader.certificate_names(&secret).map(|_| ()),
        false => Err(None),
    };
    names.map_err(|why| {
        let why = Unusable::of(why).text();
        let message = format!(
            "Spec.VirtualHost.TLS Secret \"{}\" is invalid: {why}",
            tls.secret_name
        );
        Fault::new(condition::SECRET_NOT_VALID, message)
    })?;
    Ok(secret)
}

/// What the operator has for clients that name nobody in TLS. Nobody can be asked there for anything but a Host.
fn fallback(context: &Context<'_>, root: &HttpProxy, written: &Written) -> Result<Fallback, Fault> {
    let incompatible = |what: &str| {
        let message = format!("Spec.Virtualhost.TLS fallback & {what} are incompatible");
        Err(Fault::new(condition::TLS_INCOMPATIBLE, message))
    };
    let authorization = written.authorization.as_ref();
    let tls = written.tls.as_ref();
    if tls.is_some_and(|tls| tls.client_validation.is_some()) {
        return incompatible("client validation");
    }
    if authorization.is_some_and(|it| !it.extension_ref.name.is_empty()) {
        return incompatible("client authorization");
    }
    if !written.jwt_providers.is_empty() {
        return incompatible("JWT providers");
    }
    let Some(secret) = &context.input.options.http_proxy.fallback_certificate else {
        let message = "Spec.Virtualhost.TLS enabled fallback but the fallback Certificate Secret is not configured in Contour configuration file";
        return Err(Fault::new(condition::FALLBACK_NOT_PRESENT, message));
    };
    let namespace = &root.metadata.name.namespace;
    if !context.input.reader.is_delegated(secret, namespace) {
        let message = format!(
            "Spec.VirtualHost.TLS fallback Secret \"{secret}\" is not configured for certificate delegation"
        );
        return Err(Fault::new(condition::FALLBACK_NOT_DELEGATED, message));
    }
    let names = context.input.reader.certificate_names(secret);
    names.map_err(|why| {
        let why = Unusable::of(why).text();
        let message = format!("Spec.Virtualhost.TLS fallback certificate is invalid: {why}");
        Fault::new(condition::FALLBACK_NOT_VALID, message)
    })?;
    let source = ObjectRef {
        kind: Kind::Secret,
        name: secret.clone(),
    };
    Ok(Fallback {
        server: TlsServer::new(
            vec![Arc::from(secret.to_string())],
            context.input.options.tls.of_any(),
            context.input.options.tls.alpn,
            None,
            FieldRef::new(source, Field::Data),
        ),
        secrets: BTreeSet::from([secret.clone()]),
    })
}

/// Anything but a version that is still safe counts as the default, as in Contour.
fn versions(tls: &Tls) -> Result<TlsSettings, Fault> {
    let default = TlsSettings::default();
    let version = |text: &str, default| match text {
        "1.2" => TlsVersion::V1_2,
        "1.3" => TlsVersion::V1_3,
        _ => default,
    };
    let minimum = version(&tls.minimum_protocol_version, default.minimum);
    let maximum = version(&tls.maximum_protocol_version, default.maximum);
    if minimum > maximum {
        let message = "Spec.Virtualhost.TLS the minimum protocol version is greater than the maximum protocol version";
        return Err(Fault::new(condition::TLS_CONFIG, message));
    }
    Ok(TlsSettings { minimum, maximum })
}

fn client_certificates(
    context: &Context<'_>,
    root: &HttpProxy,
    validation: &DownstreamValidation,
) -> Result<ClientCertificates, Fault> {
    let namespace = &root.metadata.name.namespace;
    let invalid = |why: &str| {
        let message = format!("Spec.VirtualHost.TLS client validation is invalid: {why}");
        Fault::new(condition::CLIENT_VALIDATION, message)
    };
    let unusable = |what: &str, secret: &NamespacedName, why: Unusable| match why {
        Unusable::NotPermitted => {
            let message = format!(
                "Spec.VirtualHost.TLS {what} Secret \"{secret}\" is invalid: certificate delegation not permitted"
            );
            Fault::new(condition::DELEGATION_NOT_PERMITTED, message)
        }
        why => invalid(&format!(
            "invalid {what} Secret \"{secret}\": {}",
            why.text()
        )),
    };
    let forwarded = validation.forward_client_certificate;
    let forwarded = forwarded.map(|details| ForwardedCertificate {
        certificate: details.cert,
        chain: details.chain,
        subject: details.subject,
        uri: details.uri,
        dns: details.dns,
    });
    if validation.ca_secret.is_empty() {
        if !validation.skip_client_cert_validation {
            return Err(invalid("CA Secret must be specified"));
        }
        // Any certificate will do, and none too: it is only asked for.
        return Ok(ClientCertificates {
            is_required: false,
            verification: None,
            forwarded,
        });
    }
    let authorities = secret_reference(&validation.ca_secret, namespace);
    context
        .authorities(&authorities, namespace)
        .map_err(|why| unusable("CA", &authorities, why))?;
    let revocations = match validation.crl_secret.is_empty() {
        true => None,
        false => {
            let secret = secret_reference(&validation.crl_secret, namespace);
            context
                .revocations(&secret, namespace)
                .map_err(|why| unusable("CRL", &secret, why))?;
            Some(secret)
        }
    };
    Ok(ClientCertificates {
        is_required: !validation.optional_client_certificate,
        verification: Some(ClientVerification {
            authorities: TrustBundleKey {
                revocations,
                ..TrustBundleKey::of_secret(authorities)
            }
            .name(),
            max_depth: None,
            only_leaf_revocations: validation.crl_only_verify_leaf_cert,
            accepts_untrusted: validation.skip_client_cert_validation,
        }),
        forwarded,
    })
}
