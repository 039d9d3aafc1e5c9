//! A rollback takes the stage from a deployment that is still running: what that one would have written last is not
//! what stays.

use std::io::{Cursor, Write};

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{BucketVersioningStatus, VersioningConfiguration},
};
use local::{Access, EventOptions, Options, System, demo::Client};
use serde_json::{Value, json};
use tempfile::tempdir;
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::look::eventually;

/// Files of the slow release: enough for it to be caught in the middle.
const FILES: usize = 3_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_running_deployment_that_lost_its_stage_stops_writing() {
    let data = tempdir().expect("a temporary directory");
    let options = Options {
        data: data.path().join("data"),
        port: 0,
        regions: Vec::new(),
        functions: Vec::new(),
        endpoints: Vec::new(),
        events: EventOptions::default(),
        access: Access::default(),
    };
    let system = System::start(options).await.expect("a free port and an empty directory");
    let client = Client::new(&system.endpoint()).expect("constant settings");
    prepare(&client).await;

    upload(&client, archive("good", 0)).await;
    let good = ended(&client, "good", 0).await;
    assert_eq!(good["status"], "Succeeded");

    upload(&client, archive("bad", FILES)).await;
    eventually("the bad release in the stage", async || {
        let page = client.page("site/file-0.txt").await.expect("the site answers");
        page.map(drop)
    })
    .await;
    let target = good["pipelineExecutionId"].clone();
    let input = json!({ "pipelineName": "slow", "stageName": "Deploy", "targetPipelineExecutionId": target });
    client.call("RollbackStage", &input).await.expect("the target is eligible");

    let rollback = ended(&client, "the rollback", 0).await;
    assert_eq!((&rollback["executionType"], &rollback["status"]), (&json!("ROLLBACK"), &json!("Succeeded")));
    let bad = ended(&client, "bad", 1).await;
    assert_eq!(bad["status"], "Cancelled");
    eventually("the end of the bad release's deployment", async || {
        let runs = client.call("ListActionExecutions", &json!({ "pipelineName": "slow" })).await.expect("it answers");
        let runs = runs["actionExecutionDetails"].as_array().cloned().unwrap_or_default();
        let own =
            |run: &&Value| run["pipelineExecutionId"] == bad["pipelineExecutionId"] && run["actionName"] == "Site";
        runs.iter().find(own).filter(|run| run["status"] == "Abandoned").map(drop)
    })
    .await;
    let page = client.page("site/zz-index.html").await.expect("the site answers").expect("the page is there");
    assert_eq!(String::from_utf8_lossy(&page), "good");
    let last = client.page(&format!("site/file-{}.txt", FILES - 1)).await.expect("the site answers");
    assert!(last.is_none(), "the bad release was deployed to its end, so nothing was proved");
}

async fn prepare(client: &Client) {
    for bucket in ["releases", "artifacts", "site"] {
        client.s3.create_bucket().bucket(bucket).send().await.expect("a new bucket");
    }
    let versioned = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let put = client.s3.put_bucket_versioning().bucket("releases").versioning_configuration(versioned);
    put.send().await.expect("the bucket is there");
    let kind = |category: &str| json!({ "category": category, "owner": "AWS", "provider": "S3", "version": "1" });
    let pipeline = json!({
        "name": "slow",
        "roleArn": "arn:aws:iam::000000000000:role/slow",
        "artifactStore": { "type": "S3", "location": "artifacts" },
        "stages": [
            { "name": "Source", "actions": [{
                "name": "Upload", "actionTypeId": kind("Source"), "outputArtifacts": [{ "name": "App" }],
                "configuration": { "S3Bucket": "releases", "S3ObjectKey": "app.zip" } }] },
            { "name": "Deploy", "actions": [{
                "name": "Site", "actionTypeId": kind("Deploy"), "inputArtifacts": [{ "name": "App" }],
                "configuration": { "BucketName": "site", "Extract": "true" } }] },
        ],
    });
    client.call("CreatePipeline", &json!({ "pipeline": pipeline })).await.expect("a valid pipeline");
}

/// A release whose page comes last, after `files` others.
fn archive(page: &str, files: usize) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..files {
        zip.start_file(format!("file-{number}.txt"), SimpleFileOptions::default()).expect("memory");
        zip.write_all(page.as_bytes()).expect("memory");
    }
    zip.start_file("zz-index.html", SimpleFileOptions::default()).expect("memory");
    zip.write_all(page.as_bytes()).expect("memory");
    zip.finish().expect("memory").into_inner()
}

async fn upload(client: &Client, archive: Vec<u8>) {
    let put = client.s3.put_object().bucket("releases").key("app.zip").body(ByteStream::from(archive));
    put.send().await.expect("the bucket is there");
}

/// The execution at `place` in the history, newest first, once it has ended; the one that creation started is no release.
async fn ended(client: &Client, what: &str, place: usize) -> Value {
    eventually(what, async || {
        let listed = client.call("ListPipelineExecutions", &json!({ "pipelineName": "slow" })).await;
        let mut executions = listed.expect("it answers")["pipelineExecutionSummaries"].take();
        let one = executions.get_mut(place).map(Value::take)?;
        (one["status"] != "InProgress" && one["trigger"]["triggerType"] != "CreatePipeline").then_some(one)
    })
    .await
}
