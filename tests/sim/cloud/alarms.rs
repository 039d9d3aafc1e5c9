//! Alarms, and the metrics behind them: a metric of an alarm's name is bad while the alarm is red.

use std::collections::BTreeMap;

use domain::{AlarmState, MetricQuery, MetricSource, Points};
use jiff::Timestamp;

/// A metric while its alarm is not red, and how far it varies by itself.
const CALM: f64 = 100.0;
const VARIES: i64 = 11;
/// So many times as much while it is.
const HARM: f64 = 3.0;

/// What CloudWatch knows: by ARN each state that an alarm has had, and since when.
#[derive(Default)]
pub(crate) struct SimAlarms(BTreeMap<String, Vec<(Timestamp, AlarmState)>>);

impl SimAlarms {
    /// An alarm takes on a state; a new one too.
    pub(crate) fn turn(&mut self, arn: &str, state: AlarmState, at: Timestamp) {
        self.0.entry(arn.to_owned()).or_default().push((at, state));
    }

    /// What an alarm says.
    pub(crate) fn state_of(&self, arn: &str) -> AlarmState {
        self.0.get(arn).and_then(|states| states.last()).map_or(AlarmState::Ok, |(_, state)| *state)
    }

    /// Whatever is red or unknown is fine from now on.
    pub(crate) fn calm_down(&mut self, at: Timestamp) {
        for states in self.0.values_mut().filter(|states| states.last().is_some_and(|of| of.1 != AlarmState::Ok)) {
            states.push((at, AlarmState::Ok));
        }
    }

    /// Each with its state, and since when.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, AlarmState, Timestamp)> {
        self.0.iter().filter_map(|(arn, states)| states.last().map(|(since, state)| (arn, *state, *since)))
    }

    pub(crate) fn is_there(&self, arn: &str) -> bool {
        self.0.contains_key(arn)
    }

    /// The whole periods of a metric between two times.
    pub(crate) fn points(&self, query: &MetricQuery, since: Timestamp, until: Timestamp) -> Points {
        let MetricSource::Statistic(metric) = &query.source else { return Points::new() };
        let period = i64::from(query.period_seconds);
        let named = format!(":alarm:{}", metric.metric);
        let states = self.0.iter().find(|(arn, _)| arn.ends_with(&named)).map(|(_, states)| states.as_slice());
        let value = |begin: i64| {
            let was = |(since, _): &&(Timestamp, AlarmState)| since.as_second() <= begin;
            let last = states.unwrap_or_default().iter().rev().find(was);
            let varied = CALM + (begin / period * 7 % VARIES) as f64;
            if last.is_some_and(|(_, state)| *state == AlarmState::Alarm) { varied * HARM } else { varied }
        };
        let first = since.as_second().div_euclid(period) * period;
        let begins = (first..).step_by(usize::try_from(period).unwrap_or(1));
        begins.take_while(|begin| begin + period <= until.as_second()).map(|begin| (begin, value(begin))).collect()
    }
}
