//! Pipelines and executions as large as they may be: an item of the table holds 400 KB.

use domain::ExecutionStatus;
use serde_json::{Value, json};

use crate::world::{Bench, Driven, shop};

/// Output variables that together take as much as those of one action may.
const LARGE: usize = 122_388;

/// `shop` with five functions in Prod, each with a namespace, and one behind them that gets `parameters`.
fn checking(parameters: &str) -> Value {
    let mut pipeline = shop();
    let mut check = pipeline["stages"][1]["actions"][0].clone();
    check["configuration"]["UserParameters"] = json!("go");
    let checks = (1..=5).map(|number| {
        let mut check = check.clone();
        (check["name"], check["namespace"]) = (json!(format!("Check-{number}")), json!(format!("Made{number}")));
        check
    });
    pipeline["stages"][1]["actions"] = checks.collect();
    check["configuration"]["UserParameters"] = json!(parameters);
    pipeline["stages"].as_array_mut().unwrap().push(json!({"name": "Last", "actions": [check]}));
    pipeline
}

/// Answers every job that is out, in order, with large output variables.
async fn answer_all(bench: &Bench) {
    let jobs = bench.invoked.0.lock().unwrap().clone();
    for (number, event) in jobs.iter().enumerate() {
        let variables = json!({"Big": "x".repeat(LARGE), "Small": (number + 1).to_string()});
        let done = json!({"jobId": event["CodePipeline.job"]["id"], "outputVariables": variables});
        bench.ok("PutJobSuccessResult", done).await;
    }
}

/// Runs of actions in Prod, by the name of the action.
async fn checks(bench: &Bench) -> Vec<Value> {
    let listed = bench.ok("ListActionExecutions", json!({"pipelineName": "shop"})).await;
    let mut runs = listed["actionExecutionDetails"].as_array().unwrap().clone();
    runs.retain(|run| run["stageName"] == "Prod");
    runs.sort_by_key(|run| run["actionName"].as_str().unwrap().to_owned());
    runs
}

#[tokio::test]
async fn every_action_may_have_as_many_output_variables_as_one_may() {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({"pipeline": checking("#{Made1.Small} of #{Made5.Small}")})).await;
    let execution = bench.newest().await;
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("no job is out") };
    answer_all(&bench).await;
    for run in checks(&bench).await {
        assert_eq!(run["status"], "Succeeded", "{}", run["actionName"]);
        assert_eq!(run["output"]["outputVariables"]["Big"].as_str().map(str::len), Some(LARGE), "all are shown");
    }
    let Driven::Working(report) = bench.drive(execution, Some(report)).await else {
        panic!("nothing comes after them")
    };
    let job = bench.invoked.0.lock().unwrap().last().unwrap()["CodePipeline.job"].clone();
    assert_eq!(job["data"]["actionConfiguration"]["configuration"]["UserParameters"], "1 of 5");
    bench.ok("PutJobSuccessResult", json!({"jobId": job["id"]})).await;
    assert_eq!(bench.drive(execution, Some(report)).await, Driven::Ended(ExecutionStatus::Succeeded));
}

#[tokio::test]
async fn an_action_fails_whose_output_variables_are_needed_and_have_no_place() {
    let bench = Bench::new().await;
    let all: String = (1..=5).map(|number| format!("#{{Made{number}.Big}}")).collect();
    bench.ok("CreatePipeline", json!({"pipeline": checking(&all)})).await;
    let execution = bench.newest().await;
    let Driven::Working(_) = bench.drive(execution, None).await else { panic!("no job is out") };
    answer_all(&bench).await;
    let runs = checks(&bench).await;
    let statuses: Vec<&Value> = runs.iter().map(|run| &run["status"]).collect();
    assert_eq!(statuses, ["Succeeded", "Succeeded", "Failed", "Failed", "Failed"]);
    let why = runs[2]["output"]["executionResult"]["errorDetails"]["message"].as_str().unwrap();
    assert!(why.contains("output variables") && why.contains("358400 bytes"), "{why}");
}

/// A pipeline `shop` with these stages behind its source.
fn with_stages(stages: impl Iterator<Item = Value>) -> Value {
    let mut pipeline = shop();
    let all = pipeline["stages"].as_array_mut().unwrap();
    all.truncate(1);
    all.extend(stages);
    pipeline
}

#[tokio::test]
async fn rules_may_have_as_long_settings_as_they_may_have() {
    let bench = Bench::new().await;
    let action = shop()["stages"][1]["actions"][0].clone();
    let rule = |number: usize| {
        let settings = json!({"FunctionName": "ask", "UserParameters": "x".repeat(10_000)});
        let rule_type = json!({"category": "Rule", "owner": "AWS", "provider": "LambdaInvoke", "version": "1"});
        json!({"name": format!("ask-{number}"), "ruleTypeId": rule_type, "configuration": settings})
    };
    let condition = json!({"result": "ROLLBACK", "rules": (0..5).map(rule).collect::<Vec<_>>()});
    let stages = (1..=10).map(|number| {
        let name = format!("Stage-{number}");
        json!({"name": name, "actions": [action], "onFailure": {"conditions": [condition]}})
    });
    let pipeline = with_stages(stages);
    bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    let updated = bench.ok("UpdatePipeline", json!({"pipeline": pipeline})).await;
    assert_eq!(updated["pipeline"]["stages"], pipeline_as_stored(&bench).await["stages"]);
    let state = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    assert_eq!(state["stageStates"].as_array().map(Vec::len), Some(11));
}

async fn pipeline_as_stored(bench: &Bench) -> Value {
    bench.ok("GetPipeline", json!({"name": "shop"})).await["pipeline"].clone()
}

/// As many characters as a name may have.
fn long(what: &str, number: usize) -> String {
    format!("{what}{number:0>width$}", width = 100 - what.len())
}

/// Nine stages of a hundred builds, each of which makes three artifacts and reads those that `inputs` gives it.
fn building(inputs: impl Fn(usize) -> Vec<String>) -> Value {
    let build = |number: usize| {
        let artifacts = |names: Vec<String>| -> Vec<Value> { names.iter().map(|name| json!({"name": name})).collect() };
        json!({
            "name": long("build", number), "configuration": {"ProjectName": "shop"},
            "actionTypeId": {"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"},
            "inputArtifacts": artifacts(inputs(number)),
            "outputArtifacts": artifacts((0..3).map(|output| long("Out", number * 3 + output)).collect()),
        })
    };
    with_stages((0..9).map(|stage| {
        let actions: Vec<Value> = (stage * 100..(stage + 1) * 100).map(build).collect();
        json!({"name": format!("Stage-{stage}"), "actions": actions})
    }))
}

#[tokio::test]
async fn many_actions_with_many_artifacts_are_stored() {
    let bench = Bench::new().await;
    let pipeline = building(|_| vec!["App".to_owned()]);
    bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    assert_eq!(pipeline_as_stored(&bench).await["stages"][9]["actions"].as_array().map(Vec::len), Some(100));
}

#[tokio::test]
async fn a_pipeline_that_is_too_large_is_refused_before_anything_is_stored() {
    let bench = Bench::new().await;
    let objects = || bench.objects.all().len();
    let (before, items) = (objects(), bench.table.scan().table_name("lastgood").send().await.unwrap().count);
    // Each reads five that the stage before makes.
    let pipeline = building(|number| match number.checked_sub(100) {
        Some(earlier) => (0..5).map(|input| long("Out", earlier / 2 * 3 + input)).collect(),
        None => vec!["App".to_owned()],
    });
    let refused = bench.refused("CreatePipeline", json!({"pipeline": with_long_variables(pipeline)})).await;
    assert_eq!(refused.0, "LimitExceededException", "{}", refused.1);
    assert!(refused.1.contains("at most 399360 are allowed"), "{}", refused.1);
    let now = bench.table.scan().table_name("lastgood").send().await.unwrap().count;
    assert_eq!((objects(), now), (before, items));
}

/// With as many variables as there may be, as long as they may be.
fn with_long_variables(mut pipeline: Value) -> Value {
    let variable = |number: usize| json!({"name": format!("v{number}"), "defaultValue": "€".repeat(1_000)});
    pipeline["variables"] = (0..50).map(variable).collect();
    pipeline
}
