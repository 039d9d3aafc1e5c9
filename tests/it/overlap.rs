//! Executions that meet each other, a change of their pipeline, or its end.

use serde_json::{Value, json};

use crate::world::{World, approval, check, eventually, pipeline, publish, release, text};

fn id(execution: &Value) -> String {
    text(&execution["pipelineExecutionId"])
}

async fn set_transition(world: &World, name: &str, open: bool) {
    let mut input = json!({ "pipelineName": name, "stageName": "Deploy", "transitionType": "Inbound" });
    if open {
        world.call("EnableStageTransition", input).await;
    } else {
        input["reason"] = json!("a test");
        world.call("DisableStageTransition", input).await;
    }
}

/// Executions that wait before Deploy, in order.
async fn waiting(world: &World, name: &str) -> Vec<String> {
    let stage = world.stage(name, 1).await;
    stage["inboundExecutions"].as_array().expect("a list").iter().map(id).collect()
}

/// Uploads a release; returns its execution once it waits before Deploy as the last.
async fn upload_and_wait(world: &World, name: &str, page: &str) -> String {
    let version = world.upload(name, release(page)).await;
    let execution = world.started_by(name, &version).await;
    eventually("the execution before Deploy", async || {
        (waiting(world, name).await.last() == Some(&execution)).then_some(())
    })
    .await;
    execution
}

/// The token of the question that `execution` asks, once it asks.
async fn question(world: &World, name: &str, execution: &str) -> String {
    let execution = json!({ "pipelineExecutionId": execution });
    eventually("the question", async || {
        let runs = world.runs(name, &execution, "Approve").await;
        let run = runs.first().filter(|run| run["status"] == "InProgress")?;
        run["output"]["executionResult"]["externalExecutionId"].as_str().map(str::to_owned)
    })
    .await
}

fn approved(name: &str, token: &str) -> Value {
    json!({ "pipelineName": name, "stageName": "Deploy", "actionName": "Approve", "token": token,
        "result": { "summary": "seen", "status": "Approved" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_let_in_one_by_one_in_order() {
    let world = World::start().await;
    let name = "queue";
    world.buckets(name).await;
    let mut queued = pipeline(name, &[publish(name, 1)]);
    queued["executionMode"] = json!("QUEUED");
    world.create(&queued).await;
    set_transition(&world, name, false).await;
    let mut executions = Vec::new();
    for page in ["one", "two", "three"] {
        executions.push(upload_and_wait(&world, name, page).await);
    }
    assert_eq!(waiting(&world, name).await, executions);
    set_transition(&world, name, true).await;
    let mut last_end = 0.0;
    for execution in &executions {
        let ended = world.ended(name, execution).await;
        assert_eq!(ended["status"], "Succeeded");
        let run = &world.runs(name, &ended, "Publish").await[0];
        let (start, end) = (run["startTime"].as_f64(), run["lastUpdateTime"].as_f64());
        assert!(start >= Some(last_end), "{execution} goes in after the one before it");
        last_end = end.unwrap_or_default();
    }
    assert_eq!(world.page(name).await, "three");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_parallel_each_execution_has_its_own_question() {
    let world = World::start().await;
    let name = "parallel";
    world.buckets(name).await;
    let mut parallel = pipeline(name, &[approval(1), publish(name, 2)]);
    parallel["executionMode"] = json!("PARALLEL");
    world.create(&parallel).await;
    let mut asked = Vec::new();
    for page in ["one", "two"] {
        let version = world.upload(name, release(page)).await;
        let execution = world.started_by(name, &version).await;
        let token = question(&world, name, &execution).await;
        asked.push((execution, token, page));
    }
    for (execution, token, page) in asked.iter().rev() {
        world.call("PutApprovalResult", approved(name, token)).await;
        assert_eq!(world.ended(name, execution).await["status"], "Succeeded");
        assert_eq!(world.page(name).await, *page);
    }
    let back = json!({ "pipelineName": name, "stageName": "Deploy", "targetPipelineExecutionId": asked[0].0 });
    let (exception, message) = world.refused("RollbackStage", back).await;
    assert_eq!(exception, "UnableToRollbackStageException");
    assert!(message.contains("PARALLEL"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_while_its_pipeline_changes_is_cancelled() {
    let world = World::start().await;
    let name = "changed";
    world.buckets(name).await;
    let mut declared = pipeline(name, &[publish(name, 1)]);
    world.create(&declared).await;
    set_transition(&world, name, false).await;
    let outdated = upload_and_wait(&world, name, "old").await;
    declared["stages"][1]["actions"][0]["configuration"]["CacheControl"] = json!("no-cache");
    let updated = world.call("UpdatePipeline", json!({ "pipeline": declared })).await;
    assert_eq!(updated["pipeline"]["version"], 2);
    set_transition(&world, name, true).await;
    let ended = world.ended(name, &outdated).await;
    assert_eq!(ended["status"], "Cancelled", "{ended}");
    assert!(text(&ended["statusSummary"]).contains("updated to version 2"), "{ended}");
    assert!(world.keys("changed-site").await.is_empty());
    assert_eq!(world.release(name, "new").await["status"], "Succeeded");
    assert_eq!(world.page(name).await, "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_of_the_mode_ends_all_but_parallel_executions() {
    let world = World::start().await;
    for (from, to, status) in [
        ("PARALLEL", "QUEUED", "Succeeded"),
        ("PARALLEL", "SUPERSEDED", "Succeeded"),
        ("QUEUED", "PARALLEL", "Cancelled"),
    ] {
        let name = &format!("from-{}-to-{}", from.to_lowercase(), to.to_lowercase());
        world.buckets(name).await;
        let mut declared = pipeline(name, &[approval(1), publish(name, 2)]);
        declared["executionMode"] = json!(from);
        world.create(&declared).await;
        let version = world.upload(name, release("before")).await;
        let before = world.started_by(name, &version).await;
        let token = question(&world, name, &before).await;
        declared["executionMode"] = json!(to);
        world.call("UpdatePipeline", json!({ "pipeline": declared })).await;

        // A PARALLEL one keeps nobody from the stage; the others hold it until their action has ended.
        let version = world.upload(name, release("after")).await;
        let after =
            world.execution(name, "the one after", |one| id(one) != before && one["status"] == "InProgress").await;
        if from == "PARALLEL" {
            let own = question(&world, name, &id(&after)).await;
            assert_eq!(id(&world.stage(name, 1).await["latestExecution"]), id(&after), "{name}");
            world.call("PutApprovalResult", approved(name, &token)).await;
            let ended = world.ended(name, &before).await;
            assert_eq!(ended["status"], status, "{name}: {ended}");
            assert_eq!(world.page(name).await, "before", "{name}: it goes on to the end of its stage");
            world.call("PutApprovalResult", approved(name, &own)).await;
        } else {
            world.call("PutApprovalResult", approved(name, &token)).await;
            let ended = world.ended(name, &before).await;
            assert_eq!(ended["status"], status, "{name}: {ended}");
            let own = question(&world, name, &id(&after)).await;
            world.call("PutApprovalResult", approved(name, &own)).await;
        }
        assert_eq!(world.ended(name, &id(&after)).await["status"], "Succeeded", "{name}");
        assert_eq!(world.started_by(name, &version).await, id(&after), "{name}");
        assert_eq!(world.page(name).await, "after", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_pipeline_leaves_nothing_to_one_of_the_same_name() {
    let world = World::start().await;
    let name = "again";
    world.buckets(name).await;
    let declared = pipeline(name, &[approval(1), publish(name, 2)]);
    world.create(&declared).await;
    let version = world.upload(name, release("old")).await;
    let execution = world.started_by(name, &version).await;
    let token = question(&world, name, &execution).await;
    for _ in 0..2 {
        world.call("DeletePipeline", json!({ "name": name })).await;
    }
    let (exception, _) = world.refused("PutApprovalResult", approved(name, &token)).await;
    assert_eq!(exception, "PipelineNotFoundException");

    world.call("CreatePipeline", json!({ "pipeline": declared })).await;
    assert!(!world.executions(name).await.iter().any(|one| id(one) == execution), "its history is its own");
    let first =
        world.execution(name, "the first execution", |one| one["trigger"]["triggerType"] == "CreatePipeline").await;
    let fresh = question(&world, name, &id(&first)).await;
    let (exception, _) = world.refused("PutApprovalResult", approved(name, &token)).await;
    assert_eq!(exception, "InvalidApprovalTokenException", "the deleted pipeline's question");
    world.call("PutApprovalResult", approved(name, &fresh)).await;
    assert_eq!(world.ended(name, &id(&first)).await["status"], "Succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_takes_the_stage_from_whoever_is_inside() {
    let world = World::start().await;
    let name = "fence";
    world.buckets(name).await;
    world.create(&pipeline(name, &[publish(name, 1), approval(2)])).await;
    let version = world.upload(name, release("good")).await;
    let good = world.started_by(name, &version).await;
    let token = question(&world, name, &good).await;
    world.call("PutApprovalResult", approved(name, &token)).await;
    assert_eq!(world.ended(name, &good).await["status"], "Succeeded");

    let version = world.upload(name, release("bad")).await;
    let bad = world.started_by(name, &version).await;
    let late = question(&world, name, &bad).await;
    assert_eq!(world.page(name).await, "bad");
    let back = json!({ "pipelineName": name, "stageName": "Deploy", "targetPipelineExecutionId": good });
    let rollback = id(&world.call("RollbackStage", back.clone()).await);
    let (exception, _) = world.refused("PutApprovalResult", approved(name, &late)).await;
    assert_eq!(exception, "InvalidApprovalTokenException", "who lost the stage cannot be approved");
    let token = question(&world, name, &rollback).await;
    let (exception, message) = world.refused("RollbackStage", back).await;
    assert_eq!(exception, "ConflictException", "{message}");
    world.call("PutApprovalResult", approved(name, &token)).await;
    assert_eq!(world.ended(name, &rollback).await["status"], "Succeeded");
    assert_ne!(world.ended(name, &bad).await["status"], "Succeeded");
    assert_eq!(world.page(name).await, "good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_fails_ends_there() {
    let world = World::start().await;
    let name = "twofold";
    world.buckets(name).await;
    let calls = std::sync::atomic::AtomicU32::new(0);
    world.on_job("first-only", move |client, job| {
        let first = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        async move {
            if first {
                return client.call("PutJobSuccessResult", &json!({ "jobId": job["id"] })).await;
            }
            let details = json!({ "type": "JobFailed", "message": "never again" });
            client.call("PutJobFailureResult", &json!({ "jobId": job["id"], "failureDetails": details })).await
        }
    });
    let mut guarded = pipeline(name, &[publish(name, 1), check("first-only", 2)]);
    guarded["stages"][1]["onFailure"] = json!({ "result": "ROLLBACK" });
    world.create(&guarded).await;
    let good = world.release(name, "one").await;
    assert_eq!(good["status"], "Succeeded");
    let failed = world.release(name, "two").await;
    assert_eq!(failed["status"], "Failed");
    let rollback = world.execution(name, "the rollback", |one| one["executionType"] == "ROLLBACK").await;
    let rollback = world.ended(name, &id(&rollback)).await;
    assert_eq!(rollback["status"], "Failed", "{rollback}");
    assert!(text(&rollback["statusSummary"]).contains("does not retry or roll back by itself"), "{rollback}");
    assert_eq!(world.rollbacks(name).await.len(), 1);
    assert_eq!(world.page(name).await, "one", "what it had deployed before it failed stays");
}
