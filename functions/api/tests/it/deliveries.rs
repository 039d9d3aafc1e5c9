//! What comes to the URLs of webhooks.

use api::{ApiEvent, WEBHOOK_ROUTE};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::webhooks::{listed, put, webhook};
use crate::world::{Bench, event, shop};

pub(crate) const PUSH: &str = include_str!("../../../../tests/fixtures/github/push.json");
const PING: &str = include_str!("../../../../tests/fixtures/github/ping.json");
pub(crate) const PULL_REQUEST: &str = include_str!("../../../../tests/fixtures/github/pull_request.json");
const SECRET: &str = "winter harbour";
const ARN: &str = "arn:aws:codepipeline:eu-west-1:111122223333:webhook:shop-push";

fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// A delivery as GitHub makes it.
pub(crate) fn github(webhook: &Value, kind: &str, id: &str, body: &str) -> ApiEvent {
    let headers = [
        ("content-type", "application/json"),
        ("user-agent", "GitHub-Hookshot/44e5a0f"),
        ("x-github-event", kind),
        ("x-github-delivery", id),
        ("x-hub-signature-256", &signature(SECRET, body)),
    ];
    ApiEvent {
        route_key: WEBHOOK_ROUTE.to_owned(),
        raw_path: path(webhook),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        body: Some(body.to_owned()),
        ..event("POST")
    }
}

fn path(webhook: &Value) -> String {
    let url = webhook["url"].as_str().unwrap();
    url.strip_prefix("https://api.example.com").unwrap().to_owned()
}

fn with(mut event: ApiEvent, header: &str, value: Option<&str>) -> ApiEvent {
    match value {
        Some(value) => event.headers.insert(header.to_owned(), value.to_owned()),
        None => event.headers.remove(header),
    };
    event
}

/// Status and body of the answer.
async fn deliver(bench: &Bench, event: ApiEvent) -> (u16, Value) {
    let reply = bench.send(event).await;
    (reply.status_code, serde_json::from_str(&reply.body).unwrap())
}

/// Asserts that a delivery is answered by `status` and a text that holds `word`, and starts nothing.
pub(crate) async fn starts_nothing(bench: &Bench, event: ApiEvent, status: u16, word: &str) {
    let before = executions(bench).await.len();
    let (answered, body) = deliver(bench, event.clone()).await;
    assert_eq!(answered, status, "{event:?}: {body}");
    assert!(body["message"].as_str().unwrap().contains(word), "{event:?}: {body}");
    assert_eq!(body.get("pipelineExecutionId"), None, "{event:?}");
    assert_eq!(executions(bench).await.len(), before, "{event:?}");
}

pub(crate) async fn starts(bench: &Bench, event: ApiEvent) -> Value {
    let (status, mut body) = deliver(bench, event).await;
    assert_eq!(status, 200, "{body}");
    assert!(body["pipelineExecutionId"].is_string(), "{body}");
    body["pipelineExecutionId"].take()
}

/// When an execution was started, as its id tells: a UUID of version 7 begins with the milliseconds.
fn time_in(id: &Value) -> Value {
    let digits: String = id.as_str().unwrap().chars().filter(|c| *c != '-').take(12).collect();
    json!(i64::from_str_radix(&digits, 16).unwrap() as f64 / 1000.0)
}

pub(crate) async fn executions(bench: &Bench) -> Vec<Value> {
    let listed = bench.ok("ListPipelineExecutions", json!({"pipelineName": "shop"})).await;
    listed["pipelineExecutionSummaries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_push_starts_the_pipeline_once_however_often_it_is_delivered() {
    let (bench, _) = Bench::with_release().await;
    let hook = put(&bench, webhook(json!({}))).await;
    assert_eq!(hook.get("lastTriggered"), None);
    let push = github(&hook, "push", "d-1", PUSH);
    let (one, other) = tokio::join!(starts(&bench, push.clone()), starts(&bench, push.clone()));
    assert_eq!(one, other, "delivered twice at the same time");
    assert_eq!(starts(&bench, push.clone()).await, one);
    let newest = &executions(&bench).await[0];
    assert_eq!(newest["pipelineExecutionId"], one);
    assert_eq!(newest["trigger"], json!({"triggerType": "Webhook", "triggerDetail": ARN}));
    let noted = &listed(&bench).await[0];
    assert_eq!(noted["lastTriggered"], time_in(&one));
    assert_eq!(noted.get("errorCode"), None);
    assert_eq!(executions(&bench).await.len(), 2);

    let replayed = github(&hook, "push", "d-2", PUSH);
    assert_eq!(starts(&bench, replayed).await, one, "recorded, and sent under another number");
    let later = starts(&bench, github(&hook, "push", "d-3", &format!("{PUSH}\n"))).await;
    assert_ne!(later, one, "a delivery of its own");
    let noted = listed(&bench).await;
    assert_eq!(noted[0]["lastTriggered"], time_in(&later));
    // What was started before changes nothing of what is known.
    assert_eq!(starts(&bench, push).await, one);
    assert_eq!(listed(&bench).await, noted);
}

#[tokio::test]
async fn forms_and_base64_are_the_same_payload() {
    let (bench, _) = Bench::with_release().await;
    let hook = put(&bench, webhook(json!({}))).await;
    let encoded: String = form_urlencoded::byte_serialize(PUSH.as_bytes()).collect();
    let form = format!("payload={encoded}");
    let event = github(&hook, "push", "d-1", &form);
    let event = with(event, "content-type", Some("application/x-www-form-urlencoded; charset=utf-8"));
    starts(&bench, event.clone()).await;
    let wrong_field = format!("body={encoded}");
    let event = with(
        github(&hook, "push", "d-2", &wrong_field),
        "content-type",
        event.headers.get("content-type").map(String::as_str),
    );
    starts_nothing(&bench, event, 400, "JSON").await;

    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let mut event = github(&hook, "push", "d-3", PUSH);
    event.body = Some(STANDARD.encode(PUSH));
    event.is_base64_encoded = true;
    starts(&bench, event).await;
    // Text is JSON whatever its type is said to be.
    starts(&bench, with(github(&hook, "push", "d-4", PUSH), "content-type", None)).await;
}

#[tokio::test]
async fn what_is_not_signed_by_the_secret_starts_nothing_and_is_told_to_the_owner() {
    let (bench, _) = Bench::with_release().await;
    let hook = put(&bench, webhook(json!({}))).await;
    let push = github(&hook, "push", "d-1", PUSH);
    let wrong = signature("summer harbour", PUSH);
    starts_nothing(&bench, with(push.clone(), "x-hub-signature-256", Some(&wrong)), 403, "does not fit").await;
    let noted = listed(&bench).await[0].clone();
    assert_eq!(noted["errorCode"], "403");
    assert!(noted["errorMessage"].as_str().unwrap().contains("does not fit"));
    assert_eq!(noted.get("lastTriggered"), None);
    starts_nothing(&bench, with(push.clone(), "x-hub-signature-256", None), 403, "not signed").await;
    let altered = ApiEvent { body: Some(PUSH.replace("main", "evil")), ..push.clone() };
    starts_nothing(&bench, altered, 403, "does not fit").await;
    // Signed by nobody, it is not even looked at.
    starts_nothing(&bench, ApiEvent { body: Some("{".to_owned()), ..push.clone() }, 403, "does not fit").await;

    let old = "sha1=4c39c1f078549f823bcdc219363f82ec81d4f880";
    let by_sha1 = with(with(push.clone(), "x-hub-signature-256", None), "x-hub-signature", Some(old));
    let first = starts(&bench, by_sha1).await;
    assert_eq!(starts(&bench, push).await, first);
    assert_eq!(listed(&bench).await[0].get("errorCode"), None, "what went wrong before is over");
}

#[tokio::test]
async fn pings_and_events_that_do_not_pass_are_fine_and_start_nothing() {
    let (bench, _) = Bench::with_release().await;
    let hook = put(&bench, webhook(json!({}))).await;
    starts_nothing(&bench, github(&hook, "ping", "d-1", PING), 200, "works").await;
    starts_nothing(&bench, github(&hook, "pull_request", "d-2", PULL_REQUEST), 200, "filter 1").await;
    let branch = PUSH.replacen("refs/heads/main", "refs/heads/winter", 1);
    starts_nothing(&bench, github(&hook, "push", "d-3", &branch), 200, "filter 1").await;
    let noted = &listed(&bench).await[0];
    assert_eq!((noted.get("errorCode"), noted.get("lastTriggered")), (None, None));

    put(&bench, webhook(json!({"filters": []}))).await;
    starts_nothing(&bench, github(&hook, "ping", "d-4", PING), 200, "works").await;
    let filters = json!([
        {"jsonPath": "$.action", "matchEquals": "opened"},
        {"jsonPath": "$.pull_request.base.ref", "matchEquals": "main"},
        {"jsonPath": "$.pull_request.draft", "matchEquals": "false"},
    ]);
    put(&bench, webhook(json!({ "filters": filters }))).await;
    starts(&bench, github(&hook, "pull_request", "d-5", PULL_REQUEST)).await;
}

#[tokio::test]
async fn placeholders_are_the_target_actions_configuration() {
    let (bench, _) = Bench::with_release().await;
    let filter = |equals: &str| json!({"filters": [{"jsonPath": "$.ref", "matchEquals": equals}]});
    let hook = put(&bench, webhook(filter("refs/heads/{S3ObjectKey}"))).await;
    let push = |id, branch: &str| {
        let body = PUSH.replacen("refs/heads/main", &format!("refs/heads/{branch}"), 1);
        github(&hook, "push", id, &body)
    };
    starts_nothing(&bench, push("d-1", "main"), 200, "filter 1").await;
    starts(&bench, push("d-2", "app.zip")).await;

    put(&bench, webhook(filter("refs/heads/{Branch}"))).await;
    starts_nothing(&bench, push("d-3", "main"), 200, "filter 1").await;
    let noted = &listed(&bench).await[0];
    assert!(noted["errorMessage"].as_str().unwrap().contains("{Branch}"), "{noted}");
}

#[tokio::test]
async fn addresses_and_urls_authenticate_too() {
    let (bench, _) = Bench::with_release().await;
    let range = |range: &str| json!({"authentication": "IP", "authenticationConfiguration": {"AllowedIPRange": range}});
    let hook = put(&bench, webhook(range("192.0.2.0/28"))).await;
    let from = |address: &str, id: &str| {
        let mut event = with(github(&hook, "push", id, PUSH), "x-hub-signature-256", None);
        event.request_context.http.source_ip = address.to_owned();
        event
    };
    starts(&bench, from("192.0.2.1", "d-1")).await;
    starts_nothing(&bench, from("192.0.2.16", "d-2"), 403, "AllowedIPRange").await;
    starts_nothing(&bench, from("2001:db8::1", "d-2"), 403, "AllowedIPRange").await;
    put(&bench, webhook(range("2001:db8::/48"))).await;
    starts(&bench, from("2001:db8::1", "d-3")).await;
    // Whoever forwards a request may claim anything.
    let forwarded = with(from("192.0.2.1", "d-4"), "x-forwarded-for", Some("2001:db8::1"));
    starts_nothing(&bench, forwarded, 403, "AllowedIPRange").await;

    put(&bench, webhook(json!({"authentication": "UNAUTHENTICATED", "authenticationConfiguration": {}}))).await;
    let unnumbered = with(from("198.51.100.1", ""), "x-github-delivery", None);
    let first = starts(&bench, unnumbered.clone()).await;
    assert_ne!(starts(&bench, unnumbered).await, first, "nothing tells them apart, so each counts");
}

#[tokio::test]
async fn requests_that_are_no_deliveries_are_told_what_is_wrong() {
    let (bench, _) = Bench::with_release().await;
    let hook = put(&bench, webhook(json!({}))).await;
    let push = |body: &str| github(&hook, "push", "d-1", body);
    for body in ["", "{", "ref=main", "\u{0}"] {
        starts_nothing(&bench, push(body), 400, "JSON").await;
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    starts_nothing(&bench, push(&deep), 400, "JSON").await;
    starts_nothing(&bench, push("[]"), 200, "filter 1").await;
    starts_nothing(&bench, push(&"x".repeat(4 * 1024 * 1024 + 1)), 413, "4194304").await;
    for method in ["GET", "PUT", "DELETE", "HEAD"] {
        let mut other = push(PUSH);
        other.request_context.http.method = method.to_owned();
        assert_eq!(bench.send(other.clone()).await.headers["allow"], "POST");
        starts_nothing(&bench, other, 405, "POST").await;
    }
    // Nothing tells whether the name or the key is wrong.
    let (whole, nowhere) = (path(&hook), "no such webhook");
    let mut texts = Vec::new();
    for path in [
        whole.replace("shop-push", "blog-push"),
        whole[..whole.len() - 1].to_owned(),
        format!("{whole}0"),
        whole.replace("shop-push-", "shop-push-0"),
        format!("{whole}/"),
        "/webhooks/".to_owned(),
        "/webhooks/shop-push".to_owned(),
        "/webhooks/%ff-00".to_owned(),
    ] {
        let event = ApiEvent { raw_path: path, ..push(PUSH) };
        texts.push(deliver(&bench, event.clone()).await);
        starts_nothing(&bench, event, 404, nowhere).await;
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
}

#[tokio::test]
async fn the_open_route_leads_to_no_operation() {
    let (bench, _) = Bench::with_release().await;
    let hook = put(&bench, webhook(json!({}))).await;
    let delete = crate::world::json_call("DeletePipeline", json!({"name": "shop"}).to_string());
    for (route, path) in [
        (WEBHOOK_ROUTE, "/webhooks/x"),
        (WEBHOOK_ROUTE, "/"),
        (WEBHOOK_ROUTE, "/v1/webhooks/x"),
        (WEBHOOK_ROUTE, "/service/CodePipeline_20150709/operation/DeletePipeline"),
        ("$default", "/webhooks/x"),
        ("$default", "/webhooks/../service/CodePipeline_20150709/operation/DeletePipeline"),
    ] {
        let event = ApiEvent { route_key: route.to_owned(), raw_path: path.to_owned(), ..delete.clone() };
        starts_nothing(&bench, event, 404, "no such webhook").await;
    }
    // Behind a custom domain, paths begin with what its mapping says; names are found under either spelling.
    let mapped = ApiEvent { raw_path: format!("/v1{}", path(&hook)), ..github(&hook, "push", "d-1", PUSH) };
    starts(&bench, mapped).await;
    let at = put(&bench, webhook(json!({"name": "a@b"}))).await;
    let encoded = ApiEvent { raw_path: path(&at).replace('@', "%40"), ..github(&at, "push", "d-1", PUSH) };
    starts(&bench, encoded).await;
    let dots = put(&bench, webhook(json!({"name": ".."}))).await;
    starts(&bench, github(&dots, "push", "d-1", PUSH)).await;
}

#[tokio::test]
async fn a_webhook_outlives_its_pipeline_and_says_what_is_missing() {
    let (bench, _) = Bench::with_release().await;
    let hook = put(&bench, webhook(json!({}))).await;
    bench.ok("DeletePipeline", json!({"name": "shop"})).await;
    let push = github(&hook, "push", "d-1", PUSH);
    let (status, body) = deliver(&bench, push.clone()).await;
    assert_eq!(status, 422, "{body}");
    assert!(!body.to_string().contains("111122223333"), "{body}");
    let noted = &listed(&bench).await[0];
    assert_eq!(noted["errorCode"], "422");
    assert!(noted["errorMessage"].as_str().unwrap().contains("'shop'"), "{noted}");

    // A pipeline made anew under the name is the target again; the same delivery may start it.
    let mut renamed = shop();
    renamed["stages"][0]["actions"][0]["name"] = json!("Take");
    bench.ok("CreatePipeline", json!({ "pipeline": renamed })).await;
    assert_eq!(deliver(&bench, push.clone()).await.0, 422);
    assert!(listed(&bench).await[0]["errorMessage"].as_str().unwrap().contains("Take"));
    bench.ok("UpdatePipeline", json!({"pipeline": shop()})).await;
    starts(&bench, push).await;
    assert_eq!(listed(&bench).await[0].get("errorCode"), None);

    let mut demanding = shop();
    demanding["variables"] = json!([{"name": "Color", "defaultValue": "green"}, {"name": "Region"}]);
    bench.ok("UpdatePipeline", json!({ "pipeline": demanding })).await;
    let another = github(&hook, "push", "d-2", &format!("{PUSH}\n"));
    assert_eq!(deliver(&bench, another).await.0, 422);
    assert!(listed(&bench).await[0]["errorMessage"].as_str().unwrap().contains("'Region'"));
}

#[tokio::test]
async fn a_webhook_made_anew_has_another_url_and_the_old_one_is_gone() {
    let (bench, _) = Bench::with_release().await;
    let old = put(&bench, webhook(json!({}))).await;
    bench.ok("DeleteWebhook", json!({"name": "shop-push"})).await;
    starts_nothing(&bench, github(&old, "push", "d-1", PUSH), 404, "no such webhook").await;
    let new = put(&bench, webhook(json!({}))).await;
    starts_nothing(&bench, github(&old, "push", "d-1", PUSH), 404, "no such webhook").await;
    starts(&bench, github(&new, "push", "d-1", PUSH)).await;
}
