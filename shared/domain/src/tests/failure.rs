use super::{id, manual, running_in, stage, table::Table, waiting_before};
use crate::{
    ActionName, Effect, Execution, ExecutionMode, FailureAnswer, FailureConditions, FailureDecision, GateAnswer, Phase,
    PhaseEvent, Rejected, RetryConfiguration, RetryMode, RetryTrigger, StageFailure, StageResult, StageStatus,
    close_dead, decide_failure, settle_failure,
};

fn declared(result: &str, retry: Option<Option<RetryMode>>) -> FailureConditions {
    FailureConditions {
        result: Some(result.into()),
        retry_configuration: retry.map(|retry_mode| RetryConfiguration { retry_mode }),
        conditions: Vec::new(),
    }
}

/// Executions 1 succeeded everywhere, 2 is inside `Deploy`, 3 waits before it.
fn failing() -> Table {
    let mut table = Table::new(ExecutionMode::Superseded, 3);
    table.release(1, "Verify");
    table.release(2, "Source");
    table.release(3, "Source");
    assert_eq!((table.inside("Deploy"), table.queue("Deploy")), (Some(id(2)), vec![id(3)]));
    table
}

fn settle(
    table: &mut Table,
    decision: FailureDecision,
    target: Result<u128, &str>,
    succeeded: &[ActionName],
) -> Result<(FailureAnswer, Vec<Effect>), Rejected> {
    let rows = table.executions.clone();
    let failure = StageFailure {
        execution: id(2),
        stage: &stage("Deploy"),
        generation: crate::Generation(2),
        summary: "Action Check failed: no appspec.yml.".into(),
        succeeded,
        decision,
        target: target.map(|n| &rows[&id(n)]).map_err(str::to_owned),
        gate: None,
        newer: &[],
        rollback_id: id(100),
        alarms: &Default::default(),
    };
    let (answer, changes) = settle_failure(&table.view(), &table.executions, &failure, table.now())?;
    Ok((answer, table.store(changes).unwrap()))
}

#[test]
fn the_declaration_decides_what_follows_a_failure() {
    use FailureDecision::{Retry, Rollback, Stop};
    let (failed, all) = (RetryMode::FailedActions, RetryMode::AllActions);
    let stop = || Stop(String::new());
    // Declared, then what is decided first, after an automatic retry, and after a rejected approval.
    let cases = [
        (None, stop(), stop()),
        (Some(declared("FAIL", None)), stop(), stop()),
        (Some(declared("SKIP", None)), stop(), stop()),
        (Some(declared("RETRY", None)), Retry(failed), stop()),
        (Some(declared("RETRY", Some(Some(all)))), Retry(all), stop()),
        (Some(declared("ROLLBACK", None)), Rollback, Rollback),
        (Some(declared("ROLLBACK", Some(None))), Retry(failed), Rollback),
        (Some(declared("ROLLBACK", Some(Some(all)))), Retry(all), Rollback),
        (Some(FailureConditions { result: None, ..declared("", None) }), stop(), stop()),
    ];
    let same = |found: FailureDecision, expected: &FailureDecision| match (&found, expected) {
        (Stop(why), Stop(_)) => assert!(!why.is_empty()),
        _ => assert_eq!(found, *expected),
    };
    let table = failing();
    for (declared, first, later) in cases {
        let execution = table.execution(2);
        let decide =
            |execution: &Execution, rejected| decide_failure(declared.as_ref(), execution, &stage("Deploy"), rejected);
        same(decide(execution, false), &first);
        same(decide(execution, true), &stop());
        let mut stopping = execution.clone();
        stopping.advance(&PhaseEvent::RequestStop, table.now()).unwrap();
        same(decide(&stopping, false), &stop());
        let mut retried = execution.clone();
        retried.stages.get_mut(&stage("Deploy")).unwrap().auto_retried = true;
        same(decide(&retried, false), &later);
        let mut rolled_back = failing();
        rolled_back.roll_back(100, "Deploy", 1, Some(2), manual());
        same(decide(rolled_back.execution(100), false), &stop());
    }
}

#[test]
fn a_retry_runs_what_is_left_once_under_the_same_generation() {
    let mut table = failing();
    let names = |groups: Vec<Vec<crate::ActionStep>>| -> Vec<String> {
        groups.into_iter().flatten().map(|step| step.name.to_string()).collect()
    };
    let act: ActionName = "Act".parse().unwrap();
    let retry = FailureDecision::Retry(RetryMode::FailedActions);
    let (answer, effects) = settle(&mut table, retry, Err(""), std::slice::from_ref(&act)).unwrap();
    let FailureAnswer::Retry { attempt: 2, groups, entry_condition: false } = answer else { panic!("{answer:?}") };
    assert_eq!((names(groups), effects), (vec!["Check".to_owned()], vec![]));
    let row = table.stage("Deploy");
    let (outcome, latest) = (&table.execution(2).stages[&stage("Deploy")], row.latest.unwrap());
    assert_eq!((row.generation.0, outcome.attempt, outcome.auto_retried), (2, 2, true));
    assert_eq!((latest.auto_retries, latest.latest_retry), (1, Some(RetryTrigger::AutomatedStageRetry)));
    assert_eq!((table.phase(2), table.phase(3)), (&running_in("Deploy"), &waiting_before("Deploy")));

    let (answer, _) = settle(&mut failing(), FailureDecision::Retry(RetryMode::AllActions), Err(""), &[act]).unwrap();
    let FailureAnswer::Retry { groups, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(names(groups), ["Act", "Check"]);
}

#[test]
fn a_retry_asks_the_entry_condition_where_it_keeps_nothing() {
    let act: ActionName = "Act".parse().unwrap();
    let done = std::slice::from_ref(&act);
    for (mode, succeeded, expected) in [
        (RetryMode::AllActions, done, true),
        (RetryMode::FailedActions, &[][..], true),
        (RetryMode::FailedActions, done, false),
    ] {
        let mut table = failing();
        table.index_of("Deploy").has_entry_condition = true;
        let index = table.index_of("Deploy").clone();
        let (answer, _) = settle(&mut table, FailureDecision::Retry(mode), Err(""), succeeded).unwrap();
        let FailureAnswer::Retry { entry_condition, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(entry_condition, expected, "{mode} after {succeeded:?}");
        // Whoever asks once more, or by another state machine, is told the same.
        assert_eq!(crate::run_again(table.execution(2), &index), answer);
        let again = table.ask(2, "again", None).remove("again").unwrap();
        assert!(matches!(again, GateAnswer::RunStage { entry_condition, .. } if entry_condition == expected));
    }
    let older: FailureAnswer = serde_json::from_str(r#"{"next": "Retry", "attempt": 2, "groups": []}"#).unwrap();
    assert_eq!(older, FailureAnswer::Retry { attempt: 2, groups: Vec::new(), entry_condition: false });
}

#[test]
fn a_rollback_follows_the_failure_in_the_same_decision() {
    let mut table = failing();
    let (answer, effects) = settle(&mut table, FailureDecision::Rollback, Ok(1), &[]).unwrap();
    assert_eq!(answer, FailureAnswer::End);
    assert!(matches!(&effects[..], [Effect::StartMachine { execution, .. }] if *execution == id(100)));
    assert_eq!(*table.phase(2), Phase::Failed { stage: Some(stage("Deploy")) });
    assert_eq!(table.execution(2).stages[&stage("Deploy")].status, StageStatus::Failed);
    let summary = table.execution(2).status_summary.clone().unwrap();
    assert!(summary.contains("no appspec.yml") && summary.contains(&id(1).to_string()), "{summary}");
    assert_eq!((table.inside("Deploy"), table.stage("Deploy").generation.0), (Some(id(100)), 3));
    assert!(table.stage("Deploy").inbound.enabled);

    // Its machine reports the end of the run to the gate, and what it evaluated once is not evaluated again.
    let answers = table.ask(2, "x", Some(&super::report("Deploy", 2, StageResult::Failed)));
    assert_eq!(answers["x"], GateAnswer::End { status: crate::ExecutionStatus::Failed });
    assert_eq!(settle(&mut table, FailureDecision::Rollback, Ok(1), &[]), Err(Rejected::Stale));

    table.ask(100, "r", None);
    let answers = table.finish(100, "Deploy", StageResult::Succeeded, "r2");
    assert!(matches!(answers["Source 3"], GateAnswer::RunStage { .. }), "no hold: the queue goes on");
    assert_eq!(table.live("Deploy").unwrap().revision_of, id(1));
    assert_eq!(*table.phase(2), Phase::Failed { stage: Some(stage("Deploy")) });
}

#[test]
fn without_a_target_the_stage_stays_failed_and_says_why() {
    for (decision, target, says) in [
        (FailureDecision::Rollback, Err("no earlier execution succeeded"), "No rollback: no earlier execution"),
        (FailureDecision::Stop("An approval was rejected".into()), Err(""), "An approval was rejected"),
    ] {
        let mut table = failing();
        let (answer, effects) = settle(&mut table, decision, target, &[]).unwrap();
        assert_eq!(answer, FailureAnswer::End);
        assert!(matches!(&effects[..], [Effect::AnswerGate { token, .. }] if token == "Source 3"));
        let summary = table.execution(2).status_summary.clone().unwrap();
        assert!(summary.contains(says), "{summary}");
        assert_eq!(table.inside("Deploy"), Some(id(3)));
        assert_eq!(table.live("Deploy").unwrap().deployed_by, id(1));
    }
}

#[test]
fn a_failed_rollback_is_not_rolled_back() {
    let mut table = failing();
    settle(&mut table, FailureDecision::Rollback, Ok(1), &[]).unwrap();
    table.ask(100, "r", None);
    let answers = table.finish(100, "Deploy", StageResult::Failed, "r2");
    assert_eq!(answers["r2"], GateAnswer::End { status: crate::ExecutionStatus::Failed });
    assert!(table.executions.values().filter(|row| row.rollback.is_some()).count() == 1);
}

#[test]
fn a_dead_execution_holds_nothing() {
    let close = |table: &mut Table, n: u128| {
        let changes =
            close_dead(&table.view(), &table.executions, id(n), "its machine died", &table.alarms, table.now());
        changes.map(|changes| table.answers(changes))
    };
    // Inside a stage: the next comes in.
    let mut table = failing();
    let answers = close(&mut table, 2).unwrap();
    assert!(answers.contains_key("Source 3"));
    assert_eq!(
        (table.phase(2), table.inside("Deploy")),
        (&Phase::Failed { stage: Some(stage("Deploy")) }, Some(id(3)))
    );
    assert_eq!(table.execution(2).stages[&stage("Deploy")].status, StageStatus::Failed);
    assert_eq!(close(&mut table, 2), Err(Rejected::AlreadyDone));
    // Waiting: its row goes.
    let mut table = failing();
    close(&mut table, 3).unwrap();
    assert!(table.waiting.is_empty());
    assert_eq!(*table.phase(3), Phase::Failed { stage: Some(stage("Deploy")) });
    // Before it asked for anything.
    let mut table = Table::new(ExecutionMode::Queued, 1);
    close(&mut table, 1).unwrap();
    assert_eq!(*table.phase(1), Phase::Failed { stage: None });
    // Asked to stop.
    let mut table = failing();
    table.request_stop(2);
    close(&mut table, 2).unwrap();
    assert_eq!((table.phase(2), table.inside("Deploy")), (&Phase::Stopped, Some(id(3))));
    // A rollback whose machine never started.
    let mut table = failing();
    table.roll_back(100, "Deploy", 1, Some(2), manual());
    close(&mut table, 100).unwrap();
    assert_eq!((table.phase(100), table.inside("Deploy")), (&Phase::Failed { stage: None }, None));
    assert!(!table.stage("Deploy").inbound.enabled, "the hold stays");
}
