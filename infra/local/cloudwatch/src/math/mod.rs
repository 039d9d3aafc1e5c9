//! Metric math: expressions of a request over its metrics and over each other. Pure.

mod evaluate;
mod parse;
mod series;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use self::evaluate::{Budget, Context};
pub(crate) use self::{series::Series, tree::Expr};

/// What a query has found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A number: part of an expression, never its result.
    Scalar(f64),
    /// A time series.
    Series(Series),
    /// An array of time series.
    Array(Vec<Series>),
}

/// A metric of the request.
#[derive(Debug, Clone)]
pub(crate) struct Metric {
    /// Id of its query.
    pub(crate) id: String,
    /// Seconds from one of its points to the next.
    pub(crate) period_s: i64,
    /// Its data.
    pub(crate) series: Series,
}

/// An expression of the request.
#[derive(Debug, Clone)]
pub(crate) struct Expression {
    /// Id of its query.
    pub(crate) id: String,
    /// Label for what comes out.
    pub(crate) label: String,
    /// The period that its query asks for, in seconds.
    pub(crate) period_s: Option<i64>,
    /// What to compute.
    pub(crate) expr: Expr,
}

/// The time that a request asks about, in seconds: from `start_s`, before `end_s`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// The first moment.
    pub(crate) start_s: i64,
    /// The moment after the last one.
    pub(crate) end_s: i64,
}

impl Window {
    /// How many periods begin in it, and with the first.
    fn periods(self, period_s: i64) -> usize {
        let length = self.end_s - self.first(period_s);
        usize::try_from(length.div_euclid(period_s) + i64::from(length.rem_euclid(period_s) > 0)).unwrap_or(0)
    }

    /// When they begin.
    fn times(self, period_s: i64) -> impl Iterator<Item = i64> {
        let first = self.first(period_s);
        (0..).map(move |index| first + index * period_s).take(self.periods(period_s))
    }

    /// When the first period begins, from which the others are counted: as AWS documents with the whole minute that the start lies
    /// in, wherever the clock would begin a longer one; a period of some seconds begins with a division of the minute.
    pub(crate) fn first(self, period_s: i64) -> i64 {
        self.start_s - self.start_s.rem_euclid(period_s.min(60))
    }
}

/// What every expression comes to, by its id: a series, or an array of them.
///
/// # Errors
/// A sentence about an expression that has no value: ids that are unknown or form a circle, values of the wrong type, periods
/// that do not fit together, more data than one request may touch.
pub(crate) fn compute(
    metrics: &[Metric],
    expressions: &[Expression],
    window: Window,
) -> Result<BTreeMap<String, Value>, String> {
    let budget = Budget::default();
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    let mut periods: BTreeMap<&str, i64> = BTreeMap::new();
    for metric in metrics {
        found.insert(metric.id.clone(), Value::Series(metric.series.clone()));
        periods.insert(&metric.id, metric.period_s);
        budget.spend(metric.series.points().len())?;
    }
    for expression in in_order(metrics, expressions)? {
        let period_s = period(expression, metrics, &periods)?;
        let context = Context { found: &found, metrics, window, period_s, budget: &budget };
        let value = context.value(&expression.expr).map_err(|problem| about(&expression.id, &problem))?;
        let value = match value {
            Value::Scalar(_) => {
                let problem = "its result is a number, but must be a time series; TIME_SERIES makes one of a number.";
                return Err(about(&expression.id, problem));
            }
            Value::Series(series) => Value::Series(series.labelled(&expression.label)),
            Value::Array(_) => value,
        };
        found.insert(expression.id.clone(), value);
        periods.insert(&expression.id, period_s);
    }
    found.retain(|id, _| expressions.iter().any(|expression| expression.id == *id));
    Ok(found)
}

/// A sentence about what is wrong with the expression of that id.
pub(crate) fn about(id: &str, problem: &str) -> String {
    format!("Error in expression '{id}': {problem}")
}

/// The period of what an expression computes with. AWS does not say what becomes of several, so they are refused.
fn period(expression: &Expression, metrics: &[Metric], known: &BTreeMap<&str, i64>) -> Result<i64, String> {
    let ids = expression.expr.ids();
    let of_ids = ids.iter().filter_map(|id| known.get(id).copied());
    let of_metrics =
        metrics.iter().filter(|metric| expression.expr.takes_metric(&metric.id)).map(|metric| metric.period_s);
    let mut periods: BTreeSet<i64> = of_ids.chain(of_metrics).chain(expression.period_s).collect();
    if periods.is_empty() {
        // An expression of numbers alone stands beside the metrics of the request.
        periods.extend(metrics.iter().map(|metric| metric.period_s));
    }
    let mut all = periods.iter();
    match (all.next(), all.next()) {
        (Some(period_s), None) => Ok(*period_s),
        (None, _) => Err(about(&expression.id, "nothing says which Period it has; give its query one.")),
        (Some(one), Some(other)) => {
            let problem = format!(
                "periods of {one} and {other} seconds do not go together here; give everything in it the same Period."
            );
            Err(about(&expression.id, &problem))
        }
    }
}

/// The expressions, each after those that it refers to.
fn in_order<'a>(metrics: &[Metric], expressions: &'a [Expression]) -> Result<Vec<&'a Expression>, String> {
    let mut order = Order {
        metrics: metrics.iter().map(|metric| metric.id.as_str()).collect(),
        expressions: expressions.iter().map(|expression| (expression.id.as_str(), expression)).collect(),
        path: Vec::new(),
        done: BTreeSet::new(),
        sorted: Vec::new(),
    };
    for expression in expressions {
        order.place(expression)?;
    }
    Ok(order.sorted)
}

struct Order<'a, 'm> {
    metrics: BTreeSet<&'m str>,
    expressions: BTreeMap<&'a str, &'a Expression>,
    /// What is being placed, each referring to the next.
    path: Vec<&'a str>,
    done: BTreeSet<&'a str>,
    sorted: Vec<&'a Expression>,
}

impl<'a> Order<'a, '_> {
    /// Goes as deep as a chain of references is long: at most as many as a request has queries.
    fn place(&mut self, expression: &'a Expression) -> Result<(), String> {
        if self.done.contains(expression.id.as_str()) {
            return Ok(());
        }
        if let Some(start) = self.path.iter().position(|id| *id == expression.id) {
            let circle = [&self.path[start..], &[expression.id.as_str()]].concat().join(" -> ");
            return Err(about(&expression.id, &format!("it depends on itself: {circle}.")));
        }
        self.path.push(&expression.id);
        for id in expression.expr.ids() {
            match self.expressions.get(id) {
                Some(needed) => self.place(needed)?,
                None if self.metrics.contains(id) => {}
                None => return Err(about(&expression.id, &format!("no query of the request has the Id {id}."))),
            }
        }
        self.path.pop();
        self.done.insert(&expression.id);
        self.sorted.push(expression);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
