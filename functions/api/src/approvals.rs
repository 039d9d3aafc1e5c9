//! Manual approvals.

use engine::{Approval, HasMachines, HasStore};
use protocol::wire::approvals::{ApprovalStatus, PutApprovalResultInput, PutApprovalResultOutput};

use crate::failure::Failure;

/// PutApprovalResult.
pub(crate) async fn put<W: HasStore + HasMachines>(
    world: &W,
    input: PutApprovalResultInput,
    caller: &str,
) -> Result<PutApprovalResultOutput, Failure> {
    let approval = Approval {
        pipeline: input.pipeline_name,
        stage: input.stage_name,
        action: input.action_name,
        token: input.token,
        approved: input.result.status == ApprovalStatus::Approved,
        summary: input.result.summary,
        by: caller.to_owned(),
    };
    let approved_at = engine::put_approval(world, &approval).await?.into();
    Ok(PutApprovalResultOutput { approved_at })
}
