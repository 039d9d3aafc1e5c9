//! Delivers what the queue holds.

use std::collections::BTreeSet;

use futures::future::{Either, pending};
use tokio::task::JoinSet;

use crate::{
    Functions,
    limits::{ASYNC_DELIVERIES_MAX, RETRY_DELAYS},
    queue::Accepted,
};

impl Functions {
    /// Delivers asynchronous invocations for as long as it is polled. Run one per directory.
    ///
    /// Each is delivered at least once: what was under way when the process died is delivered again. A failure is
    /// retried after each of [`RETRY_DELAYS`], then dropped with a warning. Unlike in Lambda, nothing grows too old to
    /// be delivered: a laptop may sleep for days.
    pub async fn run(self) {
        let mut deliveries = JoinSet::new();
        let mut under_way = BTreeSet::new();
        loop {
            let next = match self.start_due(&mut deliveries, &mut under_way) {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(%error, "cannot read the invocation queue; is the disk full?");
                    None
                }
            };
            let later = match next {
                Some(at) => Either::Left(self.clock().sleep_until(at)),
                None => Either::Right(pending()),
            };
            tokio::select! {
                () = self.queue_changed() => {}
                () = later => {}
                Some(finished) = deliveries.join_next() => {
                    // An invocation whose outcome could not be stored stays marked: it is due again after a restart,
                    // and not before, lest a full disk turn it into a busy loop.
                    if let Ok(Some(request_id)) = finished {
                        under_way.remove(&request_id);
                    }
                }
            }
        }
    }

    /// Starts what is due and fits, and tells when to look again.
    fn start_due(
        &self,
        deliveries: &mut JoinSet<Option<String>>,
        under_way: &mut BTreeSet<String>,
    ) -> rusqlite::Result<Option<jiff::Timestamp>> {
        let now = self.clock().now();
        for accepted in self.queue().due(now, under_way.len() + ASYNC_DELIVERIES_MAX)? {
            if deliveries.len() < ASYNC_DELIVERIES_MAX && under_way.insert(accepted.request_id.clone()) {
                deliveries.spawn(deliver(self.clone(), accepted));
            }
        }
        self.queue().next_due(now)
    }
}

/// Makes one attempt and stores how it went. Returns the request id once that is stored.
async fn deliver(functions: Functions, accepted: Accepted) -> Option<String> {
    let Accepted { request_id, function, payload, failures } = accepted;
    let outcome = match serde_json::from_str(&payload) {
        Ok(event) => functions.call(&function, event, &request_id).await.map(drop),
        Err(error) => Err(crate::FunctionError::not_json(&error)),
    };
    let stored = match (outcome, RETRY_DELAYS.get(failures)) {
        (Ok(()), _) => functions.queue().finish(&request_id),
        (Err(failed), Some(delay)) => {
            tracing::info!(
                function,
                function_request_id = request_id,
                error.name = failed.error,
                delay_s = delay.as_secs(),
                "asynchronous invocation of {function} failed; trying again"
            );
            functions.queue().retry(&request_id, failures + 1, functions.clock().now() + *delay)
        }
        (Err(failed), None) => {
            tracing::warn!(
                function,
                function_request_id = request_id,
                error.name = failed.error,
                "asynchronous invocation of {function} failed {} times; dropped",
                failures + 1
            );
            functions.queue().finish(&request_id)
        }
    };
    match stored {
        Ok(()) => Some(request_id),
        Err(error) => {
            tracing::error!(%error, function_request_id = request_id,
                "cannot write the invocation queue; the invocation is delivered again after a restart");
            None
        }
    }
}
