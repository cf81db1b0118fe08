//! Listeners and hosts that objects declare, any number of them, on a real Envoy, by the events of a builder.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use isobath::build::{Builder, Config};
use isobath::model::Host;
use isobath::objects::*;
use isobath::translate::Options;
use isobath::xds::ResourceType;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinHandle;

use crate::ads::Resources;
use crate::backend;
use crate::client::{exchange, tls};
use crate::fixture::{World, certificate, config};
use crate::port::Port;
use crate::proxy::{Proxy, envoy};
use crate::rehearsed::{self, OUTLET, Outlets};

/// What is spoken on the outlets, in turns.
const KINDS: usize = 5;
/// Of the 200 that are asked while others come and go: eight of each kind.
const LOADED: usize = 8 * KINDS;

fn host(number: usize) -> Host {
    Host::new(format!("h{number}.example.com"))
}

fn metadata(name: &str) -> Metadata {
    Metadata {
        name: NamespacedName::new("gw", name),
        uid: "".into(),
        created: None,
        annotations: Annotations::default(),
    }
}

/// A builder that is told of many outlets, of one kind after the other, on three addresses.
struct Plane {
    builder: Builder,
    addresses: Vec<SocketAddr>,
    _port: Port,
}

impl Plane {
    fn new(count: usize) -> Self {
        let mut settings = Config::of_manifests(Options::default());
        settings.listeners = config();
        let port = Port::take();
        let addresses = port.sockets(count);
        let builder = Builder::new(settings).with_language(&Outlets);
        Self {
            builder,
            addresses,
            _port: port,
        }
    }

    fn apply(&mut self, object: Object) {
        self.builder.apply(Event::Apply(object));
    }

    /// A Service whose port 80 leads to this address.
    fn service(&mut self, name: &str, address: SocketAddr) {
        self.apply(Object::Service(Arc::new(Service {
            metadata: metadata(name),
            service_type: ServiceType::Endpoints,
            ports: [ServicePort {
                at: 0,
                name: "".into(),
                port: 80,
                app_protocol: None,
            }]
            .into(),
            udp_ports: [].into(),
            ip_families: [].into(),
            session_affinity: SessionAffinity::None,
            cluster_ip: None,
            publish_not_ready_addresses: false,
            kept: None,
            load_balancer: Arc::default(),
        })));
        let endpoint = Endpoint {
            address: address.ip(),
            ready: true,
            serving: true,
            terminating: false,
            zone: None,
        };
        let port = EndpointPort {
            name: "".into(),
            port: Some(address.port()),
        };
        self.apply(Object::EndpointSlice(Arc::new(EndpointSlice {
            metadata: metadata(name),
            service: Some(name.into()),
            address_type: AddressType::V4,
            ports: [port].into(),
            udp_ports: [].into(),
            endpoints: [endpoint].into(),
        })));
    }

    fn secret(&mut self) {
        let made = certificate("gw/shared", &["*.example.com"]);
        let certificate = TlsCertificate {
            chain: made.chain,
            key: made.key,
            key_algorithm: made.key_algorithm,
            names: vec!["*.example.com".into()],
            common_name: None,
            not_before: made.validity.not_before,
            not_after: made.validity.not_after,
        };
        self.apply(Object::Secret(Arc::new(Secret {
            metadata: metadata("shared"),
            certificate: Ok(Arc::new(certificate)),
            authorities: None,
            revocations: None,
            credentials: None,
            credentials_map: None,
        })));
    }

    /// Has the outlet of this number, with its host.
    fn add(&mut self, number: usize) {
        let (listener, address) = (format!("gw/{number}"), self.addresses[number].to_string());
        let of = |number: usize| host(number).to_string();
        let above = number.saturating_sub(1);
        let (speaks, named, service) = match number % KINDS {
            0 => ("http", of(number), "a".to_owned()),
            1 => ("tls", of(number), "a".to_owned()),
            // To the one before it, where TLS ends.
            2 => ("tls", of(above), format!("tls-{above}")),
            3 => ("tcp", of(number), "a".to_owned()),
            _ => ("udp", of(number), "datagrams".to_owned()),
        };
        let mut fields = vec![
            ("listener", &*listener),
            ("address", &*address),
            ("speaks", speaks),
            ("host", &*named),
            ("service", &*service),
        ];
        if number % KINDS == 1 {
            fields.push(("secret", "shared"));
        }
        self.apply(rehearsed::object(
            OUTLET,
            metadata(&number.to_string()),
            &fields,
        ));
    }

    fn remove(&mut self, number: usize) {
        let outlet = ObjectRef::new(Kind::Untyped(OUTLET), "gw", number.to_string());
        self.builder.apply(Event::Delete(outlet));
    }

    /// What there is now, as a change of what Envoy has. The built-in listeners keep the ports that this Envoy has.
    fn publish(&mut self) -> impl FnOnce(&mut Resources) + use<> {
        self.builder.build();
        let mut now = Resources::new();
        for of in ResourceType::ALL {
            for (name, resource) in self.builder.snapshot().resources(of) {
                if of != ResourceType::Listener || name.starts_with("gw/") {
                    now.insert((of, name.to_string()), resource.bytes());
                }
            }
        }
        move |all| {
            all.retain(|(of, name), _| {
                !name.starts_with("gw/") || now.contains_key(&(*of, name.clone()))
            });
            all.extend(now);
        }
    }
}

/// Answers every datagram with itself, until the runtime ends.
pub async fn datagrams() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..length], from).await;
        }
    });
    address
}

/// A connection that stays open, or a socket.
enum Kept {
    Stream(Box<dyn Duplex>, String),
    Datagrams(UdpSocket),
}

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

impl Kept {
    async fn open(number: usize, address: SocketAddr) -> Self {
        let above = host(number.saturating_sub(1)).to_string();
        let host = host(number).to_string();
        match number % KINDS {
            0 | 3 => {
                let stream = TcpStream::connect(address).await.unwrap();
                Self::Stream(Box::new(stream), host)
            }
            1 => {
                let stream = tls(address, Some(&host), "http/1.1").await.unwrap();
                Self::Stream(Box::new(stream), host)
            }
            2 => {
                let stream = tls(address, Some(&above), "http/1.1").await.unwrap();
                Self::Stream(Box::new(stream), above)
            }
            _ => {
                let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                socket.connect(address).await.unwrap();
                Self::Datagrams(socket)
            }
        }
    }

    /// Whether one more request is answered as it should be.
    async fn asks(&mut self) -> bool {
        match self {
            Self::Stream(stream, host) => {
                let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
                let answer = exchange(&mut **stream, &request).await;
                answer.status == 200 && answer.echo() == "a h1 GET /"
            }
            Self::Datagrams(socket) => {
                // A datagram may be lost anywhere: it is sent again.
                for _ in 0..50 {
                    let mut buffer = [0; 16];
                    socket.send(b"hello").await.unwrap();
                    let answer = socket.recv(&mut buffer);
                    if let Ok(Ok(length)) =
                        tokio::time::timeout(Duration::from_millis(200), answer).await
                    {
                        return &buffer[..length] == b"hello";
                    }
                }
                false
            }
        }
    }
}

/// Connections that are asked all the time.
struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<(usize, usize)>>,
}

impl Load {
    fn start(connections: Vec<Kept>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ask = |mut connection: Kept| {
            let stop = stop.clone();
            tokio::spawn(async move {
                let (mut requests, mut failed) = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    requests += 1;
                    failed += usize::from(!connection.asks().await);
                }
                (requests, failed)
            })
        };
        Self {
            tasks: connections.into_iter().map(ask).collect(),
            stop,
        }
    }

    /// How many requests were sent, and how many were not answered as they should be.
    async fn stop(self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut requests, mut failed) = (0, 0);
        for task in self.tasks {
            let of_task = task.await.unwrap();
            requests += of_task.0;
            failed += of_task.1;
        }
        (requests, failed)
    }
}

/// 200 objects declare listeners on 200 ports and three addresses; one of each kind is added and removed again and again, while some of the
/// others are asked all the time, and all of them after each change, over connections that stay open.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_outlets() {
    const COUNT: usize = 200;
    let Some(envoy) = envoy() else { return };
    let proxy = Proxy::start(&envoy, World::new().resources()).await;
    let mut plane = Plane::new(COUNT + KINDS);
    plane.service("a", backend::start("a").await);
    plane.service("datagrams", datagrams().await);
    plane.secret();
    for number in (0..COUNT + KINDS).filter(|number| number % KINDS == 1) {
        let address = plane.addresses[number];
        plane.service(&format!("tls-{number}"), address);
    }
    for number in 0..COUNT {
        plane.add(number);
    }
    const ACTIVE: &str = "listener_manager.total_listeners_active";
    proxy
        .change(plane.publish(), ACTIVE, 3 + COUNT as u64)
        .await;
    let mut kept = Vec::new();
    for number in 0..COUNT {
        let mut connection = Kept::open(number, plane.addresses[number]).await;
        assert!(connection.asks().await, "{number}");
        kept.push(connection);
    }
    let load = Load::start(kept.split_off(COUNT - LOADED));
    let modified = proxy.statistic("listener_manager.listener_modified").await;
    for _ in 0..3 {
        for number in COUNT..COUNT + KINDS {
            plane.add(number);
        }
        proxy
            .change(plane.publish(), ACTIVE, (3 + COUNT + KINDS) as u64)
            .await;
        for number in COUNT..COUNT + KINDS {
            let mut connection = Kept::open(number, plane.addresses[number]).await;
            assert!(connection.asks().await, "{number}");
        }
        for (number, connection) in kept.iter_mut().enumerate() {
            assert!(connection.asks().await, "{number}");
        }
        for number in COUNT..COUNT + KINDS {
            plane.remove(number);
        }
        proxy
            .change(plane.publish(), ACTIVE, 3 + COUNT as u64)
            .await;
        for (number, connection) in kept.iter_mut().enumerate() {
            assert!(connection.asks().await, "{number}");
        }
    }
    let (requests, failed) = load.stop().await;
    assert!(requests > LOADED, "{requests}");
    assert_eq!(failed, 0, "of {requests} requests");
    assert_eq!(
        proxy.statistic("listener_manager.listener_modified").await,
        modified
    );
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}
