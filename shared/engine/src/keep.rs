//! What the next rollbacks of a stage need is looked at before each deploy and once a day, and marked in S3, so that the
//! bucket's lifecycle lets it be.
//!
//! The row says what is marked before anything is, and forgets what is to be marked no more only after that was done. With
//! the row the effect is stored that marks: whoever stands still before that may find that another has performed, and
//! forgotten, the one it was asked by. So a crash anywhere leaves an effect that says what to do again.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ActionName, ArtifactLocation, ArtifactState, Changes, Effect, ExecutionId, GateAnswer, KEPT_TARGETS, Kept,
    KeptArtifact, KeptChange, KeptFunction, KeptTarget, PipelineName, PipelineView, StageIndex, StageName, look_again,
    worth_keeping,
};
use jiff::Timestamp;

use crate::{
    EngineError, HasFunctions, HasMachines, HasObjects, HasStore, commit,
    commit::{store, until_stored},
    error::FirstError,
    loading::load_of,
    outbox::{forget, forget_or_leave, give_up, perform_all},
    ports::{Functions, Objects, ObjectsError, PageRequest, Precondition, Row, Store, StoreError, Write},
    rollback::{StoredArtifact, look_at_artifacts, newest_successes},
};

/// The tag of artifacts by which a lifecycle rule knows them: S3's rules choose objects that have a tag, not objects that
/// lack one, so what is not kept says so.
pub const KEEP_TAG: &str = "lastgood:keep";
/// Its value on what a rollback may need.
pub const KEEP_YES: &str = "true";
/// Its value on what no rollback needs, or not yet.
pub const KEEP_NO: &str = "false";

/// How often marks are looked at again where others change what is kept at the same time.
const ROUNDS_MAX: usize = 5;
/// Runs of an execution that are read to find the functions it invoked; one with more is looked at as far as that.
const RUNS_READ_MAX: u32 = 100;
/// Stages looked at by one run of the reconciler: at some ten requests each a few seconds, and 1,000 pipelines with ten stages
/// each take 500 of a day's 1,440 runs.
const DUE_MAX: u32 = 20;

/// What was asked of S3.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Probed {
    /// Stages that were looked at.
    pub(crate) stages: usize,
    /// Requests for that, not counting those that wrote.
    pub(crate) requests: usize,
}

/// What a decision at the gate leaves to do about artifacts.
pub(crate) struct Ahead {
    entered: Vec<StageName>,
    effects: Vec<Effect>,
}

impl Ahead {
    /// Of `changes`, which are about to be stored.
    pub(crate) fn of(view: &PipelineView, changes: &Changes) -> Self {
        // A stage in which nothing succeeded has nothing to go back to.
        let entered = changes.effects.iter().filter_map(|effect| match effect {
            Effect::AnswerGate { answer: GateAnswer::RunStage { stage, .. }, .. } => {
                let (place, index) = view.index.stage(stage)?;
                let can_go_back = place > 0 && index.has_needs() && view.stage(stage).live.is_some();
                can_go_back.then(|| stage.clone())
            }
            _ => None,
        });
        let effects = changes.effects.iter().filter(|effect| matches!(effect, Effect::KeepArtifacts { .. }));
        Self { entered: entered.collect(), effects: effects.cloned().collect() }
    }

    /// Does it, while those that the gate let in go on. What cannot be done now is the reconciler's.
    pub(crate) async fn go<W: HasStore + HasMachines + HasObjects>(self, world: &W, pipeline: &PipelineName) {
        for effect in &self.effects {
            keep_and_forget(world, effect).await;
        }
        for stage in &self.entered {
            // A deploy does not wait for this, nor fail by it: whoever goes back looks again.
            drop(probe(world, pipeline, stage).await);
        }
    }
}

/// Performs an effect and takes it out of the outbox, where it stays while services do not answer. What S3 refuses is refused
/// the next time too, and kept nothing else from being marked: the daily look tries that again. Whether it was performed.
pub(crate) async fn keep_and_forget<W: HasStore + HasMachines + HasObjects>(world: &W, effect: &Effect) -> bool {
    let Effect::KeepArtifacts { pipeline, stage, .. } = effect else { return false };
    let done = Box::pin(keep(world, (pipeline, stage), Some(effect), &mut Probed::default())).await;
    if matches!(done, Err(EngineError::Broken(_))) {
        give_up(world, effect).await;
        return false;
    }
    forget_or_leave(world, effect, done.is_ok()).await
}

/// Looks at what `stage` can go back to, and marks what is kept for that and what is kept no more.
///
/// # Errors
/// [`EngineError::Unavailable`]: do it again; [`EngineError::Broken`]: S3 refuses to mark something, which a person has to see
/// to. All else is done then.
pub(crate) async fn keep_artifacts<W: HasStore + HasMachines + HasObjects>(
    world: &W,
    pipeline: &PipelineName,
    stage: &StageName,
    probed: &mut Probed,
) -> Result<(), EngineError> {
    keep(world, (pipeline, stage), None, probed).await
}

/// `asked` is the effect that asks for it, which its performer forgets.
async fn keep<W: HasStore + HasMachines + HasObjects>(
    world: &W,
    (pipeline, stage): (&PipelineName, &StageName),
    asked: Option<&Effect>,
    probed: &mut Probed,
) -> Result<(), EngineError> {
    let kept = until_stored(async || Box::pin(decide(world, pipeline, stage, asked)).await).await?;
    let Some(Decided { row, others, requests, stored, mut refused }) = kept else { return Ok(()) };
    probed.stages += 1;
    probed.requests += requests + row.targets.len();
    let mut marks: Vec<(ArtifactLocation, bool)> = row.places().map(|at| (at.clone(), true)).collect();
    marks.extend(let_go(&row.letting_go, &others));
    settle(world, pipeline, marks, &mut refused).await?;
    if row.targets.is_empty() {
        // Nothing is kept for a stage that is gone, or that nothing goes back to; unless a later look has found something.
        let as_stored = Precondition::Version(row.version);
        let writes = vec![Write::Delete(Row::KeptDue(row.due())), Write::DeleteIf(Row::Kept(row), as_stored)];
        match world.store().commit(writes).await {
            Err(StoreError::Contended) => {}
            other => other?,
        }
    }
    if let Some(effect) = stored.filter(|stored| asked != Some(stored)) {
        forget(world, &effect).await;
    }
    refused.into_result()
}

struct Decided {
    /// As it is stored.
    row: Kept,
    /// Of the pipeline's other stages.
    others: Vec<Kept>,
    requests: usize,
    /// The effect that was stored with it, where it was stored now.
    stored: Option<Effect>,
    /// What S3 refused to mark of what was let go before.
    refused: FirstError,
}

/// Stores what is to be kept. `None` where nothing is and nothing was.
async fn decide<W: HasStore + HasMachines + HasObjects>(
    world: &W,
    pipeline: &PipelineName,
    stage: &StageName,
    asked: Option<&Effect>,
) -> Result<Option<Decided>, EngineError> {
    // First what is to be replaced: whoever stands still after it is refused when another look was faster. Read the other way
    // round, a pipeline that was not there takes away what is kept for the next one of its name.
    let (own, others): (Vec<Kept>, Vec<Kept>) =
        world.store().kept_of(pipeline).await?.into_iter().partition(|kept| kept.stage == *stage);
    let view = world.store().load_pipeline(pipeline).await?;
    let before = own.into_iter().next();
    let index = view.as_ref().and_then(|view| view.index.stage(stage).map(|(_, index)| (view, index)));
    let targets = match index {
        Some((view, index)) => look_for_targets(world, view, index).await?,
        None => Vec::new(),
    };
    if targets.is_empty() && before.is_none() {
        return Ok(None);
    }
    let requests = targets.iter().map(|target| target.artifacts.len()).sum();
    let mut after = domain::keep(before.as_ref(), (pipeline, stage), targets, world.now());
    let mut refused = FirstError::default();
    if let Some(before) = &before {
        // Those of the look before this one: that they were let go is known only once it was seen.
        let still = before.letting_go.iter().filter(|at| !after.places().any(|kept| kept == *at)).cloned();
        let still: Vec<ArtifactLocation> = still.collect();
        settle(world, pipeline, let_go(&still, &others).collect(), &mut refused).await?;
    }
    let is_news = before.as_ref().is_none_or(|before| {
        (&before.targets, before.due) != (&after.targets, after.due) || before.letting_go != after.letting_go
    });
    let mut stored = None;
    if is_news {
        let is_first = before.is_none();
        if is_first {
            // Whoever looked at an earlier row of this place, and is late, must not take this one for it.
            after.version = world.now().as_microsecond().unsigned_abs();
        }
        let known = before.iter().chain([&after]).flat_map(|row| &row.targets).map(|target| target.execution).max();
        let marking = |after| Effect::KeepArtifacts { pipeline: pipeline.clone(), stage: stage.clone(), after };
        stored = asked.cloned().or_else(|| known.map(marking));
        let kept = vec![KeptChange { before, after: after.clone() }];
        let changes = Changes { kept, effects: stored.iter().cloned().collect(), ..Changes::default() };
        let mut effects = store(world, pipeline, &changes).await?;
        // This is being performed.
        effects.retain(|effect| stored.as_ref() != Some(effect));
        perform_all(world, &effects).await;
        after.version += u64::from(!is_first);
    }
    Ok(Some(Decided { row: after, others, requests, stored, refused }))
}

/// The executions that are worth keeping, with how their artifacts stand, until enough have all they need.
async fn look_for_targets<W: HasStore + HasObjects>(
    world: &W,
    view: &PipelineView,
    stage: &StageIndex,
) -> Result<Vec<KeptTarget>, EngineError> {
    let successes = newest_successes(world, view, stage).await?;
    let (mut targets, mut ready) = (Vec::new(), 0);
    for id in worth_keeping(&view.index, stage, &successes) {
        let Some(execution) = load_of(world, view, id).await? else { continue };
        let found = look_at_artifacts(world, stage, &execution).await?;
        let now = world.now();
        let mut artifacts: Vec<KeptArtifact> = found.into_iter().map(|one| found_at(one, now)).collect();
        artifacts.extend(functions_of(world, view, stage, id).await?);
        let target = KeptTarget { execution: id, artifacts };
        ready += usize::from(target.is_ready());
        targets.push(target);
        if ready == KEPT_TARGETS {
            break;
        }
    }
    Ok(targets)
}

fn found_at(artifact: StoredArtifact, since: Timestamp) -> KeptArtifact {
    let state = artifact.state();
    KeptArtifact { name: artifact.name, function: None, at: artifact.at, digest: artifact.recorded, state, since }
}

/// The functions that `execution` invoked in the stage, taken to be there: it has invoked them.
async fn functions_of<W: HasStore>(
    world: &W,
    view: &PipelineView,
    stage: &StageIndex,
    execution: ExecutionId,
) -> Result<Vec<KeptArtifact>, EngineError> {
    let invoking: BTreeSet<&ActionName> = stage.invoking().map(|action| &action.name).collect();
    if invoking.is_empty() {
        return Ok(Vec::new());
    }
    let page = PageRequest { limit: RUNS_READ_MAX, after: None };
    let runs = world.store().list_action_runs(&view.index.name, Some(execution), page).await?.items;
    let mut found = BTreeMap::new();
    // The newest first: of one that was retried, the function that succeeded.
    for run in runs.into_iter().filter(|run| run.stage == stage.name && invoking.contains(&run.action)) {
        let Some(function) = run.resolved_configuration.get("FunctionName") else { continue };
        found.entry(run.action.clone()).or_insert_with(|| KeptArtifact {
            name: run.action.to_string(),
            function: Some(KeptFunction { function: function.clone(), region: run.region.clone() }),
            at: None,
            digest: None,
            state: ArtifactState::Present,
            since: run.updated_at,
        });
    }
    Ok(found.into_values().collect())
}

/// Looks whether the functions are there that rollbacks of `stage` would invoke, and tells of those that were lost. What
/// Lambda does not answer for is as it was.
///
/// # Errors
/// [`EngineError::Unavailable`]: nothing is known that was not before.
pub(crate) async fn probe_functions<W: HasStore + HasMachines + HasFunctions>(
    world: &W,
    pipeline: &PipelineName,
    stage: &StageName,
) -> Result<(), EngineError> {
    until_stored(async || {
        let rows = world.store().kept_of(pipeline).await?;
        let Some(before) = rows.into_iter().find(|kept| kept.stage == *stage) else { return Ok(()) };
        let mut targets = before.targets.clone();
        // Targets mostly invoke the same.
        let mut seen: Vec<(KeptFunction, ArtifactState)> = Vec::new();
        for artifact in targets.iter_mut().flat_map(|target| &mut target.artifacts) {
            let Some(of) = &artifact.function else { continue };
            let known = seen.iter().find(|(function, _)| function == of).map(|(_, state)| *state);
            let state = match known {
                Some(state) => state,
                None => match world.functions().is_there(of.region.as_deref(), &of.function).await {
                    Ok(true) => ArtifactState::Present,
                    Ok(false) => ArtifactState::Gone,
                    Err(_) => artifact.state,
                },
            };
            seen.push((of.clone(), state));
            (artifact.state, artifact.since) = (state, world.now());
        }
        let after = look_again(&before, targets, world.now());
        let change = KeptChange { before: Some(before), after };
        if change.turned().is_empty() {
            return Ok(());
        }
        commit(world, pipeline, Changes { kept: vec![change], ..Changes::default() }).await
    })
    .await
}

/// Marks artifacts as kept or not, and looks afterwards whether the rows still say so: meanwhile another look, at this stage or
/// another, may have begun to keep one of them or let it go. If it does after the last look here, it marks it after that.
///
/// One that S3 refuses to mark is told to `refused`, and keeps none of the others from being marked.
///
/// # Errors
/// [`EngineError::Contended`] where others are always faster, [`EngineError::Unavailable`] where S3 does not answer: do it again.
async fn settle<W: HasStore + HasObjects>(
    world: &W,
    pipeline: &PipelineName,
    mut marks: Vec<(ArtifactLocation, bool)>,
    refused: &mut FirstError,
) -> Result<(), EngineError> {
    for _ in 0..ROUNDS_MAX {
        for (at, is_kept) in &marks {
            match mark(world, at, if *is_kept { KEEP_YES } else { KEEP_NO }).await {
                Err(error @ EngineError::Broken(_)) => refused.note(error),
                marked => marked?,
            }
        }
        if marks.is_empty() {
            return Ok(());
        }
        let rows = world.store().kept_of(pipeline).await?;
        marks.retain_mut(|(at, is_kept)| {
            let was = std::mem::replace(is_kept, is_wanted(&rows, at));
            was != *is_kept
        });
    }
    if marks.is_empty() { Ok(()) } else { Err(EngineError::Contended) }
}

/// Of `places`, those that no other stage keeps.
fn let_go<'a>(
    places: &'a [ArtifactLocation],
    others: &'a [Kept],
) -> impl Iterator<Item = (ArtifactLocation, bool)> + 'a {
    places.iter().filter(|at| !is_wanted(others, at)).map(|at| (at.clone(), false))
}

fn is_wanted(rows: &[Kept], at: &ArtifactLocation) -> bool {
    rows.iter().flat_map(Kept::places).any(|kept| kept == at)
}

/// Marks an artifact. One that is gone needs no mark.
async fn mark<W: HasObjects>(world: &W, at: &ArtifactLocation, value: &str) -> Result<(), EngineError> {
    match world.objects().set_tag(&at.into(), KEEP_TAG, value).await {
        Ok(()) | Err(ObjectsError::NotFound(..)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Looks at the artifacts that are kept for `stage`, and tells what was lost. A stage of which nothing is known yet is
/// looked at as a whole.
///
/// # Errors
/// As [`keep_artifacts`].
async fn probe<W: HasStore + HasMachines + HasObjects>(
    world: &W,
    pipeline: &PipelineName,
    stage: &StageName,
) -> Result<(), EngineError> {
    let lost = until_stored(async || {
        let rows = world.store().kept_of(pipeline).await?;
        let Some(before) = rows.into_iter().find(|kept| kept.stage == *stage) else {
            // Of a pipeline that is older than this, or a stage that nothing has succeeded in.
            return Ok(true);
        };
        let now = world.now();
        let mut targets = before.targets.clone();
        for artifact in targets.iter_mut().flat_map(|target| &mut target.artifacts) {
            let (state, since) = (state_of(world, artifact).await?, now);
            *artifact = KeptArtifact { state, since, ..artifact.clone() };
        }
        let after = look_again(&before, targets, now);
        let change = KeptChange { before: Some(before), after };
        if change.turned().is_empty() {
            return Ok(false);
        }
        commit(world, pipeline, Changes { kept: vec![change], ..Changes::default() }).await?;
        Ok(true)
    })
    .await?;
    // What is lost has to be kept in another execution.
    if lost { keep_artifacts(world, pipeline, stage, &mut Probed::default()).await } else { Ok(()) }
}

async fn state_of<W: HasObjects>(world: &W, artifact: &KeptArtifact) -> Result<ArtifactState, EngineError> {
    if artifact.function.is_some() {
        return Ok(artifact.state);
    }
    let KeptArtifact { name, at, digest, .. } = artifact.clone();
    Ok(StoredArtifact::look_at(world, name, at, digest).await?.state())
}

/// Looks at the stages that are due, a bounded number of them.
///
/// # Errors
/// The first error, after all were looked at that could be; the others are due again in an hour.
pub(crate) async fn look_at_due<W: HasStore + HasMachines + HasObjects + HasFunctions>(
    world: &W,
    now: Timestamp,
    probed: &mut Probed,
) -> Result<(), EngineError> {
    let page = world.store().kept_due(PageRequest { limit: DUE_MAX, after: None }).await?;
    let mut first = FirstError::default();
    for due in page.items.into_iter().filter(|due| due.due <= now) {
        let looked = Box::pin(keep_artifacts(world, &due.pipeline, &due.stage, probed)).await;
        let failed = looked.is_err();
        first.keep(looked);
        first.keep(probe_functions(world, &due.pipeline, &due.stage).await);
        let rows = world.store().kept_of(&due.pipeline).await?;
        match rows.into_iter().find(|row| row.stage == due.stage) {
            Some(row) if failed && row.due <= now => {
                let after = row.postponed(now);
                let changes = Changes { kept: vec![KeptChange { before: Some(row), after }], ..Changes::default() };
                first.keep(commit(world, &due.pipeline, changes).await);
            }
            Some(row) if row.due() == due => {}
            // A place that no row tells of is left of a row that is gone.
            _ => world.store().commit(vec![Write::Delete(Row::KeptDue(due))]).await?,
        }
    }
    first.into_result()
}
