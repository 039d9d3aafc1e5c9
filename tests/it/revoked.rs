//! What was rolled back from stays away: in every pipeline, under a new upload, until a person says otherwise.

use aws_sdk_cloudwatch::types::{ComparisonOperator, StateValue, Statistic};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use serde_json::{Value, json};

use crate::world::{World, eventually, pipeline, publish, release, text};

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
    assert!(text(&one["contentId"]).starts_with("sha256:"), "{one}");

    // Uploaded anew, in this pipeline and in one that never had it; there in parts, of which S3 tells no digest of all.
    world.buckets("blog").await;
    world.create(&pipeline("blog", &[publish("blog", 1)])).await;
    for name in ["shop", "blog"] {
        let stopped = if name == "shop" {
            world.release(name, "two").await
        } else {
            let version = upload_in_parts(&world, name, release("two")).await;
            let id = world.started_by(name, &version).await;
            world.ended(name, &id).await
        };
        assert_eq!(stopped["status"], "Stopped", "{stopped}");
        let reason = text(&stopped["stopTrigger"]["reason"]);
        assert!(reason.contains("rolled back from in Deploy of shop"), "{reason}");
        let input = json!({ "pipelineName": name, "pipelineExecutionId": stopped["pipelineExecutionId"] });
        let execution = &world.call("GetPipelineExecution", input).await["pipelineExecution"];
        let why = text(&execution["statusSummary"]);
        for part in ["Upload", &rollback, &second, "ReinstateRevision"] {
            assert!(why.contains(part), "{part} in {why}");
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

async fn upload_in_parts(world: &World, name: &str, body: Vec<u8>) -> String {
    let (s3, bucket, key) = (&world.client.s3, format!("{name}-releases"), "app.zip");
    let begun = s3.create_multipart_upload().bucket(&bucket).key(key).send().await.expect("the bucket is there");
    let id = begun.upload_id().expect("it has an id").to_owned();
    let part = s3.upload_part().bucket(&bucket).key(key).upload_id(&id).part_number(1).body(body.into());
    let etag = part.send().await.expect("it is there").e_tag().expect("it has one").to_owned();
    let parts = CompletedMultipartUpload::builder().parts(CompletedPart::builder().part_number(1).e_tag(etag).build());
    let done = s3.complete_multipart_upload().bucket(&bucket).key(key).upload_id(id).multipart_upload(parts.build());
    let done = done.send().await.expect("it has its part");
    assert!(done.e_tag().is_some_and(|etag| etag.trim_matches('"').ends_with("-1")), "{done:?}");
    done.version_id().unwrap_or_default().to_owned()
}

/// An alarm for the stage of these tests, which is green.
async fn alarm(world: &World, name: &str) {
    let alarm = world.client.cloudwatch.put_metric_alarm().alarm_name(name).namespace("Shop").metric_name("Errors");
    let alarm = alarm.statistic(Statistic::Sum).period(60).evaluation_periods(1).threshold(0.0);
    let alarm = alarm.comparison_operator(ComparisonOperator::GreaterThanThreshold).treat_missing_data("ignore");
    alarm.send().await.expect("a good alarm");
    set(world, name, StateValue::Ok).await;
}

async fn set(world: &World, name: &str, state: StateValue) {
    let set = world.client.cloudwatch.set_alarm_state().alarm_name(name).state_value(state);
    set.state_reason("a test").send().await.expect("the alarm is there");
}

/// A pipeline whose stage Deploy is watched with the alarm.
fn watched(configuration: Value) -> Value {
    let mut declaration = pipeline("shop", &[publish("shop", 1)]);
    declaration["stages"][1]["onSuccess"] = json!({ "conditions": [{ "result": "ROLLBACK", "rules": [{
        "name": "Errors",
        "ruleTypeId": { "category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1" },
        "configuration": configuration,
    }]}]});
    declaration
}

/// The rollback that the alarm starts, once it has ended.
async fn taken_back(world: &World, alarm: &str) -> Value {
    set(world, alarm, StateValue::Alarm).await;
    let back = eventually("the rollback", async || world.rollbacks("shop").await.into_iter().next()).await;
    let done = world.ended("shop", &text(&back["pipelineExecutionId"])).await;
    assert_eq!(done["status"], "Succeeded");
    back
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lifts_a_hold_takes_back_the_word_of_a_person_and_not_that_of_an_alarm() {
    let world = World::start().await;
    alarm(&world, "errors").await;
    let watch = json!({ "AlarmName": "errors", "WaitTime": "10", "Watch": "true" });
    let [first, _] = released(&world, &watched(watch)).await;
    taken_back(&world, "errors").await;
    let way_in = json!({ "pipelineName": "shop", "stageName": "Deploy", "transitionType": "Inbound" });
    world.call("EnableStageTransition", way_in.clone()).await;
    assert_eq!(revoked(&world).await.len(), 1);
    assert_eq!(world.release("shop", "two").await["status"], "Stopped", "an alarm's verdict stays");
    set(&world, "errors", StateValue::Ok).await;

    assert_eq!(world.release("shop", "three").await["status"], "Succeeded");
    let back = json!({ "pipelineName": "shop", "stageName": "Deploy", "targetPipelineExecutionId": first });
    let rollback = text(&world.call("RollbackStage", back).await["pipelineExecutionId"]);
    assert_eq!(world.ended("shop", &rollback).await["status"], "Succeeded");
    assert_eq!(revoked(&world).await.len(), 2);
    world.call("EnableStageTransition", way_in).await;
    let left: Vec<_> = revoked(&world).await.iter().map(|one| text(&one["rollbackPipelineExecutionId"])).collect();
    assert!(left.len() == 1 && left[0] != rollback, "{left:?}");
    assert_eq!(world.release("shop", "three").await["status"], "Succeeded", "a person's goes with its hold");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_policy_the_next_other_revision_lifts_the_hold() {
    let world = World::start().await;
    alarm(&world, "policy").await;
    let watch = json!({ "AlarmName": "policy", "WaitTime": "10", "Watch": "true", "HoldUntil": "OtherRevision" });
    let [first, _] = released(&world, &watched(watch)).await;
    let back = taken_back(&world, "policy").await;
    assert_eq!(back["rollbackMetadata"]["rollbackTargetPipelineExecutionId"], first);
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
