//! What a failed request to a service means to the caller.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use engine::ports::CloudError;

/// Statuses that ask for patience whatever the code: time-out, conflict with a change under way, too many requests.
const PATIENCE_STATUSES: [u16; 3] = [408, 409, 429];
/// Codes that ask for patience with status 400. The keys of an expired token are renewed by whoever provides them.
const PATIENCE_CODES: [&str; 3] = ["ExpiredToken", "ExpiredTokenException", "RequestExpired"];
/// Parts of codes that ask for patience: every service words its throttling in its own way.
const PATIENCE_WORDS: [&str; 3] = ["Throttl", "LimitExceeded", "TooManyRequests"];
/// Parts of codes that tell of missing permission or of keys that are not accepted.
const DENIED_WORDS: [&str; 4] = ["AccessDenied", "Unauthorized", "UnrecognizedClient", "InvalidClientTokenId"];
const FORBIDDEN: u16 = 403;

/// Maps an error of any operation. `what` names what was asked for, `absent` lists the codes that say it is not there.
pub(crate) fn cloud_error<E>(error: SdkError<E, HttpResponse>, what: &str, absent: &[&str]) -> CloudError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let context = match &error {
        SdkError::ServiceError(context) => context,
        SdkError::ConstructionFailure(_) => {
            return CloudError::Refused(DisplayErrorContext(&error).to_string());
        }
        _ => return CloudError::Unavailable(Box::new(error)),
    };
    let status = context.raw().status().as_u16();
    let code = context.err().code().unwrap_or_default();
    let message = context.err().message().unwrap_or_default();
    let says = |words: &[&str]| words.iter().any(|word| code.contains(word));
    if absent.contains(&code) {
        CloudError::NotFound(what.to_owned())
    } else if status >= 500
        || PATIENCE_STATUSES.contains(&status)
        || PATIENCE_CODES.contains(&code)
        || says(&PATIENCE_WORDS)
    {
        CloudError::Unavailable(Box::new(error))
    } else if status == FORBIDDEN || says(&DENIED_WORDS) {
        CloudError::Denied(format!("{what}: {code}: {message}"))
    } else {
        CloudError::Refused(format!("{what}: {code}: {message}"))
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    #[derive(Debug)]
    struct Failure(ErrorMetadata);

    impl std::fmt::Display for Failure {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("failure")
        }
    }

    impl std::error::Error for Failure {}

    impl ProvideErrorMetadata for Failure {
        fn meta(&self) -> &ErrorMetadata {
            &self.0
        }
    }

    fn mapped(status: u16, code: &str) -> CloudError {
        let failure = Failure(ErrorMetadata::builder().code(code).message("why").build());
        let response = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
        cloud_error(SdkError::service_error(failure, response), "the function f", &["ResourceNotFoundException"])
    }

    #[test]
    fn errors_are_named_by_what_the_caller_can_do() {
        for (status, code, expected) in [
            (404, "ResourceNotFoundException", "the function f is not there"),
            (403, "AccessDeniedException", "no permission: the function f: AccessDeniedException: why"),
            (400, "AccessDeniedException", "no permission: the function f: AccessDeniedException: why"),
            (403, "InvalidClientTokenId", "no permission: the function f: InvalidClientTokenId: why"),
            (400, "ValidationException", "refused: the function f: ValidationException: why"),
            (413, "RequestTooLargeException", "refused: the function f: RequestTooLargeException: why"),
            (400, "ThrottlingException", "the service is not available"),
            (400, "ExecutionLimitExceeded", "the service is not available"),
            (429, "TooManyRequestsException", "the service is not available"),
            (409, "ResourceConflictException", "the service is not available"),
            (403, "ExpiredToken", "the service is not available"),
            (500, "AccessDeniedException", "the service is not available"),
        ] {
            assert_eq!(mapped(status, code).to_string(), expected, "{status} {code}");
        }
    }

    #[test]
    fn no_answer_is_worth_another_attempt() {
        let timeout: SdkError<Failure, HttpResponse> = SdkError::timeout_error("slow");
        assert!(matches!(cloud_error(timeout, "x", &[]), CloudError::Unavailable(_)));
        let malformed: SdkError<Failure, HttpResponse> = SdkError::construction_failure("no name");
        assert!(matches!(cloud_error(malformed, "x", &[]), CloudError::Refused(_)));
    }
}
