//! The service without a driver of its own, for simulations: whoever holds it decides when a call is answered and when
//! time passes.

use std::{future::Future, pin::Pin, sync::Arc};

use engine::ports::{CloudError, Entropy, Machine, MachineStatus, Machines};
use jiff::Timestamp;
use runtime::Timer;
use serde_json::Value;

use crate::{
    Arn, Definitions, FunctionError, Functions, OpenError, States, arn,
    driver::{Callee, Outside},
    refusal::Refusal,
    run::{Event, Failure, STATES_PER_STEP_MAX, Status},
    store::{Store, StoreError},
};

/// A function that has to be called, or a service. At least once: calling it again does no harm.
#[derive(Debug, Clone)]
pub struct Call {
    /// Bare name of the function; for a service, `aws-sdk:<service>:<operation>`.
    pub function: String,
    /// What it gets.
    pub payload: Value,
    from: Outside,
    callee: Callee,
}

impl Call {
    fn new(from: Outside, callee: Callee) -> Self {
        let (function, payload) = match callee.clone() {
            Callee::Function(function, payload) => (function, payload),
            Callee::Service(call) => (format!("aws-sdk:{}:{}", call.service, call.operation), call.parameters),
        };
        Self { function, payload, from, callee }
    }
}

impl States {
    /// A service in memory, which parses no definition that is in `parsed`. Nothing happens in it but by the methods
    /// below.
    ///
    /// # Errors
    /// As SQLite's.
    pub fn in_memory(
        clock: Arc<dyn Timer>,
        entropy: Arc<dyn Entropy>,
        parsed: &Definitions,
    ) -> Result<Self, OpenError> {
        Self::over(Store::in_memory()?, clock, entropy, Arc::new(Nobody), STATES_PER_STEP_MAX, Some(parsed.clone()))
    }

    /// Does whatever needs nobody outside, and gives the calls that have to be made now.
    pub fn take_calls(&self) -> Vec<Call> {
        let mut calls = Vec::new();
        while let Some(job) = self.next_job() {
            calls.extend(self.perform_here(job).map(|(from, callee)| Call::new(from, callee)));
        }
        calls
    }

    /// Tells what came of `call`. An answer that comes too late changes nothing.
    ///
    /// # Errors
    /// As SQLite's.
    pub fn returned(&self, call: &Call, outcome: Result<Value, FunctionError>) -> Result<(), StoreError> {
        let outcome = outcome.map(|answer| call.callee.result(answer));
        let outcome = outcome.map_err(|error| Failure { error: Some(error.error), cause: Some(error.cause) });
        match &call.from {
            Outside::Detached(id) => self.store().remove_detached(*id),
            Outside::Attempt { execution, attempt } => {
                self.step(execution, Event::Returned { attempt: *attempt, outcome }).map(|_| ())
            }
        }
    }

    /// Wakes whoever's time has come, and tells when the next will want to be woken.
    ///
    /// # Errors
    /// As SQLite's.
    pub fn wake(&self) -> Result<Option<Timestamp>, StoreError> {
        self.try_wake_due()
    }

    /// ARNs of the executions that have not ended, in the order of their start.
    ///
    /// # Errors
    /// As SQLite's.
    pub fn running(&self) -> Result<Vec<String>, StoreError> {
        self.store().running()
    }

    /// The state machines of an installation whose pipeline executions `machine` drives, as use cases drive them.
    pub fn driving(&self, machine: &Arn) -> Driven {
        Driven { states: self.clone(), machine: machine.as_str().to_owned() }
    }
}

/// The state machines of an installation, in a service in this process.
#[derive(Debug, Clone)]
pub struct Driven {
    states: States,
    machine: String,
}

impl Driven {
    /// ARN of `machine`, named as the adapter for AWS names it.
    fn machine_arn(&self, machine: Machine<'_>) -> String {
        match machine {
            Machine::PipelineExecution => self.machine.clone(),
            Machine::Action(provider) => {
                let installation = self.machine.strip_suffix("pipeline-execution").unwrap_or(&self.machine);
                format!("{installation}action-{provider}")
            }
        }
    }

    fn execution_arn(&self, machine: Machine<'_>, name: &str) -> String {
        arn::execution_arn(arn::machine_name(&self.machine_arn(machine)), name)
    }
}

impl Machines for Driven {
    async fn start(&self, machine: Machine<'_>, name: &str, input: &Value) -> Result<(), CloudError> {
        match self.states.start(&self.machine_arn(machine), name, &input.to_string(), None) {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.kind == "ExecutionAlreadyExists" => Ok(()),
            Err(refusal) => Err(cloud_error(&refusal)),
        }
    }

    async fn stop(&self, machine: Machine<'_>, name: &str, cause: &str) -> Result<(), CloudError> {
        let event = Event::Stop { error: None, cause: Some(cause.to_owned()) };
        let stopped = self.states.step(&self.execution_arn(machine, name), event);
        stopped.map(drop).map_err(|error| CloudError::Unavailable(Box::new(error)))
    }

    async fn answer(&self, token: &str, output: &Value) -> Result<(), CloudError> {
        let answered = |token| Event::Answered { token, outcome: Ok(output.clone()) };
        self.states.deliver(token, answered).map(drop).map_err(|refusal| cloud_error(&refusal))
    }

    async fn heartbeat(&self, token: &str) -> Result<(), CloudError> {
        let beaten = |token| Event::Heartbeat { token };
        self.states.deliver(token, beaten).map(drop).map_err(|refusal| cloud_error(&refusal))
    }

    async fn status(&self, machine: Machine<'_>, name: &str) -> Result<Option<MachineStatus>, CloudError> {
        let found = self.states.store().execution(&self.execution_arn(machine, name));
        let found = found.map_err(|error| CloudError::Unavailable(Box::new(error)))?;
        Ok(found.map(|run| status_of(run.status)))
    }
}

fn status_of(status: Status) -> MachineStatus {
    match status {
        Status::Running => MachineStatus::Running,
        Status::Succeeded => MachineStatus::Succeeded,
        Status::Failed | Status::TimedOut | Status::Aborted => MachineStatus::Dead,
    }
}

fn cloud_error(refusal: &Refusal) -> CloudError {
    match refusal.kind {
        "TaskTimedOut" | "TaskDoesNotExist" | "InvalidToken" => CloudError::NotFound("the task token".to_owned()),
        "StateMachineDoesNotExist" => CloudError::NotFound(refusal.message.clone()),
        "InternalFailure" => CloudError::Unavailable(refusal.message.clone().into()),
        _ => CloudError::Refused(refusal.message.clone()),
    }
}

/// Calls are taken, not made.
struct Nobody;

impl Functions for Nobody {
    fn invoke(
        &self,
        function: String,
        _payload: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, FunctionError>> + Send>> {
        let error = FunctionError { error: "Lambda.Unknown".to_owned(), cause: format!("nobody calls {function}") };
        Box::pin(std::future::ready(Err(error)))
    }
}
