//! What is kept for a Gateway: whose it is, and how it is written and removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tracing::debug;

use super::super::writes::CALL_LIMIT;
use crate::model::verdict::Infrastructure;
use crate::objects::{Kind, NamespacedName};
use crate::status::api_call::{Failure, within};

/// The label by which the objects of a Gateway are found.
pub(super) const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// The label that says whose such an object is.
pub(super) const MANAGED_BY: (&str, &str) = crate::objects::Service::MANAGED_BY;

/// What calls are made with.
#[derive(Clone)]
pub struct Calls {
    pub(super) client: Client,
    pub(super) field_manager: Arc<str>,
}

impl Calls {
    /// The Service of that name of a Gateway, of this `uid`, if there is one; declined where it is somebody else's, or is being
    /// deleted.
    pub(super) async fn look(
        &self,
        (gateway, uid): (&NamespacedName, &str),
        name: &str,
    ) -> Result<Option<Service>, Failure> {
        let there = within(CALL_LIMIT, self.services(gateway).get_opt(name)).await?;
        let Some(there) = there else {
            return Ok(None);
        };
        let why = if !is_owned(&there, uid) {
            let (label, value) = MANAGED_BY;
            format!(
                "is there and lacks the label {label}={value} or this Gateway's uid among its owners: it needs another name, but goes by itself if it was of a Gateway before this one"
            )
        } else if there.metadata.deletion_timestamp.is_some() {
            "is being deleted: once it is gone, there will be another one".to_owned()
        } else {
            return Ok(Some(there));
        };
        let namespace = &gateway.namespace;
        Err(Failure::Declined(format!(
            "Service {namespace}/{name} {why}"
        )))
    }

    /// Applies a Service of a Gateway, which nobody else has. By force: what an owner keeps is its own, whoever edits it.
    pub(super) async fn apply(
        &self,
        gateway: &NamespacedName,
        name: &str,
        service: &Value,
    ) -> Result<Service, Failure> {
        let params = PatchParams::apply(&self.field_manager).force();
        let api = self.services(gateway);
        within(CALL_LIMIT, api.patch(name, &params, &Patch::Apply(service))).await
    }

    /// Looks, and applies.
    pub(super) async fn keep(
        &self,
        of: (&NamespacedName, &str),
        name: &str,
        service: Value,
    ) -> Result<Service, Failure> {
        self.look(of, name).await?;
        self.apply(of.0, name, &service).await
    }

    fn services(&self, gateway: &NamespacedName) -> Api<Service> {
        Api::namespaced(self.client.clone(), &gateway.namespace)
    }
}

/// Whether an object is one that Isobath keeps for the owner of this `uid`.
pub(super) fn is_owned(object: &impl ResourceExt, uid: &str) -> bool {
    let mut owners = object.owner_references().iter();
    is_labelled(object) && owners.any(|owner| owner.uid == uid)
}

/// Whether an object says that Isobath keeps it, for whomever.
pub(super) fn is_labelled(object: &impl ResourceExt) -> bool {
    let (label, value) = MANAGED_BY;
    object.labels().get(label).is_some_and(|by| by == value)
}

/// Removes a Service of a Gateway, if it is that Gateway's and ours.
pub(super) async fn remove(
    calls: &Calls,
    gateway: &NamespacedName,
    uid: &str,
    name: &str,
) -> Result<(), Failure> {
    let api = calls.services(gateway);
    let Some(there) = within(CALL_LIMIT, api.get_opt(name)).await? else {
        return Ok(());
    };
    if !is_owned(&there, uid) {
        return Ok(());
    }
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: there.uid(),
            resource_version: there.resource_version(),
        }),
        ..DeleteParams::default()
    };
    match within(CALL_LIMIT, api.delete(name, &params)).await {
        Ok(_) => {
            debug!(%gateway, service = name, "Service of a Gateway removed");
            Ok(())
        }
        Err(failure) if failure.code() == Some(404) => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// `metadata` of what is kept for a Gateway. What a Gateway says never takes the place of the labels that it is found by.
pub(super) fn metadata(
    gateway: &NamespacedName,
    owner: &Value,
    wanted: &Infrastructure,
    name: &str,
    more: &[(&str, &str)],
) -> Value {
    let all = |pairs: &[(Arc<str>, Arc<str>)]| -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect()
    };
    let mut labels = all(&wanted.labels);
    labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
    // A label has 63 characters at most, and the name of a Gateway 253.
    let of_gateway = match gateway.name.len() {
        ..=63 => &*gateway.name,
        _ => &*wanted.service,
    };
    labels.insert(GATEWAY_NAME.to_owned(), of_gateway.to_owned());
    let more = more.iter();
    labels.extend(more.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    json!({
        "name": name,
        "namespace": gateway.namespace,
        "labels": labels,
        "annotations": all(&wanted.annotations),
        "ownerReferences": [owner],
    })
}

/// A Gateway as the owner of what is kept for it.
pub(super) fn owner(gateway: &NamespacedName, uid: &str) -> Value {
    json!({
        "apiVersion": Kind::Gateway.api_version(),
        "kind": Kind::Gateway.name(),
        "name": gateway.name,
        "uid": uid,
    })
}
