//! The service: its data, its router, and the loops that evaluate alarms and deliver events.

use std::{
    future::Future,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use engine::ports::Entropy;
use futures::future::{Either, select};
use jiff::{SignedDuration, Timestamp};
use runtime::Timer;
use rusqlite::{Connection, TransactionBehavior};
use serde_json::Value;
use tokio::sync::Notify as Signal;

use crate::{
    error::ApiError,
    operations,
    store::{self, OpenError, Work},
    wire,
};

/// How many alarms one turn of the loop evaluates, each in its own transaction, before events and requests get their turn.
const EVALUATIONS_PER_TURN: usize = 100;

/// How often data that has had its time is deleted.
const PRUNE_EVERY: SignedDuration = SignedDuration::from_mins(10);

/// How long the loops rest after a fault of the database, so that a full disk does not become a busy loop.
const REST_AFTER_FAULT: SignedDuration = SignedDuration::from_secs(5);

/// The local CloudWatch. Clones share the same data.
#[derive(Clone)]
pub struct CloudWatch {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Mutex<Connection>,
    clock: Arc<dyn Timer>,
    entropy: Arc<dyn Entropy>,
    /// An alarm may be due earlier than the evaluating loop knows.
    evaluate: Signal,
    /// An event may be in the queue that the delivering loop does not know.
    deliver: Signal,
}

impl std::fmt::Debug for CloudWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CloudWatch").finish_non_exhaustive()
    }
}

/// Receives the state changes of alarms.
pub trait Notify: Send + Sync + 'static {
    /// Takes one event, "CloudWatch Alarm State Change" as EventBridge sends it (spec 10.1). Delivery is at least once, and
    /// not ordered once a delivery has failed.
    ///
    /// # Errors
    /// Why the event could not be taken; it is delivered again later.
    fn alarm_changed(&self, event: Value) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
}

impl CloudWatch {
    /// Opens the data below `dir`, making it if there is none.
    ///
    /// # Errors
    /// A directory or file that cannot be used, or data of a newer program.
    pub fn open(dir: &Path, clock: Arc<dyn Timer>, entropy: Arc<dyn Entropy>) -> Result<Self, OpenError> {
        Ok(Self {
            inner: Arc::new(Inner {
                connection: Mutex::new(store::open(dir)?),
                clock,
                entropy,
                evaluate: Signal::new(),
                deliver: Signal::new(),
            }),
        })
    }

    /// The HTTP interface: AWS Query, AWS JSON 1.0 and Smithy RPC v2 CBOR on the same address. Signatures are not checked.
    pub fn router(&self) -> axum::Router {
        wire::router(self.clone())
    }

    /// Evaluates alarms when their time comes and delivers events to `notify`, for ever. Without it requests are served,
    /// but no metric alarm changes by itself.
    pub async fn run(self, notify: Arc<dyn Notify>) {
        futures::join!(self.evaluate_alarms(), self.deliver_events(notify));
    }

    async fn evaluate_alarms(&self) {
        let mut prune_at = self.now();
        loop {
            let now = self.now();
            if prune_at <= now {
                self.or_log(self.transact(|work| work.prune()));
                prune_at = after(now, PRUNE_EVERY);
            }
            let next = match self.evaluate_due() {
                Ok(next) => next.map_or(prune_at, |next| next.min(prune_at)),
                // The error has been logged where it arose.
                Err(_) => after(now, REST_AFTER_FAULT),
            };
            self.rest(next, &self.inner.evaluate).await;
        }
    }

    /// Evaluates the alarms whose time has come, and says when the next is due.
    fn evaluate_due(&self) -> Result<Option<Timestamp>, ApiError> {
        let due = self.transact(|work| work.due_alarms(EVALUATIONS_PER_TURN))?;
        let any = !due.is_empty();
        for name in due {
            self.transact(|work| work.evaluate_alarm(&name))?;
        }
        if any {
            self.inner.deliver.notify_one();
        }
        self.transact(|work| work.next_due())
    }

    async fn deliver_events(&self, notify: Arc<dyn Notify>) {
        loop {
            let next = match self.transact(|work| work.due_event()) {
                Ok(Some(event)) => {
                    match notify.alarm_changed(event.event.clone()).await {
                        Ok(()) => self.or_log(self.transact(|work| work.acknowledge(&event))),
                        Err(reason) => {
                            tracing::warn!(%reason, attempts = event.attempts, "alarm event not taken; it will be delivered again");
                            self.or_log(self.transact(|work| work.put_off(&event)));
                        }
                    }
                    continue;
                }
                Ok(None) => self.transact(|work| work.next_delivery()).map(|next| next.unwrap_or(Timestamp::MAX)),
                Err(error) => Err(error),
            };
            let next = next.unwrap_or_else(|_| after(self.now(), REST_AFTER_FAULT));
            self.rest(next, &self.inner.deliver).await;
        }
    }

    async fn rest(&self, until: Timestamp, signal: &Signal) {
        let signalled = std::pin::pin!(signal.notified());
        if until == Timestamp::MAX {
            return signalled.await;
        }
        match select(signalled, self.inner.clock.sleep_until(until)).await {
            Either::Left(_) | Either::Right(_) => {}
        }
    }

    /// Performs one operation. Blocks on the disk.
    pub(crate) fn call(&self, operation: &operations::Operation, input: Value) -> Result<Value, ApiError> {
        let output = self.transact(|work| (operation.run)(work, input))?;
        if operation.writes {
            self.inner.evaluate.notify_one();
            self.inner.deliver.notify_one();
        }
        Ok(output)
    }

    /// A fresh id for a request.
    pub(crate) fn request_id(&self) -> String {
        self.inner.entropy.uuid().to_string()
    }

    fn transact<T>(&self, run: impl FnOnce(&Work<'_>) -> Result<T, ApiError>) -> Result<T, ApiError> {
        // A panic inside rolled its transaction back, so the connection is as good as before.
        let mut connection = self.inner.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = run(&Work { tx: &tx, now: self.now(), entropy: &*self.inner.entropy })?;
        tx.commit()?;
        Ok(result)
    }

    /// The moment, to the millisecond: that is what is stored and shown.
    fn now(&self) -> Timestamp {
        let now = self.inner.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    fn or_log(&self, result: Result<(), ApiError>) {
        if let Err(error) = result {
            tracing::error!(%error, "local CloudWatch could not store its progress");
        }
    }
}

fn after(now: Timestamp, delay: SignedDuration) -> Timestamp {
    now.saturating_add(delay).unwrap_or(Timestamp::MAX)
}
