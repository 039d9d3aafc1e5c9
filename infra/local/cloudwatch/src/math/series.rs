//! Time series and what functions and operators make of their points. Pure.

use std::collections::BTreeMap;

use jiff::{Timestamp, Zoned, tz::TimeZone};

use super::tree::{Calendar, Each, Operator, Over};

/// Values over time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// What people call it.
    pub(crate) label: String,
    /// Start of the period in seconds, and the value; oldest first, every value finite.
    points: Vec<(i64, f64)>,
}

/// What the gaps of a series are filled with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Filling<'a> {
    /// The value before.
    Repeat,
    /// A line between the values before and after.
    Linear,
    /// A number.
    Number(f64),
    /// The value of another series at that time.
    Series(&'a Series),
}

impl Series {
    /// A series of these points, oldest first. One that is not finite is no point: what divides by zero is dropped.
    pub(crate) fn new(label: &str, points: impl IntoIterator<Item = (i64, f64)>) -> Self {
        // Adding 0 makes 0 of -0, which nobody wants to read.
        let points =
            points.into_iter().filter(|(_, value)| value.is_finite()).map(|(at, value)| (at, value + 0.0)).collect();
        Self { label: label.to_owned(), points }
    }

    /// The same under another label.
    pub(crate) fn labelled(self, label: &str) -> Self {
        Self { label: label.to_owned(), ..self }
    }

    /// Start of the period in seconds, and the value; oldest first.
    pub(crate) fn points(&self) -> &[(i64, f64)] {
        &self.points
    }

    /// A series of the same times with other values.
    pub(crate) fn map(&self, value: impl Fn(f64) -> f64) -> Self {
        Self::new(&self.label, self.points.iter().map(|(at, before)| (*at, value(*before))))
    }

    /// A series of the times that either has; `None` drops the point.
    pub(crate) fn joined(&self, other: &Self, value: impl Fn(Option<f64>, Option<f64>) -> Option<f64>) -> Self {
        let mut both: BTreeMap<i64, (Option<f64>, Option<f64>)> =
            self.points.iter().map(|(at, value)| (*at, (Some(*value), None))).collect();
        for (at, value) in &other.points {
            both.entry(*at).or_default().1 = Some(*value);
        }
        Self::new(&self.label, both.into_iter().filter_map(|(at, (left, right))| Some((at, value(left, right)?))))
    }

    /// The value at a time.
    pub(crate) fn at(&self, time: i64) -> Option<f64> {
        self.points.binary_search_by_key(&time, |(at, _)| *at).ok().map(|index| self.points[index].1)
    }

    /// The series with values for those of `times` that have none.
    pub(crate) fn filled(&self, filling: Filling<'_>, times: impl Iterator<Item = i64>) -> Self {
        let gaps = times.filter(|time| self.at(*time).is_none());
        let mut points: Vec<(i64, f64)> =
            gaps.filter_map(|time| Some((time, self.between(filling, time)?))).chain(self.points.clone()).collect();
        points.sort_by_key(|(at, _)| *at);
        Self::new(&self.label, points)
    }

    fn between(&self, filling: Filling<'_>, time: i64) -> Option<f64> {
        let index = self.points.partition_point(|(at, _)| *at < time);
        let before = index.checked_sub(1).and_then(|index| self.points.get(index));
        match filling {
            Filling::Number(number) => Some(number),
            Filling::Series(series) => series.at(time),
            Filling::Repeat => before.map(|(_, value)| *value),
            Filling::Linear => {
                let ((start, from), (end, to)) = (before?, self.points.get(index)?);
                Some(from + (to - from) * seconds(time - start) / seconds(end - start))
            }
        }
    }

    /// The points with those before them: what `value` makes of the seconds between, the value before and the value.
    fn steps(&self, value: impl Fn(f64, f64, f64) -> f64) -> Self {
        let pairs = self.points.iter().zip(self.points.iter().skip(1));
        Self::new(&self.label, pairs.map(|((before, old), (at, new))| (*at, value(seconds(at - before), *old, *new))))
    }
}

impl Each {
    /// What becomes of a series.
    pub(crate) fn of(self, series: &Series) -> Series {
        match self {
            Each::Abs => series.map(f64::abs),
            Each::Ceil => series.map(f64::ceil),
            Each::Floor => series.map(f64::floor),
            Each::Log => series.map(f64::ln),
            Each::Log10 => series.map(f64::log10),
            Each::Diff => series.steps(|_, old, new| new - old),
            Each::DiffTime => series.steps(|elapsed, _, _| elapsed),
            Each::Rate => series.steps(|elapsed, old, new| (new - old) / elapsed),
            Each::RunningSum => {
                let sums = series.points.iter().scan(0.0, |sum, (at, value)| {
                    *sum += value;
                    Some((*at, *sum))
                });
                Series::new(&series.label, sums)
            }
        }
    }
}

impl Over {
    /// What one series comes to; not a number if there is no answer. `periods` is how many points it could have: an average
    /// counts the missing ones as 0, as AWS documents.
    pub(crate) fn of(self, series: &Series, periods: usize) -> f64 {
        let values: Vec<f64> = series.points.iter().map(|(_, value)| *value).collect();
        self.over(&values, periods.max(values.len()))
    }

    /// What several series come to at each time that one of them has.
    pub(crate) fn across(self, all: &[Series]) -> Series {
        let mut values: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        for (at, value) in all.iter().flat_map(Series::points) {
            values.entry(*at).or_default().push(*value);
        }
        Series::new("", values.into_iter().map(|(at, values)| (at, self.over(&values, all.len()))))
    }

    fn over(self, values: &[f64], places: usize) -> f64 {
        let sum = || values.iter().sum::<f64>();
        match self {
            Over::Avg => sum() / count(places),
            Over::DatapointCount => count(values.len()),
            Over::Max => values.iter().copied().fold(f64::NAN, f64::max),
            Over::Min => values.iter().copied().fold(f64::NAN, f64::min),
            Over::Sum => sum(),
            Over::Stddev => {
                let mean = sum() / count(values.len());
                let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
                (squares / count(values.len())).sqrt()
            }
        }
    }
}

impl Calendar {
    /// The part of a moment, in UTC: days of the week count from Monday, 1.
    pub(crate) fn of(self, second: i64) -> Option<f64> {
        let at: Zoned = Timestamp::from_second(second).ok()?.to_zoned(TimeZone::UTC);
        Some(match self {
            Calendar::Minute => f64::from(at.minute()),
            Calendar::Hour => f64::from(at.hour()),
            Calendar::Day => f64::from(at.weekday().to_monday_one_offset()),
            Calendar::Date => f64::from(at.day()),
            Calendar::Month => f64::from(at.month()),
            Calendar::Year => f64::from(at.year()),
            Calendar::Epoch => seconds(second),
        })
    }
}

impl Operator {
    /// The value of two; not a number where there is none, such as of a division by zero.
    pub(crate) fn of(self, left: f64, right: f64) -> f64 {
        if left.is_nan() || right.is_nan() {
            return f64::NAN;
        }
        let truth = |holds: bool| if holds { 1.0 } else { 0.0 };
        let value = match self {
            Operator::Or => truth(left != 0.0 || right != 0.0),
            Operator::And => truth(left != 0.0 && right != 0.0),
            Operator::Equal => truth(left == right),
            Operator::NotEqual => truth(left != right),
            Operator::AtMost => truth(left <= right),
            Operator::AtLeast => truth(left >= right),
            Operator::Less => truth(left < right),
            Operator::Greater => truth(left > right),
            Operator::Add => left + right,
            Operator::Subtract => left - right,
            Operator::Multiply => left * right,
            Operator::Divide => left / right,
            Operator::Power => left.powf(right),
        };
        if value.is_finite() { value } else { f64::NAN }
    }

    /// Whether it computes, and does not compare or combine truths.
    pub(crate) fn is_arithmetic(self) -> bool {
        use Operator::{Add, Divide, Multiply, Power, Subtract};
        matches!(self, Add | Subtract | Multiply | Divide | Power)
    }
}

/// A span of time or a moment as a number; exact for any that a timestamp holds.
fn seconds(seconds: i64) -> f64 {
    seconds as f64
}

/// A count of things in memory as a number.
pub(super) fn count(things: usize) -> f64 {
    things as f64
}
