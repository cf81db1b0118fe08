//! `UpstreamValidation`: whom endpoints have to be.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Authorities, SubjectAltName, Verification};
use crate::objects::http_proxy::UpstreamValidation;
use crate::translate::TrustBundleKey;

use super::condition::{Fault, Kind};
use super::context::{Context, Unusable, secret_reference};

/// In which words it is told what is wrong.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// What it is.
    pub kind: Kind,
    /// What stands before it.
    pub of: &'a str,
    /// What it is where the authorities are another namespace's.
    pub not_delegated: Kind,
    /// The field that names the authorities.
    pub field: &'a str,
}

/// Reads what an object of this namespace says.
///
/// # Errors
///
/// That the authorities can't be used, or that a name is none.
pub fn verification(
    context: &Context<'_>,
    namespace: &Arc<str>,
    validation: &UpstreamValidation,
    words: Words<'_>,
) -> Result<Verification, Fault> {
    let secret = secret_reference(&validation.ca_secret, namespace);
    let refused = |why: &str| Fault::new(words.kind, format!("{}{why}", words.of));
    context
        .authorities(&secret, namespace)
        .map_err(|why| match why {
            Unusable::NotPermitted => {
                let field = words.field;
                let message = format!(
                    "{field} Secret \"{secret}\" is not configured for certificate delegation"
                );
                Fault::new(words.not_delegated, message)
            }
            why => refused(&format!("invalid CA Secret \"{secret}\": {}", why.text())),
        })?;
    let names = validation.subject_names.iter();
    let names: Result<BTreeSet<_>, String> = names.map(|name| SubjectAltName::dns(name)).collect();
    let names = names.map_err(|why| refused(&why))?;
    if names.is_empty() {
        return Err(refused("missing subject alternative name"));
    }
    let bundle = TrustBundleKey::of_secret(secret);
    Ok(Verification {
        authorities: Authorities::Bundle(bundle.name()),
        names,
    })
}
