//! Whether a stage can go back to an execution, and why not.

use std::fmt;

use jiff::Timestamp;

use crate::{
    ArtifactDigest, Execution, ExecutionId, ExecutionMode, PipelineIndex, PipelineName, RevokedContent, StageIndex,
    StageName, StageStatus, Success,
};

/// Why an execution cannot be what a stage goes back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ineligible {
    /// PARALLEL pipelines have no single thing that is live (spec 3.1, R8).
    ParallelMode,
    /// The first stage takes revisions; it deploys nothing (R2).
    SourceStage,
    /// Rollbacks are not targets; name the execution they brought back (R4).
    RollbackExecution {
        /// That execution.
        target: ExecutionId,
    },
    /// The latest execution skipped the stage, so what is live there is not what came last (R9).
    StageSkipped {
        /// That execution.
        by: ExecutionId,
    },
    /// It did not succeed in the stage (R1).
    NotSucceeded {
        /// How it stands there; absent if it never entered.
        status: Option<StageStatus>,
    },
    /// The stage's actions were changed since (R3, relaxed: edits elsewhere do not matter).
    StageChanged {
        /// Version the execution started in.
        started_in: u32,
        /// Current version.
        current: u32,
        /// What was changed, as [`changed_fields`](crate::changed_fields) names it; empty where it is not known.
        fields: Vec<String>,
    },
    /// It was rolled back from. Only a person may choose it again.
    Revoked {
        /// The rollback that took it back.
        by: ExecutionId,
    },
    /// What it carries was rolled back from, in another stage or pipeline. Only a person may choose it.
    ContentRevoked {
        /// The rollback.
        by: ExecutionId,
        /// Its pipeline.
        pipeline: PipelineName,
        /// Its stage.
        stage: StageName,
    },
    /// Something it needs is gone.
    ArtifactGone {
        /// The artifact.
        artifact: String,
        /// Where it was.
        location: String,
    },
    /// Something it needs is not what it was.
    ArtifactAltered {
        /// The artifact.
        artifact: String,
        /// Where it is.
        location: String,
        /// The digest it had.
        recorded: String,
        /// The digest of what is there; absent where S3 tells none.
        found: Option<String>,
    },
    /// Something it needs cannot be read, so whether it is what it was is not known.
    ArtifactUnreadable {
        /// The artifact.
        artifact: String,
        /// Where it was put.
        location: String,
        /// Why, without a full stop.
        why: String,
    },
}

/// Most changed fields that a refusal names, so that people can read it.
const FIELDS_NAMED_MAX: usize = 5;

impl fmt::Display for Ineligible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ParallelMode => f.write_str("The pipeline runs in PARALLEL mode, which has no rollback."),
            Self::SourceStage => f.write_str("The Source stage cannot be rolled back."),
            Self::RollbackExecution { target } => {
                write!(f, "It is itself a rollback; choose the execution it brought back, {target}.")
            }
            Self::StageSkipped { by } => write!(
                f,
                "The stage was skipped by the latest execution, {by}, and a skipped stage is not rolled back. Start the \
                 rollback with force (StartRollback) if it has to go back all the same."
            ),
            Self::NotSucceeded { status: Some(status) } => write!(f, "It did not succeed in the stage: {status}."),
            Self::NotSucceeded { status: None } => f.write_str("It never entered the stage."),
            Self::StageChanged { started_in, current, fields } => {
                write!(
                    f,
                    "The stage's actions were changed since: it started in version {started_in}, current is {current}."
                )?;
                let (named, more) = fields.split_at(fields.len().min(FIELDS_NAMED_MAX));
                match (named, more) {
                    ([], _) => Ok(()),
                    (named, []) => write!(f, " Changed: {}.", named.join(", ")),
                    (named, more) => write!(f, " Changed: {} and {} more.", named.join(", "), more.len()),
                }
            }
            Self::Revoked { by } => write!(f, "It was taken back by rollback {by}."),
            Self::ContentRevoked { by, pipeline, stage } => {
                write!(
                    f,
                    "What it carries was rolled back from in stage {stage} of pipeline {pipeline}, by rollback {by}."
                )
            }
            Self::ArtifactGone { artifact, location } => {
                write!(f, "Artifact {artifact} is gone from {location}.")
            }
            Self::ArtifactAltered { artifact, location, recorded, found } => {
                let found = found.as_deref().unwrap_or("without a checksum");
                write!(f, "Artifact {artifact} at {location} was altered: it was {recorded}, now it is {found}.")
            }
            Self::ArtifactUnreadable { artifact, location, why } => {
                write!(f, "Artifact {artifact} at {location} cannot be read: {why}.")
            }
        }
    }
}

/// Who chooses a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// A person, who may name a revoked execution and is told so.
    Manual,
    /// A person who knows that the stage was changed since or skipped, and goes back all the same.
    Forced,
    /// A failure or an alarm.
    Automatic,
}

/// What had to be looked up about a candidate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LookedUp {
    /// Those of its artifacts that the stage reads and that are no longer there.
    pub gone: Vec<String>,
    /// Those that are not what they were, with the digest of what is there, where S3 tells one.
    pub altered: Vec<(String, Option<ArtifactDigest>)>,
    /// Those that S3 refuses to show, with its reason. That it does not answer is no reason: then nothing is known.
    pub unreadable: Vec<(String, String)>,
    /// What was changed of the stage since, where its fingerprint tells that something was.
    pub changed: Vec<String>,
    /// The latest execution in the stage, where it skipped it. An automatic rollback does not ask: what it undoes is known.
    pub skipped_by: Option<ExecutionId>,
}

/// Why `stage` cannot go back to `candidate`; empty means it can.
///
/// The one answer that RollbackStage, the automatic choice and the list of candidates share (design section 6).
pub fn ineligible_because(
    index: &PipelineIndex,
    stage: &StageIndex,
    candidate: &Execution,
    looked_up: &LookedUp,
    choice: Choice,
) -> Vec<Ineligible> {
    let mut reasons = Vec::new();
    if index.mode == ExecutionMode::Parallel {
        reasons.push(Ineligible::ParallelMode);
    }
    if index.stages.first().is_some_and(|first| first.name == stage.name) {
        reasons.push(Ineligible::SourceStage);
    }
    if let Some(rollback) = &candidate.rollback {
        reasons.push(Ineligible::RollbackExecution { target: rollback.target });
    }
    if let (Some(by), Choice::Manual) = (looked_up.skipped_by, choice) {
        reasons.push(Ineligible::StageSkipped { by });
    }
    match candidate.stages.get(&stage.name) {
        Some(outcome) if outcome.status == StageStatus::Succeeded => {
            if outcome.fingerprint != stage.fingerprint && choice != Choice::Forced {
                let (started_in, current) = (candidate.pipeline_version, index.pipeline_version);
                let fields = looked_up.changed.clone();
                reasons.push(Ineligible::StageChanged { started_in, current, fields });
            }
            if let (Some(by), Choice::Automatic) = (outcome.revoked_by, choice) {
                reasons.push(Ineligible::Revoked { by });
            } else if let (Some(revoked), Choice::Automatic) = (&candidate.revoked, choice) {
                let RevokedContent { rollback: by, pipeline, stage, .. } = revoked.as_ref().clone();
                reasons.push(Ineligible::ContentRevoked { by, pipeline, stage });
            }
        }
        outcome => reasons.push(Ineligible::NotSucceeded { status: outcome.map(|outcome| outcome.status) }),
    }
    let place = |artifact: &String| {
        let location = candidate.artifacts.get(artifact);
        location.map_or("its place".to_owned(), |at| format!("s3://{}/{}", at.bucket, at.key))
    };
    for artifact in &looked_up.gone {
        reasons.push(Ineligible::ArtifactGone { artifact: artifact.clone(), location: place(artifact) });
    }
    for (artifact, found) in &looked_up.altered {
        reasons.push(Ineligible::ArtifactAltered {
            artifact: artifact.clone(),
            location: place(artifact),
            recorded: candidate.digests.get(artifact).map(ToString::to_string).unwrap_or_default(),
            found: found.as_ref().map(ToString::to_string),
        });
    }
    for (artifact, why) in &looked_up.unreadable {
        let (artifact, why) = (artifact.clone(), why.clone());
        reasons.push(Ineligible::ArtifactUnreadable { location: place(&artifact), artifact, why });
    }
    reasons
}

/// The successes an automatic rollback may choose from, best first: newest, not taken back, of the stage as it is,
/// older than what is undone. `successes` is newest first.
///
/// Age is the order of success in the stage. Where `undone` did not succeed there, every success is older.
pub fn choose_automatic<'a>(
    successes: &'a [Success],
    stage: &'a StageIndex,
    undone: ExecutionId,
) -> impl Iterator<Item = &'a Success> {
    let older = successes.iter().position(|success| success.execution == undone).map_or(0, |at| at + 1);
    let standing = standing(successes).filter(move |(at, _)| *at >= older);
    standing.map(|(_, success)| success).filter(|success| success.fingerprint == stage.fingerprint)
}

/// Those of `successes`, which are newest first, that no rollback took back, by a mark of their own or that of a newer one;
/// each with its place.
pub fn standing(successes: &[Success]) -> impl Iterator<Item = (usize, &Success)> {
    // Since when everything was taken back that is older than the successes seen so far.
    let mut taken_back: Option<Timestamp> = None;
    successes.iter().enumerate().filter(move |(_, success)| {
        let stands = success.revoked_by.is_none() && taken_back.is_none_or(|since| success.at <= since);
        taken_back = taken_back.into_iter().chain(success.revoked_after).min();
        stands
    })
}
