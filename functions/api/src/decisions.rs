//! What was decided about going back.

use domain::{Evidence, RollbackOutcome};
use engine::{
    EngineError, HasStore,
    ports::{DecisionList, PageRequest, Store},
};
use protocol::wire::decisions::{
    DecisionOutcome, Incident, IncidentRollback, ListIncidentsOutput, ListRollbackDecisionsInput,
    ListRollbackDecisionsOutput, RankedSuspect, ReplayDecisionInput, ReplayDecisionOutput, RollbackDecision,
    RollbackEvidence,
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

/// ListIncidents.
pub(crate) async fn list_incidents<W: HasStore>(world: &W, listing: &Listing) -> Result<ListIncidentsOutput, Failure> {
    let page = world.store().open_incidents(listing.page()).await?;
    Ok(ListIncidentsOutput {
        incidents: page.items.into_iter().map(incident).collect(),
        next_token: listing.token(page.next)?,
    })
}

fn incident(incident: domain::Incident) -> Incident {
    let rollbacks = incident.rollbacks.into_iter().map(|one| IncidentRollback {
        pipeline_name: one.pipeline,
        stage_name: one.stage,
        rollback_pipeline_execution_id: one.rollback,
        undone_pipeline_execution_id: one.undone,
        started_at: one.at.into(),
        proof: one.proof,
    });
    Incident {
        alarm_arn: incident.alarm_arn,
        onset: incident.onset.into(),
        status: incident.status,
        rollbacks: rollbacks.collect(),
    }
}

/// Decisions of a stage that are looked through for one to take again.
const REPLAYED_MAX: u32 = 1000;

/// ReplayDecision.
pub(crate) async fn replay<W: HasStore>(
    world: &W,
    input: ReplayDecisionInput,
) -> Result<ReplayDecisionOutput, Failure> {
    let ReplayDecisionInput { pipeline_name: pipeline, stage_name: stage, decision_id: id } = input;
    let list = DecisionList::Stage(pipeline.clone(), stage.clone());
    let page = world.store().list_decisions(&list, PageRequest { limit: REPLAYED_MAX, after: None }).await?;
    let Some(decision) = page.items.into_iter().find(|decision| decision.id().to_string() == id) else {
        let view = engine::load_view(world, &pipeline).await?;
        engine::find_stage(&view, &stage)?;
        let message = format!("Stage '{stage}' of pipeline '{pipeline}' has no decision '{id}'.");
        return Err(EngineError::refused("ResourceNotFoundException", message).into());
    };
    let again = decision.evidence.as_ref().and_then(Evidence::replay);
    let (Some(evidence), Some(again)) = (decision.evidence, again) else {
        let message = format!("Decision '{id}' rests on no alarm: there is nothing to take it again from.");
        return Err(EngineError::refused("ResourceNotFoundException", message).into());
    };
    let text =
        |evidence: &Evidence| serde_json::to_string(evidence).map_err(|error| EngineError::Broken(error.to_string()));
    let (stored, replayed) = (text(&evidence)?, text(&again)?);
    Ok(ReplayDecisionOutput { identical: stored == replayed, stored, replayed })
}

fn decision(decision: domain::RollbackDecision) -> RollbackDecision {
    let decision_id = decision.id().to_string();
    let Decided { cause, by, alarm_arn, reason, forced } = Decided::from(decision.cause);
    let (outcome, rollback, target, reason) = match decision.outcome {
        RollbackOutcome::Started { rollback, target } => {
            (DecisionOutcome::RollbackStarted, Some(rollback), Some(target), reason)
        }
        RollbackOutcome::Declined { reason } => (DecisionOutcome::RollbackDeclined, None, None, Some(reason)),
        RollbackOutcome::Asked { reason } => (DecisionOutcome::RollbackAsked, None, None, Some(reason)),
        RollbackOutcome::Shadowed { target } => (DecisionOutcome::RollbackShadowed, None, target, reason),
        RollbackOutcome::ShadowEnded { still_red: true } => (DecisionOutcome::ShadowConfirmed, None, None, reason),
        RollbackOutcome::ShadowEnded { still_red: false } => (DecisionOutcome::ShadowCleared, None, None, reason),
        RollbackOutcome::Helped { rollback } => (DecisionOutcome::RollbackHelped, Some(rollback), None, reason),
        RollbackOutcome::DidNotHelp { rollback } => (DecisionOutcome::RollbackDidNotHelp, Some(rollback), None, reason),
        RollbackOutcome::Reinstated { rollback, comment, .. } => {
            (DecisionOutcome::RevisionReinstated, Some(rollback), None, Some(comment))
        }
        RollbackOutcome::HoldReleased { rollback, comment } => {
            (DecisionOutcome::HoldReleased, rollback, None, Some(comment))
        }
    };
    RollbackDecision {
        decision_id,
        decided_at: decision.at.into(),
        stage_name: decision.stage,
        outcome,
        cause,
        decided_by: by,
        forced: Some(true).filter(|_| forced),
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
        score: evidence.score,
        alarm_reason: Some(evidence.alarm.reason).filter(|reason| !reason.is_empty()),
        ranking: Some(evidence.ranking.into_iter().map(ranked).collect()),
        otherwise: Some(evidence.otherwise).filter(|text| !text.is_empty()),
    }
}

fn ranked(one: domain::RankedDeploy) -> RankedSuspect {
    RankedSuspect {
        pipeline_name: one.pipeline,
        stage_name: one.stage,
        pipeline_execution_id: one.execution,
        score: one.score,
        verdict: one.verdict,
    }
}
