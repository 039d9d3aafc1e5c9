//! Cases and answers, one JSON object a line.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use domain::{JudgePolicy, Metric, MetricEvidence, RankedSuspect, Suspect, Verdict, rank_suspects, watch_metrics};
use serde::{Deserialize, Serialize};

/// One question.
#[derive(Debug, Clone)]
pub(crate) enum Case {
    /// Is this deploy doing harm?
    Deploy(DeployCase),
    /// Which deploy did it?
    Suspects(SuspectsCase),
}

/// Is this deploy doing harm?
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DeployCase {
    pub(crate) id: String,
    pub(crate) metrics: Vec<Metric>,
}

/// Which deploy did it?
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SuspectsCase {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) alarm_onset: Option<f64>,
    #[serde(default)]
    pub(crate) calls: Option<Vec<(String, String)>>,
    pub(crate) suspects: Vec<Suspect>,
}

/// The answer to a [`Case`].
#[derive(Debug, Clone, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(crate) enum Answer {
    /// The verdict over the whole watch.
    Deploy {
        id: String,
        verdict: Verdict,
        after_points: Option<usize>,
        score: f64,
        why: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        evidence: Option<Box<MetricEvidence>>,
    },
    /// The suspects, the likeliest first, and whom to roll back.
    Suspects { id: String, ranking: Vec<RankedSuspect>, act: Option<String>, why: String },
}

impl Case {
    /// Reads and checks one line.
    ///
    /// # Errors
    /// When it is not JSON of either shape, or a series is invalid.
    pub(crate) fn parse(line: &str) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Shape {
            suspects: Option<serde::de::IgnoredAny>,
        }
        let shape: Shape = serde_json::from_str(line)?;
        if shape.suspects.is_none() {
            let case: DeployCase = serde_json::from_str(line)?;
            case.check().with_context(|| format!("case {:?}", case.id))?;
            return Ok(Self::Deploy(case));
        }
        let case: SuspectsCase = serde_json::from_str(line)?;
        case.check().with_context(|| format!("case {:?}", case.id))?;
        Ok(Self::Suspects(case))
    }
}

impl DeployCase {
    fn check(&self) -> anyhow::Result<()> {
        self.metrics.iter().try_for_each(Metric::check)?;
        Ok(())
    }
}

impl SuspectsCase {
    fn check(&self) -> anyhow::Result<()> {
        let mut ids = BTreeSet::new();
        for suspect in &self.suspects {
            if !ids.insert(&suspect.id) {
                bail!("suspect {:?} is named twice", suspect.id);
            }
            suspect.metrics.iter().try_for_each(Metric::check).with_context(|| format!("suspect {:?}", suspect.id))?;
        }
        Ok(())
    }
}

/// Answers one case.
pub(crate) fn answer(case: &Case, policy: &JudgePolicy, with_evidence: bool) -> Answer {
    match case {
        Case::Deploy(case) => {
            let evidence = watch_metrics(&case.metrics, policy);
            Answer::Deploy {
                id: case.id.clone(),
                verdict: evidence.verdict,
                after_points: (evidence.verdict == Verdict::Degraded).then_some(evidence.after_points),
                score: evidence.score,
                why: evidence.why.clone(),
                evidence: with_evidence.then(|| Box::new(evidence)),
            }
        }
        Case::Suspects(case) => {
            let calls = case.calls.as_deref().unwrap_or_default();
            let found = rank_suspects(&case.suspects, calls, case.alarm_onset, policy);
            Answer::Suspects { id: case.id.clone(), ranking: found.ranking, act: found.act, why: found.why }
        }
    }
}
