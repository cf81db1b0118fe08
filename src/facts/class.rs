//! Which Ingresses are ours.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::objects::{CONTROLLER, Ingress, IngressClass, NamespacedName};

use super::changes::Changes;
use super::objects::Objects;
use super::{Indexed, Store};

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
    pub fn serves(&self, class: Option<&str>, classes: &Objects<IngressClass>) -> bool {
        let ours = |class: &IngressClass| &*class.controller == CONTROLLER;
        let Some(class) = class else {
            // Those that are older than the default class: the API server gives the others their class.
            let is_default = |class: &Arc<IngressClass>| {
                let name = &class.metadata.name.name;
                let is_chosen = self.name.as_ref().is_none_or(|chosen| chosen == name);
                ours(class) && class.is_default && is_chosen
            };
            return self.manifests || classes.iter().any(is_default);
        };
        if let Some(name) = &self.name {
            return class == &**name;
        }
        match classes.find("", class) {
            Some(class) => ours(class),
            None => {
                let assumed = self.manifests && class == DEFAULT_CLASS;
                assumed && !classes.iter().any(|class| ours(class))
            }
        }
    }
}

impl Indexed for IngressClass {
    /// Files the Ingresses that are served otherwise than before: those of this class, those without one, those of the
    /// assumed one.
    fn replace(
        store: &mut Store,
        name: &NamespacedName,
        _: Option<Arc<Self>>,
        new: Option<Arc<Self>>,
        changes: &mut Changes,
    ) {
        changes.object::<Self>(name);
        let classes = [Some(name.name.clone()), None, Some(DEFAULT_CLASS.into())];
        let concerned: BTreeSet<NamespacedName> = classes
            .iter()
            .flat_map(|class| store.by_class.get(class).cloned())
            .collect();
        let ingresses: Vec<(Arc<Ingress>, bool)> = concerned
            .iter()
            .filter_map(|name| store.ingress(name))
            .map(|ingress| (ingress.clone(), store.serves(ingress)))
            .collect();
        store.tables.put(name, new);
        for (ingress, was_served) in ingresses {
            let is_served = store.serves(&ingress);
            if was_served == is_served {
                continue;
            }
            changes.object::<Ingress>(&ingress.metadata.name);
            match is_served {
                true => store.serve(None, Some(&ingress), changes),
                false => store.serve(Some(&ingress), None, changes),
            }
        }
    }
}
