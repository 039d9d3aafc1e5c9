use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::{id, manual, stage, table::Table, waiting_before};
use crate::{
    Changes, Effect, Execution, ExecutionId, ExecutionMode, ExecutionStatus, GateAnswer, Phase, Rejected,
    RollbackOutcome, StageResult, admit_waiting, disable_transition, enable_transition, end_expired, expired_before,
    release_hold,
};

fn disable(table: &mut Table, name: &str) {
    let changes = disable_transition(&table.view(), &stage(name), "ana", "incident 7", table.now());
    table.answers(changes);
}

/// Tokens answered by enabling.
fn enable(table: &mut Table, name: &str) -> Vec<String> {
    let changes =
        enable_transition(&table.view(), &table.executions, &stage(name), "bob", &table.alarms, table.now()).unwrap();
    table.answers(changes).into_keys().collect()
}

fn release(table: &Table, name: &str, comment: &str) -> Result<Changes, Rejected> {
    let name = stage(name);
    release_hold(&table.view(), &table.executions, &name, "bob", comment, &table.alarms, table.now())
}

#[test]
fn a_disabled_transition_makes_wait_and_enabling_lets_in() {
    for (mode, let_in, left) in [
        (ExecutionMode::Superseded, vec!["Source 3"], vec![]),
        (ExecutionMode::Queued, vec!["Source 1"], vec![id(2), id(3)]),
        (ExecutionMode::Parallel, vec!["Source 1", "Source 2", "Source 3"], vec![]),
    ] {
        let mut table = Table::new(mode, 3);
        disable(&mut table, "Deploy");
        let inbound = table.stage("Deploy").inbound;
        assert_eq!((inbound.enabled, inbound.changed_by.as_deref()), (false, Some("ana")));
        assert_eq!((inbound.disabled_reason.as_deref(), inbound.hold), (Some("incident 7"), None));
        for n in 1..=3 {
            table.release(n, "Source");
            assert_eq!((table.phase(n), table.inside("Deploy")), (&waiting_before("Deploy"), None));
        }
        assert_eq!(enable(&mut table, "Deploy"), let_in, "{mode}");
        assert_eq!(table.queue("Deploy"), left, "{mode}");
        let inbound = table.stage("Deploy").inbound;
        assert_eq!((inbound.enabled, inbound.changed_by.as_deref()), (true, Some("bob")));
        assert_eq!(inbound.disabled_reason, None);
        let before = table.stage("Deploy");
        assert!(enable(&mut table, "Deploy").is_empty(), "a second time changes nothing");
        assert_eq!(table.stage("Deploy"), before);
    }
}

#[test]
fn who_waited_for_more_than_thirty_days_does_not_go_on() {
    const DAY_S: i64 = 86_400;
    for mode in [ExecutionMode::Superseded, ExecutionMode::Queued, ExecutionMode::Parallel] {
        let mut table = Table::new(mode, 2);
        disable(&mut table, "Deploy");
        table.release(1, "Source");
        let name = stage("Deploy");
        table.clock = table.view().waiting[0].since.as_second() + 30 * DAY_S;
        assert_eq!(expired_before(&table.view(), &name, table.now()), [], "{mode}: it is not more than thirty days");
        table.clock += 1;
        assert_eq!(expired_before(&table.view(), &name, table.now()), [id(1)]);
        if mode != ExecutionMode::Superseded {
            table.release(2, "Source");
            assert_eq!(expired_before(&table.view(), &name, table.now()), [id(1)], "who came later is not old");
        }
        let end = |table: &Table, n| end_expired(&table.view(), &table.executions, &name, id(n), table.now());
        assert_eq!(end(&table, 2), Err(Rejected::AlreadyDone));
        let changes = end(&table, 1).unwrap();
        let told = table.answers(changes);
        assert_eq!(told.get("Source 1"), Some(&GateAnswer::End { status: ExecutionStatus::Cancelled }));
        let ended = table.execution(1);
        assert_eq!(ended.phase, Phase::Cancelled);
        assert!(ended.status_summary.as_deref().is_some_and(|why| why.contains("more than 30 days")));
        let let_in = enable(&mut table, "Deploy");
        assert_eq!(let_in, if mode == ExecutionMode::Superseded { vec![] } else { vec!["Source 2"] }, "{mode}");
    }
}

#[test]
fn disabling_does_not_touch_who_is_inside() {
    let mut table = Table::new(ExecutionMode::Queued, 2);
    table.release(1, "Source");
    disable(&mut table, "Deploy");
    table.release(2, "Source");
    assert_eq!(table.inside("Deploy"), Some(id(1)));
    assert!(enable(&mut table, "Deploy").is_empty(), "the stage is taken");
    disable(&mut table, "Deploy");
    table.finish(1, "Deploy", StageResult::Succeeded, "x");
    assert_eq!((table.inside("Deploy"), table.queue("Deploy")), (None, vec![id(2)]));
    assert_eq!(enable(&mut table, "Deploy"), ["Source 2"]);
}

#[test]
fn a_hold_stays_one_until_it_is_lifted() {
    let mut table = Table::new(ExecutionMode::Superseded, 2);
    table.release(1, "Deploy");
    table.roll_back(100, "Deploy", 1, None, manual());
    let hold = table.stage("Deploy").inbound.hold;
    assert_eq!(hold.as_ref().unwrap().rollback, Some(id(100)));
    disable(&mut table, "Deploy");
    assert_eq!(table.stage("Deploy").inbound.hold, hold);
    table.release(2, "Source");
    let changes = release(&table, "Deploy", "rebuilt").unwrap();
    assert_eq!(changes.holds_ended.iter().map(|held| held.hold.rollback).collect::<Vec<_>>(), [Some(id(100))]);
    let outcome = RollbackOutcome::HoldReleased { rollback: Some(id(100)), comment: "rebuilt".into() };
    assert_eq!(changes.decisions.iter().map(|decision| &decision.outcome).collect::<Vec<_>>(), [&outcome]);
    assert!(table.answers(changes).is_empty(), "the rollback is inside");
    assert_eq!(table.stage("Deploy").inbound.hold, None);
    assert_eq!(release(&table, "Deploy", "rebuilt"), Err(Rejected::AlreadyDone));
    table.ask(100, "r", None);
    let answers = table.finish(100, "Deploy", StageResult::Succeeded, "r2");
    assert!(!answers.contains_key("Source 2"), "what a person has closed stays so");
    assert_eq!(enable(&mut table, "Deploy"), ["Source 2"]);
}

fn read(table: &Table, numbers: &[u128]) -> BTreeMap<ExecutionId, Execution> {
    numbers.iter().map(|n| (id(*n), table.execution(*n).clone())).collect()
}

/// Of `changes`, the first whom they leave to another decision.
fn left(changes: &Changes) -> Option<ExecutionId> {
    changes.effects.iter().find_map(|effect| match effect {
        Effect::AdmitWaiting { first, .. } => Some(*first),
        _ => None,
    })
}

#[test]
fn parallel_executions_that_were_not_read_are_left_to_another_decision() {
    let mut table = Table::new(ExecutionMode::Parallel, 4);
    disable(&mut table, "Deploy");
    (1..=4).for_each(|n| table.release(n, "Source"));
    let name = stage("Deploy");
    let first = read(&table, &[1]);
    let changes = enable_transition(&table.view(), &first, &name, "bob", &table.alarms, table.now()).unwrap();
    assert_eq!(left(&changes), Some(id(2)));
    table.answers(changes);
    assert_eq!(table.queue("Deploy"), [id(2), id(3), id(4)]);
    let next = read(&table, &[2, 3]);
    let changes = admit_waiting(&table.view(), &next, &name, &table.alarms, table.now()).unwrap();
    assert_eq!(left(&changes), Some(id(4)));
    table.answers(changes);
    // Who leaves lets them in as well.
    table.finish(1, "Deploy", StageResult::Failed, "x");
    assert!(table.waiting.is_empty());
}

#[test]
fn however_many_wait_side_by_side_each_decision_fits_a_transaction() {
    // Before the way was opened, the pipeline may have been switched to another mode: they go on without locks.
    for mode in [ExecutionMode::Parallel, ExecutionMode::Superseded, ExecutionMode::Queued] {
        let mut table = Table::new(ExecutionMode::Parallel, 120);
        disable(&mut table, "Deploy");
        (1..=120).for_each(|n| table.release(n, "Source"));
        table.index.mode = mode;
        let name = stage("Deploy");
        let open = enable_transition(&table.view(), &table.executions, &name, "bob", &table.alarms, table.now());
        let (mut changes, mut let_in, mut decisions) = (open.unwrap(), Vec::new(), 0);
        loop {
            decisions += 1;
            // Two rows, a line and an answer for each.
            assert!(changes.executions.len() * 4 <= 60, "{mode}: {} in one decision", changes.executions.len());
            let more = left(&changes).is_some();
            let_in.extend(table.answers(changes).into_keys());
            if !more {
                break;
            }
            changes = admit_waiting(&table.view(), &table.executions, &name, &table.alarms, table.now()).unwrap();
        }
        assert_eq!((let_in.len(), table.queue("Deploy")), (120, vec![]), "{mode}");
        assert_eq!(decisions, 120_usize.div_ceil(14), "{mode}");
    }
}

#[test]
fn those_that_are_left_of_parallel_mode_go_past_who_is_inside() {
    let mut table = Table::new(ExecutionMode::Parallel, 4);
    table.executions.get_mut(&id(4)).unwrap().mode = ExecutionMode::Queued;
    table.index.mode = ExecutionMode::Queued;
    table.release(4, "Source");
    disable(&mut table, "Deploy");
    (1..=3).for_each(|n| table.release(n, "Source"));
    let (first, name) = (read(&table, &[1]), stage("Deploy"));
    let changes = enable_transition(&table.view(), &first, &name, "bob", &table.alarms, table.now()).unwrap();
    assert_eq!(left(&changes), Some(id(2)));
    table.answers(changes);
    let changes = admit_waiting(&table.view(), &table.executions, &name, &table.alarms, table.now()).unwrap();
    let let_in: Vec<String> = table.answers(changes).into_keys().collect();
    assert_eq!(let_in, ["Source 2", "Source 3"]);
    assert_eq!((table.inside("Deploy"), table.queue("Deploy")), (Some(id(4)), vec![]));
}

#[test]
fn the_one_to_let_in_has_to_be_read() {
    let mut table = Table::new(ExecutionMode::Queued, 1);
    disable(&mut table, "Source");
    table.ask(1, "1", None);
    let changes =
        enable_transition(&table.view(), &Default::default(), &stage("Source"), "bob", &table.alarms, table.now());
    assert_eq!(changes, Err(Rejected::Stale));
}

#[test]
fn a_hold_leaves_what_a_person_has_closed_as_it_was() {
    for is_closed_first in [true, false] {
        let mut table = Table::new(ExecutionMode::Superseded, 3);
        table.release(1, "Deploy");
        if is_closed_first {
            disable(&mut table, "Deploy");
        }
        let closed = table.stage("Deploy").inbound;
        table.roll_back(100, "Deploy", 1, None, manual());
        if !is_closed_first {
            disable(&mut table, "Deploy");
        }
        table.ask(100, "r", None);
        table.finish(100, "Deploy", StageResult::Succeeded, "r2");
        table.release(2, "Source");
        assert_eq!(table.stage("Deploy").inbound.closing().unwrap().reason.as_deref(), Some("incident 7"));
        let changes = release(&table, "Deploy", "rebuilt").unwrap();
        assert_eq!(changes.holds_ended.len(), 1);
        assert!(table.answers(changes).is_empty(), "the way is closed");
        let inbound = table.stage("Deploy").inbound;
        assert_eq!((inbound.enabled, inbound.changed_by.as_deref()), (false, Some("ana")));
        assert_eq!((inbound.disabled_reason.as_deref(), &inbound.hold), (Some("incident 7"), &None));
        if is_closed_first {
            assert_eq!(inbound, closed);
        }
        assert_eq!(enable(&mut table, "Deploy"), ["Source 2"]);
    }
}

#[test]
fn saying_once_more_that_a_transition_is_disabled_does_not_make_it_younger() {
    let mut table = Table::new(ExecutionMode::Queued, 1);
    disable(&mut table, "Deploy");
    let since = table.stage("Deploy").inbound.disabled_since;
    table.release(1, "Source");
    disable(&mut table, "Deploy");
    let inbound = table.stage("Deploy").inbound;
    assert!(inbound.changed_at > since);
    assert_eq!(inbound.disabled_since, since);
    let late = since.unwrap() + SignedDuration::from_hours(31 * 24);
    assert_eq!(expired_before(&table.view(), &stage("Deploy"), late), [id(1)]);
}
