use std::collections::BTreeMap;

use super::{id, manual, report, running_in, stage, table::Table, waiting_before};
use crate::{
    AlarmSnapshot, AlarmState, ExecutionMode, ExecutionStatus, FailureConditions, FailureDecision, GateAnswer, Phase,
    RollbackCause, StageResult, StageStatus, WatchRule, decide_failure, disable_transition, enable_transition,
};

const SUPERSEDED: ExecutionMode = ExecutionMode::Superseded;
const QUEUED: ExecutionMode = ExecutionMode::Queued;
const PARALLEL: ExecutionMode = ExecutionMode::Parallel;

fn runs(answers: &BTreeMap<String, GateAnswer>, token: &str, name: &str, expected: u64) {
    match answers.get(token) {
        Some(GateAnswer::RunStage { stage: found, generation, .. }) => {
            assert_eq!((found, generation.0), (&stage(name), expected));
        }
        other => panic!("{token}: {other:?}"),
    }
}

fn ends(answers: &BTreeMap<String, GateAnswer>, token: &str, expected: ExecutionStatus) {
    assert_eq!(answers.get(token), Some(&GateAnswer::End { status: expected }), "{token}");
}

#[test]
fn an_execution_goes_through_its_stages_and_succeeds() {
    for mode in [SUPERSEDED, QUEUED, PARALLEL] {
        let mut table = Table::new(mode, 1);
        runs(&table.ask(1, "a", None), "a", "Source", 1);
        assert_eq!(table.inside("Source"), (mode != PARALLEL).then(|| id(1)));
        runs(&table.finish(1, "Source", StageResult::Succeeded, "b"), "b", "Deploy", 1);
        assert_eq!((table.inside("Source"), table.phase(1)), (None, &running_in("Deploy")));
        runs(&table.finish(1, "Deploy", StageResult::Succeeded, "c"), "c", "Verify", 1);
        ends(&table.finish(1, "Verify", StageResult::Succeeded, "d"), "d", ExecutionStatus::Succeeded);
        assert_eq!(*table.phase(1), Phase::Succeeded);
        for name in ["Source", "Deploy", "Verify"] {
            assert_eq!(table.inside(name), None);
            assert_eq!(table.execution(1).stages[&stage(name)].status, StageStatus::Succeeded);
            assert_eq!(table.live(name).unwrap().deployed_by, id(1));
        }
    }
}

#[test]
fn superseded_has_one_place_and_the_newer_takes_it() {
    let mut table = Table::new(SUPERSEDED, 4);
    table.ask(1, "1", None);
    assert!(table.ask(2, "2", None).is_empty());
    assert_eq!((table.queue("Source"), table.phase(2)), (vec![id(2)], &waiting_before("Source")));
    ends(&table.ask(3, "3", None), "2", ExecutionStatus::Superseded);
    assert_eq!((table.queue("Source"), table.phase(2)), (vec![id(3)], &Phase::Superseded));
    assert_eq!(*table.phase(1), running_in("Source"), "who is inside is never superseded");
    let answers = table.finish(1, "Source", StageResult::Succeeded, "1b");
    runs(&answers, "3", "Source", 2);
    runs(&answers, "1b", "Deploy", 1);
    assert!(table.waiting.is_empty());
}

#[test]
fn queued_is_in_order_of_arrival_and_loses_nobody() {
    let mut table = Table::new(QUEUED, 4);
    for n in [2, 4, 1, 3] {
        table.ask(n, &n.to_string(), None);
    }
    assert_eq!((table.inside("Source"), table.queue("Source")), (Some(id(2)), vec![id(4), id(1), id(3)]));
    for (leaves, enters) in [(2, 4), (4, 1), (1, 3)] {
        let generation = table.stage("Source").generation.0;
        let answers = table.finish(leaves, "Source", StageResult::Failed, &format!("{leaves}b"));
        ends(&answers, &format!("{leaves}b"), ExecutionStatus::Failed);
        runs(&answers, &enters.to_string(), "Source", generation + 1);
    }
    assert!(table.waiting.is_empty());
}

#[test]
fn queued_releases_begin_in_the_order_they_were_started_in_whichever_asks_first() {
    let mut table = Table::new(QUEUED, 3);
    table.begin_all();
    assert_eq!((table.inside("Source"), table.queue("Source")), (Some(id(1)), vec![id(2), id(3)]));
    assert_eq!((table.phase(1), table.phase(2)), (&running_in("Source"), &waiting_before("Source")));
    assert!(table.ask(3, "3", None).is_empty());
    runs(&table.ask(1, "1", None), "1", "Source", 1);
    // The second has not asked when the stage is free for it: it goes in, and is answered when it asks.
    assert!(!table.finish(1, "Source", StageResult::Succeeded, "1b").contains_key("3"));
    assert_eq!((table.inside("Source"), table.queue("Source")), (Some(id(2)), vec![id(3)]));
    runs(&table.ask(2, "2", None), "2", "Source", 2);
    runs(&table.finish(2, "Source", StageResult::Failed, "2b"), "3", "Source", 3);
}

#[test]
fn only_queued_releases_line_up_before_their_state_machine_asks() {
    for mode in [SUPERSEDED, PARALLEL] {
        let mut table = Table::new(mode, 2);
        table.begin_all();
        assert_eq!((table.phase(1), table.phase(2)), (&Phase::Starting, &Phase::Starting));
        assert!(table.waiting.is_empty() && table.stages.is_empty());
    }
}

#[test]
fn parallel_knows_no_locks() {
    let mut table = Table::new(PARALLEL, 3);
    for n in 1..=3 {
        runs(&table.ask(n, &n.to_string(), None), &n.to_string(), "Source", 1);
    }
    assert!(table.waiting.is_empty() && table.inside("Source").is_none());
}

#[test]
fn asking_twice_keeps_the_place_and_the_answer() {
    for mode in [SUPERSEDED, QUEUED] {
        let mut table = Table::new(mode, 3);
        let first = table.ask(1, "a", None);
        let before = format!("{:?} {:?}", table.stages, table.executions);
        assert_eq!(table.ask(1, "a", None), first);
        assert_eq!(table.ask(1, "new", None)["new"], first["a"]);
        assert_eq!(format!("{:?} {:?}", table.stages, table.executions), before);

        assert!(table.ask(2, "b", None).is_empty());
        let place = table.waiting.keys().cloned().collect::<Vec<_>>();
        assert!(table.ask(2, "b", None).is_empty());
        assert!(table.ask(2, "b2", None).is_empty());
        assert_eq!(table.waiting.keys().cloned().collect::<Vec<_>>(), place);
        runs(&table.finish(1, "Source", StageResult::Succeeded, "c"), "b2", "Source", 2);
    }
}

#[test]
fn a_report_delivered_twice_changes_nothing_more() {
    for mode in [SUPERSEDED, QUEUED, PARALLEL] {
        let mut table = Table::new(mode, 1);
        table.ask(1, "a", None);
        let finished = report("Source", table.generation(1, "Source"), StageResult::Succeeded);
        let first = table.ask(1, "b", Some(&finished));
        let before = format!("{:?}", (&table.stages, &table.executions, &table.successes));
        assert_eq!(table.ask(1, "b", Some(&finished)), first, "{mode}");
        assert_eq!(table.ask(1, "b2", Some(&finished))["b2"], first["b"], "{mode}");
        assert_eq!(format!("{:?}", (&table.stages, &table.executions, &table.successes)), before, "{mode}");
        let failed = report("Deploy", table.generation(1, "Deploy"), StageResult::Failed);
        for token in ["c", "c", "c2"] {
            ends(&table.ask(1, token, Some(&failed)), token, ExecutionStatus::Failed);
        }
    }
}

#[test]
fn success_makes_live_a_candidate_and_watches() {
    let mut table = Table::new(SUPERSEDED, 1);
    table.index_of("Deploy").watches = vec![
        WatchRule {
            rule: "errors".into(),
            alarm: "red".into(),
            minutes: 5,
            data_points: 0,
            shadow: false,
            hold_until_other: false,
            metrics: None,
        },
        WatchRule {
            rule: "unknown".into(),
            alarm: "nobody told of it".into(),
            minutes: 5,
            data_points: 0,
            shadow: false,
            hold_until_other: false,
            metrics: None,
        },
    ];
    let alarm = |arn: &str, state| AlarmSnapshot { arn: arn.into(), state };
    table.alarms = BTreeMap::from([
        ("red".to_owned(), alarm("arn:red", AlarmState::InsufficientData)),
        ("of another stage".to_owned(), alarm("arn:other", AlarmState::Ok)),
    ]);
    table.release(1, "Source");
    let (entered, fingerprint) = (table.now(), table.index_of("Deploy").fingerprint.clone());
    // `ask` moves the clock on after each decision.
    let entered = entered - jiff::SignedDuration::from_secs(1);
    assert_eq!(table.stage("Deploy").occupant.unwrap().alarms.keys().collect::<Vec<_>>(), ["red"]);
    table.clock += 60;
    // The alarm as it stands at the end is of no interest to the watch.
    table.alarms.get_mut("red").unwrap().state = AlarmState::Alarm;
    let left = table.now();
    table.finish(1, "Deploy", StageResult::Succeeded, "c");
    let live = table.live("Deploy").unwrap();
    assert_eq!((live.deployed_by, live.revision_of, live.since), (id(1), id(1), left));
    let success = &table.successes("Deploy")[0];
    assert_eq!((success.execution, success.at, &success.fingerprint), (id(1), left, &fingerprint));
    assert_eq!((success.revoked_by, success.pipeline_version), (None, 1));
    let watches: Vec<_> = table.watches.values().collect();
    assert_eq!(watches.len(), 1);
    let watch = watches[0];
    assert_eq!((watch.alarm_arn.as_str(), watch.rule.as_str(), watch.execution), ("arn:red", "errors", id(1)));
    assert_eq!((watch.from, watch.until), (entered, left + jiff::SignedDuration::from_mins(5)));
    assert_eq!((watch.state_at_entry, watch.generation.0), (AlarmState::InsufficientData, 1));
}

#[test]
fn a_rollback_is_observed_with_the_alarms_that_it_may_clear() {
    use AlarmState as S;
    let by_alarm = RollbackCause::Alarm { alarm_arn: "arn:red".into(), reason: "red".into() };
    for (cause, state, observed) in [
        (manual(), S::Ok, false),
        (manual(), S::Alarm, true),
        (manual(), S::InsufficientData, false),
        (manual(), S::Unreadable, false),
        (by_alarm.clone(), S::Ok, false),
        (by_alarm.clone(), S::Alarm, true),
        (by_alarm.clone(), S::InsufficientData, true),
        (by_alarm, S::Unreadable, true),
    ] {
        let mut table = Table::new(SUPERSEDED, 2);
        table.index_of("Deploy").watches = vec![WatchRule {
            rule: "errors".into(),
            alarm: "red".into(),
            minutes: 5,
            data_points: 0,
            shadow: false,
            hold_until_other: false,
            metrics: None,
        }];
        (1..=2).for_each(|n| table.release(n, "Deploy"));
        table.alarms = BTreeMap::from([("red".to_owned(), AlarmSnapshot { arn: "arn:red".into(), state })]);
        table.roll_back(100, "Deploy", 1, Some(2), cause.clone());
        table.ask(100, "r", None);
        let left = table.now();
        table.finish(100, "Deploy", StageResult::Succeeded, "r2");
        let proofs: Vec<_> = table.watches.values().filter(|watch| watch.proves()).collect();
        assert_eq!(proofs.len(), usize::from(observed), "{cause:?} {state}");
        for watch in proofs {
            assert_eq!((watch.execution, watch.until), (id(100), left + jiff::SignedDuration::from_mins(5)));
        }
    }
}

#[test]
fn a_skipped_stage_is_passed_but_is_no_success() {
    let mut table = Table::new(SUPERSEDED, 1);
    table.release(1, "Source");
    runs(&table.finish(1, "Deploy", StageResult::Skipped, "c"), "c", "Verify", 1);
    assert_eq!(table.execution(1).stages[&stage("Deploy")].status, StageStatus::Skipped);
    assert_eq!((table.live("Deploy"), table.successes("Deploy")), (None, Vec::new()));
}

#[test]
fn a_failed_stage_ends_the_execution_and_frees_the_stage() {
    let mut table = Table::new(SUPERSEDED, 2);
    table.release(1, "Source");
    table.release(2, "Source");
    assert_eq!(table.queue("Deploy"), [id(2)]);
    let answers = table.finish(1, "Deploy", StageResult::Failed, "x");
    ends(&answers, "x", ExecutionStatus::Failed);
    runs(&answers, "Source 2", "Deploy", 2);
    assert_eq!(*table.phase(1), Phase::Failed { stage: Some(stage("Deploy")) });
    assert_eq!((table.live("Deploy"), table.successes("Deploy")), (None, Vec::new()));
}

#[test]
fn an_update_cancels_at_the_next_gate() {
    let mut table = Table::new(SUPERSEDED, 3);
    table.release(1, "Source");
    table.ask(2, "2", None);
    table.ask(3, "3", None);
    table.index.pipeline_version = 2;
    let answers = table.finish(1, "Deploy", StageResult::Succeeded, "x");
    ends(&answers, "x", ExecutionStatus::Cancelled);
    assert_eq!(*table.phase(1), Phase::Cancelled);
    // What was running ended well, and that counts.
    assert_eq!(table.live("Deploy").unwrap().deployed_by, id(1));
    assert_eq!(table.execution(1).stages[&stage("Deploy")].status, StageStatus::Succeeded);
    // The one that waited is not let in either.
    let answers = table.finish(2, "Source", StageResult::Failed, "2b");
    ends(&answers, "2b", ExecutionStatus::Cancelled);
    ends(&answers, "3", ExecutionStatus::Cancelled);
    assert_eq!(*table.phase(3), Phase::Cancelled);
    assert!(table.waiting.is_empty() && table.inside("Source").is_none());
}

#[test]
fn a_late_older_release_does_not_take_the_place_of_a_newer() {
    let mut table = Table::new(SUPERSEDED, 3);
    table.ask(1, "1", None);
    table.ask(3, "3", None);
    ends(&table.ask(2, "2", None), "2", ExecutionStatus::Superseded);
    assert_eq!((table.phase(2), table.queue("Source")), (&Phase::Superseded, vec![id(3)]));
}

#[test]
fn a_request_from_before_an_earlier_stage_does_not_replace_the_token_that_is_waited_for() {
    for mode in [SUPERSEDED, QUEUED] {
        let mut table = Table::new(mode, 2);
        table.release(1, "Source");
        table.release(2, "Source");
        assert_eq!(table.queue("Deploy"), [id(2)]);
        assert!(table.ask(2, "start 2", None).is_empty());
        runs(&table.finish(1, "Deploy", StageResult::Succeeded, "x"), "Source 2", "Deploy", 2);
    }
}

/// Nobody knows which of its requests an execution waits with: a late one that finds the stage open answers them all.
#[test]
fn a_late_request_that_goes_in_answers_the_token_that_is_waited_for() {
    let mut table = Table::new(PARALLEL, 2);
    runs(&table.ask(1, "a", None), "a", "Source", 1);
    let changes = disable_transition(&table.view(), &stage("Deploy"), "ana", "no", table.now());
    table.answers(changes);
    assert!(table.finish(1, "Source", StageResult::Succeeded, "waited for").is_empty());
    // It is opened by somebody who leaves the letting in to others.
    table.stages.get_mut(&stage("Deploy")).unwrap().inbound.enabled = true;
    let answers = table.finish(1, "Source", StageResult::Succeeded, "late");
    runs(&answers, "late", "Deploy", 1);
    runs(&answers, "waited for", "Deploy", 1);
    assert!(table.waiting.is_empty());
}

#[test]
fn asking_again_and_being_let_in_do_not_both_win() {
    let mut table = Table::new(QUEUED, 2);
    table.ask(1, "1", None);
    table.ask(2, "2", None);
    let again = table.decide_gate(id(2), None, "2 again", None).unwrap();
    table.finish(1, "Source", StageResult::Succeeded, "1b");
    assert!(table.store(again).is_err());
    assert!(table.waiting.is_empty());
}

#[test]
fn a_stop_waits_for_the_run_inside() {
    let mut table = Table::new(QUEUED, 2);
    let first = table.ask(1, "a", None);
    table.ask(2, "b", None);
    table.request_stop(1);
    assert_eq!(table.ask(1, "a", None), first, "the answer that may have been lost");
    assert_eq!(table.inside("Source"), Some(id(1)));
    let answers = table.finish(1, "Source", StageResult::Succeeded, "c");
    ends(&answers, "c", ExecutionStatus::Stopped);
    runs(&answers, "b", "Source", 2);
}

#[test]
fn an_update_lets_the_run_inside_report_first() {
    let mut table = Table::new(QUEUED, 1);
    let first = table.ask(1, "a", None);
    table.index.pipeline_version = 2;
    assert_eq!(table.ask(1, "a", None), first);
    assert_eq!(table.inside("Source"), Some(id(1)));
}

#[test]
fn an_update_that_switches_the_mode_ends_those_that_have_a_lock_or_wait_for_one() {
    for (from, to) in
        [(SUPERSEDED, QUEUED), (SUPERSEDED, PARALLEL), (QUEUED, SUPERSEDED), (QUEUED, PARALLEL), (QUEUED, QUEUED)]
    {
        let mut table = Table::new(from, 2);
        table.ask(1, "1", None);
        table.ask(2, "2", None);
        table.index.pipeline_version = 2;
        table.index.mode = to;
        let answers = table.finish(1, "Source", StageResult::Succeeded, "1b");
        ends(&answers, "1b", ExecutionStatus::Cancelled);
        ends(&answers, "2", ExecutionStatus::Cancelled);
        assert!(table.waiting.is_empty() && table.inside("Source").is_none(), "{from} {to}");
    }
}

/// A table whose executions 1 and 2 began in PARALLEL mode and have left Source, and where 3 has begun in `mode` and is
/// inside Deploy.
fn switched(mode: ExecutionMode) -> Table {
    let mut table = Table::new(PARALLEL, 4);
    table.release(1, "Source");
    table.release(2, "Source");
    table.index.pipeline_version = 2;
    table.index.mode = mode;
    for n in [3, 4] {
        let row = table.executions.get_mut(&id(n)).unwrap();
        (row.pipeline_version, row.mode) = (2, mode);
    }
    table.release(3, "Source");
    assert_eq!(table.inside("Deploy"), Some(id(3)));
    table
}

#[test]
fn parallel_executions_go_on_whatever_mode_their_pipeline_is_switched_to() {
    for mode in [SUPERSEDED, QUEUED] {
        let mut table = switched(mode);
        let before = (table.stage("Deploy"), table.stage("Verify"));
        runs(&table.finish(1, "Deploy", StageResult::Succeeded, "1"), "1", "Verify", 1);
        assert_eq!(table.stage("Deploy").occupant, before.0.occupant, "{mode}: the one inside stays");
        assert_eq!(table.stage("Deploy").latest, before.0.latest, "{mode}: and is what is shown");
        assert_eq!(table.stage("Verify").occupant, None, "{mode}: it takes no lock");
        ends(&table.finish(1, "Verify", StageResult::Succeeded, "1b"), "1b", ExecutionStatus::Succeeded);
        ends(&table.finish(2, "Deploy", StageResult::Failed, "2"), "2", ExecutionStatus::Failed);
        assert_eq!(table.stage("Deploy").occupant, before.0.occupant, "{mode}");
        assert_eq!(table.stage("Verify").latest, None, "{mode}: nobody is shown there");
        runs(&table.finish(3, "Deploy", StageResult::Succeeded, "3"), "3", "Verify", 1);
    }
}

#[test]
fn parallel_executions_that_wait_lose_their_place_to_nobody() {
    for mode in [SUPERSEDED, QUEUED] {
        let mut table = switched(mode);
        let changes = disable_transition(&table.view(), &stage("Verify"), "ana", "no", table.now());
        table.answers(changes);
        assert!(table.finish(1, "Deploy", StageResult::Succeeded, "1").is_empty());
        assert!(table.finish(2, "Deploy", StageResult::Succeeded, "2").is_empty());
        assert!(table.finish(3, "Deploy", StageResult::Succeeded, "3").is_empty());
        assert_eq!(table.queue("Verify"), [id(1), id(2), id(3)], "{mode}");
        let (view, alarms) = (table.view(), BTreeMap::new());
        let changes = enable_transition(&view, &table.executions, &stage("Verify"), "ana", &alarms, table.now());
        let answers = table.answers(changes.unwrap());
        for token in ["1", "2", "3"] {
            runs(&answers, token, "Verify", 1);
        }
        assert_eq!((table.inside("Verify"), table.waiting.len()), (Some(id(3)), 0), "{mode}");
    }
}

#[test]
fn a_parallel_execution_never_rolls_back() {
    let table = switched(QUEUED);
    let declared =
        FailureConditions { result: Some("ROLLBACK".to_owned()), retry_configuration: None, conditions: Vec::new() };
    let decided = |n| decide_failure(Some(&declared), &table.executions[&id(n)], &stage("Deploy"), false);
    assert!(matches!(decided(1), FailureDecision::Stop(why) if why.contains("PARALLEL")));
    assert_eq!(decided(3), FailureDecision::Rollback);
}

#[test]
fn parallel_executions_live_through_an_update_unless_their_stage_is_gone() {
    let mut table = Table::new(PARALLEL, 2);
    table.release(1, "Source");
    table.release(2, "Source");
    table.index.pipeline_version = 2;
    runs(&table.finish(1, "Deploy", StageResult::Succeeded, "1"), "1", "Verify", 1);
    table.index.stages.retain(|index| index.name != stage("Deploy"));
    ends(&table.finish(2, "Deploy", StageResult::Succeeded, "2"), "2", ExecutionStatus::Cancelled);
}

#[test]
fn the_queue_goes_on_past_outdated_executions_even_where_not_all_were_read() {
    let mut table = Table::new(QUEUED, 5);
    for n in 1..=4 {
        table.ask(n, &n.to_string(), None);
    }
    table.index.pipeline_version = 2;
    table.executions.get_mut(&id(5)).unwrap().pipeline_version = 2;
    table.ask(5, "5", None);
    for n in 1..=5 {
        let Some(inside) = table.inside("Source") else { panic!("nobody was let in before {n}") };
        let read: BTreeMap<_, _> = table
            .executions
            .iter()
            .filter(|(id, _)| **id == inside || table.queue("Source").iter().take(2).any(|first| first == *id))
            .map(|(id, row)| (*id, row.clone()))
            .collect();
        let finished = report("Source", table.generation(1, "Source"), StageResult::Succeeded);
        let alarms = BTreeMap::new();
        let event = crate::GateEvent {
            execution: inside,
            token: "x",
            machine: None,
            finished: Some(&finished),
            alarms: &alarms,
        };
        let changes = crate::pass_gate(&table.view(), &read, &event, table.now()).unwrap();
        table.answers(changes);
        if inside == id(5) {
            assert!(table.waiting.is_empty());
            assert_eq!(*table.phase(5), running_in("Deploy"));
            return;
        }
    }
    panic!("execution 5 never came in");
}
