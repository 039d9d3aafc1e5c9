//! Starts that name what their Source actions shall take (spec 2.4).

use std::collections::BTreeMap;

use domain::{
    ActionIndex, ActionName, PipelineName, PipelineView, SourcePin, SourceRevisionOverride, StageName, Trigger,
    TriggerType, pin_sources,
};

use crate::{
    EngineError, HasMachines, HasObjects, HasStore, StartRequest, Started,
    commit::until_stored,
    definitions::load_declaration,
    rollback::{find_stage, load_view},
    start::{start_execution, start_in, started_before},
    trigger::upload_cause,
};

/// As [`start_execution`], with the revisions that the request's starter names.
///
/// Whoever repeats a request is answered with what it started, also where its revisions would be refused today.
///
/// # Errors
/// As [`start_execution`]; refusal `ValidationException` also for revisions.
pub async fn start_with_revisions<W: HasStore + HasMachines + HasObjects>(
    world: &W,
    request: &StartRequest,
    overrides: &[SourceRevisionOverride],
) -> Result<Started, EngineError> {
    if overrides.is_empty() {
        return start_execution(world, request).await;
    }
    until_stored(async || {
        let view = load_view(world, &request.pipeline).await?;
        if let Some(started) = started_before(world, &view, request).await? {
            return Ok(started);
        }
        let declaration = load_declaration(world, &view.index).await?;
        let pins = pin_sources(&declaration, overrides);
        let pins = pins.map_err(|error| EngineError::refused("ValidationException", error.to_string()))?;
        start_in(world, &view, &StartRequest { pins, ..request.clone() }).await
    })
    .await
}

/// A new revision at a source, told by somebody who saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionRevision {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// Its first stage.
    pub stage: StageName,
    /// The Source action.
    pub action: ActionName,
    /// What changed there; of an S3 source, the version of its object.
    pub revision: String,
}

/// PutActionRevision: starts an execution for a revision that started none before.
///
/// Of an S3 source the execution takes exactly that version. It counts as the same cause as the upload's own event, so
/// that both together start one execution.
///
/// # Errors
/// Refusals `PipelineNotFoundException`, `StageNotFoundException`, `ActionNotFoundException`, `ValidationException`,
/// `ConcurrentPipelineExecutionsLimitExceededException`.
pub async fn put_action_revision<W: HasStore + HasMachines + HasObjects>(
    world: &W,
    put: &ActionRevision,
) -> Result<Started, EngineError> {
    until_stored(async || {
        let view = load_view(world, &put.pipeline).await?;
        let action = find_source(&view, put)?;
        let request = revision_request(world, &view, action, put).await?;
        start_in(world, &view, &request).await
    })
    .await
}

fn find_source<'a>(view: &'a PipelineView, put: &ActionRevision) -> Result<&'a ActionIndex, EngineError> {
    let ActionRevision { pipeline, stage, action: name, .. } = put;
    let Some(action) = find_stage(view, stage)?.action(name) else {
        let message = format!("Stage '{stage}' of pipeline '{pipeline}' has no action '{name}'.");
        return Err(EngineError::refused("ActionNotFoundException", message));
    };
    if action.action_type.category != "Source" {
        let message = format!("Action '{name}' is not a Source action, so it takes no revision.");
        return Err(EngineError::refused("ValidationException", message));
    }
    Ok(action)
}

async fn revision_request<W: HasObjects>(
    world: &W,
    view: &PipelineView,
    action: &ActionIndex,
    put: &ActionRevision,
) -> Result<StartRequest, EngineError> {
    let mut cause = format!("revision:{}:{}:{}", put.stage, put.action, put.revision);
    if action.action_type.provider == "S3" {
        let declaration = load_declaration(world, &view.index).await?;
        let declared = declaration.stage(&put.stage).and_then(|stage| stage.action(&put.action));
        let setting = |key: &str| declared.and_then(|action| action.configuration.get(key)).map(String::as_str);
        if let (Some(bucket), Some(key)) = (setting("S3Bucket"), setting("S3ObjectKey")) {
            cause = upload_cause(bucket, key, &put.revision);
        }
    }
    let pin = SourcePin { key: None, version_id: Some(put.revision.clone()) };
    let trigger = Trigger {
        trigger_type: TriggerType::PutActionRevision,
        trigger_detail: Some(put.action.to_string()),
        starter: None,
    };
    Ok(StartRequest {
        pipeline: put.pipeline.clone(),
        trigger,
        cause: Some(cause),
        order: None,
        pins: [(put.action.clone(), pin)].into(),
        variables: BTreeMap::new(),
    })
}
