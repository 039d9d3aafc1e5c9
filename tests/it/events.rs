//! Events that come twice, late, out of order, or about nothing.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::world::{World, eventually, pipeline, publish, release, text};

const TRIGGER: &str = "lastgood-source-trigger";
const ALARM_HANDLER: &str = "lastgood-alarm-handler";

/// EventBridge's event for an upload. `order` stands for S3's sequencer.
fn uploaded(bucket: &str, version: &str, order: u32) -> Value {
    json!({
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {
            "bucket": { "name": bucket },
            "object": { "key": "app.zip", "version-id": version, "sequencer": format!("{order:018X}") },
        },
    })
}

/// S3's own notification for the same.
fn notified(bucket: &str, version: &str, order: u32) -> Value {
    json!({ "Records": [{ "eventName": "ObjectCreated:Put", "s3": {
        "bucket": { "name": bucket },
        "object": { "key": "app.zip", "versionId": version, "sequencer": format!("{order:018X}") },
    }}]})
}

/// A pipeline whose bucket held `releases` before there was a pipeline to start; returns their versions.
async fn pipeline_after(world: &World, name: &str, releases: &[&str]) -> Vec<String> {
    let told = || world.system.invocations().get(TRIGGER).copied().unwrap_or_default();
    world.buckets(name).await;
    let before = told();
    let mut versions = Vec::new();
    for page in releases {
        versions.push(world.upload(name, release(page)).await);
    }
    let all = before + releases.len() as u64;
    eventually("the uploads' own events", async || (told() >= all).then_some(())).await;
    world.create(&pipeline(name, &[publish(name, 1)])).await;
    versions
}

async fn triggered(world: &World, event: &Value) -> Vec<String> {
    let answer = world.invoke(TRIGGER, event).await.expect("an event from S3");
    answer["executions"].as_array().expect("a list").iter().map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_starts_one_execution_however_often_and_in_whatever_form_it_is_told() {
    let world = World::start().await;
    let name = "twice";
    let version = &pipeline_after(&world, name, &["one"]).await[0];
    let bucket = "twice-releases";
    let (first, same) = (uploaded(bucket, version, 1), notified(bucket, version, 1));
    let (one, other) = tokio::join!(triggered(&world, &first), triggered(&world, &first));
    assert_eq!((one.len(), &one), (1, &other), "told twice at the same time");
    for event in [&first, &same] {
        assert_eq!(triggered(&world, event).await, one, "{event}");
    }
    world.ended(name, &one[0]).await;
    assert_eq!(triggered(&world, &first).await, one, "told again after its end");
    let started = world.executions(name).await;
    let by_upload = started.iter().filter(|one| one["trigger"]["triggerType"] == "CloudWatchEvent");
    assert_eq!(by_upload.count(), 1, "{started:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_told_after_a_newer_one_starts_nothing() {
    let world = World::start().await;
    let name = "order";
    let versions = pipeline_after(&world, name, &["older", "newer"]).await;
    let newer = triggered(&world, &uploaded("order-releases", &versions[1], 2)).await;
    let older = triggered(&world, &uploaded("order-releases", &versions[0], 1)).await;
    assert_eq!((newer.len(), &older), (1, &newer), "the older is told of the newer's execution");
    let ended = world.ended(name, &newer[0]).await;
    assert_eq!(ended["status"], "Succeeded");
    assert_eq!(world.executions(name).await.len(), 2, "the pipeline's first, and the newer upload's");
    assert_eq!(world.page(name).await, "newer");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_gone_or_concerns_nobody_leaves_nothing_half_done() {
    let world = World::start().await;
    let name = "gone";
    let versions = pipeline_after(&world, name, &["kept", "deleted"]).await;
    assert_eq!(world.page(name).await, "deleted");
    let delete = world.client.s3.delete_object().bucket("gone-releases").key("app.zip");
    delete.version_id(&versions[1]).send().await.expect("it is there");

    let started = triggered(&world, &uploaded("gone-releases", &versions[1], 2)).await;
    let failed = world.ended(name, &started[0]).await;
    let (code, message) = world.failure(name, &failed, "Upload").await;
    assert_eq!(code, "RevisionUnavailable");
    assert!(message.contains("gone-releases/app.zip"), "{message}");
    assert!(world.runs(name, &failed, "Publish").await.is_empty());
    assert_eq!(world.stage(name, 1).await["latestExecution"]["status"], "Succeeded", "Deploy was not entered");
    assert_eq!(world.page(name).await, "deleted", "what was deployed stays");

    let count = world.executions(name).await.len();
    let mut removed = uploaded("gone-releases", &versions[0], 3);
    removed["detail-type"] = json!("Object Deleted");
    for event in [uploaded("nobodys-bucket", "v1", 1), removed, json!({ "Event": "s3:TestEvent" })] {
        assert!(triggered(&world, &event).await.is_empty(), "{event}");
    }
    assert_eq!(world.executions(name).await.len(), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_refused_with_what_to_send() {
    let world = World::start().await;
    let bucket_only = json!({ "source": "aws.s3", "detail-type": "Object Created", "detail": { "bucket": {} } });
    let purple = json!({ "detail-type": "CloudWatch Alarm State Change", "resources": ["arn"],
        "detail": { "state": { "value": "PURPLE", "timestamp": "2026-01-01T00:00:00Z" } } });
    for (function, expected, events) in [
        (TRIGGER, "Object Created", [json!(null), json!("hello"), json!({ "Records": [{}] }), bucket_only]),
        (ALARM_HANDLER, "CloudWatch Alarm State Change", [json!(null), json!([1]), json!({ "Records": [{}] }), purple]),
    ] {
        for event in events {
            let (error, message) = world.invoke(function, &event).await.expect_err("garbage");
            assert_eq!(error, "InvalidInput", "{function}, {event}: {message}");
            assert!(message.contains("Send") && message.contains(expected), "{function}, {event}: {message}");
        }
    }
}

const ALARM: &str = "guarded-errors";

/// CloudWatch's event: the alarm turned red at `since`.
fn red(alarm: &str, since: Timestamp) -> Value {
    json!({
        "source": "aws.cloudwatch",
        "detail-type": "CloudWatch Alarm State Change",
        "resources": [format!("arn:aws:cloudwatch:us-east-1:000000000000:alarm:{alarm}")],
        "detail": { "alarmName": alarm, "state": {
            "value": "ALARM",
            "reason": "Threshold Crossed",
            "timestamp": since.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string(),
        }},
    })
}

fn time(value: &Value) -> Timestamp {
    let millis = value.as_f64().expect("a time") * 1000.0;
    Timestamp::from_millisecond(millis.round() as i64).expect("a time of our days")
}

/// A pipeline that watches an alarm for ten minutes after Deploy.
async fn guarded(world: &World, name: &str) {
    world.buckets(name).await;
    let alarm = world.client.cloudwatch.put_metric_alarm().alarm_name(ALARM).namespace("Shop").metric_name("Errors");
    let alarm = alarm.statistic(aws_sdk_cloudwatch::types::Statistic::Sum).period(60).evaluation_periods(1);
    let alarm = alarm.comparison_operator(aws_sdk_cloudwatch::types::ComparisonOperator::GreaterThanThreshold);
    alarm.threshold(0.0).treat_missing_data("notBreaching").send().await.expect("a good alarm");
    let mut pipeline = pipeline(name, &[publish(name, 1)]);
    pipeline["stages"][1]["onSuccess"] = json!({ "conditions": [{ "result": "ROLLBACK", "rules": [{
        "name": "Errors",
        "ruleTypeId": { "category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1" },
        "configuration": { "AlarmName": ALARM, "WaitTime": "10", "Watch": "true" },
    }]}]});
    world.create(&pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_rolls_back_once_and_only_what_it_can_speak_against() {
    let world = World::start().await;
    let name = "guarded";
    guarded(&world, name).await;
    let first = world.release(name, "one").await;
    let second = world.release(name, "two").await;
    assert_eq!((&first["status"], &second["status"]), (&json!("Succeeded"), &json!("Succeeded")));
    let (began, ended) = (time(&second["startTime"]), time(&second["lastUpdateTime"]));

    let unknown = world.invoke(ALARM_HANDLER, &red("nobodys-alarm", ended)).await.expect("an alarm event");
    assert_eq!(unknown, json!({ "judged": 0, "rollbacks": [], "conditions": 0 }));
    let earlier = red(ALARM, began - jiff::SignedDuration::from_secs(60));
    let earlier = world.invoke(ALARM_HANDLER, &earlier).await.expect("an alarm event");
    assert_eq!(earlier["rollbacks"], json!([]), "red before the deploy began");
    let mut suppressed = red(ALARM, ended);
    suppressed["detail"]["state"]["actionsSuppressedBy"] = json!("Alarm");
    // It was red before, says its event; since when, CloudWatch is asked, which knows it green.
    let mut red_before = red(ALARM, ended);
    red_before["detail"]["previousState"] = json!({ "value": "ALARM" });
    for event in [suppressed, red_before] {
        let handled = world.invoke(ALARM_HANDLER, &event).await.expect("an alarm event");
        assert_eq!(handled["rollbacks"], json!([]), "{event}");
    }
    assert!(world.rollbacks(name).await.is_empty());
    assert_eq!(world.page(name).await, "two");

    let event = red(ALARM, ended);
    let twice = tokio::join!(world.invoke(ALARM_HANDLER, &event), world.invoke(ALARM_HANDLER, &event));
    let again = world.invoke(ALARM_HANDLER, &event).await;
    let mut started = Vec::new();
    for handled in [twice.0, twice.1, again] {
        let handled = handled.expect("an alarm event");
        started.extend(handled["rollbacks"].as_array().expect("a list").iter().map(text));
    }
    assert_eq!(started.len(), 1, "three deliveries: {started:?}");
    let rollback = world.ended(name, &started[0]).await;
    assert_eq!(rollback["status"], "Succeeded");
    assert_eq!(rollback["rollbackMetadata"]["rollbackTargetPipelineExecutionId"], first["pipelineExecutionId"]);
    assert_eq!(world.page(name).await, "one");
    let late = world.invoke(ALARM_HANDLER, &event).await.expect("an alarm event");
    assert_eq!(late["rollbacks"], json!([]), "delivered again after the rollback");
    assert_eq!(world.rollbacks(name).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_starts_every_pipeline_that_takes_it_and_no_other() {
    let world = World::start().await;
    for name in ["ours", "theirs"] {
        world.buckets(name).await;
        world.create(&pipeline(name, &[publish(name, 1)])).await;
    }
    let mut sibling = pipeline("sibling", &[publish("ours", 1)]);
    sibling["stages"][0]["actions"][0]["configuration"] =
        json!({ "S3Bucket": "ours-releases", "S3ObjectKey": "other.zip" });
    sibling["artifactStore"]["location"] = json!("ours-artifacts");
    world.create(&sibling).await;
    let released = world.release("ours", "one").await;
    assert_eq!(released["status"], "Succeeded");
    for (name, count) in [("ours", 2), ("theirs", 1), ("sibling", 1)] {
        assert_eq!(world.executions(name).await.len(), count, "{name}");
    }
}
