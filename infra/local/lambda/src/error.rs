//! What can go wrong, named as Lambda names it.

use std::path::PathBuf;

use axum::http::StatusCode;
use serde_json::{Value, json};

/// A failed invocation: the error's name and what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}: {cause}")]
pub struct FunctionError {
    /// The name, which `Retry` and `Catch` match: the function's own, or one of Lambda's.
    pub error: String,
    /// The message.
    pub cause: String,
    origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The function ran and failed.
    Function,
    /// Lambda refused, and answers with this status.
    Service(u16),
}

impl FunctionError {
    /// An error of the function itself.
    pub fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { error: error.into(), cause: cause.into(), origin: Origin::Function }
    }

    /// What Lambda returns as payload, and Step Functions (as text) as `Cause`.
    pub fn payload(&self) -> Value {
        json!({"errorMessage": self.cause, "errorType": self.error})
    }

    /// Whether the invocation was refused before the function ran.
    pub fn is_refusal(&self) -> bool {
        matches!(self.origin, Origin::Service(_))
    }

    /// Whether it was refused because the event is larger than Lambda takes.
    pub fn is_too_large(&self) -> bool {
        self.status() == Some(StatusCode::PAYLOAD_TOO_LARGE)
    }

    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self.origin {
            Origin::Function => None,
            Origin::Service(status) => StatusCode::from_u16(status).ok(),
        }
    }

    fn refusal(status: StatusCode, error: &str, cause: impl Into<String>) -> Self {
        Self { error: error.to_owned(), cause: cause.into(), origin: Origin::Service(status.as_u16()) }
    }

    pub(crate) fn not_found(arn: &str) -> Self {
        Self::refusal(StatusCode::NOT_FOUND, "ResourceNotFoundException", format!("Function not found: {arn}"))
    }

    pub(crate) fn too_large(bytes_max: usize) -> Self {
        Self::refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestTooLargeException",
            format!("Request must be smaller than {bytes_max} bytes for the InvokeFunction operation"),
        )
    }

    pub(crate) fn not_json(reason: &serde_json::Error) -> Self {
        // serde_json's position says where to look; its description may quote the payload.
        Self::refusal(
            StatusCode::BAD_REQUEST,
            "InvalidRequestContentException",
            format!("Could not parse request body into json: line {}, column {}", reason.line(), reason.column()),
        )
    }

    pub(crate) fn invalid_parameter(cause: impl Into<String>) -> Self {
        Self::refusal(StatusCode::BAD_REQUEST, "InvalidParameterValueException", cause)
    }

    pub(crate) fn service(cause: impl Into<String>) -> Self {
        Self::refusal(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", cause)
    }
}

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be created.
    #[error("cannot create {path}; choose a directory this user may write to")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The queue in it cannot be read or written.
    #[error("cannot open the invocation queue {path}; is the disk full, or the file damaged or in use?")]
    Queue {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer version wrote it.
    #[error(
        "{path} was written by a newer version (format {found}, known up to {known}); use that version or another directory"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format it has.
        found: i64,
        /// The newest format this version reads.
        known: i64,
    },
}

/// A function that cannot be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The name is not one Lambda accepts.
    #[error("{0:?} cannot name a function; use 1 to 64 letters, digits, '-' and '_'")]
    Name(String),
    /// The command cannot be run.
    #[error("function {name}: {command} is not an executable file; build it, or give the path of its bootstrap")]
    Command {
        /// The function.
        name: String,
        /// The command.
        command: PathBuf,
    },
    /// The timeout is out of range.
    #[error("function {name}: the timeout must be more than 0 and at most 900 seconds")]
    Timeout {
        /// The function.
        name: String,
    },
}
