//! Settings that only those who do the work may see (spec 1.8).
//!
//! Which settings are secret is noted in the declaration when it is stored, so that they stay hidden when their action
//! type is deleted, and so that showing a pipeline takes no look at action types.

use std::collections::BTreeMap;

use crate::{ActionDeclaration, Catalogue, PipelineDeclaration};

/// What is shown in place of a secret.
pub const MASK: &str = "****";

impl PipelineDeclaration {
    /// Notes which settings are secret.
    pub fn mark_secrets(&mut self, catalogue: &Catalogue) {
        for action in self.stages.iter_mut().flat_map(|stage| &mut stage.actions) {
            let info = catalogue.find(&action.action_type_id);
            let keys = info.into_iter().flat_map(|info| info.secret_keys()).map(str::to_owned);
            action.secret_keys = keys.filter(|key| action.configuration.contains_key(key)).collect();
        }
    }

    /// Takes over secrets that come back as they were shown. They are known by stage, action and action type: under
    /// another name a secret has to be given anew.
    pub fn keep_secrets_of(&mut self, before: &Self) {
        for stage in &mut self.stages {
            let Some(old) = before.stage(&stage.name) else {
                continue;
            };
            for action in &mut stage.actions {
                if let Some(old) = old.action(&action.name).filter(|old| old.action_type_id == action.action_type_id) {
                    action.keep_secrets_of(old);
                }
            }
        }
    }

    /// The declaration as everybody may see it.
    #[must_use]
    pub fn masked(mut self) -> Self {
        for action in self.stages.iter_mut().flat_map(|stage| &mut stage.actions) {
            mask(&mut action.configuration, &std::mem::take(&mut action.secret_keys));
        }
        self
    }
}

impl ActionDeclaration {
    fn keep_secrets_of(&mut self, old: &Self) {
        for key in &self.secret_keys {
            let (Some(value), Some(stored)) = (self.configuration.get_mut(key), old.configuration.get(key)) else {
                continue;
            };
            if value == MASK && old.secret_keys.contains(key) {
                value.clone_from(stored);
            }
        }
    }
}

/// Hides the values of `secret_keys`.
pub fn mask(configuration: &mut BTreeMap<String, String>, secret_keys: &[String]) {
    for (_, value) in configuration.iter_mut().filter(|(key, _)| secret_keys.contains(key)) {
        MASK.clone_into(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ActionKind, ActionProperty, ActionTypeInfo, ActionTypeUrls};

    fn pipeline(stage: &str, action: &str, version: &str, token: &str) -> PipelineDeclaration {
        let mut pipeline: PipelineDeclaration = serde_json::from_value(serde_json::json!({
            "name": "shop", "roleArn": "role",
            "stages": [{"name": stage, "actions": [{
                "name": action,
                "actionTypeId": {"category": "Build", "owner": "Custom", "provider": "Make", "version": version},
                "configuration": {"Project": "shop", "Token": token},
            }]}],
        }))
        .unwrap();
        let secret = ActionProperty { name: "Token".into(), secret: true, ..ActionProperty::default() };
        let absent = ActionProperty { name: "Other".into(), secret: true, ..ActionProperty::default() };
        let info = ActionTypeInfo {
            id: pipeline.stages[0].actions[0].action_type_id.clone(),
            kind: Some(ActionKind::Job),
            inputs: 0..=0,
            outputs: 0..=0,
            properties: vec![secret, absent],
            urls: ActionTypeUrls::default(),
            v2_only: false,
            timeout_s: 60,
            heartbeat_s: None,
        };
        pipeline.mark_secrets(&Catalogue::new(vec![info]));
        pipeline
    }

    fn settings(pipeline: &PipelineDeclaration) -> (&str, &str) {
        let configuration = &pipeline.stages[0].actions[0].configuration;
        (&configuration["Project"], &configuration["Token"])
    }

    #[test]
    fn only_secrets_are_hidden_and_no_trace_of_the_note_is_shown() {
        let stored = pipeline("Build", "Make", "1", "hunter2");
        assert_eq!(settings(&stored), ("shop", "hunter2"));
        let shown = stored.masked();
        assert_eq!(settings(&shown), ("shop", MASK));
        assert!(!serde_json::to_string(&shown).unwrap().contains("secretKeys"));
    }

    #[test]
    fn a_mask_that_comes_back_keeps_the_secret_of_the_same_action_only() {
        let before = pipeline("Build", "Make", "1", "hunter2");
        let cases = [
            (pipeline("Build", "Make", "1", MASK), "hunter2"),
            (pipeline("Build", "Make", "1", "new"), "new"),
            (pipeline("Compile", "Make", "1", MASK), MASK),
            (pipeline("Build", "Compile", "1", MASK), MASK),
            (pipeline("Build", "Make", "2", MASK), MASK),
        ];
        for (mut after, expected) in cases {
            after.keep_secrets_of(&before);
            assert_eq!(settings(&after).1, expected, "{:?}", after.stages);
        }
    }
}
