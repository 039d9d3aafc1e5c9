//! Manual approvals.

use domain::{ActionName, PipelineName, StageName};

use super::Epoch;

wire! {
    /// PutApprovalResult; the token is that of the action's latest run.
    PutApprovalResultInput {
        pipeline_name: PipelineName,
        stage_name: StageName,
        action_name: ActionName,
        result: ApprovalResult,
        token: String;
    }

    /// The answer of a person.
    ApprovalResult { summary: String, status: ApprovalStatus; }

    /// PutApprovalResult's answer.
    PutApprovalResultOutput { approved_at: Epoch; }
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ApprovalStatus {
    Approved,
    Rejected,
}
