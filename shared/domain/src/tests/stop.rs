use std::collections::BTreeMap;

use super::{id, manual, stage, table::Table, waiting_before};
use crate::{
    Effect, ExecutionMode, ExecutionStatus, GateAnswer, NotStoppable, Phase, StageResult, StageStatus, StopOrder,
    StopTrigger, stop_execution,
};

const QUEUED: ExecutionMode = ExecutionMode::Queued;

fn stop(table: &mut Table, n: u128, abandon: bool) -> Result<Vec<Effect>, NotStoppable> {
    let trigger = StopTrigger { by: "ana".into(), reason: Some("wrong build".into()) };
    let alarms = BTreeMap::new();
    let order = StopOrder { execution: id(n), abandon, trigger, alarms: &alarms };
    let changes = stop_execution(&table.view(), &table.executions, &order, table.now())?;
    Ok(table.store(changes).unwrap())
}

/// Execution 1 is inside `Deploy`, 2 waits before it, 3 has not asked for anything.
fn busy(mode: ExecutionMode) -> Table {
    let mut table = Table::new(mode, 3);
    table.release(1, "Source");
    table.release(2, "Source");
    table
}

#[test]
fn waiting_keeps_the_stage_until_the_run_reports() {
    let mut table = busy(QUEUED);
    assert_eq!(stop(&mut table, 1, false), Ok(vec![]));
    assert_eq!(*table.phase(1), Phase::Stopping { stage: stage("Deploy") });
    assert_eq!((table.inside("Deploy"), table.stage("Deploy").generation.0), (Some(id(1)), 1));
    assert_eq!(table.stage("Deploy").latest.unwrap().status, StageStatus::Stopping);
    assert_eq!(stop(&mut table, 1, false), Err(NotStoppable::Stopping));
    let view = table.view();
    let row = table.execution(1);
    assert!(view.lets_act(row, &stage("Deploy"), crate::Generation(1)) && !view.lets_begin(row));

    let answers = table.finish(1, "Deploy", StageResult::Failed, "x");
    assert_eq!(answers["x"], GateAnswer::End { status: ExecutionStatus::Stopped });
    assert!(matches!(answers["Source 2"], GateAnswer::RunStage { .. }));
    assert_eq!(table.execution(1).stages[&stage("Deploy")].status, StageStatus::Stopped);
    assert_eq!(table.execution(1).status_summary.as_deref(), Some("wrong build"));
    assert_eq!(stop(&mut table, 1, true), Err(NotStoppable::Ended(ExecutionStatus::Stopped)));
}

#[test]
fn work_that_was_all_done_is_a_success_of_a_stopped_execution() {
    let mut table = busy(QUEUED);
    stop(&mut table, 1, false).unwrap();
    table.finish(1, "Deploy", StageResult::Succeeded, "x");
    assert_eq!(*table.phase(1), Phase::Stopped);
    assert_eq!(table.execution(1).stages[&stage("Deploy")].status, StageStatus::Succeeded);
    assert_eq!((table.live("Deploy").unwrap().deployed_by, table.successes("Deploy").len()), (id(1), 1));
    // The next one has shown itself since; without it the stage would show as stopped.
    assert_eq!(table.inside("Deploy"), Some(id(2)));
}

#[test]
fn abandoning_takes_the_stage_at_once() {
    for waited in [false, true] {
        let mut table = busy(QUEUED);
        if waited {
            stop(&mut table, 1, false).unwrap();
        }
        let effects = stop(&mut table, 1, true).unwrap();
        assert_eq!(*table.phase(1), Phase::Stopped);
        assert_eq!(table.execution(1).stages[&stage("Deploy")].status, StageStatus::Stopped);
        assert!(matches!(&effects[0], Effect::AnswerGate { token, .. } if token == "Source 2"), "{effects:?}");
        assert!(matches!(&effects[1], Effect::AbandonRuns { execution, attempt: 1, .. } if *execution == id(1)));
        // One for the abandoned run, one for whoever came in.
        assert_eq!((table.inside("Deploy"), table.stage("Deploy").generation.0), (Some(id(2)), 3));
        let answers = table.ask(1, "x", Some(&super::report("Deploy", 1, StageResult::Failed)));
        assert_eq!(answers, BTreeMap::from([("x".to_owned(), GateAnswer::End { status: ExecutionStatus::Stopped })]));
    }
}

#[test]
fn who_is_in_no_stage_stops_at_once() {
    let mut table = busy(QUEUED);
    assert_eq!(*table.phase(2), waiting_before("Deploy"));
    let effects = stop(&mut table, 2, false).unwrap();
    let answer = GateAnswer::End { status: ExecutionStatus::Stopped };
    assert_eq!(effects, [Effect::AnswerGate { token: "Source 2".into(), answer: answer.clone() }]);
    assert!(table.waiting.is_empty());
    assert_eq!(stop(&mut table, 3, true), Ok(vec![]));
    assert_eq!((table.phase(2), table.phase(3)), (&Phase::Stopped, &Phase::Stopped));
    assert_eq!(table.ask(3, "3", None)["3"], answer);
}

#[test]
fn a_rollback_that_has_not_begun_gives_its_stage_back() {
    let mut table = busy(QUEUED);
    table.finish(1, "Deploy", StageResult::Succeeded, "x");
    table.roll_back(100, "Deploy", 1, None, manual());
    assert_eq!(table.inside("Deploy"), Some(id(100)));
    stop(&mut table, 100, false).unwrap();
    assert_eq!((table.phase(100), table.inside("Deploy")), (&Phase::Stopped, None));
}

#[test]
fn in_parallel_nothing_of_others_changes() {
    let mut table = busy(ExecutionMode::Parallel);
    let before = table.stages.clone();
    let effects = stop(&mut table, 1, true).unwrap();
    assert!(matches!(&effects[..], [Effect::AbandonRuns { .. }]));
    assert_eq!(table.stages, before);
    assert_eq!(*table.phase(1), Phase::Stopped);
}

#[test]
fn who_has_moved_since_the_view_was_read_is_read_again() {
    let alarms = BTreeMap::new();
    let stop_by = |view: &crate::PipelineView, table: &Table| {
        let trigger = StopTrigger { by: "ana".into(), reason: None };
        let order = StopOrder { execution: id(1), abandon: true, trigger, alarms: &alarms };
        stop_execution(view, &table.executions, &order, table.now()).map(|changes| changes.stages.len())
    };
    let mut table = Table::new(QUEUED, 1);
    let before = table.view();
    table.ask(1, "x", None);
    // By the older view nobody is inside: the stage would stay locked by an execution that has ended.
    assert_eq!(stop_by(&before, &table), Err(NotStoppable::Stale));
    assert_eq!(stop_by(&table.view(), &table), Ok(1));

    table.finish(1, "Source", StageResult::Succeeded, "y");
    assert_eq!(stop_by(&before, &table), Err(NotStoppable::Stale));
    assert_eq!(stop_by(&table.view(), &table), Ok(1));
}
