//! The pods of an installation, and the pages of each: asked through the API server, as `kubectl port-forward` does, so that
//! they stay on loopback.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use hyper::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use tokio::time::timeout;

use crate::process::http_client::exchange;

/// For one page of one pod, by way of the API server and the kubelet.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The container of the control plane: pods of the installation that have none have no pages.
const CONTAINER: &str = "isobath";

/// Where the installation is.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Installation")]
pub struct Args {
    /// The namespace of the installation.
    #[arg(
        long,
        env = "ISOBATH_INSTALLATION_NAMESPACE",
        value_name = "NAME",
        default_value = "isobath"
    )]
    pub installation_namespace: String,
    /// The labels of its pods; of these, the ones with a container isobath are asked.
    #[arg(
        long,
        env = "ISOBATH_INSTALLATION_SELECTOR",
        value_name = "LABELS",
        default_value = "app.kubernetes.io/name=isobath"
    )]
    pub installation_selector: String,
    /// The port of --admin-address in the pods.
    #[arg(
        long,
        env = "ISOBATH_INSTALLATION_ADMIN",
        value_name = "PORT",
        default_value = "6060"
    )]
    pub installation_admin: u16,
}

impl Args {
    /// The pods with a control plane that are there, less those that end, by name.
    ///
    /// # Errors
    ///
    /// The API server does not say.
    pub async fn pods(&self, client: &kube::Client) -> anyhow::Result<Vec<Pod>> {
        let namespace = &self.installation_namespace;
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let selected = ListParams::default().labels(&self.installation_selector);
        let listed = pods.list(&selected).await;
        let listed = listed.with_context(|| format!("can't list pods of namespace {namespace}"))?;
        let has_pages = |pod: &Pod| {
            let spec = pod.spec.as_ref();
            let mut containers = spec.iter().flat_map(|spec| &spec.containers);
            pod.metadata.deletion_timestamp.is_none() && containers.any(|it| it.name == CONTAINER)
        };
        let mut pods = listed.items;
        pods.retain(has_pages);
        pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        Ok(pods)
    }

    /// What is to be done where there is none.
    #[must_use]
    pub fn none(&self) -> String {
        let (namespace, selector) = (&self.installation_namespace, &self.installation_selector);
        format!(
            "no pod of the installation is in namespace {namespace} (labels {selector}): name another by \
             --installation-namespace and --installation-selector"
        )
    }

    /// A page of one pod.
    ///
    /// # Errors
    ///
    /// It is not to be had, within some seconds; the text does not name the pod.
    pub async fn get(
        &self,
        client: &kube::Client,
        pod: &str,
        path: &str,
    ) -> anyhow::Result<String> {
        let port = self.installation_admin;
        let pods: Api<Pod> = Api::namespaced(client.clone(), &self.installation_namespace);
        let asked = async {
            let mut forwarder = pods
                .portforward(pod, &[port])
                .await
                .context("its port can't be forwarded")?;
            let stream = forwarder.take_stream(port).context("no stream")?;
            let error = forwarder.take_error(port);
            let answer = exchange(stream, Method::GET, "localhost", path).await;
            let answer = match (answer, error) {
                // What the kubelet says is the reason for what the connection says.
                (Err(broken), Some(error)) => {
                    let said = timeout(Duration::from_millis(100), error).await;
                    match said.ok().flatten() {
                        Some(said) => Err(anyhow!("{}", said.trim())),
                        None => Err(broken),
                    }
                }
                (answer, _) => answer,
            };
            forwarder.abort();
            answer
        };
        let seconds = TIMEOUT.as_secs();
        let asked = timeout(TIMEOUT, asked).await;
        asked.unwrap_or_else(|_| Err(anyhow!("no answer within {seconds} s")))
    }
}
