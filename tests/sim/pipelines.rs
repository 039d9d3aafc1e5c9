//! Pipelines to simulate, each drawn by the seed.

use serde_json::{Value, json};

use crate::{
    chance::Chance,
    cloud::{ACCOUNT, REGION},
    faults::{Dial, Dials},
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

/// The declaration of a pipeline from an upload to a page. `others` are pipelines it may start when it is through.
pub(crate) fn declaration(name: &str, others: &[&str], dials: &Dials, chance: &mut Chance) -> Value {
    let mode = *chance.one_of(&["SUPERSEDED", "SUPERSEDED", "QUEUED", "QUEUED", "PARALLEL"]);
    let mut stages = vec![source(name)];
    if chance.permille(400) {
        stages.push(build(chance));
    }
    stages.push(prod(name, mode, chance));
    if chance.permille(250) {
        let mut actions = vec![lambda("Announce", 1)];
        if !others.is_empty() && chance.permille(400) {
            let mut next = action("Next", 2, ["Invoke", "AWS", "CodePipeline"]);
            next["configuration"] = json!({"PipelineName": chance.one_of(others)});
            actions.push(next);
        }
        stages.push(json!({"name": "After", "actions": actions}));
    }
    // Chosen aside, so that without the dial everything else is as it was.
    if chance.clone().permille(dials.of(Dial::Metrics)) {
        stages.iter_mut().for_each(|stage| judge_metrics(stage, name));
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

/// The declaration in another mode, without what that mode does not know.
pub(crate) fn set_mode(declaration: &mut Value, mode: &str) {
    declaration["executionMode"] = mode.into();
    if mode != "PARALLEL" {
        return;
    }
    for stage in declaration["stages"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        for member in ["onFailure", "onSuccess"] {
            let goes_back = stage.get(member).is_some_and(|declared| declared.to_string().contains("ROLLBACK"));
            if goes_back {
                stage.remove(member);
            }
        }
    }
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
    if chance.permille(300) {
        let mut make = action("Make", 1, ["Build", "AWS", "CodeBuild"]);
        make["configuration"] = json!({"ProjectName": "forge"});
        make["inputArtifacts"] = json!([{"name": "App"}]);
        actions.push(make);
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
        let mut approve = action("Approve", 1, ["Approval", "AWS", "Manual"]);
        if chance.permille(600) {
            approve["timeoutInMinutes"] = 5.into();
        }
        actions.insert(0, approve);
    }
    let mut stage = json!({"name": PROD, "actions": actions});
    let is_parallel = mode == "PARALLEL";
    match chance.below(5) {
        0 => {}
        1 => stage["onFailure"] = json!({"result": "RETRY"}),
        _ if is_parallel => {}
        2 => {
            let retry = json!({"retryMode": chance.one_of(&["FAILED_ACTIONS", "ALL_ACTIONS"])});
            stage["onFailure"] = json!({"result": "ROLLBACK", "retryConfiguration": retry});
        }
        _ => stage["onFailure"] = json!({"result": "ROLLBACK"}),
    }
    if chance.permille(350) {
        stage["beforeEntry"] = entry(name, chance);
    }
    let result = if is_parallel { "FAIL" } else { "ROLLBACK" };
    match chance.below(6) {
        0 => {}
        1 => stage["onSuccess"] = condition(result, &[alarm_rule(name, false)]),
        2 => stage["onSuccess"] = condition(result, &[function_rule()]),
        _ if is_parallel => {}
        drawn => {
            let mut rule = alarm_rule(name, true);
            if drawn == 5 {
                rule["configuration"]["HoldUntil"] = "OtherRevision".into();
            }
            stage["onSuccess"] = condition(result, &[rule]);
        }
    }
    stage
}

fn entry(name: &str, chance: &mut Chance) -> Value {
    match chance.below(5) {
        0 => condition("FAIL", &[alarm_rule(name, false)]),
        1 => condition("FAIL", &[function_rule()]),
        2 => condition("SKIP", &[function_rule()]),
        3 => condition("FAIL", &[window_rule(), function_rule()]),
        _ => condition("FAIL", &[window_rule()]),
    }
}

fn condition(result: &str, rules: &[Value]) -> Value {
    json!({"conditions": [{"result": result, "rules": rules}]})
}

fn alarm_rule(name: &str, watches: bool) -> Value {
    let mut rule = rule("errors", "CloudWatchAlarm", json!({"AlarmName": alarm(name), "WaitTime": "10"}));
    if watches {
        rule["configuration"]["Watch"] = "true".into();
    }
    rule
}

/// The metric of the page in the place of the alarm that a stage looks at after its deploy.
fn judge_metrics(stage: &mut Value, name: &str) {
    let rules = stage.pointer_mut("/onSuccess/conditions/0/rules").and_then(Value::as_array_mut).into_iter().flatten();
    for rule in rules.filter(|rule| rule["ruleTypeId"]["provider"] == "CloudWatchAlarm") {
        rule["ruleTypeId"]["provider"] = "MetricDegradation".into();
        if let Some(configuration) = rule["configuration"].as_object_mut() {
            configuration.remove("AlarmName");
            configuration.insert("Metrics".to_owned(), format!("emf:Sim:{name}").into());
            // People act every minute or so.
            configuration.insert("Period".to_owned(), "10".into());
            configuration.insert("Baseline".to_owned(), "10".into());
        }
    }
}

/// Open for the first twenty minutes of every half hour.
fn window_rule() -> Value {
    rule("window", "DeploymentWindow", json!({"Cron": "* 0-19,30-49 * ? * *"}))
}

fn function_rule() -> Value {
    rule("gate", "LambdaInvoke", json!({"FunctionName": "gate"}))
}

fn rule(name: &str, provider: &str, configuration: Value) -> Value {
    json!({
        "name": name,
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": provider, "version": "1"},
        "configuration": configuration,
    })
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
