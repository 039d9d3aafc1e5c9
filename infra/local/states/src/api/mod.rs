//! The Step Functions API: AWS JSON 1.0 over one route.

mod executions;
mod history;
mod machines;
mod tasks;
mod wire;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{refusal::Refusal, service::States};

/// What an operation answers.
type Answer = Result<Value, Refusal>;

const TARGET: &str = "x-amz-target";
const TARGET_PREFIX: &str = "AWSStepFunctions.";
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");

pub(crate) fn router(states: States) -> Router {
    Router::new().fallback(serve).with_state(states)
}

async fn serve(State(states): State<States>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let target = headers.get(TARGET).and_then(|value| value.to_str().ok());
    let operation = target.and_then(|target| target.strip_prefix(TARGET_PREFIX)).unwrap_or_default();
    let answer = dispatch(&states, operation, &body);
    respond(answer, &states.uuid())
}

fn dispatch(states: &States, operation: &str, body: &[u8]) -> Answer {
    match operation {
        "CreateStateMachine" => states.create_state_machine(wire::read(body)?),
        "UpdateStateMachine" => states.update_state_machine(wire::read(body)?),
        "DeleteStateMachine" => states.delete_state_machine(&wire::read(body)?),
        "DescribeStateMachine" => states.describe_state_machine(&wire::read(body)?),
        "ListStateMachines" => states.list_state_machines(&wire::read(body)?),
        "ListTagsForResource" => states.list_tags(&wire::read(body)?),
        "TagResource" => states.tag(wire::read(body)?),
        "UntagResource" => states.untag(&wire::read(body)?),
        "StartExecution" => states.start_execution(wire::read(body)?),
        "StopExecution" => states.stop_execution(wire::read(body)?),
        "DescribeExecution" => states.describe_execution(&wire::read(body)?),
        "DescribeStateMachineForExecution" => states.describe_machine_of(&wire::read(body)?),
        "ListExecutions" => states.list_executions(&wire::read(body)?),
        "GetExecutionHistory" => states.get_history(&wire::read(body)?),
        "SendTaskSuccess" => states.send_success(wire::read(body)?),
        "SendTaskFailure" => states.send_failure(wire::read(body)?),
        "SendTaskHeartbeat" => states.send_heartbeat(wire::read(body)?),
        "" => Err(Refusal::new(
            "UnknownOperationException",
            format!("the {TARGET} header must name an operation of {TARGET_PREFIX}"),
        )),
        other => {
            Err(Refusal::new("UnknownOperationException", format!("{other} is not an operation this service has")))
        }
    }
}

fn respond(answer: Answer, request_id: &str) -> Response<Body> {
    let (status, body) = match answer {
        Ok(body) => (StatusCode::OK, body),
        Err(refusal) => {
            let status =
                if refusal.is_internal() { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::BAD_REQUEST };
            (status, json!({"__type": refusal.kind, "message": refusal.message}))
        }
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}
