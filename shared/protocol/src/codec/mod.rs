//! The two ways a value travels: AWS JSON 1.1 and Smithy RPC v2 CBOR (spec 0.1).

mod cbor;
mod json;

use serde_json::{Map, Value};

use crate::admit::admit;
use crate::{ApiError, ErrorCode, Operation, Service};

/// Levels of lists and maps in a body. The deepest input of the model has ten; JSON's reader stops at 128 by itself.
pub const NESTING_MAX: usize = 64;

/// How a request came, and therefore how its answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// AWS JSON 1.1: `POST /` with `X-Amz-Target`.
    Json,
    /// Smithy RPC v2 CBOR: `POST /service/<service>/operation/<operation>`.
    Cbor,
}

/// An HTTP answer, complete but for `content-length`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply {
    /// Status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// CBOR bodies are binary: where a transport wants text, encode it as base64.
    pub body: Vec<u8>,
}

impl Codec {
    /// Encodes what `operation` returned.
    ///
    /// `null` members and members the model does not know are left out; an output of another type than the model's is
    /// our fault and becomes InternalFailure.
    pub fn reply(self, operation: Operation, result: Result<Value, ApiError>, request_id: &str) -> HttpReply {
        match result.and_then(|output| shaped_output(operation, output)) {
            Ok(output) => self.success(operation, output.as_ref(), request_id),
            Err(error) => self.refuse(operation.service(), &error, request_id),
        }
    }

    /// Encodes `error`, also where no operation was found or allowed.
    pub fn refuse(self, service: Service, error: &ApiError, request_id: &str) -> HttpReply {
        match self {
            Self::Json => HttpReply {
                status: error.code.json_status(),
                headers: vec![
                    ("content-type", json::CONTENT_TYPE.to_owned()),
                    ("x-amzn-errortype", error.code.name().to_owned()),
                    ("x-amzn-requestid", request_id.to_owned()),
                ],
                body: json::encode(&error_body(error.code.name().to_owned(), error)),
            },
            Self::Cbor => {
                let name = match error.code.is_modelled() {
                    true => format!("{}#{}", service.model().namespace, error.code.name()),
                    false => error.code.name().to_owned(),
                };
                HttpReply {
                    status: error.code.cbor_status(),
                    headers: cbor_headers(true, request_id),
                    body: cbor::encode_plain(&error_body(name, error)),
                }
            }
        }
    }

    /// Reads a body into a value, whatever its shape; an empty one is an empty structure.
    pub(crate) fn read(self, body: &[u8]) -> Result<Value, ApiError> {
        if body.is_empty() {
            return Ok(Value::Object(Map::new()));
        }
        let read = match self {
            Self::Json => json::decode(body),
            Self::Cbor => cbor::decode(body),
        };
        read.map_err(|reason| ApiError::new(ErrorCode::SerializationException, reason))
    }

    fn success(self, operation: Operation, output: Option<&Value>, request_id: &str) -> HttpReply {
        let model = operation.service().model();
        let shape = operation.shapes().output;
        match self {
            Self::Json => HttpReply {
                status: 200,
                headers: vec![
                    ("content-type", json::CONTENT_TYPE.to_owned()),
                    ("x-amzn-requestid", request_id.to_owned()),
                ],
                body: output.map(json::encode).unwrap_or_default(),
            },
            Self::Cbor => HttpReply {
                status: 200,
                headers: cbor_headers(output.is_some(), request_id),
                body: shape.zip(output).map(|(shape, output)| cbor::encode(model, shape, output)).unwrap_or_default(),
            },
        }
    }
}

/// The output as its shape has it; `None` for an operation whose answers have no body.
fn shaped_output(operation: Operation, output: Value) -> Result<Option<Value>, ApiError> {
    let Some(shape) = operation.shapes().output else {
        return Ok(None);
    };
    let output = if output.is_null() { Value::Object(Map::new()) } else { output };
    admit(operation.service().model(), shape, output).map(Some).map_err(|wrong| {
        let message = format!("{} made an answer that its model does not allow: {wrong}", operation.name());
        ApiError::new(ErrorCode::InternalFailure, message)
    })
}

fn error_body(name: String, error: &ApiError) -> Value {
    let members =
        [("__type".to_owned(), Value::from(name)), ("message".to_owned(), Value::from(error.message.as_str()))];
    Value::Object(Map::from_iter(members))
}

fn cbor_headers(has_body: bool, request_id: &str) -> Vec<(&'static str, String)> {
    let mut headers = vec![("smithy-protocol", cbor::PROTOCOL.to_owned()), ("x-amzn-requestid", request_id.to_owned())];
    if has_body {
        headers.push(("content-type", cbor::CONTENT_TYPE.to_owned()));
    }
    headers
}

pub(crate) use cbor::PROTOCOL as CBOR_PROTOCOL;
