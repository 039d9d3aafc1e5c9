//! Tags of alarms.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{nothing, parse};
use crate::{alarm::ARN_PREFIX, error::ApiError, store::Work};

/// How many tags an alarm may have: CloudWatch's quota.
const TAGS_MAX: usize = 50;

#[derive(Debug, Deserialize)]
struct TagResource {
    #[serde(rename = "ResourceARN")]
    arn: String,
    #[serde(rename = "Tags", default)]
    tags: Value,
    #[serde(rename = "TagKeys", default)]
    keys: Vec<String>,
}

pub(super) fn tag_resource(work: &Work<'_>, input: Value) -> Result<Value, ApiError> {
    let request: TagResource = parse(input)?;
    add_tags(work, alarm_name(&request.arn)?, request.tags)?;
    Ok(nothing())
}

pub(super) fn untag_resource(work: &Work<'_>, input: Value) -> Result<Value, ApiError> {
    let request: TagResource = parse(input)?;
    let name = alarm_name(&request.arn)?;
    let mut tags = work.tags(name)?.ok_or_else(|| unknown(&request.arn))?;
    if let Some(tags) = tags.as_object_mut() {
        tags.retain(|key, _| !request.keys.contains(key));
    }
    work.store_tags(name, &tags)?;
    Ok(nothing())
}

pub(super) fn list_tags_for_resource(work: &Work<'_>, input: Value) -> Result<Value, ApiError> {
    let request: TagResource = parse(input)?;
    let tags = work.tags(alarm_name(&request.arn)?)?.ok_or_else(|| unknown(&request.arn))?;
    let tags: Vec<Value> =
        tags.as_object().into_iter().flatten().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    Ok(json!({"Tags": tags}))
}

/// Adds tags (a list of `Key` and `Value`) to those an alarm has.
pub(super) fn add_tags(work: &Work<'_>, name: &str, new: Value) -> Result<(), ApiError> {
    let new = new.as_array().cloned().unwrap_or_default();
    let mut tags = work.tags(name)?.ok_or_else(|| unknown(name))?;
    for tag in new {
        let key = tag["Key"].as_str().unwrap_or_default();
        if key.starts_with("aws:") {
            return Err(ApiError::value("Tag keys that begin with aws: are reserved; choose another key."));
        }
        tags[key] = tag["Value"].clone();
    }
    if tags.as_object().is_some_and(|tags| tags.len() > TAGS_MAX) {
        return Err(ApiError::value(format!("An alarm has at most {TAGS_MAX} tags; remove some first.")));
    }
    work.store_tags(name, &tags)
}

fn alarm_name(arn: &str) -> Result<&str, ApiError> {
    arn.strip_prefix(ARN_PREFIX).ok_or_else(|| unknown(arn))
}

fn unknown(arn: &str) -> ApiError {
    ApiError::resource_not_found(format!("There is no resource {arn}; tags belong to alarms, {ARN_PREFIX}<name>."))
}
