//! Putting and deleting webhooks (spec 6.6).

use domain::{InvalidWebhook, PipelineIndex, Secret, Webhook, WebhookDefinition, WebhookName};

use crate::{
    EngineError, HasBasics, HasStore,
    commit::until_stored,
    ports::{PageRequest, Precondition, Row, Store, Write},
    start::not_found,
};

/// Most webhooks of an account in a region (spec 1.10). Several made at the same moment may pass it by their number.
pub const WEBHOOKS_MAX: u32 = 300;

/// Random bytes of a URL: 192 bits cannot be guessed.
const URL_KEY_BYTES: usize = 24;

/// Creates a webhook, or changes one, which keeps its URL.
///
/// # Errors
/// Refusals `PipelineNotFoundException`, `ValidationException` (the target action),
/// `InvalidWebhookFilterPatternException`, `InvalidWebhookAuthenticationParametersException`,
/// `LimitExceededException`.
pub async fn put_webhook<W: HasStore>(world: &W, definition: WebhookDefinition) -> Result<Webhook, EngineError> {
    let url_key = new_url_key(world);
    until_stored(async || {
        let stored = world.store().load_webhook(&definition.name).await?;
        let webhook = domain::put_webhook(definition.clone(), stored.as_ref(), url_key.clone())?;
        let Some(view) = world.store().load_pipeline(&definition.target_pipeline).await? else {
            return Err(not_found(&world.settings().account, definition.target_pipeline.as_str()));
        };
        check_target(&view.index, &definition)?;
        if stored.is_none() {
            check_room(world).await?;
        }
        let precondition = Precondition::Version(webhook.version);
        world.store().commit(vec![Write::Put(Row::Webhook(webhook.clone()), precondition)]).await?;
        Ok(webhook)
    })
    .await
}

/// Deletes a webhook. One that is not there is success.
///
/// # Errors
/// [`EngineError::Unavailable`] is worth a retry.
pub async fn delete_webhook<W: HasStore>(world: &W, name: &WebhookName) -> Result<(), EngineError> {
    if let Some(webhook) = world.store().load_webhook(name).await? {
        world.store().commit(vec![Write::Delete(Row::Webhook(webhook))]).await?;
    }
    Ok(())
}

/// The webhook's own complaint if its target cannot start its pipeline.
///
/// # Errors
/// Refusal `ValidationException`.
pub(crate) fn check_target(pipeline: &PipelineIndex, definition: &WebhookDefinition) -> Result<(), EngineError> {
    let sources = pipeline.stages.first().map(|stage| stage.actions.as_slice()).unwrap_or_default();
    if sources.iter().any(|source| source.name == definition.target_action) {
        return Ok(());
    }
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    let message = format!(
        "The targetAction '{}' is no Source action of pipeline '{}'. A webhook starts the pipeline at one of these: {}",
        definition.target_action,
        pipeline.name,
        names.join(", ")
    );
    Err(EngineError::refused("ValidationException", message))
}

async fn check_room<W: HasStore>(world: &W) -> Result<(), EngineError> {
    let page = world.store().list_webhooks(PageRequest { limit: WEBHOOKS_MAX, after: None }).await?;
    if page.items.len() < WEBHOOKS_MAX as usize {
        return Ok(());
    }
    let message = format!("The account has {WEBHOOKS_MAX} webhooks, which is the most. Delete one that is not needed.");
    Err(EngineError::refused("LimitExceededException", message))
}

fn new_url_key<W: HasBasics + ?Sized>(world: &W) -> Secret {
    let mut random = [0; URL_KEY_BYTES];
    world.entropy().fill(&mut random);
    Secret::new(hex::encode(random))
}

impl From<InvalidWebhook> for EngineError {
    fn from(invalid: InvalidWebhook) -> Self {
        Self::refused(invalid.exception(), invalid.to_string())
    }
}
