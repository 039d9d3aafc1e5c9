//! The time around a verdict as a picture: deploys, the watch, the alarm, and what the alarm said of its metric.
//!
//! It shows what the evidence holds and nothing else. Points and threshold are read from the alarm's own words, where
//! CloudWatch wrote them; between the moments at which the alarm's state is known, nothing is drawn as known.

use domain::Evidence;
use jiff::{SignedDuration, Timestamp, civil::DateTime};

use super::{decision::look_of, parts::alarm_name, parts::short};

/// Where the scale begins and ends, of 720 units.
const LEFT: i64 = 96;
const RIGHT: i64 = 690;
/// Beyond this, a label stands before its mark.
const LABELS_AFTER: i64 = 520;
/// Where points are drawn.
const TOP: f64 = 14.0;
const BOTTOM: f64 = 84.0;
/// Moments named on the axis.
const TICKS: i64 = 4;
/// Points that CloudWatch names at most, and deploys that are drawn.
const POINTS_MAX: usize = 100;
const DEPLOYS_MAX: usize = 8;

/// A picture; positions in its own units.
pub(super) struct Plot {
    pub(super) watch: (i64, i64),
    pub(super) deploys: Vec<Mark>,
    pub(super) onset: i64,
    pub(super) decided: i64,
    pub(super) at_entry: &'static str,
    pub(super) state: &'static str,
    pub(super) ticks: Vec<Mark>,
    pub(super) metric: Option<MetricPlot>,
    pub(super) told: String,
}

/// Something at one moment.
pub(super) struct Mark {
    pub(super) x: i64,
    pub(super) label: String,
    /// Whether it is the deploy that the verdict is about.
    pub(super) is_own: bool,
}

impl Mark {
    /// Where its label begins or ends, beside it.
    pub(super) fn label_x(&self) -> i64 {
        if self.is_late() { self.x - 9 } else { self.x + 9 }
    }

    /// Whether its label stands before it.
    pub(super) fn is_late(&self) -> bool {
        self.x > LABELS_AFTER
    }
}

/// Points of the alarm's metric.
pub(super) struct MetricPlot {
    pub(super) points: Vec<Point>,
    pub(super) threshold: f64,
    pub(super) threshold_y: f64,
}

/// One point.
pub(super) struct Point {
    pub(super) x: i64,
    pub(super) y: f64,
    pub(super) value: f64,
    pub(super) at: String,
}

impl Plot {
    pub(super) fn of(evidence: &Evidence, decided: Timestamp) -> Self {
        let said = Said::read(&evidence.alarm.reason);
        let suspects = evidence.case.iter().flat_map(|case| &case.suspects).take(DEPLOYS_MAX);
        let mut deploys: Vec<_> =
            suspects.map(|one| (one.watch.from, one.watch.execution, one.watch.pipeline.to_string())).collect();
        if !deploys.iter().any(|(_, execution, _)| *execution == evidence.execution) {
            deploys.push((evidence.from, evidence.execution, String::new()));
        }
        let moments = deploys.iter().map(|(at, ..)| *at).chain([evidence.alarm.since, evidence.from, decided]);
        let moments = moments.chain(said.iter().flat_map(|said| said.points.iter().map(|(at, _)| *at)));
        let scale = Scale::around(moments);
        let first = evidence.from;
        Self {
            watch: (scale.x(first), scale.x(evidence.until)),
            deploys: deploys
                .iter()
                .map(|(at, execution, pipeline)| Mark {
                    x: scale.x(*at),
                    label: format!("{pipeline} {}", short(*execution)).trim().to_owned(),
                    is_own: *execution == evidence.execution,
                })
                .collect(),
            onset: scale.x(evidence.alarm.since),
            decided: scale.x(decided),
            at_entry: look_of(evidence.state_at_entry),
            state: look_of(evidence.alarm.state),
            ticks: scale.ticks(),
            metric: said.map(|said| said.plot(&scale)),
            told: format!(
                "Alarm {} was {} when execution {} entered the stage, is {} since {:.0}, and was judged at {:.0}.",
                alarm_name(&evidence.alarm.arn),
                evidence.state_at_entry,
                short(evidence.execution),
                evidence.alarm.state,
                evidence.alarm.since,
                decided
            ),
        }
    }
}

struct Scale {
    from: Timestamp,
    to: Timestamp,
}

impl Scale {
    /// A scale that holds the moments, with some air.
    fn around(moments: impl Iterator<Item = Timestamp>) -> Self {
        let moments: Vec<Timestamp> = moments.collect();
        let from = moments.iter().min().copied().unwrap_or_default();
        let to = moments.iter().max().copied().unwrap_or_default();
        let air = (to.duration_since(from) / 10).max(SignedDuration::from_millis(500));
        Self { from: from.checked_sub(air).unwrap_or(from), to: to.checked_add(air).unwrap_or(to) }
    }

    fn x(&self, at: Timestamp) -> i64 {
        let whole = self.to.duration_since(self.from).as_millis().max(1);
        let part = at.duration_since(self.from).as_millis().clamp(0, whole);
        LEFT + i64::try_from(part * i128::from(RIGHT - LEFT) / whole).unwrap_or_default()
    }

    fn ticks(&self) -> Vec<Mark> {
        let step = self.to.duration_since(self.from) / i32::try_from(TICKS).unwrap_or(1);
        let is_long = step > SignedDuration::from_hours(12);
        let tick = |number: i32| {
            let at = self.from.checked_add(step * number).unwrap_or(self.to);
            let label = at.strftime(if is_long { "%-d %b %H:%M" } else { "%H:%M:%S" }).to_string();
            Mark { x: self.x(at), label, is_own: false }
        };
        (0..=i32::try_from(TICKS).unwrap_or_default()).map(tick).collect()
    }
}

/// What an alarm says of its metric.
struct Said {
    points: Vec<(Timestamp, f64)>,
    threshold: f64,
}

impl Said {
    /// Reads CloudWatch's `[5.0 (27/11/26 00:31:00), 7.0 (27/11/26 00:32:00)] ... threshold (0.0)`.
    fn read(reason: &str) -> Option<Self> {
        let (_, rest) = reason.split_once('[')?;
        let (list, rest) = rest.split_once(']')?;
        let (_, rest) = rest.split_once("threshold (")?;
        let threshold: f64 = rest.split_once(')')?.0.parse().ok()?;
        let point = |text: &str| {
            let (value, at) = text.trim().split_once(" (")?;
            let at = DateTime::strptime("%d/%m/%y %H:%M:%S", at.trim_end_matches(')')).ok()?;
            let at = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
            Some((at, value.parse().ok().filter(|value: &f64| value.is_finite())?))
        };
        let points: Vec<_> = list.split("),").take(POINTS_MAX).map(point).collect::<Option<_>>()?;
        (threshold.is_finite() && !points.is_empty()).then_some(Self { points, threshold })
    }

    fn plot(self, scale: &Scale) -> MetricPlot {
        let values = || self.points.iter().map(|(_, value)| *value).chain([self.threshold]);
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        let range = if high > low { high - low } else { 1.0 };
        let y = |value: f64| BOTTOM - (value - low) / range * (BOTTOM - TOP);
        MetricPlot {
            points: self
                .points
                .iter()
                .map(|(at, value)| Point { x: scale.x(*at), y: y(*value), value: *value, at: format!("{at:.0}") })
                .collect(),
            threshold: self.threshold,
            threshold_y: y(self.threshold),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_from_the_alarms_own_words_or_not_at_all() {
        let said = "Threshold Crossed: 2 out of the last 2 datapoints [5.0 (27/11/26 00:31:00), 7.5 (27/11/26 00:30:00)] \
                    were greater than the threshold (0.5) (minimum 1 datapoint for OK -> ALARM transition).";
        let said = Said::read(said).unwrap();
        assert_eq!((said.points.len(), said.threshold), (2, 0.5));
        assert_eq!(said.points[0], ("2026-11-27T00:31:00Z".parse().unwrap(), 5.0));
        for other in [
            "Customers see errors",
            "[",
            "[x] threshold (1)",
            "[1.0 (27/11/26 00:31:00)] threshold (x)",
            "[inf (27/11/26 00:31:00)] threshold (1)",
        ] {
            assert!(Said::read(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_scale_holds_every_moment() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let scale = Scale::around([at(100), at(200)].into_iter());
        assert!(scale.x(at(100)) > LEFT && scale.x(at(200)) < RIGHT);
        assert_eq!((scale.x(at(0)), scale.x(at(1000))), (LEFT, RIGHT));
        assert_eq!(scale.ticks().len(), 5);
        let one = Scale::around([at(100)].into_iter());
        assert_eq!(one.x(at(100)), (LEFT + RIGHT) / 2);
    }
}
