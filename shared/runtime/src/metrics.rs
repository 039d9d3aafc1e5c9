//! Metrics: CloudWatch's embedded metric format, one JSON line per record, which Lambda's log pipeline turns into metrics
//! without an API call.

use std::{fmt, io::Write, sync::Arc};

use engine::ports::Clock;
use serde_json::{Map, Value, json};

use crate::SystemClock;

/// Most dimensions of one metric (CloudWatch's limit).
const DIMENSIONS_MAX: usize = 30;
/// Most metrics in one record (the format's limit).
const VALUES_MAX: usize = 100;
/// Longest name of a namespace, metric or dimension in bytes (CloudWatch's strictest, that of dimension names).
const NAME_BYTES_MAX: usize = 255;
/// Longest value of a dimension in bytes (CloudWatch's limit).
const DIMENSION_VALUE_BYTES_MAX: usize = 1024;

/// What a metric's number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Occurrences.
    Count,
    /// Time in milliseconds.
    Milliseconds,
    /// Size in bytes.
    Bytes,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Count => "Count",
            Unit::Milliseconds => "Milliseconds",
            Unit::Bytes => "Bytes",
        })
    }
}

/// A record that CloudWatch would drop without a word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// No values, or too many.
    #[error("{0} metrics in one record; emit 1 to {VALUES_MAX}")]
    Values(usize),
    /// Too many dimensions.
    #[error("{0} dimensions; a metric takes up to {DIMENSIONS_MAX}")]
    Dimensions(usize),
    /// A name or a dimension's value is empty, too long, starts as the format's own or is used twice.
    #[error(
        "{0:?} cannot name or label a metric: use 1 to {NAME_BYTES_MAX} bytes, unique in the record, not starting with '_' or ':'"
    )]
    Name(String),
    /// Not a number.
    #[error("metric {0:?} is not a finite number")]
    NotFinite(String),
}

/// Writes metrics to stdout.
#[derive(Clone)]
pub struct Metrics {
    clock: Arc<dyn Clock>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl Metrics {
    /// Metrics stamped with the time of `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }

    /// Writes one record: every value, under the one set of dimensions. A record CloudWatch would refuse is logged as an
    /// error and not written; metrics never fail their caller.
    pub fn emit(&self, namespace: &str, dimensions: &[(&str, &str)], values: &[(&str, Unit, f64)]) {
        match self.line(namespace, dimensions, values) {
            // As with logs, there is nowhere to report that stdout is gone.
            Ok(line) => drop(std::io::stdout().write_all(line.as_bytes())),
            Err(error) => {
                tracing::error!(%error, metric.namespace = namespace, "metrics not written")
            }
        }
    }

    /// The record as one line of JSON, newline included.
    ///
    /// # Errors
    /// What CloudWatch would drop.
    pub fn line(
        &self,
        namespace: &str,
        dimensions: &[(&str, &str)],
        values: &[(&str, Unit, f64)],
    ) -> Result<String, MetricsError> {
        check(namespace, dimensions, values)?;
        let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
        let metrics: Vec<Value> =
            values.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit.to_string()})).collect();
        let mut record = Map::new();
        record.insert(
            "_aws".into(),
            json!({
                "Timestamp": self.clock.now().as_millisecond(),
                "CloudWatchMetrics": [{"Namespace": namespace, "Dimensions": [names], "Metrics": metrics}],
            }),
        );
        record.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        record.extend(values.iter().map(|(name, _, value)| ((*name).to_owned(), json!(value))));
        Ok(format!("{}\n", Value::Object(record)))
    }
}

fn check(namespace: &str, dimensions: &[(&str, &str)], values: &[(&str, Unit, f64)]) -> Result<(), MetricsError> {
    if values.is_empty() || values.len() > VALUES_MAX {
        return Err(MetricsError::Values(values.len()));
    }
    if dimensions.len() > DIMENSIONS_MAX {
        return Err(MetricsError::Dimensions(dimensions.len()));
    }
    let is_name = |name: &str| (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.starts_with(['_', ':']);
    let mut seen = std::collections::BTreeSet::new();
    let names = dimensions.iter().map(|(name, _)| *name);
    for name in names.chain(values.iter().map(|(name, ..)| *name)) {
        if !is_name(name) || !seen.insert(name) {
            return Err(MetricsError::Name(name.to_owned()));
        }
    }
    let labels = dimensions.iter().map(|(_, value)| *value);
    if !is_name(namespace) {
        return Err(MetricsError::Name(namespace.to_owned()));
    }
    for label in labels {
        if !(1..=DIMENSION_VALUE_BYTES_MAX).contains(&label.len()) {
            return Err(MetricsError::Name(label.to_owned()));
        }
    }
    match values.iter().find(|(.., value)| !value.is_finite()) {
        Some((name, ..)) => Err(MetricsError::NotFinite((*name).to_owned())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::ManualClock;

    fn metrics() -> Metrics {
        let at = Timestamp::from_second(1_796_083_200).expect("in range");
        Metrics::new(Arc::new(ManualClock::new(at)))
    }

    #[test]
    fn a_record_is_one_line_in_the_embedded_format() {
        let line = metrics()
            .line(
                "Lastgood",
                &[("pipeline.name", "web")],
                &[("Rollbacks", Unit::Count, 1.0), ("Took", Unit::Milliseconds, 12.5)],
            )
            .expect("valid");
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.ends_with('\n'));
        // Compared as a value: the order of members depends on features of serde_json that others choose.
        let record: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let metrics = [("Rollbacks", "Count"), ("Took", "Milliseconds")];
        let metrics = metrics.map(|(name, unit)| serde_json::json!({"Name": name, "Unit": unit}));
        let directive = serde_json::json!({
            "Namespace": "Lastgood", "Dimensions": [["pipeline.name"]], "Metrics": metrics,
        });
        assert_eq!(
            record,
            serde_json::json!({
                "_aws": {"Timestamp": 1_796_083_200_000_u64, "CloudWatchMetrics": [directive]},
                "pipeline.name": "web", "Rollbacks": 1.0, "Took": 12.5,
            })
        );
    }

    #[test]
    fn what_cloudwatch_would_drop_is_refused() {
        let one = [("Rollbacks", Unit::Count, 1.0)];
        let line = |namespace, dimensions: &[(&str, &str)], values: &[(&str, Unit, f64)]| {
            metrics().line(namespace, dimensions, values).expect_err("refused")
        };
        let many: Vec<_> = (0..31).map(|n| (format!("d{n}"), "v")).collect();
        let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!(line("L", &[], &[]), MetricsError::Values(0));
        assert_eq!(line("L", &many, &one), MetricsError::Dimensions(31));
        assert_eq!(line("", &[], &one), MetricsError::Name(String::new()));
        assert_eq!(line("L", &[("_aws", "x")], &one), MetricsError::Name("_aws".into()));
        assert_eq!(line("L", &[("Rollbacks", "x")], &one), MetricsError::Name("Rollbacks".into()));
        assert_eq!(line("L", &[("d", "")], &one), MetricsError::Name(String::new()));
        assert_eq!(line("L", &[], &[("Took", Unit::Milliseconds, f64::NAN)]), MetricsError::NotFinite("Took".into()));
    }
}
