//! Smithy RPC v2 CBOR.

use ciborium::Value as Cbor;
use serde_json::{Map, Value, json};

use super::{Call, SERVICE, epoch_seconds, error_members, present};
use crate::{
    error::ApiError,
    operations::Operation,
    schema::{Scalars, Shape},
};

/// The content type of answers.
pub(super) const CONTENT_TYPE: &str = "application/cbor";

/// The tag of a time as seconds since 1970.
const EPOCH_TAG: u64 = 1;

/// Reads a call: the operation from the path, the input from the body, which may be empty.
pub(super) fn decode(path: &str, bytes: &[u8]) -> Result<Call, ApiError> {
    let name = path
        .strip_prefix("/service/")
        .and_then(|rest| rest.strip_prefix(SERVICE))
        .and_then(|rest| rest.strip_prefix("/operation/"))
        .ok_or_else(|| ApiError::unknown_operation(path))?;
    let operation = Operation::named(name)?;
    let raw = if bytes.is_empty() {
        json!({})
    } else {
        let value = ciborium::from_reader(bytes).map_err(|_| ApiError::malformed("The body is not valid CBOR."))?;
        plain(value)?
    };
    Ok(Call { operation, raw, scalars: Scalars::Typed })
}

fn plain(value: Cbor) -> Result<Value, ApiError> {
    let unknown = || ApiError::malformed("The body holds a CBOR type that no member of CloudWatch has.");
    Ok(match value {
        Cbor::Null => Value::Null,
        Cbor::Bool(value) => value.into(),
        Cbor::Integer(value) => i64::try_from(value).map_err(|_| unknown())?.into(),
        // JSON has no literal for these; the shape that meets the word refuses it by name.
        Cbor::Float(value) if value.is_nan() => "NaN".into(),
        Cbor::Float(value) if value.is_infinite() => if value > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        Cbor::Float(value) => value.into(),
        Cbor::Text(value) => value.into(),
        Cbor::Tag(EPOCH_TAG, value) => plain(*value)?,
        Cbor::Array(items) => items.into_iter().map(plain).collect::<Result<_, _>>()?,
        Cbor::Map(members) => members
            .into_iter()
            .map(|(name, value)| Ok((name.into_text().map_err(|_| unknown())?, plain(value)?)))
            .collect::<Result<Map<_, _>, ApiError>>()?
            .into(),
        _ => return Err(unknown()),
    })
}

/// Writes an answer.
pub(super) fn answer(shape: &'static Shape, output: &Value) -> Vec<u8> {
    bytes(&document(shape, output))
}

/// Writes a refusal.
pub(super) fn error(error: &ApiError) -> Vec<u8> {
    let members = error_members(error).map(|(name, text)| (Cbor::from(name), Cbor::from(text)));
    bytes(&Cbor::Map(members.into()))
}

fn bytes(value: &Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("writing to memory cannot fail");
    bytes
}

fn document(shape: &'static Shape, value: &Value) -> Cbor {
    match (shape, value) {
        (Shape::Time, Value::String(text)) => {
            epoch_seconds(text).map_or(Cbor::Null, |seconds| Cbor::Tag(EPOCH_TAG, Box::new(Cbor::Float(seconds))))
        }
        (Shape::List { item, .. }, Value::Array(items)) => {
            Cbor::Array(items.iter().map(|value| document(item, value)).collect())
        }
        (Shape::Map(item), Value::Object(members)) => {
            Cbor::Map(members.iter().map(|(name, value)| (Cbor::from(name.as_str()), document(item, value))).collect())
        }
        (Shape::Structure(_), _) => Cbor::Map(
            present(shape, value).map(|(name, shape, value)| (Cbor::from(name), document(shape, value))).collect(),
        ),
        (Shape::Double, Value::Number(number)) => number.as_f64().map_or(Cbor::Null, Cbor::Float),
        (_, Value::Number(number)) => number.as_i64().map_or(Cbor::Null, Cbor::from),
        (_, Value::String(text)) => Cbor::from(text.as_str()),
        (_, Value::Bool(value)) => Cbor::Bool(*value),
        _ => Cbor::Null,
    }
}
