//! From an HTTP request to a checked call of one operation.

use serde_json::Value;

use crate::admit::admit;
use crate::codec::CBOR_PROTOCOL;
use crate::validate::validate;
use crate::{ApiError, Codec, ErrorCode, HttpReply, Operation, Service};

/// Bytes of a body. An event of Lambda has at most 6 MB, of which base64 leaves 4.5; what is larger never arrives, in an
/// account or on a laptop, and its sender is told so by whoever was to hand it on.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What of an HTTP request decides about the call.
#[derive(Clone, Copy)]
pub struct HttpRequest<'a> {
    /// In upper case.
    pub method: &'a str,
    /// Without the query.
    pub path: &'a str,
    /// The header of a name given in lower case.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// Raw bytes: a transport that brings base64 decodes it first.
    pub body: &'a [u8],
}

/// A call that may be carried out: the operation exists, and its input satisfies the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// What to do.
    pub operation: Operation,
    /// Members of the model only, none of them null; reading it into the type of `wire` does not fail.
    pub input: Value,
    /// How to answer.
    pub codec: Codec,
}

impl Call {
    /// Encodes what the operation returned, the way the request came.
    pub fn reply(&self, result: Result<Value, ApiError>, request_id: &str) -> HttpReply {
        self.codec.reply(self.operation, result, request_id)
    }
}

/// Reads `request`: routes it (spec 0.2), decodes its body, checks types and constraints.
///
/// # Errors
/// The finished answer: UnknownOperationException, SerializationException (malformed or wrongly typed), or
/// ValidationException with every violation.
pub fn decode(request: HttpRequest<'_>, request_id: &str) -> Result<Call, Box<HttpReply>> {
    let route = Route::of(&request);
    route.call(request).map_err(|error| Box::new(route.codec.refuse(route.service, &error, request_id)))
}

/// Whether `request` is addressed to this protocol at all, or to something else served at the same address.
pub fn is_protocol_request(request: &HttpRequest<'_>) -> bool {
    (request.header)("x-amz-target").is_some()
        || (request.header)("smithy-protocol").is_some()
        || request.path.starts_with("/service/")
}

/// Where a request is addressed; what is wrong with the address is found in `operation`.
struct Route<'a> {
    codec: Codec,
    /// Only names the namespace of errors when the operation is unknown.
    service: Service,
    operation: Result<Operation, Misdirected<'a>>,
}

enum Misdirected<'a> {
    NoTarget,
    UnknownService(&'a str),
    UnknownOperation(Service, &'a str),
    NotPosted(&'a str),
    NoSmithyProtocol,
}

impl<'a> Route<'a> {
    fn of(request: &HttpRequest<'a>) -> Self {
        let rpc = request.path.strip_prefix("/service/").and_then(|rest| rest.split_once("/operation/"));
        let (codec, address) = match rpc {
            Some(address) => (Codec::Cbor, Some(address)),
            None => {
                let target = (request.header)("x-amz-target");
                (Codec::Json, target.map(|target| target.split_once('.').unwrap_or((target, ""))))
            }
        };
        let service = address.and_then(|(name, _)| Service::ALL.into_iter().find(|service| service.target() == name));
        let operation = match (address, service) {
            _ if request.method != "POST" => Err(Misdirected::NotPosted(request.method)),
            (None, _) => Err(Misdirected::NoTarget),
            _ if codec == Codec::Cbor && (request.header)("smithy-protocol") != Some(CBOR_PROTOCOL) => {
                Err(Misdirected::NoSmithyProtocol)
            }
            (Some((name, _)), None) => Err(Misdirected::UnknownService(name)),
            (Some((_, name)), Some(service)) => {
                Operation::find(service, name).ok_or(Misdirected::UnknownOperation(service, name))
            }
        };
        Self { codec, service: service.unwrap_or(Service::CodePipeline), operation }
    }

    fn call(&self, request: HttpRequest<'_>) -> Result<Call, ApiError> {
        let operation = match &self.operation {
            Ok(operation) => *operation,
            Err(misdirected) => {
                return Err(ApiError::new(ErrorCode::UnknownOperationException, misdirected.advice()));
            }
        };
        if request.body.len() > BODY_BYTES_MAX {
            let message =
                format!("The request body has {} bytes; at most {BODY_BYTES_MAX} are read", request.body.len());
            return Err(ApiError::new(ErrorCode::SerializationException, message));
        }
        let model = operation.service().model();
        let shape = operation.shapes().input;
        let input = admit(model, shape, self.codec.read(request.body)?)
            .map_err(|wrong| ApiError::new(ErrorCode::SerializationException, wrong.to_string()))?;
        validate(model, shape, &input).map_err(|text| ApiError::new(ErrorCode::ValidationException, text))?;
        Ok(Call { operation, input, codec: self.codec })
    }
}

impl Misdirected<'_> {
    fn advice(&self) -> String {
        let targets = Service::ALL.map(Service::target).join(" and ");
        match self {
            Self::NoTarget => format!(
                "The request names no operation: send the header X-Amz-Target: <service>.<operation>; services are {targets}"
            ),
            Self::UnknownService(name) => format!("Service '{}' is unknown; services are {targets}", short(name)),
            Self::UnknownOperation(service, name) => {
                format!("Service {} has no operation '{}'", service.target(), short(name))
            }
            Self::NotPosted(method) => {
                format!("Operations are called by POST, not {}", short(method))
            }
            Self::NoSmithyProtocol => {
                format!("An operation called by its path needs the header smithy-protocol: {CBOR_PROTOCOL}")
            }
        }
    }
}

/// The start of a name from outside, enough to recognise it.
fn short(name: &str) -> String {
    name.chars().take(128).collect()
}
