use jiff::Timestamp;
use proptest::prelude::*;

use super::{at, execution, id, manual, running_in, stage, stage_failed, table::Table, waiting_before};
use crate::LookedUp;
use crate::{
    ArtifactLocation, Choice, Execution, ExecutionId, ExecutionMode, ExecutionStatus, ExecutionType, FailedGate,
    GateAnswer, Ineligible, Phase, Rejected, RollbackCause, SourceRevision, StageResult, StageStatus, Success,
    TriggerType, choose_automatic, ineligible_because, pipeline::tests::stage_index,
};

fn alarm(reason: &str) -> RollbackCause {
    RollbackCause::Alarm {
        alarm_arn: "arn:aws:cloudwatch:eu-central-1:111122223333:alarm:Errors_5xx".into(),
        reason: reason.into(),
    }
}

/// Executions 1 to 3 succeeded in `Deploy`; 4 waits before it, 5 is in `Source`.
fn deployed() -> Table {
    let mut table = Table::new(ExecutionMode::Queued, 6);
    (1..=3).for_each(|n| {
        table.release(n, "Verify");
    });
    table
}

#[test]
fn a_rollback_takes_the_stage_before_those_who_wait_and_ends_after_it() {
    let mut table = deployed();
    table.release(4, "Source");
    table.release(5, "Source");
    assert_eq!((table.inside("Deploy"), table.queue("Deploy")), (Some(id(4)), vec![id(5)]));
    let generation = table.stage("Deploy").generation.0;
    table.roll_back(100, "Deploy", 2, Some(3), manual());
    assert_eq!((table.inside("Deploy"), table.stage("Deploy").generation.0), (Some(id(100)), generation + 1));
    assert_eq!(*table.phase(4), Phase::Cancelled);
    assert_eq!(table.execution(4).stages[&stage("Deploy")].status, StageStatus::Cancelled);
    assert_eq!(*table.phase(5), waiting_before("Deploy"));

    // Who was fenced ends, whatever it reports.
    let late = super::report("Deploy", generation, StageResult::Succeeded);
    let rows = format!("{:?}{:?}", table.stages, table.executions);
    let answers = table.ask(4, "late", Some(&late));
    assert_eq!(answers["late"], GateAnswer::End { status: ExecutionStatus::Cancelled });
    assert_eq!(format!("{:?}{:?}", table.stages, table.executions), rows);

    let asked = table.ask(100, "r", None);
    let [GateAnswer::RunStage { entry_condition: false, success_condition: false, .. }] =
        asked.values().collect::<Vec<_>>()[..]
    else {
        panic!("{asked:?}")
    };
    assert_eq!(table.ask(100, "r", None), asked, "asked twice");
    let answers = table.finish(100, "Deploy", StageResult::Succeeded, "r2");
    assert_eq!(answers["r2"], GateAnswer::End { status: ExecutionStatus::Succeeded });
    assert_eq!(answers.len(), 1, "the hold keeps execution 5 out");
    assert_eq!(table.live("Deploy").unwrap().revision_of, id(2));
    assert_eq!(table.live("Deploy").unwrap().deployed_by, id(100));
    assert_eq!(table.live("Verify").unwrap().deployed_by, id(3), "later stages are untouched");
    assert_eq!(table.successes("Deploy").len(), 3, "a rollback is no target");
    assert!(table.watches.is_empty());
}

#[test]
fn conditions_that_would_block_the_cure_are_skipped() {
    let mut table = Table::new(ExecutionMode::Superseded, 1);
    for name in ["Deploy", "Verify"] {
        table.index_of(name).has_entry_condition = true;
        table.index_of(name).has_success_condition = true;
    }
    table.release(1, "Source");
    let answers = table.finish(1, "Deploy", StageResult::Succeeded, "x");
    assert!(matches!(answers["x"], GateAnswer::RunStage { entry_condition: true, success_condition: true, .. }));
    table.finish(1, "Verify", StageResult::Succeeded, "y");
    table.roll_back(100, "Deploy", 1, None, manual());
    let answers = table.ask(100, "r", None);
    assert!(matches!(answers["r"], GateAnswer::RunStage { entry_condition: false, success_condition: false, .. }));
}

#[test]
fn a_hold_follows_an_alarm_or_a_person_but_not_a_failed_stage() {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!@ ().*?-".contains(c);
    let long = RollbackCause::Alarm { alarm_arn: format!("arn:{}", "é_".repeat(400)), reason: String::new() };
    for (cause, held, says) in [
        (manual(), true, "manual rollback"),
        (alarm("red"), true, "alarm Errors-5xx"),
        (long, true, "alarm ----"),
        (stage_failed(), false, ""),
        (RollbackCause::StageFailed { gate: Some(gate("red")) }, false, ""),
    ] {
        let mut table = deployed();
        table.roll_back(100, "Deploy", 1, Some(3), cause.clone());
        let inbound = table.stage("Deploy").inbound;
        assert_eq!((inbound.enabled, inbound.hold.is_some()), (!held, held), "{cause:?}");
        assert_eq!(inbound.disabled_reason.is_some(), held);
        let reason = inbound.disabled_reason.unwrap_or_default();
        assert!(reason.contains(says) && reason.chars().count() <= 300 && reason.chars().all(allowed), "{reason}");
    }
}

#[test]
fn exactly_what_is_newer_than_the_target_is_taken_back() {
    for (target, taken) in [(3, vec![]), (2, vec![3]), (1, vec![2, 3])] {
        let mut table = deployed();
        table.roll_back(100, "Deploy", target, Some(3), manual());
        for n in 1..=3 {
            let expected = taken.contains(&n).then(|| id(100));
            assert_eq!(table.execution(n).stages[&stage("Deploy")].revoked_by, expected, "{target} {n}");
            assert_eq!(table.execution(n).stages[&stage("Verify")].revoked_by, None);
            let success = table.successes("Deploy").into_iter().find(|success| success.execution == id(n)).unwrap();
            assert_eq!(success.revoked_by, expected, "{target} {n}");
        }
        assert!(table.successes("Verify").iter().all(|success| success.revoked_by.is_none()));
    }
}

#[test]
fn what_was_taken_back_stays_taken_back_by_the_first_rollback() {
    let mut table = deployed();
    table.roll_back(100, "Deploy", 2, Some(3), manual());
    table.ask(100, "r", None);
    table.finish(100, "Deploy", StageResult::Succeeded, "r2");
    table.roll_back(101, "Deploy", 1, Some(100), manual());
    assert_eq!(table.execution(3).stages[&stage("Deploy")].revoked_by, Some(id(100)));
    assert_eq!(table.execution(2).stages[&stage("Deploy")].revoked_by, Some(id(101)));
}

#[test]
fn one_rollback_at_a_time() {
    let mut table = deployed();
    table.roll_back(100, "Deploy", 2, Some(3), manual());
    for cause in [manual(), alarm("red")] {
        assert_eq!(table.decide_rollback(101, "Deploy", 1, Some(3), cause.clone()), Err(Rejected::AlreadyDone));
        table.ask(100, "r", None);
    }
    assert!(table.decide_rollback(101, "Verify", 1, Some(3), manual()).is_ok(), "another stage is another matter");
    table.finish(100, "Deploy", StageResult::Failed, "r2");
    assert!(table.decide_rollback(101, "Deploy", 1, Some(3), manual()).is_ok());
}

#[test]
fn a_rollback_carries_what_its_target_carried() {
    let mut table = deployed();
    let target = table.executions.get_mut(&id(2)).unwrap();
    target.variables.insert("Env".into(), "prod".into());
    target.outputs.insert("Src".into(), [("VersionId".to_owned(), "v2".to_owned())].into());
    target
        .artifacts
        .insert("App".into(), ArtifactLocation { bucket: "artifacts".into(), key: "app/2".into(), region: None });
    target.revisions.push(SourceRevision {
        action_name: "App".parse().unwrap(),
        artifact_name: "App".into(),
        more_artifacts: Vec::new(),
        revision_id: "v2".into(),
        revision_change_identifier: None,
        revision_summary: Some("build 2".into()),
        created: None,
    });
    let target = target.clone();
    table.index.pipeline_version = 9;
    table.roll_back(100, "Deploy", 2, Some(3), manual());
    let row = table.execution(100);
    assert_eq!((row.execution_type, row.pipeline_version), (ExecutionType::Rollback, 9));
    assert_eq!((&row.variables, &row.outputs), (&target.variables, &target.outputs));
    assert_eq!((&row.artifacts, &row.revisions), (&target.artifacts, &target.revisions));
    assert!(row.stages.is_empty() && row.pins.is_empty() && row.attempt == 1);
    let of = row.rollback.as_ref().unwrap();
    assert_eq!((of.target, of.undone, &of.stage), (id(2), Some(id(3)), &stage("Deploy")));
    assert_eq!(row.machine_name().len(), 38);
}

#[test]
fn an_update_ends_no_rollback_unless_its_stage_is_gone() {
    let mut table = deployed();
    table.roll_back(100, "Deploy", 2, Some(3), manual());
    table.index.pipeline_version = 2;
    table.ask(100, "r", None);
    assert_eq!(*table.phase(100), running_in("Deploy"));
    table.finish(100, "Deploy", StageResult::Succeeded, "r2");
    assert_eq!(*table.phase(100), Phase::Succeeded);

    table.roll_back(101, "Deploy", 1, Some(100), manual());
    table.index.stages.retain(|index| index.name != stage("Deploy"));
    let answers = table.ask(101, "q", None);
    assert_eq!(answers["q"], GateAnswer::End { status: ExecutionStatus::Cancelled });
    assert_eq!(table.inside("Deploy"), None);
}

#[test]
fn the_trigger_is_codepipelines() {
    let detail = |cause: RollbackCause| {
        let mut table = deployed();
        table.roll_back(100, "Deploy", 2, Some(3), cause);
        let trigger = table.execution(100).trigger.clone();
        (trigger.trigger_type, trigger.trigger_detail.unwrap())
    };
    let undone = id(3).to_string();
    assert_eq!(
        detail(manual()),
        (TriggerType::ManualRollback, "arn:aws:sts::111122223333:assumed-role/oncall/ana".into())
    );
    assert_eq!(
        detail(stage_failed()),
        (TriggerType::AutomatedRollback, format!(r#"{{"FailedPipelineExecutionId":"{undone}"}}"#))
    );
    let (kind, json) = detail(alarm("5 > 1"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((kind, &json["FailedPipelineExecutionId"]), (TriggerType::AutomatedRollback, &undone.into()));
    assert_eq!((&json["AlarmArn"], &json["Reason"]), (&arn(&alarm("")).into(), &"5 > 1".into()));
    let blocked = detail(RollbackCause::StageFailed { gate: Some(gate("5 > 1")) });
    assert_eq!(blocked, detail(alarm("5 > 1")), "an alarm that failed the stage is told as one that was watched");
    assert_eq!(detail(RollbackCause::by(&"x".repeat(3_000))).1.len(), 1_024);
}

fn gate(reason: &str) -> FailedGate {
    FailedGate { alarm_arn: arn(&alarm("")), reason: reason.into() }
}

#[test]
fn a_failed_stage_of_an_earlier_version_names_no_alarm() {
    let read: RollbackCause = serde_json::from_str(r#"{"cause":"StageFailed"}"#).unwrap();
    assert_eq!(read, stage_failed());
    assert_eq!(serde_json::to_string(&stage_failed()).unwrap(), r#"{"cause":"StageFailed"}"#);
}

fn arn(cause: &RollbackCause) -> String {
    match cause {
        RollbackCause::Alarm { alarm_arn, .. } => alarm_arn.clone(),
        _ => String::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_alarm_makes_the_trigger_too_long_or_unreadable(
        name in "[ -~]{1,255}",
        long in any::<bool>(),
        text in prop_oneof!["[\\x00-\\x1f\"\\\\]{0,60}", "\\PC{0,60}", ".{0,60}"],
    ) {
        let alarm_arn = name.repeat(if long { 9 } else { 1 });
        let reason = text.repeat(40);
        let target = deployed();
        let cause = RollbackCause::Alarm { alarm_arn: alarm_arn.clone(), reason: reason.clone() };
        let changes = target.decide_rollback(100, "Deploy", 2, Some(3), cause).unwrap();
        let detail = changes.executions[&id(100)].trigger.trigger_detail.clone().unwrap();
        prop_assert!(detail.chars().count() <= 1_024, "{}", detail.chars().count());
        let json: serde_json::Value = serde_json::from_str(&detail).unwrap();
        prop_assert_eq!(&json["FailedPipelineExecutionId"], &id(3).to_string());
        let (arn, why) = (json["AlarmArn"].as_str().unwrap(), json["Reason"].as_str().unwrap());
        prop_assert!(alarm_arn.starts_with(arn) && reason.starts_with(why));
        // Nothing is cut that had room.
        prop_assert!(why == reason || detail.chars().count() > 1_018);
    }

    #[test]
    fn the_automatic_choice_is_the_newest_that_may_be(
        rows in proptest::collection::vec((any::<bool>(), any::<bool>()), 0..8),
        undone in 0..10_u128,
    ) {
        let deploy = stage_index("Deploy", &[("Act", 1)]);
        let successes: Vec<Success> = rows.iter().enumerate().map(|(n, (revoked, changed))| Success {
            pipeline: "shop".parse().unwrap(),
            stage: stage("Deploy"),
            execution: id(n as u128),
            at: at(100 - n as i64),
            fingerprint: if *changed { "other".into() } else { deploy.fingerprint.clone() },
            pipeline_version: 1,
            revoked_by: revoked.then(|| id(50)),
            revoked_after: None,
            version: 1,
        }).collect();
        let chosen: Vec<_> = choose_automatic(&successes, &deploy, id(undone)).map(|one| one.execution).collect();
        let is_older = |n: u128| undone >= rows.len() as u128 || n > undone;
        let expected: Vec<_> = rows.iter().enumerate()
            .filter(|(n, row)| is_older(*n as u128) && **row == (false, false))
            .map(|(n, _)| id(n as u128))
            .collect();
        prop_assert_eq!(chosen, expected);
    }
}

#[test]
fn what_failed_goes_back_to_the_newest_success_whenever_that_was_started() {
    // Execution 2 overtook execution 1 on the way to the stage, and execution 1 then failed in it.
    let mut table = Table::new(ExecutionMode::Queued, 2);
    table.release(2, "Verify");
    let successes = table.successes("Deploy");
    let deploy = table.index_of("Deploy").clone();
    let chosen: Vec<_> = choose_automatic(&successes, &deploy, id(1)).map(|one| one.execution).collect();
    assert_eq!(chosen, [id(2)]);
}

#[test]
fn what_the_newest_takes_back_besides_is_no_target() {
    let deploy = stage_index("Deploy", &[("Act", 1)]);
    let success = |n: u128| Success {
        pipeline: "shop".parse().unwrap(),
        stage: stage("Deploy"),
        execution: id(n),
        at: at(i64::try_from(n).unwrap()),
        fingerprint: deploy.fingerprint.clone(),
        pipeline_version: 1,
        revoked_by: None,
        revoked_after: None,
        version: 1,
    };
    let chosen = |marks: &[(u128, i64)], undone| -> Vec<u128> {
        let mut successes: Vec<Success> = (1..=9).rev().map(success).collect();
        for (n, since) in marks {
            let marked = successes.iter_mut().find(|success| success.execution == id(*n)).unwrap();
            (marked.revoked_by, marked.revoked_after) = (Some(id(50)), Some(at(*since)));
        }
        let chosen: Vec<ExecutionId> =
            choose_automatic(&successes, &deploy, id(undone)).map(|one| one.execution).collect();
        (1..=9).rev().filter(|n| chosen.contains(&id(*n))).collect()
    };
    assert_eq!(chosen(&[(6, 2)], 10), [9, 8, 7, 2, 1]);
    assert_eq!(chosen(&[(6, 2)], 9), [8, 7, 2, 1]);
    assert_eq!(chosen(&[(6, 2)], 5), [2, 1], "also where what is undone is older than the mark");
    assert_eq!(chosen(&[(8, 5), (6, 2)], 10), [9, 2, 1], "one in the other");
    assert_eq!(chosen(&[(8, 6), (4, 2)], 10), [9, 6, 5, 2, 1], "one after the other");
}

#[test]
fn a_rollback_over_more_than_it_can_mark_says_so_with_the_newest() {
    let mut table = Table::new(ExecutionMode::Queued, 4);
    for n in 1..=4 {
        table.release(n, "Verify");
    }
    let successes = table.successes("Deploy");
    let marks = |newer: &[Success]| -> Vec<(ExecutionId, Option<ExecutionId>, Option<Timestamp>)> {
        let order = crate::RollbackOrder {
            id: id(100),
            stage: &stage("Deploy"),
            target: table.execution(1),
            undone: Some(id(4)),
            cause: manual(),
            newer,
            more_since: Some(at(1)),
        };
        let changes = crate::start_rollback(&table.view(), &table.executions, &order, at(500)).unwrap();
        changes.successes.iter().map(|one| (one.execution, one.revoked_by, one.revoked_after)).collect()
    };
    assert_eq!(marks(&successes[..2]), [(id(4), Some(id(100)), Some(at(1))), (id(3), Some(id(100)), None)]);
    // Where all that it can mark was taken back before, by a rollback that went less far.
    let before: Vec<Success> = successes[..2]
        .iter()
        .map(|one| Success { revoked_by: Some(id(99)), revoked_after: Some(at(2)), ..one.clone() })
        .collect();
    assert_eq!(marks(&before), [(id(4), Some(id(99)), Some(at(1)))]);
}

#[test]
fn every_reason_against_a_target_is_told() {
    type Change = fn(&mut Table, &mut Execution);
    type Case = (&'static str, Change, &'static [&'static str], Choice, Vec<Ineligible>);
    let cases: [Case; 10] = [
        ("eligible", |_, _| {}, &[], Choice::Automatic, vec![]),
        (
            "parallel",
            |table, _| table.index.mode = ExecutionMode::Parallel,
            &[],
            Choice::Manual,
            vec![Ineligible::ParallelMode],
        ),
        ("source", |table, _| drop(table.index.stages.remove(0)), &[], Choice::Manual, vec![Ineligible::SourceStage]),
        (
            "never entered",
            |_, row| row.stages.clear(),
            &[],
            Choice::Manual,
            vec![Ineligible::NotSucceeded { status: None }],
        ),
        (
            "skipped",
            |_, row| set(row, StageStatus::Skipped),
            &[],
            Choice::Manual,
            vec![Ineligible::NotSucceeded { status: Some(StageStatus::Skipped) }],
        ),
        (
            "changed",
            |table, _| {
                table.index.pipeline_version = 4;
                table.index_of("Deploy").fingerprint = "new".into();
            },
            &[],
            Choice::Manual,
            vec![Ineligible::StageChanged { started_in: 1, current: 4, fields: Vec::new() }],
        ),
        (
            "changed, and forced",
            |table, _| table.index_of("Deploy").fingerprint = "new".into(),
            &[],
            Choice::Forced,
            vec![],
        ),
        ("revoked", |_, row| revoke(row), &[], Choice::Automatic, vec![Ineligible::Revoked { by: id(50) }]),
        ("revoked, but a person may", |_, row| revoke(row), &[], Choice::Manual, vec![]),
        (
            "artifacts",
            |_, row| {
                row.artifacts
                    .insert("App".into(), ArtifactLocation { bucket: "b".into(), key: "k".into(), region: None });
            },
            &["App", "Lost"],
            Choice::Manual,
            vec![
                Ineligible::ArtifactGone { artifact: "App".into(), location: "s3://b/k".into() },
                Ineligible::ArtifactGone { artifact: "Lost".into(), location: "its place".into() },
            ],
        ),
    ];
    for (name, change, gone, choice, expected) in cases {
        let mut table = deployed();
        let mut row = table.execution(2).clone();
        change(&mut table, &mut row);
        let deploy = table.index_of("Deploy").clone();
        let gone: Vec<String> = gone.iter().map(|gone| (*gone).to_owned()).collect();
        assert_eq!(
            ineligible_because(&table.index, &deploy, &row, &LookedUp { gone, ..LookedUp::default() }, choice),
            expected,
            "{name}"
        );
    }
    let (table, deploy) = (deployed(), deployed().index_of("Deploy").clone());
    let hidden = LookedUp { unreadable: vec![("App".into(), "access denied".into())], ..LookedUp::default() };
    for choice in [Choice::Manual, Choice::Forced, Choice::Automatic] {
        let reasons = ineligible_because(&table.index, &deploy, table.execution(2), &hidden, choice);
        let told: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["Artifact App at its place cannot be read: access denied."], "{choice:?}");
    }
    let skipped = LookedUp { skipped_by: Some(id(9)), ..LookedUp::default() };
    for (choice, expected) in [
        (Choice::Manual, vec![Ineligible::StageSkipped { by: id(9) }]),
        (Choice::Forced, vec![]),
        (Choice::Automatic, vec![]),
    ] {
        let reasons = ineligible_because(&table.index, &deploy, table.execution(2), &skipped, choice);
        assert_eq!(reasons, expected, "{choice:?}");
    }
    let changed = |fields: &[&str]| {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        Ineligible::StageChanged { started_in: 1, current: 4, fields }.to_string()
    };
    let told = "The stage's actions were changed since: it started in version 1, current is 4.";
    assert_eq!(changed(&[]), told);
    assert_eq!(changed(&["Site.runOrder"]), format!("{told} Changed: Site.runOrder."));
    assert_eq!(changed(&["a"; 5]), format!("{told} Changed: a, a, a, a, a."));
    assert_eq!(changed(&["a"; 7]), format!("{told} Changed: a, a, a, a, a and 2 more."));
    let mut table = deployed();
    table.index.pipeline_version = 7;
    let deploy = table.index_of("Deploy").clone();
    let reasons =
        |row: &Execution| ineligible_because(&table.index, &deploy, row, &LookedUp::default(), Choice::Automatic);
    assert_eq!(reasons(table.execution(2)), [], "edits elsewhere do not matter");
    assert_eq!(reasons(&execution(9, ExecutionMode::Queued)), [Ineligible::NotSucceeded { status: None }]);
    table.roll_back(100, "Deploy", 2, Some(3), manual());
    let reasons = ineligible_because(&table.index, &deploy, table.execution(100), &LookedUp::default(), Choice::Manual);
    assert_eq!(reasons[0], Ineligible::RollbackExecution { target: id(2) });
}

fn set(row: &mut Execution, status: StageStatus) {
    row.stages.get_mut(&stage("Deploy")).unwrap().status = status;
}

fn revoke(row: &mut Execution) {
    row.stages.get_mut(&stage("Deploy")).unwrap().revoked_by = Some(id(50));
}
