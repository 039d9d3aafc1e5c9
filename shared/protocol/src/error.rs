//! What an operation may answer besides its output.

use std::fmt;

macro_rules! error_codes {
    (
        modelled { $($modelled:ident),+ $(,)? }
        common { $($(#[$doc:meta])* $common:ident),+ $(,)? }
    ) => {
        /// The kind of an error, named as on the wire (spec 7 and 9.2).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the modelled names are CodePipeline's; spec section 7 tells who answers which")]
        pub enum ErrorCode { $($modelled,)+ $($(#[$doc])* $common,)+ }

        impl ErrorCode {
            /// Every code, modelled ones first.
            pub const ALL: &[Self] = &[$(Self::$modelled,)+ $(Self::$common,)+];

            /// Name on the wire.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$modelled => stringify!($modelled),)+
                    $(Self::$common => stringify!($common),)+
                }
            }

            /// Whether the service models define it, so that typed clients have a type for it.
            pub fn is_modelled(self) -> bool {
                matches!(self, $(Self::$modelled)|+)
            }
        }
    };
}

error_codes! {
    modelled {
        ActionExecutionNotFoundException, ActionNotFoundException, ActionTypeAlreadyExistsException,
        ActionTypeNotFoundException, ApprovalAlreadyCompletedException, ConcurrentModificationException,
        ConcurrentPipelineExecutionsLimitExceededException, ConditionNotOverridableException, ConflictException,
        DuplicatedStopRequestException, InvalidActionDeclarationException, InvalidApprovalTokenException,
        InvalidArnException, InvalidBlockerDeclarationException, InvalidClientTokenException, InvalidJobException,
        InvalidJobStateException, InvalidNextTokenException, InvalidNonceException, InvalidStageDeclarationException,
        InvalidStructureException, InvalidTagsException, InvalidWebhookAuthenticationParametersException,
        InvalidWebhookFilterPatternException, JobNotFoundException, LimitExceededException,
        NotLatestPipelineExecutionException, OutputVariablesSizeExceededException, PipelineExecutionNotFoundException,
        PipelineExecutionNotStoppableException, PipelineExecutionOutdatedException, PipelineNameInUseException,
        PipelineNotFoundException, PipelineVersionNotFoundException, RequestFailedException, ResourceNotFoundException,
        StageNotFoundException, StageNotRetryableException, TooManyTagsException, UnableToRollbackStageException,
        ValidationException, WebhookNotFoundException,
    }
    common {
        /// The caller may not do this.
        AccessDeniedException,
        /// Asked too often; clients wait and retry.
        ThrottlingException,
        /// The access key is unknown.
        UnrecognizedClientException,
        /// The signature is malformed or too old.
        InvalidSignatureException,
        /// The signature is another than the request's.
        SignatureDoesNotMatch,
        /// The request is not signed.
        MissingAuthenticationTokenException,
        /// Parts of the signature are missing.
        IncompleteSignatureException,
        /// The session's credentials have run out.
        ExpiredTokenException,
        /// The request's date is too far from now.
        RequestExpired,
        /// No such operation.
        UnknownOperationException,
        /// The body cannot be read, or a member has the wrong type.
        SerializationException,
        /// Our fault; clients retry.
        InternalFailure,
        /// Not reachable for the moment; clients retry.
        ServiceUnavailable,
    }
}

impl ErrorCode {
    /// HTTP status in JSON 1.1: 400, save for faults that are ours (spec 9.1).
    pub fn json_status(self) -> u16 {
        match self {
            Self::InternalFailure => 500,
            Self::ServiceUnavailable => 503,
            _ => 400,
        }
    }

    /// HTTP status in RPC v2 CBOR: JSON's, and the newest model's 409 for a conflict (spec 0.1).
    pub fn cbor_status(self) -> u16 {
        match self {
            Self::ConflictException => 409,
            other => other.json_status(),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// An operation's refusal: what a client switches on, and a text for people.
///
/// The text may quote the caller's own input, so it belongs into the answer and never into a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// What kind.
    pub code: ErrorCode,
    /// Why, and what to do.
    pub message: String,
}

impl ApiError {
    /// An error of kind `code` that says `message`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Operation, Service};
    use std::collections::BTreeSet;

    #[test]
    fn every_declared_error_has_a_code() {
        let modelled: BTreeSet<&str> =
            ErrorCode::ALL.iter().filter(|code| code.is_modelled()).map(|code| code.name()).collect();
        assert_eq!(modelled.len(), 42);
        for operation in Operation::ALL {
            for error in operation.declared_errors() {
                assert!(modelled.contains(error.as_str()), "{} of {}", error, operation.name());
            }
        }
    }

    #[test]
    fn only_a_conflict_differs_between_the_codecs() {
        for code in ErrorCode::ALL {
            let differs = code.json_status() != code.cbor_status();
            assert_eq!(differs, *code == ErrorCode::ConflictException, "{code}");
        }
    }

    #[test]
    fn the_statuses_of_the_model_are_ours() {
        let table: serde_json::Value =
            serde_json::from_str(include_str!("../model/codepipeline-2015-07-09.json")).unwrap();
        for code in ErrorCode::ALL.iter().filter(|code| code.is_modelled()) {
            let status = table["shapes"][code.name()]["status"].as_u64().unwrap_or(400);
            assert_eq!(status, u64::from(code.cbor_status()), "{code}");
        }
        assert_eq!(Service::CodePipeline.target(), "CodePipeline_20150709");
    }
}
