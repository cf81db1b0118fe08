//! Keeps what a Gateway has besides itself: a Service that bears the labels and annotations of its `spec.infrastructure`, and where
//! Gateways are reached by Services of their own, that one with its EndpointSlices.
//!
//! The first is headless and selects nothing: tools find a Gateway's labels there, and people the Gateway by its name
//! (`gateway.networking.k8s.io/gateway-name`). All belongs to its Gateway, and goes with it. What is there under its name and has
//! not the Gateway's `uid` among its owners is left alone, and so is what is being deleted: the Gateway's owner is told, and the watch
//! says when it is gone.

mod kept;
mod load_balancer;

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use kube::Client;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::debug;

use kept::{Calls, metadata, owner, remove};

use super::settle::{Action, SETTLED};
use super::writer::Subject;
use crate::model::verdict::{GatewayApiFacts, Infrastructure, Statuses};
use crate::objects::{Kind, NamespacedName, ObjectRef};
use crate::status::api_call::Failure;

/// Services of Gateways, as one term as leader knows them.
pub(super) struct Services {
    calls: Calls,
    written: BTreeMap<NamespacedName, Written>,
}

/// What was written for one Gateway.
struct Written {
    uid: Arc<str>,
    wrote: Work,
    at: Instant,
}

/// What is to be there for a Gateway, and what is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Work {
    keep: Option<Arc<Infrastructure>>,
    remove: Box<[Arc<str>]>,
    /// Whether nothing but pods differs from what this term has written: a pod that comes or goes concerns every Gateway.
    only_slices: bool,
}

impl Work {
    fn of(facts: &GatewayApiFacts) -> Option<Self> {
        let wanted = facts.wanted.as_ref()?;
        let work = Self {
            keep: wanted.infrastructure.clone(),
            remove: wanted.leftovers.clone(),
            only_slices: false,
        };
        (work.keep.is_some() || !work.remove.is_empty()).then_some(work)
    }

    /// Whether it comes to the same.
    fn is_as(&self, other: &Self) -> bool {
        let keeps = match (&self.keep, &other.keep) {
            (Some(one), Some(other)) => one.says_as(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        keeps && self.remove == other.remove
    }

    /// The same where this was written before, and some of it need not be written again.
    fn after(mut self, wrote: &Self) -> Self {
        if let (Some(keep), Some(before)) = (&self.keep, &wrote.keep) {
            self.only_slices =
                keep.has_services && keep.has_services_as(before) && self.remove.is_empty();
        }
        self
    }

    /// Whether nothing is left to be done, as far as is seen.
    fn is_done(&self) -> bool {
        self.remove.is_empty() && self.keep.as_ref().is_none_or(|keep| keep.is_there)
    }
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
    type Write = Work;
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

    fn of(&mut self, statuses: &Statuses) -> OrdMap<ObjectRef, GatewayApiFacts> {
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
    ) -> Action<Work> {
        let Some(work) = Work::of(facts) else {
            self.written.remove(name);
            return Action::Nothing;
        };
        let written = self.written.get(name);
        match written.filter(|it| it.uid == facts.uid) {
            Some(written) if written.wrote.is_as(&work) => match work.is_done() {
                true => Action::Nothing,
                // The watch has not brought it yet, or somebody has deleted it.
                false if now < written.at + SETTLED => Action::Later(written.at + SETTLED),
                false => Action::Write(work.after(&written.wrote)),
            },
            Some(written) => Action::Write(work.after(&written.wrote)),
            None => Action::Write(work),
        }
    }

    fn calls(&self) -> &Calls {
        &self.calls
    }

    async fn call(
        calls: Calls,
        name: NamespacedName,
        facts: GatewayApiFacts,
        work: Arc<Work>,
    ) -> Result<&'static str, Failure> {
        for service in &work.remove {
            remove(&calls, &name, &facts.uid, service).await?;
        }
        let Some(wanted) = &work.keep else {
            return Ok("ok");
        };
        let owner = (&name, &*facts.uid);
        if let (true, Some(of)) = (work.only_slices, &wanted.load_balancer)
            && load_balancer::keep_slices(&calls, owner, wanted, of).await?
        {
            return Ok("ok");
        }
        let bearing = service(&name, &facts.uid, wanted);
        let bearing = calls.keep(owner, &wanted.service, bearing).await;
        // What is in the way of the one is not in that of the other.
        if let Err(failure) = &bearing
            && !matches!(failure, Failure::Declined(_))
        {
            return Err(failure.clone());
        }
        if let Some(of) = &wanted.load_balancer {
            load_balancer::keep(&calls, owner, wanted, of).await?;
        }
        bearing?;
        debug!(gateway = %name, service = %wanted.service, "Service of a Gateway written");
        Ok("ok")
    }

    fn wrote(
        &mut self,
        name: &NamespacedName,
        facts: &GatewayApiFacts,
        wrote: &Work,
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

/// The Service that bears the labels and annotations.
fn service(gateway: &NamespacedName, uid: &str, wanted: &Infrastructure) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(gateway, &owner(gateway, uid), wanted, &wanted.service, &[]),
        "spec": {"clusterIP": "None"},
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::kept::{GATEWAY_NAME, MANAGED_BY};
    use super::*;
    use crate::model::verdict::{LoadBalancer, PodEndpoint, WantedStatus};

    fn infrastructure(label: &str, is_there: bool) -> Arc<Infrastructure> {
        Arc::new(Infrastructure {
            service: "gw-edge-1".into(),
            labels: [
                ("team".into(), label.into()),
                (GATEWAY_NAME.into(), "another".into()),
            ]
            .into(),
            annotations: [("note".into(), "x".into())].into(),
            load_balancer: None,
            in_the_way: Box::default(),
            has_services: is_there,
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

    /// A pod that comes or goes is news to the slices of every Gateway, and to none of their Services.
    #[tokio::test(start_paused = true)]
    async fn a_pod_is_the_business_of_slices() {
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let client = Client::try_from(config).unwrap();
        let mut services = Services::new(client, "isobath/a/b".into());
        let name = NamespacedName::new("infra", "edge");
        let keep = |ports: &[(u16, bool)], pods: &[[u8; 4]], has_services| {
            let pods = pods.iter().map(|address| PodEndpoint {
                address: (*address).into(),
                ready: true,
                serving: true,
                terminating: false,
                zone: None,
            });
            let load_balancer = LoadBalancer {
                service: "gw-edge-1-lb".into(),
                ports: ports.into(),
                address: None,
                pods: pods.collect(),
            };
            Some(Arc::new(Infrastructure {
                load_balancer: Some(load_balancer),
                has_services,
                ..Infrastructure::clone(&infrastructure("a", false))
            }))
        };
        let facts = |infrastructure: &Option<Arc<Infrastructure>>| GatewayApiFacts {
            uid: "1".into(),
            created: None,
            wanted: Some(Arc::new(WantedStatus {
                infrastructure: infrastructure.clone(),
                ..WantedStatus::default()
            })),
            room: None,
            seen: Arc::default(),
        };
        let now = Instant::now();
        let web = &[(80, false)][..];
        let first = keep(web, &[[10, 0, 0, 1]], true);
        let whole = |keep: &Option<Arc<Infrastructure>>, only_slices| Work {
            keep: keep.clone(),
            remove: Box::default(),
            only_slices,
        };
        services.wrote(&name, &facts(&first), &whole(&first, false), now);
        for (next, only_slices) in [
            (keep(web, &[[10, 0, 0, 1], [10, 0, 0, 2]], true), true),
            (keep(web, &[], true), true),
            (keep(web, &[], false), false),
            (keep(&[(80, false), (443, false)], &[], true), false),
        ] {
            let expected = Action::Write(whole(&next, only_slices));
            assert_eq!(services.decide(&name, &facts(&next), now), expected);
        }
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
        let work = |keep| Work {
            keep,
            remove: Box::default(),
            only_slices: false,
        };
        let now = Instant::now();
        let first = facts("1", there("a"));
        assert_eq!(
            services.decide(&name, &first, now),
            Action::Write(work(there("a")))
        );
        services.wrote(&name, &first, &work(there("a")), now);
        for (facts, seconds, expected) in [
            (facts("1", there("a")), 1, Action::Nothing),
            (facts("1", gone("a")), 1, Action::Later(now + SETTLED)),
            (facts("1", gone("a")), 31, Action::Write(work(gone("a")))),
            (facts("1", there("b")), 1, Action::Write(work(there("b")))),
            (facts("2", there("a")), 1, Action::Write(work(there("a")))),
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
