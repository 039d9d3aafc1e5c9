//! Bodies nobody should send: whatever they are, the answer is a call or a refusal with status 400.

use proptest::prelude::*;
use protocol::{Call, Codec, HttpReply, HttpRequest, Operation, decode};
use serde_json::Value;

use crate::samples::{maximal, minimal};
use crate::send::{REQUEST_ID, post_cbor, post_json, refusal};
use crate::table::input;

fn settled(codec: Codec, result: Result<Call, Box<HttpReply>>) {
    if let Err(reply) = result {
        assert_eq!(reply.status, 400);
        let (kind, _) = refusal(codec, &reply);
        assert!(matches!(kind.as_str(), "SerializationException" | "ValidationException"), "{kind}");
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    proptest::sample::select(Operation::ALL)
}

/// A body a client would send, with some bytes replaced.
fn mutated(operation: Operation, in_cbor: bool, changes: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    let value = minimal(input(operation));
    let mut body = Vec::new();
    if in_cbor {
        ciborium::into_writer(&value, &mut body).unwrap();
    } else {
        body = value.to_string().into_bytes();
    }
    for (place, byte) in changes {
        let place = place.index(body.len());
        body[place] = *byte;
    }
    body
}

/// Any JSON value, with names the models know among the others.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        proptest::sample::select(vec!["name", "pipeline", "stages", "actions", "tags", "configuration", "maxResults"])
            .prop_map(str::to_owned),
        "\\PC{0,8}",
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn random_bytes_never_panic(operation in operation(), body in prop::collection::vec(any::<u8>(), 0..256)) {
        settled(Codec::Json, post_json(operation, &body));
        settled(Codec::Cbor, post_cbor(operation, &body));
    }

    #[test]
    fn mutated_bodies_never_panic(
        operation in operation(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        settled(Codec::Json, post_json(operation, &mutated(operation, false, &changes)));
        settled(Codec::Cbor, post_cbor(operation, &mutated(operation, true, &changes)));
    }

    #[test]
    fn both_codecs_judge_a_value_alike(operation in operation(), value in any_value()) {
        let mut body = Vec::new();
        ciborium::into_writer(&value, &mut body).unwrap();
        match (post_json(operation, value.to_string().as_bytes()), post_cbor(operation, &body)) {
            (Ok(json), Ok(cbor)) => prop_assert_eq!(json.input, cbor.input),
            (Err(json), Err(cbor)) => prop_assert_eq!(refusal(Codec::Json, &json), refusal(Codec::Cbor, &cbor)),
            _ => prop_assert!(false, "one codec accepts what the other refuses"),
        }
    }

    #[test]
    fn random_addresses_never_panic(path in "\\PC{0,40}", target in "\\PC{0,40}", method in "[A-Z]{0,8}") {
        let header = |name: &str| (name == "x-amz-target").then_some(target.as_str());
        let request = HttpRequest { method: &method, path: &path, header: &header, body: b"{}" };
        if let Err(reply) = decode(request, REQUEST_ID) {
            prop_assert_eq!(reply.status, 400);
        }
    }
}

#[test]
fn every_truncation_of_a_large_body_is_refused() {
    let value = maximal(input(Operation::PutWebhook));
    let mut body = Vec::new();
    ciborium::into_writer(&value, &mut body).unwrap();
    for end in (1..body.len()).step_by(7) {
        settled(Codec::Cbor, Err(post_cbor(Operation::PutWebhook, &body[..end]).unwrap_err()));
    }
    let body = value.to_string();
    for end in (1..body.len()).step_by(7) {
        settled(Codec::Json, Err(post_json(Operation::PutWebhook, &body.as_bytes()[..end]).unwrap_err()));
    }
}
