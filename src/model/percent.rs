//! Parts of a hundred.

/// From 0 to 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u8);

impl Percent {
    /// Half of them.
    pub const HALF: Self = Self(50);

    /// So many of a hundred.
    ///
    /// # Errors
    ///
    /// One sentence where it is more than that.
    pub fn new(percent: u32) -> Result<Self, String> {
        match u8::try_from(percent) {
            Ok(percent) if percent <= 100 => Ok(Self(percent)),
            _ => Err(format!("{percent} is more than 100 percent")),
        }
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}
