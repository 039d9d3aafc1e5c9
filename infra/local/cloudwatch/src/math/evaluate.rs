//! The value of one expression. Pure.
//!
//! Types are AWS's: a number (S), a time series (TS), an array of them (TS[]). A combination that AWS's tables of functions do
//! not list is refused. Where one of two series has no point, an operator takes 0 for it, as AWS documents; where neither has,
//! there is none, nor where the result is not a number.

use std::{cell::Cell, collections::BTreeMap};

use super::{
    Metric, Series, Value, Window,
    series::{Filling, count},
    tree::{Expr, Filler, Function, Operator, Over},
};

/// How many points one request may touch, all steps of all expressions counted: some seconds of work, and memory for it.
const POINTS_MAX: usize = 10_000_000;

/// What is left of the points that a request may touch.
#[derive(Debug)]
pub(super) struct Budget {
    left: Cell<usize>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: Cell::new(POINTS_MAX) }
    }
}

impl Budget {
    /// Takes so many.
    ///
    /// # Errors
    /// There are not so many left.
    pub(super) fn spend(&self, points: usize) -> Result<(), String> {
        let left = self.left.get().checked_sub(points).ok_or_else(|| {
            format!(
                "The request computes with more than {POINTS_MAX} datapoints; use longer periods or a shorter range."
            )
        })?;
        self.left.set(left);
        Ok(())
    }
}

/// What an expression may look at.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// Values of the queries before.
    pub(super) found: &'a BTreeMap<String, Value>,
    /// The metrics of the request.
    pub(super) metrics: &'a [Metric],
    /// The time that is asked about.
    pub(super) window: Window,
    /// Seconds from one point to the next.
    pub(super) period_s: i64,
    /// What may still be spent.
    pub(super) budget: &'a Budget,
}

impl Context<'_> {
    /// The value of an expression.
    ///
    /// # Errors
    /// A sentence about a value of the wrong type, or about too many points.
    pub(super) fn value(&self, expr: &Expr) -> Result<Value, String> {
        let value = match expr {
            Expr::Number(number) => Value::Scalar(*number),
            Expr::Id(id) => self.found.get(id).cloned().ok_or_else(|| format!("no query has the Id {id}."))?,
            Expr::Metrics(part) => {
                let wanted = |metric: &&Metric| part.as_ref().is_none_or(|part| metric.id.contains(part));
                Value::Array(self.metrics.iter().filter(wanted).map(|metric| metric.series.clone()).collect())
            }
            Expr::Array(items) => self.array(items)?,
            Expr::Negated(operand) => self.value(operand)?.map(|value| -value),
            Expr::Chain(first, rest) => self.chain(first, rest)?,
            Expr::Fill(filled, filler) => self.fill(filled, filler)?,
            Expr::Call(function, arguments) => self.call(*function, arguments)?,
        };
        self.budget.spend(value.points())?;
        Ok(value)
    }

    fn array(&self, items: &[Expr]) -> Result<Value, String> {
        let mut all = Vec::new();
        for item in items {
            match self.value(item)? {
                Value::Series(series) => all.push(series),
                Value::Array(several) => all.extend(several),
                Value::Scalar(_) => return Err("an array holds time series, not numbers.".to_owned()),
            }
        }
        Ok(Value::Array(all))
    }

    fn chain(&self, first: &Expr, rest: &[(Operator, Expr)]) -> Result<Value, String> {
        let mut left = self.value(first)?;
        for (operator, operand) in rest {
            let right = self.value(operand)?;
            // Each series of an array is joined with the other operand.
            let (lefts, rights) = (left.series_count(), right.series_count());
            self.budget
                .spend(lefts.saturating_mul(right.points()).saturating_add(rights.saturating_mul(left.points())))?;
            left = combined(*operator, left, right)?;
        }
        Ok(left)
    }

    fn fill(&self, filled: &Expr, filler: &Filler) -> Result<Value, String> {
        let filled = self.value(filled)?;
        let value = match filler {
            Filler::Value(value) => Some(self.value(value)?),
            Filler::Repeat | Filler::Linear => None,
        };
        let filling = match (filler, &value) {
            (Filler::Repeat, _) => Filling::Repeat,
            (Filler::Linear, _) => Filling::Linear,
            (_, Some(Value::Scalar(number))) => Filling::Number(*number),
            (_, Some(Value::Series(series))) => Filling::Series(series),
            _ => return Err("FILL fills with a number, a time series, REPEAT or LINEAR.".to_owned()),
        };
        self.budget.spend(filled.series_count().saturating_mul(self.window.periods(self.period_s)))?;
        filled
            .each(|series| series.filled(filling, self.window.times(self.period_s)))
            .ok_or_else(|| wants("FILL", "a time series or an array of them"))
    }

    fn call(&self, function: Function, arguments: &[Expr]) -> Result<Value, String> {
        let name = function.name();
        match (function, arguments) {
            (Function::Each(each), [argument]) => self
                .value(argument)?
                .each(|series| each.of(series))
                .ok_or_else(|| wants(name, "a time series or an array of them")),
            (Function::Over(over), [argument]) => self.over(over, name, argument),
            (Function::Calendar(part), [argument]) => {
                let Value::Series(series) = self.value(argument)? else {
                    return Err(wants(name, "a time series"));
                };
                self.every_period(&series.label, |time| part.of(time))
            }
            (Function::If, [condition, then]) => self.choice(condition, then, None),
            (Function::If, [condition, then, otherwise]) => self.choice(condition, then, Some(otherwise)),
            (Function::MetricCount, [argument]) => match self.value(argument)? {
                Value::Array(all) => Ok(Value::Scalar(count(all.len()))),
                _ => Err(wants(name, "an array of time series")),
            },
            (Function::Period, [argument]) => self.period(argument),
            (Function::TimeSeries, [argument]) => match self.value(argument)? {
                Value::Scalar(number) => self.every_period("", |_| Some(number)),
                _ => Err(wants(name, "a number")),
            },
            // The parser has counted the arguments.
            _ => Err(format!("{name} has the wrong number of arguments.")),
        }
    }

    fn over(&self, over: Over, name: &str, argument: &Expr) -> Result<Value, String> {
        match self.value(argument)? {
            Value::Series(series) => Ok(Value::Scalar(over.of(&series, self.window.periods(self.period_s)))),
            Value::Array(all) => Ok(Value::Series(over.across(&all))),
            Value::Scalar(_) => Err(wants(name, "a time series or an array of them")),
        }
    }

    fn every_period(&self, label: &str, value: impl Fn(i64) -> Option<f64>) -> Result<Value, String> {
        self.budget.spend(self.window.periods(self.period_s))?;
        let times = self.window.times(self.period_s);
        Ok(Value::Series(Series::new(label, times.filter_map(|time| Some((time, value(time)?))))))
    }

    fn period(&self, argument: &Expr) -> Result<Value, String> {
        let metric = match argument {
            Expr::Id(id) => self.metrics.iter().find(|metric| metric.id == *id),
            _ => None,
        };
        // Periods are far below where a float loses whole numbers.
        metric
            .map(|metric| Value::Scalar(metric.period_s as f64))
            .ok_or_else(|| wants("PERIOD", "the id of a metric, not of an expression"))
    }

    /// `IF`. Where the condition has no point, there is none; where it holds and what it chooses has none, it is 0, as AWS
    /// documents; where it does not hold and what it chooses has none, there is none.
    fn choice(&self, condition: &Expr, then: &Expr, otherwise: Option<&Expr>) -> Result<Value, String> {
        let condition = self.value(condition)?;
        let then = self.value(then)?;
        let otherwise = otherwise.map(|otherwise| self.value(otherwise)).transpose()?;
        if [Some(&condition), Some(&then), otherwise.as_ref()].into_iter().flatten().any(Value::is_array) {
            return Err("IF takes no arrays of time series.".to_owned());
        }
        match condition {
            Value::Scalar(condition) => {
                if [Some(&then), otherwise.as_ref()].into_iter().flatten().any(Value::is_scalar) {
                    return Err(
                        "IF with a number as its condition chooses between time series; TIME_SERIES makes one of a number."
                            .to_owned(),
                    );
                }
                let nothing = Value::Series(Series::new("", []));
                let chosen = match condition {
                    _ if condition.is_nan() => None,
                    0.0 => otherwise,
                    _ => Some(then),
                };
                Ok(chosen.unwrap_or(nothing))
            }
            Value::Series(condition) => {
                let chosen = |(time, condition): &(i64, f64)| {
                    let value = match *condition {
                        0.0 => otherwise.as_ref()?.at(*time)?,
                        _ => then.at(*time).unwrap_or(0.0),
                    };
                    Some((*time, value))
                };
                Ok(Value::Series(Series::new(&condition.label, condition.points().iter().filter_map(chosen))))
            }
            Value::Array(_) => Err(wants("IF", "a time series or a number")),
        }
    }
}

impl Value {
    /// Points that it holds, and one more for each series: what holding it costs.
    fn points(&self) -> usize {
        match self {
            Value::Scalar(_) => 1,
            Value::Series(series) => series.points().len() + 1,
            Value::Array(all) => all.iter().map(|series| series.points().len() + 1).sum(),
        }
    }

    fn series_count(&self) -> usize {
        match self {
            Value::Scalar(_) => 0,
            Value::Series(_) => 1,
            Value::Array(all) => all.len(),
        }
    }

    fn is_array(&self) -> bool {
        matches!(self, Value::Array(_))
    }

    fn is_scalar(&self) -> bool {
        matches!(self, Value::Scalar(_))
    }

    /// The value at a time; an array has none.
    fn at(&self, time: i64) -> Option<f64> {
        match self {
            Value::Scalar(number) => Some(*number),
            Value::Series(series) => series.at(time),
            Value::Array(_) => None,
        }
    }

    /// Another value for each number in it.
    fn map(&self, value: impl Fn(f64) -> f64) -> Self {
        match self {
            Value::Scalar(number) => Value::Scalar(value(*number)),
            Value::Series(series) => Value::Series(series.map(value)),
            Value::Array(all) => Value::Array(all.iter().map(|series| series.map(&value)).collect()),
        }
    }

    /// Another series for each in it; `None` for a number.
    fn each(&self, make: impl Fn(&Series) -> Series) -> Option<Self> {
        match self {
            Value::Scalar(_) => None,
            Value::Series(series) => Some(Value::Series(make(series))),
            Value::Array(all) => Some(Value::Array(all.iter().map(make).collect())),
        }
    }
}

fn combined(operator: Operator, left: Value, right: Value) -> Result<Value, String> {
    let both = |left: &Series, right: &Series| {
        left.joined(right, |left, right| Some(operator.of(left.unwrap_or(0.0), right.unwrap_or(0.0))))
    };
    if !operator.is_arithmetic() && (left.is_array() || right.is_array()) {
        return Err("comparisons, AND and OR take time series and numbers, no arrays.".to_owned());
    }
    match (left, right) {
        (Value::Array(_), Value::Array(_)) => {
            Err("an operator takes one array at most, and a time series or a number.".to_owned())
        }
        (left, Value::Scalar(right)) => Ok(left.map(|left| operator.of(left, right))),
        (Value::Scalar(left), right) => Ok(right.map(|right| operator.of(left, right))),
        (Value::Series(left), Value::Series(right)) => Ok(Value::Series(both(&left, &right))),
        (Value::Array(all), Value::Series(right)) => {
            Ok(Value::Array(all.iter().map(|left| both(left, &right)).collect()))
        }
        (Value::Series(left), Value::Array(all)) => {
            Ok(Value::Array(all.iter().map(|right| both(&left, right).labelled(&right.label)).collect()))
        }
    }
}

fn wants(name: &str, what: &str) -> String {
    format!("{name} takes {what}.")
}
