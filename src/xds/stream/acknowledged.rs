//! Up to which snapshot a client has acknowledged all.
//!
//! Where changes never rest there is always one under way, so it is not waited for a moment without any: what was due when a
//! snapshot became the target is gone once each type was either at rest, or has had a response that left nothing due, and that
//! was acknowledged.

use crate::xds::ResourceType;
use crate::xds::channel::Channel;

/// How far a client has come.
#[derive(Debug, Default)]
pub(super) struct Mark {
    /// The newest snapshot of which all is acknowledged; 0 for none.
    acknowledged: u64,
    /// The one that is waited for, and of each type what is.
    awaited: Option<(u64, [Awaited; ResourceType::ALL.len()])>,
}

/// What is waited for of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// A response after which nothing is due.
    Response,
    /// The answer to such a one, by its nonce.
    Answer(u64),
    Nothing,
}

impl Awaited {
    fn after(self, channel: &Channel) -> Self {
        let is_settled = channel.containment.is_none();
        match (self, &channel.pending) {
            (Self::Nothing, _) => Self::Nothing,
            (Self::Answer(nonce), _) if is_settled && channel.answered(nonce) => Self::Nothing,
            (Self::Answer(nonce), _) if is_settled => Self::Answer(nonce),
            (_, None) if is_settled && channel.is_served() => Self::Nothing,
            (_, Some(pending)) if is_settled && channel.is_served() => Self::Answer(pending.nonce),
            // What was refused is looked for, in responses that are to come.
            _ => Self::Response,
        }
    }
}

impl Mark {
    /// The number of the newest snapshot of which all is acknowledged; 0 for none.
    pub(super) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Looks how far the client has come, of the snapshot of this number, once all is sent that can be.
    pub(super) fn advance(&mut self, number: u64, channels: &[Channel; ResourceType::ALL.len()]) {
        // Twice: what is reached may be an older one than the snapshot of now.
        for _ in 0..2 {
            if self.awaited.is_none() && number <= self.acknowledged {
                return;
            }
            let of_all = [Awaited::Response; ResourceType::ALL.len()];
            let (number, mut of_all) = self.awaited.unwrap_or((number, of_all));
            for (awaited, channel) in of_all.iter_mut().zip(channels) {
                *awaited = match channel.resource_type {
                    ResourceType::Endpoint => Awaited::Nothing,
                    _ => awaited.after(channel),
                };
            }
            if of_all.iter().any(|it| *it != Awaited::Nothing) {
                self.awaited = Some((number, of_all));
                return;
            }
            *self = Self {
                acknowledged: number,
                awaited: None,
            };
        }
    }
}
