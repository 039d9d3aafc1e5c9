//! A condition that cannot be evaluated, whatever is tried: the shipped state machine says which one it was, since that
//! decides whether anything was deployed, and what may follow.

use engine::ports::{Machine, Machines};
use local_states::{Call, FunctionError, States};
use serde_json::{Value, json};

use crate::expiry::{only, stage_run};

fn publish() -> Value {
    json!([[{ "name": "Publish", "timeoutSeconds": 600, "heartbeatSeconds": 599 }]])
}

/// A stage with these conditions, whose one action is left to run unless `is_done`.
async fn begin(entry: bool, success: bool, is_done: bool) -> States {
    let (states, machine, _) = stage_run();
    let input = json!({
        "pipeline": "shop", "executionId": "01935c2a-4f00-7000-8000-000000000003", "stage": "Deploy", "generation": 1,
        "attempt": 1, "groups": if is_done { json!([]) } else { publish() }, "entryCondition": entry,
        "successCondition": success,
    });
    states.driving(&machine).start(Machine::PipelineExecution, "run", &input).await.expect("it starts");
    states
}

/// The next call, which is for `function`, and about `condition` where that takes one.
fn asks(states: &States, function: &str, condition: &Value) -> Call {
    let call = only(states);
    assert_eq!((call.function.as_str(), &call.payload["condition"]), (function, condition), "{call:?}");
    call
}

fn answers(states: &States, call: &Call, answer: Value) {
    states.returned(call, Ok(answer)).expect("the store works");
}

/// A person has to look, so nothing is tried again.
fn breaks(states: &States, call: &Call) {
    let error = FunctionError { error: "Broken".to_owned(), cause: "the definition is gone".to_owned() };
    states.returned(call, Err(error)).expect("the store works");
}

fn waits() -> Value {
    json!({ "next": "Wait", "seconds": 60, "since": 1_796_083_200 })
}

#[tokio::test]
async fn a_gate_that_cannot_be_evaluated_fails_the_stage_as_a_gate() {
    for (condition, entry, success) in [("BeforeEntry", true, false), ("OnSuccess", false, true)] {
        let condition = json!(condition);
        for has_to_wait in [false, true] {
            let states = begin(entry, success, success).await;
            let mut asked = asks(&states, "EvaluateCondition", &condition);
            if has_to_wait {
                answers(&states, &asked, waits());
                asked = asks(&states, "EvaluateCondition", &condition);
                assert!(asked.payload["token"].is_string(), "{asked:?}");
            }
            breaks(&states, &asked);
            let settled = asks(&states, "EvaluateRollback", &condition);
            assert_eq!(settled.payload["evaluated"], json!(false));
            answers(&states, &settled, json!({ "next": "End" }));
            assert!(states.take_calls().is_empty(), "no action is begun");
            assert!(states.running().expect("the store works").is_empty());
        }
    }
}

/// Nobody can run the action, so it has failed.
fn action_fails(states: &States) {
    breaks(states, &asks(states, "RunAction", &Value::Null));
    answers(states, &asks(states, "RunAction", &Value::Null), json!({ "status": "Failed" }));
}

#[tokio::test]
async fn a_retry_asks_the_entry_condition_once_more_where_it_is_told_to() {
    for (told, is_asked) in [(json!(true), true), (json!(false), false), (Value::Null, false)] {
        let states = begin(true, false, false).await;
        let proceed = json!({ "next": "Proceed" });
        answers(&states, &asks(&states, "EvaluateCondition", &json!("BeforeEntry")), proceed.clone());
        action_fails(&states);
        let mut retry = json!({ "next": "Retry", "attempt": 2, "groups": publish(), "entryCondition": told });
        if told.is_null() {
            // As functions of an earlier version answer.
            retry.as_object_mut().expect("an object").remove("entryCondition");
        }
        answers(&states, &asks(&states, "EvaluateRollback", &Value::Null), retry);
        if is_asked {
            let asked = asks(&states, "EvaluateCondition", &json!("BeforeEntry"));
            assert_eq!((&asked.payload["attempt"], &asked.payload["since"]), (&json!(2), &Value::Null));
            answers(&states, &asked, proceed);
        }
        let action = asks(&states, "RunAction", &Value::Null);
        assert_eq!((&action.payload["operation"], &action.payload["attempt"]), (&json!("Run"), &json!(2)));
    }
}

#[tokio::test]
async fn a_failure_condition_that_cannot_be_evaluated_leaves_the_failure_as_it_was() {
    for has_to_wait in [false, true] {
        for failed in [json!("OnSuccess"), Value::Null] {
            let states = begin(false, true, !failed.is_null()).await;
            if failed.is_null() {
                action_fails(&states);
            } else {
                answers(&states, &asks(&states, "EvaluateCondition", &failed), json!({ "next": "Fail" }));
            }
            answers(&states, &asks(&states, "EvaluateRollback", &failed), json!({ "next": "Evaluate" }));
            let mut asked = asks(&states, "EvaluateCondition", &json!("OnFailure"));
            if has_to_wait {
                answers(&states, &asked, waits());
                asked = asks(&states, "EvaluateCondition", &json!("OnFailure"));
            }
            breaks(&states, &asked);
            let settled = asks(&states, "EvaluateRollback", &failed);
            assert_eq!(settled.payload["evaluated"], json!(true));
        }
    }
}
