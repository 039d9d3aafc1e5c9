//! Manual approvals (spec 6.2).

use domain::{
    ActionName, ActionRun, ActionStatus, Addressee, ExecutionMode, Job, JobEvent, JobStatus, PipelineName,
    PipelineView, StageName,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    EngineError, HasMachines, HasStore,
    actions::{End, Finished, finish},
    ports::Store,
    retry::latest_runs,
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
    let asked = load_asked(world, approval).await?;
    let Some(job) = asked.clone().filter(|job| !job.status.is_ended()) else {
        find_approval(&view, approval)?;
        let counts = match &asked {
            Some(job) => is_latest(world, &view, job).await?,
            None => false,
        };
        return Err(refuse(asked.as_ref().filter(|_| counts)));
    };
    // One that waits is known by the names that its stage and action had when it began: an update may have changed them.
    let event = if approval.approved { JobEvent::Succeed } else { JobEvent::Fail };
    // An answer may have an empty text, what is shown may not (spec 6.2, 7).
    let mut finished = match approval.summary.as_str() {
        _ if approval.approved => Finished::default(),
        "" => Finished::failed(REJECTED, "Rejected."),
        why => Finished::failed(REJECTED, format!("Rejected: {why}")),
    };
    finished.summary = Some(approval.summary.clone()).filter(|summary| !summary.is_empty());
    finished.by = Some(approval.by.clone());
    finished.job = Some((job.id, event));
    match finish(world, &(&job).into(), &finished).await? {
        End::Now(ActionStatus::Abandoned) => Err(refuse(None)),
        End::Now(_) => Ok(world.now()),
        // Somebody else was faster, or the time: how the approval ended tells.
        End::Before(_) => Err(refuse(world.store().load_job(job.id).await?.as_ref())),
    }
}

/// The approval that the token is of, where it is the one that is named.
async fn load_asked<W: HasStore>(world: &W, approval: &Approval) -> Result<Option<Job>, EngineError> {
    let Ok(id) = approval.token.parse::<Uuid>() else { return Ok(None) };
    let job = world.store().load_job(id).await?;
    Ok(job.filter(|job| {
        job.addressee() == Addressee::Person
            && (&job.pipeline, &job.stage, &job.action) == (&approval.pipeline, &approval.stage, &approval.action)
    }))
}

/// Whether the pipeline has an approval action of these names.
fn find_approval(view: &PipelineView, approval: &Approval) -> Result<(), EngineError> {
    let stage = find_stage(view, &approval.stage)?;
    if stage.action(&approval.action).is_some_and(|action| action.action_type.category == "Approval") {
        return Ok(());
    }
    let message = format!("Stage '{}' has no approval action '{}'.", approval.stage, approval.action);
    Err(EngineError::refused("ActionNotFoundException", message))
}

/// Whether the run that an approval was for is the latest one of its action. The token of one before it is none any more.
async fn is_latest<W: HasStore>(world: &W, view: &PipelineView, job: &Job) -> Result<bool, EngineError> {
    let runs = latest_runs(world, &job.pipeline, &job.stage, job.execution).await?;
    // Beside their stage none of PARALLEL executions is the latest.
    let is_latest =
        |run: &ActionRun| run.mode == ExecutionMode::Parallel || view.actions.iter().any(|latest| latest.id == run.id);
    Ok(runs.iter().any(|run| run.id == job.run && is_latest(run)))
}

/// Why an answer does not count, by the approval that its token is of, if it is of one.
fn refuse(job: Option<&Job>) -> EngineError {
    if job.is_some_and(|job| matches!(job.status, JobStatus::Succeeded | JobStatus::Failed)) {
        return EngineError::refused("ApprovalAlreadyCompletedException", "This approval has been answered already.");
    }
    let message = "The approval token is not valid, or the approval has expired. Read it anew with GetPipelineState.";
    EngineError::refused("InvalidApprovalTokenException", message)
}
