//! Error names. They are API: the state machines match on them.

use std::fmt;

/// Every error a function of ours ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorName {
    /// Another writer was faster, again and again. Retrying soon helps.
    Contended,
    /// A service did not answer or is throttled. Retrying later helps.
    Unavailable,
    /// The action has more to do than one invocation has time for. Invoke again at once.
    ActionUnfinished,
    /// The input makes no sense. Retrying does not help.
    InvalidInput,
    /// Stored data makes no sense. Retrying does not help; a person has to look.
    Broken,
}

impl ErrorName {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Contended, Self::Unavailable, Self::ActionUnfinished, Self::InvalidInput, Self::Broken];

    /// The name as `Retry` and `Catch` spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Contended => "Contended",
            Self::Unavailable => "Unavailable",
            Self::ActionUnfinished => "ActionUnfinished",
            Self::InvalidInput => "InvalidInput",
            Self::Broken => "Broken",
        }
    }
}

impl fmt::Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
