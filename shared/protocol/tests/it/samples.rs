//! Values that satisfy a shape: the least one, and the largest one.

use serde_json::{Map, Value, json};

use crate::table::Shape;

/// Items of full size in a list or map, and items at all where the model sets no limit; up to the limit, the rest is
/// small, or the largest pipeline would be a hundred megabytes.
const FULL_SIZE: usize = 2;

/// Required members only, everything as short as allowed.
pub(crate) fn minimal(shape: Shape) -> Value {
    match shape.kind() {
        "structure" => shape
            .members()
            .into_iter()
            .filter(|(_, _, required)| *required)
            .map(|(name, member, _)| (name.to_owned(), minimal(member)))
            .collect::<Map<_, _>>()
            .into(),
        "list" => (0..shape.min().unwrap_or(0)).map(|_| minimal(shape.part("member"))).collect(),
        "map" => entries(shape, usize::try_from(shape.min().unwrap_or(0)).unwrap(), minimal),
        "string" => text(shape, shape.min().unwrap_or(0), false).into(),
        "integer" => shape.min().unwrap_or(0).into(),
        "boolean" => false.into(),
        "timestamp" => json!(0.0),
        other => panic!("no sample of type {other}"),
    }
}

/// Every member, everything as long as allowed.
pub(crate) fn maximal(shape: Shape) -> Value {
    match shape.kind() {
        "structure" => shape
            .members()
            .into_iter()
            .map(|(name, member, _)| (name.to_owned(), maximal(member)))
            .collect::<Map<_, _>>()
            .into(),
        "list" => {
            let member = shape.part("member");
            (0..most(shape)).map(|place| sized(place)(member)).collect()
        }
        "map" => {
            let mut map = entries(shape, most(shape), minimal);
            for (place, value) in map.as_object_mut().unwrap().values_mut().enumerate() {
                *value = sized(place)(shape.part("value"));
            }
            map
        }
        "string" => text(shape, shape.max().unwrap_or(12), true).into(),
        "integer" => shape.max().unwrap_or(i64::from(i32::MAX)).into(),
        "boolean" => true.into(),
        "timestamp" => json!(1_780_000_042.725),
        other => panic!("no sample of type {other}"),
    }
}

fn most(shape: Shape) -> usize {
    shape.max().map_or(FULL_SIZE, |max| usize::try_from(max).unwrap())
}

fn sized(place: usize) -> fn(Shape) -> Value {
    if place < FULL_SIZE { maximal } else { minimal }
}

/// `count` entries with keys that differ, each key as valid as a value of its shape.
pub(crate) fn entries(shape: Shape, count: usize, value: fn(Shape) -> Value) -> Value {
    let key = shape.part("key");
    (0..count)
        .map(|number| {
            let length = key.min().unwrap_or(1).max(3);
            let filler = text(key, length, false);
            let number = number.to_string();
            let kept: String = filler.chars().take(filler.chars().count() - number.len()).collect();
            (kept + &number, value(shape.part("value")))
        })
        .collect::<Map<_, _>>()
        .into()
}

/// A valid string, `length` code points long where the pattern leaves a choice.
pub(crate) fn text(shape: Shape, length: i64, last_of_enum: bool) -> String {
    let values = shape.values();
    if let Some(value) = if last_of_enum { values.last() } else { values.first() } {
        return (*value).to_owned();
    }
    let (start, filler) = match shape.pattern() {
        None => ("", "🦀"),
        Some(".*") => ("", "ü"),
        Some("AWS|ThirdParty") => return "ThirdParty".to_owned(),
        Some("[0-9]{12}|\\*") => return "*".to_owned(),
        Some("[0-9]{12}") => return "111122223333".to_owned(),
        Some(uuid) if uuid.starts_with("[0-9a-f]{8}-") => {
            return "5b1d8f0e-2f4c-4f0b-8a67-d1a2a1c3b4e5".to_owned();
        }
        Some(arn) if arn.contains(":lambda:") => ("arn:aws:lambda:r:111122223333:function:f", "f"),
        Some(arn) if arn.contains(":codepipeline:") => ("arn:aws-cn:codepipeline:r:111122223333:p", "p"),
        Some(arn) if arn.contains(":iam:") => ("arn:aws-us-gov:iam::111122223333:role/", "r"),
        Some(_) => ("", "a"),
    };
    let missing = usize::try_from(length).unwrap().saturating_sub(start.chars().count());
    let needed = usize::from(start.is_empty() && length == 0 && shape.pattern().is_some_and(|pattern| pattern != ".*"));
    format!("{start}{}", filler.repeat(missing.max(needed)))
}

/// A string of allowed length that its shape's pattern refuses.
pub(crate) fn off_pattern(pattern: &str) -> &'static str {
    if pattern == ".*" { "two\nlines" } else { "~~~~" }
}
