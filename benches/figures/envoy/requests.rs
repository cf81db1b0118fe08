//! What requests cost Envoy on connections that are kept, beside another way to serve them: CPU, in turns.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::stand::Stand;
use super::{plain, tls};
use crate::objects::host_name;
use crate::proxy::Running;
use crate::report::{Report, Target, median, ms, summary};

/// One after the other. What a turn shows varies by some percent, the median over these by less than one.
const TURNS: usize = 40;
/// Requests of a turn: on so many connections, so many on each.
const CONNECTIONS: usize = 4;
const REQUESTS: usize = 400;
/// What the shared manager may cost: 2 % more.
const MOST: f64 = 1.02;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    pub const ALL: [Self; 2] = [Self::Http1, Self::Http2];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }

    pub const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

/// A connection that is kept, and the host that is asked for on it.
pub struct Kept {
    host: String,
    sender: Sender,
}

enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Kept {
    pub async fn new<T>(protocol: Protocol, stream: T, host: String) -> Result<Self>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TokioIo::new(stream);
        let sender = match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(stream).await?;
                tokio::spawn(connection);
                Sender::Http1(sender)
            }
            Protocol::Http2 => {
                let executor = TokioExecutor::new();
                let (sender, connection) = http2::handshake(executor, stream).await?;
                tokio::spawn(connection);
                Sender::Http2(sender)
            }
        };
        Ok(Self { host, sender })
    }

    async fn get(&mut self) -> Result<()> {
        let host = &self.host;
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                let request = Request::get("/").header("host", host);
                sender.send_request(request.body(Empty::new())?).await?
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                let request = Request::get(format!("https://{host}/"));
                sender.send_request(request.body(Empty::new())?).await?
            }
        };
        ensure!(
            response.status() == 200,
            "{host} answers {}",
            response.status()
        );
        response.into_body().collect().await?;
        Ok(())
    }
}

/// One of the two that are compared.
pub struct Side<'a> {
    pub running: &'a Running,
    pub connections: Vec<Kept>,
    /// Of each turn: Envoy's CPU for a request, in microseconds.
    cpu: Vec<f64>,
    /// Of each request, in milliseconds.
    times: Vec<f64>,
}

impl<'a> Side<'a> {
    pub const fn new(running: &'a Running, connections: Vec<Kept>) -> Self {
        Self {
            running,
            connections,
            cpu: Vec::new(),
            times: Vec::new(),
        }
    }

    async fn turn(&mut self) -> Result<()> {
        let before = self.running.child.cpu();
        let mut asking = JoinSet::new();
        for mut connection in self.connections.drain(..) {
            asking.spawn(async move {
                let mut times = Vec::with_capacity(REQUESTS);
                for _ in 0..REQUESTS {
                    let start = Instant::now();
                    connection.get().await?;
                    times.push(ms(start.elapsed()));
                }
                anyhow::Ok((connection, times))
            });
        }
        while let Some(asked) = asking.join_next().await {
            let (connection, times) = asked??;
            self.connections.push(connection);
            self.times.extend(times);
        }
        let cpu = self.running.child.cpu() - before;
        #[allow(clippy::cast_precision_loss)]
        let requests = (self.connections.len() * REQUESTS) as f64;
        self.cpu.push(ms(cpu) * 1e3 / requests);
        Ok(())
    }
}

/// Both take turns, in changing order. Reports what a request costs the first, beside the second.
pub async fn compare(
    report: &mut Report,
    name: &str,
    hosts: usize,
    [mut ours, mut other]: [Side<'_>; 2],
) -> Result<()> {
    for side in [&mut ours, &mut other] {
        side.turn().await?;
        (side.cpu, side.times) = (Vec::new(), Vec::new());
    }
    for turn in 0..TURNS {
        if turn % 2 == 0 {
            ours.turn().await?;
            other.turn().await?;
        } else {
            other.turn().await?;
            ours.turn().await?;
        }
    }
    let turns = ours.cpu.iter().zip(&other.cpu);
    let ratios: Vec<f64> = turns.map(|(ours, other)| ours / other).collect();
    report
        .add(
            &format!("{name}: Envoy's CPU per request"),
            Some(hosts),
            "µs",
            median(&ours.cpu),
        )
        .against_with(median(&other.cpu), median(&ratios))
        .target(Target::Ratio(MOST));
    report
        .add(
            &format!("{name}: request, p99"),
            Some(hosts),
            "ms",
            summary(&ours.times).p99,
        )
        .against(summary(&other.times).p99);
    Ok(())
}

/// TLS hosts by the manager that all chains share, beside one in each chain.
pub async fn measure_tls(report: &mut Report, envoy: &Path, hosts: usize) -> Result<()> {
    let [shared, inline] = [Stand::new().await?, Stand::new().await?];
    let shared = tls::Served::start(report, envoy, &shared, tls::Way::Listener, hosts).await?;
    let inline =
        tls::Served::start(report, envoy, &inline, tls::Way::ListenerInline, hosts).await?;
    for protocol in Protocol::ALL {
        let mut connections = [Vec::new(), Vec::new()];
        for (served, connections) in [&shared, &inline].into_iter().zip(&mut connections) {
            for connection in 0..CONNECTIONS {
                let host = host_name(connection % hosts);
                let stream = served.probe.open(&host, protocol.alpn()).await?;
                connections.push(Kept::new(protocol, stream, host).await?);
            }
        }
        let [ours, other] = connections;
        let sides = [
            Side::new(&shared.running, ours),
            Side::new(&inline.running, other),
        ];
        let name = format!("TLS hosts by listener, {}", protocol.name());
        compare(report, &name, hosts, sides).await?;
    }
    Ok(())
}

/// Plain hosts by shards, beside one table.
pub async fn measure_plain(report: &mut Report, envoy: &Path, hosts: usize) -> Result<()> {
    let [shards, table] = [Stand::new().await?, Stand::new().await?];
    let shards = plain::Served::start(report, envoy, &shards, plain::Way::Shards, hosts).await?;
    let table = plain::Served::start(report, envoy, &table, plain::Way::Table, hosts).await?;
    for protocol in Protocol::ALL {
        let mut connections = [Vec::new(), Vec::new()];
        for (served, connections) in [&shards, &table].into_iter().zip(&mut connections) {
            for connection in 0..CONNECTIONS {
                let host = host_name(connection % hosts);
                let stream = TcpStream::connect(served.http).await?;
                stream.set_nodelay(true)?;
                connections.push(Kept::new(protocol, stream, host).await?);
            }
        }
        let [ours, other] = connections;
        let sides = [
            Side::new(&shards.running, ours),
            Side::new(&table.running, other),
        ];
        let name = format!("plain hosts by shards, {}", protocol.name());
        compare(report, &name, hosts, sides).await?;
    }
    Ok(())
}
