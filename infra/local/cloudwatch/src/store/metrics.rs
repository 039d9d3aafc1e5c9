//! Samples in buckets of a second or a minute, per metric and unit.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::{Work, at, document};
use crate::{alarm::MetricKey, error::ApiError, statistics::Samples};

/// How long samples are kept: three days, against CloudWatch's fifteen months. Alarms look back a day at most.
const RETENTION: SignedDuration = SignedDuration::from_hours(72);

/// How many metrics with data are kept: a stand-in that is fed ids as dimensions must not fill the disk unnoticed.
const METRICS_MAX: i64 = 20_000;

/// How many metrics a page of `ListMetrics` holds: CloudWatch's number.
const METRICS_PAGE: usize = 500;

/// One bucket of a metric.
#[derive(Debug, Clone)]
pub(crate) struct Sampled {
    /// Start of the bucket.
    pub(crate) at: Timestamp,
    /// Unit of its samples.
    pub(crate) unit: String,
    /// The samples.
    pub(crate) samples: Samples,
}

impl Work<'_> {
    /// Adds samples to a metric's bucket. Samples older than what is kept are dropped.
    ///
    /// # Errors
    /// Too many metrics.
    pub(crate) fn record(&self, key: &MetricKey, sampled: Sampled) -> Result<(), ApiError> {
        if sampled.at < self.now.saturating_sub(RETENTION).unwrap_or(Timestamp::MIN) {
            return Ok(());
        }
        let metric = self.metric_id(key)?;
        let ms = sampled.at.as_millisecond();
        let stored = self
            .tx
            .prepare_cached(
                "SELECT count, sum, minimum, maximum, distribution FROM sample WHERE metric = ? AND at = ? AND unit = ?",
            )?
            .query_row(params![metric, ms, sampled.unit], samples_of_row)
            .optional()?;
        let samples = match stored {
            Some(stored) => stored?.merged(sampled.samples),
            None => sampled.samples,
        };
        let distribution = samples.values.as_ref().map(serde_json::to_string).transpose()?;
        self.tx.prepare_cached("INSERT OR REPLACE INTO sample VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?.execute(params![
            metric,
            ms,
            sampled.unit,
            samples.count,
            samples.sum,
            samples.minimum,
            samples.maximum,
            distribution
        ])?;
        self.tx
            .prepare_cached("UPDATE metric SET latest = max(latest, ?) WHERE id = ?")?
            .execute(params![ms, metric])?;
        Ok(())
    }

    /// The buckets of a metric that begin at `from` or later, but before `to`; oldest first.
    pub(crate) fn samples(
        &self,
        key: &MetricKey,
        unit: Option<&str>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Sampled>, ApiError> {
        let mut statement = self.tx.prepare_cached(
            "SELECT count, sum, minimum, maximum, distribution, at, unit FROM sample
             WHERE metric = (SELECT id FROM metric WHERE key = ?1) AND at >= ?2 AND at < ?3
               AND (?4 IS NULL OR unit = ?4)
             ORDER BY at, unit",
        )?;
        let rows = statement
            .query_map(params![key.text(), from.as_millisecond(), to.as_millisecond(), unit], |row| {
                Ok((samples_of_row(row)?, row.get(5)?, row.get(6)?))
            })?;
        rows.map(|row| {
            let (samples, ms, unit) = row?;
            Ok(Sampled { at: at(ms), unit, samples: samples? })
        })
        .collect()
    }

    /// Up to a page of the metrics that `wanted` accepts, in the order of their keys, after the key `after`; and the key to
    /// go on after, if there is more.
    pub(crate) fn metrics(
        &self,
        after: &str,
        active_since: Timestamp,
        wanted: &dyn Fn(&MetricKey) -> bool,
    ) -> Result<(Vec<MetricKey>, Option<String>), ApiError> {
        let mut statement = self.tx.prepare_cached(
            "SELECT namespace, name, dimensions FROM metric WHERE key > ? AND latest >= ? ORDER BY key",
        )?;
        let mut rows = statement.query(params![after, active_since.as_millisecond()])?;
        let mut page: Vec<MetricKey> = Vec::new();
        while let Some(row) = rows.next()? {
            let key = MetricKey {
                namespace: row.get(0)?,
                name: row.get(1)?,
                dimensions: serde_json::from_str(&row.get::<_, String>(2)?)?,
            };
            if !wanted(&key) {
                continue;
            }
            if page.len() == METRICS_PAGE {
                let last = page.last().map(MetricKey::text);
                return Ok((page, last));
            }
            page.push(key);
        }
        Ok((page, None))
    }

    /// Forgets samples, metrics and history that have had their time.
    pub(crate) fn prune(&self) -> Result<(), ApiError> {
        let oldest = self.now.saturating_sub(RETENTION).unwrap_or(Timestamp::MIN).as_millisecond();
        self.tx.execute("DELETE FROM sample WHERE at < ?", [oldest])?;
        self.tx.execute("DELETE FROM metric WHERE latest < ?", [oldest])?;
        self.prune_history()
    }

    fn metric_id(&self, key: &MetricKey) -> Result<i64, ApiError> {
        let text = key.text();
        let known = self
            .tx
            .prepare_cached("SELECT id FROM metric WHERE key = ?")?
            .query_row([&text], |row| row.get(0))
            .optional()?;
        if let Some(id) = known {
            return Ok(id);
        }
        let count: i64 = self.tx.query_row("SELECT count(*) FROM metric", [], |row| row.get(0))?;
        if count >= METRICS_MAX {
            return Err(ApiError::limit(format!(
                "The local CloudWatch keeps at most {METRICS_MAX} metrics; use fewer dimensions, or wait three days."
            )));
        }
        self.tx.execute(
            "INSERT INTO metric (key, namespace, name, dimensions, latest) VALUES (?, ?, ?, ?, 0)",
            params![text, key.namespace, key.name, serde_json::to_string(&key.dimensions)?],
        )?;
        Ok(self.tx.last_insert_rowid())
    }
}

type Decoded = Result<Samples, ApiError>;

fn samples_of_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Decoded> {
    let distribution: Option<String> = row.get(4)?;
    let (count, sum, minimum, maximum) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    Ok(distribution.map(|text| Ok(serde_json::from_value(document(&text)?)?)).transpose().map(|values| Samples {
        count,
        sum,
        minimum,
        maximum,
        values,
    }))
}
