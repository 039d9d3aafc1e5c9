//! The process dies after any stored step and another goes on from what it left.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::world::{Fakes, World, error, output, start_of_time};

const EVERYTHING: &str = include_str!("../../tests/everything.asl.json");
const NAME: &str = "all";

fn fakes() -> Fakes {
    Fakes::default()
        .with("flaky", |payload, _| if payload["attempt"] == 2 { Ok(payload.clone()) } else { Err(error("Throttled")) })
        .with("double", |payload, _| Ok(json!(payload["n"].as_i64().expect("a number") * 2)))
        .with("approve", |_, _| Ok(json!("asked")))
        .with("ignore", |_, _| Ok(json!("asked")))
}

fn put_machines(world: &World) {
    world.states.put_state_machine("everything", EVERYTHING).expect("inside the subset");
    let child = json!({
        "Begin": {"Type": "Wait", "Seconds": 7, "Next": "Decide"},
        "Decide": {"Type": "Choice", "Default": "Good", "Choices": [{"Condition": "{% $exists($states.input.fail) %}", "Next": "Bad"}]},
        "Good": {"Type": "Succeed", "Output": {"n": "{% $states.input.n + 1 %}"}},
        "Bad": {"Type": "Fail", "Error": "ChildBroke"},
    });
    world.put("child", "Begin", child);
}

/// Someone approves an hour after being asked; answers to tokens of other lives may come late.
async fn drive(world: &World, arn: &str) -> Value {
    for _ in 0..200 {
        world.settle().await;
        let described = world.describe(arn).await;
        if described["status"] != "RUNNING" {
            return described;
        }
        let wake = world.states.store().next_wake().expect("the store answers").expect("something is due");
        let waits_for_approval = wake.duration_since(start_of_time()).as_hours() >= 1;
        for call in world.functions.calls("approve").iter().filter(|_| waits_for_approval) {
            // Refused when it was answered before the process died: then there is nothing left to do.
            world.call("SendTaskSuccess", json!({"taskToken": call["token"], "output": "{\"answer\": \"yes\"}"})).await;
        }
        world.settle().await;
        if let Some(wake) = world.states.store().next_wake().expect("the store answers") {
            world.clock.advance_to(wake);
        }
    }
    panic!("it does not end");
}

/// Checks what must hold of every history: no gap, no duplicate, no event after the end.
async fn check_history(world: &World, arn: &str) -> Vec<String> {
    let history = world.history(arn).await;
    let ids: Vec<u64> = history.iter().map(|event| event["id"].as_u64().expect("an id")).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    assert!(history.iter().all(|event| event["previousEventId"].as_u64() < event["id"].as_u64()));
    let mut types: Vec<String> = world.event_types(arn).await;
    types.sort();
    types
}

type Copies = Arc<Mutex<Vec<(PathBuf, jiff::Timestamp)>>>;

/// Keeps what a process killed right after each commit would leave, with the time of its death.
fn copy_after_each_commit(world: &World, root: &Path) -> Copies {
    let copies = Copies::default();
    let (taken, root, clock) = (copies.clone(), root.to_owned(), world.clock.clone());
    let observer = move |store: &crate::store::Store| {
        let mut taken = taken.lock().expect("not poisoned");
        let dir = root.join(taken.len().to_string());
        store.copy_to(&dir);
        taken.push((dir, engine::ports::Clock::now(&*clock)));
    };
    let mut after_commit = world.states.shared.after_commit.lock().expect("not poisoned");
    *after_commit = Some(Box::new(observer));
    copies
}

#[tokio::test]
async fn dying_after_any_step_changes_nothing_in_the_end() {
    // Steps as they are in production, and steps as small as they can be.
    die_after_each_step(crate::run::STATES_PER_STEP_MAX, 25).await;
    die_after_each_step(1, 45).await;
}

async fn die_after_each_step(states_max: usize, steps_min: usize) {
    let copies = TempDir::new().expect("a directory");
    let first = TempDir::new().expect("a directory");
    let world = World::open_with(first.path(), start_of_time(), Arc::new(fakes()), 7, states_max);
    put_machines(&world);
    let taken = copy_after_each_commit(&world, copies.path());
    let arn = world.start("everything", NAME, json!({"release": 1, "count": 3})).await;
    let undisturbed = drive(&world, &arn).await;
    let expected = output(&undisturbed);
    assert_eq!(expected["sum"], 12);
    assert_eq!(expected["both"], json!(["yes", 13, "ChildBroke", "States.HeartbeatTimeout"]));
    assert_eq!(
        (&expected["seen"], &expected["flaky"], &expected["caught"]["Cause"]),
        (&json!(3), &json!(2), &json!("at 3"))
    );
    let expected_types = check_history(&world, &arn).await;
    *world.states.shared.after_commit.lock().expect("not poisoned") = None;

    let taken = taken.lock().expect("not poisoned").clone();
    assert!(taken.len() > steps_min, "only {} steps", taken.len());
    for (dir, now) in taken {
        let functions = Arc::new(fakes());
        // Tokens handed out before the death are still in the hands of those who were asked.
        *functions.calls.lock().expect("not poisoned") =
            world.functions.calls("approve").into_iter().map(|payload| ("approve".to_owned(), payload)).collect();
        let again = World::open_with(&dir, now, functions, 99, states_max);
        let ended = drive(&again, &arn).await;
        assert_eq!(output(&ended), expected, "after the step in {}", dir.display());
        assert_eq!(check_history(&again, &arn).await, expected_types, "after the step in {}", dir.display());
        let store = again.states.store();
        assert!(store.running().expect("the store answers").is_empty());
        assert_eq!(store.next_wake().expect("the store answers"), None);
    }
}

#[tokio::test]
async fn data_of_a_later_release_is_refused() {
    let dir = TempDir::new().expect("a directory");
    drop(crate::store::Store::open(dir.path()).expect("an empty directory opens"));
    let connection = rusqlite::Connection::open(dir.path().join("states.sqlite")).expect("it opens");
    connection.pragma_update(None, "user_version", 99).expect("it is written");
    drop(connection);
    let refused = crate::store::Store::open(dir.path()).err().expect("refused");
    assert!(refused.to_string().contains("newer program"), "{refused}");
}

#[tokio::test]
async fn an_orphaned_child_is_stopped_when_the_service_opens() {
    let dir = TempDir::new().expect("a directory");
    let world = World::open(dir.path(), start_of_time(), Arc::new(fakes()), 1);
    put_machines(&world);
    world.put(
        "machine",
        "A",
        json!({"A": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "End": true,
        "Arguments": {"StateMachineArn": "child", "Name": "c", "Input": {"n": 1}}}}),
    );
    let arn = world.start("machine", "p", json!({})).await;
    world.settle().await;
    world.ok("StopExecution", json!({"executionArn": arn})).await;
    // The command to stop the child dies with the process.
    drop(world);
    let world = World::open(dir.path(), start_of_time(), Arc::new(fakes()), 2);
    world.settle().await;
    assert_eq!(world.describe("arn:aws:states:us-east-1:000000000000:execution:child:c").await["status"], "ABORTED");
}

#[tokio::test]
async fn a_child_that_ended_before_its_parent_knew_of_it_is_still_heard() {
    let copies = TempDir::new().expect("a directory");
    let world = World::new(fakes());
    world.put("child", "A", json!({"A": {"Type": "Succeed", "Output": 5}}));
    world.put(
        "machine",
        "A",
        json!({"A": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "End": true,
        "Arguments": {"StateMachineArn": "child", "Name": "c"}, "Output": "{% $states.result.Output %}"}}),
    );
    let taken = copy_after_each_commit(&world, copies.path());
    let arn = world.start("machine", "p", json!({})).await;
    assert_eq!(output(&world.finish(&arn).await), json!(5));
    let taken = taken.lock().expect("not poisoned").clone();
    assert_eq!(taken.len(), 4, "parent, child, child known, child ended");
    for (dir, now) in taken {
        let again = World::open(&dir, now, Arc::new(fakes()), 3);
        assert_eq!(output(&again.finish(&arn).await), json!(5), "{}", dir.display());
    }
}
