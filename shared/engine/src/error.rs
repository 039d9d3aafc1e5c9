//! What a use case ends with when it does not end well.

use contract::ErrorName;
use domain::{CustomTypeError, StructureError, TagError};

use crate::ports::{CloudError, ObjectsError, StoreError};

/// Why a use case did not do what it was asked. Variants say what a caller can do.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Another writer was faster, again and again: try again soon.
    #[error("the pipeline is busy with other changes")]
    Contended,
    /// A service does not answer: try again later.
    #[error("{what} is not available")]
    Unavailable {
        /// Which service.
        what: &'static str,
        /// Its error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The request cannot be done as it is; the refusal says why.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An action has more to do than one invocation has time for: invoke again at once.
    #[error("the action has more to do")]
    Unfinished,
    /// Stored data makes no sense: a person has to look.
    #[error("{0}")]
    Broken(String),
}

/// The first error of several things that are all tried, whatever becomes of each.
#[derive(Debug, Default)]
pub(crate) struct FirstError(Option<EngineError>);

impl FirstError {
    /// What came of one of them, where it went well.
    pub(crate) fn keep<T>(&mut self, result: Result<T, EngineError>) -> Option<T> {
        match result {
            Ok(came) => Some(came),
            Err(error) => {
                self.note(error);
                None
            }
        }
    }

    /// What became of one of them, where it did not go well.
    pub(crate) fn note(&mut self, error: EngineError) {
        self.0.get_or_insert(error);
    }

    /// The error, if there was one.
    pub(crate) fn into_result(self) -> Result<(), EngineError> {
        self.0.map_or(Ok(()), Err)
    }
}

/// A request that cannot be done as it is, named as CodePipeline names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// CodePipeline's exception, such as `PipelineNotFoundException`.
    pub exception: &'static str,
    /// Why, and what to do.
    pub message: String,
}

impl EngineError {
    /// A refusal.
    pub fn refused(exception: &'static str, message: impl Into<String>) -> Self {
        Self::Refused(Refusal { exception, message: message.into() })
    }

    /// The name that state machines match on.
    pub fn name(&self) -> ErrorName {
        match self {
            Self::Contended => ErrorName::Contended,
            Self::Unavailable { .. } => ErrorName::Unavailable,
            Self::Refused(_) => ErrorName::InvalidInput,
            Self::Unfinished => ErrorName::ActionUnfinished,
            Self::Broken(_) => ErrorName::Broken,
        }
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Contended => Self::Contended,
            StoreError::Unavailable(source) => Self::Unavailable { what: "The table", source },
            StoreError::Broken(why) => Self::Broken(why),
        }
    }
}

impl From<CloudError> for EngineError {
    fn from(error: CloudError) -> Self {
        match error {
            CloudError::Unavailable(source) => Self::Unavailable { what: "An AWS service", source },
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<ObjectsError> for EngineError {
    fn from(error: ObjectsError) -> Self {
        if error.is_retryable() {
            return Self::Unavailable { what: "S3", source: Box::new(error) };
        }
        Self::Broken(error.to_string())
    }
}

impl From<TagError> for EngineError {
    fn from(error: TagError) -> Self {
        Self::refused(error.exception(), error.to_string())
    }
}

impl From<CustomTypeError> for EngineError {
    fn from(error: CustomTypeError) -> Self {
        Self::refused(error.exception(), error.to_string())
    }
}

impl From<StructureError> for EngineError {
    fn from(error: StructureError) -> Self {
        Self::refused(error.kind.exception(), error.message)
    }
}
