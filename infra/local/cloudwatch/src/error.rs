//! Refusals in CloudWatch's words, independent of the protocol that carries them.

use std::fmt;

/// Why a request was refused: the code of the Query protocol, the shape of the newer ones, a status and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// Code in Query answers and in the `x-amzn-query-error` header.
    pub(crate) code: &'static str,
    /// Shape name in `__type` of JSON and CBOR answers.
    pub(crate) shape: &'static str,
    /// HTTP status.
    pub(crate) status: u16,
    /// What is wrong and what to do.
    pub(crate) message: String,
}

impl ApiError {
    fn new(code: &'static str, shape: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self { code, shape, status, message: message.into() }
    }

    /// A constraint of the model, or of the service, that the request breaks.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationError", "ValidationError", 400, message)
    }

    /// A value that the service does not accept.
    pub(crate) fn value(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterValue", "InvalidParameterValueException", 400, message)
    }

    /// Members that exclude each other.
    pub(crate) fn combination(message: impl Into<String>) -> Self {
        let shape = "InvalidParameterCombinationException";
        Self::new("InvalidParameterCombination", shape, 400, message)
    }

    /// A member that is needed here, although the model calls it optional.
    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::new("MissingParameter", "MissingRequiredParameterException", 400, message)
    }

    /// No alarm of that name.
    pub(crate) fn alarm_not_found(message: impl Into<String>) -> Self {
        Self::new("ResourceNotFound", "ResourceNotFound", 404, message)
    }

    /// No resource of that ARN (the tagging operations have an error of their own).
    pub(crate) fn resource_not_found(message: impl Into<String>) -> Self {
        let name = "ResourceNotFoundException";
        Self::new(name, name, 404, message)
    }

    /// A quota is used up.
    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self::new("LimitExceeded", "LimitExceededFault", 400, message)
    }

    /// Text that should have been JSON.
    pub(crate) fn format(message: impl Into<String>) -> Self {
        Self::new("InvalidFormat", "InvalidFormatFault", 400, message)
    }

    /// A continuation that this service did not hand out.
    pub(crate) fn next_token() -> Self {
        let name = "InvalidNextToken";
        Self::new(name, name, 400, "The NextToken is not one that this operation returned; start again without it.")
    }

    /// An operation that does not exist, or not here.
    pub(crate) fn unknown_operation(name: &str) -> Self {
        let name: String = name.chars().take(100).collect();
        let message = format!("Could not find operation {name} for version 2010-08-01");
        Self::new("InvalidAction", "UnknownOperationException", 400, message)
    }

    /// A body that its protocol cannot read.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new("MalformedInput", "SerializationException", 400, message)
    }

    /// A body larger than the service takes.
    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        let name = "RequestEntityTooLarge";
        Self::new(name, name, 413, message)
    }

    /// A fault of ours. The cause goes to the log, never to the caller.
    pub(crate) fn internal(cause: &dyn fmt::Display) -> Self {
        tracing::error!(%cause, "local CloudWatch failed");
        let message = "The local CloudWatch failed; its log has the cause.";
        Self::new("InternalServiceError", "InternalServiceFault", 500, message)
    }
}

impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(&error)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}
