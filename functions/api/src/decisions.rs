//! What was decided about going back.

use domain::{Evidence, RollbackOutcome};
use engine::{
    HasStore,
    ports::{DecisionList, Store},
};
use protocol::wire::decisions::{
    DecisionOutcome, ListRollbackDecisionsInput, ListRollbackDecisionsOutput, RollbackDecision, RollbackEvidence,
};

use crate::{executions, failure::Failure, holds::Decided, paging::Listing};

/// ListRollbackDecisions, newest first.
pub(crate) async fn list<W: HasStore>(
    world: &W,
    listing: &Listing,
    input: ListRollbackDecisionsInput,
) -> Result<ListRollbackDecisionsOutput, Failure> {
    let ListRollbackDecisionsInput {
        pipeline_name: pipeline, stage_name: stage, pipeline_execution_id: execution, ..
    } = input;
    let list = match (&stage, execution) {
        (_, Some(execution)) => DecisionList::Execution(execution),
        (Some(stage), None) => DecisionList::Stage(pipeline.clone(), stage.clone()),
        (None, None) => DecisionList::Pipeline(pipeline.clone()),
    };
    let mut page = world.store().list_decisions(&list, listing.page()).await?;
    page.items.retain(|decision| decision.pipeline == pipeline);
    if page.items.is_empty() {
        // Only then is it worth more requests to tell "none" from "no such thing".
        let view = engine::load_view(world, &pipeline).await?;
        if let Some(stage) = &stage {
            engine::find_stage(&view, stage)?;
        }
        if let Some(id) = execution
            && world.store().load_execution(&pipeline, id).await?.is_none()
        {
            return Err(executions::missing(world, &pipeline, id).await?);
        }
    }
    // An execution is in few decisions, so its list is not kept by stage as well.
    page.items.retain(|decision| stage.as_ref().is_none_or(|stage| decision.stage == *stage));
    Ok(ListRollbackDecisionsOutput {
        decisions: page.items.into_iter().map(decision).collect(),
        next_token: listing.token(page.next)?,
    })
}

fn decision(decision: domain::RollbackDecision) -> RollbackDecision {
    let Decided { cause, by, alarm_arn, alarm_reason } = Decided::from(decision.cause);
    let (outcome, rollback, target, reason) = match decision.outcome {
        RollbackOutcome::Started { rollback, target } => {
            (DecisionOutcome::RollbackStarted, Some(rollback), Some(target), alarm_reason)
        }
        RollbackOutcome::Declined { reason } => (DecisionOutcome::RollbackDeclined, None, None, Some(reason)),
        RollbackOutcome::HoldReleased { rollback, comment } => {
            (DecisionOutcome::HoldReleased, Some(rollback), None, Some(comment))
        }
    };
    RollbackDecision {
        decided_at: decision.at.into(),
        stage_name: decision.stage,
        outcome,
        cause,
        decided_by: by,
        alarm_arn,
        reason,
        undone_pipeline_execution_id: decision.undone,
        target_pipeline_execution_id: target,
        rollback_pipeline_execution_id: rollback,
        evidence: decision.evidence.map(evidence),
    }
}

fn evidence(evidence: Evidence) -> RollbackEvidence {
    RollbackEvidence {
        verdict: evidence.verdict,
        reason: evidence.reason,
        pipeline_execution_id: evidence.execution,
        alarm_arn: evidence.alarm.arn,
        alarm_state: evidence.alarm.state,
        alarm_state_since: evidence.alarm.since.into(),
        alarm_state_at_entry: evidence.state_at_entry,
        watched_from: evidence.from.into(),
        watched_until: evidence.until.into(),
        alarm_reason: Some(evidence.alarm.reason).filter(|reason| !reason.is_empty()),
    }
}
