//! Executions, their frames and history. One call of [`Store::commit`] is one step of the interpreter.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::{Map, Value};

use super::{Store, StoreError, instant, millis, signed, unsigned};
use crate::run::{Changes, HistoryEvent, Run, Status};

/// The call of another execution that started this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) parent: String,
    pub(crate) attempt: u64,
    /// Whether it must end with its parent.
    pub(crate) sync: bool,
}

/// Which part of a listing is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    /// Where to go on: the place of the first row wanted.
    pub(crate) from: i64,
    pub(crate) limit: u32,
}

const COLUMNS: &str = "rowid, arn, name, machine_arn, machine_name, role_arn, revision, input, started, status, output, \
     error, cause, stopped, deadline, events, numbers";
const TABLE: &str = "executions";

/// A row as SQLite gives it: the run, and what still has to be converted.
struct Raw {
    place: i64,
    run: Run,
    status: String,
    started: i64,
    stopped: Option<i64>,
    deadline: Option<i64>,
    events: i64,
    numbers: i64,
}

fn read(row: &Row<'_>) -> rusqlite::Result<Raw> {
    let run = Run {
        arn: row.get(1)?,
        name: row.get(2)?,
        machine_arn: row.get(3)?,
        machine_name: row.get(4)?,
        role_arn: row.get(5)?,
        revision: row.get(6)?,
        input: row.get(7)?,
        started: Timestamp::UNIX_EPOCH,
        status: Status::Running,
        output: row.get(10)?,
        error: row.get(11)?,
        cause: row.get(12)?,
        stopped: None,
        deadline: None,
        events: 0,
        numbers: 0,
        frames: std::collections::BTreeMap::new(),
    };
    Ok(Raw {
        place: row.get(0)?,
        run,
        started: row.get(8)?,
        status: row.get(9)?,
        stopped: row.get(13)?,
        deadline: row.get(14)?,
        events: row.get(15)?,
        numbers: row.get(16)?,
    })
}

fn convert(raw: Raw) -> Result<(i64, Run), StoreError> {
    let mut run = raw.run;
    run.status = Status::parse(&raw.status).ok_or(StoreError::Damaged { table: TABLE })?;
    run.started = instant(raw.started, TABLE)?;
    run.stopped = raw.stopped.map(|at| instant(at, TABLE)).transpose()?;
    run.deadline = raw.deadline.map(|at| instant(at, TABLE)).transpose()?;
    run.events = unsigned(raw.events, TABLE)?;
    run.numbers = unsigned(raw.numbers, TABLE)?;
    Ok((raw.place, run))
}

impl Store {
    /// The execution without its frames.
    pub(crate) fn execution(&self, arn: &str) -> Result<Option<Run>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM executions WHERE arn = ?1");
        let raw = self.connection.prepare_cached(&sql)?.query_row([arn], read).optional()?;
        Ok(raw.map(convert).transpose()?.map(|(_, run)| run))
    }

    /// The execution with its frames.
    pub(crate) fn load(&self, arn: &str) -> Result<Option<Run>, StoreError> {
        let Some(mut run) = self.execution(arn)? else {
            return Ok(None);
        };
        let mut statement = self.connection.prepare_cached("SELECT id, body FROM frames WHERE execution = ?1")?;
        let mut rows = statement.query([arn])?;
        while let Some(row) = rows.next()? {
            let (id, body): (i64, String) = (row.get(0)?, row.get(1)?);
            let frame = serde_json::from_str(&body).map_err(|_| StoreError::Damaged { table: "frames" })?;
            run.frames.insert(unsigned(id, "frames")?, frame);
        }
        Ok(Some(run))
    }

    /// Stores a new execution with its first step, replacing an expired one of the same name.
    pub(crate) fn insert(
        &mut self,
        run: &Run,
        origin: Option<&Origin>,
        changes: &Changes,
    ) -> Result<Vec<i64>, StoreError> {
        let transaction = self.connection.transaction()?;
        for table in ["frames", "history", "tokens"] {
            transaction.prepare_cached(&format!("DELETE FROM {table} WHERE execution = ?1"))?.execute([&run.arn])?;
        }
        transaction.prepare_cached("DELETE FROM executions WHERE arn = ?1")?.execute([&run.arn])?;
        let sql = "INSERT INTO executions (arn, name, machine_arn, machine_name, role_arn, revision, input, started, status, events, \
             numbers, parent, parent_attempt, sync) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, ?10, ?11, ?12)";
        transaction.prepare_cached(sql)?.execute(params![
            run.arn,
            run.name,
            run.machine_arn,
            run.machine_name,
            run.role_arn,
            run.revision,
            run.input,
            millis(run.started),
            run.status.name(),
            origin.map(|origin| &origin.parent),
            origin.map(|origin| signed(origin.attempt)),
            origin.is_some_and(|origin| origin.sync),
        ])?;
        let detached = write(&transaction, run, changes)?;
        transaction.commit()?;
        Ok(detached)
    }

    /// Stores one step; gives the ids of the detached calls it made.
    pub(crate) fn commit(&mut self, run: &Run, changes: &Changes) -> Result<Vec<i64>, StoreError> {
        let transaction = self.connection.transaction()?;
        let detached = write(&transaction, run, changes)?;
        transaction.commit()?;
        Ok(detached)
    }

    /// Who started the execution.
    pub(crate) fn origin(&self, arn: &str) -> Result<Option<Origin>, StoreError> {
        let sql = "SELECT parent, parent_attempt, sync FROM executions WHERE arn = ?1 AND parent IS NOT NULL";
        let row =
            self.connection.prepare_cached(sql)?.query_row([arn], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let found: Option<(String, i64, bool)> = row.optional()?;
        found.map(|(parent, attempt, sync)| Ok(Origin { parent, attempt: unsigned(attempt, TABLE)?, sync })).transpose()
    }

    /// Executions of a machine, newest first, each with its place in the listing.
    pub(crate) fn executions(
        &self,
        machine: &str,
        status: Option<Status>,
        page: Page,
    ) -> Result<Vec<(i64, Run)>, StoreError> {
        // Rows are inserted in the order of their starts, so the row id orders like the start.
        let sql = format!(
            "SELECT {COLUMNS} FROM executions WHERE machine_arn = ?1 AND rowid <= ?2 AND (?3 IS NULL OR status = ?3) \
             ORDER BY rowid DESC LIMIT ?4"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![machine, page.from, status.map(Status::name), page.limit], read)?;
        rows.map(|row| convert(row?)).collect()
    }

    /// Events from `page.from` on, upwards or downwards.
    pub(crate) fn history(&self, arn: &str, reverse: bool, page: Page) -> Result<Vec<HistoryEvent>, StoreError> {
        let sql = if reverse {
            "SELECT id, previous, at, body FROM history WHERE execution = ?1 AND id <= ?2 ORDER BY id DESC LIMIT ?3"
        } else {
            "SELECT id, previous, at, body FROM history WHERE execution = ?1 AND id >= ?2 ORDER BY id LIMIT ?3"
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![arn, page.from, page.limit])?;
        let mut events = Vec::new();
        while let Some(row) = rows.next()? {
            let body: String = row.get(3)?;
            let body: Map<String, Value> =
                serde_json::from_str(&body).map_err(|_| StoreError::Damaged { table: "history" })?;
            events.push(HistoryEvent {
                id: unsigned(row.get(0)?, "history")?,
                previous: unsigned(row.get(1)?, "history")?,
                at: instant(row.get(2)?, "history")?,
                body,
            });
        }
        Ok(events)
    }

    /// Running executions with a deadline at or before `now`.
    pub(crate) fn due(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        self.arns(
            "SELECT execution FROM frames WHERE wake <= ?1 \
             UNION SELECT arn FROM executions WHERE status = 'RUNNING' AND deadline <= ?1",
            &millis(now),
        )
    }

    /// The earliest deadline of all.
    pub(crate) fn next_wake(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT MIN(at) FROM (SELECT MIN(wake) AS at FROM frames WHERE wake IS NOT NULL \
                   UNION ALL SELECT MIN(deadline) FROM executions WHERE status = 'RUNNING')";
        let at: Option<i64> = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        at.map(|at| instant(at, "frames")).transpose()
    }

    /// Every running execution.
    pub(crate) fn running(&self) -> Result<Vec<String>, StoreError> {
        self.arns("SELECT arn FROM executions WHERE status = ?1 ORDER BY rowid", &Status::Running.name())
    }

    /// Executions in which a task waits for the child `arn`.
    pub(crate) fn waiting_for(&self, arn: &str) -> Result<Vec<String>, StoreError> {
        self.arns("SELECT DISTINCT execution FROM frames WHERE child = ?1", &arn)
    }

    /// Running children whose parent no longer waits for them.
    pub(crate) fn orphans(&self) -> Result<Vec<String>, StoreError> {
        self.arns(
            "SELECT arn FROM executions e WHERE status = ?1 AND sync AND NOT EXISTS \
             (SELECT 1 FROM frames f WHERE f.execution = e.parent AND f.attempt = e.parent_attempt)",
            &Status::Running.name(),
        )
    }

    /// The execution that issued `token`.
    pub(crate) fn token(&self, token: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT execution FROM tokens WHERE token = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([token], |row| row.get(0)).optional()?)
    }

    /// Calls without waiting that have not returned.
    pub(crate) fn detached(&self) -> Result<Vec<(i64, String, Value)>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT id, function, payload FROM detached ORDER BY id")?;
        let mut rows = statement.query([])?;
        let mut calls = Vec::new();
        while let Some(row) = rows.next()? {
            let payload: String = row.get(2)?;
            let payload = serde_json::from_str(&payload).map_err(|_| StoreError::Damaged { table: "detached" })?;
            calls.push((row.get(0)?, row.get(1)?, payload));
        }
        Ok(calls)
    }

    pub(crate) fn remove_detached(&mut self, id: i64) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM detached WHERE id = ?1", [id])?;
        Ok(())
    }

    fn arns(&self, sql: &str, parameter: &dyn rusqlite::ToSql) -> Result<Vec<String>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([parameter], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Writes what `changes` says has changed in `run`.
fn write(transaction: &Transaction<'_>, run: &Run, changes: &Changes) -> Result<Vec<i64>, StoreError> {
    transaction
        .prepare_cached(
            "UPDATE executions SET status = ?2, output = ?3, error = ?4, cause = ?5, stopped = ?6, deadline = ?7, \
             events = ?8, numbers = ?9 WHERE arn = ?1",
        )?
        .execute(params![
            run.arn,
            run.status.name(),
            run.output,
            run.error,
            run.cause,
            run.stopped.map(millis),
            run.deadline.map(millis),
            signed(run.events),
            signed(run.numbers),
        ])?;
    write_frames(transaction, run, changes)?;
    for event in &changes.history {
        // Plain INSERT: an event that exists already is a fault, never silently replaced.
        transaction.prepare_cached("INSERT INTO history VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
            run.arn,
            signed(event.id),
            signed(event.previous),
            millis(event.at),
            Value::Object(event.body.clone()).to_string()
        ])?;
    }
    for token in &changes.tokens {
        transaction.prepare_cached("INSERT INTO tokens VALUES (?1, ?2)")?.execute(params![token, run.arn])?;
    }
    let mut detached = Vec::new();
    for (function, payload) in &changes.detached {
        transaction
            .prepare_cached("INSERT INTO detached (function, payload) VALUES (?1, ?2)")?
            .execute(params![function, payload.to_string()])?;
        detached.push(transaction.last_insert_rowid());
    }
    Ok(detached)
}

fn write_frames(transaction: &Transaction<'_>, run: &Run, changes: &Changes) -> Result<(), StoreError> {
    for id in &changes.frames {
        match run.frames.get(id) {
            Some(frame) => {
                let body = serde_json::to_string(frame).map_err(|_| StoreError::Damaged { table: "frames" })?;
                let attempt = frame.call().map(|call| signed(call.attempt));
                transaction
                    .prepare_cached("INSERT OR REPLACE INTO frames VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                    .execute(params![run.arn, signed(*id), attempt, frame.wake().map(millis), frame.child(), body])?;
            }
            None => {
                transaction
                    .prepare_cached("DELETE FROM frames WHERE execution = ?1 AND id = ?2")?
                    .execute(params![run.arn, signed(*id)])?;
            }
        }
    }
    Ok(())
}
