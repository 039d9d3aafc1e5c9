//! Opening and closing the way into a stage.

use serde_json::{Value, json};

use crate::world::{Bench, Driven};

fn transition(stage: &str, side: &str) -> Value {
    json!({"pipelineName": "shop", "stageName": stage, "transitionType": side})
}

fn disable(stage: &str, side: &str) -> Value {
    let mut input = transition(stage, side);
    input["reason"] = json!("incident 7");
    input
}

#[tokio::test]
async fn a_closed_way_lets_nobody_in_until_it_is_opened() {
    let (bench, _) = Bench::with_release().await;
    // The way out of a stage is the way into the next.
    assert!(bench.ok("DisableStageTransition", disable("Source", "Outbound")).await.is_null());
    let execution = bench.start().await;
    assert_eq!(bench.drive(execution, None).await, Driven::Waiting);
    assert!(bench.ok("EnableStageTransition", transition("Prod", "Inbound")).await.is_null());
    let state = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    let prod = &state["stageStates"][1];
    assert_eq!(prod["inboundTransitionState"]["enabled"], true);
    assert_eq!(prod["inboundExecutions"], json!([]));
    assert_eq!(prod["latestExecution"]["pipelineExecutionId"], execution.to_string());
    // Nothing lies behind the last stage.
    bench.ok("DisableStageTransition", disable("Prod", "Outbound")).await;
}

#[tokio::test]
async fn unknown_ways_are_refused() {
    let (bench, _) = Bench::with_release().await;
    let mut elsewhere = disable("Prod", "Inbound");
    elsewhere["pipelineName"] = json!("blog");
    let mut reason = disable("Prod", "Inbound");
    reason["reason"] = json!("50 % broken");
    bench
        .refuses(
            "DisableStageTransition",
            &[
                (elsewhere.clone(), "PipelineNotFoundException", "'blog'"),
                (disable("Moon", "Inbound"), "StageNotFoundException", "'Moon'"),
                (disable("Prod", "Sideways"), "ValidationException", "transitionType"),
                (reason, "ValidationException", "reason"),
                (transition("Prod", "Inbound"), "ValidationException", "reason"),
            ],
        )
        .await;
    bench
        .refuses(
            "EnableStageTransition",
            &[
                (elsewhere, "PipelineNotFoundException", "'blog'"),
                (transition("Moon", "Inbound"), "StageNotFoundException", "'Moon'"),
            ],
        )
        .await;
}
