//! Answers of workers and of people.

use contract::{ActionInput, ActionOperation};
use domain::{ActionStatus, ExecutionStatus, StageReport, StageResult};
use engine::HasMachines;
use serde_json::{Value, json};

use crate::world::{Bench, Driven, NOBODY, asking, shop, shop_name};

async fn approval(bench: &Bench) -> Value {
    let state = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    state["stageStates"][1]["actionStates"][0].clone()
}

fn answer(token: &str, status: &str) -> Value {
    json!({"pipelineName": "shop", "stageName": "Prod", "actionName": "Check", "token": token,
        "result": {"summary": "looks fine", "status": status}})
}

#[tokio::test]
async fn an_approval_waits_for_its_token_and_takes_one_answer() {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({"pipeline": asking()})).await;
    let execution = bench.newest().await;
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("nobody is asked") };
    let shown = approval(&bench).await;
    assert_eq!(shown["entityUrl"], "https://shop.example/preview");
    let token = shown["latestExecution"]["token"].as_str().unwrap().to_owned();

    let with = |member: &str, value: &str| {
        let mut input = answer(&token, "Approved");
        input[member] = json!(value);
        input
    };
    let cases = [
        (with("token", NOBODY), "InvalidApprovalTokenException", "GetPipelineState"),
        (with("pipelineName", "blog"), "PipelineNotFoundException", "'blog'"),
        (with("stageName", "Moon"), "StageNotFoundException", "'Moon'"),
        (with("actionName", "Other"), "ActionNotFoundException", "'Other'"),
        (with("token", "x"), "ValidationException", "token"),
    ];
    bench.refuses("PutApprovalResult", &cases).await;

    let done = bench.ok("PutApprovalResult", answer(&token, "Approved")).await;
    assert!(done["approvedAt"].is_f64(), "{done}");
    let run = approval(&bench).await["latestExecution"].clone();
    assert_eq!((&run["status"], &run["summary"], run.get("token")), (&json!("Succeeded"), &json!("looks fine"), None));
    let again = (answer(&token, "Rejected"), "ApprovalAlreadyCompletedException", "already");
    bench.refuses("PutApprovalResult", &[again]).await;
    assert_eq!(bench.drive(execution, Some(report)).await, Driven::Ended(ExecutionStatus::Succeeded));
}

#[tokio::test]
async fn an_answer_reaches_every_token_that_waits_for_it() {
    let (bench, _) = Bench::with_release().await;
    let execution = bench.start().await;
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("no job is out") };
    // A call that was given up comes to its end after the one that took its place.
    for token in ["given up", "asked anew", "given up"] {
        let input = ActionInput {
            operation: ActionOperation::Run,
            pipeline: shop_name(),
            execution_id: execution,
            stage: report.stage.clone(),
            generation: report.generation,
            attempt: 1,
            action: "Check".parse().unwrap(),
            rule: None,
            token: Some(token.to_owned()),
            report: None,
            file: None,
        };
        let output = engine::run_action(&bench.world, &input, &|| false).await.unwrap();
        assert_eq!(output.status, ActionStatus::InProgress);
    }
    bench.ok("PutJobSuccessResult", json!({"jobId": bench.job().await})).await;
    let answers = bench.world.machines().answers.lock().unwrap().clone();
    for token in ["given up", "asked anew"] {
        assert_eq!(answers.get(token), Some(&json!({"status": "Succeeded"})), "{token}");
    }
}

#[tokio::test]
async fn an_action_that_expired_before_it_began_begins_no_more() {
    let (bench, _) = Bench::with_release().await;
    let execution = bench.start().await;
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("no job is out") };
    let of_attempt = |operation, token: Option<&str>| ActionInput {
        operation,
        pipeline: shop_name(),
        execution_id: execution,
        stage: report.stage.clone(),
        generation: report.generation,
        // Nobody has begun this one.
        attempt: 2,
        action: "Check".parse().unwrap(),
        rule: None,
        token: token.map(str::to_owned),
        report: None,
        file: None,
    };
    let calls = [of_attempt(ActionOperation::Expire, None), of_attempt(ActionOperation::Run, Some("late"))];
    for input in calls {
        let output = Box::pin(engine::run_action(&bench.world, &input, &|| false)).await.unwrap();
        assert_eq!(output.status, ActionStatus::Failed, "{:?}", input.operation);
    }
    let run = bench.run_of(execution).await;
    assert_eq!((&run["status"], bench.runs_of(execution).await.len()), (&json!("Failed"), 2));
    assert_eq!(bench.world.machines().answers.lock().unwrap()["late"], json!({"status": "Failed"}));
}

#[tokio::test]
async fn a_rejection_fails_the_action() {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({"pipeline": asking()})).await;
    let execution = bench.newest().await;
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("nobody is asked") };
    let token = approval(&bench).await["latestExecution"]["token"].as_str().unwrap().to_owned();
    bench.ok("PutApprovalResult", answer(&token, "Rejected")).await;
    let run = approval(&bench).await["latestExecution"].clone();
    assert_eq!((&run["status"], &run["errorDetails"]["message"]), (&json!("Failed"), &json!("Rejected: looks fine")));
    let report = StageReport { status: StageResult::Failed, ..report };
    assert_eq!(bench.drive(execution, Some(report)).await, Driven::Ended(ExecutionStatus::Failed));
}

#[tokio::test]
async fn a_job_is_answered_once_and_its_continuation_is_a_new_one() {
    let (bench, _) = Bench::with_release().await;
    let execution = bench.start().await;
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("no job is out") };
    let first = bench.job().await;
    bench.ok("PutJobSuccessResult", json!({"jobId": first, "continuationToken": "step 2"})).await;
    let second = bench.job().await;
    assert_ne!(first, second);
    let event = bench.invoked.0.lock().unwrap().last().unwrap()["CodePipeline.job"].clone();
    assert_eq!((&event["id"], &event["data"]["continuationToken"]), (&json!(second), &json!("step 2")));

    let failure = json!({"type": "JobFailed", "message": "late"});
    let ended = json!({"jobId": first, "failureDetails": failure});
    bench.refuses("PutJobFailureResult", &[(ended, "InvalidJobStateException", "ended")]).await;
    let huge = json!({"jobId": second, "outputVariables": {"Big": "x".repeat(122_881)}});
    let both = json!({"jobId": second, "continuationToken": "step 3", "outputVariables": {"Small": "x"}});
    let cases = [
        (json!({"jobId": NOBODY}), "JobNotFoundException", NOBODY),
        (json!({"jobId": first}), "InvalidJobStateException", "ended"),
        (huge, "OutputVariablesSizeExceededException", "122880"),
        (both, "ValidationException", "continuation"),
        (json!({"jobId": "x"}), "ValidationException", "jobId"),
    ];
    bench.refuses("PutJobSuccessResult", &cases).await;
    let nobody = json!({"jobId": NOBODY, "failureDetails": failure});
    bench.refuses("PutJobFailureResult", &[(nobody, "JobNotFoundException", NOBODY)]).await;

    let details = json!({"summary": "3 pages seen", "externalExecutionId": "check-9"});
    let done = json!({"jobId": second, "executionDetails": details, "outputVariables": {"Pages": "3"}});
    assert!(bench.ok("PutJobSuccessResult", done).await.is_null());
    let runs = bench.ok("ListActionExecutions", json!({"pipelineName": "shop", "maxResults": 1})).await;
    let output = &runs["actionExecutionDetails"][0]["output"];
    assert_eq!(output["outputVariables"], json!({"Pages": "3"}));
    assert_eq!(
        output["executionResult"],
        json!({"externalExecutionId": "check-9",
        "externalExecutionSummary": "3 pages seen"})
    );
    assert_eq!(bench.drive(execution, Some(report)).await, Driven::Ended(ExecutionStatus::Succeeded));
}

#[tokio::test]
async fn a_function_of_an_execution_among_others_goes_on_in_a_new_job() {
    let bench = Bench::new().await;
    let mut pipeline = shop();
    pipeline["executionMode"] = json!("PARALLEL");
    bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    let execution = bench.newest().await;
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("no job is out") };
    let newest = || bench.invoked.0.lock().unwrap().last().expect("it was invoked")["CodePipeline.job"].clone();
    bench.ok("PutJobSuccessResult", json!({"jobId": newest()["id"], "continuationToken": "half"})).await;
    assert_eq!(newest()["data"]["continuationToken"], "half");
    bench.ok("PutJobSuccessResult", json!({"jobId": newest()["id"]})).await;
    assert_eq!(bench.drive(execution, Some(report)).await, Driven::Ended(ExecutionStatus::Succeeded));
}
