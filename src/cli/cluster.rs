//! Which cluster a command asks, as kubectl users expect it.

use std::path::PathBuf;
use std::time::Duration;

use crate::process::exit_code::UsageError;
use crate::sources::kubernetes;

/// Which cluster.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Kubernetes")]
pub struct Args {
    /// The kubeconfig to use. Without it and --context: KUBECONFIG, the pod's service account, or ~/.kube/config,
    /// whichever is there first
    #[arg(long, env = "ISOBATH_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig to use instead of its current one
    #[arg(long, env = "ISOBATH_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
}

impl Args {
    /// Its client.
    ///
    /// # Errors
    ///
    /// No configuration, or one that can't be used: a mistake of whoever calls.
    pub async fn client(&self) -> Result<kube::Client, UsageError> {
        let args = kubernetes::Args {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            watch_namespaces: Vec::new(),
            opaque_secrets: false,
            config_map: None,
            start_jitter: Duration::ZERO,
        };
        let client = kubernetes::client(&args).await;
        client.map_err(|error| UsageError::new(error.to_string()))
    }
}
