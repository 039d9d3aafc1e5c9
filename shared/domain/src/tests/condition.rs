//! What rules say, what that makes of a condition, and what ends it.

use jiff::Timestamp;

use super::{at, execution, id, stage, table::Table};
use crate::{
    ActionStatus, AlarmChange, AlarmDemand, AlarmState, ConditionAnswer, ConditionIndex, ConditionKind, ConditionOrder,
    ConditionRun, ConditionStatus, Consulted, Execution, ExecutionMode, Finding, Generation, Job, Occupant, Override,
    Phase, RuleVerdict, StageState, check_overridable, given_up, is_current, judge_alarm, judge_answer, judge_unasked,
    judge_window,
};

use ConditionKind::{BeforeEntry, OnFailure, OnSuccess};

fn demand(kind: ConditionKind, states: &str) -> AlarmDemand<'_> {
    AlarmDemand { kind, name: "errors", states, wait_minutes: 1, since: at(0) }
}

fn alarm(state: AlarmState) -> AlarmChange {
    AlarmChange { arn: "arn".to_owned(), state, since: at(0), reason: String::new() }
}

#[test]
fn entry_waits_for_good_success_demands_staying_good_and_a_failure_shows_in_the_alarm() {
    use AlarmState::{Alarm, InsufficientData, Ok, Suppressed};
    let pending = RuleVerdict::Pending(at(60));
    for (kind, states, state, now, expected) in [
        (BeforeEntry, "", Ok, 0, RuleVerdict::Succeeded),
        (BeforeEntry, "", InsufficientData, 0, RuleVerdict::Succeeded),
        (BeforeEntry, "", Alarm, 0, pending.clone()),
        (BeforeEntry, "", Alarm, 59, pending.clone()),
        (BeforeEntry, "", Alarm, 60, RuleVerdict::Failed),
        (BeforeEntry, "OK", InsufficientData, 60, RuleVerdict::Failed),
        (BeforeEntry, "OK, ALARM", Alarm, 0, RuleVerdict::Succeeded),
        (OnSuccess, "", Ok, 0, pending.clone()),
        (OnSuccess, "", Ok, 60, RuleVerdict::Succeeded),
        (OnSuccess, "", Alarm, 0, RuleVerdict::Failed),
        (OnSuccess, "", Alarm, 60, RuleVerdict::Failed),
        (BeforeEntry, "OK", Suppressed, 0, RuleVerdict::Succeeded),
        (OnSuccess, "OK", Suppressed, 0, pending.clone()),
        (OnSuccess, "", Suppressed, 60, RuleVerdict::Succeeded),
        (OnFailure, "ALARM", Suppressed, 0, RuleVerdict::Failed),
        (OnFailure, "", Alarm, 0, RuleVerdict::Succeeded),
        (OnFailure, "", Ok, 0, RuleVerdict::Failed),
        (OnFailure, "OK", Ok, 0, RuleVerdict::Succeeded),
    ] {
        let found = judge_alarm(&demand(kind, states), &alarm(state), at(now)).verdict;
        assert_eq!(found, expected, "{kind:?} '{states}' {state} at {now}");
    }
    let unreadable = judge_alarm(&demand(OnSuccess, ""), &alarm(AlarmState::Unreadable), at(0)).verdict;
    assert!(matches!(unreadable, RuleVerdict::Errored(_)), "{unreadable:?}");
}

#[test]
fn a_rule_waits_no_longer_than_its_own_limit() {
    let waits = || Finding::pending(at(3600), "It waits.");
    assert_eq!(waits().limited(at(0), None, at(1)), waits());
    assert_eq!(waits().limited(at(0), Some(5), at(1)).pending_until(), Some(at(300)));
    assert_eq!(waits().limited(at(0), Some(90), at(1)).pending_until(), Some(at(3600)));
    assert_eq!(waits().limited(at(0), Some(5), at(300)).verdict, RuleVerdict::Failed);
    let done = Finding::succeeded("Good.");
    assert_eq!(done.clone().limited(at(0), Some(5), at(900)), done);
}

#[test]
fn a_closed_window_is_waited_for_but_by_a_failure() {
    let nine = at(9 * 3600);
    for (kind, now, expected) in [
        (BeforeEntry, at(0), RuleVerdict::Pending(nine)),
        (OnSuccess, at(0), RuleVerdict::Pending(nine)),
        (OnFailure, at(0), RuleVerdict::Failed),
        (BeforeEntry, nine, RuleVerdict::Succeeded),
        (OnFailure, nine, RuleVerdict::Succeeded),
    ] {
        assert_eq!(judge_window(kind, "0 0 9 ? * *", "UTC", now).verdict, expected, "{kind:?} at {now}");
    }
    assert_eq!(judge_window(BeforeEntry, "0 0 9 ? * * 1970", "", at(90_000_000)).verdict, RuleVerdict::Failed);
    let wrong = judge_window(BeforeEntry, "daily", "", at(0));
    assert_eq!(wrong.verdict, RuleVerdict::Errored("ConfigurationError"));
}

#[test]
fn an_alarm_is_put_off_until_the_window_opens_unless_it_is_good_or_cannot_tell() {
    let put_off = RuleVerdict::Pending(at(900));
    for (finding, expected) in [
        (Finding::succeeded("good"), RuleVerdict::Succeeded),
        (Finding::errored("PermissionError", "closed"), RuleVerdict::Errored("PermissionError")),
        (Finding::failed("red"), put_off.clone()),
        (Finding::pending(at(60), "red"), put_off),
    ] {
        assert_eq!(finding.clone().deferred_to(at(900)).verdict, expected, "{finding:?}");
    }
}

fn smoke() -> Consulted {
    Consulted::Function("smoke".to_owned())
}

fn asked(asked_at: i64, created_at: i64, status: &str, answer: serde_json::Value) -> Job {
    serde_json::from_value(serde_json::json!({
        "id": uuid::Uuid::nil(), "run": uuid::Uuid::nil(), "pipeline": "shop", "execution": uuid::Uuid::nil(),
        "stage": "Deploy", "action": "smoke", "generation": 1, "token": "", "status": status, "createdAt": at(created_at),
        "rule": {"kind": "BeforeEntry", "attempt": 1, "roleArn": "role", "configuration": {}, "inputs": {},
            "askedAt": at(asked_at), "answer": answer},
    }))
    .unwrap()
}

#[test]
fn a_function_is_heard_for_twenty_minutes_each_time_and_a_day_in_all() {
    use RuleVerdict::{Errored, Failed, Pending, Succeeded};
    const DAY: i64 = 86_400;
    let none = serde_json::Value::Null;
    let code = |code: &str| serde_json::json!({"errorCode": code, "text": "why"});
    for (job, now, expected) in [
        (asked(0, 0, "Created", none.clone()), 1_199, Pending(at(1_200))),
        (asked(0, 0, "Created", none.clone()), 1_200, Failed),
        (asked(0, 1_000, "Created", none.clone()), 1_200, Pending(at(2_200))),
        (asked(0, DAY - 60, "Created", none.clone()), DAY - 1, Pending(at(DAY))),
        (asked(0, DAY - 60, "Created", none.clone()), DAY, Failed),
        (asked(0, 0, "Succeeded", none.clone()), 9_999, Succeeded),
        (asked(0, 0, "Failed", none.clone()), 1, Failed),
        (asked(0, 0, "Failed", code("PermissionError")), 1, Errored("PermissionError")),
        (asked(0, 0, "Failed", code("ConfigurationError")), 1, Errored("ConfigurationError")),
        (asked(0, 0, "TimedOut", none.clone()), 1, Failed),
    ] {
        assert_eq!(judge_answer(&smoke(), Some(&job), at(now)).verdict, expected, "{:?} at {now}", job.status);
    }
    assert_eq!(judge_answer(&smoke(), None, at(5)).verdict, Pending(at(1_205)));
}

#[test]
fn work_of_a_provider_has_its_time_and_goes_on_when_a_window_closes() {
    use RuleVerdict::{Errored, Failed, Pending, Succeeded};
    let none = serde_json::Value::Null;
    let (build, commands) = (Consulted::Machine("CodeBuild"), Consulted::Machine("Commands"));
    let machine = |status: &str, answer| Job { machine: Some("any".to_owned()), ..asked(0, 0, status, answer) };
    let code = |code: &str| serde_json::json!({"errorCode": code, "text": "why"});
    for (who, job, now, expected) in [
        (&commands, machine("Created", none.clone()), 3_299, Pending(at(3_300))),
        (&commands, machine("Created", none.clone()), 3_300, Failed),
        (&build, machine("Created", none.clone()), 3_300, Pending(at(36 * 3_600))),
        (&build, machine("Created", none.clone()), 36 * 3_600, Failed),
        (&build, machine("Succeeded", none.clone()), 9_999, Succeeded),
        (&build, machine("Failed", none.clone()), 1, Failed),
        (&build, machine("Failed", code("SystemUnavailable")), 1, Errored("SystemUnavailable")),
        (&build, machine("TimedOut", code("ConfigurationError")), 1, Errored("ConfigurationError")),
        (&build, machine("TimedOut", code("JobFailed")), 1, Failed),
    ] {
        assert_eq!(judge_answer(who, Some(&job), at(now)).verdict, expected, "{who} {:?} at {now}", job.status);
    }
    let late = judge_answer(&commands, Some(&machine("Created", none.clone())), at(3_300)).text;
    assert_eq!(late, "Commands did not end within 55 minutes.");
    for (status, current) in [("Created", true), ("Succeeded", false)] {
        assert_eq!(is_current(&machine(status, none.clone()), at(1), at(90_000)), current, "{status}");
    }
}

#[test]
fn a_function_is_asked_anew_for_an_opening_but_not_at_once_and_not_for_ever() {
    let none = serde_json::Value::Null;
    let job = asked(100, 100, "Succeeded", none);
    for (opened, now, current) in [(100, 9_999, true), (101, 1_299, true), (101, 1_300, false)] {
        assert_eq!(is_current(&job, at(opened), at(now)), current, "opened {opened}, now {now}");
    }
    for (times, is_asked) in [(0, true), (99, true), (100, false)] {
        let found = judge_unasked(&smoke(), times, at(0));
        assert_eq!(found.pending_until().is_some(), is_asked, "{times}: {found:?}");
    }
}

#[test]
fn one_wait_takes_a_year_at_the_most_and_a_second_at_the_least() {
    let run = run("FAIL", &["a"]);
    for (until, seconds) in [(60, 59), (1, 1), (400 * 86_400, 365 * 86_400)] {
        assert_eq!(run.wait(at(until), at(1)), ConditionAnswer::Wait { seconds, since: 0 }, "{until}");
    }
    // A look that comes too early would have to wait once more.
    let part = |millis: i64| Timestamp::from_millisecond(millis).unwrap();
    for (until, now, seconds) in [(9_900, 1_100, 9), (9_100, 1_900, 8), (9_100, 1_100, 8), (9_000, 8_999, 1)] {
        assert_eq!(run.wait(part(until), part(now)), ConditionAnswer::Wait { seconds, since: 0 }, "{now} to {until}");
    }
}

fn run(result: &str, rules: &[&str]) -> ConditionRun {
    let (pipeline, stage) = ("shop".parse().unwrap(), stage("Deploy"));
    let order = ConditionOrder {
        pipeline: &pipeline,
        stage: &stage,
        kind: BeforeEntry,
        execution: id(1),
        mode: ExecutionMode::Queued,
        generation: Generation(4),
        attempt: 1,
    };
    ConditionRun::new(&order, Some(result), rules, at(0), 7)
}

#[test]
fn any_failure_decides_then_any_error_and_all_must_succeed() {
    use ActionStatus::{Abandoned, Failed, InProgress, Succeeded};
    use ConditionStatus as Condition;
    let good = || Finding::succeeded("good");
    let bad = || Finding::failed("bad");
    let error = || Finding::errored("PermissionError", "error");
    let waits = |until| Finding::pending(at(until), "waits");
    for (findings, status, rules, until) in [
        (vec![good(), good()], Condition::Succeeded, [Succeeded, Succeeded], None),
        (vec![good(), bad()], Condition::Failed, [Succeeded, Failed], None),
        (vec![error(), bad()], Condition::Failed, [Failed, Failed], None),
        (vec![error(), good()], Condition::Errored, [Failed, Succeeded], None),
        (vec![waits(9), bad()], Condition::Failed, [Abandoned, Failed], None),
        (vec![waits(9), error()], Condition::Errored, [Abandoned, Failed], None),
        (vec![waits(9), good()], Condition::InProgress, [InProgress, Succeeded], Some(at(9))),
        (vec![waits(9), waits(5)], Condition::InProgress, [InProgress, InProgress], Some(at(5))),
    ] {
        let mut run = run("FAIL", &["a", "b"]);
        let next = run.apply(&findings, at(1));
        assert_eq!((run.status, next), (status, until), "{findings:?}");
        assert_eq!(run.rules.iter().map(|rule| rule.status).collect::<Vec<_>>(), rules, "{findings:?}");
    }
}

#[test]
fn a_wait_that_goes_on_changes_nothing_and_what_changes_is_dated() {
    let mut run = run("FAIL", &["a", "b"]);
    run.apply(&[Finding::pending(at(9), "first words"), Finding::succeeded("good")], at(1));
    let before = run.clone();
    run.apply(&[Finding::pending(at(9), "other words"), Finding::succeeded("still good")], at(2));
    assert_eq!(run, before);
    run.apply(&[Finding::succeeded("good"), Finding::succeeded("good")], at(3));
    let changed: Vec<_> = run.rules.iter().map(|rule| rule.changed_at).collect();
    assert_eq!((run.changed_at, changed), (at(3), vec![at(3), at(1)]));
}

#[test]
fn only_a_failure_leads_to_the_declared_result() {
    use ConditionStatus::{Abandoned, Cancelled, Errored, Failed, Overridden, Succeeded};
    for (result, status, answer) in [
        ("FAIL", Succeeded, ConditionAnswer::Proceed),
        ("FAIL", Overridden, ConditionAnswer::Proceed),
        ("FAIL", Failed, ConditionAnswer::Fail),
        ("SKIP", Failed, ConditionAnswer::Skip),
        ("SKIP", Errored, ConditionAnswer::Fail),
        ("SKIP", Abandoned, ConditionAnswer::Fail),
        ("SKIP", Cancelled, ConditionAnswer::Fail),
    ] {
        let mut run = run(result, &["a"]);
        run.end(status, "why", None, at(1));
        assert_eq!(run.answer(), answer, "{result} {status}");
    }
}

#[test]
fn whoever_ends_a_condition_is_named_by_the_rules_that_ran() {
    let mut run = run("FAIL", &["a", "b"]);
    run.apply(&[Finding::pending(at(9), "waits"), Finding::succeeded("good")], at(1));
    run.end(ConditionStatus::Overridden, "by ana", Some("ana"), at(2));
    let rules: Vec<_> = run.rules.iter().map(|rule| (rule.status, rule.updated_by.as_deref())).collect();
    assert_eq!(rules, [(ActionStatus::Abandoned, Some("ana")), (ActionStatus::Succeeded, None)]);
}

#[test]
fn a_condition_is_seen_as_cancelled_once_its_execution_lost_the_stage() {
    let run = run("FAIL", &["a"]);
    let mut held = StageState::new("shop".parse().unwrap(), stage("Deploy"));
    held.generation = Generation(4);
    held.occupant = Some(Occupant {
        execution: id(1),
        execution_type: crate::ExecutionType::Standard,
        entered_at: at(0),
        alarms: std::collections::BTreeMap::new(),
    });
    assert_eq!(run.seen_in(&held), run);
    held.generation = Generation(5);
    let seen = run.seen_in(&held);
    assert_eq!((seen.status, seen.rules[0].status), (ConditionStatus::Cancelled, ActionStatus::Abandoned));

    for (latest, expected) in [(1, ConditionStatus::Abandoned), (2, ConditionStatus::Cancelled)] {
        let mut stopped = held.clone();
        stopped.give_to(Occupant { execution: id(latest), ..held.occupant.clone().unwrap() });
        stopped.release(crate::StageStatus::Stopped);
        assert_eq!(run.seen_in(&stopped).status, expected, "{latest}");
    }
}

#[test]
fn a_stop_gives_a_condition_up_and_whatever_else_ends_it_cancels_it() {
    let stage = || stage("Deploy");
    for (phase, expected) in [
        (Phase::Stopping { stage: stage() }, ConditionStatus::Abandoned),
        (Phase::Stopped, ConditionStatus::Abandoned),
        (Phase::Running { stage: stage() }, ConditionStatus::Cancelled),
        (Phase::Cancelled, ConditionStatus::Cancelled),
        (Phase::Failed { stage: Some(stage()) }, ConditionStatus::Cancelled),
    ] {
        let execution = Execution { phase, ..execution(1, ExecutionMode::Queued) };
        assert_eq!(given_up(Some(&execution)), expected, "{:?}", execution.phase);
    }
    assert_eq!(given_up(None), ConditionStatus::Cancelled);
}

#[test]
fn what_has_begun_in_a_stage_is_not_skipped_by_a_later_attempt() {
    let mut before = run("SKIP", &["a"]);
    let table = Table::new(ExecutionMode::Superseded, 1);
    let (pipeline, name) = (table.index.name.clone(), before.stage.clone());
    let order = ConditionOrder {
        pipeline: &pipeline,
        stage: &name,
        kind: before.kind,
        execution: before.execution,
        mode: ExecutionMode::Superseded,
        generation: before.generation,
        attempt: 2,
    };
    assert_eq!(order.result(Some("SKIP"), None), Some("SKIP"));
    before.status = ConditionStatus::Errored;
    assert_eq!(order.result(Some("SKIP"), Some(&before)), Some("SKIP"), "nobody was let in");
    for let_in in [ConditionStatus::Succeeded, ConditionStatus::Overridden] {
        before.status = let_in;
        assert_eq!(order.result(Some("SKIP"), Some(&before)), None);
        assert_eq!(order.result(Some("FAIL"), Some(&before)), Some("FAIL"));
        let foreign = ConditionOrder { execution: id(9), ..order };
        assert_eq!(foreign.result(Some("SKIP"), Some(&before)), Some("SKIP"));
    }
    // The attempt after one that was refused so.
    (before.status, before.result) = (ConditionStatus::Failed, None);
    assert_eq!(order.result(Some("SKIP"), Some(&before)), None);
}

#[test]
fn only_the_last_attempt_at_a_stage_tells_what_failed_it() {
    let run = run("FAIL", &["a"]);
    let mut table = Table::new(ExecutionMode::Superseded, 1);
    table.release(1, "Source");
    let mut state = table.stage("Deploy");
    state.generation = Generation(4);
    let mut execution = table.execution(1).clone();
    assert!(run.is_of_last_attempt(&execution, &state));
    let stopped = StageState { generation: Generation(5), ..state.clone() };
    assert!(!run.is_of_last_attempt(&execution, &stopped));
    execution.stages.get_mut(&stage("Deploy")).unwrap().attempt = 2;
    assert!(!run.is_of_last_attempt(&execution, &state));
}

#[test]
fn what_waits_or_has_failed_the_stage_is_overridden_and_nothing_else() {
    use ConditionStatus::{Abandoned, Cancelled, Errored, Failed, InProgress, Overridden, Succeeded};
    let declared = |result: &str| ConditionIndex { kind: BeforeEntry, result: Some(result.into()), rules: Vec::new() };
    let (fail, skip) = (declared("FAIL"), declared("SKIP"));
    for (declared, status, how) in [
        (Some(&fail), Some(InProgress), Some(Override::EndWait)),
        (Some(&fail), Some(Failed), Some(Override::Resume)),
        (Some(&fail), Some(Errored), Some(Override::Resume)),
        (Some(&skip), Some(InProgress), None),
        (Some(&skip), Some(Failed), None),
        (None, Some(InProgress), None),
        (Some(&fail), None, None),
        (Some(&fail), Some(Succeeded), None),
        (Some(&fail), Some(Overridden), None),
        (Some(&fail), Some(Cancelled), None),
        (Some(&fail), Some(Abandoned), None),
    ] {
        let result = declared.and_then(|declared| declared.result.clone());
        let run = status.map(|status| ConditionRun { status, result, ..run("FAIL", &["a"]) });
        let checked = check_overridable(declared, run.as_ref());
        assert_eq!(checked.clone().ok(), how, "{status:?}: {checked:?}");
        assert!(checked.err().is_none_or(|why| why.ends_with('.')), "{status:?}");
    }
    // One that would have skipped a stage which was entered before, and fails it instead.
    let fails = ConditionRun { status: Failed, result: None, ..run("SKIP", &["a"]) };
    assert_eq!(check_overridable(Some(&skip), Some(&fails)), Ok(Override::Resume));
}
