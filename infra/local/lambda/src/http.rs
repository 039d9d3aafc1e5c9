//! The Lambda API: what invoking and listing need.

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    FunctionError, Functions,
    functions::Function,
    limits::{ASYNC_PAYLOAD_BYTES_MAX, MEMORY_MB, SYNC_PAYLOAD_BYTES_MAX},
};

impl Functions {
    /// The Lambda API under `/2015-03-31/functions`: Invoke (all three types), ListFunctions, GetFunction and
    /// GetFunctionConfiguration. Anything else answers 404 `UnknownOperationException`.
    pub fn router(&self) -> Router {
        let functions = Router::new()
            .route("/", get(list))
            .route("/{function}", get(describe))
            .route("/{function}/configuration", get(configuration))
            .route("/{function}/invocations", post(invoke));
        Router::new()
            .nest("/2015-03-31/functions", functions)
            .route("/2015-03-31/functions/", get(list))
            .fallback(unknown)
            .with_state(self.clone())
    }
}

#[derive(Deserialize)]
struct Qualified {
    #[serde(rename = "Qualifier")]
    qualifier: Option<String>,
}

impl Qualified {
    fn reference(&self, function: String) -> String {
        match self.qualifier.as_deref() {
            None | Some("" | "$LATEST") => function,
            Some(other) => format!("{function}:{other}"),
        }
    }
}

async fn invoke(
    State(functions): State<Functions>,
    Path(function): Path<String>,
    Query(qualified): Query<Qualified>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let function = qualified.reference(function);
    let kind = headers.get("x-amz-invocation-type").map(|value| value.to_str());
    let outcome = match kind {
        None | Some(Ok("RequestResponse")) => invoke_and_wait(&functions, &function, body).await,
        Some(Ok("Event")) => invoke_later(&functions, &function, body).await,
        Some(Ok("DryRun")) => functions
            .find(&function)
            .map(|_| (StatusCode::NO_CONTENT, [("x-amzn-RequestId", functions.new_request_id())]).into_response()),
        Some(_) => {
            Err(FunctionError::invalid_parameter("X-Amz-Invocation-Type must be RequestResponse, Event or DryRun"))
        }
    };
    outcome.unwrap_or_else(|error| refused(&functions, &error))
}

async fn invoke_and_wait(functions: &Functions, function: &str, body: Body) -> Result<Response, FunctionError> {
    let event = read(body, SYNC_PAYLOAD_BYTES_MAX).await?;
    let id = functions.new_request_id();
    let headers = [("x-amzn-RequestId", id.clone()), ("X-Amz-Executed-Version", "$LATEST".to_owned())];
    match functions.call(function, event, &id).await {
        Ok(answer) => Ok((headers, Json(answer)).into_response()),
        Err(refusal) if refusal.is_refusal() => Err(refusal),
        Err(error) => Ok((headers, [("X-Amz-Function-Error", "Unhandled")], Json(error.payload())).into_response()),
    }
}

async fn invoke_later(functions: &Functions, function: &str, body: Body) -> Result<Response, FunctionError> {
    let event = read(body, ASYNC_PAYLOAD_BYTES_MAX).await?;
    let id = functions.invoke_async(function, event).await?;
    Ok((StatusCode::ACCEPTED, [("x-amzn-RequestId", id)]).into_response())
}

/// The event in a request's body; no body is an empty object, as in Lambda.
async fn read(body: Body, bytes_max: usize) -> Result<Value, FunctionError> {
    let body = to_bytes(body, bytes_max).await.map_err(|_| FunctionError::too_large(bytes_max))?;
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(&body).map_err(|error| FunctionError::not_json(&error))
}

async fn list(State(functions): State<Functions>) -> Response {
    let opened = functions.opened();
    let all: Vec<Value> =
        functions.all().iter().map(|(name, function)| describe_function(name, function, opened)).collect();
    Json(json!({"Functions": all})).into_response()
}

async fn describe(
    State(functions): State<Functions>,
    Path(function): Path<String>,
    Query(qualified): Query<Qualified>,
) -> Response {
    match configuration_of(&functions, &qualified.reference(function)) {
        Ok(configuration) => Json(json!({
            "Configuration": configuration,
            "Code": {"RepositoryType": "S3"},
            "Tags": {},
        }))
        .into_response(),
        Err(error) => refused(&functions, &error),
    }
}

async fn configuration(
    State(functions): State<Functions>,
    Path(function): Path<String>,
    Query(qualified): Query<Qualified>,
) -> Response {
    match configuration_of(&functions, &qualified.reference(function)) {
        Ok(configuration) => Json(configuration).into_response(),
        Err(error) => refused(&functions, &error),
    }
}

fn configuration_of(functions: &Functions, reference: &str) -> Result<Value, FunctionError> {
    let function = functions.find(reference)?;
    let name = function.arn.rsplit(':').next().unwrap_or_default();
    Ok(describe_function(name, &function, functions.opened()))
}

fn describe_function(name: &str, function: &Function, opened: Timestamp) -> Value {
    json!({
        "FunctionName": name,
        "FunctionArn": function.arn,
        "Runtime": "provided.al2023",
        "Handler": "bootstrap",
        "Timeout": function.timeout_s(),
        "MemorySize": MEMORY_MB,
        "LastModified": opened.strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string(),
        "Version": "$LATEST",
        "PackageType": "Zip",
        "State": "Active",
        "LastUpdateStatus": "Successful",
    })
}

async fn unknown(State(functions): State<Functions>) -> Response {
    error_response(
        &functions,
        StatusCode::NOT_FOUND,
        "UnknownOperationException",
        "the local Lambda serves Invoke, ListFunctions, GetFunction and GetFunctionConfiguration",
    )
}

fn refused(functions: &Functions, error: &FunctionError) -> Response {
    let status = error.status().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    error_response(functions, status, &error.error, &error.cause)
}

fn error_response(functions: &Functions, status: StatusCode, error: &str, message: &str) -> Response {
    let fault = if status.is_server_error() { "Service" } else { "User" };
    let body = json!({"Type": fault, "Message": message, "message": message});
    let headers = [("x-amzn-ErrorType", error.to_owned()), ("x-amzn-RequestId", functions.new_request_id())];
    (status, headers, Json(body)).into_response()
}
