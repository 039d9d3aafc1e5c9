//! Inputs and outputs of the tasks.

use std::collections::BTreeMap;

use domain::{
    ActionExecutionId, ActionName, ActionStatus, ConditionAnswer, ConditionKind, ExecutionId, FailureAnswer,
    GateAnswer, Generation, PipelineName, RuleJobId, Script, StageName, StageReport,
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
    /// The action, or the rule.
    pub action: ActionName,
    /// The job of a rule that the state machine of a provider works on; null for actions.
    #[serde(default)]
    pub rule: Option<RuleJobId>,
    /// Task token of `RunAction`; answered with an [`ActionOutput`] when the action has ended.
    #[serde(default)]
    pub token: Option<String>,
    /// What the state machine of the action's provider has to say; with `Report` alone.
    #[serde(default)]
    pub report: Option<ActionReport>,
    /// Which file to read; with `Read` alone.
    #[serde(default)]
    pub file: Option<ArtifactFile>,
}

/// What run-action shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActionOperation {
    /// Start it, and answer the token when it has ended, now or later.
    Run,
    /// It did not end in time.
    Expire,
    /// The state machine of its provider says how its work stands.
    Report,
    /// Give the text of a file in an input artifact, to the state machine of its provider.
    Read,
}

/// A file in an input artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactFile {
    /// Name of the artifact.
    pub artifact: String,
    /// Path in it.
    pub path: String,
}

/// What the state machine of a provider says of its work. Members that are null say nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionReport {
    /// `InProgress`, `Succeeded` or `Failed`.
    pub status: ActionStatus,
    /// Id of the work at its provider.
    #[serde(default)]
    pub external_execution_id: Option<String>,
    /// Where a person sees it.
    #[serde(default)]
    pub external_execution_url: Option<String>,
    /// For people.
    #[serde(default)]
    pub summary: Option<String>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<ReportedError>,
    /// Output variables; with `Succeeded` alone.
    #[serde(default)]
    pub output_variables: Option<BTreeMap<String, String>>,
    /// What the work gave, as text: it is put into the output artifact as [`OUTPUT_FILE`]. With `Succeeded` alone, from
    /// providers that write no artifact themselves.
    #[serde(default)]
    pub output: Option<String>,
}

/// Name of the only file in an artifact that is made of a report.
pub const OUTPUT_FILE: &str = "output.json";

/// Why the work of a provider failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedError {
    /// A failure type of CodePipeline's, or the name of an error that Step Functions gave.
    pub code: String,
    /// What went wrong.
    pub message: String,
}

/// Input of the state machine of a provider, `actions/<Provider>.asl.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderInput {
    /// What to do.
    pub operation: ProviderOperation,
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
    /// The action, or the rule.
    pub action: ActionName,
    /// The job of the rule that the work is for; null for actions.
    #[serde(default)]
    pub rule: Option<RuleJobId>,
    /// The run of the action, or the job of the rule: unique, and the same whenever it is started again, so it makes the
    /// provider's work idempotent where the provider knows such a thing.
    pub action_execution_id: ActionExecutionId,
    /// Configuration of the action, variables resolved.
    pub configuration: BTreeMap<String, String>,
    /// The commands to run; null for all but Commands.
    #[serde(default)]
    pub script: Option<Script>,
    /// Input artifacts, by name.
    pub inputs: Vec<ArtifactAt>,
    /// Where the output artifacts go, by name.
    pub outputs: Vec<ArtifactAt>,
    /// KMS key of the artifact store; null where it has none of its own.
    pub kms_key: Option<String>,
    /// The role that the provider's work is started with.
    pub role_arn: String,
    /// The region.
    pub region: String,
    /// The account, 12 digits.
    pub account: String,
    /// Where AWS's console has its pages about the region, for links; null where it is not public.
    #[serde(default)]
    pub aws_console: Option<String>,
    /// Id of the work at its provider; with `Stop` alone, else null.
    pub external_execution_id: Option<String>,
}

/// What the state machine of a provider shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProviderOperation {
    /// Do the action's work and report.
    Run,
    /// Stop the work.
    Stop,
}

/// An artifact and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactAt {
    /// Its name.
    pub name: String,
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
}

/// How an action ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionOutput {
    /// `InProgress` while somebody else works on it.
    pub status: ActionStatus,
    /// The text of the file; of `Read` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Why there is no text; of `Read` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ReportedError>,
}

impl From<ActionStatus> for ActionOutput {
    fn from(status: ActionStatus) -> Self {
        Self { status, content: None, error: None }
    }
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
    /// Whether the stage's `onFailure` condition has been evaluated since; absent from machines of a version that cannot
    /// have it evaluated.
    #[serde(default)]
    pub evaluated: Option<bool>,
}

/// What to do about a failed stage.
pub type FailureOutput = FailureAnswer;
