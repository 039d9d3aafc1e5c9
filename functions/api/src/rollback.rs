//! Going back by hand: RollbackStage, and what a stage can go back to.

use domain::{RollbackCause, StageStatus};
use engine::{Candidate, HasMachines, HasObjects, HasStore};
use protocol::wire::rollback::{
    ListRollbackCandidatesInput, ListRollbackCandidatesOutput, RollbackCandidate, RollbackStageInput,
    RollbackStageOutput, StartRollbackInput, StartRollbackOutput,
};

use crate::{executions::source_revisions, failure::Failure, paging::Listing};

/// RollbackStage.
pub(crate) async fn start<W: HasStore + HasMachines + HasObjects>(
    world: &W,
    input: RollbackStageInput,
    caller: &str,
) -> Result<RollbackStageOutput, Failure> {
    let target = input.target_pipeline_execution_id;
    let cause = RollbackCause::by(caller);
    let id = engine::rollback_stage(world, &input.pipeline_name, &input.stage_name, target, cause).await?;
    Ok(RollbackStageOutput { pipeline_execution_id: id })
}

/// StartRollback.
pub(crate) async fn start_with_reason<W: HasStore + HasMachines + HasObjects>(
    world: &W,
    input: StartRollbackInput,
    caller: &str,
) -> Result<StartRollbackOutput, Failure> {
    let target = input.target_pipeline_execution_id;
    let forced = input.force.unwrap_or(false);
    let cause = RollbackCause::Manual { by: caller.to_owned(), reason: Some(input.reason), forced };
    let id = engine::rollback_stage(world, &input.pipeline_name, &input.stage_name, target, cause).await?;
    Ok(StartRollbackOutput { pipeline_execution_id: id })
}

/// ListRollbackCandidates: every past execution, newest first, with yes or the reasons why not.
pub(crate) async fn list_candidates<W: HasStore + HasObjects>(
    world: &W,
    listing: &Listing,
    input: ListRollbackCandidatesInput,
) -> Result<ListRollbackCandidatesOutput, Failure> {
    let stage = &input.stage_name;
    let page = engine::list_candidates(world, &input.pipeline_name, stage, listing.page()).await?;
    let candidate = |Candidate { execution, reasons, revoked_by }: Candidate| {
        let outcome = execution.stages.get(stage).filter(|outcome| outcome.status == StageStatus::Succeeded);
        RollbackCandidate {
            pipeline_execution_id: execution.id,
            eligible: reasons.is_empty(),
            reasons: reasons.iter().map(ToString::to_string).collect(),
            revoked: revoked_by.is_some(),
            status: Some(execution.phase.status()),
            start_time: Some(execution.started_at.into()),
            succeeded_at: outcome.and_then(|outcome| outcome.left_at).map(Into::into),
            pipeline_version: Some(execution.pipeline_version),
            source_revisions: Some(source_revisions(&execution)),
        }
    };
    Ok(ListRollbackCandidatesOutput {
        candidates: page.items.into_iter().map(candidate).collect(),
        next_token: listing.token(page.next)?,
    })
}
