//! The Lease that elects the one writer of statuses and Events: there, fresh, and held by a pod of the installation.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;

use super::finding::{Checked, Finding};
use super::installation::{Installation, OwnPod, Stage};
use super::read::{Of, Read, get};

/// Who holds a Lease for so long is not told of: the clocks of two machines differ.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// What is known of the Lease.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its namespace and name.
    pub name: (String, String),
    /// It, if it is there.
    pub lease: Read<Option<Held>>,
}

/// Who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The pod and a random part, with a `_` between; empty for nobody.
    pub holder: String,
    /// When it was renewed.
    pub renewed: Option<Timestamp>,
    /// How long that is good for.
    pub duration: SignedDuration,
}

/// Asks.
pub async fn ask(client: &kube::Client, installation: &Installation) -> Facts {
    let plane = installation.plane();
    let namespace = plane.flag("lease-namespace");
    let namespace = namespace.unwrap_or(&installation.namespace).to_owned();
    let name = plane.flag("lease-name").unwrap_or("isobath").to_owned();
    let api: Api<Lease> = Api::namespaced(client.clone(), &namespace);
    let of = Of {
        resource: "leases.coordination.k8s.io",
        namespace: Some(&namespace),
    };
    let lease = get(api, of, &name).await;
    let lease = lease.map(|found| {
        let spec = found?.spec.unwrap_or_default();
        Some(Held {
            holder: spec.holder_identity.unwrap_or_default(),
            renewed: spec.renew_time.map(|time| time.0),
            duration: SignedDuration::from_secs(spec.lease_duration_seconds.unwrap_or(15).into()),
        })
    });
    Facts {
        name: (namespace, name),
        lease,
    }
}

/// Whether somebody writes.
pub fn check(facts: &Facts, installation: &Installation, now: Timestamp) -> Checked {
    let (namespace, name) = &facts.name;
    let pods = installation.pods.as_deref().unwrap_or_default();
    let mut findings = Vec::new();
    let nobody = "so nobody writes addresses, conditions and Events";
    let plane = |pod: &&OwnPod| pod.has_plane && !pod.is_ending;
    let first = pods.iter().find(plane);
    let logs = first.map_or_else(
        || format!("kubectl -n {} get pods", installation.namespace),
        |pod| {
            let namespace = &installation.namespace;
            format!("kubectl -n {namespace} logs {} -c isobath", pod.name)
        },
    );
    let mut says = "no Lease before the installation".to_owned();
    match &facts.lease {
        Err(unread) => findings.push(unread.finding("who writes addresses, conditions and Events")),
        Ok(None) if installation.stage() == Stage::After => findings.push(Finding::error(
            format!(
                "there is no Lease {namespace}/{name}, {nobody}: the control planes don't run, or may not make it (their logs say so)"
            ),
            logs,
        )),
        Ok(None) => {}
        Ok(Some(held)) => {
            let ago = held.renewed.map(|renewed| now.duration_since(renewed));
            let is_stale = ago.is_none_or(|ago| ago > held.duration + PATIENCE);
            let (pod, _) = held.holder.rsplit_once('_').unwrap_or((&held.holder, ""));
            let is_ours = pods.iter().any(|it| it.name == pod);
            let ago = ago.map_or_else(String::new, |ago| format!(" for {} s", ago.as_secs()));
            says = format!("{pod} holds Lease {namespace}/{name}");
            if held.holder.is_empty() {
                findings.push(Finding::error(
                    format!("nobody holds Lease {namespace}/{name}, {nobody}"),
                    logs,
                ));
            } else if is_stale {
                findings.push(Finding::error(
                    format!(
                        "{pod} holds Lease {namespace}/{name} and has not renewed it{ago}, {nobody}: no control plane can take it over \
                         (their logs say why), or the clock of this machine is wrong"
                    ),
                    logs,
                ));
            } else if installation.pods.is_ok() && !is_ours {
                findings.push(Finding::warning(
                    format!(
                        "Lease {namespace}/{name} is held by {pod}, which is no pod of this installation: another one uses the same \
                         Lease, and only one of them writes. Give each its own --lease-name"
                    ),
                    format!("kubectl get pods -A -l {}", installation.selector),
                ));
            }
        }
    }
    Checked {
        name: "lease",
        says,
        findings,
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::{Unread, Why};
    use super::*;

    fn installation(pods: &[&str]) -> Installation {
        let pod = |name: &&str| OwnPod {
            name: (*name).to_owned(),
            has_plane: true,
            ..OwnPod::default()
        };
        Installation {
            namespace: "isobath".to_owned(),
            selector: "a=b".to_owned(),
            workloads: Ok(Vec::new()),
            pods: Ok(pods.iter().map(pod).collect()),
        }
    }

    fn check(pods: &[&str], lease: Read<Option<(&str, i64)>>, expected: Option<(&str, &str)>) {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1);
        let held = |(holder, ago): (&str, i64)| Held {
            holder: holder.to_owned(),
            renewed: Some(now - SignedDuration::from_secs(ago)),
            duration: SignedDuration::from_secs(15),
        };
        let facts = Facts {
            name: ("isobath".to_owned(), "own".to_owned()),
            lease: lease.map(|it| it.map(held)),
        };
        let found = super::check(&facts, &installation(pods), now).findings;
        match (&*found, expected) {
            ([], None) => {}
            ([one], Some((says, command))) => {
                assert!(one.message.contains(says), "{one:?}");
                assert_eq!(one.command, command);
            }
            _ => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn a_lease_is_held_by_a_pod_that_is_there() {
        let logs = "kubectl -n isobath logs a -c isobath";
        check(&["a", "b"], Ok(Some(("b_1f", 3))), None);
        // Names of pods have no underscore.
        check(
            &["a"],
            Ok(Some(("a_00_1f", 3))),
            Some(("is held by a_00", "kubectl get pods -A -l a=b")),
        );
        check(&[], Ok(None), None);
        check(
            &["a"],
            Ok(None),
            Some(("there is no Lease isobath/own", logs)),
        );
        check(
            &["a"],
            Ok(Some(("", 3))),
            Some(("nobody holds Lease", logs)),
        );
        check(&["a"], Ok(Some(("a_1f", 74))), None);
        check(
            &["a"],
            Ok(Some(("a_1f", 76))),
            Some(("not renewed it for 76 s", logs)),
        );
        // A clock that is behind.
        check(&["a"], Ok(Some(("a_1f", -600))), None);
        let others = Some((
            "held by gone, which is no pod",
            "kubectl get pods -A -l a=b",
        ));
        check(&["a"], Ok(Some(("gone_1f", 3))), others);
        let unread = Unread {
            verb: "get",
            resource: "leases.coordination.k8s.io".to_owned(),
            namespace: Some("isobath".to_owned()),
            why: Why::Forbidden,
        };
        let command = "kubectl auth can-i get leases.coordination.k8s.io -n isobath";
        check(&["a"], Err(unread), Some(("who writes addresses", command)));
    }
}
