//! A request that is not carried out, with AWS's name for the reason.

use crate::store::StoreError;

/// An error answer of the API. `kind` is its `__type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Whether the fault is ours (HTTP 500) rather than the caller's (HTTP 400).
    pub(crate) fn is_internal(&self) -> bool {
        self.kind == "InternalFailure"
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "the Step Functions store failed");
        Self::new("InternalFailure", error.to_string())
    }
}
