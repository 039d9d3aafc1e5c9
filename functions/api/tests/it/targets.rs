//! ListDeployActionExecutionTargets.

use serde_json::json;

use crate::world::{Bench, NOBODY, shop};

#[tokio::test]
async fn no_action_here_deploys_to_targets_of_its_own() {
    let (bench, _) = Bench::with_release().await;
    let runs = bench.ok("ListActionExecutions", json!({"pipelineName": "shop"})).await;
    let id = &runs["actionExecutionDetails"][0]["actionExecutionId"];
    for input in [
        json!({"pipelineName": "shop", "actionExecutionId": id}),
        json!({"actionExecutionId": id}),
        json!({"actionExecutionId": id, "filters": [{"name": "TARGET_STATUS", "values": ["Failed"]}], "maxResults": 1}),
    ] {
        assert_eq!(bench.ok("ListDeployActionExecutionTargets", input).await, json!({"targets": []}));
    }
}

#[tokio::test]
async fn without_a_pipeline_only_the_newest_runs_of_each_are_looked_through() {
    let (bench, _) = Bench::with_release().await;
    let runs = bench.ok("ListActionExecutions", json!({"pipelineName": "shop"})).await;
    let id = runs["actionExecutionDetails"][0]["actionExecutionId"].clone();
    for name in ["blog", "mail"] {
        let mut pipeline = shop();
        pipeline["name"] = json!(name);
        bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    }
    let anywhere = json!({"actionExecutionId": id});
    assert_eq!(bench.ok("ListDeployActionExecutionTargets", anywhere.clone()).await, json!({"targets": []}));
    // Two runs of each release.
    for _ in 0..10 {
        bench.pass(bench.start().await).await;
    }
    let old = (anywhere, "ActionExecutionNotFoundException", "Name the pipeline to look further.");
    bench.refuses("ListDeployActionExecutionTargets", &[old]).await;
    let named = json!({"pipelineName": "shop", "actionExecutionId": id});
    assert_eq!(bench.ok("ListDeployActionExecutionTargets", named).await, json!({"targets": []}));
}

#[tokio::test]
async fn targets_of_what_is_not_there_are_refused() {
    let (bench, _) = Bench::with_release().await;
    let mut blog = shop();
    blog["name"] = json!("blog");
    bench.ok("CreatePipeline", json!({"pipeline": blog})).await;
    let runs = bench.ok("ListActionExecutions", json!({"pipelineName": "shop"})).await;
    let id = &runs["actionExecutionDetails"][0]["actionExecutionId"];
    bench
        .refuses(
            "ListDeployActionExecutionTargets",
            &[
                (json!({"actionExecutionId": NOBODY}), "ActionExecutionNotFoundException", NOBODY),
                (json!({"actionExecutionId": "no id"}), "ActionExecutionNotFoundException", "no id"),
                (
                    json!({"pipelineName": "blog", "actionExecutionId": id}),
                    "ActionExecutionNotFoundException",
                    "no action execution",
                ),
                (json!({"pipelineName": "none", "actionExecutionId": id}), "PipelineNotFoundException", "'none'"),
                (json!({"actionExecutionId": id, "nextToken": "x"}), "InvalidNextTokenException", "token"),
                (json!({"pipelineName": "shop"}), "ValidationException", "actionExecutionId"),
            ],
        )
        .await;
}
