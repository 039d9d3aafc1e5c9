//! Executions take exactly what they were started with.

use serde_json::{Value, json};

use crate::world::{World, eventually, pipeline, publish, release, text};

fn revision(kind: &str, value: &str) -> Value {
    json!({ "actionName": "Upload", "revisionType": kind, "revisionValue": value })
}

/// Starts with these revisions and waits for the end.
async fn run(world: &World, name: &str, revisions: &[Value]) -> Value {
    world.run(json!({ "name": name, "sourceRevisions": revisions })).await
}

/// What an execution says it took: from its summary and from itself.
async fn taken(world: &World, name: &str, execution: &Value) -> (String, String) {
    assert_eq!(execution["status"], "Succeeded", "{execution}");
    let get = json!({ "pipelineName": name, "pipelineExecutionId": execution["pipelineExecutionId"] });
    let told = world.call("GetPipelineExecution", get).await;
    let artifact = &told["pipelineExecution"]["artifactRevisions"][0];
    assert_eq!(artifact["name"], "App", "{told}");
    (text(&execution["sourceRevisions"][0]["revisionId"]), text(&artifact["revisionId"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_named_version_and_key_are_taken_and_told() {
    let world = World::start().await;
    let name = "named";
    world.buckets(name).await;
    let mut open = pipeline(name, &[publish(name, 1)]);
    open["stages"][0]["actions"][0]["configuration"]["AllowOverrideForS3ObjectKey"] = json!("true");
    world.create(&open).await;
    let mut versions = Vec::new();
    for page in ["one", "two"] {
        let ended = world.release(name, page).await;
        versions.push(taken(&world, name, &ended).await.0);
    }
    let mut others = Vec::new();
    for page in ["three", "four"] {
        let put = world.client.s3.put_object().bucket(format!("{name}-releases")).key("other.zip");
        let put = put.body(release(page).into()).send().await.expect("the bucket is there");
        others.push(put.version_id().unwrap_or_default().to_owned());
    }
    let key = revision("S3_OBJECT_KEY", "other.zip");
    for (revisions, version, page) in [
        (vec![revision("S3_OBJECT_VERSION_ID", &versions[0])], &versions[0], "one"),
        (vec![], &versions[1], "two"),
        (vec![key.clone()], &others[1], "four"),
        (vec![revision("S3_OBJECT_VERSION_ID", &others[0]), key.clone()], &others[0], "three"),
    ] {
        let ended = run(&world, name, &revisions).await;
        assert_eq!(taken(&world, name, &ended).await, (version.clone(), version.clone()), "{page}");
        assert_eq!(world.page(name).await, page);
    }
    for (version, key) in [("no-such-version", None), (others[0].as_str(), None), (versions[0].as_str(), Some(key))] {
        let mut revisions = vec![revision("S3_OBJECT_VERSION_ID", version)];
        revisions.extend(key);
        let failed = run(&world, name, &revisions).await;
        let (code, message) = world.failure(name, &failed, "Upload").await;
        assert_eq!(code, "RevisionUnavailable");
        assert!(message.contains(&format!("has no version '{version}'")), "{message}");
    }
    assert_eq!(world.page(name).await, "three", "what was deployed stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_upload_starts_one_execution_whatever_is_said_of_polling() {
    let world = World::start().await;
    for (name, polls) in [("silent", None), ("polls", Some("true")), ("waits", Some("false"))] {
        world.buckets(name).await;
        let mut pipeline = pipeline(name, &[publish(name, 1)]);
        if let Some(polls) = polls {
            pipeline["stages"][0]["actions"][0]["configuration"]["PollForSourceChanges"] = json!(polls);
        }
        world.create(&pipeline).await;
        for page in ["one", "two"] {
            world.release(name, page).await;
        }
        let triggers: Vec<String> =
            world.executions(name).await.iter().map(|one| text(&one["trigger"]["triggerType"])).collect();
        assert_eq!(triggers, ["CloudWatchEvent", "CloudWatchEvent", "CreatePipeline"], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_and_its_revision_put_by_hand_start_one_execution() {
    let world = World::start().await;
    let name = "put";
    world.buckets(name).await;
    world.create(&pipeline(name, &[publish(name, 1)])).await;
    let version = world.upload(name, release("one")).await;
    let put = json!({ "pipelineName": name, "stageName": "Source", "actionName": "Upload",
        "actionRevision": { "revisionId": version, "revisionChangeId": "c1", "created": 1_780_000_000.0 } });
    let answer = world.call("PutActionRevision", put.clone()).await;
    let ended = world.ended(name, &text(&answer["pipelineExecutionId"])).await;
    assert_eq!(taken(&world, name, &ended).await.0, version);
    let again = world.call("PutActionRevision", put).await;
    assert_eq!(again, json!({ "newRevision": false, "pipelineExecutionId": answer["pipelineExecutionId"] }));
    let told = || world.system.invocations().get("lastgood-source-trigger").copied().unwrap_or_default();
    eventually("the upload's own event", async || (told() >= 1).then_some(())).await;
    assert_eq!(world.executions(name).await.len(), 2, "the pipeline's first, and the upload's");
}
