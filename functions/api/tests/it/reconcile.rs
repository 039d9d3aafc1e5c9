//! The reconciler looks after everything, whatever stands in the way of one thing.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering::SeqCst},
};

use contract::ConditionOutput;
use domain::{AlarmState, ConditionKind::BeforeEntry, ExecutionId};
use engine::{
    EngineError, HasMachines, HasStore, Reconciled,
    ports::{Clock, OpenExecution, Precondition, Row, Store, WRITES_MAX, Write},
};
use jiff::{SignedDuration, Timestamp};
use runtime::ManualClock;
use serde_json::json;
use uuid::Uuid;

use crate::{
    conditions::{Prod, alarm_rule, answered, create, gated},
    world::{Bench, Driven, id, shop_name},
};

#[tokio::test]
async fn a_condition_that_cannot_be_looked_at_keeps_no_other_waiting() {
    let bench = Bench::new().await;
    for name in ["green", "red"] {
        bench.alarms.set(name, AlarmState::Alarm);
    }
    let mut rule = alarm_rule("errors");
    rule["configuration"]["AlarmName"] = json!("#{variables.Color}");
    let mut pipeline = gated("FAIL", json!([rule]));
    pipeline["executionMode"] = json!("PARALLEL");
    let first = create(&bench, &pipeline).await;
    let red = json!({"name": "shop", "variables": [{"name": "Color", "value": "red"}]});
    let second = id(&bench.ok("StartPipelineExecution", red).await["pipelineExecutionId"]);
    let second = Prod::enter(&bench, second).await;
    for (prod, token) in [(&first, "first"), (&second, "second")] {
        assert!(matches!(prod.wait(&bench, BeforeEntry, token).await, ConditionOutput::Wait { .. }));
    }

    bench.alarms.set("red", AlarmState::Ok);
    bench.alarms.away.lock().unwrap().push("green".to_owned());
    let mut done = Reconciled::default();
    let outcome = engine::reconcile(&bench.world, false, &mut done).await;
    assert!(matches!(outcome, Err(EngineError::Unavailable { what: "CloudWatch", .. })), "{outcome:?}");
    assert_eq!(done.conditions, 1);
    assert_eq!((answered(&bench, "first"), answered(&bench, "second")), (None, Some(json!({"next": "Proceed"}))));
}

#[tokio::test]
async fn a_lost_definition_keeps_no_dead_execution_in_its_stage() {
    let bench = Bench::new().await;
    bench.alarms.set("errors", AlarmState::Alarm);
    let prod = create(&bench, &gated("FAIL", json!([alarm_rule("errors")]))).await;
    prod.wait(&bench, BeforeEntry, "wait").await;
    bench.objects.lose("definitions");
    assert!(
        engine::reconcile(&bench.world, false, &mut Reconciled::default()).await.is_err(),
        "it cannot be looked at"
    );
    bench.world.machines().dead.store(true, SeqCst);
    let done = bench.reconcile().await;
    assert_eq!((done.executions, done.conditions), (1, 1));
    let input = json!({"pipelineName": "shop", "pipelineExecutionId": prod.execution});
    let execution = bench.ok("GetPipelineExecution", input).await;
    assert_eq!(execution["pipelineExecution"]["status"], "Failed");
    assert_eq!(answered(&bench, "wait"), Some(json!({"next": "Fail"})));
}

#[tokio::test]
async fn of_a_machine_that_died_its_execution_is_closed_at_once_and_nothing_is_started() {
    let (bench, _) = Bench::with_release().await;
    let (dead, other) = (bench.start().await, bench.start().await);
    assert!(matches!(bench.drive(dead, None).await, Driven::Working(_)));
    let (started, name) = (bench.machines_started(), format!("{dead}-1"));
    let told = async |name: &str| {
        let mut done = Reconciled::default();
        Box::pin(engine::machine_died(&bench.world, name, &mut done)).await.unwrap();
        done.executions
    };
    assert_eq!(told(&name).await, 0, "whose machine still runs is left alone");
    bench.world.machines().dead.store(true, SeqCst);
    assert_eq!(told("of-nobody").await, 0);
    assert_eq!(told(&name).await, 1);
    assert_eq!(told(&name).await, 0, "told again, nothing is left to do");
    for (execution, status) in [(dead, "Failed"), (other, "InProgress")] {
        let input = json!({"pipelineName": "shop", "pipelineExecutionId": execution});
        assert_eq!(bench.ok("GetPipelineExecution", input).await["pipelineExecution"]["status"], status);
    }
    assert_eq!(bench.machines_started(), started, "what dies at once would be called for without end");
}

/// So many executions of which nothing is known but that they are open.
async fn open(bench: &Bench, count: u128) {
    let mark = |n: u128| {
        let execution = ExecutionId(Uuid::from_u128(n));
        let machine_name = format!("{execution}-1");
        let started_at = Timestamp::UNIX_EPOCH;
        Row::OpenExecution(OpenExecution { pipeline: shop_name(), execution, machine_name, started_at })
    };
    let writes: Vec<Write> = (0..count).map(|n| Write::Put(mark(n), Precondition::None)).collect();
    for chunk in writes.chunks(WRITES_MAX) {
        bench.world.store().commit(chunk.to_vec()).await.unwrap();
    }
}

#[tokio::test]
async fn of_many_executions_some_are_looked_at_every_minute_and_all_in_turn() {
    let clock = Arc::new(ManualClock::new("2026-11-23T10:00:00Z".parse().unwrap()));
    let bench = Bench::with_clock(Arc::clone(&clock)).await;
    let tick = async || {
        clock.advance_to(clock.now() + SignedDuration::from_mins(1));
        Box::pin(engine::reconcile(&bench.world, true, &mut Reconciled::default())).await.unwrap();
        std::mem::take(&mut *bench.world.machines().asked.lock().unwrap())
    };
    open(&bench, 100).await;
    for _ in 0..2 {
        assert_eq!(tick().await.len(), 100, "so many are looked at every minute");
    }
    open(&bench, 600).await;
    let mut seen = BTreeSet::new();
    for _ in 0..16 {
        let asked = tick().await;
        assert!(!asked.is_empty() && asked.len() <= 100, "{}", asked.len());
        assert!(asked.into_iter().all(|name| seen.insert(name)), "somebody is looked at twice");
    }
    assert_eq!(seen.len(), 600);
}
