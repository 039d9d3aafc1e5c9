//! The durable queue of notifications: written with the version they tell of, removed once acknowledged.

use rusqlite::{OptionalExtension, params};
use s3s::dto::NotificationConfiguration;
use serde_json::Value;

use super::{Change, buckets::Document};
use crate::{events::Created, fault::Fault};

/// The lane of the event bus; every other lane is the ARN of a function.
pub(crate) const EVENT_BUS: &str = "";

/// A notification to deliver.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) id: i64,
    pub(crate) lane: String,
    pub(crate) payload: Value,
    /// Deliveries that failed so far.
    pub(crate) attempts: u32,
}

impl Change<'_> {
    pub(crate) fn enqueue_created(&mut self, created: &Created<'_>) -> Result<(), Fault> {
        let mut id = [0; 16];
        self.entropy.fill(&mut id);
        self.enqueue(EVENT_BUS, &created.event(self.now, id))?;
        let configuration: Option<NotificationConfiguration> = self.document(created.bucket, Document::Notification)?;
        let Some(configuration) = configuration else {
            return Ok(());
        };
        for lambda in created.receivers(&configuration) {
            self.enqueue(&lambda.lambda_function_arn, &created.records(self.now, lambda))?;
        }
        Ok(())
    }

    fn enqueue(&mut self, lane: &str, payload: &Value) -> Result<(), Fault> {
        self.tx.prepare_cached("INSERT INTO pending (lane, payload, due_ms) VALUES (?, ?, ?)")?.execute(params![
            lane,
            payload.to_string(),
            self.now_ms()
        ])?;
        self.queued = true;
        Ok(())
    }

    /// The oldest due notification of every lane not in `busy`.
    pub(crate) fn due(&self, busy: &[String]) -> Result<Vec<Pending>, Fault> {
        let mut statement = self.tx.prepare_cached(
            "SELECT id, lane, payload, attempts FROM pending WHERE id IN
                 (SELECT min(id) FROM pending WHERE due_ms <= ? GROUP BY lane) ORDER BY id",
        )?;
        let rows = statement.query_map([self.now_ms()], |row| {
            Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get(3)?))
        })?;
        let mut due = Vec::new();
        for row in rows {
            let (id, lane, payload, attempts) = row?;
            if !busy.contains(&lane) {
                let payload = serde_json::from_str(&payload)?;
                due.push(Pending { id, lane, payload, attempts });
            }
        }
        Ok(due)
    }

    /// When the next notification that waits for another attempt is due, in milliseconds since 1970.
    pub(crate) fn next_due_ms(&self) -> Result<Option<i64>, Fault> {
        Ok(self
            .tx
            .query_row("SELECT min(due_ms) FROM pending WHERE due_ms > ?", [self.now_ms()], |row| row.get(0))
            .optional()?
            .flatten())
    }

    pub(crate) fn forget(&mut self, id: i64) -> Result<(), Fault> {
        self.tx.execute("DELETE FROM pending WHERE id = ?", [id])?;
        Ok(())
    }

    pub(crate) fn postpone(&mut self, id: i64, due_ms: i64) -> Result<(), Fault> {
        self.tx.execute("UPDATE pending SET attempts = attempts + 1, due_ms = ? WHERE id = ?", params![due_ms, id])?;
        Ok(())
    }
}
