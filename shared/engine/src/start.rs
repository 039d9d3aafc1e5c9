//! Starting an execution, once per cause.

use std::collections::BTreeMap;

use domain::{
    ActionName, Effect, Execution, ExecutionId, ExecutionType, Phase, PipelineIndex, PipelineName, PipelineView,
    Record, Slot, SourcePin, Trigger, TriggerType,
};
use jiff::SignedDuration;

use crate::{
    EngineError, HasMachines, HasStore, Refusal,
    commit::{reread, until_stored, writes_of},
    outbox::perform_all,
    ports::{Precondition, Row, StartMarker, Store, Write},
    rollback::load_view,
    slots::take_slot,
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
    /// Whether somebody waits for the answer and can be told of a refusal.
    fn has_caller(&self) -> bool {
        use TriggerType as T;
        matches!(
            self.trigger.trigger_type,
            T::StartPipelineExecution | T::PutActionRevision | T::Webhook | T::WebhookV2
        )
    }

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
    /// There is no place for another execution, or a variable has no value, and no caller to tell: an execution that
    /// has failed tells it in the history.
    Failed(ExecutionId),
}

impl Started {
    /// The execution.
    pub fn execution(self) -> ExecutionId {
        match self {
            Self::New(id) | Self::Before(id) | Self::Overtaken(id) | Self::Failed(id) => id,
        }
    }
}

/// Starts an execution, unless its cause started one before or comes too late.
///
/// # Errors
/// Refusals `PipelineNotFoundException`, `ValidationException` (variables), and for starts by a caller
/// `ConcurrentPipelineExecutionsLimitExceededException`.
pub async fn start_execution<W: HasStore + HasMachines>(
    world: &W,
    request: &StartRequest,
) -> Result<Started, EngineError> {
    until_stored(async || {
        let view = load_view(world, &request.pipeline).await?;
        start_in(world, &view, request).await
    })
    .await
}

/// One try of a start, decided on `view`.
pub(crate) async fn start_in<W: HasStore + HasMachines>(
    world: &W,
    view: &PipelineView,
    request: &StartRequest,
) -> Result<Started, EngineError> {
    if let Some(started) = started_before(world, view, request).await? {
        return Ok(started);
    }
    let request = &request.to(&view.index);
    let newest = match &request.order {
        Some(order) => world.store().load_start(&request.pipeline, &order.of).await?,
        None => None,
    };
    if let (Some(order), Some(newest)) = (&request.order, &newest)
        && newest.sequencer.as_deref().is_some_and(|seen| is_older(&order.sequencer, seen))
    {
        return Ok(Started::Overtaken(newest.execution));
    }
    let (execution, prepared) = prepare(world, &view.index, request).await?;
    let (id, can_start) = (execution.id, !execution.phase.is_ended());
    let (writes, effects) = start_writes(world, view, execution, prepared, request, newest)?;
    world.store().commit(writes).await?;
    perform_all(world, &effects).await;
    Ok(if can_start { Started::New(id) } else { Started::Failed(id) })
}

/// What the cause of `request` has started in this pipeline.
pub(crate) async fn started_before<W: HasStore>(
    world: &W,
    view: &PipelineView,
    request: &StartRequest,
) -> Result<Option<Started>, EngineError> {
    let Some(cause) = request.to(&view.index).cause else {
        return Ok(None);
    };
    let marker = world.store().load_start(&request.pipeline, &cause).await?;
    Ok(marker.map(|marker| Started::Before(marker.execution)))
}

/// What belongs to a new execution.
#[derive(Default)]
struct Prepared {
    slots: Vec<Slot>,
    records: Vec<Record>,
}

/// The execution that `request` asks for, with its place among those under way.
async fn prepare<W: HasStore>(
    world: &W,
    index: &PipelineIndex,
    request: &StartRequest,
) -> Result<(Execution, Prepared), EngineError> {
    let (mut execution, mut prepared) = (new_execution(world, index, request), Prepared::default());
    match admit(world, index, request, &mut execution, &mut prepared.slots).await {
        Err(EngineError::Refused(refusal)) if !request.has_caller() => {
            prepared.records.push(end_before_start(&mut execution, &refusal));
        }
        other => other?,
    }
    Ok((execution, prepared))
}

async fn admit<W: HasStore>(
    world: &W,
    index: &PipelineIndex,
    request: &StartRequest,
    execution: &mut Execution,
    slots: &mut Vec<Slot>,
) -> Result<(), EngineError> {
    execution.variables = resolve_variables(index, &request.variables)?;
    take_slot(world, index, execution, slots).await
}

/// An execution that cannot be, and no caller to tell: its end says why (spec 11).
fn end_before_start(execution: &mut Execution, refusal: &Refusal) -> Record {
    let pins = execution.pins.iter().filter_map(|(action, pin)| Some((action, pin.version_id.as_ref()?)));
    let lost: Vec<String> = pins.map(|(action, version)| format!(" {action} would have taken {version}.")).collect();
    let why = format!("{refusal}{}", lost.concat());
    execution.phase = Phase::Failed { stage: None };
    execution.status_summary = Some(why.clone());
    Record {
        execution: execution.id,
        at: execution.started_at,
        event: "NotStarted".to_owned(),
        stage: None,
        detail: why,
        evidence: None,
    }
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

fn new_execution<W: HasStore>(world: &W, index: &PipelineIndex, request: &StartRequest) -> Execution {
    let now = world.now();
    Execution {
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
        variables: BTreeMap::new(),
        pins: request.pins.clone(),
        revisions: Vec::new(),
        contents: BTreeMap::new(),
        earlier_contents: BTreeMap::new(),
        revoked: None,
        outputs: BTreeMap::new(),
        artifacts: BTreeMap::new(),
        digests: BTreeMap::new(),
        stages: BTreeMap::new(),
        rollback: None,
        slot: None,
        pipeline_created_at: Some(index.created_at),
        version: 0,
    }
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

/// The writes that make an execution exist, and the effects that tell of it and set it going unless it has ended already.
fn start_writes<W: HasStore>(
    world: &W,
    view: &PipelineView,
    execution: Execution,
    Prepared { slots, records }: Prepared,
    request: &StartRequest,
    newest: Option<StartMarker>,
) -> Result<(Vec<Write>, Vec<Effect>), EngineError> {
    let (id, pipeline) = (execution.id, execution.pipeline.clone());
    let expires_at = (world.now() + REMEMBERED).as_second();
    let name = execution.machine_name();
    let start = Effect::StartMachine { pipeline: pipeline.clone(), execution: id, name };
    let starts = (!execution.phase.is_ended()).then_some(start);
    let mut changes = domain::begin(view, execution, world.now()).map_err(reread)?;
    changes.effects.extend(starts);
    changes.slots = slots;
    changes.records.extend(records);
    // What a pipeline was that has been deleted or updated since starts nothing: nobody would end it, or purge it.
    changes.of_pipeline = Some(Box::new(view.index.clone()));
    let (mut writes, effects) = writes_of(&pipeline, &changes, world)?;
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
    Ok((writes, effects))
}

/// Starts the execution that creating a pipeline starts, in the same transaction (spec 2.4).
pub(crate) async fn first_execution<W: HasStore>(
    world: &W,
    index: &PipelineIndex,
    trigger: Trigger,
) -> Result<(Vec<Write>, Vec<Effect>), EngineError> {
    let request = StartRequest {
        pipeline: index.name.clone(),
        trigger,
        cause: None,
        order: None,
        pins: BTreeMap::new(),
        variables: BTreeMap::new(),
    };
    let (execution, prepared) = prepare(world, index, &request).await?;
    let view = PipelineView::new(index.clone());
    let (mut writes, effects) = start_writes(world, &view, execution, prepared, &request, None)?;
    // The row is made in the same transaction, and must not be there before.
    writes.retain(|write| !matches!(write, Write::Check(Row::Pipeline(_), _)));
    Ok((writes, effects))
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
