//! Which certificates a host is served with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::k8s::{Ingress, KeyAlgorithm, Kind, NamespacedName, Problem, TlsCertificate};
use crate::model::{Certificate, Host, TlsServer, TlsSettings, TlsVersion};
use crate::store::{Store, secret_reference};

use super::policy::ingress_policy;
use super::{Input, owner, reason};

/// The certificate of a Secret, `None` where it is missing or broken, which is the same.
#[must_use]
pub fn certificate(input: Input<'_>, secret: &NamespacedName) -> Option<Certificate> {
    let certificate = input.store.secret(secret)?.certificate.as_ref().ok()?;
    Some(Certificate {
        name: secret.to_string().into(),
        chain: certificate.chain.clone(),
        key: certificate.key.clone(),
        key_algorithm: certificate.key_algorithm,
        not_after: certificate.not_after,
        owner: owner(Kind::Secret, secret),
    })
}

/// The certificates that a host is served with, and the Secrets they are in.
pub struct Choice {
    /// The TLS server that the host belongs to.
    pub server: TlsServer,
    /// The Secrets.
    pub secrets: BTreeSet<NamespacedName>,
    /// The Ingress whose TLS entry brings them.
    pub ingress: NamespacedName,
}

/// Finds the certificates of a host among the Ingresses that name it in a TLS entry, oldest first. The first
/// one with a usable Secret wins; others that disagree are told. The Secrets of one Ingress go side by side, one
/// for each kind of key.
pub fn choose(
    input: Input<'_>,
    host: &Host,
    ingresses: &[&Arc<Ingress>],
    problems: &mut Vec<Problem>,
) -> Option<Choice> {
    let mut chosen: Option<(Choice, &Ingress)> = None;
    for ingress in ingresses {
        let secrets = usable_secrets(input, host, ingress, problems);
        if secrets.is_empty() {
            continue;
        }
        let settings = ingress_policy(ingress).0.tls;
        let choice = Choice {
            server: server(&secrets, settings),
            secrets: secrets.into_values().collect(),
            ingress: ingress.metadata.name.clone(),
        };
        match &chosen {
            None => chosen = Some((choice, ingress)),
            Some((winner, _)) if winner.server.name == choice.server.name => {}
            Some((winner, older)) => problems.push(Problem::new(
                ingress.reference(),
                reason::TLS_HOST_CONFLICT,
                format!(
                    "host {host} is served with {} of Ingress {}, which is older",
                    winner.server.name, older.metadata.name
                ),
            )),
        }
    }
    chosen.map(|(choice, _)| choice)
}

/// The Secrets by kind of key. Of two with the same kind the first entry holds.
fn usable_secrets(
    input: Input<'_>,
    host: &Host,
    ingress: &Ingress,
    problems: &mut Vec<Problem>,
) -> BTreeMap<KeyAlgorithm, NamespacedName> {
    let mut secrets: BTreeMap<KeyAlgorithm, NamespacedName> = BTreeMap::new();
    let mut report =
        |reason, message| problems.push(Problem::new(ingress.reference(), reason, message));
    for tls in input.store.tls_of(ingress, host) {
        // A missing name is told once for the entry, not for each of its hosts.
        let Some(name) = &tls.secret_name else {
            continue;
        };
        let secret = secret_reference(ingress, name);
        let certificate = match usable_certificate(input.store, ingress, &secret) {
            Ok(certificate) => certificate,
            Err((reason, message)) => {
                report(reason, message);
                continue;
            }
        };
        if !certificate.names.iter().any(|name| is_named_by(host, name)) {
            let message = format!("the certificate of Secret {secret} does not name host {host}");
            report(reason::CERTIFICATE_NAME_MISMATCH, message);
        }
        let other = secrets
            .entry(certificate.key_algorithm)
            .or_insert_with(|| secret.clone());
        if *other != secret {
            let message = format!(
                "host {host} is served with Secret {other}; {secret} has the same kind of key"
            );
            report(reason::TLS_HOST_CONFLICT, message);
        }
    }
    secrets
}

fn usable_certificate<'a>(
    store: &'a Store,
    ingress: &Ingress,
    secret: &NamespacedName,
) -> Result<&'a TlsCertificate, (&'static str, String)> {
    if !is_delegated(store, secret, &ingress.metadata.name.namespace) {
        let message = format!(
            "Secret {secret} is not delegated to namespace {}",
            ingress.metadata.name.namespace
        );
        return Err((reason::SECRET_NOT_DELEGATED, message));
    }
    let Some(object) = store.secret(secret) else {
        let message = format!("Secret {secret} of type kubernetes.io/tls does not exist");
        return Err((reason::SECRET_NOT_FOUND, message));
    };
    object.certificate.as_deref().map_err(|why| {
        (
            reason::SECRET_NOT_VALID,
            format!("Secret {secret} is not valid: {why}"),
        )
    })
}

/// Secrets of the own namespace are always allowed, others where their namespace says so in a
/// TLSCertificateDelegation: to this namespace by name, or with `*` alone to all.
fn is_delegated(store: &Store, secret: &NamespacedName, namespace: &Arc<str>) -> bool {
    secret.namespace == *namespace
        || store.delegations(&secret.namespace).any(|delegation| {
            let of_secret = delegation
                .delegations
                .iter()
                .filter(|(name, _)| *name == secret.name);
            of_secret.into_iter().any(|(_, targets)| {
                targets.contains(namespace) || matches!(&targets[..], [all] if &**all == "*")
            })
        })
}

/// Whether a name of a certificate covers the host (RFC 6125: a wildcard stands for one label).
fn is_named_by(host: &Host, name: &str) -> bool {
    name == host.as_str()
        || host
            .covering_wildcard()
            .is_some_and(|wildcard| wildcard.as_str() == name)
}

fn server(secrets: &BTreeMap<KeyAlgorithm, NamespacedName>, settings: TlsSettings) -> TlsServer {
    let mut certificates: Vec<Arc<str>> = secrets
        .values()
        .map(|name| name.to_string().into())
        .collect();
    certificates.sort();
    // `+` and `?` are in no Kubernetes name, so different servers have different names.
    let mut name = certificates.join("+");
    if settings != TlsSettings::default() {
        name = format!(
            "{name}?tls={}-{}",
            version(settings.minimum),
            version(settings.maximum)
        );
    }
    let first = secrets
        .values()
        .min()
        .cloned()
        .unwrap_or_else(|| NamespacedName::new("", ""));
    TlsServer {
        name: name.into(),
        certificates,
        settings,
        owner: owner(Kind::Secret, &first),
    }
}

const fn version(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::V1_2 => "1.2",
        TlsVersion::V1_3 => "1.3",
    }
}
