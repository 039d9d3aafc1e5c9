//! Refusals in the words and forms that each service's clients know.

use axum::body::Body;
use http::{HeaderMap, Response, Uri, header};
use protocol::{ApiError, Codec, HttpReply, signature::SignatureError};

use crate::front::Service;

/// An answer of `service` to a request that may not be served.
pub(crate) fn response(
    service: Service,
    uri: &Uri,
    headers: &HeaderMap,
    error: SignatureError,
    request_id: &str,
) -> Response<Body> {
    let is_presigned = uri.query().is_some_and(|query| query.contains("X-Amz-Algorithm="));
    match service {
        Service::S3 => s3(&error, is_presigned, request_id),
        Service::Lambda => rest(error, request_id),
        Service::Sts => query(&error, "https://sts.amazonaws.com/doc/2011-06-15/", request_id),
        _ if uri.path().starts_with("/service/") => rpc(Codec::Cbor, service, error, request_id),
        Service::CloudWatch if !headers.contains_key("x-amz-target") => {
            query(&error, "http://monitoring.amazonaws.com/doc/2010-08-01/", request_id)
        }
        _ => rpc(Codec::Json, service, error, request_id),
    }
}

/// AWS JSON and RPC v2 CBOR.
fn rpc(codec: Codec, service: Service, error: SignatureError, request_id: &str) -> Response<Body> {
    // Errors of this kind have no namespace, so it is all one whose they are.
    let mut reply = codec.refuse(protocol::Service::CodePipeline, &ApiError::from(error), request_id);
    if codec == Codec::Json && service != Service::Api {
        for (name, value) in &mut reply.headers {
            if *name == "content-type" {
                *value = "application/x-amz-json-1.0".to_owned();
            }
        }
    }
    from_reply(reply)
}

/// Lambda's REST protocol.
fn rest(error: SignatureError, request_id: &str) -> Response<Body> {
    let reply = Codec::Json.refuse(protocol::Service::CodePipeline, &ApiError::from(error), request_id);
    from_reply(HttpReply { status: 403, ..reply })
}

/// AWS Query.
fn query(error: &SignatureError, namespace: &str, request_id: &str) -> Response<Body> {
    let (status, code) = match error {
        SignatureError::Missing => (403, "MissingAuthenticationToken"),
        SignatureError::Incomplete(_) => (400, "IncompleteSignature"),
        SignatureError::UnknownKey | SignatureError::WrongToken => (403, "InvalidClientTokenId"),
        SignatureError::ExpiredToken => (403, "ExpiredToken"),
        _ => (403, "SignatureDoesNotMatch"),
    };
    let body = format!(
        "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>Sender</Type><Code>{code}</Code><Message>{}</Message></Error>\
         <RequestId>{request_id}</RequestId></ErrorResponse>",
        escaped(&error.to_string())
    );
    xml(status, "text/xml", body, "x-amzn-requestid", request_id)
}

/// S3's XML, with S3's own codes.
fn s3(error: &SignatureError, is_presigned: bool, request_id: &str) -> Response<Body> {
    let (status, code, message) = match error {
        SignatureError::Missing => (403, "AccessDenied", "Access Denied".to_owned()),
        SignatureError::UnknownKey => {
            (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.".to_owned())
        }
        SignatureError::WrongToken => {
            (400, "InvalidToken", "The provided token is malformed or otherwise invalid.".to_owned())
        }
        SignatureError::ExpiredToken => (400, "ExpiredToken", "The provided token has expired.".to_owned()),
        SignatureError::Incomplete(text) | SignatureError::Scope(text) if is_presigned => {
            (400, "AuthorizationQueryParametersError", text.clone())
        }
        SignatureError::Incomplete(text) | SignatureError::Scope(text) => {
            (400, "AuthorizationHeaderMalformed", format!("The authorization header is malformed; {text}"))
        }
        SignatureError::Skewed(_) if is_presigned => (403, "AccessDenied", "Request has expired".to_owned()),
        SignatureError::Skewed(_) => {
            let text = "The difference between the request time and the current time is too large.";
            (403, "RequestTimeTooSkewed", text.to_owned())
        }
        SignatureError::UnsignedHeaders(_) => (403, "AccessDenied", error.to_string()),
        SignatureError::Mismatch => (403, "SignatureDoesNotMatch", error.to_string()),
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{}</Message>\
         <RequestId>{request_id}</RequestId></Error>",
        escaped(&message)
    );
    xml(status, "application/xml", body, "x-amz-request-id", request_id)
}

fn xml(status: u16, content_type: &str, body: String, id_header: &str, request_id: &str) -> Response<Body> {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, content_type);
    response.header(id_header, request_id).body(Body::from(body)).expect("names and values are constants and an id")
}

fn from_reply(reply: HttpReply) -> Response<Body> {
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).expect("the protocol makes valid headers")
}

/// Texts quote what clients sent.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
