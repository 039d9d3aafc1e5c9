//! Transitions between stages.

use domain::{PipelineName, StageName};

wire! {
    /// DisableStageTransition.
    DisableStageTransitionInput {
        pipeline_name: PipelineName,
        stage_name: StageName,
        transition_type: StageTransitionType,
        reason: String;
    }

    /// EnableStageTransition.
    EnableStageTransitionInput {
        pipeline_name: PipelineName,
        stage_name: StageName,
        transition_type: StageTransitionType;
    }
}

/// Into the stage, or out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum StageTransitionType {
    Inbound,
    Outbound,
}
