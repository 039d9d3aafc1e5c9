//! Custom action types, and what is told of those built in.

use serde_json::{Value, json};

use crate::world::{ACCOUNT, Bench, REGION, shop};

/// A type with a property that workers ask by, a secret, and links.
pub(crate) fn make() -> Value {
    json!({
        "category": "Build", "provider": "Make", "version": "1",
        "settings": {
            "entityUrlTemplate": "https://make.example/{Config:Project}",
            "executionUrlTemplate": "https://make.example/{Config:Project}/{ExternalExecutionId}",
            "revisionUrlTemplate": "https://make.example/{Config:Project}/commit/{RevisionId}",
        },
        "configurationProperties": [
            {"name": "Project", "required": true, "key": true, "secret": false, "queryable": true, "type": "String"},
            {"name": "Token", "required": false, "key": false, "secret": true, "description": "Of the build server"},
        ],
        "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 1},
        "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 1},
    })
}

pub(crate) fn make_id() -> Value {
    json!({"category": "Build", "owner": "Custom", "provider": "Make", "version": "1"})
}

/// `shop` with a custom action in the place of the function.
pub(crate) fn made() -> Value {
    let mut pipeline = shop();
    let action = &mut pipeline["stages"][1]["actions"][0];
    action["actionTypeId"] = make_id();
    action["configuration"] = json!({"Project": "#{variables.Color}", "Token": "hunter2"});
    action["outputArtifacts"] = json!([{"name": "Binary"}]);
    action["namespace"] = json!("Made");
    pipeline
}

fn with(member: &str, value: Value) -> Value {
    let mut declared = make();
    declared[member] = value;
    declared
}

async fn custom_types(bench: &Bench) -> Vec<Value> {
    let listed = bench.ok("ListActionTypes", json!({"actionOwnerFilter": "Custom"})).await;
    listed["actionTypes"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_type_is_declared_listed_deleted_and_restored() {
    let bench = Bench::new().await;
    assert_eq!(custom_types(&bench).await, [] as [Value; 0]);
    let tags = json!([{"key": "team", "value": "shop"}]);
    let created = bench.ok("CreateCustomActionType", with("tags", tags.clone())).await;
    assert_eq!((&created["actionType"]["id"], &created["tags"]), (&make_id(), &tags));
    assert_eq!(created["actionType"]["settings"], make()["settings"]);
    assert_eq!(created["actionType"]["actionConfigurationProperties"], make()["configurationProperties"]);
    assert_eq!(custom_types(&bench).await, [created["actionType"].clone()]);
    let arn = format!("arn:aws:codepipeline:{REGION}:{ACCOUNT}:actiontype:Custom/Build/Make/1");
    let listed = bench.ok("ListTagsForResource", json!({"resourceArn": arn})).await;
    assert_eq!(listed["tags"], tags);

    bench.refuses("CreateCustomActionType", &[(make(), "ValidationException", "already exists")]).await;
    let id = json!({"category": "Build", "provider": "Make", "version": "1"});
    for _ in 0..2 {
        assert!(bench.ok("DeleteCustomActionType", id.clone()).await.is_null());
    }
    assert_eq!(custom_types(&bench).await, [] as [Value; 0]);
    let gone = (json!({"resourceArn": arn}), "ResourceNotFoundException", "Make");
    bench.refuses("ListTagsForResource", &[gone]).await;
    let changed = with("settings", json!({}));
    bench.refuses("CreateCustomActionType", &[(changed.clone(), "ValidationException", "new version")]).await;
    bench.ok("CreateCustomActionType", make()).await;
    let mut next = changed;
    next["version"] = json!("2");
    bench.ok("CreateCustomActionType", next).await;
    assert_eq!(custom_types(&bench).await.len(), 2);
}

#[tokio::test]
async fn what_cannot_be_a_type_is_refused() {
    let bench = Bench::new().await;
    let property = |name: &str, queryable: bool, secret: bool| json!({"name": name, "required": true, "key": true, "secret": secret, "queryable": queryable});
    let system = json!([{"key": "aws:x", "value": "y"}]);
    let many: Vec<_> = (0..51).map(|n| json!({"key": format!("k{n}"), "value": "v"})).collect();
    let cases = [
        (
            with("inputArtifactDetails", json!({"minimumCount": 3, "maximumCount": 2})),
            "ValidationException",
            "Maximum Number of Artifacts (2) has to be greater than or equal to minimum (3).",
        ),
        (
            with("outputArtifactDetails", json!({"minimumCount": 0, "maximumCount": 6})),
            "ValidationException",
            "less than or equal to 5",
        ),
        (
            with("configurationProperties", json!([property("A", true, false), property("B", true, false)])),
            "ValidationException",
            "both queryable",
        ),
        (with("configurationProperties", json!([property("A", true, true)])), "ValidationException", "not secret"),
        (with("configurationProperties", json!([])), "ValidationException", "{Config:Project}"),
        (with("category", json!("Dance")), "ValidationException", "enum value set"),
        (with("tags", system), "InvalidTagsException", "system tags"),
        (with("tags", json!(many)), "TooManyTagsException", "Tag limit exceeded"),
    ];
    bench.refuses("CreateCustomActionType", &cases).await;
    assert_eq!(custom_types(&bench).await, [] as [Value; 0]);
}

#[tokio::test]
async fn there_are_fifty_types_at_most() {
    let bench = Bench::new().await;
    for version in 0..50 {
        bench.ok("CreateCustomActionType", with("version", json!(format!("v{version}")))).await;
    }
    bench.refuses("CreateCustomActionType", &[(make(), "LimitExceededException", "50")]).await;
    bench.ok("DeleteCustomActionType", json!({"category": "Build", "provider": "Make", "version": "v7"})).await;
    bench.ok("CreateCustomActionType", make()).await;
    assert_eq!(custom_types(&bench).await.len(), 50);
}

#[tokio::test]
async fn pipelines_are_checked_against_the_types_that_are_declared() {
    let bench = Bench::new().await;
    let missing = "is not available in region 'EU_WEST_1'";
    let create = |pipeline: Value| json!({"pipeline": pipeline});
    bench.refuses("CreatePipeline", &[(create(made()), "InvalidActionDeclarationException", missing)]).await;
    bench.ok("CreateCustomActionType", make()).await;
    let changed = |member: &str, value: Value| {
        let mut pipeline = made();
        pipeline["stages"][1]["actions"][0][member] = value;
        create(pipeline)
    };
    let cases = [
        (changed("configuration", json!({"Token": "x"})), "InvalidActionDeclarationException", "'Project'"),
        (
            changed("configuration", json!({"Project": "p", "Color": "x"})),
            "InvalidActionDeclarationException",
            "unknown configuration 'Color'",
        ),
        (
            changed("configuration", json!({"Project": "a project with spaces"})),
            "InvalidActionDeclarationException",
            "letters, digits",
        ),
        (changed("region", json!("us-east-1")), "InvalidStructureException", "region"),
        (
            changed("outputArtifacts", json!([{"name": "A"}, {"name": "B"}])),
            "InvalidActionDeclarationException",
            "maximum count (1)",
        ),
    ];
    bench.refuses("CreatePipeline", &cases).await;
    bench.ok("CreatePipeline", create(made())).await;
    bench.ok("DeleteCustomActionType", json!({"category": "Build", "provider": "Make", "version": "1"})).await;
    bench.refuses("UpdatePipeline", &[(create(made()), "InvalidActionDeclarationException", missing)]).await;
}

#[tokio::test]
async fn secrets_are_shown_to_nobody_and_kept_while_their_action_keeps_its_name() {
    let bench = Bench::new().await;
    bench.ok("CreateCustomActionType", make()).await;
    let token = |answer: &Value| answer["pipeline"]["stages"][1]["actions"][0]["configuration"]["Token"].clone();
    let created = bench.ok("CreatePipeline", json!({"pipeline": made()})).await;
    assert_eq!(token(&created), "****");
    let shown = bench.ok("GetPipeline", json!({"name": "shop"})).await;
    assert_eq!(token(&shown), "****");
    assert!(!shown.to_string().contains("secretKeys"), "{shown}");

    let updated = bench.ok("UpdatePipeline", json!({"pipeline": shown["pipeline"]})).await;
    assert_eq!(token(&updated), "****");
    assert_eq!(stored_token(&bench).await, "hunter2");
    let mut renamed = shown["pipeline"].clone();
    renamed["stages"][1]["name"] = json!("Production");
    bench.ok("UpdatePipeline", json!({"pipeline": renamed})).await;
    assert_eq!(stored_token(&bench).await, "****", "a secret does not follow a stage to another name");

    bench.ok("DeleteCustomActionType", json!({"category": "Build", "provider": "Make", "version": "1"})).await;
    let mut fresh = made();
    fresh["stages"][1]["actions"][0]["configuration"]["Token"] = json!("hunter3");
    bench.ok("CreateCustomActionType", make()).await;
    bench.ok("UpdatePipeline", json!({"pipeline": fresh})).await;
    bench.ok("DeleteCustomActionType", json!({"category": "Build", "provider": "Make", "version": "1"})).await;
    assert_eq!(token(&bench.ok("GetPipeline", json!({"name": "shop"})).await), "****", "also without its type");
}

/// What the pipeline holds, as whoever does the work gets it.
async fn stored_token(bench: &Bench) -> String {
    let view = engine::load_view(&bench.world, &crate::world::shop_name()).await.unwrap();
    let declaration = engine::load_declaration(&bench.world, &view.index).await.unwrap();
    declaration.stages[1].actions[0].configuration["Token"].clone()
}

#[tokio::test]
async fn types_built_in_are_described_and_cannot_be_changed() {
    let bench = Bench::new().await;
    let id = |owner: &str, provider: &str| json!({"category": "Deploy", "owner": owner, "provider": provider, "version": "1"});
    let found = bench.ok("GetActionType", id("AWS", "S3")).await["actionType"].clone();
    assert_eq!((&found["id"], &found["executor"]["type"]), (&id("AWS", "S3"), &json!("JobWorker")));
    assert_eq!(found["inputArtifactDetails"], json!({"minimumCount": 1, "maximumCount": 1}));
    let bucket = json!({"name": "BucketName", "optional": false, "key": true, "noEcho": false});
    assert!(found["properties"].as_array().unwrap().contains(&bucket), "{found}");
    let cases = [
        (id("AWS", "Nothing"), "ActionTypeNotFoundException", "'Nothing'"),
        (id("ThirdParty", "S3"), "ActionTypeNotFoundException", "'ThirdParty'"),
        (id("Custom", "S3"), "ValidationException", "AWS|ThirdParty"),
    ];
    bench.refuses("GetActionType", &cases).await;
    let update = |owner: &str| {
        let mut declared = found.clone();
        declared["id"]["owner"] = json!(owner);
        json!({"actionType": declared})
    };
    let cases = [
        (update("AWS"), "RequestFailedException", "built in"),
        (update("ThirdParty"), "ActionTypeNotFoundException", "'ThirdParty'"),
    ];
    bench.refuses("UpdateActionType", &cases).await;
}
