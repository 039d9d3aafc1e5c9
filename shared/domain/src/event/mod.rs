//! What happens to executions, stages and actions, as EventBridge tells it (spec 8): CodePipeline's detail-types, states
//! and members, and for rollbacks members of ours. Every type here is the form on the wire.

mod announce;
mod wire;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use announce::{Unread, events_of};

use crate::{
    ActionExecutionId, ActionName, ActionTypeId, ArtifactLocation, ExecutionId, ExecutionType, PipelineName, StageName,
    TriggerType, status::wire_enum,
};

/// What every event names as its source. Names that begin with `aws.` are for AWS alone (spec 8).
pub const EVENT_SOURCE: &str = "lastgood";

/// One change of state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// Of what, and to which state.
    pub change: StateChange,
}

/// Whose state changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "detail-type", content = "detail")]
pub enum StateChange {
    /// A pipeline execution's.
    #[serde(rename = "CodePipeline Pipeline Execution State Change")]
    Pipeline(PipelineChange),
    /// A stage's, in one execution.
    #[serde(rename = "CodePipeline Stage Execution State Change")]
    Stage(StageChange),
    /// That of one run of an action.
    #[serde(rename = "CodePipeline Action Execution State Change")]
    Action(Box<ActionChange>),
    /// Ours: what was decided about going back, and whether it helped.
    #[serde(rename = "Lastgood Rollback State Change")]
    Rollback(Box<RollbackChange>),
    /// Ours: an artifact that a rollback would need is lost, or is there again.
    #[serde(rename = "Lastgood Artifact State Change")]
    Artifact(Box<ArtifactChange>),
}

wire_enum! {
    /// The state that was reached.
    EventState {
        /// It began.
        Started = "STARTED",
        /// It ended well.
        Succeeded = "SUCCEEDED",
        /// It failed.
        Failed = "FAILED",
        /// What had failed or was stopped goes on by a retry.
        Resumed = "RESUMED",
        /// A stop was asked for.
        Stopping = "STOPPING",
        /// It was stopped.
        Stopped = "STOPPED",
        /// A newer execution took its waiting place.
        Superseded = "SUPERSEDED",
        /// The structure changed, or a rollback took its stage.
        Canceled = "CANCELED",
        /// It was given up.
        Abandoned = "ABANDONED",
        /// A rollback was due, and there was nothing to go back to.
        Declined = "DECLINED",
        /// A person is asked whether to go back; the stage is held.
        Asked = "ASKED",
        /// A rollback would have been started, but the stage is in shadow mode.
        Shadowed = "SHADOWED",
        /// A person took back that content is revoked.
        Reinstated = "REINSTATED",
        /// The alarm for which a rollback was started has cleared.
        Helped = "HELPED",
        /// The alarm is still red although the rollback was given its time.
        DidNotHelp = "DID_NOT_HELP",
        /// The hold on the stage was lifted.
        Released = "RELEASED",
        /// The artifact is not there any more.
        Gone = "GONE",
        /// Something else is in the artifact's place.
        Altered = "ALTERED",
        /// S3 refuses to show the artifact.
        Unreadable = "UNREADABLE",
        /// The artifact is there again as it was.
        Restored = "RESTORED",
    }
}

/// A pipeline execution reached a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PipelineChange {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The execution.
    pub execution_id: ExecutionId,
    /// When the execution began.
    #[serde(with = "wire::millis")]
    pub start_time: Timestamp,
    /// What started it: where it began, and of a Git trigger always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_trigger: Option<Box<ExecutionTrigger>>,
    /// Why a person stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_execution_comments: Option<String>,
    /// The state.
    pub state: EventState,
    /// Version of the pipeline the execution began in.
    #[serde(with = "wire::float")]
    pub version: u32,
    /// 1, and one more with each retry that a person asked for.
    #[serde(with = "wire::float")]
    pub pipeline_execution_attempt: u32,
    /// Ours: the same in every delivery of this event.
    pub event_id: Uuid,
    /// Ours: `ROLLBACK`, with the members below; absent for all other executions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_type: Option<ExecutionType>,
    /// Ours: the stage that is brought back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_stage: Option<StageName>,
    /// Ours: the execution that is brought back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_target_execution_id: Option<ExecutionId>,
    /// Ours: the execution that is undone, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_undone_execution_id: Option<ExecutionId>,
    /// Ours: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_cause: Option<AnnouncedCause>,
}

/// What started an execution (spec 2.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExecutionTrigger {
    /// Kind.
    pub trigger_type: TriggerType,
    /// A caller's ARN, or JSON in a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger_detail: Option<String>,
    /// Of a Git trigger, as is what follows: `GitHub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_type: Option<String>,
    /// `owner/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_repository_name: Option<String>,
    /// The branch that was pushed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch_name: Option<String>,
    /// The tag that was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag_name: Option<String>,
    /// Ours: the number of the pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request_id: Option<String>,
    /// The commit that the source takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_id: Option<String>,
    /// Who made the commit, or asks for the pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_display_name: Option<String>,
}

wire_enum! {
    /// Why a rollback was started.
    AnnouncedCause {
        /// A person asked for it.
        Manual = "MANUAL",
        /// The stage failed.
        StageFailed = "STAGE_FAILED",
        /// An alarm turned red, or metrics got worse, while the stage was watched or waited for its success condition.
        Alarm = "ALARM",
    }
}

/// A stage reached a state in an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StageChange {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The execution.
    pub execution_id: ExecutionId,
    /// When the execution entered the stage.
    #[serde(with = "wire::millis")]
    pub start_time: Timestamp,
    /// When the stage was last retried in the execution, by a person or by itself.
    #[serde(default, with = "wire::optional_millis", skip_serializing_if = "Option::is_none")]
    pub stage_last_retry_attempt_time: Option<Timestamp>,
    /// The stage.
    pub stage: StageName,
    /// The state.
    pub state: EventState,
    /// As of the pipeline execution.
    #[serde(with = "wire::float")]
    pub version: u32,
    /// As of the pipeline execution.
    #[serde(with = "wire::float")]
    pub pipeline_execution_attempt: u32,
    /// Ours: the same in every delivery of this event.
    pub event_id: Uuid,
}

/// A run of an action reached a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ActionChange {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The execution.
    pub execution_id: ExecutionId,
    /// When the run began.
    #[serde(with = "wire::millis")]
    pub start_time: Timestamp,
    /// The stage.
    pub stage: StageName,
    /// The action.
    pub action: ActionName,
    /// The run.
    pub action_execution_id: ActionExecutionId,
    /// Artifacts it reads.
    pub input_artifacts: Vec<EventArtifact>,
    /// Artifacts it writes.
    pub output_artifacts: Vec<EventArtifact>,
    /// How it ended; only where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_result: Option<ExecutionResult>,
    /// The state.
    pub state: EventState,
    /// Where it runs.
    pub region: String,
    /// Its type.
    #[serde(rename = "type")]
    pub action_type: ActionTypeId,
    /// As of the pipeline execution.
    #[serde(with = "wire::float")]
    pub version: u32,
    /// As of the pipeline execution.
    #[serde(with = "wire::float")]
    pub pipeline_execution_attempt: u32,
    /// Ours: the same in every delivery of this event.
    pub event_id: Uuid,
}

/// A decision about going back in a stage, or what became of one. That a rollback starts and ends is told as of every
/// execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RollbackChange {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The stage.
    pub stage: StageName,
    /// The execution it is about: the one that may be to blame, or the rollback.
    pub execution_id: ExecutionId,
    /// What was decided, or seen.
    pub state: EventState,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The alarm, where one led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm_arn: Option<String>,
    /// The rollback, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_execution_id: Option<ExecutionId>,
    /// The decision; `ListRollbackDecisions` tells more of it.
    pub decision_id: Uuid,
    /// The same in every delivery of this event.
    pub event_id: Uuid,
}

/// An artifact that a rollback of the stage would need was lost, or came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ArtifactChange {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The stage that could go back by it.
    pub stage: StageName,
    /// The execution that has the artifact.
    pub execution_id: ExecutionId,
    /// Its name, and where it is or was.
    pub artifact: LostArtifact,
    /// How it is found.
    pub state: EventState,
    /// What that means and what to do, for people.
    pub reason: String,
    /// Executions that the stage can go back to with all they need, as far as was looked. None: it cannot go back at all.
    pub ready_targets: u32,
    /// The same in every delivery of this event.
    pub event_id: Uuid,
}

/// An artifact, and where it is or was; or a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostArtifact {
    /// Its name; of a function, that of the action which invokes it.
    pub name: String,
    /// Where it was put, with the region of a bucket elsewhere; absent if the execution never had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3location: Option<ArtifactLocation>,
    /// The Lambda function, with the version or alias that was invoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
}

/// An artifact, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventArtifact {
    /// Its name.
    pub name: String,
    /// Where it is, without the region: CodePipeline's events tell bucket and key alone.
    pub s3location: ArtifactLocation,
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExecutionResult {
    /// A page about the work at its provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_execution_url: Option<String>,
    /// What happened, for people; of a failure, what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_execution_summary: Option<String>,
    /// Id of the work at its provider; never that of an approval, which was its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_execution_id: Option<String>,
    /// Failure type such as `JobFailed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

impl Event {
    /// Identity of the event: the same whenever it is delivered.
    pub fn id(&self) -> Uuid {
        match &self.change {
            StateChange::Pipeline(change) => change.event_id,
            StateChange::Stage(change) => change.event_id,
            StateChange::Action(change) => change.event_id,
            StateChange::Rollback(change) => change.event_id,
            StateChange::Artifact(change) => change.event_id,
        }
    }

    /// The state that was reached.
    pub fn state(&self) -> EventState {
        match &self.change {
            StateChange::Pipeline(change) => change.state,
            StateChange::Stage(change) => change.state,
            StateChange::Action(change) => change.state,
            StateChange::Rollback(change) => change.state,
            StateChange::Artifact(change) => change.state,
        }
    }
}
