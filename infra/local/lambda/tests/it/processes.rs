//! Bootstraps as processes.

use std::{net::Ipv4Addr, path::PathBuf, process::Command, time::Duration};

use local_lambda::{PROCESSES_PER_FUNCTION_MAX, Process, RegisterError};
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};

use crate::bench::{TIMEOUT, echo, example, open, start_time};

/// A place where hanging invocations report.
async fn rendezvous() -> (TcpListener, Value) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    (listener, json!({ "hang": address }))
}

/// Resolves once the process at the other end is dead.
async fn dead(mut socket: TcpStream) {
    assert!(matches!(socket.read(&mut [0]).await, Ok(0) | Err(_)));
}

fn kill(pid: &Value) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.expect("kill runs").success());
}

#[tokio::test]
async fn a_process_is_started_once_and_told_what_lambda_tells() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, _clock) = open(dir.path());
    let process = echo(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:4180"), ("AWS_LAMBDA_RUNTIME_API", "x")]);
    functions.add_process("echo", process).expect("valid");
    let event = json!({"text": "grüße", "list": [1, 2.5, null]});
    assert_eq!(functions.invoke("echo", event.clone()).await, Ok(event));
    let pid = functions.invoke("echo", json!({"pid": true})).await;
    assert_eq!(functions.invoke("echo", json!({"pid": true})).await, pid, "kept warm");

    let told = functions.invoke("echo", json!({"context": true})).await.expect("answers");
    assert_eq!(told["arn"], "arn:aws:lambda:us-east-1:000000000000:function:echo");
    assert_eq!(told["deadline_ms"], start_time().as_millisecond() + 3000);
    assert_eq!(told["traced"], true);
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", json!("echo")),
        ("AWS_LAMBDA_FUNCTION_VERSION", json!("$LATEST")),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", json!("128")),
        ("AWS_REGION", json!("us-east-1")),
        ("AWS_ENDPOINT_URL", json!("http://127.0.0.1:4180")),
        ("CARGO_MANIFEST_DIR", Value::Null),
    ] {
        assert_eq!(functions.invoke("echo", json!({"env": name})).await, Ok(value), "{name}");
    }
    assert_eq!(functions.invocations()["echo"], 10);
}

#[tokio::test]
async fn errors_come_under_their_own_name_and_deaths_under_lambdas() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, _clock) = open(dir.path());
    functions.add_process("echo", echo(&[])).expect("valid");
    let error = functions.invoke("echo", json!({"fail": "NotYet"})).await.expect_err("asked to");
    assert_eq!((error.error.as_str(), error.cause.as_str()), ("NotYet", "as asked"));
    let error = functions.invoke("echo", json!({"exit": 4})).await.expect_err("gone");
    assert_eq!(error.error, "Runtime.ExitError");
    assert!(error.cause.ends_with("Runtime exited with error: exit status 4"), "{}", error.cause);
    assert_eq!(functions.invoke("echo", json!(1)).await, Ok(json!(1)), "restarted");
    let error = functions.invoke("echo", json!({"size": 6 * 1024 * 1024})).await.expect_err("quotes too");
    assert_eq!(error.error, "Function.ResponseSizeTooLarge");
    assert_eq!(functions.invoke("echo", json!(2)).await, Ok(json!(2)));

    functions.add_process("stillborn", echo(&[("FAIL_AT_START", "1")])).expect("valid");
    let error = functions.invoke("stillborn", json!({})).await.expect_err("dies");
    assert_eq!(error.error, "Runtime.ExitError");
}

#[tokio::test]
async fn functions_in_our_frame_fail_under_stable_names_and_never_quote_input() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, _clock) = open(dir.path());
    functions.add_process("served", example("served")).expect("valid");
    assert_eq!(functions.invoke("served", json!({"number": 8})).await, Ok(json!(4)));
    for (event, error, cause) in [
        (json!({"number": 7}), "NumberOdd", "the number is odd; send an even one"),
        (json!({"number": "secret"}), "InvalidInput", "the event is not valid at `number`: expected u64"),
        (json!({}), "InvalidInput", "the event is not valid at `.`: missing field `number`"),
    ] {
        let failed = functions.invoke("served", event).await.expect_err(error);
        assert_eq!((failed.error.as_str(), failed.cause.as_str()), (error, cause));
    }
}

#[tokio::test]
async fn a_process_killed_in_mid_invocation_or_while_idle_is_replaced() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, _clock) = open(dir.path());
    functions.add_process("echo", echo(&[])).expect("valid");
    let pid = functions.invoke("echo", json!({"pid": true})).await.expect("answers");
    let (listener, hang) = rendezvous().await;
    let (outcome, ()) = tokio::join!(functions.invoke("echo", hang), async {
        let (socket, _) = listener.accept().await.expect("it arrives");
        kill(&pid);
        dead(socket).await;
    });
    let error = outcome.expect_err("killed");
    assert_eq!(error.error, "Runtime.ExitError");
    assert!(error.cause.ends_with("signal: killed"), "{}", error.cause);

    let second = functions.invoke("echo", json!({"pid": true})).await.expect("answers");
    assert_ne!(second, pid);
    kill(&second);
    // The process may live long enough to be handed one more event, which then dies with it; the next one cannot.
    let third = match functions.invoke("echo", json!({"pid": true})).await {
        Ok(third) => Ok(third),
        Err(error) => {
            assert_eq!(error.error, "Runtime.ExitError");
            functions.invoke("echo", json!({"pid": true})).await
        }
    };
    let third = third.expect("answers");
    assert_ne!(third, second);
}

#[tokio::test]
async fn a_timeout_kills_the_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, clock) = open(dir.path());
    functions.add_process("echo", echo(&[])).expect("valid");
    let (listener, hang) = rendezvous().await;
    let (outcome, ()) = tokio::join!(functions.invoke("echo", hang), async {
        let (socket, _) = listener.accept().await.expect("it arrives");
        clock.advance_to(start_time() + TIMEOUT);
        dead(socket).await;
    });
    let error = outcome.expect_err("late");
    assert_eq!(error.error, "Sandbox.Timedout");
    assert!(error.cause.ends_with("Task timed out after 3.00 seconds"), "{}", error.cause);
    assert_eq!(functions.invoke("echo", json!(1)).await, Ok(json!(1)));
}

#[tokio::test]
async fn invocations_run_side_by_side_up_to_the_limit() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, clock) = open(dir.path());
    functions.add_process("echo", echo(&[])).expect("valid");
    let (listener, hang) = rendezvous().await;
    let invoke = || {
        let (functions, hang) = (functions.clone(), hang.clone());
        tokio::spawn(async move { functions.invoke("echo", hang).await })
    };
    let first: Vec<_> = (0..PROCESSES_PER_FUNCTION_MAX).map(|_| invoke()).collect();
    let mut arrived = Vec::new();
    for _ in &first {
        arrived.push(listener.accept().await.expect("it arrives"));
    }
    let third = invoke();
    while functions.invocations()["echo"] < 3 {
        tokio::task::yield_now().await;
    }
    clock.advance_to(start_time() + TIMEOUT);
    for invocation in first {
        let error = invocation.await.expect("no panic").expect_err("late");
        assert_eq!(error.error, "Sandbox.Timedout");
    }
    // Had it begun beside the others, its time would be up too.
    listener.accept().await.expect("it arrives");
    assert_eq!(clock.next_wake(), Some(start_time() + 2 * TIMEOUT));
    clock.advance_to(start_time() + 2 * TIMEOUT);
    assert!(third.await.expect("no panic").is_err());
}

#[tokio::test]
async fn processes_end_with_the_registry_busy_or_idle() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, _clock) = open(dir.path());
    functions.add_process("echo", echo(&[])).expect("valid");
    let (listener, hang) = rendezvous().await;
    let invocation = tokio::spawn({
        let functions = functions.clone();
        async move { functions.invoke("echo", hang).await }
    });
    let (socket, _) = listener.accept().await.expect("it arrives");
    drop(functions);
    invocation.abort();
    dead(socket).await;
}

#[tokio::test]
async fn what_cannot_run_is_refused_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let (functions, _clock) = open(dir.path());
    let absent = Process { command: PathBuf::from("/no/such/bootstrap"), ..echo(&[]) };
    let plain = Process { command: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")), ..echo(&[]) };
    for process in [absent, plain] {
        let error = functions.add_process("f", process).expect_err("not executable");
        assert!(matches!(error, RegisterError::Command { .. }));
        assert!(error.to_string().contains("is not an executable file"), "{error}");
    }
    for timeout in [Duration::ZERO, Duration::from_secs(901)] {
        let process = Process { timeout, ..echo(&[]) };
        let error = functions.add_process("f", process).expect_err("out of range");
        assert!(matches!(error, RegisterError::Timeout { .. }));
    }
    let error = functions.add_process("a/b", echo(&[])).expect_err("a slash");
    assert!(matches!(error, RegisterError::Name(_)));
}
