//! AWS JSON 1.0.

use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};

use super::{Call, SERVICE, epoch_seconds, error_members, present};
use crate::{
    error::ApiError,
    operations::Operation,
    schema::{Scalars, Shape},
};

/// The content type of answers.
pub(super) const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// Reads a call: the operation from `X-Amz-Target`, the input from the body, which may be empty.
pub(super) fn decode(headers: &HeaderMap, bytes: &[u8]) -> Result<Call, ApiError> {
    let target = headers.get("x-amz-target").map(HeaderValue::to_str).and_then(Result::ok).unwrap_or_default();
    let name = target
        .strip_prefix(SERVICE)
        .and_then(|rest| rest.strip_prefix('.'))
        .ok_or_else(|| ApiError::unknown_operation(target))?;
    let operation = Operation::named(name)?;
    let raw = if bytes.is_empty() {
        json!({})
    } else {
        serde_json::from_slice(bytes)
            .map_err(|error| ApiError::malformed(format!("The body is not valid JSON: {error}")))?
    };
    Ok(Call { operation, raw, scalars: Scalars::Typed })
}

/// Writes an answer.
pub(super) fn answer(shape: Option<&'static Shape>, output: &Value) -> Vec<u8> {
    let document = shape.map_or_else(|| json!({}), |shape| document(shape, output));
    document.to_string().into_bytes()
}

/// Writes a refusal.
pub(super) fn error(error: &ApiError) -> Vec<u8> {
    let members: Map<String, Value> =
        error_members(error).into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
    Value::Object(members).to_string().into_bytes()
}

fn document(shape: &'static Shape, value: &Value) -> Value {
    match (shape, value) {
        (Shape::Time, Value::String(text)) => epoch_seconds(text).into(),
        (Shape::List { item, .. }, Value::Array(items)) => items.iter().map(|value| document(item, value)).collect(),
        (Shape::Structure(_), _) => present(shape, value)
            .map(|(name, shape, value)| (name.to_owned(), document(shape, value)))
            .collect::<Map<_, _>>()
            .into(),
        _ => value.clone(),
    }
}
