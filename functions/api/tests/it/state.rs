//! GetPipelineState.

use serde_json::{Value, json};

use crate::world::{ANA, Bench, Driven, shop};

/// The state without instants, which must be there.
async fn state(bench: &Bench) -> Value {
    let mut state = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    for member in ["created", "updated"] {
        assert!(state.as_object_mut().unwrap().remove(member).unwrap().is_f64());
    }
    for stage in state["stageStates"].as_array_mut().unwrap() {
        for action in stage["actionStates"].as_array_mut().unwrap() {
            if let Some(run) = action.get_mut("latestExecution") {
                assert!(run.as_object_mut().unwrap().remove("lastStatusChange").unwrap().is_f64());
            }
            if let Some(revision) = action.get_mut("currentRevision") {
                assert!(revision.as_object_mut().unwrap().remove("created").unwrap().is_f64());
            }
        }
    }
    state
}

#[tokio::test]
async fn a_fresh_pipeline_has_stages_and_no_executions() {
    let bench = Bench::new().await;
    // In QUEUED mode the first execution goes into the first stage at once.
    let mut shop = shop();
    shop["executionMode"] = json!("SUPERSEDED");
    bench.ok("CreatePipeline", json!({"pipeline": shop})).await;
    let stage = |name: &str, action: &str| {
        json!({"stageName": name, "inboundExecutions": [],
        "inboundTransitionState": {"enabled": true}, "actionStates": [{"actionName": action}]})
    };
    assert_eq!(
        state(&bench).await,
        json!({"pipelineName": "shop", "pipelineVersion": 1,
        "stageStates": [stage("Source", "Fetch"), stage("Prod", "Check")]})
    );
    let missing = json!({"name": "blog"});
    bench.refuses("GetPipelineState", &[(missing, "PipelineNotFoundException", "'blog'")]).await;
}

#[tokio::test]
async fn the_state_is_one_request() {
    let (bench, _) = Bench::with_release().await;
    let requests = || engine::HasStore::store(&bench.world).usage().requests();
    let before = requests();
    state(&bench).await;
    assert_eq!(requests() - before, 1);
}

#[tokio::test]
async fn who_is_inside_who_waits_and_why_is_shown() {
    let (bench, _) = Bench::with_release().await;
    let inside = bench.start().await;
    assert!(matches!(bench.drive(inside, None).await, Driven::Working(_)));
    let reason = "incident 7 (see runbook)";
    let disable = json!({"pipelineName": "shop", "stageName": "Prod", "transitionType": "Inbound", "reason": reason});
    bench.ok("DisableStageTransition", disable).await;
    let waiting = bench.start().await;
    assert_eq!(bench.drive(waiting, None).await, Driven::Waiting);

    let state = state(&bench).await;
    let prod = &state["stageStates"][1];
    let inbound = json!({"pipelineExecutionId": waiting, "status": "InProgress"});
    assert_eq!(prod["inboundExecution"], inbound);
    assert_eq!(prod["inboundExecutions"], json!([inbound]));
    assert_eq!(prod["latestExecution"], json!({"pipelineExecutionId": inside, "status": "InProgress"}));
    let transition = &prod["inboundTransitionState"];
    assert_eq!((&transition["enabled"], &transition["disabledReason"]), (&json!(false), &json!(reason)));
    assert_eq!(transition["lastChangedBy"], ANA);
    assert!(transition["lastChangedAt"].is_f64(), "{transition}");
    let action = &prod["actionStates"][0];
    assert_eq!(
        action["entityUrl"],
        "https://eu-west-1.console.aws.amazon.com/lambda/home?region=eu-west-1#/functions/check"
    );
    let run = &action["latestExecution"];
    assert_eq!((&run["status"], run.get("token")), (&json!("InProgress"), None), "{run}");

    let source = &state["stageStates"][0];
    assert_eq!(source["latestExecution"], json!({"pipelineExecutionId": waiting, "status": "Succeeded"}));
    assert_eq!(source["actionStates"][0]["currentRevision"], json!({"revisionId": "v1", "revisionChangeId": "etag1"}));
    assert_eq!(
        source["actionStates"][0]["entityUrl"],
        "https://eu-west-1.console.aws.amazon.com/s3/buckets/uploads?region=eu-west-1"
    );
}

#[tokio::test]
async fn a_failure_and_the_rollback_after_it_are_shown() {
    let (bench, good) = Bench::with_release().await;
    let bad = bench.start().await;
    bench.fail(bad).await;
    let failed = state(&bench).await["stageStates"][1].clone();
    assert_eq!(failed["latestExecution"], json!({"pipelineExecutionId": bad, "status": "Failed"}));
    let run = &failed["actionStates"][0]["latestExecution"];
    assert_eq!(run["errorDetails"], json!({"code": "JobFailed", "message": "The page is blank."}));

    let rollback = json!({"pipelineName": "shop", "stageName": "Prod", "targetPipelineExecutionId": good});
    let rollback = bench.ok("RollbackStage", rollback).await["pipelineExecutionId"].clone();
    let back = state(&bench).await["stageStates"][1].clone();
    let latest = json!({"pipelineExecutionId": rollback, "status": "InProgress", "type": "ROLLBACK"});
    assert_eq!(back["latestExecution"], latest);
    assert_eq!(back["inboundTransitionState"]["enabled"], false, "a rollback by hand leaves a hold");
}

#[tokio::test]
async fn a_parallel_pipeline_shows_no_executions() {
    let bench = Bench::new().await;
    let mut parallel = shop();
    parallel["executionMode"] = json!("PARALLEL");
    bench.ok("CreatePipeline", json!({"pipeline": parallel})).await;
    assert!(matches!(bench.drive(bench.newest().await, None).await, Driven::Working(_)));
    for stage in state(&bench).await["stageStates"].as_array().unwrap() {
        assert!(stage.get("latestExecution").is_none(), "{stage}");
        assert!(stage["actionStates"][0].get("latestExecution").is_none(), "{stage}");
    }
}
