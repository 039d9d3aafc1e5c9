//! Reading one row, and ranges of rows page by page.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use engine::ports::{Page, PageRequest, StoreError};
use serde::de::DeserializeOwned;

use crate::errors::store_error;
use crate::items::{Item, SK, key_item, row, text};
use crate::keys::{Key, Range};
use crate::table::Table;
use crate::usage::Operation;

/// Most items on a page, so that a page stays within a few of DynamoDB's (1 MB each).
const PAGE_ITEMS_MAX: u32 = 1000;

/// Which way to read a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Backward,
}

/// What to leave out while reading: rows whose `member` does not compare as asked. Left-out rows cost as if read.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) member: &'static str,
    /// `=` or `<`.
    pub(crate) comparison: &'static str,
    pub(crate) value: String,
}

/// A part of a range.
#[derive(Debug, Clone)]
pub(crate) struct Part<'a> {
    pub(crate) range: &'a Range,
    pub(crate) direction: Direction,
    pub(crate) filter: Option<Filter>,
    /// Whether keys are all that is wanted.
    pub(crate) keys_only: bool,
}

impl<'a> Part<'a> {
    pub(crate) fn all(range: &'a Range, direction: Direction) -> Self {
        Self { range, direction, filter: None, keys_only: false }
    }
}

/// How many items `request` asks for.
pub(crate) fn page_limit(request: &PageRequest) -> Result<usize, StoreError> {
    if !(1..=PAGE_ITEMS_MAX).contains(&request.limit) {
        let limit = request.limit;
        return Err(StoreError::Broken(format!("a page holds 1 to {PAGE_ITEMS_MAX} items, not {limit}")));
    }
    Ok(request.limit as usize)
}

/// The page that `items` are, of which one more than `limit` tells that another follows.
pub(crate) fn page_of<T: DeserializeOwned>(mut items: Vec<Item>, limit: usize) -> Result<Page<T>, StoreError> {
    let next = (items.len() > limit).then(|| text(&items[limit - 1], SK).to_owned());
    items.truncate(limit);
    Ok(Page { items: items.into_iter().map(row).collect::<Result<_, _>>()?, next })
}

impl Table {
    /// The row under `key`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        self.counters().request(Operation::GetItem);
        let output = self
            .client()
            .get_item()
            .table_name(self.name())
            .set_key(Some(key_item(key)))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(store_error)?;
        self.counters().consumed(Operation::GetItem, output.consumed_capacity.as_ref());
        output.item.map(row).transpose()
    }

    /// A page of the rows of `range`.
    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        range: &Range,
        direction: Direction,
        request: PageRequest,
    ) -> Result<Page<T>, StoreError> {
        let limit = page_limit(&request)?;
        if request.after.as_ref().is_some_and(|after| after.is_empty() || !after.starts_with(&range.prefix)) {
            return Err(StoreError::Broken("the page token does not belong to this list".to_owned()));
        }
        // One more than asked for tells whether another page follows, without a request of its own.
        let items = self.items(&Part::all(range, direction), Some(limit + 1), request.after).await?;
        page_of(items, limit)
    }

    /// All rows of `part`.
    pub(crate) async fn all<T: DeserializeOwned>(&self, part: &Part<'_>) -> Result<Vec<T>, StoreError> {
        self.items(part, None, None).await?.into_iter().map(row).collect()
    }

    /// Items of `part` after the sort key `after`, up to `limit` of them: one request for each megabyte.
    pub(crate) async fn items(
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

    async fn query(
        &self,
        part: &Part<'_>,
        limit: Option<usize>,
        start: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let Part { range, direction, filter, keys_only } = part;
        let mut request = self
            .client()
            .query()
            .table_name(self.name())
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
        self.counters().request(Operation::Query);
        let output = request.send().await.map_err(store_error)?;
        self.counters().consumed(Operation::Query, output.consumed_capacity.as_ref());
        Ok((output.items.unwrap_or_default(), output.last_evaluated_key))
    }
}
