//! Problems and refusals are told on the objects, once.

use isobath::model::verdict::RefusedObject;
use isobath::objects::{Field, FieldRef, Kind, ObjectRef, Problem};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

use crate::corner::{Corner, RBAC, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn problems_and_refusals_are_told_once() {
    let Some(corner) = Corner::new("events").await else {
        return;
    };
    corner.grant(RBAC, |_| false);
    corner.ingress("web", "isobath");
    let uid = corner.ingresses().get("web").await.unwrap().uid().unwrap();
    let object = ObjectRef::new(Kind::Ingress, corner.shop.as_str(), "web");
    let missing = Problem::new(
        object.clone(),
        "SecretNotFound",
        "Secret shop/web does not exist",
    );
    let path = "spec.rules[0].http.paths[0]";
    let port = FieldRef::new(object, Field::At(path.into()));
    let port = Problem::new(port, "PortNotFound", "Service web has no port 81");
    let class = Problem::new(
        ObjectRef::new(Kind::IngressClass, "", "events"),
        "Odd",
        "text",
    );
    let all = [
        (missing.clone(), uid.as_str()),
        (port.clone(), &uid),
        (class, ""),
    ];
    let events: Api<Event> = Api::namespaced(corner.admin.clone(), &corner.shop);
    let told = || async {
        let of_web = ListParams::default().fields("regarding.name=web");
        let list = events.list(&of_web).await.unwrap();
        let reasons = list.items.iter().map(|event| event.reason.clone().unwrap());
        let mut reasons: Vec<_> = reasons.collect();
        reasons.sort();
        reasons
    };

    let mut a = corner.replica("a", &[]).await;
    a.until_leader().await;
    let mut b = corner.replica("b", &[]).await;
    for replica in [&a, &b] {
        replica.problems(&all);
    }
    until("both are told", || async {
        told().await == ["PortNotFound", "SecretNotFound"]
    })
    .await;
    let of_path = ListParams::default().fields("reason=PortNotFound");
    let found = events.list(&of_path).await.unwrap().items.remove(0);
    assert_eq!(found.regarding.unwrap().field_path.as_deref(), Some(path));
    let described = corner.kubectl(&["describe", "ingress", "web", "-n", &corner.shop], "");
    for words in [
        "Warning",
        "SecretNotFound",
        "PortNotFound",
        "isobath.dev/ingress-controller",
        "Service web has no port 81",
    ] {
        assert!(described.contains(words), "{words}: {described}");
    }
    let elsewhere: Api<Event> = Api::namespaced(corner.admin.clone(), "default");
    let of_class = ListParams::default().fields("regarding.name=events,reason=Odd");
    until("the class is told of", || async {
        elsewhere.list(&of_class).await.unwrap().items.len() == 1
    })
    .await;

    // The same again, another one gone: nothing further.
    a.problems(&[(port.clone(), &uid)]);
    a.problems(&all);
    let refusal = RefusedObject {
        owner: format!("Ingress {}/web", corner.shop),
        field: Field::Whole,
        reason: "virtual host web.example.com: bad regex".into(),
    };
    for replica in [&a, &b] {
        replica.refusals.send_replace([refusal.clone()].into());
    }
    let three = ["PortNotFound", "RefusedByEnvoy", "SecretNotFound"];
    until("the refusal is told", || async { told().await == three }).await;
    a.has_told(4).await;
    assert_eq!(a.events("known"), 0);
    assert_eq!((b.events("ok"), b.events("known")), (0, 0));
    // The metric is on every replica.
    for replica in [&a, &b] {
        let problems = replica.metric("object_problems", "reason");
        assert_eq!(problems.get("SecretNotFound"), Some(&1), "{problems:?}");
    }

    // The next leader finds them told.
    a.kill().await;
    b.until_leader().await;
    until("the other looks", || async { b.events("known") == 4 }).await;
    assert_eq!(b.events("ok"), 0);
    assert_eq!(told().await, three);
    b.is_alive();
}
