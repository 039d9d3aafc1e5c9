//! A pipeline execution and the runs of its actions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ActionExecutionId, ActionName, ActionStatus, ActionTypeId, ActionTypeUrls, ArtifactDigest, ContentId, ExecutionId,
    ExecutionMode, ExecutionType, Generation, JobQueue, Phase, PhaseEvent, PipelineName, Rejected, RevokedContent,
    RollbackCause, Slot, StageName, StageState, StageStatus, TriggerType,
};

/// The row of a pipeline execution: the truth about where it is and what it carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    /// Its id; sorts by start time.
    pub id: ExecutionId,
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Version the execution started in.
    pub pipeline_version: u32,
    /// Standard or rollback.
    pub execution_type: ExecutionType,
    /// The pipeline's mode at start.
    pub mode: ExecutionMode,
    /// What started it.
    pub trigger: Trigger,
    /// When.
    pub started_at: Timestamp,
    /// Last change of this row.
    pub updated_at: Timestamp,
    /// Where it is.
    pub phase: Phase,
    /// Why it is there, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_summary: Option<String>,
    /// Number of the state machine execution that drives it; raised by a manual retry.
    pub attempt: u32,
    /// The stop that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopTrigger>,
    /// Pipeline-level variables, resolved.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Object versions to take, by Source action, fixed when it started.
    #[serde(default)]
    pub pins: BTreeMap<ActionName, SourcePin>,
    /// What its Source actions took.
    #[serde(default)]
    pub revisions: Vec<SourceRevision>,
    /// What that can be recognised by in other executions, by Source action; older executions have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contents: BTreeMap<ActionName, ContentId>,
    /// By what else it is recognised, where that is something: what executions of an earlier version have in `contents`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub earlier_contents: BTreeMap<ActionName, ContentId>,
    /// What of it was revoked when that was last looked up, which it is before every decision about a gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Box<RevokedContent>>,
    /// Output variables by namespace.
    #[serde(default)]
    pub outputs: BTreeMap<String, BTreeMap<String, String>>,
    /// Artifacts by name.
    #[serde(default)]
    pub artifacts: BTreeMap<String, ArtifactLocation>,
    /// Digests of those artifacts of which S3 told one when they were made; executions of older versions have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digests: BTreeMap<String, ArtifactDigest>,
    /// What became of each stage it entered.
    #[serde(default)]
    pub stages: BTreeMap<StageName, StageOutcome>,
    /// For executions of type ROLLBACK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackOf>,
    /// Its place among those under way, until it has ended; in SUPERSEDED mode there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// When its pipeline was created, which tells that one from others of its name; absent in rows of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_created_at: Option<Timestamp>,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}

/// What started an execution (spec 2.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// Kind.
    pub trigger_type: TriggerType,
    /// Free text of at most 1024 characters: a caller's ARN, or JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger_detail: Option<String>,
    /// The action that started it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starter: Option<Starter>,
}

/// The action of another pipeline of this installation that started an execution, and waits for its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Starter {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Its execution.
    pub execution: ExecutionId,
    /// The action.
    pub action: ActionName,
}

/// What a Source action shall take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourcePin {
    /// Key, where it differs from the declared one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Object version, commit or image digest: what the provider calls a revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// What a Source action took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceRevision {
    /// The Source action.
    pub action_name: ActionName,
    /// Name of the artifact it became, the first of several; empty where it became none.
    pub artifact_name: String,
    /// Names of the others. Apart, so that versions of before read the row, and this one reads theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_artifacts: Vec<String>,
    /// Object version.
    pub revision_id: String,
    /// ETag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_change_identifier: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_summary: Option<String>,
    /// When the object was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
}

/// Where an artifact is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactLocation {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
    /// Region of the bucket; absent, the pipeline's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// What became of one stage in one execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageOutcome {
    /// Status of the stage in this execution.
    pub status: StageStatus,
    /// Digest of the stage's behaviour when it ran.
    pub fingerprint: String,
    /// When it was entered.
    pub entered_at: Timestamp,
    /// When it was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_at: Option<Timestamp>,
    /// The rollback that took this success back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_by: Option<ExecutionId>,
    /// Run of the stage in this execution, from 1; raised by each retry.
    #[serde(default = "first")]
    pub attempt: u32,
    /// When it was last retried, by a person or by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried_at: Option<Timestamp>,
    /// Whether an automatic retry has been spent.
    #[serde(default)]
    pub auto_retried: bool,
    /// Actions that succeeded in an earlier run and are not run again by this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<ActionName>,
}

fn first() -> u32 {
    1
}

/// The mode of runs that are older than this member: each is stored as the latest run of its action.
fn one_at_a_time() -> ExecutionMode {
    ExecutionMode::Superseded
}

/// A person asked for a stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StopTrigger {
    /// The caller's ARN.
    pub by: String,
    /// Why: at most 200 characters (spec 6.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a rollback execution brings back, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollbackOf {
    /// The stage; no other is touched.
    pub stage: StageName,
    /// The execution whose revisions, variables and artifacts are used.
    pub target: ExecutionId,
    /// The execution that is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<ExecutionId>,
    /// Digest of the stage's behaviour when the rollback began; absent in rows of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Why.
    pub cause: RollbackCause,
}

/// One run of one action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionRun {
    /// Its id.
    pub id: ActionExecutionId,
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Its execution.
    pub execution: ExecutionId,
    /// Version of the pipeline the execution started in.
    pub pipeline_version: u32,
    /// Number of the state machine that drove the execution when the run began.
    #[serde(default = "first")]
    pub execution_attempt: u32,
    /// The execution's mode: of PARALLEL executions, none has the latest run of an action.
    #[serde(default = "one_at_a_time")]
    pub mode: ExecutionMode,
    /// Its stage.
    pub stage: StageName,
    /// Its action.
    pub action: ActionName,
    /// Its type.
    pub action_type: ActionTypeId,
    /// Generation of the stage it runs under; a newer one on the stage makes it powerless.
    pub generation: Generation,
    /// Status.
    pub status: ActionStatus,
    /// When it started.
    pub started_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// Role it runs as: its own, or the pipeline's.
    pub role_arn: String,
    /// Region it runs in; absent, the pipeline's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// As declared.
    #[serde(default)]
    pub configuration: BTreeMap<String, String>,
    /// With references resolved.
    #[serde(default)]
    pub resolved_configuration: BTreeMap<String, String>,
    /// Keys of the configuration whose values only whoever does the work may see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_keys: Vec<String>,
    /// Links of its type, as templates; custom actions only.
    #[serde(default)]
    pub urls: ActionTypeUrls,
    /// Artifacts read.
    #[serde(default)]
    pub inputs: BTreeMap<String, ArtifactLocation>,
    /// Artifacts written.
    #[serde(default)]
    pub outputs: BTreeMap<String, ArtifactLocation>,
    /// Namespace of its output variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Output variables.
    #[serde(default)]
    pub output_variables: BTreeMap<String, String>,
    /// The job that is out for it, or was last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Uuid>,
    /// Where job workers find its jobs; custom actions only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<JobQueue>,
    /// The revision it worked on, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<SourceRevision>,
    /// Id of the work at its provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// How much of the work is done, 0 to 100, where the provider tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent_complete: Option<u8>,
    /// What happened, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Failure type such as `JobFailed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// How far a run that needs several invocations has come; its action knows the form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<serde_json::Value>,
    /// Token that answers a manual approval, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_token: Option<String>,
    /// ARN of the person who answered it; runs of older versions do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<String>,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}

impl ActionRun {
    /// Whether it is that of this attempt at its stage. No clock tells: its id is made of the attempt.
    pub fn is_of_attempt(&self, attempt: u32) -> bool {
        self.id == ActionExecutionId::of_run(self.execution, &self.stage, self.generation, attempt, &self.action)
    }
}

impl Execution {
    /// Applies `event` to the phase.
    ///
    /// # Errors
    /// As [`Phase::after`]; the execution is unchanged then.
    pub fn advance(&mut self, event: &PhaseEvent, now: Timestamp) -> Result<(), Rejected> {
        self.phase = self.phase.after(event)?;
        self.updated_at = now;
        Ok(())
    }

    /// The generation under which it acts on `stage`. PARALLEL executions share stages without a lock, so nothing but
    /// their own retries takes the right to act from them: theirs is the number of their state machine.
    pub fn generation_in(&self, stage: &StageState) -> Generation {
        match self.mode {
            ExecutionMode::Parallel => Generation(self.attempt.into()),
            ExecutionMode::Superseded | ExecutionMode::Queued => stage.generation,
        }
    }

    /// Name that makes starting its state machine idempotent (at most 80 characters, spec 10.5).
    pub fn machine_name(&self) -> String {
        format!("{}-{}", self.id, self.attempt)
    }

    /// The execution whose revisions this one deploys: itself, or the target of a rollback.
    pub fn revision_of(&self) -> ExecutionId {
        self.rollback.as_ref().map_or(self.id, |rollback| rollback.target)
    }
}

impl SourceRevision {
    /// Names of all artifacts that it became.
    pub fn artifacts(&self) -> impl Iterator<Item = &str> {
        let first = Some(self.artifact_name.as_str()).filter(|name| !name.is_empty());
        first.into_iter().chain(self.more_artifacts.iter().map(String::as_str))
    }
}
