use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::{Generation, WatchPurpose};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn id(n: u128) -> ExecutionId {
    ExecutionId(uuid::Uuid::from_u128(n))
}

fn red(since: i64) -> AlarmChange {
    AlarmChange { arn: "arn:red".into(), state: AlarmState::Alarm, since: at(since), reason: "5 errors".into() }
}

/// The deploy of execution `n` of `pipeline` to `Prod`, which began at `from` and is watched for an hour.
fn suspect(pipeline: &str, n: u128, from: i64) -> WatchedDeploy {
    let watch = Watch {
        alarm_arn: "arn:red".into(),
        pipeline: pipeline.parse().expect("a name"),
        stage: "Prod".parse().expect("a name"),
        execution: id(n),
        rule: "errors".into(),
        from: at(from),
        until: at(from + 3600),
        data_points: None,
        metrics: None,
        state_at_entry: AlarmState::Ok,
        purpose: WatchPurpose::Deploy,
        shadow: false,
        told: false,
        inherited: Vec::new(),
        generation: Generation(1),
        version: 0,
    };
    WatchedDeploy { watch, live: Some(id(n)), inside: None, sighted: None }
}

fn case(alarm: &AlarmChange, suspects: Vec<WatchedDeploy>) -> Case {
    Case::new(alarm, suspects, None, alarm.since)
}

fn verdicts(ruling: &Ruling) -> Vec<Verdict> {
    ruling.evidence.iter().map(|found| found.verdict).collect()
}

#[test]
fn one_deploy_before_the_alarm_is_taken_back() {
    let ruling = rule_on(&case(&red(1000), vec![suspect("shop", 1, 900)]));
    assert_eq!(ruling.act, Act::RollBack(0));
    let found = &ruling.evidence[0];
    assert_eq!((found.verdict, found.score), (Verdict::Degraded, 750));
    assert_eq!(found.reason, "it was OK when the deploy began and turned red at 1970-01-01T00:16:40Z");
    assert_eq!(
        found.otherwise,
        "It would have stayed had the alarm turned red before 1970-01-01T00:15:00Z or after 1970-01-01T01:15:00Z."
    );
}

#[test]
fn of_several_the_one_clearly_ahead_is_taken_back_and_otherwise_a_person_is_asked() {
    // Seconds from each deploy to the alarm, and who is taken back; none: a person is asked.
    for (ages, expected) in [
        (vec![10, 3000], Some(0)),
        (vec![3000, 10], Some(1)),
        (vec![10, 320], Some(0)),
        (vec![10, 300], None),
        (vec![60, 60], None),
        (vec![60, 1000, 1100, 1200], Some(0)),
        (vec![-5, 3000], Some(1)),
    ] {
        let names = ["a", "b", "c", "d"];
        let suspects = ages.iter().zip(names).map(|(age, name)| suspect(name, 7, 10_000 - age)).collect();
        let ruling = rule_on(&case(&red(10_000), suspects));
        match expected {
            Some(at) => assert_eq!(ruling.act, Act::RollBack(at), "{ages:?}"),
            None => assert!(matches!(&ruling.act, Act::Ask(all) if all.len() == ages.len()), "{ages:?}"),
        }
    }
}

#[test]
fn the_ranking_is_shown_to_everyone_best_first() {
    let suspects = vec![suspect("a", 1, 9_000), suspect("b", 2, 9_990), suspect("c", 3, 10_500)];
    let ruling = rule_on(&case(&red(10_000), suspects));
    assert_eq!(ruling.act, Act::RollBack(1));
    assert_eq!(verdicts(&ruling), [Verdict::Degraded, Verdict::Degraded, Verdict::NotThisDeploy]);
    for found in &ruling.evidence {
        let shown: Vec<_> = found.ranking.iter().map(|one| (one.pipeline.as_str(), one.score)).collect();
        assert_eq!(shown, [("b", 967), ("a", 230), ("c", 0)]);
    }
    let said: Vec<&str> = ruling.evidence.iter().map(|found| found.otherwise.as_str()).collect();
    assert_eq!(said[0], "It would have been taken back had Prod of b not been deployed after it.");
    assert!(said[1].ends_with(", or had Prod of a been deployed nearer to that."), "{}", said[1]);
    assert!(said[2].starts_with("It would have counted had the alarm turned red from"), "{}", said[2]);
}

#[test]
fn an_alarm_that_was_red_or_silent_before_says_less() {
    for (state, expected) in [
        (AlarmState::Ok, 750),
        (AlarmState::InsufficientData, 525),
        (AlarmState::Unreadable, 525),
        (AlarmState::Alarm, 375),
    ] {
        let mut one = suspect("shop", 1, 900);
        one.watch.state_at_entry = state;
        assert_eq!(rule_on(&case(&red(1000), vec![one])).evidence[0].score, expected, "{state}");
    }
}

#[test]
fn a_release_is_to_blame_in_the_place_it_reached_last() {
    let mut staging = suspect("shop", 1, 900);
    staging.watch.stage = "Staging".parse().expect("a name");
    let ruling = rule_on(&case(&red(1000), vec![staging.clone(), suspect("shop", 1, 950)]));
    assert_eq!(verdicts(&ruling), [Verdict::Degraded, Verdict::NotThisDeploy]);
    assert_eq!(ruling.act, Act::RollBack(0), "the suspects are sorted by stage: Prod comes first");
    // Where the later place is cleared, the earlier one is not.
    let ruling = rule_on(&case(&red(940), vec![staging, suspect("shop", 1, 950)]));
    assert_eq!(verdicts(&ruling), [Verdict::NotThisDeploy, Verdict::Degraded]);
}

#[test]
fn an_incident_has_two_automatic_rollbacks_one_after_the_other() {
    let (alarm, mut suspects) = (red(1000), vec![suspect("a", 1, 990), suspect("b", 2, 500), suspect("c", 3, -3000)]);
    suspects[2].watch.until = at(5000);
    let mut incident = Incident::of(&alarm, None, at(1001));
    for (place, name) in ["a", "b"].into_iter().enumerate() {
        let found = Case::new(&alarm, suspects.clone(), Some(&incident), at(1010));
        let rollback = id(100 + place as u128);
        assert_eq!(rule_on(&found).act, Act::RollBack(0), "{name}");
        assert_eq!(found.suspects[0].watch.pipeline.as_str(), name);
        let undone = suspects.remove(0).watch.execution;
        incident.rollbacks.push(IncidentRollback {
            pipeline: name.parse().expect("a name"),
            stage: "Prod".parse().expect("a name"),
            rollback,
            undone,
            at: at(1010),
            proof: None,
        });
        incident.status = IncidentStatus::RollingBack;
        let found = Case::new(&alarm, suspects.clone(), Some(&incident), at(1020));
        assert_eq!((rule_on(&found).act, found.proving), (Act::Nothing, Some(rollback)));
        incident.note(rollback, Proof::DidNotHelp, at(1030));
        assert_eq!(incident.status, IncidentStatus::NotHelped);
        assert!(incident.is_open());
    }
    let found = Case::new(&alarm, suspects, Some(&incident), at(1040));
    let ruling = rule_on(&found);
    assert_eq!(ruling.act, Act::Ask(vec![0]));
    assert_eq!(
        ruling.evidence[0].otherwise,
        "It would have been taken back before the incident's 2 automatic rollbacks."
    );
}

#[test]
fn whoever_was_asked_is_not_passed_over_when_one_suspect_is_left() {
    let alarm = red(1000);
    let mut incident = Incident::of(&alarm, None, at(1001));
    incident.status = IncidentStatus::Asking;
    let found = Case::new(&alarm, vec![suspect("a", 1, 990)], Some(&incident), at(1010));
    assert_eq!(rule_on(&found).act, Act::Ask(vec![0]));
    // Red again after it had cleared, with the last rollback's time over: another incident.
    let found = Case::new(&red(5000), vec![suspect("a", 1, 4990)], Some(&incident), at(5001));
    assert_eq!(rule_on(&found).act, Act::RollBack(0));
    incident.quiet_until = at(6000);
    let found = Case::new(&red(5000), vec![suspect("a", 1, 4990)], Some(&incident), at(5001));
    assert_eq!(rule_on(&found).act, Act::Ask(vec![0]));
    // It was seen to clear: red again is another incident, however soon.
    incident.status = IncidentStatus::Recovered;
    let found = Case::new(&red(5000), vec![suspect("a", 1, 4990)], Some(&incident), at(5001));
    assert_eq!(rule_on(&found).act, Act::RollBack(0));
}

#[test]
fn whether_a_rollback_helped_is_a_table() {
    use AlarmState as S;
    let mut watch = suspect("shop", 1, 0).watch;
    watch.until = at(100);
    for (state, during, over) in [
        (S::Ok, Some(Proof::Helped), Some(Proof::Helped)),
        (S::Alarm, None, Some(Proof::DidNotHelp)),
        (S::InsufficientData, None, Some(Proof::Helped)),
        (S::Unreadable, None, None),
        (S::Suppressed, None, None),
    ] {
        assert_eq!(prove(&watch, state, at(99)), during, "{state}");
        assert_eq!(prove(&watch, state, at(100)), over, "{state}");
    }
}

#[test]
fn rules_that_watch_one_alarm_are_one_suspect_and_rollbacks_are_none() {
    let mut longer = suspect("shop", 1, 900);
    longer.watch.rule = "other".into();
    longer.watch.until += SignedDuration::from_secs(60);
    let mut proof = suspect("shop", 9, 950);
    proof.watch.purpose = WatchPurpose::Proof;
    let found = case(&red(1000), vec![suspect("shop", 1, 900), longer.clone(), proof]);
    assert_eq!(found.suspects, [longer]);
}

/// A CloudWatch alarm that turns red when `m` of the last `n` points breach.
fn turns_red(breaches: &[bool], m: usize, n: usize) -> Option<usize> {
    (0..breaches.len()).find(|end| breaches[(end + 1).saturating_sub(n)..=*end].iter().filter(|one| **one).count() >= m)
}

proptest! {
    /// Alarms of M of N points in minutes, a deploy at one of them, harm from one of them on. Only an alarm that turned
    /// red after the deploy began may count, and that is all that counts.
    #[test]
    fn m_of_n_alarms_count_exactly_when_they_turn_red_after_the_deploy(
        n in 1..6_usize, missing in 0..5_usize, deploy in 0..30_i64, harm in 0..30_usize
    ) {
        let m = n.saturating_sub(missing).max(1);
        let breaches: Vec<bool> = (0..60).map(|minute| minute >= harm).collect();
        let turned = turns_red(&breaches, m, n).expect("harm lasts");
        let ruling = rule_on(&case(&red(60 * turned as i64), vec![suspect("shop", 1, 60 * deploy)]));
        let expected = if turned as i64 >= deploy { Verdict::Degraded } else { Verdict::NotThisDeploy };
        prop_assert_eq!(verdicts(&ruling), [expected]);
    }

    #[test]
    fn a_ruling_is_found_again_byte_for_byte(
        froms in proptest::collection::vec((0..3_usize, 0..2_000_i64), 0..6), since in 0..2_000_i64, rollbacks in 0..3_usize
    ) {
        let names = ["a", "b", "c"];
        let suspects = froms.iter().enumerate().map(|(n, (name, from))| suspect(names[*name], n as u128, *from)).collect();
        let mut found = case(&red(since), suspects);
        found.rollbacks = rollbacks as u32;
        let ruling = rule_on(&found);
        for evidence in ruling.evidence {
            let bytes = serde_json::to_vec(&evidence).expect("it can be written");
            let read: Evidence = serde_json::from_slice(&bytes).expect("it can be read");
            let again = read.replay().expect("the case is kept");
            prop_assert_eq!(serde_json::to_vec(&again).expect("it can be written"), bytes);
        }
    }

    /// The order in which watches are read does not matter, and nobody who is cleared is ever acted on.
    #[test]
    fn only_the_degraded_are_acted_on_whatever_the_order(
        froms in proptest::collection::vec(0..2_000_i64, 1..4), since in 0..2_000_i64
    ) {
        let names = ["a", "b", "c"];
        let suspects: Vec<WatchedDeploy> = froms.iter().zip(names).map(|(from, name)| suspect(name, 1, *from)).collect();
        let ruling = rule_on(&case(&red(since), suspects.clone()));
        let reversed = rule_on(&case(&red(since), suspects.into_iter().rev().collect()));
        prop_assert_eq!(&ruling, &reversed);
        let acted = match &ruling.act {
            Act::Nothing => Vec::new(),
            Act::RollBack(at) => vec![*at],
            Act::Ask(all) => all.clone(),
        };
        prop_assert!(acted.iter().all(|at| ruling.evidence[*at].verdict == Verdict::Degraded));
        let degraded = ruling.evidence.iter().any(|found| found.verdict == Verdict::Degraded);
        prop_assert_eq!(degraded, !acted.is_empty());
    }
}
