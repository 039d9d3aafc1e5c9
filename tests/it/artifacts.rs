//! Artifacts with a KMS key of their store: what is written, and what those are told who read and write them.

use serde_json::{Value, json};

use crate::world::{World, eventually, pipeline, publish, release, text};

const STORE_KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/store";
const SITE_KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/site";

fn work_id() -> Value {
    json!({ "category": "Build", "owner": "Custom", "provider": "Make", "version": "1" })
}

/// With what S3 says an object is encrypted.
async fn key_of(world: &World, bucket: &str, key: &str) -> (String, String) {
    let head = world.client.s3.head_object().bucket(bucket).key(key).send().await.expect("it is there");
    let kind = head.server_side_encryption().map(|kind| kind.as_str().to_owned());
    (kind.unwrap_or_default(), head.ssekms_key_id().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_are_encrypted_with_the_key_of_their_store_and_workers_are_told_it() {
    let world = World::start().await;
    let name = "sealed";
    world.buckets(name).await;
    world.upload(name, release("one")).await;
    let one = json!({ "minimumCount": 1, "maximumCount": 1 });
    let mut declared = work_id();
    declared.as_object_mut().expect("an object").remove("owner");
    declared["inputArtifactDetails"] = one.clone();
    declared["outputArtifactDetails"] = one;
    world.call("CreateCustomActionType", declared).await;

    let make = json!({ "name": "Make", "actionTypeId": work_id(),
        "inputArtifacts": [{ "name": "App" }], "outputArtifacts": [{ "name": "Made" }] });
    let mut publish = publish(name, 2);
    publish["configuration"]["KMSEncryptionKeyARN"] = json!(SITE_KEY);
    let mut sealed = pipeline(name, &[make, publish]);
    let key = json!({ "id": STORE_KEY, "type": "KMS" });
    sealed["artifactStore"]["encryptionKey"] = key.clone();
    world.call("CreatePipeline", json!({ "pipeline": sealed })).await;

    let job = eventually("the job", async || {
        let polled = world.call("PollForJobs", json!({ "actionTypeId": work_id() })).await;
        polled["jobs"].as_array().and_then(|jobs| jobs.first().cloned())
    })
    .await;
    assert_eq!(job["data"]["encryptionKey"], key);
    let details = world.call("GetJobDetails", json!({ "jobId": job["id"] })).await;
    assert_eq!(details["jobDetails"]["data"]["encryptionKey"], key);
    let at = &job["data"]["inputArtifacts"][0]["location"]["s3Location"];
    assert_eq!(at["bucketName"], "sealed-artifacts");
    let sealed_with = key_of(&world, "sealed-artifacts", &text(&at["objectKey"])).await;
    assert_eq!(sealed_with, ("aws:kms".to_owned(), STORE_KEY.to_owned()));
    let told = &job["data"]["outputArtifacts"][0]["location"]["s3Location"];
    assert_eq!(told["bucketName"], "sealed-artifacts", "the worker writes into the same store");

    world.call("AcknowledgeJob", json!({ "jobId": job["id"], "nonce": job["nonce"] })).await;
    world.call("PutJobSuccessResult", json!({ "jobId": job["id"] })).await;
    let ended = world.execution(name, "the end", |one| one["status"] != "InProgress").await;
    assert_eq!(ended["status"], "Succeeded", "{ended}");
    assert_eq!(world.page(name).await, "one");
    let published_with = key_of(&world, "sealed-site", "index.html").await;
    assert_eq!(published_with, ("aws:kms".to_owned(), SITE_KEY.to_owned()), "its own key, not the store's");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_the_pipelines_own_region_is_the_one_that_is_used() {
    let world = World::start().await;
    let name = "spread";
    world.buckets(name).await;
    world.upload(name, release("one")).await;
    let mut spread = pipeline(name, &[publish(name, 1)]);
    let mut stores =
        json!({ "us-east-1": spread["artifactStore"], "eu-west-1": { "type": "S3", "location": "elsewhere" } });
    stores["us-east-1"]["encryptionKey"] = json!({ "id": STORE_KEY, "type": "KMS" });
    spread.as_object_mut().expect("an object").remove("artifactStore");
    spread["artifactStores"] = stores;
    let ended = world.create(&spread).await;
    assert_eq!(ended["status"], "Succeeded", "{ended}");
    let keys = world.keys("spread-artifacts").await;
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert_eq!(key_of(&world, "spread-artifacts", &keys[0]).await.1, STORE_KEY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_there_fails_the_source_by_name() {
    let world = World::start().await;
    let name = "storeless";
    world.buckets(name).await;
    world.upload(name, release("one")).await;
    let mut storeless = pipeline(name, &[publish(name, 1)]);
    storeless["artifactStore"]["location"] = json!("no-such-bucket");
    let failed = world.create(&storeless).await;
    let (code, message) = world.failure(name, &failed, "Upload").await;
    assert_eq!(code, "ConfigurationError", "the revision itself is there: {message}");
    assert!(message.contains("no-such-bucket"), "{message}");
}
