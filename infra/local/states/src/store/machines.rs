//! State machines, their revisions and tags.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

use super::{Store, StoreError, instant, millis};

/// A state machine without its definition.
#[derive(Debug, Clone)]
pub(crate) struct MachineRow {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) role_arn: String,
    pub(crate) revision: i64,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

const COLUMNS: &str = "arn, name, role_arn, revision, created, updated";

fn read(row: &Row<'_>) -> rusqlite::Result<(MachineRow, i64, i64)> {
    let machine = MachineRow {
        arn: row.get(0)?,
        name: row.get(1)?,
        role_arn: row.get(2)?,
        revision: row.get(3)?,
        created: Timestamp::UNIX_EPOCH,
        updated: Timestamp::UNIX_EPOCH,
    };
    Ok((machine, row.get(4)?, row.get(5)?))
}

fn dated((mut machine, created, updated): (MachineRow, i64, i64)) -> Result<MachineRow, StoreError> {
    machine.created = instant(created, "machines")?;
    machine.updated = instant(updated, "machines")?;
    Ok(machine)
}

impl Store {
    pub(crate) fn machine(&self, arn: &str) -> Result<Option<MachineRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM machines WHERE arn = ?1");
        self.connection.prepare_cached(&sql)?.query_row([arn], read).optional()?.map(dated).transpose()
    }

    /// Machines in the order of their names, from `from` on.
    pub(crate) fn machines(&self, from: &str, limit: u32) -> Result<Vec<MachineRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM machines WHERE arn >= ?1 ORDER BY arn LIMIT ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![from, limit], read)?;
        rows.map(|row| dated(row?)).collect()
    }

    /// Writes the machine; a `definition` becomes its revision `machine.revision`.
    pub(crate) fn put_machine(&mut self, machine: &MachineRow, definition: Option<&str>) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "INSERT OR REPLACE INTO machines VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                machine.arn,
                machine.name,
                machine.role_arn,
                machine.revision,
                millis(machine.created),
                millis(machine.updated)
            ],
        )?;
        if let Some(definition) = definition {
            transaction.execute(
                "INSERT OR REPLACE INTO revisions VALUES (?1, ?2, ?3)",
                params![machine.arn, machine.revision, definition],
            )?;
        }
        Ok(transaction.commit()?)
    }

    /// Forgets the machine. Its revisions stay: running executions still need them.
    pub(crate) fn delete_machine(&mut self, arn: &str) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM machines WHERE arn = ?1", [arn])?;
        transaction.execute("DELETE FROM tags WHERE arn = ?1", [arn])?;
        Ok(transaction.commit()?)
    }

    pub(crate) fn definition(&self, arn: &str, revision: i64) -> Result<Option<String>, StoreError> {
        let sql = "SELECT definition FROM revisions WHERE machine_arn = ?1 AND revision = ?2";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![arn, revision], |row| row.get(0)).optional()?)
    }

    /// The highest revision number a machine of this ARN has had, also before it was deleted and created again.
    pub(crate) fn newest_revision(&self, arn: &str) -> Result<i64, StoreError> {
        let sql = "SELECT COALESCE(MAX(revision), 0) FROM revisions WHERE machine_arn = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([arn], |row| row.get(0))?)
    }

    pub(crate) fn tags(&self, arn: &str) -> Result<Vec<(String, String)>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT key, value FROM tags WHERE arn = ?1 ORDER BY key")?;
        let rows = statement.query_map([arn], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn put_tags(&mut self, arn: &str, tags: &[(String, String)]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        for (key, value) in tags {
            transaction.execute("INSERT OR REPLACE INTO tags VALUES (?1, ?2, ?3)", params![arn, key, value])?;
        }
        Ok(transaction.commit()?)
    }

    pub(crate) fn remove_tags(&mut self, arn: &str, keys: &[String]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        for key in keys {
            transaction.execute("DELETE FROM tags WHERE arn = ?1 AND key = ?2", params![arn, key])?;
        }
        Ok(transaction.commit()?)
    }
}
