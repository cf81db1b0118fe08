//! The difference for programs.

use serde_json::{Value, json};

use crate::build::Builder;
use crate::build::diff::{
    Answerer, Change, Detail, HostDifference, ListenerChange, RouteDifference,
};
use crate::model::Front;
use crate::objects::{ObjectRef, Problem};

use super::shown::Shown;

pub fn json(shown: &Shown<'_>) -> String {
    let difference = shown.difference;
    let hosts = difference.hosts.iter().map(|host| of_host(host, shown));
    let clusters = difference.clusters.iter().map(|cluster| {
        let endpoints = cluster.endpoints.as_ref().map(|[before, after]| {
            let [before, after] = [before, after]
                .map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
            json!({"before": before, "after": after})
        });
        json!({
            "name": &*cluster.name,
            "settings": cluster.settings,
            "endpoints": endpoints,
        })
    });
    let listeners = difference.listeners.iter().map(|listener| {
        let (change, hosts) = match &listener.change {
            ListenerChange::Opened => ("opened", None),
            ListenerChange::Closed => ("closed", None),
            ListenerChange::Replaced => ("replaced", None),
            ListenerChange::Drained(hosts) => ("drained", Some(hosts)),
        };
        json!({"name": &*listener.name, "change": change, "hosts": hosts})
    });
    let resources = difference.resources.iter().map(|it| {
        json!({
            "service": it.resource_type.service(),
            "added": it.added,
            "changed": it.changed,
            "removed": it.removed,
            "bytes": it.bytes,
        })
    });
    let certificates = difference.certificates.iter().map(|name| &**name);
    let passed = difference.hosts.iter().map(|host| &host.passed.routes);
    let passed: usize = passed.map(Vec::len).sum();
    let all = json!({
        "hosts": hosts.collect::<Value>(),
        "clusters": clusters.collect::<Value>(),
        "certificates": certificates.collect::<Value>(),
        "listeners": listeners.collect::<Value>(),
        "problems": {
            "new": of_problems(&difference.told),
            "gone": of_problems(&difference.settled),
        },
        "opened": difference.opened().count() + passed,
        "sent": resources.collect::<Value>(),
    });
    format!("{all:#}\n")
}

const fn word(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed => "changed",
        Change::Moved => "moved",
    }
}

fn of_host(host: &HostDifference, shown: &Shown<'_>) -> Value {
    let listener = match &host.front {
        Front::Fleet => None,
        Front::Listener(name) => Some(&**name),
    };
    let otherwise = match &host.otherwise {
        None | Some(Answerer::Nobody) => None,
        Some(Answerer::Wildcard(wildcard)) => Some(wildcard.as_str()),
    };
    let routes = host.routes.iter().map(|route| of_route(route, shown));
    let passed = host.passed.routes.iter().map(|passed| {
        json!({
            "guarded": passed.guarded,
            "object": of_object(&passed.source.object),
            "by": passed.by,
            "byObject": of_object(&passed.by_source.object),
            "byField": shown.after.0.store().path(&passed.by_source),
            "all": passed.all,
            "guards": of_details(&passed.guards),
        })
    });
    json!({
        "host": host.host.as_str(),
        "tls": host.tls,
        "listener": listener,
        "change": word(host.change),
        "otherwise": otherwise,
        "settings": of_details(&host.details),
        "routes": routes.collect::<Value>(),
        "passed": passed.collect::<Value>(),
        "unseen": host.passed.unseen,
    })
}

fn of_route(route: &RouteDifference, shown: &Shown<'_>) -> Value {
    let builder: &Builder = match route.change {
        Change::Removed => shown.before.0,
        Change::Added | Change::Changed | Change::Moved => shown.after.0,
    };
    json!({
        "change": word(route.change),
        "matches": route.says,
        "object": of_object(&route.source.object),
        "field": builder.store().path(&route.source),
        "settings": of_details(&route.details),
    })
}

fn of_details(details: &[Detail]) -> Value {
    let each = details.iter().map(|detail| {
        json!({
            "about": detail.about,
            "guard": detail.is_guard,
            "before": detail.before,
            "after": detail.after,
        })
    });
    each.collect()
}

fn of_object(object: &ObjectRef) -> Value {
    json!({
        "kind": object.kind.name(),
        "namespace": &*object.name.namespace,
        "name": &*object.name.name,
    })
}

fn of_problems(problems: &[Problem]) -> Value {
    let each = problems.iter().map(|problem| {
        json!({
            "object": of_object(&problem.source.object),
            "reason": problem.reason,
            "message": problem.message,
        })
    });
    each.collect()
}
