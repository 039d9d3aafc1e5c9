//! The action types that a pipeline can use (spec 1.5, 1.8, 1.10): those built in, and an account's own.

mod built_in;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, ops::RangeInclusive};

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionTypeInfo {
    /// Its name in four parts.
    pub id: ActionTypeId,
    /// Who runs it; absent, nobody does: a pipeline may hold such an action, which fails when its turn comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ActionKind>,
    /// How many artifacts it reads.
    pub inputs: RangeInclusive<usize>,
    /// How many artifacts it produces.
    pub outputs: RangeInclusive<usize>,
    /// Its configuration.
    pub properties: Vec<ActionProperty>,
    /// Where people find what it works on.
    #[serde(default)]
    pub urls: ActionTypeUrls,
    /// Whether the pipeline has to be of type V2.
    #[serde(default)]
    pub v2_only: bool,
    /// Longest time it may take, in seconds, unless the action declares its own.
    pub timeout_s: u32,
    /// Longest silence of its worker, in seconds; absent, as long as it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_s: Option<u32>,
}

/// One key of an action's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionProperty {
    /// The key.
    pub name: String,
    /// Whether it must be given.
    pub required: bool,
    /// Whether it identifies what the action works on.
    pub key: bool,
    /// Whether its value is shown to job workers only (spec 1.8).
    pub secret: bool,
    /// Whether job workers can ask for jobs by its value.
    #[serde(default)]
    pub queryable: bool,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `String`, `Number` or `Boolean`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub value_type: Option<String>,
}

/// Links to an action's provider; templates may hold `{Config:Key}` and `{ExternalExecutionId}` (spec 6.3).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionTypeUrls {
    /// Where the provider is set up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub third_party_configuration_url: Option<String>,
    /// What the action works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_url_template: Option<String>,
    /// One execution at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_url_template: Option<String>,
    /// Where the configuration can be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_url_template: Option<String>,
}

impl ActionTypeInfo {
    /// Keys that must be given.
    pub fn required_keys(&self) -> impl Iterator<Item = &str> {
        self.properties.iter().filter(|property| property.required).map(|property| property.name.as_str())
    }

    /// Keys whose values are secret.
    pub fn secret_keys(&self) -> impl Iterator<Item = &str> {
        self.properties.iter().filter(|property| property.secret).map(|property| property.name.as_str())
    }
}

/// The action types of an account: those built in, and its own.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    custom: Vec<ActionTypeInfo>,
}

impl Catalogue {
    /// The types built in, and `custom`, an account's own that are in use.
    pub fn new(custom: Vec<ActionTypeInfo>) -> Self {
        Self { custom }
    }

    /// The action type called `id`.
    pub fn find(&self, id: &ActionTypeId) -> Option<&ActionTypeInfo> {
        self.all().find(|info| info.id == *id)
    }

    /// Every type, those built in first, in an order that stays.
    pub fn all(&self) -> impl Iterator<Item = &ActionTypeInfo> {
        built_in::TYPES.iter().chain(&self.custom)
    }
}

/// The provider whose state machine runs actions of type `id`; absent where none does. Its file is
/// `statemachine/actions/<provider>.asl.json`.
pub fn action_machine(id: &ActionTypeId) -> Option<&str> {
    (action_kind(id) == Some(ActionKind::Machine)).then_some(id.provider.as_str())
}

/// Every provider that has a state machine, each once, in the order of the alphabet.
pub fn action_machines() -> impl Iterator<Item = &'static str> {
    let machines = built_in::TYPES.iter().filter(|info| info.kind == Some(ActionKind::Machine));
    machines.map(|info| info.id.provider.as_str()).collect::<BTreeSet<_>>().into_iter()
}

/// Whether actions of type `id` can run in another region than their pipeline's. A provider's state machine cannot: Step
/// Functions reaches no service of another region.
pub fn runs_in_any_region(id: &ActionTypeId) -> bool {
    matches!(action_kind(id), Some(ActionKind::Native | ActionKind::Job))
}

/// Who runs actions of type `id`; absent, nobody does. Every custom action is a job, whichever account declared it.
pub fn action_kind(id: &ActionTypeId) -> Option<ActionKind> {
    match id.owner.as_str() {
        "Custom" => Some(ActionKind::Job),
        _ => built_in::TYPES.iter().find(|info| info.id == *id).and_then(|info| info.kind),
    }
}
