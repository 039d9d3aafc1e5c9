//! Reading one row, and ranges of rows page by page.

use engine::ports::{Page, PageRequest, StoreError};

use crate::backend::{Backend, Stored};
use crate::keys::{Key, Range};
use crate::table::Table;

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
pub struct Part<'a> {
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
pub(crate) fn page_of<B: Backend, T: Stored>(mut items: Vec<B::Item>, limit: usize) -> Result<Page<T>, StoreError> {
    let next = (items.len() > limit).then(|| B::key(&items[limit - 1]).sort);
    items.truncate(limit);
    Ok(Page { items: items.into_iter().map(B::row).collect::<Result<_, _>>()?, next })
}

// Boxed where the backend is asked: an SDK's future takes kilobytes, and would be part of every use case's.
impl<B: Backend> Table<B> {
    /// The row under `key`.
    pub(crate) async fn get<T: Stored>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        Box::pin(self.backend.get(key)).await?.map(B::row).transpose()
    }

    /// The rows under `keys` that are there, in no order.
    pub(crate) async fn get_all<T: Stored>(&self, keys: Vec<Key>) -> Result<Vec<T>, StoreError> {
        Box::pin(self.backend.get_all(&keys)).await?.into_iter().map(B::row).collect()
    }

    /// A page of the rows of `range`.
    pub(crate) async fn page<T: Stored>(
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
        let items = Box::pin(self.backend.items(&Part::all(range, direction), Some(limit + 1), request.after)).await?;
        page_of::<B, T>(items, limit)
    }

    /// All rows of `part`.
    pub(crate) async fn all<T: Stored>(&self, part: &Part<'_>) -> Result<Vec<T>, StoreError> {
        Box::pin(self.backend.items(part, None, None)).await?.into_iter().map(B::row).collect()
    }
}
