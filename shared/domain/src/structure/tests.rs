//! One table per group of rules: a change of a valid pipeline, the exception, the exact message.

mod actions;
mod conditions;
mod pipelines;
mod rules;

use serde_json::{Value, json};

use super::validate_structure;
use crate::{Catalogue, PipelineDeclaration};

/// What a change of the base pipeline leads to.
struct Case {
    name: &'static str,
    change: fn(&mut Value),
    expected: Result<(), (&'static str, String)>,
}

fn refused(name: &'static str, change: fn(&mut Value), exception: &'static str, message: impl Into<String>) -> Case {
    Case { name, change, expected: Err((exception, message.into())) }
}

fn accepted(name: &'static str, change: fn(&mut Value)) -> Case {
    Case { name, change, expected: Ok(()) }
}

fn run(cases: &[Case]) {
    for Case { name, change, expected } in cases {
        let mut pipeline = base();
        change(&mut pipeline);
        let pipeline: PipelineDeclaration = serde_json::from_value(pipeline).expect(name);
        let found = validate_structure(&pipeline, &Catalogue::default(), "us-east-1");
        let found = found.map_err(|error| (error.kind.exception(), error.message));
        assert_eq!(&found, expected, "{name}");
    }
}

/// Source; then two parallel deployments, a smoke check and an approval.
fn base() -> Value {
    json!({
        "name": "shop",
        "roleArn": "arn:aws:iam::111122223333:role/pipeline",
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "variables": [{"name": "Env", "defaultValue": "prod"}],
        "stages": [
            {"name": "Source", "actions": [
                {"name": "App", "actionTypeId": type_id("Source", "S3"), "namespace": "Src",
                 "configuration": {"S3Bucket": "uploads", "S3ObjectKey": "app.zip", "PollForSourceChanges": "false"},
                 "outputArtifacts": [{"name": "Package"}]},
            ]},
            {"name": "Deploy", "actions": [
                {"name": "Site", "actionTypeId": type_id("Deploy", "S3"),
                 "configuration": {"BucketName": "site-#{variables.Env}", "Extract": "true", "CannedACL": "private"},
                 "inputArtifacts": [{"name": "Package"}]},
                lambda("Build", 1),
                lambda("Smoke", 2),
                {"name": "Approve", "actionTypeId": type_id("Approval", "Manual"), "runOrder": 3, "timeoutInMinutes": 5,
                 "configuration": {"CustomData": "Release #{Src.VersionId} of #{codepipeline.PipelineExecutionId}"}},
            ]},
        ],
    })
}

fn type_id(category: &str, provider: &str) -> Value {
    json!({"category": category, "owner": "AWS", "provider": provider, "version": "1"})
}

fn lambda(name: &str, run_order: u16) -> Value {
    json!({"name": name, "actionTypeId": type_id("Invoke", "Lambda"), "runOrder": run_order,
           "configuration": {"FunctionName": "smoke"}})
}

/// The action at `index` of the second stage.
fn action(pipeline: &mut Value, index: usize) -> &mut Value {
    &mut pipeline["stages"][1]["actions"][index]
}

fn push(list: &mut Value, item: Value) {
    list.as_array_mut().expect("a list").push(item);
}

fn alarm(extra: Value) -> Value {
    let mut configuration = json!({"AlarmName": "errors"});
    configuration.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    rule("CloudWatchAlarm", configuration)
}

fn check(variable: &str, operator: &str) -> Value {
    rule("VariableCheck", json!({"Variable": variable, "Value": "x", "Operator": operator}))
}

fn rule(provider: &str, configuration: Value) -> Value {
    json!({"name": "R", "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": provider, "version": "1"},
           "configuration": configuration})
}

fn condition(result: &str, rule: Value) -> Value {
    json!({"conditions": [{"result": result, "rules": [rule]}]})
}

fn set(pipeline: &mut Value, kind: &str, value: Value) {
    pipeline["stages"][1][kind] = value;
}
