//! The decision of a metric alarm: which state its datapoints ask for. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// State of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// The condition does not hold.
    #[serde(rename = "OK")]
    Ok,
    /// The condition holds.
    #[serde(rename = "ALARM")]
    Alarm,
    /// Too little is known.
    #[serde(rename = "INSUFFICIENT_DATA")]
    InsufficientData,
}

impl State {
    /// The word on every wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            State::Ok => "OK",
            State::Alarm => "ALARM",
            State::InsufficientData => "INSUFFICIENT_DATA",
        }
    }

    /// Reads the word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [State::Ok, State::Alarm, State::InsufficientData].into_iter().find(|state| state.as_str() == word)
    }
}

/// How a datapoint is compared with the threshold.
#[expect(clippy::enum_variant_names, reason = "the names are the words on the wire")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Comparison {
    /// `>=`
    GreaterThanOrEqualToThreshold,
    /// `>`
    GreaterThanThreshold,
    /// `<`
    LessThanThreshold,
    /// `<=`
    LessThanOrEqualToThreshold,
}

impl Comparison {
    /// Whether `value` breaches `threshold`.
    pub(crate) fn breaches(self, value: f64, threshold: f64) -> bool {
        match self {
            Comparison::GreaterThanOrEqualToThreshold => value >= threshold,
            Comparison::GreaterThanThreshold => value > threshold,
            Comparison::LessThanThreshold => value < threshold,
            Comparison::LessThanOrEqualToThreshold => value <= threshold,
        }
    }

    /// The words between "was" and "the threshold" in a state reason.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Comparison::GreaterThanOrEqualToThreshold => "greater than or equal to",
            Comparison::GreaterThanThreshold => "greater than",
            Comparison::LessThanThreshold => "less than",
            Comparison::LessThanOrEqualToThreshold => "less than or equal to",
        }
    }
}

/// What a period without data means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum MissingData {
    /// Nothing is known about that period.
    #[default]
    Missing,
    /// The state stays what it is.
    Ignore,
    /// It counts as breaching.
    Breaching,
    /// It counts as not breaching.
    NotBreaching,
}

/// The condition of a metric alarm.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    /// N: how many datapoints are looked at.
    pub(crate) evaluation_periods: usize,
    /// M: how many of them must breach.
    pub(crate) datapoints_to_alarm: usize,
    /// What they are compared with.
    pub(crate) threshold: f64,
    /// How.
    pub(crate) comparison: Comparison,
    /// What gaps mean.
    pub(crate) missing: MissingData,
}

/// The statistic of one period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Datapoint {
    /// Start of the period.
    pub(crate) at: Timestamp,
    /// The statistic's value.
    pub(crate) value: f64,
    /// How many samples it is made of.
    pub(crate) samples: f64,
}

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Evaluation {
    /// The state asked for; `None` keeps the state there is.
    pub(crate) state: Option<State>,
    /// The datapoints the answer rests on, oldest first.
    pub(crate) datapoints: Vec<Datapoint>,
    /// How many gaps had to be filled.
    pub(crate) filled: usize,
}

/// How many periods beyond N are searched for datapoints when some are missing: CloudWatch's published examples show five
/// periods searched for N = 3.
const EXTRA_PERIODS: usize = 2;

/// How many periods, ending at the newest complete one, an evaluation looks at.
pub(crate) fn evaluation_range(condition: &Condition) -> usize {
    condition.evaluation_periods + EXTRA_PERIODS
}

/// Decides the state from `range`: one entry per period of the evaluation range, oldest first, `None` where no data came.
///
/// The newest N datapoints that exist decide; only when fewer than N exist in the whole range are gaps filled, as
/// [`MissingData`] says. The rules are CloudWatch's published tables for missing data.
pub(crate) fn evaluate(condition: &Condition, range: &[Option<Datapoint>]) -> Evaluation {
    let periods = condition.evaluation_periods;
    let mut datapoints: Vec<Datapoint> = range.iter().rev().flatten().copied().take(periods).collect();
    datapoints.reverse();
    let filled = periods - datapoints.len();
    let breaching = datapoints.iter().filter(|point| breaches(condition, point)).count();
    let enough = |count: usize| count >= condition.datapoints_to_alarm;
    let decided = |alarm: bool| Some(if alarm { State::Alarm } else { State::Ok });
    let state = match condition.missing {
        _ if filled == 0 || enough(breaching) => decided(enough(breaching)),
        MissingData::Breaching => decided(enough(breaching + filled)),
        MissingData::NotBreaching => decided(false),
        _ if breaching < datapoints.len() => decided(false),
        MissingData::Missing if datapoints.is_empty() => Some(State::InsufficientData),
        MissingData::Missing if enough(oldest_age(range)) => decided(true),
        // Breaching, but too few and too young: a premature alarm is what the range exists to avoid.
        MissingData::Missing | MissingData::Ignore => None,
    };
    Evaluation { state, datapoints, filled }
}

/// Whether `point` breaches the condition's threshold.
pub(crate) fn breaches(condition: &Condition, point: &Datapoint) -> bool {
    condition.comparison.breaches(point.value, condition.threshold)
}

/// How many periods ago, the newest being 1, the oldest datapoint is.
fn oldest_age(range: &[Option<Datapoint>]) -> usize {
    range.iter().position(Option::is_some).map_or(0, |index| range.len() - index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `X` breaches, `0` does not, `-` is missing; oldest first.
    fn decide(m: usize, n: usize, missing: MissingData, range: &str) -> Option<State> {
        let condition = Condition {
            evaluation_periods: n,
            datapoints_to_alarm: m,
            threshold: 1.0,
            comparison: Comparison::GreaterThanThreshold,
            missing,
        };
        let point = |value| Some(Datapoint { at: Timestamp::UNIX_EPOCH, value, samples: 1.0 });
        let range: Vec<_> = range
            .split(' ')
            .map(|period| match period {
                "X" => point(2.0),
                "0" => point(0.0),
                _ => None,
            })
            .collect();
        evaluate(&condition, &range).state
    }

    const OK: Option<State> = Some(State::Ok);
    const ALARM: Option<State> = Some(State::Alarm);
    const UNKNOWN: Option<State> = Some(State::InsufficientData);
    const SAME: Option<State> = None;

    fn check(m: usize, n: usize, rows: &[(&str, [Option<State>; 4])]) {
        let treatments = [MissingData::Missing, MissingData::Ignore, MissingData::Breaching, MissingData::NotBreaching];
        for (range, expected) in rows {
            for (missing, expected) in treatments.into_iter().zip(expected) {
                assert_eq!(decide(m, n, missing, range), *expected, "{m} of {n}, {missing:?}: {range}");
            }
        }
    }

    #[test]
    fn three_of_three() {
        check(
            3,
            3,
            &[
                ("0 - X - X", [OK, OK, OK, OK]),
                ("0 - - - -", [OK, OK, OK, OK]),
                ("- - - - -", [UNKNOWN, SAME, ALARM, OK]),
                ("0 X X - X", [ALARM, ALARM, ALARM, ALARM]),
                ("- - X - -", [ALARM, SAME, ALARM, OK]),
                ("- - - - X", [SAME, SAME, ALARM, OK]),
            ],
        );
    }

    #[test]
    fn two_of_three() {
        check(
            2,
            3,
            &[
                ("0 - X - X", [ALARM, ALARM, ALARM, ALARM]),
                ("0 0 X 0 X", [ALARM, ALARM, ALARM, ALARM]),
                ("0 - X - -", [OK, OK, ALARM, OK]),
                ("- - - - 0", [OK, OK, ALARM, OK]),
                ("- - - X -", [ALARM, SAME, ALARM, OK]),
            ],
        );
    }

    #[test]
    fn one_of_one() {
        check(
            1,
            1,
            &[
                ("X - 0", [OK, OK, OK, OK]),
                ("0 0 X", [ALARM, ALARM, ALARM, ALARM]),
                ("X - -", [ALARM, ALARM, ALARM, ALARM]),
                ("- - -", [UNKNOWN, SAME, ALARM, OK]),
            ],
        );
    }

    #[test]
    fn comparisons_at_the_threshold() {
        use Comparison::*;
        let rows = [
            (GreaterThanOrEqualToThreshold, [false, true, true]),
            (GreaterThanThreshold, [false, false, true]),
            (LessThanThreshold, [true, false, false]),
            (LessThanOrEqualToThreshold, [true, true, false]),
        ];
        for (comparison, expected) in rows {
            assert_eq!([0.0, 1.0, 2.0].map(|value| comparison.breaches(value, 1.0)), expected);
        }
    }
}
