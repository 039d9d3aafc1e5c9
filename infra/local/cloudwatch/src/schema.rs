//! Shapes of inputs and outputs: one description that reads, checks and writes all three protocols.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::error::ApiError;

/// What a value looks like, and its limits, as the service's model states them.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Text of so many characters.
    Text { min: usize, max: usize },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number within bounds.
    Integer { min: i64, max: i64 },
    /// A finite number.
    Double,
    /// True or false.
    Boolean,
    /// A moment; in canonical values RFC 3339 text.
    Time,
    /// So many of the same.
    List { item: &'static Shape, min: usize, max: usize },
    /// Text to values of the same shape.
    Map(&'static Shape),
    /// Named members; unknown ones are ignored on the way in.
    Structure(&'static [Member]),
}

/// A named part of a structure.
#[derive(Debug)]
pub(crate) struct Member {
    /// Name on every wire.
    pub(crate) name: &'static str,
    /// Whether a request without it is refused.
    pub(crate) required: bool,
    /// What it holds.
    pub(crate) shape: &'static Shape,
}

/// Whether numbers and truth values may come as text, as they do in form fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalars {
    /// Form fields: everything is text, lists are `member` maps.
    AsText,
    /// JSON and CBOR: values have types.
    Typed,
}

/// A member that must be there.
pub(crate) const fn required(name: &'static str, shape: &'static Shape) -> Member {
    Member { name, required: true, shape }
}

/// A member that may be absent.
pub(crate) const fn optional(name: &'static str, shape: &'static Shape) -> Member {
    Member { name, required: false, shape }
}

/// Turns what a codec read into the canonical value: known members only, no nulls, numbers as numbers, times as text.
///
/// # Errors
/// Values of the wrong type, and numbers that are not finite.
pub(crate) fn read(shape: &Shape, raw: Value, scalars: Scalars, path: &str) -> Result<Value, ApiError> {
    let wrong = |what: &str| ApiError::malformed(format!("{} must be {what}.", place(path)));
    match shape {
        Shape::Text { .. } | Shape::Choice(_) => match raw {
            Value::String(_) => Ok(raw),
            _ => Err(wrong("a string")),
        },
        Shape::Integer { .. } => whole_number(&raw, scalars).map(Value::from).ok_or_else(|| wrong("an integer")),
        Shape::Double => finite_number(&raw, scalars, path),
        Shape::Boolean => match (&raw, scalars) {
            (Value::Bool(_), _) => Ok(raw),
            (Value::String(text), Scalars::AsText) => match text.as_str() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => Err(wrong("true or false")),
            },
            _ => Err(wrong("true or false")),
        },
        Shape::Time => moment(&raw).map(|at| Value::String(at.to_string())).ok_or_else(|| wrong("a timestamp")),
        Shape::List { item, .. } => list_items(raw, scalars)
            .ok_or_else(|| wrong("a list"))?
            .into_iter()
            .enumerate()
            .map(|(i, raw)| read(item, raw, scalars, &format!("{path}.{}.member", i + 1)))
            .collect(),
        Shape::Map(item) => match raw {
            Value::Object(members) => members
                .into_iter()
                .map(|(key, raw)| Ok((key.clone(), read(item, raw, scalars, &format!("{path}.{key}"))?)))
                .collect(),
            _ => Err(wrong("a map")),
        },
        Shape::Structure(members) => match raw {
            Value::Object(raw) => read_structure(members, raw, scalars, path),
            _ => Err(wrong("a structure")),
        },
    }
}

fn read_structure(
    members: &[Member],
    mut raw: Map<String, Value>,
    scalars: Scalars,
    path: &str,
) -> Result<Value, ApiError> {
    let mut read_members = Map::new();
    for member in members {
        match raw.remove(member.name) {
            None | Some(Value::Null) => {}
            Some(raw) => {
                let path = member_path(path, member.name);
                read_members.insert(member.name.to_owned(), read(member.shape, raw, scalars, &path)?);
            }
        }
    }
    Ok(Value::Object(read_members))
}

/// Checks a canonical value against the limits of its shape.
///
/// # Errors
/// `ValidationError` in the service's form, naming every broken constraint.
pub(crate) fn check(shape: &Shape, value: &Value) -> Result<(), ApiError> {
    let mut broken = Vec::new();
    find_broken(shape, value, "", &mut broken);
    if broken.is_empty() {
        return Ok(());
    }
    let count = broken.len();
    let plural = if count == 1 { "" } else { "s" };
    broken.truncate(BROKEN_CONSTRAINTS_SHOWN);
    Err(ApiError::validation(format!("{count} validation error{plural} detected: {}", broken.join("; "))))
}

/// A request of thousands of bad values must not be answered with a page for each.
const BROKEN_CONSTRAINTS_SHOWN: usize = 10;

fn find_broken(shape: &Shape, value: &Value, path: &str, broken: &mut Vec<String>) {
    let mut refuse = |shown: String, constraint: String| {
        broken.push(format!("Value {shown} at '{path}' failed to satisfy constraint: {constraint}"));
    };
    match (shape, value) {
        (Shape::Text { min, max }, Value::String(text)) => {
            if let Some(constraint) = length_constraint(text.chars().count(), *min, *max) {
                refuse(shown(text), constraint);
            }
        }
        (Shape::Choice(words), Value::String(text)) if !words.contains(&text.as_str()) => {
            refuse(shown(text), format!("Member must satisfy enum value set: [{}]", words.join(", ")))
        }
        (Shape::Integer { min, max }, Value::Number(number)) => {
            let number = number.as_i64().unwrap_or(i64::MAX);
            if number < *min {
                refuse(shown(&number.to_string()), format!("Member must have value greater than or equal to {min}"));
            } else if number > *max {
                refuse(shown(&number.to_string()), format!("Member must have value less than or equal to {max}"));
            }
        }
        (Shape::List { item, min, max }, Value::Array(items)) => {
            if let Some(constraint) = length_constraint(items.len(), *min, *max) {
                refuse(String::new(), constraint);
            }
            for (i, value) in items.iter().enumerate() {
                find_broken(item, value, &format!("{path}.{}.member", i + 1), broken);
            }
        }
        (Shape::Structure(members), Value::Object(values)) => {
            for member in *members {
                let path = member_path(path, &lower_first(member.name));
                match values.get(member.name) {
                    Some(value) => find_broken(member.shape, value, &path, broken),
                    None if member.required => broken
                        .push(format!("Value null at '{path}' failed to satisfy constraint: Member must not be null")),
                    None => {}
                }
            }
        }
        _ => {}
    }
}

fn length_constraint(length: usize, min: usize, max: usize) -> Option<String> {
    if length < min {
        Some(format!("Member must have length greater than or equal to {min}"))
    } else if length > max {
        Some(format!("Member must have length less than or equal to {max}"))
    } else {
        None
    }
}

fn shown(text: &str) -> String {
    let text: String = text.chars().take(100).collect();
    format!("'{text}'")
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase().to_string() + letters.as_str()).unwrap_or_default()
}

fn member_path(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn place(path: &str) -> &str {
    if path.is_empty() { "The request" } else { path }
}

fn whole_number(raw: &Value, scalars: Scalars) -> Option<i64> {
    match (raw, scalars) {
        (Value::Number(number), _) => number.as_i64().or_else(|| {
            let float = number.as_f64()?;
            // Within ±2^53 the conversion is exact.
            (float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0).then_some(float as i64)
        }),
        (Value::String(text), Scalars::AsText) => text.parse().ok(),
        _ => None,
    }
}

fn finite_number(raw: &Value, scalars: Scalars, path: &str) -> Result<Value, ApiError> {
    let number = match (raw, scalars) {
        (Value::Number(number), _) => number.as_f64(),
        // JSON and CBOR spell the non-finite ones as words too; they are refused below by name.
        (Value::String(text), _) if scalars == Scalars::AsText || NON_FINITE.contains(&text.as_str()) => {
            text.parse().ok()
        }
        _ => None,
    };
    match number {
        Some(number) if number.is_finite() => Ok(Value::from(number)),
        Some(number) => Err(ApiError::value(format!("The value {number} for parameter {path} is invalid."))),
        None => Err(ApiError::malformed(format!("{} must be a number.", place(path)))),
    }
}

/// Words for numbers that JSON has no literal for.
pub(crate) const NON_FINITE: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

fn moment(raw: &Value) -> Option<Timestamp> {
    match raw {
        Value::Number(seconds) => {
            let milliseconds = (seconds.as_f64()? * 1000.0).round();
            // A cast saturates, and jiff refuses what it cannot hold.
            Timestamp::from_millisecond(milliseconds as i64).ok()
        }
        Value::String(text) => text.parse().ok().or_else(|| format!("{text}Z").parse().ok()),
        _ => None,
    }
}

fn list_items(raw: Value, scalars: Scalars) -> Option<Vec<Value>> {
    match (raw, scalars) {
        (Value::Array(items), _) => Some(items),
        (Value::String(text), Scalars::AsText) if text.is_empty() => Some(Vec::new()),
        (Value::Object(mut members), Scalars::AsText) => {
            let Value::Object(numbered) = members.remove("member")? else {
                return None;
            };
            let mut items = numbered
                .into_iter()
                .map(|(number, item)| Some((number.parse::<u32>().ok()?, item)))
                .collect::<Option<Vec<_>>>()?;
            items.sort_by_key(|(number, _)| *number);
            Some(items.into_iter().map(|(_, item)| item).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    static NAME: Shape = Shape::Text { min: 1, max: 3 };
    static NUMBER: Shape = Shape::Integer { min: 1, max: 9 };
    static DOUBLES: Shape = Shape::List { item: &Shape::Double, min: 0, max: 2 };
    static THING: Shape = Shape::Structure(&[
        required("Name", &NAME),
        optional("Number", &NUMBER),
        optional("Doubles", &DOUBLES),
        optional("At", &Shape::Time),
    ]);

    #[test]
    fn forms_and_documents_read_to_the_same_value() {
        let form = json!({"Name": "a", "Number": "4", "Doubles": {"member": {"10": "2", "9": "1.5"}},
            "At": "2026-11-23T10:14:00Z", "Unknown": "x"});
        let typed = json!({"Name": "a", "Number": 4.0, "Doubles": [1.5, 2], "At": 1_795_428_840, "Unknown": {}});
        let expected = json!({"Name": "a", "Number": 4, "Doubles": [1.5, 2.0], "At": "2026-11-23T10:14:00Z"});
        assert_eq!(read(&THING, form, Scalars::AsText, "").expect("form"), expected);
        assert_eq!(read(&THING, typed, Scalars::Typed, "").expect("typed"), expected);
    }

    #[test]
    fn every_broken_constraint_is_named() {
        let error = check(&THING, &json!({"Number": 12, "Doubles": [1.0, 2.0, 3.0]})).expect_err("broken");
        assert_eq!(
            error.message,
            "3 validation errors detected: Value null at 'name' failed to satisfy constraint: Member must not be null; \
             Value '12' at 'number' failed to satisfy constraint: Member must have value less than or equal to 9; \
             Value  at 'doubles' failed to satisfy constraint: Member must have length less than or equal to 2"
        );
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused_by_name() {
        let error = read(&THING, json!({"Doubles": ["NaN"]}), Scalars::Typed, "").expect_err("not finite");
        assert_eq!(error.code, "InvalidParameterValue");
    }
}
