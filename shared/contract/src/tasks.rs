//! Inputs and outputs of the tasks.

use domain::{
    ActionName, ActionStatus, ConditionAnswer, ConditionKind, ExecutionId, FailureAnswer, GateAnswer, Generation,
    PipelineName, StageName, StageReport,
};
use serde::{Deserialize, Serialize};

/// Input of the `pipeline-execution` machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionInput {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The execution it drives.
    pub execution_id: ExecutionId,
}

/// `PassGate` -> stage-gate: an execution wants to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateInput {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The execution.
    pub execution_id: ExecutionId,
    /// Task token; answered with a [`GateOutput`], at once or when the stage frees.
    pub token: String,
    /// Name of the state machine execution that asks.
    #[serde(default)]
    pub machine: Option<String>,
    /// The stage run that just ended.
    #[serde(default)]
    pub finished: Option<StageReport>,
}

/// What answers the token of a [`GateInput`].
pub type GateOutput = GateAnswer;

/// `RunAction`, `ExpireAction` -> run-action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionInput {
    /// What to do.
    pub operation: ActionOperation,
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The execution.
    pub execution_id: ExecutionId,
    /// The stage.
    pub stage: StageName,
    /// Generation to act under.
    pub generation: Generation,
    /// Run of the stage in this execution.
    pub attempt: u32,
    /// The action.
    pub action: ActionName,
    /// Task token of `RunAction`; answered with an [`ActionOutput`] when the action has ended.
    #[serde(default)]
    pub token: Option<String>,
}

/// What run-action shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActionOperation {
    /// Start it, and answer the token when it has ended, now or later.
    Run,
    /// It did not end in time.
    Expire,
}

/// How an action ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionOutput {
    /// `InProgress` while somebody else works on it.
    pub status: ActionStatus,
}

/// `EvaluateCondition`, `WaitForCondition` -> evaluate-condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionInput {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The execution.
    pub execution_id: ExecutionId,
    /// The stage.
    pub stage: StageName,
    /// Generation to act under.
    pub generation: Generation,
    /// Which condition.
    pub condition: ConditionKind,
    /// Run of the stage in this execution.
    #[serde(default = "first")]
    pub attempt: u32,
    /// When it was first looked at, seconds since the epoch; absent at the first look.
    #[serde(default)]
    pub since: Option<i64>,
    /// Task token of `WaitForCondition`; answered with a [`ConditionOutput`] when the wait ends before its time.
    #[serde(default)]
    pub token: Option<String>,
}

fn first() -> u32 {
    1
}

/// What a condition says. Answers the token of `WaitForCondition`.
pub type ConditionOutput = ConditionAnswer;

/// `SettleFailure` -> evaluate-rollback: a stage failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureInput {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The execution.
    pub execution_id: ExecutionId,
    /// The stage.
    pub stage: StageName,
    /// Generation the run acted under.
    pub generation: Generation,
    /// Run of the stage in this execution.
    pub attempt: u32,
    /// The condition that failed, if it was one.
    #[serde(default)]
    pub condition: Option<ConditionKind>,
}

/// What to do about a failed stage.
pub type FailureOutput = FailureAnswer;
