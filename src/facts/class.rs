//! Which Ingresses are ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::objects::{CONTROLLER, Ingress, IngressClass};

/// The class that manifests may name without bringing its IngressClass.
pub const DEFAULT_CLASS: &str = "isobath";

/// How an Ingress comes to be ours.
#[derive(Clone, Debug, Default)]
pub struct ClassSelection {
    /// `--ingress-class`: this name and no other, whether an IngressClass of that name exists or not.
    pub name: Option<Arc<str>>,
    /// Manifests instead of an API server: nobody fills in a default class, so an Ingress without a class is
    /// ours, and an IngressClass `isobath` is taken for granted where none of ours is given.
    pub manifests: bool,
}

/// The class that an Ingress names. The annotations are older than the field and win over it, as in Contour; one
/// without a value says nothing.
#[must_use]
pub fn class_of(ingress: &Ingress) -> Option<Arc<str>> {
    [
        "projectcontour.io/ingress.class",
        "kubernetes.io/ingress.class",
    ]
    .into_iter()
    .filter_map(|key| ingress.metadata.annotations.get(key))
    .chain(&ingress.class_name)
    .find(|name| !name.is_empty())
    .cloned()
}

impl ClassSelection {
    /// Whether Ingresses of this class are served, given all IngressClasses.
    #[must_use]
    pub fn serves(
        &self,
        class: Option<&str>,
        classes: &BTreeMap<Arc<str>, Arc<IngressClass>>,
    ) -> bool {
        let ours = |class: &IngressClass| &*class.controller == CONTROLLER;
        let Some(class) = class else {
            // Those that are older than the default class: the API server gives the others their class.
            let is_default = |(name, class): (&Arc<str>, &Arc<IngressClass>)| {
                let is_chosen = self.name.as_ref().is_none_or(|chosen| chosen == name);
                ours(class) && class.is_default && is_chosen
            };
            return self.manifests || classes.iter().any(is_default);
        };
        if let Some(name) = &self.name {
            return class == &**name;
        }
        match classes.get(class) {
            Some(class) => ours(class),
            None => {
                let assumed = self.manifests && class == DEFAULT_CLASS;
                assumed && !classes.values().any(|class| ours(class))
            }
        }
    }
}
