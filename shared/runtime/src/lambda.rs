//! The frame around every function's handler.

use std::{
    future::Future,
    sync::atomic::{AtomicBool, Ordering},
};

use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tracing::Instrument;

use crate::{
    diagnostic::{NamedError, diagnostic, parse_event},
    logs::init_logs,
};

/// Runs `handler` for every event, with the instant at which Lambda ends the invocation, until Lambda ends the process.
///
/// Starts the logs, reads the event into `In`, logs each failure once with its name, and reports it to Lambda under
/// that name. Every line logged by the handler carries `function_request_id` and `cold_start`.
///
/// # Errors
/// The Lambda Runtime API cannot be reached.
///
/// # Panics
/// Outside Lambda: the environment lacks `AWS_LAMBDA_RUNTIME_API` and its companions.
pub async fn serve<In, Out, E, F, Fut>(service: &str, handler: F) -> Result<(), lambda_runtime::Error>
where
    In: DeserializeOwned,
    Out: Serialize,
    E: NamedError,
    F: Fn(In, Timestamp) -> Fut,
    Fut: Future<Output = Result<Out, E>>,
{
    init_logs(service, "");
    let cold = AtomicBool::new(true);
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
        let cold_start = cold.swap(false, Ordering::Relaxed);
        let span = tracing::info_span!("handle", cold_start);
        let deadline = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
        let deadline = Timestamp::from_millisecond(deadline).unwrap_or(Timestamp::MAX);
        // Boxed, since the compiler has to lay out the whole nest of SDK futures otherwise.
        Box::pin(handle(&handler, event.payload, deadline)).instrument(span)
    }))
    .await
}

/// One invocation.
async fn handle<In, Out, E, F, Fut>(handler: &F, event: Value, deadline: Timestamp) -> Result<Out, Diagnostic>
where
    In: DeserializeOwned,
    E: NamedError,
    F: Fn(In, Timestamp) -> Fut,
    Fut: Future<Output = Result<Out, E>>,
{
    let outcome = match parse_event(event) {
        Ok(input) => handler(input, deadline).await.map_err(|error| diagnostic(&error)),
        Err(invalid) => Err(invalid),
    };
    if let Err(failure) = &outcome {
        tracing::error!(
            error.name = failure.error_type,
            error.message = failure.error_message,
            "invocation failed: {}",
            failure.error_type
        );
    }
    outcome
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::diagnostic::INVALID_INPUT;

    #[derive(Deserialize)]
    struct Question {
        number: u64,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("number is odd; send an even one")]
    struct Odd;

    impl NamedError for Odd {
        fn name(&self) -> &'static str {
            "NumberOdd"
        }
    }

    async fn halve(question: Question, _deadline: Timestamp) -> Result<u64, Odd> {
        match question.number % 2 {
            0 => Ok(question.number / 2),
            _ => Err(Odd),
        }
    }

    #[tokio::test]
    async fn results_and_errors_reach_lambda_under_their_names() {
        assert_eq!(handle(&halve, json!({"number": 8}), Timestamp::MAX).await, Ok(4));
        let failure = handle(&halve, json!({"number": 7}), Timestamp::MAX).await.expect_err("odd");
        assert_eq!(failure.error_type, "NumberOdd");
        let failure = handle(&halve, json!({"number": "x"}), Timestamp::MAX).await.expect_err("text");
        assert_eq!(failure.error_type, INVALID_INPUT);
    }
}
