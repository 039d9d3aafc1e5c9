//! The table as the use cases see it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_types::SdkConfig;
use domain::{
    ActionExecutionId, ActionRun, ActionTypeId, ConditionKind, ConditionRun, ContentId, CustomType, CustomTypeCount,
    Effect, Execution, ExecutionId, Incident, Job, JobQueue, Kept, KeptDue, LastLook, OpenHold, PipelineIndex,
    PipelineName, PipelineView, Record, RevokedContent, RollbackDecision, RuleRun, Slot, StageName, StageState,
    Success, TaggedResource, Watch, Webhook, WebhookName,
};
use engine::ports::{
    Clock, DecisionList, Definition, Deletion, OpenExecution, Page, PageRequest, PendingEffect, PipelineSummary,
    QueuedJob, Remains, ResourceTags, SourceBinding, StartMarker, Store, StoreError, Write,
};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use uuid::Uuid;

use crate::backend::Backend;
use crate::commit::planned;
use crate::dynamodb::DynamoDb;
use crate::keys::{HEAD, Key, META, Range, effect_order};
use crate::query::{Direction, Filter, Part, page_limit};
use crate::usage::Usage;

/// Most effects read at once: tens of megabytes where each holds the plan of a large stage.
const OUTBOX_READ_MAX: usize = 2000;

/// Pipelines whose waiting executions are read at the same time.
const READS_PARALLEL_MAX: usize = 20;

/// The table that holds everything, in DynamoDB unless said otherwise. Clones share their counters.
#[derive(Clone)]
pub struct Table<B = DynamoDb> {
    pub(crate) backend: B,
    /// Tells what has expired.
    pub(crate) clock: Arc<dyn Clock>,
}

impl<B: fmt::Debug> fmt::Debug for Table<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Table").field("backend", &self.backend).finish_non_exhaustive()
    }
}

impl Table {
    /// Over a client made from `config`; what expires is gone when `clock` says so.
    pub fn connect(config: &SdkConfig, name: impl Into<String>, clock: impl Clock + 'static) -> Self {
        Self::new(Client::new(config), name, clock)
    }

    /// Opens the table called `name`, which must have the shape that [`create_table`](crate::create_table) gives it.
    pub fn new(client: Client, name: impl Into<String>, clock: impl Clock + 'static) -> Self {
        Self { backend: DynamoDb { client, name: name.into(), counters: Arc::default() }, clock: Arc::new(clock) }
    }

    /// What was asked of the table since it was opened.
    pub fn usage(&self) -> Usage {
        self.backend.counters.usage()
    }
}

impl<B: Backend> Table<B> {
    /// Everything under a pipeline's key: its row, if it is there, and the others.
    async fn under(&self, name: &PipelineName) -> Result<(Option<PipelineIndex>, Remains), StoreError> {
        let range = Range::pipeline(name);
        let items = Box::pin(self.backend.items(&Part::all(&range, Direction::Forward), None, None)).await?;
        let (mut index, mut others) = (None, Remains::default());
        for item in items {
            match B::kind(&item) {
                "Pipeline" if B::key(&item).sort == META => index = Some(B::row(item)?),
                "Stage" => others.stages.push(B::row(item)?),
                "LatestAction" => others.actions.push(B::row(item)?),
                "Waiting" => others.waiting.push(B::row(item)?),
                "Condition" => others.conditions.push(B::row(item)?),
                other => {
                    let sort = B::key(&item).sort;
                    return Err(StoreError::Broken(format!("the item {sort} of pipeline {name} has type '{other}'")));
                }
            }
        }
        Ok((index, others))
    }

    /// Nobody waits before a stage that is free and open, or that nobody ever waited for: then there is nothing to read.
    async fn with_waiting(&self, mut view: PipelineView) -> Result<PipelineView, StoreError> {
        let is_shut = |stage: &StageState| stage.occupant.is_some() || !stage.inbound.enabled;
        if view.stages.values().any(|stage| stage.arrivals > 0 && is_shut(stage)) {
            view.waiting = self.all(&Part::all(&Range::waiting(&view.index.name), Direction::Forward)).await?;
        }
        Ok(view)
    }
}

impl<B: Backend> Store for Table<B> {
    async fn load_pipeline(&self, name: &PipelineName) -> Result<Option<PipelineView>, StoreError> {
        let (index, Remains { stages, actions, waiting, conditions }) = self.under(name).await?;
        let stages = stages.into_iter().map(|stage| (stage.name.clone(), stage)).collect();
        Ok(index.map(|index| PipelineView { stages, actions, waiting, conditions, ..PipelineView::new(index) }))
    }

    async fn load_glances(&self, names: &[PipelineName]) -> Result<Vec<PipelineView>, StoreError> {
        let indexes: Vec<PipelineIndex> = self.get_all(names.iter().map(Key::pipeline).collect()).await?;
        let of_stages = |index: &PipelineIndex| -> Vec<Key> {
            index.stages.iter().map(|stage| Key::stage(&index.name, &stage.name)).collect()
        };
        let stages: Vec<StageState> = self.get_all(indexes.iter().flat_map(of_stages).collect()).await?;
        let of_name = |index: PipelineIndex| (index.name.clone(), PipelineView::new(index));
        let mut views: BTreeMap<PipelineName, PipelineView> = indexes.into_iter().map(of_name).collect();
        for stage in stages {
            if let Some(view) = views.get_mut(&stage.pipeline) {
                view.stages.insert(stage.name.clone(), stage);
            }
        }
        let in_order: Vec<PipelineView> = names.iter().filter_map(|name| views.remove(name)).collect();
        stream::iter(in_order)
            .map(async |view| self.with_waiting(view).await)
            .buffered(READS_PARALLEL_MAX)
            .try_collect()
            .await
    }

    async fn load_deletion(&self, name: &PipelineName) -> Result<Option<Deletion>, StoreError> {
        self.get(&Key::deletion(name)).await
    }

    async fn load_remains(&self, name: &PipelineName) -> Result<Option<Remains>, StoreError> {
        let (index, remains) = self.under(name).await?;
        Ok(index.is_none().then_some(remains))
    }

    async fn list_pipelines(&self, page: PageRequest) -> Result<Page<PipelineSummary>, StoreError> {
        self.page(&Range::pipelines(), Direction::Forward, page).await
    }

    async fn load_definition(
        &self,
        pipeline: &PipelineName,
        pipeline_version: u32,
    ) -> Result<Option<Definition>, StoreError> {
        self.get(&Key::definition(pipeline, pipeline_version)).await
    }

    async fn load_execution(&self, pipeline: &PipelineName, id: ExecutionId) -> Result<Option<Execution>, StoreError> {
        self.get(&Key::execution(pipeline, id)).await
    }

    async fn load_executions(
        &self,
        executions: &BTreeSet<(PipelineName, ExecutionId)>,
    ) -> Result<Vec<Execution>, StoreError> {
        self.get_all(executions.iter().map(|(pipeline, id)| Key::execution(pipeline, *id)).collect()).await
    }

    async fn list_executions(&self, pipeline: &PipelineName, page: PageRequest) -> Result<Page<Execution>, StoreError> {
        let page = PageRequest { after: page.after.or_else(|| Some(HEAD.to_owned())), ..page };
        self.page(&Range::executions(pipeline), Direction::Backward, page).await
    }

    async fn list_executions_with_head(
        &self,
        pipeline: &PipelineName,
        page: PageRequest,
    ) -> Result<(Option<PipelineIndex>, Page<Execution>), StoreError> {
        if page.after.is_some() {
            return Ok((None, self.list_executions(pipeline, page).await?));
        }
        let limit = page_limit(&page)?;
        let range = Range::executions(pipeline);
        // The head, and one more execution than asked for, which tells whether another page follows.
        let mut items =
            Box::pin(self.backend.items(&Part::all(&range, Direction::Backward), Some(limit + 2), None)).await?;
        let has_head = items.first().is_some_and(|item| B::key(item).sort == HEAD);
        let head = has_head.then(|| B::row(items.remove(0))).transpose()?;
        let found = self.page_of(items, limit)?;
        match found.next {
            // As everywhere, a page is not empty while another follows.
            Some(after) if found.items.is_empty() => {
                let page = PageRequest { after: Some(after), ..page };
                Ok((head, self.page(&range, Direction::Backward, page).await?))
            }
            next => Ok((head, Page { next, ..found })),
        }
    }

    async fn list_successes(
        &self,
        pipeline: &PipelineName,
        stage: &StageName,
        page: PageRequest,
    ) -> Result<Page<Success>, StoreError> {
        self.page(&Range::successes(pipeline, stage), Direction::Backward, page).await
    }

    /// One query over the runs of the execution, since the key that lists them newest first holds their start too.
    /// Reading an execution's few runs costs less than a pointer written with each change of each run would.
    async fn load_action_run(
        &self,
        pipeline: &PipelineName,
        execution: ExecutionId,
        id: ActionExecutionId,
    ) -> Result<Option<ActionRun>, StoreError> {
        let range = Range::action_runs(pipeline, Some(execution));
        let filter = Filter { member: "id", comparison: "=", value: id.to_string() };
        let part = Part { filter: Some(filter), ..Part::all(&range, Direction::Backward) };
        let found = Box::pin(self.backend.items(&part, Some(1), None)).await?;
        found.into_iter().find(|item| self.is_current(item)).map(B::row).transpose()
    }

    async fn list_action_runs(
        &self,
        pipeline: &PipelineName,
        execution: Option<ExecutionId>,
        page: PageRequest,
    ) -> Result<Page<ActionRun>, StoreError> {
        self.page(&Range::action_runs(pipeline, execution), Direction::Backward, page).await
    }

    async fn load_condition(
        &self,
        execution: ExecutionId,
        stage: &StageName,
        kind: ConditionKind,
    ) -> Result<Option<ConditionRun>, StoreError> {
        self.get(&Key::condition(execution, stage, kind)).await
    }

    async fn open_conditions(&self, page: PageRequest) -> Result<Page<ConditionRun>, StoreError> {
        self.page(&Range::open_conditions(), Direction::Forward, page).await
    }

    async fn list_rule_runs(
        &self,
        pipeline: &PipelineName,
        execution: Option<ExecutionId>,
        page: PageRequest,
    ) -> Result<Page<RuleRun>, StoreError> {
        self.page(&Range::rule_runs(pipeline, execution), Direction::Backward, page).await
    }

    async fn load_job(&self, id: Uuid) -> Result<Option<Job>, StoreError> {
        self.get(&Key::job(id)).await
    }

    async fn queued_jobs(&self, queue: &JobQueue, page: PageRequest) -> Result<Page<QueuedJob>, StoreError> {
        self.page(&Range::queued_jobs(queue), Direction::Forward, page).await
    }

    async fn load_custom_type(&self, id: &ActionTypeId) -> Result<Option<CustomType>, StoreError> {
        self.get(&Key::custom_type(id)).await
    }

    async fn custom_types(&self) -> Result<Vec<CustomType>, StoreError> {
        self.all(&Part::all(&Range::custom_types(), Direction::Forward)).await
    }

    async fn load_custom_type_count(&self) -> Result<CustomTypeCount, StoreError> {
        Ok(self.get(&Key::custom_type_count()).await?.unwrap_or_default())
    }

    async fn load_last_look(&self) -> Result<Option<LastLook>, StoreError> {
        self.get(&Key::last_look()).await
    }

    async fn watches_of(&self, alarm_arn: &str) -> Result<Vec<Watch>, StoreError> {
        self.all(&Part::all(&Range::watches(alarm_arn), Direction::Forward)).await
    }

    async fn load_incident(&self, alarm_arn: &str) -> Result<Option<Incident>, StoreError> {
        self.get(&Key::incident(alarm_arn)).await
    }

    async fn open_incidents(&self, page: PageRequest) -> Result<Page<Incident>, StoreError> {
        self.page(&Range::open_incidents(), Direction::Forward, page).await
    }

    async fn load_revoked(&self, contents: &[ContentId]) -> Result<Vec<RevokedContent>, StoreError> {
        self.get_all(contents.iter().map(Key::revoked).collect()).await
    }

    async fn list_revoked(&self, page: PageRequest) -> Result<Page<RevokedContent>, StoreError> {
        self.page(&Range::revoked(), Direction::Forward, page).await
    }

    async fn open_watches(&self, page: PageRequest) -> Result<Page<Watch>, StoreError> {
        self.page(&Range::open_watches(), Direction::Forward, page).await
    }

    async fn open_executions(&self, page: PageRequest) -> Result<Page<OpenExecution>, StoreError> {
        self.page(&Range::open_executions(), Direction::Forward, page).await
    }

    async fn slots_of(&self, pipeline: &PipelineName, created_at: Timestamp) -> Result<Vec<Slot>, StoreError> {
        self.all(&Part::all(&Range::slots(pipeline, created_at), Direction::Forward)).await
    }

    async fn sources_of(&self, bucket: &str, key: &str) -> Result<Vec<SourceBinding>, StoreError> {
        self.all(&Part::all(&Range::sources(bucket, key), Direction::Forward)).await
    }

    async fn load_start(&self, pipeline: &PipelineName, cause: &str) -> Result<Option<StartMarker>, StoreError> {
        self.get(&Key::start(pipeline, cause)).await
    }

    async fn load_webhook(&self, name: &WebhookName) -> Result<Option<Webhook>, StoreError> {
        self.get(&Key::webhook(name)).await
    }

    async fn list_webhooks(&self, page: PageRequest) -> Result<Page<Webhook>, StoreError> {
        self.page(&Range::webhooks(), Direction::Forward, page).await
    }

    async fn load_tags(&self, resource: &TaggedResource) -> Result<Option<ResourceTags>, StoreError> {
        self.get(&Key::tags(resource)).await
    }

    async fn list_records(&self, execution: ExecutionId, page: PageRequest) -> Result<Page<Record>, StoreError> {
        self.page(&Range::records(execution), Direction::Forward, page).await
    }

    async fn list_decisions(
        &self,
        list: &DecisionList,
        page: PageRequest,
    ) -> Result<Page<RollbackDecision>, StoreError> {
        self.page(&Range::decisions(list), Direction::Backward, page).await
    }

    async fn list_holds(
        &self,
        pipeline: Option<&PipelineName>,
        page: PageRequest,
    ) -> Result<Page<OpenHold>, StoreError> {
        self.page(&Range::holds(pipeline), Direction::Forward, page).await
    }

    async fn kept_of(&self, pipeline: &PipelineName) -> Result<Vec<Kept>, StoreError> {
        self.all(&Part::all(&Range::kept(pipeline), Direction::Forward)).await
    }

    async fn kept_due(&self, page: PageRequest) -> Result<Page<KeptDue>, StoreError> {
        self.page(&Range::kept_due(), Direction::Forward, page).await
    }

    /// Effects are kept by what they are, and sorted here. The outbox is empty while all is well; of a long one the
    /// reconciler sees as much as fits in memory, and the rest when that is done.
    async fn pending_effects(&self, page: PageRequest) -> Result<Page<PendingEffect>, StoreError> {
        let limit = page_limit(&page)?;
        let range = Range::outbox();
        let items =
            Box::pin(self.backend.items(&Part::all(&range, Direction::Forward), Some(OUTBOX_READ_MAX), None)).await?;
        let (mut ordered, mut unread) = (BTreeMap::new(), None);
        for item in items {
            match B::row::<PendingEffect>(item) {
                Ok(effect) => drop(ordered.insert(effect_order(&effect), effect)),
                Err(error) => unread = Some(error),
            }
        }
        // One that only a newer release understands must not keep the others from being performed.
        if let Some(error) = unread.filter(|_| ordered.is_empty()) {
            return Err(error);
        }
        let from = page.after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = ordered.range((from, Bound::Unbounded)).peekable();
        let (mut items, mut last) = (Vec::new(), None);
        for (order, effect) in rest.by_ref().take(limit) {
            items.push(effect.clone());
            last = Some(order.clone());
        }
        let next = last.filter(|_| rest.peek().is_some());
        Ok(Page { items, next })
    }

    async fn forget_effects(&self, effects: &[Effect]) -> Result<(), StoreError> {
        self.backend.remove(effects.iter().map(Key::effect).collect()).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let planned = planned(writes)?;
        if planned.is_empty() { Ok(()) } else { Box::pin(self.backend.write(planned, self.clock.now())).await }
    }

    async fn purge_history(
        &self,
        pipeline: &PipelineName,
        created_at: Option<Timestamp>,
        before: ExecutionId,
    ) -> Result<bool, StoreError> {
        self.purge(pipeline, created_at, before).await
    }
}
