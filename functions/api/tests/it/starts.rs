//! Starts: once per cause, within the limits, with exactly what was named.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{CONCURRENT_EXECUTIONS_MAX, ExecutionId, ExecutionStatus};
use engine::{HasMachines, HasStore, Started, Upload};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::world::{Bench, Driven, id, shop};

const LIMIT: &str = "ConcurrentPipelineExecutionsLimitExceededException";

fn start_with(member: &str, value: Value) -> Value {
    json!({"name": "shop", member: value})
}

fn upload(version: &str) -> Upload {
    Upload {
        bucket: "uploads".to_owned(),
        key: "app.zip".to_owned(),
        version_id: Some(version.to_owned()),
        etag: None,
        sequencer: None,
    }
}

async fn upload_starts(bench: &Bench, version: &str) -> Started {
    let started = engine::object_uploaded(&bench.world, &upload(version)).await.unwrap();
    assert_eq!(started.len(), 1, "{started:?}");
    started[0].1.clone().unwrap()
}

async fn executions(bench: &Bench) -> Vec<Value> {
    let page = bench.ok("ListPipelineExecutions", json!({"pipelineName": "shop"})).await;
    page["pipelineExecutionSummaries"].as_array().unwrap().clone()
}

async fn put(bench: &Bench, revision: &str) -> (bool, String) {
    let put = bench.ok("PutActionRevision", revision_of("Source", "Fetch", revision)).await;
    (put["newRevision"].as_bool().unwrap(), put["pipelineExecutionId"].as_str().unwrap().to_owned())
}

fn revision_of(stage: &str, action: &str, revision: &str) -> Value {
    json!({"pipelineName": "shop", "stageName": stage, "actionName": action,
        "actionRevision": {"revisionId": revision, "revisionChangeId": "c1", "created": 1_795_428_000.0}})
}

/// A pipeline `shop` of this mode with as many executions under way as it may have, the first among them.
async fn full(mode: &str) -> Bench {
    let bench = Bench::new().await;
    let mut pipeline = shop();
    pipeline["executionMode"] = json!(mode);
    bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    join_all((1..CONCURRENT_EXECUTIONS_MAX).map(|_| bench.start())).await;
    bench
}

/// As [`Bench::pass`], also for PARALLEL pipelines, whose state shows no jobs.
async fn pass(bench: &Bench, execution: ExecutionId) {
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("no job is out") };
    let filter = json!({"pipelineName": "shop", "filter": {"pipelineExecutionId": execution}});
    let runs = bench.ok("ListActionExecutions", filter).await;
    let job = &runs["actionExecutionDetails"][0]["output"]["executionResult"]["externalExecutionId"];
    bench.ok("PutJobSuccessResult", json!({"jobId": job})).await;
    assert_eq!(bench.drive(execution, Some(report)).await, Driven::Ended(ExecutionStatus::Succeeded));
}

#[tokio::test]
async fn a_token_stands_for_its_execution_also_in_a_race_and_with_other_parameters() {
    let (bench, _) = Bench::with_release().await;
    let start = start_with("clientRequestToken", json!("a-1"));
    let answers = join_all((0..8).map(|_| bench.ok("StartPipelineExecution", start.clone()))).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(executions(&bench).await.len(), 2);

    let mut other = start.clone();
    other["variables"] = json!([{"name": "Color", "value": "red"}]);
    other["sourceRevisions"] = json!([{"actionName": "Gone", "revisionType": "COMMIT_ID", "revisionValue": "c"}]);
    assert_eq!(bench.ok("StartPipelineExecution", other).await, answers[0]);

    bench.ok("DeletePipeline", json!({"name": "shop"})).await;
    bench.ok("CreatePipeline", json!({"pipeline": shop()})).await;
    assert_ne!(bench.ok("StartPipelineExecution", start).await, answers[0], "a pipeline made anew knows no tokens");
}

#[tokio::test]
async fn a_refused_start_leaves_its_token_free() {
    let (bench, _) = Bench::with_release().await;
    let mut start = start_with("clientRequestToken", json!("a-1"));
    start["variables"] = json!([{"name": "Size", "value": "1"}]);
    bench.refuses("StartPipelineExecution", &[(start.clone(), "ValidationException", "'Size'")]).await;
    start["variables"] = json!([{"name": "Color", "value": "red"}]);
    bench.ok("StartPipelineExecution", start).await;
}

#[tokio::test]
async fn of_two_starts_for_the_last_place_one_wins() {
    for mode in ["QUEUED", "PARALLEL"] {
        let bench = full(mode).await;
        let text = "Pipeline 'shop' has 50 executions under way, the most that QUEUED and PARALLEL mode allow. Start \
                    again when one of them has ended.";
        let refused = bench.refused("StartPipelineExecution", json!({"name": "shop"})).await;
        assert_eq!(refused, (LIMIT.to_owned(), text.to_owned()), "{mode}");
        assert_eq!(bench.refused("PutActionRevision", revision_of("Source", "Fetch", "v1")).await.0, LIMIT);

        let oldest = id(&executions(&bench).await.last().unwrap()["pipelineExecutionId"]);
        pass(&bench, oldest).await;
        let race = join_all((0..2).map(|_| bench.call("StartPipelineExecution", json!({"name": "shop"})))).await;
        let mut statuses: Vec<u16> = race.iter().map(|(status, _)| *status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400], "{mode}: {race:?}");
        assert_eq!(executions(&bench).await.len(), usize::from(CONCURRENT_EXECUTIONS_MAX) + 1, "{mode}");
    }
}

#[tokio::test]
async fn an_upload_beyond_the_limit_is_told_in_the_history_once() {
    let bench = full("QUEUED").await;
    let Started::Failed(lost) = upload_starts(&bench, "v7").await else { panic!("there was no place") };
    assert_eq!(upload_starts(&bench, "v7").await, Started::Before(lost));
    let told = executions(&bench).await[0].clone();
    assert_eq!((id(&told["pipelineExecutionId"]), &told["status"]), (lost, &json!("Failed")));
    let why = told["statusSummary"].as_str().unwrap();
    assert!(why.contains("50 executions under way") && why.ends_with("Fetch would have taken v7."), "{why}");
    let machines = bench.world.machines().started.lock().unwrap().clone();
    assert!(!machines.iter().any(|name| name.contains(&lost.to_string())), "no machine runs it");
    assert_eq!(bench.refused("StartPipelineExecution", json!({"name": "shop"})).await.0, LIMIT, "it has no place");
}

#[tokio::test]
async fn a_rollback_needs_no_place_and_a_pipeline_made_anew_has_all() {
    let (bench, good) = Bench::with_release().await;
    join_all((0..CONCURRENT_EXECUTIONS_MAX).map(|_| bench.start())).await;
    let order = json!({"pipelineName": "shop", "stageName": "Prod", "targetPipelineExecutionId": good});
    bench.ok("RollbackStage", order).await;
    assert_eq!(bench.refused("StartPipelineExecution", json!({"name": "shop"})).await.0, LIMIT);

    bench.ok("DeletePipeline", json!({"name": "shop"})).await;
    bench.ok("CreatePipeline", json!({"pipeline": shop()})).await;
    join_all((1..CONCURRENT_EXECUTIONS_MAX).map(|_| bench.start())).await;
    assert_eq!(bench.refused("StartPipelineExecution", json!({"name": "shop"})).await.0, LIMIT);
}

#[tokio::test]
async fn a_retry_needs_a_place_again_and_a_stop_frees_one() {
    let (bench, _) = Bench::with_release().await;
    let failed = bench.start().await;
    bench.fail(failed).await;
    let others = join_all((0..CONCURRENT_EXECUTIONS_MAX).map(|_| bench.start())).await;
    let retry = json!({"pipelineName": "shop", "stageName": "Prod", "pipelineExecutionId": failed,
        "retryMode": "FAILED_ACTIONS"});
    assert_eq!(bench.refused("RetryStageExecution", retry.clone()).await.0, LIMIT);
    let stop = json!({"pipelineName": "shop", "pipelineExecutionId": others[7], "abandon": true});
    bench.ok("StopPipelineExecution", stop).await;
    bench.ok("RetryStageExecution", retry).await;
    assert_eq!(bench.refused("StartPipelineExecution", json!({"name": "shop"})).await.0, LIMIT);
    pass(&bench, failed).await;
    bench.start().await;
}

#[tokio::test]
async fn in_superseded_mode_nothing_is_counted() {
    let bench = full("SUPERSEDED").await;
    let requests = || bench.world.store().usage().requests();
    let before = requests();
    bench.start().await;
    assert_eq!(requests() - before, 3, "the pipeline is read, the start stored, its effect performed");
    assert_eq!(executions(&bench).await.len(), usize::from(CONCURRENT_EXECUTIONS_MAX) + 1);
}

#[tokio::test]
async fn variables_without_a_value_are_asked_for() {
    let bench = Bench::new().await;
    let mut pipeline = shop();
    pipeline["variables"] = json!([{"name": "Color"}]);
    bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    let text = "Variable 'Color' has no default; give it a value.";
    let first = executions(&bench).await[0].clone();
    assert_eq!((&first["status"], &first["statusSummary"]), (&json!("Failed"), &json!(text)), "nobody could give it");
    let color = |value: &str| start_with("variables", json!([{"name": "Color", "value": value}]));
    bench
        .refuses(
            "StartPipelineExecution",
            &[
                (json!({"name": "shop"}), "ValidationException", text),
                (color(""), "ValidationException", "variables.1.member.value"),
                (color(&"x".repeat(1001)), "ValidationException", "variables.1.member.value"),
                (start_with("variables", json!([])), "ValidationException", "variables"),
            ],
        )
        .await;
    bench.ok("StartPipelineExecution", color("red")).await;
    assert!(matches!(upload_starts(&bench, "v1").await, Started::Failed(_)));
}

#[tokio::test]
async fn a_version_that_is_not_there_fails_in_the_source_action_by_name() {
    let (bench, _) = Bench::with_release().await;
    let revision = json!({"actionName": "Fetch", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": "v99"});
    let started = bench.ok("StartPipelineExecution", start_with("sourceRevisions", json!([revision]))).await;
    bench.drive(id(&started["pipelineExecutionId"]), None).await;
    let runs = bench.ok("ListActionExecutions", json!({"pipelineName": "shop"})).await;
    let error = runs["actionExecutionDetails"][0]["output"]["executionResult"]["errorDetails"].clone();
    assert_eq!(error["code"], "RevisionUnavailable");
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("s3://uploads/app.zip has no version 'v99'"), "{message}");
}

#[tokio::test]
async fn a_revision_that_was_put_starts_once_and_is_taken() {
    let (bench, _) = Bench::with_release().await;
    bench.objects.store("uploads", "app.zip", "release 2");
    bench.objects.store("uploads", "app.zip", "release 3");
    let puts = join_all((0..6).map(|_| put(&bench, "v2"))).await;
    assert_eq!(puts.iter().filter(|(new, _)| *new).count(), 1, "{puts:?}");
    assert!(puts.iter().all(|(_, execution)| *execution == puts[0].1), "{puts:?}");
    let execution = id(&json!(puts[0].1));
    bench.pass(execution).await;
    let told = executions(&bench).await[0].clone();
    assert_eq!(told["trigger"], json!({"triggerType": "PutActionRevision", "triggerDetail": "Fetch"}));
    assert_eq!(told["sourceRevisions"][0]["revisionId"], "v2", "not the newest");

    assert_eq!(upload_starts(&bench, "v2").await, Started::Before(execution), "the upload's own event");
    let newer = upload_starts(&bench, "v3").await.execution();
    assert_eq!(put(&bench, "v3").await, (false, newer.to_string()));
    assert!(put(&bench, "v1").await.0, "a revision that only other kinds of starts have taken");
}

#[tokio::test]
async fn revisions_go_to_source_actions_alone() {
    let (bench, _) = Bench::with_release().await;
    let mut blog = revision_of("Source", "Fetch", "v1");
    blog["pipelineName"] = json!("blog");
    let mut nameless = revision_of("Source", "Fetch", "v1");
    nameless["actionRevision"]["revisionId"] = json!("");
    bench
        .refuses(
            "PutActionRevision",
            &[
                (blog, "PipelineNotFoundException", "'blog'"),
                (revision_of("Moon", "Fetch", "v1"), "StageNotFoundException", "'Moon'"),
                (revision_of("Source", "Check", "v1"), "ActionNotFoundException", "'Check'"),
                (revision_of("Prod", "Check", "v1"), "ValidationException", "not a Source action"),
                (nameless, "ValidationException", "actionRevision.revisionId"),
            ],
        )
        .await;
    assert_eq!(executions(&bench).await.len(), 1);
}

#[tokio::test]
async fn what_stands_in_the_way_of_one_pipeline_keeps_no_other_from_starting() {
    let (bench, _) = Bench::with_release().await;
    let mut ailing = shop();
    ailing["name"] = json!("ailing");
    bench.ok("CreatePipeline", json!({"pipeline": ailing})).await;
    // Its row cannot be read, and its name comes before the other's.
    let items = bench.table.scan().table_name("lastgood").send().await.unwrap().items.unwrap_or_default();
    let own = |item: &&HashMap<String, AttributeValue>| {
        item.contains_key("definitionKey") && item.get("name") == Some(&AttributeValue::S("ailing".to_owned()))
    };
    let mut broken = 0;
    for item in items.iter().filter(own) {
        let mut item = item.clone();
        item.remove("stages");
        bench.table.put_item().table_name("lastgood").set_item(Some(item)).send().await.unwrap();
        broken += 1;
    }
    assert!(broken > 0);
    let before = executions(&bench).await.len();
    for _ in 0..2 {
        let failed = engine::object_uploaded(&bench.world, &upload("v-9")).await;
        assert!(matches!(failed, Err(engine::EngineError::Broken(_))), "{failed:?}");
        assert_eq!(executions(&bench).await.len(), before + 1);
    }
}
