//! Actions in another region than their pipeline's: artifacts go there and come back.

use aws_sdk_s3::{config::Region, types::CreateBucketConfiguration};
use serde_json::{Value, json};

use crate::world::{World, check, eventually, pipeline, publish, release, text, type_id};

const HERE: &str = "us-east-1";
const THERE: &str = "eu-west-1";
const KEY_THERE: &str = "arn:aws:kms:eu-west-1:000000000000:key/there";

impl World {
    /// A client of S3 in the other region.
    fn s3_there(&self) -> aws_sdk_s3::Client {
        let config = self.client.s3.config().to_builder().region(Region::new(THERE)).build();
        aws_sdk_s3::Client::from_conf(config)
    }

    async fn buckets_there(&self, names: &[&str]) {
        let placed = CreateBucketConfiguration::builder().location_constraint(THERE.into()).build();
        for name in names {
            let create = self.s3_there().create_bucket().bucket(*name);
            create.create_bucket_configuration(placed.clone()).send().await.expect("it is new");
        }
    }

    /// Key and encryption of what is in a bucket of the other region.
    async fn objects_there(&self, bucket: &str) -> Vec<(String, String)> {
        let s3 = self.s3_there();
        let listed = s3.list_objects_v2().bucket(bucket).send().await.expect("the bucket is there");
        let mut found = Vec::new();
        for key in listed.contents().iter().filter_map(|object| object.key()) {
            let head = s3.head_object().bucket(bucket).key(key).send().await.expect("it is there");
            found.push((key.to_owned(), head.ssekms_key_id().unwrap_or_default().to_owned()));
        }
        found
    }
}

/// `pipeline` with a store in each region; the other one's has a key.
fn spread(name: &str, actions: &[Value]) -> Value {
    let mut spread = pipeline(name, actions);
    let own = spread.as_object_mut().and_then(|pipeline| pipeline.remove("artifactStore")).expect("it has one");
    let key = json!({ "id": KEY_THERE, "type": "KMS" });
    let other = json!({ "type": "S3", "location": format!("{name}-artifacts-there"), "encryptionKey": key });
    spread["artifactStores"] = json!({ HERE: own, THERE: other });
    spread
}

fn in_region(mut action: Value, region: &str) -> Value {
    action["region"] = json!(region);
    action
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_follow_the_actions_through_the_regions() {
    let world = World::with_regions(&[THERE]).await;
    let name = "spread";
    world.buckets(name).await;
    world.buckets_there(&["spread-artifacts-there", "spread-site-there"]).await;
    world.upload(name, release("one")).await;

    // A function there makes an artifact of the release; the next action, here, publishes what it made.
    world.on_job_in(Some(THERE), "translate", |client, job| async move {
        let config = client.s3.config().to_builder().region(Region::new(THERE)).build();
        let s3 = aws_sdk_s3::Client::from_conf(config);
        let place = |of: &str| {
            let at = &job["data"][of][0]["location"]["s3Location"];
            (text(&at["bucketName"]), text(&at["objectKey"]))
        };
        let (bucket, key) = place("inputArtifacts");
        s3.get_object().bucket(bucket).key(key).send().await?;
        anyhow::ensure!(job["data"]["encryptionKey"]["id"] == KEY_THERE, "the key of the store there");
        let (bucket, key) = place("outputArtifacts");
        s3.put_object().bucket(bucket).key(key).body(release("uno").into()).send().await?;
        client.call("PutJobSuccessResult", &json!({ "jobId": job["id"] })).await?;
        Ok(json!({}))
    });
    let mut translate = in_region(check("translate", 1), THERE);
    translate["inputArtifacts"] = json!([{ "name": "App" }]);
    translate["outputArtifacts"] = json!([{ "name": "Translated" }]);
    let mut here = publish(name, 2);
    here["inputArtifacts"] = json!([{ "name": "Translated" }]);
    let mut there = in_region(publish(name, 2), THERE);
    there["name"] = json!("PublishThere");
    there["configuration"]["BucketName"] = json!("spread-site-there");
    let ended = world.create(&spread(name, &[translate, here, there])).await;
    assert_eq!(ended["status"], "Succeeded", "{ended}");

    assert_eq!(world.page(name).await, "uno", "made there, published here");
    let site = world.objects_there("spread-site-there").await;
    assert_eq!(site, [("index.html".to_owned(), String::new())], "made here, published there");
    let kept = world.objects_there("spread-artifacts-there").await;
    let keys: Vec<&str> = kept.iter().map(|(_, key)| key.as_str()).collect();
    // The function wrote its own without naming a key, as a bucket's default would be used.
    assert_eq!(keys.iter().filter(|key| **key == KEY_THERE).count(), 1, "one copy for both actions there: {kept:?}");
    assert_eq!(kept.len(), 2, "the copy, and what was made there: {kept:?}");

    let run = world.runs(name, &ended, "PublishThere").await.remove(0);
    assert_eq!(run["input"]["region"], THERE);
    assert_eq!(run["input"]["inputArtifacts"][0]["s3location"]["bucket"], "spread-artifacts-there");
    let run = world.runs(name, &ended, "Publish").await.remove(0);
    assert_eq!(run["input"]["region"], HERE);
    assert_eq!(run["input"]["inputArtifacts"][0]["s3location"]["bucket"], "spread-artifacts");
    let told = eventually("the event", async || {
        let of = |event: &Value| event["detail"]["action"] == "PublishThere" && event["detail"]["state"] == "SUCCEEDED";
        world.system.events().into_iter().find(of)
    })
    .await;
    assert_eq!((&told["region"], &told["detail"]["region"]), (&json!(HERE), &json!(THERE)));
    let state = &world.stage(name, 1).await["actionStates"];
    let there = state.as_array().and_then(|states| states.iter().find(|state| state["actionName"] == "PublishThere"));
    let url = text(&there.expect("it is there")["entityUrl"]);
    assert!(url.contains("//eu-west-1.console"), "{url}");

    // A second release that breaks is taken back there too, with what was copied for the first.
    world.on_job_in(Some(THERE), "translate", |client, job| async move {
        let failure = json!({ "type": "JobFailed", "message": "no words" });
        client.call("PutJobFailureResult", &json!({ "jobId": job["id"], "failureDetails": failure })).await
    });
    let broken = world.release(name, "two").await;
    let (code, message) = world.failure(name, &broken, "Check").await;
    assert_eq!((code.as_str(), message.as_str()), ("JobFailed", "no words"));
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_and_functions_of_another_region_are_not_found_in_this_one() {
    let world = World::with_regions(&[THERE]).await;
    let name = "strict";
    world.buckets(name).await;
    world.buckets_there(&["strict-artifacts-there"]).await;
    world.upload(name, release("one")).await;
    let located = world.client.s3.get_bucket_location().bucket("strict-artifacts-there").send().await;
    let located = located.expect("everybody may ask").location_constraint().map(|place| place.as_str().to_owned());
    assert_eq!(located.as_deref(), Some(THERE));

    // The site is here, and the action there.
    let ended = world.create(&spread(name, &[in_region(publish(name, 1), THERE)])).await;
    let (_, message) = world.failure(name, &ended, "Publish").await;
    assert!(message.contains("strict-site") && message.contains("is in region us-east-1"), "{message}");

    // So is the function.
    world.on_job("here", |_, _| async { Ok(json!({})) });
    world.call("UpdatePipeline", json!({ "pipeline": spread(name, &[in_region(check("here", 1), THERE)]) })).await;
    let ended = world.run(json!({ "name": name })).await;
    let (code, message) = world.failure(name, &ended, "Check").await;
    assert_eq!(code, "ConfigurationError");
    assert!(message.contains("There is no function 'here'"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_step_functions_would_have_to_reach_elsewhere_is_refused_when_its_turn_comes() {
    let world = World::with_regions(&[THERE]).await;
    let name = "machines";
    world.buckets(name).await;
    world.upload(name, release("one")).await;
    let machine = json!({
        "name": "Migrate", "actionTypeId": type_id("Invoke", "StepFunctions"), "region": THERE,
        "configuration": { "StateMachineArn": "arn:aws:states:eu-west-1:000000000000:stateMachine:migrate" },
    });
    let spread = spread(name, &[machine]);
    let report = world.call("ReportCompatibility", json!({ "pipeline": spread })).await;
    let foretold = report["findings"].as_array().expect("a list").iter().any(|finding| {
        finding["severity"] == "UNSUPPORTED" && text(&finding["path"]).ends_with("actions.1.member.region")
    });
    assert!(foretold, "{report}");
    let ended = world.create(&spread).await;
    let (code, message) = world.failure(name, &ended, "Migrate").await;
    assert_eq!(code, "ConfigurationError");
    assert!(message.contains(THERE) && message.contains("StepFunctions"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_elsewhere_that_is_not_there_fails_the_action_by_name() {
    let world = World::with_regions(&[THERE]).await;
    let name = "storeless-there";
    world.buckets(name).await;
    world.upload(name, release("one")).await;
    let ended = world.create(&spread(name, &[in_region(publish(name, 1), THERE)])).await;
    let (code, message) = world.failure(name, &ended, "Publish").await;
    assert_eq!(code, "ConfigurationError");
    assert!(message.contains("'App' cannot be copied to eu-west-1"), "{message}");
    assert!(message.contains("storeless-there-artifacts-there"), "{message}");
}
