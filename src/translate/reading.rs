//! What all hosts of one Ingress read of it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::objects::{Ingress, KeyAlgorithm, NamespacedName, Problem};

use super::Input;
use super::budget::Account;
use super::policy::{IngressPolicy, ingress_policy};
use super::secret;

/// Annotations that are longer, and more paths than this, are not read again for each host.
const LONG: usize = 256;

/// An Ingress as its hosts see it.
#[derive(Debug)]
pub struct Reading {
    /// Its annotations.
    pub policy: Arc<IngressPolicy>,
    /// What is wrong with them, and with the TLS entries that are about all of its rules.
    pub problems: Vec<Problem>,
    /// The Secrets of the TLS entries without hosts, which are about every host of its rules: of each kind of key the
    /// first that can be used, with the place of its entry.
    pub of_rules: BTreeMap<KeyAlgorithm, (usize, NamespacedName)>,
    /// Whether a TLS entry names no host, and so is about every host of the rules.
    pub has_tls_of_rules: bool,
    account: OnceLock<Account>,
}

impl Reading {
    /// Reads an Ingress, or finds what was read of it.
    pub fn of(input: Input<'_>, ingress: &Ingress) -> Arc<Self> {
        if is_long(input, ingress) {
            let name = &ingress.metadata.name;
            return input.memo.ingresses.get(name, || Self::new(input, ingress));
        }
        Arc::new(Self::new(input, ingress))
    }

    fn new(input: Input<'_>, ingress: &Ingress) -> Self {
        let (policy, mut problems) = ingress_policy(ingress);
        let of_rules = secret::of_rules(input, ingress, &mut problems);
        Self {
            policy: Arc::new(policy),
            problems,
            of_rules,
            has_tls_of_rules: ingress.tls.iter().any(|tls| tls.hosts.is_empty()),
            account: OnceLock::new(),
        }
    }

    /// What the Ingress comes to, and what it may come to. `ingress` is the one that this is read of.
    pub fn account(&self, ingress: &Ingress) -> Account {
        *self
            .account
            .get_or_init(|| Account::new(ingress, &self.policy))
    }
}

fn is_long(input: Input<'_>, ingress: &Ingress) -> bool {
    let annotations = ingress.metadata.annotations.iter();
    input.store.is_long(ingress)
        || annotations.map(|(_, value)| value.len()).sum::<usize>() > LONG
        || ingress.rules.iter().any(|rule| rule.paths.len() > LONG)
}
