//! What routes may be attached to: a Gateway, or a ListenerSet of one.

use crate::objects::{Kind, NamespacedName, ObjectRef};
use crate::translate::Input;

use super::effective::EffectiveListener;
use super::fault::Fault;
use super::place::Reach;

/// A parent with the listeners that it brings. What other parents of the Gateway bring is nothing to its routes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EffectiveParent {
    /// The Gateway, where that is ours.
    pub gateway: Option<NamespacedName>,
    /// Why none of its listeners is there.
    pub fault: Option<Fault>,
    /// How the Gateway is reached.
    pub reach: Reach,
    /// Its listeners, as written.
    pub listeners: Box<[EffectiveListener]>,
}

impl EffectiveParent {
    /// Reads a parent.
    pub fn of(input: Input<'_>, parent: &ObjectRef) -> Self {
        let name = match parent.kind {
            Kind::Gateway => Some(parent.name.clone()),
            Kind::ListenerSet => {
                let set = input.reader.listener_set(&parent.name);
                set.and_then(|set| set.gateway())
            }
            _ => None,
        };
        let Some(name) = name else {
            return Self::default();
        };
        let gateway = input.gateway(&name);
        if !gateway.is_ours {
            return Self::default();
        }
        let mut made = Self {
            gateway: Some(name),
            fault: None,
            reach: gateway.reach.clone(),
            listeners: Box::default(),
        };
        if parent.kind == Kind::Gateway {
            made.listeners = gateway.own().into();
        } else if let Some(set) = gateway.sets.get(&parent.name) {
            made.fault = set.fault.clone();
            made.listeners = gateway.of_set(set).into();
        }
        made
    }
}
