//! Task tokens and nested executions.

use serde_json::{Value, json};

use super::world::{Fakes, World, error, output};

fn waiting(more: Value) -> Value {
    let mut task = json!({
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "End": true,
        "Arguments": {"FunctionName": "f", "Payload": {"token": "{% $states.context.Task.Token %}"}},
    });
    task.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    json!({"A": task})
}

fn token(world: &World) -> String {
    world.functions.calls("f").last().expect("it was called")["token"].as_str().expect("a token").to_owned()
}

fn quiet() -> Fakes {
    Fakes::default().with("f", |_, _| Ok(json!("ignored")))
}

#[tokio::test]
async fn a_token_is_answered_once() {
    let world = World::with_machine(quiet(), waiting(json!({})), "A");
    let arn = world.start("machine", "t", json!({})).await;
    world.settle().await;
    let token = token(&world);
    world.ok("SendTaskHeartbeat", json!({"taskToken": token})).await;
    assert_eq!(world.refused("SendTaskSuccess", json!({"taskToken": token, "output": "{"})).await, "InvalidOutput");
    world.ok("SendTaskSuccess", json!({"taskToken": token, "output": "{\"ok\": 1}"})).await;
    assert_eq!(output(&world.describe(&arn).await), json!({"ok": 1}));
    assert_eq!(world.refused("SendTaskSuccess", json!({"taskToken": token, "output": "1"})).await, "TaskTimedOut");
    assert_eq!(world.refused("SendTaskHeartbeat", json!({"taskToken": token})).await, "TaskTimedOut");
    assert_eq!(world.refused("SendTaskFailure", json!({"taskToken": "0".repeat(64)})).await, "TaskDoesNotExist");
    assert_eq!(world.refused("SendTaskFailure", json!({"taskToken": "what"})).await, "InvalidToken");
    let types = world.event_types(&arn).await;
    assert_eq!(types[2..6], ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]);
}

#[tokio::test]
async fn a_token_may_be_answered_before_its_function_returns() {
    let world = World::with_machine(quiet(), waiting(json!({})), "A");
    let arn = world.start("machine", "t", json!({})).await;
    let token: String = {
        let run = world.states.store().load(&arn).expect("the store answers").expect("it exists");
        run.frames.values().find_map(|frame| frame.call()?.token.clone()).expect("a token")
    };
    world.ok("SendTaskSuccess", json!({"taskToken": token, "output": "7"})).await;
    world.settle().await;
    assert_eq!(output(&world.describe(&arn).await), json!(7));
}

#[tokio::test]
async fn a_token_may_fail_and_so_may_its_function() {
    let states = waiting(json!({"Retry": [{"ErrorEquals": ["Again"], "IntervalSeconds": 1}]}));
    let fakes = Fakes::default().with("f", |_, before| if before == 0 { Err(error("Again")) } else { Ok(json!(null)) });
    let world = World::with_machine(fakes, states, "A");
    let arn = world.start("machine", "t", json!({})).await;
    world.settle().await;
    let first = token(&world);
    world.pass(1).await;
    let second = token(&world);
    assert_ne!(first, second);
    assert_eq!(world.refused("SendTaskSuccess", json!({"taskToken": first, "output": "1"})).await, "TaskTimedOut");
    world.ok("SendTaskFailure", json!({"taskToken": second, "error": "Rejected", "cause": "no"})).await;
    let ended = world.describe(&arn).await;
    assert_eq!(
        (&ended["status"], &ended["error"], &ended["cause"]),
        (&json!("FAILED"), &json!("Rejected"), &json!("no"))
    );
}

#[tokio::test]
async fn heartbeats_hold_off_their_timeout_but_not_the_other() {
    let world = World::with_machine(quiet(), waiting(json!({"HeartbeatSeconds": 10, "TimeoutSeconds": 25})), "A");
    let (beating, silent) =
        (world.start("machine", "beating", json!({})).await, world.start("machine", "silent", json!({})).await);
    world.settle().await;
    let tokens = world.functions.calls("f");
    for _ in 0..3 {
        world.pass(8).await;
        world.ok("SendTaskHeartbeat", json!({"taskToken": tokens[0]["token"]})).await;
    }
    assert_eq!(world.describe(&silent).await["error"], "States.HeartbeatTimeout");
    assert_eq!(world.describe(&beating).await["status"], "RUNNING");
    world.pass(1).await;
    assert_eq!(world.describe(&beating).await["error"], "States.Timeout");
    assert!(world.event_types(&beating).await.contains(&"TaskTimedOut".to_owned()));
}

#[tokio::test]
async fn a_task_whose_heartbeat_is_not_below_its_timeout_does_not_begin() {
    let limits = json!({"HeartbeatSeconds": "{% $states.input.heartbeat %}", "TimeoutSeconds": "{% 20 + 5 %}"});
    let caught = json!([{"ErrorEquals": ["States.ALL"], "Next": "B"}]);
    let mut states = waiting(limits);
    states["A"]["Catch"] = caught;
    states["B"] = json!({"Type": "Succeed"});
    let world = World::with_machine(quiet(), states, "A");
    for (heartbeat, status) in [(24, "RUNNING"), (25, "FAILED"), (26, "FAILED")] {
        let arn = world.start("machine", &format!("of-{heartbeat}"), json!({"heartbeat": heartbeat})).await;
        world.settle().await;
        let described = world.describe(&arn).await;
        assert_eq!(described["status"], status, "{described}");
        assert!(status == "RUNNING" || described["error"] == "States.Runtime", "{described}");
    }
    assert_eq!(world.functions.calls("f").len(), 1);
}

#[tokio::test]
async fn an_asynchronous_invocation_is_not_waited_for() {
    let states = json!({"A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true,
        "Arguments": {"FunctionName": "f", "InvocationType": "Event", "Payload": 1}, "Output": "{% $states.result.StatusCode %}"}});
    let world = World::with_machine(Fakes::default().with("f", |_, _| Err(error("Late"))), states, "A");
    assert_eq!(output(&world.run(json!({})).await), json!(202));
    assert_eq!(world.functions.calls("f").len(), 1);
    assert!(world.states.store().detached().expect("the store answers").is_empty());
}

fn parent(resource: &str, more: Value) -> Value {
    let mut task = json!({"Type": "Task", "Resource": resource, "End": true,
        "Arguments": {"StateMachineArn": "child", "Name": "the-child", "Input": "{% $states.input %}"}});
    task.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    json!({"A": task})
}

const SYNC: &str = "arn:aws:states:::states:startExecution.sync:2";

fn nested(states: Value, more: Value) -> World {
    let world = World::with_machine(quiet(), parent(SYNC, more), "A");
    world.put("child", "A", states);
    world
}

#[tokio::test]
async fn a_parent_waits_for_its_child() {
    let world = nested(
        json!({"A": {"Type": "Wait", "Seconds": 5, "Output": {"n": "{% $states.input.n %}"}, "End": true}}),
        json!({}),
    );
    let ended = output(&world.run(json!({"n": 4})).await);
    assert_eq!(
        (&ended["Status"], &ended["Output"], &ended["Name"]),
        (&json!("SUCCEEDED"), &json!({"n": 4}), &json!("the-child"))
    );
    let arn = "arn:aws:states:us-east-1:000000000000:execution:machine:run";
    let types = world.event_types(arn).await;
    assert_eq!(types[2..6], ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]);
}

#[tokio::test]
async fn a_childs_failure_is_a_failed_task() {
    let catch = json!({"Catch": [{"ErrorEquals": ["States.TaskFailed"], "Output": "{% $parse($states.errorOutput.Cause) %}", "Next": "B"}]});
    let world = nested(json!({"A": {"Type": "Fail", "Error": "Broken", "Cause": "bad"}}), json!({}));
    let mut states = parent(SYNC, catch);
    states["B"] = json!({"Type": "Succeed"});
    world.put("machine", "A", states);
    let caught = output(&world.run(json!({})).await);
    assert_eq!(
        (&caught["Status"], &caught["Error"], &caught["Cause"]),
        (&json!("FAILED"), &json!("Broken"), &json!("bad"))
    );
    // The name is taken by an execution that has ended: AWS's error, catchable by its name.
    let arn = world.start("machine", "second", json!({})).await;
    let ended = world.finish(&arn).await;
    assert_eq!(ended["status"], "FAILED", "not a States.TaskFailed document: {ended}");
}

#[tokio::test]
async fn stopping_or_timing_out_a_parent_stops_its_child() {
    for timeout in [false, true] {
        let more = if timeout { json!({"TimeoutSeconds": 3}) } else { json!({}) };
        let world = nested(json!({"A": {"Type": "Wait", "Seconds": 500, "End": true}}), more);
        let arn = world.start("machine", "p", json!({})).await;
        world.settle().await;
        if timeout {
            world.pass(3).await;
        } else {
            world.ok("StopExecution", json!({"executionArn": arn, "error": "Enough", "cause": "tired"})).await;
            world.settle().await;
        }
        let child = world.describe("arn:aws:states:us-east-1:000000000000:execution:child:the-child").await;
        assert_eq!(child["status"], "ABORTED");
        let ended = world.describe(&arn).await;
        assert_eq!(ended["error"], if timeout { "States.Timeout" } else { "Enough" });
    }
}

#[tokio::test]
async fn a_child_that_is_only_started_lives_on_its_own() {
    let world = World::with_machine(quiet(), parent("arn:aws:states:::states:startExecution", json!({})), "A");
    world.put("child", "A", json!({"A": {"Type": "Wait", "Seconds": 500, "End": true}}));
    let ended = world.run(json!({})).await;
    let child = output(&ended)["ExecutionArn"].as_str().expect("an ARN").to_owned();
    assert_eq!(world.describe(&child).await["status"], "RUNNING");
}
