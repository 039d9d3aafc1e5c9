//! Metric math as a tree, and the names of functions. Pure.

use std::collections::BTreeSet;

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    /// A number.
    Number(f64),
    /// What the query of this id has found.
    Id(String),
    /// `METRICS()`: all metrics of the request, or those with this text in their id.
    Metrics(Option<String>),
    /// `[m1, m2]`.
    Array(Vec<Expr>),
    /// Unary minus.
    Negated(Box<Expr>),
    /// Operators that bind equally, from left to right. A list and not a tree, so that a long sum is not a deep one.
    Chain(Box<Expr>, Vec<(Operator, Expr)>),
    /// `FILL(x, ...)`.
    Fill(Box<Expr>, Filler),
    /// Any other function, with as many arguments as it takes.
    Call(Function, Vec<Expr>),
}

/// What `FILL` puts where there is nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filler {
    /// The value before.
    Repeat,
    /// A line between the values before and after.
    Linear,
    /// A number, or the value of another series at that time.
    Value(Box<Expr>),
}

/// What stands between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    AtMost,
    AtLeast,
    Less,
    Greater,
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

/// A function whose arguments are expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// A series (or each of an array) becomes another one.
    Each(Each),
    /// A series becomes a number, an array becomes a series.
    Over(Over),
    /// The time of each period, in numbers.
    Calendar(Calendar),
    If,
    MetricCount,
    Period,
    TimeSeries,
}

/// What becomes of each series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Each {
    Abs,
    Ceil,
    Diff,
    DiffTime,
    Floor,
    Log,
    Log10,
    Rate,
    RunningSum,
}

/// What many values come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Avg,
    DatapointCount,
    Max,
    Min,
    Stddev,
    Sum,
}

/// A part of a moment, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calendar {
    Minute,
    Hour,
    Day,
    Date,
    Month,
    Year,
    Epoch,
}

/// Every function but `METRICS` and `FILL`, whose arguments are special.
const FUNCTIONS: [(&str, Function); 26] = [
    ("ABS", Function::Each(Each::Abs)),
    ("AVG", Function::Over(Over::Avg)),
    ("CEIL", Function::Each(Each::Ceil)),
    ("DATAPOINT_COUNT", Function::Over(Over::DatapointCount)),
    ("DATE", Function::Calendar(Calendar::Date)),
    ("DAY", Function::Calendar(Calendar::Day)),
    ("DIFF", Function::Each(Each::Diff)),
    ("DIFF_TIME", Function::Each(Each::DiffTime)),
    ("EPOCH", Function::Calendar(Calendar::Epoch)),
    ("FLOOR", Function::Each(Each::Floor)),
    ("HOUR", Function::Calendar(Calendar::Hour)),
    ("IF", Function::If),
    ("LOG", Function::Each(Each::Log)),
    ("LOG10", Function::Each(Each::Log10)),
    ("MAX", Function::Over(Over::Max)),
    ("METRIC_COUNT", Function::MetricCount),
    ("MIN", Function::Over(Over::Min)),
    ("MINUTE", Function::Calendar(Calendar::Minute)),
    ("MONTH", Function::Calendar(Calendar::Month)),
    ("PERIOD", Function::Period),
    ("RATE", Function::Each(Each::Rate)),
    ("RUNNING_SUM", Function::Each(Each::RunningSum)),
    ("STDDEV", Function::Over(Over::Stddev)),
    ("SUM", Function::Over(Over::Sum)),
    ("TIME_SERIES", Function::TimeSeries),
    ("YEAR", Function::Calendar(Calendar::Year)),
];

impl Expr {
    /// The ids that it refers to.
    pub(crate) fn ids(&self) -> BTreeSet<&str> {
        let mut ids = BTreeSet::new();
        self.visit(&mut |expr| {
            if let Expr::Id(id) = expr {
                ids.insert(id.as_str());
            }
        });
        ids
    }

    /// Whether a `METRICS` in it finds the metric of this id.
    pub(crate) fn takes_metric(&self, id: &str) -> bool {
        let mut takes = false;
        self.visit(&mut |expr| {
            if let Expr::Metrics(part) = expr {
                takes |= part.as_ref().is_none_or(|part| id.contains(part));
            }
        });
        takes
    }

    fn visit<'a>(&'a self, look: &mut dyn FnMut(&'a Expr)) {
        look(self);
        match self {
            Expr::Number(_) | Expr::Id(_) | Expr::Metrics(_) => {}
            Expr::Array(items) | Expr::Call(_, items) => items.iter().for_each(|item| item.visit(look)),
            Expr::Negated(operand) => operand.visit(look),
            Expr::Chain(first, rest) => {
                first.visit(look);
                rest.iter().for_each(|(_, operand)| operand.visit(look));
            }
            Expr::Fill(filled, filler) => {
                filled.visit(look);
                if let Filler::Value(value) = filler {
                    value.visit(look);
                }
            }
        }
    }
}

impl Function {
    /// Its name in expressions.
    pub(crate) fn name(self) -> &'static str {
        FUNCTIONS.iter().find(|(_, function)| *function == self).map_or("", |(name, _)| *name)
    }

    /// The function of that name.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        FUNCTIONS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, function)| *function)
            .ok_or_else(|| format!("{name} is not a function of metric math."))
    }

    /// Whether it takes so many arguments.
    pub(super) fn takes(self, arguments: usize) -> bool {
        match self {
            Function::If => matches!(arguments, 2 | 3),
            _ => arguments == 1,
        }
    }
}
