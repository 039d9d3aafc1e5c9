//! The service without a driver of its own, for simulations: whoever holds it decides when a call is answered and when
//! time passes.

use std::{future::Future, pin::Pin, sync::Arc};

use engine::ports::{CloudError, Entropy, MachineStatus, Machines};
use jiff::Timestamp;
use runtime::Timer;
use serde_json::Value;

use crate::{
    Arn, FunctionError, Functions, OpenError, States, arn,
    driver::{Outside, invoke_result},
    refusal::Refusal,
    run::{Event, Failure, STATES_PER_STEP_MAX, Status},
    store::{Store, StoreError},
};

/// A function that has to be called. At least once: calling it again does no harm.
#[derive(Debug, Clone)]
pub struct Call {
    /// Bare name of the function.
    pub function: String,
    /// What it gets.
    pub payload: Value,
    from: Outside,
}

impl States {
    /// A service in memory. Nothing happens in it but by the methods below.
    ///
    /// # Errors
    /// As SQLite's.
    pub fn in_memory(clock: Arc<dyn Timer>, entropy: Arc<dyn Entropy>) -> Result<Self, OpenError> {
        Self::over(Store::in_memory()?, clock, entropy, Arc::new(Nobody), STATES_PER_STEP_MAX)
    }

    /// Does whatever needs nobody outside, and gives the calls that have to be made now.
    pub fn take_calls(&self) -> Vec<Call> {
        let mut calls = Vec::new();
        while let Some(job) = self.next_job() {
            calls.extend(self.perform_here(job).map(|(from, function, payload)| Call { function, payload, from }));
        }
        calls
    }

    /// Tells what came of `call`. An answer that comes too late changes nothing.
    ///
    /// # Errors
    /// As SQLite's.
    pub fn returned(&self, call: &Call, outcome: Result<Value, FunctionError>) -> Result<(), StoreError> {
        let outcome = outcome.map(invoke_result);
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

    /// The state machine `machine`, as use cases drive it.
    pub fn driving(&self, machine: &Arn) -> Driven {
        Driven { states: self.clone(), machine: machine.as_str().to_owned() }
    }
}

/// One state machine of a service in this process.
#[derive(Debug, Clone)]
pub struct Driven {
    states: States,
    machine: String,
}

impl Machines for Driven {
    async fn start(&self, name: &str, input: &Value) -> Result<(), CloudError> {
        match self.states.start(&self.machine, name, &input.to_string(), None) {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.kind == "ExecutionAlreadyExists" => Ok(()),
            Err(refusal) => Err(cloud_error(&refusal)),
        }
    }

    async fn answer(&self, token: &str, output: &Value) -> Result<(), CloudError> {
        let answered = |token| Event::Answered { token, outcome: Ok(output.clone()) };
        self.states.deliver(token, answered).map(drop).map_err(|refusal| cloud_error(&refusal))
    }

    async fn heartbeat(&self, token: &str) -> Result<(), CloudError> {
        let beaten = |token| Event::Heartbeat { token };
        self.states.deliver(token, beaten).map(drop).map_err(|refusal| cloud_error(&refusal))
    }

    async fn status(&self, name: &str) -> Result<Option<MachineStatus>, CloudError> {
        let machine = self.machine.rsplit(':').next().unwrap_or_default();
        let found = self.states.store().execution(&arn::execution_arn(machine, name));
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
