//! The Secrets that Ingresses name: which of them can be used, and what is told of the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::{CertificateNames, ServedIngress};
use crate::model::{Certificate, Validity};
use crate::objects::{Field, KeyAlgorithm, Kind, NamespacedName, Problem, as_place};

use super::{Input, reason, source};

/// The certificate of a Secret, `None` where it is missing or broken, which is the same.
#[must_use]
pub fn certificate(input: Input<'_>, secret: &NamespacedName) -> Option<Certificate> {
    let certificate = input.reader.secret(secret)?.certificate.as_ref().ok()?;
    Some(Certificate {
        name: secret.to_string().into(),
        chain: certificate.chain.clone(),
        key: certificate.key.clone(),
        key_algorithm: certificate.key_algorithm,
        validity: Validity {
            not_before: certificate.not_before,
            not_after: certificate.not_after,
        },
        source: source(Kind::Secret, secret, Field::Data),
    })
}

/// The Secrets of the TLS entries without hosts, which are about every host of the rules: of each kind of key the first
/// that can be used, with its place among these entries. The others are told, once for all of these hosts.
pub fn of_rules(
    input: Input<'_>,
    ingress: ServedIngress<'_>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<KeyAlgorithm, (usize, NamespacedName)> {
    let mut first: BTreeMap<KeyAlgorithm, (usize, NamespacedName)> = BTreeMap::new();
    let mut hostless = ingress
        .tls_of_rules()
        .enumerate()
        .filter_map(|(index, tls)| Some((index, tls.secret_name.as_ref()?)))
        .peekable();
    // Without a host in the rules they are about nothing, and that is told.
    if hostless.peek().is_none() || !ingress.has_ruled_host() {
        return first;
    }
    let mut seen = BTreeSet::new();
    for (index, name) in hostless.filter(|(_, name)| seen.insert(*name)) {
        let secret = ingress.secret_reference(name);
        let told = match usable_certificate(input, ingress, &secret) {
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
            let field = Field::Tls {
                host: None,
                entry: as_place(index),
            };
            problems.push(Problem::new(ingress.field(field), reason, message));
        }
    }
    first
}

/// What a host may know of the certificate of a Secret that an Ingress names.
///
/// # Errors
///
/// Reason and sentence of the problem.
pub fn usable_certificate<'a>(
    input: Input<'a>,
    ingress: ServedIngress<'_>,
    secret: &NamespacedName,
) -> Result<CertificateNames<'a>, (&'static str, String)> {
    if !input.reader.is_delegated(secret, &ingress.name().namespace) {
        let message = format!(
            "Secret {secret} is not delegated to namespace {}",
            ingress.name().namespace
        );
        return Err((reason::SECRET_NOT_DELEGATED, message));
    }
    input
        .reader
        .certificate_names(secret)
        .map_err(|why| match why {
            None => (
                reason::SECRET_NOT_FOUND,
                format!("Secret {secret} of type kubernetes.io/tls does not exist"),
            ),
            Some(why) => (
                reason::SECRET_NOT_VALID,
                format!("Secret {secret} is not valid: {why}"),
            ),
        })
}
