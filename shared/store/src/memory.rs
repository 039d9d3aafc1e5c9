//! Memory, for simulations: the same keys, pages and preconditions, each request at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::ports::{Clock, Precondition, Row, StoreError, Write};
use jiff::Timestamp;

use crate::backend::{Backend, Stored};
use crate::items::{expires_at, is_past, row_type, version_of, version_of_mut};
use crate::keys::{Key, Range};
use crate::metered::{Meter, stored_bytes};
use crate::precondition::check_sense;
use crate::query::{Direction, Filter, Part};
use crate::table::Table;
use crate::usage::Usage;

/// Seconds of a day.
const DAY_S: u64 = 86_400;

type Partition = BTreeMap<String, Row>;

/// A table in memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
    /// Counts as DynamoDB would bill. Working out how large items are takes most of the time, so simulations go without.
    meter: Option<Arc<Meter>>,
}

#[derive(Debug, Default)]
struct State {
    partitions: BTreeMap<String, Partition>,
    changes: Vec<Change>,
}

/// What a write made of a row.
#[derive(Debug, Clone)]
pub struct Change {
    /// The row before; absent where there was none.
    pub before: Option<Row>,
    /// The row now; absent where there is none.
    pub after: Option<Row>,
}

/// A row and where it is.
pub struct Kept(Key, Row);

impl Table<Memory> {
    /// An empty table; what expires is gone when `clock` says so.
    pub fn in_memory(clock: impl Clock + 'static) -> Self {
        Self { backend: Memory::default(), clock: Arc::new(clock) }
    }

    /// An empty table that counts what DynamoDB would bill.
    pub fn metered(clock: impl Clock + 'static) -> Self {
        Self { backend: Memory { meter: Some(Arc::default()), ..Memory::default() }, clock: Arc::new(clock) }
    }

    /// What was asked of a metered table since it was made; nothing of any other.
    pub fn usage(&self) -> Usage {
        self.backend.meter.as_ref().map(|meter| meter.usage()).unwrap_or_default()
    }

    /// Bytes that DynamoDB would bill for storing every row.
    ///
    /// # Errors
    /// A row that has no item, which is a defect.
    pub fn stored_bytes(&self) -> Result<u64, StoreError> {
        let state = self.backend.lock();
        let rows = state.partitions.iter().flat_map(|(partition, rows)| rows.iter().map(move |row| (partition, row)));
        rows.map(|(partition, (sort, row))| {
            let key = Key { partition: partition.clone(), sort: sort.clone() };
            stored_bytes(row, &key)
        })
        .sum()
    }

    /// Bytes of each row, as they are billed, times the days for which it is kept from `from`: `days_max` of those that are kept
    /// for longer or have no end.
    ///
    /// # Errors
    /// A row that has no item, which is a defect.
    pub fn stored_byte_days(&self, from: Timestamp, days_max: u64) -> Result<u64, StoreError> {
        let state = self.backend.lock();
        let rows = state.partitions.iter().flat_map(|(partition, rows)| rows.iter().map(move |row| (partition, row)));
        rows.map(|(partition, (sort, row))| {
            let key = Key { partition: partition.clone(), sort: sort.clone() };
            let days = expires_at(row).map(|at| u64::try_from(at - from.as_second()).unwrap_or(0) / DAY_S);
            Ok(stored_bytes(row, &key)? * days.unwrap_or(days_max).min(days_max))
        })
        .sum()
    }

    /// Every row, by key: what a scan would find.
    pub fn rows(&self) -> Vec<Row> {
        self.backend.lock().partitions.values().flat_map(BTreeMap::values).cloned().collect()
    }

    /// What was changed since this was asked last, in order.
    pub fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.backend.lock().changes)
    }
}

impl State {
    fn row(&self, key: &Key) -> Option<&Row> {
        self.partitions.get(&key.partition).and_then(|partition| partition.get(&key.sort))
    }

    fn set(&mut self, key: Key, after: Option<Row>) {
        let partition = self.partitions.entry(key.partition).or_default();
        let before = match after.clone() {
            Some(row) => partition.insert(key.sort, row),
            None => partition.remove(&key.sort),
        };
        self.changes.push(Change { before, after });
    }
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, State> {
        // All writes of a transaction are checked before the first is made, so a panic leaves none half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn meter(&self, count: impl FnOnce(&Meter) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.meter.as_deref().map_or(Ok(()), count)
    }
}

impl Backend for Memory {
    type Item = Kept;

    async fn get(&self, key: &Key) -> Result<Option<Kept>, StoreError> {
        let found = self.lock().row(key).map(|row| Kept(key.clone(), row.clone()));
        self.meter(|meter| meter.get(found.iter().map(|Kept(key, row)| (key, row))))?;
        Ok(found)
    }

    async fn get_all(&self, keys: &[Key]) -> Result<Vec<Kept>, StoreError> {
        let state = self.lock();
        let found: Vec<Kept> = keys.iter().filter_map(|key| Some(Kept(key.clone(), state.row(key)?.clone()))).collect();
        self.meter(|meter| meter.get_all(keys.len(), found.iter().map(|Kept(key, row)| (key, row))))?;
        Ok(found)
    }

    async fn items(
        &self,
        part: &Part<'_>,
        limit: Option<usize>,
        after: Option<String>,
    ) -> Result<Vec<Kept>, StoreError> {
        let state = self.lock();
        let Some(partition) = state.partitions.get(&part.range.partition) else {
            self.meter(|meter| meter.query([]))?;
            return Ok(Vec::new());
        };
        let Range { partition: name, prefix } = part.range;
        let key = |sort: &String| Key { partition: name.clone(), sort: sort.clone() };
        let is_beyond = |sort: &str| match (&after, part.direction) {
            (None, _) => true,
            (Some(after), Direction::Forward) => sort > after.as_str(),
            (Some(after), Direction::Backward) => sort < after.as_str(),
        };
        let mut wanted: Vec<(&String, &Row)> = partition
            .range(prefix.clone()..)
            .take_while(|(sort, _)| sort.starts_with(prefix))
            .filter(|(sort, _)| is_beyond(sort))
            .collect();
        if part.direction == Direction::Backward {
            wanted.reverse();
        }
        // DynamoDB bills what it looks at, and filters afterwards.
        let looked_at = limit.filter(|_| part.filter.is_none()).unwrap_or(usize::MAX);
        self.meter(|meter| {
            let read: Vec<_> = wanted.iter().take(looked_at).map(|(sort, row)| (key(sort), *row)).collect();
            meter.query(read.iter().map(|(key, row)| (key, *row)))
        })?;
        wanted.retain(|(_, row)| part.filter.as_ref().is_none_or(|filter| passes(row, filter)));
        wanted.truncate(limit.unwrap_or(usize::MAX));
        Ok(wanted.into_iter().map(|(sort, row)| Kept(key(sort), row.clone())).collect())
    }

    async fn write(&self, planned: Vec<(Write, Key)>, now: Timestamp) -> Result<(), StoreError> {
        let mut state = self.lock();
        for (write, key) in &planned {
            let (row, precondition, is_put) = match write {
                Write::Put(row, precondition) => (row, *precondition, true),
                Write::DeleteIf(row, precondition) | Write::Check(row, precondition) => (row, *precondition, false),
                Write::Delete(_) => continue,
            };
            check_sense(row, precondition, is_put)?;
            if !holds(precondition, state.row(key), now) {
                return Err(StoreError::Contended);
            }
        }
        self.meter(|meter| meter.write(&planned, |key| state.row(key)))?;
        for (write, key) in planned {
            match write {
                Write::Put(row, _) => state.set(key, Some(at_the_next_version(row))),
                Write::Delete(_) | Write::DeleteIf(..) => state.set(key, None),
                Write::Check(..) => {}
            }
        }
        Ok(())
    }

    async fn remove(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        let mut state = self.lock();
        self.meter(|meter| meter.remove(&keys, |key| state.row(key)))?;
        for key in keys {
            state.set(key, None);
        }
        Ok(())
    }

    fn key(item: &Kept) -> Key {
        item.0.clone()
    }

    fn kind(item: &Kept) -> &str {
        row_type(&item.1)
    }

    fn expires_at(item: &Kept) -> Option<i64> {
        expires_at(&item.1)
    }

    fn row<T: Stored>(item: Kept) -> Result<T, StoreError> {
        let Kept(Key { partition, sort }, row) = item;
        T::of(row).ok_or_else(|| StoreError::Broken(format!("the item {partition} / {sort} is not what its key says")))
    }
}

fn holds(precondition: Precondition, current: Option<&Row>, now: Timestamp) -> bool {
    match precondition {
        Precondition::None => true,
        Precondition::Absent | Precondition::Version(0) => {
            current.is_none_or(|row| expires_at(row).is_some_and(|at| is_past(at, now)))
        }
        Precondition::Version(version) => current.and_then(version_of) == Some(version),
        Precondition::Generation(generation) => match current {
            None => generation.0 == 0,
            Some(Row::Stage(stage)) => stage.generation == generation,
            Some(_) => false,
        },
        Precondition::Run(id) => matches!(current, Some(Row::LatestAction(run)) if run.id == id),
    }
}

/// Whether `row` is kept by a filter.
fn passes(row: &Row, filter: &Filter) -> bool {
    let value = match (filter.member, row) {
        ("id", Row::ActionRun(run)) => run.id.to_string(),
        ("execution", Row::Success(success)) => success.execution.to_string(),
        ("execution", Row::Slot(slot)) => slot.execution.to_string(),
        ("execution", Row::Decision(_, decision)) => decision.execution.to_string(),
        _ => return false,
    };
    match filter.comparison {
        "=" => value == filter.value,
        "<" => value < filter.value,
        _ => false,
    }
}

fn at_the_next_version(mut row: Row) -> Row {
    if let Some(version) = version_of_mut(&mut row) {
        *version += 1;
    }
    row
}
