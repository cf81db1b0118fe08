//! The list-watch protocol as a state machine without IO: what came goes in, events and what to do next
//! come out.
//!
//! The rules, with `API` for <https://kubernetes.io/docs/reference/using-api/api-concepts/>:
//!
//! - A list is a streaming list where the server has them, else pages; both are consistent reads (API,
//!   "Resource versions", an unset resourceVersion is "most recent"). Nothing of it is sent before it is whole.
//! - A watch that ends or is cut, wherever, goes on from the last version seen (API, "Efficient detection
//!   of changes").
//! - 410 means that the version is gone: list again (API, "410 Gone responses"). A continue token that is
//!   gone means to list without pages, as client-go's pager does, or a slow reader would never get to the end.
//! - 429 is waited for as long as the server says.
//! - A version that this replica of the server has not reached yet (504 with a cause of its own) is waited for
//!   as well (API, "Unavailable resource versions").
//! - Everything else is an end.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info, warn};

use crate::objects::{Event, Kind, NamespacedName, Object, ObjectRef, Undecodable};

use super::error::{Cause, one_line};
use super::frame::{Frame, Status};
use super::page::Page;

/// Objects of one page, as client-go's and kubectl's pagers ask for.
pub(super) const PAGE: u32 = 500;

/// What is waited for where the server names no time, and between attempts that got nowhere.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// What is waited for at most before a list whose predecessors' watches brought nothing. Lists are what a server that
/// is short of memory suffers from: client-go's reflector goes as far.
const LONGEST_RELIST_PAUSE: Duration = Duration::from_secs(30);
/// No server has a reason to ask for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often a version may be unknown to the server before a new list is asked for.
const VERSION_ATTEMPTS: u32 = 5;

/// What to ask the server for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// A watch that begins with all objects.
    StreamingList,
    /// One page, or with no limit all there is.
    List {
        /// Objects in it at most.
        limit: Option<u32>,
        /// Where the page before ended.
        continue_token: Option<String>,
    },
    /// The changes since a version.
    Watch {
        /// The version.
        version: String,
    },
}

/// What came.
#[derive(Debug)]
pub(super) enum Input<'a> {
    /// A list was answered with 200.
    Page(Page),
    /// An answer other than 200.
    ErrorStatus {
        /// Its HTTP status.
        status: u16,
        /// Its Retry-After, where it has one.
        retry_after: Option<Duration>,
        /// Its body.
        body: &'a [u8],
    },
    /// A watch was answered with 200: lines follow.
    Opened,
    /// A line of a watch.
    Line(Frame),
    /// A watch is over, at its end or anywhere else.
    Ended {
        /// Whether it lasted less than a second.
        brief: bool,
    },
    /// The connection broke before the answer was whole (never said of a watch that was opened).
    Broken(String),
    /// No connection, or no answer in time.
    Unreachable(String),
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Read on.
    Read,
    /// Send [`ListWatch::request`].
    Send,
    /// Send it after this time.
    SendAfter(Duration),
}

/// One list-watch.
pub(super) struct ListWatch {
    kind: Kind,
    namespace: Option<Arc<str>>,
    state: State,
    /// Whether the server is believed to have streaming lists.
    streams: bool,
    /// The newest version seen, where versions are numbers.
    seen: Option<u64>,
    /// The request is a repetition after a broken connection.
    repeated: bool,
    /// Lists and watches in a row that brought nothing.
    consecutive_empty: u32,
    /// Lists in a row that were asked for because their predecessor's version was gone before anything else came.
    relists: u32,
    /// Times in a row that the server did not know the version yet.
    unknown_version: u32,
}

enum State {
    Streaming {
        /// As they came, which is in the order of names; `None` is one that is gone.
        objects: Vec<(NamespacedName, Option<Object>)>,
    },
    Paging {
        objects: Vec<Object>,
        /// The version of the first page, which is that of the whole list.
        version: Option<String>,
        limit: Option<u32>,
        continue_token: Option<String>,
    },
    Watching {
        version: String,
    },
}

impl State {
    fn paging(limit: Option<u32>) -> Self {
        Self::Paging {
            objects: Vec::new(),
            version: None,
            limit,
            continue_token: None,
        }
    }
}

impl ListWatch {
    pub(super) fn new(kind: Kind, namespace: Option<Arc<str>>) -> Self {
        Self {
            kind,
            namespace,
            state: State::Streaming {
                objects: Vec::new(),
            },
            streams: true,
            seen: None,
            repeated: false,
            consecutive_empty: 0,
            relists: 0,
            unknown_version: 0,
        }
    }

    /// The kind that is listed and watched.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The namespace, where it is of one.
    pub(super) fn namespace(&self) -> Option<&Arc<str>> {
        self.namespace.as_ref()
    }

    /// The newest version seen, where versions are numbers: all that is older was handed out.
    pub(super) fn version(&self) -> Option<u64> {
        self.seen
    }

    /// What to send now.
    pub(super) fn request(&self) -> Request {
        match &self.state {
            State::Streaming { .. } => Request::StreamingList,
            State::Paging {
                limit,
                continue_token,
                ..
            } => Request::List {
                limit: *limit,
                continue_token: continue_token.clone(),
            },
            State::Watching { version } => Request::Watch {
                version: version.clone(),
            },
        }
    }

    /// Takes what came, adds what it means to `events`, and says what to do next. An error is the end.
    pub(super) fn handle(
        &mut self,
        input: Input<'_>,
        events: &mut Vec<Event>,
    ) -> Result<Step, Cause> {
        match input {
            Input::Unreachable(why) => Err(Cause::Unreachable(why)),
            // The connection may have been an old one that the server closed meanwhile: once more on a new one,
            // as Go's client does with requests that change nothing (net/http, Transport).
            Input::Broken(why) if self.repeated => Err(Cause::Unreachable(why)),
            Input::Broken(_) => {
                self.repeated = true;
                // A streaming list gathers anew with each attempt, a page is asked for again.
                Ok(Step::Send)
            }
            Input::Page(page) => {
                self.repeated = false;
                self.page(page, events)
            }
            Input::ErrorStatus {
                status,
                retry_after,
                body,
            } => {
                self.repeated = false;
                let mut answer = Status::parse(body).unwrap_or_default();
                answer.code = status;
                let retry_after = retry_after.or_else(|| answer.retry_after());
                self.refused(&answer, retry_after)
            }
            Input::Opened => {
                self.repeated = false;
                Ok(Step::Read)
            }
            Input::Line(frame) => self.line(frame, events),
            Input::Ended { brief } => Ok(self.ended(brief)),
        }
    }

    fn page(&mut self, page: Page, events: &mut Vec<Event>) -> Result<Step, Cause> {
        let State::Paging {
            objects,
            version,
            limit,
            continue_token,
        } = &mut self.state
        else {
            return Err(Cause::Undecodable(
                "a watch was answered with a list".to_owned(),
            ));
        };
        for item in page.items {
            match item {
                Ok(object) => objects.push(object),
                Err(why) => nameless(self.kind, &why),
            }
        }
        let first = version.get_or_insert(page.version);
        match page.next {
            None => {
                let (objects, version) = (std::mem::take(objects), std::mem::take(first));
                self.listed(objects, version, events)
            }
            Some(next) if continue_token.as_ref() == Some(&next) || limit.is_none() => Err(
                Cause::Undecodable("a list whose pages do not come to an end".to_owned()),
            ),
            Some(next) => {
                *continue_token = Some(next);
                Ok(Step::Send)
            }
        }
    }

    fn line(&mut self, frame: Frame, events: &mut Vec<Event>) -> Result<Step, Cause> {
        if let Frame::Error(status) = frame {
            let retry_after = status.retry_after();
            return self.refused(&status, retry_after);
        }
        match &mut self.state {
            State::Streaming { objects } => match frame {
                Frame::Applied { name, object, .. } => match object {
                    Ok(object) => objects.push((name, Some(object))),
                    Err(why) => nameless(self.kind, &why),
                },
                Frame::Deleted { name, .. } => objects.push((name, None)),
                Frame::Bookmark {
                    version,
                    initial_events_end: true,
                } => {
                    let objects = newest(std::mem::take(objects));
                    self.listed(objects, version, events)?;
                }
                Frame::Bookmark { .. } | Frame::Error(_) => {}
            },
            State::Watching { version: last } => {
                let version = match frame {
                    Frame::Applied {
                        version, object, ..
                    } => {
                        match object {
                            Ok(object) => events.push(Event::Apply(object)),
                            Err(why) => nameless(self.kind, &why),
                        }
                        version
                    }
                    Frame::Deleted { name, version } => {
                        let kind = self.kind;
                        events.push(Event::Delete(ObjectRef { kind, name }));
                        version
                    }
                    Frame::Bookmark { version, .. } => version,
                    Frame::Error(_) => return Ok(Step::Read),
                };
                self.seen = self.seen.max(version.parse().ok());
                self.unknown_version = 0;
                if *last != version {
                    *last = version;
                    self.consecutive_empty = 0;
                    self.relists = 0;
                }
            }
            State::Paging { .. } => {
                return Err(Cause::Undecodable(
                    "a list was answered with a watch".to_owned(),
                ));
            }
        }
        // A streaming list that is whole goes on as a watch in the same answer.
        Ok(Step::Read)
    }

    /// A list is whole.
    fn listed(
        &mut self,
        objects: Vec<Object>,
        version: String,
        events: &mut Vec<Event>,
    ) -> Result<Step, Cause> {
        let listed: Option<u64> = version.parse().ok();
        if let (Some(listed), Some(seen)) = (listed, self.seen)
            && listed < seen
        {
            return Err(Cause::WentBack { listed, seen });
        }
        self.seen = self.seen.max(listed);
        info!(kind = %self.kind, namespace = self.namespace.as_deref(), objects = objects.len(), "listed");
        events.push(Event::Replace {
            kind: self.kind,
            namespace: self.namespace.clone(),
            objects,
        });
        self.state = State::Watching { version };
        Ok(Step::Send)
    }

    /// An answer other than 200, or an ERROR event.
    fn refused(&mut self, status: &Status, retry_after: Option<Duration>) -> Result<Step, Cause> {
        let kind = self.kind;
        let expired = status.code == 410 || matches!(&*status.reason, "Expired" | "Gone");
        let wait = retry_after.unwrap_or(PAUSE).clamp(PAUSE, LONGEST_PAUSE);
        match (&mut self.state, status.code) {
            (_, 429) => {
                warn!(%kind, ?wait, "the API server asks to wait");
                // What a streaming list had gathered is sent again from its beginning.
                if let State::Streaming { objects } = &mut self.state {
                    objects.clear();
                }
                Ok(Step::SendAfter(wait))
            }
            (
                State::Paging {
                    continue_token: Some(_),
                    ..
                },
                _,
            ) if expired => {
                info!(%kind, "a continue token expired: listing again without pages");
                self.state = State::paging(None);
                Ok(Step::Send)
            }
            (State::Streaming { .. } | State::Watching { .. }, _) if expired => {
                info!(%kind, "the version is gone: listing again");
                Ok(self.relist())
            }
            (State::Watching { .. }, _) if status.is_version_too_large() => {
                self.unknown_version += 1;
                if self.unknown_version > VERSION_ATTEMPTS {
                    self.unknown_version = 0;
                    return Ok(self.relist());
                }
                debug!(%kind, "the API server has not reached the version yet");
                Ok(Step::SendAfter(wait))
            }
            // What servers answer that have no streaming lists: 422 and 400 without the feature gate, 500 with
            // an etcd that lacks RequestWatchProgress. If it means more than that, the list will say so.
            (State::Streaming { .. }, 400 | 404..=406 | 415 | 422 | 500 | 501) => {
                info!(%kind, status = status.code, "no streaming lists here: listing in pages");
                self.streams = false;
                self.state = State::paging(Some(PAGE));
                Ok(Step::Send)
            }
            (_, code) => Err(Cause::Status {
                code,
                message: message(code, &status.message),
            }),
        }
    }

    fn ended(&mut self, brief: bool) -> Step {
        match &self.state {
            // The server may have been slow, or may not know of streaming lists and say nothing: pages know.
            State::Streaming { .. } => {
                debug!(kind = %self.kind, "a streaming list was cut: listing in pages");
                self.state = State::paging(Some(PAGE));
                self.pause(brief)
            }
            State::Paging { .. } | State::Watching { .. } => self.pause(brief),
        }
    }

    fn relist(&mut self) -> Step {
        self.state = if self.streams {
            State::Streaming {
                objects: Vec::new(),
            }
        } else {
            State::paging(Some(PAGE))
        };
        self.relists = self.relists.saturating_add(1);
        match self.pause(true) {
            Step::SendAfter(pause) => {
                let doubled = pause * (1 << (self.relists - 1).min(5));
                Step::SendAfter(doubled.min(LONGEST_RELIST_PAUSE))
            }
            step => step,
        }
    }

    /// At once, unless attempts in a row came to nothing: then a loop would only be a burden to the server.
    fn pause(&mut self, brief: bool) -> Step {
        if !brief {
            self.consecutive_empty = 0;
            self.relists = 0;
            return Step::Send;
        }
        self.consecutive_empty += 1;
        if self.consecutive_empty > 1 {
            Step::SendAfter(PAUSE)
        } else {
            Step::Send
        }
    }
}

/// Of each name what came last, sorted.
fn newest(mut objects: Vec<(NamespacedName, Option<Object>)>) -> Vec<Object> {
    // Those of one name stay as they came.
    objects.sort_by(|(one, _), (other, _)| one.cmp(other));
    objects.dedup_by(|(name, newer), (of, kept)| {
        let is_same = name == of;
        if is_same {
            *kept = newer.take();
        }
        is_same
    });
    objects
        .into_iter()
        .filter_map(|(_, object)| object)
        .collect()
}

/// An object without a name can't even be reported on.
fn nameless(kind: Kind, why: &Undecodable) {
    warn!(%kind, %why, "left out an object that has no name");
}

/// What the server said, else the status's ordinary name.
pub(super) fn message(code: u16, said: &str) -> String {
    if !said.is_empty() {
        return one_line(said);
    }
    http::StatusCode::from_u16(code)
        .ok()
        .and_then(|code| code.canonical_reason())
        .unwrap_or("no message")
        .to_owned()
}
