//! Rules that wait for a window, and rules that ask a function.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use contract::ConditionOutput;
use domain::{AlarmState, ConditionKind::BeforeEntry};
use engine::HasMachines;
use jiff::Timestamp;
use runtime::ManualClock;
use serde_json::{Value, json};

use crate::{
    cloud::alarm_arn,
    conditions::{Prod, alarm_rule, answered, condition, create, gated, rule_executions},
    world::{ANA, Bench},
};

/// A bench whose clock stands still: 2026-11-23 is a Monday.
pub(crate) struct Stopped {
    pub(crate) bench: Bench,
    pub(crate) clock: Arc<ManualClock>,
}

impl Stopped {
    pub(crate) async fn at(time: &str) -> Self {
        let clock = Arc::new(ManualClock::new(day(time)));
        Self { bench: Bench::with_clock(Arc::clone(&clock)).await, clock }
    }

    pub(crate) fn until(&self, time: &str) {
        self.clock.advance_to(day(time));
    }
}

/// An instant of that Monday, or of the Tuesday after it.
pub(crate) fn day(time: &str) -> Timestamp {
    let text = if time.contains(' ') { time.replacen(' ', "T", 1) } else { format!("2026-11-23T{time}") };
    format!("{text}Z").parse().unwrap()
}

fn rule(provider: &str, name: &str, configuration: Value) -> Value {
    let id = json!({"category": "Rule", "owner": "AWS", "provider": provider, "version": "1"});
    json!({"name": name, "ruleTypeId": id, "configuration": configuration})
}

/// Open from nine to the end of five o'clock in London, on workdays.
pub(crate) fn window() -> Value {
    rule("DeploymentWindow", "hours", json!({"Cron": "0 0 9-17 ? * MON-FRI *", "TimeZone": "Europe/London"}))
}

pub(crate) fn function() -> Value {
    let parameters = "#{variables.Color} #{codepipeline.PipelineExecutionId}";
    let mut rule = rule("LambdaInvoke", "smoke", json!({"FunctionName": "smoke", "UserParameters": parameters}));
    rule["inputArtifacts"] = json!([{"name": "App"}]);
    rule
}

pub(crate) fn seconds(answer: &ConditionOutput) -> u32 {
    let ConditionOutput::Wait { seconds, .. } = answer else { panic!("no wait but {answer:?}") };
    *seconds
}

/// Events by which functions were asked, in order.
pub(crate) fn asked(bench: &Bench) -> Vec<Value> {
    bench.invoked.0.lock().unwrap().iter().map(|event| event["CodePipeline.job"].clone()).collect()
}

pub(crate) fn newest_job(bench: &Bench) -> Value {
    asked(bench).pop().expect("a function was asked")["id"].clone()
}

/// How the rules stand, by name.
pub(crate) async fn statuses(bench: &Bench) -> Value {
    let seen = condition(bench, "beforeEntryConditionState").await;
    let rules = seen["conditionStates"][0]["ruleStates"].as_array().unwrap().clone();
    rules
        .iter()
        .map(|rule| (rule["ruleName"].as_str().unwrap().to_owned(), rule["latestExecution"]["status"].clone()))
        .collect()
}

/// A bench at ten o'clock whose execution waits before Prod for what the function `smoke` says.
pub(crate) async fn asking(result: &str) -> (Stopped, Prod) {
    let stopped = Stopped::at("10:00:00").await;
    let prod = create(&stopped.bench, &gated(result, json!([function()]))).await;
    // Nobody is asked before somebody waits for the answer.
    assert!(matches!(prod.ask(&stopped.bench, BeforeEntry).await, ConditionOutput::Wait { .. }));
    assert_eq!(asked(&stopped.bench).len(), 0);
    assert_eq!(seconds(&prod.wait(&stopped.bench, BeforeEntry, "wait").await), 1_200);
    (stopped, prod)
}

pub(crate) async fn succeed(bench: &Bench, job: &Value) {
    let details = json!({"summary": "The page is there."});
    bench.ok("PutJobSuccessResult", json!({"jobId": job, "executionDetails": details})).await;
}

async fn is_over(bench: &Bench, job: &Value) {
    bench.refuses("PutJobSuccessResult", &[(json!({"jobId": job}), "InvalidJobStateException", "ended")]).await;
}

#[tokio::test]
async fn a_closed_window_is_waited_for_exactly_until_it_opens() {
    let stopped = Stopped::at("08:15:30").await;
    let bench = &stopped.bench;
    let prod = create(bench, &gated("FAIL", json!([window()]))).await;
    assert_eq!(seconds(&prod.ask(bench, BeforeEntry).await), 44 * 60 + 30);
    assert_eq!(seconds(&prod.wait(bench, BeforeEntry, "wait").await), 44 * 60 + 30);
    let seen = condition(bench, "beforeEntryConditionState").await;
    let text = "The deployment window is closed. It opens at 2026-11-23T09:00:00Z.";
    assert_eq!(seen["latestExecution"], json!({"status": "InProgress", "summary": text}));

    stopped.until("09:00:00");
    assert_eq!(prod.ask(bench, BeforeEntry).await, ConditionOutput::Proceed);
    assert_eq!(statuses(bench).await, json!({"hours": "Succeeded"}));
    let run = &rule_executions(bench, json!({"pipelineName": "shop"})).await[0];
    assert_eq!(run["input"]["ruleTypeId"]["provider"], "DeploymentWindow");
    assert_eq!(run["output"]["executionResult"]["externalExecutionSummary"], "The deployment window is open.");
}

#[tokio::test]
async fn an_open_window_lets_in_at_once_and_one_that_stays_closed_too_long_fails() {
    let stopped = Stopped::at("17:59:59").await;
    let bench = &stopped.bench;
    let mut limited = window();
    limited["timeoutInMinutes"] = json!(30);
    let prod = create(bench, &gated("FAIL", json!([limited]))).await;
    assert_eq!(prod.ask(bench, BeforeEntry).await, ConditionOutput::Proceed);

    let stopped = Stopped::at("18:00:00").await;
    let bench = &stopped.bench;
    let mut limited = window();
    limited["timeoutInMinutes"] = json!(30);
    let prod = create(bench, &gated("FAIL", json!([limited]))).await;
    assert_eq!(seconds(&prod.wait(bench, BeforeEntry, "wait").await), 1_800);
    stopped.until("18:30:00");
    assert_eq!(prod.ask(bench, BeforeEntry).await, ConditionOutput::Fail);
    assert_eq!(statuses(bench).await, json!({"hours": "Failed"}));
}

#[tokio::test]
async fn a_wait_for_years_is_cut_to_one_and_a_window_that_is_over_fails() {
    for (year, expected) in [("2035", None), ("2025", Some(ConditionOutput::Fail))] {
        let stopped = Stopped::at("08:00:00").await;
        let closed = rule("DeploymentWindow", "year", json!({"Cron": format!("0 0 * ? * * {year}")}));
        let prod = create(&stopped.bench, &gated("FAIL", json!([closed]))).await;
        let answer = prod.ask(&stopped.bench, BeforeEntry).await;
        match expected {
            Some(expected) => assert_eq!(answer, expected),
            None => assert_eq!(seconds(&answer), 365 * 86_400),
        }
    }
}

#[tokio::test]
async fn an_alarm_that_was_good_early_is_looked_at_again_when_the_window_opens() {
    for (at_nine, answer) in [(AlarmState::Ok, Some(ConditionOutput::Proceed)), (AlarmState::Alarm, None)] {
        let stopped = Stopped::at("08:00:00").await;
        let bench = &stopped.bench;
        bench.alarms.set("errors", AlarmState::Ok);
        let prod = create(bench, &gated("FAIL", json!([alarm_rule("errors"), window()]))).await;
        assert_eq!(seconds(&prod.wait(bench, BeforeEntry, "wait").await), 3_600);
        assert_eq!(statuses(bench).await, json!({"errors": "Succeeded", "hours": "InProgress"}));

        stopped.until("09:00:00");
        bench.alarms.set("errors", at_nine);
        let answered_at_nine = prod.ask(bench, BeforeEntry).await;
        match answer {
            Some(answer) => assert_eq!(answered_at_nine, answer),
            None => {
                assert_eq!(seconds(&answered_at_nine), 1_800, "its WaitTime counts from the opening");
                assert_eq!(statuses(bench).await, json!({"errors": "InProgress", "hours": "Succeeded"}));
                stopped.until("09:30:00");
                assert_eq!(prod.ask(bench, BeforeEntry).await, ConditionOutput::Fail);
                assert_eq!(statuses(bench).await, json!({"errors": "Failed", "hours": "Succeeded"}));
            }
        }
    }
}

#[tokio::test]
async fn an_alarm_that_is_red_while_the_window_is_closed_decides_nothing() {
    let stopped = Stopped::at("08:00:00").await;
    let bench = &stopped.bench;
    bench.alarms.set("errors", AlarmState::Alarm);
    let prod = create(bench, &gated("FAIL", json!([alarm_rule("errors"), window()]))).await;
    assert_eq!(seconds(&prod.wait(bench, BeforeEntry, "wait").await), 3_600);
    stopped.until("08:45:00");
    assert_eq!(engine::look_at_conditions(&bench.world, &alarm_arn("errors")).await.unwrap(), 0);
    // The reconciler does not even look: an alarm that may not be read would end the condition.
    bench.alarms.denied.store(true, SeqCst);
    assert_eq!(bench.reconcile().await.conditions, 0);
    bench.alarms.denied.store(false, SeqCst);
    assert_eq!(statuses(bench).await, json!({"errors": "InProgress", "hours": "InProgress"}));

    stopped.until("09:10:00");
    assert_eq!(engine::look_at_conditions(&bench.world, &alarm_arn("errors")).await.unwrap(), 0);
    bench.alarms.set("errors", AlarmState::Ok);
    assert_eq!(engine::look_at_conditions(&bench.world, &alarm_arn("errors")).await.unwrap(), 1);
    assert_eq!(answered(bench, "wait"), Some(json!({"next": "Proceed"})));
}

#[tokio::test]
async fn what_a_variable_makes_of_an_alarm_rule_is_looked_at_before_it_is_used() {
    for (setting, value) in [("WaitTime", "4294967295"), ("WaitTime", "soon"), ("AlarmStates", "RED")] {
        let bench = Bench::new().await;
        bench.alarms.set("errors", AlarmState::Alarm);
        let mut rule = alarm_rule("errors");
        rule["configuration"][setting] = json!("#{variables.Color}");
        let mut pipeline = gated("FAIL", json!([rule]));
        pipeline["variables"][0]["defaultValue"] = json!(value);
        let prod = create(&bench, &pipeline).await;
        assert_eq!(prod.ask(&bench, BeforeEntry).await, ConditionOutput::Fail, "{setting} {value}");
        let seen = condition(&bench, "beforeEntryConditionState").await["latestExecution"].clone();
        assert_eq!(seen["status"], "Errored", "{seen}");
        assert!(seen["summary"].as_str().unwrap().contains(&format!("'{value}' for '{setting}'")), "{seen}");
    }
}

#[tokio::test]
async fn a_window_that_closes_again_gives_a_bad_alarm_no_more_time() {
    let stopped = Stopped::at("09:59:30").await;
    let bench = &stopped.bench;
    bench.alarms.set("errors", AlarmState::Alarm);
    let mut errors = alarm_rule("errors");
    errors["configuration"]["WaitTime"] = json!("1");
    let even = rule("DeploymentWindow", "even", json!({"Cron": "0 */2 * ? * *"}));
    let prod = create(bench, &gated("FAIL", json!([errors, even]))).await;
    assert_eq!(seconds(&prod.wait(bench, BeforeEntry, "wait").await), 30);
    stopped.until("10:00:00");
    assert_eq!(seconds(&prod.ask(bench, BeforeEntry).await), 60);
    stopped.until("10:01:00");
    assert_eq!(prod.ask(bench, BeforeEntry).await, ConditionOutput::Fail);
    assert_eq!(statuses(bench).await, json!({"errors": "Failed", "even": "Abandoned"}));
}

#[tokio::test]
async fn an_answer_that_misses_a_short_window_counts_at_the_next_one_soon_after() {
    let stopped = Stopped::at("10:00:00").await;
    let bench = &stopped.bench;
    let quarters = rule("DeploymentWindow", "quarters", json!({"Cron": "0 */15 * ? * *"}));
    let prod = create(bench, &gated("FAIL", json!([function(), quarters]))).await;
    prod.wait(bench, BeforeEntry, "wait").await;
    stopped.until("10:02:00");
    succeed(bench, &newest_job(bench)).await;
    assert_eq!(answered(bench, "wait"), None);
    stopped.until("10:15:00");
    assert_eq!(prod.ask(bench, BeforeEntry).await, ConditionOutput::Proceed);
    assert_eq!(asked(bench).len(), 1);
}

#[tokio::test]
async fn a_closed_window_is_overridden_and_stopped() {
    let stopped = Stopped::at("08:00:00").await;
    let bench = &stopped.bench;
    let prod = create(bench, &gated("FAIL", json!([window()]))).await;
    prod.wait(bench, BeforeEntry, "wait").await;
    bench.ok("OverrideStageCondition", prod.override_input("BEFORE_ENTRY")).await;
    assert_eq!(answered(bench, "wait"), Some(json!({"next": "Proceed"})));

    let stopped = Stopped::at("08:00:00").await;
    let bench = &stopped.bench;
    let prod = create(bench, &gated("FAIL", json!([window()]))).await;
    prod.wait(bench, BeforeEntry, "wait").await;
    let stop = json!({"pipelineName": "shop", "pipelineExecutionId": prod.execution});
    bench.ok("StopPipelineExecution", stop).await;
    assert_eq!(answered(bench, "wait"), Some(json!({"next": "Fail"})));
}

#[tokio::test]
async fn a_function_is_asked_by_a_job_and_its_good_answer_lets_in() {
    let (Stopped { bench, .. }, prod) = asking("FAIL").await;
    let events = asked(&bench);
    let [event] = events.as_slice() else { panic!("{events:?}") };
    let data = &event["data"];
    let configuration = &data["actionConfiguration"]["configuration"];
    assert_eq!(configuration["FunctionName"], "smoke");
    assert_eq!(configuration["UserParameters"], format!("green {}", prod.execution));
    assert_eq!((&data["inputArtifacts"][0]["name"], &data["outputArtifacts"]), (&json!("App"), &json!([])));
    assert!(data["artifactCredentials"]["secretAccessKey"].is_string());

    // Asked for once, however often the state machine asks.
    prod.wait(&bench, BeforeEntry, "wait again").await;
    assert_eq!(asked(&bench).len(), 1);
    let job = newest_job(&bench);
    let run = &rule_executions(&bench, json!({"pipelineName": "shop"})).await[0];
    assert_eq!(run["output"]["executionResult"]["externalExecutionId"], job);
    assert_eq!((&run["status"], &run["input"]["inputArtifacts"][0]["name"]), (&json!("InProgress"), &json!("App")));
    let seen = condition(&bench, "beforeEntryConditionState").await;
    assert_eq!(seen["conditionStates"][0]["ruleStates"][0]["latestExecution"]["externalExecutionId"], job);
    let details = bench.ok("GetJobDetails", json!({"jobId": job})).await["jobDetails"]["data"].clone();
    assert_eq!(details["actionConfiguration"], data["actionConfiguration"]);
    assert_eq!(details["pipelineContext"]["action"]["name"], "smoke");

    succeed(&bench, &job).await;
    assert_eq!(answered(&bench, "wait again"), Some(json!({"next": "Proceed"})));
    assert_eq!(statuses(&bench).await, json!({"smoke": "Succeeded"}));
    let run = &rule_executions(&bench, json!({"pipelineName": "shop"})).await[0];
    let result = &run["output"]["executionResult"];
    assert_eq!(
        (&result["externalExecutionId"], &result["externalExecutionSummary"]),
        (&job, &json!("The page is there."))
    );
    is_over(&bench, &job).await;
}

#[tokio::test]
async fn a_bad_answer_fails_the_rule_and_may_skip_the_stage() {
    for (result, next) in [("FAIL", "Fail"), ("SKIP", "Skip")] {
        let (Stopped { bench, .. }, prod) = asking(result).await;
        let job = newest_job(&bench);
        let details = json!({"type": "ConfigurationError", "message": "The page is blank."});
        bench.ok("PutJobFailureResult", json!({"jobId": job, "failureDetails": details})).await;
        assert_eq!(answered(&bench, "wait"), Some(json!({"next": next})));
        let seen = condition(&bench, "beforeEntryConditionState").await;
        assert_eq!(seen["latestExecution"], json!({"status": "Failed", "summary": "The page is blank."}));
        is_over(&bench, &job).await;
        assert_eq!(json!(prod.ask(&bench, BeforeEntry).await)["next"], next);
    }
}

#[tokio::test]
async fn twenty_silent_minutes_fail_the_rule_and_a_continuation_begins_them_anew() {
    let (stopped, prod) = asking("FAIL").await;
    let bench = &stopped.bench;
    let first = newest_job(bench);
    stopped.until("10:15:00");
    bench.ok("PutJobSuccessResult", json!({"jobId": first, "continuationToken": "half done"})).await;
    let events = asked(bench);
    assert_eq!((events.len(), &events[1]["data"]["continuationToken"]), (2, &json!("half done")));
    let second = newest_job(bench);
    assert_ne!(second, first);
    is_over(bench, &first).await;
    let run = &rule_executions(bench, json!({"pipelineName": "shop"})).await[0];
    assert_eq!(run["output"]["executionResult"]["externalExecutionId"], second);

    stopped.until("10:20:00");
    assert_eq!(seconds(&prod.wait(bench, BeforeEntry, "more").await), 900);
    stopped.until("10:34:59");
    assert_eq!(bench.reconcile().await.conditions, 0);
    stopped.until("10:35:00");
    assert_eq!(prod.ask(bench, BeforeEntry).await, ConditionOutput::Fail);
    assert_eq!(statuses(bench).await, json!({"smoke": "Failed"}));
    is_over(bench, &second).await;
}

#[tokio::test]
async fn stop_and_override_abandon_what_a_function_was_asked() {
    for (operation, next) in [("OverrideStageCondition", "Proceed"), ("StopPipelineExecution", "Fail")] {
        let (Stopped { bench, .. }, prod) = asking("FAIL").await;
        let input = match operation {
            "StopPipelineExecution" => json!({"pipelineName": "shop", "pipelineExecutionId": prod.execution}),
            _ => prod.override_input("BEFORE_ENTRY"),
        };
        bench.ok(operation, input).await;
        assert_eq!(answered(&bench, "wait"), Some(json!({"next": next})), "{operation}");
        assert_eq!(statuses(&bench).await, json!({"smoke": "Abandoned"}), "{operation}");
        let run = &rule_executions(&bench, json!({"pipelineName": "shop"})).await[0];
        assert_eq!(run["status"], "Abandoned", "{operation}");
        if operation == "OverrideStageCondition" {
            assert_eq!(run["updatedBy"], ANA);
        }
        let job = newest_job(&bench);
        is_over(&bench, &job).await;
        let more = json!({"jobId": job, "continuationToken": "x"});
        bench.refuses("PutJobSuccessResult", &[(more, "InvalidJobStateException", "ended")]).await;
    }
}

#[tokio::test]
async fn who_lost_the_stage_is_not_answered_for() {
    let (bench, first) = Bench::with_release().await;
    bench.ok("UpdatePipeline", json!({"pipeline": gated("FAIL", json!([function()]))})).await;
    let second = Prod::enter(&bench, bench.start().await).await;
    second.wait(&bench, BeforeEntry, "second").await;
    let job = newest_job(&bench);
    let back = json!({"pipelineName": "shop", "stageName": "Prod", "targetPipelineExecutionId": first});
    bench.ok("RollbackStage", back).await;
    // Before the reconciler has been there, and after.
    is_over(&bench, &job).await;
    bench.reconcile().await;
    assert_eq!(answered(&bench, "second"), Some(json!({"next": "Fail"})));
    is_over(&bench, &job).await;
}

#[tokio::test]
async fn a_function_is_asked_when_the_window_opens_and_again_when_it_opens_again() {
    let stopped = Stopped::at("08:00:00").await;
    let bench = &stopped.bench;
    let prod = create(bench, &gated("FAIL", json!([function(), window()]))).await;
    assert_eq!(seconds(&prod.wait(bench, BeforeEntry, "night").await), 3_600);
    assert_eq!(asked(bench).len(), 0);

    stopped.until("17:55:00");
    assert_eq!(seconds(&prod.ask(bench, BeforeEntry).await), 1_200);
    assert_eq!(seconds(&prod.wait(bench, BeforeEntry, "day").await), 1_200);
    let first = newest_job(bench);
    stopped.until("18:05:00");
    succeed(bench, &first).await;
    assert_eq!(answered(bench, "day"), None, "the window has closed meanwhile");
    assert_eq!(statuses(bench).await, json!({"smoke": "Succeeded", "hours": "InProgress"}));

    stopped.until("2026-11-24 09:00:00");
    assert_eq!(seconds(&prod.ask(bench, BeforeEntry).await), 1_200);
    prod.wait(bench, BeforeEntry, "tomorrow").await;
    assert_eq!(asked(bench).len(), 2, "yesterday's answer is yesterday's");
    succeed(bench, &newest_job(bench)).await;
    assert_eq!(answered(bench, "tomorrow"), Some(json!({"next": "Proceed"})));
}

#[tokio::test]
async fn a_function_that_cannot_be_asked_leaves_the_gate_shut_at_once() {
    let bench = Bench::new().await;
    let mut closed = function();
    closed["roleArn"] = json!("arn:aws:iam::111122223333:role/closed");
    let prod = create(&bench, &gated("SKIP", json!([closed]))).await;
    assert_eq!(prod.wait(&bench, BeforeEntry, "wait").await, ConditionOutput::Fail);
    assert_eq!(answered(&bench, "wait"), Some(json!({"next": "Fail"})));
    let seen = condition(&bench, "beforeEntryConditionState").await;
    assert_eq!(seen["latestExecution"]["status"], "Errored");
    let error = &seen["conditionStates"][0]["ruleStates"][0]["latestExecution"]["errorDetails"];
    assert_eq!(error["code"], "PermissionError");
    assert!(error["message"].as_str().unwrap().contains("may not be invoked"), "{error}");
}

#[tokio::test]
async fn nobody_is_asked_where_another_rule_has_decided() {
    let bench = Bench::new().await;
    let red =
        rule("VariableCheck", "color", json!({"Variable": "#{variables.Color}", "Value": "red", "Operator": "EQ"}));
    let prod = create(&bench, &gated("SKIP", json!([function(), red]))).await;
    assert_eq!(prod.wait(&bench, BeforeEntry, "wait").await, ConditionOutput::Skip);
    assert_eq!(asked(&bench).len(), 0);
    assert_eq!(bench.world.machines().answers.lock().unwrap().get("wait"), Some(&json!({"next": "Skip"})));
}

#[tokio::test]
async fn parallel_executions_ask_side_by_side() {
    let stopped = Stopped::at("10:00:00").await;
    let bench = &stopped.bench;
    let mut pipeline = gated("FAIL", json!([function()]));
    pipeline["executionMode"] = json!("PARALLEL");
    let first = create(bench, &pipeline).await;
    stopped.until("10:00:01");
    let second = Prod::enter(bench, bench.start().await).await;
    first.wait(bench, BeforeEntry, "first").await;
    let first_job = newest_job(bench);
    second.wait(bench, BeforeEntry, "second").await;
    let second_job = newest_job(bench);
    succeed(bench, &second_job).await;
    assert_eq!((answered(bench, "first"), answered(bench, "second")), (None, Some(json!({"next": "Proceed"}))));
    let stop = json!({"pipelineName": "shop", "pipelineExecutionId": first.execution, "abandon": true});
    bench.ok("StopPipelineExecution", stop).await;
    assert_eq!(answered(bench, "first"), Some(json!({"next": "Fail"})));
    is_over(bench, &first_job).await;
}

#[tokio::test]
async fn windows_that_are_none_or_are_read_otherwise_are_told_beforehand() {
    let bench = Bench::new().await;
    let bad = rule("DeploymentWindow", "hours", json!({"Cron": "0 0 9-17 ? * MON-FRI *", "TimeZone": "IST"}));
    let input = json!({"pipeline": gated("FAIL", json!([bad]))});
    bench.refuses("CreatePipeline", &[(input, "InvalidStageDeclarationException", "has 'IST' for 'TimeZone'")]).await;

    let mut pipeline = gated("FAIL", json!([window(), function()]));
    pipeline["stages"][1]["onFailure"] = json!({"conditions": [{"result": "ROLLBACK", "rules": [function()]}]});
    let report = bench.ok("ReportCompatibility", json!({"pipeline": pipeline})).await;
    let rules: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["path"].as_str().unwrap().contains(".rules."))
        .map(|one| {
            (one["severity"].clone(), one["path"].as_str().unwrap().rsplit_once("member.").unwrap().1.to_owned())
        })
        .collect();
    let cron = "configuration.Cron.member".to_owned();
    assert_eq!(rules, [(json!("DIFFERENT"), cron)]);
}
