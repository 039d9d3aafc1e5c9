//! Every minute: finishes what a crash, a lost event or a lost answer left behind.
//!
//! **May touch**: everything that an effect may touch: the table, Step Functions, CloudWatch, artifacts, the user's
//! functions, the event bus, topics of SNS, the roles of pipelines.
//!
//! **Architecture invariants**: decides nothing of its own; it delivers what was decided, and asks the same judge.

use engine::{
    EngineError, HasAlarms, HasFunctions, HasMachines, HasNotifications, HasObjects, HasRoles, HasStore, Reconciled,
};
use serde::Deserialize;

/// A tick. A schedule's event has no members that matter.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Tick {
    /// Nobody else is at work, as after a restart: leave nothing to others.
    #[serde(default)]
    pub alone: bool,
}

/// Handles a tick of the schedule.
///
/// # Errors
/// The first error, after everything was tried; what failed is found again at the next tick.
pub async fn handle<W>(world: &W, tick: Tick) -> Result<(), EngineError>
where
    W: HasStore + HasMachines + HasAlarms + HasFunctions + HasNotifications + HasObjects + HasRoles,
{
    let mut done = Reconciled::default();
    let outcome = engine::reconcile(world, !tick.alone, &mut done).await;
    log(&done);
    outcome
}

fn log(done: &Reconciled) {
    for missing in &done.artifacts_gone {
        tracing::warn!(missing, metric.ArtifactsGone = 1_u64, "a rollback would find nothing to go back to");
    }
    if done.stages_probed > 0 {
        let Reconciled { stages_probed, probe_requests, .. } = done;
        tracing::info!(stages_probed, probe_requests, "looked at what rollbacks would need");
    }
    if done.events_lost > 0 {
        let events_lost = done.events_lost;
        tracing::error!(
            events_lost,
            metric.EventsLost = events_lost as u64,
            "events were given up: the event bus refuses them, or was away for a day"
        );
    }
    if done.effects_failed > 0 {
        let effects_failed = done.effects_failed;
        tracing::warn!(
            effects_failed,
            metric.EffectsLate = effects_failed as u64,
            "effects could not be performed and are tried again at the next tick"
        );
    }
    for judged in &done.judged {
        tracing::info!(
            pipeline.name = %judged.pipeline,
            stage.name = %judged.stage,
            execution.id = %judged.evidence.execution,
            verdict = ?judged.evidence.verdict,
            "alarm found red: {}",
            judged.evidence.reason
        );
    }
    if done.effects + done.executions + done.watches_ended + done.conditions > 0 {
        let Reconciled { effects, executions, watches_ended, conditions, .. } = done;
        tracing::info!(effects, executions, watches_ended, conditions, "finished what was left behind");
    }
}
