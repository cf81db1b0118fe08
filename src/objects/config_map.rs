//! `v1` ConfigMap: the certificates of authorities in it.

use std::sync::Arc;

use super::{CaCertificates, Metadata};

/// A ConfigMap, less everything in it but `ca.crt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigMap {
    /// Name and namespace.
    pub metadata: Metadata,
    /// `ca.crt`, or one sentence on why it can't be used.
    pub authorities: Result<CaCertificates, Arc<str>>,
}
