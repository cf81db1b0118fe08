//! Tells Kubernetes what the controller found out: addresses on Ingresses, the status of HTTPProxies, ExtensionServices and the
//! kinds of the Gateway API, problems as Events.
//!
//! It takes finished values ([`Statuses`]) from a watch channel and never answers: it can
//! be slow, throttled or forbidden, and no data waits for it (I9). No failure of the API server ends it.
//!
//! - [`Writer`] writes, and only while this process is leader (`lease`): losing the lease drops
//!   the call under way.
//! - [`Reporter`] runs on every replica, and without Kubernetes too: the metric `isobath_object_problems`, and one
//!   line in the log for each problem and for each certificate that ends.

mod address;
pub mod api_call;
mod args;
mod conditions;
mod decision;
mod event;
mod event_spec;
mod expiry;
mod gateway_api;
mod infrastructure;
mod ingress;
pub mod lease;
mod metrics;
mod problems;
mod queue;
mod settle;
#[cfg(test)]
mod tests;
mod writer;
mod writes;

use std::future::Future;
use std::sync::Arc;

use kube::Client;
use tokio::sync::watch;

use crate::model::Cidr;
use crate::model::verdict::{Delivery, RefusedObject, Statuses};
use crate::objects::Kind;
use crate::process::pod::Pod;
pub use args::{Args, InvalidArgs, StatusFrom};
pub use metrics::Metrics;
pub use problems::Reporter;

use writer::Unwritten;

/// What comes back from Envoys: the objects of whose resources one is refused, and how far they are. The first is published
/// before the second.
pub type Feedback = (
    watch::Receiver<Arc<[RefusedObject]>>,
    watch::Receiver<Delivery>,
);

/// Writes status and Events while it is leader.
pub struct Writer {
    client: Client,
    source: address::Source,
    /// Names this installation as the owner of fields that it wrote; two installations in one cluster differ.
    field_manager: Arc<str>,
    events: event::Writer,
    metrics: Metrics,
    /// The addresses that Gateways are given.
    gateway_addresses: Box<[Cidr]>,
}

impl Writer {
    /// A writer for the installation whose Lease is `lease_namespace`/`lease_name`.
    ///
    /// # Errors
    /// Where flags contradict each other.
    pub fn new(
        client: Client,
        args: &Args,
        pod: &Pod,
        (lease_namespace, lease_name): (&str, &str),
        metrics: Metrics,
    ) -> Result<Self, InvalidArgs> {
        Ok(Self {
            source: args.source(pod)?,
            field_manager: ingress::field_manager(lease_namespace, lease_name).into(),
            events: event::Writer::new(client.clone(), pod, metrics.clone()),
            client,
            metrics,
            gateway_addresses: args.gateway_addresses.clone(),
        })
    }

    /// Writes until `statuses` or `leader` is closed. Never ends for a failure.
    pub async fn run(
        mut self,
        statuses: watch::Receiver<Arc<Statuses>>,
        (refusals, delivery): Feedback,
        mut leader: watch::Receiver<bool>,
    ) {
        let mut follow = leader.clone();
        while leader.wait_for(|leads| *leads).await.is_ok() {
            tokio::select! {
                // Polled first: whoever lost the lease makes no further step.
                biased;
                closed = lost(&mut follow) => if closed { return },
                () = self.lead(statuses.clone(), (refusals.clone(), delivery.clone())) => return,
            }
            self.metrics.addresses.set(0);
            self.metrics.unwritten.set(0);
        }
    }

    /// One term as leader: everything is compared anew, as another may have written since.
    fn lead(
        &mut self,
        statuses: watch::Receiver<Arc<Statuses>>,
        (refusals, delivery): Feedback,
    ) -> impl Future<Output = ()> {
        let (addresses, known) = watch::channel(None);
        let follow = address::follow(
            self.client.clone(),
            self.source.clone(),
            addresses,
            self.metrics.clone(),
        );
        let (unwritten, told) = watch::channel(Unwritten::new());
        let unwritten = Arc::new(unwritten);
        let (client, manager) = (&self.client, &self.field_manager);
        let ingresses = ingress::Ingresses::new(client.clone(), manager.clone());
        let mut ingresses = writer::Writer::new(ingresses, &self.metrics, unwritten.clone());
        let mut conditions = [Kind::HttpProxy, Kind::ExtensionService].map(|kind| {
            let of_kind = conditions::Conditions::new(kind, client.clone(), manager.clone());
            writer::Writer::new(of_kind, &self.metrics, unwritten.clone())
        });
        let mut gateway_api = gateway_api::KINDS.map(|kind| {
            let ranges = self.gateway_addresses.clone();
            let is_awaited = matches!(self.source, address::Source::Service(_));
            let of_kind = gateway_api::GatewayApi::new(kind, client.clone(), ranges, is_awaited);
            writer::Writer::new(of_kind, &self.metrics, unwritten.clone())
        });
        let services = infrastructure::Services::new(client.clone(), manager.clone());
        let mut services = writer::Writer::new(services, &self.metrics, unwritten.clone());
        let events = self.events.run(statuses.clone(), refusals, told);
        async move {
            let of_conditions = conditions.iter_mut();
            let of_conditions =
                of_conditions.map(|it| it.run(statuses.clone(), known.clone(), delivery.clone()));
            let of_conditions = futures::future::join_all(of_conditions);
            let of_gateway_api = gateway_api.iter_mut();
            let of_gateway_api =
                of_gateway_api.map(|it| it.run(statuses.clone(), known.clone(), delivery.clone()));
            let of_gateway_api = futures::future::join_all(of_gateway_api);
            let of_ingresses = ingresses.run(statuses.clone(), known.clone(), delivery.clone());
            let of_services = services.run(statuses.clone(), known.clone(), delivery.clone());
            let written = async {
                tokio::join!(
                    of_ingresses,
                    of_conditions,
                    of_gateway_api,
                    of_services,
                    events
                )
            };
            tokio::select! {
                () = follow => {}
                _ = written => {}
            }
        }
    }
}

/// Returns when the lease is lost; whether it is for good, as nobody renews it any more.
async fn lost(leader: &mut watch::Receiver<bool>) -> bool {
    leader.wait_for(|leads| !*leads).await.is_err()
}
