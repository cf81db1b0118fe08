//! The statuses of HTTPProxies and ExtensionServices, under Contour's own definitions.

use std::sync::Arc;

use isobath::model::verdict::ConditionFacts;
use isobath::objects::http_proxy::SubCondition;
use isobath::objects::{Kind, NamespacedName, Object, decode};
use serde_json::{Value, json};

use crate::contour;
use crate::corner::{BY_ADDRESS, Corner, RBAC, until};
use crate::replica::Replica;

/// Contour's objects of one corner.
struct Shop<'a>(&'a Corner);

impl Shop<'_> {
    fn kubectl(&self, args: &[&str], stdin: &str) -> String {
        let in_shop = [&["-n", &self.0.shop], args].concat();
        self.0.kubectl(&in_shop, stdin)
    }

    fn create(&self, kind: Kind, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": kind.api_version(), "kind": kind.name(), "metadata": {"name": name}, "spec": spec,
        });
        self.kubectl(&["create", "-f", "-"], &object.to_string());
    }

    fn get(&self, kind: Kind, name: &str) -> Value {
        let resource = format!("{}.{}", kind.plural(), kind.group());
        let text = self.kubectl(&["get", &resource, name, "-o", "json"], "");
        serde_json::from_str(&text).unwrap()
    }

    /// As another controller writes it.
    fn write(&self, kind: Kind, name: &str, status: &Value) {
        let resource = format!("{}.{}", kind.plural(), kind.group());
        let patch = json!({ "status": status }).to_string();
        let flags = ["--subresource=status", "--type=merge", "-p", &patch];
        self.kubectl(&[&["patch", &resource, name], &flags[..]].concat(), "");
    }

    /// What the controller would find of it, as it is there now.
    fn facts(
        &self,
        kind: Kind,
        name: &str,
        served: bool,
        errors: &[SubCondition],
    ) -> ConditionFacts {
        let object = decode(kind, &self.get(kind, name).to_string()).unwrap();
        let (metadata, generation, seen) = match object {
            Object::HttpProxy(proxy) => (
                proxy.metadata.clone(),
                proxy.generation,
                proxy.status.clone(),
            ),
            Object::ExtensionService(service) => {
                let seen = isobath::objects::http_proxy::Status {
                    valid: service.valid.as_deref().cloned(),
                    ..Default::default()
                };
                (service.metadata.clone(), service.generation, Arc::new(seen))
            }
            other => panic!("{other:?}"),
        };
        ConditionFacts {
            uid: metadata.uid,
            generation,
            served,
            errors: errors.into(),
            warnings: Arc::default(),
            seen,
        }
    }

    fn tell(
        &self,
        replica: &Replica,
        kind: Kind,
        name: &str,
        served: bool,
        errors: &[SubCondition],
    ) {
        let facts = self.facts(kind, name, served, errors);
        let name = NamespacedName::new(self.0.shop.as_str(), name);
        replica.say(|statuses| {
            let of_kind = match kind {
                Kind::HttpProxy => &mut statuses.http_proxies,
                _ => &mut statuses.extension_services,
            };
            of_kind.insert(name, facts);
        });
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|it| it["type"] == kind).unwrap()
}

fn error(kind: &str, reason: &str) -> SubCondition {
    SubCondition {
        kind: kind.into(),
        reason: reason.into(),
        message: format!("{reason} it is").into(),
    }
}

async fn corner(name: &str) -> Option<Corner> {
    let (corner, definitions) = (Corner::new(name).await?, contour::definitions()?);
    corner.kubectl(&["apply", "--server-side", "-f", "-"], &definitions);
    for kind in [Kind::HttpProxy, Kind::ExtensionService] {
        let crd = format!("crd/{}.{}", kind.plural(), kind.group());
        corner.wait_established(&crd);
    }
    Some(corner)
}

/// In the place of what Contour has said of it, beside what others say, and once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_are_written_beside_those_of_others() {
    let Some(corner) = corner("conditions").await else {
        return;
    };
    corner.grant(RBAC, |_| false);
    let shop = Shop(&corner);
    let proxy = Kind::HttpProxy;
    for name in ["web", "broken", "other"] {
        shop.create(proxy, name, json!({"virtualhost": {"fqdn": "a.test"}}));
    }
    shop.create(
        Kind::ExtensionService,
        "authz",
        json!({"services": [{"name": "a", "port": 80}]}),
    );
    let of_contour = json!({"type": "Valid", "status": "False", "reason": "ErrorPresent", "message": "m",
        "observedGeneration": 1, "lastTransitionTime": "2024-01-01T00:00:00Z",
        "errors": [{"type": "TLSError", "reason": "SecretNotValid", "status": "True", "message": "e"}]});
    let of_another = json!({"type": "Ready", "status": "True", "reason": "Served", "message": "",
        "lastTransitionTime": "2024-01-01T00:00:00Z"});
    let old = json!({"currentStatus": "invalid", "description": "m", "conditions": [of_contour, of_another],
        "loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}});
    shop.write(proxy, "web", &old);
    shop.write(proxy, "other", &old);

    let mut replica = corner.replica("a", BY_ADDRESS).await;
    replica.until_leader().await;
    let broken = [error("RouteError", "First"), error("RouteError", "Second")];
    shop.tell(&replica, proxy, "other", false, &broken);
    shop.tell(&replica, proxy, "web", true, &[]);
    shop.tell(&replica, proxy, "broken", true, &broken);
    shop.tell(&replica, Kind::ExtensionService, "authz", true, &[]);
    replica.has_written(3).await;

    let web = shop.get(proxy, "web");
    assert_eq!(web["status"]["currentStatus"], "valid");
    assert_eq!(web["status"]["description"], "Valid HTTPProxy");
    let addresses = json!([{"ip": "192.0.2.1"}, {"hostname": "lb.example.com"}]);
    assert_eq!(web["status"]["loadBalancer"]["ingress"], addresses);
    let valid = condition(&web, "Valid");
    assert_eq!(
        (&valid["status"], &valid["reason"]),
        (&json!("True"), &json!("Valid"))
    );
    assert_eq!(valid["errors"], json!([]));
    assert_eq!(condition(&web, "Ready"), &of_another);
    let listed = shop.kubectl(&["get", "httpproxy", "web"], "");
    assert!(
        listed.contains("valid") && listed.contains("Valid HTTPProxy"),
        "{listed}"
    );

    let broken_now = shop.get(proxy, "broken");
    assert_eq!(broken_now["status"]["currentStatus"], "invalid");
    let errors = condition(&broken_now, "Valid")["errors"]
        .as_array()
        .unwrap();
    let reasons: Vec<_> = errors
        .iter()
        .map(|it| it["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["First", "Second"]);
    let other = shop.get(proxy, "other");
    assert_eq!(
        other["status"]["currentStatus"], "invalid",
        "of another class"
    );
    let authz = shop.get(Kind::ExtensionService, "authz");
    assert_eq!(
        condition(&authz, "Valid")["message"],
        "Valid ExtensionService"
    );

    // As the watch brings it back: there is nothing to write. An edit is another generation.
    for (kind, name, errors) in [
        (proxy, "web", &[][..]),
        (proxy, "broken", &broken),
        (Kind::ExtensionService, "authz", &[]),
    ] {
        shop.tell(&replica, kind, name, true, errors);
    }
    let edit = json!({"spec": {"virtualhost": {"fqdn": "b.test"}}}).to_string();
    shop.kubectl(
        &["patch", "httpproxy", "web", "--type=merge", "-p", &edit],
        "",
    );
    shop.tell(&replica, proxy, "web", true, &[]);
    replica.has_written(4).await;
    let web = shop.get(proxy, "web");
    assert_eq!(condition(&web, "Valid")["observedGeneration"], 2);
    replica.is_alive();
    replica.stop().await;
}

/// Without the right nothing ends, and addresses are published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_it_warns_and_goes_on() {
    let Some(corner) = corner("conditions-rights").await else {
        return;
    };
    let is_of = |rule: &Value| rule["resources"][0] == "httpproxies/status";
    corner.grant(RBAC, is_of);
    let shop = Shop(&corner);
    shop.create(
        Kind::HttpProxy,
        "web",
        json!({"virtualhost": {"fqdn": "a.test"}}),
    );
    corner.ingress("web", "isobath");
    let mut replica = corner.replica("a", BY_ADDRESS).await;
    replica.until_leader().await;
    shop.tell(&replica, Kind::HttpProxy, "web", true, &[]);
    until("status is forbidden", || async {
        replica.writes("forbidden") > 0
    })
    .await;
    corner
        .until_addresses("web", &["192.0.2.1", "lb.example.com"])
        .await;
    let web = shop.get(Kind::HttpProxy, "web");
    assert_eq!(web["status"]["currentStatus"], "NotReconciled");
    replica.is_alive();
    replica.stop().await;
}
