//! The reference pipeline of the benchmarks: three stages, five actions.

use serde_json::{Value, json};

/// Name of the pipeline.
pub const PIPELINE: &str = "reference";
/// Name of the stage that deploys.
pub const DEPLOY: &str = "Deploy";
/// Its actions: groups in order, those of a group in parallel.
pub const GROUPS: [&[&str]; 4] = [&["Upload"], &["Unit", "Lint"], &["Site"], &["Smoke"]];
/// Where releases are uploaded.
pub const UPLOADS: &str = "lastgood-bench-uploads";
/// The object that is a release.
pub const OBJECT: &str = "release.zip";
/// Where artifacts are kept, apart from uploads, so that they raise no events.
pub const ARTIFACTS: &str = "lastgood-bench-artifacts";
/// Where they are deployed.
pub const SITE: &str = "lastgood-bench-site";
/// The alarm that is watched.
pub const ALARM: &str = "lastgood-bench-errors";
/// The function of every Lambda action.
pub const FUNCTION: &str = "lastgood-bench-answer";

/// How many actions a release has.
pub fn actions() -> u32 {
    GROUPS.iter().flat_map(|group| group.iter()).fold(0, |count, _| count + 1)
}

/// The pipeline in `account`; `watched` says whether the alarm is watched after a deploy.
pub fn declaration(account: &str, watched: bool) -> Value {
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
        "roleArn": format!("arn:aws:iam::{}:role/lastgood-bench", account),
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
