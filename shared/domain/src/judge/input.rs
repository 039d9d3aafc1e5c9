//! What the judge reads: series of points, before and after a deploy.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a metric measures, which decides how it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// A level, such as latency or load. Compared by ratio.
    Gauge,
    /// A fraction from 0 to 1, such as errors per request.
    Rate,
    /// Events in the period, where 0 is a real zero.
    Count,
}

/// Which way harm shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Larger is worse.
    Increase,
    /// Smaller is worse.
    Decrease,
    /// Any change is harm.
    Either,
}

/// Whose metric it is. Only what is deployed is judged; the rest is context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricScope {
    /// Of what is deployed.
    #[default]
    Own,
    /// Of what it calls: harm there explains harm here.
    Dependency,
    /// Of what calls it.
    Caller,
}

/// Points before and after the deploy, oldest first. `None` means that no point arrived, which is not zero.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct MetricSeries {
    /// Until the deploy.
    pub before: Vec<Option<f64>>,
    /// Since the deploy.
    pub after: Vec<Option<f64>>,
}

/// Requests behind the points of a rate or count.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RequestSeries {
    /// Of what is deployed.
    pub new: Option<MetricSeries>,
    /// Of the control group.
    #[serde(default)]
    pub old: Option<MetricSeries>,
}

/// One metric of a deploy under watch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// For people.
    pub name: String,
    /// What it measures.
    pub kind: MetricKind,
    /// Which way harm shows.
    pub direction: Direction,
    /// What the deployed version shows, and what stood in its place before.
    pub new: MetricSeries,
    /// The same of an untouched control group, or of the old version that still runs.
    #[serde(default)]
    pub old: Option<MetricSeries>,
    /// Requests behind each point, where known.
    #[serde(default)]
    pub requests: Option<RequestSeries>,
    /// Whose metric it is.
    #[serde(default)]
    pub scope: Option<MetricScope>,
}

// Numbers that are not finite do not pass `check`.
impl Eq for MetricSeries {}
impl Eq for RequestSeries {}
impl Eq for Metric {}

/// Why a metric cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidMetric {
    /// Series that belong together differ in length.
    #[error("metric {name:?}: {what} has {got} points, {expected} are expected")]
    Length {
        /// The metric.
        name: String,
        /// Which series.
        what: &'static str,
        /// Its points.
        got: usize,
        /// The points of `new`.
        expected: usize,
    },
    /// A value is not finite, or outside of what its kind allows.
    #[error("metric {name:?}: {value} is no {kind}")]
    Value {
        /// The metric.
        name: String,
        /// The value.
        value: String,
        /// Its kind.
        kind: &'static str,
    },
    /// More points than a week of minutes has.
    #[error("metric {name:?} has {got} points, at most {POINTS_MAX} are judged")]
    TooLong {
        /// The metric.
        name: String,
        /// Its points.
        got: usize,
    },
}

/// Points a series can have on either side of the deploy: a week of minutes. A look at one
/// metric that long takes some hundredths of a second, at one of sixty points some hundredths of a millisecond.
pub(super) const POINTS_MAX: usize = 10_080;
/// A rate that was divided has a last digit of its own.
const RATE_MAX: f64 = 1.0 + 1e-6;

impl Metric {
    /// Whose metric it is.
    pub fn scope(&self) -> MetricScope {
        self.scope.unwrap_or_default()
    }

    /// The metric as it was after the first `points` points since the deploy.
    pub fn first_points(&self, points: usize) -> Self {
        let cut = |series: &MetricSeries| MetricSeries {
            before: series.before.clone(),
            after: series.after[..points.min(series.after.len())].to_vec(),
        };
        Self {
            name: self.name.clone(),
            new: cut(&self.new),
            old: self.old.as_ref().map(cut),
            requests: self
                .requests
                .as_ref()
                .map(|r| RequestSeries { new: r.new.as_ref().map(cut), old: r.old.as_ref().map(cut) }),
            ..*self
        }
    }

    /// The metric with nine significant digits of every value. What is judged is what is stored, and numbers of that length
    /// survive being written and read.
    pub(super) fn rounded(&self) -> Self {
        let round = |value: f64| format!("{value:.8e}").parse().unwrap_or(value);
        let part = |points: &[Option<f64>]| points.iter().map(|point| point.map(round)).collect();
        let series = |s: &MetricSeries| MetricSeries { before: part(&s.before), after: part(&s.after) };
        Self {
            name: self.name.clone(),
            new: series(&self.new),
            old: self.old.as_ref().map(series),
            requests: self
                .requests
                .as_ref()
                .map(|r| RequestSeries { new: r.new.as_ref().map(series), old: r.old.as_ref().map(series) }),
            ..*self
        }
    }

    /// Checks lengths and values.
    ///
    /// # Errors
    /// Every [`InvalidMetric`].
    pub fn check(&self) -> Result<(), InvalidMetric> {
        let points = self.new.after.len();
        let requests = self.requests.as_ref();
        let groups = [
            ("old", self.old.as_ref(), points, self.old.as_ref().map_or(0, |s| s.before.len())),
            ("requests.new", requests.and_then(|r| r.new.as_ref()), points, self.new.before.len()),
            (
                "requests.old",
                // Without a control group nobody looks at its requests.
                requests.and_then(|r| r.old.as_ref()).filter(|_| self.old.is_some()),
                points,
                self.old.as_ref().map_or(0, |s| s.before.len()),
            ),
        ];
        for (what, series, after, before) in groups {
            let Some(series) = series else { continue };
            for (got, expected) in [(series.after.len(), after), (series.before.len(), before)] {
                if got != expected {
                    return Err(InvalidMetric::Length { name: self.name.clone(), what, got, expected });
                }
            }
        }
        for (series, is_requests) in [(Some(&self.new), false), (self.old.as_ref(), false)]
            .into_iter()
            .chain(groups[1..].iter().map(|g| (g.1, true)))
        {
            let Some(series) = series else { continue };
            let got = series.before.len().max(series.after.len());
            if got > POINTS_MAX {
                return Err(InvalidMetric::TooLong { name: self.name.clone(), got });
            }
            for value in series.before.iter().chain(&series.after).flatten() {
                let (kind, is_fine) = match (is_requests, self.kind) {
                    (true, _) => ("number of requests", *value >= 0.0),
                    (false, MetricKind::Gauge) => ("gauge", true),
                    (false, MetricKind::Rate) => ("rate from 0 to 1", (0.0..=RATE_MAX).contains(value)),
                    (false, MetricKind::Count) => ("count", *value >= 0.0),
                };
                if !is_fine || !value.is_finite() {
                    return Err(InvalidMetric::Value { name: self.name.clone(), value: value.to_string(), kind });
                }
            }
        }
        Ok(())
    }
}
