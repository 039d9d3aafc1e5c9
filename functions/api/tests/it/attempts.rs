//! What counts of earlier attempts at a stage, and what does not.

use std::sync::atomic::Ordering::SeqCst;

use contract::{ActionInput, ActionOperation, ConditionInput, ConditionOutput, FailureInput, FailureOutput, GateInput};
use domain::{
    AlarmState,
    ConditionKind::{self, BeforeEntry, OnSuccess},
    ExecutionId, GateAnswer, Generation, StageName,
};
use engine::HasMachines;
use serde_json::{Value, json};

use crate::{
    conditions::{Prod, alarm_rule, answered, condition, create, gated, settle, waiting},
    console::page,
    world::{Bench, shop, shop_name},
};

/// `shop` with three people in the place of the function, who are asked one after another.
fn asking_three() -> Value {
    let approval = |name: &str, run_order: u32| {
        let id = json!({"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"});
        json!({"name": name, "runOrder": run_order, "actionTypeId": id})
    };
    let mut pipeline = shop();
    pipeline["stages"][1]["actions"] = json!([approval("First", 1), approval("Second", 2), approval("Third", 3)]);
    pipeline
}

/// An attempt at Prod, as its state machine is told of it.
struct Attempt {
    execution: ExecutionId,
    stage: StageName,
    generation: Generation,
    number: u32,
    /// What it has to run.
    actions: Vec<String>,
    asks_to_enter: bool,
}

impl Attempt {
    /// Lets the execution go on until it is in Prod.
    async fn begin(bench: &Bench, execution: ExecutionId) -> Self {
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
            Box::pin(engine::pass_gate(&bench.world, &input)).await.unwrap();
            let answer = bench.world.machines().answers.lock().unwrap().remove(&token).unwrap();
            let answer: GateAnswer = serde_json::from_value(answer).unwrap();
            let GateAnswer::RunStage { stage, generation, attempt, groups, entry_condition, .. } = answer.clone()
            else {
                panic!("{execution} does not reach Prod")
            };
            if stage.as_str() == "Prod" {
                let actions = groups.iter().flatten().map(|step| step.name.to_string()).collect();
                return Self { execution, stage, generation, number: attempt, actions, asks_to_enter: entry_condition };
            }
            finished = Some(bench.run_stage(execution, answer).await.0);
        }
    }

    async fn retried(bench: &Bench, execution: ExecutionId, mode: &str) -> Self {
        let input =
            json!({"pipelineName": "shop", "stageName": "Prod", "pipelineExecutionId": execution, "retryMode": mode});
        bench.ok("RetryStageExecution", input).await;
        Self::begin(bench, execution).await
    }

    /// Begins an approval, and answers it.
    async fn act(&self, bench: &Bench, action: &str, status: &str) {
        let input = ActionInput {
            operation: ActionOperation::Run,
            pipeline: shop_name(),
            execution_id: self.execution,
            stage: self.stage.clone(),
            generation: self.generation,
            attempt: self.number,
            action: action.parse().unwrap(),
            rule: None,
            token: Some(format!("{action} {}", self.number)),
            report: None,
            file: None,
        };
        Box::pin(engine::run_action(&bench.world, &input, &|| false)).await.unwrap();
        let shown = prod(bench).await;
        let actions = shown["actionStates"].as_array().unwrap();
        let asked = actions.iter().find(|one| one["actionName"] == action).unwrap();
        let answer = json!({"pipelineName": "shop", "stageName": "Prod", "actionName": action,
            "token": asked["latestExecution"]["token"], "result": {"summary": "looked at it", "status": status}});
        bench.ok("PutApprovalResult", answer).await;
    }

    async fn asks(&self, bench: &Bench, condition: ConditionKind) -> ConditionOutput {
        let input = ConditionInput {
            pipeline: shop_name(),
            execution_id: self.execution,
            stage: self.stage.clone(),
            generation: self.generation,
            condition,
            attempt: self.number,
            since: None,
            token: None,
        };
        Box::pin(engine::evaluate_condition(&bench.world, &input)).await.unwrap()
    }

    /// Ends it, for an action or for `condition`, as the state machine has it settled.
    async fn fails(&self, bench: &Bench, condition: Option<ConditionKind>) {
        let input = FailureInput {
            pipeline: shop_name(),
            execution_id: self.execution,
            stage: self.stage.clone(),
            generation: self.generation,
            attempt: self.number,
            condition,
            evaluated: Some(false),
        };
        let answer = Box::pin(engine::evaluate_failure(&bench.world, &input)).await.unwrap();
        assert_eq!(answer, FailureOutput::End);
    }
}

/// The stage Prod as clients see it.
async fn prod(bench: &Bench) -> Value {
    bench.ok("GetPipelineState", json!({"name": "shop"})).await["stageStates"][1].clone()
}

/// The first execution of `pipeline`, in Prod.
async fn first(bench: &Bench, pipeline: &Value) -> Attempt {
    bench.ok("CreatePipeline", json!({ "pipeline": pipeline })).await;
    Attempt::begin(bench, bench.newest().await).await
}

/// An execution whose actions in Prod succeeded and whose success condition has failed the stage.
async fn refused() -> (Bench, Prod) {
    let bench = Bench::new().await;
    bench.alarms.set("errors", AlarmState::Alarm);
    let mut pipeline = shop();
    pipeline["stages"][1]["onSuccess"] = json!({"conditions": [{"result": "FAIL", "rules": [alarm_rule("errors")]}]});
    let prod = create(&bench, &pipeline).await;
    assert_eq!(prod.ask(&bench, OnSuccess).await, ConditionOutput::Fail);
    settle(&bench, &prod, OnSuccess).await;
    (bench, prod)
}

#[tokio::test]
async fn what_was_to_be_done_anew_is_not_done_by_an_earlier_attempt() {
    let bench = Bench::new().await;
    let one = first(&bench, &asking_three()).await;
    let execution = one.execution;
    one.act(&bench, "First", "Approved").await;
    one.act(&bench, "Second", "Approved").await;
    one.act(&bench, "Third", "Rejected").await;
    one.fails(&bench, None).await;

    let two = Attempt::retried(&bench, execution, "ALL_ACTIONS").await;
    assert_eq!((two.number, two.actions.len()), (2, 3));
    two.act(&bench, "First", "Approved").await;
    let stop = json!({"pipelineName": "shop", "pipelineExecutionId": execution, "abandon": false});
    bench.ok("StopPipelineExecution", stop).await;
    two.fails(&bench, None).await;

    let three = Attempt::retried(&bench, execution, "FAILED_ACTIONS").await;
    assert_eq!(three.actions, ["Second", "Third"]);
    three.act(&bench, "Second", "Approved").await;
    three.act(&bench, "Third", "Rejected").await;
    three.fails(&bench, None).await;
    let four = Attempt::retried(&bench, execution, "FAILED_ACTIONS").await;
    assert_eq!(four.actions, ["Third"], "what an attempt kept is kept by the next one, too");
}

#[tokio::test]
async fn a_gate_that_refused_an_attempt_is_asked_by_the_next() {
    let bench = Bench::new().await;
    bench.alarms.set("errors", AlarmState::Ok);
    let mut pipeline = asking_three();
    pipeline["stages"][1]["beforeEntry"] = json!({"conditions": [{"result": "FAIL", "rules": [alarm_rule("errors")]}]});
    let one = first(&bench, &pipeline).await;
    let execution = one.execution;
    assert!(one.asks_to_enter);
    assert_eq!(one.asks(&bench, BeforeEntry).await, ConditionOutput::Proceed);
    one.act(&bench, "First", "Approved").await;
    one.act(&bench, "Second", "Rejected").await;
    one.fails(&bench, None).await;

    bench.alarms.denied.store(true, SeqCst);
    let two = Attempt::retried(&bench, execution, "ALL_ACTIONS").await;
    assert!(two.asks_to_enter);
    assert_eq!(two.asks(&bench, BeforeEntry).await, ConditionOutput::Fail);
    two.fails(&bench, Some(BeforeEntry)).await;

    let three = Attempt::retried(&bench, execution, "FAILED_ACTIONS").await;
    assert!(three.asks_to_enter);
    assert_eq!(three.actions, ["First", "Second", "Third"]);
    bench.alarms.denied.store(false, SeqCst);
    assert_eq!(three.asks(&bench, BeforeEntry).await, ConditionOutput::Proceed);
    three.act(&bench, "First", "Approved").await;
    three.act(&bench, "Second", "Rejected").await;
    three.fails(&bench, None).await;
    let four = Attempt::retried(&bench, execution, "FAILED_ACTIONS").await;
    assert!(!four.asks_to_enter, "it is past the gate");
    assert_eq!(four.actions, ["Second", "Third"]);
}

#[tokio::test]
async fn only_what_failed_the_last_attempt_is_overridden() {
    const BUTTON: &str = "/stages/Prod/override";
    let (bench, prod_of) = refused().await;
    assert!(page(&bench, "/pipelines/shop").await.contains(BUTTON));
    let again = Attempt::retried(&bench, prod_of.execution, "ALL_ACTIONS").await;
    again.fails(&bench, None).await;
    let input = prod_of.override_input("ON_SUCCESS");
    let late = (input, "ConditionNotOverridableException", "retried or stopped since");
    bench.refuses("OverrideStageCondition", &[late]).await;
    assert_eq!(prod(&bench).await["latestExecution"]["status"], "Failed");
    assert!(!page(&bench, "/pipelines/shop").await.contains(BUTTON));

    // So with a gate that was not even asked by the last attempt.
    let bench = Bench::new().await;
    let prod_of = create(&bench, &gated("FAIL", json!([alarm_rule("gone")]))).await;
    assert_eq!(prod_of.ask(&bench, BeforeEntry).await, ConditionOutput::Fail);
    settle(&bench, &prod_of, BeforeEntry).await;
    let again = Attempt::retried(&bench, prod_of.execution, "FAILED_ACTIONS").await;
    again.fails(&bench, Some(BeforeEntry)).await;
    let input = prod_of.override_input("BEFORE_ENTRY");
    let late = (input, "ConditionNotOverridableException", "retried or stopped since");
    bench.refuses("OverrideStageCondition", &[late]).await;
}

#[tokio::test]
async fn an_override_is_no_retry() {
    let (bench, prod_of) = refused().await;
    bench.ok("OverrideStageCondition", prod_of.override_input("ON_SUCCESS")).await;
    let again = Attempt::begin(&bench, prod_of.execution).await;
    assert_eq!((again.number, again.actions.len()), (2, 0));
    assert_eq!(again.asks(&bench, OnSuccess).await, ConditionOutput::Proceed);
    let shown = prod(&bench).await;
    assert_eq!((&shown["latestExecution"]["status"], shown.get("retryStageMetadata")), (&json!("InProgress"), None));
}

#[tokio::test]
async fn an_update_cancels_a_condition_that_waits() {
    let (bench, _) = waiting().await;
    bench.ok("UpdatePipeline", json!({"pipeline": gated("FAIL", json!([alarm_rule("errors")]))})).await;
    assert_eq!(answered(&bench, "wait"), Some(json!({"next": "Fail"})));
    let seen = condition(&bench, "beforeEntryConditionState").await;
    assert_eq!(seen["latestExecution"]["status"], "Cancelled");
    assert_eq!(seen["conditionStates"][0]["ruleStates"][0]["latestExecution"]["status"], "Abandoned");
}
