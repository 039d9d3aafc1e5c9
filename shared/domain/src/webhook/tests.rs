//! Webhooks, their senders and their filters.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

/// From GitHub's documentation of signatures: secret, body and their SHA-256.
const SECRET: &str = "It's a Secret to Everybody";
const BODY: &[u8] = b"Hello, World!";
const SHA256: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn definition(authentication: &str, configuration: Value) -> WebhookDefinition {
    serde_json::from_value(json!({
        "name": "shop-push", "targetPipeline": "shop", "targetAction": "Fetch",
        "filters": [{"jsonPath": "$.ref", "matchEquals": "refs/heads/{Branch}"}],
        "authentication": authentication, "authenticationConfiguration": configuration,
    }))
    .unwrap()
}

fn signed() -> WebhookDefinition {
    definition("GITHUB_HMAC", json!({"SecretToken": SECRET}))
}

fn key() -> Secret {
    Secret::new("0123")
}

#[test]
fn authentication_takes_exactly_what_it_needs() {
    for (authentication, configuration, fits) in [
        ("GITHUB_HMAC", json!({"SecretToken": "s"}), true),
        ("GITHUB_HMAC", json!({}), false),
        ("GITHUB_HMAC", json!({"SecretToken": "****"}), false),
        ("GITHUB_HMAC", json!({"SecretToken": "s", "AllowedIPRange": "192.0.2.0/24"}), false),
        ("IP", json!({"AllowedIPRange": "192.0.2.0/24"}), true),
        ("IP", json!({"AllowedIPRange": "0.0.0.0/0"}), true),
        ("IP", json!({"AllowedIPRange": "2001:db8::/32"}), true),
        ("IP", json!({"AllowedIPRange": "192.0.2.1"}), false),
        ("IP", json!({"AllowedIPRange": "192.0.2.0/33"}), false),
        ("IP", json!({"AllowedIPRange": "everywhere"}), false),
        ("IP", json!({}), false),
        ("IP", json!({"AllowedIPRange": "192.0.2.0/24", "SecretToken": "s"}), false),
        ("UNAUTHENTICATED", json!({}), true),
        ("UNAUTHENTICATED", json!({"SecretToken": "s"}), false),
        ("UNAUTHENTICATED", json!({"AllowedIPRange": "192.0.2.0/24"}), false),
    ] {
        let put = put_webhook(definition(authentication, configuration.clone()), None, key());
        assert_eq!(put.is_ok(), fits, "{authentication} {configuration}");
        let exception = put.err().map(|error| error.exception());
        assert!(fits || exception == Some("InvalidWebhookAuthenticationParametersException"), "{exception:?}");
    }
}

#[test]
fn a_put_keeps_url_and_redacted_secret_and_forgets_the_problem() {
    let mut stored = put_webhook(signed(), None, key()).unwrap();
    stored.problem = Some(WebhookProblem { status: 403, message: "wrong".into() });
    stored.version = 4;
    let shown = stored.definition.clone().redacted();
    assert_eq!(json!(shown.authentication_configuration), json!({"SecretToken": "****"}));
    let again = put_webhook(shown, Some(&stored), Secret::new("other")).unwrap();
    assert_eq!(again, Webhook { problem: None, ..stored.clone() });
    let changed = definition("GITHUB_HMAC", json!({"SecretToken": "new"}));
    let changed = put_webhook(changed, Some(&stored), Secret::new("other")).unwrap();
    let secret = changed.definition.authentication_configuration.secret_token.unwrap();
    assert_eq!((secret.expose(), changed.url_key.expose()), ("new", "0123"));
    let open = put_webhook(definition("UNAUTHENTICATED", json!({})), None, key()).unwrap();
    let kept = put_webhook(signed().redacted(), Some(&open), key());
    assert!(matches!(kept, Err(InvalidWebhook::Authentication(_))), "there is no secret to keep");
}

#[test]
fn secrets_stay_out_of_logs() {
    let webhook = put_webhook(signed(), None, Secret::new("url key")).unwrap();
    let debug = format!("{webhook:?}");
    assert!(!debug.contains(SECRET) && !debug.contains("url key"), "{debug}");
    assert!(webhook.url_key.is("url key") && !webhook.url_key.is("url kez") && !webhook.url_key.is(""));
}

#[test]
fn signatures_are_githubs() {
    // The same by HMAC-SHA1, as `openssl dgst -sha1 -hmac` makes it.
    let sha1 = "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59";
    let other = &SHA256.replace("757107", "757108");
    let upper = &SHA256.to_uppercase().replace("SHA256=", "sha256=");
    for (signature_sha256, signature_sha1, expected) in [
        (Some(SHA256), None, Ok(())),
        (Some(upper.as_str()), None, Ok(())),
        (None, Some(sha1), Ok(())),
        (Some(SHA256), Some("sha1=00"), Ok(())),
        (Some(other.as_str()), Some(sha1), Err(Unauthentic::WrongSignature)),
        (Some(&SHA256["sha256=".len()..]), None, Err(Unauthentic::WrongSignature)),
        (Some(&SHA256[..SHA256.len() - 2]), None, Err(Unauthentic::WrongSignature)),
        (Some("sha256="), None, Err(Unauthentic::WrongSignature)),
        (Some("sha256=x"), None, Err(Unauthentic::WrongSignature)),
        (Some(sha1), None, Err(Unauthentic::WrongSignature)),
        (None, Some(SHA256), Err(Unauthentic::WrongSignature)),
        (None, None, Err(Unauthentic::Unsigned)),
    ] {
        let sender = Sender { address: None, signature_sha256, signature_sha1 };
        assert_eq!(authenticate(&signed(), &sender, BODY), expected, "{sender:?}");
    }
    let sender = Sender { signature_sha256: Some(SHA256), ..Sender::default() };
    assert_eq!(authenticate(&signed(), &sender, b"Hello, World?"), Err(Unauthentic::WrongSignature));
}

#[test]
fn addresses_are_of_the_range_or_not() {
    for (range, address, inside) in [
        ("192.0.2.0/24", "192.0.2.255", true),
        ("192.0.2.77/24", "192.0.2.1", true),
        ("192.0.2.0/24", "192.0.3.0", false),
        ("192.0.2.0/24", "::ffff:192.0.2.1", true),
        ("192.0.2.0/24", "2001:db8::1", false),
        ("2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/32", "2001:db9::", false),
        ("0.0.0.0/0", "198.51.100.7", true),
    ] {
        let sender = Sender { address: Some(address.parse().unwrap()), ..Sender::default() };
        let webhook = definition("IP", json!({"AllowedIPRange": range}));
        let expected = if inside { Ok(()) } else { Err(Unauthentic::WrongAddress) };
        assert_eq!(authenticate(&webhook, &sender, BODY), expected, "{range} {address}");
        assert!(authenticate(&webhook, &Sender::default(), BODY).is_err(), "of no address");
        assert!(authenticate(&definition("UNAUTHENTICATED", json!({})), &sender, BODY).is_ok());
    }
}

fn judge(filters: Value, payload: Value) -> Result<(), FilterMiss> {
    let configuration = [("Branch", "main"), ("S3ObjectKey", "app.zip")];
    let configuration: BTreeMap<_, _> = configuration.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    judge_filters(&serde_json::from_value::<Vec<_>>(filters).unwrap(), &payload, &configuration)
}

fn payload() -> Value {
    json!({
        "ref": "refs/heads/main", "deleted": false, "size": 2, "head": null, "ratio": 0.5,
        "repository": {"full_name": "octo/shop", "topics": ["web", "shop"], "a key": {"b": 1}},
        "commits": [{"id": "c1", "added": ["a.txt"]}, {"id": "c2", "added": ["b.txt"]}],
    })
}

#[test]
fn a_filter_compares_what_its_path_selects_as_text() {
    for (path, equals, passes) in [
        ("$.ref", Some("refs/heads/main"), true),
        ("$.ref", Some("refs/heads/{Branch}"), true),
        ("$.ref", Some("refs/heads/{S3ObjectKey}"), false),
        ("$.ref", Some("{Branch}"), false),
        ("$['ref']", Some("refs/heads/main"), true),
        ("$.ref", None, true),
        ("$.absent", None, false),
        ("$.absent", Some(""), false),
        ("$.deleted", Some("false"), true),
        ("$.size", Some("2"), true),
        ("$.size", Some("2.0"), false),
        ("$.ratio", Some("0.5"), true),
        ("$.head", Some("null"), true),
        ("$.head", None, true),
        ("$.repository.full_name", Some("octo/shop"), true),
        ("$.repository['a key'].b", Some("1"), true),
        ("$.repository['a key']", Some(r#"{"b":1}"#), true),
        ("$.repository.topics", Some(r#"["web","shop"]"#), true),
        ("$.repository.topics[1]", Some("shop"), true),
        ("$.repository.topics[-1]", Some("shop"), true),
        ("$.repository.topics[*]", Some("web"), true),
        ("$.commits[0].id", Some("c1"), true),
        ("$.commits[*].added[*]", Some("b.txt"), true),
        ("$.commits[*].id", Some("c3"), false),
        ("$..id", Some("c2"), true),
        ("$.commits[?(@.id == 'c2')].added[0]", Some("b.txt"), true),
    ] {
        let filter = json!([{"jsonPath": path, "matchEquals": equals}]);
        assert_eq!(judge(filter, payload()).is_ok(), passes, "{path} {equals:?}");
    }
}

#[test]
fn every_filter_must_pass_and_the_first_that_does_not_is_named() {
    assert_eq!(judge(json!([]), payload()), Ok(()));
    let filters = json!([
        {"jsonPath": "$.ref", "matchEquals": "refs/heads/{Branch}"},
        {"jsonPath": "$.deleted", "matchEquals": "true"},
    ]);
    assert_eq!(judge(filters, payload()), Err(FilterMiss { filter: 2, unknown_key: None }));
    let unknown = json!([{"jsonPath": "$.ref", "matchEquals": "{Branch}/{Tag} {not a key} {}"}]);
    assert_eq!(judge(unknown, payload()), Err(FilterMiss { filter: 1, unknown_key: Some("Tag".into()) }));
}

#[test]
fn placeholders_are_filled_once_and_what_is_none_stays() {
    let filters = |equals: &str| json!([{"jsonPath": "$.v", "matchEquals": equals}]);
    for (equals, value) in [
        ("{Branch}-{Branch}", "main-main"),
        ("a{Branch}", "amain"),
        ("{{Branch}}", "{main}"),
        ("{a b}{Branch", "{a b}{Branch"),
        ("ü{Branch}ü", "ümainü"),
        ("{Tag}", "{Tag}"),
    ] {
        assert_eq!(judge(filters(equals), json!({"v": value})), Ok(()), "{equals}");
    }
    let parsed = |equals: &str| serde_json::from_value::<Vec<WebhookFilter>>(filters(equals)).unwrap();
    assert!(has_placeholders(&parsed("x{Branch}")) && !has_placeholders(&parsed("{a b}")));
}

#[test]
fn paths_that_are_none_or_ask_too_much_are_refused() {
    for path in ["", "ref", "$.", "$.a b", "$[", "$.x[a]", "$..a..b", "$.a[?@.b == $.c]", "$.length()"] {
        let mut definition = definition("UNAUTHENTICATED", json!({}));
        definition.filters[0].json_path = path.to_owned();
        let refused = put_webhook(definition, None, key()).unwrap_err();
        assert_eq!(refused.exception(), "InvalidWebhookFilterPatternException", "{path}");
        assert!(refused.to_string().contains(&format!("'{path}'")), "{refused}");
    }
}

#[test]
fn signed_deliveries_are_known_by_their_body_and_others_by_number_and_body() {
    let made =
        |definition: WebhookDefinition, url_key: &str| put_webhook(definition, None, Secret::new(url_key)).unwrap();
    let signed_one = made(signed(), "k");
    let cause = |id, body: &str| signed_one.delivery_cause(id, body.as_bytes()).unwrap();
    for number in [Some("d1"), Some("d2"), Some(""), None] {
        assert_eq!(cause(number, "x"), cause(Some("d1"), "x"), "recorded, and sent with number {number:?}");
    }
    assert_ne!(cause(Some("d1"), "x"), cause(Some("d1"), "y"));
    assert_ne!(cause(None, "x"), made(signed(), "other").delivery_cause(None, b"x").unwrap(), "made anew");

    let open = made(definition("UNAUTHENTICATED", json!({})), "k");
    let cause = |id, body: &str| open.delivery_cause(id, body.as_bytes());
    assert_eq!(cause(None, "x"), None);
    assert_eq!(cause(Some("d1"), "x"), cause(Some("d1"), "x"));
    assert_ne!(cause(Some("d1"), "x"), cause(Some("d2"), "x"));
    assert_ne!(cause(Some("d1"), "x"), cause(Some("d"), "1x"));
}
