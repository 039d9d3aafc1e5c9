//! People stop executions and retry stages, in the middle of things.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};

use crate::world::{World, approval, check, eventually, pipeline, publish, release, text, type_id};

fn id(execution: &Value) -> String {
    text(&execution["pipelineExecutionId"])
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

async fn approve(world: &World, name: &str, token: &str) {
    let input = json!({ "pipelineName": name, "stageName": "Deploy", "actionName": "Approve", "token": token,
        "result": { "summary": "seen", "status": "Approved" } });
    world.call("PutApprovalResult", input).await;
}

async fn stop(world: &World, name: &str, execution: &str, abandon: bool) {
    let input =
        json!({ "pipelineName": name, "pipelineExecutionId": execution, "abandon": abandon, "reason": "a test" });
    let answer = world.call("StopPipelineExecution", input).await;
    assert_eq!(answer["pipelineExecutionId"], execution);
}

fn retry(name: &str, stage: &str, execution: &str, mode: &str) -> Value {
    json!({ "pipelineName": name, "stageName": stage, "pipelineExecutionId": execution, "retryMode": mode })
}

/// The execution, once its status is this one.
async fn stands(world: &World, name: &str, execution: &str, status: &str) -> Value {
    let is = |one: &Value| one["pipelineExecutionId"] == execution && one["status"] == status;
    world.execution(name, &format!("{status} of {execution}"), is).await
}

/// Status of each run of `action`, newest first.
async fn runs(world: &World, name: &str, execution: &str, action: &str) -> Vec<String> {
    let runs = world.runs(name, &json!({ "pipelineExecutionId": execution }), action).await;
    runs.iter().map(|run| text(&run["status"])).collect()
}

/// Uploads a release; returns its execution.
async fn begin(world: &World, name: &str, page: &str) -> String {
    let version = world.upload(name, release(page)).await;
    world.started_by(name, &version).await
}

/// Registers a function that fails its jobs until it is mended.
fn mendable(world: &World) -> Arc<AtomicBool> {
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = Arc::clone(&mended);
    world.on_job("mendable", move |client, job| {
        let is_mended = is_mended.load(Ordering::SeqCst);
        async move {
            if is_mended {
                return client.call("PutJobSuccessResult", &json!({ "jobId": job["id"] })).await;
            }
            let details = json!({ "type": "JobFailed", "message": "the database is down" });
            client.call("PutJobFailureResult", &json!({ "jobId": job["id"], "failureDetails": details })).await
        }
    });
    mended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_during_a_question_waits_for_the_answer_and_a_retry_goes_on_from_there() {
    let world = World::start().await;
    let name = "waited";
    world.buckets(name).await;
    world.create(&pipeline(name, &[approval(1), publish(name, 2)])).await;
    let execution = begin(&world, name, "one").await;
    let token = question(&world, name, &execution).await;
    stop(&world, name, &execution, false).await;
    let stopping = stands(&world, name, &execution, "Stopping").await;
    assert_eq!(stopping["stopTrigger"], json!({ "reason": "a test" }));
    assert_eq!(world.stage(name, 1).await["latestExecution"]["status"], "Stopping");

    approve(&world, name, &token).await;
    stands(&world, name, &execution, "Stopped").await;
    assert_eq!(world.stage(name, 1).await["latestExecution"]["status"], "Stopped");
    assert_eq!(runs(&world, name, &execution, "Approve").await, ["Succeeded"]);
    assert!(runs(&world, name, &execution, "Publish").await.is_empty(), "no further group begins");
    assert!(world.keys("waited-site").await.is_empty());

    world.call("RetryStageExecution", retry(name, "Deploy", &execution, "FAILED_ACTIONS")).await;
    stands(&world, name, &execution, "Succeeded").await;
    assert_eq!(runs(&world, name, &execution, "Approve").await, ["Succeeded"], "it is not asked again");
    assert_eq!(runs(&world, name, &execution, "Publish").await, ["Succeeded"]);
    assert_eq!(world.page(name).await, "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_never_ends_is_abandoned_and_the_next_release_goes_in() {
    let world = World::start().await;
    let name = "hanging";
    world.buckets(name).await;
    world.on_job("silent", |_, _| async { Ok(json!({})) });
    world.create(&pipeline(name, &[check("silent", 1), publish(name, 2)])).await;
    let hanging = begin(&world, name, "one").await;
    let job = eventually("the job", async || {
        let execution = json!({ "pipelineExecutionId": hanging });
        let runs = world.runs(name, &execution, "Check").await;
        runs.first()?["output"]["executionResult"]["externalExecutionId"].as_str().map(str::to_owned)
    })
    .await;
    let next = begin(&world, name, "two").await;
    let waiting = begin(&world, name, "three").await;
    eventually("the execution before Deploy", async || {
        (world.stage(name, 1).await["inboundExecution"]["pipelineExecutionId"] == waiting).then_some(())
    })
    .await;
    stands(&world, name, &next, "Superseded").await;

    stop(&world, name, &hanging, true).await;
    stands(&world, name, &hanging, "Stopped").await;
    assert_eq!(runs(&world, name, &hanging, "Check").await, ["Abandoned"]);
    let (exception, _) = world.refused("PutJobSuccessResult", json!({ "jobId": job })).await;
    assert_eq!(exception, "InvalidJobStateException");
    eventually("the next one in Deploy", async || {
        (world.stage(name, 1).await["latestExecution"]["pipelineExecutionId"] == waiting).then_some(())
    })
    .await;
    let (exception, _) = world.refused("RetryStageExecution", retry(name, "Deploy", &hanging, "ALL_ACTIONS")).await;
    assert_eq!(exception, "NotLatestPipelineExecutionException");
    stop(&world, name, &waiting, true).await;
    stands(&world, name, &waiting, "Stopped").await;
    assert!(world.keys("hanging-site").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_is_retried_after_it_was_mended_and_later_stages_follow() {
    let world = World::start().await;
    let name = "mended";
    world.buckets(name).await;
    let mended = mendable(&world);
    let mut declared = pipeline(name, &[publish(name, 1), check("mendable", 2)]);
    let verify = json!({ "name": "Verify", "actions": [check("mendable", 1)] });
    declared["stages"].as_array_mut().expect("a list").push(verify);
    world.create(&declared).await;
    let execution = begin(&world, name, "one").await;
    let failed = stands(&world, name, &execution, "Failed").await;
    assert!(text(&failed["statusSummary"]).contains("the database is down"), "{failed}");

    // Still broken: it fails again, and only what failed runs again.
    world.call("RetryStageExecution", retry(name, "Deploy", &execution, "FAILED_ACTIONS")).await;
    eventually("the second failure", async || {
        let runs = runs(&world, name, &execution, "Check").await;
        (runs == ["Failed", "Failed"]).then_some(())
    })
    .await;
    stands(&world, name, &execution, "Failed").await;
    assert_eq!(runs(&world, name, &execution, "Publish").await, ["Succeeded"]);

    mended.store(true, Ordering::SeqCst);
    world.call("RetryStageExecution", retry(name, "Deploy", &execution, "ALL_ACTIONS")).await;
    stands(&world, name, &execution, "Succeeded").await;
    assert_eq!(runs(&world, name, &execution, "Publish").await, ["Succeeded", "Succeeded"]);
    let checks = runs(&world, name, &execution, "Check").await;
    assert_eq!(checks, ["Succeeded", "Succeeded", "Failed", "Failed"], "Verify, then Deploy");
    let retries = &world.stage(name, 1).await["retryStageMetadata"];
    assert_eq!(*retries, json!({ "manualStageRetryAttempt": 2, "latestRetryTrigger": "ManualStageRetry" }));
    let states = [1, 2].map(async |stage| world.stage(name, stage).await["latestExecution"]["status"].clone());
    for state in states {
        assert_eq!(state.await, "Succeeded");
    }
    let candidates = json!({ "pipelineName": name, "stageName": "Deploy", "targetPipelineExecutionId": execution });
    world.call("RollbackStage", candidates).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_rollback_is_retried_and_brings_the_target_back() {
    let world = World::start().await;
    let name = "secondtry";
    world.buckets(name).await;
    let mended = mendable(&world);
    mended.store(true, Ordering::SeqCst);
    let mut guarded = pipeline(name, &[check("mendable", 1), publish(name, 2)]);
    guarded["stages"][1]["onFailure"] = json!({ "result": "ROLLBACK" });
    world.create(&guarded).await;
    assert_eq!(world.release(name, "one").await["status"], "Succeeded");
    mended.store(false, Ordering::SeqCst);
    let failed = begin(&world, name, "two").await;
    stands(&world, name, &failed, "Failed").await;
    let rollback = world.execution(name, "the rollback", |one| one["executionType"] == "ROLLBACK").await;
    stands(&world, name, &id(&rollback), "Failed").await;
    let (exception, _) = world.refused("RetryStageExecution", retry(name, "Deploy", &failed, "ALL_ACTIONS")).await;
    assert_eq!(exception, "NotLatestPipelineExecutionException");

    mended.store(true, Ordering::SeqCst);
    world.call("RetryStageExecution", retry(name, "Deploy", &id(&rollback), "FAILED_ACTIONS")).await;
    let done = stands(&world, name, &id(&rollback), "Succeeded").await;
    assert_eq!(done["trigger"]["triggerType"], "AutomatedRollback");
    assert_eq!(world.page(name).await, "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_whose_success_condition_failed_is_judged_again_without_new_actions() {
    let world = World::start().await;
    let name = "judged";
    world.buckets(name).await;
    let mut declared = pipeline(name, &[publish(name, 1)]);
    declared["variables"] = json!([{ "name": "Good", "defaultValue": "no" }]);
    declared["stages"][1]["onSuccess"] = json!({ "conditions": [{ "result": "FAIL", "rules": [{
        "name": "Good",
        "ruleTypeId": { "category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1" },
        "configuration": { "Variable": "#{variables.Good}", "Operator": "EQ", "Value": "yes" },
    }]}]});
    world.create(&declared).await;
    let execution = begin(&world, name, "one").await;
    stands(&world, name, &execution, "Failed").await;
    world.call("RetryStageExecution", retry(name, "Deploy", &execution, "FAILED_ACTIONS")).await;
    eventually("the end of the retry", async || {
        let stage = world.stage(name, 1).await;
        let retried = stage["retryStageMetadata"]["manualStageRetryAttempt"] == 1;
        (retried && stage["latestExecution"]["status"] == "Failed").then_some(())
    })
    .await;
    let failed = stands(&world, name, &execution, "Failed").await;
    assert!(text(&failed["statusSummary"]).contains("condition"), "{failed}");
    assert_eq!(runs(&world, name, &execution, "Publish").await, ["Succeeded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_lets_what_runs_end_and_begins_nothing_more() {
    let world = World::start().await;
    let name = "overtaken";
    world.buckets(name).await;
    let declared = pipeline(name, &[approval(1), publish(name, 2)]);
    world.create(&declared).await;
    let running = begin(&world, name, "one").await;
    let token = question(&world, name, &running).await;
    let waiting = begin(&world, name, "two").await;
    eventually("the execution before Deploy", async || {
        (world.stage(name, 1).await["inboundExecution"]["pipelineExecutionId"] == waiting).then_some(())
    })
    .await;
    world.call("UpdatePipeline", json!({ "pipeline": declared })).await;
    let cancelled = world.ended(name, &waiting).await;
    assert_eq!(cancelled["status"], "Cancelled", "it does not wait for the one inside: {cancelled}");
    assert_eq!(runs(&world, name, &running, "Approve").await, ["InProgress"]);
    approve(&world, name, &token).await;
    stands(&world, name, &running, "Cancelled").await;
    assert!(world.keys("overtaken-site").await.is_empty());
    let (exception, message) =
        world.refused("RetryStageExecution", retry(name, "Deploy", &running, "ALL_ACTIONS")).await;
    assert_eq!(exception, "StageNotRetryableException", "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parallel_stage_retries_by_itself_and_by_hand() {
    let world = World::start().await;
    let name = "sidebyside";
    world.buckets(name).await;
    let mended = mendable(&world);
    let mut parallel = pipeline(name, &[check("mendable", 1), publish(name, 2)]);
    parallel["executionMode"] = json!("PARALLEL");
    parallel["stages"][1]["onFailure"] =
        json!({ "result": "RETRY", "retryConfiguration": { "retryMode": "FAILED_ACTIONS" } });
    world.create(&parallel).await;
    let (one, other) = (begin(&world, name, "one").await, begin(&world, name, "two").await);
    for execution in [&one, &other] {
        stands(&world, name, execution, "Failed").await;
        assert_eq!(runs(&world, name, execution, "Check").await, ["Failed", "Failed"], "once by itself");
    }
    mended.store(true, Ordering::SeqCst);
    world.call("RetryStageExecution", retry(name, "Deploy", &one, "FAILED_ACTIONS")).await;
    stands(&world, name, &one, "Succeeded").await;
    assert_eq!(runs(&world, name, &one, "Check").await, ["Succeeded", "Failed", "Failed"]);
    stands(&world, name, &other, "Failed").await;
    assert_eq!(world.page(name).await, "one");
}

/// Deploys to a bucket that is not there yet, beside what is good.
fn astray(name: &str) -> Value {
    json!({
        "name": "Astray",
        "runOrder": 1,
        "actionTypeId": type_id("Deploy", "S3"),
        "configuration": { "BucketName": format!("{name}-elsewhere"), "Extract": "true" },
        "inputArtifacts": [{ "name": "App" }],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn of_actions_side_by_side_only_the_failed_one_runs_again() {
    let world = World::start().await;
    let name = "halfway";
    world.buckets(name).await;
    world.create(&pipeline(name, &[publish(name, 1), astray(name)])).await;
    let execution = begin(&world, name, "one").await;
    stands(&world, name, &execution, "Failed").await;
    world.client.s3.create_bucket().bucket("halfway-elsewhere").send().await.expect("it is new");
    world.call("RetryStageExecution", retry(name, "Deploy", &execution, "FAILED_ACTIONS")).await;
    stands(&world, name, &execution, "Succeeded").await;
    assert_eq!(runs(&world, name, &execution, "Publish").await, ["Succeeded"]);
    assert_eq!(runs(&world, name, &execution, "Astray").await, ["Succeeded", "Failed"]);
}
