//! GetPipelineState: what dashboards, command lines and approval bots poll. One request to the store.

use domain::{
    ActionIndex, ActionRun, ActionStatus, ConditionKind, ExecutionId, ExecutionMode, ExecutionType, LatestRun,
    PipelineView, StageIndex, StageStatus, aws_console, partition_of,
};
use engine::HasStore;
use jiff::Timestamp;
use protocol::wire::state::{
    ActionExecution, ActionRevision, ActionState, ErrorDetails, GetPipelineStateInput, GetPipelineStateOutput,
    RetryStageMetadata, StageExecution, StageState, TransitionState,
};

use crate::{conditions::condition_state, failure::Failure};

/// GetPipelineState. A PARALLEL pipeline shows no executions, since its stages have no latest one (spec 2.3).
pub(crate) async fn get<W: HasStore>(
    world: &W,
    input: GetPipelineStateInput,
) -> Result<GetPipelineStateOutput, Failure> {
    let view = engine::load_view(world, &input.name).await?;
    let region = &world.settings().region;
    let now = world.now();
    let stages = view.index.stages.iter().map(|stage| stage_state(&view, stage, region, now));
    Ok(GetPipelineStateOutput {
        stage_states: stages.collect(),
        pipeline_version: view.index.pipeline_version,
        created: view.index.created_at.into(),
        updated: view.index.updated_at.into(),
        pipeline_name: view.index.name,
    })
}

fn stage_state(view: &PipelineView, index: &StageIndex, region: &str, now: Timestamp) -> StageState {
    let stage = view.stage(&index.name);
    let shows_executions = view.index.mode != ExecutionMode::Parallel;
    let latest = stage.latest.filter(|_| shows_executions);
    let waiting = view.waiting_for(&index.name).filter(|_| shows_executions);
    let inbound: Vec<_> = waiting.map(|waiting| waiting_execution(waiting.execution)).collect();
    let actions = index.actions.iter().map(|action| {
        let run = view.actions.iter().find(|run| run.stage == index.name && run.action == action.name);
        action_state(action, run.filter(|_| shows_executions), region)
    });
    StageState {
        stage_name: index.name.clone(),
        inbound_execution: inbound.first().cloned(),
        inbound_executions: Some(inbound),
        inbound_transition_state: Some(TransitionState {
            enabled: stage.inbound.enabled,
            last_changed_by: stage.inbound.changed_by,
            last_changed_at: stage.inbound.changed_at.map(Into::into),
            disabled_reason: stage.inbound.disabled_reason,
        }),
        action_states: Some(actions.collect()),
        retry_stage_metadata: latest.as_ref().and_then(retries),
        latest_execution: latest.map(|latest| stage_execution(latest.execution, latest.status, latest.execution_type)),
        before_entry_condition_state: condition_state(view, index, ConditionKind::BeforeEntry, now),
        on_success_condition_state: condition_state(view, index, ConditionKind::OnSuccess, now),
        on_failure_condition_state: condition_state(view, index, ConditionKind::OnFailure, now),
    }
}

/// How often the stage was retried in its latest execution; a kind of retry that never was is left out.
fn retries(latest: &LatestRun) -> Option<RetryStageMetadata> {
    let times = |count: u32| Some(count).filter(|count| *count > 0);
    latest.latest_retry.map(|trigger| RetryStageMetadata {
        auto_stage_retry_attempt: times(latest.auto_retries),
        manual_stage_retry_attempt: times(latest.manual_retries),
        latest_retry_trigger: Some(trigger),
    })
}

/// What waits is always of type STANDARD: a rollback waits for nobody.
fn waiting_execution(id: ExecutionId) -> StageExecution {
    stage_execution(id, StageStatus::InProgress, ExecutionType::Standard)
}

/// AWS names the type of rollbacks only.
fn stage_execution(id: ExecutionId, status: StageStatus, execution_type: ExecutionType) -> StageExecution {
    StageExecution {
        pipeline_execution_id: id,
        status,
        execution_type: Some(execution_type).filter(|execution_type| *execution_type == ExecutionType::Rollback),
    }
}

fn action_state(action: &ActionIndex, run: Option<&ActionRun>, region: &str) -> ActionState {
    ActionState {
        action_name: action.name.clone(),
        current_revision: run.and_then(current_revision),
        latest_execution: run.map(latest_execution),
        entity_url: run.and_then(|run| entity_url(run, region)),
        revision_url: run.and_then(ActionRun::revision_url),
    }
}

/// What a job worker says it worked on, or a Source action took: its variables tell (spec 1.6), so no execution has to
/// be read.
fn current_revision(run: &ActionRun) -> Option<ActionRevision> {
    if let Some(revision) = run.revision.as_ref().filter(|_| run.queue.is_some()) {
        return Some(ActionRevision {
            revision_id: revision.revision_id.clone(),
            revision_change_id: revision.revision_change_identifier.clone().unwrap_or_default(),
            created: revision.created.unwrap_or(run.updated_at).into(),
        });
    }
    if run.action_type.category != "Source" {
        return None;
    }
    // Of an object, or of a repository of code.
    let variable = |of_object: &str, of_code: &str| {
        run.output_variables.get(of_object).or_else(|| run.output_variables.get(of_code)).cloned()
    };
    Some(ActionRevision {
        revision_id: variable("VersionId", "CommitId")?,
        revision_change_id: variable("ETag", "CommitId")?,
        created: run.updated_at.into(),
    })
}

fn latest_execution(run: &ActionRun) -> ActionExecution {
    let failed = run.error_code.is_some() || run.error_message.is_some();
    ActionExecution {
        action_execution_id: run.id.to_string(),
        status: run.status,
        summary: run.summary.clone(),
        last_status_change: Some(run.updated_at.into()),
        token: run.approval_token.clone().filter(|_| run.status == ActionStatus::InProgress),
        last_updated_by: run.updated_by.clone(),
        external_execution_id: run.external_id.clone(),
        external_execution_url: run.execution_url(),
        percent_complete: run.percent_complete,
        error_details: failed
            .then(|| ErrorDetails { code: run.error_code.clone(), message: run.error_message.clone() }),
        log_stream_arn: None,
    }
}

/// What links to AWS's console begin with in the templates of action types.
const CONSOLE_OF_AWS: &str = "https://console.aws.amazon.com";

/// Where a person sees what the action works on.
pub(crate) fn entity_url(run: &ActionRun, region: &str) -> Option<String> {
    if run.queue.is_some() {
        return run.entity_url();
    }
    let region = run.region.as_deref().unwrap_or(region);
    let setting = |name: &str| run.resolved_configuration.get(name);
    if run.action_type.category == "Approval" {
        return setting("ExternalEntityLink").cloned();
    }
    let console = aws_console(region)?;
    let url = match (run.action_type.category.as_str(), run.action_type.provider.as_str()) {
        ("Source", "S3") => format!("{console}/s3/buckets/{}?region={region}", setting("S3Bucket")?),
        ("Deploy", "S3") => format!("{console}/s3/buckets/{}?region={region}", setting("BucketName")?),
        ("Invoke", "Lambda") => {
            format!("{console}/lambda/home?region={region}#/functions/{}", setting("FunctionName")?)
        }
        // Templates of types are written for the partition `aws`.
        _ => match run.entity_url()?.strip_prefix(CONSOLE_OF_AWS) {
            Some(page) if partition_of(region) != "aws" => format!("{console}{page}"),
            _ => return run.entity_url(),
        },
    };
    Some(url)
}
