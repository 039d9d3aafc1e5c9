//! What a rollback would do, and whether it does that.

use domain::{ExecutionId, ExecutionStatus};
use engine::{HasStore, ports::Store};
use serde_json::{Value, json};

use crate::world::{Bench, Driven, NOBODY, id, shop, shop_name};

fn of(target: Option<ExecutionId>) -> Value {
    match target {
        Some(target) => {
            json!({"pipelineName": "shop", "stageName": "Prod", "targetPipelineExecutionId": target.to_string()})
        }
        None => json!({"pipelineName": "shop", "stageName": "Prod"}),
    }
}

/// Execution 1 and 2 succeeded, 3 is inside Prod, 4 waits before it.
async fn busy() -> (Bench, [ExecutionId; 4]) {
    let (bench, first) = Bench::with_release().await;
    bench.objects.store("uploads", "app.zip", "release 2");
    let second = bench.start().await;
    bench.pass(second).await;
    let third = bench.start().await;
    assert!(matches!(bench.drive(third, None).await, Driven::Working(_)));
    let fourth = bench.start().await;
    assert_eq!(bench.drive(fourth, None).await, Driven::Waiting);
    (bench, [first, second, third, fourth])
}

#[tokio::test]
async fn what_is_previewed_is_what_is_done() {
    let (bench, [first, second, third, fourth]) = busy().await;
    let started = bench.machines_started();
    let before = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    let preview = bench.ok("PreviewRollback", of(Some(first))).await;
    assert_eq!(bench.ok("GetPipelineState", json!({"name": "shop"})).await, before, "nothing is stored");
    assert_eq!((bench.newest().await, bench.machines_started()), (fourth, started), "nothing is started");

    let (target, plan) = (&preview["target"], &preview["plan"]);
    assert_eq!((&preview["eligible"], &preview["reasons"]), (&json!(true), &json!([])));
    assert_eq!(id(&target["pipelineExecutionId"]), first);
    assert_eq!(id(&preview["waiting"][0]["pipelineExecutionId"]), fourth);
    assert_eq!(id(&plan["fences"]["pipelineExecutionId"]), third);
    assert_eq!((&plan["revokes"], &plan["holds"]), (&json!([second]), &json!(true)));
    assert_eq!(id(&plan["undonePipelineExecutionId"]), second);
    assert_eq!(preview["expectedDuration"]["runs"], 2);
    assert!(preview["expectedDuration"]["seconds"].as_u64() > Some(0), "{preview}");
    let action = &target["actions"][0];
    assert_eq!((&action["actionName"], &action["runOrder"]), (&json!("Check"), &json!(1)));
    assert_eq!(action["configuration"]["UserParameters"], "#{variables.Color} #{Upload.VersionId}");
    let difference = json!({"key": "UserParameters", "live": "green v2", "planned": "green v1"});
    assert_eq!(action["differences"], json!([difference]));
    assert_eq!(id(&action["livePipelineExecutionId"]), second);

    let back = id(&bench.ok("RollbackStage", of(Some(first))).await["pipelineExecutionId"]);
    let shown = json!({"pipelineName": "shop", "pipelineExecutionId": back});
    let shown = bench.ok("GetPipelineExecution", shown).await["pipelineExecution"].clone();
    assert_eq!(shown["rollbackMetadata"]["rollbackTargetPipelineExecutionId"], target["pipelineExecutionId"]);
    assert_eq!(shown["artifactRevisions"], target["artifactRevisions"]);
    assert_eq!(shown["variables"], target["variables"]);
    let stored = bench.world.store().load_execution(&shop_name(), back).await.unwrap().unwrap();
    let artifact = &target["artifacts"][0];
    let at = &stored.artifacts["App"];
    assert_eq!((&artifact["bucket"], &artifact["key"]), (&json!(at.bucket), &json!(at.key)));
    assert_eq!(
        (&artifact["available"], &artifact["versionId"], &artifact["eTag"]),
        (&json!(true), &json!("v1"), &json!("etag1"))
    );
    assert_eq!(stored.rollback.unwrap().undone, Some(second));
    assert_eq!(bench.drive(third, None).await, Driven::Ended(ExecutionStatus::Cancelled));

    assert!(matches!(bench.drive(back, None).await, Driven::Working(_)));
    let runs = json!({"pipelineName": "shop", "filter": {"pipelineExecutionId": back}});
    let run = bench.ok("ListActionExecutions", runs).await["actionExecutionDetails"][0].clone();
    assert_eq!(run["input"]["resolvedConfiguration"], action["resolvedConfiguration"]);
    let again = bench.ok("PreviewRollback", of(Some(first))).await;
    assert_eq!((&again["eligible"], again.get("plan")), (&json!(false), None));
    assert!(again["reasons"][0].as_str().unwrap().contains("rolled back already"), "{again}");
}

#[tokio::test]
async fn without_a_target_it_is_the_automatic_choice() {
    let (bench, [_, second, ..]) = busy().await;
    let preview = bench.ok("PreviewRollback", of(None)).await;
    assert_eq!(id(&preview["target"]["pipelineExecutionId"]), second, "what is inside would be undone");
    assert_eq!((&preview["eligible"], &preview["plan"]["revokes"]), (&json!(true), &json!([])));
    assert!(preview["plan"].get("undonePipelineExecutionId").is_none(), "its own revision is live");

    let (bench, first) = Bench::with_release().await;
    let preview = bench.ok("PreviewRollback", of(None)).await;
    assert_eq!((&preview["eligible"], preview.get("target")), (&json!(false), None));
    assert!(preview["reasons"][0].as_str().unwrap().contains("no earlier execution succeeded"), "{preview}");
    let failed = bench.start().await;
    bench.fail(failed).await;
    let preview = bench.ok("PreviewRollback", of(None)).await;
    assert_eq!(id(&preview["target"]["pipelineExecutionId"]), first, "what failed would be undone");
}

#[tokio::test]
async fn every_reason_against_it_is_told() {
    let (bench, good) = Bench::with_release().await;
    let failed = bench.start().await;
    bench.fail(failed).await;
    bench.objects.lose("artifacts");
    let preview = bench.ok("PreviewRollback", of(Some(failed))).await;
    assert_eq!((&preview["eligible"], preview.get("plan")), (&json!(false), None));
    let reasons = preview["reasons"].to_string();
    assert!(reasons.contains("did not succeed") && reasons.contains("Artifact App is gone from s3://"), "{reasons}");
    assert_eq!(preview["target"]["artifacts"][0]["available"], false);
    // The first reason is the one that RollbackStage refuses with.
    let (_, refusal) = bench.refused("RollbackStage", of(Some(failed))).await;
    assert!(refusal.ends_with(preview["reasons"][0].as_str().unwrap()), "{refusal}");

    let elsewhere = |pipeline: &str, stage: &str, target: &str| json!({"pipelineName": pipeline, "stageName": stage, "targetPipelineExecutionId": target});
    let good = good.to_string();
    bench
        .refuses(
            "PreviewRollback",
            &[
                (elsewhere("blog", "Prod", &good), "PipelineNotFoundException", "'blog'"),
                (elsewhere("shop", "Moon", &good), "StageNotFoundException", "'Moon'"),
                (elsewhere("shop", "Prod", NOBODY), "PipelineExecutionNotFoundException", NOBODY),
                (elsewhere("shop", "Prod", "x"), "ValidationException", "targetPipelineExecutionId"),
            ],
        )
        .await;
    let source = bench.ok("PreviewRollback", elsewhere("shop", "Source", &good)).await;
    assert!(source["reasons"][0].as_str().unwrap().contains("Source stage cannot"), "{source}");
}

#[tokio::test]
async fn an_id_of_its_own_is_no_difference() {
    let bench = Bench::new().await;
    let mut pipeline = shop();
    pipeline["stages"][1]["actions"][0]["configuration"]["UserParameters"] =
        json!("#{codepipeline.PipelineExecutionId} #{variables.Color}");
    bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    let first = bench.newest().await;
    bench.pass(first).await;
    let action = &bench.ok("PreviewRollback", of(Some(first))).await["target"]["actions"][0];
    // The rollback has no id yet, and that executions have ids of their own is no difference.
    let resolved = &action["resolvedConfiguration"]["UserParameters"];
    assert_eq!((resolved, &action["differences"]), (&json!("#{codepipeline.PipelineExecutionId} green"), &json!([])));
}
