//! A CloudWatch alarm changed: deploys it speaks against are rolled back, conditions that wait for it are looked at.
//!
//! **May touch**: the table, Step Functions (to start a rollback, to end a wait), artifacts (to see that they are there)
//! and definitions, CloudWatch alarms (those beside it in a condition, and one that is not suppressed any more).
//!
//! **Architecture invariants**: knows the shapes of CloudWatch's events; the verdict is `domain::judge`'s.

mod event;

use domain::AlarmChange;
use engine::{EngineError, HasAlarms, HasMachines, HasObjects, HasStore, Judged};
use serde::Serialize;
use serde_json::Value;

pub use event::{InvalidEvent, Told, changes};

/// What became of an event, for whoever reads the invocation's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Handled {
    /// Executions that were judged.
    pub judged: usize,
    /// Rollbacks that were started.
    pub rollbacks: Vec<String>,
    /// Conditions that waited and are decided.
    pub conditions: usize,
}

/// Handles an alarm's change, by EventBridge, by an alarm action that invokes the function, or by SNS.
///
/// # Errors
/// `InvalidInput` for an event that is none of these; else the first error, after everything was looked at that could be.
/// `Contended` and `Unavailable`: deliver it again.
pub async fn handle<W: HasStore + HasMachines + HasObjects + HasAlarms>(
    world: &W,
    event: Value,
) -> Result<Handled, EngineError> {
    let changes = changes(&event).map_err(|error| EngineError::refused("InvalidEvent", error.to_string()))?;
    let mut handled = Handled { judged: 0, rollbacks: Vec::new(), conditions: 0 };
    let mut outcome = Ok(());
    for told in changes {
        let change = match stands(world, told).await {
            Ok(Some(change)) => change,
            Ok(None) => continue,
            Err(error) => {
                outcome = outcome.and(Err(error));
                continue;
            }
        };
        // What stands in the way of a condition keeps no deploy from being rolled back.
        let mut judged = Vec::new();
        let rolled_back = engine::alarm_changed(world, &change, &mut judged).await;
        let decided = engine::look_at_conditions(world, &change.arn).await;
        outcome = outcome.and(rolled_back);
        match decided {
            Ok(conditions) => handled.conditions += conditions,
            Err(error) => outcome = outcome.and(Err(error)),
        }
        log(&change, &judged);
        handled.judged += judged.len();
        handled.rollbacks.extend(judged.iter().filter_map(|one| one.rollback).map(|id| id.to_string()));
    }
    outcome.map(|()| handled)
}

/// How the alarm stands; none where it is gone by now.
async fn stands<W: HasAlarms>(world: &W, told: Told) -> Result<Option<AlarmChange>, EngineError> {
    match told {
        Told::Took(change) => Ok(Some(change)),
        Told::StillRed(arn) => engine::look_up_alarm(world, &arn).await,
    }
}

fn log(change: &AlarmChange, judged: &[Judged]) {
    if judged.is_empty() {
        tracing::info!(alarm.arn = change.arn, alarm.state = %change.state, "no deploy is watched with this alarm");
    }
    for one in judged {
        tracing::info!(
            alarm.arn = change.arn,
            pipeline.name = %one.pipeline,
            stage.name = %one.stage,
            execution.id = %one.evidence.execution,
            verdict = ?one.evidence.verdict,
            rollback.id = one.rollback.map(|id| id.to_string()),
            "alarm judged: {}{}",
            one.evidence.reason,
            one.no_rollback.as_ref().map(|why| format!("; no rollback: {why}")).unwrap_or_default()
        );
    }
}
