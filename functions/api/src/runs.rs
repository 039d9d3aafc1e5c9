//! Which runs of actions or rules are listed.

use std::collections::BTreeSet;

use domain::{ExecutionId, PipelineName};
use engine::{
    HasStore,
    ports::{Page, Store},
};
use protocol::{
    ErrorCode,
    wire::actions::{ActionExecutionFilter, StartTimeRange},
};

use crate::{executions::missing, failure::Failure, paging::Listing};

/// Runs read at once while looking for the latest of each: the most that a page of the store holds.
pub(crate) const READ_AT_ONCE: u32 = 1000;

/// Which runs are asked for.
pub(crate) struct Filter {
    pub(crate) execution: Option<ExecutionId>,
    pub(crate) range: StartTimeRange,
}

impl Filter {
    /// # Errors
    /// `ValidationException` where the filter contradicts itself.
    pub(crate) fn of(filter: ActionExecutionFilter) -> Result<Self, Failure> {
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

/// Between the parts of a cursor; places have none.
const CURSOR_PARTS: char = '|';

/// The page that `listing` asks for of the newest of each among `runs`, which come newest first. `place` orders runs as
/// the store lists them.
///
/// The cursor holds the newest run of all as the first page saw it, and the last run shown: what starts meanwhile
/// belongs to no page, or a retry would take the run of its action from a later one.
pub(crate) fn latest<T, K: Ord>(
    runs: Vec<T>,
    listing: &Listing,
    key: impl Fn(&T) -> K,
    place: impl Fn(&T) -> String,
) -> Page<T> {
    let cursor = listing.after.as_deref().and_then(|cursor| cursor.split_once(CURSOR_PARTS));
    let newest = cursor.map_or_else(|| runs.first().map(&place).unwrap_or_default(), |(newest, _)| newest.to_owned());
    let mut seen = BTreeSet::new();
    let there = runs.into_iter().filter(|run| place(run) <= newest);
    let mut latest: Vec<T> = there.filter(|run| seen.insert(key(run))).collect();
    if let Some((_, shown)) = cursor {
        latest.retain(|run| place(run).as_str() < shown);
    }
    let limit = listing.limit as usize;
    let next = (latest.len() > limit).then(|| format!("{newest}{CURSOR_PARTS}{}", place(&latest[limit - 1])));
    latest.truncate(limit);
    Page { items: latest, next }
}

/// Refuses a list without runs whose pipeline or execution is not there. Only where there are none is it worth a request
/// to tell "nothing yet" from "no such thing".
pub(crate) async fn check_known<W: HasStore>(
    world: &W,
    pipeline: &PipelineName,
    execution: Option<ExecutionId>,
) -> Result<(), Failure> {
    match execution {
        Some(id) if world.store().load_execution(pipeline, id).await?.is_none() => {
            Err(missing(world, pipeline, id).await?)
        }
        Some(_) => Ok(()),
        None => Ok(engine::load_view(world, pipeline).await.map(drop)?),
    }
}
