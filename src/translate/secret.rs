//! The Secrets that Ingresses name: which of them can be used, and what is told of the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::{Store, secret_reference};
use crate::model::{Certificate, Validity};
use crate::objects::{
    Ingress, KeyAlgorithm, Kind, NamespacedName, ObjectRef, Problem, TlsCertificate,
};

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

/// The certificate of a Secret that an Ingress names.
///
/// # Errors
///
/// Reason and sentence of the problem.
pub fn usable_certificate<'a>(
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
