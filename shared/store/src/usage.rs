//! Counts what the table is asked, for the benchmark.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_dynamodb::types::ConsumedCapacity;

/// Operations of DynamoDB that the table uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// One row by its key.
    GetItem,
    /// Several rows by their keys.
    BatchGetItem,
    /// Rows of one partition.
    Query,
    /// One unconditional write.
    PutItem,
    /// One unconditional removal.
    DeleteItem,
    /// Everything else that is written.
    TransactWriteItems,
    /// Removal of old history.
    BatchWriteItem,
}

impl Operation {
    fn is_read(self) -> bool {
        matches!(self, Self::GetItem | Self::BatchGetItem | Self::Query)
    }
}

/// What one operation was used for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct OperationUsage {
    /// Requests, failed ones included; the SDK's own retries are not seen here.
    pub requests: u64,
    /// Capacity units of the answered requests: read units for reads, write units for writes.
    pub units: f64,
}

/// What was used since the table was opened, by operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage(pub BTreeMap<Operation, OperationUsage>);

impl Usage {
    /// Requests of every kind.
    pub fn requests(&self) -> u64 {
        self.0.values().map(|usage| usage.requests).sum()
    }

    /// Read capacity units.
    pub fn read_units(&self) -> f64 {
        self.units(Operation::is_read)
    }

    /// Write capacity units.
    pub fn write_units(&self) -> f64 {
        self.units(|operation| !operation.is_read())
    }

    fn units(&self, wanted: impl Fn(Operation) -> bool) -> f64 {
        self.0.iter().filter(|(operation, _)| wanted(**operation)).map(|(_, usage)| usage.units).sum()
    }
}

const OPERATIONS: [Operation; 7] = [
    Operation::GetItem,
    Operation::BatchGetItem,
    Operation::Query,
    Operation::PutItem,
    Operation::DeleteItem,
    Operation::TransactWriteItems,
    Operation::BatchWriteItem,
];

/// DynamoDB counts in steps of half a unit.
const STEPS_PER_UNIT: f64 = 2.0;

#[derive(Debug, Default)]
struct Counter {
    requests: AtomicU64,
    half_units: AtomicU64,
}

/// Counters that many requests raise at once. They order nothing, so relaxed access is enough.
#[derive(Debug, Default)]
pub(crate) struct Counters([Counter; OPERATIONS.len()]);

impl Counters {
    pub(crate) fn request(&self, operation: Operation) {
        self.0[operation as usize].requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn consumed<'a>(&self, operation: Operation, capacity: impl IntoIterator<Item = &'a ConsumedCapacity>) {
        self.units(operation, capacity.into_iter().filter_map(|consumed| consumed.capacity_units).sum());
    }

    pub(crate) fn units(&self, operation: Operation, units: f64) {
        let half_units = (units * STEPS_PER_UNIT).round().max(0.0) as u64;
        self.0[operation as usize].half_units.fetch_add(half_units, Ordering::Relaxed);
    }

    pub(crate) fn usage(&self) -> Usage {
        let used = OPERATIONS.map(|operation| {
            let counter = &self.0[operation as usize];
            let units = counter.half_units.load(Ordering::Relaxed) as f64 / STEPS_PER_UNIT;
            (operation, OperationUsage { requests: counter.requests.load(Ordering::Relaxed), units })
        });
        Usage(used.into_iter().filter(|(_, usage)| usage.requests > 0).collect())
    }
}
