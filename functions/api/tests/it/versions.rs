//! Executions that live through an update of their pipeline, and what becomes of those that it ends.

use contract::{ActionInput, ActionOperation};
use domain::{ActionStatus, ExecutionId, ExecutionStatus, StageReport, StageResult};
use engine::{
    HasStore,
    ports::{Definition, Precondition, Row, Store, Write},
};
use serde_json::{Value, json};

use crate::world::{Bench, Driven, asking, id, shop, shop_name};

/// `shop` in PARALLEL mode, with a stage after Prod.
fn parallel() -> Value {
    let mut pipeline = shop();
    pipeline["executionMode"] = json!("PARALLEL");
    let mut announce = pipeline["stages"][1]["actions"][0].clone();
    announce["name"] = json!("Announce");
    announce["configuration"] = json!({"FunctionName": "announce", "UserParameters": "first"});
    pipeline["stages"].as_array_mut().unwrap().push(json!({"name": "After", "actions": [announce]}));
    pipeline
}

/// The latest run of an action in an execution.
async fn run(bench: &Bench, execution: ExecutionId, action: &str) -> Value {
    let filter = json!({"pipelineExecutionId": execution});
    let page = bench.ok("ListActionExecutions", json!({"pipelineName": "shop", "filter": filter})).await;
    let mut runs = page["actionExecutionDetails"].as_array().unwrap().iter();
    runs.find(|run| run["actionName"] == action).cloned().unwrap_or_else(|| panic!("{action} never ran"))
}

/// Answers the job of an action well.
async fn succeed(bench: &Bench, execution: ExecutionId, action: &str) {
    let job = run(bench, execution, action).await["output"]["executionResult"]["externalExecutionId"].clone();
    bench.ok("PutJobSuccessResult", json!({"jobId": job})).await;
}

async fn drive(bench: &Bench, execution: ExecutionId, finished: Option<StageReport>) -> StageReport {
    match bench.drive(execution, finished).await {
        Driven::Working(report) => report,
        other => panic!("no job is out: {other:?}"),
    }
}

#[tokio::test]
async fn a_parallel_execution_goes_by_the_version_that_it_began_in() {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({"pipeline": parallel()})).await;
    let old = bench.newest().await;
    let inside = drive(&bench, old, None).await;
    let mut updated = parallel();
    updated["stages"][1]["actions"][0]["name"] = json!("Look");
    // Of the last stage neither name nor action are left.
    updated["stages"][2]["name"] = json!("Later");
    updated["stages"][2]["actions"][0]["configuration"]["UserParameters"] = json!("second");
    bench.ok("UpdatePipeline", json!({"pipeline": updated})).await;
    let new = bench.start().await;
    let beside = drive(&bench, new, None).await;

    succeed(&bench, old, "Check").await;
    let last = drive(&bench, old, Some(inside)).await;
    assert_eq!(last.stage.as_str(), "After");
    let announced = run(&bench, old, "Announce").await;
    assert_eq!(announced["input"]["resolvedConfiguration"]["UserParameters"], "first");
    assert_eq!(announced["pipelineVersion"], 1);
    succeed(&bench, old, "Announce").await;
    assert_eq!(bench.drive(old, Some(last)).await, Driven::Ended(ExecutionStatus::Succeeded));

    succeed(&bench, new, "Look").await;
    let last = drive(&bench, new, Some(beside)).await;
    assert_eq!(last.stage.as_str(), "Later");
    let announced = run(&bench, new, "Announce").await;
    assert_eq!(announced["input"]["resolvedConfiguration"]["UserParameters"], "second");
}

#[tokio::test]
async fn the_way_into_a_stage_that_was_taken_away_opens_for_who_waits_before_it() {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({"pipeline": parallel()})).await;
    // More than one decision lets in.
    let mut inside = vec![(bench.newest().await, None)];
    for _ in 1..14 {
        inside.push((bench.start().await, None));
    }
    for (old, report) in &mut inside {
        *report = Some(drive(&bench, *old, None).await);
    }
    let transition = |more: Value| {
        let mut input = json!({"pipelineName": "shop", "stageName": "After", "transitionType": "Inbound"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    bench.ok("DisableStageTransition", transition(json!({"reason": "sale"}))).await;
    let mut updated = parallel();
    updated["stages"][2]["name"] = json!("Later");
    bench.ok("UpdatePipeline", json!({"pipeline": updated})).await;
    let nobody = (transition(json!({})), "StageNotFoundException", "After");
    bench.refuses("EnableStageTransition", std::slice::from_ref(&nobody)).await;

    for (old, report) in inside {
        succeed(&bench, old, "Check").await;
        assert_eq!(bench.drive(old, report).await, Driven::Waiting);
    }
    bench.ok("EnableStageTransition", transition(json!({}))).await;
    let goes_in = |answer: &Value| answer["next"] == "RunStage" && answer["stage"] == "After";
    assert_eq!(bench.told(goes_in).len(), 14);
    bench.refuses("EnableStageTransition", &[nobody]).await;
}

#[tokio::test]
async fn a_rollback_goes_on_where_its_stage_is_as_it_was() {
    for (stage, expected) in [(0, ExecutionStatus::Succeeded), (1, ExecutionStatus::Cancelled)] {
        let (bench, good) = Bench::with_release().await;
        bench.pass(bench.start().await).await;
        let back = json!({"pipelineName": "shop", "stageName": "Prod", "targetPipelineExecutionId": good});
        let rollback = id(&bench.ok("RollbackStage", back).await["pipelineExecutionId"]);
        let inside = drive(&bench, rollback, None).await;
        let mut updated = shop();
        let configuration = &mut updated["stages"][stage]["actions"][0]["configuration"];
        configuration[["S3ObjectKey", "UserParameters"][stage]] = json!("other.zip");
        bench.ok("UpdatePipeline", json!({"pipeline": updated})).await;
        succeed(&bench, rollback, "Check").await;
        assert_eq!(bench.drive(rollback, Some(inside)).await, Driven::Ended(expected), "stage {stage}");
    }
}

/// An approval in Prod that waits while `edit` is made of its pipeline: its execution, what to report, and its token.
async fn question(bench: &Bench, edit: impl FnOnce(&mut Value)) -> (ExecutionId, StageReport, Value) {
    bench.ok("CreatePipeline", json!({"pipeline": asking()})).await;
    let execution = bench.newest().await;
    let inside = drive(bench, execution, None).await;
    let token = run(bench, execution, "Check").await["output"]["executionResult"]["externalExecutionId"].clone();
    let mut updated = asking();
    edit(&mut updated);
    bench.ok("UpdatePipeline", json!({"pipeline": updated})).await;
    (execution, inside, token)
}

/// Prod goes, and a stage of another name with another action comes.
fn rename(pipeline: &mut Value) {
    pipeline["stages"][1]["name"] = json!("Live");
    pipeline["stages"][1]["actions"][0]["name"] = json!("Sign");
}

fn answer(stage: &str, action: &str, token: &Value) -> Value {
    json!({"pipelineName": "shop", "stageName": stage, "actionName": action, "token": token,
        "result": {"summary": "looked at it", "status": "Approved"}})
}

#[tokio::test]
async fn an_approval_is_answered_by_the_names_that_it_began_under() {
    let only_action = |pipeline: &mut Value| pipeline["stages"][1]["actions"][0]["name"] = json!("Sign");
    type Edit<'a> = &'a dyn Fn(&mut Value);
    let edits: [(Edit<'_>, &str, &str); 2] =
        [(&rename, "Live", "StageNotFoundException"), (&only_action, "Prod", "ActionNotFoundException")];
    for (edit, stage, exception) in edits {
        let bench = Bench::new().await;
        let (execution, inside, token) = question(&bench, edit).await;
        let foreign = (answer(stage, "Sign", &token), "InvalidApprovalTokenException", "not valid");
        bench.refuses("PutApprovalResult", &[foreign]).await;
        bench.ok("PutApprovalResult", answer("Prod", "Check", &token)).await;
        assert_eq!(run(&bench, execution, "Check").await["status"], "Succeeded");
        // Of one that is answered there is nothing left to find.
        bench.refuses("PutApprovalResult", &[(answer("Prod", "Check", &token), exception, "'Prod'")]).await;
        assert_eq!(bench.drive(execution, Some(inside)).await, Driven::Ended(ExecutionStatus::Cancelled));
    }
}

fn expire(execution_id: ExecutionId, inside: &StageReport) -> ActionInput {
    ActionInput {
        operation: ActionOperation::Expire,
        pipeline: shop_name(),
        execution_id,
        stage: inside.stage.clone(),
        generation: inside.generation,
        attempt: 1,
        action: "Check".parse().unwrap(),
        rule: None,
        token: None,
        report: None,
        file: None,
    }
}

#[tokio::test]
async fn an_action_whose_stage_was_taken_away_expires_all_the_same() {
    for is_version_known in [true, false] {
        let bench = Bench::new().await;
        let (execution, inside, _) = question(&bench, rename).await;
        if !is_version_known {
            // As an older version of this has left it.
            let first = bench.world.store().load_definition(&shop_name(), 1).await.unwrap().unwrap();
            assert!(!first.stages.is_empty(), "the update keeps what its stages were");
            let row = Row::Definition(Definition { stages: Vec::new(), ..first });
            bench.world.store().commit(vec![Write::Put(row, Precondition::None)]).await.unwrap();
        }
        let input = expire(execution, &inside);
        let output = Box::pin(engine::run_action(&bench.world, &input, &|| false)).await.unwrap();
        assert_eq!(output.status, ActionStatus::Failed, "known: {is_version_known}");
        assert_eq!(run(&bench, execution, "Check").await["status"], "Failed");
        let failed = StageReport { status: StageResult::Failed, ..inside };
        assert_eq!(bench.drive(execution, Some(failed)).await, Driven::Ended(ExecutionStatus::Cancelled));
    }
}

#[tokio::test]
async fn what_nobody_has_ended_is_abandoned_with_its_execution() {
    let bench = Bench::new().await;
    let (execution, inside, token) = question(&bench, rename).await;
    let failed = StageReport { status: StageResult::Failed, ..inside };
    assert_eq!(bench.drive(execution, Some(failed)).await, Driven::Ended(ExecutionStatus::Cancelled));
    assert_eq!(run(&bench, execution, "Check").await["status"], "Abandoned");
    let late = (answer("Prod", "Check", &token), "StageNotFoundException", "'Prod'");
    bench.refuses("PutApprovalResult", &[late]).await;
}
