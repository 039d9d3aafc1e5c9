//! Pipeline executions.

use serde_json::{Value, json};

use crate::world::{ANA, Bench, NOBODY, shop};

fn ids(page: &Value) -> Vec<&str> {
    let lines = page["pipelineExecutionSummaries"].as_array().unwrap();
    lines.iter().map(|line| line["pipelineExecutionId"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn one_token_starts_one_execution() {
    let (bench, _) = Bench::with_release().await;
    let start = json!({"name": "shop", "clientRequestToken": "a-1"});
    let first = bench.ok("StartPipelineExecution", start.clone()).await;
    assert_eq!(bench.ok("StartPipelineExecution", start).await, first);
    let other = bench.ok("StartPipelineExecution", json!({"name": "shop", "clientRequestToken": "a-2"})).await;
    assert_ne!(other, first);
}

#[tokio::test]
async fn an_execution_is_told_from_start_to_end() {
    let (bench, _) = Bench::with_release().await;
    let variables = json!([{"name": "Color", "value": "blue"}]);
    let started = bench.ok("StartPipelineExecution", json!({"name": "shop", "variables": variables})).await;
    let id = &started["pipelineExecutionId"];
    let get = json!({"pipelineName": "shop", "pipelineExecutionId": id});
    let trigger = json!({"triggerType": "StartPipelineExecution", "triggerDetail": ANA});
    let before = bench.ok("GetPipelineExecution", get.clone()).await;
    let common = json!({"pipelineName": "shop", "pipelineVersion": 1, "pipelineExecutionId": id,
        "executionMode": "QUEUED", "executionType": "STANDARD", "trigger": trigger,
        "variables": [{"name": "Color", "resolvedValue": "blue"}]});
    let with = |status: &str, revisions: Value| {
        let mut execution = common.clone();
        execution["status"] = json!(status);
        execution["artifactRevisions"] = revisions;
        json!({"pipelineExecution": execution})
    };
    assert_eq!(before, with("InProgress", json!([])));

    bench.pass(crate::world::id(id)).await;
    let revision = json!({"name": "App", "revisionId": "v1", "revisionChangeIdentifier": "etag1",
        "revisionSummary": "Amazon S3 version id: v1", "created": 1_795_428_000.0});
    assert_eq!(bench.ok("GetPipelineExecution", get).await, with("Succeeded", json!([revision])));

    let line = bench.ok("ListPipelineExecutions", json!({"pipelineName": "shop"})).await["pipelineExecutionSummaries"]
        [0]
    .clone();
    assert_eq!((&line["pipelineExecutionId"], &line["status"], &line["trigger"]), (id, &json!("Succeeded"), &trigger));
    assert_eq!(
        line["sourceRevisions"],
        json!([{"actionName": "Fetch", "revisionId": "v1",
        "revisionSummary": "Amazon S3 version id: v1"}])
    );
    assert!(line["lastUpdateTime"].as_f64() > line["startTime"].as_f64(), "{line}");
    let event = bench.invoked.0.lock().unwrap().last().unwrap()["CodePipeline.job"]["data"].clone();
    assert_eq!(event["actionConfiguration"]["configuration"]["UserParameters"], "blue v1");
}

#[tokio::test]
async fn starts_that_cannot_be_are_refused() {
    let (bench, _) = Bench::with_release().await;
    let with = |member: &str, value: Value| json!({"name": "shop", member: value});
    let revision =
        |action: &str, kind: &str| json!({"actionName": action, "revisionType": kind, "revisionValue": "v1"});
    let version = revision("Fetch", "S3_OBJECT_VERSION_ID");
    let twice = json!([{"name": "Color", "value": "a"}, {"name": "Color", "value": "b"}]);
    let cases = [
        (json!({"name": "blog"}), "PipelineNotFoundException", "'blog'"),
        (with("variables", json!([{"name": "Size", "value": "1"}])), "ValidationException", "'Size'"),
        (with("variables", twice), "ValidationException", "more than once"),
        (with("sourceRevisions", json!([revision("Check", "S3_OBJECT_VERSION_ID")])), "ValidationException", "'Check'"),
        (with("sourceRevisions", json!([revision("Fetch", "S3_OBJECT_KEY")])), "ValidationException", "AllowOverride"),
        (
            with("sourceRevisions", json!([revision("Fetch", "COMMIT_ID")])),
            "ValidationException",
            "S3_OBJECT_VERSION_ID",
        ),
        (with("sourceRevisions", json!([version, version])), "ValidationException", "two revisions"),
        (with("clientRequestToken", json!("a b")), "ValidationException", "clientRequestToken"),
    ];
    bench.refuses("StartPipelineExecution", &cases).await;
    let list = bench.ok("ListPipelineExecutions", json!({"pipelineName": "shop"})).await;
    assert_eq!(ids(&list).len(), 1, "a refused start starts nothing");
}

#[tokio::test]
async fn named_revisions_are_taken() {
    let bench = Bench::new().await;
    let mut pipeline = shop();
    pipeline["stages"][0]["actions"][0]["configuration"]["AllowOverrideForS3ObjectKey"] = json!("true");
    bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    for _ in 0..2 {
        bench.objects.store("uploads", "other.zip", "another release");
    }
    let revisions = json!([
        {"actionName": "Fetch", "revisionType": "S3_OBJECT_KEY", "revisionValue": "other.zip"},
        {"actionName": "Fetch", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": "v2"},
    ]);
    bench.pass(bench.newest().await).await;
    let started = bench.ok("StartPipelineExecution", json!({"name": "shop", "sourceRevisions": revisions})).await;
    bench.pass(crate::world::id(&started["pipelineExecutionId"])).await;
    let runs = bench.ok("ListActionExecutions", json!({"pipelineName": "shop"})).await;
    let taken = &runs["actionExecutionDetails"][1]["output"]["outputVariables"];
    assert_eq!(*taken, json!({"BucketName": "uploads", "ObjectKey": "other.zip", "VersionId": "v2", "ETag": "etag2"}));
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let (bench, first) = Bench::with_release().await;
    let get = |pipeline: &str, id: &str| json!({"pipelineName": pipeline, "pipelineExecutionId": id});
    bench
        .refuses(
            "GetPipelineExecution",
            &[
                (get("blog", &first.to_string()), "PipelineNotFoundException", "'blog'"),
                (get("shop", NOBODY), "PipelineExecutionNotFoundException", NOBODY),
                (get("shop", "x"), "ValidationException", "pipelineExecutionId"),
            ],
        )
        .await;
    bench
        .refuses(
            "ListPipelineExecutions",
            &[
                (json!({"pipelineName": "blog"}), "PipelineNotFoundException", "'blog'"),
                (json!({"pipelineName": "shop", "nextToken": "x"}), "InvalidNextTokenException", "token"),
                (json!({"pipelineName": "shop", "maxResults": 101}), "ValidationException", "maxResults"),
            ],
        )
        .await;
}

#[tokio::test]
async fn executions_that_succeeded_in_a_stage_are_found_page_by_page() {
    let (bench, first) = Bench::with_release().await;
    let mut succeeded = vec![first.to_string()];
    for number in 0..4 {
        let execution = bench.start().await;
        if number % 2 == 0 {
            bench.fail(execution).await;
        } else {
            bench.pass(execution).await;
            succeeded.insert(0, execution.to_string());
        }
    }
    let filtered = |stage: &str| {
        json!({"pipelineName": "shop", "maxResults": 1,
        "filter": {"succeededInStage": {"stageName": stage}}})
    };
    let (mut found, mut input) = (Vec::new(), filtered("Prod"));
    loop {
        let page = bench.ok("ListPipelineExecutions", input.clone()).await;
        found.extend(ids(&page).into_iter().map(str::to_owned));
        let Some(token) = page.get("nextToken") else {
            break;
        };
        input["nextToken"] = token.clone();
        // What starts meanwhile does not move the place.
        bench.drive(bench.start().await, None).await;
    }
    assert_eq!(found, succeeded);
    assert_eq!(bench.ok("ListPipelineExecutions", filtered("Moon")).await, json!({"pipelineExecutionSummaries": []}));

    let mut changed = shop();
    changed["stages"][1]["actions"][0]["configuration"]["UserParameters"] = json!("other");
    bench.ok("UpdatePipeline", json!({"pipeline": changed})).await;
    assert_eq!(bench.ok("ListPipelineExecutions", filtered("Prod")).await, json!({"pipelineExecutionSummaries": []}));
    let source = bench.ok("ListPipelineExecutions", filtered("Source")).await;
    assert_eq!(ids(&source).len(), 1, "the Source stage is as it was");
}
