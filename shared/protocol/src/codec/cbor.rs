//! Smithy RPC v2 CBOR bodies: the same values, with timestamps under tag 1.

use ciborium::Value as Cbor;
use serde_json::{Map, Number, Value};

use super::NESTING_MAX;
use crate::model::{Model, ShapeId, ShapeKind};

pub(super) const CONTENT_TYPE: &str = "application/cbor";

/// Value of the `smithy-protocol` header, both ways.
pub(crate) const PROTOCOL: &str = "rpc-v2-cbor";

/// RFC 8949's tag for epoch seconds.
const TAG_EPOCH_SECONDS: u64 = 1;

/// Reads one CBOR item as the JSON value it stands for.
pub(super) fn decode(body: &[u8]) -> Result<Value, String> {
    let mut rest = body;
    let item: Cbor = ciborium::de::from_reader_with_recursion_limit(&mut rest, NESTING_MAX)
        .map_err(|error| format!("The request body is not valid CBOR: {}", reason(&error)))?;
    if !rest.is_empty() {
        return Err(format!("The request body has {} bytes after its CBOR item", rest.len()));
    }
    to_json(item)
}

fn reason(error: &ciborium::de::Error<std::io::Error>) -> String {
    match error {
        ciborium::de::Error::Io(_) => "it ends too early".to_owned(),
        ciborium::de::Error::Syntax(offset) => format!("syntax error at byte {offset}"),
        ciborium::de::Error::Semantic(_, text) => text.clone(),
        ciborium::de::Error::RecursionLimitExceeded => {
            format!("more than {NESTING_MAX} levels deep")
        }
    }
}

fn to_json(item: Cbor) -> Result<Value, String> {
    match item {
        Cbor::Null => Ok(Value::Null),
        Cbor::Bool(truth) => Ok(Value::Bool(truth)),
        Cbor::Text(text) => Ok(Value::String(text)),
        Cbor::Integer(whole) => number(i128::from(whole)),
        Cbor::Float(float) => {
            Number::from_f64(float).map(Value::Number).ok_or_else(|| "A number is not finite".to_owned())
        }
        Cbor::Array(items) => items.into_iter().map(to_json).collect::<Result<_, _>>().map(Value::Array),
        Cbor::Map(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                let Cbor::Text(key) = key else {
                    return Err("A map has a key that is not a text string".to_owned());
                };
                map.insert(key, to_json(value)?);
            }
            Ok(Value::Object(map))
        }
        Cbor::Tag(TAG_EPOCH_SECONDS, seconds) => match *seconds {
            seconds @ (Cbor::Integer(_) | Cbor::Float(_)) => to_json(seconds),
            _ => Err("A timestamp (tag 1) holds no number".to_owned()),
        },
        Cbor::Tag(tag, _) => Err(format!("Tag {tag} is not used by this protocol")),
        Cbor::Bytes(_) => Err("No member of this service is a byte string".to_owned()),
        _ => Err("A CBOR item of this kind is not used by this protocol".to_owned()),
    }
}

fn number(whole: i128) -> Result<Value, String> {
    Number::from_i128(whole).map(Value::Number).ok_or_else(|| format!("The number {whole} is too large"))
}

/// Encodes an admitted `value` of `shape`.
pub(super) fn encode(model: &Model, shape: ShapeId, value: &Value) -> Vec<u8> {
    write(&shaped(model, shape, value))
}

/// Encodes a value without timestamps, such as an error.
pub(super) fn encode_plain(value: &Value) -> Vec<u8> {
    write(&plain(value))
}

fn write(item: &Cbor) -> Vec<u8> {
    let mut body = Vec::new();
    ciborium::into_writer(item, &mut body).expect("writing to memory does not fail, and every item has a CBOR form");
    body
}

fn shaped(model: &Model, shape: ShapeId, value: &Value) -> Cbor {
    match (&model.shape(shape).kind, value) {
        (ShapeKind::Structure(members), Value::Object(given)) => Cbor::Map(
            members
                .iter()
                .filter_map(|member| {
                    let value = given.get(&member.name)?;
                    Some((Cbor::Text(member.name.clone()), shaped(model, member.shape, value)))
                })
                .collect(),
        ),
        (ShapeKind::List(member), Value::Array(items)) => {
            Cbor::Array(items.iter().map(|item| shaped(model, *member, item)).collect())
        }
        (ShapeKind::Map { value: entry, .. }, Value::Object(entries)) => Cbor::Map(
            entries.iter().map(|(key, value)| (Cbor::Text(key.clone()), shaped(model, *entry, value))).collect(),
        ),
        (ShapeKind::Timestamp, seconds) => Cbor::Tag(TAG_EPOCH_SECONDS, Box::new(plain(seconds))),
        (_, other) => plain(other),
    }
}

fn plain(value: &Value) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(truth) => Cbor::Bool(*truth),
        Value::String(text) => Cbor::Text(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Cbor::Integer(whole.into()),
            (None, Some(whole)) => Cbor::Integer(whole.into()),
            (None, None) => Cbor::Float(number.as_f64().unwrap_or_default()),
        },
        Value::Array(items) => Cbor::Array(items.iter().map(plain).collect()),
        Value::Object(entries) => {
            Cbor::Map(entries.iter().map(|(key, value)| (Cbor::Text(key.clone()), plain(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;
    use serde_json::json;

    #[test]
    fn timestamps_travel_under_tag_1() {
        let operation = Operation::PutApprovalResult;
        let shape = operation.shapes().output.unwrap();
        let body = encode(operation.service().model(), shape, &json!({"approvedAt": 1_427_245_911.525}));
        let item: Cbor = ciborium::from_reader(body.as_slice()).unwrap();
        let tagged = Cbor::Tag(1, Box::new(Cbor::Float(1_427_245_911.525)));
        assert_eq!(item, Cbor::Map(vec![(Cbor::Text("approvedAt".to_owned()), tagged)]));
        assert_eq!(decode(&body).unwrap(), json!({"approvedAt": 1_427_245_911.525}));
    }

    #[test]
    fn indefinite_lengths_and_undefined_are_read() {
        // {_ "a": [_ 1, undefined], "b": (_ "x", "y")}
        let body = b"\xbf\x61a\x9f\x01\xf7\xff\x61b\x7f\x61x\x61y\xff\xff";
        assert_eq!(decode(body).unwrap(), json!({"a": [1, null], "b": "xy"}));
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        let cases: [(&[u8], &str); 8] = [
            (b"\xa1\x01\x01", "A map has a key that is not a text string"),
            (b"\xf9\x7e\x00", "A number is not finite"),
            (b"\x41a", "No member of this service is a byte string"),
            (b"\xc0\x61a", "Tag 0 is not used by this protocol"),
            (b"\xc1\x61a", "A timestamp (tag 1) holds no number"),
            (b"\xa1\x61", "The request body is not valid CBOR: it ends too early"),
            (b"\xa0\xa0", "The request body has 1 bytes after its CBOR item"),
            (&[0x81; 100], "The request body is not valid CBOR: more than 64 levels deep"),
        ];
        for (body, expected) in cases {
            assert_eq!(decode(body).unwrap_err(), expected);
        }
    }
}
