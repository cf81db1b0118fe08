//! `/debug/log`: what is logged, and for a while something else.
//!
//! It is the one page that changes something, and nothing but the log: `PUT /debug/log?level=debug&for=10m`. It ends by itself: a
//! level that somebody forgets would fill a disk. A restart ends it as well.

use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::process::duration::duration;
use crate::process::log;
use crate::process::supervisor::Stop;

/// For how long, where nothing is said.
const USUAL: Duration = Duration::from_secs(600);

/// The longest.
const MOST: Duration = Duration::from_secs(3600);

/// Says until when the log has another filter than its flag's.
#[derive(Clone, Debug, Default)]
pub(super) struct LogLevel(watch::Sender<Option<Instant>>);

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    level: Option<String>,
    r#for: Option<String>,
}

impl LogLevel {
    /// Gives the log its flag's filter again when the time is over, until asked to stop.
    pub(super) async fn end_in_time(&self, mut stop: Stop) {
        let mut until = self.0.subscribe();
        loop {
            let end = *until.borrow_and_update();
            let over = async {
                match end {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.requested() => return,
                _ = until.changed() => {}
                () = over => {
                    log::set(None);
                    tracing::info!("what is logged is what --log-level says again");
                    self.0.send_replace(None);
                }
            }
        }
    }

    fn says(&self) -> String {
        let until = *self.0.borrow();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()).as_secs());
        match left {
            Some(left) => format!("{} for {left} s more\n", log::filter_in_force()),
            None => format!("{}\n", log::filter_in_force()),
        }
    }
}

/// What is logged.
pub(super) async fn show(State(level): State<LogLevel>) -> String {
    level.says()
}

/// Logs something else for a while; without a level what the flag says.
pub(super) async fn change(State(level): State<LogLevel>, Query(asked): Query<Asked>) -> Response {
    let wrong = |why: String| (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response();
    let time = match asked.r#for.as_deref().map_or(Ok(USUAL), duration) {
        Ok(time) if time <= MOST => time,
        Ok(_) => return wrong("for is an hour at most: --log-level is for longer".to_owned()),
        Err(why) => return wrong(format!("for is no time: {why}")),
    };
    let Some(filter) = asked.level else {
        level.0.send_replace(Some(Instant::now()));
        return "what is logged is what --log-level says again\n".into_response();
    };
    let filter = match log::filter(&filter) {
        Ok(filter) => filter,
        Err(why) => return wrong(format!("level is no filter: {why}")),
    };
    log::set(Some(&filter));
    tracing::info!(
        filter,
        seconds = time.as_secs(),
        "the log has another filter for a while"
    );
    level.0.send_replace(Some(Instant::now() + time));
    level.says().into_response()
}
