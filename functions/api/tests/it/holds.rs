//! Holds: seen, and lifted with a word.

use engine::{HasStore, ports::Store};
use serde_json::{Value, json};

use crate::world::{ANA, Bench, Driven, id, shop_name};

fn of(stage: &str, comment: &str) -> Value {
    json!({"pipelineName": "shop", "stageName": stage, "comment": comment})
}

/// A pipeline whose stage Prod was rolled back by hand; the rollback has ended.
async fn held() -> (Bench, String, String) {
    let (bench, good) = Bench::with_release().await;
    let newer = bench.start().await;
    bench.pass(newer).await;
    let rollback = json!({"pipelineName": "shop", "stageName": "Prod", "targetPipelineExecutionId": good});
    let back = id(&bench.ok("RollbackStage", rollback).await["pipelineExecutionId"]);
    bench.pass(back).await;
    (bench, good.to_string(), back.to_string())
}

#[tokio::test]
async fn a_hold_is_listed_until_a_person_lifts_it() {
    let (bench, good, back) = held().await;
    let listed = bench.ok("ListHolds", json!({})).await;
    let hold = listed["holds"][0].clone();
    assert_eq!((&hold["pipelineName"], &hold["stageName"]), (&json!("shop"), &json!("Prod")));
    assert_eq!(hold["rollbackPipelineExecutionId"], back);
    assert_eq!(hold["targetPipelineExecutionId"], good);
    assert_eq!((&hold["cause"], &hold["decidedBy"]), (&json!("Person"), &json!(ANA)));
    assert!(hold["since"].is_f64(), "{hold}");
    assert_eq!(bench.ok("ListHolds", json!({"pipelineName": "shop"})).await, listed);

    let waiting = bench.start().await;
    assert_eq!(bench.drive(waiting, None).await, Driven::Waiting);
    let answers = bench.machines_answered();
    let released = bench.ok("ReleaseHold", of("Prod", "The release was rebuilt.")).await;
    assert_eq!(released, json!({ "hold": hold }));
    assert_eq!(bench.machines_answered(), answers + 1, "who waited goes in");
    assert_eq!(bench.ok("ListHolds", json!({})).await, json!({"holds": []}));
    let state = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    assert_eq!(state["stageStates"][1]["inboundTransitionState"]["enabled"], true);

    // Who and why is in the history of the rollback, and among the decisions.
    let page = engine::ports::PageRequest { limit: 100, after: None };
    let history = bench.world.store().list_records(back.parse().unwrap(), page).await.unwrap().items;
    let line = history.iter().find(|record| record.event == "HoldReleased").unwrap();
    assert_eq!(line.detail, format!("By {ANA}: The release was rebuilt."));
    let decisions = bench.ok("ListRollbackDecisions", json!({"pipelineName": "shop"})).await["decisions"].clone();
    let newest = &decisions[0];
    assert_eq!((&newest["outcome"], &newest["cause"]), (&json!("HoldReleased"), &json!("Person")));
    assert_eq!((&newest["reason"], &newest["decidedBy"]), (&json!("The release was rebuilt."), &json!(ANA)));
    assert_eq!(newest["rollbackPipelineExecutionId"], back);
}

#[tokio::test]
async fn enabling_the_transition_lifts_a_hold_too() {
    let (bench, _, back) = held().await;
    let transition = json!({"pipelineName": "shop", "stageName": "Prod", "transitionType": "Inbound"});
    bench.ok("EnableStageTransition", transition.clone()).await;
    assert_eq!(bench.ok("ListHolds", json!({})).await, json!({"holds": []}));
    let decisions = json!({"pipelineName": "shop", "stageName": "Prod"});
    let decided = bench.ok("ListRollbackDecisions", decisions.clone()).await["decisions"].clone();
    assert_eq!(
        (&decided[0]["outcome"], &decided[0]["rollbackPipelineExecutionId"]),
        (&json!("HoldReleased"), &json!(back))
    );
    // Once is all there is to lift.
    bench.ok("EnableStageTransition", transition).await;
    assert_eq!(bench.ok("ListRollbackDecisions", decisions).await["decisions"], decided);
}

#[tokio::test]
async fn only_what_is_held_can_be_released() {
    let (bench, ..) = held().await;
    let elsewhere = json!({"pipelineName": "blog", "stageName": "Prod", "comment": "x"});
    bench
        .refuses(
            "ReleaseHold",
            &[
                (elsewhere, "PipelineNotFoundException", "'blog'"),
                (of("Moon", "x"), "StageNotFoundException", "'Moon'"),
                (of("Source", "x"), "ResourceNotFoundException", "not held by a rollback"),
                (of("Prod", ""), "ValidationException", "comment"),
                (of("Prod", &"x".repeat(1025)), "ValidationException", "comment"),
                (json!({"pipelineName": "shop", "stageName": "Prod"}), "ValidationException", "comment"),
            ],
        )
        .await;
    bench.ok("ReleaseHold", of("Prod", "Once.")).await;
    bench.refuses("ReleaseHold", &[(of("Prod", "Twice."), "ResourceNotFoundException", "not held")]).await;
    bench
        .refuses(
            "ListHolds",
            &[
                (json!({"pipelineName": "blog"}), "PipelineNotFoundException", "'blog'"),
                (json!({"nextToken": "x"}), "InvalidNextTokenException", "token"),
            ],
        )
        .await;
    // A person's closed transition is no hold.
    let closed = json!({"pipelineName": "shop", "stageName": "Prod", "transitionType": "Inbound", "reason": "Sale"});
    bench.ok("DisableStageTransition", closed).await;
    bench.refuses("ReleaseHold", &[(of("Prod", "x"), "ResourceNotFoundException", "EnableStageTransition")]).await;
}

#[tokio::test]
async fn a_deleted_pipeline_holds_nothing() {
    let (bench, ..) = held().await;
    bench.ok("DeletePipeline", json!({"name": "shop"})).await;
    assert_eq!(bench.ok("ListHolds", json!({})).await, json!({"holds": []}));
    assert!(bench.world.store().load_pipeline(&shop_name()).await.unwrap().is_none());
}
