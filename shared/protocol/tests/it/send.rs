//! Sends a value to `decode` the way a client would, in either codec.

use ciborium::Value as Cbor;
use protocol::{Call, Codec, HttpReply, HttpRequest, Operation, decode};
use serde_json::Value;

pub(crate) const REQUEST_ID: &str = "6f0c0000-0000-4000-8000-000000000001";

pub(crate) fn send(codec: Codec, operation: Operation, input: &Value) -> Result<Call, Box<HttpReply>> {
    match codec {
        Codec::Json => post_json(operation, input.to_string().as_bytes()),
        Codec::Cbor => {
            let mut body = Vec::new();
            ciborium::into_writer(input, &mut body).unwrap();
            post_cbor(operation, &body)
        }
    }
}

pub(crate) fn post_json(operation: Operation, body: &[u8]) -> Result<Call, Box<HttpReply>> {
    let target = format!("{}.{}", operation.service().target(), operation.name());
    let header = |name: &str| (name == "x-amz-target").then_some(target.as_str());
    decode(HttpRequest { method: "POST", path: "/", header: &header, body }, REQUEST_ID)
}

pub(crate) fn post_cbor(operation: Operation, body: &[u8]) -> Result<Call, Box<HttpReply>> {
    let path = format!("/service/{}/operation/{}", operation.service().target(), operation.name());
    let header = |name: &str| (name == "smithy-protocol").then_some("rpc-v2-cbor");
    decode(HttpRequest { method: "POST", path: &path, header: &header, body }, REQUEST_ID)
}

/// Error type and text of a refusal, with the codec's framing checked on the way.
pub(crate) fn refusal(codec: Codec, reply: &HttpReply) -> (String, String) {
    let body: Value = match codec {
        Codec::Json => serde_json::from_slice(&reply.body).unwrap(),
        Codec::Cbor => ciborium::from_reader::<Cbor, _>(reply.body.as_slice()).unwrap().deserialized().unwrap(),
    };
    let kind = body["__type"].as_str().unwrap();
    let kind = kind.rsplit_once('#').map_or(kind, |(_, kind)| kind).to_owned();
    assert_eq!(header(reply, "x-amzn-requestid"), Some(REQUEST_ID));
    match codec {
        Codec::Json => {
            assert_eq!(header(reply, "content-type"), Some("application/x-amz-json-1.1"));
            assert_eq!(header(reply, "x-amzn-errortype"), Some(kind.as_str()));
        }
        Codec::Cbor => {
            assert_eq!(header(reply, "content-type"), Some("application/cbor"));
            assert_eq!(header(reply, "smithy-protocol"), Some("rpc-v2-cbor"));
        }
    }
    (kind, body["message"].as_str().unwrap().to_owned())
}

pub(crate) fn header<'a>(reply: &'a HttpReply, name: &str) -> Option<&'a str> {
    reply.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str())
}
