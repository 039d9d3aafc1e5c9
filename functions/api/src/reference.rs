//! Where an operation differs from CodePipeline's, each with its reason: what the reference page says.

use protocol::Operation;

/// Differences of `operation` from the same one of CodePipeline, in Markdown; none where it is meant to be the same.
///
/// Total on purpose: whoever adds an operation says here what is different about it.
pub fn differences(operation: Operation) -> &'static [&'static str] {
    use Operation as O;
    match operation {
        O::CreatePipeline => &[
            "An absent `pipelineType` is `V2`, not `V1`: rollback, conditions and variables need it.",
            "Roles are checked when an action runs, not when the pipeline is stored.",
            "Actions of providers that Lastgood does not run are stored, and fail when they are reached; \
             `ReportCompatibility` names them beforehand.",
        ],
        O::UpdatePipeline => &[
            "Targets of a rollback survive an update that leaves their stage's actions alone.",
            "A pipeline that is not there is `ResourceNotFoundException`, which the model does not declare for this \
             operation but the service is known to answer.",
        ],
        O::RollbackStage => &[
            "A target of an older pipeline version is accepted while the stage still does the same.",
            "A stage that is in use is taken from whoever is inside, who is cancelled and fenced; CodePipeline refuses. On a \
             bad night nobody wants to wait for a deploy that hangs.",
            "The inbound transition is held until a person opens it, or the queue would bring the bad revision back.",
        ],
        O::GetPipelineState => {
            &["`created` of a revision is when the action took it: one request answers the whole state."]
        }
        O::ListPipelineExecutions => &[
            "`succeededInStage` means that the stage succeeded and still does the same, whatever the pipeline's version.",
        ],
        O::AcknowledgeThirdPartyJob
        | O::GetThirdPartyJobDetails
        | O::PollForThirdPartyJobs
        | O::PutThirdPartyJobFailureResult
        | O::PutThirdPartyJobSuccessResult => &["Partners' actions are not served; use a custom action type."],
        O::RegisterWebhookWithThirdParty | O::DeregisterWebhookWithThirdParty => {
            &["Nobody is called: enter the URL of PutWebhook at the provider by hand."]
        }
        O::AcknowledgeJob
        | O::CreateCustomActionType
        | O::DeleteCustomActionType
        | O::DeletePipeline
        | O::DeleteWebhook
        | O::DisableStageTransition
        | O::EnableStageTransition
        | O::GetActionType
        | O::GetJobDetails
        | O::GetPipeline
        | O::GetPipelineExecution
        | O::ListActionExecutions
        | O::ListActionTypes
        | O::ListDeployActionExecutionTargets
        | O::ListPipelines
        | O::ListRuleExecutions
        | O::ListRuleTypes
        | O::ListTagsForResource
        | O::ListWebhooks
        | O::OverrideStageCondition
        | O::PollForJobs
        | O::PutActionRevision
        | O::PutApprovalResult
        | O::PutJobFailureResult
        | O::PutJobSuccessResult
        | O::PutWebhook
        | O::RetryStageExecution
        | O::StartPipelineExecution
        | O::StopPipelineExecution
        | O::TagResource
        | O::UntagResource
        | O::UpdateActionType
        | O::ListRollbackCandidates => &[],
    }
}
