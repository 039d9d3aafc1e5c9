//! Removing the history of a deleted pipeline, a few hundred items at a time.

use std::collections::BTreeSet;

use domain::{Execution, ExecutionId, ExecutionMode, PipelineName, StageName};
use engine::ports::{DecisionList, StoreError};
use jiff::Timestamp;

use crate::backend::Backend;
use crate::keys::{HEAD, Key, Range};
use crate::query::{Direction, Filter, Part};
use crate::table::Table;

/// Executions removed in one call; with their runs and records these are a few hundred items, seconds of work.
const EXECUTIONS_PER_CALL: usize = 20;

/// Executions of the next pipeline of the name that are read at once, to find those that look older than they are.
const NEWER_AT_ONCE: usize = 5;

impl<B: Backend> Table<B> {
    /// Removes the oldest executions of the pipeline created then, with all that belongs to them; `true` when none are left.
    ///
    /// An execution's row goes last, so that a call that breaks off is completed by the next.
    pub(crate) async fn purge(
        &self,
        pipeline: &PipelineName,
        created_at: Option<Timestamp>,
        before: ExecutionId,
    ) -> Result<bool, StoreError> {
        let range = Range::executions(pipeline);
        let oldest =
            self.backend.items(&Part::all(&range, Direction::Forward), Some(EXECUTIONS_PER_CALL + 1), None).await?;
        // A pipeline made anew under the name has its row among them.
        let executions = oldest.into_iter().filter(|item| B::key(item).sort != HEAD);
        let mut doomed = executions.map(B::row).collect::<Result<Vec<Execution>, _>>()?;
        let more = doomed.len() > EXECUTIONS_PER_CALL;
        doomed.retain(|execution| match (execution.pipeline_created_at, created_at) {
            (Some(its), Some(created_at)) => its == created_at,
            _ => execution.id < before,
        });
        // Beyond those that were read there may be others, unless the next pipeline's have begun.
        let is_last = !more || doomed.is_empty();
        doomed.truncate(EXECUTIONS_PER_CALL);

        match created_at {
            Some(created_at) => self.purge_range(&Range::slots(pipeline, created_at), None).await?,
            None => self.purge_range(&Range::all_slots(pipeline), Some(&Bound { before, newer: Vec::new() })).await?,
        }
        let bound = Bound { before, newer: self.newer(pipeline, created_at, before).await? };
        let stages: BTreeSet<&StageName> = doomed.iter().flat_map(|execution| execution.stages.keys()).collect();
        for stage in stages {
            self.purge_range(&Range::successes(pipeline, stage), Some(&bound)).await?;
            let decided = DecisionList::Stage(pipeline.clone(), stage.clone());
            self.purge_range(&Range::decisions(&decided), Some(&bound)).await?;
        }
        let decided = Range::decisions(&DecisionList::Pipeline(pipeline.clone()));
        let keys = self.doomed(&decided, Some(&bound)).await?;
        // The list of all is every pipeline's: those of this one are known by its own list, which goes after them.
        self.backend.remove(keys.iter().map(Key::among_all_decisions).collect()).await?;
        self.backend.remove(keys).await?;
        for execution in &doomed {
            self.purge_range(&Range::records(execution.id), None).await?;
            self.purge_range(&Range::decisions(&DecisionList::Execution(execution.id)), None).await?;
            self.purge_range(&Range::action_runs(pipeline, Some(execution.id)), None).await?;
            self.purge_range(&Range::rule_runs(pipeline, Some(execution.id)), None).await?;
            if execution.mode == ExecutionMode::Parallel {
                self.purge_range(&Range::conditions(execution.id), None).await?;
            }
        }
        self.backend.remove(doomed.iter().map(|execution| Key::execution(pipeline, execution.id)).collect()).await?;
        Ok(is_last)
    }

    /// Executions of the next pipeline of the name whose ids are older than `before`: whoever created it took long, or has a
    /// clock that is behind that of whoever deleted the last one.
    async fn newer(
        &self,
        pipeline: &PipelineName,
        created_at: Option<Timestamp>,
        before: ExecutionId,
    ) -> Result<Vec<ExecutionId>, StoreError> {
        let Some(created_at) = created_at else { return Ok(Vec::new()) };
        let (range, mut newer, mut after) = (Range::executions(pipeline), Vec::new(), before.to_string());
        loop {
            // The newest first: the first that is of the deleted pipeline is mostly the first.
            let part = Part::all(&range, Direction::Backward);
            let items = self.backend.items(&part, Some(NEWER_AT_ONCE), Some(after)).await?;
            let Some(last) = items.last() else { return Ok(newer) };
            after = B::key(last).sort;
            for item in items.into_iter().filter(|item| B::key(item).sort != HEAD) {
                let execution: Execution = B::row(item)?;
                if execution.pipeline_created_at.is_none_or(|its| its == created_at) {
                    return Ok(newer);
                }
                newer.push(execution.id);
            }
        }
    }

    /// Removes the rows of `range`, where asked only those of executions within `bound`.
    async fn purge_range(&self, range: &Range, bound: Option<&Bound>) -> Result<(), StoreError> {
        let keys = self.doomed(range, bound).await?;
        self.backend.remove(keys).await
    }

    async fn doomed(&self, range: &Range, bound: Option<&Bound>) -> Result<Vec<Key>, StoreError> {
        let of = |comparison, id: ExecutionId| Filter { member: "execution", comparison, value: id.to_string() };
        let mut keys = self.keys(range, bound.map(|bound| of("<", bound.before))).await?;
        for id in bound.into_iter().flat_map(|bound| &bound.newer) {
            let kept = self.keys(range, Some(of("=", *id))).await?;
            keys.retain(|key| !kept.contains(key));
        }
        Ok(keys)
    }

    async fn keys(&self, range: &Range, filter: Option<Filter>) -> Result<Vec<Key>, StoreError> {
        let part = Part { filter, keys_only: true, ..Part::all(range, Direction::Forward) };
        Ok(self.backend.items(&part, None, None).await?.iter().map(B::key).collect())
    }
}

/// Executions that a deleted pipeline had.
struct Bound {
    /// They are older than this.
    before: ExecutionId,
    /// Those are as well, and are of the next pipeline of the name.
    newer: Vec<ExecutionId>,
}
