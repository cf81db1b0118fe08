//! Many events: churn at a rate, a roll of many Services at once, changes that mean nothing, and many clients.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use envoy_types::pb::envoy::config::core::v3::address::Address;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use isobath::xds::{ResourceType, Variant};
use prost::Message as _;
use tokio::time::{sleep, sleep_until};

use crate::child::Child;
use crate::client::{Arrival, Client};
use crate::null::Script;
use crate::objects::{Endpoints, Kind, Object, World, endpoint_slice, ingress, service, touched};
use crate::plane::{Null, Plane};
use crate::report::{Report, Target, median, ms, summary};
use crate::start::since;
use crate::stub::Stub;

/// Numbers that tell changes apart start above those of all others.
const FIRST: u32 = 0x10_0000;

/// Which change an assignment shows.
fn serial(assignment: &[u8]) -> Result<u32> {
    let assignment = ClusterLoadAssignment::decode(assignment)?;
    let mut serials = assignment
        .endpoints
        .iter()
        .flat_map(|locality| &locality.lb_endpoints)
        .filter_map(|endpoint| {
            let Some(HostIdentifier::Endpoint(endpoint)) = &endpoint.host_identifier else {
                return None;
            };
            let Some(Address::SocketAddress(socket)) = &endpoint.address.as_ref()?.address else {
                return None;
            };
            let ip: std::net::Ipv4Addr = socket.address.parse().ok()?;
            let bits = ip.to_bits();
            (bits >> 24 == 11).then_some(bits & 0xff_ffff)
        });
    serials
        .next()
        .context("an assignment without the address that tells it apart")
}

/// Changes that are on their way: by number, the host and the moment.
#[derive(Default)]
struct Pending {
    of: BTreeMap<u32, (usize, Instant)>,
    times: Vec<f64>,
}

impl Pending {
    /// Whatever an arrival shows has come, and so has what it replaced.
    fn arrived(&mut self, arrival: &Arrival) -> Result<()> {
        if arrival.resource_type != ResourceType::Endpoint {
            return Ok(());
        }
        for (_, bytes) in &arrival.resources {
            let serial = serial(bytes)?;
            let Some((host, _)) = self.of.get(&serial).copied() else {
                continue;
            };
            let done: Vec<u32> = self
                .of
                .range(..=serial)
                .filter(|(_, (of, _))| *of == host)
                .map(|(serial, _)| *serial)
                .collect();
            for serial in done {
                if let Some((_, stamp)) = self.of.remove(&serial) {
                    self.times.push(since(stamp, arrival.at));
                }
            }
        }
        Ok(())
    }
}

/// The null control plane with a client: it answers each change of endpoints with one assignment.
pub struct Limit {
    null: Null,
    client: Client,
}

impl Limit {
    pub async fn start(script: &Script) -> Result<Self> {
        let null = Null::start(script, Kind::EndpointSlice).await?;
        let mut client = Client::connect(&null.socket()).await?;
        client.settled().await?;
        Ok(Self { null, client })
    }

    /// Changes at a rate, or at once; the times to the client in order, and the CPU of all.
    async fn play(&mut self, count: u32, rate: Option<u32>) -> Result<(Vec<f64>, f64)> {
        self.client.quiet(Duration::from_millis(50)).await;
        let cpu = self.null.child.cpu();
        let (mut sent, mut times) = (VecDeque::new(), Vec::new());
        let start = tokio::time::Instant::now();
        let slice = |index: u32| endpoint_slice(index as usize, Endpoints::Serial(FIRST + index));
        if rate.is_none() {
            let stamp = self.null.stub.apply_all((0..count).map(slice).collect());
            sent.extend((0..count).map(|_| stamp));
        }
        let mut arrived = |arrival: &Arrival, sent: &mut VecDeque<Instant>| {
            times.extend(sent.pop_front().map(|stamp| since(stamp, arrival.at)));
        };
        for index in 0..rate.map_or(0, |_| count) {
            let object = slice(index);
            sleep_until(start + Duration::from_secs(1) * index / rate.unwrap_or(1)).await;
            sent.push_back(self.null.stub.apply(object));
            while let Some(arrival) = self.client.try_next() {
                arrived(&arrival, &mut sent);
            }
        }
        while !sent.is_empty() {
            arrived(&self.client.next().await?, &mut sent);
        }
        Ok((times, ms(self.null.child.cpu() - cpu)))
    }
}

/// Endpoints change at this rate, each time of another Service.
pub async fn churn(
    report: &mut Report,
    world: &World,
    plane: &Plane,
    client: &mut Client,
    limit: &mut Limit,
    (rate, time): (u32, Duration),
) -> Result<()> {
    let first = FIRST + rate * 1000;
    let mut pending = Pending::default();
    let (cpu, received) = (plane.child.cpu(), client.received());
    let count = rate * u32::try_from(time.as_millis())? / 1000;
    let start = tokio::time::Instant::now();
    for index in 0..count {
        let host = (index as usize).wrapping_mul(7919) % world.hosts;
        let object = endpoint_slice(host, Endpoints::Serial(first + index));
        sleep_until(start + Duration::from_secs(1) * index / rate).await;
        let stamp = plane.stub.apply(object);
        pending.of.insert(first + index, (host, stamp));
        while let Some(arrival) = client.try_next() {
            pending.arrived(&arrival)?;
        }
    }
    while !pending.of.is_empty() {
        pending.arrived(&client.next().await?)?;
    }
    let cpu = ms(plane.child.cpu() - cpu);
    let times = summary(&pending.times);
    let (null_times, null_cpu) = limit.play(count, Some(rate)).await?;
    let null = summary(&null_times);
    let name = format!("endpoint churn at {rate}/s");
    let hosts = Some(world.hosts);
    report
        .add(&format!("{name} → client, p50"), hosts, "ms", times.p50)
        .against(null.p50);
    report
        .add(&format!("{name} → client, p99"), hosts, "ms", times.p99)
        .against(null.p99);
    let events = f64::from(count);
    let per_event = format!("{name}, CPU per event");
    report
        .add(&per_event, hosts, "ms", cpu / events)
        .against(null_cpu / events)
        .target(Target::AtMost(0.2));
    #[allow(clippy::cast_precision_loss)]
    let bytes = (client.received() - received) as f64 / f64::from(count);
    report.add(&format!("{name}, bytes per event"), hosts, "B", bytes);
    Ok(())
}

/// The endpoints of 500 Services change at once.
pub async fn roll(
    report: &mut Report,
    world: &World,
    plane: &Plane,
    client: &mut Client,
    limit: &mut Limit,
) -> Result<()> {
    const SERVICES: u32 = 500;
    let mut last = Vec::new();
    let mut cpus = Vec::new();
    let (mut null_last, mut null_cpus) = (Vec::new(), Vec::new());
    for round in 0..5 {
        let first = FIRST + 0x8_0000 + round * SERVICES;
        let objects = (0..SERVICES)
            .map(|index| endpoint_slice(index as usize, Endpoints::Serial(first + index)))
            .collect();
        let cpu = plane.child.cpu();
        let stamp = plane.stub.apply_all(objects);
        let mut pending = Pending::default();
        pending
            .of
            .extend((0..SERVICES).map(|index| (first + index, (index as usize, stamp))));
        while !pending.of.is_empty() {
            pending.arrived(&client.next().await?)?;
        }
        last.push(pending.times.iter().copied().fold(0.0, f64::max));
        cpus.push(ms(plane.child.cpu() - cpu));
        let (times, cpu) = limit.play(SERVICES, None).await?;
        null_last.push(times.iter().copied().fold(0.0, f64::max));
        null_cpus.push(cpu);
    }
    let hosts = Some(world.hosts);
    report
        .add(
            "500 Services rolled at once → last at the client",
            hosts,
            "ms",
            median(&last),
        )
        .against(median(&null_last));
    report
        .add(
            "500 Services rolled at once, CPU",
            hosts,
            "ms",
            median(&cpus),
        )
        .against(median(&null_cpus));
    Ok(())
}

/// 10,000 events that mean nothing to a proxy.
pub async fn nothing(
    report: &mut Report,
    world: &World,
    plane: &mut Plane,
    client: &mut Client,
) -> Result<()> {
    const EVENTS: usize = 10_000;
    client.quiet(Duration::from_millis(100)).await;
    // The objects must be those that are held: the first round writes them.
    let objects = |round: usize| -> Vec<Object> {
        (0..1000)
            .map(|index| {
                let host = index % world.hosts.min(1000);
                let object = match index % 4 {
                    0 => ingress(host, "/"),
                    1 => service(host),
                    _ => endpoint_slice(host, Endpoints::Serial(1)),
                };
                touched(object, round)
            })
            .collect()
    };
    let seen = plane.events().await?;
    plane.stub.apply_all(objects(0));
    plane.has_seen(seen + 1000).await?;
    client.quiet(Duration::from_millis(300)).await;
    let (cpu, received, seen) = (plane.child.cpu(), client.received(), plane.events().await?);
    let rounds: Vec<_> = (1..=EVENTS / 1000).map(objects).collect();
    let mut sent = seen;
    for round in rounds {
        plane.stub.apply_all(round);
        sent += 1000;
        plane.has_seen(sent).await?;
    }
    let took = ms(plane.child.cpu() - cpu) * 1e3;
    sleep(Duration::from_millis(300)).await;
    let hosts = Some(world.hosts);
    #[allow(clippy::cast_precision_loss)]
    report
        .add(
            "no-op storm of 10,000 events, CPU per event",
            hosts,
            "µs",
            took / EVENTS as f64,
        )
        .against(read_only(EVENTS).await?)
        .target(Target::AtMost(20.0));
    #[allow(clippy::cast_precision_loss)]
    let bytes = (client.received() - received) as f64;
    report
        .add(
            "no-op storm of 10,000 events, bytes sent",
            hosts,
            "B",
            bytes,
        )
        .target(Target::AtMost(0.0));
    Ok(())
}

/// What it costs to read so many lines and to do nothing about them, in microseconds each.
async fn read_only(events: usize) -> Result<f64> {
    let null = Null::start(&Script::new(Variant::Delta, &[]), Kind::EndpointSlice).await?;
    let mut cpu = null.child.cpu();
    let before = cpu;
    for round in 0..events / 1000 {
        let slices = (0..1000).map(|index| endpoint_slice(index, Endpoints::Serial(1)));
        let objects = slices.map(|object| touched(object, round));
        null.stub.apply_all(objects.collect());
    }
    // It tells nobody how far it is: it has read all when it is at rest.
    loop {
        sleep(Duration::from_millis(200)).await;
        let now = null.child.cpu();
        if std::mem::replace(&mut cpu, now) == now {
            break;
        }
    }
    #[allow(clippy::cast_precision_loss)]
    Ok(ms(cpu - before) * 1e3 / events as f64)
}

/// 100,000 events as fast as they are taken: memory must stay.
pub async fn flood(
    report: &mut Report,
    world: &World,
    plane: &mut Plane,
    client: &mut Client,
) -> Result<()> {
    const BATCH: u32 = 1000;
    let mut next = FIRST + 0x20_0000;
    let mut resident = Vec::new();
    for batch in 0..110 {
        let objects = (0..BATCH)
            .map(|index| {
                endpoint_slice(
                    (next + index) as usize % world.hosts,
                    Endpoints::Serial(next + index),
                )
            })
            .collect();
        next += BATCH;
        let seen = plane.events().await?;
        plane.stub.apply_all(objects);
        plane.has_seen(seen + u64::from(BATCH)).await?;
        while client.try_next().is_some() {}
        // The first tenth fills what is kept for reuse.
        if batch >= 9 && batch % 10 == 9 {
            resident.push(plane.child.memory().0);
        }
    }
    let (first, last) = (resident[0], resident[resident.len() - 1]);
    report
        .add(
            "RSS growth over 100,000 events",
            Some(world.hosts),
            "MiB",
            last - first,
        )
        .target(Target::AtMost(5.0));
    Ok(())
}

/// Many clients, each subscribed as Envoy is, and one endpoint change.
pub async fn fan_out(
    report: &mut Report,
    world: &World,
    plane: &Plane,
    script: &Script,
) -> Result<()> {
    let hosts = Some(world.hosts);
    let null = Null::start(script, Kind::EndpointSlice).await?;
    let mut clients = Vec::new();
    let mut null_clients = Vec::new();
    for count in [1, 10, 100, 1000] {
        while clients.len() < count {
            clients.push(subscribed(&plane.socket()).await?);
        }
        while null_clients.len() < count {
            null_clients.push(subscribed(&null.socket()).await?);
        }
        let cpu = plane.child.cpu();
        let ours = reach_all(&plane.stub, &mut clients).await?;
        let cpu = ms(plane.child.cpu() - cpu) / f64::from(CHANGES);
        let null_cpu = null.child.cpu();
        let limit = reach_all(&null.stub, &mut null_clients).await?;
        let null_cpu = ms(null.child.cpu() - null_cpu) / f64::from(CHANGES);
        let (ours, limit) = (summary(&ours).p50, summary(&limit).p50);
        report
            .add(
                &format!("one endpoint → last of {count} clients, p50"),
                hosts,
                "ms",
                ours,
            )
            .against(limit);
        report
            .add(
                &format!("one endpoint to {count} clients, CPU"),
                hosts,
                "ms",
                cpu,
            )
            .against(null_cpu);
    }
    let share = at_ten_a_second(&plane.stub, &plane.child, &mut clients).await;
    let limit = at_ten_a_second(&null.stub, &null.child, &mut null_clients).await;
    report
        .add("1,000 clients, 10 events/s", hosts, "cores", share)
        .against(limit)
        .target(Target::AtMost(0.1));
    report
        .add("1,000 clients, RSS", hosts, "MiB", plane.child.memory().0)
        .against(null.child.memory().0)
        .target(Target::AtMost(150.0));
    Ok(())
}

/// What it costs to tell all clients of changes for five seconds, in cores.
async fn at_ten_a_second(stub: &Stub, child: &Child, clients: &mut [Client]) -> f64 {
    let cpu = child.cpu();
    let start = tokio::time::Instant::now();
    for index in 0..50_u32 {
        sleep_until(start + Duration::from_millis(100) * index).await;
        stub.apply(endpoint_slice(
            3,
            Endpoints::Serial(FIRST + 0x60_0000 + index),
        ));
        for client in &mut *clients {
            while client.try_next().is_some() {}
        }
    }
    (child.cpu() - cpu).as_secs_f64() / start.elapsed().as_secs_f64()
}

const CHANGES: u32 = 10;

/// A client that holds what Envoy asks for.
pub async fn subscribed(socket: &std::path::Path) -> Result<Client> {
    let mut client = Client::connect(socket).await?;
    client.settled().await?;
    Ok(client)
}

/// Times until the last client has each of some changes.
pub async fn reach_all(stub: &Stub, clients: &mut [Client]) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for index in 0..CHANGES {
        for client in &mut *clients {
            while client.try_next().is_some() {}
        }
        let stamp = stub.apply(endpoint_slice(
            3,
            Endpoints::Serial(FIRST + 0x70_0000 + index % 2),
        ));
        let mut last = stamp;
        for client in &mut *clients {
            let arrival = client.next().await?;
            ensure!(
                arrival.resource_type == ResourceType::Endpoint,
                "not an assignment"
            );
            last = last.max(arrival.at);
        }
        times.push(since(stamp, last));
        sleep(Duration::from_millis(20)).await;
    }
    Ok(times)
}
