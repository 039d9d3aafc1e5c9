//! What keeps the items: DynamoDB, or memory in simulations. Keys, pages and questions are the same over both.

use std::future::Future;

use engine::ports::{Row, StoreError, Write};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::keys::Key;
use crate::query::Part;

/// A keeper of items, each under its key.
pub trait Backend: Send + Sync {
    /// A row as it is kept.
    type Item: Send;

    /// The item under `key`.
    fn get(&self, key: &Key) -> impl Future<Output = Result<Option<Self::Item>, StoreError>> + Send;

    /// The items under `keys`, in no order; one request for up to a hundred.
    fn get_all(&self, keys: &[Key]) -> impl Future<Output = Result<Vec<Self::Item>, StoreError>> + Send;

    /// Items of `part` after the sort key `after`, up to `limit` of them.
    fn items(
        &self,
        part: &Part<'_>,
        limit: Option<usize>,
        after: Option<String>,
    ) -> impl Future<Output = Result<Vec<Self::Item>, StoreError>> + Send;

    /// Stores all of `planned`, of which no two are about one key, or none. What has expired `now` is in nobody's way.
    fn write(&self, planned: Vec<(Write, Key)>, now: Timestamp) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes what is under `keys`, where it is there.
    fn remove(&self, keys: Vec<Key>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Where an item is.
    fn key(item: &Self::Item) -> Key;

    /// The kind of its row.
    fn kind(item: &Self::Item) -> &str;

    /// When it expires, in seconds since the epoch, where it does.
    fn expires_at(item: &Self::Item) -> Option<i64>;

    /// Its row.
    ///
    /// # Errors
    /// [`StoreError::Broken`] where the item is not what its key says.
    fn row<T: Stored>(item: Self::Item) -> Result<T, StoreError>;
}

/// What rows hold.
pub trait Stored: DeserializeOwned + Send {
    /// What `row` holds, where it is of this kind.
    fn of(row: Row) -> Option<Self>;
}

macro_rules! stored {
    ($($held:ty: $($row:pat => $value:ident),+;)*) => {
        $(impl Stored for $held {
            fn of(row: Row) -> Option<Self> {
                match row {
                    $($row => Some($value),)+
                    _ => None,
                }
            }
        })*
    };
}

stored! {
    domain::PipelineIndex: Row::Pipeline(it) => it, Row::Head(it) => it;
    domain::StageState: Row::Stage(it) => it;
    domain::ActionRun: Row::LatestAction(it) => it, Row::ActionRun(it) => it;
    domain::Waiting: Row::Waiting(it) => it;
    domain::Execution: Row::Execution(it) => it;
    domain::Success: Row::Success(it) => it;
    domain::Watch: Row::Watch(it) => it, Row::OpenWatch(it) => it;
    domain::Incident: Row::Incident(it) => it, Row::OpenIncident(it) => it;
    domain::RevokedContent: Row::Revoked(it) => it;
    domain::Job: Row::Job(it) => it;
    domain::ConditionRun: Row::Condition(it) => it, Row::OpenCondition(it) => it;
    domain::RuleRun: Row::RuleRun(it) => it;
    domain::Record: Row::Record(it) => it;
    domain::Slot: Row::Slot(it) => it;
    domain::OpenHold: Row::Hold(it) => it;
    domain::Kept: Row::Kept(it) => it;
    domain::KeptDue: Row::KeptDue(it) => it;
    domain::RollbackDecision: Row::Decision(_, it) => it;
    domain::CustomType: Row::CustomType(it) => it;
    domain::CustomTypeCount: Row::CustomTypeCount(it) => it;
    domain::LastLook: Row::LastLook(it) => it;
    domain::Webhook: Row::Webhook(it) => it;
    engine::ports::PipelineSummary: Row::Summary(it) => it;
    engine::ports::Definition: Row::Definition(it) => it;
    engine::ports::OpenExecution: Row::OpenExecution(it) => it;
    engine::ports::QueuedJob: Row::QueuedJob(it) => it;
    engine::ports::PendingEffect: Row::Effect(it) => it;
    engine::ports::SourceBinding: Row::Source(it) => it;
    engine::ports::StartMarker: Row::Start(it) => it;
    engine::ports::ResourceTags: Row::Tags(it) => it;
    engine::ports::Deletion: Row::Deletion(it) => it;
}
