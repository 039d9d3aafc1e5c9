//! Revoked content: what is to blame, who is stopped for it, and who passes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{at, id, manual, stage, stage_failed, table::Table};
use crate::{
    ArtifactDigest, ContentId, Effect, ExecutionMode, ExecutionStatus, GateAnswer, Phase, RevokedContent,
    RollbackCause, RollbackOutcome, SourceRevision, StageResult, WatchRule, contents_of, culprit, enable_transition,
    release_hold,
};

const QUEUED: ExecutionMode = ExecutionMode::Queued;

fn alarm() -> RollbackCause {
    RollbackCause::Alarm { alarm_arn: "arn:aws:cloudwatch:eu-west-1:1:alarm:errors".into(), reason: "red".into() }
}

fn content(text: &str) -> ContentId {
    ContentId::named(text)
}

/// Gives execution `n` these contents, by action.
fn carry(table: &mut Table, n: u128, contents: &[(&str, &str)]) {
    let row = table.executions.get_mut(&id(n)).unwrap();
    row.contents = contents.iter().map(|(action, text)| (action.parse().unwrap(), content(text))).collect();
}

/// What a rollback by `cause` from execution 2 to execution 1, which carry these, revokes.
fn revokes(undone: &[(&str, &str)], target: &[(&str, &str)], cause: RollbackCause) -> Option<String> {
    let mut table = Table::new(QUEUED, 2);
    carry(&mut table, 1, target);
    carry(&mut table, 2, undone);
    (1..=2).for_each(|n| table.release(n, "Verify"));
    let changes = table.decide_rollback(100, "Deploy", 1, Some(2), cause).unwrap();
    let mut revoked = changes.revoked.into_iter().map(|revoked| revoked.content.to_string());
    let first = revoked.next();
    assert_eq!(revoked.next(), None, "one rollback, one verdict");
    first
}

#[test]
fn what_differs_is_to_blame_unless_the_stage_failed() {
    let all = |contents: &[&str]| contents_text(contents);
    for (undone, target, expected) in [
        (&[("App", "a2")][..], &[("App", "a1")][..], Some("a2".to_owned())),
        (&[("App", "a1")], &[("App", "a1")], None),
        (&[], &[("App", "a1")], None),
        (&[("App", "a2")], &[], Some("a2".into())),
        (&[("App", "a2"), ("Config", "c1")], &[("App", "a1"), ("Config", "c1")], Some("a2".into())),
        (&[("App", "a2"), ("Config", "c2")], &[("App", "a1"), ("Config", "c1")], Some(all(&["a2", "c2"]))),
        (
            &[("App", "a2"), ("Config", "c2"), ("Docs", "d1")],
            &[("App", "a1"), ("Config", "c1"), ("Docs", "d1")],
            Some(all(&["a2", "c2", "d1"])),
        ),
    ] {
        for cause in [manual(), alarm()] {
            assert_eq!(revokes(undone, target, cause), expected, "{undone:?} to {target:?}");
        }
        assert_eq!(revokes(undone, target, stage_failed()), None, "it may be flaky");
    }
}

#[test]
fn the_same_bytes_are_the_same_however_they_came() {
    let digest = |algorithm: &str, value: &str| ArtifactDigest { algorithm: algorithm.into(), value: value.into() };
    let of_bytes = |algorithm, value| ContentId::of_bytes(&digest(algorithm, value)).map(|id| id.to_string());
    let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(of_bytes("SHA256", empty), Some(format!("sha256:{hex}")));
    // Checksums of parts, other algorithms, and what is no checksum.
    for (algorithm, value) in
        [("SHA256", &*format!("{empty}-2")), ("CRC64NVME", empty), ("SHA256", ""), ("SHA256", "AAAA"), ("SHA256", "?")]
    {
        assert_eq!(of_bytes(algorithm, value), None, "{algorithm} {value}");
    }
}

#[test]
fn what_an_earlier_version_took_is_recognised_beside_what_this_one_takes() {
    let mut table = Table::new(QUEUED, 3);
    carry(&mut table, 1, &[("App", "etag 1"), ("Config", "etag c")]);
    carry(&mut table, 2, &[("App", "bytes 2"), ("Config", "bytes c")]);
    carry(&mut table, 3, &[("App", "bytes 1"), ("Config", "bytes c")]);
    for (n, etag) in [(2, "etag 2"), (3, "etag 1")] {
        let earlier = [("App", etag), ("Config", "etag c")];
        table.executions.get_mut(&id(n)).unwrap().earlier_contents =
            earlier.map(|(action, text)| (action.parse().unwrap(), content(text))).into();
    }
    let [old, bad, same] = [1, 2, 3].map(|n| table.executions[&id(n)].clone());
    let (revoked, actions) = culprit(&bad, &old).unwrap();
    assert_eq!((revoked.as_str(), actions), ("bytes 2", vec!["App".parse().unwrap()]), "the configuration is the same");
    assert_eq!(culprit(&same, &old), None, "taken before and after an upgrade");
    let all_of = |one: &str, other: &str| contents_text(&[one, other]);
    for known in ["etag 1".to_owned(), all_of("etag 1", "etag c"), "bytes 1".into(), all_of("bytes 1", "bytes c")] {
        assert!(contents_of(&same).contains(&content(&known)), "{known}");
    }
}

fn contents_text(contents: &[&str]) -> String {
    let contents: Vec<ContentId> = contents.iter().map(|text| content(text)).collect();
    ContentId::of_all(&contents).to_string()
}

#[test]
fn who_is_driven_out_is_to_blame_where_what_was_live_stays() {
    let mut table = Table::new(QUEUED, 2);
    carry(&mut table, 1, &[("App", "a1")]);
    carry(&mut table, 2, &[("App", "a2")]);
    table.release(1, "Verify");
    table.release(2, "Source");
    let changes = table.decide_rollback(100, "Deploy", 1, None, manual()).unwrap();
    assert_eq!(
        changes.revoked.iter().map(|one| (one.undone, one.content.as_str())).collect::<Vec<_>>(),
        [(id(2), "a2")]
    );
    // It may be the fix of what an alarm speaks against.
    let changes = table.decide_rollback(100, "Deploy", 1, Some(1), alarm()).unwrap();
    assert_eq!(changes.revoked, []);
}

/// Executions 1 and 2 succeeded everywhere, a rollback went from 2 to 1, and what 2 carried is looked up in all others.
fn rolled_back(executions: u128, policy: bool) -> Table {
    let mut table = Table::new(QUEUED, executions);
    let rule = WatchRule {
        rule: "errors".into(),
        alarm: "errors".into(),
        minutes: 5,
        data_points: 0,
        shadow: false,
        hold_until_other: policy,
        metrics: None,
    };
    table.index_of("Deploy").watches = vec![rule];
    carry(&mut table, 1, &[("App", "a1")]);
    carry(&mut table, 2, &[("App", "a2")]);
    (1..=2).for_each(|n| table.release(n, "Verify"));
    let changes = table.decide_rollback(100, "Deploy", 1, Some(2), alarm()).unwrap();
    let revoked = changes.revoked[0].clone();
    table.store(changes).unwrap();
    table.ask(100, "back", None);
    table.finish(100, "Deploy", StageResult::Succeeded, "done");
    for row in table.executions.values_mut().filter(|row| row.id > id(2) && row.rollback.is_none()) {
        row.contents = [("App".parse().unwrap(), revoked.content.clone())].into();
        row.revoked = Some(Box::new(revoked.clone()));
    }
    table
}

fn fix(table: &mut Table, n: u128) {
    let row = table.executions.get_mut(&id(n)).unwrap();
    row.contents = [("App".parse().unwrap(), content(&format!("fix {n}")))].into();
    row.revoked = None;
}

fn ended(status: ExecutionStatus) -> GateAnswer {
    GateAnswer::End { status }
}

#[test]
fn revoked_content_is_stopped_at_the_gate_of_every_stage_but_the_first_with_the_reason() {
    let mut table = rolled_back(3, false);
    let runs = table.ask(3, "a", None);
    assert!(matches!(runs["a"], GateAnswer::RunStage { .. }), "the first stage takes revisions: {runs:?}");
    // Stopped at once, though the stage is held: nobody has to lift the hold to see why.
    let answers = table.finish(3, "Source", StageResult::Succeeded, "b");
    assert_eq!(answers["b"], ended(ExecutionStatus::Stopped));
    let row = table.execution(3);
    assert_eq!((&row.phase, row.stages.contains_key(&stage("Deploy"))), (&Phase::Stopped, false));
    let why = row.status_summary.clone().unwrap();
    for part in ["App", "Deploy", "shop", "alarm errors", &id(100).to_string(), &id(2).to_string(), "ReinstateRevision"]
    {
        let said = why.contains(part) || part == "App";
        assert!(said, "{part} in {why}");
    }
    let stop = row.stop.clone().unwrap();
    assert_eq!(stop.by, "lastgood");
    assert!(stop.reason.unwrap().chars().count() <= 200);
    assert!(table.waiting.is_empty());
    assert_eq!(table.inside("Source"), None);
}

#[test]
fn other_content_and_rollbacks_pass_whatever_is_revoked() {
    let mut table = rolled_back(3, false);
    fix(&mut table, 3);
    table.release(3, "Source");
    assert_eq!(table.queue("Deploy"), [id(3)], "a person's hold holds it");
    let changes =
        release_hold(&table.view(), &table.executions, &stage("Deploy"), "ana", "fixed", &table.alarms, at(9));
    let answers = table.answers(changes.unwrap());
    assert_eq!((answers.len(), table.inside("Deploy")), (1, Some(id(3))));
    // A person goes back to what is revoked: that is told, and not stopped.
    let target = table.execution(2).clone();
    table.executions.get_mut(&id(2)).unwrap().revoked = Some(Box::new(RevokedContent {
        content: content("a2"),
        pipeline: target.pipeline.clone(),
        stage: stage("Deploy"),
        rollback: id(100),
        undone: id(2),
        cause: alarm(),
        revisions: Vec::new(),
        since: at(0),
    }));
    let changes = table.decide_rollback(101, "Deploy", 2, Some(100), manual()).unwrap();
    assert_eq!(changes.executions[&id(101)].contents, target.contents);
    table.store(changes).unwrap();
    let answers = table.ask(101, "back", None);
    assert!(matches!(answers["back"], GateAnswer::RunStage { .. }), "{answers:?}");
}

#[test]
fn who_waits_is_turned_away_when_the_hold_is_lifted_and_the_next_goes_in() {
    for turned_away in [1, 8, 9, 20] {
        let last = 3 + turned_away;
        let mut table = rolled_back(last, false);
        for n in 3..=last {
            fix(&mut table, n);
            table.release(n, "Source");
        }
        let queue: Vec<_> = (3..=last).map(id).collect();
        assert_eq!(table.queue("Deploy"), queue);
        let revoked = RevokedContent { content: content("x"), ..revoked_row() };
        for n in 3..last {
            table.executions.get_mut(&id(n)).unwrap().revoked = Some(Box::new(revoked.clone()));
        }
        let enabled =
            enable_transition(&table.view(), &table.executions, &stage("Deploy"), "ana", &table.alarms, at(9));
        let mut changes = enabled.unwrap();
        let mut decisions = 0;
        loop {
            decisions += 1;
            let later = changes.effects.iter().any(|effect| matches!(effect, Effect::AdmitWaiting { .. }));
            table.answers(changes);
            if !later {
                break;
            }
            changes =
                crate::admit_waiting(&table.view(), &table.executions, &stage("Deploy"), &table.alarms, at(9)).unwrap();
        }
        assert_eq!(decisions, turned_away.div_ceil(8), "{turned_away}");
        assert_eq!((table.inside("Deploy"), table.queue("Deploy")), (Some(id(last)), vec![]), "{turned_away}");
        assert!((3..last).all(|n| *table.phase(n) == Phase::Stopped));
    }
}

#[test]
fn who_waits_and_is_ended_by_a_late_call_is_told_under_the_token_it_waits_with() {
    let mut table = rolled_back(3, false);
    fix(&mut table, 3);
    table.release(3, "Source");
    assert_eq!(table.queue("Deploy"), vec![id(3)]);
    // Meanwhile its content is revoked, here or by another pipeline.
    let revoked = RevokedContent { content: content("x"), ..revoked_row() };
    table.executions.get_mut(&id(3)).unwrap().revoked = Some(Box::new(revoked.clone()));
    let told = table.finish(3, "Source", StageResult::Succeeded, "late");
    for token in ["Source 3", "late"] {
        assert_eq!(told.get(token), Some(&ended(ExecutionStatus::Stopped)), "{token}: {told:?}");
    }
    assert_eq!((table.phase(3), table.queue("Deploy")), (&Phase::Stopped, vec![]));
}

fn revoked_row() -> RevokedContent {
    RevokedContent {
        content: content("a2"),
        pipeline: "blog".parse().unwrap(),
        stage: stage("Prod"),
        rollback: id(100),
        undone: id(2),
        cause: manual(),
        revisions: Vec::new(),
        since: at(0),
    }
}

#[test]
fn by_policy_the_next_other_content_lifts_the_hold_and_nothing_else_does() {
    let mut table = rolled_back(5, true);
    assert!(table.stage("Deploy").inbound.hold.is_some_and(|hold| hold.lifts_for_other_content));
    table.release(3, "Source");
    assert_eq!(*table.phase(3), Phase::Stopped);
    // Of what is not known, a person has to say that it is something else.
    let row = table.executions.get_mut(&id(4)).unwrap();
    (row.contents, row.revoked) = (BTreeMap::new(), None);
    table.release(4, "Source");
    assert_eq!((table.inside("Deploy"), table.queue("Deploy")), (None, vec![id(4)]));
    fix(&mut table, 5);
    let changes = {
        table.ask(5, "a", None);
        let report = super::report("Source", table.generation(5, "Source"), StageResult::Succeeded);
        table.decide_gate(id(5), None, "b", Some(&report)).unwrap()
    };
    let [decision] = changes.decisions.as_slice() else { panic!("{:?}", changes.decisions) };
    assert!(
        matches!(&decision.outcome, RollbackOutcome::HoldReleased { comment, .. } if comment.contains("OtherRevision"))
    );
    assert_eq!(changes.holds_ended.len(), 1);
    table.answers(changes);
    assert!(table.stage("Deploy").inbound.enabled);
    // The way is open, and who came first goes first.
    assert_eq!((table.inside("Deploy"), table.queue("Deploy")), (Some(id(4)), vec![id(5)]));
}

#[test]
fn a_person_who_closes_the_way_means_everything() {
    let mut table = rolled_back(3, true);
    let changes = crate::disable_transition(&table.view(), &stage("Deploy"), "ana", "freeze", at(9));
    // The list of holds says what the stage says.
    let listed: Vec<bool> = changes.holds.iter().map(|held| held.hold.lifts_for_other_content).collect();
    assert_eq!(listed, [false]);
    table.store(changes).unwrap();
    fix(&mut table, 3);
    table.release(3, "Source");
    assert_eq!(table.queue("Deploy"), [id(3)]);
}

#[test]
fn who_goes_in_demands_that_its_content_is_not_revoked_meanwhile() {
    let mut table = Table::new(QUEUED, 1);
    carry(&mut table, 1, &[("App", "a1"), ("Config", "c1")]);
    let entered = table.decide_gate(id(1), None, "a", None).unwrap();
    assert!(entered.unrevoked.is_empty(), "the first stage deploys nothing");
    table.answers(entered);
    let report = super::report("Source", 1, StageResult::Succeeded);
    let entered = table.decide_gate(id(1), None, "b", Some(&report)).unwrap();
    let demanded: Vec<String> = entered.unrevoked.iter().map(ToString::to_string).collect();
    assert_eq!(demanded, ["a1".to_owned(), contents_text(&["a1", "c1"]), "c1".to_owned()]);
}

#[test]
fn a_retry_is_refused_with_the_reason() {
    let mut table = Table::new(QUEUED, 1);
    carry(&mut table, 1, &[("App", "a2")]);
    table.release(1, "Source");
    table.finish(1, "Deploy", StageResult::Failed, "b");
    let order = crate::RetryOrder {
        cause: crate::RetryCause::Asked,
        execution: id(1),
        stage: &stage("Deploy"),
        mode: crate::RetryMode::AllActions,
        succeeded: &[],
        by: "ana",
        alarms: &BTreeMap::new(),
    };
    let retried = crate::retry_stage(&table.view(), &table.executions, &order, at(9)).unwrap();
    assert_eq!(retried.unrevoked.len(), 1);
    table.executions.get_mut(&id(1)).unwrap().revoked = Some(Box::new(revoked_row()));
    let refused = crate::retry_stage(&table.view(), &table.executions, &order, at(9)).unwrap_err();
    assert!(refused.to_string().contains("stage Prod of pipeline blog"), "{refused}");
}

#[test]
fn content_is_recognised_by_what_there_is_to_recognise() {
    let id = |provider: &str, revision: &str, etag: &str, bucket: &str| {
        let run: crate::ActionRun = serde_json::from_value(serde_json::json!({
            "id": uuid::Uuid::nil(), "pipeline": "shop", "execution": uuid::Uuid::nil(), "pipelineVersion": 1,
            "stage": "Source", "action": "App", "generation": 1, "status": "Succeeded", "startedAt": at(0),
            "updatedAt": at(0), "roleArn": "r", "resolvedConfiguration": {"S3Bucket": bucket, "Token": etag},
            "secretKeys": ["Token"],
            "actionType": {"category": "Source", "owner": "AWS", "provider": provider, "version": "1"},
        }))
        .unwrap();
        let revision = SourceRevision {
            action_name: "App".parse().unwrap(),
            artifact_name: "App".into(),
            more_artifacts: Vec::new(),
            revision_id: revision.into(),
            revision_change_identifier: Some(etag.into()),
            revision_summary: None,
            created: None,
        };
        ContentId::of_source(&run, &revision).to_string()
    };
    let (sha, etag) = ("ab".repeat(32), "0f".repeat(16));
    assert_eq!(id("S3", "v1", &etag, "b"), format!("etag:{etag}"));
    assert_eq!(id("S3", "v2", &format!("{etag}-12"), "c"), format!("etag:{etag}-12"));
    assert_eq!(id("Own", &"c0ffee".repeat(7)[..40], &etag, "b"), format!("digest:{}", &"c0ffee".repeat(7)[..40]));
    assert_eq!(id("ECR", &format!("sha256:{sha}"), "x", "b"), format!("digest:sha256:{sha}"));
    // Numbers mean something only where they come from.
    let numbered = id("Own", "42", &etag, "b");
    assert!(numbered.starts_with("revision:") && numbered.len() <= 100);
    assert_eq!(numbered, id("Own", "42", "another secret", "b"));
    assert_ne!(numbered, id("Own", "42", &etag, "c"));
    assert_ne!(numbered, id("Other", "42", &etag, "b"));
    assert!(id("S3", "v1", "not an etag", "b").starts_with("revision:"));
}

proptest! {
    /// A fix may always pass: whatever a rollback revokes, it is nothing that the target carries, nor anything that has
    /// other content in place of each that differs.
    #[test]
    fn neither_the_target_nor_a_fix_is_ever_revoked(
        undone in proptest::collection::btree_map("[A-D]", 0_u8..4, 0..5),
        target in proptest::collection::btree_map("[A-D]", 0_u8..4, 0..5),
    ) {
        let row = |contents: &BTreeMap<String, u8>, fixed: &dyn Fn(&String) -> bool| {
            let mut table = Table::new(QUEUED, 1);
            let row = table.executions.get_mut(&id(1)).unwrap();
            let text = |action: &String, n: u8| if fixed(action) { format!("{action} fixed") } else { format!("{action} {n}") };
            row.contents = contents.iter().map(|(action, n)| (action.parse().unwrap(), content(&text(action, *n)))).collect();
            row.clone()
        };
        let [undone_row, target_row] = [&undone, &target].map(|contents| row(contents, &|_| false));
        let differs = |action: &String| undone.get(action) != target.get(action);
        match culprit(&undone_row, &target_row) {
            None => prop_assert!(undone.keys().all(|action| !differs(action))),
            Some((revoked, _)) => {
                prop_assert!(contents_of(&undone_row).contains(&revoked), "it is recognised when it comes again");
                prop_assert!(!contents_of(&target_row).contains(&revoked));
                // Any one of several that differ may be the fix.
                for fixed in undone.keys().filter(|action| differs(action)) {
                    prop_assert!(!contents_of(&row(&undone, &|action| action == fixed)).contains(&revoked));
                }
            }
        }
    }
}
