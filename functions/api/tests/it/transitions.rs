//! Opening and closing the way into a stage.

use domain::{Effect, ExecutionId};
use engine::{
    HasBasics, HasStore,
    ports::{PendingEffect, Precondition, Row, Store, Write},
};
use serde_json::{Value, json};

use crate::world::{Bench, Driven, asking, shop_name};

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

/// A bench whose pipeline asks a person in Prod, with `count` PARALLEL executions that wait before it.
async fn side_by_side(count: usize) -> (Bench, Vec<ExecutionId>) {
    let bench = Bench::new().await;
    let mut pipeline = asking();
    pipeline["executionMode"] = json!("PARALLEL");
    bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    bench.ok("DisableStageTransition", disable("Prod", "Inbound")).await;
    let mut executions = vec![bench.newest().await];
    while executions.len() < count {
        executions.push(bench.start().await);
    }
    for execution in &executions {
        assert_eq!(bench.drive(*execution, None).await, Driven::Waiting);
    }
    (bench, executions)
}

#[tokio::test]
async fn all_who_wait_side_by_side_go_in_when_the_way_is_opened() {
    // Those that wait are not ended by a switch of the mode. All of the last would not fit one transaction.
    for (mode, count) in [("PARALLEL", 13), ("QUEUED", 4), ("SUPERSEDED", 25)] {
        let (bench, _) = side_by_side(count).await;
        let mut pipeline = asking();
        pipeline["executionMode"] = json!(mode);
        bench.ok("UpdatePipeline", json!({"pipeline": pipeline})).await;
        let before = bench.machines_answered();
        bench.ok("EnableStageTransition", transition("Prod", "Inbound")).await;
        assert_eq!(bench.machines_answered() - before, count, "{mode}");
        assert_eq!(bench.reconcile().await.effects, 0, "{mode}: nothing is left to do");
    }
}

#[tokio::test]
async fn whom_a_call_that_died_left_waiting_the_reconciler_lets_in() {
    let (bench, executions) = side_by_side(13).await;
    // The way was opened and the first went in, as far as one transaction goes.
    let store = bench.world.store();
    let view = store.load_pipeline(&shop_name()).await.unwrap().unwrap();
    let mut stage = view.stage(&"Prod".parse().unwrap());
    stage.inbound.enabled = true;
    let effect = Effect::AdmitWaiting { pipeline: shop_name(), stage: "Prod".parse().unwrap(), first: executions[1] };
    let pending = PendingEffect { since: bench.world.now(), effect };
    let open = Write::Put(Row::Stage(stage.clone()), Precondition::Version(stage.version));
    store.commit(vec![open, Write::Put(Row::Effect(pending), Precondition::None)]).await.unwrap();
    let before = bench.machines_answered();
    assert_eq!(bench.reconcile().await.effects, 1);
    assert_eq!(bench.machines_answered() - before, 13);
    assert_eq!(bench.reconcile().await.effects, 0, "nothing is left to do");
}
