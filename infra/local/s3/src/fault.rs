//! What can go wrong inside an operation, before it becomes an S3 error on the wire.

use s3s::{S3Error, S3ErrorCode};

/// A refusal the client is told about, or a failure of the machine below.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The request breaks a rule of S3; the client gets exactly this error.
    #[error("refused")]
    Refused(#[source] S3Error),
    /// The metadata file could not be read or written.
    #[error("the metadata file cannot be used")]
    Metadata(#[from] rusqlite::Error),
    /// A body file could not be read or written.
    #[error("a body file cannot be used")]
    Body(#[from] std::io::Error),
    /// A stored document does not parse; the data directory is damaged.
    #[error("a stored document is damaged: {0}")]
    Damaged(String),
}

impl Fault {
    /// A refusal with S3's error code and a message for the person reading it.
    pub(crate) fn refused(code: S3ErrorCode, message: impl Into<String>) -> Self {
        Self::Refused(S3Error::with_message(code, message.into()))
    }
}

impl From<S3Error> for Fault {
    fn from(error: S3Error) -> Self {
        Self::Refused(error)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<Fault> for S3Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(error) => error,
            other => {
                tracing::error!(error = %other, source = ?std::error::Error::source(&other), "s3 stand-in failed");
                Self::with_source(S3ErrorCode::InternalError, Box::new(other))
            }
        }
    }
}
