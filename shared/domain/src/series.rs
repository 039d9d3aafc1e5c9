//! What an alarm's metric did around a deploy: kept with a decision, so that people see later what was seen then. Nothing
//! is decided by it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Case;

/// Metrics that are kept of one alarm, which may be composite.
pub const ALARM_SERIES_MAX: usize = 3;
/// Points that are kept of one metric: about two kilobytes, in each list that the decision is in.
const POINTS_MAX: usize = 120;
/// Characters of a metric's name that are kept.
const LABEL_CHARS_MAX: usize = 200;
/// Beyond this the table keeps no number.
const VALUE_MAX: f64 = 1e100;
/// So much before the deploy is shown: half of what came after it, within these bounds.
const LEAD: (SignedDuration, SignedDuration) = (SignedDuration::from_mins(15), SignedDuration::from_hours(6));

/// What a metric did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlarmSeries {
    /// The metric and its statistic, for people; at most 200 characters.
    pub label: String,
    /// Length of a period in seconds.
    pub period_seconds: u32,
    /// What the alarm compares with; absent where that moves, as the band of an anomaly detector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Measure>,
    /// Whether low values are the bad ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub low_is_bad: bool,
    /// How many points each of `points` stands for: it is the worst of them.
    pub folded: u32,
    /// Beginnings of periods, in seconds since 1970, and values, oldest first; at most 120.
    pub points: Vec<(i64, Measure)>,
}

/// A number that has a place in the table: finite, and at most 1e100 either way.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Measure(f64);

// Every finite number equals itself.
impl Eq for Measure {}

impl Measure {
    /// The number, where it has a place.
    pub fn new(value: f64) -> Option<Self> {
        let is_small = value.abs() < 1.0 / VALUE_MAX;
        (value.is_finite() && value.abs() <= VALUE_MAX).then_some(Self(if is_small { 0.0 } else { value }))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Measure {
    type Error = &'static str;

    fn try_from(value: f64) -> Result<Self, Self::Error> {
        Self::new(value).ok_or("the number has no place in the table")
    }
}

impl From<Measure> for f64 {
    fn from(measure: Measure) -> Self {
        measure.0
    }
}

impl AlarmSeries {
    /// Of the points that CloudWatch gave, in any order; none where there are none.
    pub fn of(
        label: &str,
        period_seconds: u32,
        threshold: Option<f64>,
        low_is_bad: bool,
        points: impl IntoIterator<Item = (Timestamp, f64)>,
    ) -> Option<Self> {
        let known = points.into_iter().filter_map(|(at, value)| Some((at.as_second(), Measure::new(value)?)));
        let mut points: Vec<(i64, Measure)> = known.collect();
        points.sort_by_key(|(at, _)| *at);
        let folded = points.len().div_ceil(POINTS_MAX).max(1);
        let points: Vec<_> = points.chunks(folded).filter_map(|chunk| worst(chunk, low_is_bad)).collect();
        (!points.is_empty()).then(|| Self {
            label: label.chars().take(LABEL_CHARS_MAX).collect(),
            period_seconds,
            threshold: threshold.and_then(Measure::new),
            low_is_bad,
            folded: u32::try_from(folded).unwrap_or(u32::MAX),
            points,
        })
    }
}

/// Of points that cannot all be kept, the one that speaks most for trouble.
fn worst(points: &[(i64, Measure)], low_is_bad: bool) -> Option<(i64, Measure)> {
    let by_value = |a: &&(i64, Measure), b: &&(i64, Measure)| a.1.0.total_cmp(&b.1.0);
    let found = if low_is_bad { points.iter().min_by(by_value) } else { points.iter().max_by(by_value) };
    found.copied()
}

/// The time around the deploys of a case, until it was ruled on; absent where there is no deploy, or an older version kept
/// no time.
pub fn time_around(case: &Case) -> Option<(Timestamp, Timestamp)> {
    let first = case.suspects.iter().map(|one| one.watch.from).min()?;
    let until = case.at?;
    let lead = (until.duration_since(first) / 2).clamp(LEAD.0, LEAD.1);
    Some((first.checked_sub(lead).ok()?, until))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn many_points_are_folded_into_the_worst_of_them() {
        let points = || (0..1000).rev().map(|n| (at(60 * n), if n == 17 { 9.0 } else { 1.0 }));
        let high = AlarmSeries::of("Errors", 60, Some(5.0), false, points()).unwrap();
        assert_eq!((high.folded, high.points.len()), (9, 112));
        assert_eq!(high.points.iter().filter(|(_, value)| value.get() == 9.0).count(), 1);
        assert!(high.points.is_sorted_by_key(|(at, _)| *at));
        let low = AlarmSeries::of("Sales", 60, Some(5.0), true, points()).unwrap();
        assert!(low.points.iter().all(|(_, value)| value.get() == 1.0));
        let few = AlarmSeries::of("Errors", 60, None, false, points().take(120)).unwrap();
        assert_eq!((few.folded, few.points.len()), (1, 120));
    }

    #[test]
    fn what_the_table_cannot_keep_is_left_out() {
        let values = [f64::NAN, f64::INFINITY, 1e200, 1e-200, 2.5];
        let points = values.into_iter().enumerate().map(|(n, value)| (at(n as i64), value));
        let series = AlarmSeries::of(&"x".repeat(500), 60, Some(f64::NAN), false, points).unwrap();
        let kept: Vec<f64> = series.points.iter().map(|(_, value)| value.get()).collect();
        assert_eq!((kept, series.threshold, series.label.len()), (vec![0.0, 2.5], None, 200));
        let text = serde_json::to_string(&series).unwrap();
        assert_eq!(serde_json::from_str::<AlarmSeries>(&text).unwrap(), series);
        assert!(serde_json::from_str::<Measure>("1e200").is_err());
        assert_eq!(AlarmSeries::of("none", 60, None, false, []), None);
    }
}
