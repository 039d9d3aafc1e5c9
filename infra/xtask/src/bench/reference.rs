//! The functions that Lambda actions of the reference pipeline invoke.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use engine::ports::Clock;
use local_lambda::{FunctionError, Handler, InvocationContext};
use runtime::SystemClock;
use serde_json::{Value, json};
pub(super) use sim::reference::*;

use super::client::CodePipeline;

/// The pipeline; `watched` says whether the alarm is watched after a deploy.
pub(super) fn declaration(watched: bool) -> Value {
    sim::reference::declaration(local::ACCOUNT, watched)
}

/// What the next smoke check says, and when it said so.
#[derive(Default)]
pub(super) struct Smoke {
    fails: AtomicBool,
    failed_at_ms: AtomicI64,
}

impl Smoke {
    /// Has the next smoke check fail.
    pub(super) fn fail_once(&self) {
        self.fails.store(true, Ordering::SeqCst);
    }

    /// When the last failing result was given, in milliseconds since 1970.
    pub(super) fn failed_at_ms(&self) -> i64 {
        self.failed_at_ms.load(Ordering::SeqCst)
    }
}

/// The function: answers each job at once, through the API.
pub(super) fn function(client: CodePipeline, smoke: Arc<Smoke>) -> Arc<dyn Handler> {
    Arc::new(move |event: Value, _: InvocationContext| {
        let (client, smoke) = (client.clone(), Arc::clone(&smoke));
        async move {
            let job = &event["CodePipeline.job"];
            let is_smoke = job["data"]["actionConfiguration"]["configuration"]["UserParameters"] == "Smoke";
            let answered = if is_smoke && smoke.fails.swap(false, Ordering::SeqCst) {
                smoke.failed_at_ms.store(SystemClock.now().as_millisecond(), Ordering::SeqCst);
                let details = json!({ "type": "JobFailed", "message": "As the benchmark wants it." });
                client.call("PutJobFailureResult", json!({ "jobId": job["id"], "failureDetails": details })).await
            } else {
                client.call("PutJobSuccessResult", json!({ "jobId": job["id"] })).await
            };
            answered.map_err(|error| FunctionError::new("NotAnswered", error.to_string()))
        }
    })
}
