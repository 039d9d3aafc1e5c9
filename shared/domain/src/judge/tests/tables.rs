//! What the judge says of the situations that matter.

use super::super::*;
use super::{errors, gauge, level, series};

fn verdict(metrics: &[Metric]) -> Verdict {
    watch_metrics(metrics, &JudgePolicy::default()).verdict
}

fn times(values: &[f64], factor: f64) -> Vec<f64> {
    values.iter().map(|v| v * factor).collect()
}

fn with_control(mut metric: Metric, old: MetricSeries) -> Metric {
    metric.old = Some(old);
    metric
}

fn of_dependency(mut metric: Metric) -> Metric {
    metric.scope = Some(MetricScope::Dependency);
    metric.name = "database latency".to_owned();
    metric
}

#[test]
fn levels() {
    let (before, after) = (level(1, 60, 0.05, 0.5), level(2, 15, 0.05, 0.5));
    let double = times(&after, 2.0);
    let mut blip = after.clone();
    blip[4] *= 5.0;
    let mut late = after.clone();
    late[3..].iter_mut().for_each(|v| *v *= 2.0);
    let morning: Vec<f64> = before.iter().enumerate().map(|(n, v)| v * 1.01f64.powi(n as i32)).collect();
    let noon: Vec<f64> = after.iter().enumerate().map(|(n, v)| v * 1.01f64.powi(60 + n as i32)).collect();
    for (what, before, after, expected) in [
        ("nothing", &before, &after, Verdict::Healthy),
        ("twice the level", &before, &double, Verdict::Degraded),
        ("half again", &before, &times(&after, 1.5), Verdict::Degraded),
        ("a tenth more is below the floor", &before, &times(&after, 1.1), Verdict::Healthy),
        ("an improvement", &before, &times(&after, 0.3), Verdict::Healthy),
        ("one blip", &before, &blip, Verdict::Healthy),
        ("twice from the fourth point on", &before, &late, Verdict::Degraded),
        ("red all along", &times(&before, 9.0), &times(&after, 9.0), Verdict::Healthy),
        ("it rises since before", &morning, &noon, Verdict::NotThisDeploy),
        ("no history", &before[..3].to_vec(), &double, Verdict::NotEnoughData),
        ("nothing yet", &before, &vec![f64::NAN; 5], Verdict::NotEnoughData),
    ] {
        assert_eq!(verdict(&[gauge(before, after)]), expected, "{what}");
    }
}

#[test]
fn harm_that_began_before_is_not_put_on_the_deploy() {
    let (before, after) = (level(1, 60, 0.05, 0.5), times(&level(2, 15, 0.05, 0.5), 3.0));
    for points in 2..=20 {
        let mut red = before.clone();
        red[60 - points..].iter_mut().for_each(|v| *v *= 3.0);
        assert_ne!(verdict(&[gauge(&red, &after)]), Verdict::Degraded, "{points} points before");
    }
}

#[test]
fn directions() {
    let (before, after) = (level(3, 60, 0.05, 0.0), level(4, 15, 0.05, 0.0));
    for (direction, factor, expected) in [
        (Direction::Decrease, 0.5, Verdict::Degraded),
        (Direction::Decrease, 2.0, Verdict::Healthy),
        (Direction::Either, 0.5, Verdict::Degraded),
        (Direction::Either, 2.0, Verdict::Degraded),
    ] {
        let metric = Metric { direction, ..gauge(&before, &times(&after, factor)) };
        assert_eq!(verdict(&[metric]), expected, "{direction:?} {factor}");
    }
}

#[test]
fn errors_among_requests() {
    let few = [0.0, 0.0, 1.0, 0.0, 2.0, 0.0].repeat(10);
    let none = [0.0; 60];
    for (what, requests, before, after, expected) in [
        ("as before", 60.0, &few[..], &few[..12], Verdict::Healthy),
        ("eight in sixty", 60.0, &few, &[8.0; 10], Verdict::Degraded),
        ("from none to six", 60.0, &none, &[6.0; 10], Verdict::Degraded),
        ("half fail at ten a minute", 10.0, &none, &[5.0; 10], Verdict::Degraded),
        ("one error at one request a minute", 1.0, &none, &[1.0], Verdict::NotEnoughData),
        ("one error, then none", 1.0, &none, &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0], Verdict::NotEnoughData),
        ("one bad minute", 60.0, &few, &[0.0, 30.0, 0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0], Verdict::Healthy),
        ("no requests", 0.0, &none, &[0.0; 10], Verdict::NotEnoughData),
    ] {
        assert_eq!(verdict(&[errors(requests, before, after)]), expected, "{what}");
    }
}

#[test]
fn a_control_group_tells_outages_from_harm() {
    let (before, after) = (level(5, 60, 0.05, 0.3), level(6, 15, 0.05, 0.3));
    let (old_before, old_after) = (level(7, 60, 0.05, 0.3), level(8, 15, 0.05, 0.3));
    for (what, new, old, expected) in [
        ("both three times", 3.0, 3.0, Verdict::NotThisDeploy),
        ("only the new", 3.0, 1.0, Verdict::Degraded),
        ("only the old falls", 1.0, 0.3, Verdict::Healthy),
        ("both, the new more", 6.0, 3.0, Verdict::Degraded),
    ] {
        let metric = with_control(gauge(&before, &times(&after, new)), series(&old_before, &times(&old_after, old)));
        assert_eq!(verdict(&[metric]), expected, "{what}");
    }
}

#[test]
fn silence() {
    let values = level(9, 60, 0.05, 0.0);
    let silent = [f64::NAN; 8];
    let mut late = level(10, 8, 0.05, 0.0);
    late[..2].fill(f64::NAN);
    for (what, new, old, expected) in [
        ("only the new one", &silent[..], &values[..8], Verdict::Degraded),
        ("both", &silent, &silent, Verdict::NotEnoughData),
        ("it starts late", &late, &values[..8], Verdict::Healthy),
    ] {
        let metric = with_control(gauge(&values, new), series(&values, old));
        assert_eq!(verdict(&[metric]), expected, "{what}");
    }
}

#[test]
fn a_broken_dependency_is_not_this_deploy() {
    let (before, after) = (level(11, 60, 0.05, 0.3), level(12, 15, 0.05, 0.3));
    let worse = gauge(&before, &times(&after, 3.0));
    let evidence = watch_metrics(&[worse.clone(), of_dependency(worse.clone())], &JudgePolicy::default());
    assert_eq!(evidence.verdict, Verdict::NotThisDeploy);
    assert!(evidence.why.ends_with("but database latency, which it calls, is worse too"), "{}", evidence.why);
    assert_eq!(verdict(&[worse, of_dependency(gauge(&before, &after))]), Verdict::Degraded);
}

#[test]
fn says_what_is_missing_and_what_moved() {
    let policy = JudgePolicy::default();
    let evidence = judge_metrics(&[errors(1.0, &[0.0; 60], &[0.0])], &policy);
    assert_eq!(evidence.missing, Some(Missing { points_before: 0, points_after: 2, requests: 14 }));
    assert_eq!(evidence.why, "too little is known: 2 points since the deploy and 14 requests more needed");
    let evidence = watch_metrics(&[errors(60.0, &[0.0; 60], &[6.0; 10])], &policy);
    assert_eq!(
        evidence.why,
        "errors went from 0.01 % to 10 % of requests, since the deploy; a harmless deploy looks like this less than once in 200"
    );
}

#[test]
fn acts_on_a_suspect_only_when_one_is_clearly_ahead() {
    let (before, after) = (level(13, 60, 0.05, 0.3), level(14, 15, 0.05, 0.3));
    let suspect = |id: &str, factor: f64| Suspect {
        id: id.to_owned(),
        deployed_at: 0.0,
        metrics: vec![gauge(&before, &times(&after, factor))],
    };
    let policy = JudgePolicy::default();
    let act = |suspects: &[Suspect], calls: &[(&str, &str)]| {
        let calls: Vec<_> = calls.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        rank_suspects(suspects, &calls, None, &policy).act
    };
    let (calm, bad, as_bad) = (suspect("calm", 1.0), suspect("bad", 3.0), suspect("as-bad", 3.0));
    assert_eq!(act(&[calm.clone(), bad.clone()], &[]).as_deref(), Some("bad"));
    assert_eq!(act(&[bad.clone(), as_bad.clone()], &[]), None);
    assert_eq!(act(&[bad, as_bad], &[("bad", "as-bad")]).as_deref(), Some("as-bad"));
    assert_eq!(act(&[calm], &[]), None);
    assert_eq!(act(&[], &[]), None);
}

#[test]
fn a_rival_that_alone_would_stay_is_a_rival() {
    let policy = JudgePolicy::default();
    let suspect = |id: &str, after: &[f64]| Suspect {
        id: id.to_owned(),
        deployed_at: 0.0,
        metrics: vec![errors(1000.0, &[1.0; 60], after)],
    };
    let alone = |suspect: &Suspect| rank_suspects(std::slice::from_ref(suspect), &[], None, &policy);
    let (bad, doubtful, calm) =
        (suspect("bad", &[20.0, 20.0]), suspect("doubtful", &[15.0, 15.0]), suspect("calm", &[1.0, 1.0]));
    let (worst, next) = (alone(&bad).ranking[0].score, alone(&doubtful).ranking[0].score);
    assert!(alone(&bad).act.is_some() && alone(&doubtful).act.is_none(), "{worst} and {next}");
    assert!(worst - next < 20.0_f64.ln(), "{worst} and {next}");
    let both = rank_suspects(&[doubtful, bad.clone()], &[], None, &policy);
    assert_eq!((both.ranking[0].id.as_str(), both.act), ("bad", None));
    assert_eq!(rank_suspects(&[calm, bad], &[], None, &policy).act.as_deref(), Some("bad"));
}

#[test]
fn what_was_deployed_after_the_alarm_turned_red_did_not_turn_it() {
    let (before, after) = (level(13, 60, 0.05, 0.3), level(14, 15, 0.05, 0.3));
    let suspect = |id: &str, deployed_at: f64, factor: f64| Suspect {
        id: id.to_owned(),
        deployed_at,
        metrics: vec![gauge(&before, &times(&after, factor))],
    };
    let suspects = [suspect("later", 120.0, 9.0), suspect("bad", 60.0, 3.0), suspect("calm", 0.0, 1.0)];
    let rank = |onset| rank_suspects(&suspects, &[], onset, &JudgePolicy::default());
    let order = |found: &Attribution| found.ranking.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    let found = rank(Some(90.0));
    assert_eq!((order(&found), found.act.as_deref()), (vec!["bad".into(), "calm".into(), "later".into()], Some("bad")));
    assert_eq!(order(&rank(None))[0], "later");
    assert_eq!(rank(Some(-1.0)).act, None);
}

#[test]
fn a_few_events_are_no_harm_where_their_number_is_all_that_is_known() {
    let count = |before: &[f64], after: &[f64]| Metric { kind: MetricKind::Count, ..gauge(before, after) };
    for after in [&[1.0, 1.0][..], &[0.0, 1.0, 0.0, 1.0], &[2.0, 0.0, 0.0]] {
        assert_ne!(verdict(&[count(&[0.0; 60], after)]), Verdict::Degraded, "{after:?}");
    }
    assert_eq!(verdict(&[count(&[0.0; 60], &[9.0; 6])]), Verdict::Degraded);
    let busy = level(15, 60, 0.05, 0.3);
    assert_eq!(verdict(&[count(&times(&busy, 3.0), &times(&level(16, 6, 0.05, 0.3), 9.0))]), Verdict::Degraded);
}

#[test]
fn a_control_group_that_goes_silent_hides_no_harm() {
    let (before, after) = (level(21, 60, 0.05, 0.5), level(22, 15, 0.05, 0.5));
    let (old_before, old_after) = (level(23, 60, 0.05, 0.5), level(24, 15, 0.05, 0.5));
    let silent_from = |from: usize| -> Vec<f64> {
        old_after.iter().enumerate().map(|(at, v)| if at < from { *v } else { f64::NAN }).collect()
    };
    let bad = times(&after, 4.0);
    let late: Vec<f64> = after.iter().enumerate().map(|(at, v)| if at < 4 { *v } else { v * 4.0 }).collect();
    for (what, after, old, expected) in [
        ("from the deploy on", &bad, silent_from(0), Verdict::Degraded),
        ("some points later", &late, silent_from(3), Verdict::Degraded),
        ("and the new version does well", &after, silent_from(0), Verdict::Healthy),
        ("never, and has the same harm", &bad, times(&old_after, 4.0), Verdict::NotThisDeploy),
    ] {
        assert_eq!(verdict(&[with_control(gauge(&before, after), series(&old_before, &old))]), expected, "{what}");
    }
    // Errors among requests: a control group that was drained has no requests, which says nothing either.
    let mut failing = errors(100.0, &[1.0; 60], &[40.0; 15]);
    failing.old = Some(series(&[1.0; 60], &[0.0; 15]));
    let requests = failing.requests.as_mut().unwrap();
    requests.old = Some(series(&[100.0; 60], &[0.0; 15]));
    assert_eq!(verdict(&[failing]), Verdict::Degraded);
    // One that speaks every third minute, as it did before, is one still.
    let sparse = |values: &[f64]| -> Vec<f64> {
        values.iter().enumerate().map(|(at, v)| if at % 3 == 0 { *v } else { f64::NAN }).collect()
    };
    let shared = with_control(gauge(&before, &bad), series(&sparse(&old_before), &sparse(&times(&old_after, 4.0))));
    assert_ne!(verdict(&[shared]), Verdict::Degraded);
}

#[test]
fn policies_out_of_range_are_refused() {
    let fine = JudgePolicy::default();
    assert_eq!(fine.check(), Ok(()));
    for broken in [
        JudgePolicy { alpha: 0.0, ..fine.clone() },
        JudgePolicy { alpha: f64::NAN, ..fine.clone() },
        JudgePolicy { effect_floor: 0.0, ..fine.clone() },
        JudgePolicy { errors: 1, ..fine.clone() },
        JudgePolicy { onset_points: 0, ..fine.clone() },
    ] {
        assert!(broken.check().is_err(), "{broken:?}");
    }
}
