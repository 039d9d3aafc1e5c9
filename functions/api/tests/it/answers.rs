//! Answers that meet: of those to one job or one approval a single one counts, and the others are told that they do not.

use contract::{ActionInput, ActionOperation};
use domain::{ActionStatus, ExecutionId, ExecutionStatus, StageReport, StageResult};
use serde_json::{Value, json};

use crate::world::{Bench, Driven, asking, shop_name};

/// An approval that waits: its execution, what to report for the stage, and its token.
async fn question(bench: &Bench) -> (ExecutionId, StageReport, String) {
    bench.ok("CreatePipeline", json!({"pipeline": asking()})).await;
    let execution = bench.newest().await;
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("nobody is asked") };
    (execution, report, token(bench).await)
}

async fn token(bench: &Bench) -> String {
    let state = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    let latest = &state["stageStates"][1]["actionStates"][0]["latestExecution"];
    latest["token"].as_str().unwrap().to_owned()
}

fn answer(token: &str, status: &str) -> Value {
    json!({"pipelineName": "shop", "stageName": "Prod", "actionName": "Check", "token": token,
        "result": {"summary": "looked at it", "status": status}})
}

fn expire(execution_id: ExecutionId, report: &StageReport) -> ActionInput {
    ActionInput {
        operation: ActionOperation::Expire,
        pipeline: shop_name(),
        execution_id,
        stage: report.stage.clone(),
        generation: report.generation,
        attempt: 1,
        action: "Check".parse().unwrap(),
        rule: None,
        token: None,
        report: None,
        file: None,
    }
}

/// Asserts that one of two answers is taken and the other refused by `exception`; whether the first was taken.
fn one_counts(first: &(u16, Value), second: &(u16, Value), exception: &str) -> bool {
    let (is_first, refused) = match (first, second) {
        ((200, _), (400, refused)) => (true, refused),
        ((400, refused), (200, _)) => (false, refused),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused["__type"], exception, "{refused}");
    is_first
}

#[tokio::test]
async fn of_two_answers_to_an_approval_one_counts() {
    let bench = Bench::new().await;
    let (execution, _, token) = question(&bench).await;
    let (yes, no) = tokio::join!(
        bench.call("PutApprovalResult", answer(&token, "Approved")),
        bench.call("PutApprovalResult", answer(&token, "Rejected")),
    );
    let expected = if one_counts(&yes, &no, "ApprovalAlreadyCompletedException") { "Succeeded" } else { "Failed" };
    assert_eq!(bench.run_of(execution).await["status"], expected);
}

#[tokio::test]
async fn of_two_answers_to_a_job_one_counts() {
    for more in [json!({}), json!({"continuationToken": "step 2"})] {
        let (bench, _) = Bench::with_release().await;
        let execution = bench.start().await;
        assert!(matches!(bench.drive(execution, None).await, Driven::Working(_)));
        let job = bench.job().await;
        let mut good = more.clone();
        good["jobId"] = json!(job);
        let details = json!({"type": "JobFailed", "message": "The page is blank."});
        let (well, badly) = tokio::join!(
            bench.call("PutJobSuccessResult", good),
            bench.call("PutJobFailureResult", json!({"jobId": job, "failureDetails": details})),
        );
        let is_good = one_counts(&well, &badly, "InvalidJobStateException");
        let expected = match (is_good, more == json!({})) {
            (false, _) => "Failed",
            (true, true) => "Succeeded",
            (true, false) => "InProgress",
        };
        assert_eq!(bench.run_of(execution).await["status"], expected);
    }
}

#[tokio::test]
async fn an_answer_and_the_end_of_its_time_do_not_both_count() {
    let bench = Bench::new().await;
    let (execution, report, token) = question(&bench).await;
    let (input, is_out_of_time) = (expire(execution, &report), || false);
    let (answered, expired) = tokio::join!(
        bench.call("PutApprovalResult", answer(&token, "Approved")),
        Box::pin(engine::run_action(&bench.world, &input, &is_out_of_time)),
    );
    let status = expired.unwrap().status;
    match answered {
        (200, _) => assert_eq!(status, ActionStatus::Succeeded),
        (_, refused) => {
            assert_eq!((status, &refused["__type"]), (ActionStatus::Failed, &json!("InvalidApprovalTokenException")));
        }
    }
}

#[tokio::test]
async fn the_token_of_an_earlier_attempt_is_none_any_more() {
    let bench = Bench::new().await;
    let (execution, report, first) = question(&bench).await;
    bench.ok("PutApprovalResult", answer(&first, "Rejected")).await;
    let failed = StageReport { status: StageResult::Failed, ..report };
    assert_eq!(bench.drive(execution, Some(failed)).await, Driven::Ended(ExecutionStatus::Failed));
    let answered = (answer(&first, "Approved"), "ApprovalAlreadyCompletedException", "already");
    bench.refuses("PutApprovalResult", &[answered]).await;

    let retry = json!({"pipelineName": "shop", "stageName": "Prod", "pipelineExecutionId": execution,
        "retryMode": "ALL_ACTIONS"});
    bench.ok("RetryStageExecution", retry).await;
    assert!(matches!(bench.drive(execution, None).await, Driven::Working(_)));
    let second = token(&bench).await;
    let earlier = || (answer(&first, "Approved"), "InvalidApprovalTokenException", "not valid");
    bench.refuses("PutApprovalResult", &[earlier()]).await;
    bench.ok("PutApprovalResult", answer(&second, "Approved")).await;
    bench.refuses("PutApprovalResult", &[earlier()]).await;
}
