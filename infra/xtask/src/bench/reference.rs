//! The reference pipeline, and the functions its Lambda actions invoke.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use engine::ports::Clock;
use local_lambda::{FunctionError, Handler, InvocationContext};
use runtime::SystemClock;
use serde_json::{Value, json};

use super::client::CodePipeline;

/// Name of the pipeline.
pub(super) const PIPELINE: &str = "reference";
/// Name of the stage that deploys.
pub(super) const DEPLOY: &str = "Deploy";
/// Its actions: groups in order, those of a group in parallel.
pub(super) const GROUPS: [&[&str]; 4] = [&["Upload"], &["Unit", "Lint"], &["Site"], &["Smoke"]];
/// Where releases are uploaded.
pub(super) const UPLOADS: &str = "lastgood-bench-uploads";
/// The object that is a release.
pub(super) const OBJECT: &str = "release.zip";
/// Where artifacts are kept, apart from uploads, so that they raise no events.
pub(super) const ARTIFACTS: &str = "lastgood-bench-artifacts";
/// Where they are deployed.
pub(super) const SITE: &str = "lastgood-bench-site";
/// The alarm that is watched.
pub(super) const ALARM: &str = "lastgood-bench-errors";
/// The function of every Lambda action.
pub(super) const FUNCTION: &str = "lastgood-bench-answer";

/// How many actions a release has.
pub(super) fn actions() -> u32 {
    GROUPS.iter().flat_map(|group| group.iter()).fold(0, |count, _| count + 1)
}

/// The pipeline; `watched` says whether the alarm is watched after a deploy.
pub(super) fn declaration(watched: bool) -> Value {
    let mut deploy = json!({
        "name": DEPLOY,
        "onFailure": { "result": "ROLLBACK" },
        "actions": [
            {
                "name": "Site",
                "actionTypeId": type_id("Deploy", "S3"),
                "configuration": { "BucketName": SITE, "Extract": "false", "ObjectKey": "current.zip" },
                "inputArtifacts": [{ "name": "Release" }],
            },
            invoke("Smoke", 2),
        ],
    });
    if watched {
        let rule = json!({
            "name": "Errors",
            "ruleTypeId": type_id("Rule", "CloudWatchAlarm"),
            "configuration": { "AlarmName": ALARM, "WaitTime": "60", "Watch": "true" },
        });
        deploy["onSuccess"] = json!({ "conditions": [{ "result": "ROLLBACK", "rules": [rule] }] });
    }
    json!({
        "name": PIPELINE,
        "roleArn": format!("arn:aws:iam::{}:role/lastgood-bench", local::ACCOUNT),
        "artifactStore": { "type": "S3", "location": ARTIFACTS },
        "pipelineType": "V2",
        "stages": [
            {
                "name": "Source",
                "actions": [{
                    "name": "Upload",
                    "actionTypeId": type_id("Source", "S3"),
                    "configuration": { "S3Bucket": UPLOADS, "S3ObjectKey": OBJECT, "PollForSourceChanges": "false" },
                    "outputArtifacts": [{ "name": "Release" }],
                }],
            },
            { "name": "Verify", "actions": [invoke("Unit", 1), invoke("Lint", 1)] },
            deploy,
        ],
    })
}

fn type_id(category: &str, provider: &str) -> Value {
    json!({ "category": category, "owner": "AWS", "provider": provider, "version": "1" })
}

fn invoke(name: &str, run_order: u32) -> Value {
    json!({
        "name": name,
        "actionTypeId": type_id("Invoke", "Lambda"),
        "runOrder": run_order,
        "configuration": { "FunctionName": FUNCTION, "UserParameters": name },
    })
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
