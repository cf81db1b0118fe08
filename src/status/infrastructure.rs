//! Keeps a Service for each Gateway that bears the labels and annotations of its `spec.infrastructure`.
//!
//! It is headless and selects nothing: tools find a Gateway's labels there, and people the Gateway by its name
//! (`gateway.networking.k8s.io/gateway-name`). It belongs to its Gateway, and goes with it. One that is there under its name and is
//! not ours is left alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::debug;

use super::settle::{Action, SETTLED};
use super::writer::Subject;
use super::writes::CALL_LIMIT;
use crate::model::verdict::{GatewayApiFacts, Infrastructure, Statuses};
use crate::objects::{Kind, NamespacedName, ObjectRef};
use crate::status::api_call::{Failure, within};

/// The label by which the objects of a Gateway are found.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// The label that says whose such an object is.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "isobath");

/// Services of Gateways, as one term as leader knows them.
pub(super) struct Services {
    calls: Calls,
    written: BTreeMap<NamespacedName, Written>,
}

/// What was written for one Gateway.
struct Written {
    uid: Arc<str>,
    wrote: Arc<Infrastructure>,
    at: Instant,
}

/// What calls are made with.
#[derive(Clone)]
pub(super) struct Calls {
    client: Client,
    field_manager: Arc<str>,
}

impl Services {
    pub(super) fn new(client: Client, field_manager: Arc<str>) -> Self {
        Self {
            calls: Calls {
                client,
                field_manager,
            },
            written: BTreeMap::new(),
        }
    }
}

impl Subject for Services {
    type Key = ObjectRef;
    type Facts = GatewayApiFacts;
    type Write = Arc<Infrastructure>;
    type Calls = Calls;

    const IS_STATUS: bool = false;

    /// A Gateway's own status has another writer, which would take away what is told here.
    fn told_as(&self) -> Kind {
        Kind::Service
    }

    fn kind(&self) -> Kind {
        Kind::Gateway
    }

    fn activity(&self) -> String {
        "writing the Services of gateways".to_owned()
    }

    fn of(&self, statuses: &Statuses) -> OrdMap<ObjectRef, GatewayApiFacts> {
        statuses.gateway_api.clone()
    }

    fn name<'a>(&self, object: &'a ObjectRef) -> Option<&'a NamespacedName> {
        (object.kind == Kind::Gateway).then_some(&object.name)
    }

    fn key(&self, name: &NamespacedName) -> ObjectRef {
        ObjectRef {
            kind: Kind::Gateway,
            name: name.clone(),
        }
    }

    fn uid(facts: &GatewayApiFacts) -> &Arc<str> {
        &facts.uid
    }

    fn gone(&mut self, name: &NamespacedName) {
        self.written.remove(name);
    }

    fn decide(
        &mut self,
        name: &NamespacedName,
        facts: &GatewayApiFacts,
        now: Instant,
    ) -> Action<Arc<Infrastructure>> {
        let wanted = facts.wanted.as_ref();
        let Some(wanted) = wanted.and_then(|it| it.infrastructure.as_ref()) else {
            self.written.remove(name);
            return Action::Nothing;
        };
        let written = self.written.get(name);
        match written.filter(|it| it.uid == facts.uid && it.wrote.says_as(wanted)) {
            Some(_) if wanted.is_there => Action::Nothing,
            // The watch has not brought it yet, or somebody has deleted it.
            Some(written) if now < written.at + SETTLED => Action::Later(written.at + SETTLED),
            _ => Action::Write(wanted.clone()),
        }
    }

    fn calls(&self) -> &Calls {
        &self.calls
    }

    async fn call(
        calls: Calls,
        name: NamespacedName,
        facts: GatewayApiFacts,
        wanted: Arc<Arc<Infrastructure>>,
    ) -> Result<&'static str, Failure> {
        let api: Api<Service> = Api::namespaced(calls.client, &name.namespace);
        let there = within(CALL_LIMIT, api.get_opt(&wanted.service)).await?;
        if there.is_some_and(|it| {
            it.labels()
                .get(MANAGED_BY.0)
                .is_none_or(|by| by != MANAGED_BY.1)
        }) {
            let message = format!(
                "Service {}/{} is there and has no label {}={}",
                name.namespace, wanted.service, MANAGED_BY.0, MANAGED_BY.1
            );
            return Err(Failure::Declined(message));
        }
        let params = PatchParams::apply(&calls.field_manager).force();
        let patch = Patch::Apply(service(&name, &facts.uid, &wanted));
        within(CALL_LIMIT, api.patch(&wanted.service, &params, &patch)).await?;
        debug!(gateway = %name, service = %wanted.service, "Service of a Gateway written");
        Ok("ok")
    }

    fn wrote(
        &mut self,
        name: &NamespacedName,
        facts: &GatewayApiFacts,
        wrote: &Arc<Infrastructure>,
        at: Instant,
    ) -> Option<u32> {
        let written = Written {
            uid: facts.uid.clone(),
            wrote: wrote.clone(),
            at,
        };
        self.written.insert(name.clone(), written);
        Some(0)
    }
}

/// The Service. What a Gateway says never takes the place of the labels that it is found by.
fn service(gateway: &NamespacedName, uid: &str, wanted: &Infrastructure) -> Value {
    let all = |pairs: &[(Arc<str>, Arc<str>)]| -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect()
    };
    let mut labels = all(&wanted.labels);
    labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
    // A label has 63 characters at most, and the name of a Gateway 253.
    let name = match gateway.name.len() {
        ..=63 => &*gateway.name,
        _ => &*wanted.service,
    };
    labels.insert(GATEWAY_NAME.to_owned(), name.to_owned());
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": wanted.service,
            "namespace": gateway.namespace,
            "labels": labels,
            "annotations": all(&wanted.annotations),
            "ownerReferences": [{
                "apiVersion": Kind::Gateway.api_version(),
                "kind": Kind::Gateway.name(),
                "name": gateway.name,
                "uid": uid,
            }],
        },
        "spec": {"clusterIP": "None"},
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::verdict::WantedStatus;

    fn infrastructure(label: &str, is_there: bool) -> Arc<Infrastructure> {
        Arc::new(Infrastructure {
            service: "gw-edge-1".into(),
            labels: [
                ("team".into(), label.into()),
                (GATEWAY_NAME.into(), "another".into()),
            ]
            .into(),
            annotations: [("note".into(), "x".into())].into(),
            is_there,
        })
    }

    #[test]
    fn a_gateway_does_not_take_the_labels_that_it_is_found_by() {
        let name = NamespacedName::new("infra", "edge");
        let made = service(&name, "7", &infrastructure("a", false));
        let metadata = &made["metadata"];
        let expected = json!({"team": "a", GATEWAY_NAME: "edge", MANAGED_BY.0: MANAGED_BY.1});
        assert_eq!(metadata["labels"], expected);
        assert_eq!(metadata["annotations"], json!({"note": "x"}));
        assert_eq!(metadata["ownerReferences"][0]["uid"], "7");
        let long = NamespacedName::new("infra", "x".repeat(253));
        let made = service(&long, "7", &infrastructure("a", false));
        assert_eq!(made["metadata"]["labels"][GATEWAY_NAME], "gw-edge-1");
    }

    /// It is written where a term begins, where it says something else, and where it is gone for longer than a watch takes.
    #[tokio::test(start_paused = true)]
    async fn a_service_that_is_gone_is_made_again() {
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let client = Client::try_from(config).unwrap();
        let mut services = Services::new(client, "isobath/a/b".into());
        let name = NamespacedName::new("infra", "edge");
        let facts = |uid: &str, infrastructure: Option<Arc<Infrastructure>>| GatewayApiFacts {
            uid: uid.into(),
            created: None,
            wanted: Some(Arc::new(WantedStatus {
                infrastructure,
                ..WantedStatus::default()
            })),
            room: None,
            seen: Arc::default(),
        };
        let there = |label: &str| Some(infrastructure(label, true));
        let gone = |label: &str| Some(infrastructure(label, false));
        let now = Instant::now();
        let first = facts("1", there("a"));
        assert_eq!(
            services.decide(&name, &first, now),
            Action::Write(there("a").unwrap())
        );
        services.wrote(&name, &first, &there("a").unwrap(), now);
        for (facts, seconds, expected) in [
            (facts("1", there("a")), 1, Action::Nothing),
            (facts("1", gone("a")), 1, Action::Later(now + SETTLED)),
            (facts("1", gone("a")), 31, Action::Write(gone("a").unwrap())),
            (
                facts("1", there("b")),
                1,
                Action::Write(there("b").unwrap()),
            ),
            (
                facts("2", there("a")),
                1,
                Action::Write(there("a").unwrap()),
            ),
        ] {
            let at = now + std::time::Duration::from_secs(seconds);
            assert_eq!(services.decide(&name, &facts, at), expected);
        }
        assert_eq!(
            services.decide(&name, &facts("1", None), now),
            Action::Nothing
        );
    }
}
