//! Conditions of stages: what clients see of them, and overriding them.

use std::sync::atomic::Ordering::SeqCst;

use contract::{ConditionInput, ConditionOutput, FailureInput, FailureOutput, GateInput};
use domain::{AlarmState, ConditionKind, ExecutionId, GateAnswer, Generation, StageReport, StageResult};
use engine::HasMachines;
use serde_json::{Value, json};

use crate::{
    cloud::alarm_arn,
    world::{ANA, Bench, NOBODY, id, shop, shop_name},
};

/// The alarm must be good before Prod is entered, for up to half an hour.
pub(crate) fn gated(result: &str, rules: Value) -> Value {
    let mut pipeline = shop();
    pipeline["stages"][1]["beforeEntry"] = json!({"conditions": [{"result": result, "rules": rules}]});
    pipeline
}

pub(crate) fn alarm_rule(name: &str) -> Value {
    json!({
        "name": name,
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1"},
        "configuration": {"AlarmName": name, "WaitTime": "30"},
    })
}

fn variable_rule(value: &str) -> Value {
    json!({
        "name": "color",
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"},
        "configuration": {"Variable": "#{variables.Color}", "Value": value, "Operator": "EQ"},
    })
}

/// What the state machine of Prod asks in the execution's name.
pub(crate) struct Prod {
    pub(crate) execution: ExecutionId,
    generation: Generation,
    /// How many actions are to run.
    actions: usize,
}

impl Prod {
    /// Brings `execution` into Prod, up to its conditions.
    pub(crate) async fn enter(bench: &Bench, execution: ExecutionId) -> Self {
        let mut finished = None;
        loop {
            let token = format!("gate {execution} {}", finished.is_some());
            let input = GateInput {
                pipeline: shop_name(),
                execution_id: execution,
                token: token.clone(),
                machine: None,
                finished,
            };
            engine::pass_gate(&bench.world, &input).await.unwrap();
            let answer = bench.world.machines().answers.lock().unwrap().remove(&token).unwrap();
            let answer: GateAnswer = serde_json::from_value(answer).unwrap();
            let GateAnswer::RunStage { stage, generation, groups, .. } = &answer else {
                panic!("{execution} does not reach Prod")
            };
            if stage.as_str() == "Prod" {
                return Self { execution, generation: *generation, actions: groups.iter().map(Vec::len).sum() };
            }
            finished = Some(bench.run_stage(execution, answer).await.0);
        }
    }

    fn asks(&self, condition: ConditionKind, token: Option<&str>) -> ConditionInput {
        ConditionInput {
            pipeline: shop_name(),
            execution_id: self.execution,
            stage: "Prod".parse().unwrap(),
            generation: self.generation,
            condition,
            attempt: 1,
            since: None,
            token: token.map(str::to_owned),
        }
    }

    pub(crate) async fn ask(&self, bench: &Bench, condition: ConditionKind) -> ConditionOutput {
        engine::evaluate_condition(&bench.world, &self.asks(condition, None)).await.unwrap()
    }

    /// Waits for `token` to be answered.
    pub(crate) async fn wait(&self, bench: &Bench, condition: ConditionKind, token: &str) -> ConditionOutput {
        engine::evaluate_condition(&bench.world, &self.asks(condition, Some(token))).await.unwrap()
    }

    pub(crate) fn override_input(&self, condition: &str) -> Value {
        json!({"pipelineName": "shop", "stageName": "Prod", "pipelineExecutionId": self.execution,
            "conditionType": condition})
    }

    /// What settles the stage run that `condition` has failed.
    pub(crate) fn failed_by(&self, condition: ConditionKind, attempt: u32) -> FailureInput {
        FailureInput {
            pipeline: shop_name(),
            execution_id: self.execution,
            stage: "Prod".parse().unwrap(),
            generation: self.generation,
            attempt,
            evaluated: Some(false),
            condition: Some(condition),
        }
    }
}

pub(crate) async fn create(bench: &Bench, pipeline: &Value) -> Prod {
    bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    Prod::enter(bench, bench.newest().await).await
}

/// A bench whose execution waits before Prod for the red alarm `errors`.
pub(crate) async fn waiting() -> (Bench, Prod) {
    let bench = Bench::new().await;
    bench.alarms.set("errors", AlarmState::Alarm);
    let prod = create(&bench, &gated("FAIL", json!([alarm_rule("errors")]))).await;
    let answer = prod.wait(&bench, ConditionKind::BeforeEntry, "wait").await;
    assert!(matches!(answer, ConditionOutput::Wait { .. }), "{answer:?}");
    (bench, prod)
}

/// The state of a condition of Prod, without instants, which must be there, and ids.
pub(crate) async fn condition(bench: &Bench, member: &str) -> Value {
    let state = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    let mut condition = state["stageStates"][1][member].clone();
    if let Some(one) = condition.pointer_mut("/conditionStates/0/latestExecution") {
        assert!(one.as_object_mut().unwrap().remove("lastStatusChange").unwrap().is_f64());
    }
    for rule in condition.pointer_mut("/conditionStates/0/ruleStates").unwrap().as_array_mut().unwrap() {
        if let Some(run) = rule.get_mut("latestExecution").and_then(Value::as_object_mut) {
            assert!(run.remove("lastStatusChange").unwrap().is_f64());
            assert!(run.remove("ruleExecutionId").unwrap().is_string());
        }
    }
    condition
}

pub(crate) async fn rule_executions(bench: &Bench, input: Value) -> Vec<Value> {
    let page = bench.ok("ListRuleExecutions", input).await;
    page["ruleExecutionDetails"].as_array().unwrap().clone()
}

pub(crate) fn answered(bench: &Bench, token: &str) -> Option<Value> {
    bench.world.machines().answers.lock().unwrap().get(token).cloned()
}

#[tokio::test]
async fn declared_rules_are_shown_before_anybody_evaluates_them() {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({"pipeline": gated("FAIL", json!([alarm_rule("errors")]))})).await;
    assert_eq!(
        condition(&bench, "beforeEntryConditionState").await,
        json!({"conditionStates": [{"ruleStates": [{"ruleName": "errors"}]}]})
    );
    let state = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    assert!(state["stageStates"][1].get("onSuccessConditionState").is_none());
    assert!(state["stageStates"][0].get("beforeEntryConditionState").is_none());
}

#[tokio::test]
async fn a_condition_that_waits_is_shown_with_its_rules() {
    let (bench, prod) = waiting().await;
    let seen = condition(&bench, "beforeEntryConditionState").await;
    let summary = "Alarm errors is in state ALARM. Waiting for it to change until ";
    assert_eq!(seen["latestExecution"]["status"], "InProgress");
    let one = &seen["conditionStates"][0];
    assert_eq!(one["latestExecution"]["status"], "InProgress");
    let rule = &one["ruleStates"][0];
    assert_eq!((&rule["ruleName"], &rule["latestExecution"]["status"]), (&json!("errors"), &json!("InProgress")));
    assert!(rule["latestExecution"]["summary"].as_str().unwrap().starts_with(summary), "{rule}");
    assert_eq!(
        rule["entityUrl"],
        "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#alarmsV2:alarm/errors"
    );

    let runs = rule_executions(&bench, json!({"pipelineName": "shop"})).await;
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    let told = json!({"pipelineExecutionId": prod.execution, "pipelineVersion": 1, "stageName": "Prod",
        "ruleName": "errors", "status": "InProgress"});
    for (member, value) in told.as_object().unwrap() {
        assert_eq!(run[member], *value, "{member}");
    }
    assert!(run["startTime"].is_f64() && run["lastUpdateTime"].is_f64(), "{run}");
    assert_eq!(
        run["input"],
        json!({
            "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1"},
            "configuration": {"AlarmName": "errors", "WaitTime": "30"},
            "resolvedConfiguration": {"AlarmName": "errors", "WaitTime": "30"},
            "roleArn": "arn:aws:iam::111122223333:role/pipeline", "region": "eu-west-1", "inputArtifacts": [],
        })
    );
}

#[tokio::test]
async fn a_wait_that_goes_on_unchanged_writes_nothing() {
    let (bench, _) = waiting().await;
    let state = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    let usage = || engine::HasStore::store(&bench.world).usage();
    let before = usage().requests();
    assert_eq!(bench.ok("GetPipelineState", json!({"name": "shop"})).await, state);
    assert_eq!(usage().requests() - before, 1, "the state stays one request");
    for _ in 0..3 {
        assert_eq!(engine::look_at_conditions(&bench.world, &alarm_arn("errors")).await.unwrap(), 0);
    }
    assert_eq!(bench.ok("GetPipelineState", json!({"name": "shop"})).await, state);
    assert_eq!(answered(&bench, "wait"), None);
}

#[tokio::test]
async fn a_wait_ends_when_the_alarm_changes() {
    let (bench, prod) = waiting().await;
    bench.alarms.set("errors", AlarmState::Ok);
    assert_eq!(engine::look_at_conditions(&bench.world, &alarm_arn("other")).await.unwrap(), 0);
    assert_eq!(engine::look_at_conditions(&bench.world, &alarm_arn("errors")).await.unwrap(), 1);
    assert_eq!(answered(&bench, "wait"), Some(json!({"next": "Proceed"})));
    assert_eq!(condition(&bench, "beforeEntryConditionState").await["latestExecution"]["status"], "Succeeded");
    // Whoever asks once more hears the same, whatever the alarm says by then.
    bench.alarms.set("errors", AlarmState::Alarm);
    assert_eq!(prod.ask(&bench, ConditionKind::BeforeEntry).await, ConditionOutput::Proceed);
    assert_eq!(engine::look_at_conditions(&bench.world, &alarm_arn("errors")).await.unwrap(), 0, "none is open");
}

#[tokio::test]
async fn an_overridden_condition_lets_the_stage_go_on_at_once() {
    let (bench, prod) = waiting().await;
    let input = prod.override_input("BEFORE_ENTRY");
    assert_eq!(bench.ok("OverrideStageCondition", input.clone()).await, Value::Null, "there is no output");
    assert_eq!(answered(&bench, "wait"), Some(json!({"next": "Proceed"})));
    let by = format!("Overridden by {ANA}.");
    let seen = condition(&bench, "beforeEntryConditionState").await;
    assert_eq!(seen["latestExecution"], json!({"status": "Overridden", "summary": by}));
    let rule = &seen["conditionStates"][0]["ruleStates"][0]["latestExecution"];
    assert_eq!((&rule["status"], &rule["lastUpdatedBy"]), (&json!("Abandoned"), &json!(ANA)));
    let runs = rule_executions(&bench, json!({"pipelineName": "shop"})).await;
    assert_eq!((&runs[0]["status"], &runs[0]["updatedBy"]), (&json!("Abandoned"), &json!(ANA)));
    assert_eq!(prod.ask(&bench, ConditionKind::BeforeEntry).await, ConditionOutput::Proceed);
    bench.refuses("OverrideStageCondition", &[(input, "ConditionNotOverridableException", "overridden already")]).await;
}

#[tokio::test]
async fn a_bake_is_overridden() {
    let bench = Bench::new().await;
    bench.alarms.set("errors", AlarmState::Ok);
    let mut pipeline = shop();
    pipeline["stages"][1]["onSuccess"] =
        json!({"conditions": [{"result": "ROLLBACK", "rules": [alarm_rule("errors")]}]});
    let prod = create(&bench, &pipeline).await;
    let ConditionOutput::Wait { seconds, .. } = prod.wait(&bench, ConditionKind::OnSuccess, "bake").await else {
        panic!("it bakes")
    };
    assert!((1700..=1800).contains(&seconds), "{seconds}");
    bench.ok("OverrideStageCondition", prod.override_input("ON_SUCCESS")).await;
    assert_eq!(answered(&bench, "bake"), Some(json!({"next": "Proceed"})));
    assert_eq!(condition(&bench, "onSuccessConditionState").await["latestExecution"]["status"], "Overridden");
}

/// Ends the stage run that failed for its condition, as the state machine has it settled.
pub(crate) async fn settle(bench: &Bench, prod: &Prod, condition: ConditionKind) {
    let input = prod.failed_by(condition, 1);
    assert_eq!(engine::evaluate_failure(&bench.world, &input).await.unwrap(), FailureOutput::End);
    let execution = json!({"pipelineName": "shop", "pipelineExecutionId": prod.execution});
    let execution = bench.ok("GetPipelineExecution", execution).await;
    assert_eq!(execution["pipelineExecution"]["status"], "Failed");
}

#[tokio::test]
async fn an_entry_condition_that_failed_the_stage_is_overridden_and_its_actions_run() {
    let bench = Bench::new().await;
    let prod = create(&bench, &gated("FAIL", json!([variable_rule("red")]))).await;
    assert_eq!(prod.ask(&bench, ConditionKind::BeforeEntry).await, ConditionOutput::Fail);
    settle(&bench, &prod, ConditionKind::BeforeEntry).await;
    bench.ok("OverrideStageCondition", prod.override_input("BEFORE_ENTRY")).await;
    assert!(bench.started_machines().contains(&format!("{}-2", prod.execution)), "a new attempt drives it");
    assert_eq!(condition(&bench, "beforeEntryConditionState").await["latestExecution"]["status"], "Overridden");

    let again = Prod::enter(&bench, prod.execution).await;
    assert!(again.generation > prod.generation);
    let asked = ConditionInput { attempt: 2, ..again.asks(ConditionKind::BeforeEntry, None) };
    let answer = engine::evaluate_condition(&bench.world, &asked).await.unwrap();
    assert_eq!(answer, ConditionOutput::Proceed, "it holds the stage up no more");
    assert_eq!(again.actions, 1, "its actions are still to run");
}

#[tokio::test]
async fn a_success_condition_that_failed_the_stage_is_overridden_and_no_action_runs_again() {
    let bench = Bench::new().await;
    bench.alarms.set("errors", AlarmState::Alarm);
    let mut pipeline = shop();
    pipeline["stages"][1]["onSuccess"] = json!({"conditions": [{"result": "FAIL", "rules": [alarm_rule("errors")]}]});
    let prod = create(&bench, &pipeline).await;
    assert_eq!(prod.ask(&bench, ConditionKind::OnSuccess).await, ConditionOutput::Fail);
    settle(&bench, &prod, ConditionKind::OnSuccess).await;
    bench.ok("OverrideStageCondition", prod.override_input("ON_SUCCESS")).await;

    let again = Prod::enter(&bench, prod.execution).await;
    assert_eq!(again.actions, 0, "nothing is left to run");
    let asked = ConditionInput { attempt: 2, ..again.asks(ConditionKind::OnSuccess, None) };
    let answer = engine::evaluate_condition(&bench.world, &asked).await.unwrap();
    assert_eq!(answer, ConditionOutput::Proceed);
}

#[tokio::test]
async fn a_stop_ends_the_wait_at_once() {
    for abandon in [false, true] {
        let (bench, prod) = waiting().await;
        let stop = json!({"pipelineName": "shop", "pipelineExecutionId": prod.execution, "abandon": abandon});
        bench.ok("StopPipelineExecution", stop).await;
        assert_eq!(answered(&bench, "wait"), Some(json!({"next": "Fail"})), "abandon: {abandon}");
        let seen = condition(&bench, "beforeEntryConditionState").await;
        assert_eq!(seen["latestExecution"]["status"], "Abandoned", "abandon: {abandon}");
        let runs = rule_executions(&bench, json!({"pipelineName": "shop"})).await;
        assert_eq!(runs[0]["status"], "Abandoned");
        let refused = prod.override_input("BEFORE_ENTRY");
        bench.refuses("OverrideStageCondition", &[(refused, "ConditionNotOverridableException", "ended")]).await;
    }
}

#[tokio::test]
async fn what_cannot_be_overridden_is_refused() {
    let (bench, prod) = waiting().await;
    let with = |member: &str, value: Value| {
        let mut input = prod.override_input("BEFORE_ENTRY");
        input[member] = value;
        input
    };
    bench
        .refuses(
            "OverrideStageCondition",
            &[
                (with("pipelineName", json!("blog")), "PipelineNotFoundException", "'blog'"),
                (with("stageName", json!("Test")), "StageNotFoundException", "Test"),
                (with("pipelineExecutionId", json!(NOBODY)), "NotLatestPipelineExecutionException", NOBODY),
                (with("stageName", json!("Source")), "ConditionNotOverridableException", "no such condition"),
                (with("conditionType", json!("ON_SUCCESS")), "ConditionNotOverridableException", "no such condition"),
                (with("conditionType", json!("ON_FAILURE")), "ValidationException", "conditionType"),
                (with("pipelineExecutionId", json!("x")), "ValidationException", "pipelineExecutionId"),
            ],
        )
        .await;
    // The next release waits before the stage: it is not the one whose condition is evaluated.
    let next = bench.start().await;
    bench.drive(next, None).await;
    let not_inside = with("pipelineExecutionId", json!(next));
    bench.refuses("OverrideStageCondition", &[(not_inside, "NotLatestPipelineExecutionException", "latest one")]).await;
}

#[tokio::test]
async fn nothing_is_overridden_before_it_is_evaluated_nor_after_it_succeeded() {
    let bench = Bench::new().await;
    let prod = create(&bench, &gated("FAIL", json!([variable_rule("green")]))).await;
    let input = prod.override_input("BEFORE_ENTRY");
    let refused = "ConditionNotOverridableException";
    bench.refuses("OverrideStageCondition", &[(input.clone(), refused, "not being evaluated")]).await;
    assert_eq!(prod.ask(&bench, ConditionKind::BeforeEntry).await, ConditionOutput::Proceed);
    bench.refuses("OverrideStageCondition", &[(input, refused, "has succeeded")]).await;
    let seen = condition(&bench, "beforeEntryConditionState").await;
    assert_eq!(seen["latestExecution"], json!({"status": "Succeeded", "summary": "All rules succeeded."}));
}

#[tokio::test]
async fn a_skip_is_not_overridden() {
    let bench = Bench::new().await;
    let prod = create(&bench, &gated("SKIP", json!([variable_rule("red")]))).await;
    assert_eq!(prod.ask(&bench, ConditionKind::BeforeEntry).await, ConditionOutput::Skip);
    assert_eq!(prod.ask(&bench, ConditionKind::BeforeEntry).await, ConditionOutput::Skip, "asked again");
    let input = prod.override_input("BEFORE_ENTRY");
    bench.refuses("OverrideStageCondition", &[(input, "ConditionNotOverridableException", "SKIP")]).await;
}

#[tokio::test]
async fn a_rule_that_cannot_tell_makes_the_condition_errored_and_the_stage_stays_shut() {
    for (denied, code, word) in [(false, "ConfigurationError", "no alarm gone"), (true, "PermissionError", "may not")] {
        let bench = Bench::new().await;
        bench.alarms.denied.store(denied, SeqCst);
        let rules = json!([alarm_rule("gone"), variable_rule("green")]);
        let prod = create(&bench, &gated("FAIL", rules)).await;
        assert_eq!(prod.ask(&bench, ConditionKind::BeforeEntry).await, ConditionOutput::Fail);
        let seen = condition(&bench, "beforeEntryConditionState").await;
        assert_eq!(seen["latestExecution"]["status"], "Errored");
        let states = seen["conditionStates"][0]["ruleStates"].as_array().unwrap();
        let statuses: Vec<_> = states.iter().map(|rule| &rule["latestExecution"]["status"]).collect();
        assert_eq!(statuses, ["Failed", "Succeeded"]);
        let error = &states[0]["latestExecution"]["errorDetails"];
        assert_eq!(error["code"], code);
        assert!(error["message"].as_str().unwrap().contains(word), "{error}");
        let runs = rule_executions(&bench, json!({"pipelineName": "shop"})).await;
        let failed = runs.iter().find(|run| run["ruleName"] == "gone").unwrap();
        assert_eq!(failed["output"]["executionResult"]["errorDetails"]["code"], code);
    }
}

#[tokio::test]
async fn rule_executions_are_listed_newest_first_page_by_page() {
    let bench = Bench::new().await;
    let first = create(&bench, &gated("FAIL", json!([variable_rule("red")]))).await;
    first.ask(&bench, ConditionKind::BeforeEntry).await;
    let input = |filter: Value| json!({"pipelineName": "shop", "filter": filter});
    let report =
        StageReport { stage: "Prod".parse().unwrap(), generation: first.generation, status: StageResult::Failed };
    bench.drive(first.execution, Some(report)).await;
    let second = Prod::enter(&bench, bench.start().await).await;
    second.ask(&bench, ConditionKind::BeforeEntry).await;

    let all = rule_executions(&bench, json!({"pipelineName": "shop"})).await;
    let executions: Vec<_> = all.iter().map(|run| id(&run["pipelineExecutionId"])).collect();
    assert_eq!(executions, [second.execution, first.execution]);
    let of_first = rule_executions(&bench, input(json!({"pipelineExecutionId": first.execution}))).await;
    assert_eq!(of_first, [all[1].clone()]);
    for range in ["Latest", "All"] {
        let latest = json!({"latestInPipelineExecution":
            {"pipelineExecutionId": second.execution, "startTimeRange": range}});
        assert_eq!(rule_executions(&bench, input(latest)).await, [all[0].clone()], "{range}");
    }
    let mut page = bench.ok("ListRuleExecutions", json!({"pipelineName": "shop", "maxResults": 1})).await;
    assert_eq!(page["ruleExecutionDetails"], json!([all[0]]));
    let next = json!({"pipelineName": "shop", "maxResults": 1, "nextToken": page["nextToken"].take()});
    let last = bench.ok("ListRuleExecutions", next).await;
    assert_eq!(last, json!({"ruleExecutionDetails": [all[1]]}));
}

#[tokio::test]
async fn rule_executions_that_cannot_be_listed_are_refused() {
    let (bench, first) = Bench::with_release().await;
    assert_eq!(
        bench.ok("ListRuleExecutions", json!({"pipelineName": "shop"})).await,
        json!({"ruleExecutionDetails": []})
    );
    let filter = |filter: Value| json!({"pipelineName": "shop", "filter": filter});
    let latest = json!({"pipelineExecutionId": NOBODY, "startTimeRange": "Latest"});
    bench
        .refuses(
            "ListRuleExecutions",
            &[
                (json!({"pipelineName": "blog"}), "PipelineNotFoundException", "'blog'"),
                (filter(json!({"pipelineExecutionId": NOBODY})), "PipelineExecutionNotFoundException", NOBODY),
                (filter(json!({"latestInPipelineExecution": latest})), "PipelineExecutionNotFoundException", NOBODY),
                (
                    filter(json!({"pipelineExecutionId": first, "latestInPipelineExecution": latest})),
                    "ValidationException",
                    "two executions",
                ),
                (json!({"pipelineName": "shop", "nextToken": "x"}), "InvalidNextTokenException", "token"),
                (json!({"pipelineName": "shop", "maxResults": 0}), "ValidationException", "maxResults"),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_condition_whose_execution_lost_the_stage_is_cancelled() {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({"pipeline": gated("FAIL", json!([alarm_rule("errors")]))})).await;
    let first = bench.newest().await;
    bench.pass(first).await;

    bench.alarms.set("errors", AlarmState::Alarm);
    let second = Prod::enter(&bench, bench.start().await).await;
    second.wait(&bench, ConditionKind::BeforeEntry, "second").await;
    let back = json!({"pipelineName": "shop", "stageName": "Prod", "targetPipelineExecutionId": first});
    bench.ok("RollbackStage", back).await;
    assert_eq!(condition(&bench, "beforeEntryConditionState").await["latestExecution"]["status"], "Cancelled");
    let refused = second.override_input("BEFORE_ENTRY");
    bench.refuses("OverrideStageCondition", &[(refused, "NotLatestPipelineExecutionException", "latest one")]).await;
    bench.reconcile().await;
    assert_eq!(answered(&bench, "second"), Some(json!({"next": "Fail"})));
    let runs = rule_executions(&bench, json!({"pipelineName": "shop"})).await;
    assert_eq!(runs[0]["status"], "Abandoned");
    assert_eq!(condition(&bench, "beforeEntryConditionState").await["latestExecution"]["status"], "Cancelled");
}

#[tokio::test]
async fn executions_side_by_side_have_conditions_of_their_own() {
    let bench = Bench::new().await;
    bench.alarms.set("errors", AlarmState::Alarm);
    let mut pipeline = gated("FAIL", json!([alarm_rule("errors")]));
    pipeline["executionMode"] = json!("PARALLEL");
    let first = create(&bench, &pipeline).await;
    let second = Prod::enter(&bench, bench.start().await).await;
    first.wait(&bench, ConditionKind::BeforeEntry, "first").await;
    second.wait(&bench, ConditionKind::BeforeEntry, "second").await;
    bench.ok("OverrideStageCondition", first.override_input("BEFORE_ENTRY")).await;
    assert_eq!(answered(&bench, "first"), Some(json!({"next": "Proceed"})));
    assert_eq!(answered(&bench, "second"), None);
    let runs = rule_executions(&bench, json!({"pipelineName": "shop"})).await;
    let statuses: Vec<_> = runs.iter().map(|run| &run["status"]).collect();
    assert_eq!(statuses, ["InProgress", "Abandoned"]);
    let seen = condition(&bench, "beforeEntryConditionState").await;
    assert!(seen.get("latestExecution").is_none(), "a PARALLEL pipeline shows no executions: {seen}");
}
