//! `isobath wait --for=live KIND/NAME`: until every control plane has the object as it is now, and every Envoy of theirs has
//! acknowledged that. It asks the API server what the object is now, and the pods of the installation what they have of it.

mod verdict;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep_until};

use super::object_state::{self, ObjectState};
use super::{cluster, output, pods};
use crate::objects::{Kind, ObjectRef};
use crate::process::duration::duration;
use crate::process::exit_code::{FATAL, UsageError};
use crate::process::http_client::AdminUrl;
use verdict::{Verdict, Wanted, verdict};

/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(500);

/// Flags of `isobath wait`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// What is waited for, such as ingress/web; several may be named.
    #[arg(value_name = "KIND/NAME", required = true)]
    pub objects: Vec<String>,
    /// Until when.
    #[arg(
        long = "for",
        env = "ISOBATH_FOR",
        value_name = "CONDITION",
        default_value = "live"
    )]
    pub condition: Condition,
    /// The namespace of the objects; without it that of the context.
    #[arg(short, long, env = "ISOBATH_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,
    /// How long it may take.
    #[arg(
        long,
        env = "ISOBATH_TIMEOUT",
        value_name = "TIME",
        default_value = "60s",
        value_parser = duration
    )]
    pub timeout: Duration,
    /// Ask these control planes by their admin address, such as http://127.0.0.1:6060, instead of the pods; may be given several
    /// times.
    #[arg(long, env = "ISOBATH_ADMIN", value_name = "URL", value_delimiter = ',')]
    pub admin: Vec<AdminUrl>,
    /// The cluster.
    #[command(flatten)]
    pub cluster: cluster::Args,
    /// The installation.
    #[command(flatten)]
    pub installation: pods::Args,
}

/// `--for`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Condition {
    /// Every Envoy has acknowledged what the object is now.
    Live,
}

/// Waits. Returns the exit code: 0 where all objects are live, 1 where one is not and will not be, or not in time.
///
/// # Errors
///
/// A kind that is not known, or no cluster that can be used: exit code 2. An object that is not there, or an API server that
/// can't be asked.
pub async fn run(args: &Args) -> anyhow::Result<u8> {
    let deadline = Instant::now() + args.timeout;
    let named = args.objects.iter().map(|text| parsed(text));
    let named = named.collect::<Result<Vec<_>, _>>();
    let named = named.map_err(UsageError::new)?;
    let client = args.cluster.client().await?;
    let mut wanted = Vec::new();
    for (kind, name) in named {
        let own = client.default_namespace();
        let namespace = args.namespace.as_deref().unwrap_or(own);
        wanted.push(as_it_is(&client, kind, namespace, name).await?);
    }
    let mut waited = Waited {
        args,
        client,
        reached: BTreeMap::new(),
    };
    loop {
        let round = waited.round(&wanted).await?;
        if let Some(failed) = round.failed {
            return Ok(not_live(&failed));
        }
        let Some(missing) = round.missing else {
            output::print(&round.says)?;
            return Ok(0);
        };
        let now = Instant::now();
        if now >= deadline {
            let time = args.timeout;
            let says = format!(
                "not live within {time:?}: {missing}. `isobath doctor` looks for the cause"
            );
            return Ok(not_live(&says));
        }
        sleep_until((now + PAUSE).min(deadline)).await;
    }
}

/// Says why on standard error; one that is closed is nobody's error.
fn not_live(why: &str) -> u8 {
    let _ = writeln!(std::io::stderr(), "isobath: {why}");
    FATAL
}

/// `KIND/NAME`.
fn parsed(text: &str) -> Result<(Kind, &str), String> {
    let Some((word, name)) = text.split_once('/').filter(|(_, name)| !name.is_empty()) else {
        return Err(format!("{text:?} is no KIND/NAME, such as ingress/web"));
    };
    let kind = object_state::kind(word).ok_or_else(|| {
        let names = Kind::ALL.map(Kind::name).join(", ");
        format!("Isobath reads no objects of kind {word:?}, but {names}")
    })?;
    Ok((kind, name))
}

/// The object as the API server has it.
async fn as_it_is(
    client: &kube::Client,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> anyhow::Result<Wanted> {
    let namespace = if kind.is_namespaced() { namespace } else { "" };
    let api = cluster::api(client, kind, Some(namespace));
    let object = ObjectRef::new(kind, namespace, name);
    let found = api.get(name).await;
    let found = found.with_context(|| format!("can't get {object}"))?;
    let version = found.metadata.resource_version.unwrap_or_default();
    let version = version.parse();
    let version = version.context("the API server has versions that are no numbers")?;
    Ok(Wanted { object, version })
}

/// What is asked again and again.
struct Waited<'a> {
    args: &'a Args,
    client: kube::Client,
    /// The first snapshot of each control plane that has an object, by its name and the object's place.
    reached: BTreeMap<(String, usize), u64>,
}

/// What came of asking once.
#[derive(Default)]
struct Round {
    /// An object that will not be live.
    failed: Option<String>,
    /// What is not live yet.
    missing: Option<String>,
    /// A line for each object that is.
    says: String,
}

impl Waited<'_> {
    async fn round(&mut self, wanted: &[Wanted]) -> anyhow::Result<Round> {
        let mut round = Round::default();
        let mut names = Vec::new();
        if self.args.admin.is_empty() {
            for pod in self.args.installation.pods(&self.client).await? {
                names.push(pod.metadata.name.unwrap_or_default());
            }
        } else {
            names.extend(self.args.admin.iter().map(ToString::to_string));
        }
        if names.is_empty() {
            round.missing = Some(self.args.installation.none());
            return Ok(round);
        }
        for (place, wanted) in wanted.iter().enumerate() {
            let mut envoys = 0;
            let mut problems = Vec::new();
            for (at, name) in names.iter().enumerate() {
                let state = match self.ask(at, name, &wanted.object).await {
                    Ok(state) => state,
                    Err(error) => {
                        round.missing = Some(format!("{name} can't be asked: {error:#}"));
                        continue;
                    }
                };
                let reached = self.reached.entry((name.clone(), place));
                match verdict(wanted, &state, reached) {
                    Verdict::Live => {}
                    Verdict::Waits(why) => round.missing = Some(format!("{name}: {why}")),
                    Verdict::Refused(why) => round.failed = Some(format!("{name}: {why}")),
                }
                envoys += state.delivery.streams.len();
                problems = state.problems;
            }
            if envoys == 0 && round.missing.is_none() {
                round.missing = Some("no Envoy is connected to any control plane".to_owned());
            }
            let object = &wanted.object;
            let (planes, are) = (names.len(), if envoys == 1 { "" } else { "s" });
            round.says += &format!(
                "{object} is live: {envoys} Envoy{are} of {planes} control plane{}\n",
                if planes == 1 { "" } else { "s" }
            );
            for problem in problems {
                round.says += &format!("  ! {problem}\n");
            }
        }
        Ok(round)
    }

    async fn ask(&self, at: usize, name: &str, object: &ObjectRef) -> anyhow::Result<ObjectState> {
        let path = format!("/debug/object?{}", object_state::query(object));
        let answer = match self.args.admin.get(at) {
            Some(admin) => admin.get(&path).await?,
            None => {
                let installation = &self.args.installation;
                installation.get(&self.client, name, &path).await?
            }
        };
        serde_json::from_str(&answer).context("its answer is none")
    }
}
