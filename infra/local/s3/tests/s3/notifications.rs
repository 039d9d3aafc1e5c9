//! Notifications: what is said, to whom, in which order, and over restarts.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

use aws_sdk_s3::types::{
    Event, FilterRule, FilterRuleName, LambdaFunctionConfiguration, NotificationConfiguration,
    NotificationConfigurationFilter, S3KeyFilter,
};
use jiff::{SignedDuration, Timestamp};
use local_s3::Notify;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::server::Server;

const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:trigger";

type Answer = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Passes on what it is told; a receiver refuses as often as `refusals` says.
struct Recorder {
    heard: mpsc::UnboundedSender<(String, Value)>,
    refusals: Mutex<HashMap<String, u32>>,
}

impl Recorder {
    fn new(refusals: &[(&str, u32)]) -> (Arc<Self>, mpsc::UnboundedReceiver<(String, Value)>) {
        let (heard, hearing) = mpsc::unbounded_channel();
        let refusals = refusals.iter().map(|(who, times)| ((*who).to_owned(), *times)).collect();
        let recorder = Arc::new(Self { heard, refusals: Mutex::new(refusals) });
        (recorder, hearing)
    }

    fn hear(&self, who: &str, what: Value) -> Answer {
        let mut refusals = self.refusals.lock().expect("no test panics while holding it");
        let refuse = refusals.get_mut(who).filter(|left| **left > 0).map(|left| *left -= 1).is_some();
        self.heard.send((who.to_owned(), what)).expect("the test listens");
        Box::pin(async move { if refuse { Err("not now".to_owned()) } else { Ok(()) } })
    }
}

impl Notify for Recorder {
    fn object_created(&self, event: Value) -> Answer {
        self.hear("bus", event)
    }

    fn invoke_function(&self, function_arn: String, records: Value) -> Answer {
        self.hear(&function_arn, records)
    }
}

fn key(event: &Value) -> &str {
    event["detail"]["object"]["key"].as_str().expect("an event of an object")
}

async fn configure(server: &Server, bucket: &str) {
    let rule = |name, value: &str| FilterRule::builder().name(name).value(value).build();
    let filter = S3KeyFilter::builder()
        .filter_rules(rule(FilterRuleName::Prefix, "in/"))
        .filter_rules(rule(FilterRuleName::Suffix, ".zip"))
        .build();
    let lambda = LambdaFunctionConfiguration::builder()
        .lambda_function_arn(FUNCTION)
        .events(Event::from("s3:ObjectCreated:*"))
        .filter(NotificationConfigurationFilter::builder().key(filter).build())
        .build()
        .expect("complete");
    let configuration = NotificationConfiguration::builder().lambda_function_configurations(lambda).build();
    let request = server.client.put_bucket_notification_configuration().bucket(bucket);
    request.notification_configuration(configuration).send().await.expect("configured");
    let request = server.client.get_bucket_notification_configuration().bucket(bucket);
    let found = request.send().await.expect("configured");
    assert_eq!(found.lambda_function_configurations().len(), 1);
}

#[tokio::test]
async fn every_created_object_is_announced_in_order() {
    let server = Server::start().await;
    server.versioned_bucket("data").await;
    let (recorder, mut hearing) = Recorder::new(&[]);
    let delivery = tokio::spawn(server.s3.clone().deliver(recorder));
    let version = server.put("data", "a b", "1").await;
    server.put("data", "a b", "22").await;
    server.client.copy_object().bucket("data").key("copy").copy_source("data/a%20b").send().await.expect("copied");
    server.client.delete_object().bucket("data").key("a b").send().await.expect("deleted");

    let (_, first) = hearing.recv().await.expect("an event");
    assert_eq!(first["version"], "0");
    assert_eq!(first["detail-type"], "Object Created");
    assert_eq!(first["source"], "aws.s3");
    assert_eq!(first["account"], "000000000000");
    assert_eq!(first["time"], "2026-11-23T10:00:00Z");
    assert_eq!(first["region"], "us-east-1");
    assert_eq!(first["resources"], serde_json::json!(["arn:aws:s3:::data"]));
    let detail = &first["detail"];
    assert_eq!(detail["bucket"]["name"], "data");
    assert_eq!(detail["object"]["key"], "a b");
    assert_eq!(detail["object"]["size"], 1);
    assert_eq!(detail["object"]["etag"], "c4ca4238a0b923820dcc509a6f75849b");
    assert_eq!(detail["object"]["version-id"].as_str(), version.as_deref());
    assert_eq!(detail["reason"], "PutObject");
    assert!(detail["request-id"].as_str().is_some_and(|id| id.len() == 16));
    let (_, second) = hearing.recv().await.expect("an event");
    assert!(second["detail"]["object"]["sequencer"].as_str() > first["detail"]["object"]["sequencer"].as_str());
    let (_, third) = hearing.recv().await.expect("an event");
    assert_eq!((key(&third), third["detail"]["reason"].as_str()), ("copy", Some("CopyObject")));
    delivery.abort();
}

#[tokio::test]
async fn functions_hear_of_matching_keys_only() {
    let server = Server::start().await;
    server.bucket("data").await;
    configure(&server, "data").await;
    for name in ["in/a.txt", "out/b.zip", "in/c d.zip"] {
        server.put("data", name, "x").await;
    }
    let (recorder, mut hearing) = Recorder::new(&[]);
    let delivery = tokio::spawn(server.s3.clone().deliver(recorder));
    let mut records = Vec::new();
    for _ in 0..4 {
        let (who, what) = hearing.recv().await.expect("a notification");
        if who == FUNCTION {
            records.push(what["Records"][0].clone());
        }
    }
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["s3"]["object"]["key"], "in/c+d.zip");
    assert_eq!(records[0]["s3"]["bucket"]["arn"], "arn:aws:s3:::data");
    assert_eq!(records[0]["eventName"], "ObjectCreated:Put");
    assert!(records[0]["s3"]["object"].get("versionId").is_none(), "the bucket has no versions");
    delivery.abort();
}

#[tokio::test]
async fn what_was_not_acknowledged_is_delivered_after_a_restart() {
    let server = Server::start().await;
    server.bucket("data").await;
    server.put("data", "acknowledged", "x").await;
    server.put("data", "refused", "x").await;
    let (recorder, mut hearing) = Recorder::new(&[]);
    let delivery = tokio::spawn(server.s3.clone().deliver(Arc::clone(&recorder) as _));
    assert_eq!(key(&hearing.recv().await.expect("an event").1), "acknowledged");
    recorder.refusals.lock().expect("not poisoned").insert("bus".to_owned(), u32::MAX);
    // Whether the second was refused or taken before the refusal is a race; a third is surely refused.
    server.put("data", "third", "x").await;
    while key(&hearing.recv().await.expect("an event").1) != "third" {}
    delivery.abort();
    let _ = delivery.await;

    let server = server.restart(2).await;
    assert_eq!(server.get("data", "third").await, "x");
    // The refused one waits for its next attempt.
    server.clock.advance_to(server_time() + SignedDuration::from_secs(3600));
    let (recorder, mut hearing) = Recorder::new(&[]);
    let delivery = tokio::spawn(server.s3.clone().deliver(recorder));
    loop {
        let (_, event) = hearing.recv().await.expect("an event");
        assert_ne!(key(&event), "acknowledged");
        if key(&event) == "third" {
            break;
        }
    }
    delivery.abort();
}

#[tokio::test]
async fn a_failing_receiver_delays_nobody_else_and_is_tried_again() {
    let server = Server::start().await;
    server.bucket("data").await;
    configure(&server, "data").await;
    server.put("data", "in/1.zip", "x").await;
    server.put("data", "in/2.zip", "x").await;
    let (recorder, mut hearing) = Recorder::new(&[(FUNCTION, 2)]);
    let delivery = tokio::spawn(server.s3.clone().deliver(recorder));
    let mut bus = Vec::new();
    let mut function = Vec::new();
    for _ in 0..4 {
        let (who, what) = hearing.recv().await.expect("a notification");
        match who.as_str() {
            "bus" => bus.push(key(&what).to_owned()),
            _ => function.push(what["Records"][0]["s3"]["object"]["key"].clone()),
        }
    }
    assert_eq!(bus, ["in/1.zip", "in/2.zip"]);
    assert_eq!(function, ["in/1.zip", "in/2.zip"], "both refused");
    // Both wait for their next attempt; time passes until both were made.
    let mut now = server_time();
    let mut again = Vec::new();
    while again.len() < 2 {
        match hearing.try_recv() {
            Ok((_, what)) => again.push(what["Records"][0]["s3"]["object"]["key"].clone()),
            Err(_) => {
                now += SignedDuration::from_secs(1);
                server.clock.advance_to(now);
                tokio::task::yield_now().await;
            }
        }
    }
    assert_eq!(again, ["in/1.zip", "in/2.zip"]);
    delivery.abort();
}

fn server_time() -> Timestamp {
    "2026-11-23T10:00:00Z".parse().expect("valid")
}
