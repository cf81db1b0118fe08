//! CPU profiles of the running process, and the allocator's statistics.
//!
//! Profiles come as pprof's own gzipped protobuf, which `go tool pprof`, Speedscope and Grafana read, or as an SVG
//! flame graph. One at a time: the sampler is a signal handler and a timer of the whole process.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use pprof::{ProfilerGuard, ProfilerGuardBuilder, Report};
use prost::Message as _;
use tokio::sync::Semaphore;

mod encode;

/// Samples per second of CPU time. A prime near 100: not in step with the kernel's tick or with anything periodic that
/// the process does, and at about 10 µs a sample a cost of one in a thousand.
const FREQUENCY: i32 = 97;

/// The longest profile, in seconds.
const LONGEST: u64 = 300;

/// The profiler's pages. There is one profiler per process.
#[derive(Clone, Debug)]
pub struct Profiler(Arc<Semaphore>);

impl Default for Profiler {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Profiler {
    /// `/debug/pprof/profile` and `/debug/pprof/heap`.
    pub fn router<S>(self) -> Router<S> {
        Router::new()
            .route("/debug/pprof/profile", get(profile))
            .route("/debug/pprof/heap", get(heap))
            .with_state(self)
    }
}

/// What a profile is returned as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Protobuf,
    FlameGraph,
}

async fn profile(
    State(Profiler(turn)): State<Profiler>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let (duration, format) = match parameters(&query) {
        Ok(parameters) => parameters,
        Err(sentence) => return (StatusCode::BAD_REQUEST, format!("{sentence}\n")).into_response(),
    };
    let Ok(turn) = turn.try_acquire_owned() else {
        return (StatusCode::CONFLICT, "another profile is being taken\n").into_response();
    };
    if let Err(error) = prepare() {
        return failure(&error);
    }
    let guard = match ProfilerGuardBuilder::default().frequency(FREQUENCY).build() {
        Ok(guard) => guard,
        Err(error) => return failure(&error.into()),
    };
    // A client that goes away drops this future, and with it the guard, which stops the sampler.
    tokio::time::sleep(duration).await;
    // Looking up symbols is seconds of work: never on a thread that others wait for.
    let rendered = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        render(&guard, format)
    });
    match rendered.await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => failure(&error),
        Err(error) => failure(&error.into()),
    }
}

/// Takes the first sample of the process here, once. The unwinder looks through the process's libraries with it and
/// allocates for that, in the handler of the signal: a thread that was just inside the allocator would wait for itself for
/// ever (seen with glibc's). This one is not; and the timer, at one second of CPU, has no time to come first.
fn prepare() -> anyhow::Result<()> {
    static DONE: OnceLock<()> = OnceLock::new();
    if DONE.get().is_none() {
        let _guard = ProfilerGuardBuilder::default().frequency(1).build()?;
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGPROF)?;
        DONE.get_or_init(|| ());
    }
    Ok(())
}

fn parameters(query: &BTreeMap<String, String>) -> Result<(Duration, Format), String> {
    let seconds = match query.get("seconds").map(|value| value.parse::<u64>()) {
        None => 30,
        Some(Ok(seconds @ 1..=LONGEST)) => seconds,
        Some(_) => {
            return Err(format!(
                "seconds must be a whole number from 1 to {LONGEST}"
            ));
        }
    };
    let format = match query.get("format").map(String::as_str) {
        None | Some("pprof") => Format::Protobuf,
        Some("flamegraph") => Format::FlameGraph,
        Some(_) => return Err("format must be pprof or flamegraph".to_owned()),
    };
    Ok((Duration::from_secs(seconds), format))
}

fn render(guard: &ProfilerGuard<'_>, format: Format) -> anyhow::Result<Response> {
    let report = guard.report().build().context("can't build the report")?;
    Ok(match format {
        Format::Protobuf => {
            let disposition = "attachment; filename=\"isobath.pb.gz\"";
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (header::CONTENT_DISPOSITION, disposition),
            ];
            (headers, gzipped_protobuf(&report)?).into_response()
        }
        Format::FlameGraph => {
            let mut svg = Vec::new();
            if report.data.is_empty() {
                // inferno has no picture of nothing.
                let words =
                    "no samples: the process was idle; ask for more seconds, or when it is busy\n";
                return Ok((StatusCode::SERVICE_UNAVAILABLE, words).into_response());
            }
            report
                .flamegraph(&mut svg)
                .context("can't draw the flame graph")?;
            ([(header::CONTENT_TYPE, "image/svg+xml")], svg).into_response()
        }
    })
}

fn gzipped_protobuf(report: &Report) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&encode::profile(report).encode_to_vec())?;
    Ok(encoder.finish()?)
}

/// mimalloc keeps no call stacks, so that this is no heap profile: its counters of pages, segments and sizes, as JSON.
async fn heap() -> Response {
    match mimalloc::MiMalloc::stats_json() {
        Ok(statistics) => {
            let text = statistics.to_string_lossy().into_owned();
            ([(header::CONTENT_TYPE, "application/json")], text).into_response()
        }
        Err(reason) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{reason}\n")).into_response(),
    }
}

fn failure(error: &anyhow::Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response()
}

#[cfg(test)]
mod tests;
