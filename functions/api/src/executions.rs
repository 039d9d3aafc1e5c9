//! Pipeline executions: start, stop, retry a stage, read, list.

use std::collections::BTreeMap;

use domain::{Execution, ExecutionId, PipelineName, StageName, StageStatus, StopTrigger, Trigger, TriggerType};
use engine::{
    ActionClaim, HasAlarms, HasMachines, HasObjects, HasStore, StartRequest,
    ports::{Page, PageRequest, Store},
};
use protocol::{
    ErrorCode,
    wire::executions::{
        ArtifactRevision, ExecutionTrigger, GetPipelineExecutionInput, GetPipelineExecutionOutput,
        ListPipelineExecutionsInput, ListPipelineExecutionsOutput, PipelineExecution, PipelineExecutionSummary,
        PipelineRollbackMetadata, PipelineVariable, ResolvedPipelineVariable, RetryStageExecutionInput,
        RetryStageExecutionOutput, SourceRevision, StartPipelineExecutionInput, StartPipelineExecutionOutput,
        StopExecutionTrigger, StopPipelineExecutionInput, StopPipelineExecutionOutput,
    },
};

use crate::{dispatch::Origin, failure::Failure, paging::Listing};

/// Executions read at once while looking for those that succeeded in a stage.
const READ_AT_ONCE: u32 = 100;
/// Reads for one page of those: it may hold fewer items than asked for, or none, and still not be the last.
const READS_MAX: usize = 10;

/// StartPipelineExecution. The same token starts one execution only, whatever else is asked with it. Where an action asks,
/// it is looked up.
pub(crate) async fn start<W: HasStore + HasMachines + HasObjects>(
    world: &W,
    input: StartPipelineExecutionInput,
    from: Origin<'_>,
) -> Result<StartPipelineExecutionOutput, Failure> {
    let overrides = input.source_revisions.unwrap_or_default();
    let request = StartRequest {
        pipeline: input.name,
        trigger: Trigger {
            trigger_type: TriggerType::StartPipelineExecution,
            trigger_detail: Some(from.caller.to_owned()),
            starter: None,
        },
        cause: input.client_request_token.map(|token| format!("token:{token}")),
        order: None,
        pins: BTreeMap::new(),
        variables: variables(input.variables.unwrap_or_default())?,
    };
    let started = match from.action {
        None => engine::start_with_revisions(world, &request, &overrides).await?,
        Some(action) => {
            let (pipeline, execution) = (action.pipeline.clone(), action.execution_id);
            let claim = ActionClaim { pipeline, execution, run: action.action_execution_id };
            engine::start_from_action(world, &request, &overrides, &claim).await?
        }
    };
    Ok(StartPipelineExecutionOutput { pipeline_execution_id: started.execution() })
}

/// StopPipelineExecution.
pub(crate) async fn stop<W: HasStore + HasMachines + HasAlarms + HasObjects>(
    world: &W,
    input: StopPipelineExecutionInput,
    caller: &str,
) -> Result<StopPipelineExecutionOutput, Failure> {
    let id = input.pipeline_execution_id;
    let abandon = input.abandon.unwrap_or(false);
    let trigger = StopTrigger { by: caller.to_owned(), reason: input.reason.filter(|reason| !reason.is_empty()) };
    engine::stop_execution(world, &input.pipeline_name, id, abandon, trigger).await?;
    Ok(StopPipelineExecutionOutput { pipeline_execution_id: id })
}

/// RetryStageExecution.
pub(crate) async fn retry<W: HasStore + HasMachines + HasAlarms>(
    world: &W,
    input: RetryStageExecutionInput,
    caller: &str,
) -> Result<RetryStageExecutionOutput, Failure> {
    let id = input.pipeline_execution_id;
    let (pipeline, stage) = (&input.pipeline_name, &input.stage_name);
    engine::retry_stage_execution(world, pipeline, stage, id, input.retry_mode, caller).await?;
    Ok(RetryStageExecutionOutput { pipeline_execution_id: id })
}

fn variables(given: Vec<PipelineVariable>) -> Result<BTreeMap<String, String>, Failure> {
    let mut variables = BTreeMap::new();
    for PipelineVariable { name, value } in given {
        if variables.contains_key(&name) {
            let message = format!("Variable '{name}' is given more than once.");
            return Err(Failure::refused(ErrorCode::ValidationException, message));
        }
        variables.insert(name, value);
    }
    Ok(variables)
}

/// GetPipelineExecution.
pub(crate) async fn get<W: HasStore>(
    world: &W,
    input: GetPipelineExecutionInput,
) -> Result<GetPipelineExecutionOutput, Failure> {
    let id = input.pipeline_execution_id;
    let Some(execution) = world.store().load_execution(&input.pipeline_name, id).await? else {
        return Err(missing(world, &input.pipeline_name, id).await?);
    };
    Ok(GetPipelineExecutionOutput { pipeline_execution: detail(execution) })
}

/// Says what is not there: the pipeline, or only the execution.
pub(crate) async fn missing<W: HasStore>(
    world: &W,
    pipeline: &PipelineName,
    id: ExecutionId,
) -> Result<Failure, Failure> {
    engine::load_view(world, pipeline).await?;
    let message = format!("Pipeline '{pipeline}' has no execution '{id}'.");
    Ok(Failure::refused(ErrorCode::PipelineExecutionNotFoundException, message))
}

/// ListPipelineExecutions, newest first.
pub(crate) async fn list<W: HasStore>(
    world: &W,
    listing: &Listing,
    input: ListPipelineExecutionsInput,
) -> Result<ListPipelineExecutionsOutput, Failure> {
    let pipeline = &input.pipeline_name;
    let stage = input.filter.and_then(|filter| filter.succeeded_in_stage).and_then(|filter| filter.stage_name);
    let page = match stage {
        Some(stage) => list_succeeded(world, listing, pipeline, &stage).await?,
        None => world.store().list_executions(pipeline, listing.page()).await?,
    };
    if page.items.is_empty() {
        // Only then is it worth a request to tell "nothing yet" from "no such pipeline".
        engine::load_view(world, pipeline).await?;
    }
    Ok(ListPipelineExecutionsOutput {
        pipeline_execution_summaries: page.items.into_iter().map(summary).collect(),
        next_token: listing.token(page.next)?,
    })
}

/// Executions in which `stage`, as it is now, succeeded (spec 2.5). An unknown stage has none.
///
/// The store lists all executions, so a page of ours ends anywhere inside one of the store's. Its cursor therefore
/// holds the last execution looked at and where the store's page began: ids fall along the list, so whatever was
/// started meanwhile does not move the place.
async fn list_succeeded<W: HasStore>(
    world: &W,
    listing: &Listing,
    pipeline: &PipelineName,
    stage: &StageName,
) -> Result<Page<Execution>, Failure> {
    let view = engine::load_view(world, pipeline).await?;
    let mut found = Page { items: Vec::new(), next: None };
    let Some((_, stage)) = view.index.stage(stage) else {
        return Ok(found);
    };
    let succeeded = |execution: &Execution| {
        execution
            .stages
            .get(&stage.name)
            .is_some_and(|outcome| outcome.status == StageStatus::Succeeded && outcome.fingerprint == stage.fingerprint)
    };
    let Cursor { mut before, mut after } = listing.after.as_deref().map(Cursor::parse).unwrap_or_default();
    for _ in 0..READS_MAX {
        let request = PageRequest { limit: READ_AT_ONCE, after: after.clone() };
        let page = world.store().list_executions(pipeline, request).await?;
        let fresh = page.items.into_iter().filter(|execution| before.is_none_or(|before| execution.id < before));
        for execution in fresh.collect::<Vec<_>>() {
            if found.items.len() == listing.limit as usize {
                found.next = Some(Cursor { before, after }.to_string());
                return Ok(found);
            }
            before = Some(execution.id);
            if succeeded(&execution) {
                found.items.push(execution);
            }
        }
        if page.next.is_none() {
            return Ok(found);
        }
        after = page.next;
    }
    found.next = Some(Cursor { before, after }.to_string());
    Ok(found)
}

/// A place in a filtered list of executions.
#[derive(Debug, Default)]
struct Cursor {
    /// The last execution looked at.
    before: Option<ExecutionId>,
    /// Where the store's page begins that holds the next one.
    after: Option<String>,
}

impl Cursor {
    fn parse(text: &str) -> Self {
        let (before, after) = text.split_once(' ').unwrap_or((text, ""));
        Self { before: before.parse().ok(), after: Some(after.to_owned()).filter(|after| !after.is_empty()) }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let before = self.before.map(|id| id.to_string()).unwrap_or_default();
        write!(f, "{before} {}", self.after.as_deref().unwrap_or_default())
    }
}

fn detail(execution: Execution) -> PipelineExecution {
    let rollback_metadata = rollback_metadata(&execution);
    PipelineExecution {
        pipeline_name: execution.pipeline,
        pipeline_version: execution.pipeline_version,
        pipeline_execution_id: execution.id,
        status: execution.phase.status(),
        execution_mode: execution.mode,
        execution_type: execution.execution_type,
        status_summary: execution.status_summary,
        artifact_revisions: Some(artifact_revisions(execution.revisions)),
        variables: Some(resolved_variables(execution.variables)),
        trigger: Some(trigger(execution.trigger)),
        rollback_metadata,
    }
}

fn summary(execution: Execution) -> PipelineExecutionSummary {
    PipelineExecutionSummary {
        pipeline_execution_id: execution.id,
        status: execution.phase.status(),
        start_time: execution.started_at.into(),
        last_update_time: execution.updated_at.into(),
        execution_mode: execution.mode,
        execution_type: execution.execution_type,
        rollback_metadata: rollback_metadata(&execution),
        source_revisions: Some(source_revisions(&execution)),
        status_summary: execution.status_summary,
        trigger: Some(trigger(execution.trigger)),
        stop_trigger: execution.stop.map(|stop| StopExecutionTrigger { reason: stop.reason }),
    }
}

/// What the Source actions of an execution took, by artifact: one that made none is not in it.
pub(crate) fn artifact_revisions(revisions: Vec<domain::SourceRevision>) -> Vec<ArtifactRevision> {
    let of = |revision: &domain::SourceRevision, artifact: &str| ArtifactRevision {
        name: Some(artifact.to_owned()),
        revision_id: Some(revision.revision_id.clone()),
        revision_change_identifier: revision.revision_change_identifier.clone(),
        revision_summary: revision.revision_summary.clone(),
        created: revision.created.map(Into::into),
        revision_url: None,
    };
    let mut all = Vec::new();
    for revision in &revisions {
        all.extend(revision.artifacts().map(|artifact| of(revision, artifact)));
    }
    all
}

/// The pipeline-level variables of an execution.
pub(crate) fn resolved_variables(variables: BTreeMap<String, String>) -> Vec<ResolvedPipelineVariable> {
    let variables = variables.into_iter();
    variables.map(|(name, resolved_value)| ResolvedPipelineVariable { name, resolved_value }).collect()
}

/// What the Source actions of an execution took.
pub(crate) fn source_revisions(execution: &Execution) -> Vec<SourceRevision> {
    let revisions = execution.revisions.iter().map(|revision| SourceRevision {
        action_name: revision.action_name.clone(),
        revision_id: Some(revision.revision_id.clone()),
        revision_summary: revision.revision_summary.clone(),
        revision_url: None,
    });
    revisions.collect()
}

fn trigger(trigger: Trigger) -> ExecutionTrigger {
    ExecutionTrigger { trigger_type: trigger.trigger_type, trigger_detail: trigger.trigger_detail }
}

fn rollback_metadata(execution: &Execution) -> Option<PipelineRollbackMetadata> {
    let rollback = execution.rollback.as_ref()?;
    Some(PipelineRollbackMetadata { rollback_target_pipeline_execution_id: rollback.target })
}
