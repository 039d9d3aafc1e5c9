//! Pipelines to simulate, each drawn by the seed.

use serde_json::{Value, json};

use crate::{
    chance::Chance,
    cloud::{ACCOUNT, REGION},
};

/// Bucket that releases are uploaded to.
pub(crate) const UPLOADS: &str = "uploads";
/// Bucket that is deployed to, with a key for each pipeline.
pub(crate) const SITE: &str = "site";
/// The stage that deploys.
pub(crate) const PROD: &str = "Prod";
/// The custom action type that some pipelines hold.
pub(crate) const CUSTOM: (&str, &str, &str) = ("Build", "Forge", "1");

/// Key of the releases of `pipeline`.
pub(crate) fn upload_key(pipeline: &str) -> String {
    format!("{pipeline}.zip")
}

/// Name of the alarm that watches `pipeline`. Some share one.
pub(crate) fn alarm(pipeline: &str) -> &'static str {
    if pipeline == "shop" { "shop-errors" } else { "errors" }
}

/// ARN of an alarm.
pub(crate) fn alarm_arn(name: &str) -> String {
    format!("arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}")
}

/// The declaration of a pipeline from an upload to a page.
pub(crate) fn declaration(name: &str, chance: &mut Chance) -> Value {
    let mode = *chance.one_of(&["SUPERSEDED", "SUPERSEDED", "QUEUED", "QUEUED", "PARALLEL"]);
    let mut stages = vec![source(name)];
    if chance.permille(400) {
        stages.push(build(chance));
    }
    stages.push(prod(name, mode, chance));
    if chance.permille(200) {
        stages.push(json!({"name": "After", "actions": [lambda("Announce", 1)]}));
    }
    json!({
        "name": name,
        "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/pipeline"),
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "executionMode": mode,
        "pipelineType": "V2",
        "stages": stages,
    })
}

fn source(name: &str) -> Value {
    let mut fetch = action("Fetch", 1, ["Source", "AWS", "S3"]);
    fetch["configuration"] =
        json!({"S3Bucket": UPLOADS, "S3ObjectKey": upload_key(name), "PollForSourceChanges": "false"});
    fetch["outputArtifacts"] = json!([{"name": "App"}]);
    json!({"name": "Source", "actions": [fetch]})
}

fn build(chance: &mut Chance) -> Value {
    let mut actions = vec![lambda("Compile", 1)];
    if chance.permille(500) {
        let mut forge = action("Forge", 1, [CUSTOM.0, "Custom", CUSTOM.1]);
        forge["inputArtifacts"] = json!([{"name": "App"}]);
        actions.push(forge);
    }
    let mut stage = json!({"name": "Build", "actions": actions});
    if chance.permille(300) {
        stage["onFailure"] = json!({"result": "RETRY", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}});
    }
    stage
}

fn prod(name: &str, mode: &str, chance: &mut Chance) -> Value {
    let mut deploy = action("Deploy", 2, ["Deploy", "AWS", "S3"]);
    deploy["configuration"] = json!({"BucketName": SITE, "Extract": "false", "ObjectKey": name});
    deploy["inputArtifacts"] = json!([{"name": "App"}]);
    let mut actions = vec![deploy, lambda("Check", 3)];
    if chance.permille(250) {
        actions.insert(0, action("Approve", 1, ["Approval", "AWS", "Manual"]));
    }
    let mut stage = json!({"name": PROD, "actions": actions});
    if mode == "PARALLEL" {
        return stage;
    }
    match chance.below(5) {
        0 => {}
        1 => stage["onFailure"] = json!({"result": "RETRY"}),
        2 => {
            let retry = json!({"retryMode": chance.one_of(&["FAILED_ACTIONS", "ALL_ACTIONS"])});
            stage["onFailure"] = json!({"result": "ROLLBACK", "retryConfiguration": retry});
        }
        _ => stage["onFailure"] = json!({"result": "ROLLBACK"}),
    }
    let mut rule = json!({
        "name": "errors",
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1"},
        "configuration": {"AlarmName": alarm(name), "WaitTime": "10"},
    });
    if chance.permille(200) {
        stage["beforeEntry"] = json!({"conditions": [{"result": "FAIL", "rules": [rule]}]});
    }
    match chance.below(4) {
        0 => {}
        1 => stage["onSuccess"] = json!({"conditions": [{"result": "ROLLBACK", "rules": [rule]}]}),
        _ => {
            rule["configuration"]["Watch"] = "true".into();
            stage["onSuccess"] = json!({"conditions": [{"result": "ROLLBACK", "rules": [rule]}]});
        }
    }
    stage
}

fn lambda(name: &str, run_order: u32) -> Value {
    let mut action = action(name, run_order, ["Invoke", "AWS", "Lambda"]);
    action["configuration"] = json!({"FunctionName": name.to_lowercase()});
    action
}

fn action(name: &str, run_order: u32, [category, owner, provider]: [&str; 3]) -> Value {
    json!({
        "name": name,
        "runOrder": run_order,
        "actionTypeId": {"category": category, "owner": owner, "provider": provider, "version": "1"},
    })
}
