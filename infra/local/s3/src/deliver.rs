//! Delivery of queued notifications: in order per receiver, at least once, a failing receiver delaying only itself.

use std::{future::Future, pin::Pin, sync::Arc};

use futures::{FutureExt, StreamExt, future, select_biased, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    fault::Fault,
    store::{
        Store,
        queue::{EVENT_BUS, Pending},
    },
};

/// Receives what the stand-in has to tell.
///
/// Both calls are made at least once per notification; `Err` (the reason, for the log) means it is made again later.
pub trait Notify: Send + Sync + 'static {
    /// Takes a complete EventBridge "Object Created" event; called for every created object of every bucket.
    fn object_created(&self, event: Value) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

    /// Takes S3 notification `Records` for a function that a bucket's notification configuration names.
    fn invoke_function(
        &self,
        function_arn: String,
        records: Value,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
}

/// Attempts before a notification is given up, as EventBridge.
const ATTEMPTS_MAX: u32 = 185;
/// Wait before the second attempt; doubles with every further one.
const BACKOFF_MIN: SignedDuration = SignedDuration::from_secs(1);
/// Longest wait between attempts: a receiver that was repaired hears within a minute.
const BACKOFF_MAX: SignedDuration = SignedDuration::from_secs(60);
/// A call that takes longer counts as failed: the longest a Lambda function may run.
const CALL_TIME_MAX: SignedDuration = SignedDuration::from_mins(15);
/// Wait before the queue is read again after it could not be.
const QUEUE_RETRY: SignedDuration = SignedDuration::from_secs(1);

/// How a call ended.
struct Outcome {
    pending: Pending,
    result: Result<(), String>,
}

/// Delivers for ever.
pub(crate) async fn deliver(store: Arc<Store>, notify: Arc<dyn Notify>) {
    let mut calls = FuturesUnordered::new();
    let mut busy: Vec<String> = Vec::new();
    loop {
        let wake_at = match start_due(&store, &mut busy).await {
            Ok((due, wake_at)) => {
                for pending in due {
                    calls.push(call(Arc::clone(&store), Arc::clone(&notify), pending));
                }
                wake_at
            }
            Err(error) => {
                tracing::error!(%error, "the queue of notifications could not be read");
                store.timer.now().checked_add(QUEUE_RETRY).ok()
            }
        };
        let sleep = async {
            match wake_at {
                Some(at) => store.timer.sleep_until(at).await,
                None => future::pending().await,
            }
        };
        let queued = store.queued.notified();
        select_biased! {
            outcome = calls.select_next_some() => {
                busy.retain(|lane| *lane != outcome.pending.lane);
                settle(&store, outcome).await;
            }
            () = queued.fuse() => {}
            () = sleep.fuse() => {}
        }
    }
}

/// The notifications to start, whose lanes become busy, and when to look again if nothing else happens.
async fn start_due(store: &Arc<Store>, busy: &mut Vec<String>) -> Result<(Vec<Pending>, Option<Timestamp>), Fault> {
    let lanes = busy.clone();
    let (due, next_ms) = store.run(move |change| Ok((change.due(&lanes)?, change.next_due_ms()?))).await?;
    busy.extend(due.iter().map(|pending| pending.lane.clone()));
    Ok((due, next_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok())))
}

async fn call(store: Arc<Store>, notify: Arc<dyn Notify>, pending: Pending) -> Outcome {
    let payload = pending.payload.clone();
    let answer = if pending.lane == EVENT_BUS {
        notify.object_created(payload)
    } else {
        notify.invoke_function(pending.lane.clone(), payload)
    };
    let result = match store.timer.now().checked_add(CALL_TIME_MAX) {
        Ok(limit) => match future::select(answer, store.timer.sleep_until(limit)).await {
            future::Either::Left((result, _)) => result,
            future::Either::Right(((), _)) => Err("no answer in time".to_owned()),
        },
        Err(_) => answer.await,
    };
    Outcome { pending, result }
}

async fn settle(store: &Arc<Store>, outcome: Outcome) {
    let Outcome { pending, result } = outcome;
    let id = pending.id;
    let attempts = pending.attempts + 1;
    let done = match result {
        Ok(()) => store.run(move |change| change.forget(id)).await,
        Err(reason) if attempts >= ATTEMPTS_MAX => {
            tracing::error!(receiver = %pending.lane, attempts, %reason, "a notification is given up");
            store.run(move |change| change.forget(id)).await
        }
        Err(reason) => {
            tracing::warn!(receiver = %pending.lane, attempts, %reason, "a notification will be delivered again");
            let due = backoff(store.timer.now(), attempts);
            store.run(move |change| change.postpone(id, due.as_millisecond())).await
        }
    };
    if let Err(error) = done {
        // The notification stays as it was: it is delivered once more than needed.
        tracing::error!(%error, "the queue of notifications could not be written");
    }
}

fn backoff(now: Timestamp, attempts: u32) -> Timestamp {
    let wait = BACKOFF_MIN.checked_mul(1 << attempts.saturating_sub(1).min(16)).unwrap_or(BACKOFF_MAX).min(BACKOFF_MAX);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
