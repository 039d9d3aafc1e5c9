//! What is kept for a time is gone after it, whether the table has removed it or not.

use std::sync::Arc;

use engine::HasBasics;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{
    cloud::SteadyClock,
    world::{Bench, shop},
};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A bench with the pipeline `shop`, and its clock.
async fn created() -> (Bench, Arc<SteadyClock>) {
    let clock = Arc::new(SteadyClock::new());
    let bench = Bench::with_clock(Arc::clone(&clock)).await;
    bench.ok("CreatePipeline", json!({"pipeline": shop()})).await;
    (bench, clock)
}

/// Ids of executions, newest first.
async fn ids(bench: &Bench) -> Vec<Value> {
    let page = bench.ok("ListPipelineExecutions", json!({"pipelineName": "shop"})).await;
    let all = page["pipelineExecutionSummaries"].as_array().unwrap().iter();
    all.map(|one| one["pipelineExecutionId"].clone()).collect()
}

/// Lets time go by, and the table know of it.
fn pass(bench: &Bench, clock: &SteadyClock, days: i32) {
    clock.pass(DAY * days);
    bench.world.now();
}

#[tokio::test]
async fn a_token_starts_anew_when_it_is_forgotten() {
    let (bench, clock) = created().await;
    let start = json!({"name": "shop", "clientRequestToken": "a-1"});
    let first = bench.ok("StartPipelineExecution", start.clone()).await;
    pass(&bench, &clock, 6);
    assert_eq!(bench.ok("StartPipelineExecution", start.clone()).await, first);
    pass(&bench, &clock, 1);
    let again = bench.ok("StartPipelineExecution", start.clone()).await;
    assert_ne!(again, first);
    assert_eq!(bench.ok("StartPipelineExecution", start).await, again, "and is remembered anew");
}

#[tokio::test]
async fn an_execution_is_neither_listed_nor_shown_after_its_year() {
    let (bench, clock) = created().await;
    let old = bench.newest().await;
    bench.pass(old).await;
    pass(&bench, &clock, 365);
    let new = bench.start().await;
    assert_eq!(ids(&bench).await, [json!(new), json!(old)]);
    pass(&bench, &clock, 1);
    assert_eq!(ids(&bench).await, [json!(new)]);
    let one = json!({"pipelineName": "shop", "pipelineExecutionId": old});
    bench.refuses("GetPipelineExecution", &[(one, "PipelineExecutionNotFoundException", &old.to_string())]).await;
    pass(&bench, &clock, 366);
    assert_eq!(ids(&bench).await, [json!(new)], "what has not ended has no year");
    bench.pass(new).await;
    assert_eq!(ids(&bench).await, [json!(new)], "and it begins with the end");
}
