//! Asynchronous invocations that were accepted and are not finished, in SQLite.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::OpenError;

/// The format of the file, kept in SQLite's `user_version`.
const FORMAT: i64 = 1;

/// One accepted invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) request_id: String,
    pub(crate) function: String,
    /// The event, as JSON text.
    pub(crate) payload: String,
    /// Attempts that have failed.
    pub(crate) failures: usize,
}

/// The queue. Calls block for a fraction of a millisecond, hence are made directly from async code.
pub(crate) struct Queue {
    connection: Mutex<Connection>,
}

impl Queue {
    /// Opens or creates the queue in the directory `dir`.
    pub(crate) fn open(dir: &Path) -> Result<Self, OpenError> {
        std::fs::create_dir_all(dir).map_err(|source| OpenError::Directory { path: dir.to_owned(), source })?;
        let path = dir.join("invocations.sqlite");
        let fault = |source| OpenError::Queue { path: path.clone(), source };
        let connection = Connection::open(&path).map_err(fault)?;
        // A write-ahead log survives the death of this process at any instant. Only a power cut could take back the
        // last moments, which a stand-in may.
        connection.pragma_update(None, "journal_mode", "WAL").map_err(fault)?;
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(fault)?;
        prepare(&connection, &path)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Stores an invocation, due at once. Durable when it returns.
    pub(crate) fn push(&self, accepted: &Accepted, now: Timestamp) -> rusqlite::Result<()> {
        self.lock().execute(
            "INSERT INTO invocation (request_id, function, payload, failures, due_ms) VALUES (?1, ?2, ?3, 0, ?4)",
            params![accepted.request_id, accepted.function, accepted.payload, now.as_millisecond()],
        )?;
        Ok(())
    }

    /// The first `limit` invocations due at `now`, oldest first.
    pub(crate) fn due(&self, now: Timestamp, limit: usize) -> rusqlite::Result<Vec<Accepted>> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT request_id, function, payload, failures FROM invocation WHERE due_ms <= ?1
             ORDER BY due_ms, rowid LIMIT ?2",
        )?;
        let rows = query.query_map(params![now.as_millisecond(), limit], |row| {
            Ok(Accepted { request_id: row.get(0)?, function: row.get(1)?, payload: row.get(2)?, failures: row.get(3)? })
        })?;
        rows.collect()
    }

    /// When the next invocation after `now` becomes due.
    pub(crate) fn next_due(&self, now: Timestamp) -> rusqlite::Result<Option<Timestamp>> {
        let due_ms: Option<i64> = self
            .lock()
            .query_row(
                "SELECT due_ms FROM invocation WHERE due_ms > ?1 ORDER BY due_ms LIMIT 1",
                params![now.as_millisecond()],
                |row| row.get(0),
            )
            .optional()?;
        Ok(due_ms.and_then(|due_ms| Timestamp::from_millisecond(due_ms).ok()))
    }

    /// Records a failed attempt; the next is due at `due`.
    pub(crate) fn retry(&self, request_id: &str, failures: usize, due: Timestamp) -> rusqlite::Result<()> {
        self.lock().execute(
            "UPDATE invocation SET failures = ?2, due_ms = ?3 WHERE request_id = ?1",
            params![request_id, failures, due.as_millisecond()],
        )?;
        Ok(())
    }

    /// Forgets an invocation that is finished.
    pub(crate) fn finish(&self, request_id: &str) -> rusqlite::Result<()> {
        self.lock().execute("DELETE FROM invocation WHERE request_id = ?1", params![request_id])?;
        Ok(())
    }

    /// Invocations accepted and not finished.
    pub(crate) fn len(&self) -> rusqlite::Result<usize> {
        self.lock().query_row("SELECT COUNT(*) FROM invocation", [], |row| row.get(0))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn prepare(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let path = || PathBuf::from(path);
    let fault = |source| OpenError::Queue { path: path(), source };
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(fault)?;
    if found > FORMAT {
        return Err(OpenError::Newer { path: path(), found, known: FORMAT });
    }
    if found == 0 {
        connection
            .execute_batch(&format!(
                "BEGIN;
                 CREATE TABLE invocation (
                   request_id TEXT NOT NULL UNIQUE,
                   function TEXT NOT NULL,
                   payload TEXT NOT NULL,
                   failures INTEGER NOT NULL,
                   due_ms INTEGER NOT NULL
                 ) STRICT;
                 CREATE INDEX invocation_due ON invocation (due_ms);
                 PRAGMA user_version = {FORMAT};
                 COMMIT;"
            ))
            .map_err(fault)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_file_is_refused_with_advice() {
        let dir = tempfile::tempdir().expect("a directory");
        drop(Queue::open(dir.path()).expect("new"));
        let connection = Connection::open(dir.path().join("invocations.sqlite")).expect("a file");
        connection.pragma_update(None, "user_version", 9).expect("written");
        let error = Queue::open(dir.path()).err().expect("newer").to_string();
        assert!(error.contains("newer version (format 9, known up to 1)"), "{error}");
    }

    #[test]
    fn a_damaged_file_is_refused_with_advice() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("invocations.sqlite"), "not a database at all, ".repeat(60)).expect("written");
        let error = Queue::open(dir.path()).err().expect("damaged").to_string();
        assert!(error.contains("damaged"), "{error}");
    }
}
