//! Performs what the interpreter has commanded and stored, and wakes executions when their time has come.

use std::{future::Future, panic::AssertUnwindSafe, pin::Pin};

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    refusal::Refusal,
    report,
    run::{Command, Event, Failure, ServiceCall, Status},
    service::{FunctionError, Job, States},
    store::{Origin, StoreError},
};

/// Pause after the store failed, so that a full disk does not become a busy loop.
const STORE_RETRY: SignedDuration = SignedDuration::from_secs(1);

/// Who calls a function.
#[derive(Debug, Clone)]
pub(crate) enum Outside {
    /// A call that nobody waits for.
    Detached(i64),
    /// An attempt of a task.
    Attempt { execution: String, attempt: u64 },
}

/// What is called.
#[derive(Debug, Clone)]
pub(crate) enum Callee {
    /// A function, and what it gets.
    Function(String, Value),
    /// An operation of a service.
    Service(ServiceCall),
}

impl Callee {
    /// The result of the task, of what came back.
    pub(crate) fn result(&self, answer: Value) -> Value {
        match self {
            Self::Function(..) => json!({"ExecutedVersion": "$LATEST", "Payload": answer, "StatusCode": 200}),
            Self::Service(_) => answer,
        }
    }
}

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

impl States {
    /// Drives every execution for ever, beginning with those in flight when the store was opened. Idle executions cost
    /// nothing: there is one timer, for the earliest deadline of all. Dropping the future stops the drive at once. Poll
    /// it once per service: a second drive would share the work but call nothing twice.
    pub async fn run(self) {
        let mut calls = JoinSet::new();
        let mut alarm: Option<(Timestamp, Sleep)> = None;
        loop {
            while let Some(job) = self.next_job() {
                self.perform(job, &mut calls);
                tokio::task::yield_now().await;
            }
            // Where work never ends, the select below would hardly ever come to those that have: each would keep its memory.
            while calls.try_join_next().is_some() {}
            let wake = self.wake_due();
            if alarm.as_ref().map(|(at, _)| *at) != wake {
                alarm = wake.map(|at| (at, self.shared.clock.sleep_until(at)));
            }
            if !self.queue().is_empty() {
                continue;
            }
            tokio::select! {
                () = self.shared.bell.notified() => {}
                () = async { if let Some((_, sleep)) = alarm.as_mut() { sleep.await } }, if alarm.is_some() => alarm = None,
                Some(_) = calls.join_next(), if !calls.is_empty() => {}
            }
        }
    }

    pub(crate) fn next_job(&self) -> Option<Job> {
        self.queue().pop_front()
    }

    /// Steps every execution whose deadline has come; gives the next deadline.
    fn wake_due(&self) -> Option<Timestamp> {
        match self.try_wake_due() {
            Ok(next) => next,
            Err(error) => {
                log(&error);
                self.now().checked_add(STORE_RETRY).ok()
            }
        }
    }

    pub(crate) fn try_wake_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let now = self.now();
        let due = self.store().due(now)?;
        for execution in due {
            self.step(&execution, Event::Tick)?;
        }
        let next = self.store().next_wake()?;
        // A deadline that came in the meantime is met at once: the sleep ends immediately.
        Ok(next)
    }

    fn perform(&self, job: Job, calls: &mut JoinSet<()>) {
        let Some((from, callee)) = self.perform_here(job) else { return };
        let states = self.clone();
        calls.spawn(async move {
            let outcome = states.call(&callee).await;
            match from {
                Outside::Detached(id) => {
                    // Nobody waits for the answer.
                    let removed = states.store().remove_detached(id);
                    removed.unwrap_or_else(|error| log(&error));
                }
                Outside::Attempt { execution, attempt } => {
                    states.report(
                        &execution,
                        Event::Returned { attempt, outcome: outcome.map(|answer| callee.result(answer)) },
                    );
                }
            }
        });
    }

    /// Performs what needs no one outside; what does, is given back.
    pub(crate) fn perform_here(&self, job: Job) -> Option<(Outside, Callee)> {
        let (execution, command) = match job {
            Job::Detached { id, function, payload } => {
                return Some((Outside::Detached(id), Callee::Function(function, payload)));
            }
            Job::Step { execution, command } => (execution, command),
        };
        match command {
            Command::Invoke { attempt, function, payload } => {
                return Some((Outside::Attempt { execution, attempt }, Callee::Function(function, payload)));
            }
            Command::CallService { attempt, call } => {
                return Some((Outside::Attempt { execution, attempt }, Callee::Service(call)));
            }
            Command::Continue => self.report(&execution, Event::Continue),
            Command::StartChild { attempt, machine, name, input, sync } => {
                let origin = Origin { parent: execution, attempt, sync };
                let input = input.to_string();
                self.start_child(&origin, &machine, &name, &input).unwrap_or_else(|error| log(&error));
            }
            Command::StopChild { arn } => self.report(&arn, abandoned()),
            Command::Ended => self.tell_parents(&execution).unwrap_or_else(|error| log(&error)),
        }
        None
    }

    /// Starts a child for a call of its parent, or finds the one that was started for it before.
    fn start_child(&self, origin: &Origin, machine: &str, name: &str, input: &str) -> Result<(), StoreError> {
        let started = self.start(machine, name, input, Some(origin));
        let child = started.as_ref().ok().map(|(arn, _)| arn.clone());
        let outcome = started.map_err(start_failure);
        let attempt = origin.attempt;
        let waited_for = self.step(&origin.parent, Event::ChildStarted { attempt, outcome })?;
        let Some(child) = child else { return Ok(()) };
        if waited_for {
            // A child found again may have ended before its parent knew of it.
            return self.tell_parents(&child);
        }
        if origin.sync && self.store().origin(&child)?.as_ref() == Some(origin) {
            self.step(&child, abandoned())?;
        }
        Ok(())
    }

    /// Tells every task that waits for `child` how it ended.
    fn tell_parents(&self, child: &str) -> Result<(), StoreError> {
        let (run, parents) = {
            let store = self.store();
            (store.execution(child)?, store.waiting_for(child)?)
        };
        let Some(run) = run.filter(|run| run.status != Status::Running) else {
            return Ok(());
        };
        for parent in parents {
            self.step(&parent, Event::ChildEnded(report::child(&run)))?;
        }
        Ok(())
    }

    async fn call(&self, callee: &Callee) -> Result<Value, Failure> {
        // The call itself may panic before it gives a future.
        let call = async {
            let functions = &self.shared.functions;
            match callee.clone() {
                Callee::Function(function, payload) => functions.invoke(function, payload).await,
                Callee::Service(call) => functions.call_service(call).await,
            }
        };
        let call = AssertUnwindSafe(call).catch_unwind();
        let panicked =
            |_| FunctionError { error: "Lambda.Unknown".to_owned(), cause: "The function panicked.".to_owned() };
        let outcome = call.await.map_err(panicked).and_then(|outcome| outcome);
        outcome.map_err(|failure| Failure { error: Some(failure.error), cause: Some(failure.cause) })
    }

    fn report(&self, execution: &str, event: Event) {
        self.step(execution, event).map(|_| ()).unwrap_or_else(|error| log(&error));
    }
}

/// The end of a child that nobody waits for.
fn abandoned() -> Event {
    let cause = "The parent execution no longer waits for this one.".to_owned();
    Event::Stop { error: None, cause: Some(cause) }
}

/// How a refused StartExecution looks to the parent's Retry and Catch.
fn start_failure(refusal: Refusal) -> Failure {
    Failure::new(&format!("StepFunctions.{}Exception", refusal.kind), refusal.message)
}

fn log(error: &StoreError) {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "a step could not be stored; it is done again after a restart"
    );
}
