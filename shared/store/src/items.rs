//! Rows as items and back.
//!
//! An item holds its row's members as attributes of the same names, so that `aws dynamodb scan` reads well, beside
//! `PK`, `SK`, `type`, and `expiresAt` where the row may go some day.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::ExecutionMode;
use engine::ports::{Row, StoreError};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};

use crate::keys::Key;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Partition key.
pub(crate) const PK: &str = "PK";
/// Sort key.
pub(crate) const SK: &str = "SK";
/// What kind of row it is.
pub(crate) const TYPE: &str = "type";
/// DynamoDB's TTL attribute, seconds since the epoch.
pub(crate) const EXPIRES_AT: &str = "expiresAt";
const VERSION: &str = "version";

const DAY_S: i64 = 86_400;
/// History is kept for 12 months (spec 1.10); 366 days cover the longest of them.
const HISTORY_S: i64 = 366 * DAY_S;
/// The longest an approval may wait is 60 days (spec 1.10); one more lets late answers be told from unknown ones.
const JOB_S: i64 = 61 * DAY_S;
/// A watch that is over stays a day for the reconciler, should it have been down.
const WATCH_S: i64 = DAY_S;
/// Far longer than any call that creates a pipeline.
const DELETION_S: i64 = 7 * DAY_S;

/// The item of `row` as it is to be stored under `key`: rows with a version at the next one.
pub(crate) fn item(row: &Row, key: &Key) -> Result<Item, StoreError> {
    let members = match row {
        Row::Pipeline(row) | Row::Head(row) => to_item(row),
        Row::Summary(row) => to_item(row),
        Row::Definition(row) => to_item(row),
        Row::Stage(row) => to_item(row),
        Row::LatestAction(row) | Row::ActionRun(row) => to_item(row),
        Row::Waiting(row) => to_item(row),
        Row::Execution(row) => to_item(row),
        Row::OpenExecution(row) => to_item(row),
        Row::Success(row) => to_item(row),
        Row::Watch(row) | Row::OpenWatch(row) => to_item(row),
        Row::Revoked(row) => to_item(row),
        // Nothing that an item could hold: a put of it ends as an error.
        Row::Unrevoked(row) => to_item(row),
        Row::Incident(row) | Row::OpenIncident(row) => to_item(row),
        Row::Job(row) => to_item(row),
        Row::QueuedJob(row) => to_item(row),
        Row::Condition(row) | Row::OpenCondition(row) => to_item(row),
        Row::RuleRun(row) => to_item(row),
        Row::Record(row) => to_item(row),
        Row::Hold(row) => to_item(row),
        Row::Decision(_, row) => to_item(row),
        Row::Effect(row) => to_item(row),
        Row::Kept(row) => to_item(row),
        Row::KeptDue(row) => to_item(row),
        Row::CustomType(row) => to_item(row),
        Row::CustomTypeCount(row) => to_item(row),
        Row::LastLook(row) => to_item(row),
        Row::Deletion(row) => to_item(row),
        Row::Slot(row) => to_item(row),
        Row::Source(row) => to_item(row),
        Row::Start(row) => to_item(row),
        Row::Webhook(row) => to_item(row),
        Row::Tags(row) => to_item(row),
    };
    let kind = row_type(row);
    let mut item: Item =
        members.map_err(|error| StoreError::Broken(format!("a row of type {kind} has no item: {error}")))?;
    if let Some(version) = version_of(row) {
        item.insert(VERSION.to_owned(), AttributeValue::N((version + 1).to_string()));
    }
    if let Some(expires_at) = expires_at(row) {
        item.insert(EXPIRES_AT.to_owned(), AttributeValue::N(expires_at.to_string()));
    }
    item.insert(TYPE.to_owned(), AttributeValue::S(kind.to_owned()));
    item.extend(key_item(key));
    Ok(item)
}

/// The key alone.
pub(crate) fn key_item(key: &Key) -> Item {
    Item::from([
        (PK.to_owned(), AttributeValue::S(key.partition.clone())),
        (SK.to_owned(), AttributeValue::S(key.sort.clone())),
    ])
}

/// The row in `item`.
pub(crate) fn row<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    let key = format!("{} / {}", text(&item, PK), text(&item, SK));
    from_item(item).map_err(|error| StoreError::Broken(format!("the item {key} is not what its key says: {error}")))
}

/// A text attribute; empty where there is none.
pub(crate) fn text<'a>(item: &'a Item, attribute: &str) -> &'a str {
    item.get(attribute).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// The kind of a row, its `type` attribute.
pub(crate) fn row_type(row: &Row) -> &'static str {
    match row {
        Row::Pipeline(_) => "Pipeline",
        Row::Head(_) => "Head",
        Row::Summary(_) => "PipelineSummary",
        Row::Definition(_) => "Definition",
        Row::Stage(_) => "Stage",
        Row::LatestAction(_) => "LatestAction",
        Row::Waiting(_) => "Waiting",
        Row::Execution(_) => "Execution",
        Row::OpenExecution(_) => "OpenExecution",
        Row::Success(_) => "Success",
        Row::Watch(_) => "Watch",
        Row::OpenWatch(_) => "OpenWatch",
        Row::Revoked(_) | Row::Unrevoked(_) => "Revoked",
        Row::Incident(_) => "Incident",
        Row::OpenIncident(_) => "OpenIncident",
        Row::ActionRun(_) => "ActionRun",
        Row::Job(_) => "Job",
        Row::QueuedJob(_) => "QueuedJob",
        Row::Condition(_) => "Condition",
        Row::OpenCondition(_) => "OpenCondition",
        Row::RuleRun(_) => "RuleRun",
        Row::Record(_) => "Record",
        Row::Hold(_) => "Hold",
        Row::Decision(..) => "Decision",
        Row::Effect(_) => "Effect",
        Row::Kept(_) => "Kept",
        Row::KeptDue(_) => "KeptDue",
        Row::CustomType(_) => "CustomType",
        Row::CustomTypeCount(_) => "CustomTypeCount",
        Row::LastLook(_) => "LastLook",
        Row::Deletion(_) => "Deletion",
        Row::Slot(_) => "Slot",
        Row::Source(_) => "Source",
        Row::Start(_) => "Start",
        Row::Webhook(_) => "Webhook",
        Row::Tags(_) => "Tags",
    }
}

/// The version of a row that has one, borrowed as the row is.
macro_rules! version {
    ($row:expr, $($borrow:tt)+) => {
        match $row {
            Row::Pipeline(row) => Some($($borrow)+ row.version),
            Row::Stage(row) => Some($($borrow)+ row.version),
            Row::LatestAction(row) | Row::ActionRun(row) => Some($($borrow)+ row.version),
            Row::Execution(row) => Some($($borrow)+ row.version),
            Row::Success(row) => Some($($borrow)+ row.version),
            Row::Watch(row) | Row::OpenWatch(row) => Some($($borrow)+ row.version),
            Row::Incident(row) | Row::OpenIncident(row) => Some($($borrow)+ row.version),
            Row::Job(row) => Some($($borrow)+ row.version),
            Row::CustomType(row) => Some($($borrow)+ row.version),
            Row::CustomTypeCount(row) => Some($($borrow)+ row.version),
            Row::Condition(row) => Some($($borrow)+ row.version),
            Row::Start(row) => Some($($borrow)+ row.version),
            Row::Webhook(row) => Some($($borrow)+ row.version),
            Row::Tags(row) => Some($($borrow)+ row.version),
            Row::Kept(row) => Some($($borrow)+ row.version),
            Row::Deletion(row) => Some($($borrow)+ row.version),
            Row::Head(_)
            | Row::Summary(_)
            | Row::Definition(_)
            | Row::Waiting(_)
            | Row::OpenExecution(_)
            | Row::QueuedJob(_)
            | Row::OpenCondition(_)
            | Row::RuleRun(_)
            | Row::Record(_)
            | Row::Hold(_)
            | Row::Decision(..)
            | Row::Revoked(_)
            | Row::Unrevoked(_)
            | Row::Effect(_)
            | Row::Slot(_)
            | Row::LastLook(_)
            | Row::KeptDue(_)
            | Row::Source(_) => None,
        }
    };
}

/// The version a row carries, where it carries one.
pub(crate) fn version_of(row: &Row) -> Option<u64> {
    version!(row, &).copied()
}

/// The same, for raising it.
#[cfg(feature = "memory")]
pub(crate) fn version_of_mut(row: &mut Row) -> Option<&mut u64> {
    version!(row, &mut)
}

/// Whether a row has a generation of its own (others only carry the one they were made under).
pub(crate) fn is_stage(row: &Row) -> bool {
    matches!(row, Row::Stage(_))
}

/// Whether what expires then is gone `now`, be it still there: DynamoDB removes it some days later.
pub(crate) fn is_past(expires_at: i64, now: Timestamp) -> bool {
    expires_at <= now.as_second()
}

/// When a row may go, seconds since the epoch. What is current has no end.
pub(crate) fn expires_at(row: &Row) -> Option<i64> {
    let after = |from: Timestamp, seconds: i64| Some(from.as_second() + seconds);
    match row {
        // One that was begun long ago and retried late still holds its stage, and may be what is live when it has ended.
        Row::Execution(row) => after(row.started_at.max(row.updated_at), HISTORY_S).filter(|_| row.phase.is_ended()),
        Row::ActionRun(row) => after(row.started_at, HISTORY_S),
        // In PARALLEL mode it is history of its execution.
        Row::Condition(row) if row.mode == ExecutionMode::Parallel => after(row.started_at, HISTORY_S),
        Row::RuleRun(row) => after(row.started_at, HISTORY_S),
        Row::Success(row) => after(row.at, HISTORY_S),
        Row::Record(row) => after(row.at, HISTORY_S),
        Row::Decision(_, row) => after(row.at, HISTORY_S),
        Row::Watch(row) | Row::OpenWatch(row) => after(row.until, WATCH_S),
        Row::Incident(row) | Row::OpenIncident(row) => after(row.changed_at, HISTORY_S),
        Row::Job(row) => after(row.created_at, JOB_S),
        // As long as its execution.
        Row::Slot(row) => after(row.taken_at, HISTORY_S),
        Row::QueuedJob(row) => after(row.created_at, JOB_S),
        Row::Deletion(row) => after(row.at, DELETION_S),
        Row::Start(row) => Some(row.expires_at),
        Row::Pipeline(_)
        | Row::CustomType(_)
        | Row::CustomTypeCount(_)
        | Row::LastLook(_)
        | Row::Head(_)
        | Row::Summary(_)
        | Row::Definition(_)
        | Row::Stage(_)
        | Row::LatestAction(_)
        | Row::Waiting(_)
        | Row::OpenExecution(_)
        | Row::Condition(_)
        | Row::OpenCondition(_)
        | Row::Hold(_)
        | Row::Revoked(_)
        | Row::Unrevoked(_)
        | Row::Effect(_)
        | Row::Kept(_)
        | Row::KeptDue(_)
        | Row::Source(_)
        | Row::Webhook(_)
        | Row::Tags(_) => None,
    }
}
