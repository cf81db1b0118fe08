//! What all hosts of one Ingress read of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::facts::ServedIngress;
use crate::objects::{KeyAlgorithm, NamespacedName, Problem};

use super::Input;
use super::policy::{IngressPolicy, ingress_policy};
use super::secret;

/// An Ingress as its hosts see it.
#[derive(Debug, Default, Hash)]
pub struct Reading {
    /// Its annotations.
    pub policy: Arc<IngressPolicy>,
    /// The Secrets of the TLS entries without hosts, which are about every host of its rules: of each kind of key the
    /// first that can be used, with its place among these entries.
    pub of_rules: BTreeMap<KeyAlgorithm, (usize, NamespacedName)>,
    /// Whether a TLS entry names no host, and so is about every host of the rules.
    pub has_tls_of_rules: bool,
}

impl Reading {
    /// Reads an Ingress; of a long one, finds what was read of it.
    pub fn of(input: Input<'_>, ingress: ServedIngress<'_>) -> Arc<Self> {
        match ingress.is_long() {
            true => input.reading(ingress.name()),
            false => Arc::new(Self::new(input, ingress).0),
        }
    }

    /// Reads an Ingress, with what is wrong with its annotations and with the TLS entries that are about all of its rules.
    pub fn new(input: Input<'_>, ingress: ServedIngress<'_>) -> (Self, Vec<Problem>) {
        let settings = input.settings_of(ingress.dialect());
        let (mut policy, mut problems) =
            ingress_policy(ingress.metadata(), ingress.dialect(), &settings);
        if let Some(nginx) = &mut policy.nginx {
            nginx.compat.get_or_insert(input.options.nginx_compat);
        }
        let of_rules = secret::of_rules(input, ingress, &mut problems);
        let reading = Self {
            policy: Arc::new(policy),
            of_rules,
            has_tls_of_rules: ingress.tls_of_rules().next().is_some(),
        };
        (reading, problems)
    }
}
