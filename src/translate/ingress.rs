//! Ingress as a [`Language`], and the ConfigMap that is about all of them.

use crate::facts::Store;
use crate::model::verdict::{IngressFacts, Statuses};
use crate::model::{Front, Host};
use crate::objects::{Kind, Object, ObjectRef, Problem};

use super::language::Language;
use super::{HostUnit, Input, Prices, budget, host, nginx, object};

/// Ingresses, on the listeners of the fleet.
#[derive(Debug)]
pub struct IngressLanguage;

impl Language for IngressLanguage {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Ingress, Kind::ConfigMap]
    }

    /// They are the hosts that it names.
    fn makes_claims(&self) -> bool {
        false
    }

    fn host(&self, input: Input<'_>, _: &Front, host: &Host, _: &[ObjectRef]) -> HostUnit {
        host::host(input, host)
    }

    fn losing(
        &self,
        input: Input<'_>,
        front: &Front,
        host: &Host,
        claims: &[ObjectRef],
    ) -> HostUnit {
        match (front, claims.first()) {
            (Front::Fleet, Some(first)) => host::losing(input, host, &first.name.namespace),
            _ => HostUnit::default(),
        }
    }

    fn problems(&self, input: Input<'_>, object: &ObjectRef) -> Vec<Problem> {
        match object.kind {
            Kind::ConfigMap => match &input.options.nginx_configmap {
                Some(name) if *name == object.name => {
                    nginx::Policy::problems_of(name, &input.nginx_settings())
                }
                _ => Vec::new(),
            },
            _ => object::of_ingress(input, object),
        }
    }

    fn within_budget(&self, object: Object, prices: Prices<'_>) -> Object {
        match object {
            Object::Ingress(ingress) => Object::Ingress(budget::within_budget(ingress, prices)),
            other => other,
        }
    }

    fn enter(&self, store: &Store, object: &ObjectRef, statuses: &mut Statuses) {
        if object.kind != Kind::Ingress {
            return;
        }
        let Some(ingress) = store.ingress(&object.name) else {
            statuses.ingresses.remove(&object.name);
            return;
        };
        let facts = IngressFacts {
            uid: ingress.metadata.uid.clone(),
            served: store.serves(ingress),
            load_balancer: ingress.load_balancer.clone(),
            ingress: Some(ingress.clone()),
        };
        statuses.ingresses.insert(object.name.clone(), facts);
    }
}
