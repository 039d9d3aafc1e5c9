//! Rules of type `MetricDegradation`, Lastgood's own: the metrics that [`watch_metrics`](crate::watch_metrics) judges a
//! deploy by, without any alarm. What a user writes, what CloudWatch is asked, and what the judge is shown.

mod check;
mod declared;
mod presets;
mod query;
mod sight;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use presets::PRESETS;
pub use query::{MetricAsked, MetricQuery, MetricSource, MetricStatistic, Points};
pub use sight::{MetricData, MetricSight, Sighted, is_look_due, sight, sight_watch};

use crate::{Direction, JudgePolicy, MetricKind, MetricScope};

/// The rule type's provider.
pub const METRIC_DEGRADATION: &str = "MetricDegradation";
/// Its configuration keys beside `Metrics` and `WaitTime`.
pub(crate) const OPTIONAL_KEYS: &[&str] = &[
    "Baseline",
    "ControlGroup",
    "ControlRegion",
    "EffectFloor",
    "HoldUntil",
    "MinimumDataPoints",
    "MissingData",
    "Period",
    "Shadow",
    "TooLittleData",
    "Watch",
];
/// Metrics of one rule.
pub const METRICS_MAX: usize = 20;
/// Values that one rule may rest on, all its series together: they are kept with the decision, and a row of the table has
/// its limit.
pub(crate) const VALUES_MAX: u64 = 5_000;

/// What is watched by this ARN, for people: `Alarm` or `Metrics`, and its name.
pub fn watched_as(arn: &str) -> (&'static str, &str) {
    let mut parts = arn.splitn(7, ':').skip(5);
    match (parts.next(), parts.next()) {
        (Some("metrics"), Some(id)) => ("Metrics", id.rsplit_once('/').map_or(id, |(name, _)| name)),
        (Some("alarm"), Some(name)) => ("Alarm", name),
        _ => ("Alarm", arn.rsplit(':').next().unwrap_or(arn)),
    }
}

/// A rule as it was declared, for whoever looks at its metrics later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeclaredMetrics {
    /// Region of the metrics; the installation's own unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The rule's configuration.
    pub configuration: BTreeMap<String, String>,
}

/// A rule that can be looked at: every key read, every preset written out.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricRule {
    /// What it watches, for people and as part of its ARN: its presets, or the names of its metrics.
    pub name: String,
    /// The metrics, at most [`METRICS_MAX`].
    pub metrics: Vec<WatchedMetric>,
    /// Time between points in seconds.
    pub period_seconds: u32,
    /// Points before the deploy that are read.
    pub baseline_points: u32,
    /// How long a deploy is looked at after it succeeded, in minutes.
    pub minutes: u32,
    /// How the judge is set.
    pub policy: JudgePolicy,
    /// Whether a condition that has too little data at its end fails.
    pub fails_unseen: bool,
}

/// One metric, with what it is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedMetric {
    /// For people.
    pub name: String,
    /// What it measures.
    pub kind: MetricKind,
    /// Which way harm shows.
    pub direction: Direction,
    /// Whose it is.
    pub scope: MetricScope,
    /// What a point means that did not arrive.
    pub missing: MissingPoint,
    /// What is deployed.
    pub own: Group,
    /// An untouched control group.
    pub control: Option<Group>,
}

/// A metric of what is deployed, or of a control group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The region, where it is not the rule's.
    pub region: Option<String>,
    /// The metric.
    pub value: MetricSource,
    /// Requests behind each point.
    pub requests: Option<MetricSource>,
}

/// What a point means that did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissingPoint {
    /// Nothing.
    Ignore,
    /// Zero, where something bears it out: the service tells of events only where there are any.
    Zero,
}
