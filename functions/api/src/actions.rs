//! Runs of actions.

use std::collections::BTreeMap;

use domain::{ActionRun, ArtifactLocation, ExecutionId, PipelineName, mask};
use engine::{
    HasStore,
    ports::{Page, PageRequest, Store},
};
use protocol::wire::{
    actions::{
        ActionExecutionDetail, ActionExecutionInput, ActionExecutionOutput, ActionExecutionResult, ArtifactDetail,
        ListActionExecutionsInput, ListActionExecutionsOutput, S3Location, StartTimeRange,
    },
    state::ErrorDetails,
};

use crate::{
    failure::Failure,
    paging::Listing,
    runs::{Filter, READ_AT_ONCE, check_known, latest},
};

/// Reads while doing so: an execution has at most 1000 actions (spec 1.3), and each retry adds as many runs.
const READS_MAX: usize = 10;

/// ListActionExecutions: executions newest first, and the runs of each newest first.
pub(crate) async fn list<W: HasStore>(
    world: &W,
    listing: &Listing,
    input: ListActionExecutionsInput,
) -> Result<ListActionExecutionsOutput, Failure> {
    let pipeline = &input.pipeline_name;
    let Filter { execution, range } = Filter::of(input.filter.unwrap_or_default())?;
    let page = match (execution, range) {
        (Some(execution), StartTimeRange::Latest) => list_latest(world, listing, pipeline, execution).await?,
        (execution, _) => world.store().list_action_runs(pipeline, execution, listing.page()).await?,
    };
    if page.items.is_empty() {
        check_known(world, pipeline, execution).await?;
    }
    let region = &world.settings().region;
    Ok(ListActionExecutionsOutput {
        action_execution_details: page.items.into_iter().map(|run| detail(run, region)).collect(),
        next_token: listing.token(page.next)?,
    })
}

/// The newest run of each action in `execution`. Which one that is shows only among all of them, so each page reads
/// the list from its beginning.
async fn list_latest<W: HasStore>(
    world: &W,
    listing: &Listing,
    pipeline: &PipelineName,
    execution: ExecutionId,
) -> Result<Page<ActionRun>, Failure> {
    let (mut runs, mut after) = (Vec::new(), None);
    for _ in 0..READS_MAX {
        let request = PageRequest { limit: READ_AT_ONCE, after };
        let page = world.store().list_action_runs(pipeline, Some(execution), request).await?;
        runs.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(latest(runs, listing, |run| (run.stage.clone(), run.action.clone()), place))
}

/// Orders runs as the store lists them: by start, then by id.
fn place(run: &ActionRun) -> String {
    format!("{:017} {}", run.started_at.as_microsecond().max(0), run.id)
}

fn detail(mut run: ActionRun, region: &str) -> ActionExecutionDetail {
    let output = output(&run);
    mask(&mut run.configuration, &run.secret_keys);
    mask(&mut run.resolved_configuration, &run.secret_keys);
    ActionExecutionDetail {
        pipeline_execution_id: run.execution,
        action_execution_id: run.id.to_string(),
        pipeline_version: run.pipeline_version,
        stage_name: run.stage,
        action_name: run.action,
        start_time: run.started_at.into(),
        last_update_time: run.updated_at.into(),
        status: run.status,
        updated_by: run.updated_by,
        input: Some(ActionExecutionInput {
            action_type_id: run.action_type,
            configuration: Some(run.configuration),
            resolved_configuration: Some(run.resolved_configuration),
            role_arn: Some(run.role_arn),
            region: Some(run.region.unwrap_or_else(|| region.to_owned())),
            input_artifacts: Some(artifacts(run.inputs)),
            namespace: run.namespace,
        }),
        output: Some(output),
    }
}

fn output(run: &ActionRun) -> ActionExecutionOutput {
    let failed = run.error_code.is_some() || run.error_message.is_some();
    let error_details =
        failed.then(|| ErrorDetails { code: run.error_code.clone(), message: run.error_message.clone() });
    ActionExecutionOutput {
        output_artifacts: Some(artifacts(run.outputs.clone())),
        execution_result: Some(ActionExecutionResult {
            external_execution_id: run.external_id.clone(),
            external_execution_summary: run.summary.clone(),
            external_execution_url: run.execution_url(),
            error_details,
            log_stream_arn: None,
        }),
        output_variables: Some(run.output_variables.clone()),
    }
}

pub(crate) fn artifacts(artifacts: BTreeMap<String, ArtifactLocation>) -> Vec<ArtifactDetail> {
    let detail = |(name, at): (String, ArtifactLocation)| ArtifactDetail {
        name: Some(name),
        s3location: Some(S3Location { bucket: Some(at.bucket), key: Some(at.key) }),
    };
    artifacts.into_iter().map(detail).collect()
}
