//! Output variables that an execution carries from action to action.
//!
//! Each action may have as many as CodePipeline lets it (spec 1.6), and its run keeps them all. The execution's row has no
//! place for those of many such actions: where they do not fit, it keeps what the pipeline refers to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    Execution, PipelineDeclaration,
    item_size::{ITEM_BYTES_MAX, item_bytes},
    variables::{Target, references},
};

/// Most bytes that an execution takes when an action has ended. What comes after that, such as outcomes of stages and
/// summaries, finds its place in the rest of the item.
pub const EXECUTION_BYTES_MAX: usize = ITEM_BYTES_MAX - 50 * 1024;

/// Output variables that a pipeline refers to, by namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReferredOutputs(BTreeMap<String, BTreeSet<String>>);

impl ReferredOutputs {
    /// Those that any text of `declaration` refers to, be it of an action or of a rule: whatever is resolved is one of its
    /// texts.
    pub fn of(declaration: &PipelineDeclaration) -> Self {
        let mut referred = Self::default();
        // It was read from JSON.
        referred.collect(&serde_json::to_value(declaration).unwrap_or_default());
        referred
    }

    fn collect(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                for reference in references(text) {
                    if let Target::Output { namespace, key } = reference.target {
                        self.0.entry(namespace.to_owned()).or_default().insert(key.to_owned());
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.collect(value)),
            Value::Object(members) => members.values().for_each(|value| self.collect(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn has(&self, namespace: &str, key: &str) -> bool {
        self.0.get(namespace).is_some_and(|keys| keys.contains(key))
    }
}

impl Execution {
    /// Whether its row has a place for what it carries.
    pub fn fits(&self) -> bool {
        item_bytes(self) <= EXECUTION_BYTES_MAX
    }

    /// Lets go of the output variables that nothing refers to.
    pub fn keep_referred(&mut self, referred: &ReferredOutputs) {
        for (namespace, variables) in &mut self.outputs {
            variables.retain(|key, _| referred.has(namespace, key));
        }
        self.outputs.retain(|_, variables| !variables.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn declaration() -> PipelineDeclaration {
        let action_type = json!({"category": "Compute", "owner": "AWS", "provider": "Commands", "version": "1"});
        let rule = json!({
            "name": "Check", "ruleTypeId": {"category": "Rule", "provider": "VariableCheck"},
            "configuration": {"Variable": "#{Rule.A}"}, "commands": ["echo #{Rule.B}"],
        });
        serde_json::from_value(json!({
            "name": "shop", "roleArn": "role", "stages": [{
                "name": "Build",
                "actions": [{
                    "name": "Make", "actionTypeId": action_type,
                    "configuration": {"One": "#{Src.A}-#{Src.B}", "Two": "#{variables.Env} #{nothing", "Three": "#{Src.C"},
                    "commands": ["make #{Cmd.A}"],
                    "environmentVariables": [{"name": "Key", "value": "#{Env.A}"}],
                }],
                "beforeEntry": {"conditions": [{"result": "FAIL", "rules": [rule]}]},
            }],
        }))
        .unwrap()
    }

    fn execution(outputs: &[(&str, &[&str])]) -> Execution {
        let variables = |keys: &[&str]| -> BTreeMap<String, String> {
            keys.iter().map(|key| ((*key).to_owned(), "value".to_owned())).collect()
        };
        let outputs: BTreeMap<&str, _> = outputs.iter().map(|(name, keys)| (*name, variables(keys))).collect();
        serde_json::from_value(json!({
            "id": "00000000-0000-7000-8000-000000000000", "pipeline": "shop", "pipelineVersion": 1,
            "executionType": "STANDARD", "mode": "QUEUED", "trigger": {"triggerType": "StartPipelineExecution"},
            "startedAt": "2026-11-23T10:00:00Z", "updatedAt": "2026-11-23T10:00:00Z", "phase": {"name": "Starting"},
            "attempt": 1, "outputs": outputs,
        }))
        .unwrap()
    }

    #[test]
    fn what_actions_and_rules_refer_to_is_kept() {
        let referred = ReferredOutputs::of(&declaration());
        let mut carried = execution(&[
            ("Src", &["A", "B", "C"]),
            ("Cmd", &["A"]),
            ("Env", &["A"]),
            ("Rule", &["A", "B"]),
            ("Other", &["A"]),
        ]);
        carried.keep_referred(&referred);
        let expected = execution(&[("Src", &["A", "B"]), ("Cmd", &["A"]), ("Env", &["A"]), ("Rule", &["A", "B"])]);
        assert_eq!(carried.outputs, expected.outputs);
    }

    #[test]
    fn an_execution_fits_as_long_as_its_item_has_room_left() {
        let mut carried = execution(&[("Src", &["A"])]);
        assert!(carried.fits());
        carried.outputs.insert("Two".to_owned(), [("Long".to_owned(), "x".repeat(EXECUTION_BYTES_MAX - 1_000))].into());
        assert!(carried.fits());
        carried.outputs.insert("One".to_owned(), [("Long".to_owned(), "x".repeat(1_000))].into());
        assert!(!carried.fits());
    }
}
