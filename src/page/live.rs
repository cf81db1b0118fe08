//! Server-sent events: that something has changed, and nothing of what. Who follows asks again for what it shows.
//!
//! Whoever follows has a place, of which there are few, and is told of the newest state alone: nothing queues up for a slow one. One
//! that takes nothing for half a minute is cut ([`crate::process::http`]), and each stream ends after some minutes, so that the place
//! of a client that is gone unnoticed is free again; a browser comes back by itself.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::xds::{Progress, RefusedUnits};

use super::state::{FOLLOWERS, Page};

/// How long a stream lasts.
const LIFETIME: Duration = Duration::from_secs(300);

/// How long nothing more is told after something was: a flood of changes is few events.
const PAUSE: Duration = Duration::from_millis(300);

/// How soon a browser comes back.
const RETRY: Duration = Duration::from_secs(2);

/// How often something is written, so that a client that is gone is noticed.
const ALIVE: Duration = Duration::from_secs(15);

struct Follower {
    page: Page,
    progress: watch::Receiver<Progress>,
    refused: watch::Receiver<RefusedUnits>,
    ends: Instant,
    is_first: bool,
    _place: OwnedSemaphorePermit,
}

impl Page {
    /// `/debug/live`.
    pub(super) fn follow(&self) -> Response {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let says = format!("{FOLLOWERS} pages follow already: close one of them\n");
            return (StatusCode::SERVICE_UNAVAILABLE, says).into_response();
        };
        let follower = Follower {
            page: self.clone(),
            progress: self.reports.progress(),
            refused: self.reports.refused(),
            ends: Instant::now() + LIFETIME,
            is_first: true,
            _place: place,
        };
        let events = stream::unfold(follower, |mut follower| async move {
            let event = follower.next().await?;
            Some((Ok::<_, Infallible>(event), follower))
        });
        let alive = KeepAlive::new().interval(ALIVE);
        Sse::new(events).keep_alive(alive).into_response()
    }
}

impl Follower {
    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        let outputs = &mut self.page.outputs;
        if self.is_first {
            self.is_first = false;
            return Some(self.event().retry(RETRY));
        }
        tokio::select! {
            () = sleep_until(self.ends) => return None,
            changed = outputs.snapshots.changed() => changed.ok()?,
            changed = outputs.statuses.changed() => changed.ok()?,
            changed = self.progress.changed() => changed.ok()?,
            changed = self.refused.changed() => changed.ok()?,
        }
        sleep(PAUSE).await;
        Some(self.event())
    }

    /// How it is now. What changes from here on is told by another one.
    fn event(&mut self) -> Event {
        let outputs = &mut self.page.outputs;
        let published = outputs.snapshots.borrow_and_update();
        let snapshot = published.as_ref().map_or(0, |it| it.snapshot.number());
        drop(published);
        outputs.statuses.mark_unchanged();
        self.refused.mark_unchanged();
        let progress = *self.progress.borrow_and_update();
        self.page.look();
        let state = json!({
            "snapshot": snapshot,
            "acknowledged": progress.acknowledged,
            "connected": progress.is_connected,
        });
        Event::default().data(state.to_string())
    }
}
