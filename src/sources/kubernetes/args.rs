//! Flags: which cluster is read, and how much of it.

use std::path::PathBuf;
use std::time::Duration;

use crate::objects::NamespacedName;
use crate::process::duration::duration;

/// Which cluster is read, and how much of it.
#[derive(Clone, Debug, clap::Args)]
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

    /// Read these namespaces only (comma-separated), with requests that namespaced Roles allow. The Gateway API is not
    /// served then: its classes are the cluster's
    #[arg(
        long,
        env = "ISOBATH_WATCH_NAMESPACES",
        value_name = "NAMES",
        value_delimiter = ',',
        value_parser = namespace
    )]
    pub watch_namespaces: Vec<String>,

    /// List Secrets of type Opaque too, in which Ingresses of ingress-nginx have passwords and authorities; `--ingress-class nginx`
    /// does so by itself, and so do Contour's kinds
    #[arg(long, env = "ISOBATH_OPAQUE_SECRETS")]
    pub opaque_secrets: bool,

    /// The one ConfigMap that is read where no Gateways are.
    #[arg(skip)]
    pub config_map: Option<NamespacedName>,

    /// Wait a random part of this time before the first list, so that a fleet that starts at once does not list
    /// at once
    #[arg(
        long,
        env = "ISOBATH_START_JITTER",
        value_name = "TIME",
        default_value = "3s",
        value_parser = duration
    )]
    pub start_jitter: Duration,
}

/// A namespace's name is a DNS label (RFC 1123).
fn namespace(text: &str) -> Result<String, String> {
    let label = !text.is_empty()
        && text.len() <= 63
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if label {
        Ok(text.to_owned())
    } else {
        Err("a namespace's name has lower-case letters, digits and inner dashes only".to_owned())
    }
}
