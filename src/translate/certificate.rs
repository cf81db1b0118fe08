//! Which certificates a host is served with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::facts::{CertificateNames, ServedIngress};
use crate::model::{Host, TlsServer, TlsSettings, TlsVersion};
use crate::objects::{KeyAlgorithm, Kind, NamespacedName, Problem};

use super::reading::Reading;
use super::secret::usable_certificate;
use super::{Input, owner, reason};

/// The certificates that a host is served with, and the Secrets they are in.
#[derive(Clone, Debug, Hash)]
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
    ingresses: &[ServedIngress<'_>],
    problems: &mut Vec<Problem>,
) -> Option<Choice> {
    let mut chosen: Option<(Choice, ServedIngress<'_>)> = None;
    for &ingress in ingresses {
        let secrets = usable_secrets(input, host, ingress, problems);
        if secrets.is_empty() {
            continue;
        }
        let settings = Reading::of(input, ingress).policy.tls;
        let choice = Choice {
            server: server(&secrets, settings),
            secrets: secrets.into_values().collect(),
            ingress: ingress.name().clone(),
        };
        match &chosen {
            None => chosen = Some((choice, ingress)),
            Some((winner, _)) if winner.server.name == choice.server.name => {}
            Some((winner, older)) => problems.push(Problem::new(
                ingress.reference(),
                reason::TLS_HOST_CONFLICT,
                format!(
                    "host {host} is served with {} of Ingress {}, which is older",
                    winner.server.name,
                    older.name()
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
    ingress: ServedIngress<'_>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<KeyAlgorithm, NamespacedName> {
    let mut report =
        |reason, message| problems.push(Problem::new(ingress.reference(), reason, message));
    let mut found = Vec::new();
    for (before, tls) in ingress.tls_naming(host) {
        // A missing name is told once for the entry, not for each of its hosts.
        let Some(name) = &tls.secret_name else {
            continue;
        };
        let secret = ingress.secret_reference(name);
        match usable_certificate(input, ingress, &secret) {
            Ok(certificate) => found.push(((before, false), secret, certificate)),
            // The same Secret again is the same problem.
            Err((reason, message)) => report(reason, message),
        }
    }
    // What is wrong with these is told once for the object.
    if ingress.is_ruled(host) {
        for (place, secret) in Reading::of(input, ingress).of_rules.values() {
            if let Ok(certificate) = usable_certificate(input, ingress, secret) {
                found.push(((*place, true), secret.clone(), certificate));
            }
        }
        // As written: an entry that names the host before the entry without hosts that it stands before.
        found.sort_by_key(|(place, _, _)| *place);
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

/// Why clients of the host refuse a certificate that does not name it.
fn mismatch(certificate: CertificateNames<'_>, secret: &NamespacedName, host: &Host) -> String {
    let is_host = |name: &str| {
        let wildcard = host.covering_wildcard();
        name == host.as_str() || wildcard.is_some_and(|wildcard| name == wildcard.as_str())
    };
    match certificate.common_name {
        Some(name) if is_host(name) => format!(
            "the certificate of Secret {secret} names host {host} as its common name only, which browsers do not read: it needs a subjectAltName"
        ),
        _ => format!("the certificate of Secret {secret} does not name host {host}"),
    }
}

/// Whether a certificate covers the host (RFC 6125: a wildcard stands for one label). One can have more names than there
/// are hosts: they are sorted.
fn names(certificate: CertificateNames<'_>, host: &Host) -> bool {
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
