//! Settings of actions (spec 1.8).

use std::collections::BTreeMap;

use super::{StructureError, StructureErrorKind::InvalidActionDeclaration};
use crate::{ActionDeclaration, ActionTypeInfo, GIT_CONNECTION, custom_type::check_queryable_value};

const BOOLEANS: &[&str] = &["true", "false"];

/// S3's canned access control lists of objects, in its spelling. `log-delivery-write` is for buckets alone: S3 refuses it of an
/// object.
pub const CANNED_ACLS: &[&str] = &[
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-full-control",
    "bucket-owner-read",
    "private",
    "public-read",
    "public-read-write",
];

/// What a source of code hands on: its files, or a reference to the repository.
const OUTPUT_FORMATS: &[&str] = &["CODEBUILD_CLONE_REF", "CODE_ZIP"];

/// Where the input of a state machine comes from.
const INPUT_TYPES: &[&str] = &["FilePath", "Literal"];

pub(super) fn check_action(action: &ActionDeclaration, info: &ActionTypeInfo) -> Result<(), StructureError> {
    let problem = |problem: String| error(action, &problem);
    check_required(&action.configuration, info.required_keys()).map_err(problem)?;
    // A type that is not run is known less well than its provider knows it: pipelines carry keys of all ages.
    if info.kind.is_some() {
        let known: Vec<_> = info.properties.iter().map(|property| property.name.as_str()).collect();
        check_known(&action.configuration, &known).map_err(problem)?;
    }
    if let Some((key, value)) = info.queryable_key().and_then(|key| action.configuration.get_key_value(key))
        && !has_reference(value)
    {
        check_queryable_value(key, value).map_err(problem)?;
    }
    let id = &info.id;
    match (id.owner.as_str(), id.category.as_str(), id.provider.as_str()) {
        ("AWS", "Source", "S3") => {
            check_value(action, "PollForSourceChanges", BOOLEANS)?;
            check_value(action, "AllowOverrideForS3ObjectKey", BOOLEANS)
        }
        ("AWS", "Source", GIT_CONNECTION) => {
            check_value(action, "DetectChanges", BOOLEANS)?;
            check_value(action, "OutputArtifactFormat", OUTPUT_FORMATS)
        }
        ("AWS", "Deploy", "S3") => check_s3_deploy(action),
        ("AWS", "Invoke", "StepFunctions") => check_value(action, "InputType", INPUT_TYPES),
        _ => Ok(()),
    }
}

fn check_s3_deploy(action: &ActionDeclaration) -> Result<(), StructureError> {
    check_value(action, "Extract", BOOLEANS)?;
    check_value(action, "CannedACL", CANNED_ACLS)?;
    let extract = action.configuration.get("Extract").map(String::as_str);
    InvalidActionDeclaration.unless(extract != Some("false") || is_given(&action.configuration, "ObjectKey"), || {
        let name = &action.name;
        format!(
            "Action configuration for action '{name}' is missing required configuration 'ObjectKey': without \
             extraction the artifact is stored as one object"
        )
    })
}

fn error(action: &ActionDeclaration, problem: &str) -> StructureError {
    InvalidActionDeclaration.error(format!("Action configuration for action '{}' {problem}", action.name))
}

/// Our wording.
fn check_value(action: &ActionDeclaration, key: &str, allowed: &[&str]) -> Result<(), StructureError> {
    check_one_of(&action.configuration, key, allowed).map_err(|problem| error(action, &problem))
}

/// The first of `required` that is missing from `configuration`.
fn check_required<'k>(
    configuration: &BTreeMap<String, String>,
    mut required: impl Iterator<Item = &'k str>,
) -> Result<(), String> {
    match required.find(|key| !is_given(configuration, key)) {
        Some(key) => Err(format!("is missing required configuration '{key}'")),
        None => Ok(()),
    }
}

/// The first key of `configuration` that is not among `known`. Our wording.
fn check_known(configuration: &BTreeMap<String, String>, known: &[&str]) -> Result<(), String> {
    match configuration.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => {
            Err(format!("contains unknown configuration '{unknown}'. It can contain {}", known.join(", ")))
        }
        None => Ok(()),
    }
}

/// What is wrong with the keys of `configuration`, if anything.
pub(super) fn check_keys(
    configuration: &BTreeMap<String, String>,
    required: &[&str],
    optional: &[&str],
) -> Result<(), String> {
    check_required(configuration, required.iter().copied())?;
    check_known(configuration, &[required, optional].concat())
}

/// What is wrong with the value of `key`, if anything. A value with a reference is not judged before it is resolved.
pub(super) fn check_one_of(
    configuration: &BTreeMap<String, String>,
    key: &str,
    allowed: &[&str],
) -> Result<(), String> {
    match configuration.get(key) {
        Some(value) if !has_reference(value) && !allowed.contains(&value.as_str()) => {
            Err(format!("has '{value}' for '{key}'. Use {}", allowed.join(", ")))
        }
        _ => Ok(()),
    }
}

pub(super) fn is_given(configuration: &BTreeMap<String, String>, key: &str) -> bool {
    configuration.get(key).is_some_and(|value| !value.is_empty())
}

pub(super) fn has_reference(value: &str) -> bool {
    value.contains("#{")
}
