//! Watches of deploys as clients see them, and those that wait for data points.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use domain::AlarmState;
use engine::{HasBasics, HasMachines};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{
    cloud::{SteadyClock, alarm_arn},
    conditions::{alarm_rule, condition},
    world::{Bench, shop},
};

/// A bench whose pipeline watches the alarm `errors` after Prod, which its first execution has passed.
async fn deployed(more: Value) -> (Bench, Arc<SteadyClock>) {
    let clock = Arc::new(SteadyClock::new());
    let bench = Bench::with_clock(Arc::clone(&clock)).await;
    bench.alarms.set("errors", AlarmState::Ok);
    let mut rule = alarm_rule("errors");
    let configuration = rule["configuration"].as_object_mut().unwrap();
    configuration.insert("Watch".into(), json!("true"));
    configuration.extend(more.as_object().unwrap().clone());
    let mut pipeline = shop();
    pipeline["stages"][1]["onSuccess"] = json!({"conditions": [{"result": "ROLLBACK", "rules": [rule]}]});
    bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    bench.pass(bench.newest().await).await;
    (bench, clock)
}

/// Status and text of the watch in the state of Prod.
async fn watch(bench: &Bench) -> (String, String) {
    let state = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    let rule = &state["stageStates"][1]["onSuccessConditionState"]["conditionStates"][0]["ruleStates"][0];
    let text = |member: &str| rule["latestExecution"][member].as_str().unwrap_or_default().to_owned();
    assert_eq!(rule["ruleName"], "errors");
    (text("status"), text("summary"))
}

#[tokio::test]
async fn a_watch_shows_in_the_state_of_its_stage_while_it_runs_and_after() {
    let (bench, clock) = deployed(json!({})).await;
    assert!(condition(&bench, "onSuccessConditionState").await["latestExecution"].is_null(), "nothing was evaluated");
    let (status, summary) = watch(&bench).await;
    assert!(status == "InProgress" && summary.contains("Alarm errors is watched until"), "{status}: {summary}");
    clock.pass(SignedDuration::from_mins(30));
    let (status, summary) = watch(&bench).await;
    assert!(status == "Succeeded" && summary.contains("was watched until"), "{status}: {summary}");
}

#[tokio::test]
async fn a_watch_goes_on_until_its_alarm_had_enough_data() {
    let (bench, clock) = deployed(json!({"WaitTime": "5", "MinimumDataPoints": "3"})).await;
    let status = async || watch(&bench).await.0;
    clock.pass(SignedDuration::from_mins(6));
    // Nobody can say how many there are, or they are too few.
    for seen in [None, Some(2)] {
        *bench.alarms.data.lock().unwrap() = seen.map(|seen| (alarm_arn("errors"), seen)).into_iter().collect();
        bench.reconcile().await;
        let (status, summary) = watch(&bench).await;
        assert!(status == "InProgress" && summary.contains("3 data points"), "{status}: {summary}");
    }
    bench.alarms.data.lock().unwrap().insert(alarm_arn("errors"), 3);
    bench.reconcile().await;
    // The last of them is still to be evaluated.
    assert_eq!(status().await, "InProgress");
    clock.pass(SignedDuration::from_mins(2));
    assert_eq!(status().await, "Succeeded");
    clock.pass(SignedDuration::from_mins(16));
    assert_eq!(bench.reconcile().await.watches_ended, 1, "and its row is gone");
    bench.alarms.set("errors", AlarmState::Alarm);
    assert!(bench.reconcile().await.judged.is_empty(), "what turns red now is not this deploy's");
}

#[tokio::test]
async fn an_alarm_that_turns_red_while_data_is_waited_for_counts() {
    let (bench, clock) = deployed(json!({"WaitTime": "5", "MinimumDataPoints": "3"})).await;
    clock.pass(SignedDuration::from_hours(3));
    bench.alarms.turn("errors", AlarmState::Alarm, bench.world.now());
    let done = bench.reconcile().await;
    let [judged] = done.judged.as_slice() else { panic!("{:?}", done.judged) };
    assert!(judged.no_rollback.is_some(), "there is nothing to go back to: {judged:?}");
    assert_eq!(judged.evidence.verdict, domain::Verdict::Degraded);
    let (status, summary) = watch(&bench).await;
    assert!(status == "Failed" && summary.contains("turned red"), "its watch has ended: {status}: {summary}");
}

#[tokio::test]
async fn an_alarm_whose_actions_are_suppressed_counts_when_they_are_not_any_more() {
    let (bench, clock) = deployed(json!({})).await;
    let turned = bench.world.now();
    bench.alarms.turn("errors", AlarmState::Suppressed, turned);
    assert!(bench.reconcile().await.judged.is_empty());
    let told = engine::look_up_alarm(&bench.world, &alarm_arn("errors")).await.unwrap().unwrap();
    let mut judged = Vec::new();
    Box::pin(engine::alarm_changed(&bench.world, &told, &mut judged)).await.unwrap();
    assert_eq!(judged[0].evidence.verdict, domain::Verdict::NotEnoughData, "{judged:?}");
    assert_eq!(watch(&bench).await.0, "InProgress");

    clock.pass(SignedDuration::from_mins(5));
    bench.alarms.turn("errors", AlarmState::Alarm, turned);
    let done = bench.reconcile().await;
    let [judged] = done.judged.as_slice() else { panic!("{:?}", done.judged) };
    let evidence = &judged.evidence;
    assert_eq!((evidence.verdict, evidence.alarm.since), (domain::Verdict::Degraded, turned));
    assert_eq!(watch(&bench).await.0, "Failed");
}

#[tokio::test]
async fn alarms_are_looked_at_whatever_keeps_the_look_at_executions_from_its_end() {
    let (bench, _) = deployed(json!({})).await;
    bench.start().await;
    bench.alarms.turn("errors", AlarmState::Alarm, bench.world.now());
    let machines = bench.world.machines();
    machines.hangs.store(true, SeqCst);
    let mut done = engine::Reconciled::default();
    {
        let look = Box::pin(engine::reconcile(&bench.world, false, &mut done));
        let is_asked = async {
            while machines.asked.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = look => panic!("Step Functions has not answered: {ended:?}"),
            () = is_asked => {}
        }
    }
    assert_eq!(done.judged.len(), 1, "{done:?}");
}
