//! Conditions that hold a stage, and what ends them: a person, and an alarm.

use aws_sdk_cloudwatch::types::{ComparisonOperator, StateValue, Statistic};
use serde_json::{Value, json};

use crate::world::{World, eventually, pipeline, publish, release, text};

async fn put_alarm(world: &World, name: &str) {
    let alarm = world.client.cloudwatch.put_metric_alarm().alarm_name(name).namespace("Shop").metric_name("Errors");
    let alarm = alarm.statistic(Statistic::Sum).period(60).evaluation_periods(1).threshold(0.0);
    let alarm = alarm.comparison_operator(ComparisonOperator::GreaterThanThreshold).treat_missing_data("ignore");
    alarm.send().await.expect("a good alarm");
}

async fn set_alarm(world: &World, name: &str, state: StateValue) {
    let set = world.client.cloudwatch.set_alarm_state().alarm_name(name).state_value(state).state_reason("a test");
    set.send().await.expect("the alarm is there");
}

/// A pipeline whose stage Deploy has a condition that waits for half an hour on an alarm called like it.
async fn conditioned(world: &World, name: &str, member: &str, result: &str) {
    world.buckets(name).await;
    put_alarm(world, name).await;
    let mut pipeline = pipeline(name, &[publish(name, 1)]);
    pipeline["stages"][1][member] = json!({ "conditions": [{ "result": result, "rules": [{
        "name": "Errors",
        "ruleTypeId": { "category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1" },
        "configuration": { "AlarmName": name, "WaitTime": "30" },
    }]}]});
    world.create(&pipeline).await;
}

/// Uploads a release; returns its execution.
async fn start(world: &World, name: &str, page: &str) -> String {
    let version = world.upload(name, release(page)).await;
    world.started_by(name, &version).await
}

/// Waits until the condition has the status in the execution, which is the latest in Deploy.
async fn seen(world: &World, name: &str, member: &str, execution: &str, status: &str) -> Value {
    eventually(&format!("the condition {status}"), async || {
        let stage = world.stage(name, 1).await;
        let inside = stage["latestExecution"]["pipelineExecutionId"] == execution;
        let is = inside && stage[member]["latestExecution"]["status"] == status;
        is.then(|| stage[member].clone())
    })
    .await
}

async fn rules(world: &World, name: &str, execution: &str) -> Vec<(String, String)> {
    let filter = json!({ "pipelineExecutionId": execution });
    let listed = world.call("ListRuleExecutions", json!({ "pipelineName": name, "filter": filter })).await;
    let details = listed["ruleExecutionDetails"].as_array().cloned().expect("a list");
    details.iter().map(|rule| (text(&rule["ruleName"]), text(&rule["status"]))).collect()
}

fn overriding(name: &str, execution: &str, condition: &str) -> Value {
    json!({ "pipelineName": name, "stageName": "Deploy", "pipelineExecutionId": execution,
        "conditionType": condition })
}

fn rule(status: &str) -> Vec<(String, String)> {
    vec![("Errors".to_owned(), status.to_owned())]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_gate_that_waits_on_a_red_alarm_is_overridden() {
    let world = World::start().await;
    let (name, member) = ("gated", "beforeEntryConditionState");
    conditioned(&world, name, "beforeEntry", "FAIL").await;
    set_alarm(&world, name, StateValue::Alarm).await;
    let execution = start(&world, name, "one").await;
    seen(&world, name, member, &execution, "InProgress").await;
    assert_eq!(rules(&world, name, &execution).await, rule("InProgress"));
    assert!(world.keys("gated-site").await.is_empty(), "nothing is deployed while it waits");

    world.call("OverrideStageCondition", overriding(name, &execution, "BEFORE_ENTRY")).await;
    assert_eq!(world.ended(name, &execution).await["status"], "Succeeded");
    assert_eq!(world.page(name).await, "one");
    let seen = seen(&world, name, member, &execution, "Overridden").await;
    let rule_state = &seen["conditionStates"][0]["ruleStates"][0]["latestExecution"];
    assert_eq!(rule_state["status"], "Abandoned", "{seen}");
    assert_eq!(rules(&world, name, &execution).await, rule("Abandoned"));
    let (exception, _) = world.refused("OverrideStageCondition", overriding(name, &execution, "BEFORE_ENTRY")).await;
    assert_eq!(exception, "ConditionNotOverridableException");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_gate_opens_as_soon_as_the_alarm_is_good() {
    let world = World::start().await;
    let (name, member) = ("patient", "beforeEntryConditionState");
    conditioned(&world, name, "beforeEntry", "FAIL").await;
    set_alarm(&world, name, StateValue::Alarm).await;
    let execution = start(&world, name, "one").await;
    seen(&world, name, member, &execution, "InProgress").await;
    set_alarm(&world, name, StateValue::Ok).await;
    assert_eq!(world.ended(name, &execution).await["status"], "Succeeded");
    assert_eq!(rules(&world, name, &execution).await, rule("Succeeded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bake_is_overridden_or_ends_with_the_alarm_that_rolls_it_back() {
    let world = World::start().await;
    let (name, member) = ("baked", "onSuccessConditionState");
    conditioned(&world, name, "onSuccess", "ROLLBACK").await;
    set_alarm(&world, name, StateValue::Ok).await;
    let first = start(&world, name, "one").await;
    seen(&world, name, member, &first, "InProgress").await;
    assert_eq!(world.page(name).await, "one", "it is deployed, and bakes");
    world.call("OverrideStageCondition", overriding(name, &first, "ON_SUCCESS")).await;
    assert_eq!(world.ended(name, &first).await["status"], "Succeeded");
    assert_eq!(rules(&world, name, &first).await, rule("Abandoned"));

    let second = start(&world, name, "two").await;
    seen(&world, name, member, &second, "InProgress").await;
    set_alarm(&world, name, StateValue::Alarm).await;
    assert_eq!(world.ended(name, &second).await["status"], "Failed");
    assert_eq!(rules(&world, name, &second).await, rule("Failed"));
    let rollback = world.execution(name, "the rollback", |one| one["executionType"] == "ROLLBACK").await;
    let rollback = world.ended(name, &text(&rollback["pipelineExecutionId"])).await;
    assert_eq!(rollback["status"], "Succeeded");
    assert_eq!(world.page(name).await, "one");
    let (exception, _) = world.refused("OverrideStageCondition", overriding(name, &second, "ON_SUCCESS")).await;
    assert_eq!(exception, "NotLatestPipelineExecutionException", "the rollback has the stage");
    let none: Vec<(String, String)> = Vec::new();
    let skipped = rules(&world, name, &text(&rollback["pipelineExecutionId"])).await;
    assert_eq!(skipped, none, "a rollback passes the conditions");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_condition_that_failed_the_stage_is_overridden() {
    let world = World::start().await;
    let (name, member) = ("refused", "beforeEntryConditionState");
    world.buckets(name).await;
    let mut pipeline = pipeline(name, &[publish(name, 1)]);
    pipeline["stages"][1]["beforeEntry"] = json!({ "conditions": [{ "result": "FAIL", "rules": [{
        "name": "Errors",
        "ruleTypeId": { "category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1" },
        "configuration": { "Variable": "#{Src.VersionId}", "Value": "another", "Operator": "EQ" },
    }]}]});
    world.create(&pipeline).await;
    let execution = start(&world, name, "one").await;
    assert_eq!(world.ended(name, &execution).await["status"], "Failed");
    assert!(world.keys("refused-site").await.is_empty());
    world.call("OverrideStageCondition", overriding(name, &execution, "BEFORE_ENTRY")).await;
    assert_eq!(world.ended(name, &execution).await["status"], "Succeeded");
    assert_eq!(world.page(name).await, "one");
    seen(&world, name, member, &execution, "Overridden").await;
    assert_eq!(rules(&world, name, &execution).await, rule("Failed"), "what was found stays as it was found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_lets_a_release_in_through_an_open_window_and_skips_the_next() {
    let world = World::start().await;
    let (name, member) = ("asked", "beforeEntryConditionState");
    world.buckets(name).await;
    world.on_job("doorkeeper", move |client, job| async move {
        let parameters = text(&job["data"]["actionConfiguration"]["configuration"]["UserParameters"]);
        if parameters.ends_with("shut") {
            let details = json!({ "type": "JobFailed", "message": "The door is shut." });
            client.call("PutJobFailureResult", &json!({ "jobId": job["id"], "failureDetails": details })).await?;
        } else {
            client.call("PutJobSuccessResult", &json!({ "jobId": job["id"] })).await?;
        }
        Ok(json!({}))
    });
    let rule = |name: &str, provider: &str, configuration: Value| {
        let id = json!({ "category": "Rule", "owner": "AWS", "provider": provider, "version": "1" });
        json!({ "name": name, "ruleTypeId": id, "configuration": configuration })
    };
    let mut pipeline = pipeline(name, &[publish(name, 1)]);
    pipeline["variables"] = json!([{ "name": "Door", "defaultValue": "open" }]);
    let door =
        rule("Door", "LambdaInvoke", json!({ "FunctionName": "doorkeeper", "UserParameters": "#{variables.Door}" }));
    pipeline["stages"][1]["beforeEntry"] = json!({ "conditions": [{ "result": "SKIP", "rules": [door] }]});
    let always = rule("Always", "DeploymentWindow", json!({ "Cron": "* * * ? * *", "TimeZone": "Asia/Tokyo" }));
    pipeline["stages"][1]["onSuccess"] = json!({ "conditions": [{ "result": "FAIL", "rules": [always] }]});
    world.create(&pipeline).await;

    let first = start(&world, name, "one").await;
    assert_eq!(world.ended(name, &first).await["status"], "Succeeded");
    assert_eq!(world.page(name).await, "one");
    seen(&world, name, member, &first, "Succeeded").await;
    let both =
        [("Always", "Succeeded"), ("Door", "Succeeded")].map(|(rule, status)| (rule.to_owned(), status.to_owned()));
    let mut found = rules(&world, name, &first).await;
    found.sort();
    assert_eq!(found, both);

    let shut = json!({ "name": name, "variables": [{ "name": "Door", "value": "shut" }] });
    let second = world.run(shut).await;
    assert_eq!(second["status"], "Succeeded", "the stage is skipped");
    let second = text(&second["pipelineExecutionId"]);
    let shut = seen(&world, name, member, &second, "Failed").await;
    assert_eq!(shut["latestExecution"]["summary"], "The door is shut.");
    assert_eq!(rules(&world, name, &second).await, [("Door".to_owned(), "Failed".to_owned())]);
}
