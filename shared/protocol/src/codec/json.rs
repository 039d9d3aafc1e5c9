//! AWS JSON 1.1 bodies. Timestamps are numbers already, so a shape is not needed.

use serde_json::Value;

pub(super) const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// Reads one JSON document; the text says where it breaks off.
pub(super) fn decode(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| format!("The request body is not valid JSON: {error}"))
}

pub(super) fn encode(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
