//! Metrics of what is deployed: bad while the page of a pipeline is a release that does harm.

use std::collections::BTreeMap;

use domain::{MetricQuery, MetricSource, Points};
use jiff::Timestamp;

/// A metric while all is well, and how far it varies by itself.
const CALM: f64 = 100.0;
const VARIES: i64 = 11;
/// So many times as much otherwise.
const HARM: f64 = 3.0;
/// One of so many releases does harm.
const HARMFUL: usize = 2;

/// Each page by its key: what it was since when, and whether that does harm.
#[derive(Default)]
pub(crate) struct Metrics(BTreeMap<String, Vec<(Timestamp, bool)>>);

impl Metrics {
    /// A page is this from now on.
    pub(crate) fn deployed(&mut self, page: &str, body: &[u8], at: Timestamp) {
        let is_harmful = body.iter().map(|byte| usize::from(*byte)).sum::<usize>() % HARMFUL == 0;
        self.0.entry(page.to_owned()).or_default().push((at, is_harmful));
    }

    /// The whole periods between two times of a metric, which has the name of a page.
    pub(crate) fn points(&self, query: &MetricQuery, since: Timestamp, until: Timestamp) -> Points {
        let MetricSource::Statistic(metric) = &query.source else { return Points::new() };
        let period = i64::from(query.period_seconds);
        let page = self.0.get(&metric.metric).map(Vec::as_slice).unwrap_or_default();
        let value = |begin: i64| {
            let live = page.iter().rev().find(|(at, _)| at.as_second() <= begin);
            let varied = CALM + (begin / period * 7 % VARIES) as f64;
            if live.is_some_and(|(_, is_harmful)| *is_harmful) { varied * HARM } else { varied }
        };
        // As CloudWatch does: from the beginning that was asked for.
        let begins = (since.as_second()..).step_by(usize::try_from(period).unwrap_or(1));
        begins.take_while(|begin| begin + period <= until.as_second()).map(|begin| (begin, value(begin))).collect()
    }
}
