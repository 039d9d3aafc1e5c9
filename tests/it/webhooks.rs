//! Webhooks over HTTP, as GitHub delivers to them.

use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::world::{World, pipeline, publish, release, text, type_id};

const PUSH: &str = include_str!("../fixtures/github/push.json");
const SECRET: &str = "winter harbour";

/// The pipeline `name`, which has run once, and its webhook's URL as a path.
async fn webhook(world: &World, name: &str) -> String {
    world.buckets(name).await;
    world.upload(name, release("one")).await;
    world.create(&pipeline(name, &[publish(name, 1)])).await;
    let webhook = json!({
        "name": format!("{name}-push"),
        "targetPipeline": name,
        "targetAction": "Upload",
        "filters": [{"jsonPath": "$.ref", "matchEquals": "refs/heads/main"}],
        "authentication": "GITHUB_HMAC",
        "authenticationConfiguration": {"SecretToken": SECRET},
    });
    let put = world.call("PutWebhook", json!({ "webhook": webhook })).await;
    let url = text(&put["webhook"]["url"]);
    url.strip_prefix(&world.system.endpoint()).unwrap_or_else(|| panic!("{url} is elsewhere")).to_owned()
}

async fn push(world: &World, path: &str, id: &str, secret: &str) -> (StatusCode, Value) {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("keys have any length");
    mac.update(PUSH.as_bytes());
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", "push"),
        ("x-github-delivery", id),
        ("x-hub-signature-256", &signature),
    ];
    world.post(path, &headers, PUSH).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_push_releases_what_is_newest_and_another_does_not() {
    let world = World::start().await;
    let name = "hooked";
    let path = webhook(&world, name).await;
    let (status, answer) = push(&world, &path, "d-1", "summer harbour").await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
    assert_eq!(world.executions(name).await.len(), 1);

    let (one, other) = tokio::join!(push(&world, &path, "d-1", SECRET), push(&world, &path, "d-1", SECRET));
    assert_eq!((one.0, &one.1["pipelineExecutionId"]), (StatusCode::OK, &other.1["pipelineExecutionId"]));
    let ended = world.ended(name, &text(&one.1["pipelineExecutionId"])).await;
    assert_eq!(ended["status"], "Succeeded");
    let arn = "arn:aws:codepipeline:us-east-1:000000000000:webhook:hooked-push";
    assert_eq!(ended["trigger"], json!({"triggerType": "Webhook", "triggerDetail": arn}));
    assert_eq!(push(&world, &path, "d-1", SECRET).await.1["pipelineExecutionId"], ended["pipelineExecutionId"]);
    assert_eq!(world.executions(name).await.len(), 2);
    let listed = world.call("ListWebhooks", json!({})).await;
    assert!(listed["webhooks"][0]["lastTriggered"].is_number(), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_a_webhook_serves_nothing_else() {
    let world = World::start().await;
    let path = webhook(&world, "closed").await;
    for headers in [&[("x-amz-target", "CodePipeline_20150709.DeletePipeline")][..], &[]] {
        for path in ["/webhooks/closed-push", "/webhooks/", &format!("{path}0")] {
            let (status, answer) = world.post(path, headers, r#"{"name":"closed"}"#).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{answer}");
        }
    }
    let (status, answer) = world.post(&path, &[], PUSH).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
    world.call("GetPipeline", json!({"name": "closed"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_to_a_connection_is_told_and_its_source_says_what_can_stand_in_its_place() {
    let world = World::start().await;
    let name = "connected";
    world.buckets(name).await;
    let mut connected = pipeline(name, &[publish(name, 1)]);
    let source = &mut connected["stages"][0]["actions"][0];
    source["actionTypeId"] = type_id("Source", "CodeStarSourceConnection");
    source["configuration"] = json!({ "BranchName": "main", "FullRepositoryId": "harbour-books/shop",
        "ConnectionArn": "arn:aws:codeconnections:us-east-1:000000000000:connection/1" });
    let failed = world.create(&connected).await;
    let (code, message) = world.failure(name, &failed, "Upload").await;
    assert_eq!(code, "ConfigurationError");
    assert!(message.contains("take the source from S3") && !message.contains("Lambda"), "{message}");

    let webhook = json!({ "name": "connected-push", "targetPipeline": name, "targetAction": "Upload", "filters": [],
        "authentication": "GITHUB_HMAC", "authenticationConfiguration": {"SecretToken": SECRET} });
    let put = world.call("PutWebhook", json!({ "webhook": webhook })).await;
    let url = text(&put["webhook"]["url"]);
    let path = url.strip_prefix(&world.system.endpoint()).expect("it is served here");
    let (status, answer) = push(&world, path, "d-1", SECRET).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let failed = world.ended(name, &text(&answer["pipelineExecutionId"])).await;
    assert_eq!(failed["trigger"]["triggerType"], "WebhookV2");
    let detail: Value = serde_json::from_str(&text(&failed["trigger"]["triggerDetail"])).expect("JSON");
    assert_eq!(detail["commit-id"], "c41d07e95b8a4f62a3d0e9b1f8c7265430ab19de");
    assert_eq!(world.failure(name, &failed, "Upload").await.1, message);
    assert_eq!(failed["sourceRevisions"], json!([]), "nothing was taken");
}
