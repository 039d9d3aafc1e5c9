//! Each state type, retries, catches, variables.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::world::{Fakes, World, error, output, start_of_time};
use engine::ports::Clock;

fn invoke(function: &str, more: Value) -> Value {
    let mut task = json!({
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": function, "Payload": "{% $states.input %}"},
    });
    let target = task.as_object_mut().expect("an object");
    target.extend(more.as_object().expect("an object").clone());
    task
}

#[tokio::test]
async fn pass_choice_and_variables() {
    let states = json!({
        "A": {"Type": "Pass", "Assign": {"n": "{% $states.input.n * 2 %}", "m": 1}, "Output": {"old": "{% $exists($n) %}"}, "Next": "B"},
        "B": {"Type": "Choice", "Default": "Small", "Assign": {"m": 3}, "Output": "{% $n %}",
              "Choices": [{"Condition": "{% $n > 100 %}", "Next": "Big", "Assign": {"m": 2}, "Output": {"big": "{% $n %}"}}]},
        "Big": {"Type": "Succeed", "Output": "{% {'in': $states.input, 'm': $m} %}"},
        "Small": {"Type": "Succeed", "Output": "{% {'in': $states.input, 'm': $m, 'name': $states.context.State.Name} %}"},
    });
    let world = World::with_machine(Fakes::default(), states, "A");
    assert_eq!(output(&world.run(json!({"n": 5})).await), json!({"in": 10, "m": 3, "name": "Small"}));
    let arn = world.start("machine", "big", json!({"n": 51})).await;
    assert_eq!(output(&world.finish(&arn).await), json!({"in": {"big": 102}, "m": 2}));
    assert_eq!(world.states.transitions(), 6);
    let expected = [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "ChoiceStateEntered",
        "ChoiceStateExited",
        "SucceedStateEntered",
        "SucceedStateExited",
        "ExecutionSucceeded",
    ];
    assert_eq!(world.event_types(&arn).await, expected);
    let history = world.history(&arn).await;
    assert_eq!(history[2]["stateExitedEventDetails"]["assignedVariables"], json!({"m": "1", "n": "102"}));
    let ids: Vec<_> = history.iter().map(|event| (event["id"].as_u64(), event["previousEventId"].as_u64())).collect();
    assert_eq!(ids[..4], [(Some(1), Some(0)), (Some(2), Some(0)), (Some(3), Some(2)), (Some(4), Some(3))]);
}

#[tokio::test]
async fn fail_and_expressions_without_a_value_end_the_execution() {
    let states = json!({"A": {"Type": "Fail", "Error": "Broken", "Cause": "{% 'by ' & $states.input.who %}"}});
    let world = World::with_machine(Fakes::default(), states, "A");
    let ended = world.run(json!({"who": "me"})).await;
    assert_eq!(
        (&ended["status"], &ended["error"], &ended["cause"]),
        (&json!("FAILED"), &json!("Broken"), &json!("by me"))
    );

    let world = World::with_machine(
        Fakes::default(),
        json!({"A": {"Type": "Pass", "Output": "{% $states.input.nothing %}", "End": true}}),
        "A",
    );
    let ended = world.run(json!({})).await;
    assert_eq!(ended["error"], "States.QueryEvaluationError");
    assert_eq!(
        world.event_types(ended["executionArn"].as_str().expect("an ARN")).await[2..],
        ["EvaluationFailed", "ExecutionFailed"]
    );

    let world = World::with_machine(
        Fakes::default(),
        json!({"A": {"Type": "Choice", "Choices": [{"Condition": "{% false %}", "Next": "B"}]}, "B": {"Type": "Succeed"}}),
        "A",
    );
    assert_eq!(world.run(json!({})).await["error"], "States.NoChoiceMatched");
}

#[tokio::test]
async fn waits_end_exactly_when_they_should() {
    let states = json!({
        "A": {"Type": "Wait", "Seconds": "{% $states.input.s %}", "Next": "B"},
        "B": {"Type": "Wait", "Timestamp": "2026-11-23T01:00:00.250Z", "Next": "C"},
        "C": {"Type": "Wait", "Timestamp": "2020-01-01T00:00:00Z", "End": true},
    });
    let world = World::with_machine(Fakes::default(), states, "A");
    let arn = world.start("machine", "w", json!({"s": 90})).await;
    world.settle().await;
    world.pass(89).await;
    assert_eq!(world.event_types(&arn).await.len(), 2);
    world.pass(1).await;
    assert_eq!(world.event_types(&arn).await.len(), 4);
    output(&world.finish(&arn).await);
    assert_eq!(world.clock.now(), start_of_time() + SignedDuration::from_millis(3_600_250));
}

#[tokio::test]
async fn tasks_give_payload_status_and_history() {
    let fakes = Fakes::default().with("f", |payload, _| Ok(json!({"got": payload})));
    let world = World::with_machine(fakes, json!({"A": invoke("f", json!({"TimeoutSeconds": 60, "End": true}))}), "A");
    let ended = world.run(json!({"n": 1})).await;
    assert_eq!(output(&ended), json!({"ExecutedVersion": "$LATEST", "Payload": {"got": {"n": 1}}, "StatusCode": 200}));
    let arn = ended["executionArn"].as_str().expect("an ARN");
    let expected = [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ];
    assert_eq!(world.event_types(arn).await, expected);
    let scheduled = &world.history(arn).await[2]["taskScheduledEventDetails"];
    assert_eq!(
        (&scheduled["resourceType"], &scheduled["resource"], &scheduled["timeoutInSeconds"]),
        (&json!("lambda"), &json!("invoke"), &json!(60))
    );
}

#[tokio::test]
async fn retries_back_off_and_then_the_error_is_caught() {
    let task = invoke(
        "f",
        json!({
            "Retry": [{"ErrorEquals": ["Busy"], "IntervalSeconds": 2, "MaxAttempts": 3, "BackoffRate": 3, "MaxDelaySeconds": 10}],
            "Catch": [
                {"ErrorEquals": ["Other"], "Next": "No"},
                {"ErrorEquals": ["States.TaskFailed"], "Assign": {"cause": "{% $parse($states.errorOutput.Cause).errorType %}"}, "Output": "{% $states.errorOutput.Error %}", "Next": "Yes"},
            ],
            "End": true,
        }),
    );
    let states = json!({"A": task, "No": {"Type": "Fail"}, "Yes": {"Type": "Succeed", "Output": ["{% $states.input %}", "{% $cause %}"]}});
    let world = World::with_machine(Fakes::default().with("f", |_, _| Err(error("Busy"))), states, "A");
    let ended = world.run(json!({})).await;
    assert_eq!(output(&ended), json!(["Busy", "Busy"]));
    // 2 + 6 + 10 (capped from 18) seconds.
    assert_eq!(world.clock.now(), start_of_time() + SignedDuration::from_secs(18));
    assert_eq!(world.functions.calls("f").len(), 4);
    assert_eq!(world.states.transitions(), 2 + 3);
}

#[tokio::test]
async fn wildcards_leave_out_what_aws_leaves_out() {
    let big = "x".repeat(262_145);
    let fakes = Fakes::default().with("big", move |_, _| Ok(json!(big.clone())));
    let catch = json!({"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}], "End": true});
    let world = World::with_machine(fakes, json!({"A": invoke("big", catch), "B": {"Type": "Succeed"}}), "A");
    assert_eq!(world.run(json!({})).await["error"], "States.DataLimitExceeded");
}

#[tokio::test]
async fn map_keeps_order_and_its_concurrency() {
    let states = json!({"A": {
        "Type": "Map", "Items": "{% [10, 20, 30, 40, 50] %}", "MaxConcurrency": "{% $states.input.width %}",
        "ItemSelector": {"v": "{% $states.context.Map.Item.Value %}", "w": "{% $states.input.width %}"},
        "ItemProcessor": {"StartAt": "W", "States": {
            "W": {"Type": "Wait", "Seconds": 1, "Assign": {"i": "{% $states.context.Map.Item.Index %}"}, "Next": "G"},
            "G": {"Type": "Pass", "Output": "{% $states.input.v + $states.input.w + $i %}", "End": true}}},
        "Output": "{% $sum($states.result) %}", "Assign": {"all": "{% $states.result %}"}, "Next": "B"},
        "B": {"Type": "Succeed", "Output": {"sum": "{% $states.input %}", "all": "{% $all %}"}}});
    let world = World::with_machine(Fakes::default(), states, "A");
    let ended = world.run(json!({"width": 2})).await;
    assert_eq!(output(&ended), json!({"sum": 170, "all": [12, 23, 34, 45, 56]}));
    assert_eq!(world.clock.now(), start_of_time() + SignedDuration::from_secs(3));
    let types = world.event_types(ended["executionArn"].as_str().expect("an ARN")).await;
    assert_eq!(types.iter().filter(|kind| *kind == "MapIterationSucceeded").count(), 5);
    let arn = world.start("machine", "wide", json!({"width": 0})).await;
    world.finish(&arn).await;
    assert_eq!(world.clock.now(), start_of_time() + SignedDuration::from_secs(4));
}

#[tokio::test]
async fn an_empty_map_and_items_that_are_no_array() {
    let states = json!({"A": {"Type": "Map", "ItemProcessor": {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}, "End": true}});
    let world = World::with_machine(Fakes::default(), states, "A");
    assert_eq!(output(&world.run(json!([])).await), json!([]));
    let arn = world.start("machine", "bad", json!({})).await;
    assert_eq!(world.finish(&arn).await["error"], "States.QueryEvaluationError");
}

#[tokio::test]
async fn a_failing_branch_ends_its_siblings() {
    let states = json!({"A": {
        "Type": "Parallel", "Arguments": {"x": 1},
        "Branches": [
            {"StartAt": "F", "States": {"F": {"Type": "Wait", "Seconds": 1, "Next": "F2"}, "F2": {"Type": "Fail", "Error": "Oops"}}},
            {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1000, "End": true}}}],
        "Catch": [{"ErrorEquals": ["Oops"], "Next": "B"}], "Next": "C"},
        "B": {"Type": "Succeed"}, "C": {"Type": "Fail"}});
    let world = World::with_machine(Fakes::default(), states, "A");
    assert_eq!(output(&world.run(json!({})).await)["Error"], "Oops");
    assert_eq!(world.clock.now(), start_of_time() + SignedDuration::from_secs(1));
}

#[tokio::test]
async fn timeouts_of_the_whole_execution() {
    let world = World::new(Fakes::default());
    let definition = json!({"QueryLanguage": "JSONata", "TimeoutSeconds": 30, "StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 60, "End": true}}});
    world.states.put_state_machine("machine", &definition.to_string()).expect("valid");
    let ended = world.run(json!({})).await;
    assert_eq!((&ended["status"], &ended["error"]), (&json!("TIMED_OUT"), &json!("States.Timeout")));
}

#[tokio::test]
async fn an_endless_machine_stops_at_the_history_limit() {
    let states = json!({"A": {"Type": "Pass", "Next": "A"}});
    let world = World::with_machine(Fakes::default(), states, "A");
    let arn = world.start("machine", "endless", json!({})).await;
    for _ in 0..10 {
        world.settle().await;
    }
    let ended = world.finish(&arn).await;
    assert_eq!((&ended["status"], &ended["error"]), (&json!("FAILED"), &json!("States.Runtime")));
    let last =
        world.ok("GetExecutionHistory", json!({"executionArn": arn, "reverseOrder": true, "maxResults": 1})).await;
    assert_eq!((&last["events"][0]["id"], &last["events"][0]["type"]), (&json!(25_000), &json!("ExecutionFailed")));
}

#[tokio::test]
async fn a_panicking_function_is_a_failed_task() {
    let fakes = Fakes::default().with("f", |_, _| panic!("on purpose"));
    let world = World::with_machine(fakes, json!({"A": invoke("f", json!({"End": true}))}), "A");
    assert_eq!(world.run(json!({})).await["error"], "Lambda.Unknown");
}
