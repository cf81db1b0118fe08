//! The pod that this process runs in, as the downward API names it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Name, namespace and addresses of the own pod; none of them is set outside a cluster.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Pod")]
pub struct Pod {
    /// Name of the pod that this process runs in (from the downward API).
    #[arg(
        id = "pod_name",
        long = "pod-name",
        env = "ISOBATH_POD_NAME",
        hide = true
    )]
    pub name: Option<String>,

    /// Namespace of the pod that this process runs in (from the downward API).
    #[arg(
        id = "pod_namespace",
        long = "pod-namespace",
        env = "ISOBATH_POD_NAMESPACE",
        hide = true
    )]
    pub namespace: Option<String>,

    /// Addresses of the pod that this process runs in (from the downward API).
    #[arg(id = "pod_ips", long = "pod-ips", env = "ISOBATH_POD_IPS", hide = true)]
    pub ips: Option<String>,
}

impl Pod {
    /// These ports on each address of the pod, sorted.
    #[must_use]
    pub fn sockets(&self, ports: &[u16]) -> Arc<[SocketAddr]> {
        let ips = self.ips.as_deref().unwrap_or_default().split(',');
        let ips = ips.filter_map(|ip| ip.trim().parse::<IpAddr>().ok());
        let sockets = ips.flat_map(|ip| ports.iter().map(move |port| SocketAddr::new(ip, *port)));
        let mut sockets: Vec<_> = sockets.collect();
        sockets.sort_unstable();
        sockets.into()
    }

    /// What xDS clients are told as `control_plane.identifier`: version, pod and process, so that Envoy's stats say
    /// which control plane configured it.
    #[must_use]
    pub fn identifier(&self) -> String {
        let pod = self.name.as_deref().unwrap_or("no-pod");
        let process = std::process::id();
        format!("isobath/{} {pod} {process}", env!("CARGO_PKG_VERSION"))
    }
}
