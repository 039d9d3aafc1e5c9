//! The Lambda API, driven by the official client.

use std::sync::Arc;

use aws_sdk_lambda::{
    Client,
    error::ProvideErrorMetadata,
    primitives::Blob,
    types::{InvocationType, State},
};
use axum::{body::Body, http::Request};
use local_lambda::{FunctionError, Functions, InvocationContext, SYNC_PAYLOAD_BYTES_MAX};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::ServiceExt;

use crate::bench::{echo, open, sdk, serve};

async fn client(functions: &Functions) -> Client {
    Client::new(&sdk(&serve(functions.router()).await))
}

fn blob(value: &Value) -> Blob {
    Blob::new(value.to_string())
}

/// Fails on `{"fail": ...}`, else answers its event.
async fn mirror(event: Value, _: InvocationContext) -> Result<Value, FunctionError> {
    match event["fail"].as_str() {
        Some(name) => Err(FunctionError::new(name, "as asked")),
        None => Ok(event),
    }
}

#[tokio::test]
async fn the_client_invokes_handlers_and_processes_alike() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, _clock) = open(dir.path());
    functions.add_handler("mirror", Arc::new(mirror)).expect("valid");
    functions.add_process("echo", echo(&[])).expect("valid");
    let client = client(&functions).await;
    for name in ["mirror", "echo", "arn:aws:lambda:us-east-1:000000000000:function:mirror:$LATEST"] {
        let event = json!({"text": "a"});
        let sent = client.invoke().function_name(name).payload(blob(&event)).send().await;
        let answer = sent.expect("invoked");
        assert_eq!(answer.status_code(), 200);
        assert_eq!(answer.executed_version(), Some("$LATEST"));
        assert_eq!(answer.function_error(), None);
        assert_eq!(answer.payload().map(AsRef::as_ref), Some(event.to_string().as_bytes()));

        let event = json!({"fail": "NotYet"});
        let sent = client.invoke().function_name(name).payload(blob(&event)).send().await;
        let answer = sent.expect("invoked");
        assert_eq!((answer.status_code(), answer.function_error()), (200, Some("Unhandled")));
        let payload: Value = serde_json::from_slice(answer.payload().expect("a payload").as_ref()).expect("JSON");
        assert_eq!(payload, json!({"errorType": "NotYet", "errorMessage": "as asked"}));
    }
    let answer = client.invoke().function_name("mirror").send().await.expect("invoked");
    assert_eq!(answer.payload().map(AsRef::as_ref), Some(&b"{}"[..]), "no payload is an empty object");
}

#[tokio::test]
async fn events_are_accepted_and_dry_runs_run_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, _clock) = open(dir.path());
    let (report, mut seen) = mpsc::unbounded_channel();
    let handler = move |event: Value, _: InvocationContext| {
        let _ = report.send(event);
        async { Ok(Value::Null) }
    };
    functions.add_handler("f", Arc::new(handler)).expect("valid");
    tokio::spawn(functions.clone().run());
    let client = client(&functions).await;
    let invoke = |kind| client.invoke().function_name("f").invocation_type(kind);
    let dry = invoke(InvocationType::DryRun).send().await.expect("checked");
    assert_eq!(dry.status_code(), 204);
    let event = invoke(InvocationType::Event).payload(blob(&json!(1))).send().await;
    assert_eq!(event.expect("queued").status_code(), 202);
    assert_eq!(seen.recv().await, Some(json!(1)));
    assert_eq!(functions.invocations()["f"], 1);
}

#[tokio::test]
async fn refusals_are_lambdas() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, _clock) = open(dir.path());
    functions.add_handler("f", Arc::new(mirror)).expect("valid");
    let client = client(&functions).await;
    for (name, payload, kind, expected) in [
        ("absent", "{}".to_owned(), InvocationType::RequestResponse, "ResourceNotFoundException"),
        ("absent", "{}".to_owned(), InvocationType::DryRun, "ResourceNotFoundException"),
        ("f:live", "{}".to_owned(), InvocationType::Event, "ResourceNotFoundException"),
        ("f", "{".to_owned(), InvocationType::RequestResponse, "InvalidRequestContentException"),
        ("f", "{}".to_owned(), InvocationType::from("Later"), "InvalidParameterValueException"),
        ("f", "x".repeat(SYNC_PAYLOAD_BYTES_MAX + 1), InvocationType::RequestResponse, "RequestTooLargeException"),
        ("f", "x".repeat(262_145), InvocationType::Event, "RequestTooLargeException"),
    ] {
        let invoke = client.invoke().function_name(name).payload(Blob::new(payload));
        let error = invoke.invocation_type(kind).send().await.expect_err(expected);
        assert_eq!(error.code(), Some(expected));
        assert!(error.message().is_some_and(|message| !message.is_empty()), "{expected}");
    }
    let error = client.list_layers().send().await.expect_err("not served");
    assert_eq!(error.code(), Some("UnknownOperationException"));
}

#[tokio::test]
async fn functions_can_be_listed_and_looked_at() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, _clock) = open(dir.path());
    functions.add_handler("mirror", Arc::new(mirror)).expect("valid");
    functions.add_process("echo", echo(&[])).expect("valid");
    let client = client(&functions).await;
    let listed = client.list_functions().send().await.expect("listed");
    let names: Vec<_> = listed.functions().iter().filter_map(|f| f.function_name()).collect();
    assert_eq!(names, ["echo", "mirror"]);
    let found = client.get_function().function_name("echo").send().await.expect("found");
    let configuration = found.configuration().expect("present");
    assert_eq!(configuration.timeout(), Some(3));
    assert_eq!(configuration.state(), Some(&State::Active));
    assert_eq!(configuration.last_modified(), Some("2026-12-01T00:00:00.000+0000"));
    let configuration = client.get_function_configuration().function_name("mirror").send().await;
    assert_eq!(configuration.expect("found").timeout(), Some(900));
    let error = client.get_function().function_name("absent").send().await.expect_err("absent");
    assert!(error.into_service_error().is_resource_not_found_exception());
}

#[tokio::test]
async fn older_clients_list_with_a_slash_at_the_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, _clock) = open(dir.path());
    for path in ["/2015-03-31/functions/", "/2015-03-31/functions?MaxItems=50"] {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = functions.router().oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), 200, "{path}");
    }
}
