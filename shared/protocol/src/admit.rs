//! First pass over a value: its types are the model's, and nothing else is left in it.
//!
//! Unknown members go, `null` members go (AWS takes both as absent), and numbers get their one form. A wrong type is
//! an error of its own kind (SerializationException) and ends the reading; constraints come after, in `validate`.

use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use crate::model::{Model, ShapeId, ShapeKind};

/// A value that is not of its shape's type.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("Expected {expected} {place}, got {found}")]
pub(crate) struct WrongType {
    expected: &'static str,
    found: &'static str,
    place: String,
}

/// Returns `value` as `shape` has it: known members only, in one form each. `null` in a list or map stays, for
/// `validate` to name.
pub(crate) fn admit(model: &Model, shape: ShapeId, value: Value) -> Result<Value, WrongType> {
    walk(model, shape, value, &Place::Top)
}

/// Where the walk is, written out only when something is wrong.
enum Place<'a> {
    Top,
    In(&'a Place<'a>, Step<'a>),
}

enum Step<'a> {
    Member(&'a str),
    Item(usize),
}

impl Place<'_> {
    fn describe(&self) -> String {
        let mut steps = Vec::new();
        let mut place = self;
        while let Self::In(outer, step) = place {
            steps.push(match step {
                Step::Member(name) => (*name).to_owned(),
                Step::Item(index) => format!("{}.member", index + 1),
            });
            place = outer;
        }
        steps.reverse();
        if steps.is_empty() { "as the body".to_owned() } else { format!("at '{}'", steps.join(".")) }
    }
}

fn walk(model: &Model, shape: ShapeId, value: Value, place: &Place<'_>) -> Result<Value, WrongType> {
    let wrong = |expected, value: &Value| WrongType { expected, found: kind_of(value), place: place.describe() };
    match (&model.shape(shape).kind, value) {
        (ShapeKind::Structure(members), Value::Object(mut given)) => {
            let mut known = Map::new();
            for member in members {
                match given.remove(&member.name) {
                    None | Some(Value::Null) => {}
                    Some(value) => {
                        let place = Place::In(place, Step::Member(&member.name));
                        known.insert(member.name.clone(), walk(model, member.shape, value, &place)?);
                    }
                }
            }
            Ok(Value::Object(known))
        }
        (ShapeKind::Structure(_), other) => Err(wrong("a structure", &other)),
        (ShapeKind::List(member), Value::Array(items)) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| match item {
                Value::Null => Ok(Value::Null),
                item => walk(model, *member, item, &Place::In(place, Step::Item(index))),
            })
            .collect::<Result<_, _>>()
            .map(Value::Array),
        (ShapeKind::List(_), other) => Err(wrong("a list", &other)),
        (ShapeKind::Map { value: entry, .. }, Value::Object(entries)) => entries
            .into_iter()
            .map(|(key, value)| match value {
                Value::Null => Ok((key, Value::Null)),
                value => {
                    let value = walk(model, *entry, value, &Place::In(place, Step::Member(&key)))?;
                    Ok((key, value))
                }
            })
            .collect::<Result<_, _>>()
            .map(Value::Object),
        (ShapeKind::Map { .. }, other) => Err(wrong("a map", &other)),
        (ShapeKind::String, text @ Value::String(_)) => Ok(text),
        (ShapeKind::String, other) => Err(wrong("a string", &other)),
        (ShapeKind::Boolean, truth @ Value::Bool(_)) => Ok(truth),
        (ShapeKind::Boolean, other) => Err(wrong("true or false", &other)),
        (ShapeKind::Integer, other) => {
            let whole = whole_number(&other).ok_or_else(|| wrong("a whole number of 32 bits", &other))?;
            Ok(Value::from(whole))
        }
        (ShapeKind::Timestamp, other) => {
            let seconds = epoch_seconds(&other).ok_or_else(|| wrong("a timestamp in epoch seconds", &other))?;
            Ok(Value::Number(seconds))
        }
    }
}

/// Accepts `3.0` as `3`: some clients have one number type only.
fn whole_number(value: &Value) -> Option<i32> {
    let number = value.as_number()?;
    if let Some(whole) = number.as_i64() {
        return i32::try_from(whole).ok();
    }
    let float = number.as_f64()?;
    let in_range = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&float);
    (in_range && float.fract() == 0.0).then_some(float as i32)
}

/// Accepts what a timestamp of this process can hold (years -9999 to 9999), so that reading it later cannot fail.
fn epoch_seconds(value: &Value) -> Option<Number> {
    let seconds = value.as_f64()?;
    let first = Timestamp::MIN.as_second() as f64;
    let last = Timestamp::MAX.as_second() as f64;
    (first..=last).contains(&seconds).then(|| Number::from_f64(seconds)).flatten()
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a fractional or very large number",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a structure or map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;
    use serde_json::json;

    fn admitted(operation: Operation, value: Value) -> Result<Value, String> {
        admit(operation.service().model(), operation.shapes().input, value).map_err(|error| error.to_string())
    }

    #[test]
    fn unknown_and_null_members_are_dropped() {
        let given = json!({"name": "shop", "version": null, "new": {"deep": [1]}});
        assert_eq!(admitted(Operation::GetPipeline, given).unwrap(), json!({"name": "shop"}));
    }

    #[test]
    fn whole_numbers_have_one_form() {
        let given = json!({"maxResults": 3.0});
        assert_eq!(admitted(Operation::ListPipelines, given).unwrap(), json!({"maxResults": 3}));
    }

    #[test]
    fn a_wrong_type_is_named_with_its_place() {
        let cases = [
            (json!([]), "Expected a structure as the body, got a list"),
            (json!({"name": 3}), "Expected a string at 'name', got a number"),
            (
                json!({"name": "a", "variables": [{"name": "a"}, 1]}),
                "Expected a structure at 'variables.2.member', got a number",
            ),
        ];
        for (given, expected) in cases {
            assert_eq!(admitted(Operation::StartPipelineExecution, given).unwrap_err(), expected);
        }
        for number in [json!(2_147_483_648_i64), json!(1.5), json!(1e300), json!("1")] {
            let error = admitted(Operation::ListPipelines, json!({"maxResults": number})).unwrap_err();
            assert!(error.starts_with("Expected a whole number of 32 bits at 'maxResults'"), "{error}");
        }
    }

    #[test]
    fn timestamps_are_seconds_within_the_calendar() {
        let revision = |created: Value| {
            let revision = json!({"revisionId": "a", "revisionChangeId": "b", "created": created});
            json!({"pipelineName": "p", "stageName": "s", "actionName": "a", "actionRevision": revision})
        };
        let admitted = |created| admitted(Operation::PutActionRevision, revision(created));
        assert_eq!(admitted(json!(5)).unwrap()["actionRevision"]["created"], json!(5.0));
        assert!(admitted(json!(1e15)).is_err());
        assert!(admitted(json!("2026-11-23T10:00:00Z")).is_err());
    }
}
