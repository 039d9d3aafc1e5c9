//! The rule types that a condition can use (spec 4.3).

use std::ops::RangeInclusive;

use crate::{FailureConditions, METRIC_DEGRADATION, RuleTypeId, degradation::OPTIONAL_KEYS};

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
    /// Who finds out for it.
    finds: Finds,
}

/// Who finds out what a rule demands to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finds {
    /// A look tells at once.
    Look,
    /// A Lambda function, which answers later.
    Function,
    /// The state machine of a provider, which works on it and reports.
    Machine,
}

/// Every rule type.
pub const RULE_TYPES: &[RuleTypeInfo] = &[
    RuleTypeInfo {
        provider: "CloudWatchAlarm",
        required_keys: &["AlarmName"],
        // Lastgood's own: with Watch the alarm is observed after the stage was left, and with MinimumDataPoints until its metric
        // has had so many; with Shadow beside it, what follows is told and not done; HoldUntil says what lifts the hold of a
        // rollback.
        optional_keys: &["AlarmStates", "HoldUntil", "MinimumDataPoints", "Shadow", "WaitTime", "Watch"],
        inputs: 0..=0,
        may_skip: false,
        finds: Finds::Look,
    },
    RuleTypeInfo {
        provider: "CodeBuild",
        required_keys: &["ProjectName"],
        optional_keys: &["BatchEnabled", "CombineArtifacts", "EnvironmentVariables", "PrimarySource"],
        inputs: 0..=5,
        may_skip: false,
        finds: Finds::Machine,
    },
    RuleTypeInfo {
        provider: COMMANDS,
        required_keys: &[],
        optional_keys: &[],
        inputs: 0..=10,
        may_skip: false,
        finds: Finds::Machine,
    },
    RuleTypeInfo {
        provider: "DeploymentWindow",
        required_keys: &["Cron"],
        optional_keys: &["TimeZone"],
        inputs: 0..=0,
        may_skip: false,
        finds: Finds::Look,
    },
    RuleTypeInfo {
        provider: "LambdaInvoke",
        required_keys: &["FunctionName"],
        optional_keys: &["UserParameters"],
        inputs: 0..=5,
        may_skip: true,
        finds: Finds::Function,
    },
    // Lastgood's own.
    RuleTypeInfo {
        provider: METRIC_DEGRADATION,
        required_keys: &["Metrics", "WaitTime"],
        optional_keys: OPTIONAL_KEYS,
        inputs: 0..=0,
        may_skip: false,
        finds: Finds::Look,
    },
    RuleTypeInfo {
        provider: "VariableCheck",
        required_keys: &["Variable", "Value", "Operator"],
        optional_keys: &[],
        inputs: 0..=0,
        may_skip: true,
        finds: Finds::Look,
    },
];

const COMMANDS: &str = "Commands";

impl RuleTypeInfo {
    /// Whether somebody is asked for it, who answers later.
    pub fn is_asked(&self) -> bool {
        self.finds != Finds::Look
    }

    /// The provider whose state machine works on it; absent where none does.
    pub fn machine(&self) -> Option<&'static str> {
        (self.finds == Finds::Machine).then_some(self.provider)
    }

    /// Whether it runs the commands of its declaration.
    pub fn has_commands(&self) -> bool {
        self.provider == COMMANDS
    }
}

impl FailureConditions {
    /// Whether somebody is asked for one of its rules: then it takes more than one look.
    pub fn is_asked(&self) -> bool {
        let mut rules = self.conditions.iter().flat_map(|condition| &condition.rules);
        rules.any(|rule| find_rule_type(&rule.rule_type_id).is_some_and(RuleTypeInfo::is_asked))
    }
}

/// The rule type called `id`; an owner and a version that are left out are `AWS` and `1`.
pub fn find_rule_type(id: &RuleTypeId) -> Option<&'static RuleTypeInfo> {
    let (owner, version) = (id.owner.as_deref().unwrap_or("AWS"), id.version.as_deref().unwrap_or("1"));
    let is_known = (id.category.as_str(), owner, version) == ("Rule", "AWS", "1");
    RULE_TYPES.iter().find(|info| is_known && info.provider == id.provider)
}
