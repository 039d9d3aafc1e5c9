//! What operators see: one line for each decision that was stored, and one for each effect that was performed.
//!
//! Names, ids and states alone. What people and workers say, and what tokens open, stays in the rows.

use domain::{ActionRun, Changes, Effect, ExecutionId, PipelineName, RollbackOutcome};
use uuid::Uuid;

/// Tells a decision that was stored just now.
pub(crate) fn decided(pipeline: &PipelineName, changes: &Changes) {
    for record in &changes.records {
        tracing::info!(
            pipeline.name = pipeline.as_str(),
            execution.id = %record.execution,
            stage.name = record.stage.as_ref().map(|stage| stage.as_str()),
            decision = record.event,
            "decided: {}",
            record.event
        );
    }
    for run in changes.begun.iter().map(|(run, _)| run).chain(&changes.runs) {
        acted(run);
    }
    for decision in &changes.decisions {
        let started = u64::from(matches!(decision.outcome, RollbackOutcome::Started { .. }));
        tracing::info!(
            pipeline.name = pipeline.as_str(),
            execution.id = %decision.execution,
            stage.name = decision.stage.as_str(),
            metric.RollbackDecisions = 1_u64,
            metric.Rollbacks = started,
            "decided about a rollback"
        );
    }
}

fn acted(run: &ActionRun) {
    tracing::info!(
        pipeline.name = run.pipeline.as_str(),
        execution.id = %run.execution,
        stage.name = run.stage.as_str(),
        action.name = run.action.as_str(),
        action.status = %run.status,
        "action {}: {}",
        run.action,
        run.status
    );
}

/// Tells that `effect` was performed.
pub(crate) fn performed(effect: &Effect) {
    let (execution, job) = about(effect);
    tracing::info!(
        execution.id = execution.map(|id| id.to_string()),
        job.id = job.map(|id| id.to_string()),
        effect = effect.kind(),
        "performed: {}",
        effect.kind()
    );
}

/// Tells that `effect` was tried and could not be performed. One that waits for somebody else to try it is none of these:
/// every release has some, and a count costs by the hour in which there is something to count.
pub(crate) fn left(effect: &Effect) {
    let (execution, job) = about(effect);
    tracing::warn!(
        execution.id = execution.map(|id| id.to_string()),
        job.id = job.map(|id| id.to_string()),
        effect = effect.kind(),
        metric.EffectsLeft = 1_u64,
        "not performed yet: {}",
        effect.kind()
    );
}

/// Which execution or job an effect is about. Who answers a token is in the context of the line.
fn about(effect: &Effect) -> (Option<ExecutionId>, Option<Uuid>) {
    match effect {
        Effect::StartMachine { execution, .. } | Effect::AbandonRuns { execution, .. } => (Some(*execution), None),
        Effect::AdmitWaiting { first, .. } => (Some(*first), None),
        Effect::KeepArtifacts { after, .. } => (Some(*after), None),
        Effect::InvokeJob { job } | Effect::DriveAction { job } => (None, Some(*job)),
        // The id of an approval's job is the token that answers it: no job that may be one is named.
        Effect::NotifyApproval { .. }
        | Effect::ExtendAction { .. }
        | Effect::StopAction { .. }
        | Effect::AnswerGate { .. }
        | Effect::AnswerAction { .. }
        | Effect::AnswerCondition { .. }
        | Effect::CancelWaiting { .. }
        | Effect::PublishEvents { .. }
        | Effect::PurgeHistory { .. } => (None, None),
    }
}
