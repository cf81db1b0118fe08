//! Why something does not hold, in the words of the Gateway API's conditions.

/// A reason of a condition, and one sentence for the object's owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// `reason`.
    pub reason: &'static str,
    /// `message`.
    pub message: String,
}

impl Fault {
    /// Builds it from its parts.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

/// Several faults as one: the first one's reason, and all sentences.
pub fn first_of(faults: &[Fault]) -> Result<(), Fault> {
    /// A message that names hundreds helps nobody.
    const TOLD: usize = 8;
    let Some(first) = faults.first() else {
        return Ok(());
    };
    let told: Vec<&str> = faults.iter().take(TOLD).map(|it| &*it.message).collect();
    let mut message = told.join("; ");
    if let Some(more) = faults.len().checked_sub(TOLD).filter(|more| *more > 0) {
        message.push_str(&format!("; and {more} more"));
    }
    Err(Fault::new(first.reason, message))
}
