use super::{id, manual, report, running_in, stage, table::Table};
use crate::{
    ActionName, Effect, ExecutionMode, ExecutionStatus, GateAnswer, GateEvent, NotRetryable, Phase, RetryMode,
    RetryOrder, RetryTrigger, StageResult, StageStatus, pass_gate, retry_stage,
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
    let succeeded: Vec<ActionName> = succeeded.iter().map(|name| name.parse().unwrap()).collect();
    let stage = stage(name);
    let order = RetryOrder {
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
