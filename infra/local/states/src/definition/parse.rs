//! Reads each state type; whatever is not read here is not in the subset.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    Choice, Exit, Machine, Map, Next, Parallel, Resource, State, Task, Until, Wait,
    fields::{ANY, EXIT, RECOVERY, assign, exit, recovery},
    reader::{Node, Read},
};
use crate::expression::Template;

/// Longest time in seconds a timeout or Wait may name, an ASL limit.
pub(crate) const SECONDS_MAX: u64 = 99_999_999;
/// Longest state name, an ASL limit.
const STATE_NAME_CHARS_MAX: usize = 80;

type States = HashMap<String, State>;

/// Reads the whole definition.
pub(super) fn machine(value: &Value) -> Read<Machine> {
    let node = Node::new(value, "$")?;
    node.only(&[&["Comment", "StartAt", "States", "TimeoutSeconds", "Version", "QueryLanguage"]])?;
    if node.text("QueryLanguage")? != Some("JSONata") {
        return Err(node.error_at("QueryLanguage", "QueryLanguage must be JSONata"));
    }
    if node.text("Version")?.is_some_and(|version| version != "1.0") {
        return Err(node.error_at("Version", "Version must be 1.0"));
    }
    let mut states = States::new();
    let start_at = scope(&node, &mut states)?;
    Ok(Machine { start_at, timeout_s: node.number("TimeoutSeconds", 1, SECONDS_MAX)?, states })
}

/// Reads StartAt and States of a machine, branch or item processor into the one map.
fn scope(node: &Node<'_>, states: &mut States) -> Read<String> {
    let start_at = node.required_text("StartAt")?;
    let members = node.object("States")?;
    if members.get(start_at).is_none() {
        return Err(node.error_at("StartAt", format!("there is no state {start_at} in States")));
    }
    for (name, value) in members.entries() {
        if name.is_empty() || name.chars().count() > STATE_NAME_CHARS_MAX {
            return Err(members.error_at(name, "a state's name has 1 to 80 characters"));
        }
        let read = state(&Node::new(value, members.at(name))?, states)?;
        if let Some(lost) =
            read.exits().into_iter().filter_map(Exit::target).find(|target| members.get(target).is_none())
        {
            return Err(members.error_at(name, format!("there is no state {lost} in the same States")));
        }
        if states.insert(name.clone(), read).is_some() {
            return Err(members.error_at(name, "state names must be unique in the whole definition"));
        }
    }
    Ok(start_at.to_owned())
}

fn state(node: &Node<'_>, states: &mut States) -> Read<State> {
    if node.text("QueryLanguage")?.is_some_and(|language| language != "JSONata") {
        return Err(node.error_at("QueryLanguage", "QueryLanguage must be JSONata"));
    }
    match node.required_text("Type")? {
        "Task" => task(node),
        "Choice" => choice(node),
        "Wait" => wait(node),
        "Pass" => node.only(&[ANY, EXIT]).and_then(|()| Ok(State::Pass(exit(node)?))),
        "Succeed" => {
            node.only(&[ANY, &["Output"]]).and_then(|()| Ok(State::Succeed { output: node.template("Output")? }))
        }
        "Fail" => fail(node),
        "Parallel" => parallel(node, states),
        "Map" => map(node, states),
        _ => Err(node.error_at("Type", "expected Task, Choice, Wait, Pass, Succeed, Fail, Parallel or Map")),
    }
}

fn task(node: &Node<'_>) -> Read<State> {
    node.only(&[ANY, EXIT, RECOVERY, &["Resource", "Arguments", "TimeoutSeconds", "HeartbeatSeconds", "Credentials"]])?;
    let (resource, required, optional): (_, &[&str], &[&str]) = match node.required_text("Resource")? {
        "arn:aws:states:::lambda:invoke" => (Resource::Invoke, &["FunctionName"], &["Payload", "InvocationType"]),
        "arn:aws:states:::lambda:invoke.waitForTaskToken" => {
            (Resource::InvokeWaitForTaskToken, &["FunctionName"], &["Payload", "InvocationType"])
        }
        "arn:aws:states:::states:startExecution" => {
            (Resource::StartExecution, &["StateMachineArn"], &["Name", "Input"])
        }
        "arn:aws:states:::states:startExecution.sync:2" => {
            (Resource::StartExecutionSync2, &["StateMachineArn"], &["Name", "Input"])
        }
        other => match service(other) {
            // Their members are the service's to check.
            Some(resource) => return task_of(node, resource),
            None => return Err(node.error_at("Resource", format!("{other} is not supported"))),
        },
    };
    arguments(node, required, optional)?;
    task_of(node, resource)
}

/// The operation that `arn:aws:states:::aws-sdk:codebuild:startBuild` names. Patterns after it, such as
/// `.waitForTaskToken`, are not supported.
fn service(resource: &str) -> Option<Resource> {
    let (service, operation) = resource.strip_prefix("arn:aws:states:::aws-sdk:")?.split_once(':')?;
    let is_service = !service.is_empty() && service.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let is_operation =
        operation.starts_with(|c: char| c.is_ascii_lowercase()) && operation.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_service && is_operation)
        .then(|| Resource::Service { service: service.to_owned(), operation: operation.to_owned() })
}

fn task_of(node: &Node<'_>, resource: Resource) -> Read<State> {
    let seconds = |key| node.template_of(key, "a whole number from 1 to 99999999", |value| in_seconds(value, 1));
    let (timeout_s, heartbeat_s) = (seconds("TimeoutSeconds")?, seconds("HeartbeatSeconds")?);
    if constant(&timeout_s).zip(constant(&heartbeat_s)).is_some_and(|(timeout_s, every_s)| every_s >= timeout_s) {
        return Err(node.error_at("HeartbeatSeconds", "HeartbeatSeconds must be smaller than TimeoutSeconds"));
    }
    Ok(State::Task(Box::new(Task {
        resource,
        arguments: node.template("Arguments")?,
        timeout_s,
        heartbeat_s,
        role: credentials(node)?,
        recovery: recovery(node)?,
        exit: exit(node)?,
    })))
}

/// The number that is known before anything runs.
fn constant(template: &Option<Template>) -> Option<u64> {
    match template {
        Some(Template::Literal(value)) => value.as_u64(),
        _ => None,
    }
}

/// `Credentials`, which name a role.
fn credentials(node: &Node<'_>) -> Read<Option<Template>> {
    if node.get("Credentials").is_none() {
        return Ok(None);
    }
    let members = node.object("Credentials")?;
    members.only(&[&["RoleArn"]])?;
    members.required("RoleArn")?;
    members.template_of("RoleArn", "the ARN of a role", Value::is_string)
}

/// Arguments written as an object name only members the integration knows; one expression may give anything.
fn arguments(node: &Node<'_>, required: &[&str], optional: &[&str]) -> Read<()> {
    if node.get("Arguments").is_none_or(|value| !value.is_object()) {
        return node.template_of("Arguments", "an object", Value::is_object).map(|_| ());
    }
    let members = node.object("Arguments")?;
    members.only(&[required, optional])?;
    required.iter().try_for_each(|key| members.required(key).map(|_| ()))
}

fn choice(node: &Node<'_>) -> Read<State> {
    node.only(&[ANY, &["Choices", "Default", "Assign", "Output"]])?;
    node.required("Choices")?;
    let rules = node.list("Choices")?.iter().enumerate().map(|(i, value)| {
        let rule = Node::new(value, format!("{}[{i}]", node.at("Choices")))?;
        rule.only(&[&["Condition", "Next", "Assign", "Output", "Comment"]])?;
        Ok((rule.expression("Condition")?, exit(&rule)?))
    });
    let rules = rules.collect::<Read<Vec<_>>>()?;
    if rules.is_empty() {
        return Err(node.error_at("Choices", "at least one choice is required"));
    }
    let (assign, output) = (assign(node)?, node.template("Output")?);
    let otherwise = node.text("Default")?.map(|name| Exit { assign, output, next: Next::State(name.to_owned()) });
    Ok(State::Choice(Choice { rules, otherwise }))
}

fn wait(node: &Node<'_>) -> Read<State> {
    node.only(&[ANY, EXIT, &["Seconds", "Timestamp"]])?;
    let seconds = node.template_of("Seconds", "a whole number from 0 to 99999999", |value| in_seconds(value, 0))?;
    let instant = |value: &Value| value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok());
    let timestamp = node.template_of("Timestamp", "an RFC 3339 timestamp", instant)?;
    let until = match (seconds, timestamp) {
        (Some(seconds), None) => Until::Seconds(seconds),
        (None, Some(timestamp)) => Until::Timestamp(timestamp),
        _ => return Err(node.error("exactly one of Seconds and Timestamp is required")),
    };
    Ok(State::Wait(Wait { until, exit: exit(node)? }))
}

fn fail(node: &Node<'_>) -> Read<State> {
    node.only(&[ANY, &["Error", "Cause"]])?;
    Ok(State::Fail {
        error: node.template_of("Error", "a string", Value::is_string)?,
        cause: node.template_of("Cause", "a string", Value::is_string)?,
    })
}

fn parallel(node: &Node<'_>, states: &mut States) -> Read<State> {
    node.only(&[ANY, EXIT, RECOVERY, &["Branches", "Arguments"]])?;
    node.required("Branches")?;
    let branches = node.list("Branches")?.iter().enumerate().map(|(i, value)| {
        let branch = Node::new(value, format!("{}[{i}]", node.at("Branches")))?;
        branch.only(&[&["StartAt", "States", "Comment"]])?;
        scope(&branch, states)
    });
    let branches = branches.collect::<Read<Vec<_>>>()?;
    if branches.is_empty() {
        return Err(node.error_at("Branches", "at least one branch is required"));
    }
    Ok(State::Parallel(Parallel {
        arguments: node.template("Arguments")?,
        branches,
        recovery: recovery(node)?,
        exit: exit(node)?,
    }))
}

fn map(node: &Node<'_>, states: &mut States) -> Read<State> {
    node.only(&[ANY, EXIT, RECOVERY, &["Items", "ItemSelector", "ItemProcessor", "MaxConcurrency"]])?;
    let processor = node.object("ItemProcessor")?;
    processor.only(&[&["ProcessorConfig", "StartAt", "States", "Comment"]])?;
    if processor.get("ProcessorConfig").is_some() {
        let config = processor.object("ProcessorConfig")?;
        config.only(&[&["Mode"]])?;
        if config.text("Mode")?.is_some_and(|mode| mode != "INLINE") {
            return Err(config.error_at("Mode", "only INLINE is supported"));
        }
    }
    Ok(State::Map(Map {
        items: node.template_of("Items", "an array", Value::is_array)?,
        selector: node.template("ItemSelector")?,
        concurrency: node.template_of("MaxConcurrency", "a whole number", |value| in_seconds(value, 0))?,
        start_at: scope(&processor, states)?,
        recovery: recovery(node)?,
        exit: exit(node)?,
    }))
}

fn in_seconds(value: &Value, min: u64) -> bool {
    value.as_u64().is_some_and(|n| (min..=SECONDS_MAX).contains(&n))
}
