//! The ports of the use cases over the services in memory.

use std::{collections::BTreeSet, ops::Range};

use bytes::Bytes;
use domain::{
    ActionExecutionId, ActionRun, ActionTypeId, AlarmChange, AlarmSeries, ApprovalNotice, ConditionKind, ConditionRun,
    ContentId, CustomType, CustomTypeCount, Effect, Event, Execution, ExecutionId, Incident, Job, JobQueue, Kept,
    KeptDue, LastLook, MetricQuery, OpenHold, PipelineIndex, PipelineName, PipelineView, Points, Record,
    RevokedContent, RollbackDecision, RuleRun, Slot, StageName, Success, TaggedResource, Watch, Webhook, WebhookName,
};
use engine::ports::{
    self, CloudError, Commit, Credentials, DecisionList, Definition, Deletion, MachineStatus, ObjectAt, ObjectInfo,
    ObjectsError, OpenExecution, Page, PageRequest, Part, PendingEffect, PinnedObject, PipelineSummary, PutOptions,
    QueuedJob, Remains, RepositoryError, RepositoryName, ResourceTags, Revision, SourceBinding, StartMarker, Store,
    StoreError, Upload, Write, Written,
};
use futures::stream::BoxStream;
use jiff::Timestamp;
use local_states::Driven;
use serde_json::Value;
use uuid::Uuid;

use super::{Cloud, Service};
use crate::{mutants::Mutant, pipelines::SITE};

/// The table.
pub(crate) struct Rows(pub(crate) Cloud);

/// Step Functions.
pub(crate) struct Machines {
    pub(crate) cloud: Cloud,
    pub(crate) driven: Driven,
}

/// EventBridge.
pub(crate) struct Events(pub(crate) Cloud);

/// CloudWatch.
pub(crate) struct Alarms(pub(crate) Cloud);

/// Lambda.
pub(crate) struct Functions(pub(crate) Cloud);

/// S3.
pub(crate) struct Objects(pub(crate) Cloud);

/// SNS.
pub(crate) struct Notifications(pub(crate) Cloud);

/// STS.
pub(crate) struct Roles(pub(crate) Cloud);

fn no_table() -> StoreError {
    StoreError::Unavailable("simulated".into())
}

fn no_service() -> CloudError {
    CloudError::Unavailable("simulated".into())
}

impl Rows {
    async fn ask<T>(&self, question: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.0.request(Service::DynamoDb, question, no_table).await
    }
}

macro_rules! rows {
    ($(fn $question:ident(&self $(, $name:ident: $of:ty)*) -> $answer:ty;)*) => {
        $(async fn $question(&self $(, $name: $of)*) -> Result<$answer, StoreError> {
            self.ask(self.0.table.$question($($name),*)).await
        })*
    };
}

impl Store for Rows {
    rows! {
        fn load_pipeline(&self, name: &PipelineName) -> Option<PipelineView>;
        fn load_glances(&self, names: &[PipelineName]) -> Vec<PipelineView>;
        fn load_deletion(&self, name: &PipelineName) -> Option<Deletion>;
        fn load_remains(&self, name: &PipelineName) -> Option<Remains>;
        fn list_pipelines(&self, page: PageRequest) -> Page<PipelineSummary>;
        fn load_definition(&self, pipeline: &PipelineName, version: u32) -> Option<Definition>;
        fn load_execution(&self, pipeline: &PipelineName, id: ExecutionId) -> Option<Execution>;
        fn load_executions(&self, executions: &BTreeSet<(PipelineName, ExecutionId)>) -> Vec<Execution>;
        fn list_executions(&self, pipeline: &PipelineName, page: PageRequest) -> Page<Execution>;
        fn list_executions_with_head(&self, pipeline: &PipelineName, page: PageRequest) -> (Option<PipelineIndex>, Page<Execution>);
        fn load_action_run(&self, pipeline: &PipelineName, execution: ExecutionId, id: ActionExecutionId) -> Option<ActionRun>;
        fn list_action_runs(&self, pipeline: &PipelineName, execution: Option<ExecutionId>, page: PageRequest) -> Page<ActionRun>;
        fn load_condition(&self, execution: ExecutionId, stage: &StageName, kind: ConditionKind) -> Option<ConditionRun>;
        fn open_conditions(&self, page: PageRequest) -> Page<ConditionRun>;
        fn list_rule_runs(&self, pipeline: &PipelineName, execution: Option<ExecutionId>, page: PageRequest) -> Page<RuleRun>;
        fn load_job(&self, id: Uuid) -> Option<Job>;
        fn queued_jobs(&self, queue: &JobQueue, page: PageRequest) -> Page<QueuedJob>;
        fn load_custom_type(&self, id: &ActionTypeId) -> Option<CustomType>;
        fn custom_types(&self) -> Vec<CustomType>;
        fn load_custom_type_count(&self) -> CustomTypeCount;
        fn load_last_look(&self) -> Option<LastLook>;
        fn watches_of(&self, alarm_arn: &str) -> Vec<Watch>;
        fn load_incident(&self, alarm_arn: &str) -> Option<Incident>;
        fn open_incidents(&self, page: PageRequest) -> Page<Incident>;
        fn load_revoked(&self, contents: &[ContentId]) -> Vec<RevokedContent>;
        fn list_revoked(&self, page: PageRequest) -> Page<RevokedContent>;
        fn open_watches(&self, page: PageRequest) -> Page<Watch>;
        fn open_executions(&self, page: PageRequest) -> Page<OpenExecution>;
        fn slots_of(&self, pipeline: &PipelineName, created_at: Timestamp) -> Vec<Slot>;
        fn sources_of(&self, bucket: &str, key: &str) -> Vec<SourceBinding>;
        fn load_start(&self, pipeline: &PipelineName, cause: &str) -> Option<StartMarker>;
        fn load_webhook(&self, name: &WebhookName) -> Option<Webhook>;
        fn list_webhooks(&self, page: PageRequest) -> Page<Webhook>;
        fn load_tags(&self, resource: &TaggedResource) -> Option<ResourceTags>;
        fn list_records(&self, execution: ExecutionId, page: PageRequest) -> Page<Record>;
        fn list_decisions(&self, list: &DecisionList, page: PageRequest) -> Page<RollbackDecision>;
        fn list_holds(&self, pipeline: Option<&PipelineName>, page: PageRequest) -> Page<OpenHold>;
        fn kept_of(&self, pipeline: &PipelineName) -> Vec<Kept>;
        fn kept_due(&self, page: PageRequest) -> Page<KeptDue>;
        fn pending_effects(&self, page: PageRequest) -> Page<PendingEffect>;
        fn forget_effects(&self, effects: &[Effect]) -> ();
        fn purge_history(&self, pipeline: &PipelineName, created_at: Option<Timestamp>, before: ExecutionId) -> bool;
    }

    async fn list_successes(
        &self,
        pipeline: &PipelineName,
        stage: &StageName,
        page: PageRequest,
    ) -> Result<Page<Success>, StoreError> {
        let mut page = self.ask(self.0.table.list_successes(pipeline, stage, page)).await?;
        if let Some(mutant) = self.0.state().mutant {
            mutant.spoil_successes(&mut page.items);
        }
        Ok(page)
    }

    async fn commit(&self, mut writes: Vec<Write>) -> Result<(), StoreError> {
        if let Some(mutant) = self.0.state().mutant {
            mutant.spoil_writes(&mut writes);
        }
        self.ask(self.0.table.commit(writes)).await
    }
}

impl Machines {
    async fn ask<T>(&self, question: impl Future<Output = Result<T, CloudError>>) -> Result<T, CloudError> {
        self.cloud.request(Service::StepFunctions, question, no_service).await
    }
}

impl ports::Machines for Machines {
    async fn start(&self, machine: ports::Machine<'_>, name: &str, input: &Value) -> Result<(), CloudError> {
        self.ask(self.driven.start(machine, name, input)).await
    }

    async fn stop(&self, machine: ports::Machine<'_>, name: &str, cause: &str) -> Result<(), CloudError> {
        self.ask(self.driven.stop(machine, name, cause)).await
    }

    async fn answer(&self, token: &str, output: &Value) -> Result<(), CloudError> {
        self.ask(self.driven.answer(token, output)).await
    }

    async fn heartbeat(&self, token: &str) -> Result<(), CloudError> {
        self.ask(self.driven.heartbeat(token)).await
    }

    async fn status(&self, machine: ports::Machine<'_>, name: &str) -> Result<Option<MachineStatus>, CloudError> {
        self.ask(self.driven.status(machine, name)).await
    }
}

impl ports::Events for Events {
    async fn publish(&self, _pipeline_arn: &str, events: &[Event]) -> Result<(), CloudError> {
        let take = async {
            let mut state = self.0.state();
            for event in events {
                let first = state.published.entry(event.id()).or_insert_with(|| event.clone());
                if *first != *event {
                    state.retold = Some(event.id());
                }
            }
            Ok(())
        };
        self.0.request(Service::EventBridge, take, no_service).await
    }
}

impl ports::Alarms for Alarms {
    async fn describe(&self, names: &[String]) -> Result<Vec<AlarmChange>, CloudError> {
        let look = async {
            let state = self.0.state();
            let known = state
                .alarms
                .iter()
                .filter(|(arn, _)| names.iter().any(|name| name == *arn || arn.ends_with(&format!(":alarm:{name}"))));
            Ok(known
                .map(|(arn, (state, since))| AlarmChange {
                    arn: arn.clone(),
                    state: *state,
                    since: *since,
                    reason: "simulated".to_owned(),
                })
                .collect())
        };
        self.0.request(Service::CloudWatch, look, no_service).await
    }

    async fn metric_data(
        &self,
        _: &str,
        queries: &[MetricQuery],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Points>, CloudError> {
        let give = async {
            let until = until.min(self.0.now());
            let state = self.0.state();
            Ok(queries.iter().map(|query| state.metrics.points(query, since, until)).collect())
        };
        self.0.request(Service::CloudWatch, give, no_service).await
    }

    async fn messages_in(&self, _: &str, _: Timestamp, _: Timestamp) -> Result<Option<u32>, CloudError> {
        self.0.request(Service::CloudWatch, async { Ok(None) }, no_service).await
    }

    /// One for each minute, as of a metric with traffic.
    async fn data_points(&self, arn: &str, since: Timestamp, until: Timestamp) -> Result<u32, CloudError> {
        let count = async {
            let is_there = self.0.state().alarms.contains_key(arn);
            let minutes = u32::try_from(until.duration_since(since).as_mins()).unwrap_or(0);
            if is_there { Ok(minutes) } else { Err(CloudError::NotFound(arn.to_owned())) }
        };
        self.0.request(Service::CloudWatch, count, no_service).await
    }

    async fn series(&self, arn: &str, since: Timestamp, until: Timestamp) -> Result<Vec<AlarmSeries>, CloudError> {
        let points = [(since, 1.0), (until, 7.0)];
        let give = async { Ok(AlarmSeries::of(arn, 60, Some(5.0), false, points).into_iter().collect()) };
        self.0.request(Service::CloudWatch, give, no_service).await
    }
}

impl ports::Functions for Functions {
    async fn invoke(&self, _: Option<&str>, function: &str, payload: &Value) -> Result<(), CloudError> {
        let take = async {
            self.0.state().invoked.push_back((function.to_owned(), payload.clone()));
            Ok(())
        };
        self.0.request(Service::Lambda, take, no_service).await
    }

    async fn is_there(&self, _: Option<&str>, _: &str) -> Result<bool, CloudError> {
        self.0.request(Service::Lambda, async { Ok(true) }, no_service).await
    }
}

impl ports::Roles for Roles {
    async fn assume(&self, _role_arn: &str, _session: &str) -> Result<Credentials, CloudError> {
        let give = async {
            Ok(Credentials {
                access_key_id: "id".to_owned(),
                secret_access_key: "secret".to_owned(),
                session_token: "token".to_owned(),
                expires_at: Timestamp::MAX,
            })
        };
        self.0.request(Service::Sts, give, no_service).await
    }
}

impl ports::Notifications for Notifications {
    async fn publish(&self, _notice: &ApprovalNotice, _keys: &Credentials) -> Result<(), CloudError> {
        self.0.request(Service::Sns, async { Ok(()) }, no_service).await
    }
}

impl Objects {
    async fn ask<T>(
        &self,
        operation: &'static str,
        at: &ObjectAt,
        work: impl Future<Output = Result<T, ObjectsError>>,
    ) -> Result<T, ObjectsError> {
        *self.0.state().to_objects.entry(operation).or_default() += 1;
        let no_objects = || ObjectsError::Unavailable { operation, at: at.clone(), reason: "simulated".to_owned() };
        self.0.request(Service::S3, work, no_objects).await
    }
}

impl ports::Objects for Objects {
    async fn head(&self, at: &ObjectAt, version_id: Option<&str>) -> Result<ObjectInfo, ObjectsError> {
        self.ask("HeadObject", at, async { self.0.objects.head(at, version_id) }).await
    }

    async fn read(&self, object: &PinnedObject, range: Range<u64>) -> Result<Bytes, ObjectsError> {
        self.ask("GetObject", &object.at, async { self.0.objects.read(object, range) }).await
    }

    async fn put(&self, at: &ObjectAt, body: Bytes, options: &PutOptions) -> Result<Written, ObjectsError> {
        let work = async {
            if options.if_none_match { self.0.objects.store_new(at, body) } else { Ok(self.0.objects.store(at, body)) }
        };
        self.ask("PutObject", at, work).await
    }

    async fn copy(
        &self,
        from: &PinnedObject,
        _size: u64,
        to: &ObjectAt,
        _options: &PutOptions,
    ) -> Result<Written, ObjectsError> {
        self.ask("CopyObject", to, async { self.0.objects.copy(from, to) }).await
    }

    async fn set_tag(&self, at: &ObjectAt, name: &str, value: &str) -> Result<(), ObjectsError> {
        // As the adapter: it reads the tags, and writes where they are others. Both are one chance to fail.
        *self.0.state().to_objects.entry("GetObjectTagging").or_default() += 1;
        if self.0.objects.tagged(name, value).contains(at) {
            let no_objects = || ObjectsError::Unavailable {
                operation: "GetObjectTagging",
                at: at.clone(),
                reason: "simulated".to_owned(),
            };
            return self.0.request(Service::S3, async { self.0.objects.head(at, None).map(drop) }, no_objects).await;
        }
        self.ask("PutObjectTagging", at, async { self.0.objects.set_tag(at, name, value) }).await
    }

    async fn is_versioned(&self, bucket: &str) -> Result<bool, ObjectsError> {
        self.ask("GetBucketVersioning", &ObjectAt::new(bucket, ""), async { Ok(true) }).await
    }

    async fn begin_upload(&self, at: &ObjectAt, _: &PutOptions) -> Result<Upload, ObjectsError> {
        self.ask("CreateMultipartUpload", at, async { Ok(self.0.objects.begin_upload(at)) }).await
    }

    async fn put_part(&self, upload: &Upload, number: u32, body: Bytes) -> Result<Part, ObjectsError> {
        self.ask("UploadPart", &upload.at, async { self.0.objects.put_part(upload, number, body) }).await
    }

    async fn copy_part(
        &self,
        upload: &Upload,
        number: u32,
        from: &PinnedObject,
        range: Option<Range<u64>>,
    ) -> Result<Part, ObjectsError> {
        let copy = async {
            let body = self.0.objects.read(from, range.unwrap_or(0..u64::MAX))?;
            self.0.objects.put_part(upload, number, body)
        };
        self.ask("UploadPartCopy", &upload.at, copy).await
    }

    async fn complete_upload(&self, upload: &Upload, _: &[Part]) -> Result<Written, ObjectsError> {
        if self.0.state().mutant == Some(Mutant::EarlierUploadsLeft) {
            // The worst moment, which seldom comes by itself.
            let mut state = self.0.state();
            state.stands_still = state.chance.permille(200);
        }
        let complete = async {
            let written = self.0.objects.complete_upload(upload)?;
            if upload.at.bucket == SITE {
                let body = self.0.objects.newest(&upload.at).unwrap_or_default();
                self.0.state().metrics.deployed(&upload.at.key, &body, self.0.now());
            }
            Ok(written)
        };
        self.ask("CompleteMultipartUpload", &upload.at, complete).await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<(), ObjectsError> {
        let abort = async {
            self.0.objects.abort_upload(upload);
            Ok(())
        };
        self.ask("AbortMultipartUpload", &upload.at, abort).await
    }

    async fn uploads_under(&self, prefix: &ObjectAt) -> Result<Vec<Upload>, ObjectsError> {
        let mut uploads =
            self.ask("ListMultipartUploads", prefix, async { Ok(self.0.objects.uploads_under(prefix)) }).await?;
        if let Some(mutant) = self.0.state().mutant {
            mutant.spoil_uploads(&mut uploads);
        }
        Ok(uploads)
    }
}

/// Repositories of code, of which there are none.
pub(crate) struct NoRepositories;

impl ports::Repositories for NoRepositories {
    async fn commit(&self, name: &RepositoryName, revision: &Revision) -> Result<Commit, RepositoryError> {
        Err(RepositoryError::NotFound { repository: name.to_string(), what: revision.to_string() })
    }

    async fn archive(
        &self,
        name: &RepositoryName,
        id: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, RepositoryError>>, RepositoryError> {
        Err(RepositoryError::NotFound { repository: name.to_string(), what: id.to_owned() })
    }
}
