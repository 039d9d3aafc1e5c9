//! Work that a provider has no place for now.

use serde_json::{Value, json};

use super::{
    everyone, group, project,
    stage::{CODE_BUILD, CODE_DEPLOY, CODE_PIPELINE, Story},
};

#[tokio::test]
async fn who_finds_no_place_asks_whether_the_work_is_wanted_before_each_turn() {
    for (provider, configuration, inputs) in everyone() {
        let busy = if provider.errors.is_empty() { "busy" } else { "throttled" };
        for (turns, started) in [(3, false), (9, true)] {
            let (configuration, inputs) = (configuration.clone(), inputs.clone());
            // The API is asked once a turn, others a few times.
            let tries = if provider.errors.is_empty() { 5 } else { 20 };
            let mut start = vec![busy; tries];
            start.push("started");
            let turns = Some(turns);
            let story = Story { configuration, inputs, start, look: vec!["succeeded"], turns, ..Story::default() };
            let told = provider.tell(story).await;
            let ends: Vec<Value> = told.reports().iter().map(|report| report["status"].clone()).collect();
            let expected = if started { vec!["InProgress", "Succeeded"] } else { vec![] };
            assert_eq!(json!(ends), json!(expected), "{}: nobody needs what was never begun", provider.name);
            // Between two questions there are a few seconds of trying, and no more.
            assert!(told.starts() <= 4 * (told.turns() + 1) && told.stops() == 0, "{}", provider.name);
            assert!(told.turns() > 2, "{}", provider.name);
        }
    }
}

#[tokio::test]
async fn an_error_that_says_nothing_is_not_waited_out_for_long() {
    let story = Story { configuration: project(), inputs: vec!["App"], start: vec!["vague"], ..Story::default() };
    let told = CODE_BUILD.tell(story).await;
    assert_eq!(told.last()["error"]["code"], "CodeBuild.CodeBuildException");
    assert_eq!((told.starts(), told.turns()), (4, 0));
}

#[tokio::test]
async fn an_api_that_is_busy_is_asked_again_and_no_execution_is_left_running() {
    let configuration = json!({ "PipelineName": "site" });
    let story = |look, stop| Story {
        configuration: configuration.clone(),
        start: vec!["busy", "contended", "started"],
        look,
        stop,
        ..Story::default()
    };
    let told = CODE_PIPELINE.tell(story(vec!["busy", "running", "contended", "succeeded"], vec![])).await;
    assert_eq!((&told.last()["status"], told.starts(), told.stops()), (&json!("Succeeded"), 3, 0));
    let told = CODE_PIPELINE.tell(story(vec!["running", "noExecution"], vec!["busy", "busy", "stopped"])).await;
    let report = told.last();
    assert_eq!(report["error"]["code"], "PipelineExecutionNotFoundException", "{report}");
    assert_eq!(told.stops(), 3, "what cannot be seen is stopped");
    // One that never can be stopped is let go after a while.
    let told = CODE_PIPELINE.tell(story(vec!["noExecution"], vec!["busy"])).await;
    assert_eq!((&told.last()["status"], told.stops()), (&json!("Failed"), 30));
}

#[tokio::test]
async fn a_deployment_waits_for_one_that_is_under_way_and_for_its_baking() {
    let story = Story {
        configuration: group(),
        inputs: vec!["App"],
        start: vec!["busy", "started"],
        look: vec!["running", "baking", "succeeded"],
        ..Story::default()
    };
    let told = CODE_DEPLOY.tell(story).await;
    assert_eq!(told.last()["status"], "Succeeded");
    let revision = json!({
        "RevisionType": "S3", "S3Location": { "Bucket": "artifacts", "Key": "shop/App/x1", "BundleType": "zip" },
    });
    assert_eq!(told.asked(CODE_DEPLOY.start)[1]["Revision"], revision);
}
