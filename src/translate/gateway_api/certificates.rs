//! The Secrets that listeners are served with.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::objects::gateway_api::ObjectReference;
use crate::objects::{KeyAlgorithm, NamespacedName};
use crate::translate::Input;

use super::fault::{Fault, first_of};
use super::grants::permitted;

/// A Secret with a certificate, as an object of a kind and namespace names it, and what kind of key it has.
///
/// # Errors
///
/// Why it can't be used. Whether it may be named is asked first: whoever may not learns nothing of it.
pub fn secret(
    input: Input<'_>,
    from: (&str, &Arc<str>),
    reference: &ObjectReference,
) -> Result<(NamespacedName, KeyAlgorithm), Fault> {
    let fault = |message| Fault::new("InvalidCertificateRef", message);
    if !reference.group.is_empty() || &*reference.kind != "Secret" {
        let message = format!("{} {} is no Secret", reference.kind, reference.name);
        return Err(fault(message));
    }
    let name = permitted(input, from, reference)?;
    match input.reader.certificate_names(&name) {
        Ok(certificate) => Ok((name, certificate.key_algorithm)),
        Err(None) => Err(fault(format!("Secret {name} does not exist"))),
        Err(Some(why)) => Err(fault(format!("Secret {name} can't be used: {why}"))),
    }
}

/// The Secrets of a listener, one for each kind of key, and what is wrong with the others.
pub fn certificates(
    input: Input<'_>,
    from: (&str, &Arc<str>),
    references: &[ObjectReference],
) -> (Box<[NamespacedName]>, Option<Fault>) {
    let mut found: BTreeMap<KeyAlgorithm, NamespacedName> = BTreeMap::new();
    let mut faults = Vec::new();
    for reference in references {
        match secret(input, from, reference) {
            Err(fault) => faults.push(fault),
            Ok((name, algorithm)) => {
                if let Some(first) = found.get(&algorithm).filter(|first| **first != name) {
                    let message = format!(
                        "Secret {name} is not served, as Secret {first} has the same kind of key"
                    );
                    faults.push(Fault::new("InvalidCertificateRef", message));
                    continue;
                }
                found.insert(algorithm, name);
            }
        }
    }
    if references.is_empty() {
        let message = "tls.certificateRefs names no Secret";
        faults.push(Fault::new("InvalidCertificateRef", message));
    }
    (found.into_values().collect(), first_of(&faults).err())
}
