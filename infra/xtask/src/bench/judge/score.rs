//! Counts right and wrong answers.

use std::collections::BTreeMap;

use domain::{JudgePolicy, Verdict};
use serde::Serialize;

use super::baselines::{JUDGES, RANKERS};
use super::sets::{Set, Truth};
use super::speed::timed;
use crate::judge::{Answer, Case, answer};

/// A set: its cases, and what each rule made of them. The judge comes first.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SetScore {
    pub(crate) set: String,
    pub(crate) cases: usize,
    pub(crate) is_attribution: bool,
    pub(crate) rules: Vec<RuleScore>,
}

/// What one rule made of a set.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RuleScore {
    pub(crate) rule: &'static str,
    pub(crate) seconds: f64,
    #[serde(flatten)]
    pub(crate) figures: Figures,
    /// Standard deviations over folds of whole sources, of the judge alone.
    pub(crate) spread: Option<Spread>,
    /// Rolled back, or of several suspects the right one or rightly none, and all, by kind of case; `!` marks kinds that did harm.
    pub(crate) kinds: BTreeMap<String, (usize, usize)>,
}

/// Fractions, and points. `None` where there is nothing to divide by.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    pub(crate) precision: Option<f64>,
    pub(crate) recall: Option<f64>,
    pub(crate) false_rollbacks: Option<f64>,
    pub(crate) false_on_placebo: Option<f64>,
    pub(crate) median_delay: Option<f64>,
    /// Called healthy although too little was seen for any claim.
    pub(crate) healthy_without_data: Option<f64>,
    pub(crate) hr1: Option<f64>,
    pub(crate) hr3: Option<f64>,
}

/// How much figures differ between folds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spread {
    pub(crate) folds: usize,
    pub(crate) recall: Option<f64>,
    pub(crate) false_rollbacks: Option<f64>,
    pub(crate) hr1: Option<f64>,
}

/// What a rule said of one case.
#[derive(Default)]
struct Said {
    /// Points since the deploy at the rollback.
    rolled_back: Option<usize>,
    is_healthy: bool,
    ranking: Vec<String>,
    act: Option<String>,
}

/// Scores the judge and, if asked, the baselines.
pub(super) fn score(set: &Set, policy: &JudgePolicy, with_baselines: bool, folds: u32) -> SetScore {
    let is_attribution = set.cases.iter().any(|(case, _)| matches!(case, Case::Suspects(_)));
    let mut rules = vec![rule("judge", set, Some(folds), |case| judged(case, policy))];
    if with_baselines && !is_attribution {
        rules.extend(JUDGES.iter().map(|(name, judge)| {
            rule(name, set, None, |case| match case {
                Case::Deploy(case) => Said { rolled_back: judge(case), ..Said::default() },
                Case::Suspects(_) => Said::default(),
            })
        }));
    }
    if with_baselines && is_attribution {
        rules.extend(RANKERS.iter().map(|(name, rank)| {
            rule(name, set, None, |case| {
                let (ranking, act) = match case {
                    Case::Suspects(case) => rank(case),
                    Case::Deploy(_) => (Vec::new(), None),
                };
                Said { ranking, act, ..Said::default() }
            })
        }));
    }
    SetScore { set: set.name.clone(), cases: set.cases.len(), is_attribution, rules }
}

fn judged(case: &Case, policy: &JudgePolicy) -> Said {
    match answer(case, policy, false) {
        Answer::Deploy { verdict, after_points, .. } => Said {
            rolled_back: after_points.filter(|_| verdict == Verdict::Degraded),
            is_healthy: verdict == Verdict::Healthy,
            ..Said::default()
        },
        Answer::Suspects { ranking, act, .. } => {
            Said { ranking: ranking.into_iter().map(|r| r.id).collect(), act, ..Said::default() }
        }
    }
}

fn rule(name: &'static str, set: &Set, folds: Option<u32>, ask: impl Fn(&Case) -> Said) -> RuleScore {
    let (said, seconds): (Vec<(Said, &Truth)>, f64) =
        timed(|| set.cases.iter().map(|(case, truth)| (ask(case), truth)).collect());
    let mut kinds: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (said, truth) in &said {
        let mark = if truth.degraded { "!" } else { " " };
        let kind = kinds.entry(format!("{mark} {}", truth.kind)).or_default();
        let is_right = !said.ranking.is_empty() && said.act == truth.guilty;
        kind.0 += usize::from(said.rolled_back.is_some() || is_right);
        kind.1 += 1;
    }
    let all: Vec<&(Said, &Truth)> = said.iter().collect();
    RuleScore { rule: name, seconds, figures: figures(&all), spread: folds.map(|folds| spread(&said, folds)), kinds }
}

fn figures(said: &[&(Said, &Truth)]) -> Figures {
    let count = |of: &dyn Fn(&Said, &Truth) -> bool| said.iter().filter(|(s, t)| of(s, t)).count();
    if said.iter().any(|(s, _)| !s.ranking.is_empty()) {
        let guilty = count(&|_, t| t.guilty.is_some());
        let right = count(&|s, t| t.guilty.is_some() && s.act == t.guilty);
        let acted = count(&|s, _| s.act.is_some());
        let first = |places: usize| {
            count(&|s, t| t.guilty.as_ref().is_some_and(|g| s.ranking.iter().take(places).any(|id| id == g)))
        };
        return Figures {
            precision: ratio(right, acted),
            recall: ratio(right, guilty),
            false_rollbacks: ratio(count(&|s, t| t.guilty.is_none() && s.act.is_some()), said.len() - guilty),
            hr1: ratio(first(1), guilty),
            hr3: ratio(first(3), guilty),
            ..Figures::default()
        };
    }
    let is_found = |s: &Said, t: &Truth| t.degraded && s.rolled_back.is_some_and(|points| points > t.onset);
    let found = count(&is_found);
    let harmed = count(&|_, t| t.degraded);
    let is_placebo = |t: &Truth| t.kind == "placebo";
    let is_blind = |t: &Truth| t.expect.as_deref() == Some("NotEnoughData");
    let delays: Vec<f64> = said
        .iter()
        .filter(|(s, t)| is_found(s, t))
        .filter_map(|(s, t)| Some((s.rolled_back? - t.onset) as f64))
        .collect();
    Figures {
        precision: ratio(found, count(&|s, _| s.rolled_back.is_some())),
        recall: ratio(found, harmed),
        false_rollbacks: ratio(count(&|s, t| !t.degraded && s.rolled_back.is_some()), said.len() - harmed),
        false_on_placebo: ratio(count(&|s, t| is_placebo(t) && s.rolled_back.is_some()), count(&|_, t| is_placebo(t))),
        healthy_without_data: ratio(count(&|s, t| is_blind(t) && s.is_healthy), count(&|_, t| is_blind(t))),
        median_delay: (!delays.is_empty()).then(|| quantile(&delays, 0.5)),
        ..Figures::default()
    }
}

/// Folds of whole sources, since cases of one series resemble each other; where a set has one source, of every n-th case.
fn spread(said: &[(Said, &Truth)], folds: u32) -> Spread {
    let mut sources: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, truth) in said {
        let next = sources.len();
        sources.entry(&truth.source).or_insert(next);
    }
    let folds = folds as usize;
    let fold_of =
        |n: usize, truth: &Truth| if sources.len() > 1 { sources[truth.source.as_str()] % folds } else { n % folds };
    let each: Vec<Figures> = (0..folds)
        .map(|fold| {
            let part: Vec<&(Said, &Truth)> =
                said.iter().enumerate().filter(|(n, (_, t))| fold_of(*n, t) == fold).map(|(_, s)| s).collect();
            figures(&part)
        })
        .collect();
    let deviation = |of: fn(&Figures) -> Option<f64>| {
        let values: Vec<f64> = each.iter().filter_map(of).collect();
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let square = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        (values.len() > 1).then(|| (square / (values.len() - 1) as f64).sqrt())
    };
    Spread {
        folds: folds.min(sources.len().max(1)).max(if sources.len() > 1 { 0 } else { folds }),
        recall: deviation(|f| f.recall),
        false_rollbacks: deviation(|f| f.false_rollbacks),
        hr1: deviation(|f| f.hr1),
    }
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Interpolated between the neighbouring values; 0 of none.
pub(super) fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let at = q * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}
