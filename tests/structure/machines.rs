//! The shipped state machines stay within what they may be: the subset the local interpreter runs, errors that exist,
//! nothing of any account or partition.

use std::collections::BTreeSet;

use contract::{ActionReport, ErrorName};
use serde_json::Value;

use crate::{
    machine::{Machine, State, machines},
    workspace::assert_none,
};

/// Prefixes of error names that Step Functions and Lambda make.
const ERRORS_OF_AWS: [&str; 4] = ["States.", "Lambda.", "Sandbox.", "Runtime."];

/// Integrations in use: calls to our functions and a nested machine. Another SDK would be a decision outside Rust; only
/// the machines of providers, which decide nothing, have them. Each begins with the partition that a deployment fills in.
const RESOURCES: [&str; 3] = [
    "arn:${Partition}:states:::lambda:invoke",
    "arn:${Partition}:states:::lambda:invoke.waitForTaskToken",
    "arn:${Partition}:states:::states:startExecution.sync:2",
];

/// Where the machines of providers are.
const PROVIDERS: &str = "statemachine/actions/";

/// Services that the machines of providers ask, as resources and errors name them.
const SERVICES: [(&str, &str); 3] = [("sfn", "Sfn."), ("codebuild", "CodeBuild."), ("codedeploy", "CodeDeploy.")];

/// What every call of a function must survive: another writer was faster, a service did not answer.
const ALWAYS_RETRIED: [ErrorName; 2] = [ErrorName::Contended, ErrorName::Unavailable];

#[test]
fn the_local_interpreter_accepts_them() {
    let machines = machines();
    assert_eq!(machines.len(), 2 + domain::action_machines().count(), "pipeline-execution, stage-run, and providers");
    for machine in machines {
        if let Err(error) = local_states::check_definition(&machine.in_partition("aws")) {
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
                let asked = SERVICES.iter().filter(|(service, _)| machine.text.contains(&sdk(service)));
                let of_service = asked.into_iter().any(|(_, prefix)| name.starts_with(prefix));
                if !ours && !of_service && !ERRORS_OF_AWS.iter().any(|prefix| name.starts_with(prefix)) {
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
            let resource = state.fields["Resource"].as_str().filter(|resource| !RESOURCES.contains(resource));
            if let Some(resource) = resource.filter(|_| service_of(&machine, &state).is_none()) {
                complaints.push(format!("{} {}: {resource} is not in RESOURCES", machine.file, state.name));
            }
        }
        let literal = machine.text.split('"').find(|text| {
            let digits = text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() == 12);
            let is_sdk = is_provider(&machine) && text.starts_with("arn:${Partition}:states:::aws-sdk:");
            let arn = text.starts_with("arn:") && !RESOURCES.contains(text) && !is_sdk;
            digits || arn
        });
        complaints.extend(literal.map(|text| format!("{}: {text} belongs in a substitution", machine.file)));
    }
    assert_none("literals", &complaints);
}

#[test]
fn every_provider_has_a_machine_and_every_machine_a_provider() {
    let machines = machines();
    let name = |machine: &Machine| Some(machine.file.strip_prefix(PROVIDERS)?.strip_suffix(".asl.json")?.to_owned());
    let files: BTreeSet<String> = machines.iter().filter_map(name).collect();
    let known: BTreeSet<String> = domain::action_machines().map(str::to_owned).collect();
    assert_eq!(files, known, "files of {PROVIDERS} and action types that are run as Machine");
}

#[test]
fn providers_work_with_the_role_of_the_pipeline_and_always_report() {
    let mut complaints = Vec::new();
    for machine in machines().iter().filter(|machine| is_provider(machine)) {
        let mut complain = |state: &str, what: &str| complaints.push(format!("{} {state}: {what}", machine.file));
        for state in machine.states() {
            let fields = state.fields;
            if fields["Type"] == "Fail" {
                complain(state.name, "a failed action is a report, not the failure of the machine");
            }
            if service_of(machine, &state).is_none() {
                continue;
            }
            if fields["Credentials"]["RoleArn"] != "{% $states.context.Execution.Input.roleArn %}" {
                complain(state.name, "Credentials must name roleArn of the input");
            }
            if !errors_of(&fields["Catch"]).contains(&"States.ALL") {
                complain(state.name, "States.ALL must be caught and reported");
            }
            if errors_of(&fields["Retry"]).is_empty() {
                complain(state.name, "throttling must be retried");
            }
        }
        if !machine.text.contains("Input.operation = 'Stop'") {
            complain("", "must route the operation Stop");
        }
        for report in reports(machine) {
            if let Err(error) = serde_json::from_value::<ActionReport>(report.clone()) {
                complain("", &format!("{report} is no report: {error}"));
            }
        }
    }
    assert_none("providers", &complaints);
}

fn is_provider(machine: &Machine) -> bool {
    machine.file.starts_with(PROVIDERS)
}

fn sdk(service: &str) -> String {
    format!("arn:${{Partition}}:states:::aws-sdk:{service}:")
}

/// The service that a state of a provider's machine asks.
fn service_of(machine: &Machine, state: &State<'_>) -> Option<&'static str> {
    let resource = state.fields["Resource"].as_str().filter(|_| is_provider(machine))?;
    SERVICES.iter().map(|(service, _)| *service).find(|service| resource.starts_with(&sdk(service)))
}

/// Every report that is written out, its expressions as text and its variables left out.
fn reports(machine: &Machine) -> Vec<Value> {
    fn collect(value: &Value, found: &mut Vec<Value>) {
        match value {
            Value::Object(members) => {
                if let Some(report) = members.get("report").filter(|report| report.is_object()) {
                    let mut report = report.clone();
                    report["outputVariables"] = Value::Null;
                    found.push(report);
                }
                members.values().for_each(|member| collect(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&serde_json::from_str(&machine.text).expect("machines are JSON"), &mut found);
    found
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
