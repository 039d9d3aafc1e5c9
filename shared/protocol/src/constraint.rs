//! Single constraints: whether a value breaks them, and AWS's words for each (spec 9.3).

use serde_json::Value;

use crate::model::Constraints;

/// Bytes up to which a string is matched against its pattern; a longer one counts as not matching. The longest value that
/// a pattern of the model has to allow is 2000 characters, and matching the 4 MB a body may hold takes seconds.
const PATTERN_BYTES_MAX: usize = 16 * 1024;

/// What of a value is bounded by a shape's min and max.
#[derive(Clone, Copy)]
pub(crate) enum Measure {
    Length(usize),
    Amount(i64),
}

impl Measure {
    fn word(self) -> &'static str {
        match self {
            Self::Length(_) => "length",
            Self::Amount(_) => "value",
        }
    }

    fn size(self) -> i64 {
        match self {
            Self::Length(length) => i64::try_from(length).unwrap_or(i64::MAX),
            Self::Amount(amount) => amount,
        }
    }
}

fn at_most(word: &str, max: i64) -> String {
    format!("Member must have {word} less than or equal to {max}")
}

fn at_least(word: &str, min: i64) -> String {
    format!("Member must have {word} greater than or equal to {min}")
}

fn like(pattern: &str) -> String {
    format!("Member must satisfy regular expression pattern: {pattern}")
}

fn one_of(values: &[String]) -> String {
    format!("Member must satisfy enum value set: [{}]", values.join(", "))
}

/// Constraints that `measure` breaks.
pub(crate) fn broken(constraints: &Constraints, measure: Measure) -> Vec<String> {
    let above = constraints.max.filter(|max| measure.size() > *max).map(|max| at_most(measure.word(), max));
    let below = constraints.min.filter(|min| measure.size() < *min).map(|min| at_least(measure.word(), min));
    above.into_iter().chain(below).collect()
}

/// Constraints that `text` breaks: length, then pattern, then enum.
pub(crate) fn broken_text(constraints: &Constraints, text: &str) -> Vec<String> {
    let mut texts = broken(constraints, Measure::Length(text.chars().count()));
    if let Some((pattern, regex)) = &constraints.pattern
        && (text.len() > PATTERN_BYTES_MAX || !regex.is_match(text))
    {
        texts.push(like(pattern));
    }
    if !constraints.values.is_empty() && !constraints.values.iter().any(|value| value == text) {
        texts.push(one_of(&constraints.values));
    }
    texts
}

/// Constraints that `value` breaks; structures, lists and maps have theirs elsewhere.
pub(crate) fn broken_scalar(constraints: &Constraints, value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => broken_text(constraints, text),
        Value::Number(number) => match number.as_i64() {
            Some(amount) => broken(constraints, Measure::Amount(amount)),
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The whole set, as AWS lists it for members of lists and maps.
pub(crate) fn all_texts(constraints: &Constraints, numeric: bool) -> String {
    let word = if numeric { "value" } else { "length" };
    let mut texts: Vec<String> = constraints.max.map(|max| at_most(word, max)).into_iter().collect();
    texts.extend(constraints.min.map(|min| at_least(word, min)));
    texts.extend(constraints.pattern.as_ref().map(|(pattern, _)| like(pattern)));
    if !constraints.values.is_empty() {
        texts.push(one_of(&constraints.values));
    }
    texts.join(", ")
}
