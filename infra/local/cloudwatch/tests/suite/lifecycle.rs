//! Alarms from creation to redelivery.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::world::{World, alarm};

fn values(event: &Value) -> (String, String, String) {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let detail = &event["detail"];
    (text(&detail["alarmName"]), text(&detail["previousState"]["value"]), text(&detail["state"]["value"]))
}

fn change(name: &str, from: &str, to: &str) -> (String, String, String) {
    (name.to_owned(), from.to_owned(), to.to_owned())
}

#[tokio::test]
async fn an_alarm_goes_ok_then_alarm_with_one_event_each() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::open(dir.path());
    let mut running = world.run();
    world.put_alarm("shop-5xx").await;
    assert_eq!(world.state("shop-5xx").await, "INSUFFICIENT_DATA");

    world.put_errors(0.0).await;
    world.advance(60);
    assert_eq!(values(&running.event().await), change("shop-5xx", "INSUFFICIENT_DATA", "OK"));

    world.put_errors(5.0).await;
    world.advance(60);
    let event = running.event().await;
    assert_eq!(values(&event), change("shop-5xx", "OK", "ALARM"));
    let reason_data = event["detail"]["state"]["reasonData"].as_str().expect("a JSON document as text");
    let mut event = event.clone();
    event["id"] = "id".into();
    let reason = "Threshold Crossed: 1 out of the last 1 datapoints [5.0 (23/11/26 10:15:00)] was greater than the threshold \
                  (1.0) (minimum 1 datapoint for OK -> ALARM transition).";
    assert_eq!(
        event,
        json!({
            "version": "0", "id": "id", "detail-type": "CloudWatch Alarm State Change", "source": "aws.cloudwatch",
            "account": "000000000000", "time": "2026-11-23T10:16:00Z", "region": "us-east-1",
            "resources": ["arn:aws:cloudwatch:us-east-1:000000000000:alarm:shop-5xx"],
            "detail": {
                "alarmName": "shop-5xx",
                "configuration": {"metrics": [{"id": "m1", "returnData": true, "metricStat": {
                    "metric": {"namespace": "Shop", "name": "Errors", "dimensions": {}}, "period": 60, "stat": "Sum"}}]},
                "previousState": event["detail"]["previousState"],
                "state": {"value": "ALARM", "reason": reason, "reasonData": reason_data,
                    "timestamp": "2026-11-23T10:16:00.000+0000"},
            },
        })
    );
    assert_eq!(
        serde_json::from_str::<Value>(reason_data).expect("JSON"),
        json!({
            "version": "1.0", "queryDate": "2026-11-23T10:16:00.000+0000", "startDate": "2026-11-23T10:15:00.000+0000",
            "statistic": "Sum", "period": 60, "recentDatapoints": [5.0], "threshold": 1.0,
            "evaluatedDatapoints": [{"timestamp": "2026-11-23T10:15:00.000+0000", "sampleCount": 1.0, "value": 5.0}],
        })
    );

    // The same verdict again is no change: the next event is the composite's, made only to have something to wait for.
    world.put_errors(6.0).await;
    world.advance(60);
    let rule = json!({"AlarmName": "marker", "AlarmRule": "TRUE"});
    world.call("PutCompositeAlarm", rule).await;
    assert_eq!(values(&running.event().await), change("marker", "INSUFFICIENT_DATA", "ALARM"));
    running.kill().await;
}

#[tokio::test]
async fn data_for_a_complete_period_is_looked_at_immediately() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::open(dir.path());
    let mut running = world.run();
    world.put_alarm("late").await;
    let datum = json!({"MetricName": "Errors", "Value": 9, "Timestamp": 1_795_428_780});
    world.call("PutMetricData", json!({"Namespace": "Shop", "MetricData": [datum]})).await;
    assert_eq!(values(&running.event().await), change("late", "INSUFFICIENT_DATA", "ALARM"));
    running.kill().await;
}

#[tokio::test]
async fn an_unacknowledged_event_is_delivered_again_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::open(dir.path());
    let mut running = world.run();
    running.refuses.store(true, Ordering::SeqCst);
    world.put_alarm("shop").await;
    world.put_errors(5.0).await;
    world.advance(60);
    let first = running.event().await;
    running.kill().await;

    let world = World::open_with(dir.path(), world.clock);
    let mut running = world.run();
    assert_eq!(running.event().await, first);
    assert_eq!(world.state("shop").await, "ALARM");

    // Acknowledged means gone: the next event is the next change.
    let set = json!({"AlarmName": "shop", "StateValue": "OK", "StateReason": "by hand"});
    world.call("SetAlarmState", set).await;
    assert_eq!(values(&running.event().await), change("shop", "ALARM", "OK"));
    running.kill().await;
}

#[tokio::test]
async fn a_refused_event_comes_again_and_does_not_hold_back_others() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::open(dir.path());
    let mut running = world.run();
    running.refuses.store(true, Ordering::SeqCst);
    for name in ["a", "b"] {
        world.put_alarm(name).await;
        let set = json!({"AlarmName": name, "StateValue": "ALARM", "StateReason": "by hand"});
        world.call("SetAlarmState", set).await;
        assert_eq!(running.event().await["detail"]["alarmName"], name);
    }
    running.refuses.store(false, Ordering::SeqCst);
    world.advance(1);
    let again = [running.event().await, running.event().await].map(|event| event["detail"]["alarmName"].clone());
    assert_eq!(again, ["a", "b"]);
    running.kill().await;
}

#[tokio::test]
async fn a_state_set_by_hand_stays_until_data_says_otherwise() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::open(dir.path());
    let mut running = world.run();
    let mut missing = alarm("manual");
    missing["TreatMissingData"] = "notBreaching".into();
    world.call("PutMetricAlarm", missing).await;
    assert_eq!(values(&running.event().await), change("manual", "INSUFFICIENT_DATA", "OK"));
    let set = json!({"AlarmName": "manual", "StateValue": "ALARM", "StateReason": "drill"});
    world.call("SetAlarmState", set).await;
    assert_eq!(values(&running.event().await), change("manual", "OK", "ALARM"));
    world.advance(300);
    world.put_errors(0.0).await;
    assert_eq!(world.state("manual").await, "ALARM");
    world.advance(60);
    assert_eq!(values(&running.event().await), change("manual", "ALARM", "OK"));
    running.kill().await;
}

#[tokio::test]
async fn composite_alarms_follow_their_children() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::open(dir.path());
    let mut running = world.run();
    for name in ["one", "two"] {
        world.put_alarm(name).await;
    }
    let both = json!({"AlarmName": "both", "AlarmRule": "ALARM(one) AND ALARM(\"two\")", "AlarmDescription": "d"});
    world.call("PutCompositeAlarm", both).await;
    let top = json!({"AlarmName": "top", "AlarmRule": "NOT OK(both)"});
    world.call("PutCompositeAlarm", top).await;
    assert_eq!(values(&running.event().await), change("both", "INSUFFICIENT_DATA", "OK"));
    assert_eq!(values(&running.event().await), change("top", "INSUFFICIENT_DATA", "OK"));
    for name in ["one", "two"] {
        let set = json!({"AlarmName": name, "StateValue": "ALARM", "StateReason": "drill"});
        world.call("SetAlarmState", set).await;
        assert_eq!(running.event().await["detail"]["alarmName"], name);
    }
    let event = running.event().await;
    assert_eq!(values(&event), change("both", "OK", "ALARM"));
    assert_eq!(
        event["detail"]["state"]["reason"],
        "arn:aws:cloudwatch:us-east-1:000000000000:alarm:two transitioned to ALARM at Monday 23 November, 2026 10:14:00 UTC"
    );
    assert_eq!(
        event["detail"]["configuration"],
        json!({"alarmRule": "ALARM(one) AND ALARM(\"two\")", "description": "d"})
    );
    assert_eq!(
        event["detail"]["state"]["reasonData"],
        json!({"triggeringAlarms": [{"arn": "arn:aws:cloudwatch:us-east-1:000000000000:alarm:two",
            "state": {"value": "ALARM", "timestamp": "2026-11-23T10:14:00.000+0000"}}]})
        .to_string()
    );
    assert_eq!(values(&running.event().await), change("top", "OK", "ALARM"));
    running.kill().await;
}

#[tokio::test]
async fn history_tells_every_change_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::open(dir.path());
    world.put_alarm("told").await;
    let set = json!({"AlarmName": "told", "StateValue": "ALARM", "StateReason": "drill"});
    world.call("SetAlarmState", set.clone()).await;
    world.call("SetAlarmState", set).await;
    world.call("DeleteAlarms", json!({"AlarmNames": ["told"]})).await;
    let mut summaries = Vec::new();
    let mut input = json!({"AlarmName": "told", "MaxRecords": 2, "ScanBy": "TimestampAscending"});
    loop {
        let page = world.call("DescribeAlarmHistory", input.clone()).await;
        let items = page["AlarmHistoryItems"].as_array().expect("items").clone();
        summaries.extend(items.into_iter().map(|item| item["HistorySummary"].clone()));
        match page.get("NextToken") {
            Some(next) => input["NextToken"] = next.clone(),
            None => break,
        }
    }
    assert_eq!(
        summaries,
        ["Alarm \"told\" created", "Alarm updated from INSUFFICIENT_DATA to ALARM", "Alarm \"told\" deleted"]
    );
}

#[test]
fn data_of_a_newer_program_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(World::open(dir.path()));
    let file = rusqlite::Connection::open(dir.path().join("cloudwatch.sqlite")).expect("the data");
    file.pragma_update(None, "user_version", 2).expect("a version");
    let clock = std::sync::Arc::new(runtime::SystemClock);
    let error = local_cloudwatch::CloudWatch::open(dir.path(), clock, std::sync::Arc::new(runtime::SystemEntropy))
        .expect_err("newer");
    assert!(matches!(error, local_cloudwatch::OpenError::Newer { found: 2 }));
}
