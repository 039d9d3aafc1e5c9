//! A condition has failed a stage: what speaks against what was deployed, and what does not.

use contract::{ActionInput, ActionOperation, FailureInput, FailureOutput};
use domain::{
    AlarmState,
    ConditionKind::{BeforeEntry, OnSuccess},
};
use serde_json::{Value, json};

use crate::{
    conditions::{Prod, alarm_rule, gated, settle},
    world::{Bench, shop},
};

/// An execution in Prod after a good release, in `pipeline` with this `onFailure`.
async fn inside(mut pipeline: Value, on_failure: Value) -> (Bench, Prod) {
    let (bench, _) = Bench::with_release().await;
    pipeline["stages"][1]["onFailure"] = on_failure;
    bench.ok("UpdatePipeline", json!({"pipeline": pipeline})).await;
    let prod = Prod::enter(&bench, bench.start().await).await;
    (bench, prod)
}

/// `shop` with a success condition on the alarm `errors`.
fn baked(result: &str) -> Value {
    let mut pipeline = shop();
    let rules = json!([alarm_rule("errors")]);
    pipeline["stages"][1]["onSuccess"] = json!({"conditions": [{"result": result, "rules": rules}]});
    pipeline
}

fn back() -> Value {
    json!({"result": "ROLLBACK"})
}

/// How many rollbacks there are.
async fn rollbacks(bench: &Bench) -> usize {
    let listed = bench.ok("ListPipelineExecutions", json!({"pipelineName": "shop"})).await;
    let executions = listed["pipelineExecutionSummaries"].as_array().unwrap().iter();
    executions.filter(|one| one["executionType"] == "ROLLBACK").count()
}

async fn summary(bench: &Bench, prod: &Prod) -> String {
    let input = json!({"pipelineName": "shop", "pipelineExecutionId": prod.execution});
    let execution = bench.ok("GetPipelineExecution", input).await;
    execution["pipelineExecution"]["statusSummary"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_success_condition_that_could_not_tell_takes_nothing_back() {
    for result in ["FAIL", "ROLLBACK"] {
        // There is no such alarm, or the function that looks has failed again and again.
        for (is_evaluated, says) in [(true, "There is no alarm errors"), (false, "could not be evaluated")] {
            let (bench, prod) = inside(baked(result), back()).await;
            if is_evaluated {
                prod.ask(&bench, OnSuccess).await;
            }
            settle(&bench, &prod, OnSuccess).await;
            assert_eq!(rollbacks(&bench).await, 0, "{result}");
            let summary = summary(&bench, &prod).await;
            assert!(summary.contains(says) && summary.contains("speaks against nothing"), "{summary}");
        }
    }
}

#[tokio::test]
async fn a_success_condition_that_waits_when_it_is_given_up_takes_nothing_back() {
    let (bench, prod) = inside(baked("ROLLBACK"), back()).await;
    bench.alarms.set("errors", AlarmState::Ok);
    prod.wait(&bench, OnSuccess, "bake").await;
    settle(&bench, &prod, OnSuccess).await;
    assert_eq!(rollbacks(&bench).await, 0);
    let summary = summary(&bench, &prod).await;
    assert!(summary.contains("could not be evaluated"), "{summary}");
}

#[tokio::test]
async fn a_success_condition_that_failed_goes_back_by_its_own_result_or_by_on_failure() {
    for (result, on_failure, expected) in [
        ("FAIL", back(), 1),
        ("ROLLBACK", json!({"result": "RETRY"}), 1),
        ("FAIL", json!({"conditions": [{"result": "ROLLBACK", "rules": [alarm_rule("errors")]}]}), 1),
        ("FAIL", json!({"conditions": [{"result": "ROLLBACK", "rules": [alarm_rule("other")]}]}), 0),
    ] {
        let (bench, prod) = inside(baked(result), on_failure.clone()).await;
        bench.alarms.set("errors", AlarmState::Alarm);
        prod.ask(&bench, OnSuccess).await;
        settle(&bench, &prod, OnSuccess).await;
        assert_eq!(rollbacks(&bench).await, expected, "{result} {on_failure}");
    }
}

#[tokio::test]
async fn what_failed_the_first_attempt_does_not_speak_against_the_second() {
    let retried = json!({"result": "ROLLBACK", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}});
    let (bench, prod) = inside(baked("FAIL"), retried).await;
    bench.alarms.set("errors", AlarmState::Alarm);
    prod.ask(&bench, OnSuccess).await;
    let first = engine::evaluate_failure(&bench.world, &prod.failed_by(OnSuccess, 1)).await.unwrap();
    assert!(matches!(first, FailureOutput::Retry { attempt: 2, .. }), "{first:?}");
    let second = engine::evaluate_failure(&bench.world, &prod.failed_by(OnSuccess, 2)).await.unwrap();
    assert_eq!((second, rollbacks(&bench).await), (FailureOutput::End, 0));
}

/// The action of Prod fails in the stage run that `failure` settles.
async fn action_fails(bench: &Bench, failure: &FailureInput) {
    let input = ActionInput {
        operation: ActionOperation::Run,
        pipeline: failure.pipeline.clone(),
        execution_id: failure.execution_id,
        stage: failure.stage.clone(),
        generation: failure.generation,
        attempt: failure.attempt,
        action: "Check".parse().unwrap(),
        rule: None,
        token: Some("check".to_owned()),
        report: None,
        file: None,
    };
    Box::pin(engine::run_action(&bench.world, &input, &|| false)).await.unwrap();
    let details = json!({"type": "JobFailed", "message": "The page is blank.", "externalExecutionId": "check-1"});
    bench.ok("PutJobFailureResult", json!({"jobId": bench.job().await, "failureDetails": details})).await;
}

async fn settled(bench: &Bench, failure: &FailureInput) -> FailureOutput {
    Box::pin(engine::evaluate_failure(&bench.world, failure)).await.unwrap()
}

#[tokio::test]
async fn an_entry_condition_that_refuses_the_automatic_retry_leaves_the_failure_as_it_was() {
    let retry = json!({"retryMode": "ALL_ACTIONS"});
    for (on_failure, says, expected) in [
        (json!({"result": "ROLLBACK", "retryConfiguration": retry}), "Rolling back to", 1),
        (json!({"result": "RETRY", "retryConfiguration": retry}), "The automatic retry has failed too", 0),
    ] {
        // Nobody can look at the alarm.
        let (bench, prod) = inside(gated("FAIL", json!([alarm_rule("errors")])), on_failure).await;
        let failure = FailureInput { condition: None, ..prod.failed_by(BeforeEntry, 1) };
        action_fails(&bench, &failure).await;
        for _ in 0..2 {
            let answer = settled(&bench, &failure).await;
            let asks = matches!(answer, FailureOutput::Retry { attempt: 2, entry_condition: true, .. });
            assert!(asks, "also where the answer was lost: {answer:?}");
        }
        let refused = prod.failed_by(BeforeEntry, 2);
        assert_eq!(settled(&bench, &refused).await, FailureOutput::End);
        assert_eq!(rollbacks(&bench).await, expected);
        let summary = summary(&bench, &prod).await;
        assert!(summary.starts_with("The entry condition of stage Prod") && summary.contains(says), "{summary}");
    }
}

#[tokio::test]
async fn an_entry_condition_that_could_not_be_evaluated_leaves_the_stage_shut() {
    for on_failure in [json!({"result": "RETRY"}), back()] {
        let (bench, prod) = inside(gated("FAIL", json!([alarm_rule("errors")])), on_failure).await;
        settle(&bench, &prod, BeforeEntry).await;
        assert_eq!(rollbacks(&bench).await, 0);
        let summary = summary(&bench, &prod).await;
        assert_eq!(summary, "The entry condition of stage Prod could not be evaluated. Nothing was deployed.");
    }
}
