//! Webhooks as resources. What is delivered to them is in `deliveries`.

use domain::{Tags, Webhook, WebhookName};
use engine::{HasStore, ports::Store};
use protocol::{
    ErrorCode,
    wire::{
        tags::Tag,
        webhooks::{
            DeleteWebhookInput, DeleteWebhookOutput, DeregisterWebhookWithThirdPartyInput, ListWebhookItem,
            ListWebhooksOutput, PutWebhookInput, PutWebhookOutput, RegisterWebhookWithThirdPartyInput,
        },
    },
};

use crate::{deliveries::webhook_url, failure::Failure, paging::Listing, tags};

/// PutWebhook. `endpoint` is the address under which the caller reached it.
pub(crate) async fn put<W: HasStore>(
    world: &W,
    input: PutWebhookInput,
    endpoint: &str,
) -> Result<PutWebhookOutput, Failure> {
    let tags = tags::given(input.tags.as_ref())?;
    let (webhook, tags) = engine::put_webhook(world, input.webhook, tags).await?;
    Ok(PutWebhookOutput { webhook: item(world, webhook, tags, endpoint) })
}

/// ListWebhooks.
pub(crate) async fn list<W: HasStore>(
    world: &W,
    listing: &Listing,
    endpoint: &str,
) -> Result<ListWebhooksOutput, Failure> {
    let page = engine::list_webhooks(world, listing.page()).await?;
    let webhooks = page.items.into_iter().map(|(webhook, tags)| item(world, webhook, tags, endpoint)).collect();
    Ok(ListWebhooksOutput { webhooks, next_token: listing.token(page.next)? })
}

/// DeleteWebhook.
pub(crate) async fn delete<W: HasStore>(world: &W, input: DeleteWebhookInput) -> Result<DeleteWebhookOutput, Failure> {
    engine::delete_webhook(world, &input.name).await?;
    Ok(DeleteWebhookOutput {})
}

/// RegisterWebhookWithThirdParty: Lastgood has no access to GitHub.
pub(crate) async fn register<W: HasStore>(world: &W, input: RegisterWebhookWithThirdPartyInput) -> Result<(), Failure> {
    by_hand(world, input.webhook_name.as_ref(), "Set its url and its SecretToken at GitHub").await
}

/// DeregisterWebhookWithThirdParty, likewise.
pub(crate) async fn deregister<W: HasStore>(
    world: &W,
    input: DeregisterWebhookWithThirdPartyInput,
) -> Result<(), Failure> {
    by_hand(world, input.webhook_name.as_ref(), "Remove its url at GitHub").await
}

async fn by_hand<W: HasStore>(world: &W, name: Option<&WebhookName>, what: &str) -> Result<(), Failure> {
    let invalid = |message: String| Err(Failure::refused(ErrorCode::ValidationException, message));
    let Some(name) = name else {
        return invalid("Name the webhook in webhookName".to_owned());
    };
    if world.store().load_webhook(name).await?.is_none() {
        let message = format!("Account '{}' does not have a webhook with name '{name}'", world.settings().account);
        return Err(Failure::refused(ErrorCode::WebhookNotFoundException, message));
    }
    invalid(format!(
        "Lastgood has no access to the other side of webhook '{name}'. {what} by hand, in the repository's settings \
         under Webhooks."
    ))
}

fn item<W: HasStore>(world: &W, webhook: Webhook, tags: Tags, endpoint: &str) -> ListWebhookItem {
    let (error_code, error_message) =
        webhook.problem.map(|problem| (problem.status.to_string(), problem.message)).unzip();
    ListWebhookItem {
        url: webhook_url(endpoint, &webhook.definition.name, &webhook.url_key),
        arn: Some(world.settings().webhook_arn(webhook.definition.name.as_str())),
        definition: webhook.definition.redacted(),
        last_triggered: webhook.last_triggered.map(Into::into),
        error_code,
        error_message,
        tags: (!tags.is_empty()).then(|| tags.into_iter().map(|(key, value)| Tag { key, value }).collect()),
    }
}
