//! What a host is on a listener for TLS: whatever it was before, nothing of that is left.

use std::collections::BTreeSet;
use std::sync::Arc;

use isobath::build::listeners::Listeners;
use isobath::build::tls::{RenderedHttps, Served};
use isobath::envoy::edge::Edge;
use isobath::envoy::{filter_chain, route};
use isobath::model::{Application, Forwarding, Host, Listener, Share};
use isobath::objects::NamespacedName;
use isobath::xds::Snapshot;
use proptest::prelude::*;

use crate::fixture::{TLS, all_to, tls_server, virtual_host};

const HOSTS: [&str; 5] = [
    "*.example.com",
    "a.example.com",
    "b.example.com",
    "*.a.example.com",
    "deep.a.example.com",
];

/// No, closed, two servers, and two back ends for what is passed through.
const STATES: usize = 6;

fn served(host: &Host, state: usize) -> Served {
    match state {
        0 => Served::No,
        1 => Served::Closed,
        2 | 3 => {
            let name = format!("web/{state}");
            let routes = virtual_host(host.as_str(), all_to("a"));
            Served::Terminated(RenderedHttps {
                server: tls_server(&name, &[&name]),
                secrets: BTreeSet::from([NamespacedName::new("web", &*state.to_string())]),
                virtual_host: route::virtual_host(&routes, TLS),
            })
        }
        _ => {
            let forwarding = Forwarding {
                shares: vec![Share {
                    cluster: format!("cluster-{state}").into(),
                    weight: 1,
                }],
                idle_timeout: None,
            };
            let (name, key, part) = filter_chain::passthrough(host, &forwarding, BTreeSet::new());
            Served::PassedThrough(name, key, part)
        }
    }
}

/// The snapshot after these steps, published after each where it is asked for.
fn played(name: &str, steps: &[(usize, usize)], publishes: bool) -> Snapshot {
    let mut listeners = Listeners::new(&Edge::default(), None);
    let mut snapshot = Snapshot::default();
    listeners.declare(Listener {
        name: Arc::from(name),
        address: ([127, 0, 0, 1], 443).into(),
        application: Application::Tls,
    });
    for (host, state) in steps {
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
        is_built_in in any::<bool>(),
        steps in prop::collection::vec((0..HOSTS.len(), 0..STATES), 1..20),
    ) {
        let name = if is_built_in { Listener::HTTPS } else { "gw/1" };
        let last = |host| steps.iter().rev().find(|(of, _)| *of == host).map(|(_, state)| *state);
        let at_once: Vec<(usize, usize)> = (0..HOSTS.len())
            .filter_map(|host| Some((host, last(host)?)))
            .collect();
        prop_assert_eq!(played(name, &steps, true), played(name, &at_once, false));
    }
}
