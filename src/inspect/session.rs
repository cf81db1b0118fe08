//! What the client asks for and what it shows: a state machine without IO.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource,
};
use serde_json::Value;

use crate::envoy::json::readable;
use crate::xds::ResourceType;

/// One stream.
#[derive(Debug)]
pub(super) struct Session {
    shown: ResourceType,
    /// The type whose resources name those that are shown, where nobody gave names and a wildcard would mean nothing.
    teacher: Option<ResourceType>,
    /// What each resource of the teacher names.
    taught: BTreeMap<String, BTreeSet<String>>,
    /// The types whose first response has not come.
    unanswered: BTreeSet<ResourceType>,
    /// The names that were asked for and have no answer yet.
    pending: BTreeSet<String>,
    /// Whether the request that introduces the client was made.
    introduced: bool,
}

impl Session {
    /// A stream that shows these resources, or all of them, and its first requests.
    pub(super) fn new(shown: ResourceType, names: &[String]) -> (Self, Vec<DeltaDiscoveryRequest>) {
        let teacher = match shown {
            _ if !names.is_empty() => None,
            ResourceType::Listener | ResourceType::Cluster => None,
            ResourceType::Route | ResourceType::Secret => Some(ResourceType::Listener),
            ResourceType::Endpoint => Some(ResourceType::Cluster),
        };
        let mut session = Self {
            shown,
            teacher,
            taught: BTreeMap::new(),
            unanswered: BTreeSet::from([teacher.unwrap_or(shown)]),
            pending: names.iter().cloned().collect(),
            introduced: false,
        };
        // Without names and with a type that has a wildcard: an empty list is that wildcard.
        let request = session.request(teacher.unwrap_or(shown), names.iter().cloned(), []);
        (session, vec![request])
    }

    /// Whether everything that was asked for has an answer.
    pub(super) fn is_complete(&self) -> bool {
        self.unanswered.is_empty() && self.pending.is_empty()
    }

    /// What has no answer, for a message.
    pub(super) fn pending(&self) -> String {
        let names: Vec<_> = self.pending.iter().map(String::as_str).collect();
        if names.is_empty() {
            self.shown.to_string()
        } else {
            format!("{} {}", self.shown, names.join(", "))
        }
    }

    /// Takes a response; returns what to print and what to send.
    pub(super) fn receive(
        &mut self,
        response: DeltaDiscoveryResponse,
    ) -> (String, Vec<DeltaDiscoveryRequest>) {
        let mut text = String::new();
        let mut requests = vec![DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            ..Default::default()
        }];
        let Some(resource_type) = ResourceType::from_type_url(&response.type_url) else {
            // Nobody asked for it. It is acknowledged, so that the stream goes on.
            return (text, requests);
        };
        self.unanswered.remove(&resource_type);
        if Some(resource_type) == self.teacher {
            requests.extend(self.learn(&response));
        } else if resource_type == self.shown {
            let mut resources = response.resources;
            resources.sort_by(|a, b| a.name.cmp(&b.name));
            for resource in &resources {
                self.pending.remove(&resource.name);
                text.push_str(&document(self.shown, resource));
            }
            let mut removed = response.removed_resources;
            removed.sort();
            for name in removed {
                let verb = if self.pending.remove(&name) {
                    "does not exist"
                } else {
                    "removed"
                };
                // Writing to a String can't fail.
                let _ = writeln!(text, "# {} {name} {verb}", self.shown);
            }
        }
        (text, requests)
    }

    /// Takes listeners or clusters, and asks for the names that are new in them. Those that nothing names any more are
    /// unsubscribed.
    fn learn(&mut self, response: &DeltaDiscoveryResponse) -> Option<DeltaDiscoveryRequest> {
        let before = self.all_taught();
        for name in &response.removed_resources {
            self.taught.remove(name);
        }
        for resource in &response.resources {
            let mut names = BTreeSet::new();
            collect_names(
                self.shown,
                &content(&response.type_url, resource),
                &mut names,
            );
            self.taught.insert(resource.name.clone(), names);
        }
        let now = self.all_taught();
        let (new, gone): (Vec<_>, Vec<_>) = (
            now.difference(&before).cloned().collect(),
            before.difference(&now).cloned().collect(),
        );
        self.pending.extend(new.iter().cloned());
        self.pending.retain(|name| now.contains(name));
        (!new.is_empty() || !gone.is_empty()).then(|| self.request(self.shown, new, gone))
    }

    fn all_taught(&self) -> BTreeSet<String> {
        self.taught.values().flatten().cloned().collect()
    }

    fn request(
        &mut self,
        resource_type: ResourceType,
        subscribe: impl IntoIterator<Item = String>,
        unsubscribe: impl IntoIterator<Item = String>,
    ) -> DeltaDiscoveryRequest {
        let node = (!std::mem::replace(&mut self.introduced, true)).then(|| Node {
            id: "isobath-xds".to_owned(),
            cluster: "isobath-xds".to_owned(),
            user_agent_name: "isobath xds".to_owned(),
            ..Default::default()
        });
        DeltaDiscoveryRequest {
            node,
            type_url: resource_type.type_url().to_owned(),
            resource_names_subscribe: subscribe.into_iter().collect(),
            resource_names_unsubscribe: unsubscribe.into_iter().collect(),
            ..Default::default()
        }
    }
}

fn content(type_url: &str, resource: &Resource) -> Value {
    let (type_url, bytes) = match &resource.resource {
        Some(any) => (any.type_url.as_str(), any.value.as_slice()),
        None => (type_url, &[][..]),
    };
    readable(type_url, bytes)
}

/// A YAML document whose first line says what it is: type, name, version.
fn document(resource_type: ResourceType, resource: &Resource) -> String {
    let value = content(resource_type.type_url(), resource);
    // A JSON value can always be written as YAML; JSON is YAML too.
    let yaml = serde_saphyr::to_string(&value).unwrap_or_else(|_| value.to_string());
    let (name, version) = (&resource.name, &resource.version);
    format!(
        "--- # {resource_type} {name} version {version}\n{}\n",
        yaml.trim_end()
    )
}

/// The resources of type `wanted` that a listener or cluster names, wherever in it.
fn collect_names(wanted: ResourceType, value: &Value, names: &mut BTreeSet<String>) {
    let text = |value: Option<&Value>| {
        value
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    match value {
        Value::Object(fields) => {
            match wanted {
                ResourceType::Route => names.extend(text(fields.get("route_config_name"))),
                ResourceType::Secret if fields.contains_key("sds_config") => {
                    names.extend(text(fields.get("name")));
                }
                ResourceType::Endpoint => {
                    if let Some(eds) = fields.get("eds_cluster_config") {
                        names.extend(
                            text(eds.get("service_name")).or_else(|| text(fields.get("name"))),
                        );
                    }
                }
                _ => {}
            }
            for value in fields.values() {
                collect_names(wanted, value, names);
            }
        }
        Value::Array(values) => {
            for value in values {
                collect_names(wanted, value, names);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
