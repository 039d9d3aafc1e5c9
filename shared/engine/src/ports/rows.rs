//! Rows that only the table knows.

use domain::{
    ActionName, ActionRun, ConditionRun, Effect, ExecutionId, ExecutionMode, Job, JobQueue, PipelineName, PipelineType,
    StageIndex, StageState, TaggedResource, Tags, Waiting,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A pipeline in the list of pipelines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineSummary {
    /// Name.
    pub name: PipelineName,
    /// Current version.
    pub pipeline_version: u32,
    /// Feature level.
    pub pipeline_type: PipelineType,
    /// Mode.
    pub mode: ExecutionMode,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its current version was stored.
    pub updated_at: Timestamp,
}

/// Where one version of a pipeline's declaration is, and its stages once it is not the current one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The version.
    pub pipeline_version: u32,
    /// S3 key of its declaration.
    pub key: String,
    /// SHA-256 of that object.
    pub digest: String,
    /// When the pipeline was created, which tells it from an earlier one of its name.
    pub created_at: Timestamp,
    /// Its stages, for executions that began in it and live through an update. Those of the current version are in the
    /// pipeline's row; of what an older version of this has updated they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageIndex>,
}

/// An execution that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenExecution {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// The execution.
    pub execution: ExecutionId,
    /// Name of the state machine execution that drives it.
    pub machine_name: String,
    /// When that was started.
    pub started_at: Timestamp,
}

/// A job in its queue, from when it is made until a worker acknowledges it or it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueuedJob {
    /// Where workers find it.
    pub queue: JobQueue,
    /// The job.
    pub job: Uuid,
    /// When it was made: the oldest is the first to go.
    pub created_at: Timestamp,
    /// Until when a worker may acknowledge it, and nobody else gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
}

impl QueuedJob {
    /// The row of `job` in its queue; none where job workers have no part in it.
    pub fn of(job: &Job) -> Option<Self> {
        let queue = job.queue.clone()?;
        Some(Self { queue, job: job.id, created_at: job.created_at, held_until: job.held_until })
    }
}

/// An effect in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingEffect {
    /// When it was decided.
    pub since: Timestamp,
    /// What to do. Its [`id`](Effect::id) is the row's key.
    pub effect: Effect,
}

/// Which Source action takes an S3 object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceBinding {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
    /// The pipeline that starts.
    pub pipeline: PipelineName,
    /// The Source action.
    pub action: ActionName,
}

/// Remembers what started an execution, so that the same cause starts no second one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartMarker {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The cause: a client's token, or bucket, key and version of an upload.
    pub cause: String,
    /// What it started.
    pub execution: ExecutionId,
    /// When the cause is forgotten, seconds since the epoch (DynamoDB's TTL).
    pub expires_at: i64,
    /// Orders uploads of one key, as S3 does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequencer: Option<String>,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}

/// Rows under the name of a pipeline that is not there any more.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remains {
    /// Stages.
    pub stages: Vec<StageState>,
    /// Latest runs of actions.
    pub actions: Vec<ActionRun>,
    /// Executions that waited.
    pub waiting: Vec<Waiting>,
    /// Latest evaluations of conditions.
    pub conditions: Vec<ConditionRun>,
}

/// A pipeline of this name was deleted: whoever creates the next one must have cleared away what the last one left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// The name.
    pub pipeline: PipelineName,
    /// When it was deleted last.
    pub at: Timestamp,
    /// Row version, another one for each deletion.
    #[serde(default)]
    pub version: u64,
}

/// Tags of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceTags {
    /// Whose.
    pub resource: TaggedResource,
    /// Its tags.
    pub tags: Tags,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}
