//! DynamoDB: one request per question, one transaction per decision.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, DeleteRequest, KeysAndAttributes, Put, ReturnConsumedCapacity,
    TransactWriteItem, WriteRequest,
};
use engine::ports::{Precondition, Row, StoreError, Write};
use jiff::Timestamp;

use crate::backend::{Backend, Stored};
use crate::commit::row_of;
use crate::errors::{store_error, transaction_error};
use crate::items::{EXPIRES_AT, Item, PK, SK, TYPE, item, key_item, row, row_type, text};
use crate::keys::Key;
use crate::precondition::{check_sense, condition};
use crate::query::{Direction, Part};
use crate::usage::{Counters, Operation};

/// DynamoDB's limit for one BatchWriteItem.
const BATCH_MAX: usize = 25;
/// DynamoDB's limit for one BatchGetItem.
const GETS_MAX: usize = 100;
/// How often what DynamoDB left undone is sent again before the caller has to try later.
const ATTEMPTS_MAX: usize = 4;

/// A table of DynamoDB. Clones share their counters.
#[derive(Debug, Clone)]
pub struct DynamoDb {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) counters: Arc<Counters>,
}

impl Backend for DynamoDb {
    type Item = Item;

    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.counters.request(Operation::GetItem);
        let output = self
            .client
            .get_item()
            .table_name(self.name.as_str())
            .set_key(Some(key_item(key)))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(store_error)?;
        self.counters.consumed(Operation::GetItem, output.consumed_capacity.as_ref());
        Ok(output.item)
    }

    async fn get_all(&self, keys: &[Key]) -> Result<Vec<Item>, StoreError> {
        match keys {
            [] => return Ok(Vec::new()),
            // Half the latency of a batch, and no part of it can be left undone.
            [key] => return Ok(self.get(key).await?.into_iter().collect()),
            _ => {}
        }
        let mut items = Vec::new();
        for batch in keys.chunks(GETS_MAX) {
            items.extend(self.get_batch(batch.iter().map(key_item).collect()).await?);
        }
        Ok(items)
    }

    /// One request for each megabyte.
    async fn items(
        &self,
        part: &Part<'_>,
        limit: Option<usize>,
        after: Option<String>,
    ) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        let mut start = after.map(|sort| key_item(&Key { partition: part.range.partition.clone(), sort }));
        loop {
            let missing = limit.map(|limit| limit - items.len());
            let (found, last) = self.query(part, missing, start).await?;
            items.extend(found);
            if last.is_none() || limit.is_some_and(|limit| items.len() >= limit) {
                return Ok(items);
            }
            start = last;
        }
    }

    /// A single write without a precondition is a plain put or delete, at half the price of a transaction. A single
    /// conditional one is a transaction all the same: where the answer to it is lost and the SDK tries again, the SDK
    /// sends the same `ClientRequestToken`, and DynamoDB answers as it did the first time. A plain conditional put
    /// would find its own work and call it a lost race.
    ///
    /// The token is the SDK's own, drawn once for each call of this function. A token derived from what is written
    /// would let two racing writers with equal writes both win.
    async fn write(&self, planned: Vec<(Write, Key)>, now: Timestamp) -> Result<(), StoreError> {
        match planned.as_slice() {
            [(Write::Put(row, Precondition::None), key)] => self.put(row, key).await,
            [(Write::Delete(_), key)] => self.delete(key).await,
            _ => self.transact(&planned, now).await,
        }
    }

    async fn remove(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        if let [key] = keys.as_slice() {
            return self.delete(key).await;
        }
        for batch in keys.chunks(BATCH_MAX) {
            let requests = batch.iter().map(delete_request).collect::<Result<Vec<_>, _>>()?;
            self.remove_batch(requests).await?;
        }
        Ok(())
    }

    fn key(item: &Item) -> Key {
        Key { partition: text(item, PK).to_owned(), sort: text(item, SK).to_owned() }
    }

    fn kind(item: &Item) -> &str {
        text(item, TYPE)
    }

    fn expires_at(item: &Item) -> Option<i64> {
        item.get(EXPIRES_AT)?.as_n().ok()?.parse().ok()
    }

    fn row<T: Stored>(item: Item) -> Result<T, StoreError> {
        row(item)
    }
}

impl DynamoDb {
    async fn query(
        &self,
        part: &Part<'_>,
        limit: Option<usize>,
        start: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let Part { range, direction, filter, keys_only } = part;
        let mut request = self
            .client
            .query()
            .table_name(self.name.as_str())
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .scan_index_forward(*direction == Direction::Forward)
            .set_exclusive_start_key(start)
            .expression_attribute_values(":partition", AttributeValue::S(range.partition.clone()));
        request = if range.prefix.is_empty() {
            request.key_condition_expression("PK = :partition")
        } else {
            request
                .key_condition_expression("PK = :partition AND begins_with(SK, :prefix)")
                .expression_attribute_values(":prefix", AttributeValue::S(range.prefix.clone()))
        };
        if let Some(filter) = filter {
            request = request
                .filter_expression(format!("#member {} :value", filter.comparison))
                .expression_attribute_names("#member", filter.member)
                .expression_attribute_values(":value", AttributeValue::S(filter.value.clone()));
        } else {
            // DynamoDB's limit counts items before they are filtered.
            request = request.set_limit(limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX)));
        }
        if *keys_only {
            request = request.projection_expression("PK, SK");
        }
        self.counters.request(Operation::Query);
        let output = request.send().await.map_err(store_error)?;
        self.counters.consumed(Operation::Query, output.consumed_capacity.as_ref());
        Ok((output.items.unwrap_or_default(), output.last_evaluated_key))
    }

    async fn put(&self, row: &Row, key: &Key) -> Result<(), StoreError> {
        self.counters.request(Operation::PutItem);
        let output = self
            .client
            .put_item()
            .table_name(self.name.as_str())
            .set_item(Some(item(row, key)?))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(store_error)?;
        self.counters.consumed(Operation::PutItem, output.consumed_capacity.as_ref());
        Ok(())
    }

    async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.counters.request(Operation::DeleteItem);
        let output = self
            .client
            .delete_item()
            .table_name(self.name.as_str())
            .set_key(Some(key_item(key)))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(store_error)?;
        self.counters.consumed(Operation::DeleteItem, output.consumed_capacity.as_ref());
        Ok(())
    }

    async fn transact(&self, planned: &[(Write, Key)], now: Timestamp) -> Result<(), StoreError> {
        let items = planned
            .iter()
            .map(|(write, key)| self.transact_item(write, key, now))
            .collect::<Result<Vec<_>, StoreError>>()?;
        self.counters.request(Operation::TransactWriteItems);
        let output = self
            .client
            .transact_write_items()
            .set_transact_items(Some(items))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| transaction_error(error, |position| describe(planned, position)))?;
        self.counters.consumed(Operation::TransactWriteItems, output.consumed_capacity());
        Ok(())
    }

    fn transact_item(&self, write: &Write, key: &Key, now: Timestamp) -> Result<TransactWriteItem, StoreError> {
        let item_of = TransactWriteItem::builder();
        let malformed = |error: BuildError| StoreError::Broken(format!("the request could not be built: {error}"));
        Ok(match write {
            Write::Put(row, precondition) => {
                check_sense(row, *precondition, true)?;
                let condition = condition(*precondition, now);
                let put = Put::builder()
                    .table_name(self.name.as_str())
                    .set_item(Some(item(row, key)?))
                    .set_condition_expression(condition.expression.map(str::to_owned))
                    .set_expression_attribute_names(condition.names)
                    .set_expression_attribute_values(condition.values);
                item_of.put(put.build().map_err(malformed)?).build()
            }
            Write::Delete(_) => {
                let delete = Delete::builder().table_name(self.name.as_str()).set_key(Some(key_item(key)));
                item_of.delete(delete.build().map_err(malformed)?).build()
            }
            Write::DeleteIf(row, precondition) => {
                check_sense(row, *precondition, false)?;
                let condition = condition(*precondition, now);
                let delete = Delete::builder()
                    .table_name(self.name.as_str())
                    .set_key(Some(key_item(key)))
                    .set_condition_expression(condition.expression.map(str::to_owned))
                    .set_expression_attribute_names(condition.names)
                    .set_expression_attribute_values(condition.values);
                item_of.delete(delete.build().map_err(malformed)?).build()
            }
            Write::Check(row, precondition) => {
                check_sense(row, *precondition, false)?;
                let condition = condition(*precondition, now);
                let check = ConditionCheck::builder()
                    .table_name(self.name.as_str())
                    .set_key(Some(key_item(key)))
                    .set_condition_expression(condition.expression.map(str::to_owned))
                    .set_expression_attribute_names(condition.names)
                    .set_expression_attribute_values(condition.values);
                item_of.condition_check(check.build().map_err(malformed)?).build()
            }
        })
    }

    async fn get_batch(&self, mut keys: Vec<Item>) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        for _ in 0..ATTEMPTS_MAX {
            let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
            let wanted =
                wanted.map_err(|error| StoreError::Broken(format!("the request could not be built: {error}")))?;
            self.counters.request(Operation::BatchGetItem);
            let output = self
                .client
                .batch_get_item()
                .request_items(self.name.as_str(), wanted)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(store_error)?;
            self.counters.consumed(Operation::BatchGetItem, output.consumed_capacity());
            items.extend(output.responses.unwrap_or_default().remove(self.name.as_str()).unwrap_or_default());
            let left = output.unprocessed_keys.unwrap_or_default().remove(self.name.as_str());
            keys = left.map(|left| left.keys).unwrap_or_default();
            if keys.is_empty() {
                return Ok(items);
            }
        }
        let left = keys.len();
        Err(StoreError::Unavailable(format!("DynamoDB left {left} reads undone: the table is throttled").into()))
    }

    async fn remove_batch(&self, mut requests: Vec<WriteRequest>) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS_MAX {
            self.counters.request(Operation::BatchWriteItem);
            let output = self
                .client
                .batch_write_item()
                .request_items(self.name.as_str(), requests)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(store_error)?;
            self.counters.consumed(Operation::BatchWriteItem, output.consumed_capacity());
            requests = output.unprocessed_items.unwrap_or_default().remove(self.name.as_str()).unwrap_or_default();
            if requests.is_empty() {
                return Ok(());
            }
        }
        let left = requests.len();
        Err(StoreError::Unavailable(format!("DynamoDB left {left} removals undone: the table is throttled").into()))
    }
}

fn delete_request(key: &Key) -> Result<WriteRequest, StoreError> {
    let delete = DeleteRequest::builder().set_key(Some(key_item(key))).build();
    let delete = delete.map_err(|error| StoreError::Broken(format!("the request could not be built: {error}")))?;
    Ok(WriteRequest::builder().delete_request(delete).build())
}

fn describe(planned: &[(Write, Key)], position: usize) -> String {
    planned.get(position).map_or_else(
        || "a write".to_owned(),
        |(write, key)| format!("the row of type {} at {} / {}", row_type(row_of(write)), key.partition, key.sort),
    )
}
