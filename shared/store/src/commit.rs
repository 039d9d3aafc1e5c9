//! What a transaction may hold.

use std::collections::HashSet;

use engine::ports::{Precondition, Row, StoreError, WRITES_MAX, Write};

use crate::keys::Key;

/// `writes` with their keys. To demand nothing of a row is no write.
///
/// # Errors
/// [`StoreError::Broken`] for what no transaction can hold: too many writes, two of one row, or the removal of a
/// history record, whose key depends on the transaction that wrote it.
pub(crate) fn planned(writes: Vec<Write>) -> Result<Vec<(Write, Key)>, StoreError> {
    let keys = distinct_keys(&writes)?;
    let demanding = |(write, _): &(Write, Key)| !matches!(write, Write::Check(_, Precondition::None));
    Ok(writes.into_iter().zip(keys).filter(demanding).collect())
}

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
        if let Write::Delete(Row::Record(_)) | Write::DeleteIf(Row::Record(_), _) | Write::Check(Row::Record(_), _) =
            write
        {
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

pub(crate) fn row_of(write: &Write) -> &Row {
    match write {
        Write::Put(row, _) | Write::Delete(row) | Write::DeleteIf(row, _) | Write::Check(row, _) => row,
    }
}
