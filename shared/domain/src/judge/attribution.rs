//! Several deploys in flight, one alarm: which of them did it?

use serde::{Deserialize, Serialize};

use super::JudgePolicy;
use super::input::{Metric, MetricScope};
use super::verdict::{Look, Standing};

/// One deploy in flight when something degraded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suspect {
    /// What was deployed.
    pub id: String,
    /// When, in seconds on the clock of the question.
    pub deployed_at: f64,
    /// Its metrics, cut at its own deploy.
    pub metrics: Vec<Metric>,
}

/// Who did it, as far as one can tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attribution {
    /// Every suspect, the likeliest first.
    pub ranking: Vec<RankedSuspect>,
    /// Whom to roll back; nobody unless one is clearly ahead.
    pub act: Option<String>,
    /// Why, in one sentence.
    pub why: String,
}

/// A suspect's place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RankedSuspect {
    /// The suspect.
    pub id: String,
    /// Logarithm of the odds won by betting on harm by it.
    pub score: f64,
}

/// The best is clearly ahead when its odds are this many times those of the next.
const AHEAD: f64 = 20.0;
/// The odds of whoever has none, so that they have a logarithm.
const NO_ODDS: f64 = 1e-9;

/// Ranks the suspects. `calls` lists caller and callee, where known; `alarm_onset` says when the alarm turned red, on the clock
/// of the deploys: what was deployed later did not turn it, and comes last.
pub fn rank_suspects(
    suspects: &[Suspect],
    calls: &[(String, String)],
    alarm_onset: Option<f64>,
    policy: &JudgePolicy,
) -> Attribution {
    let mut ranked: Vec<(f64, bool, &Suspect)> = suspects
        .iter()
        .map(|suspect| {
            if alarm_onset.is_some_and(|onset| suspect.deployed_at > onset) {
                return (NO_ODDS.ln(), false, suspect);
            }
            let look = Look::at(&suspect.metrics, policy);
            let (score, is_clear) = score(&suspect.metrics, &look, policy);
            (score, is_clear, suspect)
        })
        .collect();
    // The later deploy wins a tie: its harm has had less time to show. Among those without any odds, it is the least likely.
    let later_first = |a: &Suspect, b: &Suspect| {
        let order = b.deployed_at.total_cmp(&a.deployed_at);
        let is_late = |one: &Suspect| alarm_onset.is_some_and(|onset| one.deployed_at > onset);
        is_late(a).cmp(&is_late(b)).then(order).then(a.id.cmp(&b.id))
    };
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| later_first(a.2, b.2)));
    let (act, why) = decide(&ranked, calls);
    let ranking = ranked
        .iter()
        .map(|(score, _, s)| RankedSuspect { id: s.id.clone(), score: (score * 1e4).round() / 1e4 })
        .collect();
    Attribution { ranking, act, why }
}

/// The logarithm of the odds, and whether this suspect alone would be rolled back.
fn score(metrics: &[Metric], look: &Look, policy: &JudgePolicy) -> (f64, bool) {
    let is_clear = look.fortune >= 1.0 / policy.alpha;
    let own = metrics.iter().filter(|m| m.scope() == MetricScope::Own).count().max(1) as f64;
    // What falls short of a verdict still tells suspects apart; what has another explanation counts for little.
    let weak: f64 = look
        .parts
        .iter()
        .map(|p| match p.standing {
            Standing::Worse => 0.0,
            Standing::Calm if !p.assessment.control_moved => p.assessment.fortune,
            _ => 0.0,
        })
        .sum::<f64>()
        / own;
    ((look.fortune + weak.min(1.0 / policy.alpha)).max(NO_ODDS).ln(), is_clear)
}

fn decide(ranked: &[(f64, bool, &Suspect)], calls: &[(String, String)]) -> (Option<String>, String) {
    let Some((score, true, best)) = ranked.first() else {
        return (None, "no suspect shows harm of its own".to_owned());
    };
    let rival = ranked[1..].iter().find(|(other, _, suspect)| {
        let is_caller = calls.iter().any(|(caller, callee)| *caller == suspect.id && *callee == best.id);
        !is_caller && score - other < AHEAD.ln()
    });
    match rival {
        Some((_, _, rival)) => (
            None,
            format!("{} and {} both show signs of harm of their own, and neither is clearly ahead", best.id, rival.id),
        ),
        None => (Some(best.id.clone()), format!("only {} shows harm of its own since its deploy", best.id)),
    }
}
