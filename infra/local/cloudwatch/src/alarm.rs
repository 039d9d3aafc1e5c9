//! What an alarm is: its names, its configuration as stored, and what that configuration watches.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    error::ApiError,
    evaluate::{Comparison, Condition, MissingData, State},
    statistics::Statistic,
};

/// The stand-in's account, in every ARN and event.
pub(crate) const ACCOUNT: &str = "000000000000";

/// The stand-in's region.
pub(crate) const REGION: &str = "us-east-1";

/// What precedes the name in an alarm's ARN.
pub(crate) const ARN_PREFIX: &str = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:";

/// How far back an alarm may look, in seconds: CloudWatch's limit for periods below an hour, and within the data kept here.
const REACH_MAX_S: i64 = 86_400;

/// An alarm's ARN.
pub(crate) fn arn(name: &str) -> String {
    format!("{ARN_PREFIX}{name}")
}

/// What decides an alarm's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A metric against a threshold.
    Metric,
    /// A rule over other alarms.
    Composite,
}

impl Kind {
    /// The word for `AlarmType`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Metric => "MetricAlarm",
            Kind::Composite => "CompositeAlarm",
        }
    }
}

/// An alarm as stored.
#[derive(Debug, Clone)]
pub(crate) struct Alarm {
    /// Unique name.
    pub(crate) name: String,
    /// Metric or composite.
    pub(crate) kind: Kind,
    /// The members of the request that configured it, defaults filled in.
    pub(crate) config: Value,
    /// Current state.
    pub(crate) state: State,
    /// Why.
    pub(crate) reason: String,
    /// The same as a JSON document.
    pub(crate) reason_data: Option<String>,
    /// When state or reason last changed.
    pub(crate) updated: Timestamp,
    /// When the state last changed.
    pub(crate) transitioned: Timestamp,
    /// When it was last configured.
    pub(crate) configured: Timestamp,
    /// Whether the state was set by hand and no data has spoken since.
    pub(crate) forced: bool,
}

/// Identity of a metric: namespace, name and the exact set of dimensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetricKey {
    /// Namespace.
    pub(crate) namespace: String,
    /// Name in it.
    pub(crate) name: String,
    /// All dimensions.
    pub(crate) dimensions: BTreeMap<String, String>,
}

impl MetricKey {
    /// The key from the members of a request.
    pub(crate) fn new(namespace: &str, name: &str, dimensions: &[Dimension]) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            dimensions: dimensions.iter().map(|dimension| (dimension.name.clone(), dimension.value.clone())).collect(),
        }
    }

    /// One text per metric, whatever the order in which its dimensions came.
    pub(crate) fn text(&self) -> String {
        serde_json::json!([self.namespace, self.name, self.dimensions]).to_string()
    }
}

/// A dimension on the wire.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Dimension {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// A metric on the wire.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Metric {
    pub(crate) namespace: Option<String>,
    pub(crate) metric_name: Option<String>,
    #[serde(default)]
    pub(crate) dimensions: Vec<Dimension>,
}

impl Metric {
    /// The metric's key.
    ///
    /// # Errors
    /// `MissingParameter` without namespace or name.
    pub(crate) fn key(&self) -> Result<MetricKey, ApiError> {
        match (&self.namespace, &self.metric_name) {
            (Some(namespace), Some(name)) => Ok(MetricKey::new(namespace, name, &self.dimensions)),
            _ => Err(ApiError::missing("A metric needs Namespace and MetricName.")),
        }
    }
}

/// A statistic of a metric on the wire.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MetricStat {
    pub(crate) metric: Metric,
    pub(crate) period: i64,
    pub(crate) stat: String,
    pub(crate) unit: Option<String>,
}

/// An entry of `Metrics` or `MetricDataQueries` on the wire.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MetricDataQuery {
    pub(crate) id: String,
    pub(crate) metric_stat: Option<MetricStat>,
    pub(crate) expression: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) return_data: Option<bool>,
    pub(crate) period: Option<i64>,
}

/// The members of a metric alarm's configuration that decide what it watches.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricAlarmConfig {
    metric_name: Option<String>,
    namespace: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    statistic: Option<String>,
    extended_statistic: Option<String>,
    period: Option<i64>,
    unit: Option<String>,
    metrics: Option<Vec<MetricDataQuery>>,
    evaluation_periods: Option<usize>,
    datapoints_to_alarm: Option<usize>,
    threshold: Option<f64>,
    comparison_operator: Option<String>,
    treat_missing_data: Option<String>,
    evaluate_low_sample_count_percentile: Option<String>,
}

/// What a metric alarm watches.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    /// The metric.
    pub(crate) metric: MetricKey,
    /// Period in seconds.
    pub(crate) period_s: i64,
    /// The statistic's name as given.
    pub(crate) stat: String,
    /// The statistic.
    pub(crate) statistic: Statistic,
    /// Only samples of this unit, if given.
    pub(crate) unit: Option<String>,
    /// The id of the query, for alarms configured with `Metrics`.
    pub(crate) query_id: Option<String>,
    /// The condition.
    pub(crate) condition: Condition,
    /// Whether a percentile of too few samples leaves the state alone.
    pub(crate) ignores_low_samples: bool,
}

impl Watched {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// What is missing, excluded or not offered.
    pub(crate) fn of(config: &Value) -> Result<Self, ApiError> {
        let config: MetricAlarmConfig = serde_json::from_value(config.clone())?;
        let condition = condition(&config)?;
        let ignores_low_samples = match config.evaluate_low_sample_count_percentile.as_deref() {
            None | Some("evaluate") => false,
            Some("ignore") => true,
            Some(_) => {
                return Err(ApiError::validation("EvaluateLowSampleCountPercentile must be evaluate or ignore."));
            }
        };
        let (stat, query_id) = watched_stat(config)?;
        let statistic = Statistic::parse(&stat.stat).ok_or_else(|| {
            ApiError::validation(format!(
                "The statistic {} is not offered here; use SampleCount, Average, Sum, Minimum, Maximum or a percentile \
                 such as p99.",
                stat.stat
            ))
        })?;
        if !is_period(stat.period) {
            return Err(ApiError::validation("Period must be 10, 20, 30 or a multiple of 60."));
        }
        let periods = i64::try_from(condition.evaluation_periods).unwrap_or(i64::MAX);
        if stat.period.saturating_mul(periods) > REACH_MAX_S {
            return Err(ApiError::validation(format!(
                "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= {REACH_MAX_S})"
            )));
        }
        Ok(Self {
            metric: stat.metric.key()?,
            period_s: stat.period,
            statistic,
            stat: stat.stat,
            unit: stat.unit,
            query_id,
            condition,
            ignores_low_samples,
        })
    }

    /// How often the alarm is looked at, in seconds: every minute, or every ten seconds for shorter periods. The window
    /// slides by that much, as CloudWatch's does.
    pub(crate) fn step_s(&self) -> i64 {
        if self.period_s < 60 { 10 } else { 60 }
    }
}

/// Whether this is a period CloudWatch evaluates alarms over, in seconds.
fn is_period(period_s: i64) -> bool {
    matches!(period_s, 10 | 20 | 30) || (period_s > 0 && period_s % 60 == 0)
}

fn condition(config: &MetricAlarmConfig) -> Result<Condition, ApiError> {
    let missing = |name: &str| ApiError::validation(format!("{name} is required for this alarm."));
    let evaluation_periods = config.evaluation_periods.ok_or_else(|| missing("EvaluationPeriods"))?;
    let datapoints_to_alarm = config.datapoints_to_alarm.unwrap_or(evaluation_periods);
    if datapoints_to_alarm > evaluation_periods {
        return Err(ApiError::validation("DatapointsToAlarm must be less than or equal to EvaluationPeriods."));
    }
    let comparison = config.comparison_operator.as_deref().ok_or_else(|| missing("ComparisonOperator"))?;
    let comparison: Comparison = serde_json::from_value(Value::from(comparison)).map_err(|_| {
        ApiError::validation(format!(
            "{comparison} needs anomaly detection, which is not offered here; compare with a Threshold."
        ))
    })?;
    let missing_data = match config.treat_missing_data.as_deref() {
        None => MissingData::default(),
        Some(word) => serde_json::from_value(Value::from(word)).map_err(|_| {
            ApiError::validation(format!(
                "{word} is not a supported value for TreatMissingData; use breaching, notBreaching, ignore or missing."
            ))
        })?,
    };
    Ok(Condition {
        evaluation_periods,
        datapoints_to_alarm,
        threshold: config.threshold.ok_or_else(|| missing("Threshold"))?,
        comparison,
        missing: missing_data,
    })
}

fn watched_stat(config: MetricAlarmConfig) -> Result<(MetricStat, Option<String>), ApiError> {
    let Some(queries) = config.metrics else {
        let stat = match (config.statistic, config.extended_statistic) {
            (Some(stat), None) | (None, Some(stat)) => stat,
            _ => {
                return Err(ApiError::validation("Exactly one of Statistic and ExtendedStatistic must be specified."));
            }
        };
        let metric =
            Metric { namespace: config.namespace, metric_name: config.metric_name, dimensions: config.dimensions };
        let period = config.period.ok_or_else(|| ApiError::validation("Period is required for this alarm."))?;
        let unit = config.unit;
        return Ok((MetricStat { metric, period, stat, unit }, None));
    };
    let named_twice = config.metric_name.is_some()
        || config.namespace.is_some()
        || config.statistic.is_some()
        || config.extended_statistic.is_some()
        || config.period.is_some()
        || config.unit.is_some()
        || !config.dimensions.is_empty();
    if named_twice {
        return Err(ApiError::validation(
            "Metrics excludes MetricName, Namespace, Dimensions, Period, Unit, Statistic and ExtendedStatistic.",
        ));
    }
    let [query] = <[MetricDataQuery; 1]>::try_from(queries).map_err(|_| {
        ApiError::validation("Metrics must hold exactly one MetricStat: metric math is not offered here.")
    })?;
    match (query.metric_stat, query.expression) {
        (Some(stat), None) if query.return_data != Some(false) => Ok((stat, Some(query.id))),
        _ => Err(ApiError::validation(
            "The entry of Metrics must be a MetricStat with ReturnData true: metric math is not offered here.",
        )),
    }
}
