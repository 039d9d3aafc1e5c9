//! What operators see of effects: a line and a count of each that was tried and not performed, and nothing where all is well.

use std::{
    cell::RefCell,
    io::Write,
    sync::{Once, atomic::Ordering::SeqCst},
};

use engine::{
    HasStore,
    ports::{CloudError, ObjectAt, ObjectsError, PageRequest, Store},
};
use serde_json::{Value, json};

use crate::world::{Bench, Driven, asking, shop, shop_name};

thread_local! {
    /// What was logged on this thread, which a test has for itself.
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}
static LISTENING: Once = Once::new();

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // A thread that ends keeps nothing any more.
        let _ = LOGGED.try_with(|logged| logged.borrow_mut().extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// From now on, what is logged on this thread is kept.
fn listen() {
    LISTENING.call_once(|| {
        runtime::log_to("tests", "error,engine=info", || Log);
        // Other tests may have logged first, when nobody listened.
        tracing::callsite::rebuild_interest_cache();
    });
    LOGGED.with_borrow_mut(Vec::clear);
}

/// Kinds of the effects of lines that `is` true of, in order.
fn effects(is: impl Fn(&Value) -> bool) -> Vec<String> {
    let lines = LOGGED.with_borrow(|logged| String::from_utf8_lossy(logged).into_owned());
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(is).map(|line| line["effect"].as_str().unwrap().to_owned()).collect()
}

/// Those that were counted as left.
fn left() -> Vec<String> {
    effects(|line| line["EffectsLeft"] == 1)
}

async fn pending(bench: &Bench) -> usize {
    bench.world.store().pending_effects(PageRequest { limit: 100, after: None }).await.unwrap().items.len()
}

/// `shop` with a person in the place of the function, who is told by a topic.
fn telling() -> Value {
    let mut pipeline = asking();
    pipeline["stages"][1]["actions"][0]["configuration"]["NotificationArn"] =
        json!("arn:aws:sns:eu-west-1:111122223333:releases");
    pipeline
}

#[tokio::test]
async fn a_healthy_release_leaves_nothing() {
    listen();
    let (bench, _) = Bench::with_release().await;
    let second = bench.start().await;
    bench.pass(second).await;
    let waiting = Bench::new().await;
    waiting.ok("CreatePipeline", json!({"pipeline": telling()})).await;
    assert!(matches!(waiting.drive(waiting.newest().await, None).await, Driven::Working(_)));
    assert_eq!(left(), Vec::<String>::new());
    let performed = effects(|line| line["message"].as_str().unwrap_or_default().starts_with("performed"));
    for kind in ["StartMachine", "AnswerGate", "InvokeJob", "KeepArtifacts", "NotifyApproval", "PublishEvents"] {
        assert!(performed.iter().any(|one| one == kind), "{kind} is not among {performed:?}");
    }
}

#[tokio::test]
async fn an_invocation_that_failed_is_told_and_made_up_for() {
    listen();
    let bench = Bench::new().await;
    *bench.invoked.3.lock().unwrap() = Some(|| CloudError::Unavailable("away".into()));
    bench.ok("CreatePipeline", json!({"pipeline": shop()})).await;
    assert!(matches!(bench.drive(bench.newest().await, None).await, Driven::Working(_)));
    assert_eq!((left(), pending(&bench).await), (vec!["InvokeJob".to_owned()], 1));
    *bench.invoked.3.lock().unwrap() = None;
    assert_eq!(bench.reconcile().await.effects, 1);
    assert_eq!((left().len(), pending(&bench).await, bench.invoked.0.lock().unwrap().len()), (1, 0, 1));
}

#[tokio::test]
async fn people_and_a_bus_that_were_not_told_are_told_of() {
    listen();
    let bench = Bench::new().await;
    *bench.notices.failure.lock().unwrap() = Some(|| CloudError::Unavailable("away".into()));
    bench.ok("CreatePipeline", json!({"pipeline": telling()})).await;
    assert!(matches!(bench.drive(bench.newest().await, None).await, Driven::Working(_)));
    assert_eq!(left(), ["NotifyApproval"]);
    bench.published.away.store(true, SeqCst);
    bench.start().await;
    assert_eq!(left(), ["NotifyApproval", "PublishEvents"]);
}

#[tokio::test]
async fn artifacts_that_could_not_be_marked_are_told_of() {
    listen();
    let (bench, first) = Bench::with_release().await;
    let row = bench.world.store().load_execution(&shop_name(), first).await.unwrap().unwrap();
    let at = ObjectAt::new(&row.artifacts["App"].bucket, &row.artifacts["App"].key);
    let reason = "no answer in time".to_owned();
    bench.objects.fail(&at, ObjectsError::Unavailable { operation: "HeadObject", at: at.clone(), reason });
    let second = bench.start().await;
    bench.pass(second).await;
    assert_eq!((left(), pending(&bench).await), (vec!["KeepArtifacts".to_owned()], 1));

    // What is refused for good is the daily look's, which nobody need try every minute.
    bench.objects.fail(&at, ObjectsError::AccessDenied { operation: "PutObjectTagging", at: at.clone() });
    bench.reconcile().await;
    assert_eq!((left().len(), pending(&bench).await), (2, 0));
}
