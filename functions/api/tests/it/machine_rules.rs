//! Rules that a provider's state machine works on, and conditions of a failure that have to wait for somebody.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use contract::{
    ActionInput, ActionOperation, ActionReport, ConditionInput, ConditionOutput, FailureInput, FailureOutput,
};
use domain::{ActionStatus, ConditionKind, ConditionKind::BeforeEntry, ExecutionId, StageReport};
use engine::{HasMachines, ports::MachineStatus};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{
    cloud::SteadyClock,
    conditions::{Prod, answered, condition, create, gated, rule_executions},
    machines::{BUILD, URL, failed, of_build},
    world::{Bench, Driven, shop, shop_name},
};

fn build() -> Value {
    json!({
        "name": "verify", "inputArtifacts": [{"name": "App"}],
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "CodeBuild", "version": "1"},
        "configuration": {"ProjectName": "verify-#{variables.Color}"},
    })
}

fn commands() -> Value {
    json!({
        "name": "verify", "commands": ["test -f index.html", "echo #{variables.Color}"],
        "inputArtifacts": [{"name": "App"}], "roleArn": "arn:aws:iam::111122223333:role/rules",
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "Commands", "version": "1"},
        "configuration": {},
    })
}

/// An execution that waits before Prod for what a machine finds out.
struct Verifying {
    bench: Bench,
    clock: Arc<SteadyClock>,
    prod: Prod,
}

impl Verifying {
    async fn begin(rule: Value) -> Self {
        let clock = Arc::new(SteadyClock::new());
        let bench = Bench::with_clock(clock.clone()).await;
        let prod = create(&bench, &gated("FAIL", json!([rule]))).await;
        let this = Self { bench, clock, prod };
        assert!(matches!(this.wait("wait").await, ConditionOutput::Wait { .. }));
        this
    }

    async fn wait(&self, token: &str) -> ConditionOutput {
        self.prod.wait(&self.bench, BeforeEntry, token).await
    }

    /// Executions of providers' machines: provider, name, input.
    fn started(&self) -> Vec<(String, String, Value)> {
        started(&self.bench)
    }

    async fn report(&self, report: ActionReport) -> ActionStatus {
        report_as_told(&self.bench, report).await
    }

    /// How the rule stands for those who ask for it.
    async fn rule(&self) -> Value {
        let listed = rule_executions(&self.bench, json!({"pipelineName": "shop"})).await.remove(0);
        let seen = condition(&self.bench, "beforeEntryConditionState").await;
        let state = &seen["conditionStates"][0]["ruleStates"][0]["latestExecution"];
        let result = &listed["output"]["executionResult"];
        for member in ["externalExecutionId", "externalExecutionUrl"] {
            assert_eq!(state.get(member), result.get(member), "{state} {result}");
        }
        assert_eq!(state["status"], listed["status"]);
        listed
    }

    async fn reconcile(&self) -> engine::Reconciled {
        self.clock.pass(SignedDuration::from_mins(1));
        let mut done = engine::Reconciled::default();
        engine::reconcile(&self.bench.world, true, &mut done).await.unwrap();
        done
    }

    /// The work was stopped by an execution of its own, and so was the machine that waited for it.
    fn assert_stopped(&self) {
        let started = self.started();
        let [(_, name, _), (_, stop, input)] = &started[..] else { panic!("{started:?}") };
        assert_eq!(*stop, format!("{name}-stop"));
        assert_eq!((&input["operation"], &input["externalExecutionId"]), (&json!("Stop"), &json!(BUILD)));
        assert_eq!(*self.bench.world.machines().stopped.lock().unwrap(), [name.as_str()]);
    }
}

fn started(bench: &Bench) -> Vec<(String, String, Value)> {
    bench.world.machines().actions.lock().unwrap().clone()
}

/// What run-action answers to the newest machine, which sends back what it was told.
async fn report_as_told(bench: &Bench, report: ActionReport) -> ActionStatus {
    let (_, _, told) =
        started(bench).into_iter().find(|(_, _, input)| input["operation"] == "Run").expect("it started");
    let input = ActionInput {
        operation: ActionOperation::Report,
        pipeline: shop_name(),
        execution_id: serde_json::from_value(told["executionId"].clone()).unwrap(),
        stage: serde_json::from_value(told["stage"].clone()).unwrap(),
        generation: serde_json::from_value(told["generation"].clone()).unwrap(),
        attempt: 1,
        action: serde_json::from_value(told["action"].clone()).unwrap(),
        rule: serde_json::from_value(told["rule"].clone()).unwrap(),
        token: None,
        report: Some(report),
        file: None,
    };
    engine::run_action(&bench.world, &input, &|| false).await.unwrap().status
}

#[tokio::test]
async fn a_machine_gets_the_rule_and_its_reports_link_and_decide_it() {
    let verifying = Verifying::begin(build()).await;
    let [(provider, name, input)] = &verifying.started()[..] else { panic!("one is started") };
    let job = input["rule"].clone();
    assert_eq!((provider.as_str(), json!(name), &input["actionExecutionId"]), ("CodeBuild", job.clone(), &job));
    assert_eq!(input["configuration"], json!({"ProjectName": "verify-green"}));
    assert_eq!((&input["inputs"][0]["name"], &input["outputs"]), (&json!("App"), &json!([])));
    assert_eq!((&input["action"], &input["script"]), (&json!("verify"), &Value::Null));
    let rule = verifying.rule().await;
    assert_eq!(rule["status"], "InProgress");
    assert!(rule["output"]["executionResult"].get("externalExecutionId").is_none(), "no build is known: {rule}");
    // Asked for once, however often the state machine asks.
    verifying.wait("wait again").await;
    assert_eq!(verifying.started().len(), 1);

    for _ in 0..2 {
        assert_eq!(verifying.report(of_build(ActionStatus::InProgress)).await, ActionStatus::InProgress);
    }
    let result = verifying.rule().await["output"]["executionResult"].clone();
    assert_eq!((&result["externalExecutionId"], &result["externalExecutionUrl"]), (&json!(BUILD), &json!(URL)));
    assert_eq!(answered(&verifying.bench, "wait"), None);
    for _ in 0..2 {
        assert_eq!(verifying.report(of_build(ActionStatus::Succeeded)).await, ActionStatus::Succeeded);
    }
    assert_eq!(answered(&verifying.bench, "wait"), Some(json!({"next": "Proceed"})));
    assert_eq!(verifying.report(failed("JobFailed", "late")).await, ActionStatus::Succeeded);
    let rule = verifying.rule().await;
    assert_eq!(
        (&rule["status"], &rule["output"]["executionResult"]["externalExecutionId"]),
        (&json!("Succeeded"), &json!(BUILD))
    );
    verifying.reconcile().await;
    assert_eq!(
        (verifying.started().len(), verifying.reconcile().await.effects),
        (1, 0),
        "nothing is left to look after"
    );
}

#[tokio::test]
async fn commands_are_told_to_their_machine_with_the_role_of_the_rule() {
    let verifying = Verifying::begin(commands()).await;
    let [(provider, _, input)] = &verifying.started()[..] else { panic!("one is started") };
    assert_eq!((provider.as_str(), &input["roleArn"]), ("Commands", &json!("arn:aws:iam::111122223333:role/rules")));
    let script = json!({
        "commands": ["test -f index.html", "echo green"], "primary": "App", "environment": [], "exports": [], "files": [],
    });
    assert_eq!(input["script"], script);
}

#[tokio::test]
async fn a_failed_build_fails_the_rule_and_one_that_cannot_run_leaves_it_undecided() {
    for (code, status, error) in [
        ("JobFailed", "Failed", None),
        ("CodeBuild.ResourceNotFoundException", "Errored", Some("ConfigurationError")),
        ("CodeBuild.AccessDeniedException", "Errored", Some("PermissionError")),
    ] {
        let verifying = Verifying::begin(build()).await;
        assert_eq!(verifying.report(failed(code, "It is blank.")).await, ActionStatus::Failed);
        assert_eq!(answered(&verifying.bench, "wait"), Some(json!({"next": "Fail"})));
        let seen = condition(&verifying.bench, "beforeEntryConditionState").await;
        assert_eq!(seen["latestExecution"]["status"], status, "{seen}");
        let details = verifying.rule().await["output"]["executionResult"]["errorDetails"].clone();
        assert_eq!(details["code"].as_str(), error, "{details}");
    }
}

#[tokio::test]
async fn work_that_nobody_needs_any_more_is_stopped() {
    type End = fn(&Verifying) -> (&'static str, Value);
    let stop: End = |of| {
        let input = json!({"pipelineName": "shop", "pipelineExecutionId": of.prod.execution, "abandon": true});
        ("StopPipelineExecution", input)
    };
    let overridden: End = |of| ("OverrideStageCondition", of.prod.override_input("BEFORE_ENTRY"));
    let deleted: End = |_| ("DeletePipeline", json!({"name": "shop"}));
    for end in [stop, overridden, deleted] {
        let verifying = Verifying::begin(build()).await;
        verifying.report(of_build(ActionStatus::InProgress)).await;
        let (operation, input) = end(&verifying);
        verifying.bench.ok(operation, input).await;
        verifying.reconcile().await;
        verifying.assert_stopped();
        assert_eq!(verifying.report(of_build(ActionStatus::Succeeded)).await, ActionStatus::Abandoned, "{operation}");
        // Before it was noted there is nothing to stop; the machine hears it when it notes.
        let verifying = Verifying::begin(build()).await;
        let (operation, input) = end(&verifying);
        verifying.bench.ok(operation, input).await;
        assert_eq!(verifying.report(of_build(ActionStatus::InProgress)).await, ActionStatus::Abandoned, "{operation}");
        assert_eq!(verifying.started().len(), 1);
    }
}

#[tokio::test]
async fn a_rule_that_takes_too_long_fails_and_its_work_is_stopped() {
    let limited = |minutes: u32| {
        let mut rule = commands();
        rule["timeoutInMinutes"] = json!(minutes);
        rule
    };
    for (rule, minutes) in [(limited(20), 20), (commands(), 55)] {
        let verifying = Verifying::begin(rule).await;
        verifying.report(of_build(ActionStatus::InProgress)).await;
        verifying.clock.pass(SignedDuration::from_mins(minutes - 2));
        assert!(matches!(verifying.wait("early").await, ConditionOutput::Wait { .. }));
        verifying.clock.pass(SignedDuration::from_mins(2));
        assert_eq!(verifying.wait("late").await, ConditionOutput::Fail);
        let rule = verifying.rule().await;
        let text = rule["output"]["executionResult"]["externalExecutionSummary"].as_str().unwrap();
        assert!(text.contains(&format!("did not end within {minutes} minutes")), "{text}");
        verifying.assert_stopped();
    }
}

#[tokio::test]
async fn a_machine_that_dies_or_never_starts_is_found() {
    let verifying = Verifying::begin(build()).await;
    verifying.report(of_build(ActionStatus::InProgress)).await;
    verifying.reconcile().await;
    assert_eq!(answered(&verifying.bench, "wait"), None);
    *verifying.bench.world.machines().action_status.lock().unwrap() = Some(MachineStatus::Dead);
    verifying.reconcile().await;
    assert_eq!(answered(&verifying.bench, "wait"), Some(json!({"next": "Fail"})));
    let seen = condition(&verifying.bench, "beforeEntryConditionState").await;
    let summary = seen["latestExecution"]["summary"].as_str().unwrap();
    assert!(summary.contains("ended without saying how it went"), "{summary}");
    verifying.assert_stopped();

    let verifying = Verifying::begin(build()).await;
    verifying.bench.world.machines().actions.lock().unwrap().clear();
    verifying.reconcile().await;
    assert_eq!(verifying.started().len(), 1, "it is started again");

    let bench = Bench::new().await;
    bench.world.machines().refuses_actions.store(true, SeqCst);
    let prod = create(&bench, &gated("FAIL", json!([build()]))).await;
    assert_eq!(prod.wait(&bench, BeforeEntry, "wait").await, ConditionOutput::Fail);
    let seen = condition(&bench, "beforeEntryConditionState").await;
    assert_eq!(seen["latestExecution"]["status"], "Errored", "{seen}");
}

/// A stage that has failed, and whose failure condition asks a function.
struct Failing {
    bench: Bench,
    execution: ExecutionId,
    stage: StageReport,
}

impl Failing {
    /// After an execution that went well.
    async fn begin(rule: Value) -> Self {
        let bench = Bench::with_clock(Arc::new(SteadyClock::new())).await;
        let mut pipeline = shop();
        pipeline["stages"][1]["onFailure"] = json!({"conditions": [{"result": "ROLLBACK", "rules": [rule]}]});
        bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
        bench.pass(bench.newest().await).await;
        let execution = bench.start().await;
        let Driven::Working(stage) = bench.drive(execution, None).await else { panic!("no job is out") };
        let details = json!({"type": "JobFailed", "message": "The page is blank."});
        bench.ok("PutJobFailureResult", json!({"jobId": bench.job().await, "failureDetails": details})).await;
        Self { bench, execution, stage }
    }

    async fn settle(&self, evaluated: Option<bool>) -> FailureOutput {
        let input = FailureInput {
            pipeline: shop_name(),
            execution_id: self.execution,
            stage: self.stage.stage.clone(),
            generation: self.stage.generation,
            attempt: 1,
            condition: None,
            evaluated,
        };
        engine::evaluate_failure(&self.bench.world, &input).await.unwrap()
    }

    async fn wait(&self, token: &str) -> ConditionOutput {
        let input = ConditionInput {
            pipeline: shop_name(),
            execution_id: self.execution,
            stage: self.stage.stage.clone(),
            generation: self.stage.generation,
            condition: ConditionKind::OnFailure,
            attempt: 1,
            since: None,
            token: Some(token.to_owned()),
        };
        engine::evaluate_condition(&self.bench.world, &input).await.unwrap()
    }

    /// How many rollbacks there are.
    async fn rollbacks(&self) -> usize {
        let listed = self.bench.ok("ListPipelineExecutions", json!({"pipelineName": "shop"})).await;
        let executions = listed["pipelineExecutionSummaries"].as_array().unwrap().iter();
        executions.filter(|one| one["executionType"] == "ROLLBACK").count()
    }
}

fn function() -> Value {
    json!({
        "name": "deep", "configuration": {"FunctionName": "deep"},
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "LambdaInvoke", "version": "1"},
    })
}

#[tokio::test]
async fn a_failure_waits_for_what_its_function_says() {
    for (agrees, rollbacks) in [(true, 1), (false, 0)] {
        let failing = Failing::begin(function()).await;
        assert_eq!(failing.settle(Some(false)).await, FailureOutput::Evaluate);
        assert_eq!(failing.settle(Some(false)).await, FailureOutput::Evaluate, "until it was evaluated");
        assert!(matches!(failing.wait("wait").await, ConditionOutput::Wait { .. }));
        assert_eq!(failing.settle(Some(false)).await, FailureOutput::Evaluate);
        let event = failing.bench.invoked.0.lock().unwrap().pop().expect("it was asked");
        let job = &event["CodePipeline.job"]["id"];
        if agrees {
            failing.bench.ok("PutJobSuccessResult", json!({"jobId": job})).await;
            assert_eq!(answered(&failing.bench, "wait"), Some(json!({"next": "Proceed"})));
        } else {
            let details = json!({"type": "JobFailed", "message": "A passing trouble."});
            failing.bench.ok("PutJobFailureResult", json!({"jobId": job, "failureDetails": details})).await;
            assert_eq!(answered(&failing.bench, "wait"), Some(json!({"next": "Fail"})));
        }
        assert_eq!(failing.settle(Some(true)).await, FailureOutput::End);
        assert_eq!(failing.rollbacks().await, rollbacks);
        let seen = condition(&failing.bench, "onFailureConditionState").await;
        assert_eq!(seen["latestExecution"]["status"], if agrees { "Succeeded" } else { "Failed" }, "{seen}");
    }
}

#[tokio::test]
async fn a_failure_waits_for_a_build_and_a_stop_ends_both() {
    let failing = Failing::begin(build()).await;
    assert_eq!(failing.settle(Some(false)).await, FailureOutput::Evaluate);
    assert!(matches!(failing.wait("wait").await, ConditionOutput::Wait { .. }));
    assert_eq!(report_as_told(&failing.bench, of_build(ActionStatus::InProgress)).await, ActionStatus::InProgress);
    let stop = json!({"pipelineName": "shop", "pipelineExecutionId": failing.execution});
    failing.bench.ok("StopPipelineExecution", stop).await;
    assert_eq!(answered(&failing.bench, "wait"), Some(json!({"next": "Fail"})));
    assert_eq!(started(&failing.bench).len(), 2, "the build is stopped");
    assert_eq!(failing.settle(Some(true)).await, FailureOutput::End);
    assert_eq!(failing.rollbacks().await, 0);
}

#[tokio::test]
async fn a_condition_that_could_not_be_evaluated_rolls_nothing_back() {
    // By a machine that was sent and came back without an end, and by one of an earlier version, which knows no way.
    for evaluated in [Some(true), None] {
        let failing = Failing::begin(function()).await;
        assert_eq!(failing.settle(evaluated).await, FailureOutput::End);
        assert_eq!(failing.rollbacks().await, 0);
        let input = json!({"pipelineName": "shop", "pipelineExecutionId": failing.execution});
        let execution = failing.bench.ok("GetPipelineExecution", input).await;
        let summary = execution["pipelineExecution"]["statusSummary"].as_str().unwrap();
        assert!(summary.contains("could not be evaluated"), "{summary}");
    }
}

#[tokio::test]
async fn every_rule_type_is_run_in_every_condition() {
    let bench = Bench::new().await;
    let mut pipeline = gated("FAIL", json!([build(), commands(), function()]));
    for (at, rule) in
        pipeline["stages"][1]["beforeEntry"]["conditions"][0]["rules"].as_array_mut().unwrap().iter_mut().enumerate()
    {
        rule["name"] = json!(format!("rule-{at}"));
    }
    pipeline["stages"][1]["onFailure"] =
        json!({"conditions": [{"result": "ROLLBACK", "rules": [build(), function()]}]});
    let report = bench.ok("ReportCompatibility", json!({"pipeline": pipeline})).await;
    assert!(!report.to_string().contains("UNSUPPORTED"), "{report}");
    let named: Vec<&str> = domain::RULE_TYPES.iter().filter_map(domain::RuleTypeInfo::machine).collect();
    assert!(named.iter().all(|name| domain::action_machines().any(|known| known == *name)), "{named:?}");
}
