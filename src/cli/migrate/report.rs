//! What comes of a configuration: flags, and what is to be said of settings that have none.

use std::fmt;

/// What comes of a configuration.
#[derive(Debug, Default)]
pub struct Report {
    /// The flags, each `--flag` or `--flag=value`, in the order of the settings.
    pub flags: Vec<String>,
    /// What is to be said.
    pub notes: Vec<Note>,
}

/// What is to be said of one setting.
#[derive(Debug)]
pub struct Note {
    /// The line that it stands in.
    pub line: u64,
    /// The setting, key by key.
    pub setting: String,
    /// How much it matters.
    pub weight: Weight,
    /// One sentence.
    pub sentence: String,
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Nothing is lost.
    Fine,
    /// It is not said, and Isobath's default is another.
    Unset,
    /// Something is different from now on: somebody has to decide.
    Lost,
    /// It is no setting, or no value of it.
    Wrong,
}

impl Report {
    /// Whether everything of the configuration goes on, or what is in the way.
    #[must_use]
    pub fn weight(&self) -> Weight {
        let weights = self.notes.iter().map(|note| note.weight);
        weights.max().unwrap_or(Weight::Fine)
    }

    /// Says something.
    pub fn note(&mut self, line: u64, setting: &str, weight: Weight, sentence: impl Into<String>) {
        self.notes.push(Note {
            line,
            setting: setting.to_owned(),
            weight,
            sentence: sentence.into(),
        });
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            setting,
            weight,
            sentence,
        } = self;
        let weight = match weight {
            Weight::Fine => "fine",
            Weight::Unset => "default",
            Weight::Lost => "lost",
            Weight::Wrong => "wrong",
        };
        write!(f, "{line}: {weight}: {setting}: {sentence}")
    }
}
