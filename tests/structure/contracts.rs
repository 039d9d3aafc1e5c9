//! What the state machines send is what `contract` reads, and what it answers is routed, variant by variant.

use std::collections::{BTreeMap, BTreeSet};

use contract::{
    ActionInput, ConditionInput, ConditionKind, ConditionOutput, FailureInput, FailureOutput, GateInput, GateOutput,
};
use domain::{ExecutionStatus, StageResult};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    machine::{State, machines},
    workspace::assert_none,
};

/// Reads a payload as its contract type and writes it again: members it has, or why it cannot be read.
type Reader = fn(Value) -> Result<BTreeSet<String>, serde_json::Error>;

/// Which type each function takes, by the name its ARN is substituted under.
const INPUTS: [(&str, Reader); 5] = [
    ("StageGateFunctionArn", members::<GateInput>),
    ("RunActionFunctionArn", members::<ActionInput>),
    ("ApiFunctionArn", members::<api::ApiEvent>),
    ("EvaluateConditionFunctionArn", members::<ConditionInput>),
    ("EvaluateRollbackFunctionArn", members::<FailureInput>),
];

/// A value that each member could have, for expressions whose value only a run knows.
fn sample(member: &str) -> Option<Value> {
    Some(match member {
        "pipeline" => json!("web"),
        "executionId" => json!("01998a3f-7f4e-7c1d-9b1a-3f2f6a0c9d11"),
        "token" => json!("token"),
        "machine" => json!("01998a3f-7f4e-7c1d-9b1a-3f2f6a0c9d11-1"),
        "finished" => json!({"stage": "Deploy", "generation": 1, "status": StageResult::Succeeded}),
        "stage" => json!("Deploy"),
        "generation" | "attempt" => json!(1),
        "action" => json!("Upload"),
        "condition" => json!(ConditionKind::OnSuccess),
        "file" => json!({"artifact": "App", "path": "input.json"}),
        "rule" => json!("01998a3f-7f4e-7c1d-9b1a-3f2f6a0c9d12"),
        "evaluated" => json!(false),
        "report" => json!({"status": "InProgress"}),
        "body" => json!("{}"),
        "since" => json!(1_796_083_200),
        "actionExecutionId" => json!("3f0d7c1e-0d0a-5f1e-8a1b-000000000001"),
        _ => return None,
    })
}

/// How a Choice routes the answer of the function before it: these by name, the others by `Default`.
struct Routing {
    state: &'static str,
    answers: fn() -> Vec<String>,
    named: &'static [&'static str],
    by_default: &'static [&'static str],
}

const ROUTINGS: [Routing; 3] = [
    Routing { state: "RouteExecution", answers: gate_answers, named: &["RunStage"], by_default: &["End"] },
    Routing {
        state: "RouteCondition",
        answers: condition_answers,
        named: &["Fail", "Skip", "Wait"],
        by_default: &["Proceed"],
    },
    Routing { state: "RouteFailure", answers: failure_answers, named: &["Evaluate", "Retry"], by_default: &["End"] },
];

fn gate_answers() -> Vec<String> {
    let end = GateOutput::End { status: ExecutionStatus::Succeeded };
    let run = GateOutput::RunStage {
        stage: "Deploy".parse().expect("a valid name"),
        generation: serde_json::from_value(json!(1)).expect("a generation is a number"),
        attempt: 1,
        groups: Vec::new(),
        actions_at_once: 5,
        entry_condition: false,
        success_condition: false,
    };
    // Fails to compile when a variant is added: add it above, and to ROUTINGS.
    match end {
        GateOutput::End { .. } | GateOutput::RunStage { .. } => tags(&[end, run]),
    }
}

fn condition_answers() -> Vec<String> {
    use domain::ConditionAnswer::{Fail, Proceed, Skip, Wait};
    let all: [ConditionOutput; 4] = [Proceed, Skip, Fail, Wait { seconds: 1, since: 1 }];
    match all[0] {
        Proceed | Skip | Fail | Wait { .. } => tags(&all),
    }
}

fn failure_answers() -> Vec<String> {
    let retry = FailureOutput::Retry { attempt: 2, groups: Vec::new(), entry_condition: true };
    let all = [FailureOutput::End, FailureOutput::Evaluate, retry];
    match all[0] {
        FailureOutput::End | FailureOutput::Evaluate | FailureOutput::Retry { .. } => tags(&all),
    }
}

#[test]
fn payloads_are_what_the_functions_read() {
    let mut complaints = Vec::new();
    let mut sent: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for machine in machines() {
        for state in machine.states() {
            let Some(function) = state.function() else {
                continue;
            };
            let Some((name, reader)) = INPUTS.iter().find(|(name, _)| *name == function) else {
                complaints.push(format!("{}: say in INPUTS what {function} reads", state.name));
                continue;
            };
            let payload = payload_of(&state);
            let keys: BTreeSet<String> = payload.keys().cloned().collect();
            match reader(Value::Object(payload)) {
                Ok(known) => {
                    let unknown = keys.difference(&known);
                    complaints
                        .extend(unknown.map(|key| format!("{} sends {key}, which {name} does not read", state.name)));
                }
                Err(error) => complaints.push(format!("{}: {error}", state.name)),
            }
            sent.entry(name).or_default().extend(keys);
        }
    }
    for (name, reader) in INPUTS {
        let keys = sent.remove(name).unwrap_or_default();
        let full = keys.iter().filter_map(|key| Some((key.clone(), sent_value(name, key)?))).collect();
        let known = reader(Value::Object(full)).unwrap_or_default();
        complaints.extend(known.difference(&keys).map(|key| format!("no state sends {key} to {name}")));
    }
    assert_none("payloads", &complaints);
}

#[test]
fn every_answer_has_a_way_to_go() {
    let machines = machines();
    let states: Vec<State<'_>> = machines.iter().flat_map(|machine| machine.states()).collect();
    for routing in ROUTINGS {
        let state = states.iter().find(|state| state.name == routing.state);
        let state = state.unwrap_or_else(|| panic!("there is no state {}", routing.state));
        assert!(state.fields["Default"].is_string(), "{} needs a Default", routing.state);
        let mut named = compared_with(state, "$states.input.next");
        named.sort();
        assert_eq!(named, routing.named, "{}: update ROUTINGS with what is routed by name", routing.state);
        let mut routed: Vec<&str> = routing.named.iter().chain(routing.by_default).copied().collect();
        routed.sort_unstable();
        assert_eq!(
            (routing.answers)(),
            routed,
            "{}: an answer without a way, or a way without an answer",
            routing.state
        );
    }
}

#[test]
fn every_choice_on_an_answer_is_checked() {
    for machine in machines() {
        for state in machine.states().iter().filter(|state| state.fields["Type"] == "Choice") {
            let on_answer = !compared_with(state, "$states.input.next").is_empty();
            let listed = ROUTINGS.iter().any(|routing| routing.state == state.name);
            assert!(!on_answer || listed, "{} {} routes an answer: add it to ROUTINGS", machine.file, state.name);
        }
    }
}

#[test]
fn words_in_expressions_are_words_of_the_contract() {
    let machines = machines();
    let states: Vec<State<'_>> = machines.iter().flat_map(|machine| machine.states()).collect();
    for state in &states {
        let assigned = state.fields.pointer("/Assign/condition").and_then(Value::as_str).map(str::to_owned);
        for word in compared_with(state, "$condition").into_iter().chain(assigned) {
            assert!(serde_json::from_value::<ConditionKind>(json!(word)).is_ok(), "{}: {word}", state.name);
        }
        // How a stage run ends, in the machine that runs it and where it is caught.
        let ends = [state.fields.pointer("/Output/status"), state.fields.pointer("/Catch/0/Output/finished/status")];
        for word in ends.into_iter().flatten().filter(|word| !is_expression(word)) {
            assert!(serde_json::from_value::<StageResult>(word.clone()).is_ok(), "{}: {word}", state.name);
        }
    }
}

/// The payload a task sends: literals as they are, expressions as a value they could have.
fn payload_of(state: &State<'_>) -> Map<String, Value> {
    let payload = state.fields.pointer("/Arguments/Payload").and_then(Value::as_object);
    let payload = payload.unwrap_or_else(|| panic!("{}: a payload is an object", state.name));
    let value = |key: &str, value: &Value| {
        if is_expression(value) {
            sample(key).unwrap_or_else(|| panic!("{key}: add it to sample()"))
        } else {
            inside(value)
        }
    };
    payload.iter().map(|(key, given)| (key.clone(), value(key, given))).collect()
}

/// A literal, with the expressions inside it as a value they could have, where more than text is one.
fn inside(literal: &Value) -> Value {
    let Some(members) = literal.as_object() else { return literal.clone() };
    let value =
        |key: &str, value: &Value| sample(key).filter(|_| is_expression(value)).unwrap_or_else(|| inside(value));
    members.iter().map(|(key, given)| (key.clone(), value(key, given))).collect()
}

fn sent_value(function: &str, key: &str) -> Option<Value> {
    if (function, key) == ("RunActionFunctionArn", "operation") { Some(json!("Run")) } else { sample(key) }
}

fn is_expression(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with("{%"))
}

/// String literals that a Choice compares `operand` with.
fn compared_with(state: &State<'_>, operand: &str) -> Vec<String> {
    let choices = state.fields["Choices"].as_array().into_iter().flatten();
    let conditions = choices.filter_map(|choice| choice["Condition"].as_str());
    let pattern = format!("{{% {operand} = '");
    conditions.filter_map(|condition| Some(condition.strip_prefix(&pattern)?.split('\'').next()?.to_owned())).collect()
}

fn members<T: Serialize + DeserializeOwned>(payload: Value) -> Result<BTreeSet<String>, serde_json::Error> {
    let read: T = serde_json::from_value(payload)?;
    let written = serde_json::to_value(read)?;
    Ok(written.as_object().into_iter().flat_map(|members| members.keys().cloned()).collect())
}

fn tags<T: Serialize>(answers: &[T]) -> Vec<String> {
    let mut tags: Vec<String> =
        answers.iter().map(|answer| json!(answer)["next"].as_str().unwrap_or_default().to_owned()).collect();
    tags.sort();
    tags
}
