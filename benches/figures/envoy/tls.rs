//! Ways to bring TLS hosts, each with a certificate of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::{TypedExtensionConfig, transport_socket};
use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::cert_mappers::sni::v3::Sni;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::cert_selectors::on_demand_secret::v3 as on_demand;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::util::pack_any;
use imbl::OrdMap;
use isobath::envoy::edge::Edge;
use isobath::envoy::{filter_chain, listener, route, secret, server_name, stats};
use isobath::model::{Alpn, Certificate, Host, TlsParameters, TlsServer, Validity};
use isobath::objects::Kind;
use isobath::objects::private_key::{KeyAlgorithm, PrivateKeyPem};
use isobath::xds::{Part, Resource};
use prost::Message as _;

use super::inline::{ads, inline};
use super::scopes::{scope, scoped_by, with_managers};
use super::server::Type;
use super::stand::{CHANGES, Stand, add_changes, cpu_since, source, virtual_host};
use crate::objects::host_name;
use crate::proxy::Running;
use crate::report::{Report, ms};
use crate::traffic::TlsProbe;

/// The header that carries the server name to the scopes.
const SCOPE: &str = "x-scope";
/// A new host that takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Server names that nobody owns, and that a stranger sends.
const STRANGE: usize = 2_000;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Chains in the listener, as it is: one manager for all, and tables by the server name.
    Listener,
    /// The same with a connection manager in each chain, as it was.
    ListenerInline,
    /// The same with connection managers that do nothing but route: what the size of a chain costs.
    ListenerBare,
    /// FCDS: names in the listener, each chain a resource of its own, its certificate by SDS.
    Discovery,
    /// The same with the certificate in the chain, which Isobath must not do: a key leaves over SDS only.
    DiscoveryInline,
    /// One chain, whose certificate is fetched when a client asks for it, and SRDS by the server name.
    OnDemand,
}

impl Way {
    pub const ALL: [Self; 6] = [
        Self::Listener,
        Self::ListenerInline,
        Self::ListenerBare,
        Self::Discovery,
        Self::DiscoveryInline,
        Self::OnDemand,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::ListenerInline => "listener-inline",
            Self::ListenerBare => "listener-bare",
            Self::Discovery => "discovery",
            Self::DiscoveryInline => "discovery-inline",
            Self::OnDemand => "on-demand",
        }
    }
}

/// What the listener is made of so far.
struct Hosts<'a> {
    stand: &'a Stand,
    way: Way,
    head: Part,
    parts: OrdMap<Arc<str>, Arc<Part>>,
    pem: (String, String),
}

/// An Envoy that serves hosts.
pub struct Served<'a> {
    hosts: Hosts<'a>,
    pub running: Running,
    pub probe: TlsProbe,
}

impl<'a> Served<'a> {
    pub async fn start(
        report: &mut Report,
        envoy: &Path,
        stand: &'a Stand,
        way: Way,
        hosts: usize,
    ) -> Result<Self> {
        let name = format!("TLS hosts by {}", way.name());
        let config = stand.config()?;
        put_what_all_share(stand, &config);
        let key = rcgen::KeyPair::generate()?;
        let certificate = rcgen::CertificateParams::new(vec!["*.figures.example".to_owned()])?
            .self_signed(&key)?;
        let probe = TlsProbe::new(config.https, [certificate.pem().as_str()])?;
        let mut all = Hosts {
            stand,
            way,
            head: listener::head(&config.built_in()[1], &config.edge),
            parts: OrdMap::new(),
            pem: (certificate.pem(), key.serialize_pem()),
        };
        if way == Way::OnDemand {
            all.share_one_chain()?;
        }
        for host in 0..hosts {
            all.add(&host_name(host))?;
        }
        all.put_listener(true);
        let running = stand.envoy(report, envoy, &name, hosts).await?;
        probe.until_ok(&host_name(hosts / 2)).await?;
        Ok(Self {
            hosts: all,
            running,
            probe,
        })
    }
}

pub async fn measure(report: &mut Report, envoy: &Path, way: Way, hosts: usize) -> Result<()> {
    let mut stand = Stand::new().await?;
    let name = format!("TLS hosts by {}", way.name());
    let Served {
        hosts: mut all,
        running,
        probe,
    } = Served::start(report, envoy, &stand, way, hosts).await?;
    let resident = |report: &mut Report, when: &str| {
        let name = format!("{name}: Envoy's RSS{when}");
        let (now, _) = running.child.memory();
        report.add(&name, Some(hosts), "MiB", now);
    };
    resident(report, "");
    let mut changes = Vec::new();
    for host in hosts..hosts + CHANGES {
        let host = host_name(host);
        let cpu = running.child.cpu();
        let listener_changes = all.add(&host)?;
        all.put_listener(listener_changes);
        let stamp = Instant::now();
        stand.server.flush();
        let Ok(at) = tokio::time::timeout(PATIENCE, probe.until_ok(&host)).await else {
            let note = format!(
                "{name}, {hosts} of them: a new one is not served within {PATIENCE:?}; {} secrets are asked for, all \
                 from before.",
                stand.server.asked(Type::Secret)
            );
            report.notes.push(note);
            return Ok(());
        };
        stand.server.settled().await?;
        changes.push((ms(at? - stamp), cpu_since(&running, cpu).await));
    }
    add_changes(report, &format!("{name}: new host"), hosts, &changes);
    resident(report, " after 10 new hosts");
    let asked = stand.server.asked(Type::Secret);
    let cpu = strange_names(&running, &probe).await?;
    resident(report, " after 2,000 strange names");
    let per_name = format!("{name}: Envoy's CPU per strange name");
    report.add(&per_name, Some(hosts), "ms", cpu);
    #[allow(clippy::cast_precision_loss)]
    let more = (stand.server.asked(Type::Secret) - asked) as f64;
    let subscribed = format!("{name}: secrets asked for because of strange names");
    report.add(&subscribed, Some(hosts), "", more);
    // The control plane is gone: a host that nobody has asked for yet.
    drop(all);
    stand.server = super::server::Server::start(&stand.directory.path().join("nowhere.sock"))?;
    let status = match probe.get(&host_name(hosts / 3)).await {
        Ok(status) => f64::from(status),
        Err(_) => 0.0,
    };
    let unseen = format!("{name}: answer of an unused host without control plane");
    report.add(&unseen, Some(hosts), "", status);
    Ok(())
}

fn put_what_all_share(stand: &Stand, config: &listener::Config) {
    let bytes = listener::stats(config).bytes();
    stand.server.put(Type::Listener, stats::NAME, bytes);
    let listeners = config.built_in();
    let managers = listeners.iter();
    for manager in managers.flat_map(|listener| listener::managers(listener, &config.edge)) {
        let bytes = manager.bytes();
        stand.server.put(Type::Extension, manager.name(), bytes);
    }
}

/// Opens connections for names that nobody serves; returns Envoy's CPU for each, in milliseconds.
async fn strange_names(running: &Running, probe: &TlsProbe) -> Result<f64> {
    let cpu = running.child.cpu();
    for stranger in 0..STRANGE {
        let host = format!("stranger-{stranger}.figures.example");
        ensure!(probe.get(&host).await.is_err(), "a strange name is served");
    }
    #[allow(clippy::cast_precision_loss)]
    let per_name = cpu_since(running, cpu).await / STRANGE as f64;
    Ok(per_name)
}

impl Hosts<'_> {
    /// Brings a host; returns whether the listener differs.
    fn add(&mut self, host: &str) -> Result<bool> {
        let server = &self.stand.server;
        // On demand, secrets are named as clients name them.
        let name: Arc<str> = match self.way {
            Way::OnDemand => host.into(),
            _ => format!("team/tls-{host}").into(),
        };
        let (key, part) = virtual_host(host, true);
        let (any, misdirected) = route::misdirected(&Host::any());
        let parts = OrdMap::from_iter([(key, Arc::new(part)), (any, Arc::new(misdirected))]);
        let table = Resource::composite(
            name.clone(),
            route::TableHead::https(&Edge::default()).named(&name),
            parts,
        );
        server.put(Type::Route, &name, table.bytes());
        let certificate = secret::secret(&Certificate {
            name: name.clone(),
            chain: self.pem.0.as_str().into(),
            key: PrivateKeyPem::new(self.pem.1.clone()),
            key_algorithm: KeyAlgorithm::Ecdsa,
            validity: Validity {
                not_before: jiff::Timestamp::MIN,
                not_after: jiff::Timestamp::MAX,
            },
            source: source(Kind::Secret, host),
        });
        if self.way != Way::DiscoveryInline {
            server.put(Type::Secret, &name, certificate.bytes());
        }
        if self.way == Way::OnDemand {
            server.put(Type::Scope, host, scope(host, &name));
            return Ok(false);
        }
        let (key, mut part) = chain(&name);
        if self.way == Way::Listener {
            for key in [host, &format!("{host}."), &name] {
                server.put(Type::Scope, key, scope(key, &name));
            }
        } else {
            part.bytes = inline(&part.bytes.to_bytes())?.to_vec().into();
        }
        if self.way == Way::ListenerBare {
            part.bytes = with_managers(&part.bytes.to_bytes(), |manager| {
                let whole = std::mem::take(manager);
                manager.stat_prefix = whole.stat_prefix;
                manager.route_specifier = whole.route_specifier;
                manager.http_filters = whole.http_filters;
            })?
            .to_vec()
            .into();
        }
        if matches!(
            self.way,
            Way::Listener | Way::ListenerInline | Way::ListenerBare
        ) {
            self.parts.insert(key, Arc::new(part));
        } else {
            let mut chain = only_chain(&part.bytes.to_bytes())?;
            if self.way == Way::DiscoveryInline {
                edit_tls(&mut chain, |common| {
                    common.tls_certificate_sds_secret_configs.clear();
                    let secret = tls::Secret::decode(certificate.bytes())?;
                    if let Some(tls::secret::Type::TlsCertificate(inline)) = secret.r#type {
                        common.tls_certificates = vec![inline];
                    }
                    Ok(())
                })?;
            }
            let bytes = chain.encode_to_vec().into();
            server.put(Type::FilterChain, &name, bytes);
        }
        let (key, part) = server_name::server_name(&Host::new(host), &name);
        self.parts.insert(key, Arc::new(part));
        Ok(true)
    }

    fn put_listener(&self, changed: bool) {
        if !changed {
            return;
        }
        let parts = self.parts.clone();
        let name = listener::HTTPS;
        let resource = Resource::composite(name.into(), self.head.clone(), parts);
        let mut bytes = resource.bytes().to_vec();
        if matches!(self.way, Way::Discovery | Way::DiscoveryInline) {
            let discovery = pb::Listener {
                // A listener without any chain of its own is replaced as a whole for every change.
                filter_chains: vec![pb::FilterChain {
                    name: "none".to_owned(),
                    ..pb::FilterChain::default()
                }],
                fcds_config: Some(pb::listener::FcdsConfig {
                    name: String::new(),
                    config_source: Some(ads()),
                }),
                ..pb::Listener::default()
            };
            bytes.extend(discovery.encode_to_vec());
        }
        self.stand.server.put(Type::Listener, name, bytes.into());
    }

    /// One chain for every name: its certificate by the name that the client sends, its table by the same.
    fn share_one_chain(&mut self) -> Result<()> {
        let (key, part) = chain("shared");
        let bytes = scoped_by(
            &inline(&part.bytes.to_bytes())?,
            SCOPE,
            Some("%REQUESTED_SERVER_NAME%"),
        )?;
        let mut chain = only_chain(&bytes)?;
        edit_tls(&mut chain, |common| {
            common.tls_certificate_sds_secret_configs.clear();
            common.custom_tls_certificate_selector = Some(TypedExtensionConfig {
                name: "on-demand".to_owned(),
                typed_config: Some(pack_any(on_demand::Config {
                    config_source: Some(ads()),
                    certificate_mapper: Some(TypedExtensionConfig {
                        name: "sni".to_owned(),
                        typed_config: Some(pack_any(Sni {
                            default_value: "none".to_owned(),
                        })),
                    }),
                    prefetch_secret_names: Vec::new(),
                })),
            });
            Ok(())
        })?;
        let bytes = pb::Listener {
            filter_chains: vec![chain],
            ..pb::Listener::default()
        }
        .encode_to_vec();
        let part = Part {
            bytes: bytes.into(),
            ..part
        };
        self.parts.insert(key, Arc::new(part));
        let (key, part) = server_name::server_name(&Host::any(), "shared");
        self.parts.insert(key, Arc::new(part));
        Ok(())
    }
}

fn chain(name: &str) -> (Arc<str>, Part) {
    let server = TlsServer {
        name: name.into(),
        certificates: vec![name.into()],
        parameters: TlsParameters::default(),
        alpn: Alpn::default(),
        clients: None,
        source: source(Kind::Secret, name),
    };
    filter_chain::filter_chain(listener::HTTPS, &server, None)
}

fn edit_tls(
    chain: &mut pb::FilterChain,
    edit: impl FnOnce(&mut tls::CommonTlsContext) -> Result<()>,
) -> Result<()> {
    let socket = chain.transport_socket.as_mut().context("no TLS")?;
    let Some(transport_socket::ConfigType::TypedConfig(any)) = &mut socket.config_type else {
        bail!("no TLS");
    };
    let mut context = tls::DownstreamTlsContext::decode(&*any.value)?;
    edit(context.common_tls_context.as_mut().context("no TLS")?)?;
    // "On demand certificates are not integrated with session resumption support"; alike for all ways.
    context.session_ticket_keys_type = Some(
        tls::downstream_tls_context::SessionTicketKeysType::DisableStatelessSessionResumption(true),
    );
    context.disable_stateful_session_resumption = true;
    *any = pack_any(context);
    Ok(())
}

fn only_chain(listener: &Bytes) -> Result<pb::FilterChain> {
    let mut listener = pb::Listener::decode(listener.clone())?;
    listener.filter_chains.pop().context("no chain")
}
