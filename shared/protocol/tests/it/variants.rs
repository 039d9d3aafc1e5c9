//! Every single-constraint violation of every operation, derived from the model, with the text spec 9.3 gives it.

use protocol::{Codec, Operation};
use serde_json::{Map, Value, json};

use crate::samples::{entries, minimal, off_pattern, text};
use crate::send::{refusal, send};
use crate::table::{Shape, input};

/// An input that breaks one rule, and the items its ValidationException lists.
struct Variant {
    input: Value,
    items: Vec<String>,
}

#[test]
fn each_violated_constraint_is_refused_in_awss_words() {
    let mut count = 0;
    for operation in Operation::ALL {
        let mut variants = Vec::new();
        derive(input(*operation), "", false, &|value| value, &mut variants);
        for variant in &variants {
            let plural = if variant.items.len() == 1 { "" } else { "s" };
            let text =
                format!("{} validation error{plural} detected: {}", variant.items.len(), variant.items.join("; "));
            for codec in [Codec::Json, Codec::Cbor] {
                let reply = send(codec, *operation, &variant.input).expect_err(&text);
                let expected = ("ValidationException".to_owned(), text.clone());
                assert_eq!(refusal(codec, &reply), expected, "{} {}", operation.name(), variant.input);
            }
        }
        count += variants.len();
    }
    assert!(count > 1000, "{count} variants");
}

#[test]
fn each_wrongly_typed_member_is_refused_with_its_place() {
    let mut count = 0;
    for operation in Operation::ALL {
        let mut variants = Vec::new();
        mistype(input(*operation), "", &|value| value, &mut variants);
        for (value, path) in &variants {
            for codec in [Codec::Json, Codec::Cbor] {
                let (kind, text) = refusal(codec, &send(codec, *operation, value).expect_err(path));
                assert_eq!(kind, "SerializationException", "{value}");
                let place = if path.is_empty() { "as the body".to_owned() } else { format!("at '{path}'") };
                assert!(text.starts_with("Expected ") && text.contains(&place), "{text} for {value}");
            }
        }
        count += variants.len();
    }
    assert!(count > 300, "{count} variants");
}

/// Walks `shape`, whose value `place` puts into an otherwise valid input.
fn derive(shape: Shape, path: &str, secret: bool, place: &dyn Fn(Value) -> Value, out: &mut Vec<Variant>) {
    let secret = secret || shape.is_sensitive();
    match shape.kind() {
        "structure" => {
            for (name, member, required) in shape.members() {
                let with = |value: Value| {
                    let mut whole = minimal(shape);
                    whole[name] = value;
                    place(whole)
                };
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                if required {
                    let items = vec![item("null at", &path, "Member must not be null")];
                    out.push(Variant { input: with(Value::Null), items });
                }
                derive(member, &path, secret, &with, out);
            }
        }
        "list" => derive_list(shape, path, secret, place, out),
        "map" => derive_map(shape, path, secret, place, out),
        _ => {
            for (value, broken) in broken_scalars(shape) {
                let quoted = value.as_str().map_or(value.to_string(), str::to_owned);
                let subject = if secret { "at".to_owned() } else { format!("'{quoted}' at") };
                let items = broken.iter().map(|constraint| item(&subject, path, constraint)).collect();
                out.push(Variant { input: place(value), items });
            }
        }
    }
}

fn derive_list(shape: Shape, path: &str, secret: bool, place: &dyn Fn(Value) -> Value, out: &mut Vec<Variant>) {
    let member = shape.part("member");
    let of_length = |length: i64| (0..length).map(|_| minimal(member)).collect::<Value>();
    lengths(shape, path, &|length| place(of_length(length)), out);
    let least = shape.min().unwrap_or(0).max(1);
    let with = |position: i64, value: Value| {
        let mut list = of_length(least.max(position));
        list[usize::try_from(position - 1).unwrap()] = value;
        place(list)
    };
    let item_path = |position: i64| format!("{path}.{position}.member");
    let items = vec![item("null at", &item_path(1), "Member must not be null")];
    out.push(Variant { input: with(1, Value::Null), items });
    if member.is_scalar() {
        let set = format!("Member must satisfy constraint: [{}]", all_constraints(member));
        for (value, _) in broken_scalars(member) {
            out.push(Variant { input: with(1, value), items: vec![item("at", path, &set)] });
        }
    } else {
        let last = if shape.max() == Some(1) { 1 } else { 2 };
        derive(member, &item_path(last), secret, &|value| with(last, value), out);
    }
}

fn derive_map(shape: Shape, path: &str, secret: bool, place: &dyn Fn(Value) -> Value, out: &mut Vec<Variant>) {
    let (key, entry) = (shape.part("key"), shape.part("value"));
    lengths(shape, path, &|length| place(entries(shape, usize::try_from(length).unwrap(), minimal)), out);
    let good_key = text(key, key.min().unwrap_or(1).max(1), false);
    let one = |key: &str, value: Value| place(Value::Object(Map::from_iter([(key.to_owned(), value)])));
    let keys = format!("Map keys must satisfy constraint: [{}]", all_constraints(key));
    for (bad_key, _) in broken_scalars(key) {
        let input = one(bad_key.as_str().unwrap(), minimal(entry));
        out.push(Variant { input, items: vec![item("at", path, &keys)] });
    }
    let entry_path = format!("{path}.{good_key}.member");
    let items = vec![item("null at", &entry_path, "Member must not be null")];
    out.push(Variant { input: one(&good_key, Value::Null), items });
    if entry.is_scalar() {
        let set = format!("Map value must satisfy constraint: [{}]", all_constraints(entry));
        for (value, _) in broken_scalars(entry) {
            out.push(Variant { input: one(&good_key, value), items: vec![item("at", path, &set)] });
        }
    } else {
        derive(entry, &entry_path, secret, &|value| one(&good_key, value), out);
    }
}

fn lengths(shape: Shape, path: &str, of_length: &dyn Fn(i64) -> Value, out: &mut Vec<Variant>) {
    if let Some(max) = shape.max() {
        let constraint = format!("Member must have length less than or equal to {max}");
        out.push(Variant { input: of_length(max + 1), items: vec![item("at", path, &constraint)] });
    }
    if let Some(min) = shape.min().filter(|min| *min > 0) {
        let constraint = format!("Member must have length greater than or equal to {min}");
        out.push(Variant { input: of_length(min - 1), items: vec![item("at", path, &constraint)] });
    }
}

fn item(subject: &str, path: &str, constraint: &str) -> String {
    format!("Value {subject} '{path}' failed to satisfy constraint: {constraint}")
}

/// Values that break one constraint (the empty string may break two), and the constraints they break.
fn broken_scalars(shape: Shape) -> Vec<(Value, Vec<String>)> {
    let mut broken = Vec::new();
    if shape.kind() == "integer" {
        if let Some(max) = shape.max() {
            broken.push((json!(max + 1), vec![format!("Member must have value less than or equal to {max}")]));
        }
        if let Some(min) = shape.min() {
            broken.push((json!(min - 1), vec![format!("Member must have value greater than or equal to {min}")]));
        }
    }
    if shape.kind() != "string" {
        return broken;
    }
    let pattern = shape.pattern().map(|pattern| format!("Member must satisfy regular expression pattern: {pattern}"));
    if let Some(max) = shape.max() {
        let value = text(shape, max + 1, false);
        broken.push((value.into(), vec![format!("Member must have length less than or equal to {max}")]));
    }
    if let Some(min) = shape.min().filter(|min| *min > 0) {
        let value: String = text(shape, min, false).chars().take(usize::try_from(min - 1).unwrap()).collect();
        let also = pattern.clone().filter(|_| value.is_empty() && shape.pattern() != Some(".*"));
        let short = format!("Member must have length greater than or equal to {min}");
        broken.push((value.into(), [Some(short), also].into_iter().flatten().collect()));
    }
    if let Some(pattern) = pattern {
        broken.push((off_pattern(shape.pattern().unwrap()).into(), vec![pattern]));
    }
    if !shape.values().is_empty() {
        let set = format!("Member must satisfy enum value set: [{}]", shape.values().join(", "));
        broken.push(("NotOneOfThem".into(), vec![set]));
    }
    broken
}

/// The set AWS names for members of lists and maps.
fn all_constraints(shape: Shape) -> String {
    let mut all = Vec::new();
    if let Some(max) = shape.max() {
        all.push(format!("Member must have length less than or equal to {max}"));
    }
    if let Some(min) = shape.min() {
        all.push(format!("Member must have length greater than or equal to {min}"));
    }
    if let Some(pattern) = shape.pattern() {
        all.push(format!("Member must satisfy regular expression pattern: {pattern}"));
    }
    if !shape.values().is_empty() {
        all.push(format!("Member must satisfy enum value set: [{}]", shape.values().join(", ")));
    }
    all.join(", ")
}

/// Walks `shape` like [`derive`], with a value of another type at each place.
fn mistype(shape: Shape, path: &str, place: &dyn Fn(Value) -> Value, out: &mut Vec<(Value, String)>) {
    let wrong = match shape.kind() {
        "structure" | "map" => json!([]),
        "list" => json!({}),
        "string" | "boolean" => json!(7),
        _ => json!("7"),
    };
    out.push((place(wrong), path.to_owned()));
    match shape.kind() {
        "structure" => {
            for (name, member, _) in shape.members() {
                let with = |value: Value| {
                    let mut whole = minimal(shape);
                    whole[name] = value;
                    place(whole)
                };
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                mistype(member, &path, &with, out);
            }
        }
        "list" => mistype(shape.part("member"), &format!("{path}.1.member"), &|value| place(json!([value])), out),
        "map" => mistype(shape.part("value"), &format!("{path}.key"), &|value| place(json!({"key": value})), out),
        _ => {}
    }
}
