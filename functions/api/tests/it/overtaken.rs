//! Conditions whose execution begins nothing more, or lost its stage, where whoever brought that about died.

use std::collections::BTreeMap;

use domain::{ConditionKind::BeforeEntry, Effect, ExecutionId, JobStatus, StopOrder, StopTrigger};
use engine::{
    HasBasics, HasStore,
    ports::{PendingEffect, Precondition, Row, Store, Write},
};
use serde_json::json;

use crate::{
    conditions::{Prod, answered, create, gated, rule_executions},
    rules::{Stopped, asked, asking, day, newest_job, statuses, succeed, window},
    world::{ANA, Bench, shop_name},
};

/// Has the stop of `execution` decided and stored, and nothing that follows from it but its effects: as where the
/// function that stops it dies.
async fn stop_and_die(bench: &Bench, execution: ExecutionId, abandon: bool) {
    let view = engine::load_view(&bench.world, &shop_name()).await.unwrap();
    let row = bench.world.store().load_execution(&shop_name(), execution).await.unwrap().unwrap();
    let trigger = StopTrigger { by: ANA.to_owned(), reason: None };
    let order = StopOrder { execution, abandon, trigger, alarms: &BTreeMap::new() };
    let changes = domain::stop_execution(&view, &BTreeMap::from([(execution, row)]), &order, bench.world.now());
    engine::commit(&bench.world, &shop_name(), changes.unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_closed_window_holds_the_stage_for_nobody_who_begins_nothing_more() {
    let stopped = Stopped::at("08:00:00").await;
    let bench = &stopped.bench;
    let prod = create(bench, &gated("FAIL", json!([window()]))).await;
    prod.wait(bench, BeforeEntry, "wait").await;
    assert_eq!(bench.reconcile().await.conditions, 0);
    stop_and_die(bench, prod.execution, false).await;
    assert_eq!(answered(bench, "wait"), None);
    assert_eq!(bench.reconcile().await.conditions, 1);
    assert_eq!(answered(bench, "wait"), Some(json!({"next": "Fail"})));
    assert_eq!(statuses(bench).await, json!({"hours": "Abandoned"}));

    let stopped = Stopped::at("08:00:00").await;
    let bench = &stopped.bench;
    let pipeline = gated("FAIL", json!([window()]));
    let prod = create(bench, &pipeline).await;
    prod.wait(bench, BeforeEntry, "wait").await;
    bench.ok("UpdatePipeline", json!({"pipeline": pipeline})).await;
    assert_eq!(answered(bench, "wait"), Some(json!({"next": "Fail"})), "an update ends it at once");
}

#[tokio::test]
async fn what_was_asked_for_an_evaluation_is_over_once_another_takes_its_place() {
    let (Stopped { bench, clock }, prod) = asking("FAIL").await;
    let job = newest_job(&bench);
    stop_and_die(&bench, prod.execution, true).await;
    // Nobody gets keys for it any more, before anybody has closed the job.
    let details = bench.ok("GetJobDetails", json!({"jobId": job})).await["jobDetails"]["data"].clone();
    assert!(details.get("artifactCredentials").is_none(), "{details}");
    let id = job.as_str().unwrap().parse().unwrap();
    let effect = PendingEffect { since: day("10:00:00"), effect: Effect::InvokeJob { job: id } };
    let write = Write::Put(Row::Effect(effect), Precondition::None);
    bench.world.store().commit(vec![write]).await.unwrap();

    clock.advance_to(day("10:00:01"));
    let next = Prod::enter(&bench, bench.start().await).await;
    next.wait(&bench, BeforeEntry, "next").await;
    let stored = bench.world.store().load_job(id).await.unwrap().unwrap();
    assert_eq!(stored.status, JobStatus::TimedOut);
    let runs = rule_executions(&bench, json!({"pipelineName": "shop"})).await;
    let statuses: Vec<_> = runs.iter().map(|run| &run["status"]).collect();
    assert_eq!(statuses, ["InProgress", "Abandoned"]);

    bench.reconcile().await;
    assert_eq!(answered(&bench, "wait"), Some(json!({"next": "Fail"})));
    assert_eq!(answered(&bench, "next"), None);
    assert_eq!(asked(&bench).len(), 2, "the first was not asked once more");
    succeed(&bench, &newest_job(&bench)).await;
    assert_eq!(answered(&bench, "next"), Some(json!({"next": "Proceed"})));
}

#[tokio::test]
async fn a_lost_evaluation_leaves_no_job_open() {
    let (Stopped { bench, .. }, prod) = asking("FAIL").await;
    let job = newest_job(&bench);
    stop_and_die(&bench, prod.execution, true).await;
    bench.ok("DeletePipeline", json!({"name": "shop"})).await;
    bench.reconcile().await;
    let stored = bench.world.store().load_job(job.as_str().unwrap().parse().unwrap()).await.unwrap();
    assert!(stored.is_none_or(|job| job.status.is_ended()), "nobody else knows of it");
}
