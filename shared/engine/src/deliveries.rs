//! What a delivery to a webhook leads to.

use std::collections::BTreeMap;

use domain::{
    ActionDeclaration, FilterMiss, GIT_CONNECTION, GitEvent, PipelineIndex, Sender, Trigger, TriggerMiss, TriggerType,
    Unauthentic, Webhook, WebhookDefinition, WebhookName, WebhookProblem, authenticate, has_placeholders,
    judge_filters, judge_git_event,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    EngineError, HasMachines, HasObjects, HasStore, Refusal, StartRequest, Started,
    commit::until_stored,
    definitions,
    ports::{Precondition, Row, Store, Write},
    start::{not_found, start_execution},
    webhooks::check_target,
};

/// A request to a webhook's URL.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Which webhook, and the part of the URL that proves that its sender was told of it.
    pub webhook: &'a WebhookName,
    /// See [`Webhook::url_key`].
    pub url_key: &'a str,
    /// Where it comes from.
    pub sender: Sender<'a>,
    /// The sender's own number of it, the same when it is delivered again.
    pub id: Option<&'a str>,
    /// Whether the sender only tries the connection, as GitHub does when a webhook is set up.
    pub is_ping: bool,
    /// Whether the body is a form with the payload in its field `payload`, as GitHub sends unless told otherwise.
    pub is_form: bool,
    /// The body as it was signed.
    pub body: &'a [u8],
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// There is no such URL.
    Nowhere,
    /// It does not come from where it should.
    Refused(Unauthentic),
    /// The connection works.
    Pinged,
    /// The payload is no JSON.
    Malformed,
    /// A filter passes over it.
    PassedOver(FilterMiss),
    /// The source takes changes of a Git repository, and this is none that starts it.
    Untriggered(TriggerMiss),
    /// It started its pipeline.
    Started(Started),
    /// The pipeline cannot start.
    Unstartable(Refusal),
}

/// Starts the webhook's pipeline if the delivery is authentic and passes the filters, once for each delivery however
/// often it comes. What went wrong, and when it last went well, is kept with the webhook.
///
/// # Errors
/// [`EngineError::Contended`] and [`EngineError::Unavailable`]: deliver again.
pub async fn deliver<W: HasStore + HasObjects + HasMachines>(
    world: &W,
    delivery: &Delivery<'_>,
) -> Result<Delivered, EngineError> {
    let webhook = world.store().load_webhook(delivery.webhook).await?;
    let Some(webhook) = webhook.filter(|webhook| webhook.url_key.is(delivery.url_key)) else {
        return Ok(Delivered::Nowhere);
    };
    let delivered = match judge_and_start(world, &webhook, delivery).await {
        Err(EngineError::Refused(refusal)) => Delivered::Unstartable(refusal),
        other => other?,
    };
    // The execution is there or not, whatever is known of it here: a failure to note that is none of the delivery.
    if let Err(error) = note(world, &webhook, &delivered).await {
        drop(error);
    }
    Ok(delivered)
}

async fn judge_and_start<W: HasStore + HasObjects + HasMachines>(
    world: &W,
    webhook: &Webhook,
    delivery: &Delivery<'_>,
) -> Result<Delivered, EngineError> {
    let definition = &webhook.definition;
    if let Err(unauthentic) = authenticate(definition, &delivery.sender, delivery.body) {
        return Ok(Delivered::Refused(unauthentic));
    }
    if delivery.is_ping {
        return Ok(Delivered::Pinged);
    }
    let Some(payload) = payload_of(delivery) else {
        return Ok(Delivered::Malformed);
    };
    let Some(view) = world.store().load_pipeline(&definition.target_pipeline).await? else {
        return Err(not_found(&world.settings().account, definition.target_pipeline.as_str()));
    };
    check_target(&view.index, definition)?;
    let takes_git = takes_git(&view.index, definition);
    let (mut target, mut triggers) = (None, Vec::new());
    if takes_git || has_placeholders(&definition.filters) {
        let declaration = definitions::load_declaration(world, &view.index).await?;
        target = find_target(declaration.stages.into_iter().flat_map(|stage| stage.actions), definition);
        triggers = declaration.triggers;
    }
    let configuration = target.as_ref().map(|action| action.configuration.clone()).unwrap_or_default();
    if let Err(miss) = judge_filters(&definition.filters, &payload, &configuration) {
        return Ok(Delivered::PassedOver(miss));
    }
    let arn = world.settings().webhook_arn(definition.name.as_str());
    let mut request = StartRequest {
        pipeline: definition.target_pipeline.clone(),
        trigger: Trigger { trigger_type: TriggerType::Webhook, trigger_detail: Some(arn), starter: None },
        cause: webhook.delivery_cause(delivery.id, delivery.body),
        order: None,
        pins: BTreeMap::new(),
        variables: BTreeMap::new(),
    };
    if let Some(source) = target.filter(|_| takes_git) {
        let event =
            GitEvent::read(&payload).and_then(|event| judge_git_event(&triggers, &source, &event).map(|()| event));
        match event {
            Ok(event) => {
                request.trigger = event.trigger();
                request.pins.insert(source.name, event.pin());
            }
            Err(miss) => return Ok(Delivered::Untriggered(miss)),
        }
    }
    Ok(Delivered::Started(start_execution(world, &request).await?))
}

/// Whether the webhook's target is a source that Git triggers are for. Pipelines have it in their index, so that others
/// need not be read whole.
fn takes_git(pipeline: &PipelineIndex, definition: &WebhookDefinition) -> bool {
    let actions = pipeline.stages.first().into_iter().flat_map(|stage| &stage.actions);
    let mut target = actions.filter(|action| action.name == definition.target_action);
    target.any(|action| action.action_type.owner == "AWS" && action.action_type.provider == GIT_CONNECTION)
}

/// Only Source actions are targets, and they are in the first stage: the first of the name is it.
fn find_target(
    mut actions: impl Iterator<Item = ActionDeclaration>,
    definition: &WebhookDefinition,
) -> Option<ActionDeclaration> {
    actions.find(|action| action.name == definition.target_action)
}

fn payload_of(delivery: &Delivery<'_>) -> Option<Value> {
    if !delivery.is_form {
        return serde_json::from_slice(delivery.body).ok();
    }
    let mut fields = form_urlencoded::parse(delivery.body);
    let (_, payload) = fields.find(|(name, _)| name == "payload")?;
    serde_json::from_str(&payload).ok()
}

impl Delivered {
    /// The HTTP status of the answer; 400 and above is a failure, which senders show as such.
    pub fn status(&self) -> u16 {
        match self {
            Self::Pinged | Self::PassedOver(_) | Self::Untriggered(_) | Self::Started(_) => 200,
            Self::Malformed => 400,
            Self::Refused(_) => 403,
            Self::Nowhere => 404,
            Self::Unstartable(refusal) if refusal.exception.ends_with("LimitExceededException") => 429,
            Self::Unstartable(_) => 422,
        }
    }

    /// What the sender is told.
    pub fn message(&self) -> String {
        match self {
            Self::Nowhere => "There is no such webhook.".to_owned(),
            Self::Refused(unauthentic) => unauthentic.to_string(),
            Self::Pinged => "The webhook works. A ping starts nothing.".to_owned(),
            Self::Malformed => {
                "The payload is not JSON. Send it as the body, or as the field payload of a form.".to_owned()
            }
            Self::PassedOver(miss) => {
                format!("Nothing was started: the payload does not pass filter {}.", miss.filter)
            }
            Self::Untriggered(miss) => format!("Nothing was started: {miss}"),
            Self::Started(Started::New(_)) => "The pipeline was started.".to_owned(),
            Self::Started(_) => "This delivery had started the pipeline before.".to_owned(),
            // The reason names what is the owner's alone: account, pipeline, variables.
            Self::Unstartable(_) => "The pipeline could not be started. ListWebhooks tells its owner why.".to_owned(),
        }
    }

    /// What to keep with the webhook. A payload that is passed over is no problem, a filter that cannot pass is one.
    fn problem(&self) -> Option<WebhookProblem> {
        let message = match self {
            Self::Refused(_) | Self::Malformed => self.message(),
            Self::Unstartable(refusal) => refusal.message.clone(),
            Self::PassedOver(FilterMiss { filter, unknown_key: Some(key) }) => format!(
                "Filter {filter} names {{{key}}}, but the configuration of the target action has no such key. Correct \
                 the filter or the action."
            ),
            Self::Untriggered(TriggerMiss::FilesUnknown | TriggerMiss::Unreadable) => self.message(),
            Self::Nowhere | Self::Pinged | Self::PassedOver(_) | Self::Untriggered(_) | Self::Started(_) => {
                return None;
            }
        };
        Some(WebhookProblem { status: self.status(), message })
    }
}

/// Writes down what became of a delivery, unless that is known already: a flood of equal ones costs no writes.
async fn note<W: HasStore>(world: &W, webhook: &Webhook, delivered: &Delivered) -> Result<(), EngineError> {
    let problem = delivered.problem();
    // When an execution was started is a part of its id, so a delivery that comes again says the same.
    let triggered = match delivered {
        Delivered::Started(started) => started_at(*started),
        _ => None,
    };
    if triggered <= webhook.last_triggered && problem == webhook.problem {
        return Ok(());
    }
    until_stored(async || {
        let Some(stored) = world.store().load_webhook(&webhook.definition.name).await? else {
            return Ok(());
        };
        let mut noted = stored.clone();
        noted.last_triggered = stored.last_triggered.max(triggered);
        noted.problem.clone_from(&problem);
        // Made anew or changed meanwhile: what was found out is about another one.
        if noted == stored || stored.url_key != webhook.url_key || stored.definition != webhook.definition {
            return Ok(());
        }
        let version = noted.version;
        Ok(world.store().commit(vec![Write::Put(Row::Webhook(noted), Precondition::Version(version))]).await?)
    })
    .await
}

fn started_at(started: Started) -> Option<Timestamp> {
    let (seconds, nanoseconds) = started.execution().0.get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanoseconds).ok()?).ok()
}
