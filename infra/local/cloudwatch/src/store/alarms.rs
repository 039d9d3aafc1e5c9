//! Alarms, their tags, and which composite alarms look at which.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde_json::Value;

use super::{Work, at, document};
use crate::{
    alarm::{Alarm, Kind, MetricKey},
    error::ApiError,
    evaluate::State,
};

const COLUMNS: &str = "name, composite, config, state, reason, reason_data, updated, transitioned, configured, forced";

impl Work<'_> {
    /// The alarm of that name.
    pub(crate) fn alarm(&self, name: &str) -> Result<Option<Alarm>, ApiError> {
        self.tx
            .prepare_cached(&format!("SELECT {COLUMNS} FROM alarm WHERE name = ?"))?
            .query_row([name], raw_alarm)
            .optional()?
            .transpose()
    }

    /// All alarms after the name `after`, ordered by name.
    pub(crate) fn alarms_after(&self, after: &str) -> Result<Vec<Alarm>, ApiError> {
        self.tx
            .prepare_cached(&format!("SELECT {COLUMNS} FROM alarm WHERE name > ? ORDER BY name"))?
            .query_map([after], raw_alarm)?
            .map(|alarm| alarm?)
            .collect()
    }

    /// How many alarms there are.
    pub(crate) fn alarm_count(&self) -> Result<i64, ApiError> {
        Ok(self.tx.query_row("SELECT count(*) FROM alarm", [], |row| row.get(0))?)
    }

    /// Stores an alarm whole; tags stay what they are. A metric alarm is due at once.
    pub(crate) fn store_alarm(
        &self,
        alarm: &Alarm,
        metric: Option<&MetricKey>,
        children: &[&str],
    ) -> Result<(), ApiError> {
        self.tx.execute(
            "INSERT INTO alarm (name, composite, config, metric, state, reason, reason_data, updated, transitioned,
                                configured, forced, due, tags)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, '{}')
             ON CONFLICT (name) DO UPDATE SET composite = ?2, config = ?3, metric = ?4, state = ?5, reason = ?6,
               reason_data = ?7, updated = ?8, transitioned = ?9, configured = ?10, forced = ?11, due = ?12",
            params![
                alarm.name,
                alarm.kind == Kind::Composite,
                alarm.config.to_string(),
                metric.map(MetricKey::text),
                alarm.state.as_str(),
                alarm.reason,
                alarm.reason_data,
                alarm.updated.as_millisecond(),
                alarm.transitioned.as_millisecond(),
                alarm.configured.as_millisecond(),
                alarm.forced,
                metric.map(|_| self.now.as_millisecond()),
            ],
        )?;
        self.tx.execute("DELETE FROM child WHERE parent = ?", [&alarm.name])?;
        for child in children {
            self.tx.execute("INSERT INTO child (parent, name) VALUES (?, ?)", [&alarm.name, *child])?;
        }
        Ok(())
    }

    /// Stores the state of an alarm, and nothing else of it.
    pub(crate) fn store_state(&self, alarm: &Alarm) -> Result<(), ApiError> {
        self.tx.execute(
            "UPDATE alarm SET state = ?, reason = ?, reason_data = ?, updated = ?, transitioned = ?, forced = ?
             WHERE name = ?",
            params![
                alarm.state.as_str(),
                alarm.reason,
                alarm.reason_data,
                alarm.updated.as_millisecond(),
                alarm.transitioned.as_millisecond(),
                alarm.forced,
                alarm.name,
            ],
        )?;
        Ok(())
    }

    /// Stores whether an alarm's actions are enabled.
    pub(crate) fn store_config(&self, name: &str, config: &Value) -> Result<(), ApiError> {
        self.tx.execute("UPDATE alarm SET config = ? WHERE name = ?", params![config.to_string(), name])?;
        Ok(())
    }

    /// Deletes an alarm; its history stays, as CloudWatch's does.
    pub(crate) fn delete_alarm(&self, name: &str) -> Result<(), ApiError> {
        self.tx.execute("DELETE FROM alarm WHERE name = ?", [name])?;
        self.tx.execute("DELETE FROM child WHERE parent = ?", [name])?;
        Ok(())
    }

    /// Names of the metric alarms to be evaluated by `now`, at most `limit`, longest overdue first.
    pub(crate) fn due_alarms(&self, limit: usize) -> Result<Vec<String>, ApiError> {
        let rows = self
            .tx
            .prepare_cached("SELECT name FROM alarm WHERE due <= ? ORDER BY due, name LIMIT ?")?
            .query_map(params![self.now.as_millisecond(), limit], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok(rows)
    }

    /// When the next alarm is to be evaluated.
    pub(crate) fn next_due(&self) -> Result<Option<Timestamp>, ApiError> {
        let next: Option<i64> = self.tx.query_row("SELECT min(due) FROM alarm", [], |row| row.get(0))?;
        Ok(next.map(at))
    }

    /// Sets when an alarm is to be evaluated next.
    pub(crate) fn schedule(&self, name: &str, due: Timestamp) -> Result<(), ApiError> {
        self.tx
            .prepare_cached("UPDATE alarm SET due = ? WHERE name = ?")?
            .execute(params![due.as_millisecond(), name])?;
        Ok(())
    }

    /// The metric alarms that watch this metric.
    pub(crate) fn alarms_on(&self, metric: &MetricKey) -> Result<Vec<Alarm>, ApiError> {
        self.tx
            .prepare_cached(&format!("SELECT {COLUMNS} FROM alarm WHERE metric = ? ORDER BY name"))?
            .query_map([metric.text()], raw_alarm)?
            .map(|alarm| alarm?)
            .collect()
    }

    /// Names of the composite alarms whose rules name this alarm.
    pub(crate) fn parents(&self, name: &str) -> Result<Vec<String>, ApiError> {
        self.names("SELECT parent FROM child WHERE name = ? ORDER BY parent", name)
    }

    /// Names of the alarms in a composite alarm's rule.
    pub(crate) fn children(&self, name: &str) -> Result<Vec<String>, ApiError> {
        self.names("SELECT name FROM child WHERE parent = ? ORDER BY name", name)
    }

    /// An alarm's tags, key to value; `None` if there is no such alarm.
    pub(crate) fn tags(&self, name: &str) -> Result<Option<Value>, ApiError> {
        let text: Option<String> =
            self.tx.query_row("SELECT tags FROM alarm WHERE name = ?", [name], |row| row.get(0)).optional()?;
        text.map(|text| document(&text)).transpose()
    }

    /// Replaces an alarm's tags.
    pub(crate) fn store_tags(&self, name: &str, tags: &Value) -> Result<(), ApiError> {
        self.tx.execute("UPDATE alarm SET tags = ? WHERE name = ?", params![tags.to_string(), name])?;
        Ok(())
    }

    fn names(&self, query: &str, name: &str) -> Result<Vec<String>, ApiError> {
        let names = self.tx.prepare_cached(query)?.query_map([name], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(names)
    }
}

fn raw_alarm(row: &Row<'_>) -> rusqlite::Result<Result<Alarm, ApiError>> {
    let config: String = row.get(2)?;
    let state: String = row.get(3)?;
    let alarm = Alarm {
        name: row.get(0)?,
        kind: if row.get(1)? { Kind::Composite } else { Kind::Metric },
        config: Value::Null,
        state: State::parse(&state).unwrap_or(State::InsufficientData),
        reason: row.get(4)?,
        reason_data: row.get(5)?,
        updated: at(row.get(6)?),
        transitioned: at(row.get(7)?),
        configured: at(row.get(8)?),
        forced: row.get(9)?,
    };
    Ok(document(&config).map(|config| Alarm { config, ..alarm }))
}
