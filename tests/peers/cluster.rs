//! Objects of one API server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use futures::StreamExt as _;
use isobath::objects::Kind;
use serde_json::{Value, json};

use crate::answers::Told;
use crate::control_plane::{ADMIN, ControlPlane};

/// Kind, namespace, name.
pub(crate) type Reference = (String, String, String);

/// Requests under way at a time.
const AT_ONCE: usize = 16;

/// An API server with Contour's definitions, and what was tried to put into it.
pub(crate) struct Cluster {
    pub(crate) plane: ControlPlane,
    client: kube::Client,
    /// The classes that are served, where they are not Contour's own.
    pub(crate) classes: &'static [&'static str],
    /// What it refused, and why.
    refused: Mutex<BTreeMap<Reference, String>>,
}

/// What an object is called.
pub(crate) fn reference(object: &Value) -> Reference {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    (
        text(&object["kind"]),
        text(&metadata["namespace"]),
        text(&metadata["name"]),
    )
}

fn path((kind, namespace, name): &Reference) -> String {
    if kind == "Namespace" {
        return format!("/api/v1/namespaces/{name}");
    }
    let found = Kind::ALL.into_iter().find(|it| it.name() == kind);
    let found = found.unwrap_or_else(|| panic!("{kind} is not watched"));
    let version = found.api_version();
    let root = if version.contains('/') { "apis" } else { "api" };
    match found.is_namespaced() {
        true => format!(
            "/{root}/{version}/namespaces/{namespace}/{}/{name}",
            found.plural()
        ),
        false => format!("/{root}/{version}/{}/{name}", found.plural()),
    }
}

impl Cluster {
    /// `None`: the programs are missing and this is not CI.
    pub(crate) async fn start(classes: &'static [&'static str]) -> Option<Self> {
        let plane = ControlPlane::start().await?;
        let definitions = crate::definitions::definitions()?;
        plane.kubectl(ADMIN, &["apply", "--server-side", "-f", "-"], &definitions);
        for kind in [
            "httpproxies",
            "extensionservices",
            "tlscertificatedelegations",
        ] {
            let crd = format!("crd/{kind}.projectcontour.io");
            plane.kubectl_wait(ADMIN, &["wait", "--for=condition=established", &crd]);
        }
        let client = plane.client(ADMIN).await;
        let this = Self {
            plane,
            client,
            classes,
            refused: Mutex::default(),
        };
        // It makes the class of what names none, for both: Contour serves that of its own name.
        let class = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
            "metadata": {"name": "contour", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
            "spec": {"controller": "isobath.dev/ingress-controller"},
        });
        this.apply(&class).await;
        Some(this)
    }

    /// Applies all of them, namespaces first.
    pub(crate) async fn apply_all(&self, objects: &[Value]) {
        let namespaces: BTreeSet<String> = objects.iter().map(|it| reference(it).1).collect();
        for name in namespaces.iter().filter(|name| !name.is_empty()) {
            let metadata = json!({"name": name});
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
            self.apply(&namespace).await;
        }
        futures::stream::iter(objects)
            .for_each_concurrent(AT_ONCE, |object| self.apply(object))
            .await;
    }

    /// Applies one. That it is refused is noted.
    pub(crate) async fn apply(&self, object: &Value) {
        let mut object = object.clone();
        // The API server chooses it.
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("clusterIP");
        }
        let reference = reference(&object);
        let request = http::Request::patch(format!(
            "{}?fieldManager=peers&force=true",
            path(&reference)
        ))
        .header("content-type", "application/apply-patch+yaml")
        .body(object.to_string().into_bytes())
        .unwrap();
        let answer = self.client.request_text(request).await;
        let mut refused = self.refused.lock().unwrap();
        match answer {
            Ok(_) => drop(refused.remove(&reference)),
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 422 | 500) => {
                refused.insert(reference, status.message);
            }
            Err(error) => panic!("{reference:?}: {error}"),
        }
    }

    /// Removes one.
    pub(crate) async fn remove(&self, reference: &Reference) {
        let request = http::Request::delete(path(reference))
            .body(Vec::new())
            .unwrap();
        match self.client.request_text(request).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("{reference:?}: {error}"),
        }
    }

    /// An object as it is now.
    pub(crate) async fn get(&self, reference: &Reference) -> Option<Value> {
        let request = http::Request::get(path(reference))
            .body(Vec::new())
            .unwrap();
        match self.client.request::<Value>(request).await {
            Ok(object) => Some(object),
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(error) => panic!("{reference:?}: {error}"),
        }
    }

    /// What is said of an object.
    pub(crate) async fn told(&self, reference: &Reference) -> Told {
        let word = |word: &str| Told {
            word: word.to_owned(),
            ..Told::default()
        };
        if let Some(message) = self.refused.lock().unwrap().get(reference) {
            return Told {
                messages: vec![message.clone()],
                ..word("unread")
            };
        }
        let Some(object) = self.get(reference).await else {
            return word("unserved");
        };
        // A status that somebody once wrote stays.
        match self.serves(&object) {
            true => told(&object["status"]),
            false => word("unserved"),
        }
    }

    /// Whether an object is of a class that is served; ExtensionServices have none.
    pub(crate) fn serves(&self, object: &Value) -> bool {
        let annotations = &object["metadata"]["annotations"];
        let older = [
            "projectcontour.io/ingress.class",
            "kubernetes.io/ingress.class",
        ]
        .map(|key| annotations[key].as_str());
        let mut named = older.into_iter().flatten().filter(|it| !it.is_empty());
        let named = named.next().or(object["spec"]["ingressClassName"].as_str());
        object["kind"] == "ExtensionService"
            || match (self.classes, named) {
                ([], named) => matches!(named, None | Some("" | "contour")),
                (classes, named) => named.is_some_and(|named| classes.contains(&named)),
            }
    }

    /// What the API server refused.
    pub(crate) fn refused(&self) -> BTreeMap<Reference, String> {
        self.refused.lock().unwrap().clone()
    }
}

/// What a status says, in the words of rows.
fn told(status: &Value) -> Told {
    let conditions = status["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let valid = conditions.find(|condition| condition["type"] == "Valid");
    let valid = valid.cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |key: &str| valid[key].as_array().cloned().unwrap_or_default();
    let names = |list: &[Value]| -> Vec<String> {
        let names = list
            .iter()
            .map(|it| format!("{}/{}", text(&it["type"]), text(&it["reason"])));
        names.collect()
    };
    let (errors, warnings) = (list("errors"), list("warnings"));
    let word = match (status["currentStatus"].as_str(), valid["status"].as_str()) {
        (Some("NotReconciled"), _) | (None, None) => "unserved",
        (Some(word), _) => word,
        (None, Some("True")) => "valid",
        (None, Some(_)) => "invalid",
    };
    let is_orphaned = word == "orphaned";
    Told {
        word: word.to_owned(),
        // Rows do not repeat what the word says.
        errors: match is_orphaned {
            true => Vec::new(),
            false => names(&errors),
        },
        warnings: names(&warnings),
        messages: errors
            .iter()
            .chain(&warnings)
            .map(|it| text(&it["message"]))
            .collect(),
    }
}
