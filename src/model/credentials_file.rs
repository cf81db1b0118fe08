//! Passwords, as SDS delivers them to the authorizer.

use std::sync::Arc;

use super::FieldRef;
use crate::objects::Credentials;

/// Names and hashes of passwords, for `isobath authz` and nobody else. It is made while a route names it
/// (`build/secrets.rs`), of the Secret that its name tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialsFile {
    /// Unique and stable, and never the name of a certificate or a bundle.
    pub name: Arc<str>,
    /// What it has.
    pub credentials: Credentials,
    /// Where it is from.
    pub source: FieldRef,
}
