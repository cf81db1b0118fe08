//! Flags for ingress-nginx's dialect.

use std::sync::Arc;

use crate::objects::NamespacedName;
use crate::translate::{NginxCompat, Options};

use super::http_proxy::namespaced_name;

/// What holds for Ingresses of ingress-nginx's dialect.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "ingress-nginx")]
pub struct IngressNginxArgs {
    /// In the dialect of ingress-nginx: what is answered where its own answer is seldom what is meant. `strict` answers as it does,
    /// `sane` as Kubernetes says; `isobath.dev/nginx-compat` of an Ingress counts before it.
    #[arg(
        long,
        env = "ISOBATH_NGINX_COMPAT",
        value_name = "MODE",
        default_value = "sane"
    )]
    pub nginx_compat: Compat,
    /// ingress-nginx's own ConfigMap, whose keys hold for all Ingresses of the dialect. It is watched by its name alone. While it is not
    /// there the routes of all of them are closed, for it may guard them.
    #[arg(
        long,
        env = "ISOBATH_NGINX_CONFIGMAP",
        value_name = "NAMESPACE/NAME",
        value_parser = namespaced_name
    )]
    pub nginx_configmap: Option<NamespacedName>,
    /// Services that auth-url (ingress-nginx) of every namespace may name (comma-separated); without it each names those of its own.
    #[arg(
        long,
        env = "ISOBATH_AUTH_SERVICES",
        value_name = "NAMESPACE/NAME",
        value_delimiter = ',',
        value_parser = namespaced_name
    )]
    pub auth_services: Vec<NamespacedName>,
}

/// `--nginx-compat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Compat {
    /// What is meant.
    Sane,
    /// What ingress-nginx does.
    Strict,
}

impl IngressNginxArgs {
    /// The same among the core's options.
    #[must_use]
    pub fn options(&self, others: Options) -> Options {
        Options {
            auth_services: Arc::from(&*self.auth_services),
            nginx_compat: match self.nginx_compat {
                Compat::Sane => NginxCompat::Sane,
                Compat::Strict => NginxCompat::Strict,
            },
            nginx_configmap: self.nginx_configmap.clone(),
            ..others
        }
    }
}
