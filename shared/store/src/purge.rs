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

        self.purge_range(&Range::all_slots(pipeline), Some(before)).await?;
        let stages: BTreeSet<&StageName> = doomed.iter().flat_map(|execution| execution.stages.keys()).collect();
        for stage in stages {
            self.purge_range(&Range::successes(pipeline, stage), Some(before)).await?;
            let decided = DecisionList::Stage(pipeline.clone(), stage.clone());
            self.purge_range(&Range::decisions(&decided), Some(before)).await?;
        }
        self.purge_range(&Range::decisions(&DecisionList::Pipeline(pipeline.clone())), Some(before)).await?;
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

    /// Removes the rows of `range`, where asked only those of executions older than `before`.
    async fn purge_range(&self, range: &Range, before: Option<ExecutionId>) -> Result<(), StoreError> {
        let filter = before.map(|id| Filter { member: "execution", comparison: "<", value: id.to_string() });
        let part = Part { filter, keys_only: true, ..Part::all(range, Direction::Forward) };
        let items = self.backend.items(&part, None, None).await?;
        self.backend.remove(items.iter().map(B::key).collect()).await
    }
}
