use super::{id, manual, report, running_in, stage, table::Table};
use crate::{
    ActionExecutionId, ActionName, ActionRun, ConditionKind, ConditionOrder, ConditionRun, ConditionStatus, Effect,
    ExecutionMode, ExecutionStatus, GateAnswer, GateEvent, Generation, NotRetryable, Phase, RetryCause, RetryMode,
    RetryOrder, RetryTrigger, StageResult, StageStatus, done_by_last_attempt, pass_gate, retry_stage,
};

const SUPERSEDED: ExecutionMode = ExecutionMode::Superseded;
const FAILED: RetryMode = RetryMode::FailedActions;

fn retry(
    table: &mut Table,
    n: u128,
    name: &str,
    mode: RetryMode,
    succeeded: &[&str],
) -> Result<Vec<Effect>, NotRetryable> {
    run_again(table, RetryCause::Asked, n, name, mode, succeeded)
}

fn run_again(
    table: &mut Table,
    cause: RetryCause,
    n: u128,
    name: &str,
    mode: RetryMode,
    succeeded: &[&str],
) -> Result<Vec<Effect>, NotRetryable> {
    let succeeded: Vec<ActionName> = succeeded.iter().map(|name| name.parse().unwrap()).collect();
    let stage = stage(name);
    let order = RetryOrder {
        cause,
        execution: id(n),
        stage: &stage,
        mode,
        succeeded: &succeeded,
        by: "ana",
        alarms: &Default::default(),
    };
    let changes = retry_stage(&table.view(), &table.executions, &order, table.now())?;
    Ok(table.store(changes).unwrap())
}

/// Execution 1 failed in `Deploy`.
fn failed(mode: ExecutionMode) -> Table {
    let mut table = Table::new(mode, 3);
    table.release(1, "Source");
    table.finish(1, "Deploy", StageResult::Failed, "x");
    table
}

fn groups(answer: &GateAnswer) -> Vec<String> {
    let GateAnswer::RunStage { groups, .. } = answer else { panic!("{answer:?}") };
    groups.iter().flatten().map(|step| step.name.to_string()).collect()
}

#[test]
fn the_execution_is_inside_again_and_another_machine_drives_it() {
    for mode in [SUPERSEDED, ExecutionMode::Queued, ExecutionMode::Parallel] {
        let mut table = failed(mode);
        let before = table.generation(1, "Deploy");
        let effects = retry(&mut table, 1, "Deploy", FAILED, &["Act"]).unwrap();
        let [Effect::StartMachine { name, .. }] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(*name, format!("{}-2", id(1)));
        assert_eq!(*table.phase(1), running_in("Deploy"));
        let generation = table.generation(1, "Deploy");
        assert!(generation > before, "{mode}");
        assert!(!table.view().lets_act(table.execution(1), &stage("Deploy"), crate::Generation(before)));

        let answer = table.ask(1, "y", None).remove("y").unwrap();
        assert_eq!(groups(&answer), ["Check"], "{mode}");
        assert!(matches!(answer, GateAnswer::RunStage { attempt: 2, .. }));
        let answers = table.finish(1, "Deploy", StageResult::Succeeded, "z");
        assert!(matches!(&answers["z"], GateAnswer::RunStage { stage, .. } if stage.as_str() == "Verify"));
        assert_eq!(table.live("Deploy").unwrap().deployed_by, id(1));
        assert_eq!(groups(&answers["z"]), ["Act", "Check"], "later stages run in full");
    }
}

#[test]
fn the_machine_that_saw_the_failure_cannot_act_for_its_successor() {
    let mut table = failed(SUPERSEDED);
    retry(&mut table, 1, "Deploy", FAILED, &[]).unwrap();
    let old = format!("{}-1", id(1));
    let finished = report("Deploy", 1, StageResult::Failed);
    for finished in [Some(&finished), None] {
        let event =
            GateEvent { execution: id(1), token: "old", machine: Some(&old), finished, alarms: &Default::default() };
        let changes = pass_gate(&table.view(), &table.executions, &event, table.now()).unwrap();
        let answers = table.answers(changes);
        assert_eq!(answers["old"], GateAnswer::End { status: ExecutionStatus::InProgress });
    }
    assert_eq!(*table.phase(1), running_in("Deploy"));
}

#[test]
fn the_stage_tells_how_often_it_was_retried() {
    let mut table = failed(SUPERSEDED);
    for times in 1..=2 {
        retry(&mut table, 1, "Deploy", RetryMode::AllActions, &["Act"]).unwrap();
        let latest = table.stage("Deploy").latest.unwrap();
        assert_eq!((latest.manual_retries, latest.auto_retries), (times, 0));
        assert_eq!(
            (latest.latest_retry, latest.status),
            (Some(RetryTrigger::ManualStageRetry), StageStatus::InProgress)
        );
        table.ask(1, "y", None);
        table.finish(1, "Deploy", StageResult::Failed, "z");
    }
}

#[test]
fn what_an_override_lets_go_on_was_not_retried() {
    for mode in [SUPERSEDED, ExecutionMode::Parallel] {
        let mut table = failed(mode);
        let before = table.generation(1, "Deploy");
        run_again(&mut table, RetryCause::Overridden, 1, "Deploy", FAILED, &["Act", "Check"]).unwrap();
        let outcome = &table.execution(1).stages[&stage("Deploy")];
        assert_eq!((outcome.attempt, outcome.status, outcome.retried_at), (2, StageStatus::InProgress, None));
        assert!(table.generation(1, "Deploy") > before);
        let latest = table.stage("Deploy").latest;
        let counted = latest.map(|latest| (latest.status, latest.manual_retries, latest.latest_retry));
        let expected = (mode == SUPERSEDED).then_some((StageStatus::InProgress, 0, None));
        assert_eq!(counted, expected, "{mode}");
    }
}

/// A run of an action of `Deploy` in execution 1.
fn run(action: &str, attempt: u32, status: &str) -> ActionRun {
    let (deploy, generation) = (stage("Deploy"), Generation(attempt.into()));
    let run = ActionExecutionId::of_run(id(1), &deploy, generation, attempt, &action.parse().unwrap());
    serde_json::from_value(serde_json::json!({
        "id": run, "pipeline": "shop", "pipelineVersion": 1, "execution": id(1), "stage": "Deploy", "action": action,
        "actionType": { "category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1" },
        "generation": generation, "status": status, "startedAt": "2026-11-23T10:15:02Z",
        "updatedAt": "2026-11-23T10:15:02Z", "roleArn": "arn:aws:iam::111122223333:role/shop",
    }))
    .unwrap()
}

/// The entry condition of `Deploy`, which ended like that for execution 1.
fn gate(status: ConditionStatus) -> ConditionRun {
    let order = ConditionOrder {
        pipeline: &"shop".parse().unwrap(),
        stage: &stage("Deploy"),
        kind: ConditionKind::BeforeEntry,
        execution: id(1),
        mode: SUPERSEDED,
        generation: Generation(1),
        attempt: 1,
    };
    ConditionRun { status, ..ConditionRun::new(&order, Some("FAIL"), &["errors"], super::at(0), 0) }
}

#[test]
fn what_an_attempt_kept_and_what_it_did_is_done_and_nothing_of_before() {
    let table = failed(SUPERSEDED);
    let mut outcome = table.execution(1).stages[&stage("Deploy")].clone();
    let runs = [run("Act", 2, "Succeeded"), run("Check", 1, "Succeeded"), run("Tell", 2, "Failed")];
    for (attempt, kept, expected) in [
        (1, vec![], vec!["Check"]),
        (2, vec![], vec!["Act"]),
        (2, vec!["Check"], vec!["Check", "Act"]),
        (3, vec![], vec![]),
        (3, vec!["Act"], vec!["Act"]),
    ] {
        outcome.attempt = attempt;
        outcome.kept = kept.iter().map(|name| name.parse().unwrap()).collect();
        let done = done_by_last_attempt(&outcome, &runs, None);
        let done: Vec<&str> = done.iter().map(ActionName::as_str).collect();
        assert_eq!(done, expected, "{attempt} {kept:?}");
    }
}

#[test]
fn nothing_is_done_where_the_entry_condition_let_nobody_in() {
    use ConditionStatus::{Abandoned, Cancelled, Errored, Failed, Overridden, Succeeded};
    let outcome = failed(SUPERSEDED).execution(1).stages[&stage("Deploy")].clone();
    let runs = [run("Act", 1, "Succeeded")];
    for (status, expected) in
        [(Succeeded, 1), (Overridden, 1), (Failed, 0), (Errored, 0), (Abandoned, 0), (Cancelled, 0)]
    {
        assert_eq!(done_by_last_attempt(&outcome, &runs, Some(&gate(status))).len(), expected, "{status}");
    }
}

#[test]
fn what_cannot_be_retried_says_why() {
    let never = Err(NotRetryable::NeverEntered);
    let mut table = failed(SUPERSEDED);
    assert_eq!(retry(&mut table, 1, "Source", FAILED, &[]), Err(NotRetryable::NotFailed(StageStatus::Succeeded)));
    assert_eq!(retry(&mut table, 1, "Verify", FAILED, &[]), never);
    assert_eq!(retry(&mut table, 2, "Deploy", FAILED, &[]), never);
    retry(&mut table, 1, "Deploy", FAILED, &[]).unwrap();
    assert_eq!(retry(&mut table, 1, "Deploy", FAILED, &[]), Err(NotRetryable::Busy));

    // An update; of PARALLEL pipelines one of the stage.
    let mut table = failed(SUPERSEDED);
    table.index.pipeline_version = 2;
    let outdated = Err(NotRetryable::Outdated { started_in: 1, current: 2 });
    assert_eq!(retry(&mut table, 1, "Deploy", FAILED, &[]), outdated);
    let mut table = failed(ExecutionMode::Parallel);
    table.index.pipeline_version = 2;
    table.index_of("Deploy").fingerprint.push('!');
    assert_eq!(retry(&mut table, 1, "Deploy", FAILED, &[]), outdated);
    table.index_of("Deploy").fingerprint.pop();
    assert!(retry(&mut table, 1, "Deploy", FAILED, &[]).is_ok());

    // A later execution, however it ended; a rollback, also before it has begun.
    for status in [StageResult::Succeeded, StageResult::Failed] {
        let mut table = failed(SUPERSEDED);
        table.release(2, "Source");
        assert_eq!(retry(&mut table, 1, "Deploy", FAILED, &[]), Err(NotRetryable::NotLatest { latest: id(2) }));
        table.finish(2, "Deploy", status, "y");
        assert_eq!(retry(&mut table, 1, "Deploy", FAILED, &[]), Err(NotRetryable::NotLatest { latest: id(2) }));
    }
    let mut table = Table::new(SUPERSEDED, 2);
    table.release(1, "Verify");
    table.release(2, "Source");
    table.finish(2, "Deploy", StageResult::Failed, "x");
    table.roll_back(100, "Deploy", 1, None, manual());
    assert_eq!(retry(&mut table, 2, "Deploy", FAILED, &[]), Err(NotRetryable::NotLatest { latest: id(100) }));
    table.ask(100, "r", None);
    table.finish(100, "Deploy", StageResult::Failed, "r2");
    assert!(retry(&mut table, 100, "Deploy", FAILED, &[]).is_ok(), "a failed rollback can be");
    assert_eq!(*table.phase(100), running_in("Deploy"));
}

#[test]
fn a_closed_way_does_not_keep_a_retry_out_and_who_waits_goes_on_waiting() {
    let mut table = failed(SUPERSEDED);
    let closed = crate::disable_transition(&table.view(), &stage("Deploy"), "ana", "no", table.now());
    table.store(closed).unwrap();
    table.release(2, "Source");
    retry(&mut table, 1, "Deploy", FAILED, &[]).unwrap();
    assert_eq!((table.inside("Deploy"), table.queue("Deploy")), (Some(id(1)), vec![id(2)]));
    table.ask(1, "y", None);
    table.finish(1, "Deploy", StageResult::Failed, "z");
    assert_eq!(*table.phase(1), Phase::Failed { stage: Some(stage("Deploy")) });
    assert_eq!(table.queue("Deploy"), [id(2)]);
}
