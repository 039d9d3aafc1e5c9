//! A state machine definition: the ASL subset as types, and the check that refuses everything else.

mod fields;
mod parse;
mod reader;
mod scopes;
#[cfg(test)]
mod tests;

pub(crate) use parse::SECONDS_MAX;

use std::collections::HashMap;

use serde_json::Value;

use crate::expression::{Expr, Template};

/// Longest definition in bytes, an AWS quota.
const DEFINITION_BYTES_MAX: usize = 1_048_576;

/// A definition that is not valid, or lies outside the subset this interpreter runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at {path}")]
pub struct DefinitionError {
    /// JSON path of the offence, such as `$.States.Deploy.ResultPath`.
    pub path: String,
    /// What is wrong there and what would be right.
    pub message: String,
}

impl DefinitionError {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// Checks that `definition` is JSONata ASL inside the subset that this interpreter runs, without storing it.
///
/// # Errors
/// The first offence found, with its JSON path.
pub fn check_definition(definition: &str) -> Result<(), DefinitionError> {
    Machine::parse(definition).map(|_| ())
}

/// A checked state machine. State names are unique across all scopes, so one map holds them all.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) start_at: String,
    pub(crate) timeout_s: Option<u64>,
    pub(crate) states: HashMap<String, State>,
}

/// One state.
#[derive(Debug)]
pub(crate) enum State {
    Task(Box<Task>),
    Choice(Choice),
    Wait(Wait),
    Pass(Exit),
    Succeed { output: Option<Template> },
    Fail { error: Option<Template>, cause: Option<Template> },
    Parallel(Parallel),
    Map(Map),
}

/// What happens when a state is left.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) assign: Option<Template>,
    pub(crate) output: Option<Template>,
    pub(crate) next: Next,
}

/// Where control goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    State(String),
    End,
}

/// What a Task calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resource {
    Invoke,
    InvokeWaitForTaskToken,
    StartExecution,
    StartExecutionSync2,
    /// An operation of a service, as the SDK integrations name both: `codebuild`, `startBuild`.
    Service {
        service: String,
        operation: String,
    },
}

#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) resource: Resource,
    pub(crate) arguments: Option<Template>,
    pub(crate) timeout_s: Option<Template>,
    pub(crate) heartbeat_s: Option<Template>,
    /// The role to do the work with.
    pub(crate) role: Option<Template>,
    pub(crate) recovery: Recovery,
    pub(crate) exit: Exit,
}

/// `otherwise` is absent when there is no Default; a state without a matching rule then fails.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) rules: Vec<(Expr, Exit)>,
    pub(crate) otherwise: Option<Exit>,
}

#[derive(Debug)]
pub(crate) struct Wait {
    pub(crate) until: Until,
    pub(crate) exit: Exit,
}

#[derive(Debug)]
pub(crate) enum Until {
    Seconds(Template),
    Timestamp(Template),
}

#[derive(Debug)]
pub(crate) struct Parallel {
    pub(crate) arguments: Option<Template>,
    /// StartAt of each branch.
    pub(crate) branches: Vec<String>,
    pub(crate) recovery: Recovery,
    pub(crate) exit: Exit,
}

#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) items: Option<Template>,
    pub(crate) selector: Option<Template>,
    pub(crate) concurrency: Option<Template>,
    /// StartAt of the item processor.
    pub(crate) start_at: String,
    pub(crate) recovery: Recovery,
    pub(crate) exit: Exit,
}

/// Retry and Catch of one state.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    pub(crate) retry: Vec<Retrier>,
    pub(crate) catch: Vec<Catcher>,
}

#[derive(Debug)]
pub(crate) struct Retrier {
    pub(crate) errors: Vec<String>,
    pub(crate) interval_s: u64,
    pub(crate) attempts_max: u32,
    pub(crate) backoff_rate: f64,
    pub(crate) delay_s_max: Option<u64>,
    pub(crate) full_jitter: bool,
}

#[derive(Debug)]
pub(crate) struct Catcher {
    pub(crate) errors: Vec<String>,
    pub(crate) exit: Exit,
}

impl Machine {
    /// Parses and checks a definition.
    pub(crate) fn parse(definition: &str) -> Result<Self, DefinitionError> {
        if definition.len() > DEFINITION_BYTES_MAX {
            return Err(DefinitionError::new("$", "the definition is longer than 1 MiB"));
        }
        let value: Value = serde_json::from_str(definition)
            .map_err(|error| DefinitionError::new("$", format!("the definition is not JSON: {error}")))?;
        let machine = parse::machine(&value)?;
        scopes::check(&value, &machine)?;
        Ok(machine)
    }
}

impl Exit {
    /// The targets this exit names.
    pub(crate) fn target(&self) -> Option<&str> {
        match &self.next {
            Next::State(name) => Some(name),
            Next::End => None,
        }
    }
}

impl State {
    /// Retry and Catch, for the types that may have them.
    pub(crate) fn recovery(&self) -> Option<&Recovery> {
        match self {
            Self::Task(task) => Some(&task.recovery),
            Self::Parallel(parallel) => Some(&parallel.recovery),
            Self::Map(map) => Some(&map.recovery),
            Self::Choice(_) | Self::Wait(_) | Self::Pass(_) | Self::Succeed { .. } | Self::Fail { .. } => None,
        }
    }

    /// The type's name as it stands in ASL and in history event types.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Task(_) => "Task",
            Self::Choice(_) => "Choice",
            Self::Wait(_) => "Wait",
            Self::Pass(_) => "Pass",
            Self::Succeed { .. } => "Succeed",
            Self::Fail { .. } => "Fail",
            Self::Parallel(_) => "Parallel",
            Self::Map(_) => "Map",
        }
    }

    /// Every way out of this state inside its scope.
    pub(crate) fn exits(&self) -> Vec<&Exit> {
        let mut exits: Vec<&Exit> = match self {
            Self::Task(task) => vec![&task.exit],
            Self::Choice(choice) => choice.rules.iter().map(|(_, exit)| exit).chain(&choice.otherwise).collect(),
            Self::Wait(wait) => vec![&wait.exit],
            Self::Pass(exit) => vec![exit],
            Self::Parallel(parallel) => vec![&parallel.exit],
            Self::Map(map) => vec![&map.exit],
            Self::Succeed { .. } | Self::Fail { .. } => Vec::new(),
        };
        exits.extend(self.recovery().into_iter().flat_map(|recovery| &recovery.catch).map(|catcher| &catcher.exit));
        exits
    }
}
