//! The time that a rule declares for itself, beside a deployment window.

use contract::ConditionOutput;
use domain::{
    AlarmState,
    ConditionKind::{BeforeEntry, OnSuccess},
};
use serde_json::{Value, json};

use crate::{
    conditions::{alarm_rule, create, gated},
    rules::{Stopped, asked, function, seconds, statuses, window},
    world::shop,
};

fn limited(mut rule: Value, minutes: u32) -> Value {
    rule["timeoutInMinutes"] = json!(minutes);
    rule
}

#[tokio::test]
async fn a_function_has_its_time_from_when_it_is_asked() {
    let stopped = Stopped::at("07:00:00").await;
    let bench = &stopped.bench;
    let prod = create(bench, &gated("FAIL", json!([limited(function(), 10), window()]))).await;
    assert_eq!(seconds(&prod.wait(bench, BeforeEntry, "night").await), 7_200);
    stopped.until("08:00:00");
    assert_eq!(seconds(&prod.ask(bench, BeforeEntry).await), 3_600, "nobody was asked yet");
    stopped.until("09:00:00");
    assert_eq!(seconds(&prod.ask(bench, BeforeEntry).await), 600);
    assert_eq!(seconds(&prod.wait(bench, BeforeEntry, "day").await), 600);
    assert_eq!(asked(bench).len(), 1);
    stopped.until("09:09:59");
    assert_eq!(seconds(&prod.ask(bench, BeforeEntry).await), 1);
    stopped.until("09:10:00");
    assert_eq!(prod.ask(bench, BeforeEntry).await, ConditionOutput::Fail);
    assert_eq!(statuses(bench).await, json!({"smoke": "Failed", "hours": "Succeeded"}));
}

#[tokio::test]
async fn who_was_asked_has_no_more_time_because_the_window_closes() {
    let stopped = Stopped::at("10:00:00").await;
    let bench = &stopped.bench;
    let mut quarters = window();
    quarters["configuration"] = json!({"Cron": "0 */15 * ? * *"});
    let prod = create(bench, &gated("FAIL", json!([limited(function(), 5), quarters]))).await;
    assert_eq!(seconds(&prod.wait(bench, BeforeEntry, "wait").await), 300);
    stopped.until("10:04:00");
    assert_eq!(seconds(&prod.ask(bench, BeforeEntry).await), 60);
    stopped.until("10:05:00");
    assert_eq!(prod.ask(bench, BeforeEntry).await, ConditionOutput::Fail);
}

#[tokio::test]
async fn an_alarm_has_its_time_from_the_opening() {
    let stopped = Stopped::at("07:00:00").await;
    let bench = &stopped.bench;
    bench.alarms.set("errors", AlarmState::Alarm);
    let prod = create(bench, &gated("FAIL", json!([limited(alarm_rule("errors"), 10), window()]))).await;
    assert_eq!(seconds(&prod.wait(bench, BeforeEntry, "night").await), 7_200);
    stopped.until("08:00:00");
    assert_eq!(seconds(&prod.ask(bench, BeforeEntry).await), 3_600, "it decides nothing yet");
    stopped.until("09:00:00");
    assert_eq!(seconds(&prod.ask(bench, BeforeEntry).await), 600);
    stopped.until("09:10:00");
    assert_eq!(prod.ask(bench, BeforeEntry).await, ConditionOutput::Fail);
    assert_eq!(statuses(bench).await, json!({"errors": "Failed", "hours": "Succeeded"}));
}

#[tokio::test]
async fn a_function_that_is_asked_on_the_way_out_has_its_time_too() {
    let stopped = Stopped::at("07:00:00").await;
    let bench = &stopped.bench;
    let mut pipeline = shop();
    let rules = json!([limited(function(), 10), window()]);
    pipeline["stages"][1]["onSuccess"] = json!({"conditions": [{"result": "FAIL", "rules": rules}]});
    let prod = create(bench, &pipeline).await;
    assert_eq!(seconds(&prod.wait(bench, OnSuccess, "night").await), 7_200);
    stopped.until("08:00:00");
    assert_eq!(seconds(&prod.ask(bench, OnSuccess).await), 3_600);
    stopped.until("09:00:00");
    assert_eq!(seconds(&prod.wait(bench, OnSuccess, "day").await), 600);
    stopped.until("09:10:00");
    assert_eq!(prod.ask(bench, OnSuccess).await, ConditionOutput::Fail);
}
