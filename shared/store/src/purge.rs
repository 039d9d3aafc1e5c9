//! Removing the history of a deleted pipeline, a few hundred items at a time.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{DeleteRequest, ReturnConsumedCapacity, WriteRequest};
use domain::{Execution, ExecutionId, ExecutionMode, PipelineName, StageName};
use engine::ports::{DecisionList, StoreError};

use crate::errors::store_error;
use crate::items::{Item, PK, SK, row, text};
use crate::keys::{HEAD, Key, Range};
use crate::query::{Direction, Filter, Part};
use crate::table::Table;
use crate::usage::Operation;

/// Executions removed in one call; with their runs and records these are a few hundred items, seconds of work.
const EXECUTIONS_PER_CALL: usize = 20;
/// DynamoDB's limit for one BatchWriteItem.
const BATCH_MAX: usize = 25;
/// How often what DynamoDB left undone is sent again before the caller has to try later.
const ATTEMPTS_MAX: usize = 4;

impl Table {
    /// Removes the oldest executions with all that belongs to them; `true` when none are left before `before`.
    ///
    /// An execution's row goes last, so that a call that breaks off is completed by the next.
    pub(crate) async fn purge(&self, pipeline: &PipelineName, before: ExecutionId) -> Result<bool, StoreError> {
        let range = Range::executions(pipeline);
        let oldest = self.items(&Part::all(&range, Direction::Forward), Some(EXECUTIONS_PER_CALL + 1), None).await?;
        // A pipeline made anew under the name has its row among them.
        let executions = oldest.into_iter().filter(|item| text(item, SK) != HEAD);
        let mut doomed = executions.map(row).collect::<Result<Vec<Execution>, _>>()?;
        doomed.retain(|execution| execution.id < before);
        let is_last = doomed.len() <= EXECUTIONS_PER_CALL;
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
        self.remove(doomed.iter().map(|execution| Key::execution(pipeline, execution.id)).collect()).await?;
        Ok(is_last)
    }

    /// Removes the rows of `range`, where asked only those of executions older than `before`.
    async fn purge_range(&self, range: &Range, before: Option<ExecutionId>) -> Result<(), StoreError> {
        let filter = before.map(|id| Filter { member: "execution", comparison: "<", value: id.to_string() });
        let part = Part { filter, keys_only: true, ..Part::all(range, Direction::Forward) };
        let items = self.items(&part, None, None).await?;
        self.remove(items.iter().map(key_of).collect()).await
    }

    async fn remove(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        for batch in keys.chunks(BATCH_MAX) {
            let requests = batch.iter().map(delete_request).collect::<Result<Vec<_>, _>>()?;
            self.remove_batch(requests).await?;
        }
        Ok(())
    }

    async fn remove_batch(&self, mut requests: Vec<WriteRequest>) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS_MAX {
            self.counters().request(Operation::BatchWriteItem);
            let output = self
                .client()
                .batch_write_item()
                .request_items(self.name(), requests)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(store_error)?;
            self.counters().consumed(Operation::BatchWriteItem, output.consumed_capacity());
            requests = output.unprocessed_items.unwrap_or_default().remove(self.name()).unwrap_or_default();
            if requests.is_empty() {
                return Ok(());
            }
        }
        let left = requests.len();
        Err(StoreError::Unavailable(format!("DynamoDB left {left} removals undone: the table is throttled").into()))
    }
}

fn key_of(item: &Item) -> Key {
    Key { partition: text(item, PK).to_owned(), sort: text(item, SK).to_owned() }
}

fn delete_request(key: &Key) -> Result<WriteRequest, StoreError> {
    let delete = DeleteRequest::builder().set_key(Some(crate::items::key_item(key))).build();
    let delete = delete.map_err(|error| StoreError::Broken(format!("the request could not be built: {error}")))?;
    Ok(WriteRequest::builder().delete_request(delete).build())
}
