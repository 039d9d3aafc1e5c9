//! One alarm, several deploys: who is taken back, who is asked, and whether it helped.

use aws_sdk_cloudwatch::types::{ComparisonOperator, StateValue, Statistic};
use serde_json::{Value, json};

use crate::world::{World, eventually, pipeline, publish, text};

const ALARM: &str = "shared-errors";

async fn put_alarm(world: &World) {
    let alarm = world.client.cloudwatch.put_metric_alarm().alarm_name(ALARM).namespace("Shop").metric_name("Errors");
    let alarm = alarm.statistic(Statistic::Sum).period(60).evaluation_periods(1).threshold(0.0);
    let alarm = alarm.comparison_operator(ComparisonOperator::GreaterThanThreshold).treat_missing_data("ignore");
    alarm.send().await.expect("a good alarm");
    set_alarm(world, StateValue::Ok).await;
}

async fn set_alarm(world: &World, state: StateValue) {
    let set = world.client.cloudwatch.set_alarm_state().alarm_name(ALARM).state_value(state).state_reason("a test");
    set.send().await.expect("the alarm is there");
}

/// A pipeline that watches the alarm for ten minutes after Deploy, with two releases that succeeded.
async fn released(world: &World, name: &str, more: Value) -> [String; 2] {
    world.buckets(name).await;
    let mut configuration = json!({ "AlarmName": ALARM, "WaitTime": "10", "Watch": "true" });
    configuration.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let mut pipeline = pipeline(name, &[publish(name, 1)]);
    pipeline["stages"][1]["onSuccess"] = json!({ "conditions": [{ "result": "ROLLBACK", "rules": [{
        "name": "Errors",
        "ruleTypeId": { "category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1" },
        "configuration": configuration,
    }]}]});
    world.create(&pipeline).await;
    let mut ids = Vec::new();
    for page in ["one", "two"] {
        let done = world.release(name, page).await;
        assert_eq!(done["status"], "Succeeded", "{done}");
        ids.push(text(&done["pipelineExecutionId"]));
    }
    ids.try_into().expect("two")
}

async fn decisions(world: &World, name: &str) -> Vec<Value> {
    let listed = world.call("ListRollbackDecisions", json!({ "pipelineName": name })).await;
    listed["decisions"].as_array().cloned().expect("a list")
}

/// The newest decision, once it is this.
async fn decided(world: &World, name: &str, outcome: &str) -> Value {
    eventually(&format!("{outcome} of {name}"), async || {
        decisions(world, name).await.into_iter().find(|decision| decision["outcome"] == outcome)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_is_clearly_to_blame_the_stages_are_held_and_a_person_decides() {
    let world = World::start().await;
    put_alarm(&world).await;
    let [_, shop] = released(&world, "shop", json!({})).await;
    let [first, blog] = released(&world, "blog", json!({})).await;
    set_alarm(&world, StateValue::Alarm).await;
    for (name, suspect) in [("shop", &shop), ("blog", &blog)] {
        let asked = decided(&world, name, "RollbackAsked").await;
        assert_eq!(asked["undonePipelineExecutionId"], *suspect);
        let reason = text(&asked["reason"]);
        assert!(reason.contains("Nobody is clearly ahead") && reason.contains("Deploy of blog"), "{reason}");
        let ranking = asked["evidence"]["ranking"].as_array().expect("a ranking");
        assert_eq!(ranking.len(), 2, "{asked}");
        assert_eq!(ranking[0]["pipelineName"], "blog", "deployed last: {asked}");
        let inbound = &world.stage(name, 1).await["inboundTransitionState"];
        assert_eq!(inbound["enabled"], false, "{inbound}");
        assert!(world.rollbacks(name).await.is_empty());
        let replayed = json!({ "pipelineName": name, "stageName": "Deploy", "decisionId": asked["decisionId"] });
        let replayed = world.call("ReplayDecision", replayed).await;
        assert_eq!(replayed["identical"], true, "{replayed}");
        assert_eq!(replayed["stored"], replayed["replayed"]);
    }
    let incidents = world.call("ListIncidents", json!({})).await;
    assert_eq!(incidents["incidents"][0]["status"], "Asking", "{incidents}");

    // A person takes back the one and clears the other.
    let input = json!({ "pipelineName": "blog", "stageName": "Deploy", "targetPipelineExecutionId": first,
        "reason": "Only the blog talks to the new cache." });
    let rollback = text(&world.call("StartRollback", input).await["pipelineExecutionId"]);
    assert_eq!(world.ended("blog", &rollback).await["status"], "Succeeded");
    let input = json!({ "pipelineName": "shop", "stageName": "Deploy", "comment": "It was the blog." });
    let released = world.call("ReleaseHold", input).await;
    assert_eq!(released["hold"]["suspectPipelineExecutionId"], shop, "{released}");
    assert_eq!(world.stage("shop", 1).await["inboundTransitionState"]["enabled"], true);

    // The alarm clears: the rollback helped, and the incident is over.
    set_alarm(&world, StateValue::Ok).await;
    let helped = decided(&world, "blog", "RollbackHelped").await;
    assert_eq!(helped["rollbackPipelineExecutionId"], rollback);
    eventually("the end of the incident", async || {
        let listed = world.call("ListIncidents", json!({})).await;
        listed["incidents"].as_array().expect("a list").is_empty().then_some(())
    })
    .await;
    assert!(world.rollbacks("shop").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_in_shadow_mode_tells_what_it_would_do_and_does_nothing() {
    let world = World::start().await;
    put_alarm(&world).await;
    let [first, second] = released(&world, "quiet", json!({ "Shadow": "true" })).await;
    set_alarm(&world, StateValue::Alarm).await;
    let told = decided(&world, "quiet", "RollbackShadowed").await;
    assert_eq!(
        (&told["targetPipelineExecutionId"], &told["undonePipelineExecutionId"]),
        (&json!(first), &json!(second))
    );
    assert_eq!(told["evidence"]["verdict"], "Degraded");
    assert!(world.rollbacks("quiet").await.is_empty());
    assert_eq!(world.stage("quiet", 1).await["inboundTransitionState"]["enabled"], true);
    assert_eq!(world.page("quiet").await, "two");

    // The scorecard: nobody knows yet, until a person goes back from it.
    let of = json!({ "pipelineName": "quiet", "stageName": "Deploy" });
    let scorecard = world.call("GetShadowScorecard", of.clone()).await;
    assert_eq!((&scorecard["shadow"], &scorecard["releases"]), (&json!(true), &json!(2)), "{scorecard}");
    assert_eq!((&scorecard["wouldHaveRolledBack"], &scorecard["open"]), (&json!(1), &json!(1)), "{scorecard}");
    let entry = &scorecard["entries"][0];
    assert_eq!((&entry["pipelineExecutionId"], &entry["verdict"]), (&json!(second), &json!("Open")));
    assert_eq!(entry["decisionIds"], json!([told["decisionId"]]));
    let mut back = of.clone();
    back["targetPipelineExecutionId"] = json!(first);
    world.call("RollbackStage", back).await;
    let scorecard = world.call("GetShadowScorecard", of).await;
    assert_eq!((&scorecard["confirmed"], &scorecard["missed"]), (&json!(1), &json!(0)), "{scorecard}");
    assert_eq!(scorecard["entries"][0]["confirmation"], "RolledBackByPerson");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_an_alarm_started_is_in_its_incident_until_the_alarm_clears() {
    let world = World::start().await;
    put_alarm(&world).await;
    let [first, second] = released(&world, "single", json!({})).await;
    set_alarm(&world, StateValue::Alarm).await;
    let started = decided(&world, "single", "RollbackStarted").await;
    assert_eq!(started["targetPipelineExecutionId"], first);
    let otherwise = text(&started["evidence"]["otherwise"]);
    assert!(otherwise.starts_with("It would have stayed had the alarm turned red before"), "{otherwise}");
    let rollback = text(&started["rollbackPipelineExecutionId"]);
    assert_eq!(world.ended("single", &rollback).await["status"], "Succeeded");
    let incidents = world.call("ListIncidents", json!({})).await;
    let of = &incidents["incidents"][0]["rollbacks"][0];
    assert_eq!(
        (&of["rollbackPipelineExecutionId"], &of["undonePipelineExecutionId"]),
        (&json!(rollback), &json!(second))
    );
    assert_eq!((&of["proof"], &incidents["incidents"][0]["status"]), (&Value::Null, &json!("RollingBack")));
    set_alarm(&world, StateValue::Ok).await;
    let helped = decided(&world, "single", "RollbackHelped").await;
    assert_eq!(helped["rollbackPipelineExecutionId"], rollback);
    let execution = world.execution("single", "the rollback", |one| one["pipelineExecutionId"] == rollback).await;
    assert!(text(&execution["statusSummary"]).contains("has cleared"), "{execution}");
}
