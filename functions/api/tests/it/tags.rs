//! Tags.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::world::{ACCOUNT, Bench, REGION, shop};

const SYSTEM: &str = "Not allowed to modify system tags. System tags start with 'aws:'. msg=[Caller is an end user and \
                      not allowed to mutate system tags]";

fn arn(name: &str) -> String {
    format!("arn:aws:codepipeline:{REGION}:{ACCOUNT}:{name}")
}

fn tags(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}

fn numbered(range: std::ops::Range<usize>) -> Value {
    range.map(|number| json!({"key": format!("key {number:03}"), "value": ""})).collect()
}

async fn add(bench: &Bench, given: Value) -> Value {
    bench.ok("TagResource", json!({"resourceArn": arn("shop"), "tags": given})).await
}

async fn remove(bench: &Bench, keys: Value) -> Value {
    bench.ok("UntagResource", json!({"resourceArn": arn("shop"), "tagKeys": keys})).await
}

async fn listed(bench: &Bench) -> Value {
    bench.ok("ListTagsForResource", json!({"resourceArn": arn("shop")})).await
}

#[tokio::test]
async fn tags_are_given_changed_and_taken_away() {
    let bench = Bench::new().await;
    let given = tags(&[("team", "web"), ("cost", "")]);
    let created = bench.ok("CreatePipeline", json!({"pipeline": shop(), "tags": given})).await;
    assert_eq!(created["tags"], given, "as they were given");
    assert_eq!(listed(&bench).await, json!({"tags": tags(&[("cost", ""), ("team", "web")])}));

    assert_eq!(add(&bench, tags(&[("team", "shop"), ("Team", "ü")])).await, json!({}));
    assert_eq!(remove(&bench, json!(["cost", "nothing", "cost"])).await, json!({}));
    assert_eq!(listed(&bench).await["tags"], tags(&[("Team", "ü"), ("team", "shop")]));
    add(&bench, json!([])).await;
    remove(&bench, json!([])).await;
    bench.ok("UpdatePipeline", json!({"pipeline": shop()})).await;
    assert_eq!(listed(&bench).await["tags"], tags(&[("Team", "ü"), ("team", "shop")]), "an update leaves them alone");
}

#[tokio::test]
async fn a_pipeline_made_anew_has_no_tags() {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({"pipeline": shop(), "tags": tags(&[("team", "web")])})).await;
    bench.ok("DeletePipeline", json!({"name": "shop"})).await;
    let gone = bench.refused("ListTagsForResource", json!({"resourceArn": arn("shop")})).await;
    let text = format!("The account with id '{ACCOUNT}' does not include a pipeline with the name 'shop'");
    assert_eq!(gone, ("ResourceNotFoundException".to_owned(), text));
    bench.ok("CreatePipeline", json!({"pipeline": shop()})).await;
    assert_eq!(listed(&bench).await, json!({"tags": []}));
}

#[tokio::test]
async fn what_cannot_be_tagged_so_is_refused_and_nothing_changes() {
    let bench = Bench::new().await;
    let before = numbered(0..50);
    bench.ok("CreatePipeline", json!({"pipeline": shop(), "tags": before})).await;
    let on = |name: &str, given: Value| json!({"resourceArn": arn(name), "tags": given});
    let twice = tags(&[("a", "1"), ("a", "2")]);
    let limit = format!("Tag limit exceeded for resource [{}].", arn("shop"));
    let mut elsewhere = on("shop", json!([]));
    elsewhere["resourceArn"] = json!("arn:aws:codepipeline:us-east-1:111122223333:shop");
    bench
        .refuses(
            "TagResource",
            &[
                (on("blog", json!([])), "ResourceNotFoundException", "a pipeline with the name 'blog'"),
                (on("webhook:blog", json!([])), "ResourceNotFoundException", "a webhook with the name 'blog'"),
                (on("actiontype:Custom/Build/T/1", json!([])), "ResourceNotFoundException", "an action type"),
                (on("shop/Prod", json!([])), "InvalidArnException", "shop/Prod"),
                (elsewhere, "InvalidArnException", "us-east-1"),
                (json!({"resourceArn": "shop", "tags": []}), "ValidationException", "resourceArn"),
                (on("shop", tags(&[("AWS:x", "")])), "InvalidTagsException", SYSTEM),
                (on("shop", twice.clone()), "InvalidTagsException", "'a'"),
                (on("shop", tags(&[("new", "")])), "TooManyTagsException", &limit),
                (on("shop", tags(&[("", "")])), "ValidationException", "tags.1.member.key"),
                (on("shop", tags(&[("k", &"v".repeat(257))])), "ValidationException", "tags.1.member.value"),
            ],
        )
        .await;
    let keys = json!({"resourceArn": arn("shop"), "tagKeys": ["key 000", "aws:x"]});
    bench.refuses("UntagResource", &[(keys, "InvalidTagsException", SYSTEM)]).await;
    let mut blog = shop();
    blog["name"] = json!("blog");
    bench
        .refuses(
            "CreatePipeline",
            &[
                (json!({"pipeline": blog, "tags": numbered(0..51)}), "TooManyTagsException", &arn("blog")),
                (json!({"pipeline": blog, "tags": twice}), "InvalidTagsException", "'a'"),
            ],
        )
        .await;
    assert_eq!(listed(&bench).await["tags"], before);
    bench.refuses("GetPipeline", &[(json!({"name": "blog"}), "PipelineNotFoundException", "'blog'")]).await;
}

#[tokio::test]
async fn changes_at_the_same_time_all_count_up_to_the_limit() {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({"pipeline": shop(), "tags": numbered(0..45)})).await;
    let tag = |number: usize| {
        bench.call("TagResource", json!({"resourceArn": arn("shop"), "tags": numbered(number..number + 1)}))
    };
    let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
    for (status, body) in join_all((45..55).map(tag)).await {
        *answers.entry(status).or_default() += 1;
        assert!(status == 200 || body["__type"] == "TooManyTagsException", "{body}");
    }
    assert_eq!(answers, BTreeMap::from([(200, 5), (400, 5)]));
    assert_eq!(listed(&bench).await["tags"].as_array().unwrap().len(), 50);
}
