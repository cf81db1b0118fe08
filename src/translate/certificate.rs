//! Which certificates a host is served with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::facts::{Store, secret_reference};
use crate::model::{Certificate, Host, TlsServer, TlsSettings, TlsVersion, Validity};
use crate::objects::{
    Ingress, KeyAlgorithm, Kind, NamespacedName, ObjectRef, Problem, TlsCertificate,
};

use super::reading::Reading;
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
        validity: Validity {
            not_before: certificate.not_before,
            not_after: certificate.not_after,
        },
        owner: owner(Kind::Secret, secret),
    })
}

/// The certificates that a host is served with, and the Secrets they are in.
#[derive(Clone, Debug)]
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
        let settings = Reading::of(input, ingress).policy.tls;
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
    let mut report =
        |reason, message| problems.push(Problem::new(ingress.reference(), reason, message));
    let mut found = Vec::new();
    for (index, tls) in input.store.tls_naming(ingress, host) {
        // A missing name is told once for the entry, not for each of its hosts.
        let Some(name) = &tls.secret_name else {
            continue;
        };
        let secret = secret_reference(ingress, name);
        match usable_certificate(input.store, ingress, &secret) {
            Ok(certificate) => found.push((index, secret, certificate)),
            // The same Secret again is the same problem.
            Err((reason, message)) => report(reason, message),
        }
    }
    // What is wrong with these is told once for the object.
    if input.store.is_ruled(ingress, host) {
        for (index, secret) in Reading::of(input, ingress).of_rules.values() {
            if let Ok(certificate) = usable_certificate(input.store, ingress, secret) {
                found.push((*index, secret.clone(), certificate));
            }
        }
        found.sort_by_key(|(index, _, _)| *index);
    }
    let mut secrets: BTreeMap<KeyAlgorithm, NamespacedName> = BTreeMap::new();
    for (_, secret, certificate) in found {
        if !names(certificate, host) {
            let message = mismatch(certificate, &secret, host);
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

/// The Secrets of the TLS entries without hosts, which are about every host of the rules: of each kind of key the first
/// that can be used, with the place of its entry. The others are told, once for all of these hosts.
pub fn of_rules(
    input: Input<'_>,
    ingress: &Ingress,
    problems: &mut Vec<Problem>,
) -> BTreeMap<KeyAlgorithm, (usize, NamespacedName)> {
    let mut first: BTreeMap<KeyAlgorithm, (usize, NamespacedName)> = BTreeMap::new();
    let entries = ingress.tls.iter().enumerate();
    let mut hostless = entries
        .filter(|(_, tls)| tls.hosts.is_empty())
        .filter_map(|(index, tls)| Some((index, tls.secret_name.as_ref()?)))
        .peekable();
    // Without a host in the rules they are about nothing, and that is told.
    if hostless.peek().is_none() || ingress.rules.iter().all(|rule| rule.host.is_none()) {
        return first;
    }
    let mut seen = BTreeSet::new();
    for (index, name) in hostless.filter(|(_, name)| seen.insert(*name)) {
        let secret = secret_reference(ingress, name);
        let told = match usable_certificate(input.store, ingress, &secret) {
            Err(told) => Some(told),
            Ok(certificate) => match first.get(&certificate.key_algorithm) {
                None => {
                    first.insert(certificate.key_algorithm, (index, secret));
                    None
                }
                Some((_, other)) => Some((
                    reason::TLS_HOST_CONFLICT,
                    format!(
                        "the hosts of the rules are served with Secret {other}; {secret} has the same kind of key"
                    ),
                )),
            },
        };
        if let Some((reason, message)) = told {
            problems.push(Problem::new(ingress.reference(), reason, message));
        }
    }
    first
}

fn usable_certificate<'a>(
    store: &'a Store,
    ingress: &Ingress,
    secret: &NamespacedName,
) -> Result<&'a TlsCertificate, (&'static str, String)> {
    if !store.is_delegated(secret, &ingress.metadata.name.namespace) {
        let message = format!(
            "Secret {secret} is not delegated to namespace {}",
            ingress.metadata.name.namespace
        );
        return Err((reason::SECRET_NOT_DELEGATED, message));
    }
    let not_valid = |why: &str| {
        let message = format!("Secret {secret} is not valid: {why}");
        (reason::SECRET_NOT_VALID, message)
    };
    let Some(object) = store.secret(secret) else {
        let reference = ObjectRef {
            kind: Kind::Secret,
            name: secret.clone(),
        };
        if let Some(invalid) = store.invalid(&reference) {
            return Err(not_valid(&invalid.reason));
        }
        let message = format!("Secret {secret} of type kubernetes.io/tls does not exist");
        return Err((reason::SECRET_NOT_FOUND, message));
    };
    object.certificate.as_deref().map_err(|why| not_valid(why))
}

/// Why clients of the host refuse a certificate that does not name it.
fn mismatch(certificate: &TlsCertificate, secret: &NamespacedName, host: &Host) -> String {
    let is_host = |name: &str| {
        let wildcard = host.covering_wildcard();
        name == host.as_str() || wildcard.is_some_and(|wildcard| name == wildcard.as_str())
    };
    match &certificate.common_name {
        Some(name) if is_host(name) => format!(
            "the certificate of Secret {secret} names host {host} as its common name only, which browsers do not read: it needs a subjectAltName"
        ),
        _ => format!("the certificate of Secret {secret} does not name host {host}"),
    }
}

/// Whether a certificate covers the host (RFC 6125: a wildcard stands for one label). One can have more names than there
/// are hosts: they are sorted.
fn names(certificate: &TlsCertificate, host: &Host) -> bool {
    let has = |name: &Host| {
        let place = certificate
            .names
            .binary_search_by(|has| (**has).cmp(name.as_str()));
        place.is_ok()
    };
    has(host) || host.covering_wildcard().is_some_and(|name| has(&name))
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
