//! The ConfigMaps of one list of references, whose certificates vouch for clients or for back ends.
//!
//! They become one bundle, which has copies of all that they have. So what they come to is bounded as they are added: two lists of
//! the same ConfigMaps that differ in one are two bundles.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::objects::NamespacedName;
use crate::translate::{Input, TrustBundleKey};

use super::fault::Fault;

/// What one list may come to, in pieces of 64 KiB: two MiB, or thirty-two ConfigMaps.
const MOST_OF_LIST: usize = 32;

/// Those that can be used.
#[derive(Debug, Default)]
pub struct Authorities {
    usable: BTreeSet<NamespacedName>,
    pieces: usize,
}

impl Authorities {
    /// One more.
    ///
    /// # Errors
    ///
    /// `InvalidCACertificateRef` where it is not there, can't be used, or is too much beside those before it.
    pub fn add(&mut self, input: Input<'_>, name: NamespacedName) -> Result<(), Fault> {
        let invalid = |message| Fault::new("InvalidCACertificateRef", message);
        let pieces = input.reader.config_map_authorities(&name);
        let pieces = pieces.map_err(|why| match why {
            None => invalid(format!("ConfigMap {name} does not exist, or has no ca.crt")),
            Some(why) => invalid(format!("ConfigMap {name} can't be used: {why}")),
        })?;
        if self.usable.contains(&name) {
            return Ok(());
        }
        if self.pieces + pieces > MOST_OF_LIST {
            return Err(invalid(format!(
                "ConfigMap {name} is left out: with it the authorities of this list come to more than 2 MiB"
            )));
        }
        self.pieces += pieces;
        self.usable.insert(name);
        Ok(())
    }

    /// The name of their bundle, and its size in pieces of 64 KiB. `None` where there are none.
    pub fn bundle(self) -> Option<(Arc<str>, usize)> {
        let pieces = self.pieces;
        let key = (!self.usable.is_empty()).then(|| TrustBundleKey::of_config_maps(self.usable));
        Some((key?.name(), pieces))
    }
}
