//! The durable queue.

use std::{
    future::pending,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use jiff::Timestamp;
use local_lambda::{ASYNC_PAYLOAD_BYTES_MAX, FunctionError, Functions, InvocationContext, RETRY_DELAYS};
use runtime::ManualClock;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::bench::{open, start_time};

/// Adds a function that fails `failures` times and reports each attempt: its event and request id.
fn add(functions: &Functions, failures: usize) -> mpsc::UnboundedReceiver<(Value, String)> {
    let (report, attempts) = mpsc::unbounded_channel();
    let left = Arc::new(AtomicUsize::new(failures));
    let handler = move |event: Value, context: InvocationContext| {
        let _ = report.send((event, context.request_id));
        let fails = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        async move {
            match fails {
                true => Err(FunctionError::new("NotYet", "once more")),
                false => Ok(Value::Null),
            }
        }
    };
    functions.add_handler("f", Arc::new(handler)).expect("valid");
    attempts
}

async fn until_asleep(clock: &ManualClock, at: Timestamp) {
    while clock.next_wake() != Some(at) {
        tokio::task::yield_now().await;
    }
}

async fn until_empty(functions: &Functions) {
    while functions.queued() != Ok(0) {
        tokio::task::yield_now().await;
    }
}

/// What the disk would hold if the process died now.
fn copy(dir: &Path) -> tempfile::TempDir {
    let crashed = tempfile::tempdir().expect("a directory");
    for file in std::fs::read_dir(dir).expect("readable") {
        let file = file.expect("readable");
        std::fs::copy(file.path(), crashed.path().join(file.file_name())).expect("copied");
    }
    crashed
}

#[tokio::test]
async fn a_failed_invocation_is_retried_twice_as_lambda_does_then_dropped() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, clock) = open(dir.path());
    let mut attempts = add(&functions, usize::MAX);
    tokio::spawn(functions.clone().run());
    let id = functions.invoke_async("f", json!({"n": 1})).await.expect("queued");
    let first = attempts.recv().await.expect("attempt");
    assert_eq!(first, (json!({"n": 1}), id));
    let mut at = start_time();
    for delay in RETRY_DELAYS {
        at += delay;
        until_asleep(&clock, at).await;
        clock.advance_to(at);
        assert_eq!(attempts.recv().await.expect("attempt"), first, "same event, same request id");
    }
    until_empty(&functions).await;
    assert_eq!(functions.invocations()["f"], 3);
    assert_eq!(clock.next_wake(), None);
}

#[tokio::test]
async fn a_retry_that_succeeds_ends_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, clock) = open(dir.path());
    let mut attempts = add(&functions, 1);
    tokio::spawn(functions.clone().run());
    functions.invoke_async("f", json!(1)).await.expect("queued");
    attempts.recv().await.expect("attempt");
    let at = start_time() + RETRY_DELAYS[0];
    until_asleep(&clock, at).await;
    clock.advance_to(at);
    attempts.recv().await.expect("attempt");
    until_empty(&functions).await;
    assert_eq!(functions.invocations()["f"], 2);
}

#[tokio::test]
async fn what_was_queued_or_under_way_when_the_process_died_is_delivered_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, _clock) = open(dir.path());
    let (report, mut begun) = mpsc::unbounded_channel();
    let never = move |_: Value, context: InvocationContext| {
        let _ = report.send(context.request_id);
        pending::<Result<Value, FunctionError>>()
    };
    functions.add_handler("f", Arc::new(never)).expect("valid");
    let first = functions.invoke_async("f", json!("under way")).await.expect("queued");
    let running = tokio::spawn(functions.clone().run());
    assert_eq!(begun.recv().await, Some(first.clone()));
    running.abort();
    let second = functions.invoke_async("f", json!("waiting")).await.expect("queued");
    let crashed = copy(dir.path());

    let (functions, _clock) = open(crashed.path());
    let mut attempts = add(&functions, 0);
    tokio::spawn(functions.clone().run());
    assert_eq!(attempts.recv().await, Some((json!("under way"), first)));
    assert_eq!(attempts.recv().await, Some((json!("waiting"), second)));
    until_empty(&functions).await;
    let (functions, _clock) = open(copy(crashed.path()).path());
    assert_eq!(functions.queued(), Ok(0), "what is finished stays finished");
}

#[tokio::test]
async fn failures_survive_a_restart_and_do_not_start_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, clock) = open(dir.path());
    let mut attempts = add(&functions, usize::MAX);
    tokio::spawn(functions.clone().run());
    functions.invoke_async("f", json!(1)).await.expect("queued");
    attempts.recv().await.expect("attempt");
    until_asleep(&clock, start_time() + RETRY_DELAYS[0]).await;

    let crashed = copy(dir.path());
    let (functions, clock) = open(crashed.path());
    let mut attempts = add(&functions, usize::MAX);
    tokio::spawn(functions.clone().run());
    let mut at = start_time();
    for delay in RETRY_DELAYS {
        at += delay;
        until_asleep(&clock, at).await;
        clock.advance_to(at);
        attempts.recv().await.expect("attempt");
    }
    until_empty(&functions).await;
}

#[tokio::test]
async fn a_burst_is_delivered_whole_and_a_panic_harms_nobody_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, _clock) = open(dir.path());
    let (report, mut seen) = mpsc::unbounded_channel();
    let handler = move |event: Value, _: InvocationContext| {
        let report = report.clone();
        async move {
            assert_ne!(event, json!(50), "as arranged");
            let _ = report.send(event);
            Ok(Value::Null)
        }
    };
    functions.add_handler("f", Arc::new(handler)).expect("valid");
    tokio::spawn(functions.clone().run());
    for n in 0..100 {
        functions.invoke_async("f", json!(n)).await.expect("queued");
    }
    let mut numbers = Vec::new();
    while numbers.len() < 99 {
        numbers.push(seen.recv().await.and_then(|event| event.as_u64()).expect("a number"));
    }
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq((0..100).filter(|n| *n != 50)));
    while functions.queued() != Ok(1) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_cannot_be_queued_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, _clock) = open(dir.path());
    let error = functions.invoke_async("absent", json!({})).await.expect_err("absent");
    assert_eq!(error.error, "ResourceNotFoundException");
    assert!(error.cause.contains("arn:aws:lambda:us-east-1:000000000000:function:absent"));
    let _attempts = add(&functions, 0);
    let fits = json!("x".repeat(ASYNC_PAYLOAD_BYTES_MAX - 2));
    assert!(functions.invoke_async("f", fits).await.is_ok());
    let over = json!("x".repeat(ASYNC_PAYLOAD_BYTES_MAX - 1));
    let error = functions.invoke_async("f", over).await.expect_err("too large");
    assert_eq!(error.error, "RequestTooLargeException");
    assert!(error.is_refusal());
}
