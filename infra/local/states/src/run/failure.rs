//! A state failed: retry it, catch the error, or let it climb.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    advance::Step,
    frame::{At, Status},
    history::Body,
};
use crate::{
    definition::{Catcher, Retrier, State},
    expression::EvaluationError,
};

/// An error with the name that Retry and Catch match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) error: Option<String>,
    pub(crate) cause: Option<String>,
}

impl Failure {
    pub(crate) fn new(error: &str, cause: impl Into<String>) -> Self {
        Self { error: Some(error.to_owned()), cause: Some(cause.into()) }
    }

    /// Whether one of `names` matches; what wildcards leave out is AWS's choice.
    fn matches(&self, names: &[String]) -> bool {
        let error = self.error.as_deref().unwrap_or_default();
        let terminal = matches!(error, "States.DataLimitExceeded" | "States.Runtime");
        let timeout = matches!(error, "States.Timeout" | "States.HeartbeatTimeout");
        names.iter().any(|name| match name.as_str() {
            "States.ALL" => !terminal,
            "States.TaskFailed" => !terminal && !timeout,
            "States.Timeout" => timeout,
            name => name == error,
        })
    }
}

impl From<EvaluationError> for Failure {
    fn from(EvaluationError(cause): EvaluationError) -> Self {
        Self::new("States.QueryEvaluationError", cause)
    }
}

impl Step<'_> {
    /// Handles the failure of the state that frame `id` is in.
    pub(super) fn fail(&mut self, id: u64, failure: Failure) {
        let machine = self.machine;
        self.drop_descendants(id);
        let Some(name) = self.run.frames.get(&id).map(|frame| frame.state.clone()) else {
            return;
        };
        let Some(recovery) = machine.states.get(&name).and_then(State::recovery) else {
            return self.climb(id, failure);
        };
        if let Some(until) = self.retry(id, &recovery.retry, &failure) {
            self.frame(id).at = At::Backoff { until };
            return;
        }
        match recovery.catch.iter().find(|catcher| failure.matches(&catcher.errors)) {
            None => self.climb(id, failure),
            Some(catcher) => self.catch(id, catcher, &failure),
        }
    }

    /// When to try again, counting the attempt; none when no retrier wants to.
    fn retry(&mut self, id: u64, retriers: &[Retrier], failure: &Failure) -> Option<Timestamp> {
        let index = retriers.iter().position(|retrier| failure.matches(&retrier.errors))?;
        let retrier = &retriers[index];
        let frame = self.frame(id);
        frame.retries.resize(retriers.len(), 0);
        let used = frame.retries[index];
        if used >= retrier.attempts_max {
            return None;
        }
        frame.retries[index] = used + 1;
        let delay = delay_ms(retrier, used, self.random_unit());
        self.now().checked_add(SignedDuration::from_millis(delay)).ok()
    }

    fn catch(&mut self, id: u64, catcher: &Catcher, failure: &Failure) {
        if let Err(second) = self.exit(id, &catcher.exit, None, Some(failure)) {
            self.climb(id, second);
        }
    }

    /// Nobody in this frame handles the failure: it ends, and so does what waits for it.
    fn climb(&mut self, id: u64, failure: Failure) {
        let Some(frame) = self.run.frames.get(&id) else {
            return;
        };
        let (slot, event) = (frame.slot, frame.event);
        let Some(parent) = frame.parent else {
            return self.end(Status::Failed, failure.error, failure.cause);
        };
        let name = self.frame(parent).state.clone();
        self.frame(parent).event = event;
        let is_map = matches!(self.machine.states.get(&name), Some(State::Map(_)));
        if is_map {
            self.record(parent, Body::iteration("Failed", &name, slot));
        }
        self.record(parent, Body::bare(if is_map { "MapStateFailed" } else { "ParallelStateFailed" }));
        self.fail(parent, failure);
    }
}

/// The delay before attempt `used + 1`, in milliseconds; `unit` is a random number in [0, 1).
fn delay_ms(retrier: &Retrier, used: u32, unit: f64) -> i64 {
    #[expect(clippy::cast_precision_loss, reason = "intervals are bounded far below 2^53")]
    let interval = retrier.interval_s as f64;
    let exponent = i32::try_from(used).unwrap_or(i32::MAX);
    #[expect(clippy::cast_precision_loss, reason = "delays are bounded far below 2^53")]
    let cap = retrier.delay_s_max.unwrap_or(crate::definition::SECONDS_MAX) as f64;
    let full = (interval * retrier.backoff_rate.powi(exponent)).min(cap);
    let delay = if retrier.full_jitter { full * unit } else { full };
    #[expect(clippy::cast_possible_truncation, reason = "at most SECONDS_MAX seconds")]
    let millis = (delay * 1000.0) as i64;
    millis
}
