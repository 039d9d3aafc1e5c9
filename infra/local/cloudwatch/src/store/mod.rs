//! The SQLite file: metrics, alarms, their history, and the events still to be delivered.
//!
//! Every request and every evaluation is one transaction, so a killed process leaves either all of a change or nothing.

mod alarms;
mod events;
mod metrics;

use std::path::Path;

use engine::ports::Entropy;
use jiff::Timestamp;
use rusqlite::{Connection, Transaction};
use serde_json::Value;

pub(crate) use self::{events::HistoryItem, metrics::Sampled};
use crate::error::ApiError;

/// The form of the tables; files of a higher one are refused.
const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE metric (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  dimensions TEXT NOT NULL,
  latest INTEGER NOT NULL
);
CREATE TABLE sample (
  metric INTEGER NOT NULL,
  at INTEGER NOT NULL,
  unit TEXT NOT NULL,
  count REAL NOT NULL,
  sum REAL NOT NULL,
  minimum REAL NOT NULL,
  maximum REAL NOT NULL,
  distribution TEXT,
  PRIMARY KEY (metric, at, unit)
) WITHOUT ROWID;
CREATE INDEX sample_at ON sample (at);
CREATE TABLE alarm (
  name TEXT PRIMARY KEY,
  composite INTEGER NOT NULL,
  config TEXT NOT NULL,
  metric TEXT,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  reason_data TEXT,
  updated INTEGER NOT NULL,
  transitioned INTEGER NOT NULL,
  configured INTEGER NOT NULL,
  forced INTEGER NOT NULL,
  due INTEGER,
  tags TEXT NOT NULL
);
CREATE INDEX alarm_due ON alarm (due);
CREATE INDEX alarm_metric ON alarm (metric);
CREATE TABLE child (
  parent TEXT NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (name, parent)
) WITHOUT ROWID;
CREATE TABLE history (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  alarm TEXT NOT NULL,
  composite INTEGER NOT NULL,
  at INTEGER NOT NULL,
  type TEXT NOT NULL,
  summary TEXT NOT NULL,
  data TEXT NOT NULL
);
CREATE INDEX history_at ON history (at);
CREATE TABLE pending (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  event TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  due INTEGER NOT NULL
);
CREATE INDEX pending_due ON pending (due);
";

/// Why the data cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or written.
    #[error("cannot use the directory {0} for CloudWatch's data; check that it can be written")]
    Directory(std::path::PathBuf, #[source] std::io::Error),
    /// The file is not usable.
    #[error("cannot open CloudWatch's data; if the file is damaged, move it away and start again")]
    Database(#[from] rusqlite::Error),
    /// A newer program wrote the file.
    #[error(
        "CloudWatch's data has format {found}, this program knows up to {SCHEMA_VERSION}; use the newer program or another data directory"
    )]
    Newer {
        /// Format of the file.
        found: i64,
    },
}

/// Opens or creates the file below `dir`, and makes every undelivered event due at once.
pub(crate) fn open(dir: &Path) -> Result<Connection, OpenError> {
    std::fs::create_dir_all(dir).map_err(|error| OpenError::Directory(dir.to_owned(), error))?;
    let mut connection = Connection::open(dir.join("cloudwatch.sqlite"))?;
    // With a write-ahead log, what is committed survives the death of the process without a sync per request.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let tx = connection.transaction()?;
    match tx.pragma_query_value(None, "user_version", |row| row.get(0))? {
        0 => {
            tx.execute_batch(SCHEMA)?;
            tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        }
        SCHEMA_VERSION => {}
        found => return Err(OpenError::Newer { found }),
    }
    tx.execute("UPDATE pending SET due = 0", [])?;
    tx.commit()?;
    Ok(connection)
}

/// One transaction at one moment.
pub(crate) struct Work<'a> {
    /// The transaction.
    pub(crate) tx: &'a Transaction<'a>,
    /// The moment.
    pub(crate) now: Timestamp,
    /// Where ids come from.
    pub(crate) entropy: &'a dyn Entropy,
}

impl Work<'_> {
    /// A fresh random id.
    pub(crate) fn id(&self) -> String {
        self.entropy.uuid().to_string()
    }
}

/// Time as stored.
fn at(milliseconds: i64) -> Timestamp {
    // Only times that jiff produced are ever stored.
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A JSON document as stored.
fn document(text: &str) -> Result<Value, ApiError> {
    Ok(serde_json::from_str(text)?)
}
