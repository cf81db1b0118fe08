//! Which cluster a command asks, as kubectl users expect it.

use std::path::PathBuf;
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject};

use crate::objects::Kind;
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

    /// The flags by which kubectl asks the same cluster, for a shell; empty where none is named.
    #[must_use]
    pub fn of_kubectl(&self) -> String {
        let kubeconfig = self
            .kubeconfig
            .as_ref()
            .map(|path| path.display().to_string());
        let flags = [
            ("--kubeconfig", kubeconfig),
            ("--context", self.context.clone()),
        ];
        let flags = flags.into_iter().filter_map(|(flag, value)| {
            let value = value?;
            let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_./:@".contains(it);
            Some(match value.chars().all(is_plain) {
                true => format!("{flag}={value}"),
                false => format!("{flag}='{}'", value.replace('\'', r"'\''")),
            })
        });
        flags.collect::<Vec<_>>().join(" ")
    }
}

/// Objects of a kind, of one namespace or of all.
#[must_use]
pub fn api(client: &kube::Client, kind: Kind, namespace: Option<&str>) -> Api<DynamicObject> {
    let (group, version) = match kind.api_version().split_once('/') {
        Some((group, version)) => (group, version),
        None => ("", kind.api_version()),
    };
    let resource = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: kind.api_version().to_owned(),
        kind: kind.name().to_owned(),
        plural: kind.plural().to_owned(),
    };
    match namespace.filter(|_| kind.is_namespaced()) {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_is_led_to_the_same_cluster() {
        let args = |kubeconfig: Option<&str>, context: Option<&str>| Args {
            kubeconfig: kubeconfig.map(PathBuf::from),
            context: context.map(ToOwned::to_owned),
        };
        assert_eq!(args(None, None).of_kubectl(), "");
        let both = args(Some("/a/b.yaml"), Some("it's"));
        let expected = r"--kubeconfig=/a/b.yaml --context='it'\''s'";
        assert_eq!(both.of_kubectl(), expected);
    }
}
