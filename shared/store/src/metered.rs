//! What DynamoDB would bill for what the table in memory is asked: the same counters, by the sizes of the same items.

use aws_sdk_dynamodb::types::AttributeValue;
use engine::ports::{Precondition, Row, StoreError, Write};

use crate::items::{Item, item};
use crate::keys::Key;
use crate::usage::{Counters, Operation, Usage};

/// A write unit is for so many bytes of one item.
const WRITE_UNIT_BYTES: usize = 1024;
/// A strongly consistent read unit is for so many bytes.
const READ_UNIT_BYTES: usize = 4096;
/// Writes in a transaction, conditions included, cost twice.
const TRANSACTION: f64 = 2.0;
/// What DynamoDB adds to each map or list, and to each of their members.
const NESTED_BYTES: usize = 3;
/// What it adds to each stored item.
const ITEM_BYTES: u64 = 100;

/// Counts.
#[derive(Debug, Default)]
pub(crate) struct Meter(Counters);

impl Meter {
    pub(crate) fn usage(&self) -> Usage {
        self.0.usage()
    }

    pub(crate) fn get<'a>(&self, found: impl IntoIterator<Item = (&'a Key, &'a Row)>) -> Result<(), StoreError> {
        self.read(Operation::GetItem, total(found)?)
    }

    /// Each item counts for itself, also one that is not there.
    pub(crate) fn get_all<'a>(
        &self,
        asked: usize,
        found: impl IntoIterator<Item = (&'a Key, &'a Row)>,
    ) -> Result<(), StoreError> {
        let sizes = found.into_iter().map(|(key, row)| row_bytes(row, key)).collect::<Result<Vec<_>, _>>()?;
        let operation = match asked {
            0 => return Ok(()),
            1 => Operation::GetItem,
            _ => Operation::BatchGetItem,
        };
        let missing = asked - sizes.len();
        let units: usize = sizes.iter().map(|size| size.div_ceil(READ_UNIT_BYTES).max(1)).sum();
        self.0.request(operation);
        self.0.units(operation, (units + missing) as f64);
        Ok(())
    }

    /// The items of a query count together.
    pub(crate) fn query<'a>(&self, read: impl IntoIterator<Item = (&'a Key, &'a Row)>) -> Result<(), StoreError> {
        self.read(Operation::Query, total(read)?)
    }

    /// What is replaced or removed counts where it is larger.
    pub(crate) fn write<'a>(
        &self,
        planned: &[(Write, Key)],
        current: impl Fn(&Key) -> Option<&'a Row>,
    ) -> Result<(), StoreError> {
        let (operation, factor) = match planned {
            [(Write::Put(_, Precondition::None), _)] => (Operation::PutItem, 1.0),
            [(Write::Delete(_), _)] => (Operation::DeleteItem, 1.0),
            _ => (Operation::TransactWriteItems, TRANSACTION),
        };
        let mut units = 0;
        for (write, key) in planned {
            let before = current(key).map(|row| row_bytes(row, key)).transpose()?.unwrap_or(0);
            let after = match write {
                Write::Put(row, _) => row_bytes(row, key)?,
                Write::Delete(_) | Write::DeleteIf(..) | Write::Check(..) => 0,
            };
            units += before.max(after).div_ceil(WRITE_UNIT_BYTES).max(1);
        }
        self.0.request(operation);
        self.0.units(operation, units as f64 * factor);
        Ok(())
    }

    pub(crate) fn remove<'a>(&self, keys: &[Key], current: impl Fn(&Key) -> Option<&'a Row>) -> Result<(), StoreError> {
        let operation = match keys {
            [] => return Ok(()),
            [_] => Operation::DeleteItem,
            _ => Operation::BatchWriteItem,
        };
        let mut units = 0;
        for key in keys {
            let size = current(key).map(|row| row_bytes(row, key)).transpose()?.unwrap_or(0);
            units += size.div_ceil(WRITE_UNIT_BYTES).max(1);
        }
        self.0.request(operation);
        self.0.units(operation, units as f64);
        Ok(())
    }

    fn read(&self, operation: Operation, bytes: usize) -> Result<(), StoreError> {
        self.0.request(operation);
        self.0.units(operation, bytes.div_ceil(READ_UNIT_BYTES).max(1) as f64);
        Ok(())
    }
}

/// What storing `row` is billed for.
pub(crate) fn stored_bytes(row: &Row, key: &Key) -> Result<u64, StoreError> {
    Ok(u64::try_from(row_bytes(row, key)?).unwrap_or(u64::MAX) + ITEM_BYTES)
}

fn total<'a>(rows: impl IntoIterator<Item = (&'a Key, &'a Row)>) -> Result<usize, StoreError> {
    rows.into_iter().map(|(key, row)| row_bytes(row, key)).sum()
}

fn row_bytes(row: &Row, key: &Key) -> Result<usize, StoreError> {
    Ok(item_bytes(&item(row, key)?))
}

fn item_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

/// As DynamoDB's developer guide counts. Of a number, two digits are a byte.
fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number.len().div_ceil(2) + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::L(values) => NESTED_BYTES + values.iter().map(|value| 1 + value_bytes(value)).sum::<usize>(),
        AttributeValue::M(members) => NESTED_BYTES + item_bytes(members) + members.len(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_developer_guide() {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let list = AttributeValue::L(vec![text("ab"), AttributeValue::Bool(true)]);
        let map = AttributeValue::M([("name".to_owned(), AttributeValue::N("1796083200".to_owned()))].into());
        assert_eq!(value_bytes(&list), 3 + (1 + 2) + (1 + 1));
        assert_eq!(value_bytes(&map), 3 + 1 + 4 + 6);
        assert_eq!(item_bytes(&[("a".to_owned(), list), ("bc".to_owned(), text("def"))].into()), 1 + 8 + 2 + 3);
    }
}
