//! What a failed request means to the caller.

use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::CancellationReason;
use engine::ports::StoreError;

/// Maps an error of any operation.
pub(crate) fn store_error<E>(error: SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let SdkError::ServiceError(context) = &error else {
        return unanswered(error);
    };
    // Failures of the service itself come with 5xx, whatever their code.
    if context.raw().status().is_server_error() {
        return StoreError::Unavailable(Box::new(error));
    }
    let (code, message) = (context.err().code().unwrap_or("UnknownError"), context.err().message().unwrap_or_default());
    match code {
        // TransactionInProgress: an earlier attempt of the same commit is under way; reading again tells how it ended.
        "ConditionalCheckFailedException" | "TransactionConflictException" | "TransactionInProgressException" => {
            StoreError::Contended
        }
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | "ReplicatedWriteConflictException"
        // The keys are renewed by whoever provides them.
        | "ExpiredTokenException" => StoreError::Unavailable(Box::new(error)),
        "ResourceNotFoundException" => {
            StoreError::Broken("the table does not exist: check its name and region, or create it".to_owned())
        }
        _ => StoreError::Broken(format!("{code}: {message}")),
    }
}

/// Maps an error of a transaction. `write` names the write at a position, for people.
pub(crate) fn transaction_error(
    error: SdkError<TransactWriteItemsError>,
    write: impl Fn(usize) -> String,
) -> StoreError {
    let reasons = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled.cancellation_reasons(),
        _ => return store_error(error),
    };
    let mut broken = None;
    for (position, reason) in reasons.iter().enumerate() {
        match reason.code().unwrap_or_default() {
            // One lost race decides: everything else may look different after reading again.
            "ConditionalCheckFailed" | "TransactionConflict" | "DuplicateItem" => {
                return StoreError::Contended;
            }
            "" | "None" | "ThrottlingError" | "ProvisionedThroughputExceeded" => {}
            _ => broken = broken.or_else(|| Some(refusal(reason, &write(position)))),
        }
    }
    broken.unwrap_or_else(|| StoreError::Unavailable(Box::new(error)))
}

fn refusal(reason: &CancellationReason, write: &str) -> StoreError {
    let (code, message) = (reason.code().unwrap_or_default(), reason.message().unwrap_or_default());
    StoreError::Broken(format!("{write} was refused: {code}: {message}"))
}

/// A request that could not be built never will be; without an answer, another attempt may have one.
fn unanswered<E: std::error::Error + Send + Sync + 'static>(error: SdkError<E>) -> StoreError {
    match error {
        SdkError::ConstructionFailure(_) => {
            StoreError::Broken(format!("the request could not be built: {}", DisplayErrorContext(&error)))
        }
        _ => StoreError::Unavailable(Box::new(error)),
    }
}
