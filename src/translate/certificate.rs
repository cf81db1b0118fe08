//! Which certificates a host is served with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::facts::{CertificateNames, ServedIngress};
use crate::model::{CipherSuite, Host, TlsServer, TlsSettings};
use crate::objects::{Field, FieldRef, KeyAlgorithm, Kind, NamespacedName, Problem, as_place};

use super::reading::Reading;
use super::secret::usable_certificate;
use super::{Input, reason, source};

/// The certificates that a host is served with, and the Secrets they are in.
#[derive(Clone, Debug, Hash)]
pub struct Choice {
    /// The TLS server that the host belongs to.
    pub server: TlsServer,
    /// The Secrets.
    pub secrets: BTreeSet<NamespacedName>,
    /// The TLS entry that brings them, the first of several.
    pub source: FieldRef,
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
    let mut chosen: Option<Choice> = None;
    let suites = cipher_suites(input, ingresses);
    for &ingress in ingresses {
        let (secrets, field) = usable_secrets(input, host, ingress, problems);
        let Some(field) = field else {
            continue;
        };
        let settings = Reading::of(input, ingress).policy.tls;
        let choice = Choice {
            server: server(input, &secrets, settings, &suites),
            secrets: secrets.into_values().collect(),
            source: ingress.field(field),
        };
        match &chosen {
            None => chosen = Some(choice),
            Some(winner) if winner.server.name == choice.server.name => {}
            Some(winner) => problems.push(Problem::new(
                choice.source,
                reason::TLS_HOST_CONFLICT,
                format!(
                    "host {host} is served with {} of Ingress {}, which is older",
                    winner.server.name, winner.source.object.name
                ),
            )),
        }
    }
    chosen
}

/// Whether each certificate of a choice names another host as well.
pub fn covers(input: Input<'_>, choice: &Choice, host: &Host) -> bool {
    let mut secrets = choice.secrets.iter();
    secrets.all(|secret| {
        let certificate = input.reader.certificate_names(secret);
        certificate.is_ok_and(|certificate| names(certificate, host))
    })
}

/// What ingress-nginx's annotations ask for all of a host: the oldest Ingress of its owner that says any.
fn cipher_suites(input: Input<'_>, ingresses: &[ServedIngress<'_>]) -> Vec<CipherSuite> {
    let owner = ingresses.first().map(|ingress| &ingress.name().namespace);
    let own = ingresses
        .iter()
        .take_while(|ingress| Some(&ingress.name().namespace) == owner);
    let asked = own.filter_map(|ingress| {
        let reading = Reading::of(input, *ingress);
        let nginx = reading.policy.nginx.as_ref()?;
        let asks = nginx.canary.is_none() && !nginx.cipher_suites.is_empty();
        asks.then(|| nginx.cipher_suites.clone())
    });
    asked.into_iter().next().unwrap_or_default()
}

/// The Secrets by kind of key, and the first entry that brings one. Of two with the same kind the first entry holds.
fn usable_secrets(
    input: Input<'_>,
    host: &Host,
    ingress: ServedIngress<'_>,
    problems: &mut Vec<Problem>,
) -> (BTreeMap<KeyAlgorithm, NamespacedName>, Option<Field>) {
    let mut report = |field: &Field, reason, message| {
        let source = ingress.field(field.clone());
        problems.push(Problem::new(source, reason, message));
    };
    let mut found = Vec::new();
    for (entry, (before, tls)) in ingress.tls_naming(host).into_iter().enumerate() {
        let field = Field::Tls {
            host: Some(host.shared()),
            entry: as_place(entry),
        };
        // A missing name is told once for the entry, not for each of its hosts.
        let Some(name) = &tls.secret_name else {
            continue;
        };
        let secret = ingress.secret_reference(name);
        match usable_certificate(input, ingress, &secret) {
            Ok(certificate) => found.push(((before, false), field, secret, certificate)),
            // The same Secret again is the same problem.
            Err((reason, message)) => report(&field, reason, message),
        }
    }
    // What is wrong with these is told once for the object.
    if ingress.is_ruled(host) {
        for (place, secret) in Reading::of(input, ingress).of_rules.values() {
            if let Ok(certificate) = usable_certificate(input, ingress, secret) {
                let field = Field::Tls {
                    host: None,
                    entry: as_place(*place),
                };
                found.push(((*place, true), field, secret.clone(), certificate));
            }
        }
        // As written: an entry that names the host before the entry without hosts that it stands before.
        found.sort_by_key(|(place, ..)| *place);
    }
    let mut secrets: BTreeMap<KeyAlgorithm, NamespacedName> = BTreeMap::new();
    let first = found.first().map(|(_, field, ..)| field.clone());
    for (_, field, secret, certificate) in found {
        if !names(certificate, host) {
            let message = mismatch(certificate, &secret, host);
            report(&field, reason::CERTIFICATE_NAME_MISMATCH, message);
        }
        let other = secrets
            .entry(certificate.key_algorithm)
            .or_insert_with(|| secret.clone());
        if *other != secret {
            let message = format!(
                "host {host} is served with Secret {other}; {secret} has the same kind of key"
            );
            report(&field, reason::TLS_HOST_CONFLICT, message);
        }
    }
    (secrets, first)
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

/// What an Ingress asks for is narrowed to what the operator allows; where that is nothing, the operator's holds.
fn server(
    input: Input<'_>,
    secrets: &BTreeMap<KeyAlgorithm, NamespacedName>,
    settings: TlsSettings,
    suites: &[CipherSuite],
) -> TlsServer {
    let mut certificates: Vec<Arc<str>> = secrets
        .values()
        .map(|name| name.to_string().into())
        .collect();
    certificates.sort();
    let first = secrets
        .values()
        .min()
        .cloned()
        .unwrap_or_else(|| NamespacedName::new("", ""));
    let options = &input.options.tls;
    let parameters = options.parameters(settings);
    let parameters = parameters.unwrap_or_else(|| options.of_any());
    let parameters = options.narrowed(parameters, suites);
    let source = source(Kind::Secret, &first, Field::Data);
    TlsServer::new(certificates, parameters, options.alpn, None, source)
}
