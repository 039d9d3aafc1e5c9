//! Valid values of every operation, through both codecs and back.

use ciborium::Value as Cbor;
use protocol::{Codec, Operation};
use serde_json::{Value, json};

use crate::samples::{maximal, minimal};
use crate::send::{REQUEST_ID, header, post_cbor, post_json, send};
use crate::table::{Shape, input, output};

#[test]
fn the_least_and_the_largest_valid_input_pass_in_both_codecs() {
    for operation in Operation::ALL {
        for value in [minimal(input(*operation)), maximal(input(*operation))] {
            for codec in [Codec::Json, Codec::Cbor] {
                let call = send(codec, *operation, &value)
                    .unwrap_or_else(|reply| panic!("{}: {}", operation.name(), String::from_utf8_lossy(&reply.body)));
                assert_eq!((call.operation, call.codec), (*operation, codec));
                assert_eq!(call.input, value, "{}", operation.name());
            }
        }
    }
}

#[test]
fn an_empty_body_is_an_empty_structure() {
    for call in [post_json(Operation::ListPipelines, b""), post_cbor(Operation::ListPipelines, b"")] {
        assert_eq!(call.unwrap().input, json!({}));
    }
}

#[test]
fn every_output_reads_back_the_same_in_both_codecs() {
    for operation in Operation::ALL {
        let Some(shape) = output(*operation) else {
            continue;
        };
        for value in [minimal(shape), maximal(shape)] {
            let reply = Codec::Json.reply(*operation, Ok(value.clone()), REQUEST_ID);
            assert_eq!((reply.status, header(&reply, "content-type")), (200, Some("application/x-amz-json-1.1")));
            assert_eq!(header(&reply, "x-amzn-requestid"), Some(REQUEST_ID));
            assert_eq!(serde_json::from_slice::<Value>(&reply.body).unwrap(), value, "{}", operation.name());

            let reply = Codec::Cbor.reply(*operation, Ok(value.clone()), REQUEST_ID);
            assert_eq!((reply.status, header(&reply, "content-type")), (200, Some("application/cbor")));
            assert_eq!(header(&reply, "smithy-protocol"), Some("rpc-v2-cbor"));
            assert_eq!(header(&reply, "x-amzn-requestid"), Some(REQUEST_ID));
            let item: Cbor = ciborium::from_reader(reply.body.as_slice()).unwrap();
            assert_eq!(untagged(shape, &item), value, "{}", operation.name());
        }
    }
}

#[test]
fn an_operation_without_output_answers_with_nothing() {
    for operation in Operation::ALL.iter().filter(|operation| output(**operation).is_none()) {
        for codec in [Codec::Json, Codec::Cbor] {
            let reply = codec.reply(*operation, Ok(Value::Null), REQUEST_ID);
            assert_eq!((reply.status, reply.body.as_slice()), (200, b"".as_slice()));
            assert_eq!(header(&reply, "x-amzn-requestid"), Some(REQUEST_ID));
            assert_eq!(header(&reply, "content-type").is_none(), codec == Codec::Cbor);
        }
    }
    let reply = Codec::Json.reply(Operation::TagResource, Ok(Value::Null), REQUEST_ID);
    assert_eq!(reply.body, b"{}");
}

#[test]
fn null_and_unknown_members_of_an_output_are_left_out() {
    let answer = json!({"pipelineExecutionId": null, "newRevision": true, "ours": 1});
    let reply = Codec::Json.reply(Operation::PutActionRevision, Ok(answer), REQUEST_ID);
    assert_eq!(reply.body, br#"{"newRevision":true}"#);
}

#[test]
fn an_output_of_the_wrong_type_is_our_fault() {
    let answer = json!({"pipelineExecutionId": 5});
    let reply = Codec::Json.reply(Operation::RollbackStage, Ok(answer), REQUEST_ID);
    assert_eq!((reply.status, header(&reply, "x-amzn-errortype")), (500, Some("InternalFailure")));
}

/// The JSON value of a CBOR item; timestamps, and nothing else, must be tagged.
fn untagged(shape: Shape, item: &Cbor) -> Value {
    match (shape.kind(), item) {
        ("structure", Cbor::Map(entries)) => entries
            .iter()
            .map(|(key, value)| {
                let (name, member, _) =
                    shape.members().into_iter().find(|(name, _, _)| key.as_text() == Some(*name)).unwrap();
                (name.to_owned(), untagged(member, value))
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        ("list", Cbor::Array(items)) => items.iter().map(|item| untagged(shape.part("member"), item)).collect(),
        ("map", Cbor::Map(entries)) => entries
            .iter()
            .map(|(key, value)| (key.as_text().unwrap().to_owned(), untagged(shape.part("value"), value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        ("timestamp", Cbor::Tag(1, seconds)) => seconds.as_float().unwrap().into(),
        ("string", Cbor::Text(text)) => text.as_str().into(),
        ("integer", Cbor::Integer(whole)) => i64::try_from(*whole).unwrap().into(),
        ("boolean", Cbor::Bool(truth)) => (*truth).into(),
        (kind, other) => panic!("{other:?} is no {kind}"),
    }
}
