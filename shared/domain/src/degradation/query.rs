//! What CloudWatch is asked.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Group, MetricRule};

/// Values by the beginning of their period, in seconds since 1970.
pub type Points = BTreeMap<i64, f64>;

/// One series of points.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricQuery {
    /// Time between points in seconds.
    pub period_seconds: u32,
    /// What the points are of.
    pub source: MetricSource,
}

/// A metric, or metric math.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetricSource {
    /// A metric.
    Statistic(MetricStatistic),
    /// An expression of CloudWatch's metric math over metrics by their names in it.
    Math {
        /// The expression.
        expression: String,
        /// Its metrics.
        metrics: BTreeMap<String, MetricStatistic>,
    },
}

/// A metric with its statistic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MetricStatistic {
    /// Such as `AWS/Lambda`.
    pub namespace: String,
    /// Such as `Errors`.
    pub metric: String,
    /// Values by name.
    pub dimensions: BTreeMap<String, String>,
    /// Such as `Sum` or `p90`.
    pub statistic: String,
}

/// An entry of a request of GetMetricData.
#[derive(Debug, PartialEq, Eq)]
pub enum MetricAsked<'a> {
    /// A metric.
    Metric {
        /// What it is called in this request.
        id: String,
        /// What is asked for.
        metric: &'a MetricStatistic,
        /// Whether its points are wanted, or only those of an expression that has it.
        is_wanted: bool,
    },
    /// An expression over metrics by their ids, which all are entries of the same request.
    Expression {
        /// What its points are called in this request.
        id: String,
        /// The expression.
        expression: String,
    },
}

impl<'a> MetricAsked<'a> {
    /// What asks for `queries`, each by its place, in one request. A metric of an expression that is asked for already, by
    /// itself or in another expression, is no further entry: each is billed.
    pub fn together(queries: &[(usize, &'a MetricQuery)]) -> Vec<Self> {
        let mut ids: BTreeMap<(u32, &MetricStatistic), String> = BTreeMap::new();
        let mut asked = Vec::new();
        for (place, query) in queries {
            if let MetricSource::Statistic(metric) = &query.source {
                let id = MetricQuery::id(*place);
                ids.insert((query.period_seconds, metric), id.clone());
                asked.push(Self::Metric { id, metric, is_wanted: true });
            }
        }
        for (place, query) in queries {
            let MetricSource::Math { expression, metrics } = &query.source else { continue };
            let whole = MetricQuery::id(*place);
            let mut renamed = BTreeMap::new();
            for (name, metric) in metrics {
                let id = ids.entry((query.period_seconds, metric)).or_insert_with(|| {
                    let id = format!("{whole}_{name}");
                    asked.push(Self::Metric { id: id.clone(), metric, is_wanted: false });
                    id
                });
                renamed.insert(name.as_str(), id.clone());
            }
            let words = words(expression).into_iter();
            let expression = words.map(|word| renamed.get(word).map_or(word, String::as_str)).collect();
            asked.push(Self::Expression { id: whole, expression });
        }
        asked
    }
}

impl MetricQuery {
    /// What the points of the query at `place` are called in a request of several, and in its answer.
    pub fn id(place: usize) -> String {
        format!("q{place}")
    }

    /// Metrics that one request for all of `queries` is billed as.
    pub fn billed<'a>(queries: impl IntoIterator<Item = &'a Self>) -> usize {
        let queries: Vec<(usize, &Self)> = queries.into_iter().enumerate().collect();
        let asked = MetricAsked::together(&queries);
        asked.iter().filter(|one| matches!(one, MetricAsked::Metric { .. })).count()
    }
}

/// The names in an expression of metric math that begin like those of metrics: with a small letter.
pub(super) fn used_names(expression: &str) -> BTreeSet<&str> {
    words(expression).into_iter().filter(|word| word.starts_with(|first: char| first.is_ascii_lowercase())).collect()
}

/// Functions of metric math that read more than the metrics they are given, or come to several series.
const UNBOUND: &[&str] = &[
    "ANOMALY_DETECTION_BAND",
    "DB_PERF_INSIGHTS",
    "INSIGHT_RULE_METRIC",
    "LAMBDA",
    "METRICS",
    "REMOVE_EMPTY",
    "SEARCH",
    "SELECT",
    "SERVICE_QUOTA",
    "SLICE",
    "SORT",
];

/// The first of these in an expression. In small letters it would be the name of a metric.
pub(super) fn unbound_function(expression: &str) -> Option<&str> {
    let is_one = |word: &&str| {
        word.starts_with(|first: char| first.is_ascii_uppercase())
            && UNBOUND.iter().any(|unbound| word.eq_ignore_ascii_case(unbound))
    };
    words(expression).into_iter().find(is_one)
}

/// An expression in pieces: names, quoted texts, and what is between them, which all together are the expression.
fn words(expression: &str) -> Vec<&str> {
    let (mut words, mut rest) = (Vec::new(), expression);
    while let Some(first) = rest.chars().next() {
        let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
        let length = match first {
            '"' | '\'' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            // A number with an exponent is no name.
            _ if first.is_ascii_digit() => rest.find(|char: char| !is_name(char) && char != '.').unwrap_or(rest.len()),
            _ if is_name(first) => rest.find(|char| !is_name(char)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        words.push(word);
        rest = after;
    }
    words
}

impl MetricRule {
    /// Everything that is read for a look, by region; `None` is the rule's own.
    pub fn queries(&self) -> BTreeSet<(Option<&str>, MetricQuery)> {
        let groups = self.metrics.iter().flat_map(|metric| [Some(&metric.own), metric.control.as_ref()]).flatten();
        groups.flat_map(|group| self.queries_of(group)).collect()
    }

    fn queries_of<'a>(&self, group: &'a Group) -> Vec<(Option<&'a str>, MetricQuery)> {
        let sources = std::iter::once(&group.value).chain(&group.requests);
        sources.map(|source| (group.region.as_deref(), self.query(source))).collect()
    }

    pub(super) fn query(&self, source: &MetricSource) -> MetricQuery {
        MetricQuery { period_seconds: self.period_seconds, source: source.clone() }
    }
}
