//! Executions that live through an update of their pipeline, and those that it ends.

use std::collections::BTreeMap;

use super::{id, manual, report, running_in, stage, table::Table};
use crate::{
    ActionStep, Effect, ExecutionMode, ExecutionStatus, FailureAnswer, FailureDecision, GateAnswer, PipelineIndex,
    RetryMode, StageFailure, StageResult, disable_transition, enable_transition, pipeline::tests::stage_index,
    settle_failure,
};

const PARALLEL: ExecutionMode = ExecutionMode::Parallel;

/// Each stage does something else, and the last is another one.
fn rework(index: &mut PipelineIndex) {
    let reworked = ["Source", "Deploy", "Later"].map(|name| {
        let mut stage = stage_index(name, &[("Other", 1)]);
        stage.fingerprint.push_str(", reworked");
        stage
    });
    index.stages = reworked.into();
}

fn remove_deploy(index: &mut PipelineIndex) {
    index.stages.retain(|index| index.name != stage("Deploy"));
}

/// The actions of each stage at first.
fn at_first() -> Vec<Vec<String>> {
    vec![vec!["Act".to_owned()], vec!["Check".to_owned()]]
}

fn reworked() -> Vec<Vec<String>> {
    vec![vec!["Other".to_owned()]]
}

fn names(groups: &[Vec<ActionStep>]) -> Vec<Vec<String>> {
    groups.iter().map(|group| group.iter().map(|step| step.name.to_string()).collect()).collect()
}

/// The actions that an answer has run in stage `name`.
fn actions(answers: &BTreeMap<String, GateAnswer>, token: &str, name: &str) -> Vec<Vec<String>> {
    match answers.get(token) {
        Some(GateAnswer::RunStage { stage: found, groups, .. }) if *found == stage(name) => names(groups),
        other => panic!("{token}: {other:?}"),
    }
}

fn ends(answers: &BTreeMap<String, GateAnswer>, token: &str, expected: ExecutionStatus) {
    assert_eq!(answers.get(token), Some(&GateAnswer::End { status: expected }), "{token}");
}

/// A table in which executions 1 and 2 began in PARALLEL mode before and after an update.
fn updated() -> Table {
    let mut table = Table::new(PARALLEL, 2);
    assert_eq!(actions(&table.ask(1, "1", None), "1", "Source"), at_first());
    table.update(rework);
    table.executions.get_mut(&id(2)).unwrap().pipeline_version = 2;
    assert_eq!(actions(&table.ask(2, "2", None), "2", "Source"), reworked());
    table
}

#[test]
fn a_parallel_execution_goes_by_the_version_that_it_began_in() {
    let mut table = updated();
    let old = table.finish(1, "Source", StageResult::Succeeded, "1");
    assert_eq!(actions(&old, "1", "Deploy"), at_first());
    assert_eq!(table.execution(1).stages[&stage("Deploy")].fingerprint, "fingerprint of Deploy");
    let old = table.finish(1, "Deploy", StageResult::Succeeded, "1");
    assert_eq!((actions(&old, "1", "Verify"), table.phase(1)), (at_first(), &running_in("Verify")));
    ends(&table.finish(1, "Verify", StageResult::Succeeded, "1"), "1", ExecutionStatus::Succeeded);

    let new = table.finish(2, "Source", StageResult::Succeeded, "2");
    assert_eq!(actions(&new, "2", "Deploy"), reworked());
    let new = table.finish(2, "Deploy", StageResult::Succeeded, "2");
    assert_eq!(actions(&new, "2", "Later"), reworked());
}

#[test]
fn those_who_wait_are_let_in_each_by_its_own_version() {
    let mut table = updated();
    let changes = disable_transition(&table.view(), &stage("Deploy"), "ana", "no", table.now());
    table.answers(changes);
    for n in [1, 2] {
        assert!(table.finish(n, "Source", StageResult::Succeeded, &format!("{n} waits")).is_empty());
    }
    let (view, alarms) = (table.view(), BTreeMap::new());
    let changes = enable_transition(&view, &table.executions, &stage("Deploy"), "ana", &alarms, table.now());
    let answers = table.answers(changes.unwrap());
    assert_eq!(actions(&answers, "1 waits", "Deploy"), at_first());
    assert_eq!(actions(&answers, "2 waits", "Deploy"), reworked());
}

#[test]
fn a_retry_of_a_parallel_stage_runs_what_failed() {
    let table = updated();
    for (n, expected) in [(1, at_first()), (2, reworked())] {
        let source = stage("Source");
        let failure = StageFailure {
            execution: id(n),
            stage: &source,
            generation: table.execution(n).generation_in(&table.stage("Source")),
            summary: "It failed.".to_owned(),
            succeeded: &[],
            decision: FailureDecision::Retry(RetryMode::AllActions),
            target: Err(String::new()),
            gate: None,
            newer: &[],
            rollback_id: id(100),
            alarms: &table.alarms,
        };
        let (answer, _) = settle_failure(&table.view(), &table.executions, &failure, table.now()).unwrap();
        let FailureAnswer::Retry { groups, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(names(&groups), expected, "{n}");
    }
}

#[test]
fn an_update_ends_a_rollback_where_its_stage_does_something_else() {
    type Edit = fn(&mut PipelineIndex);
    let edits: [(Edit, ExecutionStatus); 3] = [
        (|index| index.stages[0].fingerprint.push('+'), ExecutionStatus::Succeeded),
        (rework, ExecutionStatus::Cancelled),
        (remove_deploy, ExecutionStatus::Cancelled),
    ];
    for (edit, expected) in edits {
        for has_entered in [true, false] {
            let mut table = Table::new(ExecutionMode::Superseded, 2);
            (1..=2).for_each(|n| table.release(n, "Deploy"));
            table.roll_back(100, "Deploy", 1, Some(2), manual());
            if has_entered {
                table.ask(100, "enters", None);
            }
            table.update(edit);
            if !has_entered {
                table.ask(100, "ends", None);
            }
            // Whatever was begun before ends first.
            let mut answers = BTreeMap::new();
            if *table.phase(100) == running_in("Deploy") {
                answers = table.finish(100, "Deploy", StageResult::Succeeded, "ends");
            }
            let shown = table.phase(100).status();
            assert_eq!((shown, table.inside("Deploy")), (expected, None), "entered: {has_entered}");
            if has_entered {
                ends(&answers, "ends", expected);
            }
        }
    }
}

#[test]
fn what_an_execution_has_begun_and_nobody_ended_ends_with_it() {
    for (status, is_given_up) in [(StageResult::Failed, true), (StageResult::Succeeded, false)] {
        let mut table = Table::new(ExecutionMode::Queued, 1);
        table.release(1, "Source");
        table.update(remove_deploy);
        let finished = report("Deploy", table.generation(1, "Deploy"), status);
        let changes = table.decide_gate(id(1), None, "x", Some(&finished)).unwrap();
        let gives_up = |effect: &Effect| matches!(effect, Effect::AbandonRuns { execution, .. } if *execution == id(1));
        assert_eq!(changes.effects.iter().any(gives_up), is_given_up, "{status:?}");
        ends(&table.answers(changes), "x", ExecutionStatus::Cancelled);
        assert_eq!(table.inside("Deploy"), None);
    }
}

#[test]
fn a_stage_that_was_taken_away_runs_to_its_end_for_whoever_is_inside() {
    let mut table = Table::new(ExecutionMode::Queued, 1);
    table.ask(1, "a", None);
    let first = table.finish(1, "Source", StageResult::Succeeded, "b");
    table.update(remove_deploy);
    let again = report("Source", table.generation(1, "Source"), StageResult::Succeeded);
    assert_eq!(table.ask(1, "b", Some(&again)), first, "the answer that may have been lost");
    assert_eq!(table.inside("Deploy"), Some(id(1)));
}
