//! A success condition that holds the stage, and goes back because of an alarm.

use contract::ConditionOutput;
use domain::{AlarmState, AnnouncedCause, ConditionKind::OnSuccess, StateChange};
use serde_json::{Value, json};

use crate::{
    cloud::alarm_arn,
    conditions::{Prod, alarm_rule, settle},
    world::{Bench, shop},
};

#[tokio::test]
async fn a_rollback_names_the_alarm_for_which_the_success_condition_failed() {
    let bench = Bench::new().await;
    bench.alarms.set("errors", AlarmState::Ok);
    let mut pipeline = shop();
    pipeline["stages"][1]["onSuccess"] =
        json!({"conditions": [{"result": "ROLLBACK", "rules": [alarm_rule("errors")]}]});
    bench.ok("CreatePipeline", json!({ "pipeline": pipeline })).await;
    let good = bench.newest().await;
    bench.pass(good).await;
    bench.objects.store("uploads", "app.zip", "release 2");
    let bad = Prod::enter(&bench, bench.start().await).await;
    assert!(matches!(bad.wait(&bench, OnSuccess, "bake").await, ConditionOutput::Wait { .. }));

    bench.alarms.set("errors", AlarmState::Alarm);
    assert_eq!(engine::look_at_conditions(&bench.world, &alarm_arn("errors")).await.unwrap(), 1);
    bench.published.events.lock().unwrap().clear();
    settle(&bench, &bad, OnSuccess).await;

    let back = bench.newest().await;
    let input = json!({"pipelineName": "shop", "pipelineExecutionId": back});
    let trigger = bench.ok("GetPipelineExecution", input).await["pipelineExecution"]["trigger"].clone();
    assert_eq!(trigger["triggerType"], "AutomatedRollback");
    let detail: Value = serde_json::from_str(trigger["triggerDetail"].as_str().unwrap()).unwrap();
    let expected = json!({"FailedPipelineExecutionId": bad.execution, "AlarmArn": alarm_arn("errors"),
        "Reason": "Alarm errors is in state ALARM."});
    assert_eq!(detail, expected);

    let events = bench.published.events.lock().unwrap().clone();
    let causes: Vec<AnnouncedCause> = events
        .iter()
        .filter_map(|event| match &event.change {
            StateChange::Pipeline(change) if change.execution_id == back => change.rollback_cause,
            _ => None,
        })
        .collect();
    assert_eq!(causes, [AnnouncedCause::Alarm]);

    let asked = json!({"pipelineName": "shop", "stageName": "Prod", "maxResults": 1});
    let decided = bench.ok("ListRollbackDecisions", asked).await["decisions"][0].clone();
    assert_eq!((&decided["cause"], &decided["alarmArn"]), (&json!("StageFailed"), &json!(alarm_arn("errors"))));
    // The stage's own check caught it, and would again: nothing is held, and nothing is banned elsewhere.
    assert_eq!(bench.ok("ListHolds", json!({})).await["holds"], json!([]));
    assert_eq!(bench.ok("ListRevokedRevisions", json!({})).await["revokedRevisions"], json!([]));
}
