//! Manual approvals (spec 6.2).

use domain::{ActionName, ActionStatus, Addressee, JobEvent, JobStatus, PipelineName, StageName};
use jiff::Timestamp;

use crate::{
    EngineError, HasMachines, HasStore,
    actions::{Finished, finish},
    ports::Store,
    rollback::{find_stage, load_view},
};

/// Error code of a run that a person rejected. Nothing was deployed, so a rejection never rolls back.
pub(crate) const REJECTED: &str = "ApprovalRejected";

/// A person's answer.
#[derive(Debug, Clone)]
pub struct Approval {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The stage.
    pub stage: StageName,
    /// The approval action.
    pub action: ActionName,
    /// The token that GetPipelineState shows while the approval waits.
    pub token: String,
    /// Approved or rejected.
    pub approved: bool,
    /// Why, for people.
    pub summary: String,
    /// ARN of the person.
    pub by: String,
}

/// PutApprovalResult; returns when it was approved or rejected.
///
/// # Errors
/// Refusals `PipelineNotFoundException`, `StageNotFoundException`, `ActionNotFoundException`,
/// `InvalidApprovalTokenException`, `ApprovalAlreadyCompletedException`.
pub async fn put_approval<W: HasStore + HasMachines>(world: &W, approval: &Approval) -> Result<Timestamp, EngineError> {
    let view = load_view(world, &approval.pipeline).await?;
    let stage = find_stage(&view, &approval.stage)?;
    let is_approval = stage.action(&approval.action).is_some_and(|action| action.action_type.category == "Approval");
    if !is_approval {
        let message = format!("Stage '{}' has no approval action '{}'.", approval.stage, approval.action);
        return Err(EngineError::refused("ActionNotFoundException", message));
    }
    let invalid = || {
        let message =
            "The approval token is not valid, or the approval has expired. Read it anew with GetPipelineState.";
        EngineError::refused("InvalidApprovalTokenException", message)
    };
    let id = approval.token.parse().map_err(|_| invalid())?;
    let job = world.store().load_job(id).await?.filter(|job| {
        job.pipeline == approval.pipeline && job.stage == approval.stage && job.action == approval.action
    });
    let Some(job) = job.filter(|job| job.addressee() == Addressee::Person && job.status != JobStatus::TimedOut) else {
        return Err(invalid());
    };
    if job.status.is_ended() {
        let message = "This approval has been answered already.";
        return Err(EngineError::refused("ApprovalAlreadyCompletedException", message));
    }
    let event = if approval.approved { JobEvent::Succeed } else { JobEvent::Fail };
    let mut finished = if approval.approved {
        Finished::default()
    } else {
        Finished::failed(REJECTED, format!("Rejected: {}", approval.summary))
    };
    finished.summary = Some(approval.summary.clone());
    finished.by = Some(approval.by.clone());
    let key = (&job).into();
    finished.job = Some((job.id, event));
    match finish(world, &key, &finished).await? {
        ActionStatus::Abandoned => Err(invalid()),
        _ => Ok(world.now()),
    }
}
