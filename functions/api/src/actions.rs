//! Runs of actions.

use std::collections::{BTreeMap, BTreeSet};

use domain::{ActionRun, ArtifactLocation, ExecutionId, PipelineName, mask};
use engine::{
    HasStore,
    ports::{Page, PageRequest, Store},
};
use protocol::{
    ErrorCode,
    wire::{
        actions::{
            ActionExecutionDetail, ActionExecutionFilter, ActionExecutionInput, ActionExecutionOutput,
            ActionExecutionResult, ArtifactDetail, ListActionExecutionsInput, ListActionExecutionsOutput, S3Location,
            StartTimeRange,
        },
        state::ErrorDetails,
    },
};

use crate::{executions::missing, failure::Failure, paging::Listing};

/// Runs read at once while looking for the latest of each action: the most that a page of the store holds.
const READ_AT_ONCE: u32 = 1000;
/// Reads while doing so: an execution has at most 1000 actions (spec 1.3), and each retry adds as many runs.
const READS_MAX: usize = 10;

/// ListActionExecutions, newest first.
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
        // Only then is it worth a request to tell "nothing yet" from "no such thing".
        match execution {
            Some(id) if world.store().load_execution(pipeline, id).await?.is_none() => {
                return Err(missing(world, pipeline, id).await?);
            }
            Some(_) => {}
            None => drop(engine::load_view(world, pipeline).await?),
        }
    }
    let region = &world.settings().region;
    Ok(ListActionExecutionsOutput {
        action_execution_details: page.items.into_iter().map(|run| detail(run, region)).collect(),
        next_token: listing.token(page.next)?,
    })
}

/// Which runs are asked for.
struct Filter {
    execution: Option<ExecutionId>,
    range: StartTimeRange,
}

impl Filter {
    fn of(filter: ActionExecutionFilter) -> Result<Self, Failure> {
        let Some(latest) = filter.latest_in_pipeline_execution else {
            return Ok(Self { execution: filter.pipeline_execution_id, range: StartTimeRange::All });
        };
        let id = latest.pipeline_execution_id;
        if filter.pipeline_execution_id.is_some_and(|other| other != id) {
            let message = "The filter names two executions: give pipelineExecutionId or latestInPipelineExecution.";
            return Err(Failure::refused(ErrorCode::ValidationException, message));
        }
        Ok(Self { execution: Some(id), range: latest.start_time_range })
    }
}

/// The newest run of each action in `execution`. Which one that is shows only among all of them, so each page reads
/// the list from its beginning. The cursor holds the newest run of all as the first page saw it, and the last run
/// shown: what starts meanwhile belongs to no page, or a retry would take the run of its action from a later one.
async fn list_latest<W: HasStore>(
    world: &W,
    listing: &Listing,
    pipeline: &PipelineName,
    execution: ExecutionId,
) -> Result<Page<ActionRun>, Failure> {
    let cursor = listing.after.as_deref().and_then(|cursor| cursor.split_once(CURSOR_PARTS));
    let (mut latest, mut seen) = (Vec::new(), BTreeSet::new());
    let mut after = None;
    for _ in 0..READS_MAX {
        let request = PageRequest { limit: READ_AT_ONCE, after };
        let page = world.store().list_action_runs(pipeline, Some(execution), request).await?;
        let there = page.items.into_iter().filter(|run| cursor.is_none_or(|(newest, _)| place(run).as_str() <= newest));
        latest.extend(there.filter(|run| seen.insert((run.stage.clone(), run.action.clone()))));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let newest = cursor.map(|(newest, _)| newest.to_owned()).or_else(|| latest.first().map(place)).unwrap_or_default();
    if let Some((_, shown)) = cursor {
        latest.retain(|run| place(run).as_str() < shown);
    }
    let limit = listing.limit as usize;
    let next = (latest.len() > limit).then(|| format!("{newest}{CURSOR_PARTS}{}", place(&latest[limit - 1])));
    latest.truncate(limit);
    Ok(Page { items: latest, next })
}

/// Between the parts of a cursor; places have none.
const CURSOR_PARTS: char = '|';

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
        updated_by: None,
        input: Some(ActionExecutionInput {
            action_type_id: run.action_type,
            configuration: Some(run.configuration),
            resolved_configuration: Some(run.resolved_configuration),
            role_arn: Some(run.role_arn),
            region: Some(region.to_owned()),
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

fn artifacts(artifacts: BTreeMap<String, ArtifactLocation>) -> Vec<ArtifactDetail> {
    let detail = |(name, at): (String, ArtifactLocation)| ArtifactDetail {
        name: Some(name),
        s3location: Some(S3Location { bucket: Some(at.bucket), key: Some(at.key) }),
    };
    artifacts.into_iter().map(detail).collect()
}
