//! Which events each transition causes. [`Told`](super::told::Told) checks the same of every state of the walk.

use std::collections::BTreeMap;

use super::{at, execution, id, manual, stage, stage_failed, table::Table};
use crate::{
    ActionRun, AnnouncedCause, ArtifactLocation, Changes, EventState, Execution, ExecutionMode, FailedGate,
    FailureDecision, Phase, RetryMode, RetryOrder, RollbackCause, StageFailure, StageResult, StateChange, StopOrder,
    StopTrigger, Trigger, TriggerType, cancel_outdated, close_dead, events_of, retry_stage, settle_failure,
    stop_execution,
};

const SUPERSEDED: ExecutionMode = ExecutionMode::Superseded;
const QUEUED: ExecutionMode = ExecutionMode::Queued;

/// What was told since the last time.
fn told(table: &mut Table) -> Vec<String> {
    std::mem::take(&mut table.told.lines)
}

fn stop(table: &mut Table, n: u128, abandon: bool) {
    let trigger = StopTrigger { by: "ana".into(), reason: Some("wrong build".into()) };
    let order = StopOrder { execution: id(n), abandon, trigger, alarms: &BTreeMap::new() };
    let changes = stop_execution(&table.view(), &table.executions, &order, table.now()).unwrap();
    table.store(changes).unwrap();
}

fn retry(table: &mut Table, n: u128, name: &str) -> Changes {
    let (stage, alarms) = (stage(name), BTreeMap::new());
    let mode = RetryMode::FailedActions;
    let order = RetryOrder {
        cause: crate::RetryCause::Asked,
        execution: id(n),
        stage: &stage,
        mode,
        succeeded: &[],
        by: "ana",
        alarms: &alarms,
    };
    let changes = retry_stage(&table.view(), &table.executions, &order, table.now()).unwrap();
    table.store(changes.clone()).unwrap();
    changes
}

/// The only event of `changes` that `is` it.
fn only(changes: &Changes, is: impl Fn(&StateChange) -> bool) -> StateChange {
    let events = events_of(changes, "eu-west-1", at(0)).unwrap();
    let mut found = events.into_iter().map(|event| event.change).filter(is);
    let one = found.next().expect("there is such an event");
    assert_eq!(found.next(), None);
    one
}

fn pipeline(change: &StateChange) -> bool {
    matches!(change, StateChange::Pipeline(_))
}

#[test]
fn a_release_tells_each_stage_and_its_end() {
    let mut table = Table::new(SUPERSEDED, 1);
    table.release(1, "Verify");
    let expected = [
        "1 Source STARTED",
        "1 Source SUCCEEDED",
        "1 Deploy STARTED",
        "1 Deploy SUCCEEDED",
        "1 Verify STARTED",
        "1 Verify SUCCEEDED",
        "1 SUCCEEDED",
    ];
    assert_eq!(told(&mut table), expected);
}

#[test]
fn a_failure_and_its_retry_are_told_with_the_time_of_the_retry() {
    let mut table = Table::new(SUPERSEDED, 1);
    table.release(1, "Source");
    told(&mut table);
    table.finish(1, "Deploy", StageResult::Failed, "x");
    assert_eq!(told(&mut table), ["1 Deploy FAILED", "1 FAILED"]);
    let now = table.now();
    let changes = retry(&mut table, 1, "Deploy");
    assert_eq!(told(&mut table), ["1 RESUMED", "1 Deploy RESUMED"]);
    let StateChange::Pipeline(resumed) = only(&changes, pipeline) else { unreachable!() };
    assert_eq!((resumed.pipeline_execution_attempt, resumed.execution_trigger), (2, None));
    let StateChange::Stage(resumed) = only(&changes, |change| !pipeline(change)) else { unreachable!() };
    assert_eq!(resumed.stage_last_retry_attempt_time, Some(now));
    table.finish(1, "Deploy", StageResult::Succeeded, "y");
    assert_eq!(told(&mut table), ["1 Deploy SUCCEEDED", "1 Verify STARTED"]);
}

#[test]
fn a_retry_of_its_own_resumes_the_stage_alone() {
    let mut table = Table::new(SUPERSEDED, 1);
    table.release(1, "Source");
    told(&mut table);
    let failure = StageFailure {
        execution: id(1),
        stage: &stage("Deploy"),
        generation: crate::Generation(1),
        summary: String::new(),
        succeeded: &[],
        decision: FailureDecision::Retry(RetryMode::AllActions),
        target: Err(String::new()),
        gate: None,
        newer: &[],
        rollback_id: id(100),
        alarms: &BTreeMap::new(),
    };
    let (_, changes) = settle_failure(&table.view(), &table.executions, &failure, table.now()).unwrap();
    table.store(changes).unwrap();
    assert_eq!(told(&mut table), ["1 Deploy RESUMED"]);
}

#[test]
fn every_stop_is_stopping_first() {
    let mut table = Table::new(QUEUED, 3);
    table.release(1, "Source");
    table.release(2, "Source");
    told(&mut table);
    stop(&mut table, 1, false);
    assert_eq!(told(&mut table), ["1 STOPPING", "1 Deploy STOPPING"]);
    stop(&mut table, 2, false);
    assert_eq!(told(&mut table), ["2 STOPPING", "2 STOPPED"], "it waited, so there is no stage to tell of");
    table.finish(1, "Deploy", StageResult::Succeeded, "x");
    assert_eq!(told(&mut table), ["1 Deploy STOPPED", "1 STOPPED"], "it shows as stopped");
    table.release(3, "Source");
    told(&mut table);
    stop(&mut table, 3, true);
    assert_eq!(told(&mut table), ["3 STOPPING", "3 Deploy STOPPING", "3 Deploy STOPPED", "3 STOPPED"]);
    retry(&mut table, 3, "Deploy");
    assert_eq!(told(&mut table), ["3 RESUMED", "3 Deploy RESUMED"]);
}

#[test]
fn comments_of_a_stop_go_with_its_events_alone() {
    let mut table = Table::new(QUEUED, 1);
    table.release(1, "Source");
    let trigger = StopTrigger { by: "ana".into(), reason: Some("wrong build".into()) };
    let order = StopOrder { execution: id(1), abandon: false, trigger, alarms: &BTreeMap::new() };
    let changes = stop_execution(&table.view(), &table.executions, &order, table.now()).unwrap();
    let StateChange::Pipeline(stopping) = only(&changes, pipeline) else { unreachable!() };
    assert_eq!(stopping.stop_execution_comments.as_deref(), Some("wrong build"));
}

#[test]
fn who_loses_its_waiting_place_is_superseded() {
    let mut table = Table::new(SUPERSEDED, 3);
    table.release(1, "Source");
    table.release(2, "Source");
    table.ask(3, "start 3", None);
    told(&mut table);
    table.finish(3, "Source", StageResult::Succeeded, "x");
    assert_eq!(told(&mut table), ["2 SUPERSEDED", "3 Source SUCCEEDED"], "waiting is no state of its own");
}

#[test]
fn an_update_cancels_who_waits_at_once_and_who_runs_when_it_reports() {
    let mut table = Table::new(QUEUED, 2);
    table.release(1, "Source");
    table.release(2, "Source");
    told(&mut table);
    table.index.pipeline_version = 2;
    let alarms = BTreeMap::new();
    let changes = cancel_outdated(&table.view(), &table.executions, id(2), &alarms, table.now()).unwrap();
    table.store(changes).unwrap();
    assert_eq!(told(&mut table), ["2 CANCELED"]);
    table.finish(1, "Deploy", StageResult::Failed, "x");
    assert_eq!(told(&mut table), ["1 Deploy CANCELED", "1 CANCELED"]);
}

#[test]
fn a_rollback_tells_what_it_brings_back_and_cancels_whom_it_fences() {
    let mut table = Table::new(SUPERSEDED, 3);
    table.release(1, "Verify");
    table.release(2, "Verify");
    table.release(3, "Source");
    told(&mut table);
    let cause = RollbackCause::Alarm { alarm_arn: "arn".into(), reason: "red".into() };
    let changes = table.decide_rollback(100, "Deploy", 1, Some(2), cause).unwrap();
    table.store(changes.clone()).unwrap();
    assert_eq!(told(&mut table), ["3 Deploy CANCELED", "3 CANCELED", "100 STARTED"], "of 2, nothing has changed");
    let is_rollback = |change: &StateChange| matches!(change, StateChange::Pipeline(of) if of.execution_id == id(100));
    let StateChange::Pipeline(started) = only(&changes, is_rollback) else { unreachable!() };
    assert_eq!(started.rollback_stage, Some(stage("Deploy")));
    assert_eq!(started.rollback_target_execution_id, Some(id(1)));
    assert_eq!(started.rollback_undone_execution_id, Some(id(2)));
    assert_eq!(started.rollback_cause, Some(AnnouncedCause::Alarm));
    assert_eq!(started.execution_trigger.unwrap().trigger_type, TriggerType::AutomatedRollback);
    table.ask(100, "r", None);
    table.finish(100, "Deploy", StageResult::Succeeded, "s");
    assert_eq!(told(&mut table), ["100 Deploy STARTED", "100 Deploy SUCCEEDED", "100 SUCCEEDED"]);
}

#[test]
fn causes_of_rollbacks_have_names() {
    let mut table = Table::new(SUPERSEDED, 2);
    table.release(1, "Verify");
    table.release(2, "Verify");
    let gate = FailedGate { alarm_arn: "arn".into(), reason: "red".into() };
    for (cause, expected) in [
        (manual(), AnnouncedCause::Manual),
        (stage_failed(), AnnouncedCause::StageFailed),
        (RollbackCause::StageFailed { gate: Some(gate) }, AnnouncedCause::Alarm),
    ] {
        let changes = table.decide_rollback(100, "Deploy", 1, Some(2), cause).unwrap();
        let StateChange::Pipeline(started) = only(&changes, pipeline) else { unreachable!() };
        assert_eq!(started.rollback_cause, Some(expected));
    }
}

#[test]
fn a_skipped_stage_has_no_event_of_its_end() {
    let mut table = Table::new(SUPERSEDED, 1);
    table.release(1, "Source");
    told(&mut table);
    table.finish(1, "Deploy", StageResult::Skipped, "x");
    assert_eq!(told(&mut table), ["1 Verify STARTED"]);
}

#[test]
fn an_execution_whose_driver_died_has_failed() {
    let mut table = Table::new(SUPERSEDED, 1);
    table.release(1, "Source");
    told(&mut table);
    let alarms = BTreeMap::new();
    let changes = close_dead(&table.view(), &table.executions, id(1), "gone", &alarms, table.now()).unwrap();
    table.store(changes).unwrap();
    assert_eq!(told(&mut table), ["1 Deploy FAILED", "1 FAILED"]);
}

fn starting(phase: Phase) -> Changes {
    let trigger = Trigger {
        trigger_type: TriggerType::StartPipelineExecution,
        trigger_detail: Some("ana".into()),
        starter: None,
    };
    let row = Execution { phase, trigger, ..execution(7, SUPERSEDED) };
    Changes { executions: BTreeMap::from([(row.id, row)]), ..Changes::default() }
}

#[test]
fn a_new_execution_tells_what_started_it_even_if_it_fails_at_once() {
    let states = |changes: &Changes| -> Vec<EventState> {
        events_of(changes, "eu-west-1", at(0)).unwrap().iter().map(crate::Event::state).collect()
    };
    assert_eq!(states(&starting(Phase::Starting)), [EventState::Started]);
    assert_eq!(states(&starting(Phase::Failed { stage: None })), [EventState::Started, EventState::Failed]);
    let StateChange::Pipeline(started) = only(&starting(Phase::Starting), pipeline) else { unreachable!() };
    assert_eq!(started.execution_trigger.unwrap().trigger_detail.as_deref(), Some("ana"));
    assert_eq!((started.execution_type, started.rollback_cause), (None, None));
}

#[test]
fn a_git_trigger_is_told_with_every_state_of_its_execution() {
    let detail = r#"{"provider-type":"GitHub","full-repository-name":"books/shop","commit-id":"c41d","tag-name":"v1"}"#;
    let told = |phase: Phase, version: u64, trigger_type: TriggerType| {
        let mut changes = starting(phase);
        let row = changes.executions.values_mut().next().unwrap();
        row.version = version;
        row.trigger = Trigger { trigger_type, trigger_detail: Some(detail.into()), starter: None };
        changes.before = if version > 0 { starting(Phase::Starting).executions } else { BTreeMap::new() };
        let StateChange::Pipeline(change) = only(&changes, pipeline) else { unreachable!() };
        change.execution_trigger
    };
    for (phase, version) in [(Phase::Starting, 0), (Phase::Succeeded, 1)] {
        let trigger = told(phase, version, TriggerType::WebhookV2).unwrap();
        assert_eq!(trigger.trigger_detail.as_deref(), Some(detail));
        assert_eq!(trigger.provider_type.as_deref(), Some("GitHub"));
        assert_eq!(trigger.full_repository_name.as_deref(), Some("books/shop"));
        assert_eq!((trigger.commit_id.as_deref(), trigger.tag_name.as_deref()), (Some("c41d"), Some("v1")));
        let absent = (trigger.branch_name, trigger.pull_request_id, trigger.author_display_name);
        assert_eq!(absent, (None, None, None));
    }
    // What a person wrote is not read as if a repository had said it.
    let started = told(Phase::Starting, 0, TriggerType::StartPipelineExecution).unwrap();
    assert_eq!((started.trigger_detail.as_deref(), started.commit_id), (Some(detail), None));
    assert_eq!(told(Phase::Succeeded, 1, TriggerType::StartPipelineExecution), None);
}

#[test]
fn who_forgets_how_an_execution_was_stores_nothing() {
    let mut changes = starting(Phase::Succeeded);
    changes.executions.values_mut().for_each(|row| row.version = 3);
    assert_eq!(events_of(&changes, "eu-west-1", at(0)), Err(crate::Unread(id(7))));
    changes.before = changes.executions.clone();
    assert_eq!(events_of(&changes, "eu-west-1", at(0)), Ok(Vec::new()), "nothing has changed");
}

#[test]
fn ids_follow_from_what_happened_and_to_which_version_of_the_row() {
    let ids = |changes: &Changes, second: i64| -> Vec<uuid::Uuid> {
        events_of(changes, "eu-west-1", at(second)).unwrap().iter().map(crate::Event::id).collect()
    };
    let changes = starting(Phase::Failed { stage: None });
    assert_eq!(ids(&changes, 0), ids(&changes, 9), "whoever decides the same again tells the same");
    assert_ne!(ids(&changes, 0)[0], ids(&changes, 0)[1]);
    let mut later = changes.clone();
    later.executions.values_mut().for_each(|row| row.version = 1);
    later.before = starting(Phase::Starting).executions;
    assert_ne!(ids(&changes, 0)[1], ids(&later, 0)[0]);
}

fn run(version: u64, status: &str) -> ActionRun {
    serde_json::from_value(serde_json::json!({
        "id": "00000000-0000-0000-0000-000000000009", "pipeline": "shop", "pipelineVersion": 7,
        "execution": "00000000-0000-0000-0000-000000000007", "stage": "Deploy", "action": "Publish",
        "actionType": { "category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1" },
        "generation": 1, "status": status, "startedAt": "2026-11-23T10:15:02Z", "updatedAt": "2026-11-23T10:15:02Z",
        "roleArn": "arn:aws:iam::111122223333:role/shop", "externalId": "47f8", "summary": "Deployed 3 files.",
        "version": version,
    }))
    .unwrap()
}

#[test]
fn runs_of_actions_begin_and_end_once() {
    let states = |run: ActionRun| -> Vec<EventState> {
        let changes = Changes { runs: vec![run], ..Changes::default() };
        events_of(&changes, "eu-west-1", at(0)).unwrap().iter().map(crate::Event::state).collect()
    };
    use EventState as S;
    assert_eq!(states(run(0, "InProgress")), [S::Started]);
    assert_eq!(states(run(0, "Failed")), [S::Started, S::Failed], "it could not even begin");
    assert_eq!(states(run(1, "InProgress")), [], "a job was handed out");
    assert_eq!(states(run(2, "Succeeded")), [S::Succeeded]);
    assert_eq!(states(run(2, "Failed")), [S::Failed]);
    let changes = Changes { abandoned: vec![(run(2, "Abandoned"), true)], ..Changes::default() };
    assert_eq!(events_of(&changes, "eu-west-1", at(0)).unwrap()[0].state(), S::Abandoned);
}

#[test]
fn results_tell_what_went_wrong_and_never_the_token_of_an_approval() {
    let result = |run: ActionRun| {
        let changes = Changes { runs: vec![run], ..Changes::default() };
        let StateChange::Action(change) = only(&changes, |_| true) else { unreachable!() };
        change.execution_result
    };
    assert_eq!(result(run(0, "InProgress")), None);
    let failed = ActionRun {
        error_message: Some("AccessDenied".into()),
        error_code: Some("JobFailed".into()),
        ..run(2, "Failed")
    };
    let failed = result(failed).unwrap();
    assert_eq!(failed.external_execution_summary.as_deref(), Some("AccessDenied"));
    assert_eq!(
        (failed.error_code.as_deref(), failed.external_execution_id.as_deref()),
        (Some("JobFailed"), Some("47f8"))
    );
    let mut approved = run(2, "Succeeded");
    approved.action_type.category = "Approval".into();
    let approved = result(approved).unwrap();
    assert_eq!(
        (approved.external_execution_id, approved.external_execution_summary.as_deref()),
        (None, Some("Deployed 3 files."))
    );
}

#[test]
fn artifacts_of_actions_are_told_by_bucket_and_key_alone() {
    let place = ArtifactLocation { bucket: "there".into(), key: "shop/App/1".into(), region: Some("us-east-1".into()) };
    let mut publish = run(2, "Succeeded");
    publish.inputs = [("App".to_owned(), place.clone())].into();
    publish.outputs = [("Site".to_owned(), place)].into();
    let changes = Changes { runs: vec![publish], ..Changes::default() };
    let told = serde_json::to_value(only(&changes, |_| true)).unwrap();
    for list in ["input-artifacts", "output-artifacts"] {
        let expected = serde_json::json!({ "bucket": "there", "key": "shop/App/1" });
        assert_eq!(told["detail"][list][0]["s3location"], expected, "{list}");
    }
}
