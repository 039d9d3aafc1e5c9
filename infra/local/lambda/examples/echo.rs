//! A function as users write it, which the tests drive: it echoes its event, or misbehaves as the event says.
//!
//! `{"exit": CODE}` ends the process, `{"fail": NAME}` returns an error, `{"pid": true}` answers its process id,
//! `{"env": NAME}` a variable, `{"size": BYTES}` a text of that size, `{"context": true}` what it was told; `{"hang": ADDRESS}` connects to the address, which tells
//! the test that the event has arrived, and never answers. With `FAIL_AT_START` set it panics before its first event.

use lambda_runtime::{Diagnostic, Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    println!("starting");
    if variable("FAIL_AT_START").is_some() {
        std::process::exit(3);
    }
    run(service_fn(echo)).await
}

async fn echo(event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
    let (event, context) = event.into_parts();
    if let Some(code) = event["exit"].as_i64() {
        std::process::exit(i32::try_from(code).unwrap_or(1));
    }
    if let Some(name) = event["fail"].as_str() {
        return Err(Diagnostic { error_type: name.to_owned(), error_message: "as asked".to_owned() });
    }
    if let Some(address) = event["hang"].as_str() {
        let mut socket = TcpStream::connect(address)
            .await
            .map_err(|error| Diagnostic { error_type: "Unreachable".to_owned(), error_message: error.to_string() })?;
        // The test never writes, so this lasts until the process is killed.
        let _ = socket.read(&mut [0]).await;
    }
    if event["pid"].as_bool() == Some(true) {
        return Ok(json!(std::process::id()));
    }
    if let Some(name) = event["env"].as_str() {
        return Ok(json!(variable(name)));
    }
    if let Some(size) = event["size"].as_u64() {
        return Ok(json!("x".repeat(usize::try_from(size).unwrap_or(0))));
    }
    if event["context"].as_bool() == Some(true) {
        return Ok(json!({
            "arn": context.invoked_function_arn,
            "deadline_ms": context.deadline,
            "request_id": context.request_id,
            "traced": context.xray_trace_id.is_some(),
        }));
    }
    Ok(event)
}

#[expect(clippy::disallowed_methods, reason = "a user's function reads its environment as it likes")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
