//! What is kept for the next rollbacks, and how shadow mode scores.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::{at, execution, id, manual, stage, stage_failed, table::Table};
use crate::{
    ArtifactLocation, ArtifactState, Changes, Effect, EventState, ExecutionMode, Kept, KeptArtifact, KeptChange,
    KeptTarget, PipelineName, RollbackCause, RollbackDecision, RollbackOutcome, ShadowConfirmation, ShadowVerdict,
    StageOutcome, StageStatus, StateChange, Success, events_of, failed_after, keep, look_again, score_shadow,
    worth_keeping,
};

fn shop() -> PipelineName {
    "shop".parse().unwrap()
}

fn success(n: u128, fingerprint: &str, revoked_by: Option<u128>) -> Success {
    Success {
        pipeline: shop(),
        stage: stage("Deploy"),
        execution: id(n),
        at: at(n as i64),
        fingerprint: fingerprint.into(),
        pipeline_version: 1,
        revoked_by: revoked_by.map(id),
        revoked_after: None,
        version: 1,
    }
}

#[test]
fn what_a_stage_goes_back_to_by_itself_is_worth_keeping_first() {
    let table = Table::new(ExecutionMode::Queued, 1);
    let mut index = crate::PipelineIndex::clone(&table.index);
    let mut deploy = index.stage(&stage("Deploy")).unwrap().1.clone();
    deploy.fingerprint = "now".into();
    let of = |index: &crate::PipelineIndex, successes: &[Success]| {
        let worth = worth_keeping(index, &deploy, successes);
        worth.into_iter().map(|id| id.0.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(of(&index, &[]), []);
    let mixed = [success(5, "now", Some(9)), success(4, "now", None), success(3, "old", None), success(2, "now", None)];
    assert_eq!(of(&index, &mixed), [4, 2, 3], "not what was taken back, and what was edited last");
    let mut far_back = [success(9, "now", Some(20)), success(8, "now", None), success(4, "now", None)];
    far_back[0].revoked_after = Some(at(4));
    assert_eq!(of(&index, &far_back), [4], "nor what the newest took back besides");
    let many: Vec<Success> = (1..=9).rev().map(|n| success(n, "now", None)).collect();
    assert_eq!(of(&index, &many), [9, 8, 7, 6, 5]);
    index.mode = ExecutionMode::Parallel;
    assert_eq!(of(&index, &many), []);
    index.mode = ExecutionMode::Queued;
    deploy.name = index.stages[0].name.clone();
    assert_eq!(worth_keeping(&index, &deploy, &many), [], "nothing goes back to a source");
}

fn target(n: u128, state: ArtifactState, since: i64) -> KeptTarget {
    let place = ArtifactLocation { bucket: "artifacts".into(), key: format!("app/{n}"), region: None };
    let artifact =
        KeptArtifact { name: "App".into(), function: None, at: Some(place), digest: None, state, since: at(since) };
    KeptTarget { execution: id(n), artifacts: vec![artifact] }
}

fn kept(before: Option<&Kept>, targets: Vec<KeptTarget>, second: i64) -> Kept {
    keep(before, (&shop(), &stage("Deploy")), targets, at(second))
}

/// States that are told, by execution, with the executions that are left.
fn told(before: Option<&Kept>, after: &Kept) -> Vec<(u128, EventState, u32)> {
    let change = KeptChange { before: before.cloned(), after: after.clone() };
    let changes = Changes { kept: vec![change], ..Changes::default() };
    let events = events_of(&changes, "eu-west-1", at(0)).unwrap();
    let of = |change: StateChange| match change {
        StateChange::Artifact(of) => (of.execution_id.0.as_u128(), of.state, of.ready_targets),
        other => panic!("{other:?}"),
    };
    events.into_iter().map(|event| of(event.change)).collect()
}

#[test]
fn what_is_kept_no_more_is_let_go_and_a_loss_is_told_once() {
    use ArtifactState::{Altered, Gone, Present, Unreadable};
    let first = kept(None, vec![target(1, Present, 10)], 10);
    assert_eq!((first.letting_go.len(), first.ready(), first.due), (0, 1, at(10) + SignedDuration::from_hours(24)));
    assert_eq!(told(None, &first), []);

    let second = kept(Some(&first), vec![target(3, Present, 20), target(2, Gone, 20), target(1, Present, 20)], 20);
    assert_eq!((second.due, second.ready()), (first.due, 2), "the day's look is taken when it was due");
    assert_eq!(second.targets[2].artifacts[0].since, at(10), "since it was found first");
    assert_eq!(told(Some(&first), &second), [(2, EventState::Gone, 2)]);
    assert_eq!(told(Some(&second), &second), []);

    let third = kept(Some(&second), vec![target(3, Present, 30), target(2, Present, 30)], 30);
    assert_eq!(third.letting_go, [ArtifactLocation { bucket: "artifacts".into(), key: "app/1".into(), region: None }]);
    assert_eq!(told(Some(&second), &third), [(2, EventState::Restored, 2)]);

    let later = look_again(&third, vec![target(3, Altered, 40), target(2, Altered, 40)], at(40));
    assert_eq!((later.letting_go.len(), later.due), (1, third.due));
    assert_eq!(told(Some(&third), &later), [(3, EventState::Altered, 0), (2, EventState::Altered, 0)]);
    let hidden = look_again(&third, vec![target(3, Unreadable, 40), target(2, Present, 40)], at(40));
    assert_eq!(told(Some(&third), &hidden), [(3, EventState::Unreadable, 1)], "what cannot be read is no way back");
    assert_eq!(told(Some(&hidden), &hidden), []);

    let day = SignedDuration::from_hours(24).as_secs();
    let next = kept(Some(&third), Vec::new(), day + 10);
    assert_eq!((next.letting_go.len(), next.due), (2, at(2 * day + 10)));
    assert_eq!(third.postponed(at(50)).due, at(50 + 3600));
}

#[test]
fn whatever_changes_what_a_stage_can_go_back_to_is_seen_to_afterwards() {
    let keeps = |effects: &[Effect]| {
        let of = effects.iter().filter_map(|effect| match effect {
            Effect::KeepArtifacts { stage, after, .. } => Some((stage.to_string(), after.0.as_u128())),
            _ => None,
        });
        of.collect::<Vec<_>>()
    };
    let mut table = Table::new(ExecutionMode::Queued, 6);
    (1..=3).for_each(|n| {
        table.release(n, "Verify");
    });
    let view = table.view();
    let newer: Vec<Success> = [3, 2].map(|n| success(n, "", None)).into();
    let order = crate::RollbackOrder {
        id: id(100),
        stage: &stage("Deploy"),
        target: table.execution(1),
        undone: Some(id(3)),
        cause: manual(),
        newer: &newer,
        more_since: None,
    };
    let changes = crate::start_rollback(&view, &table.executions, &order, at(50)).unwrap();
    assert_eq!(keeps(&changes.effects), [("Deploy".to_owned(), 100)]);
    let nothing_newer = crate::RollbackOrder { newer: &[], ..order };
    let changes = crate::start_rollback(&view, &table.executions, &nothing_newer, at(50)).unwrap();
    assert_eq!(keeps(&changes.effects), []);
}

fn decision(n: u128, cause: RollbackCause, outcome: RollbackOutcome) -> RollbackDecision {
    RollbackDecision {
        pipeline: shop(),
        stage: stage("Deploy"),
        at: at(1000),
        execution: id(n),
        cause,
        undone: Some(id(n)),
        outcome,
        evidence: None,
        series: Vec::new(),
    }
}

#[test]
fn shadow_mode_is_scored_by_what_became_known_afterwards() {
    use ShadowConfirmation as C;
    use ShadowVerdict as V;
    let alarm = || RollbackCause::Alarm { alarm_arn: "errors".into(), reason: String::new() };
    let shadowed = |n| decision(n, alarm(), RollbackOutcome::Shadowed { target: Some(id(1)) });
    let ended = |n, still_red| decision(n, alarm(), RollbackOutcome::ShadowEnded { still_red });
    let started =
        |rollback: u128, cause| decision(9, cause, RollbackOutcome::Started { rollback: id(rollback), target: id(1) });
    let decisions = [
        started(50, manual()),
        started(51, stage_failed()),
        shadowed(9),
        shadowed(8),
        ended(7, true),
        shadowed(7),
        ended(6, false),
        shadowed(6),
        shadowed(5),
    ];
    let successes = [
        success(9, "", Some(50)), // a person went back from it
        success(8, "", None),     // it failed later
        success(7, "", None),     // its alarm stayed red
        success(6, "", None),     // its alarm cleared
        success(5, "", None),     // nothing is known yet
        success(4, "", Some(50)), // a person went back past it, and nobody had said a word
        success(3, "", Some(51)), // taken back by itself
        success(2, "", None),     // it failed later, and nobody had said a word
        success(1, "", None),
    ];
    let score = |second| {
        let scores = score_shadow(&successes, &decisions, &BTreeSet::from([id(8), id(2)]), at(second));
        let one = |score: crate::ShadowScore| {
            (score.execution.0.as_u128(), score.verdict, score.confirmation, score.decisions.len())
        };
        scores.into_iter().map(one).collect::<Vec<_>>()
    };
    let expected = |fifth| {
        [
            (9, V::Confirmed, Some(C::RolledBackByPerson), 3),
            (8, V::Confirmed, Some(C::LaterStageFailed), 1),
            (7, V::Confirmed, Some(C::AlarmStayedRed), 2),
            (6, V::Unconfirmed, None, 2),
            (5, fifth, None, 1),
            (4, V::Missed, Some(C::RolledBackByPerson), 0),
        ]
    };
    assert_eq!(score(1001), expected(V::Open));
    assert_eq!(score(1000 + 3600), expected(V::Unconfirmed), "an hour after its watch it never will be");
}

#[test]
fn only_what_failed_after_the_stage_counts() {
    let mut row = execution(1, ExecutionMode::Queued);
    let outcome = |status, second| StageOutcome {
        status,
        fingerprint: String::new(),
        entered_at: at(second),
        left_at: None,
        revoked_by: None,
        attempt: 1,
        retried_at: None,
        auto_retried: false,
        kept: Vec::new(),
    };
    row.stages.insert(stage("Deploy"), outcome(StageStatus::Succeeded, 10));
    assert!(!failed_after(&row, &stage("Deploy")));
    assert!(!failed_after(&row, &stage("Verify")), "it was never there");
    row.stages.insert(stage("Verify"), outcome(StageStatus::Failed, 20));
    assert!(failed_after(&row, &stage("Deploy")));
    assert!(!failed_after(&row, &stage("Verify")));
}
