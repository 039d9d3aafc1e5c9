//! What happened to alarms, for readers (history) and for the handler (pending events).

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use super::{Work, at, document};
use crate::{alarm::Kind, error::ApiError};

/// How long history is kept: thirty days, as CloudWatch keeps it.
const HISTORY_RETENTION: SignedDuration = SignedDuration::from_hours(24 * 30);

/// How many history items are kept in all: a flapping alarm must not fill the disk.
const HISTORY_MAX: i64 = 100_000;

/// Delay after the first failed delivery of an event.
const BACKOFF_FIRST: SignedDuration = SignedDuration::from_millis(200);

/// Longest delay between deliveries: short, since a person waits for the rollback behind it.
const BACKOFF_MAX: SignedDuration = SignedDuration::from_secs(30);

/// An item of an alarm's history.
#[derive(Debug, Clone)]
pub(crate) struct HistoryItem {
    /// Rising number.
    pub(crate) id: i64,
    /// The alarm.
    pub(crate) alarm: String,
    /// Its kind then.
    pub(crate) kind: Kind,
    /// When.
    pub(crate) at: Timestamp,
    /// `ConfigurationUpdate` or `StateUpdate`.
    pub(crate) item_type: String,
    /// One line.
    pub(crate) summary: String,
    /// A JSON document.
    pub(crate) data: String,
}

/// An event that the handler has not acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    /// Rising number.
    pub(crate) id: i64,
    /// The event.
    pub(crate) event: Value,
    /// How often delivery has failed.
    pub(crate) attempts: u32,
}

impl Work<'_> {
    /// Appends to an alarm's history.
    pub(crate) fn add_history(
        &self,
        alarm: &str,
        kind: Kind,
        item_type: &str,
        summary: &str,
        data: &Value,
    ) -> Result<(), ApiError> {
        self.tx.execute(
            "INSERT INTO history (alarm, composite, at, type, summary, data) VALUES (?, ?, ?, ?, ?, ?)",
            params![alarm, kind == Kind::Composite, self.now.as_millisecond(), item_type, summary, data.to_string()],
        )?;
        Ok(())
    }

    /// History items in the order of time, newest first if `descending`, beyond the item `after`.
    pub(crate) fn history(
        &self,
        alarm: Option<&str>,
        descending: bool,
        after: Option<i64>,
        wanted: &dyn Fn(&HistoryItem) -> bool,
        limit: usize,
    ) -> Result<Vec<HistoryItem>, ApiError> {
        let order = if descending { "DESC" } else { "ASC" };
        let mut statement = self.tx.prepare_cached(&format!(
            "SELECT id, alarm, composite, at, type, summary, data FROM history
             WHERE (?1 IS NULL OR alarm = ?1) AND (?2 IS NULL OR (?3 AND id < ?2) OR (NOT ?3 AND id > ?2))
             ORDER BY id {order}"
        ))?;
        let mut rows = statement.query(params![alarm, after, descending])?;
        let mut items = Vec::new();
        while let Some(row) = rows.next()? {
            let item = HistoryItem {
                id: row.get(0)?,
                alarm: row.get(1)?,
                kind: if row.get(2)? { Kind::Composite } else { Kind::Metric },
                at: at(row.get(3)?),
                item_type: row.get(4)?,
                summary: row.get(5)?,
                data: row.get(6)?,
            };
            if wanted(&item) {
                items.push(item);
            }
            if items.len() == limit {
                break;
            }
        }
        Ok(items)
    }

    /// Puts an event into the queue.
    pub(crate) fn enqueue(&self, event: &Value) -> Result<(), ApiError> {
        self.tx.execute(
            "INSERT INTO pending (event, attempts, due) VALUES (?, 0, ?)",
            params![event.to_string(), self.now.as_millisecond()],
        )?;
        Ok(())
    }

    /// The oldest event whose time has come.
    pub(crate) fn due_event(&self) -> Result<Option<Pending>, ApiError> {
        let row: Option<(i64, String, u32)> = self
            .tx
            .query_row(
                "SELECT id, event, attempts FROM pending WHERE due <= ? ORDER BY id LIMIT 1",
                [self.now.as_millisecond()],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        row.map(|(id, event, attempts)| Ok(Pending { id, event: document(&event)?, attempts })).transpose()
    }

    /// When the next event is to be delivered.
    pub(crate) fn next_delivery(&self) -> Result<Option<Timestamp>, ApiError> {
        let next: Option<i64> = self.tx.query_row("SELECT min(due) FROM pending", [], |row| row.get(0))?;
        Ok(next.map(at))
    }

    /// Takes an acknowledged event out of the queue.
    pub(crate) fn acknowledge(&self, event: &Pending) -> Result<(), ApiError> {
        self.tx.execute("DELETE FROM pending WHERE id = ?", [event.id])?;
        Ok(())
    }

    /// Puts an event off after a failed delivery, twice as long each time.
    pub(crate) fn put_off(&self, event: &Pending) -> Result<(), ApiError> {
        let delay = BACKOFF_FIRST
            .checked_mul(2_i32.saturating_pow(event.attempts))
            .map_or(BACKOFF_MAX, |delay| delay.min(BACKOFF_MAX));
        let due = self.now.saturating_add(delay).unwrap_or(Timestamp::MAX);
        self.tx.execute(
            "UPDATE pending SET attempts = attempts + 1, due = ? WHERE id = ?",
            params![due.as_millisecond(), event.id],
        )?;
        Ok(())
    }

    /// Forgets history beyond its time or number.
    pub(super) fn prune_history(&self) -> Result<(), ApiError> {
        let oldest = self.now.saturating_sub(HISTORY_RETENTION).unwrap_or(Timestamp::MIN);
        self.tx.execute("DELETE FROM history WHERE at < ?", [oldest.as_millisecond()])?;
        self.tx.execute("DELETE FROM history WHERE id <= (SELECT max(id) FROM history) - ?", [HISTORY_MAX])?;
        Ok(())
    }
}
