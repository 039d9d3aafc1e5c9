//! Targets of deploy actions.

use domain::PipelineName;

use super::Epoch;

wire! {
    /// ListDeployActionExecutionTargets; 1 to 100 per page.
    ListDeployActionExecutionTargetsInput {
        action_execution_id: String;
        pipeline_name: PipelineName,
        filters: Vec<TargetFilter>,
        max_results: u32,
        next_token: String,
    }

    /// Which targets to list.
    #[derive(Default)]
    TargetFilter { ; name: String, values: Vec<String> }

    /// ListDeployActionExecutionTargets' answer.
    #[derive(Default)]
    ListDeployActionExecutionTargetsOutput { ; targets: Vec<DeployActionExecutionTarget>, next_token: String }

    /// One target of a deploy action.
    #[derive(Default)]
    DeployActionExecutionTarget {
        ;
        target_id: String,
        target_type: String,
        status: String,
        start_time: Epoch,
        end_time: Epoch,
        events: Vec<DeployTargetEvent>,
    }

    /// Something that happened on a target.
    #[derive(Default)]
    DeployTargetEvent {
        ;
        name: String,
        status: String,
        start_time: Epoch,
        end_time: Epoch,
        context: DeployTargetEventContext,
    }

    /// More about it.
    #[derive(Default)]
    DeployTargetEventContext { ; ssm_command_id: String, message: String }
}
