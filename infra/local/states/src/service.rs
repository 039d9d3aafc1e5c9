//! The service: opens the store, starts executions and applies events, each as one stored step.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::Future,
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use engine::ports::Entropy;
use jiff::Timestamp;
use runtime::Timer;
use serde_json::Value;
use tokio::sync::Notify;

use crate::{
    arn,
    definition::{DefinitionError, Machine},
    names, recovery,
    run::{Changes, Command, Env, Event, Run, STATES_PER_STEP_MAX, ServiceCall, Status, advance},
    store::{MachineRow, OpenError, Store, StoreError},
};

/// Role shown for machines that were put without one.
const DEFAULT_ROLE: &str = "arn:aws:iam::000000000000:role/local";

/// Calls Lambda functions on behalf of Task states. Calls may be repeated: at least once, as Lambda itself.
pub trait Functions: Send + Sync + 'static {
    /// Calls the function of this bare name and gives what it returned.
    fn invoke(
        &self,
        function: String,
        payload: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, FunctionError>> + Send>>;

    /// Asks a service for an operation and gives its answer, members in Pascal case. Whoever knows no services says so.
    fn call_service(&self, call: ServiceCall) -> Pin<Box<dyn Future<Output = Result<Value, FunctionError>> + Send>> {
        let cause = format!("Nobody here calls {} of {}.", call.operation, call.service);
        Box::pin(std::future::ready(Err(FunctionError { error: "States.Runtime".to_owned(), cause })))
    }
}

/// A function failed, or there is no such function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionError {
    /// The `errorType`: the name that Retry and Catch match.
    pub error: String,
    /// The details; Lambda gives a JSON document with `errorType` and `errorMessage`.
    pub cause: String,
}

/// The ARN of a state machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Arn(String);

impl Arn {
    /// The ARN as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a state machine could not be put.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The name breaks AWS's rules.
    #[error("{0}")]
    Name(String),
    /// The definition is not valid, or outside the subset.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Definitions that are parsed already, for simulations that run the same machines again and again. Clones share them.
#[derive(Clone, Default)]
pub struct Definitions(Arc<Mutex<HashMap<String, Arc<Machine>>>>);

impl Definitions {
    fn parse(&self, definition: &str) -> Result<Arc<Machine>, DefinitionError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(machine) = known.get(definition) {
            return Ok(Arc::clone(machine));
        }
        let machine = Arc::new(Machine::parse(definition)?);
        known.insert(definition.to_owned(), Arc::clone(&machine));
        Ok(machine)
    }
}

impl fmt::Debug for Definitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definitions").finish_non_exhaustive()
    }
}

/// The local Step Functions. Clones share one service.
#[derive(Clone)]
pub struct States {
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("States").field("transitions", &self.transitions()).finish_non_exhaustive()
    }
}

/// Sees the store after every commit.
#[cfg(test)]
pub(crate) type Observer = Box<dyn FnMut(&Store) + Send>;

pub(crate) struct Shared {
    store: Mutex<Store>,
    machines: Mutex<HashMap<(String, i64), Arc<Machine>>>,
    /// Definitions that other services in this process have parsed.
    parsed: Option<Definitions>,
    pub(crate) clock: Arc<dyn Timer>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) functions: Arc<dyn Functions>,
    states_max: usize,
    /// Stored but not yet performed.
    queue: Mutex<VecDeque<Job>>,
    /// Rings when the queue has grown or a deadline may have come closer.
    pub(crate) bell: Notify,
    transitions: AtomicU64,
    #[cfg(test)]
    pub(crate) after_commit: Mutex<Option<Observer>>,
}

/// Something the driver has to do.
#[derive(Debug)]
pub(crate) enum Job {
    Step { execution: String, command: Command },
    Detached { id: i64, function: String, payload: Value },
}

impl States {
    /// Opens the service on the directory `dir`; executions in flight go on as soon as [`States::run`] is polled.
    ///
    /// # Errors
    /// [`OpenError::Newer`] for data of a later release; the others when the directory or database fails.
    pub fn open(
        dir: &Path,
        clock: Arc<dyn Timer>,
        entropy: Arc<dyn Entropy>,
        functions: Arc<dyn Functions>,
    ) -> Result<Self, OpenError> {
        Self::open_with(dir, clock, entropy, functions, STATES_PER_STEP_MAX)
    }

    /// Opens with another bound on the states of one step: tests store after each single state.
    pub(crate) fn open_with(
        dir: &Path,
        clock: Arc<dyn Timer>,
        entropy: Arc<dyn Entropy>,
        functions: Arc<dyn Functions>,
        states_max: usize,
    ) -> Result<Self, OpenError> {
        Self::over(Store::open(dir)?, clock, entropy, functions, states_max, None)
    }

    pub(crate) fn over(
        store: Store,
        clock: Arc<dyn Timer>,
        entropy: Arc<dyn Entropy>,
        functions: Arc<dyn Functions>,
        states_max: usize,
        parsed: Option<Definitions>,
    ) -> Result<Self, OpenError> {
        let queue = recovery::in_flight(&store)?;
        let shared = Shared {
            store: Mutex::new(store),
            machines: Mutex::default(),
            parsed,
            clock,
            entropy,
            functions,
            states_max,
            queue: Mutex::new(queue),
            bell: Notify::new(),
            transitions: AtomicU64::new(0),
            #[cfg(test)]
            after_commit: Mutex::new(None),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Creates the state machine `name`, or updates it when `definition` differs from the stored one. Executions that
    /// run keep the definition they were started with.
    ///
    /// # Errors
    /// [`PutError::Definition`] names the JSON path of what is outside the subset.
    pub fn put_state_machine(&self, name: &str, definition: &str) -> Result<Arn, PutError> {
        names::check(name).map_err(PutError::Name)?;
        let parsed = match &self.shared.parsed {
            Some(known) => known.parse(definition)?,
            None => Arc::new(Machine::parse(definition)?),
        };
        let arn = arn::machine_arn(name);
        let now = self.now();
        let mut store = self.store();
        let existing = store.machine(&arn)?;
        let current = match &existing {
            Some(machine) => store.definition(&arn, machine.revision)?,
            None => None,
        };
        if current.as_deref() != Some(definition) {
            let machine = MachineRow {
                arn: arn.clone(),
                name: name.to_owned(),
                role_arn: existing.as_ref().map_or(DEFAULT_ROLE, |machine| &machine.role_arn).to_owned(),
                revision: store.newest_revision(&arn)? + 1,
                created: existing.as_ref().map_or(now, |machine| machine.created),
                updated: now,
            };
            store.put_machine(&machine, Some(definition))?;
            let mut machines = self.shared.machines.lock().unwrap_or_else(PoisonError::into_inner);
            machines.insert((arn.clone(), machine.revision), parsed);
        }
        Ok(Arn(arn))
    }

    /// The API over HTTP: AWS JSON 1.0, any path.
    pub fn router(&self) -> axum::Router {
        crate::api::router(self.clone())
    }

    /// State transitions since this service was opened, as AWS bills them: one per state entered, also inside Map and
    /// Parallel, and one per retry.
    pub fn transitions(&self) -> u64 {
        self.shared.transitions.load(Ordering::Relaxed)
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        // A panic cannot leave a transaction half-done: it is rolled back when dropped.
        self.shared.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time in the service's resolution of a millisecond.
    pub(crate) fn now(&self) -> Timestamp {
        let now = self.shared.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// Applies one event to an execution and stores the step. False when it found nothing to act on.
    pub(crate) fn step(&self, execution: &str, event: Event) -> Result<bool, StoreError> {
        let mut store = self.store();
        let Some(mut run) = store.load(execution)?.filter(|run| run.status == Status::Running) else {
            return Ok(false);
        };
        let machine = self.machine(&store, &run)?;
        let changes = advance(&machine, &mut run, event, &self.env(self.now()));
        let detached = store.commit(&run, &changes)?;
        self.committed(&store);
        drop(store);
        let accepted = changes.accepted;
        self.publish(execution, changes, detached);
        Ok(accepted)
    }

    /// What one step at the instant `now` gets from outside.
    pub(crate) fn env(&self, now: Timestamp) -> Env {
        Env { now, entropy: Arc::clone(&self.shared.entropy), states_max: self.shared.states_max }
    }

    /// The parsed definition an execution runs.
    pub(crate) fn machine(&self, store: &Store, run: &Run) -> Result<Arc<Machine>, StoreError> {
        let key = (run.machine_arn.clone(), run.revision);
        let mut machines = self.shared.machines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(machine) = machines.get(&key) {
            return Ok(Arc::clone(machine));
        }
        let damaged = || StoreError::Damaged { table: "revisions" };
        let definition = store.definition(&run.machine_arn, run.revision)?.ok_or_else(damaged)?;
        let machine = Arc::new(Machine::parse(&definition).map_err(|_| damaged())?);
        machines.insert(key, Arc::clone(&machine));
        Ok(machine)
    }

    /// Hands stored commands to the driver.
    pub(crate) fn publish(&self, execution: &str, changes: Changes, detached: Vec<i64>) {
        self.shared.transitions.fetch_add(changes.transitions, Ordering::Relaxed);
        let steps = changes.commands.into_iter().map(|command| Job::Step { execution: execution.to_owned(), command });
        let calls = detached.into_iter().zip(changes.detached);
        let calls = calls.map(|(id, (function, payload))| Job::Detached { id, function, payload });
        self.queue().extend(steps.chain(calls));
        self.shared.bell.notify_one();
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A random UUID from the injected entropy.
    pub(crate) fn uuid(&self) -> String {
        self.shared.entropy.uuid().to_string()
    }

    #[cfg(test)]
    pub(crate) fn committed(&self, store: &Store) {
        if let Some(observer) = self.shared.after_commit.lock().expect("tests do not panic here").as_mut() {
            observer(store);
        }
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the test build observes every commit here")]
    pub(crate) fn committed(&self, _store: &Store) {}
}
