//! Git triggers: which deliveries of GitHub's start a pipeline whose source is a connection.

use serde_json::{Value, json};

use crate::{
    deliveries::{PULL_REQUEST, PUSH, executions, github, starts, starts_nothing},
    webhooks::{listed, put, webhook},
    world::{Bench, shop},
};

/// `shop` from a repository in the place of an object, with these filters of its trigger.
fn git_shop(filters: Option<Value>) -> Value {
    let mut pipeline = shop();
    let source = &mut pipeline["stages"][0]["actions"][0];
    source["actionTypeId"]["provider"] = json!("CodeStarSourceConnection");
    source["configuration"] = json!({"ConnectionArn": "arn:aws:codeconnections:eu-west-1:111122223333:connection/1", "BranchName": "main",
            "FullRepositoryId": "harbour-books/shop"});
    if let Some(mut filters) = filters {
        filters["sourceActionName"] = json!("Fetch");
        pipeline["triggers"] = json!([{"providerType": "CodeStarSourceConnection", "gitConfiguration": filters}]);
    }
    pipeline
}

/// A bench with that pipeline and a webhook for its source that has no filter of its own.
async fn hooked(filters: Option<Value>) -> (Bench, Value) {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({"pipeline": git_shop(filters)})).await;
    let hook = put(&bench, webhook(json!({"filters": []}))).await;
    (bench, hook)
}

#[tokio::test]
async fn a_push_that_a_filter_lets_pass_starts_once_and_says_what_it_was() {
    let filter = json!({"branches": {"includes": ["main"]}, "filePaths": {"includes": ["winter/**"]}});
    let (bench, hook) = hooked(Some(json!({"push": [filter]}))).await;
    let started = starts(&bench, github(&hook, "push", "d-1", PUSH)).await;
    assert_eq!(starts(&bench, github(&hook, "push", "d-1", PUSH)).await, started);
    let newest = executions(&bench).await[0].clone();
    assert_eq!(newest["pipelineExecutionId"], started);
    assert_eq!(newest["trigger"]["triggerType"], "WebhookV2");
    let detail: Value = serde_json::from_str(newest["trigger"]["triggerDetail"].as_str().unwrap()).unwrap();
    let expected = json!({"provider-type": "GitHub", "full-repository-name": "harbour-books/shop",
        "branch-name": "main", "commit-id": "c41d07e95b8a4f62a3d0e9b1f8c7265430ab19de",
        "author-display-name": "Ana Lind"});
    assert_eq!(detail, expected);

    let docs = PUSH.replace("winter/prices.html", "docs/prices.html");
    starts_nothing(&bench, github(&hook, "push", "d-2", &docs), 200, "no filter").await;
    starts_nothing(&bench, github(&hook, "pull_request", "d-3", PULL_REQUEST), 200, "no filter").await;
    assert_eq!(listed(&bench).await[0].get("errorCode"), None, "to pass over is no problem");
}

#[tokio::test]
async fn pull_requests_start_by_their_events_and_never_by_files_that_nobody_names() {
    let main = json!({"includes": ["main"]});
    let (bench, hook) = hooked(Some(json!({"pullRequest": [{"events": ["OPEN"], "branches": main}]}))).await;
    starts(&bench, github(&hook, "pull_request", "d-1", PULL_REQUEST)).await;
    starts_nothing(&bench, github(&hook, "push", "d-2", PUSH), 200, "no filter").await;

    let (bench, hook) = hooked(Some(json!({"pullRequest": [{"branches": main, "filePaths": main}]}))).await;
    starts_nothing(&bench, github(&hook, "pull_request", "d-1", PULL_REQUEST), 200, "file paths").await;
    let noted = &listed(&bench).await[0];
    assert!(noted["errorMessage"].as_str().unwrap().contains("file paths"), "its owner is told: {noted}");
}

#[tokio::test]
async fn without_a_trigger_a_push_to_the_branch_starts_and_the_webhooks_filters_go_first() {
    let (bench, hook) = hooked(None).await;
    starts(&bench, github(&hook, "push", "d-1", PUSH)).await;
    assert_eq!(executions(&bench).await[0]["trigger"]["triggerType"], "WebhookV2");
    let branch = PUSH.replacen("refs/heads/main", "refs/heads/winter", 1);
    starts_nothing(&bench, github(&hook, "push", "d-2", &branch), 200, "another branch").await;
    let elsewhere = PUSH.replace("harbour-books/shop", "harbour-books/blog");
    starts_nothing(&bench, github(&hook, "push", "d-3", &elsewhere), 200, "another repository").await;
    starts_nothing(&bench, github(&hook, "push", "d-4", "{}"), 200, "neither a push").await;

    let filters = json!([{"jsonPath": "$.ref", "matchEquals": "refs/heads/{BranchName}-2"}]);
    put(&bench, webhook(json!({ "filters": filters }))).await;
    starts_nothing(&bench, github(&hook, "push", "d-5", &format!("{PUSH}\n")), 200, "filter 1").await;
}

#[tokio::test]
async fn filters_that_cannot_be_are_refused_and_triggers_are_reported() {
    let bench = Bench::new().await;
    let create = |filters: Value| json!({"pipeline": git_shop(Some(filters))});
    let (structure, validation) = ("InvalidStructureException", "ValidationException");
    let main = json!({"includes": ["main"]});
    let cases = [
        (create(json!({"push": [{"branches": {"includes": ["{a,{b}}"]}}]})), structure, "braces in braces"),
        (create(json!({"push": [{"tags": main, "branches": main}]})), structure, "filter of their own"),
        (create(json!({"push": vec![json!({"branches": main}); 4]})), validation, "push"),
        (create(json!({"push": [{"branches": {"includes": vec!["x"; 9]}}]})), validation, "includes"),
        (create(json!({"pullRequest": [{"events": ["MERGED"]}]})), validation, "events"),
    ];
    bench.refuses("CreatePipeline", &cases).await;

    let filters = json!({"push": [{"branches": main}], "pullRequest": [{"branches": main, "filePaths": main}]});
    let report = bench.ok("ReportCompatibility", create(filters)).await;
    let found: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["path"].as_str().unwrap().starts_with("pipeline.triggers"))
        .map(|one| (one["severity"].as_str().unwrap(), one["path"].as_str().unwrap()))
        .collect();
    let at = "pipeline.triggers.1.member";
    assert_eq!(found, [("DIFFERENT", at), ("UNSUPPORTED", &format!("{at}.gitConfiguration.pullRequest"))]);
}
