//! The lists in which decisions about going back are kept.

use domain::{ExecutionId, PipelineName, RollbackDecision, StageName};

/// A list that decisions about going back are kept in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecisionList {
    /// All there are.
    All,
    /// All of a pipeline.
    Pipeline(PipelineName),
    /// Those of a stage.
    Stage(PipelineName, StageName),
    /// Those that concern an execution.
    Execution(ExecutionId),
}

impl DecisionList {
    /// Every list that `decision` belongs to.
    pub fn all_of(decision: &RollbackDecision) -> Vec<Self> {
        let pipeline = decision.pipeline.clone();
        let mut lists =
            vec![Self::All, Self::Pipeline(pipeline.clone()), Self::Stage(pipeline, decision.stage.clone())];
        lists.extend(decision.concerns().into_iter().map(Self::Execution));
        lists
    }
}
