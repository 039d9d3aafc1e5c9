//! What does not depend on the operation.

use std::collections::BTreeSet;

use api::{ApiEvent, Authorizer, Iam};
use engine::EngineError;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{ANA, Bench, NOBODY, event, id, json_call, shop};

#[tokio::test]
async fn whatever_is_not_the_protocol_is_told_what_lives_here() {
    let bench = Bench::new().await;
    for (method, path) in [("GET", "/"), ("GET", "/consoles"), ("POST", "/"), ("OPTIONS", "/x")] {
        let reply = bench.send(ApiEvent { raw_path: path.to_owned(), ..event(method) }).await;
        assert_eq!((reply.status_code, reply.is_base64_encoded), (404, false));
        let message = serde_json::from_str::<Value>(&reply.body).unwrap()["message"].to_string();
        assert!(message.contains("AWS_ENDPOINT_URL_CODEPIPELINE"), "{message}");
    }
}

#[tokio::test]
async fn malformed_requests_are_refused_in_the_protocols_form() {
    let bench = Bench::new().await;
    for (operation, body, exception) in [
        ("GetPipeline", "{", "SerializationException"),
        ("GetPipeline", r#"{"name": 5}"#, "SerializationException"),
        ("GetPipeline", "{}", "ValidationException"),
        ("GetPipeline", r#"{"name": "a b"}"#, "ValidationException"),
        ("getpipeline", "{}", "UnknownOperationException"),
    ] {
        let reply = bench.send(json_call(operation, body.to_owned())).await;
        assert_eq!(reply.status_code, 400, "{body}");
        assert_eq!(serde_json::from_str::<Value>(&reply.body).unwrap()["__type"], exception, "{body}");
    }
    let members = bench.ok("ListPipelines", json!({"unknown": {"member": 1}, "maxResults": null})).await;
    assert_eq!(members, json!({"pipelines": []}));
}

#[tokio::test]
async fn bodies_travel_as_text_or_in_base64() {
    let bench = Bench::new().await;
    let json = ApiEvent {
        body: Some("e30=".to_owned()),
        is_base64_encoded: true,
        ..json_call("ListPipelines", String::new())
    };
    let reply = bench.send(json).await;
    assert_eq!((reply.status_code, reply.body.as_str()), (200, r#"{"pipelines":[]}"#));

    let cbor = ApiEvent {
        raw_path: "/service/CodePipeline_20150709/operation/ListPipelines".to_owned(),
        headers: [("smithy-protocol".to_owned(), "rpc-v2-cbor".to_owned())].into(),
        body: Some("oA==".to_owned()),
        is_base64_encoded: true,
        ..event("POST")
    };
    let reply = bench.send(cbor.clone()).await;
    assert_eq!((reply.status_code, reply.is_base64_encoded), (200, true));
    assert_eq!(reply.headers["content-type"], "application/cbor");
    // {"pipelines": []}, the map either of known or of unknown length.
    assert!(["oWlwaXBlbGluZXOA", "v2lwaXBlbGluZXOA/w=="].contains(&reply.body.as_str()), "{}", reply.body);

    let broken = ApiEvent { body: Some("!".to_owned()), ..cbor };
    assert!(matches!(api::handle(&bench.world, broken).await, Err(EngineError::Refused(_))));
}

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own_that_is_a_uuid() {
    let bench = Bench::new().await;
    let page = ApiEvent { raw_path: "/consoles".to_owned(), ..event("GET") };
    let hook = ApiEvent { raw_path: "/webhooks/shop-0123".to_owned(), ..event("POST") };
    let (good, bad) = (json_call("ListPipelines", String::new()), json_call("ListPipelines", "{".to_owned()));
    let mut ids = BTreeSet::new();
    for mut call in [good.clone(), good, bad, page, hook] {
        for of_gateway in ["", "JKJaXmPLvHcESHA="] {
            call.request_context.request_id = of_gateway.to_owned();
            let id = bench.send(call.clone()).await.headers["x-amzn-requestid"].clone();
            assert!(Uuid::parse_str(&id).is_ok() && ids.insert(id.clone()), "{id}");
        }
    }
}

#[tokio::test]
async fn the_trigger_names_the_caller() {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({"pipeline": shop()})).await;
    let execution = bench.newest().await;
    let get = json!({"pipelineName": "shop", "pipelineExecutionId": execution});
    let trigger = bench.ok("GetPipelineExecution", get).await["pipelineExecution"]["trigger"].clone();
    assert_eq!(trigger, json!({"triggerType": "CreatePipeline", "triggerDetail": ANA}));

    let oncall = "arn:aws:sts::111122223333:assumed-role/oncall/ana";
    let mut call = json_call("StartPipelineExecution", json!({"name": "shop"}).to_string());
    call.request_context.authorizer =
        Some(Authorizer { iam: Some(Iam { user_arn: Some(oncall.to_owned()) }), ..Authorizer::default() });
    let started: Value = serde_json::from_str(&bench.send(call).await.body).unwrap();
    let get = json!({"pipelineName": "shop", "pipelineExecutionId": id(&started["pipelineExecutionId"])});
    let trigger = bench.ok("GetPipelineExecution", get).await["pipelineExecution"]["trigger"].clone();
    assert_eq!(trigger, json!({"triggerType": "StartPipelineExecution", "triggerDetail": oncall}));
}

#[tokio::test]
async fn an_action_that_does_not_run_starts_nothing() {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({"pipeline": shop()})).await;
    let execution = bench.newest().await;
    bench.drive(execution, None).await;
    // It runs, and is of another type: what it says of itself is looked up.
    let run = bench.run_of(execution).await;
    for claimed in [run["actionExecutionId"].clone(), json!(NOBODY)] {
        let mut call = json_call("StartPipelineExecution", json!({"name": "shop"}).to_string());
        let asking = json!({"pipeline": "shop", "executionId": execution, "actionExecutionId": claimed});
        call.request_context.authorizer = Some(serde_json::from_value(json!({"action": asking})).unwrap());
        let reply = bench.send(call).await;
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!((reply.status_code, &body["__type"]), (400, &json!("ValidationException")), "{body}");
        assert!(body["message"].as_str().unwrap().starts_with("No running action"), "{body}");
    }
    assert_eq!(bench.newest().await, execution);
}

#[tokio::test]
async fn answering_can_move_between_threads() {
    let bench = Bench::new().await;
    let answer = api::handle(&bench.world, event("GET"));
    fn movable<T: Send>(future: T) -> T {
        future
    }
    assert_eq!(movable(answer).await.unwrap().status_code, 404);
}
