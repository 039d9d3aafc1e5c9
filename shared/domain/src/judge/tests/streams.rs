//! Streams in which nothing happens, looked at after every point.

use super::super::*;
use super::{gauge, level, series};

/// With the chance of a false rollback at `alpha`, more than twice as many of them and a few would be a chance of about 1 in 10,000.
fn at_most(streams: u32, alpha: f64) -> u32 {
    (2.0 * alpha * f64::from(streams)) as u32 + 4
}

fn rolled_back(streams: u32, draw: impl Fn(u64) -> Metric) -> u32 {
    let policy = JudgePolicy::default();
    let is_wrong = |n: &u32| watch_metrics(&[draw(u64::from(*n) * 10)], &policy).verdict == Verdict::Degraded;
    (0..streams).filter(is_wrong).count() as u32
}

#[test]
fn null_streams_stay_within_alpha() {
    let alpha = JudgePolicy::default().alpha;
    for persistence in [0.0, 0.5] {
        let wrong = rolled_back(200, |n| gauge(&level(n, 60, 0.1, persistence), &level(n + 1, 40, 0.1, persistence)));
        assert!(wrong <= at_most(200, alpha), "{wrong} of 200 at a persistence of {persistence}");
    }
}

#[test]
fn shared_outages_stay_within_alpha() {
    let wrong = rolled_back(200, |n| {
        let group = |n: u64| {
            let mut after = level(n + 1, 40, 0.1, 0.5);
            after[5..].iter_mut().for_each(|v| *v *= 3.0);
            (level(n, 60, 0.1, 0.5), after)
        };
        let (new, old) = (group(n), group(n + 3));
        Metric { old: Some(series(&old.0, &old.1)), ..gauge(&new.0, &new.1) }
    });
    assert!(wrong <= at_most(200, JudgePolicy::default().alpha), "{wrong} of 200");
}

/// The test above can fail: a judge that takes any chance for proof is found out.
#[test]
fn a_careless_judge_is_found_out() {
    let policy = JudgePolicy { alpha: 0.1, effect_floor: 0.05, ..JudgePolicy::default() };
    let wrong = (0..200u64).filter(|n| {
        let metric = gauge(&level(n * 10, 8, 0.3, 0.9), &level(n * 10 + 1, 40, 0.3, 0.9));
        watch_metrics(&[metric], &policy).verdict == Verdict::Degraded
    });
    assert!(wrong.count() as u32 > at_most(200, JudgePolicy::default().alpha));
}
