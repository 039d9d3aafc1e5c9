//! Webhooks.

use domain::{WebhookDefinition, WebhookName};

use super::{Epoch, tags::Tag};

wire! {
    /// PutWebhook.
    PutWebhookInput { webhook: WebhookDefinition; tags: Vec<Tag> }

    /// PutWebhook's answer.
    PutWebhookOutput { webhook: ListWebhookItem; }

    /// ListWebhooks; the one operation whose paging members have capitals.
    ListWebhooksInput {
        ;
        #[serde(rename = "NextToken")]
        next_token: String,
        #[serde(rename = "MaxResults")]
        max_results: u32,
    }

    /// ListWebhooks' answer.
    ListWebhooksOutput {
        webhooks: Vec<ListWebhookItem>;
        #[serde(rename = "NextToken")]
        next_token: String,
    }

    /// A webhook as clients see it.
    ListWebhookItem {
        definition: WebhookDefinition,
        url: String;
        error_message: String,
        error_code: String,
        last_triggered: Epoch,
        arn: String,
        tags: Vec<Tag>,
    }

    /// DeleteWebhook.
    DeleteWebhookInput { name: WebhookName; }

    /// DeleteWebhook's answer, which is empty.
    #[derive(Default)]
    DeleteWebhookOutput { ; }

    /// RegisterWebhookWithThirdParty.
    RegisterWebhookWithThirdPartyInput { ; webhook_name: WebhookName }

    /// RegisterWebhookWithThirdParty's answer, which is empty.
    #[derive(Default)]
    RegisterWebhookWithThirdPartyOutput { ; }

    /// DeregisterWebhookWithThirdParty.
    DeregisterWebhookWithThirdPartyInput { ; webhook_name: WebhookName }

    /// DeregisterWebhookWithThirdParty's answer, which is empty.
    #[derive(Default)]
    DeregisterWebhookWithThirdPartyOutput { ; }
}
