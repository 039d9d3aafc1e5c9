//! Requests nobody should send: whatever they are, the answer is an output or an error that the operation declares.
//!
//! A run is its seed: valid inputs made from the model, with names that exist, changed as values, then as bytes, then in
//! their headers. `LASTGOOD_FUZZ_REQUESTS` and `LASTGOOD_FUZZ_SEED` change how many and which. What a run finds goes into
//! `findings/`, one file a request, and is sent again by every run.

mod chance;
mod inputs;
mod mutate;

use std::collections::BTreeMap;

use api::{ApiEvent, ApiReply};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use protocol::{Codec, ErrorCode, Operation};
use serde_json::{Value, json};

use crate::world::{Bench, event, shop};
use chance::Chance;
use inputs::Inputs;

/// Enough to meet every operation in both codecs a few dozen times.
const REQUESTS: u64 = 5_000;
const SEED: u64 = 20_261_126;
/// Requests to one world: its table grows with each execution that is started.
const REQUESTS_PER_WORLD: u64 = 5_000;
/// Errors that the model does not declare, but the service is known to answer (spec 1.9).
const UNDECLARED: [(Operation, ErrorCode); 1] = [(Operation::UpdatePipeline, ErrorCode::ResourceNotFoundException)];

#[tokio::test]
async fn whatever_is_sent_is_answered_as_the_model_says() {
    let (requests, seed) = (setting("LASTGOOD_FUZZ_REQUESTS", REQUESTS), setting("LASTGOOD_FUZZ_SEED", SEED));
    let mut answers = BTreeMap::<String, u64>::new();
    for world in 0..requests.div_ceil(REQUESTS_PER_WORLD) {
        let mut chance = Chance::new(seed.wrapping_add(world));
        let (bench, inputs) = inhabited().await;
        for number in 0..REQUESTS_PER_WORLD.min(requests - world * REQUESTS_PER_WORLD) {
            let sent = request(&mut chance, &inputs);
            let reply = api::handle(&bench.world, sent.event.clone()).await;
            let reply = reply.unwrap_or_else(|error| panic!("{error} for request {number} of seed {seed}+{world}"));
            match judge(sent.codec, sent.operation, &reply) {
                Ok(kind) => *answers.entry(kind).or_default() += 1,
                Err(why) => panic!(
                    "{why}\nrequest {number} of seed {seed}+{world}; to keep it, store this below findings/:\n{}",
                    serde_json::to_string_pretty(&sent.event).unwrap()
                ),
            }
        }
        // Shown with --nocapture: a long search tells how far it is.
        println!("{} of {requests} requests", requests.min((world + 1) * REQUESTS_PER_WORLD));
    }
    println!("{requests} requests from seed {seed}: {answers:#?}");
    assert!(answers.contains_key("output") && answers.contains_key("ValidationException"), "{answers:?}");
}

#[tokio::test]
async fn what_was_found_once_is_answered_well() {
    let (bench, _) = inhabited().await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fuzz/findings");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let event: ApiEvent = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let (codec, operation) = addressed(&event);
            let reply = api::handle(&bench.world, event).await.unwrap();
            judge(codec, operation, &reply).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long to search is the choice of whoever runs the test")]
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// A world with a pipeline, executions at several ends, and a job that is out.
async fn inhabited() -> (Bench, Inputs) {
    let (bench, first) = Bench::with_release().await;
    let second = bench.start().await;
    bench.fail(second).await;
    let third = bench.start().await;
    bench.drive(third, None).await;
    let names = [
        ("PipelineName", vec!["shop".to_owned(), "other".to_owned()]),
        ("StageName", vec!["Source".to_owned(), "Prod".to_owned()]),
        ("ActionName", vec!["Fetch".to_owned(), "Check".to_owned()]),
        ("PipelineExecutionId", vec![first.to_string(), second.to_string(), third.to_string()]),
        ("JobId", vec![bench.job().await]),
        ("ResourceArn", vec!["arn:aws:codepipeline:eu-west-1:111122223333:shop".to_owned()]),
    ];
    (bench, Inputs::new(names.into(), shop()))
}

struct Sent {
    codec: Codec,
    operation: Option<Operation>,
    event: ApiEvent,
}

fn request(chance: &mut Chance, inputs: &Inputs) -> Sent {
    let mut operation = *chance.one_of(Operation::ALL);
    if operation == Operation::DeletePipeline && chance.percent(95) {
        // What all other operations are about should last a while.
        operation = Operation::GetPipeline;
    }
    let mut value = inputs.of(operation, chance);
    for _ in 0..chance.below(4) {
        mutate::value(&mut value, chance);
    }
    let codec = *chance.one_of(&[Codec::Json, Codec::Cbor]);
    let mut body = encode(codec, &value);
    if chance.percent(10) {
        mutate::bytes(&mut body, chance);
    }
    let mut event = addressed_to(codec, operation, &body);
    if chance.percent(3) {
        mutate::headers(&mut event, chance);
    }
    let (codec, operation) = addressed(&event);
    Sent { codec, operation, event }
}

fn encode(codec: Codec, value: &Value) -> Vec<u8> {
    let mut body = Vec::new();
    match codec {
        Codec::Json => body = value.to_string().into_bytes(),
        Codec::Cbor => ciborium::into_writer(value, &mut body).unwrap(),
    }
    body
}

fn addressed_to(codec: Codec, operation: Operation, body: &[u8]) -> ApiEvent {
    let (service, name) = (operation.service().target(), operation.name());
    let (raw_path, headers) = match codec {
        Codec::Json => ("/".to_owned(), vec![("x-amz-target", format!("{service}.{name}"))]),
        Codec::Cbor => {
            let path = format!("/service/{service}/operation/{name}");
            (path, vec![("smithy-protocol", "rpc-v2-cbor".to_owned())])
        }
    };
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    ApiEvent { raw_path, headers, body: Some(STANDARD.encode(body)), is_base64_encoded: true, ..event("POST") }
}

/// The codec in which `event` is answered, and the operation it names.
fn addressed(event: &ApiEvent) -> (Codec, Option<Operation>) {
    let rpc = event.raw_path.strip_prefix("/service/").and_then(|rest| rest.split_once("/operation/"));
    let target = event.headers.get("x-amz-target").and_then(|target| target.split_once('.'));
    let (codec, address) = match rpc {
        Some(address) => (Codec::Cbor, Some(address)),
        None => (Codec::Json, target),
    };
    let named = |operation: &&Operation| address == Some((operation.service().target(), operation.name()));
    (codec, Operation::ALL.iter().find(named).copied())
}

/// What the answer is, by name; `Err` where no client should ever get it.
fn judge(codec: Codec, operation: Option<Operation>, reply: &ApiReply) -> Result<String, String> {
    if reply.status_code == 200 {
        return Ok("output".to_owned());
    }
    if reply.status_code == 404 && operation.is_none() {
        return Ok("not of the protocol".to_owned());
    }
    let body = match reply.is_base64_encoded {
        true => STANDARD.decode(&reply.body).map_err(|error| error.to_string())?,
        false => reply.body.clone().into_bytes(),
    };
    let error: Value = match codec {
        Codec::Json => serde_json::from_slice(&body).map_err(|error| error.to_string())?,
        Codec::Cbor => ciborium::from_reader(body.as_slice()).map_err(|error| error.to_string())?,
    };
    let kind = error["__type"].as_str().unwrap_or_default();
    let kind = kind.rsplit('#').next().unwrap_or_default();
    let code =
        ErrorCode::ALL.iter().find(|code| code.name() == kind).ok_or_else(|| format!("unknown error {error}"))?;
    let declared = operation.is_some_and(|operation| {
        UNDECLARED.contains(&(operation, *code)) || operation.declared_errors().iter().any(|name| name == kind)
    });
    let common = !code.is_modelled() && !matches!(code, ErrorCode::InternalFailure | ErrorCode::ServiceUnavailable);
    // Every operation may find that its input breaks the model, also those that forget to declare it.
    let refused_input = *code == ErrorCode::ValidationException;
    let text = error["message"].as_str().is_some_and(|text| !text.is_empty());
    if !(declared || common || refused_input) || !text || !(400..500).contains(&reply.status_code) {
        return Err(json!({"status": reply.status_code, "operation": operation.map(Operation::name), "error": error})
            .to_string());
    }
    Ok(kind.to_owned())
}
