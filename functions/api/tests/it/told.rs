//! What is told on the event bus when people and machines act, and that nothing of it is lost or told as news twice.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering::SeqCst},
};

use domain::{Event, ExecutionId, ExecutionStatus, StageReport, StageResult, StateChange};
use engine::HasStore;
use engine::ports::{Page, PageRequest, PendingEffect, Store};
use jiff::SignedDuration;
use serde_json::json;

use crate::world::{Bench, Driven, asking};

/// Each event of `execution` as a line.
fn lines(events: &[Event], execution: ExecutionId) -> Vec<String> {
    let line = |event: &Event| match &event.change {
        StateChange::Pipeline(change) if change.execution_id == execution => Some(event.state().to_string()),
        StateChange::Stage(change) if change.execution_id == execution => {
            Some(format!("{} {}", change.stage, event.state()))
        }
        StateChange::Action(change) if change.execution_id == execution => {
            Some(format!("{}/{} {}", change.stage, change.action, event.state()))
        }
        _ => None,
    };
    events.iter().filter_map(line).collect()
}

fn published(bench: &Bench) -> Vec<Event> {
    bench.published.events.lock().unwrap().clone()
}

async fn outbox(bench: &Bench) -> Vec<PendingEffect> {
    let all = PageRequest { limit: 100, after: None };
    let Page { items, .. } = bench.world.store().pending_effects(all).await.unwrap();
    items
}

#[tokio::test]
async fn a_release_is_told_from_its_start_to_its_end() {
    let (bench, first) = Bench::with_release().await;
    let expected = [
        "STARTED",
        "Source STARTED",
        "Source/Fetch STARTED",
        "Source/Fetch SUCCEEDED",
        "Source SUCCEEDED",
        "Prod STARTED",
        "Prod/Check STARTED",
        "Prod/Check SUCCEEDED",
        "Prod SUCCEEDED",
        "SUCCEEDED",
    ];
    assert_eq!(lines(&published(&bench), first), expected);
    assert_eq!(outbox(&bench).await, []);
}

#[tokio::test]
async fn a_failure_its_retry_and_a_stop_are_told_once_each() {
    let (bench, _) = Bench::with_release().await;
    let execution = bench.start().await;
    bench.fail(execution).await;
    bench.published.events.lock().unwrap().clear();
    let retry = json!({"pipelineName": "shop", "stageName": "Prod", "pipelineExecutionId": execution,
        "retryMode": "FAILED_ACTIONS"});
    bench.ok("RetryStageExecution", retry).await;
    let Driven::Working(_) = bench.drive(execution, None).await else { panic!("no job is out") };
    let stop = json!({"pipelineName": "shop", "pipelineExecutionId": execution, "abandon": true, "reason": "no"});
    bench.ok("StopPipelineExecution", stop).await;
    let events = published(&bench);
    let expected = [
        "RESUMED",
        "Prod RESUMED",
        "Prod/Check STARTED",
        "STOPPING",
        "Prod STOPPING",
        "Prod STOPPED",
        "STOPPED",
        "Prod/Check ABANDONED",
    ];
    let (mut told, mut wanted) = (lines(&events, execution), expected.map(str::to_owned).to_vec());
    // The run is abandoned by an effect, whose event may be out before that of the decision it follows from.
    told.sort();
    wanted.sort();
    assert_eq!(told, wanted);
    let attempts = events.iter().map(|event| match &event.change {
        StateChange::Pipeline(change) => change.pipeline_execution_attempt,
        StateChange::Stage(change) => change.pipeline_execution_attempt,
        StateChange::Action(change) => change.pipeline_execution_attempt,
        StateChange::Rollback(change) => panic!("nobody decided anything: {change:?}"),
        StateChange::Artifact(change) => panic!("nothing is lost: {change:?}"),
    });
    assert_eq!(attempts.collect::<BTreeSet<u32>>(), BTreeSet::from([2]));
}

#[tokio::test]
async fn a_rejection_is_a_failed_action_whose_token_nobody_is_told() {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({"pipeline": asking()})).await;
    let execution = bench.newest().await;
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("nobody is asked") };
    let state = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    let action = &state["stageStates"][1]["actionStates"][0];
    let token = action["latestExecution"]["token"].as_str().unwrap();
    let answer = json!({"pipelineName": "shop", "stageName": "Prod", "actionName": action["actionName"],
        "token": token, "result": {"summary": "not today", "status": "Rejected"}});
    bench.ok("PutApprovalResult", answer).await;
    let report = StageReport { status: StageResult::Failed, ..report };
    assert_eq!(bench.drive(execution, Some(report)).await, Driven::Ended(ExecutionStatus::Failed));
    let events = published(&bench);
    let told = lines(&events, execution);
    assert_eq!(
        told[told.len() - 3..],
        [&format!("Prod/{} FAILED", action["actionName"].as_str().unwrap()), "Prod FAILED", "FAILED"]
    );
    let result = events.iter().find_map(|event| match &event.change {
        StateChange::Action(change) if change.stage.as_str() == "Prod" => change.execution_result.clone(),
        _ => None,
    });
    assert_eq!(result.unwrap().external_execution_summary.as_deref(), Some("Rejected: not today"));
    assert!(!serde_json::to_string(&events).unwrap().contains(token), "a token is for those who are asked");
}

#[tokio::test]
async fn what_the_bus_does_not_answer_for_is_told_again_under_the_same_ids() {
    let (bench, _) = Bench::with_release().await;
    bench.published.events.lock().unwrap().clear();
    bench.published.away.store(true, SeqCst);
    // Nobody is held up.
    let execution = bench.start().await;
    bench.pass(execution).await;
    let first: Vec<Event> = published(&bench);
    let waiting = outbox(&bench).await;
    assert!(
        !waiting.is_empty()
            && waiting.iter().all(|pending| { matches!(pending.effect, domain::Effect::PublishEvents { .. }) }),
        "all that executions wait for was done: {waiting:?}"
    );

    // A bus that is away is asked once a look.
    bench.published.events.lock().unwrap().clear();
    let done = bench.reconcile().await;
    assert_eq!((done.effects, done.effects_failed), (0, waiting.len()));
    assert!(published(&bench).len() < first.len());
    bench.published.events.lock().unwrap().clear();
    bench.published.away.store(false, SeqCst);
    bench.reconcile().await;
    let again = published(&bench);
    let ids = |events: &[Event]| events.iter().map(Event::id).collect::<BTreeSet<_>>();
    assert_eq!((again.len(), ids(&again)), (first.len(), ids(&first)));
    assert_eq!(outbox(&bench).await, []);
}

#[tokio::test]
async fn a_bus_that_is_away_for_a_day_is_given_up() {
    let clock = Arc::new(crate::cloud::SteadyClock::new());
    let bench = Bench::with_clock(Arc::clone(&clock)).await;
    bench.published.away.store(true, SeqCst);
    bench.ok("CreatePipeline", json!({"pipeline": crate::world::shop()})).await;
    assert_eq!(bench.reconcile().await.events_lost, 0);
    clock.pass(SignedDuration::from_hours(25));
    let done = bench.reconcile().await;
    // The execution and its first stage have begun.
    assert_eq!((done.events_lost, outbox(&bench).await), (2, vec![]));
}

#[tokio::test]
async fn one_event_that_the_bus_refuses_keeps_no_other_from_being_told() {
    let (bench, _) = Bench::with_release().await;
    bench.published.events.lock().unwrap().clear();
    *bench.published.refuses.lock().unwrap() = Some(|event| matches!(event.change, StateChange::Stage(_)));
    let execution = bench.start().await;
    bench.pass(execution).await;
    let done = bench.reconcile().await;
    assert_eq!(
        (done.events_lost, done.effects_failed, outbox(&bench).await),
        (4, 0, vec![]),
        "both stages, twice each"
    );
    let told: BTreeSet<String> = lines(&published(&bench), execution).into_iter().collect();
    let others = [
        "Prod/Check STARTED",
        "Prod/Check SUCCEEDED",
        "STARTED",
        "SUCCEEDED",
        "Source/Fetch STARTED",
        "Source/Fetch SUCCEEDED",
    ];
    assert_eq!(told, others.map(str::to_owned).into());
}
