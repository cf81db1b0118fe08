//! A pod of the manifests as processes of this machine: its own commands, with paths of the test, and with ports of the
//! test or in a network namespace.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::manifest::{Workload, rendered, strings, workloads};
use crate::namespace::Namespace;
use crate::support::client::{self, Version};
use crate::support::envoy;
use crate::support::eventually::eventually;
use crate::support::port::Port;
use crate::support::process::Process;

const PROGRAM: &str = env!("CARGO_BIN_EXE_isobath");

/// The flags of the pod's addresses.
const ADDRESSES: [&str; 5] = [
    "ISOBATH_ENVOY_HTTP_ADDRESS",
    "ISOBATH_ENVOY_HTTPS_ADDRESS",
    "ISOBATH_ENVOY_STATS_ADDRESS",
    "ISOBATH_METRICS_ADDRESS",
    "ISOBATH_ADMIN_ADDRESS",
];

/// An address by its place in [`ADDRESSES`], and its port in the manifest.
type Place = (usize, u16);
const HTTP: Place = (0, 8080);
const STATS: Place = (2, 8002);
const METRICS: Place = (3, 8003);

/// What the pod's processes listen on.
enum Network {
    /// Free ports of this machine.
    Ports([Port; 5]),
    /// The ports of the manifest.
    Namespace(Namespace),
}

impl Network {
    fn address(&self, (index, port): Place) -> SocketAddr {
        match self {
            Self::Ports(ports) => ports[index].address(),
            Self::Namespace(namespace) => SocketAddr::new(namespace.address(), port),
        }
    }

    fn command(&self, program: &str) -> Command {
        match self {
            Self::Ports(_) => Command::new(program),
            Self::Namespace(namespace) => namespace.command(program),
        }
    }
}

/// The containers `isobath` and `envoy` of the DaemonSet of `hostport`, and what they share.
pub(crate) struct LocalPod {
    pub(crate) sidecar: Process,
    pub(crate) envoy: Process,
    hook: Vec<String>,
    network: Network,
    // Last: the sockets of the others are in it.
    folder: TempDir,
}

impl LocalPod {
    /// Starts what the kubelet would, in its order, on free ports of this machine; `environment` says what to serve.
    pub(crate) async fn start(environment: &[(&str, PathBuf)]) -> Self {
        let ports = Network::Ports([(); 5].map(|()| Port::take()));
        Self::start_on(ports, environment).await
    }

    /// The same in a network namespace, on the ports of the manifest.
    pub(crate) async fn start_in(namespace: Namespace, environment: &[(&str, PathBuf)]) -> Self {
        Self::start_on(Network::Namespace(namespace), environment).await
    }

    async fn start_on(network: Network, environment: &[(&str, PathBuf)]) -> Self {
        let folder = tempfile::Builder::new().prefix("iso-").tempdir().unwrap();
        let objects = rendered("hostport");
        let all = workloads(&objects);
        let pod = &all[0];
        let mut sidecar = network.command(PROGRAM);
        sidecar.args(local(&folder, &arguments(pod, "isobath")));
        if let Network::Ports(ports) = &network {
            for (name, port) in ADDRESSES.iter().zip(ports) {
                sidecar.env(name, port.address().to_string());
            }
        }
        sidecar.envs(environment.iter().map(|(name, value)| (name, value)));
        let mut sidecar = Process::start(
            "the sidecar",
            &mut sidecar,
            &folder.path().join("isobath.log"),
        );
        eventually("the sidecar has started", async || {
            sidecar.assert_running();
            answers(network.address(METRICS), "/readyz").await
        })
        .await;
        let bootstrap = local(&folder, &arguments(pod, "bootstrap"));
        assert!(isobath(&bootstrap).status().unwrap().success());
        let mut command = network.command(envoy::binary().to_str().unwrap());
        command
            .args(local(&folder, &arguments(pod, "envoy")))
            .args(["--concurrency", "2", "--log-level", "warning"]);
        let data_plane = Process::start("Envoy", &mut command, &folder.path().join("envoy.log"));
        let hook = &pod.container("envoy").unwrap()["lifecycle"]["preStop"]["exec"]["command"];
        let this = Self {
            sidecar,
            envoy: data_plane,
            hook: local(&folder, &strings(hook)),
            network,
            folder,
        };
        eventually("Envoy is ready", async || this.ready().await).await;
        this
    }

    /// The readiness probe of Envoy.
    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        answers(self.stats(), "/ready").await
    }

    /// The startup probe of the sidecar.
    pub(crate) async fn started(&self) -> anyhow::Result<()> {
        answers(self.network.address(METRICS), "/readyz").await
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.network.address(HTTP)
    }

    pub(crate) fn metrics(&self) -> SocketAddr {
        self.network.address(METRICS)
    }

    pub(crate) fn stats(&self) -> SocketAddr {
        self.network.address(STATS)
    }

    /// What its containers share, sockets included.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A command in the pod, as its containers spell it.
    pub(crate) fn command(&self, words: &[String]) -> Command {
        let words = local(&self.folder, words);
        let mut command = self.network.command(&words[0]);
        command.args(&words[1..]);
        command
    }

    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    /// Ends it as the kubelet does: the hook, SIGTERM to Envoy, and when it is gone to its sidecar.
    pub(crate) async fn delete(mut self) {
        let (program, hook) = self.hook.split_first().unwrap();
        assert!(program.ends_with("/isobath"), "{program}");
        let mut hook = Process::start(
            "the hook",
            &mut isobath(hook),
            &self.folder.path().join("hook.log"),
        );
        // Longer than `eventually`: the hook waits for the load balancer.
        let status = loop {
            if let Some(status) = hook.ended() {
                break status;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        assert!(status.success(), "{status}: {}", hook.output());
        assert!(hook.output().contains("drained"), "{}", hook.output());
        self.sidecar.assert_running();
        self.envoy.signal(Signal::SIGTERM);
        assert_eq!(self.envoy.end().await.code(), Some(0));
        self.sidecar.assert_running();
        self.sidecar.signal(Signal::SIGTERM);
        assert_eq!(self.sidecar.end().await.code(), Some(0));
        // One stop is the control plane's own; a supervisor passes signals on without a word.
        let log = self.sidecar.output();
        let (_, stop) = log.rsplit_once(r#""message":"stopping""#).expect(&log);
        assert!(!stop.contains(r#""level":"WARN""#), "{log}");
        assert!(!stop.contains(r#""level":"ERROR""#), "{log}");
    }
}

fn isobath(arguments: &[String]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments);
    command
}

fn arguments(pod: &Workload<'_>, container: &str) -> Vec<String> {
    strings(&pod.container(container).unwrap()["args"])
}

fn local(folder: &TempDir, words: &[String]) -> Vec<String> {
    let folder = folder.path().display();
    let local = |word: &String| {
        word.replace("/shared/", &format!("{folder}/"))
            .replace("/run/isobath/", &format!("{folder}/"))
            .replace("/usr/local/bin/isobath", PROGRAM)
            .replace("$(POD_NAME)", "pod-1")
    };
    words.iter().map(local).collect()
}

async fn answers(address: SocketAddr, path: &str) -> anyhow::Result<()> {
    let answer = client::get(address, Version::H1, None, "probe", path).await?;
    ensure!(answer.status == 200, "{}", answer.status);
    Ok(())
}
