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

impl MetricSource {
    /// Metrics that a request for it is billed as.
    pub fn metrics(&self) -> usize {
        match self {
            Self::Statistic(_) => 1,
            Self::Math { metrics, .. } => metrics.len().max(1),
        }
    }

    /// Its expression, and its metrics, with every name replaced by what `rename` makes of it, so that it can stand in one
    /// request with others; absent for a metric.
    pub fn renamed(&self, rename: impl Fn(&str) -> String) -> Option<(String, Vec<(String, &MetricStatistic)>)> {
        let Self::Math { expression, metrics } = self else { return None };
        let mut text = String::new();
        for word in words(expression) {
            if metrics.contains_key(word) { text += &rename(word) } else { text += word }
        }
        Some((text, metrics.iter().map(|(name, metric)| (rename(name), metric)).collect()))
    }
}

/// The names in an expression of metric math that begin like those of metrics: with a small letter.
pub(super) fn used_names(expression: &str) -> BTreeSet<&str> {
    words(expression).into_iter().filter(|word| word.starts_with(|first: char| first.is_ascii_lowercase())).collect()
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
