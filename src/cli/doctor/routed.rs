//! The objects by which traffic comes in (Ingresses, HTTPProxies, Gateways, ListenerSets) with their classes, as far as several
//! checks look at them, and which of them are served.

use jiff::Timestamp;
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;

use super::definitions::Served;
use super::installation::{Installation, Stage};
use super::read::{Of, Read, Why, list};
use crate::cli::cluster;
use crate::objects::{CONTROLLER, Kind, gateway_api};

/// How fields of an object are managed by us (`status/ingress.rs`).
const OWN_MANAGER: &str = "isobath";

/// What is known of them.
#[derive(Clone, Debug)]
pub struct Facts {
    /// `--ingress-class`; empty for every class that is ours.
    pub names: Vec<String>,
    /// All IngressClasses.
    pub classes: Read<Vec<Class>>,
    /// The names of the GatewayClasses that are ours.
    pub gateway_classes: Read<Vec<String>>,
    /// The objects, kind by kind.
    pub objects: Vec<(Kind, Read<Vec<Object>>)>,
}

/// An IngressClass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Who serves it.
    pub controller: String,
    /// Whether it is that of Ingresses that name none.
    pub is_default: bool,
    /// When it was made: of several default ones the newest counts.
    pub created: Option<Timestamp>,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The class that it names; of a ListenerSet its Gateway, as NAMESPACE/NAME.
    pub class: Option<String>,
    /// Whether the class is named by the field, and not by an annotation of old, which needs no IngressClass.
    pub is_field: bool,
    /// Whether its status is to have an address.
    pub wants_address: bool,
    /// Whether it has.
    pub has_address: bool,
    /// The Secrets with certificates that it names, as NAMESPACE/NAME.
    pub secrets: Vec<String>,
    /// Who else has written the address.
    pub writers: Vec<String>,
}

impl Object {
    /// As NAMESPACE/NAME.
    pub fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Class {
    /// Whether Isobath serves it.
    pub fn is_ours(&self) -> bool {
        self.controller == CONTROLLER
    }
}

impl Facts {
    /// Asks. Of a kind that is not installed nobody has objects, and few have the right to list them.
    pub async fn ask(
        client: &kube::Client,
        installation: &Installation,
        served: &Read<Served>,
    ) -> Self {
        let is_there = |kind: Kind| match served {
            Ok(served) => !kind.is_custom() || served.serves(kind),
            Err(_) => true,
        };
        let scopes = installation.scopes();
        let is_of_cluster = scopes == [None];
        let mut objects = Vec::new();
        for kind in [
            Kind::Ingress,
            Kind::HttpProxy,
            Kind::Gateway,
            Kind::ListenerSet,
        ] {
            if !is_there(kind) || kind.is_of_gateway_api() && !is_of_cluster {
                continue;
            }
            let mut all = Ok(Vec::new());
            for scope in &scopes {
                let found = listed(client, kind, scope.as_deref(), |it| object(kind, &it)).await;
                all = all.and_then(|mut all: Vec<Object>| {
                    all.extend(found?);
                    Ok(all)
                });
            }
            objects.push((kind, all));
        }
        let gateway_classes = match is_of_cluster && is_there(Kind::GatewayClass) {
            true => listed(client, Kind::GatewayClass, None, own_gateway_class).await,
            false => Ok(Vec::new()),
        };
        let names = installation.plane().list("ingress-class");
        // By name nobody needs them.
        let is_needless = !names.is_empty() && !is_of_cluster;
        let classes = match is_needless && installation.stage() == Stage::After {
            true => Ok(Vec::new()),
            false => listed(client, Kind::IngressClass, None, class).await,
        };
        Self {
            names,
            classes,
            gateway_classes,
            objects,
        }
    }

    /// Those that are served.
    pub fn ours(&self) -> impl Iterator<Item = &Object> {
        let all = self
            .objects
            .iter()
            .flat_map(|(_, objects)| objects.iter().flatten());
        all.filter(|object| self.is_ours(object))
    }

    fn is_ours(&self, object: &Object) -> bool {
        let classes = self.classes.as_deref().unwrap_or_default();
        let gateway_classes = self.gateway_classes.as_deref().unwrap_or_default();
        match (object.kind, &object.class) {
            (Kind::Gateway, class) => class
                .as_ref()
                .is_some_and(|it| gateway_classes.contains(it)),
            (Kind::ListenerSet, parent) => self.objects.iter().any(|(kind, all)| {
                let mut gateways = all.iter().flatten().filter(|_| *kind == Kind::Gateway);
                gateways.any(|it| Some(it.path()) == *parent && self.is_ours(it))
            }),
            (_, Some(class)) if !self.names.is_empty() => self.names.contains(class),
            (Kind::HttpProxy, None) => self.names.is_empty(),
            (Kind::HttpProxy, Some(class)) if class == "contour" => true,
            (_, Some(class)) => classes.iter().any(|it| it.name == *class && it.is_ours()),
            (_, None) => classes.iter().any(|it| {
                let is_named = self.names.is_empty() || self.names.contains(&it.name);
                it.is_default && it.is_ours() && is_named
            }),
        }
    }
}

/// All of a kind; none where the kind is not installed.
async fn listed<T>(
    client: &kube::Client,
    kind: Kind,
    namespace: Option<&str>,
    keep: impl Fn(DynamicObject) -> Option<T>,
) -> Read<Vec<T>> {
    let resource = match kind.group() {
        "" => kind.plural().to_owned(),
        group => format!("{}.{group}", kind.plural()),
    };
    let of = Of {
        resource: &resource,
        namespace,
    };
    let api = cluster::api(client, kind, namespace);
    match list(api, of, ListParams::default(), keep).await {
        Err(unread) if unread.why == Why::Missing && kind.is_custom() => Ok(Vec::new()),
        found => found,
    }
}

fn class(object: DynamicObject) -> Option<Class> {
    let annotations = object.metadata.annotations.unwrap_or_default();
    let default = annotations.get("ingressclass.kubernetes.io/is-default-class");
    Some(Class {
        name: object.metadata.name?,
        controller: text(&object.data["spec"]["controller"]),
        is_default: default.is_some_and(|it| it == "true"),
        created: object.metadata.creation_timestamp.map(|it| it.0),
    })
}

fn own_gateway_class(object: DynamicObject) -> Option<String> {
    let controller = text(&object.data["spec"]["controllerName"]);
    object
        .metadata
        .name
        .filter(|_| controller == gateway_api::CONTROLLER)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list_of(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn object(kind: Kind, object: &DynamicObject) -> Option<Object> {
    let metadata = &object.metadata;
    let namespace = metadata.namespace.clone()?;
    let (spec, status) = (&object.data["spec"], &object.data["status"]);
    let annotations = metadata.annotations.iter().flatten();
    let of_old = |key: &str| {
        let mut named = annotations.clone().filter(|(own, _)| **own == *key);
        named.next().map(|(_, value)| value.clone())
    };
    let annotated = of_old("projectcontour.io/ingress.class").filter(|it| !it.is_empty());
    let annotated = annotated.or_else(|| of_old("kubernetes.io/ingress.class"));
    let annotated = annotated.filter(|it| !it.is_empty());
    let is_route = matches!(kind, Kind::Ingress | Kind::HttpProxy);
    let annotated = annotated.filter(|_| is_route);
    let class = match kind {
        Kind::Gateway => text(&spec["gatewayClassName"]),
        Kind::ListenerSet => {
            let parent = &spec["parentRef"];
            let place = parent["namespace"].as_str().unwrap_or(&namespace);
            format!("{place}/{}", text(&parent["name"]))
        }
        _ => text(&spec["ingressClassName"]),
    };
    let is_field = annotated.is_none();
    let path = |name: &str| match name.split_once('/') {
        Some(_) => name.to_owned(),
        None => format!("{namespace}/{name}"),
    };
    let secrets: Vec<String> = match kind {
        Kind::Ingress => list_of(&spec["tls"])
            .filter_map(|it| it["secretName"].as_str())
            .map(path)
            .collect(),
        Kind::HttpProxy => {
            let name = spec["virtualhost"]["tls"]["secretName"].as_str();
            name.map(path).into_iter().collect()
        }
        _ => list_of(&spec["listeners"])
            .flat_map(|it| list_of(&it["tls"]["certificateRefs"]))
            .filter(|it| it["kind"].as_str().is_none_or(|kind| kind == "Secret"))
            .map(|it| {
                let place = it["namespace"].as_str().unwrap_or(&namespace);
                format!("{place}/{}", text(&it["name"]))
            })
            .collect(),
    };
    let addresses = match kind {
        Kind::Gateway => &status["addresses"],
        _ => &status["loadBalancer"]["ingress"],
    };
    Some(Object {
        kind,
        name: metadata.name.clone()?,
        created: metadata.creation_timestamp.as_ref().map(|it| it.0),
        class: annotated.or(Some(class)).filter(|it| !it.is_empty()),
        is_field,
        wants_address: match kind {
            Kind::ListenerSet => false,
            Kind::HttpProxy => !spec["virtualhost"].is_null(),
            _ => true,
        },
        has_address: list_of(addresses).next().is_some(),
        secrets: secrets
            .into_iter()
            .filter(|it| !it.ends_with('/'))
            .collect(),
        writers: writers(object),
        namespace,
    })
}

/// Who else owns the address in the status. The field has one list, which whoever writes it last owns.
fn writers(object: &DynamicObject) -> Vec<String> {
    let entries = object.metadata.managed_fields.iter().flatten();
    let others = entries.filter(|entry| {
        let fields = entry.fields_v1.as_ref().map(|it| &it.0);
        let owns = fields.is_some_and(|it| !it["f:status"]["f:loadBalancer"].is_null());
        let manager = entry.manager.as_deref().unwrap_or_default();
        owns && !manager.starts_with(OWN_MANAGER)
    });
    let others = others.filter_map(|entry| entry.manager.clone());
    others.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use serde_json::json;

    use super::*;

    fn parsed(kind: Kind, value: Value) -> Object {
        let mut value = value;
        value["apiVersion"] = kind.api_version().into();
        value["kind"] = kind.name().into();
        value["metadata"]["namespace"] = "shop".into();
        value["metadata"]["name"] = "web".into();
        object(kind, &serde_json::from_value(value).unwrap()).unwrap()
    }

    #[test]
    fn objects_name_classes_and_secrets() {
        let ingress = parsed(
            Kind::Ingress,
            json!({
                "metadata": {
                    "annotations": {"kubernetes.io/ingress.class": "old"},
                    "managedFields": [
                        {"manager": "isobath/isobath/isobath", "fieldsV1": {"f:status": {"f:loadBalancer": {}}}},
                        {"manager": "nginx", "fieldsV1": {"f:status": {"f:loadBalancer": {}}}},
                        {"manager": "kubectl", "fieldsV1": {"f:spec": {}}},
                    ],
                },
                "spec": {"ingressClassName": "new", "tls": [{"secretName": "a"}, {}]},
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
            }),
        );
        assert_eq!(
            (ingress.class.as_deref(), ingress.is_field),
            (Some("old"), false)
        );
        assert_eq!(
            (&ingress.secrets[..], ingress.has_address),
            (&["shop/a".to_owned()][..], true)
        );
        assert_eq!(ingress.writers, ["nginx"]);
        let proxy = parsed(
            Kind::HttpProxy,
            json!({"spec": {"virtualhost": {"fqdn": "a", "tls": {"secretName": "certs/b"}}}}),
        );
        assert_eq!((proxy.class, proxy.wants_address), (None, true));
        assert_eq!(proxy.secrets, ["certs/b"]);
        assert!(!parsed(Kind::HttpProxy, json!({"spec": {}})).wants_address);
        let gateway = parsed(
            Kind::Gateway,
            json!({"spec": {"gatewayClassName": "isobath", "listeners": [
                {"tls": {"certificateRefs": [{"name": "c"}, {"kind": "Other", "name": "d"}, {"namespace": "x", "name": "e"}]}},
            ]}}),
        );
        assert_eq!(gateway.secrets, ["shop/c", "x/e"]);
        let set = parsed(
            Kind::ListenerSet,
            json!({"spec": {"parentRef": {"name": "web"}}}),
        );
        assert_eq!(set.class.as_deref(), Some("shop/web"));
        let class = |name: &str, controller: &str, is_default| Class {
            name: name.to_owned(),
            controller: controller.to_owned(),
            is_default,
            ..Class::default()
        };
        let mut facts = Facts {
            names: Vec::new(),
            classes: Ok(vec![
                class("old", CONTROLLER, false),
                class("new", "other", true),
            ]),
            gateway_classes: Ok(vec!["isobath".to_owned()]),
            objects: vec![(Kind::Gateway, Ok(vec![gateway.clone()]))],
        };
        let unclassed = Object {
            class: None,
            ..ingress.clone()
        };
        for (object, expected) in [
            (&ingress, true),
            (&unclassed, false),
            (&gateway, true),
            (&set, true),
        ] {
            assert_eq!(facts.is_ours(object), expected, "{object:?}");
        }
        facts.names = vec!["new".to_owned()];
        assert!(!facts.is_ours(&ingress));
    }
}
