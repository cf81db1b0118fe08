//! The pod that this process runs in, as the downward API names it.

/// Name and namespace of the own pod; neither is set outside a cluster.
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
}

impl Pod {
    /// What xDS clients are told as `control_plane.identifier`: version, pod and process, so that Envoy's stats say
    /// which control plane configured it.
    #[must_use]
    pub fn identifier(&self) -> String {
        let pod = self.name.as_deref().unwrap_or("no-pod");
        let process = std::process::id();
        format!("isobath/{} {pod} {process}", env!("CARGO_PKG_VERSION"))
    }
}
