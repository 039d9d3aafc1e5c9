use std::collections::BTreeMap;

use super::{at, execution, id, manual, stage, table::Table};
use crate::{
    ActionRun, ActionStatus, ConfigurationChange, Execution, ExecutionMode, ExpectedDuration, RollbackOutcome,
    RollbackPlan, StageDeclaration, StageOutcome, StageStatus, at_fault, expect_duration, preview_actions,
};

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// Executions 1 to 3 succeeded in `Deploy`; where asked, 4 is inside it.
fn deployed(inside: bool) -> Table {
    let mut table = Table::new(ExecutionMode::Queued, 4);
    (1..=3).for_each(|n| table.release(n, "Deploy"));
    if inside {
        table.release(4, "Source");
    }
    table
}

#[test]
fn a_plan_is_what_storing_the_decision_does() {
    for inside in [false, true] {
        for target in 1..=3 {
            let mut table = deployed(inside);
            let changes = table.decide_rollback(100, "Deploy", target, Some(3), manual()).unwrap();
            let plan = RollbackPlan::of(&table.view(), &stage("Deploy"), id(100), changes.clone()).unwrap();
            let clock = table.clock;
            table.store(changes).unwrap();
            assert_eq!(table.clock, clock);

            let stored = table.execution(100).clone();
            assert_eq!(Execution { version: 1, ..plan.execution }, stored);
            assert_eq!(stored.rollback.unwrap().target, id(target));
            assert_eq!(plan.fenced.map(|inside| inside.execution), inside.then(|| id(4)));
            let revoked: Vec<_> =
                table.successes("Deploy").into_iter().filter(|one| one.revoked_by.is_some()).collect();
            assert_eq!(plan.revoked.len(), revoked.len(), "{target}");
            assert!(plan.revoked.iter().all(|one| revoked.iter().any(|stored| stored.execution == one.execution)));
            assert_eq!(plan.holds, table.stage("Deploy").inbound.hold.is_some());
            assert!(plan.holds);
        }
    }
}

#[test]
fn a_rollback_and_its_decision_name_each_other() {
    let table = deployed(false);
    for (undone, about) in [(Some(3), id(3)), (None, id(100))] {
        let changes = table.decide_rollback(100, "Deploy", 1, undone, manual()).unwrap();
        let [decision] = &changes.decisions[..] else { panic!("{:?}", changes.decisions) };
        assert_eq!(decision.outcome, RollbackOutcome::Started { rollback: id(100), target: id(1) });
        assert_eq!((decision.execution, decision.undone, &decision.cause), (about, undone.map(id), &manual()));
        let mut concerned = vec![about, id(100)];
        concerned.dedup();
        assert_eq!(decision.concerns(), concerned);
    }
}

#[test]
fn at_fault_is_what_did_not_succeed_and_else_what_is_live() {
    let mut table = Table::new(ExecutionMode::Queued, 2);
    assert_eq!(at_fault(&table.stage("Deploy")), None);
    table.release(1, "Source");
    assert_eq!(at_fault(&table.stage("Deploy")), Some(id(1)), "it is inside");
    table.finish(1, "Deploy", crate::StageResult::Succeeded, "x");
    assert_eq!(at_fault(&table.stage("Deploy")), Some(id(1)), "it is live");
    table.release(2, "Deploy");
    table.roll_back(100, "Deploy", 1, Some(2), manual());
    assert_eq!(at_fault(&table.stage("Deploy")), Some(id(100)));
    table.ask(100, "r", None);
    table.finish(100, "Deploy", crate::StageResult::Succeeded, "r2");
    assert_eq!(at_fault(&table.stage("Deploy")), Some(id(1)), "a rollback's own success is its target's");
}

fn declared() -> StageDeclaration {
    let action = |name: &str, order: u16, parameters: &str| {
        serde_json::json!({
            "name": name, "runOrder": order, "configuration": {"UserParameters": parameters},
            "actionTypeId": {"category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1"},
        })
    };
    serde_json::from_value(serde_json::json!({
        "name": "Deploy",
        "actions": [
            action("Last", 2, "#{Src.missing}"),
            action("First", 1, "#{Src.version} #{codepipeline.PipelineExecutionId}"),
            action("Same", 1, "#{variables.colour}"),
        ],
    }))
    .unwrap()
}

/// The run of an action by execution 3, which is live.
fn run(action: &str, resolved: &[(&str, &str)]) -> ActionRun {
    serde_json::from_value(serde_json::json!({
        "id": uuid::Uuid::nil(), "pipeline": "shop", "execution": id(3), "pipelineVersion": 1, "stage": "Deploy",
        "action": action, "generation": 1, "status": ActionStatus::Succeeded, "startedAt": at(0), "updatedAt": at(0),
        "roleArn": "role", "resolvedConfiguration": map(resolved),
        "actionType": {"category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1"},
    }))
    .unwrap()
}

#[test]
fn actions_are_shown_in_order_with_what_would_change() {
    let mut target = execution(1, ExecutionMode::Queued);
    target.variables = map(&[("colour", "green")]);
    target.outputs = BTreeMap::from([("Src".to_owned(), map(&[("version", "v1")]))]);
    let live = [
        run("First", &[("UserParameters", &format!("v2 {}", id(3))), ("Old", "x")]),
        run("Same", &[("UserParameters", "green")]),
        run("Same", &[("UserParameters", "of an earlier attempt")]),
    ];
    let actions = preview_actions(&declared(), &target, &live);
    assert_eq!(actions.iter().map(|action| action.name.as_str()).collect::<Vec<_>>(), ["First", "Same", "Last"]);
    let [first, same, last] = &actions[..] else { unreachable!() };
    assert_eq!(first.resolved, Ok(map(&[("UserParameters", "v1 #{codepipeline.PipelineExecutionId}")])));
    let difference = |key: &str, live: Option<&str>, planned: Option<&str>| ConfigurationChange {
        key: key.to_owned(),
        live: live.map(str::to_owned),
        planned: planned.map(str::to_owned),
    };
    let (before, after) = (format!("v2 {}", id(3)), format!("v1 {}", id(3)));
    let expected = [difference("Old", Some("x"), None), difference("UserParameters", Some(&before), Some(&after))];
    assert_eq!(first.differences, expected);
    assert_eq!((&same.differences[..], same.compared_with), (&[][..], Some(id(3))));
    assert!(last.resolved.as_ref().is_err_and(|why| why.contains("#{Src.missing}")), "{last:?}");
    assert_eq!((last.compared_with, &last.differences[..]), (None, &[][..]));
}

#[test]
fn secrets_are_masked_and_their_change_is_told() {
    let mut declared = declared();
    for action in &mut declared.actions {
        action.secret_keys = vec!["UserParameters".to_owned()];
    }
    let mut target = execution(1, ExecutionMode::Queued);
    target.variables = map(&[("colour", "green")]);
    let actions = preview_actions(&declared, &target, &[run("Same", &[("UserParameters", "red")])]);
    let same = actions.iter().find(|action| action.name.as_str() == "Same").unwrap();
    let masked = map(&[("UserParameters", "****")]);
    assert_eq!((&same.configuration, &same.resolved), (&masked, &Ok(masked.clone())));
    let [change] = &same.differences[..] else { panic!("{same:?}") };
    assert_eq!((change.live.as_deref(), change.planned.as_deref()), (Some("****"), Some("****")));
}

#[test]
fn the_expected_duration_is_the_median_of_successes() {
    let took = |n: u128, status: StageStatus, seconds: i64| {
        let mut row = execution(n, ExecutionMode::Queued);
        let outcome = StageOutcome {
            status,
            fingerprint: String::new(),
            entered_at: at(10),
            left_at: Some(at(10 + seconds)),
            revoked_by: None,
            attempt: 1,
            retried_at: None,
            auto_retried: false,
            kept: Vec::new(),
        };
        row.stages.insert(stage("Deploy"), outcome);
        row
    };
    let rows = [
        took(1, StageStatus::Succeeded, 30),
        took(2, StageStatus::Failed, 1),
        took(3, StageStatus::Succeeded, 500),
        took(4, StageStatus::Succeeded, 20),
        execution(5, ExecutionMode::Queued),
    ];
    assert_eq!(expect_duration(&stage("Deploy"), &rows), Some(ExpectedDuration { seconds: 30, runs: 3 }));
    assert_eq!(expect_duration(&stage("Verify"), &rows), None);
}
