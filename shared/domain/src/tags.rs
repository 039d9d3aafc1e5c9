//! Tags: what can carry them, which are allowed, and how many (spec 1.9, 1.10).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ActionTypeId, PipelineName, partition_of};

/// Most tags of one resource (spec 1.10).
pub const TAGS_MAX: usize = 50;

/// Start of the keys that AWS keeps to itself, in capitals or not.
const SYSTEM_PREFIX: &str = "aws:";

/// Values by key. Lengths are checked where requests are decoded.
pub type Tags = BTreeMap<String, String>;

/// A resource that can carry tags, known by what follows the account in its ARN: `shop`, `webhook:on-push` or
/// `actiontype:Custom/Build/Tool/1` (spec 1.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaggedResource(String);

/// Why tags are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// The ARN is of something else.
    #[error(
        "Invalid ARN '{arn}'. Tags are on pipelines ({start}<name>), webhooks ({start}webhook:<name>) and action types \
         ({start}actiontype:<owner>/<category>/<provider>/<version>)."
    )]
    InvalidArn {
        /// As given.
        arn: String,
        /// How the ARNs of this account and region start.
        start: String,
    },
    /// A key is AWS's own. The text is CodePipeline's.
    #[error(
        "Not allowed to modify system tags. System tags start with 'aws:'. msg=[Caller is an end user and not allowed \
         to mutate system tags]"
    )]
    SystemTag,
    /// A key is given more than once.
    #[error("The tag key '{0}' is given more than once.")]
    RepeatedKey(String),
    /// More than [`TAGS_MAX`]. The text is CodePipeline's.
    #[error("Tag limit exceeded for resource [{0}].")]
    TooMany(String),
}

impl TagError {
    /// Name of the exception in CodePipeline's API.
    pub fn exception(&self) -> &'static str {
        match self {
            Self::InvalidArn { .. } => "InvalidArnException",
            Self::SystemTag | Self::RepeatedKey(_) => "InvalidTagsException",
            Self::TooMany(_) => "TooManyTagsException",
        }
    }
}

impl TaggedResource {
    /// A pipeline.
    pub fn pipeline(name: &PipelineName) -> Self {
        Self(name.to_string())
    }

    /// A webhook.
    pub fn webhook(name: &str) -> Self {
        Self(format!("webhook:{name}"))
    }

    /// An action type.
    pub fn action_type(id: &ActionTypeId) -> Self {
        Self(format!("actiontype:{}/{}/{}/{}", id.owner, id.category, id.provider, id.version))
    }

    /// The resource that `arn` names in this account and region. Whether it exists is another question.
    ///
    /// # Errors
    /// [`TagError::InvalidArn`], also for ARNs of stages and actions, which carry no tags.
    pub fn from_arn(arn: &str, region: &str, account: &str) -> Result<Self, TagError> {
        let start = arn_start(region, account);
        match arn.strip_prefix(&start).filter(|name| is_resource(name)) {
            Some(name) => Ok(Self(name.to_owned())),
            None => Err(TagError::InvalidArn { arn: arn.to_owned(), start }),
        }
    }

    /// What follows the account in its ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its ARN.
    pub fn arn(&self, region: &str, account: &str) -> String {
        format!("{}{}", arn_start(region, account), self.0)
    }

    /// CodePipeline's text for a resource that is not there (spec 1.9).
    pub fn not_found(&self, account: &str) -> String {
        let (kind, name) = match self.0.split_once(':') {
            Some(("webhook", name)) => ("a webhook", name),
            Some((_, name)) => ("an action type", name),
            None => ("a pipeline", self.as_str()),
        };
        format!("The account with id '{account}' does not include {kind} with the name '{name}'")
    }
}

/// The tags given in a request, once they are found to be allowed.
///
/// # Errors
/// [`TagError::SystemTag`], [`TagError::RepeatedKey`].
pub fn check_tags(given: impl IntoIterator<Item = (String, String)>) -> Result<Tags, TagError> {
    let mut tags = Tags::new();
    for (key, value) in given {
        check_key(&key)?;
        if tags.contains_key(&key) {
            return Err(TagError::RepeatedKey(key));
        }
        tags.insert(key, value);
    }
    Ok(tags)
}

/// Checks that a request may remove tags of this key.
///
/// # Errors
/// [`TagError::SystemTag`].
pub fn check_key(key: &str) -> Result<(), TagError> {
    let start = key.get(..SYSTEM_PREFIX.len());
    if start.is_some_and(|start| start.eq_ignore_ascii_case(SYSTEM_PREFIX)) {
        return Err(TagError::SystemTag);
    }
    Ok(())
}

/// `tags` with those of `more`, whose values win; `arn` is the resource's, for the refusal.
///
/// # Errors
/// [`TagError::TooMany`].
pub fn merge_tags(mut tags: Tags, more: Tags, arn: &str) -> Result<Tags, TagError> {
    tags.extend(more);
    if tags.len() > TAGS_MAX {
        return Err(TagError::TooMany(arn.to_owned()));
    }
    Ok(tags)
}

fn arn_start(region: &str, account: &str) -> String {
    format!("arn:{}:codepipeline:{region}:{account}:", partition_of(region))
}

fn is_resource(name: &str) -> bool {
    let is_name = |name: &str| name.parse::<PipelineName>().is_ok();
    match name.split_once(':') {
        None => is_name(name),
        Some(("webhook", name)) => is_name(name),
        Some(("actiontype", id)) => {
            let parts: Vec<&str> = id.split('/').collect();
            parts.len() == 4 && parts.into_iter().all(is_name)
        }
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "arn:aws:codepipeline:eu-west-1:111122223333:";

    fn from_arn(arn: &str) -> Result<TaggedResource, TagError> {
        TaggedResource::from_arn(arn, "eu-west-1", "111122223333")
    }

    fn tags(count: usize) -> Tags {
        (0..count).map(|number| (format!("key {number}"), String::new())).collect()
    }

    #[test]
    fn arns_of_what_carries_tags_come_back_as_they_were() {
        let action_type = ActionTypeId {
            category: "Build".into(),
            owner: "Custom".into(),
            provider: "Tool".into(),
            version: "1_a-b".into(),
        };
        for (resource, name) in [
            (TaggedResource::pipeline(&"shop.A@b-c_d".parse().unwrap()), "shop.A@b-c_d"),
            (TaggedResource::pipeline(&"webhook".parse().unwrap()), "webhook"),
            (TaggedResource::webhook("on-push"), "webhook:on-push"),
            (TaggedResource::action_type(&action_type), "actiontype:Custom/Build/Tool/1_a-b"),
        ] {
            assert_eq!(resource.arn("eu-west-1", "111122223333"), format!("{START}{name}"));
            assert_eq!(from_arn(&format!("{START}{name}")), Ok(resource));
        }
    }

    #[test]
    fn other_arns_are_refused_with_what_to_give() {
        let own = ["", "shop/Prod", "shop/Prod/Deploy", "webhook:", "webhook:a/b", "job:x", "actiontype:a/b/c", "a b"];
        let own = own.map(|name| format!("{START}{name}"));
        let others = [
            "shop",
            "arn:aws:codepipeline:us-east-1:111122223333:shop",
            "arn:aws:codepipeline:eu-west-1:999999999999:shop",
            "arn:aws:s3:eu-west-1:111122223333:shop",
        ];
        for arn in own.iter().map(String::as_str).chain(others) {
            let refused = from_arn(arn).unwrap_err();
            assert_eq!(refused.exception(), "InvalidArnException", "{arn}");
            assert!(refused.to_string().contains(START), "{refused}");
        }
    }

    #[test]
    fn keys_of_aws_and_repeated_keys_are_refused() {
        let check = |keys: &[&str]| check_tags(keys.iter().map(|key| ((*key).to_owned(), String::new())));
        for system in ["aws:", "aws:a", "AWS:a", "Aws:a"] {
            assert_eq!(check(&["team", system]), Err(TagError::SystemTag), "{system}");
        }
        assert_eq!(check(&["team", "Team", "team"]), Err(TagError::RepeatedKey("team".into())));
        let allowed = ["", "a", "aws", "awsome", "my-aws:x", "ä:", "aw\u{fc}:"];
        assert_eq!(check(&allowed).unwrap().len(), allowed.len());
    }

    #[test]
    fn a_resource_has_at_most_fifty() {
        assert_eq!(merge_tags(tags(20), tags(TAGS_MAX), "arn").unwrap().len(), TAGS_MAX, "equal keys count once");
        assert_eq!(merge_tags(tags(1), tags(TAGS_MAX + 1), "arn"), Err(TagError::TooMany("arn".into())));
        let renamed = Tags::from([("key 0".to_owned(), "new".to_owned())]);
        assert_eq!(merge_tags(tags(1), renamed.clone(), "arn").unwrap(), renamed);
    }
}
