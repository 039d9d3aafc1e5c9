//! Which revisions an execution shall take, where its starter names them (spec 2.4).

use std::collections::{BTreeMap, btree_map::Entry};

use serde::{Deserialize, Serialize};

use crate::{ActionDeclaration, ActionName, ActionTypeId, PipelineDeclaration, SourcePin};

/// Setting of an S3 source action without which its key cannot be replaced; `false` when absent.
const ALLOW_KEY: &str = "AllowOverrideForS3ObjectKey";

/// Longest key of an S3 object, in bytes.
const KEY_BYTES_MAX: usize = 1024;

/// A revision that a Source action shall take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceRevisionOverride {
    /// The action.
    pub action_name: ActionName,
    /// What the value is.
    pub revision_type: SourceRevisionType,
    /// A commit id, an image digest, an object's version or its key.
    pub revision_value: String,
}

/// What a source revision override names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SourceRevisionType {
    /// A commit in a repository of code.
    CommitId,
    /// An image in a repository of images.
    ImageDigest,
    /// A version of an object.
    #[serde(rename = "S3_OBJECT_VERSION_ID")]
    S3ObjectVersionId,
    /// Another object than the declared one, in the same bucket.
    #[serde(rename = "S3_OBJECT_KEY")]
    S3ObjectKey,
}

impl SourceRevisionType {
    /// CodePipeline's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CommitId => "COMMIT_ID",
            Self::ImageDigest => "IMAGE_DIGEST",
            Self::S3ObjectVersionId => "S3_OBJECT_VERSION_ID",
            Self::S3ObjectKey => "S3_OBJECT_KEY",
        }
    }

    /// The types that Source actions of this type take.
    pub fn of(action_type: &ActionTypeId) -> &'static [Self] {
        match action_type.provider.as_str() {
            "S3" => &[Self::S3ObjectVersionId, Self::S3ObjectKey],
            "CodeCommit" | "CodeStarSourceConnection" | "GitHub" => &[Self::CommitId],
            "ECR" => &[Self::ImageDigest],
            _ => &[],
        }
    }
}

/// Why revisions are refused; each text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    /// There is no such action.
    #[error("The pipeline has no Source action '{0}'.")]
    UnknownAction(ActionName),
    /// The action is in a later stage.
    #[error("Action '{0}' is not a Source action, so it takes no source revision.")]
    NotASource(ActionName),
    /// Its provider knows other types.
    #[error("Source action '{action}' takes {takes}, not {given}.")]
    WrongType {
        /// The action.
        action: ActionName,
        /// The types it takes, for people.
        takes: String,
        /// As given.
        given: &'static str,
    },
    /// The action has not been opened for this.
    #[error("The key of Source action '{0}' is fixed. Set its {ALLOW_KEY} to true first.")]
    FixedKey(ActionName),
    /// S3 has no such keys.
    #[error("The key for Source action '{0}' is too long: S3 keys have at most {KEY_BYTES_MAX} bytes.")]
    LongKey(ActionName),
    /// Given twice.
    #[error("Source action '{action}' is given two revisions of type {given}.")]
    Repeated {
        /// The action.
        action: ActionName,
        /// The type.
        given: &'static str,
    },
}

/// What Source actions shall take, by action. S3's two types may be combined for one action: that version of that key.
///
/// # Errors
/// [`RevisionError`] of the first override that cannot be.
pub fn pin_sources(
    declaration: &PipelineDeclaration,
    overrides: &[SourceRevisionOverride],
) -> Result<BTreeMap<ActionName, SourcePin>, RevisionError> {
    let mut pins = BTreeMap::new();
    for order in overrides {
        let action = find_source(declaration, &order.action_name)?;
        pin(&mut pins, action, order)?;
    }
    Ok(pins)
}

fn find_source<'a>(
    declaration: &'a PipelineDeclaration,
    name: &ActionName,
) -> Result<&'a ActionDeclaration, RevisionError> {
    // Names are unique in a stage only; sources are in the first.
    let mut actions = declaration.stages.iter().flat_map(|stage| &stage.actions);
    let action = actions.find(|action| action.name == *name);
    let action = action.ok_or_else(|| RevisionError::UnknownAction(name.clone()))?;
    if action.action_type_id.category == "Source" {
        return Ok(action);
    }
    Err(RevisionError::NotASource(name.clone()))
}

fn pin(
    pins: &mut BTreeMap<ActionName, SourcePin>,
    action: &ActionDeclaration,
    order: &SourceRevisionOverride,
) -> Result<(), RevisionError> {
    let (name, given) = (&action.name, order.revision_type);
    let types = SourceRevisionType::of(&action.action_type_id);
    if !types.contains(&given) {
        let takes: Vec<&str> = types.iter().map(|one| one.as_str()).collect();
        let takes = if takes.is_empty() { "no revision by name".to_owned() } else { takes.join(" and ") };
        return Err(RevisionError::WrongType { action: name.clone(), takes, given: given.as_str() });
    }
    let pin = match pins.entry(name.clone()) {
        Entry::Occupied(pin) => pin.into_mut(),
        Entry::Vacant(place) => place.insert(SourcePin { key: None, version_id: None }),
    };
    let place = if given == SourceRevisionType::S3ObjectKey {
        if action.configuration.get(ALLOW_KEY).is_none_or(|allow| !allow.eq_ignore_ascii_case("true")) {
            return Err(RevisionError::FixedKey(name.clone()));
        }
        if order.revision_value.len() > KEY_BYTES_MAX {
            return Err(RevisionError::LongKey(name.clone()));
        }
        &mut pin.key
    } else {
        &mut pin.version_id
    };
    match place.replace(order.revision_value.clone()) {
        None => Ok(()),
        Some(_) => Err(RevisionError::Repeated { action: name.clone(), given: given.as_str() }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn declaration() -> PipelineDeclaration {
        let source = |name: &str, provider: &str, configuration: serde_json::Value| {
            json!({
                "name": name,
                "actionTypeId": {"category": "Source", "owner": "AWS", "provider": provider, "version": "1"},
                "configuration": configuration,
            })
        };
        let sources = json!([
            source("Fixed", "S3", json!({})),
            source("Shut", "S3", json!({"AllowOverrideForS3ObjectKey": "false"})),
            source("Open", "S3", json!({"AllowOverrideForS3ObjectKey": "true"})),
            source("Code", "CodeCommit", json!({})),
            source("Git", "CodeStarSourceConnection", json!({})),
            source("Image", "ECR", json!({})),
            source("Own", "Tool", json!({})),
        ]);
        let deploy = json!({
            "name": "Deploy",
            "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1"},
        });
        serde_json::from_value(json!({
            "name": "shop",
            "roleArn": "arn:aws:iam::111122223333:role/pipeline",
            "stages": [{"name": "Source", "actions": sources}, {"name": "Prod", "actions": [deploy]}],
        }))
        .unwrap()
    }

    fn order(action: &str, revision_type: &str, value: &str) -> SourceRevisionOverride {
        let order = json!({"actionName": action, "revisionType": revision_type, "revisionValue": value});
        serde_json::from_value(order).unwrap()
    }

    #[test]
    fn revisions_go_to_their_actions() {
        let pins = pin_sources(
            &declaration(),
            &[
                order("Open", "S3_OBJECT_KEY", "k"),
                order("Open", "S3_OBJECT_VERSION_ID", "v"),
                order("Fixed", "S3_OBJECT_VERSION_ID", "v2"),
                order("Code", "COMMIT_ID", "c"),
                order("Git", "COMMIT_ID", "g"),
                order("Image", "IMAGE_DIGEST", "sha256:i"),
            ],
        );
        let pin = |key: Option<&str>, version: &str| SourcePin {
            key: key.map(str::to_owned),
            version_id: Some(version.to_owned()),
        };
        let expected = [
            ("Open", pin(Some("k"), "v")),
            ("Fixed", pin(None, "v2")),
            ("Code", pin(None, "c")),
            ("Git", pin(None, "g")),
            ("Image", pin(None, "sha256:i")),
        ];
        assert_eq!(pins.unwrap(), expected.map(|(name, pin)| (name.parse().unwrap(), pin)).into());
        assert_eq!(pin_sources(&declaration(), &[]).unwrap(), BTreeMap::new());
    }

    #[test]
    fn revisions_that_cannot_be_are_refused_with_what_can() {
        let version = order("Fixed", "S3_OBJECT_VERSION_ID", "v");
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        for (orders, expected) in [
            (vec![order("Moon", "COMMIT_ID", "c")], "The pipeline has no Source action 'Moon'."),
            (
                vec![order("Deploy", "S3_OBJECT_VERSION_ID", "v")],
                "Action 'Deploy' is not a Source action, so it takes no source revision.",
            ),
            (
                vec![order("Fixed", "COMMIT_ID", "c")],
                "Source action 'Fixed' takes S3_OBJECT_VERSION_ID and S3_OBJECT_KEY, not COMMIT_ID.",
            ),
            (vec![order("Code", "S3_OBJECT_KEY", "k")], "Source action 'Code' takes COMMIT_ID, not S3_OBJECT_KEY."),
            (
                vec![order("Own", "IMAGE_DIGEST", "i")],
                "Source action 'Own' takes no revision by name, not IMAGE_DIGEST.",
            ),
            (
                vec![order("Fixed", "S3_OBJECT_KEY", "k")],
                "The key of Source action 'Fixed' is fixed. Set its AllowOverrideForS3ObjectKey to true first.",
            ),
            (
                vec![order("Shut", "S3_OBJECT_KEY", "k")],
                "The key of Source action 'Shut' is fixed. Set its AllowOverrideForS3ObjectKey to true first.",
            ),
            (
                vec![order("Open", "S3_OBJECT_KEY", &long)],
                "The key for Source action 'Open' is too long: S3 keys have at most 1024 bytes.",
            ),
            (
                vec![version.clone(), version],
                "Source action 'Fixed' is given two revisions of type S3_OBJECT_VERSION_ID.",
            ),
        ] {
            assert_eq!(pin_sources(&declaration(), &orders).unwrap_err().to_string(), expected);
        }
    }
}
