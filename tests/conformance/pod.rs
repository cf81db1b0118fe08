//! A pod: a network namespace with one program in it, which stands for the image that is not here.
//!
//! Of a pod's specification it knows what the suite's manifests use: the environment of the first container, by value
//! and by `metadata` of the pod, and Secrets and ConfigMaps as volumes; and what cert-manager's solvers do: arguments and
//! a port.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// The near end of every pod's cable, and the network that pods are in.
const BRIDGE: &str = "pods";
const GATEWAY: &str = "10.98.0.1/16";

/// A line and when it was written.
pub(crate) type Line = (Timestamp, String);

/// What every pod runs, whatever its image.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "each test binary runs one of them")]
pub(crate) enum Program {
    /// The suite's echo server, which takes no arguments.
    EchoBasic(PathBuf),
    /// cert-manager's solver of challenges, which takes the container's.
    AcmeSolver(PathBuf),
}

impl Program {
    /// The words of its command.
    fn command(&self, container: &core::Container) -> Vec<String> {
        match self {
            Self::EchoBasic(path) => vec![path.display().to_string()],
            Self::AcmeSolver(path) => {
                let own = [path.display().to_string(), "acmesolver".to_owned()];
                let arguments = container.args.clone().unwrap_or_default();
                own.into_iter().chain(arguments).collect()
            }
        }
    }

    /// The port that tells whether it runs.
    fn port(
        &self,
        container: &core::Container,
        environment: &BTreeMap<String, String>,
    ) -> Option<u16> {
        match self {
            Self::EchoBasic(_) => port(environment),
            Self::AcmeSolver(_) => {
                let first = container.ports.iter().flatten().next();
                first.and_then(|port| u16::try_from(port.container_port).ok())
            }
        }
    }
}

/// A running pod; dropping it ends its process, and its network with it.
pub(crate) struct Pod {
    process: Child,
    address: Ipv4Addr,
    lines: Arc<Mutex<Vec<Line>>>,
    port: Option<u16>,
    _volumes: TempDir,
}

/// Makes the bridge that pods are joined to. To be called once, in a namespace of the test's own.
///
/// Its hardware address is given: else it is the lowest of its ports', changes as they come, and pods that know the one
/// before answer into the void until they ask again.
pub(crate) fn make_bridge() {
    ip(&[
        "link",
        "add",
        BRIDGE,
        "address",
        "02:00:00:00:00:01",
        "type",
        "bridge",
    ]);
    ip(&["address", "add", GATEWAY, "dev", BRIDGE]);
    ip(&["link", "set", BRIDGE, "up"]);
}

impl Pod {
    /// Starts the first container of a pod, as number `number` of all that there ever were.
    ///
    /// `volumes`: what its volumes have, by their names.
    pub(crate) fn start(
        program: &Program,
        number: u16,
        pod: &core::Pod,
        volumes: &BTreeMap<String, Files>,
    ) -> Self {
        let [high, low] = number.to_be_bytes();
        let address = Ipv4Addr::new(10, 98, high, low);
        let folder = tempfile::tempdir().unwrap();
        let environment = environment(pod, &mount(pod, volumes, folder.path()));
        // The shell waits until its end of the cable is there, and becomes the server.
        let script = format!(
            "exec 2>&1; echo here && read -r line && ip address add {address}/16 dev eth0 && ip link set lo up && \
             ip link set eth0 up && exec \"$@\"",
        );
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let mut process = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", &script, "sh"])
            .args(program.command(container))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(&environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "here\n");
        let (near, pid) = (format!("pod{number}"), process.id().to_string());
        ip(&[
            "link", "add", &near, "type", "veth", "peer", "name", "eth0", "netns", &pid,
        ]);
        ip(&["link", "set", &near, "master", BRIDGE, "up"]);
        process.stdin.take().unwrap().write_all(b"go\n").unwrap();

        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        // Ends with the process, whose output it reads.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let mut lines = kept.lock().unwrap_or_else(PoisonError::into_inner);
                lines.push((Timestamp::now(), line));
            }
        });
        Self {
            process,
            address,
            lines,
            port: program.port(container, &environment),
            _volumes: folder,
        }
    }

    /// Its address.
    pub(crate) fn address(&self) -> IpAddr {
        self.address.into()
    }

    /// Ends when it takes connections. One that listens for datagrams does not tell.
    pub(crate) fn probe(&self) -> impl Future<Output = ()> + Send + use<> {
        let address = self.port.map(|port| SocketAddr::from((self.address, port)));
        async move {
            if let Some(address) = address {
                while TcpStream::connect(address).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    /// The last that it wrote.
    pub(crate) fn said(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let last = lines.iter().rev().take(5).rev();
        last.map(|(_, line)| line.clone()).collect()
    }

    /// What it wrote.
    pub(crate) fn lines(&self) -> Arc<Mutex<Vec<Line>>> {
        self.lines.clone()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a volume has: the bytes of each of its files.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The files that a volume has of the data of a Secret or a ConfigMap.
pub(crate) fn files(data: Files, items: Option<&Vec<core::KeyToPath>>) -> Files {
    let Some(items) = items else {
        return data;
    };
    let named = items.iter().filter_map(|item| {
        let bytes = data.get(&item.key)?;
        Some((item.path.clone(), bytes.clone()))
    });
    named.collect()
}

/// Writes the volumes into a folder; where each place in the container is in it.
fn mount(
    pod: &core::Pod,
    volumes: &BTreeMap<String, Files>,
    folder: &Path,
) -> BTreeMap<String, String> {
    let spec = pod.spec.as_ref().unwrap();
    let mut places = BTreeMap::new();
    for volume in spec.volumes.iter().flatten() {
        let Some(files) = volumes.get(&volume.name) else {
            continue;
        };
        let own = folder.join(&volume.name);
        std::fs::create_dir(&own).unwrap();
        for (path, bytes) in files {
            std::fs::write(own.join(path), bytes).unwrap();
        }
        for mount in spec.containers[0].volume_mounts.iter().flatten() {
            if mount.name == volume.name {
                places.insert(mount.mount_path.clone(), own.display().to_string());
            }
        }
    }
    places
}

fn environment(pod: &core::Pod, places: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let container = &pod.spec.as_ref().unwrap().containers[0];
    let mut environment = BTreeMap::new();
    for variable in container.env.iter().flatten() {
        let field = variable
            .value_from
            .as_ref()
            .and_then(|from| from.field_ref.as_ref());
        let value = match field.map(|field| &*field.field_path) {
            Some("metadata.name") => pod.metadata.name.clone().unwrap(),
            Some("metadata.namespace") => pod.metadata.namespace.clone().unwrap(),
            Some(other) => panic!("no pod of the suite asks for {other}"),
            None => variable.value.clone().unwrap_or_default(),
        };
        let moved = places
            .iter()
            .find_map(|(place, own)| Some(format!("{own}{}", value.strip_prefix(&**place)?)));
        environment.insert(variable.name.clone(), moved.unwrap_or(value));
    }
    environment
}

/// The port that tells whether the server runs (the defaults are those of `echo-basic`).
fn port(environment: &BTreeMap<String, String>) -> Option<u16> {
    if environment.contains_key("UDP_ECHO_SERVER") {
        return None;
    }
    let name = match environment.contains_key("TCP_ECHO_SERVER") {
        true => "TCP_PORT",
        false => "HTTP_PORT",
    };
    let port = environment.get(name);
    Some(port.map_or(3000, |port| port.parse().unwrap()))
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status();
    let status = status.unwrap_or_else(|error| panic!("ip: {error} (iproute2 is needed)"));
    assert!(status.success(), "ip {arguments:?}: {status}");
}
