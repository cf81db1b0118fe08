//! A host whose connections by TLS go on as they are (ingress-nginx's `ssl-passthrough`). What asks something of requests keeps it from
//! having an effect: nobody looks into such a connection.

use std::sync::Arc;

use crate::facts::ServedIngress;
use crate::model::{ClusterSettings, Forwarding, PathMatch, Share, UpstreamProtocol};
use crate::objects::{Field, PathType};
use crate::translate::nginx;
use crate::translate::policy::IngressPolicy;
use crate::translate::{Passthrough, backend, reason};

use super::{Table, paths_of};

impl<'a> Table<'a> {
    /// Has connections by TLS go to the back end of `/` as they are. What is asked of requests can't be asked of them.
    pub(super) fn pass_through(
        &mut self,
        ingress: ServedIngress<'a>,
        policy: &Arc<IngressPolicy>,
        guarding: Option<ServedIngress<'a>>,
    ) {
        let key = format!("{}ssl-passthrough", nginx::PREFIX);
        let field = || Field::Annotation(key.clone().into());
        let nginx = policy.nginx.as_deref();
        let root = PathMatch::PathPrefix("/".into());
        let owner = self.taken.get(&root).copied();
        let own = owner.filter(|owner| owner.name() == ingress.name());
        let paths = own.and_then(|own| {
            let paths = paths_of(self.input, own, &self.host).1;
            let mut paths = paths.into_iter().map(|(_, path)| path);
            let written =
                paths.find(|path| &*path.path == "/" && path.path_type != PathType::Exact);
            written
                .map(|path| path.backend.clone())
                .or_else(|| own.default_backend().cloned())
        });
        let asked = nginx.and_then(nginx::Policy::asks_of_requests);
        let why = match (&paths, asked) {
            (_, Some(asked)) => Some(asked.to_owned()),
            _ if guarding.is_some() => {
                guarding.map(|it| format!("Ingress {} keeps requests of the host out", it.name()))
            }
            (None, None) => Some("this Ingress does not have the path /".to_owned()),
            (Some(_), None) => None,
        };
        if let Some(why) = why {
            let message = format!(
                "annotation {key} has no effect on host {}: {why}",
                self.host
            );
            self.report(ingress, field(), reason::ANNOTATION_NOT_SUPPORTED, message);
            return;
        }
        let Some(backend) = paths else { return };
        let namespace = &ingress.name().namespace;
        // What comes by TLS is anything to the proxy.
        let change = |base| ClusterSettings {
            protocol: UpstreamProtocol::Http1,
            ..base
        };
        let mut forwarding = Forwarding {
            shares: Vec::new(),
            refused: 0,
            hash_source_ip: false,
            idle_timeout: None,
        };
        match backend::resolve_with(self.input, namespace, &backend, change) {
            Ok(resolved) => {
                self.clusters
                    .insert(resolved.cluster.clone(), resolved.port);
                forwarding.shares.push(Share {
                    cluster: resolved.cluster,
                    weight: 1,
                });
            }
            Err((reason, message)) => self.report(ingress, field(), reason, message),
        }
        let passthrough = Passthrough {
            forwarding,
            source: ingress.field(field()),
        };
        let addresses = nginx.and_then(|nginx| nginx.addresses.clone());
        self.passthrough = Some((passthrough, addresses));
    }
}
