//! What Commands actions and rules run (spec 1.3 and 4.3).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ActionDeclaration, EnvironmentVariable, ResolveError, RuleDeclaration, Scope, resolve_configuration};

/// Files that an output artifact takes where none are named: all.
const ALL_FILES: &str = "**/*";

/// Shell commands and what they run in, references resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Script {
    /// The commands, one after another; the first that fails ends it.
    pub commands: Vec<String>,
    /// The input artifact in whose directory they run; absent where there is none.
    #[serde(default)]
    pub primary: Option<String>,
    /// Variables they find.
    #[serde(default)]
    pub environment: Vec<EnvironmentVariable>,
    /// Variables that become output variables.
    #[serde(default)]
    pub exports: Vec<String>,
    /// Patterns of the files that the output artifact takes; empty where there is no such artifact.
    #[serde(default)]
    pub files: Vec<String>,
}

impl Script {
    /// What `action` runs; absent where it has no commands.
    ///
    /// # Errors
    /// A reference that has no value, or is none.
    pub fn of_action(action: &ActionDeclaration, scope: &Scope<'_>) -> Result<Option<Self>, ResolveError> {
        if action.commands.is_empty() {
            return Ok(None);
        }
        let values = action.environment_variables.iter().map(|variable| variable.value.clone()).collect();
        let environment = action.environment_variables.iter().zip(resolved("environmentVariables", values, scope)?);
        let output = action.output_artifacts.first();
        let files = output.map(|output| output.files.clone()).map(|files| match files.is_empty() {
            true => vec![ALL_FILES.to_owned()],
            false => files,
        });
        Ok(Some(Self {
            commands: resolved("commands", action.commands.clone(), scope)?,
            primary: action.input_artifacts.first().map(|artifact| artifact.name.clone()),
            environment: environment
                .map(|(variable, value)| EnvironmentVariable { value, ..variable.clone() })
                .collect(),
            exports: action.output_variables.clone(),
            files: files.unwrap_or_default(),
        }))
    }

    /// What `rule` runs; absent where it has no commands.
    ///
    /// # Errors
    /// As [`of_action`](Self::of_action).
    pub fn of_rule(rule: &RuleDeclaration, scope: &Scope<'_>) -> Result<Option<Self>, ResolveError> {
        if rule.commands.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            commands: resolved("commands", rule.commands.clone(), scope)?,
            primary: rule.input_artifacts.first().map(|artifact| artifact.name.clone()),
            ..Self::default()
        }))
    }
}

/// `texts` with references resolved, in their order. Errors name the member and the number, from 1.
fn resolved(member: &str, texts: Vec<String>, scope: &Scope<'_>) -> Result<Vec<String>, ResolveError> {
    // Three digits, so that the map's order is theirs: there are at most 50 (spec 1.3).
    let key = |at: usize| format!("{member}.{:03}", at + 1);
    let numbered: BTreeMap<String, String> = texts.into_iter().enumerate().map(|(at, text)| (key(at), text)).collect();
    Ok(resolve_configuration(&numbered, scope)?.into_values().collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope<'a>(
        variables: &'a BTreeMap<String, String>,
        outputs: &'a BTreeMap<String, BTreeMap<String, String>>,
    ) -> Scope<'a> {
        Scope { execution_id: "e1", variables, outputs }
    }

    fn action() -> ActionDeclaration {
        serde_json::from_value(json!({
            "name": "Test", "actionTypeId": {"category": "Compute", "owner": "AWS", "provider": "Commands", "version": "1"},
            "commands": ["make #{variables.Target}", "echo ${HOME}"], "outputVariables": ["Tag"],
            "inputArtifacts": [{"name": "Tools"}, {"name": "App"}], "outputArtifacts": [{"name": "Site"}],
            "environmentVariables": [{"name": "Key", "value": "prod/key", "type": "SECRETS_MANAGER"}],
        }))
        .unwrap()
    }

    #[test]
    fn an_action_runs_its_commands_in_its_first_artifact() {
        let variables = BTreeMap::from([("Target".to_owned(), "all".to_owned())]);
        let outputs = BTreeMap::new();
        let script = Script::of_action(&action(), &scope(&variables, &outputs)).unwrap().unwrap();
        assert_eq!(script.commands, ["make all", "echo ${HOME}"]);
        assert_eq!(script.primary.as_deref(), Some("Tools"), "the order is the declaration's");
        assert_eq!((script.exports, script.files), (vec!["Tag".to_owned()], vec!["**/*".to_owned()]));
        assert_eq!(script.environment[0].kind.as_deref(), Some("SECRETS_MANAGER"));
        let none = ActionDeclaration { commands: Vec::new(), ..action() };
        assert_eq!(Script::of_action(&none, &scope(&variables, &outputs)).unwrap(), None);
    }

    #[test]
    fn many_commands_keep_their_order_and_an_unknown_variable_names_its_own() {
        let (variables, outputs) = (BTreeMap::new(), BTreeMap::new());
        let commands: Vec<String> = (0..50).map(|number| format!("echo {number}")).collect();
        let rule: RuleDeclaration = serde_json::from_value(json!({
            "name": "check", "ruleTypeId": {"category": "Rule", "provider": "Commands"}, "commands": commands,
        }))
        .unwrap();
        let script = Script::of_rule(&rule, &scope(&variables, &outputs)).unwrap().unwrap();
        assert_eq!((script.commands, script.primary), (commands, None));
        let error = Script::of_action(&action(), &scope(&variables, &outputs)).unwrap_err().to_string();
        assert!(error.contains("'commands.001' refers to #{variables.Target}"), "{error}");
    }
}
