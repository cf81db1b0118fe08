//! Certificates of what is served: there, usable by Envoy, and not near their end. Of a key nothing is kept and nothing is said.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};

use super::finding::{Checked, Finding, counted, some_of};
use super::installation::Installation;
use super::read::{Of, Read, list, named};
use super::routed::Facts as Routed;
use crate::objects::TlsCertificate;

/// Renewal is late where less than a sixth of its life is left, and that is less than this. Who renews does it long before:
/// cert-manager with a third left.
const LATE: SignedDuration = SignedDuration::from_hours(24 * 14);

/// Secrets of other types than `kubernetes.io/tls` are asked for one by one, and so many at most.
const NAMED: usize = 64;

/// How it stands with a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pair {
    /// It can be served, from then and until then.
    Usable(Timestamp, Timestamp),
    /// It can't, and why.
    Broken(String),
}

/// What is known of certificates.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The Secrets that are named, as NAMESPACE/NAME, and what names each.
    pub named: BTreeMap<String, Vec<String>>,
    /// Those that are there.
    pub secrets: Read<BTreeMap<String, Pair>>,
}

/// Asks for what is named, and nothing else is kept.
pub async fn ask(client: &kube::Client, installation: &Installation, routed: &Routed) -> Facts {
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for object in routed.ours() {
        for secret in &object.secrets {
            let names = named.entry(secret.clone()).or_default();
            names.push(format!("{} {}", object.kind, object.path()));
        }
    }
    let secrets = match named.is_empty() {
        true => Ok(BTreeMap::new()),
        false => read(client, installation, &named.keys().cloned().collect()).await,
    };
    Facts { named, secrets }
}

async fn read(
    client: &kube::Client,
    installation: &Installation,
    wanted: &BTreeSet<String>,
) -> Read<BTreeMap<String, Pair>> {
    let mut found = BTreeMap::new();
    let keep = |secret: Secret| {
        let metadata = &secret.metadata;
        let path = format!(
            "{}/{}",
            metadata.namespace.as_ref()?,
            metadata.name.as_ref()?
        );
        wanted.contains(&path).then(|| (path, pair(&secret)))
    };
    for scope in installation.scopes() {
        let of = Of {
            resource: "secrets",
            namespace: scope.as_deref(),
        };
        let api: Api<Secret> = match &scope {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let of_tls = ListParams::default().fields("type=kubernetes.io/tls");
        found.extend(list(api, of, of_tls, keep).await?);
    }
    let others: Vec<&String> = wanted
        .iter()
        .filter(|it| !found.contains_key(*it))
        .collect();
    for path in others.into_iter().take(NAMED) {
        let (namespace, name) = path.split_once('/').unwrap_or_default();
        let of = Of {
            resource: "secrets",
            namespace: Some(namespace),
        };
        let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
        if let Some(pair) = named(api, of, name, |it| Some(pair(&it))).await? {
            found.insert(path.clone(), pair);
        }
    }
    Ok(found)
}

fn pair(secret: &Secret) -> Pair {
    let data = secret.data.iter().flatten();
    let value = |name: &str| {
        let mut of_name = data.clone().filter(|(own, _)| *own == name);
        of_name.next().map(|(_, value)| &*value.0)
    };
    let (Some(chain), Some(key)) = (value("tls.crt"), value("tls.key")) else {
        return Pair::Broken("it has not both of tls.crt and tls.key".to_owned());
    };
    match TlsCertificate::from_pem(chain, key) {
        Ok(certificate) => Pair::Usable(certificate.not_before, certificate.not_after),
        Err(why) => Pair::Broken(why),
    }
}

/// Whether each is good, and for how long.
pub fn check(facts: &Facts, now: Timestamp) -> Checked {
    let mut findings = Vec::new();
    let mut first_end: Option<Timestamp> = None;
    let secrets = match &facts.secrets {
        Ok(secrets) => secrets,
        Err(unread) => {
            return Checked {
                name: "certificates",
                says: String::new(),
                findings: vec![unread.finding("whether certificates are good")],
            };
        }
    };
    for (path, owners) in &facts.named {
        let (namespace, name) = path.split_once('/').unwrap_or_default();
        let owners = some_of(owners);
        let create =
            format!("kubectl -n {namespace} create secret tls {name} --cert=FILE --key=FILE");
        let replace = format!("{create} --dry-run=client -o yaml | kubectl apply -f -");
        match secrets.get(path) {
            None => findings.push(Finding::error(
                format!("Secret {path} does not exist, which {owners} names: its hosts have no certificate"),
                create,
            )),
            Some(Pair::Broken(why)) => findings.push(Finding::error(
                format!("Secret {path}, which {owners} names, can't be served: {why}"),
                replace,
            )),
            Some(Pair::Usable(from, to)) => {
                first_end = Some(first_end.map_or(*to, |end| end.min(*to)));
                let left = to.duration_since(now);
                let life = to.duration_since(*from);
                let date = to.strftime("%F %R UTC");
                if left.is_negative() || left.is_zero() {
                    findings.push(Finding::error(
                        format!("the certificate of Secret {path}, which {owners} names, has ended on {date}: clients refuse it. Renew it"),
                        replace,
                    ));
                } else if *from > now {
                    let date = from.strftime("%F %R UTC");
                    findings.push(Finding::error(
                        format!("the certificate of Secret {path}, which {owners} names, begins on {date}: clients refuse it until then"),
                        replace,
                    ));
                } else if left < LATE && left < life / 6 {
                    let hours = left.as_hours();
                    let left = match hours {
                        0..48 => counted(usize::try_from(hours).unwrap_or_default(), "hour"),
                        hours => counted(usize::try_from(hours / 24).unwrap_or_default(), "day"),
                    };
                    findings.push(Finding::warning(
                        format!("the certificate of Secret {path}, which {owners} names, ends in {left}, on {date}: nobody has renewed it"),
                        replace,
                    ));
                }
            }
        }
    }
    let says = match first_end {
        Some(end) => format!(
            "{}, the first ends on {}",
            counted(facts.named.len(), "certificate"),
            end.strftime("%F")
        ),
        None => "no certificates are served".to_owned(),
    };
    Checked {
        name: "certificates",
        says,
        findings,
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::{Unread, Why};
    use super::*;

    /// Hours from the beginning of time.
    fn at(hour: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hour)
    }

    fn check(pair: Option<Pair>, now: i64, expected: Option<&str>) {
        let path = "shop/web".to_owned();
        let facts = Facts {
            named: BTreeMap::from([(path.clone(), vec!["Ingress shop/a".to_owned()])]),
            secrets: Ok(pair.into_iter().map(|pair| (path.clone(), pair)).collect()),
        };
        let found = super::check(&facts, at(now)).findings;
        match (&*found, expected) {
            ([], None) => {}
            ([one], Some(says)) => assert!(one.message.contains(says), "{one:?}"),
            _ => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn certificates_are_judged_by_their_life() {
        let of_days = |days: i64| Some(Pair::Usable(at(0), at(24 * days)));
        let at_day = |day: i64| day * 24;
        // Ninety days, as Let's Encrypt gives them; a year; and six days.
        check(of_days(90), at_day(60), None);
        check(of_days(90), at_day(76), None);
        check(
            of_days(90),
            at_day(76) + 1,
            Some("ends in 13 days, on 1970-04-01 00:00 UTC: nobody has renewed it"),
        );
        check(of_days(365), at_day(350), None);
        check(of_days(365), at_day(352), Some("ends in 13 days"));
        check(of_days(6), at_day(4), None);
        check(of_days(6), at_day(5), None);
        check(of_days(6), at_day(5) + 1, Some("ends in 23 hours"));
        check(
            of_days(6),
            at_day(6),
            Some("has ended on 1970-01-07 00:00 UTC"),
        );
        let later = Some(Pair::Usable(at(10), at(900)));
        check(later, 9, Some("begins on 1970-01-01 10:00 UTC"));
        check(
            None,
            0,
            Some("Secret shop/web does not exist, which Ingress shop/a names"),
        );
        let broken = Some(Pair::Broken("tls.crt is not well-formed PEM".to_owned()));
        check(
            broken,
            0,
            Some("can't be served: tls.crt is not well-formed PEM"),
        );
        let unread = Unread {
            verb: "list",
            resource: "secrets".to_owned(),
            namespace: None,
            why: Why::Forbidden,
        };
        let facts = Facts {
            named: BTreeMap::new(),
            secrets: Err(unread),
        };
        let found = super::check(&facts, at(0)).findings;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].command, "kubectl auth can-i list secrets -A");
    }

    #[test]
    fn a_secret_without_a_pair_is_broken() {
        assert_eq!(
            pair(&Secret::default()),
            Pair::Broken("it has not both of tls.crt and tls.key".to_owned())
        );
    }
}
