//! The loop around the state machine: sends what it asks for, reads what comes, waits as told.
//!
//! No rule of the protocol is in here. What is in here is time: how long a watch may last, and how long
//! nothing may come before a connection counts as dead.

use std::collections::VecDeque;
use std::future::{poll_fn, ready};
use std::hash::{BuildHasher as _, Hasher as _};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use hyper::body::Body as _;
use kube::client::Body;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, warn};

use crate::objects::Event;

use super::error::{Cause, one_line};
use super::frame::{Frame, Lines};
use super::list_watch::{Input, ListWatch, Request, Step};
use super::metrics::{End, Metrics};
use super::page::Page;
use super::resource::Resource;
use super::timing::{CONNECT_WITHIN, WatchTiming};
use super::versions::Versions;

/// A refusal's body is a `Status` of some hundred bytes; what is longer is not read on.
const LONGEST_ERROR: usize = 64 << 10;
/// From so many bytes on it pays to decode them elsewhere: some thirty objects.
pub(super) const BULK: usize = 64 << 10;
/// So many parts of a list are decoded at one time, or wait for it.
const MOST_DECODING: usize = 4;
/// A watch that lasted less than this brought nothing but work.
const BRIEF: Duration = Duration::from_secs(1);
/// How long the answer may take that follows a silent watch. As long as a connection: the request may go out on
/// another one that lay idle and is dead as well.
const AFTER_SILENCE: Duration = CONNECT_WITHIN;

/// Runs one list-watch to its end, which is always an error. `listed` is called behind each list.
pub(super) async fn run(
    client: &kube::Client,
    resource: &Resource,
    mut machine: ListWatch,
    timing: &WatchTiming,
    events: &mpsc::Sender<Event>,
    (metrics, versions): (&Metrics, &Versions),
    listed: &(dyn Fn() + Sync),
) -> Cause {
    let mut exchange = Exchange {
        client,
        resource,
        timing,
        events,
        metrics,
        versions,
        listed,
        answer: timing.answer,
    };
    let mut step = Step::Send;
    loop {
        if let Step::SendAfter(time) = step {
            metrics.waited(machine.kind());
            // A little more than asked for, so that those who were told the same do not come together.
            sleep(time + random_part(time / 4)).await;
        }
        step = match exchange.once(&mut machine).await {
            Ok(step) => step,
            Err(cause) => return cause,
        };
    }
}

/// A random time below `most`. It only spreads load; nothing depends on how random it is.
pub(super) fn random_part(most: Duration) -> Duration {
    // Keys of std's hasher are random per instance.
    let random = std::hash::RandomState::new().build_hasher().finish();
    #[allow(clippy::cast_precision_loss)]
    most.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
}

struct Exchange<'a> {
    client: &'a kube::Client,
    resource: &'a Resource,
    timing: &'a WatchTiming,
    events: &'a mpsc::Sender<Event>,
    metrics: &'a Metrics,
    versions: &'a Versions,
    listed: &'a (dyn Fn() + Sync),
    /// How long the next answer may take.
    answer: Duration,
}

impl Exchange<'_> {
    /// One request and all of its answer.
    async fn once(&mut self, machine: &mut ListWatch) -> Result<Step, Cause> {
        let within = std::mem::replace(&mut self.answer, self.timing.answer);
        let request = machine.request();
        let lasts = self.timing.watch + random_part(self.timing.watch_spread);
        let lasts = Duration::from_secs(lasts.as_secs().max(1));
        let http = self.resource.request(&request, lasts)?;
        debug!(uri = %http.uri(), "asking");
        let response = match send(self.client, http, within).await {
            Ok(response) => response,
            Err(input) => return self.tell(machine, input).await,
        };
        let is_list = matches!(request, Request::List { .. });
        if is_list || response.status() != StatusCode::OK {
            return self.answer(machine, response).await;
        }
        self.tell(machine, Input::Opened).await?;
        let deadline = Instant::now() + lasts + self.timing.margin;
        self.watch(machine, response.into_body(), deadline).await
    }

    async fn answer(
        &self,
        machine: &mut ListWatch,
        response: Response<Body>,
    ) -> Result<Step, Cause> {
        let answer = match read(response, self.timing.answer).await {
            Ok(answer) => answer,
            Err(input) => return self.tell(machine, input).await,
        };
        if answer.status != StatusCode::OK.as_u16() {
            let input = Input::ErrorStatus {
                status: answer.status,
                retry_after: answer.retry_after,
                body: &answer.body,
            };
            return self.tell(machine, input).await;
        }
        let kind = machine.kind();
        let parse = move || Page::parse(kind, &answer.body);
        let page = decoded(spawn_blocking(parse).await)??;
        self.tell(machine, Input::Page(page)).await
    }

    /// Lines are taken in their order. Single ones are decoded at once; many, as a list brings them, by other threads,
    /// while the next ones come in.
    async fn watch(
        &mut self,
        machine: &mut ListWatch,
        mut body: Body,
        deadline: Instant,
    ) -> Result<Step, Cause> {
        let kind = machine.kind();
        let opened = Instant::now();
        let silent = sleep_until(deadline);
        tokio::pin!(silent);
        let mut lines = Lines::default();
        let mut decoding: VecDeque<JoinHandle<Vec<_>>> = VecDeque::new();
        let mut open = true;
        let mut end = End::Ended;
        loop {
            let whole = lines.whole();
            let frames = tokio::select! {
                biased;
                Some(decoded) = next(&mut decoding) => decoded?,
                came = chunk(&mut body), if open && whole < BULK => {
                    match came {
                        Some(Ok(bytes)) => lines.push(&bytes)?,
                        None => open = false,
                        Some(Err(error)) => {
                            debug!(%kind, %error, "a watch was cut");
                            (open, end) = (false, End::Cut);
                        }
                    }
                    continue;
                }
                // Nothing more has come by now.
                () = ready(()), if whole > 0 && decoding.len() < MOST_DECODING => {
                    let bytes = lines.take();
                    let decode = move || Frame::read(kind, &bytes).collect();
                    if whole >= BULK || !decoding.is_empty() {
                        decoding.push_back(spawn_blocking(decode));
                        continue;
                    }
                    decode()
                }
                () = &mut silent, if open => {
                    warn!(%kind, "a watch was silent beyond its end: its connection is given up");
                    (open, end) = (false, End::Silent);
                    continue;
                }
                else => break,
            };
            for frame in frames {
                let step = self.tell(machine, Input::Line(frame?)).await?;
                if step != Step::Read {
                    return Ok(step);
                }
            }
        }
        self.metrics.watched(kind, end);
        if matches!(end, End::Silent) {
            self.answer = self.timing.answer.min(AFTER_SILENCE);
        }
        let brief = opened.elapsed() < BRIEF;
        self.tell(machine, Input::Ended { brief }).await
    }

    async fn tell(&self, machine: &mut ListWatch, input: Input<'_>) -> Result<Step, Cause> {
        let mut events = Vec::new();
        let step = machine.handle(input, &mut events)?;
        for event in events {
            let is_list = matches!(event, Event::Replace { .. });
            if is_list {
                self.metrics.listed(machine.kind());
            }
            self.events
                .send(event)
                .await
                .map_err(|_| Cause::NoReceiver)?;
            if is_list {
                (self.listed)();
            }
        }
        // After what it is the version of: who reads it finds that in the channel, or behind it.
        if let Some(version) = machine.version() {
            self.versions
                .note(machine.kind(), machine.namespace(), version);
        }
        Ok(step)
    }
}

/// The next lines that were decoded elsewhere, in their order; `None` when none are. Safe to use in `select!`.
async fn next<T>(decoding: &mut VecDeque<JoinHandle<T>>) -> Option<Result<T, Cause>> {
    let done = decoding.front_mut()?.await;
    decoding.pop_front();
    Some(decoded(done))
}

fn decoded<T>(done: Result<T, JoinError>) -> Result<T, Cause> {
    done.map_err(|error| Cause::Undecodable(format!("the decoder failed: {error}")))
}

/// A whole answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

/// Sends a request and waits for the head of its answer.
pub(super) async fn send(
    client: &kube::Client,
    request: http::Request<Vec<u8>>,
    within: Duration,
) -> Result<Response<Body>, Input<'static>> {
    match timeout(within, client.send(request.map(Body::from))).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(failure(&error)),
        Err(_) => Err(Input::Unreachable(format!("no answer within {within:?}"))),
    }
}

/// Reads an answer to its end.
pub(super) async fn read(
    response: Response<Body>,
    within: Duration,
) -> Result<Answer, Input<'static>> {
    let status = response.status();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let mut incoming = response.into_body();
    let mut body = Vec::new();
    loop {
        match timeout(within, chunk(&mut incoming)).await {
            Ok(Some(Ok(bytes))) => body.extend_from_slice(&bytes),
            Ok(None) => break,
            // What a refusal said is a courtesy: its status is what counts.
            Ok(Some(Err(_))) | Err(_) if status != StatusCode::OK => break,
            Ok(Some(Err(error))) => return Err(failure(&error)),
            Err(_) => {
                return Err(Input::Unreachable(format!(
                    "an answer stopped in the middle for {within:?}"
                )));
            }
        }
        if status != StatusCode::OK && body.len() > LONGEST_ERROR {
            break;
        }
    }
    Ok(Answer {
        status: status.as_u16(),
        retry_after,
        body,
    })
}

/// The next bytes of a body, `None` at its end. Trailers are skipped.
async fn chunk(body: &mut Body) -> Option<Result<Bytes, kube::Error>> {
    loop {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await? {
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
}

/// Tells a connection that broke, which a new one may cure, from a server that can't be reached.
fn failure(error: &kube::Error) -> Input<'static> {
    let mut broken = false;
    let mut connecting = false;
    let mut texts: Vec<String> = Vec::new();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = match error {
        // Only says "ServiceError" and repeats its source.
        kube::Error::Service(source) => Some(&**source),
        other => Some(other),
    };
    // Deep enough for every stack of layers, and an end for one that goes round in circles.
    for _ in 0..16 {
        let Some(error) = cause else { break };
        if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            connecting |= error.is_connect();
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            broken |= error.is_incomplete_message() || error.is_canceled() || error.is_closed();
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind as Kind;
            broken |= matches!(
                error.kind(),
                Kind::ConnectionReset
                    | Kind::ConnectionAborted
                    | Kind::BrokenPipe
                    | Kind::UnexpectedEof
            );
        }
        let text = error.to_string();
        // Layers like to repeat what is below them.
        if !texts.iter().any(|seen| seen.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    let why = one_line(&texts.join(": "));
    if broken && !connecting {
        Input::Broken(why)
    } else {
        Input::Unreachable(why)
    }
}
