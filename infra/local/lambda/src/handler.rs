//! Functions that live in this process.

use std::{future::Future, sync::Arc};

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;

use crate::{FunctionError, limits::TIMEOUT_MAX};

/// What a function is told about the invocation besides its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvocationContext {
    /// Identifies the invocation; the same on every attempt of an asynchronous one.
    pub request_id: String,
    /// The function's name.
    pub function_name: String,
    /// Its ARN.
    pub invoked_function_arn: String,
    /// The X-Ray trace header.
    pub trace_id: String,
    /// When Lambda stops waiting. Enforced for processes only.
    pub deadline: Timestamp,
}

/// A function in this process. Closures of the same shape are handlers.
pub trait Handler: Send + Sync {
    /// Handles one event. A panic counts as `Runtime.ExitError`, as the death of a process would.
    fn call(&self, event: Value, context: InvocationContext) -> BoxFuture<'static, Result<Value, FunctionError>>;
}

impl<F, Fut> Handler for F
where
    F: Fn(Value, InvocationContext) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Value, FunctionError>> + Send + 'static,
{
    fn call(&self, event: Value, context: InvocationContext) -> BoxFuture<'static, Result<Value, FunctionError>> {
        Box::pin(self(event, context))
    }
}

/// Runs `handler` once, telling it that it has as long as Lambda gives at most.
pub(crate) async fn run(
    handler: Arc<dyn Handler>,
    event: Value,
    mut context: InvocationContext,
) -> Result<Value, FunctionError> {
    context.deadline += TIMEOUT_MAX;
    handler.call(event, context).await
}
