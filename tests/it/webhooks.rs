//! Webhooks over HTTP, as GitHub delivers to them.

use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::world::{World, pipeline, publish, release, text};

const PUSH: &str = include_str!("../fixtures/github/push.json");
const SECRET: &str = crate::secrets::WEBHOOK;

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
    // Whoever knows the URL may deliver, where nothing else is asked for.
    crate::secrets::plant(url.rsplit('/').next().unwrap_or_default());
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
