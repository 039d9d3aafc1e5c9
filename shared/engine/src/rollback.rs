//! Going back: which executions a stage can go back to, and starting the rollback.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ArtifactDigest, ArtifactLocation, ArtifactState, Choice, Execution, ExecutionId, Ineligible, KEPT_LOOKED_AT_MAX,
    LookedUp, PipelineIndex, PipelineName, PipelineView, Rejected, RollbackCause, RollbackOrder, StageIndex, StageName,
    StageStatus, Success, artifact_state, choose_automatic, ineligible_because, standing, start_rollback,
};
use futures::{StreamExt, stream};

use crate::{
    EngineError, HasMachines, HasObjects, HasStore, commit,
    commit::until_stored,
    edits::Edits,
    gate::load_into,
    loading::load_of,
    ports::{ObjectInfo, Objects, ObjectsError, Page, PageRequest, Store},
    revoked,
    start::not_found,
};

/// How many successes an automatic choice looks at. Each that is passed over lost its artifacts, or they cannot be read; a
/// stage that lost this many has a person's problem.
const LOOKED_AT_MAX: u32 = 50;
/// How many successes are read, in pages of as many, to find those: rollbacks took others back, and edits changed the stage.
const READ_MAX: usize = 1_000;
/// How many successes one rollback takes back: with their executions they share its transaction of 100 writes.
const REVOKED_MAX: u32 = 20;
/// Artifacts looked for at the same time.
const HEADS_PARALLEL_MAX: usize = 16;

/// A past execution, and whether a stage can go back to it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The execution.
    pub execution: Execution,
    /// Why not; empty means it can.
    pub reasons: Vec<Ineligible>,
    /// The rollback that took its success back, or went back from the same content elsewhere: a person may choose it all
    /// the same.
    pub revoked_by: Option<ExecutionId>,
}

/// Tells of every past execution, newest first, whether `stage` can go back to it or why not.
///
/// # Errors
/// Refusals `PipelineNotFoundException`, `StageNotFoundException`.
pub async fn list_candidates<W: HasStore + HasObjects>(
    world: &W,
    pipeline: &PipelineName,
    stage: &StageName,
    page: PageRequest,
) -> Result<Page<Candidate>, EngineError> {
    // One request for the first page, which people look at, whatever the history's length; one more for those after it,
    // and one for what of theirs is revoked.
    let (head, mut executions) = world.store().list_executions_with_head(pipeline, page).await?;
    let latest = |index: &PipelineIndex| {
        let mut own = executions.items.iter().filter(|execution| index.owns(execution));
        own.find_map(|execution| Some((execution.id, execution.stages.get(stage)?.status)))
    };
    let (index, skipped_by) = match head.map(|index| (latest(&index), index)) {
        // Of the newest executions, the first that entered the stage tells how it stands.
        Some((latest, index)) if latest.is_some() || executions.next.is_none() => {
            (index, latest.filter(|(_, status)| *status == StageStatus::Skipped).map(|(id, _)| id))
        }
        _ => {
            let view = load_view(world, pipeline).await?;
            let skipped_by = view.stage(stage).skipped_by();
            (view.index, skipped_by)
        }
    };
    executions.items.retain(|execution| index.owns(execution));
    let (index, stage) = (&index, find_in(&index, stage)?);
    revoked::look_up(world, &mut executions.items).await?;
    let changed = executions.items.iter().filter(|execution| is_changed(stage, execution));
    let edits = Edits::load(world, index, stage, changed.map(|execution| execution.pipeline_version)).await?;
    let (edits, choice) = (&edits, Choice::Manual);
    let items = stream::iter(executions.items)
        .map(async |execution| candidate(world, index, stage, execution, edits, (choice, skipped_by)).await)
        .buffered(HEADS_PARALLEL_MAX)
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .collect::<Result<_, _>>()?;
    Ok(Page { items, next: executions.next })
}

/// Whether the stage succeeded in `execution` and does something else by now.
pub(crate) fn is_changed(stage: &StageIndex, execution: &Execution) -> bool {
    let outcome = execution.stages.get(&stage.name).filter(|outcome| outcome.status == StageStatus::Succeeded);
    outcome.is_some_and(|outcome| outcome.fingerprint != stage.fingerprint)
}

async fn candidate<W: HasObjects>(
    world: &W,
    index: &PipelineIndex,
    stage: &StageIndex,
    execution: Execution,
    edits: &Edits,
    (choice, skipped_by): (Choice, Option<ExecutionId>),
) -> Result<Candidate, EngineError> {
    let changed = edits.since(execution.pipeline_version);
    let mut known = LookedUp { skipped_by, ..looked_up(changed, &[]) };
    let mut reasons = ineligible_because(index, stage, &execution, &known, choice);
    if reasons.is_empty() {
        // Only of those that nothing else speaks against, S3 is asked.
        known =
            LookedUp { skipped_by, ..looked_up(known.changed, &look_at_artifacts(world, stage, &execution).await?) };
        reasons = ineligible_because(index, stage, &execution, &known, choice);
    }
    let elsewhere = execution.revoked.as_ref().map(|revoked| revoked.rollback);
    let revoked_by = execution.stages.get(&stage.name).and_then(|outcome| outcome.revoked_by).or(elsewhere);
    Ok(Candidate { execution, reasons, revoked_by })
}

/// An artifact that a stage reads, as an execution has it.
#[derive(Debug, Clone)]
pub struct StoredArtifact {
    /// Its name.
    pub name: String,
    /// Where it was put; absent if the execution never had it.
    pub at: Option<ArtifactLocation>,
    /// Its digest when it was made, where one is known.
    pub recorded: Option<ArtifactDigest>,
    /// What is there, absent where it is gone; or why S3 refuses to show it.
    pub object: Result<Option<ObjectInfo>, String>,
}

impl StoredArtifact {
    /// How it stands.
    pub fn state(&self) -> ArtifactState {
        match &self.object {
            Ok(found) => artifact_state(self.recorded.as_ref(), found.as_ref().map(|object| object.digest.as_ref())),
            Err(_) => ArtifactState::Unreadable,
        }
    }

    /// Looks at what is there now. One that S3 refuses to show says nothing of any other, so that is no error.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`]: S3 did not answer, so nothing is known.
    pub(crate) async fn look_at<W: HasObjects>(
        world: &W,
        name: String,
        at: Option<ArtifactLocation>,
        recorded: Option<ArtifactDigest>,
    ) -> Result<Self, EngineError> {
        let object = match &at {
            None => Ok(None),
            Some(at) => match world.objects().head(&at.into(), None).await {
                Ok(info) => Ok(Some(info)),
                Err(ObjectsError::NotFound(..)) => Ok(None),
                Err(error) if error.is_retryable() => return Err(error.into()),
                Err(error) => Err(why_not_shown(&error)),
            },
        };
        Ok(Self { name, at, recorded, object })
    }
}

/// Why S3 refuses to show an object, where it is known which: part of a sentence.
fn why_not_shown(error: &ObjectsError) -> String {
    let why = match error {
        ObjectsError::AccessDenied { .. } => {
            return "access denied; allow it in the role's policy, the bucket policy and the key policy".to_owned();
        }
        ObjectsError::Key { reason, .. } => format!("the KMS key cannot be used: {reason}"),
        ObjectsError::Other { reason, .. } => reason.clone(),
        other => other.to_string(),
    };
    why.trim_end_matches('.').to_owned()
}

/// Everything that is looked up about a candidate.
pub(crate) fn looked_up(changed: Vec<String>, artifacts: &[StoredArtifact]) -> LookedUp {
    let mut looked_up = LookedUp { changed, ..LookedUp::default() };
    for artifact in artifacts {
        let name = artifact.name.clone();
        match (artifact.state(), &artifact.object) {
            (ArtifactState::Altered, Ok(found)) => {
                looked_up.altered.push((name, found.as_ref().and_then(|object| object.digest.clone())));
            }
            (_, Err(why)) => looked_up.unreadable.push((name, why.clone())),
            (_, Ok(None)) => looked_up.gone.push(name),
            (_, Ok(Some(_))) => {}
        }
    }
    looked_up
}

/// The artifacts that `stage` reads, as `execution` has them.
///
/// # Errors
/// [`EngineError::Unavailable`]: S3 did not answer, so nothing is known.
pub(crate) async fn look_at_artifacts<W: HasObjects>(
    world: &W,
    stage: &StageIndex,
    execution: &Execution,
) -> Result<Vec<StoredArtifact>, EngineError> {
    let mut found = Vec::new();
    for name in stage.inputs() {
        let at = execution.artifacts.get(name).cloned();
        let recorded = execution.digests.get(name).cloned();
        found.push(StoredArtifact::look_at(world, name.to_owned(), at, recorded).await?);
    }
    Ok(found)
}

/// The execution an automatic rollback brings back: the newest that can be, older than `undone`; or why there is none.
pub(crate) async fn choose_target<W: HasStore + HasObjects>(
    world: &W,
    view: &PipelineView,
    stage: &StageIndex,
    undone: ExecutionId,
) -> Result<Result<Execution, String>, EngineError> {
    let (mut successes, mut passed_over) = (Vec::new(), Vec::new());
    let (mut seen, mut after) = (BTreeSet::new(), None);
    loop {
        let page = PageRequest { limit: LOOKED_AT_MAX, after };
        let page = world.store().list_successes(&view.index.name, &stage.name, page).await?;
        successes.extend(page.items);
        for success in choose_automatic(&successes, stage, undone) {
            if seen.len() == LOOKED_AT_MAX as usize || !seen.insert(success.execution) {
                continue;
            }
            let Some(mut execution) = load_of(world, view, success.execution).await? else {
                continue;
            };
            revoked::look_up(world, [&mut execution]).await?;
            let looked_up = looked_up(Vec::new(), &look_at_artifacts(world, stage, &execution).await?);
            let reasons = ineligible_because(&view.index, stage, &execution, &looked_up, Choice::Automatic);
            match reasons.first() {
                None => return Ok(Ok(execution)),
                Some(reason) => passed_over.push(format!("{}: {reason}", execution.id)),
            }
        }
        after = page.next;
        if after.is_none() || seen.len() == LOOKED_AT_MAX as usize || successes.len() >= READ_MAX {
            break;
        }
    }
    Ok(Err(match passed_over.as_slice() {
        [] => format!("no earlier execution succeeded in stage {} as it is now.", stage.name),
        reasons => format!("no earlier execution can be brought back: {}", reasons.join(" ")),
    }))
}

/// The newest successes in a stage: a page, or as many as it takes to have some that no rollback took back.
pub(crate) async fn newest_successes<W: HasStore>(
    world: &W,
    view: &PipelineView,
    stage: &StageIndex,
) -> Result<Vec<Success>, EngineError> {
    let (mut successes, mut after) = (Vec::new(), None);
    loop {
        let page = PageRequest { limit: LOOKED_AT_MAX, after };
        let page = world.store().list_successes(&view.index.name, &stage.name, page).await?;
        successes.extend(page.items);
        after = page.next;
        let is_enough = standing(&successes).count() >= KEPT_LOOKED_AT_MAX || successes.len() >= READ_MAX;
        if is_enough || after.is_none() {
            return Ok(successes);
        }
    }
}

/// Brings `target` back to `stage` because a person wants it, at once and before everyone who waits: RollbackStage, and
/// StartRollback with its reason.
///
/// # Errors
/// Refusals as in spec 3.2: `PipelineNotFoundException`, `StageNotFoundException`,
/// `PipelineExecutionNotFoundException`, `UnableToRollbackStageException`, `PipelineExecutionOutdatedException`,
/// `ConflictException`.
pub async fn rollback_stage<W: HasStore + HasMachines + HasObjects>(
    world: &W,
    pipeline: &PipelineName,
    stage: &StageName,
    target: ExecutionId,
    cause: RollbackCause,
) -> Result<ExecutionId, EngineError> {
    until_stored(async || {
        let view = load_view(world, pipeline).await?;
        let index = find_stage(&view, stage)?;
        let execution = load_target(world, &view, target).await?;
        let edits = Edits::of(world, &view.index, index, &execution).await?;
        let chosen_as = (cause.choice(), view.stage(stage).skipped_by());
        let candidate = candidate(world, &view.index, index, execution, &edits, chosen_as).await?;
        if let Some(reason) = candidate.reasons.first() {
            return Err(refuse(stage, target, reason));
        }
        let undone = undone_by(&view, stage, target);
        start(world, &view, &candidate.execution, stage, undone, cause.clone()).await
    })
    .await
}

/// What a rollback to `target` undoes: what is live, unless that is the target's own revision.
pub(crate) fn undone_by(view: &PipelineView, stage: &StageName, target: ExecutionId) -> Option<ExecutionId> {
    view.stage(stage).live.filter(|live| live.revision_of != target).map(|live| live.deployed_by)
}

/// The execution that a caller names.
///
/// # Errors
/// Refusal `PipelineExecutionNotFoundException`.
pub(crate) async fn load_target<W: HasStore>(
    world: &W,
    view: &PipelineView,
    target: ExecutionId,
) -> Result<Execution, EngineError> {
    let mut execution = load_of(world, view, target).await?;
    revoked::look_up(world, &mut execution).await?;
    execution.ok_or_else(|| {
        let pipeline = &view.index.name;
        let message = format!("Pipeline '{pipeline}' has no execution '{target}'.");
        EngineError::refused("PipelineExecutionNotFoundException", message)
    })
}

/// Decides and stores a rollback that no failure is being settled for.
pub(crate) async fn start<W: HasStore + HasMachines>(
    world: &W,
    view: &PipelineView,
    target: &Execution,
    stage: &StageName,
    undone: Option<ExecutionId>,
    cause: RollbackCause,
) -> Result<ExecutionId, EngineError> {
    let (id, changes) = prepare(world, view, target, stage, undone, cause).await?;
    commit(world, &view.index.name, changes).await?;
    Ok(id)
}

/// Decides a rollback: the new execution's id and the changes, which the caller may add to before storing them.
pub(crate) async fn prepare<W: HasStore>(
    world: &W,
    view: &PipelineView,
    target: &Execution,
    stage: &StageName,
    undone: Option<ExecutionId>,
    cause: RollbackCause,
) -> Result<(ExecutionId, domain::Changes), EngineError> {
    let pipeline = &view.index.name;
    let (newer, is_all) = newer_successes(world, pipeline, stage, target.id).await?;
    let more_since = target.stages.get(stage).and_then(|outcome| outcome.left_at).filter(|_| !is_all);
    let mut executions = BTreeMap::new();
    let inside = view.stage(stage).occupant.map(|inside| inside.execution);
    let successes = newer.iter().map(|success| success.execution);
    let concerned: BTreeSet<ExecutionId> = successes.chain(inside).chain(undone).collect();
    for id in concerned {
        load_into(world, view, id, &mut executions).await?;
    }
    // A success whose execution has expired is marked in the list of successes alone.
    let newer: Vec<Success> = newer.into_iter().filter(|success| executions.contains_key(&success.execution)).collect();
    let order = RollbackOrder { id: world.new_execution_id(), stage, target, undone, cause, newer: &newer, more_since };
    match start_rollback(view, &executions, &order, world.now()) {
        Ok(changes) => Ok((order.id, changes)),
        Err(Rejected::AlreadyDone) => {
            let message = format!("Stage '{stage}' is being rolled back already. Wait until that has ended.");
            Err(EngineError::refused("ConflictException", message))
        }
        Err(Rejected::Stale | Rejected::Illegal) => Err(EngineError::Contended),
    }
}

/// Successes in `stage` that came after `target`'s: what going back to it takes back. As many as have room, and whether
/// those are all.
async fn newer_successes<W: HasStore>(
    world: &W,
    pipeline: &PipelineName,
    stage: &StageName,
    target: ExecutionId,
) -> Result<(Vec<Success>, bool), EngineError> {
    let page = PageRequest { limit: REVOKED_MAX, after: None };
    let page = world.store().list_successes(pipeline, stage, page).await?;
    let read = page.items.len();
    let newer: Vec<Success> = page.items.into_iter().take_while(|success| success.execution != target).collect();
    let is_all = newer.len() < read || page.next.is_none();
    Ok((newer, is_all))
}

fn refuse(stage: &StageName, target: ExecutionId, reason: &Ineligible) -> EngineError {
    let exception = match reason {
        Ineligible::StageChanged { .. } => "PipelineExecutionOutdatedException",
        _ => "UnableToRollbackStageException",
    };
    EngineError::refused(exception, format!("Stage '{stage}' cannot go back to execution '{target}'. {reason}"))
}

/// Everything under a pipeline's key, by one request: its row, stages, latest actions and waiting executions.
///
/// # Errors
/// Refusal `PipelineNotFoundException`.
pub async fn load_view<W: HasStore>(world: &W, pipeline: &PipelineName) -> Result<PipelineView, EngineError> {
    let view = world.store().load_pipeline(pipeline).await?;
    view.ok_or_else(|| not_found(&world.settings().account, pipeline.as_str()))
}

/// The stage called `stage`.
///
/// # Errors
/// Refusal `StageNotFoundException`.
pub fn find_stage<'a>(view: &'a PipelineView, stage: &StageName) -> Result<&'a StageIndex, EngineError> {
    find_in(&view.index, stage)
}

fn find_in<'a>(index: &'a PipelineIndex, stage: &StageName) -> Result<&'a StageIndex, EngineError> {
    index.stage(stage).map(|(_, stage)| stage).ok_or_else(|| {
        let message = format!("Pipeline '{}' has no stage '{stage}'.", index.name);
        EngineError::refused("StageNotFoundException", message)
    })
}
