//! What the client asks for and what it shows: a state machine without IO.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource,
};
use prost::Message as _;
use serde_json::Value;

use crate::envoy::json::readable;
use crate::xds::ResourceType;
use crate::xds::wire::Named;

/// Everything of a type, as a name.
const WILDCARD: &str = "*";

/// One stream.
#[derive(Debug)]
pub(super) struct Session {
    shown: ResourceType,
    /// The types whose resources name those that are shown, where a wildcard would mean nothing: to learn all names, or
    /// which of the given ones there are. Those without a wildcard are named by the ones before them.
    teachers: &'static [ResourceType],
    /// The names that were given; none for all.
    given: BTreeSet<String>,
    /// What each resource of a teacher names.
    taught: BTreeMap<(ResourceType, String), BTreeSet<(ResourceType, String)>>,
    /// The types whose first response has not come.
    unanswered: BTreeSet<ResourceType>,
    /// The names that were asked for and have no answer yet.
    pending: BTreeSet<String>,
    /// The given names that do not exist.
    absent: BTreeSet<String>,
    /// Whether the request that introduces the client was made.
    introduced: bool,
}

impl Session {
    /// A stream that shows these resources, or all of them, and its first request.
    pub(super) fn new(shown: ResourceType, names: &[String]) -> (Self, Vec<DeltaDiscoveryRequest>) {
        // For a server `*` means all of the types with a wildcard only, and no name of the others.
        let all = names.iter().any(|name| name == WILDCARD);
        let given: BTreeSet<String> = match all {
            true => BTreeSet::new(),
            false => names.iter().cloned().collect(),
        };
        let teachers: &[ResourceType] = match shown {
            ResourceType::Listener | ResourceType::Cluster | ResourceType::Scope => &[],
            // The server itself says which of these there are.
            ResourceType::Secret | ResourceType::Extension if !given.is_empty() => &[],
            ResourceType::Secret | ResourceType::Extension => &[ResourceType::Listener],
            ResourceType::Route => &[
                ResourceType::Listener,
                ResourceType::Extension,
                ResourceType::Scope,
            ],
            ResourceType::Endpoint => &[ResourceType::Cluster],
        };
        let mut session = Self {
            shown,
            teachers,
            taught: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            pending: given.clone(),
            given: given.clone(),
            absent: BTreeSet::new(),
            introduced: false,
        };
        // Without names and with a type that has a wildcard: an empty list is that wildcard.
        let first: Vec<ResourceType> = match teachers {
            [] => vec![shown],
            _ => teachers
                .iter()
                .copied()
                .filter(|of| of.has_wildcard())
                .collect(),
        };
        let mut requests = Vec::new();
        for of in first {
            let names = if of == shown {
                given.clone()
            } else {
                BTreeSet::new()
            };
            session.unanswered.insert(of);
            requests.push(session.request(of, names, []));
        }
        (session, requests)
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

    /// The given names that do not exist, for a message; `None` if all do.
    pub(super) fn absent(&self) -> Option<String> {
        let names: Vec<_> = self.absent.iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| format!("{} {}", self.shown, names.join(", ")))
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
        let first = self.unanswered.remove(&resource_type);
        if self.teachers.contains(&resource_type) {
            requests.extend(self.learn(resource_type, &response, first));
        } else if resource_type == self.shown {
            let mut resources = response.resources;
            resources.sort_by(|a, b| a.name.cmp(&b.name));
            for resource in &resources {
                self.pending.remove(&resource.name);
                if self.stands_for_nothing(resource) {
                    self.absent.insert(resource.name.clone());
                    // Writing to a String can't fail.
                    let _ = writeln!(text, "# {} {} does not exist", self.shown, resource.name);
                } else {
                    self.absent.remove(&resource.name);
                    text.push_str(&document(self.shown, resource));
                }
            }
            let mut removed = response.removed_resources;
            removed.sort();
            for name in removed {
                let verb = if self.pending.remove(&name) {
                    self.absent.insert(name.clone());
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

    /// Whether a resource is what a server answers for a route table or an assignment that does not exist: empty but for
    /// its name. A Service without endpoints has such an assignment too, and a cluster that names it.
    fn stands_for_nothing(&self, resource: &Resource) -> bool {
        let name = &resource.name;
        let bare = Named { name: name.clone() }.encode_to_vec();
        let is_bare = resource
            .resource
            .as_ref()
            .is_some_and(|any| any.value == bare);
        let is_named = self.taught_names(self.shown).contains(name);
        !self.teachers.is_empty() && self.given.contains(name) && is_bare && !is_named
    }

    /// Takes resources of a teacher, and asks for the names that are new in them. Those that nothing names any more are
    /// unsubscribed. Where names were given, asks for those, when all teachers have answered the `first` time.
    fn learn(
        &mut self,
        teacher: ResourceType,
        response: &DeltaDiscoveryResponse,
        first: bool,
    ) -> Vec<DeltaDiscoveryRequest> {
        let teachers = self.teachers.iter().copied();
        let learners = teachers.filter(|of| !of.has_wildcard());
        let learners: Vec<ResourceType> = learners.chain([self.shown]).collect();
        let names_of = |session: &Self, of| session.taught_names(of);
        let before: Vec<_> = learners.iter().map(|of| names_of(self, *of)).collect();
        for name in &response.removed_resources {
            self.taught.remove(&(teacher, name.clone()));
        }
        for resource in &response.resources {
            let content = content(&response.type_url, resource);
            let mut names = BTreeSet::new();
            for learner in &learners {
                let mut of_type = BTreeSet::new();
                collect_names(*learner, &content, &mut of_type);
                names.extend(of_type.into_iter().map(|name| (*learner, name)));
            }
            self.taught.insert((teacher, resource.name.clone()), names);
        }
        let mut requests = Vec::new();
        for (learner, before) in learners.into_iter().zip(before) {
            let is_shown = learner == self.shown;
            if is_shown && !self.given.is_empty() {
                continue;
            }
            let now = names_of(self, learner);
            let new: Vec<String> = now.difference(&before).cloned().collect();
            let gone: Vec<String> = before.difference(&now).cloned().collect();
            if is_shown {
                self.pending.extend(new.iter().cloned());
                self.pending.retain(|name| now.contains(name));
            }
            if !new.is_empty() || !gone.is_empty() {
                if !is_shown && before.is_empty() {
                    self.unanswered.insert(learner);
                }
                requests.push(self.request(learner, new, gone));
            }
        }
        if first && !self.given.is_empty() && self.unanswered.is_empty() {
            requests.push(self.request(self.shown, self.given.clone(), []));
        }
        requests
    }

    /// What the teachers name of a type.
    fn taught_names(&self, of: ResourceType) -> BTreeSet<String> {
        let names = self.taught.values().flatten();
        let names = names.filter(|(named, _)| *named == of);
        names.map(|(_, name)| name.clone()).collect()
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

/// The resources of type `wanted` that another resource names, wherever in it.
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
                ResourceType::Route => {
                    names.extend(text(fields.get("route_config_name")));
                    names.extend(text(fields.get("route_configuration_name")));
                }
                ResourceType::Extension if fields.contains_key("config_discovery") => {
                    names.extend(text(fields.get("name")));
                }
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
