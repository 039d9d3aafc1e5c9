//! The shipped state machines stay within what they may be: the subset the local interpreter runs, errors that exist,
//! nothing of any account.

use contract::ErrorName;
use serde_json::Value;

use crate::{
    machine::{State, machines},
    workspace::assert_none,
};

/// Prefixes of error names that Step Functions and Lambda make.
const ERRORS_OF_AWS: [&str; 4] = ["States.", "Lambda.", "Sandbox.", "Runtime."];

/// Integrations in use: calls to our functions and a nested machine. Another SDK would be a decision outside Rust.
const RESOURCES: [&str; 3] = [
    "arn:aws:states:::lambda:invoke",
    "arn:aws:states:::lambda:invoke.waitForTaskToken",
    "arn:aws:states:::states:startExecution.sync:2",
];

/// What every call of a function must survive: another writer was faster, a service did not answer.
const ALWAYS_RETRIED: [ErrorName; 2] = [ErrorName::Contended, ErrorName::Unavailable];

#[test]
fn the_local_interpreter_accepts_them() {
    let machines = machines();
    assert_eq!(machines.len(), 2, "pipeline-execution and stage-run");
    for machine in machines {
        if let Err(error) = local_states::check_definition(&machine.text) {
            panic!("{}: {error}", machine.file);
        }
    }
}

#[test]
fn errors_matched_are_errors_made() {
    let mut complaints = Vec::new();
    for machine in machines() {
        for state in machine.states() {
            for name in handled_errors(&state) {
                let ours = ErrorName::ALL.iter().any(|known| known.as_str() == name);
                if !ours && !ERRORS_OF_AWS.iter().any(|prefix| name.starts_with(prefix)) {
                    complaints.push(format!("{} {}: no function ends with {name}", machine.file, state.name));
                }
            }
        }
    }
    assert_none("error names", &complaints);
}

#[test]
fn every_call_is_retried_where_retrying_helps() {
    let mut complaints = Vec::new();
    for machine in machines() {
        for state in machine.states().iter().filter(|state| state.function().is_some()) {
            let retried = errors_of(&state.fields["Retry"]);
            for name in ALWAYS_RETRIED {
                if !retried.iter().any(|error| *error == name.as_str() || *error == "States.ALL") {
                    complaints.push(format!("{} {}: retry {name}", machine.file, state.name));
                }
            }
        }
    }
    assert_none("calls without retry", &complaints);
}

#[test]
fn nothing_of_an_account_or_another_sdk_is_inside() {
    let mut complaints = Vec::new();
    for machine in machines() {
        for state in machine.states() {
            if let Some(resource) = state.fields["Resource"].as_str().filter(|resource| !RESOURCES.contains(resource)) {
                complaints.push(format!("{} {}: {resource} is not in RESOURCES", machine.file, state.name));
            }
        }
        let literal = machine.text.split('"').find(|text| {
            let digits = text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() == 12);
            let arn = text.starts_with("arn:") && !RESOURCES.contains(text);
            digits || arn
        });
        complaints.extend(literal.map(|text| format!("{}: {text} belongs in a substitution", machine.file)));
    }
    assert_none("literals", &complaints);
}

fn handled_errors<'a>(state: &State<'a>) -> Vec<&'a str> {
    let mut names = errors_of(&state.fields["Retry"]);
    names.extend(errors_of(&state.fields["Catch"]));
    names
}

fn errors_of(handlers: &Value) -> Vec<&str> {
    let lists = handlers.as_array().into_iter().flatten().filter_map(|handler| handler["ErrorEquals"].as_array());
    lists.flatten().filter_map(Value::as_str).collect()
}
