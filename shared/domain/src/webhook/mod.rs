//! Webhooks (spec 6.6): what they are, which are accepted, and whether a delivery may start their pipeline.

mod filter;
mod sender;
#[cfg(test)]
mod tests;

use std::fmt;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{ActionName, PipelineName, WebhookName};
use filter::parse_path;
pub use filter::{FilterMiss, has_placeholders, judge_filters};
pub use sender::{Sender, Unauthentic, authenticate};

/// What stands for a secret wherever a webhook is shown; put back, it keeps the secret.
const REDACTED: &str = "****";

/// Characters of a secret in memory and in the table. Its `Debug` does not tell it; logs are therefore safe.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from logs.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `guess` is the secret. Digests are compared, so that the time taken tells nothing of how far it fits.
    pub fn is(&self, guess: &str) -> bool {
        Sha256::digest(&self.0) == Sha256::digest(guess)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// A webhook as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookDefinition {
    /// Unique per account and region; cannot change.
    pub name: WebhookName,
    /// The pipeline that starts.
    pub target_pipeline: PipelineName,
    /// A Source action of it, whose configuration fills placeholders.
    pub target_action: ActionName,
    /// At most 5, of which all must pass.
    pub filters: Vec<WebhookFilter>,
    /// How a delivery proves where it comes from.
    pub authentication: WebhookAuthentication,
    /// What that takes.
    pub authentication_configuration: WebhookAuthConfiguration,
}

/// A condition on the payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookFilter {
    /// Where to look, as JSONPath.
    pub json_path: String,
    /// What one of the values there must be, with `{Key}` for a value of the target action's configuration. Absent:
    /// there must be a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_equals: Option<String>,
}

/// How a delivery proves where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WebhookAuthentication {
    /// By a signature over the body with a shared secret, as GitHub signs.
    GithubHmac,
    /// By its address.
    Ip,
    /// By knowing the URL.
    Unauthenticated,
}

/// What authentication takes: one member for `GITHUB_HMAC` and `IP` each, none for `UNAUTHENTICATED`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookAuthConfiguration {
    /// For `IP`: a range in CIDR notation, of either version.
    #[serde(default, rename = "AllowedIPRange", skip_serializing_if = "Option::is_none")]
    pub allowed_ip_range: Option<String>,
    /// For `GITHUB_HMAC`: the secret that GitHub was given too.
    #[serde(default, rename = "SecretToken", skip_serializing_if = "Option::is_none")]
    pub secret_token: Option<Secret>,
}

/// A webhook's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// As declared.
    pub definition: WebhookDefinition,
    /// The part of its URL that nobody can guess.
    pub url_key: Secret,
    /// When it last started its pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_triggered: Option<Timestamp>,
    /// Why the last delivery that concerned it did not do what it should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<WebhookProblem>,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}

impl Webhook {
    /// Identity of a delivery: equal ones start one execution. `None` where deliveries cannot be told from each other,
    /// so that each is its own.
    ///
    /// A signed delivery is known by its body: GitHub numbers deliveries and repeats the number when it delivers again,
    /// but signs the body alone, so whoever recorded a delivery cannot make it count anew by another number. Bodies of
    /// different events differ, since they hold commits and times. What is not signed is known by number and body.
    /// A webhook made anew, with a URL of its own, has seen nothing yet.
    pub fn delivery_cause(&self, delivery_id: Option<&str>, body: &[u8]) -> Option<String> {
        let id = match self.definition.authentication {
            WebhookAuthentication::GithubHmac => "",
            WebhookAuthentication::Ip | WebhookAuthentication::Unauthenticated => delivery_id?,
        };
        let mut digest = Sha256::new();
        for part in [self.url_key.expose().as_bytes(), id.as_bytes(), body] {
            // The length keeps the parts apart.
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Some(format!("webhook {} {}", self.definition.name, hex::encode(digest.finalize())))
    }
}

/// Why a delivery did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookProblem {
    /// The HTTP status that the sender was given.
    pub status: u16,
    /// What is wrong and what to do.
    pub message: String,
}

/// A webhook that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWebhook {
    /// A filter that no payload could be asked.
    #[error("{0}")]
    Filter(String),
    /// Authentication lacks something, or has what it has no use for.
    #[error("{0}")]
    Authentication(String),
}

impl InvalidWebhook {
    /// Name of the exception in CodePipeline's API.
    pub fn exception(&self) -> &'static str {
        match self {
            Self::Filter(_) => "InvalidWebhookFilterPatternException",
            Self::Authentication(_) => "InvalidWebhookAuthenticationParametersException",
        }
    }
}

/// The webhook that putting `definition` over `stored` makes. A new one gets `url_key`; one that was there keeps its
/// URL, and its secret where `definition` has what stands for one.
///
/// # Errors
/// [`InvalidWebhook`].
pub fn put_webhook(
    mut definition: WebhookDefinition,
    stored: Option<&Webhook>,
    url_key: Secret,
) -> Result<Webhook, InvalidWebhook> {
    let secret = &mut definition.authentication_configuration.secret_token;
    if secret.as_ref().is_some_and(|secret| secret.0 == REDACTED) {
        // A secret that is not there is missed below.
        *secret = stored.and_then(|stored| stored.definition.authentication_configuration.secret_token.clone());
    }
    check_authentication(&definition)?;
    for filter in &definition.filters {
        parse_path(&filter.json_path).map_err(InvalidWebhook::Filter)?;
    }
    Ok(match stored {
        // What was wrong may be put right.
        Some(stored) => Webhook { definition, problem: None, ..stored.clone() },
        None => Webhook { definition, url_key, last_triggered: None, problem: None, version: 0 },
    })
}

/// Members are looked for, in words of the request: texts quote no value, which could be a secret.
fn check_authentication(definition: &WebhookDefinition) -> Result<(), InvalidWebhook> {
    let WebhookAuthConfiguration { allowed_ip_range, secret_token } = &definition.authentication_configuration;
    let refuse = |message: &str| Err(InvalidWebhook::Authentication(message.to_owned()));
    match (definition.authentication, allowed_ip_range, secret_token) {
        (WebhookAuthentication::GithubHmac, None, Some(_)) | (WebhookAuthentication::Unauthenticated, None, None) => {
            Ok(())
        }
        (WebhookAuthentication::Ip, Some(range), None) => match range.parse::<IpNet>() {
            Ok(_) => Ok(()),
            Err(_) => refuse("AllowedIPRange is no CIDR range: write it as 192.0.2.0/24 or 2001:db8::/32"),
        },
        (WebhookAuthentication::GithubHmac, ..) => refuse(
            "Authentication GITHUB_HMAC takes SecretToken, the secret that is set at GitHub, and nothing else; \
             '****' stands for a secret only where the webhook has one",
        ),
        (WebhookAuthentication::Ip, ..) => {
            refuse("Authentication IP takes AllowedIPRange, such as 192.0.2.0/24, and nothing else")
        }
        (WebhookAuthentication::Unauthenticated, ..) => {
            refuse("Authentication UNAUTHENTICATED takes an empty authenticationConfiguration")
        }
    }
}

impl WebhookDefinition {
    /// The definition for clients: without the secret.
    pub fn redacted(mut self) -> Self {
        if let Some(secret) = &mut self.authentication_configuration.secret_token {
            *secret = Secret::new(REDACTED);
        }
        self
    }
}
