//! Actions whose work a state machine of their provider does: its start, its reports, its end.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use contract::{ActionInput, ActionOperation, ActionReport, ReportedError};
use domain::{ActionStatus, ExecutionId, ExecutionStatus, StageReport, StageResult};
use engine::{HasMachines, ports::MachineStatus};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{
    cloud::SteadyClock,
    world::{Bench, Driven, shop, shop_name},
};

pub(crate) const BUILD: &str = "shop:build-1";
pub(crate) const URL: &str = "https://console.example/shop:build-1";

/// `shop` with a build in the place of the function.
fn building() -> Value {
    let mut pipeline = shop();
    let action = &mut pipeline["stages"][1]["actions"][0];
    action["actionTypeId"] = json!({"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"});
    action["configuration"] = json!({"ProjectName": "shop-#{variables.Color}"});
    action["namespace"] = json!("Build");
    action["outputArtifacts"] = json!([{"name": "Site"}]);
    pipeline
}

/// A build that is under way.
struct Building {
    bench: Bench,
    clock: Arc<SteadyClock>,
    execution: ExecutionId,
    stage: StageReport,
}

impl Building {
    async fn begin() -> Self {
        let clock = Arc::new(SteadyClock::new());
        let bench = Bench::with_clock(clock.clone()).await;
        bench.ok("CreatePipeline", json!({"pipeline": building()})).await;
        let execution = bench.newest().await;
        let Driven::Working(stage) = bench.drive(execution, None).await else { panic!("no build is out") };
        Self { bench, clock, execution, stage }
    }

    fn input(&self, operation: ActionOperation, report: Option<ActionReport>) -> ActionInput {
        ActionInput {
            operation,
            pipeline: shop_name(),
            execution_id: self.execution,
            stage: self.stage.stage.clone(),
            generation: self.stage.generation,
            attempt: 1,
            action: "Check".parse().unwrap(),
            rule: None,
            token: None,
            report,
            file: None,
        }
    }

    /// What run-action answers to `input`.
    async fn ask(&self, input: &ActionInput) -> ActionStatus {
        engine::run_action(&self.bench.world, input, &|| false).await.unwrap().status
    }

    async fn report(&self, report: ActionReport) -> ActionStatus {
        self.ask(&self.input(ActionOperation::Report, Some(report))).await
    }

    async fn note(&self) -> ActionStatus {
        self.report(of_build(ActionStatus::InProgress)).await
    }

    async fn run(&self) -> Value {
        self.bench.run_of(self.execution).await
    }

    /// Executions of the provider's machine: name and input.
    fn started(&self) -> Vec<(String, Value)> {
        let machines = self.bench.world.machines();
        let actions = machines.actions.lock().unwrap();
        assert!(actions.iter().all(|(provider, ..)| provider == "CodeBuild"));
        actions.iter().map(|(_, name, input)| (name.clone(), input.clone())).collect()
    }

    fn stopped(&self) -> Vec<String> {
        self.bench.world.machines().stopped.lock().unwrap().clone()
    }

    /// What the stage's machine was told of the build, after the source.
    fn told(&self) -> Vec<Value> {
        self.bench.told(|answer| answer.get("status").is_some() && answer.get("next").is_none()).split_off(1)
    }

    async fn abandon(&self) {
        let stop = json!({"pipelineName": "shop", "pipelineExecutionId": self.execution, "abandon": true});
        self.bench.ok("StopPipelineExecution", stop).await;
    }

    async fn reconcile(&self) -> engine::Reconciled {
        self.clock.pass(SignedDuration::from_mins(1));
        let mut done = engine::Reconciled::default();
        engine::reconcile(&self.bench.world, true, &mut done).await.unwrap();
        done
    }

    fn stand(&self, status: MachineStatus) {
        *self.bench.world.machines().action_status.lock().unwrap() = Some(status);
    }

    /// The execution that stops the build, and what it is told.
    fn assert_stopped(&self, name: &str) {
        let started = self.started();
        let [_, (stop, input)] = &started[..] else { panic!("{started:?}") };
        assert_eq!(*stop, format!("{name}-stop"));
        assert_eq!((&input["operation"], &input["externalExecutionId"]), (&json!("Stop"), &json!(BUILD)));
        assert_eq!(self.stopped(), [name]);
    }
}

pub(crate) fn of_build(status: ActionStatus) -> ActionReport {
    ActionReport {
        status,
        external_execution_id: Some(BUILD.to_owned()),
        external_execution_url: Some(URL.to_owned()),
        summary: None,
        error: None,
        output_variables: None,
        output: None,
    }
}

fn succeeded() -> ActionReport {
    let variables = [("Tag".to_owned(), "1.4".to_owned())];
    ActionReport { output_variables: Some(variables.into()), ..of_build(ActionStatus::Succeeded) }
}

pub(crate) fn failed(code: &str, message: &str) -> ActionReport {
    let error = ReportedError { code: code.to_owned(), message: message.to_owned() };
    ActionReport { error: Some(error), ..of_build(ActionStatus::Failed) }
}

#[tokio::test]
async fn the_machine_gets_what_it_needs_under_the_id_of_the_run() {
    let building = Building::begin().await;
    let run = building.run().await;
    let [(name, input)] = &building.started()[..] else { panic!("one is started") };
    assert_eq!(json!(name), run["actionExecutionId"]);
    let artifact =
        |of: &Value| json!({"name": of["name"], "bucket": of["s3location"]["bucket"], "key": of["s3location"]["key"]});
    let expected = json!({
        "operation": "Run", "pipeline": "shop", "executionId": building.execution, "stage": "Prod",
        "generation": building.stage.generation, "attempt": 1, "action": "Check", "rule": null, "actionExecutionId": name,
        "configuration": {"ProjectName": "shop-green"}, "script": null,
        "inputs": [artifact(&run["input"]["inputArtifacts"][0])],
        "outputs": [artifact(&run["output"]["outputArtifacts"][0])],
        "kmsKey": null, "roleArn": "arn:aws:iam::111122223333:role/pipeline", "region": "eu-west-1",
        "account": "111122223333", "awsConsole": "https://eu-west-1.console.aws.amazon.com", "externalExecutionId": null,
    });
    assert_eq!(*input, expected);
    assert_eq!(run["status"], "InProgress");
    assert!(run["output"]["executionResult"].get("externalExecutionId").is_none(), "{run}");
}

#[tokio::test]
async fn reports_link_the_work_and_end_the_action_once() {
    let building = Building::begin().await;
    for _ in 0..2 {
        assert_eq!(building.note().await, ActionStatus::InProgress);
    }
    let result = building.run().await["output"]["executionResult"].clone();
    assert_eq!((&result["externalExecutionId"], &result["externalExecutionUrl"]), (&json!(BUILD), &json!(URL)));
    for _ in 0..2 {
        assert_eq!(building.report(succeeded()).await, ActionStatus::Succeeded);
    }
    // What comes after the end changes nothing.
    assert_eq!(building.report(failed("JobFailed", "late")).await, ActionStatus::Succeeded);
    assert_eq!(building.note().await, ActionStatus::Succeeded);
    let run = building.run().await;
    assert_eq!((&run["status"], &run["output"]["outputVariables"]), (&json!("Succeeded"), &json!({"Tag": "1.4"})));
    assert_eq!(building.told(), [json!({"status": "Succeeded"})]);
    let ended = building.bench.drive(building.execution, Some(building.stage.clone())).await;
    assert_eq!(ended, Driven::Ended(ExecutionStatus::Succeeded));
    assert_eq!((building.started().len(), building.stopped().len()), (1, 0));
    let state = building.bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    let action = &state["stageStates"][1]["actionStates"][0];
    assert_eq!(action["latestExecution"]["externalExecutionUrl"], URL);
    assert_eq!(action["entityUrl"], "https://console.aws.amazon.com/codebuild/home#/projects/shop-green/view");
}

#[tokio::test]
async fn errors_of_providers_become_failure_types() {
    let cases = [
        ("JobFailed", "Tests failed.", "JobFailed", "Tests failed."),
        (
            "CodeBuild.ResourceNotFoundException",
            "No project.",
            "ConfigurationError",
            "CodeBuild.ResourceNotFoundException: No project.",
        ),
        ("CodeBuild.AccessDeniedException", "no", "PermissionError", "CodeBuild.AccessDeniedException: no"),
    ];
    for (code, message, expected, text) in cases {
        let building = Building::begin().await;
        assert_eq!(building.report(failed(code, message)).await, ActionStatus::Failed);
        let error = &building.run().await["output"]["executionResult"]["errorDetails"];
        assert_eq!(*error, json!({"code": expected, "message": text}));
        assert_eq!(building.told(), [json!({"status": "Failed"})]);
        let stage = StageReport { status: StageResult::Failed, ..building.stage.clone() };
        assert_eq!(building.bench.drive(building.execution, Some(stage)).await, Driven::Ended(ExecutionStatus::Failed));
    }
}

#[tokio::test]
async fn output_variables_have_a_limit() {
    let building = Building::begin().await;
    let variables = [("Log".to_owned(), "x".repeat(engine::OUTPUT_VARIABLES_BYTES_MAX))];
    let report = ActionReport { output_variables: Some(variables.into()), ..succeeded() };
    assert_eq!(building.report(report).await, ActionStatus::Failed);
    let error = &building.run().await["output"]["executionResult"]["errorDetails"];
    assert!(error["message"].as_str().unwrap().contains("at most 122880"), "{error}");
}

#[tokio::test]
async fn abandoning_stops_the_work_that_is_known() {
    let building = Building::begin().await;
    building.note().await;
    building.abandon().await;
    let run = building.run().await;
    assert_eq!(run["status"], "Abandoned");
    building.assert_stopped(run["actionExecutionId"].as_str().unwrap());
    assert_eq!(building.told(), [json!({"status": "Abandoned"})]);
    // What the machine still says does not count, and tells it so.
    assert_eq!(building.report(succeeded()).await, ActionStatus::Abandoned);
    assert_eq!(building.run().await["status"], "Abandoned");
}

#[tokio::test]
async fn work_that_is_not_known_yet_stops_when_it_is_told() {
    let building = Building::begin().await;
    building.abandon().await;
    assert_eq!((building.started().len(), building.stopped().len()), (1, 0));
    assert_eq!(building.note().await, ActionStatus::Abandoned);
}

#[tokio::test]
async fn work_that_takes_too_long_is_stopped() {
    let building = Building::begin().await;
    let view = engine::load_view(&building.bench.world, &shop_name()).await.unwrap();
    assert_eq!(view.index.stages[1].actions[0].timeout_seconds, 36 * 3_600);
    building.note().await;
    for _ in 0..2 {
        assert_eq!(building.ask(&building.input(ActionOperation::Expire, None)).await, ActionStatus::Failed);
    }
    let run = building.run().await;
    assert_eq!(run["output"]["executionResult"]["errorDetails"]["message"], "The action did not finish in time.");
    building.assert_stopped(run["actionExecutionId"].as_str().unwrap());
    assert_eq!(building.report(succeeded()).await, ActionStatus::Failed);
}

#[tokio::test]
async fn a_machine_that_dies_without_a_word_is_found() {
    for status in [MachineStatus::Dead, MachineStatus::Succeeded] {
        let building = Building::begin().await;
        building.note().await;
        assert_eq!(building.reconcile().await.effects, 0, "it runs");
        assert_eq!(building.run().await["status"], "InProgress");
        building.stand(status);
        assert_eq!(building.reconcile().await.effects, 1);
        let run = building.run().await;
        let error = &run["output"]["executionResult"]["errorDetails"];
        assert!(error["message"].as_str().unwrap().contains("ended without saying how it went"), "{error}");
        assert_eq!(building.told(), [json!({"status": "Failed"})]);
        building.assert_stopped(run["actionExecutionId"].as_str().unwrap());
        assert_eq!(building.reconcile().await.effects, 0, "there is nothing left to look after");
    }
}

#[tokio::test]
async fn a_machine_that_never_started_is_started_by_the_reconciler() {
    let building = Building::begin().await;
    building.bench.world.machines().actions.lock().unwrap().clear();
    building.reconcile().await;
    assert_eq!(building.started().len(), 1);
    building.report(succeeded()).await;
    assert_eq!(building.reconcile().await.effects, 1, "what looked after it goes");
    assert_eq!(building.reconcile().await.effects, 0);
}

#[tokio::test]
async fn a_machine_that_may_not_be_started_fails_the_action() {
    let bench = Bench::new().await;
    bench.world.machines().refuses_actions.store(true, SeqCst);
    bench.ok("CreatePipeline", json!({"pipeline": building()})).await;
    let execution = bench.newest().await;
    bench.drive(execution, None).await;
    let run = bench.run_of(execution).await;
    let error = &run["output"]["executionResult"]["errorDetails"];
    assert_eq!((&run["status"], &error["code"]), (&json!("Failed"), &json!("PermissionError")));
    assert!(
        error["message"].as_str().unwrap().starts_with("The state machine for CodeBuild may not be started"),
        "{error}"
    );
}

#[tokio::test]
async fn nobody_else_answers_for_a_machine() {
    let building = Building::begin().await;
    let view = engine::load_view(&building.bench.world, &shop_name()).await.unwrap();
    let job = view.actions.iter().find_map(|run| run.job).expect("the build has a job");
    let refused = [(json!({"jobId": job}), "JobNotFoundException", "no job")];
    building.bench.refuses("PutJobSuccessResult", &refused).await;
    building.bench.refuses("GetJobDetails", &refused).await;
    // A report for an action that no machine does.
    let mut input = building.input(ActionOperation::Report, Some(succeeded()));
    input.stage = "Source".parse().unwrap();
    assert_eq!(building.ask(&input).await, ActionStatus::Abandoned, "there is no such run");
    input.report = None;
    assert!(engine::run_action(&building.bench.world, &input, &|| false).await.is_err());
}

#[tokio::test]
async fn deleting_the_pipeline_stops_the_work() {
    let building = Building::begin().await;
    building.note().await;
    let name = building.run().await["actionExecutionId"].as_str().unwrap().to_owned();
    building.bench.ok("DeletePipeline", json!({"name": "shop"})).await;
    building.reconcile().await;
    building.assert_stopped(&name);
    assert_eq!(building.report(succeeded()).await, ActionStatus::Abandoned);
}

#[tokio::test]
async fn work_that_cannot_be_stopped_keeps_its_history_and_nothing_else() {
    let building = Building::begin().await;
    building.note().await;
    let name = building.run().await["actionExecutionId"].as_str().unwrap().to_owned();
    let machines = building.bench.world.machines();
    machines.refuses_actions.store(true, SeqCst);
    building.bench.ok("DeletePipeline", json!({"name": "shop"})).await;
    let done = building.reconcile().await;
    assert_eq!((done.effects, done.effects_failed), (0, 1), "{done:?}");
    machines.refuses_actions.store(false, SeqCst);
    let done = building.reconcile().await;
    assert_eq!(done.effects_failed, 0, "{done:?}");
    building.assert_stopped(&name);
}

#[tokio::test]
async fn types_of_machines_are_listed_and_reported_as_run() {
    let bench = Bench::new().await;
    let report = bench.ok("ReportCompatibility", json!({"pipeline": building()})).await;
    let unsupported = |report: &Value| report.to_string().contains("not run yet");
    assert!(!unsupported(&report), "{report}");
    let mut other = building();
    other["stages"][1]["actions"][0]["actionTypeId"]["provider"] = json!("ECRBuildAndPublish");
    assert!(unsupported(&bench.ok("ReportCompatibility", json!({"pipeline": other})).await));
    let listed = bench.ok("ListActionTypes", json!({})).await;
    for provider in domain::action_machines() {
        let is = |one: &&Value| one["id"]["provider"] == provider;
        assert!(listed["actionTypes"].as_array().unwrap().iter().any(|one| is(&one)), "{provider}");
    }
}
