//! HTTP: which protocol a request speaks, and the way from bytes to an operation and back.

mod cbor;
mod json;
mod query;
mod xml;

use std::io::Read;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header, request::Parts};
use serde_json::Value;

use crate::{
    error::ApiError,
    operations::Operation,
    schema::{self, Scalars, Shape},
    service::CloudWatch,
};

/// The largest body, compressed or not: four times what CloudWatch's largest request, `PutMetricData`, may be.
const BODY_MAX: usize = 4 << 20;

/// The service's name in targets and paths.
const SERVICE: &str = "GraniteServiceVersion20100801";

/// The namespace of error shapes.
const NAMESPACE: &str = "com.amazonaws.cloudwatch";

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// AWS Query: a form in, XML out.
    Query,
    /// AWS JSON 1.0.
    Json,
    /// Smithy RPC v2 CBOR.
    Cbor,
}

/// A request as its codec read it.
struct Call {
    operation: &'static Operation,
    raw: Value,
    scalars: Scalars,
}

/// The router: every path leads to the same service, as on its real address.
pub(crate) fn router(service: CloudWatch) -> Router {
    Router::new().fallback(answer).with_state(service)
}

async fn answer(State(service): State<CloudWatch>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let protocol = protocol_of(&parts);
    let request_id = service.request_id();
    let performed = match read_body(&parts.headers, body).await {
        Ok(bytes) => {
            // The disk is waited for on a thread that may wait.
            let performed = tokio::task::spawn_blocking(move || perform(&service, protocol, &parts, &bytes)).await;
            performed.unwrap_or_else(|panic| Err(ApiError::internal(&panic)))
        }
        Err(error) => Err(error),
    };
    let (status, content_type, bytes) = match &performed {
        Ok((operation, output)) => {
            let (content_type, bytes) = protocol.encode(operation, output, &request_id);
            (200, content_type, bytes)
        }
        Err(error) => {
            let (content_type, bytes) = protocol.encode_error(error, &request_id);
            (error.status, content_type, bytes)
        }
    };
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    if protocol == Protocol::Cbor {
        headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    }
    if let Ok(id) = HeaderValue::try_from(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    if let (Err(error), true) = (&performed, protocol != Protocol::Query) {
        // The service once spoke Query only, and clients still look for its error codes, here.
        let fault = if error.status < 500 { "Sender" } else { "Receiver" };
        if let Ok(code) = HeaderValue::try_from(format!("{};{fault}", error.code)) {
            headers.insert("x-amzn-query-error", code);
        }
    }
    response
}

fn perform(
    service: &CloudWatch,
    protocol: Protocol,
    parts: &Parts,
    bytes: &Bytes,
) -> Result<(&'static Operation, Value), ApiError> {
    if parts.method != Method::POST {
        return Err(ApiError::malformed("CloudWatch takes POST requests only."));
    }
    let call = protocol.decode(parts, bytes)?;
    let input = schema::read(call.operation.input, call.raw, call.scalars, "")?;
    schema::check(call.operation.input, &input)?;
    let output = service.call(call.operation, input)?;
    Ok((call.operation, output))
}

fn protocol_of(parts: &Parts) -> Protocol {
    if parts.uri.path().starts_with("/service/") || parts.headers.contains_key("smithy-protocol") {
        Protocol::Cbor
    } else if parts.headers.contains_key("x-amz-target") {
        Protocol::Json
    } else {
        Protocol::Query
    }
}

impl Protocol {
    fn decode(self, parts: &Parts, bytes: &[u8]) -> Result<Call, ApiError> {
        match self {
            Protocol::Query => query::decode(bytes),
            Protocol::Json => json::decode(&parts.headers, bytes),
            Protocol::Cbor => cbor::decode(parts.uri.path(), bytes),
        }
    }

    fn encode(self, operation: &Operation, output: &Value, request_id: &str) -> (Option<&'static str>, Vec<u8>) {
        match self {
            Protocol::Query => (Some(xml::CONTENT_TYPE), xml::answer(operation, output, request_id)),
            Protocol::Json => (Some(json::CONTENT_TYPE), json::answer(operation.output, output)),
            Protocol::Cbor => match operation.output {
                Some(shape) => (Some(cbor::CONTENT_TYPE), cbor::answer(shape, output)),
                // Operations without a result answer with nothing at all.
                None => (None, Vec::new()),
            },
        }
    }

    fn encode_error(self, error: &ApiError, request_id: &str) -> (Option<&'static str>, Vec<u8>) {
        match self {
            Protocol::Query => (Some(xml::CONTENT_TYPE), xml::error(error, request_id)),
            Protocol::Json => (Some(json::CONTENT_TYPE), json::error(error)),
            Protocol::Cbor => (Some(cbor::CONTENT_TYPE), cbor::error(error)),
        }
    }
}

/// The members of an error in the documents of JSON and CBOR.
fn error_members(error: &ApiError) -> [(&'static str, String); 2] {
    // The model spells the text of this one fault with a capital.
    let message = if error.status < 500 { "message" } else { "Message" };
    [("__type", format!("{NAMESPACE}#{}", error.shape)), (message, error.message.clone())]
}

/// Seconds since 1970 of a canonical time.
fn epoch_seconds(text: &str) -> Option<f64> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(at.as_millisecond() as f64 / 1000.0)
}

/// The members of a structure that are there, in the order of its shape.
fn present<'a>(
    shape: &'static Shape,
    value: &'a Value,
) -> impl Iterator<Item = (&'static str, &'static Shape, &'a Value)> {
    let members: &'static [schema::Member] = match shape {
        Shape::Structure(members) => members,
        _ => &[],
    };
    members.iter().filter_map(move |member| {
        let value = value.get(member.name).filter(|value| !value.is_null())?;
        Some((member.name, member.shape, value))
    })
}

async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::too_large(format!("A request body must not exceed {BODY_MAX} bytes."));
    let bytes = to_bytes(body, BODY_MAX).await.map_err(|_| too_large())?;
    match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity" | b"") => Ok(bytes),
        Some(b"gzip") => {
            let mut inflated = Vec::new();
            flate2::read::MultiGzDecoder::new(&*bytes)
                .take(BODY_MAX as u64 + 1)
                .read_to_end(&mut inflated)
                .map_err(|_| ApiError::malformed("The body is not valid gzip."))?;
            if inflated.len() > BODY_MAX {
                return Err(too_large());
            }
            Ok(inflated.into())
        }
        Some(_) => Err(ApiError::malformed("The body's Content-Encoding is not known here; use gzip or none.")),
    }
}
