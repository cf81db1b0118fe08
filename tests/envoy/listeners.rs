//! Listeners that somebody declares: HTTP, TLS that ends here and that goes through, TCP and UDP. That an object declares
//! them is in `outlets`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use isobath::build::listeners::Listeners;
use isobath::build::tls::{RenderedForwarding, RenderedHttps, Served};
use isobath::build::used_secrets::SecretKey;
use isobath::envoy::edge::Edge;
use isobath::envoy::{cluster, endpoint, filter_chain, listener, route};
use isobath::model::{Application, Forwarding, Host, Listener, LoadBalancing, Share};
use isobath::objects::NamespacedName;
use isobath::xds::{ResourceType, Snapshot};
use tokio::net::{TcpSocket, UdpSocket};

use crate::ads::Resources;
use crate::backend;
use crate::fixture::{
    CLEAR, TLS, World, all_to, assignment, cluster_of, config, tls_server, virtual_host,
};
use crate::outlets::datagrams;
use crate::port::Port;
use crate::proxy::{Proxy, envoy};
use crate::served::resources_of;

/// What is spoken on the declared listeners, in turns.
const KINDS: usize = 5;

/// Many sockets of one kind after the other, on three addresses.
struct Declared {
    listeners: Listeners,
    snapshot: Snapshot,
    addresses: Vec<SocketAddr>,
    _port: Port,
}

impl Declared {
    fn new(count: usize) -> Self {
        let mut listeners = Listeners::new(&Edge::default(), None);
        let mut snapshot = Snapshot::default();
        for built_in in config().built_in() {
            listeners.declare(built_in);
        }
        listeners.publish(&mut snapshot);
        let port = Port::take();
        let addresses = port.sockets(count);
        Self {
            listeners,
            snapshot,
            addresses,
            _port: port,
        }
    }

    fn name(number: usize) -> Arc<str> {
        format!("gw/{number}").into()
    }

    fn host(number: usize) -> Host {
        Host::new(format!("h{number}.example.com"))
    }

    /// Has these listeners, from the first address on.
    fn declare(&mut self, applications: impl IntoIterator<Item = Application>) {
        for (number, application) in applications.into_iter().enumerate() {
            self.listeners.declare(Listener {
                name: Self::name(number),
                address: self.addresses[number],
                application,
            });
        }
        self.listeners.publish(&mut self.snapshot);
    }

    /// Has the listener of this number, with its host.
    fn add(&mut self, number: usize) {
        let (name, host) = (Self::name(number), Self::host(number));
        let application = match number % KINDS {
            0 => Application::Http,
            1 | 2 => Application::Tls,
            3 => Application::Tcp(to(&[("a", 1)])),
            _ => Application::Udp(to(&[("datagrams", 1)])),
        };
        self.listeners.declare(Listener {
            name: name.clone(),
            address: self.addresses[number],
            application,
        });
        match number % KINDS {
            0 => {
                let part = route::virtual_host(&virtual_host(host.as_str(), all_to("a")), CLEAR);
                let http = self.listeners.http(&name).unwrap();
                http.set(None, Some(part));
            }
            1 => self.terminate(number),
            2 => self.pass_through(number),
            _ => {}
        }
        self.listeners.count_secrets().take_touched();
        self.listeners.publish(&mut self.snapshot);
    }

    fn terminate(&mut self, number: usize) {
        let host = Self::host(number);
        let routes = virtual_host(host.as_str(), all_to("a"));
        let served = Served::Terminated(RenderedHttps {
            server: tls_server("web/shared", &["web/shared"]),
            secrets: BTreeSet::from([shared()]),
            virtual_host: route::virtual_host(&routes, TLS),
            any_depth: false,
            tells_unknown: false,
            fallback: None,
        });
        let tls = self.listeners.tls(&Self::name(number)).unwrap();
        tls.set(&host, served);
    }

    /// To the one before it, where TLS ends.
    fn pass_through(&mut self, number: usize) {
        let host = Self::host(number - 1);
        let to = to(&[(&format!("tls-{}", number - 1), 1)]);
        let chain = filter_chain::passthrough(&host, &to, None, BTreeSet::new());
        let tls = self.listeners.tls(&Self::name(number)).unwrap();
        tls.set(
            &host,
            Served::Forwarded(RenderedForwarding {
                chain,
                addresses: None,
                secrets: BTreeSet::new(),
            }),
        );
    }

    fn remove(&mut self, number: usize) {
        self.listeners.remove(&Self::name(number));
        self.listeners.count_secrets().take_touched();
        self.listeners.publish(&mut self.snapshot);
    }

    /// All of it, with what it needs.
    fn resources(&self, backends: &BTreeMap<String, SocketAddr>) -> Resources {
        let mut all = resources_of(&self.snapshot);
        let stats = listener::stats(&config());
        all.insert(
            (ResourceType::Listener, stats.name().to_string()),
            stats.bytes(),
        );
        for (name, address) in backends {
            let cluster = cluster::cluster(&cluster_of(name));
            all.insert((ResourceType::Cluster, name.clone()), cluster.bytes());
            let endpoints = endpoint::load_assignment(&assignment(name, &[*address]));
            all.insert((ResourceType::Endpoint, name.clone()), endpoints.bytes());
        }
        all
    }
}

fn to(backends: &[(&str, u32)]) -> Forwarding {
    let shares = backends.iter().map(|(cluster, weight)| Share {
        cluster: (*cluster).into(),
        weight: *weight,
    });
    Forwarding {
        shares: shares.collect(),
        refused: 0,
        hash_source_ip: false,
        idle_timeout: None,
    }
}

/// What is declared and removed again leaves nothing behind, whatever was on it; and a listener that keeps its application
/// keeps its hosts.
#[test]
fn what_is_removed_leaves_nothing() {
    let mut declared = Declared::new(2 * KINDS);
    let empty = declared.snapshot.clone();
    for number in 0..KINDS {
        declared.add(number);
    }
    let first = declared.snapshot.clone();
    for number in KINDS..2 * KINDS {
        declared.add(number);
    }
    assert!(declared.listeners.count_secrets().contains(&shared()));
    for number in KINDS..2 * KINDS {
        declared.remove(number);
    }
    assert_eq!(declared.snapshot, first);
    // Elsewhere, and back.
    let elsewhere = Listener {
        name: Declared::name(1),
        address: declared.addresses[KINDS],
        application: Application::Tls,
    };
    declared.listeners.declare(elsewhere);
    declared.listeners.publish(&mut declared.snapshot);
    assert_ne!(declared.snapshot, first);
    declared.add(1);
    assert_eq!(declared.snapshot, first);
    for number in 0..KINDS {
        declared.remove(number);
    }
    assert_eq!(declared.snapshot, empty);
    assert!(!declared.listeners.count_secrets().contains(&shared()));
}

/// What all of them are served with.
fn shared() -> SecretKey {
    SecretKey::Certificate(NamespacedName::new("web", "shared"))
}

/// A Secret is in use as long as a host of any listener needs it, whenever the listener goes.
#[test]
fn a_secret_is_used_until_its_last_listener_is_gone() {
    let secret = shared();
    let mut declared = Declared::new(2 * KINDS);
    declared.add(1);
    declared.add(KINDS + 1);
    declared.remove(1);
    assert!(declared.listeners.count_secrets().contains(&secret));
    // Its host goes, and the listener with it, before anybody looks.
    let name = Declared::name(KINDS + 1);
    let tls = declared.listeners.tls(&name).unwrap();
    tls.set(&Declared::host(KINDS + 1), Served::No);
    declared.remove(KINDS + 1);
    assert!(!declared.listeners.count_secrets().contains(&secret));
    // It comes, and goes before anybody looks.
    declared.listeners.declare(Listener {
        name: Declared::name(1),
        address: declared.addresses[1],
        application: Application::Tls,
    });
    declared.terminate(1);
    declared.listeners.remove(&Declared::name(1));
    assert_eq!(
        declared.listeners.count_secrets().take_touched(),
        BTreeSet::new()
    );
    assert!(!declared.listeners.count_secrets().contains(&secret));
}

/// Shares of connections and of datagrams: each back end has some, the share of a cluster that is not there is closed or
/// dropped, and where there is nobody nothing comes back.
#[tokio::test(flavor = "multi_thread")]
async fn shares_of_connections() {
    let Some(envoy) = envoy() else { return };
    let proxy = Proxy::start(&envoy, World::new().resources()).await;
    let mut declared = Declared::new(4);
    let backends = BTreeMap::from([
        ("a".to_owned(), backend::start("a").await),
        ("b".to_owned(), backend::start("b").await),
        ("datagrams".to_owned(), datagrams().await),
    ]);
    let shares = to(&[("a", 2), ("b", 1), ("gone", 1), ("none", 0)]);
    declared.declare([
        Application::Tcp(shares),
        Application::Tcp(to(&[("a", 0)])),
        Application::Udp(to(&[("datagrams", 1), ("gone", 1)])),
        Application::Udp(to(&[])),
    ]);
    let mut resources = declared.resources(&backends);
    resources.retain(|(of, name), _| match of {
        ResourceType::Listener => name.starts_with("gw/"),
        ResourceType::Cluster | ResourceType::Endpoint => true,
        _ => false,
    });
    let change = move |all: &mut Resources| all.extend(resources);
    proxy
        .change(change, "listener_manager.total_listeners_active", 7)
        .await;

    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..120 {
        *answers
            .entry(first_word(declared.addresses[0]).await)
            .or_default() += 1;
    }
    let names: Vec<&str> = answers.keys().map(String::as_str).collect();
    assert_eq!(names, ["", "a", "b"], "{answers:?}");
    assert!(answers["a"] > answers["b"], "{answers:?}");
    assert_eq!(first_word(declared.addresses[1]).await, "");

    let mut answered = 0;
    for _ in 0..60 {
        answered += usize::from(echoes(declared.addresses[2]).await);
    }
    assert!((1..60).contains(&answered), "{answered} of 60");
    assert!(!echoes(declared.addresses[3]).await);
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}

/// Of as many shares as one likes each has about its part of the clients.
#[tokio::test(flavor = "multi_thread")]
async fn shares_of_datagrams_are_many() {
    const SHARES: usize = 40;
    const EACH: usize = 30;
    let Some(envoy) = envoy() else { return };
    let proxy = Proxy::start(&envoy, World::new().resources()).await;
    let mut declared = Declared::new(1);
    let mut backends = BTreeMap::new();
    for number in 0..SHARES {
        backends.insert(format!("udp-{number}"), named(number).await);
    }
    let shares: Vec<(&str, u32)> = backends.keys().map(|name| (&**name, 1)).collect();
    declared.listeners.declare(Listener {
        name: Declared::name(0),
        address: declared.addresses[0],
        application: Application::Udp(to(&shares)),
    });
    declared.listeners.publish(&mut declared.snapshot);
    let mut resources = declared.resources(&backends);
    resources.retain(|(_, name), _| name.starts_with("gw/") || name.starts_with("udp-"));
    let change = move |all: &mut Resources| all.extend(resources);
    proxy
        .change(change, "listener_manager.total_listeners_active", 4)
        .await;
    let mut answers = vec![0_usize; SHARES];
    // A port is a client: all are held, so that they differ.
    let mut clients = Vec::new();
    for _ in 0..SHARES * EACH {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(declared.addresses[0]).await.unwrap();
        let number = asked(&socket).await.expect("no answer");
        assert_eq!(asked(&socket).await, Some(number), "a client stays");
        answers[number] += 1;
        clients.push(socket);
    }
    let within = EACH / 4..EACH * 5 / 2;
    assert!(
        answers.iter().all(|count| within.contains(count)),
        "{answers:?}"
    );
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}

/// Where the client's address chooses the endpoint, all that comes from one address goes to one, and what comes from several
/// addresses to several.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_chooses_its_endpoint() {
    const ENDPOINTS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let Some(envoy) = envoy() else { return };
    let proxy = Proxy::start(&envoy, World::new().resources()).await;
    let mut declared = Declared::new(2);
    let by_address = |cluster: &str| Forwarding {
        hash_source_ip: true,
        ..to(&[(cluster, 1)])
    };
    declared.declare([
        Application::Tcp(by_address("connections")),
        Application::Udp(by_address("sessions")),
    ]);
    let (mut connections, mut sessions) = (Vec::new(), Vec::new());
    for (number, name) in ENDPOINTS.into_iter().enumerate() {
        connections.push(backend::start(name).await);
        sessions.push(named(number).await);
    }
    let mut resources = declared.resources(&BTreeMap::new());
    resources.retain(|(of, name), _| *of == ResourceType::Listener && name.starts_with("gw/"));
    for (name, addresses) in [("connections", &connections), ("sessions", &sessions)] {
        let mut model = cluster_of(name);
        model.settings.load_balancing = LoadBalancing::RingHash;
        let made = cluster::cluster(&model);
        resources.insert((ResourceType::Cluster, name.into()), made.bytes());
        let endpoints = endpoint::load_assignment(&assignment(name, addresses));
        resources.insert((ResourceType::Endpoint, name.into()), endpoints.bytes());
    }
    let change = move |all: &mut Resources| all.extend(resources);
    proxy
        .change(change, "listener_manager.total_listeners_active", 5)
        .await;

    let mut chosen = [BTreeSet::new(), BTreeSet::new()];
    for last in 1..=20_u8 {
        let from = SocketAddr::from(([127, 0, 1, last], 0));
        let mut of_one = [BTreeSet::new(), BTreeSet::new()];
        for _ in 0..4 {
            of_one[0].insert(first_word_from(from, declared.addresses[0]).await);
            let socket = UdpSocket::bind(from).await.unwrap();
            socket.connect(declared.addresses[1]).await.unwrap();
            of_one[1].insert(asked(&socket).await.unwrap().to_string());
        }
        for (chosen, of_one) in chosen.iter_mut().zip(of_one) {
            assert_eq!(of_one.len(), 1, "{from}: {of_one:?}");
            assert!(!of_one.contains(""), "{from} was closed");
            chosen.extend(of_one);
        }
    }
    for chosen in chosen {
        assert!(chosen.len() > ENDPOINTS.len() / 3, "{chosen:?}");
    }
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}

/// Answers every datagram with a number.
async fn named(number: usize) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let number = u8::try_from(number).unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 16];
        while let Ok((_, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&[number], from).await;
        }
    });
    address
}

/// Who answers a datagram, which may be lost on its way.
async fn asked(socket: &UdpSocket) -> Option<usize> {
    for _ in 0..50 {
        let mut buffer = [0; 16];
        let _ = socket.send(b"who").await;
        let answer = tokio::time::timeout(Duration::from_millis(500), socket.recv(&mut buffer));
        if let Ok(Ok(1)) = answer.await {
            return Some(buffer[0].into());
        }
    }
    None
}

/// Who answers a connection; nothing if it is closed.
async fn first_word(address: SocketAddr) -> String {
    first_word_from(([127, 0, 0, 1], 0).into(), address).await
}

/// The same by a connection from this address.
async fn first_word_from(from: SocketAddr, address: SocketAddr) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(from).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    if stream.write_all(request.as_bytes()).await.is_ok() {
        let _ = stream.read_to_string(&mut answer).await;
    }
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    body.lines()
        .find_map(|line| line.split_once(" h1 "))
        .map_or(String::new(), |(name, _)| name.to_owned())
}

/// Whether datagrams of one client come back; some may be lost on their way.
async fn echoes(address: SocketAddr) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(address).await.unwrap();
    for _ in 0..3 {
        let mut buffer = [0; 16];
        // Envoy may answer a datagram that it drops by ICMP.
        let _ = socket.send(b"hello").await;
        let answer = tokio::time::timeout(Duration::from_millis(100), socket.recv(&mut buffer));
        if let Ok(Ok(_)) = answer.await {
            return true;
        }
    }
    false
}
