//! The table: rows, preconditions, and one question per access pattern.

use std::{collections::BTreeSet, future::Future};

use domain::{
    ActionExecutionId, ActionRun, ActionTypeId, ConditionKind, ConditionRun, ContentId, CustomType, CustomTypeCount,
    Effect, Execution, ExecutionId, Generation, Incident, Job, JobQueue, Kept, KeptDue, LastLook, OpenHold,
    PipelineIndex, PipelineName, PipelineView, Record, RevokedContent, RollbackDecision, RuleRun, Slot, StageName,
    StageState, Success, TaggedResource, Waiting, Watch, Webhook, WebhookName,
};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    DecisionList, Definition, Deletion, OpenExecution, PendingEffect, PipelineSummary, QueuedJob, Remains,
    ResourceTags, SourceBinding, StartMarker,
};

/// One row of the table.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// A pipeline. With its stages, latest actions, latest conditions and waiting executions under one key.
    Pipeline(PipelineIndex),
    /// The same row once more, at the head of the pipeline's executions: what rollbacks can go back to is one query.
    Head(PipelineIndex),
    /// A pipeline's line in the list of pipelines.
    Summary(PipelineSummary),
    /// Where one version of a pipeline's declaration is.
    Definition(Definition),
    /// A stage.
    Stage(StageState),
    /// Latest run of an action, beside its stage.
    LatestAction(ActionRun),
    /// An execution that waits.
    Waiting(Waiting),
    /// An execution. Newest first is one query, one by id one read.
    Execution(Execution),
    /// Marks an execution that has not ended, for the reconciler.
    OpenExecution(OpenExecution),
    /// A success in a stage; newest first is one query.
    Success(Success),
    /// A watch, by its alarm.
    Watch(Watch),
    /// The same watch in the list of open ones, for the reconciler.
    OpenWatch(Watch),
    /// Content that was rolled back from; all of it is one query, by what it is recognised by.
    Revoked(RevokedContent),
    /// The key of content that must not be revoked. No such row is ever stored: it is demanded to be absent.
    Unrevoked(ContentId),
    /// What was done about an alarm that is or was red, by its alarm.
    Incident(Incident),
    /// The same in the list of those that are open.
    OpenIncident(Incident),
    /// A run of an action. By execution, and newest first in each, is one query, also of one execution.
    ActionRun(ActionRun),
    /// A job.
    Job(Job),
    /// A job that workers can get; those of one queue are one query, oldest first.
    QueuedJob(QueuedJob),
    /// The latest evaluation of a condition: beside its stage, in PARALLEL mode beside its execution's history.
    Condition(ConditionRun),
    /// Marks a condition that waits, for those who look at it again.
    OpenCondition(ConditionRun),
    /// An evaluation of a rule. By execution, and newest first in each, is one query, also of one execution.
    RuleRun(RuleRun),
    /// A line of an execution's history.
    Record(Record),
    /// A place among the executions under way.
    Slot(Slot),
    /// A hold in the list of those that stand.
    Hold(OpenHold),
    /// A decision about going back, in one of the lists it belongs to.
    Decision(DecisionList, RollbackDecision),
    /// What is kept for a stage; those of a pipeline are one query.
    Kept(Kept),
    /// When it is looked at, in the list of all, by time.
    KeptDue(KeptDue),
    /// An effect that is still to be performed.
    Effect(PendingEffect),
    /// A custom action type, deleted ones too; all of them are one query.
    CustomType(CustomType),
    /// How many custom action types are in use.
    CustomTypeCount(CustomTypeCount),
    /// When the reconciler had last looked at everything.
    LastLook(LastLook),
    /// That a pipeline was deleted, for whoever creates the next one of its name.
    Deletion(Deletion),
    /// Which Source action takes an object.
    Source(SourceBinding),
    /// Remembers what an event or a client token started.
    Start(StartMarker),
    /// A webhook, in the list of all.
    Webhook(Webhook),
    /// Tags of a resource; as long as it exists, also where it has none.
    Tags(ResourceTags),
}

/// What must be true of a row for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// Anything.
    None,
    /// There is no such row, or it has expired.
    Absent,
    /// The row is at this version. The write stores the next one.
    Version(u64),
    /// The stage row is at this generation, or absent where it is zero.
    Generation(Generation),
    /// The row of an action's latest run is of this run.
    Run(ActionExecutionId),
}

/// One write of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Store `row`. Rows with a version are stored with [`Precondition::Version`] of the version they carry, plus one.
    Put(Row, Precondition),
    /// Remove the row with `row`'s key.
    Delete(Row),
    /// Remove the row with `row`'s key, and demand this of it.
    DeleteIf(Row, Precondition),
    /// Write nothing, but demand this of the row with `row`'s key.
    Check(Row, Precondition),
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// What it holds, in the list's order.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last.
    pub next: Option<String>,
}

/// Which part of a list to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// At most this many items (1 to 1000).
    pub limit: u32,
    /// [`Page::next`] of the page before.
    pub after: Option<String>,
}

/// Why the table did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Some precondition did not hold, or another transaction was faster: read again and decide again.
    #[error("another writer was faster")]
    Contended,
    /// The table did not answer, or is throttled: try again later.
    #[error("the table is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row cannot be understood, or a request is malformed. Trying again does not help.
    #[error("the table holds or was asked something unexpected: {0}")]
    Broken(String),
}

/// The table. Every read is strongly consistent.
pub trait Store: Send + Sync {
    /// A pipeline with its stages, latest actions, latest conditions and waiting executions; one query.
    fn load_pipeline(
        &self,
        name: &PipelineName,
    ) -> impl Future<Output = Result<Option<PipelineView>, StoreError>> + Send;

    /// Pipelines with their stages and waiting executions, in the order of `names`, those that are there: for showing, since
    /// they lack actions and conditions and are not of one moment. Two requests for up to a hundred rows each, and one query
    /// for each pipeline in which an execution can wait.
    fn load_glances(
        &self,
        names: &[PipelineName],
    ) -> impl Future<Output = Result<Vec<PipelineView>, StoreError>> + Send;

    /// The last deletion of a pipeline of this name, as far as anybody remembers.
    fn load_deletion(&self, name: &PipelineName) -> impl Future<Output = Result<Option<Deletion>, StoreError>> + Send;

    /// What a deleted pipeline has left under its name; one query. None where there is a pipeline.
    fn load_remains(&self, name: &PipelineName) -> impl Future<Output = Result<Option<Remains>, StoreError>> + Send;

    /// Pipelines by name.
    fn list_pipelines(
        &self,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<PipelineSummary>, StoreError>> + Send;

    /// Where a version of a pipeline's declaration is.
    fn load_definition(
        &self,
        pipeline: &PipelineName,
        pipeline_version: u32,
    ) -> impl Future<Output = Result<Option<Definition>, StoreError>> + Send;

    /// An execution.
    fn load_execution(
        &self,
        pipeline: &PipelineName,
        id: ExecutionId,
    ) -> impl Future<Output = Result<Option<Execution>, StoreError>> + Send;

    /// Those of `executions`, each of its pipeline, that are there, in no order; one request for up to a hundred.
    fn load_executions(
        &self,
        executions: &BTreeSet<(PipelineName, ExecutionId)>,
    ) -> impl Future<Output = Result<Vec<Execution>, StoreError>> + Send;

    /// Executions of a pipeline, newest first.
    fn list_executions(
        &self,
        pipeline: &PipelineName,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<Execution>, StoreError>> + Send;

    /// Executions of a pipeline, newest first; on the first page with the pipeline's own row, if it is there.
    fn list_executions_with_head(
        &self,
        pipeline: &PipelineName,
        page: PageRequest,
    ) -> impl Future<Output = Result<(Option<PipelineIndex>, Page<Execution>), StoreError>> + Send;

    /// Successes of a stage, newest first.
    fn list_successes(
        &self,
        pipeline: &PipelineName,
        stage: &StageName,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<Success>, StoreError>> + Send;

    /// A run of an action.
    fn load_action_run(
        &self,
        pipeline: &PipelineName,
        execution: ExecutionId,
        id: ActionExecutionId,
    ) -> impl Future<Output = Result<Option<ActionRun>, StoreError>> + Send;

    /// Runs of actions of a pipeline, or of one execution of it: those of the newest execution first, and of each the newest
    /// run first.
    fn list_action_runs(
        &self,
        pipeline: &PipelineName,
        execution: Option<ExecutionId>,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<ActionRun>, StoreError>> + Send;

    /// The latest evaluation of a condition in an execution that is PARALLEL. Others have it in their pipeline's view.
    fn load_condition(
        &self,
        execution: ExecutionId,
        stage: &StageName,
        kind: ConditionKind,
    ) -> impl Future<Output = Result<Option<ConditionRun>, StoreError>> + Send;

    /// Conditions that wait, of all pipelines.
    fn open_conditions(&self, page: PageRequest)
    -> impl Future<Output = Result<Page<ConditionRun>, StoreError>> + Send;

    /// Evaluations of rules of a pipeline, or of one execution of it: those of the newest execution first, and of each the
    /// newest first.
    fn list_rule_runs(
        &self,
        pipeline: &PipelineName,
        execution: Option<ExecutionId>,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<RuleRun>, StoreError>> + Send;

    /// A job.
    fn load_job(&self, id: Uuid) -> impl Future<Output = Result<Option<Job>, StoreError>> + Send;

    /// Jobs of a queue that no worker has acknowledged, oldest first.
    fn queued_jobs(
        &self,
        queue: &JobQueue,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<QueuedJob>, StoreError>> + Send;

    /// A custom action type, deleted or not.
    fn load_custom_type(
        &self,
        id: &ActionTypeId,
    ) -> impl Future<Output = Result<Option<CustomType>, StoreError>> + Send;

    /// Every custom action type, deleted ones too, by category, provider and version.
    fn custom_types(&self) -> impl Future<Output = Result<Vec<CustomType>, StoreError>> + Send;

    /// How many custom action types are in use.
    fn load_custom_type_count(&self) -> impl Future<Output = Result<CustomTypeCount, StoreError>> + Send;

    /// When the reconciler had last looked at everything; `None` where it has not noted that yet.
    fn load_last_look(&self) -> impl Future<Output = Result<Option<LastLook>, StoreError>> + Send;

    /// Watches of an alarm.
    fn watches_of(&self, alarm_arn: &str) -> impl Future<Output = Result<Vec<Watch>, StoreError>> + Send;

    /// What was done about an alarm.
    fn load_incident(&self, alarm_arn: &str) -> impl Future<Output = Result<Option<Incident>, StoreError>> + Send;

    /// Incidents that are open, of all pipelines.
    fn open_incidents(&self, page: PageRequest) -> impl Future<Output = Result<Page<Incident>, StoreError>> + Send;

    /// Watches that have not ended, of all pipelines, those that end first first.
    fn open_watches(&self, page: PageRequest) -> impl Future<Output = Result<Page<Watch>, StoreError>> + Send;

    /// Executions that have not ended, of all pipelines.
    fn open_executions(
        &self,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<OpenExecution>, StoreError>> + Send;

    /// What is kept for the stages of a pipeline, by stage.
    fn kept_of(&self, pipeline: &PipelineName) -> impl Future<Output = Result<Vec<Kept>, StoreError>> + Send;

    /// Stages whose artifacts are looked at, of all pipelines, those that are due first first.
    fn kept_due(&self, page: PageRequest) -> impl Future<Output = Result<Page<KeptDue>, StoreError>> + Send;

    /// Those of `contents` that are revoked; one request for up to a hundred.
    fn load_revoked(
        &self,
        contents: &[ContentId],
    ) -> impl Future<Output = Result<Vec<RevokedContent>, StoreError>> + Send;

    /// Everything that is revoked, by what it is recognised by.
    fn list_revoked(&self, page: PageRequest) -> impl Future<Output = Result<Page<RevokedContent>, StoreError>> + Send;

    /// Places among the executions under way that are taken, of the pipeline that was created at that time.
    fn slots_of(
        &self,
        pipeline: &PipelineName,
        created_at: Timestamp,
    ) -> impl Future<Output = Result<Vec<Slot>, StoreError>> + Send;

    /// Source actions that take the object `key` of `bucket`.
    fn sources_of(
        &self,
        bucket: &str,
        key: &str,
    ) -> impl Future<Output = Result<Vec<SourceBinding>, StoreError>> + Send;

    /// What `cause` started in `pipeline`.
    fn load_start(
        &self,
        pipeline: &PipelineName,
        cause: &str,
    ) -> impl Future<Output = Result<Option<StartMarker>, StoreError>> + Send;

    /// A webhook.
    fn load_webhook(&self, name: &WebhookName) -> impl Future<Output = Result<Option<Webhook>, StoreError>> + Send;

    /// Webhooks by name.
    fn list_webhooks(&self, page: PageRequest) -> impl Future<Output = Result<Page<Webhook>, StoreError>> + Send;
    /// Tags of a resource; none where there is no such resource.
    fn load_tags(
        &self,
        resource: &TaggedResource,
    ) -> impl Future<Output = Result<Option<ResourceTags>, StoreError>> + Send;

    /// History of an execution, oldest first.
    fn list_records(
        &self,
        execution: ExecutionId,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<Record>, StoreError>> + Send;

    /// Decisions about going back, newest first.
    fn list_decisions(
        &self,
        list: &DecisionList,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<RollbackDecision>, StoreError>> + Send;

    /// Holds that stand, of one pipeline or all, by pipeline and stage.
    fn list_holds(
        &self,
        pipeline: Option<&PipelineName>,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<OpenHold>, StoreError>> + Send;

    /// Effects that are still to be performed, oldest first. What only a newer release can read is passed over, and an error
    /// once nothing else is left.
    fn pending_effects(
        &self,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<PendingEffect>, StoreError>> + Send;

    /// Takes effects that were performed out of the outbox. Where this fails, some may be gone all the same.
    fn forget_effects(&self, effects: &[Effect]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Stores all writes or none. At most [`WRITES_MAX`] of them, each of another row.
    fn commit(&self, writes: Vec<Write>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes up to a few hundred executions, runs, records, decisions and successes, and all places, of a pipeline that
    /// was created at `created_at`, or where nobody knows, of executions older than `before`; `true` when none are left.
    fn purge_history(
        &self,
        pipeline: &PipelineName,
        created_at: Option<Timestamp>,
        before: ExecutionId,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// Most writes in one transaction (DynamoDB: 100).
pub const WRITES_MAX: usize = 100;
