//! What was rolled back from stays away: in every pipeline, under a new upload, until a person says otherwise.

use aws_sdk_cloudwatch::types::{ComparisonOperator, StateValue, Statistic};
use serde_json::{Value, json};

use crate::world::{World, eventually, pipeline, publish, text};

/// A pipeline with two releases that succeeded; their executions.
async fn released(world: &World, declaration: &Value) -> [String; 2] {
    let name = text(&declaration["name"]);
    world.buckets(&name).await;
    world.create(declaration).await;
    let mut ids = Vec::new();
    for page in ["one", "two"] {
        let done = world.release(&name, page).await;
        assert_eq!(done["status"], "Succeeded", "{done}");
        ids.push(text(&done["pipelineExecutionId"]));
    }
    ids.try_into().expect("two")
}

async fn revoked(world: &World) -> Vec<Value> {
    let listed = world.call("ListRevokedRevisions", json!({})).await;
    listed["revokedRevisions"].as_array().cloned().expect("a list")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_are_stopped_in_every_pipeline_and_a_fix_passes() {
    let world = World::start().await;
    let [first, second] = released(&world, &pipeline("shop", &[publish("shop", 1)])).await;
    let back = json!({ "pipelineName": "shop", "stageName": "Deploy", "targetPipelineExecutionId": first,
        "reason": "Prices are wrong." });
    let rollback = text(&world.call("StartRollback", back).await["pipelineExecutionId"]);
    assert_eq!(world.ended("shop", &rollback).await["status"], "Succeeded");
    let [one] = revoked(&world).await.try_into().expect("one content");
    assert_eq!((&one["undonePipelineExecutionId"], &one["reason"]), (&json!(second), &json!("Prices are wrong.")));
    assert_eq!(one["sourceRevisions"][0]["actionName"], "Upload");
    assert!(text(&one["contentId"]).starts_with("etag:") || text(&one["contentId"]).starts_with("sha256:"), "{one}");

    // Uploaded anew, in this pipeline and in one that never had it.
    world.buckets("blog").await;
    world.create(&pipeline("blog", &[publish("blog", 1)])).await;
    for name in ["shop", "blog"] {
        let stopped = world.release(name, "two").await;
        assert_eq!(stopped["status"], "Stopped", "{stopped}");
        let reason = text(&stopped["stopTrigger"]["reason"]);
        assert!(reason.contains("rolled back from in Deploy of shop"), "{reason}");
        let input = json!({ "pipelineName": name, "pipelineExecutionId": stopped["pipelineExecutionId"] });
        let execution = &world.call("GetPipelineExecution", input).await["pipelineExecution"];
        let why = text(&execution["statusSummary"]);
        for part in ["before", "Upload", &rollback, &second, "ReinstateRevision", "Prices"] {
            let is_said = why.contains(part) || matches!(part, "before" | "Prices");
            assert!(is_said, "{part} in {why}");
        }
    }
    assert_eq!(world.page("shop").await, "one");
    assert_eq!(world.page("blog").await, "");

    // A fix is other content: it passes at once where nothing is held.
    assert_eq!(world.release("blog", "fix").await["status"], "Succeeded");
    assert_eq!(world.page("blog").await, "fix");

    // A person takes the verdict back: the decision is kept, and the same bytes pass again.
    let input = json!({ "contentId": one["contentId"], "reason": "It was the database." });
    let reinstated = world.call("ReinstateRevision", input.clone()).await;
    assert_eq!(reinstated["revokedRevision"], one);
    assert!(revoked(&world).await.is_empty());
    let listed = world.call("ListRollbackDecisions", json!({ "pipelineName": "shop" })).await;
    let newest = &listed["decisions"][0];
    assert_eq!((&newest["outcome"], &newest["reason"]), (&json!("RevisionReinstated"), &json!("It was the database.")));
    assert_eq!(newest["rollbackPipelineExecutionId"], rollback);
    assert_eq!(world.refused("ReinstateRevision", input).await.0, "ResourceNotFoundException");
    assert_eq!(world.release("blog", "two").await["status"], "Succeeded");
    assert_eq!(world.page("blog").await, "two");
    let told = world.system.events();
    let told = told.iter().find(|event| event["detail"]["state"] == "REINSTATED").expect("an event");
    assert_eq!(
        (&told["detail"]["pipeline"], &told["detail"]["reason"]),
        (&json!("shop"), &json!("It was the database."))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn by_policy_the_next_other_revision_lifts_the_hold() {
    let world = World::start().await;
    let alarm = world.client.cloudwatch.put_metric_alarm().alarm_name("policy").namespace("Shop").metric_name("Errors");
    let alarm = alarm.statistic(Statistic::Sum).period(60).evaluation_periods(1).threshold(0.0);
    let alarm = alarm.comparison_operator(ComparisonOperator::GreaterThanThreshold).treat_missing_data("ignore");
    alarm.send().await.expect("a good alarm");
    let set = async |state| {
        let set = world.client.cloudwatch.set_alarm_state().alarm_name("policy").state_value(state);
        set.state_reason("a test").send().await.expect("the alarm is there");
    };
    set(StateValue::Ok).await;
    let mut declaration = pipeline("shop", &[publish("shop", 1)]);
    declaration["stages"][1]["onSuccess"] = json!({ "conditions": [{ "result": "ROLLBACK", "rules": [{
        "name": "Errors",
        "ruleTypeId": { "category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1" },
        "configuration": { "AlarmName": "policy", "WaitTime": "10", "Watch": "true", "HoldUntil": "OtherRevision" },
    }]}]});
    let [first, _] = released(&world, &declaration).await;
    set(StateValue::Alarm).await;
    let back = eventually("the rollback", async || world.rollbacks("shop").await.into_iter().next()).await;
    assert_eq!(back["rollbackMetadata"]["rollbackTargetPipelineExecutionId"], first);
    let done = world.ended("shop", &text(&back["pipelineExecutionId"])).await;
    assert_eq!(done["status"], "Succeeded");
    assert_eq!(world.page("shop").await, "one");

    assert_eq!(world.release("shop", "two").await["status"], "Stopped");
    let inbound = world.stage("shop", 1).await["inboundTransitionState"].clone();
    assert_eq!(inbound["enabled"], false, "what is revoked lifts nothing: {inbound}");
    // The alarm is still red, and the cure passes.
    assert_eq!(world.release("shop", "three").await["status"], "Succeeded");
    assert_eq!(world.page("shop").await, "three");
    assert_eq!(world.stage("shop", 1).await["inboundTransitionState"]["enabled"], true);
    let listed = world.call("ListRollbackDecisions", json!({ "pipelineName": "shop" })).await;
    let released = listed["decisions"].as_array().expect("a list").iter().find(|one| one["outcome"] == "HoldReleased");
    let reason = text(&released.expect("it is decided")["reason"]);
    assert!(reason.contains("HoldUntil OtherRevision"), "{reason}");
    assert_eq!(world.call("ListHolds", json!({})).await["holds"], json!([]));
}
