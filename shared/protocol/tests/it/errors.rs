//! Exact bytes of refusals, and requests that go nowhere.

use protocol::{
    ApiError, BODY_BYTES_MAX, Codec, ErrorCode, HttpReply, HttpRequest, Operation, Service, decode, is_protocol_request,
};
use serde_json::json;

use crate::send::{REQUEST_ID, header, post_cbor, post_json, refusal};

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> HttpReply {
    let find = |name: &str| headers.iter().find(|(header, _)| *header == name).map(|(_, value)| *value);
    let request = HttpRequest { method, path, header: &find, body: b"" };
    *decode(request, REQUEST_ID).expect_err("the request is addressed to nothing")
}

#[test]
fn a_json_error_has_the_form_of_the_spec() {
    let error = ApiError::new(
        ErrorCode::PipelineNotFoundException,
        "Account '111122223333' does not have a pipeline with name 'shop'",
    );
    let reply = Codec::Json.reply(Operation::GetPipeline, Err(error), REQUEST_ID);
    assert_eq!(reply.status, 400);
    let expected = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amzn-errortype", "PipelineNotFoundException"),
        ("x-amzn-requestid", REQUEST_ID),
    ];
    assert_eq!(reply.headers, expected.map(|(name, value)| (name, value.to_owned())));
    assert_eq!(
        String::from_utf8(reply.body).unwrap(),
        r#"{"__type":"PipelineNotFoundException","message":"Account '111122223333' does not have a pipeline with name 'shop'"}"#
    );
}

#[test]
fn a_cbor_error_carries_the_namespace_and_the_newer_status() {
    let error = || ApiError::new(ErrorCode::ConflictException, "busy");
    let reply = Codec::Cbor.reply(Operation::RollbackStage, Err(error()), REQUEST_ID);
    assert_eq!(reply.status, 409);
    let body: serde_json::Value = ciborium::from_reader(reply.body.as_slice()).unwrap();
    assert_eq!(body, json!({"__type": "com.amazonaws.codepipeline#ConflictException", "message": "busy"}));
    assert_eq!(Codec::Json.reply(Operation::RollbackStage, Err(error()), REQUEST_ID).status, 400);
}

#[test]
fn faults_of_ours_are_5xx_in_both_codecs() {
    for (code, status) in [(ErrorCode::InternalFailure, 500), (ErrorCode::ServiceUnavailable, 503)] {
        for codec in [Codec::Json, Codec::Cbor] {
            let reply = codec.refuse(Service::CodePipeline, &ApiError::new(code, "try again"), REQUEST_ID);
            assert_eq!(reply.status, status);
            assert_eq!(refusal(codec, &reply), (code.name().to_owned(), "try again".to_owned()));
        }
    }
}

#[test]
fn requests_that_go_nowhere_are_told_why() {
    let rpc = ("smithy-protocol", "rpc-v2-cbor");
    let cases = [
        (Codec::Json, request("POST", "/", &[]), "The request names no operation: send the header X-Amz-Target"),
        (Codec::Json, request("POST", "/", &[("x-amz-target", "Nope")]), "Service 'Nope' is unknown"),
        (
            Codec::Json,
            request("POST", "/", &[("x-amz-target", "CodePipeline_20150709.Nope")]),
            "Service CodePipeline_20150709 has no operation 'Nope'",
        ),
        (
            Codec::Json,
            request("GET", "/", &[("x-amz-target", "CodePipeline_20150709.GetPipeline")]),
            "Operations are called by POST, not GET",
        ),
        (
            Codec::Cbor,
            request("POST", "/service/CodePipeline_20150709/operation/GetPipeline", &[]),
            "An operation called by its path needs the header smithy-protocol: rpc-v2-cbor",
        ),
        (
            Codec::Cbor,
            request("POST", "/service/CodePipeline_20150709/operation/GetPipeline/x", &[rpc]),
            "Service CodePipeline_20150709 has no operation 'GetPipeline/x'",
        ),
        (Codec::Cbor, request("POST", "/service/X/operation/GetPipeline", &[rpc]), "Service 'X' is unknown"),
    ];
    for (codec, reply, expected) in cases {
        let (kind, text) = refusal(codec, &reply);
        assert_eq!((kind.as_str(), reply.status), ("UnknownOperationException", 400));
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn unreadable_bodies_are_refused() {
    let deep = "[".repeat(200);
    for body in ["{", "nope", "{}x", "\u{feff}{}", deep.as_str(), "{\"name\": \"\\ud800\"}"] {
        let reply = post_json(Operation::GetPipeline, body.as_bytes()).unwrap_err();
        let (kind, text) = refusal(Codec::Json, &reply);
        assert_eq!(kind, "SerializationException");
        assert!(text.starts_with("The request body is not valid JSON: "), "{text}");
    }
    let too_large = vec![b' '; BODY_BYTES_MAX + 1];
    for (codec, reply) in [
        (Codec::Json, post_json(Operation::GetPipeline, &too_large).unwrap_err()),
        (Codec::Cbor, post_cbor(Operation::GetPipeline, &too_large).unwrap_err()),
    ] {
        let (kind, text) = refusal(codec, &reply);
        assert_eq!(kind, "SerializationException");
        assert!(text.contains("at most 4194304 are read"), "{text}");
    }
}

#[test]
fn the_protocol_knows_its_own_requests() {
    let addressed = |path: &str, headers: &[&str]| {
        let find = |name: &str| headers.contains(&name).then_some("x");
        is_protocol_request(&HttpRequest { method: "POST", path, header: &find, body: b"" })
    };
    assert!(addressed("/", &["x-amz-target"]));
    assert!(addressed("/service/CodePipeline_20150709/operation/GetPipeline", &["smithy-protocol"]));
    assert!(!addressed("/console", &["accept"]));
}

#[test]
fn an_unmodelled_error_has_no_namespace_in_cbor() {
    let error = ApiError::new(ErrorCode::AccessDeniedException, "no");
    let reply = Codec::Cbor.refuse(Service::Lastgood, &error, REQUEST_ID);
    let body: serde_json::Value = ciborium::from_reader(reply.body.as_slice()).unwrap();
    assert_eq!(body, json!({"__type": "AccessDeniedException", "message": "no"}));
    assert_eq!(header(&reply, "x-amzn-errortype"), None);
}
