//! Storing all writes or none.

use std::collections::HashSet;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{ConditionCheck, Delete, Put, ReturnConsumedCapacity, TransactWriteItem};
use engine::ports::{Precondition, Row, StoreError, WRITES_MAX, Write};

use crate::errors::{store_error, transaction_error};
use crate::items::{item, key_item, row_type};
use crate::keys::Key;
use crate::precondition::{check_sense, condition};
use crate::table::Table;
use crate::usage::Operation;

impl Table {
    /// Stores `writes` in one request.
    ///
    /// A single write without a precondition is a plain put or delete, at half the price of a transaction. A single
    /// conditional one is a transaction all the same: where the answer to it is lost and the SDK tries again, the SDK
    /// sends the same `ClientRequestToken`, and DynamoDB answers as it did the first time. A plain conditional put
    /// would find its own work and call it a lost race.
    ///
    /// The token is the SDK's own, drawn once for each call of this function. A token derived from what is written
    /// would let two racing writers with equal writes both win.
    pub(crate) async fn store(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let keys = distinct_keys(&writes)?;
        // To demand nothing of a row is no write.
        let planned: Vec<(Write, Key)> = writes
            .into_iter()
            .zip(keys)
            .filter(|(write, _)| !matches!(write, Write::Check(_, Precondition::None)))
            .collect();
        match planned.as_slice() {
            [] => Ok(()),
            [(Write::Put(row, Precondition::None), key)] => self.put(row, key).await,
            [(Write::Delete(_), key)] => self.delete(key).await,
            _ => self.transact(&planned).await,
        }
    }

    async fn put(&self, row: &Row, key: &Key) -> Result<(), StoreError> {
        self.counters().request(Operation::PutItem);
        let output = self
            .client()
            .put_item()
            .table_name(self.name())
            .set_item(Some(item(row, key)?))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(store_error)?;
        self.counters().consumed(Operation::PutItem, output.consumed_capacity.as_ref());
        Ok(())
    }

    async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.counters().request(Operation::DeleteItem);
        let output = self
            .client()
            .delete_item()
            .table_name(self.name())
            .set_key(Some(key_item(key)))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(store_error)?;
        self.counters().consumed(Operation::DeleteItem, output.consumed_capacity.as_ref());
        Ok(())
    }

    async fn transact(&self, planned: &[(Write, Key)]) -> Result<(), StoreError> {
        let items = planned
            .iter()
            .map(|(write, key)| self.transact_item(write, key))
            .collect::<Result<Vec<_>, StoreError>>()?;
        self.counters().request(Operation::TransactWriteItems);
        let output = self
            .client()
            .transact_write_items()
            .set_transact_items(Some(items))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| transaction_error(error, |position| describe(planned, position)))?;
        self.counters().consumed(Operation::TransactWriteItems, output.consumed_capacity());
        Ok(())
    }

    fn transact_item(&self, write: &Write, key: &Key) -> Result<TransactWriteItem, StoreError> {
        let item_of = TransactWriteItem::builder();
        let malformed = |error: BuildError| StoreError::Broken(format!("the request could not be built: {error}"));
        Ok(match write {
            Write::Put(row, precondition) => {
                check_sense(row, *precondition, true)?;
                let condition = condition(*precondition);
                let put = Put::builder()
                    .table_name(self.name())
                    .set_item(Some(item(row, key)?))
                    .set_condition_expression(condition.expression.map(str::to_owned))
                    .set_expression_attribute_names(condition.names)
                    .set_expression_attribute_values(condition.values);
                item_of.put(put.build().map_err(malformed)?).build()
            }
            Write::Delete(_) => {
                let delete = Delete::builder().table_name(self.name()).set_key(Some(key_item(key)));
                item_of.delete(delete.build().map_err(malformed)?).build()
            }
            Write::Check(row, precondition) => {
                check_sense(row, *precondition, false)?;
                let condition = condition(*precondition);
                let check = ConditionCheck::builder()
                    .table_name(self.name())
                    .set_key(Some(key_item(key)))
                    .set_condition_expression(condition.expression.map(str::to_owned))
                    .set_expression_attribute_names(condition.names)
                    .set_expression_attribute_values(condition.values);
                item_of.condition_check(check.build().map_err(malformed)?).build()
            }
        })
    }
}

/// The key of each write.
///
/// # Errors
/// [`StoreError::Broken`] for what no transaction can hold: too many writes, two of one row, or the removal of a
/// history record, whose key depends on the transaction that wrote it.
fn distinct_keys(writes: &[Write]) -> Result<Vec<Key>, StoreError> {
    if writes.len() > WRITES_MAX {
        let count = writes.len();
        return Err(StoreError::Broken(format!(
            "a transaction holds {WRITES_MAX} writes, not {count}: store in steps"
        )));
    }
    let mut seen = HashSet::new();
    let mut keys = Vec::with_capacity(writes.len());
    for (position, write) in writes.iter().enumerate() {
        if let Write::Delete(Row::Record(_)) | Write::Check(Row::Record(_), _) = write {
            return Err(StoreError::Broken("history is only ever added to".to_owned()));
        }
        let key = Key::of(row_of(write), position);
        if !seen.insert(key.clone()) {
            let Key { partition, sort } = &key;
            return Err(StoreError::Broken(format!("two writes of one transaction are about {partition} / {sort}")));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn row_of(write: &Write) -> &Row {
    match write {
        Write::Put(row, _) | Write::Delete(row) | Write::Check(row, _) => row,
    }
}

fn describe(planned: &[(Write, Key)], position: usize) -> String {
    planned.get(position).map_or_else(
        || "a write".to_owned(),
        |(write, key)| format!("the row of type {} at {} / {}", row_type(row_of(write)), key.partition, key.sort),
    )
}
