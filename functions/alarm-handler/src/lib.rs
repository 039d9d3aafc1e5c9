//! A CloudWatch alarm changed: deploys it speaks against are rolled back.
//!
//! **May touch**: the table, Step Functions (to start the rollback), artifacts (to see that they are there).
//!
//! **Architecture invariants**: knows the shapes of CloudWatch's events; the verdict is `domain::judge`'s.

mod event;

use engine::{EngineError, HasMachines, HasObjects, HasStore};
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
}

/// Handles an alarm's change, by EventBridge, by an alarm action that invokes the function, or by SNS.
///
/// # Errors
/// `InvalidInput` for an event that is none of these; `Contended` and `Unavailable`: deliver it again.
pub async fn handle<W: HasStore + HasMachines + HasObjects>(world: &W, event: Value) -> Result<Handled, EngineError> {
    let changes = changes(&event).map_err(|error| EngineError::refused("InvalidEvent", error.to_string()))?;
    let mut handled = Handled { judged: 0, rollbacks: Vec::new() };
    for change in changes {
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
