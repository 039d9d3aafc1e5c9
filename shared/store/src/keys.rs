//! Every key of the table. Nothing else builds a key string; README.md shows them all with what they answer.
//!
//! Parts are joined by `#`. Names of pipelines, stages and actions, ids and padded numbers cannot hold a `#`, so a key
//! stays unambiguous as long as text of others (ARNs, object keys, rule names) stands last, which it does.

use domain::{
    ActionRun, ActionTypeId, ConditionKind, ContentId, Effect, ExecutionId, ExecutionMode, JobQueue, PipelineName,
    Record, RollbackDecision, RuleRun, Slot, StageName, TaggedResource, Watch, WebhookName,
};
use engine::ports::{DecisionList, PendingEffect, QueuedJob, Row, SourceBinding};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Partition and sort key of one item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub(crate) partition: String,
    pub(crate) sort: String,
}

/// Items of one partition whose sort keys begin with `prefix` (all of them where it is empty).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) partition: String,
    pub(crate) prefix: String,
}

const ACTION_TYPES: &str = "ACTIONTYPES";
const DECISIONS: &str = "DECISIONS";
const PIPELINES: &str = "PIPELINES";
const OPEN: &str = "OPEN";
const REVOKED: &str = "REVOKED";
const OUTBOX: &str = "OUTBOX";
const WEBHOOKS: &str = "WEBHOOKS";
const RECONCILER: &str = "RECONCILER";
/// Sort key of a pipeline's own row, and of what is about all action types.
pub(crate) const META: &str = "META";
/// Sort key of a pipeline's row among its executions: after every id, so that it comes first where the newest do.
pub(crate) const HEAD: &str = "~";
/// Before executions that wait, among what is under a pipeline's key.
const WAITING: &str = "WAITING#";
/// Before what is due, of stages whose artifacts are looked at.
const KEPT: &str = "KEPT#";
/// Hexadecimal digits of a digest inside a sort key: 64 bits tell apart what else has the same key.
const DIGEST_DIGITS: usize = 16;

impl Key {
    /// Key of `row`. `position` is its place among the writes of its transaction: it keeps history records of one
    /// instant in the order in which they were written, and matters to no other row.
    pub(crate) fn of(row: &Row, position: usize) -> Self {
        match row {
            Row::Pipeline(index) => Self::pipeline(&index.name),
            Row::Head(index) => Self::new(executions(&index.name), HEAD),
            Row::Summary(summary) => Self::new(PIPELINES, &summary.name),
            Row::Definition(row) => Self::definition(&row.pipeline, row.pipeline_version),
            Row::Stage(row) => Self::stage(&row.pipeline, &row.name),
            Row::LatestAction(run) => {
                Self::new(pipeline(&run.pipeline), format!("ACTION#{}#{}", run.stage, run.action))
            }
            Row::Waiting(row) => {
                Self::new(pipeline(&row.pipeline), format!("{WAITING}{}#{:020}", row.stage, row.arrival))
            }
            Row::Execution(execution) => Self::execution(&execution.pipeline, execution.id),
            Row::OpenExecution(open) => Self::new(OPEN, format!("EXECUTION#{}#{}", open.pipeline, open.execution)),
            Row::Success(success) => Self::new(
                successes(&success.pipeline, &success.stage),
                format!("{}#{}", instant(success.at), success.execution),
            ),
            Row::Watch(watch) => Self::watch(watch),
            Row::OpenWatch(watch) => Self::open_watch(watch),
            Row::Revoked(revoked) => Self::revoked(&revoked.content),
            Row::Unrevoked(content) => Self::revoked(content),
            Row::Incident(incident) => Self::incident(&incident.alarm_arn),
            Row::OpenIncident(incident) => Self::new(OPEN, format!("INCIDENT#{}", digest(&[&incident.alarm_arn]))),
            Row::ActionRun(run) => Self::action_run(run),
            Row::Job(job) => Self::job(job.id),
            Row::QueuedJob(row) => Self::queued_job(row),
            Row::Condition(run) if run.mode == ExecutionMode::Parallel => {
                Self::condition(run.execution, &run.stage, run.kind)
            }
            Row::Condition(run) => {
                Self::new(pipeline(&run.pipeline), format!("CONDITION#{}#{}", run.stage, run.kind.as_str()))
            }
            Row::OpenCondition(run) => Self::new(
                OPEN,
                format!("CONDITION#{}#{}#{}#{}", run.pipeline, run.execution, run.stage, run.kind.as_str()),
            ),
            Row::RuleRun(run) => Self::rule_run(run),
            Row::Record(record) => Self::record(record, position),
            Row::Hold(held) => Self::new(OPEN, format!("{}{}", holds(Some(&held.pipeline)), held.stage)),
            Row::Decision(list, decision) => Self::decision(list, decision),
            Row::Effect(pending) => Self::effect(&pending.effect),
            Row::Kept(row) => Self::new(kept(&row.pipeline), &row.stage),
            Row::KeptDue(row) => Self::new(OPEN, format!("{KEPT}{}#{}#{}", instant(row.due), row.pipeline, row.stage)),
            Row::Slot(slot) => Self::slot(slot),
            Row::CustomType(custom) => Self::custom_type(&custom.info.id),
            Row::CustomTypeCount(_) => Self::custom_type_count(),
            Row::LastLook(_) => Self::last_look(),
            Row::Deletion(row) => Self::deletion(&row.pipeline),
            Row::Source(binding) => Self::source(binding),
            Row::Start(marker) => Self::start(&marker.pipeline, &marker.cause),
            Row::Webhook(webhook) => Self::webhook(&webhook.definition.name),
            Row::Tags(tags) => Self::tags(&tags.resource),
        }
    }

    /// A pipeline's own row.
    pub(crate) fn pipeline(name: &PipelineName) -> Self {
        Self::new(pipeline(name), META)
    }

    /// That a pipeline was deleted. Not under the pipeline's key, where versions before there was this row would stumble.
    pub(crate) fn deletion(name: &PipelineName) -> Self {
        Self::new(format!("DELETED#{name}"), META)
    }

    /// A stage, beside its pipeline's row.
    pub(crate) fn stage(of: &PipelineName, stage: &StageName) -> Self {
        Self::new(pipeline(of), format!("STAGE#{stage}"))
    }

    /// Where a version of a declaration is.
    pub(crate) fn definition(pipeline: &PipelineName, version: u32) -> Self {
        Self::new(format!("DEFINITIONS#{pipeline}"), format!("{version:010}"))
    }

    /// An execution. Its id is a UUID of version 7, whose text sorts by time.
    pub(crate) fn execution(pipeline: &PipelineName, id: ExecutionId) -> Self {
        Self::new(executions(pipeline), id)
    }

    /// A job.
    pub(crate) fn job(id: Uuid) -> Self {
        Self::new(format!("JOB#{}", id.hyphenated()), "JOB")
    }

    /// A custom action type.
    pub(crate) fn custom_type(id: &ActionTypeId) -> Self {
        let ActionTypeId { category, provider, version, .. } = id;
        Self::new(ACTION_TYPES, format!("TYPE#{category}#{provider}#{version}"))
    }

    /// How many of them are in use.
    pub(crate) fn custom_type_count() -> Self {
        Self::new(ACTION_TYPES, META)
    }

    /// What the reconciler notes of itself.
    pub(crate) fn last_look() -> Self {
        Self::new(RECONCILER, META)
    }

    /// Oldest first.
    fn queued_job(row: &QueuedJob) -> Self {
        Self::new(queue(&row.queue), format!("{}#{}", instant(row.created_at), row.job.hyphenated()))
    }

    /// The latest evaluation of a condition in a PARALLEL execution.
    pub(crate) fn condition(execution: ExecutionId, stage: &StageName, kind: ConditionKind) -> Self {
        Self::new(history(execution), format!("CONDITION#{stage}#{}", kind.as_str()))
    }

    /// What `cause` started. A client's token or an object key can be longer than a sort key (1024 bytes).
    pub(crate) fn start(pipeline: &PipelineName, cause: &str) -> Self {
        Self::new(format!("START#{pipeline}"), hex::encode(Sha256::digest(cause)))
    }

    /// A webhook. An account has few, so all are in one partition.
    pub(crate) fn webhook(name: &WebhookName) -> Self {
        Self::new(WEBHOOKS, name)
    }

    /// Tags of a resource.
    pub(crate) fn tags(resource: &TaggedResource) -> Self {
        Self::new(format!("TAGS#{}", resource.as_str()), "TAGS")
    }

    /// Several rules of a stage may watch one alarm, so the rule belongs to the key.
    fn watch(watch: &Watch) -> Self {
        Self::new(alarm(&watch.alarm_arn), format!("WATCH#{}#{}#{}", watch.pipeline, watch.stage, watch.rule))
    }

    /// Ordered by when the watch ends. An alarm's name may hold 255 characters of any script, too many for a sort key.
    fn open_watch(watch: &Watch) -> Self {
        let Watch { alarm_arn, pipeline, stage, rule, until, .. } = watch;
        let digest = digest(&[alarm_arn, rule]);
        Self::new(OPEN, format!("WATCH#{}#{pipeline}#{stage}#{digest}", instant(*until)))
    }

    /// Revoked content. What a person names may be longer than a sort key, and then there is no such row.
    pub(crate) fn revoked(content: &ContentId) -> Self {
        Self::new(REVOKED, content)
    }

    /// The latest incident of an alarm.
    pub(crate) fn incident(alarm_arn: &str) -> Self {
        Self::new(alarm(alarm_arn), "INCIDENT".to_owned())
    }

    fn action_run(run: &ActionRun) -> Self {
        Self::new(actions(&run.pipeline), format!("{}#{}#{}", run.execution, instant(run.started_at), run.id))
    }

    fn rule_run(run: &RuleRun) -> Self {
        Self::new(rules(&run.pipeline), format!("{}#{}#{}", run.execution, instant(run.started_at), run.state.id))
    }

    fn record(record: &Record, position: usize) -> Self {
        // Equal records of one transaction differ by position, of different transactions by what they say or when.
        let text = serde_json::to_string(record).unwrap_or_default();
        let digest = digest(&[&text]);
        Self::new(history(record.execution), format!("RECORD#{}#{position:03}#{digest}", instant(record.at)))
    }

    /// Whoever performed an effect knows what it is, not when it was decided. Events come after all else: where the bus
    /// is away for long, what executions wait for is still among those that are read.
    pub(crate) fn effect(effect: &Effect) -> Self {
        let last = if matches!(effect, Effect::PublishEvents { .. }) { "~" } else { "" };
        Self::new(OUTBOX, format!("{last}{}", effect.id()))
    }

    fn slot(slot: &Slot) -> Self {
        Self::new(slots(&slot.pipeline), format!("{}#{:02}", instant(slot.pipeline_created_at), slot.number))
    }

    fn decision(list: &DecisionList, decision: &RollbackDecision) -> Self {
        let text = serde_json::to_string(decision).unwrap_or_default();
        let Range { partition, prefix } = Range::decisions(list);
        Self::new(partition, format!("{prefix}{}#{}", instant(decision.at), digest(&[&text])))
    }

    /// The same decision in the list of all, by its key in its pipeline's list.
    pub(crate) fn among_all_decisions(of_pipeline: &Self) -> Self {
        Self::new(DECISIONS, &of_pipeline.sort)
    }

    fn source(binding: &SourceBinding) -> Self {
        Self::new(sources(&binding.bucket, &binding.key), format!("{}#{}", binding.pipeline, binding.action))
    }

    fn new(partition: impl Into<String>, sort: impl ToString) -> Self {
        Self { partition: partition.into(), sort: sort.to_string() }
    }
}

impl Range {
    /// A pipeline's row, stages, latest actions, latest conditions and waiting executions.
    pub(crate) fn pipeline(name: &PipelineName) -> Self {
        Self::all(pipeline(name))
    }

    /// Executions that wait in a pipeline, by stage and arrival.
    pub(crate) fn waiting(name: &PipelineName) -> Self {
        Self { partition: pipeline(name), prefix: WAITING.to_owned() }
    }

    /// All pipelines, by name.
    pub(crate) fn pipelines() -> Self {
        Self::all(PIPELINES.to_owned())
    }

    /// Executions of a pipeline, by start time.
    pub(crate) fn executions(pipeline: &PipelineName) -> Self {
        Self::all(executions(pipeline))
    }

    /// Successes of a stage, by time.
    pub(crate) fn successes(pipeline: &PipelineName, stage: &StageName) -> Self {
        Self::all(successes(pipeline, stage))
    }

    /// Runs of actions, by start of the execution and then of the run.
    pub(crate) fn action_runs(pipeline: &PipelineName, execution: Option<ExecutionId>) -> Self {
        Self { partition: actions(pipeline), prefix: execution.map(|id| format!("{id}#")).unwrap_or_default() }
    }

    /// Jobs that workers can get, oldest first.
    pub(crate) fn queued_jobs(of: &JobQueue) -> Self {
        Self::all(queue(of))
    }

    /// Custom action types.
    pub(crate) fn custom_types() -> Self {
        Self { partition: ACTION_TYPES.to_owned(), prefix: "TYPE#".to_owned() }
    }

    /// Evaluations of rules, by start of the execution and then of the evaluation.
    pub(crate) fn rule_runs(pipeline: &PipelineName, execution: Option<ExecutionId>) -> Self {
        Self { partition: rules(pipeline), prefix: execution.map(|id| format!("{id}#")).unwrap_or_default() }
    }

    /// Conditions of a PARALLEL execution.
    pub(crate) fn conditions(execution: ExecutionId) -> Self {
        Self { partition: history(execution), prefix: "CONDITION#".to_owned() }
    }

    /// Open conditions of all pipelines.
    pub(crate) fn open_conditions() -> Self {
        Self { partition: OPEN.to_owned(), prefix: "CONDITION#".to_owned() }
    }

    /// Watches of an alarm.
    pub(crate) fn watches(alarm_arn: &str) -> Self {
        Self { partition: alarm(alarm_arn), prefix: "WATCH#".to_owned() }
    }

    /// Open incidents of all pipelines.
    pub(crate) fn open_incidents() -> Self {
        Self { partition: OPEN.to_owned(), prefix: "INCIDENT#".to_owned() }
    }

    /// All revoked content.
    pub(crate) fn revoked() -> Self {
        Self::all(REVOKED.to_owned())
    }

    /// Open watches of all pipelines, by end.
    pub(crate) fn open_watches() -> Self {
        Self { partition: OPEN.to_owned(), prefix: "WATCH#".to_owned() }
    }

    /// Open executions of all pipelines.
    pub(crate) fn open_executions() -> Self {
        Self { partition: OPEN.to_owned(), prefix: "EXECUTION#".to_owned() }
    }

    /// Source actions that take an object.
    pub(crate) fn sources(bucket: &str, key: &str) -> Self {
        Self::all(sources(bucket, key))
    }

    /// Places taken in a pipeline that was created at this time.
    pub(crate) fn slots(pipeline: &PipelineName, created_at: Timestamp) -> Self {
        Self { partition: slots(pipeline), prefix: format!("{}#", instant(created_at)) }
    }

    /// Places taken in a pipeline and in those that had its name before.
    pub(crate) fn all_slots(pipeline: &PipelineName) -> Self {
        Self::all(slots(pipeline))
    }

    /// History of an execution, by time.
    pub(crate) fn records(execution: ExecutionId) -> Self {
        Self { partition: history(execution), prefix: "RECORD#".to_owned() }
    }

    /// Decisions about going back, by time.
    pub(crate) fn decisions(list: &DecisionList) -> Self {
        match list {
            DecisionList::All => Self::all(DECISIONS.to_owned()),
            DecisionList::Pipeline(pipeline) => Self::all(format!("DECISIONS#{pipeline}")),
            DecisionList::Stage(pipeline, stage) => Self::all(format!("DECISIONS#{pipeline}#{stage}")),
            DecisionList::Execution(execution) => {
                Self { partition: history(*execution), prefix: "DECISION#".to_owned() }
            }
        }
    }

    /// Holds of a pipeline or of all, by pipeline and stage.
    pub(crate) fn holds(pipeline: Option<&PipelineName>) -> Self {
        Self { partition: OPEN.to_owned(), prefix: holds(pipeline) }
    }

    /// What is kept for the stages of a pipeline, by stage.
    pub(crate) fn kept(pipeline: &PipelineName) -> Self {
        Self::all(kept(pipeline))
    }

    /// Stages whose artifacts are looked at, by when they are due.
    pub(crate) fn kept_due() -> Self {
        Self { partition: OPEN.to_owned(), prefix: KEPT.to_owned() }
    }

    /// Effects to perform, in no order that means anything.
    pub(crate) fn outbox() -> Self {
        Self::all(OUTBOX.to_owned())
    }

    /// All webhooks, by name.
    pub(crate) fn webhooks() -> Self {
        Self::all(WEBHOOKS.to_owned())
    }

    fn all(partition: String) -> Self {
        Self { partition, prefix: String::new() }
    }
}

/// Place of an effect among those to perform, oldest first.
pub(crate) fn effect_order(pending: &PendingEffect) -> String {
    format!("{}#{}", instant(pending.since), pending.effect.id())
}

fn pipeline(name: &PipelineName) -> String {
    format!("PIPELINE#{name}")
}

fn executions(pipeline: &PipelineName) -> String {
    format!("EXECUTIONS#{pipeline}")
}

fn successes(pipeline: &PipelineName, stage: &StageName) -> String {
    format!("SUCCESSES#{pipeline}#{stage}")
}

fn actions(pipeline: &PipelineName) -> String {
    format!("ACTIONS#{pipeline}")
}

/// Queues of one type differ by the queryable value, whose characters cannot be `#`.
fn queue(queue: &JobQueue) -> String {
    let ActionTypeId { category, owner, provider, version } = &queue.action_type;
    let value = queue.value.as_deref().unwrap_or_default();
    format!("JOBS#{owner}#{category}#{provider}#{version}#{value}")
}

fn rules(pipeline: &PipelineName) -> String {
    format!("RULES#{pipeline}")
}

fn alarm(arn: &str) -> String {
    format!("ALARM#{arn}")
}

fn history(execution: ExecutionId) -> String {
    format!("EXECUTION#{execution}")
}

fn slots(pipeline: &PipelineName) -> String {
    format!("SLOTS#{pipeline}")
}

fn holds(pipeline: Option<&PipelineName>) -> String {
    pipeline.map_or_else(|| "HOLD#".to_owned(), |pipeline| format!("HOLD#{pipeline}#"))
}

fn kept(pipeline: &PipelineName) -> String {
    format!("KEPT#{pipeline}")
}

fn sources(bucket: &str, key: &str) -> String {
    format!("SOURCE#{bucket}/{key}")
}

/// Microseconds since 1970, of one width so that text sorts as time (17 digits last for three thousand years).
fn instant(at: Timestamp) -> String {
    format!("{:017}", at.as_microsecond().max(0))
}

fn digest(parts: &[&str]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part.as_bytes());
    }
    hex::encode(sha.finalize())[..DIGEST_DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_sort_as_text() {
        let instants: Vec<_> =
            [-5, 0, 999, 1_700_000_000, 9_999_999_999].map(|s| instant(Timestamp::from_second(s).unwrap())).into();
        assert!(instants.is_sorted(), "{instants:?}");
        assert!(instants.iter().all(|text| text.len() == 17), "{instants:?}");
    }

    #[test]
    fn digests_depend_on_where_the_parts_end() {
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
    }
}
