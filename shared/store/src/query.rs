//! Reading one row, and ranges of rows page by page.

use engine::ports::{Page, PageRequest, StoreError};

use crate::backend::{Backend, Stored};
use crate::items::is_past;
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

// Boxed where the backend is asked: an SDK's future takes kilobytes, and would be part of every use case's.
impl<B: Backend> Table<B> {
    /// Whether `item` has not expired. What has is shown to nobody, however late DynamoDB removes it.
    pub(crate) fn is_current(&self, item: &B::Item) -> bool {
        B::expires_at(item).is_none_or(|at| !is_past(at, self.clock.now()))
    }

    /// The rows of those of `items` that have not expired.
    fn rows_of<T: Stored>(&self, items: Vec<B::Item>) -> Result<Vec<T>, StoreError> {
        items.into_iter().filter(|item| self.is_current(item)).map(B::row).collect()
    }

    /// The page that `items` are, of which one more than `limit` tells that another follows.
    pub(crate) fn page_of<T: Stored>(&self, mut items: Vec<B::Item>, limit: usize) -> Result<Page<T>, StoreError> {
        let next = (items.len() > limit).then(|| B::key(&items[limit - 1]).sort);
        items.truncate(limit);
        Ok(Page { items: self.rows_of(items)?, next })
    }

    /// The row under `key`.
    pub(crate) async fn get<T: Stored>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        let found = Box::pin(self.backend.get(key)).await?;
        found.filter(|item| self.is_current(item)).map(B::row).transpose()
    }

    /// The rows under `keys` that are there, in no order.
    pub(crate) async fn get_all<T: Stored>(&self, keys: Vec<Key>) -> Result<Vec<T>, StoreError> {
        let found = Box::pin(self.backend.get_all(&keys)).await?;
        self.rows_of(found)
    }

    /// A page of the rows of `range`. It may be shorter than asked for, but is not empty while another follows: many look
    /// at the first page alone.
    pub(crate) async fn page<T: Stored>(
        &self,
        range: &Range,
        direction: Direction,
        mut request: PageRequest,
    ) -> Result<Page<T>, StoreError> {
        let limit = page_limit(&request)?;
        if request.after.as_ref().is_some_and(|after| after.is_empty() || !after.starts_with(&range.prefix)) {
            return Err(StoreError::Broken("the page token does not belong to this list".to_owned()));
        }
        loop {
            // One more than asked for tells whether another page follows, without a request of its own.
            let part = Part::all(range, direction);
            let items = Box::pin(self.backend.items(&part, Some(limit + 1), request.after)).await?;
            let page = self.page_of(items, limit)?;
            if !page.items.is_empty() || page.next.is_none() {
                return Ok(page);
            }
            request.after = page.next;
        }
    }

    /// All rows of `part`.
    pub(crate) async fn all<T: Stored>(&self, part: &Part<'_>) -> Result<Vec<T>, StoreError> {
        let found = Box::pin(self.backend.items(part, None, None)).await?;
        self.rows_of(found)
    }
}
