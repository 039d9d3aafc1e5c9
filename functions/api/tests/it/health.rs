//! Whether Lastgood itself is well.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use engine::ports::Clock;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    cloud::SteadyClock,
    world::{Bench, id, shop},
};

/// A clock that the test and the system share.
#[derive(Clone)]
struct Shared(Arc<SteadyClock>);

impl Clock for Shared {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

async fn health(bench: &Bench) -> Value {
    bench.ok("DescribeHealth", json!({})).await
}

#[tokio::test]
async fn what_is_well_is_said_to_be() {
    let (bench, _) = Bench::with_release().await;
    bench.reconcile().await;
    let found = health(&bench).await;
    assert_eq!(found["concerns"], json!([]), "{found}");
    assert_eq!((&found["executionsOpen"], &found["holds"], &found["more"]), (&json!(0), &json!(0), &json!(false)));
    assert_eq!(found["effects"], json!({"count": 0}), "{found}");
    let (looked, now) = (found["reconciledAt"].as_f64().unwrap(), found["checkedAt"].as_f64().unwrap());
    assert!((now - 60.0..=now).contains(&looked), "{found}");
    assert!(found.get("deadLetters").is_none(), "CloudWatch has counted none so far: {found}");
    assert!(found["artifactChecks"]["oldestDueAt"].as_f64() > found["checkedAt"].as_f64(), "{found}");
}

#[tokio::test]
async fn what_is_late_is_named_and_how_late_it_is() {
    let clock = Shared(Arc::new(SteadyClock::new()));
    let bench = Bench::with_clock(clock.clone()).await;
    bench.published.away.store(true, SeqCst);
    bench.ok("CreatePipeline", json!({"pipeline": shop()})).await;
    let found = health(&bench).await;
    assert_eq!((&found["concerns"], &found["executionsOpen"]), (&json!([]), &json!(1)), "it may still come: {found}");
    assert_eq!(found["effects"]["count"], 1);
    clock.0.pass(SignedDuration::from_mins(6));
    let found = health(&bench).await;
    assert_eq!(found["concerns"], json!(["EffectsLate"]), "{found}");
    let age = found["checkedAt"].as_f64().unwrap() - found["effects"]["oldestDueAt"].as_f64().unwrap();
    assert!((360.0..420.0).contains(&age), "{found}");
}

#[tokio::test]
async fn what_waits_for_a_person_and_what_was_lost_are_named() {
    let (bench, good) = Bench::with_release().await;
    let newer = bench.start().await;
    bench.pass(newer).await;
    let rollback = json!({"pipelineName": "shop", "stageName": "Prod", "targetPipelineExecutionId": good});
    let back = id(&bench.ok("RollbackStage", rollback).await["pipelineExecutionId"]);
    bench.pass(back).await;
    let found = health(&bench).await;
    assert_eq!((&found["concerns"], &found["holds"]), (&json!(["HoldsStand"]), &json!(1)), "{found}");
}

#[tokio::test]
async fn artifacts_that_are_lost_are_counted() {
    let (bench, _) = Bench::with_release().await;
    bench.objects.lose("artifacts");
    // Before a deploy it is looked whether the way back is there.
    let newer = bench.start().await;
    bench.drive(newer, None).await;
    let found = health(&bench).await;
    assert_eq!((&found["concerns"], &found["artifactsLost"]), (&json!(["ArtifactsLost"]), &json!(1)), "{found}");
}

#[tokio::test]
async fn a_reconciler_that_stands_still_is_named() {
    let clock = Shared(Arc::new(SteadyClock::new()));
    let bench = Bench::with_clock(clock.clone()).await;
    assert!(health(&bench).await.get("reconciledAt").is_none(), "a new installation");
    bench.reconcile().await;
    let first = health(&bench).await["reconciledAt"].clone();
    clock.0.pass(SignedDuration::from_mins(4));
    bench.reconcile().await;
    assert_eq!(health(&bench).await["reconciledAt"], first, "noted once in five minutes");
    clock.0.pass(SignedDuration::from_mins(2));
    bench.reconcile().await;
    let found = health(&bench).await;
    assert!(found["reconciledAt"].as_f64() > first.as_f64() && found["concerns"] == json!([]), "{found}");
    clock.0.pass(SignedDuration::from_mins(13));
    assert_eq!(health(&bench).await["concerns"], json!(["ReconcilerStopped"]));
}

#[tokio::test]
async fn dead_letters_are_counted_where_cloudwatch_answers() {
    let bench = Bench::new().await;
    *bench.alarms.letters.lock().unwrap() = Some(2);
    let found = health(&bench).await;
    assert_eq!((&found["deadLetters"], &found["concerns"]), (&json!(2), &json!(["DeadLetters"])));
    bench.alarms.denied.store(true, SeqCst);
    let found = health(&bench).await;
    assert!(found.get("deadLetters").is_none() && found["concerns"] == json!([]), "unknown is no concern: {found}");
}
