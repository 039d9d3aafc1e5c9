//! Creating, updating, reading and deleting pipelines.

use std::collections::BTreeMap;

use domain::{
    Catalogue, Effect, ExecutionMode, IndexTooLarge, PipelineDeclaration, PipelineIndex, PipelineName, PipelineView,
    Rejected, TaggedResource, Tags, Trigger, TriggerType, cancel_outdated, validate_structure,
};
use jiff::Timestamp;

use crate::{
    EngineError, HasAlarms, HasMachines, HasObjects, HasRoles, HasStore, commit,
    commit::{reread, until_stored},
    condition::look_at_outdated,
    custom_types::catalogue_for,
    definitions,
    deletion::clear,
    error::FirstError,
    gate::load_into,
    keep::keep_and_forget,
    outbox::{forget_or_leave, perform_all},
    ports::{
        CloudError, Definition, Deletion, PageRequest, PendingEffect, PipelineSummary, Precondition, Roles, Row,
        SourceBinding, Store, StoreError, WRITES_MAX, Write,
    },
    start::{first_execution, not_found},
    tags::tag_new,
};

/// CodePipeline's limit for an account in a region (spec 1.10).
const PIPELINES_MAX: u32 = 1000;

/// Creates a pipeline and starts its first execution (spec 2.4).
///
/// # Errors
/// Refusals: the structure's exceptions of spec 1.9, `TooManyTagsException`, `PipelineNameInUseException`,
/// `LimitExceededException`.
pub async fn create_pipeline<W: HasStore + HasObjects + HasMachines + HasRoles>(
    world: &W,
    mut declaration: PipelineDeclaration,
    tags: Tags,
    caller: &str,
) -> Result<PipelineDeclaration, EngineError> {
    let catalogue = catalogue_for(world, &declaration).await?;
    validate_structure(&declaration, &catalogue, &world.settings().region)?;
    declaration.mark_secrets(&catalogue);
    check_size(&declaration, &catalogue)?;
    let tags = tag_new(world, TaggedResource::pipeline(&declaration.name), tags)?;
    check_role(world, &declaration.role_arn).await?;
    check_limit(world, &declaration.name).await?;
    declaration.version = Some(1);
    let stored = definitions::store(world, &declaration, 1).await?;
    let effects = until_stored(async || {
        // Between a look at what is left of the last pipeline of this name and the commit another one may come and go.
        let deletion = world.store().load_deletion(&declaration.name).await?;
        clear(world, &declaration.name, 0).await?;
        let now = world.now();
        let (key, digest) = (stored.key.clone(), stored.digest.clone());
        let mut index = PipelineIndex::new(&declaration, &catalogue, 1, key, digest, now);
        // No pipeline that had the name before had these versions of its row, so what was decided about that one is refused.
        index.version = now.as_microsecond().unsigned_abs();
        let trigger_detail = Some(caller.to_owned());
        let trigger = Trigger { trigger_type: TriggerType::CreatePipeline, trigger_detail, starter: None };
        let (mut writes, effects) = first_execution(world, &index, trigger).await?;
        writes.push(Write::Put(Row::Summary(summary(&index)), Precondition::None));
        writes.extend(bindings(&declaration).into_iter().map(|row| Write::Put(row, Precondition::None)));
        writes.push(tags.clone());
        writes.push(Write::Put(Row::Definition(definitions::definition(&index)), Precondition::None));
        writes.push(Write::Put(Row::Head(index.clone()), Precondition::None));
        writes.push(Write::Put(Row::Pipeline(index), Precondition::Absent));
        writes.push(Deletion::is_last(&declaration.name, deletion, now));
        match world.store().commit(writes).await {
            Err(StoreError::Contended) if world.store().load_pipeline(&declaration.name).await?.is_some() => {
                let (name, account) = (&declaration.name, &world.settings().account);
                let message = format!("A pipeline with the name '{name}' already exists in account '{account}'");
                Err(EngineError::refused("PipelineNameInUseException", message))
            }
            other => Ok(other.map(|()| effects)?),
        }
    })
    .await?;
    perform_all(world, &effects).await;
    Ok(declaration.masked())
}

/// Stores a new version. Executions of older versions are cancelled: at once where they wait, else when their running
/// actions have ended (spec 1.7).
///
/// # Errors
/// Refusals: the structure's exceptions of spec 1.9, `ResourceNotFoundException`, `LimitExceededException`.
pub async fn update_pipeline<W: HasStore + HasObjects + HasMachines + HasAlarms + HasRoles>(
    world: &W,
    mut declaration: PipelineDeclaration,
) -> Result<PipelineDeclaration, EngineError> {
    let catalogue = catalogue_for(world, &declaration).await?;
    validate_structure(&declaration, &catalogue, &world.settings().region)?;
    declaration.mark_secrets(&catalogue);
    check_size(&declaration, &catalogue)?;
    check_role(world, &declaration.role_arn).await?;
    until_stored(async || {
        let mut declaration = declaration.clone();
        let Some(view) = world.store().load_pipeline(&declaration.name).await? else {
            let (account, name) = (&world.settings().account, &declaration.name);
            let message = format!("The account with id '{account}' does not include a pipeline with the name '{name}'");
            return Err(EngineError::refused("ResourceNotFoundException", message));
        };
        let old = definitions::load_declaration(world, &view.index).await?;
        declaration.keep_secrets_of(&old);
        let version = view.index.pipeline_version + 1;
        declaration.version = Some(version);
        let stored = definitions::store(world, &declaration, version).await?;
        let mut index = PipelineIndex::new(&declaration, &catalogue, version, stored.key, stored.digest, world.now());
        index.created_at = view.index.created_at;
        index.version = view.index.version;
        let (before, after) = (bindings(&old), bindings(&declaration));
        let mut writes = vec![Write::Put(Row::Summary(summary(&index)), Precondition::None)];
        writes.extend(before.into_iter().filter(|row| !after.contains(row)).map(Write::Delete));
        writes.extend(after.into_iter().map(|row| Write::Put(row, Precondition::None)));
        writes.push(Write::Put(Row::Definition(definitions::superseded(&view.index)), Precondition::None));
        writes.push(Write::Put(Row::Definition(definitions::definition(&index)), Precondition::None));
        writes.push(Write::Put(Row::Head(index.clone()), Precondition::None));
        writes.push(Write::Put(Row::Pipeline(index), Precondition::Version(view.index.version)));
        let mut effects = effects_of_update(&view, &declaration, version);
        // Of a pipeline with so many stages the last are looked at before their next deploy.
        effects.truncate(WRITES_MAX.saturating_sub(writes.len()));
        let pending = effects.iter().map(|effect| PendingEffect { since: world.now(), effect: effect.clone() });
        writes.extend(pending.map(|row| Write::Put(Row::Effect(row), Precondition::None)));
        world.store().commit(writes).await?;
        for effect in &effects {
            // What cannot be done now is the reconciler's.
            let _ = cancel_and_forget(world, effect).await || keep_and_forget(world, effect).await;
        }
        look_at_outdated(world, &view).await;
        Ok(declaration.masked())
    })
    .await
}

/// Those who wait are cancelled. With PARALLEL mode left behind stages can go back: what that needs is kept from here on.
fn effects_of_update(before: &PipelineView, after: &PipelineDeclaration, version: u32) -> Vec<Effect> {
    let pipeline = || after.name.clone();
    let cancel = (!before.waiting.is_empty()).then(|| Effect::CancelWaiting { pipeline: pipeline(), version });
    let gains_rollback =
        before.index.mode == ExecutionMode::Parallel && after.execution_mode != ExecutionMode::Parallel;
    let live = before.stages.values().filter_map(|stage| Some((&stage.name, stage.live.as_ref()?.deployed_by)));
    let keep = live.filter(|_| gains_rollback).map(|(stage, deployed)| Effect::KeepArtifacts {
        pipeline: pipeline(),
        stage: stage.clone(),
        after: deployed,
    });
    cancel.into_iter().chain(keep).collect()
}

/// Performs an [`Effect::CancelWaiting`] and takes it out of the outbox; a failure leaves it there. Whether it was
/// performed.
pub(crate) async fn cancel_and_forget<W: HasStore + HasMachines + HasAlarms>(world: &W, effect: &Effect) -> bool {
    let Effect::CancelWaiting { pipeline, .. } = effect else {
        return false;
    };
    let is_done = cancel_waiting(world, pipeline).await.is_ok();
    forget_or_leave(world, effect, is_done).await
}

/// Cancels the executions that wait and are older than the pipeline is now. Each is a decision of its own, since all of
/// them may not fit one transaction; who begins to wait meanwhile is cancelled at the gate.
async fn cancel_waiting<W: HasStore + HasMachines + HasAlarms>(
    world: &W,
    pipeline: &PipelineName,
) -> Result<(), EngineError> {
    let Some(view) = world.store().load_pipeline(pipeline).await? else {
        return Ok(());
    };
    let mut first = FirstError::default();
    for waiting in &view.waiting {
        let cancelled = until_stored(async || {
            let Some(view) = world.store().load_pipeline(pipeline).await? else {
                return Ok(());
            };
            let mut executions = BTreeMap::new();
            load_into(world, &view, waiting.execution, &mut executions).await?;
            let no_alarms = BTreeMap::new();
            match cancel_outdated(&view, &executions, waiting.execution, &no_alarms, world.now()) {
                Ok(changes) => commit(world, pipeline, changes).await,
                Err(Rejected::AlreadyDone) => Ok(()),
                Err(other) => Err(reread(other)),
            }
        });
        first.keep(cancelled.await);
    }
    first.into_result()
}

/// A pipeline's declaration, in its current version unless another is asked for, and its row. Secrets are masked.
///
/// # Errors
/// Refusals `PipelineNotFoundException`, `PipelineVersionNotFoundException`.
pub async fn get_pipeline<W: HasStore + HasObjects>(
    world: &W,
    name: &PipelineName,
    version: Option<u32>,
) -> Result<(PipelineDeclaration, PipelineIndex), EngineError> {
    let Some(view) = world.store().load_pipeline(name).await? else {
        return Err(not_found(&world.settings().account, name.as_str()));
    };
    let index = view.index;
    let stored = match version.filter(|version| *version != index.pipeline_version) {
        None => definitions::definition(&index),
        Some(version) => older(world, &index, version).await?,
    };
    let declaration = definitions::load(world, &stored).await?;
    Ok((declaration.masked(), index))
}

async fn older<W: HasStore>(world: &W, index: &PipelineIndex, version: u32) -> Result<Definition, EngineError> {
    let stored = world.store().load_definition(&index.name, version).await?;
    // A version beyond the current one, or of another creation, is of an earlier pipeline of this name.
    let ours = |stored: &Definition| version < index.pipeline_version && stored.created_at == index.created_at;
    stored.filter(ours).ok_or_else(|| {
        let (name, current) = (&index.name, index.pipeline_version);
        let message = format!("Pipeline '{name}' has no version {version}; current is {current}.");
        EngineError::refused("PipelineVersionNotFoundException", message)
    })
}

/// A pipeline whose index fits into no item is refused before anything of it is stored. What is not known of the index yet
/// takes less than there is left.
fn check_size(declaration: &PipelineDeclaration, catalogue: &Catalogue) -> Result<(), EngineError> {
    let (key, digest) = (String::new(), String::new());
    let index = PipelineIndex::new(declaration, catalogue, 1, key, digest, Timestamp::UNIX_EPOCH);
    let refused = |too_large: IndexTooLarge| EngineError::refused("LimitExceededException", too_large.to_string());
    index.check_size().map_err(refused)
}

/// Actions run as the pipeline's role, so one that cannot be assumed is said at once (spec 1.1).
async fn check_role<W: HasRoles>(world: &W, role_arn: &str) -> Result<(), EngineError> {
    match world.roles().assume(role_arn, "lastgood").await {
        Ok(_) => Ok(()),
        Err(error @ CloudError::Unavailable(_)) => Err(error.into()),
        // CodePipeline's text; Terraform tries again where it reads "not authorized", since roles take a while to spread.
        Err(_) => Err(EngineError::refused(
            "InvalidStructureException",
            format!("CodePipeline is not authorized to perform AssumeRole on role {role_arn}"),
        )),
    }
}

/// Two creations at once may together pass the limit by one; it guards nothing that would break.
async fn check_limit<W: HasStore>(world: &W, name: &PipelineName) -> Result<(), EngineError> {
    let first = PageRequest { limit: PIPELINES_MAX, after: None };
    let pipelines = world.store().list_pipelines(first).await?.items;
    if pipelines.len() < PIPELINES_MAX as usize || pipelines.iter().any(|pipeline| pipeline.name == *name) {
        return Ok(());
    }
    let message = format!("There are {PIPELINES_MAX} pipelines, the most there can be. Delete one that is not used.");
    Err(EngineError::refused("LimitExceededException", message))
}

pub(crate) fn summary(index: &PipelineIndex) -> PipelineSummary {
    PipelineSummary {
        name: index.name.clone(),
        pipeline_version: index.pipeline_version,
        pipeline_type: index.pipeline_type,
        mode: index.mode,
        created_at: index.created_at,
        updated_at: index.updated_at,
    }
}

/// Which objects start this pipeline.
pub(crate) fn bindings(declaration: &PipelineDeclaration) -> Vec<Row> {
    let sources = declaration.stages.first().into_iter().flat_map(|stage| &stage.actions);
    sources
        .filter(|action| action.action_type_id.provider == "S3")
        .filter_map(|action| {
            Some(Row::Source(SourceBinding {
                bucket: action.configuration.get("S3Bucket")?.clone(),
                key: action.configuration.get("S3ObjectKey")?.clone(),
                pipeline: declaration.name.clone(),
                action: action.name.clone(),
            }))
        })
        .collect()
}
