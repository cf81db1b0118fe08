//! What is asked of the state while it is kept up to date.
//!
//! A question is a function of the state that the controller's task calls between events. Events go first, and whoever asks has
//! a bounded share of the task, however many ask (I9).

use std::fmt;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::build::Builder;

/// Questions that may wait. One more waits for a place.
const WAITING: usize = 16;

/// After an answer that took so long, none begins for this many times as long.
const REST: u32 = 9;

/// What a question sees.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    /// The objects, and what was made of them.
    pub builder: &'a Builder,
    /// The number of the newest snapshot that was published: all that the builder has is in it.
    pub snapshot: u64,
}

type Question = Box<dyn FnOnce(State<'_>) + Send>;

/// Asks. A cheap handle.
#[derive(Clone)]
pub struct Questions(mpsc::Sender<Question>);

/// Nobody answers: the controller has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the controller has ended")]
pub struct Ended;

impl Questions {
    /// A handle, and what the controller answers.
    #[must_use]
    pub fn new() -> (Self, Asked) {
        let (sender, waiting) = mpsc::channel(WAITING);
        let asked = Asked {
            waiting,
            rests_until: None,
        };
        (Self(sender), asked)
    }

    /// Calls a function with the state, once there is a first snapshot and no event waits. It must be quick: events wait for it.
    ///
    /// # Errors
    ///
    /// The controller has ended.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(State<'_>) -> T + Send + 'static,
    ) -> Result<T, Ended> {
        let (sender, answer) = oneshot::channel();
        let question: Question = Box::new(move |state| {
            // Who has asked may be gone: then nothing is worked out.
            if !sender.is_closed() {
                let _ = sender.send(question(state));
            }
        });
        self.0.send(question).await.map_err(|_| Ended)?;
        answer.await.map_err(|_| Ended)
    }
}

impl fmt::Debug for Questions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Questions").finish_non_exhaustive()
    }
}

/// The controller's end.
pub struct Asked {
    waiting: mpsc::Receiver<Question>,
    rests_until: Option<Instant>,
}

impl Asked {
    /// The next question, once the rest after the last answer is over; `None` when nobody can ask any more. Safe to use in
    /// `select!`.
    pub(super) async fn next(&mut self) -> Option<Question> {
        if let Some(until) = self.rests_until {
            tokio::time::sleep_until(until).await;
            self.rests_until = None;
        }
        self.waiting.recv().await
    }

    /// Answers one.
    pub(super) fn answer(&mut self, question: Question, state: State<'_>) {
        let start = Instant::now();
        question(state);
        let end = Instant::now();
        self.rests_until = Some(end + rest(end - start));
    }
}

fn rest(took: Duration) -> Duration {
    took.saturating_mul(REST)
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("rests_until", &self.rests_until)
            .finish_non_exhaustive()
    }
}
