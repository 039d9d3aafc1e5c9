//! One event in, the changes out: what the store keeps and what the driver then performs.

use std::{cell::OnceCell, collections::BTreeSet, sync::Arc};

use engine::ports::Entropy;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    Failure, HISTORY_EVENTS_MAX, HistoryEvent, ServiceCall,
    frame::{At, ChildReport, Frame, Run, Status},
    history::Body,
};
use crate::{definition::Machine, expression::unit_interval};

/// What can happen to an execution.
#[derive(Debug)]
pub(crate) enum Event {
    /// It begins.
    Start,
    /// States that are ready are entered.
    Continue,
    /// Time has passed.
    Tick,
    /// Someone stops it.
    Stop { error: Option<String>, cause: Option<String> },
    /// The function of this attempt returned.
    Returned { attempt: u64, outcome: Result<Value, Failure> },
    /// The child of this attempt was started (ARN and start), or could not be.
    ChildStarted { attempt: u64, outcome: Result<(String, Timestamp), Failure> },
    /// A child execution ended.
    ChildEnded(ChildReport),
    /// Someone answered a task token.
    Answered { token: String, outcome: Result<Value, Failure> },
    /// Someone sent a heartbeat for a task token.
    Heartbeat { token: String },
}

/// What the driver does once the changes are stored. Performing one twice does no harm.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    /// Call a function and report [`Event::Returned`].
    Invoke { attempt: u64, function: String, payload: Value },
    /// Ask a service and report [`Event::Returned`].
    CallService { attempt: u64, call: ServiceCall },
    /// Start a child and report [`Event::ChildStarted`].
    StartChild { attempt: u64, machine: String, name: String, input: Value, sync: bool },
    /// Stop a child nobody waits for any more.
    StopChild { arn: String },
    /// Step again: states are ready.
    Continue,
    /// The execution ended; tell whoever waits for it.
    Ended,
}

/// What one step gets from outside.
pub(crate) struct Env {
    pub(crate) now: Timestamp,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Most states to enter before the step is stored.
    pub(crate) states_max: usize,
}

/// What one step changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) history: Vec<HistoryEvent>,
    pub(crate) commands: Vec<Command>,
    /// Frames to be written, or deleted when they exist no more.
    pub(crate) frames: BTreeSet<u64>,
    /// New task tokens.
    pub(crate) tokens: Vec<String>,
    /// Functions to call without waiting: (function, payload).
    pub(crate) detached: Vec<(String, Value)>,
    /// State transitions as AWS bills them.
    pub(crate) transitions: u64,
    /// Whether the event found what it was meant for.
    pub(crate) accepted: bool,
}

/// Applies `event` to `run`, which must be running.
pub(crate) fn advance(machine: &Machine, run: &mut Run, event: Event, env: &Env) -> Changes {
    let mut step = Step { machine, run, env, input: OnceCell::new(), changes: Changes::default(), full: false };
    step.changes.accepted = step.apply(event);
    step.enter_ready();
    if step.full && step.run.status == Status::Running {
        let cause = format!("The execution reached the maximum number of history events ({HISTORY_EVENTS_MAX}).");
        step.end(Status::Failed, Some("States.Runtime".to_owned()), Some(cause));
    }
    step.changes
}

/// One step in progress.
pub(super) struct Step<'a> {
    pub(super) machine: &'a Machine,
    pub(super) run: &'a mut Run,
    env: &'a Env,
    /// The execution's input, once somebody has asked for it.
    input: OnceCell<Value>,
    changes: Changes,
    /// The history is full; only the event that says so still fits.
    full: bool,
}

impl Step<'_> {
    fn apply(&mut self, event: Event) -> bool {
        match event {
            Event::Start => self.start(),
            Event::Continue => true,
            Event::Tick => self.tick(),
            Event::Stop { error, cause } => {
                self.end(Status::Aborted, error, cause);
                true
            }
            Event::Returned { attempt, outcome } => self.returned(attempt, outcome),
            Event::ChildStarted { attempt, outcome } => self.child_started(attempt, outcome),
            Event::ChildEnded(report) => self.child_ended(&report),
            Event::Answered { token, outcome } => self.answered(&token, outcome),
            Event::Heartbeat { token } => self.heartbeat(&token),
        }
    }

    fn start(&mut self) -> bool {
        self.push_event(0, Body::execution_started(&self.run.input, &self.run.role_arn));
        let input = serde_json::from_str(&self.run.input).unwrap_or_default();
        let frame = Frame::new(&self.machine.start_at, input, self.now());
        let timeout_s = self.machine.timeout_s.and_then(|seconds| i64::try_from(seconds).ok());
        self.run.deadline = timeout_s.and_then(|seconds| self.after_s(seconds));
        self.insert(frame);
        true
    }

    /// Looks at every deadline that has come.
    fn tick(&mut self) -> bool {
        let now = self.now();
        if self.run.deadline.is_some_and(|deadline| deadline <= now) {
            self.end(Status::TimedOut, Some("States.Timeout".to_owned()), None);
            return true;
        }
        let due = self.run.frames.iter().filter(|(_, frame)| frame.wake().is_some_and(|wake| wake <= now));
        let due: Vec<u64> = due.map(|(id, _)| *id).collect();
        for id in due {
            // A sibling's failure may have removed the frame in the meantime.
            match self.run.frames.get(&id).map(|frame| frame.at.clone()) {
                Some(At::Backoff { .. }) => {
                    self.changes.transitions += 1;
                    self.begin(id);
                }
                Some(At::Waiting { .. }) => self.waited(id),
                Some(At::Calling(call)) => self.call_timed_out(id, &call),
                Some(At::Ready | At::Forked(_)) | None => {}
            }
        }
        true
    }

    fn enter_ready(&mut self) {
        for _ in 0..self.env.states_max {
            match self.next_ready() {
                Some(id) if !self.full => self.enter(id),
                _ => return,
            }
        }
        if self.next_ready().is_some() {
            self.command(Command::Continue);
        }
    }

    fn next_ready(&self) -> Option<u64> {
        self.run.frames.iter().find(|(_, frame)| matches!(frame.at, At::Ready)).map(|(id, _)| *id)
    }

    pub(super) fn count_transition(&mut self) {
        self.changes.transitions += 1;
    }

    pub(super) fn now(&self) -> Timestamp {
        self.env.now
    }

    pub(super) fn execution_input(&self) -> &Value {
        self.input.get_or_init(|| serde_json::from_str(&self.run.input).unwrap_or_default())
    }

    pub(super) fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.env.entropy
    }

    /// `seconds` from now; none beyond the end of time.
    pub(super) fn after_s(&self, seconds: i64) -> Option<Timestamp> {
        self.now().checked_add(SignedDuration::from_secs(seconds)).ok()
    }

    /// A random number in [0, 1).
    pub(super) fn random_unit(&self) -> f64 {
        let mut bytes = [0; 8];
        self.env.entropy.fill(&mut bytes);
        unit_interval(u64::from_le_bytes(bytes))
    }

    /// The frame `id`, marked as changed.
    pub(super) fn frame(&mut self, id: u64) -> &mut Frame {
        self.changes.frames.insert(id);
        self.run.frames.get_mut(&id).expect("callers hold the id of a live frame")
    }

    pub(super) fn touch(&mut self, id: u64) {
        self.changes.frames.insert(id);
    }

    pub(super) fn insert(&mut self, frame: Frame) {
        let id = self.run.number();
        self.run.frames.insert(id, frame);
        self.touch(id);
    }

    pub(super) fn command(&mut self, command: Command) {
        self.changes.commands.push(command);
    }

    pub(super) fn detach(&mut self, function: String, payload: Value) {
        self.changes.detached.push((function, payload));
    }

    pub(super) fn add_token(&mut self, token: String) {
        self.changes.tokens.push(token);
    }

    /// Adds an event of frame `id`, unless the history is full.
    pub(super) fn record(&mut self, id: u64, body: Body) {
        if self.run.events + 1 >= HISTORY_EVENTS_MAX {
            self.full = true;
            return;
        }
        let previous = self.run.frames[&id].event;
        let event = self.push_event(previous, body);
        self.frame(id).event = event;
    }

    /// Adds an event and gives its id. The last event of an execution comes here directly: it always fits.
    pub(super) fn push_event(&mut self, previous: u64, body: Body) -> u64 {
        self.run.events += 1;
        let id = self.run.events;
        self.changes.history.push(HistoryEvent { id, previous, at: self.env.now, body: body.into_map() });
        id
    }
}
