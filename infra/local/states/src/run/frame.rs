//! The state of one execution: its record and one frame per thread of control.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
}

impl Status {
    pub(crate) const ALL: [Self; 5] = [Self::Running, Self::Succeeded, Self::Failed, Self::TimedOut, Self::Aborted];

    /// The name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Aborted => "ABORTED",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// One execution.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) machine_arn: String,
    pub(crate) machine_name: String,
    pub(crate) role_arn: String,
    /// Which revision of the definition runs; later updates do not touch it.
    pub(crate) revision: i64,
    /// The input as it was sent.
    pub(crate) input: String,
    pub(crate) started: Timestamp,
    pub(crate) status: Status,
    pub(crate) output: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) cause: Option<String>,
    pub(crate) stopped: Option<Timestamp>,
    /// When the whole execution times out.
    pub(crate) deadline: Option<Timestamp>,
    /// Id of the newest history event.
    pub(crate) events: u64,
    /// Newest number given to a frame or an attempt.
    pub(crate) numbers: u64,
    pub(crate) frames: BTreeMap<u64, Frame>,
}

/// One thread of control: the top level, a Parallel branch or a Map iteration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Frame {
    /// The frame that waits in a Parallel or Map for this one.
    pub(crate) parent: Option<u64>,
    /// Which branch or iteration of the parent this is.
    pub(crate) slot: usize,
    pub(crate) state: String,
    pub(crate) input: Value,
    pub(crate) variables: Map<String, Value>,
    /// `$states.context.Map`, inside an iteration.
    pub(crate) map_item: Option<Value>,
    /// The newest history event of this thread.
    pub(crate) event: u64,
    pub(crate) entered: Timestamp,
    /// How often each retrier of the state has been used.
    pub(crate) retries: Vec<u32>,
    pub(crate) at: At,
}

/// Where in its state a frame stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum At {
    /// The state is to be entered.
    Ready,
    /// The state failed and is tried again at this instant.
    Backoff { until: Timestamp },
    /// A Wait state.
    Waiting { until: Timestamp },
    /// A Task state whose call is out.
    Calling(Call),
    /// A Parallel or Map state whose branches run.
    Forked(Fork),
}

/// The call of a Task state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Call {
    /// Number of this attempt, unique in the execution: late answers to older attempts match nothing.
    pub(crate) attempt: u64,
    pub(crate) target: Target,
    pub(crate) phase: Phase,
    pub(crate) token: Option<String>,
    pub(crate) timeout: Option<Timestamp>,
    pub(crate) heartbeat: Option<Heartbeat>,
}

/// Whom a Task calls, with the evaluated arguments.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Target {
    Lambda { function: String, payload: Value },
    Machine { machine: String, name: String, input: Value, sync: bool },
    Service(ServiceCall),
}

/// An operation of a service that a Task asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceCall {
    /// The service as SDK integrations name it, such as `codebuild`.
    pub service: String,
    /// The operation, such as `startBuild`.
    pub operation: String,
    /// Its parameters, members in Pascal case.
    pub parameters: Value,
    /// ARN of the role to do it with; absent, that of the state machine.
    pub role: Option<String>,
}

/// How far a call has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// To be performed; performed again when the process starts anew.
    Open,
    /// The function has returned, the token is awaited.
    Submitted,
    /// The child execution with this ARN is awaited.
    Child(String),
}

/// A heartbeat that is due at `due`, and every `every_s` seconds after one was sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Heartbeat {
    pub(crate) every_s: i64,
    pub(crate) due: Timestamp,
}

/// The branches of a Parallel, or the iterations of a Map.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Fork {
    /// One input per branch or iteration; Map applies its ItemSelector when the iteration starts.
    pub(crate) items: Vec<Value>,
    pub(crate) results: Vec<Option<Value>>,
    /// How many were started.
    pub(crate) started: usize,
    /// How many may run at once.
    pub(crate) limit: usize,
}

/// What a parent sees of an ended child execution.
#[derive(Debug, Clone)]
pub(crate) struct ChildReport {
    pub(crate) arn: String,
    pub(crate) status: Status,
    /// The describe-execution document, input and output parsed.
    pub(crate) document: Value,
}

impl Frame {
    /// A frame about to enter `state`.
    pub(crate) fn new(state: &str, input: Value, at: Timestamp) -> Self {
        Self {
            parent: None,
            slot: 0,
            state: state.to_owned(),
            input,
            variables: Map::new(),
            map_item: None,
            event: 0,
            entered: at,
            retries: Vec::new(),
            at: At::Ready,
        }
    }

    /// When this frame wants to be looked at again, if time matters to it.
    pub(crate) fn wake(&self) -> Option<Timestamp> {
        match &self.at {
            At::Ready | At::Forked(_) => None,
            At::Backoff { until } | At::Waiting { until } => Some(*until),
            At::Calling(call) => call.timeout.into_iter().chain(call.heartbeat.as_ref().map(|beat| beat.due)).min(),
        }
    }

    /// The call that is out, if the frame is in one.
    pub(crate) fn call(&self) -> Option<&Call> {
        match &self.at {
            At::Calling(call) => Some(call),
            At::Ready | At::Backoff { .. } | At::Waiting { .. } | At::Forked(_) => None,
        }
    }

    /// The child execution this frame waits for.
    pub(crate) fn child(&self) -> Option<&str> {
        match self.call().map(|call| &call.phase) {
            Some(Phase::Child(arn)) => Some(arn),
            _ => None,
        }
    }
}

impl Run {
    /// The next free number for a frame or an attempt.
    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}
