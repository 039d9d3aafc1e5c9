//! Stopping executions.

use domain::{ExecutionId, ExecutionStatus, StageReport, StageResult};
use serde_json::{Value, json};

use crate::world::{Bench, Driven, NOBODY, asking, shop};

fn stop(id: impl ToString) -> Value {
    json!({"pipelineName": "shop", "pipelineExecutionId": id.to_string()})
}

fn stop_because(id: impl ToString, abandon: bool, reason: &str) -> Value {
    json!({"pipelineName": "shop", "pipelineExecutionId": id.to_string(), "abandon": abandon, "reason": reason})
}

/// Status and summary of an execution.
async fn stands(bench: &Bench, id: ExecutionId) -> (Value, Value) {
    let shown = bench.ok("GetPipelineExecution", stop(id)).await["pipelineExecution"].clone();
    (shown["status"].clone(), shown["statusSummary"].clone())
}

async fn prod(bench: &Bench) -> Value {
    bench.ok("GetPipelineState", json!({"name": "shop"})).await["stageStates"][1].clone()
}

#[tokio::test]
async fn a_stop_waits_for_what_runs() {
    let (bench, _) = Bench::with_release().await;
    let execution = bench.start().await;
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("no job is out") };
    let answer = bench.ok("StopPipelineExecution", stop_because(execution, false, "wrong build")).await;
    assert_eq!(answer, json!({"pipelineExecutionId": execution}));
    assert_eq!(stands(&bench, execution).await, (json!("Stopping"), json!("wrong build")));
    let shown = prod(&bench).await;
    assert_eq!(shown["latestExecution"], json!({"pipelineExecutionId": execution, "status": "Stopping"}));
    assert_eq!(shown["actionStates"][0]["latestExecution"]["status"], "InProgress");
    let again = (stop(execution), "DuplicatedStopRequestException", "abandon");
    bench.refuses("StopPipelineExecution", &[again]).await;

    bench.ok("PutJobSuccessResult", json!({"jobId": bench.job().await})).await;
    assert_eq!(bench.drive(execution, Some(report)).await, Driven::Ended(ExecutionStatus::Stopped));
    assert_eq!(stands(&bench, execution).await, (json!("Stopped"), json!("wrong build")));
    let shown = prod(&bench).await;
    assert_eq!(shown["latestExecution"], json!({"pipelineExecutionId": execution, "status": "Stopped"}));
    assert_eq!(shown["actionStates"][0]["latestExecution"]["status"], "Succeeded");
    let listed = bench.ok("ListPipelineExecutions", json!({"pipelineName": "shop"})).await;
    let line = &listed["pipelineExecutionSummaries"][0];
    assert_eq!((&line["status"], &line["stopTrigger"]), (&json!("Stopped"), &json!({"reason": "wrong build"})));
    let ended = (stop(execution), "PipelineExecutionNotStoppableException", "Stopped");
    bench.refuses("StopPipelineExecution", &[ended]).await;
}

#[tokio::test]
async fn abandoned_actions_are_over_and_the_next_execution_goes_in() {
    let (bench, _) = Bench::with_release().await;
    let (execution, next) = (bench.start().await, bench.start().await);
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("no job is out") };
    assert_eq!(bench.drive(next, None).await, Driven::Waiting);
    let job = bench.job().await;
    // What was waited for may be given up, without saying again why.
    bench.ok("StopPipelineExecution", stop_because(execution, false, "wrong build")).await;
    bench.ok("StopPipelineExecution", stop_because(execution, true, "")).await;
    assert_eq!(stands(&bench, execution).await, (json!("Stopped"), json!("wrong build")));
    let shown = prod(&bench).await;
    assert_eq!(shown["actionStates"][0]["latestExecution"]["status"], "Abandoned");
    assert_eq!(
        (&shown["latestExecution"]["pipelineExecutionId"], &shown["inboundExecutions"]),
        (&json!(next), &json!([]))
    );
    let told = bench.told(|answer| answer["status"] == "Abandoned");
    assert_eq!(told.len(), 1, "whoever runs the stage is told");

    let details = json!({"type": "JobFailed", "message": "late"});
    let late = (json!({"jobId": job, "failureDetails": details}), "InvalidJobStateException", "ended");
    bench.refuses("PutJobFailureResult", &[late]).await;
    let late = (json!({"jobId": job}), "InvalidJobStateException", "ended");
    bench.refuses("PutJobSuccessResult", &[late]).await;
    assert_eq!(bench.drive(execution, Some(report)).await, Driven::Ended(ExecutionStatus::Stopped));
    bench.pass(next).await;
    let again = (stop_because(execution, true, ""), "PipelineExecutionNotStoppableException", "Stopped");
    bench.refuses("StopPipelineExecution", &[again]).await;
}

#[tokio::test]
async fn an_abandoned_approval_cannot_be_given() {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({"pipeline": asking()})).await;
    let execution = bench.newest().await;
    assert!(matches!(bench.drive(execution, None).await, Driven::Working(_)));
    let token = prod(&bench).await["actionStates"][0]["latestExecution"]["token"].clone();
    bench.ok("StopPipelineExecution", stop_because(execution, true, "no need")).await;
    let answer = json!({"pipelineName": "shop", "stageName": "Prod", "actionName": "Check", "token": token,
        "result": {"summary": "", "status": "Approved"}});
    bench.refuses("PutApprovalResult", &[(answer, "InvalidApprovalTokenException", "expired")]).await;
    let run = prod(&bench).await["actionStates"][0]["latestExecution"].clone();
    assert_eq!((&run["status"], run.get("token")), (&json!("Abandoned"), None));
}

#[tokio::test]
async fn what_waits_stops_at_once() {
    let (bench, _) = Bench::with_release().await;
    let (inside, waiting, starting) = (bench.start().await, bench.start().await, bench.start().await);
    assert!(matches!(bench.drive(inside, None).await, Driven::Working(_)));
    assert_eq!(bench.drive(waiting, None).await, Driven::Waiting);
    bench.ok("StopPipelineExecution", stop(waiting)).await;
    assert_eq!(stands(&bench, waiting).await.0, "Stopped");
    // The first stage became free for it, and it begins nothing there when its state machine asks.
    bench.ok("StopPipelineExecution", stop(starting)).await;
    assert_eq!(stands(&bench, starting).await.0, "Stopping");
    assert_eq!(prod(&bench).await["inboundExecutions"], json!([]));
    let Driven::Working(report) = bench.drive(starting, None).await else { panic!("it runs its stage to the end") };
    let report = StageReport { status: StageResult::Failed, ..report };
    assert_eq!(bench.drive(starting, Some(report)).await, Driven::Ended(ExecutionStatus::Stopped));
    let runs = bench
        .ok("ListActionExecutions", json!({"pipelineName": "shop", "filter": {"pipelineExecutionId": starting}}))
        .await;
    assert_eq!(runs["actionExecutionDetails"], json!([]));
    let retry = json!({"pipelineName": "shop", "stageName": "Prod", "pipelineExecutionId": waiting, "retryMode": "ALL_ACTIONS"});
    bench.refuses("RetryStageExecution", &[(retry, "StageNotRetryableException", "never entered")]).await;
}

#[tokio::test]
async fn in_parallel_only_the_one_that_is_named_stops() {
    let bench = Bench::new().await;
    let mut parallel = shop();
    parallel["executionMode"] = json!("PARALLEL");
    bench.ok("CreatePipeline", json!({"pipeline": parallel})).await;
    let (stopped, other) = (bench.newest().await, bench.start().await);
    let Driven::Working(_) = bench.drive(stopped, None).await else { panic!("no job is out") };
    let Driven::Working(report) = bench.drive(other, None).await else { panic!("no job is out") };
    bench.ok("StopPipelineExecution", stop_because(stopped, true, "")).await;
    assert_eq!(bench.run_of(stopped).await["status"], "Abandoned");
    let run = bench.run_of(other).await;
    assert_eq!(run["status"], "InProgress");
    let job = &run["output"]["executionResult"]["externalExecutionId"];
    bench.ok("PutJobSuccessResult", json!({"jobId": job})).await;
    assert_eq!(bench.drive(other, Some(report)).await, Driven::Ended(ExecutionStatus::Succeeded));

    let retry = json!({"pipelineName": "shop", "stageName": "Prod", "pipelineExecutionId": stopped, "retryMode": "FAILED_ACTIONS"});
    bench.ok("RetryStageExecution", retry).await;
    let Driven::Working(report) = bench.drive(stopped, None).await else { panic!("no job is out") };
    let job = bench.run_of(stopped).await["output"]["executionResult"]["externalExecutionId"].clone();
    bench.ok("PutJobSuccessResult", json!({"jobId": job})).await;
    assert_eq!(bench.drive(stopped, Some(report)).await, Driven::Ended(ExecutionStatus::Succeeded));
}

#[tokio::test]
async fn what_cannot_be_stopped_is_refused_by_name() {
    let (bench, ended) = Bench::with_release().await;
    let elsewhere = json!({"pipelineName": "blog", "pipelineExecutionId": ended});
    let cases = [
        (elsewhere, "PipelineNotFoundException", "'blog'"),
        (stop(NOBODY), "PipelineExecutionNotStoppableException", NOBODY),
        (stop(ended), "PipelineExecutionNotStoppableException", "Succeeded"),
        (stop("x"), "ValidationException", "pipelineExecutionId"),
        (stop_because(ended, false, &"x".repeat(201)), "ValidationException", "reason"),
    ];
    bench.refuses("StopPipelineExecution", &cases).await;
}

#[tokio::test]
async fn an_update_cancels_what_waits_at_once_and_a_deletion_lets_it_go() {
    let (bench, _) = Bench::with_release().await;
    let (inside, waiting) = (bench.start().await, bench.start().await);
    let Driven::Working(report) = bench.drive(inside, None).await else { panic!("no job is out") };
    assert_eq!(bench.drive(waiting, None).await, Driven::Waiting);
    bench.ok("UpdatePipeline", json!({"pipeline": shop()})).await;
    assert_eq!(stands(&bench, waiting).await.0, "Cancelled");
    assert_eq!(prod(&bench).await["inboundExecutions"], json!([]));
    let cancelled = |answer: &Value| answer["next"] == "End" && answer["status"] == "Cancelled";
    assert_eq!(bench.told(cancelled).len(), 1);
    // What runs ends first.
    assert_eq!(stands(&bench, inside).await.0, "InProgress");
    bench.ok("PutJobSuccessResult", json!({"jobId": bench.job().await})).await;
    assert_eq!(bench.drive(inside, Some(report)).await, Driven::Ended(ExecutionStatus::Cancelled));

    let (inside, waiting) = (bench.start().await, bench.start().await);
    assert!(matches!(bench.drive(inside, None).await, Driven::Working(_)));
    assert_eq!(bench.drive(waiting, None).await, Driven::Waiting);
    let before = bench.told(cancelled).len();
    bench.ok("DeletePipeline", json!({"name": "shop"})).await;
    assert_eq!(bench.told(cancelled).len() - before, 1, "its state machine does not wait for a year");
    let job = bench.told(|answer| answer["status"] == "Abandoned");
    assert_eq!(job.len(), 1, "nor that of the one inside for its job");
}
