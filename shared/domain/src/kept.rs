//! What the next rollbacks of a stage need is kept: which executions, in what state their artifacts are, and what that
//! changes of what was known.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    ArtifactDigest, ArtifactLocation, ArtifactState, ExecutionId, ExecutionMode, PipelineIndex, PipelineName,
    StageIndex, StageName, Success, standing,
};

/// Executions of a stage whose artifacts are kept: what is live, which is what a failed deploy goes back to, and the one
/// before it, which is what an alarm goes back to.
pub const KEPT_TARGETS: usize = 2;
/// Executions that are looked at for those. Of a stage that has lost the artifacts of so many, a person has to think.
pub const KEPT_LOOKED_AT_MAX: usize = 5;
/// Between two looks at what nothing happens to.
const LOOK_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// Until the next look where one could not be taken.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// What is kept for a stage. One row for each stage that something succeeded in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The stage.
    pub stage: StageName,
    /// What the stage can go back to, best first. Those that lost an artifact are among them, so that the loss shows.
    #[serde(default)]
    pub targets: Vec<KeptTarget>,
    /// Artifacts that were kept until now, and may still be marked so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub letting_go: Vec<ArtifactLocation>,
    /// When they were looked at last.
    pub checked_at: Timestamp,
    /// When they are looked at next, whatever happens. Part of the key of a row: it changes with that row alone.
    pub due: Timestamp,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}

/// An execution that a stage can go back to, and how its artifacts stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptTarget {
    /// The execution.
    pub execution: ExecutionId,
    /// The artifacts that the stage reads.
    #[serde(default)]
    pub artifacts: Vec<KeptArtifact>,
}

/// An artifact that a rollback would need, or a function that it would invoke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptArtifact {
    /// Its name; of a function, that of the action which invokes it.
    pub name: String,
    /// The function. There is nothing to mark or to compare of it: it is there or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<KeptFunction>,
    /// Where it was put; absent if the execution never had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<ArtifactLocation>,
    /// Its digest when it was made, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<ArtifactDigest>,
    /// How it was found.
    pub state: ArtifactState,
    /// Since when it is known to be so.
    pub since: Timestamp,
}

/// A Lambda function as an execution invoked it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptFunction {
    /// Its name or ARN, with the version or alias where the configuration names one.
    pub function: String,
    /// Its region, if not Lastgood's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// A place in the order in which stages are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptDue {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The stage.
    pub stage: StageName,
    /// When it is due.
    pub due: Timestamp,
}

/// A row as it was, and as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptChange {
    /// As it was read; absent where there was none.
    pub before: Option<Kept>,
    /// As it is to be.
    pub after: Kept,
}

impl KeptTarget {
    /// Whether a rollback finds everything it needs.
    pub fn is_ready(&self) -> bool {
        self.artifacts.iter().all(|artifact| artifact.state == ArtifactState::Present)
    }

    fn places(&self) -> impl Iterator<Item = &ArtifactLocation> {
        self.artifacts.iter().filter_map(|artifact| artifact.at.as_ref())
    }
}

impl Kept {
    /// Where the artifacts are that are kept.
    pub fn places(&self) -> impl Iterator<Item = &ArtifactLocation> {
        self.targets.iter().flat_map(KeptTarget::places)
    }

    /// Executions with everything that a rollback to them needs.
    pub fn ready(&self) -> usize {
        self.targets.iter().filter(|target| target.is_ready()).count()
    }

    /// Its place in the order in which stages are looked at.
    pub fn due(&self) -> KeptDue {
        KeptDue { pipeline: self.pipeline.clone(), stage: self.stage.clone(), due: self.due }
    }

    /// The row after a look that could not be taken.
    pub fn postponed(&self, now: Timestamp) -> Self {
        Self { due: now + LOOK_AGAIN, ..self.clone() }
    }
}

/// Executions whose artifacts are worth keeping for `stage`, best first, at most [`KEPT_LOOKED_AT_MAX`]. `successes` is
/// newest first.
///
/// Those that the stage can go back to by itself come first: not taken back, and of the stage as it is. After an edit of the
/// stage there are none of them, and a person may still go back to the others. Nothing goes back to the first stage, or in
/// PARALLEL mode.
pub fn worth_keeping(index: &PipelineIndex, stage: &StageIndex, successes: &[Success]) -> Vec<ExecutionId> {
    let is_first = index.stages.first().is_some_and(|first| first.name == stage.name);
    if is_first || index.mode == ExecutionMode::Parallel {
        return Vec::new();
    }
    let standing = || standing(successes).map(|(_, success)| success);
    let is_same = |success: &&Success| success.fingerprint == stage.fingerprint;
    let own = standing().filter(is_same);
    let others = standing().filter(|success| !is_same(success));
    own.chain(others).map(|success| success.execution).take(KEPT_LOOKED_AT_MAX).collect()
}

/// The row of a stage whose `targets` were just looked at. Where nothing was kept before, it is looked at again after a
/// day; else when it is due.
pub fn keep(
    before: Option<&Kept>,
    (pipeline, stage): (&PipelineName, &StageName),
    targets: Vec<KeptTarget>,
    now: Timestamp,
) -> Kept {
    let targets = since_before(before, functions_as_before(before, targets));
    let stays = |at: &&ArtifactLocation| !targets.iter().flat_map(KeptTarget::places).any(|kept| kept == *at);
    let mut letting_go: Vec<ArtifactLocation> =
        before.into_iter().flat_map(Kept::places).filter(stays).cloned().collect();
    letting_go.dedup();
    Kept {
        pipeline: pipeline.clone(),
        stage: stage.clone(),
        letting_go,
        targets,
        checked_at: now,
        due: before.map(|before| before.due).filter(|due| *due > now).unwrap_or(now + LOOK_EVERY),
        version: before.map_or(0, |before| before.version),
    }
}

/// The row after another look at the same artifacts.
pub fn look_again(before: &Kept, targets: Vec<KeptTarget>, now: Timestamp) -> Kept {
    Kept { targets: since_before(Some(before), targets), checked_at: now, ..before.clone() }
}

/// `targets` with their functions in the state that is known of them: whoever looks at artifacts does not look at those.
fn functions_as_before(before: Option<&Kept>, mut targets: Vec<KeptTarget>) -> Vec<KeptTarget> {
    for target in &mut targets {
        for artifact in target.artifacts.iter_mut().filter(|artifact| artifact.function.is_some()) {
            if let Some(known) = before.and_then(|before| find(before, target.execution, artifact)) {
                artifact.state = known.state;
            }
        }
    }
    targets
}

/// `targets` with the times since when their artifacts are known to be as they are.
fn since_before(before: Option<&Kept>, mut targets: Vec<KeptTarget>) -> Vec<KeptTarget> {
    for target in &mut targets {
        for artifact in &mut target.artifacts {
            if let Some(known) = before.and_then(|before| find(before, target.execution, artifact))
                && known.state == artifact.state
            {
                artifact.since = known.since;
            }
        }
    }
    targets
}

fn find<'a>(kept: &'a Kept, execution: ExecutionId, same: &KeptArtifact) -> Option<&'a KeptArtifact> {
    let target = kept.targets.iter().find(|target| target.execution == execution)?;
    target.artifacts.iter().find(|artifact| artifact.name == same.name && artifact.function == same.function)
}

impl KeptChange {
    /// Artifacts whose state is another than was known, each with its execution: what is told. One that is first looked
    /// at is told of only where it is lost.
    pub fn turned(&self) -> Vec<(ExecutionId, &KeptArtifact)> {
        let mut turned = Vec::new();
        for target in &self.after.targets {
            for artifact in &target.artifacts {
                let before = self.before.as_ref().and_then(|before| find(before, target.execution, artifact));
                let was = before.map_or(ArtifactState::Present, |before| before.state);
                if was != artifact.state {
                    turned.push((target.execution, artifact));
                }
            }
        }
        turned
    }
}
