//! The action types that can be used in a pipeline (spec 1.5, 1.8, 1.10).

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::ActionTypeId;

/// Who runs an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ActionKind {
    /// Code of our own, within one function call or a few.
    Native,
    /// A worker or a person, who answers through the API.
    Job,
    /// A state machine of the action's own.
    Machine,
}

/// What is known of an action type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionTypeInfo {
    /// Such as `Deploy`.
    pub category: &'static str,
    /// Such as `AWS`.
    pub owner: &'static str,
    /// Such as `S3`.
    pub provider: &'static str,
    /// Such as `1`.
    pub version: &'static str,
    /// Who runs it.
    pub kind: ActionKind,
    /// How many artifacts it reads.
    pub inputs: RangeInclusive<usize>,
    /// How many artifacts it produces.
    pub outputs: RangeInclusive<usize>,
    /// Configuration keys that must be given.
    pub required_keys: &'static [&'static str],
    /// Configuration keys that may be given.
    pub optional_keys: &'static [&'static str],
    /// Whether the pipeline has to be of type V2.
    pub v2_only: bool,
    /// Longest time it may take, in seconds, unless the action declares its own.
    pub timeout_s: u32,
    /// Longest silence of its worker, in seconds; absent, as long as it may take.
    pub heartbeat_s: Option<u32>,
}

const MINUTE_S: u32 = 60;
const HOUR_S: u32 = 60 * MINUTE_S;
const DAY_S: u32 = 24 * HOUR_S;

/// Every action type that is run. Whatever is not listed is refused when a pipeline is stored.
pub const ACTION_TYPES: &[ActionTypeInfo] = &[
    ActionTypeInfo {
        category: "Source",
        owner: "AWS",
        provider: "S3",
        version: "1",
        kind: ActionKind::Native,
        inputs: 0..=0,
        outputs: 1..=1,
        required_keys: &["S3Bucket", "S3ObjectKey"],
        optional_keys: &["AllowOverrideForS3ObjectKey", "PollForSourceChanges"],
        v2_only: false,
        timeout_s: HOUR_S,
        heartbeat_s: None,
    },
    ActionTypeInfo {
        category: "Deploy",
        owner: "AWS",
        provider: "S3",
        version: "1",
        kind: ActionKind::Native,
        inputs: 1..=1,
        outputs: 0..=0,
        required_keys: &["BucketName", "Extract"],
        optional_keys: &["CacheControl", "CannedACL", "KMSEncryptionKeyARN", "ObjectKey"],
        v2_only: false,
        timeout_s: 90 * MINUTE_S,
        heartbeat_s: None,
    },
    ActionTypeInfo {
        category: "Invoke",
        owner: "AWS",
        provider: "Lambda",
        version: "1",
        kind: ActionKind::Job,
        inputs: 0..=5,
        outputs: 0..=5,
        required_keys: &["FunctionName"],
        optional_keys: &["UserParameters"],
        v2_only: false,
        timeout_s: DAY_S,
        heartbeat_s: Some(20 * MINUTE_S),
    },
    ActionTypeInfo {
        category: "Approval",
        owner: "AWS",
        provider: "Manual",
        version: "1",
        kind: ActionKind::Job,
        inputs: 0..=0,
        outputs: 0..=0,
        required_keys: &[],
        optional_keys: &["CustomData", "ExternalEntityLink", "NotificationArn"],
        v2_only: false,
        timeout_s: 7 * DAY_S,
        heartbeat_s: None,
    },
];

/// The action type called `id`, if it is run here.
pub fn find_action_type(id: &ActionTypeId) -> Option<&'static ActionTypeInfo> {
    ACTION_TYPES.iter().find(|info| {
        (info.category, info.owner, info.provider, info.version)
            == (id.category.as_str(), id.owner.as_str(), id.provider.as_str(), id.version.as_str())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn types_are_found_by_all_four_parts() {
        let id = |category: &str, owner: &str, provider: &str, version: &str| ActionTypeId {
            category: category.into(),
            owner: owner.into(),
            provider: provider.into(),
            version: version.into(),
        };
        let cases = [
            (id("Source", "AWS", "S3", "1"), Some((ActionKind::Native, 3_600, None))),
            (id("Deploy", "AWS", "S3", "1"), Some((ActionKind::Native, 5_400, None))),
            (id("Invoke", "AWS", "Lambda", "1"), Some((ActionKind::Job, 86_400, Some(1_200)))),
            (id("Approval", "AWS", "Manual", "1"), Some((ActionKind::Job, 604_800, None))),
            (id("Deploy", "AWS", "Lambda", "1"), None),
            (id("Source", "Custom", "S3", "1"), None),
            (id("Source", "AWS", "s3", "1"), None),
            (id("Source", "AWS", "S3", "2"), None),
        ];
        for (id, expected) in cases {
            let found = find_action_type(&id).map(|info| (info.kind, info.timeout_s, info.heartbeat_s));
            assert_eq!(found, expected, "{id:?}");
        }
    }

    #[test]
    fn the_catalogue_names_nothing_twice() {
        let mut types = BTreeSet::new();
        for info in ACTION_TYPES {
            assert!(types.insert((info.category, info.owner, info.provider, info.version)), "{info:?}");
            let keys: BTreeSet<_> = info.required_keys.iter().chain(info.optional_keys).collect();
            assert_eq!(keys.len(), info.required_keys.len() + info.optional_keys.len(), "{info:?}");
        }
    }

    #[test]
    fn kinds_are_spelled_as_the_state_machines_spell_them() {
        for (kind, text) in
            [(ActionKind::Native, "\"Native\""), (ActionKind::Job, "\"Job\""), (ActionKind::Machine, "\"Machine\"")]
        {
            assert_eq!(serde_json::to_string(&kind).unwrap(), text);
        }
    }
}
