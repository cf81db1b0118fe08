//! What is to be said of one object, whatever its hosts come to.

use crate::k8s::{Ingress, Kind, ObjectRef, Problem};

use super::host::can_rewrite;
use super::policy::ingress_policy;
use super::{Input, reason, size};

/// The problems of an object by itself: that it is wrong as a whole, its annotations, its TLS entries.
#[must_use]
pub fn object_problems(input: Input<'_>, object: &ObjectRef) -> Vec<Problem> {
    if let Some(invalid) = input.store.invalid(object) {
        let problem = Problem::new(
            object.clone(),
            reason::OBJECT_NOT_VALID,
            invalid.reason.clone(),
        );
        return vec![problem];
    }
    if object.kind != Kind::Ingress {
        return Vec::new();
    }
    match input.store.ingress(&object.name) {
        Some(ingress) if input.store.serves(ingress) => ingress_problems(object, ingress),
        _ => Vec::new(),
    }
}

fn ingress_problems(object: &ObjectRef, ingress: &Ingress) -> Vec<Problem> {
    let (policy, mut problems) = ingress_policy(ingress);
    let mut report = |reason, message: String| {
        problems.push(Problem::new(object.clone(), reason, message));
    };
    for (index, tls) in ingress.tls.iter().enumerate() {
        if tls.secret_name.is_none() {
            let message =
                format!("spec.tls[{index}] names no Secret; its hosts are served without TLS");
            report(reason::SECRET_NAME_MISSING, message);
        }
        if tls.hosts.is_empty() && ingress.rules.iter().all(|rule| rule.host.is_none()) {
            let message = format!(
                "spec.tls[{index}] names no host, and neither do the rules; it has no effect"
            );
            report(reason::TLS_HOST_MISSING, message);
        }
    }
    let (hosts, copies) = (size::tls_hosts(ingress), size::hostless_paths(ingress));
    if !size::may_copy(hosts, copies) {
        let message = format!(
            "the {copies} paths without a host do not hold for the {hosts} TLS hosts: more than {} routes",
            size::MAX_COPIES
        );
        report(reason::TOO_MANY_ROUTES, message);
    }
    let mut paths = ingress.rules.iter().flat_map(|rule| &rule.paths);
    if policy.rewrite_prefix.is_some()
        && let Some(path) = paths.find(|path| !can_rewrite(path))
    {
        let message = format!(
            "annotation isobath.dev/rewrite-prefix has no effect on path {:?}, which is a regular expression",
            path.path
        );
        report(reason::ANNOTATION_NOT_VALID, message);
    }
    problems
}
