//! The processes of one function.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use runtime::Timer;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use super::{Process, running::Running};
use crate::{
    FunctionError, InvocationContext, Owner, RegisterError,
    limits::{PROCESSES_PER_FUNCTION_MAX, TIMEOUT_MAX},
};

/// Starts processes on demand, keeps those that answered for the next invocation, and forgets those that died.
pub(crate) struct Pool {
    name: String,
    process: Process,
    owner: Owner,
    clock: Arc<dyn Timer>,
    turns: Semaphore,
    idle: Mutex<Vec<Running>>,
    /// Fails once the registry is gone.
    open: watch::Receiver<()>,
}

impl Pool {
    /// The pool of the function `name`, without processes.
    ///
    /// # Errors
    /// The process cannot be run.
    pub(crate) fn new(
        name: &str,
        mut process: Process,
        owner: &Owner,
        clock: Arc<dyn Timer>,
        open: watch::Receiver<()>,
    ) -> Result<Self, RegisterError> {
        if process.timeout.is_zero() || process.timeout > TIMEOUT_MAX {
            return Err(RegisterError::Timeout { name: name.to_owned() });
        }
        // Absolute, for the process runs in its own directory.
        process.command = match process.command.canonicalize() {
            Ok(command) if is_executable(&command) => command,
            _ => {
                return Err(RegisterError::Command { name: name.to_owned(), command: process.command });
            }
        };
        Ok(Self {
            name: name.to_owned(),
            process,
            owner: owner.clone(),
            clock,
            turns: Semaphore::new(PROCESSES_PER_FUNCTION_MAX),
            idle: Mutex::default(),
            open,
        })
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.process.timeout
    }

    /// Runs one invocation, once a process may.
    pub(crate) async fn invoke(
        self: Arc<Self>,
        event: Value,
        context: InvocationContext,
    ) -> Result<Value, FunctionError> {
        let mut open = self.open.clone();
        let request_id = context.request_id.clone();
        let failed = |error: &str, reason: String| {
            Err(FunctionError::new(error, format!("RequestId: {request_id} Error: {reason}")))
        };
        let Ok(_turn) = self.turns.acquire().await else {
            return failed("Runtime.ExitError", "the function is gone".to_owned());
        };
        let mut process = match self.idle_or_new() {
            Ok(process) => process,
            Err(error) => {
                return failed("Runtime.InvalidEntrypoint", format!("cannot start the bootstrap: {error}"));
            }
        };
        let deadline = self.clock.now() + self.process.timeout;
        let context = InvocationContext { deadline, ..context };
        let outcome = tokio::select! {
            biased;
            outcome = process.handle(event, context) => outcome,
            () = self.clock.sleep_until(deadline) => {
                // Dropping the process kills it, as Lambda resets the sandbox.
                drop(process);
                let seconds = self.process.timeout.as_secs_f64();
                return failed("Sandbox.Timedout", format!("Task timed out after {seconds:.2} seconds"));
            }
            _ = open.changed() => {
                return failed("Runtime.ExitError", "the local Lambda is shutting down".to_owned());
            }
        };
        match outcome {
            Ok(answer) => {
                self.idle().push(process);
                answer
            }
            Err(exit) => failed("Runtime.ExitError", format!("Runtime exited with error: {exit}")),
        }
    }

    fn idle_or_new(&self) -> std::io::Result<Running> {
        while let Some(mut process) = { self.idle().pop() } {
            if process.is_alive() {
                return Ok(process);
            }
            tracing::info!(function = self.name, "a process of {} died while idle; starting another", self.name);
        }
        Running::start(&self.name, &self.process, &self.owner)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Running>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(unix)]
fn is_executable(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &std::path::Path) -> bool {
    path.is_file()
}
