//! What is to be said of an Ingress or a Service, whatever its hosts come to: once, however many they are.

use crate::facts::ServedIngress;
use crate::model::Host;
use crate::objects::{Field, FieldRef, ObjectRef, Problem};

use super::finding::{Finding, more};
use super::ignored;
use super::reading::Reading;
use super::service_policy::service_problems;
use super::table::can_rewrite;
use super::{Input, budget, nginx, reason};

/// The problems of a Service. Nothing is said of one that no Ingress names; and of most there is nothing to be said, so that
/// nobody need remember that it was asked.
pub fn of_service(input: Input<'_>, object: &ObjectRef) -> Vec<Problem> {
    let service = input.reader.service(&object.name);
    let mut told = service.map_or_else(Vec::new, |service| {
        let mut told = service_problems(service);
        told.extend(ignored::of_service(&service.metadata));
        told
    });
    if !told.is_empty() && !input.reader.is_service_named(&object.name) {
        told.clear();
    }
    told.into_iter().map(|told| problem(object, told)).collect()
}

/// The problems of an Ingress by itself: its annotations, its TLS entries.
pub fn of_ingress(input: Input<'_>, object: &ObjectRef) -> Vec<Problem> {
    let ingress = input.reader.served_ingress(&object.name);
    ingress.map_or_else(Vec::new, |ingress| ingress_problems(input, object, ingress))
}

/// Each of the lists is walked once, whatever is in the others.
fn ingress_problems(
    input: Input<'_>,
    object: &ObjectRef,
    served: ServedIngress<'_>,
) -> Vec<Problem> {
    let (reading, mut problems) = Reading::new(input, served);
    let ingress = served.whole();
    let mut report = |field, reason, message: String| {
        problems.push(problem(object, (field, reason, message)));
    };
    for (field, reason, message) in ignored::of_ingress(ingress, served.dialect()) {
        report(field, reason, message);
    }
    if let Some(left_out) = &ingress.left_out {
        report(Field::Whole, reason::TOO_LARGE, left_out.to_string());
    }
    let entries = || ingress.tls.iter().enumerate();
    let nameless = entries().filter(|(_, tls)| tls.secret_name.is_none());
    if let Some((first, which)) = entries_text(nameless.map(|(index, _)| index)) {
        let message = format!("{which} names no Secret; its hosts are served without TLS");
        let field = Field::of_tls(ingress, first);
        report(field, reason::SECRET_NAME_MISSING, message);
    }
    if ingress.rules.iter().all(|rule| rule.host.is_none()) {
        let hostless = entries().filter(|(_, tls)| tls.hosts.is_empty());
        if let Some((first, which)) = entries_text(hostless.map(|(index, _)| index)) {
            let message =
                format!("{which} names no host, and neither do the rules; it has no effect");
            let field = Field::of_tls(ingress, first);
            report(field, reason::TLS_HOST_MISSING, message);
        }
    }
    let hosts_under_tls = ingress.tls.iter().any(|tls| !tls.hosts.is_empty());
    let has_hostless = ingress.rules.iter().any(|rule| rule.host.is_none());
    if hosts_under_tls && has_hostless && !input.affords_hostless(served.name()) {
        let message = format!(
            "the rules without a host do not hold for the {} hosts under spec.tls that no rule is for: {}",
            input.account(served.name()).hosts(),
            budget::EXCEEDED
        );
        let field = Field::Host(Host::any().shared());
        report(field, reason::TOO_LARGE, message);
    }
    if let Some(nginx) = reading.policy.nginx.as_deref() {
        for (field, message) in nginx::differences(ingress, nginx) {
            report(field, reason::NGINX_DIFFERS, message);
        }
    }
    let mut paths = ignored::places(ingress);
    if reading.policy.rewrite_prefix.is_some()
        && let Some((.., path)) = paths.find(|(.., path)| !can_rewrite(path))
    {
        let message = format!(
            "annotation isobath.dev/rewrite-prefix has no effect on path {:?}, which is a regular expression",
            path.path
        );
        let field = Field::Annotation("isobath.dev/rewrite-prefix".into());
        report(field, reason::ANNOTATION_NOT_VALID, message);
    }
    problems
}

/// Entries of `spec.tls`: the first of them, and all in words; none where there is none.
fn entries_text(mut indexes: impl Iterator<Item = usize>) -> Option<(usize, String)> {
    let first = indexes.next()?;
    Some((first, format!("spec.tls[{first}]{}", more(indexes.count()))))
}

fn problem(object: &ObjectRef, (field, reason, message): Finding) -> Problem {
    let source = FieldRef::new(object.clone(), field);
    Problem::new(source, reason, message)
}
