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
    pub deployed_at: i64,
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

/// Ranks the suspects. `calls` lists caller and callee, where known.
pub fn rank_suspects(suspects: &[Suspect], calls: &[(String, String)], policy: &JudgePolicy) -> Attribution {
    let mut ranked: Vec<(f64, bool, &Suspect)> = suspects
        .iter()
        .map(|suspect| {
            let look = Look::at(&suspect.metrics, policy);
            let (score, is_clear) = score(&suspect.metrics, &look, policy);
            (score, is_clear, suspect)
        })
        .collect();
    // The later deploy wins a tie: its harm has had less time to show.
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.2.deployed_at.cmp(&a.2.deployed_at)).then(a.2.id.cmp(&b.2.id)));
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
    ((look.fortune + weak.min(1.0 / policy.alpha)).max(1e-9).ln(), is_clear)
}

fn decide(ranked: &[(f64, bool, &Suspect)], calls: &[(String, String)]) -> (Option<String>, String) {
    let Some((score, true, best)) = ranked.first() else {
        return (None, "no suspect shows harm of its own".to_owned());
    };
    let rival = ranked[1..].iter().find(|(other, is_clear, suspect)| {
        let is_caller = calls.iter().any(|(caller, callee)| *caller == suspect.id && *callee == best.id);
        *is_clear && !is_caller && score - other < AHEAD.ln()
    });
    match rival {
        Some((_, _, rival)) => {
            (None, format!("{} and {} both show harm of their own, and neither is clearly ahead", best.id, rival.id))
        }
        None => (Some(best.id.clone()), format!("only {} shows harm of its own since its deploy", best.id)),
    }
}
