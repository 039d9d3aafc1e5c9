//! Retrying stages.

use domain::{ExecutionId, ExecutionStatus};
use serde_json::{Value, json};

use crate::world::{Bench, Driven, NOBODY, id, shop};

fn retry(stage: &str, execution: impl ToString, mode: &str) -> Value {
    json!({"pipelineName": "shop", "stageName": stage, "pipelineExecutionId": execution.to_string(), "retryMode": mode})
}

async fn failed() -> (Bench, ExecutionId) {
    let (bench, _) = Bench::with_release().await;
    let execution = bench.start().await;
    bench.fail(execution).await;
    (bench, execution)
}

#[tokio::test]
async fn a_failed_stage_runs_again_in_the_same_execution() {
    let (bench, execution) = failed().await;
    let first = bench.run_of(execution).await;
    for (mode, times) in [("FAILED_ACTIONS", 1), ("ALL_ACTIONS", 2)] {
        let answer = bench.ok("RetryStageExecution", retry("Prod", execution, mode)).await;
        assert_eq!(answer, json!({"pipelineExecutionId": execution}));
        let name = format!("{execution}-{}", times + 1);
        assert_eq!(bench.started_machines().last(), Some(&name), "another state machine drives it");
        let busy = (retry("Prod", execution, mode), "ConflictException", "in progress");
        bench.refuses("RetryStageExecution", &[busy]).await;
        if times == 1 {
            bench.fail(execution).await;
        }
    }
    let shown =
        bench.ok("GetPipelineExecution", json!({"pipelineName": "shop", "pipelineExecutionId": execution})).await;
    let shown = &shown["pipelineExecution"];
    assert_eq!((&shown["status"], shown.get("statusSummary")), (&json!("InProgress"), None));
    bench.pass(execution).await;

    let state = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    let prod = &state["stageStates"][1];
    assert_eq!(prod["latestExecution"], json!({"pipelineExecutionId": execution, "status": "Succeeded"}));
    let retries = json!({"manualStageRetryAttempt": 2, "latestRetryTrigger": "ManualStageRetry"});
    assert_eq!(prod["retryStageMetadata"], retries);
    let runs = bench.runs_of(execution).await;
    let statuses: Vec<&str> = runs.iter().map(|run| run["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["Succeeded", "Failed", "Failed"], "newest first, and the history is kept");
    assert_eq!(runs[2]["actionExecutionId"], first["actionExecutionId"]);
    assert!(runs[0]["actionExecutionId"] != runs[1]["actionExecutionId"]);
    let done = (retry("Prod", execution, "ALL_ACTIONS"), "StageNotRetryableException", "Succeeded");
    bench.refuses("RetryStageExecution", &[done]).await;
}

#[tokio::test]
async fn a_stopped_stage_can_go_on_and_a_failed_source_too() {
    let (bench, _) = Bench::with_release().await;
    let execution = bench.start().await;
    assert!(matches!(bench.drive(execution, None).await, Driven::Working(_)));
    let stop = json!({"pipelineName": "shop", "pipelineExecutionId": execution, "abandon": true, "reason": "oops"});
    bench.ok("StopPipelineExecution", stop).await;
    bench.ok("RetryStageExecution", retry("Prod", execution, "FAILED_ACTIONS")).await;
    bench.pass(execution).await;
    let listed = bench.ok("ListPipelineExecutions", json!({"pipelineName": "shop", "maxResults": 1})).await;
    let line = &listed["pipelineExecutionSummaries"][0];
    assert_eq!((&line["status"], line.get("stopTrigger")), (&json!("Succeeded"), None));

    let lost = json!([{"actionName": "Fetch", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": "v2"}]);
    let started = bench.ok("StartPipelineExecution", json!({"name": "shop", "sourceRevisions": lost})).await;
    let execution = id(&started["pipelineExecutionId"]);
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("there is no version v2 yet") };
    let report = domain::StageReport { status: domain::StageResult::Failed, ..report };
    assert_eq!(bench.drive(execution, Some(report)).await, Driven::Ended(ExecutionStatus::Failed));
    bench.objects.store("uploads", "app.zip", "release 2");
    bench.ok("RetryStageExecution", retry("Source", execution, "FAILED_ACTIONS")).await;
    bench.pass(execution).await;
}

#[tokio::test]
async fn a_failed_rollback_can_be_retried_by_hand() {
    let (bench, good) = Bench::with_release().await;
    bench.pass(bench.start().await).await;
    let back = json!({"pipelineName": "shop", "stageName": "Prod", "targetPipelineExecutionId": good});
    let rollback = id(&bench.ok("RollbackStage", back).await["pipelineExecutionId"]);
    bench.fail(rollback).await;
    bench.ok("RetryStageExecution", retry("Prod", rollback, "FAILED_ACTIONS")).await;
    bench.pass(rollback).await;
    let state = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    let latest = json!({"pipelineExecutionId": rollback, "status": "Succeeded", "type": "ROLLBACK"});
    assert_eq!(state["stageStates"][1]["latestExecution"], latest);
}

#[tokio::test]
async fn what_cannot_be_retried_is_refused_by_name() {
    let (bench, execution) = failed().await;
    let mut elsewhere = retry("Prod", execution, "ALL_ACTIONS");
    elsewhere["pipelineName"] = json!("blog");
    let mode = "FAILED_ACTIONS";
    let cases = [
        (elsewhere, "PipelineNotFoundException", "'blog'"),
        (retry("Moon", execution, mode), "StageNotFoundException", "'Moon'"),
        (retry("Prod", NOBODY, mode), "StageNotRetryableException", NOBODY),
        (retry("Source", execution, mode), "StageNotRetryableException", "Succeeded"),
        (retry("Prod", execution, "SOME"), "ValidationException", "retryMode"),
        (retry("Prod", "x", mode), "ValidationException", "pipelineExecutionId"),
    ];
    bench.refuses("RetryStageExecution", &cases).await;

    bench.ok("UpdatePipeline", json!({"pipeline": shop()})).await;
    let outdated = (retry("Prod", execution, mode), "StageNotRetryableException", "version 1, current is 2");
    bench.refuses("RetryStageExecution", &[outdated]).await;

    let (older, newer) = (bench.start().await, bench.start().await);
    bench.fail(older).await;
    bench.fail(newer).await;
    let text = newer.to_string();
    let late = (retry("Prod", older, mode), "NotLatestPipelineExecutionException", text.as_str());
    bench.refuses("RetryStageExecution", &[late]).await;
    bench.ok("RetryStageExecution", retry("Prod", newer, mode)).await;
}
