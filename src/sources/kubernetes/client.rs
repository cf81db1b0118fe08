//! Configuration and client, as kubectl users expect them.

use std::sync::Arc;

use http::{HeaderValue, header};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};

use super::args::Args;
use super::error::{ConfigurationError, one_line};
use super::timing::CONNECT_WITHIN;
use super::token::BearerFile;

/// Makes the client for the cluster that `args` and the environment name: `--kubeconfig`, else `KUBECONFIG` or
/// `--context`, else the service account of the pod, else `~/.kube/config`.
///
/// It retries nothing by itself (kube's own layer would hide an outage for minutes), and reads a token file
/// again for each request, as tokens of service accounts are replaced while the process runs. The CA file of a
/// service account is read again by kube.
///
/// # Errors
///
/// No configuration, or one that can't be used.
pub async fn connect(args: &Args) -> Result<kube::Client, ConfigurationError> {
    Ok(connect_to(args).await?.0)
}

/// The same, with the URL of the API server, for messages.
pub(super) async fn connect_to(
    args: &Args,
) -> Result<(kube::Client, Arc<str>), ConfigurationError> {
    let mut config = config(args).await?;
    let server = config.cluster_url.to_string().into();
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_WITHIN);
    let agent = concat!("isobath/", env!("CARGO_PKG_VERSION"));
    config
        .headers
        .push((header::USER_AGENT, HeaderValue::from_static(agent)));

    // kube would keep what it read for up to a minute.
    let bearer = match config.auth_info.token_file.take() {
        Some(file) => {
            // The file goes before a token in the configuration itself, as in client-go.
            config.auth_info.token = None;
            Some(BearerFile::read(file.into()).map_err(ConfigurationError)?)
        }
        None => None,
    };
    let builder = ClientBuilder::try_from(config).map_err(|error| {
        ConfigurationError(one_line(&format!(
            "the configuration of the Kubernetes client can't be used: {error}"
        )))
    })?;
    let client = match bearer {
        Some(bearer) => builder
            .with_layer(&tower::util::MapRequestLayer::new(move |request| {
                bearer.authorize(request)
            }))
            .build(),
        None => builder.build(),
    };
    Ok((client, server))
}

async fn config(args: &Args) -> Result<kube::Config, ConfigurationError> {
    let options = KubeConfigOptions {
        context: args.context.clone(),
        ..KubeConfigOptions::default()
    };
    let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    // Set to nothing is not set, as for kubectl.
    let named = std::env::var_os("KUBECONFIG").is_some_and(|files| !files.is_empty());
    let asked_for = args.context.is_some() || named;
    let kubeconfig = match &args.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None if in_pod && !asked_for => {
            return kube::Config::incluster().map_err(|error| {
                ConfigurationError(one_line(&format!(
                    "the pod's service account can't be used: {error}"
                )))
            });
        }
        None => Kubeconfig::read(),
    };
    let because = |error: kube::config::KubeconfigError| {
        let what = match &args.kubeconfig {
            Some(path) => format!("the kubeconfig {} can't be used", path.display()),
            None => "no kubeconfig can be used, and this is not a pod (set --kubeconfig, \
                     or --manifests to do without a cluster)"
                .to_owned(),
        };
        ConfigurationError(one_line(&format!("{what}: {error}")))
    };
    let kubeconfig = kubeconfig.map_err(because)?;
    kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(because)
}
