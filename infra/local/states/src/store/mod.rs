//! Everything that survives: machines, executions, frames, history. One SQLite database, one writer.

mod executions;
mod machines;
mod schema;

use std::path::Path;

use jiff::Timestamp;
use rusqlite::Connection;

pub(crate) use executions::{Origin, Page};
pub(crate) use machines::MachineRow;

/// Why the service's directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be created.
    #[error("cannot create the data directory of Step Functions; check that its parent is writable")]
    Directory(#[source] std::io::Error),
    /// A later release wrote the data.
    #[error(
        "the Step Functions data has format {found}, this program knows up to {known}; start the newer program, or use another data directory"
    )]
    Newer {
        /// Format of the data.
        found: i64,
        /// Newest format this program knows.
        known: i64,
    },
    /// The data cannot be read.
    #[error("cannot read the Step Functions data; if the disk is sound, move the data directory away and start empty")]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(StoreError::Sqlite(error))
    }
}

/// The database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused.
    #[error("the Step Functions database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// A row does not parse: it was not written by this program.
    #[error("the Step Functions database holds a damaged row in {table}")]
    Damaged {
        /// Where the row stands.
        table: &'static str,
    },
}

/// The open database.
pub(crate) struct Store {
    connection: Connection,
}

impl Store {
    pub(crate) fn open(dir: &Path) -> Result<Self, OpenError> {
        Ok(Self { connection: schema::open(dir)? })
    }

    /// A database that nobody else sees.
    pub(crate) fn in_memory() -> Result<Self, OpenError> {
        Ok(Self { connection: schema::prepare(Connection::open_in_memory()?)? })
    }

    /// Copies the database as it stands into `dir`: what a process killed at this moment would leave.
    #[cfg(test)]
    pub(crate) fn copy_to(&self, dir: &Path) {
        std::fs::create_dir_all(dir).expect("a directory for the copy");
        let file = dir.join("states.sqlite");
        let target = file.to_str().expect("a UTF-8 path");
        self.connection.execute("VACUUM INTO ?1", [target]).expect("the copy is written");
        let copy = Connection::open(&file).expect("the copy opens");
        let version: i64 =
            self.connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
        copy.pragma_update(None, "user_version", version).expect("the version is kept");
    }
}

/// Time is stored in whole milliseconds since 1970.
fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

fn instant(millis: i64, table: &'static str) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(millis).map_err(|_| StoreError::Damaged { table })
}

/// Ids and counters are stored as SQLite's signed integers.
fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("counters of events, frames and attempts stay far below 2^63")
}

fn unsigned(number: i64, table: &'static str) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Damaged { table })
}
