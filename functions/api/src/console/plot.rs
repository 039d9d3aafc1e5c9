//! The time around a verdict as a picture: deploys, the watch, the alarm, and what its metrics did.
//!
//! It shows what the decision holds and nothing else. A decision without metrics has points in the alarm's own words, where
//! CloudWatch wrote them; between the moments at which the alarm's state is known, nothing is drawn as known.

use std::fmt::Write as _;

use domain::{AlarmSeries, Evidence, Measure};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

use super::{
    decision::look_of,
    parts::{alarm_name, short, span},
};

/// Where the scale begins and ends, of 720 units.
const LEFT: i64 = 96;
const RIGHT: i64 = 690;
/// Beyond this, a label stands before its mark.
const LABELS_AFTER: i64 = 520;
/// Where points of the first metric are drawn, and how far below it the next is.
const TOP: f64 = 24.0;
const BOTTOM: f64 = 84.0;
const BELOW: i64 = 96;
/// Periods of a metric that are shown before the first moment.
const PERIODS_BEFORE: i64 = 10;
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
    pub(super) metrics: Vec<MetricPlot>,
    /// How far down the lanes below the metrics begin, beyond where one metric leaves them.
    pub(super) shift: i64,
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

/// One metric of the alarm.
pub(super) struct MetricPlot {
    pub(super) label: String,
    /// How long a period is, and what a point stands for.
    pub(super) each: String,
    pub(super) points: Vec<Point>,
    /// A path through the points, with gaps where periods lack.
    pub(super) line: String,
    pub(super) threshold: Option<Level>,
    /// The lowest and the highest that is drawn.
    pub(super) low: Level,
    pub(super) high: Level,
    /// How far down it is drawn.
    pub(super) shift: i64,
}

/// A value and its height.
pub(super) struct Level {
    pub(super) value: f64,
    pub(super) y: f64,
}

/// One point.
pub(super) struct Point {
    pub(super) x: i64,
    pub(super) y: f64,
    pub(super) value: f64,
    pub(super) at: String,
    /// Whether it has a place in the picture; the table has all.
    pub(super) is_drawn: bool,
}

impl Plot {
    pub(super) fn of(evidence: &Evidence, series: &[AlarmSeries], decided: Timestamp) -> Self {
        let said: Vec<AlarmSeries> = match series {
            [] => said(&evidence.alarm.reason).into_iter().collect(),
            series => series.to_vec(),
        };
        let suspects = evidence.case.iter().flat_map(|case| &case.suspects).take(DEPLOYS_MAX);
        let mut deploys: Vec<_> =
            suspects.map(|one| (one.watch.from, one.watch.execution, one.watch.pipeline.to_string())).collect();
        if !deploys.iter().any(|(_, execution, _)| *execution == evidence.execution) {
            deploys.push((evidence.from, evidence.execution, String::new()));
        }
        let moments = deploys.iter().map(|(at, ..)| *at).chain([evidence.alarm.since, evidence.from, decided]);
        let scale = Scale::around(moments, &said);
        let metrics: Vec<_> = (0..).zip(&said).map(|(place, one)| MetricPlot::of(one, place * BELOW, &scale)).collect();
        Self {
            watch: (scale.x(evidence.from), scale.x(evidence.until)),
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
            shift: metrics.last().map_or(0, |last| last.shift),
            metrics,
            told: match evidence.sighted() {
                Some(seen) => format!(
                    "Metrics {} got worse at {:.0}, after execution {} had entered the stage: {}. Judged at {:.0}.",
                    alarm_name(&evidence.alarm.arn),
                    seen.worse_since.unwrap_or(evidence.alarm.since),
                    short(evidence.execution),
                    evidence.reason,
                    decided
                ),
                None => format!(
                    "Alarm {} was {} when execution {} entered the stage, is {} since {:.0}, and was judged at {:.0}.",
                    alarm_name(&evidence.alarm.arn),
                    evidence.state_at_entry,
                    short(evidence.execution),
                    evidence.alarm.state,
                    evidence.alarm.since,
                    decided
                ),
            },
        }
    }
}

impl MetricPlot {
    fn of(series: &AlarmSeries, shift: i64, scale: &Scale) -> Self {
        let instant = |second: i64| Timestamp::from_second(second).unwrap_or_default();
        let drawn = series.points.iter().filter(|(at, _)| scale.holds(instant(*at)));
        let values = drawn.map(|(_, value)| *value).chain(series.threshold).map(Measure::get);
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if low.is_finite() { (low, high) } else { (0.0, 0.0) };
        let range = if high > low { high - low } else { 1.0 };
        let level = |value: f64| Level { value, y: BOTTOM - (value - low) / range * (BOTTOM - TOP) + shift as f64 };
        let point = |(second, value): &(i64, Measure)| {
            let (at, Level { value, y }) = (instant(*second), level(value.get()));
            let at_text = at.strftime("%-d %b, %H:%M:%S").to_string();
            Point { x: scale.x(at), y, value, at: at_text, is_drawn: scale.holds(at) }
        };
        let points: Vec<Point> = series.points.iter().map(point).collect();
        let period = span(SignedDuration::from_secs(series.period_seconds.into()));
        Self {
            line: line(series, &points),
            label: series.label.clone(),
            each: match (series.period_seconds, series.folded, series.low_is_bad) {
                (0, ..) => String::new(),
                (_, 1, _) => format!("each {period}"),
                (_, folded, true) => format!("the lowest of each {folded} periods of {period}"),
                (_, folded, false) => format!("the highest of each {folded} periods of {period}"),
            },
            threshold: series.threshold.map(|threshold| level(threshold.get())),
            low: level(low),
            high: level(high),
            points,
            shift,
        }
    }

    /// Whether the highest that is drawn is above the lowest.
    pub(super) fn has_range(&self) -> bool {
        self.high.value > self.low.value
    }
}

/// The path through the points that are drawn; a period that lacks leaves a gap, since nothing is known of it.
fn line(series: &AlarmSeries, points: &[Point]) -> String {
    let most = i64::from(series.period_seconds) * i64::from(series.folded) * 2;
    let (mut path, mut before) = (String::new(), None);
    for ((at, _), point) in series.points.iter().zip(points).filter(|(_, point)| point.is_drawn) {
        let verb = if before.is_some_and(|before| at - before < most) { 'L' } else { 'M' };
        // Text always has room.
        let _ = write!(path, "{verb}{} {:.1}", point.x, point.y);
        before = Some(at);
    }
    path
}

struct Scale {
    from: Timestamp,
    to: Timestamp,
}

impl Scale {
    /// A scale that holds the moments, with some air; before them, with some of what is known of the metrics.
    fn around(moments: impl Iterator<Item = Timestamp>, series: &[AlarmSeries]) -> Self {
        let moments: Vec<Timestamp> = moments.collect();
        let from = moments.iter().min().copied().unwrap_or_default();
        let to = moments.iter().max().copied().unwrap_or_default();
        let air = (to.duration_since(from) / 10).max(SignedDuration::from_millis(500));
        let start = from.checked_sub(air).unwrap_or(from);
        let known = series.iter().filter_map(|one| Some((one, Timestamp::from_second(one.points.first()?.0).ok()?)));
        let before = known.map(|(one, first)| {
            let periods = i64::from(one.period_seconds) * i64::from(one.folded) * PERIODS_BEFORE;
            let least = SignedDuration::from_secs(periods).max(to.duration_since(from) / 2);
            from.checked_sub(least).unwrap_or(from).max(first)
        });
        let from = before.min().map_or(start, |before| before.min(start));
        // What is latest is not at the edge.
        let air = air.max(to.duration_since(from) / 16);
        Self { from, to: to.checked_add(air).unwrap_or(to) }
    }

    fn holds(&self, at: Timestamp) -> bool {
        (self.from..=self.to).contains(&at)
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

/// What an alarm says of its metric: CloudWatch's `[5.0 (27/11/26 00:31:00), 7.0 (27/11/26 00:32:00)] ... threshold (0.0)`.
fn said(reason: &str) -> Option<AlarmSeries> {
    let (_, rest) = reason.split_once('[')?;
    let (list, rest) = rest.split_once(']')?;
    let (_, rest) = rest.split_once("threshold (")?;
    let threshold = rest.split_once(')')?.0.parse().ok().and_then(Measure::new)?;
    let point = |text: &str| {
        let (value, at) = text.trim().split_once(" (")?;
        let at = DateTime::strptime("%d/%m/%y %H:%M:%S", at.trim_end_matches(')')).ok()?;
        let at = at.to_zoned(TimeZone::UTC).ok()?.timestamp();
        Some((at, value.parse().ok().filter(|value: &f64| value.is_finite())?))
    };
    let points: Vec<_> = list.split("),").take(POINTS_MAX).map(point).collect::<Option<_>>()?;
    AlarmSeries::of("As the alarm said", 0, Some(threshold.get()), false, points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_from_the_alarms_own_words_or_not_at_all() {
        let said = "Threshold Crossed: 2 out of the last 2 datapoints [5.0 (27/11/26 00:31:00), 7.5 (27/11/26 00:30:00)] \
                    were greater than the threshold (0.5) (minimum 1 datapoint for OK -> ALARM transition).";
        let series = super::said(said).unwrap();
        let kept: Vec<_> = series.points.iter().map(|(at, value)| (*at, value.get())).collect();
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        assert_eq!(kept, [(at("2026-11-27T00:30:00Z"), 7.5), (at("2026-11-27T00:31:00Z"), 5.0)]);
        assert_eq!(series.threshold.map(Measure::get), Some(0.5));
        for other in [
            "Customers see errors",
            "[",
            "[x] threshold (1)",
            "[1.0 (27/11/26 00:31:00)] threshold (x)",
            "[inf (27/11/26 00:31:00)] threshold (1)",
        ] {
            assert!(super::said(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_scale_holds_every_moment() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let scale = Scale::around([at(100), at(200)].into_iter(), &[]);
        assert!(scale.x(at(100)) > LEFT && scale.x(at(200)) < RIGHT);
        assert_eq!((scale.x(at(0)), scale.x(at(1000))), (LEFT, RIGHT));
        assert_eq!(scale.ticks().len(), 5);
        let one = Scale::around([at(100)].into_iter(), &[]);
        assert_eq!(one.x(at(100)), (LEFT + RIGHT) / 2);
    }

    #[test]
    fn a_metric_is_a_line_with_gaps_where_periods_lack() {
        let at = |minute: i64| Timestamp::from_second(60 * minute).unwrap();
        let points = [0, 90, 91, 92, 95, 96].map(|minute| (at(minute), if minute == 96 { 9.0 } else { 1.0 }));
        let series = AlarmSeries::of("Errors", 60, Some(5.0), false, points).unwrap();
        let scale = Scale::around([at(95), at(96)].into_iter(), std::slice::from_ref(&series));
        let plot = MetricPlot::of(&series, BELOW, &scale);
        // Ten periods before the first moment: the first point is far beyond.
        let drawn: Vec<bool> = plot.points.iter().map(|point| point.is_drawn).collect();
        assert_eq!(drawn, [false, true, true, true, true, true]);
        assert_eq!((plot.line.matches('M').count(), plot.line.matches('L').count()), (2, 3), "{}", plot.line);
        assert_eq!((plot.low.y, plot.high.y), (BOTTOM + 96.0, TOP + 96.0));
        assert_eq!(plot.threshold.map(|level| level.y), Some((BOTTOM + TOP) / 2.0 + 96.0));
        let flat = AlarmSeries::of("Errors", 60, None, false, points[1..3].to_vec()).unwrap();
        assert!(!MetricPlot::of(&flat, 0, &scale).has_range());
    }
}
