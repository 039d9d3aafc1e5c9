//! Webhooks as resources.

use serde_json::{Value, json};

use crate::world::{Bench, shop};

pub(crate) const URL_START: &str = "https://api.example.com/webhooks/";

/// A webhook of `shop` as GitHub's are; `changes` are laid over it.
pub(crate) fn webhook(changes: Value) -> Value {
    let mut webhook = json!({
        "name": "shop-push",
        "targetPipeline": "shop",
        "targetAction": "Fetch",
        "filters": [{"jsonPath": "$.ref", "matchEquals": "refs/heads/main"}],
        "authentication": "GITHUB_HMAC",
        "authenticationConfiguration": {"SecretToken": "winter harbour"},
    });
    for (member, value) in changes.as_object().unwrap() {
        webhook[member] = value.clone();
    }
    webhook
}

/// Puts it; returns the answer's `webhook`.
pub(crate) async fn put(bench: &Bench, webhook: Value) -> Value {
    bench.ok("PutWebhook", json!({ "webhook": webhook })).await["webhook"].take()
}

pub(crate) async fn listed(bench: &Bench) -> Vec<Value> {
    bench.ok("ListWebhooks", json!({})).await["webhooks"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_webhook_is_put_listed_changed_and_deleted() {
    let (bench, _) = Bench::with_release().await;
    assert_eq!(listed(&bench).await, Vec::<Value>::new());
    let created = put(&bench, webhook(json!({}))).await;
    let redacted = json!({"SecretToken": "****"});
    assert_eq!(created["definition"], webhook(json!({"authenticationConfiguration": redacted})));
    assert_eq!(created["arn"], "arn:aws:codepipeline:eu-west-1:111122223333:webhook:shop-push");
    let url = created["url"].as_str().unwrap();
    let key = url.strip_prefix(URL_START).unwrap().strip_prefix("shop-push-").unwrap();
    assert!(key.len() == 48 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{url}");
    assert_eq!(listed(&bench).await, std::slice::from_ref(&created));

    let changed = put(&bench, webhook(json!({"filters": [], "authenticationConfiguration": redacted}))).await;
    assert_eq!(changed["url"], url);
    assert_eq!(changed["definition"]["filters"], json!([]));
    assert_eq!(listed(&bench).await, [changed]);

    for _ in 0..2 {
        assert_eq!(bench.ok("DeleteWebhook", json!({"name": "shop-push"})).await, json!({}));
        assert!(listed(&bench).await.is_empty());
    }
    assert_ne!(put(&bench, webhook(json!({}))).await["url"], url);
}

#[tokio::test]
async fn webhooks_are_listed_by_name_in_pages() {
    let (bench, _) = Bench::with_release().await;
    for name in ["c", "..", "a@b"] {
        put(&bench, webhook(json!({"name": name}))).await;
    }
    let (mut names, mut input) = (Vec::new(), json!({"MaxResults": 2}));
    loop {
        let page = bench.ok("ListWebhooks", input.clone()).await;
        names.extend(page["webhooks"].as_array().unwrap().iter().map(|one| one["definition"]["name"].clone()));
        assert!(page.get("nextToken").is_none());
        let Some(token) = page.get("NextToken") else {
            break;
        };
        assert_eq!(names.len(), 2);
        input["NextToken"] = token.clone();
    }
    assert_eq!(names, ["..", "a@b", "c"]);
    bench.refuses("ListWebhooks", &[(json!({"NextToken": "x"}), "InvalidNextTokenException", "token")]).await;
}

#[tokio::test]
async fn webhooks_that_cannot_be_are_refused() {
    let (bench, _) = Bench::with_release().await;
    let put = |changes: Value| json!({ "webhook": webhook(changes) });
    let authentication = "InvalidWebhookAuthenticationParametersException";
    bench
        .refuses(
            "PutWebhook",
            &[
                (put(json!({"targetPipeline": "blog"})), "PipelineNotFoundException", "'blog'"),
                (put(json!({"targetAction": "Check"})), "ValidationException", "Fetch"),
                (put(json!({"targetAction": "Moon"})), "ValidationException", "'Moon'"),
                (put(json!({"filters": [{"jsonPath": "ref"}]})), "InvalidWebhookFilterPatternException", "'ref'"),
                (put(json!({"authenticationConfiguration": {}})), authentication, "SecretToken"),
                (put(json!({"authenticationConfiguration": {"SecretToken": "****"}})), authentication, "****"),
                (put(json!({"authentication": "IP"})), authentication, "AllowedIPRange"),
                (put(json!({"authentication": "UNAUTHENTICATED"})), authentication, "empty"),
                (put(json!({"authentication": "PASSWORD"})), "ValidationException", "webhook.authentication"),
                (
                    put(json!({"filters": vec![json!({"jsonPath": "$.a"}); 6]})),
                    "ValidationException",
                    "webhook.filters",
                ),
            ],
        )
        .await;
    assert!(listed(&bench).await.is_empty());
}

#[tokio::test]
async fn tags_are_given_kept_added_to_and_gone_with_the_webhook() {
    let (bench, _) = Bench::with_release().await;
    let put = async |tags: Value| bench.ok("PutWebhook", json!({"webhook": webhook(json!({})), "tags": tags})).await;
    let tag = |key: &str, value: &str| json!({"key": key, "value": value});
    let created = put(json!([tag("team", "web")])).await["webhook"].take();
    assert_eq!(created["tags"], json!([tag("team", "web")]));
    let arn = created["arn"].clone();
    bench.ok("TagResource", json!({"resourceArn": arn, "tags": [tag("cost", "7")]})).await;
    let changed = put(json!([tag("team", "shop")])).await["webhook"].take();
    assert_eq!(changed["tags"], json!([tag("cost", "7"), tag("team", "shop")]));
    assert_eq!(put(json!([])).await["webhook"], changed);
    assert_eq!(listed(&bench).await, std::slice::from_ref(&changed));
    assert_eq!(bench.ok("ListTagsForResource", json!({"resourceArn": arn})).await["tags"], changed["tags"]);
    let many: Vec<Value> = (0..49).map(|n| tag(&format!("k{n}"), "")).collect();
    bench
        .refuses(
            "PutWebhook",
            &[
                (json!({"webhook": webhook(json!({"filters": []})), "tags": many}), "TooManyTagsException", "webhook:"),
                (json!({"webhook": webhook(json!({})), "tags": [tag("aws:x", "")]}), "InvalidTagsException", "aws:"),
            ],
        )
        .await;
    assert_eq!(listed(&bench).await, [changed], "nothing was done by halves");
    bench.ok("DeleteWebhook", json!({"name": "shop-push"})).await;
    bench
        .refuses("ListTagsForResource", &[(json!({"resourceArn": arn}), "ResourceNotFoundException", "shop-push")])
        .await;
    assert_eq!(put(json!([])).await["webhook"].get("tags"), None);
}

#[tokio::test]
async fn an_account_has_300_webhooks_and_may_change_them_then() {
    let (bench, _) = Bench::with_release().await;
    for n in 0..300 {
        put(&bench, webhook(json!({"name": format!("hook-{n}")}))).await;
    }
    let one_more = json!({"webhook": webhook(json!({"name": "one-more"}))});
    bench.refuses("PutWebhook", &[(one_more.clone(), "LimitExceededException", "300")]).await;
    put(&bench, webhook(json!({"name": "hook-7", "filters": []}))).await;
    bench.ok("DeleteWebhook", json!({"name": "hook-8"})).await;
    bench.ok("PutWebhook", one_more).await;
}

#[tokio::test]
async fn registering_at_github_is_left_to_people() {
    let (bench, _) = Bench::with_release().await;
    put(&bench, webhook(json!({}))).await;
    for operation in ["RegisterWebhookWithThirdParty", "DeregisterWebhookWithThirdParty"] {
        bench
            .refuses(
                operation,
                &[
                    (json!({"webhookName": "nobody"}), "WebhookNotFoundException", "'nobody'"),
                    (json!({"webhookName": "shop-push"}), "ValidationException", "by hand"),
                    (json!({}), "ValidationException", "webhookName"),
                ],
            )
            .await;
    }
}

#[tokio::test]
async fn of_puts_at_the_same_time_all_count_and_one_url_is_made() {
    let (bench, _) = Bench::with_release().await;
    let mut pipeline = shop();
    pipeline["name"] = json!("blog");
    bench.ok("CreatePipeline", json!({ "pipeline": pipeline })).await;
    let (one, other) =
        tokio::join!(put(&bench, webhook(json!({}))), put(&bench, webhook(json!({"targetPipeline": "blog"}))),);
    assert_eq!(one["url"], other["url"]);
    let stored = listed(&bench).await;
    assert_eq!(stored.len(), 1);
    assert!(stored[0] == one || stored[0] == other, "{stored:?}");
}
