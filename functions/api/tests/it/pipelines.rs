//! Pipelines themselves.

use serde_json::json;

use crate::world::{Bench, shop};

#[tokio::test]
async fn a_pipeline_is_created_read_changed_listed_and_deleted() {
    let bench = Bench::new().await;
    let created = bench.ok("CreatePipeline", json!({"pipeline": shop()})).await;
    assert_eq!(created["pipeline"]["version"], 1);
    assert_eq!(created["pipeline"]["stages"][1]["actions"][0]["runOrder"], 1);
    assert!(created.get("tags").is_none());

    let mut changed = shop();
    changed["variables"][0]["defaultValue"] = json!("blue");
    let updated = bench.ok("UpdatePipeline", json!({"pipeline": changed})).await;
    assert_eq!(updated["pipeline"]["version"], 2);

    let read = bench.ok("GetPipeline", json!({"name": "shop"})).await;
    assert_eq!(read["pipeline"], updated["pipeline"]);
    assert_eq!(read["metadata"]["pipelineArn"], "arn:aws:codepipeline:eu-west-1:111122223333:shop");
    assert!(read["metadata"]["updated"].as_f64() > read["metadata"]["created"].as_f64());
    assert_eq!(bench.ok("GetPipeline", json!({"name": "shop", "version": 2})).await, read);

    let listed = bench.ok("ListPipelines", json!({})).await;
    let line = json!({"name": "shop", "version": 2, "pipelineType": "V2", "executionMode": "QUEUED",
        "created": read["metadata"]["created"], "updated": read["metadata"]["updated"]});
    assert_eq!(listed, json!({"pipelines": [line]}));

    for _ in 0..2 {
        assert!(bench.ok("DeletePipeline", json!({"name": "shop"})).await.is_null());
    }
    assert_eq!(bench.ok("ListPipelines", json!({})).await, json!({"pipelines": []}));
}

#[tokio::test]
async fn pipelines_that_cannot_be_are_refused() {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({"pipeline": shop()})).await;
    let mut one_stage = shop();
    one_stage["stages"].as_array_mut().unwrap().pop();
    let mut unknown_type = shop();
    unknown_type["stages"][1]["actions"][0]["actionTypeId"]["provider"] = json!("Banana");
    let mut twice = shop();
    twice["stages"][1]["name"] = json!("Source");
    let mut elsewhere = shop();
    elsewhere["name"] = json!("blog");
    let tags = json!([{"key": "aws:team", "value": "web"}]);
    bench
        .refuses(
            "CreatePipeline",
            &[
                (json!({"pipeline": shop()}), "PipelineNameInUseException", "already exists"),
                (json!({"pipeline": one_stage}), "InvalidStructureException", "minimum of 2 stages"),
                (json!({"pipeline": unknown_type}), "InvalidActionDeclarationException", "Banana"),
                (json!({"pipeline": twice}), "InvalidStageDeclarationException", "more than once"),
                (json!({"pipeline": elsewhere, "tags": tags}), "InvalidTagsException", "system tags"),
                (json!({"pipeline": {"name": "x"}}), "ValidationException", "pipeline.roleArn"),
            ],
        )
        .await;
    bench
        .refuses(
            "UpdatePipeline",
            &[
                (json!({"pipeline": elsewhere}), "ResourceNotFoundException", "'blog'"),
                (json!({"pipeline": one_stage}), "InvalidStructureException", "minimum of 2 stages"),
            ],
        )
        .await;
    bench
        .refuses(
            "GetPipeline",
            &[
                (json!({"name": "blog"}), "PipelineNotFoundException", "'blog'"),
                (json!({"name": "shop", "version": 9}), "PipelineVersionNotFoundException", "9"),
            ],
        )
        .await;
    bench.refuses("ListPipelines", &[(json!({"nextToken": "x"}), "InvalidNextTokenException", "token")]).await;
}

#[tokio::test]
async fn a_listing_goes_on_where_its_page_ended() {
    let bench = Bench::new().await;
    for name in ["a", "b", "c"] {
        let mut pipeline = shop();
        pipeline["name"] = json!(name);
        bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    }
    let (mut names, mut input) = (Vec::new(), json!({"maxResults": 2}));
    loop {
        let page = bench.ok("ListPipelines", input.clone()).await;
        names.extend(page["pipelines"].as_array().unwrap().iter().map(|line| line["name"].clone()));
        let Some(token) = page.get("nextToken") else {
            break;
        };
        input["nextToken"] = token.clone();
    }
    assert_eq!(names, ["a", "b", "c"]);
}
