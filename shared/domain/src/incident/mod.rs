//! An alarm is red: which deploy is to blame, is it taken back, and did that help?

mod proof;
mod ranking;
mod row;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use proof::{Proof, Proven, prove, settle_proof};
use ranking::AHEAD_BY_METRICS;
pub use ranking::CLEARLY_AHEAD;
pub use row::{Incident, IncidentRollback, IncidentStatus, ROLLBACKS_MAX};

use crate::{AlarmChange, AlarmState, Evidence, ExecutionId, PipelineName, Sighted, StageName, Verdict, Watch, judge};

/// A deploy that is watched with the alarm, as its stage stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchedDeploy {
    /// The watch.
    pub watch: Watch,
    /// The execution that deployed what is live in the stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<ExecutionId>,
    /// The execution that is inside the stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<ExecutionId>,
    /// What its metrics did, where they are judged rather than an alarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sighted: Option<Box<Sighted>>,
}

impl WatchedDeploy {
    /// The alarm as far as this deploy is concerned: metrics are judged for each by itself.
    pub fn own_alarm(&self, alarm: &AlarmChange) -> (AlarmState, Timestamp) {
        match &self.sighted {
            Some(seen) => (seen.state(), seen.worse_since.unwrap_or(alarm.since)),
            None => (alarm.state, alarm.since),
        }
    }
}

/// Everything that a ruling rests on. Equal cases get equal rulings, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    /// The alarm as it was seen.
    pub alarm: AlarmChange,
    /// When it was ruled on; absent in cases of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Every deploy that is watched with it, by pipeline and stage.
    pub suspects: Vec<WatchedDeploy>,
    /// Automatic rollbacks of the incident so far.
    #[serde(default)]
    pub rollbacks: u32,
    /// A rollback of the incident that has not shown yet whether it helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proving: Option<ExecutionId>,
    /// Whether a person has been asked already.
    #[serde(default)]
    pub asked: bool,
}

/// What is done about a red alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Nothing: no deploy is to blame, or a rollback is still to show whether it helps.
    Nothing,
    /// The deploy of this suspect is taken back.
    RollBack(usize),
    /// Nobody is clearly to blame: these suspects' stages are held, and a person is asked.
    Ask(Vec<usize>),
}

/// What follows from a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// What is done.
    pub act: Act,
    /// What is said of each suspect, in the order of the case.
    pub evidence: Vec<Evidence>,
}

/// One deploy among those that may be to blame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RankedDeploy {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Its stage.
    pub stage: StageName,
    /// The execution that deployed.
    pub execution: ExecutionId,
    /// How much speaks against it, of 1000; zero where the verdict clears it.
    pub score: u32,
    /// What is said of it alone.
    pub verdict: Verdict,
}

/// Rules on a case: judges every suspect, ranks those that are not cleared, and acts only where one is clearly ahead.
///
/// | situation | act |
/// | --- | --- |
/// | nobody is degraded | nothing |
/// | a person has been asked | ask for the others too |
/// | a rollback is still to show whether it helps | nothing |
/// | the incident has had [`ROLLBACKS_MAX`] automatic rollbacks | ask |
/// | one suspect, or the first has [`CLEARLY_AHEAD`] times the score of the second, by metrics twenty times | roll the first back |
/// | otherwise | ask |
pub fn rule_on(case: &Case) -> Ruling {
    let mut evidence: Vec<Evidence> = case.suspects.iter().map(|one| judge(one, &case.alarm, case.at)).collect();
    clear_earlier_places(case, &mut evidence);
    let ranking = ranking::rank(case, &evidence);
    let act = act_on(case, &ranking);
    ranking::explain(case, &ranking, &act, &mut evidence);
    Ruling { act, evidence }
}

/// A release that went on to a later stage is to blame there, if anywhere: what it does now, it does in the place it
/// reached last.
fn clear_earlier_places(case: &Case, evidence: &mut [Evidence]) {
    for (at, one) in case.suspects.iter().enumerate() {
        let later = case.suspects.iter().zip(evidence.iter()).find(|(other, found)| {
            let same = other.watch.pipeline == one.watch.pipeline && other.watch.execution == one.watch.execution;
            same && found.verdict == Verdict::Degraded && other.watch.from > one.watch.from
        });
        let Some(stage) = later.map(|(other, _)| other.watch.stage.clone()) else { continue };
        if evidence[at].verdict == Verdict::Degraded {
            evidence[at].verdict = Verdict::NotThisDeploy;
            evidence[at].reason = format!("the same release went on to stage {stage} before the alarm turned red");
        }
    }
}

/// Suspects by their place in the case with their scores, best first.
type Ranking = Vec<(usize, u32)>;

fn act_on(case: &Case, ranking: &Ranking) -> Act {
    let all = || Act::Ask(ranking.iter().map(|(at, _)| *at).collect());
    match ranking.as_slice() {
        [] => Act::Nothing,
        _ if case.asked => all(),
        _ if case.proving.is_some() => Act::Nothing,
        _ if case.rollbacks >= ROLLBACKS_MAX => all(),
        [(first, _)] => Act::RollBack(*first),
        [(first, best), (_, second), ..] if *best >= case.clearly_ahead() * second => Act::RollBack(*first),
        _ => all(),
    }
}

impl Case {
    /// The case of `alarm`, with its suspects in the order that makes equal cases equal.
    pub fn new(
        alarm: &AlarmChange,
        mut suspects: Vec<WatchedDeploy>,
        incident: Option<&Incident>,
        now: Timestamp,
    ) -> Self {
        suspects.retain(|one| !one.watch.proves());
        // Several rules of a stage may watch one alarm; the one that watches longest speaks for all.
        suspects.sort_by(|a, b| {
            let key = |one: &WatchedDeploy| (one.watch.pipeline.clone(), one.watch.stage.clone(), one.watch.execution);
            key(a).cmp(&key(b)).then(b.watch.until.cmp(&a.watch.until)).then(a.watch.rule.cmp(&b.watch.rule))
        });
        suspects.dedup_by(|a, b| a.watch.pipeline == b.watch.pipeline && a.watch.stage == b.watch.stage);
        let incident = incident.filter(|incident| incident.goes_on(alarm, now));
        Self {
            alarm: alarm.clone(),
            at: Some(now),
            suspects,
            rollbacks: incident.map_or(0, |incident| u32::try_from(incident.rollbacks.len()).unwrap_or(u32::MAX)),
            proving: incident.and_then(Incident::proving),
            asked: incident.is_some_and(|incident| incident.status == IncidentStatus::Asking),
        }
    }

    /// With how many times the score of the second the first acts alone.
    pub(crate) fn clearly_ahead(&self) -> u32 {
        let is_judged = self.suspects.iter().any(|one| one.sighted.is_some());
        if is_judged { AHEAD_BY_METRICS } else { CLEARLY_AHEAD }
    }

    /// Whether the alarm speaks against anybody at all.
    pub fn is_red(&self) -> bool {
        self.alarm.state == AlarmState::Alarm
    }
}

impl Evidence {
    /// The same evidence found anew from the case that is kept with it; none where an older version kept no case.
    pub fn replay(&self) -> Option<Self> {
        let mut case = self.case.as_deref()?.clone();
        for one in &mut case.suspects {
            one.sighted = one.sighted.as_ref().map(|seen| Box::new(seen.replay()));
        }
        let of_this = |found: &Self| found.execution == self.execution && found.stage == self.stage;
        rule_on(&case).evidence.into_iter().find(of_this)
    }
}
