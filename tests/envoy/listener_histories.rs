//! What a host is on a listener for TLS: whatever it was before, nothing of that is left.

use std::collections::BTreeSet;
use std::sync::Arc;

use isobath::build::listeners::Listeners;
use isobath::build::tls::{RenderedForwarding, RenderedHttps, Served};
use isobath::build::used_secrets::SecretKey;
use isobath::envoy::edge::Edge;
use isobath::envoy::{filter_chain, route};
use isobath::model::{
    Alpn, Application, Forwarding, Host, Http3, Listener, Share, TcpServer, TlsParameters,
};
use isobath::objects::{Kind, NamespacedName};
use isobath::translate::Fallback;
use isobath::xds::Snapshot;
use proptest::prelude::*;

use crate::fixture::{TLS, all_to, source, tls_server, virtual_host};

const HOSTS: [&str; 6] = [
    "*",
    "*.example.com",
    "a.example.com",
    "b.example.com",
    "*.a.example.com",
    "deep.a.example.com",
];

/// No, closed, three servers, one of which is for any depth, two that tell what is unknown and one not for QUIC, two fallbacks, one of them for any depth, and two back
/// ends for what is passed through, and one for what comes out of TLS.
const STATES: usize = 10;

fn served(host: &Host, state: usize) -> Served {
    match state {
        0 => Served::No,
        1 => Served::Closed,
        2..=6 => {
            let name = format!("web/{}", state.min(4));
            let by_fallback = (state > 4).then(|| format!("web/fallback-{state}"));
            let mut server = tls_server(&name, &[&name]);
            if state >= 4 {
                server.alpn = Alpn::Http1;
            }
            let routes = virtual_host(host.as_str(), all_to("a"));
            Served::Terminated(RenderedHttps {
                server,
                secrets: BTreeSet::from([SecretKey::Certificate(NamespacedName::new(
                    "web",
                    &*state.to_string(),
                ))]),
                virtual_host: route::virtual_host(&routes, TLS),
                any_depth: [3, 5].contains(&state),
                tells_unknown: [2, 3].contains(&state),
                fallback: by_fallback.map(|name| {
                    Box::new(Fallback {
                        server: tls_server(&name, &[&name]),
                        secrets: BTreeSet::from([NamespacedName::new("web", &*name)]),
                    })
                }),
            })
        }
        _ => {
            let forwarding = Forwarding {
                shares: vec![Share {
                    cluster: format!("cluster-{state}").into(),
                    weight: 1,
                }],
                refused: 0,
                hash_source_ip: false,
                idle_timeout: None,
            };
            let secret = NamespacedName::new("web", "4");
            let (chain, secrets) = match state {
                9 => {
                    let server = TcpServer::new(
                        vec![secret.to_string().into()],
                        TlsParameters::default(),
                        None,
                        source(Kind::Secret, "4"),
                        forwarding,
                    );
                    let server = server.unwrap();
                    let chain = filter_chain::tcp(host, &server, None, BTreeSet::new());
                    (chain, BTreeSet::from([SecretKey::Certificate(secret)]))
                }
                _ => {
                    let nobody = BTreeSet::new();
                    let chain = filter_chain::passthrough(host, &forwarding, None, nobody);
                    (chain, BTreeSet::new())
                }
            };
            Served::Forwarded(RenderedForwarding {
                chain,
                addresses: None,
                secrets,
            })
        }
    }
}

/// A listener, over QUIC too or not.
fn listener(name: &str, http3: bool) -> Listener {
    let advertised_port = 443;
    Listener {
        name: Arc::from(name),
        address: ([127, 0, 0, 1], 443).into(),
        application: match http3 {
            true => Application::TlsAndHttp3(Http3 { advertised_port }),
            false => Application::Tls,
        },
    }
}

/// The snapshot after these steps, published after each where it is asked for. Then HTTP/3 is switched in the middle too. `crowd`: so
/// many other hosts are there before.
fn played(
    (name, http3, crowd): (&str, bool, usize),
    steps: &[(usize, usize)],
    publishes: bool,
) -> Snapshot {
    let mut listeners = Listeners::new(&Edge::default(), None);
    let mut snapshot = Snapshot::default();
    listeners.declare(listener(name, http3));
    for number in 0..crowd {
        let host = Host::new(&*format!("{number}.example.org"));
        let tls = listeners.tls(name).unwrap();
        tls.set(&host, served(&host, 4));
    }
    for (step, (host, state)) in steps.iter().enumerate() {
        if publishes && step == steps.len() / 2 {
            listeners.declare(listener(name, !http3));
            listeners.publish(&mut snapshot);
            listeners.declare(listener(name, http3));
        }
        let host = Host::new(HOSTS[*host]);
        let tls = listeners.tls(name).unwrap();
        tls.set(&host, served(&host, *state));
        if publishes {
            listeners.publish(&mut snapshot);
        }
    }
    listeners.publish(&mut snapshot);
    snapshot
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_left_of_what_a_host_was(
        [is_built_in, http3] in any::<[bool; 2]>(),
        steps in prop::collection::vec((0..HOSTS.len(), 0..STATES), 1..20),
    ) {
        let name = if is_built_in { Listener::HTTPS } else { "gw/1" };
        let last = |host| steps.iter().rev().find(|(of, _)| *of == host).map(|(_, state)| *state);
        let at_once: Vec<(usize, usize)> = (0..HOSTS.len())
            .filter_map(|host| Some((host, last(host)?)))
            .collect();
        let stepwise = played((name, http3, 0), &steps, true);
        prop_assert_eq!(stepwise, played((name, http3, 0), &at_once, false));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Nor where so many others are there that a host more or less decides whether these are named in the tables of its server.
    #[test]
    fn nothing_is_left_in_a_crowd(
        crowd in 124..130_usize,
        steps in prop::collection::vec((0..HOSTS.len(), 0..STATES), 1..20),
    ) {
        let last = |host| steps.iter().rev().find(|(of, _)| *of == host).map(|(_, state)| *state);
        let at_once: Vec<(usize, usize)> = (0..HOSTS.len())
            .filter_map(|host| Some((host, last(host)?)))
            .collect();
        let stepwise = played(("gw/1", false, crowd), &steps, true);
        prop_assert_eq!(stepwise, played(("gw/1", false, crowd), &at_once, false));
    }
}
