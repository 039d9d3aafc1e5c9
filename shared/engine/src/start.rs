//! Starting an execution, once per cause.

use std::collections::BTreeMap;

use domain::{
    ActionName, Changes, Effect, Execution, ExecutionId, ExecutionType, Phase, PipelineIndex, PipelineName, SourcePin,
    Trigger,
};
use jiff::SignedDuration;

use crate::{
    EngineError, HasMachines, HasStore,
    commit::{perform_and_forget, until_stored, writes_of},
    ports::{Precondition, Row, StartMarker, Store, Write},
};

/// How long a cause is remembered. CodePipeline does not say how long its client tokens hold (spec open list 8); S3
/// and EventBridge redeliver for a day at the most.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24 * 7);

/// What shall start.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// Why.
    pub trigger: Trigger,
    /// Identity of the cause: the same cause starts one execution only.
    pub cause: Option<String>,
    /// Orders causes of the same kind.
    pub order: Option<CauseOrder>,
    /// Object versions to take, by Source action.
    pub pins: BTreeMap<ActionName, SourcePin>,
    /// Values for pipeline-level variables.
    pub variables: BTreeMap<String, String>,
}

/// Place of a cause among those of one source: an upload that arrives after a newer one of the same key is too late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CauseOrder {
    /// What is ordered, such as an object.
    pub of: String,
    /// S3's sequencer: compare as hexadecimal numbers (spec 10.2).
    pub sequencer: String,
}

impl StartRequest {
    /// The request with causes that are this pipeline's alone: one made anew under the name begins with none.
    fn to(&self, pipeline: &PipelineIndex) -> Self {
        let own = |cause: &String| format!("{} {cause}", pipeline.created_at);
        let order = |order: &CauseOrder| CauseOrder { of: own(&order.of), sequencer: order.sequencer.clone() };
        Self { cause: self.cause.as_ref().map(own), order: self.order.as_ref().map(order), ..self.clone() }
    }
}

/// What became of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// A new execution.
    New(ExecutionId),
    /// This cause had started this execution before.
    Before(ExecutionId),
    /// A newer change of the same source has started this execution.
    Overtaken(ExecutionId),
}

impl Started {
    /// The execution.
    pub fn execution(self) -> ExecutionId {
        match self {
            Self::New(id) | Self::Before(id) | Self::Overtaken(id) => id,
        }
    }
}

/// Starts an execution, unless its cause started one before or comes too late.
///
/// # Errors
/// Refusals `PipelineNotFoundException` and `ValidationException` (variables).
pub async fn start_execution<W: HasStore + HasMachines>(
    world: &W,
    request: &StartRequest,
) -> Result<Started, EngineError> {
    until_stored(async || {
        let Some(view) = world.store().load_pipeline(&request.pipeline).await? else {
            return Err(not_found(world.settings().account.as_str(), request.pipeline.as_str()));
        };
        let request = &request.to(&view.index);
        if let Some(cause) = &request.cause
            && let Some(marker) = world.store().load_start(&request.pipeline, cause).await?
        {
            return Ok(Started::Before(marker.execution));
        }
        let newest = match &request.order {
            Some(order) => world.store().load_start(&request.pipeline, &order.of).await?,
            None => None,
        };
        if let (Some(order), Some(newest)) = (&request.order, &newest)
            && newest.sequencer.as_deref().is_some_and(|seen| is_older(&order.sequencer, seen))
        {
            return Ok(Started::Overtaken(newest.execution));
        }
        let execution = new_execution(world, &view.index, request)?;
        let id = execution.id;
        let (writes, effect) = start_writes(world, execution, request, newest);
        world.store().commit(writes).await?;
        perform_and_forget(world, &effect).await;
        Ok(Started::New(id))
    })
    .await
}

/// Whether S3 sequencer `one` is older than `other`: hexadecimal, compared after padding on the right (spec 10.2).
fn is_older(one: &str, other: &str) -> bool {
    let width = one.len().max(other.len());
    format!("{one:0<width$}") < format!("{other:0<width$}")
}

/// CodePipeline's text for a pipeline that is not there (spec 1.9).
pub(crate) fn not_found(account: &str, pipeline: &str) -> EngineError {
    EngineError::refused(
        "PipelineNotFoundException",
        format!("Account '{account}' does not have a pipeline with name '{pipeline}'"),
    )
}

fn new_execution<W: HasStore>(
    world: &W,
    index: &PipelineIndex,
    request: &StartRequest,
) -> Result<Execution, EngineError> {
    let now = world.now();
    Ok(Execution {
        id: world.new_execution_id(),
        pipeline: index.name.clone(),
        pipeline_version: index.pipeline_version,
        execution_type: ExecutionType::Standard,
        mode: index.mode,
        trigger: request.trigger.clone(),
        started_at: now,
        updated_at: now,
        phase: Phase::Starting,
        status_summary: None,
        attempt: 1,
        stop: None,
        variables: resolve_variables(index, &request.variables)?,
        pins: request.pins.clone(),
        revisions: Vec::new(),
        outputs: BTreeMap::new(),
        artifacts: BTreeMap::new(),
        stages: BTreeMap::new(),
        rollback: None,
        version: 0,
    })
}

fn resolve_variables(
    index: &PipelineIndex,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, EngineError> {
    let refuse = |message: String| Err(EngineError::refused("ValidationException", message));
    if let Some(unknown) = given.keys().find(|name| !index.variables.iter().any(|declared| declared.name == **name)) {
        return refuse(format!("The pipeline declares no variable '{unknown}'."));
    }
    let mut resolved = BTreeMap::new();
    for declared in &index.variables {
        match given.get(&declared.name).or(declared.default_value.as_ref()) {
            Some(value) => resolved.insert(declared.name.clone(), value.clone()),
            None => {
                return refuse(format!("Variable '{}' has no default; give it a value.", declared.name));
            }
        };
    }
    Ok(resolved)
}

/// The writes that make an execution exist, and the effect that sets it going.
pub(crate) fn start_writes<W: HasStore>(
    world: &W,
    execution: Execution,
    request: &StartRequest,
    newest: Option<StartMarker>,
) -> (Vec<Write>, Effect) {
    let (id, pipeline) = (execution.id, execution.pipeline.clone());
    let expires_at = (world.now() + REMEMBERED).as_second();
    let effect = Effect::StartMachine { pipeline: pipeline.clone(), execution: id, name: execution.machine_name() };
    let mut changes = Changes { effects: vec![effect.clone()], ..Changes::default() };
    changes.executions.insert(id, execution);
    let mut writes = writes_of(&pipeline, &changes, world);
    let marker = |cause: &str, sequencer: Option<String>, version| StartMarker {
        pipeline: pipeline.clone(),
        cause: cause.to_owned(),
        execution: id,
        expires_at,
        sequencer,
        version,
    };
    if let Some(cause) = &request.cause {
        writes.push(Write::Put(Row::Start(marker(cause, None, 0)), Precondition::Version(0)));
    }
    if let Some(order) = &request.order {
        let version = newest.map_or(0, |newest| newest.version);
        let row = Row::Start(marker(&order.of, Some(order.sequencer.clone()), version));
        writes.push(Write::Put(row, Precondition::Version(version)));
    }
    (writes, effect)
}

/// Starts the execution that creating a pipeline starts, in the same transaction (spec 2.4).
pub(crate) fn first_execution<W: HasStore>(
    world: &W,
    index: &PipelineIndex,
    trigger: Trigger,
) -> Result<(Vec<Write>, Effect), EngineError> {
    let request = StartRequest {
        pipeline: index.name.clone(),
        trigger,
        cause: None,
        order: None,
        pins: BTreeMap::new(),
        variables: BTreeMap::new(),
    };
    let execution = new_execution(world, index, &request)?;
    Ok(start_writes(world, execution, &request, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequencers_compare_as_hexadecimal_with_padding() {
        assert!(is_older("0055AED6", "0055AED7"));
        assert!(is_older("0055AED6DCD90281E4", "0055AED6DCD90281E5"));
        assert!(is_older("0055", "00551"));
        assert!(!is_older("0055", "0055"));
        assert!(!is_older("0056", "00551234"));
    }
}
