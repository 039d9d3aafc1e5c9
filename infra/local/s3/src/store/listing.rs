//! Listings: keys in UTF-8 order, grouped by delimiter, in pages.

use rusqlite::params;

use super::{
    Change,
    version::{VERSION_COLUMNS, Version, read_version},
};
use crate::fault::Fault;

/// Most entries of one page, as S3.
pub(crate) const PAGE_MAX: usize = 1000;

/// Rows fetched at a time while grouping.
const GROUPED_BATCH: usize = 32;

/// What to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    /// List what comes after this key; a group of keys counts as its common prefix.
    pub(crate) after: Option<String>,
    /// In version listings: within `after`, what is older than this version.
    pub(crate) after_version: Option<String>,
    pub(crate) limit: usize,
}

/// A page of a listing.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) prefixes: Vec<String>,
    /// Where to go on, if there is more: the last key or common prefix of this page.
    pub(crate) next: Option<String>,
}

/// A multipart upload under way.
#[derive(Debug)]
pub(crate) struct UploadEntry {
    pub(crate) key: String,
    pub(crate) id: String,
    pub(crate) initiated_ms: i64,
}

/// Where a scan stands: the key, and the ordinal inside it.
struct Cursor {
    key: String,
    inclusive: bool,
    below_seq: i64,
}

impl Change<'_> {
    /// The latest versions that are objects.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    pub(crate) fn list_objects(&self, query: &Query) -> Result<Page<Version>, Fault> {
        let sql = format!(
            "SELECT {VERSION_COLUMNS} FROM versions WHERE bucket = ?1 AND latest = 1 AND marker = 0
             AND key >= ?2 AND (key > ?2 OR seq < ?3) AND (?4 IS NULL OR key < ?4) ORDER BY key LIMIT ?5"
        );
        self.page(query, |from, below, limit| self.versions_after(&sql, query, from, below, limit))
    }

    /// All versions and delete markers, newest of a key first.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    pub(crate) fn list_versions(&self, query: &Query) -> Result<Page<Version>, Fault> {
        let sql = format!(
            "SELECT {VERSION_COLUMNS} FROM versions WHERE bucket = ?1
             AND key >= ?2 AND (key > ?2 OR seq < ?3) AND (?4 IS NULL OR key < ?4) ORDER BY key, seq DESC LIMIT ?5"
        );
        self.page(query, |from, below, limit| self.versions_after(&sql, query, from, below, limit))
    }

    /// Uploads under way, by key and id. A delimiter is not looked at.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    pub(crate) fn list_uploads(&self, query: &Query) -> Result<Page<UploadEntry>, Fault> {
        self.versioning(&query.bucket)?;
        let after = query.after.clone().unwrap_or_default();
        let after_id = query.after_version.clone().unwrap_or_else(|| "\u{10ffff}".to_owned());
        let mut statement = self.tx.prepare_cached(
            "SELECT key, id, initiated_ms FROM uploads WHERE bucket = ?1
             AND (key > ?2 OR (key = ?2 AND id > ?3)) AND substr(key, 1, length(?4)) = ?4
             ORDER BY key, id LIMIT ?5",
        )?;
        let rows = statement
            .query_map(params![query.bucket, after, after_id, query.prefix, query.limit as i64 + 1], |row| {
                Ok(UploadEntry { key: row.get(0)?, id: row.get(1)?, initiated_ms: row.get(2)? })
            })?;
        let mut items: Vec<UploadEntry> = rows.collect::<Result<_, _>>()?;
        let more = items.len() > query.limit;
        items.truncate(query.limit);
        let next = items.last().filter(|_| more).map(|last| last.key.clone());
        Ok(Page { items, prefixes: Vec::new(), next })
    }

    fn versions_after(
        &self,
        sql: &str,
        query: &Query,
        from: &str,
        below: i64,
        limit: usize,
    ) -> Result<Vec<Version>, Fault> {
        let end = after_all_with(&query.prefix);
        let mut statement = self.tx.prepare_cached(sql)?;
        let rows = statement.query_map(params![query.bucket, from, below, end, limit as i64], read_version)?;
        rows.map(|row| row?).collect()
    }

    fn page(
        &self,
        query: &Query,
        fetch: impl Fn(&str, i64, usize) -> Result<Vec<Version>, Fault>,
    ) -> Result<Page<Version>, Fault> {
        self.versioning(&query.bucket)?;
        let mut page = Page { items: Vec::new(), prefixes: Vec::new(), next: None };
        if query.limit == 0 {
            return Ok(page);
        }
        let size = match query.delimiter {
            // Most of what is fetched may fall into one group and be skipped.
            Some(_) => GROUPED_BATCH,
            None => query.limit + 1,
        };
        let mut cursor = self.start(query)?;
        let mut last = None;
        loop {
            let below = if cursor.inclusive { i64::MAX } else { cursor.below_seq };
            let batch = fetch(&cursor.key, below, size)?;
            let mut exhausted = batch.len() < size;
            for version in batch {
                if page.items.len() + page.prefixes.len() == query.limit {
                    page.next = last;
                    return Ok(page);
                }
                let Some(group) = group_of(query, &version.key) else {
                    cursor = Cursor { key: version.key.clone(), inclusive: false, below_seq: version.seq };
                    last = Some(version.key.clone());
                    page.items.push(version);
                    continue;
                };
                // One row stands for the whole group; the next fetch starts behind it.
                let Some(behind) = after_all_with(&group) else {
                    page.prefixes.push(group);
                    return Ok(page);
                };
                cursor = Cursor { key: behind, inclusive: true, below_seq: 0 };
                last = Some(group.clone());
                page.prefixes.push(group);
                exhausted = false;
                break;
            }
            if exhausted {
                return Ok(page);
            }
        }
    }

    fn start(&self, query: &Query) -> Result<Cursor, Fault> {
        let at = |key: String| Cursor { key, inclusive: true, below_seq: 0 };
        let Some(after) = query.after.clone().filter(|after| *after >= query.prefix) else {
            return Ok(at(query.prefix.clone()));
        };
        if group_of(query, &after).is_some_and(|group| group == after)
            && let Some(behind) = after_all_with(&after)
        {
            return Ok(at(behind));
        }
        let below_seq = match &query.after_version {
            Some(id) => self.version(&query.bucket, &after, id)?.map_or(0, |version| version.seq),
            None => 0,
        };
        Ok(Cursor { key: after, inclusive: false, below_seq })
    }
}

/// The common prefix a key is grouped under.
fn group_of(query: &Query, key: &str) -> Option<String> {
    let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
    let rest = key.strip_prefix(query.prefix.as_str())?;
    let end = rest.find(delimiter)? + delimiter.len();
    Some(format!("{}{}", query.prefix, &rest[..end]))
}

/// The smallest string greater than every string that starts with `prefix`; none for the empty prefix.
fn after_all_with(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // The surrogates' gap is skipped; nothing comes after the last code point.
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_follows_every_key_in_it() {
        assert_eq!(after_all_with("a/").as_deref(), Some("a0"));
        assert_eq!(after_all_with("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(after_all_with("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(after_all_with(""), None);
    }
}
