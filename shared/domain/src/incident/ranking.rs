//! Which of several deploys is to blame: the one that was made shortest before the alarm turned red, the more so the
//! surer it is that the alarm was green before.

use jiff::Timestamp;

use super::{Act, Case, RankedDeploy, Ranking, WatchedDeploy};
use crate::{AlarmState, Evidence, Verdict, Watch};

/// The first acts alone only with this many times the odds of the second, where metrics are judged.
pub(super) const AHEAD_BY_METRICS: u32 = 20;
/// The first acts alone only with this many times the score of the second.
pub const CLEARLY_AHEAD: u32 = 2;
/// A deploy that began this many seconds before the alarm turned red has half the score of one that began just then.
/// Alarms need a few periods of a minute to turn red, and most harm shows within minutes.
const RECENCY_S: u32 = 300;
/// The score of a deploy that began just when the alarm turned red, out of a thousand.
const SCORE_MAX: u32 = 1000;

/// How much speaks against a watched deploy, of 1000, where the alarm turned red at `onset`.
fn score(watch: &Watch, onset: Timestamp) -> u32 {
    let (from, state_at_entry) = watch.blamed_for(onset);
    let seconds = u64::try_from(onset.duration_since(from).as_secs()).unwrap_or(0);
    let recency = u64::from(SCORE_MAX) * u64::from(RECENCY_S) / (u64::from(RECENCY_S) + seconds);
    u32::try_from(recency * u64::from(certainty_percent(state_at_entry)) / 100).unwrap_or(SCORE_MAX)
}

/// How sure it is that the alarm was green when the deploy began. One that was red then has cleared and come back: it
/// flaps, and says less.
fn certainty_percent(at_entry: AlarmState) -> u32 {
    match at_entry {
        AlarmState::Ok => 100,
        AlarmState::InsufficientData | AlarmState::Unreadable => 70,
        AlarmState::Alarm | AlarmState::Suppressed => 50,
    }
}

/// Those that are not cleared, best first; equal ones in the order of the case. By metrics whoever has nearly the odds of the
/// best is none of the cleared, though it alone would stay.
pub(super) fn rank(case: &Case, evidence: &[Evidence]) -> Ranking {
    let odds = |one: &WatchedDeploy| one.sighted.as_ref().map(|seen| seen.evidence.score);
    let suspects = || case.suspects.iter().zip(evidence).enumerate();
    let is_degraded = |found: &Evidence| found.verdict == Verdict::Degraded;
    let degraded = suspects().filter(|(_, (_, found))| is_degraded(found));
    let best = degraded.filter_map(|(_, (one, _))| odds(one)).max_by(f64::total_cmp).unwrap_or(f64::MAX);
    let is_near = |one: &WatchedDeploy, found: &Evidence| {
        let would_stay = one.sighted.as_ref().is_some_and(|seen| seen.worse_since.is_none());
        would_stay
            && found.verdict != Verdict::NotThisDeploy
            && odds(one).is_some_and(|odds| odds > best - f64::from(AHEAD_BY_METRICS).ln())
    };
    let all: Vec<(usize, &WatchedDeploy)> = suspects()
        .filter(|(_, (one, found))| is_degraded(found) || is_near(one, found))
        .map(|(at, (one, _))| (at, one))
        .collect();
    let total: f64 = all.iter().filter_map(|(_, one)| odds(one)).map(|odds| (odds - best).exp()).sum();
    let score = |one: &WatchedDeploy| match odds(one) {
        // The part of the odds that is its own; the cast is of at most a thousand.
        Some(odds) => (f64::from(SCORE_MAX) * (odds - best).exp() / total).round() as u32,
        None => score(&one.watch, case.alarm.since),
    };
    let mut ranking: Ranking = all.into_iter().map(|(at, one)| (at, score(one))).collect();
    ranking.sort_by_key(|(at, score)| (std::cmp::Reverse(*score), *at));
    ranking
}

/// Adds to each evidence the case, who else was suspected, and what would have changed the answer.
pub(super) fn explain(case: &Case, ranking: &Ranking, act: &Act, evidence: &mut [Evidence]) {
    let score_of = |at: usize| ranking.iter().find(|(ranked, _)| *ranked == at).map_or(0, |(_, score)| *score);
    let mut order: Vec<usize> = ranking.iter().map(|(at, _)| *at).collect();
    order.extend((0..case.suspects.len()).filter(|at| ranking.iter().all(|(ranked, _)| ranked != at)));
    let ranked: Vec<RankedDeploy> = order
        .into_iter()
        .map(|at| RankedDeploy {
            pipeline: case.suspects[at].watch.pipeline.clone(),
            stage: case.suspects[at].watch.stage.clone(),
            execution: case.suspects[at].watch.execution,
            score: score_of(at),
            verdict: evidence[at].verdict,
        })
        .collect();
    for (at, found) in evidence.iter_mut().enumerate() {
        found.score = score_of(at);
        found.ranking.clone_from(&ranked);
        found.otherwise = otherwise(case, ranking, act, at, found.verdict);
        found.case = Some(Box::new(case.clone()));
    }
}

/// What would have changed the answer about one suspect, for people.
fn otherwise(case: &Case, ranking: &Ranking, act: &Act, at: usize, verdict: Verdict) -> String {
    let watch = &case.suspects[at].watch;
    match (verdict, act) {
        (Verdict::Degraded, Act::RollBack(first)) if *first == at => {
            let mut text = match &case.suspects[at].sighted {
                Some(seen) => format!(
                    "It would have stayed with odds of less than 1 to {:.0}, or had harm begun before {}",
                    1.0 / seen.evidence.policy.alpha,
                    watch.from
                ),
                None => format!(
                    "It would have stayed had the alarm turned red before {} or after {}",
                    watch.from, watch.until
                ),
            };
            if let Some((second, _)) = ranking.get(1) {
                let second = &case.suspects[*second].watch;
                text += &format!(", or had {} of {} been deployed nearer to that", second.stage, second.pipeline);
            }
            text + "."
        }
        (Verdict::Degraded, Act::RollBack(first)) => {
            let first = &case.suspects[*first].watch;
            format!(
                "It would have been taken back had {} of {} not been deployed after it.",
                first.stage, first.pipeline
            )
        }
        (Verdict::Degraded, Act::Ask(_)) if case.asked => "A person has been asked already.".to_owned(),
        (Verdict::Degraded, Act::Ask(_)) if case.rollbacks >= super::ROLLBACKS_MAX => {
            format!("It would have been taken back before the incident's {} automatic rollbacks.", case.rollbacks)
        }
        (Verdict::Degraded, Act::Ask(_)) => format!(
            "The first of them would have been taken back with {} times the score of the second, so with the others deployed \
             earlier.",
            case.clearly_ahead()
        ),
        (Verdict::Degraded, Act::Nothing) => {
            "It would have been looked at had no rollback still to show whether it helps.".to_owned()
        }
        (Verdict::NotThisDeploy, _) if case.is_red() => format!(
            "It would have counted had the alarm turned red from {} to {}, with this deploy live and nobody in the stage.",
            watch.from, watch.until
        ),
        (_, Act::Ask(held)) if held.contains(&at) => {
            format!("Its odds are more than a {AHEAD_BY_METRICS}th of the first's, so it is held with the first.")
        }
        _ => "It would have counted had the alarm been red.".to_owned(),
    }
}
