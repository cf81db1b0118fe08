//! The streams of each control plane, by its own pages: whether it is ready, whether its Envoy is connected, has acknowledged
//! what is served, or refuses a part of it. The pages are asked through the API server, as `isobath wait` does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use serde::Deserialize;
use tokio::time::sleep;

use super::finding::{Checked, Finding, counted, some_of};
use super::installation::{Installation, OwnPod};
use super::read::{Read, Right, Unread, Whose, Why, may};
use crate::cli::pods;
use crate::xds::ResourceType;

/// So many pods are asked at once.
const ASKED_AT_ONCE: usize = 8;

/// Who has not acknowledged all is asked again after this time: changes are under way at any moment.
const PAUSE: Duration = Duration::from_secs(2);

/// The oldest Envoy whose answers were tried.
const OLDEST_ENVOY: (u32, u32) = (1, 39);

/// What is known of streams.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What each pod with a control plane says; none before the installation.
    pub pods: Read<Vec<Said>>,
}

/// What a control plane says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its pod.
    pub pod: String,
    /// Whether an Envoy is in the same pod.
    pub is_pair: bool,
    /// Its streams, or why they are not known.
    pub streams: Result<Vec<Stream>, String>,
    /// What it waits for before it is ready, if it does.
    pub pending: Option<String>,
    /// How many snapshots the slowest Envoy lacks, and lacked some time later without having acknowledged any of them.
    pub behind: Option<u64>,
}

/// One client, as the page has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Stream {
    /// What it calls itself.
    pub node: Option<String>,
    /// Its version.
    pub envoy: Option<String>,
    /// Whether it was busy when it was asked.
    pub is_busy: bool,
    /// The newest snapshot of which it has acknowledged all.
    pub acknowledged: u64,
    /// What it asks for.
    pub types: Vec<Asked>,
    /// What it refuses.
    pub refused: Vec<Refused>,
}

/// A type that a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Asked {
    /// `lds`, `cds`, …
    pub resource_type: String,
}

/// A unit that an Envoy goes without.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Refused {
    /// `lds`, `cds`, …
    pub resource_type: String,
    /// The resource.
    pub resource: String,
    /// The part of it; `None` is all of it.
    pub part: Option<String>,
    /// The objects that it was made from, as `Ingress shop/web`.
    pub owners: Vec<String>,
    /// What Envoy says.
    pub reason: String,
}

impl Stream {
    /// Whether it is an Envoy that serves: who asks for no listeners only looks, or is asked about requests.
    fn follows(&self) -> bool {
        let of_listeners = ResourceType::Listener.service();
        let mut types = self.types.iter();
        self.is_busy || types.any(|it| it.resource_type == of_listeners)
    }
}

impl Said {
    /// Its Envoys.
    fn envoys(&self) -> impl Iterator<Item = &Stream> {
        let streams = self.streams.iter().flatten();
        streams.filter(|stream| stream.follows())
    }

    /// What is wrong with the pod, and the container whose log says more.
    fn faults(&self) -> Vec<(String, &'static str)> {
        if let Err(why) = &self.streams {
            let says = format!("the control plane does not answer: {why}");
            return vec![(says, "isobath")];
        }
        let mut faults = Vec::new();
        if self.is_pair && self.envoys().next().is_none() {
            let says = "its Envoy is not connected, and serves what it last had";
            faults.push((says.to_owned(), "envoy"));
        }
        if let Some(pending) = &self.pending {
            let says = format!("the control plane is not ready: {pending}");
            faults.push((says, "isobath"));
        }
        if let Some(behind) = self.behind {
            let behind = counted(usize::try_from(behind).unwrap_or(usize::MAX), "snapshot");
            let says =
                format!("its Envoy lacks {behind} and acknowledges none: it serves an old state");
            faults.push((says, "envoy"));
        }
        let versions = self.envoys().filter_map(|it| version(it.envoy.as_deref()?));
        for (major, minor) in versions.filter(|it| *it < OLDEST_ENVOY) {
            let (oldest, least) = OLDEST_ENVOY;
            let says = format!(
                "its Envoy is {major}.{minor}, and Isobath needs {oldest}.{least} or later"
            );
            faults.push((says, "envoy"));
        }
        faults
    }
}

/// Asks every control plane.
pub async fn ask(client: &kube::Client, args: &pods::Args, installation: &Installation) -> Facts {
    let pods = match &installation.pods {
        Ok(pods) => pods.iter().filter(|pod| pod.has_plane && !pod.is_ending),
        Err(unread) => {
            let pods = Err(unread.clone());
            return Facts { pods };
        }
    };
    let running: Vec<&OwnPod> = pods.filter(|pod| pod.is_running).collect();
    if running.is_empty() {
        return Facts {
            pods: Ok(Vec::new()),
        };
    }
    // A refusal of the connection itself says nothing of its reason.
    let right = Right {
        group: String::new(),
        resource: "pods/portforward".to_owned(),
        verb: "create".to_owned(),
        namespace: Some(installation.namespace.clone()),
        name: None,
    };
    match may(client, Whose::Mine, vec![right]).await {
        Ok(answers) if answers.iter().all(|(_, may)| *may) => {}
        Ok(_) => {
            let unread = Unread {
                verb: "create",
                resource: "pods/portforward".to_owned(),
                namespace: Some(installation.namespace.clone()),
                why: Why::Forbidden,
            };
            return Facts { pods: Err(unread) };
        }
        Err(unread) => return Facts { pods: Err(unread) },
    }
    let asked = running.into_iter().map(|pod| said(client, args, pod));
    let said = futures::stream::iter(asked).buffered(ASKED_AT_ONCE);
    Facts {
        pods: Ok(said.collect().await),
    }
}

async fn said(client: &kube::Client, args: &pods::Args, pod: &OwnPod) -> Said {
    let name = &pod.name;
    let streams = streams(client, args, name).await;
    let mut said = Said {
        pod: name.clone(),
        is_pair: pod.has_envoy,
        streams: streams.map_err(|error| format!("{error:#}")),
        pending: None,
        behind: None,
    };
    let Ok(streams) = &said.streams else {
        return said;
    };
    // Any answer but 200 is an error that says what is missing.
    if let Err(error) = args.get(client, name, "/readyz").await {
        let text = format!("{error:#}");
        let words: Vec<&str> = text.split_whitespace().collect();
        said.pending = Some(words.join(" "));
    }
    let lacks = lacks(client, args, name).await;
    if lacks.is_some_and(|lacks| lacks > 0) {
        sleep(PAUSE).await;
        let before = slowest(streams);
        if let Ok(later) = self::streams(client, args, name).await {
            let is_stuck = before.is_some() && before == slowest(&later);
            let lacks = self::lacks(client, args, name).await;
            said.behind = lacks.filter(|lacks| *lacks > 0 && is_stuck);
        }
    }
    said
}

fn slowest(streams: &[Stream]) -> Option<u64> {
    let follows = streams.iter().filter(|stream| stream.follows());
    follows.map(|stream| stream.acknowledged).min()
}

async fn streams(
    client: &kube::Client,
    args: &pods::Args,
    pod: &str,
) -> anyhow::Result<Vec<Stream>> {
    let page = args.get(client, pod, "/debug/xds").await?;
    let streams: BTreeMap<u64, Stream> = serde_json::from_str(&page)?;
    Ok(streams.into_values().collect())
}

/// How many snapshots the slowest client lacks.
async fn lacks(client: &kube::Client, args: &pods::Args, pod: &str) -> Option<u64> {
    let page = args.get(client, pod, "/metrics").await.ok()?;
    let name = "isobath_xds_unacknowledged_snapshots ";
    let value = page.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().parse().ok()
}

/// Whether Envoys have what is served.
pub fn check(facts: &Facts, installation: &Installation) -> Checked {
    let namespace = &installation.namespace;
    let pods = match &facts.pods {
        Ok(pods) => pods,
        Err(unread) => {
            return Checked {
                name: "streams",
                says: String::new(),
                findings: vec![unread.finding("whether Envoys have what is served")],
            };
        }
    };
    // What is the same of many pods is one finding.
    let mut faults: BTreeMap<(String, &'static str), Vec<String>> = BTreeMap::new();
    let mut refused: BTreeMap<&Refused, BTreeSet<String>> = BTreeMap::new();
    let mut envoys = 0;
    for said in pods {
        for fault in said.faults() {
            faults.entry(fault).or_default().push(said.pod.clone());
        }
        for stream in said.envoys() {
            envoys += 1;
            for unit in &stream.refused {
                refused.entry(unit).or_default().insert(said.pod.clone());
            }
        }
    }
    let mut findings = Vec::new();
    for ((says, container), pods) in faults {
        let first = pods.first().map_or("", |it| it);
        findings.push(Finding::error(
            format!("pod {}: {says}", some_of(&pods)),
            format!("kubectl -n {namespace} logs {first} -c {container}"),
        ));
    }
    for (unit, pods) in refused {
        findings.push(refusal(
            unit,
            &pods.into_iter().collect::<Vec<_>>(),
            namespace,
        ));
    }
    if envoys == 0 && !pods.is_empty() && findings.is_empty() {
        findings.push(Finding::error(
            "no Envoy is connected to any control plane, so nothing new is served",
            format!(
                "kubectl -n {namespace} get pods -l {}",
                installation.selector
            ),
        ));
    }
    let (envoys, planes) = (
        counted(envoys, "Envoy"),
        counted(pods.len(), "control plane"),
    );
    Checked {
        name: "streams",
        says: match pods.is_empty() {
            true => "no control plane runs yet".to_owned(),
            false => format!("{envoys} of {planes} connected, all acknowledged"),
        },
        findings,
    }
}

fn refusal(unit: &Refused, pods: &[String], namespace: &str) -> Finding {
    let Refused {
        resource_type,
        resource,
        part,
        owners,
        reason,
    } = unit;
    let part = part
        .as_ref()
        .map_or_else(String::new, |it| format!(" of {it}"));
    let made_of = match owners.is_empty() {
        true => String::new(),
        false => format!(", which is made of {}", some_of(owners)),
    };
    let owner = owners.first().and_then(|it| it.split_once(' '));
    let command = match owner.map(|(kind, name)| (kind, name.split_once('/'))) {
        Some((kind, Some((place, name)))) => {
            format!("kubectl -n {place} describe {} {name}", kind.to_lowercase())
        }
        Some((kind, None)) => format!("kubectl get {}", kind.to_lowercase()),
        None => {
            let first = pods.first().map_or("", |it| it);
            format!("kubectl -n {namespace} logs {first} -c isobath")
        }
    };
    let pods = some_of(pods);
    Finding::error(
        format!(
            "pod {pods}: Envoy refuses {resource_type} {resource}{part}{made_of}, and goes without: {reason}"
        ),
        command,
    )
}

/// `1.40.0`, as Envoys say it.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut words = text.split(|it: char| !it.is_ascii_digit() && it != '.');
    let version = words.find(|word| word.contains('.'))?;
    let mut numbers = version.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(types: &[&str]) -> Stream {
        let asked = |name: &&str| Asked {
            resource_type: (*name).to_owned(),
        };
        Stream {
            envoy: Some("envoy 1.40.0".to_owned()),
            types: types.iter().map(asked).collect(),
            ..Stream::default()
        }
    }

    fn said(pod: &str, streams: Result<Vec<Stream>, &str>) -> Said {
        Said {
            pod: pod.to_owned(),
            is_pair: true,
            streams: streams.map_err(ToOwned::to_owned),
            pending: None,
            behind: None,
        }
    }

    fn check(pods: Vec<Said>, expected: &[(&str, &str)]) {
        let installation = Installation {
            namespace: "isobath".to_owned(),
            selector: "a=b".to_owned(),
            workloads: Ok(Vec::new()),
            pods: Ok(Vec::new()),
        };
        let found = super::check(&Facts { pods: Ok(pods) }, &installation).findings;
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, (says, command)) in found.iter().zip(expected) {
            assert!(found.message.contains(says), "{found:?}");
            assert_eq!(found.command, *command);
        }
    }

    #[test]
    fn envoys_are_connected_and_have_all() {
        let well = || vec![stream(&["lds", "cds"]), stream(&["eds"])];
        check(vec![], &[]);
        check(vec![said("a", Ok(well())), said("b", Ok(well()))], &[]);
        let of_authz = || vec![stream(&["eds"])];
        let expected = [(
            "pod a, b: its Envoy is not connected",
            "kubectl -n isobath logs a -c envoy",
        )];
        check(
            vec![said("a", Ok(of_authz())), said("b", Ok(of_authz()))],
            &expected,
        );
        let apart = Said {
            is_pair: false,
            ..said("a", Ok(vec![]))
        };
        let expected = [(
            "no Envoy is connected to any",
            "kubectl -n isobath get pods -l a=b",
        )];
        check(vec![apart], &expected);
        let expected = [(
            "pod a: the control plane does not answer: refused",
            "kubectl -n isobath logs a -c isobath",
        )];
        check(vec![said("a", Err("refused"))], &expected);
        let slow = Said {
            pending: Some("503: events".to_owned()),
            behind: Some(2),
            ..said("a", Ok(well()))
        };
        let expected = [
            (
                "its Envoy lacks 2 snapshots and acknowledges none",
                "kubectl -n isobath logs a -c envoy",
            ),
            (
                "the control plane is not ready: 503: events",
                "kubectl -n isobath logs a -c isobath",
            ),
        ];
        check(vec![slow], &expected);
        let mut old = well();
        old[0].envoy = Some("envoy 1.38.2".to_owned());
        let expected = [(
            "its Envoy is 1.38, and Isobath needs 1.39",
            "kubectl -n isobath logs a -c envoy",
        )];
        check(vec![said("a", Ok(old))], &expected);
    }

    #[test]
    fn refusals_name_the_object() {
        let unit = |owners: &[&str]| Refused {
            resource_type: "cds".to_owned(),
            resource: "shop/web/80".to_owned(),
            owners: owners.iter().map(ToString::to_string).collect(),
            reason: "bad".to_owned(),
            ..Refused::default()
        };
        let refuses = |owners: &[&str]| Stream {
            refused: vec![unit(owners)],
            ..stream(&["lds"])
        };
        for (owners, says, command) in [
            (
                &["Service shop/web"][..],
                "pod a, b: Envoy refuses cds shop/web/80, which is made of Service shop/web, and goes without: bad",
                "kubectl -n shop describe service web",
            ),
            (
                &["GatewayClass isobath"],
                "made of GatewayClass isobath",
                "kubectl get gatewayclass",
            ),
            (
                &[],
                "cds shop/web/80, and goes without",
                "kubectl -n isobath logs a -c isobath",
            ),
        ] {
            let pods = ["a", "b"].map(|pod| said(pod, Ok(vec![refuses(owners)])));
            check(pods.to_vec(), &[(says, command)]);
        }
    }
}
