//! From which addresses connections are forwarded, on a real Envoy, to a back end that speaks first: who is refused hears
//! nothing of it, and it hears nothing of him.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use isobath::build::tls::{RenderedForwarding, Served};
use isobath::build::used_secrets::SecretKey;
use isobath::envoy::edge::Edge;
use isobath::envoy::filter_chain;
use isobath::model::{
    AddressRules, AddressSource, Forwarding, Host, Share, TcpServer, TlsParameters,
};
use isobath::objects::{Kind, NamespacedName};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::client::config;
use crate::eventually::eventually;
use crate::filter_cases::ranges;
use crate::fixture::{certificate, source};
use crate::proxy::{Proxy, envoy};
use crate::served::Fleet;

const GREETING: &str = "220 who is there\r\n";

/// Greets whoever comes, and reads to the end.
async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(GREETING.as_bytes()).await.ok();
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).await.ok();
            });
        }
    });
    address
}

fn peers(list: &[&str]) -> Vec<(AddressSource, isobath::model::Cidr)> {
    ranges(AddressSource::Peer, list)
}

fn clients(list: &[&str]) -> Vec<(AddressSource, isobath::model::Cidr)> {
    ranges(AddressSource::Client, list)
}

/// The rules, and who is let in: from 127.0.0.1 and 127.0.0.2, for 192.0.2.1 and for 192.0.2.2.
fn rows() -> Vec<(Option<AddressRules>, [bool; 4])> {
    let both = [peers(&["127.0.0.2"]), clients(&["192.0.2.1"])].concat();
    vec![
        (None, [true; 4]),
        (Some(AddressRules::deny(vec![])), [true; 4]),
        (Some(AddressRules::allow(vec![])), [false; 4]),
        (
            Some(AddressRules::deny(peers(&["127.0.0.2"]))),
            [true, true, false, false],
        ),
        (
            Some(AddressRules::deny(clients(&["192.0.2.2", "10.0.0.0/8"]))),
            [true, false, true, false],
        ),
        (
            Some(AddressRules::allow(peers(&["127.0.0.2/31"]))),
            [false, false, true, true],
        ),
        (
            Some(AddressRules::allow(clients(&["192.0.2.0/31", "::/0"]))),
            [true, false, true, false],
        ),
        (Some(AddressRules::allow(both)), [true, false, true, true]),
        (
            Some(AddressRules::allow(peers(&["127.0.0.0/8"])).but_not(clients(&["192.0.2.1"]))),
            [false, true, false, true],
        ),
    ]
}

fn forwarded(host: &Host, rules: Option<&AddressRules>, ends_tls: bool) -> Served {
    let forwarding = Forwarding {
        shares: vec![Share {
            cluster: "back".into(),
            weight: 1,
        }],
        refused: 0,
        hash_source_ip: false,
        idle_timeout: None,
    };
    if !ends_tls {
        let chain = filter_chain::passthrough(host, &forwarding, rules, BTreeSet::new());
        let secrets = BTreeSet::new();
        return Served::Forwarded(RenderedForwarding {
            chain,
            addresses: rules.cloned(),
            secrets,
        });
    }
    let server = TcpServer::new(
        vec!["web/own".into()],
        TlsParameters::default(),
        None,
        source(Kind::Secret, "own"),
        forwarding,
    );
    Served::Forwarded(RenderedForwarding {
        chain: filter_chain::tcp(host, &server.unwrap(), rules, BTreeSet::new()),
        addresses: rules.cloned(),
        secrets: [SecretKey::Certificate(NamespacedName::new("web", "own"))].into(),
    })
}

/// A connection from here, by a proxy that says that it is for this client.
async fn connect(to: SocketAddr, from: &str, client: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let ip: IpAddr = from.parse().unwrap();
    socket.bind(SocketAddr::new(ip, 0)).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    let header = format!("PROXY TCP4 {client} 127.0.0.1 1000 443\r\n");
    stream.write_all(header.as_bytes()).await.unwrap();
    stream
}

/// What the back end says to him, who says nothing himself but for the handshake.
async fn heard(stream: TcpStream, host: &str) -> String {
    let config = Arc::new(config(Some(host), "http/1.1", None));
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let Ok(mut stream) = TlsConnector::from(config).connect(name, stream).await else {
        return String::new();
    };
    let mut bytes = vec![0; GREETING.len()];
    match stream.read_exact(&mut bytes).await {
        Ok(_) => String::from_utf8(bytes).unwrap(),
        Err(_) => String::new(),
    }
}

#[tokio::test]
async fn who_is_refused_hears_nothing() {
    let Some(envoy) = envoy() else { return };
    let mut fleet = Fleet::new(Edge {
        proxy_protocol: true,
        ..Edge::default()
    });
    fleet.cluster("back", start().await);
    fleet.certificate(&certificate("web/own", &["*.example.com"]));
    let name = |index: usize, ends_tls| match ends_tls {
        true => format!("ended{index}.example.com"),
        false => format!("through{index}.example.com"),
    };
    for (index, (rules, _)) in rows().iter().enumerate() {
        for ends_tls in [true, false] {
            let host = Host::new(name(index, ends_tls));
            let served = forwarded(&host, rules.as_ref(), ends_tls);
            fleet.set(&host, served);
        }
    }
    // Open to everybody, and for every name that is not told where to go.
    let wildcard = Host::new("*.example.com");
    fleet.set(&wildcard, forwarded(&wildcard, None, true));
    let proxy = Proxy::start(&envoy, fleet.resources()).await;
    let stream = connect(fleet.https, "127.0.0.2", "192.0.2.2").await;
    assert_eq!(heard(stream, "any.example.com").await, GREETING);
    const CONNECTIONS: &str = "cluster.back.upstream_cx_total";
    let mut wrong = Vec::new();
    for (index, (rules, expected)) in rows().into_iter().enumerate() {
        let from = ["127.0.0.1", "127.0.0.2"].into_iter();
        let each = from.flat_map(|from| ["192.0.2.1", "192.0.2.2"].map(|client| (from, client)));
        for ((from, client), is_let_in) in each.zip(expected) {
            let before = proxy.statistic(CONNECTIONS).await;
            let host = name(index, true);
            let stream = connect(fleet.https, from, client).await;
            let heard = heard(stream, &host).await;
            let has_heard = heard == GREETING;
            let connections = proxy.statistic(CONNECTIONS).await - before;
            if (has_heard, connections) != (is_let_in, u64::from(is_let_in)) {
                wrong.push(format!(
                    "{rules:?} {from} {client}: {heard:?} {connections}"
                ));
            }
            // Passed through it is a greeting that no TLS begins with.
            let host = name(index, false);
            let stream = connect(fleet.https, from, client).await;
            self::heard(stream, &host).await;
            let expected = before + 2 * u64::from(is_let_in);
            eventually("connections", async || {
                match proxy.statistic(CONNECTIONS).await {
                    now if now == expected => Ok(()),
                    now => Err(format!("{rules:?} {from} {client}: {before} {now}")),
                }
            })
            .await;
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}
