//! The Lambda Runtime API, as one process sees it: `/2018-06-01/runtime`.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc, oneshot};

use crate::{FunctionError, InvocationContext, limits::SYNC_PAYLOAD_BYTES_MAX};

/// An invocation on its way to the process.
pub(crate) struct Work {
    pub(crate) event: Value,
    pub(crate) context: InvocationContext,
    pub(crate) answer: oneshot::Sender<Result<Value, FunctionError>>,
}

/// What one process and its Runtime API share.
pub(crate) struct Slot {
    waiting: AsyncMutex<mpsc::Receiver<Work>>,
    /// The invocation the process has fetched and not answered.
    pending: Mutex<Option<Pending>>,
    init_error: Mutex<Option<FunctionError>>,
    init_failed: Notify,
}

struct Pending {
    request_id: String,
    answer: oneshot::Sender<Result<Value, FunctionError>>,
}

impl Slot {
    pub(crate) fn new(waiting: mpsc::Receiver<Work>) -> Self {
        Self {
            waiting: AsyncMutex::new(waiting),
            pending: Mutex::default(),
            init_error: Mutex::default(),
            init_failed: Notify::new(),
        }
    }

    /// Resolves once the process has reported that it cannot start.
    pub(crate) async fn init_failed(&self) {
        self.init_failed.notified().await;
    }

    /// What it reported, once.
    pub(crate) fn take_init_error(&self) -> Option<FunctionError> {
        self.init_error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Answers the invocation `request_id`, if it is the one under way.
    fn answer(&self, request_id: &str, outcome: Result<Value, FunctionError>) -> bool {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        match pending.take_if(|pending| pending.request_id == request_id) {
            Some(pending) => {
                // The invoker may have stopped waiting; the process has done its part.
                let _ = pending.answer.send(outcome);
                true
            }
            None => false,
        }
    }
}

/// The API over `slot`.
pub(crate) fn router(slot: Arc<Slot>) -> Router {
    let api = Router::new()
        .route("/invocation/next", get(next))
        .route("/invocation/{request_id}/response", post(response))
        .route("/invocation/{request_id}/error", post(error))
        .route("/init/error", post(init_error))
        .with_state(slot);
    Router::new().nest("/2018-06-01/runtime", api)
}

/// Waits for the next event, for as long as it takes.
async fn next(State(slot): State<Arc<Slot>>) -> Response {
    let Some(work) = slot.waiting.lock().await.recv().await else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "Runtime.Gone", "the local Lambda is shutting down");
    };
    let Work { event, context, answer } = work;
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", context.request_id.clone()),
        ("Lambda-Runtime-Deadline-Ms", context.deadline.as_millisecond().to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", context.invoked_function_arn),
        ("Lambda-Runtime-Trace-Id", context.trace_id),
    ];
    *slot.pending.lock().unwrap_or_else(PoisonError::into_inner) =
        Some(Pending { request_id: context.request_id, answer });
    (headers, Json(event)).into_response()
}

async fn response(State(slot): State<Arc<Slot>>, Path(request_id): Path<String>, body: Body) -> Response {
    let (outcome, status) = match to_bytes(body, SYNC_PAYLOAD_BYTES_MAX).await {
        Err(_) => (
            Err(FunctionError::new(
                "Function.ResponseSizeTooLarge",
                format!(
                    "Response payload size exceeded maximum allowed payload size ({SYNC_PAYLOAD_BYTES_MAX} bytes)."
                ),
            )),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        Ok(body) if body.is_empty() => (Ok(Value::Null), StatusCode::ACCEPTED),
        Ok(body) => match serde_json::from_slice(&body) {
            Ok(value) => (Ok(value), StatusCode::ACCEPTED),
            Err(_) => (
                Err(FunctionError::new("Runtime.MarshalError", "the function's response is not JSON")),
                StatusCode::ACCEPTED,
            ),
        },
    };
    match (slot.answer(&request_id, outcome), status) {
        (false, _) => refuse(StatusCode::BAD_REQUEST, "InvalidRequestID", "no such invocation is under way"),
        (true, StatusCode::PAYLOAD_TOO_LARGE) => refuse(status, "RequestEntityTooLarge", "the response is too large"),
        (true, _) => accepted(),
    }
}

async fn error(
    State(slot): State<Arc<Slot>>,
    Path(request_id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let error = reported(&headers, body).await;
    if slot.answer(&request_id, Err(error)) {
        accepted()
    } else {
        refuse(StatusCode::BAD_REQUEST, "InvalidRequestID", "no such invocation is under way")
    }
}

async fn init_error(State(slot): State<Arc<Slot>>, headers: HeaderMap, body: Body) -> Response {
    let error = reported(&headers, body).await;
    *slot.init_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    slot.init_failed.notify_one();
    accepted()
}

/// The error in a report; its parts are optional, as in Lambda.
async fn reported(headers: &HeaderMap, body: Body) -> FunctionError {
    let body = to_bytes(body, SYNC_PAYLOAD_BYTES_MAX).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let header = headers.get("Lambda-Runtime-Function-Error-Type").and_then(|value| value.to_str().ok());
    let name = body["errorType"].as_str().or(header).unwrap_or("Runtime.Unknown");
    FunctionError::new(name, body["errorMessage"].as_str().unwrap_or_default())
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(json!({"status": "OK"}))).into_response()
}

fn refuse(status: StatusCode, error: &str, message: &str) -> Response {
    let body = json!({"errorType": error, "errorMessage": message});
    (status, Json(body)).into_response()
}
