//! What is said in the statuses of HTTPProxies and ExtensionServices, which list what is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::facts::Store;
use crate::model::cut;
use crate::model::verdict::{ConditionFacts, GatewayApiFacts, Statuses, WantedStatus};
use crate::objects::http_proxy::{Status, SubCondition};
use crate::objects::{Condition, Kind, ObjectRef, Problem};

use super::reason;

/// What the units have found of an object.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// The problems that each of them tells, in the order of the units and as each has found them.
    pub problems: Vec<&'a [Problem]>,
    /// Whether routes of a host come through it that it does not claim itself.
    pub is_reached: bool,
    /// What its status is to be, of an object of the Gateway API that is ours.
    pub status: Option<Arc<WantedStatus>>,
}

/// The bytes that all errors, or warnings, of one object may have: etcd takes no object above 1.5 MiB.
const BYTES: usize = 128 * 1024;

/// What Contour cuts a message to; the schema has room for a few more.
const MESSAGE: usize = 32_760;

/// Enters an HTTPProxy into the verdicts, or takes out one that is gone.
pub fn enter_http_proxy(
    store: &Store,
    object: &ObjectRef,
    found: &Found<'_>,
    statuses: &mut Statuses,
) {
    let Some(proxy) = store.http_proxy(&object.name) else {
        statuses.http_proxies.remove(&object.name);
        return;
    };
    let served = store.serves_http_proxy(proxy);
    let (mut errors, warnings) = conditions(&found.problems);
    if served && proxy.virtual_host.is_none() && !found.is_reached {
        errors = Arc::new([orphaned()]);
    }
    let facts = ConditionFacts {
        uid: proxy.metadata.uid.clone(),
        generation: proxy.generation,
        served,
        errors,
        warnings,
        seen: proxy.status.clone(),
    };
    if statuses.http_proxies.get(&object.name) != Some(&facts) {
        statuses.http_proxies.insert(object.name.clone(), facts);
    }
}

/// The same of an ExtensionService. They have no class, so all of them are served.
pub fn enter_extension_service(
    store: &Store,
    object: &ObjectRef,
    found: &Found<'_>,
    statuses: &mut Statuses,
) {
    let Some(service) = store.extension_service(&object.name) else {
        statuses.extension_services.remove(&object.name);
        return;
    };
    let (errors, warnings) = conditions(&found.problems);
    let facts = ConditionFacts {
        uid: service.metadata.uid.clone(),
        generation: service.generation,
        served: true,
        errors,
        warnings,
        seen: Arc::new(Status {
            valid: service.valid.as_deref().cloned(),
            ..Status::default()
        }),
    };
    if statuses.extension_services.get(&object.name) != Some(&facts) {
        statuses
            .extension_services
            .insert(object.name.clone(), facts);
    }
}

/// Whether objects of the kind have a status of the Gateway API.
pub const fn has_gateway_status(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::GatewayClass
            | Kind::Gateway
            | Kind::ListenerSet
            | Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::TlsRoute
            | Kind::TcpRoute
            | Kind::UdpRoute
            | Kind::BackendTlsPolicy
    )
}

/// Enters an object of the Gateway API into the verdicts, or takes out one that is gone.
pub fn enter_gateway_api(
    store: &Store,
    object: &ObjectRef,
    found: &Found<'_>,
    statuses: &mut Statuses,
) {
    let (Some(seen), Some(metadata)) = (store.gateway_status(object), store.metadata(object))
    else {
        statuses.gateway_api.remove(object);
        return;
    };
    let facts = GatewayApiFacts {
        uid: metadata.uid.clone(),
        created: metadata.created,
        wanted: found.status.clone(),
        room: store.room_in_status(object),
        seen: seen.clone(),
    };
    if statuses.gateway_api.get(object) != Some(&facts) {
        statuses.gateway_api.insert(object.clone(), facts);
    }
}

/// That an object says nothing of a host that is another's.
pub fn host_conflict(loser: &ObjectRef, message: String) -> Problem {
    of_host(loser, message, false)
}

/// That others say something of a host that is this object's, which is valid all the same.
pub fn host_kept(owner: &ObjectRef, message: String) -> Problem {
    of_host(owner, message, true)
}

fn of_host(object: &ObjectRef, message: String, is_warning: bool) -> Problem {
    let problem = Problem::new(object.clone(), reason::HOST_CONFLICT, message);
    match has_conditions(object.kind) {
        false => problem,
        true => problem.of_condition(Condition {
            condition_type: "VirtualHostError",
            is_warning,
        }),
    }
}

/// Whether what is wrong with objects of the kind is told in their status.
pub const fn has_conditions(kind: Kind) -> bool {
    matches!(kind, Kind::HttpProxy | Kind::ExtensionService)
}

fn orphaned() -> SubCondition {
    SubCondition {
        kind: "Orphaned".into(),
        reason: "Orphaned".into(),
        message: "this HTTPProxy is not part of a delegation chain from a root HTTPProxy".into(),
    }
}

/// Errors and warnings, in the order in which they were found. What one unit repeats is repeated; what another has told
/// already, as a child says below several roots, is not.
fn conditions(problems: &[&[Problem]]) -> (Arc<[SubCondition]>, Arc<[SubCondition]>) {
    let mut errors = List::default();
    let mut warnings = List::default();
    for (unit, problems) in problems.iter().enumerate() {
        for problem in *problems {
            if let Some(condition) = problem.condition {
                let list = match condition.is_warning {
                    true => &mut warnings,
                    false => &mut errors,
                };
                list.add(unit, condition.condition_type, problem);
            }
        }
    }
    (errors.finish(), warnings.finish())
}

#[derive(Default)]
struct List<'a> {
    told: Vec<SubCondition>,
    /// Which unit told each first.
    by: BTreeMap<(&'static str, &'static str, &'a str), usize>,
    bytes: usize,
    /// Those for which there was no room.
    more: usize,
}

impl<'a> List<'a> {
    fn add(&mut self, unit: usize, kind: &'static str, problem: &'a Problem) {
        let key = (kind, problem.reason, problem.message.as_str());
        if *self.by.entry(key).or_insert(unit) != unit {
            return;
        }
        let message = cut(&problem.message, MESSAGE);
        let bytes = kind.len() + problem.reason.len() + message.len();
        if self.more > 0 || self.bytes + bytes > BYTES {
            self.more += 1;
            return;
        }
        self.bytes += bytes;
        self.told.push(SubCondition {
            kind: kind.into(),
            reason: problem.reason.into(),
            message: message.into(),
        });
    }

    /// Where there was no room the last one says how many more there are.
    fn finish(mut self) -> Arc<[SubCondition]> {
        if let Some(last) = self.told.last().filter(|_| self.more > 0).cloned() {
            self.told.push(SubCondition {
                message: format!("and {} more", self.more).into(),
                ..last
            });
        }
        self.told.into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn problem(
        condition: Option<(&'static str, bool)>,
        reason: &'static str,
        message: &str,
    ) -> Problem {
        let object = ObjectRef::new(Kind::HttpProxy, "n", "a");
        let problem = Problem::new(object, reason, message);
        match condition {
            None => problem,
            Some((condition_type, is_warning)) => problem.of_condition(Condition {
                condition_type,
                is_warning,
            }),
        }
    }

    #[test]
    fn errors_stand_in_the_order_in_which_they_were_found() {
        let error = Some(("RouteError", false));
        let warning = Some(("SpecError", true));
        let one = [
            problem(error, "Second", "b"),
            problem(warning, "IgnoredField", "w"),
            problem(error, "First", "a"),
            problem(error, "Second", "b"),
            problem(None, "Told", "by an Event"),
        ];
        let other = [problem(error, "First", "a"), problem(error, "First", "c")];
        let (errors, warnings) = conditions(&[&one, &other]);
        let texts = |list: &[SubCondition]| {
            let texts = list
                .iter()
                .map(|it| format!("{}/{} {}", it.kind, it.reason, it.message));
            texts.collect::<Vec<_>>()
        };
        assert_eq!(
            texts(&errors),
            [
                "RouteError/Second b",
                "RouteError/First a",
                "RouteError/Second b",
                "RouteError/First c"
            ]
        );
        assert_eq!(texts(&warnings), ["SpecError/IgnoredField w"]);
    }

    #[test]
    fn who_loses_a_host_is_not_valid() {
        for (kind, is_in_status) in [(Kind::HttpProxy, true), (Kind::Ingress, false)] {
            let told = host_conflict(&ObjectRef::new(kind, "n", "a"), "theirs".to_owned());
            let (errors, warnings) = conditions(&[&[told]]);
            assert_eq!(errors.len(), usize::from(is_in_status), "{kind}");
            assert!(warnings.is_empty());
        }
    }

    /// An object with a status that is too large is one that nobody can change.
    #[test]
    fn a_status_has_its_bounds() {
        let long = "é".repeat(MESSAGE);
        let error = Some(("RouteError", false));
        let many: Vec<_> = (0..10)
            .map(|n| problem(error, "Long", &format!("{n}{long}")))
            .collect();
        let (errors, _) = conditions(&[&many]);
        assert_eq!(errors.len(), 4);
        assert!(
            errors[..3]
                .iter()
                .all(|it| (MESSAGE - 1..=MESSAGE).contains(&it.message.len()))
        );
        assert_eq!(&*errors[3].message, "and 7 more");
    }
}
