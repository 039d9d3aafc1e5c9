//! Putting and deleting webhooks (spec 6.6).

use domain::{InvalidWebhook, PipelineIndex, Secret, TaggedResource, Tags, Webhook, WebhookDefinition, WebhookName};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    EngineError, HasBasics, HasStore,
    commit::until_stored,
    ports::{Page, PageRequest, Precondition, Row, Store, Write},
    start::not_found,
    tags::{tag_changed, tag_new, untag_removed},
};

/// Most webhooks of an account in a region (spec 1.10). Several made at the same moment may pass it by their number.
pub const WEBHOOKS_MAX: u32 = 300;

/// Random bytes of a URL: 192 bits cannot be guessed.
const URL_KEY_BYTES: usize = 24;

/// Tags read at the same time for a list of webhooks.
const TAG_READS_MAX: usize = 10;

/// Creates a webhook, or changes one, which keeps its URL and its tags. Returns it with all its tags.
///
/// # Errors
/// Refusals `PipelineNotFoundException`, `ValidationException` (the target action),
/// `InvalidWebhookFilterPatternException`, `InvalidWebhookAuthenticationParametersException`,
/// `TooManyTagsException`, `LimitExceededException`.
pub async fn put_webhook<W: HasStore>(
    world: &W,
    definition: WebhookDefinition,
    tags: Tags,
) -> Result<(Webhook, Tags), EngineError> {
    let url_key = new_url_key(world);
    until_stored(async || {
        let stored = world.store().load_webhook(&definition.name).await?;
        let webhook = domain::put_webhook(definition.clone(), stored.as_ref(), url_key.clone())?;
        let Some(view) = world.store().load_pipeline(&definition.target_pipeline).await? else {
            return Err(not_found(&world.settings().account, definition.target_pipeline.as_str()));
        };
        check_target(&view.index, &definition)?;
        let resource = TaggedResource::webhook(definition.name.as_str());
        let (tags, tagged) = if stored.is_some() {
            tag_changed(world, &resource, tags.clone()).await?
        } else {
            check_room(world).await?;
            (tags.clone(), Some(tag_new(world, resource, tags.clone())?))
        };
        let mut writes = vec![Write::Put(Row::Webhook(webhook.clone()), Precondition::Version(webhook.version))];
        writes.extend(tagged);
        world.store().commit(writes).await?;
        Ok((webhook, tags))
    })
    .await
}

/// Webhooks by name, each with its tags.
///
/// # Errors
/// [`EngineError::Unavailable`] is worth a retry.
pub async fn list_webhooks<W: HasStore>(world: &W, page: PageRequest) -> Result<Page<(Webhook, Tags)>, EngineError> {
    let Page { items, next } = world.store().list_webhooks(page).await?;
    let tagged = stream::iter(items).map(|webhook| async move {
        let tags = world.store().load_tags(&TaggedResource::webhook(webhook.definition.name.as_str())).await?;
        Ok::<_, EngineError>((webhook, tags.map(|found| found.tags).unwrap_or_default()))
    });
    Ok(Page { items: tagged.buffered(TAG_READS_MAX).try_collect().await?, next })
}

/// Deletes a webhook. One that is not there is success.
///
/// # Errors
/// [`EngineError::Unavailable`] is worth a retry.
pub async fn delete_webhook<W: HasStore>(world: &W, name: &WebhookName) -> Result<(), EngineError> {
    if let Some(webhook) = world.store().load_webhook(name).await? {
        let tags = untag_removed(TaggedResource::webhook(name.as_str()));
        world.store().commit(vec![Write::Delete(Row::Webhook(webhook)), tags]).await?;
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
