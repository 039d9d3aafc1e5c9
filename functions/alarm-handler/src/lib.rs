//! A CloudWatch alarm changed: deploys it speaks against are rolled back, conditions that wait for it are looked at.
//!
//! **May touch**: the table, Step Functions (to start a rollback, to end a wait), artifacts (to see that they are there)
//! and definitions, CloudWatch alarms (those beside it in a condition).
//!
//! **Architecture invariants**: knows the shapes of CloudWatch's events; the verdict is `domain::judge`'s.

mod event;

use engine::{EngineError, HasAlarms, HasMachines, HasObjects, HasStore};
use serde::Serialize;
use serde_json::Value;

pub use event::{InvalidEvent, changes};

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
/// `InvalidInput` for an event that is none of these; `Contended` and `Unavailable`: deliver it again.
pub async fn handle<W: HasStore + HasMachines + HasObjects + HasAlarms>(
    world: &W,
    event: Value,
) -> Result<Handled, EngineError> {
    let changes = changes(&event).map_err(|error| EngineError::refused("InvalidEvent", error.to_string()))?;
    let mut handled = Handled { judged: 0, rollbacks: Vec::new(), conditions: 0 };
    for change in changes {
        handled.conditions += engine::look_at_conditions(world, &change.arn).await?;
        let judged = engine::alarm_changed(world, &change).await?;
        if judged.is_empty() {
            tracing::info!(alarm.arn = change.arn, alarm.state = %change.state, "no deploy is watched with this alarm");
        }
        for one in judged {
            handled.judged += 1;
            handled.rollbacks.extend(one.rollback.map(|id| id.to_string()));
            tracing::info!(
                alarm.arn = change.arn,
                pipeline.name = %one.pipeline,
                stage.name = %one.stage,
                execution.id = %one.evidence.execution,
                verdict = ?one.evidence.verdict,
                rollback.id = one.rollback.map(|id| id.to_string()),
                "alarm judged: {}{}",
                one.evidence.reason,
                one.no_rollback.map(|why| format!("; no rollback: {why}")).unwrap_or_default()
            );
        }
    }
    Ok(handled)
}
