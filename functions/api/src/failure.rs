//! From what went wrong to what the client is told.

use engine::{EngineError, Refusal, ports::StoreError};
use protocol::{ApiError, ErrorCode, Operation};

/// Why an operation has no output.
#[derive(Debug)]
pub(crate) enum Failure {
    Engine(EngineError),
    Api(ApiError),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl Failure {
    /// A refusal by the endpoint itself.
    pub(crate) fn refused(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Api(ApiError::new(code, message))
    }

    /// The error as the client sees it. What is our fault is logged, here and nowhere else.
    pub(crate) fn into_api(self, operation: Operation, request_id: &str) -> ApiError {
        match self {
            Self::Api(error) => {
                if error.code == ErrorCode::InternalFailure {
                    return broken(operation, request_id, &error.message);
                }
                error
            }
            Self::Engine(EngineError::Refused(refusal)) => refused(operation, request_id, refusal),
            Self::Engine(EngineError::Contended) => contended(operation),
            Self::Engine(error @ (EngineError::Unavailable { .. } | EngineError::Unfinished)) => {
                unavailable(operation, request_id, &error)
            }
            Self::Engine(EngineError::Broken(why)) => broken(operation, request_id, &why),
        }
    }
}

fn refused(operation: Operation, request_id: &str, refusal: Refusal) -> ApiError {
    match find_code(refusal.exception) {
        Some(code) => ApiError::new(code, refusal.message),
        None => {
            let why = format!("{} is not an error of the protocol", refusal.exception);
            broken(operation, request_id, &why)
        }
    }
}

fn find_code(exception: &str) -> Option<ErrorCode> {
    ErrorCode::ALL.iter().copied().find(|code| code.name() == exception)
}

/// Other writers were faster, again and again. Clients wait and retry by themselves where they are told to slow down.
fn contended(operation: Operation) -> ApiError {
    let conflict = ErrorCode::ConflictException;
    if operation.declared_errors().iter().any(|error| error == conflict.name()) {
        return ApiError::new(conflict, "The pipeline is busy handling other changes. Try again in a moment.");
    }
    if matches!(operation, Operation::TagResource | Operation::UntagResource) {
        let message = "The tags are being changed by others at the same time. Try again in a moment.";
        return ApiError::new(ErrorCode::ConcurrentModificationException, message);
    }
    ApiError::new(ErrorCode::ThrottlingException, "Rate exceeded")
}

fn unavailable(operation: Operation, request_id: &str, error: &EngineError) -> ApiError {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(
        request.id = request_id,
        api.operation = operation.name(),
        error.message = %error,
        error.cause = cause,
        "a service behind the endpoint does not answer"
    );
    ApiError::new(ErrorCode::ServiceUnavailable, format!("{error} at the moment. Try again in a moment."))
}

fn broken(operation: Operation, request_id: &str, why: &str) -> ApiError {
    tracing::error!(
        request.id = request_id,
        api.operation = operation.name(),
        error.message = why,
        "an operation failed on stored data or by a defect"
    );
    let message = "Lastgood met something it cannot handle; its log has the reason under this answer's request id.";
    ApiError::new(ErrorCode::InternalFailure, message)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn api_error(error: EngineError, operation: Operation) -> ApiError {
        Failure::from(error).into_api(operation, "1")
    }

    #[test]
    fn every_exception_the_engine_and_the_domain_name_is_one_of_the_protocol() {
        let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
        let mut names = Vec::new();
        for source in ["engine/src", "domain/src"] {
            collect(&shared.join(source), &mut names);
        }
        assert!(names.iter().any(|name| name == "UnableToRollbackStageException"), "{names:?}");
        for name in names {
            assert!(find_code(&name).is_some(), "{name}");
        }
    }

    /// Every string literal of Rust files under `folder` that looks like the name of an exception.
    fn collect(folder: &Path, names: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, names);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let literals = text.split('"').filter(|part| {
                    part.ends_with("Exception") && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
                });
                names.extend(literals.map(str::to_owned));
            }
        }
    }

    #[test]
    fn contention_is_a_conflict_where_that_is_declared_and_throttling_elsewhere() {
        let conflict = api_error(EngineError::Contended, Operation::RollbackStage);
        assert_eq!(conflict.code, ErrorCode::ConflictException);
        let tags = api_error(EngineError::Contended, Operation::TagResource);
        assert_eq!(tags.code, ErrorCode::ConcurrentModificationException);
        let throttled = api_error(EngineError::Contended, Operation::EnableStageTransition);
        assert_eq!(throttled, ApiError::new(ErrorCode::ThrottlingException, "Rate exceeded"));
    }

    #[test]
    fn our_own_faults_are_told_apart_from_the_callers_and_hide_their_reason() {
        let unavailable = EngineError::Unavailable { what: "The table", source: "timed out".into() };
        let unavailable = api_error(unavailable, Operation::GetPipeline);
        assert_eq!(unavailable.code, ErrorCode::ServiceUnavailable);
        assert!(unavailable.message.starts_with("The table is not available"), "{unavailable}");
        for error in [EngineError::Broken("secret".into()), EngineError::refused("NoSuchException", "secret")] {
            let broken = api_error(error, Operation::GetPipeline);
            assert_eq!(broken.code, ErrorCode::InternalFailure);
            assert!(!broken.message.contains("secret"), "{broken}");
        }
    }
}
