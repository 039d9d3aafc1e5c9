//! The rule types that a condition can use (spec 4.3).

use std::ops::RangeInclusive;

use crate::{ConditionKind, RuleTypeId};

/// What is known of a rule type. Its category is `Rule`, its owner `AWS`, its version `1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleTypeInfo {
    /// Such as `CloudWatchAlarm`.
    pub provider: &'static str,
    /// Configuration keys that must be given.
    pub required_keys: &'static [&'static str],
    /// Configuration keys that may be given.
    pub optional_keys: &'static [&'static str],
    /// How many artifacts it reads.
    pub inputs: RangeInclusive<usize>,
    /// Whether it may decide that a stage is skipped.
    pub may_skip: bool,
    /// Whether it is evaluated; otherwise a condition may hold such a rule, which is Errored.
    is_run: bool,
}

/// Every rule type.
pub const RULE_TYPES: &[RuleTypeInfo] = &[
    RuleTypeInfo {
        provider: "CloudWatchAlarm",
        required_keys: &["AlarmName"],
        // Watch is Lastgood's own: the alarm is observed after the stage was left.
        optional_keys: &["AlarmStates", "WaitTime", "Watch"],
        inputs: 0..=0,
        may_skip: false,
        is_run: true,
    },
    RuleTypeInfo {
        provider: "CodeBuild",
        required_keys: &["ProjectName"],
        optional_keys: &["BatchEnabled", "CombineArtifacts", "EnvironmentVariables", "PrimarySource"],
        inputs: 0..=5,
        may_skip: false,
        is_run: false,
    },
    RuleTypeInfo {
        provider: COMMANDS,
        required_keys: &[],
        optional_keys: &[],
        inputs: 0..=10,
        may_skip: false,
        is_run: false,
    },
    RuleTypeInfo {
        provider: "DeploymentWindow",
        required_keys: &["Cron"],
        optional_keys: &["TimeZone"],
        inputs: 0..=0,
        may_skip: false,
        is_run: true,
    },
    RuleTypeInfo {
        provider: FUNCTION,
        required_keys: &["FunctionName"],
        optional_keys: &["UserParameters"],
        inputs: 0..=5,
        may_skip: true,
        is_run: true,
    },
    RuleTypeInfo {
        provider: "VariableCheck",
        required_keys: &["Variable", "Value", "Operator"],
        optional_keys: &[],
        inputs: 0..=0,
        may_skip: true,
        is_run: true,
    },
];

const COMMANDS: &str = "Commands";
const FUNCTION: &str = "LambdaInvoke";

impl RuleTypeInfo {
    /// Whether it is evaluated in conditions of this kind. A failure is settled at one look, which cannot wait for a
    /// function's answer.
    pub fn is_run_in(&self, kind: ConditionKind) -> bool {
        self.is_run && (kind != ConditionKind::OnFailure || self.provider != FUNCTION)
    }

    /// Whether it runs the commands of its declaration.
    pub fn has_commands(&self) -> bool {
        self.provider == COMMANDS
    }
}

/// The rule type called `id`; an owner and a version that are left out are `AWS` and `1`.
pub fn find_rule_type(id: &RuleTypeId) -> Option<&'static RuleTypeInfo> {
    let (owner, version) = (id.owner.as_deref().unwrap_or("AWS"), id.version.as_deref().unwrap_or("1"));
    let is_known = (id.category.as_str(), owner, version) == ("Rule", "AWS", "1");
    RULE_TYPES.iter().find(|info| is_known && info.provider == id.provider)
}
