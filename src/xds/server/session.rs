//! One gRPC stream: feeds requests, snapshots and time to the state machine, and hands on what comes out.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use futures::Stream as FuturesStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;

use super::memory_limit::{OverLimit, StreamMemory, remembered};
use super::requests::{Requests, over_limit};
use super::shared::Shared;
use super::streams::{Counted, Streams};
use crate::xds::encode::Message;
use crate::xds::message::{Protocol, Response};
use crate::xds::metrics::StreamGauge;
use crate::xds::report::{Entry, LeftOut, Reporting, StreamReport};
use crate::xds::stream::{Event, Stream, Violation};
use crate::xds::{Metrics, Published, ResourceType};

/// The state machine, which reports read too. It is locked for one step at a time.
struct Shown(Mutex<Stream>);

impl Shown {
    /// A step that panics ends the process.
    fn lock(&self) -> MutexGuard<'_, Stream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporting for Shown {
    fn report(&self) -> Option<StreamReport> {
        match self.0.try_lock() {
            Ok(stream) => Some(stream.report()),
            Err(TryLockError::Poisoned(stream)) => Some(stream.into_inner().report()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// One gRPC stream.
pub(super) struct Session<P: Protocol> {
    requests: Requests<P::Request>,
    published: watch::Receiver<Option<Published>>,
    stream: Arc<Shown>,
    identifier: Arc<str>,
    metrics: Metrics,
    report: Entry,
    known: bool,
    /// Counts the stream as one of the connection, once it has had a request.
    counted: Option<Counted>,
    streams: Streams,
    /// The memory of names that the stream keeps only because its client has named them.
    memory: StreamMemory,
    _connected: StreamGauge,
    protocol: PhantomData<fn() -> P>,
}

impl<P: Protocol> Session<P> {
    /// Begins with the snapshot of this moment.
    pub(super) fn begin(
        requests: Requests<P::Request>,
        memory: StreamMemory,
        shared: &Shared,
        streams: Streams,
    ) -> Result<Self, Status> {
        let mut published = shared.published.clone();
        let Some(first) = published.borrow_and_update().clone() else {
            return Err(Status::unavailable("there is no configuration yet"));
        };
        let stream = Arc::new(Shown(Mutex::new(Stream::new(
            P::VARIANT,
            shared.timing,
            first.snapshot,
            first.at.into_std(),
        ))));
        Ok(Self {
            requests,
            published,
            report: shared.reports.enter(stream.clone()),
            stream,
            identifier: shared.identifier.clone(),
            metrics: shared.metrics.clone(),
            known: false,
            counted: None,
            streams,
            memory,
            _connected: shared.metrics.stream(P::VARIANT),
            protocol: PhantomData,
        })
    }

    /// All responses, until the client or the server ends the stream.
    pub(super) fn responses(
        self,
    ) -> impl FuturesStream<Item = Result<Message, Status>> + Send + 'static {
        futures::stream::unfold(Some(self), |session| async move {
            let mut session = session?;
            match session.next().await {
                Ok(Some(response)) => {
                    let message = P::encode(&response, &session.identifier);
                    let message = message
                        .ok_or_else(|| Status::out_of_range("a response of more than 4 GiB"));
                    Some((message, Some(session)))
                }
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Option<Response>, Status> {
        loop {
            // A client that floods shares the thread with the others.
            tokio::task::consume_budget().await;
            if self.published.has_changed().unwrap_or(false) {
                let newest = self.published.borrow_and_update().clone();
                if let Some(Published { snapshot, at }) = newest {
                    self.stream.lock().publish(snapshot, at.into_std());
                }
            }
            let now = Instant::now();
            let (response, events, answers) = {
                let mut stream = self.stream.lock();
                let response = stream.poll(now.into_std());
                (response, stream.take_events(), stream.answers())
            };
            if let Some(counted) = &self.counted {
                counted.answers(answers);
            }
            self.tell(events);
            if let Some(response) = response {
                self.metrics.pushed(&response);
                tracing::debug!(
                    stream = self.report.number(),
                    r#type = %response.resource_type,
                    nonce = response.nonce,
                    version = %response.version,
                    resources = response.resources.len(),
                    removed = response.removed.len(),
                    "sent"
                );
                return Ok(Some(response));
            }
            let deadline = self.publish(now);
            self.account()?;
            tokio::select! {
                request = self.requests.message() => match request? {
                    Some(request) => {
                        self.counted.get_or_insert_with(|| self.streams.enter());
                        let request = P::parse(request);
                        let bytes = remembered(self.stream.lock().nonexistent_with(&request));
                        self.memory.set(bytes).map_err(over_limit)?;
                        self.stream
                            .lock()
                            .request(request, Instant::now().into_std())
                            .map_err(|violation| match violation {
                                Violation::NoType => Status::invalid_argument(violation.to_string()),
                                Violation::TooManyNames => Status::resource_exhausted(violation.to_string()),
                            })?;
                        self.account()?;
                    }
                    None => return Ok(None),
                },
                changed = self.published.changed() => {
                    // The process is about to end; the client keeps what it has.
                    changed.map_err(|_| Status::unavailable("the server ends"))?;
                    self.published.mark_changed();
                }
                () = self.streams.closed() => return Err(over_limit(OverLimit)),
                () = sleep_until(deadline) => {}
            }
        }
    }

    /// Publishes what is left out and how far the client has come, once for all that was sent and answered since the stream waited
    /// last. Returns when the stream may have something to send.
    fn publish(&mut self, now: Instant) -> Option<Instant> {
        let (refused, missing, (follows, acknowledged), deadline) = {
            let mut stream = self.stream.lock();
            let refused = stream.take_refused();
            let can_close_listeners = |change: &LeftOut| {
                let of = change.unit.resource_type;
                matches!(of, ResourceType::Listener | ResourceType::Extension)
            };
            let missing = refused.iter().any(can_close_listeners);
            let missing = missing.then(|| stream.missing());
            let deadline = stream.deadline(now.into_std());
            let progress = (stream.follows(), stream.acknowledged());
            (refused, missing, progress, deadline)
        };
        if !refused.is_empty() {
            self.report.refused(refused);
        }
        if let Some(missing) = missing {
            self.report.lacks(missing);
        }
        if follows {
            self.report.follows();
        }
        // After what it refuses: nobody is to take for served what is left out.
        self.report.acknowledged(acknowledged);
        deadline.map(Instant::from_std)
    }

    /// Accounts what is remembered for the client, before more is done for it.
    fn account(&mut self) -> Result<(), Status> {
        self.requests.done()?;
        let bytes = remembered(self.stream.lock().nonexistent());
        self.memory.set(bytes).map_err(over_limit)
    }

    /// Metrics and log of what has happened.
    fn tell(&mut self, events: Vec<Event>) {
        let client = || self.stream.lock().client().cloned();
        if !self.known
            && let Some(client) = client()
        {
            self.known = true;
            tracing::info!(
                stream = self.report.number(),
                node = %client.id,
                envoy = client.envoy.map(tracing::field::display),
                variant = P::VARIANT.as_str(),
                "an xDS client connected"
            );
            if let Some(too_old) = client.too_old() {
                tracing::warn!(stream = self.report.number(), node = %client.id, "{too_old}");
            }
        }
        for event in events {
            self.metrics.event(&event);
            match event {
                Event::UnitRefused(unit) => tracing::warn!(
                    stream = self.report.number(),
                    node = client().map(|client| client.id).as_deref(),
                    r#type = %unit.resource_type,
                    resource = %unit.resource,
                    part = unit.part.as_deref(),
                    owners = ?unit.owners,
                    reason = %unit.reason,
                    "refused by the client and left out until it changes"
                ),
                Event::ResponseRefused {
                    resource_type,
                    version,
                    reason,
                } => tracing::info!(
                    stream = self.report.number(),
                    r#type = %resource_type,
                    version = %version,
                    reason = %reason,
                    "a response was refused"
                ),
                Event::Acknowledged { .. } | Event::SnapshotAcknowledged { .. } => {}
            }
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
