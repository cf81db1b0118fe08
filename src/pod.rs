//! The pod that this process runs in, as the downward API names it.

/// Name and namespace of the own pod; neither is set outside a cluster.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Pod")]
pub struct Pod {
    /// Name of the pod that this process runs in (from the downward API).
    #[arg(long = "pod-name", env = "POD_NAME", hide = true)]
    pub name: Option<String>,

    /// Namespace of the pod that this process runs in (from the downward API).
    #[arg(long = "pod-namespace", env = "POD_NAMESPACE", hide = true)]
    pub namespace: Option<String>,
}
