//! Holds of rollbacks: which stand, and lifting one.

use domain::{OpenHold, RollbackCause};
use engine::{HasAlarms, HasMachines, HasStore, ports::Store};
use protocol::wire::{
    decisions::DecisionCause,
    holds::{Hold, ListHoldsInput, ListHoldsOutput, ReleaseHoldInput, ReleaseHoldOutput},
};

use crate::{failure::Failure, paging::Listing};

/// ListHolds, by pipeline and stage.
pub(crate) async fn list<W: HasStore>(
    world: &W,
    listing: &Listing,
    input: ListHoldsInput,
) -> Result<ListHoldsOutput, Failure> {
    let page = world.store().list_holds(input.pipeline_name.as_ref(), listing.page()).await?;
    if let (Some(pipeline), true) = (&input.pipeline_name, page.items.is_empty()) {
        // Only then is it worth a request to tell "none" from "no such pipeline".
        engine::load_view(world, pipeline).await?;
    }
    Ok(ListHoldsOutput { holds: page.items.into_iter().map(hold).collect(), next_token: listing.token(page.next)? })
}

/// ReleaseHold.
pub(crate) async fn release<W: HasStore + HasMachines + HasAlarms>(
    world: &W,
    input: ReleaseHoldInput,
    caller: &str,
) -> Result<ReleaseHoldOutput, Failure> {
    let ReleaseHoldInput { pipeline_name, stage_name, comment } = input;
    let held = engine::release_hold(world, &pipeline_name, &stage_name, &comment, caller).await?;
    Ok(ReleaseHoldOutput { hold: hold(held) })
}

fn hold(OpenHold { pipeline, stage, hold }: OpenHold) -> Hold {
    let Decided { cause, by, alarm_arn, .. } = Decided::from(hold.cause);
    Hold {
        pipeline_name: pipeline,
        stage_name: stage,
        rollback_pipeline_execution_id: hold.rollback,
        target_pipeline_execution_id: hold.target,
        suspect_pipeline_execution_id: hold.suspect,
        cause,
        since: hold.since.into(),
        decided_by: by,
        alarm_arn,
    }
}

/// What led to a decision, as clients see it.
pub(crate) struct Decided {
    pub(crate) cause: DecisionCause,
    /// The person.
    pub(crate) by: Option<String>,
    pub(crate) alarm_arn: Option<String>,
    /// The alarm's own words, or the person's.
    pub(crate) reason: Option<String>,
    /// Whether a person went back although the stage was changed since.
    pub(crate) forced: bool,
}

impl From<RollbackCause> for Decided {
    fn from(cause: RollbackCause) -> Self {
        let automatic = |cause| Self { cause, by: None, alarm_arn: None, reason: None, forced: false };
        match cause {
            RollbackCause::Manual { by, reason, forced } => {
                Self { by: Some(by), reason, forced, ..automatic(DecisionCause::Person) }
            }
            RollbackCause::StageFailed { gate: None } => automatic(DecisionCause::StageFailed),
            RollbackCause::StageFailed { gate: Some(gate) } => Self {
                alarm_arn: Some(gate.alarm_arn),
                reason: Some(gate.reason),
                ..automatic(DecisionCause::StageFailed)
            },
            RollbackCause::Alarm { alarm_arn, reason } => {
                Self { alarm_arn: Some(alarm_arn), reason: Some(reason), ..automatic(DecisionCause::Alarm) }
            }
        }
    }
}
