//! A world of one size, and turns of changes in it.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::client::Client;
use crate::plane::{Plane, Setup};
use crate::report::ms;
use crate::start::{SETTLED, since};
use crate::stub::Stub;

use super::changes::{CHANGED, Change};
use super::objects;

/// A change is over when nothing has come for this long.
const REST: Duration = Duration::from_millis(12);
/// And its status is written by then.
pub const WRITTEN: Duration = Duration::from_millis(400);

/// A world, and a bare client of it.
pub struct Side {
    pub routes: usize,
    pub plane: Plane,
    pub client: Option<Client>,
}

/// What one turn showed.
pub struct Turn {
    pub times: Vec<f64>,
    /// Milliseconds for each change.
    pub cpu: f64,
    pub bytes: f64,
}

impl Side {
    pub async fn start(routes: usize, setup: &Setup) -> Result<Self> {
        let stub = Stub::start(objects::all(routes), true).await;
        stub.install_gateway_api();
        let plane = Plane::start(stub, setup).await?;
        // Every route, the Gateway and its class have a status.
        let all = routes + 2;
        for _ in 0..6_000 {
            if plane.stub.statuses() >= all {
                sleep(SETTLED).await;
                return Ok(Self {
                    routes,
                    plane,
                    client: None,
                });
            }
            sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("{} of {all} statuses are written", plane.stub.statuses())
    }

    /// Has a client hold everything, and be told of what changes.
    pub async fn connect(&mut self) -> Result<()> {
        let mut client = self.plane.client().await?;
        client.everything().await?;
        sleep(SETTLED).await;
        client.quiet(REST).await;
        self.client = Some(client);
        Ok(())
    }

    /// Makes a change some times.
    pub async fn turn(&mut self, change: &Change, first: usize, changes: usize) -> Result<Turn> {
        let mut times = Vec::new();
        let received = |client: &Option<Client>| client.as_ref().map_or(0, Client::received);
        let (cpu, before) = (self.plane.child.cpu(), received(&self.client));
        for serial in first..first + changes {
            let stamp = self.plane.stub.apply_all((change.make)(CHANGED, serial));
            let Some(client) = &mut self.client else {
                sleep(REST).await;
                continue;
            };
            let mut last = client.next().await?.at;
            for arrival in client.quiet(REST).await {
                last = arrival.at;
            }
            times.push(since(stamp, last));
        }
        sleep(WRITTEN).await;
        if let Some(late) = self.client.as_mut().and_then(Client::try_next) {
            anyhow::bail!("{}: {:?} came late", change.name, late.resource_type);
        }
        #[allow(clippy::cast_precision_loss)]
        Ok(Turn {
            times,
            cpu: ms(self.plane.child.cpu() - cpu) / changes as f64,
            bytes: (received(&self.client) - before) as f64 / changes as f64,
        })
    }
}
