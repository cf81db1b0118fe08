//! RBAC, verb by verb: of the control plane's ServiceAccount once it is installed, of whoever asks before that.

use std::collections::BTreeMap;

use super::definitions::Served;
use super::finding::{Checked, Finding, counted, some_of};
use super::installation::{Installation, Stage};
use super::read::{Read, Right, Whose, may};
use crate::cli::rights::{self, Rule};
use crate::objects::Kind;

/// What is known of rights.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whose they are: the ServiceAccount's, as NAMESPACE and name; `None` for whoever asks.
    pub account: Option<(String, String)>,
    /// Rights to read with, without which the control plane ends.
    pub read: Read<Vec<(Right, bool)>>,
    /// Rights to write with, without which it warns.
    pub written: Read<Vec<(Right, bool)>>,
}

/// Asks.
pub async fn ask(client: &kube::Client, installation: &Installation, served: &Served) -> Facts {
    if installation.stage() == Stage::Before {
        return Facts {
            account: None,
            read: Ok(Vec::new()),
            written: may(client, Whose::Mine, of_installer(&installation.namespace)).await,
        };
    }
    let plane = installation.plane();
    let namespace = installation.namespace.clone();
    let scopes = installation.scopes();
    let is_of_cluster = scopes == [None];
    let by_name = !plane.list("ingress-class").is_empty();
    let is_read = |kind: &Kind| {
        let is_served = kind.custom().is_none_or(|custom| served.serves(custom));
        let is_in_scope = match is_of_cluster {
            true => true,
            false => kind.is_namespaced() && !kind.is_of_gateway_api(),
        };
        let is_needless = *kind == Kind::IngressClass && by_name;
        is_served && is_in_scope && !is_needless
    };
    let kinds = Kind::ALL.into_iter().filter(is_read);
    let read = expanded(&rights::read(kinds.clone()), &scopes, None);
    let mut written = expanded(&rights::written(kinds), &scopes, None);
    let lease = plane.flag("lease-name").unwrap_or("isobath");
    let home = plane.flag("lease-namespace").unwrap_or(&namespace);
    let home = [Some(home.to_owned())];
    let [made, held] = rights::of_lease();
    written.extend(expanded(&[made], &home, None));
    written.extend(expanded(&[held], &home, Some(lease)));
    let whose = Whose::Account(&namespace, &plane.account);
    let (read, written) = tokio::join!(may(client, whose, read), may(client, whose, written));
    Facts {
        read,
        written,
        account: Some((namespace, plane.account)),
    }
}

fn expanded(rules: &[Rule], scopes: &[Option<String>], name: Option<&str>) -> Vec<Right> {
    let mut all = Vec::new();
    for namespace in scopes {
        for rule in rules {
            for resource in &rule.resources {
                all.extend(rule.verbs.iter().map(|verb| Right {
                    group: rule.group.to_owned(),
                    resource: resource.clone(),
                    verb: (*verb).to_owned(),
                    namespace: namespace.clone(),
                    name: name.map(ToOwned::to_owned),
                }));
            }
        }
    }
    all
}

/// What `kubectl apply -k deploy/overlays/…` makes.
fn of_installer(namespace: &str) -> Vec<Right> {
    let of_cluster = [
        ("", "namespaces"),
        ("rbac.authorization.k8s.io", "clusterroles"),
        ("rbac.authorization.k8s.io", "clusterrolebindings"),
        ("networking.k8s.io", "ingressclasses"),
    ];
    let of_namespace = [
        ("", "serviceaccounts"),
        ("", "services"),
        ("apps", "daemonsets"),
        ("rbac.authorization.k8s.io", "roles"),
        ("rbac.authorization.k8s.io", "rolebindings"),
        ("networking.k8s.io", "networkpolicies"),
    ];
    let right = |(group, resource): (&str, &str), namespace: Option<&str>| Right {
        group: group.to_owned(),
        resource: resource.to_owned(),
        verb: "create".to_owned(),
        namespace: namespace.map(ToOwned::to_owned),
        name: None,
    };
    let of_cluster = of_cluster.into_iter().map(|it| right(it, None));
    let of_namespace = of_namespace
        .into_iter()
        .map(|it| right(it, Some(namespace)));
    of_cluster.chain(of_namespace).collect()
}

/// Which are missing.
pub fn check(facts: &Facts) -> Checked {
    let mut findings = Vec::new();
    let mut count = 0;
    let whose = match &facts.account {
        Some((namespace, name)) => format!("ServiceAccount {namespace}/{name}"),
        None => "you".to_owned(),
    };
    let unknown = format!("whether {whose} has the rights that are needed");
    match (&facts.read, &facts.written) {
        (Ok(read), Ok(written)) => {
            count = read.len() + written.len();
            let lacks = |rights: &[(Right, bool)]| {
                let lacking = rights.iter().filter(|(_, may)| !may);
                lacking.map(|(right, _)| right.clone()).collect::<Vec<_>>()
            };
            let (lacks_read, lacks_written) = (lacks(read), lacks(written));
            match &facts.account {
                Some(account) if lacks_read.len() + lacks_written.len() == count => {
                    findings.push(none(account));
                }
                Some(account) => {
                    let ends = "the control plane ends, and Envoy serves what it last had";
                    findings.extend(lacking(account, &lacks_read, ends));
                    let warns = "what it writes there (addresses, conditions, Events, the Lease) is missing";
                    findings.extend(lacking(account, &lacks_written, warns));
                }
                None => findings.extend(of_whoever(&lacks_written)),
            }
        }
        // One is enough: it is the same question.
        (Err(unread), _) | (_, Err(unread)) => findings.push(unread.finding(&unknown)),
    }
    let has = if facts.account.is_some() {
        "has"
    } else {
        "have"
    };
    Checked {
        name: "rights",
        says: format!("{whose} {has} {}", counted(count, "right")),
        findings,
    }
}

/// Nothing is bound to it.
fn none((namespace, name): &(String, String)) -> Finding {
    let command = match (&**namespace, &**name) {
        ("isobath", "isobath") => "kubectl apply -f deploy/base/rbac.yaml".to_owned(),
        _ => format!(
            "kubectl create clusterrolebinding isobath --clusterrole=isobath --serviceaccount={namespace}:{name}"
        ),
    };
    Finding::error(
        format!(
            "ServiceAccount {namespace}/{name} has none of the rights of a control plane, so nothing is served: it is not there, or no \
             ClusterRole is bound to it"
        ),
        command,
    )
}

/// One finding for each resource.
fn lacking<'a>(
    account: &'a (String, String),
    rights: &'a [Right],
    follows: &'static str,
) -> impl Iterator<Item = Finding> + 'a {
    type Resource<'a> = (Option<&'a str>, String, Option<&'a str>);
    let mut resources: BTreeMap<Resource<'_>, Vec<&str>> = BTreeMap::new();
    for right in rights {
        let resource = (
            right.namespace.as_deref(),
            right.resource(),
            right.name.as_deref(),
        );
        resources.entry(resource).or_default().push(&right.verb);
    }
    let (home, name) = account;
    resources
        .into_iter()
        .map(move |((namespace, resource, object), verbs)| {
            let place = namespace.map_or_else(String::new, |it| format!(" in namespace {it}"));
            let object_place = object.map_or_else(String::new, |it| format!(" {it}"));
            let may = format!(
                "ServiceAccount {home}/{name} may not {} {resource}{object_place}{place}: {follows}",
                verbs.join(", ")
            );
            let (kind, flag) = match namespace {
                Some(namespace) => ("role", format!(" -n {namespace}")),
                None => ("clusterrole", String::new()),
            };
            // One for each of them: names of roles are ours to choose.
            let role = format!("isobath-{}", verbs.join("-"));
            let role = format!("{role}-{}", resource.replace(['/', '.'], "-"));
            let object = object.map_or_else(String::new, |it| format!(" --resource-name={it}"));
            let verbs = verbs.join(",");
            Finding::error(
                may,
                format!(
                    "kubectl create {kind} {role}{flag} --verb={verbs} --resource={resource}{object} && \
                     kubectl create {kind}binding {role}{flag} --{kind}={role} --serviceaccount={home}:{name}"
                ),
            )
        })
}

/// What whoever asks lacks to install it.
fn of_whoever(rights: &[Right]) -> Option<Finding> {
    let first = rights.first()?;
    let names: Vec<String> = rights.iter().map(Right::resource).collect();
    let flag = match &first.namespace {
        Some(namespace) => format!(" -n {namespace}"),
        None => String::new(),
    };
    Some(Finding::warning(
        format!(
            "you may not create {}, which the manifests have: let somebody install it who may, or take the overlay namespaced, \
             which needs no right in the whole cluster",
            some_of(&names)
        ),
        format!("kubectl auth can-i create {}{flag}", first.resource()),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::read::{Unread, Why};
    use super::*;

    fn right(group: &str, resource: &str, verb: &str) -> Right {
        Right {
            group: group.to_owned(),
            resource: resource.to_owned(),
            verb: verb.to_owned(),
            namespace: None,
            name: None,
        }
    }

    fn found(facts: &Facts) -> Vec<(String, String)> {
        let found = check(facts).findings.into_iter();
        found.map(|it| (it.message, it.command)).collect()
    }

    fn facts(read: [bool; 3], written: [bool; 2]) -> Facts {
        let of_lease = Right {
            namespace: Some("isobath".to_owned()),
            name: Some("own".to_owned()),
            ..right("coordination.k8s.io", "leases", "update")
        };
        Facts {
            account: Some(("isobath".to_owned(), "isobath".to_owned())),
            read: Ok(vec![
                (right("", "secrets", "list"), read[0]),
                (right("", "secrets", "watch"), read[1]),
                (right("", "services", "list"), read[2]),
            ]),
            written: Ok(vec![
                (
                    right("networking.k8s.io", "ingresses/status", "patch"),
                    written[0],
                ),
                (of_lease, written[1]),
            ]),
        }
    }

    #[test]
    fn each_missing_right_is_found_and_given() {
        assert_eq!(found(&facts([true; 3], [true; 2])), []);
        let all = found(&facts([false, false, true], [false; 2]));
        let expected = [
            (
                "ServiceAccount isobath/isobath may not list, watch secrets: the control plane ends",
                "kubectl create clusterrole isobath-list-watch-secrets --verb=list,watch --resource=secrets && \
                 kubectl create clusterrolebinding isobath-list-watch-secrets --clusterrole=isobath-list-watch-secrets \
                 --serviceaccount=isobath:isobath",
            ),
            (
                "ServiceAccount isobath/isobath may not patch ingresses.networking.k8s.io/status: what it writes",
                "kubectl create clusterrole isobath-patch-ingresses-networking-k8s-io-status --verb=patch \
                 --resource=ingresses.networking.k8s.io/status && kubectl create clusterrolebinding \
                 isobath-patch-ingresses-networking-k8s-io-status --clusterrole=isobath-patch-ingresses-networking-k8s-io-status \
                 --serviceaccount=isobath:isobath",
            ),
            (
                "may not update leases.coordination.k8s.io own in namespace isobath",
                "kubectl create role isobath-update-leases-coordination-k8s-io -n isobath --verb=update \
                 --resource=leases.coordination.k8s.io --resource-name=own && kubectl create rolebinding \
                 isobath-update-leases-coordination-k8s-io -n isobath --role=isobath-update-leases-coordination-k8s-io \
                 --serviceaccount=isobath:isobath",
            ),
        ];
        assert_eq!(all.len(), expected.len(), "{all:?}");
        for ((message, command), (says, expected)) in all.iter().zip(expected) {
            assert!(message.contains(says), "{message}");
            assert_eq!(command, expected);
        }
        let none = found(&facts([false; 3], [false; 2]));
        assert_eq!(none.len(), 1, "{none:?}");
        assert_eq!(none[0].1, "kubectl apply -f deploy/base/rbac.yaml");
    }

    #[test]
    fn who_installs_is_told_before() {
        let of_me = |written| Facts {
            account: None,
            read: Ok(Vec::new()),
            written,
        };
        let may = of_installer("isobath").into_iter().map(|it| (it, true));
        let may: Vec<_> = may.collect();
        assert_eq!(check(&of_me(Ok(may.clone()))).says, "you have 10 rights");
        let mut may_not = may;
        may_not[1].1 = false;
        may_not[5].1 = false;
        let found = found(&of_me(Ok(may_not)));
        assert_eq!(found.len(), 1);
        assert!(
            found[0]
                .0
                .starts_with("you may not create clusterroles.rbac.authorization.k8s.io, services"),
            "{found:?}"
        );
        let unread = Unread {
            verb: "create",
            resource: "subjectaccessreviews.authorization.k8s.io".to_owned(),
            namespace: None,
            why: Why::Forbidden,
        };
        let found = check(&of_me(Err(unread))).findings;
        assert_eq!(
            found[0].command,
            "kubectl auth can-i create subjectaccessreviews.authorization.k8s.io -A"
        );
    }
}
