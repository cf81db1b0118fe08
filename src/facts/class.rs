//! Which Ingresses and HTTPProxies are ours.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::objects::{CONTROLLER, HttpProxy, Ingress, IngressClass, Metadata, NamespacedName};

use super::changes::Changes;
use super::objects::Objects;
use super::{Indexed, Store};

/// The class that manifests may name without bringing its IngressClass.
pub const DEFAULT_CLASS: &str = "isobath";

/// How an Ingress or HTTPProxy comes to be ours.
#[derive(Clone, Debug, Default)]
pub struct ClassSelection {
    /// `--ingress-class`: these names and no other, whether IngressClasses of these names exist or not. None for whatever is of an
    /// IngressClass of ours.
    pub names: Arc<[Arc<str>]>,
    /// Manifests instead of an API server: nobody fills in a default class, so an Ingress without a class is
    /// ours, and an IngressClass `isobath` is taken for granted where none of ours is given.
    pub manifests: bool,
}

/// What the annotations of an Ingress mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Isobath's own and Contour's.
    #[default]
    Own,
    /// Those of ingress-nginx besides.
    IngressNginx,
}

/// The annotation by which an IngressClass asks for a dialect, and what it says then.
const DIALECT: (&str, &str) = ("isobath.dev/dialect", "ingress-nginx");

/// The class whose name alone asks for ingress-nginx's dialect, where it is one of those that are served.
const NGINX: &str = "nginx";

/// The class that is served as Contour serves it, which has no IngressClass.
const CONTOUR: &str = "contour";

/// The class that an Ingress names. The annotations are older than the field and win over it, as in Contour; one
/// without a value says nothing.
#[must_use]
pub fn class_of(ingress: &Ingress) -> Option<Arc<str>> {
    named(&ingress.metadata, ingress.class_name.as_ref())
}

/// The class that an HTTPProxy names: the same.
#[must_use]
pub fn class_of_proxy(proxy: &HttpProxy) -> Option<Arc<str>> {
    named(&proxy.metadata, proxy.class_name.as_ref())
}

fn named(metadata: &Metadata, field: Option<&Arc<str>>) -> Option<Arc<str>> {
    [
        "projectcontour.io/ingress.class",
        "kubernetes.io/ingress.class",
    ]
    .into_iter()
    .filter_map(|key| metadata.annotations.get(key))
    .chain(field)
    .find(|name| !name.is_empty())
    .cloned()
}

impl ClassSelection {
    fn names(&self, class: &str) -> bool {
        self.names.iter().any(|name| **name == *class)
    }

    /// Whether Ingresses of this class are served, given all IngressClasses.
    #[must_use]
    pub fn serves(&self, class: Option<&str>, classes: &Objects<IngressClass>) -> bool {
        let ours = |class: &IngressClass| &*class.controller == CONTROLLER;
        let Some(class) = class else {
            // Those that are older than the default class: the API server gives the others their class.
            let is_default = |class: &Arc<IngressClass>| {
                let name = &class.metadata.name.name;
                ours(class) && class.is_default && (self.names.is_empty() || self.names(name))
            };
            return self.manifests || classes.iter().any(is_default);
        };
        if !self.names.is_empty() {
            return self.names(class);
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

impl ClassSelection {
    /// What the annotations of Ingresses of this class mean, which is one that is served: its IngressClass asks for it, or
    /// `--ingress-class nginx`.
    #[must_use]
    pub fn dialect(&self, class: Option<&str>, classes: &Objects<IngressClass>) -> Dialect {
        let asks =
            |class: &Arc<IngressClass>| class.metadata.annotation(DIALECT.0) == Some(DIALECT.1);
        let is_chosen = |name: &str| self.names.is_empty() || self.names(name);
        let is_asked = self.named_dialect(class) == Dialect::IngressNginx
            || match class {
                Some(class) => classes.find("", class).is_some_and(asks),
                None => classes.iter().any(|class| {
                    let is_ours = &*class.controller == CONTROLLER && class.is_default;
                    is_ours && is_chosen(&class.metadata.name.name) && asks(class)
                }),
            };
        match is_asked {
            true => Dialect::IngressNginx,
            false => Dialect::Own,
        }
    }

    /// What is known of it before any IngressClass is: what `--ingress-class nginx` asks for.
    #[must_use]
    pub fn named_dialect(&self, class: Option<&str>) -> Dialect {
        let is_named = match class {
            Some(class) => class == NGINX && self.names(NGINX),
            None => matches!(&*self.names, [only] if **only == *NGINX),
        };
        match is_named {
            true => Dialect::IngressNginx,
            false => Dialect::Own,
        }
    }

    /// Whether HTTPProxies of this class are served, given all IngressClasses. With names only those that name one of them. Without
    /// any those of an IngressClass of ours, as Ingresses, and besides those that name no class, or `contour`: these a
    /// Contour serves that is told of none.
    #[must_use]
    pub fn serves_http_proxy(&self, class: Option<&str>, classes: &Objects<IngressClass>) -> bool {
        match (self.names.is_empty(), class) {
            (false, class) => class.is_some_and(|class| self.names(class)),
            (true, None | Some(CONTOUR)) => true,
            (true, Some(class)) => self.serves(Some(class), classes),
        }
    }
}

impl Indexed for IngressClass {
    /// Files the Ingresses and HTTPProxies that are served otherwise than before: those of this class, those without one,
    /// those of the assumed one.
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
        let ingresses: Vec<(Arc<Ingress>, bool, Dialect)> = concerned
            .iter()
            .filter_map(|name| store.ingress(name))
            .map(|ingress| {
                (
                    ingress.clone(),
                    store.serves(ingress),
                    store.dialect(ingress),
                )
            })
            .collect();
        let proxies: BTreeSet<NamespacedName> = classes
            .iter()
            .flat_map(|class| store.proxies_by_class.get(class).cloned())
            .collect();
        let proxies: Vec<(Arc<HttpProxy>, bool)> = proxies
            .iter()
            .filter_map(|name| store.http_proxy(name))
            .map(|proxy| (proxy.clone(), store.serves_http_proxy(proxy)))
            .collect();
        store.tables.put(name, new);
        for (proxy, was_served) in proxies {
            let is_served = store.serves_http_proxy(&proxy);
            if was_served != is_served {
                changes.object::<HttpProxy>(&proxy.metadata.name);
                let [old, new] = [was_served, is_served].map(|is| is.then_some(&*proxy));
                store.serve_http_proxy(old, new, changes);
            }
        }
        for (ingress, was_served, dialect) in ingresses {
            let is_served = store.serves(&ingress);
            if was_served == is_served {
                let spoken = store.dialect(&ingress);
                if is_served && spoken != dialect {
                    changes.object::<Ingress>(&ingress.metadata.name);
                    store.speak_otherwise(&ingress, changes);
                    let (old, new) = ((&*ingress, dialect), (&*ingress, spoken));
                    store.serve(Some(old), Some(new), changes);
                }
                continue;
            }
            changes.object::<Ingress>(&ingress.metadata.name);
            match is_served {
                true => {
                    let spoken = store.dialect(&ingress);
                    store.serve(None, Some((&ingress, spoken)), changes);
                }
                false => store.serve(Some((&ingress, dialect)), None, changes),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{Annotations, Event, Object};

    fn class(name: &str, dialect: Option<&str>, is_default: bool) -> Object {
        let dialect = dialect.map(|value| (DIALECT.0.into(), Arc::from(value)));
        Object::IngressClass(Arc::new(IngressClass {
            metadata: Metadata {
                name: NamespacedName::new("", name),
                uid: "".into(),
                created: None,
                annotations: Annotations::from_iter(dialect),
            },
            controller: CONTROLLER.into(),
            is_default,
        }))
    }

    #[test]
    fn a_class_asks_for_a_dialect() {
        for (chosen, asked, is_default, class_name, expected) in [
            (
                None,
                Some("ingress-nginx"),
                false,
                Some("web"),
                Dialect::IngressNginx,
            ),
            (None, Some("contour"), false, Some("web"), Dialect::Own),
            (None, None, false, Some("web"), Dialect::Own),
            (None, Some("ingress-nginx"), false, None, Dialect::Own),
            (
                None,
                Some("ingress-nginx"),
                true,
                None,
                Dialect::IngressNginx,
            ),
            (
                None,
                Some("ingress-nginx"),
                true,
                Some("other"),
                Dialect::Own,
            ),
            (
                Some("nginx"),
                None,
                false,
                Some("nginx"),
                Dialect::IngressNginx,
            ),
            (
                Some("other"),
                Some("ingress-nginx"),
                true,
                None,
                Dialect::Own,
            ),
        ] {
            let mut store = Store::new(ClassSelection {
                names: chosen.into_iter().map(Arc::from).collect(),
                manifests: false,
            });
            let object = class("web", asked, is_default);
            store.apply(Event::Apply(object), &mut Changes::unread());
            let classes = store.tables.of::<IngressClass>();
            let found = store.selection.dialect(class_name, classes);
            assert_eq!(
                found, expected,
                "{chosen:?} {asked:?} {is_default} {class_name:?}"
            );
        }
        let several = ClassSelection {
            names: ["edge".into(), "nginx".into()].into(),
            manifests: false,
        };
        let classes = Objects::default();
        for (class_name, expected) in [
            ("edge", Dialect::Own),
            ("nginx", Dialect::IngressNginx),
            ("other", Dialect::Own),
        ] {
            assert_eq!(several.dialect(Some(class_name), &classes), expected);
            assert_eq!(
                several.serves(Some(class_name), &classes),
                class_name != "other"
            );
        }
    }
}
