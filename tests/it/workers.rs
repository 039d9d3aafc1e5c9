//! Job workers against the whole system.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::{World, eventually, pipeline, release, text};

const ACTIONS: usize = 8;

fn make_id() -> Value {
    json!({ "category": "Build", "owner": "Custom", "provider": "Make", "version": "1" })
}

async fn declare(world: &World) {
    let none = json!({ "minimumCount": 0, "maximumCount": 0 });
    let mut declared = make_id();
    declared.as_object_mut().expect("an object").remove("owner");
    declared["inputArtifactDetails"] = none.clone();
    declared["outputArtifactDetails"] = none;
    world.call("CreateCustomActionType", declared).await;
}

fn make(number: usize, run_order: u32) -> Value {
    json!({ "name": format!("Make-{number}"), "runOrder": run_order, "actionTypeId": make_id() })
}

/// Whether the newest execution of the pipeline `name` has ended.
async fn is_over(world: &World, name: &str) -> bool {
    world.executions(name).await.first().is_some_and(|newest| newest["status"] != "InProgress")
}

/// Does jobs until the release is over; returns which.
async fn work(world: &World, name: &str) -> Vec<String> {
    let mut done = Vec::new();
    loop {
        let next = eventually("a job, or the end of the release", async || {
            let polled = world.call("PollForJobs", json!({ "actionTypeId": make_id() })).await;
            match polled["jobs"].as_array().and_then(|jobs| jobs.first().cloned()) {
                Some(job) => Some(Some(job)),
                None => is_over(world, name).await.then_some(None),
            }
        })
        .await;
        let Some(job) = next else { return done };
        let acknowledged = world.call("AcknowledgeJob", json!({ "jobId": job["id"], "nonce": job["nonce"] })).await;
        assert_eq!(acknowledged["status"], "InProgress", "{job}");
        world.call("PutJobSuccessResult", json!({ "jobId": job["id"] })).await;
        done.push(text(&job["id"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_poll_together_share_the_jobs() {
    let world = World::start().await;
    world.buckets("made").await;
    declare(&world).await;
    world.upload("made", release("1")).await;
    let actions: Vec<Value> = (0..ACTIONS).map(|number| make(number, 1)).collect();
    world.call("CreatePipeline", json!({ "pipeline": pipeline("made", &actions) })).await;
    let (one, two, three) = tokio::join!(work(&world, "made"), work(&world, "made"), work(&world, "made"));
    let all: Vec<&String> = one.iter().chain(&two).chain(&three).collect();
    let distinct: BTreeSet<&String> = all.iter().copied().collect();
    assert_eq!((all.len(), distinct.len()), (ACTIONS, ACTIONS), "{one:?} {two:?} {three:?}");
    assert_eq!(world.executions("made").await[0]["status"], "Succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_takes_long_goes_on_in_another_job() {
    let world = World::start().await;
    world.buckets("long").await;
    declare(&world).await;
    world.upload("long", release("1")).await;
    world.call("CreatePipeline", json!({ "pipeline": pipeline("long", &[make(1, 1)]) })).await;
    for step in 1..=3 {
        let job = eventually("a job", async || {
            let polled = world.call("PollForJobs", json!({ "actionTypeId": make_id() })).await;
            polled["jobs"].as_array().and_then(|jobs| jobs.first().cloned())
        })
        .await;
        let token = job["data"].get("continuationToken");
        assert_eq!(token, (step > 1).then(|| json!(format!("step {step}"))).as_ref());
        world.call("AcknowledgeJob", json!({ "jobId": job["id"], "nonce": job["nonce"] })).await;
        let mut answer = json!({ "jobId": job["id"], "executionDetails": { "percentComplete": step * 33 } });
        if step < 3 {
            answer["continuationToken"] = json!(format!("step {}", step + 1));
        }
        world.call("PutJobSuccessResult", answer).await;
    }
    let newest = eventually("the end of the release", async || {
        world.executions("long").await.into_iter().find(|one| one["status"] != "InProgress")
    })
    .await;
    assert_eq!(newest["status"], "Succeeded");
    let action = world.stage("long", 1).await["actionStates"][0].clone();
    assert_eq!(action["latestExecution"]["percentComplete"], 99);
}
