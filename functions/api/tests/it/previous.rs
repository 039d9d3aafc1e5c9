//! An upgrade in the middle of everything: what the previous release has written, this one reads and goes on with; and what
//! the next one may add does not stop this one.
//!
//! `tests/fixtures/previous` holds the rows and objects of four systems, each stopped in the middle of something. Before a
//! release, `RECORD=1 cargo test -p api --test it previous` writes them anew.

use std::{collections::HashMap, path::PathBuf};

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{AlarmChange, AlarmState, ExecutionStatus, StageReport};
use engine::{
    EngineError, HasBasics, HasStore, Reconciled,
    ports::{CloudError, PageRequest, Store},
};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    cloud::{SteadyClock, alarm_arn},
    world::{Bench, Driven, asking, id, shop},
};

/// The commit whose code has written the fixtures.
const WRITTEN_BY: &str = "d27e897";
/// Where each is.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/previous");
/// Another member, such as the next release may add to a row.
const ADDED: &str = "addedByTheNextRelease";

/// A system that stands still.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stopped {
    written_by: String,
    /// What its state machines hold: the report of a stage that runs.
    machine: Option<StageReport>,
    /// Items of the table, as `aws dynamodb scan` shows them.
    items: Vec<Map<String, Value>>,
    /// Bucket, key, and every version.
    objects: Vec<(String, String, Vec<String>)>,
}

/// An execution in Prod with its job out, and another that waits behind it.
async fn working() -> (Bench, Option<StageReport>) {
    let (bench, _) = Bench::with_release().await;
    let ahead = bench.start().await;
    let Driven::Working(report) = bench.drive(ahead, None).await else { panic!("no job is out") };
    let behind = bench.start().await;
    assert_eq!(bench.drive(behind, None).await, Driven::Waiting);
    (bench, Some(report))
}

/// Prod was rolled back by hand and is held; an execution waits before it.
async fn held() -> (Bench, Option<StageReport>) {
    let (bench, good) = Bench::with_release().await;
    let newer = bench.start().await;
    bench.pass(newer).await;
    let rollback = json!({"pipelineName": "shop", "stageName": "Prod", "targetPipelineExecutionId": good});
    let back = id(&bench.ok("RollbackStage", rollback).await["pipelineExecutionId"]);
    bench.pass(back).await;
    bench.objects.store("uploads", "app.zip", "release 2");
    let waiting = bench.start().await;
    assert_eq!(bench.drive(waiting, None).await, Driven::Waiting);
    (bench, None)
}

/// Two releases have passed, and an alarm watches the newer.
async fn watched() -> (Bench, Option<StageReport>) {
    let bench = Bench::new().await;
    bench.alarms.set("errors", AlarmState::Ok);
    let rule = json!({
        "name": "Errors", "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1"},
        "configuration": {"AlarmName": "errors", "WaitTime": "60", "Watch": "true"},
    });
    let mut pipeline = shop();
    pipeline["stages"][1]["onSuccess"] = json!({"conditions": [{"result": "ROLLBACK", "rules": [rule]}]});
    bench.ok("CreatePipeline", json!({ "pipeline": pipeline })).await;
    let first = bench.newest().await;
    bench.pass(first).await;
    bench.objects.store("uploads", "app.zip", "release 2");
    let second = bench.start().await;
    bench.pass(second).await;
    (bench, None)
}

/// A person is asked, and neither the person nor the event bus could be told.
async fn untold() -> (Bench, Option<StageReport>) {
    let bench = Bench::new().await;
    bench.published.away.store(true, std::sync::atomic::Ordering::SeqCst);
    *bench.notices.failure.lock().unwrap() = Some(|| CloudError::Unavailable("away".into()));
    let mut pipeline = asking();
    pipeline["stages"][1]["actions"][0]["configuration"]["NotificationArn"] =
        json!("arn:aws:sns:eu-west-1:111122223333:releases");
    bench.ok("CreatePipeline", json!({ "pipeline": pipeline })).await;
    let execution = bench.newest().await;
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("nobody is asked") };
    (bench, Some(report))
}

/// Goes on with each of them, as it was stopped.
async fn goes_on(change: fn(&mut Stopped)) {
    let (bench, machine) = resumed("working", change).await;
    let running = executions(&bench, "InProgress").await;
    let [behind, ahead] = &running[..] else { panic!("two are under way: {running:?}") };
    bench.ok("PutJobSuccessResult", json!({"jobId": bench.job().await})).await;
    assert_eq!(bench.drive(id(ahead), machine).await, Driven::Ended(ExecutionStatus::Succeeded));
    bench.pass(id(behind)).await;
    assert_eq!(executions(&bench, "Succeeded").await.len(), 3);

    let (bench, _) = resumed("held", change).await;
    let waiting = executions(&bench, "InProgress").await;
    let hold = bench.ok("ListHolds", json!({})).await["holds"][0].clone();
    assert_eq!((&hold["stageName"], &hold["cause"]), (&json!("Prod"), &json!("Person")));
    bench.ok("ReleaseHold", json!({"pipelineName": "shop", "stageName": "Prod", "comment": "mended"})).await;
    bench.pass(id(&waiting[0])).await;
    let candidates = bench.ok("ListRollbackCandidates", json!({"pipelineName": "shop", "stageName": "Prod"})).await;
    assert_eq!(candidates["candidates"].as_array().map(Vec::len), Some(4), "{candidates}");

    let (bench, _) = resumed("watched", change).await;
    bench.alarms.set("errors", AlarmState::Alarm);
    let since = bench.world.now();
    let red = AlarmChange { arn: alarm_arn("errors"), state: AlarmState::Alarm, since, reason: "12 errors".to_owned() };
    engine::alarm_changed(&bench.world, &red, &mut Vec::new()).await.unwrap();
    let back = bench.newest().await;
    bench.pass(back).await;
    let newest = bench.ok("ListPipelineExecutions", json!({"pipelineName": "shop", "maxResults": 1})).await;
    let newest = &newest["pipelineExecutionSummaries"][0];
    assert_eq!((&newest["executionType"], &newest["status"]), (&json!("ROLLBACK"), &json!("Succeeded")));

    let (bench, machine) = resumed("untold", change).await;
    assert!(bench.reconcile().await.effects > 0);
    assert_eq!(bench.notices.sent.lock().unwrap().len(), 1, "the person is told");
    assert!(bench.published.events.lock().unwrap().len() >= 4, "and everybody else");
    let state = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    let token = &state["stageStates"][1]["actionStates"][0]["latestExecution"]["token"];
    let result = json!({"summary": "fine", "status": "Approved"});
    let answer =
        json!({"pipelineName": "shop", "stageName": "Prod", "actionName": "Check", "token": token, "result": result});
    bench.ok("PutApprovalResult", answer).await;
    let execution = bench.newest().await;
    assert_eq!(bench.drive(execution, machine).await, Driven::Ended(ExecutionStatus::Succeeded));
}

#[tokio::test]
async fn what_the_previous_release_began_goes_on() {
    if wants_record() {
        for (name, (bench, machine)) in [
            ("working", working().await),
            ("held", held().await),
            ("watched", watched().await),
            ("untold", untold().await),
        ] {
            record(name, &bench, machine).await;
        }
    }
    Box::pin(goes_on(|_| {})).await;
}

#[tokio::test]
async fn members_that_the_next_release_adds_are_passed_over() {
    Box::pin(goes_on(|stopped| {
        for item in &mut stopped.items {
            item.insert(ADDED.to_owned(), json!({"S": "unknown"}));
        }
        if let Some(report) = &stopped.machine {
            let mut report = json!(report);
            report[ADDED] = json!("unknown");
            stopped.machine = serde_json::from_value(report).unwrap();
        }
    }))
    .await;
}

#[tokio::test]
async fn an_effect_that_nobody_understands_yet_keeps_no_other_waiting() {
    let (bench, _) = resumed("untold", |stopped| {
        let effect = stopped.items.iter().find(|item| item["type"]["S"] == "Effect").unwrap();
        let mut unknown = effect.clone();
        unknown["SK"] = json!({"S": format!("{}-next", effect["SK"]["S"].as_str().unwrap())});
        unknown.insert("effect".to_owned(), json!({"M": {"effect": {"S": "unheard"}}}));
        stopped.items.push(unknown);
    })
    .await;
    engine::reconcile(&bench.world, false, &mut Reconciled::default()).await.unwrap();
    assert_eq!(bench.notices.sent.lock().unwrap().len(), 1);
    // When nothing else is left it is told of, at every tick.
    let outcome = engine::reconcile(&bench.world, false, &mut Reconciled::default()).await;
    assert!(matches!(outcome, Err(EngineError::Broken(_))), "{outcome:?}");
    assert!(bench.world.store().pending_effects(PageRequest { limit: 10, after: None }).await.is_err());
}

#[expect(clippy::disallowed_methods, reason = "asks whoever runs the test, not the product's configuration")]
fn wants_record() -> bool {
    std::env::var("RECORD").is_ok_and(|value| value == "1")
}

/// Ids of executions with this status, newest first.
async fn executions(bench: &Bench, status: &str) -> Vec<Value> {
    let page = bench.ok("ListPipelineExecutions", json!({"pipelineName": "shop"})).await;
    let all = page["pipelineExecutionSummaries"].as_array().unwrap().iter();
    all.filter(|one| one["status"] == status).map(|one| one["pipelineExecutionId"].clone()).collect()
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(FOLDER).join(name).with_extension("json")
}

async fn record(name: &str, bench: &Bench, machine: Option<StageReport>) {
    let scanned = bench.table.scan().table_name("lastgood").send().await.unwrap();
    assert!(scanned.last_evaluated_key.is_none());
    let mut items: Vec<Map<String, Value>> = scanned.items().iter().map(shown_item).collect();
    items.sort_by_key(|item| format!("{} {}", item["PK"], item["SK"]));
    let texts =
        |versions: Vec<bytes::Bytes>| versions.iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect();
    let objects = bench.objects.all().into_iter().map(|(at, versions)| (at.bucket, at.key, texts(versions))).collect();
    let stopped = Stopped { written_by: WRITTEN_BY.to_owned(), machine, items, objects };
    std::fs::create_dir_all(FOLDER).unwrap();
    std::fs::write(file(name), serde_json::to_string_pretty(&stopped).unwrap() + "\n").unwrap();
}

/// A bench of today's code over what is in the fixture, an hour later.
async fn resumed(name: &str, change: fn(&mut Stopped)) -> (Bench, Option<StageReport>) {
    let mut stopped: Stopped = serde_json::from_str(&std::fs::read_to_string(file(name)).unwrap()).unwrap();
    assert_eq!(stopped.written_by, WRITTEN_BY);
    change(&mut stopped);
    let clock = SteadyClock::new();
    clock.pass(SignedDuration::from_mins(20));
    let bench = Bench::empty(clock, 8).await;
    for item in stopped.items {
        let item: HashMap<String, AttributeValue> =
            item.iter().map(|(name, value)| (name.clone(), read(value))).collect();
        bench.table.put_item().table_name("lastgood").set_item(Some(item)).send().await.unwrap();
    }
    for (bucket, key, versions) in stopped.objects {
        for body in versions {
            bench.objects.store(&bucket, &key, body);
        }
    }
    bench.alarms.set("errors", AlarmState::Ok);
    (bench, stopped.machine)
}

fn shown_item(item: &HashMap<String, AttributeValue>) -> Map<String, Value> {
    item.iter().map(|(name, value)| (name.clone(), shown(value))).collect()
}

/// An attribute in DynamoDB's JSON.
fn shown(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::Bool(is) => json!({ "BOOL": is }),
        AttributeValue::Null(_) => json!({ "NULL": true }),
        AttributeValue::L(values) => json!({ "L": values.iter().map(shown).collect::<Vec<_>>() }),
        AttributeValue::M(members) => json!({ "M": shown_item(members) }),
        other => panic!("rows have no {other:?}"),
    }
}

fn read(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match (kind.as_str(), value) {
        ("S", Value::String(text)) => AttributeValue::S(text.clone()),
        ("N", Value::String(number)) => AttributeValue::N(number.clone()),
        ("BOOL", Value::Bool(is)) => AttributeValue::Bool(*is),
        ("NULL", _) => AttributeValue::Null(true),
        ("L", Value::Array(values)) => AttributeValue::L(values.iter().map(read).collect()),
        ("M", Value::Object(members)) => {
            AttributeValue::M(members.iter().map(|(name, value)| (name.clone(), read(value))).collect())
        }
        _ => panic!("rows have no {kind}"),
    }
}
