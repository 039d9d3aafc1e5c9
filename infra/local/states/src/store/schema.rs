//! The tables, and opening them.

use std::path::Path;

use rusqlite::Connection;

use super::OpenError;

/// Name of the database inside the service's directory.
const FILE: &str = "states.sqlite";
/// Version of the tables below; a database that says more was written by a later release.
const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE machines (
  arn TEXT PRIMARY KEY, name TEXT NOT NULL, role_arn TEXT NOT NULL,
  revision INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE revisions (
  machine_arn TEXT NOT NULL, revision INTEGER NOT NULL, definition TEXT NOT NULL,
  PRIMARY KEY (machine_arn, revision)
) WITHOUT ROWID;
CREATE TABLE tags (arn TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (arn, key)) WITHOUT ROWID;
CREATE TABLE executions (
  arn TEXT NOT NULL UNIQUE, name TEXT NOT NULL, machine_arn TEXT NOT NULL, machine_name TEXT NOT NULL,
  role_arn TEXT NOT NULL, revision INTEGER NOT NULL, input TEXT NOT NULL, started INTEGER NOT NULL,
  status TEXT NOT NULL, output TEXT, error TEXT, cause TEXT, stopped INTEGER, deadline INTEGER,
  events INTEGER NOT NULL, numbers INTEGER NOT NULL,
  parent TEXT, parent_attempt INTEGER, sync INTEGER NOT NULL
);
CREATE INDEX executions_by_start ON executions (machine_arn, started);
CREATE INDEX executions_running ON executions (deadline) WHERE status = 'RUNNING';
CREATE TABLE frames (
  execution TEXT NOT NULL, id INTEGER NOT NULL, attempt INTEGER, wake INTEGER, child TEXT, body TEXT NOT NULL,
  PRIMARY KEY (execution, id)
) WITHOUT ROWID;
CREATE INDEX frames_by_wake ON frames (wake) WHERE wake IS NOT NULL;
CREATE INDEX frames_by_child ON frames (child) WHERE child IS NOT NULL;
CREATE TABLE history (
  execution TEXT NOT NULL, id INTEGER NOT NULL, previous INTEGER NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (execution, id)
) WITHOUT ROWID;
CREATE TABLE tokens (token TEXT PRIMARY KEY, execution TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE detached (id INTEGER PRIMARY KEY AUTOINCREMENT, function TEXT NOT NULL, payload TEXT NOT NULL);
";

/// Opens the database in `dir`, creating both where they do not exist.
pub(super) fn open(dir: &Path) -> Result<Connection, OpenError> {
    std::fs::create_dir_all(dir).map_err(OpenError::Directory)?;
    let connection = Connection::open(dir.join(FILE))?;
    // With a write-ahead log, NORMAL survives the death of the process at any moment; only losing power may lose the
    // newest commits, and never consistency.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    prepare(connection)
}

/// Creates the tables where they do not exist.
pub(super) fn prepare(mut connection: Connection) -> Result<Connection, OpenError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    // All statements there are: the default of 16 is fewer.
    connection.set_prepared_statement_cache_capacity(64);
    if found > VERSION {
        return Err(OpenError::Newer { found, known: VERSION });
    }
    if found == 0 {
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
    }
    Ok(connection)
}
