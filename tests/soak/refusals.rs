//! One unit that Envoy refuses, among two hundred hosts: the others go on changing, a fresh Envoy serves them, and who
//! owns the bad one is told. The proxy makes it bad on its way, so that Isobath is in the place of one that has
//! rendered it.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Result, ensure};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{PrivateKeyProvider, Secret};
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatcher;
use envoy_types::pb::google::protobuf::Duration;
use isobath::xds::RefusalText;
use prost::Message as _;
use serde_json::Value;

use crate::support::ads::{CDS, LDS, RDS, SDS};
use crate::support::backend::Backend;
use crate::support::certificate::{Authority, Leaf};
use crate::support::client::{Connection, Tls, Version, get};
use crate::support::eventually::eventually;
use crate::support::isobath::{BINARY, Isobath};
use crate::support::manifest::{Manifest, app, site};
use crate::support::stand::{self, Stand};
use crate::support::xds_proxy::XdsProxy;
use crate::{figures, rounds};

/// What is bad, and how Envoy finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    /// An expression that does not compile: its whole table is refused, without a word about the host.
    VirtualHost,
    /// A filter that lacks something: its whole listener is refused.
    FilterChain,
    /// A negative duration: the whole response is refused at decode, and nothing is named.
    Cluster,
    /// A key that is another certificate's.
    SecretKey,
    /// An empty name where there must be one: the refusal quotes all of the Secret.
    SecretField,
}

impl Bad {
    /// The type, as metrics name it, and its URL.
    fn of(self) -> (&'static str, &'static str) {
        match self {
            Self::VirtualHost => ("rds", RDS),
            Self::FilterChain => ("lds", LDS),
            Self::Cluster => ("cds", CDS),
            Self::SecretKey | Self::SecretField => ("sds", SDS),
        }
    }

    fn owner(self) -> &'static str {
        match self {
            Self::VirtualHost => "Ingress default/bad",
            Self::Cluster => "Service default/bad",
            Self::FilterChain | Self::SecretKey | Self::SecretField => "Secret default/bad",
        }
    }

    /// Makes that unit bad which belongs to the objects called `bad`, whatever its name is made of.
    fn spoil(self, other_key: &str, type_url: &str, name: &str, bytes: Vec<u8>) -> Vec<u8> {
        if type_url != self.of().1 {
            return bytes;
        }
        match self {
            Self::VirtualHost => {
                let mut table = RouteConfiguration::decode(&*bytes).unwrap();
                for host in &mut table.virtual_hosts {
                    if host.domains.iter().any(|domain| domain == "bad.test") {
                        let matches = host.routes[0].r#match.as_mut().unwrap();
                        matches.path_specifier = Some(PathSpecifier::SafeRegex(RegexMatcher {
                            regex: "/(".into(),
                            ..RegexMatcher::default()
                        }));
                    }
                }
                table.encode_to_vec()
            }
            Self::FilterChain => {
                let mut listener = Listener::decode(&*bytes).unwrap();
                for chain in &mut listener.filter_chains {
                    let filter = chain.filters[0].config_type.as_mut();
                    if chain.name.contains("/bad")
                        && let Some(ConfigType::ConfigDiscovery(manager)) = filter
                    {
                        manager.type_urls.clear();
                    }
                }
                listener.encode_to_vec()
            }
            Self::Cluster if name.contains("/bad/") => {
                let mut cluster = Cluster::decode(&*bytes).unwrap();
                cluster.connect_timeout = Some(Duration {
                    seconds: -1,
                    nanos: 0,
                });
                cluster.encode_to_vec()
            }
            Self::SecretKey | Self::SecretField if name.ends_with("/bad") => {
                let mut secret = Secret::decode(&*bytes).unwrap();
                let Some(secret::Type::TlsCertificate(certificate)) = &mut secret.r#type else {
                    panic!("no certificate");
                };
                if self == Self::SecretKey {
                    let key = certificate.private_key.as_mut().unwrap();
                    key.specifier = Some(Specifier::InlineBytes(other_key.into()));
                } else {
                    certificate.private_key_provider = Some(PrivateKeyProvider::default());
                }
                secret.encode_to_vec()
            }
            _ => bytes,
        }
    }

    /// What the bad host answers over HTTP and over HTTPS; `None` is no answer.
    fn answers(self) -> (u16, Option<u16>) {
        match self {
            Self::VirtualHost => (404, Some(421)),
            Self::Cluster => (503, Some(503)),
            Self::FilterChain | Self::SecretKey | Self::SecretField => (200, None),
        }
    }
}

/// What there is at a time: good hosts, and from the first edition on a bad one.
struct Edition {
    number: usize,
    backend: Backend,
    leaves: Vec<Leaf>,
    manifests: Vec<Manifest>,
}

impl Edition {
    /// All of `hosts` lead to a Service of this edition, and every tenth of them has a new certificate.
    async fn new(authority: &Authority, number: usize, hosts: usize, last: Option<&Self>) -> Self {
        let service = format!("edition-{number}");
        let backend = Backend::start(&service).await;
        let mut manifests = app(&service, &[&backend]);
        let mut leaves = Vec::new();
        for host in 0..hosts {
            let (name, domain) = (format!("h-{host}"), format!("h-{host}.test"));
            let kept = last.filter(|_| !(host + number).is_multiple_of(10));
            let leaf = match kept.and_then(|last| last.leaves.get(host)) {
                Some(leaf) => leaf.clone(),
                None => authority.leaf(&[&domain]),
            };
            let rule = site(&name, &domain, &format!("{service}:80"));
            manifests.push(rule.tls(&[&domain], &name));
            manifests.push(leaf.secret(&name));
            leaves.push(leaf);
        }
        Self {
            number,
            backend,
            leaves,
            manifests,
        }
    }
}

struct Scene {
    bad: Bad,
    stand: Stand,
    proxy: XdsProxy,
    authority: Authority,
    /// The objects called `bad`.
    objects: Vec<Manifest>,
}

impl Scene {
    fn write(&self, edition: &Edition) {
        let objects: &[Manifest] = if edition.number > 0 {
            &self.objects
        } else {
            &[]
        };
        let all = [&edition.manifests[..], objects].concat();
        self.stand.isobath.write("manifests.yaml", &all);
    }

    fn tls(&self, host: &str) -> Tls {
        Tls {
            trust: self.authority.trust(),
            ..Tls::sni(host)
        }
    }

    /// Every good host leads where the edition says, by the certificate that it says; `at_once` or before long.
    async fn serves(&self, edition: &Edition, at_once: bool) {
        for (number, leaf) in edition.leaves.iter().enumerate() {
            let host = format!("h-{number}.test");
            let tls = self.tls(&host);
            let probe = async || -> Result<()> {
                let https = self.stand.isobath.https();
                let mut connection = Connection::open(https, Version::H2, Some(&tls)).await?;
                ensure!(
                    connection.certificate() == Some(&leaf.der),
                    "the old certificate"
                );
                let answer = connection.get(&host, "/").await?;
                let got = (answer.status, answer.backend());
                ensure!(got == (200, edition.backend.name()), "{got:?}");
                Ok(())
            };
            if at_once {
                probe()
                    .await
                    .unwrap_or_else(|error| panic!("{host}: {error:#}"));
            } else {
                eventually(&format!("{host} has changed"), probe).await;
            }
        }
    }

    /// The bad host answers as one that lacks this unit, and nobody else's.
    async fn bad_answers(&self, (http, https): (u16, Option<u16>)) {
        let host = "bad.test";
        eventually(
            "the bad host answers as it should",
            async || -> Result<()> {
                let answer = self.stand.get(host, "/").await?.status;
                ensure!(answer == http, "HTTP: {answer}");
                let address = self.stand.isobath.https();
                let answer = get(address, Version::H1, Some(&self.tls(host)), host, "/").await;
                let answer = answer.ok().map(|answer| answer.status);
                ensure!(answer == https, "HTTPS: {answer:?}");
                Ok(())
            },
        )
        .await;
    }

    /// What Envoy said when it refused, in short.
    fn said(&self) -> Vec<String> {
        let refusals = self.proxy.refusals().into_iter();
        refusals
            .map(|refusal| refusal.message.chars().take(600).collect())
            .collect()
    }

    async fn debug_page(&self) -> String {
        let admin = self.stand.isobath.admin();
        let answer = get(admin, Version::H1, None, "localhost", "/debug/xds").await;
        answer.unwrap().text()
    }

    /// What is left out, by resource and part, with owners and reason.
    async fn refused(&self) -> Vec<Value> {
        let page: Value = serde_json::from_str(&self.debug_page().await).unwrap();
        let streams = page.as_object().unwrap().values();
        let refused = streams.flat_map(|stream| stream["refused"].as_array().cloned().unwrap());
        refused.collect()
    }

    /// The owner is named on the page, in the metric and in the log, and the bad unit alone.
    async fn owner_is_told(&self, is_fresh: bool) {
        let (service, _) = self.bad.of();
        let refused = self.refused().await;
        // Envoy keeps a Secret with another's key though it refuses it, and takes it when it comes again. Among many
        // it is not found then, and nobody else may be taken for it.
        assert!(!refused.is_empty() || is_fresh && self.bad == Bad::SecretKey);
        for unit in &refused {
            assert_eq!(unit["resource_type"], service, "{unit}");
            let owners = unit["owners"].as_array().unwrap();
            assert!(
                owners.contains(&self.bad.owner().into()),
                "{unit}, while Envoy said {:#?}",
                self.said()
            );
        }
        let metrics: BTreeMap<String, f64> = self.stand.isobath.metrics().await;
        let named = format!(
            "isobath_xds_nack_total{{type=\"{service}\",owner=\"{}\"}}",
            self.bad.owner()
        );
        assert!(
            metrics.get(&named).is_some_and(|count| *count > 0.0),
            "{metrics:?}"
        );
        let others: f64 = metrics
            .iter()
            .filter(|(name, _)| {
                name.starts_with("isobath_xds_nack_total") && !name.contains("/bad\"")
            })
            .map(|(_, count)| count)
            .sum();
        assert_eq!(others, 0.0, "{metrics:?}");
        let log = self.stand.isobath.log();
        assert!(log.contains(self.bad.owner()), "{log}");
    }

    /// No line of the key is anywhere, and what stands for the refusal is.
    async fn key_is_nowhere(&self, leaf: &Leaf, other: &Leaf) {
        let mut texts = vec![
            ("the log", self.stand.isobath.log()),
            ("/debug/xds", self.debug_page().await),
        ];
        for (page, text) in &texts {
            // Of a key this Envoy has told nobody.
            let is_told = *page == "the log" || self.bad == Bad::SecretField;
            assert!(
                !is_told || text.contains(RefusalText::SECRET),
                "{page}: {text}"
            );
        }
        let metrics = format!("{:?}", self.stand.isobath.metrics().await);
        texts.push(("/metrics", metrics));
        let mut command = Command::new(BINARY);
        command.args([
            "xds",
            "sds",
            "--xds-address",
            &self.stand.isobath.xds_address(),
        ]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        texts.push(("isobath xds", String::from_utf8(output.stdout).unwrap()));
        texts.push(("isobath xds", String::from_utf8(output.stderr).unwrap()));
        for key in [&leaf.key, &other.key] {
            for line in key.lines().filter(|line| !line.starts_with("-----")) {
                for (name, text) in &texts {
                    assert!(!text.contains(line), "a line of the key is in {name}");
                }
            }
        }
    }
}

async fn check(bad: Bad) {
    let hosts = rounds(30, 199);
    let authority = Authority::new();
    let (leaf, other) = (authority.leaf(&["bad.test"]), authority.leaf(&["bad.test"]));
    let backend = Backend::start("bad").await;
    let mut objects = app("bad", &[&backend]);
    objects.push(site("bad", "bad.test", "bad:80").tls(&["bad.test"], "bad"));
    objects.push(leaf.secret("bad"));
    let mut edition = Edition::new(&authority, 0, hosts, None).await;
    let isobath = Isobath::start(&edition.manifests).await;
    let proxy = XdsProxy::start(isobath.directory(), &isobath.xds());
    let key = other.key.clone();
    proxy.rewrite(move |type_url, name, bytes| bad.spoil(&key, type_url, name, bytes));
    let stand = Stand::behind(isobath, proxy.socket(), &[]).await;
    let mut scene = Scene {
        bad,
        stand,
        proxy,
        authority,
        objects,
    };
    scene.serves(&edition, false).await;
    assert!(scene.proxy.refusals().is_empty());

    // It comes, and everybody else changes with it, and after it.
    for number in [1, 2] {
        edition = Edition::new(&scene.authority, number, hosts, Some(&edition)).await;
        scene.write(&edition);
        scene.serves(&edition, false).await;
        scene.bad_answers(bad.answers()).await;
        scene.owner_is_told(false).await;
    }
    let running = scene.proxy.refusals();
    assert!(!running.is_empty() && running.iter().all(|refusal| refusal.type_url == bad.of().1));

    // A fresh Envoy has the others as soon as the bad one is found.
    let Stand { isobath, envoy } = scene.stand;
    envoy.kill().await;
    let start = std::time::Instant::now();
    let mut envoy = stand::envoy(&isobath, scene.proxy.socket(), &[]);
    envoy.live().await;
    scene.stand = Stand { isobath, envoy };
    scene.serves(&edition, false).await;
    let served = start.elapsed();
    assert!(
        served.as_secs() < 12,
        "it waited for what is refused: {served:?}"
    );
    scene.serves(&edition, true).await;
    scene.bad_answers(bad.answers()).await;
    scene.owner_is_told(true).await;

    // The others change again, and the bad one, which has not changed, is not tried again.
    let fresh = scene.proxy.refusals().len();
    edition = Edition::new(&scene.authority, 3, hosts, Some(&edition)).await;
    scene.write(&edition);
    scene.serves(&edition, false).await;
    assert_eq!(
        scene.proxy.refusals().len(),
        fresh,
        "the same is never sent twice"
    );
    if bad == Bad::SecretField {
        let line = leaf.key.lines().nth(1).unwrap();
        let quoted = running.iter().any(|refusal| refusal.message.contains(line));
        assert!(
            quoted,
            "Envoy quotes the key, or this shows nothing: {running:?}"
        );
    }
    if matches!(bad, Bad::SecretKey | Bad::SecretField) {
        scene.key_is_nowhere(&leaf, &other).await;
    }

    // It is mended, in other bytes.
    scene.proxy.rewrite(|_, _, bytes| bytes);
    scene.objects = app("mended", &[&backend]);
    let mended = scene.authority.leaf(&["bad.test"]);
    let rule = site("bad", "bad.test", "mended:80").tls(&["bad.test"], "mended");
    scene.objects.extend([rule, mended.secret("mended")]);
    edition = Edition::new(&scene.authority, 4, hosts, Some(&edition)).await;
    scene.write(&edition);
    scene.serves(&edition, false).await;
    scene.bad_answers((200, Some(200))).await;
    eventually("nothing is left out", async || {
        let refused = scene.refused().await;
        ensure!(refused.is_empty(), "{refused:?}");
        Ok(())
    })
    .await;
    figures(
        "refusals",
        format!(
            "{bad:?} among {hosts} good hosts: found by {} refused responses, {} more by a fresh Envoy, all others \
             served {served:.1?} after its start",
            running.len(),
            fresh - running.len()
        ),
    );
    let Stand { mut isobath, envoy } = scene.stand;
    isobath.process().assert_running();
    // It has refused what it should have.
    envoy.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_virtual_host() {
    check(Bad::VirtualHost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_filter_chain() {
    check(Bad::FilterChain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_cluster() {
    check(Bad::Cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key() {
    check(Bad::SecretKey).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_quotes_the_key() {
    check(Bad::SecretField).await;
}
