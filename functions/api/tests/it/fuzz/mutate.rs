//! Small changes that make a valid request another one.

use api::ApiEvent;
use serde_json::{Map, Value, json};

use super::chance::Chance;

/// Texts that programs stumble over.
const TEXTS: [&str; 16] = [
    "",
    " ",
    "\0",
    "null",
    "../../etc/passwd",
    "#{variables.Color}",
    "#{codepipeline.PipelineExecutionId",
    "#{Upload.VersionId}#{nowhere.Nothing}",
    "{Config:Name}",
    "ünïcödé 🦀",
    "\u{202e}",
    "' OR 1=1",
    "$.ref",
    "[",
    "a\r\nX-Injected: 1",
    "00000000-0000-0000-0000-000000000000",
];
/// Longer than any limit of the model, and than an item's key in DynamoDB.
const LONG: usize = 20_000;

/// Changes one place in `value`.
pub(crate) fn value(value: &mut Value, chance: &mut Chance) {
    let other = chance.percent(20).then(|| pick(value, chance).clone());
    let place = pick(value, chance);
    if place.is_string() && chance.percent(70) {
        // What keeps its type gets further.
        let texts = TEXTS.map(Value::from);
        *place = if chance.percent(50) { chance.one_of(&texts).clone() } else { spoiled(place.take(), chance) };
        return;
    }
    *place = match chance.below(8) {
        0 => Value::Null,
        1 => (*chance.one_of(&TEXTS)).into(),
        2 => "x".repeat(LONG).into(),
        3 => number(chance),
        4 => other.unwrap_or_else(|| json!({})),
        5 => fewer(place.take(), chance),
        6 => more(place.take(), chance),
        _ => spoiled(place.take(), chance),
    };
}

/// Any place in `value`, itself included.
fn pick<'a>(value: &'a mut Value, chance: &mut Chance) -> &'a mut Value {
    if chance.percent(25) {
        return value;
    }
    let parts = match value {
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        _ => 0,
    };
    if parts == 0 {
        return value;
    }
    let at = chance.below(parts);
    let part = match value {
        Value::Array(items) => items.get_mut(at),
        Value::Object(members) => members.values_mut().nth(at),
        _ => None,
    };
    pick(part.unwrap(), chance)
}

fn number(chance: &mut Chance) -> Value {
    let numbers =
        [json!(0), json!(-1), json!(1), json!(i64::MAX), json!(i64::MIN), json!(u64::MAX), json!(1e308), json!(0.5)];
    chance.one_of(&numbers).clone()
}

/// A list or structure without one of its parts.
fn fewer(value: Value, chance: &mut Chance) -> Value {
    match value {
        Value::Array(mut items) if !items.is_empty() => {
            items.remove(chance.below(items.len()));
            items.into()
        }
        Value::Object(members) if !members.is_empty() => {
            let at = chance.below(members.len());
            let kept = members.into_iter().enumerate().filter(|(place, _)| *place != at);
            kept.map(|(_, member)| member).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

/// A list or structure with parts twice, or with one nobody knows.
fn more(value: Value, chance: &mut Chance) -> Value {
    match value {
        Value::Array(items) if !items.is_empty() => {
            let again = chance.one_of(&items).clone();
            let times = *chance.one_of(&[1, 2, 60]);
            items.into_iter().chain(std::iter::repeat_n(again, times)).collect()
        }
        Value::Object(mut members) => {
            members.insert((*chance.one_of(&TEXTS)).to_owned(), (*chance.one_of(&TEXTS)).into());
            members.into()
        }
        other => json!([other]),
    }
}

/// A text with one character changed; whatever else, inside a list.
fn spoiled(value: Value, chance: &mut Chance) -> Value {
    let Value::String(text) = value else { return json!([value]) };
    let mut characters: Vec<char> = text.chars().collect();
    let at = chance.below(characters.len() + 1);
    let character = char::from_u32(u32::try_from(chance.below(0x300)).unwrap()).unwrap_or('\u{fffd}');
    characters.insert(at, character);
    characters.into_iter().collect::<String>().into()
}

/// Changes, drops, repeats or cuts bytes.
pub(crate) fn bytes(body: &mut Vec<u8>, chance: &mut Chance) {
    for _ in 0..=chance.below(4) {
        let at = chance.below(body.len() + 1);
        match chance.below(4) {
            0 => body.truncate(at),
            1 => body.insert(at, u8::try_from(chance.below(256)).unwrap()),
            2 if at < body.len() => body[at] = u8::try_from(chance.below(256)).unwrap(),
            3 if at < body.len() => {
                body.remove(at);
            }
            _ => body.extend_from_within(..at),
        }
    }
}

/// Changes the address, a header, or the claim how the body is encoded.
pub(crate) fn headers(event: &mut ApiEvent, chance: &mut Chance) {
    match chance.below(6) {
        0 => event.raw_path.push_str(TEXTS[chance.below(TEXTS.len())]),
        1 => event.raw_path = (*chance.one_of(&TEXTS)).to_owned(),
        2 => event.headers.clear(),
        3 => {
            let name = *chance.one_of(&["x-amz-target", "smithy-protocol", "content-type", "authorization"]);
            event.headers.insert(name.to_owned(), (*chance.one_of(&TEXTS)).to_owned());
        }
        4 => (*chance.one_of(&["GET", "PUT", "", "post"])).clone_into(&mut event.request_context.http.method),
        _ => event.body = None,
    }
}
